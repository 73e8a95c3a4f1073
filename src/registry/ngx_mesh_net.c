
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_net.h"


#define NGX_MESH_NET_BUFFER   65536

/* buffers read in a row before others have their turn */
#define NGX_MESH_NET_TURN     16

/* s of silence after which the kernel looks whether the peer is there */
#define NGX_MESH_NET_PROBE    15


static ngx_int_t ngx_mesh_net_open(ngx_mesh_net_t *net);
static ngx_int_t ngx_mesh_net_name(ngx_mesh_net_t *net);
static void ngx_mesh_net_attach(ngx_mesh_net_t *net, ngx_connection_t *c);
static void ngx_mesh_net_log_writer(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len);
static void ngx_mesh_net_fail(ngx_mesh_net_t *net);
static void ngx_mesh_net_fail_handler(ngx_event_t *ev);
static void ngx_mesh_net_closed(ngx_mesh_net_t *net, char *reason);
static void ngx_mesh_net_connect_handler(ngx_event_t *wev);
static ngx_int_t ngx_mesh_net_test_connect(ngx_connection_t *c);
static void ngx_mesh_net_probe(ngx_connection_t *c);
static void ngx_mesh_net_ready(ngx_mesh_net_t *net);
static void ngx_mesh_net_read_handler(ngx_event_t *rev);
static void ngx_mesh_net_write_handler(ngx_event_t *wev);
static void ngx_mesh_net_sent(ngx_mesh_net_t *net, ngx_chain_t *until);
static ngx_int_t ngx_mesh_net_events(ngx_connection_t *c);

#if (NGX_SSL)
static ngx_int_t ngx_mesh_net_ssl_init(ngx_mesh_net_t *net);
static void ngx_mesh_net_ssl_handler(ngx_connection_t *c);
static ngx_int_t ngx_mesh_net_ssl_verify(ngx_mesh_net_t *net);
static ngx_int_t ngx_mesh_net_ssl_check(ngx_mesh_net_t *net);
static ngx_uint_t ngx_mesh_net_literal(ngx_str_t *name);
#endif


/* what came; its owner has it during the call only, so one is enough */

static u_char  ngx_mesh_net_buffer[NGX_MESH_NET_BUFFER];


