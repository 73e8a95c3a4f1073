
/*
 * Copyright (C) nginx-mesh authors
 */


#include "conn.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>


#define MB_SAME           ((size_t) -1)
#define MB_TEMPLATES      8

/* a deep pipeline is answered in pieces, so that both ends stay busy */
#define MB_SERVE_FLUSH    65536

#define mb_serve_listener ((void *) 1)
#define mb_serve_timer    ((void *) 2)


typedef struct {
    uint64_t        due;
    mb_conn_t      *conn;
    u_char         *data;
    size_t          len;
} mb_delayed_t;


typedef struct {
    uint64_t        requests;
    uint64_t        oneway;
    uint64_t        pings;
    uint64_t        errors;
    uint64_t        accepted;
    uint64_t        bad;
} mb_serve_stat_t;


typedef struct {
    mb_loop_t       loop;
    pthread_t       tid;
    int             timer;
    uint64_t        armed;
    uint64_t        seed;

    /* a heap, the next due on top */
    mb_delayed_t   *heap;
    size_t          heap_len;
    size_t          heap_size;

    mb_template_t   templates[MB_TEMPLATES];
    unsigned        last_template;

    mb_serve_stat_t stat;
} mb_server_t;


static struct {
    const mb_proto_t  *proto;
    mb_addr_t          addr;
    mb_server_t       *servers;
    unsigned           threads;
    unsigned           next;
    int                listen;
    size_t             size;
    uint64_t           delay;
    uint64_t           jitter;
    double             error_rate;
    unsigned           status;
} mb_srv;


static void
mb_serve_push(mb_server_t *s, mb_delayed_t *d)
{
    size_t  i, up;

    if (s->heap_len == s->heap_size) {
        s->heap_size = s->heap_size ? s->heap_size * 2 : 256;
        s->heap = mb_realloc(s->heap, s->heap_size * sizeof(mb_delayed_t));
    }

    for (i = s->heap_len++; i; i = up) {
        up = (i - 1) / 2;

        if (s->heap[up].due <= d->due) {
            break;
        }

        s->heap[i] = s->heap[up];
    }

    s->heap[i] = *d;
}


static void
mb_serve_pop(mb_server_t *s, mb_delayed_t *d)
{
    size_t         i, down;
    mb_delayed_t  *last;

    *d = s->heap[0];
    last = &s->heap[--s->heap_len];

    for (i = 0; (down = 2 * i + 1) < s->heap_len; i = down) {

        if (down + 1 < s->heap_len
            && s->heap[down + 1].due < s->heap[down].due)
        {
            down++;
        }

        if (last->due <= s->heap[down].due) {
            break;
        }

        s->heap[i] = s->heap[down];
    }

    s->heap[i] = *last;
}


static mb_template_t *
mb_serve_template(mb_server_t *s, size_t body)
{
    size_t          len;
    unsigned        i;
    mb_template_t  *t;

    len = mb_srv.proto->answer_room + body;

    /* a run has one size or a few, a mixed one pays for its templates */

    for (i = 0; i < MB_TEMPLATES; i++) {
        if (s->templates[i].len == len) {
            return &s->templates[i];
        }
    }

    t = &s->templates[s->last_template++ % MB_TEMPLATES];

    free(t->data);
    memset(t, 0, sizeof(mb_template_t));

    return (mb_srv.proto->answer(t, body) == MB_OK) ? t : NULL;
}


static int
mb_serve_chance(mb_server_t *s, double percent)
{
    return percent > 0
           && (double) (mb_random(&s->seed) >> 11) * 0x1p-53 * 100 < percent;
}


/*
 * Returns the answer's length.  The buffer has room for the template, or for
 * the argument, and MB_ANSWER_EXTRA besides.
 */

static size_t
mb_serve_answer(mb_server_t *s, u_char *buf, mb_frame_t *f, mb_arg_t *arg,
    mb_template_t *t)
{
    if (mb_serve_chance(s, mb_srv.error_rate)) {
        s->stat.errors++;
        return mb_srv.proto->error(buf, f, mb_srv.status);
    }

    if (t == NULL) {
        return mb_srv.proto->echo(buf, f, arg);
    }

    memcpy(buf, t->data, t->len);
    memcpy(buf + t->value, arg->value, MB_VALUE);
    mb_srv.proto->stamp(buf, t->len, f->id);

    return t->len;
}


static void
mb_serve_delay(mb_server_t *s, mb_conn_t *c, u_char *data, size_t len)
{
    mb_delayed_t  d;

    d.due = s->loop.now + mb_srv.delay;

    if (mb_srv.jitter) {
        d.due += mb_random(&s->seed) % mb_srv.jitter;
    }

    d.conn = c;
    d.data = data;
    d.len = len;

    c->refs++;

    mb_serve_push(s, &d);
}


