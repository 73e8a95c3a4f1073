#!/usr/bin/perl

# What is half way when a worker leaves goes on byte by byte; what is known of
# a connection goes along; TLS and PROXY protocol stay.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Upgrade;

use Time::HiRes qw(time sleep);

my $t = Mesh::Upgrade->new;
my $peer = Mesh::Peer->new(keep => 5, methods => { slow => { delay => 1 } });

my ($crt, $key) = $t->certificate('mesh');

$t->write_conf(conf(main => 'worker_processes 2;',
    service => 'endpoint ' . $peer->address . ';',
    stream => <<"CONF"));
    mesh_handover_timeout 1s;
    mesh_max_frame 256k;
    log_format facts '\$remote_addr \$connection \$bytes_received '
                     '\$bytes_sent \$session_time \$status';

    server {
        listen 127.0.0.1:%%PORT_facts%%;
        mesh_pass dubbo;
        access_log %%DIR%%/facts.log facts;
    }

    server {
        listen 127.0.0.1:%%PORT_auto%%;
        mesh_pass auto;
    }

    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate $crt;
        ssl_certificate_key $key;
        mesh_pass dubbo;
    }

    server {
        listen 127.0.0.1:%%PORT_proxy%% proxy_protocol;
        mesh_pass dubbo;
        set_real_ip_from 127.0.0.0/8;
        access_log %%DIR%%/proxy.log facts;
    }
CONF
$t->run;

my $id = 100;

sub text {
    my ($size, $char) = @_;
    $char //= 'x';
    return $char x $size;
}

sub request {
    my ($size, $char) = @_;
    return Mesh::Dubbo::request(service => 'demo.Echo', id => ++$id,
                                args => [ text($size, $char) ]);
}

# the answer's value is the argument: compares all of it

sub answer {
    my ($client, $size, $char) = @_;

    my $f = $client->recv_id($id, 10) // return 'none';
    my $value = $f->{value} // '';

    return $value eq text($size, $char) ? 'same'
           : "status $f->{status}, " . length $value;
}

sub moved {
    my ($n) = @_;
    my $at = $t->handed('received');
    return sub {
        wait_for { $t->handed('received') >= $at + $n } 10
    };
}


# one byte to all but one of a header

{
    my @halves = map {
        my $bytes = request(50, chr(97 + $_));
        my $client = $t->tcp('rpc');
        $client->send(substr $bytes, 0, $_, '');
        [ $client, $bytes, $id, $_ ];
    } 0 .. 15;

    wait_for { $t->metrics->{mesh_client_connections} == 16 } 10, 'clients';
    sleep 0.2;

    my $moved = moved(16);
    ok($t->reload(gone => 1), 'reload with halves of headers');
    ok($moved->(), '... which moved');

    my @went = map {
        my ($client, $bytes, $was, $n) = @$_;
        $client->send($bytes);
        my $f = $client->recv_id($was, 10);
        $f && $f->{value} eq chr(97 + $n) x 50 ? () : $n;
    } @halves;

    is("@went", '', '... and were completed');
    is_deeply(statuses(map { $_->[0]->call(service => 'demo.Echo',
                                           args => ['ok']) } @halves),
              { ok => 16 }, '... more calls work');
}


# half a frame is read to its end by who began it

for my $size (3000, 150_000) {
    my $client = $t->tcp('rpc');
    my $bytes = request($size);

    $client->send(substr $bytes, 0, length($bytes) / 2, '');
    sleep 0.2;

    my $moved = moved(1);
    ok($t->reload, "reload with half a frame of $size");
    sleep 0.3;
    $client->send(substr $bytes, 0, 1000, '');
    sleep 0.1;
    $client->send($bytes);
    is(answer($client, $size), 'same', '... it is served when it is whole');
    ok($moved->(), '... then it moves');
    is(went($client->call(service => 'demo.Echo', args => ['ok'])), 'ok',
       '... more calls work');
    ok(wait_for(sub { !$t->leaving }, 10), '... the old worker is gone');
}


# calls behind one another, the last one in pieces

{
    my $client = $t->tcp('rpc');
    my $bytes = join '', map { request(200, $_) } 'a' .. 'h';
    my $first = $id - 7;

    $client->send(substr $bytes, 0, length($bytes) - 250, '');
    sleep 0.1;
    ok($t->reload, 'reload between pipelined calls');

    for (1 .. 5) {
        $client->send(substr $bytes, 0, 50, '');
        sleep 0.05;
    }

    $client->send($bytes);

    my %saw = map { $_->{id} => $_->{value} } $client->recv_frames(8, 10);
    is_deeply(\%saw, { map { $first + $_ => chr(97 + $_) x 200 } 0 .. 7 },
              '... all are answered');
}


# reloads while bytes come in small pieces

