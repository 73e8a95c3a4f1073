
/*
 * Copyright (C) nginx-mesh authors
 */


#include "conn.h"

#include <getopt.h>
#include <unistd.h>


/*
 * The floor to compare a proxy with: one thread, one upstream connection,
 * ids rewritten through a slot table, one write per connection and turn.
 * Nothing behind a header is looked at, and nobody is protected from anyone.
 */

#define MB_BARE_BUFFER    65536
#define MB_BARE_FLUSH     20000
#define MB_SLOT_BITS      20
#define MB_SLOTS          (1U << MB_SLOT_BITS)

#define mb_bare_listener  ((void *) 1)


typedef struct {
    mb_conn_t   *conn;
    uint64_t     id;
    uint64_t     upstream_id;
    uint32_t     next;
} mb_slot_t;


static struct {
    mb_loop_t    loop;
    mb_conn_t   *upstream;
    mb_slot_t   *slots;
    uint32_t     free_first;
    uint32_t     free_last;
    uint64_t     generation;
    int          listen;
} mb_mux;


static int
mb_bare_append(mb_conn_t *c, mb_frame_t *f, uint64_t id)
{
    u_char  *p;

    p = mb_conn_reserve(c, f->len);
    memcpy(p, f->data, f->len);
    mb_mux.loop.proto->set_id(p, f->len, id);

    if (mb_conn_unsent(c) >= MB_BARE_FLUSH) {
        return mb_conn_send(c);
    }

    mb_post(&mb_mux.loop, c);

    return MB_OK;
}


static int
mb_bare_request(mb_conn_t *c, mb_frame_t *f)
{
    uint32_t    i;
    mb_slot_t  *slot;

    if (f->kind == MB_ONEWAY) {
        return mb_bare_append(mb_mux.upstream, f, f->id);
    }

    i = mb_mux.free_first;

    if (i == mb_mux.free_last) {
        mb_die("more than %u calls in flight", MB_SLOTS - 1);
    }

    slot = &mb_mux.slots[i];
    mb_mux.free_first = slot->next;

    slot->conn = c;
    slot->id = f->id;
    slot->upstream_id = (++mb_mux.generation << MB_SLOT_BITS | i)
                        & mb_mux.loop.proto->id_mask;
    c->refs++;

    if (mb_bare_append(mb_mux.upstream, f, slot->upstream_id) != MB_OK) {
        mb_die("upstream connection failed");
    }

    return MB_OK;
}


static void
mb_bare_response(mb_frame_t *f)
{
    uint32_t    i;
    mb_conn_t  *c;
    mb_slot_t  *slot;

    i = (uint32_t) f->id & (MB_SLOTS - 1);
    slot = &mb_mux.slots[i];

    /* late and duplicate answers meet another generation */

    if (slot->conn == NULL || slot->upstream_id != f->id) {
        return;
    }

    c = slot->conn;
    slot->conn = NULL;

    /* first in, first out: a slot rests as long as it can */

    mb_mux.slots[mb_mux.free_last].next = i;
    mb_mux.free_last = i;

    if (c->fd != -1 && mb_bare_append(c, f, slot->id) != MB_OK) {
        mb_conn_close(c);
    }

    mb_conn_unref(c);
}


static int
mb_bare_frame(mb_loop_t *loop, mb_conn_t *c, mb_frame_t *f)
{
    u_char  *p;
    size_t   len;

    if (f->kind == MB_PING) {
        p = mb_conn_reserve(c, MB_ANSWER_EXTRA);
        len = loop->proto->pong(p, f);
        c->out_len -= MB_ANSWER_EXTRA - len;
        mb_post(loop, c);

        return MB_OK;
    }

    if (c == mb_mux.upstream) {

        if (f->kind == MB_RESPONSE) {
            mb_bare_response(f);
        }

        return MB_OK;
    }

    if (f->kind == MB_REQUEST || f->kind == MB_ONEWAY) {
        return mb_bare_request(c, f);
    }

    return MB_OK;
}


