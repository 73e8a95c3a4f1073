#!/usr/bin/perl

# What is laid on endpoints of any owner: weights, drain, and its end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_, methods => {
    slow => { delay => 1.5, value => $_ } }) } qw(a b);

$t->write_conf(api_conf(service => join ' ', map { "endpoint $_;" }
                                   $a->address, $b->address));
$t->run;

my $client = $t->tcp('rpc');
my $path = 'services/demo.Echo/endpoints/' . enc($a->address);

sub went_to { join ' ', sort keys %{ scalar spread($client, 10) } }

# how many endpoints of the configuration there are in which state

sub states {
    my $m = $t->metrics;
    my %n = map { ($_ => $t->sum($m, 'mesh_table_endpoints', state => $_,
                                 owner => 'config')) }
            qw(serving draining disabled down);

    return join ' ', map { "$_=$n{$_}" } grep { $n{$_} } sort keys %n;
}

is(went_to(), 'a b', 'both');
is(states(), 'serving=2', '... the metrics');
is(error(api($t, 'GET', "$path/override")), '404 NotFound', 'nothing yet');
is(error(api($t, 'PUT', 'services/demo.Echo/endpoints/x/override',
             { weight => 1 })), '404 NotFound', 'no such endpoint');

my $r = api($t, 'PUT', "$path/override",
            { weight => 0, reason => 'a test', ttl => 3600 });
is($r->{status}, 201, 'a weight');
is(went_to(), 'b', '... counts');
$r = api($t, 'GET', $path);
is($r->{json}{metadata}{owner}, 'config', '... the endpoint is as it was');
is($r->{json}{spec}{weight}, 100, '... its weight too');
is($r->{json}{override}{reason}, 'a test', '... and what is laid on it');
like($r->{json}{override}{until}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*Z$/,
     '... has an end');
ok($t->reload(gone => 1), 'a reload');
$client = $t->tcp('rpc');
is(went_to(), 'b', '... keeps it');

my $until = $r->{json}{override}{until};
is(api($t, 'PATCH', "$path/override", { ttl => undef })->{status}, 200,
   'a null that names nothing');
is(api($t, 'GET', "$path/override")->{json}{spec}{until}, $until,
   '... leaves its end');

ok(api($t, 'DELETE', "$path/override")->{json}{changed}, 'it is taken off');
is(went_to(), 'a b', '... both again');
ok(!api($t, 'DELETE', "$path/override")->{json}{changed}, '... once');

# drain: what is in flight ends, and the link goes when it is idle

my @slow;

for my $i (1 .. 4) {
    $client->send($client->bytes(request => id => $i, service => 'demo.Echo',
                                 method => 'slow', args => ['x']));
}

wait_for { ($a->stats->{requests} // 0) && $b->stats->{requests} } 10, 'calls';
$r = api($t, 'POST', "$path/drain?deadline=10m");
is($r->{status}, 201, 'drain');
push @slow, went($client->recv_frame(10)) for 1 .. 4;
is(join(' ', sort @slow), 'a a b b', '... what is in flight ends');
is(went_to(), 'b', '... nothing new');
$r = api($t, 'GET', $path)->{json};
ok($r->{status}{draining} && !$r->{status}{serving}, '... its status');
is(states(), 'draining=1 serving=1', '... the metrics');

is(api($t, 'PATCH', "$path/override", { weight => 7 })->{status}, 200,
   'a weight beside it');
is(api($t, 'DELETE', "$path/drain")->{status}, 200, 'no drain any more');
is_deeply([ @{ api($t, 'GET', "$path/override")->{json}{spec} }
            {qw(weight drain)} ], [ 7, JSON::PP::false ],
          '... the weight stays');
api($t, 'DELETE', "$path/override");
is(went_to(), 'a b', 'both again');

# it ends by itself

api($t, 'PUT', "$path/override", { disabled => JSON::PP::true, ttl => 1 });
is(went_to(), 'b', 'disabled');
is(states(), 'disabled=1 serving=1', '... the metrics');
ok(wait_for(sub { api($t, 'GET', "$path/override")->{status} == 404 }, 10),
   '... ends');
is(went_to(), 'a b', '... both again');

# the first of two to end, whichever stands before the other

my @paths = map { 'services/demo.Echo/endpoints/' . enc($_->address) } $a, $b;

for my $first (@paths) {
    my ($then) = grep { $_ ne $first } @paths;

    api($t, 'PUT', "$_/override", { weight => 50, ttl => $_ eq $first ? 1
                                                           : 3600 })
        for @paths;
    ok(wait_for(sub { api($t, 'GET', "$first/override")->{status} == 404 },
                10), 'one of two ends');
    is(api($t, 'GET', "$then/override")->{status}, 200, '... not the other');
    api($t, 'DELETE', "$then/override");
}


api($t, 'PUT', "$path/override", { drain => JSON::PP::true,
                                   disabled => JSON::PP::true });
is(error(api($t, 'DELETE', "$path/drain", undef, 'if-match' => '"a"')),
   '412 PreconditionFailed', 'a drain of another ETag stays');
is(api($t, 'DELETE', "$path/drain")->{status}, 200, 'no drain any more');
is_deeply([ @{ api($t, 'GET', "$path/override")->{json}{spec} }
            {qw(drain disabled)} ], [ JSON::PP::false, JSON::PP::true ],
          '... it stays disabled');
is(error(api($t, 'POST', "$path/drain", undef, 'if-match' => '"a"')),
   '412 PreconditionFailed', 'no drain of another ETag');
is(error(api($t, 'PUT', "$path/override", { weight => 1 },
             'if-match' => '"a"')), '412 PreconditionFailed', '... override');
is(error(api($t, 'DELETE', "$path/override", undef, 'if-match' => '"a"')),
   '412 PreconditionFailed', '... nor is one removed');
is(api($t, 'DELETE', "$path/override", undef, 'if-match' =>
       api($t, 'GET', "$path/override")->{headers}{etag})->{status}, 200,
   '... but by its own');
is(error(api($t, 'GET', "$path/override")), '404 NotFound', '... it is gone');


is(error(api($t, 'PUT', "$path/override", {})), '422 BadField', 'nothing');
is(error(api($t, 'PUT', "$path/override",
             { weight => 1, ttl => 60, until => '2999-12-31T23:59:59Z' })),
   '422 BadField /ttl', 'two ends');
is(error(api($t, 'PUT', "$path/override",
             { weight => 1, until => '2001-01-01T00:00:00Z' })),
   '422 BadField /until', 'in the past');
is(error(api($t, 'PUT', "$path/override",
             { weight => 1, until => 'tomorrow' })),
   '422 BadField /until', 'no date');
is(error(api($t, 'POST', "$path/drain?deadline=x")), '400 BadArgument',
   'no deadline');
is(api($t, 'PUT', "$path/override",
       { weight => 1, until => '2999-12-31T23:59:59.5+01:00' })->{status},
   201, 'a date');
is(api($t, 'GET', "$path/override")->{json}{spec}{until},
   '2999-12-31T22:59:59.500Z', '... as UTC');

$t->done;
