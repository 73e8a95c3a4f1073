#!/usr/bin/perl

# What the new configuration makes of connections of the old one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Upgrade;

use Time::HiRes qw(sleep);

my $peer = Mesh::Peer->new(value => 'ok');

my $t = Mesh::Upgrade->new(timeout => 200);


# the servers besides "rpc" by name; "off" and the like change them

sub text {
    my ($main, @servers) = @_;

    return conf(main => $main, service => 'endpoint ' . $peer->address . ';',
                server => 'mesh_handover_timeout 1s;',
                stream => join '', 'mesh_handover_timeout 1s;',
                    map { "server { $_ }\n" } @servers);
}

my %server = (
    gone => 'listen 127.0.0.1:%%PORT_gone%%; mesh_pass dubbo;',
    other => 'listen 127.0.0.1:%%PORT_other%%; mesh_pass dubbo;',
    proxied => 'listen 127.0.0.1:%%PORT_proxied%%; mesh_pass dubbo;',
    ssl => 'listen 127.0.0.1:%%PORT_ssl%%; mesh_pass dubbo;',
    auto => 'listen 127.0.0.1:%%PORT_auto%%; mesh_pass auto;',
    reuse => 'listen 127.0.0.1:%%PORT_reuse%% reuseport; mesh_pass dubbo;',
    wild => 'listen *:%%PORT_wild%%; mesh_pass dubbo;',
    six => 'listen [::1]:%%PORT_six%%; mesh_pass dubbo;',
    unix => 'listen unix:%%DIR%%/mesh.sock; mesh_pass dubbo;',
    off => 'listen 127.0.0.1:%%PORT_off%%; mesh_pass dubbo; '
           . 'mesh_handover off;',
);

my $six = IO::Socket::IP->new(Listen => 1, LocalHost => '::1') ? 1 : 0
    if eval { require IO::Socket::IP };
delete $server{six} unless $six;

my ($crt, $key) = $t->certificate('mesh');
my $main = 'worker_processes 1;';

$t->write_conf(text($main, @server{sort keys %server}));
$t->run;

sub client {
    my ($name, %o) = @_;

    return $t->tcp($t->dir . '/mesh.sock') if $name eq 'unix';

    if ($name eq 'six') {
        my $client = $t->tcp('rpc');
        $client->{socket} = IO::Socket::IP->new(
            PeerHost => '::1', PeerPort => $t->port('six')) // die "six: $!";
        return $client;
    }

    return $t->tcp($name);
}

sub works {
    my ($client) = @_;
    return went($client->call(service => 'demo.Echo'));
}

# how a client ends: what it got, and the end

sub ends {
    my ($client) = @_;
    return join ' ', map({ $_->{kind} } $client->recv_frames(2, 10)),
                     $client->closed(10);
}


# what stays, moves; in every kind of listener

my %client = map { $_ => client($_) } keys %server;

is_deeply({ map { $_ => works($client{$_}) } keys %server },
          { map { $_ => 'ok' } keys %server }, 'clients of all listeners');

my @moves = grep { $_ ne 'off' } sort keys %server;

ok($t->reload(gone => 1), 'reload of the same configuration');
ok(wait_for(sub { $t->handed('received') >= @moves }, 10), '... they move');
is_deeply({ map { $_ => works($client{$_}) } @moves },
          { map { $_ => 'ok' } @moves }, '... each to its listener');
is(ends(delete $client{off}), 'readonly eof', '"mesh_handover off" gets notice');


# a number of workers; those with "reuseport" have a socket for each

for my $workers (4, 2) {
    $main = "worker_processes $workers;";
    $t->write_conf(text($main, @server{sort keys %server}));
    my %old = map { $_ => 1 } $t->workers;
    $t->signal('HUP');
    ok(wait_for(sub {
        my @all = $t->of_master($t->pid);
        @all == $workers && !grep { $old{$_} } @all
    }, 20), "reload with $workers workers");
    is_deeply({ map { $_ => works($client{$_}) } @moves },
              { map { $_ => 'ok' } @moves }, '... all moved');
}


