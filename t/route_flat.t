#!/usr/bin/perl

# Routes written and removed over and over, with calls that take them in
# between: neither the zone nor the worker grows.  TEST_MESH_LONG says how
# often, by default 3000 times.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP;
use Test::More;

use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $n = $ENV{TEST_MESH_LONG} || 0;
$n = 3000 if $n < 3000;

my $t = Mesh::Test->new(timeout => 120 + $n / 100);
my $peer = Mesh::Peer->new(value => 'a');

$t->write_conf(conf(
    service => "endpoint @{[$peer->address]} label=v=1;",
    mesh => join('', map { "route c$_ { match method=m$_* percent=50 by=app;"
                           . " to label=v=1; }\n" } 1 .. 50)
            . 'service demo.None { }',
    web => 'location /api/ { mesh_api write=on; }'
           . ' keepalive_requests 1000000;'));
$t->run;

my $client = $t->tcp('rpc');
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $t->port('http'))
    or die "connect: $!";
my $json = JSON::PP->new->canonical;


# request(method, path, body): the status

sub request {
    my ($method, $path, $body) = @_;

    $body = $body ? $json->encode($body) : '';

    syswrite $socket, "$method /api/1/$path HTTP/1.1\r\nHost: localhost\r\n"
                      . "Content-Type: application/json\r\n"
                      . 'Content-Length: ' . length($body) . "\r\n\r\n$body";

    my $in = '';

    while ($in !~ /\r\n\r\n/ || ($in =~ /content-length: (\d+)/i
                                 && length($in) < $1 + $+[0])
           || ($in =~ /chunked/ && $in !~ /\r\n0\r\n/))
    {
        sysread $socket, $in, 65536, length $in or return 0;
    }

    return $in =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}


# one($i): a route that is another one each time, of several kinds and lengths,
# and what a call sees of it

sub one {
    my ($i) = @_;

    my $kind = $i % 5;
    my $name = 'r' . $i % 7;
    my $method = 'k' . $i % 40;
    my %action = $kind == 0 ? (deny => 'x' x ($i % 300))
               : $kind == 1 ? (to => [{ service => 'demo.None',
                                        fallback => { labels => { v => '1' },
                                                      service => 'demo.Echo' }
                                      }])
               : $kind == 2 ? (set => { "a$i" => 'y' x ($i % 400) })
               : $kind == 3 ? (hash => 'attachment.user', timeout => "${i}ms")
               : ();

    if (!%action) {
        return request('DELETE', "routes/$name") == 200 ? 0 : 1;
    }

    my $match = { method => [$method, "*x$i", "~^$i\$"],
                  'attachment.user' => '~u[0-9]' };

    return 1 unless request('PUT', "routes/$name", { match => $match,
                                                     %action }) =~ /^20/;

    my $went = went($client->call(service => 'demo.Echo', method => $method,
                                  attachments => { user => 'u1' },
                                  timeout => 20));

    return $went eq ($kind ? 'a' : 'status 80') ? 0 : 1;
}


# kB that the worker has in memory, and bytes of the zone in use

sub used {
    my ($pid) = $t->workers;

    open(my $f, '<', "/proc/$pid/statm") or die "statm: $!";
    my $rss = (split ' ', <$f>)[1] * 4;

    my %m = %{ $t->metrics };
    my ($name) = grep { /^mesh_table_bytes\{.*used/ } sort keys %m;

    return ($rss, $m{$name} // die 'no metric of the zone');
}


my $failed = 0;

$failed += one($_) for 1 .. $n / 3;
my ($rss, $zone) = used();

$failed += one($_) for $n / 3 + 1 .. $n;
my ($rss_then, $zone_then) = used();

is($failed, 0, 'all routes are written and taken');
cmp_ok($zone_then, '<=', $zone + 65536, 'the zone does not grow');

# a sanitizer keeps freed memory to find uses of it
cmp_ok($rss_then, '<=', $rss + (Mesh::Test::sanitized() ? 262144 : 2048),
       'the worker does not grow');

$t->done;
