#!/usr/bin/perl

# The configuration names what was made through the API, and lets go of it
# again: what is whose then, which of both is in force, and what is left.

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
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);
my $list = 'services/demo.Two/endpoints';
my ($id, $other) = map { enc($_->address) } $b, $c;

my $named = "service demo.Two { endpoint @{[$b->address]} label=of=config; "
            . 'balancer random; }';

sub write_conf {
    my ($mesh) = @_;

    $t->write_conf(api_conf(service => "endpoint @{[$a->address]};",
                            mesh => <<"MESH"));
    $mesh
    route config { match method=config; to service=demo.Two label=of=config; }
    route api    { match method=api;    to service=demo.Two label=of=api; }
MESH
}

sub spec {
    my ($peer, %o) = @_;
    return { address => '127.0.0.1', port => $peer->port + 0, %o };
}

sub goes {
    my ($method) = @_;
    return went($t->tcp('rpc')->call(service => 'demo.Two',
                                     method => $method));
}

sub reload {
    my ($mesh, $name) = @_;
    write_conf($mesh);
    ok($t->reload(gone => 1), $name);
}

sub owner { api($t, 'GET', $_[0])->{json}{metadata}{owner} }

sub owners {
    return join ' ', sort map { $_->{metadata}{owner} }
           @{ api($t, 'GET', $list)->{json}{items} };
}

write_conf('');
$t->run;

api($t, 'PUT', $list, [ spec($b, labels => { of => 'api' }), spec($c) ]);
api($t, 'PUT', "$list/$_/override", { weight => 7 }) for $id, $other;
is(goes('api') . goes('config'), 'bstatus 60', 'the API\'s alone');

reload($named, 'the configuration names it');
is(owner('services/demo.Two'), 'config', '... the service is its own');
is(api($t, 'GET', 'services/demo.Two')->{json}{spec}{balancer}, 'random',
   '... as it says');
is(owner("$list/$id"), 'config', '... and the endpoint');
is(owners(), 'api api config', '... which both have');
is(goes('config') . goes('api'), 'bstatus 60', '... its own is in force');
is(api($t, 'GET', "$list/$id/override")->{json}{spec}{weight}, 7,
   '... what is laid on it stays');
is(error(api($t, 'PUT', "$list/$id", spec($b))), '409 OwnedByConfig',
   '... it cannot be written');

ok(api($t, 'DELETE', "$list/$id")->{json}{changed},
   'the one below it can go');
is(owners(), 'api config', '... and is gone');
is(error(api($t, 'DELETE', "$list/$id")), '409 OwnedByConfig',
   '... the other one stays');
is(goes('config'), 'b', '... in force');

reload('', 'the configuration lets go of it');
is(owner('services/demo.Two'), 'api', '... the rest is the API\'s');
is(owners(), 'api', '... of endpoints, too');
is(goes('any'), 'c', '... and used');

reload($named, 'it names it again');
ok(api($t, 'DELETE', "$list/$other")->{json}{changed},
   '... the API has nothing of it');
reload('', '... it lets go');
is(error(api($t, 'GET', 'services/demo.Two')), '404 NotFound',
   '... nothing is left');
is_deeply(api($t, 'GET', 'status')->{json}{items},
          { services => 1, endpoints => 1, overrides => 0, routes => 2 },
          '... neither of what was laid on it');

$t->done;
