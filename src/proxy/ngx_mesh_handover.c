
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_handover.h"


/* the leaving side */


#define NGX_MESH_HANDOVER_CHANNELS  8
#define NGX_MESH_HANDOVER_WINDOW    64     /* unanswered messages of each */
#define NGX_MESH_HANDOVER_TICK      50     /* ms */
#define NGX_MESH_HANDOVER_HELLO     20     /* ticks to wait for it */
#define NGX_MESH_HANDOVER_PATIENCE  10000  /* ms without any hello */
#define NGX_MESH_HANDOVER_PAUSE     1000   /* ms after being turned away */


typedef struct {
    ngx_connection_t          *connection;    /* NULL: none */
    ngx_queue_t                sent;          /* sessions, unanswered */
    ngx_uint_t                 nsent;
    uint32_t                   seq;           /* of the next one */
    uint32_t                   answered;
    ngx_uint_t                 waited;        /* for hello, ticks */
    ngx_msec_t                 after;         /* not opened before */
    unsigned                   ready:1;       /* hello came */
    unsigned                   full:1;        /* until an answer comes */
    unsigned                   closing:1;
} ngx_mesh_channel_t;


typedef struct {
    ngx_mesh_channel_t         channels[NGX_MESH_HANDOVER_CHANNELS];
    ngx_uint_t                 turn;
    ngx_queue_t                leaving;       /* sessions not sent yet */
    ngx_msec_t                 begun;
    ngx_event_t                tick;
    ngx_connection_t           dummy;

    ngx_uint_t                 sent;
    ngx_uint_t                 kept;
    ngx_uint_t                 paused;

    unsigned                   started:1;
} ngx_mesh_leaving_t;


static ngx_int_t ngx_mesh_handover_start(void);
static ngx_uint_t ngx_mesh_handover_open_channels(void);
static ngx_int_t ngx_mesh_handover_open_channel(ngx_mesh_channel_t *ch);
static void ngx_mesh_handover_close_channel(ngx_mesh_channel_t *ch);
static void ngx_mesh_handover_channel_handler(ngx_event_t *rev);
static ngx_int_t ngx_mesh_handover_answers(ngx_mesh_channel_t *ch);
static void ngx_mesh_handover_answer(ngx_mesh_channel_t *ch,
    ngx_mesh_handover_answer_t *answer);
static void ngx_mesh_handover_dummy_handler(ngx_event_t *ev);
static void ngx_mesh_handover_tick_handler(ngx_event_t *ev);
static void ngx_mesh_handover_overdue(ngx_mesh_session_t *ms);
static void ngx_mesh_handover_unhalt(ngx_mesh_session_t *ms);
static void ngx_mesh_handover_next(void);
static ngx_mesh_channel_t *ngx_mesh_handover_pick(void);
static ngx_uint_t ngx_mesh_handover_quiet(ngx_mesh_session_t *ms);
static ngx_int_t ngx_mesh_handover_portable(ngx_mesh_session_t *ms);
static size_t ngx_mesh_handover_pack(ngx_mesh_session_t *ms, uint32_t seq,
    ngx_socket_t *fds, ngx_uint_t *nfds);
static size_t ngx_mesh_handover_pack_link(ngx_mesh_link_t *link, u_char *p,
    u_char *last);
static void ngx_mesh_handover_hang(ngx_mesh_session_t *ms);
static void ngx_mesh_handover_take_back(ngx_mesh_session_t *ms);


static ngx_mesh_leaving_t  ngx_mesh_leaving;


/*
 * The worker leaves.  NGX_OK: the session will be handed over as soon as
 * nothing of it is in flight, and is served until then; NGX_DECLINED: it has
 * to end here.
 */

