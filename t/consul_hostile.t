#!/usr/bin/perl

# A Consul whose answers are damaged at random, thousands of them: the agent
# neither dies nor grows, nobody is gone by what is damaged, and when it is over
# all is as the registry says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;


{
    package Hostile;

    # mode(name): how answers are damaged from now on, '' is not at all

    use parent -norequire, 'Mesh::FaultHTTP';

    use Compress::Zlib ();
    use JSON::PP;
    use Mesh::Mutant;

    my $json = JSON::PP->new->utf8->canonical->allow_nonref;

    sub mode { $_[0]->ask('mode', @_[1 .. $#_]) }
    sub answered { $_[0]->ask('answered') }

    sub order_answered { $_[0]{answered} // 0 }


    sub order_mode {
        my ($s, $mode, $seed) = @_;

        srand $seed;
        $s->{mode} = $mode;
        return 1;
    }


    sub answer {
        my ($s, $c, $r, $f) = @_;

        my $mode = $s->{mode} // '';
        $s->{answered}++;

        return $s->SUPER::answer($c, $r, $f) if $mode eq '' || $f->{n};

        my ($status, $headers, $body) = $s->truth($r);

        if ($mode eq 'types') {
            my $all = strange($json->decode($body));
            return $s->SUPER::answer($c, $r,
                                     { body => $json->encode($all) });
        }

        # of what is packed no damage to the body is taken for a change
        if ($mode eq 'packed') {
            $body = Compress::Zlib::memGzip($body);
            $headers->{'Content-Encoding'} = 'gzip';
        }

        $headers->{'Content-Length'} = length $body;

        if (rand() < 0.5) {
            delete $headers->{'Content-Length'};
            $headers->{'Transfer-Encoding'} = 'chunked';
            $body = Mesh::FaultHTTP::chunks($body, 1 + int rand 200);
        }

        my $bytes = join "\r\n", "HTTP/1.1 $status OK",
                    (map { "$_: $headers->{$_}" } sort keys %$headers), '',
                    $body;

        $bytes = damage($bytes);
        $s->write($c, $bytes);

        # who has but a part of it would wait for the rest
        my $how = (0, 1, 'last', 'last', 'last')[int rand 5];
        delete $c->{busy};
        $s->shut($c, $how);
    }
}


my $long = $ENV{TEST_MESH_LONG};
my $seconds = $long ? 120 : 5;
my $seed = $ENV{TEST_MESH_SEED} // time ^ $$;

srand $seed;
note("TEST_MESH_SEED=$seed");

my $t = Mesh::Test->new(timeout => 120 + 6 * $seconds);
my $f = Hostile->new;

my @names = map { "com.example.H$_" } 1 .. 50;
my $all = join ' ', map { "127.0.0.1:$_=100" } 20880 .. 20883;

sub everybody {
    for my $name (@names) {
        $f->service($name, [ map { dubbo($f, $name, $_) } 20880 .. 20883 ]);
    }
}

everybody();

$t->write_conf(learn_conf('consul ' . $f->url, service => \@names,
                          mesh => 'guard 50% min=3 hold=2s;'));
$t->run;

for (@names) {
    my $seen = until_learned($t, $_, $all);
    $seen eq $all or BAIL_OUT("$_ is not learned: $seen " . $t->log);
}


sub agent { return ($t->helpers, $t->children(qr/mesh agent/))[0] }


sub memory {
    open my $in, '<', "/proc/@{[agent()]}/status" or return 0;
    return (map { /^VmRSS:\s*(\d+)/ ? $1 : () } <$in>)[0];
}


sub descriptors { scalar(() = glob "/proc/@{[agent()]}/fd/*") }


sub resync { api($t, 'POST', 'registries/consul/resync') }


sub attack {
    my ($mode, $seconds, $check) = @_;

    my $from = $f->answered;
    my $until = time + $seconds;

    $f->mode($mode, int rand 2 ** 31);

    while (time < $until) {
        resync();
        $f->release;
        sleep 0.05;

        # what is taken away for some time only is not seen at the end
        my $name = $names[rand @names];
        my $seen = $check ? learned($t, $name) : $all;
        next if $seen eq $all;

        is($seen, $all, "$mode: $name lost nobody");
        last;
    }

    my $n = $f->answered - $from;

    cmp_ok($n, '>', 5 * $seconds, "$mode: $n answers");
    $f->mode('', 1);
    resync();

    my @wrong = grep { until_learned($t, $_, $all, 20) ne $all } @names;
    is("@wrong", '', "$mode: all is well when it is over")
        or diag(learned($t, $wrong[0], all => 1));
}


my $pid = agent();

attack('packed', $seconds, 1);

my $fds = descriptors();
my $rss = memory();

attack($_, $seconds, $_ eq 'packed') for qw(plain types packed);

is(agent(), $pid, 'it is still the same agent');
ok((wait_for { descriptors() <= $fds + 2 } 10), 'no descriptor is left');
cmp_ok(memory(), '<', $rss + 16384, 'its memory is what it was')
    unless Mesh::Test::sanitized();

note("memory: $rss, then ", memory(), ' KiB');

$t->done;
