
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_handover.h"


static void ngx_mesh_session_read_handler(ngx_event_t *rev);
static void ngx_mesh_session_write_handler(ngx_event_t *wev);
static void ngx_mesh_session_read(ngx_mesh_session_t *ms);
static void ngx_mesh_session_result(ngx_mesh_session_t *ms, ngx_int_t rc);
static void ngx_mesh_session_timeout(ngx_mesh_session_t *ms);
static ngx_int_t ngx_mesh_session_frame(void *data, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);
static void ngx_mesh_session_ack(ngx_mesh_session_t *ms, u_char *p,
    ngx_mesh_frame_t *f);
static void ngx_mesh_session_response(ngx_mesh_session_t *ms, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);
static ngx_int_t ngx_mesh_session_oversize(void *data, ngx_mesh_frame_t *f);
static void ngx_mesh_session_bad(ngx_mesh_session_t *ms, ngx_mesh_frame_t *f);
static void ngx_mesh_session_garbage(ngx_mesh_session_t *ms);
static void ngx_mesh_session_partial(ngx_mesh_session_t *ms);
static void ngx_mesh_session_pause(ngx_mesh_session_t *ms);
static void ngx_mesh_session_resume(ngx_mesh_session_t *ms);


#define ngx_mesh_session_queued()                                            \
    ((size_t) ngx_mesh_gauges[NGX_MESH_G_BUFFERS]                             \
     - ngx_mesh_worker.partial_size)

#define ngx_mesh_session_crowded()                                           \
    (ngx_mesh_session_queued() > ngx_mesh_worker.buffer_max)


void
ngx_mesh_session_start(ngx_connection_t *c, ngx_mesh_proxy_conf_t *conf,
    off_t *received, void *data, void (*finalize)(void *data, ngx_int_t rc))
{
    size_t                     n;
    ngx_int_t                  rc;
    ngx_msec_t                 idle;
    ngx_mesh_session_t        *ms;
    ngx_mesh_handover_t       *ho;
    const ngx_mesh_codec_t   **codecs;

    ms = ngx_pcalloc(c->pool, sizeof(ngx_mesh_session_t));
    if (ms == NULL) {
        finalize(data, NGX_ERROR);
        return;
    }

    ms->connection = c;
    ms->conf = conf;
    ms->received = received;
    ms->data = data;
    ms->finalize = finalize;
    ms->active = ngx_current_msec;
    ms->reader.client = 1;

    if (conf->codecs->nelts == 1) {
        codecs = conf->codecs->elts;
        ms->reader.codec = codecs[0];
    }

    ngx_queue_init(&ms->requests);
    ngx_queue_init(&ms->links);
    ngx_queue_init(&ms->reverse);

    ho = ngx_mesh_handover_state(c);

    if (ho == NULL) {
        ngx_mesh_count(NGX_MESH_M_SESSIONS);
    }

    ngx_mesh_gauge(NGX_MESH_G_SESSIONS, 1);
    ngx_mesh_worker.nsessions++;

    c->data = ms;
    c->idle = 1;
    c->log->action = "serving client";

    c->read->handler = ngx_mesh_session_read_handler;
    c->write->handler = ngx_mesh_session_write_handler;
    c->read->cancelable = 1;

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_mesh_session_close(ms, NGX_ERROR);
        return;
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (ho && ngx_mesh_handover_restore(ms, ho) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0, "client speaks %V, which is no "
                      "longer served here", &ho->codec);
        ngx_mesh_session_drain(ms);
        return;
    }

    idle = ngx_current_msec - ms->active;

    ngx_add_timer(c->read, idle < conf->client_timeout
                           ? conf->client_timeout - idle : 1);

    if (c->buffer && c->buffer->pos < c->buffer->last) {
        n = c->buffer->last - c->buffer->pos;

        rc = ngx_mesh_read_buffer(&ms->reader, conf->codecs, conf->max_frame,
                                  ngx_mesh_session_frame,
                                  ngx_mesh_session_oversize, ms,
                                  c->buffer->pos, n);
        c->buffer->pos = c->buffer->last;

        if (rc != NGX_OK) {
            ngx_mesh_session_result(ms, rc);
            return;
        }
    }

    if (ngx_exiting) {
        ngx_mesh_session_retire(ms);

        if (ms->moving) {
            return;
        }
    }

    ngx_mesh_session_read(ms);
}


