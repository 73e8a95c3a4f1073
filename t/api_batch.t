#!/usr/bin/perl

# Several operations at once: all of them or none.

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
my $spec = { address => '127.0.0.1', port => $a->port + 0 };
my $id = $a->address;

$t->write_conf(api_conf(service => "endpoint $id;"));
$t->run;

sub batch { api($t, 'POST', 'batch', { ops => [ map {
    my %op; @op{qw(method path body)} = @$_; \%op } @_ ] }) }

my $before = api($t, 'GET', '')->{json}{revision};
my $r = batch(['PUT', 'services/x', { balancer => 'random' }],
              ['POST', 'services/x/endpoints', $spec],
              ['PATCH', "services/x/endpoints/$id", { weight => 7 }],
              ['POST', "services/x/endpoints/$id/drain?deadline=1h"],
              ['DELETE', "services/x/endpoints/$id/drain"],
              ['PUT', 'services/y', {}],
              ['DELETE', 'services/y']);

is($r->{status}, 200, 'a batch') or diag($r->{content});
is($r->{json}{revision}, $before + 1, '... is one revision');
is(join(' ', map { $_->{status} } @{ $r->{json}{results} }),
   '201 201 200 201 200 201 200', '... a result of each');
is(api($t, 'GET', "services/x/endpoints/$id")->{json}{spec}{weight}, 7,
   '... later ones see earlier ones');
is(went($t->tcp('rpc')->call(service => 'x')), 'a', '... calls follow');
is(error(api($t, 'GET', 'services/y')), '404 NotFound', '... come and gone');

$r = batch(['DELETE', 'services/x'], ['PUT', 'services/z', {}],
           ['PUT', 'services/demo.Echo', {}]);
is(error($r), '409 OwnedByConfig /ops/2', 'one that is refused');
is(api($t, 'GET', 'services/x')->{status}, 200, '... nothing went');
is(error(api($t, 'GET', 'services/z')), '404 NotFound', '... nothing came');

is(error(batch(['PUT', 'services/z?dry_run=1', {}])),
   '400 BadArgument /ops/0', 'a dry run of one op');
is(error(api($t, 'GET', 'services/z')), '404 NotFound', '... is not done');

is(error(batch(['PUT', 'services/z', { a => 1 }])),
   '422 BadField /ops/0/body/a', 'a wrong field');
is(error(batch(['PUT', 'services/z'])), '422 BadField /ops/0/body',
   'a body that is null');
is(error(api($t, 'POST', 'batch', { ops => [
       { method => 'PUT', path => 'services/z' } ] })), '400 NoBody /ops/0',
   'no body');
is(error(batch(['GET', 'services/z'])), '422 BadField /ops/0/method',
   'a read');
is(error(batch(['PUT', 'nothing', {}])), '404 NotFound /ops/0', 'no path');
is(error(batch(['POST', 'batch', { ops => [] }])), '400 NotInBatch /ops/0',
   'a batch');
is(error(api($t, 'POST', 'batch', {})), '422 BadField /ops', 'no ops');
is(error(api($t, 'POST', 'batch', { ops => [], x => 1 })), '422 BadField /x',
   'an unknown field');

my $tag = api($t, 'GET', 'services/x')->{headers}{etag};

for my $try ([ $tag, 200 ], [ $tag, 412 ]) {
    $r = api($t, 'POST', 'batch', { ops => [
        { method => 'PUT', path => 'services/w', body => {} },
        { method => 'PATCH', path => 'services/x', if_match => $try->[0],
          body => { balancer => 'least_request' } } ] });
    is($r->{status}, $try->[1], 'a precondition');
}

$t->done;
