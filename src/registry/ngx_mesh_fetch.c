
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_fetch.h"
#include "ngx_mesh_registry_int.h"


/* bytes of an answer that leaves a mark in the memory of the process */
#define NGX_MESH_FETCH_LARGE  (256 * 1024)


static size_t ngx_mesh_fetch_host(ngx_mesh_fetch_t *fetch, ngx_str_t *host);
static ngx_int_t ngx_mesh_fetch_request(ngx_mesh_fetch_t *fetch, char *method,
    ngx_str_t *uri, ngx_str_t *headers, ngx_str_t *body);
static ngx_int_t ngx_mesh_fetch_start(ngx_mesh_fetch_t *fetch);
static void ngx_mesh_fetch_connected(ngx_mesh_net_t *net);
static void ngx_mesh_fetch_received(ngx_mesh_net_t *net, u_char *p, size_t n);
static void ngx_mesh_fetch_closed(ngx_mesh_net_t *net, char *reason);
static void ngx_mesh_fetch_timer_handler(ngx_event_t *ev);
static void ngx_mesh_fetch_disconnect(ngx_mesh_fetch_t *fetch);
static void ngx_mesh_fetch_idle(ngx_mesh_fetch_t *fetch);
static void ngx_mesh_fetch_answer(ngx_mesh_fetch_t *fetch);
static void ngx_mesh_fetch_error(ngx_mesh_fetch_t *fetch, char *text);
static void ngx_mesh_fetch_free(ngx_mesh_reply_t *reply);


ngx_int_t
ngx_mesh_fetch_send(ngx_mesh_fetch_t *fetch, char *method, ngx_str_t *uri,
    ngx_str_t *headers, ngx_str_t *body, ngx_msec_t timeout)
{
    if (fetch->busy) {
        ngx_mesh_fetch_close(fetch);
    }

    if (fetch->open && fetch->net.addr != fetch->addr) {
        ngx_mesh_fetch_disconnect(fetch);
    }

    if (ngx_mesh_fetch_request(fetch, method, uri, headers, body) != NGX_OK) {
        return NGX_ERROR;
    }

    fetch->timer.handler = ngx_mesh_fetch_timer_handler;
    fetch->timer.data = fetch;
    fetch->timer.log = ngx_cycle->log;
    fetch->timer.cancelable = 1;

    fetch->garbled = 0;
    fetch->crowded = 0;
    fetch->reused = fetch->open;

    if (ngx_mesh_fetch_start(fetch) != NGX_OK) {
        ngx_mesh_fetch_close(fetch);
        return NGX_ERROR;
    }

    fetch->busy = 1;
    ngx_add_timer(&fetch->timer, timeout);

    return NGX_OK;
}


/* what stands behind "Host:": an address of IPv6 in brackets */

static size_t
ngx_mesh_fetch_host(ngx_mesh_fetch_t *fetch, ngx_str_t *host)
{
    *host = fetch->addr->host;

    if (host->len == 0 || fetch->addr->sockaddr->sa_family == AF_UNIX) {
        ngx_str_set(host, "localhost");
        return 0;
    }

    return host->data[0] != '['
           && ngx_strlchr(host->data, host->data + host->len, ':') != NULL;
}


static ngx_int_t
ngx_mesh_fetch_request(ngx_mesh_fetch_t *fetch, char *method, ngx_str_t *uri,
    ngx_str_t *headers, ngx_str_t *body)
{
    size_t      len, brackets;
    u_char     *p, *last;
    ngx_str_t   host;

    if (fetch->request.data) {
        ngx_free(fetch->request.data);
        fetch->request.data = NULL;
    }

    brackets = ngx_mesh_fetch_host(fetch, &host);

    len = ngx_strlen(method) + 1 + uri->len
          + sizeof(" HTTP/1.1" CRLF "Host: []" CRLF
                   "Accept-Encoding: gzip" CRLF
                   "User-Agent: nginx-mesh" CRLF
                   "Content-Length: " CRLF CRLF) + NGX_SIZE_T_LEN
          + host.len + headers->len + (body ? body->len : 0);

    p = ngx_alloc(len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    fetch->request.data = p;
    last = p + len;

    p = ngx_slprintf(p, last, "%s %V HTTP/1.1" CRLF "Host: %s%V%s" CRLF
                     "Accept-Encoding: gzip" CRLF
                     "User-Agent: nginx-mesh" CRLF,
                     method, uri, brackets ? "[" : "", &host,
                     brackets ? "]" : "");

    if (body) {
        p = ngx_slprintf(p, last, "Content-Length: %uz" CRLF, body->len);
    }

    p = ngx_cpymem(p, headers->data, headers->len);
    *p++ = CR;
    *p++ = LF;

    if (body) {
        p = ngx_cpymem(p, body->data, body->len);
    }

    fetch->request.len = p - fetch->request.data;

    return NGX_OK;
}


/* on the connection that is there, or on a new one */

static ngx_int_t
ngx_mesh_fetch_start(ngx_mesh_fetch_t *fetch)
{
    ngx_mesh_net_t  *net;

    net = &fetch->net;

    ngx_mesh_fetch_free(&fetch->reply);
    ngx_mesh_reply_init(&fetch->reply, fetch->max);
    ngx_mesh_reply_share(&fetch->reply, fetch->total, fetch->most);

    if (!fetch->open) {
        net->data = fetch;
        net->source = fetch->source;
        net->addr = fetch->addr;
        net->connect_timeout = fetch->connect_timeout;
        net->connected = ngx_mesh_fetch_connected;
        net->received = ngx_mesh_fetch_received;
        net->closed = ngx_mesh_fetch_closed;

        if (ngx_mesh_net_connect(net) != NGX_OK) {
            return NGX_ERROR;
        }

        fetch->open = 1;
    }

    return ngx_mesh_net_send(net, fetch->request.data, fetch->request.len);
}


static void
ngx_mesh_fetch_connected(ngx_mesh_net_t *net)
{
    /* the request is queued already */
}


static void
ngx_mesh_fetch_received(ngx_mesh_net_t *net, u_char *p, size_t n)
{
    u_char            *last;
    ngx_int_t          rc;
    ngx_mesh_fetch_t  *fetch;

    fetch = net->data;

    if (!fetch->busy) {

        /* nobody asked: whatever it is, it is no answer to the next one */

        ngx_mesh_fetch_disconnect(fetch);
        return;
    }

    last = p + n;

    if (!fetch->reply.started) {
        ngx_add_timer(&fetch->timer, fetch->read_timeout);
    }

    /* a few bytes of gzip may be very many */

    ngx_mesh_agent_busy();

    rc = ngx_mesh_reply_read(&fetch->reply, &p, last);

    ngx_mesh_agent_idle();

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_ERROR) {
        fetch->garbled = 1;
        fetch->crowded = fetch->reply.crowded;
        ngx_mesh_fetch_error(fetch, fetch->reply.error);
        return;
    }

    if (!fetch->reply.keepalive || p != last || net->out) {
        ngx_mesh_fetch_disconnect(fetch);
    }

    ngx_mesh_fetch_answer(fetch);
}


