#!/usr/bin/perl

# Reloads under load: no call fails, no client connects again, nothing leaks,
# and old workers are gone soon.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Upgrade;

use Time::HiRes qw(time sleep);

my $long = $ENV{TEST_MESH_LONG};

# connections, depth, bytes, reloads
my @shapes = (
    [ 1, 1, 128, 10 ],
    [ 1, 64, 4096, 10 ],
    [ 64, 1, 128, 10 ],
    [ 16, 16, 16384, 10 ],
    [ 256, 4, 1024, 10 ],
    [ 4, 2, 1048576, 6 ],
);

my $t = Mesh::Upgrade->new(timeout => $long ? 3600 : 200);
my $serve = serve(threads => 1);

$t->write_conf(<<"CONF");
worker_processes 2;

events { worker_connections 4096; }

mesh {
    zone mesh:8m metrics=1m;
    service bench.Echo:1.0.0 { endpoint @{[ $serve->address ]}; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_timeout 60s;
        mesh_link_buffer 64m;
        mesh_client_buffer 64m;
        mesh_handover_timeout 2s;
    }
}

http {
    access_log off;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
        location /stub { stub_status; }
    }
}
CONF
$t->run;


# when a worker was first seen leaving; the longest any stayed

my (%since, $longest);

sub watch {
    my %now = map { $_ => 1 } $t->leaving;

    for (keys %now) {
        $since{$_} //= time;
        my $age = time - $since{$_};
        $longest = $age if $age > ($longest // 0);
    }

    delete @since{grep { !$now{$_} } keys %since};
}


sub hups {
    my ($load, $n) = @_;

    for (1 .. $n) {
        my $until = time + 0.1 + rand 0.3;
        while (time < $until) { watch(); sleep 0.02 }
        $t->signal('HUP');
    }

    while ($load->busy) { watch(); sleep 0.05 }
}


my ($clients, $fds, $memory) = (0);

for (@shapes) {
    my ($connections, $depth, $size, $reloads) = @$_;

    $reloads *= 16 if $long;

    my $load = $t->calls(connections => $connections, depth => $depth,
                        size => $size, deep => undef,
                        duration => 1 + $reloads * 0.3);

    wait_for { $t->metrics->{mesh_client_connections} == $connections } 10,
        'clients';
    hups($load, $reloads);

    my $name = "$connections x $depth, $size bytes, $reloads reloads";
    is($load->result, CLEAN, $name);
    cmp_ok($load->{end}{calls}, '>', 20, '... of calls all the time');

    $clients += $connections;

    is($t->metrics->{mesh_client_connections_total}, $clients,
       '... no client connected twice');

    ok(wait_for(sub { !$t->leaving }, 20), '... old workers are gone');

    # what is there once everything was used
    $fds //= fds($t->pid);
    $memory //= memory($t->pid);
}

cmp_ok($t->handed('sent'), '>', 300, 'connections were handed over');
is($t->handed('received'), $t->handed('sent'), '... all of them were received');
is($t->handed('failed'), 0, '... none failed');

# a load is a second or two of calls of some ms
cmp_ok($longest // 0, '<', Mesh::Test::sanitized() ? 30 : 2 + 5,
       'no old worker stayed long');

ok(wait_for(sub {
    my $m = $t->metrics;
    $m->{mesh_client_connections} == 0 && $m->{mesh_requests_in_flight} == 0
        && $m->{mesh_links} <= 2 && $m->{mesh_buffered_bytes} == 0;
}, 10), 'gauges count what is there');

# the page itself is the only connection
my ($active) = $t->http('GET', '/stub')->{content} =~ /connections: (\d+)/;
is($active, 1, '... stub_status too');

is(fds($t->pid), $fds, 'the master leaks no descriptors');
cmp_ok(memory($t->pid) - $memory, '<',
       Mesh::Test::sanitized() ? 262144 : 1536, '... and no memory (kB)');

$serve->stop;
$t->done;
