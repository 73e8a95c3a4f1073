
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_metadata_int.h"


/* questions at a time; the others have to wait */
#define NGX_MESH_METADATA_ASKS      16

/*
 * ms for which a revision that cannot be had holds up what its application
 * offers otherwise: instances of it are none of those in use.
 */
#define NGX_MESH_METADATA_PATIENCE  60000

/* bytes of "HOST:PORT" */
#define NGX_MESH_METADATA_MEMBER    300

/* s after which a revision is forgotten that no instance has any more, and an
   application that nobody asked for */
#define NGX_MESH_METADATA_IDLE      600
#define NGX_MESH_METADATA_UNUSED    86400


static void ngx_mesh_metadata_dismiss(ngx_mesh_metadata_app_t *app,
    ngx_mesh_metadata_revision_t *r);
static ngx_uint_t ngx_mesh_metadata_current(ngx_mesh_metadata_revision_t *r);
static void ngx_mesh_metadata_start(ngx_mesh_metadata_revision_t *r);
static void ngx_mesh_metadata_answered(ngx_mesh_metadata_ask_t *ask,
    ngx_pool_t *pool, ngx_array_t *services, ngx_str_t *error);
static void ngx_mesh_metadata_refused(ngx_mesh_metadata_revision_t *r,
    ngx_str_t *error);
static void ngx_mesh_metadata_again(ngx_event_t *ev);
static void ngx_mesh_metadata_leave(ngx_mesh_metadata_revision_t *r);
static void ngx_mesh_metadata_wake(ngx_mesh_metadata_app_t *app);
static void ngx_mesh_metadata_due(ngx_event_t *ev);
static void ngx_mesh_metadata_sweep(ngx_event_t *ev);
static void ngx_mesh_metadata_free(ngx_mesh_metadata_revision_t *r);
static void ngx_mesh_metadata_free_app(ngx_mesh_metadata_app_t *app);


static ngx_queue_t  ngx_mesh_metadata_all;      /* applications */
static ngx_queue_t  ngx_mesh_metadata_turns;    /* QUEUED revisions */
static ngx_uint_t   ngx_mesh_metadata_asks;
static ngx_event_t  ngx_mesh_metadata_timer;    /* sweeps */
static ngx_event_t  ngx_mesh_metadata_posted;   /* waits are due */


void
ngx_mesh_metadata_cancel(ngx_mesh_metadata_wait_t *wait)
{
    if (wait->waiting) {
        ngx_queue_remove(&wait->queue);
        wait->waiting = 0;
    }
}


void
ngx_mesh_metadata_forget(ngx_mesh_source_t *source)
{
    ngx_queue_t              *q, *next;
    ngx_mesh_metadata_app_t  *app;

    if (ngx_mesh_metadata_all.next == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_mesh_metadata_all);
         q != ngx_queue_sentinel(&ngx_mesh_metadata_all);
         q = next)
    {
        next = ngx_queue_next(q);
        app = ngx_queue_data(q, ngx_mesh_metadata_app_t, queue);

        if (app->source == source) {
            ngx_mesh_metadata_free_app(app);
        }
    }

    if (ngx_queue_empty(&ngx_mesh_metadata_all)
        && ngx_mesh_metadata_timer.timer_set)
    {
        ngx_del_timer(&ngx_mesh_metadata_timer);
    }

    ngx_mesh_metadata_next();
}


