#!/usr/bin/perl

# Sessions that look busy and are not, or never get a gap: they leave a worker
# too, and what clients asked for is answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;
use Mesh::Wire;

use Time::HiRes qw(sleep);

my $t = Mesh::Test->new;

my $dubbo = Mesh::Peer->new(value => 'ok', methods => {
    never => { never => 1 },
});

# asks the client before it answers

my $bolt = Mesh::Peer->new(speaks => 'bolt', handler => sub {
    my ($p, $c, $f) = @_;

    if ($f->{kind} eq 'request') {
        $c->{asked} = $f;
        $p->write($c, Mesh::Bolt::request(
            Mesh::Bolt::like($f), id => 5, service => 'demo.Listener',
            method => 'changed', args => ['?']));
        return 1;
    }

    return 0 if $f->{kind} ne 'response';

    $p->write($c, Mesh::Bolt::reply($c->{asked}, value => "told $f->{value}"));
    return 1;
});

my $plain = Mesh::Wire->new(cut => sub {
    my $size = length $_[0] < 2 ? 0 : 2 + unpack 'n', $_[0];
    return length $_[0] >= $size ? $size : 0;

}, answer => sub {
    my ($frame) = @_;
    return ($frame, $frame =~ /slow/ ? 0.15 : 0, 'a call');
});

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    protocol plain {
        length 0 2 add=2;
        fact service const plain;
    }

    service plain { endpoint @{[$plain->address]}; }

    service demo.Echo {
        endpoint @{[$dubbo->address]};
    }

    service demo.Echo:1.0 {
        endpoint @{[$bolt->address]};
    }
}

stream {
    mesh_handover_timeout 500ms;
    mesh_timeout 10s;

    server { listen 127.0.0.1:%%PORT_rpc%%; mesh_pass dubbo; }
    server { listen 127.0.0.1:%%PORT_plain%%; mesh_pass plain;
             mesh_heartbeat off; }
    server { listen 127.0.0.1:%%PORT_beat%%; mesh_pass plain;
             mesh_multiplex off; mesh_heartbeat 200ms; }
    server { listen 127.0.0.1:%%PORT_pinned%%; mesh_pass dubbo;
             mesh_multiplex off; mesh_timeout 300ms; }
    server { listen 127.0.0.1:%%PORT_bolt%%; mesh_pass bolt;
             mesh_multiplex off; }
}

http { server { listen 127.0.0.1:%%PORT_http%%; location /metrics {
    mesh_metrics; } } }
CONF

$t->run;


sub frame { pack 'n/a*', $_[0] }


# a one-way call that goes nowhere leaves nothing behind that could be sent

my $client = $t->tcp('rpc');

is(went($client->call(service => 'demo.Echo')), 'ok', 'a client');
$client->send(Mesh::Dubbo::request(service => 'demo.None',
                                   oneway => 1, id => 77));
ok((wait_for { $t->sum($t->metrics, 'mesh_errors_total') } 5),
   '... whose one-way call is refused');

ok($t->reload(gone => 1, timeout => 8), '... does not hold the old worker');
is(went($client->call(service => 'demo.Echo')), 'ok',
   '... and goes on with the new one');


$client->send(Mesh::Dubbo::request(service => 'demo.None', oneway => 1,
                                   id => 78));
ok((wait_for { !$t->metrics->{mesh_buffered_bytes} } 5),
   '... where it needs no memory');


# calls without ids, sent at once, are answered one by one in their order

$client = $t->tcp('plain');
$client->{raw} = 1;
$client->send(join '', map { frame("slow $_") } 10 .. 29);
sleep 0.2;

ok($t->reload(gone => 1, timeout => 12), 'pipelined calls end with the worker');
is($client->recv_bytes(20 * 9, 5), join('', map { frame("slow $_") } 10 .. 29),
   '... and are answered');
$client->send(frame('more'));
is($client->recv_bytes(6), frame('more'), '... before the client goes on');


# a link without heartbeats to send

$client = $t->tcp('beat');
$client->{raw} = 1;
$client->send(frame('one'));
is($client->recv_bytes(5), frame('one'), 'a link without heartbeats');
sleep 0.5;
ok($t->reload(gone => 1, timeout => 8), '... goes along');
$client->send(frame('two'));
is($client->recv_bytes(5), frame('two'), '... and serves on');


# a callback whose answer takes longer than mesh_handover_timeout

$client = $t->tcp('bolt', speaks => 'bolt');
$client->send(Mesh::Bolt::request(id => 9, service => 'demo.Echo',
                                  method => 'ask', args => ['x']));
my $asked = $client->recv_frame(5);
is($asked->{kind}, 'request', 'a client that was asked');

ok($t->reload, '... when the worker leaves');
sleep 1.5;
$client->send(Mesh::Bolt::reply($asked, value => 'late'));
is(went($client->recv_id(9, 5)), 'told late', '... may take its time');
ok((wait_for { !$t->leaving } 8), '... and goes then');


# a pinned link that may still get a late answer cannot go along

$client = $t->tcp('pinned');
is(went($client->call(service => 'demo.Echo', method => 'never')),
   'status 31', 'a pinned link that owes an answer');
ok($t->reload(gone => 1, timeout => 8), '... does not hold the old worker');
is(join(' ', map { $_->{kind} } $client->recv_frames(1, 1)), 'readonly',
   '... its client gets the notice');
is($client->closed(5), 'eof', '... and the end');

$t->done;
