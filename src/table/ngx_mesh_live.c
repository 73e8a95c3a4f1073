
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_operator.h"
#include "ngx_mesh_table_int.h"


/*
 * The table in shared memory: filled from the configuration by the master,
 * read by workers.  A worker keeps what it found, and looks again when the
 * revision has moved; a record that did not change stays the same one, so
 * that whoever knows it by its address goes on knowing it.
 */


#define NGX_MESH_LIVE_BUCKETS  1024

/* kept though nobody uses them */
#define NGX_MESH_LIVE_IDLE     1024

/* tries for the lock before its owner is looked at */
#define NGX_MESH_LIVE_SPIN     2048

/* rounds of them before it is waited for in sleep, and ms of that before
   somebody is told who has it */
#define NGX_MESH_LIVE_YIELDS   64
#define NGX_MESH_LIVE_HELD     1000


typedef struct ngx_mesh_live_s  ngx_mesh_live_t;

struct ngx_mesh_live_s {
    ngx_mesh_live_t         *next;
    ngx_mesh_service_t      *service;      /* whose pool this is in */
    ngx_str_t                key;
    uint32_t                 hash;
    ngx_mesh_store_known_t   known;        /* of its items */
    uint64_t                 checked;      /* revision */
};


#define NGX_MESH_LIVE_SERVICES   0
#define NGX_MESH_LIVE_ENDPOINTS  1
#define NGX_MESH_LIVE_OVERRIDES  2
#define NGX_MESH_LIVE_TYPES      3

/* items of a service, or of all services of an interface */

typedef struct {
    ngx_array_t              items[NGX_MESH_LIVE_TYPES];
    ngx_uint_t               next[NGX_MESH_LIVE_TYPES];
    ngx_mesh_store_known_t   known;
    uint64_t                 revision;
} ngx_mesh_live_read_t;


static void ngx_mesh_live_lock(void *data);
static ngx_uint_t ngx_mesh_live_dead(ngx_pid_t pid);
static void ngx_mesh_live_unlock(void *data);
static ngx_mesh_live_t *ngx_mesh_live_cached(ngx_str_t *key, uint32_t hash);
static void ngx_mesh_live_drop(ngx_mesh_live_t *live);
static void ngx_mesh_live_tidy(ngx_uint_t all);
static ngx_mesh_service_t *ngx_mesh_live_keep(ngx_mesh_service_t *service,
    ngx_str_t *key, uint32_t hash, ngx_mesh_live_read_t *read);
static ngx_mesh_service_t *ngx_mesh_live_read(ngx_mesh_live_t *live,
    ngx_str_t *key, uint32_t hash, ngx_mesh_service_t *asked,
    ngx_pool_t *temp);
static ngx_int_t ngx_mesh_live_select(ngx_mesh_live_read_t *read,
    ngx_str_t *key, ngx_mesh_service_t *asked, ngx_pool_t *pool,
    ngx_pool_t *temp);
static ngx_mesh_service_t *ngx_mesh_live_join(ngx_mesh_live_read_t *read,
    ngx_mesh_service_t *asked, ngx_pool_t *pool, ngx_pool_t *temp);
static ngx_int_t ngx_mesh_live_fill(ngx_mesh_live_read_t *read,
    ngx_mesh_store_item_t *item, ngx_mesh_service_t *service,
    ngx_pool_t *pool);
static ngx_int_t ngx_mesh_live_endpoint(ngx_mesh_live_read_t *read,
    ngx_mesh_store_item_t *item, ngx_mesh_service_t *service,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_live_rank(ngx_str_t *owner);


void  (*ngx_mesh_live_changed)(void);
void  (*ngx_mesh_live_held)(ngx_pid_t owner);

static ngx_mesh_store_t   ngx_mesh_live_store;
static void              *ngx_mesh_live_region;
static ngx_mesh_live_t   *ngx_mesh_live_cache[NGX_MESH_LIVE_BUCKETS];
static ngx_uint_t         ngx_mesh_live_n;


/*
 * The lock of whoever died with it is taken from him.  For a worker that died
 * the master does so too, but not while it waits here itself, and nobody does
 * for a master.
 */

static void
ngx_mesh_live_lock(void *data)
{
    ngx_shmtx_t *mtx = data;

    ngx_pid_t   owner;
    ngx_uint_t  i, rounds;

    for (rounds = 1; /* void */ ; rounds++) {

        for (i = 0; i < NGX_MESH_LIVE_SPIN; i++) {
            if (ngx_shmtx_trylock(mtx)) {
                return;
            }

            ngx_cpu_pause();
        }

        owner = (ngx_pid_t) *mtx->lock;

        if (owner && ngx_mesh_live_dead(owner)
            && ngx_shmtx_force_unlock(mtx, owner))
        {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "the mesh zone was locked by process %P, "
                          "which is gone", owner);
        }

        if (rounds < NGX_MESH_LIVE_YIELDS) {
            ngx_sched_yield();
            continue;
        }

        ngx_msleep(1);

        if (owner && ngx_mesh_live_held && rounds % NGX_MESH_LIVE_HELD == 0) {
            ngx_mesh_live_held(owner);
        }
    }
}


