#!/usr/bin/perl

# What was made through the API outlives reloads: those that are refused, that
# rename or enlarge the zone, and that take mesh {} away for a while.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

my $t = Mesh::Agent->new(timeout => 180);
my ($own, $b) = map { Mesh::Peer->new(value => $_) } qw(own b);

sub write_conf {
    my (%o) = @_;

    my $conf = agent_conf($own, zone => $o{zone} // 'mesh:8m');
    $conf =~ s{location /metrics}{location /api/ { mesh_api write=on; }
        location /metrics};
    $conf =~ s{listen 127.0.0.1:%%PORT_http%%;}
              {listen 127.0.0.1:%%PORT_http%%; listen 127.0.0.1:$o{busy};}
        if $o{busy};

    $t->write_conf($conf);
}


sub api { return $t->http($_[0], "/api/1/$_[1]", $_[2]) }

# the operator's endpoint, and a route of his

sub is_there {
    my ($when) = @_;

    is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'b',
       "$when: his endpoint is used");
    is(went($t->tcp('rpc')->call(service => 'demo.Echo', method => 'no')),
       'status 80', '... and his route');
}

write_conf();
$t->run;

api('PUT', 'services/demo.Echo/endpoints',
    [ { address => '127.0.0.1', port => 0 + $b->port } ]);
api('PUT', 'routes/closed', { match => [ { method => 'no' } ], deny => 'x' });
is_there('written');

my $revision = api('GET', 'status')->{json}{revision};

ok($t->reload(gone => 1), 'a reload');
is(api('GET', 'status')->{json}{revision}, $revision, '... changes nothing');
is_there('reloaded');


for my $zone ('another:8m', 'another:16m') {
    write_conf(zone => $zone);
    ok($t->reload(gone => 1), "zone $zone");
    is_there('in it');
    ok(wait_for(sub { api('PUT', 'routes/after', {
        deny => "$zone", match => [ { method => 'z' } ] })->{success} }, 10),
       '... it can be written');
}


# without a mesh, and with it again

$t->write_conf('worker_processes 2; http { server { '
               . 'listen 127.0.0.1:%%PORT_http%%; } }');
ok($t->reload(gone => 1), 'without a mesh');
write_conf(zone => 'another:16m');
ok($t->reload(gone => 1), 'with one again');
is_there('again');


# nginx finds out after it has the zones

my $busy = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "listen: $!";
$t->allow_log(qr/bind\(\) to 127\.0\.0\.1:\d+ failed/);
$t->allow_log(qr/still could not bind\(\)/);

my $refused = 0;
$revision = api('GET', 'status')->{json}{revision};

for my $zone ('another:16m', 'other:16m') {
    write_conf(busy => $busy->sockport, zone => $zone);
    $t->signal('HUP');
    $refused++;
    ok(wait_for(sub {
        $refused == (() = $t->log =~ /still could not bind\(\)/g);
    }, 15), "a reload with $zone is refused");
    is(api('GET', 'status')->{json}{revision}, $revision,
       '... the table is as it was');
    is_there('refused');
    ok(api('PUT', 'routes/after', { deny => $zone,
                                    match => [ { method => 'z' } ] })
       ->{success}, '... and can be written');
    $revision = api('GET', 'status')->{json}{revision};
}

$t->done;
