#!/usr/bin/perl

# A worker without memory for new routes: it goes on with the old ones and
# tries again by itself; where it has none yet, no call gets past them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

# a sanitizer brings an allocator of its own: memory is never short then
my $real = !Mesh::Test::sanitized();

# of ngx_mesh_live_rules(), which no others of a worker's pools have
my $size = 16384;

my $t = Mesh::Test->new;
my ($one, $two) = map { Mesh::Peer->new(value => $_) } qw(one two);
my ($file, $shim) = map { $t->dir . "/$_" } 'short', 'short.so';

system('gcc', '-shared', '-fPIC', '-O2', '-o', $shim,
       "$FindBin::Bin/speed/short.c") == 0 or die "gcc failed";
short(0);

$t->allow_log(qr/posix_memalign\(\d+, $size\) failed/);
$t->write_conf(conf(
    service => "endpoint @{[$one->address]} label=v=1;"
               . " endpoint @{[$two->address]} label=v=2;",
    mesh => 'route r { match method=x; to label=v=1; }',
    web => 'location /api/ { mesh_api write=on; }'));

if ($real) {
    local $ENV{LD_PRELOAD} = $shim;
    local $ENV{MESH_SHORT} = $file;
    $t->run;

} else {
    $t->run;
}

my $client = $t->tcp('rpc');


sub short {
    open(my $f, -e $file ? '+<' : '>', $file) or die "$file: $!";
    syswrite $f, pack('J', $_[0]);
}


sub call {
    return went($client->call(service => 'demo.Echo', method => 'x',
                              timeout => 20));
}


# becomes(what): calls end so within some seconds

sub becomes {
    my ($what) = @_;
    my $until = time + 20;
    my $went;

    while (($went = call()) ne $what && time < $until) {
        sleep 0.05;
    }

    return is($went, $what, '... until there is memory');
}


short($size);
is(call(), $real ? 'status 100' : 'one', 'no routes yet: nobody passes');
is(call(), $real ? 'status 100' : 'one', '... at the second time either');
short(0);
becomes('one');

short($size);
is($t->http('PUT', '/api/1/routes/first',
            { priority => 1, match => { method => 'x' },
              to => [{ labels => { v => '2' } }] })->{status}, 201,
   'another route');
is(call(), $real ? 'one' : 'two', 'the old ones stay');
is(call(), $real ? 'one' : 'two', '... in force');
short(0);
becomes('two');
is(call(), 'two', '... and go on');

$t->done;