ngx_int_t
ngx_mesh_handover_leave(ngx_mesh_session_t *ms)
{
    ngx_connection_t      *c;
    ngx_mesh_link_conf_t  *lc;

    c = ms->connection;
    lc = ms->conf->link;

    /* TLS has state in this process, and the header of the PROXY protocol
       would be waited for again */

    if (!ms->conf->handover || c->proxy_protocol) {
        return NGX_DECLINED;
    }

#if (NGX_SSL)
    if (c->ssl || (lc->ssl && !lc->multiplex)) {
        return NGX_DECLINED;
    }
#endif

    if (ngx_mesh_handover_start() != NGX_OK) {
        return NGX_DECLINED;
    }

    ms->leaving = 1;
    ngx_queue_insert_tail(&ngx_mesh_leaving.leaving, &ms->leave);

    (void) ngx_mesh_handover_try(ms);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_handover_start(void)
{
    ngx_uint_t           i;
    ngx_mesh_leaving_t  *l;

    l = &ngx_mesh_leaving;

    if (l->started) {
        return l->tick.timer_set ? NGX_OK : NGX_DECLINED;
    }

    l->started = 1;
    l->begun = ngx_current_msec;
    ngx_queue_init(&l->leaving);

    for (i = 0; i < NGX_MESH_HANDOVER_CHANNELS; i++) {
        l->channels[i].after = ngx_current_msec;
        ngx_queue_init(&l->channels[i].sent);
    }

    l->dummy.fd = (ngx_socket_t) -1;
    l->tick.handler = ngx_mesh_handover_tick_handler;
    l->tick.data = &l->dummy;
    l->tick.log = ngx_cycle->log;

    if (ngx_mesh_handover_open_channels() == 0) {
        return NGX_DECLINED;
    }

    /* not cancelable: it keeps the worker until its sessions are gone */

    ngx_add_timer(&l->tick, NGX_MESH_HANDOVER_TICK);

    return NGX_OK;
}


/* several, so that several workers take over: who accepts first has it */

static ngx_uint_t
ngx_mesh_handover_open_channels(void)
{
    ngx_uint_t           i, n;
    ngx_core_conf_t     *ccf;
    ngx_mesh_channel_t  *ch;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    n = ngx_min((ngx_uint_t) ccf->worker_processes,
                NGX_MESH_HANDOVER_CHANNELS);

    for (i = 0; i < n; i++) {
        ch = &ngx_mesh_leaving.channels[i];

        if (ch->connection
            || (ngx_msec_int_t) (ch->after - ngx_current_msec) > 0)
        {
            continue;
        }

        if (ngx_mesh_handover_open_channel(ch) != NGX_OK) {
            break;
        }
    }

    return i;
}


static ngx_int_t
ngx_mesh_handover_open_channel(ngx_mesh_channel_t *ch)
{
    ngx_socket_t       s;
    ngx_connection_t  *c;

    s = ngx_mesh_handover_connect(ngx_cycle->log);
    if (s == (ngx_socket_t) -1) {
        return NGX_DECLINED;
    }

    c = ngx_get_connection(s, ngx_cycle->log);
    if (c == NULL) {
        (void) ngx_close_socket(s);
        return NGX_ERROR;
    }

    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->data = ch;
    c->read->handler = ngx_mesh_handover_channel_handler;
    c->write->handler = ngx_mesh_handover_dummy_handler;

    ch->connection = c;
    ch->nsent = 0;
    ch->seq = 0;
    ch->answered = 0;
    ch->waited = 0;
    ch->ready = 0;
    ch->full = 0;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_mesh_handover_close_channel(ch);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * What was not answered was not touched, and is served here again.  Once the
 * socket is shut the other side can say no more that it took something; what
 * it said before counts, even behind an error.
 */

static void
ngx_mesh_handover_close_channel(ngx_mesh_channel_t *ch)
{
    ngx_queue_t         *q;
    ngx_connection_t    *c;
    ngx_mesh_session_t  *ms;

    c = ch->connection;

    if (ch->closing) {
        return;
    }

    if (!ch->ready) {

        /* whoever turned us away will do so again */

        ch->after = ngx_current_msec + NGX_MESH_HANDOVER_PAUSE;
    }

    ch->closing = 1;

    (void) ngx_shutdown_socket(c->fd, SHUT_RDWR);

    if (ngx_mesh_handover_answers(ch) == NGX_ERROR) {

        /* the error of the socket, behind which the answers are */

        (void) ngx_mesh_handover_answers(ch);
    }

    ch->connection = NULL;
    ch->ready = 0;
    ch->closing = 0;

    ngx_close_connection(c);

    while (!ngx_queue_empty(&ch->sent)) {
        q = ngx_queue_head(&ch->sent);
        ngx_queue_remove(q);

        ms = ngx_queue_data(q, ngx_mesh_session_t, leave);
        ngx_queue_insert_tail(&ngx_mesh_leaving.leaving, q);
        ngx_mesh_handover_take_back(ms);
    }

    ch->nsent = 0;
}


static void
ngx_mesh_handover_dummy_handler(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0, "mesh handover dummy");
}


static void
ngx_mesh_handover_channel_handler(ngx_event_t *rev)
{
    ngx_connection_t    *c;
    ngx_mesh_channel_t  *ch;

    c = rev->data;
    ch = c->data;

    /* "close" is the end of worker_shutdown_timeout */

    if (c->close
        || ngx_mesh_handover_answers(ch) != NGX_AGAIN
        || ngx_handle_read_event(rev, 0) != NGX_OK)
    {
        ngx_mesh_handover_close_channel(ch);
        return;
    }

    ngx_mesh_handover_next();
}


/* NGX_AGAIN: there will be more; NGX_DONE: there will not; NGX_ERROR */

static ngx_int_t
ngx_mesh_handover_answers(ngx_mesh_channel_t *ch)
{
    ssize_t                      n;
    ngx_uint_t                   nfds;
    ngx_mesh_handover_answer_t   answer;

    for ( ;; ) {
        nfds = 0;

        n = ngx_mesh_handover_recvmsg(ch->connection, &answer, sizeof(answer),
                                      NULL, &nfds);

        if (n == NGX_AGAIN || n == NGX_ERROR) {
            return n;
        }

        if (n == 0) {
            return NGX_DONE;
        }

        if (n != sizeof(answer) || answer.magic != NGX_MESH_HANDOVER_MAGIC) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "the other nginx hands connections over in "
                          "another way, they stay here");
            return NGX_DONE;
        }

        if (!ch->ready) {
            ch->ready = 1;
            continue;
        }

        ngx_mesh_handover_answer(ch, &answer);
    }
}


