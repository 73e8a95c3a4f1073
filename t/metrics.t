#!/usr/bin/perl

# mesh_metrics: what calls become, and the page as HTTP clients get it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/metrics";

use IO::Socket::INET;
use IO::Uncompress::Gunzip qw(gunzip);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

use Mesh::Test;
use Prometheus;

my $t = Mesh::Test->new;

my $greeter = 'com.example.Greeter';
my $METHODS = 1500;


###############################################################################
# configuration

sub http { "http { server { listen 127.0.0.1:%%PORT_http%%; $_[0] } }\n" }

sub refused {
    my ($name, $words, $conf) = @_;
    my ($status, $said) = $t->check_conf($conf);

    isnt($status, 0, $name);
    like($said, $words, '... and why');
}

refused('without mesh {}', qr/"mesh_metrics".*mesh/,
        http('location / { mesh_metrics; }'));
refused('twice', qr/"mesh_metrics" directive is duplicate/,
        "mesh {}\n" . http('location / { mesh_metrics; mesh_metrics; }'));
refused('with arguments', qr/invalid number of arguments in "mesh_metrics"/,
        "mesh {}\n" . http('location / { mesh_metrics on; }'));
refused('in a server', qr/"mesh_metrics" directive is not allowed here/,
        "mesh {}\n" . http('mesh_metrics;'));

my ($status, $said) = $t->check_conf(
    http('location / { mesh_metrics; }') . "mesh {}\n");
is($status, 0, 'mesh {} may come later') or diag($said);


###############################################################################
# calls

my $peer = Mesh::Peer->new(name => 'p1', methods => {
    fail => { exception => 'java.lang.RuntimeException' },
    busy => { status => 100, error => 'busy' },
    never => { never => 1 },
});

my $address = '127.0.0.1:' . $peer->port;

$t->write_conf(<<"EOF");
mesh {
    zone mesh:16m metrics=8m;

    service $greeter {
        endpoint $address;
    }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass dubbo;
        mesh_timeout 500ms;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        listen 127.0.0.1:%%PORT_small%% sndbuf=16k;
        root %%DIR%%;

        location = /metrics { mesh_metrics; }
        location = /gzip    { mesh_metrics; gzip on; gzip_types text/plain; }
        location = /limited { mesh_metrics; limit_rate 8m; }
        location = /timeout { mesh_metrics; send_timeout 1s; }
        location = /ssi.html { ssi on; }
    }
}
EOF

$t->write_file('ssi.html', 'A<!--#include virtual="/metrics" -->'
                           . 'B<!--#include virtual="/gzip" -->C');
$t->run;

my $m = $t->metrics;

is($m->{mesh_series_dropped_total}, 0, 'a counter that counted nothing is 0');
is($t->sum($m, 'mesh_requests_total'), 0, 'no calls yet');

my $client = $t->tcp('mesh');

sub call { $client->call(service => $greeter, args => ['x'], @_) }

call(method => 'sayHello') for 1 .. 3;
call(method => 'fail');
call(method => 'busy');
call(method => 'never', timeout => 5);
call(service => 'com.example.Nobody', method => 'x');
$client->send(Mesh::Dubbo::heartbeat());
$client->recv_frame;
$client->send(Mesh::Dubbo::request(service => $greeter, method => 'log',
                                   args => ['x'], oneway => 1));
wait_for { $peer->stats->{oneways} } 5, 'the one-way request';

$m = $t->metrics;

sub calls {
    my ($name, $method, $status, $result) = @_;
    return $t->sum($m, $name, service => $greeter, method => $method,
                   protocol => 'dubbo', status => $status, result => $result);
}

is(calls('mesh_requests_total', 'sayHello', 20, 'ok'), 3, 'calls');
is(calls('mesh_requests_total', 'fail', 20, 'exception'), 1, 'an exception');
is(calls('mesh_requests_total', 'busy', 100, 'error'), 1, 'an error');
is(calls('mesh_requests_total', 'never', 31, 'error'), 1, 'a timeout');

is(calls('mesh_request_duration_seconds_count', 'sayHello', 20, 'ok'), 3,
   'durations');
cmp_ok(calls('mesh_request_duration_seconds_sum', 'never', 31, 'error'), '>=',
       0.4, 'they are seconds');
cmp_ok(calls('mesh_request_duration_seconds_sum', 'sayHello', 20, 'ok'), '<',
       0.4, '... also the short ones');
