#!/usr/bin/perl

# A real Consul, and services that nobody named before the first call of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Path qw(remove_tree);
use Test::More;

use Mesh::Calls;
use Mesh::Consul;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $consul = Mesh::Consul->new(data => 1);
my $t = Mesh::Test->new(timeout => 240);
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);
my $wait = 'mesh_timeout 60s; mesh_discovery_timeout 40s;';

sub start {
    my ($registry, %o) = @_;

    $t->write_conf(lazy_conf(
        main => 'worker_processes 4;', server => $wait,
        registry => "protocol=dubbo $registry", %o)
        =~ s/registry consul \S+/'registry consul ' . $consul->url/er);
    $t->run;
    return $t->tcp('rpc');
}


sub call {
    my ($client, $service, %o) = @_;
    return went($client->call(service => $service, timeout => 30, %o));
}


# nobody is there yet: calls wait for the registry itself

$consul->register('a-1', 'demo.Early', $a->port);
$consul->stop;

my $client = start('idle=4s');

$t->allow_log(qr/mesh registry "consul"/);
$client->send($client->bytes(request => service => 'demo.Early', id => $_))
    for 1 .. 20;
ok(parked($t, 20), 'a registry that is down: calls wait');

$consul->start;
is_deeply(statuses($client->recv_frames(20, 60)), { a => 20 },
          '... until it is there');


# at the first call; changes are seen

$consul->register('b-1', 'demo.Lazy', $b->port);
is(call($client, 'demo.Lazy'), 'b', 'found at the first call');
is(call($t->tcp('rpc'), 'demo.Lazy'), 'b', '... by each worker') for 1 .. 8;

$consul->register('b-2', 'demo.Lazy', $a->port);
ok((wait_for {
    my %who = map { call($client, 'demo.Lazy') => 1 } 1 .. 10;
    $who{a} && $who{b};
} 20), 'another endpoint comes');


# nobody has it: no wait, and no question for a while

my $absent = 'mesh_parked_requests_total{result="absent"}';

my $before = $t->metrics->{$absent};

is(call($client, 'demo.Absent'), 'status 60', 'what nobody has');
is(call($client, 'demo.Absent'), 'status 60', '... again');
ok((wait_for { metric($t, $absent) > $before } 5),
   '... waited for the answer');
is(metric($t, $absent), $before + 1, '... once');

$consul->register('c-1', 'demo.Absent', $b->port);
ok((wait_for { call($client, 'demo.Absent') eq 'b' } 20),
   '... it is seen when it comes');

is(call($client, 'demo.Lazy', version => '9.9'), 'status 60',
   'a version that is not there');


# nobody calls it: it is given up, and found again

sub endpoints {
    my ($service) = @_;

    my $r = $t->http(GET => "/api/1/services/$service/endpoints");

    return scalar @{ $r->{json}{items} // [] };
}


is(endpoints('demo.Lazy'), 2, 'what is called is in the table');
ok((wait_for {
    call($client, 'demo.Early') eq 'a' && endpoints('demo.Lazy') == 0
} 40), '... until nobody calls it');
is(endpoints('demo.Early'), 1, '... others stay');
like(call($client, 'demo.Lazy'), qr/^[ab]$/, 'the next call finds it again');
$t->stop;


# all there is, from nothing: the first calls wait for it

remove_tree($t->dir . '/state');
$client = start('discovery=all', zone => '9m',
                mesh => 'service demo.Empty { }');
is(call($client, 'demo.Early'), 'a', 'a fresh zone: what the catalog has');
is(call($client, 'demo.Nothing'), 'status 60', '... and has not');
is(metric($t, 'mesh_wants_total'), 0, '... nobody is asked for it');

$t->done;
