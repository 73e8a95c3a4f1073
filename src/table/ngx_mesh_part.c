
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_part.h"
#include "ngx_mesh_table_int.h"


/*
 * A part of the table's items, by whose they are: all of it is read at one
 * moment, and becomes another one in one commit.
 */


#define NGX_MESH_PART_TRIES  64


static ngx_int_t ngx_mesh_part_select(ngx_mesh_part_t *part,
    ngx_mesh_store_t *store, uint64_t since, ngx_pool_t *pool,
    ngx_array_t *items, uint64_t *revision);
static ngx_uint_t ngx_mesh_part_owned(ngx_mesh_store_item_t *item);
static ngx_uint_t ngx_mesh_part_once(ngx_mesh_part_t *part,
    ngx_mesh_store_t *store, ngx_mesh_store_item_t *items, ngx_uint_t n,
    uint64_t fresh, uint64_t expect, ngx_uint_t dry,
    ngx_mesh_store_result_t *result, ngx_pool_t *pool, ngx_log_t *log);
static ngx_int_t ngx_mesh_part_remove(ngx_mesh_part_t *part,
    ngx_mesh_store_item_t *item, ngx_array_t *there, ngx_mesh_store_op_t *op,
    ngx_pool_t *pool);
static ngx_mesh_store_item_t **ngx_mesh_part_sort(
    ngx_mesh_store_item_t *items, ngx_uint_t n, ngx_pool_t *pool);
static int ngx_libc_cdecl ngx_mesh_part_order(const void *one,
    const void *two);


