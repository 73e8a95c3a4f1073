package Interop::Routes;

# Routes that change the requests of a Dubbo consumer: version and group for a
# provider that checks them, attachments set and removed; and routes by what the
# consumer attaches.

use strict;
use warnings;
use utf8;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Test::More;

use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test;

our @EXPORT_OK = qw(routes);

my $ECHO = 'mesh.kit.api.Echo';
my $NAME = 'grün 😀, von nginx';

my ($t, $port, $other, $consumer, $serialization);


# consumer and provider, both of 27 or 33

sub routes {
    my ($peer) = @_;
    my $dir = tempdir(CLEANUP => 1);

    my $builder = Test::More->builder;
    binmode $_, ':utf8'
        for map { $builder->$_ } qw(output failure_output todo_output);

    prepare();

    $t = Mesh::Test->new(timeout => 100);
    $port = free_port();

    # before the JVMs: it would hold their pipes open
    $other = Mesh::Peer->new(name => 'other', handler => \&elsewhere);
    nginx();

    my $provider = Interop::Jvm->start($peer, 'Provider',
        log => "$dir/provider.log",
        args => ["port=$port", 'name=p', 'services=,g1/:2.0.0,:4.0.0']);
    $consumer = Interop::Jvm->start($peer, 'Consumer',
        log => "$dir/consumer.log");
    $_->ready for $provider, $consumer;

    # 2.7.23 has no fastjson2
    for ('hessian2', $peer == 27 ? () : 'fastjson2') {
        $serialization = $_;
        subtest "keys, $_" => \&part_keys;
        subtest "calls, $_" => \&part_calls;
        subtest "attachments, $_" => \&part_attachments;
        subtest "shared, $_" => \&part_shared;
        subtest "tags, $_" => \&part_tags;
    }

    $_->stop for $consumer, $provider;
    $other->stop;
    $t->done;
    return;
}


sub elsewhere {
    my ($p, $c, $f) = @_;
    return if $f->{kind} ne 'request';
    $p->write($c, Mesh::Dubbo::response(id => $f->{id}, value => 'elsewhere',
        serialization => $f->{ser}));
    return 1;
}


