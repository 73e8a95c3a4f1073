
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"
#include "ngx_mesh_want.h"


/*
 * A worker that misses an interface wants it; the agent subscribes it where it
 * is lazily discovered, and has each registry's answer put into the table.  An
 * interface that nobody has is not asked for again while want and answers are
 * there: the agent takes both away after a while, and the next call wants it
 * anew.
 */


/* longer names are no interfaces */
#define NGX_MESH_WANT_NAME   512

/* commits that came first, before the limit is not taken so exactly */
#define NGX_MESH_WANT_TRIES  8

#define NGX_MESH_WANT_READS  3


/* of an interface: whether it is wanted, what was answered, and services */

typedef struct {
    ngx_array_t              items[NGX_MESH_WANT_READS];
} ngx_mesh_want_read_t;


static ngx_uint_t ngx_mesh_want_name(ngx_str_t *interface);
static ngx_int_t ngx_mesh_want_read(ngx_str_t *interface,
    ngx_mesh_want_read_t *read, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_want_source(ngx_mesh_want_source_t *source,
    ngx_mesh_want_read_t *read);
static ngx_int_t ngx_mesh_want_listed(ngx_mesh_want_source_t *source,
    ngx_array_t *services);
static ngx_uint_t ngx_mesh_want_room(uint64_t *revision);
static uint32_t *ngx_mesh_used_stamp(ngx_str_t *interface);


ngx_uint_t  (*ngx_mesh_want_starting)(ngx_str_t *source);

static ngx_mesh_want_source_t  *ngx_mesh_want_all;
static ngx_uint_t               ngx_mesh_want_n;

static uint32_t                *ngx_mesh_used_stamps;


void
ngx_mesh_want_sources(ngx_mesh_want_source_t *sources, ngx_uint_t n)
{
    ngx_mesh_want_all = sources;
    ngx_mesh_want_n = n;
}


ngx_uint_t
ngx_mesh_want_possible(void)
{
    return ngx_mesh_want_n;
}


ngx_uint_t
ngx_mesh_want_begins(void)
{
    ngx_uint_t  i;

    if (ngx_mesh_want_starting == NULL) {
        return 0;
    }

    for (i = 0; i < ngx_mesh_want_n; i++) {
        if (ngx_mesh_want_all[i].all
            && ngx_mesh_want_starting(&ngx_mesh_want_all[i].name))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Registries get it as a part of paths and patterns: what a client invents
 * must not mean more there than a name.
 */

static ngx_uint_t
ngx_mesh_want_name(ngx_str_t *interface)
{
    u_char      ch;
    ngx_uint_t  i;

    if (interface->len == 0 || interface->len > NGX_MESH_WANT_NAME) {
        return 0;
    }

    for (i = 0; i < interface->len; i++) {
        ch = interface->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || ch == '.' || ch == '_'
            || ch == '$' || ch == '-' || ch >= 0x80)
        {
            continue;
        }

        return 0;
    }

    return interface->data[0] != '.';
}


ngx_uint_t
ngx_mesh_want_state(ngx_str_t *interface)
{
    ngx_uint_t             i, state, one;
    ngx_pool_t            *pool;
    ngx_mesh_want_read_t   read;

    if (ngx_mesh_want_n == 0 || !ngx_mesh_want_name(interface)) {
        return NGX_MESH_WANT_SETTLED;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_MESH_WANT_SETTLED;
    }

    state = NGX_MESH_WANT_SETTLED;

    if (ngx_mesh_want_read(interface, &read, pool) == NGX_OK) {

        for (i = 0; i < ngx_mesh_want_n; i++) {
            one = ngx_mesh_want_source(&ngx_mesh_want_all[i], &read);

            if (one == NGX_MESH_WANT_UNASKED) {
                state = one;
                break;
            }

            if (one == NGX_MESH_WANT_PENDING
                || state == NGX_MESH_WANT_SETTLED)
            {
                state = one;
            }
        }
    }

    ngx_destroy_pool(pool);

    return state;
}


static ngx_int_t
ngx_mesh_want_read(ngx_str_t *interface, ngx_mesh_want_read_t *read,
    ngx_pool_t *pool)
{
    uint64_t                 revision;
    ngx_str_t                inside, empty;
    ngx_uint_t               i;
    ngx_mesh_store_query_t   queries[NGX_MESH_WANT_READS];

    static ngx_uint_t        types[] = {
        NGX_MESH_ITEM_WANT,
        NGX_MESH_ITEM_ANSWER,
        NGX_MESH_ITEM_SERVICE
    };

    ngx_str_set(&empty, "");
    ngx_memzero(queries, sizeof(queries));

    if (ngx_mesh_item_found_key(&inside, interface, &empty, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_MESH_WANT_READS; i++) {

        if (ngx_array_init(&read->items[i], pool, 2,
                           sizeof(ngx_mesh_store_item_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        queries[i].type = types[i];
        queries[i].prefix = i ? &inside : interface;
        queries[i].exact = (i == 0);
        queries[i].items = &read->items[i];
    }

    return ngx_mesh_store_select(ngx_mesh_live(), queries,
                                 NGX_MESH_WANT_READS, NULL, pool, &revision);
}


/* what the agent does of all this by itself it need not be asked for */

static ngx_uint_t
ngx_mesh_want_source(ngx_mesh_want_source_t *source,
    ngx_mesh_want_read_t *read)
{
    ngx_str_t               interface, registry;
    ngx_uint_t              i, listed;
    ngx_mesh_answer_t       answer;
    ngx_mesh_store_item_t  *item;

    switch (ngx_mesh_want_listed(source, &read->items[2])) {

    case NGX_OK:
        listed = 1;
        break;

    case NGX_DONE:
        return NGX_MESH_WANT_SETTLED;

    default: /* NGX_DECLINED */
        listed = 0;
    }

    /* without a want nobody keeps an answer true */

    if (source->lazy && !listed && read->items[0].nelts == 0) {
        return NGX_MESH_WANT_UNASKED;
    }

    item = read->items[1].elts;

    for (i = 0; i < read->items[1].nelts; i++) {

        if (ngx_mesh_item_answer_read(&item[i], &interface, &registry, &answer)
            == NGX_OK
            && ngx_mesh_equal(&registry, &source->name))
        {
            return answer.known ? NGX_MESH_WANT_SETTLED
                                : NGX_MESH_WANT_PENDING;
        }
    }

    if (source->lazy || listed) {
        return NGX_MESH_WANT_PENDING;
    }

    if (source->all && ngx_mesh_want_starting
        && ngx_mesh_want_starting(&source->name))
    {
        return NGX_MESH_WANT_STARTING;
    }

    return NGX_MESH_WANT_SETTLED;
}


/*
 * NGX_OK: a service that somebody declared is looked for there; NGX_DECLINED:
 * nobody has declared one of the interface; NGX_DONE: others are to be asked.
 */

static ngx_int_t
ngx_mesh_want_listed(ngx_mesh_want_source_t *source, ngx_array_t *services)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_mesh_service_t      service;
    ngx_mesh_store_item_t  *item;

    rc = NGX_DECLINED;
    item = services->elts;

    for (i = 0; i < services->nelts; i++) {

        if (ngx_mesh_item_service_read(&item[i], &service) != NGX_OK
            || (!ngx_mesh_equal(&service.owner, &ngx_mesh_owner_config)
                && !ngx_mesh_equal(&service.owner, &ngx_mesh_owner_api)))
        {
            continue;
        }

        if (service.registries.len == 0
            || ngx_mesh_list_has(&service.registries, &source->name))
        {
            return NGX_OK;
        }

        rc = NGX_DONE;
    }

    return rc;
}


/* how many more may be wanted, so that every lazy registry can be asked */

static ngx_uint_t
ngx_mesh_want_room(uint64_t *revision)
{
    ngx_uint_t               i, max;
    ngx_mesh_store_known_t   known;
    ngx_mesh_store_query_t   query;
    ngx_mesh_want_source_t  *source;

    max = 0;

    for (i = 0; i < ngx_mesh_want_n; i++) {
        source = &ngx_mesh_want_all[i];

        if (source->lazy) {
            max = max ? ngx_min(max, source->max_services)
                      : source->max_services;
        }
    }

    ngx_memzero(&query, sizeof(ngx_mesh_store_query_t));
    query.type = NGX_MESH_ITEM_WANT;

    ngx_mesh_store_look(ngx_mesh_live(), &query, 1, &known, revision);

    return max > known.nitems ? max - known.nitems : 0;
}


ngx_uint_t
ngx_mesh_want_commit(ngx_str_t *interfaces, ngx_uint_t *n, ngx_pool_t *pool,
    ngx_log_t *log)
{
    uint64_t                  revision;
    ngx_uint_t                i, rc, max, tries;
    ngx_mesh_store_op_t      *ops;
    ngx_mesh_store_result_t   result;

    max = *n;
    *n = 0;

    ops = ngx_palloc(pool, max * sizeof(ngx_mesh_store_op_t));
    if (ops == NULL) {
        return NGX_MESH_STORE_NOMEM;
    }

    for (i = 0; i < max; i++) {
        if (ngx_mesh_item_put_want(&ops[i], &interfaces[i], pool) != NGX_OK) {
            return NGX_MESH_STORE_NOMEM;
        }
    }

    for (tries = 0; /* void */ ; tries++) {

        i = ngx_min(max, ngx_mesh_want_room(&revision));

        if (i == 0) {
            return NGX_MESH_STORE_SAME;
        }

        rc = ngx_mesh_live_commit(ops, i,
                                  tries < NGX_MESH_WANT_TRIES ? revision : 0,
                                  0, &result, log);

        if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
            *n = i;
        }

        if (rc != NGX_MESH_STORE_CONFLICT) {
            return rc;
        }
    }
}


void
ngx_mesh_want_look(ngx_str_t *interface, ngx_mesh_store_known_t *known)
{
    u_char                   inside[NGX_MESH_WANT_NAME + 1];
    uint64_t                 revision;
    ngx_str_t                prefix;
    ngx_mesh_store_query_t   queries[4];

    prefix.data = inside;
    prefix.len = interface->len + 1;

    (void) ngx_snprintf(inside, sizeof(inside), "%V%Z", interface);

    ngx_memzero(queries, sizeof(queries));

    queries[0].type = NGX_MESH_ITEM_SERVICE;
    queries[0].prefix = &prefix;
    queries[1].type = NGX_MESH_ITEM_ENDPOINT;
    queries[1].prefix = &prefix;
    queries[2].type = NGX_MESH_ITEM_ANSWER;
    queries[2].prefix = &prefix;
    queries[3].type = NGX_MESH_ITEM_WANT;
    queries[3].prefix = interface;
    queries[3].exact = 1;

    ngx_mesh_store_look(ngx_mesh_live(), queries, 4, known, &revision);
}


ngx_int_t
ngx_mesh_used_init_zone(ngx_slab_pool_t *shpool, void **region)
{
    *region = ngx_slab_calloc(shpool, NGX_MESH_USED_SIZE);

    return *region ? NGX_OK : NGX_ERROR;
}


void
ngx_mesh_used_open(void *region)
{
    ngx_mesh_used_stamps = region;
}


static uint32_t *
ngx_mesh_used_stamp(ngx_str_t *interface)
{
    return &ngx_mesh_used_stamps[ngx_murmur_hash2(interface->data,
                                                  interface->len)
                                 % NGX_MESH_USED_STAMPS];
}


/* monotonic, the same for all processes; 0 is never */

void
ngx_mesh_live_used(ngx_str_t *interface)
{
    uint32_t   now;
    uint32_t  *stamp;

    if (ngx_mesh_used_stamps == NULL) {
        return;
    }

    now = (uint32_t) (ngx_current_msec / 1000) + 1;
    stamp = ngx_mesh_used_stamp(interface);

    /* a cache line that others have is written to only for a reason */

    if (*stamp != now) {
        *stamp = now;
    }
}


ngx_uint_t
ngx_mesh_live_unused(ngx_str_t *interface)
{
    int32_t   passed;
    uint32_t  stamp;

    stamp = ngx_mesh_used_stamps ? *ngx_mesh_used_stamp(interface) : 0;

    if (stamp == 0) {
        return NGX_MESH_USED_NEVER;
    }

    passed = (int32_t) ((uint32_t) (ngx_current_msec / 1000) + 1 - stamp);

    return passed > 0 ? passed : 0;
}
