#!/usr/bin/perl

# Endpoints of a route that turn out to be gone only when they are dialled:
# the fallback takes the call with all that it has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);
my @at = map { $_->address } $a, $b, $c;
my @gone = map { Mesh::Peer->new } 1 .. 36;
my @dead = map { $_->address } @gone;

$_->stop for @gone;

my $routes = '';

# a fresh target for each call: none of its endpoints is known to be gone

for my $i (1 .. 6) {
    $routes .= <<"MESH";
    service dead.S$i { endpoint $dead[$i]; }
    service dead.T$i { endpoint $dead[$i + 6]; endpoint $dead[$i + 12]; }
    service demo.T$i { endpoint $dead[$i + 18] weight=100;
                       endpoint $dead[$i + 24] weight=100;
                       endpoint $at[1]; }
    route tries$i { match method=tries attachment.n=$i;
                    to service=dead.T$i fallback=service=demo.T$i; }
    route hash$i { match method=hash attachment.n=$i;
                   to service=dead.S$i fallback=service=demo.Hashed; }
MESH
}

$t->write_conf(conf(
    service => "endpoint $at[0];",
    main => 'worker_processes 1;',
    mesh => <<"MESH",
    service demo.Hashed { balancer hash attachment.user;
                          endpoint $at[0]; endpoint $at[1];
                          endpoint $at[2]; }
    route straight { match method=straight; to service=demo.Hashed; }
    $routes
MESH
));
$t->run;

my $client = $t->tcp('rpc');

# each endpoint of the fallback is tried, however many were before

is(went($client->call(service => 'demo.Echo', method => 'tries',
                      attachments => { n => $_ }, timeout => 10)),
   'b', 'endpoints of the fallback are tried in turn') for 1 .. 6;

# the fallback balances by its own fact

my @users = map { "u$_" } 1 .. 6;
my @straight = map {
    went($client->call(service => 'demo.Echo', method => 'straight',
                       attachments => { user => $_ }, timeout => 10))
} @users;

cmp_ok(scalar keys %{ tally(@straight) }, '>', 1, 'users are spread');

is_deeply([ map {
    went($client->call(service => 'demo.Echo', method => 'hash',
                       attachments => { user => $users[$_ - 1], n => $_ },
                       timeout => 10))
} 1 .. 6 ], \@straight, 'the fallback keeps its own balance');

$t->stop;
$t->done;
