#!/usr/bin/perl

# Routes through the API: what is written is read again, calls take them, what
# is wrong is refused, and the configuration's are not the API's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($one, $two) = map { Mesh::Peer->new(value => $_) } qw(one two);
my $json = JSON::PP->new->canonical;

$t->write_conf(conf(
    service => "endpoint @{[$one->address]} label=v=1;"
               . " endpoint @{[$two->address]} label=v=2;",
    mesh => 'route fixed { match method=fixed; to label=v=1; }',
    web => 'location /api/ { mesh_api write=on; }'));
$t->run;

my $client = $t->tcp('rpc');

sub api {
    my ($method, $path, $body, %headers) = @_;
    return $t->http($method, "/api/1/$path", $body, headers => \%headers);
}

sub call { went($client->call(service => 'demo.Echo', args => ['x'], @_)) }

# written and read

my $spec = {
    priority => 7,
    match => { service => 'demo.Echo', method => ['say*', '~^x$'],
               'attachment.tag' => 'gray', 'attachment.old' => undef,
               caller => '127.0.0.0/8', percent => 99.5,
               by => 'attachment.tag' },
    to => [{ labels => { v => '2' }, weight => 5,
             fallback => { labels => { v => '1' } } },
           { service => 'demo.Echo', weight => 1 }],
    timeout => '200ms', tries => 2, hash => 'attachment.tag',
};

my $r = api('PUT', 'routes/canary', $spec);
is($r->{status}, 201, 'a route') or diag($r->{content});
is($r->{headers}{location}, '/api/1/routes/canary', '... and where it is');

$r = api('GET', 'routes/canary');
is($r->{status}, 200, 'it is there');
is($json->encode($r->{json}{spec}), $json->encode($spec), '... as it was');
is($r->{json}{metadata}{owner}, 'api', '... the owner');

my $etag = $r->{headers}{etag};
is(api('GET', 'routes/canary', undef, 'If-None-Match' => $etag)->{status},
   304, '... not modified');

$r = api('PUT', 'routes/canary', $r->{json}{spec});
is($r->{status}, 200, 'the same again');
ok(!$r->{json}{changed}, '... changes nothing');

$r = api('GET', 'routes');
is(join(' ', map { $_->{metadata}{name} } @{ $r->{json}{items} }),
   'canary fixed', 'all routes');

# several objects all have to match

my $both = { priority => 0, match => [{ method => 'a*' }, { method => '*b' }],
             to => [{ labels => { v => '2' }, weight => 100 }] };

is(api('PUT', 'routes/both', $both)->{status}, 201, 'two conditions of a fact');
is($json->encode(api('GET', 'routes/both')->{json}{spec}),
   $json->encode($both), '... are read again');
is(call(method => 'a-b'), 'two', '... and taken');

# calls

is(api('PUT', 'routes/canary', { match => { method => 'hi' },
                                 to => { labels => { v => '2' } } })->{status},
   200, 'another one in its place');

is(join(' ', map { call(method => 'hi') } 1 .. 4), 'two two two two',
   'calls take it');

is(api('PATCH', 'routes/canary', { to => undef, deny => 'no' })->{status}, 200,
   'a patch');
is($json->encode(api('GET', 'routes/canary')->{json}{spec}),
   '{"deny":"no","match":{"method":"hi"},"priority":0}', '... is in it');
like(call(method => 'hi'), qr/status 80/, '... calls are denied');

$r = api('PUT', 'routes/canary', { deny => 'x' }, 'If-Match' => '"0-1"');
is($r->{status}, 412, 'another ETag');

is(api('DELETE', 'routes/canary')->{status}, 200, 'removed');
is(api('GET', 'routes/canary')->{status}, 404, '... it is gone');
is(api('DELETE', 'routes/canary')->{status}, 200, '... removed again');
is(api('PATCH', 'routes/canary', { deny => 'x' })->{status}, 404,
   '... nothing to patch');

# the configuration's

for my $method (qw(PUT PATCH DELETE)) {
    $r = api($method, 'routes/fixed', $method eq 'DELETE' ? undef
                                                          : { deny => 'x' });
    is($r->{status}, 409, "$method of a route of the configuration");
    is($r->{json}{error}{code}, 'OwnedByConfig', '... and why');
}

# what is wrong

sub wrong {
    my ($body, $pointer, $words) = @_;

    my $answer = api('PUT', 'routes/x', $body);
    my $error = $answer->{json}{error};

    is($answer->{status}, 422, "refused: $words");
    is($error->{pointer}, $pointer, '... where') or diag($error->{text});
    like($error->{text}, qr/$words/, '... why');
}

wrong({ color => 'red' }, '/color', 'unknown field');
wrong({ match => 'x' }, '/match', 'object');
wrong({ match => { color => 'x' } }, '/match/color', 'unknown fact');
wrong({ match => { method => 5 } }, '/match/method', 'string');
wrong({ match => { method => ['a', {}] } }, '/match/method/1', 'string');
wrong({ match => [{ method => 'a' }, { method => 'a*b*' }] },
      '/match/1/method', 'one "\*"');
wrong({ match => { caller => 'there' } }, '/match/caller', 'address');
wrong({ match => { percent => 101 } }, '/match/percent', '0 to 100');
wrong({ match => { percent => 1.001 } }, '/match/percent', 'two decimals');
wrong({ match => { by => 'method' } }, '/match/by', 'percent');
wrong({ match => { method => '~(' } }, '/match', '\)');
wrong({ priority => 1.5 }, '/priority', 'number');
wrong({ to => [{ weight => -1 }] }, '/to/0/weight', 'number');
wrong({ to => [{}, { to => 1 }] }, '/to/1/to', 'unknown field');
wrong({ to => [{ fallback => { weight => 1 } }] }, '/to/0/fallback/weight',
      'unknown field');
wrong({ timeout => 'soon' }, '/timeout', 'time');
wrong({ tries => 0 }, '/tries', 'number');

is(api('GET', 'routes/x')->{status}, 404, 'nothing of it is there');

# a dry run

$r = api('PUT', 'routes/dry?dry_run=1', { deny => 'x' });
is($r->{status}, 200, 'a dry run');
is($json->encode($r->{json}{diff}[0]{after}), '{"deny":"x","priority":0}',
   '... says what would be');
is(api('GET', 'routes/dry')->{status}, 404, '... and does nothing');

# routes outlive a reload and a worker

ok($t->reload(gone => 1), 'a reload');
is(call(method => 'a-b'), 'two', '... the route is there');

$client->close;
$t->done;
