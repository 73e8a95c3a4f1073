
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


static ngx_int_t ngx_mesh_api_route_list(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_route_get(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_route_put(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_route_delete(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_route_read(ngx_mesh_api_call_t *call,
    ngx_str_t *name, ngx_mesh_store_item_t *item, ngx_mesh_rule_t *rule);
static ngx_int_t ngx_mesh_api_route_member(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);


ngx_mesh_api_op_t  ngx_mesh_api_route_ops[] = {

    { ngx_string("routes"), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS|NGX_MESH_API_LIST, ngx_mesh_api_route_list,
      "All routes" },

    { ngx_string("routes/{route}"), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS, ngx_mesh_api_route_get,
      "A route" },

    { ngx_string("routes/{route}"), NGX_HTTP_PUT,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_route_put,
      "Creates or replaces a route" },

    { ngx_string("routes/{route}"), NGX_HTTP_PATCH,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_route_put,
      "Changes a route" },

    { ngx_string("routes/{route}"), NGX_HTTP_DELETE,
      NGX_MESH_API_WRITE|NGX_MESH_API_COMMIT,
      ngx_mesh_api_route_delete,
      "Removes a route" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_int_t
ngx_mesh_api_route_list(ngx_mesh_api_call_t *call)
{
    ngx_str_t               prefix;
    ngx_mesh_store_query_t  query;

    ngx_str_set(&prefix, "");

    ngx_memzero(&query, sizeof(ngx_mesh_store_query_t));

    query.type = NGX_MESH_ITEM_ROUTE;

    if (ngx_mesh_api_collection(call, &query, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_page(call, NGX_MESH_ITEM_ROUTE, &prefix,
                             ngx_mesh_api_route_member);
}


static ngx_int_t
ngx_mesh_api_route_get(ngx_mesh_api_call_t *call)
{
    ngx_int_t               rc;
    ngx_mesh_store_item_t   item;

    rc = ngx_mesh_api_item(call, NGX_MESH_ITEM_ROUTE, &call->params[0], &item);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_not_found(call, "route", &call->params[0]);
    }

    if (rc != NGX_OK
        || ngx_mesh_api_etag(call, item.modified, 0, &call->etag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_route_member(call, &item, call->pool);
}


/* the route in the transaction, NGX_DECLINED: there is none, or it is not to
   be written here and the call has the error */

static ngx_int_t
ngx_mesh_api_route_read(ngx_mesh_api_call_t *call, ngx_str_t *name,
    ngx_mesh_store_item_t *item, ngx_mesh_rule_t *rule)
{
    ngx_int_t  rc;

    rc = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_ROUTE, name, item);

    if (rc == NGX_OK) {
        rc = ngx_mesh_item_route_read(item, rule, call->tx->pool);
    }

    if (rc == NGX_OK
        && !ngx_mesh_equal(&rule->owner, &ngx_mesh_owner_api))
    {
        return ngx_mesh_api_owned(call, &rule->owner, "route", name);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_api_route_put(ngx_mesh_api_call_t *call)
{
    cJSON                  *body;
    ngx_int_t               rc, existed;
    ngx_str_t              *name;
    ngx_mesh_rule_t         rule;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    name = &call->params[0];
    body = call->body;

    rc = ngx_mesh_api_route_read(call, name, &item, &rule);

    if (rc == NGX_ERROR || rc == NGX_AGAIN || call->error.status) {
        return rc;
    }

    existed = (rc == NGX_OK);

    rc = ngx_mesh_api_precondition(call, existed ? item.modified : 0);

    if (rc != NGX_OK) {
        return rc;
    }

    if (call->merge) {

        if (!existed) {
            return ngx_mesh_api_not_found(call, "route", name);
        }

        rc = ngx_mesh_api_patched(call, &item, &body);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_memzero(&rule, sizeof(ngx_mesh_rule_t));

    rule.name = *name;
    rule.owner = ngx_mesh_owner_api;

    rc = ngx_mesh_api_route_parse(call, body, &rule);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_item_put_route(&op, &rule, call->tx->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_api_tx_put(call->tx, &op) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_wrote(call, &op, !existed);
}


static ngx_int_t
ngx_mesh_api_route_delete(ngx_mesh_api_call_t *call)
{
    ngx_int_t               rc;
    ngx_mesh_rule_t         rule;
    ngx_mesh_store_item_t   item;

    rc = ngx_mesh_api_route_read(call, &call->params[0], &item, &rule);

    if (rc == NGX_ERROR || rc == NGX_AGAIN || call->error.status) {
        return rc;
    }

    if (ngx_mesh_api_precondition(call, rc == NGX_OK ? item.modified : 0)
        != NGX_OK)
    {
        return call->error.status ? NGX_DECLINED : NGX_ERROR;
    }

    /* what is not there was deleted already */

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    return ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_ROUTE,
                                  &call->params[0]);
}


static ngx_int_t
ngx_mesh_api_route_member(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool)
{
    ngx_mesh_json_t  *json;
    ngx_mesh_rule_t   rule;

    json = call->json;

    if (ngx_mesh_item_route_read(item, &rule, pool) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_mesh_json_open(json, '{');

    ngx_mesh_api_show_metadata(json, item, &rule.name,
                               NULL, &rule.owner);

    ngx_mesh_json_key(json, "spec");
    ngx_mesh_api_route_show(json, &rule, pool);

    ngx_mesh_json_key(json, "status");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_close(json, '}');

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_route_path(ngx_mesh_store_item_t *item, ngx_str_t *path,
    ngx_pool_t *pool)
{
    u_char     *p;
    ngx_str_t   name;

    if (ngx_mesh_api_escape(pool, &item->key, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, sizeof("routes/") - 1 + name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;
    path->len = ngx_sprintf(p, "routes/%V", &name) - p;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_route_spec(ngx_mesh_json_t *json, ngx_mesh_store_item_t *item,
    ngx_pool_t *pool)
{
    ngx_int_t        rc;
    ngx_mesh_rule_t  rule;

    rc = ngx_mesh_item_route_read(item, &rule, pool);

    if (rc == NGX_OK) {
        ngx_mesh_api_route_show(json, &rule, pool);

    } else {
        ngx_mesh_json_null(json);
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}
