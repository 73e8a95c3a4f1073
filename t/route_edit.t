#!/usr/bin/perl

# Requests that a route changes: attachments set and removed, version and
# group written anew; what the provider sees.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $a = Mesh::Peer->new(value => 'a');
my $b = Mesh::Peer->new(value => 'b', speaks => 'bolt');

$t->write_conf(conf(
    service => "endpoint @{[$a->address]};",
    server => 'mesh_next_upstream error tries=2;',
    stream => <<'STREAM',
    server { listen 127.0.0.1:%%PORT_bolt%%; mesh_pass bolt; }
STREAM
    mesh => <<"MESH",
    service demo.Echo:1.0  { endpoint @{[$b->address]}; }
    service demo.Other:2.0 { endpoint @{[$b->address]}; }
    service g/demo.New:2   { endpoint @{[$a->address]}; }
    service demo.Other     { endpoint @{[$a->address]}; }
    service demo.None      { }

    route tag    { match method=tag; set dubbo.tag gray; set x "a b";
                   remove y z; }
    route both   { match protocol=dubbo method=both;
                   to service=g/demo.New:2 rewrite=version,group; }
    route some   { match protocol=dubbo method=some;
                   to service=g/demo.New:2 rewrite=version; set x 1; }
    route as     { match protocol=dubbo method=as; to service=g/demo.New:2; }
    route back   { match method=back;
                   to service=demo.None:7 rewrite=version
                      fallback=service=demo.Other; set x 1; }
    route bolt   { match protocol=bolt method=version;
                   to service=demo.Other:2.0 rewrite=version; }
MESH
));
$t->run;

my $client = $t->tcp('rpc');


sub seen {
    my ($peer, $name, $expected, @options) = @_;

    my ($from, %o) = @options % 2 ? @options : ($client, @options);

    is(went($from->call(timeout => 10, %o)), $peer == $a ? 'a' : 'b', $name);

    my $log = ($peer->log)[-1];
    my %was = (version => $log->{version} // '', args => "@{$log->{args}}",
               map({ ("at.$_" => $log->{attachments}{$_}) }
                   keys %{ $log->{attachments} // {} }));

    is($was{$_} // '-', $expected->{$_}, "... $_") for sort keys %$expected;
}


# often enough for what is known of names and attachments to be used

for my $round (1 .. 20) {
    seen($a, "attachments, $round",
         { 'at.dubbo.tag' => 'gray', 'at.x' => 'a b', 'at.y' => '-',
           'at.user' => "u$round", args => "hello $round" },
         service => 'demo.Echo', method => 'tag', args => [ "hello $round" ],
         attachments => { 'dubbo.tag' => 'green', y => '1',
                          user => "u$round" });
}

my $large = 'x' x 100_000;
seen($a, 'a large request', { 'at.x' => 'a b', args => substr($large, 0, 200) },
     service => 'demo.Echo', method => 'tag', args => [ $large ]);

seen($a, 'version and group', { version => '2', 'at.group' => 'g' },
     service => 'demo.Echo', version => '1', method => 'both',
     attachments => { group => 'old' });
seen($a, 'version alone', { version => '2', 'at.group' => 'old',
                            'at.x' => '1' },
     service => 'demo.Echo', version => '1', method => 'some',
     attachments => { group => 'old' });
seen($a, 'neither', { version => '1', 'at.group' => 'old' },
     service => 'demo.Echo', version => '1', method => 'as',
     attachments => { group => 'old' });
seen($a, 'a fallback has its version', { version => '1', 'at.x' => '1' },
     service => 'demo.Echo', version => '1', method => 'back');

is(scalar grep({ defined && $_->{status} == 20 }
               burst($client, 200, method => 'tag',
                     args => sub { [ "burst $_[0]" ] })), 200,
   'many at once are answered');

$client->send($client->bytes(request => id => 1, service => 'demo.Echo',
                             method => 'tag', args => [ 'one' ],
                             oneway => 1));
is(went($client->call(service => 'demo.Echo', method => 'end')), 'a',
   'after one that wants no answer');
my ($oneway) = grep { $_->{kind} eq 'oneway' } $a->log;
is($oneway->{attachments}{'dubbo.tag'}, 'gray', '... which is changed too');

# what cannot be written

my $bytes = $client->bytes(request => id => 7, service => 'demo.Echo',
                           method => 'tag', args => [ 'x' ]);
substr($bytes, -1) = '';
substr($bytes, 12, 4) = pack('N', length($bytes) - 16);
$client->send($bytes);

my $frame = $client->recv_frame(10);
is(went($frame), 'status 40', 'a request that makes no sense');
like($frame->{error}, qr/route "tag" changes requests, and this one cannot be/,
     '... says so');

# Bolt's headers

my $bolt = $t->tcp('bolt', speaks => 'bolt');

seen($b, 'headers', { 'at.x' => 'a b', 'at.dubbo.tag' => 'gray' },
     $bolt, service => 'demo.Echo:1.0', method => 'tag');

is(went($bolt->call(service => 'demo.Echo:1.0', method => 'version',
                    timeout => 10)), 'b', 'a version');
is(join(':', @{($b->log)[-1]}{qw(service version)}), 'demo.Echo:2.0',
   '... in the name');

$t->done;
