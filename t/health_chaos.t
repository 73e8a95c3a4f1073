#!/usr/bin/perl

# Providers that die, hang, reset and come back at random, under load by
# clients some of which leave: every call has one answer, its own or a typed
# failure, and in the end nothing is left behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time sleep);

my $seconds = $ENV{TEST_MESH_LONG} ? 120 : 8;
my $seed = $ENV{TEST_MESH_SEED} // time ^ $$;

srand $seed;
note("TEST_MESH_SEED=$seed");

my $t = Mesh::Test->new(timeout => 120 + 2 * $seconds);
my %slow = (methods => { slow => { delay => 0.4 }, never => { never => 1 } },
            keep => 1);
my @peers = map { Mesh::Peer->new(name => "p$_", %slow) } 1 .. 4;
my ($crt, $key) = $t->certificate('provider', 'provider.example');

my @services = map { "demo.$_" } qw(RR Random Least Hash Tls Pinned);
my $endpoints = join '', map {
    'endpoint ' . $_->address . ' max_fails=2 fail_timeout=500ms '
    . "slow_start=1s;\n"
} @peers;

my $common = 'mesh_timeout 1500ms; mesh_connect_timeout 200ms;
              mesh_heartbeat 200ms; mesh_idempotent *:get;
              mesh_next_upstream error timeout tries=3 budget=50%;
              mesh_link_buffer 256k; mesh_buffer_size 4k;';

$t->write_conf(conf(
    server => $common,
    service => $endpoints,
    mesh => "service demo.RR { $endpoints }
             service demo.Random { balancer random; $endpoints }
             service demo.Least { balancer least_request; $endpoints }
             service demo.Hash { balancer hash method; $endpoints }
             service demo.Tls { endpoint 127.0.0.1:%%PORT_tls1%%;
                                endpoint 127.0.0.1:%%PORT_tls2%%; }
             service demo.Pinned { $endpoints }",
    stream => "server {
                   listen 127.0.0.1:%%PORT_tls%%;
                   mesh_pass dubbo;
                   mesh_ssl on;
                   $common
               }
               server {
                   listen 127.0.0.1:%%PORT_pinned%%;
                   mesh_pass dubbo;
                   mesh_multiplex off;
                   $common
               }
               server {
                   listen 127.0.0.1:%%PORT_links%%;
                   mesh_pass dubbo;
                   mesh_multiplex on links=3;
                   $common
               }"
               . join '', map { "
                   server {
                       listen 127.0.0.1:%%PORT_tls$_%% ssl;
                       ssl_certificate $crt;
                       ssl_certificate_key $key;
                       proxy_pass " . $peers[$_]->address . ";
                   }" } 1, 2));
$t->run;

# what nginx's own TLS server says when connections break
$t->allow_log(qr/SSL_(?:shutdown|write|read|do_handshake)\(\) failed .* server: /);

my (%clients, %wait, %seen, %status, $wrong, $twice, $lost);
my $id = 1;

$wrong = $twice = $lost = 0;


sub new_client {
    my $port = (qw(rpc tls pinned links))[rand 4];
    my $client = eval { $t->tcp($port) } // die "no client of $port: $@";

    $client->{service} = $port eq 'tls' ? 'demo.Tls'
                                        : $services[rand 4];
    $client->{service} = 'demo.Pinned' if $port eq 'pinned';
    $clients{$client} = $client;
}


sub calls {
    my ($client) = @_;

    my $bytes = '';

    for (1 .. 1 + rand 12) {
        my $size = (10, 100, 1000, 3000, 9000, 70_000)[rand 6];
        my $method = (qw(get get save save slow never))[rand 6];
        $method = 'get' if $method eq 'never' && rand() < 0.7;
        my $arg = join ' ', $id, $method, 'x' x $size;

        $bytes .= Mesh::Dubbo::request(id => $id, method => $method,
            service => $client->{service}, args => [ $arg ]);
        $wait{$client}{$id++} = $arg;
    }

    $client->send($bytes);
}


sub answers {
    my ($client, $seconds) = @_;

    for my $f ($client->recv_frames(200, $seconds)) {
        next if $f->{kind} ne 'response';

        $status{$f->{status}}++;
        my $arg = delete $wait{$client}{$f->{id}};

        if (!defined $arg) {
            $twice++;

        } elsif ($f->{status} == 20) {
            $wrong++ if !defined $f->{value} || $f->{value} ne $arg;
        }
    }

    if ($client->{eof}) {
        $lost += keys %{ $wait{$client} };
        delete $wait{$client};
        delete $clients{$client};
    }
}


# a provider started since has this socket too: closing it is not enough

sub leave {
    my ($client, $reset) = @_;

    shutdown $client->socket, 2;
    $reset ? $client->rst : $client->close;
    delete $wait{$client};
    delete $clients{$client};
}


sub mischief {
    my $peer = $peers[rand @peers];
    my $what = (qw(rst close stop freeze rst close))[rand 6];

    if ($peer->{down}) {
        $peer->{down} eq 'stop' ? $peer->start : $peer->thaw;
        delete $peer->{down};

    } elsif ($what eq 'rst') {
        $peer->rst_all;

    } elsif ($what eq 'close') {
        $peer->close_all;

    } else {
        $what eq 'stop' ? $peer->stop : $peer->freeze;
        $peer->{down} = $what;
    }
}


my $end = time + $seconds;

new_client() for 1 .. 12;

while (time < $end) {
    calls($_) for grep { rand() < 0.6 } values %clients;
    answers($_, 0.002) for values %clients;
    mischief() if rand() < 0.15;

    if (rand() < 0.2) {
        leave((values %clients)[rand keys %clients], rand() < 0.5);
    }

    new_client() while keys %clients < 12;
}

for my $peer (grep { $_->{down} } @peers) {
    $peer->{down} eq 'stop' ? $peer->start : $peer->thaw;
}

# the rest: mesh_timeout is an end to every call

my $until = time + 20;

while (time < $until && grep { %{ $wait{$_} // {} } } values %clients) {
    answers($_, 0.05) for values %clients;
}

my $left = 0;
$left += keys %{ $wait{$_} // {} } for values %clients;

is($left, 0, 'every call was answered');
is($twice, 0, '... once');
is($wrong, 0, '... with its own answer');
is($lost, 0, '... and no client was closed');
is(join(' ', grep { !/^(?:20|30|31|60|70|100)$/ } keys %status), '',
   'failures are typed');
ok($status{$_}, "some got $_") for 20, 70;
note(join ', ', map { "$_: $status{$_}" } sort keys %status);


# all is well again

leave($_) for values %clients;

for my $port (qw(rpc links pinned tls)) {
    my $client = $t->tcp($port);
    my $service = $port eq 'tls' ? 'demo.Tls' : 'demo.RR';

    ok(wait_for(sub {
        my @f = burst($client, 20, service => $service, method => 'save',
                      args => [ 'well' ]);
        (statuses(@f)->{well} // 0) == 20;
    }, 20), "$port: all is well again");

    leave($client);
}

my $m;

ok(wait_for(sub {
    $m = $t->metrics;
    $m->{mesh_client_connections} == 0 && $m->{mesh_requests_in_flight} == 0
        && $m->{mesh_buffered_bytes} == 0;
}, 20), 'nothing is left behind')
    or diag(map { "$_ $m->{$_}\n" } grep { /^mesh_\w+$/ } sort keys %$m);

$t->done;
