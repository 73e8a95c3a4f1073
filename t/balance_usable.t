#!/usr/bin/perl

# Which endpoints are used at all: backup, down, weight=0, unix: and those of
# another protocol.

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
my %peer = map { $_ => Mesh::Peer->new(name => $_) } qw(a b c);
my $unix = Mesh::Peer->new(name => 'u', path => $t->dir . '/peer.sock');
my ($a, $b, $c) = map { $peer{$_}->address } qw(a b c);

my %service = (
    Backup => "endpoint $a fail_timeout=1s; endpoint $b fail_timeout=1s;
               endpoint $c backup;",
    Backups => "endpoint $a backup; endpoint $b backup;",
    Down => "endpoint $a down; endpoint $b; endpoint $c weight=0;",
    AllDown => "endpoint $a down; endpoint $b weight=0;",
    None => '',
    Unix => 'endpoint ' . $unix->address . ';',
    Mixed => 'endpoint ' . $unix->address . "; endpoint $a;",
    Dubbo => "endpoint $a protocol=dubbo;",
);

my @balancers = qw(round_robin random least_request hash);

$t->write_conf(conf(service => "endpoint $a;", mesh => join '', map {
    my $balancer = $_ eq 'hash' ? 'hash method' : $_;
    my $name = $_;
    map { "service $name.$_ { balancer $balancer; $service{$_} }\n" }
        keys %service;
} @balancers));
$t->run;

my $client = $t->tcp('rpc');


sub used {
    my ($service, $n) = @_;

    return join ' ', sort keys %{ spread($client, $n // 24,
        service => $service, method => sub { "m$_[0]" }) };
}


for (@balancers) {
    is(used("$_.Backup"), 'a b', "$_: a backup is not used");
    is(used("$_.Backups"), 'a b', '... unless there is nothing else');
    is(used("$_.Down"), 'b', '... nor what is down or weighs nothing');
    is(used("$_.AllDown", 3), 'status 60', '... even when nothing is left');
    is(used("$_.None", 3), 'status 60', '... or there never was');
    is(used("$_.Unix", 3), 'u', 'a unix socket is used');
    is(used("$_.Mixed"), 'a u', '... also beside others');
    is(used("$_.Dubbo", 3), 'a', 'an endpoint of this protocol is used');
}

my $f = $client->call(service => 'random.AllDown');
like($f->{error}, qr/\bno_endpoint\b.*\brandom\.AllDown\b/,
     'the answer says what is missing');


# the backup steps in, and out again

$peer{$_}->stop for qw(a b);
is(used("$_.Backup"), 'c', "$_: the backup steps in") for @balancers;

is(used('random.Backups', 3), 'status 70', 'all down is another error');

$peer{$_}->start for qw(a b);

for my $balancer (@balancers) {
    ok(wait_for(sub { used("$balancer.Backup") eq 'a b' }, 20),
       "$balancer: ... and out again");
}

wait_for {
    my $m = $t->metrics;
    $t->sum($m, 'mesh_errors_total', error => 'no_endpoint') >= 25;
} 10;

my $m = $t->metrics;
is($t->sum($m, 'mesh_errors_total', error => 'no_endpoint',
           service => 'random.None'), 3, 'they are counted');

$t->done;
