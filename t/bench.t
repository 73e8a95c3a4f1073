# mesh-bench against itself: the figures of util/bench and many load tests
# rest on its counting right, above all on its noticing a wrong answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Test::More;

use Mesh::Dubbo qw(response parse);

my $bench = $ENV{MESH_BENCH} || "$FindBin::Bin/../build/mesh-bench";
my %pids;

END { kill 'KILL', keys %pids if %pids }


sub start {
    my @args = @_;

    my $pid = open my $out, '-|', $bench, @args or die "$bench: $!\n";
    $pids{$pid} = 1;

    my ($address) = readline($out) =~ /^listening (\S+)/;

    return { pid => $pid, out => $out, address => $address };
}


sub finish {
    my ($p) = @_;

    kill 'TERM', $p->{pid};
    my $line = readline $p->{out};
    close $p->{out};
    delete $pids{$p->{pid}};

    return $line ? decode_json($line) : { };
}


sub load {
    my ($address, @args) = @_;

    my $pid = open my $out, '-|', $bench, 'load', '--connect', $address,
                   @args or die "$bench: $!\n";
    my @lines = readline $out;
    close $out;

    my $r = decode_json($lines[-1]);
    $r->{exit} = $? >> 8;

    return $r;
}


sub figures {
    my ($r) = @_;

    return join ' ', map { "$_ $r->{$_}" }
           qw(calls errors wrong lost closed exit);
}


# a provider whose answers pass through a function

sub provider {
    my ($twist) = @_;

    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid) {
        $pids{$pid} = 1;
        return { pid => $pid, address => '127.0.0.1:' . $listen->sockport };
    }

    %pids = ();
    my $select = IO::Select->new($listen);
    my %rest;

    while (my @ready = $select->can_read) {
        for my $s (@ready) {
            if ($s == $listen) {
                $select->add(scalar $listen->accept);
                next;
            }

            if (!sysread $s, $rest{$s}, 65536, length($rest{$s} // '')) {
                $select->remove($s);
                close $s;
                next;
            }

            (my $frames, $rest{$s}) = parse($rest{$s});
            syswrite $s, join '', map { $twist->($_) } @$frames;
        }
    }

    POSIX::_exit(0);
}


# the pair, and the multiplexer between

{
    my $serve = start('serve', '--threads', 2);
    my $bare = start('bare', '--upstream', $serve->{address});
    my @shape = ('--connections', 8, '--depth', 16, '--threads', 2);

    for my $p ($serve, $bare) {
        my $name = $p == $serve ? 'direct' : 'bare';

        for my $size (128, 129, 1026, 16384, 70_000) {
            is(figures(load($p->{address}, @shape, '--size', $size, '--deep',
                            '--calls', 2000)),
               'calls 2000 errors 0 wrong 0 lost 0 closed 0 exit 0',
               "$name, bodies of $size bytes");
        }
    }

    my $r = load($bare->{address}, '--rate', 2000, '--duration', 0.5,
                 '--warmup', 0, '--connections', 4, '--pids',
                 $serve->{pid});

    is($r->{sent} + $r->{unsent}, 1000, 'a rate is kept or owned up to');
    is($r->{pids}[0]{pid}, $serve->{pid}, 'the CPU of a process is told');
    ok($r->{p50_us} <= $r->{p99_us} && $r->{p99_us} <= $r->{max_us},
       'quantiles are in order');

    $r = load($serve->{address}, '--calls', 300, '--oneway', 50);
    is("$r->{calls} $r->{oneway}", '300 150', 'one-way calls besides');

    is(load($serve->{address}, '--idle', '--touch', '--connections', 50,
            '--duration', 0.2)->{calls}, 50, 'idle connections, one call');

    finish($bare);
    my $s = finish($serve);
    is($s->{oneway}, 150, 'one-way calls are counted, not answered');
    is($s->{bad}, 0, 'no bad frame');
}


# a slow and failing provider

{
    my $serve = start('serve', '--shuffle', '--delay', 1, '--error-rate', 20,
                      '--status', 100);
    my $r = load($serve->{address}, '--connections', 4, '--depth', 32,
                 '--calls', 2000);

    is("$r->{calls} $r->{wrong} $r->{lost}", '2000 0 0',
       'answers out of order find their calls');
    is($r->{errors}, finish($serve)->{errors}, 'errors are counted');
    is($r->{statuses}{100}, $r->{errors}, 'by status');
    ok($r->{p50_us} >= 1000, 'a delay is seen');
}


# what must never go unnoticed

my %twist = (
    'another value' => sub {
        response(id => $_[0]{id}, value => 'nonsense');
    },
    'an unknown id' => sub {
        response(id => $_[0]{id} + 1, value => $_[0]{args}[0])
        . response(id => $_[0]{id}, value => $_[0]{args}[0]);
    },
    'a second answer' => sub {
        response(id => $_[0]{id}, value => $_[0]{args}[0]) x 2;
    },
);

for my $name (sort keys %twist) {
    my $p = provider($twist{$name});
    my $r = load($p->{address}, '--calls', 5, '--duration', 2);

    ok($r->{wrong} && $r->{exit} == 1, "$name is noticed");
    kill 'KILL', $p->{pid};
}

{
    my $p = provider(sub { '' });
    my $r = load($p->{address}, '--calls', 1, '--duration', 0.1, '--drain',
                 0.1);

    is("$r->{calls} $r->{lost}", '0 1', 'silence is a lost call');
    kill 'KILL', $p->{pid};
}

done_testing();
