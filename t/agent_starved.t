#!/usr/bin/perl

# An agent that gets no processor, as others with more right to it keep it
# busy, is late and no more: it is not killed, while one that is stopped is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Agent;
use Mesh::Peer;

# it has a processor for itself, which others would miss
plan skip_all => 'optional: long runs only' unless $ENV{TEST_MESH_LONG};
plan skip_all => 'optional: only root may have all of a processor' if $> != 0;

my $t = Mesh::Agent->new(timeout => 60);
my $a = Mesh::Peer->new(value => 'a');

$t->allow_log(qr/exited on signal 9/);
$t->write_conf(agent_conf($a));
$t->run;

my ($agent) = $t->agents;
my $last = (grep { /^processor/ } split /\n/, $t->read_file('/proc/cpuinfo'))
           - 1;

is(system('taskset', '-pc', $last, $agent), 0, 'the agent has one processor');

my $busy = fork // die "fork: $!";

if ($busy == 0) {
    my $until = time + 5;
    exec 'chrt', '-f', '1', 'taskset', '-c', $last, $^X, '-MTime::HiRes=time',
         '-e', "1 while time < $until" or die "chrt: $!";
}

waitpid $busy, 0;
is($?, 0, '... which another one takes');
is(scalar(() = $t->grep_log(qr/does not respond/)), 0, 'nobody kills it');
is(($t->agents)[0], $agent, '... it is still there');

kill 'STOP', $agent;
ok($t->wait_log(qr/does not respond/, 5), 'one that is stopped is killed');

$t->done;
