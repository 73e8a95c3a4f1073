#!/usr/bin/perl

# What a client or a link leaves behind touches nobody else.

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
my $peer = Mesh::Peer->new(methods => {
    slow => { delay => 1 }, stuck => { never => 1 },
});

$t->write_conf(conf(service => "endpoint @{[$peer->address]} max_fails=0;",
                    server => 'mesh_timeout 20s;'));
$t->run;

my $stays = $t->tcp('rpc');
my $leaves = $t->tcp('rpc');

for my $client ($stays, $leaves) {
    $client->send(join '', map {
        Mesh::Dubbo::request(id => $_, service => 'demo.Echo',
                             method => 'slow', args => ["call $_"])
    } 1 .. 50);
}

ok((wait_for { $peer->stats->{requests} == 100 } 10), 'all are under way');
$leaves->rst;

is(scalar(grep { went($stays->recv_id($_, 10)) eq "call $_" } 1 .. 50), 50,
   'a client went: the calls of another are answered');

ok((wait_for { my $m = $t->metrics('/metrics', 'http');
               $m->{mesh_abandoned_responses_total} == 50
               && $m->{mesh_slots_resting} == 0
               && $m->{mesh_requests_in_flight} == 0 } 10),
   '... those of the first are dropped, their slots free');

is($peer->stats->{connections}, 1, '... on one link all the time');

# a link is reset

my @clients = ($stays, map { $t->tcp('rpc') } 1 .. 3);

for my $client (@clients) {
    $client->send(join '', map {
        Mesh::Dubbo::request(id => 100 + $_, service => 'demo.Echo',
                             method => 'stuck', args => ['x'])
    } 1 .. 100);
}

ok((wait_for { $peer->stats->{requests} == 500 } 10), 'hundreds are in flight');

$peer->rst_all;

my %status;

for my $client (@clients) {
    $status{$_->{status}}++ for $client->recv_frames(100, 10);
}

is_deeply(\%status, { 70 => 400 }, 'a reset fails them all, typed');

is(went($_->call(id => 300, service => 'demo.Echo', method => 'echo',
                 args => ['again'], timeout => 5)), 'again',
   '... and the next call is served') for @clients;

$_->close for @clients;
$t->done;
