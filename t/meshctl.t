#!/usr/bin/perl

# util/meshctl against the API: what it does, prints and exits with.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use POSIX ();
use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;
my $program = "$FindBin::Bin/../util/meshctl";

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'route fixed { match method=fixed; deny; }',
    web => 'location /api/ { mesh_api write=on; }'
            . ' location /read/ { mesh_api; }'));
$t->run;

my $server = 'http://127.0.0.1:' . $t->port('http') . '/api/1';
$ENV{MESH_API} = $server;

# run(input or undef, word...): what it exits with, prints, and says

sub run {
    my ($input, @words) = @_;

    my ($out, $err) = map { $t->dir . "/$_" } qw(out err);
    my $in = $t->write_file('in', $input // '');

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open(STDIN, '<', $in);
        open(STDOUT, '>', $out);
        open(STDERR, '>', $err);
        exec($program, @words) or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    return ($? >> 8, map { scalar $t->read_file($_) } qw(out err));
}

sub json { return eval { JSON::PP->new->utf8->decode($_[0]) } }

my ($code, $out, $err);

# usage

($code, $out) = run(undef, '--help');
is($code, 0, '--help');
like($out, qr/^usage: meshctl/, '... says how');

for my $words ([], ['fly'], ['get'], ['set', 'routes', 'a'], ['get', '--fly'],
               ['apply'], ['get', '/a', 'b'], ['rollback'],
               ['--server', 'nowhere', 'status'],
               ['apply', '-f', '/nonexistent'])
{
    ($code, $out, $err) = run(undef, @$words);
    is($code, 2, "usage: @$words");
    like($err, qr/^meshctl: /, '... says what');
}

is((run(undef, '--server=http://127.0.0.1:1/api/1', 'status'))[0], 3,
   'nobody is there');

# get, put, set, delete

($code, $out) = run(undef, 'status');
is($code, 0, 'status');
ok(json($out)->{revision}, '... is JSON');

($code, $out, $err) = run(undef, 'set', 'services', 'g/demo.A:1',
                          'balancer=random');
is($code, 0, 'set creates') or diag($err);
($code, $out) = run(undef, 'get', 'services', 'g/demo.A:1');
is(json($out)->{spec}{balancer}, 'random', '... what get shows');

is((run(undef, 'set', 'services', 'g/demo.A:1', 'balancer=round_robin'))[0],
   0, 'set changes');
($code, $out) = run(undef, 'get', '/services/g%2Fdemo.A:1');
is(json($out)->{spec}{balancer}, 'round_robin',
   '... also by the path of a URL');

($code, $out, $err) = run(undef, 'put', 'routes', 'r', 'priority=5',
                          'match.method=x', 'to=[{"labels":{"v":"2"}}]');
is($code, 0, 'put') or diag($err);
($code, $out) = run(undef, 'get', 'routes', 'r');
is(json($out)->{spec}{priority}, 5, '... numbers');
is(json($out)->{spec}{match}{method}, 'x', '... names within names');
is(json($out)->{spec}{to}[0]{labels}{v}, '2', '... and JSON');

($code, $out, $err) = run('{"deny":"no"}', 'put', 'routes', 'r', '-f', '-');
is($code, 0, 'put of a file') or diag($err);

is((run(undef, 'put', 'routes', 'r', 'deny=x', '--if-match', '"0-1"'))[0], 6,
   'another ETag');

($code, $out, $err) = run(undef, 'put', 'routes', 'fixed', 'deny=x');
is($code, 6, 'a route of the configuration');
like($err, qr/^meshctl: 409 /, '... says so');

($code, $out, $err) = run(undef, 'put', 'routes', 'r', 'color=red');
is($code, 4, 'what is wrong');
like($err, qr{ at /color$}m, '... says where');

like($err, qr/^meshctl: unknown field; a route has/m, '... and why');

# names and values with whatever a shell can hand over

my @odd = ('services', 'odd', 'endpoints', qq{a b'c"d/e:\xc3\xa9});
my @values = ('address=127.0.0.1', 'port=1', "labels.city=Z\xc3\xbcrich",
              q{labels.said=it's "$HOME" `x` \\});
my %labels = (city => "Z\x{fc}rich", said => q{it's "$HOME" `x` \\});

is((run(undef, 'put', 'services', 'odd'))[0], 0, 'a service');

for my $how ('as it is', '--curl') {
    ($code, $out, $err) = run(undef, $how eq '--curl' ? $how : (), 'put', @odd,
                              @values);
    is($code, 0, "odd names, $how") or diag($err);

    SKIP: {
        skip 'no curl', 1
            unless $how ne '--curl' || grep { -x "$_/curl" } split /:/,
                                              $ENV{PATH};

        system('sh', '-c', "$out >/dev/null") if $how eq '--curl';

        my $r = json((run(undef, 'get', @odd))[1]);
        is_deeply($r->{spec}{labels}, \%labels, '... are what is there');
    }

    is((run(undef, 'delete', @odd))[0], 0, '... and go');
}

is((run(undef, 'put', 'services', 'odd', "x=\xff"))[0], 2, 'no UTF-8');
is((run(undef, 'delete', 'services', 'odd'))[0], 0, 'the service goes');

is((run(undef, 'delete', 'routes', 'r', '--dry-run'))[0], 0, 'a dry run');
is((run(undef, 'get', 'routes', 'r'))[0], 0, '... does nothing');
is((run(undef, 'delete', 'routes', 'r'))[0], 0, 'delete');
is((run(undef, 'get', 'routes', 'r'))[0], 4, '... it is gone');

(my $read = $server) =~ s{/api/}{/read/};
is((run(undef, '--server', $read, 'delete', 'routes', 'r'))[0], 4,
   'where nobody may write');

# export, diff, apply

my $file = $t->dir . '/all.json';
is((run(undef, 'export', '-f', $file))[0], 0, 'export to a file');
($code, $out) = run(undef, 'export');
is($out, $t->read_file('all.json'), '... the same as printed');

is((run(undef, 'diff', '-f', $file))[0], 0, 'no difference');

my $all = json($out);
push @{ $all->{items} }, { path => 'routes/new',
                           spec => { deny => 'x', priority => 1 } };
$all->{items}[0]{spec}{balancer} = 'random';
$t->write_file('all.json', JSON::PP->new->utf8->encode($all));

($code, $out) = run(undef, 'diff', '-f', $file);
is($code, 1, 'differences');
is($out, <<'END', '... are shown');
~ services/g%2Fdemo.A%3A1
  - balancer: "round_robin"
  + balancer: "random"
+ routes/new
  + deny: "x"
  + priority: 1
END

my $shown = $out;

($code, $out) = run("n\n", 'apply', '-f', $file);
is($code, 1, 'apply, and the answer is no');
like($out, qr/\Q$shown\E.*Apply\? \[y\/N\]/s, '... it was asked');
is((run(undef, 'get', 'routes', 'new'))[0], 4, '... nothing is done');

is((run(undef, 'apply', '-f', $file))[0], 1, '... nor without an answer');

($code, $out, $err) = run("y\n", 'apply', '-f', $file);
is($code, 0, 'the answer is yes') or diag($err);
like($out, qr/revision \d+$/, '... says the revision');
is((run(undef, 'get', 'routes', 'new'))[0], 0, '... it is done');

is((run(undef, 'apply', '-f', $file))[0], 0, 'the same again asks nothing');

pop @{ $all->{items} };
$t->write_file('all.json', JSON::PP->new->utf8->encode($all));
is((run(undef, 'diff', '-f', $file))[0], 0, 'one less is no difference');
($code, $out) = run(undef, 'diff', '--prune', '-f', $file);
is($out, "- routes/new\n", '... but with --prune');
is((run(undef, 'import', '--prune', '-f', $file))[0], 0, 'import asks not');
is((run(undef, 'get', 'routes', 'new'))[0], 4, '... and removes');

# drain

is((run(undef, 'drain', 'demo.Echo', '127.0.0.1:1'))[0], 0, 'drain');
($code, $out) = run(undef, 'get', 'services', 'demo.Echo', 'endpoints',
                    '127.0.0.1:1', 'override');
ok(json($out)->{spec}{drain}, '... is laid on the endpoint');
is((run(undef, 'undrain', 'demo.Echo', '127.0.0.1:1'))[0], 0, 'undrain');

# watch, explain

($code, $out) = run(undef, 'watch', '--once', '--since',
                    json((run(undef, 'status'))[1])->{revision} - 1);
is($code, 0, 'watch');
ok(json((split /\n/, $out)[0])->{path}, '... a line of JSON for a change');

($code, $out) = run(undef, 'explain', 'service=demo.Echo', 'method=fixed',
                    'attachments.dubbo.tag=1');
is($code, 0, 'explain');
is(json($out)->{route}, 'fixed', '... the route');

# --curl does the same

($code, $out) = run(undef, '--curl', 'put', 'routes', 'q', "deny=it's");
is($code, 0, '--curl');
is((run(undef, 'get', 'routes', 'q'))[0], 4, '... does nothing');
is(system("$out > /dev/null"), 0, '... prints what does it');
($code, $out) = run(undef, 'get', 'routes', 'q');
is(json($out)->{spec}{deny}, "it's", '... the same');

$t->done;
