#!/usr/bin/perl

# Random writers against four workers with traffic: every call went to an
# endpoint of the revision its worker had, revisions of a worker never go back,
# and no call fails, whatever is written, reloaded or killed, but those that a
# killed worker had.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Handle;
use IO::Select;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use Mesh::Calls;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Test;

my $long = $ENV{TEST_MESH_LONG};
my $reloads = $long ? 50 : 8;
my $kills = $long ? 20 : 4;
my $services = 4;

my $t = Mesh::Test->new(timeout => $long ? 900 : 240);
my @peers = map { Mesh::Peer->new(value => $_, keep => 1) } 'a' .. 'f';

my $log = '$pid:$connection $mesh_revision $mesh_service $mesh_upstream_addr '
          . '$mesh_error $mesh_upstream_tries';

$t->write_conf(<<"CONF");
worker_processes 4;

mesh {
    zone mesh:16m metrics=2m;
}

stream {
    mesh_log_format calls '$log';

    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_timeout 20s;
        mesh_next_upstream off;
        mesh_access_log %%DIR%%/calls.log calls;
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
        location /api/ { mesh_api write=on; }
    }
}
CONF

$t->run;
$t->allow_log(qr/worker process \d+ exited on signal 9/);


# -- writers: each is a process, prints a line of JSON for each revision

# what a service consists of: never of the first alone, which may be drained
sub random_set {
    my @set = grep { rand() < 0.5 } 0 .. $#peers;
    return grep({ $_ } @set) ? @set : (@set, 1 + int rand $#peers);
}


sub spec {
    my ($peer) = @_;
    return { address => '127.0.0.1', port => 0 + $peer->port };
}


sub name { "demo.S$_[0]" }


sub put_set {
    my ($n, @set) = @_;

    return $t->http('PUT', '/api/1/services/' . name($n) . '/endpoints',
                    [ map { spec($peers[$_]) } @set ]);
}


sub put_batch {
    my (%sets) = @_;

    return $t->http('POST', '/api/1/batch', { ops => [ map { {
        method => 'PUT',
        path => 'services/' . name($_) . '/endpoints',
        body => [ map { spec($peers[$_]) } @{ $sets{$_} } ],
    } } sort keys %sets ] });
}


# drains the first endpoint of a service for a second, and says from which
# revision on it is and until which it is at least

sub drain {
    my ($out, $n) = @_;

    my $path = '/api/1/services/' . name($n) . '/endpoints/'
               . $peers[0]->address . '/override';
    my $r = $t->http('PUT', $path, { drain => JSON::PP::true, ttl => 1 });

    # it may not be there just now
    return unless $r->{success};

    my $from = $r->{json}{revision};
    my $until = $from;

    while (($r = $t->http('GET', $path))->{success}) {
        $until = $r->{headers}{'x-mesh-revision'};
        sleep 0.02;
    }

    print $out encode_json({ drained => $n, from => $from, until => $until,
                             status => $r->{status} }), "\n";
}


sub writer {
    my ($out, $stop, $number) = @_;

    until (IO::Select->new($stop)->can_read(0)) {

        # of each service one writer at most
        if (rand() < 0.03) {
            drain($out, $number);
            next;
        }

        my %sets = map { $_ => [random_set()] }
                   rand() < 0.3 ? (0, 1 + int rand($services - 1))
                                : int rand $services;

        my $r = keys %sets > 1
                ? put_batch(%sets)
                : put_set(map { ($_, @{ $sets{$_} }) } keys %sets);

        my $line = { status => $r->{status}, sets => \%sets,
                     revision => $r->{headers}{'x-mesh-revision'},
                     changed => $r->{json}{changed} };
        $line->{error} = $r->{content} unless $r->{success};
        print $out encode_json($line), "\n";

        sleep 0.01 * rand;
    }
}


# -- callers: print "calls failed closed ERRORS"

sub caller_loop {
    my ($out, $stop) = @_;

    my ($calls, $failed, $closed, $id) = (0, 0, 0, 1);
    my $client = $t->tcp('rpc');
    my %errors;

    until (IO::Select->new($stop)->can_read(0)) {
        my $f = eval {
            $client->call(service => name(int rand $services), id => ++$id,
                          timeout => 20);
        };

        if (!$f) {
            $closed++;
            $client->close;
            $client = eval { $t->tcp('rpc') } // redo;
            next;
        }

        $calls++;
        next if went($f) =~ /^[a-f]$/;

        $failed++;
        $errors{went($f)}++;
    }

    print $out "$calls $failed $closed ",
               join('; ', map { "$_ x $errors{$_}" } sort keys %errors), "\n";
}


my @children;

sub child {
    my ($loop) = @_;

    pipe my $stop, my $hold or die "pipe: $!";
    pipe my $read, my $out or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $hold;
        close $_->{hold} for @children;
        srand($$);
        alarm($long ? 900 : 240);
        $out->autoflush(1);
        eval { $loop->($out, $stop); 1 } or print $out "died: $@\n";
        POSIX::_exit(0);
    }

    close $stop;
    close $out;
    push @children, { pid => $pid, hold => $hold, read => $read };
    return $children[-1];
}


