
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_FETCH_H_INCLUDED_
#define _NGX_MESH_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh_net.h"
#include "ngx_mesh_reply.h"


/*
 * Private to the room: one request of HTTP/1.1 at a time over a connection of
 * its own, which is kept for the next one.
 */


typedef struct ngx_mesh_fetch_s  ngx_mesh_fetch_t;

struct ngx_mesh_fetch_s {
    /* set by the owner */
    void                      *data;
    ngx_mesh_source_t         *source;
    ngx_mesh_source_addr_t    *addr;         /* may be changed between
                                                requests */
    ngx_msec_t                 connect_timeout;
    ngx_msec_t                 read_timeout; /* of an answer from its first to
                                                its last byte */
    size_t                     max;          /* of a body, inflated */
    size_t                    *total;        /* of bodies of several, or NULL */
    size_t                     most;         /* that it may be */

    /*
     * Either a complete answer of any status, or (reply is NULL) why there is
     * none.  Both are valid during the call; the owner may send the next one
     * or free the fetch from inside of it.
     */
    void                     (*done)(ngx_mesh_fetch_t *fetch,
                                     ngx_mesh_reply_t *reply,
                                     ngx_str_t *error);

    /* with an error: it answered, but nothing of HTTP that we can take, or
       (crowded) nothing that we have room for now */
    ngx_uint_t                 garbled;
    ngx_uint_t                 crowded;

    /* private */
    ngx_mesh_net_t             net;
    ngx_mesh_reply_t           reply;
    ngx_str_t                  request;      /* of the heap, while it may have
                                                to be sent again */
    ngx_event_t                timer;
    unsigned                   busy:1;
    unsigned                   reused:1;     /* by this request */
    unsigned                   open:1;       /* there is a connection */
};


/*
 * Headers are complete lines, CRLF included, or empty; a body needs no length
 * among them.  timeout: ms until the first byte of the answer, connecting
 * included.  NGX_ERROR: no memory, done() is not called.  A request that is
 * under way is dropped.
 */
ngx_int_t ngx_mesh_fetch_send(ngx_mesh_fetch_t *fetch, char *method,
    ngx_str_t *uri, ngx_str_t *headers, ngx_str_t *body, ngx_msec_t timeout);

/* drops the request, and the connection; done() is not called */
void ngx_mesh_fetch_close(ngx_mesh_fetch_t *fetch);


#endif /* _NGX_MESH_FETCH_H_INCLUDED_ */
