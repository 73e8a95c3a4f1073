
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_metrics.h"
#include "ngx_mesh_operator.h"
#include <sys/eventfd.h>


/*
 * Who wakes whom.  The two eventfds are made once by a master, for all of its
 * generations of processes; one is the agent's, the other is watched by all
 * workers.  Nobody reads them: each write is an edge for everybody.
 */


/* ms, where there are no edges */
#define NGX_MESH_REGISTRY_POLL  20


static ngx_int_t ngx_mesh_registry_eventfds(ngx_log_t *log);
static void ngx_mesh_registry_moved(ngx_mesh_core_conf_t *ccf);
static void ngx_mesh_registry_copy(ngx_mesh_registry_region_t *old,
    ngx_mesh_zone_t *zone, ngx_log_t *log);
static void ngx_mesh_registry_copy_learned(ngx_mesh_registry_region_t *old,
    ngx_mesh_store_t *store, ngx_log_t *log);
static void ngx_mesh_registry_start(ngx_mesh_core_conf_t *ccf);
static void ngx_mesh_registry_woken(ngx_event_t *ev);
static void ngx_mesh_registry_poll(ngx_event_t *ev);
static void ngx_mesh_registry_worker_woken(void);
static void ngx_mesh_registry_tick(ngx_event_t *ev);
static void ngx_mesh_registry_event(ngx_event_t *ev,
    ngx_event_handler_pt handler);
static void ngx_mesh_registry_later_handler(ngx_event_t *ev);
static void ngx_mesh_registry_wake(int fd, ngx_atomic_t *calls);
static ngx_uint_t ngx_mesh_registry_alive(ngx_msec_t beat);
static int64_t ngx_mesh_registry_metric(ngx_uint_t index);


#define NGX_MESH_REGISTRY_AGENT    0
#define NGX_MESH_REGISTRY_WORKERS  1

static int                   ngx_mesh_registry_fds[2] = { -1, -1 };
static ngx_uint_t            ngx_mesh_registry_told;

ngx_mesh_registry_region_t  *ngx_mesh_registry_region;
ngx_mesh_core_conf_t        *ngx_mesh_registry_conf;

/* the zone of the master's last configuration */
static ngx_mesh_zone_t       ngx_mesh_registry_zone;


/* of this process; in one process for all there are both listeners */

typedef struct {
    ngx_event_t                poll;
    ngx_connection_t           dummy;
    ngx_atomic_uint_t          calls;
    void                     (*handler)(void);
} ngx_mesh_registry_listener_t;

static ngx_mesh_registry_listener_t  ngx_mesh_registry_listeners[2];

static ngx_uint_t            ngx_mesh_registry_running;
static ngx_queue_t           ngx_mesh_registry_hooks;
static ngx_queue_t          *ngx_mesh_registry_next;
static ngx_event_t           ngx_mesh_registry_ticker;
static ngx_event_t           ngx_mesh_registry_later;
static ngx_connection_t      ngx_mesh_registry_dummy;


ngx_int_t
ngx_mesh_registry_init_zone(ngx_slab_pool_t *shpool, void **region)
{
    ngx_mesh_registry_region_t  *r;

    r = *region;

    if (r) {
        return r->magic == NGX_MESH_REGISTRY_MAGIC
               && r->layout == NGX_MESH_REGISTRY_LAYOUT
               && r->size == sizeof(ngx_mesh_registry_region_t)
               ? NGX_OK : NGX_DECLINED;
    }

    r = ngx_slab_calloc(shpool, sizeof(ngx_mesh_registry_region_t));
    if (r == NULL) {
        return NGX_ERROR;
    }

    r->magic = NGX_MESH_REGISTRY_MAGIC;
    r->layout = NGX_MESH_REGISTRY_LAYOUT;
    r->size = sizeof(ngx_mesh_registry_region_t);

    *region = r;

    return NGX_OK;
}


