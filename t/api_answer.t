#!/usr/bin/perl

# Long answers of the agent: whole, whoever reads them how, and no file stays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $N = 4000;

my $t = Mesh::Test->new;

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'state_path %%DIR%%/state;',
    web => 'client_max_body_size 10m;
        location /api/ { mesh_api write=on; }
        location /sent/ { sendfile on; mesh_api; }
        location /slow/ { mesh_api; limit_rate 500k; }'));
$t->run;

sub api {
    my ($method, $path, $body, %o) = @_;
    return $t->http($method, ($o{at} // '/api') . "/1/$path", $body,
                    timeout => 60);
}

wait_for { api('GET', 'revisions')->{status} == 200 } 10, 'the agent';

my $first = api('PUT', 'routes/a', { deny => 'one' })->{json}{revision};
wait_for { api('GET', "revisions/$first")->{status} == 200 } 10, 'a revision';

my @ops = map {
    { method => 'PUT', path => "services/s$_", body => { balancer => 'random' } }
} 1 .. $N;

my $r = api('POST', 'batch?dry_run=1', { ops => \@ops });
is($r->{status}, 200, 'a dry batch') or diag(substr $r->{content}, 0, 300);
is(scalar @{ $r->{json}{diff} }, $N, '... all of its diff');
is(scalar @{ $r->{json}{results} }, $N, '... and of its results');

$r = api('POST', 'batch', { ops => \@ops });
is($r->{status}, 200, 'a batch') or diag(substr $r->{content}, 0, 300);
is((grep { $_->{status} == 201 } @{ $r->{json}{results} }), $N,
   '... a result of each');
ok(exists $r->{json}{durable}, '... what is said behind them');
like($r->{headers}{'x-mesh-revision'}, qr/^\d+$/, '... what is said before');

my $last = $r->{json}{revision};
wait_for { api('GET', "revisions/$last")->{status} == 200 } 10, 'the journal';

for my $at ('/api', '/sent', '/slow') {
    $r = api('GET', "revisions/$first/diff", undef, at => $at);
    is(scalar @{ $r->{json}{diff} // [] }, $N, "$at: a diff")
        or diag("$r->{status} ", substr $r->{content}, 0, 300);
    is($r->{headers}{'content-length'}, length $r->{content},
       '... as long as it says');
}

$r = api('HEAD', "revisions/$first/diff");
is($r->{status}, 200, 'only the header of it');

$ops[$N - 1]{body} = { ('x' x 3000) => 1 };
$r = api('POST', 'batch', { ops => \@ops });
is($r->{status}, 422, 'a long error');
is($r->{json}{error}{pointer}, "/ops/@{[$N - 1]}/body/" . 'x' x 3000,
   '... says where');

sub files { return scalar(() = glob $t->dir . '/state/job.*') }

wait_for { !files() } 10, 'files of answers to go';
is(files(), 0, 'no file stays');

$t->done;
