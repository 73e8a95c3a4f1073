#!/usr/bin/perl

# A real Consul: its changes, its ends, and the lies it tells in between.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Consul;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';

my $t = Mesh::Test->new(timeout => 300);
my $c = Mesh::Consul->new(data => 1);
my $agent = Mesh::Consul->new(client => $c);

sub url { "dubbo://127.0.0.1:$_[0]/$NAME?side=provider" }
sub all { join ' ', map { "127.0.0.1:$_=100" } @_ }

$c->dubbo(url($_), ttl => 600) for 20881 .. 20884;

$t->write_conf(learn_conf('consul ' . $c->url,
    service => $NAME, mesh => 'guard 50% hold=5s; registry consul '
    . $agent->url . ' name=agent discovery=listed;'));
$t->run;

is(until_learned($t, $NAME, 4), all(20881 .. 20884), 'providers');


# killed, and back with what it knew

$c->kill9;
sleep 1;
is(learned($t, $NAME), all(20881 .. 20884), 'Consul was killed');

$c->start;
sleep 2;
is(learned($t, $NAME), all(20881 .. 20884), 'it is back');

$c->dubbo(url(20885), ttl => 600);
is(until_learned($t, $NAME, 5, 40), all(20881 .. 20885), 'it is watched again');


# back with nothing

$c->restart(empty => 1);
sleep 2;
is(learned($t, $NAME), all(20881 .. 20885), 'it has forgotten all: held');

$c->dubbo(url($_), ttl => 600) for 20881 .. 20885;
sleep 1;
is(until_learned($t, $NAME, 5, 40), all(20881 .. 20885), 'they register again');

$t->done;
