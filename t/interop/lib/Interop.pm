package Interop;

# What a Dubbo consumer must be able to do with a Dubbo provider through nginx,
# whatever the versions of the two.
#
# INTEROP_DIRECT=1 leaves nginx out: what then fails is not nginx's doing.

use strict;
use warnings;
use utf8;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time sleep);

use lib dirname(__FILE__) . '/../../lib';
use Interop::Jvm;
use Mesh::Port qw(free_port);
use Mesh::Test qw(wait_for);

our @EXPORT_OK = qw(connections pairing prepare);

my $DIRECT = $ENV{INTEROP_DIRECT};
my $ECHO = 'mesh.kit.api.Echo';

my %RELEASE = (27 => '2.7.23', 33 => '3.3.6');

# what providers export; nginx knows each of these services
my @KEYS = ('', 'g1/:1.0.0', ':2.0.0', 'pair/', 'other/');


sub prepare {
    my $script = abs_path(dirname(__FILE__) . '/../prepare');
    system($script) == 0 or BAIL_OUT("$script failed");
    return;
}


# local ports of the TCP connections to a port of 127.0.0.1

sub connections {
    my ($port) = @_;
    my $peer = sprintf '0100007F:%04X', $port;
    my @local;
    for my $file ('/proc/net/tcp', '/proc/net/tcp6') {
        open my $fh, '<', $file or next;
        while (my $line = <$fh>) {
            my (undef, $local, $remote, $state) = split ' ', $line;
            # 01: established
            push @local, $local if $state eq '01' && $remote =~ /\Q$peer\E$/;
        }
    }
    return @local;
}


sub pairing {
    my ($consumer, $provider) = @_;

    my $builder = Test::More->builder;
    binmode $_, ':utf8'
        for map { $builder->$_ } qw(output failure_output todo_output);

    note("consumer $RELEASE{$consumer}, provider $RELEASE{$provider}");
    prepare();

    alarm 200 if $DIRECT;

    my $self = bless {
        consumer => $consumer, provider => $provider,
        dir => tempdir(CLEANUP => 1), start => time,
    }, __PACKAGE__;

    $self->{port}{$_} = free_port() for qw(a b);
    $self->proxy if !$DIRECT;

    # all at once: two cores have enough to do
    $self->provider('a');
    $self->provider('b');
    $self->{jvm} = Interop::Jvm->start($consumer, 'Consumer',
        log => "$self->{dir}/consumer.log");
    $_->ready for $self->{a}, $self->{b}, $self->{jvm};
    $self->lap('processes started');

    for my $name (qw(
        results exceptions pojos payload generic async oneway keys attachments
        callback fastjson2 concurrent heartbeat killed graceful
    )) {
        # 2.7.23 has no fastjson2, and 3.3 looks only once a minute whether
        # its heartbeats are answered: nothing to see there
        next if $name eq 'fastjson2'
            && ($self->{consumer} != 33 || $self->{provider} != 33);
        next if $name eq 'heartbeat' && $self->{consumer} == 33;

        my $part = "part_$name";
        subtest $name => sub { $self->$part };
        $self->lap($name);
    }

    $self->{jvm}->stop;
    $_->stop for grep { defined } @{$self}{qw(a b)};
    $DIRECT ? done_testing() : $self->{mesh}->done;
    return;
}


sub lap {
    my ($self, $what) = @_;
    note(sprintf '%5.1f s: %s', time - $self->{start}, $what);
    return;
}


sub provider {
    my ($self, $name) = @_;
    return $self->{$name} = Interop::Jvm->start($self->{provider}, 'Provider',
        log => "$self->{dir}/$name.log",
        args => ["port=$self->{port}{$name}", "name=$name",
                 'services=' . join ',', @KEYS],
        # 10 s is Dubbo's default
        define => {
            'dubbo.service.shutdown.wait' => $DIRECT ? 3000 : 10000,
        });
}


