#!/usr/bin/perl

# Compiles t/metrics/*.c with the metrics under the address sanitizer and runs
# it; its TAP becomes tests of ours.  The text it prints has to be Prometheus'.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/metrics";

use File::Path qw(make_path);
use Test::More;

use Prometheus;

my $root = "$FindBin::Bin/..";
my $src = ($ENV{NGINX_SRC} || '/usr/share/nginx/src') . '/src';
my $program = "$root/build/t/metrics";

# nginx's headers need what configure found out

my ($auto) = map { s{/[^/]+$}{}r }
             sort { -M $a <=> -M $b }
             glob("$root/build/obj/*/ngx_auto_config.h");

BAIL_OUT('no build/obj/*/ngx_auto_config.h, run util/build') unless $auto;
make_path("$root/build/t");

my @command = (
    $ENV{CC} || 'gcc', qw(-g -O1 -fno-omit-frame-pointer),
    '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined',
    qw(-W -Wall -Werror -Wpointer-arith -Wno-unused-parameter -Wshadow -Wvla),
    qw(-Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes),
    (map { "-I$_" } $auto, "$src/core", "$src/event", "$src/os/unix",
                    "$root/src", "$root/src/codec", "$root/src/table"),
    '-o', "$program.$$", glob("$root/t/metrics/*.c"),
    glob("$root/src/table/ngx_mesh_metrics*.c"),
    "$root/src/codec/ngx_mesh_utf8.c",
);

system(@command) == 0 or BAIL_OUT('t/metrics does not compile');
rename("$program.$$", $program) or BAIL_OUT("rename: $!");

my ($n, $plan) = (0, -1);

open(my $tap, '-|', $program) or BAIL_OUT("$program: $!");

while (<$tap>) {
    chomp;

    if (/^(not )?ok \d+ - (.*)/) {
        $n++;
        ok(!$1, $2);

    } elsif (/^1\.\.(\d+)$/) {
        $plan = $1;

    } else {
        diag($_);
    }
}

close($tap);

is($n, $plan, 'ran to its end');
is($? & 127, 0, 'was not killed');

my @wrong = Prometheus::check(scalar `$program text`);
is(join("\n", @wrong), '', 'the text is in order');


###############################################################################
# a checker that finds nothing is worth nothing

sub finds {
    my ($what, $text) = @_;
    my @found = Prometheus::check($text);
    like("@found", $what, "found: $what");
}

my $family = "# HELP a_total A.\n# TYPE a_total counter\n";

is_deeply([Prometheus::check("${family}a_total 1\n")], [], 'nothing found');

finds(qr/no newline/, "${family}a_total 1");
finds(qr/no line of a sample/, "${family}a_total\n");
finds(qr/no line of a sample/, "${family}a_total{x=\"\\q\"} 1\n");
finds(qr/no UTF-8/, "${family}a_total{x=\"\xff\"} 1\n");
finds(qr/there twice/, "${family}a_total 1\na_total 2\n");
finds(qr/there twice/, "${family}a_total{x=\"1\"} 1\na_total{x=\"1\"} 2\n");
finds(qr/of no family/, "${family}b_total 1\n");
finds(qr/second HELP/, "$family# HELP a_total A.\n");
finds(qr/without HELP/, "# TYPE a_total counter\na_total 1\n");
finds(qr/_total/, "# HELP a A.\n# TYPE a counter\na 1\n");
finds(qr/_total/, "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n");
finds(qr/negative/, "${family}a_total -1\n");
finds(qr/label "x" twice/, "${family}a_total{x=\"1\",x=\"2\"} 1\n");

my $histogram = "# HELP h H.\n# TYPE h histogram\n";

is_deeply([Prometheus::check(<<"END")], [], 'no fault of a histogram');
${histogram}h_bucket{le="1"} 1
h_bucket{le="+Inf"} 2
h_sum 3
h_count 2
END
finds(qr/no \+Inf/, "${histogram}h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n");
finds(qr/falls/, "${histogram}h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n"
                 . "h_sum 1\nh_count 1\n");
finds(qr/order/, "${histogram}h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\n"
                 . "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n");
finds(qr/count is not/, "${histogram}h_bucket{le=\"+Inf\"} 1\nh_sum 1\n"
                        . "h_count 2\n");
finds(qr/no sum/, "${histogram}h_bucket{le=\"+Inf\"} 1\nh_count 1\n");

done_testing();
