#!/usr/bin/perl

# QUIT: clients get the notice, calls in flight get their answers, idle
# clients hold nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time sleep);

my $peer = Mesh::Peer->new(value => 'ok', methods => {
    slow => { delay => 1.5 },
    never => { never => 1 },
    big => { size => 6_000_000 },
});


sub start {
    my ($server, $main) = @_;

    my $t = Mesh::Test->new;

    $t->write_conf(conf(main => $main, server => $server,
                        service => 'endpoint ' . $peer->address . ';'));

    return $t->run;
}


# idle clients: each gets READONLY, then the end of the connection; what is a
# second here would be ten minutes of mesh_client_timeout if it went wrong

my $t = start('');
my @clients = map { $t->tcp('rpc') } 1 .. 50;

is_deeply(statuses(map { $_->call(service => 'demo.Echo') } @clients),
          { ok => 50 }, 'clients that have called');
push @clients, map { $t->tcp('rpc') } 1 .. 10;

# those that never called are sessions too
wait_for { $t->metrics->{mesh_client_connections} == 60 } 10, 'all of them';

$t->signal('QUIT');
my $from = time;

ok(wait_for(sub { $t->gone }, 8), 'idle clients do not hold nginx')
    and cmp_ok(time - $from, '<', 5, '... for long');

my %saw;
$saw{join ' ', map({ $_->{kind} } $_->recv_frames(2, 5)), $_->closed(5)}++
    for @clients;
is_deeply(\%saw, { 'readonly eof' => 60 },
          'each got the notice and then the end');

$t->stop;


# calls in flight, and one that comes in answer to the notice

$t = start('');
my $client = $t->tcp('rpc');
my $idle = $t->tcp('rpc');

$client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => $_,
                                   method => 'slow')) for 1 .. 20;
wait_for { ($peer->stats->{methods}{slow} // 0) == 20 } 10, 'calls in flight';

$t->signal('QUIT');
is($client->recv_frame->{kind}, 'readonly', 'the notice comes at once');
is((spread($client, 1))[0], 'ok', 'a call that crossed it is served');

is_deeply(statuses($client->recv_frames(20)), { ok => 20 },
          'calls in flight get their answers');
is($client->closed(5), 'eof', '... then it closes');
is($idle->recv_frame->{kind}, 'readonly', 'an idle one got the notice too');
ok(wait_for(sub { $t->gone }, 8), '... and nginx is gone');
$t->stop;


# half of a call when the notice came

$t = start('mesh_header_timeout 5s;');
$client = $t->tcp('rpc');
$idle = $t->tcp('rpc');

my $call = Mesh::Dubbo::request(service => 'demo.Echo', id => 9,
                                args => [ 'x' x 3000 ]);
$client->send(substr $call, 0, 1000);
$idle->send(substr $call, 0, 7);
sleep 0.3;
$t->signal('QUIT');
is($client->recv_frame->{kind}, 'readonly', 'the notice comes into a frame');
sleep 1;
$client->send(substr $call, 1000);
is(went($client->recv_frame), 'ok', '... which is served when it is whole');
is($client->closed(5), 'eof', '... then it closes');
ok(!$t->gone, 'half a header is waited for as well');
ok(wait_for(sub { $t->gone }, 20), '... not longer than mesh_header_timeout');
$t->stop;


# a call without an answer: its time is the end of it

$t = start('mesh_timeout 1s;');
$client = $t->tcp('rpc');
$client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 5,
                                   method => 'never'));
wait_for { $peer->stats->{methods}{never} } 10, 'the call';
$t->signal('QUIT');

my ($notice, $answer) = $client->recv_frames(2);
is(went($answer), 'status 31', 'a call without an answer times out');
is($client->closed(5), 'eof', '... then it closes');
ok(wait_for(sub { $t->gone }, 8), '... and nginx is gone');
$t->stop;


# an answer that is read slowly is not cut

$t = start('mesh_client_timeout 30s;');
$client = $t->tcp('rpc');
$client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 6,
                                   method => 'big'));
wait_for { $peer->stats->{answers} && $peer->stats->{methods}{big} } 10,
    'the call';
sleep 0.5;
$t->signal('QUIT');
sleep 1.5;

ok(!$t->gone, 'an answer that is not read yet holds nginx');

my ($big) = grep { $_->{kind} eq 'response' } $client->recv_frames(2, 20);
is(length($big->{value} // ''), 6_000_000, '... and comes in whole');
is($client->closed(5), 'eof', '... then it closes');
ok(wait_for(sub { $t->gone }, 8), '... and nginx is gone');
$t->stop;


# one that is never read is given up after mesh_client_timeout

$t = start('mesh_client_timeout 2s;');
$client = $t->tcp('rpc');
$client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 7,
                                   method => 'big'));
wait_for { $peer->stats->{methods}{big} == 2 } 10, 'the call';
$t->signal('QUIT');

ok(wait_for(sub { $t->gone }, 20), 'who never reads does not hold it for ever');
$t->stop;


# worker_shutdown_timeout

$t = start('mesh_timeout 60s;', 'worker_shutdown_timeout 1s;');
$client = $t->tcp('rpc');
$idle = $t->tcp('rpc');
$client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 8,
                                   method => 'never'));
wait_for { $peer->stats->{methods}{never} == 2 } 10, 'the call';
$t->signal('QUIT');

ok(wait_for(sub { $t->gone }, 20), 'worker_shutdown_timeout ends it');
is($client->recv_frame->{kind}, 'readonly', '... after the notice');
isnt($client->closed(5), '', '... with the end of the connection');
is($idle->recv_frame->{kind}, 'readonly', 'the idle one knows too');
$t->stop;

ok(wait_for(sub { $peer->stats->{open} == 0 }, 10), 'no link is left');

$t->done;
