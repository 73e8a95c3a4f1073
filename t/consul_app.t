#!/usr/bin/perl

# Applications of Dubbo 3 in a real Consul: what their instances offer is asked
# of them, once for each revision, and what cannot be had is never taken for
# nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Consul;
use Mesh::Peer;
use Mesh::Test qw(wait_for);

my $consul = Mesh::Consul->new;
my $t = Mesh::Test->new(timeout => 200);

$t->write_conf(<<"CONF");
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;
    state_path %%DIR%%/state;
    registry consul @{[$consul->url]};
    guard off;

    service demo.App { provided_by shop; }
    service demo.Other { provided_by shop; }
    service demo.Both { provided_by shop stock; }
    service demo.Typo { provided_by shop; }
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_timeout 5s;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
        location /metrics { mesh_metrics; }
    }
}
CONF


# a provider, which answers calls and says what it has

sub services {
    my (@keys) = @_;

    return { map {
        my ($group, $path, $version) = m{^(?:([^/]*)/)?([^:]*)(?::(.*))?$};
        ("$_:dubbo" => { name => $path, path => $path, protocol => 'dubbo',
                         group => $group, version => $version,
                         params => { side => 'provider', warmup => '1',
                                     release => '3.3.6' } });
    } @keys };
}


sub metadata {
    my ($revision, @keys) = @_;
    return { methods => { getMetadataInfo => { value => {
        app => 'shop', revision => $revision, services => services(@keys) } } } };
}


sub instance {
    my ($peer, $revision, %o) = @_;

    my $port = $peer->port;
    my $params = encode_json({ port => "$port", protocol => 'dubbo',
                               version => '1.0.0', %{ $o{params} // {} } });

    return $consul->register($peer->name, $o{app} // 'shop', $port, tags => [
        "dubbo.endpoints=[{\"port\":$port,\"protocol\":\"dubbo\"}]",
        "dubbo.metadata.revision=$revision",
        "dubbo.metadata-service.url-params=$params",
        'dubbo.metadata.storage-type=null', 'meta-v=1.0.0',
        'timestamp=1795441654374', @{ $o{tags} // [] },
    ]);
}


sub asked {
    my ($peer) = @_;
    return $peer->stats->{methods}{getMetadataInfo} // 0;
}


my $client;

# who answers calls of a service

sub who {
    my ($service, %o) = @_;
    my %seen;
    $seen{ went($client->call(service => $service, method => 'm', args => [],
                              %o)) } = 1 for 1 .. 12;
    return join ' ', sort keys %seen;
}


sub serves {
    my ($service, $names, $what, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $got;
    ok((wait_for { ($got = who($service, %o)) eq $names } 20), $what)
        or diag("it is: $got");
}


# what the API has to tell of a service

sub told {
    my ($service, $field) = @_;
    my $r = api($t, 'GET', 'registries/consul')->{json};
    my ($of) = grep { $_->{service} eq $service } @{ $r->{status}{services} // [] };
    return $of->{$field} // '';
}


my ($a, $b, $c) = map { Mesh::Peer->new(name => $_, value => $_,
    %{ metadata('r1', qw(demo.App g/demo.App:2.0.0 demo.Other demo.Both)) })
} qw(a b c);

instance($a, 'r1');
$t->run;
$client = $t->tcp('rpc');

serves('demo.App', 'a', 'what an instance offers');
serves('demo.App', 'a', '... with group and version', version => '2.0.0',
       attachments => { group => 'g' });
serves('demo.Other', 'a', 'another interface of the same application');
is(asked($a), 1, 'it was asked once');
my ($question) = grep { $_->{method} eq 'getMetadataInfo' } $a->log;
is_deeply([@{$question}{qw(service version args)}],
          ['org.apache.dubbo.metadata.MetadataService', '1.0.0', ['r1']],
          '... for its revision');
is($question->{attachments}{group}, 'shop', '... in its application');

ok((wait_for { told('demo.Typo', 'unmapped') =~ /none of 1 instances of shop/ }
    5), 'what it does not offer is told');


# instances of the same revision; and of another

instance($b, 'r1');
serves('demo.App', 'a b', 'another instance');
is(asked($b), 0, '... is not asked');

instance($c, 'r2');
serves('demo.App', 'a b', 'one of a revision that it does not know');
ok((wait_for { told('demo.App', 'unmapped') =~ /another revision/ } 10),
   '... is told of') or diag(told('demo.App', 'unmapped'));
$consul->deregister('b');
serves('demo.App', 'a', '... and holds up nothing');
$c->set(%{ metadata('r2', qw(demo.App)) });
serves('demo.App', 'a c', '... until it knows');
ok((wait_for { told('demo.App', 'unmapped') eq '' } 10), '... which is all');
serves('demo.Other', 'a', 'what it does not offer is the other\'s');


# a revision that changes, as at a provider's start

$a->set(methods => { getMetadataInfo => { status => 70, error => 'not now' } });
instance($a, 'r3');
ok((wait_for { told('demo.App', 'unmapped') =~ /not now/ } 10),
   'another revision, which is not known');
serves('demo.Other', 'a', '... it offers what it did');
$a->set(%{ metadata('r3', qw(demo.App)) });
serves('demo.Other', 'status 60', '... until that is known');
serves('demo.App', 'a c', '... and what it goes on to offer');


# two applications, and the interface's own name

my $d = Mesh::Peer->new(name => 'd', value => 'd',
                        %{ metadata('s1', qw(demo.Both demo.App)) });
my $e = Mesh::Peer->new(name => 'e', value => 'e');

instance($d, 's1', app => 'stock');
serves('demo.Both', 'd', 'of two applications');
serves('demo.App', 'a c', '... one is not the other');
$consul->dubbo('dubbo://127.0.0.1:' . $e->port . '/demo.Both?interface='
               . 'demo.Both&warmup=1&timestamp=1795441654374');
serves('demo.Both', 'd e', '... beside what is registered as before');
$consul->dubbo('dubbo://127.0.0.1:' . $d->port . '/demo.Both?interface='
               . 'demo.Both&warmup=1&timestamp=1795441654374');
serves('demo.Both', 'd e', 'the same in both ways');
$consul->deregister('dubbo-demo.Both-' . $_->port) for $d, $e;
serves('demo.Both', 'd', '... and one of them again');
$consul->maintenance('d', 1, 'by hand');
serves('demo.Both', 'status 60', 'maintenance drains it');
$consul->maintenance('d', 0);
serves('demo.Both', 'd', '... and it is back');


# an agent that knows nothing yet: its metadata cannot be had

$d->set(methods => { getMetadataInfo => { status => 70, error => 'no more' } });
$t->quit;
$t->run;
$client = $t->tcp('rpc');
ok((wait_for { told('demo.Both', 'reason') =~ /no more/ } 20),
   'unknown, after a restart');
is(who('demo.Both'), 'd', '... what was known goes on');
$d->set(%{ metadata('s1', qw(demo.Both)) });
ok((wait_for { told('demo.Both', 'reason') eq '' } 20), '... known again');
is(who('demo.Both'), 'd', '... the same');


# the last one goes

$consul->deregister('d');
serves('demo.Both', 'status 60', 'none is none');

$_->stop for $a, $b, $c, $d, $e;
$t->done;
