#!/usr/bin/perl

# An agent that has just begun knows what the one before has heard: a first
# answer that is less is not believed sooner than later ones are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test qw(wait_for);

my $NAME = 'com.example.A';
my $HEALTH = "/v1/health/service/$NAME";
my $all = join ' ', map { "127.0.0.1:$_=100" } 20881 .. 20884;

my $t = Mesh::Test->new(timeout => 200);
my $f = Mesh::FaultHTTP->new;

sub instances { [ map { dubbo($f, $NAME, $_) } @_ ] }

# with(fault): the answers to what another agent asks first
sub with {
    my ($name, @o) = @_;

    $f->clear;
    $f->requests(1);
    $f->fault(match => $HEALTH, @o);
    $t->reload(gone => 1) or fail("$name: a reload");
    wait_for { grep { $_->{fault} } $f->requests } 10
        or fail("$name: it is asked");
}

$f->service($NAME, instances(20881 .. 20884));
$t->write_conf(learn_conf('consul ' . $f->url, service => $NAME,
                          mesh => 'guard off;'));
$t->run;

is(until_learned($t, $NAME, 4), $all, 'learned');


# the token may read a part of it, which is never believed

with('a part', times => 0, json => instances(20881 .. 20883),
     headers => { 'X-Consul-Results-Filtered-By-Acls' => 'true' });
wait_for { $t->log =~ /lacks what the token may not read/ } 10
    or fail('it is told');
is(learned($t, $NAME), $all, 'a token that may read a part of it');


# once it is less

with('less', json => instances(20881));
wait_for { $f->waiting } 10 or fail('a long poll');
is(learned($t, $NAME), $all, 'less, once');
cmp_ok(scalar(grep { $_->{target} !~ /index=/ } $f->requests), '>=', 2,
       '... it was asked again');


# and all the time

$f->clear;
$f->service($NAME, instances(20881 .. 20882), quiet => 1);
ok($t->reload(gone => 1), 'another agent');
is(until_learned($t, $NAME, 2), '127.0.0.1:20881=100 127.0.0.1:20882=100',
   'less, and said again');

$t->done;
