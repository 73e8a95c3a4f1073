#!/usr/bin/perl

# Large bodies, and lists of 100 000 endpoints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use Test::More;

use Mesh::Api;
use Mesh::Test;

my $N = 100_000;

my $t = Mesh::Test->new;

$t->write_conf(api_conf(
    service => 'endpoint 127.0.0.1:1;', zone => '64m',
    location => 'client_max_body_size 100m; client_body_buffer_size 8k;'));
$t->run;

# a long text is not worth decoding

sub get {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 60)->get(
        'http://127.0.0.1:' . $t->port('http') . "/api/1/$path");
}

my $list = 'services/many/endpoints';
my $body = '[' . join(',', map {
    sprintf '{"address":"10.%d.%d.%d","port":20880,"labels":{"n":"%d"}}',
            $_ >> 16, ($_ >> 8) & 255, $_ & 255, $_
} 1 .. $N) . ']';

my $r = api($t, 'PUT', $list, $body);
is($r->{status}, 200, "$N endpoints in a body of " . length $body)
    or diag(substr $r->{content}, 0, 200);

$r = api($t, 'GET', 'services/many');
is($r->{json}{status}{endpoints}, $N, '... are there');

$r = get($list);
is($r->{status}, 200, 'all of them');
my %seen;
$seen{$_}++ for $r->{content} =~ /"name":"([^"]+)"/g;
is(scalar keys %seen, $N, '... each');
is((grep { $_ > 1 } values %seen), 0, '... once');
like($r->{content}, qr/\],"revision":\d+,"next":null\}\n\z/, '... to the end');

my $etag = $r->{headers}{etag};
is(api($t, 'GET', $list, undef, 'if-none-match' => $etag)->{status}, 304,
   '... or nothing when nothing changed');

my ($path, $n, $pages) = ("$list?limit=30000", 0, 0);

while ($path) {
    $r = get($path);
    $n += () = $r->{content} =~ /"metadata":/g;
    $pages++;
    ($path) = $r->{content} =~ m{"next":"/api/1/([^"]+)"};
}

is("$n in $pages", "$N in 4", 'pages');

$r = api($t, 'PUT', "$list?dry_run=1", $body);
is($r->{json}{changed} ? 1 : 0, 0, 'the same again changes nothing');
is(api($t, 'DELETE', 'services/many')->{status}, 200, 'all go');
is(api($t, 'GET', 'status')->{json}{items}{endpoints}, 1, '... but one');

$t->done;
