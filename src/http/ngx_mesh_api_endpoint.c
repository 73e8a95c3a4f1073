
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_api_endpoint.h"


/* endpoints one by one; ngx_mesh_api_endpoints.c has what is about all */


static ngx_int_t ngx_mesh_api_endpoint_read(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_endpoint_write(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_endpoint_post(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_endpoint_put(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_mesh_endpoint_t *ep, cJSON *body,
    ngx_uint_t post);
static ngx_int_t ngx_mesh_api_endpoint_precondition(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *id, ngx_mesh_store_item_t *item);
static ngx_int_t ngx_mesh_api_endpoint_delete(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_endpoint_delete_item(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *id);
static ngx_int_t ngx_mesh_api_endpoint_name(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, ngx_mesh_api_endpoint_t *spec,
    ngx_mesh_endpoint_t *ep);
static void ngx_mesh_api_endpoint_status(ngx_mesh_json_t *json,
    ngx_mesh_endpoint_t *ep, ngx_mesh_override_t *ov);


#define ngx_mesh_api_endpoint_offset(f)                                      \
    offsetof(ngx_mesh_api_endpoint_t, f)


ngx_mesh_api_field_t  ngx_mesh_api_endpoint_fields[] = {
    { "address", NGX_MESH_API_STRING, ngx_mesh_api_endpoint_offset(address),
      512, "IP address, or unix:PATH" },
    { "port", NGX_MESH_API_NUMBER, ngx_mesh_api_endpoint_offset(port), 65535,
      "Port, unless the address is a path" },
    { "weight", NGX_MESH_API_NUMBER, ngx_mesh_api_endpoint_offset(weight),
      1000000, "Share of the calls, 100 by default; 0: none" },
    { "labels", NGX_MESH_API_LABELS, ngx_mesh_api_endpoint_offset(labels), 0,
      "What routes may ask for" },
    { "protocol", NGX_MESH_API_STRING, ngx_mesh_api_endpoint_offset(protocol),
      255, "Protocol; that of the service by default" },
    { "zone", NGX_MESH_API_STRING, ngx_mesh_api_endpoint_offset(zone), 255,
      "Where it is" },
    { "backup", NGX_MESH_API_BOOL, ngx_mesh_api_endpoint_offset(backup), 0,
      "Only when no other can be used" },
    { "down", NGX_MESH_API_BOOL, ngx_mesh_api_endpoint_offset(down), 0,
      "Gets no requests" },
    { "max_fails", NGX_MESH_API_NUMBER,
      ngx_mesh_api_endpoint_offset(max_fails), NGX_MAX_INT32_VALUE,
      "Failures that make it unavailable, 1 by default; 0: never" },
    { "fail_timeout", NGX_MESH_API_TIME,
      ngx_mesh_api_endpoint_offset(fail_timeout), NGX_MAX_INT32_VALUE,
      "For how long, 10s by default" },
    { "slow_start", NGX_MESH_API_TIME,
      ngx_mesh_api_endpoint_offset(slow_start), NGX_MAX_INT32_VALUE,
      "Time in which its weight grows to the full one" },
    { "id", NGX_MESH_API_STRING, ngx_mesh_api_endpoint_offset(id), 512,
      "Its name in the service, ADDRESS:PORT by default" },
    { NULL, 0, 0, 0, NULL }
};


ngx_mesh_api_op_t  ngx_mesh_api_endpoint_ops[] = {
    { ngx_string("services/{service}/endpoints"), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS|NGX_MESH_API_LIST, ngx_mesh_api_endpoints_read,
      "All endpoints of a service" },
    { ngx_string("services/{service}/endpoints"), NGX_HTTP_PUT,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_endpoints_write,
      "Replaces the endpoints of owner \"api\" by a list of others" },
    { ngx_string("services/{service}/endpoints"), NGX_HTTP_POST,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_endpoint_post, "Adds an endpoint" },
    { ngx_string("services/{service}/endpoints/{id}"), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS, ngx_mesh_api_endpoint_read, "An endpoint" },
    { ngx_string("services/{service}/endpoints/{id}"), NGX_HTTP_PUT,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_endpoint_write, "Creates or replaces an endpoint" },
    { ngx_string("services/{service}/endpoints/{id}"), NGX_HTTP_PATCH,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_endpoint_write, "Changes an endpoint" },
    { ngx_string("services/{service}/endpoints/{id}"), NGX_HTTP_DELETE,
      NGX_MESH_API_WRITE|NGX_MESH_API_COMMIT, ngx_mesh_api_endpoint_delete,
      "Removes an endpoint" },
    { ngx_null_string, 0, 0, NULL, NULL }
};


ngx_int_t
ngx_mesh_api_endpoint_path(ngx_mesh_store_item_t *item, ngx_str_t *path,
    ngx_pool_t *pool)
{
    ngx_str_t  service, id, owner, name;

    if (ngx_mesh_item_split(&item->key, &service, &id, &owner) != NGX_OK
        || ngx_mesh_item_service_key_name(&item->key, &name, pool) != NGX_OK
        || ngx_mesh_api_escape(pool, &name, &name) != NGX_OK
        || ngx_mesh_api_escape(pool, &id, &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    path->data = ngx_pnalloc(pool, sizeof("services//endpoints/") + name.len
                                   + id.len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    path->len = ngx_sprintf(path->data, "services/%V/endpoints/%V", &name,
                            &id)
                - path->data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_endpoint_spec(ngx_mesh_json_t *json, ngx_mesh_store_item_t *item,
    ngx_pool_t *pool)
{
    ngx_int_t            rc;
    ngx_mesh_endpoint_t  ep;

    rc = ngx_mesh_item_endpoint_read(item, &ep, pool);

    if (rc == NGX_OK) {
        ngx_mesh_api_endpoint_show(json, &ep);

    } else {
        ngx_mesh_json_null(json);
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


void
ngx_mesh_api_endpoint_show(ngx_mesh_json_t *json, ngx_mesh_endpoint_t *ep)
{
    u_char      *p;
    ngx_str_t    address;
    ngx_int_t    port;
    ngx_uint_t   i;

    port = NGX_ERROR;
    address = ep->name;

    if (ep->name.len < 5 || ngx_strncmp(ep->name.data, "unix:", 5) != 0) {

        for (p = ep->name.data + ep->name.len; p > ep->name.data; p--) {

            if (p[-1] == ':') {
                address.len = p - 1 - ep->name.data;
                port = ngx_atoi(p, ep->name.data + ep->name.len - p);
                break;
            }
        }

        if (address.len > 2 && address.data[0] == '[') {
            address.data++;
            address.len -= 2;
        }
    }

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "address");
    ngx_mesh_json_string(json, &address);

    if (port > 0) {
        ngx_mesh_json_key(json, "port");
        ngx_mesh_json_number(json, port);
    }

    ngx_mesh_json_key(json, "weight");
    ngx_mesh_json_number(json, ep->weight);

    if (ep->nlabels) {
        ngx_mesh_json_key(json, "labels");
        ngx_mesh_json_open(json, '{');

        for (i = 0; i < ep->nlabels; i++) {
            ngx_mesh_json_name(json, &ep->labels[i].key);
            ngx_mesh_json_string(json, &ep->labels[i].value);
        }

        ngx_mesh_json_close(json, '}');
    }

    if (ep->protocol.len) {
        ngx_mesh_json_key(json, "protocol");
        ngx_mesh_json_string(json, &ep->protocol);
    }

    if (ep->zone.len) {
        ngx_mesh_json_key(json, "zone");
        ngx_mesh_json_string(json, &ep->zone);
    }

    ngx_mesh_json_key(json, "backup");
    ngx_mesh_json_bool(json, ep->backup);
    ngx_mesh_json_key(json, "down");
    ngx_mesh_json_bool(json, ep->down);
    ngx_mesh_json_key(json, "max_fails");
    ngx_mesh_json_number(json, ep->max_fails);
    ngx_mesh_json_key(json, "fail_timeout");
    ngx_mesh_api_time(json, ep->fail_timeout);
    ngx_mesh_json_key(json, "slow_start");
    ngx_mesh_api_time(json, ep->slow_start);
    ngx_mesh_json_close(json, '}');
}


ngx_int_t
ngx_mesh_api_endpoint_object(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool,
    ngx_mesh_store_item_t *laid)
{
    ngx_int_t             rc, found;
    ngx_str_t             key, name;
    ngx_mesh_json_t      *json;
    ngx_mesh_override_t   ov;
    ngx_mesh_endpoint_t   ep;

    rc = ngx_mesh_item_endpoint_read(item, &ep, pool);

    if (rc != NGX_OK) {
        return rc;
    }

    /* the key of an override is that of the endpoint without the owner */

    key.data = item->key.data;
    key.len = item->key.len - ep.owner.len - 1;

    found = ngx_mesh_store_get(call->store, NGX_MESH_ITEM_OVERRIDE, &key, 0,
                               pool, laid);

    if (found == NGX_ERROR
        || ngx_mesh_item_service_key_name(&key, &name, pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (found != NGX_OK || ngx_mesh_item_override_read(laid, &ov) != NGX_OK) {
        ngx_memzero(&ov, sizeof(ngx_mesh_override_t));
        laid->modified = 0;
    }

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_show_metadata(json, item, &ep.id,
                               &name, &ep.owner);

    ngx_mesh_json_key(json, "spec");
    ngx_mesh_api_endpoint_show(json, &ep);

    if (laid->modified) {
        ngx_mesh_json_key(json, "override");
        (void) ngx_mesh_api_override_spec(json, laid, pool);
    }

    ngx_mesh_json_key(json, "status");
    ngx_mesh_api_endpoint_status(json, &ep, &ov);
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static void
ngx_mesh_api_endpoint_status(ngx_mesh_json_t *json, ngx_mesh_endpoint_t *ep,
    ngx_mesh_override_t *ov)
{
    ngx_uint_t  draining, serving;

    if (ov->weighted) {
        ngx_mesh_endpoint_reweigh(ep, ov->weight);
    }

    draining = ov->drain || ep->drain;
    serving = !(ep->down || draining || ov->disabled || ep->weight == 0);

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "serving");
    ngx_mesh_json_bool(json, serving);
    ngx_mesh_json_key(json, "draining");
    ngx_mesh_json_bool(json, draining);
    ngx_mesh_api_endpoint_weight(json, ep, serving);

    if (ep->suspect) {
        ngx_mesh_json_key(json, "suspect");
        ngx_mesh_json_bool(json, 1);
    }

    ngx_mesh_json_close(json, '}');
}


void
ngx_mesh_api_endpoint_weight(ngx_mesh_json_t *json, ngx_mesh_endpoint_t *ep,
    ngx_uint_t serving)
{
    u_char     buf[NGX_INT_T_LEN + 2];
    uint64_t   now, uptime;
    ngx_str_t  part;

    now = ngx_mesh_wall_clock();

    ngx_mesh_json_key(json, "effective_weight");
    ngx_mesh_json_number(json,
                         serving ? ngx_mesh_endpoint_weight(ep, now) : 0);

    uptime = (now > ep->started) ? now - ep->started : 0;

    if (uptime >= ep->warmup) {
        return;
    }

    part.data = buf;
    part.len = ngx_sprintf(buf, "0.%02uL", uptime * 100 / ep->warmup) - buf;

    ngx_mesh_json_key(json, "warmup");
    ngx_mesh_json_raw(json, &part);
}


ngx_int_t
ngx_mesh_api_endpoint_get(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *id, ngx_mesh_store_item_t *item,
    ngx_mesh_endpoint_t *ep)
{
    uint64_t                revision;
    ngx_int_t               rc;
    ngx_str_t               key, none;
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    ngx_array_t             items;
    ngx_mesh_endpoint_t     other;
    ngx_mesh_store_item_t  *found;

    static ngx_str_t       *owners[] = {
        &ngx_mesh_owner_config, &ngx_mesh_owner_api
    };

    pool = call->tx ? call->tx->pool : call->pool;

    /* a registry that has it too would have the last word anyway */

    for (i = 0; i < 2; i++) {

        if (ngx_mesh_item_key(&key, service, id, owners[i], 1, pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = ngx_mesh_api_item(call, NGX_MESH_ITEM_ENDPOINT, &key, item);

        if (rc != NGX_DECLINED) {
            return rc == NGX_OK ? ngx_mesh_item_endpoint_read(item, ep, pool)
                                : NGX_ERROR;
        }
    }

    ngx_str_set(&none, "");

    if (ngx_mesh_item_key(&key, service, id, &none, 1, pool) != NGX_OK
        || ngx_array_init(&items, pool, 2, sizeof(ngx_mesh_store_item_t))
           != NGX_OK
        || ngx_mesh_store_list(call->store, NGX_MESH_ITEM_ENDPOINT, NULL,
                               &key, 0, 0, pool, &items, &revision)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    found = items.elts;

    rc = NGX_DECLINED;

    for (i = 0; i < items.nelts; i++) {

        if (ngx_mesh_item_endpoint_read(&found[i], &other, pool) == NGX_OK
            && !ngx_mesh_equal(&other.owner, &ngx_mesh_owner_config)
            && !ngx_mesh_equal(&other.owner, &ngx_mesh_owner_api)
            && (rc == NGX_DECLINED || ngx_mesh_live_better(&other, ep)))
        {
            *item = found[i];
            *ep = other;
            rc = NGX_OK;
        }
    }

    return rc;
}


static ngx_int_t
ngx_mesh_api_endpoint_read(ngx_mesh_api_call_t *call)
{
    ngx_int_t              rc;
    ngx_mesh_service_t     service;
    ngx_mesh_endpoint_t    ep;
    ngx_mesh_store_item_t  item, laid;

    rc = ngx_mesh_api_service_name(call, &call->params[0], &service);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_api_endpoint_get(call, &service, &call->params[1], &item,
                                   &ep);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoint_object(call, &item, call->pool, &laid);
    }

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_not_found(call, "endpoint", &call->params[1]);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_etag(call, item.modified, laid.modified, &call->etag);
}


/* a write of an endpoint holds only while its service is as it was */

ngx_int_t
ngx_mesh_api_endpoint_service(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service)
{
    ngx_int_t              rc;
    ngx_str_t              key;
    ngx_mesh_store_item_t  item;

    rc = ngx_mesh_api_service_key(call, service, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    if (call->restore) {
        return ngx_mesh_api_endpoints_exist(call, service);
    }

    rc = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_SERVICE, &key, &item);

    return rc == NGX_DECLINED
           ? ngx_mesh_api_not_found(call, "service", &service->name) : rc;
}


static ngx_int_t
ngx_mesh_api_endpoint_write(ngx_mesh_api_call_t *call)
{
    cJSON                  *body;
    ngx_int_t               rc;
    ngx_str_t              *id;
    ngx_mesh_api_at_t       at;
    ngx_mesh_service_t      service;
    ngx_mesh_endpoint_t     ep;
    ngx_mesh_store_item_t   item;

    body = call->body;
    id = &call->params[1];

    rc = ngx_mesh_api_endpoint_service(call, &service);

    if (rc == NGX_OK && call->merge) {

        rc = ngx_mesh_api_endpoint_get(call, &service, id, &item, &ep);

        if (rc == NGX_OK) {
            rc = ngx_mesh_api_patched(call, &item, &body);

        } else if (rc == NGX_DECLINED) {
            rc = ngx_mesh_api_not_found(call, "endpoint", id);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoint_fill(call, NULL, body, id, &ep);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_mesh_equal(id, &ep.id)) {
        at.up = NULL;
        at.name = "id";
        return ngx_mesh_api_wrong(call, &at, "\"id\" is another one than in "
                                  "the path");
    }

    return ngx_mesh_api_endpoint_put(call, &service, &ep, body, 0);
}


static ngx_int_t
ngx_mesh_api_endpoint_post(ngx_mesh_api_call_t *call)
{
    ngx_int_t            rc;
    ngx_mesh_service_t   service;
    ngx_mesh_endpoint_t  ep;

    rc = ngx_mesh_api_endpoint_service(call, &service);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoint_fill(call, NULL, call->body, NULL, &ep);
    }

    return rc == NGX_OK
           ? ngx_mesh_api_endpoint_put(call, &service, &ep, call->body, 1)
           : rc;
}


static ngx_int_t
ngx_mesh_api_endpoint_put(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_mesh_endpoint_t *ep, cJSON *body,
    ngx_uint_t post)
{
    ngx_int_t              rc, found;
    ngx_mesh_store_op_t    op;
    ngx_mesh_endpoint_t    old;
    ngx_mesh_store_item_t  item;

    found = ngx_mesh_api_endpoint_get(call, service, &ep->id, &item, &old);

    if (found == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (found == NGX_OK && post) {
        return ngx_mesh_api_fail(call, NGX_HTTP_CONFLICT, "Exists",
                                 "PUT replaces it",
                                 "there is an endpoint \"%V\"", &ep->id);
    }

    rc = ngx_mesh_api_endpoint_precondition(call, service, &ep->id,
                                            found == NGX_OK ? &item : NULL);
    if (rc != NGX_OK) {
        return rc;
    }

    /* what was exported comes back, whatever a registry says by now */

    if (found == NGX_OK
        && !ngx_mesh_equal(&old.owner, &ngx_mesh_owner_api)
        && (!call->restore
            || ngx_mesh_equal(&old.owner, &ngx_mesh_owner_config)))
    {
        return ngx_mesh_api_owned(call, &old.owner, "endpoint", &ep->id);
    }

    if (ngx_mesh_item_put_endpoint(&op, service, ep, call->tx->pool) != NGX_OK
        || ngx_mesh_api_tx_put(call->tx, &op) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_wrote(call, &op, found != NGX_OK);
}


/* an ETag that was read together with an override counts as well */

static ngx_int_t
ngx_mesh_api_endpoint_precondition(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *id, ngx_mesh_store_item_t *item)
{
    ngx_int_t              rc;
    ngx_str_t              key, etag;
    ngx_mesh_store_item_t  laid;

    if (item == NULL) {
        return ngx_mesh_api_precondition(call, 0);
    }

    if (call->if_match.data == NULL) {
        return ngx_mesh_api_precondition(call, item->modified);
    }

    if (ngx_mesh_item_key(&key, service, id, NULL, 1, call->tx->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_OVERRIDE, &key, &laid);

    if (rc == NGX_ERROR
        || ngx_mesh_api_etag(call, item->modified,
                             rc == NGX_OK ? laid.modified : 0, &etag)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_etag_listed(&call->if_match, &etag)
           ? NGX_OK : ngx_mesh_api_precondition(call, item->modified);
}


static ngx_int_t
ngx_mesh_api_endpoint_delete(ngx_mesh_api_call_t *call)
{
    ngx_int_t              rc;
    ngx_str_t              key, *id;
    ngx_mesh_service_t     service;
    ngx_mesh_endpoint_t    ep;
    ngx_mesh_store_item_t  item;

    id = &call->params[1];

    rc = ngx_mesh_api_service_name(call, &call->params[0], &service);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_api_endpoint_get(call, &service, id, &item, &ep);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_precondition(call, 0);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoint_precondition(call, &service, id, &item);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_equal(&ep.owner, &ngx_mesh_owner_api)) {
        return ngx_mesh_api_endpoint_delete_item(call, &service, id);
    }

    /* what is ours can go though it is not in force */

    if (ngx_mesh_item_key(&key, &service, id, &ngx_mesh_owner_api, 1,
                          call->tx->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_ENDPOINT, &key, &item);

    if (rc == NGX_OK) {
        return ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_ENDPOINT, &key);
    }

    return rc == NGX_DECLINED
           ? ngx_mesh_api_owned(call, &ep.owner, "endpoint", id) : rc;
}


static ngx_int_t
ngx_mesh_api_endpoint_delete_item(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *id)
{
    ngx_str_t              key, laid;
    ngx_mesh_endpoint_t    ep;
    ngx_mesh_store_item_t  item;

    if (ngx_mesh_item_key(&key, service, id, &ngx_mesh_owner_api, 1,
                          call->tx->pool)
        != NGX_OK
        || ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_ENDPOINT, &key)
           != NGX_OK
        || ngx_mesh_item_key(&laid, service, id, NULL, 1, call->tx->pool)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (ngx_mesh_api_endpoint_get(call, service, id, &item, &ep)) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        return ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_OVERRIDE,
                                      &laid);

    default:
        return NGX_ERROR;
    }
}


ngx_int_t
ngx_mesh_api_endpoint_fill(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *body, ngx_str_t *id, ngx_mesh_endpoint_t *ep)
{
    ngx_int_t                rc;
    ngx_mesh_api_at_t        inner;
    ngx_mesh_api_endpoint_t  spec;

    ngx_memzero(ep, sizeof(ngx_mesh_endpoint_t));
    ngx_memzero(&spec, sizeof(ngx_mesh_api_endpoint_t));

    spec.weight = NGX_MESH_DEFAULT_WEIGHT;
    spec.max_fails = NGX_MESH_DEFAULT_MAX_FAILS;
    spec.fail_timeout = NGX_MESH_DEFAULT_FAIL_TIMEOUT;

    rc = ngx_mesh_api_fields(call, at, body, ngx_mesh_api_endpoint_fields,
                             &spec, NULL);

    if (rc == NGX_OK) {
        inner.up = at;
        inner.name = "protocol";
        rc = ngx_mesh_api_protocol(call, &inner, &spec.protocol);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_endpoint_name(call, at, &spec, ep);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ep->id = spec.id.data ? spec.id : id ? *id : ep->name;
    ep->owner = ngx_mesh_owner_api;
    ep->host = spec.address;
    ep->protocol = spec.protocol;
    ep->zone = spec.zone;
    ep->weight = spec.weight;
    ep->max_fails = spec.max_fails;
    ep->fail_timeout = spec.fail_timeout;
    ep->slow_start = spec.slow_start;
    ep->labels = spec.labels.elts;
    ep->nlabels = spec.labels.nelts;
    ep->backup = spec.backup;
    ep->down = spec.down;

    /* in a path there is no way to name nothing */

    if (ep->id.len == 0) {
        inner.up = at;
        inner.name = "id";
        return ngx_mesh_api_wrong(call, &inner, "\"id\" is empty");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_endpoint_name(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    ngx_mesh_api_endpoint_t *spec, ngx_mesh_endpoint_t *ep)
{
    u_char             *p;
    ngx_int_t           rc;
    ngx_str_t           address;
    ngx_uint_t          local;
    ngx_mesh_api_at_t   inner;

    inner.up = at;
    inner.name = "address";
    address = spec->address;

    if (address.len == 0) {
        return ngx_mesh_api_wrong(call, &inner, "an endpoint needs an "
                                  "\"address\"");
    }

    local = (address.len > 5 && ngx_strncmp(address.data, "unix:", 5) == 0);

    p = ngx_pnalloc(call->tx->pool, address.len + NGX_SOCKADDR_STRLEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ep->name.data = p;

    if (local) {
        p = ngx_cpymem(p, address.data, address.len);

    } else if (ngx_strlchr(address.data, address.data + address.len, ':')) {
        p = ngx_sprintf(p, "[%V]:%ui", &address, spec->port);

    } else {
        p = ngx_sprintf(p, "%V:%ui", &address, spec->port);
    }

    ep->name.len = p - ep->name.data;

    if (spec->port == 0 && !local) {
        inner.name = "port";
        return ngx_mesh_api_wrong(call, &inner, "an endpoint needs a "
                                  "\"port\"");
    }

    rc = ngx_mesh_item_address(ep, call->tx->pool);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_wrong(call, &inner, "\"%V\" is no IP address and "
                                  "no unix:PATH", &address);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (!local) {
        ep->name.len = ngx_sock_ntop(ep->sockaddr, ep->socklen, ep->name.data,
                                     address.len + NGX_SOCKADDR_STRLEN, 1);
    }

    return NGX_OK;
}
