#!/usr/bin/perl

# Many idle clients move; how long they were idle counts on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Upgrade;

use Time::HiRes qw(time sleep);

my $clients = 3000;

my $t = Mesh::Upgrade->new;
my $serve = serve();

$t->write_conf(<<"CONF");
worker_processes 2;
worker_rlimit_nofile 8192;

events { worker_connections 4096; }

mesh {
    zone mesh:8m metrics=1m;
    service bench.Echo:1.0.0 { endpoint @{[ $serve->address ]}; }
}

stream {
    mesh_handover_timeout 2s;

    server {
        listen 127.0.0.1:%%PORT_rpc%% backlog=4096;
        mesh_pass dubbo;
    }

    server {
        listen 127.0.0.1:%%PORT_short%%;
        mesh_pass dubbo;
        mesh_client_timeout 6s;
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
$t->run;

sub idle { $t->metrics->{mesh_client_connections} }


# all of them, twice by a reload and once by an upgrade; then each calls

my $load = $t->calls(connections => $clients, rate => 0.001, calls => $clients,
                     duration => 300);

wait_for { idle() == $clients } 30, 'clients';

for my $n (1, 2) {
    ok($t->reload(gone => 1), "reload $n");

    # more than once where a worker took over that left itself just then
    ok(wait_for(sub { $t->handed('received') >= $n * $clients }, 10),
       '... all moved');
    is($t->handed('received'), $t->handed('sent'), '... and arrived');
    is(idle(), $clients, '... all are there');
}

my $old = $t->usr2;
ok($t->leave($old), 'upgrade');
ok(wait_for(sub { $t->handed('received') >= $clients }, 10), '... all moved');
is($t->handed('failed'), 0, '... none failed');

$load->stop;
ok(wait_for(sub { idle() == 0 }, 10), 'none is left when they go');


# the same with calls afterwards, of clients that have called before

$load = $t->calls(connections => $clients, rate => 3000, deep => undef,
                  duration => 60);

wait_for { idle() == $clients } 30, 'clients';

my $count = sub { $t->sum($t->metrics, 'mesh_requests_total') };

for my $n (1 .. 3) {
    ok($t->reload(gone => 1), 'reload of slow callers');
    my $at = $count->();
    wait_for { $count->() > $at + $clients } 20, 'each to call';
}

is($load->finish =~ s/unsent \d+/unsent 0/r, CLEAN, '... no call of theirs failed');


# idle before and after: together the timeout

{
    my $client = $t->tcp('short');
    my $from = time;

    wait_for { idle() == 1 } 10;
    sleep 3;
    my $at = $t->handed('received');
    ok($t->reload(gone => 1), 'reload of an idle one');
    wait_for { $t->handed('received') > $at } 10, 'the client to move';
    is($client->closed(10), 'eof', 'it is closed');

    my $took = time - $from;
    ok($took > 5 && $took < 8.5, '... when all of mesh_client_timeout is over')
        or diag $took;
}

$serve->stop;
$t->done;
