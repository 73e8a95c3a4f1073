
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* how requests end, or are sent again */


static ngx_int_t ngx_mesh_request_again(ngx_mesh_request_t *r,
    ngx_uint_t rest);
static ngx_int_t ngx_mesh_request_retry(ngx_mesh_request_t *r,
    ngx_uint_t rest);
static ngx_uint_t ngx_mesh_request_may_retry(ngx_mesh_request_t *r,
    ngx_uint_t condition);
static void ngx_mesh_request_leave(ngx_mesh_request_t *r, ngx_uint_t rest);


void
ngx_mesh_request_answer(ngx_mesh_request_t *r, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk)
{
    ngx_mesh_call_t          call;
    ngx_mesh_session_t      *ms;
    const ngx_mesh_codec_t  *codec;

    ms = r->session;
    codec = ms->reader.codec;

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));

    call.id = r->id;
    call.result = codec->result(codec, p, f);
    call.status = f->status;
    call.answered = 1;
    call.tries = r->tries;
    call.time = ngx_mesh_now() - r->start;
    call.request_length = r->size;
    call.response_length = f->size;

    codec->set_id(codec, p, f, r->id);

    (void) ngx_mesh_session_queue(ms, p, f->size, chunk);

    ngx_mesh_report_call(ms, r->entry, r->attachments,
                            r->link->bundle->peer, &call);

    ngx_mesh_request_leave(r, 0);
    ngx_mesh_session_done(ms);
}


void
ngx_mesh_request_fail(ngx_mesh_request_t *r, ngx_uint_t err, ngx_uint_t rest,
    ngx_str_t *text)
{
    ngx_mesh_call_t      call;
    ngx_mesh_peer_t     *peer;
    ngx_mesh_frame_t     f;
    ngx_mesh_session_t  *ms;

    ms = r->session;
    peer = r->link->bundle->peer;

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));
    ngx_memzero(&f, sizeof(ngx_mesh_frame_t));

    f.id = r->id;
    f.serial = r->serial;
    f.variant = r->variant;
    f.kind = r->oneway ? NGX_MESH_FRAME_ONEWAY : NGX_MESH_FRAME_REQUEST;

    call.id = r->id;
    call.error = err;
    call.tries = r->tries;
    call.time = ngx_mesh_now() - r->start;
    call.request_length = r->size;

    peer->stats->n[NGX_MESH_E_FAILURES]++;
    peer->stats->dirty = 1;

    ngx_mesh_report_reply(ms, r->entry, peer, &f, err, text, &call);
    ngx_mesh_report_call(ms, r->entry, r->attachments, peer, &call);

    ngx_mesh_request_leave(r, rest);
    ngx_mesh_session_done(ms);
}


/*
 * A one-way call waits for its link to be connected, no longer: up to there
 * it may go elsewhere.
 */

void
ngx_mesh_request_gone(ngx_mesh_request_t *r)
{
    ngx_mesh_call_t      call;
    ngx_mesh_session_t  *ms;

    ms = r->session;

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));

    call.id = r->id;
    call.tries = r->tries;
    call.time = ngx_mesh_now() - r->start;
    call.request_length = r->size;

    ngx_mesh_count(NGX_MESH_M_ONEWAY);
    ngx_mesh_report_call(ms, r->entry, r->attachments,
                            r->link->bundle->peer, &call);

    ngx_mesh_request_leave(r, 1);
    ngx_mesh_session_done(ms);
}


