
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_ITEM_H_INCLUDED_
#define _NGX_MESH_ITEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_store.h"
#include "ngx_mesh_table.h"


/*
 * What the table consists of, as items of the store: for those who write it.
 * A value is the same bytes on every machine of an endianness, and begins
 * with the version of its layout; it outlives the process in journals.
 */


/* types of items */

#define NGX_MESH_ITEM_SERVICE      1
#define NGX_MESH_ITEM_ENDPOINT     2
#define NGX_MESH_ITEM_OVERRIDE     3
#define NGX_MESH_ITEM_ROUTE        4

/* these are nobody's but ours: no journal of the operator's has them */
#define NGX_MESH_ITEM_WANT         5
#define NGX_MESH_ITEM_ANSWER       6


/*
 * Keys: the parts with a NUL between them, so that what belongs together
 * stands together.
 *
 *     service    interface version group
 *     endpoint   interface version group id owner
 *     override   interface version group id
 *     route      name
 *     want       interface                 (a caller asked for it)
 *     answer     interface registry        (what the registry said of it)
 */


/* what an operator laid on an endpoint, until it expires */

typedef struct {
    ngx_uint_t                weight;
    uint64_t                  until;         /* ms since 1970, 0: for good */
    ngx_str_t                 by;
    ngx_str_t                 reason;
    unsigned                  weighted:1;    /* the weight counts */
    unsigned                  drain:1;       /* no new requests */
    unsigned                  disabled:1;
} ngx_mesh_override_t;


/* what a registry said of an interface, but for the endpoints */

typedef struct {
    uint64_t                  time;          /* ms since 1970, of the state */
    ngx_uint_t                found;         /* endpoints it has */
    uint64_t                  held;          /* since when the guard holds, ms
                                                since 1970; 0: it does not */
    ngx_uint_t                suspects;
    ngx_str_t                 reason;        /* why it is held or unknown */
    ngx_str_t                 unmapped;      /* what cannot be used, and the
                                                remedy; or empty */
    ngx_str_t                 unsupported;
    unsigned                  known:1;       /* there was a good answer */
    unsigned                  unknown:1;     /* but the last one was none */
} ngx_mesh_answer_t;


/* the owners that are no registries */

extern ngx_str_t  ngx_mesh_owner_config;
extern ngx_str_t  ngx_mesh_owner_api;


/*
 * Key of a service, of an endpoint of it (id and owner not NULL) or of an
 * override (owner NULL), in memory of the pool; with both NULL and "inside"
 * set, what all keys of things inside the service begin with.
 */
ngx_int_t ngx_mesh_item_key(ngx_str_t *key, ngx_mesh_service_t *service,
    ngx_str_t *id, ngx_str_t *owner, ngx_uint_t inside, ngx_pool_t *pool);

/*
 * Takes an endpoint's or override's key apart: "service" is the key of the
 * service it belongs to, "owner" is empty for an override.  NGX_DECLINED: it
 * is no such key.
 */
ngx_int_t ngx_mesh_item_split(ngx_str_t *key, ngx_str_t *service,
    ngx_str_t *id, ngx_str_t *owner);

/*
 * The name [group/]interface[:version] of the service that a key of one, or
 * of what is inside of it, begins with; in memory of the pool.
 */
ngx_int_t ngx_mesh_item_service_key_name(ngx_str_t *key, ngx_str_t *name,
    ngx_pool_t *pool);

/* bytes of a value, which "write" writes all of */
size_t ngx_mesh_item_service_size(ngx_mesh_service_t *service);
void ngx_mesh_item_service_write(u_char *p, ngx_mesh_service_t *service);

size_t ngx_mesh_item_endpoint_size(ngx_mesh_endpoint_t *ep);
void ngx_mesh_item_endpoint_write(u_char *p, ngx_mesh_endpoint_t *ep);

size_t ngx_mesh_item_override_size(ngx_mesh_override_t *ov);
void ngx_mesh_item_override_write(u_char *p, ngx_mesh_override_t *ov);

/*
 * Fill a structure in from an item, whose bytes its strings point into.
 * NGX_DECLINED: this is no such item; NGX_ERROR: no memory.  A service gets
 * no endpoints.
 */
