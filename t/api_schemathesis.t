#!/usr/bin/perl

# schemathesis, which util/setup installs, makes requests of openapi.json and
# finds nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $program = "$FindBin::Bin/../build/venv/bin/schemathesis";

plan skip_all => 'optional: no schemathesis in build/venv: util/setup could not reach '
                 . 'its registry' unless -x $program;

my $examples = $ENV{TEST_MESH_LONG} ? 1000 : 30;

my $t = Mesh::Test->new(timeout => 600);

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'state_path %%DIR%%/state;',
    web => 'location /api/ { mesh_api write=on; }'));
$t->run;

# a request that is wrong in two ways may be refused for either

$t->write_file('schemathesis.toml', <<'END');
[checks.negative_data_rejection]
expected-statuses = ["400", "403", "404", "405", "409", "412", "413", "415",
                     "422"]
END

my $port = $t->port('http');

# a wait is a long one as well, and what a schema allows may be nonsense

my @command = (
    $program, 'run', "http://127.0.0.1:$port/api/1/openapi.json",
    '--phases', 'examples,coverage,fuzzing', '--max-examples', $examples,
    '--seed', 1, '--workers', 1, '--no-color', '--warnings', 'off',
    # nginx itself refuses TRACE
    '--exclude-checks', 'positive_data_acceptance,unsupported_method',
    '--exclude-path', '/watch',
);

# what it keeps shall not be in the source tree

my $pid = open(my $out, '-|') // die "fork: $!";

if (!$pid) {
    chdir $t->dir;
    open(STDERR, '>&', \*STDOUT);
    exec(@command) or POSIX::_exit(127);
}

my $said = join '', <$out>;
close($out);

is($?, 0, 'nothing is found') or diag($said);
like($said, qr/passed|generated/, '... in what was tried');

is($t->http('GET', '/api/1/')->{status}, 200, 'the API is there');

$t->done;
