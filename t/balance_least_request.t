#!/usr/bin/perl

# Balancer "least_request": calls go where the fewest are in flight, in
# proportion to the weights; idle endpoints share by weight.

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
    service => "balancer least_request;
                endpoint $a; endpoint $b; endpoint $c;",
    mesh => "service demo.Weights {
                 balancer least_request;
                 endpoint $a weight=300; endpoint $b weight=100;
             }"));
$t->run;

my $client = $t->tcp('rpc');
my @holders;


sub requests { return map { $_->stats->{requests} } @peers }


# n calls that stay; how many came to a, b and c

sub hold {
    my ($n, %o) = @_;

    my @before = requests();

    push @holders, $t->tcp('rpc');
    $holders[-1]->send(join '', map {
        Mesh::Dubbo::request(service => 'demo.Echo', id => $_,
                             method => 'hold', %o)
    } 1 .. $n);

    my @came;

    wait_for {
        my @now = requests();
        @came = map { $now[$_] - $before[$_] } 0 .. 2;
        $came[0] + $came[1] + $came[2] == $n;
    } 10, 'the calls to arrive';

    return \@came;
}


# idle

is_deeply(scalar spread($client, 30), { a => 10, b => 10, c => 10 },
          'idle endpoints take turns');

is_deeply(scalar spread($client, 40, service => 'demo.Weights'),
          { a => 30, b => 10 }, '... by their weights');


# calls in flight

$_->set(methods => { hold => { never => 1 } }) for @peers;

is_deeply(hold(30), [ 10, 10, 10 ], 'calls in flight are spread evenly');

$_->close for splice @holders;
wait_for { $t->metrics->{mesh_requests_in_flight} == 0 } 10,
    'the calls to be forgotten';

is_deeply(hold(40, service => 'demo.Weights'), [ 30, 10, 0 ],
          '... by their weights');

is_deeply(scalar spread($client, 20), { c => 20 },
          'an idle endpoint comes before busy ones');

is_deeply(hold(10), [ 0, 0, 10 ], '... until it has as many');

# nobody waits for the calls that stay
$_->close for @holders;

$t->done;
