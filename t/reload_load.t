#!/usr/bin/perl

# Reloads under load: clients that follow the notice lose no call; nothing
# leaks, and the metrics go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

use IO::Handle;
use Time::HiRes qw(time sleep);

my $reloads = $ENV{TEST_MESH_LONG} ? 100 : 20;
my $clients = 4;

my $t = Mesh::Test->new(timeout => 60 + 6 * $reloads);
my @peers = map { Mesh::Peer->new(value => $_, keep => 1) } qw(a b);

$t->write_conf(conf(main => 'worker_processes 2;',
    server => 'mesh_timeout 20s; mesh_handover off;',
    service => join '', map { 'endpoint ' . $_->address . ';' } @peers));
$t->run;


# A client as an SDK is one: pipelines, and after the notice sends nothing
# more, waits for its answers and connects anew.  Prints "calls bad reconnects
# broken" at the end of its input.

sub client_loop {
    my ($stop) = @_;

    my ($calls, $bad, $again, $broken) = (0, 0, 0, 0);
    my $client = $t->tcp('rpc');
    my $id = 1;

    until (IO::Select->new($stop)->can_read(0)) {
        my %wait = map { $id + $_ => 1 } 0 .. 7;

        my $ok = $client->send(join '', map {
            Mesh::Dubbo::request(service => 'demo.Echo', id => $_)
        } sort { $a <=> $b } keys %wait);

        $id += 8;
        my $left;

        while (%wait) {
            my $f = $client->recv_frame(20);

            if (!$f) {
                # the end came before the answers
                $broken += keys %wait;
                $left = 1;
                last;
            }

            $left = 1 if $f->{kind} eq 'readonly';
            next unless $f->{kind} eq 'response' && delete $wait{$f->{id}};

            $calls++;
            $bad++ if $f->{status} != 20 || $f->{value} !~ /^[ab]$/;
        }

        # a notice between the rounds
        $left ||= grep { $_->{kind} eq 'readonly' } $client->recv_frames(1, 0);

        if ($left) {
            $client->close;
            $client = $t->tcp('rpc');
            $again++;
        }
    }

    return "$calls $bad $again $broken";
}


my @load;

for (1 .. $clients) {
    pipe my $stop, my $hold or die "pipe: $!";
    pipe my $read, my $result or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $hold;
        close $_->{hold} for @load;
        alarm 60 + 6 * $reloads;
        $result->autoflush(1);
        print $result eval { client_loop($stop) } // "0 0 0 0 $@", "\n";
        require POSIX;
        POSIX::_exit(0);
    }

    close $stop;
    close $result;
    push @load, { pid => $pid, hold => $hold, read => $read };
}


sub fds {
    my ($pid) = @_;
    my @fds = glob "/proc/$pid/fd/*";
    return scalar @fds;
}


sub memory {
    my ($pid) = @_;

    open my $status, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$status>) =~ /^VmRSS:\s+(\d+)/m;

    return $kb // 0;
}


sub calls { $t->sum($t->metrics, 'mesh_requests_total') }

wait_for { calls() > 100 } 10, 'load';

my $fds = fds($t->pid);
my ($memory, $counted);
my ($failed, $back) = (0, 0);

for my $n (1 .. $reloads) {
    my $at = $peers[0]->stats->{requests};

    $failed++ unless $t->reload;

    # the new workers serve before the next reload
    wait_for { $peers[0]->stats->{requests} > $at } 10, 'load to go on';

    my $now = calls();
    $back++ if defined $counted && $now < $counted;
    $counted = $now;

    # what is there once everything was used a few times
    next if $n != 5;

    wait_for { !$t->leaving } 20, 'old workers to go';
    $memory = memory($t->pid);
}

is($failed, 0, "$reloads reloads");
is($back, 0, '... no counter went back');

close $_->{hold} for @load;

my @sum = (0, 0, 0, 0);

for my $load (@load) {
    my $line = readline $load->{read};
    waitpid $load->{pid}, 0;

    my ($calls, $bad, $again, $broken, @died) = split / /, $line // '';
    $sum[0] += $calls // 0;
    $sum[1] += $bad // 0;
    $sum[2] += $again // 0;
    $sum[3] += $broken // 0;
    is("@died", '', 'a client that lived through it');
}

cmp_ok($sum[0], '>', 100 * $clients, 'calls were made all the time');
is($sum[1], 0, '... none failed');
is($sum[3], 0, '... none stayed without an answer');
cmp_ok($sum[2], '>=', $clients, '... while the clients moved on');

ok(wait_for(sub { !$t->leaving }, 20), 'no old worker is left');
wait_for { fds($t->pid) == $fds } 10;
is(fds($t->pid), $fds, 'the master leaks no descriptors');

# a sanitizer keeps freed memory to find uses of it
cmp_ok(memory($t->pid) - $memory, '<',
       Mesh::Test::sanitized() ? 262144 : 1024, '... and no memory (kB)');

# two workers, a link to each of two peers at most
cmp_ok($_->stats->{open}, '<=', 2, 'links of old workers are closed')
    for @peers;

ok(wait_for(sub {
    my $m = $t->metrics;
    $m->{mesh_client_connections} == 0 && $m->{mesh_requests_in_flight} == 0
        && $m->{mesh_links} <= 4 && $m->{mesh_buffered_bytes} == 0;
}, 10), 'gauges count what is there');

ok(wait_for(sub { calls() >= $sum[0] }, 10), 'all calls were counted');
is(calls(), $sum[0], '... once');

$t->done;
