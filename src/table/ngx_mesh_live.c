
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_record.h"
#include "ngx_mesh_store.h"


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


typedef struct ngx_mesh_live_s  ngx_mesh_live_t;

struct ngx_mesh_live_s {
    ngx_mesh_live_t         *next;
    ngx_mesh_service_t      *service;      /* whose pool this is in */
    ngx_str_t                key;
    uint32_t                 hash;
    uint64_t                 modified;     /* latest of its items */
    ngx_uint_t               nitems;
    uint64_t                 checked;      /* revision */
};


static void ngx_mesh_live_lock(void *data);
static ngx_uint_t ngx_mesh_live_dead(ngx_pid_t pid);
static void ngx_mesh_live_unlock(void *data);
static ngx_int_t ngx_mesh_live_attach(ngx_mesh_store_t *store, void *region,
    size_t size, ngx_slab_pool_t *shpool);
static ngx_int_t ngx_mesh_live_commit(ngx_mesh_store_t *store,
    ngx_mesh_table_t *table, ngx_uint_t dry, ngx_log_t *log);
static ngx_int_t ngx_mesh_live_ops(ngx_mesh_table_t *table,
    ngx_array_t *ops, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_live_removals(ngx_mesh_store_t *store,
    ngx_mesh_table_t *table, ngx_array_t *ops, ngx_pool_t *pool);
static ngx_mesh_live_t *ngx_mesh_live_cached(ngx_str_t *key, uint32_t hash);
static void ngx_mesh_live_drop(ngx_mesh_live_t *live);
static void ngx_mesh_live_tidy(ngx_uint_t all);
static ngx_mesh_service_t *ngx_mesh_live_keep(ngx_mesh_service_t *service,
    ngx_str_t *key, uint32_t hash, uint64_t modified, ngx_uint_t nitems);
static ngx_mesh_service_t *ngx_mesh_live_read(ngx_mesh_live_t *live,
    ngx_str_t *key, uint32_t hash, ngx_pool_t *temp);
static ngx_mesh_service_t *ngx_mesh_live_union(ngx_mesh_live_t *live,
    ngx_str_t *key, uint32_t hash, ngx_str_t *group, ngx_str_t *interface,
    ngx_str_t *version, ngx_pool_t *temp);


static ngx_mesh_store_t   ngx_mesh_live_store;
static void              *ngx_mesh_live_region;
static ngx_mesh_live_t   *ngx_mesh_live_cache[NGX_MESH_LIVE_BUCKETS];
static ngx_uint_t         ngx_mesh_live_n;

static ngx_str_t          ngx_mesh_live_config = ngx_string("config");


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
    ngx_uint_t  i;

    for ( ;; ) {

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

        ngx_sched_yield();
    }
}


static ngx_uint_t
ngx_mesh_live_dead(ngx_pid_t pid)
{
    siginfo_t  info;

    if (kill(pid, 0) == -1) {
        return ngx_errno == NGX_ESRCH;
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


static ngx_int_t
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

    return ngx_mesh_live_commit(&store, table, 1, log);
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
    return ngx_mesh_live_commit(&ngx_mesh_live_store, table, 0, log);
}


static ngx_int_t
ngx_mesh_live_commit(ngx_mesh_store_t *store, ngx_mesh_table_t *table,
    ngx_uint_t dry, ngx_log_t *log)
{
    ngx_int_t                 rc;
    ngx_pool_t               *pool;
    ngx_array_t               ops;
    ngx_mesh_store_result_t   result;

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_array_init(&ops, pool, 64, sizeof(ngx_mesh_store_op_t)) != NGX_OK
        || ngx_mesh_live_ops(table, &ops, pool) != NGX_OK
        || ngx_mesh_live_removals(store, table, &ops, pool) != NGX_OK)
    {
        goto done;
    }

    switch (ngx_mesh_store_commit(store, ops.elts, ops.nelts, 0, dry, &result,
                                  log))
    {

    case NGX_MESH_STORE_OK:
    case NGX_MESH_STORE_SAME:
        rc = NGX_OK;
        break;

    case NGX_MESH_STORE_FULL:
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the services of the configuration need %uzk of the "
                      "mesh zone, %uzk are free, %uzk of them in one piece: "
                      "enlarge the zone", result.needed / 1024 + 1,
                      result.free / 1024, result.largest / 1024);
        break;

    default:
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "the services of the configuration cannot be stored");
        break;
    }

