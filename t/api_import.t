#!/usr/bin/perl

# Bodies too long for workers: the agent does what they ask for, calls go on
# meanwhile, and an agent that dies leaves all of it or nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

my $N = $ENV{TEST_MESH_LONG} ? 100_000 : 6_000;

my $t = Mesh::Agent->new(timeout => 240);
my $peer = Mesh::Peer->new(value => 'ok');

my $conf = agent_conf($peer, zone => 'mesh:96m');
$conf =~ s{location /metrics}{location /api/ {
            client_max_body_size 64m;
            mesh_api write=on audit=%%DIR%%/audit.log;
        }
        location /metrics};

$t->write_conf($conf);
$t->run;


sub api {
    my ($method, $path, $body, %headers) = @_;

    return $t->http($method, "/api/1/$path", $body, timeout => 60,
                    headers => { 'content-type' => 'application/json',
                                 %headers });
}


sub endpoints {
    my ($weight, $n) = @_;

    return encode_json([ map { {
        address => join('.', 10, $_ >> 16, $_ >> 8 & 255, $_ & 255),
        port => 20880, weight => $weight,
        labels => { version => '1.2.3', zone => 'az-' . $_ % 3 },
    } } 1 .. $n ]);
}


sub weight {
    my $r = api('GET', 'services/demo.Many/endpoints?limit=1');
    return ($r->{json}{items} // [])->[0]{spec}{weight};
}


sub count { api('GET', 'status')->{json}{items}{endpoints} }

my $body = endpoints(7, $N);
cmp_ok(length $body, '>', 262144, 'a long body');

my $r = api('PUT', 'services/demo.Many/endpoints?dry_run=1', $body);
is($r->{status}, 200, '... tried');
is(scalar @{ $r->{json}{diff} // [] }, $N + 1, '... with a long answer');
is(count(), 1, '... changes nothing');


# calls go on while another process imports

my $pid = fork // die "fork: $!";

if ($pid == 0) {
    my $status = eval {
        api('PUT', 'services/demo.Many/endpoints', $body)->{status};
    } // 0;
    require POSIX;
    POSIX::_exit($status == 200 ? 0 : 1);
}

my $client = $t->tcp('rpc');
my ($calls, $failed) = (0, 0);
my $done;

until ($done) {
    my $f = $client->call(service => 'demo.Echo', id => ++$calls);
    $failed++ if went($f) ne 'ok';
    $done = waitpid $pid, 1;
}

is($?, 0, '... done');
is($failed, 0, '... calls go on');
cmp_ok($calls, '>', 1, '... all the time');
is(count(), $N + 1, '... everything is there');
is(weight(), 7, '... as it was said');
like($t->read_file('audit.log'), qr{"path":"services/demo.Many/endpoints".*"result":"ok"},
     '... and the audit knows');

$r = api('PUT', 'services/demo.Many/endpoints', $body);
is($r->{status}, 200, 'the same again');
ok(!$r->{json}{changed}, '... changes nothing');


# what is wrong is said as ever

$r = api('PUT', 'services/demo.Many/endpoints', substr $body, 0, -1);
is("$r->{status} $r->{json}{error}{code}", '400 BadJSON', 'no JSON');

my $wrong = $body;
substr($wrong, rindex($wrong, '20880'), 5) = '99999';
$r = api('PUT', 'services/demo.Many/endpoints', $wrong);
is($r->{status}, 422, 'a wrong port');
is($r->{json}{error}{pointer}, '/' . ($N - 1) . '/port', '... and where');

$r = api('PUT', 'services/demo.Many/endpoints', $body,
         'if-match' => '"0-1"');
is($r->{status}, 412, 'a condition');
is(count(), $N + 1, '... nothing of it was done');


# conditions that leave no room for them

$r = api('PUT', 'services/demo.Many/endpoints', $body,
         'if-match' => join ',', ('"0-1"') x 400);
is($r->{status}, 414, 'conditions too long for such a body');


# in pieces

my $pieces = endpoints(8, $N);

$r = HTTP::Tiny->new(timeout => 60)->put(
    'http://127.0.0.1:' . $t->port('http')
    . '/api/1/services/demo.Many/endpoints', {
        headers => { 'content-type' => 'application/json' },
        content => sub { substr $pieces, 0, 50_000, '' },
    });
is($r->{status}, 200, 'a body without a length');
is(weight(), 8, '... is in force');


# the agent is killed, at any time

$t->allow_log(qr/cache manager process \d+ exited on signal 9/);
$t->allow_log(qr/zone "mesh" was locked by \d+/);
$t->allow_log(qr/the mesh zone was locked by process \d+, which is gone/);

for my $n (1 .. 6) {
    my $weight = 10 + $n;
    my $next = endpoints($weight, $N);
    my $before = weight();

    pipe my $read, my $write or die "pipe: $!";
    $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $read;
        my $r = eval { api('PUT', 'services/demo.Many/endpoints', $next) };
        print $write $r->{status} // 0;
        close $write;
        require POSIX;
        POSIX::_exit(0);
    }

    close $write;
    sleep 0.02 * $n;
    $t->signal('KILL', $t->agents);
    my $status = readline $read;
    waitpid $pid, 0;

    like($status, qr/^(?:200|503)$/, "killed: answer $n");

    # who was told to look finds one or the other
    my %seen = map { $_->{spec}{weight} => 1 }
               @{ api('GET', 'services/demo.Many/endpoints')->{json}{items} };
    my @seen = keys %seen;
    ok(@seen == 1 && ($seen[0] == $weight
                      || $status != 200 && $seen[0] == $before),
       '... all of it or nothing') or diag("@seen, $status");

    wait_for { $t->agents && $t->holders } 10, 'another agent';
}

is(went($client->call(service => 'demo.Echo', id => ++$calls)), 'ok',
   'calls go on');

$t->done;
