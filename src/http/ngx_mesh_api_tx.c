
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"


/*
 * A transaction remembers what it read, and a commit demands that this is
 * still so: nothing is checked at one time and done at another.
 */


static void ngx_mesh_api_tx_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_mesh_api_tx_change(ngx_mesh_api_tx_t *tx,
    ngx_uint_t type, ngx_str_t *key, ngx_mesh_api_change_t **change);
static ngx_mesh_api_change_t *ngx_mesh_api_tx_add(ngx_mesh_api_tx_t *tx,
    ngx_uint_t type, ngx_str_t *key, ngx_mesh_store_item_t *before);
static ngx_int_t ngx_mesh_api_tx_read(ngx_mesh_api_tx_t *tx, ngx_uint_t type,
    ngx_str_t *prefix);
static ngx_rbtree_node_t *ngx_mesh_api_tx_first(ngx_mesh_api_tx_t *tx,
    ngx_uint_t type, ngx_str_t *key);
static void ngx_mesh_api_tx_item(ngx_mesh_api_change_t *change,
    ngx_mesh_store_item_t *item);
static ngx_uint_t ngx_mesh_api_tx_begins(ngx_str_t *key, ngx_str_t *prefix);


void
ngx_mesh_api_tx_init(ngx_mesh_api_tx_t *tx, ngx_mesh_store_t *store,
    ngx_pool_t *pool)
{
    ngx_memzero(tx, sizeof(ngx_mesh_api_tx_t));

    tx->store = store;
    tx->pool = pool;

    ngx_queue_init(&tx->changes);
    ngx_rbtree_init(&tx->tree, &tx->sentinel, ngx_mesh_api_tx_insert);
}


