#!/usr/bin/perl

# What workers conclude from wants, answers and services, t/want/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('want',
    sources => [qw(t/unit/*.c t/want/*.c t/item/inet.c t/table/stub.c
                   src/table/ngx_mesh_store*.c src/table/ngx_mesh_item.c
                   src/table/ngx_mesh_item_found.c src/table/ngx_mesh_want.c
                   src/table/ngx_mesh_table.c)],
);
