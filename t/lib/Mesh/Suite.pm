package Mesh::Suite;

# Runs test files as prove does and counts more strictly: a test that is
# skipped, or a file that ends badly, is a failure.

use strict;
use warnings;

use File::Find qw(find);
use TAP::Harness;

# a skip's reason that is allowed starts so; the README says what is optional
use constant OPTIONAL => qr/^optional:/;

# no test file takes longer, in seconds; with --long
use constant { TIMEOUT => 600, TIMEOUT_LONG => 7200 };


# run(file or directory...): all of t without

sub run {
    my @files = test_files(@_ ? @_ : 't');

    unless (@files) {
        print "test: no test files\n0 passed, 1 failed\n";
        exit 1;
    }

    my ($optional, $skipped) = (0, 0);

    my $harness = TAP::Harness->new({
        timer => 1, failures => 1, jobs => $ENV{JOBS} || 3,
        exec => \&command,
        verbosity => $ENV{TEST_NGINX_VERBOSE} ? 1 : 0,
    });

    $harness->callback(made_parser => sub {
        my ($parser) = @_;

        my $skip = sub {
            $_[0] =~ OPTIONAL ? $optional++ : $skipped++;
        };

        $parser->callback(test => sub {
            $skip->($_[0]->explanation) if $_[0]->has_skip;
        });
        $parser->callback(plan => sub {
            $skip->($_[0]->explanation // '')
                if ($_[0]->directive // '') eq 'SKIP';
        });
    });

    my $all = $harness->runtests(@files);

    # a file that broke without a failed test of its own counts as one
    my $broken = grep {
        my ($parser) = $all->parsers($_);
        $parser->has_problems && !$parser->failed;
    } $all->descriptions;

    # passed() has the skipped ones
    my $single = $all->skipped;
    my $failed = $all->failed + $broken + $skipped;

    print "skipped though not optional: $skipped\n" if $skipped;
    print "optional and skipped: $optional\n" if $optional;
    printf "%d passed, %d failed\n", $all->passed - $single, $failed;

    exit($failed ? 1 : 0);
}


# slow ones first, so that no file runs alone at the end

sub test_files {
    my @files;

    for my $what (@_) {
        if (-d $what) {
            find({ no_chdir => 1, wanted => sub {
                push @files, $_ if -f && /\.t$/;
            } }, $what);

        } else {
            push @files, $what;
        }
    }

    return sort { slow($b) <=> slow($a) || $a cmp $b } @files;
}


sub slow {
    my ($file) = @_;
    return $file =~ m{/(?:interop|fuzz)/} ? 1 : 0;
}


sub command {
    my ($harness, $file) = @_;

    my @interpreter = $^X;

    if (open my $in, '<', $file) {
        my $first = <$in> // '';
        @interpreter = split ' ', $1
            if $first =~ /^#!\s*(.+)/ && $1 !~ /perl/;
    }

    my $timeout = $ENV{TEST_MESH_LONG} ? TIMEOUT_LONG : TIMEOUT;

    return [ 'timeout', '-k', 10, $timeout, @interpreter, $file ];
}


1;
