#!/usr/bin/perl

# Which service a call waits for: the one that routes lead to, or the one that
# it names; unions, groups and versions; and each protocol.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);
my $bolt = Mesh::Peer->new(speaks => 'bolt', value => 'bolt');

$t->write_conf(lazy_conf(
    mesh => <<"MESH",
    service demo.Spare { endpoint @{[$c->address]}; }
    service demo.Known { endpoint @{[$c->address]}; }
    route to { match method=routed; to service=demo.Target:2.0; }
    route back { match method=back;
                 to service=demo.Away fallback=service=demo.Spare; }
    route both { match method=both;
                 to service=demo.Gone fallback=service=demo.Soon; }
    route deny { match method=denied; deny; }
    route set  { match method=set; set region eu; }
    route slow { match method=hasty; timeout 200ms; }
MESH
    server => 'mesh_timeout 60s; mesh_discovery_timeout 30s;',
    stream => <<'STREAM',
    server {
        listen 127.0.0.1:%%PORT_bolt%%; mesh_pass bolt;
        mesh_timeout 60s; mesh_discovery_timeout 30s;
    }
STREAM
));
$t->run;

my $client = $t->tcp('rpc');
my $id = 0;


# a call waits, the service comes: who answered

sub waits {
    my ($service, $peer, %o) = @_;

    $client->send($client->bytes(request => id => ++$id, %o));
    (wait_for { metric($t, "mesh_requests_parked") == 1 } 10)
        or return "did not wait";
    gives($t, $service, $peer);

    return went($client->recv_id($id, 10));
}


is(waits('demo.Target:2.0', $a, service => 'demo.Known', method => 'routed'),
   'a', 'a route leads to a service that is looked for');
is(went($client->call(service => 'demo.Nobody', method => 'denied')),
   'status 80', 'a denied call does not wait');
is(went($client->call(service => 'demo.Known', method => 'back')), 'c',
   'nor does one that has a fallback');
is(metric($t, 'mesh_requests_parked'), 0, '... indeed');

gives($t, 'demo.Away', $b);
ok((wait_for { went($client->call(service => 'demo.Known', method => 'back'))
               eq 'b' } 5), '... what it leads to is taken when it comes');

is(waits('demo.Soon', $b, service => 'demo.Known', method => 'both'), 'b',
   'a fallback that has nothing either is waited for');

my $echo = Mesh::Peer->new;
is(waits('demo.Set', $a, service => 'demo.Set', method => 'set'), 'a',
   'a route that changes the call');
is($a->stats->{requests}, 2, '... it came once');
is((map { $_->{attachments}{region} // 'none' } ($a->log)[-1])[0], 'eu',
   '... as the route has it');
is(went($client->call(service => 'demo.Hasty', method => 'hasty',
                      timeout => 10)),
   'status 30', 'a route gives it less time than that');

is(waits('g1/demo.Group:1.0', $b, service => 'demo.Group', group => 'g1',
         version => '1.0'), 'b', 'a group and a version');
is(waits('g2/demo.Any:3.1', $c, service => 'demo.Any', group => '*',
         version => '*'), 'c', 'any of them');

ok((wait_for { metric($t, 'mesh_wants_total') == 8 } 5), 'interfaces wanted');


# Bolt

my $speaks = $t->tcp('bolt', speaks => 'bolt');

$speaks->send($speaks->bytes(request => id => 5, service => 'demo.Bolt:1.0',
                             timeout_ms => 60000));
ok(parked($t, 1), 'a call of Bolt waits');
gives($t, 'demo.Bolt:1.0', $bolt);
is(went($speaks->recv_id(5, 10)), 'bolt', '... and goes on');

$speaks->send($speaks->bytes(request => id => 6, service => 'demo.No:1.0',
                             timeout_ms => 300, timeout => 300));
my $frame = $speaks->recv_id(6, 10);
is($frame && $frame->{status}, 7, '... or is answered in its time');

$t->done;
