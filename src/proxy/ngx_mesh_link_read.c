
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


static ngx_int_t ngx_mesh_link_frame(void *data, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);
static void ngx_mesh_link_response(ngx_mesh_link_t *link, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);
static void ngx_mesh_link_request(ngx_mesh_link_t *link, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);
static ngx_int_t ngx_mesh_link_oversize(void *data, ngx_mesh_frame_t *f);
static void ngx_mesh_link_bad(ngx_mesh_link_t *link, ngx_mesh_frame_t *f);
static void ngx_mesh_link_spoilt(ngx_mesh_link_t *link, ngx_mesh_frame_t *f,
    ngx_str_t *text);
static void ngx_mesh_link_heartbeat(ngx_mesh_link_t *link);


/* idle links ask less and less often, up to this (ms) */

#define NGX_MESH_HEARTBEAT_MAX  60000


static ngx_str_t  ngx_mesh_link_shared = ngx_string("nginx-mesh: this "
    "connection is shared, callbacks need \"mesh_multiplex off\"");
static ngx_str_t  ngx_mesh_link_many = ngx_string("nginx-mesh: too many "
    "callbacks are unanswered");


void
ngx_mesh_link_read_handler(ngx_event_t *rev)
{
    off_t                  received;
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_mesh_link_t       *link;
    ngx_mesh_peer_t       *peer;

    c = rev->data;
    link = c->data;
    peer = link->bundle->peer;

    if (c->close) {
        c->close = 0;

        if (c->error || ngx_mesh_worker.nsessions == 0) {
            ngx_mesh_link_close(link, "nginx exits", 0);
            return;
        }

        /* during a TLS handshake nobody saw it, so this may be an answer */
    }

    if (!link->connected || link->failed) {

        /* the write handler tells how connecting ended */

        return;
    }

    received = 0;

    rc = ngx_mesh_read(c, &link->reader, NULL, link->bundle->conf->max_frame,
                       ngx_mesh_link_frame, ngx_mesh_link_oversize, link,
                       &received);

    if (rc == NGX_DONE) {
        return;
    }

    if (received) {
        link->received = ngx_current_msec;
        peer->stats->n[NGX_MESH_E_RECEIVED] += received;
        peer->stats->dirty = 1;
    }

    switch (rc) {

    case NGX_AGAIN:
        if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            ngx_mesh_link_close(link, "link failed", 1);
            return;
        }

        ngx_mesh_link_done(link);
        return;

    case NGX_DECLINED:
        if (link->nused) {
            ngx_log_error(NGX_LOG_ERR, c->log, 0,
                          "endpoint closed the connection with %ui "
                          "calls in flight", link->nused);
        }

        ngx_mesh_link_close(link, "endpoint closed the connection",
                            link->nused || !link->answered);
        return;

    case NGX_ABORT:
        ngx_mesh_count(NGX_MESH_M_BAD_PROVIDER);
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "endpoint sent bytes that are no %V frame",
                      &link->bundle->codec->name);
        ngx_mesh_link_close(link, "endpoint sent garbage", 1);
        return;

    default:
        /* a link that was idle says little about its provider */

        ngx_mesh_link_close(link, "connection to endpoint was lost",
                            link->nused || !link->answered);
    }
}


static ngx_int_t
ngx_mesh_link_frame(void *data, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk)
{
    size_t            n;
    u_char           *dst;
    ngx_mesh_link_t  *link;

    link = data;
    link->framed = ngx_current_msec;

    if (!link->answered) {
        link->answered = 1;
        ngx_mesh_peer_ok(link->bundle->peer);
    }

    if (f->bad) {
        ngx_mesh_link_bad(link, f);
        return NGX_OK;
    }

    switch (f->kind) {

    case NGX_MESH_FRAME_RESPONSE:
        ngx_mesh_link_response(link, p, f, chunk);
        break;

    case NGX_MESH_FRAME_ACK:
        break;

    case NGX_MESH_FRAME_HEARTBEAT:
        ngx_mesh_count(NGX_MESH_M_HB_PROVIDER);

        if (link->out.size > link->bundle->conf->link_buffer) {

            /* it asks and does not read */

            break;
        }

        dst = ngx_mesh_out_reserve(&link->out, f->size + 256);

        if (dst) {
            n = link->bundle->codec->ack(link->bundle->codec, dst,
                                         f->size + 256, p, f);
            ngx_mesh_out_commit(&link->out, n);
            ngx_mesh_link_post(link);
        }

        break;

    case NGX_MESH_FRAME_READONLY:
        ngx_mesh_count(NGX_MESH_M_READONLY);

        if (!link->draining) {
            ngx_log_error(NGX_LOG_NOTICE, &link->log, 0,
                          "endpoint became read-only, draining the link");
            link->draining = 1;
        }

        ngx_mesh_peer_set_readonly(link->bundle->peer);
        break;

    case NGX_MESH_FRAME_REQUEST:
    case NGX_MESH_FRAME_ONEWAY:
        ngx_mesh_link_request(link, p, f, chunk);
        break;

    default:
        break;
    }

    /* a link that failed meanwhile is closed by its posted write handler */

    return NGX_OK;
}


