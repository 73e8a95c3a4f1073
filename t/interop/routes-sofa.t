#!/usr/bin/perl

# Routes that change the requests of a SOFARPC consumer: the version (and unique
# id) for a provider that has another, headers set and removed.

use strict;
use warnings;
use utf8;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $ECHO = 'mesh.kit.api.Echo';
my $NAME = 'grün 😀, von nginx';
my $RPC = 'com.alipay.sofa.rpc.core.exception.SofaRpcException';

my $dir = tempdir(CLEANUP => 1);
my $port = free_port();

# where SOFARPC's tracer would write its logs, too
my %define = ('user.home' => $dir, 'logging.path' => $dir,
              'invoke.baggage.enable' => 'true');

my $builder = Test::More->builder;
binmode $_, ':utf8'
    for map { $builder->$_ } qw(output failure_output todo_output);

prepare();

my $t = Mesh::Test->new(timeout => 100);
nginx();

my $provider = Interop::Jvm->start('sofa513', 'Provider',
    log => "$dir/provider.log", define => \%define,
    args => ["port=$port", 'name=p',
             'services=,blue,2.0:,2.0:blue,edited']);
my $consumer = Interop::Jvm->start('sofa513', 'Consumer',
    log => "$dir/consumer.log", define => \%define);
$_->ready for $provider, $consumer;

subtest versions => \&part_versions;
subtest calls => \&part_calls;
for my $serialization (qw(hessian2 json)) {
    subtest "headers, $serialization" => \&part_headers, $serialization;
}
subtest protobuf => \&part_protobuf;

$_->stop for $consumer, $provider;
$t->done;


###############################################################################


sub nginx {
    my $name = $NAME;
    utf8::encode($name);

    $t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    service $ECHO:1.0      { endpoint 127.0.0.1:$port; }
    service $ECHO:1.0:blue { endpoint 127.0.0.1:$port; }
    service $ECHO:2.0      { endpoint 127.0.0.1:$port; }
    service $ECHO:2.0:blue { endpoint 127.0.0.1:$port; }
    service mesh.kit.api.Wrapped:1.0 { endpoint 127.0.0.1:$port; }
    service $ECHO:1.0:edited { endpoint 127.0.0.1:$port; }

    route version { match interface=$ECHO version=3.0;
                    to service=$ECHO:2.0 rewrite=version; }
    route asis    { match version=3.1; to service=$ECHO:2.0; }
    route id      { match version=3.0:blue;
                    to service=$ECHO:2.0:blue rewrite=version; }
    route withid  { match version=3.2;
                    to service=$ECHO:1.0:blue rewrite=version; }
    route noid    { match version=3.2:blue;
                    to service=$ECHO:2.0 rewrite=version; }
    route bolt2   { match version=1.0:two;
                    to service=$ECHO:2.0 rewrite=version; }

    route edited  { match version=1.0:edited;
                    set rpc_req_baggage.user "$name";
                    set rpc_req_baggage.empty ""; set kit.asked "by the route";
                    remove rpc_req_baggage.secret; }
    route wrapped { match interface=mesh.kit.api.Wrapped version=3.0;
                    to service=mesh.kit.api.Wrapped:1.0 rewrite=version;
                    set kit.asked "by the route"; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass bolt;
        mesh_timeout 8s;
    }
}
CONF
    $t->run;
    return;
}


