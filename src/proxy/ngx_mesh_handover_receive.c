
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_handover.h"


/* the side that stays */


/* pause (ms) when there are no more descriptors */

#define NGX_MESH_HANDOVER_RETRY  500


static void ngx_mesh_handover_accept_handler(ngx_event_t *rev);
static void ngx_mesh_handover_receive_handler(ngx_event_t *rev);
static void ngx_mesh_handover_dummy_handler(ngx_event_t *ev);
static ngx_int_t ngx_mesh_handover_take(ngx_connection_t *channel, u_char *p,
    size_t n, ngx_socket_t *fds, ngx_uint_t nfds);
static ngx_int_t ngx_mesh_handover_check(u_char *p, size_t n,
    ngx_uint_t nfds);
static ngx_listening_t *ngx_mesh_handover_find(struct sockaddr *sa,
    socklen_t len, ngx_str_t *codec);
static ngx_connection_t *ngx_mesh_handover_connection(ngx_listening_t *ls,
    ngx_socket_t s);
static ngx_int_t ngx_mesh_handover_address(ngx_connection_t *c);
static ngx_mesh_handover_t *ngx_mesh_handover_unpack(ngx_connection_t *c,
    u_char *p, ngx_socket_t *fds);
static void ngx_mesh_handover_cleanup(void *data);
static void ngx_mesh_handover_drop(ngx_connection_t *c);
static ngx_int_t ngx_mesh_handover_say(ngx_connection_t *c, uint32_t seq,
    uint32_t status);


ngx_uint_t  (*ngx_mesh_handover_fits)(ngx_listening_t *ls, ngx_str_t *codec);


ngx_int_t
ngx_mesh_handover_init_process(ngx_cycle_t *cycle)
{
    ngx_socket_t       s;
    ngx_connection_t  *c;

    s = ngx_mesh_handover_listening();

    if (s == (ngx_socket_t) -1) {
        return NGX_OK;
    }

    c = ngx_get_connection(s, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_mesh_handover_accept_handler;
    c->read->cancelable = 1;
    c->idle = 1;

    return ngx_add_event(c->read, NGX_READ_EVENT, 0);
}


/* one at a time, so that the other workers get some too */

static void
ngx_mesh_handover_accept_handler(ngx_event_t *rev)
{
    ngx_err_t          err;
    ngx_uint_t         level;
    ngx_socket_t       s;
    ngx_connection_t  *c, *channel;

    c = rev->data;

    if (c->close) {

        /* who leaves takes nothing over; the master keeps the socket */

        ngx_mesh_handover_unlisten();
        ngx_mesh_handover_detach(c);
        ngx_close_connection(c);
        return;
    }

    if (rev->timedout) {
        rev->timedout = 0;
        (void) ngx_add_event(rev, NGX_READ_EVENT, 0);
        return;
    }

    s = accept(c->fd, NULL, NULL);

    if (s == (ngx_socket_t) -1) {
        err = ngx_socket_errno;

        if (err == NGX_EAGAIN) {
            return;
        }

        level = (err == NGX_EMFILE || err == NGX_ENFILE) ? NGX_LOG_CRIT
                                                         : NGX_LOG_ALERT;

        ngx_log_error(level, c->log, err, "accept() of a hand-over failed");

        /* whoever waits there would be told of again and again */

        if (ngx_del_event(rev, NGX_READ_EVENT, NGX_DISABLE_EVENT) == NGX_OK) {
            ngx_add_timer(rev, NGX_MESH_HANDOVER_RETRY);
        }

        return;
    }

    if (ngx_nonblocking(s) == -1 || fcntl(s, F_SETFD, FD_CLOEXEC) == -1
        || !ngx_mesh_handover_trusted(s, c->log))
    {
        (void) ngx_close_socket(s);
        return;
    }

    channel = ngx_get_connection(s, c->log);
    if (channel == NULL) {
        (void) ngx_close_socket(s);
        return;
    }

    channel->log = c->log;
    channel->read->log = c->log;
    channel->write->log = c->log;
    channel->read->handler = ngx_mesh_handover_receive_handler;
    channel->write->handler = ngx_mesh_handover_dummy_handler;
    channel->idle = 1;

    if (ngx_handle_read_event(channel->read, 0) != NGX_OK) {
        ngx_close_connection(channel);
        return;
    }

    (void) ngx_mesh_handover_say(channel, 0, 0);
}


static void
ngx_mesh_handover_dummy_handler(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0, "mesh handover dummy");
}


