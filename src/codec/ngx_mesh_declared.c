
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_declared_int.h"


static ngx_int_t ngx_mesh_declared_detect(const ngx_mesh_codec_t *codec,
    u_char *p, size_t n);
static ngx_int_t ngx_mesh_declared_head(const ngx_mesh_codec_t *codec,
    u_char *p, size_t n, ngx_mesh_frame_t *f);
static ngx_int_t ngx_mesh_declared_kind(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_frame_t *f);
static ngx_int_t ngx_mesh_declared_size(ngx_mesh_declared_t *d, u_char *p,
    ngx_uint_t to, ngx_mesh_frame_t *f);
static void ngx_mesh_declared_status(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_frame_t *f);
static void ngx_mesh_declared_timeout(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_frame_t *f);
static u_char *ngx_mesh_declared_id(ngx_mesh_declared_t *d, u_char *p,
    size_t n);
static ngx_int_t ngx_mesh_declared_whole(const ngx_mesh_codec_t *codec,
    u_char *p, ngx_mesh_frame_t *f);
static ngx_uint_t ngx_mesh_declared_result(const ngx_mesh_codec_t *codec,
    u_char *p, ngx_mesh_frame_t *f);
static void ngx_mesh_declared_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id);
static size_t ngx_mesh_declared_notice(const ngx_mesh_codec_t *codec,
    u_char *dst, size_t size, ngx_mesh_frame_t *f);
static size_t ngx_mesh_declared_end(ngx_mesh_field_t *field, size_t need);


void
ngx_mesh_declared_init(ngx_mesh_codec_t *codec, ngx_str_t *name,
    ngx_mesh_declared_t *d)
{
    size_t             need, magic;
    ngx_uint_t         i, to;
    ngx_mesh_field_t  *lengths;
    ngx_mesh_magic_t  *magics;

    /* what has been taken for a frame must not turn out to be none */

    magic = 1;
    magics = d->magics.elts;

    for (i = 0; i < d->magics.nelts; i++) {
        magic = ngx_max(magic, magics[i].offset + magics[i].value.len);
    }

    for (to = 0; to < 2; to++) {
        need = ngx_mesh_declared_end(&d->kind, magic);
        need = ngx_mesh_declared_end(d->after.size ? &d->after : &d->id, need);
        need = ngx_mesh_declared_end(to == NGX_MESH_TO_CLIENT ? &d->status
                                                              : &d->timeout,
                                     need);
        lengths = d->lengths[to].elts;

        for (i = 0; i < d->lengths[to].nelts; i++) {
            need = ngx_mesh_declared_end(&lengths[i], need);
        }

        d->need[to] = need;
    }

    ngx_memzero(codec, sizeof(ngx_mesh_codec_t));

    codec->name = *name;
    codec->head_max = ngx_max(d->need[0], d->need[1]);
    codec->id_bits = d->id.size * 8;
    codec->detect = ngx_mesh_declared_detect;
    codec->head = ngx_mesh_declared_head;
    codec->whole = ngx_mesh_declared_whole;
    codec->facts = ngx_mesh_declared_facts;
    codec->attachment = ngx_mesh_declared_attachment;
    codec->result = ngx_mesh_declared_result;
    codec->set_id = ngx_mesh_declared_set_id;
    codec->error = d->error ? ngx_mesh_declared_error : NULL;
    codec->heartbeat = ngx_mesh_declared_heartbeat;
    codec->ack = ngx_mesh_declared_ack;
    codec->notice = ngx_mesh_declared_notice;
    codec->data = d;
}


static size_t
ngx_mesh_declared_end(ngx_mesh_field_t *field, size_t need)
{
    if (field->size == 0) {
        return need;
    }

    return ngx_max(need, (size_t) field->offset + field->size);
}


/* without a magic it is never guessed */

