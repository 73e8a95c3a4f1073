
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_store_int.h"


static void ngx_mesh_store_recover(ngx_mesh_store_head_t *h);
static void ngx_mesh_store_forget_dead(ngx_mesh_store_head_t *h);
static void ngx_mesh_store_mark(ngx_mesh_store_head_t *h, uint32_t first,
    uint32_t units);
static ngx_int_t ngx_mesh_store_find_units(ngx_mesh_store_head_t *h,
    uint32_t from, uint32_t units, uint32_t *first, uint32_t *largest);
static ngx_int_t ngx_mesh_store_find_last(ngx_mesh_store_head_t *h,
    uint32_t from, uint32_t to, uint32_t units, uint32_t *first,
    uint32_t *largest);
static ngx_int_t ngx_mesh_store_find_runs(ngx_mesh_store_head_t *h,
    uint32_t *units, uint32_t *first, uint32_t *largest);
static ngx_int_t ngx_mesh_store_compare(ngx_mesh_store_record_t *r,
    ngx_uint_t type, ngx_str_t *key);
static ngx_int_t ngx_mesh_store_copy(ngx_mesh_store_record_t *r,
    ngx_pool_t *pool, ngx_mesh_store_item_t *item);
static ngx_int_t ngx_mesh_store_scan(ngx_mesh_store_head_t *h,
    ngx_mesh_store_query_t *query, ngx_mesh_store_known_t *known,
    ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_store_within(ngx_mesh_store_record_t *r,
    ngx_mesh_store_query_t *query);


ngx_int_t
ngx_mesh_store_format(void *region, size_t size, uint64_t epoch)
{
    uint32_t                used;
    ngx_mesh_store_head_t  *h;

    h = region;

    if (size < NGX_MESH_STORE_MIN
        || size / NGX_MESH_STORE_UNIT >= NGX_MESH_STORE_NEW)
    {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_mesh_store_head_t));

    h->layout = NGX_MESH_STORE_LAYOUT;
    h->epoch = epoch;
    h->size = size;
    h->nunits = (uint32_t) (size / NGX_MESH_STORE_UNIT);
    h->nwords = (h->nunits + 63) / 64;

    ngx_memzero(h->map, h->nwords * sizeof(uint64_t));

    used = ngx_mesh_store_units(offsetof(ngx_mesh_store_head_t, map)
                                + h->nwords * sizeof(uint64_t));

    /* the head itself, and what the last word has too many */

    h->nfree = h->nwords * 64;
    ngx_mesh_store_mark(h, 0, used);
    ngx_mesh_store_mark(h, h->nunits, h->nwords * 64 - h->nunits);

    h->roots[0].revision = 1;
    h->roots[0].floor = 1;
    h->revision = 1;
    h->low = used;

    ngx_memory_barrier();

    h->magic = NGX_MESH_STORE_MAGIC;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_store_attach(ngx_mesh_store_t *store, void *region, size_t size)
{
    ngx_mesh_store_head_t  *h;

    h = region;

    if (h->magic != NGX_MESH_STORE_MAGIC
        || h->layout != NGX_MESH_STORE_LAYOUT
        || h->size != size)
    {
        return NGX_DECLINED;
    }

    store->head = h;

    return NGX_OK;
}


void
ngx_mesh_store_raise(ngx_mesh_store_t *store, uint64_t revision)
{
    ngx_mesh_store_head_t  *h;
    ngx_mesh_store_root_t  *root;

    h = store->head;

    ngx_mesh_store_enter(store);

    root = &h->roots[h->current];

    if (root->revision < revision) {
        root->floor = revision;
        root->revision = revision;
        h->revision = revision;
    }

    store->unlock(store->data);
}


uint64_t
ngx_mesh_store_revision(ngx_mesh_store_t *store)
{
    return store->head->revision;
}


/* removals before it are forgotten */

uint64_t
ngx_mesh_store_floor(ngx_mesh_store_t *store)
{
    return store->head->roots[store->head->current].floor;
}


uint64_t
ngx_mesh_store_epoch(ngx_mesh_store_t *store)
{
    return store->head->epoch;
}


size_t
ngx_mesh_store_size(ngx_mesh_store_t *store)
{
    return store->head->size;
}


uint64_t
ngx_mesh_store_counted(ngx_mesh_store_t *store, ngx_uint_t code)
{
    return store->head->counted[code];
}


/* takes the lock, and settles what a process left that died with it */

void
ngx_mesh_store_enter(ngx_mesh_store_t *store)
{
    store->lock(store->data);

    if (store->head->changing) {
        ngx_mesh_store_recover(store->head);
    }
}


static void
ngx_mesh_store_recover(ngx_mesh_store_head_t *h)
{
    uint32_t                    used, *index;
    ngx_uint_t                  i, run;
    ngx_mesh_store_root_t      *root;
    ngx_mesh_store_record_t    *r;
    ngx_mesh_store_reserved_t  *reserved;

    h->changing = ngx_pid;
    h->low = 0;

    root = &h->roots[h->current];
    index = ngx_mesh_store_index(h, root);

    ngx_memzero(h->map, h->nwords * sizeof(uint64_t));
    h->nfree = h->nwords * 64;

    used = ngx_mesh_store_units(offsetof(ngx_mesh_store_head_t, map)
                                + h->nwords * sizeof(uint64_t));

    ngx_mesh_store_mark(h, 0, used);
    ngx_mesh_store_mark(h, h->nunits, h->nwords * 64 - h->nunits);
    ngx_mesh_store_mark(h, root->index, root->units);

    for (i = 0; i < root->nitems; i++) {
        r = ngx_mesh_store_record(h, index[i]);
        ngx_mesh_store_mark(h, index[i],
                            ngx_mesh_store_record_units(r->key, r->value));
    }

    /* a reservation whose units were swapped in is over */

    for (i = 0; i < NGX_MESH_STORE_RESERVATIONS; i++) {
        reserved = &h->reserved[i];

        if (reserved->pid == 0) {
            continue;
        }

        if (reserved->first[NGX_MESH_STORE_INDEX] == root->index
            || (kill(reserved->pid, 0) == -1 && ngx_errno == NGX_ESRCH))
        {
            reserved->pid = 0;
            continue;
        }

        for (run = 0; run < NGX_MESH_STORE_RUNS; run++) {
            ngx_mesh_store_mark(h, reserved->first[run], reserved->units[run]);
        }
    }

    h->revision = root->revision;

    ngx_memory_barrier();

    h->changing = 0;
}


/*
 * Units of commits whose process died outside of the lock; or with it, if they
 * are those of the first reservation.
 */

static void
ngx_mesh_store_forget_dead(ngx_mesh_store_head_t *h)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_MESH_STORE_RESERVATIONS; i++) {

        if (h->reserved[i].pid
            && (i == 0 || (kill(h->reserved[i].pid, 0) == -1
                           && ngx_errno == NGX_ESRCH)))
        {
            ngx_mesh_store_release(h, &h->reserved[i]);
        }
    }
}


