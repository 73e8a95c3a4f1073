#!/usr/bin/perl

# TLS in front of the mesh, towards the providers, and both; nginx itself is
# the terminator before a plain provider.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(name => 'ok', methods => { big => { size => 1 } });

my ($crt, $key) = $t->certificate('provider', 'provider.example');
my ($client_crt, $client_key) = $t->certificate('client', 'client.example');
my ($front_crt, $front_key) = $t->certificate('front', 'front.example');


# a listener of its own for each way to speak TLS to the provider

my %way = (
    plain => '',
    good => "mesh_ssl_verify on; mesh_ssl_trusted_certificate $crt;
             mesh_ssl_name provider.example; mesh_ssl_server_name on;",
    name => "mesh_ssl_verify on; mesh_ssl_trusted_certificate $crt;
             mesh_ssl_name other.example;",
    trust => "mesh_ssl_verify on; mesh_ssl_trusted_certificate $client_crt;
              mesh_ssl_name provider.example;",
    unverified => 'mesh_ssl_name other.example;',
    reuse => 'mesh_ssl_name reuse.example; mesh_ssl_server_name on;',
    single => 'mesh_ssl_name single.example; mesh_ssl_server_name on;
               mesh_ssl_session_reuse off;',
    certified => "mesh_ssl_certificate $client_crt;
                  mesh_ssl_certificate_key $client_key;",
    bare => '',
);

# and a service each, as the endpoints are what failures are counted for

my %port = map { $_ => $_ =~ /^(?:certified|bare)$/ ? 'mutual' : "tls_$_" }
           keys %way;
my $to = '127.0.0.1:' . $peer->port;

$t->write_conf(conf(
    service => "endpoint $to;",
    mesh => join('', map {
        "service demo.\u$_ { endpoint 127.0.0.1:%%PORT_$port{$_}%%
                             max_fails=0; }\n"
    } keys %way) . 'service demo.NoTls { endpoint ' . $to . ' max_fails=0; }',
    stream => 'log_format tls "$ssl_server_name $ssl_session_reused '
              . '$ssl_client_s_dn";' . join('', map {
        "server {
             listen 127.0.0.1:%%PORT_$_%%;
             mesh_pass dubbo;
             mesh_ssl on;
             mesh_connect_timeout 2s;
             $way{$_}
         }\n"
    } keys %way) . join('', map {
        "server {
             listen 127.0.0.1:%%PORT_$_%% ssl;
             ssl_certificate $crt;
             ssl_certificate_key $key;
             ssl_session_cache none;
             proxy_pass $to;
             access_log %%DIR%%/$_.log tls;
             " . ($_ eq 'mutual' ? "ssl_verify_client on;
                                    ssl_client_certificate $client_crt;"
                                 : '') . "
         }\n"
    } do { my %seen; grep { !$seen{$_}++ } values %port }) . "
        server {
            listen 127.0.0.1:%%PORT_front%% ssl;
            ssl_certificate $front_crt;
            ssl_certificate_key $front_key;
            mesh_pass dubbo;
        }

        server {
            listen 127.0.0.1:%%PORT_both%% ssl;
            ssl_certificate $front_crt;
            ssl_certificate_key $front_key;
            mesh_pass dubbo;
            mesh_ssl on;
        }
    "));
$t->run;


sub through {
    my ($port, $service, $n) = @_;

    return scalar spread($t->tcp($port), $n // 3, service => $service);
}


# the front

my $front = $t->tcp('front', tls => 1, ssl => {
    SSL_verify_mode => 1, SSL_ca_file => $front_crt,
    SSL_verifycn_name => 'front.example',
});

is_deeply(scalar spread($front, 5), { ok => 5 }, 'a client that speaks TLS');
is_deeply(statuses(burst($front, 200)), { ok => 200 }, '... many at once');

my $slow = $t->tcp('front', tls => 1);
$slow->send(Mesh::Dubbo::request(service => 'demo.Echo', id => 7),
            piece => 11, pause => 0.001);
is(went($slow->recv_frame), 'ok', '... in small records');


# towards the provider

is_deeply(through('good', 'demo.Good'), { ok => 3 },
          'a provider that speaks TLS, verified');
is_deeply(through('unverified', 'demo.Unverified'), { ok => 3 },
          '... not verified');
is_deeply(through('plain', 'demo.Plain'), { ok => 3 },
          '... by the name of the endpoint');

is_deeply(through('name', 'demo.Name', 1), { 'status 70' => 1 },
          'a certificate of another name is refused');
is(scalar $t->grep_log(qr/certificate does not match "other\.example"/), 1,
   '... one line says so');
is_deeply(through('trust', 'demo.Trust', 1), { 'status 70' => 1 },
          'a certificate nobody vouches for is refused');
is(scalar $t->grep_log(qr/\[error\].*endpoint's certificate is not valid/), 1,
   '... one line says so');

is_deeply(through('plain', 'demo.NoTls', 1), { 'status 70' => 1 },
          'a provider without TLS fails typed');

# the terminator's own words when data follow the certificate it refuses

my $mutual = '127.0.0.1:' . $t->port('mutual');
$t->allow_log(qr/SSL_shutdown\(\) failed .* server: \Q$mutual\E$/);

is_deeply(through('certified', 'demo.Certified'), { ok => 3 },
          'a client certificate is shown');
is_deeply(through('bare', 'demo.Bare', 1), { 'status 70' => 1 },
          '... and asked for');


# links are made anew; session resumed unless that is off

for my $way (qw(reuse single)) {
    my $client = $t->tcp($way);

    for my $n (1 .. 3) {
        is((spread($client, 1, service => "demo.\u$way"))[0], 'ok',
           "$way: link $n");

        $peer->close_all;
        wait_for {
            my @lines = split /\n/, $t->read_file("tls_$way.log");
            @lines == $n;
        } 10, 'the link to end';
    }

    my $log = $t->read_file("tls_$way.log");

    is($log, "$way.example . -\n"
             . "$way.example @{[ $way eq 'reuse' ? 'r' : '.' ]} -\n" x 2,
       $way eq 'reuse' ? 'sessions are resumed' : 'sessions are not resumed');
}


# big bodies both ways, TLS on both sides

my $both = $t->tcp('both', tls => 1);
my $body = join '', map { sprintf '%07d.', $_ } 1 .. 250_000;

my $f = $both->call(service => 'demo.Plain', args => [ $body ],
                    timeout => 30);

is(length($f->{value} // ''), length $body, 'a body of 2 MB and back');
ok($f->{value} eq $body, '... is the same') if $f->{value};

my @f = burst($both, 8, service => 'demo.Plain', args => sub {
    [ substr $body, $_[0] * 8, 100_000 + $_[0] * 1000 ]
});

is(scalar(grep {
    $f[$_] && $f[$_]{value} eq substr $body, $_ * 8, 100_000 + $_ * 1000
} 0 .. 7), 8, '... several at once');

is_deeply(scalar spread($both, 5, service => 'demo.Plain'), { ok => 5 },
          'the connection is good for more');


# clients by TLS get the notice as well

$_->close for $slow, $both;
$t->signal('QUIT');
is($front->recv_frame->{kind}, 'readonly', 'the notice goes through TLS');
isnt($front->closed(5), '', '... then it closes');

$t->done;
