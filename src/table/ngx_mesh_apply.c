
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


/*
 * A configuration into the store: what is of owner "config" there becomes
 * what the configuration says, and nothing else changes, but that a service
 * is the configuration's as soon as it names it.
 */


/* others may write meanwhile */

#define NGX_MESH_APPLY_TRIES  64

/* services, endpoints, overrides, routes */
#define NGX_MESH_APPLY_TYPES  4


typedef struct {
    ngx_mesh_table_t       *table;
    ngx_pool_t             *pool;
    ngx_array_t             ops;           /* ngx_mesh_store_op_t */
    ngx_mesh_store_op_t   **sorted;        /* those of the configuration */
    ngx_uint_t              nsorted;
    uint64_t                revision;      /* they are about */
} ngx_mesh_apply_t;


static ngx_uint_t ngx_mesh_apply_once(ngx_mesh_store_t *store,
    ngx_mesh_apply_t *apply, ngx_uint_t dry, ngx_mesh_store_result_t *result,
    ngx_log_t *log);
static ngx_int_t ngx_mesh_apply_services(ngx_mesh_apply_t *apply);
static ngx_int_t ngx_mesh_apply_routes(ngx_mesh_apply_t *apply);
static ngx_int_t ngx_mesh_apply_sort(ngx_mesh_apply_t *apply);
static ngx_uint_t ngx_mesh_apply_has(ngx_mesh_apply_t *apply,
    ngx_mesh_store_item_t *item);
static ngx_int_t ngx_mesh_apply_removals(ngx_mesh_store_t *store,
    ngx_mesh_apply_t *apply);
static ngx_int_t ngx_mesh_apply_gone(ngx_mesh_apply_t *apply,
    ngx_mesh_store_item_t *item, ngx_array_t *items);
static ngx_uint_t ngx_mesh_apply_first(ngx_array_t *items, ngx_str_t *key);
static ngx_int_t ngx_mesh_apply_remove(ngx_mesh_apply_t *apply,
    ngx_mesh_store_item_t *item);


ngx_int_t
ngx_mesh_apply(ngx_mesh_store_t *store, ngx_mesh_table_t *table,
    ngx_uint_t dry, ngx_log_t *log)
{
    ngx_uint_t                rc, tries;
    ngx_mesh_apply_t          apply;
    ngx_mesh_store_result_t   result;

    rc = NGX_MESH_STORE_CONFLICT;
    apply.table = table;

    for (tries = 0;
         rc == NGX_MESH_STORE_CONFLICT && tries < NGX_MESH_APPLY_TRIES;
         tries++)
    {
        apply.pool = ngx_create_pool(4096, log);
        if (apply.pool == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_apply_once(store, &apply, dry, &result, log);

        ngx_destroy_pool(apply.pool);
    }

    switch (rc) {

    case NGX_MESH_STORE_OK:
    case NGX_MESH_STORE_SAME:
        return NGX_OK;

    case NGX_MESH_STORE_FULL:
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the services of the configuration need %uzk of the "
                      "mesh zone, %uzk are free, %uzk of them in one piece: "
                      "enlarge the zone", result.needed / 1024 + 1,
                      result.free / 1024, result.largest / 1024);
        return NGX_ERROR;

    default:
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "the services of the configuration cannot be stored");
        return NGX_ERROR;
    }
}


static ngx_uint_t
ngx_mesh_apply_once(ngx_mesh_store_t *store, ngx_mesh_apply_t *apply,
    ngx_uint_t dry, ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    if (ngx_array_init(&apply->ops, apply->pool, 64,
                       sizeof(ngx_mesh_store_op_t))
        != NGX_OK
        || ngx_mesh_apply_services(apply) != NGX_OK
        || ngx_mesh_apply_routes(apply) != NGX_OK
        || ngx_mesh_apply_sort(apply) != NGX_OK
        || ngx_mesh_apply_removals(store, apply) != NGX_OK)
    {
        return NGX_MESH_STORE_NOMEM;
    }

    return ngx_mesh_store_commit(store, apply->ops.elts, apply->ops.nelts,
                                 apply->revision, dry, result, log);
}


