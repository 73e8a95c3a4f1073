#!/usr/bin/perl

# Addresses: several of them, TLS, a database, a root, a socket.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

# several: one that answers is kept, another takes its place

my ($one, $two) = map { Mesh::Redis->new } 1 .. 2;

$one->provide(provider(20880));
$two->provide(provider($_)) for 20880, 20881, 20883 .. 20885;

my $t = Mesh::RedisRegistry->new(timeout => 240);
$t->follow($one->url . ' ' . $two->url
           . ' refresh=500ms ping=300ms session=3s');
$t->sees($A, [20880], 'the first address');
$one->kill9;
my @second = (20880, 20881, 20883 .. 20885);
$t->sees($A, \@second, 'the second, when the first is gone', 20);
$one->start;
$one->provide(provider($_)) for 20882 .. 20885;
$t->keeps($A, \@second, 'which is kept to', 1);

$two->kill9;
$t->sees($A, ['20880?', '20881?', 20882 .. 20885],
         'the first, which lacks the smaller part, when the second is gone',
         20);
$one->provide(provider(20880));
ok(wait_for(sub {
    $one->beat(provider($_)) for 20880, 20882 .. 20885;
    join(' ', $t->ports($A)) eq '20880 20882 20883 20884 20885';
}, 30), '... for a session');
$t->stop;

# TLS

my $u = Mesh::RedisRegistry->new;
my ($crt, $key) = $u->certificate('redis', 'localhost');
my $tls = Mesh::Redis->new(tls => { crt => $crt, key => $key });
$tls->provide(provider(20880));

$u->follow('rediss://localhost:' . $tls->port
           . " trusted_certificate=$crt");
$u->sees($A, [20880], 'TLS', 20);
$tls->provide(provider(20881));
$u->sees($A, [20880, 20881], '... and messages come');
$u->stop;

my $v = Mesh::RedisRegistry->new;
$v->follow('rediss://127.0.0.1:' . $tls->port);
ok($v->wait_log(qr/\[error\].*registry "redis".*certificate/, 20),
   'a certificate that is not trusted');
$v->stop;

# a database, a root, a socket

my $s = Mesh::RedisRegistry->new;
my $path = $s->dir . '/redis.sock';
my $redis = Mesh::Redis->new(config => ["unixsocket $path",
                                        'unixsocketperm 777']);

$redis->done('SELECT', 7);
$redis->provide(provider(20880), root => '/other');
$redis->provide(provider(20881));
$s->follow($redis->url(7) . ' root=/other/');
$s->sees($A, [20880], 'a database, and a root');
$redis->provide(provider(20882), root => '/other');
$s->sees($A, [20880, 20882], '... and messages come');
$s->stop;

my $w = Mesh::RedisRegistry->new;
$redis->done('SELECT', 0);
$redis->provide(provider(20880));
$w->follow("unix:$path");
$w->sees($A, [20880], 'a socket');

$t->done;
