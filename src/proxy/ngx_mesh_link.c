
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_handover.h"


/* pause (ms) when this process has no more descriptors */

#define NGX_MESH_DIAL_PAUSE  100


static ngx_mesh_link_t *ngx_mesh_link_dial(ngx_mesh_bundle_t *bundle,
    ngx_mesh_session_t *owner, uint8_t variant);
static void ngx_mesh_link_attach(ngx_mesh_link_t *link, ngx_connection_t *c);
static ngx_mesh_link_t *ngx_mesh_link_create(ngx_mesh_bundle_t *bundle);
static void ngx_mesh_link_destroy(ngx_mesh_link_t *link);
static void ngx_mesh_link_forget_callbacks(ngx_mesh_link_t *link);
static void ngx_mesh_link_connect_handler(ngx_event_t *ev);
static ngx_int_t ngx_mesh_link_test_connect(ngx_connection_t *c);
static void ngx_mesh_link_write_handler(ngx_event_t *wev);
static u_char *ngx_mesh_link_log_error(ngx_log_t *log, u_char *buf, size_t len);


ngx_mesh_link_t *
ngx_mesh_link_get(ngx_mesh_bundle_t *bundle, ngx_mesh_session_t *owner,
    uint8_t variant, size_t size, ngx_uint_t *err)
{
    ngx_uint_t        n;
    ngx_queue_t      *q, *links;
    ngx_mesh_link_t  *link, *best, *last;

    links = owner ? &owner->links : &bundle->links;
    best = NULL;
    last = NULL;
    n = 0;

    for (q = ngx_queue_head(links);
         q != ngx_queue_sentinel(links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, queue);

        if (link->bundle != bundle || link->variant != variant
            || link->failed)
        {
            continue;
        }

        if (link->draining) {
            last = link;
            continue;
        }

        if (bundle->codec->id_bits == 0 && link->nused) {

            /* the next answer belongs to the call it has */

            continue;
        }

        n++;

        if (best == NULL || link->nused < best->nused) {
            best = link;
        }
    }

    if (best == NULL && last && bundle->peer->is_readonly
        && bundle->codec->id_bits)
    {

        /* a link told to be read-only still answers */

        best = last;
    }

    if (best == NULL
        || (owner == NULL && n < bundle->conf->links && best->nused
            && best != last))
    {
        link = ngx_mesh_link_dial(bundle, owner, variant);

        if (link) {
            best = link;
        }
    }

    if (best == NULL) {
        *err = NGX_MESH_ERR_CLOSED;
        return NULL;
    }

    if (ngx_mesh_link_full(best, size)) {
        *err = NGX_MESH_ERR_OVERLOAD;
        return NULL;
    }

    return best;
}


