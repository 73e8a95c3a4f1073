
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _RECONCILE_H_INCLUDED_
#define _RECONCILE_H_INCLUDED_


#include "unit.h"
#include "ngx_mesh_reconcile.h"
#include "ngx_mesh_registry_int.h"


/* stub.c: nginx, and the rest of the room */

extern ngx_mesh_store_t   stub_store;
extern ngx_int_t          stub_leads;
extern ngx_mesh_subscription_t  *stub_found; /* it is there */
extern ngx_uint_t         stub_logged;       /* lines */
extern void             (*stub_before)(void);  /* each commit */
extern ngx_uint_t         stub_counts[3];
extern int64_t            stub_shares[3];

void stub_init(size_t size);
void stub_pass(ngx_msec_t ms);               /* time */
void stub_expire(void);                      /* timers are due, and handled */


/* fleet.c: registries and a table, as words */

extern ngx_msec_t         again;
extern ngx_mesh_update_t  update;            /* what set() starts from */
extern ngx_uint_t         short_of;          /* the allocation that fails in the
                                                next set(), then whether it
                                                did */

/* the n-th registry, "r0" or "r1", and its subscription to "a.B" */
ngx_mesh_subscription_t *subscription(ngx_uint_t n);

/* this process dies and another one goes on */
void restart(void);

/*
 * An answer: "[group/][:version ]" is written before the endpoints it is for,
 * as "1 2 3 g/:1.0 4"; an endpoint is the last number of its address, "~"
 * behind it: down, "=": it is drained.
 */
ngx_int_t set(ngx_uint_t n, const char *records);
ngx_int_t same(ngx_uint_t n);
ngx_int_t unknown(ngx_uint_t n, const char *reason);

/*
 * The table: services as "name(owner)", then their endpoints as above, with
 * the number of the registry before them, "r0.1", and "?" behind suspects.
 */
const char *table(void);

ngx_mesh_answer_t *answer(ngx_uint_t n);

/* an op of somebody else */
ngx_uint_t other_service(const char *name, ngx_str_t *owner,
    const char *registries);
ngx_uint_t other_endpoint(const char *name, const char *number,
    ngx_str_t *owner);

/* what was done by tests so far is gone */
void fresh(void);


/* guard.c */

void test_guard(void);


#endif /* _RECONCILE_H_INCLUDED_ */
