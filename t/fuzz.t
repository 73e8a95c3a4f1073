#!/usr/bin/perl

# Replays the corpora of the fuzz targets, t/fuzz/corpus/TARGET/*, under the
# address and undefined behaviour sanitizers.
#
# MESH_FUZZ=SECONDS fuzzes each target that long as well; this needs clang.  The
# long suite does it for ten minutes.
# What libFuzzer finds interesting is left in build/t/corpus-TARGET, what it
# finds wrong beside it as crash-*, to be added to the corpus.

use strict;
use warnings;

use File::Path qw(make_path);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/codec";
use Build;

my $seconds = $ENV{MESH_FUZZ} || ($ENV{TEST_MESH_LONG} ? 600 : 0);
my %stubs = map { $_ => ['t/codec/stub.c'] } qw(bolt declared dubbo edit tree);

$stubs{record} = [qw(t/unit/stub.c t/unit/tap.c t/record/stub.c),
                  Build::found('src/registry/ngx_mesh_record*.c')];
$stubs{metadata} = [@{ $stubs{record} },
                    qw(t/metadata/stub.c t/unit/more/rbtree.c
                       src/registry/ngx_mesh_metadata.c
                       src/registry/ngx_mesh_metadata_entries.c
                       src/registry/ngx_mesh_metadata_info.c
                       src/registry/ngx_mesh_metadata_instance.c)];
$stubs{redis} = [@{ $stubs{edit} },
                 qw(t/unit/stub.c t/unit/tap.c t/unit/more/rbtree.c
                    src/registry/ngx_mesh_resp.c
                    src/registry/ngx_mesh_redis_server.c
                    src/registry/ngx_mesh_redis_view.c)];
$stubs{reply} = [@{ $stubs{edit} }, 'src/registry/ngx_mesh_reply.c'];

# requests of both protocols
my %corpora = (edit => [qw(bolt dubbo)]);

for my $target (sort keys %stubs) {
    my @corpora = map { "$FindBin::Bin/fuzz/corpus/$_" }
                  @{ $corpora{$target} // [$target] };
    my @files = sort map { glob("$_/*") } @corpora;
    my @sources = ("t/fuzz/$target.c", @{ $stubs{$target} });
    my @more = $target !~ /^(?:record|metadata|redis)$/ ? ()
             : ('-lhiredis', Build::rooms('', qw(table registry)),
                "-I$FindBin::Bin/metadata");

    cmp_ok(scalar @files, '>', 100, "$target: has a corpus");

    my $program = Build::program("replay-$target", $ENV{CC} || 'gcc',
                                 [@Build::sanitize, @more],
                                 't/fuzz/replay.c', @sources);

    ok($program, "$target: compiles") or next;

    my ($output, $status) = Build::run([$program, @files]);
    my @lines = split /\n/, $output;

    is($status, 0, "$target: corpus replayed")
        or diag("stopped at $lines[-1]");
    is(scalar @lines, scalar @files, "$target: every file of it");

    next unless $seconds;

    $program = Build::program("fuzz-$target", 'clang',
                              [@Build::sanitize, '-fsanitize=fuzzer', @more],
                              @sources);

    ok($program, "$target: compiles with clang") or next;

    my $found = "$Build::out/corpus-$target";
    make_path($found);

    is(system($program, "-max_total_time=$seconds", '-max_len=4096',
              '-print_final_stats=1', '-verbosity=0',
              "-dict=$FindBin::Bin/fuzz/$target.dict",
              "-artifact_prefix=$Build::out/", $found, @corpora),
       0, "$target: fuzzed for $seconds s");
}

done_testing();
