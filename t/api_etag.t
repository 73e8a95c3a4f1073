#!/usr/bin/perl

# Preconditions: who writes what he has not read is told so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use Mesh::Api;
use Mesh::Test;

my $WRITERS = 64;

my $t = Mesh::Test->new;

$t->write_conf(api_conf(service => 'endpoint 127.0.0.1:1;',
                        main => 'worker_processes 2;'));
$t->run;

sub etag { api($t, 'GET', $_[0])->{headers}{etag} }

my $one = { address => '127.0.0.1', port => 1 };
my $list = 'services/x/endpoints';

is(error(api($t, 'PUT', 'services/x', {}, 'if-match' => '"a"')),
   '412 PreconditionFailed', 'If-Match of what is not there');
is(api($t, 'PUT', 'services/x', {}, 'if-none-match' => '*')->{status}, 201,
   'If-None-Match: * creates');
is(error(api($t, 'PUT', 'services/x', {}, 'if-none-match' => '*')),
   '412 PreconditionFailed', '... and does nothing else');

my $tag = etag('services/x');
like($tag, qr/^"[0-9a-f]+-\d+"$/, 'an ETag');
my $r = api($t, 'GET', 'services/x', undef, 'if-none-match' => $tag);
is("$r->{status} " . ($r->{content} // ''), '304 ', 'If-None-Match');
is(api($t, 'GET', 'services/x', undef, 'if-none-match' => '"a", "b"')
   ->{status}, 200, '... of others');

$r = api($t, 'PUT', 'services/x', { balancer => 'random' },
         'if-match' => "\"a\", $tag");
is($r->{status}, 200, 'If-Match');
is($r->{headers}{etag}, etag('services/x'), '... the new one is told');
is(error(api($t, 'PUT', 'services/x', {}, 'if-match' => $tag)),
   '412 PreconditionFailed', '... the old one is refused');
is(error(api($t, 'PUT', 'services/x', {}, 'if-match' => $_)),
   '412 PreconditionFailed', "... $_ too")
    for $r->{headers}{etag} . 'x', substr($r->{headers}{etag}, 0, -1), '""';
is(error(api($t, 'DELETE', 'services/x', undef, 'if-match' => $tag)),
   '412 PreconditionFailed', '... for DELETE too');
is(api($t, 'PATCH', 'services/x', {}, 'if-match' => '*')->{status}, 200,
   'If-Match: *');

# the whole table

$r = api($t, 'GET', 'services');
my $revision = $r->{headers}{'x-mesh-revision'};
is(api($t, 'PUT', 'services/y', {}, 'x-mesh-revision' => $revision)->{status},
   201, 'X-Mesh-Revision');
is(error(api($t, 'PUT', 'services/y', { balancer => 'random' },
             'x-mesh-revision' => $revision)), '412 PreconditionFailed',
   '... the old one is refused');

# collections: whatever happens to a member

my %seen = ($r->{headers}{etag} => 1, etag('services') => 2);
is(scalar keys %seen, 2, 'a service more');
%seen = ();

my @steps = (
    ['PUT', $list, [ $one, { %$one, port => 2 }, { %$one, port => 3 } ]],
    ['PATCH', "$list/127.0.0.1:2", { weight => 1 }],
    ['DELETE', "$list/127.0.0.1:1"],
    ['PUT', "$list/127.0.0.1:3/override", { weight => 1 }],
    ['DELETE', "$list/127.0.0.1:3/override"],
    ['DELETE', "$list/127.0.0.1:2"],
);

my $before = etag($list);

for my $step (@steps) {
    my ($method, $path, $body) = @$step;

    api($t, $method, $path, $body);
    my $now = etag($list);
    isnt($now, $before, "another ETag after $method $path");
    $before = $now;
}

is(error(api($t, 'PUT', $list, [], 'if-match' => '"a"')),
   '412 PreconditionFailed', 'a set with an old one');
$r = api($t, 'PUT', $list, [ $one ], 'if-match' => $before);
is($r->{status}, 200, '... with the right one') or diag($r->{content});

my $plain = etag("$list/127.0.0.1:1");
api($t, 'PUT', "$list/127.0.0.1:1/override", { weight => 1 });
my $laid = etag("$list/127.0.0.1:1");
isnt($laid, $plain, 'an override changes the ETag of its endpoint');
is(api($t, 'PATCH', "$list/127.0.0.1:1", { zone => 'a' },
       'if-match' => $laid)->{status}, 200, '... which is good to write');

# many writers: each adds one, and none is lost

my @pids;

for my $i (1 .. $WRITERS) {
    my $pid = fork // die "fork: $!\n";
    push(@pids, $pid), next if $pid;

    for (1 .. 10_000) {
        my $now = api($t, 'GET', "$list/127.0.0.1:1");
        my $put = api($t, 'PATCH', "$list/127.0.0.1:1",
                      { weight => $now->{json}{spec}{weight} + 1 },
                      'if-match' => $now->{headers}{etag});

        POSIX::_exit(0) if $put->{status} == 200;
        POSIX::_exit(1) if $put->{status} != 412;
    }

    POSIX::_exit(2);
}

my $bad = grep { waitpid($_, 0); $? } @pids;
is($bad, 0, "$WRITERS writers");
is(api($t, 'GET', "$list/127.0.0.1:1")->{json}{spec}{weight}, 100 + $WRITERS,
   '... nothing is lost');

# the same without preconditions: each writes a label of its own

@pids = ();

for my $i (1 .. 16) {
    my $pid = fork // die "fork: $!\n";
    push(@pids, $pid), next if $pid;

    my $put = api($t, 'PATCH', "$list/127.0.0.1:1",
                  { labels => { "l$i" => 'x' } });
    POSIX::_exit($put->{status} == 200 ? 0 : 1);
}

$bad = grep { waitpid($_, 0); $? } @pids;
is($bad, 0, 'patches at once');
is(scalar keys %{ api($t, 'GET', "$list/127.0.0.1:1")->{json}{spec}{labels} },
   16, '... nothing is lost either');

$t->done;
