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

my $t = Mesh::Test->new(timeout => 300);
my $f = Mesh::FaultHTTP->new;
my $json = JSON::PP->new->utf8;

# each fault has a service of its own
my @names = map { "com.example.F$_" } 1 .. 60;
my $all = join ' ', map { "127.0.0.1:$_=100" } 20880 .. 20883;

sub instances { my $name = shift; [ map { dubbo($f, $name, $_) } @_ ] }

$f->service($_, instances($_, 20880 .. 20883)) for @names;

$t->write_conf(learn_conf('consul ' . $f->url, service => \@names));
$t->run;

for (@names) {
    until_learned($t, $_, 4) eq $all or fail("$_ is not learned");
}

wait_for { $f->waiting == @names } 5, 'long polls';


# fault(name, what is logged, fault's options): the long poll meets it

sub fault {
    my ($name, $logged, %o) = @_;

    my $service = shift @names or die "too many faults\n";
    my $health = "/v1/health/service/$service\\b";

    if ($o{on}) {
        $health .= delete $o{on};
    }

    $_ = $_->($service) for grep { ref eq 'CODE' } values %o;

    errors_of($t);
    $f->fault(match => $health, %o);

    # what wakes nobody else, and brings nothing
    $f->service($service, instances($service, 20880 .. 20883));

    my $polls = sub {
        my @all = grep { $_->{target} =~ /$health/ } $f->requests;
        return @all && !$all[-1]{fault} && $all[-1]{target} =~ /index=/
               && (grep { $_->{fault} } @all) >= ($o{times} // 1);
    };

    ok(wait_for(\&$polls, 15), "$name: it happens, then a long poll");
    is(learned($t, $service), $all, "$name: nothing changes");

    my ($error) = grep { /\[error\]/ } errors_of($t);
    like($error // '', $logged, "$name: it is logged") if $logged;

    # then all is well
    $f->service($service, instances($service, 20880 .. 20884));
    is(until_learned($t, $service, 5), "$all 127.0.0.1:20884=100",
       "$name: the next change is seen");
}


fault('429', qr/429: slow down/, status => 429, body => 'slow down');
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
fault('no instance', qr/about com.example.F/, json => [1, 2, 3, 4]);
fault('a tower of brackets', qr/not Consul's/, body => '[' x 100_000);
fault('more than 32 MiB', qr/too large/,
      raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             . "2000001\r\n");

my $bomb = Compress::Zlib::memGzip(' ' x (40 * 1024 * 1024));

fault('a bomb', qr/too large/, body => $bomb,
      headers => { 'Content-Encoding' => 'gzip' });
fault('millions of values', qr/not Consul's/,
      body => Compress::Zlib::memGzip('[' . '0,' x 15_000_000 . '0]'),
      headers => { 'Content-Encoding' => 'gzip' });
fault('gzip that is none', qr/gzip data is damaged/, body => '[]',
      headers => { 'Content-Encoding' => 'gzip' });

# answers that look good, and are not true: a second read tells

my @empty = (json => [], on => '\?index');

fault('empty', undef, @empty);
fault('empty, with index 1', undef, @empty, index => 1);
fault('empty, with a higher index', undef, @empty, index => 1_000_000);
fault('a single one', undef, on => '\?index',
      json => sub { instances($_[0], 20880) });
fault('index 0', undef, index => 0);
fault('no index', undef, headers => { 'X-Consul-Index' => undef });
fault('a lower index', undef, index => 3);
fault('a huge index', undef, index => '99999999999999999999');
fault('no number', undef, index => 'abc');

# true ones in unusual dress

sub body { $json->encode(instances($_[0], 20880 .. 20883)) }
sub packed { Compress::Zlib::memGzip(body($_[0]) . ' ' x ($_[1] // 0)) }

fault('gzip', undef, body => sub { packed($_[0]) },
      headers => { 'Content-Encoding' => 'gzip' });
fault('chunks of two bytes', undef, chunked => 2);
fault('one chunk', undef, chunked => 1);
fault('a close that is announced', undef, last => 1);
fault('9 MiB', undef, headers => { 'Content-Encoding' => 'gzip' },
      body => sub { packed($_[0], 9 * 1024 * 1024) });
fault('HTTP/1.0', undef, raw => sub {
    my $body = body($_[0]);
    return "HTTP/1.0 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: "
           . length($body) . "\r\n\r\n$body";
});
fault('bytes in drops', undef, drip => [200, 0.01]);

# the last, as it is content with fewer connections from then on
fault('429 before a request', qr/429: Your IP/, times => 1,
      raw => "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 81\r\n"
             . "Connection: close\r\n\r\nYour IP is issuing too many "
             . "concurrent connections, please rate limit your calls\n");

cmp_ok($f->stats->{most}, '<=', 64, 'no more connections than max_watches');

$t->done;