static ngx_uint_t
ngx_mesh_live_dead(ngx_pid_t pid)
{
    siginfo_t  info;

    if (kill(pid, 0) == -1) {
        return ngx_errno == NGX_ESRCH;
    }

    /* whoever follows a master of that number is no owner */

    if (pid == ngx_parent && getppid() != ngx_parent
        && ngx_process != NGX_PROCESS_MASTER)
    {
        return 1;
    }

    /* a child that was not waited for yet has ended all the same */

    ngx_memzero(&info, sizeof(siginfo_t));

    return waitid(P_PID, pid, &info, WEXITED|WNOHANG|WNOWAIT) == 0
           && info.si_pid == pid;
}


static void
ngx_mesh_live_unlock(void *data)
{
    ngx_shmtx_unlock(data);
}


ngx_int_t
ngx_mesh_live_attach(ngx_mesh_store_t *store, void *region, size_t size,
    ngx_slab_pool_t *shpool)
{
    store->lock = ngx_mesh_live_lock;
    store->unlock = ngx_mesh_live_unlock;
    store->data = &shpool->mutex;

    return ngx_mesh_store_attach(store, region, size);
}


ngx_int_t
ngx_mesh_live_check(void *region, size_t size, ngx_slab_pool_t *shpool,
    ngx_uint_t fresh, ngx_mesh_table_t *table, ngx_log_t *log)
{
    ngx_time_t        *tp;
    ngx_mesh_store_t   store;

    if (fresh) {
        tp = ngx_timeofday();

        if (ngx_mesh_store_format(region, size,
                                  (uint64_t) tp->sec << 32
                                  ^ (uint64_t) tp->msec << 20
                                  ^ (uint64_t) ngx_pid)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (ngx_mesh_live_attach(&store, region, size, shpool) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_mesh_apply(&store, table, 1, log);
}


ngx_int_t
ngx_mesh_live_open(void *region, size_t size, ngx_slab_pool_t *shpool)
{
    if (region != ngx_mesh_live_region) {

        /* what was kept is of another table, whose revisions mean nothing */

        ngx_mesh_live_tidy(1);
        ngx_mesh_live_region = region;
    }

    return ngx_mesh_live_attach(&ngx_mesh_live_store, region, size, shpool);
}


ngx_int_t
ngx_mesh_live_apply(ngx_mesh_table_t *table, ngx_log_t *log)
{
    return ngx_mesh_apply(&ngx_mesh_live_store, table, 0, log);
}


ngx_mesh_store_t *
ngx_mesh_live(void)
{
    return ngx_mesh_live_region ? &ngx_mesh_live_store : NULL;
}


ngx_uint_t
ngx_mesh_live_commit(ngx_mesh_store_op_t *ops, ngx_uint_t n, uint64_t expect,
    ngx_uint_t dry, ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    ngx_uint_t  rc;

    rc = ngx_mesh_store_commit(&ngx_mesh_live_store, ops, n, expect, dry,
                               result, log);

    if (rc == NGX_MESH_STORE_OK && !dry && ngx_mesh_live_changed) {
        ngx_mesh_live_changed();
    }

    return rc;
}


uint64_t
ngx_mesh_live_revision(void)
{
    return ngx_mesh_store_revision(&ngx_mesh_live_store);
}


ngx_mesh_service_t *
ngx_mesh_live_find(ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version)
{
    uint32_t             hash;
    ngx_str_t            key;
    ngx_pool_t          *temp;
    ngx_mesh_live_t     *live;
    ngx_mesh_service_t   asked, *service;

    ngx_memzero(&asked, sizeof(ngx_mesh_service_t));

    asked.group = *group;
    asked.interface = *interface;

    if (!ngx_mesh_table_no_version(version)) {
        asked.version = *version;
    }

    temp = ngx_create_pool(1024, ngx_cycle->log);
    if (temp == NULL) {
        return NULL;
    }

    service = NULL;

    if (ngx_mesh_item_key(&key, &asked, NULL, NULL, 0, temp) == NGX_OK) {
        hash = ngx_murmur_hash2(key.data, key.len);
        live = ngx_mesh_live_cached(&key, hash);

        if (live && live->checked == ngx_mesh_live_revision()) {
            service = live->service;
            service->refs++;

        } else {
            service = ngx_mesh_live_read(live, &key, hash, &asked, temp);
        }
    }

    ngx_destroy_pool(temp);

    return service;
}


ngx_mesh_service_t *
ngx_mesh_live_find_name(ngx_str_t *name)
{
    ngx_mesh_service_t  key;

    if (ngx_mesh_table_parse_key(name, &key) != NGX_OK) {
        return NULL;
    }

    return ngx_mesh_live_find(&key.group, &key.interface, &key.version);
}


static ngx_mesh_live_t *
ngx_mesh_live_cached(ngx_str_t *key, uint32_t hash)
{
    ngx_mesh_live_t  *live;

    for (live = ngx_mesh_live_cache[hash % NGX_MESH_LIVE_BUCKETS];
         live;
         live = live->next)
    {
        if (live->hash == hash && live->key.len == key->len
            && ngx_memcmp(live->key.data, key->data, key->len) == 0)
        {
            return live;
        }
    }

    return NULL;
}


/* users of the service keep it, it is only not found any more */

static void
ngx_mesh_live_drop(ngx_mesh_live_t *live)
{
    ngx_mesh_live_t  **prev;

    for (prev = &ngx_mesh_live_cache[live->hash % NGX_MESH_LIVE_BUCKETS];
         *prev != live;
         prev = &(*prev)->next)
    {
        /* void */
    }

    *prev = live->next;
    ngx_mesh_live_n--;

    ngx_mesh_table_release(live->service);
}


static void
ngx_mesh_live_tidy(ngx_uint_t all)
{
    ngx_uint_t        i;
    ngx_mesh_live_t  *live, *next;

    for (i = 0; i < NGX_MESH_LIVE_BUCKETS; i++) {

        for (live = ngx_mesh_live_cache[i]; live; live = next) {
            next = live->next;

            if (all || live->service->refs == 1) {
                ngx_mesh_live_drop(live);
            }
        }
    }
}


/* the service has one reference, the cache's, and gets the caller's here */

static ngx_mesh_service_t *
ngx_mesh_live_keep(ngx_mesh_service_t *service, ngx_str_t *key, uint32_t hash,
    ngx_mesh_live_read_t *read)
{
    ngx_mesh_live_t  *live;

    if (ngx_mesh_live_n > NGX_MESH_LIVE_IDLE) {
        ngx_mesh_live_tidy(0);
    }

    live = ngx_palloc(service->pool, sizeof(ngx_mesh_live_t) + key->len);
    if (live == NULL) {
        ngx_mesh_table_release(service);
        return NULL;
    }

    live->service = service;
    live->hash = hash;
    live->known = read->known;
    live->checked = read->revision;
    live->key.len = key->len;
    live->key.data = (u_char *) live + sizeof(ngx_mesh_live_t);
    ngx_memcpy(live->key.data, key->data, key->len);

    live->next = ngx_mesh_live_cache[hash % NGX_MESH_LIVE_BUCKETS];
    ngx_mesh_live_cache[hash % NGX_MESH_LIVE_BUCKETS] = live;
    ngx_mesh_live_n++;

    service->refs++;

    return service;
}


static ngx_mesh_service_t *
ngx_mesh_live_read(ngx_mesh_live_t *live, ngx_str_t *key, uint32_t hash,
    ngx_mesh_service_t *asked, ngx_pool_t *temp)
{
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    ngx_mesh_service_t    *service;
    ngx_mesh_live_read_t   read;

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    ngx_memzero(&read, sizeof(ngx_mesh_live_read_t));

    if (live) {
        read.known = live->known;
    }

    rc = ngx_mesh_live_select(&read, key, asked, pool, temp);

    if (live && rc == NGX_DONE) {
        ngx_destroy_pool(pool);
        live->checked = read.revision;
        live->service->refs++;
        return live->service;
    }

    service = rc == NGX_OK ? ngx_mesh_live_join(&read, asked, pool, temp)
                           : NULL;

    if (live && rc != NGX_ERROR) {
        ngx_mesh_live_drop(live);
    }

    if (service == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return ngx_mesh_live_keep(service, key, hash, &read);
}


/* the bytes go into the pool, which will be the service's, arrays into temp */

static ngx_int_t
ngx_mesh_live_select(ngx_mesh_live_read_t *read, ngx_str_t *key,
    ngx_mesh_service_t *asked, ngx_pool_t *pool, ngx_pool_t *temp)
{
    ngx_str_t                inside;
    ngx_uint_t               i, any;
    ngx_mesh_store_query_t   queries[NGX_MESH_LIVE_TYPES];

    any = (ngx_mesh_table_any(&asked->group)
           || ngx_mesh_table_any(&asked->version));

    /* for a union all of the interface is read */

    if (any) {
        inside.data = key->data;
        inside.len = asked->interface.len + 1;

    } else if (ngx_mesh_item_key(&inside, asked, NULL, NULL, 1, temp)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(queries, sizeof(queries));

    for (i = 0; i < NGX_MESH_LIVE_TYPES; i++) {
        queries[i].type = NGX_MESH_ITEM_SERVICE + i;
        queries[i].prefix = &inside;
        queries[i].items = &read->items[i];

        if (ngx_array_init(&read->items[i], temp, 8,
                           sizeof(ngx_mesh_store_item_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (!any) {
        queries[NGX_MESH_LIVE_SERVICES].prefix = key;
        queries[NGX_MESH_LIVE_SERVICES].exact = 1;
    }

    return ngx_mesh_store_select(&ngx_mesh_live_store, queries,
                                 NGX_MESH_LIVE_TYPES, &read->known, pool,
                                 &read->revision);
}


/* the services that match, as one */

static ngx_mesh_service_t *
ngx_mesh_live_join(ngx_mesh_live_read_t *read, ngx_mesh_service_t *asked,
    ngx_pool_t *pool, ngx_pool_t *temp)
{
    ngx_uint_t               i, n;
    ngx_array_t             *items;
    ngx_mesh_service_t      *service, **parts;
    ngx_mesh_store_item_t   *item;

    items = &read->items[NGX_MESH_LIVE_SERVICES];
    item = items->elts;

    parts = ngx_palloc(temp,
                       (items->nelts + 1) * sizeof(ngx_mesh_service_t *));
    if (parts == NULL) {
        return NULL;
    }

    n = 0;

    for (i = 0; i < items->nelts; i++) {

        service = ngx_palloc(pool, sizeof(ngx_mesh_service_t));

        if (service == NULL
            || ngx_mesh_item_service_read(&item[i], service) != NGX_OK)
        {
            return NULL;
        }

        if (!ngx_mesh_table_match(&asked->group, &service->group)
            || !ngx_mesh_table_match(&asked->version, &service->version))
        {
            continue;
        }

        if (ngx_mesh_live_fill(read, &item[i], service, pool) != NGX_OK) {
            return NULL;
        }

        parts[n++] = service;
    }

    return n ? ngx_mesh_table_join(parts, n, &asked->group, &asked->interface,
                                   &asked->version, pool)
             : NULL;
}


/*
 * Services and what is inside of them are in the same order, so that each
 * item is looked at once.
 */

static ngx_int_t
ngx_mesh_live_fill(ngx_mesh_live_read_t *read, ngx_mesh_store_item_t *item,
    ngx_mesh_service_t *service, ngx_pool_t *pool)
{
    ngx_int_t               rc;
    ngx_str_t               key, id, owner;
    ngx_uint_t              i, n;
    ngx_array_t            *items;
    ngx_mesh_endpoint_t    *ep;
    ngx_mesh_store_item_t  *inside;

    items = &read->items[NGX_MESH_LIVE_ENDPOINTS];
    inside = items->elts;

    for (i = read->next[NGX_MESH_LIVE_ENDPOINTS]; i < items->nelts; i++) {

        if (ngx_mesh_item_split(&inside[i].key, &key, &id, &owner) == NGX_OK
            && ngx_memn2cmp(key.data, item->key.data, key.len, item->key.len)
               >= 0)
        {
            break;
        }
    }

    for (n = i;
         n < items->nelts
         && ngx_mesh_item_split(&inside[n].key, &key, &id, &owner) == NGX_OK
         && ngx_mesh_equal(&key, &item->key);
         n++)
    {
        /* void */
    }

    service->endpoints = ngx_palloc(pool,
                                (n - i + 1) * sizeof(ngx_mesh_endpoint_t));
    if (service->endpoints == NULL) {
        return NGX_ERROR;
    }

    for ( /* void */ ; i < n; i++) {
        ep = &service->endpoints[service->nendpoints];

        rc = ngx_mesh_live_endpoint(read, &inside[i], service, ep, pool);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            service->nendpoints++;
        }
    }

    read->next[NGX_MESH_LIVE_ENDPOINTS] = n;

    return NGX_OK;
}


/* NGX_DECLINED: it is none, or took the place of the one before */

static ngx_int_t
ngx_mesh_live_endpoint(ngx_mesh_live_read_t *read, ngx_mesh_store_item_t *item,
    ngx_mesh_service_t *service, ngx_mesh_endpoint_t *ep, ngx_pool_t *pool)
{
    ngx_int_t               rc;
    ngx_uint_t             *next;
    ngx_array_t            *items;
    ngx_mesh_override_t     override;
    ngx_mesh_store_item_t  *laid;

    rc = ngx_mesh_item_endpoint_read(item, ep, pool);

    if (rc == NGX_OK) {
        rc = ngx_mesh_item_address(ep, pool);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ep->protocol.len == 0) {
        ep->protocol = service->protocol;
    }

    items = &read->items[NGX_MESH_LIVE_OVERRIDES];
    laid = items->elts;

    /* its key is that of the endpoint without the owner */

    for (next = &read->next[NGX_MESH_LIVE_OVERRIDES];
         *next < items->nelts;
         (*next)++)
    {
        rc = ngx_memn2cmp(laid[*next].key.data, item->key.data,
                          laid[*next].key.len,
                          item->key.len - ep->owner.len - 1);
        if (rc < 0) {
            continue;
        }

        if (rc == 0
            && ngx_mesh_item_override_read(&laid[*next], &override) == NGX_OK)
        {
            if (override.weighted) {
                ngx_mesh_endpoint_reweigh(ep, override.weight);
            }

            if (override.drain || override.disabled) {
                ep->down = 1;
            }
        }

        break;
    }

    if (ep->weight == 0 || ep->drain) {
        ep->down = 1;
    }

    /* several owners may know of it */

    if (service->nendpoints
        && ngx_mesh_equal(&ep[-1].id, &ep->id))
    {
        if (ngx_mesh_live_better(ep, &ep[-1])) {
            ep[-1] = *ep;
        }

        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Of two registries the one counts that has the endpoint still; a drain is
 * meant, while to be down with one of them may only be its opinion.
 */

ngx_uint_t
ngx_mesh_live_better(ngx_mesh_endpoint_t *ep, ngx_mesh_endpoint_t *than)
{
    ngx_uint_t  ours, theirs;

    ours = ngx_mesh_live_rank(&ep->owner);
    theirs = ngx_mesh_live_rank(&than->owner);

    if (ours != theirs) {
        return ours < theirs;
    }

    if (ep->suspect != than->suspect) {
        return than->suspect;
    }

    if (ep->drain != than->drain) {
        return ep->drain;
    }

    return than->down && !ep->down;
}


static ngx_uint_t
ngx_mesh_live_rank(ngx_str_t *owner)
{
    return ngx_mesh_equal(owner, &ngx_mesh_owner_config) ? 0
           : ngx_mesh_equal(owner, &ngx_mesh_owner_api) ? 1 : 2;
}


ngx_uint_t
ngx_mesh_live_grouped(ngx_str_t *interface)
{
    uint64_t                revision;
    ngx_str_t               key;
    ngx_uint_t              i, grouped;
    ngx_pool_t             *temp;
    ngx_array_t             items;
    ngx_mesh_service_t      service;
    ngx_mesh_store_item_t  *item;

    temp = ngx_create_pool(4096, ngx_cycle->log);
    if (temp == NULL) {
        return 0;
    }

    grouped = 0;

    ngx_memzero(&service, sizeof(ngx_mesh_service_t));
    service.interface = *interface;

    if (ngx_mesh_item_key(&key, &service, NULL, NULL, 0, temp) == NGX_OK
        && ngx_array_init(&items, temp, 16, sizeof(ngx_mesh_store_item_t))
           == NGX_OK)
    {
        key.len = interface->len + 1;

        (void) ngx_mesh_store_list(&ngx_mesh_live_store, NGX_MESH_ITEM_SERVICE,
                                   NULL, &key, 0, 0, temp, &items, &revision);
        item = items.elts;

        for (i = 0; i < items.nelts && !grouped; i++) {
            grouped = (ngx_mesh_item_service_read(&item[i], &service) == NGX_OK
                       && service.group.len);
        }
    }

    ngx_destroy_pool(temp);

    return grouped;
}