static void
ngx_mesh_handover_answer(ngx_mesh_channel_t *ch,
    ngx_mesh_handover_answer_t *answer)
{
    ngx_queue_t         *q;
    ngx_mesh_session_t  *ms;

    if (ngx_queue_empty(&ch->sent) || answer->seq != ch->answered++) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "answer %uD of hand-over is out of order", answer->seq);
        return;
    }

    q = ngx_queue_head(&ch->sent);
    ngx_queue_remove(q);
    ch->nsent--;
    ch->full = 0;

    ms = ngx_queue_data(q, ngx_mesh_session_t, leave);

    if (answer->status == NGX_MESH_HANDOVER_TAKEN) {
        ngx_mesh_leaving.sent++;
        ngx_mesh_count(NGX_MESH_M_HANDED_OVER);
        ngx_mesh_session_moved(ms);
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ms->connection->log, 0,
                  "connection is not taken over: %s",
                  answer->status == NGX_MESH_HANDOVER_GONE
                  ? "its listener is gone" : "no room");

    ngx_queue_insert_tail(&ngx_mesh_leaving.leaving, q);
    ngx_mesh_handover_take_back(ms);
    ngx_mesh_handover_keep(ms);
}


/* the session ends here after all */

void
ngx_mesh_handover_keep(ngx_mesh_session_t *ms)
{
    ngx_queue_remove(&ms->leave);

    ms->leaving = 0;

    ngx_mesh_leaving.kept++;
    ngx_mesh_count(NGX_MESH_M_HANDOVER_FAILED);

    ngx_mesh_handover_unhalt(ms);
    ngx_mesh_session_drain(ms);
}


/* the session is closed for another reason */

void
ngx_mesh_handover_forget(ngx_mesh_session_t *ms)
{
    ngx_queue_remove(&ms->leave);
    ms->leaving = 0;
}


