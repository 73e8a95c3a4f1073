
/*
 * Copyright (C) nginx-mesh authors
 *
 * What reconciling needs of nginx and of its room.
 */


#include "reconcile.h"


static ngx_time_t            stub_time;
volatile ngx_time_t         *ngx_cached_time = &stub_time;
volatile ngx_msec_t          ngx_current_msec;
ngx_pid_t                    ngx_pid = 4711;

ngx_rbtree_t                 ngx_event_timer_rbtree;
static ngx_event_t          *stub_timer;

static ngx_log_t             stub_log;
static ngx_mesh_core_conf_t  stub_conf;
ngx_mesh_registry_region_t  *ngx_mesh_registry_region;
ngx_mesh_core_conf_t        *ngx_mesh_registry_conf = &stub_conf;

ngx_mesh_store_t             stub_store;
ngx_int_t                    stub_leads;
ngx_mesh_subscription_t     *stub_found;
ngx_uint_t                   stub_logged;
void                       (*stub_before)(void);
ngx_uint_t                   stub_counts[3];
int64_t                      stub_shares[3];


static void
stub_lock(void *data)
{
    /* void */
}


void
stub_init(size_t size)
{
    static void  *region;

    free(region);
    region = aligned_alloc(64, size);

    (void) ngx_mesh_store_format(region, size, 1);
    (void) ngx_mesh_store_attach(&stub_store, region, size);

    stub_store.lock = stub_lock;
    stub_store.unlock = stub_lock;

    stub_log.log_level = NGX_LOG_NOTICE;
    ((ngx_cycle_t *) ngx_cycle)->log = &stub_log;

    stub_conf.guard = 50;
    stub_conf.guard_min = 3;
    stub_conf.guard_hold = 30000;

    stub_leads = NGX_OK;
    stub_before = NULL;
    stub_logged = 0;

    if (stub_time.sec == 0) {
        stub_pass(1700000000000ULL);
    }
}


void
stub_pass(ngx_msec_t ms)
{
    uint64_t  now;

    ngx_current_msec += ms;
    now = (uint64_t) stub_time.sec * 1000 + stub_time.msec + ms;
    stub_time.sec = now / 1000;
    stub_time.msec = now % 1000;
}


void
stub_expire(void)
{
    ngx_event_t  *ev;

    ev = stub_timer;

    if (ev) {
        ngx_del_timer(ev);
        ev->handler(ev);
    }
}


/* one timer is all that is needed */

void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    stub_timer = ngx_rbtree_data(node, ngx_event_t, timer);
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    stub_timer = NULL;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *c;

    c = ngx_palloc(pool, sizeof(ngx_pool_cleanup_t));
    if (c == NULL) {
        return NULL;
    }

    c->data = ngx_palloc(pool, size);
    if (c->data == NULL) {
        return NULL;
    }

    c->handler = NULL;
    c->next = pool->cleanup;
    pool->cleanup = c;

    return c;
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    u_char  *dst;

    dst = ngx_pnalloc(pool, src->len);

    if (dst && src->len) {
        ngx_memcpy(dst, src->data, src->len);
    }

    return dst;
}


/* numbers alone are needed */

u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);

    for ( /* void */ ; *fmt; fmt++) {

        if (fmt[0] == '%' && fmt[1] == 'u' && fmt[2] == 'i') {
            buf += sprintf((char *) buf, "%lu",
                           (unsigned long) va_arg(args, ngx_uint_t));
            fmt += 2;
            continue;
        }

        *buf++ = (u_char) *fmt;
    }

    va_end(args);

    return buf;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    stub_logged++;
}


ngx_mesh_store_t *
ngx_mesh_live(void)
{
    return &stub_store;
}


ngx_uint_t
ngx_mesh_live_commit(ngx_mesh_store_op_t *ops, ngx_uint_t n, uint64_t expect,
    ngx_uint_t dry, ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    if (stub_before) {
        stub_before();
    }

    return ngx_mesh_store_commit(&stub_store, ops, n, expect, dry, result,
                                 log);
}


void
ngx_mesh_agent_busy(void)
{
    /* void */
}


void
ngx_mesh_agent_idle(void)
{
    /* void */
}


ngx_mesh_subscription_t *
ngx_mesh_discovery_find(ngx_mesh_source_t *source, ngx_str_t *interface)
{
    return stub_found;
}


ngx_int_t
ngx_mesh_agent_leads(void)
{
    return stub_leads;
}


void
ngx_mesh_source_count(ngx_mesh_source_t *source, ngx_uint_t what)
{
    stub_counts[what]++;
}


void
ngx_mesh_source_share(ngx_mesh_source_t *source, int64_t endpoints,
    int64_t held, int64_t unmapped)
{
    stub_shares[0] += endpoints;
    stub_shares[1] += held;
    stub_shares[2] += unmapped;
}
