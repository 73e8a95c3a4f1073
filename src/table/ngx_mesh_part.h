
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_PART_H_INCLUDED_
#define _NGX_MESH_PART_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_item.h"


/* private to the room: items of the table by whose they are */


#define NGX_MESH_PART_TYPES  4

typedef struct {
    ngx_uint_t               types[NGX_MESH_PART_TYPES];  /* in order */

    ngx_uint_t             (*owns)(ngx_mesh_store_item_t *item);

    /* whether one of the part takes the place of another's */
    ngx_uint_t             (*takes)(ngx_mesh_store_item_t *item);
} ngx_mesh_part_t;


/* as ngx_mesh_operator.h says of the operator's */

ngx_int_t ngx_mesh_part_items(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    ngx_pool_t *pool, ngx_array_t *items, uint64_t *revision);
ngx_int_t ngx_mesh_part_changed(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    uint64_t since, uint64_t *revision, ngx_log_t *log);
ngx_uint_t ngx_mesh_part_restore(ngx_mesh_part_t *part,
    ngx_mesh_store_t *store, ngx_mesh_store_item_t *items, ngx_uint_t n,
    uint64_t fresh, uint64_t expect, ngx_uint_t dry,
    ngx_mesh_store_result_t *result, ngx_log_t *log);


#endif /* _NGX_MESH_PART_H_INCLUDED_ */
