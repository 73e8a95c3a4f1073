
/*
 * Copyright (C) nginx-mesh authors
 */


#include "load.h"


/*
 * One thread of the load generator: it owns its connections and checks each
 * answer against the call in the slot that the answer's id names.  Ids start
 * alike on all connections, so that a proxy has to tell them apart, and just
 * below the sign change, so that all of their bytes matter.
 */

#define MB_CLIENT_SLOTS   16
#define MB_CLIENT_BEFORE  0xff
#define MB_CLIENT_FLUSH   65536
#define MB_CLIENT_RETRY   (20 * MB_MSEC)

#define mb_client_timer   ((void *) 1)


mb_load_t  mb_ld;


static void
mb_client_value(mb_worker_t *w, u_char *value)
{
    int       i;
    uint64_t  n;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";

    n = w->sequence++ * mb_ld.threads + w->index;

    for (i = 0; i < MB_VALUE; i++) {
        value[i] = (u_char) digits[n & 63];
        n >>= 6;
    }
}


static void
mb_client_put(mb_client_t *client, mb_template_t *t, uint64_t id,
    u_char *value)
{
    u_char  *p;

    p = mb_conn_reserve(client->conn, t->len);

    memcpy(p, t->data, t->len);
    memcpy(p + t->value, value, MB_VALUE);
    mb_ld.proto->stamp(p, t->len, id);
}


static int
mb_client_call(mb_worker_t *w, mb_client_t *client, uint64_t start)
{
    uint32_t         i;
    mb_load_slot_t  *slot;
    u_char           value[MB_VALUE];

    i = client->free[--client->nfree];
    slot = &client->slots[i];

    slot->busy = 1;
    slot->start = start;
    slot->id = (client->generation++ << MB_CLIENT_SLOTS | i)
               & mb_ld.proto->id_mask;
    mb_client_value(w, slot->value);

    client->issued++;
    w->sent++;
    w->outstanding++;

    mb_client_put(client, &w->request, slot->id, slot->value);

    if (mb_ld.oneway > 0) {
        w->oneway_due += mb_ld.oneway;

        while (w->oneway_due >= 100) {
            w->oneway_due -= 100;
            w->oneway++;
            mb_client_value(w, value);
            mb_client_put(client, &w->oneway_request, slot->id, value);
        }
    }

    if (mb_conn_unsent(client->conn) >= MB_CLIENT_FLUSH) {
        return mb_conn_send(client->conn);
    }

    mb_post(&w->loop, client->conn);

    return MB_OK;
}


static int
mb_client_may(mb_worker_t *w, mb_client_t *client)
{
    if (client->conn == NULL || client->opening || client->nfree == 0
        || w->sent >= w->quota)
    {
        return 0;
    }

    if (mb_ld.idle) {
        return mb_ld.touch && client->issued == 0;
    }

    return w->loop.now < mb_ld.end;
}


static int
mb_client_fill(mb_worker_t *w, mb_client_t *client)
{
    if (mb_ld.rate > 0) {
        return MB_OK;
    }

    while (mb_client_may(w, client)) {
        if (mb_client_call(w, client, w->loop.now) != MB_OK) {
            return MB_ERROR;
        }
    }

    return MB_OK;
}


/*
 * Fixed rate: a call that finds no free slot stays due, and its latency is
 * counted from the moment it was meant to be sent.
 */

static void
mb_client_rate(mb_worker_t *w)
{
    unsigned      i;
    uint64_t      due;
    mb_client_t  *client;

    w->loop.now = mb_now();

    for ( ;; ) {
        due = (uint64_t) w->due;

        if (due > w->loop.now || due >= mb_ld.end || w->sent >= w->quota) {
            break;
        }

        client = NULL;

        /* in turn, so that each connection gets its share of a low rate */

        for (i = 0; i < w->nclients; i++) {
            client = &w->clients[w->cursor++ % w->nclients];

            if (client->conn && !client->opening && client->nfree) {
                break;
            }
        }

        if (i == w->nclients) {
            return;
        }

        w->due += w->interval;

        /* a failed connection is noticed by its event */
        (void) mb_client_call(w, client, due);
    }

    if (due > w->loop.now && due < mb_ld.end) {
        mb_timer_set(w->timer, due);
    }
}


