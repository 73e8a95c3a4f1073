
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_GUARD_H_INCLUDED_
#define _NGX_MESH_GUARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Private to the room: which of the endpoints that a registry takes away are
 * kept for now.  It only computes.
 */


/* an endpoint that the table has, the answer, or both */

typedef struct {
    ngx_uint_t                 service;      /* those of one stand together */
    ngx_msec_t                 since;        /* of a suspect: it is missed */
    unsigned                   serves:1;     /* it gets calls now */
    unsigned                   said:1;       /* the answer has it, not down; on
                                                purpose, as drained, it may be
                                                without calls */
    unsigned                   suspect:1;    /* an earlier answer missed it */
    unsigned                   exempt:1;     /* somebody wants it to go */

    unsigned                   held:1;       /* found out: it is kept */
} ngx_mesh_guard_entry_t;


typedef struct {
    ngx_uint_t                 percent;      /* 100 or more: off */
    ngx_uint_t                 min;
    ngx_msec_t                 hold;

    ngx_msec_t                 now;
    unsigned                   independent:1;
    unsigned                   forced:1;

    /* found out */
    ngx_uint_t                 held;         /* endpoints */
    ngx_uint_t                 had;          /* that serve, of services that
                                                are held */
    ngx_msec_t                 again;        /* ms until an answer may make a
                                                difference */
} ngx_mesh_guard_t;


/* sets "held" of each entry, and "since" of those that are */
void ngx_mesh_guard(ngx_mesh_guard_t *guard, ngx_mesh_guard_entry_t *entries,
    ngx_uint_t n);


#endif /* _NGX_MESH_GUARD_H_INCLUDED_ */
