
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_watch.h"
#include "ngx_mesh_http.h"
#include "ngx_mesh_registry.h"


/*
 * What has changed is looked up once for all who wait in this process, when it
 * is woken by whoever changed it.  The timer runs only while somebody waits:
 * it ends polls, keeps a worker that leaves until all who wait have been
 * answered, and looks for itself, as a process may be killed between a change
 * and its waking others.
 */

#define NGX_MESH_API_WATCH_TICK      200
#define NGX_MESH_API_WATCH_WAIT      55000
#define NGX_MESH_API_WATCH_WAIT_MAX  600000

/* ms between two bookmarks at least */
#define NGX_MESH_API_WATCH_LEAST     100

#define NGX_MESH_API_GONE            410


static ngx_int_t ngx_mesh_api_watch(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_watch_args(ngx_mesh_api_call_t *call,
    ngx_mesh_api_watch_t *watch);
static ngx_int_t ngx_mesh_api_watch_since(ngx_mesh_api_call_t *call,
    ngx_mesh_api_watch_t *watch);
static ngx_int_t ngx_mesh_api_watch_answer(ngx_mesh_api_watch_t *watch,
    ngx_array_t *items, uint64_t revision, uint64_t floor, ngx_uint_t end);
static void ngx_mesh_api_watch_open(ngx_mesh_api_watch_t *watch);
static void ngx_mesh_api_watch_close(ngx_mesh_api_watch_t *watch);
static ngx_int_t ngx_mesh_api_watch_more(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_watch_wait(ngx_mesh_api_watch_t *watch);
static void ngx_mesh_api_watch_cleanup(void *data);
static void ngx_mesh_api_watch_init(void);
static void ngx_mesh_api_watch_arm(ngx_mesh_api_watch_t *watch);
static void ngx_mesh_api_watch_timed(ngx_event_t *ev);
static void ngx_mesh_api_watch_look(void *data);
static void ngx_mesh_api_watch_changes(ngx_mesh_store_t *store,
    ngx_queue_t *ready, ngx_uint_t end);
static void ngx_mesh_api_watch_over(ngx_queue_t *ready, ngx_uint_t end);
static void ngx_mesh_api_watch_end(ngx_mesh_api_watch_t *watch);
static void ngx_mesh_api_watch_send(ngx_mesh_api_watch_t *watch);


ngx_mesh_api_op_t  ngx_mesh_api_watch_ops[] = {

    { ngx_string("watch"), NGX_HTTP_GET, NGX_MESH_API_LINES,
      ngx_mesh_api_watch,
      "What has changed after a revision, as soon as there is something" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_queue_t       ngx_mesh_api_watches;
static ngx_event_t       ngx_mesh_api_watch_timer;
static ngx_connection_t  ngx_mesh_api_watch_dummy;
static uint64_t          ngx_mesh_api_watch_seen;

static ngx_mesh_registry_hook_t  ngx_mesh_api_watch_hook;


static ngx_int_t
ngx_mesh_api_watch(ngx_mesh_api_call_t *call)
{
    uint64_t               revision, floor;
    ngx_int_t              rc;
    ngx_array_t            items;
    ngx_mesh_api_watch_t  *watch;

    watch = ngx_pcalloc(call->pool, sizeof(ngx_mesh_api_watch_t));
    if (watch == NULL) {
        return NGX_ERROR;
    }

    watch->call = call;

    rc = ngx_mesh_api_watch_args(call, watch);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_watch_since(call, watch);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (watch->stream) {
        floor = ngx_mesh_store_floor(call->store);

        return watch->since < floor ? ngx_mesh_api_watch_old(call, floor)
                                    : ngx_mesh_api_watch_wait(watch);
    }

    if (ngx_mesh_api_watch_list(call->store, watch->since, &items, &revision,
                                call->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* what was forgotten meanwhile may be missing in the list */

    floor = ngx_mesh_store_floor(call->store);

    rc = ngx_mesh_api_watch_answer(watch, &items, revision, floor,
                                   watch->until == ngx_current_msec
                                   || ngx_exiting);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    return ngx_mesh_api_watch_wait(watch);
}


static ngx_int_t
ngx_mesh_api_watch_args(ngx_mesh_api_call_t *call, ngx_mesh_api_watch_t *watch)
{
    ngx_int_t            n;
    ngx_str_t            value, *accept;
    ngx_uint_t           i;
    ngx_mesh_service_t   service;

    n = NGX_MESH_API_WATCH_WAIT;
    accept = ngx_mesh_api_header(call->request, "accept", 0);

    watch->stream = call->method == NGX_HTTP_GET && accept
                    && ngx_strlcasestrn(accept->data,
                                        accept->data + accept->len,
                                        (u_char *) "application/x-ndjson",
                                        sizeof("application/x-ndjson") - 2)
                       != NULL;

    if (ngx_mesh_api_arg(call, "wait", &value) == NGX_OK) {
        n = ngx_parse_time(&value, 0);

        if (n == NGX_ERROR || n > NGX_MESH_API_WATCH_WAIT_MAX) {
            return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                     NULL, "invalid wait \"%V\", it must be "
                                     "a time as \"55s\", up to 10m", &value);
        }
    }

    watch->wait = watch->stream ? ngx_max(n, NGX_MESH_API_WATCH_LEAST) : n;
    watch->until = ngx_current_msec + watch->wait;

    if (ngx_mesh_api_arg(call, "type", &value) == NGX_OK) {

        for (i = NGX_MESH_API_WATCH_TYPES; i; i--) {
            if (ngx_mesh_equal(&value, &ngx_mesh_api_changes_types[i])) {
                break;
            }
        }

        if (i == 0) {
            return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                     NULL, "invalid type \"%V\", it must be "
                                     "service, endpoint, override or route",
                                     &value);
        }

        watch->type = i;
    }

    if (ngx_mesh_api_arg(call, "service", &value) != NGX_OK) {
        return NGX_OK;
    }

    if (ngx_mesh_table_parse_key(&value, &service) != NGX_OK) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, "invalid service \"%V\", it must be "
                                 "[GROUP/]INTERFACE[:VERSION]", &value);
    }

    return ngx_mesh_item_key(&watch->service, &service, NULL, NULL, 1,
                             call->pool);
}


static ngx_int_t
ngx_mesh_api_watch_since(ngx_mesh_api_call_t *call,
    ngx_mesh_api_watch_t *watch)
{
    off_t      n;
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  value, epoch;

    epoch.data = buf;
    epoch.len = ngx_sprintf(buf, "%xL", ngx_mesh_store_epoch(call->store))
                - buf;

    if (ngx_mesh_api_arg(call, "epoch", &value) == NGX_OK
        && !ngx_mesh_equal(&value, &epoch))
    {
        return ngx_mesh_api_fail(call, NGX_MESH_API_GONE, "OtherEpoch",
                                 "read all again, then watch",
                                 "the table is another one now");
    }

    watch->since = call->revision;

    if (ngx_mesh_api_arg(call, "since", &value) != NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoof(value.data, value.len);

    if (n < 0) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, "invalid since \"%V\", it must be a "
                                 "revision", &value);
    }

    watch->since = n;

    if (watch->since > ngx_mesh_store_revision(call->store)) {
        return ngx_mesh_api_fail(call, NGX_MESH_API_GONE, "OtherEpoch",
                                 "read all again, then watch",
                                 "there is no such revision yet");
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_watch_old(ngx_mesh_api_call_t *call, uint64_t floor)
{
    return ngx_mesh_api_fail(call, NGX_MESH_API_GONE, "TooOld",
                             "read all again, then watch",
                             "what was removed before revision %uL is "
                             "forgotten", floor);
}


ngx_int_t
ngx_mesh_api_watch_list(ngx_mesh_store_t *store, uint64_t since,
    ngx_array_t *items, uint64_t *revision, ngx_pool_t *pool)
{
    ngx_uint_t              i;
    ngx_mesh_store_query_t  queries[NGX_MESH_API_WATCH_TYPES];

    if (ngx_array_init(items, pool, 4, sizeof(ngx_mesh_store_item_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(queries, sizeof(queries));

    *revision = ngx_mesh_store_revision(store);

    /* most of the time nothing has changed */

    if (*revision == since) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_MESH_API_WATCH_TYPES; i++) {
        queries[i].type = NGX_MESH_ITEM_SERVICE + i;
        queries[i].since = since;
        queries[i].items = items;
    }

    return ngx_mesh_store_select(store, queries, NGX_MESH_API_WATCH_TYPES,
                                 NULL, pool, revision);
}


/* NGX_AGAIN: there is nothing to say yet, unless it is the end */

static ngx_int_t
ngx_mesh_api_watch_answer(ngx_mesh_api_watch_t *watch, ngx_array_t *items,
    uint64_t revision, uint64_t floor, ngx_uint_t end)
{
    ngx_uint_t              i;
    ngx_mesh_api_call_t    *call;
    ngx_mesh_store_item_t  *item;

    call = watch->call;

    if (watch->since < floor) {
        return ngx_mesh_api_watch_old(call, floor);
    }

    item = items->elts;

    for (i = 0; i < items->nelts; i++) {
        if (ngx_mesh_api_changes_wants(watch, &item[i])) {
            break;
        }
    }

    if (i == items->nelts && !end) {
        watch->since = revision;
        return NGX_AGAIN;
    }

    call->revision = revision;

    ngx_mesh_api_watch_open(watch);

    if (items->nelts > NGX_MESH_API_WATCH_PAGE) {
        watch->target = revision;
        call->data = watch;
        call->more = ngx_mesh_api_watch_more;
        return NGX_OK;
    }

    if (ngx_mesh_api_changes(watch, items, revision) != NGX_OK) {
        return NGX_ERROR;
    }

    watch->since = revision;

    ngx_mesh_api_watch_close(watch);

    return NGX_OK;
}


static void
ngx_mesh_api_watch_open(ngx_mesh_api_watch_t *watch)
{
    ngx_mesh_json_t  *json;

    json = watch->call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "items");
    ngx_mesh_json_open(json, '[');
}


static void
ngx_mesh_api_watch_close(ngx_mesh_api_watch_t *watch)
{
    ngx_mesh_json_t  *json;

    json = watch->call->json;

    ngx_mesh_json_close(json, ']');
    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, watch->since);
    ngx_mesh_json_close(json, '}');
}


static ngx_int_t
ngx_mesh_api_watch_more(ngx_mesh_api_call_t *call)
{
    uint64_t               since;
    ngx_int_t              rc;
    ngx_mesh_api_watch_t  *watch;

    watch = call->data;
    since = watch->since;

    rc = ngx_mesh_api_changes_walk(watch);

    if (rc != NGX_OK) {
        return rc;
    }

    /* what was forgotten meanwhile cannot be told of any more */

    if (since < ngx_mesh_store_floor(call->store)) {
        return NGX_ERROR;
    }

    ngx_mesh_api_watch_close(watch);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_watch_wait(ngx_mesh_api_watch_t *watch)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = watch->call->request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_mesh_api_watch_cleanup;
    cln->data = watch;

    watch->call->data = watch;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_mesh_api_watch_add(watch);

    if (watch->stream) {
        ngx_mesh_api_watch_soon();
    }

    return NGX_DONE;
}


static void
ngx_mesh_api_watch_init(void)
{
    ngx_event_t  *ev;

    ngx_queue_init(&ngx_mesh_api_watches);

    ngx_mesh_api_watch_dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_mesh_api_watch_timer;

    ev->handler = ngx_mesh_api_watch_timed;
    ev->data = &ngx_mesh_api_watch_dummy;

    ngx_mesh_api_watch_hook.handler = ngx_mesh_api_watch_look;

    ngx_mesh_registry_hook(&ngx_mesh_api_watch_hook);
}


void
ngx_mesh_api_watch_add(ngx_mesh_api_watch_t *watch)
{
    if (ngx_mesh_api_watches.next == NULL) {
        ngx_mesh_api_watch_init();
    }

    /* what is looked up serves all: it begins at the earliest revision, but
       for those that catch up by themselves */

    if (!watch->behind && (ngx_queue_empty(&ngx_mesh_api_watches)
                           || watch->since < ngx_mesh_api_watch_seen))
    {
        ngx_mesh_api_watch_seen = watch->since;
    }

    ngx_queue_insert_tail(&ngx_mesh_api_watches, &watch->queue);

    ngx_mesh_api_watch_arm(watch);
}


static void
ngx_mesh_api_watch_arm(ngx_mesh_api_watch_t *watch)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   wait;

    ev = &ngx_mesh_api_watch_timer;
    wait = NGX_MESH_API_WATCH_TICK;

    if (watch->busy == NULL) {
        wait = (ngx_msec_int_t) (watch->until - ngx_current_msec);
        wait = ngx_max(ngx_min(wait, NGX_MESH_API_WATCH_TICK), 1);
    }

    if (ev->timer_set
        && (ngx_msec_int_t) (ev->timer.key - ngx_current_msec) > wait)
    {
        ngx_del_timer(ev);
    }

    if (!ev->timer_set) {
        ev->log = ngx_cycle->log;
        ngx_add_timer(ev, wait);
    }
}


void
ngx_mesh_api_watch_remove(ngx_mesh_api_watch_t *watch)
{
    if (watch->queue.next) {
        ngx_queue_remove(&watch->queue);
        watch->queue.next = NULL;
    }
}


static void
ngx_mesh_api_watch_cleanup(void *data)
{
    ngx_mesh_api_watch_remove(data);
}


void
ngx_mesh_api_watch_soon(void)
{
    ngx_post_event(&ngx_mesh_api_watch_timer, &ngx_posted_events);
}


void
ngx_mesh_api_watch_next(void)
{
    ngx_post_event(&ngx_mesh_api_watch_timer, &ngx_posted_next_events);
}


static void
ngx_mesh_api_watch_timed(ngx_event_t *ev)
{
    ngx_mesh_api_watch_look(NULL);
}


static void
ngx_mesh_api_watch_look(void *data)
{
    ngx_uint_t             end;
    ngx_queue_t            ready;
    ngx_mesh_store_t      *store;
    ngx_mesh_api_watch_t  *watch;

    store = ngx_mesh_live();
    ngx_queue_init(&ready);
    end = (ngx_exiting || ngx_terminate || ngx_quit);

    if (ngx_queue_empty(&ngx_mesh_api_watches)) {
        return;
    }

    if (end || ngx_mesh_store_revision(store) != ngx_mesh_api_watch_seen) {
        ngx_mesh_api_watch_changes(store, &ready, end);
    }

    ngx_mesh_api_watch_over(&ready, end);

    /* an answer may close a connection that others wait on too */

    while (!ngx_queue_empty(&ready)) {
        watch = ngx_queue_data(ngx_queue_head(&ready), ngx_mesh_api_watch_t,
                               queue);

        if (watch->stream) {
            ngx_mesh_api_stream_run(watch, end);

        } else {
            ngx_mesh_api_watch_send(watch);
        }
    }

    if (ngx_queue_empty(&ngx_mesh_api_watches)
        && ngx_mesh_api_watch_timer.timer_set)
    {
        ngx_del_timer(&ngx_mesh_api_watch_timer);
    }
}


/* one look at the table for all */

static void
ngx_mesh_api_watch_changes(ngx_mesh_store_t *store, ngx_queue_t *ready,
    ngx_uint_t end)
{
    uint64_t      revision, floor;
    ngx_int_t     rc;
    ngx_pool_t   *pool;
    ngx_queue_t  *q, *next;
    ngx_array_t   items;

    ngx_mesh_api_watch_t  *watch;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_api_watch_list(store, ngx_mesh_api_watch_seen, &items,
                                &revision, pool)
        != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return;
    }

    floor = ngx_mesh_store_floor(store);

    for (q = ngx_queue_head(&ngx_mesh_api_watches);
         q != ngx_queue_sentinel(&ngx_mesh_api_watches);
         q = next)
    {
        next = ngx_queue_next(q);
        watch = ngx_queue_data(q, ngx_mesh_api_watch_t, queue);

        if (!watch->stream) {
            rc = ngx_mesh_api_watch_answer(watch, &items, revision, floor,
                                           end);

        } else if (watch->started && !watch->behind && watch->busy == NULL
                   && items.nelts <= NGX_MESH_API_WATCH_PAGE)
        {
            rc = ngx_mesh_api_stream_items(watch, &items, revision, floor);

        } else {
            watch->behind = 1;
            continue;
        }

        if (rc == NGX_ERROR) {
            watch->call->json->failed = 1;
        }

        if (rc != NGX_AGAIN) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(ready, q);
        }
    }

    ngx_mesh_api_watch_seen = revision;

    ngx_destroy_pool(pool);
}


