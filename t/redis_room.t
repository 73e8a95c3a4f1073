#!/usr/bin/perl

# What is remembered of a Redis: a hash may have 64 MiB, all of them that and
# twice the zone.  One that is beyond costs nobody else anything.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::FaultRESP;
use Mesh::RedisRegistry;


{
    package Filled;

    # swell(URL, n, bytes): n more of it, with other ports, so long each

    use parent -norequire, 'Mesh::FaultRESP';

    sub swell { $_[0]->ask('swell', @_[1 .. $#_]) }

    sub order_swell {
        my ($s, $url, $n, $bytes) = @_;

        my $key = Mesh::FaultRESP::key_of($url);
        my $until = int 1000 * (time + 600);

        for (1 .. $n) {
            my $other = $url =~ s/:\d+/':' . (10000 + $_)/er;
            $s->order_order(['HSET', $key, $other . '&x=' . 'x' x $bytes,
                             $until]);
        }

        return 1;
    }
}


my @names = map { "com.example.$_" } qw(A B C);
my @services = map { "$_:1.0.0" } @names;
my $t = Mesh::RedisRegistry->new(timeout => 200);
my $f = Filled->new;

sub beyond {
    my $r = api($t, 'GET', 'registries/redis')->{json};

    return grep { ($_->{reason} // '') =~ /^more than there is room for/ }
           @{ $r->{status}{services} };
}


sub many {
    my ($service) = @_;

    # a page of them
    return (my @ports = $t->ports($service)) > 90;
}

sub resync { api($t, 'POST', 'registries/redis/resync') }


$f->provide(provider(20880, undef, $_)) for @names;

$t->follow($f->url . ' refresh=20s session=3s', zone => '2m',
           lists => join ' ', map { "service $_ { }" } @services);
$t->sees($_, [20880], $_) for @services;

$f->swell(provider(20880, undef, $_), 800, 50000) for @names[1, 2];

resync();

my @beyond;

ok((wait_for { (@beyond = beyond()) == 1 } 60),
   'of two that are large one is beyond');
like($beyond[0]{reason}, qr/enlarge the zone/, '... with a remedy');

my ($out) = map { $_->{service} } @beyond;
my ($in) = grep { $_ ne $out } @names[1, 2];

$t->sees("$out:1.0.0", [20880], '... and stays as it was');
ok((wait_for { many("$in:1.0.0") } 20), '... the other one is read');

$f->provide(provider(20881, undef, $names[0]));
$t->sees($services[0], [20880, 20881], 'others are followed');

$f->order('DEL', Mesh::FaultRESP::key_of(provider(20880, undef, $in)));
$f->provide(provider(20882, undef, $in));
resync();
$t->sees("$in:1.0.0", [20882], 'when the large one is small', 90);
resync();
ok((wait_for { !beyond() && many("$out:1.0.0") } 60),
   '... there is room for the other one');

$t->allow_log(qr/more than there is room for/);
$t->done;
