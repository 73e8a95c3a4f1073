#!/usr/bin/perl

# The answer to a write says whether it is in the journal, and waits for that
# a moment.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;

sub write_conf {
    my ($state) = @_;

    $t->write_conf(conf(
        service => 'endpoint 127.0.0.1:1;', mesh => "state_path $state;",
        web => 'location /api/ { mesh_api write=on; }'));
}

sub api { return $t->http($_[0], "/api/1/$_[1]", $_[2]) }

write_conf('%%DIR%%/state');
$t->run;

wait_for { api('GET', 'revisions')->{status} == 200 } 10, 'the agent';

my $r = api('PUT', 'routes/a', { deny => 'x' });
is($r->{status}, 201, 'a write');
ok($r->{json}{durable}, '... is in the journal');
is(api('GET', 'revisions')->{json}{items}[0]{revision}, $r->{json}{revision},
   '... already');
is(api('GET', 'revisions')->{json}{items}[0]{comment}, 'routes/a',
   '... which says what was written');

$r = api('PUT', 'routes/a', { deny => 'x' });
ok(!exists $r->{json}{durable}, 'what changes nothing is not');

my $agent = api('GET', 'status')->{json}{agent};
is($agent->{lease}, 'held', 'status: the lease');
is($agent->{pid}, ($t->children(qr/mesh agent process/))[0], '... whose it is');
cmp_ok($agent->{journalled_revision}, '>', 0, '... what the journal has');
ok(!exists $agent->{journal_error}, '... and nothing wrong with it');
is(api('GET', 'status/agent')->{json}{pid}, $agent->{pid}, '... alone, too');
is(api('GET', 'status/zone')->{json}{name}, 'mesh', '... as the zone');

# an agent that is killed meanwhile: the next one does it

for my $n (1 .. 3) {
    $t->allow_log(qr/cache manager process \d+ exited on signal 9/);
    $t->signal('KILL', $t->children(qr/mesh agent process/));

    $r = api('PUT', "routes/b$n", { deny => 'x' });
    is($r->{status}, 201, 'a write while the agent is gone');
    ok(exists $r->{json}{durable}, '... says whether it is in the journal');
    is(api('GET', "routes/b$n")->{status}, 200, '... and is in force');

    wait_for {
        ((api('GET', 'revisions')->{json}{items} // [])->[0]{revision} // 0)
        == $r->{json}{revision}
    } 10, 'the journal';
}

write_conf('off');
ok($t->reload(gone => 1), 'without a journal');
$r = api('PUT', 'routes/c', { deny => 'x' });
ok(exists $r->{json}{durable} && !$r->{json}{durable}, '... nothing is');
is_deeply(api('GET', 'status')->{json}{agent}, { lease => 'off' },
          '... as status says');

$t->done;
