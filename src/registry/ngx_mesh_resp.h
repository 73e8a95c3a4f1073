
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RESP_H_INCLUDED_
#define _NGX_MESH_RESP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <hiredis/hiredis.h>
#include "ngx_mesh_net.h"


/*
 * Private to the room: Redis' protocol, version 2, over a connection of the
 * agent's: commands in a pipeline, replies in their order, messages apart.
 */


/* what a server may make us keep of one reply; it is no reply beyond that */
#define NGX_MESH_RESP_BYTES     (64 * 1024 * 1024)
#define NGX_MESH_RESP_ELEMENTS  (1024 * 1024)

#define NGX_MESH_RESP_TEXT      200


typedef struct ngx_mesh_resp_s   ngx_mesh_resp_t;
typedef struct ngx_mesh_reply_s  ngx_mesh_reply_t;

struct ngx_mesh_reply_s {
    ngx_uint_t                 type;         /* REDIS_REPLY_* */
    ngx_str_t                  str;          /* string, status, error; a NUL is
                                                behind it */
    int64_t                    integer;
    ngx_mesh_reply_t         **elements;     /* array */
    ngx_uint_t                 nelements;
};


/*
 * The reply belongs to the connection, and is valid during the call.  NULL: it
 * will not come, closed() follows.  May send, and close the connection.
 */
typedef void (*ngx_mesh_resp_handler_pt)(void *data, ngx_mesh_reply_t *reply);

struct ngx_mesh_resp_s {
    /* set by the owner */
    void                      *data;
    ngx_mesh_source_t         *source;
    ngx_mesh_source_addr_t    *addr;         /* must live as long */
    ngx_msec_t                 timeout;      /* to connect, and of silence
                                                while a reply is due */
    ngx_msec_t                 patience;     /* for one reply as a whole */

    void                     (*push)(ngx_mesh_resp_t *resp, ngx_str_t *channel,
                                     ngx_str_t *message);   /* or NULL */

    /* by the server or an error; not after ngx_mesh_resp_close(); it may be
       connected again from inside of it */
    void                     (*closed)(ngx_mesh_resp_t *resp,
                                       ngx_str_t *reason);

    /* private */
    ngx_mesh_net_t             net;
    redisReader               *reader;       /* NULL: not connected */
    ngx_pool_t                *pool;         /* of the reply that comes */
    size_t                     bytes;        /* of it */
    ngx_uint_t                 elements;
    ngx_queue_t                pending;
    ngx_uint_t                 generation;
    ngx_event_t                timer;
    ngx_msec_t                 heard;        /* the last byte */
    ngx_msec_t                 answered;     /* the last reply */
};


/* begins; commands may be sent at once.  A failure comes as closed() later,
   NGX_ERROR: there is no memory */
ngx_int_t ngx_mesh_resp_connect(ngx_mesh_resp_t *resp);

/*
 * A command that has so many replies (a SUBSCRIBE has one for each channel,
 * unless it is an error), for each of which the handler is called.  After
 * NGX_ERROR (no memory, or not connected) it is not.
 */
ngx_int_t ngx_mesh_resp_send(ngx_mesh_resp_t *resp, ngx_str_t *args,
    ngx_uint_t n, ngx_uint_t replies, ngx_mesh_resp_handler_pt handler,
    void *data);

/* handlers with this data are not called any more */
void ngx_mesh_resp_detach(ngx_mesh_resp_t *resp, void *data);

/* no handler is called any more.  One that is all zeroes is closed already */
void ngx_mesh_resp_close(ngx_mesh_resp_t *resp);


/* what an error asks for, by its first word */

#define NGX_MESH_RESP_OTHER      0
#define NGX_MESH_RESP_CONFIG     1           /* somebody has to change it */
#define NGX_MESH_RESP_TRANSIENT  2           /* later it may be well */
#define NGX_MESH_RESP_CLUSTER    3           /* a node of Redis Cluster */

ngx_uint_t ngx_mesh_resp_class(ngx_str_t *error);

/* whether the first word of an error is this */
ngx_uint_t ngx_mesh_resp_is(ngx_mesh_reply_t *reply, char *word);


#endif /* _NGX_MESH_RESP_H_INCLUDED_ */