static void
ngx_mesh_handover_tick_handler(ngx_event_t *ev)
{
    ngx_msec_t           passed;
    ngx_uint_t           i, ready, sent;
    ngx_queue_t         *q, *next;
    ngx_mesh_leaving_t  *l;
    ngx_mesh_session_t  *ms;

    l = &ngx_mesh_leaving;
    passed = ngx_current_msec - l->begun;
    ready = 0;
    sent = 0;

    for (i = 0; i < NGX_MESH_HANDOVER_CHANNELS; i++) {
        l->channels[i].full = 0;

        if (l->channels[i].connection && !l->channels[i].ready
            && l->channels[i].waited++ == NGX_MESH_HANDOVER_HELLO)
        {
            /* nobody accepts there any more */

            ngx_mesh_handover_close_channel(&l->channels[i]);
        }

        ready += l->channels[i].ready;
        sent += l->channels[i].nsent;
    }

    if (!ngx_queue_empty(&l->leaving)) {
        (void) ngx_mesh_handover_open_channels();
    }

    for (q = ngx_queue_head(&l->leaving);
         q != ngx_queue_sentinel(&l->leaving);
         q = next)
    {
        next = ngx_queue_next(q);
        ms = ngx_queue_data(q, ngx_mesh_session_t, leave);

        if (ready == 0) {

            /* served here meanwhile, they can wait for workers that start */

            if (passed >= NGX_MESH_HANDOVER_PATIENCE) {
                ngx_mesh_handover_keep(ms);

            } else {
                ngx_mesh_handover_unhalt(ms);
            }

            continue;
        }

        if (passed >= ms->conf->handover_timeout) {
            ngx_mesh_handover_overdue(ms);
        }
    }

    ngx_mesh_handover_next();

    if (!ngx_queue_empty(&l->leaving) || sent || ngx_mesh_worker.nsessions) {
        ngx_add_timer(ev, NGX_MESH_HANDOVER_TICK);
        return;
    }

    ngx_mesh_handover_done();
}


/* waited long enough for a gap between its calls */

static void
ngx_mesh_handover_overdue(ngx_mesh_session_t *ms)
{
    switch (ngx_mesh_handover_portable(ms)) {

    case NGX_OK:
        if (!ms->reader.halt) {
            ms->reader.halt = 1;
            ngx_mesh_leaving.paused++;
            ngx_mesh_count(NGX_MESH_M_HANDOVER_PAUSED);
        }

        break;

    case NGX_AGAIN:

        /* what a provider waits for has to be read */

        ngx_mesh_handover_unhalt(ms);
        break;

    default: /* NGX_DECLINED */
        ngx_log_error(NGX_LOG_INFO, ms->connection->log, 0,
                      "connection is not handed over: its own links cannot "
                      "go along");
        ngx_mesh_handover_keep(ms);
    }
}


static void
ngx_mesh_handover_unhalt(ngx_mesh_session_t *ms)
{
    if (ms->reader.halt) {
        ms->reader.halt = 0;
        ngx_post_event(ms->connection->read, &ngx_posted_events);
    }
}


void
ngx_mesh_handover_done(void)
{
    ngx_uint_t           i;
    ngx_mesh_leaving_t  *l;

    l = &ngx_mesh_leaving;

    for (i = 0; l->started && i < NGX_MESH_HANDOVER_CHANNELS; i++) {
        if (l->channels[i].connection) {
            ngx_mesh_handover_close_channel(&l->channels[i]);
        }
    }

    if (l->started && l->tick.timer_set) {
        ngx_del_timer(&l->tick);
    }
}


void
ngx_mesh_handover_exit_process(void)
{
    ngx_mesh_handover_total(ngx_mesh_leaving.sent, ngx_mesh_leaving.kept,
                            ngx_mesh_leaving.paused);
}


/* there is room again, or somebody to take over */

static void
ngx_mesh_handover_next(void)
{
    ngx_queue_t         *q, *next;
    ngx_mesh_session_t  *ms;

    for (q = ngx_queue_head(&ngx_mesh_leaving.leaving);
         q != ngx_queue_sentinel(&ngx_mesh_leaving.leaving);
         q = next)
    {
        next = ngx_queue_next(q);
        ms = ngx_queue_data(q, ngx_mesh_session_t, leave);

        if (ngx_mesh_handover_try(ms) == NGX_BUSY) {
            break;
        }
    }
}


