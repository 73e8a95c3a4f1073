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


my @peers = map { Mesh::Peer->new(path => $_, value => 'ok',
                                    methods => { never => { never => 1 } }) }
            twins();

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    service demo.One { endpoint @{[$peers[0]->address]} max_fails=0; }
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

# ... and what the configuration says of them from their first call on

$client->send(Mesh::Dubbo::request(service => 'demo.One', id => 5,
                                   method => 'never'));
wait_for { $peers[0]->stats->{methods}{never} } 5, 'the call';
$peers[0]->close_all;
isnt(went($client->recv_id(5, 5)), 'ok', 'an endpoint that fails');
is(went($client->call(service => 'demo.One')), 'ok', '... goes on');
is(scalar($t->grep_log(qr/is unavailable/)), 0, '... as with "max_fails=0"');

$t->done;
