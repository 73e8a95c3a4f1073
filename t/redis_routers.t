#!/usr/bin/perl

# Routers in Redis are not followed, which the API says; no more once they have
# gone or expired.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';
my %o = (category => 'routers');

my $redis = Mesh::Redis->new;
my $t = Mesh::RedisRegistry->new;

sub told {
    my $r = $t->registry // {};
    return join ', ', map { $_->{unsupported} // () }
                      @{ $r->{status}{services} // [] };
}

sub tells {
    my ($expected, $name) = @_;

    my $told;
    wait_for { ($told = told()) =~ $expected } 10;
    like($told, $expected, $name);
}

my $router = 'condition://0.0.0.0/com.example.A?category=routers&rule=x%3D1';

$redis->provide(provider(20880));
$redis->provide("$router&enabled=false", %o);
$t->follow($redis->url . ' refresh=500ms');
$t->sees($A, [20880], 'a provider');
tells(qr/^$/, 'a router that is switched off');

$redis->provide("$router&dynamic=false", %o, ttl => -60);
tells(qr/condition routers/, 'one that is not');
$redis->withdraw("$router&dynamic=false", %o);
tells(qr/^$/, 'it is gone');

$redis->provide($router =~ s/condition/tag/r, %o);
tells(qr/tag routers/, 'one of another kind');
$redis->provide($router =~ s/condition/tag/r, %o, ttl => -60);
tells(qr/^$/, 'it has expired');
$t->sees($A, [20880], 'the provider is there');

$t->done;
