#!/usr/bin/perl

# No room in the zone: the write is refused as a whole, all else goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $a = Mesh::Peer->new(value => 'a');

$t->write_conf(api_conf(service => "endpoint @{[$a->address]};", zone => '3m',
                        location => 'client_max_body_size 100m;'));
$t->run;

sub set {
    my ($n) = @_;
    return [ map { { address => '10.0.' . ($_ >> 8) . '.' . ($_ & 255),
                     port => 1, labels => { x => 'y' x 900 } } } 1 .. $n ];
}

is(api($t, 'PUT', 'services/x/endpoints', set(100))->{status}, 200, 'some');
my $revision = api($t, 'GET', '')->{json}{revision};

for my $dry ('?dry_run=1', '', '') {
    my $r = api($t, 'PUT', "services/x/endpoints$dry", set(4000));
    my $e = $r->{json}{error};

    is(error($r), '507 ZoneFull', "too many$dry");
    cmp_ok($e->{needed}, '>', $e->{free}, '... how much');
    cmp_ok($e->{largest_free_run}, '<=', $e->{free}, '... in one piece');
}

is(scalar(my @said = $t->grep_log(qr/the mesh zone is full/)), 1,
   'it is said once');
is($t->sum($t->metrics, 'mesh_table_refusals_total', reason => 'full'), 2,
   '... and counted each time, but for the dry run');
is(api($t, 'GET', '')->{json}{revision}, $revision, 'nothing changed');
is(scalar @{ api($t, 'GET', 'services/x/endpoints')->{json}{items} }, 100,
   '... not even in part');
is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a', 'calls go on');
is(api($t, 'PUT', 'services/x/endpoints', set(50))->{status}, 200,
   'what fits is done');

# full, made free again, and full again: no room is lost, and what there was not
# room for is written afterwards

my @fitted;

for my $round (1 .. 6) {
    my ($n, $r) = (0);

    for (1 .. 100) {
        $r = api($t, 'PUT', "services/s$n/endpoints", set(100));
        last if $r->{status} != 200;
        $n++;
    }

    is(error($r), '507 ZoneFull', "full at the service number $n");
    is(error(api($t, 'GET', "services/s$n")), '404 NotFound',
       '... which is not there');
    push @fitted, $n;

    api($t, 'DELETE', 'services/s0');
    is(api($t, 'PUT', "services/s$n/endpoints", set(100))->{status}, 200,
       '... but in the place of another');
    is(scalar @{ api($t, 'GET', "services/s$n/endpoints")->{json}{items} },
       100, '... all of it');
    api($t, 'DELETE', "services/s$_") for 1 .. $n;
}

cmp_ok($fitted[0], '>', 2, 'there was room for some');
cmp_ok(scalar(@said = $t->grep_log(qr/the mesh zone is full/)), '>', 1,
       '... and it is said again when there was none any more');

# names of the last that were removed stay, for those who watch

is(join(' ', grep { $_ < $fitted[0] - 2 } @fitted), '', '... and always is');

$t->done;
