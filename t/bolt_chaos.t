#!/usr/bin/perl

# Bolt and what was Bolt before bytes of it changed, from clients and from
# providers at random: who speaks it well gets one answer to each call, and in
# the end nothing is left behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time);

my $seconds = $ENV{TEST_MESH_LONG} ? 120 : 8;
my $seed = $ENV{TEST_MESH_SEED} // time ^ $$;

srand $seed;
note("TEST_MESH_SEED=$seed");

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1, switch => 1 },
    { proto => 2, ver1 => 2, switch => 0 },
    { proto => 2, ver1 => 2, switch => 1 },
);


# some bytes other, fewer, more, or in another order; the id, where it is at
# "keep", stays, as nobody can tell an answer with the id of another call

sub damage {
    my ($bytes, $keep) = @_;

    for (1 .. 1 + rand 3) {
        my $n = length $bytes;
        my $at = int rand(rand() < 0.7 && $n > 40 ? 40 : $n);

        next if defined $keep && $at >= $keep && $at < $keep + 4;

        my $how = int rand(defined $keep ? 3 : 6);

        if ($how == 0) {
            substr $bytes, $at, 1, chr int rand 256;

        } elsif ($how == 1) {
            substr $bytes, $at, 1,
                   chr(ord(substr $bytes, $at, 1) ^ 1 << rand 8);

        } elsif ($how == 2) {
            substr $bytes, $at, 1, (map { chr } 0, 0x7f, 0x80, 0xff)[rand 4];

        } elsif ($how == 3) {
            substr $bytes, $at, 1 + rand 8, '';

        } elsif ($how == 4) {
            substr $bytes, $at, 0, substr $bytes, rand $n, rand 60;

        } else {
            $bytes = substr $bytes, 0, $at;
        }
    }

    return $bytes;
}


# a provider that is bad to those who ask for it

