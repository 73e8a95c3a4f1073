#!/usr/bin/perl

# The agent's process and its directory: where it is, where there is none, and
# what a wrong "state_path" is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $peer = Mesh::Peer->new(value => 'a');
my $t = Mesh::Agent->new;
my $dir = $t->dir;


sub check {
    my ($state, $mesh) = @_;

    my ($status, $said) = $t->check_conf("mesh {\n    zone mesh:8m metrics=1m;\n"
                                         . "    state_path $state;\n"
                                         . ($mesh // '') . "}\n");
    return $status ? $said =~ s/ in \S+:\d+$//mr : 'ok';
}


sub refused {
    my ($state, $what, $mesh) = @_;
    like(check($state, $mesh), $what, "refused: $state");
}


# a test of the configuration

is(check("$dir/state"), 'ok', 'a path');
is(check("$dir/state/ keep=3"), 'ok', 'a path and a number');
is(check('off'), 'ok', 'off');
ok(!-e "$dir/state", 'a test makes no directory');

refused('""', qr/"state_path" directive needs a path or "off"/);
refused('a b', qr/invalid value "b" in "state_path" directive, it must be/);
refused("$dir/state keep=1", qr/it must be keep=N after a path/);
refused('off keep=3', qr/it must be keep=N after a path/);
refused("$dir/state", qr/"state_path" directive is duplicate/,
        "state_path off;");
refused("$dir/no/state", qr/"state_path": "\Q$dir\E\/no" does not exist, /);

mkdir "$dir/real";
symlink "$dir/real", "$dir/link";
symlink "$dir/real", "$dir/real/agent";
$t->write_file("$dir/file", '');

refused("$dir/link", qr/"\Q$dir\E\/link" is a symbolic link/);
refused("$dir/real", qr/"\Q$dir\E\/real\/agent" is a symbolic link/);
refused("$dir/file", qr/"\Q$dir\E\/file" is no directory/);
refused("$dir/file/state", qr/"\Q$dir\E\/file" does not exist, make it/);


# a process

$t->write_conf(agent_conf($peer));
$t->run;

my @agents = $t->agents;

is(scalar @agents, 1, 'one agent');
is_deeply([$t->holders], [@agents], '... which has the lease');
is((stat $t->state_dir)[2] & 07777, 0700, '... and a directory');
is((stat "$dir/state")[2] & 0777, 0755, '... in one that is nobody\'s');
is_deeply([$t->journal], [], '... with nothing of an operator');
is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a', 'a call');

my $m = $t->metrics;
is($m->{mesh_agent_up}, 1, 'metrics: it is up');
is($m->{mesh_agent_lease}, 1, '... and has the lease');
is($m->{mesh_agent_lease_fence}, 1, '... the first one');

is(check("$dir/state"), 'ok', 'a test beside it');
is_deeply([$t->agents], [@agents], '... does not disturb it');


# a cache manager in the same process

sub cache {
    my ($peer) = @_;
    return agent_conf($peer, http => "proxy_cache_path $dir/cache "
                                     . "keys_zone=c:1m;");
}

$t->write_conf(cache($peer));
ok($t->reload(gone => 1), 'a reload with a cache');
ok($t->taken(1), '... the lease goes over');

my ($agent) = $t->agents;
my $fds = grep { m{/next$} } map { readlink // '' } glob "/proc/$agent/fd/*";
is($fds, 1, '... agent and cache manager are one process');
is(scalar $t->children(qr/cache manager process/), 1, '... and no other is');


# off, and on again

$t->write_conf(agent_conf($peer, state => 'off'));
ok($t->reload(gone => 1), 'a reload without it');
ok(wait_for(sub { !$t->agents }, 10), '... the agent goes');
is_deeply([$t->holders], [], '... with the lease');
is($t->metrics->{mesh_agent_up}, 0, '... metrics say so');
is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a', '... a call');

$t->write_conf(agent_conf($peer));
ok($t->reload(gone => 1), 'a reload with it again');
ok($t->taken(2), '... it has the lease');


# the directory goes, and another one comes

my ($fence) = $t->lease;
rename "$dir/state/agent", "$dir/state/old";
ok($t->wait_log(qr/the lease in "[^"]+" is gone/, 10), 'no directory');
ok($t->wait_log(qr/the mesh journal in "[^"]+" cannot be used/, 10),
   '... an error');
is($t->metrics->{mesh_agent_journal_failed}, 1, '... a metric');
is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a', '... a call');

mkdir "$dir/state/agent", 0700;
ok($t->taken($fence), 'another one: the lease is newer');
ok(wait_for(sub { !$t->metrics->{mesh_agent_journal_failed} }, 10),
   '... all is well');



# another user, who may not read what was there

($fence) = $t->lease;
$t->write_conf(agent_conf($peer, main => 'user www-data;'));
ok($t->reload(gone => 1), 'another user');
ok($t->taken(0), '... has a lease');
ok($t->written($t->put('127.0.0.1:9')), '... and writes');
is((stat $t->state_dir . '/lock')[4], scalar getpwnam('www-data'),
   '... files of his own');

$t->done;
