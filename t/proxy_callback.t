#!/usr/bin/perl

# Callbacks: with mesh_multiplex off a provider can call its client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;

# the provider answers a call only when its own question was answered

my $peer = Mesh::Peer->new(handler => sub {
    my ($p, $c, $f) = @_;

    if ($f->{kind} eq 'request' && $f->{method} eq 'ask') {
        $c->{asked}{5} = $f;
        $p->write($c, Mesh::Dubbo::request(id => 5, service => 'demo.Listener',
                                           method => 'changed',
                                           args => [$f->{args}[0]]));
        return 1;
    }

    if ($f->{kind} eq 'response' && (my $asked = delete $c->{asked}{$f->{id}})) {
        $p->write($c, Mesh::Dubbo::response(
            id => $asked->{id},
            value => $f->{status} == 20 ? "told $f->{value}"
                                        : "refused $f->{status}"));
        return 1;
    }

    return 0;
});

$t->write_conf(conf(service => "endpoint @{[$peer->address]};", stream => <<'EOT'));
    server {
        listen 127.0.0.1:%%PORT_pinned%%;
        mesh_pass dubbo;
        mesh_multiplex off;
    }
EOT
$t->run;

my @clients = map { $t->tcp('pinned') } 1 .. 2;

$clients[$_]->send(Mesh::Dubbo::request(
    id => 9, service => 'demo.Echo', method => 'ask', args => ["client $_"]))
    for 0, 1;

my @asked = map { $_->recv_frame(5) } @clients;

is($asked[$_]{kind} . ' ' . $asked[$_]{args}[0], "request client $_",
   "client $_ is asked what belongs to it") for 0, 1;

$clients[$_]->send(Mesh::Dubbo::response(id => $asked[$_]{id},
                                         value => "by $_")) for 1, 0;

is(went($clients[$_]->recv_id(9, 5)), "told by $_", '... and its answer arrives')
    for 0, 1;

is($peer->stats->{connections}, 2, 'each client has a link of its own');

$_->close for @clients;
ok((wait_for { $peer->stats->{open} == 0 } 5), '... that ends with it');

# on a shared link nobody knows who is meant

my $client = $t->tcp('rpc');

is(went($client->call(id => 3, service => 'demo.Echo', method => 'ask',
                      args => ['who'], timeout => 5)), 'refused 70',
   'a callback on a shared link gets a typed answer');
is($t->metrics('/metrics', 'http')->{mesh_callbacks_refused_total}, 1,
   '... and is counted');

$client->close;
$t->done;