void *
ngx_mesh_session_data(ngx_mesh_session_t *ms)
{
    return ms->data;
}


static void
ngx_mesh_session_read_handler(ngx_event_t *rev)
{
    ngx_connection_t    *c;
    ngx_mesh_session_t  *ms;

    c = rev->data;
    ms = c->data;

    if (rev->timedout) {
        rev->timedout = 0;
        ngx_mesh_session_timeout(ms);
        return;
    }

    if (c->close) {

        if (ms->moving) {

            /* whose it is the channel will tell, which ends now too */

            return;
        }

        c->close = 0;

        if (c->error) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0, "shutdown timeout");
            ngx_mesh_session_close(ms, NGX_OK);
            return;
        }

        ngx_mesh_session_retire(ms);
        return;
    }

    if (ms->failed || ms->moving) {
        return;
    }

    if (ms->leaving && ngx_mesh_handover_try(ms) == NGX_OK) {
        return;
    }

    ngx_mesh_session_read(ms);
}


static void
ngx_mesh_session_read(ngx_mesh_session_t *ms)
{
    off_t                   received;
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_mesh_proxy_conf_t  *conf;

    c = ms->connection;
    conf = ms->conf;
    received = 0;

    rc = ngx_mesh_read(c, &ms->reader, conf->codecs, conf->max_frame,
                       ngx_mesh_session_frame, ngx_mesh_session_oversize, ms,
                       &received);

    if (received) {
        ms->active = ngx_current_msec;
        *ms->received += received;
    }

    if (rc != NGX_AGAIN) {
        ngx_mesh_session_result(ms, rc);
        return;
    }

    ngx_mesh_session_partial(ms);

    if (ms->leaving && ngx_mesh_handover_try(ms) == NGX_OK) {
        return;
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_mesh_session_close(ms, NGX_ERROR);
        return;
    }

    if (ms->draining && received && ms->nrequests == 0) {
        ngx_mesh_session_linger(ms);
    }
}


static void
ngx_mesh_session_result(ngx_mesh_session_t *ms, ngx_int_t rc)
{
    if (rc == NGX_ABORT) {
        ngx_mesh_session_garbage(ms);
        ngx_mesh_session_close(ms, NGX_ABORT);
        return;
    }

    ngx_mesh_session_close(ms, (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR);
}


/* tells the log what came, and the client what it will understand */

static void
ngx_mesh_session_garbage(ngx_mesh_session_t *ms)
{
    ngx_connection_t          *c;
    ngx_mesh_reader_t         *reader;
    const ngx_mesh_foreign_t  *foreign;

    c = ms->connection;
    reader = &ms->reader;

    ngx_mesh_count(NGX_MESH_M_BAD_CLIENT);

    foreign = ngx_mesh_codec_foreign(reader->head, reader->nhead);

    if (foreign) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "client speaks %V, which \"mesh_pass\" does not serve",
                      &foreign->name);

        if (ms->out.size == 0) {
            (void) c->send(c, foreign->answer.data, foreign->answer.len);
        }

        return;
    }

    if (reader->codec == NULL) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "client began with bytes of no protocol of "
                      "\"mesh_pass auto\"");
        return;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "client sent bytes that are no %V frame",
                  &reader->codec->name);
}


/* the timer is not moved with every call: it looks when it runs out */

static void
ngx_mesh_session_timeout(ngx_mesh_session_t *ms)
{
    ngx_msec_t         idle;
    ngx_connection_t  *c;

    c = ms->connection;
    idle = ngx_current_msec - ms->active;

    if (ms->draining) {
        ngx_mesh_session_drained(ms);
        return;
    }

    if (idle < ms->conf->client_timeout) {
        ngx_add_timer(c->read, ms->conf->client_timeout - idle);
        return;
    }

    if (ms->nrequests) {
        ngx_add_timer(c->read, ms->conf->client_timeout);
        return;
    }

    ngx_mesh_count(NGX_MESH_M_CLIENT_TIMEOUT);
    ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                  "client was idle for %M ms, closing", idle);

    ngx_mesh_session_close(ms, NGX_OK);
}