static ngx_int_t
ngx_mesh_declared_detect(const ngx_mesh_codec_t *codec, u_char *p, size_t n)
{
    size_t                i, at;
    ngx_int_t             rc;
    ngx_uint_t            m;
    ngx_mesh_magic_t     *magic;
    ngx_mesh_declared_t  *d;

    d = codec->data;
    magic = d->magics.elts;
    rc = d->magics.nelts ? NGX_OK : NGX_DECLINED;

    for (m = 0; m < d->magics.nelts; m++) {

        for (i = 0; i < magic[m].value.len; i++) {
            at = magic[m].offset + i;

            if (at >= n) {
                rc = NGX_AGAIN;
                break;
            }

            if ((p[at] & magic[m].mask.data[i]) != magic[m].value.data[i]) {
                return NGX_DECLINED;
            }
        }
    }

    return rc;
}


static ngx_int_t
ngx_mesh_declared_head(const ngx_mesh_codec_t *codec, u_char *p, size_t n,
    ngx_mesh_frame_t *f)
{
    u_char               *id;
    size_t                need;
    ngx_uint_t            to;
    ngx_mesh_declared_t  *d;

    d = codec->data;

    if (d->magics.nelts
        && ngx_mesh_declared_detect(codec, p, n) == NGX_DECLINED)
    {
        return NGX_ERROR;
    }

    need = ngx_mesh_declared_end(&d->kind, 1);

    if (n < need) {
        f->size = need;
        return NGX_AGAIN;
    }

    to = ngx_mesh_declared_kind(d, p, f);

    if (n < d->need[to]) {
        f->size = d->need[to];
        return NGX_AGAIN;
    }

    if (ngx_mesh_declared_size(d, p, to, f) != NGX_OK) {
        return NGX_ERROR;
    }

    f->id = 0;
    f->timeout = 0;
    f->status = 0;
    f->variant = 0;
    f->serial = 0;
    f->head = (uint8_t) d->need[to];
    f->ok = 0;
    f->check = 0;
    f->late = 0;

    if (to == NGX_MESH_TO_CLIENT) {
        ngx_mesh_declared_status(d, p, f);

    } else if (d->timeout.size) {
        ngx_mesh_declared_timeout(d, p, f);
    }

    if (d->id.size == 0) {
        return NGX_OK;
    }

    id = ngx_mesh_declared_id(d, p, ngx_min(n, f->size));

    if (id) {
        f->id = ngx_mesh_declared_get(&d->id, id);
        return NGX_OK;
    }

    /* more of a short header may tell, a long one has to be here whole */

    need = ngx_min(f->size, NGX_MESH_HEAD_MAX);

    if (n < need) {
        f->size = need;
        return NGX_AGAIN;
    }

    f->late = 1;
    f->check = 1;

    return NGX_OK;
}


/* NGX_MESH_TO_PROVIDER or NGX_MESH_TO_CLIENT */

static ngx_int_t
ngx_mesh_declared_kind(ngx_mesh_declared_t *d, u_char *p, ngx_mesh_frame_t *f)
{
    uint64_t          value;
    ngx_uint_t        i;
    ngx_mesh_kind_t  *kinds;

    f->bad = 0;

    if (d->kind.size == 0) {
        f->kind = f->client ? NGX_MESH_FRAME_REQUEST : NGX_MESH_FRAME_RESPONSE;

    } else {
        value = ngx_mesh_declared_get(&d->kind, p) & d->kind_mask;
        kinds = d->kinds.elts;

        f->kind = NGX_MESH_FRAME_EVENT;
        f->bad = NGX_MESH_BAD_COMMAND;

        for (i = 0; i < d->kinds.nelts; i++) {
            if (kinds[i].value == value) {
                f->kind = (uint8_t) kinds[i].kind;
                f->bad = 0;
                break;
            }
        }
    }

    switch (f->kind) {

    case NGX_MESH_FRAME_RESPONSE:
    case NGX_MESH_FRAME_ACK:
        return NGX_MESH_TO_CLIENT;

    case NGX_MESH_FRAME_REQUEST:
    case NGX_MESH_FRAME_ONEWAY:
    case NGX_MESH_FRAME_HEARTBEAT:
        return NGX_MESH_TO_PROVIDER;

    default:
        /* nothing but who sent it tells how it is measured */

        return f->client ? NGX_MESH_TO_PROVIDER : NGX_MESH_TO_CLIENT;
    }
}


