#!/usr/bin/perl

# Providers in Redis come and go, by message, without one, and by expiry.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

my $redis = Mesh::Redis->new;
my $t = Mesh::RedisRegistry->new;

$redis->provide(provider(20880));
$t->follow($redis->url . ' refresh=60s', mesh => 'service com.example.B { }');
$t->sees($A, [20880], 'who is there already');
$t->sees('com.example.B', [], 'nobody');

$redis->provide(provider(20881));
$t->sees($A, [20880, 20881], 'another one registers');

$redis->provide(provider(20882, '', 'com.example.B'));
$t->sees('com.example.B', [20882], 'one of another service');

$redis->provide(provider(20883, 'version=1.0.0'), early => 1);
$redis->provide(provider(20884, 'version=1.0.0'));
$t->sees($A, [20880, 20881, 20883, 20884], 'a message before its record');

$redis->withdraw(provider(20880));
$t->sees($A, [20881, 20883, 20884], 'one leaves');

$redis->withdraw(provider($_)) for 20881, 20883, 20884;
$t->sees($A, [], 'the last one leaves');

# messages that come after all of it has been seen

$redis->provide(provider($_)) for 20881, 20883;
$t->sees($A, [20881, 20883], 'two again');
my @keys = map { $redis->withdraw(provider($_), quiet => 1) } 20881, 20883;
$redis->done('PUBLISH', $keys[0], 'unregister');
$t->sees($A, ['20881?', '20883?'], 'both are gone, one of them says so');
$redis->done('PUBLISH', $keys[1], 'unregister');
$t->sees($A, [], '... and the other one');

$redis->provide(provider(20885, 'version=1.0.0&group=g'));
$redis->provide(provider(20886, 'version=2.0.0'));
$redis->provide(provider(20887));
$t->sees("g/$A", [20885], 'a group');
$t->sees('com.example.A:2.0.0', [20886], 'a version');
$t->sees($A, [20887], 'what was there before');

is($redis->connections, 3, "two connections, and the test's own");
like($t->log, qr/mesh registry "redis": "redis:\S+" answers/, 'one line');

$t->done;
