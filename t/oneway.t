#!/usr/bin/perl

# One-way calls and links that come to nothing: what no endpoint was connected
# for goes elsewhere, or is said to have failed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $t = Mesh::Test->new;
my $good = Mesh::Peer->new(value => 'good');
my $at = $good->address;
my $dead = free_port();


# with a full backlog: a connect to it neither fails nor succeeds

my @holes = map {
    IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "listen: $!";
} 1 .. 4;
my @stuck = map { '127.0.0.1:' . $_->sockport } @holes;
my @filling = map {
    IO::Socket::INET->new(PeerAddr => $_, Blocking => 0)
} map { ($_) x 3 } @stuck;

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    service demo.Echo  { endpoint $stuck[0]; endpoint $at; }
    service demo.Stuck { endpoint $stuck[1]; }
    service demo.Slow  { endpoint $stuck[2]; }
    service demo.Late  { endpoint $stuck[3]; }
    service demo.Dead  { endpoint 127.0.0.1:$dead; }
}

stream {
    mesh_log_format calls '\$mesh_service \$mesh_result \$mesh_error '
                          '\$mesh_upstream_tries \$mesh_upstream_addr';

    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_connect_timeout 400ms;
        mesh_max_requests 20;
        mesh_access_log %%DIR%%/rpc.log calls;
    }

    server {
        listen 127.0.0.1:%%PORT_hasty%%;
        mesh_pass dubbo;
        mesh_connect_timeout 20s;
        mesh_timeout 300ms;
        mesh_access_log %%DIR%%/hasty.log calls;
    }

    server {
        listen 127.0.0.1:%%PORT_pinned%%;
        mesh_pass dubbo;
        mesh_connect_timeout 20s;
        mesh_multiplex off;
        mesh_access_log %%DIR%%/pinned.log calls;
    }

    server {
        listen 127.0.0.1:%%PORT_patient%%;
        mesh_pass dubbo;
        mesh_connect_timeout 21s;
        mesh_timeout 20s;
        mesh_access_log %%DIR%%/patient.log calls;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
CONF
$t->run;

my $client = $t->tcp('rpc');


sub oneway {
    my ($to, $n, %o) = @_;

    $to->send(join '', map {
        Mesh::Dubbo::request(id => $_, oneway => 1, args => [$_],
                             service => 'demo.Echo', %o)
    } 1 .. $n);
}


sub lines {
    my ($name) = @_;
    my %n;

    $n{$_}++ for split /\n/, $t->read_file($name) // '';

    return \%n;
}


sub count { my $n = 0; $n += $_ for values %{ lines(@_) }; $n }


# another endpoint gets those that wait for the first, more of them than a
# client may have calls

oneway($client, 100);
is(went($client->call(service => 'demo.Echo')), 'good',
   'a call besides is not refused');
ok((wait_for { $good->stats->{oneways} == 100 } 10),
   'calls that waited for a connect go elsewhere');
is_deeply([ sort { $a <=> $b } map { $_->{args}[0] }
            grep { $_->{kind} eq 'oneway' } $good->log ],
          [ 1 .. 100 ], '... each once');

wait_for { count('rpc.log') == 101 } 5;
is(join(' ', sort keys %{ lines('rpc.log') }),
   "demo.Echo ok - 1 $at demo.Echo ok - 2 $at",
   '... and are logged with both tries');


# there is no other

oneway($client, 10, service => 'demo.Stuck');
oneway($client, 10, service => 'demo.Dead');
wait_for { count('rpc.log') == 121 } 5;

my $log = lines('rpc.log');
is($log->{"demo.Stuck error upstream_closed 1 $stuck[1]"}, 10,
   'what nobody took has failed in the log');
my $refused = 0;
$refused += $log->{$_}
    for grep { /^demo\.Dead error upstream_closed / } keys %$log;
is($refused, 10, '... as what was refused');
is($client->{in}, '', '... and is not answered');

my $hasty = $t->tcp('hasty');

oneway($hasty, 10, service => 'demo.Slow');
wait_for { count('hasty.log') == 10 } 5;
is_deeply(lines('hasty.log'),
          { "demo.Slow error expired 1 $stuck[2]" => 10 },
          'nor does a call wait longer than its time');

wait_for { $t->metrics->{mesh_oneway_requests_total} == 100 } 5;
my $m = $t->metrics;
is($m->{mesh_oneway_requests_total}, 100, 'none of them counts as sent');
is($t->sum($m, 'mesh_errors_total', error => 'upstream_closed'), 20,
   '... but as an error');


# a link of the client's own goes with it

my $pinned = $t->tcp('pinned');

oneway($pinned, 5, service => 'demo.Slow');
wait_for { $t->sum($t->metrics, 'mesh_requests_in_flight') == 5 } 5;
$pinned->close;
wait_for { count('pinned.log') == 5 } 5;
is_deeply(lines('pinned.log'),
          { "demo.Slow error client_closed 1 $stuck[2]" => 5 },
          'the client is gone, and its link');


# the client does not wait to hear that the connect was a success

my $patient = $t->tcp('patient');
my $left = $t->tcp('patient');

oneway($_, 5, service => 'demo.Late') for $patient, $left;
wait_for { $t->sum($t->metrics, 'mesh_requests_in_flight') == 10 } 5;
is(count('patient.log'), 0, 'calls wait for a connect');
$left->close;

my @accepted;
my $got = '';

$holes[3]->blocking(0);

wait_for {
    while (my $c = $holes[3]->accept) {
        $c->blocking(0);
        push @accepted, $c;
    }

    for (@accepted) { sysread $_, $got, 65536, length $got }

    (() = $got =~ /\xda\xbb/g) >= 10;
} 15;

is(scalar(() = $got =~ /\xda\xbb/g), 10,
   'what waited is sent, that of a client gone meanwhile, too');
wait_for { count('patient.log') == 10 } 5;
is_deeply(lines('patient.log'), { "demo.Late ok - 1 $stuck[3]" => 10 },
          '... and logged');

$t->done;
