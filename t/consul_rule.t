#!/usr/bin/perl

# Unit tests of what answers of Consul are worth, t/consul_rule/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Unit;

Mesh::Unit::run('consul_rule',
    sources => [qw(t/unit/*.c t/consul_rule/*.c src/registry/ngx_mesh_reply.c
                   src/registry/ngx_mesh_consul_rule.c)],
    rooms => [qw(table registry)],
    libs => [qw(-lz -lcjson)],
);
