#!/usr/bin/perl

# mesh_pass auto with declared protocols: those with a magic are found beside
# Dubbo and Bolt, and before them.

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
use Mesh::Wire;

use Time::HiRes qw(sleep);

# a request of each declared protocol and its answer, which differ in the first
# bytes; "plain" has no magic

my %declared = (
    toy => {
        call => sub { pack 'a3CNC a3 a*', 'TOY', 1, $_[0], 0,
                      substr(pack('N', 12), 1), pack 'C/a* C/a*', 'clock',
                      'tells' },
        answer => sub { pack 'a3CNC a3 a*', 'TOY', 3, $_[0], 0, "\0\0\5",
                        'clock' },
        id => sub { unpack 'x4N', $_[0] },
    },
    hsf => {
        call => sub { pack 'H8 Q> N5 a*', '0e020101', $_[0], 3000, 5, 5, 0, 1,
                      'clocktellsx' },
        answer => sub { pack 'H8 Q> N2 a*', '0e020201', $_[0], 20, 5,
                        'clock' },
        id => sub { unpack 'x4Q>', $_[0] },
    },
    thrift => {
        call => sub { pack 'N/a*', pack 'N N/a* N C', 0x80010001, 'tells',
                      $_[0], 0 },
        answer => sub { pack 'N/a*', pack 'N N/a* N C', 0x80010002, 'tells',
                        $_[0], 0 },
        id => sub { unpack 'x17N', $_[0] },
    },
);


# what a provider does that knows one request only

sub wire {
    my ($name) = @_;

    my $it = $declared{$name};
    my $size = length $it->{call}->(0);

    return Mesh::Wire->new(
        cut => sub { length $_[0] >= $size ? $size : 0 },
        answer => sub {
            my $id = $it->{id}->($_[0]);

            return ('', 0, 'no ' . unpack 'H*', $_[0])
                if $_[0] ne $it->{call}->($id);
            return ($it->{answer}->($id), 0, "$name $_[1]{conn}");
        });
}

my $t = Mesh::Test->new;
my %peer = ((map { $_ => wire($_) } keys %declared),
            dubbo => Mesh::Peer->new,
            bolt => Mesh::Peer->new(speaks => 'bolt'));
my %at = map { $_ => $peer{$_}->address } keys %peer;


# clock is served in all protocols, if they are declared