static int
mb_client_deep(mb_worker_t *w, mb_frame_t *f, u_char *value)
{
    size_t          head, room;
    mb_template_t  *t;

    t = &w->answer;
    room = mb_ld.proto->answer_room;

    if (t->len != f->len) {
        free(t->data);
        memset(t, 0, sizeof(mb_template_t));

        if (f->len < room || mb_ld.proto->answer(t, f->len - room) != MB_OK) {
            return MB_ERROR;
        }
    }

    head = mb_ld.proto->header;

    if (f->data + t->value != value
        || memcmp(f->data + head, t->data + head, t->value - head)
        || memcmp(f->data + t->value_end, t->data + t->value_end,
                  t->end - t->value_end))
    {
        return MB_ERROR;
    }

    return MB_OK;
}


static int
mb_client_check(mb_worker_t *w, mb_load_slot_t *slot, mb_frame_t *f)
{
    u_char  *value;

    if (mb_ld.proto->whole && mb_ld.proto->whole(f) != MB_OK) {
        return MB_ERROR;
    }

    w->status[f->status & (MB_STATUSES - 1)]++;

    if (f->status != mb_ld.proto->ok) {
        w->errors++;
        return MB_OK;
    }

    value = mb_ld.proto->result(f);

    if (value == NULL || memcmp(value, slot->value, MB_VALUE) != 0) {
        return MB_ERROR;
    }

    return mb_ld.deep ? mb_client_deep(w, f, value) : MB_OK;
}


static int
mb_client_answer(mb_worker_t *w, mb_client_t *client, mb_frame_t *f)
{
    uint32_t         i;
    mb_load_slot_t  *slot;

    i = (uint32_t) f->id & ((1U << MB_CLIENT_SLOTS) - 1);

    if (i >= mb_ld.depth || !client->slots[i].busy
        || client->slots[i].id != f->id)
    {
        w->wrong++;
        return MB_OK;
    }

    slot = &client->slots[i];

    if (mb_client_check(w, slot, f) != MB_OK) {
        w->wrong++;
    }

    if (slot->start >= mb_ld.begin) {
        mb_hist_add(&w->hist, w->loop.now - slot->start);
    }

    slot->busy = 0;
    client->free[client->nfree++] = i;
    w->outstanding--;

    /* only this thread writes it, so no locked instruction is needed */

    atomic_store_explicit(&w->done,
                          atomic_load_explicit(&w->done,
                                               memory_order_relaxed) + 1,
                          memory_order_relaxed);

    return mb_client_fill(w, client);
}


static int
mb_client_frame(mb_loop_t *loop, mb_conn_t *c, mb_frame_t *f)
{
    size_t        len;
    u_char       *p;
    mb_worker_t  *w;

    w = (mb_worker_t *) loop;

    switch (f->kind) {

    case MB_RESPONSE:
        return mb_client_answer(w, w->current, f);

    case MB_PING:
        w->pings++;
        p = mb_conn_reserve(c, MB_ANSWER_EXTRA);
        len = mb_ld.proto->pong(p, f);
        c->out_len -= MB_ANSWER_EXTRA - len;
        mb_post(loop, c);
        return MB_OK;

    case MB_EVENT:
        w->events++;
        return MB_OK;

    case MB_PONG:
        return MB_OK;

    default:
        w->wrong++;
        return MB_OK;
    }
}


static void
mb_client_reset(mb_client_t *client)
{
    uint32_t  i;

    for (i = 0; i < mb_ld.depth; i++) {
        client->slots[i].busy = 0;
        client->free[i] = mb_ld.depth - 1 - i;
    }

    client->nfree = mb_ld.depth;
}


static void
mb_client_closed(mb_worker_t *w, mb_client_t *client)
{
    w->closed++;
    w->lost += mb_ld.depth - client->nfree;
    w->outstanding -= mb_ld.depth - client->nfree;
    w->down++;

    mb_client_reset(client);

    mb_conn_close(client->conn);
    client->conn = NULL;
}


static int
mb_client_open(mb_worker_t *w, mb_client_t *client, int wait)
{
    int  fd;

    fd = mb_connect(&mb_ld.addr, wait);

    if (fd == -1) {
        return MB_ERROR;
    }

    client->conn = mb_conn_create(fd);

    client->conn->blocked = !wait;
    client->opening = !wait;

    mb_loop_add(&w->loop, fd, EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET, client);

    return MB_OK;
}


static void
mb_client_reopen(mb_worker_t *w)
{
    unsigned      i;
    mb_client_t  *client;

    if (w->loop.now < w->retry || w->loop.now >= mb_ld.end) {
        return;
    }

    w->retry = w->loop.now + MB_CLIENT_RETRY;

    for (i = 0; i < w->nclients && w->down; i++) {
        client = &w->clients[i];

        if (client->conn == NULL && mb_client_open(w, client, 0) == MB_OK) {
            w->down--;
        }
    }
}


