#!/usr/bin/perl

# Compiles t/rules/rules.c with the routes under the address sanitizer and runs it:
# the TAP is the program's own.

use strict;
use warnings;

use File::Path qw(make_path);
use FindBin;

my $root = "$FindBin::Bin/..";
my $src = ($ENV{NGINX_SRC} || '/usr/share/nginx/src') . '/src';
my $program = "$root/build/t/rules";

# nginx's headers need what configure found out

my ($auto) = map { s{/[^/]+$}{}r }
             sort { -M $a <=> -M $b }
             glob("$root/build/obj/*/ngx_auto_config.h");

bail('no build/obj/*/ngx_auto_config.h, run util/build') unless $auto;
make_path("$root/build/t");

my @command = (
    $ENV{CC} || 'gcc', qw(-g -O1 -fno-omit-frame-pointer),
    '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined',
    qw(-W -Wall -Werror -Wno-unused-parameter -Wshadow -Wvla),
    qw(-Wstrict-prototypes -Wmissing-prototypes),
    (map { "-I$_" } $auto, "$src/core", "$src/event", "$src/os/unix",
                    "$root/src/table"),
    '-o', "$program.$$",
    (map { "$root/t/rules/$_.c" } qw(rules stub)),
    glob("$root/src/table/ngx_mesh_rule*.c"),
    "$root/src/table/ngx_mesh_table.c", '-lpcre2-8',
);

system(@command) == 0 or bail('t/rules does not compile');
rename("$program.$$", $program) or bail("rename: $!");

exec($program) or bail("$program: $!");


sub bail {
    print "Bail out!  rules.t: @_\n";
    exit 1;
}