void
ngx_mesh_registry_init_module(ngx_cycle_t *cycle)
{
    ngx_core_conf_t             *core;
    ngx_mesh_zone_t             *zone;
    ngx_mesh_core_conf_t        *ccf;
    ngx_mesh_registry_region_t  *old;

    ccf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);
    core = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    zone = ccf->zone->data;

    old = ngx_mesh_registry_region;

    ngx_mesh_agent_stop();

    ngx_mesh_registry_conf = ccf;
    ngx_mesh_registry_region = zone->agent;

    (void) ngx_mesh_registry_eventfds(cycle->log);

    ngx_mesh_live_changed = ngx_mesh_registry_committed;
    ngx_mesh_live_held = ngx_mesh_registry_held;

    if (!core->master && ccf->agent_path && !ngx_mesh_registry_told) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "\"master_process off\": the mesh agent is in the same "
                      "process, which waits for it");
        ngx_mesh_registry_told = 1;
    }

    ngx_mesh_registry_moved(ccf);

    if (!ngx_mesh_registry_region->filled) {

        if (old && old != ngx_mesh_registry_region) {
            ngx_mesh_registry_copy(old, zone, cycle->log);

        } else if (ccf->agent_path) {
            ngx_mesh_agent_journal_fill(ccf, cycle->log);
        }

        ngx_mesh_registry_region->filled = 1;
    }

    ngx_mesh_registry_region->unwanted = (ccf->agent_path == NULL);

    if (ccf->agent_path == NULL) {
        ngx_mesh_orphans_due();
        ngx_mesh_orphans_look(ccf);
    }

    ngx_mesh_registry_zone = *zone;

    if (ngx_mesh_registry_running) {
        ngx_mesh_registry_start(ccf);
    }
}


/* a reload that names another directory changes nothing of the table */

static void
ngx_mesh_registry_moved(ngx_mesh_core_conf_t *ccf)
{
    uint32_t                     path;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    path = 0;

    if (ccf->agent_path) {
        path = ngx_crc32_long(ccf->agent_path->name.data,
                              ccf->agent_path->name.len);
    }

    if (region->filled && region->path != path) {
        region->moved = 1;
    }

    region->path = path;
}


void
ngx_mesh_registry_forget(void)
{
    ngx_mesh_agent_stop();

    if (ngx_mesh_registry_region) {
        ngx_mesh_registry_region->unwanted = 1;
        ngx_mesh_registry_region = NULL;
    }
}


/* nothing that the old zone's table is told from now on would be heard */

static void
ngx_mesh_registry_copy(ngx_mesh_registry_region_t *old, ngx_mesh_zone_t *zone,
    ngx_log_t *log)
{
    uint64_t                     revision;
    ngx_uint_t                   rc;
    ngx_pool_t                  *pool;
    ngx_array_t                  items;
    ngx_mesh_store_t             store;
    ngx_mesh_store_result_t      result;
    ngx_mesh_registry_region_t  *region;

    region = zone->agent;
    rc = NGX_MESH_STORE_NOMEM;

    pool = ngx_create_pool(16384, log);
    if (pool == NULL) {
        return;
    }

    region->fence = old->fence;

    old->frozen = 1;
    ngx_memory_barrier();

    ngx_memzero(&result, sizeof(ngx_mesh_store_result_t));

    if (ngx_mesh_live_attach(&store, ngx_mesh_registry_zone.store,
                             ngx_mesh_registry_zone.store_size,
                             ngx_mesh_registry_zone.shpool)
        == NGX_OK
        && ngx_mesh_operator_items(&store, pool, &items, &revision) == NGX_OK)
    {
        rc = ngx_mesh_operator_restore(ngx_mesh_live(), items.elts,
                                       items.nelts, revision, 0, 0, &result,
                                       log);
    }

    if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
        region->ancestor = ngx_mesh_store_epoch(&store);
        region->sequence = old->sequence;
        region->moved = (old->moved || old->path != region->path);

        ngx_mesh_registry_copy_learned(old, &store, log);

    } else {

        /* the last that the old agent writes is all there is left */

        old->frozen = 0;

        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "mesh: the operator's changes do not fit into the new "
                      "zone: %uzk are needed, %uzk free",
                      result.needed / 1024 + 1, result.free / 1024);
    }

    ngx_destroy_pool(pool);
}


/* registries will say it again, if there is no room for it */

static void
ngx_mesh_registry_copy_learned(ngx_mesh_registry_region_t *old,
    ngx_mesh_store_t *store, ngx_log_t *log)
{
    uint64_t                  revision;
    ngx_uint_t                rc;
    ngx_pool_t               *pool;
    ngx_array_t               items;
    ngx_mesh_store_result_t   result;

    pool = ngx_create_pool(16384, log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_learned_items(store, pool, &items, &revision) == NGX_OK) {

        rc = ngx_mesh_learned_restore(ngx_mesh_live(), items.elts, items.nelts,
                                      revision, &result, log);

        if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
            ngx_mesh_registry_region->learned_sequence = old->learned_sequence;

        } else {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "mesh: what registries said does not fit into the "
                          "new zone, they are asked again");
        }
    }

    ngx_destroy_pool(pool);
}