void
ngx_mesh_request_lost(ngx_mesh_request_t *r, ngx_uint_t written,
    ngx_str_t *reason)
{
    ngx_mesh_entry_t  *fallback;

    if (r->dead) {
        ngx_mesh_slot_free(r);
        return;
    }

    if (!r->session->failed && !ngx_terminate) {

        if (!written) {

            /* each endpoint is tried once at most */

            if (r->tries - r->earlier <= r->entry->view->nmembers
                && ngx_mesh_request_again(r, 0) == NGX_OK)
            {
                ngx_mesh_count(NGX_MESH_M_REDIRECT);
                return;
            }

            /* a frame that was written for one service is not for others */

            fallback = (r->entry->target && r->entry->target->rewrite)
                       ? NULL : ngx_mesh_choice_fallback(r->entry);

            if (fallback) {
                r->entry = fallback;
                r->earlier = r->tries;

                if (fallback->view
                    && ngx_mesh_route_rekey(r) == NGX_OK
                    && ngx_mesh_request_again(r, 0) == NGX_OK)
                {
                    ngx_mesh_count(NGX_MESH_M_REDIRECT);
                    return;
                }
            }

        } else if (ngx_mesh_request_may_retry(r, NGX_MESH_NEXT_ERROR)
                   && ngx_mesh_request_retry(r, 0) == NGX_OK)
        {
            return;
        }
    }

    ngx_mesh_request_fail(r, NGX_MESH_ERR_CLOSED, 0, reason);
}


void
ngx_mesh_request_expire(ngx_mesh_request_t *r)
{
    ngx_uint_t        sent;
    ngx_mesh_link_t  *link;

    link = r->link;

    if (link == NULL) {
        ngx_mesh_park_expire(r);
        return;
    }

    sent = r->offset < ngx_mesh_out_sent(&link->out);

    if (r->limit < r->deadline) {

        /* only this try has had its time */

        if (sent && ngx_mesh_request_may_retry(r, NGX_MESH_NEXT_TIMEOUT)
            && ngx_mesh_request_retry(r, 1) == NGX_OK)
        {
            return;
        }

        ngx_mesh_wheel_del(r);
        r->limit = r->deadline;
        ngx_mesh_wheel_add(r);
        return;
    }

    if (sent) {
        ngx_mesh_request_fail(r, NGX_MESH_ERR_TIMEOUT, 1,
                              &ngx_mesh_request_texts[NGX_MESH_ERR_TIMEOUT]);
        return;
    }

    ngx_mesh_request_fail(r, NGX_MESH_ERR_EXPIRED, 0,
                          &ngx_mesh_request_texts[NGX_MESH_ERR_EXPIRED]);
}


void
ngx_mesh_request_abandon(ngx_mesh_request_t *r)
{
    ngx_mesh_call_t  call;

    if (r->link == NULL) {
        ngx_mesh_park_abandon(r);
        return;
    }

    if (r->oneway && r->link->owner == NULL) {

        /* its link stays, and may still deliver it */

        ngx_mesh_request_gone(r);
        return;
    }

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));

    call.id = r->id;
    call.error = NGX_MESH_ERR_CLIENT;
    call.result = NGX_MESH_RESULT_ERROR;
    call.tries = r->tries;
    call.time = ngx_mesh_now() - r->start;
    call.request_length = r->size;

    ngx_mesh_report_call(r->session, r->entry, r->attachments,
                            r->link->bundle->peer, &call);

    ngx_mesh_request_leave(r, 1);
}


/*
 * Takes the request from its caller, the wheel and its entry; what becomes of
 * the slot depends on where the frame is.
 */

static void
ngx_mesh_request_leave(ngx_mesh_request_t *r, ngx_uint_t rest)
{
    ngx_mesh_link_t  *link;

    link = r->link;

    ngx_queue_remove(&r->by_session);
    r->session->nrequests--;
    r->session->noneways -= r->oneway;
    r->session = NULL;

    ngx_mesh_gauge(NGX_MESH_G_REQUESTS, -1);
    ngx_mesh_wheel_del(r);

    ngx_mesh_route_release(r->entry);
    r->entry = NULL;

    if (link->connection == NULL || (r->oneway && rest)) {
        ngx_mesh_slot_free(r);
        return;
    }

    if (r->offset >= ngx_mesh_out_sent(&link->out) && link->out.size) {
        r->dead = 1;
        link->stale = 1;
        return;
    }

    if (!rest) {
        ngx_mesh_slot_free(r);
        return;
    }

    if (link->bundle->codec->id_bits) {
        ngx_mesh_slot_rest(r);
        return;
    }

    /* without an id a late answer would be taken for that of the next call */

    ngx_mesh_slot_free(r);

    link->draining = 1;
    ngx_post_event(link->connection->write, &ngx_posted_events);
}


