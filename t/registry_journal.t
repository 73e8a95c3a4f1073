#!/usr/bin/perl

# What a registry said outlives nginx: a start without any registry serves from
# the journal, also from the one before when the last is damaged; what belongs
# to a registry that is configured no more goes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Consul;
use Mesh::Test qw(wait_for);

use constant { A => 'com.example.A', B => 'com.example.B' };

my $consul = Mesh::Consul->new;
my $t = Mesh::Test->new;


sub config {
    my (%o) = @_;

    my $registry = $o{registry} // 1
        ? "registry consul @{[$consul->url]} protocol=dubbo discovery=all;
           guard off;" : '';

    return <<"CONF";
mesh {
    zone @{[$o{zone} // 'mesh']}:8m metrics=1m;
    state_path %%DIR%%/state;
    $registry
    @{[$o{mesh} // '']}
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
    }
}
CONF
}


# "owner: owner.port ..." of a service

sub service {
    my ($name) = @_;

    my $s = api($t, 'GET', "services/$name")->{json} // {};
    my $r = api($t, 'GET', "services/$name/endpoints")->{json} // {};
    my @e = map { $_->{metadata} } @{ $r->{items} // [] };

    return ($s->{metadata}{owner} // 'nobody') . ':'
           . join '', map { " $_->{owner}." . $_->{name} =~ s/.*://r }
                      sort { $a->{name} cmp $b->{name} } @e;
}


sub files { reverse sort glob $t->path_of('state/agent/learned/journal.*') }


# the newest file after the table has changed

sub written {
    my ($before) = @_;
    return wait_for { ((files())[0] // '') ne ($before // '') } 10;
}


$consul->register("a-$_", A, 20000 + $_) for 1, 2;
$t->write_conf(config());
$t->run;

ok((wait_for { service(A) eq 'consul: consul.20001 consul.20002' } 10),
   'a service of a registry');
is(api($t, 'PUT', 'services/demo.Own', { })->{status}, 201,
   'one of an operator');
is(api($t, 'PUT', 'services/demo.Own/endpoints', [
    { address => '127.0.0.1', port => 20009 }])->{status}, 200, '... as well');
ok(written(), 'there is a journal');

is_deeply([map { $_->{nitems} }
           @{ api($t, 'GET', 'revisions')->{json}{items} }], [2, 1],
          'revisions have nothing of it');

my ($first) = files();
$consul->register('b-1', B, 20011);
ok((wait_for { service(B) eq 'consul: consul.20011' } 10), 'another service');
ok(written($first), '... is written');


# all registries down

$consul->kill9;
is($t->quit, 0, 'nginx and its registry end');

$t->run;
is(service(A), 'consul: consul.20001 consul.20002',
   'a start without a registry serves at once');
is(service(B), 'consul: consul.20011', '... all of it');
is(service('demo.Own'), 'api: api.20009', '... and what is an operator\'s');

my ($status) = @{ api($t, 'GET', 'registries')->{json}{items} };
isnt($status->{status}{state}, 'ok', '... which is not well');

is($t->quit, 0, 'it ends');

my @files = files();
cmp_ok(scalar @files, '<=', 2, 'two files are kept');

open my $out, '+<', $files[0] or die "$files[0]: $!";
seek $out, -1, 2;
print $out "\xff";
close $out;

$t->run;
is(service(A), 'consul: consul.20001 consul.20002',
   'a damaged file: the one before is used');
$consul->start;
ok((wait_for { service(A) eq 'nobody:' } 10),
   'the registry is back, and has nothing');
$consul->register("a-$_", A, 20000 + $_) for 1, 3;
ok((wait_for { service(A) eq 'consul: consul.20001 consul.20003' } 10),
   '... and has');


# other zones, other configurations

$t->write_conf(config(zone => 'other'));
ok($t->reload(gone => 1), 'another zone');
is(service(A), 'consul: consul.20001 consul.20003', '... is a copy');
$consul->register('a-4', A, 20004);
ok((wait_for { service(A) eq 'consul: consul.20001 consul.20003 consul.20004' }
    10), '... and goes on');

$t->write_conf(config(zone => 'other', mesh => 'service ' . A . ' {
    endpoint 127.0.0.1:20008; balancer random; }'));
ok($t->reload(gone => 1), 'the configuration names a service');
is(service(A), 'config: consul.20001 consul.20003 consul.20004 config.20008',
   '... which is its');

$t->write_conf(config(zone => 'other'));
ok($t->reload(gone => 1), 'and no more');
is(service(A), 'consul: consul.20001 consul.20003 consul.20004',
   '... it is the registry\'s again');
is(api($t, 'GET', 'services/' . A)->{json}{spec}{balancer}, 'round_robin',
   '... as that has it');

$t->write_conf(config(zone => 'other', registry => 0));
ok($t->reload(gone => 1), 'without the registry');
ok((wait_for { service(A) eq 'nobody:' } 10), '... nothing is left of it');
is(service('demo.Own'), 'api: api.20009', '... but what is an operator\'s');
is_deeply(api($t, 'GET', 'registries')->{json}{items}, [],
          '... there are no registries');

is($t->quit, 0, 'it ends');
$t->run;
is(service(A), 'nobody:', '... and does not come again');

$t->done;
