#!/usr/bin/perl

# Routes that a reload brings, changes and takes away: clients stay, all
# workers follow, and a configuration that fails changes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);
my @at = map { $_->address } $a, $b;


sub write_conf {
    my ($routes, %o) = @_;

    $t->write_conf(conf(
        main => 'worker_processes 2;',
        service => "endpoint $at[0] label=v=1; endpoint $at[1] label=v=2;",
        mesh => $routes, %o));
}


my @clients;

sub all {
    my ($expected, $name, %o) = @_;

    my @went = map { went($_->call(service => 'demo.Echo', timeout => 10,
                                   %o)) } @clients;
    is("@went", join(' ', ($expected) x @clients), $name);
}


write_conf('route one { match method=m; to label=v=1; }');
$t->run;
@clients = map { $t->tcp('rpc') } 1 .. 4;
all('a', 'a route', method => 'm');

write_conf('route one { match method=m; to label=v=2; }');
ok($t->reload(gone => 1), 'another target');
all('b', '... in all workers', method => 'm');

# a route before it, and its removal

write_conf('route two { match method=m attachment.x=1; deny; }
            route one { match method=m; to label=v=2; }');
ok($t->reload(gone => 1), 'a route before it');
all('status 80', '... is taken', method => 'm', attachments => { x => 1 });
all('b', '... by some', method => 'm');

write_conf('route one { match method=m; to label=v=2; }
            route two { match method=m attachment.x=1; deny; }');
ok($t->reload(gone => 1), 'another order');
all('b', '... decides', method => 'm', attachments => { x => 1 });

# what fails

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
my $port = $taken->sockport;

write_conf('route two { deny; }',
           stream => "server { listen 127.0.0.1:$port; mesh_pass dubbo; }");
$t->allow_log(qr/\[emerg\].*(?:bind\(\)|still could not bind)/);
ok(!$t->reload, 'a reload that cannot bind a port');
ok($t->wait_log(qr/still could not bind/, 10), '... in the end');
all('b', '... changes nothing', method => 'm');

# many, and none

write_conf(join '', map { "route r$_ { match service=demo.S$_ method=m$_;
                                       to service=demo.Echo label=v=2; }\n" }
           1 .. 2000);
ok($t->reload(gone => 1), 'two thousand routes');
all('b', '... one of them', service => 'demo.S1234', method => 'm1234');
all('status 60', '... none of them', service => 'demo.S1234',
    method => 'm1235');

write_conf('');
ok($t->reload(gone => 1), 'no routes');
all('status 60', '... none is left', service => 'demo.S1234',
    method => 'm1234');

my %seen = map { went($_->call(service => 'demo.Echo', method => 'm')) => 1 }
           (@clients) x 3;
is(join(' ', sort keys %seen), 'a b', '... calls go to any endpoint');

is($t->metrics->{mesh_client_connections_total}, 4, 'the same clients');

$t->done;
