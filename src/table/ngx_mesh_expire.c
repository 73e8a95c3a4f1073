
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


/*
 * Overrides that have come to their end are removed by one process.  It looks
 * at them only when the table has changed, or when the next one ends.
 */


static ngx_int_t ngx_mesh_expire_look(uint64_t now);
static ngx_int_t ngx_mesh_expire_remove(ngx_array_t *items, uint64_t now,
    ngx_pool_t *pool);


static uint64_t  ngx_mesh_expire_seen;
static uint64_t  ngx_mesh_expire_next;


void
ngx_mesh_expire(void)
{
    uint64_t  now, revision;

    now = ngx_mesh_wall_clock();
    revision = ngx_mesh_live_revision();

    if ((revision != ngx_mesh_expire_seen
         || (ngx_mesh_expire_next && ngx_mesh_expire_next <= now))
        && ngx_mesh_expire_look(now) == NGX_OK)
    {
        ngx_mesh_expire_seen = revision;
    }
}


static ngx_int_t
ngx_mesh_expire_look(uint64_t now)
{
    uint64_t      revision;
    ngx_int_t     rc;
    ngx_pool_t   *pool;
    ngx_array_t   items;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_array_init(&items, pool, 16, sizeof(ngx_mesh_store_item_t))
        == NGX_OK
        && ngx_mesh_store_list(ngx_mesh_live(), NGX_MESH_ITEM_OVERRIDE, NULL,
                               NULL, 0, 0, pool, &items, &revision)
           == NGX_OK)
    {
        rc = ngx_mesh_expire_remove(&items, now, pool);
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* one that was changed meanwhile is looked at again a second later */

static ngx_int_t
ngx_mesh_expire_remove(ngx_array_t *items, uint64_t now, ngx_pool_t *pool)
{
    ngx_uint_t                i, rc;
    ngx_array_t               ops;
    ngx_mesh_override_t       ov;
    ngx_mesh_store_op_t      *op;
    ngx_mesh_store_item_t    *item;
    ngx_mesh_store_result_t   result;

    if (ngx_array_init(&ops, pool, 16, sizeof(ngx_mesh_store_op_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = items->elts;
    ngx_mesh_expire_next = 0;

    for (i = 0; i < items->nelts; i++) {

        if (ngx_mesh_item_override_read(&item[i], &ov) != NGX_OK
            || ov.until == 0)
        {
            continue;
        }

        if (ov.until > now) {

            if (ngx_mesh_expire_next == 0 || ov.until < ngx_mesh_expire_next)
            {
                ngx_mesh_expire_next = ov.until;
            }

            continue;
        }

        op = ngx_array_push(&ops);
        if (op == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

        op->type = NGX_MESH_ITEM_OVERRIDE;
        op->key = item[i].key;
        op->remove = 1;
        op->expect = item[i].modified;
    }

    if (ops.nelts == 0) {
        return NGX_OK;
    }

    rc = ngx_mesh_live_commit(ops.elts, ops.nelts, 0, 0, &result,
                              ngx_cycle->log);

    return rc == NGX_MESH_STORE_OK ? NGX_OK : NGX_ERROR;
}
