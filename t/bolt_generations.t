#!/usr/bin/perl

# Ids with few generations: built so that four bits are left beside the slot,
# as a slot is then used again under an old id after sixteen calls.  An answer
# that comes late meets its own slot at rest, not another call.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Test;
use Mesh::Variant qw(variant);

variant('generations', 'src/codec/ngx_mesh_bolt.c',
        '-DNGX_MESH_BOLT_ID_BITS=22');

use constant { SLOTS => 64, SLOT_MASK => (1 << 18) - 1 };

# how often the slots of a link's first page are all used
my $rounds = 70;

my $t = Mesh::Test->new;

# "late" waits for a word; its slot must not be anybody's meanwhile

my $peer = Mesh::Peer->new(speaks => 'bolt', methods => {
    twice => { twice => 1 },
}, handler => sub {
    my ($p, $c, $f) = @_;

    return 0 unless $f->{kind} eq 'request';

    my $s = $p->{stats};
    my $slot = $f->{id} & SLOT_MASK;

    $s->{most} = $f->{id} if $f->{id} > ($s->{most} // 0);
    $s->{used}{$f->{id}}++;
    $s->{taken}++ if $c->{late}{$slot};

    if ($f->{method} eq 'late') {
        $p->count($c, $f);
        $c->{late}{$slot} = $f;

    } elsif ($f->{method} eq 'now') {
        $p->count($c, $f);
        my $late = join '', map { Mesh::Bolt::reply($_, value => 'late') }
                   values %{ delete $c->{late} };
        $p->write($c, $late x 2 . Mesh::Bolt::reply($f, value => 'now'));

    } else {
        return 0;
    }

    return 1;
});

$t->write_conf(conf(pass => 'bolt', service => "endpoint @{[$peer->address]};",
                    server => 'mesh_timeout 20s; mesh_heartbeat off;'));
$t->run;

my @clients = map { $t->tcp('rpc', speaks => 'bolt') } 1 .. 2;


# calls that are given up, and one whose client leaves

my $leaves = $t->tcp('rpc', speaks => 'bolt');

$leaves->send(Mesh::Bolt::request(service => 'demo.Echo', method => 'late',
                                  id => 1));
wait_for { $peer->stats->{requests} == 1 } 5, 'the call';
$leaves->rst;

my @given_up = burst($clients[0], 5, method => 'late', timeout_ms => 100);

is_deeply(statuses(@given_up), { 'status 7' => 5 }, 'calls are given up');
is($t->metrics->{mesh_slots_resting}, 6, '... their slots rest');


# as many calls as make each slot meet its ids again and again, with answers
# that come twice

my %went;

for (1 .. $rounds) {
    for my $client (@clients) {
        my $prefix = "round $_ of $client";
        my @answers = burst($client, SLOTS / 2, method => 'twice',
                            args => sub { ["$prefix: $_[0]"] });

        $went{went($answers[$_]) eq "$prefix: $_" ? 'right' : 'wrong'}++
            for 0 .. $#answers;
    }
}

is_deeply(\%went, { right => $rounds * SLOTS },
          "$rounds times all slots: each answer to its caller");
is(scalar @{ $_->{frames} }, 0, '... and once') for @clients;

my $stats = $peer->stats;
my $reused = 0;
$reused += $_ > 1 for values %{ $stats->{used} };

cmp_ok($stats->{most}, '<', 1 << 22, 'ids have 22 bits');
cmp_ok($stats->{most} >> 18, '==', 15, '... four beside the slot');
cmp_ok($reused, '>=', 16 * (SLOTS - 6), '... so each was given out again');
is($stats->{taken}, undef, 'none is given out while its answer may come');
is($stats->{connections}, 1, 'all of it on one link');
is($t->metrics->{mesh_slots_resting}, 6, 'abandoned slots still rest');


# now the late answers, twice each

is(went($clients[1]->call(service => 'demo.Echo', method => 'now', id => 1,
                          timeout => 5)), 'now', 'late answers come');

ok((wait_for { my $m = $t->metrics;
               $m->{mesh_abandoned_responses_total} == 6
               && $m->{mesh_stray_responses_total} == $rounds * SLOTS + 6
               && $m->{mesh_slots_resting} == 0 } 10),
   '... are dropped and counted, and the slots are free');

is_deeply(statuses(burst($clients[0], SLOTS, args => sub { ['fine'] })),
          { fine => SLOTS }, '... and are used again');
is(scalar @{ $_->{frames} }, 0, '... nobody got a late one') for @clients;

$_->close for @clients;
$t->done;
