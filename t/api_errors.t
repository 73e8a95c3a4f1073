#!/usr/bin/perl

# What the API refuses, and how it says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_conf(api_conf(
    service => 'endpoint 127.0.0.1:1;', location => 'client_max_body_size 1m;',
    http => <<'END'));
        location /ro/   { mesh_api; }
        location /huge/ { mesh_api write=on; client_max_body_size 0; }
        location /some/ { mesh_api write=$http_may; }
        location /lim/  { mesh_api write=on; limit_except GET { deny all; } }
END
$t->run;

my %bad = (
    '{'                         => '400 BadJSON',
    '{} x'                      => '400 BadJSON',
    '{"a":1,"a":2}'             => '400 BadJSON',
    "{\"protocol\":\"\xff\"}"   => '400 BadJSON',
    "{\"protocol\":\"\n\"}"     => '400 BadJSON',
    '{"protocol":"\u0000"}'     => '400 BadJSON',
    '{"protocol":01}'           => '400 BadJSON',
    '[' x 40 . ']' x 40         => '400 BadJSON',
    ''                          => '400 NoBody',
    '[]'                        => '422 BadField',
    '{"a/b~c":1}'               => '422 BadField /a~1b~0c',
    '{"protocol":1}'            => '422 BadField /protocol',
    '{"protocol":"nope"}'       => '422 BadField /protocol',
    '{"balancer":"nope"}'       => '422 BadField /balancer',
    '{"balancer":"hash"}'       => '422 BadField /balancer',
    '{"hash":"method"}'         => '422 BadField /hash',
    '{"balancer":"hash","hash":"x"}' => '422 BadField /hash',
    '{"name":"other"}'          => '422 BadField /name',
);

for my $body (sort keys %bad) {
    my $r = api($t, 'PUT', 'services/x', $body);
    is(error($r), $bad{$body}, substr $body, 0, 40);
    ok($r->{json}{error}{text} && $r->{json}{request_id}, '... says why');
}

my $huge = $t->tcp('http')->socket;
syswrite $huge, "PUT /huge/1/snapshot HTTP/1.0\r\nContent-Length: 268435457\r\n"
                . "Content-Type: application/json\r\n\r\n{";
my $got = '';
while (sysread $huge, $got, 4096, length $got) {
    last if $got =~ /\}\n\z/;
}
like($got, qr/^HTTP\S+ 413 .*"BodyTooLarge"/s, 'a body larger than any');
close $huge;

is(error(api($t, 'GET', 'nothing')), '404 NotFound', 'no such path');
is(error(api($t, 'GET', 'services/')), '404 NotFound', 'no name');
is(api($t, 'GET', 'services/a%00b')->{status}, 400, 'a NUL');
is(error(api($t, 'GET', 'services/x%0a')), '400 BadPath', 'a line');
is(error(api($t, 'PUT', 'services/a*', {})), '422 BadName', 'any');
is(error(api($t, 'PUT', 'services/a%20b', {})), '422 BadName', 'a space');
is(error($t->http('GET', '/api/2/', undef)), '404 NotFound', 'a version');

my $r = api($t, 'POST', 'services/x', {});
is(error($r), '405 MethodNotAllowed', 'a method');
is($r->{headers}{allow}, 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS',
   '... which there are');
$r = api($t, 'OPTIONS', 'services');
is($r->{status}, 204, 'OPTIONS');
is($r->{headers}{allow}, 'GET, HEAD, POST, OPTIONS', '... says the same');
$r = api($t, 'HEAD', 'services');
is("$r->{status} " . ($r->{content} // ''), '200 ', 'HEAD has no body');

is(error(api($t, 'PUT', 'services/x', '{}', 'content-type' => 'text/plain')),
   '415 UnsupportedMediaType', 'a form');
is(api($t, 'PUT', 'services/x', '{}', 'content-type' =>
       'application/json; charset=utf-8')->{status}, 201, 'JSON');
is(error(api($t, 'PUT', 'services/x', '{}', 'content-type' =>
             'application/merge-patch+json')), '415 UnsupportedMediaType',
   'a patch is for PATCH');
is(api($t, 'PATCH', 'services/x', '{}', 'content-type' =>
       'application/merge-patch+json')->{status}, 200, '... and there is one');

my $host = '127.0.0.1:' . $t->port('http');
is(error(api($t, 'PUT', 'services/x', {}, origin => 'http://evil')),
   '403 CrossOrigin', 'a page of another site');
is(error(api($t, 'PUT', 'services/x', {}, origin => "http://$_")),
   '403 CrossOrigin', "... of $_")
    for "$host.evil", "evil.$host", substr($host, 0, -1), "evil/$host",
        "$host/", '';
is(error(api($t, 'GET', 'services', undef, origin => 'null')),
   '403 CrossOrigin', 'a page of no site');
is(error(api($t, 'PUT', 'services/x', {}, 'sec-fetch-site' => 'cross-site')),
   '403 CrossOrigin', 'what the browser says of it');
is(api($t, 'PUT', 'services/x', {}, origin => "http://$host")->{status}, 200,
   'a page of this site');

is(error(api($t, 'PUT', 'services/x', '"' . 'x' x 1_100_000 . '"')),
   '413 BodyTooLarge', 'a body that is too large');

$r = $t->http('PUT', '/ro/1/services/x', {});
is(error($r), '405 ReadOnly', 'read-only');
is($r->{headers}{allow}, 'GET, HEAD, OPTIONS', '... which there are');
is($t->http('GET', '/ro/1/services/x', undef)->{status}, 200, '... to read');
is(error($t->http('PUT', '/some/1/services/x', {})), '403 Forbidden',
   'a variable');
is(error($t->http('PUT', '/some/1/services/x', {}, headers => { may => 0 })),
   '403 Forbidden', '... that says no');
is($t->http('PUT', '/some/1/services/x', {}, headers => { may => 1 })->{status},
   200, '... or yes');
is($t->http('PUT', '/lim/1/services/x', {})->{status}, 403, 'limit_except');
is($t->http('GET', '/lim/1/services/x', undef)->{status}, 200, '... GET');

is(error(api($t, 'PUT', 'services/x', {}, 'x-mesh-revision' => 'a')),
   '400 BadHeader', 'a revision');
is(error(api($t, 'PUT', "services/$_", {})), '400 BadPath', "name $_")
    for qw(%ff%fe x%c3 %ed%a0%80);
is(error(api($t, 'GET', 'services?limit=x')), '400 BadArgument', 'a limit');

for ('GET services/demo.Echo?limit=1', 'GET services?force=1',
     'DELETE services/x/endpoints/y?force=1', 'POST batch?prune=1',
     'GET routes/x?since=1', 'PUT services/x?deadline=1m')
{
    my ($method, $path) = split / /;
    is(error(api($t, $method, $path, $method eq 'GET' ? undef : {})),
       '400 BadArgument', "no argument of $_");
}

is(error(api($t, 'GET', 'services/x/endpoints?after=zzzz')),
   '400 BadArgument', 'a cursor');

$t->done;
