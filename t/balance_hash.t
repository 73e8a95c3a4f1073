#!/usr/bin/perl

# Balancer "hash": the same key goes to the same endpoint, whoever calls and
# whichever worker, and few keys move when an endpoint goes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $keys = 400;

my $t = Mesh::Test->new;
my @peers = map { Mesh::Peer->new(value => $_) } qw(a b c d);
my @at = map { $_->address } @peers;


sub config {
    my (@use) = @_;

    my $endpoints = join '', map { "endpoint $at[$_] fail_timeout=60s;\n" }
                    @use;

    return conf(main => 'worker_processes 2;',
        service => "balancer hash method; $endpoints",
        mesh => "service demo.Att {
                     balancer hash attachment.user-id; $endpoints
                 }
                 service demo.Interface {
                     balancer hash interface; $endpoints
                 }
                 service demo.Weights {
                     balancer hash method;
                     endpoint $at[0] weight=300; endpoint $at[1] weight=100;
                     endpoint $at[2] weight=0;
                 }");
}


sub places {
    my ($client, %o) = @_;
    return spread($client, $keys, method => sub { "m$_[0]" }, %o);
}


sub moved {
    my ($one, $two) = @_;
    return [ grep { $one->[$_] ne $two->[$_] } 0 .. $#$one ];
}


$t->write_conf(config(0 .. 3));
$t->run;

my $client = $t->tcp('rpc');
my @first = places($client);
my $n = tally(@first);

is(join(' ', sort keys %$n), 'a b c d', 'keys spread over all');

# 100 each are expected; 160 points an endpoint and 400 keys: sigma is 12

for (qw(a b c d)) {
    cmp_ok($n->{$_} // 0, '>', 40, "$_ has its share of the keys");
    cmp_ok($n->{$_} // 0, '<', 180, '... not more');
}

for my $try (1 .. 4) {
    is_deeply(moved(\@first, [ places($t->tcp('rpc')) ]), [],
              "another connection, the same endpoints ($try)");
}


# by attachment

my %att = (service => 'demo.Att', attachments => sub {
    return { 'user-id' => "u$_[0]", other => rand };
});

my @users = places($client, %att);

is_deeply(moved(\@users, [ places($t->tcp('rpc'), %att, args => [ 'x', \ 1 ],
                                  method => sub { "y$_[0]" }) ]),
          [], 'an attachment: the same user, the same endpoint');
is(scalar keys %{ tally(@users) }, 4, '... spread over all');

is_deeply(scalar spread($client, 40, service => 'demo.Att',
                        attachments => { other => 1 }),
          { map { $_ => 10 } qw(a b c d) },
          'without the attachment they take turns');

is(scalar keys %{ spread($client, 20, service => 'demo.Interface') }, 1,
   'one interface, one endpoint');


# weights

$n = tally(places($client, service => 'demo.Weights'));

cmp_ok($n->{a} // 0, '>', 230, 'weights share the keys out');
cmp_ok($n->{b} // 0, '>', 40, '... to the lighter one too');
is($n->{c}, undef, '... to none without a weight');


# one endpoint dies: its keys move, to all the others, and no other key does

$peers[1]->stop;

my @second = places($client);
my @lost = grep { $first[$_] eq 'b' } 0 .. $#first;

is_deeply(moved(\@first, \@second), \@lost,
          'only the keys of a dead endpoint move');
is(scalar keys %{ tally(@second[@lost]) }, 3, '... to all others');


# one endpoint is taken out, by a reload

$peers[1]->start;
$t->write_conf(config(0, 1, 3));
ok($t->reload, 'one is taken out of the configuration');

my @third = places($t->tcp('rpc'));
@lost = grep { $first[$_] eq 'c' } 0 .. $#first;

is_deeply(moved(\@first, \@third), \@lost, 'only its keys move');

$t->done;
