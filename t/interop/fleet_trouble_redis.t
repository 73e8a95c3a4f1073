#!/usr/bin/perl

# Redis goes, forgets and flaps, and so does the process of nginx that reads
# it: real calls do not notice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Interop::Fleet;
use Mesh::Test qw(wait_for);

my $f = Interop::Fleet->new(provider => 27, consumer => 33,
                            registry => 'redis', store => { persist => 1 });
my $r = $f->store;
my $key = "/dubbo/$Interop::Fleet::ECHO/providers";

$f->start(qw(a b));

my ($b) = grep { /:$f->{ports}{b}\// } @{ $r->done(HKEYS => $key) };

$f->load;

$f->trouble('an outage', sub {
    $r->kill9;
    sleep 2;
    $r->start;
});

# as long as it takes until providers write again, which is half their time
$f->trouble('a restart with nothing', sub {
    $r->restart(empty => 1);
    is($r->done(HLEN => $key), 0, 'Redis has nobody');
    wait_for { $r->done(HLEN => $key) == 2 } 12, 'both providers';
});

$f->trouble('FLUSHALL', sub {
    $r->done('FLUSHALL');
    wait_for { $r->done(HLEN => $key) == 2 } 12, 'both providers';
});

$f->trouble('flapping', sub {
    for (1 .. 15) {
        $r->withdraw($b);
        sleep 0.1;
        $r->provide($b);
        sleep 0.1;
    }
});

$f->trouble('a server that is stopped', sub {
    $r->freeze;
    sleep 3;
    $r->thaw;
});

$f->agent_trouble(sub { $r->withdraw($b) }, sub { $r->provide($b) });

$f->ended(0, 'no call failed');
$f->done;
