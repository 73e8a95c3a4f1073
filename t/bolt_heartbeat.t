#!/usr/bin/perl

# Bolt's heartbeats: those of clients and providers are answered by nginx, ours
# ask links that are silent, and a provider that answers neither them nor its
# calls is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time);

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1 },
    { proto => 2, ver1 => 2 },
);

# what a heartbeat looks like, and when it came

sub watch {
    my ($p, $c, $f) = @_;

    my $s = $p->{stats};

    $c->{form} //= $f->{variant};

    if ($f->{kind} eq 'heartbeat') {
        my $raw = $f->{raw};
        substr $raw, $f->{proto} == 2 ? 6 : 5, 4, "\0" x 4;

        $s->{beats}{$c->{form}}{unpack 'H*', $raw}++;
        push @{ $s->{when} }, time;
        $s->{called}++ if $c->{ids}{$f->{id}};

    } elsif ($f->{kind} eq 'request') {
        $c->{ids}{$f->{id}} = 1;
    }

    return 0;
}

my %peer = map { $_ => Mesh::Peer->new(speaks => 'bolt', value => $_,
                                       handler => \&watch,
                                       methods => { slow => { delay => 1.5 } })
           } qw(good deaf mute);

$peer{asks} = Mesh::Peer->new(speaks => 'bolt', value => 'asks', beat => 0.2);
$peer{mute}->set(mute => 1);

my $t = Mesh::Test->new;

