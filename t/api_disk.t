#!/usr/bin/perl

# A full disk, as clients of the API see it: writes are done, their answers
# and the status say that the journal has them not, and later that it has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new(value => 'a');
my $disk = $t->dir . '/disk';
my $own = $$;

# a disk of the test's own goes before the directory it is in
END {
    my $status = $?;
    system("umount -l $disk 2>/dev/null") if $$ == $own && -d $disk;
    $? = $status;
}

mkdir $disk;
is(system('mount', '-t', 'tmpfs', '-o', 'size=98304', 'none', $disk), 0,
   'a small disk');

$t->write_conf(api_conf(service => "endpoint @{[$peer->address]};",
                        mesh => "state_path $disk/state;"));
$t->run;

sub put {
    my ($n, $durable, $name) = @_;

    my $r = api($t, 'PUT', 'routes/r', { match => { method => "m$n" },
                                         deny => 'x' });
    ok($r->{success}, "$name: a write");
    is($r->{json}{durable} ? 1 : 0, $durable, '... is in the journal, or not');
    is(went($t->tcp('rpc')->call(service => 'demo.Echo', method => "m$n")),
       'status 80', '... and in force');
}

sub agent { api($t, 'GET', 'status/agent')->{json} }

wait_for { api($t, 'GET', 'revisions')->{status} == 200 } 10, 'the agent';
put(1, 1, 'room');
ok(!exists agent()->{journal_error}, '... no error');

open my $fill, '>', "$disk/fill" or die "fill: $!";
1 while syswrite $fill, 'x' x 4096;
close $fill;

put($_, 0, 'a full disk') for 2, 3, 4;
like(agent()->{journal_error}, qr/No space left on device/,
     '... the status says why');
like(agent()->{journal_error_since}, qr/^\d{4}-\d\d-\d\dT.*Z$/,
     '... and since when');
is($t->metrics->{mesh_agent_journal_failed}, 1, '... a metric');
is(scalar(() = $t->grep_log(qr/\[error\].*mesh journal in/)), 1,
   '... one line');

unlink "$disk/fill";
ok(wait_for(sub { !exists agent()->{journal_error} }, 10),
   'room again: no error');
is($t->metrics->{mesh_agent_journal_failed}, 0, '... in metrics');
is(api($t, 'GET', 'revisions')->{json}{items}[0]{revision},
   api($t, 'GET', '')->{json}{revision}, '... the journal has all');
put(5, 1, 'again');

$t->stop;
is(system('umount', $disk), 0, 'the disk goes');

$t->done;