static ngx_int_t
ngx_mesh_registry_eventfds(ngx_log_t *log)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {

        if (ngx_mesh_registry_fds[i] != -1) {
            continue;
        }

        ngx_mesh_registry_fds[i] = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

        if (ngx_mesh_registry_fds[i] == -1) {
            ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                          "eventfd() failed, mesh processes look for news "
                          "every %d ms", NGX_MESH_REGISTRY_POLL);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_registry_init_process(ngx_cycle_t *cycle)
{
    ngx_mesh_zone_t       *zone;
    ngx_mesh_core_conf_t  *ccf;

    ccf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);
    zone = ccf->zone->data;

    ngx_mesh_registry_conf = ccf;
    ngx_mesh_registry_region = zone->agent;

    ngx_queue_init(&ngx_mesh_registry_hooks);

    if (ngx_mesh_registry_listen(0, ngx_mesh_registry_worker_woken) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_registry_dummy.fd = (ngx_socket_t) -1;

    ngx_mesh_registry_event(&ngx_mesh_registry_ticker,
                            ngx_mesh_registry_tick);
    ngx_mesh_registry_event(&ngx_mesh_registry_later,
                            ngx_mesh_registry_later_handler);

    ngx_mesh_metrics_agent = ngx_mesh_registry_metric;

    /* of one process the configuration may change while it runs */

    ngx_mesh_registry_running = (ngx_process == NGX_PROCESS_SINGLE);
    ngx_mesh_registry_start(ccf);

    return NGX_OK;
}


static void
ngx_mesh_registry_start(ngx_mesh_core_conf_t *ccf)
{
    ngx_mesh_registry_want(ccf);

    if (ccf->agent_path == NULL) {
        return;
    }

    if (!ngx_mesh_registry_ticker.timer_set) {
        ngx_add_timer(&ngx_mesh_registry_ticker, NGX_MESH_AGENT_BEAT);
    }

    if (ngx_process == NGX_PROCESS_SINGLE) {
        ngx_mesh_agent_start(ccf);
    }
}


static void
ngx_mesh_registry_event(ngx_event_t *ev, ngx_event_handler_pt handler)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->log = ngx_cycle->log;
    ev->data = &ngx_mesh_registry_dummy;
    ev->cancelable = 1;
}


void
ngx_mesh_registry_exit_process(ngx_cycle_t *cycle)
{
    ngx_mesh_registry_leave();
    ngx_mesh_agent_stop();
}


ngx_int_t
ngx_mesh_registry_listen(ngx_uint_t agent, void (*handler)(void))
{
    int                            fd;
    ngx_event_t                   *rev;
    ngx_connection_t              *c;
    ngx_mesh_registry_listener_t  *l;

    l = &ngx_mesh_registry_listeners[agent];

    if (l->handler) {
        return NGX_OK;
    }

    l->handler = handler;

    fd = ngx_mesh_registry_fds[agent ? NGX_MESH_REGISTRY_AGENT
                                     : NGX_MESH_REGISTRY_WORKERS];

    if (fd == -1 || !(ngx_event_flags & NGX_USE_EPOLL_EVENT)) {
        l->dummy.fd = (ngx_socket_t) -1;
        l->calls = agent ? ngx_mesh_registry_region->agent_calls
                         : ngx_mesh_registry_region->worker_calls;

        rev = &l->poll;
        ngx_memzero(rev, sizeof(ngx_event_t));

        rev->handler = ngx_mesh_registry_poll;
        rev->data = &l->dummy;
        rev->log = ngx_cycle->log;
        rev->cancelable = 1;

        ngx_add_timer(rev, NGX_MESH_REGISTRY_POLL);

        return NGX_OK;
    }

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = l;

    rev = c->read;
    rev->log = ngx_cycle->log;
    rev->handler = ngx_mesh_registry_woken;

    /* who looks for connections left open at the end passes over it */

    rev->channel = 1;
    c->write->channel = 1;

    return ngx_add_event(rev, NGX_READ_EVENT, NGX_CLEAR_EVENT);
}


static void
ngx_mesh_registry_woken(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_mesh_registry_listener_t  *l;

    /* left unread: the next write is another edge */

    ev->ready = 0;

    c = ev->data;
    l = c->data;

    l->handler();
}


