#!/usr/bin/perl

# Who does not read holds up nobody but himself.

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
my $peer = Mesh::Peer->new(methods => { much => { size => 200_000 } });
my $other = Mesh::Peer->new(value => 'other');

$t->write_conf(conf(service => "endpoint @{[$peer->address]};",
    mesh => "service demo.Other { endpoint @{[$other->address]}; }",
    server => 'mesh_client_buffer 1m; mesh_link_buffer 1m; mesh_timeout 3s;
               mesh_heartbeat off; mesh_max_requests 10000;'));
$t->run;

my $good = $t->tcp('rpc');
my $lazy = $t->tcp('rpc');

# a client that asks and does not read

my $n = 0;

for (1 .. 40) {
    $lazy->send(join '', map {
        Mesh::Dubbo::request(id => ++$n, service => 'demo.Echo',
                             method => 'much', args => ['x'])
    } 1 .. 10);

    last if wait_for { $t->metrics('/metrics', 'http')
                         ->{'mesh_client_closed_total{reason="slow"}'} } 0.3;
}

is($t->metrics('/metrics', 'http')
     ->{'mesh_client_closed_total{reason="slow"}'}, 1,
   'a client that never reads is closed at its cap');
is(went($good->call(id => 1, service => 'demo.Echo', method => 'echo',
                    args => ['fine'], timeout => 5)), 'fine',
   '... others go on');
$lazy->close;

# a provider that does not read

$peer->freeze;

my $sent = 0;
my %status;

for (1 .. 100) {
    $good->send(join '', map {
        Mesh::Dubbo::request(id => 1000 + ++$sent, service => 'demo.Echo',
                             method => 'echo', args => ['z' x 20_000])
    } 1 .. 10);

    my $frame = $good->recv_frame(0.01) // next;
    $status{$frame->{status}}++;
    last;
}

is_deeply(\%status, { 100 => 1 }, 'a full link answers with overload');

is(went($good->call(id => 2, service => 'demo.Other', method => 'echo',
                    args => ['x'], timeout => 5)), 'other',
   '... calls of another service go on');

while ((my $left = $sent - do { my $s = 0; $s += $_ for values %status; $s })
       > 0)
{
    my @frames = $good->recv_frames($left, 10) or last;
    $status{$_->{status}}++ for @frames;
}

my $total = 0;
$total += $_ for values %status;

is($total, $sent, 'every call gets an answer');
is_deeply([sort { $a <=> $b } keys %status], [30, 31, 100],
          '... that tells expired from timed out from refused')
    or diag explain \%status;

$peer->thaw;

is(went($good->call(id => 3, service => 'demo.Echo', method => 'echo',
                    args => ['back'], timeout => 10)), 'back',
   'the provider reads again');

# what it then finds is what was sent before its time ran out; of a frame
# that was cut the rest has to follow

cmp_ok($peer->stats->{requests}, '<=',
       402 + 1 + 1 + $status{31} + 1, 'what expired unsent never comes');

ok((wait_for { my $m = $t->metrics('/metrics', 'http');
               $m->{mesh_requests_in_flight} == 0
               && $m->{mesh_buffered_bytes} == 0 } 10), 'nothing is left over');

$good->close;
$t->done;
