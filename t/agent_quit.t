#!/usr/bin/perl

# How the agent leaves: after the calls that are in flight, at once when it is
# told to, and when its master is gone.  And where all is one process.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $peer = Mesh::Peer->new(value => 'a', methods => {
    slow => { delay => 2 },
    never => { never => 1 },
});

my $t = Mesh::Agent->new;

# a master that was killed cannot say what its workers say
$t->allow_log(qr/exited on signal 9/, qr/recvmsg\(\) failed|getppid/);

$t->write_conf(agent_conf($peer));


# a call in flight

$t->run;

my $client = $t->tcp('rpc');
$client->send($client->bytes(request => id => 1, service => 'demo.Echo',
                             method => 'slow'));
ok(wait_for(sub { $t->metrics->{mesh_requests_in_flight} }, 5),
   'a call in flight');

my ($agent) = $t->agents;
$t->signal('QUIT');
sleep 0.7;
ok(kill(0, $agent), 'QUIT: the agent is there');
is(went($client->recv_id(1, 10)), 'a', '... the call is answered');
ok(wait_for(sub { $t->gone }, 5), '... then all go');
ok(!kill(0, $agent), '... with the agent');
$t->end('QUIT');


# no longer than workers

$t->write_conf(agent_conf($peer, main => 'worker_shutdown_timeout 500ms;'));
$t->run;
$client = $t->tcp('rpc');
$client->send($client->bytes(request => id => 1, service => 'demo.Echo',
                             method => 'never'));
ok(wait_for(sub { $t->metrics->{mesh_requests_in_flight} }, 5),
   'a call without an answer');
$t->signal('QUIT');
ok(wait_for(sub { $t->gone }, 10), 'QUIT: worker_shutdown_timeout counts');
$t->end('QUIT');


# TERM

$t->write_conf(agent_conf($peer));
$t->run;
$client = $t->tcp('rpc');
$client->send($client->bytes(request => id => 1, service => 'demo.Echo',
                             method => 'never'));
wait_for { $t->metrics->{mesh_requests_in_flight} } 5;
$t->put('127.0.0.1:9');
$t->signal('TERM');
ok(wait_for(sub { $t->gone }, 5), 'TERM: all go');
$t->end('TERM');
like(($t->journal)[0], qr/ 127\.0\.0\.1:9$/, '... what was changed is kept');


# the master is killed

$t->run;
($agent) = $t->agents;
my @workers = $t->workers;
kill 'KILL', $t->pid;
ok(wait_for(sub { $t->ended($agent) }, 5),
   'the master is killed: its agent goes');
is_deeply([$t->holders], [], '... with the lease');
kill 'KILL', @workers;
wait_for { !$t->leftovers } 5;
$t->gone;
$t->end('KILL');


# one process

{
    my $single = Mesh::Test->new;

    $single->write_conf(agent_conf($peer, main => 'master_process off;'));
    $single->run;

    ok($single->wait_log(qr/"master_process off": the mesh agent is in the /,
                         5), 'one process: it is said');
    ok($single->wait_log(qr/mesh agent: has the lease, fence 1/, 5),
       '... with the lease');
    is($single->metrics->{mesh_agent_up}, 1, '... metrics');
    is(went($single->tcp('rpc')->call(service => 'demo.Echo')), 'a',
       '... a call');
    is($single->quit, 0, '... its end');
}

$t->done;
