#!/usr/bin/perl

# Unit tests of the routes, t/rules/rules.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('rules',
    sources => [qw(t/rules/rules.c t/rules/stub.c src/table/ngx_mesh_rule*.c
                   src/table/ngx_mesh_table.c)],
    libs => ['-lpcre2-8'],
);
