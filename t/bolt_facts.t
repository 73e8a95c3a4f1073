#!/usr/bin/perl

# What is known of a call of Bolt, and where it was found: the header map, the
# content's first bytes, the class.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my %peer = map { $_ => Mesh::Peer->new(speaks => 'bolt', value => $_) }
           qw(echo unique plain class kit hash1 hash2 hash3 rest);
my %at = map { $_ => $peer{$_}->address } keys %peer;

$t->write_conf(<<"EOT");
mesh {
    service demo.Echo:1.0          { endpoint $at{echo}; }
    service demo.Echo:1.0:grpA     { endpoint $at{unique}; }
    service demo.Echo              { endpoint $at{plain}; }
    service com.example.PlainClass { endpoint $at{class}; }
    service mesh.kit.api.Echo:1.0  { endpoint $at{kit}; }
    service demo.Rest:1.0          { endpoint $at{rest}; }
    service demo.Hash:1.0 {
        endpoint $at{hash1};
        endpoint $at{hash2};
        endpoint $at{hash3};
        balancer hash attachment.rpc_req_baggage.user;
    }
}

stream {
    map \$mesh_attachment_type \$kind {
        sync     waits;
        default  other;
    }

    mesh_log_format names '\$mesh_protocol|\$mesh_service|\$mesh_interface|'
                          '\$mesh_version|\$mesh_method';
    mesh_log_format headers
        '\$mesh_caller|\$mesh_app|\$kind|'
        '\$mesh_attachment_rpc_trace_context_sofaTraceId|'
        '\$mesh_attachment_RPC_REQ_BAGGAGE_user|'
        '\$mesh_attachment_generic_revise|'
        '\$mesh_attachment_sofa_head_target_app';

    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass bolt;
        mesh_access_log %%DIR%%/names.log names;
        mesh_access_log %%DIR%%/headers.log headers;
    }

    server {
        listen 127.0.0.1:%%PORT_default%%;
        mesh_pass bolt;
        mesh_default_service demo.Rest:1.0;
        mesh_access_log %%DIR%%/default.log names;
    }

    server {
        listen 127.0.0.1:%%PORT_silent%%;
        mesh_pass bolt;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
EOT
$t->run;

my $client = $t->tcp('rpc', speaks => 'bolt');
my ($id, %lines) = (0);


# the n-th line of a log, n going on by one with each call

sub line {
    my ($name) = @_;

    my $n = $lines{$name}++;
    my @lines;

    wait_for {
        @lines = split /\n/, $t->read_file($name);
        @lines > $n;
    } 5;

    return $lines[$n] // '';
}


# who answered, and what the log says; without a log (another listener) also

sub facts {
    my ($what, $bytes, $who, $names, $headers) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $silent = $t->tcp('silent', speaks => 'bolt');
    $silent->send($bytes);
    my $f = $silent->recv_frame(5);
    is(defined $f->{error} ? 'error' : went($f), $who, $what);
    $silent->close;

    $client->send($bytes);
    $f = $client->recv_frame(5);
    is(defined $f->{error} ? 'error' : went($f), $who, '... with a log');

    is(line('names.log'), "bolt|$names", '... which names it');
    is(line('headers.log'), "127.0.0.1|$headers", '... and its headers')
        if defined $headers;
    $lines{'headers.log'}++ unless defined $headers;
}

sub call { Mesh::Bolt::request(service => 'demo.Echo', id => ++$id, @_) }


# the header map

my $echo = 'demo.Echo:1.0|demo.Echo|1.0';
my @none = (content => 'x', codec => 11);

facts('a call of SOFARPC', call(), 'echo', "$echo|sayHello",
      'test|waits|c0a80001|-|-|-');
facts("of v2 with CRC", call(proto => 2, ver1 => 2), 'echo',
      "$echo|sayHello", 'test|waits|c0a80001|-|-|-');

my %only = (sofa_head_target_service => 'demo.Echo:1.0',
            sofa_head_method_name => 'one');

facts('sofa_head_target_service alone', call(@none, headers => { %only }),
      'echo', "$echo|one", '-|other|-|-|-|-');
facts('service alone',
      call(@none, headers => { service => 'demo.Echo:1.0',
                               sofa_head_method_name => 'two' }),
      'echo', "$echo|two", '-|other|-|-|-|-');
facts('the first before the second',
      call(@none, headers => { %only, service => 'demo.Rest:1.0' }), 'echo',
      "$echo|one");

facts('trace, baggage, generic calls, applications',
      call(attachments => {
          app => 'shop', type => 'callback', 'generic.revise' => 'true',
          'rpc_trace_context.sofaTraceId' => '0a0000',
          'rpc_req_baggage.user' => 'u-1', sofa_head_target_app => 'stock',
      }), 'echo', "$echo|sayHello", 'shop|other|0a0000|u-1|true|stock');

facts('an unique id is a part of the name', call(version => '1.0:grpA'),
      'unique', 'demo.Echo:1.0:grpA|demo.Echo|1.0:grpA|sayHello');
facts('no version',
      call(@none, headers => { service => 'demo.Echo' }), 'plain',
      'demo.Echo|demo.Echo|-|-');

facts('the last of equal keys, none of null',
      call(@none, headers => [ service => 'demo.Rest:1.0', app => 'first',
                               service => 'demo.Echo:1.0', app => 'last',
                               undef, 'x', type => undef, '' => '',
                               'rpc_req_baggage.user' => '',
                               service => 'demo.Echo:1.0' ]),
      'echo', "$echo|-", 'last|other|-||-|-');

facts('not ASCII', call(attachments => { app => "h\xc3\xa9\x01" }), 'echo',
      "$echo|sayHello", 'h\xC3\xA9\x01|waits|c0a80001|-|-|-');


# the content

my $vectors = JSON::PP->new->decode(
    $t->read_file($t->root . '/t/vectors/frames-java.json'));

my ($f) = @{ Mesh::Bolt::parse(
    pack 'H*', $vectors->{'sofa513.sync.req'}{hex}) };

my $trace = $f->{headers}{'rpc_trace_context.sofaTraceId'};

facts('a frame of SOFARPC 5.13', $f->{raw}, 'kit',
      'mesh.kit.api.Echo:1.0|mesh.kit.api.Echo|1.0|echo',
      "kit-consumer|waits|$trace|-|-|-");
facts('... without its header map',
      Mesh::Bolt::frame(%$f, header => '', id => 3), 'kit',
      'mesh.kit.api.Echo:1.0|mesh.kit.api.Echo|1.0|echo', '-|other|-|-|-|-');
facts('... with the method alone in it',
      Mesh::Bolt::frame(%$f, id => 3, header => Mesh::Bolt::map_bytes(
          { sofa_head_method_name => 'other' })), 'kit',
      'mesh.kit.api.Echo:1.0|mesh.kit.api.Echo|1.0|other');

for my $dialect (qw(A B)) {
    facts("the content of dialect $dialect",
          call(headers => {}, dialect => $dialect, method => 'get'), 'echo',
          "$echo|get", '-|other|-|-|-|-');
    facts('... of a long name',
          call(headers => {}, dialect => $dialect, method => 'm' x 100),
          'echo', "$echo|" . 'm' x 100);
    facts('... for the method that is not in the map',
          call(headers => { service => 'demo.Echo:1.0' }, method => 'own',
               dialect => $dialect), 'echo', "$echo|own");
}


# the class

facts('a class of the user',
      Mesh::Bolt::frame(id => 5, class => 'com.example.PlainClass',
                        content => 'anything'), 'class',
      'com.example.PlainClass|com.example.PlainClass|-|-');
facts('... is no service where a header says another',
      Mesh::Bolt::frame(id => 5, class => 'com.example.PlainClass',
                        header => Mesh::Bolt::map_bytes({ %only }),
                        content => 'anything'), 'echo', "$echo|one");


# nothing at all

facts('a call that names nothing',
      call(headers => {}, content => '', codec => 12), 'status 6', '-|-|-|-');
facts('... nor what it is', Mesh::Bolt::frame(id => 6), 'error', '-|-|-|-');

my $default = $t->tcp('default', speaks => 'bolt');

for my $bytes (Mesh::Bolt::frame(id => 1),
               call(id => 1, service => 'demo.Nobody'))
{
    $default->send($bytes);
    is(went($default->recv_id(1, 5)), 'rest', 'mesh_default_service takes it');
}

like(line('default.log'), qr/^bolt\|demo\.Rest:1\.0\|/, '... and the log too');


# a hash over a header

my %user;

for my $n (1 .. 60) {
    my $user = 'u' . $n % 20;
    my $f = $client->call(service => 'demo.Hash', id => ++$id, timeout => 5,
                          proto => 1 + $n % 2,
                          attachments => { 'rpc_req_baggage.user' => $user });

    $user{$user}{went($f)}++;
}

is(scalar(grep { keys %$_ > 1 } values %user), 0,
   'one user, one provider, of v1 and v2 alike');
is(join(' ', sort { $a cmp $b } do {
       my %all = map { %$_ } values %user; keys %all
   }), 'hash1 hash2 hash3', '... and each provider some users');

is($t->sum($t->metrics, 'mesh_requests_total', protocol => 'bolt'),
   $t->sum($t->metrics, 'mesh_requests_total'), 'metrics name the protocol');
is($t->sum($t->metrics, 'mesh_requests_total', service => 'demo.Hash:1.0',
           method => 'sayHello', status => 0, result => 'ok'), 60,
   '... the service and its method');

$_->close for $client, $default;
$t->done;