static void
ngx_mesh_api_tx_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t      **p;
    ngx_mesh_api_change_t   *c, *at;

    c = (ngx_mesh_api_change_t *) node;

    for ( ;; ) {
        at = (ngx_mesh_api_change_t *) temp;

        p = ngx_mesh_store_order(c->op.type, &c->op.key, at->op.type,
                                 &at->op.key)
            < 0 ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


ngx_int_t
ngx_mesh_api_tx_get(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *key,
    ngx_mesh_store_item_t *item)
{
    ngx_int_t               rc;
    ngx_mesh_api_change_t  *change;

    rc = ngx_mesh_api_tx_change(tx, type, key, &change);

    if (rc != NGX_OK) {
        return rc;
    }

    if (change->missing) {
        return NGX_DECLINED;
    }

    ngx_mesh_api_tx_item(change, item);

    return NGX_OK;
}


/* what a later operation of the transaction sees */

static void
ngx_mesh_api_tx_item(ngx_mesh_api_change_t *change,
    ngx_mesh_store_item_t *item)
{
    ngx_memzero(item, sizeof(ngx_mesh_store_item_t));

    if (change->existed) {
        *item = change->before;
    }

    item->type = change->op.type;
    item->key = change->op.key;

    if (change->written) {
        item->value = change->op.value;
    }
}


static ngx_int_t
ngx_mesh_api_tx_change(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *key,
    ngx_mesh_api_change_t **change)
{
    ngx_int_t              rc;
    ngx_mesh_store_item_t  item;

    *change = ngx_mesh_api_tx_find(tx, type, key);

    if (*change) {
        return NGX_OK;
    }

    rc = ngx_mesh_store_get(tx->store, type, key, 0, tx->pool, &item);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    *change = ngx_mesh_api_tx_add(tx, type, key, rc == NGX_OK ? &item : NULL);

    return *change ? NGX_OK : NGX_ERROR;
}


ngx_mesh_api_change_t *
ngx_mesh_api_tx_find(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *key)
{
    ngx_rbtree_node_t      *node;
    ngx_mesh_api_change_t  *change;

    node = ngx_mesh_api_tx_first(tx, type, key);
    change = (ngx_mesh_api_change_t *) node;

    return (node && change->op.type == type
            && ngx_mesh_equal(&change->op.key, key)) ? change : NULL;
}


/* the first whose key is not before this one */

static ngx_rbtree_node_t *
ngx_mesh_api_tx_first(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *key)
{
    ngx_rbtree_node_t      *node, *first;
    ngx_mesh_api_change_t  *change;

    first = NULL;

    for (node = tx->tree.root; node != &tx->sentinel; /* void */ ) {

        change = (ngx_mesh_api_change_t *) node;

        if (ngx_mesh_store_order(change->op.type, &change->op.key, type, key)
            < 0)
        {
            node = node->right;

        } else {
            first = node;
            node = node->left;
        }
    }

    return first;
}


static ngx_mesh_api_change_t *
ngx_mesh_api_tx_add(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *key,
    ngx_mesh_store_item_t *before)
{
    ngx_mesh_api_change_t  *change;

    change = ngx_pcalloc(tx->pool, sizeof(ngx_mesh_api_change_t));
    if (change == NULL) {
        return NULL;
    }

    change->op.type = type;
    change->op.key = *key;

    if (before) {
        change->before = *before;
        change->existed = 1;
        change->op.key = before->key;
        change->op.value = before->value;
        change->op.expect = before->modified;

    } else {
        change->missing = 1;
        change->op.create = 1;
        change->op.remove = 1;
    }

    ngx_rbtree_insert(&tx->tree, &change->node);
    ngx_queue_insert_tail(&tx->changes, &change->queue);
    tx->nchanges++;

    return change;
}


static ngx_uint_t
ngx_mesh_api_tx_begins(ngx_str_t *key, ngx_str_t *prefix)
{
    return key->len >= prefix->len
           && ngx_memcmp(key->data, prefix->data, prefix->len) == 0;
}


/* by order of keys, however many others the transaction has */

ngx_int_t
ngx_mesh_api_tx_list(ngx_mesh_api_tx_t *tx, ngx_uint_t type,
    ngx_str_t *prefix, ngx_array_t *items)
{
    ngx_int_t               rc;
    ngx_rbtree_node_t      *node;
    ngx_mesh_store_item_t  *item;
    ngx_mesh_api_change_t  *change;

    if (!(tx->whole & ((ngx_uint_t) 1 << type))) {
        rc = ngx_mesh_api_tx_read(tx, type, prefix);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (node = ngx_mesh_api_tx_first(tx, type, prefix);
         node;
         node = ngx_rbtree_next(&tx->tree, node))
    {
        change = (ngx_mesh_api_change_t *) node;

        if (change->op.type != type
            || !ngx_mesh_api_tx_begins(&change->op.key, prefix))
        {
            break;
        }

        if (change->missing) {
            continue;
        }

        item = ngx_array_push(items);
        if (item == NULL) {
            return NGX_ERROR;
        }

        ngx_mesh_api_tx_item(change, item);
    }

    return NGX_OK;
}


/* what is not known of them yet */

static ngx_int_t
ngx_mesh_api_tx_read(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *prefix)
{
    uint64_t                revision;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *item;

    if (ngx_array_init(&items, tx->pool, 16, sizeof(ngx_mesh_store_item_t))
        != NGX_OK
        || ngx_mesh_store_list(tx->store, type, NULL, prefix, 0, 0, tx->pool,
                               &items, &revision)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (tx->expect && tx->expect != revision) {
        return NGX_AGAIN;
    }

    tx->expect = revision;

    item = items.elts;

    for (i = 0; i < items.nelts; i++) {

        if (ngx_mesh_api_tx_find(tx, type, &item[i].key) == NULL
            && ngx_mesh_api_tx_add(tx, type, &item[i].key, &item[i]) == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (prefix->len == 0) {
        tx->whole |= (ngx_uint_t) 1 << type;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_tx_put(ngx_mesh_api_tx_t *tx, ngx_mesh_store_op_t *op)
{
    ngx_int_t               rc;
    ngx_mesh_api_change_t  *change;

    rc = ngx_mesh_api_tx_change(tx, op->type, &op->key, &change);

    if (rc != NGX_OK) {
        return rc;
    }

    if (op->remove) {
        change->op.remove = 1;
        change->missing = 1;
        ngx_str_null(&change->op.value);

    } else {
        change->op.remove = 0;
        change->missing = 0;
        change->op.value = op->value;
    }

    change->written = 1;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_tx_remove(ngx_mesh_api_tx_t *tx, ngx_uint_t type, ngx_str_t *key)
{
    ngx_mesh_store_op_t  op;

    ngx_memzero(&op, sizeof(ngx_mesh_store_op_t));

    op.type = type;
    op.key = *key;
    op.remove = 1;

    return ngx_mesh_api_tx_put(tx, &op);
}


ngx_uint_t
ngx_mesh_api_tx_commit(ngx_mesh_api_tx_t *tx, uint64_t expect, ngx_uint_t dry,
    ngx_log_t *log)
{
    ngx_uint_t              i, rc;
    ngx_queue_t            *q;
    ngx_mesh_store_op_t    *ops;
    ngx_mesh_api_change_t  *change;

    if (expect && tx->expect && expect != tx->expect) {
        return NGX_MESH_STORE_CONFLICT;
    }

    ops = ngx_palloc(tx->pool,
                     (tx->nchanges + 1) * sizeof(ngx_mesh_store_op_t));
    if (ops == NULL) {
        return NGX_MESH_STORE_NOMEM;
    }

    for (i = 0, q = ngx_queue_head(&tx->changes);
         i < tx->nchanges;
         i++, q = ngx_queue_next(q))
    {
        change = ngx_queue_data(q, ngx_mesh_api_change_t, queue);
        ops[i] = change->op;
    }

    rc = ngx_mesh_live_commit(ops, tx->nchanges, expect ? expect : tx->expect,
                              dry, &tx->result, log);

    for (i = 0, q = ngx_queue_head(&tx->changes);
         i < tx->nchanges;
         i++, q = ngx_queue_next(q))
    {
        change = ngx_queue_data(q, ngx_mesh_api_change_t, queue);
        change->op.changed = ops[i].changed;
        change->op.revision = ops[i].revision;
    }

    return rc;
}


ngx_int_t
ngx_mesh_api_tx_diff(ngx_mesh_api_tx_t *tx, ngx_mesh_json_t *json)
{
    ngx_queue_t            *q;
    ngx_mesh_store_item_t   item;
    ngx_mesh_api_change_t  *change;

    ngx_mesh_json_open(json, '[');

    for (q = ngx_queue_head(&tx->changes);
         q != ngx_queue_sentinel(&tx->changes);
         q = ngx_queue_next(q))
    {
        change = ngx_queue_data(q, ngx_mesh_api_change_t, queue);

        if (!change->written || !change->op.changed) {
            continue;
        }

        ngx_mesh_api_tx_item(change, &item);

        if (ngx_mesh_api_show_change(json,
                                     change->existed ? &change->before : NULL,
                                     change->missing ? NULL : &item, tx->pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_mesh_json_close(json, ']');

    return NGX_OK;
}