ngx_mesh_metadata_app_t *
ngx_mesh_metadata_app(ngx_mesh_source_t *source, ngx_str_t *name)
{
    ngx_queue_t              *q;
    ngx_mesh_metadata_app_t  *app;

    if (ngx_mesh_metadata_all.next == NULL) {
        ngx_queue_init(&ngx_mesh_metadata_all);
        ngx_queue_init(&ngx_mesh_metadata_turns);

        ngx_mesh_metadata_timer.handler = ngx_mesh_metadata_sweep;
        ngx_mesh_metadata_timer.log = ngx_cycle->log;
        ngx_mesh_metadata_timer.cancelable = 1;
        ngx_mesh_metadata_posted.handler = ngx_mesh_metadata_due;
        ngx_mesh_metadata_posted.log = ngx_cycle->log;
    }

    for (q = ngx_queue_head(&ngx_mesh_metadata_all);
         q != ngx_queue_sentinel(&ngx_mesh_metadata_all);
         q = ngx_queue_next(q))
    {
        app = ngx_queue_data(q, ngx_mesh_metadata_app_t, queue);

        if (app->source == source && app->name.len == name->len
            && ngx_memcmp(app->name.data, name->data, name->len) == 0)
        {
            app->used = ngx_time();
            return app;
        }
    }

    app = ngx_calloc(sizeof(ngx_mesh_metadata_app_t) + name->len,
                     ngx_cycle->log);
    if (app == NULL) {
        return NULL;
    }

    app->source = source;
    app->used = ngx_time();
    app->name.len = name->len;
    app->name.data = (u_char *) app + sizeof(ngx_mesh_metadata_app_t);
    ngx_memcpy(app->name.data, name->data, name->len);

    ngx_rbtree_init(&app->revisions, &app->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&app->members, &app->nobody, ngx_str_rbtree_insert_value);
    ngx_queue_init(&app->all);
    ngx_queue_init(&app->seen);
    ngx_queue_init(&app->waits);

    ngx_queue_insert_tail(&ngx_mesh_metadata_all, &app->queue);

    if (!ngx_mesh_metadata_timer.timer_set) {
        ngx_add_timer(&ngx_mesh_metadata_timer,
                      NGX_MESH_METADATA_IDLE * 1000 / 4);
    }

    return app;
}


ngx_mesh_metadata_revision_t *
ngx_mesh_metadata_revision(ngx_mesh_metadata_app_t *app, ngx_str_t *name)
{
    uint32_t                       hash;
    ngx_mesh_metadata_revision_t  *r;

    hash = ngx_crc32_long(name->data, name->len);

    r = (ngx_mesh_metadata_revision_t *)
            ngx_str_rbtree_lookup(&app->revisions, name, hash);

    if (r == NULL) {
        r = ngx_calloc(sizeof(ngx_mesh_metadata_revision_t) + name->len,
                       ngx_cycle->log);
        if (r == NULL) {
            return NULL;
        }

        r->sn.node.key = hash;
        r->sn.str.len = name->len;
        r->sn.str.data = (u_char *) r + sizeof(ngx_mesh_metadata_revision_t);
        ngx_memcpy(r->sn.str.data, name->data, name->len);

        r->app = app;
        r->timer.handler = ngx_mesh_metadata_again;
        r->timer.data = r;
        r->timer.log = ngx_cycle->log;
        r->timer.cancelable = 1;

        ngx_rbtree_insert(&app->revisions, &r->sn.node);
        ngx_queue_insert_tail(&app->all, &r->queue);
    }

    r->used = ngx_time();

    return r;
}


ngx_mesh_metadata_revision_t *
ngx_mesh_metadata_member(ngx_mesh_metadata_app_t *app, ngx_str_t *host,
    ngx_uint_t port, ngx_mesh_metadata_revision_t *revision)
{
    u_char                       text[NGX_MESH_METADATA_MEMBER];
    uint32_t                     hash;
    ngx_str_t                    name;
    ngx_mesh_metadata_member_t  *m;

    name.data = text;
    name.len = ngx_snprintf(text, NGX_MESH_METADATA_MEMBER, "%V:%ui", host,
                            port)
               - text;

    hash = ngx_crc32_long(name.data, name.len);

    m = (ngx_mesh_metadata_member_t *)
            ngx_str_rbtree_lookup(&app->members, &name, hash);

    if (m == NULL) {

        if (revision == NULL) {
            return NULL;
        }

        m = ngx_calloc(sizeof(ngx_mesh_metadata_member_t) + name.len,
                       ngx_cycle->log);
        if (m == NULL) {
            return NULL;
        }

        m->sn.node.key = hash;
        m->sn.str.len = name.len;
        m->sn.str.data = (u_char *) m + sizeof(ngx_mesh_metadata_member_t);
        ngx_memcpy(m->sn.str.data, name.data, name.len);

        ngx_rbtree_insert(&app->members, &m->sn.node);
        ngx_queue_insert_tail(&app->seen, &m->queue);
    }

    m->count = app->count;

    if (revision) {
        m->revision = revision;
    }

    /* it is of use, whoever has it otherwise */

    m->revision->count = app->count;
    m->revision->used = ngx_time();

    return m->revision;
}


