
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_utf8.h"


/*
 * Three spellings of Unicode meet here: UTF-8 in nginx and JSON, UTF-16 in
 * JSONB, and in Hessian the units of UTF-16 written as UTF-8 one by one, so
 * that a character beyond U+FFFF takes six bytes.
 */


#define ngx_mesh_utf8_is_high(ch)  (((ch) & 0xfffffc00) == 0xd800)
#define ngx_mesh_utf8_is_low(ch)   (((ch) & 0xfffffc00) == 0xdc00)
#define ngx_mesh_utf8_is_tail(c)   (((c) & 0xc0) == 0x80)

#define ngx_mesh_utf8_pair(high, low)                                         \
    (0x10000 + (((high) - 0xd800) << 10) + ((low) - 0xdc00))


static uint32_t ngx_mesh_utf8_unit(u_char *p, u_char *last);


uint32_t
ngx_mesh_utf8_next(u_char **p, u_char *end)
{
    u_char    *s;
    size_t     n, i;
    uint32_t   ch, min;

    s = *p;
    *p = s + 1;

    if (s[0] < 0x80) {
        return s[0];
    }

    if (s[0] >= 0xc2 && s[0] < 0xe0) {
        ch = s[0] & 0x1f;
        min = 0x80;
        n = 1;

    } else if (s[0] >= 0xe0 && s[0] < 0xf0) {
        ch = s[0] & 0x0f;
        min = 0x800;
        n = 2;

    } else if (s[0] >= 0xf0 && s[0] < 0xf5) {
        ch = s[0] & 0x07;
        min = 0x10000;
        n = 3;

    } else {
        return '?';
    }

    if ((size_t) (end - s) <= n) {
        return '?';
    }

    for (i = 1; i <= n; i++) {
        if (!ngx_mesh_utf8_is_tail(s[i])) {
            return '?';
        }

        ch = (ch << 6) | (s[i] & 0x3f);
    }

    if (ch < min || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000)) {
        return '?';
    }

    *p = s + 1 + n;

    return ch;
}


u_char *
ngx_mesh_utf8_put(u_char *p, uint32_t ch)
{
    if (ch < 0x80) {
        *p++ = (u_char) ch;
        return p;
    }

    if (ch < 0x800) {
        *p++ = (u_char) (0xc0 | (ch >> 6));
        *p++ = (u_char) (0x80 | (ch & 0x3f));
        return p;
    }

    if (ch < 0x10000) {
        *p++ = (u_char) (0xe0 | (ch >> 12));
        *p++ = (u_char) (0x80 | ((ch >> 6) & 0x3f));
        *p++ = (u_char) (0x80 | (ch & 0x3f));
        return p;
    }

    *p++ = (u_char) (0xf0 | (ch >> 18));
    *p++ = (u_char) (0x80 | ((ch >> 12) & 0x3f));
    *p++ = (u_char) (0x80 | ((ch >> 6) & 0x3f));
    *p++ = (u_char) (0x80 | (ch & 0x3f));

    return p;
}


/* the surrogate at p, or 0 */

static uint32_t
ngx_mesh_utf8_unit(u_char *p, u_char *last)
{
    if (last - p < 3 || p[0] != 0xed || p[1] < 0xa0
        || !ngx_mesh_utf8_is_tail(p[1]) || !ngx_mesh_utf8_is_tail(p[2]))
    {
        return 0;
    }

    return 0xd000 | ((uint32_t) (p[1] & 0x3f) << 6) | (p[2] & 0x3f);
}


u_char *
ngx_mesh_utf8_join(u_char *p, u_char *last)
{
    u_char    *dst;
    uint32_t   high, low;

    dst = p;

    while (p < last) {
        high = ngx_mesh_utf8_unit(p, last);

        if (high == 0) {
            *dst++ = *p++;
            continue;
        }

        low = ngx_mesh_utf8_unit(p + 3, last);
        p += 3;

        if (ngx_mesh_utf8_is_high(high) && ngx_mesh_utf8_is_low(low)) {
            dst = ngx_mesh_utf8_put(dst, ngx_mesh_utf8_pair(high, low));
            p += 3;

        } else {
            *dst++ = '?';
        }
    }

    return dst;
}


u_char *
ngx_mesh_utf8_from_utf16(u_char *dst, u_char *end, u_char *p, u_char *last,
    ngx_uint_t little)
{
    uint32_t  ch, high;

    high = 0;

    for ( /* void */ ; last - p >= 2; p += 2) {

        /* a pending high surrogate and the next unit: at most 1 + 3 bytes */

        if (end - dst < 4) {
            return NULL;
        }

        ch = little ? (uint32_t) (p[1] << 8 | p[0])
                    : (uint32_t) (p[0] << 8 | p[1]);

        if (high && ngx_mesh_utf8_is_low(ch)) {
            dst = ngx_mesh_utf8_put(dst, ngx_mesh_utf8_pair(high, ch));
            high = 0;
            continue;
        }

        if (high) {
            *dst++ = '?';
            high = 0;
        }

        if (ngx_mesh_utf8_is_high(ch)) {
            high = ch;
            continue;
        }

        dst = ngx_mesh_utf8_put(dst, ngx_mesh_utf8_is_low(ch) ? '?' : ch);
    }

    if (high) {
        if (dst == end) {
            return NULL;
        }

        *dst++ = '?';
    }

    return dst;
}


u_char *
ngx_mesh_utf8_from_latin1(u_char *dst, u_char *end, u_char *p, u_char *last)
{
    for ( /* void */ ; p < last; p++) {
        if (end - dst < 2) {
            return NULL;
        }

        dst = ngx_mesh_utf8_put(dst, *p);
    }

    return dst;
}
