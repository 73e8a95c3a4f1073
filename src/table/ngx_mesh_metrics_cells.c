
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
static uint64_t ngx_mesh_metrics_mix(uint64_t x);
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
    uint64_t        seed;
    ngx_uint_t      i;
    struct timeval  tv;

    ngx_memzero(region, sizeof(ngx_mesh_metrics_region_t));

    region->magic = NGX_MESH_METRICS_MAGIC;
    region->version = NGX_MESH_METRICS_VERSION;
    region->header = sizeof(ngx_mesh_metrics_region_t);
    region->size = size;

    /* names come from clients, who must not be able to make them collide */

    ngx_gettimeofday(&tv);

    seed = ((uint64_t) tv.tv_usec << 44) ^ ((uint64_t) ngx_pid << 32)
           ^ (uint64_t) tv.tv_sec ^ (uintptr_t) &tv;

    for (i = 0; i < NGX_MESH_METRICS_KEYS; i++) {
        seed += 0x9e3779b97f4a7c15ULL;
        region->keys[i] = ngx_mesh_metrics_mix(seed);
    }

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


/*
 * NH, the sum of UMAC: a word of the key for each word of the data, by its
 * place, so that names with equal sums cannot be found without the key.
 */

static ngx_inline uint64_t
ngx_mesh_metrics_nh(uint64_t word, uint64_t key)
{
    return (uint64_t) ((uint32_t) word + (uint32_t) key)
           * (uint32_t) ((uint32_t) (word >> 32) + (uint32_t) (key >> 32));
}


/* up to 8 bytes, without a loop: writing bytes to read a word is slow */

static ngx_inline uint64_t
ngx_mesh_metrics_word(u_char *p, size_t len)
{
    uint32_t  low, high;
    uint64_t  word;

    if (len == 8) {
        ngx_memcpy(&word, p, 8);
        return word;
    }

    if (len >= 4) {
        ngx_memcpy(&low, p, 4);
        ngx_memcpy(&high, p + len - 4, 4);
        return (uint64_t) high << 32 | low;
    }

    if (len) {
        return p[0] | p[len / 2] << 8 | p[len - 1] << 16;
    }

    return 0;
}


void
ngx_mesh_metrics_hash(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key)
{
    u_char      *p;
    size_t       len;
    uint64_t    *k, word, sum;
    ngx_uint_t   i;

    k = region->keys;

    word = (uint64_t) key->status << 16 | key->kind << 8 | key->result;
    sum = ngx_mesh_metrics_nh(word, k[0]);

    word = (uint64_t) key->label[0].len << 32 | key->label[1].len << 16
           | key->label[2].len;
    sum += ngx_mesh_metrics_nh(word, k[1]);

    for (i = 0; i < NGX_MESH_METRICS_LABELS; i++) {
        p = key->label[i].data;
        k = &region->keys[2 + i * NGX_MESH_METRICS_LABEL_MAX / 8];

        for (len = key->label[i].len; len > 8; len -= 8) {
            ngx_memcpy(&word, p, 8);
            sum += ngx_mesh_metrics_nh(word, *k++);
            p += 8;
        }

        sum += ngx_mesh_metrics_nh(ngx_mesh_metrics_word(p, len), *k);
    }

    key->hash = ngx_mesh_metrics_mix(sum);
}


/* every bit of the sum moves every bit of the hash, as indexes take the low */

static uint64_t
ngx_mesh_metrics_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;

    return x ^ (x >> 31);
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
 * A client that invents methods must not take the room of other services, so
 * each gets an eighth of the arena, and a little more for what still has its
 * name then.  The account is the key of the cell where that is counted.
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

    if (key->kind == NGX_MESH_METRICS_CALLS) {
        account->kind = NGX_MESH_METRICS_SERVICE;
        account->label[0] = key->label[0];
        ngx_str_set(&account->label[1], "");
        ngx_str_set(&account->label[2], "");

        ngx_mesh_metrics_hash(region, account);

        service = ngx_mesh_metrics_find(region, account);

        if (service) {
            share = region->arena_size / 8;

            if (level != NGX_MESH_METRICS_EXACT) {
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
