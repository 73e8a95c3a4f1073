#!/usr/bin/perl

# Clocks that are wrong by an hour: of providers, of the server; and who dies
# without a word all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Mesh::FaultRESP;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';
my $SESSION = 2;

my $f = Mesh::FaultRESP->new;
my $t = Mesh::RedisRegistry->new(timeout => 300);

# who writes every half of a session: port => skew
my %alive = (20880 => 0, 20881 => -3600, 20882 => 3600);
my $beat = 0;


sub beat {
    return if time - $beat < $SESSION / 2;
    $beat = time;

    $f->provide(provider($_), ttl => $SESSION, skew => $alive{$_}, quiet => 1)
        for keys %alive;
}


sub sees {
    my ($ports, $name, $seconds) = @_;

    my $found;
    my $ok = wait_for {
        beat();
        $found = join ' ', $t->ports($A);
        $found eq join ' ', sort @$ports;
    } $seconds // 20;

    ok($ok, $name) or diag "got $found";
}


sub keeps {
    my ($ports, $name, $seconds) = @_;

    my $until = time + $seconds;
    my ($found, $expected) = ('', join ' ', sort @$ports);

    while (time < $until) {
        beat();
        $found = join ' ', $t->ports($A);
        last if $found ne $expected;
    }

    is($found, $expected, $name);
}


# a remnant of somebody who died long ago
$f->provide(provider(20870), ttl => $SESSION, skew => -7200);

beat();
$t->follow($f->url . " refresh=400ms session=${SESSION}s");
sees([20880 .. 20882], 'right, an hour behind, an hour ahead; no remnant');
keeps([20880 .. 20882], '... and they stay', 3 * $SESSION);

# dies

delete $alive{20882};
sees([20880, 20881], 'who was ahead is gone soon after its last word');
delete $alive{20881};
sees([20880], 'who was behind as well');

# comes while it is watched

$alive{20883} = -3600;
$f->provide(provider(20883), ttl => $SESSION, skew => -3600);
sees([20880, 20883], 'registers with a clock that is behind', 5);

# never expires, whatever its value says

$f->provide(provider(20884, 'version=1.0.0&dynamic=false'), ttl => -3600);
sees([20880, 20883, 20884], 'dynamic=false');
keeps([20880, 20883, 20884], '... stays', 3 * $SESSION);

# the server's own clock

$f->set(skew => 3600);
keeps([20880, 20883, 20884], "the server's clock jumps an hour ahead",
      3 * $SESSION);
$f->set(skew => -3600);
keeps([20880, 20883, 20884], '... an hour behind', 3 * $SESSION);

# an agent that comes anew has learnt nothing yet, but what was used is used

$f->set(skew => 0);
ok($t->reload(gone => 1), 'a reload');
keeps([20880, 20883, 20884], '... loses nobody', 2 * $SESSION);

# all of them are an hour behind, and nobody knows them

%alive = (20890 => -3600, 20891 => -3600);
$f->order('FLUSHALL');
beat() while time - $beat < $SESSION / 2;
$beat = 0;
beat();

my $u = Mesh::RedisRegistry->new;
$u->follow($f->url . " refresh=400ms session=${SESSION}s");
$u->sees($A, ['20890?', '20891?'], 'all look like remnants: they are used');
$t = $u;
sees([20890, 20891], '... and are none');

$u->stop;

# far ahead of every clock, of two versions, one of which is in the
# configuration and then in none

my @v2 = ('version=2.0.0', 'com.example.A');

$f->order('FLUSHALL');
$f->provide(provider($_), ttl => 3600) for 20895, 20896;
$f->provide(provider(20897, @v2), ttl => 3600);

my $w = Mesh::RedisRegistry->new;
$w->follow($f->url . ' refresh=400ms');
$w->sees($A, [20895, 20896], 'two of a version that is configured');
$w->sees('com.example.A:2.0.0', [20897], '... one of another');
$w->stop;
$w->follow($f->url . ' refresh=400ms discovery=all', lists => '');
$w->sees($A, [20895, 20896], 'the next agent knows them, configured or not');

$w->done;
