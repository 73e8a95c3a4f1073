
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_REDIS_VIEW_H_INCLUDED_
#define _NGX_MESH_REDIS_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Private to the room: the providers of an interface as a hash in Redis has
 * them, over many reads of it, and which of them are alive.  Nothing here
 * waits, or knows a connection.
 *
 * A field is a provider's URL, its value is when it expires, by the clock of
 * the provider, which writes it again every half of its session.  That clock
 * may be wrong by hours, so what counts is that the value moves.
 */


#define NGX_MESH_REDIS_STEPS  4

typedef struct {
    ngx_str_node_t             sn;           /* sn.str: the URL */
    int64_t                    value;
    int64_t                    lead;         /* how far a value was ahead of
                                                "now" when it was seen: the
                                                most, lately */
    int64_t                    seen;         /* the value, first */
    int64_t                    held;         /* it is absent, or expired with
                                                all others, and kept until
                                                then; 0: it is not */
    int64_t                    steps[NGX_MESH_REDIS_STEPS];
    ngx_uint_t                 nsteps;
    ngx_uint_t                 generation;   /* of the read that had it */

    unsigned                   fixed:1;      /* dynamic=false: never expires */
    unsigned                   far:1;        /* of a longer session, or of a
                                                fast clock; it has not moved */
    unsigned                   doubtful:1;   /* may be a remnant: was stale when
                                                first seen, and did not move */
    unsigned                   known:1;      /* doubtful, but used before */
    unsigned                   dead:1;       /* expired */
    unsigned                   used:1;       /* the result: it gets calls */
    unsigned                   suspect:1;    /* and is held, or doubtful */
} ngx_mesh_redis_field_t;


typedef struct {
    ngx_rbtree_t               tree;
    ngx_rbtree_node_t          sentinel;
    ngx_msec_t                 session;      /* providers', if not longer */
    size_t                    *total;        /* bytes of all views, or NULL */
    size_t                     most;         /* that they may be */
    ngx_uint_t                 generation;   /* reads */
    int64_t                    now;          /* of this read: local, steady */
    int64_t                    clock;        /* the server's, ms since 1970 */
    int64_t                    last;         /* the last complete read */

    ngx_uint_t                 fields;       /* present */
    ngx_uint_t                 had;          /* used, or present now */
    ngx_uint_t                 lost;         /* of these, absent now */
    ngx_uint_t                 holding;      /* held since an earlier read; when
                                                settled, still held */
    ngx_uint_t                 dropped;      /* absent, and gone now */
    ngx_uint_t                 doubtful;     /* present, and not dead yet */
    ngx_uint_t                 used;
    ngx_uint_t                 suspects;     /* of these */
    ngx_uint_t                 changed;      /* what is used */
    int64_t                    due;          /* ms until something may expire;
                                                0: nothing will */
} ngx_mesh_redis_view_t;


void ngx_mesh_redis_view_init(ngx_mesh_redis_view_t *view,
    ngx_msec_t session);
void ngx_mesh_redis_view_clear(ngx_mesh_redis_view_t *view);

/* views that are counted in the same place have so many bytes together at
   most; it has to live as long as they */
void ngx_mesh_redis_view_share(ngx_mesh_redis_view_t *view, size_t *total,
    size_t most);

/*
 * A read: begin, a call for each field, end, which counts what is lost, and
 * settle, which decides.  A read that fails midway does no harm, and what it
 * brought anew is dropped.  NGX_ERROR: there is no memory; NGX_DECLINED: it
 * would be too much.
 */
void ngx_mesh_redis_view_begin(ngx_mesh_redis_view_t *view, int64_t now,
    int64_t clock);
ngx_int_t ngx_mesh_redis_view_field(ngx_mesh_redis_view_t *view,
    ngx_str_t *url, ngx_str_t *value);
void ngx_mesh_redis_view_drop(ngx_mesh_redis_view_t *view);
void ngx_mesh_redis_view_end(ngx_mesh_redis_view_t *view);
void ngx_mesh_redis_view_settle(ngx_mesh_redis_view_t *view, ngx_uint_t hold);

/* NULL: the first; in no order */
ngx_mesh_redis_field_t *ngx_mesh_redis_view_next(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *field);


/*
 * Whether what is lost is kept for a session: providers that live write again
 * until then.  Removing says so ("unregister"), what happens to a server does
 * not.
 */

#define NGX_MESH_REDIS_FRESH      1          /* first read of a connection:
                                                messages may be lost */
#define NGX_MESH_REDIS_DOUBT      2          /* the server may have lost data */

#define NGX_MESH_REDIS_HOLD_LOST  1          /* what is lost now */
#define NGX_MESH_REDIS_HOLD_HELD  2          /* what was lost before */

ngx_uint_t ngx_mesh_redis_view_hold(ngx_mesh_redis_view_t *view,
    ngx_uint_t unregistered, ngx_uint_t flags);

/* a parameter of a URL, which may be encoded as a whole, has this value */
ngx_uint_t ngx_mesh_redis_url_is(ngx_str_t *url, char *name, char *value);

/* of configurators and routers: whether it still holds, by the clock */
ngx_uint_t ngx_mesh_redis_rule_alive(ngx_str_t *url, ngx_str_t *value,
    int64_t clock);


#endif /* _NGX_MESH_REDIS_VIEW_H_INCLUDED_ */
