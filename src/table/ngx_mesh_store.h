
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_STORE_H_INCLUDED_
#define _NGX_MESH_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Items in shared memory, by type and key, with immutable values: what the
 * table is stored in (ngx_mesh_item.h knows what they mean).  A commit
 * changes any number of them or none, and may be killed at any instruction:
 * whoever takes the lock next finds the items as they were before it or after
 * it.
 *
 * Memory is one region, given once, in units of 64 bytes.  A commit builds an
 * index and its new items in units that it reserved, without the lock, and
 * only swaps the index in under it.  Which units are free can be told from
 * the index and the reservations alone.
 */


typedef struct ngx_mesh_store_head_s  ngx_mesh_store_head_t;


/* the store as a process sees it */

typedef struct {
    ngx_mesh_store_head_t   *head;

    void                   (*lock)(void *data);
    void                   (*unlock)(void *data);
    void                    *data;
} ngx_mesh_store_t;


#define NGX_MESH_STORE_KEY_MAX   65535


typedef struct {
    ngx_uint_t               type;           /* 0 to 255 */
    ngx_str_t                key;
    ngx_str_t                value;
    ngx_uint_t               remove;         /* unsigned  remove:1; */

    /* what has to be true of the item before */
    ngx_uint_t               create;         /* it does not exist */
    uint64_t                 expect;         /* its revision; 0: any */

    /* revisions of an item that is brought back; 0: those of the commit */
    uint64_t                 created;
    uint64_t                 modified;

    /* set by the commit */
    uint64_t                 revision;       /* of the item now */
    ngx_uint_t               changed;
} ngx_mesh_store_op_t;


typedef struct {
    ngx_uint_t               type;
    ngx_str_t                key;
    ngx_str_t                value;
    uint64_t                 created;        /* revisions */
    uint64_t                 modified;
    ngx_uint_t               removed;        /* only its key is left */
} ngx_mesh_store_item_t;


typedef struct {
    uint64_t                 revision;       /* after the commit, or now */
    uint64_t                 floor;          /* removals before are forgotten */
    ngx_uint_t               failed;         /* op whose condition is not met */
    size_t                   needed;         /* bytes, while it is done */
    size_t                   free;
    size_t                   largest;        /* in one piece */
} ngx_mesh_store_result_t;


#define NGX_MESH_STORE_OK         0
#define NGX_MESH_STORE_SAME       1          /* everything was so already */
#define NGX_MESH_STORE_CONFLICT   2          /* an op's condition, or the
                                                revision: failed is n then */
#define NGX_MESH_STORE_FULL       3
#define NGX_MESH_STORE_INVALID    4          /* two ops on one item, too long */
#define NGX_MESH_STORE_NOMEM      5          /* of this process */
#define NGX_MESH_STORE_CODES      6


/* bytes of a region that has room for nothing else */
#define NGX_MESH_STORE_MIN        65536


/* makes a store of a region nobody uses yet; the epoch tells it from others */
ngx_int_t ngx_mesh_store_format(void *region, size_t size, uint64_t epoch);

/* NGX_DECLINED: this is no store, or one of another layout */
ngx_int_t ngx_mesh_store_attach(ngx_mesh_store_t *store, void *region,
    size_t size);

/*
 * Goes on from a revision, if it is later than that of the store: for one that
 * is fresh, and follows another that is gone.
 */
void ngx_mesh_store_raise(ngx_mesh_store_t *store, uint64_t revision);

/* may be read at any time, without the lock */
uint64_t ngx_mesh_store_revision(ngx_mesh_store_t *store);
uint64_t ngx_mesh_store_floor(ngx_mesh_store_t *store);
uint64_t ngx_mesh_store_epoch(ngx_mesh_store_t *store);

/*
 * All of the ops or none; "expect" is the revision the store must have, 0:
 * any.  With "dry" everything is checked, room included, and nothing changed,
 * but that removed items may be forgotten for want of room.  What removes
 * items, and does nothing else, always finds room.
 */
