#!/usr/bin/perl

# Unit tests of the metrics, t/metrics/*.c.  The text they print has to be
# Prometheus'.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/metrics";

use Test::More;

use Mesh::Unit;
use Prometheus;

my $program = Mesh::Unit::build('metrics',
    sources => [qw(t/unit/tap.c t/metrics/*.c src/table/ngx_mesh_metrics*.c
                   src/codec/ngx_mesh_utf8.c)],
    rooms => [qw(codec table)],
);

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