static ngx_mesh_channel_t *
ngx_mesh_handover_pick(void)
{
    ngx_uint_t           i;
    ngx_mesh_channel_t  *ch;

    for (i = 0; i < NGX_MESH_HANDOVER_CHANNELS; i++) {
        ch = &ngx_mesh_leaving.channels[ngx_mesh_leaving.turn++
                                        % NGX_MESH_HANDOVER_CHANNELS];

        if (ch->ready && !ch->full && ch->nsent < NGX_MESH_HANDOVER_WINDOW) {
            return ch;
        }
    }

    return NULL;
}


/* nothing but the descriptor and less than a header is left */

static ngx_uint_t
ngx_mesh_handover_quiet(ngx_mesh_session_t *ms)
{
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    if (ms->nrequests || ms->failed || ms->out.size || ms->reader.part
        || ms->reader.hold || ngx_mesh_handover_portable(ms) != NGX_OK)
    {
        return 0;
    }

    for (q = ngx_queue_head(&ms->links);
         q != ngx_queue_sentinel(&ms->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        if (!link->connected || link->failed || link->draining || link->nused
            || link->out.size || link->reader.part || link->reader.skip)
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Whether it can go once its calls are answered.  NGX_AGAIN: a callback has to
 * be answered before; NGX_DECLINED: there are more links than a message holds,
 * or one on which the answer to a call long over may still come, that nobody
 * but this worker can tell from others.
 */

static ngx_int_t
ngx_mesh_handover_portable(ngx_mesh_session_t *ms)
{
    ngx_uint_t        n;
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    if (ms->nreverse) {
        return NGX_AGAIN;
    }

    n = 0;

    for (q = ngx_queue_head(&ms->links);
         q != ngx_queue_sentinel(&ms->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        if (!ngx_queue_empty(&link->resting)
            || ++n > NGX_MESH_HANDOVER_LINKS)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * Hands the session over if it is ready to go.  NGX_OK: it is on its way, its
 * connection must not be touched; NGX_AGAIN: not yet; NGX_BUSY: nobody has
 * room for it.
 */

ngx_int_t
ngx_mesh_handover_try(ngx_mesh_session_t *ms)
{
    size_t               size;
    ngx_uint_t           nfds;
    ngx_socket_t         fds[NGX_MESH_HANDOVER_LINKS + 1];
    ngx_mesh_channel_t  *ch;

    if (ms->moving) {
        return NGX_OK;
    }

    if (!ngx_mesh_handover_quiet(ms)) {
        return NGX_AGAIN;
    }

    ch = ngx_mesh_handover_pick();
    if (ch == NULL) {
        return NGX_BUSY;
    }

    size = ngx_mesh_handover_pack(ms, ch->seq, fds, &nfds);
    if (size == 0) {
        ngx_mesh_handover_keep(ms);
        return NGX_AGAIN;
    }

    switch (ngx_mesh_handover_sendmsg(ch->connection, ngx_mesh_worker.scratch,
                                      size, fds, nfds))
    {

    case NGX_OK:
        break;

    case NGX_AGAIN:
        ch->full = 1;
        return NGX_BUSY;

    default:
        ngx_mesh_handover_close_channel(ch);
        return NGX_AGAIN;
    }

    ch->seq++;
    ch->nsent++;

    ngx_queue_remove(&ms->leave);
    ngx_queue_insert_tail(&ch->sent, &ms->leave);

    ms->moving = 1;
    ms->channel = ch;
    ngx_mesh_handover_hang(ms);

    return NGX_OK;
}


/* writes the message into the scratch; 0: it does not fit */

static size_t
ngx_mesh_handover_pack(ngx_mesh_session_t *ms, uint32_t seq, ngx_socket_t *fds,
    ngx_uint_t *nfds)
{
    size_t                    n;
    u_char                   *p, *start, *last;
    ngx_str_t                 codec;
    ngx_queue_t              *q;
    ngx_mesh_link_t          *link;
    ngx_connection_t         *c;
    ngx_mesh_handover_msg_t  *msg;

    p = ngx_mesh_worker.scratch;
    start = p;
    last = p + NGX_MESH_HANDOVER_SIZE;
    c = ms->connection;

    ngx_str_null(&codec);

    if (ms->reader.codec) {
        codec = ms->reader.codec->name;
    }

    msg = (ngx_mesh_handover_msg_t *) p;

    msg->magic = NGX_MESH_HANDOVER_MAGIC;
    msg->seq = seq;
    msg->listener = (uint16_t) c->listening->socklen;
    msg->codec = (uint16_t) codec.len;
    msg->links = 0;
    msg->nhead = ms->reader.nhead;
    msg->serial = ms->serial;
    msg->variant = ms->variant;
    msg->skip = ms->reader.skip;
    msg->reverse_id = ms->reverse_id;
    msg->number = c->number;
    msg->start_time = c->start_time;
    msg->received = *ms->received;
    msg->sent = c->sent;
    msg->active = ms->active;

    p += sizeof(ngx_mesh_handover_msg_t);

    p = ngx_cpymem(p, c->listening->sockaddr, c->listening->socklen);
    p = ngx_cpymem(p, codec.data, codec.len);
    p = ngx_cpymem(p, ms->reader.head, ms->reader.nhead);

    fds[0] = c->fd;

    for (q = ngx_queue_head(&ms->links);
         q != ngx_queue_sentinel(&ms->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        n = ngx_mesh_handover_pack_link(link, p, last);
        if (n == 0) {
            return 0;
        }

        p += n;
        fds[++msg->links] = link->connection->fd;
    }

    *nfds = msg->links + 1;
    msg->len = (uint32_t) (p - start - sizeof(ngx_mesh_handover_msg_t));

    return p - start;
}


static size_t
ngx_mesh_handover_pack_link(ngx_mesh_link_t *link, u_char *p, u_char *last)
{
    size_t                    size;
    ngx_mesh_peer_t          *peer;
    ngx_mesh_handover_link_t  record;

    peer = link->bundle->peer;

    size = sizeof(ngx_mesh_handover_link_t) + peer->socklen + peer->name.len
           + link->reader.nhead;

    if (size > (size_t) (last - p) || peer->name.len > 0xffff) {
        return 0;
    }

    record.sockaddr = (uint16_t) peer->socklen;
    record.name = (uint16_t) peer->name.len;
    record.nhead = link->reader.nhead;
    record.serial = link->serial;
    record.variant = link->variant;

    p = ngx_cpymem(p, &record, sizeof(ngx_mesh_handover_link_t));
    p = ngx_cpymem(p, peer->sockaddr, peer->socklen);
    p = ngx_cpymem(p, peer->name.data, peer->name.len);
    ngx_memcpy(p, link->reader.head, link->reader.nhead);

    return size;
}


/* until the answer comes nobody here looks at the sockets */

static void
ngx_mesh_handover_hang(ngx_mesh_session_t *ms)
{
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    ngx_mesh_session_unlist(ms);
    ngx_mesh_handover_detach(ms->connection);

    for (q = ngx_queue_head(&ms->links);
         q != ngx_queue_sentinel(&ms->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        ngx_mesh_handover_detach(link->connection);

        if (link->timer.timer_set) {
            ngx_del_timer(&link->timer);
        }
    }
}


static void
ngx_mesh_handover_take_back(ngx_mesh_session_t *ms)
{
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    ms->moving = 0;
    ms->channel = NULL;

    ngx_mesh_handover_attach(ms->connection);
    ngx_add_timer(ms->connection->read, ms->conf->client_timeout);
    ngx_post_event(ms->connection->read, &ngx_posted_events);

    for (q = ngx_queue_head(&ms->links);
         q != ngx_queue_sentinel(&ms->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        ngx_mesh_handover_attach(link->connection);

        if (link->bundle->conf->heartbeat) {
            ngx_add_timer(&link->timer, link->interval);

        } else if (link->bundle->codec->id_bits == 0) {
            ngx_add_timer(&link->timer, NGX_MESH_LINK_IDLE);
        }
    }
}