cmp_ok(calls('mesh_request_bytes_total', 'sayHello', 20, 'ok'), '>', 3 * 16,
       'bytes of requests');
cmp_ok(calls('mesh_response_bytes_total', 'sayHello', 20, 'ok'), '>', 3 * 16,
       'bytes of responses');

is($t->sum($m, 'mesh_errors_total', service => $greeter), 1,
   'one error of the service');
is($t->sum($m, 'mesh_errors_total', error => 'timeout'), 1, 'a timeout');
is($t->sum($m, 'mesh_errors_total', error => 'no_route'), 1, 'no route');

is($t->sum($m, 'mesh_endpoint_requests_total', endpoint => $address), 7,
   'requests of the endpoint');
is($t->sum($m, 'mesh_endpoint_connects_total', endpoint => $address), 1,
   'its connects');
cmp_ok($t->sum($m, 'mesh_endpoint_sent_bytes_total', endpoint => $address),
       '>', 7 * 16, 'bytes sent to it');
cmp_ok($t->sum($m, 'mesh_endpoint_received_bytes_total',
               endpoint => $address), '>', 5 * 16, 'bytes received from it');

is($m->{mesh_client_connections_total}, 1, 'client connections taken');
is($m->{mesh_client_connections}, 1, 'client connections open');
is($m->{mesh_links}, 1, 'links');
is($m->{mesh_requests_in_flight}, 0, 'nothing is in flight');
is($m->{mesh_slots_resting}, 1, 'the slot of the timeout rests');
is($m->{mesh_oneway_requests_total}, 1, 'one-way requests');
is($m->{'mesh_heartbeats_total{from="client"}'}, 1, 'heartbeats');
cmp_ok($m->{'mesh_io_total{op="recv"}'}, '>=', 5, 'reads');
cmp_ok($m->{'mesh_io_total{op="send"}'}, '>=', 5, 'writes');
is($m->{'mesh_io_total{op="connect"}'}, 1, 'connects');


###############################################################################
# the page

my $r = $t->http('GET', '/metrics', undef, port => 'http');

is($r->{status}, 200, 'GET');
is($r->{headers}{'content-type'},
   'text/plain; version=0.0.4; charset=utf-8', 'content type');
is($r->{headers}{'cache-control'}, 'no-cache', 'no cache');
is(join("\n", Prometheus::check($r->{content})), '', 'the text is in order');

is(join(' ', sort $r->{content} =~ /^# TYPE mesh_(\S+)/mg), join(' ', sort qw(
    requests_total request_duration_seconds request_bytes_total
    response_bytes_total errors_total
    endpoint_requests_total endpoint_failures_total endpoint_connects_total
    endpoint_connect_failures_total endpoint_resets_total
    endpoint_silent_total endpoint_ejections_total
    endpoint_sent_bytes_total endpoint_received_bytes_total
    io_total client_connections_total client_closed_total client_pauses_total
    oneway_requests_total heartbeats_total readonly_total
    stray_responses_total abandoned_responses_total callbacks_refused_total
    retries_total redirects_total retry_budget_exhausted_total
    protocol_errors_total damaged_frames_total
    handovers_total oversize_frames_total unreadable_requests_total
    link_failures_total nomem_total series_dropped_total
    parked_requests_total requests_parked wants_total wants_refused_total
    client_connections links requests_in_flight buffered_bytes slots_resting
    agent_up agent_beat_age_seconds agent_lease agent_lease_fence
    agent_takeovers_total agent_journal_writes_total
    agent_journal_errors_total agent_journal_failed agent_journal_revision
    table_revision table_bytes table_commits_total table_refusals_total
    table_services table_overrides table_routes table_endpoints
    build_info)), 'all families and no other');

like($r->{content}, qr/^mesh_build_info\{version="[\d.]+"\} 1$/m, 'version');

