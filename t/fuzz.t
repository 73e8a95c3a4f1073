#!/usr/bin/perl

# Replays the corpora of the fuzz targets, t/fuzz/corpus/TARGET/*, under the
# address and undefined behaviour sanitizers.
#
# MESH_FUZZ=SECONDS fuzzes each target that long as well; this needs clang.
# What libFuzzer finds interesting is left in build/t/corpus-TARGET, what it
# finds wrong beside it as crash-*, to be added to the corpus.

use strict;
use warnings;

use File::Path qw(make_path);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/codec";
use Build;

my %stubs = (dubbo => ['t/codec/stub.c']);

for my $target (sort keys %stubs) {
    my $corpus = "$FindBin::Bin/fuzz/corpus/$target";
    my @files = sort glob("$corpus/*");
    my @sources = ("t/fuzz/$target.c", @{ $stubs{$target} });

    cmp_ok(scalar @files, '>', 100, "$target: has a corpus");

    my $program = Build::program("replay-$target", $ENV{CC} || 'gcc',
                                 [@Build::sanitize], 't/fuzz/replay.c',
                                 @sources);

    ok($program, "$target: compiles") or next;

    my ($output, $status) = Build::run([$program, @files]);
    my @lines = split /\n/, $output;

    is($status, 0, "$target: corpus replayed")
        or diag("stopped at $lines[-1]");
    is(scalar @lines, scalar @files, "$target: every file of it");

    next unless $ENV{MESH_FUZZ};

    $program = Build::program("fuzz-$target", 'clang',
                              [@Build::sanitize, '-fsanitize=fuzzer'],
                              @sources);

    ok($program, "$target: compiles with clang") or next;

    my $found = "$Build::out/corpus-$target";
    make_path($found);

    is(system($program, "-max_total_time=$ENV{MESH_FUZZ}", '-max_len=4096',
              '-print_final_stats=1', '-verbosity=0',
              "-dict=$FindBin::Bin/fuzz/$target.dict",
              "-artifact_prefix=$Build::out/", $found, $corpus),
       0, "$target: fuzzed for $ENV{MESH_FUZZ} s");
}

done_testing();
