
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_reconcile.h"
#include "ngx_mesh_registry_int.h"


/*
 * What nobody asks for any more.  A commit costs as much as the table is
 * large, and thousands of subscriptions may end at once: these go in one.
 */


#define NGX_MESH_RECONCILE_TRIES  64

/* ms in which others may end, too; and until it is tried again */
#define NGX_MESH_RECONCILE_SOON   50
#define NGX_MESH_RECONCILE_LATER  1000


/* a name, for the configuration may be another one by then */

typedef struct {
    ngx_str_t                  registry;
    ngx_str_t                  interface;
} ngx_mesh_reconcile_gone_t;


/* whether an item of that owner, inside of that interface, goes */

typedef struct {
    ngx_uint_t               (*goes)(void *data, ngx_str_t *interface,
                                     ngx_str_t *owner);
    ngx_uint_t               (*owner)(void *data, ngx_str_t *owner);
    void                      *data;

    /* of one interface and registry alone; NULL: of any */
    ngx_str_t                 *interface;
    ngx_str_t                 *registry;
} ngx_mesh_reconcile_removal_t;


/* what of the configuration nobody owns; whoever may not yet have to go */

typedef struct {
    ngx_array_t               *sources;
    ngx_mesh_stray_pt          stray;
    ngx_mesh_pending_pt        pending;
    ngx_uint_t                 kept;
} ngx_mesh_reconcile_orphans_t;


static ngx_int_t ngx_mesh_reconcile_gone_later(ngx_mesh_subscription_t *s);
static void ngx_mesh_reconcile_gone_event(ngx_msec_t ms);
static void ngx_mesh_reconcile_gone_handler(ngx_event_t *ev);
static ngx_uint_t ngx_mesh_reconcile_gone_asked(
    ngx_mesh_reconcile_gone_t *gone);
static ngx_uint_t ngx_mesh_reconcile_gone_goes(void *data,
    ngx_str_t *interface, ngx_str_t *owner);
static ngx_uint_t ngx_mesh_reconcile_gone_owner(void *data, ngx_str_t *owner);
static int ngx_libc_cdecl ngx_mesh_reconcile_gone_order(const void *one,
    const void *two);
static ngx_int_t ngx_mesh_reconcile_gone_compare(
    ngx_mesh_reconcile_gone_t *gone, ngx_str_t *interface, ngx_str_t *owner);
static ngx_uint_t ngx_mesh_reconcile_orphan_goes(void *data,
    ngx_str_t *interface, ngx_str_t *owner);
static ngx_uint_t ngx_mesh_reconcile_orphan(void *data, ngx_str_t *owner);
static ngx_mesh_source_t *ngx_mesh_reconcile_source(ngx_array_t *sources,
    ngx_str_t *name);
static ngx_uint_t ngx_mesh_reconcile_remove(
    ngx_mesh_reconcile_removal_t *removal);
static ngx_uint_t ngx_mesh_reconcile_remove_once(
    ngx_mesh_reconcile_removal_t *removal, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_reconcile_remove_items(
    ngx_mesh_reconcile_removal_t *removal, ngx_mesh_plan_t *plan,
    ngx_array_t *items);


static ngx_pool_t        *ngx_mesh_reconcile_gone_pool;
static ngx_array_t        ngx_mesh_reconcile_gone_list;
static ngx_event_t        ngx_mesh_reconcile_gone_timer;
static ngx_connection_t   ngx_mesh_reconcile_gone_dummy;
static ngx_msec_t         ngx_mesh_reconcile_gone_last;
static ngx_uint_t         ngx_mesh_reconcile_gone_full;


ngx_int_t
ngx_mesh_reconcile_gone(ngx_mesh_subscription_t *s)
{
    ngx_uint_t                    rc;
    ngx_array_t                   one;
    ngx_mesh_reconcile_gone_t     gone;
    ngx_mesh_reconcile_removal_t  removal;

    if (ngx_mesh_reconcile_gone_pool
        || ngx_current_msec - ngx_mesh_reconcile_gone_last
           < NGX_MESH_RECONCILE_SOON)
    {
        return ngx_mesh_reconcile_gone_later(s);
    }

    ngx_mesh_reconcile_gone_last = ngx_current_msec;

    gone.registry = s->source->name;
    gone.interface = s->sn.str;

    one.elts = &gone;
    one.nelts = 1;

    removal.goes = ngx_mesh_reconcile_gone_goes;
    removal.owner = ngx_mesh_reconcile_gone_owner;
    removal.data = &one;
    removal.interface = &s->sn.str;
    removal.registry = &s->source->name;

    rc = ngx_mesh_reconcile_remove(&removal);

    if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
        return NGX_OK;
    }

    return ngx_mesh_reconcile_gone_later(s);
}


