package Build;

# Compiles C programs against the codecs, and turns their TAP into tests.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use Test::More;

our $root = abs_path(dirname(__FILE__) . '/../..');
our $out = "$root/build/t";

our @sanitize = ('-g', '-O1', '-fno-omit-frame-pointer',
                 '-fsanitize=address,undefined',
                 '-fno-sanitize-recover=undefined');

our @warnings = qw(-W -Wall -Werror -Wpointer-arith -Wno-unused-parameter
                   -Wshadow -Wvla -Wimplicit-fallthrough -Wstrict-prototypes
                   -Wmissing-prototypes);


# nginx's headers need what configure found out

sub includes {
    my $src = ($ENV{NGINX_SRC} || '/usr/share/nginx/src') . '/src';

    my ($auto) = map { s{/[^/]+$}{}r }
                 sort { -M $a <=> -M $b }
                 glob("$root/build/obj/*/ngx_auto_config.h");

    BAIL_OUT('no build/obj/*/ngx_auto_config.h, run util/build') unless $auto;

    return map { "-I$_" } $auto, "$src/core", "$src/event", "$src/os/unix",
                          "$root/src/codec", "$root/src/registry",
                          "$root/t/codec", "$root/t/unit";
}


# what the headers of other rooms need

sub rooms {
    return map { "-I$root/src/$_" } @_;
}


# the sources that match, as program() takes them

sub found {
    return map { s{^\Q$root\E/}{}r } map { glob("$root/$_") } @_;
}


# program(NAME, CC, [FLAGS], FILES): the path of build/t/NAME, or undef

sub program {
    my ($name, $cc, $flags, @files) = @_;

    make_path($out);

    my @command = ($cc, @warnings, @$flags, includes(), '-o', "$out/$name.$$",
                   (map { "$root/$_" } @files), glob("$root/src/codec/*.c"), '-lz',
                   '-ldeflate', '-lcjson');

    unless (system(@command) == 0 && rename("$out/$name.$$", "$out/$name")) {
        unlink "$out/$name.$$";
        return;
    }

    return "$out/$name";
}


# run(COMMAND, STDIN): the output of a program and its wait status

sub run {
    my ($command, $input) = @_;

    open(my $save, '<&', \*STDIN) or die $!;
    open(STDIN, '<', $input || '/dev/null') or die "$input: $!";

    open(my $pipe, '-|', @$command) or die "$command->[0]: $!";
    local $/;
    my $output = <$pipe>;
    close($pipe);

    open(STDIN, '<&', $save) or die $!;

    return ($output, $?);
}


# the lines of TAP become tests of ours

sub tap {
    my ($output, $status) = @_;
    my ($n, $plan) = (0, -1);

    for (split /\n/, $output) {
        if (/^(not )?ok \d+ - (.*)/) {
            $n++;
            ok(!$1, $2);

        } elsif (/^1\.\.(\d+)$/) {
            $plan = $1;

        } else {
            diag($_);
        }
    }

    is($n, $plan, 'ran to its end');
    is($status & 127, 0, 'was not killed');
}


1;