ngx_int_t ngx_mesh_item_service_read(ngx_mesh_store_item_t *item,
    ngx_mesh_service_t *service);
ngx_int_t ngx_mesh_item_endpoint_read(ngx_mesh_store_item_t *item,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);
ngx_int_t ngx_mesh_item_override_read(ngx_mesh_store_item_t *item,
    ngx_mesh_override_t *ov);

/* the address of an endpoint's name, in memory of the pool; NGX_DECLINED: it
   is neither ADDRESS:PORT nor unix:PATH */
ngx_int_t ngx_mesh_item_address(ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);

/* the store of the table in force, to read and to write; NULL: this process
   has none */
ngx_mesh_store_t *ngx_mesh_live(void);

/* called in the process that changed the table, for others to be woken up;
   NULL: there is nobody to do it */
extern void  (*ngx_mesh_live_changed)(void);

/* called each second in which a process waits for the lock of the table, with
   who has it and may have been stopped; NULL: there is nobody to do it */
extern void  (*ngx_mesh_live_held)(ngx_pid_t owner);

/* of two owners' words on one endpoint, whether this is the one that counts */
ngx_uint_t ngx_mesh_live_better(ngx_mesh_endpoint_t *ep,
    ngx_mesh_endpoint_t *than);

/* ngx_mesh_store_commit() on the table in force, and ngx_mesh_live_changed */
ngx_uint_t ngx_mesh_live_commit(ngx_mesh_store_op_t *ops, ngx_uint_t n,
    uint64_t expect, ngx_uint_t dry, ngx_mesh_store_result_t *result,
    ngx_log_t *log);

/* removes overrides that have come to their end: for one process, each second;
   it costs nothing while nothing has changed and none ends */
void ngx_mesh_expire(void);

/* the op that puts a value there, its bytes from the pool */
ngx_int_t ngx_mesh_item_put_service(ngx_mesh_store_op_t *op,
    ngx_mesh_service_t *service, ngx_pool_t *pool);

/* the same of a service that is another owner's from now on; for a registry
   nothing is left of what was said of it before */
ngx_int_t ngx_mesh_item_leave_service(ngx_mesh_store_op_t *op,
    ngx_mesh_store_item_t *item, ngx_str_t *owner, ngx_pool_t *pool);

ngx_int_t ngx_mesh_item_put_endpoint(ngx_mesh_store_op_t *op,
    ngx_mesh_service_t *service, ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);
ngx_int_t ngx_mesh_item_put_override(ngx_mesh_store_op_t *op,
    ngx_mesh_service_t *service, ngx_str_t *id, ngx_mesh_override_t *ov,
    ngx_pool_t *pool);


/* ngx_mesh_item_found.c: wants and answers */

/* registry NULL: the key of a want */
ngx_int_t ngx_mesh_item_found_key(ngx_str_t *key, ngx_str_t *interface,
    ngx_str_t *registry, ngx_pool_t *pool);

ngx_int_t ngx_mesh_item_put_want(ngx_mesh_store_op_t *op,
    ngx_str_t *interface, ngx_pool_t *pool);
ngx_int_t ngx_mesh_item_put_answer(ngx_mesh_store_op_t *op,
    ngx_str_t *interface, ngx_str_t *registry, ngx_mesh_answer_t *answer,
    ngx_pool_t *pool);

/* the strings point into the item's bytes; NGX_DECLINED: it is none */
ngx_int_t ngx_mesh_item_answer_read(ngx_mesh_store_item_t *item,
    ngx_str_t *interface, ngx_str_t *registry, ngx_mesh_answer_t *answer);


/* ngx_mesh_live_rules.c */

/* the op that puts a route there, under its name */
ngx_int_t ngx_mesh_item_put_route(ngx_mesh_store_op_t *op,
    ngx_mesh_rule_t *rule, ngx_pool_t *pool);

/*
 * Fills a rule in from an item, whose bytes its strings point into.  Its
 * order is what the configuration says, or the revision of its creation.
 * NGX_DECLINED: this is no route; NGX_ERROR: no memory.
 */
ngx_int_t ngx_mesh_item_route_read(ngx_mesh_store_item_t *item,
    ngx_mesh_rule_t *rule, ngx_pool_t *pool);


#endif /* _NGX_MESH_ITEM_H_INCLUDED_ */
