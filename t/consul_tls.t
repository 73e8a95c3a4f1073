#!/usr/bin/perl

# Consul over TLS, with a client's certificate, and over a unix socket.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Consul;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';

my $t = Mesh::Test->new(timeout => 200);
my ($crt, $key) = $t->certificate('consul');
my ($client, $client_key) = $t->certificate('client');
my $socket = $t->dir . '/consul.sock';

my $c = Mesh::Consul->new(unix => $socket,
                          tls => { crt => $crt, key => $key, ca => $client });

$c->dubbo("dubbo://127.0.0.1:20881/$NAME?side=provider", ttl => 600);

my $https = $c->https;
my $named = "ssl_name=consul trusted_certificate=$crt";
my $with = "certificate=$client certificate_key=$client_key";

$t->allow_log(qr/no certificate|nothing/);
$t->write_conf(learn_conf("consul unix:$socket name=socket",
    service => $NAME, mesh => join "\n", map { "registry $_ discovery=listed;" }
    "consul $https name=tls $named $with",
    "consul $https name=unverified ssl_verify=off $with",
    "consul $https name=unknown ssl_name=consul $with",
    "consul $https name=other ssl_name=other trusted_certificate=$crt $with",
    "consul $https name=nobody $named"));
$t->run;

# owners(): which registries have it

sub owners {
    my ($ep) = @{ $t->http('GET', "/api/1/services/$NAME/endpoints", undef,
                           port => 'http')->{json}{items} // [] };
    return $ep ? $ep->{metadata}{owners} // [ $ep->{metadata}{owner} ] : [];
}

until_learned($t, $NAME, 1);
wait_for { $t->log =~ /"tls".* answers/ && $t->log =~ /"unverified".* answers/
           && $t->log =~ /"socket".* answers/ } 10;

my $log = $t->log;

like($log, qr/"socket": "unix:\S+" answers/, 'a unix socket');
like($log, qr/"tls": "https\S+" answers/, 'TLS');
like($log, qr/"unverified": "https\S+" answers/, 'not verified');
unlike($log, qr/"(unknown|other|nobody)": "https\S+" answers/, 'the others');

for (['unknown', qr/certificate of \S+ is not valid/],
     ['other', qr/does not match "other"/],
     ['nobody', qr/certificate required|handshake|alert|reset|closed/])
{
    my ($name, $why) = @$_;
    ok(wait_for(sub { $t->log =~ /\[error\].*"$name":.*$why/ }, 10),
       "$name: it is told why") or diag($t->log);
}

$c->dubbo("dubbo://127.0.0.1:20882/$NAME?side=provider", ttl => 600);
is(until_learned($t, $NAME, 2), '127.0.0.1:20881=100 127.0.0.1:20882=100',
   'changes are seen');

$t->done;
