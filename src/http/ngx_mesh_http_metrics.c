
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_metrics.h"
#include "ngx_mesh_table_text.h"
#include "ngx_mesh_http.h"


/* thousands of series make tens of megabytes of text */

typedef struct {
    ngx_mesh_metrics_cursor_t   cursor;
    ngx_mesh_table_cursor_t     table;
    ngx_mesh_http_registries_t  registries;
    ngx_pool_t                 *pool;      /* of the request */
    ngx_uint_t                  calls;     /* done, the table follows */
    ngx_uint_t                  counts;    /* the same, registries follow */
    ngx_chain_t                *free;
    ngx_mesh_http_parts_t       parts;
} ngx_mesh_http_metrics_ctx_t;


static ngx_int_t ngx_mesh_http_metrics_part(void *data, ngx_pool_t *pool,
    ngx_chain_t **out);
static ngx_int_t ngx_mesh_http_metrics_text(ngx_mesh_http_metrics_ctx_t *ctx,
    ngx_buf_t *b);


static ngx_str_t  ngx_mesh_http_metrics_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");

static ngx_str_t  ngx_mesh_http_cache_control = ngx_string("Cache-Control");
static ngx_str_t  ngx_mesh_http_no_cache = ngx_string("no-cache");


ngx_int_t
ngx_mesh_http_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_mesh_http_metrics_ctx_t  *ctx;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_mesh_http_metrics_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->parts.part = ngx_mesh_http_metrics_part;
    ctx->parts.data = ctx;
    ctx->parts.free = &ctx->free;
    ctx->pool = r->pool;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = ngx_mesh_http_metrics_type;
    r->headers_out.content_type_len = sizeof("text/plain") - 1;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_mesh_http_add_header(r, &ngx_mesh_http_cache_control,
                                 &ngx_mesh_http_no_cache)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    rc = ngx_mesh_http_send_parts(r, &ctx->parts);

    if (rc == NGX_DONE) {
        r->main->count++;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_http_metrics_part(void *data, ngx_pool_t *pool, ngx_chain_t **out)
{
    ngx_mesh_http_metrics_ctx_t *ctx = data;

    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(pool, &ctx->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(pool, NGX_MESH_METRICS_BUFFER);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->end = b->start + NGX_MESH_METRICS_BUFFER;
        b->tag = (ngx_buf_tag_t) &ngx_mesh_http_module;
    }

    b->pos = b->start;
    b->last = b->start;

    rc = ngx_mesh_http_metrics_text(ctx, b);

    if (rc == NGX_AGAIN && b->last == b->pos) {
        cl->next = ctx->free;
        ctx->free = cl;
        return NGX_AGAIN;
    }

    b->temporary = (b->last != b->pos) ? 1 : 0;

    *out = cl;

    return rc;
}


static ngx_int_t
ngx_mesh_http_metrics_text(ngx_mesh_http_metrics_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_int_t  rc;

    if (!ctx->calls) {
        if (ngx_mesh_metrics_text_part(&ctx->cursor, b) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ctx->calls = 1;
    }

    if (!ctx->counts) {
        rc = ngx_mesh_table_text_part(&ctx->table, b);

        if (rc != NGX_OK) {
            return rc;
        }

        ctx->counts = 1;
    }

    return ngx_mesh_http_registries_text(&ctx->registries, ctx->pool, b);
}
