#!/usr/bin/perl

# mesh_metrics as Prometheus' own promtool judges it, and what it says of the
# table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2;
use Test::More;

use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new;

sub write_conf {
    my ($endpoints) = @_;

    $t->write_conf(conf(
        mesh => "service demo.Table { $endpoints }",
        service => "endpoint @{[$peer->address]};"));
}

sub promtool {
    my ($text) = @_;

    my $pid = open2(my $out, my $in, 'promtool check metrics 2>&1');
    print $in $text;
    close $in;

    my $said = join '', <$out>;
    waitpid $pid, 0;

    return ($?, $said);
}

sub endpoints {
    my ($m, %labels) = @_;
    return $t->sum($m, 'mesh_table_endpoints', %labels);
}

write_conf('endpoint 127.0.0.1:1; endpoint 127.0.0.1:2 down;');
$t->run;

my $client = $t->tcp('rpc');
$client->call(service => 'demo.Echo', args => ['x']) for 1 .. 3;
$client->call(service => 'demo.Nobody', args => ['x']);

my $text = $t->http('GET', '/metrics', undef, port => 'http')->{content};
my ($status, $said) = promtool($text);

is($status, 0, 'promtool has nothing to say') or diag($said);
isnt((promtool("mesh_a 1\nmesh_a 1\n"))[0], 0, '... of this it has');

my $m = $t->metrics;

is($m->{mesh_table_services}, 2, 'services');
is(endpoints($m, owner => 'config', state => 'serving'), 2, 'endpoints');
is(endpoints($m, owner => 'config', state => 'down'), 1, '... one is down');
is(endpoints($m), 3, '... no others');
is($m->{mesh_table_overrides}, 0, 'no overrides');
is($m->{mesh_table_routes}, 0, 'no routes');
is($m->{mesh_table_commits_total}, 1, 'the configuration was committed');
is($t->sum($m, 'mesh_table_refusals_total'), 0, 'nothing was refused');
cmp_ok($m->{'mesh_table_bytes{state="used"}'}, '>', 0, 'bytes used');
cmp_ok($m->{'mesh_table_bytes{state="free"}'}, '>', 1 << 20, 'bytes free');

my $revision = $m->{mesh_table_revision};
my $used = $m->{'mesh_table_bytes{state="used"}'};

# more than are counted in one go

write_conf(join ' ', map { "endpoint 127.0.1.1:$_;" } 1 .. 3000);
ok($t->reload(gone => 1), 'a reload');

$m = $t->metrics;

is(endpoints($m, owner => 'config', state => 'serving'), 3001,
   '... other endpoints');
is($m->{mesh_table_revision}, $revision + 1, '... the next revision');
is($m->{mesh_table_commits_total}, 2, '... one commit more');
cmp_ok($m->{'mesh_table_bytes{state="used"}'}, '>', $used, '... more bytes');

my ($worker) = $t->workers;
$t->allow_log(qr/worker process \d+ exited on signal 9/);
$t->signal('KILL', $worker);
wait_for { my ($now) = $t->workers; $now && $now != $worker } 10,
    'a new worker';

$m = $t->metrics;

is($m->{mesh_table_commits_total}, 2, 'counters survive a worker');
is(endpoints($m), 3001, '... the table too');

$client->close;
$t->done;