# listeners that are gone, or have become something else

my %now = %server;

delete $now{gone};
$now{other} =~ s/mesh_pass dubbo/mesh_pass bolt/;
$now{proxied} =~ s/mesh_pass dubbo/proxy_pass @{[ $peer->address ]}/;
$now{ssl} =~ s/;/ ssl; ssl_certificate $crt; ssl_certificate_key $key;/;
$now{auto} =~ s/mesh_pass auto/mesh_pass dubbo/;
$now{wild} =~ s/;/; mesh_handover off;/;

my $failed = $t->handed('failed');
my $bad = $t->metrics->{'mesh_protocol_errors_total{side="client"}'};

$t->write_conf(text($main, @now{sort keys %now}));
ok($t->reload(gone => 1), 'reload with other listeners');

for my $name (qw(gone other proxied ssl)) {
    is(ends($client{$name}), 'readonly eof', "$name: notice, and the end");
}

for my $name (grep { $client{$_} } qw(auto reuse wild six unix)) {
    is(works($client{$name}), 'ok', "$name goes on");
}

cmp_ok($t->handed('failed') - $failed, '>=', 3, 'those that ended are counted');
is($t->metrics->{'mesh_protocol_errors_total{side="client"}'}, $bad,
   '... nothing was read as what it is not');


# nobody takes over

my $idle = client('rpc');
works($idle);
$t->signal('QUIT');
is(ends($idle), 'readonly eof', 'QUIT without successor: notice, and the end');
ok(wait_for(sub { $t->gone }, 10), '... soon');
$t->stop;


# workers of another user

SKIP: {
    skip 'optional: only root runs workers of another user', 4 if $> != 0;

    $t = Mesh::Upgrade->new;
    chmod 0755, $t->dir;
    $t->write_conf(text("user www-data;\nworker_processes 2;"));
    $t->run;

    my $client = $t->tcp('rpc');
    is(works($client), 'ok', 'workers of another user');
    ok($t->reload(gone => 1), '... reload');
    is(works($client), 'ok', '... hand over');

    my $old = $t->usr2;
    ok($t->leave($old), '... upgrade');
    is(works($client), 'ok', '... hand over');
    is($t->handed('failed'), 0, '... all');
    $t->stop;
}


# no master

{
    $t = Mesh::Test->new;
    $t->write_conf(text('master_process off;'));
    $t->run;

    is(scalar $t->grep_log(qr/"master_process off": connections are not/), 1,
       '"master_process off" says what it cannot do');
    my $client = $t->tcp('rpc');
    is(works($client), 'ok', '... serves');
    $t->signal('HUP');
    ok($t->wait_log(qr/reconfiguring/, 10), '... a reload');
    sleep 0.3;
    is(works($client), 'ok', '... of the one process leaves it alone');
    is(scalar $t->grep_log(qr/"master_process off": connections are not/), 1,
       '... and says so once');
    $t->stop;
}


# a path that is too long for a socket

{
    $t = Mesh::Upgrade->new;

    my $long = $t->dir . '/' . 'x' x 80;
    mkdir $long;
    no warnings 'redefine';
    local *Mesh::Upgrade::pid_path = sub { "$long/nginx.pid" };
    $t->write_conf(text('worker_processes 1;'));
    my $conf = $t->read_file('nginx.conf');
    $conf =~ s/^pid .*$/pid $long\/nginx.pid;/m;
    $t->write_file('nginx.conf', $conf);
    $t->run;

    is(scalar $t->grep_log(qr/path of "pid" .* too long/), 1,
       'a long path is told');
    my $client = $t->tcp('rpc');
    is(works($client), 'ok', '... serves');
    ok($t->reload(gone => 1), '... reloads');
    is(ends($client), 'readonly eof', '... with notice');
    $t->stop;
}

$t->done;