static void
ngx_mesh_link_response(ngx_mesh_link_t *link, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk)
{
    ngx_mesh_request_t  *r;

    r = ngx_mesh_slot_find(link, f->id);

    if (r == NULL) {
        ngx_mesh_count(NGX_MESH_M_STRAY);
        return;
    }

    if (r->resting) {
        ngx_mesh_count(NGX_MESH_M_ABANDONED);
        ngx_mesh_slot_free(r);
        return;
    }

    if (link->bundle->peer->fails || link->bundle->peer->starting) {
        ngx_mesh_peer_ok(link->bundle->peer);
    }

    ngx_mesh_request_answer(r, p, f, chunk);
}


/*
 * A provider calls back.  On a pinned link there is just one client that may
 * be meant; on a shared link nobody knows.
 */

static void
ngx_mesh_link_request(ngx_mesh_link_t *link, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk)
{
    size_t                   n;
    u_char                  *dst;
    uint64_t                 id;
    ngx_str_t               *text;
    ngx_mesh_session_t      *ms;
    ngx_mesh_reverse_t      *rev;
    const ngx_mesh_codec_t  *codec;

    ms = link->owner;
    codec = link->bundle->codec;
    text = &ngx_mesh_link_shared;

    if (ms && codec->id_bits) {
        if (f->kind == NGX_MESH_FRAME_ONEWAY) {
            (void) ngx_mesh_session_queue(ms, p, f->size, chunk);
            return;
        }

        rev = NULL;
        text = &ngx_mesh_link_many;

        if (ms->nreverse < ms->conf->max_requests) {
            rev = ngx_alloc(sizeof(ngx_mesh_reverse_t), &link->log);
        }

        if (rev) {
            id = ms->reverse_id++;

            rev->id = id;
            rev->link_id = f->id;
            rev->link = link;
            ngx_queue_insert_tail(&ms->reverse, &rev->queue);
            ms->nreverse++;

            codec->set_id(codec, p, f, id);
            (void) ngx_mesh_session_queue(ms, p, f->size, chunk);
            return;
        }
    }

    ngx_mesh_count(NGX_MESH_M_CALLBACK);

    if (f->kind == NGX_MESH_FRAME_ONEWAY
        || link->out.size > link->bundle->conf->link_buffer)
    {
        return;
    }

    if (codec->error == NULL) {
        return;
    }

    dst = ngx_mesh_out_reserve(&link->out, text->len * 3 + 256);
    if (dst == NULL) {
        return;
    }

    n = codec->error(codec, dst, text->len * 3 + 256, f,
                     NGX_MESH_ERR_CALLBACK, text);
    ngx_mesh_out_commit(&link->out, n);
    ngx_mesh_link_post(link);
}


static ngx_int_t
ngx_mesh_link_oversize(void *data, ngx_mesh_frame_t *f)
{
    ngx_str_t         text;
    ngx_mesh_link_t  *link;

    link = data;

    ngx_mesh_count(NGX_MESH_M_OVERSIZE);

    if (f->late) {
        ngx_log_error(NGX_LOG_ERR, &link->log, 0,
                      "endpoint sent a frame of %uz bytes, which cannot be "
                      "told from others without reading it", f->size);
        return NGX_ERROR;
    }

    if (link->reader.crowded) {
        ngx_str_set(&text, "no room for the answer within worker_buffer");

    } else {
        ngx_str_set(&text, "the answer is larger than mesh_max_frame");
    }

    ngx_mesh_link_spoilt(link, f, &text);

    return NGX_OK;
}


static void
ngx_mesh_link_bad(ngx_mesh_link_t *link, ngx_mesh_frame_t *f)
{
    ngx_str_t  text;

    if (f->bad == NGX_MESH_BAD_CHECKSUM) {
        ngx_mesh_count(NGX_MESH_M_CHECKSUM_PROVIDER);
        ngx_str_set(&text, "the checksum of the answer is wrong");

    } else {
        ngx_mesh_count(NGX_MESH_M_COMMAND_PROVIDER);
        ngx_str_set(&text, "the command of the answer is unknown");
    }

    if (!link->damaged) {
        link->damaged = 1;
        ngx_log_error(NGX_LOG_ERR, &link->log, 0,
                      "endpoint sent a damaged frame: %V", &text);
    }

    ngx_mesh_link_spoilt(link, f, &text);
}


