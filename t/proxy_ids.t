#!/usr/bin/perl

# Ids belong to one client: whoever asks gets the answer to just that question.

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
    held => { reorder => 40 }, late => { delay => 1 }, twice => { twice => 1 },
});

$t->write_conf(conf(service => "endpoint @{[$peer->address]};",
                    server => 'mesh_timeout 5s;'));
$t->run;

my @clients = map { $t->tcp('rpc') } 1 .. 4;

# the same ids from everybody at once, answered last first

for my $c (0 .. $#clients) {
    $clients[$c]->send(join '', map {
        Mesh::Dubbo::request(id => $_, service => 'demo.Echo',
                             method => 'held', args => ["client $c call $_"])
    } 1 .. 10);
}

my $wrong = 0;

for my $c (0 .. $#clients) {
    for my $id (1 .. 10) {
        my $frame = $clients[$c]->recv_id($id, 10);
        $wrong++ if went($frame) ne "client $c call $id";
    }
}

is($wrong, 0, 'equal ids of four clients, answers out of order');
is($peer->stats->{connections}, 1, 'one connection serves them all');

# one id twice in flight

$clients[0]->send(Mesh::Dubbo::request(id => 7, service => 'demo.Echo',
                                       method => 'late', args => ['first'])
                  . Mesh::Dubbo::request(id => 7, service => 'demo.Echo',
                                         method => 'late', args => ['second']));

is_deeply([sort map { went($_) } $clients[0]->recv_frames(2, 10)],
          ['first', 'second'], 'an id twice in flight: both are answered');

# the extremes of a signed 64-bit id

for my $id (0, -1, 9223372036854775807, -9223372036854775807 - 1) {
    is(went($clients[1]->call(id => $id, service => 'demo.Echo',
                              method => 'echo', args => ["id $id"],
                              timeout => 5)), "id $id", "id $id");
}

# an answer twice, one too late, and one that nobody asked for

is(went($clients[0]->call(id => 20, service => 'demo.Echo', method => 'twice',
                          args => ['once'], timeout => 5)), 'once',
   'an answer that comes twice is given once');

my $frame = $clients[2]->call(id => 21, service => 'demo.Echo',
                              method => 'late', args => ['too late'],
                              attachments => { timeout => '50' },
                              timeout => 5);

# attachments stand behind the arguments, where a declaration does not get
my $late = $ENV{TEST_MESH_PASS} ? 0 : 1;

is($frame->{status}, $late ? 31 : 20, 'a call is given up');

$peer->push_bytes(Mesh::Dubbo::response(id => 123456789, value => 'stray'));

ok((wait_for { my $m = $t->metrics('/metrics', 'http');
               $m->{mesh_stray_responses_total} == 2
               && $m->{mesh_abandoned_responses_total} == $late } 10),
   'late, doubled and unknown answers are counted');

is(went($_->call(id => 22, service => 'demo.Echo', method => 'echo',
                 args => ['fine'], timeout => 5)), 'fine', '... nobody got them')
    for @clients;

is(scalar @{$_->{frames}}, 0, '... nothing was left behind') for @clients;
is($peer->stats->{connections}, 1, '... and the link stayed');
is($t->metrics('/metrics', 'http')->{mesh_requests_in_flight}, 0,
   '... nothing is in flight');

$_->close for @clients;
$t->done;
