
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_API_WATCH_H_INCLUDED_
#define _NGX_MESH_API_WATCH_H_INCLUDED_


#include "ngx_mesh_api_route.h"


/* who waits for changes: a poll, which ends with the first, or a stream */

typedef struct {
    ngx_queue_t              queue;
    ngx_mesh_api_call_t     *call;
    uint64_t                 since;          /* seen up to this revision */
    ngx_msec_t               wait;
    ngx_msec_t               until;
    ngx_uint_t               type;           /* 0: all */
    ngx_str_t                service;        /* key; data NULL: all */
    ngx_uint_t               n;              /* items told */

    /* of a walk through many changes: up to which revision, 0: there is none;
       where it is */
    uint64_t                 target;
    ngx_uint_t               at;             /* type */
    ngx_str_t                after;          /* key; empty: the first */
    size_t                   room;           /* for that */

    ngx_chain_t             *busy;           /* of a stream: not yet sent */
    unsigned                 stream:1;
    unsigned                 started:1;      /* its header was sent */
    unsigned                 behind:1;       /* of what the others have seen */
    unsigned                 ended:1;
} ngx_mesh_api_watch_t;


/* changes that are told at once: there may be many clients, and each has to
   read first what there is */
#define NGX_MESH_API_WATCH_PAGE  256


/* ngx_mesh_api_watch.c */

/* what has changed after a revision, and at which one that was */
ngx_int_t ngx_mesh_api_watch_list(ngx_mesh_store_t *store, uint64_t since,
    ngx_array_t *items, uint64_t *revision, ngx_pool_t *pool);

/* 410, in the call; always NGX_DECLINED but without memory */
ngx_int_t ngx_mesh_api_watch_old(ngx_mesh_api_call_t *call, uint64_t floor);

/* to and from those that wait; soon: has all looked at in this turn, next: in
   the following one */
void ngx_mesh_api_watch_add(ngx_mesh_api_watch_t *watch);
void ngx_mesh_api_watch_remove(ngx_mesh_api_watch_t *watch);
void ngx_mesh_api_watch_soon(void);
void ngx_mesh_api_watch_next(void);


/* ngx_mesh_api_changes.c */

#define NGX_MESH_API_WATCH_TYPES  4

/* names of types of items, from 1 on */
extern ngx_str_t  ngx_mesh_api_changes_types[];

/* whether a change is what somebody watches */
ngx_uint_t ngx_mesh_api_changes_wants(ngx_mesh_api_watch_t *watch,
    ngx_mesh_store_item_t *item);

/* as JSON those of a list, up to a revision */
ngx_int_t ngx_mesh_api_changes(ngx_mesh_api_watch_t *watch,
    ngx_array_t *items, uint64_t upto);

/* the same for the next part of a walk, which begins when its target is set;
   NGX_AGAIN: there are more */
ngx_int_t ngx_mesh_api_changes_walk(ngx_mesh_api_watch_t *watch);


/* ngx_mesh_api_stream.c */

/* lines of changes into the call's JSON; NGX_AGAIN: there are none */
ngx_int_t ngx_mesh_api_stream_items(ngx_mesh_api_watch_t *watch,
    ngx_array_t *items, uint64_t revision, uint64_t floor);

/* the line that says up to which revision all was told */
void ngx_mesh_api_stream_bookmark(ngx_mesh_api_watch_t *watch);

/* sends what is to be said; "end": and that is all.  The request may be gone
   then, with its watch */
void ngx_mesh_api_stream_run(ngx_mesh_api_watch_t *watch, ngx_uint_t end);


#endif /* _NGX_MESH_API_WATCH_H_INCLUDED_ */
