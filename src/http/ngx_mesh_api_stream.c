
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_watch.h"
#include "ngx_mesh_http.h"


/*
 * Watches that go on: a line of JSON for each change.  Nothing is kept for a
 * client that does not read: it hears of what there is when it does again.
 */


static ngx_int_t ngx_mesh_api_stream_go(ngx_mesh_api_watch_t *watch,
    ngx_uint_t end);
static ngx_int_t ngx_mesh_api_stream_header(ngx_mesh_api_watch_t *watch);
static ngx_int_t ngx_mesh_api_stream_catch_up(ngx_mesh_api_watch_t *watch);
static ngx_int_t ngx_mesh_api_stream_told(ngx_mesh_api_watch_t *watch,
    uint64_t revision, uint64_t floor);
static void ngx_mesh_api_stream_error(ngx_mesh_api_watch_t *watch);
static ngx_int_t ngx_mesh_api_stream_flush(ngx_mesh_api_watch_t *watch);
static void ngx_mesh_api_stream_writer(ngx_http_request_t *r);


static ngx_str_t  ngx_mesh_api_stream_type =
    ngx_string("application/x-ndjson");


ngx_int_t
ngx_mesh_api_stream_items(ngx_mesh_api_watch_t *watch, ngx_array_t *items,
    uint64_t revision, uint64_t floor)
{
    if (watch->since >= floor
        && ngx_mesh_api_changes(watch, items, revision) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_stream_told(watch, revision, floor);
}


/* NGX_AGAIN: there was nothing */

static ngx_int_t
ngx_mesh_api_stream_told(ngx_mesh_api_watch_t *watch, uint64_t revision,
    uint64_t floor)
{
    ngx_uint_t  n;

    if (watch->since < floor) {

        if (ngx_mesh_api_watch_old(watch->call, floor) == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_mesh_api_stream_error(watch);
        return NGX_OK;
    }

    n = watch->n;

    watch->since = revision;
    watch->n = 0;

    if (n == 0) {
        return NGX_AGAIN;
    }

    /* lines of one revision have no order to go on from */

    ngx_mesh_api_stream_bookmark(watch);

    return NGX_OK;
}


void
ngx_mesh_api_stream_bookmark(ngx_mesh_api_watch_t *watch)
{
    ngx_mesh_json_t  *json;

    json = watch->call->json;

    json->comma = 0;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "bookmark");
    ngx_mesh_json_number(json, watch->since);
    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_bytes(json, (u_char *) "\n", 1);

    watch->until = ngx_current_msec + watch->wait;
}


/* the status has been sent long since: the last line is the error */

static void
ngx_mesh_api_stream_error(ngx_mesh_api_watch_t *watch)
{
    ngx_mesh_json_t  *json;

    json = watch->call->json;

    json->comma = 0;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "error");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_show_error(json, &watch->call->error, 0);
    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_bytes(json, (u_char *) "\n", 1);

    watch->ended = 1;
}


void
ngx_mesh_api_stream_run(ngx_mesh_api_watch_t *watch, ngx_uint_t end)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = watch->call->request;

    ngx_mesh_api_watch_remove(watch);

    rc = ngx_mesh_api_stream_go(watch, end);

    if (rc == NGX_DONE) {
        ngx_mesh_api_watch_add(watch);

        /* other events first */

        if (watch->behind && watch->busy == NULL) {
            ngx_mesh_api_watch_next();
        }
    }

    ngx_mesh_api_end(r, rc);
}


static ngx_int_t
ngx_mesh_api_stream_go(ngx_mesh_api_watch_t *watch, ngx_uint_t end)
{
    ngx_int_t  rc;

    if (!watch->started) {
        rc = ngx_mesh_api_stream_header(watch);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return rc;
        }
    }

    if (watch->behind && watch->busy == NULL
        && ngx_mesh_api_stream_catch_up(watch) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (end) {

        /* who has not read what there was will not wait for the end */

        if (watch->busy) {
            return NGX_ERROR;
        }

        if (!watch->ended) {
            ngx_mesh_api_stream_bookmark(watch);
            watch->ended = 1;
        }
    }

    return ngx_mesh_api_stream_flush(watch);
}