static void
mb_bare_accept(void)
{
    int  fd;

    for ( ;; ) {
        fd = accept4(mb_mux.listen, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

        if (fd == -1) {
            return;
        }

        mb_nodelay(fd);
        mb_loop_add(&mb_mux.loop, fd, EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET,
                    mb_conn_create(fd));
    }
}


static void
mb_bare_closed(mb_conn_t *c)
{
    if (c == mb_mux.upstream) {
        mb_die("upstream connection closed");
    }

    mb_conn_close(c);
}


static void
mb_bare_event(struct epoll_event *ee)
{
    int         rc;
    mb_conn_t  *c;

    if (ee->data.ptr == mb_bare_listener) {
        mb_bare_accept();
        return;
    }

    c = ee->data.ptr;

    /* an answer of this turn may have found it dead already */

    if (c->fd == -1) {
        return;
    }

    rc = MB_OK;

    if (ee->events & EPOLLOUT) {
        c->blocked = 0;

        if (mb_conn_unsent(c)) {
            mb_post(&mb_mux.loop, c);
        }
    }

    if (ee->events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        rc = mb_conn_recv(&mb_mux.loop, c, ee->events & EPOLLRDHUP);
    }

    if (rc != MB_OK && c->fd != -1) {
        mb_bare_closed(c);
    }
}


static void
mb_bare_run(void)
{
    int                  i, n;
    mb_conn_t           *c;
    struct epoll_event   events[MB_EVENTS];

    for ( ;; ) {
        n = epoll_wait(mb_mux.loop.ep, events, MB_EVENTS, -1);

        /* none of this turn's connections may be freed before its event */

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (events[i].data.ptr != mb_bare_listener) {
                c->refs++;
            }
        }

        for (i = 0; i < n; i++) {
            mb_bare_event(&events[i]);
        }

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr != mb_bare_listener) {
                mb_conn_unref(events[i].data.ptr);
            }
        }

        while ((c = mb_posted(&mb_mux.loop)) != NULL) {

            if (c->fd != -1 && mb_conn_send(c) != MB_OK) {
                mb_bare_closed(c);
            }

            mb_conn_unref(c);
        }
    }
}


int
mb_bare(int argc, char **argv)
{
    int                c, i, fd, upstream;
    uint32_t           n;
    mb_addr_t          listen, addr;
    const mb_proto_t  *proto;

    static struct option  options[] = {
        { "listen", 1, NULL, 'l' }, { "upstream", 1, NULL, 'u' },
        { "protocol", 1, NULL, 'p' }, { NULL, 0, NULL, 0 }
    };

    upstream = 0;
    proto = mb_proto("dubbo");
    mb_addr_parse("127.0.0.1:0", &listen);

    while ((c = getopt_long(argc, argv, "", options, &i)) != -1) {

        switch (c) {

        case 'l':
            mb_addr_parse(optarg, &listen);
            break;

        case 'u':
            mb_addr_parse(optarg, &addr);
            upstream = 1;
            break;

        case 'p':
            proto = mb_proto(optarg);
            break;

        default:
            return 2;
        }
    }

    if (!upstream) {
        mb_die("--upstream is missing");
    }

    mb_loop_init(&mb_mux.loop, proto, MB_BARE_BUFFER, mb_bare_frame);

    mb_mux.slots = mb_alloc(MB_SLOTS * sizeof(mb_slot_t));

    for (n = 0; n < MB_SLOTS; n++) {
        mb_mux.slots[n].next = n + 1;
    }

    mb_mux.free_last = MB_SLOTS - 1;

    fd = mb_connect(&addr, 1);

    if (fd == -1) {
        mb_die("cannot connect to %s: %s", mb_addr_text(&addr),
               strerror(errno));
    }

    mb_mux.upstream = mb_conn_create(fd);
    mb_loop_add(&mb_mux.loop, fd, EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET,
                mb_mux.upstream);

    mb_mux.listen = mb_listen(&listen);
    mb_loop_add(&mb_mux.loop, mb_mux.listen, EPOLLIN, mb_bare_listener);

    mb_bare_run();

    return 0;
}
