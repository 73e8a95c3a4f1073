#!/usr/bin/perl

# Unit tests of what is decided of a registry in Redis, t/redis/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('redis',
    sources => [qw(t/unit/*.c t/unit/more/*.c t/redis/*.c
                   src/registry/ngx_mesh_redis_view.c
                   src/registry/ngx_mesh_redis_server.c)],
    rooms => [qw(codec table registry)],
);
