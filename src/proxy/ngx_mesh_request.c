
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* how requests begin: where they go to, and what is kept of them */


static ngx_uint_t ngx_mesh_request_try(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts, uint64_t start,
    ngx_mesh_peer_t **peer);
static void ngx_mesh_request_text(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, ngx_uint_t err, ngx_str_t *text, u_char *buf,
    size_t size);
static ngx_mesh_link_t *ngx_mesh_request_pinned(ngx_mesh_session_t *ms,
    ngx_mesh_view_t *view, uint8_t variant);
static ngx_uint_t ngx_mesh_request_oneway(ngx_mesh_link_t *link,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk,
    const ngx_mesh_codec_t *codec);
static ngx_uint_t ngx_mesh_request_send(ngx_mesh_session_t *ms,
    ngx_mesh_link_t *link, ngx_mesh_entry_t *entry, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts,
    uint64_t start, uint32_t key);


ngx_str_t  ngx_mesh_request_texts[] = {
    ngx_null_string,
    ngx_string("no such service"),
    ngx_string("the service has no endpoint"),
    ngx_string("expired before it was sent"),
    ngx_string("no answer in time"),
    ngx_string("no endpoint can be reached"),
    ngx_string("too many calls wait"),
    ngx_string("the request is too large"),
    ngx_string("the answer is damaged"),
    ngx_string("denied"),
    ngx_string("the client is gone"),
    ngx_string("callback on a shared link"),
    ngx_string("the request is damaged")
};


ngx_uint_t
ngx_mesh_request_take(ngx_mesh_session_t *ms, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk, uint64_t start, ngx_mesh_parked_t *parked)
{
    u_char             line[512];
    ngx_int_t          rc;
    ngx_str_t          text;
    ngx_uint_t         err;
    ngx_mesh_call_t    call;
    ngx_mesh_peer_t   *peer;
    ngx_mesh_chunk_t  *attachments;
    ngx_mesh_entry_t  *entry, *fallback;
    ngx_mesh_facts_t   facts;

    ngx_memzero(&facts, sizeof(ngx_mesh_facts_t));
    facts.timeout = -1;
    facts.scratch = ngx_mesh_worker.scratch;
    facts.scratch_end = facts.scratch + NGX_MESH_RECV_SIZE;

    entry = ngx_mesh_route_find(ms, p, f, &facts);

    if (entry == NULL) {
        ngx_str_set(&text, "no memory");
        ngx_mesh_request_refuse(ms, f, NGX_MESH_ERR_OVERLOAD, &text);
        return NGX_MESH_ERR_OVERLOAD;
    }

    peer = NULL;

    for ( ;; ) {
        err = NGX_MESH_ERR_NONE;

        if (ngx_mesh_park_looks(entry)) {
            rc = ngx_mesh_park_look(ms, entry, p, f, chunk, &facts, start,
                                    parked);
            if (rc == NGX_OK) {
                return NGX_MESH_ERR_NONE;
            }

            err = (rc == NGX_BUSY) ? NGX_MESH_ERR_OVERLOAD : err;
        }

        if (err == NGX_MESH_ERR_NONE) {
            err = ngx_mesh_request_try(ms, entry, p, f, chunk, &facts, start,
                                       &peer);
        }

        if (err == NGX_MESH_ERR_NONE && peer == NULL) {
            return err;
        }

        fallback = (err == NGX_MESH_ERR_NO_ENDPOINT
                    || err == NGX_MESH_ERR_CLOSED)
                   ? ngx_mesh_choice_fallback(entry) : NULL;

        if (fallback == NULL) {
            break;
        }

        entry = fallback;
    }

    ngx_mesh_request_text(ms, entry, err, &text, line, sizeof(line));

    /* over already: a one-way call, or one that went nowhere */

    attachments = ms->conf->log ? ngx_mesh_report_keep(ms, &facts) : NULL;

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));
    call.id = f->id;
    call.error = err;
    call.request_length = f->size;
    call.tries = peer ? 1 : 0;
    call.time = ngx_mesh_now() - start;

    if (err) {
        ngx_mesh_report_reply(ms, entry, NULL, f, err, &text, &call);
    }

    ngx_mesh_report_call(ms, entry, attachments, peer, &call);

    if (attachments) {
        ngx_mesh_chunk_free(attachments);
    }

    ngx_mesh_route_release(entry);

    return err;
}


/*
 * NGX_MESH_ERR_NONE: it is sent, and has the reference to the entry; or "peer"
 * is set, it was a one-way call and is over.
 */

