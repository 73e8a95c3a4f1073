
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_declared_int.h"


/* frames of ours, by the templates of the declaration */


static size_t ngx_mesh_declared_write(ngx_mesh_declared_t *d,
    ngx_array_t *parts, u_char *dst, size_t size, ngx_mesh_frame_t *f,
    ngx_str_t *text);
static size_t ngx_mesh_declared_text_size(ngx_uint_t prefix, size_t *len);
static u_char *ngx_mesh_declared_text(u_char *p, ngx_uint_t prefix,
    ngx_str_t *text, size_t len);


size_t
ngx_mesh_declared_error(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text)
{
    ngx_mesh_declared_t  *d;

    d = codec->data;

    if (err >= NGX_MESH_ERR_N || err == NGX_MESH_ERR_NONE
        || err == NGX_MESH_ERR_CLIENT)
    {
        return 0;
    }

    f->status = d->error_status[err];
    f->ok = 0;

    if (f->kind == NGX_MESH_FRAME_ONEWAY) {
        return 0;
    }

    if (text == NULL || text->len == 0) {
        text = ngx_mesh_codec_error_name(err);
    }

    return ngx_mesh_declared_write(d, d->error, dst, size, f, text);
}


size_t
ngx_mesh_declared_heartbeat(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f)
{
    ngx_mesh_declared_t  *d;

    d = codec->data;

    return ngx_mesh_declared_write(d, d->heartbeat, dst, size, f, NULL);
}


size_t
ngx_mesh_declared_ack(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    u_char *p, ngx_mesh_frame_t *f)
{
    ngx_mesh_declared_t  *d;

    d = codec->data;

    return ngx_mesh_declared_write(d, d->answer, dst, size, f, NULL);
}


static size_t
ngx_mesh_declared_write(ngx_mesh_declared_t *d, ngx_array_t *parts,
    u_char *dst, size_t size, ngx_mesh_frame_t *f, ngx_str_t *text)
{
    u_char            *p;
    size_t             total, len;
    ngx_uint_t         i;
    ngx_mesh_part_t   *part;

    if (parts == NULL) {
        return 0;
    }

    part = parts->elts;
    total = 0;
    len = text ? text->len : 0;

    for (i = 0; i < parts->nelts; i++) {

        switch (part[i].type) {

        case NGX_MESH_PART_BYTES:
            total += part[i].bytes.len;
            break;

        case NGX_MESH_PART_ID:
            total += d->id.size;
            break;

        case NGX_MESH_PART_TEXT:
            total += ngx_mesh_declared_text_size(part[i].prefix, &len) + len;
            break;

        default: /* NGX_MESH_PART_LENGTH, NGX_MESH_PART_STATUS */
            total += part[i].field.size;
        }
    }

    if (total > size) {
        return 0;
    }

    p = dst;

    for (i = 0; i < parts->nelts; i++) {

        switch (part[i].type) {

        case NGX_MESH_PART_BYTES:
            p = ngx_cpymem(p, part[i].bytes.data, part[i].bytes.len);
            break;

        case NGX_MESH_PART_ID:
            p = ngx_mesh_declared_set(&d->id, p, f->id);
            break;

        case NGX_MESH_PART_LENGTH:
            p = ngx_mesh_declared_set(&part[i].field, p,
                                      (uint64_t) ((int64_t) total
                                                  - part[i].add));
            break;

        case NGX_MESH_PART_STATUS:
            p = ngx_mesh_declared_set(&part[i].field, p, f->status);
            break;

        default: /* NGX_MESH_PART_TEXT */
            p = ngx_mesh_declared_text(p, part[i].prefix, text, len);
        }
    }

    return total;
}


/* bytes before the text; a text too long for them is cut */

static size_t
ngx_mesh_declared_text_size(ngx_uint_t prefix, size_t *len)
{
    switch (prefix) {

    case NGX_MESH_PREFIX_U8:
        *len = ngx_min(*len, 0xff);
        return 1;

    case NGX_MESH_PREFIX_U16:
    case NGX_MESH_PREFIX_U16LE:
        *len = ngx_min(*len, 0xffff);
        return 2;

    case NGX_MESH_PREFIX_VARINT:
        return *len < 0x80 ? 1 : *len < 0x4000 ? 2 : 3;

    case NGX_MESH_PREFIX_HESSIAN:
        *len = ngx_min(*len, 0x7fff);
        return 3;

    default: /* NGX_MESH_PREFIX_U32, NGX_MESH_PREFIX_U32LE */
        return 4;
    }
}


static u_char *
ngx_mesh_declared_text(u_char *p, ngx_uint_t prefix, ngx_str_t *text,
    size_t len)
{
    u_char            *start;
    size_t             n;
    ngx_mesh_field_t   field;

    n = len;

    switch (prefix) {

    case NGX_MESH_PREFIX_VARINT:
        while (n > 0x7f) {
            *p++ = (u_char) (0x80 | (n & 0x7f));
            n >>= 7;
        }

        *p++ = (u_char) n;
        break;

    case NGX_MESH_PREFIX_HESSIAN:
        *p++ = 'S';
        *p++ = (u_char) (len >> 8);
        *p++ = (u_char) len;
        break;

    default:
        field.offset = 0;
        field.size = (uint8_t) ngx_mesh_declared_text_size(prefix, &n);
        field.little = (prefix == NGX_MESH_PREFIX_U16LE
                        || prefix == NGX_MESH_PREFIX_U32LE);

        p = ngx_mesh_declared_set(&field, p, len);
    }

    start = p;

    if (len) {
        p = ngx_cpymem(p, text->data, len);
    }

    if (prefix == NGX_MESH_PREFIX_HESSIAN) {

        /* it counts characters: with one byte each they are as many */

        while (start < p) {
            if (*start >= 0x80) {
                *start = '?';
            }

            start++;
        }
    }

    return p;
}