sub finish {
    my ($child) = @_;

    close $child->{hold};
    my @lines = readline $child->{read};
    waitpid $child->{pid}, 0;
    @children = grep { $_ != $child } @children;

    return @lines;
}


# -- what was written when: service => [[revision, {address => 1}]...]

my %history;

# service => [[first revision, last revision]...]
my %drained;

sub remember {
    my ($revision, %sets) = @_;

    for my $n (keys %sets) {
        push @{ $history{name($n)} }, [ $revision, {
            map { $peers[$_]->address => 1 } @{ $sets{$n} }
        } ];
    }
}

for my $n (0 .. $services - 1) {
    my $r = put_set($n, 0 .. $#peers);
    is($r->{status}, 200, "service $n") or diag($r->{content});
    remember($r->{headers}{'x-mesh-revision'}, $n => [0 .. $#peers]);
}


sub phase {
    my ($what, $disturb) = @_;

    my @callers = map { child(\&caller_loop) } 1 .. 4;
    my @writers = map {
        my $n = $_;
        child(sub { writer(@_, $n) })
    } 0 .. 2;

    $disturb->();

    my @written = map { finish($_) } @writers;
    my @called = map { finish($_) } @callers;

    my (@refused, $calls, $failed, $closed, @errors);

    for my $line (@written) {
        my $w = eval { decode_json($line) };

        if ($w && defined $w->{drained}) {
            push @refused, $line if $w->{status} !~ /^404|599$/;
            push @{ $drained{name($w->{drained})} },
                 [ $w->{from}, $w->{until} ];
            next;
        }

        if (!$w || $w->{status} !~ /^20[01]$/) {
            push @refused, $line;
            next;
        }

        remember($w->{revision}, %{ $w->{sets} }) if $w->{changed};
    }

    for my $line (@called) {
        my ($n, $f, $c, $why) = $line =~ /^(\d+) (\d+) (\d+) (.*)/
            or push @errors, $line;
        $calls += $n // 0;
        $failed += $f // 0;
        $closed += $c // 0;
        push @errors, $why if $why;
    }

    cmp_ok(scalar @written, '>', 50, "$what: writers wrote");
    cmp_ok($calls, '>', 200, '... callers called');
    is("@errors", '', '... no call failed');

    return (\@refused, $closed);
}

my ($refused, $closed) = phase('as it is', sub { sleep 3 });
is("@$refused", '', '... no write was refused');
is($closed, 0, '... no connection was closed');

($refused, $closed) = phase("$reloads reloads", sub {
    my $good = 0;

    for (1 .. $reloads) {
        sleep 0.2;
        $good += $t->reload ? 1 : 0;
    }

    is($good, $reloads, "$reloads reloads");
});
is("@$refused", '', '... no write was refused');
is($closed, 0, '... no connection was closed');

($refused, $closed) = phase("$kills workers killed", sub {
    for (1 .. $kills) {
        sleep 0.3;
        my @workers = $t->workers;
        $t->signal('KILL', $workers[rand @workers]);
        wait_for { 4 == grep { my $w = $_; !grep { $_ == $w } @workers }
                        $t->workers
                   or 4 == $t->workers } 10;
    }
});

# a killed worker takes with it what it was doing: who asked sees no answer
my @typed = grep { !/599/ } @$refused;
is("@typed", '', '... no write was refused');
cmp_ok($closed, '<=', 4 * $kills, '... who was connected to it connects again');


# -- the log

my (%newest, $back, @wrong, @late, $lines);

@$_ = sort { $a->[0] <=> $b->[0] } @$_ for values %history;

sub at {
    my ($service, $revision) = @_;
    my $of = $history{$service} or return;
    my ($low, $high) = (0, $#$of);

    while ($low < $high) {
        my $middle = int(($low + $high + 1) / 2);

        if ($of->[$middle][0] <= $revision) {
            $low = $middle;
        } else {
            $high = $middle - 1;
        }
    }

    return $of->[$low][1];
}

wait_for { !$t->leaving } 20, 'old workers to go';

for my $line (split /\n/, $t->read_file('calls.log')) {
    my ($session, $revision, $service, $address) = split / /, $line;

    $lines++;
    push @late, $line
        if $address eq $peers[0]->address
           && grep { $_->[0] <= $revision && $revision <= $_->[1] }
              @{ $drained{$service} // [] };
    push @wrong, $line
        unless ($service eq 'unknown' ? {} : at($service, $revision) // {})
               ->{$address};

    # calls of one session, one after the other
    $back++ if $revision < ($newest{$session} // 0);
    $newest{$session} = $revision;
}

cmp_ok($lines, '>', 600, 'calls were logged');
is(scalar @wrong, 0, '... each went where its revision says')
    or diag(join "\n", @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]);
cmp_ok(scalar(map { @$_ } values %drained), '>', 3, '... some were drained');
is(scalar @late, 0, '... and got no call') or diag(join "\n", @late);
ok(!$back, '... no worker went back to an older revision');

$t->done;
