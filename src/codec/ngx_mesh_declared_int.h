
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_DECLARED_INT_H_INCLUDED_
#define _NGX_MESH_DECLARED_INT_H_INCLUDED_


#include "ngx_mesh_declared.h"


/* what the files of the interpreter share */


/* a number that ends within the frame; checked by the caller */

static ngx_inline uint64_t
ngx_mesh_declared_get(ngx_mesh_field_t *field, u_char *p)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;
    p += field->offset;

    if (field->little) {
        for (i = field->size; i > 0; i--) {
            n = n << 8 | p[i - 1];
        }

    } else {
        for (i = 0; i < field->size; i++) {
            n = n << 8 | p[i];
        }
    }

    return n;
}


static ngx_inline u_char *
ngx_mesh_declared_set(ngx_mesh_field_t *field, u_char *p, uint64_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < field->size; i++) {
        p[field->little ? i : field->size - 1 - i] = (u_char) n;
        n >>= 8;
    }

    return p + field->size;
}


void ngx_mesh_declared_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts);
ngx_int_t ngx_mesh_declared_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value);

size_t ngx_mesh_declared_error(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text);
size_t ngx_mesh_declared_heartbeat(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f);
size_t ngx_mesh_declared_ack(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, u_char *p, ngx_mesh_frame_t *f);


#endif /* _NGX_MESH_DECLARED_INT_H_INCLUDED_ */
