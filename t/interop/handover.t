#!/usr/bin/perl

# Real consumers under constant load notice nothing of reloads and upgrades: no
# call fails, no connection is made anew.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Port qw(free_port);
use Mesh::Upgrade;

use Time::HiRes qw(sleep);

my $ECHO = 'mesh.kit.api.Echo';
my $reloads = $ENV{TEST_MESH_LONG} ? 100 : 20;

my %SDK = (sofa => 'sofa513', dubbo => '33');
my $dir = tempdir(CLEANUP => 1);
my %port = map { $_ => free_port() } keys %SDK;
my %define = ('user.home' => $dir, 'logging.path' => $dir);
my (%provider, %consumer);

prepare();

my $t = Mesh::Upgrade->new(timeout => 120 + 3 * $reloads);

$t->write_conf(<<"CONF");
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;

    service $ECHO:1.0 {
        endpoint 127.0.0.1:$port{sofa} protocol=bolt;
        endpoint 127.0.0.1:$port{dubbo} protocol=dubbo;
    }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass auto;
        mesh_timeout 8s;
        mesh_handover_timeout 100ms;
    }
}

http { server { listen 127.0.0.1:%%PORT_http%%; location /metrics {
    mesh_metrics; } } }
CONF
$t->run;

my %services = (sofa => ',blue', dubbo => ':1.0,g1/');

for my $sdk (sort keys %SDK) {
    $provider{$sdk} = Interop::Jvm->start($SDK{$sdk}, 'Provider',
        log => "$dir/$sdk-provider.log", define => \%define,
        args => ["port=$port{$sdk}", "name=$sdk", "services=$services{$sdk}"]);
    $consumer{$sdk} = Interop::Jvm->start($SDK{$sdk}, 'Consumer',
        log => "$dir/$sdk-consumer.log", define => \%define);
}
$_->ready for values %provider, values %consumer;

for my $sdk (sort keys %SDK) {
    my $r = $consumer{$sdk}->ask('ref', name => 'mesh',
        address => '127.0.0.1:' . $t->port('mesh'),
        $sdk eq 'dubbo' ? (version => '1.0') : ());
    is($r->{answer}, 'ok', "$sdk: a client") or diag(explain($r));
    is($consumer{$sdk}->ask('call', ref => 'mesh', op => 'whoami')->{answer},
       'ok', "$sdk: a call");
}

# workers publish what they count once a second
my $clients = keys %SDK;
ok(wait_for(sub {
    $t->metrics->{mesh_client_connections_total} == $clients
}, 10), 'a connection of each');

$_->ask('load', as => 'load', refs => 'mesh', threads => 16)
    for values %consumer;

my $refused = 0;

for (1 .. $reloads) {
    sleep 0.1 + rand 0.3;
    $refused++ unless $t->reload;
}

is($refused, 0, 'no reload was refused');
is($t->metrics->{mesh_client_connections_total}, $clients,
   'no consumer had to connect anew');

# sixteen threads leave no gap between calls: reading has to pause for it
cmp_ok($t->sum($t->metrics, 'mesh_handovers_total', event => 'sent'), '>=',
       $reloads, 'they were handed over');
cmp_ok($t->sum($t->metrics, 'mesh_handovers_total', event => 'paused'), '>', 0,
       '... between calls that overlap');


# a new master counts anew: whoever it has was handed to it

for my $n (1, 2) {
    my $old = $t->usr2;
    ok($old && $t->leave($old), "upgrade $n");
}

ok(wait_for(sub { $t->handed('received') >= $clients }, 10),
   'they are with the last master');
is($t->metrics->{mesh_client_connections_total}, 0,
   '... to which none had to connect');

for my $sdk (sort keys %SDK) {
    my $r = $consumer{$sdk}->ask('end', as => 'load');
    cmp_ok($r->{good}, '>', 20 * $reloads, "$sdk: calls through $reloads "
           . 'reloads');
    is("$r->{wrong} $r->{failed}", '0 0', '... all answered, and right')
        or diag(explain($r));
}

$_->stop for values %consumer, values %provider;
$t->done;
