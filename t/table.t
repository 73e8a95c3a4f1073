#!/usr/bin/perl

# Unit tests of the table, t/table/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('table',
    sources => [qw(t/unit/*.c t/table/*.c src/table/ngx_mesh_table.c)],
);