static ngx_uint_t
ngx_mesh_request_may_retry(ngx_mesh_request_t *r, ngx_uint_t condition)
{
    ngx_mesh_view_t        *view;
    ngx_mesh_proxy_conf_t  *conf;

    conf = r->session->conf;
    view = r->entry->view;

    if (!r->kept || !(conf->next_upstream & condition)
        || r->tries >= r->entry->tries || ngx_mesh_now() >= r->deadline)
    {
        return 0;
    }

    if (conf->budget == 0
        || view->tokens < NGX_MESH_TOKENS_RETRY - NGX_MESH_TOKENS_FIRST)
    {
        ngx_mesh_count(NGX_MESH_M_NO_BUDGET);
        return 0;
    }

    return 1;
}


/* a retry that was made is paid for */

static ngx_int_t
ngx_mesh_request_retry(ngx_mesh_request_t *r, ngx_uint_t rest)
{
    ngx_int_t         rc;
    ngx_mesh_view_t  *view;

    view = r->entry->view;
    view->refs++;

    rc = ngx_mesh_request_again(r, rest);

    if (rc == NGX_OK) {
        view->tokens -= NGX_MESH_TOKENS_RETRY;
        ngx_mesh_count(NGX_MESH_M_RETRY);
    }

    ngx_mesh_view_release(view);

    return rc;
}


/* sends the frame of a request by another link and moves the request there */

static ngx_int_t
ngx_mesh_request_again(ngx_mesh_request_t *r, ngx_uint_t rest)
{
    u_char                  *p;
    ngx_uint_t               err;
    ngx_mesh_link_t         *link, *old;
    ngx_mesh_chunk_t        *attachments;
    ngx_mesh_entry_t        *entry;
    ngx_mesh_frame_t         f;
    ngx_mesh_request_t      *n;
    ngx_mesh_session_t      *ms;
    const ngx_mesh_codec_t  *codec;

    ms = r->session;
    old = r->link;
    entry = r->entry;
    codec = ms->reader.codec;

    link = ngx_mesh_request_link(ms, entry, r->variant, r->key, r->size,
                                 old->bundle->peer, &err);
    if (link == NULL || link == old) {
        return NGX_DECLINED;
    }

    n = ngx_mesh_slot_get(link);
    if (n == NULL) {
        return NGX_DECLINED;
    }

    n->offset = link->out.queued;

    if (ngx_mesh_link_queue(link, r->pos, r->size, NULL, &p) != NGX_OK) {
        ngx_mesh_slot_free(n);
        return NGX_DECLINED;
    }

    n->pos = p;
    n->chunk = link->out.last;

    f.client = 1;
    (void) codec->head(codec, p, r->size, &f);

    if (f.late) {
        (void) codec->whole(codec, p, &f);
    }

    codec->set_id(codec, p, &f, r->oneway ? NGX_MESH_SLOT_NONE
                                          : ngx_mesh_slot_id(link, n));

    n->id = r->id;
    n->oneway = r->oneway;
    n->key = r->key;
    n->tries = r->tries + 1;
    n->earlier = r->earlier;
    n->start = r->start;
    n->deadline = r->deadline;
    n->size = r->size;
    n->serial = r->serial;
    n->variant = r->variant;
    n->entry = entry;
    entry->refs++;

    attachments = r->attachments;
    r->attachments = NULL;
    n->attachments = attachments;

    old->bundle->peer->stats->n[NGX_MESH_E_FAILURES]++;
    old->bundle->peer->stats->dirty = 1;

    ngx_mesh_request_leave(r, rest);
    ngx_mesh_request_enter(n, ms);

    if (n->oneway && link->connected) {
        ngx_mesh_request_gone(n);
    }

    return NGX_OK;
}
