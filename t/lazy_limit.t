#!/usr/bin/perl

# Names that clients invent: so many are looked for, so fast, and so much of
# memory waits; the others are answered at once, and who is known is served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Mesh::Calls;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(value => 'good');
my $wait = 'mesh_timeout 60s; mesh_discovery_timeout 30s;';

sub config {
    my (%o) = @_;

    $t->write_conf(lazy_conf(
        %o, mesh => "service demo.Echo { endpoint @{[$peer->address]}; }"
                    . ($o{mesh} // ''),
        server => $wait . ($o{server} // '')));
    $t->run;
}


my $id = 0;

sub invent {
    my ($client, $n, %o) = @_;

    $client->send(join '', map {
        $client->bytes(request => id => ++$id, service => "demo.Bad$id", %o)
    } 1 .. $n);

    return;
}


sub refused {
    my ($why) = @_;
    return metric($t, "mesh_wants_refused_total{reason=\"$why\"}");
}


# max_services

config(registry => 'max_services=20');
my $client = $t->tcp('rpc');

invent($client, 200);
my @refused = $client->recv_frames(180, 20);

is_deeply(statuses(@refused), { 'status 60' => 180 },
          'more than max_services: answered at once');
ok(parked($t, 20), '... the others wait');
is(refused('max_services'), 180, '... all are counted');
is(scalar $t->grep_log(qr/no more services .* "max_services"/), 1,
   '... said once');

is(went($client->call(service => 'demo.Echo')), 'good', 'who is known');

invent($client, 10);
is_deeply(statuses($client->recv_frames(10, 10)), { 'status 60' => 10 },
          'it stays so');

gives($t, 'demo.Bad3', $peer);
is(went($client->recv_id(3, 10)), 'good', 'one of them comes');
$client->close;
ok(parked($t, 0), '... the client leaves');
$t->stop;


# no name, or none that is worth looking for

config();
$client = $t->tcp('rpc');

my @bad = ('a b', 'x*', 'a?', '../etc', '#1', '.', "a\x01b", 'x' x 600,
           "\0", "a\0b", "a\nb", '*', '/', '//', ':',
           'a:*', '%00', 'x' x 65_000);
is(went($client->call(service => $_)), 'status 60',
   'no name: ' . (length > 20 ? 'a long one' : s/\W/_/gr)) for @bad;
is(metric($t, 'mesh_wants_total'), 0, 'none of them is wanted');


# so many in a second

my $from = time;
invent($client, 1000);
invent(my $other = $t->tcp('rpc'), 1000);

my @left = $client->recv_frames(1000, 3);
push @left, $other->recv_frames(1000, 3);
my $wanted = metric($t, 'mesh_wants_total');

is(grep({ went($_) ne 'status 60' } @left), 0, 'in a burst: some are refused');
cmp_ok($wanted, '>=', 512, '... 512 are not');
cmp_ok($wanted, '<=', 513 + 128 * (time - $from), '... and 128 a second');
is($wanted, 2000 - @left, '... as many as are left');
is(scalar $t->grep_log(qr/more unknown services are called/), 1,
   '... said once');
ok(wait_for { refused('rate') == @left } 5, '... counted');
is(metric($t, 'mesh_requests_parked'), 2000 - @left, '... the others wait');

is(went($client->call(service => 'demo.Echo')), 'good', 'who is known');
$_->close for $client, $other;
ok(parked($t, 0), 'the clients leave');
$t->stop;


# so much memory, and so many calls of a client

config(mesh => 'worker_buffer 8m;', server => 'mesh_max_requests 100;');
$client = $t->tcp('rpc');

invent($client, 10, service => 'demo.Large', args => ['x' x 200_000]);
my @large = $client->recv_frames(10, 2);
my $held = 10 - @large;

is_deeply(statuses(@large), { 'status 60' => scalar @large },
          'what waits is an eighth of worker_buffer');
cmp_ok($held, '>=', 4, '... of this size');
cmp_ok($held, '<=', 5, '... not more');
ok(parked($t, $held), '... they wait');
is(refused('worker_buffer'), scalar @large, '... the others are counted');

my $sink = Mesh::Peer->new;
gives($t, 'demo.Large', $sink);
my @frames = $client->recv_frames($held, 10);
is_deeply([ map { length went($_) } @frames ], [ (200_000) x $held ],
          'large ones arrive');
ok(parked($t, 0), '... the memory is free');

invent($client, 120, service => 'demo.Many');
is_deeply(statuses($client->recv_frames(20, 10)), { 'status 100' => 20 },
          'more than mesh_max_requests: overload');
ok(parked($t, 100), '... the others wait');
gives($t, 'demo.Many', $sink);
my @many = $client->recv_frames(100, 10);
is(scalar @many, 100, '... until it comes');

$client->close;
ok((wait_for { metric($t, 'mesh_buffered_bytes') < 65536 } 5),
   'nothing is kept');

$t->done;
