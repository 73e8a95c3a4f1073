
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_item.h"
#include "ngx_mesh_want.h"


/*
 * Who is asked about what.  An interface is asked for when a service of
 * configuration or API is of it, when a caller wanted it, or when a catalog
 * has it; what that is can be told from the table alone, at any time.
 */


#define NGX_MESH_DISCOVERY_SWEEP     2000

/* ms that nobody is asked again for what no registry has */
#define NGX_MESH_DISCOVERY_ABSENT    10000

/* seconds after a call that a service goes before others */
#define NGX_MESH_DISCOVERY_HOT       60

#define NGX_MESH_DISCOVERY_BACKOFF   250
#define NGX_MESH_DISCOVERY_LONGEST   30000


typedef struct {
    ngx_mesh_core_conf_t      *conf;
    ngx_event_t                sweep;
    ngx_connection_t           dummy;
    uint64_t                   revision;     /* that was looked at */
    ngx_uint_t                 catalogs;
    unsigned                   started:1;
} ngx_mesh_discovery_t;


static void ngx_mesh_discovery_scan(ngx_uint_t all);
static ngx_int_t ngx_mesh_discovery_changes(ngx_uint_t all, ngx_pool_t *pool,
    ngx_array_t *items);
static void ngx_mesh_discovery_known(ngx_mesh_store_item_t *item);
static void ngx_mesh_discovery_look(ngx_str_t *interface);
static void ngx_mesh_discovery_settle(ngx_mesh_source_t *source,
    ngx_mesh_interest_t *interest);
static ngx_mesh_subscription_t *ngx_mesh_discovery_create(
    ngx_mesh_source_t *source, ngx_mesh_interest_t *interest);
static ngx_int_t ngx_mesh_discovery_apps(ngx_mesh_subscription_t *s,
    ngx_array_t *lists);
static void ngx_mesh_discovery_destroy(ngx_mesh_subscription_t *s,
    ngx_uint_t keep);
static void ngx_mesh_discovery_full(ngx_mesh_source_t *source,
    ngx_uint_t left, ngx_uint_t n);
static void ngx_mesh_discovery_sweep_handler(ngx_event_t *ev);
static void ngx_mesh_discovery_sweep(ngx_mesh_source_t *source,
    ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_discovery_idle(ngx_mesh_subscription_t *s,
    ngx_uint_t unused);
static ngx_uint_t ngx_mesh_discovery_absent(ngx_str_t *interface,
    ngx_pool_t *pool);
static void ngx_mesh_discovery_unwant(ngx_str_t *interface, ngx_pool_t *pool);


static ngx_mesh_discovery_t  ngx_mesh_discovery;


#define ngx_mesh_discovery_nsources()                                         \
    (ngx_mesh_discovery.conf->sources                                         \
     ? ngx_mesh_discovery.conf->sources->nelts : 0)

#define ngx_mesh_discovery_source(i)                                          \
    ((ngx_mesh_source_t *) ngx_mesh_discovery.conf->sources->elts + (i))

#define ngx_mesh_discovery_first(source)                                      \
    ((source)->subscriptions.root == &(source)->sentinel                      \
     ? NULL : ngx_rbtree_min((source)->subscriptions.root,                    \
                             &(source)->sentinel))


void
ngx_mesh_discovery_start(ngx_mesh_core_conf_t *ccf)
{
    ngx_uint_t             i;
    ngx_event_t           *ev;
    ngx_mesh_source_t     *source;
    ngx_mesh_discovery_t  *d;

    d = &ngx_mesh_discovery;

    if (d->started) {
        return;
    }

    d->conf = ccf;
    d->started = 1;
    d->revision = 0;

    /* a table of a hundred thousand endpoints takes its time */

    ngx_mesh_agent_busy();

    ngx_mesh_orphans_due();

    if (ccf->sources == NULL) {
        ngx_mesh_orphans_look(ccf);
        ngx_mesh_agent_idle();
        return;
    }

    for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
        source = ngx_mesh_discovery_source(i);

        ngx_rbtree_init(&source->subscriptions, &source->sentinel,
                        ngx_str_rbtree_insert_value);
        source->nsubscriptions = 0;
        source->cataloged = 0;

        ngx_mesh_source_open(source, i);

        if (source->type->start(source) != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "mesh registry \"%V\" cannot be started",
                          &source->name);
        }
    }

    ngx_mesh_discovery_scan(1);
    ngx_mesh_agent_idle();

    ev = &d->sweep;
    ngx_memzero(ev, sizeof(ngx_event_t));

    d->dummy.fd = (ngx_socket_t) -1;
    ev->handler = ngx_mesh_discovery_sweep_handler;
    ev->data = &d->dummy;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_MESH_DISCOVERY_SWEEP);
}