static ngx_mesh_link_t *
ngx_mesh_link_dial(ngx_mesh_bundle_t *bundle, ngx_mesh_session_t *owner,
    uint8_t variant)
{
    ngx_int_t               rc;
    ngx_mesh_link_t        *link;
    ngx_mesh_peer_t        *peer;
    ngx_connection_t       *c;
    ngx_peer_connection_t   pc;

    peer = bundle->peer;

    if (peer->backoff
        && (ngx_msec_int_t) (peer->dial_after - ngx_current_msec) > 0)
    {
        return NULL;
    }

    link = ngx_mesh_link_create(bundle);
    if (link == NULL) {
        return NULL;
    }

    link->owner = owner;
    link->variant = variant;
    link->log.action = "connecting to endpoint";

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = peer->sockaddr;
    pc.socklen = peer->socklen;
    pc.name = &peer->name;
    pc.get = ngx_event_get_peer;
    pc.log = &link->log;
    pc.log_error = peer->dial_fails ? NGX_ERROR_INFO : NGX_ERROR_ERR;

    ngx_mesh_count(NGX_MESH_M_CONNECT);
    peer->stats->n[NGX_MESH_E_CONNECTS]++;
    peer->stats->dirty = 1;

    rc = ngx_event_connect_peer(&pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_mesh_link_destroy(link);
        ngx_mesh_count(NGX_MESH_M_LINK_CONNECT);

        if (rc == NGX_ERROR) {

            /* no descriptor or connection left: not the peer's fault */

            peer->backoff = 1;
            peer->dial_after = ngx_current_msec + NGX_MESH_DIAL_PAUSE;
            return NULL;
        }

        ngx_mesh_peer_failed(peer, NGX_MESH_DIAL_REFUSED);
        return NULL;
    }

    c = pc.connection;

    ngx_mesh_link_attach(link, c);

    ngx_add_timer(c->write, bundle->conf->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return link;
}


/* a pinned link comes with the session that it belongs to */

ngx_int_t
ngx_mesh_link_adopt(ngx_mesh_session_t *ms, ngx_socket_t s,
    ngx_mesh_handover_link_t *record, u_char *p)
{
    ngx_sockaddr_t        sa;
    ngx_mesh_link_t      *link;
    ngx_mesh_peer_t      *peer;
    ngx_connection_t     *c;
    ngx_mesh_bundle_t    *bundle;
    ngx_mesh_endpoint_t   endpoint;

    /* in the message it stands anywhere */

    if (record->sockaddr > sizeof(ngx_sockaddr_t)) {
        return NGX_ERROR;
    }

    ngx_memzero(&sa, sizeof(ngx_sockaddr_t));
    ngx_memcpy(&sa, p, record->sockaddr);

    ngx_memzero(&endpoint, sizeof(ngx_mesh_endpoint_t));

    endpoint.sockaddr = &sa.sockaddr;
    endpoint.socklen = record->sockaddr;
    endpoint.name.data = p + record->sockaddr;
    endpoint.name.len = record->name;

    /* how many failures it may have is known once it is called */

    peer = ngx_mesh_peer_get(&endpoint);
    if (peer == NULL) {
        return NGX_ERROR;
    }

    link = NULL;
    c = NULL;

    bundle = ngx_mesh_peer_bundle(peer, ms->conf->link, ms->reader.codec,
                                  &endpoint.host);
    if (bundle) {
        link = ngx_mesh_link_create(bundle);
    }

    if (link) {
        c = ngx_get_connection(s, &link->log);
    }

    if (c == NULL) {
        if (link) {
            ngx_mesh_link_destroy(link);
        }

        ngx_mesh_peer_release(peer);
        return NGX_ERROR;
    }

    c->type = SOCK_STREAM;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->write->ready = 1;

    link->owner = ms;
    link->serial = record->serial;
    link->variant = record->variant;
    link->answered = 1;
    link->reader.nhead = (uint8_t) record->nhead;
    ngx_memcpy(link->reader.head, p + record->sockaddr + record->name,
               record->nhead);

    ngx_mesh_link_attach(link, c);
    ngx_mesh_peer_release(peer);

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        c->read->ready = 1;
    }

    ngx_mesh_link_ready(link);

    return NGX_OK;
}


/* gives the link its connection, and makes it known */

static void
ngx_mesh_link_attach(ngx_mesh_link_t *link, ngx_connection_t *c)
{
    link->connection = c;

    c->data = link;
    c->pool = link->pool;
    c->log = &link->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->addr_text = link->bundle->peer->name;
    c->idle = 1;

    c->read->handler = ngx_mesh_link_read_handler;
    c->write->handler = ngx_mesh_link_connect_handler;

    if (link->owner) {
        ngx_queue_insert_tail(&link->owner->links, &link->queue);

    } else {
        ngx_queue_insert_tail(&link->bundle->links, &link->queue);
        link->bundle->nlinks++;
    }

    ngx_queue_insert_tail(&ngx_mesh_worker.links, &link->all);
    ngx_mesh_gauge(NGX_MESH_G_LINKS, 1);
}


