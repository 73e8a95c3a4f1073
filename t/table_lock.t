#!/usr/bin/perl

# A process was killed while it held the lock of the zone, and the master knows
# nothing of it: calls and reloads go on.

use strict;
use warnings;
no warnings 'portable';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);


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


sub dead {
    my $pid = fork // die "fork: $!";
    kill 'KILL', $$ if !$pid;
    waitpid($pid, 0);
    return $pid;
}


sub write_conf {
    my ($peer) = @_;

    $t->write_conf(conf(main => 'worker_processes 2;',
                        service => "endpoint @{[$peer->address]};",
                        server => 'mesh_timeout 5s;'));
}


write_conf($a);
$t->run;
$t->allow_log(qr/the mesh zone was locked by process \d+, which is gone/);

my $client = $t->tcp('rpc');
my ($worker) = $t->workers;

lock_zone($worker, dead());
is(went($client->call(service => 'demo.Echo')), 'a', 'a call');

write_conf($b);
lock_zone($worker, dead());
ok($t->reload(gone => 1), 'a reload');
is(went($client->call(service => 'demo.Echo')), 'b', '... is in force');
ok($t->wait_log(qr/which is gone/, 5), 'it is said');

$t->done;
