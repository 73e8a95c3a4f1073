#!/usr/bin/perl

# Two masters during a binary upgrade: one has the lease, and what it writes
# is there in the other one when that takes over; the same on the way back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

# a new master is an exec of the old one's, whose pools are never freed
$ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=0:exitcode=99';

my $t = Mesh::Agent->new(timeout => 180);
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);


sub calls {
    my ($value, $name) = @_;
    is(went($t->tcp('rpc')->call(service => 'demo.Echo')), $value, $name);
}


sub one_holder {
    my ($master, $name) = @_;

    my ($fence, $pid, $parent) = $t->lease;
    is("@{[$t->holders]} $parent", "$pid $master", $name);
    return $fence;
}


# through the memory of one master's worker

sub change {
    my ($master, @change) = @_;

    local $t->{pid} = $master;
    return $t->change(@change);
}


$t->write_conf(agent_conf($a));
$t->run;
$t->written($t->put($b->address));
calls('b', 'an endpoint of the operator');


# there

my $old = $t->usr2;
my $new = $t->pid;

ok($old, 'the new master is up');
ok(wait_for(sub { $t->agents($new) }, 10), '... with its agent');
my $fence = one_holder($old, '... the old one has the lease');

change($old, 'del', $b->address);
my $files = $t->journal;
change($old, 'put', $c->address);
ok(wait_for(sub { ($t->journal)[0] =~ /\Q@{[$c->address]}\E/ }, 10),
   '... and writes the journal');

ok($t->winch($old), 'the old workers go');
ok($t->taken($fence), 'the lease goes over');
$fence = one_holder($new, '... to the new one');
calls('c', '... which knows what was changed meanwhile');

$t->signal('QUIT', $old);
ok(wait_for(sub { $t->ended($old) }, 20), 'the old master goes');
one_holder($new, '... which changes nothing');
is(scalar(my @one = $t->agents), 1, '... one agent is left');


# there and back

($old, $new) = ($t->usr2, $t->pid);
ok($old, 'another new master');
ok(wait_for(sub { $t->agents($new) }, 10), '... with its agent');
$fence = ($t->lease)[0];
ok($t->winch($old), 'the old workers go');
ok($t->taken($fence), 'the lease goes over');
$fence = one_holder($new, '... to the new one');

ok($t->written($t->del($c->address)), 'changes are written there');
ok($t->written($t->put($b->address)), '... again');
calls('b', '... and done');

ok($t->rollback($old), 'the new master is given up');
ok($t->taken($fence), 'the lease goes back');
one_holder($old, '... to the old one');
calls('b', '... which knows what was changed meanwhile');
ok($t->written($t->del($b->address)), '... and goes on');
calls('a', '... as before');
is(scalar(@one = $t->agents), 1, '... one agent is left');


# a holder that is stopped, while another master waits

($old, $new) = ($t->usr2, $t->pid);
ok(wait_for(sub { $t->agents($new) }, 10), 'a new master again');
$fence = one_holder($old, '... the old one has the lease');
$t->allow_log(qr/exited on signal 9/);

kill 'STOP', ($t->lease)[1];
ok($t->taken($fence), 'its agent hangs: another has the lease');
ok(wait_for(sub { $t->agents($old) && $t->agents($new) }, 10),
   '... each has an agent');
ok($t->leave($old), 'the old master goes');
wait_for { ($t->lease)[2] == $new } 5;
one_holder($new, '... the new one has the lease');


# the same, and at once nobody of the old ones is left to see it

($old, $new) = ($t->usr2, $t->pid);
ok(wait_for(sub { $t->agents($new) }, 10), 'a new master again');
$fence = one_holder($old, '... the old one has the lease');

kill 'STOP', ($t->lease)[1];
ok($t->leave($old), 'the old master goes');
ok($t->taken($fence), '... with its agent, which hangs');
wait_for { ($t->lease)[2] == $new } 5;
one_holder($new, '... the new one has the lease');

$t->done;
