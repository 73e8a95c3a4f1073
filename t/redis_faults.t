#!/usr/bin/perl

# Errors of a Redis, each as it is named: nobody is taken away, the log says it
# once, and when it is over what changed meanwhile is there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::FaultRESP;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';

my $f = Mesh::FaultRESP->new;
my $t = Mesh::RedisRegistry->new(timeout => 300);

my %there = map { $_ => 1 } 20880, 20881;
$f->provide(provider($_), ttl => 3600) for keys %there;

$t->follow($f->url . ' refresh=200ms ping=200ms timeout=500ms');
$t->sees($A, [20880, 20881], 'two providers');

my $next = 20900;


# while a fault lasts nothing is lost; after it a new provider is seen

sub trouble {
    my ($name, $log, %fault) = @_;

    my $port = $next++;
    my ($lines, $errors) = (scalar $t->grep_log($log), $t->errors);

    exists $fault{match} ? $f->fault(times => 0, %fault) : $f->set(%fault);
    $f->fault(match => '^PING', close => 1) if $fault{early};

    ok(wait_for(sub {
        $t->grep_log($log) > $lines || $t->troubled($log, $errors);
    }, 20), "$name: told");
    $f->provide(provider($port), ttl => 3600);
    keeps('... nobody is gone', 0.7);

    $f->clear;
    $f->set(early => undef, mute => 0);
    $there{$port} = 1;

    my $seen = wait_for {
        $t->resync;
        join(' ', $t->ports($A)) eq join ' ', sort keys %there;
    } 30;

    ok($seen, '... it is over') or diag join ' ', $t->ports($A);
}


# whoever is there, if only as a suspect

sub keeps {
    my ($name, $seconds) = @_;

    my $until = time + $seconds;
    my ($found, $expected) = ('', join ' ', sort keys %there);

    while (time < $until) {
        $found = join ' ', map { s/\?//r } $t->ports($A);
        last if $found ne $expected;
        sleep 0.02;
    }

    is($found, $expected, $name);
}


trouble('LOADING', qr/LOADING Redis is loading/, match => '^(HGETALL|PING)',
        error => 'LOADING Redis is loading the dataset in memory');
trouble('MASTERDOWN', qr/MASTERDOWN Link/, match => '^(HGETALL|PING)',
        error => 'MASTERDOWN Link with MASTER is down and '
                 . "replica-serve-stale-data is set to 'no'.");
trouble('BUSY', qr/BUSY Redis is busy/, match => '.',
        error => 'BUSY Redis is busy running a script. You can only call '
                 . 'SCRIPT KILL or SHUTDOWN NOSAVE.');
trouble('READONLY', qr/READONLY You can't write/, match => '^HGETALL',
        error => "READONLY You can't write against a read only replica.");
trouble('CLUSTERDOWN', qr/CLUSTERDOWN/, match => '^HGETALL',
        error => 'CLUSTERDOWN Hash slot not served');
trouble('MOVED', qr/a node of Redis Cluster, which is not supported.*MOVED/,
        match => '^HGETALL', error => 'MOVED 16037 127.0.0.1:26493');
trouble('NOAUTH', qr/NOAUTH Authentication required/,
        match => '^(?!AUTH)', error => 'NOAUTH Authentication required.');
trouble('NOPERM of the key', qr/NOPERM this user has no permissions to access/,
        match => '^HGETALL',
        error => 'NOPERM this user has no permissions to access one of the '
                 . 'keys used as arguments');
trouble('WRONGTYPE', qr/WRONGTYPE Operation/, match => '^HGETALL',
        error => 'WRONGTYPE Operation against a key holding the wrong kind of '
                 . 'value');
trouble('an unknown error', qr/ERR something else/, match => '^HGETALL',
        error => 'ERR something else');

trouble('too many clients', qr/max number of clients reached/,
        early => "-ERR max number of clients reached\r\n");

trouble('an array that is none', qr/a hash was expected/, match => '^HGETALL',
        raw => "*3\r\n\$1\r\na\r\n\$1\r\n1\r\n\$1\r\nb\r\n");
trouble('a number', qr/a hash was expected/, match => '^HGETALL',
        raw => ":0\r\n");
trouble('nil', qr/a hash was expected/, match => '^HGETALL', raw => "*-1\r\n");
trouble('no Redis', qr/Protocol error/, match => '^HGETALL',
        raw => "HTTP/1.1 400 Bad Request\r\n\r\n");
trouble('half a reply', qr/closed by the server/, match => '^HGETALL.*prov',
        truncate => 20);
trouble('a reply that never ends', qr/no reply in time/,
        match => '^HGETALL.*prov', drip => [1, 0.1]);
trouble('a reset', qr/mesh registry "redis": "redis/, match => '^HGETALL',
        rst => 1);
trouble('two replies for one', qr/nothing was asked for|a hash was expected/,
        match => '^HGETALL.*prov', raw => "*0\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
trouble('all of it is silent', qr/no reply in time|timed out/, mute => 1);

$t->done;
