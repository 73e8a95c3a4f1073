
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul.h"


/*
 * Services that are watched hold a connection each, on which they wait for
 * changes.  When there are more than connections, a few of these serve the
 * rest in turn, and what is called goes before what is not.
 */


#define NGX_MESH_CONSUL_TICK      1000

/* connections that serve in turn: a share of all, and at most */
#define NGX_MESH_CONSUL_SHARE     8
#define NGX_MESH_CONSUL_READERS   4

/* ms that a watched one keeps its place at least, and places per tick */
#define NGX_MESH_CONSUL_TENURE    10000
#define NGX_MESH_CONSUL_SWAPS     8

/* ticks after which one connection more is tried, where they were too many */
#define NGX_MESH_CONSUL_MORE      60

/* ms over which first reads are spread in the first ticks */
#define NGX_MESH_CONSUL_SPREAD    250

/* of the path of a question, behind what is the service's own */
#define NGX_MESH_CONSUL_REST                                                  \
    (sizeof("&index=&wait=s&stale") + 2 * NGX_INT64_LEN)


static ngx_int_t ngx_mesh_consul_start(ngx_mesh_source_t *source);
static ngx_int_t ngx_mesh_consul_slots(ngx_mesh_consul_t *consul);
static void ngx_mesh_consul_stop(ngx_mesh_source_t *source);
static ngx_int_t ngx_mesh_consul_subscribe(ngx_mesh_subscription_t *s);
static void ngx_mesh_consul_remember(ngx_mesh_consul_watch_t *w);
static void ngx_mesh_consul_unsubscribe(ngx_mesh_subscription_t *s);
static void ngx_mesh_consul_resync(ngx_mesh_source_t *source,
    ngx_mesh_subscription_t *s);
static void ngx_mesh_consul_event(ngx_event_t *ev, void *data,
    ngx_event_handler_pt handler);
static void ngx_mesh_consul_timer_handler(ngx_event_t *ev);
static void ngx_mesh_consul_ready(ngx_mesh_consul_watch_t *w);
static ngx_uint_t ngx_mesh_consul_limit(ngx_mesh_consul_t *consul);
static ngx_int_t ngx_mesh_consul_promote(ngx_mesh_consul_watch_t *w);
static ngx_int_t ngx_mesh_consul_advance(ngx_mesh_consul_watch_t *w);
static void ngx_mesh_consul_demote(ngx_mesh_consul_watch_t *w);
static ngx_mesh_consul_watch_t *ngx_mesh_consul_cold(
    ngx_mesh_consul_t *consul, ngx_uint_t any);
static ngx_mesh_consul_watch_t *ngx_mesh_consul_hot(
    ngx_mesh_consul_t *consul, ngx_uint_t any);
static void ngx_mesh_consul_balance(ngx_mesh_consul_t *consul);
static void ngx_mesh_consul_tick_handler(ngx_event_t *ev);
static void ngx_mesh_consul_new_token(ngx_mesh_consul_t *consul);


static ngx_str_t  ngx_mesh_consul_schemes[] = {
    ngx_string("http://"),
    ngx_string("https://"),
    ngx_string("unix:"),
    ngx_null_string
};


ngx_mesh_source_type_t  ngx_mesh_consul_type = {
    ngx_string("consul"),
    8500,
    ngx_mesh_consul_schemes,

    ngx_mesh_consul_create,
    ngx_mesh_consul_url,
    ngx_mesh_consul_param,
    NULL,

    ngx_mesh_consul_start,
    ngx_mesh_consul_stop,
    ngx_mesh_consul_subscribe,
    ngx_mesh_consul_unsubscribe,
    ngx_mesh_consul_resync
};


