#!/usr/bin/perl

# Calls whose link dies before they were written go elsewhere, whether or not
# they are idempotent: nothing was done yet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use IO::Socket::INET;
use Mesh::Port qw(free_port);
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);

my $t = Mesh::Test->new;
my $good = Mesh::Peer->new(value => 'good');
my $at = $good->address;


# a port whose queue of connections is full: a connect stays unanswered

my @hold;

sub full_port {
    my $port = free_port();
    my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
                                       Listen => 1, ReuseAddr => 1)
        or die "cannot listen: $!";
    listen $listen, 0;

    for (1 .. 4) {
        push @hold, IO::Socket::INET->new(Proto => 'tcp', Blocking => 0,
                                          PeerAddr => "127.0.0.1:$port");
    }

    return ($port, $listen);
}

# one that accepts and resets

sub rude_port {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       Listen => 128)
        or die "cannot listen: $!";

    my $pid = fork // die "fork: $!";
    return ($listen->sockport, $pid) if $pid;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM);
    alarm 300;

    while (my $socket = $listen->accept) {
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $socket;
    }

    POSIX::_exit(0);
}

my ($rude, $rude_pid) = rude_port();
END { kill 'KILL', $rude_pid if $rude_pid }

my ($silent, $silent_listen) = full_port();
my ($late, $late_listen) = full_port();

$t->write_conf(conf(
    server => 'mesh_connect_timeout 300ms; mesh_timeout 8s;
               mesh_idempotent demo.*:get*;
               mesh_next_upstream error tries=2 budget=100%;',
    service => "endpoint 127.0.0.1:$silent; endpoint $at;",
    mesh => "service demo.Rude {
                 endpoint 127.0.0.1:$rude max_fails=0; endpoint $at;
             }
             service demo.Late { endpoint 127.0.0.1:$late; }
             service demo.Silent { endpoint 127.0.0.1:$silent; }",
    stream => "server {
                   listen 127.0.0.1:%%PORT_patient%%;
                   mesh_pass dubbo;
                   mesh_connect_timeout 8s;
                   mesh_timeout 8s;
               }"));
$t->run;

my $client = $t->tcp('rpc');


# the connect times out: half of the calls wait for it and move on

my @answers = burst($client, 40);

is_deeply(statuses(@answers), { good => 40 },
          'a connect that times out fails no call');

wait_for { $t->metrics->{mesh_redirects_total} } 10;
is($t->metrics->{mesh_redirects_total}, 20, '... half of them were moved');
is($t->metrics->{mesh_retries_total}, 0, '... which is no retry');
is(scalar $t->grep_log(qr/\[error\].*endpoint timed out/), 1, '... one line');

is_deeply(statuses(burst($client, 10, service => 'demo.Silent')),
          { 'status 70' => 10 }, 'without another endpoint they fail typed');


# it accepts late: calls wait and are sent then

my $patient = $t->tcp('patient');

$patient->send(join '', map {
    Mesh::Dubbo::request(service => 'demo.Late', id => $_, args => [ 'x' ])
} 1 .. 10);

sleep 0.3;
@hold = ();
close $late_listen;

# the port lives on as a provider's, before the connect is repeated
my $provider = Mesh::Peer->new(value => 'late', port => $late);

my @late = $patient->recv_frames(10, 20);
is_deeply(statuses(@late), { late => 10 },
          'an endpoint that accepts late gets what waited');


# a reset as soon as it is connected: nobody knows what it has read, so the
# calls are answered, and those that may be repeated are

my %rude = (service => 'demo.Rude');

for (1 .. 3) {
    is_deeply(statuses(burst($client, 40, %rude, method => 'getUser')),
              { good => 40 }, 'reset at once: idempotent calls survive');
    sleep 0.2;
}

my $went = statuses(burst($client, 40, %rude, method => 'saveUser'));
is(($went->{good} // 0) + ($went->{'status 70'} // 0), 40,
   '... others are answered');

kill 'KILL', $rude_pid;
waitpid $rude_pid, 0;

$t->done;
