#!/usr/bin/perl

# Providers that call their clients, as Bolt lets either side do: with
# mesh_multiplex off, in every form; on a shared link they get an answer.

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

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1, switch => 0 },
    { proto => 2, ver1 => 2, switch => 1 },
);

# the provider answers a call only when its own question was answered

sub ask {
    my ($p, $c, $f) = @_;

    if ($f->{kind} eq 'request' && $f->{method} eq 'ask') {
        $c->{asked}{5} = $f;
        $p->write($c, Mesh::Bolt::request(
            Mesh::Bolt::like($f), id => 5, service => 'demo.Listener',
            method => 'changed', args => [$f->{args}[0]]));
        return 1;
    }

    if (my $asked = $f->{kind} eq 'response'
                    && delete $c->{asked}{$f->{id}})
    {
        my $went = defined $f->{error} ? "refused $f->{error}"
                 : $f->{status} ? "refused $f->{status}" : "told $f->{value}";

        $went = 'a wrong CRC' unless $f->{crc_ok} // 1;
        $p->write($c, Mesh::Bolt::reply($asked, value => $went));
        return 1;
    }

    return 0;
}

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(speaks => 'bolt', handler => \&ask);

$t->write_conf(conf(pass => 'bolt', service => "endpoint @{[$peer->address]};",
                    stream => <<'EOT'));
    server {
        listen 127.0.0.1:%%PORT_pinned%%;
        mesh_pass bolt;
        mesh_multiplex off;
    }
EOT
$t->run;

my @clients = map { $t->tcp('pinned', speaks => 'bolt') } @forms;

$clients[$_]->send(Mesh::Bolt::request(
    %{ $forms[$_] }, id => 9, service => 'demo.Echo', method => 'ask',
    args => ["client $_"])) for 0 .. 2;

my @asked = map { $_->recv_frame(5) } @clients;

for (0 .. 2) {
    is("$asked[$_]{kind} $asked[$_]{args}[0]", "request client $_",
       "client $_ is asked what belongs to it");
    is($asked[$_]{variant}, (qw(1 2.1 2.2))[$_], '... in its form');
    is($asked[$_]{crc_ok} // 1, 1, '... whose CRC is right');
}

$clients[$_]->send(Mesh::Bolt::reply($asked[$_], value => "by $_"))
    for reverse 0 .. 2;

is(went($clients[$_]->recv_id(9, 5)), "told by $_",
   '... and its answer arrives') for 0 .. 2;
is($peer->stats->{connections}, 3, 'each client has a link of its own');

# one client, two forms: two links

is(went($clients[0]->call(%$_, service => 'demo.Echo', method => 'echo',
                          args => ['x'])), 'x', 'another form of one client')
    for @forms;
is($peer->stats->{connections}, 5, '... has a link of its own, too');

$_->close for @clients;
ok((wait_for { $peer->stats->{open} == 0 } 5), '... that ends with it');

# on a shared link nobody knows who is meant

my $client = $t->tcp('rpc', speaks => 'bolt');

for my $form (@forms) {
    like(went($client->call(%$form, id => 3, service => 'demo.Echo',
                            method => 'ask', args => ['who'], timeout => 5)),
         qr/^refused .*shared.*mesh_multiplex off/,
         'a callback on a shared link gets a typed answer');
    is(went($client->call(%$form, id => 3, service => 'demo.Echo', codec => 11,
                          method => 'ask', args => ['who'], timeout => 5)),
       'refused 6', '... or a status');
}

is($t->metrics->{mesh_callbacks_refused_total}, 6, '... and is counted');

$client->close;
$t->done;
