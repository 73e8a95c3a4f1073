#!/usr/bin/perl

# However the bytes of a frame come, in both directions, the frame is the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(methods => {
    pieces => { split => 1 },
    huge => { handler => undef, size => 2 << 20 },
});

$t->write_conf(conf(service => "endpoint @{[$peer->address]};",
                    server => 'mesh_max_frame 1m; mesh_timeout 20s;',
                    stream => <<"EOT"));
    server {
        listen 127.0.0.1:%%PORT_large%%;
        mesh_pass @{[$ENV{TEST_MESH_PASS} // 'dubbo']};
        mesh_max_frame 16m;
        mesh_timeout 30s;
    }
EOT
$t->run;

my $client = $t->tcp('rpc');
my $request = Mesh::Dubbo::request(id => 1, service => 'demo.Echo',
                                   method => 'echo', args => ['split']);
my $wrong = 0;

for my $at (1 .. length($request) - 1) {
    my $own = $request;
    substr $own, 4, 8, pack 'Q>', $at;

    $client->send(substr $own, 0, $at);
    select undef, undef, undef, 0.001;
    $client->send(substr $own, $at);

    $wrong++ if went($client->recv_id($at, 5)) ne 'split';
}

is($wrong, 0, 'a request cut at each of its bytes');

$client->send($request, piece => 1);
is(went($client->recv_id(1, 10)), 'split', 'one byte at a time');

is(went($client->call(id => 2, service => 'demo.Echo', method => 'pieces',
                      args => ['answer in pieces'], timeout => 10)),
   'answer in pieces', 'an answer one byte at a time');

my @answers = burst($client, 500, method => 'echo',
                    args => sub { ["burst $_[0]"] });

is(scalar(grep { went($answers[$_]) ne "burst $_" } 0 .. 499), 0,
   'five hundred in one piece');

# a large one between small ones, cut in the middle

my $large = $t->tcp('large');

for my $size (16367, 16368, 16369, 65000, 65536, 131072, 1 << 20, 7 << 20) {
    my $text = join '', map { chr 97 + ($_ * 7 + $size) % 26 } 1 .. 4096;
    $text = substr $text x ($size / 4096 + 1), 0, $size;

    $large->send(join '', map {
        Mesh::Dubbo::request(id => $_, service => 'demo.Echo',
                             method => 'echo',
                             args => [$_ == 2 ? $text : "small $_"])
    } 1 .. 3);

    is(went($large->recv_id(1, 20)), 'small 1', "before $size bytes");
    ok(went($large->recv_id(2, 20)) eq $text, "$size bytes there and back");
    is(went($large->recv_id(3, 20)), 'small 3', "... and behind them");
}

# frames above the limit

my $frame = $client->call(id => 5, service => 'demo.Echo', method => 'echo',
                          args => ['x' x (2 << 20)], timeout => 10);
is($frame->{status}, 40, 'a request above mesh_max_frame is refused');
is(went($client->call(id => 6, service => 'demo.Echo', method => 'echo',
                      args => ['next'], timeout => 5)), 'next',
   '... and the connection lives');

$frame = $client->call(id => 7, service => 'demo.Echo', method => 'huge',
                       args => ['x'], timeout => 10);
is($frame->{status}, 50, 'so is an answer');
is(went($client->call(id => 8, service => 'demo.Echo', method => 'echo',
                      args => ['next'], timeout => 5)), 'next',
   '... and the link lives');

ok((wait_for { $t->metrics('/metrics', 'http')->{mesh_buffered_bytes} == 0 } 10),
   'nothing stays in a buffer');

$_->close for $client, $large;
$t->done;
