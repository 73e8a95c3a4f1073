
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_utf8.h"
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


/* how far the labels are from what was asked for */

#define NGX_MESH_METRICS_EXACT     0
#define NGX_MESH_METRICS_NARROW    1      /* method="other" of that service */
#define NGX_MESH_METRICS_WIDE      2      /* service="other" */
#define NGX_MESH_METRICS_LEVELS    3


typedef struct {
    ngx_uint_t                kind;
    ngx_uint_t                status;
    ngx_uint_t                result;     /* or NGX_MESH_ERR_* */
    ngx_str_t                 label[NGX_MESH_METRICS_LABELS];
    uint32_t                  hash;
} ngx_mesh_metrics_key_t;


/* accumulator of ngx_mesh_metrics_error() */

typedef struct {
    uint64_t                  n[1];

    void                     *cell;
    void                     *next;
    ngx_uint_t                dirty;
} ngx_mesh_metrics_error_t;


/* what follows the values in every accumulator */

typedef struct {
    void                     *cell;
    void                     *next;
    ngx_uint_t                dirty;
} ngx_mesh_metrics_tail_t;

#define ngx_mesh_metrics_tail(acc, kind)                                      \
    ((ngx_mesh_metrics_tail_t *) ((uint64_t *) (acc)                          \
                                  + ngx_mesh_metrics_values[kind]))


/* the worker's own index of its accumulators */

typedef struct {
    ngx_mesh_metrics_cell_t  *cell;
    void                     *acc;        /* NULL: free */
} ngx_mesh_metrics_slot_t;


static void ngx_mesh_metrics_layout(ngx_mesh_metrics_region_t *region,
    size_t size);
static void ngx_mesh_metrics_init_cells(ngx_mesh_metrics_region_t *region);
static void ngx_mesh_metrics_adopt(void *acc, ngx_uint_t kind,
    ngx_mesh_metrics_cell_t *cell);

static void ngx_mesh_metrics_label(ngx_mesh_metrics_key_t *key, ngx_uint_t n,
    ngx_str_t *value);
static ngx_uint_t ngx_mesh_metrics_clean(ngx_str_t *label, u_char *buf);
static void ngx_mesh_metrics_hash(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key);
static ngx_uint_t ngx_mesh_metrics_match(ngx_mesh_metrics_key_t *key,
    ngx_mesh_metrics_cell_t *cell);

static void *ngx_mesh_metrics_get(ngx_mesh_metrics_key_t *key);
static void *ngx_mesh_metrics_get_slow(ngx_mesh_metrics_key_t *key);
static void ngx_mesh_metrics_dropped(void);
static void ngx_mesh_metrics_widen(ngx_mesh_metrics_key_t *key,
    ngx_uint_t level);
static void *ngx_mesh_metrics_known(ngx_mesh_metrics_key_t *key);
static void *ngx_mesh_metrics_know(ngx_mesh_metrics_cell_t *cell);
static ngx_int_t ngx_mesh_metrics_grow(void);

static ngx_mesh_metrics_cell_t *ngx_mesh_metrics_find(
    ngx_mesh_metrics_region_t *region, ngx_mesh_metrics_key_t *key);
static ngx_mesh_metrics_cell_t *ngx_mesh_metrics_create(
    ngx_mesh_metrics_region_t *region, ngx_mesh_metrics_key_t *key,
    ngx_uint_t level);
static ngx_uint_t ngx_mesh_metrics_admit(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key, ngx_uint_t level,
    ngx_mesh_metrics_key_t *account);
static ngx_uint_t ngx_mesh_metrics_room(ngx_mesh_metrics_region_t *region,
    ngx_uint_t kind, size_t size, ngx_uint_t level);
static ngx_mesh_metrics_cell_t *ngx_mesh_metrics_append(
    ngx_mesh_metrics_region_t *region, ngx_mesh_metrics_key_t *key);
static size_t ngx_mesh_metrics_size(ngx_mesh_metrics_key_t *key);


