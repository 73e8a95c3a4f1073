#!/usr/bin/perl

# Several addresses of Consul: one is asked, the next when that fails, and what
# it knows less of is believed only when it says so again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';
my $HEALTH = "/v1/health/service/$NAME";

my $t = Mesh::Test->new(timeout => 200);
my @f = map { Mesh::FaultHTTP->new } 1 .. 3;


sub all { join ' ', map { "127.0.0.1:$_=100" } @_ }

# at($f, ports): what that one knows, of an index of its own
sub at {
    my ($f, @ports) = @_;
    $f->service($NAME, [ map { dubbo($f, $NAME, $_) } @ports ]);
}

at($_, 20881 .. 20884) for @f;
$f[2]->index_is(7);

$t->write_conf(learn_conf(join(' ', 'consul', map { $_->url } @f),
                          service => $NAME, mesh => 'guard 60% hold=4s;'));
$t->run;

is(until_learned($t, $NAME, 4), all(20881 .. 20884), 'learned');
wait_for { $f[0]->waiting == 1 } 5, 'a long poll';

is($f[1]->requests + $f[2]->requests, 0, 'one address is asked');


# another takes over, its index may be lower

$f[0]->stop;

wait_for { $f[1]->waiting == 1 } 10, 'a long poll elsewhere';
is(learned($t, $NAME), all(20881 .. 20884), 'nothing has changed');
my ($first) = $f[1]->requests;
unlike($first->{target}, qr/index=/, 'its first read has no index');

at($f[1], 20881 .. 20885);
is(until_learned($t, $NAME, 5), all(20881 .. 20885), 'changes are seen there');

$f[0]->start;
at($f[0], 20881 .. 20884);
$f[0]->requests(1);
sleep 1;
is($f[0]->requests, 0, 'it stays there when the first is back');


# one that is behind: it knows less, once

at($f[2], 20881 .. 20884);
$f[2]->requests(1);
$f[2]->fault(match => $HEALTH, json => [ dubbo($f[2], $NAME, 20881) ]);
at($f[2], 20881 .. 20885);
$f[1]->stop;

wait_for { $f[2]->waiting == 1 } 15, 'a long poll at the third';
my @plain = grep { $_->{target} !~ /index=/ } $f[2]->requests;
cmp_ok(@plain, '>=', 2, 'what is less is read again');
is(learned($t, $NAME), all(20881 .. 20885), 'and not believed');


# one that knows less all the time is believed, as far as the guard lets it

$f[1]->start;
at($f[1], 20882 .. 20885);
$f[0]->stop;
$f[2]->stop;

is(until_learned($t, $NAME, all(20882 .. 20885), 15), all(20882 .. 20885),
   'what it says twice is believed');


# what the guard holds is asked of another

at($f[1], 20882);
wait_for { learned($t, $NAME, all => 1) =~ /\?/ } 5, 'suspects';
is(learned($t, $NAME), all(20882 .. 20885), 'the guard holds');

$f[0]->start;
at($f[0], 20882);
is(until_learned($t, $NAME, 1, 20), all(20882), 'another agrees, or time does');


# nobody answers: what was known stays; the first that is back is asked

$_->stop for @f[0, 1];
sleep 1;
is(learned($t, $NAME), all(20882), 'all are down');

$f[2]->start;
at($f[2], 20882, 20886);
is(until_learned($t, $NAME, all(20882, 20886), 40), all(20882, 20886),
   'one is back');

my @errors = grep { /\[error\]/ } errors_of($t);
cmp_ok(@errors, '<=', 12, 'not each try is logged') or diag(@errors);

$t->done;
