#!/usr/bin/perl

# Time and tries that a route gives to a call, against those of the listener
# and of the caller.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b, $c) = map { Mesh::Peer->new(value => $_) } 1 .. 3;
my @silent = map { Mesh::Peer->new(never => 1) } 1 .. 3;

$t->write_conf(conf(
    service => join('', map { "endpoint @{[$_->address]};" } @silent),
    server => 'mesh_timeout 20s; mesh_next_upstream error timeout tries=3
               budget=100%; mesh_idempotent *:again*;',
    stream => <<'STREAM',
    mesh_log_format tries '$mesh_method $mesh_upstream_tries $mesh_error';
    mesh_access_log %%DIR%%/rpc.log tries;
    server {
        listen 127.0.0.1:%%PORT_short%%; mesh_pass dubbo; mesh_timeout 300ms;
        mesh_next_upstream error timeout tries=3 budget=100%;
        mesh_idempotent *:again*;
    }
    server {
        listen 127.0.0.1:%%PORT_off%%; mesh_pass dubbo; mesh_timeout 300ms;
        mesh_deadline off;
    }
STREAM
    mesh => <<'MESH',
    route short { match method=short; timeout 200ms; }
    route long  { match method=long;  timeout 30s; }
    route two   { match method=again_two; tries 2; timeout 5s; }
    route one   { match method=again_one; tries 1; timeout 600ms; }
MESH
));
$t->run;


# a call that nobody answers: its typed answer came before the time is over

sub expires {
    my ($name, $port, %o) = @_;

    my $frame = $t->tcp($port)->call(service => 'demo.Echo', timeout => 10,
                                     %o);
    is(went($frame), 'status 31', $name);
}


sub waits {
    my ($name, $port, %o) = @_;

    my $frame = $t->tcp($port)->call(service => 'demo.Echo', timeout => 1,
                                     %o);
    is(went($frame), 'none', $name);
}


sub want { attachments => { timeout => "$_[0]" } }


expires('a route', 'rpc', method => 'short');
waits('... none', 'rpc', method => 'other');
expires('a caller may want more', 'rpc', method => 'short', want(20000));
expires('... or less', 'rpc', method => 'long', want(200));

expires('a listener', 'short', method => 'other');
waits('... a route gives more', 'short', method => 'long');
expires('where callers are not asked', 'off', method => 'short', want(20000));

expires('tries of the listener', 'short', method => 'again', want(5000));
expires('... of a route', 'short', method => 'again_two', want(2000));
expires('... just one', 'short', method => 'again_one', want(5000));

$t->stop;

my %tries = map { /^(again\S*) (\d) timeout$/ ? ($1, $2) : () }
            split /\n/, $t->read_file('rpc.log');

is_deeply(\%tries, { again => 3, again_two => 2, again_one => 1 },
          'endpoints tried');

$t->done;