$r = $t->http('HEAD', '/metrics', undef, port => 'http');
is($r->{status}, 200, 'HEAD');
is($r->{content} // '', '', '... without a body');

for my $method (qw(POST PUT DELETE)) {
    $r = $t->http($method, '/metrics', 'x=1', port => 'http');
    is($r->{status}, 405, $method);
}

$r = $t->http('GET', '/metrics', 'a body', port => 'http');
is($r->{status}, 200, 'GET with a body');


###############################################################################
# a page of megabytes

for (my $i = 0; $i < $METHODS; $i += 500) {
    $client->send(join '', map {
        Mesh::Dubbo::request(service => $greeter, method => "method_$_",
                             args => ['x'])
    } $i .. $i + 499);

    my @frames = $client->recv_frames(500, 20);
    is(scalar @frames, 500, 'answers') or last;
}

# raw(request, small => 1 (receive buffer), port => name, bytes => n (leaves
# after so many), before => sub (of reading))

sub raw {
    my ($request, %o) = @_;

    my $s = IO::Socket::INET->new(Proto => 'tcp');
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, 8192 if $o{small};
    connect $s, Socket::pack_sockaddr_in($t->port($o{port} // 'http'),
                                         Socket::inet_aton('127.0.0.1'))
        or die "connect: $!";

    print $s $request;
    $s->flush;
    $o{before}->() if $o{before};

    my $got = '';

    while (sysread $s, $got, 65536, length $got) {
        last if $o{bytes} && length $got >= $o{bytes};
    }

    return $got;
}

sub get { "GET $_[0] HTTP/1.0\r\n" . ($_[1] // '') . "\r\n" }

sub body { $_[0] =~ /\r\n\r\n(.*)/s ? $1 : '' }

# only what no scrape moves

sub stable {
    return join '', grep { /^mesh_(?:request|response)/ }
           split /^/, $_[0];
}

my $page = body(raw(get('/metrics')));
my $stable = stable($page);

cmp_ok(length $page, '>', $METHODS * 2000, 'a long page');
is(() = $page =~ /^mesh_requests_total\{.*method="method_/mg, $METHODS,
   'all series are there');
is(join("\n", Prometheus::check($page)), '', 'it is in order');

# gzip is for HTTP/1.1 unless it is told otherwise

my $chunked = body(raw("GET /gzip HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                       . "Accept-Encoding: gzip\r\n\r\n"));
my $zipped = '';

$zipped .= substr($chunked, 0, hex $1, '')
    while $chunked =~ s/^(?:\r\n)?([0-9a-f]+)\r\n// && hex $1;

gunzip(\$zipped, \my $unzipped);
ok(stable($unzipped // '') eq $stable, 'the same page through gzip');

ok(stable(body(raw(get('/limited')))) eq $stable, 'the same page, limited');
ok(stable(body(raw(get('/metrics'), small => 1, port => 'small'))) eq $stable,
   'the same page through small buffers');

my $ssi = body(raw(get('/ssi.html')));
my ($one, $two) = $ssi =~ /^A(.*)B(# HELP.*)C$/s;
ok(stable($one // '') eq $stable && stable($two // '') eq $stable,
   'the same page twice as a subrequest');

my $pipelined = raw("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
                    . "GET /metrics HTTP/1.1\r\nHost: a\r\n"
                    . "Connection: close\r\n\r\n");
is(() = $pipelined =~ m{^HTTP/1\.1 200 OK\r$}mg, 2, 'two in a row');

raw(get('/metrics'), bytes => 1) for 1 .. 10;
is($t->http('GET', '/metrics', undef, port => 'http')->{status}, 200,
   'clients that leave');

my $stuck = raw(get('/timeout'), small => 1, port => 'small',
                before => sub { $t->wait_log(qr/client timed out/) });
cmp_ok(length $stuck, '<', length $page, 'a client that does not read');

is(call(method => 'sayHello')->{status}, 20, 'calls go on');


###############################################################################
# the region outlives workers

$m = $t->metrics;
my $calls = $t->sum($m, 'mesh_requests_total');
ok($t->reload, 'reload');
cmp_ok($t->sum($t->metrics, 'mesh_requests_total'), '>=', $calls,
       'counters stay');

$client->close;
wait_for { $t->metrics->{mesh_client_connections} == 0 } 10,
    'the connection to be counted off';

$client = $t->tcp('mesh');
is(call(method => 'sayHello')->{status}, 20, 'a new connection');
is($t->metrics->{mesh_client_connections}, 1, '... is counted');
$calls = $t->sum($t->metrics, 'mesh_requests_total');

my ($worker) = $t->workers;
$t->allow_log(qr/worker process \d+ exited on signal 9/);
$t->signal('KILL', $worker);
wait_for { my ($now) = $t->workers; $now && $now != $worker } 10,
    'a new worker';

is($t->sum($t->metrics, 'mesh_requests_total'), $calls,
   'a killed worker takes no counters along');
is($t->metrics->{mesh_client_connections}, 0, '... but its gauges');

$t->done;
