#!/usr/bin/perl

# Consul goes, forgets, is wrong and flaps, and so does the process of nginx
# that reads it: real calls do not notice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Interop::Fleet;
use Mesh::Test qw(wait_for);

my $f = Interop::Fleet->new(provider => 33, consumer => 27,
                            registry => 'consul', store => { data => 1 });
my $c = $f->store;
my $states = sub { $c->states($Interop::Fleet::ECHO) };

$f->start(qw(a b));

my %port = map { $_ => $f->{ports}{$_} } qw(a b);
my %records = %{ $c->records };
my %id = map { $records{$_}{Port} == $port{b} ? ('b', $_) : ('a', $_) }
         keys %records;

$f->load;

$f->trouble('an outage', sub {
    $c->kill9;
    sleep 2;
    $c->start;
});

$f->trouble('all checks critical', sub {

    # in between a provider may beat
    ok(wait_for(sub {
        $c->fail($id{$_}, 'not beaten') for qw(a b);
        join(' ', sort values %{ $states->() }) eq 'critical critical';
    }, 10), 'Consul has nobody');
    sleep 1;
    $c->pass($id{$_}) for qw(a b);
});

$f->trouble('flapping', sub {
    for (1 .. 15) {
        $c->deregister($id{b});
        sleep 0.1;
        $c->restore(\%records, $id{b});
        sleep 0.1;
    }
});

$f->trouble('a restart with nothing', sub {
    $c->restart(empty => 1);
    is_deeply($states->(), {}, 'Consul has nobody');
    sleep 3;
});

$c->restore(\%records);

$f->agent_trouble(sub { $c->deregister($id{b}) if $states->()->{$port{b}} },
                  sub { $c->restore(\%records, $id{b}) });

$f->ended(0, 'no call failed');
$f->done;
