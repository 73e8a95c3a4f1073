#!/usr/bin/perl

# Consul answers wrongly, each way once: what was known goes on serving, and
# the next change is seen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Zlib ();
use JSON::PP;
use Test::More;

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';
my $HEALTH = "/v1/health/service/$NAME";

my $t = Mesh::Test->new(timeout => 300);
my $f = Mesh::FaultHTTP->new;
my $json = JSON::PP->new->utf8;


sub instances { [ map { dubbo($f, $NAME, $_) } @_ ] }

$f->service($NAME, instances(20880 .. 20883));

$t->write_conf(learn_conf('consul ' . $f->url, service => $NAME));
$t->run;

my $all = join ' ', map { "127.0.0.1:$_=100" } 20880 .. 20883;

is(until_learned($t, $NAME, 4), $all, 'what Consul knows is learned');
wait_for { $f->waiting == 1 } 5, 'a long poll';


my $port = 20890;

# fault(name, what is logged, fault's options): the long poll meets it

sub fault {
    my ($name, $logged, %o) = @_;

    my $n = $o{times} // 1;

    errors_of($t);
    $f->requests(1);

    # faults of one kind after the other, on blocking or on all reads
    $f->fault(match => $HEALTH, %o);
    $f->close_all;

    my ($what) = wait_for { grep { ($_->{fault} // 0) } $f->requests } 10;
    ok($what, "$name: it happens");

    wait_for { $f->waiting == 1 } 15, "$name: a long poll";
    is(learned($t, $NAME), $all, "$name: nothing changes");

    my @errors = errors_of($t);
    my ($error) = grep { /\[error\]/ } @errors;

    like($error // '', $logged, "$name: it is logged") if $logged;

    # then all is well
    my $more = $port++;

    $f->service($NAME, instances(20880 .. 20883, $more));
    is(until_learned($t, $NAME, 5), "$all 127.0.0.1:$more=100",
       "$name: the next change is seen");

    $f->service($NAME, instances(20880 .. 20883));
    until_learned($t, $NAME, 4);
    wait_for { $f->waiting == 1 } 10, "$name: a long poll again";
}


fault('429', qr/429: slow down/, status => 429, body => 'slow down');
fault('429 before a request', qr/429: Your IP/, times => 1,
      raw => "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 81\r\n"
             . "Connection: close\r\n\r\nYour IP is issuing too many "
             . "concurrent connections, please rate limit your calls\n");
fault('500', qr/500: No cluster leader/, status => 500,
      body => 'No cluster leader', index => 1);
fault('503', qr/503: it answers with an error/, status => 503);
fault('three in a row', qr/502/, status => 502, times => 3);
fault('a redirect', qr/301/, status => 301,
      headers => { Location => 'http://127.0.0.1:1/' });

fault('no answer', undef, close => 1);
fault('no answers at all', qr/closed without an answer/, close => 1,
      times => 3);
fault('a reset', qr/reset by peer|closed/, rst => 1, times => 2);
fault('half a header', qr/middle of the answer's header/,
      raw => "HTTP/1.1 200 OK\r\nContent-Le", last => 1);
fault('half a body', qr/middle of the answer's body/, truncate => 100);
fault('half a body in chunks', qr/middle of the answer's body/,
      chunked => 100, truncate => 350);
fault('no last chunk', qr/middle of the answer's body/, chunked => 100,
      nolast => 1, last => 1, truncate => 1_000_000);
fault('an answer without a length', qr/no length/, nolength => 1, last => 1);
fault('a length that is too small', qr/not Consul's/, length => 100);
fault('nothing of HTTP', qr/not HTTP/, raw => "-ERR unknown command\r\n");

fault('no JSON', qr/not Consul's/, body => '<html>ok</html>');
fault('nothing at all', qr/not Consul's/, body => '');
fault('half of JSON', qr/not Consul's/, body => '[{"Node":{}');
fault('more than JSON', qr/not Consul's/, body => '[] []');
fault('another document', qr/not Consul's/, json => { a => 1 });
fault('no instance', qr/about com.example.A/, json => [1, 2, 3, 4]);
fault('a tower of brackets', qr/not Consul's/, body => '[' x 100_000);
fault('more than 32 MiB', qr/too large/,
      raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             . "2000001\r\n");

my $bomb = Compress::Zlib::memGzip(' ' x (40 * 1024 * 1024));

fault('a bomb', qr/too large/, body => $bomb,
      headers => { 'Content-Encoding' => 'gzip' });
fault('gzip that is none', qr/gzip data is damaged/, body => '[]',
      headers => { 'Content-Encoding' => 'gzip' });

# answers that look good, and are not true: a second read tells

my @empty = (json => [], match => "$HEALTH\\?index");

fault('empty', undef, @empty);
fault('empty, with index 1', undef, @empty, index => 1);
fault('empty, with a higher index', undef, @empty, index => 1_000_000);
fault('a single one', undef, json => instances(20880),
      match => "$HEALTH\\?index");
fault('index 0', undef, index => 0);
fault('no index', undef, headers => { 'X-Consul-Index' => undef });
fault('a lower index', undef, index => 3);
fault('a huge index', undef, index => '99999999999999999999');
fault('no number', undef, index => 'abc');

# true ones in unusual dress

my $body = $json->encode(instances(20880 .. 20883));

fault('gzip', undef, body => Compress::Zlib::memGzip($body),
      headers => { 'Content-Encoding' => 'gzip' });
fault('chunks of two bytes', undef, chunked => 2);
fault('one chunk', undef, chunked => 1);
fault('a close that is announced', undef, last => 1);
fault('9 MiB', undef, headers => { 'Content-Encoding' => 'gzip' },
      body => Compress::Zlib::memGzip($body . ' ' x (9 * 1024 * 1024)));
fault('HTTP/1.0', undef, raw => "HTTP/1.0 200 OK\r\nX-Consul-Index: 12\r\n"
      . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
fault('bytes in drops', undef, drip => [200, 0.01]);

is($f->stats->{most} <= 4 ? 'few' : $f->stats->{most}, 'few',
   'connections at once');

$t->done;
