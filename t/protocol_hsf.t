#!/usr/bin/perl

# conf/protocols/hsf.conf and conf/protocols/thrift.conf against peers that
# write those bytes themselves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Test;
use Mesh::Wire;

my $t = Mesh::Test->new;


###############################################################################
# HSF-like

sub hsf_request {
    my (%o) = @_;

    my $props = join '', map { pack 'n/a* n/a*', $_, $o{props}{$_} }
                         sort keys %{ $o{props} // {} };
    my $body = $o{body} // '';

    return pack('C4 Q> N5', 0x0e, 2, $o{type} // 1, 1, $o{id},
                $o{timeout} // 0, length $o{service} // 0,
                length $o{method} // 0, length $props, length $body)
           . ($o{service} // '') . ($o{method} // '') . $props . $body;
}


sub hsf_answer {
    my ($id, $status, $body, $type) = @_;
    return pack 'C4 Q> N N/a*', 0x0e, 2, $type // 2, 1, $id, $status, $body;
}


sub hsf_size {
    my ($bytes) = @_;

    return 0 if length $bytes < 32;
    my @n = unpack 'x16 N4', $bytes;
    my $size = 32 + $n[0] + $n[1] + $n[2] + $n[3];
    return length $bytes >= $size ? $size : 0;
}


my $hsf = Mesh::Wire->new(cut => \&hsf_size, answer => sub {
    my ($frame) = @_;

    my ($type, undef, $id) = unpack 'x2 CCQ>', $frame;
    return hsf_answer($id, 20, '', 4) if $type == 3;

    my ($timeout, $s, $m, $p, $b) = unpack 'x12 N5', $frame;
    my $service = substr $frame, 32, $s;
    my $method = substr $frame, 32 + $s, $m;
    my $body = substr $frame, 32 + $s + $m + $p;

    my $said = "$type $service $method";
    return (undef, 0, $said) if $type == 5 || $method eq 'never';
    return (hsf_answer($id, $method eq 'fail' ? 50 : 20, $body), 0, $said);
});


###############################################################################
# Thrift

sub thrift {
    my ($type, $name, $seqid, $rest) = @_;
    return pack 'N/a*', pack('N N/a* N', 0x80010000 | $type, $name, $seqid)
                        . ($rest // "\0");
}


sub thrift_size {
    my ($bytes) = @_;

    return 0 if length $bytes < 4;
    my $size = 4 + unpack 'N', $bytes;
    return length $bytes >= $size ? $size : 0;
}


my $thrift = Mesh::Wire->new(cut => \&thrift_size, answer => sub {
    my ($frame) = @_;

    my ($type, $name, $seqid) = unpack 'x4 N N/a* N', $frame;
    my $rest = substr $frame, 16 + length $name;

    return (undef, 0, "oneway $name") if ($type & 0xff) == 4;
    return (thrift(2, $name, $seqid, $rest), $name =~ /^slow/ ? 0.3 : 0,
            "call $name");
});


$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    include @{[$t->root]}/conf/protocols/hsf.conf;
    include @{[$t->root]}/conf/protocols/thrift.conf;

    service com.example.Order:1.0 { endpoint @{[$hsf->address]}; }
    service thrift { endpoint @{[$thrift->address]}; }
}

stream {
    mesh_log_format p '\$mesh_protocol \$mesh_service \$mesh_method \$mesh_app '
                      '\$mesh_attachment_trace_id \$mesh_status \$mesh_error';
    mesh_access_log %%DIR%%/rpc.log p;

    server { listen 127.0.0.1:%%PORT_rpc%%; mesh_pass auto; }
    server {
        listen 127.0.0.1:%%PORT_small%%;
        mesh_pass thrift;
        mesh_max_frame 4k;
        mesh_buffer_size 4k;
    }
}
CONF

$t->run;


sub client {
    my $client = $t->tcp($_[0] // 'rpc');
    $client->{raw} = 1;
    return $client;
}


sub hsf_got {
    my ($client) = @_;

    my $head = $client->recv_bytes(20);
    return {} if length $head < 20;

    my ($type, $id, $status, $n) = unpack 'x2 C x Q> N N', $head;

    return { type => $type, id => $id, status => $status,
             body => $n ? $client->recv_bytes($n) : '' };
}


my @clients = map { client() } 1 .. 3;
my $wrong = 0;

$_->send(join '', map {
    hsf_request(id => $_, service => 'com.example.Order:1.0', method => 'find',
                props => { app => 'shop', 'trace-id' => "t$_" },
                body => "order $_")
} 1 .. 20) for @clients;

for my $c (@clients) {
    my %got = map { my $r = hsf_got($c); ($r->{id} // 0 => $r->{body} // '') }
              1 .. 20;
    $wrong += grep { ($got{$_} // '') ne "order $_" } 1 .. 20;
}

is($wrong, 0, 'HSF: calls of three clients with the same ids');

my $c = $clients[0];
my $order = 'com.example.Order:1.0';

$c->send(hsf_request(type => 3, id => 99));
is_deeply(hsf_got($c), { type => 4, id => 99, status => 20, body => '' },
          '... a heartbeat is answered');

$c->send(hsf_request(id => 5, service => $order, method => 'fail'));
is(hsf_got($c)->{status}, 50, '... an error of the provider');

$c->send(hsf_request(id => 6, service => $order, method => 'never',
                     timeout => 100));
is(hsf_got($c)->{status}, 31, '... the timeout of the header');

$c->send(hsf_request(type => 5, id => 7, service => $order, method => 'tell'));
$c->send(hsf_request(id => 8, service => 'no.Such', method => 'x'));

my $r = hsf_got($c);
is("$r->{id} $r->{status}", '8 60', '... an unknown service');
like($r->{body}, qr/service "no\.Such", method "x"/, '... by name');

ok(wait_for(sub {
    1 == grep { $_ eq '5 com.example.Order:1.0 tell' } $hsf->log;
}, 10), '... a one-way call arrives');

# byte by byte

$c->send(hsf_request(id => 9, service => $order, method => 'find',
                     body => 'slowly'), piece => 1);
is(hsf_got($c)->{body}, 'slowly', '... byte by byte');


sub thrift_got {
    my ($client) = @_;

    my $head = $client->recv_bytes(4);
    return {} if length $head < 4;

    my $message = $client->recv_bytes(unpack 'N', $head);
    my ($type, $name, $seqid) = unpack 'N N/a* N', $message;

    return { type => $type & 0xff, name => $name, seqid => $seqid,
             rest => substr $message, 12 + length $name };
}


@clients = map { client() } 1 .. 3;

# names of all lengths: the id is behind them, also behind the first 32 bytes

my @names = map { 'slow' . 'n' x $_ } 0 .. 60;

$_->send(join '', map { thrift(1, $names[$_], $_, "args of $_\0") } 0 .. 60)
    for @clients;

$wrong = 0;

for my $client (@clients) {
    for (0 .. 60) {
        my $r = thrift_got($client);
        $wrong++ if ($r->{name} // '') ne $names[$r->{seqid} // 0]
                    || $r->{rest} ne "args of $r->{seqid}\0";
    }
}

is($wrong, 0, 'Thrift: equal sequence ids of three clients');

$c = $clients[1];
$c->send(thrift(4, 'tell', 0) . thrift(1, 'echo', 77, 'x' x 100), piece => 3);
is(thrift_got($c)->{seqid}, 77, '... in pieces, behind a one-way call');
is(scalar grep({ $_ eq 'oneway tell' } $thrift->log), 1, '... which arrives');

# a frame too large for its id to be known

my $small = client('small');
$small->send(thrift(1, 'large', 5, 'x' x 5000));
$r = thrift_got($small);
is("$r->{type} $r->{seqid}", '3 5', '... too large: an exception');
like($r->{rest}, qr/^\x0b\x00\x01.{4}nginx-mesh: .*request_too_large.*
                    \x08\x00\x02\x00{3}\x06\x00$/sx, '... with a text and a type');

my $long = thrift(1, 'l' x 40, 5, 'x' x 5000);
$small->send(substr $long, 0, 36);
select undef, undef, undef, 0.2;
$small->send(substr $long, 36);
isnt($small->closed, '', '... with its id still to come: the end');

my $log = $t->read_file('rpc.log');
like($log, qr/^hsf com\.example\.Order:1\.0 find shop t7 20 -$/m, 'log of HSF');
like($log, qr/^thrift thrift echo - - 2 -$/m, 'log of Thrift');

$t->done;