static void
ngx_mesh_registry_poll(ngx_event_t *ev)
{
    ngx_atomic_uint_t              calls;
    ngx_mesh_registry_listener_t  *l;

    l = (ngx_mesh_registry_listener_t *)
            ((u_char *) ev - offsetof(ngx_mesh_registry_listener_t, poll));

    ngx_add_timer(ev, NGX_MESH_REGISTRY_POLL);

    if (ngx_mesh_registry_region == NULL) {
        return;
    }

    calls = (l == &ngx_mesh_registry_listeners[1])
            ? ngx_mesh_registry_region->agent_calls
            : ngx_mesh_registry_region->worker_calls;

    if (l->calls != calls) {
        l->calls = calls;
        l->handler();
    }
}


static void
ngx_mesh_registry_worker_woken(void)
{
    ngx_queue_t               *q;
    ngx_mesh_registry_hook_t  *hook;

    if (ngx_mesh_registry_region == NULL) {
        return;
    }

    if (ngx_mesh_registry_region->leaving) {
        ngx_mesh_metrics_flush();
    }

    ngx_mesh_registry_jobs();

    /* a hook may take others away: the next one is kept up to date */

    for (q = ngx_queue_head(&ngx_mesh_registry_hooks);
         q != ngx_queue_sentinel(&ngx_mesh_registry_hooks);
         q = ngx_mesh_registry_next)
    {
        ngx_mesh_registry_next = ngx_queue_next(q);

        hook = ngx_queue_data(q, ngx_mesh_registry_hook_t, queue);
        hook->handler(hook->data);
    }

    ngx_mesh_registry_next = NULL;
}


static void
ngx_mesh_registry_tick(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_MESH_AGENT_BEAT);

    if (ngx_mesh_registry_region) {
        ngx_mesh_registry_watch();
        ngx_mesh_registry_jobs();
    }
}


void
ngx_mesh_registry_hook(ngx_mesh_registry_hook_t *hook)
{
    ngx_queue_insert_tail(&ngx_mesh_registry_hooks, &hook->queue);
}


void
ngx_mesh_registry_unhook(ngx_mesh_registry_hook_t *hook)
{
    if (ngx_mesh_registry_next == &hook->queue) {
        ngx_mesh_registry_next = ngx_queue_next(&hook->queue);
    }

    ngx_queue_remove(&hook->queue);
}


static void
ngx_mesh_registry_wake(int fd, ngx_atomic_t *calls)
{
    static const uint64_t  one = 1;

    (void) ngx_atomic_fetch_add(calls, 1);

    if (fd != -1) {

        /* it has an end after some centuries */

        if (write(fd, &one, sizeof(one)) == -1) {
            ngx_log_debug0(NGX_LOG_DEBUG_CORE, ngx_cycle->log, ngx_errno,
                           "mesh wake failed");
        }
    }
}


void
ngx_mesh_registry_wake_agent(void)
{
    if (ngx_mesh_registry_region) {
        ngx_mesh_registry_wake(
                             ngx_mesh_registry_fds[NGX_MESH_REGISTRY_AGENT],
                             &ngx_mesh_registry_region->agent_calls);
    }
}


void
ngx_mesh_registry_wake_workers(void)
{
    if (ngx_mesh_registry_region) {
        ngx_mesh_registry_wake(
                             ngx_mesh_registry_fds[NGX_MESH_REGISTRY_WORKERS],
                             &ngx_mesh_registry_region->worker_calls);
    }
}


/* at the end of a turn, so that whoever committed can say by whom it was */

void
ngx_mesh_registry_committed(void)
{
    if (ngx_mesh_registry_later.handler) {
        ngx_post_event(&ngx_mesh_registry_later, &ngx_posted_events);
        return;
    }

    ngx_mesh_registry_wake_agent();
    ngx_mesh_registry_wake_workers();
}


static void
ngx_mesh_registry_later_handler(ngx_event_t *ev)
{
    ngx_mesh_registry_wake_agent();
    ngx_mesh_registry_wake_workers();
}


