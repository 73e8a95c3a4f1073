#!/usr/bin/perl

# A server from which messages do not come, although it answers; and one that
# is gone without a word.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultRESP;
use Mesh::Redis;
use Mesh::RedisRegistry;
use Mesh::Relay;

my $A = 'com.example.A:1.0.0';

my $f = Mesh::FaultRESP->new;
my $t = Mesh::RedisRegistry->new;

$f->provide(provider(20880));
$t->follow($f->url . ' refresh=1h ping=300ms timeout=1s session=1h');
$t->sees($A, [20880], 'a provider');

$f->set(deaf => 1);
$f->provide(provider(20881));
ok($t->wait_log(qr/it answers, but messages do not come/, 20), 'deaf');
$t->sees($A, [20880, 20881], '... all is read again');
$f->set(deaf => 0);
$f->provide(provider(20882));
$t->sees($A, [20880, 20881, 20882], '... and messages come again');

# publishing may be forbidden

for my $error ('NOPERM this user has no permissions to access one of the '
               . 'channels used as arguments',
               "READONLY You can't write against a read only replica.")
{
    my ($word) = $error =~ /(\w+)/;

    $f->fault(match => '^PUBLISH', error => $error, times => 0);
    ok($t->wait_log(qr/publishing to .* is not allowed/, 20),
       "$word of PUBLISH is told");
    $f->provide(provider(20883));
    $t->sees($A, [20880 .. 20883], '... and messages are used all the same');
    $f->clear;
}

my @told = $t->grep_log(qr/publishing to .* is not allowed/);
is(scalar @told, 1, '... once');
$t->stop;

# what is between goes

my $redis = Mesh::Redis->new;
my $relay = Mesh::Relay->new(to => $redis->port);
my $u = Mesh::RedisRegistry->new;

$redis->provide(provider(20880));
$u->follow("redis://127.0.0.1:@{[$relay->port]} refresh=1h ping=300ms "
           . 'timeout=1s');
$u->sees($A, [20880], 'a provider behind a relay');

$relay->hole('down');
$redis->provide(provider(20881));
ok($u->wait_log(qr/no reply in time/, 20), 'a black hole');
$u->keeps($A, [20880], '... nobody is gone');
$relay->open;
$u->sees($A, [20880, 20881], '... and what came meanwhile is there', 40);

$t->done;