static void
ngx_mesh_fetch_closed(ngx_mesh_net_t *net, char *reason)
{
    ngx_mesh_fetch_t  *fetch;

    fetch = net->data;
    fetch->open = 0;

    if (!fetch->busy) {
        return;
    }

    if (fetch->reused && !fetch->reply.started) {

        /* it had been closed meanwhile, which is nobody's fault */

        fetch->reused = 0;

        if (ngx_mesh_fetch_start(fetch) != NGX_OK) {
            ngx_mesh_fetch_error(fetch, "no memory");
        }

        return;
    }

    if (reason && !fetch->reply.started) {
        ngx_mesh_fetch_error(fetch, reason);
        return;
    }

    if (ngx_mesh_reply_end(&fetch->reply) != NGX_OK) {
        ngx_mesh_fetch_error(fetch, fetch->reply.error);
        return;
    }

    ngx_mesh_fetch_answer(fetch);
}


static void
ngx_mesh_fetch_timer_handler(ngx_event_t *ev)
{
    ngx_mesh_fetch_t  *fetch;

    fetch = ev->data;

    ngx_mesh_fetch_error(fetch, fetch->reply.started
                                ? "the answer took too long"
                                : "no answer in time");
}


static void
ngx_mesh_fetch_disconnect(ngx_mesh_fetch_t *fetch)
{
    ngx_mesh_net_close(&fetch->net);
    fetch->open = 0;
}


/* another request may be sent, even from inside of done() */

static void
ngx_mesh_fetch_idle(ngx_mesh_fetch_t *fetch)
{
    fetch->busy = 0;

    if (fetch->timer.timer_set) {
        ngx_del_timer(&fetch->timer);
    }

    if (fetch->request.data) {
        ngx_free(fetch->request.data);
        fetch->request.data = NULL;
    }
}


static void
ngx_mesh_fetch_answer(ngx_mesh_fetch_t *fetch)
{
    ngx_mesh_reply_t  reply;

    /* zlib's state is gone by now, so that it may be moved */

    reply = fetch->reply;
    ngx_memzero(&fetch->reply, sizeof(ngx_mesh_reply_t));

    ngx_mesh_fetch_idle(fetch);

    fetch->done(fetch, &reply, NULL);

    ngx_mesh_fetch_free(&reply);
}


static void
ngx_mesh_fetch_error(ngx_mesh_fetch_t *fetch, char *text)
{
    u_char     buf[NGX_MESH_NET_TEXT];
    ngx_str_t  error;

    error.data = buf;
    error.len = ngx_cpystrn(buf, (u_char *) text, NGX_MESH_NET_TEXT) - buf;

    ngx_mesh_fetch_close(fetch);

    fetch->done(fetch, NULL, &error);
}


void
ngx_mesh_fetch_close(ngx_mesh_fetch_t *fetch)
{
    ngx_mesh_fetch_idle(fetch);
    ngx_mesh_fetch_disconnect(fetch);
    ngx_mesh_fetch_free(&fetch->reply);
}


static void
ngx_mesh_fetch_free(ngx_mesh_reply_t *reply)
{
    if (reply->body.len > NGX_MESH_FETCH_LARGE) {
        ngx_mesh_agent_large();
    }

    ngx_mesh_reply_free(reply);
}
