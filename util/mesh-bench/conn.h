
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _MB_CONN_H_INCLUDED_
#define _MB_CONN_H_INCLUDED_


#include "mb.h"

#include <sys/epoll.h>


#define MB_RECV_SIZE   (256 * 1024)
#define MB_EVENTS      512


typedef struct mb_conn_s  mb_conn_t;
typedef struct mb_loop_s  mb_loop_t;

typedef int (*mb_frame_pt)(mb_loop_t *loop, mb_conn_t *c, mb_frame_t *f);


struct mb_conn_s {
    int                fd;

    unsigned           blocked:1;
    unsigned           posted:1;

    /* delayed answers and the posted list may outlive the socket */
    unsigned           refs;

    u_char            *in;
    size_t             in_len;
    size_t             in_size;

    u_char            *out;
    size_t             out_pos;
    size_t             out_len;
    size_t             out_size;

    mb_conn_t         *next;
};


/* one per thread; a connection belongs to one loop */

struct mb_loop_s {
    int                ep;
    const mb_proto_t  *proto;
    mb_frame_pt        handler;
    uint64_t           now;

    u_char            *buf;
    size_t             size;

    mb_conn_t         *posted;
};


void mb_loop_init(mb_loop_t *loop, const mb_proto_t *proto, size_t size,
    mb_frame_pt handler);
void mb_loop_add(mb_loop_t *loop, int fd, uint32_t events, void *data);

mb_conn_t *mb_conn_create(int fd);
void mb_conn_close(mb_conn_t *c);
void mb_conn_unref(mb_conn_t *c);

int mb_conn_recv(mb_loop_t *loop, mb_conn_t *c, int drain);
u_char *mb_conn_reserve(mb_conn_t *c, size_t size);
int mb_conn_send(mb_conn_t *c);

void mb_post(mb_loop_t *loop, mb_conn_t *c);
mb_conn_t *mb_posted(mb_loop_t *loop);


#define mb_conn_unsent(c)  ((c)->out_len - (c)->out_pos)


#endif /* _MB_CONN_H_INCLUDED_ */
