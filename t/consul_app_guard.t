#!/usr/bin/perl

# The guard and an interface of which an application is a part: most of its
# instances go at once, which is believed when all parts have said so again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Consul;
use Mesh::Peer;
use Mesh::Test qw(wait_for);

my $consul = Mesh::Consul->new;
my $t = Mesh::Test->new(timeout => 120);

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    state_path %%DIR%%/state;
    registry consul @{[$consul->url]};
    guard 50% min=3 hold=20s;

    service demo.App { provided_by shop; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
    }
}
CONF

my $peer = Mesh::Peer->new(methods => { getMetadataInfo => { value => {
    app => 'shop', revision => 'r', services => { 'demo.App:dubbo' => {
        name => 'demo.App', path => 'demo.App', protocol => 'dubbo' } },
} } });

sub instance {
    my ($n) = @_;
    $consul->register("i-$n", 'shop', 20000 + $n, node => 'far', tags => [
        'dubbo.endpoints=[{"port":' . (20000 + $n) . ',"protocol":"dubbo"}]',
        'dubbo.metadata.revision=r',
        'dubbo.metadata-service.url-params={"port":"' . $peer->port
        . '","protocol":"dubbo"}',
    ]);
}


# all at once

sub gone {
    my (@n) = @_;
    $consul->done('PUT', '/v1/txn', [ map { {
        Service => { Verb => 'delete', Node => 'far',
                     Service => { ID => "i-$_", Service => "shop" } } } } @n ]);
}


sub endpoints {
    my $r = api($t, 'GET', 'services/demo.App/endpoints');
    return scalar @{ $r->{json}{items} // [] };
}


sub registry { return api($t, 'GET', 'registries/consul')->{json} }


instance($_) for 1 .. 6;
$t->run;
ok((wait_for { endpoints() == 6 } 20), 'six instances');

gone(1 .. 5);
ok((wait_for { registry()->{status}{held} } 20), 'five go: it is held');
is(endpoints(), 6, '... and all are kept');
instance($_) for 2 .. 5;
ok((wait_for { !registry()->{status}{held} } 20), 'they come again');
ok((wait_for { endpoints() == 5 } 20), '... but for one');

gone(2 .. 5);
ok((wait_for { registry()->{status}{held} } 20), 'they go again');
is(api($t, 'POST', 'registries/consul/resync?force=1&service=demo.App')
   ->{status}, 200, 'an operator believes it');
ok((wait_for { endpoints() == 1 } 20), '... so they are gone');

instance($_) for 1 .. 5;
ok((wait_for { endpoints() == 6 } 20), 'all are back');
gone(1 .. 6);
ok((wait_for { registry()->{status}{held} } 20), 'all go: it is held');
ok((wait_for { endpoints() == 0 } 60), '... until the hold ends');

$peer->stop;
$t->done;