uint64_t                    ngx_mesh_counters[NGX_MESH_M_N];
ngx_int_t                   ngx_mesh_gauges[NGX_MESH_G_N];

ngx_mesh_metrics_region_t  *ngx_mesh_metrics_region;


const uint64_t  ngx_mesh_bucket_bounds[NGX_MESH_BUCKETS - 1] = {
    250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 5000000, 10000000
};


const ngx_uint_t  ngx_mesh_metrics_values[NGX_MESH_METRICS_KINDS] = {
    NGX_MESH_METRICS_CALL_N,
    NGX_MESH_E_N,
    1,
    1
};


static const size_t  ngx_mesh_metrics_sizes[NGX_MESH_METRICS_SERVICE] = {
    sizeof(ngx_mesh_calls_t),
    sizeof(ngx_mesh_endpoint_stats_t),
    sizeof(ngx_mesh_metrics_error_t)
};


static ngx_str_t  ngx_mesh_metrics_other = ngx_string("other");
static ngx_str_t  ngx_mesh_metrics_unknown = ngx_string("unknown");


/* for what has no place at all; their cells are the first of the arena */

static ngx_mesh_calls_t           ngx_mesh_metrics_last_calls;
static ngx_mesh_endpoint_stats_t  ngx_mesh_metrics_last_endpoint;

static ngx_slab_pool_t           *ngx_mesh_metrics_shpool;
static ngx_pool_t                *ngx_mesh_metrics_pool;
static void                      *ngx_mesh_metrics_list
                                      [NGX_MESH_METRICS_SERVICE];
static ngx_mesh_metrics_slot_t   *ngx_mesh_metrics_slots;
static ngx_uint_t                 ngx_mesh_metrics_nslots;
static ngx_uint_t                 ngx_mesh_metrics_nknown;
static ngx_uint_t                 ngx_mesh_metrics_warned;


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


ngx_int_t
ngx_mesh_metrics_init_process(void *region, ngx_slab_pool_t *shpool)
{
    ngx_mesh_metrics_row_t   *row;
    ngx_mesh_metrics_cell_t  *cell;

    ngx_memzero(ngx_mesh_counters, sizeof(ngx_mesh_counters));
    ngx_memzero(ngx_mesh_gauges, sizeof(ngx_mesh_gauges));

    ngx_mesh_metrics_region = NULL;
    ngx_mesh_metrics_shpool = shpool;

    ngx_memzero(ngx_mesh_metrics_list, sizeof(ngx_mesh_metrics_list));

    ngx_mesh_metrics_slots = NULL;
    ngx_mesh_metrics_nslots = 0;
    ngx_mesh_metrics_nknown = 0;

    if (region == NULL) {
        return NGX_OK;
    }

    ngx_mesh_metrics_pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE,
                                            ngx_cycle->log);
    if (ngx_mesh_metrics_pool == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_metrics_region = region;

    cell = ngx_mesh_metrics_cell(ngx_mesh_metrics_region, 0);
    ngx_mesh_metrics_adopt(&ngx_mesh_metrics_last_calls,
                           NGX_MESH_METRICS_CALLS, cell);

    cell = ngx_mesh_metrics_cell(ngx_mesh_metrics_region, cell->size);
    ngx_mesh_metrics_adopt(&ngx_mesh_metrics_last_endpoint,
                           NGX_MESH_METRICS_ENDPOINT, cell);

    /* the slot's last owner may have been killed */

    row = ngx_mesh_metrics_row(ngx_mesh_metrics_region, ngx_process_slot);

    ngx_memzero(row, sizeof(ngx_mesh_metrics_row_t));
    row->pid = ngx_pid;

    return NGX_OK;
}


void
ngx_mesh_metrics_exit_process(void)
{
    ngx_mesh_metrics_row_t  *row;

    if (ngx_mesh_metrics_region == NULL) {
        return;
    }

    ngx_mesh_metrics_flush();

    row = ngx_mesh_metrics_row(ngx_mesh_metrics_region, ngx_process_slot);
    ngx_memzero(row, sizeof(ngx_mesh_metrics_row_t));

    /* the pool stays: pool cleanups that run later may still count */

    ngx_mesh_metrics_region = NULL;
}


