
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RECONCILE_H_INCLUDED_
#define _NGX_MESH_RECONCILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_item.h"
#include "ngx_mesh_discovery.h"
#include "ngx_mesh_guard.h"


/* shared by the files ngx_mesh_reconcile*.c alone */


/* an endpoint that is held; a clock of its own for each */

typedef struct {
    ngx_str_t                  key;          /* of its item */
    ngx_str_t                  value;        /* what the registry says of it;
                                                empty: that it is gone */
    ngx_msec_t                 since;
} ngx_mesh_suspect_t;


/* s->guard: what is remembered between answers */

typedef struct {
    ngx_mesh_subscription_t   *subscription;
    ngx_pool_t                *pool;         /* of the suspects; or NULL */
    ngx_mesh_suspect_t        *suspects;     /* in the order of their keys */
    ngx_uint_t                 nsuspects;
    ngx_msec_t                 paused;       /* the clocks stand since then */
    ngx_event_t                retry;
    ngx_msec_t                 delay;        /* before the last retry */
    ngx_uint_t                 full;         /* the zone, for its answer */
    unsigned                   stopped:1;    /* the clocks stand */
    unsigned                   unsettled:1;  /* the answer may have to be
                                                written though nothing came */

    /* its share of the source's status */
    uint64_t                   found;
    uint64_t                   held;
    uint64_t                   unmapped;
} ngx_mesh_reconcile_state_t;


/* an endpoint as an answer wants it */

typedef struct {
    ngx_mesh_store_op_t        op;
    ngx_uint_t                 said;         /* it is not down */
} ngx_mesh_plan_want_t;


/* one endpoint of the table, of the answer, or of both */

typedef struct {
    ngx_mesh_store_item_t     *item;         /* NULL: it is new */
    ngx_mesh_plan_want_t      *want;         /* NULL: the answer misses it */
    ngx_str_t                  service;      /* key */
    unsigned                   same:1;       /* the answer is what it was */
} ngx_mesh_plan_entry_t;


/* what makes of the table what an answer says, at one revision of it */

typedef struct {
    ngx_pool_t                *pool;
    ngx_str_t                  owner;
    ngx_array_t                services;     /* ngx_mesh_store_item_t, each */
    ngx_array_t                endpoints;
    ngx_array_t                answers;
    uint64_t                   revision;

    ngx_array_t                entries;      /* ngx_mesh_plan_entry_t */
    ngx_mesh_guard_entry_t    *guarded;      /* for each entry */
    ngx_array_t                ops;          /* ngx_mesh_store_op_t */
} ngx_mesh_plan_t;


/* ngx_mesh_reconcile_plan.c: nothing there waits, or commits */

/* reads what the table has of an interface, and the registry's answer, or
   (both NULL) all there is */
ngx_int_t ngx_mesh_plan_read(ngx_mesh_plan_t *plan, ngx_mesh_store_t *store,
    ngx_str_t *interface, ngx_str_t *registry);

/*
 * Records as an array of ngx_mesh_plan_want_t, in the order of their keys and
 * each key once; such that no key can be made of are left out and counted.
 */
ngx_int_t ngx_mesh_plan_wants(ngx_mesh_subscription_t *s,
    ngx_array_t *records, ngx_pool_t *pool, ngx_array_t *wants,
    ngx_uint_t *left_out);

/*
 * Pairs what the owner has with what it wants; wants NULL: the answer is what
 * it was.  "since" is for suspects that the state does not know.
 */
ngx_int_t ngx_mesh_plan_pair(ngx_mesh_plan_t *plan, ngx_array_t *wants,
    ngx_mesh_reconcile_state_t *state, ngx_msec_t since);

/* the ops for the owner's endpoints, by the verdict of the guard */
ngx_int_t ngx_mesh_plan_endpoints(ngx_mesh_plan_t *plan);

/* after those for endpoints: the ops for services that are brought, or whose
   owner, as "gone" tells, may have nothing there any more */
ngx_int_t ngx_mesh_plan_services(ngx_mesh_plan_t *plan,
    ngx_uint_t (*gone)(void *data, ngx_str_t *owner), void *data);

/* the op that removes an item, which counts as removed in this plan */
ngx_int_t ngx_mesh_plan_remove(ngx_mesh_plan_t *plan,
    ngx_mesh_store_item_t *item);


/*
 * ngx_mesh_reconcile.c: NGX_MESH_STORE_*, what is wrong was logged, once until
 * all fits; "full" is whose answer did not.
 */
ngx_uint_t ngx_mesh_reconcile_commit(ngx_mesh_plan_t *plan, ngx_uint_t *full);
void ngx_mesh_reconcile_fits(ngx_uint_t *full);


/*
 * ngx_mesh_reconcile_gone.c: what a subscription brought goes, at once or, of
 * many, soon.
 */
ngx_int_t ngx_mesh_reconcile_gone(ngx_mesh_subscription_t *s);


#endif /* _NGX_MESH_RECONCILE_H_INCLUDED_ */
