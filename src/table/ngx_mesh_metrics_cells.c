
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_metrics_region.h"


/*
 * A process may be killed at any instruction, also while it holds the mutex,
 * which the master then unlocks.  Cells are only ever appended, and the one
 * store that makes a cell valid is that of region->used, after everything
 * else.  Killed before it, the process leaves behind
 *
 *   - bytes beyond "used": nobody reads them, the next cell overwrites them;
 *   - a slot of the index that leads beyond "used": a search passes it by and
 *     the next creation takes it as free, unless another cell has got that
 *     place by then: a second way to a good cell, whose labels are compared
 *     before it is believed;
 *   - "spent" or a service's bytes too large by one cell: a little less room.
 *
 * The slot is stored before "used", as a valid cell that is in no slot would
 * be made a second time, and a scrape with the same series twice is refused.
 * For the same reasons a search needs no lock: it sees whole cells only, and
 * what it does not see yet it looks for again with the mutex held.
 */


static void ngx_mesh_metrics_layout(ngx_mesh_metrics_region_t *region,
    size_t size);
static void ngx_mesh_metrics_init_cells(ngx_mesh_metrics_region_t *region);
static ngx_uint_t ngx_mesh_metrics_admit(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key, ngx_uint_t level,
    ngx_mesh_metrics_key_t *account);
static ngx_uint_t ngx_mesh_metrics_room(ngx_mesh_metrics_region_t *region,
    ngx_uint_t kind, size_t size, ngx_uint_t level);
static ngx_mesh_metrics_cell_t *ngx_mesh_metrics_append(
    ngx_mesh_metrics_region_t *region, ngx_mesh_metrics_key_t *key);
static size_t ngx_mesh_metrics_size(ngx_mesh_metrics_key_t *key);


const ngx_uint_t  ngx_mesh_metrics_values[NGX_MESH_METRICS_KINDS] = {
    NGX_MESH_METRICS_CALL_N,
    NGX_MESH_E_N,
    1,
    1
};


ngx_str_t  ngx_mesh_metrics_other = ngx_string("other");


ngx_int_t
ngx_mesh_metrics_init_zone(ngx_slab_pool_t *shpool, size_t size, void **region)
{
    ngx_uint_t                  log_nomem;
    ngx_mesh_metrics_region_t  *rg, layout;

    rg = *region;

    if (rg) {
        if (rg->magic != NGX_MESH_METRICS_MAGIC
            || rg->version != NGX_MESH_METRICS_VERSION
            || rg->header != sizeof(ngx_mesh_metrics_region_t))
        {
            return NGX_ERROR;
        }

        return (rg->size == size) ? NGX_OK : NGX_DECLINED;
    }

    if (size < NGX_MESH_METRICS_MIN_SIZE) {
        return NGX_ERROR;
    }

    /* the caller knows which directive to blame */

    log_nomem = shpool->log_nomem;
    shpool->log_nomem = 0;

    rg = ngx_slab_alloc(shpool, size);

    shpool->log_nomem = log_nomem;

    if (rg == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_metrics_layout(&layout, size);

    /* the arena is not touched, so its pages cost nothing until used */

    ngx_memzero(rg, layout.arena);

    *rg = layout;

    ngx_mesh_metrics_init_cells(rg);

    *region = rg;

    return NGX_OK;
}


static void
ngx_mesh_metrics_layout(ngx_mesh_metrics_region_t *region, size_t size)
{
    size_t          slots;
    struct timeval  tv;

    ngx_memzero(region, sizeof(ngx_mesh_metrics_region_t));

    region->magic = NGX_MESH_METRICS_MAGIC;
    region->version = NGX_MESH_METRICS_VERSION;
    region->header = sizeof(ngx_mesh_metrics_region_t);
    region->size = size;

    /* names come from clients, who must not be able to make them collide */

    ngx_gettimeofday(&tv);

    region->seed[0] = ((uint64_t) tv.tv_usec << 32) ^ (uint64_t) tv.tv_sec;
    region->seed[1] = ((uint64_t) ngx_pid << 40) ^ (uintptr_t) &slots;

    region->gauges = ngx_align(sizeof(ngx_mesh_metrics_region_t),
                               NGX_MESH_METRICS_LINE);

    region->index = region->gauges + NGX_MAX_PROCESSES * NGX_MESH_METRICS_ROW;

    /* the smallest cells could not fill the index */

    slots = NGX_MESH_METRICS_LINE;

    while (slots < (size - region->index) / NGX_MESH_METRICS_LINE) {
        slots *= 2;
    }

    region->mask = slots - 1;
    region->arena = region->index + slots * sizeof(uint32_t);

    region->arena_size = (size - region->arena)
                         & ~((size_t) NGX_MESH_METRICS_LINE - 1);
}


static void
ngx_mesh_metrics_init_cells(ngx_mesh_metrics_region_t *region)
{
    ngx_uint_t              i;
    ngx_mesh_metrics_key_t  key;

    /* ngx_mesh_metrics_init_process() knows the order of the first two */

    ngx_memzero(&key, sizeof(ngx_mesh_metrics_key_t));

    key.kind = NGX_MESH_METRICS_CALLS;
    key.result = NGX_MESH_METRICS_RESULT_OTHER;
    key.label[0] = ngx_mesh_metrics_other;
    key.label[1] = ngx_mesh_metrics_other;
    key.label[2] = ngx_mesh_metrics_other;

    ngx_mesh_metrics_hash(region, &key);
    (void) ngx_mesh_metrics_append(region, &key);

    key.kind = NGX_MESH_METRICS_ENDPOINT;
    key.result = 0;
    ngx_str_set(&key.label[1], "");
    ngx_str_set(&key.label[2], "");

    ngx_mesh_metrics_hash(region, &key);
    (void) ngx_mesh_metrics_append(region, &key);

    key.kind = NGX_MESH_METRICS_ERROR;

    for (i = NGX_MESH_ERR_NONE + 1; i < NGX_MESH_ERR_N; i++) {
        key.result = i;

        ngx_mesh_metrics_hash(region, &key);
        (void) ngx_mesh_metrics_append(region, &key);
    }

    region->first = region->used;
}


/* SipHash with one round for a word and three at the end */

#define ngx_mesh_metrics_rotate(x, n)  ((x) << (n) | (x) >> (64 - (n)))


static ngx_inline void
ngx_mesh_metrics_round(uint64_t *v)
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = ngx_mesh_metrics_rotate(v[1], 13) ^ v[0];
    v[3] = ngx_mesh_metrics_rotate(v[3], 16) ^ v[2];
    v[0] = ngx_mesh_metrics_rotate(v[0], 32);

    v[2] += v[1];
    v[0] += v[3];
    v[1] = ngx_mesh_metrics_rotate(v[1], 17) ^ v[2];
    v[3] = ngx_mesh_metrics_rotate(v[3], 21) ^ v[0];
    v[2] = ngx_mesh_metrics_rotate(v[2], 32);
}


