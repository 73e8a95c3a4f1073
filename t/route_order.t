#!/usr/bin/perl

# Which route is first: by priority, the configuration's, then the older one;
# whatever else they are called, and also after a rollback and a start.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::Calls;
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;
my ($one, $two) = map { Mesh::Peer->new(value => $_) } qw(one two);

$t->write_conf(api_conf(
    service => "endpoint @{[$one->address]} label=v=1;"
               . " endpoint @{[$two->address]} label=v=2;",
    mesh => <<'MESH'));
    state_path %%DIR%%/state;
    route second { match method=both; to label=v=2; }
    route first  { match method=both method=fixed; to label=v=1; }
MESH
$t->run;

sub put {
    my ($name, $method, $v, %o) = @_;

    my $r = api($t, 'PUT', "routes/$name", {
        match => { method => $method }, to => { labels => { v => $v } }, %o });
    ok($r->{success}, "route $name") or diag($r->{content});
    return $r->{json}{revision};
}

sub call {
    my ($method) = @_;
    return went($t->tcp('rpc')->call(service => 'demo.Echo',
                                     method => $method));
}

sub all { join ' ', map { call($_) } qw(both fixed age) }

wait_for { api($t, 'GET', 'revisions')->{status} == 200 } 10, 'the agent';

put('z', 'age', '2');
put('m', 'age', '1');
put('a', 'age', '1');
is(call('age'), 'two', 'the older one is first');
put('z', 'age', '2', timeout => '5s');
is(call('age'), 'two', '... though it was changed');

put('a-fixed', 'fixed', '2');
is(all(), 'two one two', 'the configuration\'s are before it, in their order');

my $revision = api($t, 'GET', '')->{json}{revision};

put('high', 'fixed', '2', priority => 1);
put('low', 'age', '1', priority => -1);
is(all(), 'two two two', 'priority is before all that');
put('high2', 'age', '1', priority => 2);
put('high1', 'age', '2', priority => 1);
is(call('age'), 'one', '... the highest first');

is(api($t, 'DELETE', 'routes/z')->{status}, 200, 'the oldest goes');
is(api($t, 'DELETE', 'routes/high2')->{status}, 200, '... and the highest');
is(api($t, 'DELETE', 'routes/high1')->{status}, 200, '... with the next');
is(call('age'), 'one', '... the next of them is taken');
put('z', 'age', '2', timeout => '5s');
is(call('age'), 'one', '... and one that comes again is the last');

is(api($t, 'POST', "revisions/$revision/rollback")->{status}, 200,
   'a rollback');
is(all(), 'two one two', '... as they were');

ok($t->reload(gone => 1), 'a reload');
is(all(), 'two one two', '... as they were');

is($t->end('QUIT'), 0, 'a stop');
$t->run;
is(all(), 'two one two', '... and a start: as they were');

$t->done;
