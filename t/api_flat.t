#!/usr/bin/perl

# One endpoint written over and over: neither the zone nor a worker grows.
# TEST_MESH_LONG says how often, by default 3000 times.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP;
use Test::More;

use Mesh::Api;
use Mesh::Test;

my $n = $ENV{TEST_MESH_LONG} || 0;
$n = 3000 if $n < 3000;

my $t = Mesh::Test->new(timeout => 120 + $n / 100);

$t->write_conf(api_conf(service => 'endpoint 127.0.0.1:1;',
                        main => 'worker_processes 2;',
                        location => 'keepalive_requests 1000000;'));
$t->run;

my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $t->port('http'))
    or die "connect: $!";
my $json = JSON::PP->new->canonical;

is(api($t, 'PUT', 'services/x', {})->{status}, 201, 'a service');


# write_one($i): an endpoint that is another one each time, of several
# lengths; in one piece, as the peer's stack may wait for the rest otherwise

sub write_one {
    my ($i) = @_;

    my $body = $json->encode({ address => '127.0.0.1', port => 1,
                               weight => $i % 1000 + 1,
                               labels => { x => 'y' x ($i % 700) } });

    syswrite $socket, "PUT /api/1/services/x/endpoints/e HTTP/1.1\r\n"
                      . "Host: localhost\r\n"
                      . "Content-Type: application/json\r\n"
                      . 'Content-Length: ' . length($body) . "\r\n\r\n$body";

    my $in = '';

    while ($in !~ /\r\n\r\n.*\}\s*\z/s) {
        sysread $socket, $in, 65536, length $in or return 1;
    }

    return $in =~ m{^HTTP/1\.1 20} ? 0 : 1;
}


# kB that all workers have in memory, and bytes of the zone in use

sub used {
    my $rss = 0;

    for my $pid ($t->workers) {
        open(my $f, '<', "/proc/$pid/statm") or die "statm: $!";
        $rss += (split ' ', <$f>)[1] * 4;
    }

    my %m = %{ $t->metrics };
    my ($name) = grep { /^mesh_table_bytes\{.*used/ } sort keys %m;

    return ($rss, defined $name ? $m{$name} : die 'no metric of the zone');
}


my $failed = 0;

$failed += write_one($_) for 1 .. $n / 3;
my ($rss, $zone) = used();

$failed += write_one($_) for 1 .. 2 * $n / 3;
my ($rss_then, $zone_then) = used();

is($failed, 0, 'all writes are done');
cmp_ok($zone_then, '<=', $zone + 65536, 'the zone does not grow');

# a sanitizer keeps freed memory to find uses of it
cmp_ok($rss_then, '<=', $rss + (Mesh::Test::sanitized() ? 262144 : 2048),
       'the workers do not grow');

$t->done;
