
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


/* routes in shared memory, and the set that a worker makes of them */


static ngx_mesh_rules_t *ngx_mesh_live_rules_make(ngx_array_t *items,
    ngx_pool_t *pool);


static ngx_mesh_rules_t        *ngx_mesh_live_set;
static ngx_mesh_store_known_t   ngx_mesh_live_rules_known;
static uint64_t                 ngx_mesh_live_rules_checked;
static uint64_t                 ngx_mesh_live_rules_epoch;


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
        && !ngx_mesh_table_equal(&rule->owner, &ngx_mesh_owner_config))
    {
        rule->order = item->created;
    }

    return rc;
}


ngx_mesh_rules_t *
ngx_mesh_live_rules(void)
{
    uint64_t                 revision;
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    ngx_array_t              items;
    ngx_mesh_rules_t        *set;
    ngx_mesh_store_t        *store;
    ngx_mesh_store_known_t   known;
    ngx_mesh_store_query_t   query;

    store = ngx_mesh_live();

    if (ngx_mesh_live_rules_epoch != ngx_mesh_store_epoch(store)) {
        ngx_mesh_live_rules_epoch = ngx_mesh_store_epoch(store);
        ngx_mesh_live_rules_checked = 0;
        ngx_mesh_live_rules_known.modified = (uint64_t) -1;
    }

    if (ngx_mesh_live_rules_checked == ngx_mesh_store_revision(store)) {
        return ngx_mesh_live_set;
    }

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return ngx_mesh_live_set;
    }

    ngx_memzero(&query, sizeof(ngx_mesh_store_query_t));

    query.type = NGX_MESH_ITEM_ROUTE;
    query.items = &items;
    known = ngx_mesh_live_rules_known;

    rc = ngx_array_init(&items, pool, 64, sizeof(ngx_mesh_store_item_t));

    if (rc == NGX_OK) {
        rc = ngx_mesh_store_select(store, &query, 1, &known, pool, &revision);
    }

    set = NULL;

    if (rc == NGX_OK && items.nelts) {
        set = ngx_mesh_live_rules_make(&items, pool);

        if (set == NULL) {
            rc = NGX_ERROR;
        }
    }

    ngx_destroy_pool(pool);

    /* without memory the old ones stay in force, until it is tried again */

    if (rc == NGX_ERROR) {
        return ngx_mesh_live_set;
    }

    ngx_mesh_live_rules_checked = revision;

    if (rc == NGX_OK) {
        ngx_mesh_live_rules_known = known;

        if (ngx_mesh_live_set) {
            ngx_mesh_rules_release(ngx_mesh_live_set);
        }

        ngx_mesh_live_set = set;
    }

    return ngx_mesh_live_set;
}


static ngx_mesh_rules_t *
ngx_mesh_live_rules_make(ngx_array_t *items, ngx_pool_t *pool)
{
    ngx_int_t               rc;
    ngx_uint_t              i, n;
    ngx_mesh_rule_t        *rules;
    ngx_mesh_store_item_t  *item;

    item = items->elts;

    rules = ngx_palloc(pool, items->nelts * sizeof(ngx_mesh_rule_t));
    if (rules == NULL) {
        return NULL;
    }

    for (i = 0, n = 0; i < items->nelts; i++) {

        rc = ngx_mesh_item_route_read(&item[i], &rules[n], pool);

        if (rc == NGX_OK) {
            n++;
            continue;
        }

        if (rc == NGX_ERROR) {
            return NULL;
        }

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "route \"%V\" in the mesh zone is damaged",
                      &item[i].key);
    }

    return ngx_mesh_rules_create(rules, n, ngx_cycle->log);
}