static ngx_int_t
ngx_mesh_reconcile_gone_later(ngx_mesh_subscription_t *s)
{
    ngx_pool_t                 *pool;
    ngx_mesh_reconcile_gone_t  *gone;

    pool = ngx_mesh_reconcile_gone_pool;

    if (pool == NULL) {
        pool = ngx_create_pool(4096, ngx_cycle->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        if (ngx_array_init(&ngx_mesh_reconcile_gone_list, pool, 64,
                           sizeof(ngx_mesh_reconcile_gone_t))
            != NGX_OK)
        {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }

        ngx_mesh_reconcile_gone_pool = pool;
        ngx_mesh_reconcile_gone_event(NGX_MESH_RECONCILE_SOON);
    }

    gone = ngx_array_push(&ngx_mesh_reconcile_gone_list);
    if (gone == NULL) {
        return NGX_ERROR;
    }

    gone->registry.len = s->source->name.len;
    gone->registry.data = ngx_pstrdup(pool, &s->source->name);
    gone->interface.len = s->sn.str.len;
    gone->interface.data = ngx_pstrdup(pool, &s->sn.str);

    if (gone->registry.data == NULL || gone->interface.data == NULL) {
        ngx_mesh_reconcile_gone_list.nelts--;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mesh_reconcile_gone_event(ngx_msec_t ms)
{
    ngx_event_t  *ev;

    ev = &ngx_mesh_reconcile_gone_timer;

    if (ev->timer_set) {
        return;
    }

    ngx_mesh_reconcile_gone_dummy.fd = (ngx_socket_t) -1;

    ev->handler = ngx_mesh_reconcile_gone_handler;
    ev->data = &ngx_mesh_reconcile_gone_dummy;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, ms);
}


static void
ngx_mesh_reconcile_gone_handler(ngx_event_t *ev)
{
    ngx_uint_t                     i, n, rc;
    ngx_array_t                   *list;
    ngx_mesh_reconcile_gone_t     *gone;
    ngx_mesh_reconcile_removal_t   removal;

    list = &ngx_mesh_reconcile_gone_list;
    gone = list->elts;

    /* some may be asked for again */

    for (i = 0, n = 0; i < list->nelts; i++) {
        if (!ngx_mesh_reconcile_gone_asked(&gone[i])) {
            gone[n++] = gone[i];
        }
    }

    list->nelts = n;
    rc = NGX_MESH_STORE_SAME;

    /* who has lost the lease has nothing to remove */

    if (n && ngx_mesh_agent_leads() == NGX_OK) {

        ngx_qsort(gone, n, sizeof(ngx_mesh_reconcile_gone_t),
                  ngx_mesh_reconcile_gone_order);

        removal.goes = ngx_mesh_reconcile_gone_goes;
        removal.owner = ngx_mesh_reconcile_gone_owner;
        removal.data = list;
        removal.interface = NULL;
        removal.registry = NULL;

        rc = ngx_mesh_reconcile_remove(&removal);
    }

    if (rc != NGX_MESH_STORE_OK && rc != NGX_MESH_STORE_SAME) {
        ngx_mesh_reconcile_gone_event(NGX_MESH_RECONCILE_LATER);
        return;
    }

    ngx_destroy_pool(ngx_mesh_reconcile_gone_pool);
    ngx_mesh_reconcile_gone_pool = NULL;
}


static ngx_uint_t
ngx_mesh_reconcile_gone_asked(ngx_mesh_reconcile_gone_t *gone)
{
    ngx_mesh_source_t  *source;

    source = ngx_mesh_reconcile_source(ngx_mesh_registry_conf->sources,
                                       &gone->registry);

    return source && ngx_mesh_discovery_find(source, &gone->interface);
}


static ngx_uint_t
ngx_mesh_reconcile_gone_goes(void *data, ngx_str_t *interface,
    ngx_str_t *owner)
{
    ngx_array_t *list = data;

    ngx_int_t                   rc;
    ngx_uint_t                  low, high, middle;
    ngx_mesh_reconcile_gone_t  *gone;

    gone = list->elts;
    low = 0;
    high = list->nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        rc = ngx_mesh_reconcile_gone_compare(&gone[middle], interface, owner);

        if (rc == 0) {
            return 1;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_mesh_reconcile_gone_owner(void *data, ngx_str_t *owner)
{
    ngx_array_t *list = data;

    ngx_uint_t                  low, high, middle;
    ngx_mesh_reconcile_gone_t  *gone;

    gone = list->elts;
    low = 0;
    high = list->nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (ngx_mesh_compare(&gone[middle].registry, owner) < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low < list->nelts
           && ngx_mesh_equal(&gone[low].registry, owner);
}


static int ngx_libc_cdecl
ngx_mesh_reconcile_gone_order(const void *one, const void *two)
{
    ngx_mesh_reconcile_gone_t  *a, *b;

    a = (ngx_mesh_reconcile_gone_t *) one;
    b = (ngx_mesh_reconcile_gone_t *) two;

    return (int) ngx_mesh_reconcile_gone_compare(a, &b->interface,
                                                 &b->registry);
}


static ngx_int_t
ngx_mesh_reconcile_gone_compare(ngx_mesh_reconcile_gone_t *gone,
    ngx_str_t *interface, ngx_str_t *owner)
{
    ngx_int_t  rc;

    rc = ngx_mesh_compare(&gone->registry, owner);

    return rc ? rc : ngx_mesh_compare(&gone->interface, interface);
}


ngx_int_t
ngx_mesh_reconcile_orphans(ngx_mesh_core_conf_t *ccf, ngx_mesh_stray_pt stray,
    ngx_mesh_pending_pt pending)
{
    ngx_uint_t                    rc;
    ngx_mesh_reconcile_orphans_t  orphans;
    ngx_mesh_reconcile_removal_t  removal;

    orphans.sources = ccf->sources;
    orphans.stray = stray;
    orphans.pending = pending;
    orphans.kept = 0;

    removal.goes = ngx_mesh_reconcile_orphan_goes;
    removal.owner = ngx_mesh_reconcile_orphan;
    removal.data = &orphans;
    removal.interface = NULL;
    removal.registry = NULL;

    rc = ngx_mesh_reconcile_remove(&removal);

    if (rc != NGX_MESH_STORE_OK && rc != NGX_MESH_STORE_SAME) {
        return NGX_ERROR;
    }

    return orphans.kept ? NGX_AGAIN : NGX_OK;
}


static ngx_uint_t
ngx_mesh_reconcile_orphan_goes(void *data, ngx_str_t *interface,
    ngx_str_t *owner)
{
    ngx_mesh_reconcile_orphans_t *orphans = data;

    ngx_mesh_source_t  *source;

    if (!ngx_mesh_reconcile_orphan(data, owner)) {
        return 0;
    }

    source = ngx_mesh_reconcile_source(orphans->sources, owner);

    if (source && !(orphans->stray && orphans->stray(source, interface))) {
        return 0;
    }

    if (orphans->pending && orphans->pending(interface)) {
        orphans->kept = 1;
        return 0;
    }

    return 1;
}


/* what is of registries: whose service has no endpoint of his, leaves it */

static ngx_uint_t
ngx_mesh_reconcile_orphan(void *data, ngx_str_t *owner)
{
    return !ngx_mesh_equal(owner, &ngx_mesh_owner_config)
           && !ngx_mesh_equal(owner, &ngx_mesh_owner_api);
}


static ngx_mesh_source_t *
ngx_mesh_reconcile_source(ngx_array_t *sources, ngx_str_t *name)
{
    ngx_uint_t          i;
    ngx_mesh_source_t  *source;

    source = sources ? sources->elts : NULL;

    for (i = 0; sources && i < sources->nelts; i++) {
        if (ngx_mesh_equal(&source[i].name, name)) {
            return &source[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_mesh_reconcile_remove(ngx_mesh_reconcile_removal_t *removal)
{
    ngx_uint_t   rc, tries;
    ngx_pool_t  *pool;

    rc = NGX_MESH_STORE_CONFLICT;

    for (tries = 0;
         rc == NGX_MESH_STORE_CONFLICT && tries < NGX_MESH_RECONCILE_TRIES;
         tries++)
    {
        pool = ngx_create_pool(16384, ngx_cycle->log);
        if (pool == NULL) {
            return NGX_MESH_STORE_NOMEM;
        }

        ngx_mesh_agent_busy();
        rc = ngx_mesh_reconcile_remove_once(removal, pool);
        ngx_mesh_agent_idle();

        ngx_destroy_pool(pool);
    }

    return rc;
}


static ngx_uint_t
ngx_mesh_reconcile_remove_once(ngx_mesh_reconcile_removal_t *removal,
    ngx_pool_t *pool)
{
    ngx_uint_t       rc;
    ngx_mesh_plan_t  plan;

    ngx_memzero(&plan, sizeof(ngx_mesh_plan_t));

    plan.pool = pool;
    ngx_str_set(&plan.owner, "?");

    if (ngx_mesh_plan_read(&plan, ngx_mesh_live(), removal->interface,
                           removal->registry)
        != NGX_OK
        || ngx_mesh_reconcile_remove_items(removal, &plan, &plan.endpoints)
           != NGX_OK
        || ngx_mesh_reconcile_remove_items(removal, &plan, &plan.answers)
           != NGX_OK
        || ngx_mesh_plan_services(&plan, removal->owner, removal->data)
           != NGX_OK)
    {
        return NGX_MESH_STORE_NOMEM;
    }

    if (plan.ops.nelts == 0) {
        return NGX_MESH_STORE_SAME;
    }

    rc = ngx_mesh_reconcile_commit(&plan, &ngx_mesh_reconcile_gone_full);

    if (rc == NGX_MESH_STORE_OK) {
        ngx_mesh_reconcile_fits(&ngx_mesh_reconcile_gone_full);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_reconcile_remove_items(ngx_mesh_reconcile_removal_t *removal,
    ngx_mesh_plan_t *plan, ngx_array_t *items)
{
    u_char                 *p;
    ngx_str_t               service, id, owner, interface;
    ngx_uint_t              i;
    ngx_mesh_store_item_t  *item;

    item = items->elts;

    for (i = 0; i < items->nelts; i++) {

        p = ngx_strlchr(item[i].key.data, item[i].key.data + item[i].key.len,
                        '\0');
        if (p == NULL) {
            continue;
        }

        interface.data = item[i].key.data;
        interface.len = p - interface.data;

        /* the rest of an answer's key */

        owner.data = p + 1;
        owner.len = item[i].key.data + item[i].key.len - owner.data;

        if (item[i].type == NGX_MESH_ITEM_ENDPOINT
            && ngx_mesh_item_split(&item[i].key, &service, &id, &owner)
               != NGX_OK)
        {
            continue;
        }

        if (removal->goes(removal->data, &interface, &owner)
            && ngx_mesh_plan_remove(plan, &item[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
