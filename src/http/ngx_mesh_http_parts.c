
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_http.h"


static ngx_int_t ngx_mesh_http_part(ngx_http_request_t *r,
    ngx_mesh_http_parts_t *parts);
static ngx_int_t ngx_mesh_http_flush(ngx_http_request_t *r,
    ngx_mesh_http_parts_t *parts, ngx_chain_t *out);
static ngx_int_t ngx_mesh_http_next(ngx_http_request_t *r);
static void ngx_mesh_http_writer(ngx_http_request_t *r);


ngx_int_t
ngx_mesh_http_send_parts(ngx_http_request_t *r, ngx_mesh_http_parts_t *parts)
{
    ngx_http_set_ctx(r, parts, ngx_mesh_http_module);

    r->write_event_handler = ngx_mesh_http_writer;

    return ngx_mesh_http_part(r, parts);
}


static ngx_int_t
ngx_mesh_http_part(ngx_http_request_t *r, ngx_mesh_http_parts_t *parts)
{
    ngx_int_t     rc;
    ngx_chain_t  *out, *cl;

    out = NULL;

    rc = parts->part(parts->data, r->pool, &out);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {

        for (cl = out; cl->next; cl = cl->next) { /* void */ }

        cl->buf->last_buf = (r == r->main) ? 1 : 0;
        cl->buf->last_in_chain = 1;
        parts->done = 1;
    }

    return out ? ngx_mesh_http_flush(r, parts, out) : ngx_mesh_http_next(r);
}


static ngx_int_t
ngx_mesh_http_flush(ngx_http_request_t *r, ngx_mesh_http_parts_t *parts,
    ngx_chain_t *out)
{
    ngx_int_t  rc;

    rc = ngx_http_output_filter(r, out);

    /* what has not left after the last part leaves by nginx's own writer */

    if (rc == NGX_ERROR || parts->done) {
        return rc;
    }

    ngx_chain_update_chains(r->pool, parts->free, &parts->busy, &out,
                            (ngx_buf_tag_t) &ngx_mesh_http_module);

    return parts->busy ? ngx_mesh_http_wait(r) : ngx_mesh_http_next(r);
}


/* other events first */

static ngx_int_t
ngx_mesh_http_next(ngx_http_request_t *r)
{
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    ngx_post_event(wev, &ngx_posted_next_events);

    return NGX_DONE;
}


static void
ngx_mesh_http_writer(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_mesh_http_parts_t  *parts;

    if (ngx_mesh_http_timed_out(r)) {
        return;
    }

    parts = ngx_http_get_module_ctx(r, ngx_mesh_http_module);

    if (r->connection->write->delayed || r->aio) {
        rc = ngx_mesh_http_wait(r);

    } else if (parts->busy) {
        rc = ngx_mesh_http_flush(r, parts, NULL);

    } else {
        rc = ngx_mesh_http_part(r, parts);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


ngx_uint_t
ngx_mesh_http_timed_out(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (!c->write->timedout) {
        return 0;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
    c->timedout = 1;

    ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);

    return 1;
}


ngx_int_t
ngx_mesh_http_wait(ngx_http_request_t *r)
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
