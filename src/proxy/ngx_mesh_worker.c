
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh.h"
#include "ngx_mesh_proxy_int.h"


static void ngx_mesh_worker_clock_handler(ngx_event_t *ev);
static void ngx_mesh_worker_tick_handler(ngx_event_t *ev);
static void ngx_mesh_worker_second_handler(ngx_event_t *ev);
static void ngx_mesh_worker_turn(uint64_t tick);
static void ngx_mesh_worker_event(ngx_event_t *ev,
    ngx_event_handler_pt handler);


ngx_mesh_worker_t  ngx_mesh_worker;


/*
 * The clock is read by the first that asks in a turn of the event loop; the
 * posted event behind it runs at the end of that turn.
 */

uint64_t
ngx_mesh_now(void)
{
    struct timespec     ts;
    ngx_mesh_worker_t  *w;

    w = &ngx_mesh_worker;

    if (!w->clock_valid) {
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);

        w->now = (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
        w->clock_valid = 1;

        ngx_post_event(&w->clock, &ngx_posted_events);
    }

    return w->now;
}


static void
ngx_mesh_worker_clock_handler(ngx_event_t *ev)
{
    ngx_mesh_worker.clock_valid = 0;
}


void
ngx_mesh_wheel_add(ngx_mesh_request_t *r)
{
    uint64_t            tick, now;
    ngx_mesh_worker_t  *w;

    w = &ngx_mesh_worker;

    now = ngx_mesh_now();
    tick = r->limit / (NGX_MESH_TICK * 1000) + 1;

    if (w->nwheel++ == 0) {
        w->turned = now / (NGX_MESH_TICK * 1000);

        /* the worker does not exit while calls are in flight */

        w->tick.cancelable = 0;

        if (!w->tick.timer_set) {
            ngx_add_timer(&w->tick, NGX_MESH_TICK);
        }
    }

    if (tick <= w->turned) {
        tick = w->turned + 1;
    }

    ngx_queue_insert_tail(&w->wheel[tick % NGX_MESH_WHEEL], &r->by_time);
}


void
ngx_mesh_wheel_del(ngx_mesh_request_t *r)
{
    ngx_queue_remove(&r->by_time);

    if (--ngx_mesh_worker.nwheel == 0) {

        /* the timer is left to run out: calls mostly follow one another */

        ngx_mesh_worker.tick.cancelable = 1;
    }
}


static void
ngx_mesh_worker_tick_handler(ngx_event_t *ev)
{
    uint64_t            tick, last;
    ngx_mesh_worker_t  *w;

    w = &ngx_mesh_worker;

    w->clock_valid = 0;
    tick = ngx_mesh_now() / (NGX_MESH_TICK * 1000);

    /* after a long pause one round of the wheel visits every bucket */

    last = w->turned;
    w->turned = tick;

    if (tick - last > NGX_MESH_WHEEL) {
        last = tick - NGX_MESH_WHEEL;
    }

    while (last < tick && w->nwheel) {
        ngx_mesh_worker_turn(++last);
    }

    if (!ngx_queue_empty(&w->paused)) {
        ngx_mesh_session_resume_all();
    }

    ngx_mesh_park_tick();

    if (w->nwheel) {
        ngx_add_timer(ev, NGX_MESH_TICK);
    }
}


static void
ngx_mesh_worker_turn(uint64_t tick)
{
    uint64_t             now;
    ngx_queue_t         *q, *bucket, due, *lq;
    ngx_mesh_request_t  *r;

    now = ngx_mesh_worker.now;
    bucket = &ngx_mesh_worker.wheel[tick % NGX_MESH_WHEEL];

    ngx_queue_init(&due);

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket); q = lq) {
        lq = ngx_queue_next(q);
        r = ngx_queue_data(q, ngx_mesh_request_t, by_time);

        if (r->limit <= now) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&due, q);
        }
    }

    if (ngx_queue_empty(&due)) {
        return;
    }

    while (!ngx_queue_empty(&due)) {
        r = ngx_queue_data(ngx_queue_head(&due), ngx_mesh_request_t, by_time);
        ngx_mesh_request_expire(r);
    }

    /* frames of expired calls that wait in a queue are not sent */

    ngx_mesh_link_purge_all();
}


static void
ngx_mesh_worker_second_handler(ngx_event_t *ev)
{
    ngx_queue_t         *q, *next;
    ngx_mesh_link_t     *link;
    ngx_mesh_worker_t   *w;

    w = &ngx_mesh_worker;

    ngx_mesh_park_second();
    ngx_mesh_session_check_partial();
    ngx_mesh_session_resume_all();
    ngx_mesh_sweep();

    for (q = ngx_queue_head(&w->links);
         q != ngx_queue_sentinel(&w->links);
         q = next)
    {
        next = ngx_queue_next(q);
        link = ngx_queue_data(q, ngx_mesh_link_t, all);

        ngx_mesh_slot_expire(link);

        if (link->connected) {
            ngx_mesh_link_done(link);
        }
    }

    ngx_mesh_metrics_flush();

    ngx_add_timer(ev, 1000);
}


static void
ngx_mesh_worker_event(ngx_event_t *ev, ngx_event_handler_pt handler)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->log = ngx_cycle->log;
    ev->data = &ngx_mesh_worker.dummy;
    ev->cancelable = 1;
}


ngx_int_t
ngx_mesh_proxy_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t             i;
    ngx_mesh_worker_t     *w;
    ngx_mesh_core_conf_t  *mcf;

    mcf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);

    w = &ngx_mesh_worker;
    ngx_memzero(w, sizeof(ngx_mesh_worker_t));

    w->buffer_max = mcf->worker_buffer;
    w->dummy.fd = (ngx_socket_t) -1;

    w->scratch = ngx_alloc(NGX_MESH_RECV_SIZE, cycle->log);
    if (w->scratch == NULL || ngx_mesh_recv_buffer() != NGX_OK) {
        return NGX_ERROR;
    }

    w->nbuckets = 2048;
    w->entries = ngx_calloc(w->nbuckets * sizeof(ngx_mesh_entry_t *),
                            cycle->log);
    if (w->entries == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_MESH_WHEEL; i++) {
        ngx_queue_init(&w->wheel[i]);
    }

    ngx_queue_init(&w->links);
    ngx_queue_init(&w->partial);
    ngx_queue_init(&w->paused);

    for (i = 0; i < NGX_MESH_VIEWS; i++) {
        ngx_queue_init(&w->views[i]);
    }

    ngx_queue_init(&w->lru);

    ngx_rbtree_init(&w->peers, &w->sentinel, ngx_rbtree_insert_value);

    ngx_mesh_worker_event(&w->clock, ngx_mesh_worker_clock_handler);
    ngx_mesh_worker_event(&w->tick, ngx_mesh_worker_tick_handler);
    ngx_mesh_worker_event(&w->second, ngx_mesh_worker_second_handler);

    ngx_mesh_park_init_process();

    ngx_add_timer(&w->second, 1000);

    return ngx_mesh_handover_init_process(cycle);
}


void
ngx_mesh_proxy_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_mesh_worker.recv == NULL) {
        return;
    }

    ngx_mesh_link_close_all();
    ngx_mesh_handover_exit_process();
}
