
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_REDIS_SERVER_H_INCLUDED_
#define _NGX_MESH_REDIS_SERVER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_resp.h"


/*
 * Private to the room: who a server of Redis is, and whether it has what the
 * one before had.  Nothing here waits, or knows a connection.
 */


#define NGX_MESH_REDIS_ID  40

#define NGX_MESH_REDIS_ROLE_UNKNOWN   0
#define NGX_MESH_REDIS_ROLE_MASTER    1
#define NGX_MESH_REDIS_ROLE_REPLICA   2
#define NGX_MESH_REDIS_ROLE_SENTINEL  3

typedef struct {
    u_char                     run_id[NGX_MESH_REDIS_ID + 1];
    u_char                     replid[NGX_MESH_REDIS_ID + 1];
    u_char                     replid2[NGX_MESH_REDIS_ID + 1];
    ngx_uint_t                 uptime;       /* s */
    ngx_uint_t                 role;
    unsigned                   known:1;      /* it tells all that */
    unsigned                   synced:1;     /* a replica: with its master */
    unsigned                   evicts:1;     /* any key, when memory is short */
} ngx_mesh_redis_server_t;


/* fills in what a reply to INFO says; its role only if it is not known yet */
void ngx_mesh_redis_server_info(ngx_mesh_redis_server_t *server,
    ngx_str_t *text);

/* the same of a reply to ROLE */
void ngx_mesh_redis_server_role(ngx_mesh_redis_server_t *server,
    ngx_mesh_reply_t *reply);

/* NULL: its data can be believed; or why not */
char *ngx_mesh_redis_server_wrong(ngx_mesh_redis_server_t *server,
    ngx_uint_t master);

/*
 * Whether data may be lost since the one that was known: it is another one, or
 * was restarted, and does not go on from what that one had.  Without one that
 * is known: whether it runs for less than "session" ms.
 */
ngx_uint_t ngx_mesh_redis_server_doubtful(ngx_mesh_redis_server_t *known,
    ngx_mesh_redis_server_t *server, ngx_uint_t first, ngx_msec_t session);

/* ms between two reads of an interface about which messages come, one of
   which took so long */
ngx_msec_t ngx_mesh_redis_server_pause(ngx_msec_t took);


#endif /* _NGX_MESH_REDIS_SERVER_H_INCLUDED_ */
