#!/usr/bin/perl

# Compiles t/store/*.c with the store and runs it: the TAP is the program's own.
# Not under a sanitizer, which makes of each instruction many: processes are
# killed at all of them.

use strict;
use warnings;

use File::Path qw(make_path);
use FindBin;

my $root = "$FindBin::Bin/..";
my $src = ($ENV{NGINX_SRC} || '/usr/share/nginx/src') . '/src';
my $program = "$root/build/t/store";

# nginx's headers need what configure found out

my ($auto) = map { s{/[^/]+$}{}r }
             sort { -M $a <=> -M $b }
             glob("$root/build/obj/*/ngx_auto_config.h");

bail('no build/obj/*/ngx_auto_config.h, run util/build') unless $auto;
make_path("$root/build/t");

my @command = (
    $ENV{CC} || 'gcc', qw(-g -O1 -fno-omit-frame-pointer),
    qw(-W -Wall -Werror -Wno-unused-parameter -Wshadow -Wvla),
    qw(-Wstrict-prototypes -Wmissing-prototypes),
    (map { "-I$_" } $auto, "$src/core", "$src/event", "$src/os/unix",
                    "$root/src/table"),
    '-o', "$program.$$", glob("$root/t/store/*.c"),
    glob("$root/src/table/ngx_mesh_store*.c"),
);

system(@command) == 0 or bail('t/store does not compile');
rename("$program.$$", $program) or bail("rename: $!");

exec($program, $ENV{TEST_MESH_LONG} ? 50000 : 10000) or bail("$program: $!");


sub bail {
    print "Bail out!  store.t: @_\n";
    exit 1;
}