sub nginx {
    my $elsewhere = $other->address;
    my $name = $NAME;
    utf8::encode($name);

    $t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    service $ECHO {
        endpoint 127.0.0.1:$port label=tag=gray;
        endpoint $elsewhere label=tag=none;
    }
    service g1/$ECHO:2.0.0 { endpoint 127.0.0.1:$port; }
    service $ECHO:4.0.0    { endpoint 127.0.0.1:$port; }

    route both    { match version=1.0.0;
                    to service=g1/$ECHO:2.0.0 rewrite=version,group; }
    route asis    { match version=1.1.0; to service=g1/$ECHO:2.0.0; }
    route version { match version=1.2.0 group=g1;
                    to service=g1/$ECHO:2.0.0 rewrite=version; }
    route half    { match version=1.2.0 group=g2;
                    to service=g1/$ECHO:2.0.0 rewrite=version; }
    route group   { match version=2.0.0 group=g2;
                    to service=g1/$ECHO:2.0.0 rewrite=group; }
    route none    { match version=3.0.0;
                    to service=$ECHO label=tag=gray rewrite=version,group; }
    route some    { match interface=$ECHO !version !group method=whoami;
                    to service=g1/$ECHO:2.0.0 rewrite=version,group; }

    route edited  { match version=4.0.0;
                    set user.name "$name"; set empty "";
                    remove secret trace-id; }

    route gone    { match method=attachment version=5.0.0 group=gone;
                    to service=$ECHO:4.0.0 rewrite=version,group;
                    remove shared.b; }
    route shared  { match method=attachment version=5.0.0;
                    to service=$ECHO:4.0.0 rewrite=version,group;
                    set way long; }

    route gray    { match method=attachment attachment.dubbo.tag=gray;
                    to label=tag=gray; set way gray; }
    route tagless { match method=attachment !attachment.dubbo.tag;
                    to label=tag=none; }
    route tagged  { match method=attachment attachment.dubbo.tag=*;
                    to label=tag=nobody; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass dubbo;
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
    $opt{serialization} = $serialization if $serialization ne 'hessian2';
    my $r = $consumer->ask('ref', name => $name, %opt,
        address => '127.0.0.1:' . $t->port('mesh'));
    is($r->{answer}, 'ok', "client $name") or diag(explain($r));
    return;
}


# one call and what it has to answer; undef is null

sub answers {
    my ($ref, $op, $arg, $expected, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $consumer->ask('call', ref => $ref, op => $op, %$arg);
    my $good = defined $expected
        ? is($r->{value}, $expected, $what)
        : ok($r->{null}, $what);
    diag(explain($r)) if !$good;
    return $r;
}


# the provider knows nothing of what was asked for

sub refused {
    my ($ref, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $consumer->ask('call', ref => $ref, op => 'whoami');
    is($r->{type}, 'org.apache.dubbo.rpc.RpcException', $what)
        or diag(explain($r));
    unlike($r->{text}, qr/nginx-mesh:/, '... says the provider');
    note($r->{text});
    return;
}


sub part_keys {
    client('both', version => '1.0.0');
    answers('both', 'whoami', {}, 'p g1/:2.0.0', 'version and group');

    client('asis', version => '1.1.0');
    refused('asis', 'neither: the provider refuses');

    client('version', version => '1.2.0', group => 'g1');
    answers('version', 'whoami', {}, 'p g1/:2.0.0', 'version alone');

    client('half', version => '1.2.0', group => 'g2');
    refused('half', 'version alone, of another group: refused');

    client('group', version => '2.0.0', group => 'g2');
    answers('group', 'whoami', {}, 'p g1/:2.0.0', 'group alone');

    client('none', version => '3.0.0', group => 'g3');
    answers('none', 'whoami', {}, 'p', 'none of both any more');

    client('some');
    answers('some', 'whoami', {}, 'p g1/:2.0.0', 'both where there were none');
    return;
}


sub part_calls {
    answers('both', 'echo', { arg => 'grüße 😀' }, 'grüße 😀', 'a text');
    my $long = 'x' x 70_000;
    answers('both', 'echo', { arg => $long }, $long, 'a long one');
    answers('both', 'nothing', {}, undef, 'void');
    answers('both', 'reverse', {}, 'c3BLUE1 b2BLUE-1 a1BLUE' . (1 << 60),
        'a list of POJOs, an enum, an array');
    answers('both', 'fail', { arg => 'checked' },
        'EchoException 42 checked, as declared', 'an exception');
    answers('both', 'invert', { size => 1 << 20 }, 1 << 20, '1 MiB');
    answers('both', 'async', { arg => 'a', for => 20 }, 'a', 'asyncCall');

    my $key = "shot of $serialization";
    $consumer->ask('call', ref => 'both', op => 'fire', arg => $key) for 1 .. 9;
    my $fired = sub {
        $consumer->ask('call', ref => 'both', op => 'fired', arg => $key)
                 ->{value} // -1;
    };
    ok((wait_for { $fired->() == 9 } 5), 'one-way calls') or diag($fired->());

    my $r = $consumer->ask('storm', refs => 'both,none', threads => 8,
        calls => 20);
    is_deeply([@{$r}{qw(good wrong failed)}], [320, 0, 0],
        'many at once, to two services') or diag(explain($r));

    return if $serialization ne 'hessian2';

    client('generic', version => '1.0.0', generic => 'true');
    answers('generic', 'echo', { arg => 'g' }, 'g', '$invoke');
    answers('generic', 'birthday', {}, 'Généric 41 [x, y] GREEN Boss',
        '$invoke with maps');
    return;
}


sub part_attachments {
    client('edited', version => '4.0.0');
    my $r = answers('edited', 'attachment',
        { key => 'user.name', sent => 'other', arg => 'x' }, $NAME, 'set');
    is($r->{seen}, $NAME, '... and back with the answer');
    answers('edited', 'attachment',
        { key => 'user.name', arg => 'the consumer' }, $NAME,
        "set in place of the consumer's");
    answers('edited', 'attachment', { key => 'empty', arg => 'x' }, '',
        'set to nothing');

    for my $key (qw(secret trace-id)) {
        answers('edited', 'attachment', { key => $key, arg => 'x' }, undef,
            "$key is removed");
    }
    for my $text ('kept', 'grün 😀', 'y' x 20_000) {
        answers('edited', 'attachment', { key => 'kept', arg => $text }, $text,
            'others are kept: ' . substr $text, 0, 10);
    }
    answers('edited', 'whoami', {}, 'p :4.0.0', 'version as before');
    return;
}


# One list under two names: in the map of Java "shared.b" comes first, and the
# other refers to it.

sub part_shared {
    my $sent = 'shared.a,shared.b';

    client('shared', version => '5.0.0', group => 'g5');
    for my $key ('shared.a', 'shared.b') {
        answers('shared', 'shared', { key => $key, sent => $sent }, '[x, y]',
            "$key is a list");
    }
    answers('shared', 'shared', { key => 'way', sent => $sent }, 'long',
        'and another is set');

    client('gone', version => '5.0.0', group => 'gone');
    my $r = $consumer->ask('call', ref => 'gone', op => 'shared',
        key => 'shared.a', sent => $sent);
    like($r->{text}, qr/route "gone" changes requests, and this one cannot be/,
        'what others refer to cannot be removed') or diag(explain($r));
    answers('gone', 'shared', { key => 'shared.a', sent => 'shared.a' },
        '[x, y]', '... but what is not there can');
    return;
}


# Dubbo itself shows no service what its tag is

sub part_tags {
    client('plain');
    for (1 .. 3) {
        answers('plain', 'attachment',
            { key => 'way', sent => 'dubbo.tag', arg => 'gray' }, 'gray',
            'those with the tag go to the endpoint with the label');
        answers('plain', 'attachment', { key => 'user', arg => 'gray' },
            'elsewhere', '... those without do not');
    }

    my $r = $consumer->ask('call', ref => 'plain', op => 'attachment',
        key => 'dubbo.tag', arg => 'red');
    is($r->{answer}, 'fail', 'a tag nobody has') or diag(explain($r));
    like($r->{text}, qr/route "tagged" leads to no endpoint/, '... says so');
    return;
}


1;
