#!/usr/bin/perl

# The guard against random answers, t/guard/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('guard',
    sources => [qw(t/unit/*.c t/guard/*.c src/registry/ngx_mesh_guard.c)],
    rooms => [qw(table registry)],
    args => [$ENV{TEST_MESH_LONG} ? 2000000 : 200000],
);
