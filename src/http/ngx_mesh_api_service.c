
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_operator.h"
#include "ngx_mesh_proxy.h"
#include "ngx_mesh_api_route.h"


typedef struct {
    ngx_str_t   name;
    ngx_str_t   protocol;
    ngx_str_t   balancer;
    ngx_str_t   hash;
    ngx_str_t   registries;
    ngx_str_t   provided_by;
} ngx_mesh_api_service_t;


static ngx_int_t ngx_mesh_api_services(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_services_item(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_api_service_read(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_service_write(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_service_post(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_service_put(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_uint_t post);
static ngx_int_t ngx_mesh_api_service_fill(ngx_mesh_api_call_t *call,
    cJSON *body, ngx_mesh_service_t *service);
static ngx_int_t ngx_mesh_api_service_registries(ngx_mesh_api_call_t *call,
    ngx_mesh_api_service_t *spec);
static ngx_int_t ngx_mesh_api_service_provided(ngx_mesh_api_call_t *call,
    ngx_mesh_api_service_t *spec);
static ngx_int_t ngx_mesh_api_service_balancer(ngx_mesh_api_call_t *call,
    ngx_mesh_api_service_t *spec, ngx_mesh_service_t *service);
static ngx_int_t ngx_mesh_api_service_delete(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_service_empty(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *heir);
static ngx_int_t ngx_mesh_api_service_inside(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_uint_t type, ngx_uint_t force,
    ngx_str_t *heir);
static ngx_int_t ngx_mesh_api_service_referenced(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_api_service_target(ngx_mesh_rule_t *rule,
    ngx_mesh_service_t *service);


ngx_mesh_api_field_t  ngx_mesh_api_service_fields[] = {
    { "name", NGX_MESH_API_STRING, offsetof(ngx_mesh_api_service_t, name),
      1024, "[GROUP/]INTERFACE[:VERSION]" },
    { "protocol", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_service_t, protocol), 255,
      "Protocol of endpoints that say none" },
    { "balancer", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_service_t, balancer), 32,
      "round_robin, random, least_request or hash" },
    { "hash", NGX_MESH_API_STRING, offsetof(ngx_mesh_api_service_t, hash),
      255, "Fact that the balancer \"hash\" hashes" },
    { "registries", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_service_t, registries), 1024,
      "Registries that are asked for it, by commas, or off; all by default" },
    { "provided_by", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_service_t, provided_by), 1024,
      "Applications of Dubbo 3 that provide it, by commas" },
    { NULL, 0, 0, 0, NULL }
};


ngx_mesh_api_op_t  ngx_mesh_api_service_ops[] = {
    { ngx_string("services"), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS|NGX_MESH_API_LIST, ngx_mesh_api_services,
      "All services" },
    { ngx_string("services"), NGX_HTTP_POST,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_service_post, "Creates a service, by \"name\"" },
    { ngx_string("services/{service}"), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS, ngx_mesh_api_service_read, "A service" },
    { ngx_string("services/{service}"), NGX_HTTP_PUT,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_service_write, "Creates or replaces a service" },
    { ngx_string("services/{service}"), NGX_HTTP_PATCH,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_service_write, "Changes a service" },
    { ngx_string("services/{service}"), NGX_HTTP_DELETE,
      NGX_MESH_API_WRITE|NGX_MESH_API_COMMIT,
      ngx_mesh_api_service_delete, "Removes a service and its endpoints" },
    { ngx_null_string, 0, 0, NULL, NULL }
};


ngx_mesh_api_type_t  ngx_mesh_api_types[] = {
    { NGX_MESH_ITEM_SERVICE, ngx_mesh_api_service_path,
      ngx_mesh_api_service_spec },
    { NGX_MESH_ITEM_ENDPOINT, ngx_mesh_api_endpoint_path,
      ngx_mesh_api_endpoint_spec },
    { NGX_MESH_ITEM_OVERRIDE, ngx_mesh_api_override_path,
      ngx_mesh_api_override_spec },
    { NGX_MESH_ITEM_ROUTE, ngx_mesh_api_route_path,
      ngx_mesh_api_route_spec },
    { 0, NULL, NULL }
};


static char  *ngx_mesh_api_balancers[] = {
    "round_robin", "random", "least_request", "hash"
};


ngx_int_t
ngx_mesh_api_service_path(ngx_mesh_store_item_t *item, ngx_str_t *path,
    ngx_pool_t *pool)
{
    ngx_str_t  name;

    if (ngx_mesh_item_service_key_name(&item->key, &name, pool) != NGX_OK
        || ngx_mesh_api_escape(pool, &name, &name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    path->data = ngx_pnalloc(pool, sizeof("services/") + name.len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    path->len = ngx_sprintf(path->data, "services/%V", &name) - path->data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_service_spec(ngx_mesh_json_t *json, ngx_mesh_store_item_t *item,
    ngx_pool_t *pool)
{
    ngx_mesh_service_t  service;

    if (ngx_mesh_item_service_read(item, &service) != NGX_OK) {
        ngx_mesh_json_null(json);
        return NGX_OK;
    }

    ngx_mesh_json_open(json, '{');

    if (service.protocol.len) {
        ngx_mesh_json_key(json, "protocol");
        ngx_mesh_json_string(json, &service.protocol);
    }

    ngx_mesh_json_key(json, "balancer");
    ngx_mesh_json_text(json, service.balancer <= NGX_MESH_BALANCER_HASH
                             ? ngx_mesh_api_balancers[service.balancer]
                             : "unknown");

    if (service.balancer == NGX_MESH_BALANCER_HASH) {
        ngx_mesh_json_key(json, "hash");
        ngx_mesh_json_string(json, &service.hash);
    }

    if (service.registries.len) {
        ngx_mesh_json_key(json, "registries");
        ngx_mesh_json_string(json, &service.registries);
    }

    if (service.provided_by.len) {
        ngx_mesh_json_key(json, "provided_by");
        ngx_mesh_json_string(json, &service.provided_by);
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_services(ngx_mesh_api_call_t *call)
{
    ngx_str_t               prefix;
    ngx_mesh_store_query_t  queries[2];

    ngx_memzero(queries, sizeof(queries));

    queries[0].type = NGX_MESH_ITEM_SERVICE;
    queries[1].type = NGX_MESH_ITEM_ENDPOINT;

    ngx_str_set(&prefix, "");

    if (ngx_mesh_api_collection(call, queries, 2) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_page(call, NGX_MESH_ITEM_SERVICE, &prefix,
                             ngx_mesh_api_services_item);
}


static ngx_int_t
ngx_mesh_api_services_item(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool)
{
    uint64_t                 revision;
    ngx_str_t                prefix;
    ngx_mesh_json_t         *json;
    ngx_mesh_service_t       service;
    ngx_mesh_store_known_t   known;
    ngx_mesh_store_query_t   query;

    if (ngx_mesh_item_service_read(item, &service) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_item_key(&prefix, &service, NULL, NULL, 1, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&query, sizeof(ngx_mesh_store_query_t));

    query.type = NGX_MESH_ITEM_ENDPOINT;
    query.prefix = &prefix;

    ngx_mesh_store_look(call->store, &query, 1, &known, &revision);

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_show_metadata(json, item, &service.name,
                               NULL, &service.owner);

    ngx_mesh_json_key(json, "spec");
    (void) ngx_mesh_api_service_spec(json, item, pool);

    ngx_mesh_json_key(json, "status");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "endpoints");
    ngx_mesh_json_number(json, known.nitems);
    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_service_read(ngx_mesh_api_call_t *call)
{
    ngx_int_t              rc;
    ngx_str_t              key;
    ngx_mesh_service_t     service;
    ngx_mesh_store_item_t  item;

    rc = ngx_mesh_api_service_key(call, &service, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_api_item(call, NGX_MESH_ITEM_SERVICE, &key, &item);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_not_found(call, "service", &service.name);
    }

    if (rc != NGX_OK
        || ngx_mesh_api_etag(call, item.modified, 0, &call->etag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_services_item(call, &item, call->pool);

    return rc == NGX_DECLINED
           ? ngx_mesh_api_not_found(call, "service", &service.name) : rc;
}


static ngx_int_t
ngx_mesh_api_service_write(ngx_mesh_api_call_t *call)
{
    ngx_int_t           rc;
    ngx_mesh_service_t  service;

    rc = ngx_mesh_api_service_name(call, &call->params[0], &service);

    return rc == NGX_OK ? ngx_mesh_api_service_put(call, &service, 0) : rc;
}


static ngx_int_t
ngx_mesh_api_service_post(ngx_mesh_api_call_t *call)
{
    cJSON               *value;
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_mesh_api_at_t    at;
    ngx_mesh_service_t   service;

    value = cJSON_GetObjectItemCaseSensitive(call->body, "name");

    at.up = NULL;
    at.name = "name";

    if (!cJSON_IsString(value)) {
        return ngx_mesh_api_wrong(call, &at, "a service needs a \"name\"");
    }

    ngx_mesh_json_str(value, &name);

    rc = ngx_mesh_api_service_name(call, &name, &service);

    return rc == NGX_OK ? ngx_mesh_api_service_put(call, &service, 1) : rc;
}


static ngx_int_t
ngx_mesh_api_service_put(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_uint_t post)
{
    cJSON                  *body;
    ngx_int_t               rc, found;
    ngx_str_t               key;
    ngx_pool_t             *pool;
    ngx_mesh_service_t      old;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    pool = call->tx->pool;
    body = call->body;

    if (ngx_mesh_item_key(&key, service, NULL, NULL, 0, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    found = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_SERVICE, &key, &item);

    if (found == NGX_ERROR) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_precondition(call, found == NGX_OK ? item.modified : 0);

    if (rc != NGX_OK) {
        return rc;
    }

    if (found == NGX_OK) {

        if (post) {
            return ngx_mesh_api_fail(call, NGX_HTTP_CONFLICT, "Exists",
                                     "PUT replaces it",
                                     "there is a service \"%V\"",
                                     &service->name);
        }

        /* what a registry brought an operator may take over */

        if (ngx_mesh_item_service_read(&item, &old) == NGX_OK
            && ngx_mesh_equal(&old.owner, &ngx_mesh_owner_config))
        {
            return ngx_mesh_api_owned(call, &old.owner, "service",
                                      &service->name);
        }

        if (call->merge) {
            rc = ngx_mesh_api_patched(call, &item, &body);
        }

    } else if (call->merge) {
        rc = ngx_mesh_api_not_found(call, "service", &service->name);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_service_fill(call, body, service);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_item_put_service(&op, service, pool) != NGX_OK
        || ngx_mesh_api_tx_put(call->tx, &op) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_wrote(call, &op, found != NGX_OK);
}


static ngx_int_t
ngx_mesh_api_service_fill(ngx_mesh_api_call_t *call, cJSON *body,
    ngx_mesh_service_t *service)
{
    ngx_int_t                rc;
    ngx_mesh_api_at_t        at;
    ngx_mesh_service_t       named;
    ngx_mesh_api_service_t   spec;

    ngx_memzero(&spec, sizeof(ngx_mesh_api_service_t));

    at.up = NULL;

    rc = ngx_mesh_api_fields(call, NULL, body, ngx_mesh_api_service_fields,
                             &spec, NULL);

    if (rc == NGX_OK && spec.name.data) {
        rc = ngx_mesh_api_service_name(call, &spec.name, &named);

        if (rc == NGX_OK
            && !ngx_mesh_equal(&named.name, &service->name))
        {
            at.name = "name";
            return ngx_mesh_api_wrong(call, &at, "\"name\" is another one "
                                      "than in the path");
        }
    }

    if (rc == NGX_OK) {
        at.name = "protocol";
        rc = ngx_mesh_api_protocol(call, &at, &spec.protocol);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_api_service_registries(call, &spec);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_service_provided(call, &spec);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    service->owner = ngx_mesh_owner_api;
    service->protocol = spec.protocol;
    service->registries = spec.registries;
    service->provided_by = spec.provided_by;

    return ngx_mesh_api_service_balancer(call, &spec, service);
}


/* a snapshot may be of another configuration, and be put before it changes */

static ngx_int_t
ngx_mesh_api_service_registries(ngx_mesh_api_call_t *call,
    ngx_mesh_api_service_t *spec)
{
    u_char                  *p, *last, *end;
    ngx_int_t                rc;
    ngx_str_t                name;
    ngx_uint_t               i;
    ngx_mesh_api_at_t        at;
    ngx_mesh_source_info_t   info;

    at.up = NULL;
    at.name = "registries";

    if (call->restore || spec->registries.len == 0) {
        return NGX_OK;
    }

    last = spec->registries.data + spec->registries.len;

    for (p = spec->registries.data; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');

        if (end == NULL) {
            end = last;
        }

        name.data = p;
        name.len = end - p;

        if (name.len == 3 && ngx_strncmp(name.data, "off", 3) == 0) {
            continue;
        }

        for (i = 0; /* void */ ; i++) {

            rc = ngx_mesh_source_info(i, call->pool, &info);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_DECLINED) {
                return ngx_mesh_api_wrong(call, &at, "there is no registry "
                                          "\"%V\"", &name);
            }

            if (ngx_mesh_equal(&info.name, &name)) {
                break;
            }
        }
    }

    return NGX_OK;
}


/* only Consul is asked for applications */

static ngx_int_t
ngx_mesh_api_service_provided(ngx_mesh_api_call_t *call,
    ngx_mesh_api_service_t *spec)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_mesh_api_at_t        at;
    ngx_mesh_source_info_t   info;

    if (call->restore || spec->provided_by.len == 0) {
        return NGX_OK;
    }

    for (i = 0; /* void */ ; i++) {

        rc = ngx_mesh_source_info(i, call->pool, &info);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            break;
        }

        if (info.type.len != 6
            || ngx_strncmp(info.type.data, "consul", 6) != 0)
        {
            continue;
        }

        if (spec->registries.len == 0
            || ngx_mesh_list_has(&spec->registries, &info.name))
        {
            return NGX_OK;
        }
    }

    at.up = NULL;
    at.name = "provided_by";

    return ngx_mesh_api_wrong(call, &at, "\"provided_by\" needs a registry of "
                              "Consul that is asked for the service");
}


static ngx_int_t
ngx_mesh_api_service_balancer(ngx_mesh_api_call_t *call,
    ngx_mesh_api_service_t *spec, ngx_mesh_service_t *service)
{
    char               *err;
    ngx_str_t           value[3];
    ngx_array_t         args;
    ngx_mesh_api_at_t   at;

    at.up = NULL;
    at.name = spec->hash.data ? "hash" : "balancer";

    if (spec->balancer.data == NULL) {

        if (spec->hash.data) {
            return ngx_mesh_api_wrong(call, &at, "\"hash\" needs \"balancer\": "
                                      "\"hash\"");
        }

        return NGX_OK;
    }

    /* as the directive has it */

    ngx_str_set(&value[0], "balancer");
    value[1] = spec->balancer;
    value[2] = spec->hash;

    ngx_memzero(&args, sizeof(ngx_array_t));

    args.elts = value;
    args.nelts = spec->hash.data ? 3 : 2;

    err = ngx_mesh_balancer_parse(&args, service);

    return err ? ngx_mesh_api_wrong(call, &at, "balancer \"%V\" %s",
                                    &spec->balancer, err)
               : NGX_OK;
}


static ngx_int_t
ngx_mesh_api_service_delete(ngx_mesh_api_call_t *call)
{
    ngx_int_t              rc;
    ngx_str_t              key, heir;
    ngx_mesh_service_t     service, old;
    ngx_mesh_store_op_t    op;
    ngx_mesh_store_item_t  item;

    rc = ngx_mesh_api_service_key(call, &service, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_api_tx_get(call->tx, NGX_MESH_ITEM_SERVICE, &key, &item);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_mesh_api_precondition(call, 0);
    }

    rc = ngx_mesh_api_precondition(call, item.modified);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_item_service_read(&item, &old) == NGX_OK
        && !ngx_mesh_equal(&old.owner, &ngx_mesh_owner_api))
    {
        return ngx_mesh_api_owned(call, &old.owner, "service", &service.name);
    }

    ngx_str_null(&heir);

    rc = ngx_mesh_api_service_empty(call, &service, &heir);

    if (rc != NGX_OK) {
        return rc;
    }

    if (heir.len == 0) {
        return ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_SERVICE, &key);
    }

    if (ngx_mesh_item_leave_service(&op, &item, &heir, call->tx->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_tx_put(call->tx, &op);
}


/* what registries say of a service stays, as one that is theirs */

static ngx_int_t
ngx_mesh_api_service_empty(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *heir)
{
    ngx_int_t    rc;
    ngx_uint_t   force;
    ngx_pool_t  *pool;

    rc = ngx_mesh_api_arg_flag(call, "force", &force);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!force) {

        /* a batch may remove thousands of services: nothing is kept */

        pool = ngx_create_pool(16384, call->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_api_service_referenced(call, service, pool);

        ngx_destroy_pool(pool);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_mesh_api_service_inside(call, service, NGX_MESH_ITEM_ENDPOINT,
                                     force, heir);
    if (rc != NGX_OK || heir->len) {
        return rc;
    }

    return ngx_mesh_api_service_inside(call, service, NGX_MESH_ITEM_OVERRIDE,
                                       1, NULL);
}


static ngx_int_t
ngx_mesh_api_service_inside(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_uint_t type, ngx_uint_t force,
    ngx_str_t *heir)
{
    ngx_int_t               rc;
    ngx_str_t               prefix, key, id, owner;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *item;

    if (ngx_mesh_item_key(&prefix, service, NULL, NULL, 1, call->tx->pool)
        != NGX_OK
        || ngx_array_init(&items, call->tx->pool, 16,
                          sizeof(ngx_mesh_store_item_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_list(call->tx, type, &prefix, &items);

    if (rc != NGX_OK) {
        return rc;
    }

    item = items.elts;

    for (i = 0; i < items.nelts; i++) {

        if (heir && ngx_mesh_learned_owner(&item[i], &owner)) {
            *heir = owner;
            continue;
        }

        if (!force
            && ngx_mesh_item_split(&item[i].key, &key, &id, &owner) == NGX_OK
            && !ngx_mesh_equal(&owner, &ngx_mesh_owner_api))
        {
            return ngx_mesh_api_fail(call, NGX_HTTP_CONFLICT, "InUse",
                                     "\"?force=1\" removes them too",
                                     "service \"%V\" has endpoints of \"%V\"",
                                     &service->name, &owner);
        }

        if (ngx_mesh_api_tx_remove(call->tx, type, &item[i].key) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a route to it would answer "no_endpoint" from then on */

static ngx_int_t
ngx_mesh_api_service_referenced(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_pool_t *pool)
{
    ngx_int_t               rc;
    ngx_str_t               all;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_rule_t         rule;
    ngx_mesh_store_item_t  *item;

    ngx_str_set(&all, "");

    if (ngx_array_init(&items, pool, 16, sizeof(ngx_mesh_store_item_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_tx_list(call->tx, NGX_MESH_ITEM_ROUTE, &all, &items);

    item = items.elts;

    for (i = 0; rc == NGX_OK && i < items.nelts; i++) {

        rc = ngx_mesh_item_route_read(&item[i], &rule, pool);

        if (rc == NGX_OK && ngx_mesh_api_service_target(&rule, service)) {
            return ngx_mesh_api_fail(call, NGX_HTTP_CONFLICT, "Referenced",
                                     "\"?force=1\" removes it all the same",
                                     "route \"%V\" leads to service \"%V\"",
                                     &rule.name, &service->name);
        }

        /* one that cannot be read leads nowhere */

        if (rc == NGX_DECLINED) {
            rc = NGX_OK;
        }
    }

    return rc;
}


static ngx_uint_t
ngx_mesh_api_service_target(ngx_mesh_rule_t *rule, ngx_mesh_service_t *service)
{
    ngx_uint_t           i;
    ngx_mesh_service_t   s;
    ngx_mesh_target_t   *target;

    for (i = 0; i < rule->ntargets; i++) {

        for (target = &rule->targets[i]; target; target = target->fallback) {

            if (ngx_mesh_table_parse_key(&target->service, &s) == NGX_OK
                && ngx_mesh_equal(&s.interface, &service->interface)
                && ngx_mesh_equal(&s.version, &service->version)
                && ngx_mesh_equal(&s.group, &service->group))
            {
                return 1;
            }
        }
    }

    return 0;
}
