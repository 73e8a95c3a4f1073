#!/usr/bin/perl

# watch as a stream: a line for each change, bookmarks to go on from, and no
# harm by clients that leave or do not read.

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

my $t = Mesh::Test->new;

sub write_conf {
    my ($mesh) = @_;

    $t->write_conf(conf(
        main => 'worker_processes 2;',
        service => 'endpoint 127.0.0.1:1;',
        mesh => $mesh,
        web => 'location /api/ { mesh_api write=on; send_timeout 60s; }'));
}

write_conf('state_path %%DIR%%/state;');
$t->run;

sub api {
    my ($method, $path, $body) = @_;
    return $t->http($method, "/api/1/$path", $body);
}

sub revision { api('GET', '')->{json}{revision} }

# start(args): a stream; more(stream, seconds): whether there came something;
# line(stream): the next line, undef at the end

sub start {
    my ($args, %o) = @_;

    my $s = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";
    setsockopt($s, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), $o{buffer})
        if $o{buffer};
    connect($s, Socket::pack_sockaddr_in($t->port('http'),
                                         Socket::inet_aton('127.0.0.1')))
        or die "connect: $!";

    my $method = $o{method} // 'GET';
    syswrite $s, "$method /api/1/watch?$args HTTP/1.0\r\nHost: a\r\n"
                 . "Accept: application/x-ndjson\r\n\r\n";

    my $stream = { socket => $s, got => '' };

    if (!$o{later}) {
        more($stream) while $stream->{got} !~ /\r\n\r\n/;
        ($stream->{head}, $stream->{got}) = split /(?<=\r\n)\r\n/,
                                            $stream->{got}, 2;
    }

    return $stream;
}

sub more {
    my ($stream, $seconds) = @_;

    my $s = $stream->{socket};
    return if !IO::Select->new($s)->can_read($seconds // 20);

    my $n = sysread $s, $stream->{got}, 65536, length $stream->{got};
    $stream->{end} = 1 if !$n;

    return $n;
}

sub line {
    my ($stream) = @_;

    while (index($stream->{got}, "\n") < 0) {
        more($stream) or return;
    }

    $stream->{got} =~ s/\A([^\n]*)\n//;

    return JSON::PP->new->utf8->decode($1);
}

# changes(stream, revision): lines up to a bookmark of it

sub changes {
    my ($stream, $revision) = @_;
    my @lines;

    while (my $line = line($stream)) {
        return @lines if ($line->{bookmark} // 0) >= $revision;
        push @lines, $line if !defined $line->{bookmark};
    }

    die 'the stream is at its end';
}

sub shown { join ' ', map { "$_->{op}:$_->{path}" } @_ }


my $revision = revision();
my $stream = start("since=$revision");

like($stream->{head}, qr{^HTTP/1\.1 200 }, 'a stream');
like($stream->{head}, qr{^Content-Type: application/x-ndjson\r$}mi,
     '... of lines');
is_deeply(line($stream), { bookmark => $revision }, '... says where it begins');
ok(!more($stream, 0.3), '... and waits');

api('PUT', 'routes/a', { deny => 'x' });
my @lines = changes($stream, $revision + 1);
is(shown(@lines), 'modified:routes/a', 'a change');
is($lines[0]{spec}{deny}, 'x', '... what it is now');
is($lines[0]{revision}, $revision + 1, '... and since when');

api('POST', 'batch', { ops => [
    { method => 'DELETE', path => 'routes/a' },
    { method => 'PUT', path => 'services/demo.B', body => {} } ] });
is(shown(changes($stream, $revision + 2)),
   'modified:services/demo.B removed:routes/a', 'two, and it goes on');

my $later = start("since=$revision");
line($later);
is(shown(changes($later, $revision + 2)),
   'modified:services/demo.B removed:routes/a', 'from a revision on');

my $some = start("since=$revision&type=service&wait=100ms");
is(shown(changes($some, $revision + 2)), 'modified:services/demo.B',
   'only some');
api('PUT', 'routes/b', { deny => 'x' });
is(shown(changes($some, $revision + 3)), '', '... others move the bookmark');
is(shown(changes($some, $revision + 3)), '', '... which comes again and again');

like(start('since=0')->{head}, qr/^HTTP\S+ 410 /, 'too old');
like(start('wait=x')->{head}, qr/^HTTP\S+ 400 /, 'no time');
like(start('wait=0s', method => 'HEAD')->{head}, qr/^HTTP\S+ 200 /, 'HEAD');

# one that does not read is told nothing meanwhile, then all at its end

my $slow = start('since=' . revision(), buffer => 4096, later => 1);
my $fast = start('since=' . revision());
my $last;

for my $n (1 .. 40) {
    my @items = map { { path => "routes/r$_", spec => {
                            match => { method => "m$_" },
                            deny => "$n " . 'x' x 1000 } } } 1 .. 200;
    $last = api('PUT', 'snapshot', { items => \@items })->{json}{revision};
}

my %now = map { ("routes/$_->{metadata}{name}" => $_->{spec}{deny}) }
          @{ api('GET', 'routes')->{json}{items} };

for my $reader ([ $fast, 'who reads' ], [ $slow, 'who does not' ]) {
    my ($from, $who) = @$reader;
    my (%table, $n);

    more($from) until $from->{head} || $from->{got} =~ s/\A.*?\r\n\r\n//s;

    for my $line (changes($from, $last)) {
        $table{ $line->{path} } = $line->{spec}{deny};
        $n++;
    }

    is_deeply({ map { ($_ => $table{$_}) } grep { /r\d+$/ } keys %table },
              { map { ($_ => $now{$_}) } grep { /r\d+$/ } keys %now },
              "$who has all");
    cmp_ok($n, '<', 40 * 200, '... but not of each revision')
        if $from == $slow;
}

# clients that leave are forgotten

close start('since=' . revision())->{socket} for 1 .. 20;
api('PUT', 'routes/c', { deny => 'x' });
ok((grep { $_->{path} eq 'routes/c' } changes($stream, revision())),
   'the others go on');

# workers that leave end them, also those of clients that do not read

sub ends {
    my ($from) = @_;
    my $line;

    while (my $next = line($from)) {
        $line = $next;
    }

    return $line && defined $line->{bookmark} && $from->{end};
}

my @open = map { start('since=' . revision()) } 1 .. 50;
ok($t->reload(gone => 1), 'a reload');
is(scalar(grep { ends($_) } @open), 50, '... all end with a bookmark');
ok(ends($stream), '... the first of all, too');

# without an agent

write_conf('state_path off;');
ok($t->reload(gone => 1), 'no agent');
$revision = revision();
$stream = start("since=$revision");
line($stream);
api('PUT', 'routes/d', { deny => 'x' });
is(shown(changes($stream, $revision + 1)), 'modified:routes/d', 'a change');

@open = map { start('since=' . revision()) } 1 .. 50;
$slow = start("since=$revision", buffer => 4096, later => 1);
is($t->quit(10), 0, 'QUIT');
is(scalar(grep { ends($_) } @open), 50, '... all end with a bookmark');

$t->done;
