package Mesh::Lazy;

# An nginx whose registry never says a word: services are looked for, and only
# the API brings them.

use strict;
use warnings;

use Exporter qw(import);

use Mesh::Api qw(enc);
use Mesh::Test qw(wait_for);

our @EXPORT = qw(lazy_conf gives parked metric wait_for);


# lazy_conf(registry => "more parameters", mesh => ..., server => ..., stream
# => ..., main => ..., pass => ...); nobody listens at the registry's port

sub lazy_conf {
    my (%o) = @_;

    my %in = map { $_ => $o{$_} // '' } qw(registry mesh server stream main);
    my $pass = $o{pass} // 'dubbo';

    return <<"CONF";
$in{main}

mesh {
    zone mesh:@{[$o{zone} // '8m']} metrics=1m;
    state_path %%DIR%%/state;
    registry consul http://127.0.0.1:%%PORT_registry%% $in{registry};
    $in{mesh}
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass $pass;
        $in{server}
    }

    $in{stream}
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
        location /api/ { mesh_api write=on; }
    }
}
CONF
}


# a service comes, as its registry would have it

sub gives {
    my ($t, $service, @peers) = @_;

    my $r = $t->http(PUT => "/api/1/services/@{[enc($service)]}/endpoints",
        [ map { { address => '127.0.0.1', port => $_->port + 0 } } @peers ],
        port => 'http', headers => { 'content-type' => 'application/json' });

    return $r->{status};
}


sub metric { return $_[0]->metrics->{$_[1]} // 0 }


# waits until so many calls are parked

sub parked {
    my ($t, $n, $seconds) = @_;
    return wait_for { metric($t, 'mesh_requests_parked') == $n } $seconds // 10;
}


1;
