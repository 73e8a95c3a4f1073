#!/usr/bin/perl

# Clients of Bolt cannot be told to go elsewhere, so one that calls without a
# pause is closed between two calls, or, where calls overlap without end, once
# those that were read are answered.

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

use Time::HiRes qw(time sleep);

my $peer = Mesh::Peer->new(speaks => 'bolt', value => 'ok', methods => {
    slow => { delay => 0.1 },
});


sub start {
    my $t = Mesh::Test->new;

    $t->write_conf(conf(pass => 'bolt', server => $_[0],
                        service => 'endpoint ' . $peer->address . ';'));
    return $t->run;
}


# one call after the other, until the end: the good answers, the others, and
# calls without an answer

sub one_by_one {
    my ($client, %o) = @_;

    my ($good, $bad, $until) = (0, 0, time + 20);

    while (time < $until) {
        my $f = $client->call(service => 'demo.Echo', timeout => 5, %o);

        return ($good, $bad, 1) unless $f;
        went($f) eq 'ok' ? $good++ : $bad++;
        return ($good, $bad, 0) if $client->{eof};
    }

    return ($good, $bad, 'no end');
}


for my $how (qw(QUIT HUP)) {
    my $t = start($how eq 'HUP' ? 'mesh_handover off;' : '');
    my $client = $t->tcp('rpc', speaks => 'bolt');

    is((spread($client, 1))[0], 'ok', 'a client that calls');
    my ($worker) = $t->workers;
    $t->signal($how);

    my ($good, $bad, $lost) = one_by_one($client, proto => 2, ver1 => 2);

    cmp_ok($good, '>', 0, "$how: ... goes on for a while");
    is($bad, 0, '... is never refused');
    like($lost, qr/^[01]$/, '... and finds the end between two calls');
    is($client->{eof}, 'eof', '... which is a clean one') if !$lost;
    ok(wait_for(sub { !grep { $_ == $worker } $t->leaving }, 10),
       '... its worker is gone');
    $t->stop if $how eq 'HUP';
    $t->quit if $how eq 'QUIT';
}


# two calls overlap all the time, so that there is no moment without any

my $t = start('');
my $client = $t->tcp('rpc', speaks => 'bolt');
my ($id, $ends, %got) = (0, 0);

sub ask {
    $ends ||= !$client->send(Mesh::Bolt::request(
        service => 'demo.Echo', id => ++$id, method => 'slow'));
}

ask();
sleep 0.05;
ask();

my $until = time + 20;

while (time < $until) {
    my $f = $client->recv_frame(5) // last;

    $got{$f->{id}} = went($f);
    $t->signal('QUIT') if keys %got == 10;
    ask() unless $ends;
}

isnt($client->{eof}, '', 'a client whose calls overlap is closed, too');
cmp_ok(scalar keys %got, '>', 10, '... after a while');
is_deeply(tally(values %got), { ok => scalar keys %got },
          '... none of its calls was refused');
cmp_ok($peer->stats->{methods}{slow}, '<=', keys %got,
       '... what was read of them was answered');
ok(wait_for(sub { $t->gone }, 10), '... and nginx is gone');
$t->stop;

$t->done;