static ngx_uint_t
ngx_mesh_request_try(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk,
    ngx_mesh_facts_t *facts, uint64_t start, ngx_mesh_peer_t **peer)
{
    uint32_t           key;
    ngx_uint_t         err;
    ngx_mesh_link_t   *link;
    ngx_mesh_chunk_t  *made;
    ngx_mesh_frame_t   changed;

    if (entry->view == NULL) {
        return entry->error;
    }

    if (f->kind != NGX_MESH_FRAME_ONEWAY
        && ms->nrequests - ms->noneways >= ms->conf->max_requests)
    {
        return NGX_MESH_ERR_OVERLOAD;
    }

    key = ngx_mesh_route_key(ms, entry, p, f, facts);
    made = NULL;

    if (entry->edit) {
        changed = *f;

        made = ngx_mesh_choice_edit(ms, entry, p, &changed, facts, &err);
        if (made == NULL) {
            return err;
        }

        p = made->buf.pos;
        f = &changed;
        chunk = made;
    }

    err = NGX_MESH_ERR_CLOSED;

    link = ngx_mesh_request_link(ms, entry, f->variant, key, f->size, NULL,
                                 &err);
    if (link == NULL) {
        goto done;
    }

    if (f->kind == NGX_MESH_FRAME_ONEWAY && link->connected) {
        err = ngx_mesh_request_oneway(link, p, f, chunk, ms->reader.codec);

        if (err == NGX_MESH_ERR_NONE) {
            *peer = link->bundle->peer;
        }

    } else {
        err = ngx_mesh_request_send(ms, link, entry, p, f, chunk, facts,
                                    start, key);
    }

done:

    if (made) {
        ngx_mesh_chunk_free(made);
    }

    return err;
}


static void
ngx_mesh_request_text(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    ngx_uint_t err, ngx_str_t *text, u_char *buf, size_t size)
{
    *text = ngx_mesh_request_texts[err];

    if (err == NGX_MESH_ERR_DENIED && entry->rule && entry->rule->deny.len) {
        *text = entry->rule->deny;
        return;
    }

    if (err == NGX_MESH_ERR_BAD_REQUEST && entry->edit) {
        text->data = buf;
        text->len = ngx_snprintf(buf, size,
                                 "route \"%V\" changes requests, and this one "
                                 "cannot be changed", &entry->rule->name)
                    - buf;
        return;
    }

    if (err != NGX_MESH_ERR_NO_ENDPOINT) {
        return;
    }

    if (entry->view && entry->view->foreign && entry->view->nmembers == 0) {
        text->data = buf;
        text->len = ngx_snprintf(buf, size,
                                 "no endpoint of the service speaks %V",
                                 &ms->reader.codec->name)
                    - buf;

    } else if (entry->target) {
        text->data = buf;
        text->len = ngx_snprintf(buf, size,
                                 "route \"%V\" leads to no endpoint of "
                                 "\"%V\"", &entry->rule->name,
                                 &entry->service)
                    - buf;
    }
}


void
ngx_mesh_request_refuse(ngx_mesh_session_t *ms, ngx_mesh_frame_t *f,
    ngx_uint_t err, ngx_str_t *text)
{
    ngx_mesh_call_t  call;

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));
    call.id = f->id;
    call.error = err;
    call.request_length = f->size;

    ngx_mesh_report_reply(ms, NULL, NULL, f, err, text, &call);
    ngx_mesh_report_call(ms, NULL, NULL, NULL, &call);
}


ngx_mesh_link_t *
ngx_mesh_request_link(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    uint8_t variant, uint32_t key, size_t size, ngx_mesh_peer_t *avoid,
    ngx_uint_t *err)
{
    ngx_uint_t           n;
    ngx_mesh_link_t     *link;
    ngx_mesh_view_t     *view;
    ngx_mesh_member_t   *m;
    ngx_mesh_session_t  *owner;

    view = entry->view;
    owner = NULL;

    if (!view->conf->multiplex) {
        owner = ms;

        link = ngx_mesh_request_pinned(ms, view, variant);

        if (link) {
            if (ngx_mesh_link_full(link, size)) {
                *err = NGX_MESH_ERR_OVERLOAD;
                return NULL;
            }

            return link;
        }
    }

    /* an endpoint that cannot even be dialled is not picked again */

    for (n = 0; n <= view->nmembers; n++) {

        m = ngx_mesh_balancer_pick(view, key, size, avoid, err);
        if (m == NULL) {
            return NULL;
        }

        link = ngx_mesh_link_get(m->bundle, owner, variant, size, err);
        if (link) {
            return link;
        }

        avoid = m->peer;
    }

    return NULL;
}


/* callbacks come back on the link that a client's calls went by */