static ngx_mesh_link_t *
ngx_mesh_link_create(ngx_mesh_bundle_t *bundle)
{
    ngx_pool_t       *pool;
    ngx_mesh_link_t  *link;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    link = ngx_pcalloc(pool, sizeof(ngx_mesh_link_t));
    if (link == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    /* a log of its own: the cycle's must not learn connection numbers */

    link->log = *ngx_cycle->log;
    link->log.handler = ngx_mesh_link_log_error;
    link->log.data = link;
    pool->log = &link->log;

    link->pool = pool;
    link->bundle = bundle;
    bundle->peer->refs++;

    ngx_queue_init(&link->used);
    ngx_queue_init(&link->resting);
    ngx_queue_init(&link->free);

    link->received = ngx_current_msec;
    link->framed = ngx_current_msec;
    link->sent = ngx_current_msec;
    link->interval = bundle->conf->heartbeat;
    link->reader.codec = bundle->codec;

    link->dummy.fd = (ngx_socket_t) -1;
    link->timer.handler = ngx_mesh_link_timer_handler;
    link->timer.data = &link->dummy;
    link->timer.log = &link->log;
    link->timer.cancelable = 1;
    link->dummy.data = link;

    return link;
}


static void
ngx_mesh_link_destroy(ngx_mesh_link_t *link)
{
    ngx_mesh_peer_t  *peer;

    ngx_mesh_reader_destroy(&link->reader);
    ngx_mesh_out_destroy(&link->out);
    ngx_mesh_slot_destroy(link);

    peer = link->bundle->peer;
    ngx_destroy_pool(link->pool);
    ngx_mesh_peer_release(peer);
}


/*
 * Ends the link and settles its requests: those never written go to other
 * endpoints, the others are answered or sent again.  Never called by code
 * that its own callers may still use the link.
 */

void
ngx_mesh_link_close(ngx_mesh_link_t *link, char *reason, ngx_uint_t failure)
{
    ngx_str_t            text;
    ngx_uint_t           dial;
    ngx_connection_t    *c;
    ngx_mesh_peer_t     *peer;
    ngx_mesh_request_t  *r;

    c = link->connection;
    peer = link->bundle->peer;

    link->failed = 1;

    text.data = (u_char *) reason;
    text.len = ngx_strlen(reason);

    ngx_queue_remove(&link->queue);
    ngx_queue_remove(&link->all);

    if (link->owner == NULL) {
        link->bundle->nlinks--;

    } else {
        ngx_mesh_link_forget_callbacks(link);
    }

    ngx_mesh_gauge(NGX_MESH_G_LINKS, -1);

    dial = link->answered ? 0 : link->connected ? NGX_MESH_DIAL_MUTE
                                                : NGX_MESH_DIAL_REFUSED;

    if (failure) {
        ngx_mesh_count(link->connected ? NGX_MESH_M_LINK_FAILED
                                       : NGX_MESH_M_LINK_CONNECT);

        if (link->connected && link->nused) {
            peer->stats->n[NGX_MESH_E_RESETS]++;
            peer->stats->dirty = 1;
        }

        ngx_mesh_peer_failed(peer, dial);
    }

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

#if (NGX_SSL)
    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = failure ? 1 : 0;
        (void) ngx_ssl_shutdown(c);

        if (c->ssl) {

            /* the socket is full: nobody waits for the farewell */

            SSL_free(c->ssl->connection);
            c->ssl = NULL;
        }
    }
#endif

    c->pool = NULL;

    ngx_mesh_count(NGX_MESH_M_CLOSE);
    ngx_close_connection(c);
    link->connection = NULL;

    while (!ngx_queue_empty(&link->used)) {
        r = ngx_queue_data(ngx_queue_head(&link->used), ngx_mesh_request_t,
                           by_link);

        ngx_mesh_request_lost(r, r->offset < ngx_mesh_out_sent(&link->out),
                              &text);
    }

    ngx_mesh_link_destroy(link);
}


static void
ngx_mesh_link_forget_callbacks(ngx_mesh_link_t *link)
{
    ngx_queue_t         *q, *next;
    ngx_mesh_session_t  *ms;
    ngx_mesh_reverse_t  *rev;

    ms = link->owner;

    for (q = ngx_queue_head(&ms->reverse);
         q != ngx_queue_sentinel(&ms->reverse);
         q = next)
    {
        next = ngx_queue_next(q);
        rev = ngx_queue_data(q, ngx_mesh_reverse_t, queue);

        if (rev->link == link) {
            ngx_queue_remove(q);
            ngx_free(rev);
            ms->nreverse--;
        }
    }
}


void
ngx_mesh_link_purge_all(void)
{
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    for (q = ngx_queue_head(&ngx_mesh_worker.links);
         q != ngx_queue_sentinel(&ngx_mesh_worker.links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, all);
        ngx_mesh_link_purge(link);
    }
}


