#!/usr/bin/perl

# A real client agent that has lost its servers, and says so in its ways: an
# empty list with all signs of health among them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Consul;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';

my $t = Mesh::Test->new(timeout => 250);
my $c = Mesh::Consul->new(data => 1);
my $agent = Mesh::Consul->new(client => $c);

sub url { "dubbo://127.0.0.1:$_[0]/$NAME?side=provider" }
sub all { join ' ', map { "127.0.0.1:$_=100" } @_ }

# holds(s, name): nothing is lost meanwhile
sub holds {
    my ($seconds, $name) = @_;

    my $all = learned($t, $NAME);
    my $lost = wait_for { learned($t, $NAME) ne $all } $seconds;
    ok(!$lost, $name) or diag(learned($t, $NAME));
}

$c->dubbo(url($_), ttl => 600) for 20881 .. 20883;

$t->write_conf(learn_conf('consul ' . $agent->url . ' wait=2s',
                          service => $NAME,
                          mesh => 'guard 50% hold=1s;'));
$t->run;

is(until_learned($t, $NAME, 3), all(20881 .. 20883), 'providers');

$c->kill9;
holds(12, 'its servers are gone');

$agent->restart(wait => 0);
holds(12, 'it was started without servers');

$c->start;
$c->dubbo(url(20884), ttl => 600);
is(until_learned($t, $NAME, 4, 60), all(20881 .. 20884), 'they are back');

# a server that waits for others has no leader

my $u = Mesh::Consul->new(expect => 2);

$t->write_conf(learn_conf('consul ' . $u->url . ' wait=2s',
                          service => $NAME,
                          mesh => 'guard 50% hold=1s;'));
$t->reload;
holds(12, 'a server without a leader');
like($t->log, qr/500: No cluster leader|no answer in time/, 'it is logged');

$t->done;
