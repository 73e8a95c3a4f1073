#!/usr/bin/perl

# A Consul and a Redis that freeze, die, come back with and without their data,
# behind a network that loses, delays and resets; providers that come, change,
# drain and leave; an agent that is killed and stopped, reloads: under calls, of
# which none fails.  In the end the table is what the registries say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Api;
use Mesh::Calls;
use Mesh::Consul;
use Mesh::Learned;
use Mesh::Peer;
use Mesh::Redis;
use Mesh::Relay;
use Mesh::Test;

my $long = $ENV{TEST_MESH_LONG};
my $seconds = $ENV{TEST_MESH_SECONDS} // ($long ? 600 : 20);
my $seed = $ENV{TEST_MESH_SEED} // time ^ $$;

srand $seed;
note("TEST_MESH_SEED=$seed");

my $consul = Mesh::Consul->new(data => 1);
my $redis = Mesh::Redis->new(persist => 1);
my %relay = (consul => Mesh::Relay->new(to => $consul->port),
             redis => Mesh::Relay->new(to => $redis->port));

# the first is never stopped, and everywhere: a true provider that lives
my @peers = map { Mesh::Peer->new(name => "p$_", value => "p$_") } 0 .. 4;

my %in = ('com.example.C1' => ['consul'], 'com.example.C2' => ['consul'],
          'com.example.R1' => ['redis'], 'com.example.R2' => ['redis'],
          'com.example.B1' => ['consul', 'redis']);
my @services = sort keys %in;

# service => port => weight, and "service port" => 1 where it drains
my (%truth, %drains);

# what is in the registry by now: id => weight
my (%said, %state, @history);

my ($calls, $failed) = (0, 0);
my $nginx;


###############################################################################
# providers


sub url {
    my ($service, $port, $weight) = @_;
    return "dubbo://127.0.0.1:$port/$service?side=provider"
           . "&interface=$service&weight=$weight";
}


# who is to be there and is not, and the other way round

sub tell_consul {
    return if $state{consul};

    for my $service (grep { $in{$_}[0] eq 'consul' } @services) {
        my $now = $truth{$service};

        for my $port (map { $_->port } @peers) {
            my $id = "$service-$port";
            my $is = $said{$id} // '';
            my $be = $now->{$port} ? $now->{$port}
                     . ($drains{"$service $port"} ? ' drains' : '') : '';

            next if $is eq $be;

            if ($be eq '') {
                $consul->deregister($id);
            } else {
                $consul->register($id, $service, $port, tags => ['dubbo'],
                    meta => { url => url($service, $port, $now->{$port}) });
                $consul->maintenance($id, $be =~ /drains/ ? 1 : 0);
            }

            $said{$id} = $be;
        }
    }
}


my ($beaten, %wrote) = (0);