void
ngx_mesh_discovery_stop(void)
{
    ngx_uint_t             i;
    ngx_rbtree_node_t     *node;
    ngx_mesh_source_t     *source;
    ngx_mesh_discovery_t  *d;

    d = &ngx_mesh_discovery;

    if (!d->started) {
        return;
    }

    d->started = 0;

    if (d->sweep.timer_set) {
        ngx_del_timer(&d->sweep);
    }

    for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
        source = ngx_mesh_discovery_source(i);

        /* what it brought stays, for whoever has the lease next */

        while ((node = ngx_mesh_discovery_first(source)) != NULL) {
            ngx_mesh_discovery_destroy((ngx_mesh_subscription_t *) node, 1);
        }

        source->type->stop(source);
        ngx_mesh_source_state(source, NGX_MESH_SOURCE_STOPPED, NULL, NULL);
    }
}


void
ngx_mesh_discovery_woken(void)
{
    ngx_mesh_store_t  *store;

    if (!ngx_mesh_discovery.started || ngx_mesh_discovery_nsources() == 0) {
        return;
    }

    store = ngx_mesh_live();

    if (ngx_mesh_discovery.revision != ngx_mesh_store_revision(store)) {
        ngx_mesh_agent_busy();
        ngx_mesh_discovery_scan(ngx_mesh_discovery.revision
                                < ngx_mesh_store_floor(store));
        ngx_mesh_agent_idle();
    }
}


/* all interfaces, or those about which something has changed */

static void
ngx_mesh_discovery_scan(ngx_uint_t all)
{
    u_char                 *p;
    ngx_str_t               interface, last;
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *item;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_discovery_changes(all, pool, &items) != NGX_OK) {
        ngx_destroy_pool(pool);
        return;
    }

    if (all) {
        ngx_mesh_interest_used(&items, ngx_mesh_discovery.conf->sources, pool);
    }

    item = items.elts;
    ngx_str_null(&last);

    for (i = 0; i < items.nelts; i++) {
        if (item[i].type == NGX_MESH_ITEM_ANSWER && !item[i].removed) {
            ngx_mesh_discovery_known(&item[i]);
        }
    }

    for (i = 0; i < items.nelts; i++) {

        p = ngx_strlchr(item[i].key.data, item[i].key.data + item[i].key.len,
                        '\0');

        interface.data = item[i].key.data;
        interface.len = p ? (size_t) (p - interface.data) : item[i].key.len;

        if (ngx_mesh_equal(&interface, &last)) {
            continue;
        }

        last = interface;
        ngx_mesh_discovery_look(&interface);
    }

    ngx_destroy_pool(pool);

    ngx_mesh_orphans_look(ngx_mesh_discovery.conf);
}


