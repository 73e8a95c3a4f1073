#!/usr/bin/perl

# A reload that renames a registry, or asks another one: what the old one had
# said serves until the new one has answered, however long that takes.  Without
# any registry it goes at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Mesh::Api;
use Mesh::Calls;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Peer;
use Mesh::Test;

use constant NAME => 'com.example.A';

my $t = Mesh::Test->new;
my $f = Mesh::FaultHTTP->new;
my $other = Mesh::FaultHTTP->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);

$f->service(NAME, [dubbo($f, NAME, $a->port)]);
$other->service(NAME, [dubbo($other, NAME, $b->port)]);


sub config {
    my ($mesh, $state) = @_;

    $state //= 'state_path %%DIR%%/state;';

    return <<"CONF";
worker_processes 2;

mesh {
    zone mesh:8m metrics=1m;
    $state
    $mesh
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
    }
}
CONF
}


sub reload {
    my ($name, @config) = @_;

    $t->write_conf(config(@config));
    ok($t->reload, $name);
}


sub owners {
    my $r = api($t, 'GET', 'services/' . NAME . '/endpoints')->{json} // {};
    return join ' ', map { $_->{metadata}{owner} } @{ $r->{items} // [] };
}


sub went_all { went($t->tcp('rpc')->call(service => NAME, timeout => 10)) }


# calls for longer than an agent takes to look after things

sub serves {
    my ($value, $name) = @_;

    my %went;

    for (1 .. 25) {
        $went{went_all()}++;
        sleep 0.1;
    }

    is(join(' ', sort keys %went), $value, $name);
}


sub hangs { $_->fault(match => '/v1/', hang => 1, times => 0) for @_ }

my @urls = map { $_->url } $f, $other;

$t->write_conf(config("registry consul $urls[0] discovery=all;"));
$t->run;
is(until_learned($t, NAME, 1), "127.0.0.1:@{[$a->port]}=100", 'it is learned');
is(went_all(), 'a', '... and called');


# another mode, another name: nothing is heard

hangs($f);
reload('lazy', "registry consul $urls[0];");
serves('a', '... what is in use goes on');

reload('renamed', "registry consul $urls[0] name=east;");
serves('a', '... serves without an answer of the new one');
is(owners(), 'consul', '... as what it was');
is(scalar(() = $t->grep_log(qr/registries that are asked no more/)), 1,
   '... the log says so');

$f->clear;
ok(wait_for(sub { owners() eq 'east' }, 40), '... until there is one');
serves('a', '... without a gap');

reload('all', "registry consul $urls[0] name=east discovery=all;");
serves('a', '... goes on');
hangs($f);
reload('renamed', "registry consul $urls[0] name=west discovery=all;");
serves('a', '... serves without a catalog of the new one');

is($t->quit, 0, 'nginx ends');
$t->run;
serves('a', '... and begins with it');
$f->clear;
ok(wait_for(sub { owners() eq 'west' }, 40), '... until there is one');


# a service asks another one

my $both = "registry consul $urls[0] name=west discovery=listed;
            registry consul $urls[1] name=other discovery=listed;";

reload('two of them', "$both service @{[NAME]} registry=west { }");
is(went_all(), 'a', '... one is asked');
hangs($other);
reload('the other one', "$both service @{[NAME]} registry=other { }");
serves('a', '... serves without an answer of it');
$other->clear;
ok(wait_for(sub { owners() eq 'other' }, 40), '... until there is one');
is(went_all(), 'b', '... which counts');
reload('none', "$both service @{[NAME]} registry=off { }");
ok(wait_for(sub { owners() eq '' }, 5), '... it goes');


# what nobody will say anything of

reload('it is asked again', "registry consul $urls[0] discovery=all;");
ok(wait_for(sub { owners() eq 'consul' }, 10), '... and there');
reload('without registries', '');
ok(wait_for(sub { owners() eq '' }, 5), '... it goes');

reload('it is asked again', "registry consul $urls[0] discovery=all;");
ok(wait_for(sub { owners() eq 'consul' }, 10), '... and there');
reload('without an agent', '', 'state_path off;');
ok(wait_for(sub { owners() eq '' }, 5), '... it goes');

$t->done;