ngx_int_t
ngx_mesh_net_connect(ngx_mesh_net_t *net)
{
    net->pool = ngx_create_pool(512, ngx_cycle->log);
    if (net->pool == NULL) {
        return NGX_ERROR;
    }

    /* errors become the reason that the owner is given, which is logged when
       the state of the whole changes: not each of them */

    net->log = *ngx_cycle->log;
    net->log.log_level = ngx_max(net->log.log_level, NGX_LOG_INFO);
    net->log.writer = ngx_mesh_net_log_writer;
    net->log.wdata = net;
    net->log.next = NULL;
    net->log.handler = NULL;
    net->log.connection = 0;
    net->pool->log = &net->log;

    net->text[0] = '\0';
    net->ready = 0;
    net->out = NULL;
    net->last = &net->out;

    net->fail.handler = ngx_mesh_net_fail_handler;
    net->fail.data = net;
    net->fail.log = ngx_cycle->log;

    if (ngx_mesh_net_name(net) != NGX_OK) {
        ngx_mesh_net_close(net);
        return NGX_ERROR;
    }

    if (ngx_mesh_net_open(net) != NGX_OK) {
        ngx_mesh_net_fail(net);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_net_open(ngx_mesh_net_t *net)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *pc;

    pc = &net->peer;
    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = net->addr->sockaddr;
    pc->socklen = net->addr->socklen;
    pc->name = &net->addr->name;
    pc->get = ngx_event_get_peer;
    pc->log = &net->log;
    pc->log_error = NGX_ERROR_ERR;
    pc->so_keepalive = 1;

    rc = ngx_event_connect_peer(pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return NGX_ERROR;
    }

    c = pc->connection;

    ngx_mesh_net_attach(net, c);

    ngx_add_timer(c->write, net->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


/* of the certificate, and of SNI: OpenSSL wants a zero at its end */

static ngx_int_t
ngx_mesh_net_name(ngx_mesh_net_t *net)
{
    u_char     *p;
    ngx_str_t   name;

    name = net->source->ssl_name.len ? net->source->ssl_name
                                     : net->addr->host;

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    p = ngx_pnalloc(net->pool, name.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(p, name.data, name.len) = '\0';

    net->name.len = name.len;
    net->name.data = p;

    return NGX_OK;
}


static void
ngx_mesh_net_attach(ngx_mesh_net_t *net, ngx_connection_t *c)
{
    net->connection = c;

    c->data = net;
    c->pool = net->pool;
    c->log = &net->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->addr_text = net->addr->name;

    /* a process that leaves does not wait for it */

    c->idle = 1;
    c->read->cancelable = 1;
    c->write->cancelable = 1;

    c->read->handler = ngx_mesh_net_read_handler;
    c->write->handler = ngx_mesh_net_connect_handler;
}


/* keeps the text of an error; what is worse than that is logged by itself */

static void
ngx_mesh_net_log_writer(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len)
{
    u_char          *p, *last;
    size_t           n;
    ngx_mesh_net_t  *net;

    net = log->wdata;
    last = buf + len;

    while (last > buf && (last[-1] == LF || last[-1] == CR)) {
        last--;
    }

    /* "TIME [LEVEL] PID#TID: TEXT" */

    p = ngx_strlchr(buf, last, '#');

    if (p) {
        p = ngx_strlchr(p, last, ' ');
    }

    p = p ? p + 1 : buf;

    if (level <= NGX_LOG_ERR || (level <= NGX_LOG_INFO && !net->text[0])) {
        n = ngx_min((size_t) (last - p), NGX_MESH_NET_TEXT - 1);
        ngx_memcpy(net->text, p, n);
        net->text[n] = '\0';
    }

    if (level > NGX_LOG_ALERT && level <= NGX_LOG_INFO) {
        level = NGX_LOG_INFO;
    }

    ngx_log_error(level, ngx_cycle->log, 0, "mesh registry %V: %*s",
                  &net->source->name, (size_t) (last - p), p);
}


/* not while its owner is inside of a call */

static void
ngx_mesh_net_fail(ngx_mesh_net_t *net)
{
    ngx_post_event(&net->fail, &ngx_posted_events);
}


static void
ngx_mesh_net_fail_handler(ngx_event_t *ev)
{
    ngx_mesh_net_closed(ev->data, "connecting failed");
}


/* tells the owner; the text of an error that was logged says more */

static void
ngx_mesh_net_closed(ngx_mesh_net_t *net, char *reason)
{
    u_char  text[NGX_MESH_NET_TEXT];

    if (reason) {
        ngx_cpystrn(text, net->text[0] ? net->text : (u_char *) reason,
                    NGX_MESH_NET_TEXT);
        reason = (char *) text;
    }

    ngx_mesh_net_close(net);

    net->closed(net, reason);
}


void
ngx_mesh_net_close(ngx_mesh_net_t *net)
{
    ngx_connection_t  *c;

    if (net->gone) {
        *net->gone = 1;
        net->gone = NULL;
    }

    if (net->pool == NULL) {
        return;
    }

    if (net->fail.posted) {
        ngx_delete_posted_event(&net->fail);
    }

    c = net->connection;

    if (c) {

#if (NGX_SSL)
        if (c->ssl) {
            c->ssl->no_wait_shutdown = 1;
            (void) ngx_ssl_shutdown(c);

            if (c->ssl) {

                /* the socket is full: nobody waits for the farewell */

                SSL_free(c->ssl->connection);
                c->ssl = NULL;
            }
        }
#endif

        c->pool = NULL;
        ngx_close_connection(c);
        net->connection = NULL;
    }

    ngx_mesh_net_sent(net, NULL);

    ngx_destroy_pool(net->pool);
    net->pool = NULL;
    net->ready = 0;
}


static void
ngx_mesh_net_connect_handler(ngx_event_t *wev)
{
    ngx_mesh_net_t    *net;
    ngx_connection_t  *c;

    c = wev->data;
    net = c->data;

    if (wev->timedout) {
        ngx_mesh_net_closed(net, "connecting timed out");
        return;
    }

    if (ngx_mesh_net_test_connect(c) != NGX_OK) {
        ngx_mesh_net_closed(net, "connecting failed");
        return;
    }

    ngx_mesh_net_probe(c);

#if (NGX_SSL)
    if (net->addr->ssl) {

        if (ngx_mesh_net_ssl_init(net) != NGX_OK) {
            ngx_mesh_net_closed(net, "TLS handshake failed");
        }

        return;
    }
#endif

    ngx_mesh_net_ready(net);
}


static ngx_int_t
ngx_mesh_net_test_connect(ngx_connection_t *c)
{
    int              err;
    socklen_t        len;
    ngx_mesh_net_t  *net;

    err = 0;
    len = sizeof(int);
    net = c->data;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_log_error(NGX_LOG_ERR, c->log, err, "connect() to %V failed",
                      &net->addr->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* long polls are silent: what cuts idle connections on the way shall not, and
   a peer that is gone is found out */

static void
ngx_mesh_net_probe(ngx_connection_t *c)
{
    ngx_mesh_net_t  *net;

    net = c->data;

    if (net->addr->sockaddr->sa_family == AF_UNIX) {
        return;
    }

    (void) ngx_tcp_nodelay(c);

#if (NGX_HAVE_KEEPALIVE_TUNABLE)
    {
    int  value;

    value = NGX_MESH_NET_PROBE;

    if (setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, (const void *) &value,
                   sizeof(int)) == -1
        || setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, (const void *) &value,
                      sizeof(int)) == -1)
    {
        ngx_log_error(NGX_LOG_INFO, c->log, ngx_socket_errno,
                      "setsockopt(TCP_KEEPIDLE) failed, ignored");
    }
    }
#endif
}


#if (NGX_SSL)

static ngx_int_t
ngx_mesh_net_ssl_init(ngx_mesh_net_t *net)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = net->connection;

    if (net->source->ssl == NULL
        || ngx_ssl_create_connection(net->source->ssl, c, NGX_SSL_CLIENT)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (net->name.len && !ngx_mesh_net_literal(&net->name)
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) net->name.data) == 0)
    {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_tlsext_host_name(\"%V\") failed", &net->name);
        return NGX_ERROR;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_mesh_net_ssl_handler;
        return NGX_OK;
    }

    ngx_mesh_net_ssl_handler(c);

    return NGX_OK;
}


static void
ngx_mesh_net_ssl_handler(ngx_connection_t *c)
{
    ngx_mesh_net_t  *net;

    net = c->data;

    if (c->close) {
        ngx_mesh_net_closed(net, "shutting down");
        return;
    }

    if (c->write->timedout || c->read->timedout) {
        ngx_mesh_net_closed(net, "TLS handshake timed out");
        return;
    }

    if (!c->ssl->handshaked) {
        ngx_mesh_net_closed(net, "TLS handshake failed");
        return;
    }

    if (ngx_mesh_net_ssl_verify(net) != NGX_OK) {
        ngx_mesh_net_closed(net, "certificate verification failed");
        return;
    }

    ngx_mesh_net_ready(net);
}


static ngx_int_t
ngx_mesh_net_ssl_verify(ngx_mesh_net_t *net)
{
    long               rc;
    ngx_connection_t  *c;

    c = net->connection;

    if (!net->source->ssl_verify) {
        return NGX_OK;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "the certificate of %V is not valid: (%l:%s)",
                      &net->addr->name, rc, X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    if (ngx_mesh_net_ssl_check(net) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "the certificate of %V does not match \"%V\"",
                      &net->addr->name, &net->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* nginx's own check knows no addresses, which agents have in theirs */

static ngx_int_t
ngx_mesh_net_ssl_check(ngx_mesh_net_t *net)
{
    int                rc;
    X509              *cert;
    ngx_connection_t  *c;

    c = net->connection;

    if (!ngx_mesh_net_literal(&net->name)) {
        return ngx_ssl_check_host(c, &net->name);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    if (cert == NULL) {
        return NGX_ERROR;
    }

    rc = X509_check_ip_asc(cert, (char *) net->name.data, 0);

    X509_free(cert);

    return rc == 1 ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_mesh_net_literal(ngx_str_t *name)
{
#if (NGX_HAVE_INET6)
    u_char  addr[16];

    if (ngx_inet6_addr(name->data, name->len, addr) == NGX_OK) {
        return 1;
    }
#endif

    return ngx_inet_addr(name->data, name->len) != INADDR_NONE;
}

#endif


static void
ngx_mesh_net_ready(ngx_mesh_net_t *net)
{
    ngx_uint_t         gone;
    ngx_connection_t  *c;

    c = net->connection;

    net->ready = 1;
    net->text[0] = '\0';

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->handler = ngx_mesh_net_read_handler;
    c->write->handler = ngx_mesh_net_write_handler;

    gone = 0;
    net->gone = &gone;

    net->connected(net);

    if (gone) {
        return;
    }

    net->gone = NULL;

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }

    ngx_post_event(c->write, &ngx_posted_events);
}


static void
ngx_mesh_net_read_handler(ngx_event_t *rev)
{
    ssize_t            n;
    ngx_uint_t         i, gone;
    ngx_mesh_net_t    *net;
    ngx_connection_t  *c;

    c = rev->data;
    net = c->data;

    if (c->close) {
        ngx_mesh_net_closed(net, "shutting down");
        return;
    }

    if (!net->ready) {

        /* the other event tells whether it is connected, or why not */

        if (!c->write->posted) {
            ngx_post_event(c->write, &ngx_posted_events);
        }

        return;
    }

    gone = 0;

    for (i = 0; i < NGX_MESH_NET_TURN; i++) {

        n = c->recv(c, ngx_mesh_net_buffer, NGX_MESH_NET_BUFFER);

        if (n == NGX_AGAIN) {
            if (c->write->error) {
                ngx_mesh_net_closed(net, "sending failed");

            } else if (ngx_mesh_net_events(c) != NGX_OK) {
                ngx_mesh_net_closed(net, "no event");
            }

            return;
        }

        if (n <= 0) {
            ngx_mesh_net_closed(net, n ? "receiving failed" : NULL);
            return;
        }

        net->gone = &gone;

        net->received(net, ngx_mesh_net_buffer, n);

        if (gone) {
            return;
        }

        net->gone = NULL;
    }

    ngx_post_event(rev, &ngx_posted_next_events);
}


ngx_int_t
ngx_mesh_net_send(ngx_mesh_net_t *net, u_char *p, size_t n)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (n == 0) {
        return NGX_OK;
    }

    /* not of the pool, which lives as long as the connection */

    cl = ngx_alloc(sizeof(ngx_chain_t) + sizeof(ngx_buf_t) + n,
                   ngx_cycle->log);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = (ngx_buf_t *) (cl + 1);
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = (u_char *) (b + 1);
    b->pos = b->start;
    b->last = ngx_cpymem(b->start, p, n);
    b->end = b->last;
    b->temporary = 1;

    cl->buf = b;
    cl->next = NULL;

    *net->last = cl;
    net->last = &cl->next;

    if (net->ready && !net->connection->write->posted) {
        ngx_post_event(net->connection->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
ngx_mesh_net_write_handler(ngx_event_t *wev)
{
    ngx_chain_t       *cl;
    ngx_mesh_net_t    *net;
    ngx_connection_t  *c;

    c = wev->data;
    net = c->data;

    if (!wev->ready || net->out == NULL) {
        return;
    }

    cl = c->send_chain(c, net->out, 0);

    if (cl == NGX_CHAIN_ERROR) {

        /* who refuses at once has said why, which is to be read before */

        c->write->error = 1;
        ngx_mesh_net_sent(net, NULL);
        ngx_post_event(c->read, &ngx_posted_events);
        return;
    }

    ngx_mesh_net_sent(net, cl);

    if (ngx_mesh_net_events(c) != NGX_OK) {
        ngx_mesh_net_closed(net, "no event");
    }
}


/* frees what is sent, up to a buffer that is not */

static void
ngx_mesh_net_sent(ngx_mesh_net_t *net, ngx_chain_t *until)
{
    ngx_chain_t  *cl;

    while (net->out && net->out != until) {
        cl = net->out;
        net->out = cl->next;
        ngx_free(cl);
    }

    if (net->out == NULL) {
        net->last = &net->out;
    }
}


static ngx_int_t
ngx_mesh_net_events(ngx_connection_t *c)
{
    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_handle_write_event(c->write, 0);
}
