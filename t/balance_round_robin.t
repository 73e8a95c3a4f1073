#!/usr/bin/perl

# Round robin: exact shares in every round, and no clumps.

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


sub endpoints {
    my @weights = @_;

    return join '', map { "endpoint " . $peers[$_]->address
                          . ($weights[$_] eq '' ? '' : " weight=$weights[$_]")
                          . ";\n" } 0 .. $#weights;
}


$t->write_conf(conf(
    service => endpoints('', '', ''),
    mesh => 'service demo.Weights { ' . endpoints(500, 100, 100) . '}
             service demo.Uneven { balancer round_robin; '
             . endpoints(30, 20, 10) . '}
             service demo.One { ' . endpoints(7) . '}'));
$t->run;

my $client = $t->tcp('rpc');


# equal weights

my @went = spread($client, 30);

is_deeply(tally(@went), { a => 10, b => 10, c => 10 }, 'equal weights');

my @clumps = grep { $went[$_] ne $went[$_ - 3] } 3 .. $#went;
is("@clumps", '', '... take turns');


# any window of a whole round has the exact shares, wherever it begins

@went = spread($client, 35, service => 'demo.Weights');

for my $from (0, 3, 14, 28) {
    is_deeply(tally(@went[$from .. $from + 6]), { a => 5, b => 1, c => 1 },
              "weights 5:1:1 from call $from on");
}

# a a b a c a a: never more than four of the same in a row

my $row = join '', @went;
unlike($row, qr/a{5}/, '... and the light ones come in between');
unlike($row, qr/bb|bc|cb|cc/, '... one at a time');

@went = spread($client, 60, service => 'demo.Uneven');

is_deeply(tally(@went), { a => 30, b => 20, c => 10 }, 'weights 3:2:1');
unlike(join('', @went), qr/aaa|bb|cc/, '... smooth');

is_deeply(scalar spread($client, 5, service => 'demo.One'), { a => 5 },
          'a single endpoint');


# each service has its own turn

my %other;

for (1 .. 6) {
    spread($client, 1);
    $other{$_}++ for spread($client, 1, service => 'demo.Uneven');
}

is_deeply(\%other, { a => 3, b => 2, c => 1 },
          'other services do not move it on');


# from several connections at once it is still one turn

my @clients = map { $t->tcp('rpc') } 1 .. 4;

is_deeply(tally(map { map { spread($_, 1) } @clients } 1 .. 15),
          { a => 20, b => 20, c => 20 }, 'the connection does not matter');

is_deeply(statuses(burst($client, 300)), { a => 100, b => 100, c => 100 },
          'a pipeline is balanced call by call');

is_deeply([ map { $_->stats->{connections} } @peers ], [ 1, 1, 1 ],
          'all of it by one connection an endpoint');

$t->done;