{
    my $client = $t->tcp('rpc');
    my @expect = map { my $b = request(40, $_); [ $id, $_, $b ] } 'a' .. 'z';

    my $bytes = join '', map { $_->[2] } @expect;
    my $n = 0;

    while (length $bytes) {
        $client->send(substr $bytes, 0, 7, '');
        $t->signal('HUP') if ++$n % 60 == 0;
        sleep 0.002;
    }

    my %saw = map { $_->{id} => $_->{value} } $client->recv_frames(26, 15);
    is_deeply(\%saw, { map { $_->[0] => $_->[1] x 40 } @expect },
              'pieces of seven bytes while workers come and go');
    ok(wait_for(sub { !$t->leaving }, 15), '... all of which are gone');
}


# what is too large is refused, and skipped by the next worker too

{
    my $client = $t->tcp('rpc');
    my $bytes = request(1_000_000);
    my $large = $id;

    $client->send(substr $bytes, 0, 100_000, '');
    isnt(($client->recv_id($large, 10) // {})->{status}, 20,
         'a frame that is too large');

    my $moved = moved(1);
    ok($t->reload(gone => 1), '... reload while it comes');
    ok($moved->(), '... it moves');

    $client->send($bytes);
    is(went($client->call(service => 'demo.Echo', args => ['ok'])), 'ok',
       '... what follows is read at the right place');
}


# nothing detected yet

{
    my $bytes = request(30);
    my $client = $t->tcp('auto');
    my $silent = $t->tcp('auto');

    $client->send(substr $bytes, 0, 1, '');
    wait_for { $t->metrics->{mesh_client_connections} >= 2 } 10;
    sleep 0.2;

    my $moved = moved(2);
    ok($t->reload(gone => 1), 'reload before the protocol is known');
    ok($moved->(), '... moves');
    $client->send($bytes);
    is(answer($client, 30), 'same', '... and it is found');
    is(went($silent->call(service => 'demo.Echo', args => ['ok'])), 'ok',
       '... of who was silent too');
    ok($t->reload(gone => 1), '... it goes along');
    is(went($client->call(service => 'demo.Echo', args => ['ok'])), 'ok',
       '... to the next worker');
}


# what the log tells

{
    my $client = $t->tcp('facts');
    my ($sent, $got) = (0, 0);
    my $from = time;

    for (1 .. 3) {
        my $bytes = request(1000);
        $sent += length $bytes;
        $client->send($bytes);
        my $f = $client->recv_id($id, 10);
        $got += length $f->{raw};

        $t->reload(gone => 1) if $_ < 3;
    }

    is($t->read_file('facts.log'), '', 'no line for what goes on elsewhere');

    $client->send(substr request(1), 0, 4);
    $t->reload(gone => 1);
    $client->close;
    wait_for { $t->read_file('facts.log') } 10;

    my $took = time - $from;
    my @lines = split /\n/, $t->read_file('facts.log');
    is(@lines, 1, 'one line for a connection');

    my ($addr, $number, $received, $bytes, $time) = split / /, $lines[0];

    is($addr, '127.0.0.1', '... with its address');
    is($received, $sent + 4, '... all that was received');
    is($bytes, $got, '... and sent');
    cmp_ok(abs($time - $took), '<', 1, '... for as long as it was there');
    like($number, qr/^\d+$/, '... and its number');
}


# TLS and PROXY protocol stay: notice, answers, end

{
    my $tls = eval { require IO::Socket::SSL; 1 };
    my @stay;

    push @stay, [ 'TLS', $t->tcp('tls', tls => 1) ] if $tls;

    my $proxy = $t->tcp('proxy');
    $proxy->send("PROXY TCP4 192.0.2.7 192.0.2.1 4444 20880\r\n");
    push @stay, [ 'PROXY protocol', $proxy ];

    for (@stay) {
        my ($name, $client) = @$_;
        is(went($client->call(service => 'demo.Echo', args => ['ok'])), 'ok',
           "$name: calls");
        $client->send(Mesh::Dubbo::request(
            service => 'demo.Echo', id => 7, method => 'slow',
            args => ['late']));
    }

    wait_for { ($peer->stats->{methods}{slow} // 0) == @stay } 10;
    my $at = $t->handed('received');
    ok($t->reload, 'reload');

    for (@stay) {
        my ($name, $client) = @$_;
        is($client->recv_frame(10)->{kind}, 'readonly', "$name: the notice");
        is(went($client->recv_id(7, 10)), 'late', '... and the answer');
        is($client->closed(10), 'eof', '... and the end');
    }

    ok(wait_for(sub { $t->read_file('proxy.log') =~ /^192\.0\.2\.7 / }, 10),
       'the address of the header is kept')
        or diag $t->read_file('proxy.log');
}

is($t->metrics->{'mesh_protocol_errors_total{side="client"}'}, 0,
   'nobody sent what is no frame');

$t->done;
