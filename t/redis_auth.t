#!/usr/bin/perl

# Passwords, users and what they may do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

# a password that is wrong at first

my $redis = Mesh::Redis->new(password => 'secret-words');
my $t = Mesh::RedisRegistry->new(timeout => 300);
my $file = $t->dir . '/password';

$redis->provide(provider(20880));
$t->write_file('password', "wrong\n");
chmod 0644, $file;
$t->follow($redis->url . " password_file=$file ping=300ms");

ok($t->wait_log(qr/\[error\].*WRONGPASS/, 20), 'a wrong password');
unlike($t->log, qr/\bwrong\b|secret/, '... which no log has');
$t->write_file('password', "secret-words\r\nmore\n");
$t->sees($A, [20880], '... another one is read soon', 20);

unlink $file;
$redis->restart;
$redis->provide(provider(20880));
ok(wait_for(sub {
    $t->troubled(qr/"password_file=\S+" cannot be read \(2: No such file/);
}, 20), 'no file');
$t->keeps($A, [20880], '... nobody is gone');
$t->write_file('password', 'secret-words');
$redis->provide(provider(20881));
$t->sees($A, [20880, 20881], '... it is there again', 20);
$t->stop;

# no password given

$t = Mesh::RedisRegistry->new;
$t->follow($redis->url);
ok($t->wait_log(qr/\[error\].*NOAUTH Auth.*, it needs a "password_file="/, 20),
   'no password given');
$t->stop;

# a user with no more rights than needed

my $rights = '+subscribe +psubscribe +unsubscribe +publish +hgetall +scan '
             . '+ping +info +role +time +select';
my $users = Mesh::Redis->new(users => [
    "mesh on >one ~/dubbo/* &/dubbo/* -\@all $rights",
    'few on >one ~/dubbo/* resetchannels -@all +subscribe +hgetall +time',
    'none on >one resetkeys resetchannels -@all +hgetall +ping +subscribe',
]);

$users->provide(provider(20880));
$t = Mesh::RedisRegistry->new(timeout => 300);
$t->write_file('one', "one\n");
$t->follow('redis://mesh@127.0.0.1:' . $users->port . '/1 root=dubbo refresh=1h'
           . ' password_file=' . $t->dir . '/one ping=300ms');
$t->sees($A, [], 'a user with few rights, another database');
$users->command('SELECT', 1);
$users->provide(provider(20881));
$t->sees($A, [20881], '... and messages come');
unlike($t->log, qr/not allowed/, '... and all that is needed is allowed');

# the user is deleted, and comes again with another password

$users->done('ACL', 'DELUSER', 'mesh');
ok($t->wait_log(qr/\[error\].*(?:closed by the server|WRONGPASS)/, 20),
   'the user is deleted');
ok(wait_for(sub { $t->troubled(qr/WRONGPASS/) }, 20), '... and refused');
$t->keeps($A, [20881], '... nobody is gone');
$users->done('ACL', 'SETUSER', 'mesh', split ' ',
             "on >two ~/dubbo/* &/dubbo/* -\@all $rights");
$users->provide(provider(20882));
$t->write_file('one', "two\n");
$t->sees($A, [20881, 20882], '... another password', 20);
$t->stop;

# less than is needed

$t = Mesh::RedisRegistry->new;
$t->write_file('one', "one\n");
$users->command('SELECT', 0);
$t->follow('redis://127.0.0.1:' . $users->port . ' username=few password_file='
           . $t->dir . '/one ping=300ms');
ok($t->wait_log(qr/subscribing to channels is not allowed, all is read/, 20),
   'no channels');
$t->sees($A, [20880], '... it is read');
$users->provide(provider(20883), quiet => 1);
$t->sees($A, [20880, 20883], '... again and again');
$t->stop;

$t = Mesh::RedisRegistry->new;
$t->write_file('one', "one\n");
$t->follow('redis://none@127.0.0.1:' . $users->port . ' password_file='
           . $t->dir . '/one ping=300ms');
ok($t->wait_log(qr/\[error\].*NOPERM/, 20), 'no keys');

$t->done;
