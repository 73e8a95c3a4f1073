#!/usr/bin/perl

# Any process wakes the agent, or all workers, also those of other
# generations: each write of one of two descriptors is an event for everybody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use POSIX ();
use Time::HiRes qw(sleep);

use Mesh::Agent;
use Mesh::Peer;

use constant {
    SYS_PIDFD_OPEN  => 434,
    SYS_PIDFD_GETFD => 438,
    TIMES           => 50,
};

my $peer = Mesh::Peer->new(value => 'a');
my $t = Mesh::Agent->new;

$t->write_conf(agent_conf($peer));
$t->run;


# the master has two, nginx's own are its workers'

sub eventfds {
    return sort { $a <=> $b } map { m{/fd/(\d+)$} ? $1 : () }
           grep { (readlink // '') =~ /eventfd/ }
           glob '/proc/' . $t->pid . '/fd/*';
}


# how often each process went to sleep while a descriptor was written

sub woken {
    my ($number, @pids) = @_;

    my $pidfd = syscall(SYS_PIDFD_OPEN, $t->pid + 0, 0);
    my $fd = syscall(SYS_PIDFD_GETFD, $pidfd, $number + 0, 0);
    die "pidfd: $!" if $fd < 0;

    my %before = map { $_ => slept($_) } @pids;

    for (1 .. TIMES) {
        POSIX::write($fd, pack('Q', 1), 8);
        sleep 0.01;
    }

    my %woken = map { $_ => slept($_) - $before{$_} } @pids;

    POSIX::close($_) for $fd, $pidfd;

    return %woken;
}


sub slept {
    return $t->read_file("/proc/$_[0]/status")
           =~ /^voluntary_ctxt_switches:\s*(\d+)/m ? $1 : 0;
}


for my $round ('after a start', 'after a reload') {
    my @workers = $t->workers;
    my @agents = $t->agents;
    my ($one, $other, @more) = eventfds();

    ok(defined $other && !@more, "$round: two descriptors");

    # several are one, for who is not let run

    my %agent = woken($one, @workers, @agents);
    cmp_ok($agent{$agents[0]}, '>=', TIMES / 2, '... one is the agent\'s');
    cmp_ok($agent{$_}, '<', TIMES / 2, '... and not workers\'') for @workers;

    my %all = woken($other, @workers, @agents);
    cmp_ok($all{$_}, '>=', TIMES / 2, '... one is each worker\'s') for @workers;
    cmp_ok($all{$agents[0]}, '<', TIMES / 2, '... and not the agent\'s');

    $t->reload(gone => 1);
    wait_for { $t->agents == 1 } 5;
}

$t->done;