ngx_uint_t ngx_mesh_store_commit(ngx_mesh_store_t *store,
    ngx_mesh_store_op_t *ops, ngx_uint_t n, uint64_t expect, ngx_uint_t dry,
    ngx_mesh_store_result_t *result, ngx_log_t *log);

/*
 * Copies an item into the pool.  NGX_OK; NGX_DONE: it is still the one of the
 * revision "known"; NGX_DECLINED: there is none; NGX_ERROR: no memory.
 */
ngx_int_t ngx_mesh_store_get(ngx_mesh_store_t *store, ngx_uint_t type,
    ngx_str_t *key, uint64_t known, ngx_pool_t *pool,
    ngx_mesh_store_item_t *item);

/*
 * Which items of a type, in the order of their keys: those that follow "after"
 * (NULL: from the first), that begin with "prefix" (NULL: all) or, with
 * "exact", are that key; up to "max" of them.  With "since" only those
 * modified after that revision, and removed ones too.
 */

typedef struct {
    ngx_uint_t               type;
    ngx_str_t               *after;
    ngx_str_t               *prefix;
    ngx_uint_t               exact;          /* unsigned  exact:1; */
    uint64_t                 since;
    ngx_uint_t               max;            /* 0: no limit */
    ngx_array_t             *items;          /* ngx_mesh_store_item_t */
} ngx_mesh_store_query_t;

/* by these a reader sees whether what it asks for has changed */

typedef struct {
    uint64_t                 modified;       /* the latest of the items */
    ngx_uint_t               nitems;
} ngx_mesh_store_known_t;

/*
 * Copies the items of several queries at one moment, when the revision is
 * *revision, into the pool and the arrays.  NGX_DONE: "known" (or NULL) is
 * what they are still, nothing was copied; else it is updated.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_mesh_store_select(ngx_mesh_store_t *store,
    ngx_mesh_store_query_t *queries, ngx_uint_t n,
    ngx_mesh_store_known_t *known, ngx_pool_t *pool, uint64_t *revision);

/* the same for one query */
ngx_int_t ngx_mesh_store_list(ngx_mesh_store_t *store, ngx_uint_t type,
    ngx_str_t *after, ngx_str_t *prefix, uint64_t since, ngx_uint_t max,
    ngx_pool_t *pool, ngx_array_t *items, uint64_t *revision);

/* only what a select() would say of the queries' items */
void ngx_mesh_store_look(ngx_mesh_store_t *store,
    ngx_mesh_store_query_t *queries, ngx_uint_t n,
    ngx_mesh_store_known_t *known, uint64_t *revision);

/* bytes of the region */
size_t ngx_mesh_store_size(ngx_mesh_store_t *store);

/* commits that ended so since the region is a store, dry ones not */
uint64_t ngx_mesh_store_counted(ngx_mesh_store_t *store, ngx_uint_t code);


/* the order of strings: less than 0, 0 or more */

static ngx_inline ngx_int_t
ngx_mesh_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    size_t     n;
    ngx_int_t  rc;

    /* an empty one may be of no memory */

    n = ngx_min(a->len, b->len);
    rc = n ? ngx_memcmp(a->data, b->data, n) : 0;

    return rc ? rc : (a->len > b->len) - (a->len < b->len);
}


/* the same of items, by type and key */

static ngx_inline ngx_int_t
ngx_mesh_store_order(ngx_uint_t type, ngx_str_t *key, ngx_uint_t other_type,
    ngx_str_t *other)
{
    if (type != other_type) {
        return type < other_type ? -1 : 1;
    }

    return ngx_mesh_compare(key, other);
}


/* the same of two ops, for ngx_qsort() of pointers to them */
int ngx_libc_cdecl ngx_mesh_store_op_order(const void *one, const void *two);


/* room, for status and metrics */
void ngx_mesh_store_status(ngx_mesh_store_t *store,
    ngx_mesh_store_result_t *result, ngx_uint_t *nitems);


#endif /* _NGX_MESH_STORE_H_INCLUDED_ */