sub client {
    my ($name, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $consumer->ask('ref', name => $name, %opt,
        address => '127.0.0.1:' . $t->port('mesh'));
    is($r->{answer}, 'ok', "client $name") or diag(explain($r));
    return;
}


sub call {
    my ($ref, $op, %arg) = @_;
    return $consumer->ask('call', ref => $ref, op => $op, %arg);
}


# one call and what it has to answer; undef is null

sub answers {
    my ($ref, $op, $arg, $expected, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = call($ref, $op, %$arg);
    my $good = defined $expected
        ? is($r->{value}, $expected, $what)
        : ok($r->{null}, $what);
    diag(explain($r)) if !$good;
    return $r;
}


sub part_versions {
    client('version', version => '3.0');
    answers('version', 'whoami', {}, 'p 2.0:', 'another version');

    client('asis', version => '3.1');
    my $r = call('asis', 'whoami');
    is($r->{type}, $RPC, 'without rewrite= the provider refuses')
        or diag(explain($r));
    unlike($r->{text}, qr/nginx-mesh:/, '... itself');
    note($r->{text});

    client('id', version => '3.0', unique => 'blue');
    answers('id', 'whoami', {}, 'p 2.0:blue', '... with a unique id');
    client('withid', version => '3.2');
    answers('withid', 'whoami', {}, 'p blue', '... where there was none');
    client('noid', version => '3.2', unique => 'blue');
    answers('noid', 'whoami', {}, 'p 2.0:', '... and none any more');
    return;
}


sub part_calls {
    answers('version', 'echo', { arg => 'grüße 😀' }, 'grüße 😀', 'a text');
    my $long = 'x' x 70_000;
    answers('version', 'echo', { arg => $long }, $long, 'a long one');
    answers('version', 'nothing', {}, undef, 'void');
    answers('version', 'reverse', {}, 'c3BLUE1 b2BLUE-1 a1BLUE' . (1 << 60),
        'a list of POJOs, an enum, an array');
    answers('version', 'fail', { arg => 'checked' },
        'EchoException 42 checked, as declared', 'an exception');
    answers('version', 'invert', { size => 1 << 20 }, 1 << 20, '1 MiB');

    call('version', 'fire', arg => 'shot') for 1 .. 9;
    my $fired = sub { call('version', 'fired', arg => 'shot')->{value} // -1 };
    ok((wait_for { $fired->() == 9 } 5), 'one-way calls') or diag($fired->());

    my $r = $consumer->ask('storm', refs => 'version,id', threads => 8,
        calls => 20);
    is_deeply([@{$r}{qw(good wrong failed)}], [320, 0, 0],
        'many at once, to two services') or diag(explain($r));

    client('generic', version => '3.0', generic => 'true');
    answers('generic', 'echo', { arg => 'g' }, 'g', '$invoke');
    answers('generic', '$genericInvoke', {}, 'mesh.kit.api.Person Généric 41',
        '$genericInvoke');

    client('bolt2', bolt => 2, unique => 'two');
    answers('bolt2', 'echo', { arg => 'zwei' }, 'zwei', 'Bolt 2 with its CRC');

    client('json', version => '3.0', serialization => 'json');
    answers('json', 'whoami', {}, 'p 2.0:', 'JSON');
    answers('json', 'reverse', {}, 'c3BLUE1 b2BLUE-1 a1BLUE' . (1 << 60),
        'JSON: three arguments');
    return;
}


sub part_headers {
    my ($serialization) = @_;
    my $ref = "edited, $serialization";

    client($ref, unique => 'edited', serialization => $serialization);
    my $r = answers($ref, 'attachment',
        { key => 'user', sent => 'other', arg => 'x' }, $NAME, 'set');
    is($r->{seen}, $NAME, '... and back with the answer');
    answers($ref, 'attachment', { key => 'user', arg => 'the consumer' },
        $NAME, "set in place of the consumer's");
    answers($ref, 'attachment', { key => 'empty', arg => 'x' }, '',
        'set to nothing');
    answers($ref, 'attachment', { key => 'secret', arg => 'x' }, undef,
        'removed');
    answers($ref, 'attachment', { key => 'kept', arg => 'grün 😀' },
        'grün 😀', 'others are kept');

    is(call($ref, 'props')->{seen}, 'by the route', 'a prop');
    is(call($ref, 'props', arg => 'by the consumer')->{seen}, 'by the route',
        "... in place of the consumer's");
    return;
}


sub part_protobuf {
    client('protobuf', version => '3.0', serialization => 'protobuf');
    answers('protobuf', 'echo', { arg => 'grüße 😀' }, 'grüße 😀', 'version');
    is(call('protobuf', 'props')->{seen}, 'by the route', 'header')
        or diag(explain(call('protobuf', 'props')));
    return;
}
