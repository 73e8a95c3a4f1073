#!/usr/bin/perl

# max_fails and fail_timeout: an endpoint whose links fail is left alone for a
# time and comes back; with slow_start it comes back slowly.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time sleep);

my $ramp = 4;

my $t = Mesh::Test->new;
my %peer = map { $_ => Mesh::Peer->new(value => $_) } qw(a b zero slow other);
my %at = map { $_ => $peer{$_}->address } keys %peer;

$t->write_conf(conf(
    service => "endpoint $at{a} max_fails=3 fail_timeout=6s;
                endpoint $at{b};",
    mesh => "service demo.Zero {
                 endpoint $at{zero} max_fails=0; endpoint $at{other};
             }
             service demo.Slow {
                 endpoint $at{slow} fail_timeout=500ms slow_start=${ramp}s;
                 endpoint $at{other};
             }"));
$t->run;

my $client = $t->tcp('rpc');


sub logged {
    my ($name, $what) = @_;
    return scalar $t->grep_log(qr/endpoint \Q$at{$name}\E is $what/);
}


# calls until this endpoint has got one more; what they were answered

sub until_used {
    my ($name, %o) = @_;

    my $before = $peer{$name}->stats->{requests};
    my @went;

    wait_for {
        push @went, spread($client, 1, %o);
        $peer{$name}->stats->{requests} > $before;
    } 20, "a call of $name";

    return \@went;
}


# a reset with a call in flight is a failure

$peer{a}->set(rst_after => 1);

for my $n (1 .. 3) {
    is(logged('a', 'unavailable'), 0, 'it is not out') if $n > 1;

    my $went = until_used('a');
    is(pop @$went, 'status 70', "failure $n of three");
    is(join('', grep { $_ ne 'b' } @$went), '', '... no other call failed');
}

is(logged('a', 'unavailable'), 1, 'the third takes it out, one line says so');

$peer{a}->set(rst_after => 0);

my $before = $peer{a}->stats->{connections};

# for longer than the pause between two dials, which is 400 ms by now

my $until = time + 1.5;
my %went;

while (time < $until) {
    $went{$_}++ for spread($client, 10);
    sleep 0.02;
}

is_deeply([ keys %went ], [ 'b' ], 'no calls go there');
is($peer{a}->stats->{connections}, $before, '... nor connections');

wait_for {
    my $m = $t->metrics;
    $t->sum($m, 'mesh_endpoint_ejections_total', endpoint => $at{a});
} 10;

is($t->sum($t->metrics, 'mesh_endpoint_ejections_total'), 1,
   'the metrics tell');

is(until_used('a')->[-1], 'a', 'when fail_timeout is over it is tried again');
is(logged('a', 'available again'), 1, '... one line says so');
is_deeply(scalar spread($client, 20), { a => 10, b => 10 },
          '... it has its share at once without slow_start');


# failures with answers between them never add up

$peer{a}->set(rst_after => 2);
$peer{a}->close_all;
my $n = spread($client, 60);

cmp_ok($n->{'status 70'}, '>', 5, 'every second call of a link fails');
is(logged('a', 'unavailable'), 1, '... it is not out again');


# max_fails=0

$peer{zero}->set(rst_after => 1);
until_used('zero', service => 'demo.Zero') for 1 .. 4;
is(logged('zero', 'unavailable'), 0, 'max_fails=0 takes nothing out');
$peer{zero}->set(rst_after => 0);
is(until_used('zero', service => 'demo.Zero')->[-1], 'zero',
   '... it answers at once when it can');


# slow start: by the clock of this test, the weight may not be ahead of it

$peer{slow}->stop;
is_deeply(scalar spread($client, 10, service => 'demo.Slow'),
          { other => 10 }, 'a refused connect is no failed call');
is(logged('slow', 'unavailable'), 1, '... but takes the endpoint out');

$peer{slow}->start;

my $from;

wait_for {
    $from = time;
    (spread($client, 1, service => 'demo.Slow'))[0] eq 'slow';
} 20, 'the endpoint to come back';

my ($ahead, $all) = (0, 0);

while (time < $from + $ramp) {
    $n = spread($client, 40, service => 'demo.Slow');

    my $passed = (time - $from) / $ramp;
    my $weight = $passed < 1 ? $passed : 1;
    my $most = 40 * $weight / (1 + $weight) + 2;

    $all += $n->{slow} // 0;
    $ahead++ if ($n->{slow} // 0) > $most;
    sleep 0.1;
}

is($ahead, 0, 'it never gets more than the ramp allows');
cmp_ok($all, '>', 0, '... but some');

is_deeply(scalar spread($client, 40, service => 'demo.Slow'),
          { slow => 20, other => 20 }, '... in the end its full share');

$t->done;
