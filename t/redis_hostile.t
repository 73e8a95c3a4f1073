#!/usr/bin/perl

# A Redis that says nonsense: replies damaged at random, times that no clock
# has, cursors without an end, messages nobody subscribed to, a Sentinel that
# changes its mind all the time.  The agent neither dies nor grows, asks no more
# than it should, and sees when it is over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::FaultRESP;
use Mesh::RedisRegistry;


{
    package Hostile;

    # damage(1 or 0, seed): of every other reply

    use parent -norequire, 'Mesh::FaultRESP';

    use Mesh::Mutant ();

    sub damage { $_[0]->ask('damage', @_[1 .. $#_]) }

    sub order_damage {
        my ($s, $on, $seed) = @_;

        srand $seed;
        $s->{damage} = $on;
        return 1;
    }


    sub reply {
        my ($s, $c, $f, $bytes, $end) = @_;

        if ($s->{damage} && rand() < 0.3) {
            $bytes = Mesh::Mutant::damage($bytes);
            $end = 1 if rand() < 0.2;
        }

        $s->SUPER::reply($c, $f, $bytes, $end);
    }
}


my $long = $ENV{TEST_MESH_LONG};
my $seconds = $long ? 120 : 8;
my $seed = $ENV{TEST_MESH_SEED} // time ^ $$;

srand $seed;
note("TEST_MESH_SEED=$seed");

my $A = 'com.example.A:1.0.0';
my $f = Hostile->new;
my $t = Mesh::RedisRegistry->new(timeout => 200 + 4 * $seconds);
my @all = 20880 .. 20883;

sub provide_all { $f->provide(provider($_), ttl => 3600) for @all }


sub agent { return ($t->helpers, $t->children(qr/mesh agent/))[0] }


sub memory {
    open my $in, '<', "/proc/@{[agent()]}/status" or return 0;
    return (map { /^VmRSS:\s*(\d+)/ ? $1 : () } <$in>)[0];
}


sub descriptors { scalar(() = glob "/proc/@{[agent()]}/fd/*") }


provide_all();
$t->follow($f->url . ' refresh=200ms ping=200ms timeout=1s session=60s');
$t->sees($A, \@all, 'four providers');

my $pid = agent();


# rate(name, most, seconds): commands in a second meanwhile

sub rate {
    my ($name, $most, $seconds) = @_;

    $f->commands(1);
    my $from = time;
    sleep $seconds;

    my $n = $f->commands(1) / (time - $from);
    cmp_ok($n, '<', $most, sprintf '%s: %.1f commands per second', $name, $n);
}


# nobody is gone, whoever is suspected

sub stays {
    my ($name, $seconds) = @_;

    my $until = time + $seconds;
    my $found;

    while (time < $until) {
        $found = join ' ', map { tr/?//dr } $t->ports($A);
        last if $found ne "@all";
        sleep 0.02;
    }

    is($found, "@all", $name);
}


# all is well, but where damaged replies made endpoints up: they may linger

sub over {
    my ($name, $lingers) = @_;

    $f->clear;
    $f->set(skew => 0, deaf => 0, mute => 0, early => undef,
            role => [qw(master 0)], info => {});
    $t->resync;
    provide_all();

    ok(wait_for(sub {
        my $found = join ' ', grep { !($lingers && /\?/) } $t->ports($A);
        return $found eq "@all";
    }, 40), "$name: all is well when it is over");
    is(agent(), $pid, '... with the same agent');
}


# times: no number, too large a number, far in the past and in the future

for my $time ('9223372036854775807', '9223372036854775', '99999999999999',
              '0', '-1', '1e9', '', '4102444800')
{
    $f->fault(match => '^TIME', times => 3,
              raw => sprintf "*2\r\n\$%d\r\n%s\r\n\$19\r\n"
                             . "9223372036854775807\r\n", length $time, $time);
    $t->resync;
    stays("TIME of \"$time\": nobody is gone", 0.5);
}

$f->fault(match => '^TIME', times => 3, raw => $_)
    for ("*0\r\n", "*2\r\n:1\r\n:2\r\n", "*2\r\n*0\r\n*-1\r\n", "+OK\r\n",
         "*2\r\n\$-1\r\n\$-1\r\n");
stays('TIME that is none: nobody is gone', 4);
over('TIME');

# ROLE and INFO

for my $role ("*0\r\n", ":1\r\n", "*-1\r\n", "*1\r\n*0\r\n",
              "*4\r\n\$5\r\nslave\r\n:1\r\n:2\r\n:3\r\n",
              "*1\r\n\$7\r\nreplica\r\n", "*1\r\n\$0\r\n\r\n")
{
    $f->fault(match => '^ROLE', times => 2, raw => $role);
    $f->fault(match => '^INFO', times => 2, raw => $role);
}

$f->set(info => { server => "run_id:\r\nuptime_in_seconds:-5\r\nrole\r\n"
                            . "run_id:" . 'x' x 5000 . "\r\nmaster_replid\n",
                  replication => '' });
$t->keeps($A, \@all, 'ROLE and INFO of nonsense: nobody is gone', 4);
over('ROLE and INFO');

# messages, to whom and about what they may be

my @strange = ("*3\r\n\$7\r\nmessage\r\n\$3\r\nfoo\r\n\$3\r\nbar\r\n",
               "*3\r\n\$7\r\nmessage\r\n\$7\r\n/dubbo/\r\n\$0\r\n\r\n",
               "*3\r\n\$7\r\nmessage\r\n\$8\r\n/dubbo//\r\n\$0\r\n\r\n",
               "*3\r\n\$7\r\nmessage\r\n\$0\r\n\r\n\$0\r\n\r\n",
               "*4\r\n\$8\r\npmessage\r\n\$1\r\n*\r\n\$30\r\n"
               . "/dubbo/com.example.A/providers\r\n\$10\r\nunregister\r\n",
               "*3\r\n\$7\r\nmessage\r\n\$2\r\nab\r\n:5\r\n",
               "*3\r\n\$11\r\nunsubscribe\r\n\$1\r\na\r\n:0\r\n");

for my $bytes (@strange) {
    $f->push_bytes($bytes);
    $t->keeps($A, \@all, 'a strange message: nobody is suspected', 0.2);
}

over('messages');

# where a reply is due it may be taken for that, as a list without anybody
for my $bytes (@strange) {
    $f->push_bytes($bytes, 1);
    stays('a strange reply: nobody is gone', 0.2);
}

over('messages as replies');

my $flood = "*3\r\n\$7\r\nmessage\r\n\$30\r\n/dubbo/com.example.A/providers"
            . "\r\n\$10\r\nunregister\r\n" x 1;

{
    $f->commands(1);
    my ($from, $n) = (time, 0);

    while (time - $from < 2) {
        $f->push_bytes($flood x 500);
        $n += 500;
    }

    cmp_ok($f->commands(1) / (time - $from), '<', 150,
           "$n messages in 2 s: few reads");
    $t->keeps($A, \@all, '... nobody is gone', 0.5);
}

over('a flood');

# errors are one line of the log, whatever is in them

$f->fault(match => '^HGETALL', times => 0,
          error => "ERR a\n2000/01/01 00:00:00 [error] 1#1: forged\x1b[31m\x07");
ok($t->wait_log(qr/mesh registry "redis".*ERR a/), 'an error with line ends');
ok(!$t->grep_log(qr/^2000/), '... is one line');
ok(!$t->grep_log(qr/[\x00-\x08\x0b-\x1f]/), '... without control characters');
over('an error');

# replies damaged at random

my ($fds, $rss);

for my $round (1, 2) {
    $f->damage(1, int rand 2 ** 31);
    $f->commands(1);

    my ($from, $n) = (time, 0);

    # a slow machine takes longer for as many
    while (time - $from < $seconds / 2
           || $n <= 20 * $seconds && time - $from < 5 * $seconds)
    {
        $t->resync;
        sleep 0.02;
        $n += $f->commands(1);
    }

    cmp_ok($n, '>', 20 * $seconds, 'damaged replies');
    $f->damage(0, 1);
    over('damaged replies', 1);

    if ($round == 1) {
        ($fds, $rss) = (descriptors(), memory());
    }
}

ok((wait_for { descriptors() <= $fds + 2 } 10), 'no descriptor is left');
cmp_ok(memory(), '<', $rss + 16384, 'its memory is what it was')
    unless Mesh::Test::sanitized();
note("memory: $rss, then ", memory(), ' KiB');
$t->stop;

# a cursor without an end

$t->follow($f->url . ' refresh=200ms ping=200ms timeout=1s discovery=all',
           lists => '');
$t->sees($A, \@all, 'by the catalog');
$pid = agent();

my $cursor = "*2\r\n\$1\r\n7\r\n*2\r\n\$30\r\n/dubbo/com.example.A/providers"
             . "\r\n\$28\r\n/dubbo/com.example/providers\r\n";

$f->fault(match => '^SCAN', times => 0, raw => $cursor);
sleep 1;
my $before = memory();
rate('a cursor without an end', 400, 3);
cmp_ok(memory(), '<', $before + 8192, '... memory stays')
    unless Mesh::Test::sanitized();
$t->keeps($A, \@all, '... nobody is gone', 0.2);
over('a cursor without an end');

$f->fault(match => '^SCAN', times => 5, raw => $_)
    for ("*1\r\n\$1\r\n0\r\n", "*2\r\n*0\r\n*0\r\n", "*2\r\n:0\r\n*0\r\n",
         "*2\r\n\$1\r\n0\r\n*2\r\n:1\r\n*0\r\n",
         "*2\r\n\$1\r\n0\r\n*1\r\n\$1\r\n/\r\n",
         "*2\r\n\$0\r\n\r\n*0\r\n",
         "*2\r\n\$1\r\n0\r\n*1\r\n\$17\r\n" . "\0" x 17 . "\r\n");
$t->keeps($A, \@all, 'SCAN of nonsense: nobody is gone', 3);
over('SCAN of nonsense');
$t->stop;

# a Sentinel

my $s = Hostile->new;
my $where = sprintf "*2\r\n\$9\r\n127.0.0.1\r\n\$%d\r\n%d\r\n",
                    length $f->port, $f->port;

$s->fault(match => '^SENTINEL', times => 0, raw => $where);
$t->follow($s->url . ' sentinel=m refresh=200ms ping=200ms timeout=1s');
$t->sees($A, \@all, 'by Sentinel');
$pid = agent();

{
    my $switch = "m 127.0.0.1 1 127.0.0.1 2";
    my $push = sprintf "*3\r\n\$7\r\nmessage\r\n\$14\r\n+switch-master\r\n"
                       . "\$%d\r\n%s\r\n", length $switch, $switch;

    $_->commands(1) for $s, $f;
    my $from = time;

    while (time - $from < 4) {
        $s->push_bytes($push x 10, 1);
    }

    my $n = ($s->commands(1) + $f->commands(1)) / (time - $from);
    cmp_ok($n, '<', 100, sprintf 'another master all the time: '
                                 . '%.1f commands per second', $n);
    $t->keeps($A, \@all, '... nobody is gone', 0.2);
}

for my $reply ("*2\r\n\$0\r\n\r\n\$1\r\n1\r\n", "*-1\r\n", "*0\r\n", "+OK\r\n",
               "*2\r\n\$9\r\n127.0.0.1\r\n\$5\r\n70000\r\n",
               "*2\r\n\$300\r\n" . 'x' x 300 . "\r\n\$1\r\n1\r\n",
               "*2\r\n\$200\r\n" . '1' x 200 . "\r\n\$1\r\n1\r\n",
               "*2\r\n\$190\r\n" . '1' x 190 . "\r\n\$5\r\n11111\r\n",
               "*2\r\n\$8\r\nunix:/ab\r\n\$1\r\n1\r\n",
               "*2\r\n\$9\r\n127.0.0.1\r\n\$2\r\n-1\r\n",
               "*2\r\n\$3\r\n::1\r\n\$1\r\n1\r\n",
               "*2\r\n\$4\r\n\0\0\0\0\r\n\$1\r\n1\r\n")
{
    $s->clear;
    $s->fault(match => '^SENTINEL', times => 2, raw => $reply);
    $s->fault(match => '^SENTINEL', times => 0, raw => $where);
    $f->close_all;
    $t->resync;
    $t->keeps($A, \@all, 'a strange master: nobody is gone', 0.5);
}

over('Sentinel');

$t->done;
