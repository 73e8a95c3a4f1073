
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_serial.h"
#include "ngx_mesh_utf8.h"


/*
 * The text of an error answer in the serialization of the caller.  Names of
 * the wire go into it, so it may hold anything: what is not UTF-8 becomes
 * '?', and what does not fit is cut off between two characters.
 */


/* longer strings have to be split in some serializations */
#define NGX_MESH_SERIAL_TEXT_MAX  32767

/* bytes of a character in UTF-8 */
#define ngx_mesh_serial_width(ch)                                             \
    ((ch) < 0x80 ? 1 : (ch) < 0x800 ? 2 : (ch) < 0x10000 ? 3 : 4)


static size_t ngx_mesh_serial_write_hessian2(u_char *dst, u_char *end,
    ngx_str_t *text);
static size_t ngx_mesh_serial_write_fastjson(u_char *dst, u_char *end,
    ngx_str_t *text);
static size_t ngx_mesh_serial_write_fastjson2(u_char *dst, u_char *end,
    ngx_str_t *text);
static size_t ngx_mesh_serial_write_protobuf(u_char *dst, u_char *end,
    ngx_str_t *text);
static u_char *ngx_mesh_serial_utf8(u_char *p, u_char *end, ngx_str_t *text,
    ngx_uint_t *ascii);
static u_char *ngx_mesh_serial_varint(u_char *p, size_t n);


ngx_int_t
ngx_mesh_serial_class(ngx_mesh_body_t *r, uint32_t n)
{
    if (r->nclasses == 0 && r->scratch_end) {
        r->scratch_end -= (uintptr_t) r->scratch_end % sizeof(uint32_t);
        r->classes = (uint32_t *) r->scratch_end;
    }

    if (r->scratch_end - r->scratch < (ssize_t) sizeof(uint32_t)) {
        return NGX_ERROR;
    }

    r->scratch_end -= sizeof(uint32_t);
    r->nclasses++;

    *(r->classes - r->nclasses) = n;

    return NGX_OK;
}


size_t
ngx_mesh_serial_write(u_char *dst, size_t size, ngx_uint_t *id,
    ngx_str_t *text)
{
    u_char  *end;

    end = dst + size;

    switch (*id) {

    case NGX_MESH_SERIAL_FASTJSON:
        return ngx_mesh_serial_write_fastjson(dst, end, text);

    case NGX_MESH_SERIAL_FASTJSON2:
        return ngx_mesh_serial_write_fastjson2(dst, end, text);

    case NGX_MESH_SERIAL_PROTOBUF:
        return ngx_mesh_serial_write_protobuf(dst, end, text);

    default:
        *id = NGX_MESH_SERIAL_HESSIAN2;
        return ngx_mesh_serial_write_hessian2(dst, end, text);
    }
}


static size_t
ngx_mesh_serial_write_hessian2(u_char *dst, u_char *end, ngx_str_t *text)
{
    u_char    *p, *src, *last;
    size_t     units, n, head;
    uint32_t   ch;

    /* the tag and its length take up to three bytes */

    if (end - dst < 3) {
        return 0;
    }

    p = dst + 3;
    src = text->data;
    last = src + text->len;

    units = 0;

    while (src < last && units < NGX_MESH_SERIAL_TEXT_MAX - 1) {
        ch = ngx_mesh_utf8_next(&src, last);

        if (end - p < (ch < 0x10000 ? ngx_mesh_serial_width(ch) : 6)) {
            break;
        }

        if (ch < 0x10000) {
            p = ngx_mesh_utf8_put(p, ch);
            units++;
            continue;
        }

        ch -= 0x10000;
        p = ngx_mesh_utf8_put(p, 0xd800 + (ch >> 10));
        p = ngx_mesh_utf8_put(p, 0xdc00 + (ch & 0x3ff));
        units += 2;
    }

    head = units < 32 ? 1 : units < 1024 ? 2 : 3;
    n = p - (dst + 3);

    ngx_memmove(dst + head, dst + 3, n);

    if (head == 1) {
        dst[0] = (u_char) units;

    } else if (head == 2) {
        dst[0] = (u_char) (0x30 + (units >> 8));
        dst[1] = (u_char) units;

    } else {
        dst[0] = 'S';
        dst[1] = (u_char) (units >> 8);
        dst[2] = (u_char) units;
    }

    return head + n;
}