static ngx_int_t
ngx_mesh_part_select(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    uint64_t since, ngx_pool_t *pool, ngx_array_t *items, uint64_t *revision)
{
    ngx_uint_t              i;
    ngx_mesh_store_query_t  queries[NGX_MESH_PART_TYPES];

    if (ngx_array_init(items, pool, 64, sizeof(ngx_mesh_store_item_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(queries, sizeof(queries));

    for (i = 0; i < NGX_MESH_PART_TYPES; i++) {
        queries[i].type = part->types[i];
        queries[i].since = since;
        queries[i].items = items;
    }

    return ngx_mesh_store_select(store, queries, NGX_MESH_PART_TYPES, NULL,
                                 pool, revision);
}


ngx_int_t
ngx_mesh_part_items(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    ngx_pool_t *pool, ngx_array_t *items, uint64_t *revision)
{
    ngx_uint_t              i, n;
    ngx_mesh_store_item_t  *item;

    if (ngx_mesh_part_select(part, store, 0, pool, items, revision) != NGX_OK) {
        return NGX_ERROR;
    }

    item = items->elts;

    for (i = 0, n = 0; i < items->nelts; i++) {
        if (part->owns(&item[i])) {
            item[n++] = item[i];
        }
    }

    items->nelts = n;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_part_changed(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    uint64_t since, uint64_t *revision, ngx_log_t *log)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *item;

    /* removals that are forgotten may have been of the part */

    if (since < ngx_mesh_store_floor(store)) {
        return NGX_OK;
    }

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NGX_OK;
    }

    rc = NGX_OK;

    if (since
        && ngx_mesh_part_select(part, store, since, pool, &items, revision)
           == NGX_OK)
    {
        rc = NGX_DECLINED;
        item = items.elts;

        for (i = 0; i < items.nelts && rc == NGX_DECLINED; i++) {
            if (part->owns(&item[i]) || ngx_mesh_part_owned(&item[i])) {
                rc = NGX_OK;
            }
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* whose a service was that is gone, or another one's, cannot be told */

static ngx_uint_t
ngx_mesh_part_owned(ngx_mesh_store_item_t *item)
{
    return (item->type == NGX_MESH_ITEM_SERVICE
            && (item->removed || item->modified != item->created))
           || (item->type == NGX_MESH_ITEM_ROUTE && item->removed);
}


ngx_uint_t
ngx_mesh_part_restore(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    ngx_mesh_store_item_t *items, ngx_uint_t n, uint64_t fresh,
    uint64_t expect, ngx_uint_t dry, ngx_mesh_store_result_t *result,
    ngx_log_t *log)
{
    ngx_uint_t   rc, tries;
    ngx_pool_t  *pool;

    rc = NGX_MESH_STORE_CONFLICT;

    if (fresh && !dry) {
        ngx_mesh_store_raise(store, fresh);
    }

    for (tries = 0;
         rc == NGX_MESH_STORE_CONFLICT
         && tries < (expect ? 1 : NGX_MESH_PART_TRIES);
         tries++)
    {
        pool = ngx_create_pool(16384, log);
        if (pool == NULL) {
            return NGX_MESH_STORE_NOMEM;
        }

        rc = ngx_mesh_part_once(part, store, items, n, fresh, expect, dry,
                                result, pool, log);
        ngx_destroy_pool(pool);
    }

    return rc;
}


static ngx_uint_t
ngx_mesh_part_once(ngx_mesh_part_t *part, ngx_mesh_store_t *store,
    ngx_mesh_store_item_t *items, ngx_uint_t n, uint64_t fresh,
    uint64_t expect, ngx_uint_t dry, ngx_mesh_store_result_t *result,
    ngx_pool_t *pool, ngx_log_t *log)
{
    uint64_t                 revision;
    ngx_int_t                order;
    ngx_uint_t               i, k;
    ngx_array_t              there, ops;
    ngx_mesh_store_op_t     *op;
    ngx_mesh_store_item_t   *item, *here, *want, **wanted;

    wanted = ngx_mesh_part_sort(items, n, pool);

    if (wanted == NULL
        || ngx_array_init(&ops, pool, n + 16, sizeof(ngx_mesh_store_op_t))
           != NGX_OK
        || ngx_mesh_part_select(part, store, 0, pool, &there, &revision)
           != NGX_OK)
    {
        return NGX_MESH_STORE_NOMEM;
    }

    if (expect && expect != revision) {
        return NGX_MESH_STORE_CONFLICT;
    }

    item = there.elts;

    /* both are in the order of the store: one walk along both */

    for (i = 0, k = 0; i < there.nelts || k < n; /* void */ ) {

        want = k < n ? wanted[k] : NULL;
        here = i < there.nelts ? &item[i] : NULL;

        order = (want == NULL) ? -1
                : (here == NULL) ? 1
                : ngx_mesh_part_order(&here, &want);

        i += (order <= 0);
        k += (order >= 0);

        if (order <= 0 && !part->owns(here)
            && (order < 0 || !part->takes(here)))
        {
            continue;
        }

        op = ngx_array_push(&ops);
        if (op == NULL) {
            return NGX_MESH_STORE_NOMEM;
        }

        ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

        if (order < 0) {
            if (ngx_mesh_part_remove(part, here, &there, op, pool) != NGX_OK) {
                return NGX_MESH_STORE_NOMEM;
            }

            continue;
        }

        op->type = want->type;
        op->key = want->key;
        op->value = want->value;

        op->created = want->created;

        if (fresh) {
            op->modified = want->modified;
        }
    }

    return ngx_mesh_store_commit(store, ops.elts, ops.nelts, revision, dry,
                                 result, log);
}


/* a service in which others have endpoints is left to the first of them */

static ngx_int_t
ngx_mesh_part_remove(ngx_mesh_part_t *part, ngx_mesh_store_item_t *item,
    ngx_array_t *there, ngx_mesh_store_op_t *op, ngx_pool_t *pool)
{
    ngx_str_t               key, id, owner;
    ngx_uint_t              low, high, middle;
    ngx_mesh_store_item_t  *inside;

    op->type = item->type;
    op->key = item->key;
    op->remove = 1;

    if (item->type != NGX_MESH_ITEM_SERVICE) {
        return NGX_OK;
    }

    inside = there->elts;
    low = 0;
    high = there->nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (ngx_mesh_store_order(inside[middle].type, &inside[middle].key,
                                 NGX_MESH_ITEM_ENDPOINT, &item->key)
            < 0)
        {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    for ( /* void */ ;
         low < there->nelts
         && inside[low].type == NGX_MESH_ITEM_ENDPOINT
         && ngx_mesh_item_split(&inside[low].key, &key, &id, &owner) == NGX_OK
         && ngx_mesh_equal(&key, &item->key);
         low++)
    {
        if (!part->owns(&inside[low])) {
            return ngx_mesh_item_leave_service(op, item, &owner, pool);
        }
    }

    return NGX_OK;
}


static ngx_mesh_store_item_t **
ngx_mesh_part_sort(ngx_mesh_store_item_t *items, ngx_uint_t n,
    ngx_pool_t *pool)
{
    ngx_uint_t               i;
    ngx_mesh_store_item_t  **sorted;

    sorted = ngx_palloc(pool, (n + 1) * sizeof(ngx_mesh_store_item_t *));
    if (sorted == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        sorted[i] = &items[i];
    }

    ngx_qsort(sorted, n, sizeof(ngx_mesh_store_item_t *),
              ngx_mesh_part_order);

    return sorted;
}


static int ngx_libc_cdecl
ngx_mesh_part_order(const void *one, const void *two)
{
    ngx_mesh_store_item_t  *a, *b;

    a = *(ngx_mesh_store_item_t **) one;
    b = *(ngx_mesh_store_item_t **) two;

    return (int) ngx_mesh_store_order(a->type, &a->key, b->type, &b->key);
}
