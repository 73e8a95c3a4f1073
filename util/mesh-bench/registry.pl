#!/usr/bin/perl
#
# What registries cost and how soon they are followed.
#
#   registry.pl follow consul|redis CHANGES
#       from a change in the registry to the first request that each of four
#       workers routes by it, less what the registry itself took to tell a
#       client that waits for the change too: one time in ms a line
#
#   registry.pl many SERVICES
#       so many services, eight workers, all called once: connections of
#       Consul at most, and the seconds until a change of one that is not
#       watched at the moment is routed, at most of ten
#
#   registry.pl big ENDPOINTS SECONDS
#       a load while a service of so many endpoints changes three times a
#       second: p99 in us without and with nginx reading it.  Without it is
#       another such service that changes, which another process reads

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib map { dirname(abs_path(__FILE__)) . $_ } '', '/../../t/lib';

use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use Follow qw(each_worker);
use Mesh::Calls;
use Mesh::Consul;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Redis;
use Mesh::Test;

# the lines of ours are not tests
Test::More->builder->output(\*STDERR);
Test::More->builder->no_ending(1);
$| = 1;

my %section = (follow => \&follow, many => \&many, big => \&big);
my ($what, @args) = @ARGV;

my $t = Mesh::Test->new(timeout => 600);
my $bench = $ENV{MESH_BENCH} || $t->root . '/build/mesh-bench';
my $id = 0;
my (@watchers, @pipes);

($section{$what // ''} or die "registry.pl follow|many|big\n")->(@args);

# nothing is asserted here
close STDOUT;
$t->stop;
$t->cleanup;
$t->{finished} = 1;
Mesh::Peer->stop_all;
kill 'KILL', @watchers;
waitpid $_, 0 for @watchers;
exit 0;


sub nginx_conf {
    my ($workers, $registry, $mesh, $server) = @_;

    return <<"CONF";
worker_processes $workers;

mesh {
    zone mesh:64m metrics=8m;
    state_path %%DIR%%/state;
    guard off;
    registry $registry;
    $mesh
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        $server
    }
}

CONF
}


# -- a change ----------------------------------------------------------------

sub follow {
    my ($kind, $changes) = @_;

    my $store = $kind eq 'redis' ? Mesh::Redis->new : Mesh::Consul->new;
    my @peers = map { Mesh::Peer->new(value => $_, keep => 1) } qw(a b);
    my $change = $kind eq 'redis' ? \&change_redis : \&change_consul;

    $change->($store, map { url($_) } @peers);
    $t->write_conf(nginx_conf(4, "$kind @{[$store->url]}", '', ''));
    $t->run;

    my @clients = each_worker($t, 4);
    my $heard = $kind eq 'redis' ? listen_redis($store)
                                 : listen_consul($store);

    for my $n (1 .. $changes) {
        my ($now, $before) = @peers[$n % 2, ($n + 1) % 2];

        $change->($store, url($now), url($before));

        my @at = map { routed($_, $now->name_of) } @clients;
        my $told = told($heard, $now);

        printf "%.3f\n", $_ > $told ? 1000 * ($_ - $told) : 0 for @at;
    }
}


sub Mesh::Peer::name_of { $_[0]{options}{value} }


sub url { 'dubbo://' . $_[0]->address . '/demo.Echo?side=provider' }


# when the other client heard that it is this one

sub told {
    my ($heard, $peer) = @_;

    while (my $line = <$heard>) {
        my ($at, $port) = split ' ', $line;
        return $at if $port == $peer->port;
    }

    die "nobody heard of it\n";
}


sub routed {
    my ($client, $name) = @_;

    my $until = time + 10;

    while (time < $until) {
        my $went = went($client->call(service => 'demo.Echo', id => ++$id));
        return time if $went eq $name;
        die "call failed: $went\n" unless $went =~ /^[ab]$/;
    }

    die "the change was not followed\n";
}


sub change_redis {
    my ($store, $url, $before) = @_;

    my $key = '/dubbo/demo.Echo/providers';

    $store->done(@$_) for ['MULTI'],
        [HSET => $key, $url, 1000 * int(time + 600)],
        [HDEL => $key, $before], [PUBLISH => $key, 'register'], ['EXEC'];
}


sub change_consul {
    my ($store, $url) = @_;

    my ($port) = $url =~ /:(\d+)/;

    $store->register('e', 'demo.Echo', $port, tags => ['dubbo'],
                     meta => { url => $url });
}


# processes that say when they heard of a change

sub listening {
    my ($listen) = @_;

    my $pid = open my $heard, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
        alarm 600;
        $| = 1;
        eval { $listen->() };
        POSIX::_exit(0);
    }

    push @watchers, $pid;

    # a pipe that nobody holds is closed, and that waits for its process
    push @pipes, $heard;
    <$heard>;

    return $heard;
}


sub listen_redis {
    my ($store) = @_;

    return listening(sub {
        my $c = $store->client(timeout => 600);
        my $ask = $store->client(timeout => 600);

        $c->command(SUBSCRIBE => '/dubbo/demo.Echo/providers');
        print "ready\n";

        while ($c->next_push(600)) {
            my $at = time;
            my ($url) = @{ $ask->command(
                HKEYS => '/dubbo/demo.Echo/providers') };
            print "$at @{[$url =~ /:(\d+)/]}\n";
        }
    });
}


