#!/usr/bin/perl

# Unit tests of what SDKs write into registries, t/record/*.c, and of the
# weight that grows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('record',
    sources => [qw(t/unit/*.c t/record/*.c src/registry/ngx_mesh_record*.c)],
    rooms => ['', qw(table registry)],
    libs => ['-lcjson'],
    args => ["$FindBin::Bin/vectors/records.json"],
);