sub proxy {
    my ($self) = @_;
    my ($a, $b) = @{ $self->{port} }{qw(a b)};
    my %endpoints = map { $_ => "endpoint 127.0.0.1:$a;" } @KEYS;
    $endpoints{'pair/'} .= " endpoint 127.0.0.1:$b;";
    $endpoints{'other/'} = "endpoint 127.0.0.1:$b;";

    my $services = '';
    for my $key (@KEYS) {
        my ($group, $version) = $key =~ m{^([^:]*)(.*)$};
        $services .= "    service $group$ECHO$version { $endpoints{$key} }\n";
    }

    my $t = $self->{mesh} = Mesh::Test->new(timeout => 200);
    $t->write_conf(<<"CONF");
mesh {
    zone mesh:16m;
$services}

stream {
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass dubbo;
        mesh_timeout 8s;
    }

    server {
        listen 127.0.0.1:%%PORT_pinned%%;
        mesh_pass dubbo;
        mesh_timeout 8s;
        mesh_multiplex off;
    }
}
CONF
    $t->run;
    $self->{port}{$_} = $t->port($_) for qw(mesh pinned);
    return;
}


# where a consumer connects to that wants these providers, through a listener

sub address {
    my ($self, $listener, @providers) = @_;
    return join ',', map { "127.0.0.1:$self->{port}{$_}" }
        $DIRECT ? @providers : $listener;
}