static ngx_mesh_link_t *
ngx_mesh_request_pinned(ngx_mesh_session_t *ms, ngx_mesh_view_t *view,
    uint8_t variant)
{
    ngx_uint_t        i;
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    for (q = ngx_queue_head(&ms->links);
         q != ngx_queue_sentinel(&ms->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        if (link->failed || link->draining || link->variant != variant) {
            continue;
        }

        for (i = 0; i < view->nmembers; i++) {
            if (view->members[i].bundle == link->bundle) {
                return link;
            }
        }
    }

    return NULL;
}


/* nothing is held for a call that nobody answers once a link has it */

static ngx_uint_t
ngx_mesh_request_oneway(ngx_mesh_link_t *link, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk, const ngx_mesh_codec_t *codec)
{
    u_char           *pos;
    uint64_t          id;
    ngx_mesh_peer_t  *peer;

    if (ngx_mesh_link_queue(link, p, f->size, chunk, &pos) != NGX_OK) {
        return NGX_MESH_ERR_OVERLOAD;
    }

    id = f->id;
    codec->set_id(codec, pos, f, NGX_MESH_SLOT_NONE);
    f->id = id;

    link->serial = f->serial;
    link->sent = ngx_current_msec;

    peer = link->bundle->peer;
    peer->stats->n[NGX_MESH_E_REQUESTS]++;
    peer->stats->n[NGX_MESH_E_SENT] += f->size;
    peer->stats->dirty = 1;

    ngx_mesh_count(NGX_MESH_M_ONEWAY);
    ngx_mesh_link_post(link);

    return NGX_MESH_ERR_NONE;
}


/* on success the reference to the entry went to the request */

static ngx_uint_t
ngx_mesh_request_send(ngx_mesh_session_t *ms, ngx_mesh_link_t *link,
    ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts, uint64_t start,
    uint32_t key)
{
    ngx_mesh_view_t         *view;
    ngx_mesh_request_t      *r;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;

    r = ngx_mesh_slot_get(link);
    if (r == NULL) {
        return NGX_MESH_ERR_OVERLOAD;
    }

    r->offset = link->out.queued;

    if (ngx_mesh_link_queue(link, p, f->size, chunk, &r->pos) != NGX_OK) {
        ngx_mesh_slot_free(r);
        return NGX_MESH_ERR_OVERLOAD;
    }

    r->id = f->id;
    r->oneway = (f->kind == NGX_MESH_FRAME_ONEWAY);
    r->entry = entry;
    r->key = key;
    r->tries = 1;
    r->earlier = 0;
    r->start = start;
    r->deadline = start + ngx_mesh_request_timeout(ms, entry, f, facts) * 1000;
    r->size = f->size;
    r->serial = f->serial;
    r->variant = f->variant;
    r->chunk = link->out.last;

    view = entry->view;

    if (view->tokens < NGX_MESH_TOKENS_MAX) {
        view->tokens += ms->conf->budget;
    }

    if (ms->conf->log && ms->conf->attachments) {
        r->attachments = ngx_mesh_report_keep(ms, facts);
    }

    codec->set_id(codec, r->pos, f, r->oneway ? NGX_MESH_SLOT_NONE
                                              : ngx_mesh_slot_id(link, r));

    ngx_mesh_request_enter(r, ms);

    return NGX_MESH_ERR_NONE;
}


/* what the caller wants, but no more than a route allows */

uint64_t
ngx_mesh_request_timeout(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts)
{
    uint64_t  timeout;

    timeout = 0;

    if (ms->conf->deadline != NGX_MESH_DEADLINE_OFF) {

        if (f->timeout) {
            timeout = f->timeout;

        } else if (facts->timeout > 0) {
            timeout = facts->timeout;
        }
    }

    if (entry->timeout && (timeout == 0 || timeout > entry->timeout)) {
        return entry->timeout;
    }

    return timeout ? timeout : ms->conf->timeout;
}


void
ngx_mesh_request_enter(ngx_mesh_request_t *r, ngx_mesh_session_t *ms)
{
    ngx_mesh_link_t        *link;
    ngx_mesh_peer_t        *peer;
    ngx_mesh_proxy_conf_t  *conf;

    link = r->link;
    conf = ms->conf;
    peer = link->bundle->peer;

    r->session = ms;
    r->limit = r->deadline;

    if (r->entry->idempotent && r->tries < r->entry->tries
        && (conf->next_upstream & (NGX_MESH_NEXT_ERROR|NGX_MESH_NEXT_TIMEOUT)))
    {
        /* the frame may be needed again after it was sent */

        r->chunk->refs++;
        r->kept = 1;

        if (conf->next_upstream & NGX_MESH_NEXT_TIMEOUT) {
            r->limit = ngx_mesh_now() + (uint64_t) conf->timeout * 1000;
            r->limit = ngx_min(r->limit, r->deadline);
        }
    }

    ngx_queue_insert_tail(&ms->requests, &r->by_session);
    ms->nrequests++;
    ms->noneways += r->oneway;

    ngx_mesh_gauge(NGX_MESH_G_REQUESTS, 1);
    ngx_mesh_wheel_add(r);

    link->serial = r->serial;
    link->sent = ngx_current_msec;

    peer->stats->n[NGX_MESH_E_REQUESTS]++;
    peer->stats->n[NGX_MESH_E_SENT] += r->size;
    peer->stats->dirty = 1;

    ngx_mesh_link_post(link);
}
