#!/usr/bin/perl

# More services than connections: some are watched, the others take turns.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 200);
my $f = Mesh::FaultHTTP->new;

my @names = map { "com.example.S$_" } 1 .. 40;

sub instances { my $name = shift; [ map { dubbo($f, $name, $_) } @_ ] }

$f->service($_, instances($_, 20880)) for @names;

$t->write_conf(learn_conf('consul ' . $f->url . ' max_watches=8 discovery=all'));
$t->run;

is(scalar(grep { !until_learned($t, $_, 1) } @names), 0, 'all are learned');

# the catalog's among them
wait_for { $f->waiting == 7 } 10;
is($f->waiting, 7, 'long polls, one connection is for the others');

my @polled = grep { length } $f->polled;
my %polled = map { $_ => 1 } @polled;
my ($rotated) = grep { !$polled{$_} } @names;
my $watched = $polled[-1];

$f->requests(1);
$f->service($rotated, instances($rotated, 20880, 20881));
$f->service($watched, instances($watched, 20880, 20881));

is(until_learned($t, $watched, 2), '127.0.0.1:20880=100 '
   . '127.0.0.1:20881=100', 'a change of a watched one is seen');

sub first_of {
    my ($name) = @_;
    my ($first) = grep { $_->{target} =~ m{/$name\b} } $f->requests;
    return $first->{target} // '';
}

like(first_of($watched), qr/\?index=/, '... by the query that waited for it');
is(until_learned($t, $rotated, 2, 30), '127.0.0.1:20880=100 '
   . '127.0.0.1:20881=100', 'of another one in one rotation');
unlike(first_of($rotated) || 'index', qr/index/, '... by a plain read');

cmp_ok($f->stats->{most}, '<=', 8, 'connections at most');

# the catalog

$f->service('com.example.New', instances('com.example.New', 20880));
is(until_learned($t, 'com.example.New', 1), '127.0.0.1:20880=100',
   'a new one is learned');

$f->service($watched, undef);
is(until_learned($t, $watched, '', 60), '', 'one that has left is not known');

$t->done;
