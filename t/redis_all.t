#!/usr/bin/perl

# discovery=all: every interface that has providers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $redis = Mesh::Redis->new;
my $t = Mesh::RedisRegistry->new(timeout => 240);

my @interfaces = map { "com.example.S$_" } 1 .. 40;

$redis->provide(provider(20880, '', $_)) for @interfaces;
$redis->done('SET', '/dubbo/x', 1);
$redis->done('HSET', '/dubbo/com.example.None/consumers', 'consumer://h/x', 1);

$t->follow($redis->url . ' discovery=all refresh=1s ping=300ms session=5s',
           lists => '');
$t->sees($_, [20880], $_) for @interfaces[0, 17, 39];
is($redis->connections, 3, "two connections, and the test's own");

$redis->provide(provider(20881, '', $interfaces[3]));
$t->sees($interfaces[3], [20880, 20881], 'a message about one');
$redis->provide(provider(20882, '', 'com.example.New'));
$t->sees('com.example.New', [20882], 'a new one');
$redis->withdraw(provider(20882, '', 'com.example.New'));
ok(wait_for(sub { !$t->ports('com.example.New') }, 20), 'one that goes');

$redis->done('FLUSHALL');
$t->sees($_, ['20880?'], "flushed: $_") for @interfaces[0, 17, 39];
$redis->provide(provider(20880, '', $_)) for @interfaces;
$t->sees($_, [20880], "again: $_") for @interfaces[0, 17, 39];

my @orders = split /\n/, $redis->done('INFO', 'commandstats');
is(scalar(grep { /cmdstat_keys:/ } @orders), 0, 'KEYS is never used');

$t->done;
