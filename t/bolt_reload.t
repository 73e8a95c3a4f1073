#!/usr/bin/perl

# The end of a worker, as Bolt's clients see it: no notice, as SOFARPC's choke
# on any; sessions are handed over, or closed after the last answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time sleep);

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1 },
    { proto => 2, ver1 => 2 },
);

my $peer = Mesh::Peer->new(speaks => 'bolt', value => 'ok', methods => {
    slow => { delay => 1.5 },
    never => { never => 1 },
    big => { size => 6_000_000 },
});


sub start {
    my ($server, %o) = @_;

    my $t = Mesh::Test->new;

    $t->write_conf(conf(pass => 'bolt', server => $server, %o,
                        service => 'endpoint ' . $peer->address . ';'));

    return $t->run;
}


# a connection for each form that has called, and one that has not

sub clients {
    my ($t) = @_;

    my @clients = map { $t->tcp('rpc', speaks => 'bolt') } 0 .. 3;

    is(went($clients[$_]->call(%{ $forms[$_] }, service => 'demo.Echo')), 'ok',
       "a client of form $_") for 0 .. 2;
    wait_for { $t->metrics->{mesh_client_connections} == 4 } 5, 'all of them';

    return @clients;
}


# how it ended for a client, and what came before

sub ended {
    my ($client) = @_;

    my $how = $client->closed(10);

    return join ' ', (map { "$_->{kind} " . went($_) }
                      splice @{ $client->{frames} }),
                     length $client->{in} ? 'bytes' : (), $how || 'open';
}


# idle clients

my $t = start('');
my @clients = clients($t);

$t->signal('QUIT');
ok(wait_for(sub { $t->gone }, 10), 'QUIT: idle clients do not hold nginx');
is_deeply(tally(map { ended($_) } @clients), { eof => 4 },
          '... get no byte, and the end');
$t->stop;


# calls in flight

$t = start('');
@clients = clients($t);

for my $n (0 .. 2) {
    $clients[$n]->send(join '', map {
        Mesh::Bolt::request(%{ $forms[$n] }, service => 'demo.Echo', id => $_,
                            method => 'slow')
    } 1 .. 20);
}

