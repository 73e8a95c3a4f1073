
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_HANDOVER_H_INCLUDED_
#define _NGX_MESH_HANDOVER_H_INCLUDED_


#include "ngx_mesh_proxy_int.h"


/*
 * Sessions of a leaving worker go to a worker that stays.  Each master has a
 * SEQPACKET socket of its own beside the pid file; its workers accept on it.
 * A leaving worker connects to its own master's, if that has newer workers,
 * or to that of another master of the same pid file: the one before or after
 * a binary upgrade.  Whoever accepts says hello; then each message carries a
 * session and its descriptors, and is answered once they are taken.
 *
 * What is not answered when the connection ends was not touched by the other
 * side, so that the session goes on where it was.
 */


#define NGX_MESH_HANDOVER_MAGIC    0x4d484f31   /* "MHO1": also the version */
#define NGX_MESH_HANDOVER_SIZE     NGX_MESH_RECV_SIZE   /* of a message */
#define NGX_MESH_HANDOVER_LINKS    32           /* pinned links of a session */


/* answers of who takes over */

#define NGX_MESH_HANDOVER_TAKEN    1
#define NGX_MESH_HANDOVER_GONE     2            /* no listener to take it */
#define NGX_MESH_HANDOVER_FULL     3            /* no room in this worker */


typedef struct {
    uint32_t                   magic;
    uint32_t                   seq;
    uint32_t                   status;          /* 0: hello */
} ngx_mesh_handover_answer_t;


/* a message: this, and "len" bytes of the strings that it counts */

typedef struct {
    uint32_t                   magic;
    uint32_t                   seq;
    uint32_t                   len;

    uint16_t                   listener;        /* bytes of its sockaddr */
    uint16_t                   codec;           /* bytes of its name */
    uint16_t                   links;           /* records at the end */
    uint8_t                    nhead;           /* bytes of half a header */
    uint8_t                    serial;
    uint8_t                    variant;

    uint64_t                   skip;
    uint64_t                   reverse_id;
    uint64_t                   number;          /* of the connection */
    uint64_t                   start_time;      /* ms, monotonic */
    uint64_t                   received;
    uint64_t                   sent;
    uint64_t                   active;          /* ms, monotonic */
} ngx_mesh_handover_msg_t;


/* a pinned link: this, then the strings */

typedef struct {
    uint16_t                   sockaddr;
    uint16_t                   name;
    uint16_t                   nhead;
    uint8_t                    serial;
    uint8_t                    variant;
} ngx_mesh_handover_link_t;


/* what a received session begins with; it is the buffer of the connection */

typedef struct {
    ngx_buf_t                  buf;
    ngx_mesh_handover_msg_t    msg;
    ngx_str_t                  codec;
    u_char                    *links;           /* records with strings */
    ngx_socket_t              *fds;             /* of the links */
    u_char                     head[NGX_MESH_HEAD_MAX];
} ngx_mesh_handover_t;


/* ngx_mesh_handover_socket.c */

/* the socket that this worker may accept on, -1: none */
ngx_socket_t ngx_mesh_handover_listening(void);

/* it will not accept any more */
void ngx_mesh_handover_unlisten(void);

/* connects to those who may take over; -1: there are none */
ngx_socket_t ngx_mesh_handover_connect(ngx_log_t *log);

/* whether the process at the other end may have connections of ours */
ngx_uint_t ngx_mesh_handover_trusted(ngx_socket_t s, ngx_log_t *log);

/* a message with descriptors; NGX_OK, NGX_AGAIN or NGX_ERROR */
ngx_int_t ngx_mesh_handover_sendmsg(ngx_connection_t *c, void *p, size_t size,
    ngx_socket_t *fds, ngx_uint_t nfds);

/* bytes received, 0 at the end, NGX_AGAIN or NGX_ERROR; *nfds is how many
   descriptors there is room for, more are closed, and then how many came */
ssize_t ngx_mesh_handover_recvmsg(ngx_connection_t *c, void *p, size_t size,
    ngx_socket_t *fds, ngx_uint_t *nfds);

/* takes the connection out of the event method, which closing does not when
   another process has the same socket */
void ngx_mesh_handover_detach(ngx_connection_t *c);
void ngx_mesh_handover_attach(ngx_connection_t *c);

/* totals of this generation of workers; the last one to leave logs them */
void ngx_mesh_handover_total(ngx_uint_t sent, ngx_uint_t kept,
    ngx_uint_t paused);


/* ngx_mesh_handover_receive.c */

/* what the connection was handed over with, or NULL */
ngx_mesh_handover_t *ngx_mesh_handover_state(ngx_connection_t *c);

/* restores a session from it; NGX_DECLINED: its protocol is not served here
   any more */
ngx_int_t ngx_mesh_handover_restore(ngx_mesh_session_t *ms,
    ngx_mesh_handover_t *ho);


/* ngx_mesh_link.c */

/* makes a pinned link of a descriptor and the strings behind its record; the
   descriptor stays the caller's unless NGX_OK */
ngx_int_t ngx_mesh_link_adopt(ngx_mesh_session_t *ms, ngx_socket_t s,
    ngx_mesh_handover_link_t *record, u_char *p);


#endif /* _NGX_MESH_HANDOVER_H_INCLUDED_ */
