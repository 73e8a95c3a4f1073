#!/usr/bin/perl

# Reloads under load of many shapes cost no call and no connection: mesh-bench
# checks each answer, byte by byte.

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

my @served = start('serve', '--listen', '127.0.0.1:0');
my ($port) = readline($served[1]) =~ /:(\d+)$/;

$t->write_conf(<<"CONF");
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;
    service bench.Echo:1.0.0 { endpoint 127.0.0.1:$port; }
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
my ($reloads, $generations) = (0, 0);

# connections, calls in flight on each, bytes, seconds, longest pause

my @shapes = (
    [1, 1, 128, 2, 0.2], [1, 64, 128, 2, 0.3], [64, 1, 128, 2, 0.3],
    [16, 16, '1k', 2, 0.3], [256, 4, 128, 3, 0.5], [8, 4, '16k', 2, 0.3],
    [2, 2, '1m', 2, 0.4],
);

for my $shape (@shapes) {
    my ($c, $d, $size, $seconds, $pause) = @$shape;

    $seconds *= 10 if $long;
    $clients += $c;

    my ($pid, $out) = start('load', '--connect',
        '127.0.0.1:' . $t->port('rpc'), '--connections', $c, '--depth', $d,
        '--size', $size, '--duration', "${seconds}s", '--warmup', '0s',
        '--deep');

    my $until = time + $seconds - 0.3;

    sleep 0.2;

    while (time < $until) {
        $t->signal('HUP');
        $reloads++;
        sleep 0.1 + rand $pause;

        my %seen = map { $_ => 1 } $t->workers, $t->leaving;
        $generations = keys %seen if keys %seen > $generations;
    }

    my $r = decode_json(do { local $/; readline $out });
    waitpid $pid, 0;

    is($?, 0, "$c x $d, $size: every answer is right");
    cmp_ok($r->{calls}, '>', 20 * $c, '... there were calls');
    is(join(' ', @$r{qw(errors wrong lost unsent closed)}), '0 0 0 0 0',
       '... none failed, no connection was closed');
}

ok(wait_for(sub { !$t->leaving }, 20), "$reloads reloads: old workers go");
is(scalar(() = glob "/proc/@{[$t->pid]}/fd/*"), $fds,
   '... the master leaks no descriptors');

# workers of the last two seconds at most: they are gone when their last call is
cmp_ok($generations, '<=', 24, '... and soon');

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

like($t->http('GET', '/status', undef, port => 'http')->{content},
     qr/^Active connections: 1 $/m, 'stub_status is exact');
like($t->log, qr/generation \d+ of workers is gone: \d+ connections handed over/,
     'a line of each generation');

kill 'TERM', $served[0];
waitpid $served[0], 0;

$t->done;


sub start {
    my (@arguments) = @_;

    my $pid = open3(my $in, my $out, '>&STDERR', $bench, @arguments);
    close $in;

    return ($pid, $out);
}
