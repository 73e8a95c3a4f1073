
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_metadata_int.h"
#include "ngx_mesh_registry_int.h"


/*
 * getMetadataInfo(revision) of the service that every instance has for this,
 * by Dubbo's protocol; or, where an instance offers it by Triple alone, as
 * JSON over HTTP/1.1, which Triple understands since 3.3.
 */


#define NGX_MESH_METADATA_CONNECT  2000
#define NGX_MESH_METADATA_ANSWER   8000      /* ms for all of it */

#define NGX_MESH_METADATA_URI                                                 \
    "/org.apache.dubbo.metadata.MetadataService/getMetadataInfo"

#define NGX_MESH_METADATA_TEXT     500


static ngx_int_t ngx_mesh_metadata_dubbo(ngx_mesh_metadata_ask_t *ask);
static void ngx_mesh_metadata_connected(ngx_mesh_net_t *net);
static void ngx_mesh_metadata_received(ngx_mesh_net_t *net, u_char *p,
    size_t n);
static ngx_int_t ngx_mesh_metadata_keep(ngx_mesh_metadata_ask_t *ask,
    u_char *p, size_t n);
static ngx_int_t ngx_mesh_metadata_frame(ngx_mesh_metadata_ask_t *ask,
    u_char *p, size_t n, size_t *len);
static void ngx_mesh_metadata_closed(ngx_mesh_net_t *net, char *reason);
static void ngx_mesh_metadata_answer(ngx_mesh_metadata_ask_t *ask, u_char *p,
    ngx_mesh_frame_t *f);
static void *ngx_mesh_metadata_alloc(void *data, size_t size);

static ngx_int_t ngx_mesh_metadata_http(ngx_mesh_metadata_ask_t *ask);
static ngx_int_t ngx_mesh_metadata_body(ngx_mesh_metadata_ask_t *ask,
    ngx_str_t *body);
static void ngx_mesh_metadata_fetched(ngx_mesh_fetch_t *fetch,
    ngx_mesh_reply_t *reply, ngx_str_t *error);
static void ngx_mesh_metadata_reply(ngx_mesh_metadata_ask_t *ask,
    ngx_str_t *body);

static void ngx_mesh_metadata_late(ngx_event_t *ev);
static void ngx_mesh_metadata_done(ngx_mesh_metadata_ask_t *ask,
    ngx_pool_t *pool, ngx_array_t *services);
static void ngx_mesh_metadata_failed(ngx_mesh_metadata_ask_t *ask,
    ngx_str_t *text);
static void ngx_mesh_metadata_fail(ngx_mesh_metadata_ask_t *ask, char *text);


ngx_int_t
ngx_mesh_metadata_ask(ngx_mesh_metadata_ask_t *ask)
{
    ngx_int_t  rc;

    ask->busy = 1;
    ask->bytes.data = NULL;
    ask->bytes.len = 0;
    ask->size = 0;

    /* addresses point into the place itself, which was copied */

    ask->place.addr.sockaddr = (struct sockaddr *) ask->place.sockaddr;
    ask->place.addr.name.data = ask->place.text;
    ask->place.addr.host.data = ask->place.text;
    ask->place.addr.url.data = ask->place.text;

    ngx_memzero(&ask->timer, sizeof(ngx_event_t));
    ask->timer.handler = ngx_mesh_metadata_late;
    ask->timer.data = ask;
    ask->timer.log = ngx_cycle->log;
    ask->timer.cancelable = 1;

    rc = ask->place.http ? ngx_mesh_metadata_http(ask)
                         : ngx_mesh_metadata_dubbo(ask);

    if (rc != NGX_OK) {
        ngx_mesh_metadata_ask_close(ask);
        return NGX_ERROR;
    }

    ngx_add_timer(&ask->timer, NGX_MESH_METADATA_ANSWER);

    return NGX_OK;
}


void
ngx_mesh_metadata_ask_close(ngx_mesh_metadata_ask_t *ask)
{
    if (!ask->busy) {
        return;
    }

    ask->busy = 0;

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }

    if (ask->place.http) {
        ngx_mesh_fetch_close(&ask->fetch);

    } else {
        ngx_mesh_net_close(&ask->net);
    }

    if (ask->bytes.data) {
        ngx_free(ask->bytes.data);
        ask->bytes.data = NULL;
    }
}


