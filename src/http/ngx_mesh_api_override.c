
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_api_endpoint.h"


/* what an operator lays on an endpoint of whatever owner */


typedef struct {
    ngx_uint_t          weight;
    ngx_uint_t          drain;
    ngx_uint_t          disabled;
    ngx_uint_t          ttl;
    ngx_str_t           until;
    ngx_str_t           reason;
    ngx_str_t           by;
} ngx_mesh_api_override_t;

/* an override, and the endpoint it belongs to */

typedef struct {
    ngx_str_t              key;
    ngx_str_t             *id;
    ngx_mesh_service_t     service;
    ngx_mesh_store_item_t  item;
    ngx_mesh_override_t    override;
    ngx_uint_t             found;
} ngx_mesh_api_laid_t;


static ngx_int_t ngx_mesh_api_override_find(ngx_mesh_api_call_t *call,
    ngx_mesh_api_laid_t *laid, ngx_uint_t endpoint);
static ngx_int_t ngx_mesh_api_override_get(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_override_fill(ngx_mesh_api_call_t *call,
    cJSON *body, ngx_mesh_override_t *ov);
static ngx_int_t ngx_mesh_api_override_until(ngx_mesh_api_call_t *call,
    ngx_mesh_api_override_t *spec, ngx_uint_t seen, uint64_t *until);
static ngx_int_t ngx_mesh_api_override_store(ngx_mesh_api_call_t *call,
    ngx_mesh_api_laid_t *laid);
static ngx_int_t ngx_mesh_api_override_delete(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_drain(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_deadline(ngx_mesh_api_call_t *call,
    uint64_t *until);
static ngx_int_t ngx_mesh_api_undrain(ngx_mesh_api_call_t *call);


#define ngx_mesh_api_override_offset(f)                                      \
    offsetof(ngx_mesh_api_override_t, f)


#define NGX_MESH_API_SEEN_WEIGHT  0x01
#define NGX_MESH_API_SEEN_UNTIL   0x08
#define NGX_MESH_API_SEEN_TTL     0x10


/* bits of what was seen follow this order */

ngx_mesh_api_field_t  ngx_mesh_api_override_fields[] = {
    { "weight", NGX_MESH_API_NUMBER, ngx_mesh_api_override_offset(weight),
      1000000, "In place of the endpoint's own" },
    { "drain", NGX_MESH_API_BOOL, ngx_mesh_api_override_offset(drain), 0,
      "No new requests" },
    { "disabled", NGX_MESH_API_BOOL, ngx_mesh_api_override_offset(disabled),
      0, "Not used at all" },
    { "until", NGX_MESH_API_STRING, ngx_mesh_api_override_offset(until), 64,
      "When it ends, as RFC 3339 has it" },
    { "ttl", NGX_MESH_API_NUMBER, ngx_mesh_api_override_offset(ttl),
      315360000, "Seconds until it ends" },
    { "reason", NGX_MESH_API_STRING, ngx_mesh_api_override_offset(reason),
      1024, "For people" },
    { "by", NGX_MESH_API_STRING, ngx_mesh_api_override_offset(by), 1024,
      "Who did it; what a client says is not looked at" },
    { NULL, 0, 0, 0, NULL }
};


#define NGX_MESH_API_OVERRIDE_PATH  "services/{service}/endpoints/{id}/override"
#define NGX_MESH_API_DRAIN_PATH     "services/{service}/endpoints/{id}/drain"


ngx_mesh_api_op_t  ngx_mesh_api_override_ops[] = {
    { ngx_string(NGX_MESH_API_OVERRIDE_PATH), NGX_HTTP_GET,
      NGX_MESH_API_FIELDS, ngx_mesh_api_override_get,
      "What is laid on an endpoint" },
    { ngx_string(NGX_MESH_API_OVERRIDE_PATH), NGX_HTTP_PUT,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_override_put, "Lays weight or drain on an endpoint" },
    { ngx_string(NGX_MESH_API_OVERRIDE_PATH), NGX_HTTP_PATCH,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT,
      ngx_mesh_api_override_put, "Changes what is laid on an endpoint" },
    { ngx_string(NGX_MESH_API_OVERRIDE_PATH), NGX_HTTP_DELETE,
      NGX_MESH_API_WRITE|NGX_MESH_API_COMMIT, ngx_mesh_api_override_delete,
      "Leaves an endpoint as its owner has it" },
    { ngx_string(NGX_MESH_API_DRAIN_PATH), NGX_HTTP_POST,
      NGX_MESH_API_WRITE|NGX_MESH_API_COMMIT, ngx_mesh_api_drain,
      "No new requests for an endpoint" },
    { ngx_string(NGX_MESH_API_DRAIN_PATH), NGX_HTTP_DELETE,
      NGX_MESH_API_WRITE|NGX_MESH_API_COMMIT, ngx_mesh_api_undrain,
      "Requests for an endpoint again" },
    { ngx_null_string, 0, 0, NULL, NULL }
};


ngx_int_t
ngx_mesh_api_override_path(ngx_mesh_store_item_t *item, ngx_str_t *path,
    ngx_pool_t *pool)
{
    u_char     *p;
    ngx_str_t   endpoint;

    if (ngx_mesh_api_endpoint_path(item, &endpoint, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, endpoint.len + sizeof("/override"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;
    path->len = ngx_sprintf(p, "%V/override", &endpoint) - p;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_override_spec(ngx_mesh_json_t *json, ngx_mesh_store_item_t *item,
    ngx_pool_t *pool)
{
    u_char               buf[sizeof("1970-01-01T00:00:00.000Z")
                             + NGX_INT64_LEN];
    ngx_str_t            s;
    ngx_mesh_override_t  ov;

    if (ngx_mesh_item_override_read(item, &ov) != NGX_OK) {
        ngx_mesh_json_null(json);
        return NGX_OK;
    }

    ngx_mesh_json_open(json, '{');

    if (ov.weighted) {
        ngx_mesh_json_key(json, "weight");
        ngx_mesh_json_number(json, ov.weight);
    }

    ngx_mesh_json_key(json, "drain");
    ngx_mesh_json_bool(json, ov.drain);
    ngx_mesh_json_key(json, "disabled");
    ngx_mesh_json_bool(json, ov.disabled);

    if (ov.until) {
        s.data = buf;
        s.len = ngx_mesh_api_date(buf, ov.until) - buf;
        ngx_mesh_json_key(json, "until");
        ngx_mesh_json_string(json, &s);
    }

    if (ov.reason.len) {
        ngx_mesh_json_key(json, "reason");
        ngx_mesh_json_string(json, &ov.reason);
    }

    if (ov.by.len) {
        ngx_mesh_json_key(json, "by");
        ngx_mesh_json_string(json, &ov.by);
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


/* fills "laid" in; 404 when there has to be an endpoint and is none, 412 when
   a write demands something else */

static ngx_int_t
ngx_mesh_api_override_find(ngx_mesh_api_call_t *call,
    ngx_mesh_api_laid_t *laid, ngx_uint_t endpoint)
{
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    ngx_mesh_endpoint_t    ep;
    ngx_mesh_store_item_t  item;

    ngx_memzero(laid, sizeof(ngx_mesh_api_laid_t));

    pool = call->tx ? call->tx->pool : call->pool;
    laid->id = &call->params[1];

    rc = ngx_mesh_api_service_name(call, &call->params[0], &laid->service);

    if (rc != NGX_OK) {
        return rc;
    }

    if (endpoint) {
        rc = ngx_mesh_api_endpoint_get(call, &laid->service, laid->id, &item,
                                       &ep);
        if (rc != NGX_OK) {
            return rc == NGX_DECLINED
                   ? ngx_mesh_api_not_found(call, "endpoint", laid->id) : rc;
        }
    }

    if (ngx_mesh_item_key(&laid->key, &laid->service, laid->id, NULL, 1, pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_item(call, NGX_MESH_ITEM_OVERRIDE, &laid->key,
                           &laid->item);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    laid->found = (rc == NGX_OK
                   && ngx_mesh_item_override_read(&laid->item,
                                                  &laid->override)
                      == NGX_OK);

    return call->tx ? ngx_mesh_api_precondition(call, laid->found
                                                ? laid->item.modified : 0)
                    : NGX_OK;
}


static ngx_int_t
ngx_mesh_api_override_get(ngx_mesh_api_call_t *call)
{
    ngx_int_t            rc;
    ngx_mesh_json_t     *json;
    ngx_mesh_api_laid_t  laid;

    rc = ngx_mesh_api_override_find(call, &laid, 1);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!laid.found) {
        return ngx_mesh_api_fail(call, NGX_HTTP_NOT_FOUND, "NotFound", NULL,
                                 "nothing is laid on endpoint \"%V\"",
                                 laid.id);
    }

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_show_metadata(json, &laid.item, laid.id,
                               &laid.service.name, NULL);
    ngx_mesh_json_key(json, "spec");
    (void) ngx_mesh_api_override_spec(json, &laid.item, call->pool);
    ngx_mesh_json_close(json, '}');

    return ngx_mesh_api_etag(call, laid.item.modified, 0, &call->etag);
}


ngx_int_t
ngx_mesh_api_override_put(ngx_mesh_api_call_t *call)
{
    cJSON                *body, *ttl;
    ngx_int_t             rc;
    ngx_mesh_api_laid_t   laid;

    body = call->body;

    /* a registry may have the endpoint again later */

    rc = ngx_mesh_api_override_find(call, &laid, !call->restore);

    if (rc == NGX_OK && call->merge && laid.found) {
        rc = ngx_mesh_api_patched(call, &laid.item, &body);

        /* a new "ttl" is not beside an old "until"; null is no new one */

        ttl = cJSON_GetObjectItemCaseSensitive(call->body, "ttl");

        if (rc == NGX_OK && ttl && !cJSON_IsNull(ttl)
            && cJSON_GetObjectItemCaseSensitive(call->body, "until") == NULL)
        {
            cJSON_DeleteItemFromObjectCaseSensitive(body, "until");
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_override_fill(call, body, &laid.override);
    }

    return rc == NGX_OK ? ngx_mesh_api_override_store(call, &laid) : rc;
}


static ngx_int_t
ngx_mesh_api_override_fill(ngx_mesh_api_call_t *call, cJSON *body,
    ngx_mesh_override_t *ov)
{
    ngx_int_t                rc;
    ngx_uint_t               seen;
    ngx_mesh_api_override_t  spec;

    ngx_memzero(ov, sizeof(ngx_mesh_override_t));
    ngx_memzero(&spec, sizeof(ngx_mesh_api_override_t));

    rc = ngx_mesh_api_fields(call, NULL, body, ngx_mesh_api_override_fields,
                             &spec, &seen);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_override_until(call, &spec, seen, &ov->until);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ov->weight = spec.weight;
    ov->weighted = (seen & NGX_MESH_API_SEEN_WEIGHT) ? 1 : 0;
    ov->drain = spec.drain;
    ov->disabled = spec.disabled;
    ov->reason = spec.reason;

    if (!ov->weighted && !ov->drain && !ov->disabled) {
        return ngx_mesh_api_wrong(call, NULL, "an override needs \"weight\", "
                                  "\"drain\" or \"disabled\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_override_until(ngx_mesh_api_call_t *call,
    ngx_mesh_api_override_t *spec, ngx_uint_t seen, uint64_t *until)
{
    uint64_t           now;
    ngx_mesh_api_at_t  at;

    at.up = NULL;
    at.name = (seen & NGX_MESH_API_SEEN_TTL) ? "ttl" : "until";
    now = ngx_mesh_wall_clock();

    if ((seen & NGX_MESH_API_SEEN_TTL) && (seen & NGX_MESH_API_SEEN_UNTIL)) {
        return ngx_mesh_api_wrong(call, &at, "\"ttl\" and \"until\" exclude "
                                  "each other");
    }

    if (seen & NGX_MESH_API_SEEN_TTL) {

        if (spec->ttl == 0) {
            return ngx_mesh_api_wrong(call, &at, "\"ttl\" must be at least 1");
        }

        *until = now + (uint64_t) spec->ttl * 1000;
    }

    if (seen & NGX_MESH_API_SEEN_UNTIL) {

        if (ngx_mesh_api_parse_date(&spec->until, until) != NGX_OK) {
            return ngx_mesh_api_wrong(call, &at, "\"until\" must be a time as "
                                      "\"2030-01-31T10:00:00Z\"");
        }

        if (*until <= now) {
            return ngx_mesh_api_wrong(call, &at, "\"until\" is in the past");
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_api_override_ended(cJSON *spec)
{
    cJSON      *value;
    uint64_t    until;
    ngx_str_t   s;

    value = cJSON_GetObjectItemCaseSensitive(spec, "until");

    if (!cJSON_IsString(value)) {
        return 0;
    }

    ngx_mesh_json_str(value, &s);

    return ngx_mesh_api_parse_date(&s, &until) == NGX_OK
           && until <= ngx_mesh_wall_clock();
}


static ngx_int_t
ngx_mesh_api_override_store(ngx_mesh_api_call_t *call,
    ngx_mesh_api_laid_t *laid)
{
    ngx_mesh_store_op_t  op;

    laid->override.by = call->by;

    if (ngx_mesh_item_put_override(&op, &laid->service, laid->id,
                                   &laid->override, call->tx->pool)
        != NGX_OK
        || ngx_mesh_api_tx_put(call->tx, &op) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_wrote(call, &op, !laid->found);
}


static ngx_int_t
ngx_mesh_api_override_delete(ngx_mesh_api_call_t *call)
{
    ngx_int_t            rc;
    ngx_mesh_api_laid_t  laid;

    rc = ngx_mesh_api_override_find(call, &laid, 0);

    if (rc != NGX_OK || !laid.found) {
        return rc;
    }

    return ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_OVERRIDE,
                                  &laid.key);
}


static ngx_int_t
ngx_mesh_api_drain(ngx_mesh_api_call_t *call)
{
    ngx_int_t            rc;
    ngx_mesh_api_laid_t  laid;

    rc = ngx_mesh_api_override_find(call, &laid, 1);

    if (rc == NGX_OK) {
        laid.override.drain = 1;
        rc = ngx_mesh_api_deadline(call, &laid.override.until);
    }

    return rc == NGX_OK ? ngx_mesh_api_override_store(call, &laid) : rc;
}


/* a time as "10m", or a date */

static ngx_int_t
ngx_mesh_api_deadline(ngx_mesh_api_call_t *call, uint64_t *until)
{
    ngx_int_t  rc, ms;
    ngx_str_t  value;

    rc = ngx_mesh_api_arg(call, "deadline", &value);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    ms = ngx_parse_time(&value, 0);

    if (ms != NGX_ERROR && ms > 0) {
        *until = ngx_mesh_wall_clock() + ms;
        return NGX_OK;
    }

    if (ngx_mesh_api_parse_date(&value, until) == NGX_OK
        && *until > ngx_mesh_wall_clock())
    {
        return NGX_OK;
    }

    return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument", NULL,
                             "argument \"deadline\" must be a time as \"10m\" "
                             "or one to come as \"2030-01-31T10:00:00Z\"");
}


static ngx_int_t
ngx_mesh_api_undrain(ngx_mesh_api_call_t *call)
{
    ngx_int_t            rc;
    ngx_mesh_api_laid_t  laid;

    rc = ngx_mesh_api_override_find(call, &laid, 0);

    if (rc != NGX_OK || !laid.found || !laid.override.drain) {
        return rc;
    }

    laid.override.drain = 0;

    if (laid.override.weighted || laid.override.disabled) {
        return ngx_mesh_api_override_store(call, &laid);
    }

    return ngx_mesh_api_tx_remove(call->tx, NGX_MESH_ITEM_OVERRIDE,
                                  &laid.key);
}
