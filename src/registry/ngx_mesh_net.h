
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_NET_H_INCLUDED_
#define _NGX_MESH_NET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include "ngx_mesh_discovery.h"


/*
 * Private to the room: one connection of the agent's to a server, plain, TLS
 * or of a unix socket, by nginx's events.  Its owner hears of what happens by
 * callbacks, never from inside of a call of the functions here.
 */


#define NGX_MESH_NET_TEXT  200               /* a reason, its zero included */


typedef struct ngx_mesh_net_s  ngx_mesh_net_t;

struct ngx_mesh_net_s {
    /* set by the owner */
    void                      *data;
    ngx_mesh_source_t         *source;       /* TLS settings, log */
    ngx_mesh_source_addr_t    *addr;         /* must live as long */
    ngx_msec_t                 connect_timeout;   /* TLS included */

    /* connected, TLS included */
    void                     (*connected)(ngx_mesh_net_t *net);

    /*
     * Bytes came, which are valid during the call; may come before
     * connected(), a server may refuse at once.  The owner may close or free
     * the net from inside of it.
     */
    void                     (*received)(ngx_mesh_net_t *net, u_char *p,
                                         size_t n);

    /*
     * It is closed: by the peer (reason NULL: cleanly), by an error or a
     * timeout, which the reason says; not after ngx_mesh_net_close().  The
     * owner may connect or free it from inside of it.
     */
    void                     (*closed)(ngx_mesh_net_t *net, char *reason);

    /* private */
    ngx_connection_t          *connection;
    ngx_pool_t                *pool;
    ngx_log_t                  log;
    ngx_peer_connection_t      peer;
    ngx_str_t                  name;         /* of the certificate */
    ngx_chain_t               *out;          /* not sent yet */
    ngx_chain_t              **last;
    ngx_uint_t                *gone;         /* where a callback is told */
    ngx_event_t                fail;         /* posted: closed() is due */
    u_char                     text[NGX_MESH_NET_TEXT];
    unsigned                   ready:1;
};


/* begins; a failure, even an immediate one, comes as closed() later.  NGX_ERROR
   only without memory */
ngx_int_t ngx_mesh_net_connect(ngx_mesh_net_t *net);

/* queues a copy; before it is connected, too */
ngx_int_t ngx_mesh_net_send(ngx_mesh_net_t *net, u_char *p, size_t n);

/* nothing is called any more; it may be connected again.  A net that is all
   zeroes is closed already */
void ngx_mesh_net_close(ngx_mesh_net_t *net);


#endif /* _NGX_MESH_NET_H_INCLUDED_ */