static ngx_int_t
ngx_mesh_metadata_dubbo(ngx_mesh_metadata_ask_t *ask)
{
    size_t                  len;
    u_char                 *p;
    ngx_int_t               rc;
    ngx_mesh_net_t         *net;
    ngx_mesh_dubbo_call_t   call;

    net = &ask->net;
    ngx_memzero(net, sizeof(ngx_mesh_net_t));

    net->data = ask;
    net->source = ask->source;
    net->addr = &ask->place.addr;
    net->connect_timeout = NGX_MESH_METADATA_CONNECT;
    net->connected = ngx_mesh_metadata_connected;
    net->received = ngx_mesh_metadata_received;
    net->closed = ngx_mesh_metadata_closed;

    if (ngx_mesh_net_connect(net) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&call, sizeof(ngx_mesh_dubbo_call_t));

    call.id = 1;
    ngx_str_set(&call.service, "org.apache.dubbo.metadata.MetadataService");
    ngx_str_set(&call.version, "1.0.0");
    ngx_str_set(&call.method, "getMetadataInfo");
    ngx_str_set(&call.descriptor, "Ljava/lang/String;");
    call.group = ask->app;
    call.args = &ask->revision;
    call.nargs = 1;
    call.timeout = NGX_MESH_METADATA_ANSWER;

    len = ngx_mesh_dubbo_call(NULL, 0, &call);

    p = ngx_alloc(len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_mesh_dubbo_call(p, len, &call);

    rc = ngx_mesh_net_send(net, p, len);

    ngx_free(p);

    return rc;
}


static void
ngx_mesh_metadata_connected(ngx_mesh_net_t *net)
{
}


static void
ngx_mesh_metadata_received(ngx_mesh_net_t *net, u_char *p, size_t n)
{
    size_t                    len, done;
    ngx_int_t                 rc;
    ngx_mesh_metadata_ask_t  *ask;

    ask = net->data;
    done = 0;

    switch (ngx_mesh_metadata_keep(ask, p, n)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_mesh_metadata_fail(ask, "it answered more than 8 MiB");
        return;

    default: /* NGX_ERROR */
        ngx_mesh_metadata_fail(ask, "no memory");
        return;
    }

    do {
        rc = ngx_mesh_metadata_frame(ask, ask->bytes.data + done,
                                     ask->bytes.len - done, &len);
        if (rc == NGX_DONE) {
            return;
        }

        done += len;

    } while (rc == NGX_OK);

    ask->bytes.len -= done;
    ngx_memmove(ask->bytes.data, ask->bytes.data + done, ask->bytes.len);
}


static ngx_int_t
ngx_mesh_metadata_keep(ngx_mesh_metadata_ask_t *ask, u_char *p, size_t n)
{
    u_char  *data;
    size_t   size;

    if (n > ask->size - ask->bytes.len) {

        size = ngx_max(2 * ask->size, ask->bytes.len + n);

        if (ask->bytes.len + n > NGX_MESH_METADATA_SIZE) {
            return NGX_DECLINED;
        }

        data = ngx_alloc(size, ngx_cycle->log);
        if (data == NULL) {
            return NGX_ERROR;
        }

        if (ask->bytes.data) {
            ngx_memcpy(data, ask->bytes.data, ask->bytes.len);
            ngx_free(ask->bytes.data);
        }

        ask->bytes.data = data;
        ask->size = size;
    }

    ngx_memcpy(ask->bytes.data + ask->bytes.len, p, n);
    ask->bytes.len += n;

    return NGX_OK;
}


/* NGX_OK: a frame of that length that is not the answer; NGX_AGAIN: there is no
   complete one; NGX_DONE: the question is over, and the memory may be gone */

static ngx_int_t
ngx_mesh_metadata_frame(ngx_mesh_metadata_ask_t *ask, u_char *p, size_t n,
    size_t *len)
{
    ngx_int_t         rc;
    ngx_mesh_frame_t  f;

    *len = 0;
    ngx_memzero(&f, sizeof(ngx_mesh_frame_t));

    rc = ngx_mesh_dubbo_codec.head(&ngx_mesh_dubbo_codec, p, n, &f);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_metadata_fail(ask, "it does not speak dubbo");
        return NGX_DONE;
    }

    if (f.size > NGX_MESH_METADATA_SIZE) {
        ngx_mesh_metadata_fail(ask, "it answered more than 8 MiB");
        return NGX_DONE;
    }

    if (f.size > n) {
        return NGX_AGAIN;
    }

    if (f.kind != NGX_MESH_FRAME_RESPONSE || f.id != 1) {
        *len = f.size;
        return NGX_OK;
    }

    ngx_mesh_metadata_answer(ask, p, &f);

    return NGX_DONE;
}


