#!/usr/bin/perl
#
# From the answer of the API to the first request that each worker routes by
# what was written: one time in milliseconds a line.  Four workers, a client of
# each; a service's only endpoint is exchanged.
#
#   follow.pl [CHANGES]

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib dirname(abs_path(__FILE__)) . '/../../t/lib';

use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $changes = shift // 500;
my $workers = 4;

# the lines of ours are not tests
Test::More->builder->output(\*STDERR);
Test::More->builder->no_ending(1);

my $t = Mesh::Test->new(timeout => 300);
my @peers = map { Mesh::Peer->new(value => $_, keep => 1) } qw(a b);

$t->write_conf(<<"CONF");
worker_processes $workers;

mesh {
    zone mesh:16m metrics=2m;
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
    }
}
CONF

$t->run;

my $http = HTTP::Tiny->new(timeout => 10);
my $url = 'http://127.0.0.1:' . $t->port('http')
          . '/api/1/services/demo.Echo/endpoints';


sub change {
    my ($peer) = @_;

    my $r = $http->put($url, {
        headers => { 'content-type' => 'application/json' },
        content => encode_json([{ address => '127.0.0.1',
                                  port => 0 + $peer->port }]),
    });

    die "$r->{status} $r->{content}" unless $r->{success};
}


# which worker has the other end of a connection

sub inode_owner {
    my ($socket) = @_;

    my $port = sprintf '%04X', $socket->sockport;
    open my $tcp, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
    my ($inode) = map { (split)[9] } grep { (split)[2] =~ /:$port$/ } <$tcp>;

    for my $pid ($t->workers) {
        for my $fd (glob "/proc/$pid/fd/*") {
            return $pid if (readlink($fd) // '') eq "socket:[$inode]";
        }
    }

    return 0;
}

change($peers[0]);

my %client;

for (1 .. 400) {
    last if keys %client == $workers;

    my $client = $t->tcp('rpc');
    $client->call(service => 'demo.Echo', id => 1);
    $client{inode_owner($client->socket)} //= $client;
}

die "no client of each worker\n" unless keys %client == $workers;

my $id = 1;

for my $n (1 .. $changes) {
    my $peer = $peers[$n % 2];

    change($peer);
    my $from = time;

    for my $client (values %client) {
        my $went;

        do {
            $went = went($client->call(service => 'demo.Echo', id => ++$id));
            die "call failed: $went\n" unless $went =~ /^[ab]$/;
        } until $went eq $peers[$n % 2]{options}{value} || time - $from > 5;

        printf "%.3f\n", 1000 * (time - $from);
    }
}

# nothing is asserted here
close STDOUT;
$t->stop;
$t->cleanup;
Mesh::Peer->stop_all;
POSIX::_exit(0);