static int
mb_serve_request(mb_server_t *s, mb_conn_t *c, mb_frame_t *f)
{
    size_t          max, len, body;
    u_char         *p;
    mb_arg_t        arg, *ap;
    mb_template_t  *t;

    ap = (mb_srv.proto->arg(f, &arg) == MB_OK) ? &arg : NULL;
    t = NULL;

    /* a short argument leaves no place for its identity: it is repeated */

    if (ap && arg.value && mb_srv.size) {
        body = (mb_srv.size == MB_SAME) ? mb_srv.proto->body(f, ap)
                                        : mb_srv.size;
        t = mb_serve_template(s, body);
    }

    max = (t ? t->len : ap ? arg.len : 0) + MB_ANSWER_EXTRA;

    /* made now, because the request's bytes are gone when it is due */

    if (mb_srv.delay || mb_srv.jitter) {
        p = mb_alloc(max);
        len = mb_serve_answer(s, p, f, ap, t);
        mb_serve_delay(s, c, p, len);

        return MB_OK;
    }

    p = mb_conn_reserve(c, max);
    len = mb_serve_answer(s, p, f, ap, t);
    c->out_len -= max - len;

    if (mb_conn_unsent(c) >= MB_SERVE_FLUSH) {
        return mb_conn_send(c);
    }

    return MB_OK;
}


static int
mb_serve_frame(mb_loop_t *loop, mb_conn_t *c, mb_frame_t *f)
{
    u_char       *p;
    size_t        len;
    mb_server_t  *s;

    s = (mb_server_t *) loop;

    if (mb_srv.proto->whole && mb_srv.proto->whole(f) != MB_OK) {
        s->stat.bad++;
        return MB_ERROR;
    }

    switch (f->kind) {

    case MB_REQUEST:
        s->stat.requests++;
        return mb_serve_request(s, c, f);

    case MB_ONEWAY:
        s->stat.oneway++;
        return MB_OK;

    case MB_PING:
        s->stat.pings++;
        p = mb_conn_reserve(c, MB_ANSWER_EXTRA);
        len = mb_srv.proto->pong(p, f);
        c->out_len -= MB_ANSWER_EXTRA - len;
        return MB_OK;

    case MB_PONG:
    case MB_EVENT:
        return MB_OK;

    default:
        s->stat.bad++;
        return MB_ERROR;
    }
}


/* thread 0 accepts, and deals the connections out in turn */

