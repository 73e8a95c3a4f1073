#!/usr/bin/perl

# An interface in Redis with so many providers that they take longer than an
# agent may be silent: it is not taken for one that hangs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::FaultRESP;
use Mesh::RedisRegistry;

my $MANY = 30_000;
my $far = '9999999999999';

my $f = Mesh::FaultRESP->new;
my $t = Mesh::RedisRegistry->new(timeout => 200);
my $series = 'mesh_table_endpoints{owner="redis",state="serving"}';

sub agents { join ' ', $t->children(qr/mesh agent process/) }


sub hash {
    my ($n, $parameters) = @_;

    my %fields = map {
        (sprintf('dubbo://10.1.%d.%d:20880/com.example.A?version=1.0.0'
                 . '&interface=com.example.A%s', $_ >> 8, $_ & 255,
                 $parameters // '') => $far)
    } 1 .. $n;

    return join '', '*' . 2 * $n . "\r\n",
                map { '$' . length($_) . "\r\n$_\r\n" } %fields;
}


$f->provide(provider(20880), ttl => 3600);
$t->follow($f->url . ' refresh=60s timeout=30s', zone => '64m');
$t->sees('com.example.A:1.0.0', [20880], 'one provider');

my $agents = agents();

for my $parameters ('', '&weight=50') {
    $f->fault(match => '^HGETALL.*providers', times => 0,
              raw => hash($MANY, $parameters));
    $t->resync;

    ok((wait_for { $t->metrics->{$series} >= $MANY } 60), "$MANY of them");
    $f->clear;
}

$t->resync;
ok((wait_for { $t->metrics->{$series} } 60), 'and one again');
is(agents(), $agents, 'by the same agent');

$t->done;
