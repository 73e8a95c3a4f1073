
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_HESSIAN_H_INCLUDED_
#define _NGX_MESH_HESSIAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_utf8.h"


/*
 * Text in Hessian, whatever its dialect: a count of UTF-16 units, and each of
 * them written as UTF-8.  The count says nothing about bytes, so that all of
 * them have to be looked at; ASCII is the case to be fast in.
 */


/* how many of the next n units are ASCII; there are at least n bytes */

static ngx_inline size_t
ngx_mesh_hessian_ascii(u_char *p, size_t n)
{
    size_t    i;
    uint32_t  h[2];
    uint64_t  w[4];

    i = 0;

    while (n - i >= 32) {
        ngx_memcpy(w, p + i, 32);

        if ((w[0] | w[1] | w[2] | w[3]) & NGX_MESH_UTF8_HIGH) {
            break;
        }

        i += 32;
    }

    while (n - i >= 8) {
        ngx_memcpy(w, p + i, 8);

        if (w[0] & NGX_MESH_UTF8_HIGH) {
            break;
        }

        i += 8;
    }

    /* the rest overlaps with what has been looked at */

    if (n >= 8) {
        ngx_memcpy(w, p + n - 8, 8);

        if (n - i < 8 && (w[0] & NGX_MESH_UTF8_HIGH) == 0) {
            return n;
        }

    } else if (n >= 4) {
        ngx_memcpy(&h[0], p, 4);
        ngx_memcpy(&h[1], p + n - 4, 4);

        if (((h[0] | h[1]) & (uint32_t) NGX_MESH_UTF8_HIGH) == 0) {
            return n;
        }
    }

    while (i < n && p[i] < 0x80) {
        i++;
    }

    return i;
}


/* passes n units; NGX_AGAIN if they do not end before the limit */

static ngx_inline ngx_int_t
ngx_mesh_hessian_units(u_char **pos, u_char *limit, size_t n,
    ngx_uint_t *surrogates)
{
    u_char  *p;
    size_t   len;

    p = *pos;

    for ( ;; ) {

        if (n > (size_t) (limit - p)) {
            return NGX_AGAIN;
        }

        len = ngx_mesh_hessian_ascii(p, n);

        p += len;
        n -= len;

        if (n == 0) {
            break;
        }

        if ((*p & 0xe0) == 0xc0) {
            len = 2;

        } else if ((*p & 0xf0) == 0xe0) {
            len = 3;

        } else {
            return NGX_ERROR;
        }

        if (len > (size_t) (limit - p)) {
            return NGX_AGAIN;
        }

        if (p[0] == 0xed && p[1] >= 0xa0) {
            *surrogates = 1;
        }

        p += len;
        n--;
    }

    *pos = p;

    return NGX_OK;
}


/* tags of what counts among references, or is one, in the final dialect */

#define ngx_mesh_hessian_box(tag)                                             \
    ((tag) == 'C' || (tag) == 'H' || (tag) == 'M' || (tag) == 'O'             \
     || (tag) == 'Q' || ((tag) >= 0x55 && (tag) <= 0x58)                      \
     || ((tag) >= 0x60 && (tag) <= 0x7f))


#endif /* _NGX_MESH_HESSIAN_H_INCLUDED_ */
