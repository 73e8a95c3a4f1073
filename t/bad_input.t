#!/usr/bin/perl

# What strangers send to the port: the offender is closed or answered, with one
# line at "info" and one counter, and a good client beside it notices nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time sleep);

my $storm = $ENV{TEST_MESH_LONG} ? 10_000 : 2000;

my $t = Mesh::Test->new(timeout => $ENV{TEST_MESH_LONG} ? 600 : 180);
my $peer = Mesh::Peer->new(value => 'ok');

my ($crt, $key) = $t->certificate('front', 'front.example');

$t->write_conf(conf(
    server => 'mesh_header_timeout 2s; mesh_client_timeout 30s;
               mesh_timeout 2s; mesh_deadline always;',
    service => 'endpoint ' . $peer->address . ';',
    stream => "mesh_max_frame 64k;
               mesh_buffer_size 16k;

               server {
                   listen 127.0.0.1:%%PORT_short%%;
                   mesh_pass dubbo;
                   mesh_client_timeout 1s;
               }
               server {
                   listen 127.0.0.1:%%PORT_tls%% ssl;
                   ssl_certificate $crt;
                   ssl_certificate_key $key;
                   ssl_handshake_timeout 1s;
                   mesh_pass dubbo;
               }"));
$t->run;


# the good client: on the same worker, on one connection all the time

my $good = $t->tcp('rpc');

sub good {
    my ($what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply(scalar spread($good, 3), { ok => 3 },
              "... beside it ($what) calls go on");
}


sub lines { my @lines = $t->grep_log($_[0]); return scalar @lines }

my %counted;

# what is new in a counter, which is up to a second late

sub counter {
    my ($name, %labels) = @_;

    my $key = join ' ', $name, %labels;
    my $before = $counted{$key} // 0;

    wait_for {
        $counted{$key} = $t->sum($t->metrics, $name, %labels);
        $counted{$key} > $before;
    } 5;

    return $counted{$key} - $before;
}


good('nothing');


###############################################################################
# bytes that are no frame

my $head = pack 'nCCQ>', 0xdabb, 0xc2, 0, 5;

my @garbage = (
    'a line of text' => "hello, is anybody there?\r\n",
    'zeroes' => "\0" x 4096,
    'one wrong byte' => "\xda",
    'a wrong second byte' => "\xda\xba",
    'a negative length' => $head . pack('N', 0xffffffff) . 'x' x 100,
    'the least length' => $head . pack('N', 0x80000000),
    'garbage after a frame' => Mesh::Dubbo::heartbeat() . 'x' x 32,
);

# half of a magic number may become a whole one
$garbage[5] = "\xdb";

while (my ($name, $bytes) = splice @garbage, 0, 2) {
    my $before = lines(qr/\[info\].*bytes that are no dubbo frame/);
    my $client = $t->tcp('rpc');
    $client->{raw} = 1;
    $client->send($bytes);

    isnt($client->closed(5), '', "$name: closed");
    is(lines(qr/\[info\].*bytes that are no dubbo frame/) - $before, 1,
       '... one line');
    is(counter('mesh_protocol_errors_total', side => 'client'), 1,
       '... one in the counter');
    good($name);
}

# other protocols get an answer that they understand

my @foreign = (
    'HTTP' => "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        qr{^HTTP/1\.1 400 .*\r\n\r\nthis port does not speak HTTP\n$}s,
    'HTTP/2' => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . "\0\0\0\4" . "\0" x 5,
        qr{^\0\0\0\x04\0{7}\x27\x07\0{12}\x0d.{31}$}s,
    'TLS' => pack('H*', '16030100c8010000c40303') . 'x' x 194,
        qr/^\x15\x03.\0\x02\x02\x28$/s,
);

while (my ($name, $bytes, $answer) = splice @foreign, 0, 3) {
    my $line = qr/\[info\].*client speaks $name, which "mesh_pass" does not/;
    my $before = lines($line);
    my $client = $t->tcp('rpc');
    $client->{raw} = 1;
    $client->send($bytes);

    isnt($client->closed(5), '', "$name: closed");
    like($client->{in}, $answer, '... with an answer');
    is(lines($line) - $before, 1, '... one line');
    is(counter('mesh_protocol_errors_total', side => 'client'), 1,
       '... one in the counter');
    good($name);
}

# real TLS

my $tls = eval { $t->tcp('rpc', tls => 1, timeout => 5) };
ok(!$tls, 'TLS on a plain port does not begin');
good('TLS');

my $plain = $t->tcp('tls');
$plain->{raw} = 1;
$plain->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 1));
isnt($plain->closed(5), '', 'a plain call on a TLS port is closed');
good('plain on TLS');


###############################################################################
# frames that are, but are bad

my $client = $t->tcp('rpc');

$client->send($head . pack('N', 0x7fffffff));
my $f = $client->recv_frame;
is($f->{status}, 40, 'a huge length is refused by the header alone');
is($f->{id}, 5, '... with its id');
is(lines(qr/\[info\].*frame of 2147483663 bytes/), 1, '... one line');
is(counter('mesh_oversize_frames_total'), 1, '... one in the counter');
$client->close;

$client = $t->tcp('rpc');
$client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 6,
                                   args => [ 'x' x 70_000 ]));
