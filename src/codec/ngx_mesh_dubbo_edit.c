
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_dubbo.h"
#include "ngx_mesh_edit.h"
#include "ngx_mesh_hessian.h"
#include "ngx_mesh_serial.h"


/*
 * A Dubbo request with other attachments, version or group.
 *
 * A provider looks its service up by path, version and group out of the
 * attachments; it has put the version of the body there before, so both are
 * changed.  A group stands nowhere else.
 *
 * What is kept goes byte by byte.  Attachments come last, so nothing before
 * them refers to what they hold; but a value among them that refers to an
 * earlier one does so by a number or a name that counts those before it.
 */


#define NGX_MESH_DUBBO_BODY_MAX  0x7fffffff


typedef struct {
    ngx_mesh_edit_out_t       out;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;
    const ngx_mesh_edit_t    *edit;
    u_char                   *end;         /* of the frame */
    size_t                    document;    /* where fastjson2 has a length */
    ngx_uint_t                pairs;
} ngx_mesh_dubbo_edit_t;


static void ngx_mesh_dubbo_edit_string(ngx_mesh_dubbo_edit_t *e,
    ngx_str_t *s);
static ngx_int_t ngx_mesh_dubbo_edit_version(ngx_mesh_dubbo_edit_t *e,
    u_char *body, u_char *attach);
static ngx_uint_t ngx_mesh_dubbo_edit_plain(ngx_mesh_dubbo_edit_t *e,
    u_char *key, u_char *value);
static ngx_uint_t ngx_mesh_dubbo_edit_rewrites(ngx_mesh_dubbo_edit_t *e,
    ngx_str_t *key);
static ngx_int_t ngx_mesh_dubbo_edit_map(ngx_mesh_dubbo_edit_t *e);
static ngx_int_t ngx_mesh_dubbo_edit_keep(ngx_mesh_dubbo_edit_t *e);
static ngx_int_t ngx_mesh_dubbo_edit_new(ngx_mesh_dubbo_edit_t *e,
    u_char *from, u_char *tail);
static ngx_uint_t ngx_mesh_dubbo_edit_add(ngx_mesh_dubbo_edit_t *e,
    ngx_uint_t write);
static void ngx_mesh_dubbo_edit_pair(ngx_mesh_dubbo_edit_t *e,
    ngx_str_t *key, ngx_str_t *value);


static ngx_str_t  ngx_mesh_dubbo_edit_name_version = ngx_string("version");
static ngx_str_t  ngx_mesh_dubbo_edit_name_group = ngx_string("group");

/* what Java writes for a service without a version */
static ngx_str_t  ngx_mesh_dubbo_edit_no_version = ngx_string("0.0.0");


ngx_int_t
ngx_mesh_dubbo_edit(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts, const ngx_mesh_edit_t *edit,
    u_char *dst, size_t size, size_t *len)
{
    u_char                 *attach;
    ngx_int_t               rc;
    ngx_mesh_dubbo_edit_t   e;

    e.serial = ngx_mesh_serial_find(f->serial);

    if (e.serial == NULL
        || (f->kind != NGX_MESH_FRAME_REQUEST
            && f->kind != NGX_MESH_FRAME_ONEWAY))
    {
        return NGX_DECLINED;
    }

    ngx_mesh_dubbo_facts(codec, p, f,
                         NGX_MESH_WANT_NAMES|NGX_MESH_WANT_ATTACHMENTS
                         |NGX_MESH_WANT_FORCED, facts);

    if (facts->damaged || facts->args == NULL) {
        return NGX_DECLINED;
    }

    e.out.dst = dst;
    e.out.size = size;
    e.out.len = 0;
    e.edit = edit;
    e.end = facts->end;
    e.pairs = 0;

    e.r.limit = facts->end;
    e.r.end = facts->end;
    e.r.scratch = facts->scratch;
    e.r.scratch_end = facts->scratch_end;
    e.r.classes = facts->classes;
    e.r.nclasses = facts->nclasses;

    /* nothing is damaged, so without attachments the arguments end it */

    attach = facts->attachments ? facts->attach : facts->end;

    ngx_mesh_edit_put(&e.out, p, NGX_MESH_DUBBO_HEAD);

    rc = ngx_mesh_dubbo_edit_version(&e, p + NGX_MESH_DUBBO_HEAD, attach);

    if (rc == NGX_OK) {
        e.r.pos = attach;
        rc = ngx_mesh_dubbo_edit_map(&e);
    }

    if (rc != NGX_OK
        || e.out.len - NGX_MESH_DUBBO_HEAD > NGX_MESH_DUBBO_BODY_MAX)
    {
        return NGX_DECLINED;
    }

    ngx_mesh_edit_patch(&e.out, 12,
                        (uint32_t) (e.out.len - NGX_MESH_DUBBO_HEAD));

    return ngx_mesh_edit_done(&e.out, f, len);
}


