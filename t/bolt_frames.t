#!/usr/bin/perl

# Frames of Bolt pass as they are, whatever they carry and however their bytes
# come; nothing but the id and, where there is one, the CRC is another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Zlib qw(crc32);
use Digest::MD5 qw(md5_hex);
use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Test;

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1, switch => 1 },
    { proto => 2, ver1 => 2, switch => 0 },
    { proto => 2, ver1 => 2, switch => 1 },
);

my @answer = (class => 'any.Answer', header => "no map, \0 just bytes \xff",
              content => join '', map { chr } 0 .. 255);


# a frame as it is but for its id and CRC, which are right

sub digest {
    my ($raw) = @_;

    my $v2 = ord($raw) == 2 ? 1 : 0;
    my $crc = $v2 && ord(substr $raw, 1, 1) == 2 && ord(substr $raw, 11, 1) & 1;

    if ($crc) {
        my $sum = unpack 'N', substr $raw, -4, 4, '';
        return 'wrong CRC' if $sum != crc32($raw);
    }

    substr $raw, 5 + $v2, 4, '....';

    return length($raw) . ' ' . md5_hex($raw);
}

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(speaks => 'bolt', methods => {
    pieces => { split => 1 },
}, handler => sub {
    my ($p, $c, $f) = @_;

    $p->{stats}{digest} = digest($f->{raw});

    return 0 if $f->{class} ne 'any.Class' || $f->{kind} ne 'request';

    $p->count($c, $f);
    $p->write($c, Mesh::Bolt::response(Mesh::Bolt::like($f), @answer));

    return 1;
});

$t->write_conf(conf(pass => 'bolt', service => "endpoint @{[$peer->address]};",
                    mesh => "service any.Class {
                                 endpoint @{[$peer->address]};
                             }",
                    server => 'mesh_max_frame 16m; mesh_timeout 20s;'));
$t->run;

my $client = $t->tcp('rpc', speaks => 'bolt');
my $id = 0;

sub name { join '.', grep { defined } @{ $_[0] }{qw(proto ver1 switch)} }


# whatever the codec byte says

for my $form (@forms) {
    my $wrong = 0;

    for my $codec (1, 2, 11, 12, 13, 99, 0, 127, 128, 255) {
        my $request = Mesh::Bolt::frame(
            %$form, codec => $codec, id => ++$id, timeout => 12345,
            class => 'any.Class', header => Mesh::Bolt::map_bytes({ a => 'b' }),
            content => join '', map { chr 255 - $_ } 0 .. 255);
        my $expected = Mesh::Bolt::response(%$form, @answer, id => $id,
                                            codec => $codec);
        $client->send($request);

        my $got = $client->recv_id($id, 5);

        $wrong++ if !$got || $got->{raw} ne $expected
                    || $peer->stats->{digest} ne digest($request);
    }

    is($wrong, 0, "v@{[name($form)]}: frames of any codec pass untouched");
}


# one-way

for my $form (@forms) {
    my $before = $peer->stats->{oneways};
    my $oneway = Mesh::Bolt::request(%$form, service => 'demo.Echo',
                                     id => ++$id, oneway => 1, args => ['x']);
    $client->send($oneway x 5);

    ok((wait_for { $peer->stats->{oneways} == $before + 5 } 5),
       "v@{[name($form)]}: one-way calls arrive");
    is($peer->stats->{digest}, digest($oneway), '... as they were sent');
    is($client->recv_frame(0.1), undef, '... nobody answers');
}

is($t->metrics->{mesh_oneway_requests_total}, 5 * @forms,
   'they are counted');
is($t->metrics->{mesh_requests_in_flight}
   + $t->metrics->{mesh_slots_resting}, 0, '... and hold nothing');


# lengths at their limits

for my $form (@forms) {
    for my $n (0, 1, 32766, 32767) {
        my %long = (%$form, id => ++$id, service => 'demo.Echo',
                    method => 'echo', args => ["of $n"]);
        my $headers = { sofa_head_target_service => 'demo.Echo:1.0',
                        sofa_head_method_name => 'echo' };
        my $least = length Mesh::Bolt::map_bytes($headers);

        $client->send(Mesh::Bolt::request(%long, class => 'c' x $n));
        is(went($client->recv_id($id, 5)), "of $n",
           "v@{[name($form)]}: a class of $n bytes");

        next if $n < $least;

        $headers->{more} = 'h' x ($n - $least - 12);
        $client->send(Mesh::Bolt::request(%long, headers => $headers));
        is(went($client->recv_id($id, 5)), "of $n", "... headers of $n bytes");
    }
}


# cut at each byte, in both directions

for my $form (@forms) {
    my $wrong = 0;
    my $length = length Mesh::Bolt::request(%$form, service => 'demo.Echo',
                                            method => 'echo', id => 1,
                                            args => ['split']);

    for my $at (1 .. $length - 1) {
        my $request = Mesh::Bolt::request(%$form, service => 'demo.Echo',
                                          method => 'echo', id => $at,
                                          args => ['split']);

        $client->send(substr $request, 0, $at);
        select undef, undef, undef, 0.0005;
        $client->send(substr $request, $at);

        my $f = $client->recv_id($at, 5);
        $wrong++ if went($f) ne 'split' || ($f->{crc_ok} // 1) != 1;
    }

    is($wrong, 0, "v@{[name($form)]}: a request cut at each of its bytes");

    $client->send(Mesh::Bolt::request(%$form, service => 'demo.Echo', id => 1,
                                      method => 'echo', args => ['drops']),
                  piece => 1);
    is(went($client->recv_id(1, 10)), 'drops', '... one byte at a time');

    my $f = $client->call(%$form, id => 2, service => 'demo.Echo',
                          method => 'pieces', args => ['pieces'],
                          timeout => 10);
    is(went($f), 'pieces', '... an answer one byte at a time');
    is($f->{crc_ok} // 1, 1, '... is whole');
}

my @answers = burst($client, 500, method => 'echo', args => sub { ["$_[0]"] });

is(scalar(grep { went($answers[$_]) ne $_ } 0 .. 499), 0,
   'five hundred in one piece');


# large ones between small ones

for my $form (@forms) {
    for my $size (16_000, 65_408, 131_072, 1 << 20, 5 << 20) {
        my $text = join '', map { chr 97 + ($_ * 7 + $size) % 26 } 1 .. 4096;
        $text = substr $text x ($size / 4096 + 1), 0, $size;

        $client->send(join '', map {
            Mesh::Bolt::request(%$form, id => $_, service => 'demo.Echo',
                                method => 'echo', codec => 12,
                                args => [$_ == 2 ? $text : "small $_"])
        } 1 .. 3);

        my %got = map { $_->{id} => $_ } $client->recv_frames(3, 20);

        ok(went($got{1}) eq 'small 1' && went($got{2}) eq $text
           && went($got{3}) eq 'small 3'
           && !(grep { !($_->{crc_ok} // 1) } values %got),
           "v@{[name($form)]}: $size bytes there and back")
            or diag join ', ', map { "$_ " . substr went($got{$_}), 0, 20 }
                               1 .. 3;
    }
}

ok((wait_for { $t->metrics->{mesh_buffered_bytes} == 0 } 10),
   'nothing stays in a buffer');
is($t->sum($t->metrics, 'mesh_damaged_frames_total')
   + $t->sum($t->metrics, 'mesh_protocol_errors_total'), 0,
   'nothing was taken for damaged');
is($client->{eof}, '', 'all of it on one connection');

$client->close;
$t->done;