void
ngx_mesh_registry_status(ngx_mesh_registry_status_t *status)
{
    ngx_mesh_registry_region_t  *region;

    ngx_memzero(status, sizeof(ngx_mesh_registry_status_t));

    region = ngx_mesh_registry_region;

    if (region == NULL || ngx_mesh_registry_conf->agent_path == NULL) {
        status->lease = NGX_MESH_LEASE_OFF;
        return;
    }

    status->lease = region->lease;
    status->agent = (ngx_pid_t) region->agent.pid;
    status->beat = ngx_current_msec - (ngx_msec_t) region->agent.time;

    /* the agent's clock may be a little ahead */

    if ((ngx_msec_int_t) status->beat < 0 || status->agent == 0) {
        status->beat = 0;
    }

    status->fence = region->fence;
    status->takeovers = region->takeovers;
    status->frozen = region->frozen;
    status->sequence = region->sequence;
    status->journalled = region->journalled;
    status->written = region->written;
    status->errors = region->errors;
    status->error = (ngx_err_t) region->error;
    status->error_since = status->error ? (time_t) region->error_since : 0;
}


ngx_int_t
ngx_mesh_registry_writable(void)
{
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    if (region == NULL) {
        return NGX_OK;
    }

    if (region->frozen) {
        return NGX_BUSY;
    }

    if (ngx_mesh_registry_conf->agent_path == NULL) {
        return NGX_OK;
    }

    switch (region->lease) {

    case NGX_MESH_LEASE_OTHER:
        return NGX_BUSY;

    case NGX_MESH_LEASE_NONE:
        return region->takeovers ? NGX_OK : NGX_AGAIN;

    default:
        return NGX_OK;
    }
}


ngx_int_t
ngx_mesh_registry_durable(uint64_t revision)
{
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    if (region == NULL || ngx_mesh_registry_conf->agent_path == NULL) {
        return NGX_DECLINED;
    }

    if (region->journalled >= revision) {
        return NGX_OK;
    }

    return region->error || region->frozen ? NGX_DECLINED : NGX_AGAIN;
}


void
ngx_mesh_registry_note(uint64_t revision, ngx_str_t *author,
    ngx_str_t *comment)
{
    size_t                       a, c;
    ngx_atomic_uint_t            noting;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    if (region == NULL) {
        return;
    }

    a = ngx_min(author->len, NGX_MESH_JOURNAL_NOTE);
    c = ngx_min(comment->len, NGX_MESH_JOURNAL_NOTE);

    /* one who writes at the same time may be the one whose note is kept */

    noting = region->noting;

    if (!ngx_atomic_cmp_set(&region->noting, noting, (noting | 1) + 2)) {
        return;
    }

    ngx_memory_barrier();

    region->noted = revision;
    region->author = (uint8_t) a;
    region->comment = (uint8_t) c;

    if (a) {
        ngx_memcpy(region->note, author->data, a);
    }

    if (c) {
        ngx_memcpy(region->note + a, comment->data, c);
    }

    ngx_memory_barrier();

    (void) ngx_atomic_cmp_set(&region->noting, (noting | 1) + 2,
                              (noting | 1) + 3);
}


/* as those see it who kill it otherwise */

static ngx_uint_t
ngx_mesh_registry_alive(ngx_msec_t beat)
{
    ngx_mesh_pulse_t   *pulse;
    ngx_atomic_uint_t   patience;

    pulse = &ngx_mesh_registry_region->agent;
    patience = pulse->patience;

    return beat <= NGX_MESH_AGENT_BEAT * (pulse->limit + 1)
           || (patience && (ngx_msec_int_t) (patience - ngx_current_msec) > 0);
}


/* in the order of the families in ngx_mesh_metrics_text.c */

static int64_t
ngx_mesh_registry_metric(ngx_uint_t index)
{
    ngx_mesh_registry_status_t  st;

    ngx_mesh_registry_status(&st);

    switch (index) {

    case NGX_MESH_A_UP:
        return st.agent && ngx_mesh_registry_alive(st.beat);

    case NGX_MESH_A_BEAT:
        return (int64_t) st.beat;

    case NGX_MESH_A_LEASE:
        return st.lease == NGX_MESH_LEASE_HELD;

    case NGX_MESH_A_FENCE:
        return (int64_t) st.fence;

    case NGX_MESH_A_TAKEOVERS:
        return (int64_t) st.takeovers;

    case NGX_MESH_A_WRITTEN:
        return (int64_t) st.written;

    case NGX_MESH_A_ERRORS:
        return (int64_t) st.errors;

    case NGX_MESH_A_FAILED:
        return st.error != 0;

    default: /* NGX_MESH_A_REVISION */
        return (int64_t) st.journalled;
    }
}
