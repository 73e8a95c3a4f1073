#!/usr/bin/perl

# Services through the API.

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
my $a = Mesh::Peer->new(value => 'a');

sub refused {
    my ($name, $words, $http) = @_;
    my ($status, $said) = $t->check_conf(
        "mesh {}\nhttp { server { listen 127.0.0.1:%%PORT_http%%; $http } }");

    isnt($status, 0, $name);
    like($said, $words, '... and why');
}

refused('an unknown argument', qr/"x=1" in "mesh_api".*write=on/,
        'location / { mesh_api x=1; }');
refused('write is on, off or a variable', qr/"write=yes" in "mesh_api"/,
        'location / { mesh_api write=yes; }');
refused('require_match is on or off',
        qr/"require_match=1" in "mesh_api".*require_match=on, require_match=off/,
        'location / { mesh_api require_match=1; }');
refused('a regex', qr/"mesh_api" in location.*prefix location/,
        'location ~ /api/ { mesh_api; }');
refused('an exact location', qr/"mesh_api" in location.*prefix location/,
        'location = /api/ { mesh_api; }');
refused('twice', qr/"mesh_api" directive is duplicate/,
        'location / { mesh_api; mesh_api; }');

$t->write_conf(api_conf(service => "endpoint @{[$a->address]};",
                        main => 'worker_processes 2;'));
$t->run;

my $r = api($t, 'GET', '');
is($r->{status}, 200, 'the root');
is($r->{headers}{'cache-control'}, 'no-store', '... is not stored');
ok((grep { $_ eq 'services' } @{ $r->{json}{resources} }), '... has services');

$r = api($t, 'GET', 'services/demo.Echo');
is($r->{status}, 200, 'a service of the configuration');
is($r->{json}{metadata}{owner}, 'config', '... its owner');
is($r->{json}{status}{endpoints}, 1, '... its endpoints');
is(error(api($t, 'PUT', 'services/demo.Echo', {})), '409 OwnedByConfig',
   '... stays as it is');
is(error(api($t, 'DELETE', 'services/demo.Echo')), '409 OwnedByConfig',
   '... stays');

my $name = 'g/demo.New:1.0';
my $path = 'services/' . enc($name);

is(error(api($t, 'GET', $path)), '404 NotFound', 'no such service');

$r = api($t, 'PUT', $path, { protocol => 'dubbo', balancer => 'random' });
is($r->{status}, 201, 'a new service');
is($r->{headers}{location}, "/api/1/$path", '... where it is');
ok($r->{json}{changed}, '... changed');
my $revision = $r->{json}{revision};

$r = api($t, 'GET', $path);
is($r->{json}{metadata}{name}, $name, '... its name');
is($r->{json}{metadata}{owner}, 'api', '... its owner');
is_deeply($r->{json}{spec}, { protocol => 'dubbo', balancer => 'random' },
          '... what it is');

$r = api($t, 'PUT', $path, { protocol => 'dubbo', balancer => 'random' });
is($r->{status}, 200, 'the same again');
ok(!$r->{json}{changed}, '... changes nothing');
is($r->{json}{revision}, $revision, '... no new revision');

$r = api($t, 'PATCH', $path, { balancer => 'hash', hash => 'method' });
is($r->{status}, 200, 'a patch');
is_deeply(api($t, 'GET', $path)->{json}{spec},
          { protocol => 'dubbo', balancer => 'hash', hash => 'method' },
          '... is on it');
$r = api($t, 'PATCH', $path, { protocol => undef, balancer => 'random',
                               hash => undef });
is_deeply(api($t, 'GET', $path)->{json}{spec}, { balancer => 'random' },
          '... a null removes');

is(error(api($t, 'POST', 'services', { name => $name })), '409 Exists',
   'POST of one that is there');
is(api($t, 'POST', 'services', { name => 'demo.Posted' })->{status}, 201,
   'POST of one that is not');
is_deeply([ map { $_->{metadata}{name} }
            @{ api($t, 'GET', 'services')->{json}{items} } ],
          [ 'demo.Echo', $name, 'demo.Posted' ], 'all of them');

$r = api($t, 'DELETE', $path);
is($r->{status}, 200, 'DELETE');
ok($r->{json}{changed}, '... changed');
ok(!api($t, 'DELETE', $path)->{json}{changed}, '... once');
is(error(api($t, 'GET', $path)), '404 NotFound', '... it is gone');

# what was laid on its endpoints goes with it

my $endpoints = 'services/demo.Gone/endpoints';

for my $round (1, 2) {
    api($t, 'PUT', $endpoints, [{ address => '10.0.0.1', port => 1 }]);
    is(error(api($t, 'GET', "$endpoints/10.0.0.1:1/override")),
       '404 NotFound', 'nothing is laid on an endpoint');
    api($t, 'PUT', "$endpoints/10.0.0.1:1/override", { weight => 7 });
    is(api($t, 'DELETE', 'services/demo.Gone')->{status}, 200,
       '... its service goes with what is');
}

# the configuration takes over what it names

$r = api($t, 'PUT', 'services/demo.Both/endpoints',
         [{ address => '127.0.0.1', port => $a->port + 0 }]);
is($r->{status}, 200, 'endpoints make a service');
is(went($t->tcp('rpc')->call(service => 'demo.Both')), 'a', '... with calls');
$t->reload(gone => 1);
is(went($t->tcp('rpc')->call(service => 'demo.Both')), 'a',
   '... through a reload');

$t->done;
