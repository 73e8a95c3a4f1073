#!/usr/bin/perl

# Several registries: services are what all of them have, but for those of
# which a service says otherwise; and an address that two of them have is one
# endpoint, which goes with the last of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::FaultHTTP;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 240);
my ($one, $two) = map { Mesh::FaultHTTP->new } 1, 2;
my %peer = map { $_ => Mesh::Peer->new(value => $_) } qw(a b c);


# has($registry, service, peers...): such are its instances now

sub has {
    my ($f, $service, @peers) = @_;

    $f->service($service, [ map {
        $f->instance("$service-$_", $peer{$_}->port,
                     tags => ['protocol=dubbo'])
    } @peers ]);
}


# "owner.peer" of each word that the table has on its endpoints

sub words {
    my ($service) = @_;

    my $r = api($t, 'GET', 'services/' . enc($service) . '/endpoints');
    my %name = map { $peer{$_}->address => $_ } keys %peer;

    return join ' ', sort map {
        "$_->{metadata}{owner}." . $name{$_->{metadata}{name}}
        . ($_->{status}{suspect} ? '?' : '')
    } @{ $r->{json}{items} // [] };
}


sub words_are {
    my ($service, $expected, $name) = @_;

    my $found;

    wait_for { ($found = words($service)) eq $expected } 15;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($found, $expected, $name);
}


# called(service, peers, name): these get calls, each as many as the others

sub called {
    my ($service, $peers, $name) = @_;

    my $each = 20;
    my @peers = split / /, $peers;
    my $went = spread($t->tcp('rpc'), $each * @peers, service => $service);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(join(' ', sort keys %$went), $peers, $name);

    my @uneven = grep { abs($_ - $each) > 3 } values %$went;
    is(scalar @uneven, 0, '... evenly') or diag explain $went;
}


has($one, 'demo.Both', qw(a b));
has($two, 'demo.Both', qw(b c));
has($one, 'demo.Own', 'a');
has($two, 'demo.Own', 'b');
has($one, 'demo.None', 'a');
has($two, 'demo.Held', 'b');
has($one, 'demo.Held', 'b');

$t->write_conf(lazy_conf(mesh => <<"MESH")
    guard 50% min=3 hold=1h;
    service demo.Both { balancer round_robin; }
    service demo.Held { }
    service demo.Own registry=two { }
    service demo.None registry=off { endpoint @{[$peer{c}->address]}; }
MESH
    =~ s{registry consul \S+}
        {join "\n", 'registry consul ' . $one->url . ' name=one;',
                    'registry consul ' . $two->url . ' name=two'}er);
$t->run;

words_are('demo.Both', 'one.a one.b two.b two.c', 'what two registries have');
called('demo.Both', 'a b c', '... adds up, each address once');

words_are('demo.Own', 'two.b', 'only one of them is asked');
called('demo.Own', 'b', '... and called');
words_are('demo.Held', 'one.b two.b', 'both have the only one of a service');
words_are('demo.None', 'config.c', 'or none');
is(scalar(grep { $_->{target} =~ /demo[.]None/ } $one->requests,
                                                 $two->requests), 0,
   '... indeed');
is(scalar(grep { $_->{target} =~ /demo[.]Own/ } $one->requests), 0,
   '... nor the other');


# of an address that both have

has($one, 'demo.Both', 'a');
words_are('demo.Both', 'one.a two.b two.c', 'one has it no more');
called('demo.Both', 'a b c', '... the other has');

has($two, 'demo.Both', 'c');
words_are('demo.Both', 'one.a two.c', 'nor has the other');
called('demo.Both', 'a c', '... so it goes');


# one of them loses its memory: what the other has of it is no suspect

has($one, 'demo.Held');
words_are('demo.Held', 'one.b? two.b', 'one has lost its memory');
called('demo.Held', 'b', '... calls go on');

has($two, 'demo.Held');
words_are('demo.Held', 'one.b? two.b?', 'so has the other');
called('demo.Held', 'b', '... calls go on');

is(api($t, 'POST', "registries/$_/resync?force=1&service=demo.Held")->{status},
   200, "an operator knows better, of $_") for qw(one two);
words_are('demo.Held', '', '... it is gone');


# a registry that is down takes nothing of the other's

$one->stop;
wait_for { api($t, 'GET', 'registries/one')->{json}{status}{state}
           eq 'error' } 10;
has($two, 'demo.Both', qw(b c));
words_are('demo.Both', 'one.a two.b two.c', 'one is down, the other changes');
called('demo.Both', 'a b c', '... calls go to all');

$t->done;
