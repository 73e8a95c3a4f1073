#!/usr/bin/perl

# Unit tests of applications of Dubbo 3, t/metadata/*.c: what they answer, and
# what is made of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('metadata',
    sources => [qw(t/unit/*.c t/unit/more/*.c t/metadata/*.c t/record/stub.c
                   src/codec/*.c
                   src/registry/ngx_mesh_metadata.c
                   src/registry/ngx_mesh_metadata_entries.c
                   src/registry/ngx_mesh_metadata_info.c
                   src/registry/ngx_mesh_metadata_instance.c
                   src/registry/ngx_mesh_record*.c)],
    rooms => ['', qw(codec table registry)],
    libs => [qw(-lcjson -lz -ldeflate)],
    args => ["$FindBin::Bin/vectors/metadata.json"],
);
