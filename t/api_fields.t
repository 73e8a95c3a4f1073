#!/usr/bin/perl

# fields: only what is named of objects, alone and in lists.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_conf(api_conf(service => 'endpoint 127.0.0.1:1;'));
$t->run;

my $list = 'services/x/endpoints';

api($t, 'PUT', $list, [ map { { address => '10.0.0.1', port => $_, labels => {
    v => '"},{\\', 'a.b' => "$_" } } } 1 .. 250 ]);
api($t, 'PUT', "$list/10.0.0.1:7/override", { weight => 3 });

my %whole = map { ($_->{metadata}{name} => $_) }
            @{ api($t, 'GET', $list)->{json}{items} };

sub items {
    my ($args) = @_;
    my ($path, @items) = "$list?fields=$args";

    while (defined $path) {
        my $r = api($t, 'GET', $path);
        is($r->{status}, 200, $path) or diag($r->{content});
        push @items, @{ $r->{json}{items} };
        $path = $r->{json}{next};
        $path =~ s{^/api/1/}{} if defined $path;
    }

    return \@items;
}

my $r = items('metadata.name,spec.weight');

is(scalar @$r, 250, 'all of a list');
is_deeply($r->[0], { metadata => { name => $r->[0]{metadata}{name} },
                     spec => { weight => 100 } }, '... with two members');

$r = items('metadata.name,override,spec.labels&limit=60');
is(scalar @$r, 250, 'page by page');

my $wrong = grep {
    my $all = $whole{ $_->{metadata}{name} };
    join(' ', sort keys %$_) ne ($all->{override} ? 'metadata override spec'
                                 : 'metadata spec')
    || $_->{spec}{labels}{v} ne $all->{spec}{labels}{v}
    || keys %{ $_->{spec} } != 1;
} @$r;
is($wrong, 0, '... each as it is');

is_deeply(items('spec.labels.a.b')->[0]{spec}{labels}, { 'a.b' => '1' },
          'a name with a dot');
is_deeply(items('nothing')->[0], {}, 'what is not there');
is_deeply(items('spec,spec.weight')->[0]{spec}, $whole{
    items('metadata.name')->[0]{metadata}{name} }{spec}, 'the whole of it');

is_deeply(api($t, 'GET', "$list/10.0.0.1:7?fields=override.weight")->{json},
          { override => { weight => 3 } }, 'one endpoint');
is_deeply(api($t, 'GET', 'services/x?fields=metadata.owner')->{json},
          { metadata => { owner => 'api' } }, '... service');
is_deeply(api($t, 'GET', 'services?fields=metadata.name')->{json}{items},
          [ map { { metadata => { name => $_ } } } 'demo.Echo', 'x' ],
          '... all services');
api($t, 'PUT', 'routes/r', { deny => 'x' });
is_deeply(api($t, 'GET', 'routes/r?fields=spec.deny')->{json},
          { spec => { deny => 'x' } }, '... route');
is_deeply(api($t, 'GET', 'routes?fields=spec.deny')->{json}{items},
          [ { spec => { deny => 'x' } } ], '... all routes');

is(error(api($t, 'GET', "services?fields=$_")), '400 BadArgument',
   "refused: \"$_\"") for '', ',', 'a,', 'a,,b';
is(error(api($t, 'GET', "$_?fields=a")), '400 BadArgument', "not for $_")
    for qw(status snapshot watch revisions);
is(error(api($t, 'PUT', 'routes/r?fields=a', { deny => 'x' })),
   '400 BadArgument', '... nor for a write');

$t->done;
