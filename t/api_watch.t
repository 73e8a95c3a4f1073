#!/usr/bin/perl

# watch: long polls that end with a change, miss none, and do not keep a
# worker that leaves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Mesh::Calls;
use Mesh::Test;

my $WATCHERS = 8;
my $WRITES = 300;

my $t = Mesh::Test->new;

$t->write_conf(conf(
    main => 'worker_processes 2;',
    service => 'endpoint 127.0.0.1:1;',
    web => 'location /api/ { mesh_api write=on; }'));
$t->run;

sub api {
    my ($method, $path, $body) = @_;
    return $t->http($method, "/api/1/$path", $body);
}

# start(args): a poll on a connection of its own; finish(poll): its answer

sub start {
    my ($args) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port('http'))
        or die "connect: $@";

    print $s "GET /api/1/watch?$args HTTP/1.1\r\nHost: a\r\n"
             . "Connection: close\r\n\r\n";
    $s->flush;

    return { socket => $s, got => '' };
}

sub ended {
    my ($poll, $seconds) = @_;
    return scalar IO::Select->new($poll->{socket})->can_read($seconds);
}

sub finish {
    my ($poll) = @_;

    while (sysread $poll->{socket}, $poll->{got}, 65536,
           length $poll->{got}) { }

    my ($status) = $poll->{got} =~ m{^HTTP/1\.1 (\d+)};
    my ($body) = $poll->{got} =~ /\r\n\r\n(.*)/s;

    return ($status, eval { JSON::PP->new->utf8->decode($body) });
}

my $revision = api('GET', '')->{json}{revision};

# at once, later, never

my ($status, $said) = finish(start("since=$revision&wait=0s"));
is($status, 200, 'no change');
is_deeply($said, { items => [], revision => $revision }, '... nothing to say');

my $poll = start("since=$revision");
ok(!ended($poll, 0.2), 'a poll waits');
api('PUT', 'routes/a', { deny => 'x' });
ok(ended($poll, 5), '... until something changes');

($status, $said) = finish($poll);
is($said->{items}[0]{path}, 'routes/a', '... and says what');
is($said->{items}[0]{op}, 'modified', '... how');
is($said->{items}[0]{spec}{deny}, 'x', '... what it is now');
is($said->{revision}, $revision + 1, '... the revision');

($status, $said) = finish(start("since=$revision"));
is($said->{items}[0]{path}, 'routes/a', 'one that comes later hears at once');

$revision++;
$poll = start("since=$revision");
api('DELETE', 'routes/a');
($status, $said) = finish($poll);
is($said->{items}[0]{op}, 'removed', 'what was removed');
is($said->{items}[0]{path}, 'routes/a', '... is known');
ok(!exists $said->{items}[0]{spec}, '... without a spec');

($status, $said) = finish(start('wait=100ms'));
is($said->{revision}, $revision + 1, 'without "since" from now on');

# only some

$revision = $said->{revision};
my $other = start("since=$revision&type=service");
my $some = start("since=$revision&service=demo.Other");
api('PUT', 'routes/a', { deny => 'x' });
ok(!ended($other, 0.2), 'a route is no service');
api('PUT', 'services/demo.Else', {});
($status, $said) = finish($other);
is(join(' ', map { $_->{path} } @{ $said->{items} }), 'services/demo.Else',
   'a service is one');
ok(!ended($some, 0.2), '... but not that one');

# names that begin alike, and routes

my $one = { address => '10.0.0.1', port => 1 };

for my $else ('demo.Othe', 'demo.Other2', 'g%2Fdemo.Other', 'demo.Other:1') {
    api('PUT', "services/$else/endpoints", [ $one ]);
    api('PUT', "services/$else/endpoints/10.0.0.1:1/override",
        { weight => 1 });
    api('PUT', "routes/$else", { deny => 'x' });
    api('DELETE', "routes/$else");
}

ok(!ended($some, 0.2), '... nor those of names that are alike');
api('PUT', 'services/demo.Other', {});
($status, $said) = finish($some);
is(join(' ', map { $_->{path} } @{ $said->{items} }), 'services/demo.Other',
   '... this one');

