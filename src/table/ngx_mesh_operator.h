
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_OPERATOR_H_INCLUDED_
#define _NGX_MESH_OPERATOR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_item.h"


/*
 * What of the table is the operator's: made through the API, and neither the
 * configuration's nor a registry's.  Journals keep it, a rollback brings it
 * back.
 */


/* of all values; a journal with another one, or made on a machine of another
   endianness, is not read */
#if (NGX_HAVE_LITTLE_ENDIAN)
#define NGX_MESH_OPERATOR_LAYOUT  1
#else
#define NGX_MESH_OPERATOR_LAYOUT  0x80000001
#endif


ngx_uint_t ngx_mesh_operator_owns(ngx_mesh_store_item_t *item);

/*
 * All items of the operator at one moment, when the revision is *revision, as
 * an array of ngx_mesh_store_item_t.
 */
ngx_int_t ngx_mesh_operator_items(ngx_mesh_store_t *store, ngx_pool_t *pool,
    ngx_array_t *items, uint64_t *revision);

/*
 * Whether one of them may have been changed after a revision; *revision is
 * that of the store.  NGX_DECLINED: none was.
 */
ngx_int_t ngx_mesh_operator_changed(ngx_mesh_store_t *store, uint64_t since,
    uint64_t *revision, ngx_log_t *log);

/*
 * Makes these the items of the operator, and others than these no more, in
 * one commit; *result is its result, NGX_MESH_STORE_* is returned.  "fresh"
 * is for a store without any: the revision it goes on from, at which the
 * items keep theirs; 0: it is a change like others, at which they keep only
 * when they were created.  "expect" is the revision the store has to be of, or
 * it is a conflict; 0: any.  An item whose place the configuration has taken
 * is left out.
 */
ngx_uint_t ngx_mesh_operator_restore(ngx_mesh_store_t *store,
    ngx_mesh_store_item_t *items, ngx_uint_t n, uint64_t fresh,
    uint64_t expect, ngx_uint_t dry, ngx_mesh_store_result_t *result,
    ngx_log_t *log);


/*
 * ngx_mesh_learned.c: the same of what registries said and callers wanted,
 * which has a journal of its own.  An item whose place configuration or
 * operator have taken is left out.
 */

ngx_uint_t ngx_mesh_learned_owns(ngx_mesh_store_item_t *item);

/* the same, and by which registry; empty: by callers */
ngx_uint_t ngx_mesh_learned_owner(ngx_mesh_store_item_t *item,
    ngx_str_t *owner);

ngx_int_t ngx_mesh_learned_items(ngx_mesh_store_t *store, ngx_pool_t *pool,
    ngx_array_t *items, uint64_t *revision);
ngx_int_t ngx_mesh_learned_changed(ngx_mesh_store_t *store, uint64_t since,
    uint64_t *revision, ngx_log_t *log);
ngx_uint_t ngx_mesh_learned_restore(ngx_mesh_store_t *store,
    ngx_mesh_store_item_t *items, ngx_uint_t n, uint64_t fresh,
    ngx_mesh_store_result_t *result, ngx_log_t *log);


/* ngx_mesh_live.c: another zone's table, which this process does not use */
ngx_int_t ngx_mesh_live_attach(ngx_mesh_store_t *store, void *region,
    size_t size, ngx_slab_pool_t *shpool);


#endif /* _NGX_MESH_OPERATOR_H_INCLUDED_ */