is($client->recv_id(6)->{status}, 40, 'a large one as well');
is_deeply(scalar spread($client, 2), { ok => 2 },
          '... and its connection is good for more');
is(counter('mesh_oversize_frames_total'), 1, '... one in the counter');
good('large frames');


# a body shorter than its strings claim, or with nothing in it: answered, as
# there is no service of that name, and never closed

my %body = (
    empty => '',
    'a string that ends early' => "\x052.0.2\x30\xffdemo.Echo",
    'a length of 32767' => "S\x7f\xff" . 'x' x 20,
    'an unknown type' => "\xff" x 40,
    'half of UTF-8' => "\x052.0.2\x02\xc3",
    'deep nesting' => "\x052.0.2\x0bdemo.Nobody\x050.0.0\x01m"
                      . "\x12Ljava/lang/Object;" . 'W' x 30_000,
);

for my $name (sort keys %body) {
    $f = $client->call(id => 100, body => $body{$name});

    ok($f, "$name: answered") or next;
    cmp_ok($f->{status}, '>', 0, "... with $f->{status}");
    is($client->{eof}, '', '... not closed');
    good($name);
}

is_deeply(scalar spread($client, 2), { ok => 2 },
          'that connection is good for more');

cmp_ok(counter('mesh_unreadable_requests_total'), '>=', 4,
       'unreadable ones are counted');

# answers nobody asked for, and events nobody knows

$client->send(Mesh::Dubbo::response(id => 77, value => 'x')
              . Mesh::Dubbo::frame(flags => 0xa2, body => "\x01Z")
              . Mesh::Dubbo::frame(flags => 0x22, body => 'N', id => 4));
is_deeply(scalar spread($client, 2), { ok => 2 },
          'answers and events of strangers are let pass');


###############################################################################
# time

my $half = $t->tcp('rpc');
$half->send(substr $head, 0, 9);

my $drip = $t->tcp('rpc');
my $request = Mesh::Dubbo::request(service => 'demo.Echo', id => 8,
                                   args => [ 'x' x 200 ]);
my $from = time;
my $until = $from + 15;
my $sent = 0;

# a byte now and then is no reason to wait longer

while (time < $until && $sent < 120) {
    last if IO::Select->new($drip->socket)->can_read(0.1);
    $drip->send(substr $request, $sent++, 1);
}

isnt($drip->closed(5), '', 'a byte now and then: closed');
cmp_ok($sent, '<', 120, '... before the frame was whole');
isnt($half->closed(10), '', 'half a header and silence: closed');
is(lines(qr/\[info\].*client did not complete its frame/), 2,
   '... one line each');
wait_for {
    $t->sum($t->metrics, 'mesh_client_closed_total',
            reason => 'header_timeout') == 2;
} 5;
is(counter('mesh_client_closed_total', reason => 'header_timeout'), 2,
   '... one in the counter each');
good('slow ones');


# an idle client; one that waits for its answer is not idle

my $idle = $t->tcp('short');
my $busy = $t->tcp('short');

is_deeply(scalar spread($idle, 1), { ok => 1 }, 'a client that calls once');

for (1 .. 15) {
    $busy->send(Mesh::Dubbo::heartbeat());
    sleep 0.1;
}

isnt($idle->closed(10), '', '... and then does nothing is closed');
is($busy->closed(0), '', '... while one that beats stays');
is(lines(qr/\[info\].*client was idle for \d+ ms/), 1, '... one line');
is(counter('mesh_client_closed_total', reason => 'client_timeout'), 1,
   '... one in the counter');

# nothing at all
my $never = $t->tcp('short');
isnt($never->closed(10), '', 'who never sends anything is closed too');
$busy->close;
good('idle ones');


###############################################################################
# a storm of connections

my @open;
my $failed = 0;
my $calls = 0;

for my $n (1 .. $storm) {
    my $c = eval { $t->tcp('rpc') } // do { $failed++; next };

    if ($n % 5 == 0) {
        $c->send(substr $head, 0, $n % 16);

    } elsif ($n % 5 == 1) {
        $c->send(Mesh::Dubbo::request(service => 'demo.Echo', id => $n));

    } elsif ($n % 5 == 2) {
        $c->send("garbage $n\n");
    }

    push @open, $c;

    if (@open > 50) {
        my $old = shift @open;
        $n % 2 ? $old->close : $old->rst;
    }

    $calls += (spread($good, 1))[0] eq 'ok' if $n % 100 == 0;
}

$_->close for @open, $client;

is($failed, 0, "$storm connections");
is($calls, $storm / 100, '... and a good client never waits in vain');

ok(wait_for(sub {
    my $m = $t->metrics;
    $m->{mesh_client_connections} == 1 && $m->{mesh_requests_in_flight} == 0;
}, 10), 'all of them are gone');
ok(wait_for(sub { $t->metrics->{mesh_buffered_bytes} == 0 }, 10),
   '... and hold no bytes');

is($peer->stats->{connections}, 1, 'the provider saw one connection of ours');
is($good->{eof}, '', 'the good client was never closed');

$t->done;
