#!/usr/bin/perl

# Calls of a protocol without ids that wait for their service: what a client
# sends behind them waits for them.  And in one process, with its own agent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;
use Mesh::Wire;

sub frame { pack 'n/a*', $_[0] }


sub cut {
    my ($bytes) = @_;
    return 0 if length $bytes < 2;
    my $size = 2 + unpack 'n', $bytes;
    return length $bytes >= $size ? $size : 0;
}


my $t = Mesh::Test->new;
my $peer = Mesh::Wire->new(cut => \&cut, answer => sub {
    my ($frame) = @_;
    my $text = substr $frame, 2;
    return (frame("got $text"), 0, $text);
});

$t->write_conf(lazy_conf(
    pass => 'plain',
    mesh => 'protocol plain { length 0 2 add=2; fact service const plain; }',
    server => 'mesh_timeout 60s; mesh_discovery_timeout 30s;'));
$t->run;

my $client = $t->tcp('rpc');
my @texts = map { "call $_" } 1 .. 5;

$client->send(join '', map { frame($_) } @texts);
ok(parked($t, 1), 'one call waits, the others behind it');

is(gives($t, 'plain', $peer), 200, 'the service comes');

my $want = join '', map { frame("got $_") } @texts;
is($client->recv_bytes(length $want, 10), $want, 'all are answered in order');
$t->stop;


my $echo = Mesh::Peer->new(value => 'one');

$t->write_conf(lazy_conf(
    main => 'master_process off;',
    server => 'mesh_timeout 60s; mesh_discovery_timeout 30s;'));
$t->run;
$t->allow_log(qr/mesh registry "consul"/);

$client = $t->tcp('rpc');
$client->send($client->bytes(request => id => 1, service => 'demo.One'));
ok(parked($t, 1), 'one process: a call waits');
gives($t, 'demo.One', $echo);
is(went($client->recv_id(1, 10)), 'one', '... and goes on');

$t->done;
