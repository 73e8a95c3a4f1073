package Table;

# The sections of util/bench that are about the table: how it is searched, and
# how soon it is followed.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use Processes;

my $here = dirname(abs_path(__FILE__));
my $root = dirname(dirname($here));


# times in ms, one a line, sorted

sub milliseconds {
    my (@command) = @_;

    my @ms = sort { $a <=> $b } `$^X $here/@command 2>/dev/null`;
    die "bench: $command[0] failed\n" if $? || @ms < 100;

    return map { 0 + $_ } @ms;
}


sub routes {
    my ($verdict) = @_;

    require "$root/t/lib/Mesh/Unit.pm";

    my $program = Mesh::Unit::build('rules-bench', sanitize => 0,
        sources => [qw(t/rules/bench.c t/rules/stub.c t/unit/stub.c
                       src/table/ngx_mesh_rule*.c src/table/ngx_mesh_table.c)],
        libs => [qw(-O2 -DSTUB_BLOCKS -lpcre2-8)]);

    my %took = map { /^(\d+) (\d+)$/ } split /^/, `@{[pinned(0)]} $program`;
    die "bench: $program failed\n" unless $took{100} && $took{10000};

    print "\na call's route, names not seen before: ",
          join(', ', map { "$took{$_} ns of $_ routes" } 100, 10000), "\n";

    $verdict->('route of 10000, ns', $took{10000}, -1, 500, 1);
    $verdict->('the same / of 100', $took{10000} / $took{100}, -1, 2, 1);
}


sub follow {
    my ($verdict) = @_;

    my @ms = milliseconds('follow.pl 500');

    printf "\na change by the API is followed by %d calls of 4 workers: "
           . "p50 %.1f ms, p99 %.1f ms, at most %.1f ms\n",
           scalar @ms, @ms[$#ms * 0.5, $#ms * 0.99, -1];

    $verdict->('change to call, p99 ms', $ms[$#ms * 0.99], -1, 50, 1);
}


sub registry {
    my ($verdict) = @_;

    for my $kind (qw(consul redis)) {
        my @ms = milliseconds("registry.pl follow $kind 250");

        printf "\na change in %s is followed by %d calls of 4 workers, after "
               . "others have heard of it:\np50 %.1f ms, p99 %.1f ms, "
               . "at most %.1f ms\n",
               ucfirst $kind, scalar @ms, @ms[$#ms * 0.5, $#ms * 0.99, -1];

        $verdict->("change in $kind to call, p99 ms", $ms[$#ms * 0.99], -1,
                   50, 1);
    }

    my ($connections, $seconds) =
        split ' ', `$^X $here/registry.pl many 500 2>/dev/null`;
    die "bench: registry.pl failed\n" if $?;

    print "\n500 services, 8 workers: $connections connections to Consul, a ",
          "change is followed after\n$seconds s at most\n";

    $verdict->('500 services, connections', $connections, -1, 64, 1);
    $verdict->('a change of any, s', $seconds, -1, 30, 1);

    my ($without, $with) =
        split ' ', `$^X $here/registry.pl big 5000 4 2>/dev/null`;
    die "bench: registry.pl failed\n" if $?;

    print "\na service of 5000 endpoints changes three times a second: p99 of",
          " a load\n$with us if nginx reads it, $without us if another does\n";

    $verdict->('p99 with 5000 endpoints / without', $with / $without, -1,
               1.5, 0);
}


1;
