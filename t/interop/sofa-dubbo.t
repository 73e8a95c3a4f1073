#!/usr/bin/perl

# One port of nginx for consumers of both SDKs: what each speaks is found by
# its first bytes, and each reaches its own services.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $ECHO = 'mesh.kit.api.Echo';
my %SDK = (sofa => 'sofa513', dubbo => '33');

my $dir = tempdir(CLEANUP => 1);
my %port = map { $_ => free_port() } keys %SDK;
my %define = ('user.home' => $dir, 'logging.path' => $dir);
my (%provider, %consumer);

prepare();

my $t = Mesh::Test->new(timeout => 100);

# Dubbo's version would be SOFARPC's, and the name one for both, so that only
# the protocol tells which endpoint is meant

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    service $ECHO:1.0 {
        endpoint 127.0.0.1:$port{sofa} protocol=bolt;
        endpoint 127.0.0.1:$port{dubbo} protocol=dubbo;
    }
    service $ECHO:1.0:blue { endpoint 127.0.0.1:$port{sofa}; }
    service g1/$ECHO { endpoint 127.0.0.1:$port{dubbo}; }
}

stream {
    mesh_log_format protocol '\$mesh_protocol \$mesh_service \$mesh_error';
    mesh_access_log %%DIR%%/rpc.log protocol;

    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass auto;
        mesh_timeout 8s;
    }
}
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

client('sofa', 'shared');
client('sofa', 'own', unique => 'blue');
client('dubbo', 'shared', version => '1.0');
client('dubbo', 'own', group => 'g1');

my %label = (sofa => 'sofa blue', dubbo => 'dubbo g1/');
my %shared = (sofa => 'sofa', dubbo => 'dubbo :1.0');

for my $round (1, 2) {
    for my $sdk (sort keys %SDK) {
        is(call($sdk, 'shared', 'whoami')->{value}, $shared{$sdk},
            "$sdk: the provider that speaks it, round $round");
        is(call($sdk, 'own', 'whoami')->{value}, $label{$sdk},
            "$sdk: a service of its own, round $round");
    }
}

# both at once

my %order = (refs => 'shared,own', threads => 25, calls => 10);

$_->ask('rush', as => 'rush', %order) for values %consumer;
for my $sdk (sort keys %SDK) {
    my $r = $consumer{$sdk}->ask('end', as => 'rush');
    is_deeply([@{$r}{qw(good wrong failed)}], [500, 0, 0],
        "$sdk: 50 threads, each call with its own answer")
        or diag(explain($r));
}

my %text = (checked => 'EchoException 42 checked, as declared');

for my $sdk (sort keys %SDK) {
    is(call($sdk, 'shared', 'fail', arg => 'checked')->{value}, $text{checked},
        "$sdk: an exception");
}

$_->stop for values %consumer, values %provider;
$t->stop;

my %lines;
$lines{$_}++ for split /\n/, $t->read_file('rpc.log');
is_deeply([sort keys %lines], [
    "bolt $ECHO:1.0 -", "bolt $ECHO:1.0:blue -",
    "dubbo g1/$ECHO -", "dubbo $ECHO:1.0 -",
], 'protocols and services in the log') or diag(explain(\%lines));

$t->done;


###############################################################################


sub client {
    my ($sdk, $name, %opt) = @_;
    my $r = $consumer{$sdk}->ask('ref', name => $name, %opt,
        address => '127.0.0.1:' . $t->port('mesh'));
    is($r->{answer}, 'ok', "$sdk: client $name") or diag(explain($r));
    return;
}


sub call {
    my ($sdk, $ref, $op, %arg) = @_;
    my $r = $consumer{$sdk}->ask('call', ref => $ref, op => $op, %arg);
    diag(explain($r)) if $r->{answer} ne 'ok';
    return $r;
}
