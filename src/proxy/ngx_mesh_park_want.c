
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_park.h"


/*
 * Interfaces that calls miss, on their way into the table.  Names may be of a
 * client's invention: how many are wanted is limited, how fast is, and how much
 * of the worker's time the commits take.
 */


/* interfaces wanted at once, and in a second; so many more may wait for it */
#define NGX_MESH_PARK_BURST     512
#define NGX_MESH_PARK_RATE      128
#define NGX_MESH_PARK_WAITING   128

/* us between commits at least */
#define NGX_MESH_PARK_INTERVAL  10000


static void ngx_mesh_park_want_refill(void);
static ngx_uint_t ngx_mesh_park_want_commit(ngx_uint_t *n);
static void ngx_mesh_park_want_asked(ngx_uint_t n, ngx_uint_t refused);


void
ngx_mesh_park_want_init(void)
{
    ngx_mesh_park_t  *pk;

    pk = &ngx_mesh_park;

    pk->tokens = NGX_MESH_PARK_BURST;
    pk->filled = ngx_mesh_now();

    pk->ask.handler = ngx_mesh_park_want_handler;
    pk->ask.data = &ngx_mesh_worker.dummy;
    pk->ask.log = ngx_cycle->log;
}


ngx_int_t
ngx_mesh_park_want(ngx_str_t *interface)
{
    ngx_mesh_park_t     *pk;
    ngx_mesh_parking_t  *g;

    pk = &ngx_mesh_park;

    g = ngx_mesh_park_find(interface);

    if (g && g->is_asking) {
        return NGX_OK;
    }

    if (pk->full && pk->full == ngx_mesh_live_revision()) {
        ngx_mesh_count(pk->why);
        return NGX_DECLINED;
    }

    ngx_mesh_park_want_refill();

    if (pk->nasking >= pk->tokens + NGX_MESH_PARK_WAITING) {
        ngx_mesh_count(NGX_MESH_M_WANTS_RATE);

        if (!pk->told_rate) {
            pk->told_rate = 1;
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "mesh: more unknown services are called than are "
                          "looked for in registries at a time");
        }

        return NGX_DECLINED;
    }

    if (g == NULL) {
        g = ngx_mesh_park_get(interface);
        if (g == NULL) {
            return NGX_DECLINED;
        }
    }

    g->is_asking = 1;
    ngx_queue_insert_tail(&pk->asking, &g->asking);
    pk->nasking++;

    ngx_post_event(&pk->ask, &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_mesh_park_want_refill(void)
{
    uint64_t          now, n;
    ngx_mesh_park_t  *pk;

    pk = &ngx_mesh_park;

    now = ngx_mesh_now();
    n = (now - pk->filled) * NGX_MESH_PARK_RATE / 1000000;

    if (n) {
        pk->filled = now;
        pk->tokens = (ngx_uint_t) ngx_min(pk->tokens + n,
                                          NGX_MESH_PARK_BURST);
    }
}


/* at the end of a turn, as several calls may want something in it */

void
ngx_mesh_park_want_handler(ngx_event_t *ev)
{
    uint64_t          begun, took;
    ngx_uint_t        rc, n, asked;
    ngx_mesh_park_t  *pk;

    pk = &ngx_mesh_park;

    if (pk->nasking == 0 || ngx_mesh_now() < pk->after) {
        return;
    }

    ngx_mesh_park_want_refill();

    n = ngx_min(pk->nasking, pk->tokens);

    if (n == 0) {
        return;
    }

    begun = ngx_mesh_park_clock();
    asked = n;
    rc = ngx_mesh_park_want_commit(&asked);
    took = ngx_mesh_park_clock() - begun;

    pk->after = begun + ngx_max(took * NGX_MESH_PARK_LOAD,
                                NGX_MESH_PARK_INTERVAL);

    if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
        pk->tokens -= asked;
        ngx_mesh_counters[NGX_MESH_M_WANTS] += asked;
        pk->why = NGX_MESH_M_WANTS_FULL;

    } else if (rc == NGX_MESH_STORE_FULL) {
        asked = 0;
        pk->why = NGX_MESH_M_WANTS_ZONE;

    } else {

        /* no memory: the next tick tries again */

        return;
    }

    if (asked && pk->told) {
        pk->told = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh: services are looked for in registries again");
    }

    ngx_mesh_park_want_asked(asked, 0);

    if (asked < n) {
        pk->full = ngx_mesh_live_revision();
        ngx_mesh_park_want_asked(n - asked, 1);
    }
}


static ngx_uint_t
ngx_mesh_park_want_commit(ngx_uint_t *n)
{
    ngx_str_t           *names;
    ngx_uint_t           i, rc;
    ngx_pool_t          *pool;
    ngx_queue_t         *q;
    ngx_mesh_parking_t  *g;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_MESH_STORE_NOMEM;
    }

    rc = NGX_MESH_STORE_NOMEM;
    names = ngx_palloc(pool, *n * sizeof(ngx_str_t));

    if (names) {
        q = ngx_queue_head(&ngx_mesh_park.asking);

        for (i = 0; i < *n; i++, q = ngx_queue_next(q)) {
            g = ngx_queue_data(q, ngx_mesh_parking_t, asking);
            names[i] = g->sn.str;
        }

        rc = ngx_mesh_want_commit(names, n, pool, ngx_cycle->log);
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* the first n are wanted now, or not: then their calls end */

static void
ngx_mesh_park_want_asked(ngx_uint_t n, ngx_uint_t refused)
{
    ngx_queue_t         *q;
    ngx_mesh_park_t     *pk;
    ngx_mesh_parking_t  *g;

    pk = &ngx_mesh_park;

    if (refused && !pk->told) {
        pk->told = 1;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh: no more services are looked for in registries, "
                      "%s",
                      pk->why == NGX_MESH_M_WANTS_ZONE
                      ? "the zone is full"
                      : "\"max_services\" of a registry is reached");
    }

    if (n == pk->nasking) {
        pk->told_rate = 0;
    }

    while (n--) {
        q = ngx_queue_head(&pk->asking);
        g = ngx_queue_data(q, ngx_mesh_parking_t, asking);

        ngx_queue_remove(q);
        g->is_asking = 0;
        pk->nasking--;

        if (refused && g->ncalls) {
            ngx_mesh_park_due(g);
        }

        ngx_mesh_park_free(g);
    }
}


uint64_t
ngx_mesh_park_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
