#!/usr/bin/perl

# One-way calls hold nothing; heartbeats and READONLY stay on their side.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $one = Mesh::Peer->new(value => 'one', methods => { slow => { delay => 1 } });
my $two = Mesh::Peer->new(value => 'two');
my $beating = Mesh::Peer->new(beat => 0.2);
my $down = Mesh::Peer->new;
$down->stop;

$t->write_conf(conf(service => "endpoint @{[$one->address]};
                                endpoint @{[$two->address]};",
    mesh => "service demo.Sink { endpoint @{[$two->address]}; }
             service demo.Beat { endpoint @{[$beating->address]}; }
             service demo.Down { endpoint 127.0.0.1:@{[$down->port]}; }"));
$t->run;

my ($worker) = $t->workers;

sub memory {
    return $t->read_file("/proc/$worker/status") =~ /VmRSS:\s+(\d+)/ ? $1 : 0;
}

sub metric { $t->metrics('/metrics', 'http')->{$_[0]} }

my $client = $t->tcp('rpc');

# one-way

my $batch = Mesh::Dubbo::request(id => 1, service => 'demo.Sink',
                                 method => 'drop', args => ['x'],
                                 oneway => 1) x 1000;

$client->send($batch) for 1 .. 10;
wait_for { $two->stats->{oneways} == 10_000 } 20;
my $before = memory();

# not faster than the provider reads: what a link cannot take is dropped

for my $n (2 .. 10) {
    $client->send($batch) for 1 .. 10;
    wait_for { $two->stats->{oneways} == $n * 10_000 } 20;
}

ok((wait_for { $two->stats->{oneways} == 100_000 } 5),
   'a hundred thousand one-way calls arrive') or diag $two->stats->{oneways};
cmp_ok(memory() - $before, '<', 2048, '... and hold no memory (kB)');
is(metric('mesh_slots_resting') + metric('mesh_requests_in_flight'), 0,
   '... nor slots');
is(metric('mesh_oneway_requests_total'), 100_000, '... and are counted');
is($client->recv_frame(0.2), undef, '... nobody answers');

# heartbeats

my $alone = $t->tcp('rpc');

$alone->send(Mesh::Dubbo::heartbeat(id => 77));
my $ack = $alone->recv_frame(5);
is("$ack->{kind} $ack->{id}", 'ack 77', 'a heartbeat of a client is answered');

$alone->send(Mesh::Dubbo::heartbeat(id => 78, serialization => 23));
$ack = $alone->recv_frame(5);
is("$ack->{kind} $ack->{id} $ack->{ser}", 'ack 78 23', '... in its own form');

is($client->call(id => 2, service => 'demo.Down', method => 'echo',
                 args => ['x'], timeout => 5)->{status}, 70,
   'a provider that is down');
$client->send(Mesh::Dubbo::heartbeat(id => 79));
is($client->recv_id(79, 5)->{kind}, 'ack', '... is no reason not to answer');

is(went($client->call(id => 3, service => 'demo.Beat', method => 'echo',
                      args => ['x'], timeout => 5)), 'x', 'a provider that asks');
ok((wait_for { ($beating->stats->{acks} // 0) >= 2 } 10),
   '... is answered by nginx');
is($client->recv_frame(0.3), undef, '... and the client hears nothing of it');

# READONLY

spread($client, 4, method => 'echo');
$client->send(Mesh::Dubbo::request(id => 500 + $_, service => 'demo.Echo',
                                   method => 'slow', args => ['x']))
    for 1 .. 2;
wait_for { $one->stats->{requests} + $two->stats->{requests} >= 6 } 5;

$one->readonly;
wait_for { metric('mesh_readonly_total{from="provider"}') == 1 } 5;

is_deeply(scalar spread($client, 10, method => 'echo', args => []),
          { two => 10 }, 'calls avoid a provider that is read-only');
is(scalar(grep { $client->recv_id(500 + $_, 5) } 1 .. 2), 2,
   '... those in flight there are answered');
ok((wait_for { $one->stats->{open} == 0 } 5), '... then its link is closed');

$two->readonly;
wait_for { metric('mesh_readonly_total{from="provider"}') == 2 } 5;

my $went = spread($client, 10, method => 'echo', args => []);
is(($went->{one} // 0) + ($went->{two} // 0), 10,
   'when all are read-only, calls go on') or diag explain $went;

$_->close for $client, $alone;
$t->done;
