
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_metrics.h"
#include "ngx_mesh_table_text.h"
#include "ngx_mesh_http.h"


/*
 * Thousands of series make tens of megabytes of text.  It is written part by
 * part, the next one when the last has left and other events had their turn,
 * so that a scrape costs neither memory nor the latency of calls.
 */

typedef struct {
    ngx_mesh_metrics_cursor_t   cursor;
    ngx_mesh_table_cursor_t     table;
    ngx_uint_t                  calls;     /* done, the table follows */
    ngx_chain_t                *free;
    ngx_chain_t                *busy;
    ngx_uint_t                  done;
} ngx_mesh_http_metrics_ctx_t;


static void ngx_mesh_http_metrics_writer(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_http_metrics_part(ngx_http_request_t *r,
    ngx_mesh_http_metrics_ctx_t *ctx);
static ngx_int_t ngx_mesh_http_metrics_text(ngx_mesh_http_metrics_ctx_t *ctx,
    ngx_buf_t *b);
static ngx_int_t ngx_mesh_http_metrics_next(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_http_metrics_output(ngx_http_request_t *r,
    ngx_mesh_http_metrics_ctx_t *ctx, ngx_chain_t *out);
static ngx_int_t ngx_mesh_http_metrics_wait(ngx_http_request_t *r);


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

    ngx_http_set_ctx(r, ctx, ngx_mesh_http_module);

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

    rc = ngx_mesh_http_metrics_part(r, ctx);

    if (rc != NGX_DONE) {
        return rc;
    }

    r->main->count++;

    r->write_event_handler = ngx_mesh_http_metrics_writer;

    return NGX_DONE;
}


static void
ngx_mesh_http_metrics_writer(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_event_t                  *wev;
    ngx_connection_t             *c;
    ngx_mesh_http_metrics_ctx_t  *ctx;

    c = r->connection;
    wev = c->write;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, wev->log, 0,
                   "mesh metrics writer: \"%V?%V\"", &r->uri, &r->args);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out");
        c->timedout = 1;

        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_mesh_http_module);

    if (wev->delayed || r->aio) {
        rc = ngx_mesh_http_metrics_wait(r);

    } else if (ctx->busy) {
        rc = ngx_mesh_http_metrics_output(r, ctx, NULL);

    } else {
        rc = ngx_mesh_http_metrics_part(r, ctx);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_DONE: more is to come, by an event; otherwise the request's end */

static ngx_int_t
ngx_mesh_http_metrics_part(ngx_http_request_t *r,
    ngx_mesh_http_metrics_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *out;

    out = ngx_chain_get_free_buf(r->pool, &ctx->free);
    if (out == NULL) {
        return NGX_ERROR;
    }

    b = out->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(r->pool, NGX_MESH_METRICS_BUFFER);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->end = b->start + NGX_MESH_METRICS_BUFFER;
        b->tag = (ngx_buf_tag_t) &ngx_mesh_http_module;
    }

    b->pos = b->start;
    b->last = b->start;

    rc = ngx_mesh_http_metrics_text(ctx, b);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN && b->last == b->pos) {
        out->next = ctx->free;
        ctx->free = out;
        return ngx_mesh_http_metrics_next(r);
    }

    if (rc == NGX_OK) {
        b->last_buf = (r == r->main) ? 1 : 0;
        b->last_in_chain = 1;
        ctx->done = 1;
    }

    b->temporary = (b->last != b->pos) ? 1 : 0;

    return ngx_mesh_http_metrics_output(r, ctx, out);
}


static ngx_int_t
ngx_mesh_http_metrics_text(ngx_mesh_http_metrics_ctx_t *ctx, ngx_buf_t *b)
{
    if (!ctx->calls) {
        if (ngx_mesh_metrics_text_part(&ctx->cursor, b) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ctx->calls = 1;
    }

    return ngx_mesh_table_text_part(&ctx->table, b);
}


/* other events first */

static ngx_int_t
ngx_mesh_http_metrics_next(ngx_http_request_t *r)
{
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    ngx_post_event(wev, &ngx_posted_next_events);

    return NGX_DONE;
}


static ngx_int_t
ngx_mesh_http_metrics_output(ngx_http_request_t *r,
    ngx_mesh_http_metrics_ctx_t *ctx, ngx_chain_t *out)
{
    ngx_int_t  rc;

    rc = ngx_http_output_filter(r, out);

    /* what has not left after the last part leaves by nginx's own writer */

    if (rc == NGX_ERROR || ctx->done) {
        return rc;
    }

    ngx_chain_update_chains(r->pool, &ctx->free, &ctx->busy, &out,
                            (ngx_buf_tag_t) &ngx_mesh_http_module);

    if (ctx->busy) {
        return ngx_mesh_http_metrics_wait(r);
    }

    return ngx_mesh_http_metrics_next(r);
}


static ngx_int_t
ngx_mesh_http_metrics_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}
