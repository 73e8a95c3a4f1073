#!/usr/bin/perl

# Calls that begin like an earlier one are not read again: their facts must be
# those of the bytes all the same, whatever differs behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Client;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my $peer = Mesh::Peer->new;
my $grouped = Mesh::Peer->new(value => 'grouped');

$t->write_conf(<<"EOT");
mesh {
    zone mesh:4m metrics=1m;
    service a.Plain { endpoint @{[$peer->address]}; }
    service a.Plain:1.0.0 { endpoint @{[$peer->address]}; }
    service a.Keyed { endpoint @{[$peer->address]}; }
    service g1/a.Keyed { endpoint @{[$grouped->address]}; }
}

stream {
    mesh_log_format facts '\$mesh_request_id \$mesh_service \$mesh_method '
                          '\$mesh_app \$mesh_attachment_trace';
    mesh_access_log %%DIR%%/rpc.log facts;

    server {
        listen %%PORT_logged%%;
        mesh_pass dubbo;
    }

    server {
        listen %%PORT_bare%%;
        mesh_pass dubbo;
        mesh_access_log off;
        mesh_timeout 20s;
    }
}
EOT

$t->run;

my $client = $t->tcp('logged');
my ($id, @expected) = (0);

# every method often enough to be remembered, in changing order

for my $round (1 .. 40) {
    for my $method (qw(alpha beta gamma delta epsilon zeta eta theta iota)) {
        $id++;

        my $version = $id % 3 ? undef : '1.0.0';
        my $trace = 'x' x ($id % 7) . $id;

        $client->send(Mesh::Dubbo::request(
            id => $id, service => 'a.Plain', method => $method,
            (defined $version ? (version => $version) : ()),
            args => ['v' x ($id % 50)],
            attachments => { trace => $trace,
                             'remote.application' => "app$id" }));

        push @expected, join ' ', $id,
            'a.Plain' . ($version ? ":$version" : ''), $method, "app$id",
            $trace;
    }
}

is(scalar @{[$client->recv_frames($id, 20)]}, $id, 'all are answered');
$t->quit;

my %line = map { /^(\d+) / ? ($1 => $_) : () }
           split /\n/, $t->read_file('rpc.log');

is_deeply([map { $line{$_} } 1 .. $id], \@expected,
          'each call is logged with its own facts');

$t->run;

# the group stands behind the arguments and decides

$client = $t->tcp('bare');
my %wrong;

for my $n (1 .. 60) {
    my $group = $n % 2 ? 'g1' : undef;
    my $frame = $client->call(
        id => $n, service => 'a.Keyed', method => 'get', args => ["v$n"],
        attachments => { $group ? (group => $group) : (),
                         'remote.application' => 'kit' });

    my $is = $frame ? $frame->{value} // '' : 'nothing';

    $wrong{$is}++ if ($is eq 'grouped') != ($n % 2);
}

is_deeply(\%wrong, {}, 'calls of both groups go where they belong');

# so does the deadline: one of each pair is over at once

$peer->set(never => 1);

my $late = 0;

for my $n (1 .. 12) {
    my $ms = $n % 2 ? 20 : 19000;
    $client->send(Mesh::Dubbo::request(
        id => 1000 + $n, service => 'a.Plain', method => 'wait', args => ['w'],
        attachments => { timeout => "$ms" }));
    next if $n % 2 == 0;

    my $frame = $client->recv_id(1000 + $n, 10);
    $late++ if $frame && $frame->{status} == 31;
}

is($late, 6, 'each call has its own deadline');

$client->close;
$t->done;
