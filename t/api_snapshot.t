#!/usr/bin/perl

# snapshot: what was made through the API in one document, there and back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;
my $json = JSON::PP->new->canonical;

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'route fixed { match method=fixed; deny; }',
    web => 'location /api/ { mesh_api write=on; client_max_body_size 8m; }'));
$t->run;

sub api {
    my ($method, $path, $body, %headers) = @_;
    return $t->http($method, "/api/1/$path", $body, headers => \%headers);
}

sub paths { join ' ', map { $_->{path} } @{ $_[0]{items} } }

my $none = api('GET', 'snapshot');
is($none->{status}, 200, 'a snapshot');
is_deeply($none->{json}{items}, [], '... has nothing of the configuration');

api('PUT', 'services/g%2Fdemo.A:1', { balancer => 'random' });
api('PUT', 'services/demo.B', {});
api('PUT', 'routes/r', { match => { method => 'x' }, deny => 'no' });

my $all = api('GET', 'snapshot');
is(paths($all->{json}),
   'services/g%2Fdemo.A%3A1 services/demo.B routes/r', 'all that was made');
is($all->{json}{items}[0]{spec}{balancer}, 'random', '... and how');
is(api('GET', 'snapshot', undef,
       'If-None-Match' => $all->{headers}{etag})->{status}, 304,
   '... not modified');

my $r = api('PUT', 'snapshot', $all->{json});
is($r->{status}, 200, 'back') or diag($r->{content});
ok(!$r->{json}{changed}, '... changes nothing');

# the first one again

$r = api('PUT', 'snapshot', $none->{json});
ok(!$r->{json}{changed}, 'an empty one changes nothing');

$r = api('PUT', 'snapshot?prune=1&dry_run=1', $none->{json});
is(join(' ', sort map { $_->{path} } @{ $r->{json}{diff} }),
   join(' ', sort split / /, paths($all->{json})),
   '... would remove all with "prune"');
is(paths(api('GET', 'snapshot')->{json}), paths($all->{json}),
   '... but a dry run does not');

$r = api('PUT', 'snapshot?prune=1', $none->{json});
is($r->{status}, 200, '... does remove all');
is_deeply(api('GET', 'snapshot')->{json}{items}, [], '... nothing is left');
is(api('GET', 'routes/fixed')->{status}, 200, '... but the configuration');

my $revision = $r->{json}{revision};
$r = api('PUT', 'snapshot', $all->{json});
is($r->{json}{revision}, $revision + 1, 'all again, in one revision');
is($json->encode(api('GET', 'snapshot')->{json}{items}),
   $json->encode($all->{json}{items}), '... as it was');

# an override that has ended since

api('PUT', 'services/demo.Echo/endpoints/127.0.0.1:1/override',
    { weight => 5, ttl => 3600 });
my $laid = api('GET', 'snapshot')->{json};

$_->{spec}{until} = '2020-01-01T00:00:00Z'
    for grep { $_->{path} =~ /override$/ } @{ $laid->{items} };

$r = api('PUT', 'snapshot?prune=1', $laid);
is($r->{status}, 200, 'an override that has ended') or diag($r->{content});
is(paths(api('GET', 'snapshot')->{json}), paths($all->{json}),
   '... is not laid');

# all or nothing

my $bad = { items => [
    { path => 'routes/new', spec => { deny => 'x' } },
    { path => 'routes/bad', spec => { match => { method => 1 } } },
] };

$r = api('PUT', 'snapshot', $bad);
is($r->{status}, 422, 'one of two is wrong');
is($r->{json}{error}{pointer}, '/items/1/spec/match/method', '... which');
is(api('GET', 'routes/new')->{status}, 404, '... none is made');

$bad->{items}[1]{path} = 'routes/fixed';
$bad->{items}[1]{spec} = { deny => 'x' };
is(api('PUT', 'snapshot', $bad)->{status}, 409,
   'one is of the configuration');
is(api('GET', 'routes/new')->{status}, 404, '... none is made');

for my $wrong ([{}, '/items'], [{ items => {} }, '/items'],
               [{ items => [], x => 1 }, '/x'],
               [{ items => [1] }, '/items/0'],
               [{ items => [{ path => 'routes/a' }] }, '/items/0'],
               [{ items => [{ path => 'a', spec => {}, x => 1 }] },
                '/items/0/x'])
{
    $r = api('PUT', 'snapshot', $wrong->[0]);
    is($r->{status}, 422, 'refused: ' . $json->encode($wrong->[0]));
    is($r->{json}{error}{pointer}, $wrong->[1], '... where');
}

is(api('PUT', 'snapshot', { items => [{ path => 'nothing', spec => {} }] })
       ->{status}, 404, 'no such path');
is(api('PUT', 'snapshot', { items => [{ path => 'snapshot', spec => {} }] })
       ->{status}, 400, 'no snapshot in a snapshot');

# another table meanwhile

is(api('PUT', 'snapshot', $all->{json}, 'X-Mesh-Revision' => 1)->{status},
   412, 'a table of another revision');

is(api('PUT', 'snapshot', $all->{json}, 'If-Match' => $all->{headers}{etag})
       ->{status}, 412, '... or another ETag');

my $now = api('GET', 'snapshot')->{headers}{etag};
is(api('PUT', 'snapshot', $all->{json}, 'If-Match' => $now)->{status}, 200,
   '... the right one');

# many

my @many = map { { path => "routes/many$_",
                   spec => { match => { method => "m$_" }, deny => 'x' x 50,
                             priority => 1 } } } 1 .. 5000;

$r = api('PUT', 'snapshot', { items => \@many });
is($r->{status}, 200, '5000 routes') or diag($r->{content});
is(scalar @{ api('GET', 'snapshot')->{json}{items} }, 5003, '... are there');

$t->done;
