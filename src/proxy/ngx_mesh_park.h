
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_PARK_H_INCLUDED_
#define _NGX_MESH_PARK_H_INCLUDED_


#include "ngx_mesh_proxy_int.h"


/* private to ngx_mesh_park*.c: calls that wait for a service */


/* what may take long has to wait for so many times as long as it took last */
#define NGX_MESH_PARK_LOAD  20


/* an interface that calls wait for, or that is to be wanted */

typedef struct {
    ngx_str_node_t            sn;
    ngx_queue_t               all;
    ngx_queue_t               due;         /* its calls are to be tried */
    ngx_queue_t               asking;      /* it is to be wanted */
    ngx_queue_t               calls;
    ngx_uint_t                ncalls;
    ngx_uint_t                todo;        /* calls not tried yet */
    ngx_mesh_store_known_t    known;
    unsigned                  is_due:1;
    unsigned                  is_asking:1;
} ngx_mesh_parking_t;


struct ngx_mesh_parked_s {
    ngx_mesh_request_t        r;
    ngx_mesh_frame_t          frame;
    ngx_mesh_parking_t       *parking;
    size_t                    size;        /* counted */
    size_t                    own;         /* of them allocated here */
    unsigned                  final:1;     /* it is not parked again */
    unsigned                  stays:1;     /* it was */
};


typedef struct {
    ngx_rbtree_t              tree;
    ngx_rbtree_node_t         sentinel;
    ngx_queue_t               all;
    ngx_queue_t               due;
    ngx_queue_t               asking;
    ngx_uint_t                n;
    ngx_uint_t                nasking;
    size_t                    size;

    uint64_t                  seen;        /* revision */
    ngx_uint_t                begins;
    ngx_uint_t                late;        /* the next tick looks, */
    uint64_t                  look;        /* us, but not before */

    uint64_t                  full;        /* no more wanted at this revision */
    ngx_mesh_counter_e        why;
    ngx_uint_t                told;        /* of that, and of too many */
    ngx_uint_t                told_rate;
    ngx_uint_t                tokens;
    uint64_t                  filled;      /* us */
    uint64_t                  after;       /* us, no commit before */

    ngx_event_t               ask;
    ngx_event_t               again;
} ngx_mesh_park_t;


extern ngx_mesh_park_t  ngx_mesh_park;


/* ngx_mesh_park.c */

/* that of an interface, or NULL; get() makes it, NULL: no memory */
ngx_mesh_parking_t *ngx_mesh_park_find(ngx_str_t *interface);
ngx_mesh_parking_t *ngx_mesh_park_get(ngx_str_t *interface);

/* frees it if nobody needs it any more */
void ngx_mesh_park_free(ngx_mesh_parking_t *g);

/* its calls are tried again soon */
void ngx_mesh_park_due(ngx_mesh_parking_t *g);


/* ngx_mesh_park_want.c */

void ngx_mesh_park_want_init(void);

/* has an interface wanted.  NGX_DECLINED: it will not be, which was counted */
ngx_int_t ngx_mesh_park_want(ngx_str_t *interface);

/* wants what is to be wanted, if it is time */
void ngx_mesh_park_want_handler(ngx_event_t *ev);

/* us, really now */
uint64_t ngx_mesh_park_clock(void);


#endif /* _NGX_MESH_PARK_H_INCLUDED_ */
