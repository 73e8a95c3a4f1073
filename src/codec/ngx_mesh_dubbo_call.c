
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_dubbo.h"
#include "ngx_mesh_edit.h"
#include "ngx_mesh_tree.h"


/*
 * A call of our own: not on behalf of a client, whose bytes would be passed
 * on, but one whose answer is for us.
 */


/* flags of a result; those with attachments are three more */
#define NGX_MESH_DUBBO_THROWN  0
#define NGX_MESH_DUBBO_VALUE   1
#define NGX_MESH_DUBBO_NULL    2
#define NGX_MESH_DUBBO_MORE    3

/* of what a provider says about a failure, stack traces included */
#define NGX_MESH_DUBBO_TEXT    300


static void ngx_mesh_dubbo_call_pair(ngx_mesh_edit_out_t *out,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_mesh_dubbo_answer_thrown(ngx_mesh_tree_reader_t *r,
    ngx_str_t *text);
static void ngx_mesh_dubbo_answer_line(ngx_str_t *text);


size_t
ngx_mesh_dubbo_call(u_char *dst, size_t size, ngx_mesh_dubbo_call_t *call)
{
    u_char               *p, head[NGX_MESH_DUBBO_HEAD];
    u_char                num[NGX_INT64_LEN];
    ngx_str_t             s;
    ngx_uint_t            i;
    ngx_mesh_edit_out_t   out;

    out.dst = dst;
    out.size = size;
    out.len = 0;

    ngx_memzero(head, NGX_MESH_DUBBO_HEAD);

    head[0] = 0xda;
    head[1] = 0xbb;
    head[2] = 0xc0 | NGX_MESH_SERIAL_HESSIAN2;

    for (i = 0; i < 8; i++) {
        head[4 + i] = (u_char) (call->id >> (56 - 8 * i));
    }

    ngx_mesh_edit_put(&out, head, NGX_MESH_DUBBO_HEAD);

    ngx_str_set(&s, "2.0.2");
    ngx_mesh_edit_hessian(&out, &s);

    ngx_mesh_edit_hessian(&out, &call->service);
    ngx_mesh_edit_hessian(&out, &call->version);
    ngx_mesh_edit_hessian(&out, &call->method);
    ngx_mesh_edit_hessian(&out, &call->descriptor);

    for (i = 0; i < call->nargs; i++) {
        ngx_mesh_edit_hessian(&out, &call->args[i]);
    }

    ngx_mesh_edit_put(&out, "H", 1);

    ngx_mesh_dubbo_call_pair(&out, "path", &call->service);
    ngx_mesh_dubbo_call_pair(&out, "interface", &call->service);
    ngx_mesh_dubbo_call_pair(&out, "version", &call->version);

    if (call->group.len) {
        ngx_mesh_dubbo_call_pair(&out, "group", &call->group);
    }

    if (call->timeout) {
        p = ngx_sprintf(num, "%L", (int64_t) call->timeout);

        s.data = num;
        s.len = p - num;
        ngx_mesh_dubbo_call_pair(&out, "timeout", &s);
    }

    ngx_mesh_edit_put(&out, "Z", 1);

    ngx_mesh_edit_patch(&out, 12, (uint32_t) (out.len - NGX_MESH_DUBBO_HEAD));

    return out.len;
}


static void
ngx_mesh_dubbo_call_pair(ngx_mesh_edit_out_t *out, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  s;

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    ngx_mesh_edit_hessian(out, &s);
    ngx_mesh_edit_hessian(out, value);
}


ngx_int_t
ngx_mesh_dubbo_answer(u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_tree_reader_t *r, ngx_mesh_tree_t **value, ngx_str_t *text)
{
    ngx_int_t   rc;
    ngx_uint_t  flag;

    *value = NULL;
    ngx_str_null(text);

    if (f->serial != NGX_MESH_SERIAL_HESSIAN2) {
        ngx_str_set(text, "answered in another serialization than hessian2");
        return NGX_DECLINED;
    }

    if (ngx_mesh_tree_start(r, p + f->head, p + f->size) != NGX_OK) {
        return NGX_ABORT;
    }

    if (!f->ok) {
        if (ngx_mesh_hessian2.string(&r->body, text) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_mesh_dubbo_answer_line(text);
        return NGX_DECLINED;
    }

    if (ngx_mesh_hessian2.flag(&r->body, &flag) != NGX_OK
        || flag > NGX_MESH_DUBBO_NULL + NGX_MESH_DUBBO_MORE)
    {
        return NGX_ERROR;
    }

    switch (flag % NGX_MESH_DUBBO_MORE) {

    case NGX_MESH_DUBBO_THROWN:
        return ngx_mesh_dubbo_answer_thrown(r, text);

    case NGX_MESH_DUBBO_NULL:
        return NGX_OK;

    default: /* NGX_MESH_DUBBO_VALUE */
        break;
    }

    rc = ngx_mesh_hessian2_tree(r, value);

    if (rc == NGX_OK && (*value)->type == NGX_MESH_SERIAL_NULL) {
        *value = NULL;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_dubbo_answer_thrown(ngx_mesh_tree_reader_t *r, ngx_str_t *text)
{
    ngx_int_t         rc;
    ngx_mesh_tree_t  *v;

    rc = ngx_mesh_hessian2_tree(r, &v);
    if (rc != NGX_OK) {
        return rc;
    }

    *text = ngx_mesh_tree_string(v, "detailMessage");

    if (text->len == 0 && v->type == NGX_MESH_TREE_OBJECT) {
        *text = v->u.box.class->name;
    }

    ngx_mesh_dubbo_answer_line(text);

    return NGX_DECLINED;
}


/* the first line, cut between two characters; something in any case */

static void
ngx_mesh_dubbo_answer_line(ngx_str_t *text)
{
    size_t  n;

    for (n = 0; n < text->len && text->data[n] >= ' '; n++) { /* void */ }

    if (n > NGX_MESH_DUBBO_TEXT) {
        n = NGX_MESH_DUBBO_TEXT;

        while (n && (text->data[n] & 0xc0) == 0x80) {
            n--;
        }
    }

    text->len = n;

    if (n == 0) {
        ngx_str_set(text, "failed without a reason");
    }
}
