#!/usr/bin/perl

# The registries that tests start, and the servers that misbehave like them.

use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX qw(WNOHANG _exit);
use Test::More;
use Time::HiRes qw(time sleep);

use lib "$FindBin::Bin/lib";
use Mesh::Consul;
use Mesh::FaultHTTP;
use Mesh::FaultRESP;
use Mesh::Redis;
use Mesh::Relay;
use Mesh::Resp;
use Mesh::Test qw(wait_for);

my $URL = 'dubbo://127.0.0.1:20880/com.example.A?version=1.0.0';
my $HEALTH = '/v1/health/service/com.example.A';

# for its directory alone
my $t = Mesh::Test->new;


###############################################################################

my ($consul, $agent);

subtest 'Consul' => sub {
    my $c = $consul = Mesh::Consul->new(data => 1);

    $c->register('a-1', 'com.example.A', 20880, tags => ['v1'], ttl => 10,
                 weights => [5, 1]);
    is_deeply($c->states('com.example.A'), { 20880 => 'passing' },
              'a service is registered');

    $c->warn('a-1', 'slow');
    is($c->states('com.example.A')->{20880}, 'warning', 'its check warns');
    $c->pass('a-1');
    $c->maintenance('a-1', 1, 'by hand');
    is($c->states('com.example.A')->{20880}, 'critical', 'maintenance');
    $c->maintenance('a-1', 0);

    my $index = $c->http('GET', $HEALTH)->{index};
    $c->deregister('a-1');
    cmp_ok($c->http('GET', "$HEALTH?index=$index&wait=5s")->{index}, '>',
           $index, 'a blocking query sees the end');

    $c->dubbo($URL);
    $c->sofa('com.example.S', 12200, '1.0', unique => 'u');
    $c->many('com.example.M', 130);
    is(@{ $c->done('GET', '/v1/health/service/com.example.M') }, 130,
       'many at once');

    $c->restart;
    is_deeply($c->states('com.example.A'), { 20880 => 'passing' },
              'a restart keeps what was registered');

    $agent = Mesh::Consul->new(client => $c);
    is_deeply($agent->states('com.example.S'), { 12200 => 'passing' },
              'a client agent');

    $c->restart(empty => 1);
    is_deeply($c->states('com.example.M'), {}, 'a restart with nothing');
    $agent->stop;
};


subtest 'Consul, locked' => sub {
    my ($crt, $key) = $t->certificate('consul');
    my $c = Mesh::Consul->new(acl => 1, unix => $t->dir . '/consul.sock',
                              tls => { crt => $crt, key => $key });
    my $token = $c->token('service_prefix "" { policy = "read" }'
                          . 'node_prefix "" { policy = "read" }');

    $c->register('a-1', 'com.example.A', 20880);

    my $n = sub { $c->http('GET', $HEALTH, undef, token => $_[0]) };

    is(@{ $n->($token)->{json} }, 1, 'a token may read');
    is(@{ $n->('')->{json} }, 0, 'nobody may not');
    $c->revoke($token);
    is($n->($token)->{status}, 403, 'a token that is gone');

    ok(HTTP::Tiny->new->get($c->https . '/v1/status/leader')->{success},
       'HTTPS');
    ok(-S $t->dir . '/consul.sock', 'and a socket');

    my $alone = Mesh::Consul->new(expect => 2);
    is($alone->done('GET', '/v1/status/leader'), '', 'one without a leader');
};


my $redis;

subtest 'Redis' => sub {
    my $r = $redis = Mesh::Redis->new(persist => 1);
    my $c = $r->client;

    my $key = $r->provide($URL);
    is($key, '/dubbo/com.example.A/providers', 'a provider');

    $c->command(SUBSCRIBE => $key);
    $r->beat($URL);
    $r->withdraw($URL);
    is_deeply($c->next_push, [message => $key, 'unregister'],
              'a beat says nothing, an end does');
    is_deeply($r->done(HGETALL => $key), [], 'and it is gone');

    $r->provide($URL);
    my $id = $r->info('server')->{run_id};
    $r->restart;
    isnt($r->info('server')->{run_id}, $id, 'another life');
    is($r->done(HLEN => $key), 1, 'with what is on disk');
    $r->restart(empty => 1);
    is($r->done(HLEN => $key), 0, 'or with nothing');
};


