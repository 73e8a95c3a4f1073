
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_operator.h"


/*
 * {"items": [{"path", "spec"}]}: all that was made through the API, as what
 * PUT of each path takes.  Items are in the order in which they can be made.
 */


#define NGX_MESH_API_SNAPSHOT_STEP  64


typedef struct {
    ngx_array_t              items;          /* ngx_mesh_store_item_t */
    ngx_uint_t               next;
} ngx_mesh_api_export_t;


static ngx_int_t ngx_mesh_api_snapshot_get(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_snapshot_more(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_snapshot_one(ngx_mesh_api_call_t *call,
    ngx_mesh_api_call_t *sub, cJSON *value, ngx_mesh_api_at_t *at);
static ngx_int_t ngx_mesh_api_snapshot_call(ngx_mesh_api_call_t *call,
    ngx_mesh_api_call_t *sub, ngx_str_t *path, cJSON *spec);
static ngx_int_t ngx_mesh_api_snapshot_prune(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_snapshot_forget(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item);
static ngx_int_t ngx_mesh_api_snapshot_leave(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item);


ngx_mesh_api_op_t  ngx_mesh_api_snapshot_ops[] = {

    { ngx_string("snapshot"), NGX_HTTP_GET, 0,
      ngx_mesh_api_snapshot_get,
      "All that was made through the API" },

    { ngx_string("snapshot"), NGX_HTTP_PUT,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_snapshot_put,
      "Makes all of a document, and with \"prune\" nothing else" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_int_t
ngx_mesh_api_snapshot_get(ngx_mesh_api_call_t *call)
{
    ngx_mesh_json_t        *json;
    ngx_mesh_api_export_t  *export;

    export = ngx_pcalloc(call->pool, sizeof(ngx_mesh_api_export_t));

    if (export == NULL
        || ngx_mesh_operator_items(call->store, call->pool, &export->items,
                                   &call->revision)
           != NGX_OK
        || ngx_mesh_api_etag(call, call->revision, 0, &call->etag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_show_table(call);
    ngx_mesh_json_key(json, "items");
    ngx_mesh_json_open(json, '[');

    call->data = export;
    call->more = ngx_mesh_api_snapshot_more;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_snapshot_more(ngx_mesh_api_call_t *call)
{
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_pool_t             *pool;
    ngx_mesh_store_item_t  *item;
    ngx_mesh_api_export_t  *export;

    export = call->data;
    item = export->items.elts;
    rc = NGX_OK;

    pool = ngx_create_pool(16384, call->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    for (n = 0;
         n < NGX_MESH_API_SNAPSHOT_STEP && export->next < export->items.nelts
         && rc == NGX_OK;
         n++)
    {
        rc = ngx_mesh_api_show_item(call->json, &item[export->next++], pool);
    }

    ngx_destroy_pool(pool);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (export->next < export->items.nelts) {
        return NGX_AGAIN;
    }

    ngx_mesh_json_close(call->json, ']');
    ngx_mesh_json_close(call->json, '}');

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_snapshot_put(ngx_mesh_api_call_t *call)
{
    cJSON                *items, *value;
    ngx_int_t             rc;
    ngx_uint_t            prune;
    ngx_mesh_api_at_t     list, at;
    ngx_mesh_api_call_t   sub;

    rc = ngx_mesh_api_arg_flag(call, "prune", &prune);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_table_precondition(call);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    items = cJSON_GetObjectItemCaseSensitive(call->body, "items");

    list.up = NULL;
    list.name = "items";

    if (!cJSON_IsArray(items)) {
        return ngx_mesh_api_wrong(call, &list, "\"items\" must be a list");
    }

    at.up = NULL;

    cJSON_ArrayForEach(value, call->body) {
        at.name = value->string;

        /* an export says of when it is */

        if (value != items && ngx_strcmp(value->string, "epoch") != 0
            && ngx_strcmp(value->string, "revision") != 0)
        {
            return ngx_mesh_api_wrong(call, &at, "unknown field \"%s\"",
                                      value->string);
        }
    }

    at.up = &list;
    at.name = NULL;
    at.index = 0;

    cJSON_ArrayForEach(value, items) {
        rc = ngx_mesh_api_snapshot_one(call, &sub, value, &at);

        if (rc != NGX_OK) {
            return rc;
        }

        at.index++;
    }

    return prune ? ngx_mesh_api_snapshot_prune(call) : NGX_OK;
}


static ngx_int_t
ngx_mesh_api_snapshot_one(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub,
    cJSON *value, ngx_mesh_api_at_t *at)
{
    cJSON              *member, *spec;
    ngx_int_t           rc;
    ngx_str_t           path;
    ngx_mesh_api_at_t   inner;

    if (!cJSON_IsObject(value)) {
        return ngx_mesh_api_wrong(call, at, "an item must be an object");
    }

    inner.up = at;
    spec = NULL;
    ngx_str_null(&path);

    cJSON_ArrayForEach(member, value) {
        inner.name = member->string;

        if (ngx_strcmp(member->string, "spec") == 0) {
            spec = member;

        } else if (ngx_strcmp(member->string, "path") == 0
                   && cJSON_IsString(member))
        {
            ngx_mesh_json_str(member, &path);

        } else {
            return ngx_mesh_api_wrong(call, &inner, "an item has a \"path\", "
                                      "which is a string, and a \"spec\"");
        }
    }

    if (spec == NULL || path.data == NULL) {
        return ngx_mesh_api_wrong(call, at, "an item needs \"path\" and "
                                  "\"spec\"");
    }

    rc = ngx_mesh_api_snapshot_call(call, sub, &path, spec);

    return rc == NGX_DECLINED
           ? ngx_mesh_api_sub_failed(call, sub, "items", at->index, "spec")
           : rc;
}


/* what PUT of the path does, in the transaction of all */

static ngx_int_t
ngx_mesh_api_snapshot_call(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub,
    ngx_str_t *path, cJSON *spec)
{
    ngx_int_t  rc;

    ngx_mesh_api_sub(call, sub);

    sub->restore = 1;
    sub->method = NGX_HTTP_PUT;
    ngx_str_set(&sub->method_name, "PUT");
    sub->path = *path;
    sub->body = spec;

    rc = ngx_mesh_api_find(sub);

    if (rc == NGX_OK && (!(sub->op->flags & NGX_MESH_API_COMMIT)
                         || sub->op->handler == ngx_mesh_api_snapshot_put))
    {
        return ngx_mesh_api_fail(sub, NGX_HTTP_BAD_REQUEST, "NotInSnapshot",
                                 NULL, "there are no items of that path");
    }

    /* what has ended since the export does not hinder the rest */

    if (rc == NGX_OK && sub->op->handler == ngx_mesh_api_override_put
        && ngx_mesh_api_override_ended(spec))
    {
        return NGX_OK;
    }

    return rc == NGX_OK ? sub->op->handler(sub) : rc;
}


/* what is the operator's and was not written by this transaction */

static ngx_int_t
ngx_mesh_api_snapshot_prune(ngx_mesh_api_call_t *call)
{
    ngx_int_t               rc;
    ngx_str_t               prefix;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_api_type_t    *type;
    ngx_mesh_store_item_t  *item;

    ngx_str_set(&prefix, "");

    for (type = ngx_mesh_api_types; type->type; type++) {

        if (ngx_array_init(&items, call->tx->pool, 64,
                           sizeof(ngx_mesh_store_item_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = ngx_mesh_api_tx_list(call->tx, type->type, &prefix, &items);

        if (rc != NGX_OK) {
            return rc;
        }

        item = items.elts;

        for (i = 0; i < items.nelts; i++) {

            if (!ngx_mesh_operator_owns(&item[i])) {
                continue;
            }

            rc = ngx_mesh_api_snapshot_forget(call, &item[i]);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_snapshot_forget(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item)
{
    ngx_mesh_api_change_t  *change;

    change = ngx_mesh_api_tx_find(call->tx, item->type, &item->key);

    if (change && change->written) {
        return NGX_OK;
    }

    if (item->type == NGX_MESH_ITEM_SERVICE) {
        return ngx_mesh_api_snapshot_leave(call, item);
    }

    return ngx_mesh_api_tx_remove(call->tx, item->type, &item->key);
}


/*
 * A service that keeps endpoints stays; one with endpoints of others alone is
 * left to the first of them.
 */

static ngx_int_t
ngx_mesh_api_snapshot_leave(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item)
{
    ngx_int_t               rc;
    ngx_str_t               prefix, key, id, owner;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_service_t      service;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t  *ep;
    ngx_mesh_api_change_t  *change;

    if (ngx_mesh_item_service_read(item, &service) != NGX_OK
        || ngx_mesh_item_key(&prefix, &service, NULL, NULL, 1, call->tx->pool)
           != NGX_OK
        || ngx_array_init(&items, call->tx->pool, 4,
                          sizeof(ngx_mesh_store_item_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_list(call->tx, NGX_MESH_ITEM_ENDPOINT, &prefix,
                              &items);
    if (rc != NGX_OK) {
        return rc;
    }

    ep = items.elts;

    for (i = 0; i < items.nelts; i++) {

        change = ngx_mesh_api_tx_find(call->tx, ep[i].type, &ep[i].key);

        if (change && change->written) {
            return NGX_OK;
        }
    }

    for (i = 0; i < items.nelts; i++) {

        if (ngx_mesh_operator_owns(&ep[i])
            || ngx_mesh_item_split(&ep[i].key, &key, &id, &owner) != NGX_OK)
        {
            continue;
        }

        if (ngx_mesh_item_leave_service(&op, item, &owner, call->tx->pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_mesh_api_tx_put(call->tx, &op);
    }

    return ngx_mesh_api_tx_remove(call->tx, item->type, &item->key);
}
