#!/usr/bin/perl

# One process for everything: a reload that fails leaves the services as they
# were, also one that has another zone.  (nginx keeps the listeners of the old
# configuration in this mode: there is no reload that succeeds to be tested.)

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
    my ($zone, $peer, $stream) = @_;

    my $conf = conf(main => 'master_process off;',
                    service => "endpoint @{[$peer->address]};",
                    stream => $stream // '', server => 'mesh_timeout 2s;');

    $conf =~ s/zone mesh:/zone $zone:/ or die 'no zone';
    $t->write_conf($conf);
}


write_conf('one', $a);
$t->run;

my $client = $t->tcp('rpc');
is(went($client->call(service => 'demo.Echo')), 'a', 'one process');

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
my $port = $taken->sockport;

$t->allow_log(qr/\[emerg\].*(?:bind\(\)|still could not bind)/);
$t->allow_log(qr/cannot take the place of another/);

for (['one', "server { listen 127.0.0.1:$port; mesh_pass dubbo; }",
      qr/still could not bind/],
     ['two', '', qr/zone "two" cannot take the place of another while/])
{
    my ($zone, $stream, $said) = @$_;

    write_conf($zone, $b, $stream);
    $t->signal('HUP');
    ok($t->wait_log($said, 10), "a reload with zone $zone that fails");

    is(went($client->call(service => 'demo.Echo')), 'a',
       '... changes nothing');
    is(went($t->tcp('rpc')->call(service => 'demo.Echo')), 'a',
       '... nor for a new client');
    is(went($client->call(service => 'demo.None')), 'status 60',
       '... nor what there is not');
}

# without a mesh

$t->allow_log(qr/"mesh" cannot be removed/);
$t->write_conf('master_process off; http { server { '
               . 'listen 127.0.0.1:%%PORT_http%%; } }');
$t->signal('HUP');
ok($t->wait_log(qr/"mesh" cannot be removed while "master_process" is off/, 10),
   'a reload that takes it away is refused');
is(went($client->call(service => 'demo.Echo')), 'a', '... changes nothing');

$t->done;