void
ngx_mesh_link_close_all(void)
{
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    while (!ngx_queue_empty(&ngx_mesh_worker.links)) {
        q = ngx_queue_head(&ngx_mesh_worker.links);
        link = ngx_queue_data(q, ngx_mesh_link_t, all);

        ngx_mesh_link_close(link, "nginx exits", 0);
    }
}


static void
ngx_mesh_link_connect_handler(ngx_event_t *ev)
{
    ngx_uint_t         level;
    ngx_connection_t  *c;
    ngx_mesh_link_t   *link;

    c = ev->data;
    link = c->data;

    if (ev->timedout) {
        level = link->bundle->peer->dial_fails ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, c->log, NGX_ETIMEDOUT, "endpoint timed out");
        ngx_mesh_link_close(link, "connect timed out", 1);
        return;
    }

    if (ngx_mesh_link_test_connect(c) != NGX_OK) {
        ngx_mesh_link_close(link, "connect failed", 1);
        return;
    }

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_mesh_link_close(link, "connect failed", 1);
        return;
    }

#if (NGX_SSL)
    if (link->bundle->conf->ssl) {

        if (ngx_mesh_link_ssl_init(link) != NGX_OK) {
            ngx_mesh_link_close(link, "TLS handshake failed", 1);
        }

        return;
    }
#endif

    ngx_mesh_link_ready(link);
}


static ngx_int_t
ngx_mesh_link_test_connect(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        (void) ngx_connection_error(c, err, "connect() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_mesh_link_ready(ngx_mesh_link_t *link)
{
    ngx_queue_t         *q, *next;
    ngx_connection_t    *c;
    ngx_mesh_request_t  *r;

    c = link->connection;

    ngx_log_debug1(NGX_LOG_DEBUG_STREAM, c->log, 0,
                   "mesh link connected to %V", &link->bundle->peer->name);

    link->connected = 1;
    link->received = ngx_current_msec;
    link->log.action = "serving endpoint";

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->handler = ngx_mesh_link_read_handler;
    c->write->handler = ngx_mesh_link_write_handler;

    for (q = ngx_queue_head(&link->used);
         q != ngx_queue_sentinel(&link->used);
         q = next)
    {
        next = ngx_queue_next(q);
        r = ngx_queue_data(q, ngx_mesh_request_t, by_link);

        if (r->oneway && !r->dead) {
            ngx_mesh_request_gone(r);
        }
    }

    if (link->bundle->conf->heartbeat) {
        ngx_add_timer(&link->timer, link->interval);

    } else if (link->bundle->codec->id_bits == 0) {
        ngx_add_timer(&link->timer, NGX_MESH_LINK_IDLE);
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }

    ngx_mesh_link_write_handler(c->write);
}


void
ngx_mesh_link_post(ngx_mesh_link_t *link)
{
    ngx_connection_t  *c;

    c = link->connection;

    if (!link->connected) {
        return;
    }

    if (link->out.size >= NGX_MESH_WRITE_AT_ONCE && c->write->ready) {

        if (ngx_mesh_out_flush(&link->out, c) == NGX_ERROR) {

            /* whoever queued this frame still uses the link */

            link->failed = 1;
        }

        if (link->out.size == 0 && !link->failed) {
            return;
        }
    }

    if (c->write->ready || link->failed) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static void
ngx_mesh_link_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    ngx_mesh_link_t   *link;

    c = wev->data;
    link = c->data;

    if (link->failed) {
        ngx_mesh_link_close(link, "link closed", 1);
        return;
    }

    if (link->out.first == NULL
        && (!link->draining || link->nused))
    {
        return;
    }

    if (wev->posted) {

        /* epoll tells of both directions at once: the posted one writes */

        return;
    }

    switch (ngx_mesh_out_flush(&link->out, c)) {

    case NGX_ERROR:
        ngx_mesh_link_close(link, "link closed", 1);
        return;

    case NGX_AGAIN:
        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_mesh_link_close(link, "link failed", 1);
        }

        return;

    default:
        ngx_mesh_link_done(link);
    }
}


ngx_int_t
ngx_mesh_link_queue(ngx_mesh_link_t *link, u_char *p, size_t size,
    ngx_mesh_chunk_t *chunk, u_char **pos)
{
    u_char  *dst;

    if (chunk && size > link->bundle->conf->buffer_size) {
        chunk->refs++;
        ngx_mesh_out_append(&link->out, chunk);
        *pos = p;
        return NGX_OK;
    }

    dst = ngx_mesh_out_reserve(&link->out, size);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst, p, size);
    ngx_mesh_out_commit(&link->out, size);
    *pos = dst;

    return NGX_OK;
}


