#!/usr/bin/perl

# What a few huge answers took of memory is given back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;


{
    package Huge;

    # huge(): the next two answers are

    use parent -norequire, 'Mesh::FaultHTTP';

    sub huge { $_[0]->ask('huge') }

    # each value takes thirty times what it has in the answer
    sub order_huge {
        my ($s) = @_;

        $s->{huge} = ['[' . join(',', (0) x 1e6) . ']',
                      '[' . ' ' x 20e6 . '0]'];
        return 1;
    }

    sub answer {
        my ($s, $c, $r, $f) = @_;

        $f = { body => shift @{ $s->{huge} } } if @{ $s->{huge} // [] };
        return $s->SUPER::answer($c, $r, $f);
    }

    sub left { $_[0]->ask('left') }
    sub order_left { scalar @{ $_[0]{huge} } }
}


my $t = Mesh::Test->new(timeout => 120);
my $f = Huge->new;
my $name = 'com.example.A';
my $all = '127.0.0.1:20880=100';

$f->service($name, [ dubbo($f, $name, 20880) ]);
$t->write_conf(learn_conf('consul ' . $f->url, service => $name));
$t->run;
is(until_learned($t, $name, $all), $all, 'a provider');


sub memory {
    my $pid = ($t->helpers, $t->children(qr/mesh agent/))[0];

    open my $in, '<', "/proc/$pid/status" or return 0;
    return (map { /^VmRSS:\s*(\d+)/ ? $1 : () } <$in>)[0];
}


my $before = memory();
my $most = 0;

for (1 .. 3) {
    $f->huge;
    api($t, 'POST', 'registries/consul/resync');

    ok((wait_for {
        $most = memory() if memory() > $most;
        $f->left == 0;
    } 30), 'huge answers');
}

api($t, 'POST', 'registries/consul/resync');
is(until_learned($t, $name, $all), $all, 'the provider is there');

# what is free is kept by the sanitizer for a while
my $room = Mesh::Test::sanitized() ? 1024 * 1024 : 8192;

ok((wait_for { memory() < $before + $room } 10), 'memory is what it was')
    or diag("$before, $most, then ", memory(), ' KiB');

$t->allow_log(qr/mesh registry/);
$t->done;
