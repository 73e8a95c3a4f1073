#!/usr/bin/perl

# mesh_pass auto: what a connection speaks is found by its first bytes, and
# only endpoints that speak it are asked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(sleep);

my $t = Mesh::Test->new;
my $dubbo = Mesh::Peer->new(methods => { slow => { delay => 1 },
                                         wait => { delay => 3 } });
my $bolt = Mesh::Peer->new(speaks => 'bolt',
                           methods => { slow => { delay => 1 },
                                        wait => { delay => 3 } });
my ($d, $b) = map { $_->address } $dubbo, $bolt;

# one name for both: Dubbo's version and the one of Bolt's unique name

$t->write_conf(<<"EOT");
mesh {
    zone mesh:8m metrics=2m;

    service demo.Shared:1.0 {
        endpoint $d protocol=dubbo;
        endpoint $b protocol=bolt;
    }

    service demo.Echo:1.0  { endpoint $b; }
    service demo.Echo      { endpoint $d; }
    service demo.Sofa:1.0  { endpoint $b protocol=bolt; }
    service demo.Old:1.0   { endpoint $d protocol=dubbo; }
    service demo.Empty:1.0 { }
}

stream {
    mesh_log_format protocol '\$mesh_protocol \$mesh_service \$mesh_error';

    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass auto;
        mesh_timeout 10s;
        mesh_header_timeout 1s;
        mesh_access_log %%DIR%%/mesh.log protocol;
    }

    server {
        listen 127.0.0.1:%%PORT_short%%;
        mesh_pass auto;
        mesh_client_timeout 1s;
    }

    server {
        listen 127.0.0.1:%%PORT_dubbo%%;
        mesh_pass dubbo;
    }

    server {
        listen 127.0.0.1:%%PORT_bolt%%;
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

my @forms = ({ proto => 1 }, { proto => 2, ver1 => 1 },
             { proto => 2, ver1 => 2 });

sub lines { my @lines = $t->grep_log($_[0]); return scalar @lines }

sub dubbo { $t->tcp('rpc') }
sub bolt  { $t->tcp('rpc', speaks => 'bolt') }


###############################################################################
# all at once


my @clients = map { $_ % 3 ? bolt() : dubbo() } 0 .. 11;

for my $i (0 .. 399) {
    my $client = $clients[$i % @clients];

    $client->send($client->bytes(request => id => $i,
                                 service => 'demo.Shared', version => '1.0',
                                 method => 'echo', args => ["call $i"],
                                 $i % 3 ? %{ $forms[$i / 3 % 3] } : ()));
}

my $wrong = 0;

for my $i (0 .. 399) {
    my $f = $clients[$i % @clients]->recv_id($i, 10);
    $wrong++ if went($f) ne "call $i";
}

is($wrong, 0, 'clients of Dubbo and Bolt on one port');
is(scalar(grep { @{ $_->{frames} } || length $_->{in} } @clients), 0,
   '... get nothing else');
is($dubbo->stats->{requests}, 134, '... Dubbo at its provider');
is($bolt->stats->{requests}, 266, '... Bolt at its own');
is($dubbo->stats->{garbage} + $bolt->stats->{garbage}, 0,
   '... which never meets the other');
is($dubbo->stats->{connections}, 1, '... by a link of Dubbo');
is($bolt->stats->{connections}, 3, '... and one for each form of Bolt');

my $m = $t->metrics;

is($t->sum($m, 'mesh_requests_total', protocol => 'dubbo', status => 20), 134,
   'metrics tell them apart');
is($t->sum($m, 'mesh_requests_total', protocol => 'bolt', status => 0), 266,
   '... both');
wait_for { 400 == (() = $t->read_file('mesh.log') =~ /\n/g) } 5;
is_deeply(tally(split /\n/, $t->read_file('mesh.log')),
          { 'dubbo demo.Shared:1.0 -' => 134,
            'bolt demo.Shared:1.0 -' => 266 }, 'and so does the log');


# byte by byte, and cut at each of the first bytes

my @first = (
    [ dubbo => Mesh::Dubbo::request(id => 1, service => 'demo.Echo',
                                    method => 'echo', args => ['x']) ],
    map { [ bolt => Mesh::Bolt::request(%$_, id => 1, service => 'demo.Echo',
                                        method => 'echo', args => ['x']) ] }
    @forms);

for (@first) {
    my ($speaks, $bytes) = @$_;
    my $client = $t->tcp('rpc', speaks => $speaks);
    my ($first, $rest) = unpack 'a40 a*', $bytes;

    $client->send($first, piece => 1, pause => 0.001);
    $client->send($rest);
    is(went($client->recv_id(1, 5)), 'x', "$speaks byte by byte");
    $client->close;

    my $wrong = 0;

    for my $at (1 .. 32) {
        $client = $t->tcp('rpc', speaks => $speaks);
        $client->send(substr $bytes, 0, $at);
        sleep 0.002;
        $client->send(substr $bytes, $at);
        $wrong++ if went($client->recv_id(1, 5)) ne 'x';
        $client->close;
    }

    is($wrong, 0, '... and cut at each of its first bytes');
}

# what begins as something else than a call

for my $bytes (Mesh::Dubbo::heartbeat(id => 9),
               map { Mesh::Bolt::heartbeat(%$_, id => 9) } @forms)
{
    my $speaks = ord($bytes) == 0xda ? 'dubbo' : 'bolt';
    my $client = $t->tcp('rpc', speaks => $speaks);

    $client->send($bytes);
    is($client->recv_id(9, 5)->{kind}, 'ack', "a heartbeat of $speaks");
    is(went($client->call(id => 10, service => 'demo.Echo', args => ['x'],
                          method => 'echo')), 'x', '... then a call');
    $client->close;
}


###############################################################################
# endpoints of the other protocol


my ($old, $new) = (dubbo(), bolt());

my $f = $old->call(id => 1, service => 'demo.Sofa', version => '1.0');
is($f->{status}, 60, 'an endpoint of Bolt is none for Dubbo');
like($f->{error}, qr/no endpoint of the service speaks dubbo.*no_endpoint/,
     '... and the answer says so');

$f = $new->call(id => 1, service => 'demo.Old');
like($f->{error}, qr/no endpoint of the service speaks bolt.*no_endpoint/,
     'nor is one of Dubbo for Bolt');
is(went($new->call(id => 2, service => 'demo.Old', codec => 11)), 'status 6',
   '... by status for who reads no text');

is(went($old->call(id => 2, service => 'demo.Old', version => '1.0',
                   method => 'echo', args => ['x'])), 'x',
   'each has its own');
is(went($new->call(id => 3, service => 'demo.Sofa', method => 'echo',
                   args => ['x'])), 'x', '... endpoints');

$f = $new->call(id => 4, service => 'demo.Empty');
like($f->{error}, qr/the service has no endpoint.*no_endpoint/,
     'a service without any says that');

# where one protocol is told, the other is closed

for my $other ([ dubbo => 'bolt' ], [ bolt => 'dubbo' ]) {
    my ($port, $speaks) = @$other;
    my $before = lines(qr/\[info\].*client sent bytes that are no $port frame/);
    my $client = $t->tcp($port, speaks => $speaks);

    $client->send($client->bytes(request => id => 1, service => 'demo.Echo'));
    isnt($client->closed(5), '', "$speaks on a port of $port: closed");
    is(lines(qr/\[info\].*client sent bytes that are no $port frame/)
       - $before, 1, '... one line');
}


###############################################################################
# what is neither


my $errors = $t->sum($t->metrics, 'mesh_protocol_errors_total',
                     side => 'client');
my @foreign = (
    'TLS' => pack('H*', '16030100c8010000c40303') . 'x' x 194,
        qr/client speaks TLS, which "mesh_pass" does not/,
        qr/^\x15\x03.\0\x02\x02\x28$/s,
    'HTTP/2' => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . "\0\0\0\4" . "\0" x 5,
        qr{client speaks HTTP/2, which "mesh_pass" does not},
        qr{^\0\0\0\x04\0{7}\x27\x07\0{12}\x0d.{31}$}s,
    'HTTP' => "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        qr/client speaks HTTP, which "mesh_pass" does not/,
        qr{^HTTP/1\.1 400 .*this port does not speak HTTP\n$}s,
    'text' => "hello\r\n", qr/no protocol of "mesh_pass auto"/, qr/^$/,
    'zeroes' => "\0" x 64, qr/no protocol of "mesh_pass auto"/, qr/^$/,
    'half of Dubbo' => "\xda\xba", qr/no protocol of "mesh_pass auto"/, qr/^$/,
    'a Bolt 3' => "\3\1\0\1\1" . "\0" x 20,
        qr/no protocol of "mesh_pass auto"/, qr/^$/,
    'a Bolt of type 7' => "\1\7\0\1\1" . "\0" x 20,
        qr/no protocol of "mesh_pass auto"/, qr/^$/,
    'a Bolt 2 of version 9' => "\2\x09\1\0\1\1" . "\0" x 20,
        qr/no protocol of "mesh_pass auto"/, qr/^$/,
);

while (my ($name, $bytes, $line, $answer) = splice @foreign, 0, 4) {
    my $before = lines(qr/\[info\].*$line/);
    my $client = dubbo();

    $client->{raw} = 1;
    $client->send($bytes);

    isnt($client->closed(5), '', "$name: closed");
    like($client->{in}, $answer, '... with the answer that it understands');
    is(lines(qr/\[info\].*$line/) - $before, 1, '... one line');
    $errors++;
    ok((wait_for { $t->sum($t->metrics, 'mesh_protocol_errors_total',
                           side => 'client') == $errors } 5),
       '... one in the counter');
}

# decided for one, then comes the other

for my $client (dubbo(), bolt()) {
    my $speaks = $client->{speaks};
    my $other = $speaks eq 'Mesh::Dubbo' ? 'Mesh::Bolt' : 'Mesh::Dubbo';

    $client->send($client->bytes('heartbeat', id => 1));
    is($client->recv_id(1, 5)->{kind}, 'ack', "$speaks");
    $client->send($other->can('heartbeat')->(id => 2));
    isnt($client->closed(5), '', '... is not followed by the other');
}


# undecided ones have the time of a header, those without a byte that of a
# client

my @undecided = map { my $c = dubbo(); $c->send($_); $c }
                "\xda", "\1", "\2", "\2\1", "\1\1\0", "\2\2\1\0\1";
my $silent = $t->tcp('short');
my $header = lines(qr/\[info\].*client did not complete its frame/);

isnt($_->closed(10), '', 'an undecided client is closed') for @undecided;
is(lines(qr/\[info\].*client did not complete its frame/) - $header,
   scalar @undecided, '... one line each');
ok((wait_for { $t->sum($t->metrics, 'mesh_client_closed_total',
                       reason => 'header_timeout') == @undecided } 5),
   '... one in the counter');
isnt($silent->closed(10), '', 'one that says nothing is closed, too');


###############################################################################
# reload


$old->send(Mesh::Dubbo::request(id => 21, service => 'demo.Shared',
                                version => '1.0', method => 'slow',
                                args => ['old']));
$new->send(Mesh::Bolt::request(%{ $forms[2] }, id => 21, method => 'slow',
                               service => 'demo.Shared', args => ['new']));
wait_for { ($dubbo->stats->{methods}{slow} // 0)
           + ($bolt->stats->{methods}{slow} // 0) == 2 } 5, 'calls in flight';

# clients that have said nothing, or too little, yet
my @begun = (dubbo(), bolt(), bolt());
$begun[1]->send("\1");
sleep 0.1;

ok($t->reload, 'reload');

$begun[1]->send(substr Mesh::Bolt::heartbeat(id => 3), 1);
is($begun[1]->recv_id(3, 5)->{kind}, 'ack', 'one byte before, the rest after');

is(went($old->recv_id(21, 5)), 'old', 'a call of Dubbo in flight is answered');
is(went($new->recv_id(21, 5)), 'new', '... and one of Bolt');

for my $round (1 .. 3) {
    for my $client ($old, $new, @clients, @begun) {
        my $what = "$round of $client";

        is(went($client->call(id => 30 + $round, service => 'demo.Shared',
                              version => '1.0', method => 'echo',
                              args => [$what], timeout => 5)), $what,
           'sessions live on') or last;
    }
}

is(scalar(grep { $_->{eof} || @{ $_->{frames} } } $old, $new, @clients,
               @begun), 0, '... and hear of nothing');
ok((wait_for { !$t->leaving } 10), '... while the old worker goes');

$_->close for $old, $new, @clients, @begun;
$t->done;
