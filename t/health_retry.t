#!/usr/bin/perl

# Retries of calls that were written: only what is declared idempotent, only
# for the conditions named, within tries and the budget.

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
my %peer = map { $_ => Mesh::Peer->new(value => $_) }
           qw(bad good slow bad1 bad2 bad3);
my %at = map { $_ => $peer{$_}->address } keys %peer;

my $error = 'mesh_next_upstream error tries=2';

sub server {
    my ($name, $directives) = @_;

    return "server {
                listen 127.0.0.1:%%PORT_$name%%;
                mesh_pass dubbo;
                mesh_idempotent demo.*:get*;
                $directives
            }\n";
}

sub service {
    my ($name, @endpoints) = @_;

    return "service $name { "
           . join('', map { "endpoint $at{$_} max_fails=0; " } @endpoints)
           . "}\n";
}

$t->write_conf(conf(
    server => "mesh_idempotent demo.*:get*; $error budget=100%;",
    service => "endpoint $at{bad} max_fails=0; endpoint $at{good};",
    mesh => service('other.Echo', qw(bad good))
            . service('demo.Alone', qw(bad))
            . service('demo.Slow', qw(slow good))
            . service('demo.Hash', qw(bad good)) =~ s/\{/{ balancer hash method;/r
            . service('demo.Three', qw(bad1 bad2 bad3))
            . service('demo.Poor', qw(bad good))
            . service('demo.Budget', qw(bad good)),
    stream => server(off => 'mesh_next_upstream off;')
              . server(once => 'mesh_next_upstream error tries=1;')
              . server(poor => "$error budget=0%;")
              . server(budget => "$error budget=1%;")
              . server(timeout => 'mesh_next_upstream timeout tries=2;
                                   mesh_timeout 300ms;')
              . server(patient => "$error; mesh_timeout 300ms;")));
$t->run;

my $client = $t->tcp('rpc');


# calls one by one until the bad one has got n; the answers

sub until_bad {
    my ($n, $client, %o) = @_;

    my $before = $peer{bad}->stats->{requests};
    my @went;

    wait_for {
        push @went, spread($client, 1, %o);
        $peer{bad}->stats->{requests} >= $before + $n;
    } 20, 'calls of the bad one';

    return tally(@went);
}


# a counter, once it is there: it is up to a second late

sub counted {
    my ($name, $value) = @_;

    wait_for { ($t->metrics->{$name} // 0) >= $value } 10;
    return $t->metrics->{$name};
}


# the second request of each link meets a reset: each link proves itself
# first, so it is dialled again without a pause

$peer{bad}->set(rst_after => 2);

my $n = until_bad(6, $client, method => 'getUser');

is($n->{'status 70'}, undef, 'idempotent calls survive a reset');
is($n->{bad}, 3, '... three of six met one');
is(counted('mesh_retries_total', 3), 3, '... each is one retry');
is($t->sum($t->metrics, 'mesh_errors_total'), 0, '... and no error');

is_deeply(scalar spread($client, 9, method => 'getUser',
                        service => 'demo.Alone'), { bad => 9 },
          'a single endpoint gets it again, by a new link');

my $saved = until_bad(6, $client, method => 'saveUser');
is($saved->{'status 70'}, 3, 'what is not idempotent is answered with 70');

my $sum = 0;
$sum += $_->stats->{methods}{saveUser} for @peer{qw(bad good)};
is($sum, $saved->{good} + $saved->{bad} + $saved->{'status 70'},
   '... and is never sent twice');

$n = until_bad(6, $client, method => 'getUser', service => 'other.Echo');
is($n->{'status 70'}, 3, '... as is the same method of another service');

for my $port (qw(off once)) {
    $n = until_bad(6, $t->tcp($port), method => 'getUser');
    is($n->{'status 70'}, 3, "... and all calls with \"$port\"");
}


# where the key says so, all go to one endpoint, but not what failed there

my ($key) = grep {
    my $before = $peer{bad}->stats->{requests};
    spread($client, 1, method => $_, service => 'demo.Hash');
    $peer{bad}->stats->{requests} > $before;
} map { "get$_" } 1 .. 40;

$peer{bad}->close_all;
is_deeply([ spread($client, 6, method => $key, service => 'demo.Hash') ],
          [ qw(bad good) x 3 ], 'a retry avoids the endpoint that failed');


# tries: the third endpoint is not reached

$peer{"bad$_"}->set(rst_after => 1) for 1 .. 3;

is((spread($client, 1, method => 'getUser', service => 'demo.Three'))[0],
   'status 70', 'two tries, two resets');

$sum = 0;
$sum += $_->stats->{requests} for @peer{qw(bad1 bad2 bad3)};
is($sum, 2, '... and no third try');


# the budget

is($t->metrics->{mesh_retry_budget_exhausted_total}, 0,
   'the budget was never an obstacle');

$n = until_bad(6, $t->tcp('poor'), method => 'getUser',
               service => 'demo.Poor');
is($n->{'status 70'}, 3, 'without a budget there are no retries');
is(counted('mesh_retry_budget_exhausted_total', 3), 3, '... each is counted');

# ten on credit, and one for a hundred calls
$n = until_bad(24, $t->tcp('budget'), method => 'getUser',
               service => 'demo.Budget');
is($n->{'status 70'}, 2, 'a budget of 1 %: ten of twelve');
is(counted('mesh_retry_budget_exhausted_total', 5), 5,
   '... the others are counted');


# time: only with the condition, and the call's own time goes on

$peer{slow}->set(methods => { getUser => { delay => 1.5 },
                              saveUser => { delay => 1.5 } });

my %long = (service => 'demo.Slow', attachments => { timeout => '8000' });
my $timeout = $t->tcp('timeout');

is_deeply(scalar spread($timeout, 4, method => 'getUser', %long),
          { good => 4 }, 'a try without an answer is followed by another');
is_deeply(scalar spread($timeout, 2, method => 'saveUser', %long),
          { good => 1, slow => 1 }, '... if the method is idempotent');
is_deeply(scalar spread($t->tcp('patient'), 2, method => 'getUser', %long),
          { good => 1, slow => 1 }, '... and the condition is given');

# one of them was in time, for the patient
my $late = $peer{slow}->stats->{methods}{getUser} - 1;
is(counted('mesh_abandoned_responses_total', $late), $late,
   'late answers go to nobody');

$t->done;
