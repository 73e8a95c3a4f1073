package Prometheus;

# A strict reader of Prometheus' text format 0.0.4: what its parser refuses,
# what its linter warns of, and what a histogram must be to make sense.

use strict;
use warnings;

use Encode qw(decode FB_CROAK);


# check(text): what is wrong, a line each

sub check {
    my ($text) = @_;
    my $s = { wrong => [], families => {}, seen => {} };

    $text =~ /\n\z/ or push @{ $s->{wrong} }, 'no newline at the end';

    for my $line (split /\n/, $text) {
        eval { decode('UTF-8', my $copy = $line, FB_CROAK) };
        wrong($s, $line, 'no UTF-8') if $@;

        if ($line =~ /^# (HELP|TYPE) (\S+) (.+)$/) {
            metadata($s, $line, $1, $2, $3);

        } elsif ($line =~ /^#/) {
            wrong($s, $line, 'unknown comment');

        } else {
            sample($s, $line);
        }
    }

    close_family($s);

    return @{ $s->{wrong} };
}


sub wrong {
    my ($s, $line, $text) = @_;
    push @{ $s->{wrong} }, "$text: $line";
}


sub metadata {
    my ($s, $line, $what, $name, $value) = @_;

    if (!defined $s->{name} || $s->{name} ne $name) {
        close_family($s);

        wrong($s, $line, 'a family in two pieces') if $s->{families}{$name}++;
        wrong($s, $line, 'name') if $name !~ /^[a-z_][a-z0-9_]*$/;

        $s->{name} = $name;
        $s->{$_} = undef for qw(HELP TYPE);
        $s->{histogram} = {};
    }

    wrong($s, $line, "second $what") if defined $s->{$what};
    $s->{$what} = $value;

    if ($what eq 'TYPE') {
        wrong($s, $line, 'without HELP') unless defined $s->{HELP};
        wrong($s, $line, 'type')
            unless $value =~ /^(?:counter|gauge|histogram)$/;
        wrong($s, $line, 'only a counter, and each, is _total')
            if ($value eq 'counter') != ($name =~ /_total$/ ? 1 : 0);
        wrong($s, $line, 'units are seconds and bytes')
            if $name =~ /_(?:ms|milliseconds|us|kb|kilobytes|minutes)(?:_|$)/;
    }
}


sub sample {
    my ($s, $line) = @_;

    my ($name, $labels, $value) = $line =~ m{
        ^ ( [a-zA-Z_:][a-zA-Z0-9_:]* )
        (?: \{ ( (?: [a-zA-Z_]\w* = " (?: [^"\\] | \\[\\"n] )* " ,? )* ) \} )?
        [ ] ( -? \d+ (?: \. \d+ )? (?: e[-+]?\d+ )? ) $
    }x or return wrong($s, $line, 'no line of a sample');

    my %label;

    while (($labels // '') =~ /\G(\w+)=("(?:[^"\\]|\\.)*")(,|\z)/g) {
        wrong($s, $line, qq{label "$1" twice}) if exists $label{$1};
        $label{$1} = $2;
    }

    # the same labels in another order are the same series
    my $series = join ',', $name, map { "$_=$label{$_}" } sort keys %label;
    wrong($s, $line, 'there twice') if $s->{seen}{$series}++;

    return wrong($s, $line, 'of no family')
        unless defined $s->{TYPE}
               && $name =~ /^\Q$s->{name}\E(_bucket|_sum|_count)?$/;

    my $suffix = $1 // '';

    wrong($s, $line, 'negative')
        if $value < 0 && $s->{TYPE} ne 'gauge';

    if ($s->{TYPE} eq 'histogram') {
        my $le = delete $label{le};
        my $key = join ',', map { "$_=$label{$_}" } sort keys %label;
        my $h = $s->{histogram}{$key} //= { line => $line };

        push @{ $h->{bucket} }, [ $le =~ /([^"]+)/, $value ]
            if $suffix eq '_bucket' && defined $le;
        $h->{$suffix} = $value;

    } else {
        wrong($s, $line, 'of no family') if $suffix ne '';
        wrong($s, $line, 'a label of histograms') if exists $label{le};
    }
}


sub close_family {
    my ($s) = @_;

    for my $h (values %{ $s->{histogram} || {} }) {
        my $last;

        for my $bucket (@{ $h->{bucket} || [] }) {
            if ($last) {
                wrong($s, $h->{line}, 'buckets out of order')
                    if $last->[0] eq '+Inf'
                       || $bucket->[0] ne '+Inf' && $bucket->[0] <= $last->[0];
                wrong($s, $h->{line}, 'a bucket falls')
                    if $bucket->[1] < $last->[1];
            }

            $last = $bucket;
        }

        wrong($s, $h->{line}, 'no sum') unless defined $h->{_sum};
        wrong($s, $h->{line}, 'no +Inf') unless $last && $last->[0] eq '+Inf';
        wrong($s, $h->{line}, 'the count is not that of +Inf')
            unless $last && defined $h->{_count} && $last->[1] == $h->{_count};
    }

    $s->{histogram} = {};
}


1;
