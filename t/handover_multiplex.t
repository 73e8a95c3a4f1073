#!/usr/bin/perl

# "mesh_multiplex off": the pinned link moves with its session; while a
# callback is unanswered both stay.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Upgrade;

use Time::HiRes qw(sleep);

my $t = Mesh::Upgrade->new;

# "ask" is answered once the provider's own question was, "patient" asks it
# after three seconds; "later" asks after its answer

my $handler = sub {
    my ($p, $c, $f) = @_;

    my $ask = sub {
        $p->write($c, Mesh::Dubbo::request(id => 5, service => 'demo.Listener',
                                           method => 'changed',
                                           args => [ $f->{args}[0] ]));
    };

    if ($f->{kind} eq 'request') {
        $p->count($c, $f);

        if ($f->{method} eq 'ask' || $f->{method} eq 'patient') {
            $c->{asked} = $f;
            $f->{method} eq 'ask' ? $ask->() : $p->later(3, $ask);
            return 1;
        }

        $p->later(1, $ask) if $f->{method} eq 'later';

        $p->write($c, Mesh::Dubbo::response(id => $f->{id},
                                            value => "link $c->{n}"));
        return 1;
    }

    if ($f->{kind} eq 'response') {
        my $asked = delete $c->{asked} // return 1;
        $p->write($c, Mesh::Dubbo::response(id => $asked->{id},
                                            value => "told $f->{value}"));
        return 1;
    }

    return 0;
};

my $peer = Mesh::Peer->new(handler => $handler);

$t->write_conf(conf(main => 'worker_processes 2;',
    service => "endpoint @{[ $peer->address ]};",
    server => 'mesh_multiplex off; mesh_handover_timeout 1s; '
              . 'mesh_timeout 20s;'));
$t->run;

my @clients = map { $t->tcp('rpc') } 1 .. 20;

my @links = map { (spread($_, 1))[0] } @clients;
is(scalar keys %{ tally(@links) }, 20, 'each client has a link of its own');
is($peer->stats->{connections}, 20, '... and no more');

for my $n (1 .. 3) {
    ok($t->reload(gone => 1), "reload $n");
    my @now = map { (spread($_, 1))[0] } @clients;
    is("@now", "@links", '... each client still has its link');
}

my $old = $t->usr2;
ok($t->leave($old), 'upgrade');
is(join(' ', map { (spread($_, 1))[0] } @clients), "@links",
   '... each client still has its link');

is($peer->stats->{connections}, 20, 'no link was made anew');
is($peer->stats->{open}, 20, '... and none is lost');
ok(wait_for(sub { $t->metrics->{mesh_links} == 20 }, 10),
   '... all are counted');


# a callback that comes after the move finds its client

{
    my ($client) = @clients;

    is(went($client->call(service => 'demo.Echo', id => 70,
                          method => 'later')), $links[0], 'a call');
    ok($t->reload(gone => 1), 'reload before it calls back');

    my $f = $client->recv_frame(10);
    is($f && "$f->{kind} $f->{method}", 'request changed',
       '... it finds the client');
    $client->send(Mesh::Dubbo::response(id => $f->{id}, value => 'yes'));
}


# unanswered: both stay

{
    my ($client) = @clients;

    $client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 71,
                                       method => 'ask', args => ['x']));
    my $f = $client->recv_frame(10);
    is($f && $f->{method}, 'changed', 'the provider asks');

    ok($t->reload, 'reload before it has its answer');
    sleep 1.5;
    is(scalar $t->leaving, 1, 'an old worker waits for it');

    $client->send(Mesh::Dubbo::response(id => $f->{id}, value => 'yes'));
    is(went($client->recv_id(71, 10)), 'told yes', '... serves it');
    ok(wait_for(sub { !$t->leaving }, 10), '... and goes');
    is((spread($client, 1))[0], $links[0], '... the link moved after all');
}

# the question comes when reading is paused already

{
    my ($client) = @clients;

    $client->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 72,
                                       method => 'patient', args => ['x']));
    wait_for { ($peer->stats->{methods}{patient} // 0) == 1 } 10, 'the call';
    my $at = $t->handed('paused');
    ok($t->reload, 'reload during a call');
    ok(wait_for(sub { $t->handed('paused') > $at }, 10), '... it is paused');

    my $f = $client->recv_frame(10);
    is($f && $f->{method}, 'changed', '... the provider asks then');
    $client->send(Mesh::Dubbo::response(id => $f->{id}, value => 'yes'));
    is(went($client->recv_id(72, 10)), 'told yes', '... and is answered');
    ok(wait_for(sub { !$t->leaving }, 10), '... the old worker goes');
}


# both ends close together

$_->close for @clients[0 .. 9];
ok(wait_for(sub { $peer->stats->{open} == 10 }, 10),
   'links end with their clients');

is($t->handed('failed'), 0, 'none failed');

$t->done;
