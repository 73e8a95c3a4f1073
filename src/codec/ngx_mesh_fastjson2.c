
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_serial.h"
#include "ngx_mesh_utf8.h"


/*
 * fastjson2 in Dubbo: every value is a document of its own, a 32-bit length
 * and that many bytes of JSONB.  The first byte of a value tells its kind:
 *
 *   00-2f, f0-ff     int, the byte itself
 *   30-3f b          int                      40-47 b b   48 b4
 *   49-78            string of tag - 49 bytes
 *   79 n, 7a n       string of n bytes, ISO 8859-1 and UTF-8
 *   7b n - 7d n      UTF-16, with its mark, little and big endian
 *   7e n             GB 18030
 *   7f s n, 7f n     string that is given the number n, that string again
 *   90 n             char
 *   91 n             binary
 *   92 s n v, 92 n v value of a type, given as for 7f
 *   93 s             reference
 *   94-a3 v*         array of tag - 94 values       a4 n v*
 *   a6 (k v)* a5     object
 *   a7 b3 n          time                     a8 b7 n   a9 b4
 *   aa b7 n s        time and its zone
 *   ab b8            timestamp                ac b4   ad b4   ae l n
 *   af b0 b1         null, false, true
 *   b2 b3            double                   b4 l  b5 b8
 *   b6 n  b7 b4      float
 *   b8 l  b9 n v     decimal
 *   ba l  bb n       big integer
 *   bc b b  bd b     short, byte
 *   be b8  bf b4     long                     c0-c7 b b  c8-d7 b  d8-ef
 *
 * where n is an int, l a long and s a string of these very kinds.
 */


/* what is left of an object; counts of array elements are below */
#define NGX_MESH_FASTJSON2_KEY    0xffffffff
#define NGX_MESH_FASTJSON2_VALUE  0xfffffffe

#define ngx_mesh_fastjson2_is_int(c)     ((c) <= 0x48 || (c) >= 0xf0)
#define ngx_mesh_fastjson2_is_string(c)  ((c) >= 0x49 && (c) <= 0x7e)


/* what follows the tag of a value that is no container, in this order */
#define NGX_MESH_FASTJSON2_TYPE    0x80
#define NGX_MESH_FASTJSON2_BYTES   0x0f
#define NGX_MESH_FASTJSON2_NUMBER  0x10
#define NGX_MESH_FASTJSON2_JUMP    0x20       /* a length and bytes */
#define NGX_MESH_FASTJSON2_MORE    0x40       /* another value */
#define NGX_MESH_FASTJSON2_BAD     0xff

#define T  NGX_MESH_FASTJSON2_TYPE
#define N  NGX_MESH_FASTJSON2_NUMBER
#define J  NGX_MESH_FASTJSON2_JUMP
#define V  NGX_MESH_FASTJSON2_MORE
#define X  NGX_MESH_FASTJSON2_BAD

static const u_char  ngx_mesh_fastjson2_parts[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    2, 2, 2, 2, 2, 2, 2, 2, 4, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, J, J, J, J, J, J, T,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    V, J, T|V, V, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, 3|V, 7|V, 4, 7|N|V, 8, 4, 4, N|V, 0,
    0, 0, 0, 0, V, 8, V, 4, V, N|V, V, J, 2, 1, 8, 4,
    2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
};

#undef T
#undef N
#undef J
#undef V
#undef X


static ngx_int_t ngx_mesh_fastjson2_document(ngx_mesh_body_t *r,
    u_char **last);
static ngx_int_t ngx_mesh_fastjson2_string(ngx_mesh_body_t *r, ngx_str_t *s);
static ngx_int_t ngx_mesh_fastjson2_documents(ngx_mesh_body_t *r,
    ngx_uint_t n);
static ngx_int_t ngx_mesh_fastjson2_raw(ngx_mesh_body_t *r, ngx_str_t *s,
    u_char *tag);
static ngx_int_t ngx_mesh_fastjson2_text(ngx_mesh_body_t *r, ngx_str_t *s,
    u_char tag);
