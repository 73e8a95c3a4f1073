#!/usr/bin/perl

# Calls that overlap without a gap: reading pauses, the connection moves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Upgrade;

use Time::HiRes qw(time sleep);

my $t = Mesh::Upgrade->new;
my $serve = serve(delay => '100ms', jitter => '300ms');
my $peer = Mesh::Peer->new(methods => { slow => { delay => 4 } });

$t->write_conf(conf(main => 'worker_processes 1;',
    service => 'endpoint ' . $peer->address . ';',
    mesh => 'service bench.Echo:1.0.0 { endpoint ' . $serve->address . '; }',
    server => 'mesh_handover_timeout 1s; mesh_timeout 20s;'));
$t->run;

my $load = $t->calls(connections => 2, depth => 64, deep => undef,
                     duration => 60);

wait_for { $t->metrics->{mesh_client_connections} == 2 } 10, 'clients';
sleep 0.5;

for my $n (1 .. 3) {
    ok($t->reload(gone => 1), "reload $n of busy clients");
    ok(wait_for(sub { $t->handed('received') == 2 * $n }, 10), '... they move');
}

is($t->handed('paused'), 6, '... after a pause');
is($t->handed('failed'), 0, '... none failed');
is($load->finish, CLEAN, '... no call did');

ok(wait_for(sub {
    $t->grep_log(qr/generation \d+ of workers is gone: 2 connections (?#
                   )handed over, 2 of them paused/) == 3
}, 10), '... which the log tells, once for each generation');


# a call that takes longer: calls behind it wait for the next worker

{
    my $client = $t->tcp('rpc');

    $client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 1,
                                       method => 'slow', args => ['long']));
    wait_for { $peer->stats->{methods}{slow} } 10, 'the call';
    ok($t->reload, 'reload during a long call');

    is(went($client->call(service => 'demo.Echo', id => 2,
                          args => ['quick'])), 'quick',
       'others are served beside it');

    wait_for { $t->handed('paused') == 7 } 10, 'the pause';
    $client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 3,
                                       args => ['later']));

    my @order = map { went($_) } $client->recv_frames(2, 15);
    is("@order", 'long later', 'during the pause they wait for its answer');
    is($t->handed('received'), 7, '... and are served by the next worker');
    ok(wait_for(sub { !$t->leaving }, 10), 'the old one is gone');
}


# half a frame when the pause begins: it is read to its end

{
    my $client = $t->tcp('rpc');
    my $bytes = Mesh::Dubbo::request(service => 'demo.Echo', id => 4,
                                     args => [ 'y' x 100_000 ]);

    $client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 5,
                                       method => 'slow', args => ['long']));
    $client->send(substr $bytes, 0, 50_000, '');
    wait_for { $peer->stats->{methods}{slow} == 2 } 10, 'the call';
    ok($t->reload, 'reload during a long call and half of another');
    wait_for { $t->handed('paused') == 8 } 10, 'the pause';
    $client->send($bytes);

    my %went = map { $_->{id} => length $_->{value} } $client->recv_frames(2, 15);
    is_deeply(\%went, { 4 => 100_000, 5 => 4 }, '... both are answered');
    ok(wait_for(sub { $t->handed('received') == 8 }, 10), '... it moves');
    is(went($client->call(service => 'demo.Echo', args => ['ok'])), 'ok',
       '... and calls');
}

$serve->stop;
$t->done;
