#!/usr/bin/perl

# revisions: what there was, what is different, and back again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;
my $json = JSON::PP->new->canonical;

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'state_path %%DIR%%/state;',
    web => 'location /api/ { mesh_api write=on audit=%%DIR%%/audit.log; }'));
$t->run;

sub api {
    my ($method, $path, $body, %headers) = @_;
    return $t->http($method, "/api/1/$path", $body, headers => \%headers);
}

sub revisions { @{ api('GET', 'revisions')->{json}{items} // [] } }

# made(method, path, body): the revision, once the journal has it

sub made {
    my $r = api(@_);
    my $revision = $r->{json}{revision};

    wait_for { grep { $_->{revision} == $revision } revisions() } 10,
        "revision $revision";

    return $revision;
}

wait_for { api('GET', 'revisions')->{status} == 200 } 10, 'the agent';
is_deeply([revisions()], [], 'nothing was changed yet');

my $one = made('PUT', 'routes/a', { deny => 'one' });
my $two = made('PUT', 'routes/a', { deny => 'two' });
my $three = made('PUT', 'routes/b', { deny => 'three' });

my @revisions = revisions();
is(join(' ', map { $_->{revision} } @revisions), "$three $two $one",
   'revisions, the latest first');
is($revisions[0]{nitems}, 2, '... how much there was');
like($revisions[0]{time}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, '... and when');

my $r = api('GET', "revisions/$two");
is(join(' ', map { "$_->{path}=$_->{spec}{deny}" } @{ $r->{json}{items} }),
   'routes/a=two', 'what there was');

sub diff {
    return join ' ', map {
        "$_->{path}:" . ($_->{before} ? $_->{before}{deny} : '-') . '>'
        . ($_->{after} ? $_->{after}{deny} : '-')
    } @{ $_[0]{json}{diff} };
}

is(diff(api('GET', "revisions/$one/diff")),
   'routes/a:one>two routes/b:->three', 'what is different now');
is(diff(api('GET', "revisions/$one/diff?to=$two")), 'routes/a:one>two',
   '... between two');
is(diff(api('GET', "revisions/$three/diff")), '', '... nothing');

# back

$r = api('POST', "revisions/$one/rollback?dry_run=1");
is($r->{status}, 200, 'a dry rollback') or diag($r->{content});
is(diff($r), 'routes/a:two>one routes/b:three>-', '... says what it would do');
is(api('GET', 'routes/b')->{status}, 200, '... and does not');

$r = api('POST', "revisions/$one/rollback");
is($r->{status}, 200, 'a rollback') or diag($r->{content});
ok($r->{json}{changed}, '... changes');
is($r->{json}{revision}, $three + 1, '... to a revision of its own');
is(diff($r), 'routes/a:two>one routes/b:three>-', '... what it was to');
is(api('GET', 'routes/a')->{json}{spec}{deny}, 'one', 'it is as it was');
is(api('GET', 'routes/b')->{status}, 404, '... all of it');

wait_for { (revisions())[0]{revision} == $three + 1 } 10, 'the journal';
is((revisions())[0]{comment}, "rollback to revision $one", '... it says so');

$r = api('POST', "revisions/$one/rollback");
ok(!$r->{json}{changed}, 'once more changes nothing');

# what there is not

is(api('GET', 'revisions/999')->{status}, 404, 'no such revision');
is(api('POST', 'revisions/999/rollback')->{status}, 404, '... to go back to');
is(api('GET', "revisions/$one/diff?to=999")->{status}, 404, '... to compare');
is(api('GET', 'revisions/x')->{status}, 400, 'no revision at all');

# each write has its line, with what became of it

my @audit = map { $json->decode($_) } split /\n/, $t->read_file('audit.log');
my @back = grep { $_->{path} =~ /rollback$/ } @audit;
is(join(' ', map { $_->{status} } @back), '200 200 200 404',
   'rollbacks are in the audit log')
    or diag($t->read_file('audit.log'));

# meshctl

$ENV{MESH_API} = 'http://127.0.0.1:' . $t->port('http') . '/api/1';
my $meshctl = "$FindBin::Bin/../util/meshctl";
my $said = `$meshctl diff $one $two`;
is($? >> 8, 1, 'meshctl diff');
is($said, qq(~ routes/a\n  - deny: "one"\n  + deny: "two"\n), '... shows it');
$said = `$meshctl rollback -y $three`;
is($?, 0, 'meshctl rollback');
is(api('GET', 'routes/b')->{status}, 200, '... does it');

# without a journal

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'state_path off;',
    web => 'location /api/ { mesh_api write=on; }'));
ok($t->reload(gone => 1), 'a reload');
$r = api('GET', 'revisions');
is($r->{status}, 503, 'no journal');
is($r->{json}{error}{code}, 'NoJournal', '... and why');

$t->done;
