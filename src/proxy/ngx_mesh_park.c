
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_park.h"


/*
 * Calls whose service has no endpoint, as long as a registry may still name
 * one.  They wait by interface, which is wanted of the registries where nobody
 * did that before, and are tried again when something of it has changed in the
 * table, and at last when their time is over.  To the session and the wheel a
 * parked call is a request without a link.
 */


/* share of the worker's buffer that may be parked */
#define NGX_MESH_PARK_SHARE     8

/* calls tried again before others get their turn */
#define NGX_MESH_PARK_TURN      256

/* where more interfaces are waited for, they are looked at in the ticks */
#define NGX_MESH_PARK_MANY      64


static ngx_int_t ngx_mesh_park_pass(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts, uint64_t start,
    ngx_mesh_parked_t *parked);
static ngx_int_t ngx_mesh_park_add(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts, uint64_t start);
static void ngx_mesh_park_keep(ngx_mesh_parked_t *parked, u_char *p,
    ngx_mesh_chunk_t *chunk);
static void ngx_mesh_park_link(ngx_mesh_parked_t *parked);
static void ngx_mesh_park_stay(ngx_mesh_parked_t *parked,
    ngx_mesh_entry_t *entry, ngx_mesh_parking_t *g);
static void ngx_mesh_park_again(ngx_mesh_parked_t *parked, ngx_uint_t final);
static void ngx_mesh_park_end(ngx_mesh_parked_t *parked, ngx_uint_t err);
static void ngx_mesh_park_leave(ngx_mesh_parked_t *parked);
static void ngx_mesh_park_scan(void);
static void ngx_mesh_park_again_handler(ngx_event_t *ev);


ngx_mesh_park_t  ngx_mesh_park;


void
ngx_mesh_park_init_process(void)
{
    ngx_mesh_park_t  *pk;

    pk = &ngx_mesh_park;

    ngx_rbtree_init(&pk->tree, &pk->sentinel, ngx_str_rbtree_insert_value);

    ngx_queue_init(&pk->all);
    ngx_queue_init(&pk->due);
    ngx_queue_init(&pk->asking);

    pk->again.handler = ngx_mesh_park_again_handler;
    pk->again.data = &ngx_mesh_worker.dummy;
    pk->again.log = ngx_cycle->log;

    ngx_mesh_park_want_init();

    ngx_mesh_worker.age = ngx_mesh_want_possible() ? 1 : 0;
}


void
ngx_mesh_park_pending(ngx_mesh_entry_t *entry, ngx_str_t *interface,
    ngx_mesh_service_t *service)
{
    entry->wanted = *interface;
    entry->pending = NGX_MESH_WANT_SETTLED;

    if (ngx_mesh_worker.age && (service == NULL || service->nendpoints == 0)) {
        entry->pending = (uint8_t) ngx_mesh_want_state(interface);
    }
}


ngx_int_t
ngx_mesh_park_look(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts,
    uint64_t start, ngx_mesh_parked_t *parked)
{
    ngx_mesh_parking_t  *g;

    if (entry->pending != NGX_MESH_WANT_SETTLED
        && (entry->pending != NGX_MESH_WANT_STARTING
            || ngx_mesh_want_begins()))
    {
        return ngx_mesh_park_pass(ms, entry, p, f, chunk, facts, start,
                                  parked);
    }

    if (entry->view) {
        ngx_mesh_live_used(&entry->view->service->interface);
    }

    g = ngx_mesh_park.n ? ngx_mesh_park_find(&entry->wanted) : NULL;

    if (g && g->ncalls) {

        /* those that wait for it came before */

        if (parked) {
            return NGX_DECLINED;
        }

        ngx_mesh_park_due(g);

        /* what is tried in one turn ends, however many calls come */

        if (g->ncalls < NGX_MESH_PARK_TURN
            && ms->nrequests < ms->conf->max_requests
            && ms->conf->discovery_timeout)
        {
            return ngx_mesh_park_add(ms, entry, p, f, chunk, facts, start);
        }

        return NGX_DECLINED;
    }

    entry->age = ngx_mesh_worker.age;

    return NGX_DECLINED;
}


