#!/usr/bin/perl

# What a Sentinel says is believed as far as the server it names agrees: one
# that is no master is left alone, and one that is no more is given up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultRESP;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

my ($sentinel, $one, $two) = map { Mesh::FaultRESP->new } 1 .. 3;
my $t = Mesh::RedisRegistry->new(timeout => 200);

my @master = ('master', 0, []);
my @replica = ('slave', '127.0.0.1', 1, 'connected', 10);


sub names {
    my ($server) = @_;

    my $port = $server->{port};

    $sentinel->clear;
    $sentinel->fault(match => '^SENTINEL', times => 0,
        raw => "*2\r\n\$9\r\n127.0.0.1\r\n\$" . length($port)
               . "\r\n$port\r\n");
}

sub asked { scalar grep { $_->{words}[0] eq 'SENTINEL' } $sentinel->commands }


# a replica of which it says that it is the master

$one->provide(provider(20880), ttl => 3600);
$one->set(role => \@replica);
names($one);

$t->follow($sentinel->url . ' sentinel=m refresh=1h ping=300ms timeout=1s '
           . 'session=1h');
ok($t->wait_log(qr/\[error\].*it is a replica, not the master/, 20),
   'a replica instead of the master');
is(scalar(grep { $_->{words}[0] eq 'HGETALL' } $one->commands), 0,
   '... is not read');
ok(wait_for(sub { asked() > 2 }, 20), '... Sentinel is asked each time');

$one->set(role => \@master);
$t->sees($A, [20880], 'it is the master now', 40);


# the master becomes a replica, and nobody says so

$two->provide(provider($_), ttl => 3600) for 20880, 20881;
names($two);
my $before = asked();

$one->set(role => \@replica);
$t->sees($A, [20880, 20881], 'it is no more: the other one is read', 40);
cmp_ok(asked(), '>', $before, '... as Sentinel said');


# two masters at a time: the one that Sentinel names is

$one->set(role => \@master);
$one->provide(provider(20889), ttl => 3600);
names($one);
$sentinel->fault(match => '^PING', close => 1);
$t->sees($A, [20880, '20881?', 20889], 'Sentinel has another master', 40);
$two->provide(provider(20888), ttl => 3600);
$t->keeps($A, [20880, '20881?', 20889], '... the other is not heard any more');

$t->done;
