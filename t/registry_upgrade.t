#!/usr/bin/perl

# Reloads, dead and hung agents, and upgrades of the binary there and back, with
# registries: no call fails, endpoints do not blink, and whoever has the lease
# is the only one who asks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Redis;
use Mesh::Upgrade;

use constant { NAME => 'bench.Echo', KEY => 'bench.Echo:1.0.0' };

my $reloads = $ENV{TEST_MESH_LONG} ? 50 : 8;

# a new master is an exec of the old one's, whose pools are never freed
$ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=0:exitcode=99';

my $t = Mesh::Upgrade->new(timeout => 180);
my $f = Mesh::FaultHTTP->new;
my $redis = Mesh::Redis->new;

my @serve = map { serve() } 1 .. 2;
my @ports = map { $_->address =~ /:(\d+)/ } @serve;

$f->service(NAME, [dubbo($f, KEY, $ports[0])]);
$redis->provide("dubbo://127.0.0.1:$ports[1]/@{[NAME]}?side=provider"
                . "&interface=@{[NAME]}&version=1.0.0");

$t->write_conf(<<"CONF");
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;
    state_path %%DIR%%/state;
    registry consul @{[$f->url]};
    registry redis @{[$redis->url]};
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
    }
}

http {
    access_log off;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
        location /api/ { mesh_api write=on; }
    }
}
CONF

my $all = join ' ', sort map { "127.0.0.1:$_=100" } @ports;


sub states {
    my $r = api($t, 'GET', 'registries')->{json} // {};
    return join ' ', map { $_->{status}{state} } @{ $r->{items} // [] };
}


# nothing has changed, and soon one asks

sub as_before {
    my ($name) = @_;

    is(learned($t, KEY), $all, "$name: all serve");
    ok((wait_for { $f->waiting == 1 && states() eq 'ok ok' } 20),
       '... one asks') or diag $f->waiting, ' ', states();
    is(learned($t, KEY), $all, '... and all serve');
}


$t->run;

my $load = $t->calls(connections => 4, depth => 2, duration => '600s',
                     rate => 500);

is(until_learned($t, KEY, 2), $all, 'two registries');

for (1 .. $reloads) {
    $t->signal('HUP');
    sleep 0.2;
}

as_before('reloads');
ok((wait_for { !$t->leaving } 20), '... old workers are gone');

$t->allow_log(qr/exited on signal 9/);

for my $signal (qw(KILL STOP)) {
    my ($agent) = $t->children(qr/mesh agent/);

    kill $signal, $agent;
    ok((wait_for {
        my ($now) = $t->children(qr/mesh agent/);
        $now && $now != $agent;
    } 20), "$signal: another agent");
    as_before($signal);
}

my $old = $t->usr2;

as_before('two masters');
ok($t->winch($old), 'the old workers go');
as_before('WINCH');
ok($t->rollback($old), 'there is a way back');
as_before('back');

$old = $t->usr2;
ok($t->leave($old), 'the old master goes');
as_before('upgraded');

is($load->finish, CLEAN, 'no call has failed');
ok((wait_for { !$t->leaving } 20), 'old workers are gone');
is($t->quit(5), 0, 'who waits for a registry quits at once');

$_->stop for @serve;
$t->done;
