#!/usr/bin/perl

# A catalog that has a name twice: what it names is waited for all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::FaultHTTP;
use Mesh::Lazy;
use Mesh::Learned;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $f = Mesh::FaultHTTP->new;
my $peer = Mesh::Peer->new(value => 'a');

my @names = map { "demo.$_" } qw(A B C);

$f->service($_, [ dubbo($f, $_, $peer->port) ]) for @names;
$f->fault(match => '/catalog/', times => 0,
          body => '{' . join(',', map { qq("$_":[]) } @names, @names) . '}');
$f->fault(match => '/health/', hang => 1, times => scalar @names);

$t->write_conf(lazy_conf(registry => 'protocol=dubbo discovery=all',
                         server => 'mesh_timeout 60s;
                                    mesh_discovery_timeout 40s;')
               =~ s/registry consul \S+/'registry consul ' . $f->url/er);
$t->run;

ok((wait_for {
    @names <= grep { $_->{target} =~ m{/health/} } $f->requests
} 10), 'all of the catalog is asked for');

my $client = $t->tcp('rpc');
$client->send($client->bytes(request => service => $names[$_], id => $_ + 1))
    for 0 .. $#names;

ok(parked($t, scalar @names), 'calls wait for it');

api($t, 'POST', 'registries/consul/resync');
is_deeply(statuses($client->recv_frames(scalar @names, 30)),
          { a => scalar @names }, '... until it is known');

$t->done;
