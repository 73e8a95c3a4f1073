
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_METRICS_REGION_H_INCLUDED_
#define _NGX_MESH_METRICS_REGION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_metrics.h"


/*
 * Private to ngx_mesh_metrics*.c: how the region is laid out.
 *
 *     header with the plain counters
 *     gauges: a row of cache lines for each process slot
 *     index: hash table of the cells
 *     arena: cells one after another, each on cache lines of its own
 */

#define NGX_MESH_METRICS_MAGIC      0x7363697274656d6eULL
#define NGX_MESH_METRICS_VERSION    1

#define NGX_MESH_METRICS_LINE       64
#define NGX_MESH_METRICS_LABELS     3
#define NGX_MESH_METRICS_LABEL_MAX  256

/* words of the hash's key: one for each of a key's numbers and labels */
#define NGX_MESH_METRICS_KEYS                                                 \
    (2 + NGX_MESH_METRICS_LABELS * NGX_MESH_METRICS_LABEL_MAX / 8)


typedef enum {
    NGX_MESH_METRICS_CALLS = 0,
    NGX_MESH_METRICS_ENDPOINT,
    NGX_MESH_METRICS_ERROR,
    NGX_MESH_METRICS_SERVICE,      /* bytes the service's cells take */

    NGX_MESH_METRICS_KINDS
} ngx_mesh_metrics_kind_e;


/* order of a cell's values is that of the accumulator */

#define NGX_MESH_METRICS_SUM        NGX_MESH_BUCKETS
#define NGX_MESH_METRICS_RECEIVED   (NGX_MESH_BUCKETS + 1)
#define NGX_MESH_METRICS_SENT       (NGX_MESH_BUCKETS + 2)
#define NGX_MESH_METRICS_CALL_N     (NGX_MESH_BUCKETS + 3)

/* a result in the table of names, only the last resort has it */
#define NGX_MESH_METRICS_RESULT_OTHER  3


/* how far the labels are from what was asked for */

#define NGX_MESH_METRICS_EXACT      0
#define NGX_MESH_METRICS_NARROW     1     /* method="other" of that service */
#define NGX_MESH_METRICS_WIDE       2     /* service="other" */
#define NGX_MESH_METRICS_LEVELS     3


typedef struct {
    ngx_uint_t         kind;
    ngx_uint_t         status;
    ngx_uint_t         result;     /* or NGX_MESH_ERR_* */
    ngx_str_t          label[NGX_MESH_METRICS_LABELS];
    uint32_t           hash;
} ngx_mesh_metrics_key_t;


typedef struct {
    uint32_t           size;       /* of all, a multiple of cache lines */
    uint32_t           hash;
    uint32_t           status;
    uint16_t           len[NGX_MESH_METRICS_LABELS];
    uint8_t            kind;
    uint8_t            result;     /* or NGX_MESH_ERR_* */

    ngx_atomic_t       value[1];   /* the labels follow the values */
} ngx_mesh_metrics_cell_t;


typedef struct {
    ngx_atomic_t       pid;        /* 0: nobody's row */
    ngx_atomic_t       value[NGX_MESH_G_N];
} ngx_mesh_metrics_row_t;


typedef struct {
    uint64_t           magic;
    uint32_t           version;
    uint32_t           header;     /* sizeof() of the one who made it */
    size_t             size;
    uint64_t           keys[NGX_MESH_METRICS_KEYS];

    size_t             gauges;     /* offsets from here */
    size_t             index;
    size_t             arena;

    size_t             arena_size;
    size_t             mask;       /* slots of the index, less one */
    size_t             first;      /* cells before it are there always */

    ngx_atomic_t       used;       /* bytes of the arena that are valid */
    ngx_atomic_t       spent[NGX_MESH_METRICS_SERVICE];

    ngx_atomic_t       counter[NGX_MESH_M_N];
} ngx_mesh_metrics_region_t;


#define NGX_MESH_METRICS_ROW                                                  \
    ngx_align(sizeof(ngx_mesh_metrics_row_t), NGX_MESH_METRICS_LINE)

#define ngx_mesh_metrics_row(region, i)                                       \
    ((ngx_mesh_metrics_row_t *) ((u_char *) (region) + (region)->gauges       \
                                 + (i) * NGX_MESH_METRICS_ROW))

#define ngx_mesh_metrics_cell(region, offset)                                 \
    ((ngx_mesh_metrics_cell_t *) ((u_char *) (region) + (region)->arena       \
                                  + (offset)))

/* a slot of the index holds the cell's place in lines, plus 1; 0: free */

#define ngx_mesh_metrics_index(region)                                        \
    ((volatile uint32_t *) ((u_char *) (region) + (region)->index))

#define ngx_mesh_metrics_slot(offset)                                         \
    ((uint32_t) ((offset) / NGX_MESH_METRICS_LINE + 1))

#define ngx_mesh_metrics_offset(slot)                                         \
    ((size_t) ((slot) - 1) * NGX_MESH_METRICS_LINE)


extern ngx_mesh_metrics_region_t  *ngx_mesh_metrics_region;

/* how many values a cell of that kind has */
extern const ngx_uint_t  ngx_mesh_metrics_values[NGX_MESH_METRICS_KINDS];

extern ngx_str_t  ngx_mesh_metrics_other;


void ngx_mesh_metrics_hash(ngx_mesh_metrics_region_t *region,
    ngx_mesh_metrics_key_t *key);
ngx_uint_t ngx_mesh_metrics_match(ngx_mesh_metrics_key_t *key,
    ngx_mesh_metrics_cell_t *cell);

/* the cell of a key, or NULL; needs no lock */
ngx_mesh_metrics_cell_t *ngx_mesh_metrics_find(
    ngx_mesh_metrics_region_t *region, ngx_mesh_metrics_key_t *key);

/* a new cell, or the one another process made meanwhile; NULL: no room */
ngx_mesh_metrics_cell_t *ngx_mesh_metrics_create(
    ngx_mesh_metrics_region_t *region, ngx_slab_pool_t *shpool,
    ngx_mesh_metrics_key_t *key, ngx_uint_t level);


static ngx_inline u_char *
ngx_mesh_metrics_labels(ngx_mesh_metrics_cell_t *cell)
{
    return (u_char *) &cell->value[ngx_mesh_metrics_values[cell->kind]];
}


#endif /* _NGX_MESH_METRICS_REGION_H_INCLUDED_ */