void
ngx_mesh_metrics_flush(void)
{
    void                       *acc;
    uint64_t                   *value;
    ngx_uint_t                  i, kind;
    ngx_mesh_metrics_row_t     *row;
    ngx_mesh_metrics_cell_t    *cell;
    ngx_mesh_metrics_tail_t    *tail;
    ngx_mesh_metrics_region_t  *region;

    region = ngx_mesh_metrics_region;

    if (region == NULL) {
        return;
    }

    for (i = 0; i < NGX_MESH_M_N; i++) {
        if (ngx_mesh_counters[i]) {
            (void) ngx_atomic_fetch_add(&region->counter[i],
                                        ngx_mesh_counters[i]);
            ngx_mesh_counters[i] = 0;
        }
    }

    row = ngx_mesh_metrics_row(region, ngx_process_slot);

    for (i = 0; i < NGX_MESH_G_N; i++) {
        row->value[i] = ngx_mesh_gauges[i];
    }

    for (kind = 0; kind < NGX_MESH_METRICS_SERVICE; kind++) {

        for (acc = ngx_mesh_metrics_list[kind]; acc; acc = tail->next) {
            tail = ngx_mesh_metrics_tail(acc, kind);

            /* endpoints are few and need no mark */

            if (kind != NGX_MESH_METRICS_ENDPOINT && !tail->dirty) {
                continue;
            }

            tail->dirty = 0;

            cell = tail->cell;
            value = acc;

            for (i = 0; i < ngx_mesh_metrics_values[kind]; i++) {
                if (value[i]) {
                    (void) ngx_atomic_fetch_add(&cell->value[i], value[i]);
                    value[i] = 0;
                }
            }
        }
    }
}


static void
ngx_mesh_metrics_adopt(void *acc, ngx_uint_t kind,
    ngx_mesh_metrics_cell_t *cell)
{
    ngx_mesh_metrics_tail_t  *tail;

    ngx_memzero(acc, ngx_mesh_metrics_sizes[kind]);

    tail = ngx_mesh_metrics_tail(acc, kind);

    tail->cell = cell;
    tail->next = ngx_mesh_metrics_list[kind];

    ngx_mesh_metrics_list[kind] = acc;
}


ngx_mesh_calls_t *
ngx_mesh_metrics_calls(ngx_str_t *service, ngx_str_t *method,
    ngx_str_t *protocol, ngx_uint_t status, ngx_uint_t result)
{
    ngx_mesh_calls_t        *calls;
    ngx_mesh_metrics_key_t   key;

    key.kind = NGX_MESH_METRICS_CALLS;
    key.status = status;
    key.result = ngx_min(result, NGX_MESH_METRICS_RESULT_OTHER);

    ngx_mesh_metrics_label(&key, 0, service);
    ngx_mesh_metrics_label(&key, 1, method);
    ngx_mesh_metrics_label(&key, 2, protocol);

    calls = ngx_mesh_metrics_get(&key);

    return calls ? calls : &ngx_mesh_metrics_last_calls;
}


ngx_mesh_endpoint_stats_t *
ngx_mesh_metrics_endpoint(ngx_str_t *endpoint)
{
    ngx_mesh_metrics_key_t      key;
    ngx_mesh_endpoint_stats_t  *stats;

    key.kind = NGX_MESH_METRICS_ENDPOINT;
    key.status = 0;
    key.result = 0;

    ngx_mesh_metrics_label(&key, 0, endpoint);
    ngx_str_set(&key.label[1], "");
    ngx_str_set(&key.label[2], "");

    stats = ngx_mesh_metrics_get(&key);

    return stats ? stats : &ngx_mesh_metrics_last_endpoint;
}


