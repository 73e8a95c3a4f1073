#!/usr/bin/perl

# Replicas: one in step with its master is as good, others know nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

my $master = Mesh::Redis->new;
my $replica = Mesh::Redis->new(replica => $master);

$master->provide(provider(20880));
ok(wait_for(sub { $replica->info('replication')->{master_link_status} eq 'up' },
            20), 'a replica');

my $t = Mesh::RedisRegistry->new(timeout => 240);
$t->follow($replica->url . ' refresh=500ms ping=300ms');
$t->sees($A, [20880], 'a provider, by way of the replica');
$master->provide(provider(20881));
$t->sees($A, [20880, 20881], '... and messages come');

# without its master

$master->kill9;
ok($t->wait_log(qr/a replica that is not in step with its master/, 20),
   'its master is gone');
$replica->command('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
ok(wait_for(sub { $t->troubled(qr/not in step|MASTERDOWN/) }, 20),
   'MASTERDOWN');
$t->keeps($A, [20880, 20881], '... nobody is gone');

# the master comes again, and is empty: so will the replica be

$master->start;
$master->provide(provider(20882));
$t->sees($A, ['20880?', '20881?', 20882], 'a master that lost its data', 60);
$master->provide(provider($_)) for 20880, 20881;
$t->sees($A, [20880 .. 20882], '... providers write again');
$t->stop;

# never in step: empty, and says so only when asked

my $alone = Mesh::Redis->new(config => ['replicaof 127.0.0.1 1']);
my $u = Mesh::RedisRegistry->new;

$u->follow($alone->url . ' ' . $master->url . ' refresh=500ms ping=300ms');
$u->sees($A, [20880 .. 20882], 'one that was never in step is passed over', 20);
$master->provide(provider(20883));
$u->sees($A, [20880 .. 20883], '... for good');

$t->done;