sub client {
    my ($self, $name, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $opt{address} ||= $self->address('mesh', 'a');
    my $r = $self->{jvm}->ask('ref', name => $name, %opt);
    is($r->{answer}, 'ok', "client $name") or diag(explain($r));
    return $name;
}


sub call {
    my ($self, $ref, $op, %arg) = @_;
    return $self->{jvm}->ask('call', ref => $ref, op => $op, %arg);
}


# one call and what it has to answer; undef is null

sub answers {
    my ($self, $ref, $op, $arg, $expected, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $self->call($ref, $op, %$arg);
    my $good = defined $expected
        ? is($r->{value}, $expected, $what)
        : ok($r->{null}, $what);
    diag(explain($r)) if !$good;
    return $r;
}


sub part_results {
    my ($self) = @_;
    $self->client('plain');
    $self->beating;

    my %texts = (
        'normal result' => 'hello', 'empty string' => '',
        'not ASCII' => 'grüße, мир, 😀', 'string of 70000' => 'x' x 70000,
    );
    for my $what (sort keys %texts) {
        my $text = $texts{$what};
        $self->answers('plain', 'echo', { arg => $text }, $text, $what);
    }

    $self->answers('plain', 'nothing', {}, undef, 'void');
    $self->answers('plain', 'nil', {}, undef, 'null');
    $self->answers('plain', '$echo', { arg => 'ping' }, 'ping', '$echo');
    return;
}


sub part_exceptions {
    my ($self) = @_;

    $self->answers('plain', 'fail', { arg => 'checked' },
        'EchoException 42 checked, as declared', 'checked, with its state');

    my %expected = (
        runtime => ['java.lang.IllegalStateException', 'not in this state'],
        custom => ['mesh.kit.api.EchoFault', 'unchecked, of the interface'],
        error => ['java.lang.NoSuchMethodError', 'an Error, not an Exception'],
    );
    for my $kind (sort keys %expected) {
        my $r = $self->call('plain', 'fail', arg => $kind);
        is_deeply([@{$r}{qw(answer type text)}],
                  ['fail', @{ $expected{$kind} }], $kind)
            or diag(explain($r));
    }
    return;
}


my $sample = join '|', 'Ада', 37, 2**40, -0.125, 'true',
    '12345678901234567890.12', -4873996800000, 'GREEN',
    '[0, -1, 2147483647, 70000]', '[, two, двa]', '[best, nobody]', 'null',
    'Friend', 'Bossé 😀', 'shared';


sub part_pojos {
    my ($self) = @_;
    $self->answers('plain', 'birthday', {}, $sample,
        'POJO with fields of 12 types');
    $self->answers('plain', 'reverse', {},
        'c3BLUE1 b2BLUE-1 a1BLUE' . (1 << 60),
        'list of POJOs, enum, array of long');
    return;
}


sub part_payload {
    my ($self) = @_;
    my $size = 4 << 20;
    $self->answers('plain', 'invert', { size => $size }, $size,
        '4 MiB there and back');
    $self->answers('plain', 'make', { size => $size }, $size, '4 MiB back');
    $self->answers('plain', 'echo', { arg => 'small' }, 'small',
        'a small call behind them');
    return;
}


sub part_generic {
    my ($self) = @_;
    $self->client('generic', generic => 'true');

    $self->answers('generic', 'echo', { arg => 'hello' }, 'hello', '$invoke');
    $self->answers('generic', 'nothing', {}, undef,
        '$invoke of a void method');
    $self->answers('generic', 'birthday', {}, 'Généric 41 [x, y] GREEN Boss',
        '$invoke with maps');
    $self->answers('generic', 'delay', { arg => 'later', for => 50 }, 'later',
        '$invokeAsync');

    my $r = $self->call('generic', 'fail', arg => 'checked');
    like($r->{type}, qr/\.GenericException$/,
        'an exception is a GenericException');
    like($r->{text}, qr/^mesh\.kit\.api\.EchoException: checked, as declared/,
        'which names the real one');
    return;
}


sub part_async {
    my ($self) = @_;
    my $r = $self->answers('plain', 'later', { arg => 'f', for => 200 }, 'f',
        'method that returns a future');
    ok($r->{early}, 'which was not complete at once');

    $r = $self->answers('plain', 'async', { arg => 'a', for => 200 }, 'a',
        'asyncCall');
    ok($r->{early}, 'whose future was not complete at once');
    return;
}


sub part_oneway {
    my ($self) = @_;
    $self->call('plain', 'fire', arg => 'shot') for 1 .. 20;
    my $fired = sub {
        $self->call('plain', 'fired', arg => 'shot')->{value};
    };
    my $all = wait_for { $fired->() == 20 } 5;
    ok($all, '20 one-way calls arrived') or diag($fired->());
    sleep 0.2;
    is($fired->(), 20, 'each once');
    return;
}


sub part_keys {
    my ($self) = @_;
    $self->client('grouped', group => 'g1', version => '1.0.0');
    $self->client('version2', version => '2.0.0');

    $self->answers('plain', 'whoami', {}, 'a', 'neither group nor version');
    $self->answers('grouped', 'whoami', {}, 'a g1/:1.0.0', 'group and version');
    $self->answers('version2', 'whoami', {}, 'a :2.0.0', 'version');

    $self->client('generic-grouped', group => 'g1', version => '1.0.0',
        generic => 'true');
    $self->answers('generic-grouped', 'echo', { arg => 'g' }, 'g',
        'generic, group and version');

    $self->client('nowhere', group => 'nobody', version => '1.0.0');
    my $r = $self->call('nowhere', 'whoami');
    is($r->{type}, 'org.apache.dubbo.rpc.RpcException',
        'a group that nobody serves fails');
    is($r->{code}, 1, 'as a network error, which may be retried');
    cmp_ok($r->{ms}, '<', 1000, 'at once');
    return;
}


sub part_attachments {
    my ($self) = @_;
    my %texts = (
        'trace-id' => 'grün 1', 'user.name' => '', 'long' => 'y' x 20000,
    );
    for my $key (sort keys %texts) {
        my $text = $texts{$key};
        my $r = $self->answers('plain', 'attachment',
            { key => $key, arg => $text }, $text, "request attachment $key");
        is($r->{seen}, $text, "response attachment of $key");
    }
    return;
}


sub part_callback {
    my ($self) = @_;
    $self->client('callback', address => $self->address('pinned', 'a'));

    my $r = $self->answers('callback', 'subscribe', { arg => 'e', n => 3 },
        'got-e0,got-e1,got-e2', 'the provider called the listener back');
    is($r->{events}, 'e0 e1 e2', 'and the listener was called');
    $self->answers('callback', 'echo', { arg => 'after' }, 'after',
        'calls go on');

    # two sessions with callbacks: each provider's call to its own consumer
    $self->client('callback2', address => $self->address('pinned', 'a'));
    for my $i (1 .. 3) {
        for my $ref (qw(callback callback2)) {
            $self->answers($ref, 'subscribe', { arg => "$ref.", n => 1 },
                "got-$ref.0", "$ref, listener $i");
        }
    }
    return;
}


sub part_fastjson2 {
    my ($self) = @_;
    $self->client('fastjson2', serialization => 'fastjson2');
    $self->answers('fastjson2', 'echo', { arg => 'grüße 😀' }, 'grüße 😀',
        'normal result');
    $self->answers('fastjson2', 'nothing', {}, undef, 'void');
    $self->answers('fastjson2', 'birthday', {}, $sample, 'POJO');
    $self->answers('fastjson2', 'invert', { size => 4 << 20 }, 4 << 20,
        '4 MiB');
    $self->answers('fastjson2', 'fail', { arg => 'checked' },
        'EchoException 42 checked, as declared', 'checked exception');

    my $r = $self->answers('fastjson2', 'attachment',
        { key => 'k', arg => 'v' }, 'v', 'attachment');
    is($r->{seen}, 'v', 'response attachment');

    $self->client('fastjson2-grouped', serialization => 'fastjson2',
        group => 'g1', version => '1.0.0');
    $self->answers('fastjson2-grouped', 'whoami', {}, 'a g1/:1.0.0',
        'group and version');

    $self->client('fastjson2-nowhere', serialization => 'fastjson2',
        group => 'nobody');
    $r = $self->call('fastjson2-nowhere', 'whoami');
    is($r->{code}, 1, 'an error answer in hessian2 is understood');
    return;
}


sub part_concurrent {
    my ($self) = @_;
    my $before = () = $self->to_plain;
    my @names = map { "many$_" } 1 .. 8;

    # a call each, so that all are connected
    for (@names) {
        $self->client($_);
        $self->answers($_, 'echo', { arg => $_ }, $_, "call of $_");
    }
    my $after = () = $self->to_plain;
    is($after - $before, 8, '8 clients, 8 connections');

    my $refs = join ',', @names;
    my $r = $self->{jvm}->ask('gather', refs => $refs, n => 25);
    is_deeply([@{$r}{qw(good wrong failed)}], [200, 0, 0],
        '200 calls in flight at once, each with its own answer')
        or diag(explain($r));

    $r = $self->{jvm}->ask('storm', refs => $refs, threads => 25,
        calls => 20);
    is_deeply([@{$r}{qw(good wrong failed)}], [4000, 0, 0],
        '4000 calls of 200 threads, answers out of order')
        or diag(explain($r));
    note("4000 calls in $r->{ms} ms");

    $self->{jvm}->ask('unref', name => $_) for @names;
    return;
}


# A client that opens its connection anew when no heartbeat is answered for
# three seconds.  It is idle from the first part on.

sub beating {
    my ($self) = @_;
    my %before = map { $_ => 1 } $self->to_plain;
    $self->client('beating', heartbeat => 1000);
    $self->answers('beating', 'echo', { arg => 'x' }, 'x',
        'client with heartbeats');
    my ($port) = grep { !$before{$_} } $self->to_plain;
    $self->{beating} = { since => time, port => $port };
    return;
}


sub part_heartbeat {
    my ($self) = @_;
    my $idle = time - $self->{beating}{since};
    sleep 5 - $idle if $idle < 5;

    my $port = $self->{beating}{port};
    is(scalar(grep { $_ eq $port } $self->to_plain), 1,
        'an idle client keeps its connection');
    $self->answers('beating', 'echo', { arg => 'alive' }, 'alive',
        'which works');
    return;
}


sub to_plain {
    my ($self) = @_;
    return connections($self->{port}{ $DIRECT ? 'a' : 'mesh' });
}


sub part_killed {
    my ($self) = @_;
    my $n = 20;

    # the reason why a proxy must answer, not just close
    if ($DIRECT && $self->{consumer} == 33) {
        plan skip_all =>
            'a 3.3 consumer by itself waits for its time-out, and to reconnect';
    }

    $self->client('victim', timeout => 6000);
    $self->client('other', group => 'other',
        address => $self->address('mesh', 'b'));
    $self->answers('other', 'whoami', {}, 'b other/',
        'the other provider serves');

    $self->{jvm}->ask('hold', as => 'victims', ref => 'victim', n => $n,
        for => 20000);
    $self->{jvm}->ask('hold', as => 'others', ref => 'other', n => 5,
        for => 1500);
    my $running = wait_for {
        $self->call('plain', 'running')->{value} == $n;
    } 5;
    ok($running, "$n calls are in flight");

    my $killed = time;
    $self->{a}->kill('KILL');
    my $r = $self->{jvm}->ask('end', as => 'victims');

    is_deeply([@{$r}{qw(good wrong failed types)}],
        [0, 0, $n, "{RpcException/1=$n}"], 'each fails, as a network error')
        or diag(explain($r));
    note(sprintf 'failed %.3f to %.3f s after the kill: %s',
        $r->{first} - $killed, $r->{last} - $killed, $r->{texts});

    cmp_ok($r->{last} - $killed, '<', 1, 'within a second');

    $r = $self->{jvm}->ask('end', as => 'others');
    is_deeply([@{$r}{qw(good wrong failed)}], [5, 0, 0],
        'calls to the other provider end well') or diag(explain($r));

    $r = $self->call('victim', 'echo', arg => 'down');
    is($r->{code}, 1, 'a call while it is down: network error')
        or diag(explain($r));
    cmp_ok($r->{ms}, '<', 1000, 'at once') if !$DIRECT;

    $self->{a}->gone(5);
    $self->provider('a')->ready;
    my $ready = time;
    my $back = wait_for {
        $self->call('victim', 'echo', arg => 'up')->{answer} eq 'ok';
    } 10;
    ok($back, 'the provider is back, and so are calls');
    note(sprintf '%.3f s after it was ready', time - $ready);
    $self->answers('victim', 'whoami', {}, 'a', 'by the same client');
    return;
}


sub part_graceful {
    my ($self) = @_;
    my @names = map { "pair$_" } 1 .. 4;
    $self->client($_, group => 'pair',
        address => $self->address('mesh', 'a', 'b')) for @names;

    my %seen;
    my $both = wait_for {
        $seen{ $self->call('pair1', 'whoami')->{value} || '' }++;
        $seen{'a pair/'} && $seen{'b pair/'};
    } 5;
    ok($both, 'both providers serve') or diag(explain(\%seen));

    $self->{jvm}->ask('load', as => 'load', refs => join(',', @names),
        threads => 16);
    sleep 0.5;
    $self->{b}->kill('TERM');
    my $took = $self->{b}->gone(20);
    ok(defined $took, 'one of them stops');
    note(sprintf 'in %.1f s', $took || 20);
    sleep 0.5;
    my $r = $self->{jvm}->ask('end', as => 'load');

    # a consumer alone loses a call now and then: it may pick the connection
    # just before the provider closes it
    is_deeply([@{$r}{qw(wrong failed)}], [0, $DIRECT ? $r->{failed} : 0],
        'no call failed') or diag(explain($r));
    cmp_ok($r->{good}, '>', 200, 'of many') or diag(explain($r));
    note("$r->{good} good, $r->{failed} failed");

    $self->answers('pair1', 'whoami', {}, 'a pair/', 'the other serves on');
    return;
}


1;
