
/*
 * Copyright (C) nginx-mesh authors
 *
 * A connection that the test is the other end of, and no timers.
 */


#include "resp.h"
#include "ngx_mesh_registry_int.h"


volatile ngx_msec_t      ngx_current_msec;
ngx_rbtree_t             ngx_event_timer_rbtree;

u_char                   stub_sent[4096];
size_t                   stub_sent_len;
ngx_uint_t               stub_open;


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    /* void: the test calls the handler */
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    /* void */
}


ngx_int_t
ngx_mesh_net_connect(ngx_mesh_net_t *net)
{
    stub_open++;
    stub_sent_len = 0;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_net_send(ngx_mesh_net_t *net, u_char *p, size_t n)
{
    ngx_memcpy(stub_sent + stub_sent_len, p, n);
    stub_sent_len += n;
    stub_sent[stub_sent_len] = '\0';

    return NGX_OK;
}


void
ngx_mesh_net_close(ngx_mesh_net_t *net)
{
    stub_open--;
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


void
ngx_mesh_agent_large(void)
{
    /* void */
}
