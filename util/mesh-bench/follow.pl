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
use lib map { dirname(abs_path(__FILE__)) . $_ } '', '/../../t/lib';

use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Follow qw(each_worker);
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


change($peers[0]);

my @clients = each_worker($t, $workers);
my $id = 1;

for my $n (1 .. $changes) {
    my $peer = $peers[$n % 2];

    change($peer);
    my $from = time;

    for my $client (@clients) {
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
