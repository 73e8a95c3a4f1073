#!/usr/bin/perl

# A protocol without ids: a link carries a call at a time, and answers reach
# clients in the order of their calls.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Test;
use Mesh::Wire;

use Time::HiRes qw(time sleep);

my $t = Mesh::Test->new;


# nothing but a length, 16 bits: who sends it tells what it is

sub frame { pack 'n/a*', $_[0] }


sub cut {
    my ($bytes) = @_;
    return 0 if length $bytes < 2;
    my $size = 2 + unpack 'n', $bytes;
    return length $bytes >= $size ? $size : 0;
}


my $peer = Mesh::Wire->new(cut => \&cut, answer => sub {
    my ($frame, $state) = @_;

    my $text = substr $frame, 2;
    my ($delay) = $text =~ /^wait (\S+)/;

    return (frame("got $text"), $delay // 0,
            sprintf('%.3f %d %s', time, $state->{conn}, substr $text, 0, 40));
});

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    protocol plain {
        length 0 2 add=2;
        fact service const plain;
    }

    service plain { endpoint @{[$peer->address]}; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass plain;
        mesh_timeout 1s;
        mesh_heartbeat off;
    }

    server {
        listen 127.0.0.1:%%PORT_off%%;
        mesh_pass plain;
        mesh_multiplex off;
    }
}

http { server { listen 127.0.0.1:%%PORT_http%%; location /metrics {
    mesh_metrics; } } }
CONF

$t->run;


sub client {
    my $client = $t->tcp($_[0] // 'rpc');
    $client->{raw} = 1;
    return $client;
}


sub got {
    my ($client) = @_;
    my $head = $client->recv_bytes(2);
    return length $head == 2 ? $client->recv_bytes(unpack 'n', $head) : undef;
}


my $c = client();

$c->send(frame('one'));
is(got($c), 'got one', 'a call');

# a client that does not wait: the second would overtake the first

$c->send(join '', map { frame($_) } 'wait 0.3', 'second', 'third', 'wait 0.1',
                                    'x' x 3000, map { "call $_" } 1 .. 50);

is_deeply([map { substr got($c) // 'none', 0, 20 } 1 .. 55],
          ['got wait 0.3', 'got second', 'got third', 'got wait 0.1',
           'got ' . 'x' x 16, map { "got call $_" } 1 .. 50],
          'pipelined calls are answered in their order');

# halves of frames around a call that takes time

my $long = 'y' x 60000;

$c->send(frame('wait 0.2') . substr(frame($long), 0, 100));
sleep 0.1;
$c->send(substr(frame($long), 100, 50000));
sleep 0.3;
$c->send(substr(frame($long), 50100) . frame('end'));
is(got($c), 'got wait 0.2', 'half a frame behind a call');
is(got($c), "got $long", '... is whole afterwards');
is(got($c), 'got end', '... and the next one');

# several clients at once: a link each, one call at a time on it

my @clients = map { client() } 1 .. 5;
$_->send(frame('wait 0.3') . frame("me $_")) for @clients;

my $wrong = 0;

for my $client (@clients) {
    $wrong++ if (got($client) // '') ne 'got wait 0.3';
    $wrong++ if (got($client) // '') ne "got me $client";
}

is($wrong, 0, 'clients do not get each other\'s answers');

my %conns = map { (split / /)[1] => 1 } $peer->log;
is(scalar keys %conns, 5, '... with a link for each call at that time');

# a late answer reaches nobody

my $before = scalar keys %conns;

$c->send(frame('wait 1.5'));
is($c->closed(5), 'eof', 'a call without an answer in time: only the end of '
                         . 'the connection can say so');

my @after = map { client() } 1 .. 6;
$_->send(frame("after $_")) for @after;
is(scalar(grep { (got($_) // '') ne "got after $_" } @after), 0,
   'others go on');
sleep 0.8;
$_->send(frame("again $_")) for @after;
is(scalar(grep { (got($_) // '') ne "got again $_" } @after), 0,
   '... and nobody gets the late answer');

# a client that leaves takes its link along, as the answer is still to come

my $leaving = client();
$leaving->send(frame('wait 0.4'));
sleep 0.1;
$leaving->close;
my $next = client();
$next->send(frame('fresh'));
is(got($next), 'got fresh', 'a client that left leaves no answer to others');

# links of one's own

my $own = client('off');
$own->send(frame('wait 0.2') . frame('own'));
is(got($own), 'got wait 0.2', 'without multiplexing');
is(got($own), 'got own', '... too');

is($t->metrics->{mesh_requests_in_flight}, 0, 'nothing is in flight');

$t->done;
