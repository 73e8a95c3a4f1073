
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


/* routes in shared memory, and the set that a worker makes of them */


/* ms after which a set that there was no memory for is tried again */

#define NGX_MESH_LIVE_RULES_AGAIN  1000


static ngx_int_t ngx_mesh_live_rules_read(ngx_mesh_store_t *store,
    uint64_t since, uint64_t *revision, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_live_rules_make(ngx_array_t *items, uint64_t since,
    ngx_pool_t *pool);


static ngx_mesh_rules_t  *ngx_mesh_live_set;
static uint64_t           ngx_mesh_live_rules_checked;
static uint64_t           ngx_mesh_live_rules_epoch;
static ngx_uint_t         ngx_mesh_live_rules_failed;
static ngx_msec_t         ngx_mesh_live_rules_tried;


ngx_int_t
ngx_mesh_item_put_route(ngx_mesh_store_op_t *op, ngx_mesh_rule_t *rule,
    ngx_pool_t *pool)
{
    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    op->type = NGX_MESH_ITEM_ROUTE;
    op->key = rule->name;
    op->value.len = ngx_mesh_rule_size(rule);
    op->value.data = ngx_pnalloc(pool, op->value.len);

    if (op->value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_rule_write(op->value.data, rule);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_item_route_read(ngx_mesh_store_item_t *item, ngx_mesh_rule_t *rule,
    ngx_pool_t *pool)
{
    ngx_int_t  rc;

    rc = ngx_mesh_rule_read(&item->value, rule, pool);

    if (rc == NGX_OK
        && !ngx_mesh_equal(&rule->owner, &ngx_mesh_owner_config))
    {
        rule->order = item->created;
    }

    return rc;
}


ngx_int_t
ngx_mesh_live_rules(ngx_mesh_rules_t **set)
{
    uint64_t           revision;
    ngx_int_t          rc;
    ngx_pool_t        *pool;
    ngx_mesh_store_t  *store;

    store = ngx_mesh_live();

    if (ngx_mesh_live_rules_epoch != ngx_mesh_store_epoch(store)) {
        ngx_mesh_live_rules_epoch = ngx_mesh_store_epoch(store);
        ngx_mesh_live_rules_checked = 0;
    }

    *set = ngx_mesh_live_set;

    if (ngx_mesh_live_rules_checked == ngx_mesh_store_revision(store)) {
        return NGX_OK;
    }

    /* to try takes time, which calls need */

    if (ngx_mesh_live_rules_failed
        && ngx_current_msec - ngx_mesh_live_rules_tried
           < NGX_MESH_LIVE_RULES_AGAIN)
    {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    pool = ngx_create_pool(16384, ngx_cycle->log);

    if (pool) {
        rc = ngx_mesh_live_rules_read(store, ngx_mesh_live_rules_checked,
                                      &revision, pool);
        ngx_destroy_pool(pool);
    }

    ngx_mesh_live_rules_failed = (rc != NGX_OK);

    if (rc != NGX_OK) {
        ngx_mesh_live_rules_tried = ngx_current_msec;
        return NGX_ERROR;
    }

    ngx_mesh_live_rules_checked = revision;
    *set = ngx_mesh_live_set;

    return NGX_OK;
}


/* what has changed since then, or everything where that is forgotten */

static ngx_int_t
ngx_mesh_live_rules_read(ngx_mesh_store_t *store, uint64_t since,
    uint64_t *revision, ngx_pool_t *pool)
{
    ngx_array_t  items;

    for ( ;; ) {

        if (ngx_array_init(&items, pool, 64, sizeof(ngx_mesh_store_item_t))
            != NGX_OK
            || ngx_mesh_store_list(store, NGX_MESH_ITEM_ROUTE, NULL, NULL,
                                   since, 0, pool, &items, revision)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (since == 0 || since >= ngx_mesh_store_floor(store)) {
            return ngx_mesh_live_rules_make(&items, since, pool);
        }

        since = 0;
    }
}


static ngx_int_t
ngx_mesh_live_rules_make(ngx_array_t *items, uint64_t since, ngx_pool_t *pool)
{
    ngx_int_t               rc;
    ngx_str_t              *gone;
    ngx_uint_t              i, n;
    ngx_mesh_rule_t        *rules;
    ngx_mesh_rules_t       *set, *old;
    ngx_mesh_store_item_t  *item;

    if (since && items->nelts == 0) {
        return NGX_OK;
    }

    item = items->elts;

    gone = ngx_palloc(pool, (items->nelts + 1) * sizeof(ngx_str_t));
    rules = ngx_palloc(pool, (items->nelts + 1) * sizeof(ngx_mesh_rule_t));

    if (gone == NULL || rules == NULL) {
        return NGX_ERROR;
    }

    for (i = 0, n = 0; i < items->nelts; i++) {
        gone[i] = item[i].key;

        if (item[i].removed) {
            continue;
        }

        rc = ngx_mesh_item_route_read(&item[i], &rules[n], pool);

        if (rc == NGX_OK) {
            n++;
            continue;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "route \"%V\" in the mesh zone is damaged",
                      &item[i].key);
    }

    old = ngx_mesh_live_set;

    set = ngx_mesh_rules_change(since ? old : NULL, gone, items->nelts, rules,
                                n, ngx_cycle->log);
    if (set == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_live_set = set;

    if (old) {
        ngx_mesh_rules_release(old);
    }

    return NGX_OK;
}
