#!/usr/bin/perl

# Which service a call goes to, how long it may take, what it gets if not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
# answers with the bytes of the question where it cannot read them

sub raw {
    my ($p, $c, $f) = @_;

    return 0 if $f->{kind} ne 'request' || defined $f->{method};

    $p->write($c, Mesh::Dubbo::frame(flags => $f->{ser}, id => $f->{id},
                                     status => 20, body => $f->{body}));
    return 1;
}

my %peer = map { $_ => Mesh::Peer->new(value => $_, methods => {
    stuck => { never => 1 }, echo => {} }) } qw(plain v1 g1 g1v1);

$peer{last} = Mesh::Peer->new(value => 'last', handler => \&raw);

$t->write_conf(conf(mesh => join("\n", map {
        my ($key, $peer) = @$_;
        "service $key { endpoint @{[$peer{$peer}->address]}; }";
    } ['a.S', 'plain'], ['a.S:1.0.0', 'v1'], ['g1/a.S', 'g1'],
      ['g1/a.S:1.0.0', 'g1v1'], ['a.Last', 'last']),
    server => 'mesh_timeout 400ms; mesh_max_requests 3;',
    stream => <<'EOT'));
    server {
        listen 127.0.0.1:%%PORT_default%%;
        mesh_pass dubbo;
        mesh_default_service a.Last;
        mesh_timeout 20s;
        mesh_deadline off;
    }

    server {
        listen 127.0.0.1:%%PORT_always%%;
        mesh_pass dubbo;
        mesh_timeout 20s;
        mesh_deadline always;
    }
EOT
$t->run;

my $client = $t->tcp('rpc');
my $id = 0;

sub ask {
    my ($c, %o) = @_;
    return went($c->call(id => ++$id, method => 'echo', args => ['x'],
                         timeout => 10, %o));
}

for (['plain'], ['v1', version => '1.0.0'], ['plain', version => '0.0.0'],
     ['g1', group => 'g1'], ['g1v1', group => 'g1', version => '1.0.0'])
{
    my ($name, %o) = @$_;
    is(ask($client, service => 'a.S', %o), $name, "$name by its key");
}

is(ask($client, service => 'a.S', group => 'g2'), 'status 60', 'no such group');
is(ask($client, service => 'a.S', version => '2'), 'status 60',
   'no such version');
is(ask($client, service => 'a.S', group => "\xfc" x 8), 'status 60',
   'nor a group that is not ASCII');

my %went;
$went{ask($client, service => 'a.S', version => '*', group => '*')}++
    for 1 .. 20;
is_deeply([sort keys %went], [qw(g1 g1v1 plain v1)], '* is the union of all');

# typed answers are in the form of the question

my $frame = $client->call(id => ++$id, service => 'a.None', method => 'm',
                          args => ['x'], serialization => 23, timeout => 5);
is("$frame->{status} $frame->{ser}", '60 23', 'fastjson2 is answered in kind');
like($frame->{error} // '', qr/a\.None/, '... by a text that names the service');

# more than one client may have in flight

$client->send(join '', map {
    Mesh::Dubbo::request(id => 900 + $_, service => 'a.S', method => 'stuck',
                         args => ['x']) } 1 .. 5);

is(join(' ', map { $client->recv_id(900 + $_, 5)->{status} } 4, 5, 1, 2, 3),
   '100 100 31 31 31', 'mesh_max_requests, and mesh_timeout for the others');

# what cannot be read goes to the default service

my $other = $t->tcp('default');

is(ask($other, service => 'a.Unknown'), 'last', 'an unknown service');

$other->send(Mesh::Dubbo::frame(flags => 0xc8, id => 5, body => "\1\2\3kryo"));
is($other->recv_id(5, 5)->{body}, "\1\2\3kryo",
   'a serialization that is not read');

$other->send(Mesh::Dubbo::frame(flags => 0xc2, id => 6, body => "\xff" x 40));
is($other->recv_id(6, 5)->{status}, 20, 'a damaged body');

# deadlines

sub late {
    my ($c, %o) = @_;
    my $f = $c->call(id => ++$id, service => 'a.S', method => 'stuck',
                     args => ['x'], timeout => 3, %o);
    return $f ? $f->{status} : 'waits';
}

my $always = $t->tcp('always');

is(late($client, attachments => { timeout => '50' }), 31, 'a timeout as text');
is(late($client, attachments => { timeout => \ 50 }), 31, '... as a number');
is(late($always, attachments => { timeout => '100' },
        args => ['y' x 5000]), 31, 'always: behind long arguments too');
is(late($t->tcp('default'), attachments => { timeout => '50' }), 'waits',
   'off: it does not count');

$_->close for $client, $other, $always;
$t->done;
