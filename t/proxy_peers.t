#!/usr/bin/perl

# Endpoints whose names have the same hash come and go without each other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Zlib qw(crc32);
use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;


# paths in the test's directory: a few hundred thousand are enough for two

sub twins {
    my %seen;

    for my $n (1 .. 2_000_000) {
        my $path = sprintf '%s/%x', $t->dir, $n * 2654435761 % 2 ** 32;
        my $other = $seen{crc32("unix:$path")};

        return $other, $path if defined $other && $other ne $path;
        $seen{crc32("unix:$path")} = $path;
    }

    die "no two names have one hash\n";
}


my @peers = map { Mesh::Peer->new(path => $_, value => 'ok') } twins();

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    service demo.One { endpoint @{[$peers[0]->address]}; }
    service demo.Two { endpoint @{[$peers[1]->address]}; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_multiplex off;
    }
}
CONF

$t->run;

my $client = $t->tcp('rpc');

is(went($client->call(service => "demo.$_")), 'ok', "a call of $_")
    for qw(One Two);

# the new worker knows the endpoints by their links alone

ok($t->reload(gone => 1), 'the client and its links move');
my ($worker) = $t->workers;

$peers[1]->close_all;
ok((wait_for { $peers[1]->stats->{open} == 0 } 5), 'the later one is forgotten');

is(went($client->call(service => "demo.$_")), 'ok', "another call of $_")
    for qw(One Two);
is(($t->workers)[0], $worker, '... by the same worker');

$t->done;
