#!/usr/bin/perl

# A journal that does not fit into the zone is left as it is until there is
# room.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);
my $t = Mesh::Agent->new(timeout => 120);
my @many = map { "127.0.0.1:$_" } 1 .. 20000;

# a table that does not fit is an alert at a reload
$t->allow_log(qr/operator's changes do not fit into the new zone/);


sub zone {
    my ($size) = @_;
    $t->write_conf(agent_conf($a, zone => "mesh:${size}m"));
    $t->{zone} = $size;
}


sub left {
    my ($newest, $what) = @_;

    ok(wait_for(sub { $t->metrics->{mesh_agent_journal_failed} }, 10),
       "$what: a metric");
    is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a', '... calls');
    $t->put($b->address);
    is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'b',
       '... changes are made');
    sleep 2;
    is(($t->journal)[0], $newest, '... the journal is left');
}


zone(8);
$t->{zone} = 8;
$t->run;
ok($t->written($t->put(@many)), 'many endpoints');
my ($newest) = $t->journal;

zone(2);
$t->end('QUIT');
$t->run;
left($newest, 'a start with a small zone');

zone(8);
$t->end('QUIT');
$t->run;
is(($t->journal)[0], $newest, 'with the zone there was: all is there');
ok($t->written($t->del($many[0])), '... and written');
($newest) = $t->journal;

my $r = $t->del($many[1]);
zone(2);
ok($t->reload(gone => 1), 'a reload with a small zone');
ok(wait_for(sub { $t->metrics->{mesh_agent_journal_failed} }, 10), '...');
($newest) = $t->journal;
unlike($newest, qr/ 127\.0\.0\.1:2 /, '... after the last change is written');
like($newest, qr/ 127\.0\.0\.1:3 /, '... with all that was there');
left($newest, '... it does not fit');

zone(8);
ok($t->reload(gone => 1), 'a reload with room');
ok(wait_for(sub { !$t->metrics->{mesh_agent_journal_failed} }, 10),
   '... all is well');

$t->done;