/* those whose time is over, and streams that have something to say */

static void
ngx_mesh_api_watch_over(ngx_queue_t *ready, ngx_uint_t end)
{
    ngx_uint_t             over;
    ngx_queue_t           *q, *next;
    ngx_mesh_api_watch_t  *watch;

    for (q = ngx_queue_head(&ngx_mesh_api_watches);
         q != ngx_queue_sentinel(&ngx_mesh_api_watches);
         q = next)
    {
        next = ngx_queue_next(q);
        watch = ngx_queue_data(q, ngx_mesh_api_watch_t, queue);

        over = (ngx_msec_int_t) (watch->until - ngx_current_msec) <= 0;

        if (!watch->stream) {

            if (over) {
                ngx_mesh_api_watch_end(watch);
            }

        } else if (watch->busy) {
            over = end;

        } else if (end || !watch->started || watch->behind) {
            over = 1;

        } else if (over) {
            ngx_mesh_api_stream_bookmark(watch);
        }

        if (!over) {
            ngx_mesh_api_watch_arm(watch);
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(ready, q);
    }
}


/* time is over: the revision up to which there was nothing */

static void
ngx_mesh_api_watch_end(ngx_mesh_api_watch_t *watch)
{
    ngx_array_t  none;

    ngx_memzero(&none, sizeof(ngx_array_t));

    (void) ngx_mesh_api_watch_answer(watch, &none, watch->since, 0, 1);
}


static void
ngx_mesh_api_watch_send(ngx_mesh_api_watch_t *watch)
{
    ngx_http_request_t  *r;

    ngx_mesh_api_watch_remove(watch);

    r = watch->call->request;

    ngx_mesh_api_end(r, ngx_mesh_api_send(r, watch->call));
}