static void
ngx_mesh_handover_receive_handler(ngx_event_t *rev)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_uint_t         i, nfds;
    ngx_socket_t       fds[NGX_MESH_HANDOVER_LINKS + 1];
    ngx_connection_t  *c;

    c = rev->data;

    if (c->close) {
        ngx_close_connection(c);
        return;
    }

    for ( ;; ) {
        nfds = NGX_MESH_HANDOVER_LINKS + 1;

        n = ngx_mesh_handover_recvmsg(c, ngx_mesh_worker.scratch,
                                      NGX_MESH_HANDOVER_SIZE, fds, &nfds);

        if (n == NGX_AGAIN) {
            break;
        }

        rc = (n <= 0) ? NGX_DONE
                      : ngx_mesh_handover_take(c, ngx_mesh_worker.scratch, n,
                                               fds, nfds);

        if (rc != NGX_OK) {
            for (i = 0; rc == NGX_ERROR && i < nfds; i++) {
                (void) ngx_close_socket(fds[i]);
            }

            ngx_close_connection(c);
            return;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_close_connection(c);
    }
}


/* unless NGX_ERROR the descriptors have an owner, or are closed; NGX_DONE:
   nobody hears the answers any more */

static ngx_int_t
ngx_mesh_handover_take(ngx_connection_t *channel, u_char *p, size_t n,
    ngx_socket_t *fds, ngx_uint_t nfds)
{
    uint32_t                  status;
    ngx_int_t                 rc;
    ngx_str_t                 codec;
    ngx_uint_t                i;
    ngx_listening_t          *ls;
    ngx_connection_t         *c;
    ngx_mesh_handover_t      *ho;
    ngx_mesh_handover_msg_t  *msg;

    if (ngx_mesh_handover_check(p, n, nfds) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, channel->log, 0,
                      "a hand-over message of %uz bytes and %ui descriptors "
                      "makes no sense", n, nfds);
        return NGX_ERROR;
    }

    msg = (ngx_mesh_handover_msg_t *) p;
    p += sizeof(ngx_mesh_handover_msg_t);

    c = NULL;
    ho = NULL;
    status = NGX_MESH_HANDOVER_GONE;

    codec.len = msg->codec;
    codec.data = p + msg->listener;

    ls = ngx_mesh_handover_find((struct sockaddr *) p, msg->listener, &codec);

    if (ls) {
        status = NGX_MESH_HANDOVER_FULL;
        c = ngx_mesh_handover_connection(ls, fds[0]);
    }

    if (c && ngx_mesh_handover_address(c) == NGX_OK) {
        ho = ngx_mesh_handover_unpack(c, (u_char *) msg, fds);
    }

    if (ho) {
        status = NGX_MESH_HANDOVER_TAKEN;
    }

    /* before it is touched, as the sender has it back if it cannot be told */

    rc = ngx_mesh_handover_say(channel, msg->seq, status);

    if (rc != NGX_OK || ho == NULL) {

        /* only these copies are closed, the sender has its own, unless it
           died meanwhile */

        if (rc != NGX_OK) {
            ngx_mesh_count(NGX_MESH_M_HANDOVER_FAILED);
        }

        if (c) {
            ngx_mesh_handover_drop(c);

        } else {
            (void) ngx_close_socket(fds[0]);
        }

        for (i = 1; ho == NULL && i < nfds; i++) {
            (void) ngx_close_socket(fds[i]);
        }

        return rc == NGX_OK ? NGX_OK : NGX_DONE;
    }

    ngx_mesh_count(NGX_MESH_M_HANDOVER_TAKEN);

    ls->handler(c);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_handover_check(u_char *p, size_t n, ngx_uint_t nfds)
{
    u_char                    *last;
    ngx_uint_t                 i;
    ngx_mesh_handover_msg_t   *msg;
    ngx_mesh_handover_link_t   link;

    msg = (ngx_mesh_handover_msg_t *) p;
    last = p + n;

    if (n < sizeof(ngx_mesh_handover_msg_t)
        || msg->magic != NGX_MESH_HANDOVER_MAGIC
        || msg->len != n - sizeof(ngx_mesh_handover_msg_t)
        || msg->nhead > NGX_MESH_HEAD_MAX
        || nfds != (ngx_uint_t) msg->links + 1
        || (msg->links && msg->codec == 0))
    {
        return NGX_ERROR;
    }

    p += sizeof(ngx_mesh_handover_msg_t);
    n = (size_t) msg->listener + msg->codec + msg->nhead;

    for (i = 0; i <= msg->links; i++) {

        if (n > (size_t) (last - p)) {
            return NGX_ERROR;
        }

        p += n;

        if (i == msg->links) {
            break;
        }

        if ((size_t) (last - p) < sizeof(ngx_mesh_handover_link_t)) {
            return NGX_ERROR;
        }

        ngx_memcpy(&link, p, sizeof(ngx_mesh_handover_link_t));

        if (link.nhead > NGX_MESH_HEAD_MAX) {
            return NGX_ERROR;
        }

        p += sizeof(ngx_mesh_handover_link_t);
        n = (size_t) link.sockaddr + link.name + link.nhead;
    }

    return p == last ? NGX_OK : NGX_ERROR;
}


