#!/usr/bin/perl

# An agent is stopped while it holds the lock of the table, and all workers
# wait for that: it is killed all the same, and they go on.

use strict;
use warnings;
no warnings 'portable';

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

use constant CALLERS => 12;

my $t = Mesh::Agent->new(timeout => 60);
my $a = Mesh::Peer->new(value => 'a');

$t->allow_log(qr/exited on signal 9/);
$t->allow_log(qr/zone (?:"mesh" )?was locked by /);
$t->write_conf(agent_conf($a));
$t->run;


# the first word of a zone is its lock, with the pid of who holds it

sub lock_zone {
    my ($pid, $owner) = @_;

    open my $maps, '<', "/proc/$pid/maps" or die "maps: $!";
    my ($zone) = grep { defined } map {
        /^([0-9a-f]+)-([0-9a-f]+) rw-s /
            && hex($2) - hex($1) == 8 << 20 ? hex $1 : undef
    } <$maps>;
    die 'no zone' unless $zone;

    open my $mem, '+<', "/proc/$pid/mem" or die "mem: $!";
    sysseek($mem, $zone, 0) or die "seek: $!";
    syswrite($mem, pack('Q', $owner)) == 8 or die "write: $!";
}


# no worker has looked for the service yet

my @clients = map { $t->tcp('rpc') } 1 .. CALLERS;
my ($fence, $agent) = $t->lease;

kill 'STOP', $agent;
lock_zone(($t->workers)[0], $agent);

my @callers;

for my $client (@clients) {
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        my $said = eval { went($client->call(service => 'demo.Echo')) };
        POSIX::_exit(($said // '') eq 'a' ? 0 : 1);
    }

    push @callers, $pid;
}

my $failed = 0;

for my $pid (@callers) {
    waitpid($pid, 0);
    $failed++ if $?;
}

is($failed, 0, 'all calls are answered');
my $new = $t->taken($fence, 5);
ok($new && $new != $agent, 'another agent has the lease');
ok($t->written($t->put($a->address)), '... and writes the journal');
is(scalar(my @said = $t->grep_log(qr/agent process $agent does not respond/)),
   1, 'it is said once');

$t->done;
