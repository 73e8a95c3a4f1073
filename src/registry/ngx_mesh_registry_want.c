
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_discovery.h"
#include "ngx_mesh_want.h"


/* what workers have to know of registries to park calls */

void
ngx_mesh_registry_want(ngx_mesh_core_conf_t *ccf)
{
    ngx_uint_t                     i, n;
    ngx_mesh_source_t             *source;
    static ngx_mesh_want_source_t  wanted[NGX_MESH_SOURCES];

    n = 0;

    if (ccf->sources && ccf->agent_path) {
        source = ccf->sources->elts;
        n = ngx_min(ccf->sources->nelts, NGX_MESH_SOURCES);

        for (i = 0; i < n; i++) {
            wanted[i].name = source[i].name;
            wanted[i].max_services = source[i].max_services;
            wanted[i].lazy = (source[i].discovery == NGX_MESH_DISCOVERY_LAZY);
            wanted[i].all = (source[i].discovery == NGX_MESH_DISCOVERY_ALL);
        }
    }

    ngx_mesh_want_sources(wanted, n);
}
