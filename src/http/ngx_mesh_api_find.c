
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


static ngx_uint_t ngx_mesh_api_match(ngx_str_t *pattern, ngx_str_t *path,
    ngx_str_t *params);
static u_char *ngx_mesh_api_segment(u_char *p, u_char *last);
static ngx_int_t ngx_mesh_api_decode(ngx_mesh_api_call_t *call,
    ngx_str_t *s);
static ngx_int_t ngx_mesh_api_allow(ngx_mesh_api_call_t *call,
    ngx_uint_t methods);


ngx_mesh_api_op_t  *ngx_mesh_api_ops[] = {
    ngx_mesh_api_root_ops,
    ngx_mesh_api_service_ops,
    ngx_mesh_api_endpoint_ops,
    ngx_mesh_api_override_ops,
    ngx_mesh_api_batch_ops,
    ngx_mesh_api_route_ops,
    ngx_mesh_api_explain_ops,
    ngx_mesh_api_watch_ops,
    ngx_mesh_api_snapshot_ops,
    ngx_mesh_api_revision_ops,
    ngx_mesh_api_registry_ops,
    ngx_mesh_api_openapi_ops,
    NULL
};


static struct {
    ngx_uint_t   method;
    char        *name;
} ngx_mesh_api_methods[] = {
    { NGX_HTTP_GET, "GET, HEAD" },
    { NGX_HTTP_POST, "POST" },
    { NGX_HTTP_PUT, "PUT" },
    { NGX_HTTP_PATCH, "PATCH" },
    { NGX_HTTP_DELETE, "DELETE" },
    { 0, NULL }
};


ngx_int_t
ngx_mesh_api_find(ngx_mesh_api_call_t *call)
{
    ngx_str_t           params[NGX_MESH_API_PARAMS];
    ngx_uint_t          i, methods, method;
    ngx_mesh_api_op_t  *op, **ops;

    methods = 0;
    method = (call->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : call->method;

    for (ops = ngx_mesh_api_ops; *ops; ops++) {

        for (op = *ops; op->handler; op++) {

            ngx_memzero(params, sizeof(params));

            if (!ngx_mesh_api_match(&op->path, &call->path, params)) {
                continue;
            }

            methods |= op->method;

            if (op->method == method) {
                call->op = op;
                ngx_memcpy(call->params, params, sizeof(params));
            }
        }
    }

    if (methods == 0) {
        return ngx_mesh_api_fail(call, NGX_HTTP_NOT_FOUND, "NotFound",
                                 "GET the root for what there is",
                                 "there is nothing of that path");
    }

    if (ngx_mesh_api_allow(call, methods) != NGX_OK) {
        return NGX_ERROR;
    }

    if (call->op == NULL) {

        if (call->method == NGX_HTTP_OPTIONS) {
            call->status = NGX_HTTP_NO_CONTENT;
            return NGX_OK;
        }

        return ngx_mesh_api_fail(call, NGX_HTTP_NOT_ALLOWED,
                                 "MethodNotAllowed", NULL,
                                 "%V is not for this path",
                                 &call->method_name);
    }

    for (i = 0; i < NGX_MESH_API_PARAMS; i++) {

        if (call->params[i].data
            && ngx_mesh_api_decode(call, &call->params[i]) != NGX_OK)
        {
            return call->error.status ? NGX_DECLINED : NGX_ERROR;
        }
    }

    return NGX_OK;
}


static u_char *
ngx_mesh_api_segment(u_char *p, u_char *last)
{
    while (p < last && *p != '/') {
        p++;
    }

    return p;
}


static ngx_uint_t
ngx_mesh_api_match(ngx_str_t *pattern, ngx_str_t *path, ngx_str_t *params)
{
    u_char      *p, *s, *last, *end, *to, *stop;
    ngx_uint_t   n;

    p = pattern->data;
    last = p + pattern->len;
    s = path->data;
    end = s + path->len;

    for (n = 0; /* void */ ; p = to + 1, s = stop + 1) {

        to = ngx_mesh_api_segment(p, last);
        stop = ngx_mesh_api_segment(s, end);

        if (p < to && *p == '{') {

            if (stop == s) {
                return 0;
            }

            params[n].data = s;
            params[n++].len = stop - s;

        } else if (to - p != stop - s || ngx_memcmp(p, s, to - p) != 0) {
            return 0;
        }

        if (to == last || stop == end) {
            return to == last && stop == end;
        }
    }
}


/* a NUL separates the parts of keys, and nobody needs the others */

static ngx_int_t
ngx_mesh_api_decode(ngx_mesh_api_call_t *call, ngx_str_t *s)
{
    u_char     *p, *last, *dst;
    uint32_t    ch;
    ngx_int_t   c;

    p = s->data;
    last = p + s->len;

    dst = ngx_pnalloc(call->pool, s->len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    s->data = dst;

    while (p < last) {
        c = *p++;

        if (c == '%') {
            c = (last - p >= 2) ? ngx_hextoi(p, 2) : NGX_ERROR;
            p += 2;
        }

        if (c < 0x20 || c == 0x7f) {
            return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadPath",
                                     NULL, "the path is not encoded right");
        }

        *dst++ = (u_char) c;
    }

    s->len = dst - s->data;

    /* who is shown in JSON has to be found by what is shown */

    for (p = s->data; p < dst; /* void */ ) {

        if (*p < 0x80) {
            p++;
            continue;
        }

        ch = ngx_utf8_decode(&p, dst - p);

        if (ch > 0x10ffff || (ch >= 0xd800 && ch <= 0xdfff)) {
            return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadPath",
                                     NULL, "the path is no UTF-8");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_allow(ngx_mesh_api_call_t *call, ngx_uint_t methods)
{
    u_char      *p;
    ngx_uint_t   i;

    p = ngx_pnalloc(call->pool, sizeof("GET, HEAD, POST, PUT, PATCH, DELETE, "
                                       "OPTIONS"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->allow.data = p;

    for (i = 0; ngx_mesh_api_methods[i].name; i++) {

        if (methods & ngx_mesh_api_methods[i].method) {
            p = ngx_sprintf(p, "%s, ", ngx_mesh_api_methods[i].name);
        }
    }

    call->allow.len = ngx_sprintf(p, "OPTIONS") - call->allow.data;

    return NGX_OK;
}