wait_for { ($peer->stats->{methods}{slow} // 0) == 60 } 10, 'calls in flight';
$t->signal('QUIT');

is((spread($clients[0], 1))[0], 'ok', 'QUIT: a call that crossed it is served');
is_deeply(statuses(map { $_->recv_frames(20, 10) } @clients[0 .. 2]),
          { ok => 60 }, '... those in flight are answered');
is_deeply(tally(map { ended($_) } @clients), { eof => 4 },
          '... then it closes, without a word');
ok(wait_for(sub { $t->gone }, 10), '... and nginx is gone');
$t->stop;


# half of a call, and an answer that is read late

$t = start('mesh_header_timeout 10s; mesh_max_frame 16m;');
@clients = clients($t);

my @calls = map { Mesh::Bolt::request(%$_, service => 'demo.Echo', id => 9,
                                      args => [ 'x' x 3000 ]) } @forms;

$clients[0]->send(substr $calls[0], 0, 1000);
$clients[1]->send(substr $calls[1], 0, 7);
$clients[2]->send(Mesh::Bolt::request(%{ $forms[2] }, service => 'demo.Echo',
                                      id => 6, method => 'big'));
wait_for { $peer->stats->{methods}{big} } 10, 'the call';
sleep 0.3;
$t->signal('QUIT');
sleep 0.7;

ok(!$t->gone, 'QUIT: what is half there holds nginx');
$clients[0]->send(substr $calls[0], 1000);
$clients[1]->send(substr $calls[1], 7);
is(went($_->recv_id(9, 10)), 'ok', '... and is served when it is whole')
    for @clients[0, 1];

my $big = $clients[2]->recv_id(6, 20);
is(length($big->{value} // ''), 6_000_000, '... or read to its end');
is($big->{crc_ok}, 1, '... with its CRC');
is_deeply(tally(map { ended($_) } @clients), { eof => 4 },
          '... then it closes');
ok(wait_for(sub { $t->gone }, 10), '... and nginx is gone');
$t->stop;


# a call without an answer

$t = start('mesh_timeout 1s;');
@clients = clients($t);
$clients[$_]->send(Mesh::Bolt::request(%{ $forms[$_] }, id => 5,
                                       service => 'demo.Echo',
                                       timeout_ms => -1, method => 'never'))
    for 0 .. 2;
wait_for { ($peer->stats->{methods}{never} // 0) == 3 } 10, 'the calls';
$t->signal('QUIT');

is_deeply(tally(map { ended($_) } @clients),
          { 'response status 7 eof' => 3, eof => 1 },
          'QUIT: calls without an answer time out, then it closes');
ok(wait_for(sub { $t->gone }, 10), '... and nginx is gone');
$t->stop;


# reload, where clients are not handed over

$t = start('mesh_handover off; mesh_timeout 10s;');
@clients = clients($t);
$clients[$_]->send(Mesh::Bolt::request(%{ $forms[$_] }, id => 5,
                                       service => 'demo.Echo',
                                       method => 'slow')) for 0 .. 2;
wait_for { $peer->stats->{methods}{slow} == 63 } 10, 'the calls';
ok($t->reload, 'reload, with mesh_handover off');

my $next = $t->tcp('rpc', speaks => 'bolt');

is((spread($next, 1))[0], 'ok', '... who comes now is served');
is_deeply(tally(map { ended($_) } @clients),
          { 'response ok eof' => 3, eof => 1 },
          '... the others get their answers, then the end');
ok(wait_for(sub { !$t->leaving }, 10), '... and their worker is gone');
is((spread($next, 1))[0], 'ok', '... calls go on');
$next->close;
$t->stop;


# reload, where they are; and a listener that goes

$t = start('mesh_timeout 20s;', stream => '
    server {
        listen 127.0.0.1:%%PORT_gone%%;
        mesh_pass bolt;
    }');
@clients = clients($t);

my @gone = map { $t->tcp('gone', speaks => 'bolt') } 1 .. 2;
my %wrong;
my $calls = 0;

is((spread($gone[0], 1))[0], 'ok', 'a client of another listener');

$gone[0]->send(Mesh::Bolt::request(service => 'demo.Echo', id => 5,
                                   method => 'slow'));
wait_for { $peer->stats->{methods}{slow} == 64 } 10, 'the call';

$t->write_conf(conf(pass => 'bolt', server => 'mesh_timeout 20s;',
                    service => 'endpoint ' . $peer->address . ';'));

for my $n (1 .. 5) {
    my @last = 1 .. 8;

    # calls that come while the worker changes
    for my $client (@clients) {
        my $i = 0;
        $client->send(join '', map {
            Mesh::Bolt::request(%{ $forms[$i++ % 3] }, id => 100 * $n + $_,
                                service => 'demo.Echo')
        } @last);
    }

    ok($t->reload, "reload $n, under load");

    for my $client (@clients) {
        for (@last) {
            my $f = $client->recv_id(100 * $n + $_, 10);
            $calls++;
            $wrong{went($f)}++ if went($f) ne 'ok' || ($f->{crc_ok} // 1) != 1;
        }
    }
}

is_deeply(\%wrong, {}, "all of $calls calls are answered");
is(scalar(grep { $_->{eof} || @{ $_->{frames} } || length $_->{in} }
          @clients), 0, '... on their old connections, and nothing else comes');
is_deeply([ map { ended($_) } @gone ], [ 'response ok eof', 'eof' ],
          'where the listener is gone they get their answers and the end');
ok(wait_for(sub { !$t->leaving }, 20), 'no old worker is left');
ok((wait_for { my $m = $t->metrics;
               $m->{mesh_client_connections} == 4
               && $m->{mesh_requests_in_flight} == 0 } 5),
   'gauges count what is there');
is($t->sum($t->metrics, 'mesh_readonly_total', from => 'proxy'), 0,
   'no notice was ever sent');
$_->close for @clients;
$t->stop;

ok((wait_for { $peer->stats->{open} == 0 } 5), 'no link is left');

$t->done;
