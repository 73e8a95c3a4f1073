#!/usr/bin/perl

# What registries say and a table of it, t/reconcile/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('reconcile',
    sources => [qw(t/unit/*.c t/reconcile/*.c t/item/inet.c t/table/stub.c
                   src/registry/ngx_mesh_guard.c
                   src/registry/ngx_mesh_reconcile*.c
                   src/table/ngx_mesh_store*.c src/table/ngx_mesh_item.c
                   src/table/ngx_mesh_item_found.c
                   src/table/ngx_mesh_learned.c src/table/ngx_mesh_part.c
                   src/table/ngx_mesh_operator.c
                   src/table/ngx_mesh_rule_record.c
                   src/table/ngx_mesh_table.c)],
    rooms => [qw(table registry)],
);
