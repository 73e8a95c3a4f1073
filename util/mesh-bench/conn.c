
/*
 * Copyright (C) nginx-mesh authors
 */


#include "conn.h"

#include <unistd.h>


void
mb_loop_init(mb_loop_t *loop, const mb_proto_t *proto, size_t size,
    mb_frame_pt handler)
{
    loop->ep = epoll_create1(EPOLL_CLOEXEC);

    if (loop->ep == -1) {
        mb_die("epoll_create1() failed: %s", strerror(errno));
    }

    loop->proto = proto;
    loop->handler = handler;
    loop->size = size;
    loop->buf = mb_alloc(size);
    loop->posted = NULL;
    loop->now = mb_now();
}


void
mb_loop_add(mb_loop_t *loop, int fd, uint32_t events, void *data)
{
    struct epoll_event  ee;

    memset(&ee, 0, sizeof(struct epoll_event));

    ee.events = events;
    ee.data.ptr = data;

    if (epoll_ctl(loop->ep, EPOLL_CTL_ADD, fd, &ee) == -1) {
        mb_die("epoll_ctl() failed: %s", strerror(errno));
    }
}


mb_conn_t *
mb_conn_create(int fd)
{
    mb_conn_t  *c;

    c = mb_alloc(sizeof(mb_conn_t));

    c->fd = fd;
    c->refs = 1;

    return c;
}


void
mb_conn_close(mb_conn_t *c)
{
    (void) close(c->fd);

    c->fd = -1;
    c->blocked = 0;
    c->in_len = 0;
    c->out_pos = 0;
    c->out_len = 0;

    mb_conn_unref(c);
}


void
mb_conn_unref(mb_conn_t *c)
{
    if (--c->refs) {
        return;
    }

    free(c->in);
    free(c->out);
    free(c);
}


static int
mb_conn_frames(mb_loop_t *loop, mb_conn_t *c, size_t len)
{
    size_t       need;
    u_char      *p, *last;
    mb_frame_t   f;

    need = 0;
    p = loop->buf;
    last = p + len;

    while ((size_t) (last - p) >= loop->proto->header) {

        if (loop->proto->parse(p, (size_t) (last - p), &f) != MB_OK) {
            return MB_ERROR;
        }

        if (f.len > (size_t) (last - p)) {
            need = f.len;
            break;
        }

        f.data = p;

        if (loop->handler(loop, c, &f) != MB_OK) {
            return MB_ERROR;
        }

        p += f.len;
    }

    c->in_len = (size_t) (last - p);

    if (c->in_len) {

        if (c->in_len > c->in_size) {
            c->in_size = c->in_len;
            c->in = mb_realloc(c->in, c->in_size);
        }

        memcpy(c->in, p, c->in_len);
    }

    /* the largest frame has to fit, with room to read ahead */

    if (need * 2 > loop->size) {
        loop->size = need * 2;
        loop->buf = mb_realloc(loop->buf, loop->size);
    }

    return MB_OK;
}


/*
 * Edge-triggered: a read that does not fill the buffer has emptied the
 * socket, so the read that would only say EAGAIN is saved, unless the peer's
 * FIN is already known to be behind the data.
 */

int
mb_conn_recv(mb_loop_t *loop, mb_conn_t *c, int drain)
{
    size_t   have, room;
    ssize_t  n;

    for ( ;; ) {
        have = c->in_len;
        room = loop->size - have;

        if (have) {
            memcpy(loop->buf, c->in, have);
        }

        n = recv(c->fd, loop->buf + have, room, 0);

        if (n == 0) {
            return MB_ERROR;
        }

        if (n == -1) {

            if (errno == EINTR) {
                continue;
            }

            return (errno == EAGAIN) ? MB_OK : MB_ERROR;
        }

        loop->now = mb_now();

        if (mb_conn_frames(loop, c, have + (size_t) n) != MB_OK) {
            return MB_ERROR;
        }

        if ((size_t) n < room && !drain) {
            return MB_OK;
        }
    }
}


u_char *
mb_conn_reserve(mb_conn_t *c, size_t size)
{
    size_t   used;
    u_char  *p;

    if (c->out_len + size > c->out_size) {

        used = c->out_len - c->out_pos;

        if (c->out_pos) {
            memmove(c->out, c->out + c->out_pos, used);
            c->out_pos = 0;
            c->out_len = used;
        }

        if (used + size > c->out_size) {
            c->out_size = (used + size) * 2;
            c->out = mb_realloc(c->out, c->out_size);
        }
    }

    p = c->out + c->out_len;
    c->out_len += size;

    return p;
}


int
mb_conn_send(mb_conn_t *c)
{
    size_t   size;
    ssize_t  n;

    if (c->blocked) {
        return MB_OK;
    }

    while (c->out_pos < c->out_len) {

        size = c->out_len - c->out_pos;

        n = send(c->fd, c->out + c->out_pos, size, MSG_NOSIGNAL);

        if (n == -1) {

            if (errno == EINTR) {
                continue;
            }

            if (errno != EAGAIN) {
                return MB_ERROR;
            }

            c->blocked = 1;
            return MB_OK;
        }

        c->out_pos += (size_t) n;

        if ((size_t) n < size) {
            c->blocked = 1;
            return MB_OK;
        }
    }

    c->out_pos = 0;
    c->out_len = 0;

    return MB_OK;
}


void
mb_post(mb_loop_t *loop, mb_conn_t *c)
{
    if (c->posted) {
        return;
    }

    c->posted = 1;
    c->refs++;

    c->next = loop->posted;
    loop->posted = c;
}


/* the caller sends, and gives the reference back */

mb_conn_t *
mb_posted(mb_loop_t *loop)
{
    mb_conn_t  *c;

    c = loop->posted;

    if (c) {
        loop->posted = c->next;
        c->posted = 0;
    }

    return c;
}
