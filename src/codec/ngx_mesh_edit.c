
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_edit.h"


/* units of a string in pieces: one more, of a pair, still fits */
#define NGX_MESH_EDIT_PIECE  0x7ffe

#define ngx_mesh_edit_width(ch)                                               \
    ((ch) < 0x80 ? 1 : (ch) < 0x800 ? 2 : (ch) < 0x10000 ? 3 : 4)


size_t
ngx_mesh_codec_edit_bound(ngx_mesh_frame_t *f, const ngx_mesh_edit_t *edit)
{
    size_t      n;
    ngx_uint_t  i;

    /* a byte takes six at most, in JSON; a service's name, which stands at
       three places, has the version in it */

    n = f->size + 256 + 12 * (edit->version.len + edit->group.len);

    for (i = 0; i < edit->nfields; i++) {
        n += 32 + 6 * (edit->fields[i].name.len + edit->fields[i].value.len);
    }

    return n;
}


void
ngx_mesh_edit_put(ngx_mesh_edit_out_t *out, const void *p, size_t n)
{
    if (n && out->len <= out->size && n <= out->size - out->len) {
        ngx_memcpy(out->dst + out->len, p, n);
    }

    out->len += n;
}


void
ngx_mesh_edit_put_u32(ngx_mesh_edit_out_t *out, uint32_t n)
{
    out->len += 4;
    ngx_mesh_edit_patch(out, out->len - 4, n);
}


void
ngx_mesh_edit_patch(ngx_mesh_edit_out_t *out, size_t at, uint32_t n)
{
    u_char  *p;

    if (at > out->size || out->size - at < 4) {
        return;
    }

    p = out->dst + at;

    *p++ = (u_char) (n >> 24);
    *p++ = (u_char) (n >> 16);
    *p++ = (u_char) (n >> 8);
    *p = (u_char) n;
}


/* both dialects know the tags of up to 31 units and 'S' */

void
ngx_mesh_edit_hessian(ngx_mesh_edit_out_t *out, ngx_str_t *s)
{
    u_char    *p, *next, *last, buf[8];
    size_t     units;
    uint32_t   ch;

    p = s->data;
    last = p + s->len;

    do {
        next = p;
        units = 0;

        while (next < last && units < NGX_MESH_EDIT_PIECE) {
            units += ngx_mesh_utf8_next(&next, last) < 0x10000 ? 1 : 2;
        }

        if (next == last && units < 32) {
            buf[0] = (u_char) units;
            ngx_mesh_edit_put(out, buf, 1);

        } else {
            buf[0] = (next == last) ? 'S' : 'R';
            buf[1] = (u_char) (units >> 8);
            buf[2] = (u_char) units;
            ngx_mesh_edit_put(out, buf, 3);
        }

        while (p < next) {
            ch = ngx_mesh_utf8_next(&p, last);

            if (ch < 0x10000) {
                ngx_mesh_edit_put(out, buf, ngx_mesh_utf8_put(buf, ch) - buf);
                continue;
            }

            ch -= 0x10000;
            ngx_mesh_edit_put(out, buf,
                              ngx_mesh_utf8_put(ngx_mesh_utf8_put(buf,
                                                    0xd800 + (ch >> 10)),
                                                0xdc00 + (ch & 0x3ff))
                              - buf);
        }

    } while (p < last);
}


void
ngx_mesh_edit_jsonb(ngx_mesh_edit_out_t *out, ngx_str_t *s)
{
    u_char    *p, *last, *b, buf[8];
    size_t     n;
    uint32_t   ch, all;

    p = s->data;
    last = p + s->len;
    n = 0;
    all = 0;

    while (p < last) {
        ch = ngx_mesh_utf8_next(&p, last);
        n += ngx_mesh_edit_width(ch);
        all |= ch;
    }

    b = buf;

    if (all < 0x80 && n <= 47) {
        *b++ = (u_char) (0x49 + n);

    } else {
        *b++ = all < 0x80 ? 0x79 : 0x7a;

        if (n <= 0x2f) {
            *b++ = (u_char) n;

        } else if (n <= 0x7ff) {
            *b++ = (u_char) (0x38 + (n >> 8));
            *b++ = (u_char) n;

        } else if (n <= 0x3ffff) {
            *b++ = (u_char) (0x44 + (n >> 16));
            *b++ = (u_char) (n >> 8);
            *b++ = (u_char) n;

        } else {
            *b++ = 0x48;
            *b++ = (u_char) (n >> 24);
            *b++ = (u_char) (n >> 16);
            *b++ = (u_char) (n >> 8);
            *b++ = (u_char) n;
        }
    }

    ngx_mesh_edit_put(out, buf, b - buf);

    for (p = s->data; p < last; /* void */ ) {
        ch = ngx_mesh_utf8_next(&p, last);
        ngx_mesh_edit_put(out, buf, ngx_mesh_utf8_put(buf, ch) - buf);
    }
}


void
ngx_mesh_edit_json(ngx_mesh_edit_out_t *out, ngx_str_t *s)
{
    u_char    *p, *last, *b, buf[8];
    uint32_t   ch;

    static u_char  hex[] = "0123456789abcdef";

    p = s->data;
    last = p + s->len;

    ngx_mesh_edit_put(out, "\"", 1);

    while (p < last) {
        ch = ngx_mesh_utf8_next(&p, last);
        b = buf;

        if (ch < 0x20 || ch == 0x7f) {
            b = ngx_cpymem(b, "\\u00", 4);
            *b++ = hex[ch >> 4];
            *b++ = hex[ch & 0xf];

        } else {
            if (ch == '"' || ch == '\\') {
                *b++ = '\\';
            }

            b = ngx_mesh_utf8_put(b, ch);
        }

        ngx_mesh_edit_put(out, buf, b - buf);
    }

    ngx_mesh_edit_put(out, "\"", 1);
}


ngx_uint_t
ngx_mesh_edit_changes(const ngx_mesh_edit_t *edit, ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < edit->nfields; i++) {
        if (ngx_mesh_edit_same(&edit->fields[i].name, key)) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_mesh_edit_sets(const ngx_mesh_edit_t *edit, ngx_uint_t i)
{
    ngx_str_t  *name;

    if (edit->fields[i].remove) {
        return 0;
    }

    name = &edit->fields[i].name;

    while (++i < edit->nfields) {
        if (ngx_mesh_edit_same(&edit->fields[i].name, name)) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_mesh_edit_done(ngx_mesh_edit_out_t *out, ngx_mesh_frame_t *f, size_t *len)
{
    *len = out->len;

    if (out->len > out->size) {
        return NGX_AGAIN;
    }

    f->size = out->len;

    return NGX_OK;
}
