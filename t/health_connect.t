#!/usr/bin/perl

# Endpoints that cannot be reached: calls go elsewhere and do not fail, the
# dead are not dialled without pause, and when all are dead all are tried.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Mesh::Port qw(free_port);
use Time::HiRes qw(time);

my $t = Mesh::Test->new;
my $good = Mesh::Peer->new(value => 'good');
my $at = $good->address;
my @dead = map { free_port() } 1 .. 4;

$t->write_conf(conf(
    server => 'mesh_connect_timeout 500ms; mesh_timeout 5s;',
    service => "endpoint 127.0.0.1:$dead[0]; endpoint $at;",
    mesh => "service demo.Alone {
                 endpoint 127.0.0.1:$dead[1] max_fails=0;
             }
             service demo.Never {
                 endpoint 127.0.0.1:$dead[1] max_fails=0; endpoint $at;
             }
             service demo.Dead {
                 endpoint 127.0.0.1:$dead[2]; endpoint 127.0.0.1:$dead[3];
             }
             service demo.Unix {
                 endpoint unix:%%DIR%%/nobody.sock; endpoint $at;
             }"));
$t->run;

my $client = $t->tcp('rpc');

sub connects {
    my ($port) = @_;

    return $t->sum($t->metrics, 'mesh_endpoint_connects_total',
                   endpoint => "127.0.0.1:$port");
}


is_deeply(scalar spread($client, 100), { good => 100 },
          'a refused connect fails no call');
is_deeply(statuses(burst($client, 300)), { good => 300 },
          '... nor many at once');

# what nginx itself says of such a connect
$t->allow_log(qr/nobody\.sock failed \(2: No such file/);

is_deeply(scalar spread($client, 10, service => 'demo.Unix'), { good => 10 },
          '... nor the socket that is not there');


# max_fails=0, so nothing but the pauses keeps it from being dialled; they
# double from 100 ms (a quarter less by chance) to 2 s

my $from = time;
my $n = 0;

while (time < $from + 2.5) {
    my $went = spread($client, 50, service => 'demo.Never');
    $n += $went->{good} // 0;
    last if keys %$went > 1;
}

cmp_ok($n, '>', 49, 'calls go on beside an endpoint that is dead');

# the metrics are a second behind
wait_for { connects($dead[1]) >= 2 } 10, 'connects to be counted';
my $most = 6 + (time - $from) / 1.5;
cmp_ok(connects($dead[1]), '<=', $most, '... which is dialled a few times');
is_deeply($t->sum($t->metrics, 'mesh_endpoint_connect_failures_total',
                  endpoint => "127.0.0.1:$dead[1]") > 0, 1,
          '... and counted');


# all are dead

my @answers = burst($client, 20, service => 'demo.Dead');

is_deeply(statuses(@answers), { 'status 70' => 20 },
          'all are dead: a typed answer');
like($answers[0]{error}, qr/\bupstream_closed\b.*\bdemo\.Dead\b/,
     '... that says so');

wait_for { connects($dead[3]) } 10;
ok(connects($_), "... after $_ was tried") for @dead[2, 3];


# one comes back while both count as unavailable

my $back = Mesh::Peer->new(value => 'back', port => $dead[3]);

ok(wait_for(sub {
    (spread($client, 1, service => 'demo.Dead'))[0] eq 'back';
}, 20), 'all down means all are tried, so what comes back is found');

is_deeply(scalar spread($client, 20, service => 'demo.Dead'), { back => 20 },
          '... and used alone');

$back->stop;


# the same where there is one endpoint only

is((spread($client, 1, service => 'demo.Alone'))[0], 'status 70',
   'a single dead endpoint');

$back = Mesh::Peer->new(value => 'alone', port => $dead[1]);

ok(wait_for(sub {
    (spread($client, 1, service => 'demo.Alone'))[0] eq 'alone';
}, 20), '... is found when it is back');

# one line a connect, and only the first of a row above "info"
cmp_ok(scalar $t->grep_log(qr/\[error\].*connect\(\) failed.*:$dead[1]/),
       '<=', 3, 'the log is not flooded');

$t->done;
