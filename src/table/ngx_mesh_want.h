
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_WANT_H_INCLUDED_
#define _NGX_MESH_WANT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_item.h"


/*
 * What workers and the agent say to each other of interfaces: who is asked
 * for, what has been answered, and which are in use.
 */


/* a registry as workers see it */

typedef struct {
    ngx_str_t                name;
    ngx_uint_t               max_services;
    unsigned                 lazy:1;         /* asked at the first call */
    unsigned                 all:1;          /* brings all that it has */
} ngx_mesh_want_source_t;

/* the registries of this process's configuration, in memory that stays */
void ngx_mesh_want_sources(ngx_mesh_want_source_t *sources, ngx_uint_t n);

/* whether there are any */
ngx_uint_t ngx_mesh_want_possible(void);

/* whether a registry that brings all it has may not have named everything yet;
   NULL: nobody knows, it has */
extern ngx_uint_t  (*ngx_mesh_want_starting)(ngx_str_t *source);

/* whether any registry is so */
ngx_uint_t ngx_mesh_want_begins(void);


/* what may still be heard of an interface */

#define NGX_MESH_WANT_SETTLED    0           /* nothing: who could have it has
                                                answered */
#define NGX_MESH_WANT_PENDING    1           /* an answer is on its way */
#define NGX_MESH_WANT_UNASKED    2           /* one would be, if wanted */
#define NGX_MESH_WANT_STARTING   3           /* as long as _begins() says so */

/* takes the lock of the table */
ngx_uint_t ngx_mesh_want_state(ngx_str_t *interface);

/*
 * Wants interfaces, the first *n of them that max_services leaves room for;
 * *n is set to how many that were.  What a commit returns; SAME with *n 0:
 * there was room for none.
 */
ngx_uint_t ngx_mesh_want_commit(ngx_str_t *interfaces, ngx_uint_t *n,
    ngx_pool_t *pool, ngx_log_t *log);

/*
 * What of the table a caller's wait for an interface depends on, to be
 * compared.  Takes the lock of the table.
 */
void ngx_mesh_want_look(ngx_str_t *interface, ngx_mesh_store_known_t *known);


/*
 * Which interfaces are in use: a stamp for each, written by workers once a
 * second at most, shared by those of the same hash.
 */

#define NGX_MESH_USED_STAMPS  8192
#define NGX_MESH_USED_SIZE    (NGX_MESH_USED_STAMPS * sizeof(uint32_t))

/* makes them in a fresh zone */
ngx_int_t ngx_mesh_used_init_zone(ngx_slab_pool_t *shpool, void **region);

/* those of the table in force */
void ngx_mesh_used_open(void *region);

/* the interface is called just now; no lock, no system call */
void ngx_mesh_live_used(ngx_str_t *interface);

#define NGX_MESH_USED_NEVER  ((ngx_uint_t) -1)

/* seconds since it was, NEVER: not since the zone is there */
ngx_uint_t ngx_mesh_live_unused(ngx_str_t *interface);


#endif /* _NGX_MESH_WANT_H_INCLUDED_ */