void
ngx_mesh_metrics_error(ngx_str_t *service, ngx_uint_t err)
{
    ngx_mesh_metrics_key_t     key;
    ngx_mesh_metrics_error_t  *error;

    if (err == NGX_MESH_ERR_NONE || err >= NGX_MESH_ERR_N) {
        return;
    }

    key.kind = NGX_MESH_METRICS_ERROR;
    key.status = 0;
    key.result = err;

    ngx_mesh_metrics_label(&key, 0, service);
    ngx_str_set(&key.label[1], "");
    ngx_str_set(&key.label[2], "");

    error = ngx_mesh_metrics_get(&key);

    if (error) {
        error->n[0]++;
        error->dirty = 1;
    }
}


static void
ngx_mesh_metrics_label(ngx_mesh_metrics_key_t *key, ngx_uint_t n,
    ngx_str_t *value)
{
    size_t  len;

    if (value == NULL || value->len == 0) {
        key->label[n] = ngx_mesh_metrics_unknown;
        return;
    }

    len = value->len;

    if (len > NGX_MESH_METRICS_LABEL_MAX) {
        len = NGX_MESH_METRICS_LABEL_MAX;

        /* not within a character, which has three more bytes at most */

        while (len > NGX_MESH_METRICS_LABEL_MAX - 3
               && (value->data[len] & 0xc0) == 0x80)
        {
            len--;
        }
    }

    key->label[n].len = len;
    key->label[n].data = value->data;
}


/* 1: the label had to be changed and is in the buffer now */

static ngx_uint_t
ngx_mesh_metrics_clean(ngx_str_t *label, u_char *buf)
{
    u_char    *p, *dst, *end;
    uint32_t   ch;

    p = label->data;
    end = p + label->len;
    dst = buf;

    while (p < end) {
        ch = ngx_mesh_utf8_next(&p, end);

        if ((ch < 0x20 && ch != '\n') || ch == 0x7f) {
            ch = '?';
        }

        dst = ngx_mesh_utf8_put(dst, ch);
    }

    if ((size_t) (dst - buf) == label->len
        && ngx_memcmp(buf, label->data, label->len) == 0)
    {
        return 0;
    }

    label->data = buf;
    label->len = dst - buf;

    return 1;
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


static void
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


static ngx_uint_t
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


static void *
ngx_mesh_metrics_get(ngx_mesh_metrics_key_t *key)
{
    void  *acc;

    if (ngx_mesh_metrics_region == NULL) {
        return NULL;
    }

    ngx_mesh_metrics_hash(ngx_mesh_metrics_region, key);

    acc = ngx_mesh_metrics_known(key);

    return acc ? acc : ngx_mesh_metrics_get_slow(key);
}


static void *
ngx_mesh_metrics_get_slow(ngx_mesh_metrics_key_t *key)
{
    void                       *acc;
    u_char                      buf[NGX_MESH_METRICS_LABELS]
                                   [NGX_MESH_METRICS_LABEL_MAX];
    ngx_uint_t                  i, changed, level;
    ngx_mesh_metrics_cell_t    *cell;
    ngx_mesh_metrics_region_t  *region;

    region = ngx_mesh_metrics_region;
    acc = NULL;
    changed = 0;

    for (i = 0; i < NGX_MESH_METRICS_LABELS; i++) {
        changed |= ngx_mesh_metrics_clean(&key->label[i], buf[i]);
    }

    for (level = 0; level < NGX_MESH_METRICS_LEVELS; level++) {

        if (level != NGX_MESH_METRICS_EXACT) {
            ngx_mesh_metrics_widen(key, level);
            changed = 1;
        }

        if (changed) {
            ngx_mesh_metrics_hash(region, key);

            acc = ngx_mesh_metrics_known(key);
            if (acc) {
                break;
            }
        }

        cell = ngx_mesh_metrics_find(region, key);

        if (cell == NULL) {
            cell = ngx_mesh_metrics_create(region, key, level);
        }

        if (cell) {
            acc = ngx_mesh_metrics_know(cell);
            break;
        }
    }

    if (level != NGX_MESH_METRICS_EXACT) {
        ngx_mesh_metrics_dropped();
    }

    return acc;
}


static void
ngx_mesh_metrics_dropped(void)
{
    ngx_mesh_count(NGX_MESH_M_DROPPED);

    if (!ngx_mesh_metrics_warned) {
        ngx_mesh_metrics_warned = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "no room for another series of mesh metrics, "
                      "it is counted as \"other\"");
    }
}


