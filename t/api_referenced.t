#!/usr/bin/perl

# A service that a route leads to is not removed by mistake.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_conf(conf(service => 'endpoint 127.0.0.1:1;',
                    web => 'location /api/ { mesh_api write=on; }'));
$t->run;

sub api { return $t->http($_[0], "/api/1/$_[1]", $_[2]) }

sub refused {
    my ($r, $route) = @_;

    is($r->{status}, 409, 'it is not removed');
    is($r->{json}{error}{code}, 'Referenced', '... as it is referred to');
    like($r->{json}{error}{text}, qr/"$route"/, '... which the answer says');
}

api('PUT', "services/$_", {}) for qw(g%2Fdemo.A:1 demo.B demo.C);
api('PUT', 'routes/one', { to => [ { service => 'g/demo.A:1' } ] });
api('PUT', 'routes/two', { to => [ { service => 'demo.Echo', fallback =>
                                     { service => 'demo.B' } } ] });

refused(api('DELETE', 'services/g%2Fdemo.A:1'), 'one');
refused(api('DELETE', 'services/demo.B'), 'two');
is(api('DELETE', 'services/demo.C')->{status}, 200, 'another one is');

is(api('POST', 'batch', { ops => [
    { method => 'DELETE', path => 'routes/two' },
    { method => 'DELETE', path => 'services/demo.B' },
] })->{status}, 200, 'with its route it is');

is(api('DELETE', 'services/g%2Fdemo.A:1?force=1')->{status}, 200, 'by force');
is(api('GET', 'routes/one')->{status}, 200, '... the route stays');

$t->done;
