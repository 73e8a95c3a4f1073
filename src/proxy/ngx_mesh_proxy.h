
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_PROXY_H_INCLUDED_
#define _NGX_MESH_PROXY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh_codec.h"
#include "ngx_mesh_table.h"


/*
 * The room "proxy": sessions, requests, links, balancers, health.  It knows
 * nginx's connections but neither stream nor http; what owns a session comes
 * with it as function pointers.
 */


typedef struct ngx_mesh_session_s  ngx_mesh_session_t;
typedef struct ngx_mesh_call_s     ngx_mesh_call_t;


#define NGX_MESH_DEADLINE_OFF      0
#define NGX_MESH_DEADLINE_AUTO     1
#define NGX_MESH_DEADLINE_ALWAYS   2

#define NGX_MESH_NEXT_OFF          0x01
#define NGX_MESH_NEXT_ERROR        0x02
#define NGX_MESH_NEXT_TIMEOUT      0x04


/*
 * How links are made.  Servers with equal values share their links, see
 * ngx_mesh_link_conf_share().
 */

typedef struct {
    ngx_msec_t                 connect_timeout;
    ngx_msec_t                 heartbeat;      /* 0: none are sent */
    size_t                     link_buffer;    /* unsent bytes of a link */
    size_t                     max_frame;      /* of an answer */
    size_t                     buffer_size;    /* larger frames are passed by
                                                  reference */
    ngx_uint_t                 links;          /* per endpoint */
    ngx_flag_t                 multiplex;

#if (NGX_SSL)
    ngx_ssl_t                 *ssl;            /* NULL: plain */
    ngx_str_t                  ssl_name;       /* empty: endpoint's host */
    ngx_flag_t                 ssl_server_name;
    ngx_flag_t                 ssl_verify;
    ngx_flag_t                 ssl_session_reuse;
#endif
} ngx_mesh_link_conf_t;


typedef struct {
    ngx_str_t                  service;        /* may end or begin with "*" */
    ngx_str_t                  method;
} ngx_mesh_idempotent_t;


typedef struct {
    /*
     * The protocols that clients may speak, the first bytes decide; known
     * only when all of the configuration is parsed.  NULL: not ours.
     */
    ngx_array_t               *codecs;         /* const ngx_mesh_codec_t * */

    ngx_msec_t                 timeout;        /* of a call */
    ngx_msec_t                 discovery_timeout; /* of it, for a service that
                                                  is being looked for; 0:
                                                  no call waits */
    ngx_msec_t                 header_timeout; /* for the rest of a frame */
    ngx_msec_t                 client_timeout; /* idle connection */
    ngx_uint_t                 deadline;       /* NGX_MESH_DEADLINE_* */

    size_t                     max_frame;
    size_t                     buffer_size;
    size_t                     client_buffer;  /* unread answers of a client */
    ngx_uint_t                 max_requests;   /* in flight per session */

    ngx_uint_t                 next_upstream;  /* NGX_MESH_NEXT_* */
    ngx_uint_t                 tries;
    ngx_uint_t                 budget;         /* percent */
    ngx_array_t               *idempotent;     /* ngx_mesh_idempotent_t */

    ngx_flag_t                 handover;
    ngx_msec_t                 handover_timeout;

    ngx_str_t                  default_service;
    ngx_str_t                  listener;       /* name for logs */

    ngx_mesh_link_conf_t      *link;

    /*
     * Attachments that finished calls must still know (for logs); each entry
     * is a name.  NULL or empty: none are kept.
     */
    ngx_array_t               *attachments;    /* ngx_str_t */

    /* called once for every call that ended; NULL: nobody listens */
    void                     (*log)(ngx_mesh_session_t *ms,
                                    ngx_mesh_call_t *call);
} ngx_mesh_proxy_conf_t;


/*
 * One ended call as its listener sees it; everything belongs to the proxy and
 * lives during the callback only.
 */

struct ngx_mesh_call_s {
    const ngx_mesh_codec_t    *codec;
    uint64_t                   id;             /* the caller's */
    ngx_str_t                  service;        /* key, as routed by */
    ngx_str_t                  interface;
    ngx_str_t                  method;
    ngx_str_t                  version;
    ngx_str_t                  group;
    ngx_str_t                 *attachments;    /* in the order of the conf's
                                                  array; data NULL: absent */
    ngx_str_t                  app;            /* calling application */
    ngx_str_t                  upstream_addr;  /* last tried, may be empty */
    ngx_str_t                  route;
    uint64_t                   revision;
    ngx_uint_t                 status;         /* of the answer */
    ngx_uint_t                 error;          /* NGX_MESH_ERR_* */
    ngx_uint_t                 result;         /* NGX_MESH_RESULT_* */
    ngx_uint_t                 tries;
    uint64_t                   time;           /* microseconds */
    size_t                     request_length;
    size_t                     response_length;
    unsigned                   answered:1;     /* there is a status */
};


/*
 * Starts a session on an accepted connection (TLS is done, c->buffer may hold
 * bytes already read).  The session is allocated from c->pool.  From here on
 * the proxy owns the connection's handlers and ends in one call of
 * finalize(data, rc): rc is NGX_OK, NGX_ERROR, NGX_ABORT (bad bytes) or
 * NGX_DONE (another process goes on with the client: nothing ended that would
 * have to be logged); finalize closes the connection.  "received" counts
 * bytes, may not be NULL.
 */
void ngx_mesh_session_start(ngx_connection_t *c, ngx_mesh_proxy_conf_t *conf,
    off_t *received, void *data, void (*finalize)(void *data, ngx_int_t rc));

/* what was given as "data" at the start */
void *ngx_mesh_session_data(ngx_mesh_session_t *ms);

/*
 * Returns a configuration equal to lc that was shared before, or lc itself
 * after adding it to the array of pointers.
 */
ngx_mesh_link_conf_t *ngx_mesh_link_conf_share(ngx_array_t *shared,
    ngx_mesh_link_conf_t *lc);

/* parses a balancer's arguments into the service; NULL or what is wrong */
char *ngx_mesh_balancer_parse(ngx_array_t *args, ngx_mesh_service_t *service);


/* whether the connection was taken over from another worker; c->start_time
   and c->number are what they were there */
ngx_uint_t ngx_mesh_handover_received(ngx_connection_t *c);

/* whether a session can go on in the middle on connections of this listener,
   "codec" is empty unless it is known; installed by who knows listeners */
extern ngx_uint_t  (*ngx_mesh_handover_fits)(ngx_listening_t *ls,
    ngx_str_t *codec);


/* lifecycle of the master, called by the core module */

void ngx_mesh_handover_init_module(ngx_cycle_t *cycle);
void ngx_mesh_handover_exit_master(ngx_cycle_t *cycle);

/* lifecycle of a worker, called by the core module */

ngx_int_t ngx_mesh_proxy_init_process(ngx_cycle_t *cycle);

/* the table may have changed */
void ngx_mesh_proxy_woken(void *data);
void ngx_mesh_proxy_exit_process(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_PROXY_H_INCLUDED_ */
