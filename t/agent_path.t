#!/usr/bin/perl

# The agent's directory goes, or becomes another one: what the operator
# changed is there again after the next start, from where it is then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Calls qw(went);
use Mesh::Dubbo;
use Mesh::Peer;

my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } qw(a b c);
my $never = Mesh::Peer->new(value => 'n', methods => { x => { never => 1 } });
my $t = Mesh::Agent->new(timeout => 120);
my $dir = $t->dir;


sub newest {
    my ($peer, $name) = @_;
    ok(wait_for(sub { (($t->journal)[0] // '') =~ /\Q@{[$peer->address]}\E/ },
                10), $name);
}


# a reload to another directory, with a call in flight

sub move {
    my ($conf) = @_;

    my $client = $t->tcp('rpc');

    $client->send($client->bytes(request => id => 1, service => 'demo.Never',
                                 method => 'x'));
    wait_for { $t->metrics->{mesh_requests_in_flight} } 5, 'a call in flight';

    my ($agent) = $t->agents;
    $t->write_conf($conf =~ s{mesh_timeout 5s}{mesh_timeout 60s}r);
    ok($t->reload, '... a reload, a call in flight');

    return ($client, $agent);
}


my %never = (mesh => "service demo.Never { endpoint @{[$never->address]}; }");


$t->write_conf(agent_conf($a, %never) =~ s{mesh_timeout 5s}{mesh_timeout 60s}r);
$t->run;
ok($t->written($t->put($b->address)), 'a change is written');


# gone, and made again

my ($fence) = $t->lease;
rename $t->state_dir, "$dir/old";
mkdir $t->state_dir, 0700;
ok($t->taken($fence, 10), 'an empty directory: the lease is taken there');
newest($b, '... and what there is is written');


# another path

my ($client, $old) = move(agent_conf($a, %never, state => '%%DIR%%/new'));
$t->{state_dir} = "$dir/new/agent";

ok($t->taken(0), 'another path: the lease is taken there');
newest($b, '... and what there is is written');
ok($t->written($t->put($c->address)), '... a change');
newest($c, '... is written there');
ok(wait_for(sub { !kill 0, $old }, 5), '... the old agent is gone');

undef $client;
$t->kill_all;
$t->allow_log(qr/exited on signal 9/);
$t->run;

my %went = map { $_ => 1 } map { went($t->tcp('rpc')->call(
               service => 'demo.Echo')) } 1 .. 8;
is(join(' ', sort keys %went), 'b c', '... and there after a start');


# no path any more

($client, $old) = move(agent_conf($a, %never, state => 'off'));
ok(wait_for(sub { !kill 0, $old }, 5), 'off: the agent goes');

undef $client;

$t->done;