sub listen_consul {
    my ($store) = @_;

    my $path = '/v1/health/service/demo.Echo';

    return listening(sub {
        my $index = $store->http('GET', $path)->{index};
        print "ready\n";

        for ( ;; ) {
            my $r = $store->http('GET', "$path?index=$index&wait=60s", undef,
                                 timeout => 90);
            print time . " $r->{json}[0]{Service}{Port}\n";
            $index = $r->{index};
        }
    });
}


# -- many services -----------------------------------------------------------

sub many {
    my ($n) = @_;

    my $c = Mesh::Consul->new;
    my @peers = map { Mesh::Peer->new(value => $_, keep => 1) } qw(a b);

    register_many($c, $peers[0], 0 .. $n - 1);
    $t->write_conf(nginx_conf(8, 'consul ' . $c->url, '', ''));
    $t->run;

    my $client = $t->tcp('rpc');
    my $most = 0;

    for my $i (0 .. $n - 1) {
        my $went = went($client->call(service => "many.S$i", id => ++$id));
        die "many.S$i: $went\n" unless $went eq 'a';

        # the one of this process is gone already
        my $now = $c->connections;
        $most = $now if $now > $most;
    }

    # of those that were called first the others have taken the watches
    my @some = map { $_ * int($n / 20) } 0 .. 9;
    my $from = time;

    register_many($c, $peers[1], @some);

    my %open = map { $_ => 1 } @some;
    my $last = 0;

    while (%open && time - $from < 60) {
        for my $i (sort keys %open) {
            my $went = went($client->call(service => "many.S$i",
                                          id => ++$id));
            next if $went ne 'b';
            delete $open{$i};
            $last = time - $from;
        }

        my $now = $c->connections;
        $most = $now if $now > $most;
        sleep 0.02;
    }

    die "not followed: @{[keys %open]}\n" if %open;

    printf "%d %.1f\n", $most, $last;
}


sub register_many {
    my ($c, $peer, @n) = @_;

    my @ops = ({ Node => { Verb => 'set', Node => {
                     Node => 'many', Address => '127.0.0.1' } } },
               map { { Service => { Verb => 'set', Node => 'many', Service => {
                   ID => "s$_", Service => "many.S$_", Tags => ['dubbo'],
                   Address => '127.0.0.1', Port => 0 + $peer->port,
                   Meta => { url => 'dubbo://' . $peer->address
                                    . "/many.S$_?side=provider" },
               } } } } @n);

    while (my @some = splice @ops, 0, 64) {
        $c->done('PUT', '/v1/txn', \@some);
    }
}


# -- a large service ---------------------------------------------------------

sub big {
    my ($n, $seconds) = @_;

    my $c = Mesh::Consul->new;
    my $pid = open my $serve, '-|', $bench, 'serve' or die "$bench: $!\n";
    push @watchers, $pid;
    push @pipes, $serve;
    my ($provider) = <$serve> =~ /^listening (\S+)/;

    $c->many("com.example.$_", $n, nodes => 50) for qw(Big Other);
    $t->write_conf(nginx_conf(1, 'consul ' . $c->url . ' discovery=listed',
        "service bench.Echo:1.0.0 { endpoint $provider; }"
        . 'service com.example.Big { }', ''));
    $t->run;

    my $client = $t->tcp('rpc');

    # once it is there its endpoints are tried, where nobody is
    wait_for {
        went($client->call(service => 'com.example.Big', id => ++$id,
                                  timeout => 10)) ne 'status 60'
    } 60, 'the endpoints';

    listening(sub {
        print "ready\n";
        discard($c, 'com.example.Other');
    });

    my %p99;

    for my $name (qw(Other Big) x 3) {
        my $changer = changer($c, "com.example.$name");

        push @{ $p99{$name} }, p99($seconds);
        kill 'KILL', $changer;
        waitpid $changer, 0;
    }

    printf "%d %d\n", map { (sort { $a <=> $b } @{ $p99{$_} })[1] }
                      qw(Other Big);
}


# reads it as nginx does, and forgets it

sub discard {
    my ($c, $name) = @_;

    my $http = HTTP::Tiny->new(timeout => 90);
    my $index = 1;

    for ( ;; ) {
        my $r = $http->get($c->url . "/v1/health/service/$name"
                           . "?index=$index&wait=60s",
                           { data_callback => sub { } });
        $index = $r->{headers}{'x-consul-index'} // 1;
    }
}


# a load that leaves the worker half idle

sub p99 {
    my ($seconds) = @_;

    my $out = `$bench load --connect 127.0.0.1:@{[$t->port('rpc')]} \\
               --connections 16 --depth 1 --size 128 --rate 4000 \\
               --warmup 0.3 --duration $seconds`;
    my $r = decode_json($out);

    die "the load failed: $out\n" if $r->{wrong} || $r->{errors};

    return $r->{p99_us};
}


sub changer {
    my ($c, $name) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);

        for my $n (1 .. 10_000) {
            $c->done('PUT', '/v1/txn', [{ Service => {
                Verb => 'set', Node => 'many1', Service => {
                    ID => "$name-1", Service => $name,
                    Address => '127.0.1.2', Port => 1025, Tags => ['dubbo'],
                    Meta => { url => "dubbo://127.0.1.2:1025/$name"
                                     . "?timestamp=$n" } } } }]);
            sleep 0.3;
        }

        POSIX::_exit(0);
    }

    push @watchers, $pid;

    return $pid;
}
