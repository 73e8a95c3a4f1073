#!/usr/bin/perl

# Silence of a link: heartbeats of ours, and the end of a link that answers
# neither them nor its calls; a slow method alone ends nothing.

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
my $slow = Mesh::Peer->new(value => 'slow',
                           methods => { wait => { delay => 2.5 } });
my $deaf = Mesh::Peer->new(value => 'deaf');
my $good = Mesh::Peer->new(value => 'good');

$t->write_conf(conf(
    server => 'mesh_heartbeat 300ms; mesh_timeout 60s;',
    service => 'endpoint ' . $slow->address . ';',
    mesh => 'service demo.Deaf {
                 endpoint ' . $deaf->address . ' fail_timeout=60s;
             }
             service demo.Both {
                 endpoint ' . $deaf->address . ' fail_timeout=60s;
                 endpoint ' . $good->address . ';
             }',
    stream => 'server {
                   listen 127.0.0.1:%%PORT_off%%;
                   mesh_pass dubbo;
                   mesh_heartbeat off;
               }'));
$t->run;

my $client = $t->tcp('rpc');


# a slow method: heartbeats are answered meanwhile, so the link stays

is((spread($client, 1, method => 'wait'))[0], 'slow',
   'a slow call ends well');

my $stats = $slow->stats;
is($stats->{connections}, 1, '... on the link it began on');
cmp_ok($stats->{heartbeats}, '>=', 3, '... with heartbeats meanwhile');


# an idle link is asked too, less and less often

my $before = $stats->{heartbeats};
ok(wait_for(sub { $slow->stats->{heartbeats} > $before }, 10),
   'an idle link is asked as well');
is($slow->stats->{connections}, 1, '... and stays');



# a frozen provider: its calls fail typed long before their time, others are
# not concerned, and it is left alone afterwards

is((spread($client, 1, service => 'demo.Deaf'))[0], 'deaf', 'it answers');
$deaf->freeze;

my $other = $t->tcp('rpc');
$other->send(Mesh::Dubbo::request(service => 'demo.Deaf', id => $_))
    for 1 .. 5;

my @failed;
my $went;

wait_for {
    $went->{$_}++ for spread($client, 5);
    push @failed, $other->recv_frames(5, 0.05);
    @failed == 5;
} 20;

is_deeply(statuses(@failed), { 'status 70' => 5 },
          'silence ends a link and its calls are answered');
like($failed[0]{error}, qr/silent.*upstream_closed/, '... with the reason');
is_deeply([ keys %$went ], [ 'slow' ], 'other services go on');

is(scalar $t->grep_log(qr/\[error\].*endpoint is silent.* 5 calls/), 1,
   'one line says so');

is_deeply(scalar spread($client, 20, service => 'demo.Both'),
          { good => 20 }, 'silence counts as a failure');

wait_for { $t->sum($t->metrics, 'mesh_endpoint_silent_total') } 10;

my $m = $t->metrics;
is($t->sum($m, 'mesh_endpoint_silent_total', endpoint => $deaf->address), 1,
   'it is counted by endpoint');
is($t->sum($m, 'mesh_link_failures_total', reason => 'silent'), 1,
   '... and in all');

$deaf->thaw;

$t->done;
