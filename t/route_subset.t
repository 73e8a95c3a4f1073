#!/usr/bin/perl

# Where routes lead: endpoints with labels, other services, and what takes
# their place when there are none.

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
my ($a, $b, $c, $d) = map { Mesh::Peer->new(value => $_) } qw(a b c d);
my @at = map { $_->address } $a, $b, $c, $d;


sub write_conf {
    my (%o) = @_;

    $t->write_conf(conf(
        service => "balancer hash method;
                    endpoint $at[0] label=v=1 label=zone=x;
                    endpoint $at[1] label=v=2 label=zone=x fail_timeout=60s;
                    endpoint $at[2] label=v=2 label=zone=y fail_timeout=60s;
                    endpoint 127.0.0.1:1 label=v=4 down;",
        stream => <<'STREAM',
    mesh_log_format routes '$mesh_method $mesh_route $mesh_service $mesh_error';
    mesh_access_log %%DIR%%/rpc.log routes;
    server {
        listen 127.0.0.1:%%PORT_off%%; mesh_pass dubbo; mesh_multiplex off;
    }
STREAM
        mesh => <<"MESH",
    service demo.Other { endpoint $at[3]; }
    service demo.Empty { }
    service demo.Third { endpoint $at[3] label=v=1; }
    service demo.Bolt  { endpoint $at[3] protocol=bolt; }

    route one   { match method=one;   to label=v=1; }
    route two   { match method=two*;  to label=v=2; }
    route both  { match method=both;  to label=v=2 label=zone=y; }
    route other { match method=other; to service=demo.Other; }
    route none  { match method=none;  to label=v=3; }
    route named { match method=named; to label=v=3 fallback=none; }
    route down  { match method=down;  to label=v=4; }
    route any   { match method=any*;  to label=v=3 fallback=any; }
    route label { match method=label; to label=v=4 fallback=label=v=2
                                         fallback=label=zone=x; }
    route serv  { match method=serv;  to service=demo.Empty
                                         fallback=service=demo.Other; }
    route third { match method=third; to service=demo.Third label=v=9
                                         fallback=label=v=1; }
    route tany  { match method=tany;  to service=demo.Third label=v=9
                                         fallback=any; }
    route gone  { match method=gone;  to service=demo.Gone; }
    route fgone { match method=fgone; to service=demo.Gone
                                         fallback=service=demo.Gone2; }
    route back  { match method=back;  to service=demo.Gone
                                         fallback=service=demo.Other; }
    route bolt  { match method=bolt;  to service=demo.Bolt; }
    route closed { match method=closed; to label=v=2 fallback=label=v=1; }
    route hash  { match method=hash;  hash attachment.user; }
    route hashl { match method=hashl; hash attachment.user; to label=v=2; }
    route undeclared { match service=demo.Nowhere method=to; to label=v=1; }
MESH
        %o));
}


write_conf();
$t->run;

our $client = $t->tcp('rpc');


sub goes {
    my ($where, $name, %o) = @_;

    my $frame = $client->call(service => 'demo.Echo', timeout => 10, %o);

    is(went($frame), $where, $name);

    return $frame;
}


goes('a', 'a label', method => 'one');
goes('c', 'two labels', method => 'both');
is(join(' ', sort keys %{ spread($client, 60,
                                 method => sub { "two$_[0]" }) }),
   'b c', 'a label of two endpoints');
goes('d', 'another service', method => 'other');

# a client with links of its own

{
    local $client = $t->tcp('off');

    goes('a', 'a label, without multiplexing', method => 'one') for 1, 2;
    goes('d', '... another service', method => 'other') for 1, 2;
    goes('a', '... back again', method => 'one');
}

# no endpoint

for my $method (qw(none named down gone fgone)) {
    my $frame = goes('status 60', "no endpoint: $method", method => $method);
    like($frame->{error}, qr/route "$method" leads to no endpoint of/,
         '... says which route');
    like($frame->{error}, qr/\(no_endpoint\)/, '... and why');
}

like(goes('status 60', 'another protocol', method => 'bolt')->{error},
     qr/no endpoint of the service speaks dubbo \(no_endpoint\)/,
     '... says so');

# fallbacks

is(join(' ', sort keys %{ spread($client, 60,
                                 method => sub { "any$_[0]" }) }),
   'a b c', 'any endpoint instead');
goes('b', 'other labels instead', method => 'label');
goes('d', 'other labels of the other service', method => 'third');
goes('d', '... or any endpoint of it', method => 'tany');
goes('d', 'another service instead', method => 'serv');
goes('d', '... of one that does not exist', method => 'back');

# a service that is not declared

goes('status 60', 'no service', service => 'demo.Nowhere', method => 'x');
like(goes('status 60', 'a route for no service', service => 'demo.Nowhere',
          method => 'to')->{error},
     qr/route "undeclared" leads to no endpoint/, '... is taken');

# balancing by what a route says

my %user = (attachments => sub { { user => "u$_[0]" } });
my @users = spread($client, 60, method => 'hash', %user);
is(join(' ', sort keys %{ tally(@users) }), 'a b c', 'by a fact of the route');
is_deeply([ spread($t->tcp('rpc'), 60, method => 'hash', %user) ], \@users,
          '... always the same');
is(join(' ', sort keys %{ spread($client, 60, method => 'hashl', %user) }),
   'b c', '... among those with a label');

# there are endpoints, though none can be reached

$_->stop for $b, $c;
goes('a', 'others take the place of those that are gone',
     method => 'closed') for 1 .. 3;
goes('status 70', '... where they may', method => 'two');

$t->stop;

my @log = split /\n/, $t->read_file('rpc.log');
ok(scalar(grep { $_ eq 'other other demo.Other -' } @log),
   'the log has the service that was called in the end');
ok(scalar(grep { $_ eq 'gone gone demo.Gone no_endpoint' } @log),
   '... or should have been');

$t->done;
