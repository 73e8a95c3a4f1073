
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_TABLE_INT_H_INCLUDED_
#define _NGX_MESH_TABLE_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_item.h"


/* private to the room */


/* ngx_mesh_table.c */

/* one service of several, in a pool that it takes over; NULL: no memory */
ngx_mesh_service_t *ngx_mesh_table_join(ngx_mesh_service_t **parts,
    ngx_uint_t n, ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version,
    ngx_pool_t *pool);


/* the rules of a configuration */
ngx_uint_t ngx_mesh_table_rules(ngx_mesh_table_t *table,
    ngx_mesh_rule_t ***rules);


/* ngx_mesh_apply.c */

/* makes what is of owner "config" in the store that of a table; with "dry"
   only sees whether it would fit */
ngx_int_t ngx_mesh_apply(ngx_mesh_store_t *store, ngx_mesh_table_t *table,
    ngx_uint_t dry, ngx_log_t *log);


static ngx_inline ngx_uint_t
ngx_mesh_table_any(ngx_str_t *s)
{
    return s->len == 1 && s->data[0] == '*';
}


static ngx_inline ngx_uint_t
ngx_mesh_table_no_version(ngx_str_t *s)
{
    return s->len == 0
           || (s->len == 5 && ngx_memcmp(s->data, "0.0.0", 5) == 0);
}


/* whether a caller's group or version takes that of a service */

static ngx_inline ngx_uint_t
ngx_mesh_table_match(ngx_str_t *pattern, ngx_str_t *s)
{
    return ngx_mesh_table_any(pattern) || ngx_mesh_equal(pattern, s);
}


#endif /* _NGX_MESH_TABLE_INT_H_INCLUDED_ */