static void
ngx_mesh_store_mark(ngx_mesh_store_head_t *h, uint32_t first, uint32_t units)
{
    uint32_t  n;
    uint64_t  bits;

    while (units) {
        n = ngx_min(units, 64 - first % 64);
        bits = (n == 64) ? (uint64_t) -1 : (((uint64_t) 1 << n) - 1);

        h->map[first / 64] |= bits << (first % 64);
        h->nfree -= n;

        first += n;
        units -= n;
    }
}


void
ngx_mesh_store_clear(ngx_mesh_store_head_t *h, uint32_t first, uint32_t units)
{
    uint32_t  n;
    uint64_t  bits;

    if (units) {
        h->low = ngx_min(h->low, first);
    }

    while (units) {
        n = ngx_min(units, 64 - first % 64);
        bits = (n == 64) ? (uint64_t) -1 : (((uint64_t) 1 << n) - 1);

        h->map[first / 64] &= ~(bits << (first % 64));
        h->nfree += n;

        first += n;
        units -= n;
    }
}


/*
 * The first run of free units: records gather at the beginning, and indexes at
 * the end, where one finds room in what others left.
 */

static ngx_int_t
ngx_mesh_store_find_units(ngx_mesh_store_head_t *h, uint32_t from,
    uint32_t units, uint32_t *first, uint32_t *largest)
{
    uint32_t  n, run, start;
    uint64_t  word;

    run = 0;
    start = from;

    for (n = from; n < h->nunits; n++) {

        word = h->map[n / 64];

        if (n % 64 == 0 && word == (uint64_t) -1) {
            run = 0;
            n += 63;
            continue;
        }

        if (word >> (n % 64) & 1) {
            run = 0;
            continue;
        }

        if (run++ == 0) {
            start = n;
        }

        if (n % 64 == 0 && word == 0) {
            run += 63;
            n += 63;
        }

        *largest = ngx_max(*largest, run);

        if (run >= units) {
            *first = start;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* the end of the last run between "from" and "to" */

static ngx_int_t
ngx_mesh_store_find_last(ngx_mesh_store_head_t *h, uint32_t from, uint32_t to,
    uint32_t units, uint32_t *first, uint32_t *largest)
{
    uint32_t  n, run;
    uint64_t  word;

    run = 0;

    for (n = to; n > from; n--) {

        word = h->map[(n - 1) / 64];

        if (n % 64 == 0 && word == (uint64_t) -1) {
            run = 0;
            n -= ngx_min(63, n - from - 1);
            continue;
        }

        if (word >> ((n - 1) % 64) & 1) {
            run = 0;
            continue;
        }

        run++;

        if (n % 64 == 0 && word == 0 && n - from >= 64) {
            run += 63;
            n -= 63;
        }

        *largest = ngx_max(*largest, run);

        if (run >= units) {
            *first = n - 1 + run - units;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_mesh_store_reserved_t *
ngx_mesh_store_reserve(ngx_mesh_store_head_t *h, uint32_t *units,
    ngx_uint_t grows, ngx_mesh_store_result_t *result)
{
    uint32_t                    first[NGX_MESH_STORE_RUNS], spare, largest;
    ngx_uint_t                  i;
    ngx_mesh_store_reserved_t  *r;

    result->needed = (size_t) (units[NGX_MESH_STORE_INDEX]
                               + units[NGX_MESH_STORE_RECORDS])
                     * NGX_MESH_STORE_UNIT;
    result->free = (size_t) h->nfree * NGX_MESH_STORE_UNIT;

    ngx_mesh_store_forget_dead(h);

    for (i = NGX_MESH_STORE_RESERVATIONS - 1; i; i--) {
        if (h->reserved[i].pid == 0) {
            break;
        }
    }

    r = &h->reserved[i];
    largest = 0;

    if (ngx_mesh_store_find_runs(h, units, first, &largest) != NGX_OK) {
        result->largest = (size_t) largest * NGX_MESH_STORE_UNIT;
        return NULL;
    }

    h->changing = ngx_pid;
    ngx_memory_barrier();

    for (i = 0; i < NGX_MESH_STORE_RUNS; i++) {
        r->first[i] = first[i];
        r->units[i] = units[i];
    }

    ngx_memory_barrier();

    r->pid = ngx_pid;

    for (i = 0; i < NGX_MESH_STORE_RUNS; i++) {
        ngx_mesh_store_mark(h, first[i], units[i]);
    }

    if (first[NGX_MESH_STORE_RECORDS] == h->low) {
        h->low += units[NGX_MESH_STORE_RECORDS];
    }

    ngx_memory_barrier();
    h->changing = 0;

    if (grows
        && ngx_mesh_store_find_units(h, h->low, units[NGX_MESH_STORE_INDEX],
                                     &spare, &largest)
           != NGX_OK)
    {
        ngx_mesh_store_release(h, r);
        result->needed += (size_t) units[NGX_MESH_STORE_INDEX]
                          * NGX_MESH_STORE_UNIT;
        result->largest = (size_t) largest * NGX_MESH_STORE_UNIT;
        return NULL;
    }

    return r;
}


static ngx_int_t
ngx_mesh_store_find_runs(ngx_mesh_store_head_t *h, uint32_t *units,
    uint32_t *first, uint32_t *largest)
{
    uint32_t  from;

    first[NGX_MESH_STORE_RECORDS] = h->low;

    if (units[NGX_MESH_STORE_RECORDS]
        && ngx_mesh_store_find_units(h, h->low, units[NGX_MESH_STORE_RECORDS],
                                     &first[NGX_MESH_STORE_RECORDS], largest)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* the index goes behind, or before where there is room enough */

    from = first[NGX_MESH_STORE_RECORDS] + units[NGX_MESH_STORE_RECORDS];

    if (ngx_mesh_store_find_last(h, from, h->nunits,
                                 units[NGX_MESH_STORE_INDEX],
                                 &first[NGX_MESH_STORE_INDEX], largest)
        == NGX_OK)
    {
        return NGX_OK;
    }

    return ngx_mesh_store_find_last(h, h->low, first[NGX_MESH_STORE_RECORDS],
                                    units[NGX_MESH_STORE_INDEX],
                                    &first[NGX_MESH_STORE_INDEX], largest);
}


void
ngx_mesh_store_release(ngx_mesh_store_head_t *h, ngx_mesh_store_reserved_t *r)
{
    ngx_uint_t  i;

    h->changing = ngx_pid;
    ngx_memory_barrier();

    for (i = 0; i < NGX_MESH_STORE_RUNS; i++) {
        ngx_mesh_store_clear(h, r->first[i], r->units[i]);
    }

    r->pid = 0;

    ngx_memory_barrier();
    h->changing = 0;
}


static ngx_int_t
ngx_mesh_store_compare(ngx_mesh_store_record_t *r, ngx_uint_t type,
    ngx_str_t *key)
{
    ngx_str_t  own;

    own.data = ngx_mesh_store_key_of(r);
    own.len = r->key;

    return ngx_mesh_store_order(r->type, &own, type, key);
}


/* NGX_OK, or NGX_DECLINED and where it would be */

ngx_int_t
ngx_mesh_store_position(ngx_mesh_store_head_t *h, uint32_t *index,
    ngx_uint_t n, ngx_uint_t type, ngx_str_t *key, ngx_uint_t *position)
{
    ngx_int_t   rc;
    ngx_uint_t  low, high, middle;

    low = 0;
    high = n;

    while (low < high) {
        middle = low + (high - low) / 2;

        rc = ngx_mesh_store_compare(ngx_mesh_store_record(h, index[middle]),
                                    type, key);
        if (rc == 0) {
            *position = middle;
            return NGX_OK;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    *position = low;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_store_copy(ngx_mesh_store_record_t *r, ngx_pool_t *pool,
    ngx_mesh_store_item_t *item)
{
    u_char  *p;

    p = ngx_pnalloc(pool, (size_t) r->value + r->key + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    item->type = r->type;
    item->created = r->created;
    item->modified = r->modified;
    item->removed = r->removed;

    item->value.len = r->value;
    item->value.data = p;
    item->key.len = r->key;
    item->key.data = p + r->value;

    ngx_memcpy(p, ngx_mesh_store_value_of(r), (size_t) r->value + r->key);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_store_get(ngx_mesh_store_t *store, ngx_uint_t type, ngx_str_t *key,
    uint64_t known, ngx_pool_t *pool, ngx_mesh_store_item_t *item)
{
    uint32_t                 *index;
    ngx_int_t                 rc;
    ngx_uint_t                position;
    ngx_mesh_store_head_t    *h;
    ngx_mesh_store_root_t    *root;
    ngx_mesh_store_record_t  *r;

    h = store->head;

    ngx_mesh_store_enter(store);

    root = &h->roots[h->current];
    index = ngx_mesh_store_index(h, root);

    rc = ngx_mesh_store_position(h, index, root->nitems, type, key, &position);

    if (rc == NGX_OK) {
        r = ngx_mesh_store_record(h, index[position]);
        rc = r->removed ? NGX_DECLINED
             : r->modified == known ? NGX_DONE
                                    : ngx_mesh_store_copy(r, pool, item);
    }

    store->unlock(store->data);

    return rc;
}


ngx_int_t
ngx_mesh_store_list(ngx_mesh_store_t *store, ngx_uint_t type, ngx_str_t *after,
    ngx_str_t *prefix, uint64_t since, ngx_uint_t max, ngx_pool_t *pool,
    ngx_array_t *items, uint64_t *revision)
{
    ngx_mesh_store_query_t  query;

    query.type = type;
    query.after = after;
    query.prefix = prefix;
    query.exact = 0;
    query.since = since;
    query.max = max;
    query.items = items;

    return ngx_mesh_store_select(store, &query, 1, NULL, pool, revision);
}


ngx_int_t
ngx_mesh_store_select(ngx_mesh_store_t *store, ngx_mesh_store_query_t *queries,
    ngx_uint_t n, ngx_mesh_store_known_t *known, ngx_pool_t *pool,
    uint64_t *revision)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_mesh_store_head_t  *h;
    ngx_mesh_store_known_t  now;

    h = store->head;
    rc = NGX_OK;

    ngx_mesh_store_enter(store);

    *revision = h->roots[h->current].revision;

    if (known) {
        ngx_memzero(&now, sizeof(ngx_mesh_store_known_t));

        for (i = 0; i < n; i++) {
            (void) ngx_mesh_store_scan(h, &queries[i], &now, NULL);
        }

        if (now.modified == known->modified && now.nitems == known->nitems) {
            rc = NGX_DONE;
        }

        *known = now;
    }

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = ngx_mesh_store_scan(h, &queries[i], NULL, pool);
    }

    store->unlock(store->data);

    return rc;
}


void
ngx_mesh_store_look(ngx_mesh_store_t *store, ngx_mesh_store_query_t *queries,
    ngx_uint_t n, ngx_mesh_store_known_t *known, uint64_t *revision)
{
    ngx_uint_t              i;
    ngx_mesh_store_head_t  *h;

    h = store->head;

    ngx_memzero(known, sizeof(ngx_mesh_store_known_t));

    ngx_mesh_store_enter(store);

    *revision = h->roots[h->current].revision;

    for (i = 0; i < n; i++) {
        (void) ngx_mesh_store_scan(h, &queries[i], known, NULL);
    }

    store->unlock(store->data);
}


/* looks at the items of a query, or copies them when there is a pool */

static ngx_int_t
ngx_mesh_store_scan(ngx_mesh_store_head_t *h, ngx_mesh_store_query_t *query,
    ngx_mesh_store_known_t *known, ngx_pool_t *pool)
{
    uint32_t                 *index;
    ngx_str_t                 first, *from;
    ngx_uint_t                i, n;
    ngx_mesh_store_item_t    *item;
    ngx_mesh_store_root_t    *root;
    ngx_mesh_store_record_t  *r;

    root = &h->roots[h->current];
    index = ngx_mesh_store_index(h, root);

    ngx_str_null(&first);
    from = query->after ? query->after : query->prefix ? query->prefix
                                                       : &first;

    if (ngx_mesh_store_position(h, index, root->nitems, query->type, from, &i)
        == NGX_OK
        && query->after)
    {
        i++;
    }

    for (n = 0; i < root->nitems && (n < query->max || !query->max); i++) {
        r = ngx_mesh_store_record(h, index[i]);

        if (r->type != query->type || !ngx_mesh_store_within(r, query)) {
            break;
        }

        if (query->since ? r->modified <= query->since : r->removed) {
            continue;
        }

        n++;

        if (pool == NULL) {
            known->nitems++;
            known->modified = ngx_max(known->modified, r->modified);
            continue;
        }

        item = ngx_array_push(query->items);

        if (item == NULL || ngx_mesh_store_copy(r, pool, item) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_store_within(ngx_mesh_store_record_t *r,
    ngx_mesh_store_query_t *query)
{
    ngx_str_t  *prefix;

    prefix = query->prefix;

    if (prefix == NULL) {
        return 1;
    }

    return (query->exact ? r->key == prefix->len : r->key >= prefix->len)
           && ngx_memcmp(ngx_mesh_store_key_of(r), prefix->data, prefix->len)
              == 0;
}


void
ngx_mesh_store_status(ngx_mesh_store_t *store, ngx_mesh_store_result_t *result,
    ngx_uint_t *nitems)
{
    uint32_t                first, largest;
    ngx_mesh_store_head_t  *h;
    ngx_mesh_store_root_t  *root;

    h = store->head;
    largest = 0;

    ngx_memzero(result, sizeof(ngx_mesh_store_result_t));

    ngx_mesh_store_enter(store);

    root = &h->roots[h->current];

    (void) ngx_mesh_store_find_units(h, 0, h->nunits + 1, &first, &largest);

    result->revision = root->revision;
    result->floor = root->floor;
    result->free = (size_t) h->nfree * NGX_MESH_STORE_UNIT;
    result->largest = (size_t) largest * NGX_MESH_STORE_UNIT;
    *nitems = root->nitems - root->nremoved;

    store->unlock(store->data);
}