sub text {
    my (@protocols) = @_;

    my $include = join '', map {
        "include @{[$t->root]}/conf/protocols/$_.conf;\n"
    } @protocols;
    my $endpoints = join '', map { "endpoint $at{$_} protocol=$_;\n" }
                    grep { $_ ne 'thrift' } @protocols, 'dubbo';
    my $thrift = grep({ $_ eq 'thrift' } @protocols)
                 ? "service thrift { endpoint $at{thrift}; }\n" : '';

    return <<"EOT";
mesh {
    zone mesh:8m metrics=1m;

    $include

    protocol plain {
        length  0 4 add=4;
        id      4 4;
        kind    8 1 request=1 response=2;
    }

    service clock     { $endpoints }
    service clock:1.0 { endpoint $at{bolt} protocol=bolt; }
    service tower     { endpoint $at{bolt} protocol=plain; }
    $thrift
}

stream {
    mesh_log_format protocol '\$mesh_protocol \$mesh_service \$mesh_method';

    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass auto;
        mesh_header_timeout 1s;
        mesh_access_log %%DIR%%/mesh.log protocol;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
EOT
}

$t->write_conf(text(qw(toy hsf thrift)));
$t->run;

sub client {
    my ($protocol) = @_;

    return $t->tcp('rpc', speaks => $protocol) if !$declared{$protocol};

    my $client = $t->tcp('rpc');
    $client->{raw} = 1;
    return $client;
}


# a call; piece => n sends it in pieces

sub call {
    my ($protocol, $client, $id, %o) = @_;

    my $it = $declared{$protocol};

    return went($client->call(id => $id, service => 'clock', args => ['clock'],
                              method => 'tells', timeout => 5)) eq 'clock'
        if !$it;

    my $answer = $it->{answer}->($id);

    $client->send($it->{call}->($id), %o);
    return $client->recv_bytes(length $answer, 5) eq $answer;
}


# all at once, on one port

my @all = (sort(keys %declared), 'dubbo', 'bolt');
my @clients = map { [ $_, client($_) ] } (@all) x 3;
my %wrong;

for my $id (1 .. 20) {
    call(@$_, $id) or $wrong{$_->[0]}++ for @clients;
}

is_deeply(\%wrong, {}, 'five protocols on one port');
ok((wait_for { 300 == (() = $t->read_file('mesh.log') =~ /\n/g) } 5),
   '... each call is logged');
is_deeply(tally(split /\n/, $t->read_file('mesh.log')), {
    'bolt clock:1.0 tells' => 60, 'dubbo clock tells' => 60,
    'hsf clock tells' => 60, 'thrift thrift tells' => 60,
    'toy clock tells' => 60,
}, '... as what it was');

for my $protocol (sort keys %declared) {
    my %seen = map { $_ => 1 } $peer{$protocol}->log;

    is_deeply([ keys %seen ], [ "$protocol 1" ],
              "$protocol: one link, and nothing else on it");
}


# cut anywhere, and byte by byte

for my $protocol (sort keys %declared) {
    my $wrong = 0;
    my $bytes = $declared{$protocol}{call}->(5);
    my $answer = $declared{$protocol}{answer}->(5);

    for my $at (1 .. 16) {
        my $client = client($protocol);
        $client->send(substr $bytes, 0, $at);
        sleep 0.002;
        $client->send(substr $bytes, $at);
        $wrong++ if $client->recv_bytes(length $answer, 5) ne $answer;
        $client->close;
    }

    is($wrong, 0, "$protocol: cut at each of its first bytes");
    ok(call($protocol, client($protocol), 6, piece => 1, pause => 0.001),
       '... byte by byte');
}


# a protocol without a magic is never found, however good its frames

sub lines { my @lines = $t->grep_log($_[0]); return scalar @lines }

my $plain = client('toy');
$plain->send(pack 'N N C a4', 9, 1, 1, 'tick');
isnt($plain->closed(5), '', 'a frame of one without a magic: closed');
is(lines(qr/\[info\].*began with bytes of no protocol of "mesh_pass auto"/), 1,
   '... one line');

my $dubbo = client('dubbo');
my $f = $dubbo->call(id => 1, service => 'tower');
like($f->{error}, qr/no endpoint of the service speaks dubbo/,
     'its endpoints are none for others');

my @half = map { my $c = client('toy'); $c->send($_); $c }
           'TO', "\x0e", "\0\0\0\x20", "\0\0\0\x20\x80\1";
isnt($_->closed(5), '', 'undecided among them: closed in time') for @half;


# reload

sub missed { my %missed; call(@$_, 9) or $missed{$_->[0]}++ for @clients;
             return \%missed }

ok($t->reload, 'reload');
is_deeply(missed(), {}, '... the clients live on');

$t->write_conf(text(qw(hsf thrift)));
ok($t->reload, 'reload without one protocol');

for (@clients) {
    is($_->[1]->closed(10), 'eof', '... whose clients are closed')
        if $_->[0] eq 'toy';
}

@clients = grep { $_->[0] ne 'toy' } @clients;
is_deeply(missed(), {}, '... and no others');

my $toy = client('toy');
$toy->send($declared{toy}{call}->(1));
isnt($toy->closed(5), '', 'it is not found any more');

$_->[1]->close for @clients;
$dubbo->close;


# declared ones come first

my $copy = Mesh::Test->new;

$copy->write_conf(text() =~ s{protocol\ plain}
    {include @{[$copy->root]}/t/protocols/dubbo-copy.conf;\n$&}xr
    =~ s/protocol=dubbo//r);
$copy->run;

my $client = $copy->tcp('rpc');
is(went($client->call(id => 1, service => 'clock', args => ['clock'])),
   'clock', 'a declared copy of Dubbo');
ok((wait_for { $copy->read_file('mesh.log') =~ /\n/ } 5)
   && $copy->read_file('mesh.log') !~ /^dubbo /, '... comes before Dubbo')
    or diag $copy->read_file('mesh.log');
$client->close;

$t->done;