$some = start("since=$said->{revision}&service=demo.Other");
api('PUT', 'services/demo.Other/endpoints', [ $one ]);
($status, $said) = finish($some);
is(join(' ', map { $_->{path} } @{ $said->{items} }),
   'services/demo.Other/endpoints/10.0.0.1%3A1', '... an endpoint of it');
$some = start("since=$said->{revision}&service=demo.Other");
api('PUT', 'services/demo.Other/endpoints/10.0.0.1:1/override',
    { weight => 1 });
($status, $said) = finish($some);
is(join(' ', map { $_->{type} } @{ $said->{items} }), 'override',
   '... what is laid on it');

# what cannot be

for my $args ('since=x', 'wait=x', 'wait=11m', 'type=x', 'service=') {
    ($status) = finish(start($args));
    is($status, 400, "refused: $args");
}

for my $args ('since=0', 'since=99999', 'epoch=1') {
    ($status, $said) = finish(start($args));
    is($status, 410, "gone: $args");
}

# clients that leave

close start("since=99&wait=60s")->{socket} for 1 .. 3;
$revision = api('GET', '')->{json}{revision};
close start("since=$revision")->{socket} for 1 .. 10;

# nothing is missed: each watcher ends with the same table as the others, and
# has heard of the last value of each item at its revision

$revision = api('GET', '')->{json}{revision};

my @watchers = map { { since => $revision, table => {}, n => 0 } }
               1 .. $WATCHERS;

my $writer = fork // die "fork: $!";

if (!$writer) {
    srand 7;

    for my $n (1 .. $WRITES) {
        my $name = 'r' . int rand 20;

        rand() < 0.3 ? api('DELETE', "routes/$name")
                     : api('PUT', "routes/$name", { deny => "$n" });
    }

    api('PUT', 'routes/last', { deny => 'last' });
    POSIX::_exit(0);
}

my $backward = 0;

$_->{poll} = start("since=$_->{since}&type=route") for @watchers;

while (grep { !$_->{table}{'routes/last'} } @watchers) {
    for my $w (grep { !$_->{table}{'routes/last'} } @watchers) {

        next unless ended($w->{poll}, 0.01);
        my ($code, $data) = finish($w->{poll});
        die "watch: $code" unless $code == 200;

        for my $item (@{ $data->{items} }) {
            $backward++ if $item->{revision} <= $w->{since};
            $w->{n}++;

            if ($item->{op} eq 'removed') {
                delete $w->{table}{ $item->{path} };

            } else {
                $w->{table}{ $item->{path} } = $item->{spec}{deny};
            }
        }

        $backward++ if $data->{revision} < $w->{since};
        $w->{since} = $data->{revision};
        $w->{poll} = start("since=$w->{since}&type=route");
    }
}

waitpid $writer, 0;
is($?, 0, 'the writer is done');

my %now = map { ("routes/$_->{metadata}{name}" => $_->{spec}{deny}) }
          @{ api('GET', 'routes')->{json}{items} };

delete $now{'routes/a'};

is_deeply($_->{table}, \%now, "a watcher has all, of $_->{n} changes")
    for @watchers;
is($backward, 0, 'revisions only grow');

# workers that leave

$revision = api('GET', '')->{json}{revision};
my @open = map { start("since=$revision&wait=60s") } 1 .. 100;
sleep 0.2;

ok($t->reload(gone => 1), 'a reload with 100 of them');

my %said;
$said{ (finish($_))[0] }++ for @open;
is_deeply(\%said, { 200 => 100 }, '... all are answered');

@open = map { start("since=$revision&wait=60s") } 1 .. 100;
sleep 0.2;

# none of them would end by itself before the test does

is($t->quit(10), 0, 'QUIT with 100 of them');

%said = ();
$said{ (finish($_))[0] }++ for @open;
is_deeply(\%said, { 200 => 100 }, '... all are answered');

$t->done;
