
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_CONSUL_RULE_H_INCLUDED_
#define _NGX_MESH_CONSUL_RULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>
#include "ngx_mesh_reply.h"


/*
 * Private to the room: what an answer of Consul is worth.  Pure: it knows no
 * connection and no clock.
 */


#define NGX_MESH_CONSUL_UNHELD  ((ngx_uint_t) -1)


/* what was asked, and what is known meanwhile */

typedef struct {
    uint64_t                   index;        /* 0: a plain read */
    ngx_uint_t                 held;         /* entries; UNHELD: nothing is
                                                known of them yet */
    uint64_t                   stale;        /* ms it may lag; 0: not at all */
    unsigned                   token:1;      /* a token was sent */
    unsigned                   moved:1;      /* what is held is of another
                                                address, or was told to another
                                                agent */
} ngx_mesh_consul_asked_t;


/* the answer, as far as it matters */

typedef struct {
    ngx_uint_t                 status;
    uint64_t                   index;        /* 0: none that is a number */
    uint64_t                   lag;          /* ms since it heard its leader */
    ngx_uint_t                 count;        /* entries */
    unsigned                   streaming:1;
    unsigned                   leaderless:1;
    unsigned                   filtered:1;   /* by rights of the token */
    unsigned                   denied:1;     /* what has no token is */
} ngx_mesh_consul_said_t;


#define NGX_MESH_CONSUL_APPLY   0            /* it is what there is */
#define NGX_MESH_CONSUL_PLAIN   1            /* a plain read must say so, too */
#define NGX_MESH_CONSUL_REPEAT  2            /* so must this address, once
                                                more */
#define NGX_MESH_CONSUL_RETRY   3            /* unknown: another try */
#define NGX_MESH_CONSUL_SLOW    4            /* unknown until somebody mends
                                                it: seldom */
#define NGX_MESH_CONSUL_TOKEN   5            /* as slow, unless there is
                                                another token */

/* reads the status and the headers */
void ngx_mesh_consul_said(ngx_mesh_reply_t *reply,
    ngx_mesh_consul_said_t *said);

/* one of the above; with other than APPLY *why is the reason */
ngx_uint_t ngx_mesh_consul_judge(ngx_mesh_consul_asked_t *asked,
    ngx_mesh_consul_said_t *said, char **why);

/*
 * Of an answer of /v1/health/service: the same for the same instances in the
 * same states, in whatever order, and whatever their checks print; never 0.
 */
uint64_t ngx_mesh_consul_hash(cJSON *entries);

uint64_t ngx_mesh_consul_hash_bytes(u_char *p, size_t n);


/*
 * Index churn: an answer costs, more where it brought nothing, time earns.
 * Returns the ms to wait before the next question.
 */

typedef struct {
    int64_t                    credit;       /* ms */
    ngx_msec_t                 time;
} ngx_mesh_consul_bucket_t;

#define NGX_MESH_CONSUL_CREDIT   30000
#define NGX_MESH_CONSUL_SAME     15000
#define NGX_MESH_CONSUL_CHANGED  25

void ngx_mesh_consul_bucket(ngx_mesh_consul_bucket_t *bucket, ngx_msec_t now);
ngx_msec_t ngx_mesh_consul_charge(ngx_mesh_consul_bucket_t *bucket,
    ngx_msec_t now, ngx_msec_t cost);


#endif /* _NGX_MESH_CONSUL_RULE_H_INCLUDED_ */