/*
 * Both the requests in use and the chunks are in the order of the link's
 * stream, so one walk closes all gaps.
 */

void
ngx_mesh_link_purge(ngx_mesh_link_t *link)
{
    size_t               gone;
    u_char              *end;
    uint64_t             sent, shift;
    ngx_queue_t         *q, *next;
    ngx_mesh_chunk_t    *chunk;
    ngx_mesh_request_t  *r;

    if (!link->stale) {
        return;
    }

    link->stale = 0;
    sent = ngx_mesh_out_sent(&link->out);
    chunk = NULL;
    shift = 0;
    gone = 0;

    for (q = ngx_queue_head(&link->used);
         q != ngx_queue_sentinel(&link->used);
         q = next)
    {
        next = ngx_queue_next(q);
        r = ngx_queue_data(q, ngx_mesh_request_t, by_link);

        if (r->offset < sent) {

            if (r->dead) {

                /* it was sent after all, between its end and this walk */

                r->dead = 0;
                ngx_mesh_slot_rest(r);
            }

            continue;
        }

        if (r->chunk != chunk) {
            chunk = r->chunk;
            gone = 0;
        }

        r->offset -= shift;
        r->pos -= gone;

        if (!r->dead) {
            continue;
        }

        end = r->pos + r->size;
        ngx_memmove(r->pos, end, chunk->buf.last - end);
        chunk->buf.last -= r->size;

        gone += r->size;
        shift += r->size;
        link->out.size -= r->size;
        link->out.queued -= r->size;

        ngx_mesh_slot_free(r);
    }

    if (link->draining && link->connected) {
        ngx_post_event(link->connection->write, &ngx_posted_events);
    }
}


void
ngx_mesh_link_done(ngx_mesh_link_t *link)
{
    if (link->failed || link->nused || link->out.size) {
        return;
    }

    if (link->draining
        || (ngx_exiting && ngx_mesh_worker.nsessions == 0))
    {
        ngx_mesh_link_close(link, "link drained", 0);
    }
}


static u_char *
ngx_mesh_link_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char           *p;
    ngx_mesh_link_t  *link;

    link = log->data;
    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
    }

    return ngx_snprintf(p, len, ", endpoint: %V", &link->bundle->peer->name);
}


ngx_mesh_link_conf_t *
ngx_mesh_link_conf_share(ngx_array_t *shared, ngx_mesh_link_conf_t *lc)
{
    ngx_uint_t               i;
    ngx_mesh_link_conf_t   **other, **slot;

    other = shared->elts;

    for (i = 0; i < shared->nelts; i++) {

        if (other[i]->connect_timeout != lc->connect_timeout
            || other[i]->heartbeat != lc->heartbeat
            || other[i]->link_buffer != lc->link_buffer
            || other[i]->max_frame != lc->max_frame
            || other[i]->buffer_size != lc->buffer_size
            || other[i]->links != lc->links
            || other[i]->multiplex != lc->multiplex)
        {
            continue;
        }

#if (NGX_SSL)
        if (other[i]->ssl != lc->ssl) {
            continue;
        }

        if (lc->ssl
            && (other[i]->ssl_server_name != lc->ssl_server_name
                || other[i]->ssl_verify != lc->ssl_verify
                || other[i]->ssl_session_reuse != lc->ssl_session_reuse
                || other[i]->ssl_name.len != lc->ssl_name.len
                || ngx_memcmp(other[i]->ssl_name.data, lc->ssl_name.data,
                              lc->ssl_name.len) != 0))
        {
            continue;
        }
#endif

        return other[i];
    }

    slot = ngx_array_push(shared);

    if (slot) {
        *slot = lc;
    }

    return lc;
}
