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

use Mesh::Bolt;
use Mesh::Dubbo;

my $bench = $ENV{MESH_BENCH} || "$FindBin::Bin/../build/mesh-bench";
my %pids;

# by name: the module with its frames, an error status, the least size
my @protocols = (
    [ dubbo => 'Mesh::Dubbo', 100, 128 ], [ bolt => 'Mesh::Bolt', 4, 7 ],
    [ bolt2 => 'Mesh::Bolt', 4, 7 ],
);

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
    my ($module, $twist) = @_;

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

            (my $frames, $rest{$s}) = $module->can('parse')->($rest{$s});
            syswrite $s, join '', map { $twist->($_) } @$frames;
        }
    }

    POSIX::_exit(0);
}


# the pair, and the multiplexer between

sub pair {
    my ($protocol, $least) = @_;

    my @is = ('--protocol', $protocol);
    my $serve = start('serve', @is, '--threads', 2);
    my $bare = start('bare', @is, '--upstream', $serve->{address});
    my @shape = (@is, '--connections', 8, '--depth', 16, '--threads', 2);

    for my $p ($serve, $bare) {
        my $name = $p == $serve ? 'direct' : 'bare';

        for my $size ($least, 129, 1026, 16384, 70_000) {
            is(figures(load($p->{address}, @shape, '--size', $size, '--deep',
                            '--calls', 2000)),
               'calls 2000 errors 0 wrong 0 lost 0 closed 0 exit 0',
               "$protocol: $name, bodies of $size bytes");
        }
    }

    my $r = load($bare->{address}, @is, '--rate', 2000, '--duration', 0.5,
                 '--warmup', 0, '--connections', 4, '--pids',
                 $serve->{pid});

    is($r->{sent} + $r->{unsent}, 1000,
       "$protocol: a rate is kept or owned up to");
    is($r->{pids}[0]{pid}, $serve->{pid}, 'the CPU of a process is told');
    ok($r->{p50_us} <= $r->{p99_us} && $r->{p99_us} <= $r->{max_us},
       'quantiles are in order');

    $r = load($serve->{address}, @is, '--calls', 300, '--oneway', 50);
    is("$r->{calls} $r->{oneway}", '300 150', 'one-way calls besides');

    is(load($serve->{address}, @is, '--idle', '--touch', '--connections', 50,
            '--duration', 0.2)->{calls}, 50, 'idle connections, one call');

    finish($bare);
    my $s = finish($serve);
    is($s->{oneway}, 150, 'one-way calls are counted, not answered');
    is($s->{bad}, 0, 'no bad frame');
}


# a slow and failing provider

sub slow {
    my ($protocol, $status) = @_;

    my $serve = start('serve', '--protocol', $protocol, '--shuffle',
                      '--delay', 1, '--error-rate', 20, '--status', $status);
    my $r = load($serve->{address}, '--protocol', $protocol, '--connections',
                 4, '--depth', 32, '--calls', 2000);

    is("$r->{calls} $r->{wrong} $r->{lost}", '2000 0 0',
       "$protocol: answers out of order find their calls");
    is($r->{errors}, finish($serve)->{errors}, 'errors are counted');
    is($r->{statuses}{$status}, $r->{errors}, 'by status');
    ok($r->{p50_us} >= 1000, 'a delay is seen');
}


# what must never go unnoticed, and what is seen in the same way

sub twists {
    my ($protocol, $module) = @_;

    my $reply = $module->can('reply');

    my %twist = (
        'another value' => sub { $reply->($_[0], value => 'nonsense') },
        'an unknown id' => sub {
            my ($f) = @_;
            my %other = (%$f, id => $f->{id} + 1);
            return join '', map { $reply->($_, value => $f->{args}[0]) }
                            \%other, $f;
        },
        'a second answer' => sub {
            $reply->($_[0], value => $_[0]{args}[0]) x 2;
        },
    );

    if ($protocol eq 'bolt2') {
        $twist{'a wrong checksum'} = sub {
            $reply->($_[0], value => $_[0]{args}[0], crc => 1);
        };
        $twist{'a missing checksum'} = sub {
            $reply->({ %{ $_[0] }, switch => 0 }, value => $_[0]{args}[0]);
        };
    }

    for my $name (sort keys %twist) {
        my $r = twisted($protocol, $module, $twist{$name}, 5, 0.5);
        ok($r->{wrong} && $r->{exit} == 1, "$protocol: $name is noticed");
    }

    my $r = twisted($protocol, $module, sub {
        $reply->($_[0], value => $_[0]{args}[0]);
    }, 5, 5);
    is("$r->{calls} $r->{wrong} $r->{errors}", '5 0 0',
       "$protocol: an answer by another hand is good");

    $r = twisted($protocol, $module, sub { '' }, 1, 0.1);
    is("$r->{calls} $r->{lost}", '0 1', "$protocol: silence is a lost call");

    if ($module eq 'Mesh::Bolt') {
        $r = twisted($protocol, $module, sub {
            $reply->($_[0], error => 'x' x 40);
        }, 5, 5);
        is("$r->{calls} $r->{wrong} $r->{errors}", '5 0 5',
           "$protocol: an error in a SofaResponse is one");
    }
}


sub twisted {
    my ($protocol, $module, $twist, $calls, $seconds) = @_;

    my $p = provider($module, $twist);
    my $r = load($p->{address}, '--protocol', $protocol, '--calls', $calls,
                 '--duration', $seconds, '--drain', 0.1);

    kill 'KILL', $p->{pid};
    waitpid $p->{pid}, 0;
    delete $pids{$p->{pid}};

    return $r;
}


# a call of Bolt is what a SOFARPC consumer sends

sub consumer {
    my ($protocol, $variant) = @_;

    pipe my $in, my $out or die "pipe: $!\n";

    twisted($protocol, 'Mesh::Bolt', sub {
        my ($f) = @_;
        my $h = $f->{headers};

        syswrite $out, join ' ', @$f{qw(kind variant service version method
                                        timeout class)},
                       map { $h->{$_} // '-' }
                       qw(sofa_head_target_service service
                          sofa_head_method_name app protocol type
                          rpc_trace_context.sofaRpcId);
        return Mesh::Bolt::reply($f, value => $f->{args}[0]);
    }, 1, 2);

    sysread $in, my $told, 4096;

    is($told, "request $variant bench.Echo 1.0.0 echo 3000 "
              . 'com.alipay.sofa.rpc.core.request.SofaRequest '
              . 'bench.Echo:1.0.0 bench.Echo:1.0.0 echo b bolt sync 0',
       "$protocol: looks like a call of SOFARPC");
}


for (@protocols) {
    my ($protocol, $module, $status, $least) = @$_;

    pair($protocol, $least);
    slow($protocol, $status);
    twists($protocol, $module);
    consumer($protocol, $protocol eq 'bolt' ? 1 : '2.2')
        if $module eq 'Mesh::Bolt';
}

done_testing();