static ngx_int_t
ngx_mesh_consul_start(ngx_mesh_source_t *source)
{
    ngx_pool_t         *pool;
    ngx_mesh_consul_t  *consul;
    static ngx_str_t    nothing = ngx_null_string;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    consul = ngx_pcalloc(pool, sizeof(ngx_mesh_consul_t));
    if (consul == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    consul->pool = pool;
    consul->source = source;
    consul->conf = source->conf;

    if (ngx_mesh_consul_slots(consul) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    source->data = consul;

    ngx_mesh_source_state(source, NGX_MESH_SOURCE_STARTING, NULL, NULL);
    (void) ngx_mesh_consul_token(consul, 1);

    if (source->discovery == NGX_MESH_DISCOVERY_ALL) {

        consul->catalog = ngx_mesh_consul_watch(consul, pool,
                                                "/v1/catalog/services",
                                                &nothing);
        if (consul->catalog == NULL) {
            ngx_mesh_consul_stop(source);
            return NGX_ERROR;
        }

        if (ngx_mesh_consul_limit(consul)) {
            (void) ngx_mesh_consul_promote(consul->catalog);
        }

        ngx_mesh_consul_later(consul->catalog,
                              ngx_random() % NGX_MESH_CONSUL_SPREAD);
    }

    ngx_mesh_consul_event(&consul->tick, consul, ngx_mesh_consul_tick_handler);
    ngx_add_timer(&consul->tick, NGX_MESH_CONSUL_TICK);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_consul_slots(ngx_mesh_consul_t *consul)
{
    ngx_uint_t          i;
    ngx_pool_t         *pool;
    ngx_mesh_source_t  *source;

    pool = consul->pool;
    source = consul->source;

    consul->nslots = consul->conf->max_watches;
    consul->allowed = consul->nslots;

    consul->slots = ngx_pcalloc(pool, consul->nslots
                                      * sizeof(ngx_mesh_consul_slot_t));
    consul->addrs = ngx_pcalloc(pool, source->addrs.nelts
                                      * sizeof(ngx_mesh_consul_addr_t));

    if (consul->slots == NULL || consul->addrs == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&consul->free);
    ngx_queue_init(&consul->ready);
    ngx_queue_init(&consul->watched);
    ngx_queue_init(&consul->rotated);
    ngx_queue_init(&consul->apps);

    for (i = 0; i < consul->nslots; i++) {
        ngx_queue_insert_tail(&consul->free, &consul->slots[i].queue);
    }

    return NGX_OK;
}


static void
ngx_mesh_consul_stop(ngx_mesh_source_t *source)
{
    ngx_uint_t          i;
    ngx_mesh_consul_t  *consul;

    consul = source->data;

    if (consul == NULL) {
        return;
    }

    if (consul->catalog) {
        ngx_mesh_consul_drop(consul->catalog);
    }

    if (consul->tick.timer_set) {
        ngx_del_timer(&consul->tick);
    }

    for (i = 0; i < consul->nslots; i++) {
        ngx_mesh_fetch_close(&consul->slots[i].fetch);
    }

    ngx_mesh_metadata_forget(source);

    if (consul->header.data) {
        ngx_memzero(consul->header.data, consul->header.len);
        ngx_free(consul->header.data);
    }

    ngx_destroy_pool(consul->pool);
    source->data = NULL;
}


static ngx_int_t
ngx_mesh_consul_subscribe(ngx_mesh_subscription_t *s)
{
    ngx_mesh_consul_t        *consul;
    ngx_mesh_consul_watch_t  *w;

    consul = s->source->data;

    if (consul == NULL) {
        return NGX_ERROR;
    }

    w = ngx_mesh_consul_watch(consul, s->pool, "/v1/health/service/",
                              &s->sn.str);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->s = s;

    if (ngx_mesh_consul_provided(w) != NGX_OK) {
        ngx_mesh_consul_drop(w);
        return NGX_ERROR;
    }

    s->data = w;

    ngx_mesh_consul_remember(w);
    ngx_mesh_consul_begin(w);

    return NGX_OK;
}


/* what an agent before has heard, unless others had a part in it: the first
   answer is not believed if it is less */

static void
ngx_mesh_consul_remember(ngx_mesh_consul_watch_t *w)
{
    ngx_pool_t         *pool;
    ngx_mesh_answer_t   answer;

    if (w->nlinks) {
        return;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_discovery_answer(w->s, pool, &answer) == NGX_OK
        && answer.known)
    {
        w->held = answer.found;
    }

    ngx_destroy_pool(pool);
}


void
ngx_mesh_consul_begin(ngx_mesh_consul_watch_t *w)
{
    ngx_mesh_consul_t  *consul;

    consul = w->consul;

    /* the rest is put in order with the next tick */

    if (consul->nwatched < ngx_mesh_consul_limit(consul)) {
        (void) ngx_mesh_consul_promote(w);
    }

    ngx_mesh_consul_later(w, consul->ticks < 2
                             ? ngx_random() % NGX_MESH_CONSUL_SPREAD : 0);
}


static void
ngx_mesh_consul_unsubscribe(ngx_mesh_subscription_t *s)
{
    if (s->data) {
        ngx_mesh_consul_drop(s->data);
        s->data = NULL;
    }
}


static void
ngx_mesh_consul_resync(ngx_mesh_source_t *source, ngx_mesh_subscription_t *s)
{
    ngx_uint_t                i;
    ngx_queue_t              *q, *queue;
    ngx_mesh_consul_t        *consul;
    ngx_mesh_consul_watch_t  *w;

    consul = source->data;

    if (consul == NULL) {
        return;
    }

    for (i = 0; i < source->addrs.nelts; i++) {
        consul->addrs[i].backoff = 0;
        consul->addrs[i].probe = NULL;
    }

    /* of many services that leave a catalog each comes here */

    (void) ngx_mesh_consul_token(consul, s == NULL);

    if (s) {
        w = s->data;
        ngx_mesh_consul_again(w);

        for (i = 0; i < w->nlinks; i++) {
            ngx_mesh_consul_again(w->links[i].app->watch);
        }

        return;
    }

    for (i = 0; i < 2; i++) {
        queue = i ? &consul->rotated : &consul->watched;

        for (q = ngx_queue_head(queue);
             q != ngx_queue_sentinel(queue);
             q = ngx_queue_next(q))
        {
            ngx_mesh_consul_again(ngx_queue_data(q, ngx_mesh_consul_watch_t,
                                                 queue));
        }
    }
}


void
ngx_mesh_consul_again(ngx_mesh_consul_watch_t *w)
{
    ngx_mesh_consul_cancel(w);
    ngx_mesh_consul_keep(w, NULL);

    w->raw = 0;
    w->hash = 0;
    w->doubt = 0;
    w->backoff = 0;
    w->plain = 1;
    w->sure = 1;
    w->slow = 0;

    ngx_mesh_consul_bucket(&w->bucket, ngx_current_msec);
    ngx_mesh_consul_later(w, 0);
}


ngx_mesh_consul_watch_t *
ngx_mesh_consul_watch(ngx_mesh_consul_t *consul, ngx_pool_t *pool, char *path,
    ngx_str_t *name)
{
    u_char                   *p;
    size_t                    len;
    uintptr_t                 escape;
    ngx_mesh_consul_watch_t  *w;

    w = ngx_pcalloc(pool, sizeof(ngx_mesh_consul_watch_t));
    if (w == NULL) {
        return NULL;
    }

    escape = ngx_escape_uri(NULL, name->data, name->len,
                            NGX_ESCAPE_URI_COMPONENT);

    len = ngx_strlen(path);
    w->base = len + name->len + 2 * escape;

    p = ngx_pnalloc(pool, w->base + consul->conf->query.len
                          + NGX_MESH_CONSUL_REST);
    if (p == NULL) {
        return NULL;
    }

    w->path.data = p;
    p = ngx_cpymem(p, path, len);
    (void) ngx_escape_uri(p, name->data, name->len, NGX_ESCAPE_URI_COMPONENT);

    w->consul = consul;
    w->name = *name;
    w->held = NGX_MESH_CONSUL_UNHELD;
    w->addr = NGX_MESH_CONSUL_NONE;

    ngx_mesh_consul_event(&w->timer, w, ngx_mesh_consul_timer_handler);
    ngx_mesh_consul_bucket(&w->bucket, ngx_current_msec);

    ngx_queue_insert_tail(&consul->rotated, &w->queue);
    consul->nrotated++;

    return w;
}


static void
ngx_mesh_consul_event(ngx_event_t *ev, void *data,
    ngx_event_handler_pt handler)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = data;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;
}


void
ngx_mesh_consul_later(ngx_mesh_consul_watch_t *w, ngx_msec_t ms)
{
    if (!w->watched && !w->busy) {

        /* others need the connection meanwhile */

        ngx_mesh_consul_release(w);
    }

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }

    if (ms) {
        ngx_add_timer(&w->timer, ms);

    } else {
        ngx_mesh_consul_ready(w);
    }
}


static void
ngx_mesh_consul_timer_handler(ngx_event_t *ev)
{
    ngx_mesh_consul_ready(ev->data);
}


/* asks, or waits for a connection */

static void
ngx_mesh_consul_ready(ngx_mesh_consul_watch_t *w)
{
    ngx_queue_t        *q;
    ngx_mesh_consul_t  *consul;

    consul = w->consul;

    if (w->busy || w->waits) {
        return;
    }

    if (consul->conf->token_file.len && consul->header.len == 0) {

        /* without its token it would be told of nothing */

        ngx_mesh_consul_later(w, NGX_MESH_CONSUL_TICK);
        return;
    }

    if (w->slot == NULL) {

        if (ngx_queue_empty(&consul->free) || consul->used >= consul->allowed) {
            ngx_queue_insert_tail(&consul->ready, &w->ready);
            w->waits = 1;
            return;
        }

        q = ngx_queue_head(&consul->free);
        ngx_queue_remove(q);

        w->slot = ngx_queue_data(q, ngx_mesh_consul_slot_t, queue);
        consul->used++;
    }

    ngx_mesh_consul_ask(w);
}


void
ngx_mesh_consul_release(ngx_mesh_consul_watch_t *w)
{
    ngx_queue_t              *q;
    ngx_mesh_consul_t        *consul;
    ngx_mesh_consul_slot_t   *slot;
    ngx_mesh_consul_watch_t  *next;

    consul = w->consul;
    slot = w->slot;

    if (slot == NULL) {
        return;
    }

    w->slot = NULL;

    if (!ngx_queue_empty(&consul->ready) && consul->used <= consul->allowed) {
        q = ngx_queue_head(&consul->ready);
        ngx_queue_remove(q);

        next = ngx_queue_data(q, ngx_mesh_consul_watch_t, ready);
        next->waits = 0;
        next->slot = slot;

        /* not from here, where somebody is in the middle of something */

        ngx_add_timer(&next->timer, 1);
        return;
    }

    /* the one that was used last is still connected */

    ngx_queue_insert_head(&consul->free, &slot->queue);
    consul->used--;
}


/* how many may be watched */

static ngx_uint_t
ngx_mesh_consul_limit(ngx_mesh_consul_t *consul)
{
    ngx_uint_t  n, readers;

    n = ngx_min(consul->allowed, consul->nslots);

    if (consul->nwatched + consul->nrotated <= n) {
        return n;
    }

    readers = ngx_min(n / NGX_MESH_CONSUL_SHARE, NGX_MESH_CONSUL_READERS);

    return n - ngx_max(readers, 1);
}


static ngx_int_t
ngx_mesh_consul_promote(ngx_mesh_consul_watch_t *w)
{
    ngx_queue_t        *q;
    ngx_mesh_consul_t  *consul;

    consul = w->consul;

    if (w->slot == NULL) {

        if (ngx_queue_empty(&consul->free) || consul->used >= consul->allowed) {
            return NGX_DECLINED;
        }

        q = ngx_queue_head(&consul->free);
        ngx_queue_remove(q);

        w->slot = ngx_queue_data(q, ngx_mesh_consul_slot_t, queue);
        consul->used++;
    }

    if (w->waits) {
        ngx_queue_remove(&w->ready);
        w->waits = 0;
    }

    ngx_queue_remove(&w->queue);
    ngx_queue_insert_tail(&consul->watched, &w->queue);
    consul->nrotated--;
    consul->nwatched++;

    w->watched = 1;
    w->promoted = ngx_current_msec;

    return NGX_OK;
}


/* watched from now on; what has failed keeps its time */

static ngx_int_t
ngx_mesh_consul_advance(ngx_mesh_consul_watch_t *w)
{
    if (ngx_mesh_consul_promote(w) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!w->busy && !w->failing) {
        ngx_mesh_consul_later(w, 0);
    }

    return NGX_OK;
}


static void
ngx_mesh_consul_demote(ngx_mesh_consul_watch_t *w)
{
    ngx_mesh_consul_t  *consul;

    consul = w->consul;

    ngx_queue_remove(&w->queue);
    ngx_queue_insert_tail(&consul->rotated, &w->queue);
    consul->nwatched--;
    consul->nrotated++;

    w->watched = 0;

    if (w->busy && w->blocking) {
        ngx_mesh_consul_cancel(w);
        ngx_mesh_consul_later(w, 1000 + ngx_random() % 20000);

    } else if (!w->busy) {
        ngx_mesh_consul_release(w);
    }
}


/* a watched one that nobody calls, or any but the catalog */

static ngx_mesh_consul_watch_t *
ngx_mesh_consul_cold(ngx_mesh_consul_t *consul, ngx_uint_t any)
{
    ngx_queue_t              *q;
    ngx_mesh_consul_watch_t  *w, *last;

    last = NULL;

    for (q = ngx_queue_head(&consul->watched);
         q != ngx_queue_sentinel(&consul->watched);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_mesh_consul_watch_t, queue);

        if (w == consul->catalog) {
            continue;
        }

        if (!ngx_mesh_consul_called(w)
            && (any || ngx_current_msec - w->promoted > NGX_MESH_CONSUL_TENURE))
        {
            return w;
        }

        last = w;
    }

    return any ? (last ? last : consul->catalog) : NULL;
}


