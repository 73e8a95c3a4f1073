#!/usr/bin/perl

# Unit tests of how answers of HTTP are read, t/reply/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('reply',
    sources => [qw(t/unit/*.c t/reply/*.c src/registry/ngx_mesh_reply.c)],
    rooms => [qw(table registry)],
    libs => ['-lz'],
);
