#!/usr/bin/perl

# Instances of applications that do not say what they offer, or not as they
# should: each is told of, and none is taken for one that offers nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Api;
use Mesh::Dubbo;
use Mesh::FaultHTTP;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test qw(wait_for);

my $consul = Mesh::FaultHTTP->new;
my $triple = Mesh::FaultHTTP->new;

sub service {
    my ($path, %o) = @_;
    return { "$path:dubbo" => { name => $path, path => $path,
                                protocol => 'dubbo', %o } };
}


sub answer {
    my ($value) = @_;
    return methods => { getMetadataInfo => { value => $value } };
}


# what an instance answers with the revision "r", and what is told then

my $deep = 'x';
$deep = [$deep] for 1 .. 70;

my %case = (
    refuses => [{ methods => { getMetadataInfo => {
                      status => 40, error => "bad\nworse" } } }, qr/: bad/],
    throws => [{ methods => { getMetadataInfo => { exception => 'oh no' } } },
               qr/oh no/],
    text => [{ answer('text') }, qr/something else than metadata/],
    none => [{ answer({ revision => 'r' }) },
             qr/something else than metadata/],
    other => [{ answer({ revision => 'q', services => {} }) },
              qr/another revision/],
    deep => [{ answer({ revision => 'r', services => {}, x => $deep }) },
             qr/damaged/],
    garbage => [{ garbage => 1 }, qr/does not speak dubbo/],
    closes => [{ close_after => 1 }, qr/closed the connection/],
    silent => [{ never => 1 }, qr/did not answer in time/],
    large => [{ size => 9 << 20 }, qr/more than 8 MiB/],
);

my %peer = map { $_ => Mesh::Peer->new(name => $_, %{ $case{$_}[0] }) }
           sort keys %case;

sub tags {
    my ($port, $params, @more) = @_;
    return ("dubbo.endpoints=[{\"port\":$port,\"protocol\":\"dubbo\"}]",
            'dubbo.metadata.revision=r',
            ($params ? 'dubbo.metadata-service.url-params='
                       . encode_json($params) : ()), @more);
}


sub instance {
    my ($name, $port, @tags) = @_;
    $consul->service($name, [ $consul->instance($name, $port,
                                                tags => \@tags) ]);
}


for my $name (keys %peer) {
    my $port = $peer{$name}->port;
    instance($name, $port, tags($port, { port => "$port",
                                         protocol => 'dubbo' }));
}

# nobody listens; nobody can be asked; Triple, with JSON and without

my $free = free_port();
instance('closed', $free, tags($free, { port => "$free",
                                        protocol => 'dubbo' }));
instance('centre', 20880, tags(20880, undef,
                               'dubbo.metadata.storage-type=remote'));
instance('name', 20880, tags(20880, undef));
$consul->service('name', [ $consul->instance('name', 20880,
    address => 'host.invalid', tags => [tags(20880, undef)]) ]);

$triple->fault(match => '/getMetadataInfo', times => 0, status => 200,
               json => { app => 'json', revision => 'r', services =>
                         service('demo.json', port => 20999) });
instance('json', 20880, tags(20880, { port => $triple->port . '',
                                      protocol => 'tri', version => '2.0.0' }));
instance('http2', $free, tags($free, { port => "$free", protocol => 'tri' }));

my %told = (
    (map { $_ => $case{$_}[1] } keys %case),
    closed => qr/refused/,
    centre => qr/metadata centre.*dubbo\.application\.metadata-type=local/,
    name => qr/no address that could be asked/,
    http2 => qr/127\.0\.0\.1:$free: /,
);

my $services = join "\n    ", map { "service demo.$_ { provided_by $_; }" }
               sort(keys %told), 'json';

my $t = Mesh::Test->new(timeout => 120);

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    state_path %%DIR%%/state;
    registry consul @{[$consul->url]};

    $services
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
    }
}
CONF

$t->run;

sub registry { return api($t, 'GET', 'registries/consul')->{json} // {} }

my %got;

wait_for {
    $got{$_->{service}} = $_ for @{ registry()->{status}{services} // [] };
    !grep { !length($got{"demo.$_"}{reason} // '') } keys %told;
} 30;

for my $name (sort keys %told) {
    my $got = $got{"demo.$name"};
    like($got->{reason} // '', $told{$name}, "$name: is told");
    ok(!$got->{known}, '... and unknown');
}

ok((wait_for {
    my $r = api($t, 'GET', 'services/demo.json/endpoints')->{json};
    ($r->{items}[0]{spec}{port} // 0) == 20999;
} 10), 'metadata as JSON');

my ($question) = grep { $_->{target} =~ /getMetadataInfo/ } $triple->requests;
is($question->{body}, '["r"]', '... of the revision');

is(api($t, 'GET', 'registries/consul')->{json}{status}{state}, 'ok',
   'the registry has not failed');

$_->stop for values %peer;
$t->done;
