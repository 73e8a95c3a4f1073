#!/usr/bin/perl

# mesh_api require_match=on: a write says what it relies on, or is not done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;
my $one = { address => '127.0.0.1', port => 1 };
my $path = 'services/demo.Echo/endpoints/127.0.0.1:1';
my $none = '428 PreconditionRequired';

$t->write_conf(api_conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'state_path %%DIR%%/state;',
    args => 'require_match=on audit=%%DIR%%/audit.log',
    location => 'client_max_body_size 8m;'));
$t->run;

sub revision { api($t, 'GET', '')->{json}{revision} }
sub etag { api($t, 'GET', $_[0])->{headers}{etag} }

wait_for { api($t, 'GET', 'revisions')->{status} == 200 } 10, 'the agent';

my $revision = revision();

for my $write (['PUT', 'services/x', {}], ['PATCH', 'services/x', {}],
               ['DELETE', 'services/x'], ['POST', 'services', { name => 'x' }],
               ['PUT', 'services/x/endpoints', [ $one ]],
               ['POST', 'services/x/endpoints', $one],
               ['PUT', "$path/override", { weight => 1 }],
               ['POST', "$path/drain"], ['DELETE', "$path/drain"],
               ['PUT', 'routes/r', { deny => 'x' }],
               ['PUT', 'snapshot', { items => [] }],
               ['POST', 'revisions/1/rollback'])
{
    my ($method, $to, $body) = @$write;
    is(error(api($t, $method, $to, $body)), $none, "$method $to");
}

is(revision(), $revision, 'nothing was done');
like($t->read_file('audit.log'), qr/"status":428/, '... which was written down');
is(api($t, 'PUT', 'services/x?dry_run=1', {})->{status}, 200, 'a dry run');
is(api($t, 'POST', 'explain', { service => 'demo.Echo', method => 'x' })
   ->{status}, 200, 'what is no write');

# with one

my %new = ('If-None-Match' => '*');

is(api($t, 'PUT', 'services/x', {}, %new)->{status}, 201, 'If-None-Match');
is(api($t, 'PATCH', 'services/x', { balancer => 'random' },
       'If-Match' => etag('services/x'))->{status}, 200, 'If-Match');
is(api($t, 'PUT', 'services/y', {}, 'X-Mesh-Revision' => revision())
   ->{status}, 201, 'X-Mesh-Revision');
is(api($t, 'POST', "$path/drain", undef, %new)->{status}, 201, 'a drain');

# batches: all of it or each

my @ops = map { { method => 'PUT', path => "routes/$_",
                  body => { deny => 'x' } } } 'a', 'b';

$ops[0]{if_none_match} = '*';
is(error(api($t, 'POST', 'batch', { ops => \@ops })), "$none /ops/1",
   'one of a batch');
is(error(api($t, 'POST', 'batch', { ops => \@ops },
             'X-Mesh-Revision' => 1)), '412 PreconditionFailed',
   'another revision');
is(error(api($t, 'POST', 'batch', { ops => \@ops }, 'If-Match' => '"x"')),
   '412 PreconditionFailed', '... or ETag');
is(api($t, 'POST', 'batch', { ops => \@ops },
       'If-Match' => etag('snapshot'))->{status}, 200, 'the right one');
$_->{if_match} = '*', delete $_->{if_none_match}, $_->{body} = { deny => 'y' }
    for @ops;
is(api($t, 'POST', 'batch', { ops => \@ops })->{status}, 200, 'each its own');

push @ops, { method => 'PUT', path => 'snapshot', body => { items => [] },
             if_match => '*' };
is(error(api($t, 'POST', 'batch', { ops => \@ops })), '400 NotInBatch /ops/2',
   'a snapshot is not for a batch');

# what the agent does

my @many = map { { path => "routes/many$_",
                   spec => { match => { method => "m$_" },
                             deny => 'x' x 200 } } } 1 .. 2000;

is(error(api($t, 'PUT', 'snapshot', { items => \@many })), $none,
   'a large body');
is(api($t, 'PUT', 'snapshot', { items => \@many },
       'If-Match' => etag('snapshot'))->{status}, 200, '... with one');

@many = map { { method => 'DELETE', if_match => '*',
                path => $_->{path} . '?' . '&' x 160 } } @many;
delete $many[1999]{if_match};
is(error(api($t, 'POST', 'batch', { ops => \@many })), "$none /ops/1999",
   'one of a large batch');

my $at = revision();
is(error(api($t, 'POST', "revisions/$at/rollback", undef,
             'X-Mesh-Revision' => $at - 1)), '412 PreconditionFailed',
   'a rollback of another table');
is(error(api($t, 'POST', "revisions/$at/rollback?dry_run=1", undef,
             'X-Mesh-Revision' => $at - 1)), '412 PreconditionFailed',
   '... when dry, too');
is(error(api($t, 'POST', "revisions/$at/rollback", undef,
             'If-Match' => '"x"')), '412 PreconditionFailed',
   '... of another ETag');
is(api($t, 'POST', "revisions/$at/rollback", undef,
       'X-Mesh-Revision' => $at)->{status}, 200, '... of this one');

# meshctl goes by what it has read

$ENV{MESH_API} = 'http://127.0.0.1:' . $t->port('http') . '/api/1';
my $meshctl = "$FindBin::Bin/../util/meshctl";

$t->write_file('all.json', '{"items": []}');
my $file = $t->dir . '/all.json';
is(system("$meshctl apply -y --prune -f $file >/dev/null"), 0,
   'meshctl apply');
is(api($t, 'GET', 'routes/a')->{status}, 404, '... does it');
is(system("$meshctl rollback -y $at >/dev/null"), 0, 'meshctl rollback');
is(api($t, 'GET', 'routes/a')->{status}, 200, '... does it');
is(system("$meshctl --if-match '*' drain demo.Echo 127.0.0.1:1 >/dev/null"),
   0, 'meshctl drain');

# several lines of a header are refused, not guessed; tabs are blanks

sub raw {
    my (@lines) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port('http'))
        or die "connect: $@";

    print $s join("\r\n", 'DELETE /api/1/routes/a?dry_run=1 HTTP/1.1',
                  'Host: a', 'Connection: close', @lines, '', '');
    local $/;

    return (<$s> =~ m{^HTTP/1\.1 (\d+)})[0];
}

my $tag = etag('routes/a');

is(raw("If-Match: $tag"), 200, 'one line');
is(raw("If-Match: \"x\"\t,\t$tag\t, \"y\""), 200, 'a list with tabs');
is(raw('If-Match: "x", "y"'), 412, '... without it');
is(raw('If-Match: "x"', "If-Match: $tag"), 400, 'two of If-Match');
is(raw('If-None-Match: "x"', 'If-None-Match: "y"'), 400, 'If-None-Match');
is(raw('X-Mesh-Revision: 1', 'X-Mesh-Revision: 2'), 400, 'two revisions');

$t->done;