sub provider {
    my ($p, $c, $f) = @_;

    return 0 if $f->{kind} ne 'request' || ($f->{method} // '') ne 'evil';

    $p->count($c, $f);

    my $id = $f->{proto} == 2 ? 6 : 5;
    my $how = int rand 12;
    my $answer = Mesh::Bolt::reply($f, value => 'evil');

    $p->write($c, $how == 0 ? Mesh::Bolt::reply($f, crc => 1, value => 'x')
                : $how == 1 ? Mesh::Bolt::reply($f, cmdcode => rand 65536)
                : $how == 2 ? Mesh::Bolt::reply($f, status => rand 65536)
                : $how == 3 ? $answer x 3
                : $how == 4 ? Mesh::Bolt::reply($f, content => 'x' x 300_000)
                : $how == 5 ? Mesh::Bolt::heartbeat(Mesh::Bolt::like($f))
                : $how == 6 ? Mesh::Bolt::request(service => 'demo.Echo')
                : $how == 7 && rand() < 0.3 ? Mesh::Bolt::readonly()
                : $how == 8 && rand() < 0.3 ? Mesh::Dubbo::heartbeat()
                : $how < 10 ? damage($answer, $id) : $answer);
    $p->drop($c, rand() < 0.5) if $how == 11 && rand() < 0.3;

    return 1;
}

# a seed of its own for each, forked, process
my @peers = map {
    srand($seed + $_);
    Mesh::Peer->new(speaks => 'bolt', handler => \&provider, keep => 1,
                    methods => { slow => { delay => 0.3 } })
} 1 .. 3;

srand($seed);

my $t = Mesh::Test->new(timeout => 120 + 2 * $seconds);
my $endpoints = join '', map {
    'endpoint ' . $_->address . " max_fails=0;\n"
} @peers;
my $common = 'mesh_timeout 1500ms; mesh_connect_timeout 200ms;
              mesh_header_timeout 500ms; mesh_heartbeat 200ms;
              mesh_idempotent *:get; mesh_buffer_size 4k;
              mesh_next_upstream error timeout tries=3 budget=50%;
              mesh_max_frame 128k;';

$t->write_conf(conf(pass => 'auto', server => $common,
    service => $endpoints,
    mesh => "service demo.Echo:1.0 { $endpoints }
             service com.alipay.sofa.rpc.core.request.SofaRequest {
                 $endpoints
             }",
    stream => "
    mesh_log_format all '\$mesh_service \$mesh_method \$mesh_version '
                        '\$mesh_app \$mesh_attachment_type \$mesh_status '
                        '\$mesh_attachment_rpc_trace_context_sofaTraceId';
    server {
        listen 127.0.0.1:%%PORT_pinned%%;
        mesh_pass bolt;
        mesh_multiplex off;
        $common
    }
    server {
        listen 127.0.0.1:%%PORT_logged%%;
        mesh_pass bolt;
        mesh_deadline always;
        mesh_access_log %%DIR%%/all.log all buffer=64k;
        mesh_default_service demo.Echo:1.0;
        $common
    }"));
$t->run;

my ($worker) = $t->workers;
my ($id, $sent, $strange, $twice, $bad) = (0, 0, 0, 0, 0);
my (%wait, %seen);


# those who speak it well

my @good = map { $t->tcp((qw(rpc pinned logged))[$_ % 3], speaks => 'bolt') }
           0 .. 5;

sub honest {
    my ($client) = @_;

    my $bytes = '';

    for (1 .. 1 + rand 8) {
        my $size = (10, 300, 3000, 9000, 40_000)[rand 5];
        my $method = (qw(get get save save slow))[rand 5];
        my $arg = join ' ', ++$id, $method, 'x' x $size;

        $wait{$client}{$id} = $arg;
        $sent++;
        $bytes .= Mesh::Bolt::request(
            %{ $forms[rand 4] }, id => $id, method => $method,
            service => 'demo.Echo', args => [ $arg ],
            codec => (1, 1, 11)[rand 3], dialect => (qw(A B))[rand 2],
            timeout_ms => (-1, 1000)[rand 2]);
    }

    $client->send($bytes);
}

sub collect {
    my ($client, $seconds) = @_;

    while (my $f = $client->recv_frame($seconds)) {

        # callbacks reach whoever has a link of its own
        next if $f->{kind} ne 'response';

        my $arg = delete $wait{$client}{$f->{id}};

        if (!defined $arg) {
            $twice++;
            next;
        }

        my $went = went($f);

        $seen{$went eq $arg ? 'own' : $went =~ s/^(\S+ \S+).*/$1/sr}++;
        $strange++ if $went ne $arg && $went !~ /^(?:status \d+|error )/;
    }
}


# ... and those who do not

my @evil;

sub evil {
    my $client = $evil[rand 8];

    if (!$client || $client->{eof} || rand() < 0.05) {
        my $n = int rand 8;

        $evil[$n]->close if $evil[$n];
        $client = $evil[$n] = eval {
            $t->tcp((qw(rpc pinned logged))[rand 3], speaks => 'bolt')
        } or return;
        $client->{raw} = 1;
    }

    my $bytes = join '', map {
        Mesh::Bolt::request(%{ $forms[rand 4] }, id => rand 1000,
                            service => 'demo.Echo', method => 'evil',
                            oneway => rand() < 0.1, codec => (1, 1, 11)[rand 3],
                            dialect => (qw(A B))[rand 2],
                            rand() < 0.4 ? (headers => {}) : (),
                            args => [ 'x' x rand 500 ])
    } 1 .. 1 + rand 4;

    $bytes = damage($bytes) if rand() < 0.7;
    $bad++;
    $client->send($bytes, timeout => 1);
    $client->pump(0.001, sub { 0 });
    $client->{in} = '';
}


my $until = time + $seconds;

while (time < $until) {
    evil() for 1 .. 4;
    honest($good[rand @good]);
    collect($_, 0.001) for @good;
}

$_ && $_->close for @evil;

for my $client (@good) {
    my $last = time + 20;
    collect($client, 0.2) while keys %{ $wait{$client} } && time < $last;
}

note explain \%seen;
note "$sent calls, $bad damaged";

my $lost = 0;
$lost += keys %$_ for values %wait;

is($lost, 0, 'each good call is answered');
is($twice, 0, '... once');
is($strange, 0, '... with its own answer, or a failure that is typed');
cmp_ok($seen{own} // 0, '>', $sent / 2, '... most of them well');
is(scalar(grep { $_->{eof} } @good), 0, 'no good client was closed');
is_deeply([ $t->workers ], [ $worker ], 'the worker lives');
is((grep { $_->pid && kill 0, $_->pid } @peers), 3, 'so do the providers');

$_->close for @good;

ok(wait_for(sub {
    my $m = $t->metrics;
    $m->{mesh_client_connections} == 0 && $m->{mesh_requests_in_flight} == 0
        && $m->{mesh_buffered_bytes} == 0;
}, 20), 'nothing is left over');

$t->done;
