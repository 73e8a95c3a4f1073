package Mesh::Mutant;

# Bytes and documents that are nearly right, for servers that attack.
#
#   damage($bytes, n)     n random wounds (1 to 4)
#   strange($document)    a copy with a value of another type somewhere

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(damage strange);

# what breaks readers: of HTTP, JSON, gzip and RESP
my @words = ("\r\n", "\r\n\r\n", "\0", "\xff", '"', '\\', '{', '}', '[', ']',
             ':', ',', '-', '+', '*', '$', '$-1', '*-1', '$-2147483648', '0',
             '9' x 20, '-1', '1e999', '18446744073709551616', '\\u0000',
             '\\ud800', 'null', 'true', "HTTP/1.1 200 OK\r\n",
             "HTTP/1.1 100 Continue\r\n\r\n", "Content-Length: 3\r\n",
             "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "7fffffff\r\n",
             '*1048577', "*2\r\n" x 9, '[' x 1100, '{"a":' x 1100, ' ' x 5000);

my @values = (undef, \1, \0, 0, -1, 70000, 1.5, 1e300, -1e300, 2 ** 53, '',
              '0', 'x' x 70_000, "a\0b", "\x{7f}\r\n", "\x{10ffff}", [], {},
              [[]], [{}], [undef], { a => { b => [] } }, [map { {} } 1 .. 50],
              { '' => '' }, { map { $_ => $_ } 1 .. 300 });


sub damage {
    my ($bytes, $n) = @_;

    for (1 .. $n // 1 + int rand 4) {
        my $size = length $bytes or return $words[rand @words];
        my $at = int rand $size;
        my $what = int rand 8;

        if ($what == 0) {
            substr $bytes, $at, 1, chr(ord(substr $bytes, $at, 1)
                                       ^ 1 << int rand 8);
        } elsif ($what == 1) {
            substr $bytes, $at, 1, chr int rand 256;
        } elsif ($what == 2) {
            substr $bytes, $at, 1 + int rand 8, '';
        } elsif ($what == 3) {
            substr $bytes, $at, 0, $words[rand @words];
        } elsif ($what == 4) {
            my $some = substr $bytes, int rand $size, int rand 100;
            substr $bytes, $at, 0, $some;
        } elsif ($what == 5) {
            substr $bytes, $at, 1 + int rand 20, $words[rand @words];
        } elsif ($what == 6) {
            $bytes = substr $bytes, 0, $at;
        } else {
            my @at = grep { defined } map { pos_of($bytes, $_) } 1, 2;
            substr $bytes, $_, 1, int rand 10 for @at;
        }
    }

    return $bytes;
}


# where a digit is

sub pos_of {
    my ($bytes) = @_;

    for (1 .. 20) {
        my $at = int rand length $bytes;
        return $at if substr($bytes, $at, 1) =~ /\d/;
    }

    return;
}


sub strange {
    my ($document, $odds) = @_;

    my @places;
    my $copy = clone($document, \@places);

    for (1 .. 1 + int rand 3) {
        my ($in, $key) = @{ $places[rand @places] };

        if (ref $in eq 'HASH') {
            rand() < 0.2 ? delete $in->{$key}
                         : ($in->{$key} = $values[rand @values]);
        } else {
            $in->[$key] = $values[rand @values];
        }
    }

    return $copy;
}


sub clone {
    my ($value, $places) = @_;

    if (ref $value eq 'HASH') {
        my %copy = map { $_ => clone($value->{$_}, $places) }
                   sort keys %$value;
        push @$places, map { [\%copy, $_] } sort keys %copy;
        return \%copy;
    }

    if (ref $value eq 'ARRAY') {
        my @copy = map { clone($_, $places) } @$value;
        push @$places, map { [\@copy, $_] } 0 .. $#copy;
        return \@copy;
    }

    return $value;
}


1;
