#!/usr/bin/perl

# Reloads where all is one process: the agent comes, goes, and moves.  Of a
# reload there nginx itself takes over little, so no calls are made.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Peer;
use Mesh::Test;

my $peer = Mesh::Peer->new(value => 'a');
my $t = Mesh::Test->new;
my $n = 0;


sub reload {
    my ($name, %o) = @_;

    $t->write_conf(agent_conf($peer, main => 'master_process off;', %o));
    $t->signal('HUP');
    my $count = ++$n;
    ok(wait_for(sub { (() = $t->grep_log(qr/reconfiguring/)) >= $count }, 5),
       $name);
    sleep 2;
    ok(kill(0, $t->pid), '... it is there');
}


$t->write_conf(agent_conf($peer, main => 'master_process off;'));
$t->run;
ok($t->wait_log(qr/has the lease, fence 1/, 5), 'the lease');

reload('off', state => 'off');

reload('on', state => '%%DIR%%/state');
ok($t->wait_log(qr/has the lease, fence 2/, 5), '... the lease again');

reload('another path', state => '%%DIR%%/other');
ok(wait_for(sub { -s $t->dir . '/other/agent/lock' }, 5), '... the lease');

$t->done;
