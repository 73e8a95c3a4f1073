#!/usr/bin/perl

# The routes that README.md begins with do what it says; who can be read by
# nobody does not get past a denial.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 120);
my ($one, $two) = map { Mesh::Peer->new(value => $_) } 1, 2;

my ($mesh) = $t->read_file($t->root . '/README.md')
             =~ /^## Routes\n.*?^mesh \{\n(.*?)^\}/ms;
my %at = ('10.0.0.11:20880' => $one->address, '10.0.0.12:20880' => $two->address);

is($mesh =~ s/(10\.0\.0\.1[12]:20880)/$at{$1}/g, 2, 'two endpoints');

$t->write_conf(conf(
    service => "endpoint @{[$one->address]};",
    server => 'mesh_max_requests 2000; mesh_default_service demo.Echo;',
    mesh => "$mesh\nroute nobody { match !method !attachment.role; deny; }"));
$t->run;

my $client = $t->tcp('rpc');
my $greeter = 'com.example.Greeter';


sub call {
    my ($service, $method, %attachments) = @_;

    return went($client->call(service => $service, version => '1.0.0',
                              method => $method, timeout => 20,
                              attachments => \%attachments));
}


is(call('com.example.AdminTools', 'x'), 'status 80', 'closed');
is(call('com.example.AdminTools', 'x', role => 'r'), '1', '... but to staff');
is(call($greeter, 'sayHello'), '1', 'the rest');
is(call($greeter, 'sayHello', 'dubbo.tag' => 'gray'), '2', 'gray ones');
is(call($greeter, 'sayBye', 'dubbo.tag' => 'gray'), '1', '... of one method');

my @users = map { users($_) } 0 .. 9;
my $n = tally(@users);

is(($n->{1} // 0) + ($n->{2} // 0), 10_000, '10000 users');
cmp_ok($n->{2}, '>=', 400, 'five percent of them are shifted');
cmp_ok($n->{2}, '<=', 600, '... and not more');
is_deeply([ users(7) ], [ @users[7000 .. 7999] ], '... always the same ones');


# users(n): whom calls of a thousand users go to

sub users {
    my ($k) = @_;

    return map { went($_) }
           burst($client, 1000, service => $greeter, version => '1.0.0',
                 attachments => sub { { userId => $k * 1000 + $_[0] } });
}


# a serialization that nobody knows, and strings that are none

for my $how ([ 2, 0xdf, 'of an unknown serialization' ],
             [ 16, 0xff, 'that is damaged' ])
{
    my $bytes = $client->bytes(request => id => 9, service => $greeter,
                               method => 'sayHello');

    substr($bytes, $how->[0], 1, chr $how->[1]);
    $client->send($bytes);
    is(went($client->recv_frame(20)), 'status 80', "a request $how->[2]");
}

$t->done;
