
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* how sessions end, or leave the worker */


static void ngx_mesh_session_end(ngx_mesh_session_t *ms, ngx_int_t rc);
static void ngx_mesh_session_leave(void);


/* the worker is leaving: another one takes the session over, if it may */

void
ngx_mesh_session_retire(ngx_mesh_session_t *ms)
{
    if (ms->leaving || ms->draining) {
        return;
    }

    if (ngx_mesh_handover_leave(ms) != NGX_OK) {
        ngx_mesh_session_drain(ms);
    }
}


/* new calls had better go elsewhere */

void
ngx_mesh_session_drain(ngx_mesh_session_t *ms)
{
    size_t                   n;
    u_char                  *dst;
    ngx_mesh_frame_t         f;
    const ngx_mesh_codec_t  *codec;

    if (ms->draining) {
        return;
    }

    ms->draining = 1;
    ms->untold = 1;
    codec = ms->reader.codec;

    ngx_memzero(&f, sizeof(ngx_mesh_frame_t));
    f.serial = ms->serial;
    f.variant = ms->variant;

    dst = codec ? ngx_mesh_out_reserve(&ms->out, 256) : NULL;

    if (dst) {
        n = codec->notice(codec, dst, 256, &f);

        if (n) {
            ngx_mesh_out_commit(&ms->out, n);
            ngx_mesh_count(NGX_MESH_M_NOTICE);
            ngx_mesh_session_post(ms);
            ms->untold = 0;

        } else {
            ngx_mesh_out_cancel(&ms->out);
        }
    }

    ngx_mesh_session_linger(ms);
}


/*
 * Calls that were on their way before the client heard are answered too: the
 * connection closes after a moment of silence.  Who was not told may never be
 * silent, so that the moment ends by itself.
 */

void
ngx_mesh_session_linger(ngx_mesh_session_t *ms)
{
    ngx_event_t  *rev;

    rev = ms->connection->read;

    if (rev->timer_set) {

        if (ms->untold && !rev->cancelable) {
            return;
        }

        ngx_del_timer(rev);
    }

    rev->cancelable = 0;
    ngx_add_timer(rev, NGX_MESH_LINGER);
}


/*
 * The moment is over.  The worker stays for answers, those not read yet
 * included, and for the rest of a frame, which has its own time; but where
 * calls of an untold client overlap without end, no more of them are read.
 */

void
ngx_mesh_session_drained(ngx_mesh_session_t *ms)
{
    if (ms->nrequests == 0
        && (ngx_mesh_session_rests(ms)
            || ngx_current_msec - ms->active >= ms->conf->client_timeout))
    {
        ngx_mesh_session_close(ms, NGX_OK);
        return;
    }

    if (ms->untold && ms->rounds < NGX_MESH_LINGER_ROUNDS
        && ++ms->rounds == NGX_MESH_LINGER_ROUNDS)
    {
        ms->reader.halt = 1;
    }

    ngx_add_timer(ms->connection->read, NGX_MESH_LINGER);
}


/* is there nothing half done, calls in flight aside? */

ngx_uint_t
ngx_mesh_session_rests(ngx_mesh_session_t *ms)
{
    if (ms->out.size || ms->reader.part || ms->reader.hold) {
        return 0;
    }

    return ms->reader.halt || !ngx_mesh_reader_partial(&ms->reader);
}


void
ngx_mesh_session_close(ngx_mesh_session_t *ms, ngx_int_t rc)
{
    ngx_queue_t         *q;
    ngx_mesh_request_t  *r;
    ngx_mesh_reverse_t  *rev;

    ms->failed = 1;

    if (ms->leaving) {
        ngx_mesh_handover_forget(ms);
    }

    while (!ngx_queue_empty(&ms->requests)) {
        q = ngx_queue_head(&ms->requests);
        r = ngx_queue_data(q, ngx_mesh_request_t, by_session);
        ngx_mesh_request_abandon(r);
    }

    ngx_mesh_link_purge_all();

    while (!ngx_queue_empty(&ms->reverse)) {
        q = ngx_queue_head(&ms->reverse);
        rev = ngx_queue_data(q, ngx_mesh_reverse_t, queue);
        ngx_queue_remove(q);
        ngx_free(rev);
    }

    ngx_mesh_session_end(ms, rc);
}


static void
ngx_mesh_session_end(ngx_mesh_session_t *ms, ngx_int_t rc)
{
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    while (!ngx_queue_empty(&ms->links)) {
        q = ngx_queue_head(&ms->links);
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);
        ngx_mesh_link_close(link, "client closed the connection", 0);
    }

    ngx_mesh_session_unlist(ms);

    ngx_mesh_reader_destroy(&ms->reader);
    ngx_mesh_out_destroy(&ms->out);

    ngx_mesh_gauge(NGX_MESH_G_SESSIONS, -1);
    ngx_mesh_count(NGX_MESH_M_CLOSE);

    if (--ngx_mesh_worker.nsessions == 0 && ngx_exiting) {
        ngx_mesh_session_leave();
    }

    ms->finalize(ms->data, rc);
}


void
ngx_mesh_session_moved(ngx_mesh_session_t *ms)
{
    ngx_mesh_session_end(ms, NGX_DONE);
}


void
ngx_mesh_session_unlist(ngx_mesh_session_t *ms)
{
    if (ms->in_partial) {
        ngx_queue_remove(&ms->partial);
        ms->in_partial = 0;
    }

    if (ms->in_paused) {
        ngx_queue_remove(&ms->paused);
        ms->in_paused = 0;
        ms->reader.stop = 0;
    }
}


/* the last client of a leaving worker is gone: links that wait for nothing
   must not hold it */

static void
ngx_mesh_session_leave(void)
{
    ngx_queue_t      *q, *next;
    ngx_mesh_link_t  *link;

    for (q = ngx_queue_head(&ngx_mesh_worker.links);
         q != ngx_queue_sentinel(&ngx_mesh_worker.links);
         q = next)
    {
        next = ngx_queue_next(q);
        link = ngx_queue_data(q, ngx_mesh_link_t, all);

        ngx_mesh_link_done(link);
    }
}