/* a rotated one that is called, or any */

static ngx_mesh_consul_watch_t *
ngx_mesh_consul_hot(ngx_mesh_consul_t *consul, ngx_uint_t any)
{
    ngx_queue_t              *q;
    ngx_mesh_consul_watch_t  *w, *first;

    first = NULL;

    for (q = ngx_queue_head(&consul->rotated);
         q != ngx_queue_sentinel(&consul->rotated);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_mesh_consul_watch_t, queue);

        if (ngx_mesh_consul_called(w)) {
            return w;
        }

        first = first ? first : w;
    }

    return any ? first : NULL;
}


static void
ngx_mesh_consul_balance(ngx_mesh_consul_t *consul)
{
    ngx_uint_t                i, limit;
    ngx_mesh_consul_watch_t  *w, *cold;

    limit = ngx_mesh_consul_limit(consul);

    while (consul->nwatched > limit
           && (w = ngx_mesh_consul_cold(consul, 1)) != NULL)
    {
        ngx_mesh_consul_demote(w);
    }

    while (consul->nwatched < limit
           && (w = ngx_mesh_consul_hot(consul, 1)) != NULL)
    {
        if (ngx_mesh_consul_advance(w) != NGX_OK) {
            break;
        }
    }

    for (i = 0; consul->nrotated && i < NGX_MESH_CONSUL_SWAPS; i++) {
        w = ngx_mesh_consul_hot(consul, 0);
        cold = w ? ngx_mesh_consul_cold(consul, 0) : NULL;

        if (cold == NULL || limit == 0) {
            break;
        }

        ngx_mesh_consul_demote(cold);

        if (ngx_mesh_consul_advance(w) != NGX_OK) {
            break;
        }
    }
}