sub tell_redis {
    return if $state{redis};

    my $all = time - $beaten > 2;
    $beaten = time if $all;

    for my $service (grep { $in{$_}[-1] eq 'redis' } @services) {
        my $now = $truth{$service};

        for my $port (map { $_->port } @peers) {
            my $id = "$service-$port";
            my ($is, $be) = ($wrote{$id} // 0, $now->{$port} // 0);

            $redis->withdraw(url($service, $port, $is)) if $is && $is != $be;
            $redis->provide(url($service, $port, $be), ttl => 8,
                            quiet => $is == $be)
                if $be && ($is != $be || $all);
            $wrote{$id} = $be;
        }
    }
}


sub providers {
    my $ok = eval { tell_consul(); tell_redis(); 1 };
    note("providers: $@") unless $ok;
}


###############################################################################
# trouble


sub said { push @history, sprintf '%.1f %s', time - $^T, $_[0]; $_[0] }

my @due;

sub later { my ($s, $code) = @_; push @due, [time + $s, $code] }

sub run_due {
    my ($all) = @_;

    my @now = grep { $all || $_->[0] <= time } @due;
    @due = grep { my $d = $_; !grep { $_ == $d } @now } @due;
    $_->[1]->() for @now;
}


# a provider comes, goes, changes its weight, drains

sub change {
    my $service = $services[rand @services];
    my $port = $peers[1 + rand $#peers]->port;
    my $now = $truth{$service};

    if (!$now->{$port} || rand() < 0.4) {
        $now->{$port} = 1 + int rand 200;
    } elsif (rand() < 0.5 || $in{$service}[-1] eq 'redis') {
        delete $now->{$port};
        delete $drains{"$service $port"};
    } else {
        $drains{"$service $port"} = !$drains{"$service $port"};
    }

    said("$service $port: " . ($now->{$port} // 'gone'));
}


sub server {
    my ($name) = @_;

    return if $state{$name};

    my $server = $name eq 'consul' ? $consul : $redis;
    my $what = (qw(freeze restart restart empty flush))[rand 5];

    $what = 'restart' if $what eq 'flush' && $name eq 'consul';
    said("$name: $what");

    if ($what eq 'flush') {
        $redis->command('FLUSHALL');
        %wrote = ();
        $beaten = 0;
        return;
    }

    $state{$name} = $what;

    if ($what eq 'freeze') {
        $server->freeze;
        later(rand 3, sub { $server->thaw; delete $state{$name};
                            said("$name: thawed") });
        return;
    }

    $server->kill9;

    later(rand 2, sub {
        # it starts beside the calls
        $server->restart(empty => $what eq 'empty', wait => 0);
        said("$name: started");
        comes($name, $what);
    });
}


# providers notice after a while what is lost

sub comes {
    my ($name, $what) = @_;

    my $answers = $name eq 'consul'
        ? @{ $consul->http('GET', '/v1/health/service/consul', undef,
                           timeout => 0.3)->{json} // [] }
        : eval { $redis->client->command('PING') eq 'PONG' };

    return later(0.3, sub { comes($name, $what) }) unless $answers;

    later($what eq 'empty' ? rand 2 : 0, sub {
        if ($name eq 'consul') {
            %said = () if $what eq 'empty';
        } else {
            delete $redis->{admin};
            $beaten = 0;
            %wrote = () if $what eq 'empty';
        }

        delete $state{$name};
        said("$name: is there");
    });
}


sub network {
    my $name = (sort keys %relay)[rand 2];
    my $relay = $relay{$name};
    my $what = (qw(both down up rst close delay cut))[rand 7];

    said("network of $name: $what");

    $what eq 'rst' ? $relay->rst_all
        : $what eq 'close' ? $relay->close_all
        : $what eq 'delay' ? $relay->delay(rand 0.3)
        : $what eq 'cut' ? $relay->cut(1 + int rand 3000)
        : $relay->hole($what);

    later(rand 4, sub { $relay->open; $relay->rst_all if rand() < 0.3;
                        said("network of $name: open") })
        unless $what =~ /rst|close/;
}


sub peer {
    my $peer = $peers[1 + rand $#peers];

    return if $state{$peer};

    $state{$peer} = 1;
    $peer->stop;
    said($peer->name . ' stops');
    later(rand 3, sub { $peer->start; delete $state{$peer};
                        said($peer->name . ' starts') });
}


sub agents { return $nginx->children(qr/mesh agent process/) }


sub agent {
    my ($pid) = agents() or return;
    my $what = (qw(KILL KILL STOP))[rand 3];

    said("agent: $what");
    kill $what, $pid;
    later(rand 2, sub { kill 'CONT', $pid }) if $what eq 'STOP';
}


###############################################################################


my $t = $nginx = Mesh::Test->new(timeout => 300 + 2 * $seconds);

$t->allow_log(qr/(?:worker|manager) process \d+ exited on signal 9/);
$t->allow_log(qr/mesh agent process \d+ does not respond, it is killed/);

my $conf = api_conf(
    main => 'worker_processes 2;', service => '',
    server => 'mesh_discovery_timeout 10s; mesh_timeout 10s;
               mesh_connect_timeout 1s;',
    mesh => "state_path %%DIR%%/state;
             guard 50% min=3 hold=4s;
             registry consul http://127.0.0.1:@{[$relay{consul}->port]};
             registry redis redis://127.0.0.1:@{[$relay{redis}->port]}
                      session=8s refresh=2s ping=500ms timeout=1s;");

$conf =~ s/service demo.Echo \{\s*\}//;
$t->write_conf($conf);

for my $service (@services) {
    $truth{$service}{$peers[$_]->port} = 100 for 0 .. 2;
}

providers();
$t->run;

my $client = $t->tcp('rpc');


# a few calls of all: each is answered by a provider

sub calls {
    for my $service (@services) {
        my @answers = burst($client, 8, service => $service,
                            method => 'hello', args => ['x']);
        $calls += @answers;

        my @bad = grep { !/^p\d$/ } map { went($_) } @answers;
        next unless @bad;

        $failed += @bad;
        diag(sprintf "%.1f %s: %s\n%s", time - $^T, $service,
             join(', ', @bad), join '', map { "  $_\n" }
             @history > 12 ? @history[-12 .. -1] : @history)
            if $failed < 50;
        $client->close;
        $client = $t->tcp('rpc');
    }
}


sub expected {
    my ($service) = @_;

    return join ' ', sort map { "127.0.0.1:$_=$truth{$service}{$_}" }
                     grep { !$drains{"$service $_"} }
                     keys %{ $truth{$service} };
}


sub wrong {
    my @wrong;

    for (@services) {
        # of two registries: one of each
        my %seen = map { $_ => 1 } split / /, learned($t, $_);
        my $seen = join ' ', sort keys %seen;
        my $suspects = learned($t, $_, all => 1) =~ /\?/ ? ' (suspects)' : '';

        push @wrong, "$_: $seen$suspects, expected " . expected($_)
            if $seen ne expected($_) || $suspects;
    }

    return join "\n", @wrong;
}


calls();
is($failed, 0, 'all services are found') or BAIL_OUT($t->log);

my @trouble = ((\&change) x 4, (sub { server('consul') }) x 2,
               (sub { server('redis') }) x 2, (\&network) x 4, (\&peer) x 2,
               \&agent, sub { said('reload'); $t->signal('HUP') });

my $end = time + $seconds;
my $next = 0;

while (time < $end) {
    if (time > $next) {
        $trouble[rand @trouble]->();
        $next = time + rand($long ? 2 : 0.8);
    }

    run_due();
    providers();
    calls();
}

run_due(1) while @due;
$_->open for values %relay;
said('no more trouble');

my $over = time;
my $wrong;

while (time - $over < 90) {
    providers();
    calls();
    $wrong = wrong();
    last if $wrong eq '';
    sleep 0.2;
}

is($wrong, '', 'the table is what the registries say')
    or diag(map { "  $_\n" } @history);
note(sprintf 'after %.1f s', time - $over);
is($failed, 0, "no call of $calls failed");


# no agent and no worker has more than it needs

my ($agent) = agents();
my @fds = map { scalar(() = glob "/proc/$_/fd/*") } $agent, $t->workers;

cmp_ok($_, '<', 60, "$_ descriptors") for @fds;

for my $pid ($agent, $t->workers) {
    last if Mesh::Test::sanitized();

    open my $in, '<', "/proc/$pid/status" or next;
    my ($rss) = map { /^VmRSS:\s*(\d+)/ ? $1 : () } <$in>;
    cmp_ok($rss, '<', 40_000, "$rss KiB of memory");
}

$t->done;
