#!/usr/bin/perl

# A worker is killed: its successor serves, counters stay, gauges do not count
# the dead one's connections.

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
my $peer = Mesh::Peer->new(value => 'ok', methods => {
    never => { never => 1 },
});

$t->write_conf(conf(main => 'worker_processes 1;',
                    service => 'endpoint ' . $peer->address . ';'));
$t->run;

$t->allow_log(qr/worker process \d+ exited on signal 9/);

my @clients = map { $t->tcp('rpc') } 1 .. 5;

is_deeply(statuses(map { $_->call(service => 'demo.Echo') } @clients),
          { ok => 5 }, 'calls before');
$clients[0]->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 1,
                                       method => 'never'));

wait_for {
    my $m = $t->metrics;
    $m->{mesh_client_connections} == 5 && $m->{mesh_links} == 1
        && $m->{mesh_requests_in_flight} == 1
        && $t->sum($m, 'mesh_requests_total') == 5;
} 10, 'the metrics';


# several times: nothing may add up

for my $n (1 .. 3) {
    my ($worker) = $t->workers;
    $t->signal('KILL', $worker);

    ok(wait_for(sub {
        my @now = $t->workers;
        @now == 1 && $now[0] != $worker;
    }, 10), "worker $n is replaced");

    isnt($_->closed(5), '', '... its client sees the end') for $clients[0];

    @clients = map { $t->tcp('rpc') } 1 .. 3;
    is_deeply(statuses(map { $_->call(service => 'demo.Echo') } @clients),
              { ok => 3 }, '... the new one serves');

    my $m;

    ok(wait_for(sub {
        $m = $t->metrics;
        $t->sum($m, 'mesh_requests_total') == 5 + 3 * $n;
    }, 10), '... and counts on');

    is($m->{mesh_client_connections}, 3, '... client connections are its own');
    is($m->{mesh_links}, 1, '... links too');
    is($m->{mesh_requests_in_flight}, 0, '... and calls in flight');
}

is($peer->stats->{open}, 1, 'the provider has one link');

$t->done;