static ngx_int_t ngx_mesh_fastjson2_number(ngx_mesh_body_t *r,
    int64_t *value);
static ngx_int_t ngx_mesh_fastjson2_length(ngx_mesh_body_t *r, size_t *n);
static ngx_int_t ngx_mesh_fastjson2_jump(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson2_type(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson2_scalar(ngx_mesh_body_t *r, u_char tag);
static ngx_int_t ngx_mesh_fastjson2_skip(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson2_open(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson2_key(ngx_mesh_body_t *r, ngx_str_t *key);
static ngx_int_t ngx_mesh_fastjson2_value(ngx_mesh_body_t *r,
    ngx_mesh_value_t *v);
static void ngx_mesh_fastjson2_double(u_char *p, ngx_mesh_value_t *v);
static ngx_int_t ngx_mesh_fastjson2_flag(ngx_mesh_body_t *r,
    ngx_uint_t *flag);


const ngx_mesh_serial_t  ngx_mesh_fastjson2 = {
    NGX_MESH_SERIAL_FASTJSON2,
    ngx_string("\0\0\0\001\257"),
    ngx_string("\0\0\0\002JR"),
    ngx_mesh_fastjson2_string,
    ngx_mesh_fastjson2_documents,
    ngx_mesh_fastjson2_open,
    ngx_mesh_fastjson2_key,
    ngx_mesh_fastjson2_value,
    ngx_mesh_fastjson2_skip,
    ngx_mesh_fastjson2_flag
};


/* enters the next document; it is not empty */

static ngx_inline ngx_int_t
ngx_mesh_fastjson2_enter(ngx_mesh_body_t *r, u_char **last)
{
    u_char    *p;
    uint32_t   n;

    p = r->pos;

    if (r->end - p < 4) {
        return NGX_AGAIN;
    }

    n = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
        | (uint32_t) p[2] << 8 | p[3];

    p += 4;

    if (n == 0) {
        return NGX_ERROR;
    }

    if (n > (size_t) (r->end - p)) {
        return NGX_AGAIN;
    }

    r->pos = p;
    *last = p + n;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_fastjson2_document(ngx_mesh_body_t *r, u_char **last)
{
    ngx_int_t  rc;

    rc = ngx_mesh_fastjson2_enter(r, last);

    if (rc == NGX_OK) {
        r->limit = *last;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_fastjson2_string(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char     *last, *limit, tag;
    ngx_int_t   rc;

    limit = r->limit;

    rc = ngx_mesh_fastjson2_document(r, &last);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_null(s);

    if (*r->pos == 0xaf) {
        rc = NGX_OK;

    } else {
        rc = ngx_mesh_fastjson2_raw(r, s, &tag);

        if (rc == NGX_OK) {
            rc = ngx_mesh_fastjson2_text(r, s, tag);
        }
    }

    r->pos = last;
    r->limit = limit;

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


/* arguments have lengths, so that passing them costs next to nothing */

static ngx_int_t
ngx_mesh_fastjson2_documents(ngx_mesh_body_t *r, ngx_uint_t n)
{
    u_char     *last;
    ngx_int_t   rc;

    r->limit = r->end;

    while (n--) {
        rc = ngx_mesh_fastjson2_enter(r, &last);
        if (rc != NGX_OK) {
            return rc;
        }

        r->pos = last;
    }

    return NGX_OK;
}


/* a string as it stands in the frame, and how it is to be read */

static ngx_int_t
ngx_mesh_fastjson2_raw(ngx_mesh_body_t *r, ngx_str_t *s, u_char *tag)
{
    size_t     n;
    ngx_int_t  rc;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    *tag = *r->pos;

    if (!ngx_mesh_fastjson2_is_string(*tag)) {
        return NGX_ERROR;
    }

    r->pos++;

    if (*tag < 0x79) {
        n = *tag - 0x49;

        if (n > ngx_mesh_serial_left(r)) {
            return NGX_AGAIN;
        }

    } else {
        rc = ngx_mesh_fastjson2_length(r, &n);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    s->data = r->pos;
    s->len = n;

    r->pos += n;

    return NGX_OK;
}


static ngx_inline ngx_uint_t
ngx_mesh_fastjson2_ascii(ngx_str_t *s)
{
    u_char    *p;
    size_t     n;
    uint64_t   word;

    p = s->data;

    for (n = s->len; n >= 8; n -= 8) {
        ngx_memcpy(&word, p, 8);

        if (word & NGX_MESH_UTF8_HIGH) {
            return 0;
        }

        p += 8;
    }

    while (n--) {
        if (*p++ >= 0x80) {
            return 0;
        }
    }

    return 1;
}


/* makes UTF-8 of a raw string; empty if it cannot be or scratch is full */

static ngx_int_t
ngx_mesh_fastjson2_text(ngx_mesh_body_t *r, ngx_str_t *s, u_char tag)
{
    u_char      *p, *last;
    ngx_uint_t   little;

    if (tag == 0x7a) {
        return NGX_OK;
    }

    if (tag < 0x7a && ngx_mesh_fastjson2_ascii(s)) {
        return NGX_OK;
    }

    last = s->data + s->len;

    if (tag < 0x7a) {
        p = ngx_mesh_utf8_from_latin1(r->scratch, r->scratch_end, s->data,
                                      last);

    } else if (tag == 0x7e) {
        p = NULL;

    } else {
        little = (tag == 0x7c);

        /* Java reads big endian where there is no byte order mark */

        if (tag == 0x7b && s->len >= 2) {
            if (s->data[0] == 0xff && s->data[1] == 0xfe) {
                little = 1;
                s->data += 2;

            } else if (s->data[0] == 0xfe && s->data[1] == 0xff) {
                s->data += 2;
            }
        }

        p = ngx_mesh_utf8_from_utf16(r->scratch, r->scratch_end, s->data,
                                     last, little);
    }

    if (p == NULL) {
        ngx_str_null(s);
        return NGX_OK;
    }

    s->data = r->scratch;
    s->len = p - r->scratch;

    r->scratch = p;

    return NGX_OK;
}


/* an int or a long; in the compact forms the tag has its highest bits */

static ngx_int_t
ngx_mesh_fastjson2_number(ngx_mesh_body_t *r, int64_t *value)
{
    u_char    *p, tag;
    size_t     n, i;
    int64_t    high;
    uint64_t   bits;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    p = r->pos;
    tag = *p++;
    n = ngx_mesh_fastjson2_parts[tag];

    if (tag == 0x48 || (tag >= 0xbc && tag <= 0xbf)) {
        high = (p < r->limit && p[0] >= 0x80) ? -1 : 0;

    } else if (tag <= 0x2f) {
        high = tag;

    } else if (tag <= 0x3f) {
        high = tag - 0x38;

    } else if (tag <= 0x47) {
        high = tag - 0x44;

    } else if (tag >= 0xf0) {
        high = tag - 0x100;

    } else if (tag >= 0xd8) {
        high = tag - 0xe0;

    } else if (tag >= 0xc8) {
        high = tag - 0xd0;

    } else if (tag >= 0xc0) {
        high = tag - 0xc4;

    } else {
        return NGX_ERROR;
    }

    if (n > (size_t) (r->limit - p)) {
        return NGX_AGAIN;
    }

    bits = (uint64_t) high;

    for (i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
    }

    *value = (int64_t) bits;

    r->pos = p + n;

    return NGX_OK;
}


/* an int that says how many bytes or, at least, values follow */

static ngx_int_t
ngx_mesh_fastjson2_length(ngx_mesh_body_t *r, size_t *n)
{
    int64_t    num;
    ngx_int_t  rc;

    if (r->pos < r->limit && !ngx_mesh_fastjson2_is_int(*r->pos)) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_fastjson2_number(r, &num);
    if (rc != NGX_OK) {
        return rc;
    }

    if (num < 0) {
        return NGX_ERROR;
    }

    if ((uint64_t) num > ngx_mesh_serial_left(r)) {
        return NGX_AGAIN;
    }

    *n = (size_t) num;

    return NGX_OK;
}


/* skips a length and the bytes it tells */

static ngx_int_t
ngx_mesh_fastjson2_jump(ngx_mesh_body_t *r)
{
    size_t     n;
    ngx_int_t  rc;

    rc = ngx_mesh_fastjson2_length(r, &n);

    if (rc == NGX_OK) {
        r->pos += n;
    }

    return rc;
}


/* the type before a value: a string and its number, or the number alone */

static ngx_int_t
ngx_mesh_fastjson2_type(ngx_mesh_body_t *r)
{
    u_char     tag;
    int64_t    num;
    ngx_int_t  rc;
    ngx_str_t  s;

    if (r->pos < r->limit && *r->pos == 0x7f) {
        r->pos++;
    }

    if (r->pos < r->limit && ngx_mesh_fastjson2_is_string(*r->pos)) {
        rc = ngx_mesh_fastjson2_raw(r, &s, &tag);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_mesh_fastjson2_number(r, &num);
}


/*
 * Skips the rest of a value that is no container, after its tag; NGX_DECLINED
 * says that it goes on with another value.
 */

static ngx_int_t
ngx_mesh_fastjson2_scalar(ngx_mesh_body_t *r, u_char tag)
{
    u_char     parts;
    size_t     n;
    int64_t    num;
    ngx_int_t  rc;

    parts = ngx_mesh_fastjson2_parts[tag];

    if (parts == NGX_MESH_FASTJSON2_BAD) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (parts & NGX_MESH_FASTJSON2_TYPE) {
        rc = ngx_mesh_fastjson2_type(r);
    }

    n = (tag >= 0x49 && tag <= 0x78) ? (size_t) (tag - 0x49)
                                     : parts & NGX_MESH_FASTJSON2_BYTES;

    if (n > ngx_mesh_serial_left(r)) {
        return NGX_AGAIN;
    }

    r->pos += n;

    if (parts & NGX_MESH_FASTJSON2_NUMBER) {
        rc = ngx_mesh_fastjson2_number(r, &num);
    }

    if (parts & NGX_MESH_FASTJSON2_JUMP) {
        rc = ngx_mesh_fastjson2_jump(r);
    }

    if (rc == NGX_OK && (parts & NGX_MESH_FASTJSON2_MORE)) {
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_fastjson2_skip(ngx_mesh_body_t *r)
{
    u_char      tag;
    size_t      n;
    uint32_t    left;
    uint32_t    stack[NGX_MESH_SERIAL_DEPTH];
    ngx_int_t   rc;
    ngx_uint_t  depth;

    left = 1;
    depth = 0;

    for ( ;; ) {

        while (left == 0) {
            if (depth == 0) {
                return NGX_OK;
            }

            left = stack[--depth];
        }

        if (r->pos == r->limit) {
            return NGX_AGAIN;
        }

        tag = *r->pos++;

        if (left < NGX_MESH_FASTJSON2_VALUE) {
            left--;

        } else if (tag == 0xa5 && left == NGX_MESH_FASTJSON2_KEY) {
            left = 0;
            continue;

        } else {
            left = (left == NGX_MESH_FASTJSON2_KEY) ? NGX_MESH_FASTJSON2_VALUE
                                                    : NGX_MESH_FASTJSON2_KEY;
        }

        while (tag < 0x94 || tag > 0xa6 || tag == 0xa5) {
            rc = ngx_mesh_fastjson2_scalar(r, tag);

            if (rc == NGX_OK) {
                break;
            }

            if (rc != NGX_DECLINED) {
                return rc;
            }

            if (r->pos == r->limit) {
                return NGX_AGAIN;
            }

            tag = *r->pos++;
        }

        if (tag < 0x94 || tag > 0xa6) {
            continue;
        }

        if (left) {
            if (depth == NGX_MESH_SERIAL_DEPTH) {
                return NGX_ERROR;
            }

            stack[depth++] = left;
        }

        if (tag == 0xa6) {
            left = NGX_MESH_FASTJSON2_KEY;

        } else if (tag == 0xa4) {
            rc = ngx_mesh_fastjson2_length(r, &n);
            if (rc != NGX_OK) {
                return rc;
            }

            left = (uint32_t) n;

        } else {
            left = tag - 0x94;
        }
    }
}


static ngx_int_t
ngx_mesh_fastjson2_open(ngx_mesh_body_t *r)
{
    u_char     *last;
    ngx_int_t   rc;

    rc = ngx_mesh_fastjson2_document(r, &last);
    if (rc != NGX_OK) {
        return rc;
    }

    if (*r->pos == 0xaf) {
        r->pos = last;
        return NGX_DECLINED;
    }

    if (*r->pos == 0x92) {
        r->pos++;

        rc = ngx_mesh_fastjson2_type(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    return *r->pos++ == 0xa6 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_fastjson2_key(ngx_mesh_body_t *r, ngx_str_t *key)
{
    u_char     *p, tag;
    int64_t     num;
    ngx_int_t   rc;

    ngx_str_null(key);

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    p = r->pos;

    if (*p == 0xa5) {
        r->pos++;
        return NGX_DONE;
    }

    if (*p == 0x7f && r->limit - p > 1
        && ngx_mesh_fastjson2_is_string(p[1]))
    {
        r->pos++;

        rc = ngx_mesh_fastjson2_raw(r, key, &tag);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_mesh_fastjson2_number(r, &num);
    }

    if (!ngx_mesh_fastjson2_is_string(*p)) {
        return ngx_mesh_fastjson2_skip(r);
    }

    rc = ngx_mesh_fastjson2_raw(r, key, &tag);

    if (tag > 0x7a) {
        ngx_str_null(key);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_fastjson2_value(ngx_mesh_body_t *r, ngx_mesh_value_t *v)
{
    u_char     *p, tag;
    ngx_int_t   rc;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    p = r->pos;

    if (ngx_mesh_fastjson2_is_string(*p)) {
        v->type = NGX_MESH_SERIAL_STRING;

        rc = ngx_mesh_fastjson2_raw(r, &v->str, &tag);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_mesh_fastjson2_text(r, &v->str, tag);
    }

    if (ngx_mesh_fastjson2_number(r, &v->num) == NGX_OK) {
        v->type = NGX_MESH_SERIAL_INT;
        return NGX_OK;
    }

    v->type = NGX_MESH_SERIAL_OTHER;

    rc = ngx_mesh_fastjson2_skip(r);
    if (rc != NGX_OK) {
        return rc;
    }

    switch (*p) {

    case 0xaf:
        v->type = NGX_MESH_SERIAL_NULL;
        break;

    case 0xb0:
    case 0xb1:
        v->type = NGX_MESH_SERIAL_BOOL;
        v->num = *p - 0xb0;
        break;

    case 0xb2:
    case 0xb3:
        v->type = NGX_MESH_SERIAL_DOUBLE;
        v->dbl = *p - 0xb2;
        break;

    case 0xb5:
        ngx_mesh_fastjson2_double(p + 1, v);
        break;

    default:
        break;
    }

    return NGX_OK;
}


static void
ngx_mesh_fastjson2_double(u_char *p, ngx_mesh_value_t *v)
{
    size_t    i;
    uint64_t  bits;

    bits = 0;

    for (i = 0; i < 8; i++) {
        bits = bits << 8 | p[i];
    }

    ngx_memcpy(&v->dbl, &bits, sizeof(double));
    v->type = NGX_MESH_SERIAL_DOUBLE;
}


static ngx_int_t
ngx_mesh_fastjson2_flag(ngx_mesh_body_t *r, ngx_uint_t *flag)
{
    u_char     *last;
    int64_t     num;
    ngx_int_t   rc;

    rc = ngx_mesh_fastjson2_document(r, &last);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_fastjson2_number(r, &num);

    if (rc == NGX_OK) {
        *flag = (ngx_uint_t) num;
    }

    return rc;
}
