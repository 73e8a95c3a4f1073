#!/usr/bin/perl

# The README's toy protocol, conf/protocols/toy.conf, from start to finish.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Test;
use Mesh::Wire;

my $t = Mesh::Test->new;


# a frame, and what is in one

sub toy {
    my ($kind, $id, $body, $status) = @_;

    return pack('a3CNC', 'TOY', $kind, $id, $status // 0)
           . substr(pack('N', length $body), 1) . $body;
}


sub call { toy(1, $_[0], pack('C/a* C/a*', $_[1], $_[2]) . ($_[3] // '')) }


sub size {
    my ($bytes) = @_;

    return 0 if length $bytes < 12;
    my $size = 12 + unpack 'N', "\0" . substr $bytes, 9, 3;
    return length $bytes >= $size ? $size : 0;
}


sub answer {
    my ($frame, $state) = @_;

    my (undef, $kind, $id) = unpack 'a3CN', $frame;

    return toy(5, $id, '') if $kind == 4;

    my ($service, $method, $rest) = unpack 'C/a* C/a* a*', substr $frame, 12;
    my $said = "$state->{conn} $kind $id $service $method";

    return (undef, 0, $said) if $kind == 2 || $method eq 'never';
    return (toy(3, $id, "$method: $rest"), $method eq 'late' ? 0.5 : 0, $said);
}


my $peer = Mesh::Wire->new(cut => \&size, answer => \&answer);
my $down = $t->port('down');

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    include @{[$t->root]}/conf/protocols/toy.conf;

    service clock { endpoint @{[$peer->address]}; }
    service clock:2 { endpoint @{[$peer->address]} protocol=toy; }
    service down { endpoint 127.0.0.1:$down; }
    service other { endpoint 127.0.0.1:$down protocol=dubbo; }
}

stream {
    mesh_log_format toy '\$mesh_protocol \$mesh_service \$mesh_method '
                        '\$mesh_version \$mesh_request_id \$mesh_status '
                        '\$mesh_error \$mesh_result';
    mesh_access_log %%DIR%%/rpc.log toy;
    mesh_timeout 1s;

    server { listen 127.0.0.1:%%PORT_toy%%; mesh_pass toy; }
    server { listen 127.0.0.1:%%PORT_auto%%; mesh_pass auto; }
}

http { server { listen 127.0.0.1:%%PORT_http%%; location /metrics {
    mesh_metrics; } } }
CONF

$t->run;


# frames of this protocol from a client that knows only bytes

sub got {
    my ($client) = @_;

    my $head = $client->recv_bytes(12);
    return unless length $head == 12;

    my (undef, $kind, $id, $status) = unpack 'a3CNC', $head;
    my $n = unpack 'N', "\0" . substr $head, 9, 3;

    return { kind => $kind, id => $id, status => $status,
             body => $n ? $client->recv_bytes($n) : '' };
}


sub client {
    my $client = $t->tcp($_[0]);
    $client->{raw} = 1;
    return $client;
}


for my $port ('toy', 'auto') {
    my @clients = map { client($port) } 1 .. 3;

    $_->send(call(7, 'clock', 'late', "from $_")
             . call(8, 'clock', 'now', "from $_")) for @clients;

    my $wrong = 0;

    for my $c (@clients) {
        my ($first, $second) = (got($c), got($c));
        $wrong++ if "$first->{id} $first->{body}" ne "8 now: from $c"
                    || "$second->{id} $second->{body}" ne "7 late: from $c";
    }

    is($wrong, 0, "$port: equal ids of three clients, out of order");

    my $c = $clients[0];

    # byte by byte
    $c->send(call(9, 'clock:2', 'now', 'x' x 50), piece => 1);
    is(got($c)->{body}, 'now: ' . 'x' x 50, '... byte by byte');

    $c->send(toy(4, 77, ''));
    is_deeply(got($c), { kind => 5, id => 77, status => 0, body => '' },
              '... a ping is answered');

    $c->send(toy(2, 5, pack 'C/a* C/a*', 'clock', 'tick'));
    $c->send(call(10, 'clock', 'now', ''));
    is(got($c)->{id}, 10, '... a one-way call has no answer');

    my $r;

    $c->send(call(11, 'nobody', 'now'));
    $r = got($c);
    is("$r->{kind} $r->{id} $r->{status}", '3 11 1', '... an unknown service');
    like($r->{body}, qr/no such service \(no_route\), service "nobody"/,
         '... says so');

    $c->send(call(12, 'clock', 'never'));
    $r = got($c);
    is("$r->{id} $r->{status}", '12 2', '... a call without an answer');

    $c->send(call(13, 'down', 'now'));
    $r = got($c);
    is("$r->{id} $r->{status}", '13 1', '... an endpoint that is down');

    $c->send(call(14, 'other', 'now'));
    like(got($c)->{body}, qr/no endpoint of the service speaks toy/,
         '... one that speaks something else');

    $c->send(toy(9, 15, 'what?') . call(16, 'clock', 'now'));
    is(got($c)->{id}, 16, '... a kind that nobody knows is passed over');

    $c->send('x');
    is($c->closed, 'eof', '... bytes that are no frame end it');
}

my %conns = map { (split / /)[0] => 1 } $peer->log;
cmp_ok(scalar keys %conns, '<=', 2, 'a link for each listener');

my @ids = map { (split / /)[2] } grep { / 1 \d+ clock/ } $peer->log;
my %ids = map { $_ => 1 } @ids;
is(scalar keys %ids, scalar @ids, 'ids that providers see are all different');

like($t->read_file('rpc.log'), qr/^toy clock late - 7 0 - ok$/m, 'log');
like($t->read_file('rpc.log'), qr/^toy clock:2 now 2 9 0 - ok$/m, '... version');
like($t->read_file('rpc.log'), qr/^toy clock never - 12 2 timeout error$/m,
     '... timeout');
like($t->read_file('rpc.log'), qr/^toy clock tick - 5 - - ok$/m, '... one-way');

is($t->sum($t->metrics, 'mesh_damaged_frames_total'), 2, 'damaged frames');

# what Dubbo says does not disturb it

my $dubbo = $t->tcp('auto');
$dubbo->send(Mesh::Dubbo::request(service => 'clock', id => 3));
is($dubbo->recv_frame->{status}, 31, 'Dubbo on the same port');

$t->done;