void
ngx_mesh_metadata_members(ngx_mesh_metadata_app_t *app)
{
    ngx_mesh_metadata_dismiss(app, NULL);
}


/* those that are gone, or (not NULL) those of the revision */

static void
ngx_mesh_metadata_dismiss(ngx_mesh_metadata_app_t *app,
    ngx_mesh_metadata_revision_t *r)
{
    ngx_queue_t                 *q, *next;
    ngx_mesh_metadata_member_t  *m;

    for (q = ngx_queue_head(&app->seen);
         q != ngx_queue_sentinel(&app->seen);
         q = next)
    {
        next = ngx_queue_next(q);
        m = ngx_queue_data(q, ngx_mesh_metadata_member_t, queue);

        if (r ? m->revision == r : m->count != app->count) {
            ngx_queue_remove(&m->queue);
            ngx_rbtree_delete(&app->members, &m->sn.node);
            ngx_free(m);
        }
    }
}


void
ngx_mesh_metadata_want(ngx_mesh_metadata_revision_t *r)
{
    if (r->state != NGX_MESH_METADATA_NEW) {
        return;
    }

    if (r->backoff == 0) {
        r->since = ngx_current_msec;
    }

    r->state = NGX_MESH_METADATA_QUEUED;
    r->tries = 0;
    r->app->busy++;

    ngx_queue_insert_tail(&ngx_mesh_metadata_turns, &r->turn);
}


/* whether the last answer of the registry has an instance of it */

static ngx_uint_t
ngx_mesh_metadata_current(ngx_mesh_metadata_revision_t *r)
{
    return r->count == r->app->count;
}


/* questions, as long as others do not fill the room for them */

void
ngx_mesh_metadata_next(void)
{
    ngx_queue_t                   *q;
    ngx_mesh_metadata_revision_t  *r;

    while (ngx_mesh_metadata_asks < NGX_MESH_METADATA_ASKS
           && !ngx_queue_empty(&ngx_mesh_metadata_turns))
    {
        q = ngx_queue_head(&ngx_mesh_metadata_turns);
        ngx_queue_remove(q);

        r = ngx_queue_data(q, ngx_mesh_metadata_revision_t, turn);
        ngx_mesh_metadata_start(r);
    }
}


static void
ngx_mesh_metadata_start(ngx_mesh_metadata_revision_t *r)
{
    ngx_str_t                 text;
    ngx_mesh_metadata_ask_t  *ask;

    r->place = r->nplaces ? r->place % r->nplaces : 0;

    ask = ngx_calloc(sizeof(ngx_mesh_metadata_ask_t), ngx_cycle->log);

    if (ask && r->nplaces) {
        ask->data = r;
        ask->source = r->app->source;
        ask->app = r->app->name;
        ask->revision = r->sn.str;
        ask->place = r->places[r->place];
        ask->done = ngx_mesh_metadata_answered;

        if (ngx_mesh_metadata_ask(ask) == NGX_OK) {
            ngx_mesh_metadata_asks++;
            r->ask = ask;
            r->state = NGX_MESH_METADATA_ASKED;
            return;
        }
    }

    if (ask) {
        ngx_free(ask);
    }

    r->app->busy--;
    r->tries = r->nplaces;

    ngx_str_set(&text, "no memory");
    ngx_mesh_metadata_refused(r, &text);
}