subtest 'Redis, locked' => sub {
    my ($crt, $key) = $t->certificate('redis');
    my $r = Mesh::Redis->new(
        users => ['mesh on >secret ~/dubbo/* &/dubbo/* +@all'],
        tls => { crt => $crt, key => $key });

    my $c = Mesh::Resp->connect($r->port, tls => {});
    like($c->command('PING'), qr/^NOAUTH/, 'TLS, and nobody by default');
    is($c->command(AUTH => 'mesh', 'secret'), 'OK', 'a user');
    like($c->command(GET => 'else'), qr/^NOPERM/, 'who may not do all');
    is_deeply($c->command(HELLO => 3)->[5], 3, 'RESP3');
    $c->send_command(SUBSCRIBE => '/dubbo/x');
    wait_for { $r->done(PUBLISH => '/dubbo/x', 'y') } 5;
    is_deeply($c->next_push, [subscribe => '/dubbo/x', 1], 'pushes');
    is_deeply($c->next_push, [message => '/dubbo/x', 'y'], 'in order');
};


subtest 'Sentinel' => sub {
    my $replica = Mesh::Redis->new(replica => $redis);
    ok(wait_for(sub { $replica->done('ROLE')->[3] eq 'connected' }, 10),
       'a replica follows');

    my $s = Mesh::Redis->sentinel('m', $redis);
    wait_for { $s->done(qw(SENTINEL replicas m))->[0] } 20, 'the replica';

    my $master = sub {
        $s->done(qw(SENTINEL get-master-addr-by-name m))->[1];
    };
    is($master->(), $redis->port, 'a sentinel knows the master');
    $redis->kill9;
    ok(wait_for(sub { $master->() == $replica->port }, 20),
       'and the next one');
};


###############################################################################


sub get { return HTTP::Tiny->new(timeout => 3)->get($_[0]->url . $_[1]) }

# all that a connection gets

sub raw {
    my ($port, $ask) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 3);
    print $s $ask if length $ask;
    local $/;
    return <$s> // '';
}