done:

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
ngx_mesh_live_ops(ngx_mesh_table_t *table, ngx_array_t *ops, ngx_pool_t *pool)
{
    void                 *iterator;
    ngx_mesh_service_t   *service;
    ngx_mesh_store_op_t  *op;

    iterator = NULL;

    while ((service = ngx_mesh_table_next(table, &iterator)) != NULL) {

        op = ngx_array_push(ops);
        if (op == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

        op->type = NGX_MESH_ITEM_SERVICE;
        op->value.len = ngx_mesh_record_size(service, &ngx_mesh_live_config);
        op->value.data = ngx_palloc(pool, op->value.len);

        if (op->value.data == NULL
            || ngx_mesh_record_key(&op->key, &service->group,
                                   &service->interface, &service->version,
                                   pool)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_mesh_record_write(op->value.data, service, &ngx_mesh_live_config);
    }

    return NGX_OK;
}


/* what an earlier configuration had and this one has not */

static ngx_int_t
ngx_mesh_live_removals(ngx_mesh_store_t *store, ngx_mesh_table_t *table,
    ngx_array_t *ops, ngx_pool_t *pool)
{
    uint64_t                revision;
    ngx_str_t               owner;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_service_t      service, *kept;
    ngx_mesh_store_op_t    *op;
    ngx_mesh_store_item_t  *item;

    if (ngx_array_init(&items, pool, 64, sizeof(ngx_mesh_store_item_t))
        != NGX_OK
        || ngx_mesh_store_list(store, NGX_MESH_ITEM_SERVICE, NULL, NULL, 0,
                               (ngx_uint_t) -1, pool, &items, &revision)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = items.elts;

    for (i = 0; i < items.nelts; i++) {

        if (ngx_mesh_record_read(&item[i].value, &service, &owner, NULL)
            != NGX_OK
            || owner.len != ngx_mesh_live_config.len
            || ngx_memcmp(owner.data, ngx_mesh_live_config.data, owner.len)
               != 0)
        {
            continue;
        }

        kept = ngx_mesh_table_find(table, &service.group, &service.interface,
                                   &service.version);
        if (kept) {
            ngx_mesh_table_release(kept);
            continue;
        }

        op = ngx_array_push(ops);
        if (op == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

        op->type = NGX_MESH_ITEM_SERVICE;
        op->key = item[i].key;
        op->remove = 1;
    }

    return NGX_OK;
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
    uint64_t             revision;
    ngx_str_t            key, none;
    ngx_pool_t          *temp;
    ngx_mesh_live_t     *live;
    ngx_mesh_service_t  *service;

    if (ngx_mesh_table_no_version(version)) {
        ngx_str_null(&none);
        version = &none;
    }

    temp = ngx_create_pool(1024, ngx_cycle->log);
    if (temp == NULL) {
        return NULL;
    }

    service = NULL;

    if (ngx_mesh_record_key(&key, group, interface, version, temp) == NGX_OK) {
        hash = ngx_murmur_hash2(key.data, key.len);
        live = ngx_mesh_live_cached(&key, hash);
        revision = ngx_mesh_live_revision();

        if (live && live->checked == revision) {
            service = live->service;
            service->refs++;

        } else if (ngx_mesh_table_any(group) || ngx_mesh_table_any(version)) {
            service = ngx_mesh_live_union(live, &key, hash, group, interface,
                                          version, temp);

        } else {
            service = ngx_mesh_live_read(live, &key, hash, temp);
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
    uint64_t modified, ngx_uint_t nitems)
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
    live->modified = modified;
    live->nitems = nitems;
    live->checked = ngx_mesh_live_revision();
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
    ngx_pool_t *temp)
{
    uint64_t                revision;
    ngx_int_t               rc;
    ngx_str_t               owner;
    ngx_pool_t             *pool;
    ngx_mesh_service_t     *service;
    ngx_mesh_store_item_t   item;

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    /* what it is at least as new as */

    revision = ngx_mesh_live_revision();

    rc = ngx_mesh_store_get(&ngx_mesh_live_store, NGX_MESH_ITEM_SERVICE, key,
                            live ? live->modified : 0, pool, &item);

    if (rc == NGX_DONE) {
        ngx_destroy_pool(pool);
        live->checked = revision;
        live->service->refs++;
        return live->service;
    }

    if (live && rc != NGX_ERROR) {
        ngx_mesh_live_drop(live);
    }

    service = NULL;

    if (rc == NGX_OK) {
        service = ngx_pcalloc(pool, sizeof(ngx_mesh_service_t));
    }

    if (service == NULL
        || ngx_mesh_record_read(&item.value, service, &owner, pool) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    service->pool = pool;
    service->refs = 1;

    return ngx_mesh_live_keep(service, key, hash, item.modified, 1);
}


/* all services of an interface that the pattern matches, as one */

static ngx_mesh_service_t *
ngx_mesh_live_union(ngx_mesh_live_t *live, ngx_str_t *key, uint32_t hash,
    ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version,
    ngx_pool_t *temp)
{
    uint64_t                 revision, modified;
    ngx_str_t                prefix, owner;
    ngx_uint_t               i, n;
    ngx_pool_t              *pool;
    ngx_array_t              items;
    ngx_mesh_service_t      *service, **parts;
    ngx_mesh_store_item_t   *item;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    prefix.data = key->data;
    prefix.len = interface->len + 1;

    if (ngx_array_init(&items, temp, 16, sizeof(ngx_mesh_store_item_t))
        != NGX_OK
        || ngx_mesh_store_list(&ngx_mesh_live_store, NGX_MESH_ITEM_SERVICE,
                               NULL, &prefix, 0, (ngx_uint_t) -1, pool, &items,
                               &revision)
           != NGX_OK)
    {
        goto failed;
    }

    parts = ngx_palloc(temp, (items.nelts + 1) * sizeof(ngx_mesh_service_t *));
    if (parts == NULL) {
        goto failed;
    }

    item = items.elts;
    modified = 0;
    n = 0;

    for (i = 0; i < items.nelts; i++) {
        service = ngx_pcalloc(pool, sizeof(ngx_mesh_service_t));

        if (service == NULL
            || ngx_mesh_record_read(&item[i].value, service, &owner, pool)
               != NGX_OK)
        {
            goto failed;
        }

        if (ngx_mesh_table_match(group, &service->group)
            && ngx_mesh_table_match(version, &service->version))
        {
            modified = ngx_max(modified, item[i].modified);
            parts[n++] = service;
        }
    }

    if (live && live->nitems == n && live->modified == modified) {
        ngx_destroy_pool(pool);
        live->checked = revision;
        live->service->refs++;
        return live->service;
    }

    if (live) {
        ngx_mesh_live_drop(live);
    }

    service = n ? ngx_mesh_table_join(parts, n, group, interface, version,
                                      pool)
                : NULL;
    if (service) {
        return ngx_mesh_live_keep(service, key, hash, modified, n);
    }

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


ngx_uint_t
ngx_mesh_live_grouped(ngx_str_t *interface)
{
    uint64_t                revision;
    ngx_str_t               none, key, prefix, owner;
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
    ngx_str_null(&none);

    if (ngx_mesh_record_key(&key, &none, interface, &none, temp) == NGX_OK
        && ngx_array_init(&items, temp, 16, sizeof(ngx_mesh_store_item_t))
           == NGX_OK)
    {
        prefix.data = key.data;
        prefix.len = interface->len + 1;

        (void) ngx_mesh_store_list(&ngx_mesh_live_store, NGX_MESH_ITEM_SERVICE,
                                   NULL, &prefix, 0, (ngx_uint_t) -1, temp,
                                   &items, &revision);
        item = items.elts;

        for (i = 0; i < items.nelts && !grouped; i++) {
            grouped = (ngx_mesh_record_read(&item[i].value, &service, &owner,
                                            NULL)
                       == NGX_OK
                       && service.group.len);
        }
    }

    ngx_destroy_pool(temp);

    return grouped;
}
