
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_api_endpoint.h"


/* all endpoints of a service */


typedef struct {
    ngx_rbtree_t        tree;
    ngx_rbtree_node_t   sentinel;
} ngx_mesh_api_ids_t;


static ngx_int_t ngx_mesh_api_endpoints_item(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_api_endpoints_etag(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_api_endpoints_put(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_mesh_api_ids_t *ids);
static ngx_int_t ngx_mesh_api_endpoints_remove(ngx_mesh_api_call_t *call,
    ngx_array_t *items, ngx_mesh_api_ids_t *ids);


ngx_int_t
ngx_mesh_api_endpoints_read(ngx_mesh_api_call_t *call)
{
    ngx_int_t              rc;
    ngx_str_t              key, prefix;
    ngx_mesh_service_t     service;
    ngx_mesh_store_item_t  item;

    rc = ngx_mesh_api_service_key(call, &service, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_item_key(&prefix, &service, NULL, NULL, 1, call->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_item(call, NGX_MESH_ITEM_SERVICE, &key, &item);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_not_found(call, "service", &service.name);
    }

    if (rc != NGX_OK
        || ngx_mesh_api_endpoints_etag(call, &service, call->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_page(call, NGX_MESH_ITEM_ENDPOINT, &prefix,
                             ngx_mesh_api_endpoints_item);
}


static ngx_int_t
ngx_mesh_api_endpoints_item(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool)
{
    ngx_mesh_store_item_t  laid;

    return ngx_mesh_api_endpoint_object(call, item, pool, &laid);
}


static ngx_int_t
ngx_mesh_api_endpoints_etag(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_pool_t *pool)
{
    ngx_str_t               prefix;
    ngx_mesh_store_query_t  queries[2];

    if (ngx_mesh_item_key(&prefix, service, NULL, NULL, 1, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(queries, sizeof(queries));

    queries[0].type = NGX_MESH_ITEM_ENDPOINT;
    queries[0].prefix = &prefix;
    queries[1].type = NGX_MESH_ITEM_OVERRIDE;
    queries[1].prefix = &prefix;

    return ngx_mesh_api_collection(call, queries, 2);
}


ngx_int_t
ngx_mesh_api_endpoints_write(ngx_mesh_api_call_t *call)
{
    ngx_int_t            rc;
    ngx_str_t            prefix;
    ngx_array_t          items;
    ngx_mesh_service_t   service;
    ngx_mesh_api_ids_t   ids;

    if (!cJSON_IsArray(call->body)) {
        return ngx_mesh_api_wrong(call, NULL, "the body must be a list of "
                                  "endpoints");
    }

    rc = ngx_mesh_api_service_name(call, &call->params[0], &service);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_item_key(&prefix, &service, NULL, NULL, 1, call->tx->pool)
        != NGX_OK
        || ngx_array_init(&items, call->tx->pool, 64,
                          sizeof(ngx_mesh_store_item_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_list(call->tx, NGX_MESH_ITEM_ENDPOINT, &prefix,
                              &items);

    if (rc == NGX_OK && (call->if_match.data || call->if_none_match.data)) {

        if (ngx_mesh_api_endpoints_etag(call, &service, call->tx->pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (call->revision != call->tx->expect) {
            return NGX_AGAIN;
        }

        if (items.nelts == 0) {
            ngx_str_null(&call->etag);
        }

        rc = ngx_mesh_api_etag_precondition(call, &call->etag);
        ngx_str_null(&call->etag);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoints_exist(call, &service);
    }

    ngx_rbtree_init(&ids.tree, &ids.sentinel, ngx_str_rbtree_insert_value);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoints_put(call, &service, &ids);
    }

    return rc == NGX_OK ? ngx_mesh_api_endpoints_remove(call, &items, &ids)
                        : rc;
}


/* a service of one's own is there with its first endpoints */

ngx_int_t
ngx_mesh_api_endpoints_exist(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service)
{
    ngx_int_t              rc;
    ngx_str_t              key;
    ngx_mesh_store_op_t    op;
    ngx_mesh_store_item_t  item;

    if (ngx_mesh_item_key(&key, service, NULL, NULL, 0, call->tx->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_SERVICE, &key, &item);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    service->owner = ngx_mesh_owner_api;

    if (ngx_mesh_item_put_service(&op, service, call->tx->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_tx_put(call->tx, &op);
}


static ngx_int_t
ngx_mesh_api_endpoints_put(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_mesh_api_ids_t *ids)
{
    cJSON                *value;
    uint32_t              hash;
    ngx_int_t             rc;
    ngx_str_node_t       *node;
    ngx_mesh_api_at_t     at;
    ngx_mesh_store_op_t   op;
    ngx_mesh_endpoint_t   ep;

    at.up = NULL;
    at.name = NULL;
    at.index = 0;

    cJSON_ArrayForEach(value, call->body) {

        rc = ngx_mesh_api_endpoint_fill(call, &at, value, NULL, &ep);

        if (rc != NGX_OK) {
            return rc;
        }

        hash = ngx_murmur_hash2(ep.id.data, ep.id.len);

        if (ngx_str_rbtree_lookup(&ids->tree, &ep.id, hash)) {
            return ngx_mesh_api_wrong(call, &at, "endpoint \"%V\" stands "
                                      "twice in the list", &ep.id);
        }

        node = ngx_palloc(call->tx->pool, sizeof(ngx_str_node_t));
        if (node == NULL) {
            return NGX_ERROR;
        }

        node->node.key = hash;
        node->str = ep.id;
        ngx_rbtree_insert(&ids->tree, &node->node);

        if (ngx_mesh_item_put_endpoint(&op, service, &ep, call->tx->pool)
            != NGX_OK
            || ngx_mesh_api_tx_put(call->tx, &op) != NGX_OK)
        {
            return NGX_ERROR;
        }

        at.index++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_endpoints_remove(ngx_mesh_api_call_t *call, ngx_array_t *items,
    ngx_mesh_api_ids_t *ids)
{
    ngx_str_t               key, id, owner;
    ngx_uint_t              i, named;
    ngx_mesh_store_item_t  *item;

    item = items->elts;

    for (i = 0; i < items->nelts; i++) {

        if (ngx_mesh_item_split(&item[i].key, &key, &id, &owner) != NGX_OK) {
            continue;
        }

        named = ngx_str_rbtree_lookup(&ids->tree, &id,
                                      ngx_murmur_hash2(id.data, id.len))
                != NULL;

        if (ngx_mesh_equal(&owner, &ngx_mesh_owner_api)) {

            if (!named
                && ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_ENDPOINT,
                                          &item[i].key)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

        } else if (named) {
            return ngx_mesh_api_owned(call, &owner, "endpoint", &id);
        }
    }

    return NGX_OK;
}
