#!/usr/bin/perl

# Unit tests of the routes, t/rules/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('rules',
    sources => [qw(t/unit/*.c t/rules/rules.c t/rules/sets.c t/rules/stub.c
                   src/table/ngx_mesh_rule*.c src/table/ngx_mesh_table.c)],
    libs => ['-lpcre2-8'],
);