/* the service of the call may still be found */

static ngx_int_t
ngx_mesh_park_pass(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts,
    uint64_t start, ngx_mesh_parked_t *parked)
{
    ngx_mesh_parking_t  *g;

    if (entry->pending == NGX_MESH_WANT_UNASKED
        && ngx_mesh_park_want(&entry->wanted) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* a fallback is there for just that: who has one does not wait */

    if (ms->conf->discovery_timeout == 0 || (parked && parked->final)
        || (entry->target && entry->target->fallback))
    {
        return NGX_DECLINED;
    }

    if (parked) {
        g = ngx_mesh_park_get(&entry->wanted);
        if (g == NULL) {
            return NGX_DECLINED;
        }

        ngx_mesh_park_stay(parked, entry, g);
        return NGX_OK;
    }

    if (ms->nrequests >= ms->conf->max_requests) {
        return NGX_BUSY;
    }

    return ngx_mesh_park_add(ms, entry, p, f, chunk, facts, start);
}


static ngx_int_t
ngx_mesh_park_add(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk, ngx_mesh_facts_t *facts,
    uint64_t start)
{
    size_t               own, size;
    uint64_t             limit;
    ngx_mesh_parked_t   *parked;
    ngx_mesh_parking_t  *g;
    ngx_mesh_request_t  *r;

    size = sizeof(ngx_mesh_parked_t) + f->size;

    if (ngx_mesh_park.size + size
        > ngx_mesh_worker.buffer_max / NGX_MESH_PARK_SHARE)
    {
        ngx_mesh_count(NGX_MESH_M_WANTS_BUFFER);
        return NGX_DECLINED;
    }

    if (f->size <= ms->conf->buffer_size) {
        chunk = NULL;
    }

    own = chunk ? sizeof(ngx_mesh_parked_t) : size;

    g = ngx_mesh_park_get(&entry->wanted);
    if (g == NULL) {
        return NGX_DECLINED;
    }

    parked = ngx_alloc(own, ngx_cycle->log);
    if (parked == NULL) {
        ngx_mesh_count(NGX_MESH_M_NOMEM);
        ngx_mesh_park_free(g);
        return NGX_DECLINED;
    }

    ngx_memzero(parked, sizeof(ngx_mesh_parked_t));

    parked->frame = *f;
    parked->parking = g;
    parked->size = size;
    parked->own = own;

    r = &parked->r;

    r->id = f->id;
    r->size = f->size;
    r->session = ms;
    r->entry = entry;
    r->start = start;
    r->deadline = start + ngx_mesh_request_timeout(ms, entry, f, facts) * 1000;

    limit = start + (uint64_t) ms->conf->discovery_timeout * 1000;
    r->limit = ngx_min(limit, r->deadline);

    ngx_mesh_park_keep(parked, p, chunk);
    ngx_mesh_park_link(parked);

    return NGX_OK;
}


/* its bytes: those of a large one are kept where they are */

static void
ngx_mesh_park_keep(ngx_mesh_parked_t *parked, u_char *p,
    ngx_mesh_chunk_t *chunk)
{
    ngx_mesh_request_t  *r;

    r = &parked->r;

    if (chunk) {
        chunk->refs++;
        r->chunk = chunk;
        r->pos = p;

    } else {
        r->pos = (u_char *) (parked + 1);
        ngx_memcpy(r->pos, p, r->size);
    }
}


static void
ngx_mesh_park_link(ngx_mesh_parked_t *parked)
{
    ngx_mesh_parking_t  *g;
    ngx_mesh_request_t  *r;

    r = &parked->r;
    g = parked->parking;

    ngx_queue_insert_tail(&g->calls, &r->by_link);
    g->ncalls++;
    g->todo += g->is_due;

    ngx_queue_insert_tail(&r->session->requests, &r->by_session);
    r->session->nrequests++;

    ngx_mesh_park.size += parked->size;

    ngx_mesh_gauge(NGX_MESH_G_REQUESTS, 1);
    ngx_mesh_gauge(NGX_MESH_G_PARKED, 1);
    ngx_mesh_gauge(NGX_MESH_G_BUFFERS, (ngx_int_t) parked->own);

    ngx_mesh_wheel_add(r);
}


/* tried again, it has to wait further, perhaps for another interface */

static void
ngx_mesh_park_stay(ngx_mesh_parked_t *parked, ngx_mesh_entry_t *entry,
    ngx_mesh_parking_t *g)
{
    ngx_mesh_route_release(parked->r.entry);

    parked->r.entry = entry;
    parked->parking = g;
    parked->stays = 1;

    ngx_queue_insert_tail(&g->calls, &parked->r.by_link);
    g->ncalls++;
}


/*
 * As if it had just come, but for its time.  While it is tried it is no call
 * of its session, whose limit it would count against twice.
 */

static void
ngx_mesh_park_again(ngx_mesh_parked_t *parked, ngx_uint_t final)
{
    ngx_uint_t           err;
    ngx_mesh_frame_t     f;
    ngx_mesh_parking_t  *g;
    ngx_mesh_request_t  *r;
    ngx_mesh_session_t  *ms;

    r = &parked->r;
    ms = r->session;
    g = parked->parking;
    f = parked->frame;

    ngx_queue_remove(&r->by_link);
    g->ncalls--;

    parked->final = (final != 0);
    parked->stays = 0;
    ms->nrequests--;

    err = ngx_mesh_request_take(ms, r->pos, &f, r->chunk, r->start, parked);

    ms->nrequests++;

    if (parked->stays) {
        if (parked->parking != g) {
            ngx_mesh_park_free(g);
        }

        return;
    }

    ngx_mesh_count(final ? NGX_MESH_M_PARKED_TIMEOUT
                   : err == NGX_MESH_ERR_NONE ? NGX_MESH_M_PARKED_FOUND
                                              : NGX_MESH_M_PARKED_ABSENT);

    /* as leave() takes it out of the calls that wait */

    ngx_queue_insert_tail(&g->calls, &r->by_link);
    g->ncalls++;

    ngx_mesh_park_leave(parked);
    ngx_mesh_session_done(ms);
}


void
ngx_mesh_park_expire(ngx_mesh_request_t *r)
{
    ngx_mesh_parked_t   *parked;
    ngx_mesh_session_t  *ms;

    parked = (ngx_mesh_parked_t *) r;
    ms = r->session;

    if (ngx_mesh_now() < r->deadline) {
        ngx_mesh_park_again(parked, 1);
        return;
    }

    ngx_mesh_count(NGX_MESH_M_PARKED_TIMEOUT);
    ngx_mesh_park_end(parked, NGX_MESH_ERR_EXPIRED);
    ngx_mesh_session_done(ms);
}


void
ngx_mesh_park_abandon(ngx_mesh_request_t *r)
{
    ngx_mesh_count(NGX_MESH_M_PARKED_GONE);
    ngx_mesh_park_end((ngx_mesh_parked_t *) r, NGX_MESH_ERR_CLIENT);
}


/* what a log wants of its facts is read again from the frame */

static void
ngx_mesh_park_end(ngx_mesh_parked_t *parked, ngx_uint_t err)
{
    ngx_mesh_call_t          call;
    ngx_mesh_chunk_t        *attachments;
    ngx_mesh_facts_t         facts;
    ngx_mesh_request_t      *r;
    ngx_mesh_session_t      *ms;
    const ngx_mesh_codec_t  *codec;

    r = &parked->r;
    ms = r->session;
    codec = ms->reader.codec;
    attachments = NULL;

    if (ms->conf->log && ms->conf->attachments) {
        ngx_memzero(&facts, sizeof(ngx_mesh_facts_t));
        facts.timeout = -1;
        facts.scratch = ngx_mesh_worker.scratch;
        facts.scratch_end = facts.scratch + NGX_MESH_RECV_SIZE;

        codec->facts(codec, r->pos, &parked->frame,
                     NGX_MESH_WANT_NAMES|NGX_MESH_WANT_ATTACHMENTS
                     |NGX_MESH_WANT_FORCED, &facts);

        attachments = ngx_mesh_report_keep(ms, &facts);
    }

    ngx_memzero(&call, sizeof(ngx_mesh_call_t));

    call.id = r->id;
    call.error = err;
    call.result = NGX_MESH_RESULT_ERROR;
    call.time = ngx_mesh_now() - r->start;
    call.request_length = r->size;

    if (err != NGX_MESH_ERR_CLIENT) {
        ngx_mesh_report_reply(ms, r->entry, NULL, &parked->frame, err,
                              &ngx_mesh_request_texts[err], &call);
    }

    ngx_mesh_report_call(ms, r->entry, attachments, NULL, &call);

    if (attachments) {
        ngx_mesh_chunk_free(attachments);
    }

    ngx_mesh_park_leave(parked);
}


static void
ngx_mesh_park_leave(ngx_mesh_parked_t *parked)
{
    ngx_mesh_parking_t  *g;
    ngx_mesh_request_t  *r;

    r = &parked->r;
    g = parked->parking;

    ngx_queue_remove(&r->by_link);
    g->ncalls--;

    ngx_queue_remove(&r->by_session);
    r->session->nrequests--;

    ngx_mesh_wheel_del(r);

    ngx_mesh_park.size -= parked->size;

    ngx_mesh_gauge(NGX_MESH_G_REQUESTS, -1);
    ngx_mesh_gauge(NGX_MESH_G_PARKED, -1);
    ngx_mesh_gauge(NGX_MESH_G_BUFFERS, - (ngx_int_t) parked->own);

    ngx_mesh_route_release(r->entry);

    if (r->chunk) {
        ngx_mesh_chunk_free(r->chunk);
    }

    ngx_free(parked);

    ngx_mesh_park_free(g);
}


ngx_mesh_parking_t *
ngx_mesh_park_find(ngx_str_t *interface)
{
    return (ngx_mesh_parking_t *)
               ngx_str_rbtree_lookup(&ngx_mesh_park.tree, interface,
                                     ngx_crc32_short(interface->data,
                                                     interface->len));
}


ngx_mesh_parking_t *
ngx_mesh_park_get(ngx_str_t *interface)
{
    ngx_mesh_parking_t  *g;

    g = ngx_mesh_park_find(interface);
    if (g) {
        return g;
    }

    g = ngx_calloc(sizeof(ngx_mesh_parking_t) + interface->len,
                   ngx_cycle->log);
    if (g == NULL) {
        ngx_mesh_count(NGX_MESH_M_NOMEM);
        return NULL;
    }

    g->sn.str.data = (u_char *) (g + 1);
    g->sn.str.len = interface->len;
    ngx_memcpy(g->sn.str.data, interface->data, interface->len);

    g->sn.node.key = ngx_crc32_short(interface->data, interface->len);
    ngx_rbtree_insert(&ngx_mesh_park.tree, &g->sn.node);

    ngx_queue_init(&g->calls);
    ngx_queue_insert_tail(&ngx_mesh_park.all, &g->all);
    ngx_mesh_park.n++;

    return g;
}


void
ngx_mesh_park_free(ngx_mesh_parking_t *g)
{
    if (g->ncalls || g->is_asking) {
        return;
    }

    if (g->is_due) {
        ngx_queue_remove(&g->due);
    }

    ngx_queue_remove(&g->all);
    ngx_rbtree_delete(&ngx_mesh_park.tree, &g->sn.node);
    ngx_mesh_park.n--;

    ngx_free(g);
}


void
ngx_mesh_park_due(ngx_mesh_parking_t *g)
{
    g->todo = g->ncalls;

    if (!g->is_due) {
        g->is_due = 1;
        ngx_queue_insert_tail(&ngx_mesh_park.due, &g->due);
    }

    ngx_post_event(&ngx_mesh_park.again, &ngx_posted_events);
}


void
ngx_mesh_proxy_woken(void *data)
{
    ngx_mesh_park_t  *pk;

    pk = &ngx_mesh_park;

    if (pk->n == 0
        || (pk->seen == ngx_mesh_live_revision() && !pk->begins))
    {
        return;
    }

    if (pk->n > NGX_MESH_PARK_MANY) {
        pk->late = 1;
        return;
    }

    ngx_mesh_park_scan();
}


static void
ngx_mesh_park_scan(void)
{
    uint64_t                 begun;
    ngx_uint_t               begins;
    ngx_queue_t             *q;
    ngx_mesh_park_t         *pk;
    ngx_mesh_parking_t      *g;
    ngx_mesh_store_known_t   known;

    pk = &ngx_mesh_park;

    begun = ngx_mesh_park_clock();
    begins = ngx_mesh_want_begins();

    pk->seen = ngx_mesh_live_revision();
    pk->late = 0;

    for (q = ngx_queue_head(&pk->all);
         q != ngx_queue_sentinel(&pk->all);
         q = ngx_queue_next(q))
    {
        g = ngx_queue_data(q, ngx_mesh_parking_t, all);

        ngx_mesh_want_look(&g->sn.str, &known);

        if (begins == pk->begins && known.modified == g->known.modified
            && known.nitems == g->known.nitems)
        {
            continue;
        }

        g->known = known;

        if (g->ncalls) {
            ngx_mesh_park_due(g);
        }
    }

    pk->begins = begins;
    pk->look = begun + (ngx_mesh_park_clock() - begun) * NGX_MESH_PARK_LOAD;
}


static void
ngx_mesh_park_again_handler(ngx_event_t *ev)
{
    ngx_uint_t           n;
    ngx_queue_t         *q;
    ngx_mesh_park_t     *pk;
    ngx_mesh_parking_t  *g;
    ngx_mesh_request_t  *r;

    pk = &ngx_mesh_park;

    for (n = 0; n < NGX_MESH_PARK_TURN && !ngx_queue_empty(&pk->due); n++) {

        q = ngx_queue_head(&pk->due);
        g = ngx_queue_data(q, ngx_mesh_parking_t, due);

        if (g->todo == 0 || g->ncalls == 0) {
            ngx_queue_remove(q);
            g->is_due = 0;
            g->todo = 0;
            ngx_mesh_park_free(g);
            continue;
        }

        g->todo--;

        r = ngx_queue_data(ngx_queue_head(&g->calls), ngx_mesh_request_t,
                           by_link);

        if (r->session->failed) {

            /* it ends with its session, in this turn */

            ngx_queue_remove(&r->by_link);
            ngx_queue_insert_tail(&g->calls, &r->by_link);
            continue;
        }

        ngx_mesh_park_again((ngx_mesh_parked_t *) r, 0);
    }

    if (!ngx_queue_empty(&pk->due)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


void
ngx_mesh_park_tick(void)
{
    if (ngx_mesh_park.late && ngx_mesh_now() >= ngx_mesh_park.look) {
        ngx_mesh_park_scan();
    }

    if (ngx_mesh_park.nasking) {
        ngx_mesh_park_want_handler(&ngx_mesh_park.ask);
    }
}


void
ngx_mesh_park_second(void)
{
    if (ngx_mesh_want_possible() && ++ngx_mesh_worker.age == 0) {
        ngx_mesh_worker.age = 1;
    }

    ngx_mesh_park_tick();
}