static void
ngx_mesh_metadata_answered(ngx_mesh_metadata_ask_t *ask, ngx_pool_t *pool,
    ngx_array_t *services, ngx_str_t *error)
{
    ngx_mesh_metadata_revision_t  *r;

    r = ask->data;

    ngx_free(ask);
    r->ask = NULL;
    r->app->busy--;
    ngx_mesh_metadata_asks--;

    if (services == NULL) {
        r->tries++;
        r->place++;
        ngx_mesh_metadata_refused(r, error);
        ngx_mesh_metadata_next();
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mesh registry %V: revision %V of %V has %ui services",
                  &r->app->source->name, &r->sn.str, &r->app->name,
                  services->nelts);

    r->state = NGX_MESH_METADATA_KNOWN;
    r->pool = pool;
    r->services = services;

    ngx_free(r->places);
    r->places = NULL;
    r->nplaces = 0;

    r->app->news = 1;
    ngx_mesh_metadata_wake(r->app);
    ngx_mesh_metadata_next();
}


/* another instance is asked, or all of them later on */

static void
ngx_mesh_metadata_refused(ngx_mesh_metadata_revision_t *r, ngx_str_t *error)
{
    ngx_uint_t   first;
    u_char      *copy;

    first = (r->backoff == 0);
    copy = ngx_alloc(error->len, ngx_cycle->log);

    if (copy) {
        ngx_memcpy(copy, error->data, error->len);

        if (r->error.data) {
            ngx_free(r->error.data);
        }

        r->error.data = copy;
        r->error.len = error->len;
    }

    if (!ngx_mesh_metadata_current(r)) {
        ngx_mesh_metadata_leave(r);
        return;
    }

    if (r->tries < r->nplaces) {
        r->state = NGX_MESH_METADATA_QUEUED;
        r->app->busy++;
        ngx_queue_insert_tail(&ngx_mesh_metadata_turns, &r->turn);
        return;
    }

    r->state = NGX_MESH_METADATA_RESTS;
    r->backoff = ngx_mesh_discovery_backoff(r->backoff);
    ngx_add_timer(&r->timer, r->backoff);

    if (first) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh registry %V: metadata of application %V is not "
                      "known yet: %V", &r->app->source->name, &r->app->name,
                      error);
    }

    if (!r->lost
        && ngx_current_msec - r->since >= NGX_MESH_METADATA_PATIENCE)
    {
        r->lost = 1;
        first = 1;
    }

    /* those who wait shall say so */

    if (first) {
        r->app->news = 1;
    }

    ngx_mesh_metadata_wake(r->app);
}


static void
ngx_mesh_metadata_again(ngx_event_t *ev)
{
    ngx_mesh_metadata_revision_t  *r;

    r = ev->data;

    if (!ngx_mesh_metadata_current(r)) {
        ngx_mesh_metadata_leave(r);
        return;
    }

    r->state = NGX_MESH_METADATA_NEW;

    ngx_mesh_metadata_want(r);
    ngx_mesh_metadata_next();
}


/* there is nobody to ask any more, until an answer says so */

static void
ngx_mesh_metadata_leave(ngx_mesh_metadata_revision_t *r)
{
    r->state = NGX_MESH_METADATA_NEW;
    r->backoff = 0;
    r->lost = 0;

    ngx_mesh_metadata_wake(r->app);
}


static void
ngx_mesh_metadata_wake(ngx_mesh_metadata_app_t *app)
{
    ngx_queue_t               *q;
    ngx_mesh_metadata_wait_t  *wait;

    /* a part of it is of no use to them */

    if (app->busy || !app->news) {
        return;
    }

    app->news = 0;

    for (q = ngx_queue_head(&app->waits);
         q != ngx_queue_sentinel(&app->waits);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, ngx_mesh_metadata_wait_t, queue);
        wait->due = 1;
    }

    ngx_post_event(&ngx_mesh_metadata_posted, &ngx_posted_events);
}


/* a handler may cancel others, or wait again */

