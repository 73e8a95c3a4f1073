#!/usr/bin/perl

# Shares of calls: weights of targets, percentages, and both by a fact.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);
my @at = map { $_->address } $a, $b, $c;

$t->write_conf(conf(
    main => 'worker_processes 2;',
    service => "endpoint $at[0] label=v=1; endpoint $at[1] label=v=2;",
    mesh => <<"MESH",
    service demo.New { endpoint $at[2]; }

    route split  { match method=split;
                   to label=v=2 weight=5; to label=v=1 weight=95; }
    route never  { match method=never; to label=v=2 weight=0; to label=v=1; }
    route three  { match method=three; to label=v=1; to label=v=2;
                   to service=demo.New; }
    route user   { match method=user; hash attachment.user;
                   to service=demo.New weight=25; to label=v=1 weight=75; }
    route some   { match method=some percent=12.5; to service=demo.New; }
    route users  { match method=users percent=20 by=attachment.user;
                   to service=demo.New; }
    route none   { match method=none percent=0; to service=demo.New; }
    route all    { match method=all percent=100 by=attachment.user;
                   to service=demo.New; }
    route rest   { to label=v=1; }
MESH
));
$t->run;

my $client = $t->tcp('rpc');


sub user { attachments => sub { { user => "user$_[0]" } } }


# in the order they come, calls are shared out evenly, as far as numbers go

sub shares {
    my ($n, $expected, $name) = @_;

    my @off = grep { abs(($n->{$_} // 0) - ($expected->{$_} // 0)) > 2 }
              keys %$n, keys %$expected;
    is_deeply(\@off, [], $name) or diag(explain($n));
}

shares(scalar spread($client, 400, method => 'split'),
       { a => 380, b => 20 }, 'a split of 5 to 95');
is_deeply(scalar spread($client, 50, method => 'never'), { a => 50 },
          'no weight, no calls');
shares(scalar spread($client, 300, method => 'three'),
       { a => 100, b => 100, c => 100 }, 'three alike');
shares(scalar spread($client, 400, method => 'some'), { c => 50, a => 350 },
       'a percentage of the calls, others go on to the next route');

# by a fact: the same user has the same version, in each worker

my @users = spread($client, 400, method => 'user', user());
my $n = tally(@users);
cmp_ok($n->{c}, '>', 60, 'users are split');
cmp_ok($n->{c}, '<', 140, '... by weight');

my @chosen = spread($client, 400, method => 'users', user());
$n = tally(@chosen);
cmp_ok($n->{c}, '>', 45, 'a percentage of the users');
cmp_ok($n->{c}, '<', 115, '... not of more');

for my $try (1 .. 4) {
    my $other = $t->tcp('rpc');

    is_deeply([ spread($other, 400, method => 'user', user()) ], \@users,
              "the same split ($try)");
    is_deeply([ spread($other, 400, method => 'users', user()) ], \@chosen,
              "... the same percentage");
}

is_deeply(scalar spread($client, 20, method => 'users'), { a => 20 },
          'who says nothing is not among the chosen');
is_deeply(scalar spread($client, 20, method => 'none', user()), { a => 20 },
          'no percent');
is_deeply(scalar spread($client, 20, method => 'all'), { c => 20 },
          'all of them');

$t->done;
