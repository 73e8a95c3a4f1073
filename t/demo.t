#!/usr/bin/perl

# util/demo does what it says: --once makes its calls and leaves nothing behind,
# so does a signal, and ports that are taken are named.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";
use Mesh::Port qw(free_port);
use Mesh::Test;

my $demo = "$FindBin::Bin/../util/demo";
my $tmp = tempdir(CLEANUP => 1);

alarm 240;

my ($port, $http) = (ports(), free_port());
my %env = (DEMO_PORT => $port, DEMO_HTTP => $http, TMPDIR => $tmp);
my @providers = ($port + 1, $port + 2);


# all that can be seen of it is in the output

my ($status, $said) = run(undef, '--once');

is($status, 0, 'util/demo --once') or diag($said);

like($said, qr/provider v1, Dubbo 2\.7\.23, on 127\.0\.0\.1:$providers[0]$/m,
     'a provider of 2.7');
like($said, qr/provider v2, Dubbo 3\.3\.6, on 127\.0\.0\.1:$providers[1]$/m,
     'a provider of 3.3');
like($said, qr/^8 client connections made 50 calls each:$/m, 'calls');

my %answered = reverse $said =~ /^ *(\d+) answered by (v[12])$/mg;
is(join(' ', sort keys %answered), 'v1 v2', 'both answered');
is(total($said), 400, '400 answers');
like($said, qr/^ *0 failed$/m, 'none failed');

like($said, qr/^Client connections: 8, upstream connections: 2\.$/m,
     '8 connections in, 2 out');
like($said, qr{^\s+\S+T\S+ \s 127\.0\.0\.1 \s com\.example\.Greeter:1\.0\.0
               \s sayHello \s 20 \s ok \s "-"
               \s 127\.0\.0\.1:(?:$providers[0]|$providers[1])
               \s \d+\.\d{6}$}mx, 'a line of the access log');
like($said, qr/^\s+mesh_requests_total\{service="com\.example\.Greeter:1\.0\.0"
               .* status="20",result="ok"\}\ 400$/mx, 'a line of metrics');

nothing_left('after --once');


# until it is told to go

{
    my ($pid, $from) = start();
    my $text = until_said($from, qr/^The configuration is (\S+)\.$/m);
    my ($conf) = $text =~ /^The configuration is (\S+)\.$/m;

    ok($conf && -f $conf, 'without --once it stays') or diag($text);
    ok(connects($port), 'and listens');

    kill 'INT', $pid;
    waitpid $pid, 0;
    is($? >> 8, 130, 'until it is interrupted');
    nothing_left('after an interrupt');
}


# not even when there was no time to say goodbye

{
    my ($pid, $from) = start();
    until_said($from, qr/^demo: starting/m);

    kill 'KILL', $pid;
    waitpid $pid, 0;
    ok((wait_for { !left() } 20), 'nothing is left after kill -9')
        or diag(left());
}


# ports

for my $taken ([ $port ], [ $providers[1], $http ]) {
    my @hold = map {
        IO::Socket::INET->new(LocalAddr => "127.0.0.1:$_", Listen => 1,
                              ReuseAddr => 1) or die "$_: $!"
    } @$taken;

    my $start = time;
    ($status, $said) = run(undef, '--once');
    my $list = join ' ', @$taken;

    is($status, 1, "a port that is taken: $list");
    like($said, qr/^demo: ports? \Q$list\E of 127\.0\.0\.1 (?:is|are) taken$/m,
         'which');
    like($said, qr/"DEMO_PORT=\d+ DEMO_HTTP=\d+ util\/demo"/,
         'and how to choose others');
    cmp_ok(time - $start, '<', 5, 'at once');

    close $_ for @hold;
    nothing_left('then');
}

($status, $said) = run({ DEMO_PORT => 'x' }, '--once');
is($status, 1, 'a port that is no number');
like($said, qr/"x" is no port/, 'is said to be none');

($status, $said) = run(undef, '--twice');
is($status, 1, 'an unknown argument');
like($said, qr/unknown argument "--twice"/, 'is named');

done_testing();


###############################################################################


# three free ports in a row

sub ports {
    my @last = map { free_port() } 1 .. 3;

    for (1 .. 1000) {
        return $last[0] if $last[1] == $last[0] + 1
                           && $last[2] == $last[1] + 1;
        @last = (@last[1, 2], free_port());
    }

    die "no three free ports in a row\n";
}


sub total {
    my ($text) = @_;
    my $sum = 0;
    $sum += $_ for $text =~ /^ *(\d+) answered by/mg;
    return $sum;
}


sub run {
    my ($more, @args) = @_;

    my ($pid, $from) = start($more, @args);
    my $text = do { local $/; <$from> };
    waitpid $pid, 0;

    return ($? >> 8 || $? & 127, $text // '');
}


sub start {
    my ($more, @args) = @_;

    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        %ENV = (%ENV, %env, %{ $more // {} });
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE ALRM);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $to;
        open STDERR, '>&', $to;
        exec $demo, @args or POSIX::_exit(127);
    }

    return ($pid, $from);
}


sub until_said {
    my ($from, $regex) = @_;

    my ($text, $until) = ('', time + 120);
    my $select = IO::Select->new($from);

    while ($text !~ $regex && time < $until) {
        $select->can_read(1) or next;
        sysread $from, $text, 65536, length $text or last;
    }

    return $text;
}


sub connects {
    my ($at) = @_;
    return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$at", Timeout => 1);
}


# processes and files of it, and ports somebody still listens on

sub left {
    my @left = glob "$tmp/nginx-mesh-demo.*";

    for my $file (glob '/proc/[0-9]*/cmdline') {
        open my $fh, '<', $file or next;
        my $line = do { local $/; <$fh> } // next;
        push @left, $line =~ tr/\0/ /r
            if $line =~ m{^\S*(?:java|nginx|bash)\b}
               && $line =~ /\Q$tmp\E|port=(?:$port|$providers[0]
                                               |$providers[1])\0/x;
    }

    push @left, map { "port $_" } grep { connects($_) }
                $port, @providers, $http;

    return join ', ', @left;
}


sub nothing_left {
    my ($when) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(left(), '', "nothing is left $when");
    return;
}
