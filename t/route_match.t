#!/usr/bin/perl

# What routes match on, each fact and each way of comparing it: where calls
# go tells whether a route was taken, and the log which.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);
my @at = map { $_->address } $a, $b;

# a goes without a route, b is where routes lead

$t->write_conf(conf(
    service => "endpoint $at[0];",
    stream => <<"STREAM",
    mesh_log_format routes '\$mesh_method \$mesh_route';
    mesh_access_log %%DIR%%/rpc.log routes;
    server { listen 127.0.0.1:%%PORT_other%%; mesh_pass dubbo;
             mesh_deadline off; }
STREAM
    mesh => <<"MESH",
    service demo.Other { endpoint $at[0]; }
    service demo.V:1   { endpoint $at[0]; }
    service demo.V:2   { endpoint $at[0]; }
    service g/demo.G   { endpoint $at[0]; }
    service h/demo.G   { endpoint $at[0]; }
    service to         { endpoint $at[1]; }

    route exact    { match service=demo.Echo method=exact; to service=to; }
    route list     { match method=one method=two method=three*;
                     to service=to; }
    route prefix   { match service=demo.E* method=pre*; to service=to; }
    route suffix   { match service=*Echo method=*fix; to service=to; }
    route regex    { match interface=~^demo\\. "method=~^re(g|x){2}\$";
                     to service=to; }
    route nocase   { match method=~*^NOcase\$; to service=to; }
    route version  { match interface=demo.V version=2; to service=to; }
    route group    { match group=h interface=demo.G; to service=to; }
    route key      { match service=g/demo.G method=key; to service=to; }
    route ignored  { match group=x method=ignored; to service=to; }
    route lookup   { match service=demo.Echo method=lookup; to service=to; }
    route whole    { match service=x/demo.Echo method=whole; to service=to; }
    route noversion { match !version method=noversion; to service=to; }

    route tag      { match method=att attachment.dubbo.tag=gray;
                     to service=to; }
    route tags     { match method=att attachment.x=~^[0-9]+\$
                           attachment.x=y*; to service=to; }
    route both     { match method=both; match attachment.x=~1;
                     match attachment.x=~2; to service=to; }
    route present  { match method=there attachment.x=*; to service=to; }
    route absent   { match method=absent !attachment.x; to service=to; }
    route mixed    { match method=mixed !attachment.x attachment.x=1;
                     to service=to; }
    route steps    { match method=steps "attachment.x=~^(a+)+\$";
                     to service=to; }
    route search   { match method=search "attachment.x=~[a-z]+[a-z][0-9]";
                     to service=to; }
    route app      { match method=app app=shop; to service=to; }

    route near     { match method=near caller=127.0.0.0/8; to service=to; }
    route far      { match method=far caller=10.0.0.0/8 caller=192.168.1.1;
                     to service=to; }
    route protocol { match method=protocol protocol=dubbo; to service=to; }
    route bolt     { match method=bolt protocol=bolt; to service=to; }
    route listener { match method=listener
                           listener=127.0.0.1:%%PORT_other%%;
                     to service=to; }

    route second   { match method=order; to service=to; }
    route first priority=10 { match method=order attachment.x=1;
                              timeout 1s; }
    route third priority=-1 { match method=order attachment.x=2;
                              timeout 1s; }
MESH
));
$t->run;

my $client = $t->tcp('rpc');


sub goes {
    my ($where, $name, %o) = @_;

    is(went($client->call(service => 'demo.Echo', timeout => 10, %o)), $where,
       $name);
}


sub att {
    my ($x, %more) = @_;
    return (attachments => { defined $x ? (x => $x) : (), %more });
}


goes('b', 'an exact name', method => 'exact');
goes('a', '... another service', service => 'demo.Other', method => 'exact');
goes('a', '... a longer name', method => 'exactly');
goes('b', "a list: $_", method => $_) for qw(one two three threefold);
goes('a', '... none of it', method => 'four');
goes('b', 'a beginning', method => 'prelude');
goes('a', '... another', method => 'perlude');
goes('b', 'an end', method => 'suffix');
goes('a', '... of another service', service => 'demo.Other',
     method => 'suffix');
goes('b', 'an expression', method => 'regx');
goes('a', '... not matched', method => 'reg');
goes('b', 'whatever the case', method => 'noCASE');

