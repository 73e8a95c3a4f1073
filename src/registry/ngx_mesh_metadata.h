
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_METADATA_H_INCLUDED_
#define _NGX_MESH_METADATA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <cjson/cJSON.h>
#include "ngx_mesh_discovery.h"


/*
 * Private to the room: applications of Dubbo 3.  A registry has one record of
 * each instance of an application; what that offers is told by the revision of
 * its metadata, which one of the instances is asked for by a call.  Revisions
 * are asked for once and kept for all who want to know.
 */


/* somebody who waits for revisions of an application to be known */

typedef struct ngx_mesh_metadata_wait_s  ngx_mesh_metadata_wait_t;

struct ngx_mesh_metadata_wait_s {
    /* set by the owner */
    void                     (*handler)(ngx_mesh_metadata_wait_t *wait);
    void                      *data;

    /* private; all zeroes at first */
    ngx_queue_t                queue;
    unsigned                   waiting:1;
    unsigned                   due:1;
};


/*
 * Adds to "to" an entry for each service of the interface s->sn.str that the
 * instances of the application offer, as if that service itself had been
 * registered in Consul: what ngx_mesh_record_consul() reads.  "entries" is the
 * answer for the application's name, the array, and must live as long as "to".
 *
 * NGX_OK: these are all, of instances that are known; what a new instance
 * offers, or one that has changed, may follow: the handler is called then.
 * NGX_AGAIN: too little is known to say what there is; *reason says why, or is
 * empty if nothing has failed so far.  The handler is called, once and not from
 * inside of this function, when it is worth while to try again with a fresh
 * "to".  NGX_ERROR: no memory.
 *
 * What an operator should know is added to update->unmapped with any of them.
 * Texts are of the pool.
 */
ngx_int_t ngx_mesh_metadata_entries(ngx_mesh_metadata_wait_t *wait,
    ngx_mesh_subscription_t *s, ngx_str_t *app, cJSON *entries, cJSON *to,
    ngx_mesh_update_t *update, ngx_str_t *reason, ngx_pool_t *pool);

/* the handler is not called any more; may be called in any state */
void ngx_mesh_metadata_cancel(ngx_mesh_metadata_wait_t *wait);

/* forgets what is of the source, with all who wait: for stop() of types */
void ngx_mesh_metadata_forget(ngx_mesh_source_t *source);


#endif /* _NGX_MESH_METADATA_H_INCLUDED_ */
