
/*
 * Copyright (C) nginx-mesh authors
 *
 * Time, events and questions, as the test wants them.
 */


#include "metadata_test.h"


static ngx_time_t        stub_now = { 1000000, 0, 0 };
static ngx_rbtree_node_t stub_sentinel;

volatile ngx_msec_t      ngx_current_msec = 1000000;
volatile ngx_time_t     *ngx_cached_time = &stub_now;
ngx_rbtree_t             ngx_event_timer_rbtree;
ngx_queue_t              ngx_posted_events;

ngx_mesh_metadata_ask_t  *stub_asks[64];
ngx_uint_t                stub_nasks;
ngx_uint_t                stub_asked;


ngx_int_t
ngx_mesh_metadata_ask(ngx_mesh_metadata_ask_t *ask)
{
    ask->busy = 1;
    stub_asks[stub_nasks++] = ask;
    stub_asked++;

    return NGX_OK;
}


void
ngx_mesh_metadata_ask_close(ngx_mesh_metadata_ask_t *ask)
{
    ngx_uint_t  i;

    for (i = 0; i < stub_nasks; i++) {
        if (stub_asks[i] == ask) {
            stub_asks[i] = stub_asks[--stub_nasks];
            return;
        }
    }
}


void
stub_answer(ngx_uint_t n, const char *vector, const char *error)
{
    ngx_str_t                 text;
    ngx_pool_t               *to;
    ngx_mesh_metadata_ask_t  *ask;

    if (n >= stub_nasks) {
        ok(0, "nobody is asked");
        return;
    }

    ask = stub_asks[n];
    ngx_mesh_metadata_ask_close(ask);

    if (vector) {
        to = ngx_create_pool(4096, NULL);
        ask->done(ask, to, vector_services(vector, to), NULL);
        return;
    }

    text = str(error);
    ask->done(ask, NULL, NULL, &text);
}


void
stub_posted(void)
{
    ngx_event_t  *ev;
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&ngx_posted_events)) {
        q = ngx_queue_head(&ngx_posted_events);
        ev = ngx_queue_data(q, ngx_event_t, queue);

        ngx_delete_posted_event(ev);
        ev->handler(ev);
    }
}


void
stub_sleep(ngx_msec_t ms)
{
    ngx_event_t        *ev;
    ngx_msec_t          until;
    ngx_rbtree_node_t  *node;

    until = ngx_current_msec + ms;

    for ( ;; ) {
        node = ngx_event_timer_rbtree.root;

        if (node != &stub_sentinel) {
            node = ngx_rbtree_min(node, &stub_sentinel);
        }

        if (node == &stub_sentinel || node->key > until) {
            break;
        }

        ngx_current_msec = ngx_max(ngx_current_msec, node->key);
        stub_now.sec = ngx_current_msec / 1000;

        ev = ngx_rbtree_data(node, ngx_event_t, timer);
        ngx_rbtree_delete(&ngx_event_timer_rbtree, node);
        ev->timer_set = 0;
        ev->timedout = 1;
        ev->handler(ev);
        stub_posted();
    }

    ngx_current_msec = until;
    stub_now.sec = until / 1000;
}


static void
stub_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {
        p = (node->key < temp->key) ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
}


void
stub_begin(void)
{
    ngx_rbtree_init(&ngx_event_timer_rbtree, &stub_sentinel, stub_insert);
    ngx_queue_init(&ngx_posted_events);
}


ngx_msec_t
ngx_mesh_discovery_backoff(ngx_msec_t last)
{
    return last ? ngx_min(2 * last, 30000) : 250;
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


ngx_array_t *
ngx_array_create(ngx_pool_t *p, ngx_uint_t n, size_t size)
{
    ngx_array_t  *a;

    a = ngx_palloc(p, sizeof(ngx_array_t));

    return a && ngx_array_init(a, p, n, size) == NGX_OK ? a : NULL;
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    while (--n && (*dst = *src)) {
        dst++;
        src++;
    }

    *dst = '\0';

    return dst;
}


/* %V, %s and %ui */

u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    char        num[32];
    size_t      n;
    u_char     *p;
    ngx_str_t  *s;

    for ( /* void */ ; *fmt && buf < last; fmt++) {

        if (*fmt != '%') {
            *buf++ = (u_char) *fmt;
            continue;
        }

        switch (*++fmt) {

        case 'V':
            s = va_arg(args, ngx_str_t *);
            p = s->data;
            n = s->len;
            break;

        case 's':
            p = va_arg(args, u_char *);
            n = strlen((char *) p);
            break;

        default: /* "ui" */
            fmt++;
            n = snprintf(num, sizeof(num), "%lu",
                         (unsigned long) va_arg(args, ngx_uint_t));
            p = (u_char *) num;
            break;
        }

        n = ngx_min(n, (size_t) (last - buf));

        if (n) {
            buf = ngx_cpymem(buf, p, n);
        }
    }

    return buf;
}


u_char *
ngx_slprintf(u_char *buf, u_char *last, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, last, fmt, args);
    va_end(args);

    return buf;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return buf;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}


ngx_uint_t
ngx_mesh_protocol_known(ngx_str_t *protocol)
{
    return 1;
}
