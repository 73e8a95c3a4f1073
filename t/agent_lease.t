#!/usr/bin/perl

# The agent is killed, stopped, stopped and continued, and reloaded: another
# one takes over within a second or so, and there are never two.

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

my $t = Mesh::Agent->new(timeout => 180);
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);

# an agent that was killed is an alert of nginx's
$t->allow_log(qr/cache manager process \d+ exited on signal 9/);

$t->write_conf(agent_conf($a));
$t->run;

my $client = $t->tcp('rpc');


# what was never to be seen: the fence of a file is that of who wrote it, and
# each file has one above, or the one, of the file before

sub in_order {
    my ($what) = @_;

    my $last = 0;
    my $wrong = 0;

    for my $line (reverse $t->journal) {
        my ($fence) = $line =~ /fence=(\d+)/;
        $wrong++ if $fence < $last;
        $last = $fence;
    }

    is($wrong, 0, $what);
}


for my $signal ('KILL', 'STOP') {
    for my $n (1 .. 3) {
        my ($fence, $pid) = $t->lease;

        kill $signal, $pid;

        my $new = $t->taken($fence, 5);
        ok($new && $new != $pid, "$signal $n: another has the lease");
        is(scalar(my @one = $t->holders), 1, '... one');
        ok(wait_for(sub { !kill 0, $pid }, 5), '... the old one is gone');

        # it would be a stale writer now
        kill 'CONT', $pid;

        my $revision = $t->put($b->address);
        ok($t->written($revision), '... which writes the journal');
        is(went($client->call(service => 'demo.Echo')), 'b', '... a call');

        $revision = $t->del($b->address);
        ok($t->written($revision), '... again');
        is(went($client->call(service => 'demo.Echo')), 'a', '... a call');
    }
}

in_order('each file is of a later lease, or of the same');


# a pause that is short is none

my ($fence, $pid) = $t->lease;

for (1 .. 5) {
    kill 'STOP', $pid;
    sleep 0.1;
    kill 'CONT', $pid;
    sleep 0.3;
}

is_deeply([($t->lease)[0, 1]], [$fence, $pid], 'short pauses do not matter');


# reloads

for my $n (1 .. 5) {
    ($fence, $pid) = $t->lease;

    ok($t->reload(gone => 1), "reload $n");

    my $new = $t->taken($fence, 5);
    ok($new && $new != $pid, '... another has the lease');
    ok(wait_for(sub { !kill 0, $pid }, 5), '... the old one is gone');

    ok($t->written($n % 2 ? $t->put($b->address) : $t->del($b->address)),
       '... it writes the journal');
}


# one that is stopped when it is told to leave

($fence, $pid) = $t->lease;
kill 'STOP', $pid;
ok($t->reload, 'a reload while the agent is stopped');
my $new = $t->taken($fence, 5);
ok($new && $new != $pid, '... another has the lease');
ok(wait_for(sub { !kill 0, $pid }, 5), '... the old one is gone');

in_order('each file is still of a later lease, or of the same');


cmp_ok($t->metrics->{mesh_agent_takeovers_total}, '>=', 13, 'takeovers');


# what a disk that was full, or somebody, left of the fence: nothing

for my $what ('empty', 'gone') {
    ok($t->written($t->put($b->address)), "$what: a file");
    $t->end('QUIT');
    ($fence) = ($t->journal)[0] =~ /fence=(\d+)/;
    cmp_ok($fence, '>', 1, '... of a fence');

    my $lock = $t->state_dir . '/lock';
    $what eq 'gone' ? unlink $lock : truncate $lock, 0;
    $t->run;

    cmp_ok(($t->lease)[0], '>', $fence, '... and a lease of one above it');
    is($t->metrics->{mesh_agent_lease_fence}, ($t->lease)[0], '... as metrics say');
    ok($t->written($t->del($b->address)), '... in files as well');
}

in_order('no file is of a lease before');

is(scalar(my @agents = $t->agents), 1, 'one agent');

$t->done;
