#!/usr/bin/perl

# The master as Sentinel knows it: before each connection, and when it changes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Port qw(free_port);
use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

my $master = Mesh::Redis->new;
my $replica = Mesh::Redis->new(replica => $master);
my $sentinel = Mesh::Redis->sentinel('mymaster', $master, down => 3000);
my $dead = free_port();

ok(wait_for(sub { $replica->info('replication')->{master_link_status} eq 'up' },
            20), 'a replica');

$master->provide(provider(20880));

my $t = Mesh::RedisRegistry->new(timeout => 300);
$t->follow("redis://127.0.0.1:$dead redis://127.0.0.1:@{[$sentinel->port]} "
           . 'sentinel=mymaster refresh=1h ping=500ms timeout=1s');
$t->sees($A, [20880], 'a provider', 20);
$master->provide(provider(20881));
$t->sees($A, [20880, 20881], 'another one');

ok(wait_for(sub { $sentinel->info('sentinel')->{master0} =~ /slaves=1/ }, 30),
   'Sentinel knows the replica');

ok(wait_for(sub {
    $replica->done('HLEN', '/dubbo/com.example.A/providers') == 2;
}, 30), '... which has both');

# by hand: the old master becomes a replica

$sentinel->done('SENTINEL', 'FAILOVER', 'mymaster');
ok(wait_for(sub { $replica->info('replication')->{role} eq 'master' }, 30),
   'a failover');
$replica->provide(provider(20882));
$t->sees($A, [20880 .. 20882], '... and nginx is with the new master', 30);
unlike($t->log, qr/is not what it was before/, '... which has what it had');

ok(wait_for(sub {
    my $i = $master->info('replication');
    $i->{role} eq 'slave' && $i->{master_link_status} eq 'up';
}, 60), 'the old one is a replica of it');

# killed

$replica->kill9;
$t->keeps($A, [20880 .. 20882], 'the master is killed: nobody is gone', 2);
ok(wait_for(sub { $master->info('replication')->{role} eq 'master' }, 60),
   '... another failover');
$master->provide(provider(20883));
$t->sees($A, [20880 .. 20883], '... and nginx is with the new master', 60);

# no Sentinel knows that name

my $u = Mesh::RedisRegistry->new;
$u->follow($sentinel->url . ' sentinel=other');
ok($u->wait_log(qr/it knows no master of the name of "sentinel="/, 20),
   'a name that nobody knows');
$u->stop;

# it has a password, which nobody gave

my $closed = Mesh::Redis->sentinel('mymaster', $master, password => 'secret');
my $w = Mesh::RedisRegistry->new;
$w->follow($closed->url . ' sentinel=mymaster');
ok($w->wait_log(qr/NOAUTH Auth.*, it needs a "sentinel_password_file="/, 20),
   'a Sentinel with a password');
$w->stop;

# a Sentinel where a server is expected

my $v = Mesh::RedisRegistry->new;
$v->follow($sentinel->url);
ok($v->wait_log(qr/it is a Sentinel, which needs "sentinel="/, 20),
   'a Sentinel that is taken for a server');

$t->done;
