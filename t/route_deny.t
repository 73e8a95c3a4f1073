#!/usr/bin/perl

# Routes that deny calls: the answer, the log and the counters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $a = Mesh::Peer->new(value => 'a');

$t->write_conf(conf(
    service => "endpoint @{[$a->address]};",
    stream => <<'STREAM',
    mesh_log_format routes '$mesh_method $mesh_route $mesh_service $mesh_error';
    mesh_access_log %%DIR%%/rpc.log routes;
    server { listen 127.0.0.1:%%PORT_bolt%%; mesh_pass bolt; }
STREAM
    mesh => <<'MESH',
    service demo.Echo:1.0 { }
    route bare  { match method=bare; deny; }
    route text  { match method=text; deny "closed until Monday"; }
    route admin { match service=*Admin; match !attachment.role;
                  deny "who are you?"; }
    route slow  { match method=slow "attachment.x=~^(a+)+$";
                  deny "no a"; }
    route bolt  { match protocol=bolt; deny "not by Bolt"; }
MESH
));
$t->run;

my $client = $t->tcp('rpc');


sub said {
    my ($name, $text, %o) = @_;

    my $frame = $client->call(service => 'demo.Echo', timeout => 10, %o);

    is(went($frame), 'status 80', $name);
    like($frame->{error}, qr/^nginx-mesh: $text \(denied\), service "/,
         '... says why');
}


said('denied', 'denied', method => 'bare');
said('denied with a text', 'closed until Monday', method => 'text');
said('a service that is not declared', 'who are you\?',
     service => 'demo.Admin', method => 'x');

is(went($client->call(service => 'demo.Echo', method => 'x')), 'a',
   'others pass');
is(went($client->call(service => 'demo.Echo', method => 'slow',
                      attachments => { x => 'b' })), 'a', '... these too');
is(went($client->call(service => 'demo.Echo', method => 'slow',
                      attachments => { x => 'a' x 60 . 'b' })), 'status 80',
   '... but not by an expression that would take too long');
is(went($client->call(service => 'demo.Admin', method => 'x',
                      attachments => { role => 'r' })), 'status 60',
   '... to where there is nothing');

my $frame = $t->tcp('bolt', speaks => 'bolt')->call(service => 'demo.Echo:1.0',
                                          method => 'x', timeout => 10);
like(went($frame) . ($frame->{error} // ''), qr/not by Bolt/,
     'in another protocol');

is($a->stats->{requests}, 2, 'no provider saw them');

my $m = $t->metrics;
my ($denied) = grep { /^mesh_.*error.*denied/ && /demo\.Echo"/ } keys %$m;
ok($denied && $m->{$denied} == 3, 'counted by service')
    or diag(join "\n", grep { /denied/ } keys %$m);

$t->stop;

is_deeply([ (split /\n/, $t->read_file('rpc.log'))[0, 1, 2] ],
          [ 'bare bare demo.Echo denied', 'text text demo.Echo denied',
            'x admin demo.Admin denied' ], 'the log');

$t->done;