/* an answer came of which the caller can get nothing but the news */

static void
ngx_mesh_link_spoilt(ngx_mesh_link_t *link, ngx_mesh_frame_t *f,
    ngx_str_t *text)
{
    ngx_mesh_request_t  *r;

    if (f->kind != NGX_MESH_FRAME_RESPONSE) {
        return;
    }

    r = ngx_mesh_slot_find(link, f->id);

    if (r == NULL) {
        ngx_mesh_count(NGX_MESH_M_STRAY);
        return;
    }

    if (r->resting) {
        ngx_mesh_count(NGX_MESH_M_ABANDONED);
        ngx_mesh_slot_free(r);
        return;
    }

    ngx_mesh_request_fail(r, NGX_MESH_ERR_BAD_RESPONSE, 0, text);
}


/*
 * One timer per link: it asks when nothing was received for the interval,
 * and gives the link up when calls or the question stay without any byte
 * for two heartbeats more.
 */

void
ngx_mesh_link_timer_handler(ngx_event_t *ev)
{
    ngx_msec_t         quiet, heartbeat;
    ngx_mesh_link_t   *link;
    ngx_connection_t  *dummy;

    dummy = ev->data;
    link = dummy->data;
    heartbeat = link->bundle->conf->heartbeat;
    quiet = ngx_current_msec - link->received;

    if (link->bundle->codec->id_bits == 0) {

        /* there may be as many as there were calls at a time */

        if (link->nused == 0
            && ngx_current_msec - link->sent >= NGX_MESH_LINK_IDLE)
        {
            ngx_mesh_link_close(link, "link was idle", 0);
            return;
        }

        if (heartbeat == 0) {
            ngx_add_timer(ev, NGX_MESH_LINK_IDLE);
            return;
        }
    }

    if (link->waiting
        && (ngx_msec_int_t) (link->received - link->asked) >= 0)
    {
        /* anything received after the question answers it */

        link->waiting = 0;
    }

    if (link->waiting && ngx_current_msec - link->asked >= 2 * heartbeat) {
        ngx_log_error(NGX_LOG_ERR, &link->log, 0,
                      "endpoint is silent for %M ms with %ui calls in flight",
                      quiet, link->nused);

        ngx_mesh_count(NGX_MESH_M_LINK_SILENT);
        link->bundle->peer->stats->n[NGX_MESH_E_SILENT]++;
        link->bundle->peer->stats->dirty = 1;

        ngx_mesh_link_close(link, "endpoint is silent", 1);
        return;
    }

    /* answers to heartbeats would go on filling a frame that was cut */

    if (link->nused == 0 && link->reader.part
        && ngx_current_msec - link->framed >= 2 * heartbeat)
    {
        ngx_mesh_link_close(link, "endpoint left a frame unfinished", 0);
        return;
    }

    /* idle links are asked less often, busy ones at the full rate */

    if (link->nused || ngx_current_msec - link->sent < heartbeat) {
        link->interval = heartbeat;
    }

    if (!link->waiting && quiet >= (link->nused ? heartbeat : link->interval)) {
        ngx_mesh_link_heartbeat(link);

        if (link->nused == 0 && link->interval < NGX_MESH_HEARTBEAT_MAX) {
            link->interval = ngx_min(link->interval * 2,
                                     ngx_max(NGX_MESH_HEARTBEAT_MAX,
                                             heartbeat));
        }

        quiet = 0;
    }

    if (link->waiting) {
        quiet = ngx_current_msec - link->asked;
        ngx_add_timer(ev, ngx_max(2 * heartbeat - quiet, 1));
        return;
    }

    ngx_add_timer(ev, (quiet && quiet < heartbeat) ? heartbeat - quiet
                                                   : heartbeat);
}


static void
ngx_mesh_link_heartbeat(ngx_mesh_link_t *link)
{
    size_t                   n;
    u_char                  *dst;
    ngx_mesh_frame_t         f;
    const ngx_mesh_codec_t  *codec;

    codec = link->bundle->codec;

    dst = ngx_mesh_out_reserve(&link->out, 256);
    if (dst == NULL) {
        return;
    }

    ngx_memzero(&f, sizeof(ngx_mesh_frame_t));
    f.serial = link->serial;
    f.variant = link->variant;
    f.id = NGX_MESH_SLOT_NONE;

    n = codec->heartbeat(codec, dst, 256, &f);
    if (n == 0) {
        ngx_mesh_out_cancel(&link->out);
        return;
    }

    ngx_mesh_out_commit(&link->out, n);
    ngx_mesh_count(NGX_MESH_M_HB_SENT);

    link->waiting = 1;
    link->asked = ngx_current_msec;

    ngx_mesh_link_post(link);
}
