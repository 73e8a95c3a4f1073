
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_item.h"


/* stands in for what is not there yet */


__attribute__((weak)) ngx_mesh_source_type_t  ngx_mesh_consul_type;
__attribute__((weak)) ngx_mesh_source_type_t  ngx_mesh_redis_type;


#pragma weak ngx_mesh_source_open

void
ngx_mesh_source_open(ngx_mesh_source_t *source, ngx_uint_t n)
{
}


#pragma weak ngx_mesh_source_state

void
ngx_mesh_source_state(ngx_mesh_source_t *source, ngx_uint_t state,
    ngx_mesh_source_addr_t *addr, ngx_str_t *error)
{
}


#pragma weak ngx_mesh_source_heard

void
ngx_mesh_source_heard(ngx_mesh_source_t *source, uint64_t index)
{
}


#pragma weak ngx_mesh_reconcile_orphans

void
ngx_mesh_reconcile_orphans(ngx_mesh_core_conf_t *ccf)
{
}


#pragma weak ngx_mesh_reconcile_forget

void
ngx_mesh_reconcile_forget(ngx_mesh_subscription_t *s, ngx_uint_t keep)
{
}
