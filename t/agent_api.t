#!/usr/bin/perl

# What was changed through the API is there after any end of nginx, as it was,
# revisions included; and what the configuration says comes back from it alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Peer;

my $peer = Mesh::Peer->new(value => 'a');
my $t = Mesh::Agent->new;

$t->allow_log(qr/exited on signal 9/);
$t->write_conf(agent_conf($peer) =~ s{(location /metrics)}
    {location /api/ { mesh_api write=on; }\n        $1}r);
$t->run;


sub api {
    my ($method, $path, $body) = @_;

    my $r = $t->http($method, "/api/1/$path", $body);

    return $r->{success} ? $r->{json} : $r->{status};
}


my $last = 0;

for my $name (map { "demo.Service$_" } 1 .. 20) {
    my $r = api(PUT => "services/$name", { balancer => 'least_request' });
    $last = $r->{revision};
}

cmp_ok($last, '>', 20, 'services are made');
ok($t->written($last), '... and written');

my %before = map { $_ => api(GET => "services/demo.Service$_") } 1 .. 20;

for my $how ('KILL', 'QUIT') {
    $how eq 'KILL' ? $t->kill_all : $t->end($how);
    $t->run;

    is_deeply({ map { $_ => api(GET => "services/demo.Service$_") } 1 .. 20 },
              \%before, "$how: all of them are as they were");
    is(api(GET => 'services/demo.Echo')->{metadata}{owner}, 'config',
       '... what is the configuration\'s too');
}

my $r = api(PUT => 'services/demo.Service1', { balancer => 'random' });
cmp_ok($r->{revision}, '>', $last, 'revisions go on');

$t->done;
