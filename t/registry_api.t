#!/usr/bin/perl

# A registry in the API: how it does, what is its, and what an operator may do
# about it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Consul;
use Mesh::Test qw(wait_for);

use constant A => 'com.example.A';

my $consul = Mesh::Consul->new;
my $t = Mesh::Test->new;

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    state_path %%DIR%%/state;
    registry consul @{[$consul->url]} protocol=dubbo discovery=all;
    guard 50% min=3 hold=1h;
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
        location /metrics { mesh_metrics; }
    }
}
CONF


sub endpoints {
    my ($service) = @_;

    my $r = api($t, 'GET', "services/$service/endpoints");

    return { map { $_->{metadata}{name} =~ s/.*://r => $_ }
             @{ $r->{json}{items} // [] } };
}


sub registry { api($t, 'GET', 'registries/consul')->{json} // {} }


sub service {
    my ($name) = @_;
    return api($t, 'GET', "services/$name")->{json} // {};
}


$consul->register("a-$_", A, 20000 + $_) for 1 .. 4;
$t->run;

ok((wait_for { keys %{ endpoints(A) } == 4 } 10), 'services of a registry');
is(service(A)->{metadata}{owner}, 'consul', '... are its');

my $list = api($t, 'GET', 'registries')->{json};
is_deeply([map { $_->{metadata}{name} } @{ $list->{items} }], ['consul'],
          'the registries');

my $r = $list->{items}[0];
is_deeply([@{ $r->{spec} }{qw(type discovery)}, @{ $r->{spec}{urls} }],
          ['consul', 'all', $consul->url], '... as the configuration has them');
is($r->{status}{state}, 'ok', '... state');
is($r->{status}{address}, $consul->url, '... address');
cmp_ok($r->{status}{index}, '>', 0, '... index');
like($r->{status}{last_success}, qr/^20\d\d-\d\d-\d\dT/, '... last success');
cmp_ok($r->{status}{endpoints}, '>=', 4, '... endpoints');
cmp_ok($r->{status}{updates}, '>=', 1, '... updates');

is(error(api($t, 'GET', 'registries/none')), '404 NotFound',
   'another one is not there');


# what is whose

is(error(api($t, 'PUT', 'services/' . A . '/endpoints/127.0.0.1%3A20001',
             { address => '127.0.0.1', port => 20001 })),
   '409 OwnedByRegistry', 'its endpoints are not to be changed');
is(error(api($t, 'DELETE', 'services/' . A)), '409 OwnedByRegistry',
   '... nor its services removed');
is(api($t, 'PUT', 'services/' . A . '/endpoints/127.0.0.1%3A20001/override',
       { weight => 7 })->{status}, 201, '... but overridden');
is(endpoints(A)->{20001}{status}{effective_weight}, 7, '... that counts');

is(api($t, 'PUT', 'services/' . A, { balancer => 'least_request' })->{status},
   200, 'a service may be taken over');
is(service(A)->{metadata}{owner}, 'api', '... and is the operator\'s');
is(keys %{ endpoints(A) }, 4, '... with the endpoints as they were');

is(api($t, 'PUT', 'services/' . A, { registries => 'other' })->{json}{error}
   {pointer}, '/registries', 'a registry that there is not');
is(api($t, 'PUT', 'services/' . A, { registries => 'off',
       provided_by => 'app-a' })->{json}{error}{pointer}, '/provided_by',
   'an application that nobody is asked for');
is(api($t, 'PUT', 'services/' . A, { registries => 'consul',
       provided_by => 'app-a,app-b' })->{status}, 200, 'one that there is');
is_deeply([@{ service(A)->{spec} }{qw(registries provided_by)}],
          ['consul', 'app-a,app-b'], '... is shown');

is(api($t, 'DELETE', 'services/' . A)->{status}, 200, 'it is given back');
is_deeply([service(A)->{metadata}{owner}, service(A)->{spec}],
          ['consul', { balancer => 'round_robin' }],
          '... as a registry has it');
is(endpoints(A)->{20001}{status}{effective_weight}, 7,
   '... and overrides stay');


# the guard

$consul->deregister("a-$_") for 1 .. 4;
ok((wait_for { registry()->{status}{held} } 10), 'all are gone: held');

my ($held) = @{ registry()->{status}{services} };
is($held->{service}, A, '... which one');
like($held->{reason}, qr/^\d of \d endpoints are gone$/, '... why');
like($held->{held_since}, qr/^20/, '... since when');
ok((grep { $_->{status}{suspect} && $_->{status}{serving} }
    values %{ endpoints(A) }), '... suspects serve');

is(api($t, 'POST', 'registries/consul/resync?service=com.example.None')
   ->{status}, 404, 'a service that it is not asked about');
is(error(api($t, 'POST', 'registries/consul/resync?force=1&service=')),
   '400 BadArgument', 'an empty name does not mean all');
is(api($t, 'POST', 'registries/consul/resync?service=' . A)->{status}, 200,
   'it is read again');
ok(registry()->{status}{held}, '... and held still');

is_deeply(api($t, 'POST', 'registries/consul/resync?force=1&service=' . A)
          ->{json}, { registry => 'consul', service => A,
                      forced => JSON::PP::true }, 'an operator knows better');
ok((wait_for { !keys %{ endpoints(A) } } 10), '... they are gone');
is(api($t, 'GET', 'services/' . A)->{status}, 404, '... and the service');
is(registry()->{status}{held}, 0, '... nothing is held');

$consul->register('a-1', A, 20001);
ok((wait_for { keys %{ endpoints(A) } == 1 } 10), 'one comes back');
is(endpoints(A)->{20001}{status}{effective_weight}, 7,
   '... with what an operator laid on it');

is(api($t, 'POST', 'registries/consul/resync')->{status}, 200,
   'all of it is read again');

kill 'STOP', $t->children(qr/mesh agent/);
$t->allow_log(qr/exited on signal 9/);
is(api($t, 'POST', 'registries/consul/resync?service=' . A)->{status}, 200,
   '... by another agent, where the one hangs');


# from a shell

$ENV{MESH_API} = 'http://127.0.0.1:' . $t->port('http') . '/api/1';

my $meshctl = "$FindBin::Bin/../util/meshctl";

like(`$meshctl registries consul`, qr/"state" : "ok"/, 'meshctl registries');
like(`$meshctl registries`, qr/"name" : "consul"/, '... all');
like(`$meshctl resync consul @{[A]} --force`, qr/"forced" : true/,
     'meshctl resync');
is(`$meshctl resync none 2>&1` =~ s/:.*//sr, 'meshctl', '... none');
is($? >> 8, 4, '... is refused');


# outage

$consul->kill9;
ok((wait_for { registry()->{status}{state} eq 'error' } 10),
   'a registry is gone');
ok(length(registry()->{status}{last_error} // ''), '... and why');
is(keys %{ endpoints(A) }, 1, '... what it said serves');

$r = registry();
like($r->{status}{$_}, qr/^20\d\d-/, "... $_") for qw(since last_error_time);
ok((wait_for { exists registry()->{status}{retry_in} } 5), '... what is to be');
ok((wait_for { registry()->{status}{age} > $r->{status}{age} } 5),
   '... it grows old');
is($r->{status}{address}, $consul->url, '... where');
cmp_ok($r->{status}{errors}, '>=', 1, '... how often');

$consul->start;
ok((wait_for { registry()->{status}{state} eq 'ok' } 60), 'it is back');
ok(!exists registry()->{status}{retry_in}, '... nothing is waited for');
ok((wait_for { registry()->{status}{connections} } 10), '... connections');
cmp_ok(registry()->{status}{subscriptions}, '>=', 1, '... subscriptions');

$t->done;
