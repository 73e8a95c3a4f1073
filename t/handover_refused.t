#!/usr/bin/perl

# Connections that nobody may take over, or nobody can: other servers, other
# protocols, other users, a worker without descriptors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw(_exit);
use Socket;
use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(sleep);

my $dubbo = Mesh::Peer->new(value => 'ok');
my $bolt = Mesh::Peer->new(value => 'ok', speaks => 'bolt');


sub servers {
    my ($one, $two, $main) = @_;

    return <<"CONF";
$main

mesh {
    zone mesh:8m metrics=1m;
    service demo.Echo { endpoint @{[$dubbo->address]}; }
    service demo.Echo:1.0 { endpoint @{[$bolt->address]}; }
}

stream {
    mesh_handover_timeout 500ms;
    server { listen 127.0.0.1:%%PORT_one%%; $one; }
    server { listen 127.0.0.1:%%PORT_two%%; $two; }
}
CONF
}


sub unix { socket my $s, AF_UNIX, SOCK_SEQPACKET, 0 or die "socket: $!"; $s }


# another content handler on the same port, and another protocol

my $t = Mesh::Test->new;

$t->write_conf(servers('mesh_pass dubbo; mesh_multiplex off',
                       'mesh_pass bolt; mesh_multiplex off', ''));
$t->run;

my $one = $t->tcp('one');
my $two = $t->tcp('two', speaks => 'bolt');

is(went($_->call(service => 'demo.Echo')), 'ok', 'a client') for $one, $two;

$t->write_conf(servers('return hello', 'mesh_pass dubbo', ''));
ok($t->reload(gone => 1, timeout => 10), 'its server is another one now');

is($one->recv_frame(5)->{kind}, 'readonly', 'which does not get the client');
is($one->closed(5), 'eof', '... as it was told');
is($two->closed(5), 'eof', 'a client of another protocol is closed');
is($two->{in}, '', '... without a word of the new one');
is($dubbo->stats->{open} + $bolt->stats->{open}, 0, 'no link is left');

$t->stop;


# a name beside the pid file that somebody else made

SKIP: {
    skip 'optional: only root can be another user', 6 if $> != 0;

    chmod 01777, $t->dir;
    $t->run;
    $two = $t->tcp('two');
    is(went($two->call(service => 'demo.Echo')), 'ok', 'a client');

    my $listen = unix();
    pipe my $read, my $write or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{ALRM} = sub { _exit(0) };
        alarm 20;
        ($(, $)) = (65534, 65534);
        ($<, $>) = (65534, 65534);
        bind $listen, pack_sockaddr_un($t->dir . '/nginx.pid.mesh.00000000');
        listen $listen, 8;
        syswrite $write, "ready\n";

        while (accept my $c, $listen) {
            syswrite $c, pack 'L3', 0x4d484f31, 0, 0;
            sysread $c, my $message, 65536;
            syswrite $write, length($message // '') . " bytes\n";
        }

        _exit(0);
    }

    close $write;
    is(scalar <$read>, "ready\n", 'another user has a socket there');
    $t->signal('QUIT');
    isnt($two->closed(5), '', 'a client of a worker that leaves is closed');
    $t->stop;

    kill 'KILL', $pid;
    waitpid $pid, 0;
    is(scalar(grep { !/^0 / } <$read>), 0,
       '... and was not handed to another user');
    ok($t->grep_log(qr/user 65534 is refused/), '... who is named in the log');
    unlink $t->dir . '/nginx.pid.mesh.00000000';
}


# a worker that cannot accept is not busy with it

$t->write_conf(servers('mesh_pass dubbo', 'mesh_pass bolt',
                       'worker_rlimit_nofile 40;'));
$t->allow_log(qr/Too many open files/);
$t->run;

my @clients = map { $t->tcp('one') } 1 .. 50;
my ($path) = glob $t->dir . '/nginx.pid.mesh.*';
my $peer = unix();

sleep 0.5;
connect $peer, pack_sockaddr_un($path) or die "connect to $path: $!";
ok($t->wait_log(qr/accept\(\) of a hand-over failed/, 5), 'no descriptor');
sleep 1;
cmp_ok(scalar(my @lines = $t->grep_log(qr/of a hand-over failed/)), '<', 10,
       '... is said now and then');

$_->close for @clients;
is(sysread($peer, my $hello, 100), 12, '... until there is one');

# nginx pauses its listeners by a timer and alerts when told to leave before it

is(went($t->tcp('one')->call(service => 'demo.Echo')), 'ok',
   '... and the listeners are open again');

$t->done;
