#!/usr/bin/perl

# Unit tests of Redis' protocol, t/resp/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('resp',
    sources => [qw(t/unit/*.c t/resp/*.c src/registry/ngx_mesh_resp.c)],
    rooms => [qw(codec table registry)],
    libs => ['-lhiredis'],
);
