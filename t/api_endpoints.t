#!/usr/bin/perl

# Endpoints through the API, and calls that follow them.

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
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);

sub spec {
    my ($peer, %o) = @_;
    return { address => '127.0.0.1', port => $peer->port + 0, %o };
}

$t->write_conf(api_conf(service => "endpoint @{[$a->address]};",
                        main => 'worker_processes 2;'));
$t->run;

my @clients = map { $t->tcp('rpc') } 1 .. 4;
my $list = 'services/demo.New/endpoints';

sub calls {
    my ($service) = @_;
    return join ' ', map { went($_->call(service => $service)) } @clients;
}

is(error(api($t, 'GET', $list)), '404 NotFound', 'no service');
is(error(api($t, 'POST', $list, spec($a))), '404 NotFound', '... to add to');
is(calls('demo.New'), join(' ', ('status 60') x 4), '... nor to call');

is(api($t, 'PUT', $list, [ spec($a) ])->{status}, 200, 'a whole set');
is(calls('demo.New'), 'a a a a', '... is called at once, by all workers');
is(api($t, 'GET', 'services/demo.New')->{json}{metadata}{owner}, 'api',
   '... of a new service');

is(api($t, 'PUT', $list, [ spec($b, id => 'second') ])->{status}, 200,
   'another set');
is(calls('demo.New'), 'b b b b', '... in its place');
is_deeply([ map { $_->{metadata}{name} }
            @{ api($t, 'GET', $list)->{json}{items} } ], ['second'],
          '... by the id that it got');

my $r = api($t, 'POST', $list, spec($a, weight => 0, labels => { v => '1' }));
is($r->{status}, 201, 'one more');
is(calls('demo.New'), 'b b b b', '... of no weight');
my $id = $a->address;
is($r->{headers}{location}, "/api/1/$list/" . enc($id), '... where it is');
is(error(api($t, 'POST', $list, spec($a))), '409 Exists', '... only once');

$r = api($t, 'GET', "$list/" . enc($id));
is_deeply($r->{json}{spec}{labels}, { v => '1' }, '... its labels');
ok(!$r->{json}{status}{serving}, '... it does not serve');

is(api($t, 'PATCH', "$list/" . enc($id), { weight => 100, labels => undef })
   ->{status}, 200, 'a patch');
is(api($t, 'PATCH', "$list/second", { down => JSON::PP::true })->{status},
   200, '... and another');
is(calls('demo.New'), 'a a a a', '... move the calls');
ok(!api($t, 'GET', "$list/$id")->{json}{spec}{labels}, '... no labels');

is(api($t, 'PUT', "$list/second", spec($b, slow_start => '1500ms',
   fail_timeout => 2000, max_fails => 0, zone => 'z', backup => JSON::PP::true))
   ->{status}, 200, 'one is replaced');
is_deeply(api($t, 'GET', "$list/second")->{json}{spec},
          { address => '127.0.0.1', port => $b->port + 0, weight => 100,
            slow_start => '1500ms', fail_timeout => '2s', max_fails => 0,
            zone => 'z', backup => JSON::PP::true, down => JSON::PP::false },
          '... wholly');

ok(api($t, 'DELETE', "$list/$id")->{json}{changed}, 'one is removed');
is(calls('demo.New'), 'b b b b', '... the backup has the calls');
ok(!api($t, 'DELETE', "$list/$id")->{json}{changed}, '... once');
is(error(api($t, 'GET', "$list/$id")), '404 NotFound', '... it is gone');

# what was laid on it goes with it

api($t, 'PUT', "$list/$id", spec($a));
api($t, 'PUT', "$list/$id/override", { weight => 7 });
api($t, 'DELETE', "$list/$id");
api($t, 'PUT', "$list/$id", spec($a));
is(error(api($t, 'GET', "$list/$id/override")), '404 NotFound',
   '... nothing is laid on one that comes again');
api($t, 'DELETE', "$list/$id");

# those of the configuration

$list = 'services/demo.Echo/endpoints';
is(error(api($t, 'PUT', "$list/$id", spec($a))), '409 OwnedByConfig',
   'one of the configuration');
is(error(api($t, 'DELETE', "$list/$id")), '409 OwnedByConfig', '... stays');
is(error(api($t, 'PUT', $list, [ spec($a) ])), '409 OwnedByConfig',
   '... is in no set');
is(api($t, 'PUT', $list, [ spec($b) ])->{status}, 200, '... one beside it');
is_deeply([ sort map { $_->{metadata}{owner} }
            @{ api($t, 'GET', $list)->{json}{items} } ], [qw(api config)],
          '... of another owner');
is(api($t, 'PUT', $list, [])->{status}, 200, 'a set of none');
is(calls('demo.Echo'), 'a a a a', '... is what was there before');

# a call in flight when its endpoint goes

my $slow = Mesh::Peer->new(value => 'slow', delay => 1);
$list = 'services/demo.Slow/endpoints';
api($t, 'PUT', $list, [ spec($slow) ]);
$clients[0]->send($clients[0]->bytes(request => id => 5,
                                     service => 'demo.Slow',
                                     method => 'sayHello', args => ['x']));
wait_for { $slow->stats->{requests} } 10, 'the call';
api($t, 'PUT', $list, [ spec($b) ]);
is(went($clients[1]->call(service => 'demo.Slow')), 'b', 'others go on');
is(went($clients[0]->recv_frame(10)), 'slow', '... what is in flight ends');

# ends

is(error(api($t, 'PUT', $list, [ spec($a), spec($a) ])), '422 BadField /1',
   'one twice in a set');
is(error(api($t, 'PUT', $list, [ spec($a), { address => 'host', port => 1 } ])),
   '422 BadField /1/address', 'a name');
is(error(api($t, 'PUT', $list, [{ address => '::1' }])),
   '422 BadField /0/port', 'no port');
is(api($t, 'PUT', "$list/u", { address => 'unix:/tmp/x' })->{status}, 201,
   'a path');
is(error(api($t, 'PUT', "$list/u", spec($a, protocol => 'nope'))),
   '422 BadField /protocol', 'an unknown protocol');

# each name of a large patch is looked for once: it does not hold a worker up

my %labels = map { ("label$_" => "$_") } 1 .. 5000;
my %odd = map { ("label$_" => undef) } grep { $_ % 2 } 1 .. 5000;

is(api($t, 'PUT', "$list/many", { address => '127.0.0.1', port => 9,
                                  labels => \%labels })->{status}, 201,
   'many labels');
is(api($t, 'PATCH', "$list/many", { labels => { %odd, label2 => 'x',
                                                other => 'y' } })->{status},
   200, '... and a patch of half of them');

delete @labels{ keys %odd };
is_deeply(api($t, 'GET', "$list/many")->{json}{spec}{labels},
          { %labels, label2 => 'x', other => 'y' }, '... the rest is there');

my $unknown = join ',', map { sprintf '"%x":1', $_ } 1 .. 50_000;
is(error(api($t, 'PATCH', "$list/many", "{$unknown}")), '422 BadField /1',
   '... unknown ones are refused');

$t->done;