goes('b', 'a version', service => 'demo.V', version => '2');
goes('a', '... another', service => 'demo.V', version => '1');
goes('b', 'a group', service => 'demo.G', group => 'h',
     attachments => { group => 'h' });
goes('a', '... another', service => 'demo.G', group => 'g',
     attachments => { group => 'g' });
goes('b', 'a key with a group', service => 'demo.G', group => 'g',
     method => 'key', attachments => { group => 'g' });

# where no service has a group, that of a call is a fact all the same

my @x = (group => 'x', attachments => { group => 'x' });

goes('b', 'a group that no service has', method => 'ignored', @x);
goes('a', '... another', method => 'ignored', attachments => { group => 'y' });
goes('a', '... none', method => 'ignored');
goes('b', 'the key it is looked up by is without', method => 'lookup', @x);
goes('b', '... the one of the call is with it', method => 'whole', @x);
goes('a', '... or has none', method => 'whole');

goes('b', 'no version', method => 'noversion');

goes('b', 'an attachment', method => 'att', att(undef,
     'dubbo.tag' => 'gray'));
goes('a', '... another value', method => 'att', att(undef,
     'dubbo.tag' => 'green'));
goes('a', '... none', method => 'att');
goes('b', "an attachment of a list: $_", method => 'att', att($_))
    for '17', 'yes';
goes('a', '... none of it', method => 'att', att('no'));
goes('b', 'two conditions on one', method => 'both', att('12'));
goes('a', '... one of them', method => 'both', att('13'));
goes('b', 'present', method => 'there', att('?'));
goes('a', '... not present', method => 'there');
goes('b', 'absent', method => 'absent');
goes('a', '... present', method => 'absent', att('1'));
goes('a', '... and empty', method => 'absent', att(''));
goes('b', 'present, and empty', method => 'there', att(''));
goes('b', 'absent or a value', method => 'mixed');
goes('b', '... a value', method => 'mixed', att('1'));
goes('a', '... another value', method => 'mixed', att('2'));
goes('b', 'an expression with few steps', method => 'steps', att('aaa'));
goes('a', '... with too many', method => 'steps', att('a' x 60 . 'b'))
    for 1 .. 3;
goes('b', 'an expression that is found', method => 'search', att('-- ab1 --'));
goes('a', '... after too many steps at many places', method => 'search',
     att('a' x 4000));
goes('b', 'an application', method => 'app',
     attachments => { 'remote.application' => 'shop' });
goes('a', '... another', method => 'app',
     attachments => { 'remote.application' => 'stop' });

goes('b', 'a network', method => 'near');
goes('a', '... another', method => 'far');
goes('b', 'a protocol', method => 'protocol');
goes('a', '... another', method => 'bolt');
goes('a', 'a listener', method => 'listener');

my $other = $t->tcp('other');
is(went($other->call(service => 'demo.Echo', method => 'listener')), 'b',
   '... the other one');
is(went($other->call(service => 'demo.Echo', method => 'ignored',
                     args => ['hello'], @x)), 'b',
   'a group where nothing but a route asks for attachments');

goes('b', 'the order of the file', method => 'order');
goes('a', 'priority comes first', method => 'order', att('1'));
goes('b', '... or last', method => 'order', att('2'));

# names that were seen before get what they got then, or by what else they say

for my $round (1 .. 3) {
    goes('b', "again, $round", method => 'att', att('17'));
    goes('a', "... another value", method => 'att', att('z'));
}

$t->stop;

is(scalar(() = $t->log =~ /\[warn\].*"\^\(a\+\)\+\$" in a route failed/g), 1,
   'an expression that took too many steps is logged once');
is(scalar(() = $t->log =~ /\[warn\].*"\[a-z\]\+.*" in a route failed/g), 1,
   '... and one that took them at many places');

my %seen;
/^(\S+) (\S*)$/ && $seen{$1}{$2}++ for split /\n/, $t->read_file('rpc.log');

is(join(' ', map { "$_:" . join ',', sort keys %{ $seen{$_} } }
             qw(exact order four prelude)),
   'exact:-,exact order:first,second four:- prelude:prefix',
   'the log names the routes');

$t->done;