static ngx_inline void
ngx_mesh_metrics_word(uint64_t *v, uint64_t word)
{
    v[3] ^= word;
    ngx_mesh_metrics_round(v);
    v[0] ^= word;
}


void
ngx_mesh_metrics_hash(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key)
{
    u_char      *p;
    size_t       len;
    uint64_t     v[4], word;
    ngx_uint_t   i;

    v[0] = region->seed[0] ^ 0x736f6d6570736575ULL;
    v[1] = region->seed[1] ^ 0x646f72616e646f6dULL;
    v[2] = region->seed[0] ^ 0x6c7967656e657261ULL;
    v[3] = region->seed[1] ^ 0x7465646279746573ULL;

    ngx_mesh_metrics_word(v, (uint64_t) key->status << 16 | key->kind << 8
                             | key->result);

    for (i = 0; i < NGX_MESH_METRICS_LABELS; i++) {
        p = key->label[i].data;

        for (len = key->label[i].len; len >= 8; len -= 8) {
            ngx_memcpy(&word, p, 8);
            ngx_mesh_metrics_word(v, word);
            p += 8;
        }

        /* the length keeps "a" + "bc" from being "ab" + "c" */

        word = 0;

        if (len) {
            ngx_memcpy(&word, p, len);
        }

        word ^= (uint64_t) key->label[i].len << 55;
        ngx_mesh_metrics_word(v, word);
    }

    v[2] ^= 0xff;

    ngx_mesh_metrics_round(v);
    ngx_mesh_metrics_round(v);
    ngx_mesh_metrics_round(v);

    key->hash = (uint32_t) (v[0] ^ v[1] ^ v[2] ^ v[3]);
}


ngx_uint_t
ngx_mesh_metrics_match(ngx_mesh_metrics_key_t *key,
    ngx_mesh_metrics_cell_t *cell)
{
    u_char      *p;
    ngx_uint_t   i;

    if (cell->hash != key->hash
        || cell->kind != key->kind
        || cell->status != key->status
        || cell->result != key->result)
    {
        return 0;
    }

    p = ngx_mesh_metrics_labels(cell);

    for (i = 0; i < NGX_MESH_METRICS_LABELS; i++) {
        if (cell->len[i] != key->label[i].len) {
            return 0;
        }

        if (cell->len[i]
            && ngx_memcmp(p, key->label[i].data, cell->len[i]) != 0)
        {
            return 0;
        }

        p += cell->len[i];
    }

    return 1;
}


ngx_mesh_metrics_cell_t *
ngx_mesh_metrics_find(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key)
{
    size_t                    i, n, offset, used;
    volatile uint32_t        *index;
    ngx_mesh_metrics_cell_t  *cell;

    index = ngx_mesh_metrics_index(region);

    used = region->used;
    ngx_memory_barrier();

    i = key->hash & region->mask;

    for (n = 0; n <= region->mask && index[i]; n++) {
        offset = ngx_mesh_metrics_offset(index[i]);

        if (offset < used) {
            cell = ngx_mesh_metrics_cell(region, offset);

            if (ngx_mesh_metrics_match(key, cell)) {
                return cell;
            }
        }

        i = (i + 1) & region->mask;
    }

    return NULL;
}