static void
ngx_mesh_metrics_widen(ngx_mesh_metrics_key_t *key, ngx_uint_t level)
{
    if (key->kind == NGX_MESH_METRICS_CALLS
        && level == NGX_MESH_METRICS_NARROW)
    {
        key->label[1] = ngx_mesh_metrics_other;
        return;
    }

    key->label[0] = ngx_mesh_metrics_other;
}


static void *
ngx_mesh_metrics_known(ngx_mesh_metrics_key_t *key)
{
    ngx_uint_t                i, mask;
    ngx_mesh_metrics_slot_t  *slot;

    if (ngx_mesh_metrics_slots == NULL) {
        return NULL;
    }

    mask = ngx_mesh_metrics_nslots - 1;

    for (i = key->hash & mask; /* void */ ; i = (i + 1) & mask) {
        slot = &ngx_mesh_metrics_slots[i];

        if (slot->acc == NULL) {
            return NULL;
        }

        if (ngx_mesh_metrics_match(key, slot->cell)) {
            return slot->acc;
        }
    }
}


static void *
ngx_mesh_metrics_know(ngx_mesh_metrics_cell_t *cell)
{
    void        *acc;
    ngx_uint_t   i, mask;

    if (ngx_mesh_metrics_nknown * 2 >= ngx_mesh_metrics_nslots
        && ngx_mesh_metrics_grow() != NGX_OK)
    {
        return NULL;
    }

    acc = ngx_palloc(ngx_mesh_metrics_pool, ngx_mesh_metrics_sizes[cell->kind]);
    if (acc == NULL) {
        return NULL;
    }

    ngx_mesh_metrics_adopt(acc, cell->kind, cell);

    mask = ngx_mesh_metrics_nslots - 1;
    i = cell->hash & mask;

    while (ngx_mesh_metrics_slots[i].acc) {
        i = (i + 1) & mask;
    }

    ngx_mesh_metrics_slots[i].cell = cell;
    ngx_mesh_metrics_slots[i].acc = acc;
    ngx_mesh_metrics_nknown++;

    return acc;
}


static ngx_int_t
ngx_mesh_metrics_grow(void)
{
    ngx_uint_t                i, j, n;
    ngx_mesh_metrics_slot_t  *slots, *old;

    old = ngx_mesh_metrics_slots;
    n = old ? ngx_mesh_metrics_nslots * 2 : 64;

    slots = ngx_pcalloc(ngx_mesh_metrics_pool,
                        n * sizeof(ngx_mesh_metrics_slot_t));
    if (slots == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_mesh_metrics_nslots; i++) {
        if (old[i].acc == NULL) {
            continue;
        }

        j = old[i].cell->hash & (n - 1);

        while (slots[j].acc) {
            j = (j + 1) & (n - 1);
        }

        slots[j] = old[i];
    }

    if (old) {
        (void) ngx_pfree(ngx_mesh_metrics_pool, old);
    }

    ngx_mesh_metrics_slots = slots;
    ngx_mesh_metrics_nslots = n;

    return NGX_OK;
}


static ngx_mesh_metrics_cell_t *
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


static ngx_mesh_metrics_cell_t *
ngx_mesh_metrics_create(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key, ngx_uint_t level)
{
    ngx_mesh_metrics_key_t    account;
    ngx_mesh_metrics_cell_t  *cell, *service;

    /* without the lock first: once the budget is spent this is common */

    if (!ngx_mesh_metrics_admit(region, key, level, &account)) {
        return NULL;
    }

    ngx_shmtx_lock(&ngx_mesh_metrics_shpool->mutex);

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

    ngx_shmtx_unlock(&ngx_mesh_metrics_shpool->mutex);

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