static void
ngx_mesh_metadata_closed(ngx_mesh_net_t *net, char *reason)
{
    ngx_mesh_metadata_fail(net->data, reason ? reason
                                             : "it closed the connection");
}


static void
ngx_mesh_metadata_answer(ngx_mesh_metadata_ask_t *ask, u_char *p,
    ngx_mesh_frame_t *f)
{
    char                    *why;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_pool_t              *work, *pool;
    ngx_array_t             *services;
    ngx_mesh_tree_t         *value;
    ngx_mesh_tree_reader_t   r;

    why = "no memory";
    services = NULL;

    work = ngx_create_pool(4096, ngx_cycle->log);
    pool = ngx_create_pool(4096, ngx_cycle->log);

    if (work && pool) {
        services = ngx_array_create(pool, 16,
                                    sizeof(ngx_mesh_metadata_service_t));
    }

    rc = NGX_ABORT;

    if (services) {
        r.alloc = ngx_mesh_metadata_alloc;
        r.data = work;
        r.max = NGX_MESH_METADATA_VALUES;

        /* of a million values it takes its time */

        ngx_mesh_agent_busy();
        ngx_mesh_agent_large();

        rc = ngx_mesh_dubbo_answer(p, f, &r, &value, &text);

        if (rc == NGX_ERROR) {
            why = "its answer is damaged";

        } else if (rc == NGX_OK && value == NULL) {
            why = "it does not know the revision";
            rc = NGX_ERROR;

        } else if (rc == NGX_OK) {
            rc = ngx_mesh_metadata_tree(value, &ask->revision, pool, services,
                                        &why);
            rc = (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
        }

        ngx_mesh_agent_idle();
    }

    /* the text of a failure may be of the work */

    if (rc == NGX_OK) {
        ngx_destroy_pool(work);
        ngx_mesh_metadata_done(ask, pool, services);
        return;
    }

    if (rc != NGX_DECLINED) {
        text.data = (u_char *) why;
        text.len = ngx_strlen(why);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_mesh_metadata_failed(ask, &text);

    if (work) {
        ngx_destroy_pool(work);
    }
}


static void *
ngx_mesh_metadata_alloc(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


static ngx_int_t
ngx_mesh_metadata_http(ngx_mesh_metadata_ask_t *ask)
{
    ngx_int_t          rc;
    ngx_str_t          uri, headers, body;
    ngx_mesh_fetch_t  *fetch;

    fetch = &ask->fetch;
    ngx_memzero(fetch, sizeof(ngx_mesh_fetch_t));

    fetch->data = ask;
    fetch->source = ask->source;
    fetch->addr = &ask->place.addr;
    fetch->connect_timeout = NGX_MESH_METADATA_CONNECT;
    fetch->read_timeout = NGX_MESH_METADATA_ANSWER;
    fetch->max = NGX_MESH_METADATA_SIZE;
    fetch->done = ngx_mesh_metadata_fetched;

    if (ngx_mesh_metadata_body(ask, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    /* no group: an application has but one service of that name */

    ngx_str_set(&uri, NGX_MESH_METADATA_URI);
    ngx_str_set(&headers, "Content-Type: application/json" CRLF
                          "tri-service-version: 1.0.0" CRLF);

    rc = ngx_mesh_fetch_send(fetch, "POST", &uri, &headers, &body,
                             NGX_MESH_METADATA_ANSWER);

    cJSON_free(body.data);

    return rc;
}


/* the arguments */

static ngx_int_t
ngx_mesh_metadata_body(ngx_mesh_metadata_ask_t *ask, ngx_str_t *body)
{
    char        *p;
    u_char      *text;
    cJSON       *args;
    ngx_str_t   *s;

    s = &ask->revision;

    text = ngx_alloc(s->len + 1, ngx_cycle->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(text, s->data, s->len) = '\0';

    args = cJSON_CreateArray();
    (void) cJSON_AddItemToArray(args, cJSON_CreateString((char *) text));

    p = cJSON_PrintUnformatted(args);

    cJSON_Delete(args);
    ngx_free(text);

    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = (u_char *) p;
    body->len = ngx_strlen(p);

    return NGX_OK;
}


static void
ngx_mesh_metadata_fetched(ngx_mesh_fetch_t *fetch, ngx_mesh_reply_t *reply,
    ngx_str_t *error)
{
    u_char                   *p, text[NGX_MESH_METADATA_TEXT];
    ngx_str_t                 s;
    ngx_mesh_metadata_ask_t  *ask;

    ask = fetch->data;

    if (reply && reply->status == 200) {
        ngx_mesh_metadata_reply(ask, &reply->body);
        return;
    }

    /* before 3.3 Triple speaks HTTP/2 alone */

    p = ngx_cpymem(text, "its metadata is offered by triple alone (",
                   sizeof("its metadata is offered by triple alone (") - 1);

    if (reply) {
        p = ngx_slprintf(p, text + NGX_MESH_METADATA_TEXT - 100, "HTTP %ui",
                         reply->status);

    } else {
        p = ngx_slprintf(p, text + NGX_MESH_METADATA_TEXT - 100, "%V", error);
    }

    p = ngx_slprintf(p, text + NGX_MESH_METADATA_TEXT, "), it needs "
                     "dubbo.application.metadata-service-protocol=dubbo");

    s.data = text;
    s.len = p - text;

    ngx_mesh_metadata_failed(ask, &s);
}


static void
ngx_mesh_metadata_reply(ngx_mesh_metadata_ask_t *ask, ngx_str_t *body)
{
    char         *why;
    cJSON        *json;
    ngx_int_t     rc;
    ngx_pool_t   *pool;
    ngx_array_t  *services;

    json = NULL;

    ngx_mesh_agent_busy();

    if (ngx_mesh_reply_values(body) <= NGX_MESH_METADATA_VALUES) {
        json = cJSON_ParseWithLength((char *) body->data, body->len);
    }

    if (!cJSON_IsObject(json)) {
        why = cJSON_IsNull(json) ? "it does not know the revision"
                                 : "its answer is damaged";
        cJSON_Delete(json);
        ngx_mesh_agent_idle();

        ngx_mesh_metadata_fail(ask, why);
        return;
    }

    why = "no memory";
    services = NULL;
    rc = NGX_ERROR;

    pool = ngx_create_pool(4096, ngx_cycle->log);

    if (pool) {
        services = ngx_array_create(pool, 16,
                                    sizeof(ngx_mesh_metadata_service_t));
    }

    if (services) {
        rc = ngx_mesh_metadata_json(json, &ask->revision, pool, services,
                                    &why);
    }

    cJSON_Delete(json);
    ngx_mesh_agent_idle();

    if (rc == NGX_OK) {
        ngx_mesh_metadata_done(ask, pool, services);
        return;
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_mesh_metadata_fail(ask, why);
}


static void
ngx_mesh_metadata_late(ngx_event_t *ev)
{
    ngx_mesh_metadata_fail(ev->data, "it did not answer in time");
}


static void
ngx_mesh_metadata_done(ngx_mesh_metadata_ask_t *ask, ngx_pool_t *pool,
    ngx_array_t *services)
{
    ngx_mesh_metadata_ask_close(ask);

    ask->done(ask, pool, services, NULL);
}


static void
ngx_mesh_metadata_failed(ngx_mesh_metadata_ask_t *ask, ngx_str_t *text)
{
    u_char     *p, *last, buf[NGX_MESH_METADATA_TEXT];
    ngx_str_t   s;

    last = ngx_slprintf(buf, buf + NGX_MESH_METADATA_TEXT, "%V: %V",
                        &ask->place.addr.name, text);

    /* exceptions have several lines, a log must not */

    for (p = buf; p < last; p++) {
        if (*p < ' ' || *p == 0x7f) {
            *p = ' ';
        }
    }

    s.data = buf;
    s.len = last - buf;

    ngx_mesh_metadata_ask_close(ask);

    ask->done(ask, NULL, NULL, &s);
}


static void
ngx_mesh_metadata_fail(ngx_mesh_metadata_ask_t *ask, char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    ngx_mesh_metadata_failed(ask, &s);
}
