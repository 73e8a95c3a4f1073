#!/usr/bin/perl

# The rules that make it fast, by counts: few system calls, no allocations,
# nothing held by who is idle.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $t = Mesh::Test->new;

# a provider that answers in as few pieces as it was asked in

my $port = free_port();
my $provider = fork // die "fork: $!";

if ($provider == 0) {
    open STDOUT, '>', '/dev/null';
    exec "$FindBin::Bin/../build/mesh-bench", 'serve', '--size', '0',
         '--listen', "127.0.0.1:$port" or POSIX::_exit(127);
}

END {
    if ($provider) {
        local $?;
        kill 'TERM', $provider;
        waitpid $provider, 0;
    }
}

wait_for { eval { Mesh::Client->connect($port) } } 5, 'the provider';

$t->write_conf(conf(service => "endpoint 127.0.0.1:$port;"));

my $count = $t->write_file('count', "\0" x 8);
my $shim = $t->dir . '/count.so';

system('gcc', '-O2', '-fPIC', '-shared', '-o', $shim,
       "$FindBin::Bin/speed/count.c") == 0 or die "gcc failed";

# a sanitizer brings an allocator of its own, which the shim would hide

my $counted = !Mesh::Test::sanitized();

if ($counted) {
    local $ENV{LD_PRELOAD} = $shim;
    local $ENV{MESH_COUNT} = $t->dir . '/count';
    $t->run;

} else {
    $t->run;
}

sub allocations { unpack 'Q', $t->read_file('count') }

sub io {
    my $m = $t->metrics('/metrics', 'http');
    return map { $m->{"mesh_io_total{op=\"$_\"}"} } qw(recv send);
}

# counters are published once a second

sub settled {
    my @io;
    wait_for { my @now = io(); my $same = "@now" eq "@io"; @io = @now;
               select undef, undef, undef, 1.2 if !$same; $same } 10;
    return @io;
}

my @clients = map { $t->tcp('rpc') } 1 .. 20;

spread($_, 20, method => 'echo', args => ['warm up']) for @clients;
burst($_, 200, method => 'echo', args => ['warm up']) for @clients;
burst($clients[0], 64, method => 'echo', args => ['warm up']);

my @before = settled();

burst($clients[0], 64, method => 'echo', args => ['x']);

my @after = settled();

# a turn of the loop for the requests and one for the answers; a segment may
# be cut where the kernel likes

cmp_ok($after[0] - $before[0], '<=', 8, '64 calls in one piece: few reads');
cmp_ok($after[1] - $before[1], '<=', 8, '... and writes');

is($t->metrics('/metrics', 'http')->{mesh_buffered_bytes}, 0,
   'idle clients hold no buffers');

if ($counted) {
    my $n = allocations();
    cmp_ok($n, '>', 0, 'allocations are counted');

    spread($_, 100, method => 'echo', args => sub { ["call $_[0]"] })
        for @clients;
    burst($_, 200, method => 'echo', args => ['x']) for @clients;

    is(allocations() - $n, 0, 'six thousand calls allocate nothing');
}

$_->close for @clients;
$t->done;
