#!/usr/bin/perl

# A zone that is full to the last byte: what is there can be removed, piece by
# piece or all of it, overrides end, and reloads go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 180);
my $a = Mesh::Peer->new(value => 'a');
my $services = join ' ', map { "service s$_ { }" } 1 .. 40;

sub conf_of {
    my ($more) = @_;

    my $conf = api_conf(service => "endpoint @{[$a->address]};", zone => '2m',
                        main => 'worker_processes 2;',
                        location => 'keepalive_requests 1000000;');

    $conf =~ s/(metrics=)\w+/${1}128k/;
    $conf =~ s/(zone mesh:2m)(?! metrics)/$1 metrics=1m/;
    $conf =~ s/^(mesh \{)/$1 $more/m;

    return $conf;
}

$t->write_conf(conf_of(''));
$t->allow_log(qr/enlarge the zone/);
$t->run;


# one endpoint after the other, until there is no room even for the smallest

my $n = 0;

sub fill {
    my ($from) = ($n);
    my $step = 256;

    while ($step) {
        my $r = api($t, 'PUT', "services/x$n/endpoints",
                    [ map { { address => '10.0.' . ($_ >> 8) . '.' . ($_ & 255),
                              port => 1 } } 1 .. $step ]);

        if ($r->{status} == 507) {
            $step = int $step / 2;
            next;
        }

        die "put: $r->{status}" if $r->{status} !~ /^20/;
        $n++;
    }

    return $n - $from;
}

api($t, 'PUT', 'services/x/endpoints', [{ address => '10.1.1.1', port => 1 }]);
is(api($t, 'PUT', 'services/x/endpoints/10.1.1.1:1/override',
       { drain => \1, ttl => 8 })->{status}, 201, 'an override');

ok(fill(), "full after $n services");
is(error(api($t, 'PUT', 'services/y', {})), '507 ZoneFull', '... of all');

ok($t->reload, 'a reload');
$t->write_conf(conf_of($services));
ok(!$t->reload, '... one that needs room is refused');
$t->write_conf(conf_of(''));
ok($t->reload, '... and another one is not');
is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a', 'calls go on');

ok(wait_for(sub { api($t, 'GET', 'services/x/endpoints/10.1.1.1:1/override')
                  ->{status} == 404 }, 20), 'the override ends');

for my $i (reverse 0 .. $n - 1) {
    my $r = api($t, 'DELETE', "services/x$i");
    $r->{status} =~ /^20/ or fail("delete x$i: " . error($r));
}

my $left = api($t, 'GET', 'status')->{json}{items};
is($left->{endpoints}, 2, 'all are removed');

my $before = $n;
fill();
cmp_ok($n - $before, '>=', $before - 8, '... and there is the same room');

for my $i ($before .. $n - 1) {
    my $list = api($t, 'GET', "services/x$i/endpoints?limit=1000")->{json};

    for my $e (@{ $list->{items} }) {
        my $r = api($t, 'DELETE',
                    "services/x$i/endpoints/$e->{metadata}{name}");
        $r->{status} =~ /^20/ or fail("delete: " . error($r));
    }
}

is(api($t, 'GET', 'status')->{json}{items}{endpoints}, 2, 'one by one, too');

$t->done;