ngx_mesh_metrics_cell_t *
ngx_mesh_metrics_create(ngx_mesh_metrics_region_t *region,
    ngx_slab_pool_t *shpool, ngx_mesh_metrics_key_t *key, ngx_uint_t level)
{
    ngx_mesh_metrics_key_t    account;
    ngx_mesh_metrics_cell_t  *cell, *service;

    /* without the lock first: once the budget is spent this is common */

    if (!ngx_mesh_metrics_admit(region, key, level, &account)) {
        return NULL;
    }

    ngx_shmtx_lock(&shpool->mutex);

    cell = ngx_mesh_metrics_find(region, key);

    if (cell || !ngx_mesh_metrics_admit(region, key, level, &account)) {
        goto done;
    }

    if (account.label[0].len) {
        service = ngx_mesh_metrics_find(region, &account);

        if (service == NULL) {
            service = ngx_mesh_metrics_append(region, &account);
        }

        if (service == NULL) {
            goto done;
        }

        service->value[0] += ngx_mesh_metrics_size(key);
    }

    cell = ngx_mesh_metrics_append(region, key);

done:

    ngx_shmtx_unlock(&shpool->mutex);

    return cell;
}


/*
 * A client that invents methods must not take the place of all services, so
 * that one gets an eighth of the arena, and a little more for what is left of
 * its names then.  The account is the key of the service's cell.
 */

static ngx_uint_t
ngx_mesh_metrics_admit(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key, ngx_uint_t level,
    ngx_mesh_metrics_key_t *account)
{
    size_t                    size, share;
    ngx_mesh_metrics_cell_t  *service;

    ngx_memzero(account, sizeof(ngx_mesh_metrics_key_t));

    size = ngx_mesh_metrics_size(key);

    if (key->kind == NGX_MESH_METRICS_CALLS
        && level != NGX_MESH_METRICS_WIDE)
    {
        account->kind = NGX_MESH_METRICS_SERVICE;
        account->label[0] = key->label[0];

        ngx_mesh_metrics_hash(region, account);

        service = ngx_mesh_metrics_find(region, account);

        if (service) {
            share = region->arena_size / 8;

            if (level == NGX_MESH_METRICS_NARROW) {
                share += share / 8;
            }

            if (service->value[0] + size > share) {
                return 0;
            }

        } else {
            size += ngx_mesh_metrics_size(account);
        }
    }

    return ngx_mesh_metrics_room(region, key->kind, size, level);
}


static ngx_uint_t
ngx_mesh_metrics_room(ngx_mesh_metrics_region_t *region, ngx_uint_t kind,
    size_t size, ngx_uint_t level)
{
    size_t      share;
    ngx_uint_t  i;

    /* an eighth is kept for each of the other kinds */

    share = region->arena_size / 8;

    for (i = 0; i < NGX_MESH_METRICS_SERVICE; i++) {
        if (i != kind && region->spent[i] < share) {
            size += share - region->spent[i];
        }
    }

    /* and what carries the name "other" fits longer */

    size += (NGX_MESH_METRICS_WIDE - level) * (region->arena_size / 64);

    return (region->used + size <= region->arena_size);
}


static ngx_mesh_metrics_cell_t *
ngx_mesh_metrics_append(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key)
{
    u_char                   *p;
    size_t                    i, n, size, used;
    ngx_uint_t                kind;
    volatile uint32_t        *index;
    ngx_mesh_metrics_cell_t  *cell;

    index = ngx_mesh_metrics_index(region);

    used = region->used;
    size = ngx_mesh_metrics_size(key);

    i = key->hash & region->mask;

    for (n = 0; index[i] && ngx_mesh_metrics_offset(index[i]) < used; n++) {
        if (n == region->mask) {
            return NULL;
        }

        i = (i + 1) & region->mask;
    }

    kind = key->kind;

    if (kind == NGX_MESH_METRICS_SERVICE) {
        kind = NGX_MESH_METRICS_CALLS;
    }

    region->spent[kind] += size;

    cell = ngx_mesh_metrics_cell(region, used);

    ngx_memzero(cell, size);

    cell->size = size;
    cell->hash = key->hash;
    cell->kind = key->kind;
    cell->status = key->status;
    cell->result = key->result;

    p = ngx_mesh_metrics_labels(cell);

    for (n = 0; n < NGX_MESH_METRICS_LABELS; n++) {
        cell->len[n] = key->label[n].len;
        p = ngx_cpymem(p, key->label[n].data, key->label[n].len);
    }

    ngx_memory_barrier();

    index[i] = ngx_mesh_metrics_slot(used);

    ngx_memory_barrier();

    region->used = used + size;

    return cell;
}


static size_t
ngx_mesh_metrics_size(ngx_mesh_metrics_key_t *key)
{
    size_t  size;

    size = offsetof(ngx_mesh_metrics_cell_t, value)
           + ngx_mesh_metrics_values[key->kind] * sizeof(ngx_atomic_t)
           + key->label[0].len + key->label[1].len + key->label[2].len;

    return ngx_align(size, NGX_MESH_METRICS_LINE);
}
