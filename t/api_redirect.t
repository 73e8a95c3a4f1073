#!/usr/bin/perl

# The API behind "rewrite", "error_page" and subrequests.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_conf(api_conf(
    service => 'endpoint 127.0.0.1:1;',
    http => 'location /mesh/ { rewrite ^/mesh/(.*)$ /api/1/$1 last; }
        location = /asked { rewrite ^ /api/1/services?limit=1 last; }
        location = /gone { error_page 404 /api/1/services; return 404; }
        location = /none { try_files /none /api/1/services/demo.Echo; }'));
$t->run;

sub http {
    my ($method, $path, $body) = @_;

    return $t->http($method, $path, $body, port => 'http',
                    $body ? (headers => { 'content-type'
                                          => 'application/json' }) : ());
}

sub name { $_[0]{json}{metadata}{name} }

is(name(http('GET', '/mesh/services/demo.Echo')), 'demo.Echo', 'a rewrite');
is(http('PUT', '/mesh/services/a.B%3A1.0', '{}')->{status}, 201, '... writes');
is(name(api($t, 'GET', 'services/a.B:1.0')), 'a.B:1.0', '... what it says');
is(http('PUT', '/mesh/routes/a%25b%3F', '{"deny":"x"}')->{status}, 201,
   '... names that need to be encoded');
is(name(api($t, 'GET', 'routes/a%25b%3F')), 'a%b?', '... as they are');

my $r = http('GET', '/asked');
is(scalar @{ $r->{json}{items} }, 1, 'arguments of a rewrite');
like($r->{json}{next}, qr{^/api/1/services\?limit=1&after=},
     '... what follows');

$r = http('GET', '/gone');
is($r->{status}, 404, 'an error page');
is(scalar @{ $r->{json}{items} }, 2, '... has the answer');

is(name(http('GET', '/none')), 'demo.Echo', 'try_files');
is(error(http('GET', '/mesh/nothing')), '404 NotFound', 'nothing of that path');

$t->done;
