
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_metrics_region.h"


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


static void ngx_mesh_metrics_adopt(void *acc, ngx_uint_t kind,
    ngx_mesh_metrics_cell_t *cell);

static void ngx_mesh_metrics_label(ngx_mesh_metrics_key_t *key, ngx_uint_t n,
    ngx_str_t *value);
static ngx_uint_t ngx_mesh_metrics_clean(ngx_str_t *label, u_char *buf);

static void *ngx_mesh_metrics_get(ngx_mesh_metrics_key_t *key);
static void *ngx_mesh_metrics_get_slow(ngx_mesh_metrics_key_t *key);
static void ngx_mesh_metrics_dropped(void);
static void ngx_mesh_metrics_widen(ngx_mesh_metrics_key_t *key,
    ngx_uint_t level);
static void *ngx_mesh_metrics_known(ngx_mesh_metrics_key_t *key);
static void *ngx_mesh_metrics_know(ngx_mesh_metrics_cell_t *cell);
static ngx_int_t ngx_mesh_metrics_grow(void);


uint64_t                    ngx_mesh_counters[NGX_MESH_M_N];
ngx_int_t                   ngx_mesh_gauges[NGX_MESH_G_N];

ngx_mesh_metrics_region_t  *ngx_mesh_metrics_region;


const uint64_t  ngx_mesh_bucket_bounds[NGX_MESH_BUCKETS - 1] = {
    250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 5000000, 10000000
};


static const size_t  ngx_mesh_metrics_sizes[NGX_MESH_METRICS_SERVICE] = {
    sizeof(ngx_mesh_calls_t),
    sizeof(ngx_mesh_endpoint_stats_t),
    sizeof(ngx_mesh_metrics_error_t)
};


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
            cell = ngx_mesh_metrics_create(region, ngx_mesh_metrics_shpool,
                                           key, level);
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
