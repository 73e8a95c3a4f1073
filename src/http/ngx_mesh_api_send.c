
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_http.h"


static ngx_uint_t ngx_mesh_api_problem(ngx_http_request_t *r);
static void ngx_mesh_api_error_body(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_etag_header(ngx_http_request_t *r,
    ngx_str_t *etag);
static ngx_int_t ngx_mesh_api_part(void *data, ngx_pool_t *pool,
    ngx_chain_t **out);


static ngx_str_t  ngx_mesh_api_content_type = ngx_string("application/json");
static ngx_str_t  ngx_mesh_api_problem_type =
                                       ngx_string("application/problem+json");

static ngx_str_t  ngx_mesh_api_cache_control = ngx_string("Cache-Control");
static ngx_str_t  ngx_mesh_api_no_store = ngx_string("no-store");
static ngx_str_t  ngx_mesh_api_allow_name = ngx_string("Allow");
static ngx_str_t  ngx_mesh_api_location_name = ngx_string("Location");
static ngx_str_t  ngx_mesh_api_retry_name = ngx_string("Retry-After");
static ngx_str_t  ngx_mesh_api_retry = ngx_string("1");
static ngx_str_t  ngx_mesh_api_etag_name = ngx_string("ETag");
static ngx_str_t  ngx_mesh_api_revision_name = ngx_string("X-Mesh-Revision");


ngx_int_t
ngx_mesh_api_send(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_int_t               rc;
    ngx_mesh_json_t        *json;
    ngx_mesh_http_parts_t  *parts;

    json = call->json;

    if (call->error.status) {
        ngx_mesh_json_init(json, r->pool, json->tag);
        ngx_mesh_api_error_body(r, call);
        call->status = call->error.status;
        call->more = NULL;

    } else if ((r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
               && call->etag.len
               && ngx_mesh_api_etag_listed(&call->if_none_match, &call->etag))
    {
        call->status = NGX_HTTP_NOT_MODIFIED;
    }

    if (json->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = call->status ? call->status : NGX_HTTP_OK;

    if (ngx_mesh_api_headers(r, call) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        r->header_only = 1;

    } else {
        r->headers_out.content_type = (call->error.status
                                       && ngx_mesh_api_problem(r))
                                      ? ngx_mesh_api_problem_type
                                      : ngx_mesh_api_content_type;
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;

        if (call->more == NULL) {
            ngx_mesh_json_bytes(json, (u_char *) "\n", 1);
            r->headers_out.content_length_n = json->size;
        }
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    parts = ngx_pcalloc(r->pool, sizeof(ngx_mesh_http_parts_t));
    if (parts == NULL) {
        return NGX_ERROR;
    }

    parts->part = ngx_mesh_api_part;
    parts->data = call;
    parts->free = &json->free;

    return ngx_mesh_http_send_parts(r, parts);
}


/* errors as RFC 9457 has them, for clients that ask for that */

static ngx_uint_t
ngx_mesh_api_problem(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    accept = ngx_mesh_api_header(r, "accept", 0);

    return accept
           && ngx_strlcasestrn(accept->data, accept->data + accept->len,
                               ngx_mesh_api_problem_type.data,
                               ngx_mesh_api_problem_type.len - 1)
              != NULL;
}


static void
ngx_mesh_api_error_body(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_str_t                   name = ngx_string("request_id"), id;
    ngx_uint_t                  problem;
    ngx_mesh_json_t            *json;
    ngx_http_variable_value_t  *vv;

    json = call->json;

    problem = ngx_mesh_api_problem(r);

    ngx_mesh_json_open(json, '{');

    if (problem) {
        ngx_mesh_json_key(json, "type");
        ngx_mesh_json_text(json, "about:blank");

    } else {
        ngx_mesh_json_key(json, "error");
        ngx_mesh_json_open(json, '{');
    }

    ngx_mesh_api_show_error(json, &call->error, problem);

    if (!problem) {
        ngx_mesh_json_close(json, '}');
    }

    vv = ngx_http_get_variable(r, &name, ngx_hash_key(name.data, name.len));

    if (vv && !vv->not_found) {
        id.data = vv->data;
        id.len = vv->len;
        ngx_mesh_json_key(json, "request_id");
        ngx_mesh_json_string(json, &id);
    }

    ngx_mesh_json_close(json, '}');
}


ngx_int_t
ngx_mesh_api_headers(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    u_char     *p;
    ngx_str_t   revision;

    /* nginx would compare If-Match of a write with what the write made */

    r->disable_not_modified = 1;

    if (ngx_mesh_http_add_header(r, &ngx_mesh_api_cache_control,
                                 &ngx_mesh_api_no_store)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    revision.data = p;
    revision.len = ngx_sprintf(p, "%uL", call->revision) - p;

    if (call->revision
        && ngx_mesh_http_add_header(r, &ngx_mesh_api_revision_name, &revision)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((call->status == NGX_HTTP_NOT_ALLOWED
         || call->method == NGX_HTTP_OPTIONS)
        && call->allow.len
        && ngx_mesh_http_add_header(r, &ngx_mesh_api_allow_name, &call->allow)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (call->status == 423
        && ngx_mesh_http_add_header(r, &ngx_mesh_api_retry_name,
                                    &ngx_mesh_api_retry)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (call->error.status == 0 && call->written.location.len
        && ngx_mesh_http_add_header(r, &ngx_mesh_api_location_name,
                                    &call->written.location)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (call->etag.len == 0 || call->error.status) {
        return NGX_OK;
    }

    return ngx_mesh_api_etag_header(r, &call->etag);
}


static ngx_int_t
ngx_mesh_api_etag_header(ngx_http_request_t *r, ngx_str_t *etag)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = ngx_mesh_api_etag_name;
    h->value = *etag;

    r->headers_out.etag = h;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_part(void *data, ngx_pool_t *pool, ngx_chain_t **out)
{
    ngx_mesh_api_call_t *call = data;

    ngx_int_t         rc;
    ngx_mesh_json_t  *json;

    json = call->json;

    while (call->more && json->size < NGX_MESH_JSON_BUFFER) {

        rc = call->more(call);

        if (rc == NGX_ERROR || json->failed) {
            return NGX_ERROR;
        }

        if (rc != NGX_AGAIN) {
            call->more = NULL;
            ngx_mesh_json_bytes(json, (u_char *) "\n", 1);
        }
    }

    *out = json->out;

    json->out = NULL;
    json->last = &json->out;
    json->size = 0;

    return call->more ? NGX_AGAIN : NGX_OK;
}
