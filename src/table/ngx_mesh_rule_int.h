
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RULE_INT_H_INCLUDED_
#define _NGX_MESH_RULE_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule.h"


/* what the files about rules share; private to the room */


/* facts; those below CALLER are known with a call's names */

#define NGX_MESH_FACT_LISTENER    0
#define NGX_MESH_FACT_PROTOCOL    1
#define NGX_MESH_FACT_SERVICE     2
#define NGX_MESH_FACT_INTERFACE   3
#define NGX_MESH_FACT_VERSION     4
#define NGX_MESH_FACT_GROUP       5
#define NGX_MESH_FACT_METHOD      6
#define NGX_MESH_FACT_CALLER      7
#define NGX_MESH_FACT_APP         8
#define NGX_MESH_FACT_ATTACHMENT  9
#define NGX_MESH_FACT_UNKNOWN     10

#define NGX_MESH_FACTS                                                       \
    "protocol, service, interface, method, version, group, caller, app, "    \
    "listener or attachment.NAME"


/* steps an expression may take on one text */

#define NGX_MESH_RULE_LIMIT  "(*LIMIT_MATCH=10000)"


ngx_uint_t ngx_mesh_rule_fact(ngx_str_t *name);

/* the compiled expression; NULL: *err, a buffer of that length, says why */
void *ngx_mesh_rule_compile(ngx_mesh_pattern_t *p, ngx_pool_t *pool,
    ngx_str_t *err);


#endif /* _NGX_MESH_RULE_INT_H_INCLUDED_ */
