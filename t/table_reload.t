#!/usr/bin/perl

# The services of the configuration are in shared memory: all workers have
# those of the configuration in force, and a reload that fails changes none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);


sub write_conf {
    my (%o) = @_;

    $t->write_conf(conf(
        main => 'worker_processes 2;',
        service => $o{service} // "endpoint @{[$a->address]};",
        mesh => $o{mesh} // '', stream => $o{stream} // '',
        server => 'mesh_timeout 2s;'));
}


sub call {
    my ($client, $service) = @_;
    return went($client->call(service => $service // 'demo.Echo'));
}


write_conf();
$t->run;

my @clients = map { $t->tcp('rpc') } 1 .. 4;
is(join(' ', map { call($_) } @clients), 'a a a a', 'a configuration');
is(call($clients[0], 'demo.Other'), 'status 60', 'no such service');

# other endpoints, another service; clients stay

write_conf(service => "endpoint @{[$b->address]};",
           mesh => "service demo.Other { endpoint @{[$a->address]}; }");
ok($t->reload(gone => 1), 'a reload');
is(join(' ', map { call($_) } @clients), 'b b b b', '... other endpoints');
is(call($_, 'demo.Other'), 'a', '... a new service') for @clients;
is($t->metrics->{mesh_client_connections_total}, 4, '... the same clients');

# the same again: nothing changes, and nothing is forgotten

ok($t->reload(gone => 1), 'the same configuration again');
is(join(' ', map { call($_) } @clients), 'b b b b', '... the same');

# one that is found wrong when the zone is there already

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
my $port = $taken->sockport;

write_conf(service => 'endpoint 127.0.0.1:1;',
           stream => "server { listen 127.0.0.1:$port; mesh_pass dubbo; }");
$t->allow_log(qr/\[emerg\].*(?:bind\(\)|still could not bind)/);
ok(!$t->reload, 'a reload that cannot bind a port');
ok($t->wait_log(qr/still could not bind/, 10), '... in the end');
is(join(' ', map { call($_) } @clients), 'b b b b', '... changes nothing');
is(call($clients[0], 'demo.Other'), 'a', '... nor other services');

# a service that goes

write_conf();
ok($t->reload(gone => 1), 'a reload');
is(join(' ', map { call($_) } @clients), 'a a a a', '... the first endpoint');
is(call($clients[0], 'demo.Other'), 'status 60', '... a service is gone');

# names with groups and versions, and callers that ask for any

write_conf(mesh => join '', map {
    my ($name, $peer) = @$_;
    "service $name { endpoint @{[$peer->address]}; }";
} ['g/demo.G:1', $a], ['h/demo.G:1', $b], ['demo.V:1', $a], ['demo.V:2', $b]);
ok($t->reload(gone => 1), 'groups and versions');

for my $n (1, 2) {
    my $c = $clients[$n];

    is(went($c->call(service => 'demo.G', version => '1', group => 'h',
                     attachments => { group => 'h' })), 'b', 'a group');
    is(went($c->call(service => 'demo.V', version => '2')), 'b', 'a version');

    my %seen = map { went($c->call(service => 'demo.V', version => '*')) => 1 }
               1 .. 4;
    is(join(' ', sort keys %seen), 'a b', 'any version');
}

# more than the zone holds

$t->allow_log(qr/services of the configuration need/);
my $many = join '', map { "service many.S$_ { endpoint 127.0.0.1:1 label=x="
                          . 'y' x 900 . '; }' } 1 .. 9000;
my ($status, $said) = $t->check_conf(conf(service => '', mesh => $many));
isnt($status, 0, 'more services than the zone holds');
like($said, qr/the services of the configuration need \d+k of the mesh zone, /,
     '... says so');

$t->write_conf(conf(service => "endpoint @{[$b->address]};", mesh => $many,
                    main => 'worker_processes 2;'));
my @before = map { call($_) } @clients;
ok(!$t->reload, 'a reload with more services than fit');
is(join(' ', map { call($_) } @clients), "@before", '... changes nothing');
is(call($clients[0], 'many.S1'), 'status 60', '... not even in part');

$t->done;
