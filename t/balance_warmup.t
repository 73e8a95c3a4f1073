#!/usr/bin/perl

# Weights that grow with the age of an endpoint's process, t/balance/*.c: only
# registries bring them, so that the balancers are asked themselves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('balance',
    sources => [qw(t/unit/*.c t/balance/*.c t/table/stub.c
                   src/table/ngx_mesh_table.c src/proxy/ngx_mesh_balancer.c)],
    rooms => ['', qw(codec table proxy registry)],
);
