#!/usr/bin/perl

# Links to an endpoint that is no longer used: they stay as long as a call is
# in flight, and are closed then, by nginx, in every worker.

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
    slow => { delay => 2, value => $_ } }) } qw(a b);

$t->write_conf(api_conf(service => 'endpoint 127.0.0.1:1 down;',
                        main => 'worker_processes 2;'));
$t->run;

my @clients = map { $t->tcp('rpc') } 1 .. 8;
my $list = 'services/demo.Two/endpoints';
my $id = enc($a->address);

sub spec { return { address => '127.0.0.1', port => $_[0]->port + 0 } }
sub went_to { map { went($_->call(service => 'demo.Two')) } @_ }
sub used { join ' ', sort keys %{ tally(map { went_to(@clients) } 1 .. 4) } }


# how(request): takes a out of use; it has been closed then, though b's links
# have not

sub unused {
    my ($how, @request) = @_;

    api($t, 'PUT', $list, [ map { spec($_) } $a, $b ]);
    is(used(), 'a b', "both, then: $how");

    my $client = $clients[0];
    my ($slow, $before) = map { $_->stats } $a, $b;

    for my $i (1, 2) {
        $client->send($client->bytes(request => id => $i,
                                     service => 'demo.Two',
                                     method => 'slow', args => ['x']));
    }

    wait_for { $a->stats->{requests} > $slow->{requests} } 10, 'a call';
    my $r = api($t, @request);
    ok($r->{success}, '... it is not used') or diag($r->{content});
    is(used(), 'b', '... any more');
    cmp_ok($a->stats->{open}, '>', 0, '... the link with a call stays');
    is(join(' ', sort map { went($client->recv_frame(10)) } 1, 2), 'a b',
       '... until it is answered');
    ok(wait_for(sub { $a->stats->{open} == 0 }, 10), '... then it is closed');
    is($a->stats->{closed}, $a->stats->{connections}, '... by nginx');
    is($b->stats->{closed}, $before->{closed}, '... others are not');
}

unused('removed', 'DELETE', "$list/$id");
unused('another set', 'PUT', $list, [ spec($b) ]);
unused('drained', 'POST', "$list/$id/drain");
is(api($t, 'DELETE', "$list/$id/drain")->{status}, 200, 'no drain any more');
is(used(), 'a b', '... it is used again');

# a change of the service that no call has seen yet

my $c = Mesh::Peer->new(value => 'c');

api($t, 'PUT', 'services/demo.Else/endpoints', [ spec($c) ]);
went($_->call(service => 'demo.Else')) for @clients;
my @before = map { $_->stats } $a, $b;
is(api($t, 'POST', 'batch', { ops => [
    { method => 'PATCH', path => "$list/" . enc($b->address),
      body => { weight => 50 } },
    { method => 'DELETE', path => 'services/demo.Else' } ] })->{status}, 200,
   'a weight, and another service goes');
ok(wait_for(sub { $c->stats->{open} == 0 }, 10), '... its links are closed');
is_deeply([ map { [ @{ $_->stats }{qw(open closed)} ] } $a, $b ],
          [ map { [ @$_{qw(open closed)} ] } @before ], '... no others are');

is(api($t, 'DELETE', 'services/demo.Two')->{status}, 200,
   'the service is removed');
ok(wait_for(sub { $b->stats->{open} == 0 }, 10),
   '... links are closed without a call');
ok(wait_for(sub { $t->metrics->{mesh_links} == 0 }, 10), '... there are none');

$t->done;
