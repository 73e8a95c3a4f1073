#!/usr/bin/perl

# Unit tests of the items, t/item/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('item',
    sources => [qw(t/unit/*.c t/item/*.c t/table/stub.c src/table/ngx_mesh_item.c
                          src/table/ngx_mesh_item_found.c
                          src/table/ngx_mesh_table.c)],
);