static ngx_int_t
ngx_mesh_apply_services(ngx_mesh_apply_t *apply)
{
    void                 *iterator;
    ngx_uint_t            i;
    ngx_mesh_service_t   *service;
    ngx_mesh_endpoint_t   ep;
    ngx_mesh_store_op_t  *op;

    iterator = NULL;

    while ((service = ngx_mesh_table_next(apply->table, &iterator)) != NULL) {

        service->owner = ngx_mesh_owner_config;

        op = ngx_array_push(&apply->ops);

        if (op == NULL
            || ngx_mesh_item_put_service(op, service, apply->pool) != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (i = 0; i < service->nendpoints; i++) {

            ep = service->endpoints[i];
            ep.id = ep.name;
            ep.owner = ngx_mesh_owner_config;

            op = ngx_array_push(&apply->ops);

            if (op == NULL
                || ngx_mesh_item_put_endpoint(op, service, &ep, apply->pool)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_apply_routes(ngx_mesh_apply_t *apply)
{
    ngx_uint_t            i, n;
    ngx_mesh_rule_t     **rules;
    ngx_mesh_store_op_t  *op;

    n = ngx_mesh_table_rules(apply->table, &rules);

    for (i = 0; i < n; i++) {
        op = ngx_array_push(&apply->ops);

        if (op == NULL
            || ngx_mesh_item_put_route(op, rules[i], apply->pool) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* pointers into a copy: the array of ops will grow */

static ngx_int_t
ngx_mesh_apply_sort(ngx_mesh_apply_t *apply)
{
    ngx_uint_t            i;
    ngx_mesh_store_op_t  *ops;

    apply->nsorted = apply->ops.nelts;

    ops = ngx_palloc(apply->pool,
                     (apply->nsorted + 1) * sizeof(ngx_mesh_store_op_t));
    apply->sorted = ngx_palloc(apply->pool, (apply->nsorted + 1)
                                            * sizeof(ngx_mesh_store_op_t *));
    if (ops == NULL || apply->sorted == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ops, apply->ops.elts,
               apply->nsorted * sizeof(ngx_mesh_store_op_t));

    for (i = 0; i < apply->nsorted; i++) {
        apply->sorted[i] = &ops[i];
    }

    ngx_qsort(apply->sorted, (size_t) apply->nsorted,
              sizeof(ngx_mesh_store_op_t *), ngx_mesh_store_op_order);

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_apply_has(ngx_mesh_apply_t *apply, ngx_mesh_store_item_t *item)
{
    ngx_int_t   rc;
    ngx_uint_t  low, high, middle;

    low = 0;
    high = apply->nsorted;

    while (low < high) {
        middle = low + (high - low) / 2;

        rc = ngx_mesh_store_order(apply->sorted[middle]->type,
                                  &apply->sorted[middle]->key, item->type,
                                  &item->key);
        if (rc == 0) {
            return 1;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return 0;
}


/* what an earlier configuration had and this one has not */

static ngx_int_t
ngx_mesh_apply_removals(ngx_mesh_store_t *store, ngx_mesh_apply_t *apply)
{
    ngx_str_t                key, id, owner;
    ngx_uint_t               i;
    ngx_array_t              items[NGX_MESH_APPLY_TYPES];
    ngx_mesh_rule_t          rule;
    ngx_mesh_service_t       service;
    ngx_mesh_store_item_t   *item;
    ngx_mesh_store_query_t   queries[NGX_MESH_APPLY_TYPES];

    ngx_memzero(queries, sizeof(queries));

    for (i = 0; i < NGX_MESH_APPLY_TYPES; i++) {
        queries[i].type = NGX_MESH_ITEM_SERVICE + i;
        queries[i].items = &items[i];

        if (ngx_array_init(&items[i], apply->pool, 64,
                           sizeof(ngx_mesh_store_item_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_mesh_store_select(store, queries, NGX_MESH_APPLY_TYPES, NULL,
                              apply->pool, &apply->revision)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = items[1].elts;

    for (i = 0; i < items[1].nelts; i++) {

        if (ngx_mesh_item_split(&item[i].key, &key, &id, &owner) == NGX_OK
            && ngx_mesh_equal(&owner, &ngx_mesh_owner_config)
            && !ngx_mesh_apply_has(apply, &item[i])
            && ngx_mesh_apply_remove(apply, &item[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    item = items[0].elts;

    for (i = 0; i < items[0].nelts; i++) {

        if (ngx_mesh_item_service_read(&item[i], &service) == NGX_OK
            && ngx_mesh_equal(&service.owner, &ngx_mesh_owner_config)
            && !ngx_mesh_apply_has(apply, &item[i])
            && ngx_mesh_apply_gone(apply, &item[i], items) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    item = items[3].elts;

    for (i = 0; i < items[3].nelts; i++) {

        if (ngx_mesh_item_route_read(&item[i], &rule, apply->pool) == NGX_OK
            && ngx_mesh_equal(&rule.owner, &ngx_mesh_owner_config)
            && !ngx_mesh_apply_has(apply, &item[i])
            && ngx_mesh_apply_remove(apply, &item[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a service with endpoints of others is left to the first of them */

static ngx_int_t
ngx_mesh_apply_gone(ngx_mesh_apply_t *apply, ngx_mesh_store_item_t *item,
    ngx_array_t *items)
{
    ngx_str_t               key, id, owner;
    ngx_uint_t              i;
    ngx_mesh_store_op_t    *op;
    ngx_mesh_store_item_t  *inside;

    inside = items[1].elts;

    for (i = ngx_mesh_apply_first(&items[1], &item->key);
         i < items[1].nelts;
         i++)
    {
        if (ngx_mesh_item_split(&inside[i].key, &key, &id, &owner) != NGX_OK
            || !ngx_mesh_equal(&key, &item->key))
        {
            break;
        }

        if (!ngx_mesh_equal(&owner, &ngx_mesh_owner_config)) {
            op = ngx_array_push(&apply->ops);
            if (op == NULL) {
                return NGX_ERROR;
            }

            return ngx_mesh_item_leave_service(op, item, &owner, apply->pool);
        }
    }

    inside = items[2].elts;

    for (i = ngx_mesh_apply_first(&items[2], &item->key);
         i < items[2].nelts;
         i++)
    {
        if (ngx_mesh_item_split(&inside[i].key, &key, &id, &owner) != NGX_OK
            || !ngx_mesh_equal(&key, &item->key))
        {
            break;
        }

        if (ngx_mesh_apply_remove(apply, &inside[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_mesh_apply_remove(apply, item);
}


/* the first item that may be inside of a service */

static ngx_uint_t
ngx_mesh_apply_first(ngx_array_t *items, ngx_str_t *key)
{
    ngx_uint_t              low, high, middle;
    ngx_mesh_store_item_t  *item;

    item = items->elts;
    low = 0;
    high = items->nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (ngx_memn2cmp(item[middle].key.data, key->data,
                         item[middle].key.len, key->len)
            < 0)
        {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


static ngx_int_t
ngx_mesh_apply_remove(ngx_mesh_apply_t *apply, ngx_mesh_store_item_t *item)
{
    ngx_mesh_store_op_t  *op;

    op = ngx_array_push(&apply->ops);
    if (op == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    op->type = item->type;
    op->key = item->key;
    op->remove = 1;

    return NGX_OK;
}