static ngx_int_t
ngx_mesh_session_frame(void *data, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk)
{
    ngx_mesh_session_t  *ms;

    ms = data;

    if (ms->in_partial) {
        ngx_queue_remove(&ms->partial);
        ms->in_partial = 0;
    }

    if (ms->nrequests && ms->reader.codec->id_bits == 0) {

        /* only their order tells answers apart */

        return NGX_BUSY;
    }

    if (f->bad) {
        ngx_mesh_session_bad(ms, f);
        return NGX_OK;
    }

    switch (f->kind) {

    case NGX_MESH_FRAME_REQUEST:
    case NGX_MESH_FRAME_ONEWAY:
        ms->serial = f->serial;
        ms->variant = f->variant;

        (void) ngx_mesh_request_take(ms, p, f, chunk, ngx_mesh_now(), NULL);
        break;

    case NGX_MESH_FRAME_HEARTBEAT:
        ngx_mesh_session_ack(ms, p, f);
        break;

    case NGX_MESH_FRAME_RESPONSE:
        ngx_mesh_session_response(ms, p, f, chunk);
        break;

    default:
        break;
    }

    return NGX_OK;
}


static void
ngx_mesh_session_ack(ngx_mesh_session_t *ms, u_char *p, ngx_mesh_frame_t *f)
{
    size_t                   n;
    u_char                  *dst;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;

    ngx_mesh_count(NGX_MESH_M_HB_CLIENT);

    dst = ngx_mesh_out_reserve(&ms->out, f->size + 256);
    if (dst == NULL) {
        return;
    }

    n = codec->ack(codec, dst, f->size + 256, p, f);
    ngx_mesh_out_commit(&ms->out, n);

    ngx_mesh_session_post(ms);
}


/* a client answers what a provider asked through a pinned link */

static void
ngx_mesh_session_response(ngx_mesh_session_t *ms, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk)
{
    u_char                  *pos;
    ngx_queue_t             *q;
    ngx_mesh_reverse_t      *rev;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;

    for (q = ngx_queue_head(&ms->reverse);
         q != ngx_queue_sentinel(&ms->reverse);
         q = ngx_queue_next(q))
    {
        rev = ngx_queue_data(q, ngx_mesh_reverse_t, queue);

        if (rev->id != f->id) {
            continue;
        }

        codec->set_id(codec, p, f, rev->link_id);

        if (ngx_mesh_link_queue(rev->link, p, f->size, chunk, &pos)
            == NGX_OK)
        {
            ngx_mesh_link_post(rev->link);
        }

        ngx_queue_remove(q);
        ngx_free(rev);
        ms->nreverse--;

        return;
    }

    ngx_mesh_count(NGX_MESH_M_STRAY);
}


/* its length holds, so the stream goes on behind it */

static void
ngx_mesh_session_bad(ngx_mesh_session_t *ms, ngx_mesh_frame_t *f)
{
    ngx_str_t  text;

    if (f->bad == NGX_MESH_BAD_CHECKSUM) {
        ngx_mesh_count(NGX_MESH_M_CHECKSUM_CLIENT);
        ngx_str_set(&text, "the checksum of the request is wrong");

    } else {
        ngx_mesh_count(NGX_MESH_M_COMMAND_CLIENT);
        ngx_str_set(&text, "the command of the request is unknown");
    }

    ngx_log_error(NGX_LOG_INFO, ms->connection->log, 0,
                  "client sent a damaged frame: %V", &text);

    if (f->kind == NGX_MESH_FRAME_REQUEST || f->kind == NGX_MESH_FRAME_ONEWAY) {
        ngx_mesh_request_refuse(ms, f, NGX_MESH_ERR_BAD_REQUEST, &text);
    }
}