static ngx_int_t
ngx_mesh_declared_size(ngx_mesh_declared_t *d, u_char *p, ngx_uint_t to,
    ngx_mesh_frame_t *f)
{
    int64_t            size;
    uint64_t           n;
    ngx_uint_t         i;
    ngx_mesh_field_t  *lengths;

    size = d->add[to];
    lengths = d->lengths[to].elts;

    for (i = 0; i < d->lengths[to].nelts; i++) {
        n = ngx_mesh_declared_get(&lengths[i], p);

        if (n > 0x7fffffff) {
            return NGX_ERROR;
        }

        size += (int64_t) n;
    }

    if (size < (int64_t) d->need[to] || size > (int64_t) d->max_frame) {
        return NGX_ERROR;
    }

    f->size = (size_t) size;

    return NGX_OK;
}


static void
ngx_mesh_declared_status(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_frame_t *f)
{
    uint64_t    status, *ok;
    ngx_uint_t  i;

    if (d->status.size == 0) {
        f->ok = 1;
        return;
    }

    status = ngx_mesh_declared_get(&d->status, p);
    ok = d->ok.elts;

    for (i = 0; i < d->ok.nelts; i++) {
        if (ok[i] == status) {
            f->ok = 1;
            break;
        }
    }

    f->status = (uint16_t) ngx_min(status, 0xffff);
}


/* a negative one is none, as 0 is */

static void
ngx_mesh_declared_timeout(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_frame_t *f)
{
    uint64_t  n;

    n = ngx_mesh_declared_get(&d->timeout, p);

    if (n >> (d->timeout.size * 8 - 1)) {
        return;
    }

    f->timeout = (uint32_t) ngx_min(n, 0x7fffffff / d->timeout_unit)
                 * d->timeout_unit;
}


/* from where the field's offset counts; NULL: not within n bytes */

static u_char *
ngx_mesh_declared_id(ngx_mesh_declared_t *d, u_char *p, size_t n)
{
    size_t    end;
    uint64_t  len;

    end = (size_t) d->id.offset + d->id.size;

    if (d->after.size == 0) {
        return end <= n ? p : NULL;
    }

    len = ngx_mesh_declared_get(&d->after, p);
    end += (size_t) d->after.offset + d->after.size;

    if (end > n || len > n - end) {
        return NULL;
    }

    return p + d->after.offset + d->after.size + len;
}


/* where the string before it lies about its length, the frame's still holds */

static ngx_int_t
ngx_mesh_declared_whole(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    u_char               *id;
    ngx_mesh_declared_t  *d;

    d = codec->data;

    id = ngx_mesh_declared_id(d, p, f->size);

    if (id == NULL) {
        f->kind = NGX_MESH_FRAME_EVENT;
        f->bad = NGX_MESH_BAD_COMMAND;
        return NGX_OK;
    }

    f->id = ngx_mesh_declared_get(&d->id, id);

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_declared_result(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    return f->ok ? NGX_MESH_RESULT_OK : NGX_MESH_RESULT_ERROR;
}


static void
ngx_mesh_declared_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id)
{
    u_char               *pos;
    ngx_mesh_declared_t  *d;

    d = codec->data;
    f->id = id;

    if (d->id.size == 0) {
        return;
    }

    pos = ngx_mesh_declared_id(d, p, f->size);

    if (pos) {
        (void) ngx_mesh_declared_set(&d->id, pos + d->id.offset, id);
    }
}


static size_t
ngx_mesh_declared_notice(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f)
{
    return 0;
}
