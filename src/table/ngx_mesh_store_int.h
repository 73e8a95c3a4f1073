
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_STORE_INT_H_INCLUDED_
#define _NGX_MESH_STORE_INT_H_INCLUDED_


#include "ngx_mesh_store.h"


#define NGX_MESH_STORE_MAGIC         0x4d455348
#define NGX_MESH_STORE_LAYOUT        3

#define NGX_MESH_STORE_UNIT          64
#define NGX_MESH_STORE_RESERVATIONS  64

/* positions in a new index that stand for an op instead of a record */

#define NGX_MESH_STORE_NEW           0x80000000


typedef struct {
    uint64_t                     revision;
    uint64_t                     floor;
    uint32_t                     index;      /* first unit of the index */
    uint32_t                     units;      /* of the index */
    uint32_t                     nitems;     /* removed ones included */
    uint32_t                     nremoved;
} ngx_mesh_store_root_t;


/* units of a commit that is under way: two runs */

#define NGX_MESH_STORE_INDEX         0
#define NGX_MESH_STORE_RECORDS       1
#define NGX_MESH_STORE_RUNS          2

typedef struct {
    ngx_pid_t                    pid;        /* 0: free */
    uint32_t                     first[NGX_MESH_STORE_RUNS];
    uint32_t                     units[NGX_MESH_STORE_RUNS];
} ngx_mesh_store_reserved_t;


struct ngx_mesh_store_head_s {
    uint32_t                     magic;
    uint32_t                     layout;
    uint64_t                     epoch;
    uint64_t                     size;       /* of the region */
    uint32_t                     nunits;
    uint32_t                     nwords;     /* of the map */

    /* swapped by writing "current", when the other one is complete */
    ngx_mesh_store_root_t        roots[2];
    volatile uint32_t            current;

    volatile uint64_t            revision;   /* of the current root */
    volatile ngx_pid_t           changing;   /* who changes the map, or 0 */
    uint32_t                     low;        /* no unit before it is free */
    uint32_t                     nfree;

    ngx_atomic_t                 counted[NGX_MESH_STORE_CODES];

    ngx_mesh_store_reserved_t    reserved[NGX_MESH_STORE_RESERVATIONS];

    uint64_t                     map[1];     /* bit set: unit in use */
};


/* an item; value and key follow */

typedef struct {
    uint64_t                     created;
    uint64_t                     modified;
    uint32_t                     value;      /* lengths */
    uint16_t                     key;
    uint8_t                      type;
    uint8_t                      removed;
} ngx_mesh_store_record_t;


#define ngx_mesh_store_unit(h, n)                                            \
    ((u_char *) (h) + (size_t) (n) * NGX_MESH_STORE_UNIT)

#define ngx_mesh_store_record(h, n)                                          \
    ((ngx_mesh_store_record_t *) ngx_mesh_store_unit(h, n))

#define ngx_mesh_store_index(h, root)                                        \
    ((uint32_t *) ngx_mesh_store_unit(h, (root)->index))

#define ngx_mesh_store_value_of(r)                                           \
    ((u_char *) (r) + sizeof(ngx_mesh_store_record_t))

#define ngx_mesh_store_key_of(r)                                             \
    (ngx_mesh_store_value_of(r) + (r)->value)


static ngx_inline uint32_t
ngx_mesh_store_units(size_t size)
{
    return (uint32_t) ((size + NGX_MESH_STORE_UNIT - 1) / NGX_MESH_STORE_UNIT);
}


static ngx_inline uint32_t
ngx_mesh_store_record_units(size_t key, size_t value)
{
    return ngx_mesh_store_units(sizeof(ngx_mesh_store_record_t) + key + value);
}


/* takes the lock, and settles what a process left that died with it */
void ngx_mesh_store_enter(ngx_mesh_store_t *store);

/*
 * Runs of units for this process; NULL: none, and *result says why.  Who
 * "grows" has to leave one more that an index as long fits into, which is all
 * that a removal needs.  Where all others are taken it is the first
 * reservation, which is only for as long as the lock is held.
 */
ngx_mesh_store_reserved_t *ngx_mesh_store_reserve(ngx_mesh_store_head_t *h,
    uint32_t *units, ngx_uint_t grows, ngx_mesh_store_result_t *result);
void ngx_mesh_store_release(ngx_mesh_store_head_t *h,
    ngx_mesh_store_reserved_t *r);
void ngx_mesh_store_clear(ngx_mesh_store_head_t *h, uint32_t first,
    uint32_t units);

/* where the item is, NGX_OK, or would be, NGX_DECLINED */
ngx_int_t ngx_mesh_store_position(ngx_mesh_store_head_t *h, uint32_t *index,
    ngx_uint_t n, ngx_uint_t type, ngx_str_t *key, ngx_uint_t *position);


#endif /* _NGX_MESH_STORE_INT_H_INCLUDED_ */