static ngx_int_t
ngx_mesh_session_oversize(void *data, ngx_mesh_frame_t *f)
{
    ngx_str_t            text;
    ngx_uint_t           err;
    ngx_mesh_session_t  *ms;

    ms = data;

    ngx_mesh_count(NGX_MESH_M_OVERSIZE);

    err = ms->reader.crowded ? NGX_MESH_ERR_OVERLOAD : NGX_MESH_ERR_TOO_LARGE;

    if (ms->reader.crowded) {
        ngx_log_error(NGX_LOG_INFO, ms->connection->log, 0,
                      "no room for a frame of %uz bytes within "
                      "\"worker_buffer\"", f->size);
        ngx_str_set(&text, "no room for the request");

    } else {
        ngx_log_error(NGX_LOG_INFO, ms->connection->log, 0,
                      "client sent a frame of %uz bytes, "
                      "\"mesh_max_frame\" is %uz", f->size,
                      ms->conf->max_frame);
        ngx_str_set(&text, "the request is larger than mesh_max_frame");
    }

    if (f->late) {

        /* the id of the answer is among the bytes that are not read */

        return NGX_ERROR;
    }

    if (f->kind == NGX_MESH_FRAME_REQUEST || f->kind == NGX_MESH_FRAME_ONEWAY) {
        ngx_mesh_request_refuse(ms, f, err, &text);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_session_queue(ngx_mesh_session_t *ms, u_char *p, size_t size,
    ngx_mesh_chunk_t *chunk)
{
    u_char  *dst;

    if (ms->out.size > ms->conf->client_buffer && !ms->failed) {

        /* one answer may be larger, but nothing comes on top of it */

        ms->failed = 1;
        ms->slow = 1;
        ngx_post_event(ms->connection->write, &ngx_posted_events);
        return NGX_DECLINED;
    }

    if (chunk && size > ms->conf->buffer_size) {
        chunk->refs++;
        ngx_mesh_out_append(&ms->out, chunk);

    } else {
        dst = ngx_mesh_out_reserve(&ms->out, size);
        if (dst == NULL) {

            /* an answer that cannot be kept must not be silently missing */

            ms->failed = 1;
            ngx_post_event(ms->connection->write, &ngx_posted_events);
            return NGX_ERROR;
        }

        ngx_memcpy(dst, p, size);
        ngx_mesh_out_commit(&ms->out, size);
    }

    ngx_mesh_session_post(ms);

    return NGX_OK;
}


void
ngx_mesh_session_post(ngx_mesh_session_t *ms)
{
    ngx_connection_t  *c;

    c = ms->connection;

    if ((ms->out.size >= NGX_MESH_WRITE_AT_ONCE
         || ngx_mesh_session_queued() > NGX_MESH_CHUNKS_KEPT)
        && c->write->ready && !ms->failed)
    {
        /* answers for a thousand clients at once are better written one by
           one than kept together: each would hold a chunk until then */

        if (ngx_mesh_out_flush(&ms->out, c) == NGX_ERROR) {

            /* whoever queued this answer still uses the session */

            ms->failed = 1;

        } else {
            ms->active = ngx_current_msec;

            /* the first that does not fit has to ask for more room */

            if (!c->write->ready
                && ngx_handle_write_event(c->write, 0) != NGX_OK)
            {
                ms->failed = 1;
            }
        }
    }


    if (ms->out.size > ms->conf->client_buffer / 4
        || ngx_mesh_session_crowded())
    {
        ngx_mesh_session_pause(ms);
    }

    if (c->write->ready || ms->failed) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static void
ngx_mesh_session_write_handler(ngx_event_t *wev)
{
    off_t                sent;
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_mesh_session_t  *ms;

    c = wev->data;
    ms = c->data;

    if (ms->failed) {
        if (ms->slow) {
            ngx_mesh_count(NGX_MESH_M_CLIENT_SLOW);
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "client left %uz bytes of answers unread, "
                          "\"mesh_client_buffer\" is %uz", ms->out.size,
                          ms->conf->client_buffer);
        }

        ngx_mesh_session_close(ms, NGX_ERROR);
        return;
    }

    if (wev->posted || ms->moving) {
        return;
    }

    sent = c->sent;

    rc = ngx_mesh_out_flush(&ms->out, c);

    if (rc == NGX_ERROR) {
        ngx_mesh_session_close(ms, NGX_ERROR);
        return;
    }

    if (c->sent != sent) {
        ms->active = ngx_current_msec;
    }

    if (rc == NGX_AGAIN && ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_mesh_session_close(ms, NGX_ERROR);
        return;
    }

    if (ms->in_paused && ms->out.size <= ms->conf->client_buffer / 8
        && !ngx_mesh_session_crowded())
    {
        ngx_mesh_session_resume(ms);
    }

    if (ms->leaving && rc == NGX_OK && ngx_mesh_handover_try(ms) == NGX_OK) {
        return;
    }

    if (ms->draining && ms->nrequests == 0 && rc == NGX_OK
        && (c->sent != sent || !c->read->timer_set))
    {
        if (ms->rounds && (ms->reader.halt || !c->read->ready)
            && ngx_mesh_session_rests(ms))
        {
            ngx_mesh_session_close(ms, NGX_OK);
            return;
        }

        ngx_mesh_session_linger(ms);
    }
}


static void
ngx_mesh_session_partial(ngx_mesh_session_t *ms)
{
    if (!ngx_mesh_reader_partial(&ms->reader)) {

        if (ms->in_partial) {
            ngx_queue_remove(&ms->partial);
            ms->in_partial = 0;
        }

        return;
    }

    /* a byte a second is no progress worth waiting for: the time runs from
       the moment the frame began, anew for every 64 KiB of a long one */

    if (ms->in_partial && ms->reader.part == ms->part
        && *ms->received - ms->part_from < NGX_MESH_RECV_SIZE)
    {
        return;
    }

    ms->since = ngx_current_msec;
    ms->part = ms->reader.part;
    ms->part_from = *ms->received;

    if (!ms->in_partial) {
        ngx_queue_insert_tail(&ngx_mesh_worker.partial, &ms->partial);
        ms->in_partial = 1;
    }
}


void
ngx_mesh_session_check_partial(void)
{
    ngx_queue_t         *q, *next;
    ngx_mesh_session_t  *ms;

    for (q = ngx_queue_head(&ngx_mesh_worker.partial);
         q != ngx_queue_sentinel(&ngx_mesh_worker.partial);
         q = next)
    {
        next = ngx_queue_next(q);
        ms = ngx_queue_data(q, ngx_mesh_session_t, partial);

        if ((ms->in_paused && ms->reader.part == NULL)
            || ngx_current_msec - ms->since < ms->conf->header_timeout)
        {
            continue;
        }

        ngx_mesh_count(NGX_MESH_M_HEADER_TIMEOUT);
        ngx_log_error(NGX_LOG_INFO, ms->connection->log, NGX_ETIMEDOUT,
                      "client did not complete its frame");

        ngx_mesh_session_close(ms, NGX_ABORT);
    }
}


static void
ngx_mesh_session_pause(ngx_mesh_session_t *ms)
{
    if (ms->in_paused) {
        return;
    }

    ngx_mesh_count(NGX_MESH_M_PAUSED);

    ms->reader.stop = 1;
    ms->in_paused = 1;
    ngx_queue_insert_tail(&ngx_mesh_worker.paused, &ms->paused);
}


static void
ngx_mesh_session_resume(ngx_mesh_session_t *ms)
{
    ngx_queue_remove(&ms->paused);
    ms->in_paused = 0;
    ms->since = ngx_current_msec;
    ms->reader.stop = 0;

    ngx_post_event(ms->connection->read, &ngx_posted_events);
}


void
ngx_mesh_session_resume_all(void)
{
    ngx_queue_t         *q, *next;
    ngx_mesh_session_t  *ms;

    if (ngx_mesh_session_crowded()) {
        return;
    }

    for (q = ngx_queue_head(&ngx_mesh_worker.paused);
         q != ngx_queue_sentinel(&ngx_mesh_worker.paused);
         q = next)
    {
        next = ngx_queue_next(q);
        ms = ngx_queue_data(q, ngx_mesh_session_t, paused);

        if (ms->out.size <= ms->conf->client_buffer / 8) {
            ngx_mesh_session_resume(ms);
        }
    }
}


void
ngx_mesh_session_done(ngx_mesh_session_t *ms)
{
    if (ms->nrequests) {
        return;
    }

    if (ms->reader.hold) {
        ngx_post_event(ms->connection->read, &ngx_posted_events);
        return;
    }

    if (ms->draining || ms->leaving) {
        ngx_post_event(ms->connection->write, &ngx_posted_events);
    }
}
