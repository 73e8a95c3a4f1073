#!/usr/bin/perl

# What a write would do, told without doing it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Test;

my $t = Mesh::Test->new;
my $spec = { address => '127.0.0.1', port => 1 };

$t->write_conf(api_conf(service => 'endpoint 127.0.0.1:1;'));
$t->run;

my $revision = api($t, 'GET', '')->{json}{revision};
my $r = api($t, 'PUT', 'services/x/endpoints?dry_run=1', [ $spec ]);

is($r->{status}, 200, 'a dry run');
ok($r->{json}{changed} && $r->{json}{dry_run}, '... would change something');
cmp_ok($r->{json}{bytes}, '>', 0, '... which takes room');
is_deeply([ map { "$_->{op} $_->{path}" } @{ $r->{json}{diff} } ],
          [ 'create services/x',
            'create services/x/endpoints/127.0.0.1%3A1' ], '... the diff');
is($r->{json}{diff}[1]{before}, undef, '... nothing before');
is($r->{json}{diff}[1]{after}{port}, 1, '... and after');
is(api($t, 'GET', '')->{json}{revision}, $revision, '... no revision');
is(error(api($t, 'GET', 'services/x')), '404 NotFound', '... nothing done');

api($t, 'PUT', 'services/x/endpoints', [ $spec ]);
$r = api($t, 'PUT', 'services/x/endpoints?dry_run=1', [ $spec ]);
ok(!$r->{json}{changed}, 'the same again');
is_deeply($r->{json}{diff}, [], '... no diff');

$r = api($t, 'PUT', 'services/x/endpoints?dry_run=1',
         [ { %$spec, weight => 5 }, { %$spec, port => 2 } ]);
is_deeply([ map { $_->{op} } @{ $r->{json}{diff} } ], [qw(update create)],
          'one changes, one comes');
is("$r->{json}{diff}[0]{before}{weight} $r->{json}{diff}[0]{after}{weight}",
   '100 5', '... from and to');
$r = api($t, 'DELETE', 'services/x?dry_run=1');
is_deeply([ map { $_->{op} } @{ $r->{json}{diff} } ], [qw(delete delete)],
          'what goes') or diag($r->{content});
is(error(api($t, 'PUT', 'services/demo.Echo?dry_run=1', {})),
   '409 OwnedByConfig', 'what is refused is refused');
is(error(api($t, 'DELETE', "services/x?$_")), '400 BadArgument', "not $_")
    for qw(dryrun=1 dry%5Frun=1 force=0&dry-run dry_run=yes);
is(api($t, 'GET', 'services/x')->{status}, 200, 'all is there');
is(api($t, 'DELETE', 'services/x?dry_run=0')->{status}, 200, 'dry_run=0');
is(error(api($t, 'GET', 'services/x')), '404 NotFound', '... does it');

$t->done;
