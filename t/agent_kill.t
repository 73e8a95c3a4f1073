#!/usr/bin/perl

# Agents are killed again and again, at any moment, while changes are made:
# no file is torn, none goes back, and the last change is there after a start.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

my $rounds = $ENV{TEST_MESH_LONG} ? 500 : 40;

my $t = Mesh::Agent->new(timeout => 300);
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);

$t->allow_log(qr/exited on signal 9/);
$t->write_conf(agent_conf($a, state => '%%DIR%%/state keep=100000'));
$t->run;

my $client = $t->tcp('rpc');
my ($wrong, $revision) = (0, 0);

for my $n (1 .. $rounds) {
    $revision = $n % 2 ? $t->put($b->address) : $t->del($b->address);

    if ($n % 3 == 0) {
        $t->reload;
    }

    sleep rand 0.05;
    kill 'KILL', $t->agents;

    $wrong++ if went($client->call(service => 'demo.Echo'))
                ne ($n % 2 ? 'b' : 'a');
}

is($wrong, 0, 'calls go on as the table says');
ok($t->written($revision), 'the last change is written');

my @lines = $t->journal;
my @files = glob $t->state_dir . '/journal.0*';
is(scalar @lines, scalar @files, 'no file is torn');
cmp_ok(scalar @files, '>', 5, '... and there are some');

my ($sequence, $fence, $table) = (0, 0, 0);
my $back = 0;

for (reverse @lines) {
    my ($s, $f, $r) = /^(\d+) fence=(\d+) revision=(\d+)/;

    $back++ if $s <= $sequence || $f < $fence || $r <= $table;
    ($sequence, $fence, $table) = ($s, $f, $r);
}

is($back, 0, 'sequence, fence and revision only grow');

$t->kill_all;
$t->run;
is(went($t->tcp('rpc')->call(service => 'demo.Echo')),
   $rounds % 2 ? 'b' : 'a', 'the last change is there after a start');

$t->done;
