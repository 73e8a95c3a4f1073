package Mesh::Unit;

# Unit tests in C: programs of t/*/*.c with some of the sources and stand-ins
# for what those need of nginx.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Test::More ();

our $root = abs_path(dirname(__FILE__) . '/../../..');


# build(name, sources => [patterns], sanitize => 0, rooms => [..], libs => []):
# path of build/t/NAME.  Under the sanitizers unless told otherwise.

sub build {
    my ($name, %o) = @_;

    my $src = ($ENV{NGINX_SRC} || '/usr/share/nginx/src') . '/src';
    my $program = "$root/build/t/$name";

    # nginx's headers need what configure found out

    my ($auto) = map { s{/[^/]+$}{}r }
                 sort { -M $a <=> -M $b }
                 glob("$root/build/obj/*/ngx_auto_config.h");

    Test::More::BAIL_OUT('no build/obj/*/ngx_auto_config.h, run util/build')
        unless $auto;

    make_path("$root/build/t");

    my @sanitize = $o{sanitize} // 1
        ? ('-fsanitize=address,undefined', '-fno-sanitize-recover=undefined')
        : ();

    my @command = (
        $ENV{CC} || 'gcc', qw(-g -O1 -fno-omit-frame-pointer), @sanitize,
        qw(-W -Wall -Werror -Wpointer-arith -Wno-unused-parameter -Wshadow),
        qw(-Wvla -Wimplicit-fallthrough -Wstrict-prototypes),
        qw(-Wmissing-prototypes),
        (map { "-I$_" } $auto, "$src/core", "$src/event", "$src/os/unix",
                        "$root/src", "$root/t/unit",
                        map { "$root/src/$_" } @{ $o{rooms} // ['table'] }),
        '-o', "$program.$$", (map { glob("$root/$_") } @{ $o{sources} }),
        @{ $o{libs} // [] },
    );

    system(@command) == 0 && rename("$program.$$", $program)
        or Test::More::BAIL_OUT("$name does not compile");

    return $program;
}


# builds a program and becomes it: its TAP is the test's

sub run {
    my ($name, %o) = @_;
    my $program = build($name, %o);

    exec($program, @{ $o{args} // [] })
        or Test::More::BAIL_OUT("$program: $!");
}


1;
