#!/usr/bin/perl

# Reloads under load cost clients of Bolt no call and no connection either:
# mesh-bench checks each answer, byte by byte, and the CRCs of version 2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open3;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Test;

my $long = $ENV{TEST_MESH_LONG};
my $bench = $ENV{MESH_BENCH} || "$FindBin::Bin/../build/mesh-bench";
my $t = Mesh::Test->new(timeout => $long ? 900 : 240);

my (%served, %port);

for my $protocol ('bolt', 'bolt2') {
    my ($pid, $out) = start('serve', '--protocol', $protocol, '--listen',
                            '127.0.0.1:0');
    $served{$protocol} = $pid;
    ($port{$protocol}) = readline($out) =~ /:(\d+)$/;
}

$t->write_conf(<<"CONF");
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;
    service bench.bolt:1.0.0 { endpoint 127.0.0.1:$port{bolt}; }
    service bench.bolt2:1.0.0 { endpoint 127.0.0.1:$port{bolt2}; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass auto;
        mesh_timeout 30s;
        mesh_link_buffer 64m;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
        location /status { stub_status; }
    }
}
CONF

$t->run;

my $fds = () = glob "/proc/@{[$t->pid]}/fd/*";
my $clients = 0;
my $reloads = 0;

# version, connections, calls in flight on each, bytes, seconds, longest pause

my @shapes = (
    ['bolt', 1, 64, 128, 2, 0.3], ['bolt', 64, 1, '1k', 2, 0.3],
    ['bolt2', 16, 16, 128, 2, 0.3], ['bolt2', 4, 4, '64k', 2, 0.3],
);

for my $shape (@shapes) {
    my ($protocol, $c, $d, $size, $seconds, $pause) = @$shape;

    $seconds *= 10 if $long;
    $clients += $c;

    my ($pid, $out) = start('load', '--connect',
        '127.0.0.1:' . $t->port('rpc'), '--connections', $c, '--depth', $d,
        '--protocol', $protocol,
        '--service', "bench.$protocol", '--size', $size, '--duration', "${seconds}s", '--warmup', '0s',
        '--deep');

    my $until = time + $seconds - 0.3;

    sleep 0.2;

    while (time < $until) {
        $t->signal('HUP');
        $reloads++;
        sleep 0.1 + rand $pause;
    }

    my $r = decode_json(do { local $/; readline $out });
    waitpid $pid, 0;

    is($?, 0, "$protocol $c x $d, $size: every answer is right");
    cmp_ok($r->{calls}, '>', 20 * $c, '... there were calls');
    is(join(' ', @$r{qw(errors wrong lost unsent closed)}), '0 0 0 0 0',
       '... none failed, no connection was closed');
}

ok(wait_for(sub { !$t->leaving }, 20), "$reloads reloads: old workers go");
is(scalar(() = glob "/proc/@{[$t->pid]}/fd/*"), $fds,
   '... the master leaks no descriptors');

ok(wait_for(sub {
    my $m = $t->metrics;
    $m->{mesh_client_connections} == 0 && $m->{mesh_requests_in_flight} == 0;
}, 10), 'nothing is left');

my $m = $t->metrics;
is($m->{mesh_client_connections_total}, $clients, 'no client had to reconnect');
is($t->sum($m, 'mesh_handovers_total', event => 'sent'),
   $t->sum($m, 'mesh_handovers_total', event => 'received'),
   'what was sent was received');
cmp_ok($t->sum($m, 'mesh_handovers_total', event => 'sent'), '>', $clients,
       '... many times');
is($t->sum($m, 'mesh_handovers_total', event => 'failed'), 0, '... always');

ok(wait_for(sub {
    $t->http('GET', '/status', undef, port => 'http')->{content}
        =~ /^Active connections: 1 $/m;
}, 5), 'stub_status is exact');
like($t->log, qr/generation \d+ of workers is gone: \d+ connections handed over/,
     'a line of each generation');

kill 'TERM', values %served;
waitpid $_, 0 for values %served;

$t->done;


sub start {
    my (@arguments) = @_;

    my $pid = open3(my $in, my $out, '>&STDERR', $bench, @arguments);
    close $in;

    return ($pid, $out);
}
