#!/usr/bin/perl

# A Redis that loses what providers wrote: flushed, evicted, restarted empty,
# another one.  They stay until they could have written again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';
my $B = 'com.example.B:1.0.0';
my @b = ('version=1.0.0', 'com.example.B');

my $redis = Mesh::Redis->new;
my $t = Mesh::RedisRegistry->new;

$redis->done('CONFIG', 'SET', 'maxmemory', '100mb');
$redis->done('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');

sub provide_all {
    $redis->provide(provider($_), @_) for 20880 .. 20883;
    $redis->provide(provider(20890, @b), @_);
}

provide_all();
$t->follow($redis->url . ' refresh=300ms session=8s ping=300ms',
           mesh => "service $B { }");
$t->sees($A, [20880 .. 20883], 'four providers');
$t->sees($B, [20890], 'one of another service');
like($t->log, qr/\[warn\].*"redis".*may evict what providers wrote/,
     'a server that evicts is told of');

# nobody says anything when all is gone

$redis->done('FLUSHALL');
$t->sees($A, [map { "$_?" } 20880 .. 20883], 'flushed: suspects');
$t->sees($B, ['20890?'], '... all of them');
provide_all(quiet => 1);
$t->sees($A, [20880 .. 20883], 'they write again');
$t->sees($B, [20890], '... all of them');

$redis->done('FLUSHALL');
$t->sees($A, [map { "$_?" } 20880 .. 20883], 'flushed again');
$redis->provide(provider(20880));
$redis->provide(provider(20884));
$t->sees($A, [20880, 20884, map { "$_?" } 20881 .. 20883],
         'two are there, one of them is new');
$redis->withdraw(provider(20884));
$t->sees($A, [20880, map { "$_?" } 20881 .. 20883],
         'one leaves, which says nothing of the others');

ok(wait_for(sub {
    $redis->beat(provider(20880));
    join(' ', $t->ports($A)) eq '20880' && !$t->ports($B);
}, 30), 'who does not write again is gone then');

# as an eviction does, or a script

provide_all();
$t->sees($A, [20880 .. 20883], 'all are back');
$redis->done('DEL', '/dubbo/com.example.A/providers');
$t->sees($A, [map { "$_?" } 20880 .. 20883], 'a key is gone');
provide_all();
$redis->withdraw(provider(20883), quiet => 1);
$t->sees($A, [20880 .. 20882], 'one of many is taken out without a word');
$redis->withdraw(provider($_), quiet => 1) for 20880 .. 20881;
$t->sees($A, ['20880?', '20881?', 20882], 'most of them');
provide_all();
$t->sees($A, [20880 .. 20883], 'all are back');

# another server, so to speak

$redis->restart(empty => 1);
ok($t->wait_log(qr/is not what it was before/), 'restarted empty');
$t->sees($A, [map { "$_?" } 20880 .. 20883], '... suspects');
$redis->provide(provider(20885));
$t->sees($A, [20885, map { "$_?" } 20880 .. 20883], 'a new one is used');
provide_all();
$t->sees($A, [20880 .. 20883, 20885], 'and the others, once they write again');
$t->sees($B, [20890], '... all of them');

# messages that are lost

$redis->provide(provider(20886), quiet => 1);
$t->sees($A, [20880 .. 20883, 20885, 20886], 'one comes without a message');

$redis->kill9;
$t->keeps($A, [20880 .. 20883, 20885, 20886], 'nobody is gone with the server',
          2);
like($t->log, qr/\[error\].*mesh registry "redis"/, '... which is said');
is(scalar $t->grep_log(qr/may evict/), 1, '... and evictions were, once');

$t->done;
