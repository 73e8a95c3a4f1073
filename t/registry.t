#!/usr/bin/perl

# Unit tests of what workers and agent share, t/registry/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('registry',
    sources => [qw(t/unit/*.c t/registry/*.c
                   src/registry/ngx_mesh_agent_pulse.c
                   src/registry/ngx_mesh_registry_job.c)],
    rooms => [qw(table registry)],
);
