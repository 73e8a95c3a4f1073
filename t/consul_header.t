#!/usr/bin/perl

# What Consul is asked: where things go that a "registry" says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';

my $f = Mesh::FaultHTTP->new;
my $t = Mesh::Test->new(timeout => 100);

$f->service($NAME, [ dubbo($f, $NAME, 20881) ]);
$t->write_file('token', "secret-1\n");
$t->write_conf(learn_conf('consul ' . $f->url . ' token_file=%%DIR%%/token '
    . 'datacenter=east/1 namespace=n partition=p stale=200ms wait=2s',
    service => $NAME));
$t->run;

until_learned($t, $NAME, 1);
wait_for { $f->requests > 1 } 5;

my @all = $f->requests;

is($all[0]{headers}{'x-consul-token'}, 'secret-1', 'a header');
is($all[0]{headers}{host}, '127.0.0.1', 'a host');
is($all[0]{target}, "/v1/health/service/$NAME?dc=east%2F1&ns=n&partition=p"
   . '&stale', 'a plain read');
is($all[1]{target}, "/v1/health/service/$NAME?dc=east%2F1&ns=n&partition=p"
   . '&index=11&wait=2s&stale', 'a blocking query');

$t->write_file('token', "secret-2\n");
wait_for { grep { $_->{headers}{'x-consul-token'} eq 'secret-2' }
           $f->requests } 10;
is(($f->requests)[-1]{headers}{'x-consul-token'}, 'secret-2', 'another one');

# a follower that lags, and one that has lost its leader, are not believed

$f->fault(match => 'stale', json => [], index => 99,
          headers => { 'X-Consul-Lastcontact' => 900 });
$f->requests(1);
wait_for { $f->requests > 1 } 10;
@all = $f->requests;

unlike($all[1]{target}, qr/stale|index/, 'one that lags: its leader is asked');
is(learned($t, $NAME), '127.0.0.1:20881=100', 'and believed');

is(scalar(grep { $_->{target} =~ /secret/ } $f->requests), 0,
   'no token in a path');

$t->done;
