#!/usr/bin/perl

# Balancer "random": everybody gets calls, in proportion to the weights, and
# who has many in flight gets fewer.

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
my @peers = map { Mesh::Peer->new(name => $_) } qw(a b c);
my ($a, $b, $c) = map { $_->address } @peers;

$t->write_conf(conf(
    server => 'mesh_timeout 30s;',
    service => "balancer random;
                endpoint $a; endpoint $b; endpoint $c;",
    mesh => "service demo.Weights {
                 balancer random;
                 endpoint $a weight=300; endpoint $b weight=100;
             }
             service demo.Some {
                 balancer random;
                 endpoint $a down; endpoint $b; endpoint $c weight=0;
             }"));
$t->run;

my $client = $t->tcp('rpc');


# 600 calls, 200 each expected, sigma is 11.5: ten sigma and more

my @went = spread($client, 600);
my $n = tally(@went);

for (qw(a b c)) {
    cmp_ok($n->{$_} // 0, '>', 80, "$_ has its share");
    cmp_ok($n->{$_} // 0, '<', 320, '... not more');
}

my $turns = grep { $went[$_] eq $went[$_ - 3] } 3 .. $#went;
cmp_ok($turns, '<', 400, 'it is not round robin');


# 3:1 of 800: 600 and 200, sigma is 12

$n = spread($client, 800, service => 'demo.Weights');

cmp_ok($n->{a} // 0, '>', 450, 'the heavier one gets more');
cmp_ok($n->{b} // 0, '>', 80, 'the lighter one gets some');

is_deeply(scalar spread($client, 50, service => 'demo.Some'), { b => 50 },
          'only what may be used is drawn');


# what is in flight counts: two draws, the one with fewer

my $before = $peers[0]->stats->{requests};

$peers[0]->set(never => 1);
$client->send(join '', map {
    Mesh::Dubbo::request(service => 'demo.Echo', id => $_)
} 1 .. 40);

wait_for { $peers[0]->stats->{requests} > $before } 10, 'a call that stays';

# those that were drawn for the others have been answered
$client->recv_frames(40, 1);
$before = $peers[0]->stats->{requests};

is_deeply([ sort keys %{ spread($t->tcp('rpc'), 60) } ], [ qw(b c) ],
          'one with calls in flight loses against any idle one');
is($peers[0]->stats->{requests}, $before, '... always');

# nobody waits for the calls that stay
$client->close;

$t->done;
