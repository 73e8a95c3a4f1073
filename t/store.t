#!/usr/bin/perl

# The store against a model, and committing processes killed at all of their
# instructions.  Not under a sanitizer, which makes of each of them many.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('store',
    sources => [qw(t/unit/*.c t/store/*.c src/table/ngx_mesh_store*.c)],
    sanitize => 0,
    args => [$ENV{TEST_MESH_LONG} ? 50000 : 10000],
);