static ngx_int_t
ngx_mesh_api_stream_header(ngx_mesh_api_watch_t *watch)
{
    ngx_http_request_t  *r;

    r = watch->call->request;

    watch->started = 1;
    watch->behind = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = ngx_mesh_api_stream_type;
    r->headers_out.content_type_len = ngx_mesh_api_stream_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);

    if (ngx_mesh_api_headers(r, watch->call) != NGX_OK) {
        return NGX_ERROR;
    }

    r->write_event_handler = ngx_mesh_api_stream_writer;

    /* where it begins */

    ngx_mesh_api_stream_bookmark(watch);

    return ngx_http_send_header(r);
}


static ngx_int_t
ngx_mesh_api_stream_catch_up(ngx_mesh_api_watch_t *watch)
{
    uint64_t           since, revision;
    ngx_int_t          rc;
    ngx_mesh_store_t  *store;

    store = watch->call->store;
    since = watch->since;

    if (watch->target == 0) {
        watch->target = ngx_mesh_store_revision(store);
    }

    rc = ngx_mesh_api_changes_walk(watch);

    if (rc != NGX_OK) {
        return rc == NGX_AGAIN ? NGX_OK : rc;
    }

    watch->behind = 0;

    revision = watch->since;
    watch->since = since;

    rc = ngx_mesh_api_stream_told(watch, revision,
                                  ngx_mesh_store_floor(store));

    return rc == NGX_AGAIN ? NGX_OK : rc;
}


/* NGX_DONE: it goes on; otherwise the request's end */

static ngx_int_t
ngx_mesh_api_stream_flush(ngx_mesh_api_watch_t *watch)
{
    ngx_buf_t           *b;
    ngx_int_t            rc;
    ngx_chain_t         *out, *cl;
    ngx_event_t         *wev;
    ngx_mesh_json_t     *json;
    ngx_http_request_t  *r;

    r = watch->call->request;
    wev = r->connection->write;
    json = watch->call->json;

    if (json->failed) {
        return NGX_ERROR;
    }

    out = json->out;

    if (out) {
        b = ((ngx_chain_t *) ((u_char *) json->last
                              - offsetof(ngx_chain_t, next)))->buf;
        b->flush = 1;
        b->last_buf = (watch->ended && r == r->main);
        b->last_in_chain = watch->ended;
    }

    json->out = NULL;
    json->last = &json->out;
    json->size = 0;

    rc = ngx_http_output_filter(r, out);

    if (rc == NGX_ERROR || (watch->ended && out)) {
        return rc;
    }

    ngx_chain_update_chains(r->pool, &json->free, &watch->busy, &out,
                            json->tag);

    for (cl = json->free; cl; cl = cl->next) {
        cl->buf->flush = 0;
    }

    if (watch->busy) {
        return ngx_mesh_http_wait(r);
    }

    /* one that waits, maybe with thousands of others, needs no buffers */

    for (cl = watch->behind ? NULL : json->free; cl; cl = cl->next) {

        if (cl->buf->start && ngx_pfree(r->pool, cl->buf->start) == NGX_OK) {
            cl->buf->start = NULL;
        }
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    return NGX_DONE;
}


static void
ngx_mesh_api_stream_writer(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_event_t           *wev;
    ngx_mesh_api_call_t   *call;
    ngx_mesh_api_watch_t  *watch;

    wev = r->connection->write;
    call = ngx_http_get_module_ctx(r, ngx_mesh_http_module);
    watch = call->data;

    if (ngx_mesh_http_timed_out(r) || watch->busy == NULL) {
        return;
    }

    rc = (wev->delayed || r->aio) ? ngx_mesh_http_wait(r)
                                  : ngx_mesh_api_stream_flush(watch);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (watch->busy == NULL && watch->behind) {
        ngx_mesh_api_watch_soon();
    }
}
