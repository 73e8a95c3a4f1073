#!/usr/bin/perl

# Clients and a server of Apache Thrift, as the library has them, with nothing
# but conf/protocols/thrift.conf between them.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Mesh::Port qw(free_port);
use Mesh::Test;

binmode $_, ':utf8'
    for map { Test::More->builder->$_ } qw(output failure_output);

system("$FindBin::Bin/thrift/prepare") == 0
    or BAIL_OUT('thrift/prepare failed, run util/setup');

my $t = Mesh::Test->new(timeout => 200);
my $out = $t->root . '/build/interop/thrift';
my $classpath = "$out/classes:" . $t->read_file("$out/classpath");
my $port = free_port();

my @java = ('java', '-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
            '-Dfile.encoding=UTF-8', '-Dstdout.encoding=UTF-8',
            '-cp', $classpath);

my $server = fork // die "fork: $!";

if ($server == 0) {
    open STDOUT, '>', $t->dir . '/server.log';
    open STDERR, '>&', \*STDOUT;
    exec @java, 'Server', $port or POSIX::_exit(127);
}

END {
    if ($server) {
        local $?;
        kill 'KILL', $server;
        waitpid $server, 0;
    }
}


# what the client prints, by the name of the part

sub client {
    my ($listener) = @_;

    open my $pipe, '-|:utf8', @java, 'Client', $t->port($listener), 8, 200
        or die "java: $!";

    return { map { /^(\S+) (.*)/ } <$pipe> };
}


# established connections to the server, of which nginx has all

sub links {
    my ($status) = @_;

    my $to = sprintf '%08X:%04X', unpack('V', pack 'C4', 127, 0, 0, 1), $port;

    return scalar grep { (split)[2] eq $to && (split)[3] eq '01' }
           map { split /\n/, $t->read_file($_) } '/proc/net/tcp';
}


$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    include %%ROOT%%/conf/protocols/thrift.conf;
    service thrift { endpoint 127.0.0.1:$port; }
}

stream {
    mesh_log_format calls '\$mesh_protocol \$mesh_service \$mesh_method '
                          '\$mesh_result \$mesh_error';
    mesh_access_log %%DIR%%/calls.log calls;
    mesh_timeout 1s;

    server {
        listen 127.0.0.1:%%PORT_shared%%;
        mesh_pass thrift;
    }

    server {
        listen 127.0.0.1:%%PORT_found%%;
        mesh_pass auto;
        mesh_multiplex off;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
CONF

wait_for { $t->read_file('server.log') =~ /ready/ } 30, 'the server';
wait_for { eval { Mesh::Client->connect($port)->close; 1 } } 30, 'its port';
$t->run;

my $notes = 0;

for my $listener (qw(shared found)) {
    my $said = client($listener);

    $notes += 50;

    is($said->{echo}, 'grüße', "$listener: a call");
    is($said->{empty}, '[]', '... of an empty string');
    is($said->{large}, 'same', '... of 300000 bytes');
    is($said->{add}, 2 + 2 ** 40, '... of numbers');
    is($said->{refuse}, 'Refused no thanks, then on',
       '... a declared exception, and the next call');
    is($said->{fail}, 'type 6, then on',
       '... an undeclared one, and the next call');
    is($said->{note}, $notes, '... one-way calls arrive');
    like($said->{timeout},
         qr/^type 6 nginx-mesh: no answer in time \(timeout\), .*, then on$/,
         '... the answer of nginx to a slow call is an exception of Thrift');
    is($said->{crowd}, '1600 of 1600',
       '... eight threads that count sequence ids alike');

    is(links(), 1, '... on one link') if $listener eq 'shared';
}

# nobody listens any more

kill 'KILL', $server;
waitpid $server, 0;
$server = 0;

like(client('shared')->{echo},
     qr/^threw .*TApplicationException: nginx-mesh: .*\(upstream_closed\)/,
     'without a server a call throws what nginx says');

my $sum = $t->sum($t->metrics, 'mesh_stray_responses_total');
is($sum, 0, 'no answer went astray');

$t->quit;

my %log;
$log{$_}++ for split /\n/, $t->read_file('calls.log');

is($log{"thrift thrift add ok -"}, 2, 'the access log has methods');
is($log{"thrift thrift note ok -"}, 100, '... of one-way calls');
is($log{"thrift thrift fail error -"}, 2, '... errors');
is($log{"thrift thrift refuse ok -"}, 2, '... declared exceptions, as answers');
is($log{"thrift thrift slow error timeout"}, 2, '... and timeouts');

$t->done;