/* a JSON text and a line feed */

static size_t
ngx_mesh_serial_write_fastjson(u_char *dst, u_char *end, ngx_str_t *text)
{
    size_t     n;
    u_char    *p, *src, *last;
    uint32_t   ch;

    static u_char  hex[] = "0123456789abcdef";

    if (end - dst < 3) {
        return 0;
    }

    p = dst;
    end -= 2;

    src = text->data;
    last = src + text->len;

    *p++ = '"';

    while (src < last) {
        ch = ngx_mesh_utf8_next(&src, last);

        n = ch < 0x20 || ch == 0x7f ? 6
            : ch == '"' || ch == '\\' ? 2 : ngx_mesh_serial_width(ch);

        if (n > (size_t) (end - p)) {
            break;
        }

        if (n == 6) {
            p = ngx_cpymem(p, "\\u00", 4);
            *p++ = hex[ch >> 4];
            *p++ = hex[ch & 0xf];
            continue;
        }

        if (ch == '"' || ch == '\\') {
            *p++ = '\\';
        }

        p = ngx_mesh_utf8_put(p, ch);
    }

    *p++ = '"';
    *p++ = '\n';

    return p - dst;
}


static size_t
ngx_mesh_serial_write_fastjson2(u_char *dst, u_char *end, ngx_str_t *text)
{
    size_t       n, i;
    u_char      *p, *src;
    ngx_uint_t   ascii;

    /* the length, a tag and an int of at most three bytes */

    if (end - dst < 4 + 1 + 3) {
        return 0;
    }

    src = dst + 4 + 1 + 3;
    n = ngx_mesh_serial_utf8(src, end, text, &ascii) - src;

    p = dst + 4;

    if (ascii && n <= 47) {
        *p++ = (u_char) (0x49 + n);

    } else {
        *p++ = ascii ? 0x79 : 0x7a;

        if (n <= 0x2f) {
            *p++ = (u_char) n;

        } else if (n <= 0x7ff) {
            *p++ = (u_char) (0x38 + (n >> 8));
            *p++ = (u_char) n;

        } else {
            *p++ = (u_char) (0x44 + (n >> 16));
            *p++ = (u_char) (n >> 8);
            *p++ = (u_char) n;
        }
    }

    ngx_memmove(p, src, n);

    n += p - (dst + 4);

    for (i = 0; i < 4; i++) {
        dst[i] = (u_char) (n >> (24 - 8 * i));
    }

    return 4 + n;
}


/* a StringValue after its length; the text is the field 1 */

static size_t
ngx_mesh_serial_write_protobuf(u_char *dst, u_char *end, ngx_str_t *text)
{
    size_t       n;
    u_char      *p, *src, *field;
    ngx_uint_t   ascii;

    if (end - dst < 3 + 1 + 3) {
        return 0;
    }

    src = dst + 3 + 1 + 3;
    n = ngx_mesh_serial_utf8(src, end, text, &ascii) - src;

    field = dst + 3;
    p = field;
    *p++ = 0x0a;
    p = ngx_mesh_serial_varint(p, n);

    ngx_memmove(p, src, n);

    n += p - field;

    p = ngx_mesh_serial_varint(dst, n);

    ngx_memmove(p, field, n);

    return p + n - dst;
}


static u_char *
ngx_mesh_serial_utf8(u_char *p, u_char *end, ngx_str_t *text,
    ngx_uint_t *ascii)
{
    u_char    *src, *last;
    uint32_t   ch, all;

    end = p + ngx_min(end - p, NGX_MESH_SERIAL_TEXT_MAX);

    src = text->data;
    last = src + text->len;
    all = 0;

    while (src < last) {
        ch = ngx_mesh_utf8_next(&src, last);

        if (end - p < ngx_mesh_serial_width(ch)) {
            break;
        }

        p = ngx_mesh_utf8_put(p, ch);
        all |= ch;
    }

    *ascii = all < 0x80;

    return p;
}


static u_char *
ngx_mesh_serial_varint(u_char *p, size_t n)
{
    while (n > 0x7f) {
        *p++ = (u_char) (0x80 | (n & 0x7f));
        n >>= 7;
    }

    *p++ = (u_char) n;

    return p;
}
