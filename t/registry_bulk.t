#!/usr/bin/perl

# 100 000 endpoints of 10 000 services that a registry has said: a start
# without it has all of them, in a zone of 64m, and serves; when nobody asks for
# them any more they go together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Api;
use Mesh::Test qw(wait_for);

my $t = Mesh::Agent->new;


sub config {
    my ($discovery) = @_;

    return <<"CONF";
mesh {
    zone mesh:64m metrics=1m;
    state_path %%DIR%%/state;
    registry consul http://127.0.0.1:1 discovery=$discovery;
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
        location /metrics { mesh_metrics; }
    }
}
CONF
}


$t->write_conf(config('all'));
$t->bulk('consul', 10000, 10);
$t->run;

my $status = api($t, 'GET', 'status')->{json};

is_deeply([@{ $status->{items} }{qw(services endpoints)}], [10000, 100000],
          'all is there');
is_deeply($status->{owners}, { consul => { services => 10000,
                                           endpoints => 100000 } },
          '... as the registry\'s');
cmp_ok($status->{zone}{free}, '>', 0, '... and fits');
is(scalar @{ api($t, 'GET',
                 'services/com.example.bulk.Service9999/endpoints')
             ->{json}{items} }, 10, '... the last one, too');

my $r;

ok((wait_for { $r = api($t, 'PUT', 'services/demo.Own', { });
               $r->{status} != 423 } 10), 'an agent comes');
is($r->{status}, 201, '... the table can be changed');
ok($r->{json}{durable}, '... and it is durable');
is(api($t, 'GET', 'status/agent')->{json}{takeovers}, 1,
   'the agent was never taken for hung');

my $revision = api($t, 'GET', 'status')->{json}{revision};

$t->write_conf(config('listed'));
ok($t->reload(gone => 1), 'only what is listed is asked for');
ok((wait_for {
    $status = api($t, 'GET', 'status')->{json};
    $status->{items}{endpoints} == 0 && $status->{items}{services} == 1
} 20), '... the rest goes');
is($status->{items}{services}, 1, '... with the services');
cmp_ok($status->{revision} - $revision, '<', 1000, '... in few commits');
is(api($t, 'GET', 'status/agent')->{json}{takeovers}, 2,
   '... and nobody was taken for hung');

$t->done;
