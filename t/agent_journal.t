#!/usr/bin/perl

# What an operator changed is there again after any end of nginx, with another
# zone, and with files that are damaged; where it cannot be written, that is
# said, and calls go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

my $t = Mesh::Agent->new(timeout => 180);
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);
my $dir = $t->dir;

# a disk of the test's own goes before the directory it is in
END {
    my $status = $?;
    system("umount -l $dir/full 2>/dev/null") if $dir && -d "$dir/full";
    $? = $status;
}

$t->allow_log(qr/exited on signal 9/);


sub calls {
    my ($value, $name) = @_;
    is(went($t->tcp('rpc')->call(service => 'demo.Echo')), $value, $name);
}

sub file { return sprintf '%s/journal.%016x', $t->state_dir, $_[0] }

sub sequences { return map { /^(\d+)/ } $t->journal }


sub restart {
    my ($how) = @_;

    if ($how eq 'KILL') {
        $t->kill_all;
    } else {
        $t->end($how);
    }

    $t->run;
}


$t->write_conf(agent_conf($a, state => '%%DIR%%/state keep=4'));
$t->run;

calls('a', 'nothing of an operator');
is(scalar $t->journal, 0, '... no file');

ok($t->reload(gone => 1), 'a reload');
is(scalar $t->journal, 0, '... is no change of an operator');


# ends of all kinds

my $revision = 0;

for my $how (qw(QUIT TERM KILL)) {
    my $now = $t->put($b->address);
    ok($t->written($now), "$how: a change is written");
    cmp_ok($now, '>', $revision, '... of a later revision');
    $revision = $now;

    restart($how);
    calls('b', '... and there after a start');
    $t->del($b->address);

    # without a wait: who ends well writes what there is
    restart('QUIT');
    calls('a', '... or gone');
}

cmp_ok(scalar(my @all = sequences()), '<=', 4, 'no more files than are kept');


# damaged files: the one before

ok($t->written($t->put($b->address)), 'a file with one');
ok($t->written($t->put($c->address)), '... and one with two');
ok($t->written($t->del($b->address)), '... and one with the other');
$t->end('QUIT');

my ($newest, $before) = sequences();
my $good = $t->read_file(file($newest));
like(($t->journal)[0], qr/\Q@{[$c->address]}\E/, 'the newest has it');

for my $size (0, 1, 50, 88, 100, length($good) - 1) {
    $t->write_file(file($newest), substr $good, 0, $size);
    $t->run;

    my ($one, $two) = map { $t->tcp('rpc') } 1, 2;
    my %went = map { $_ => 1 }
               map { went($t->tcp('rpc')->call(service => 'demo.Echo')) }
               1 .. 8;
    is(join(' ', sort keys %went), 'b c', "torn at $size: the one before");
    is((sequences())[0], $before, '... which is the newest that is good');

    $t->end('QUIT');
}

like($t->log, qr/journal\.[0-9a-f]+" of the mesh agent is damaged/, 'said');
$t->write_file(file($newest), $good);
$t->run;
calls('c', 'the whole one');
cmp_ok($t->put($b->address), '>', $revision, 'revisions go on');
$t->written($t->del($b->address));


# another zone, and another size

for my $zone ('other:8m', 'other:12m', 'mesh:8m') {
    my $before = (sequences())[0];

    ($t->{zone}) = $zone =~ /(\d+)/;
    $t->write_conf(agent_conf($a, zone => $zone));
    ok($t->reload(gone => 1), "a reload with zone $zone");
    calls('c', '... changes nothing');

    my $r = $t->put($b->address);
    ok($t->written($r), '... changes are written');
    ok($t->written($t->del($b->address)), '... again');
    cmp_ok((sequences())[0], '>', $before, '... to later files');
}

$t->write_conf(agent_conf($a, state => 'off'));
ok($t->reload(gone => 1), 'no state any more');
$t->write_conf(agent_conf($a, state => 'off', zone => 'third:8m'));
ok($t->reload(gone => 1), '... and another zone');
calls('c', '... changes nothing');
$t->write_conf(agent_conf($a));
ok($t->reload(gone => 1), 'back again');
$t->written($t->put($c->address));


# another directory: what is there is not looked at, as nginx goes on

$t->write_conf(agent_conf($a, state => '%%DIR%%/elsewhere'));
ok($t->reload(gone => 1), 'another directory');
{
    local $t->{state_dir} = "$dir/elsewhere/agent";
    ok(wait_for(sub { -d $t->state_dir
                      && (($t->journal)[0] // '')
                         =~ /\Q@{[$c->address]}\E/ }, 10),
       '... is written at once');
}
calls('c', '... nothing changes');

my $r = $t->del($c->address);
ok($t->written($r), '... a change');
$t->write_conf(agent_conf($a));
ok($t->reload(gone => 1), 'back again, where something older is');
calls('a', '... nothing changes');
ok(wait_for(sub { ($t->journal)[0] !~ /\d:\d/ }, 10), '... it is written');
$t->written($t->put($c->address));


# what another instance wrote

my ($fence, $agent) = $t->lease;
$t->foreign($b->address);
calls('c', 'a newer file is not read while the lease is held');
kill 'KILL', $agent;
ok($t->taken($fence), 'another takes the lease');
ok($t->wait_log(qr/took over what another instance wrote/, 5), '... reads it');
calls('b', '... and does what it says');


# where nothing can be written

mkdir "$dir/full";
my $size = 4096 * 24;

is(system('mount', '-t', 'tmpfs', '-o', "size=$size", 'none', "$dir/full"), 0,
   'a small disk');

$t->write_conf(agent_conf($a, state => "$dir/full/state"));
$t->end('QUIT');
$t->{state_dir} = "$dir/full/state/agent";
$t->run;

calls('a', 'a start with it');
ok($t->written($t->put($b->address)), 'a change is written');

open my $fill, '>', "$dir/full/fill" or die "fill: $!";
1 while syswrite $fill, 'x' x 4096;
close $fill;

$revision = $t->put($c->address);
ok($t->wait_log(qr/\[error\].*the mesh journal in "[^"]+" cannot be written/,
                10), 'a full disk: it is said');
is($t->metrics->{mesh_agent_journal_failed}, 1, '... in metrics too');
$t->del($b->address);
calls('c', '... changes are made');
is(scalar(my @said = $t->grep_log(qr/\[error\].*mesh journal in/)), 1,
   '... one line');

unlink "$dir/full/fill";
$revision = $t->del($c->address);
ok($t->written($revision), 'room again: it is written');
ok($t->wait_log(qr/the mesh journal in "[^"]+" is written again/, 5),
   '... which is said');
is($t->metrics->{mesh_agent_journal_failed}, 0, '... in metrics too');

$t->end('QUIT');
is(system('mount', '-o', 'remount,ro', "$dir/full"), 0, 'read-only');
$t->run;
$revision = $t->put($b->address);
ok(wait_for(sub { $t->metrics->{mesh_agent_journal_failed} }, 10),
   '... a metric');
calls('b', '... changes are made');

my ($held) = $t->holders;
kill 'KILL', $held;
ok(wait_for(sub { my ($p) = $t->holders; $p && $p != $held }, 5),
   '... another agent takes the lease');
is($t->metrics->{mesh_agent_lease}, 1, '... as metrics say');

is(system('mount', '-o', 'remount,rw', "$dir/full"), 0, 'writable');
ok($t->written($revision), '... it is written');

$t->stop;
is(system('umount', "$dir/full"), 0, 'the disk goes');

$t->done;
