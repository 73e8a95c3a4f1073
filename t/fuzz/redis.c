
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as what a Redis answers, in pieces as large as the first byte says.
 * Hashes are read one after another as those of one interface, a number is the
 * server's clock from then on, all else is taken for who it is.
 */


#include "unit.h"
#include "ngx_mesh_redis_server.h"
#include "ngx_mesh_redis_view.h"
#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_resp.h"


#define COMMANDS  40

/* ms since 1970 of the year 10000, as late as a server's clock may be */
#define LATEST    253402300800000


#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


volatile ngx_msec_t              ngx_current_msec = 1000000;
ngx_rbtree_t                     ngx_event_timer_rbtree;

static ngx_rbtree_node_t         sentinel;
static ngx_uint_t                opened, closed;
static int64_t                   server_clock;
static ngx_mesh_resp_t           resp;
static ngx_mesh_redis_view_t     view;
static ngx_mesh_redis_server_t   server, known;


ngx_int_t
ngx_mesh_net_connect(ngx_mesh_net_t *net)
{
    opened++;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_net_send(ngx_mesh_net_t *net, u_char *p, size_t n)
{
    return NGX_OK;
}


void
ngx_mesh_net_close(ngx_mesh_net_t *net)
{
    opened--;
}


void
ngx_mesh_agent_large(void)
{
    /* void: that is the agent's */
}


void
ngx_explicit_memzero(void *buf, size_t n)
{
    ngx_memzero(buf, n);
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    while (--n && *src) {
        *dst++ = *src++;
    }

    *dst = '\0';

    return dst;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    /* void: debug messages */
}


static void
hash(ngx_mesh_reply_t *reply)
{
    ngx_uint_t               i, hold, n, suspects;
    ngx_mesh_redis_field_t  *f;

    ngx_current_msec += 1000;

    ngx_mesh_redis_view_begin(&view, (int64_t) ngx_current_msec,
                              server_clock);

    for (i = 0; i < reply->nelements; i += 2) {
        check(ngx_mesh_redis_view_field(&view, &reply->elements[i]->str,
                                        &reply->elements[i + 1]->str)
              == NGX_OK);
        (void) ngx_mesh_redis_rule_alive(&reply->elements[i]->str,
                                         &reply->elements[i + 1]->str,
                                         server_clock);
    }

    ngx_mesh_redis_view_end(&view);
    check(view.lost <= view.had && view.holding <= view.lost);

    hold = ngx_mesh_redis_view_hold(&view, reply->nelements % 3,
                                    ngx_current_msec / 1000 % 4);
    ngx_mesh_redis_view_settle(&view, hold);

    n = 0;
    suspects = 0;

    for (f = ngx_mesh_redis_view_next(&view, NULL);
         f;
         f = ngx_mesh_redis_view_next(&view, f))
    {
        n += f->used;
        suspects += f->used && f->suspect;
    }

    check(n == view.used && suspects == view.suspects);
    check(view.due >= 0);
}


static void
handler(void *data, ngx_mesh_reply_t *reply)
{
    size_t      i;
    ngx_uint_t  n;

    check(data == &resp);

    if (reply == NULL) {
        return;
    }

    switch (reply->type) {

    case REDIS_REPLY_ERROR:
        (void) ngx_mesh_resp_class(&reply->str);
        (void) ngx_mesh_resp_is(reply, "NOPERM");

        for (i = 0; i < reply->str.len; i++) {
            check(reply->str.data[i] >= ' ' && reply->str.data[i] != 0x7f);
        }

        return;

    case REDIS_REPLY_INTEGER:
        if (reply->integer >= 0 && reply->integer < LATEST) {
            server_clock = reply->integer;
        }

        return;

    case REDIS_REPLY_STRING:
        ngx_mesh_redis_server_info(&server, &reply->str);
        break;

    case REDIS_REPLY_ARRAY:
        for (n = 0; n < reply->nelements; n++) {
            if (reply->elements[n]->type != REDIS_REPLY_STRING) {
                break;
            }
        }

        if (n == reply->nelements && n % 2 == 0) {
            hash(reply);
        }

        ngx_mesh_redis_server_role(&server, reply);
    }

    (void) ngx_mesh_redis_server_wrong(&server, 1);
    (void) ngx_mesh_redis_server_doubtful(&known, &server, 0, 60000);
    known = server;
}


static void
push(ngx_mesh_resp_t *r, ngx_str_t *channel, ngx_str_t *message)
{
    check(channel->data && message->data);
    check(channel->data[channel->len] == '\0');
}


static void
over(ngx_mesh_resp_t *r, ngx_str_t *reason)
{
    check(reason->len);
    closed++;
}


static void
feed(const uint8_t *data, size_t size)
{
    u_char  *copy;

    copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    resp.net.received(&resp.net, copy, size);
    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            step;
    ngx_str_t         args[2];
    ngx_uint_t        i;

    static ngx_log_t  log;

    if (size == 0) {
        return 0;
    }

    ((ngx_cycle_t *) ngx_cycle)->log = &log;
    ngx_rbtree_init(&ngx_event_timer_rbtree, &sentinel,
                    ngx_str_rbtree_insert_value);

    closed = 0;
    server_clock = 1700000000000;
    ngx_memzero(&server, sizeof(server));
    ngx_mesh_redis_view_init(&view, 60000);

    resp.timeout = 1000;
    resp.patience = 10000;
    resp.push = push;
    resp.closed = over;

    check(ngx_mesh_resp_connect(&resp) == NGX_OK);

    ngx_str_set(&args[0], "HGETALL");
    ngx_str_set(&args[1], "key");

    for (i = 0; i < COMMANDS; i++) {
        check(ngx_mesh_resp_send(&resp, args, 2, 1 + i % 3, handler, &resp)
              == NGX_OK);
    }

    step = data[0] ? data[0] : size;

    for (data++, size--; size && !closed; data += step, size -= step) {
        step = ngx_min(step, size);
        feed(data, step);
    }

    ngx_mesh_resp_close(&resp);
    ngx_mesh_redis_view_clear(&view);

    check(opened == 0 && (resp.reader == NULL
                          || ngx_queue_empty(&resp.pending)));

    return 0;
}
