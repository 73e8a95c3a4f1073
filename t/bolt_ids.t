#!/usr/bin/perl

# Bolt of all forms on one client connection: every answer goes to its caller
# with its own id and version, and no link carries two forms.

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

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1, switch => 0 },
    { proto => 2, ver1 => 1, switch => 1 },
    { proto => 2, ver1 => 2, switch => 0 },
    { proto => 2, ver1 => 2, switch => 1 },
);

# Java's server answers in the form of a connection's first frame, so what it
# would do to another is counted here

sub watch {
    my ($p, $c, $f) = @_;

    my $s = $p->{stats};

    return 0 unless $f->{kind} =~ /^(?:request|oneway)$/;

    $c->{form} //= $f->{variant};
    $s->{forms}{$c->{n}} = $c->{form};
    $s->{mixed}++ if $c->{form} ne $f->{variant};
    $s->{twice}++ if $f->{kind} eq 'request' && $c->{ids}{$f->{id}}++;
    $s->{crc_ok}++ if $f->{crc_ok};
    $s->{crc_wrong}++ if defined $f->{crc_ok} && !$f->{crc_ok};

    return 0;
}

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(speaks => 'bolt', handler => \&watch, methods => {
    held => { reorder => 40 }, twice => { twice => 1 },
    late => { delay => 0.4 },
});

$t->write_conf(conf(pass => 'bolt', service => "endpoint @{[$peer->address]};",
                    server => 'mesh_timeout 5s;'));
$t->run;

my @clients = map { $t->tcp('rpc', speaks => 'bolt') } 1 .. 4;


# the same ids from everybody at once, in all forms, answered last first

my %wanted;

for my $c (0 .. $#clients) {
    $clients[$c]->send(join '', map {
        my $form = $forms[$_ % @forms];
        $wanted{"$c $_"} = $form;
        Mesh::Bolt::request(%$form, id => $_, service => 'demo.Echo',
                            method => 'held', args => ["client $c call $_"])
    } 1 .. 150);
}

my ($wrong, $strange, $broken) = (0, 0, 0);

for my $c (0 .. $#clients) {
    for ($clients[$c]->recv_frames(150, 10)) {
        my $form = delete $wanted{"$c $_->{id}"} // { proto => 0 };

        $wrong++ if went($_) ne "client $c call $_->{id}";
        $strange++ if $form->{proto} != $_->{proto}
                      || ($form->{ver1} // 1) != $_->{ver1};
        $broken++ if defined $_->{crc_ok} && !$_->{crc_ok}
                     || ($_->{variant} eq '2.2' && $_->{switch} & 1
                         && !defined $_->{crc});
    }
}

is_deeply([ keys %wanted ], [], 'every call is answered');
is($wrong, 0, '... its own caller, with its own id');
is($strange, 0, '... in its own form');
is($broken, 0, '... with a CRC that is right');

my $stats = $peer->stats;

is($stats->{connections}, 3, 'one link for each of v1, v2 and v2 with CRC');
is(join(' ', sort values %{ $stats->{forms} }), '1 2.1 2.2', '... really');
is($stats->{mixed}, undef, 'no link carries two forms');
is($stats->{twice}, undef, 'no link carries an id twice');
is($stats->{crc_ok}, 120, 'CRCs are right after another id was written');
is($stats->{crc_wrong}, undef, '... all of them');


# an id twice in flight, and the extremes

for my $form (@forms) {
    my $name = join '.', grep { defined } @$form{qw(proto ver1 switch)};
    my %call = (%$form, service => 'demo.Echo');

    $clients[0]->send(join '', map {
        Mesh::Bolt::request(%call, id => 7, method => 'late', args => [$_])
    } qw(first second));

    is_deeply([sort map { went($_) } $clients[0]->recv_frames(2, 10)],
              ['first', 'second'], "v$name: an id twice in flight");

    for my $id (0, -1, 2147483647, -2147483648) {
        is(went($clients[1]->call(%call, id => $id, method => 'echo',
                                  args => ["id $id"], timeout => 5)),
           "id $id", "... id $id");
    }
}


# answers that come twice, too late, or that nobody asked for

is(went($clients[0]->call(%{ $forms[$_] }, id => 20, service => 'demo.Echo',
                          method => 'twice', args => ['once'], timeout => 5)),
   'once', 'an answer that comes twice is given once') for 0, 4;

for (0, 4) {
    my $frame = $clients[2]->call(%{ $forms[$_] }, id => 21, method => 'late',
                                  service => 'demo.Echo', timeout_ms => 50,
                                  args => ['too late'], timeout => 5);
    is($frame->{status}, 7, 'a call is given up');
}

$peer->push_bytes(Mesh::Bolt::response(id => 123456789, value => 'stray'));

# to three connections, to each its form or not
ok((wait_for { my $m = $t->metrics;
               $m->{mesh_stray_responses_total} == 2 + 3
               && $m->{mesh_abandoned_responses_total} == 2 } 10),
   'late, doubled and unknown answers are counted');

for my $client (@clients) {
    is(went($client->call(%$_, id => 22, service => 'demo.Echo',
                          method => 'echo', args => ['fine'], timeout => 5)),
       'fine', '... nobody got them') for @forms;
    is(scalar @{ $client->{frames} }, 0, '... nothing was left behind');
}

is($peer->stats->{connections}, 3, '... and the links stayed');
is($t->metrics->{mesh_requests_in_flight}, 0, '... nothing is in flight');

$_->close for @clients;
$t->done;