static ngx_int_t
ngx_mesh_discovery_changes(ngx_uint_t all, ngx_pool_t *pool,
    ngx_array_t *items)
{
    ngx_uint_t               i;
    ngx_mesh_store_query_t   queries[3];

    static ngx_uint_t        types[] = {
        NGX_MESH_ITEM_SERVICE,
        NGX_MESH_ITEM_WANT,
        NGX_MESH_ITEM_ANSWER
    };

    if (ngx_array_init(items, pool, 64, sizeof(ngx_mesh_store_item_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(queries, sizeof(queries));

    for (i = 0; i < 3; i++) {
        queries[i].type = types[i];
        queries[i].since = all ? 0 : ngx_mesh_discovery.revision;
        queries[i].items = items;
    }

    /* answers are our own: they tell only what an agent before has left */

    return ngx_mesh_store_select(ngx_mesh_live(), queries,
                                 ngx_mesh_discovery.revision ? 2 : 3, NULL,
                                 pool, &ngx_mesh_discovery.revision);
}


/* until a catalog is there, what was in it counts as in it */

static void
ngx_mesh_discovery_known(ngx_mesh_store_item_t *item)
{
    ngx_str_t                 interface, name;
    ngx_uint_t                i;
    ngx_mesh_source_t        *source;
    ngx_mesh_answer_t         answer;
    ngx_mesh_interest_t       interest;
    ngx_mesh_subscription_t  *s;

    if (ngx_mesh_item_answer_read(item, &interface, &name, &answer) != NGX_OK)
    {
        return;
    }

    for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
        source = ngx_mesh_discovery_source(i);

        if (!ngx_mesh_equal(&source->name, &name)) {
            continue;
        }

        s = ngx_mesh_discovery_find(source, &interface);

        if (s == NULL) {
            ngx_memzero(&interest, sizeof(ngx_mesh_interest_t));
            interest.name = interface;

            s = ngx_mesh_discovery_create(source, &interest);
        }

        if (s) {
            s->found = (source->discovery == NGX_MESH_DISCOVERY_ALL);
        }
    }
}


static void
ngx_mesh_discovery_look(ngx_str_t *interface)
{
    ngx_uint_t            i;
    ngx_pool_t           *pool;
    ngx_mesh_interest_t   interest;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    ngx_memzero(&interest, sizeof(ngx_mesh_interest_t));
    interest.name = *interface;

    if (ngx_mesh_interest_read(&interest, pool) == NGX_OK) {

        for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
            ngx_mesh_discovery_settle(ngx_mesh_discovery_source(i), &interest);
        }
    }

    ngx_destroy_pool(pool);
}


static void
ngx_mesh_discovery_settle(ngx_mesh_source_t *source,
    ngx_mesh_interest_t *interest)
{
    ngx_uint_t                listed, lazy, found;
    ngx_mesh_subscription_t  *s;

    s = ngx_mesh_discovery_find(source, &interest->name);

    listed = 0;
    lazy = 0;
    found = s ? (s->found || s->gone) : 0;

    if (ngx_mesh_interest_allows(interest, source)) {
        listed = interest->listed;
        lazy = (interest->wanted
                && source->discovery == NGX_MESH_DISCOVERY_LAZY);

    } else {
        found = 0;
    }

    if (!listed && !lazy && !found) {

        if (s && ngx_mesh_interest_allows(interest, source)) {
            ngx_mesh_discovery_destroy(s, 0);

        } else if (s) {

            /* others are asked instead, and may not have answered yet */

            ngx_mesh_discovery_destroy(s, 1);
            ngx_mesh_orphans_due();
        }

        return;
    }

    if (s && !ngx_mesh_interest_same(interest, s)) {
        found = s->found;
        ngx_mesh_discovery_destroy(s, 1);
        s = NULL;
    }

    if (s == NULL) {
        s = ngx_mesh_discovery_create(source, interest);
        if (s == NULL) {
            return;
        }

        s->found = found;
    }

    s->listed = listed;
    s->lazy = lazy;
}


ngx_mesh_subscription_t *
ngx_mesh_discovery_find(ngx_mesh_source_t *source, ngx_str_t *interface)
{
    return (ngx_mesh_subscription_t *)
               ngx_str_rbtree_lookup(&source->subscriptions, interface,
                                     ngx_crc32_long(interface->data,
                                                    interface->len));
}


static ngx_mesh_subscription_t *
ngx_mesh_discovery_create(ngx_mesh_source_t *source,
    ngx_mesh_interest_t *interest)
{
    ngx_pool_t               *pool;
    ngx_mesh_subscription_t  *s;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    s = ngx_pcalloc(pool, sizeof(ngx_mesh_subscription_t));
    if (s == NULL) {
        goto failed;
    }

    s->pool = pool;
    s->source = source;
    s->since = ngx_current_msec;
    s->sn.str.len = interest->name.len;
    s->sn.str.data = ngx_pstrdup(pool, &interest->name);
    s->protocol.len = interest->protocol.len;
    s->protocol.data = ngx_pstrdup(pool, &interest->protocol);

    if (s->sn.str.data == NULL || s->protocol.data == NULL
        || ngx_mesh_discovery_apps(s, &interest->apps) != NGX_OK)
    {
        goto failed;
    }

    s->sn.node.key = ngx_crc32_long(s->sn.str.data, s->sn.str.len);
    ngx_rbtree_insert(&source->subscriptions, &s->sn.node);
    source->nsubscriptions++;

    if (source->type->subscribe(s) != NGX_OK) {
        ngx_rbtree_delete(&source->subscriptions, &s->sn.node);
        source->nsubscriptions--;
        goto failed;
    }

    ngx_mesh_source_subscribed(source);

    return s;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


static ngx_int_t
ngx_mesh_discovery_apps(ngx_mesh_subscription_t *s, ngx_array_t *lists)
{
    ngx_str_t   *list, *app, rest, name;
    ngx_uint_t   i;

    if (ngx_array_init(&s->apps, s->pool, 1, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    list = lists->elts;

    for (i = 0; i < lists->nelts; i++) {
        rest = list[i];

        while (ngx_mesh_list_part(&rest, &name)) {

            app = ngx_array_push(&s->apps);
            if (app == NULL) {
                return NGX_ERROR;
            }

            app->len = name.len;
            app->data = ngx_pstrdup(s->pool, &name);
            if (app->data == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static void
ngx_mesh_discovery_destroy(ngx_mesh_subscription_t *s, ngx_uint_t keep)
{
    ngx_mesh_source_t  *source;

    source = s->source;

    source->type->unsubscribe(s);
    ngx_mesh_reconcile_forget(s, keep);

    ngx_rbtree_delete(&source->subscriptions, &s->sn.node);
    source->nsubscriptions--;
    ngx_mesh_source_subscribed(source);

    ngx_destroy_pool(s->pool);
}


void
ngx_mesh_discovery_catalog(ngx_mesh_source_t *source, ngx_array_t *names)
{
    ngx_str_t                *name;
    ngx_uint_t                i, usable, left;
    ngx_rbtree_node_t        *node;
    ngx_mesh_interest_t       interest;
    ngx_mesh_subscription_t  *s;

    ngx_mesh_registry_expect(source, names);

    ngx_mesh_discovery.catalogs++;
    source->cataloged = 1;
    name = names->elts;
    usable = 0;
    left = 0;

    for (i = 0; i < names->nelts; i++) {

        if (!ngx_mesh_discovery_usable(&name[i])) {
            continue;
        }

        usable++;
        s = ngx_mesh_discovery_find(source, &name[i]);

        if (s == NULL && source->nsubscriptions >= source->max_services) {
            left++;
            continue;
        }

        if (s == NULL) {
            ngx_memzero(&interest, sizeof(ngx_mesh_interest_t));
            interest.name = name[i];
            s = ngx_mesh_discovery_create(source, &interest);
        }

        if (s) {
            s->seen = ngx_mesh_discovery.catalogs;
            s->found = 1;
            s->gone = 0;
        }
    }

    ngx_mesh_discovery_full(source, left, usable);

    node = ngx_mesh_discovery_first(source);

    for ( /* void */ ; node;
         node = ngx_rbtree_next(&source->subscriptions, node))
    {
        s = (ngx_mesh_subscription_t *) node;

        if (!s->found || s->seen == ngx_mesh_discovery.catalogs) {
            continue;
        }

        s->found = 0;
        s->gone = 1;
        source->type->resync(source, s);
    }
}


/* said once, until there is room for all */

static void
ngx_mesh_discovery_full(ngx_mesh_source_t *source, ngx_uint_t left,
    ngx_uint_t n)
{
    if (left && !source->full) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh registry \"%V\": \"max_services=%ui\" leaves out "
                      "%ui of %ui services", &source->name,
                      source->max_services, left, n);
    }

    source->full = (left != 0);
}


ngx_int_t
ngx_mesh_discovery_resync(ngx_str_t *name, ngx_str_t *interface,
    ngx_uint_t force)
{
    ngx_uint_t                i;
    ngx_rbtree_node_t        *node;
    ngx_mesh_source_t        *source;
    ngx_mesh_subscription_t  *s;

    if (!ngx_mesh_discovery.started) {
        return NGX_DECLINED;
    }

    for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
        source = ngx_mesh_discovery_source(i);

        if (!ngx_mesh_equal(&source->name, name)) {
            continue;
        }

        if (interface->len) {
            s = ngx_mesh_discovery_find(source, interface);
            if (s == NULL) {
                return NGX_DECLINED;
            }

            s->forced |= force;
            source->type->resync(source, s);
            return NGX_OK;
        }

        node = ngx_mesh_discovery_first(source);

        for ( /* void */ ; node && force;
             node = ngx_rbtree_next(&source->subscriptions, node))
        {
            ((ngx_mesh_subscription_t *) node)->forced = 1;
        }

        source->type->resync(source, NULL);
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static void
ngx_mesh_discovery_sweep_handler(ngx_event_t *ev)
{
    ngx_uint_t   i;
    ngx_pool_t  *pool;

    ngx_add_timer(ev, NGX_MESH_DISCOVERY_SWEEP);

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    ngx_mesh_agent_busy();

    for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
        ngx_mesh_discovery_sweep(ngx_mesh_discovery_source(i), pool);
    }

    ngx_destroy_pool(pool);

    ngx_mesh_orphans_look(ngx_mesh_discovery.conf);

    ngx_mesh_agent_idle();
}


static void
ngx_mesh_discovery_sweep(ngx_mesh_source_t *source, ngx_pool_t *pool)
{
    ngx_uint_t                unused;
    ngx_rbtree_node_t        *node, *next;
    ngx_mesh_answer_t         answer;
    ngx_mesh_subscription_t  *s;

    node = ngx_mesh_discovery_first(source);

    for ( /* void */ ; node; node = next) {
        next = ngx_rbtree_next(&source->subscriptions, node);
        s = (ngx_mesh_subscription_t *) node;

        if (s->gone && !s->listed && !s->lazy) {

            if (ngx_mesh_discovery_answer(s, pool, &answer) == NGX_DECLINED
                || (answer.known && answer.found == 0 && answer.suspects == 0))
            {
                ngx_mesh_discovery_destroy(s, 0);
            }

            continue;
        }

        unused = ngx_mesh_live_unused(&s->sn.str);
        s->hot = (unused != NGX_MESH_USED_NEVER
                  && unused < NGX_MESH_DISCOVERY_HOT);

        if (s->lazy && !s->listed
            && (ngx_mesh_discovery_idle(s, unused)
                || ngx_mesh_discovery_absent(&s->sn.str, pool)))
        {
            ngx_mesh_discovery_unwant(&s->sn.str, pool);
        }
    }
}


ngx_int_t
ngx_mesh_discovery_answer(ngx_mesh_subscription_t *s, ngx_pool_t *pool,
    ngx_mesh_answer_t *answer)
{
    ngx_int_t               rc;
    ngx_str_t               key, interface, name;
    ngx_mesh_store_item_t   item;

    ngx_memzero(answer, sizeof(ngx_mesh_answer_t));

    if (ngx_mesh_item_found_key(&key, &s->sn.str, &s->source->name, pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mesh_store_get(ngx_mesh_live(), NGX_MESH_ITEM_ANSWER, &key, 0,
                            pool, &item);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_mesh_item_answer_read(&item, &interface, &name, answer);
}


/* nobody has called it for long; a zone may be younger than what is in it */

static ngx_uint_t
ngx_mesh_discovery_idle(ngx_mesh_subscription_t *s, ngx_uint_t unused)
{
    ngx_msec_t  idle;

    idle = s->source->idle;

    return ngx_current_msec - s->since >= idle
           && (unused == NGX_MESH_USED_NEVER || unused > idle / 1000);
}


/* no registry has it */

static ngx_uint_t
ngx_mesh_discovery_absent(ngx_str_t *interface, ngx_pool_t *pool)
{
    uint64_t                  now;
    ngx_uint_t                i, absent;
    ngx_mesh_answer_t         answer;
    ngx_mesh_source_t        *source;
    ngx_mesh_subscription_t  *s;

    now = ngx_mesh_wall_clock();
    absent = 1;

    for (i = 0; i < ngx_mesh_discovery_nsources(); i++) {
        source = ngx_mesh_discovery_source(i);

        s = ngx_mesh_discovery_find(source, interface);
        if (s == NULL) {
            continue;
        }

        if (ngx_mesh_discovery_answer(s, pool, &answer) != NGX_OK
            || !answer.known || answer.found || answer.suspects
            || now < answer.time + NGX_MESH_DISCOVERY_ABSENT)
        {
            absent = 0;
        }
    }

    return absent;
}


/* the change is seen as any other, and ends the subscriptions */

static void
ngx_mesh_discovery_unwant(ngx_str_t *interface, ngx_pool_t *pool)
{
    ngx_mesh_store_op_t      op;
    ngx_mesh_store_result_t  result;

    ngx_memzero(&op, sizeof(ngx_mesh_store_op_t));

    op.type = NGX_MESH_ITEM_WANT;
    op.remove = 1;

    if (ngx_mesh_item_found_key(&op.key, interface, NULL, pool) == NGX_OK) {
        (void) ngx_mesh_live_commit(&op, 1, 0, 0, &result, ngx_cycle->log);
    }
}


/* longer each time, and never the same for two that begin together */

ngx_msec_t
ngx_mesh_discovery_backoff(ngx_msec_t last)
{
    ngx_msec_t  span;

    last = ngx_max(last, NGX_MESH_DISCOVERY_BACKOFF);
    span = 3 * last - NGX_MESH_DISCOVERY_BACKOFF;

    return ngx_min(NGX_MESH_DISCOVERY_BACKOFF + ngx_random() % (span + 1),
                   NGX_MESH_DISCOVERY_LONGEST);
}
