#!/usr/bin/perl

# A TLS link whose provider does not read: what a client that left had queued
# is taken back, except what TLS has begun to send, and others' calls arrive.

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
my $peer = Mesh::Peer->new(keep => 10);
my ($crt, $key) = $t->certificate('provider', 'provider.example');

$t->write_conf(conf(
    server => 'mesh_ssl on; mesh_heartbeat off; mesh_timeout 60s;
               mesh_link_buffer 64m; mesh_max_requests 100000;',
    service => 'endpoint 127.0.0.1:%%PORT_tls%%;',
    stream => "server {
                   listen 127.0.0.1:%%PORT_tls%% ssl;
                   ssl_certificate $crt;
                   ssl_certificate_key $key;
                   proxy_pass 127.0.0.1:@{[ $peer->port ]};
               }"));
$t->run;

my ($stays, $other) = map { $t->tcp('rpc') } 1 .. 2;

is_deeply(statuses(burst($stays, 3, args => [ 'before' ])), { before => 3 },
          'a link by TLS');

for my $size (500, 3000, 40_000) {
    my $leaves = $t->tcp('rpc');
    my $before = $peer->stats->{requests};

    $peer->freeze;

    # far more than the sockets take, with another's calls in between
    my $total = 44_000_000;
    my $round = int($total / $size / 12);

    for my $n (1 .. 12) {
        $leaves->send(join '', map {
            Mesh::Dubbo::request(service => 'demo.Echo', id => $_,
                                 args => [ 'x' x $size ])
        } 1 .. $round);
        $other->send(Mesh::Dubbo::request(service => 'demo.Echo', id => $n,
                                          args => [ "size $size call $n" ]));
    }

    wait_for { $t->metrics->{mesh_requests_in_flight} >= 12 * $round } 20,
        'all calls to be queued';
    $leaves->close;
    wait_for { $t->metrics->{mesh_requests_in_flight} <= 12 } 20,
        'calls to be forgotten';
    $peer->thaw;

    my @got = $other->recv_frames(12, 30);

    is_deeply([ map { went($_) } sort { $a->{id} <=> $b->{id} } @got ],
              [ map { "size $size call $_" } 1 .. 12 ],
              "calls of $size bytes are taken back, the others arrive");
    cmp_ok($peer->stats->{requests} - $before, '<', 12 * $round,
           '... and only they and what was under way');
    is($peer->stats->{connections}, 1, '... by the same link');
}

is_deeply(scalar spread($stays, 3, args => [ 'after' ]), { after => 3 },
          'the link is good for more');

$t->done;
