#!/usr/bin/perl

# A provider that answers with bytes that are no frame: its link is closed and
# replaced, its calls fail typed, nobody else notices.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $bad = Mesh::Peer->new(value => 'bad', methods => {
    slow => { delay => 30 },
    junk => { garbage => 1 },
    zero => { garbage => "\0" x 64 },
    huge => { garbage => Mesh::Dubbo::frame(length => 0x7fffffff,
                                            flags => 2, status => 20) },
    negative => { garbage => Mesh::Dubbo::frame(length => 0xffffffff,
                                                flags => 2, status => 20) },
    http => { garbage => "HTTP/1.1 400 Bad Request\r\n\r\n" },
});
my $good = Mesh::Peer->new(value => 'good');

$t->write_conf(conf(
    server => 'mesh_timeout 5s;',
    service => 'endpoint ' . $good->address . ';',
    mesh => 'service demo.Bad {
                 endpoint ' . $bad->address . ' max_fails=0;
             }'));
$t->run;

my $client = $t->tcp('rpc');
my $other = $t->tcp('rpc');
my $links = 1;

for my $how (qw(junk zero negative http)) {

    is((spread($client, 1, service => 'demo.Bad'))[0], 'bad',
       'it answers well');
    is($bad->stats->{connections}, $links++, "... by link " . ($links - 1));

    # calls of two clients wait while one call makes it speak nonsense
    $client->send(Mesh::Dubbo::request(service => 'demo.Bad', id => 1,
                                       method => 'slow'));
    $other->send(Mesh::Dubbo::request(service => 'demo.Bad', id => 2,
                                      method => 'slow'));
    $client->send(Mesh::Dubbo::request(service => 'demo.Bad', id => 3,
                                       method => $how));

    is_deeply(statuses($client->recv_frames(2), $other->recv_frames(1)),
              { 'status 70' => 3 }, "$how: all its calls are answered");
    is_deeply(scalar spread($other, 3), { good => 3 },
              '... other services go on, and their clients');
    is(scalar $t->grep_log(qr/\[error\].*sent bytes that are no dubbo frame/),
       $links - 1, '... one line');
}

wait_for {
    $t->sum($t->metrics, 'mesh_protocol_errors_total', side => 'provider')
        >= 4;
} 10;
is($t->sum($t->metrics, 'mesh_protocol_errors_total', side => 'provider'), 4,
   'they are counted');


# a frame above the limit is one: skipped by its length, no reason to close

$client->send(Mesh::Dubbo::request(service => 'demo.Bad', id => 4,
                                   method => 'huge'));
wait_for { $t->metrics->{mesh_oversize_frames_total} } 10;
is($t->metrics->{mesh_oversize_frames_total}, 1,
   'a frame above the limit is skipped');

is($good->stats->{connections}, 1, 'the link of the other never closed');

$t->done;
