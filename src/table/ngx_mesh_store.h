
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_STORE_H_INCLUDED_
#define _NGX_MESH_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Items in shared memory, by type and key, with immutable values; private to
 * the room.  A commit changes any number of them or none, and may be killed
 * at any instruction: whoever takes the lock next finds the items as they
 * were before it or after it.
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
    size_t                   needed;         /* bytes, when there is no room */
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


/* bytes of a region that has room for nothing else */
#define NGX_MESH_STORE_MIN        65536


/* makes a store of a region nobody uses yet; the epoch tells it from others */
ngx_int_t ngx_mesh_store_format(void *region, size_t size, uint64_t epoch);

/* NGX_DECLINED: this is no store, or one of another layout */
ngx_int_t ngx_mesh_store_attach(ngx_mesh_store_t *store, void *region,
    size_t size);

/* may be read at any time, without the lock */
uint64_t ngx_mesh_store_revision(ngx_mesh_store_t *store);
uint64_t ngx_mesh_store_epoch(ngx_mesh_store_t *store);

/*
 * All of the ops or none; "expect" is the revision the store must have, 0:
 * any.  With "dry" everything is checked, room included, and nothing changed.
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
 * Copies up to "max" items that follow the key (NULL: from the first) in the
 * order of type and key, of the type only, into the array; with a prefix only
 * those whose key begins with it; removed ones too when "since" is not 0, and
 * then only those modified after it.  *revision is that of the store at this
 * moment.
 */
ngx_int_t ngx_mesh_store_list(ngx_mesh_store_t *store, ngx_uint_t type,
    ngx_str_t *after, ngx_str_t *prefix, uint64_t since, ngx_uint_t max,
    ngx_pool_t *pool, ngx_array_t *items, uint64_t *revision);

/* room, for status and metrics */
void ngx_mesh_store_status(ngx_mesh_store_t *store,
    ngx_mesh_store_result_t *result, ngx_uint_t *nitems);


#endif /* _NGX_MESH_STORE_H_INCLUDED_ */
