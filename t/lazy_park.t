#!/usr/bin/perl

# Calls of a service that the table does not have wait for it, while a registry
# may still name it: they go on when it comes, or end as before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);

$t->write_conf(lazy_conf(
    main => 'worker_processes 2;',
    mesh => "service demo.Empty { }
             service demo.Default { endpoint @{[$b->address]}; }",
    server => 'mesh_timeout 60s; mesh_discovery_timeout 30s;',
    stream => <<'STREAM',
    mesh_log_format call '$mesh_method $mesh_error $mesh_request_time';
    mesh_access_log %%DIR%%/rpc.log call;
    server {
        listen 127.0.0.1:%%PORT_short%%; mesh_pass dubbo;
        mesh_discovery_timeout 200ms;
    }
    server {
        listen 127.0.0.1:%%PORT_off%%; mesh_pass dubbo;
        mesh_discovery_timeout 0;
    }
    server {
        listen 127.0.0.1:%%PORT_default%%; mesh_pass dubbo;
        mesh_discovery_timeout 200ms; mesh_default_service demo.Default;
    }
STREAM
));
$t->run;


sub request {
    my ($client, %o) = @_;
    $client->send($client->bytes(request => %o));
    return;
}


sub ended {
    my ($how, $n) = @_;

    my $name = "mesh_parked_requests_total{result=\"$how\"}";

    ok((wait_for { metric($t, $name) == $n } 5), "... counted as $how");
}


# of a service that comes

my @clients = map { $t->tcp('rpc') } 1 .. 8;

for my $i (0 .. 7) {
    request($clients[$i], service => 'demo.Late', id => 100 * $i + $_,
            method => 'late', args => ["$i-$_"]) for 1 .. 10;
}

ok(parked($t, 80), 'calls of a service that nobody has wait');
is(metric($t, 'mesh_requests_in_flight'), 80, '... and are in flight');
is(metric($t, 'mesh_wants_total'), 1, '... one interface is wanted');

my $echo = Mesh::Peer->new;
is(gives($t, 'demo.Late', $echo), 200, 'it comes');

for my $i (0 .. 7) {
    my @frames = $clients[$i]->recv_frames(10, 10);
    is_deeply([ map { "$_->{id} " . went($_) } @frames ],
              [ map { 100 * $i + $_ . " $i-$_" } 1 .. 10 ],
              "client $i: each call its answer, in order");
}

ok(parked($t, 0), 'nobody waits any more');
ended('found', 80);
is(went($clients[0]->call(service => 'demo.Late', args => ['now'])), 'now',
   'the next call');


# declared, but without endpoints

request($clients[0], service => 'demo.Empty', id => 7);
ok(parked($t, 1), 'a call of a service without endpoints waits');
is(metric($t, 'mesh_wants_total'), 1, '... nobody need be asked for it');
gives($t, 'demo.Empty', $a);
is(went($clients[0]->recv_id(7, 10)), 'a', '... goes to the first that comes');


# the time is over

my $short = $t->tcp('short');

is(went($short->call(service => 'demo.Nobody', method => 'nobody')),
   'status 60', 'nobody comes: as it was without registries');
is(went($short->call(service => 'demo.Nobody', method => 'hurry',
                     attachments => { timeout => '50' })),
   'status 30', 'a caller in a hurry: expired');
is(went($t->tcp('default')->call(service => 'demo.Nobody')), 'b',
   'a default service has it when nobody came');
is(went($t->tcp('off')->call(service => 'demo.Nobody', method => 'off',
                             timeout => 30)),
   'status 60', 'where no call waits');

ended('timeout', 3);


# one-way calls and heartbeats

my $client = $t->tcp('rpc');
my $sink = Mesh::Peer->new;

request($client, service => 'demo.Sink', oneway => 1, args => ['first']);
request($client, service => 'demo.Sink', id => 9, args => ['second']);
$client->send(Mesh::Dubbo::heartbeat(id => 11));
is($client->recv_id(11, 10)->{kind}, 'ack', 'heartbeats do not wait');

ok(parked($t, 2), 'one-way calls do');
gives($t, 'demo.Sink', $sink);
is(went($client->recv_id(9, 10)), 'second', 'both are delivered');
is_deeply([ map { $_->{args}[0] } $sink->log ], [qw(first second)],
          '... in their order');


# the client leaves

my $gone = $t->tcp('rpc');
request($gone, service => 'demo.Gone', id => $_) for 1 .. 5;
ok(parked($t, 5), 'a client waits');
$gone->close;
ok(parked($t, 0), '... and leaves: so do its calls');
ended('gone', 5);

request($short, service => 'demo.Quit', id => 1);
$t->stop;
is(went($short->recv_id(1, 5)), 'status 60', 'a call that waits at the end');

my %time = map { /^(\w+) (\S+) ([\d.]+)$/ ? ($1, [ $2, $3 ]) : () }
           split /\n/, $t->read_file('rpc.log');

is($time{nobody}[0], 'no_route', 'the log: the error');
cmp_ok($time{nobody}[1], '>=', 0.2, '... and the time, waiting included');
is($time{hurry}[0], 'expired', '... of one that expired');
cmp_ok($time{off}[1], '<', 0.2, '... of one that did not wait');

$t->done;
