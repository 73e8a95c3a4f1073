#!/usr/bin/perl

# What the guard holds is believed at once when another address of the registry
# says so, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Redis;
use Mesh::RedisRegistry;
use Mesh::Test;

my $GUARD = '50% hold=1h';


# Consul: another one is asked

my $NAME = 'com.example.A';
my @f = map { Mesh::FaultHTTP->new } 1 .. 2;
my $t = Mesh::Test->new(timeout => 100);

sub all { join ' ', map { "127.0.0.1:$_=100" } @_ }

sub at {
    my ($f, @ports) = @_;
    $f->service($NAME, [ map { dubbo($f, $NAME, $_) } @ports ]);
}

at($_, 20880 .. 20883) for @f;
$t->write_conf(learn_conf(join(' ', 'consul', map { $_->url } @f),
                          service => $NAME, mesh => "guard $GUARD;"));
$t->run;

is(until_learned($t, $NAME, 4), all(20880 .. 20883), 'Consul');
is(scalar $f[1]->requests, 0, '... one address is asked');

at($f[0], 20880);
ok((wait_for { $f[1]->requests } 10), 'it says less: the other is asked');
is(learned($t, $NAME), all(20880 .. 20883), '... and says that it is not so');

at($f[1], 20880);
is(until_learned($t, $NAME, all(20880)), all(20880),
   'both say so: it is believed');

$_->requests(1) for @f;
at($_) for @f;
ok((wait_for { learned($t, $NAME, all => 1) eq '?' . all(20880) } 10),
   'nothing is no witness for nothing');
ok((wait_for { 2 == grep { $_->requests } @f } 10), '... both were asked');
ok((wait_for { grep { $_->waiting } @f } 10), '... and have answered');
is(learned($t, $NAME, all => 1), '?' . all(20880), '... it is held');
$t->stop;


# Redis: another one takes over

my $A = 'com.example.A:1.0.0';
my $KEY = '/dubbo/com.example.A/providers';
my ($one, $two) = map { Mesh::Redis->new } 1 .. 2;

$one->provide(provider($_)) for 20880 .. 20883;
$two->provide(provider(20880));

my $r = Mesh::RedisRegistry->new(timeout => 100);
$r->follow($one->url . ' ' . $two->url . ' refresh=500ms ping=300ms',
           guard => $GUARD);
$r->sees($A, [20880 .. 20883], 'Redis');

# in one moment
$one->done('MULTI');
$one->command('HDEL', $KEY, map { provider($_) } 20881 .. 20883);
$one->command('PUBLISH', $KEY, 'unregister') for 1 .. 3;
$one->done('EXEC');

$r->sees($A, [20880, map { "$_?" } 20881 .. 20883], 'less: held');
$r->keeps($A, [20880, map { "$_?" } 20881 .. 20883], '... whoever repeats it');
$one->kill9;
$r->sees($A, [20880], 'another one says so, too: it is believed', 20);

$r->done;