subtest 'scripted HTTP' => sub {
    my $f = Mesh::FaultHTTP->new;

    $f->service('com.example.A', [$f->instance('a-1', 20880)]);

    my $r = get($f, $HEALTH);
    my $index = $r->{headers}{'x-consul-index'};
    like($r->{content}, qr/"ID":"a-1"/, 'what it was told');

    my $pid = fork // die;
    if ($pid == 0) {
        wait_for { $f->waiting } 5;
        $f->service('com.example.A', []);
        _exit(0);
    }
    $r = get($f, "$HEALTH?index=$index&wait=3s");
    waitpid $pid, 0;
    is($r->{content}, '[]', 'a blocking query');
    is($r->{headers}{'x-consul-index'}, $index + 1, 'ends with a change');

    my $start = time;
    $index = get($f, $HEALTH)->{headers}{'x-consul-index'};
    get($f, "$HEALTH?index=$index&wait=300ms");
    cmp_ok(time - $start, '>', 0.25, 'or after its time');

    $f->fault(match => '/health/', status => 500, body => 'No cluster leader',
              times => 2);
    is_deeply([map { get($f, $HEALTH)->{status} } 1 .. 3], [500, 500, 200],
              'an error twice');

    my $ask = "GET $HEALTH HTTP/1.1\r\nHost: x\r\n\r\n";

    $f->fault(match => 'health', json => [1, 2], chunked => 2, last => 1);
    like(raw($f->port, $ask), qr/\r\n\r\n2\r\n\[1\r\n2\r\n,2\r\n1\r\n\]\r\n0\r\n\r\n$/,
         'chunks');
    $f->fault(match => 'health', json => [1], chunked => 1, nolast => 1,
              last => 1);
    like(raw($f->port, $ask), qr/\r\n\[1\]\r\n$/, 'without the last');
    $f->fault(match => 'health', json => [1, 2], truncate => 3);
    like(raw($f->port, $ask), qr/Length: 5\r\n.*\r\n\r\n\[1,$/s, 'cut');
    $f->fault(match => 'health', close => 1);
    is(raw($f->port, $ask), '', 'no answer');
    $f->fault(match => 'health', index => 3, headers => { 'X-Y' => 'z' },
              drip => [7, 0.001], last => 1);
    like(raw($f->port, $ask), qr/X-Consul-Index: 3\r\n.*X-Y: z\r\n.*\[\]$/s,
         'other headers, dripping');
    $f->early("HTTP/1.1 429 Too Many Requests\r\n\r\n");
    like(raw($f->port, ''), qr/ 429 /, 'an answer before the question');
    $f->clear;

    is((() = grep { $_->{fault} } $f->requests(1)), 7, 'requests are noted');
    $f->refuse(1);
    is(get($f, $HEALTH)->{status}, 599, 'refused');
    $f->refuse(0);
    is(get($f, $HEALTH)->{status}, 200, 'and no longer');
    is($f->stats->{most}, 1, 'connections are counted');
};


subtest 'scripted RESP' => sub {
    my $f = Mesh::FaultRESP->new(password => 'p');
    my $key = $f->provide($URL);
    my $c = Mesh::Resp->connect($f->port);

    like($c->command('PING'), qr/^NOAUTH/, 'a password');
    is($c->command(HELLO => 3, AUTH => 'default', 'p')->[1], 'redis',
       'RESP3');
    is($c->command(HGETALL => $key)->[0], $URL, 'a hash');
    is_deeply($c->command(SCAN => 0, MATCH => '/dubbo/*', COUNT => 1),
              [0, [$key]], 'a scan');

    my $sub = Mesh::Resp->connect($f->port);
    $sub->command(AUTH => 'p');
    is_deeply($sub->command(PSUBSCRIBE => '/dubbo/*'),
              [psubscribe => '/dubbo/*', 1], 'a subscription');
    like($sub->command(HGETALL => $key), qr/^ERR Can't/, 'allows little');
    $f->withdraw($URL);
    is_deeply($sub->next_push, [pmessage => '/dubbo/*', $key, 'unregister'],
              'a message');

    $f->set(deaf => 1);
    $f->order(PUBLISH => $key, 'register');
    is($sub->next_push(0.2), undef, 'a black hole');
    is_deeply($sub->command('PING'), ['pong', ''], 'that answers');

    $f->fault(match => '^HGETALL', error => 'LOADING Redis', times => 2);
    is_deeply([map { my $r = $c->command(HGETALL => $key);
                     ref $r eq 'ARRAY' ? 0 : "$r" } 1 .. 3],
              ['LOADING Redis', 'LOADING Redis', 0], 'an error twice');

    $f->set(skew => 3600);
    cmp_ok($c->command('TIME')->[0] - time, '>', 3500, 'its clock is wrong');
    $f->fault(match => '^TIME', truncate => 3);
    ok(!eval { $c->command('TIME'); 1 }, 'a cut answer');
    is(scalar(grep { $_->{fault} } $f->commands), 3, 'commands are noted');

    $f->set(early => "-ERR max number of clients reached\r\n");
    like(raw($f->port, ''), qr/max number/, 'an answer before the question');
};


subtest 'relay' => sub {
    my $f = Mesh::FaultRESP->new;
    my $relay = Mesh::Relay->new(to => $f->port);
    my $c = Mesh::Resp->connect($relay->port, timeout => 0.3);

    is($c->command('PING'), 'PONG', 'passes');
    $relay->hole('down');
    ok(!eval { $c->command('PING'); 1 }, 'loses what comes back');
    is(scalar($f->commands), 2, 'but not what goes');
    $relay->open;
    is($c->command('PING'), 'PONG', 'passes again');
    $relay->rst_all;
    ok(!eval { $c->command('PING'); 1 }, 'a reset');
    ok(wait_for(sub { !$f->stats->{open} }, 3), 'on both sides');

    $f->stop;
    $c = eval { Mesh::Resp->connect($relay->port) };
    ok(!eval { $c->command('PING'); 1 }, 'nobody behind it');
};


# whoever dies without a word leaves nothing behind

subtest 'an end by kill -9' => sub {
    pipe my $in, my $out or die;

    my $pid = fork // die;
    if ($pid == 0) {
        exec $^X, "-I$FindBin::Bin/lib", '-MMesh::Redis', '-e',
            'open my $o, ">&=", $ARGV[0]; my $r = Mesh::Redis->new;'
            . 'syswrite $o, $r->pid . "\n"; sleep 60', fileno $out
            if fcntl $out, Fcntl::F_SETFD(), 0;
        _exit(1);
    }
    close $out;

    my $server = <$in>;
    chomp $server;
    ok(kill(0, $server), 'a server runs');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    ok(wait_for(sub { !kill 0, $server }, 10), 'and ends with its test');
};


$t->done;