static void
mb_client_event(mb_worker_t *w, struct epoll_event *ee)
{
    int           rc;
    mb_client_t  *client;

    if (ee->data.ptr == mb_client_timer) {
        return;
    }

    client = ee->data.ptr;
    w->current = client;
    rc = MB_OK;

    if (ee->events & EPOLLOUT) {
        client->conn->blocked = 0;
    }

    /* calls go to a new connection only once it is one */

    if (client->opening && !(ee->events & (EPOLLHUP|EPOLLERR))) {
        client->opening = 0;
        rc = mb_client_fill(w, client);
    }

    if (rc == MB_OK
        && ee->events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR))
    {
        rc = mb_conn_recv(&w->loop, client->conn, ee->events & EPOLLRDHUP);
    }

    if (rc == MB_OK) {
        rc = mb_conn_send(client->conn);
    }

    if (rc != MB_OK) {
        mb_client_closed(w, client);
    }
}


/* a connection that failed is closed by the event that says so */

static void
mb_client_flush(mb_worker_t *w)
{
    mb_conn_t  *c;

    while ((c = mb_posted(&w->loop)) != NULL) {

        if (c->fd != -1) {
            (void) mb_conn_send(c);
        }

        mb_conn_unref(c);
    }
}


void
mb_worker_init(mb_worker_t *w, unsigned index, unsigned nclients)
{
    unsigned      i;
    mb_client_t  *client;

    mb_loop_init(&w->loop, mb_ld.proto, MB_RECV_SIZE, mb_client_frame);

    w->index = index;
    w->nclients = nclients;
    w->clients = mb_alloc((nclients + 1) * sizeof(mb_client_t));
    w->quota = UINT64_MAX;
    w->timer = mb_timer();

    mb_loop_add(&w->loop, w->timer, EPOLLIN|EPOLLET, mb_client_timer);
    mb_ld.proto->request(&w->request, &mb_ld.call, mb_ld.size, 0);

    if (mb_ld.oneway > 0) {
        mb_ld.proto->request(&w->oneway_request, &mb_ld.call, mb_ld.size, 1);
    }

    for (i = 0; i < nclients; i++) {
        client = &w->clients[i];

        client->slots = mb_alloc(mb_ld.depth * sizeof(mb_load_slot_t));
        client->free = mb_alloc(mb_ld.depth * sizeof(uint32_t));
        client->generation = (mb_ld.proto->id_mask >> 1 >> MB_CLIENT_SLOTS)
                             - MB_CLIENT_BEFORE;
        mb_client_reset(client);

        if (mb_client_open(w, client, 1) != MB_OK) {
            mb_die("cannot connect to %s: %s", mb_addr_text(&mb_ld.addr),
                   strerror(errno));
        }

        /* a crowd must not overflow the listening queue */

        if (i % 64 == 63 && nclients > 512) {
            mb_sleep_until(mb_now() + 3 * MB_MSEC);
        }
    }
}


static int
mb_worker_finished(mb_worker_t *w)
{
    if (w->loop.now >= mb_ld.end + mb_ld.drain) {
        return 1;
    }

    if (w->outstanding || mb_ld.idle) {
        return w->loop.now >= mb_ld.end && !w->outstanding;
    }

    return w->sent >= w->quota || w->loop.now >= mb_ld.end;
}


void *
mb_worker_thread(void *data)
{
    int                  i, n;
    unsigned             k;
    mb_worker_t         *w;
    struct epoll_event   events[MB_EVENTS];

    w = data;
    w->loop.now = mb_now();

    for (k = 0; k < w->nclients; k++) {
        (void) mb_client_fill(w, &w->clients[k]);
    }

    mb_client_flush(w);

    while (!mb_worker_finished(w)) {

        if (mb_ld.rate > 0) {
            mb_client_rate(w);
            mb_client_flush(w);
        }

        n = epoll_wait(w->loop.ep, events, MB_EVENTS, 10);

        if (n == 0) {
            w->loop.now = mb_now();
        }

        for (i = 0; i < n; i++) {
            mb_client_event(w, &events[i]);
        }

        if (w->down) {
            mb_client_reopen(w);
        }

        mb_client_flush(w);
    }

    /* what was not answered within the drain time never will be */
    w->lost += w->outstanding;

    if (mb_ld.rate > 0) {
        while ((uint64_t) w->due < mb_ld.end && w->sent + w->unsent
               < w->quota)
        {
            w->due += w->interval;
            w->unsent++;
        }
    }

    atomic_store(&w->finished, 1);

    return NULL;
}
