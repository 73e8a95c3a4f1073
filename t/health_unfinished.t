#!/usr/bin/perl

# A provider that leaves an answer unfinished: what it has sent of it is given
# back, though heartbeats are answered, and the link gives way to another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

sub half {
    my ($p, $c, $f) = @_;

    return 0 if $f->{kind} ne 'request' || ($f->{method} // '') ne 'half';

    $p->count($c, $f);
    $p->write($c, substr Mesh::Dubbo::reply($f, value => 'x' x 100_000),
                         0, 5000);
    return 1;
}

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(value => 'well', handler => \&half);

$t->write_conf(conf(server => 'mesh_heartbeat 200ms; mesh_timeout 500ms;',
                    service => 'endpoint ' . $peer->address
                               . ' max_fails=0;'));
$t->run;

my $client = $t->tcp('rpc');

my ($went) = spread($client, 1, method => 'half');
like($went, qr/^status 31/, 'an answer that is cut is none');

ok(wait_for(sub { $t->metrics->{mesh_buffered_bytes} == 0 }, 10),
   'what there was of it is given back');

is((spread($client, 1))[0], 'well', 'the next call ends well');
is($peer->stats->{connections}, 2, '... on another link');

$t->done;
