#!/usr/bin/perl

# More than there is room for: what does not fit costs nobody else anything, is
# said once, and is there as soon as it fits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my ($A, $B, $C) = map { "com.example.$_" } qw(A B C);


sub addresses { join ' ', map { "127.0.0.1:$_=100" } @_ }

sub service_of {
    my ($t, $registry, $name) = @_;

    my $r = api($t, 'GET', "registries/$registry")->{json};
    return (grep { $_->{service} eq $name } @{ $r->{status}{services} })[0];
}

sub lines { my ($t, $re) = @_; return scalar(() = $t->log =~ /$re/g) }


my $t = Mesh::Test->new(timeout => 200);
my $f = Mesh::FaultHTTP->new;

my $set = sub {
    my ($name, @ports) = @_;
    $f->service($name, [ map { dubbo($f, $name, $_) } @ports ]);
};

$set->($A, 20880, 20881);
$set->($B, 20880);

$t->write_conf(learn_conf('consul ' . $f->url, service => [$A, $B, $C],
                          zone => '2m'));
$t->run;

is(until_learned($t, $A, 2), addresses(20880, 20881), 'a service');
is(until_learned($t, $B, 1), addresses(20880), '... and another');

$set->($B, 10000 .. 19999);

my $s;
ok((wait_for { $s = service_of($t, 'consul', $B) } 30),
   'it grows beyond the zone, which the API tells');
is($s->{reason}, 'it does not fit into the zone', '... and why');
ok(!$s->{known}, '... how many there are is not known');
ok(learned($t, $B) eq addresses(20880), '... it stays as it was');

$set->($A, 20880, 20882);
is(until_learned($t, $A, addresses(20880, 20882)), addresses(20880, 20882),
   'others are followed');

$set->($C, 10000 .. 19999);
ok((wait_for { service_of($t, 'consul', $C) } 30), 'another one, as large');
$set->($A, 20880);
is(until_learned($t, $A, 1), addresses(20880), '... others are followed');

# as often as it is tried again
api($t, 'POST', 'registries/consul/resync') for 1 .. 3;
$set->($A, 20883);
is(until_learned($t, $A, addresses(20883)), addresses(20883),
   '... and after some tries');

is(lines($t, qr/"consul": what it says needs \d+k of the mesh zone, \d+k are/),
   1, 'the log has one line');

$set->($B, 20880, 20885);
is(until_learned($t, $B, addresses(20880, 20885), 60),
   addresses(20880, 20885), 'the one that fits again is there');
ok(!service_of($t, 'consul', $B), '... and nothing is told of it');
is(lines($t, qr/fits into the zone again/), 0, '... the other does not');

$set->($C, 20886);
is(until_learned($t, $C, addresses(20886), 60), addresses(20886),
   'the other one, too');
ok($t->wait_log(qr/what registries say fits into the zone again/),
   '... which is said');

$set->($B, 10000 .. 19999);
ok((wait_for { service_of($t, 'consul', $B) } 30), 'it grows again');
ok($t->reload(gone => 1), '... a reload');
$set->($A, 20884);
is(until_learned($t, $A, addresses(20884)), addresses(20884),
   '... others are followed');
is(learned($t, $B), addresses(20880, 20885), '... it stays as it was');
$set->($B, 20880);
is(until_learned($t, $B, addresses(20880), 60), addresses(20880),
   '... until it fits');

$t->allow_log(qr/enlarge the zone/);
$t->done;