static void
ngx_mesh_dubbo_edit_string(ngx_mesh_dubbo_edit_t *e, ngx_str_t *s)
{
    switch (e->serial->id) {

    case NGX_MESH_SERIAL_FASTJSON2:
        ngx_mesh_edit_jsonb(&e->out, s);
        break;

    case NGX_MESH_SERIAL_FASTJSON:
        ngx_mesh_edit_json(&e->out, s);
        break;

    default:
        ngx_mesh_edit_hessian(&e->out, s);
        break;
    }
}


/* all between header and attachments */

static ngx_int_t
ngx_mesh_dubbo_edit_version(ngx_mesh_dubbo_edit_t *e, u_char *body,
    u_char *attach)
{
    u_char      *start;
    size_t       at;
    ngx_int_t    rc;
    ngx_str_t    s;
    ngx_uint_t   i;

    if (!e->edit->rewrite_version) {
        ngx_mesh_edit_put(&e->out, body, attach - body);
        return NGX_OK;
    }

    e->r.pos = body;
    start = body;

    for (i = 0; i < 3; i++) {
        start = e->r.pos;

        rc = e->serial->string(&e->r, &s);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_mesh_edit_put(&e->out, body, start - body);

    at = e->out.len;

    if (e->serial->id == NGX_MESH_SERIAL_FASTJSON2) {
        ngx_mesh_edit_put_u32(&e->out, 0);
    }

    s = e->edit->version.len ? e->edit->version
                             : ngx_mesh_dubbo_edit_no_version;

    ngx_mesh_dubbo_edit_string(e, &s);

    if (e->serial->id == NGX_MESH_SERIAL_FASTJSON2) {
        ngx_mesh_edit_patch(&e->out, at, (uint32_t) (e->out.len - at - 4));

    } else if (e->serial->id == NGX_MESH_SERIAL_FASTJSON) {
        ngx_mesh_edit_put(&e->out, "\n", 1);
    }

    ngx_mesh_edit_put(&e->out, e->r.pos, attach - e->r.pos);

    return NGX_OK;
}


/* whether a pair neither counts among references nor is one */

static ngx_uint_t
ngx_mesh_dubbo_edit_plain(ngx_mesh_dubbo_edit_t *e, u_char *key,
    u_char *value)
{
    switch (e->serial->id) {

    case NGX_MESH_SERIAL_FASTJSON2:
        return *key != 0x7f && (*value < 0x7f || *value > 0xa6);

    case NGX_MESH_SERIAL_FASTJSON:
        return *value != '{' && *value != '[';

    default:
        return !ngx_mesh_hessian_box(*value);
    }
}


static ngx_uint_t
ngx_mesh_dubbo_edit_rewrites(ngx_mesh_dubbo_edit_t *e, ngx_str_t *key)
{
    return (e->edit->rewrite_version
            && ngx_mesh_edit_same(key, &ngx_mesh_dubbo_edit_name_version))
           || (e->edit->rewrite_group
               && ngx_mesh_edit_same(key, &ngx_mesh_dubbo_edit_name_group));
}


/* the attachments, which r is at, and what may follow them */

static ngx_int_t
ngx_mesh_dubbo_edit_map(ngx_mesh_dubbo_edit_t *e)
{
    u_char     *start;
    ngx_int_t   rc;

    start = e->r.pos;

    if (start == e->end) {

        /* the last line may lack its end */

        if (e->serial->id == NGX_MESH_SERIAL_FASTJSON && start[-1] != '\n') {
            return NGX_DECLINED;
        }

        return ngx_mesh_dubbo_edit_new(e, start, start);
    }

    rc = e->serial->open(&e->r);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_dubbo_edit_new(e, start, e->r.pos);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    e->document = e->out.len;

    ngx_mesh_edit_put(&e->out, start, e->r.pos - start);

    rc = ngx_mesh_dubbo_edit_keep(e);
    if (rc != NGX_OK) {
        return rc;
    }

    (void) ngx_mesh_dubbo_edit_add(e, 1);

    /* the end of a map is one byte, and behind it */

    ngx_mesh_edit_put(&e->out, e->r.pos - 1, e->r.limit - (e->r.pos - 1));

    if (e->serial->id == NGX_MESH_SERIAL_FASTJSON2) {
        ngx_mesh_edit_patch(&e->out, e->document,
                            (uint32_t) (e->out.len - e->document - 4));
    }

    ngx_mesh_edit_put(&e->out, e->r.limit, e->end - e->r.limit);

    return NGX_OK;
}


/* copies what is not changed; r is behind the end of the map then */

static ngx_int_t
ngx_mesh_dubbo_edit_keep(ngx_mesh_dubbo_edit_t *e)
{
    u_char      *start, *value;
    ngx_int_t    rc;
    ngx_str_t    key;
    ngx_uint_t   plain, gone;

    gone = 0;

    for ( ;; ) {
        start = e->r.pos;

        rc = e->serial->key(&e->r, &key);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        /* a key in disguise might be the very one to be removed */

        if (rc != NGX_OK || key.data == NULL) {
            return NGX_ERROR;
        }

        value = e->r.pos;

        rc = e->serial->skip(&e->r);
        if (rc != NGX_OK) {
            return rc;
        }

        plain = ngx_mesh_dubbo_edit_plain(e, start, value);

        if (ngx_mesh_edit_changes(e->edit, &key)
            || ngx_mesh_dubbo_edit_rewrites(e, &key))
        {
            gone |= !plain;
            continue;
        }

        /* references into what is gone, or past it */

        if (gone && !plain) {
            return NGX_ERROR;
        }

        if (e->serial->id == NGX_MESH_SERIAL_FASTJSON) {
            start = key.data - 1;

            if (e->pairs++) {
                ngx_mesh_edit_put(&e->out, ",", 1);
            }
        }

        ngx_mesh_edit_put(&e->out, start, e->r.pos - start);
    }
}


/* a map where there was null or nothing */

static ngx_int_t
ngx_mesh_dubbo_edit_new(ngx_mesh_dubbo_edit_t *e, u_char *from, u_char *tail)
{
    size_t  at;

    if (ngx_mesh_dubbo_edit_add(e, 0) == 0) {
        ngx_mesh_edit_put(&e->out, from, e->end - from);
        return NGX_OK;
    }

    at = e->out.len;

    switch (e->serial->id) {

    case NGX_MESH_SERIAL_FASTJSON2:
        ngx_mesh_edit_put_u32(&e->out, 0);
        ngx_mesh_edit_put(&e->out, "\xa6", 1);
        (void) ngx_mesh_dubbo_edit_add(e, 1);
        ngx_mesh_edit_put(&e->out, "\xa5", 1);
        ngx_mesh_edit_patch(&e->out, at, (uint32_t) (e->out.len - at - 4));
        break;

    case NGX_MESH_SERIAL_FASTJSON:
        ngx_mesh_edit_put(&e->out, "{", 1);
        (void) ngx_mesh_dubbo_edit_add(e, 1);
        ngx_mesh_edit_put(&e->out, "}\n", 2);
        break;

    default:
        ngx_mesh_edit_put(&e->out, "H", 1);
        (void) ngx_mesh_dubbo_edit_add(e, 1);
        ngx_mesh_edit_put(&e->out, "Z", 1);
        break;
    }

    ngx_mesh_edit_put(&e->out, tail, e->end - tail);

    return NGX_OK;
}


/* how many pairs there are to add; writes them if told so */

static ngx_uint_t
ngx_mesh_dubbo_edit_add(ngx_mesh_dubbo_edit_t *e, ngx_uint_t write)
{
    ngx_str_t               name, value;
    ngx_uint_t              i, n, rewrite;
    const ngx_mesh_edit_t  *edit;

    edit = e->edit;
    n = 0;

    for (i = 0; i < edit->nfields + 2; i++) {

        if (i < edit->nfields) {
            name = edit->fields[i].name;
            value = edit->fields[i].value;

            if (!ngx_mesh_edit_sets(edit, i)
                || ngx_mesh_dubbo_edit_rewrites(e, &name))
            {
                continue;
            }

        } else {
            rewrite = (i == edit->nfields) ? edit->rewrite_version
                                           : edit->rewrite_group;
            name = (i == edit->nfields) ? ngx_mesh_dubbo_edit_name_version
                                        : ngx_mesh_dubbo_edit_name_group;
            value = (i == edit->nfields) ? edit->version : edit->group;

            if (!rewrite || value.len == 0) {
                continue;
            }
        }

        n++;

        if (write) {
            ngx_mesh_dubbo_edit_pair(e, &name, &value);
        }
    }

    return n;
}


static void
ngx_mesh_dubbo_edit_pair(ngx_mesh_dubbo_edit_t *e, ngx_str_t *key,
    ngx_str_t *value)
{
    if (e->serial->id != NGX_MESH_SERIAL_FASTJSON) {
        ngx_mesh_dubbo_edit_string(e, key);
        ngx_mesh_dubbo_edit_string(e, value);
        return;
    }

    if (e->pairs++) {
        ngx_mesh_edit_put(&e->out, ",", 1);
    }

    ngx_mesh_dubbo_edit_string(e, key);
    ngx_mesh_edit_put(&e->out, ":", 1);
    ngx_mesh_dubbo_edit_string(e, value);
}
