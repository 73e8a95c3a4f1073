#!/usr/bin/perl

# A Consul that answers wrongly for as long as it likes is not asked more often
# for that, and is followed again soon after.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 400);
my $f = Mesh::FaultHTTP->new;
my $json = JSON::PP->new->utf8;

my @names = map { "com.example.S$_" } 1 .. 20;
my $all = join ' ', map { "127.0.0.1:$_=100" } 20880 .. 20883;

sub instances { my $name = shift; [ map { dubbo($f, $name, $_) } @_ ] }

$f->service($_, instances($_, 20880 .. 20883)) for @names;

$t->write_conf(learn_conf('consul ' . $f->url, service => \@names,
                          mesh => 'guard 50% min=3 hold=2s;'));
$t->run;

for (@names) {
    until_learned($t, $_, $all) eq $all or fail("$_ is not learned");
}

my $seconds = $ENV{TEST_MESH_LONG} ? 30 : 2;
my $body = $json->encode(instances($names[0], 20880 .. 20883));

sub good {
    my (@headers) = @_;
    return join "\r\n", 'HTTP/1.1 200 OK', @headers,
           'X-Consul-Index: 99', 'Content-Length: ' . length $body, '', $body;
}


# fault(name, requests a second at most, fault's options): of all requests

sub fault {
    my ($name, $most, %o) = @_;

    wait_for { $f->waiting >= @names } 40;

    $f->fault(match => $o{match} // '/health/service/', times => 0, %o);
    $f->requests(1);
    $f->release;

    # first failures are tried again soon
    sleep 1;

    my $from = time;
    my $first = $f->requests(1);
    sleep $seconds;

    my $n = $f->requests(1);
    my $rate = $n / (time - $from);

    cmp_ok($rate, '<=', $most, sprintf '%s: %d requests, then %.1f a second',
                                       $name, $first, $rate);
    cmp_ok($first, '<=', 30 * @names, '... not many at first');

    $f->clear;
    my $service = $names[rand @names];
    $f->service($_, instances($_, 20880 .. 20884)) for @names;
    api($t, 'POST', 'registries/consul/resync');
    is(until_learned($t, $service, 5, 20), "$all 127.0.0.1:20884=100",
       '... when it is over a change is seen');
    $f->service($_, instances($_, 20880 .. 20883)) for @names;
    is(until_learned($t, $service, $all, 20), $all, '... and the next one');
}


fault('500', 20, status => 500);
fault('403', 20, status => 403);
fault('404', 20, status => 404);
fault('301', 20, status => 301, headers => { Location => '/' });
fault('429', 20, status => 429);
fault('closes', 40, close => 1);
fault('resets', 40, rst => 1);
fault('cut', 40, truncate => 100);
fault('damage', 40, body => '[{"Service"');
fault('no instances', 40, json => [1, 2]);
fault('empty at once', 40, json => []);
fault('no index', 60, headers => { 'X-Consul-Index' => undef });
fault('an index that goes back', 60, index => 1);
fault('index 0', 60, index => 0);
fault('no leader', 40, headers => { 'X-Consul-Knownleader' => 'false' });
fault('answers that come at once', 60, raw => good());
fault('garbage behind answers', 60, raw => good() . "HTTP/1.1 200 OK\r\n\r\n");
fault('another answer behind', 60, raw => good() . good());
fault('1xx for ever', 20, drip => [1000, 0.005],
      raw => "HTTP/1.1 100 Continue\r\n\r\n" x 10_000);
fault('headers for ever', 20, drip => [10_000, 0.005],
      raw => "HTTP/1.1 200 OK\r\n" . "X-A: b\r\n" x 100_000);
fault('a line for ever', 20, raw => "HTTP/1.1 200 OK\r\nX: " . 'x' x 100_000);
fault('a last chunk with trailers', 60,
      raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             . "2;a=b;c=\"d\"\r\n[]\r\n0;x\r\nX-Consul-Index: 1\r\n\r\n");

cmp_ok($f->stats->{most}, '<=', 64, 'no more connections than max_watches');

$t->done;
