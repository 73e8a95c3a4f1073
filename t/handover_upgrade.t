#!/usr/bin/perl

# Upgrades of the binary under load, and back; new ones that fail, or are
# killed; what is left in the directory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Upgrade;

use Cwd qw(abs_path);
use File::Copy qw(copy);
use Socket qw(AF_UNIX SOCK_SEQPACKET pack_sockaddr_un);
use Time::HiRes qw(time sleep);

my $upgrades = $ENV{TEST_MESH_LONG} ? 10 : 3;

# a new master that cannot start ends without freeing its pools
$ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=0:exitcode=99';

my $t = Mesh::Upgrade->new(timeout => 180);
my $serve = serve();

# a binary of its own, which the test may break
my $binary = $t->dir . '/nginx';
my $original = $t->binary;
copy($original, $binary) or die "copy: $!";
chmod 0755, $binary;
$t->{binary} = $binary;

my $conf = <<"CONF";
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;
    service bench.Echo:1.0.0 { endpoint @{[ $serve->address ]}; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_handover_timeout 2s;
    }
}

http {
    access_log off;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
CONF

# what a killed master left behind, and what is not ours

my $stale = $t->pid_path . '.mesh.0badcafe';
socket my $s, AF_UNIX, SOCK_SEQPACKET, 0 or die "socket: $!";
bind $s, pack_sockaddr_un($stale) or die "bind: $!";
close $s;
$t->write_file($t->pid_path . '.mesh.mine', 'no socket');

$t->write_conf($conf);
$t->run;

ok(!-e $stale, 'the socket of a killed master is tidied away');
ok(-e $t->pid_path . '.mesh.mine', '... other files are not');
unlink $t->pid_path . '.mesh.mine';
is(scalar $t->sockets, 1, 'one socket for a master');
is(((stat +($t->sockets)[0])[2] & 0777), 0600, '... nobody else may use it');


# there, and there, and back

my $clients = 16;
my $load = $t->calls(connections => $clients, depth => 8, size => 2048,
                     deep => undef, duration => 120);

wait_for { $t->metrics->{mesh_client_connections} == $clients } 10, 'clients';

for my $n (1 .. $upgrades) {
    my $old = $t->usr2;

    ok($old, "upgrade $n: the new master is up");
    is(scalar $t->sockets, 2, '... with a socket of its own');
    ok($t->winch($old), '... old workers go');
    ok(wait_for(sub { $t->handed('received') >= $clients }, 10),
       '... having handed all over');
    $t->signal('QUIT', $old);
    ok(wait_for(sub { $t->ended($old) }, 20), '... and the old master');
    is(scalar $t->sockets, 1, '... with its socket');
}

for my $n (1, 2) {
    my $old = $t->usr2;
    my $new = $t->pid;

    ok($t->winch($old), "rollback $n: the old workers go");

    # the new one may be reloaded before it is given up
    ok($t->reload, '... the new master is reloaded') if $n == 1;

    ok($t->rollback($old), "rollback $n: the new master goes");
    isnt($t->pid, $new, '... the old one is back');
    ok(wait_for(sub { $t->metrics->{mesh_client_connections} == $clients },
                10), '... with all clients');
    is(scalar $t->sockets, 1, '... one socket is left');
}


# a new configuration that is wrong, and a new binary that is none

$t->allow_log(qr/unexpected end|no_such_directive|execve\(\)/,
              qr/new binary process \d+ exited on signal 9/);

$t->write_conf("no_such_directive;\n$conf");
my $master = $t->pid;
is($t->usr2, undef, 'a wrong configuration does not start');
$t->write_conf($conf);

wait_for { $t->written == $master } 10;
is($t->pid, $master, '... the old master goes on');
ok($t->reload(gone => 1), '... reloads');
is(scalar $t->sockets, 1, '... has its socket');

$t->signal('USR2') if rename("$binary", "$binary.good")
    && $t->write_file($binary, "#!/no/such/interpreter\n")
    && chmod 0755, $binary;
ok($t->wait_log(qr/execve\(\) failed/, 10), 'a binary that does not start');
wait_for { $t->written == $master } 10;
unlink $binary;
rename "$binary.good", $binary;
ok($t->reload(gone => 1), '... the old one still reloads');
wait_for { $t->metrics->{mesh_client_connections} == $clients } 10;


# the new master is killed, its workers with it, before anything moved to it

{
    my $old = $t->usr2;
    my $new = $t->pid;
    my @workers = $t->of_master($new);

    # they have taken no connection, as new clients are not there
    kill 'KILL', $new, @workers;
    ok(wait_for(sub { $t->ended($new) }, 10), 'the new master is killed');
    $t->{pid} = $old;
    wait_for { $t->written == $old } 10;

    # whoever looks for others meets a socket that nobody listens on
    ok($t->reload(gone => 1), '... the old one reloads');

    $old = $t->usr2;
    ok($old, '... and is upgraded');
    is(scalar $t->sockets, 2, '... the socket of the dead is gone');
    ok($t->leave($old), '... all move to the next');
}

is($load->finish, CLEAN, 'all of it under load, and no call failed');
cmp_ok($load->{end}{calls}, '>', 1000, '... of many');

# no socket stays

$t->stop;
is(scalar $t->sockets, 0, 'no socket is left');
$serve->stop;
$t->done;