/* of several with "reuseport" that of this worker, if it is there */

static ngx_listening_t *
ngx_mesh_handover_find(struct sockaddr *sa, socklen_t len, ngx_str_t *codec)
{
    ngx_uint_t        i;
    ngx_listening_t  *ls, *found;

    found = NULL;
    ls = ngx_cycle->listening.elts;

    for (i = 0; i < ngx_cycle->listening.nelts; i++) {

        if (ls[i].type != SOCK_STREAM
            || ngx_cmp_sockaddr(ls[i].sockaddr, ls[i].socklen, sa, len, 1)
               != NGX_OK
            || (ngx_mesh_handover_fits
                && !ngx_mesh_handover_fits(&ls[i], codec)))
        {
            continue;
        }

        found = &ls[i];

#if (NGX_HAVE_REUSEPORT)
        if (ls[i].reuseport && ls[i].worker != ngx_worker) {
            continue;
        }
#endif

        break;
    }

    return found;
}


/* what accepting does; on failure the descriptor stays the caller's */

static ngx_connection_t *
ngx_mesh_handover_connection(ngx_listening_t *ls, ngx_socket_t s)
{
    ngx_log_t         *log;
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    pool = ngx_create_pool(ls->pool_size, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    log = ngx_palloc(pool, sizeof(ngx_log_t));
    c = NULL;

    if (log) {
        *log = ls->log;
        log->data = NULL;
        log->handler = NULL;

        c = ngx_get_connection(s, ngx_cycle->log);
    }

    if (c == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    c->pool = pool;
    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;
    c->write->ready = 1;

    c->type = SOCK_STREAM;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->listening = ls;
    c->local_sockaddr = ls->sockaddr;
    c->local_socklen = ls->socklen;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    ngx_accept_disabled = ngx_cycle->connection_n / 8
                          - ngx_cycle->free_connection_n;

    return c;
}


static ngx_int_t
ngx_mesh_handover_address(ngx_connection_t *c)
{
    socklen_t         len;
    ngx_sockaddr_t    sa;
    ngx_listening_t  *ls;

    ls = c->listening;
    len = sizeof(ngx_sockaddr_t);

    if (getpeername(c->fd, &sa.sockaddr, &len) == -1) {

        /* the client is gone, which the first read will tell */

        len = ngx_min(ls->socklen, (socklen_t) sizeof(ngx_sockaddr_t));
        ngx_memcpy(&sa, ls->sockaddr, len);
    }

    len = ngx_min(len, (socklen_t) sizeof(ngx_sockaddr_t));

    c->sockaddr = ngx_palloc(c->pool, len);
    if (c->sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(c->sockaddr, &sa, len);
    c->socklen = len;

    if (c->sockaddr->sa_family == AF_UNIX) {
        c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
        c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    }

    if (!ls->addr_ntop) {
        return NGX_OK;
    }

    c->addr_text.data = ngx_pnalloc(c->pool, ls->addr_text_max_len);
    if (c->addr_text.data == NULL) {
        return NGX_ERROR;
    }

    c->addr_text.len = ngx_sock_ntop(c->sockaddr, c->socklen,
                                     c->addr_text.data,
                                     ls->addr_text_max_len, 0);

    return c->addr_text.len ? NGX_OK : NGX_ERROR;
}


static ngx_mesh_handover_t *
ngx_mesh_handover_unpack(ngx_connection_t *c, u_char *p, ngx_socket_t *fds)
{
    size_t                    rest;
    ngx_pool_cleanup_t       *cln;
    ngx_mesh_handover_t      *ho;
    ngx_mesh_handover_msg_t  *msg;

    msg = (ngx_mesh_handover_msg_t *) p;

    ho = ngx_pcalloc(c->pool, sizeof(ngx_mesh_handover_t));
    if (ho == NULL) {
        return NULL;
    }

    ho->msg = *msg;

    p += sizeof(ngx_mesh_handover_msg_t) + msg->listener;
    rest = msg->len - msg->listener;

    ho->codec.len = msg->codec;
    ho->codec.data = ngx_pnalloc(c->pool, msg->codec + 1);
    if (ho->codec.data == NULL) {
        return NULL;
    }

    ngx_memcpy(ho->codec.data, p, msg->codec);
    p += msg->codec;

    ngx_memcpy(ho->head, p, msg->nhead);
    p += msg->nhead;

    rest -= (size_t) msg->codec + msg->nhead;

    if (msg->links) {
        ho->links = ngx_palloc(c->pool, rest);
        ho->fds = ngx_palloc(c->pool, msg->links * sizeof(ngx_socket_t));

        if (ho->links == NULL || ho->fds == NULL) {
            return NULL;
        }

        cln = ngx_pool_cleanup_add(c->pool, 0);
        if (cln == NULL) {
            return NULL;
        }

        /* nothing fails any more: the descriptors have an owner */

        cln->handler = ngx_mesh_handover_cleanup;
        cln->data = ho;

        ngx_memcpy(ho->links, p, rest);
        ngx_memcpy(ho->fds, fds + 1, msg->links * sizeof(ngx_socket_t));
    }

    ho->buf.start = ho->head;
    ho->buf.pos = ho->head;
    ho->buf.last = ho->head + msg->nhead;
    ho->buf.end = ho->head + NGX_MESH_HEAD_MAX;
    ho->buf.temporary = 1;
    ho->buf.tag = (ngx_buf_tag_t) &ngx_mesh_worker;

    c->buffer = &ho->buf;
    c->number = (ngx_atomic_uint_t) msg->number;
    c->start_time = (ngx_msec_t) msg->start_time;

    return ho;
}


/* links of a connection that became no session: the server refused it */

static void
ngx_mesh_handover_cleanup(void *data)
{
    ngx_mesh_handover_t *ho = data;

    ngx_uint_t  i;

    for (i = 0; i < ho->msg.links; i++) {
        if (ho->fds[i] != (ngx_socket_t) -1) {
            (void) ngx_close_socket(ho->fds[i]);
        }
    }
}


static void
ngx_mesh_handover_drop(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    pool = c->pool;

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


static ngx_int_t
ngx_mesh_handover_say(ngx_connection_t *c, uint32_t seq, uint32_t status)
{
    ngx_mesh_handover_answer_t  answer;

    answer.magic = NGX_MESH_HANDOVER_MAGIC;
    answer.seq = seq;
    answer.status = status;

    return ngx_mesh_handover_sendmsg(c, &answer, sizeof(answer), NULL, 0);
}


ngx_mesh_handover_t *
ngx_mesh_handover_state(ngx_connection_t *c)
{
    if (c->buffer == NULL
        || c->buffer->tag != (ngx_buf_tag_t) &ngx_mesh_worker)
    {
        return NULL;
    }

    return (ngx_mesh_handover_t *)
               ((u_char *) c->buffer - offsetof(ngx_mesh_handover_t, buf));
}


ngx_uint_t
ngx_mesh_handover_received(ngx_connection_t *c)
{
    return ngx_mesh_handover_state(c) != NULL;
}


ngx_int_t
ngx_mesh_handover_restore(ngx_mesh_session_t *ms, ngx_mesh_handover_t *ho)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    const ngx_mesh_codec_t    **codecs;
    ngx_mesh_handover_msg_t    *msg;
    ngx_mesh_handover_link_t    record;

    msg = &ho->msg;
    codecs = ms->conf->codecs->elts;
    rc = NGX_OK;

    if (ho->codec.len) {

        /* one that is not served here can still be told so */

        ms->reader.codec = ngx_mesh_codec_find(&ho->codec);
        rc = NGX_DECLINED;

        for (i = 0; i < ms->conf->codecs->nelts; i++) {
            if (codecs[i]->name.len == ho->codec.len
                && ngx_memcmp(codecs[i]->name.data, ho->codec.data,
                              ho->codec.len) == 0)
            {
                ms->reader.codec = codecs[i];
                rc = NGX_OK;
                break;
            }
        }
    }

    ms->serial = msg->serial;
    ms->variant = msg->variant;
    ms->reader.skip = (size_t) msg->skip;
    ms->reverse_id = msg->reverse_id;
    ms->active = (ngx_msec_t) msg->active;

    *ms->received = (off_t) msg->received;
    ms->connection->sent = (off_t) msg->sent;

    p = ho->links;

    for (i = 0; i < msg->links; i++) {
        ngx_memcpy(&record, p, sizeof(ngx_mesh_handover_link_t));
        p += sizeof(ngx_mesh_handover_link_t);

        if (rc != NGX_OK || ms->conf->link->multiplex
            || ngx_mesh_link_adopt(ms, ho->fds[i], &record, p) != NGX_OK)
        {
            (void) ngx_close_socket(ho->fds[i]);
        }

        ho->fds[i] = (ngx_socket_t) -1;
        p += record.sockaddr + record.name + record.nhead;
    }

    return rc;
}
