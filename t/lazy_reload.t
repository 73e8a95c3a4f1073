#!/usr/bin/perl

# Calls that wait for their service, and a reload, or the end of a worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new;

$t->write_conf(lazy_conf(
    main => 'worker_processes 2;',
    server => 'mesh_timeout 60s; mesh_discovery_timeout 40s;'));
$t->run;

my @clients = map { $t->tcp('rpc') } 1 .. 6;

for my $i (0 .. 5) {
    $clients[$i]->send(join '', map {
        $clients[$i]->bytes(request => service => 'demo.Late', id => $_,
                            args => ["$i-$_"])
    } 1 .. 5);
}

ok(parked($t, 30), 'calls wait');
ok($t->reload, 'a reload');

$clients[$_]->send($clients[$_]->bytes(
    request => service => 'demo.Late', id => 6, args => ["$_-6"])) for 0 .. 5;

is(gives($t, 'demo.Late', $peer), 200, 'the service comes');

for my $i (0 .. 5) {
    my @frames = $clients[$i]->recv_frames(6, 10);
    is_deeply([ map { "$_->{id} " . went($_) } @frames ],
              [ map { "$_ $i-$_" } 1 .. 6 ], "client $i: all are answered");
}

ok((wait_for { !$t->leaving } 20), 'the old workers end');
is(went($_->call(service => 'demo.Late', args => ['on'])), 'on',
   '... their clients stay') for @clients;
ok((wait_for {
    metric($t, 'mesh_handovers_total{event="received"}') == 6
} 5), '... all');


# without registries nobody waits

$clients[0]->send($clients[0]->bytes(request => service => 'demo.Other',
                                     id => 7));
ok(parked($t, 1), 'a call waits');

my $conf = $t->read_file('nginx.conf');
$conf =~ s/registry consul [^;]*;//;
$t->write_file('nginx.conf', $conf);
ok($t->reload, 'a reload without registries');
is(went($t->tcp('rpc')->call(service => 'demo.Other')), 'status 60',
   'nobody waits any more');
gives($t, 'demo.Other', $peer);
is($clients[0]->recv_id(7, 10)->{status}, 20, '... but who waits gets it');


# a worker dies with its calls

$conf =~ s/(state_path)/registry consul http:\/\/127.0.0.1:1; $1/;
$t->write_file('nginx.conf', $conf);
ok($t->reload(gone => 1), 'a reload');

my $client = $t->tcp('rpc');
$client->send($client->bytes(request => service => 'demo.Dead', id => 8));
ok(parked($t, 1), 'a call waits');

$t->allow_log(qr/worker process \d+ exited on signal 9/);
kill 'KILL', $t->workers;
ok($client->closed(10), '... and dies with the workers');
ok((wait_for { $t->workers == 2 && $t->metrics } 10), 'others follow');
ok(parked($t, 0), '... with none that waits');

$t->done;