void
ngx_mesh_consul_fewer(ngx_mesh_consul_t *consul)
{
    consul->allowed = ngx_min(consul->allowed, consul->used);
    consul->allowed = ngx_max(consul->allowed, 3) - 1;
}


static void
ngx_mesh_consul_tick_handler(ngx_event_t *ev)
{
    ngx_mesh_consul_t  *consul;

    consul = ev->data;

    consul->ticks++;

    if (ngx_mesh_consul_token(consul, 0) == NGX_OK) {
        ngx_mesh_consul_new_token(consul);
    }

    if (consul->allowed < consul->nslots
        && consul->ticks % NGX_MESH_CONSUL_MORE == 0)
    {
        consul->allowed++;
    }

    ngx_mesh_consul_balance(consul);

    ngx_mesh_source_watched(consul->source, consul->nwatched
                            - (consul->catalog && consul->catalog->watched),
                            consul->used);

    ngx_add_timer(ev, NGX_MESH_CONSUL_TICK);
}


/* who was refused tries with it */

static void
ngx_mesh_consul_new_token(ngx_mesh_consul_t *consul)
{
    ngx_uint_t                i;
    ngx_queue_t              *q, *queue;
    ngx_mesh_consul_watch_t  *w;

    for (i = 0; i < 2; i++) {
        queue = i ? &consul->rotated : &consul->watched;

        for (q = ngx_queue_head(queue);
             q != ngx_queue_sentinel(queue);
             q = ngx_queue_next(q))
        {
            w = ngx_queue_data(q, ngx_mesh_consul_watch_t, queue);

            if (w->slow && !w->busy && !w->waits) {
                w->slow = 0;
                ngx_mesh_consul_later(w, 1 + ngx_random() % 100);
            }
        }
    }
}