static void
mb_serve_accept(mb_server_t *s)
{
    int         fd;
    mb_conn_t  *c;

    for ( ;; ) {
        fd = accept4(mb_srv.listen, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

        if (fd == -1) {
            return;
        }

        mb_nodelay(fd);
        s->stat.accepted++;

        c = mb_conn_create(fd);

        mb_loop_add(&mb_srv.servers[mb_srv.next++ % mb_srv.threads].loop, fd,
                    EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET, c);
    }
}


static void
mb_serve_due(mb_server_t *s)
{
    mb_conn_t     *c;
    mb_delayed_t   d;

    s->loop.now = mb_now();

    while (s->heap_len && s->heap[0].due <= s->loop.now) {

        mb_serve_pop(s, &d);

        if (d.conn->fd != -1) {
            memcpy(mb_conn_reserve(d.conn, d.len), d.data, d.len);
            mb_post(&s->loop, d.conn);
        }

        free(d.data);
        mb_conn_unref(d.conn);
    }

    while ((c = mb_posted(&s->loop)) != NULL) {

        if (c->fd != -1 && mb_conn_send(c) != MB_OK) {
            mb_conn_close(c);
        }

        mb_conn_unref(c);
    }

    /* the timer is never read: edge-triggered, it reports each expiry once */

    if (s->heap_len && s->heap[0].due != s->armed) {
        s->armed = s->heap[0].due;
        mb_timer_set(s->timer, s->armed);
    }
}


static void
mb_serve_event(mb_server_t *s, struct epoll_event *ee)
{
    int         rc;
    mb_conn_t  *c;

    if (ee->data.ptr == mb_serve_listener) {
        mb_serve_accept(s);
        return;
    }

    if (ee->data.ptr == mb_serve_timer) {
        s->armed = 0;
        return;
    }

    c = ee->data.ptr;
    rc = MB_OK;

    if (ee->events & EPOLLOUT) {
        c->blocked = 0;
    }

    if (ee->events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        rc = mb_conn_recv(&s->loop, c, ee->events & EPOLLRDHUP);
    }

    if (rc != MB_OK || mb_conn_send(c) != MB_OK) {
        mb_conn_close(c);
    }
}


static void *
mb_serve_thread(void *data)
{
    int                  i, n;
    mb_server_t         *s;
    struct epoll_event   events[MB_EVENTS];

    s = data;

    for ( ;; ) {
        n = epoll_wait(s->loop.ep, events, MB_EVENTS, -1);

        for (i = 0; i < n; i++) {
            mb_serve_event(s, &events[i]);
        }

        if (s->heap_len) {
            mb_serve_due(s);
        }
    }

    return NULL;
}


static void
mb_serve_options(int argc, char **argv)
{
    int  c, i;

    static struct option  options[] = {
        { "listen", 1, NULL, 'l' },     { "threads", 1, NULL, 't' },
        { "size", 1, NULL, 's' },       { "delay", 1, NULL, 'd' },
        { "jitter", 1, NULL, 'j' },     { "shuffle", 0, NULL, 'x' },
        { "error-rate", 1, NULL, 'e' }, { "status", 1, NULL, 'S' },
        { "protocol", 1, NULL, 'p' },   { NULL, 0, NULL, 0 }
    };

    mb_srv.proto = mb_proto("dubbo");
    mb_srv.threads = 1;
    mb_srv.size = MB_SAME;
    mb_addr_parse("127.0.0.1:0", &mb_srv.addr);

    while ((c = getopt_long(argc, argv, "", options, &i)) != -1) {

        switch (c) {

        case 'l':
            mb_addr_parse(optarg, &mb_srv.addr);
            break;

        case 't':
            mb_srv.threads = (unsigned) mb_number(optarg, 1, 64);
            break;

        case 's':
            mb_srv.size = strcmp(optarg, "same") ? mb_size(optarg) : MB_SAME;
            break;

        case 'd':
            mb_srv.delay = mb_duration(optarg, MB_MSEC);
            break;

        case 'j':
            mb_srv.jitter = mb_duration(optarg, MB_MSEC);
            break;

        case 'x':
            mb_srv.jitter += 2 * MB_MSEC;
            break;

        case 'e':
            mb_srv.error_rate = mb_number(optarg, 0, 100);
            break;

        case 'S':
            mb_srv.status = (unsigned) mb_number(optarg, 0, 65535);
            break;

        case 'p':
            mb_srv.proto = mb_proto(optarg);
            break;

        default:
            exit(2);
        }
    }

    if (mb_srv.status == 0) {
        mb_srv.status = mb_srv.proto->failed;
    }
}


int
mb_serve(int argc, char **argv)
{
    int               sig;
    sigset_t          set;
    unsigned          i;
    mb_server_t      *s;
    mb_serve_stat_t   sum;

    mb_serve_options(argc, argv);

    /* blocked before the threads start, so that only sigwait() sees them */

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);

    mb_srv.servers = mb_alloc(mb_srv.threads * sizeof(mb_server_t));

    for (i = 0; i < mb_srv.threads; i++) {
        s = &mb_srv.servers[i];

        mb_loop_init(&s->loop, mb_srv.proto, MB_RECV_SIZE, mb_serve_frame);

        s->seed = 88172645463325252ULL + i;
        s->timer = mb_timer();
        mb_loop_add(&s->loop, s->timer, EPOLLIN|EPOLLET, mb_serve_timer);
    }

    mb_srv.listen = mb_listen(&mb_srv.addr);
    mb_loop_add(&mb_srv.servers[0].loop, mb_srv.listen, EPOLLIN,
                mb_serve_listener);

    for (i = 0; i < mb_srv.threads; i++) {
        s = &mb_srv.servers[i];

        if (pthread_create(&s->tid, NULL, mb_serve_thread, s) != 0) {
            mb_die("pthread_create() failed");
        }
    }

    (void) sigwait(&set, &sig);

    memset(&sum, 0, sizeof(mb_serve_stat_t));

    for (i = 0; i < mb_srv.threads; i++) {
        s = &mb_srv.servers[i];

        sum.requests += s->stat.requests;
        sum.oneway += s->stat.oneway;
        sum.pings += s->stat.pings;
        sum.errors += s->stat.errors;
        sum.accepted += s->stat.accepted;
        sum.bad += s->stat.bad;
    }

    printf("{\"requests\":%llu,\"oneway\":%llu,\"heartbeats\":%llu,"
           "\"errors\":%llu,\"connections\":%llu,\"bad\":%llu}\n",
           (unsigned long long) sum.requests,
           (unsigned long long) sum.oneway, (unsigned long long) sum.pings,
           (unsigned long long) sum.errors,
           (unsigned long long) sum.accepted, (unsigned long long) sum.bad);

    return 0;
}