static void
ngx_mesh_metadata_due(ngx_event_t *ev)
{
    ngx_queue_t               *a, *q;
    ngx_mesh_metadata_app_t   *app;
    ngx_mesh_metadata_wait_t  *wait;

again:

    for (a = ngx_queue_head(&ngx_mesh_metadata_all);
         a != ngx_queue_sentinel(&ngx_mesh_metadata_all);
         a = ngx_queue_next(a))
    {
        app = ngx_queue_data(a, ngx_mesh_metadata_app_t, queue);

        for (q = ngx_queue_head(&app->waits);
             q != ngx_queue_sentinel(&app->waits);
             q = ngx_queue_next(q))
        {
            wait = ngx_queue_data(q, ngx_mesh_metadata_wait_t, queue);

            if (wait->due) {
                ngx_mesh_metadata_cancel(wait);
                wait->handler(wait);
                goto again;
            }
        }
    }
}


static void
ngx_mesh_metadata_sweep(ngx_event_t *ev)
{
    ngx_queue_t                   *a, *q, *next;
    ngx_mesh_metadata_app_t       *app;
    ngx_mesh_metadata_revision_t  *r;

    for (a = ngx_queue_head(&ngx_mesh_metadata_all);
         a != ngx_queue_sentinel(&ngx_mesh_metadata_all);
         /* void */ )
    {
        app = ngx_queue_data(a, ngx_mesh_metadata_app_t, queue);
        a = ngx_queue_next(a);

        if (app->used < ngx_time() - NGX_MESH_METADATA_UNUSED) {
            ngx_mesh_metadata_free_app(app);
            continue;
        }

        for (q = ngx_queue_head(&app->all);
             q != ngx_queue_sentinel(&app->all);
             q = next)
        {
            next = ngx_queue_next(q);
            r = ngx_queue_data(q, ngx_mesh_metadata_revision_t, queue);

            if (!ngx_mesh_metadata_current(r)
                && r->used < ngx_time() - NGX_MESH_METADATA_IDLE)
            {
                ngx_mesh_metadata_free(r);
            }
        }
    }

    if (!ngx_queue_empty(&ngx_mesh_metadata_all)) {
        ngx_add_timer(ev, NGX_MESH_METADATA_IDLE * 1000 / 4);
    }

    ngx_mesh_metadata_next();
}


static void
ngx_mesh_metadata_free(ngx_mesh_metadata_revision_t *r)
{
    ngx_mesh_metadata_dismiss(r->app, r);

    if (r->state == NGX_MESH_METADATA_QUEUED) {
        ngx_queue_remove(&r->turn);
        r->app->busy--;
    }

    if (r->ask) {
        ngx_mesh_metadata_ask_close(r->ask);
        ngx_free(r->ask);
        r->app->busy--;
        ngx_mesh_metadata_asks--;
    }

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    if (r->pool) {
        ngx_destroy_pool(r->pool);
    }

    if (r->places) {
        ngx_free(r->places);
    }

    if (r->error.data) {
        ngx_free(r->error.data);
    }

    ngx_rbtree_delete(&r->app->revisions, &r->sn.node);
    ngx_queue_remove(&r->queue);

    ngx_free(r);
}


static void
ngx_mesh_metadata_free_app(ngx_mesh_metadata_app_t *app)
{
    ngx_queue_t                   *q;
    ngx_mesh_metadata_wait_t      *wait;
    ngx_mesh_metadata_revision_t  *r;

    while (!ngx_queue_empty(&app->waits)) {
        q = ngx_queue_head(&app->waits);
        wait = ngx_queue_data(q, ngx_mesh_metadata_wait_t, queue);
        ngx_mesh_metadata_cancel(wait);
    }

    app->count++;
    ngx_mesh_metadata_members(app);

    while (!ngx_queue_empty(&app->all)) {
        q = ngx_queue_head(&app->all);
        r = ngx_queue_data(q, ngx_mesh_metadata_revision_t, queue);
        ngx_mesh_metadata_free(r);
    }

    ngx_queue_remove(&app->queue);

    ngx_free(app);
}