$t->write_conf(conf(pass => 'bolt',
    service => "endpoint @{[$peer{good}->address]};",
    server => 'mesh_heartbeat 300ms; mesh_timeout 60s;',
    mesh => join('', map {
        "service demo.\u$_:1.0 {
             endpoint @{[$peer{$_}->address]} fail_timeout=60s;
         }"
    } qw(deaf mute asks)) . "
    service demo.Both:1.0 {
        endpoint @{[$peer{deaf}->address]} fail_timeout=60s;
        endpoint @{[$peer{good}->address]};
    }
    service demo.Down:1.0 { endpoint 127.0.0.1:%%PORT_nobody%%; }",
    stream => "
    server {
        listen 127.0.0.1:%%PORT_off%%;
        mesh_pass bolt;
        mesh_heartbeat off;
    }"));
$t->run;

my $client = $t->tcp('rpc', speaks => 'bolt');


# a client's, answered without any provider

my $down = $t->tcp('rpc', speaks => 'bolt');

for my $form (@forms) {
    my $name = join '.', grep { defined } @$form{qw(proto ver1)};

    $client->send(Mesh::Bolt::heartbeat(%$form, id => 77));

    my $f = $client->recv_frame(5);

    ok($f && $f->{raw} eq Mesh::Bolt::ack(%$form, id => 77),
       "v$name: a client's heartbeat is answered in its form");

    is(went($down->call(%$form, id => 5, service => 'demo.Down',
                        timeout => 5)), 'status 16', '... without a provider');
    $down->send(Mesh::Bolt::heartbeat(%$form, id => -9));
    is($down->recv_id(-9, 5)->{kind}, 'ack', '... as well');
}

$down->close;
is($_->stats->{connections}, 0, 'no provider saw one of them')
    for values %peer;
is($t->sum($t->metrics, 'mesh_heartbeats_total', from => 'client'), 6,
   'they are counted');


# a provider's

is((spread($client, 1, service => 'demo.Asks'))[0], 'asks',
   'a provider that asks');
ok((wait_for { $peer{asks}->stats->{acks} >= 2 } 10),
   '... is answered by nginx');
is($client->recv_frame(0.3), undef, '... and the client hears nothing of it');


# ours, beside a slow call, in the form of the link, as Java's whatever is
# called

for my $form (@forms) {
    $client->send(Mesh::Bolt::request(%$form, service => 'demo.Echo',
                                      id => 100, method => 'slow',
                                      codec => 11));
}

is_deeply(statuses($client->recv_frames(3, 10)), { good => 3 },
          'slow calls end well');
wait_for { keys %{ $peer{good}->stats->{beats} // {} } == 3 } 5;

my $stats = $peer{good}->stats;

is($stats->{connections}, 3, '... on the links they began on');
is_deeply([ map { join ' ', sort keys %{ $stats->{beats}{$_} // {} } }
            '1', '2.1', '2.2' ],
          [ map { unpack 'H*', Mesh::Bolt::heartbeat(%$_, id => 0) } @forms ],
          '... with heartbeats meanwhile, each in the form of its link');
is($stats->{called}, undef, '... under no id of a call');


# idle links are asked less and less often

my $n = @{ $peer{good}->stats->{when} };
ok(wait_for(sub { @{ $peer{good}->stats->{when} } >= $n + 6 }, 20),
   'idle links are asked as well');

my $idle = Mesh::Peer->new(speaks => 'bolt', value => 'idle',
                           handler => \&watch,
                           port => $t->port('nobody'));

wait_for { (spread($client, 1, service => 'demo.Down'))[0] eq 'idle' } 10;
wait_for { @{ $idle->stats->{when} // [] } >= 4 } 30;

my @when = @{ $idle->stats->{when} // [] };
my @gap = map { $when[$_] - $when[$_ - 1] } 1 .. $#when;

cmp_ok($gap[-1], '>', 1.5 * $gap[0], '... with longer and longer pauses')
    or diag "@gap";
is($idle->stats->{connections}, 1, '... and stay');


# a provider without heartbeats that answers calls is not silent for long,
# one that is frozen is left within two intervals more

is((spread($client, 1, service => 'demo.Deaf'))[0], 'deaf', 'it answers');
$peer{deaf}->freeze;

my $other = $t->tcp('rpc', speaks => 'bolt');
my @calls = map { Mesh::Bolt::request(service => 'demo.Deaf', id => $_,
                                      %{ $forms[$_ > 5] }) } 1 .. 10;
$other->send(join '', @calls);

my (@failed, $went);

wait_for {
    $went->{$_}++ for spread($client, 5);
    push @failed, $other->recv_frames(10, 0.05);
    @failed == 10;
} 30;

is_deeply(statuses(@failed), { 'status 16' => 10 },
          'silence ends its links and all calls are answered, typed');
is(join(' ', sort { $a <=> $b } map { $_->{id} } @failed),
   join(' ', 1 .. 10), '... each with its id');
is_deeply([ keys %$went ], [ 'good' ], 'other services go on');
cmp_ok(scalar $t->grep_log(qr/\[error\].*endpoint is silent.* 5 calls/), '>=',
       1, 'a line says so');
is_deeply(scalar spread($client, 20, service => 'demo.Both'),
          { good => 20 }, 'silence counts as a failure');

wait_for { $t->sum($t->metrics, 'mesh_endpoint_silent_total') } 10;
cmp_ok($t->sum($t->metrics, 'mesh_endpoint_silent_total',
               endpoint => $peer{deaf}->address), '>=', 1,
       'it is counted by endpoint');

$peer{deaf}->thaw;


# one that answers calls but no heartbeats

is((spread($client, 1, service => 'demo.Mute'))[0], 'mute',
   'a provider that answers no heartbeat');
ok(wait_for(sub { $peer{mute}->stats->{open} == 0 }, 20),
   '... is left when it is idle');
is((spread($client, 1, service => 'demo.Mute'))[0], 'mute',
   '... and found again');


# without heartbeats of ours

my $off = $t->tcp('off', speaks => 'bolt');
my $before = $peer{good}->stats->{connections};

is((spread($off, 1, method => 'slow'))[0], 'good', 'with mesh_heartbeat off');
is($peer{good}->stats->{connections}, $before + 1, '... a link of its own');

$_->close for $client, $other, $off;
$t->done;
