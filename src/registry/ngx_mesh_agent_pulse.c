
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif


/* the agent's signs of life, by which workers tell that it does not hang */


static void ngx_mesh_agent_patience(ngx_atomic_uint_t patience);


/* what is busy is often a part of what is: the first one ends it */
static ngx_uint_t  ngx_mesh_agent_depth;

static ngx_uint_t  ngx_mesh_agent_swollen;


void
ngx_mesh_agent_pulse(ngx_mesh_pulse_t *pulse)
{
    pulse->time = ngx_current_msec;
    pulse->beats++;
}


void
ngx_mesh_agent_busy(void)
{
    ngx_mesh_agent_depth++;

    ngx_mesh_agent_patience(ngx_current_msec + NGX_MESH_AGENT_PATIENCE);
}


void
ngx_mesh_agent_idle(void)
{
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    ngx_time_update();

    if (region->agent.pid == (ngx_atomic_uint_t) ngx_pid) {
        ngx_mesh_agent_pulse(&region->agent);
    }

    if (region->holder.pid == (ngx_atomic_uint_t) ngx_pid) {
        ngx_mesh_agent_pulse(&region->holder);
    }

    ngx_mesh_agent_patience(--ngx_mesh_agent_depth
                            ? ngx_current_msec + NGX_MESH_AGENT_PATIENCE : 0);
}


static void
ngx_mesh_agent_patience(ngx_atomic_uint_t patience)
{
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    if (region->agent.pid == (ngx_atomic_uint_t) ngx_pid) {
        region->agent.patience = patience;
    }

    if (region->holder.pid == (ngx_atomic_uint_t) ngx_pid) {
        region->holder.patience = patience;
    }
}


void
ngx_mesh_agent_large(void)
{
    ngx_mesh_agent_swollen = 1;
}


/* the C library keeps what is free, and more of it after each large piece */

void
ngx_mesh_agent_trim(void)
{
    if (!ngx_mesh_agent_swollen) {
        return;
    }

    ngx_mesh_agent_swollen = 0;

#ifdef __GLIBC__
    ngx_mesh_agent_busy();
    (void) malloc_trim(0);
    ngx_mesh_agent_idle();
#endif
}
