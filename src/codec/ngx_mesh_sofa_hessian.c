
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_bolt.h"
#include "ngx_mesh_hessian.h"


/*
 * Hessian as sofa-hessian 3 speaks it, a draft of what Dubbo has:
 *
 *   00-1f            string of that many UTF-16 units
 *   s hh             piece of a string, more follow       S hh  the last one
 *   20-2f            binary of tag - 20 bytes
 *   b hh             piece of a binary, more follow       B hh  the last one
 *   38-3f b b        long                   w b4  L b8    d8-ef  f0-ff b
 *   80-bf            int                    I b4          c0-cf b  d0-d7 b b
 *   67 68            0.0, 1.0               69 b  6a b2  6b b4  D b8  double
 *   d b8             date                   F T N         false, true, null
 *   V [type] [n] v* z        list; type: t hh text, u int; n: n b, l b4
 *   v int n v*               list of a type seen before
 *   M [type] (k v)* z        map
 *   O n text count field*    class definition, an object follows
 *   o n v*                   object of class n
 *   J b  K b2  R b4          reference
 *   r type text              remote object
 *   x hh  X hh               XML, as strings
 *
 * Values are skipped as those of the other dialect are, see there.
 */


#define NGX_MESH_SOFA_LIST   0xffffffff
#define NGX_MESH_SOFA_KEY    0xfffffffe
#define NGX_MESH_SOFA_VALUE  0xfffffffd
#define NGX_MESH_SOFA_OPEN   NGX_MESH_SOFA_VALUE

/* kinds of tags; a smaller number is the length of a plain value */

#define NGX_MESH_SOFA_STR    0x10
#define NGX_MESH_SOFA_BIN    0x11
#define NGX_MESH_SOFA_BOX    0x12
#define NGX_MESH_SOFA_BAD    0x13


static u_char ngx_mesh_sofa_kind(u_char tag);
static ngx_int_t ngx_mesh_sofa_int(ngx_mesh_body_t *r, int32_t *value);
static ngx_int_t ngx_mesh_sofa_string(ngx_mesh_body_t *r, ngx_str_t *s);
static ngx_int_t ngx_mesh_sofa_skip_string(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_sofa_skip_binary(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_sofa_define(ngx_mesh_body_t *r, u_char **names,
    ngx_uint_t *n);
static ngx_int_t ngx_mesh_sofa_type(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_sofa_box(ngx_mesh_body_t *r, u_char tag,
    uint32_t *left);
static ngx_int_t ngx_mesh_sofa_leaf(ngx_mesh_body_t *r, u_char tag);
static ngx_int_t ngx_mesh_sofa_pass(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_sofa_value(ngx_mesh_body_t *r, ngx_mesh_value_t *v);
static ngx_int_t ngx_mesh_sofa_draft(ngx_mesh_body_t *r, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n);
static ngx_int_t ngx_mesh_sofa_final(ngx_mesh_body_t *r, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n);
static ngx_mesh_value_t *ngx_mesh_sofa_wanted(ngx_str_t *name,
    ngx_str_t *names, ngx_mesh_value_t *values, ngx_uint_t n);


static u_char
ngx_mesh_sofa_kind(u_char tag)
{
    if (tag < 0x20) {
        return NGX_MESH_SOFA_STR;
    }

    if (tag < 0x30) {
        return NGX_MESH_SOFA_BIN;
    }

    if (tag >= 0x80) {
        return tag < 0xc0 ? 0 : tag < 0xd0 ? 1 : tag < 0xd8 ? 2
               : tag < 0xf0 ? 0 : 1;
    }

    switch (tag) {

    case 'S': case 's': case 'x': case 'X':
        return NGX_MESH_SOFA_STR;

    case 'B': case 'b':
        return NGX_MESH_SOFA_BIN;

    case 'V': case 'v': case 'M': case 'o': case 'r':
        return NGX_MESH_SOFA_BOX;

    case 'F': case 'T': case 'N': case 0x67: case 0x68:
        return 0;

    case 0x69: case 'J':
        return 1;

    case 0x38: case 0x39: case 0x3a: case 0x3b:
    case 0x3c: case 0x3d: case 0x3e: case 0x3f:
    case 0x6a: case 'K':
        return 2;

    case 'I': case 'R': case 0x6b: case 'w':
        return 4;

    case 'D': case 'L': case 'd':
        return 8;

    default:
        return NGX_MESH_SOFA_BAD;
    }
}


static ngx_int_t
ngx_mesh_sofa_int(ngx_mesh_body_t *r, int32_t *value)
{
    u_char  *p;
    size_t   n;

    p = r->pos;

    if (p == r->limit) {
        return NGX_AGAIN;
    }

    if (*p != 'I' && (*p < 0x80 || *p > 0xd7)) {
        return NGX_ERROR;
    }

    n = ngx_mesh_sofa_kind(*p);

    if (ngx_mesh_serial_left(r) <= n) {
        return NGX_AGAIN;
    }

    *value = *p == 'I' ? (int32_t) ngx_mesh_bolt_u32(p + 1)
             : *p < 0xc0 ? *p - 0x90
             : *p < 0xd0 ? (*p - 0xc8) * 256 + p[1]
                         : (*p - 0xd4) * 65536 + (p[1] << 8 | p[2]);

    r->pos += 1 + n;

    return NGX_OK;
}


/* only the last piece counts where there are several: no name is so long */

static ngx_int_t
ngx_mesh_sofa_string(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char      tag, *start;
    size_t      n;
    ngx_int_t   rc;
    ngx_uint_t  surrogates, pieces;

    pieces = 0;
    surrogates = 0;

    do {
        if (r->pos == r->limit) {
            return NGX_AGAIN;
        }

        tag = *r->pos;

        if (ngx_mesh_sofa_kind(tag) != NGX_MESH_SOFA_STR) {
            return NGX_ERROR;
        }

        n = tag;
        start = r->pos + 1;

        if (tag >= 0x20) {
            if (ngx_mesh_serial_left(r) < 3) {
                return NGX_AGAIN;
            }

            n = ngx_mesh_bolt_u16(start);
            start += 2;
        }

        r->pos = start;

        rc = ngx_mesh_hessian_units(&r->pos, r->limit, n, &surrogates);
        if (rc != NGX_OK) {
            return rc;
        }

        pieces++;

    } while (tag == 's' || tag == 'x');

    if (s == NULL) {
        return NGX_OK;
    }

    ngx_str_null(s);

    n = r->pos - start;

    if (pieces > 1) {
        return NGX_OK;
    }

    if (surrogates) {
        if (n > (size_t) (r->scratch_end - r->scratch)) {
            return NGX_OK;
        }

        ngx_memcpy(r->scratch, start, n);
        start = r->scratch;
        r->scratch = ngx_mesh_utf8_join(start, start + n);
        n = r->scratch - start;
    }

    s->data = start;
    s->len = n;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_sofa_skip_string(ngx_mesh_body_t *r)
{
    return ngx_mesh_sofa_string(r, NULL);
}


static ngx_int_t
ngx_mesh_sofa_skip_binary(ngx_mesh_body_t *r)
{
    u_char  tag;
    size_t  n;

    do {
        if (r->pos == r->limit) {
            return NGX_AGAIN;
        }

        tag = *r->pos++;

        if (ngx_mesh_sofa_kind(tag) != NGX_MESH_SOFA_BIN) {
            return NGX_ERROR;
        }

        n = tag - 0x20;

        if (tag >= 0x30) {
            if (ngx_mesh_serial_left(r) < 2) {
                return NGX_AGAIN;
            }

            n = ngx_mesh_bolt_u16(r->pos);
            r->pos += 2;
        }

        if (n > ngx_mesh_serial_left(r)) {
            return NGX_AGAIN;
        }

        r->pos += n;

    } while (tag == 'b');

    return NGX_OK;
}


/* a class definition after its tag; where its field names begin, if wanted */

static ngx_int_t
ngx_mesh_sofa_define(ngx_mesh_body_t *r, u_char **names, ngx_uint_t *count)
{
    int32_t     n, i;
    ngx_int_t   rc;
    ngx_uint_t  surrogates;

    /* the name is a count and text, without the tag of a string */

    rc = ngx_mesh_sofa_int(r, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n < 0) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_hessian_units(&r->pos, r->limit, n, &surrogates);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_sofa_int(r, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n < 0 || n > r->end - r->pos) {
        return NGX_ERROR;
    }

    if (names) {
        *names = r->pos;
        *count = n;
    }

    for (i = 0; i < n; i++) {
        rc = ngx_mesh_sofa_skip_string(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_mesh_serial_class(r, (uint32_t) n);
}


static ngx_int_t
ngx_mesh_sofa_type(ngx_mesh_body_t *r)
{
    size_t      n;
    int32_t     ref;
    ngx_uint_t  surrogates;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    if (*r->pos == 'u') {
        r->pos++;
        return ngx_mesh_sofa_int(r, &ref);
    }

    if (*r->pos != 't') {
        return NGX_OK;
    }

    if (ngx_mesh_serial_left(r) < 3) {
        return NGX_AGAIN;
    }

    n = ngx_mesh_bolt_u16(r->pos + 1);
    r->pos += 3;

    return ngx_mesh_hessian_units(&r->pos, r->limit, n, &surrogates);
}


/* enters a container: how many values it has, or how it ends */

static ngx_int_t
ngx_mesh_sofa_box(ngx_mesh_body_t *r, u_char tag, uint32_t *left)
{
    size_t     n;
    int32_t    count;
    ngx_int_t  rc;

    switch (tag) {

    case 'M':
        *left = NGX_MESH_SOFA_KEY;
        return ngx_mesh_sofa_type(r);

    case 'V':
        *left = NGX_MESH_SOFA_LIST;

        rc = ngx_mesh_sofa_type(r);
        if (rc != NGX_OK) {
            return rc;
        }

        /* the length, which the 'z' at the end makes of no use */

        if (r->pos == r->limit) {
            return NGX_AGAIN;
        }

        n = *r->pos == 'n' ? 2 : *r->pos == 'l' ? 5 : 0;

        if (ngx_mesh_serial_left(r) < n) {
            return NGX_AGAIN;
        }

        r->pos += n;

        return NGX_OK;

    case 'r':
        *left = 0;

        rc = ngx_mesh_sofa_type(r);

        return rc == NGX_OK ? ngx_mesh_sofa_skip_string(r) : rc;

    default: /* 'v', 'o' */
        rc = ngx_mesh_sofa_int(r, &count);

        if (rc == NGX_OK && tag == 'v') {
            rc = ngx_mesh_sofa_int(r, &count);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        break;
    }

    if (tag == 'o') {
        if (count < 0 || (ngx_uint_t) count >= r->nclasses) {
            return NGX_ERROR;
        }

        *left = *(r->classes - 1 - count);

    } else {
        *left = count > 0 ? (uint32_t) count : 0;
    }

    /* a value takes a byte at least */

    return *left > (size_t) (r->end - r->pos) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_mesh_sofa_leaf(ngx_mesh_body_t *r, u_char tag)
{
    u_char  kind;

    kind = ngx_mesh_sofa_kind(tag);

    switch (kind) {

    case NGX_MESH_SOFA_STR:
        return ngx_mesh_sofa_skip_string(r);

    case NGX_MESH_SOFA_BIN:
        return ngx_mesh_sofa_skip_binary(r);

    case NGX_MESH_SOFA_BAD:
        return NGX_ERROR;

    default:
        break;
    }

    if (ngx_mesh_serial_left(r) <= kind) {
        return NGX_AGAIN;
    }

    r->pos += 1 + kind;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_sofa_pass(ngx_mesh_body_t *r)
{
    u_char      tag;
    uint32_t    left, inner;
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

        tag = *r->pos;

        if (tag == 'O') {
            r->pos++;

            rc = ngx_mesh_sofa_define(r, NULL, NULL);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (left < NGX_MESH_SOFA_OPEN) {
            left--;

        } else if (tag == 'z' && left != NGX_MESH_SOFA_VALUE) {
            r->pos++;
            left = 0;
            continue;

        } else if (left != NGX_MESH_SOFA_LIST) {
            left = (left == NGX_MESH_SOFA_KEY) ? NGX_MESH_SOFA_VALUE
                                               : NGX_MESH_SOFA_KEY;
        }

        if (ngx_mesh_sofa_kind(tag) != NGX_MESH_SOFA_BOX) {
            rc = ngx_mesh_sofa_leaf(r, tag);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        r->pos++;

        rc = ngx_mesh_sofa_box(r, tag, &inner);
        if (rc != NGX_OK) {
            return rc;
        }

        /* the last value of its container needs no place on the stack */

        if (left) {
            if (depth == NGX_MESH_SERIAL_DEPTH) {
                return NGX_ERROR;
            }

            stack[depth++] = left;
        }

        left = inner;
    }
}


static ngx_int_t
ngx_mesh_sofa_value(ngx_mesh_body_t *r, ngx_mesh_value_t *v)
{
    u_char  tag;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    tag = *r->pos;

    if (ngx_mesh_sofa_kind(tag) == NGX_MESH_SOFA_STR) {
        v->type = NGX_MESH_SERIAL_STRING;
        return ngx_mesh_sofa_string(r, &v->str);
    }

    if (tag == 'T' || tag == 'F') {
        v->type = NGX_MESH_SERIAL_BOOL;
        v->num = (tag == 'T');
    }

    return ngx_mesh_sofa_pass(r);
}


ngx_int_t
ngx_mesh_sofa_open(ngx_mesh_body_t *r, ngx_uint_t final)
{
    if (final) {
        return ngx_mesh_hessian2.open(r);
    }

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    if (*r->pos++ == 'M') {
        return ngx_mesh_sofa_type(r);
    }

    return r->pos[-1] == 'N' ? NGX_DECLINED : NGX_ERROR;
}


ngx_int_t
ngx_mesh_sofa_key(ngx_mesh_body_t *r, ngx_uint_t final, ngx_str_t *key)
{
    if (final) {
        return ngx_mesh_hessian2.key(r, key);
    }

    if (r->pos < r->limit && *r->pos == 'z') {
        r->pos++;
        return NGX_DONE;
    }

    return ngx_mesh_sofa_string(r, key);
}


ngx_int_t
ngx_mesh_sofa_skip(ngx_mesh_body_t *r, ngx_uint_t final)
{
    return final ? ngx_mesh_hessian2.skip(r) : ngx_mesh_sofa_pass(r);
}


ngx_uint_t
ngx_mesh_sofa_plain(u_char tag, ngx_uint_t final)
{
    if (final) {
        return !ngx_mesh_hessian_box(tag);
    }

    return ngx_mesh_sofa_kind(tag) < NGX_MESH_SOFA_BOX
           && (tag < 'J' || tag > 'K') && tag != 'R';
}


ngx_int_t
ngx_mesh_sofa_fields(ngx_mesh_body_t *r, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        values[i].type = NGX_MESH_SERIAL_OTHER;
    }

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    return *r->pos == 'C' ? ngx_mesh_sofa_final(r, names, values, n)
                          : ngx_mesh_sofa_draft(r, names, values, n);
}


static ngx_int_t
ngx_mesh_sofa_draft(ngx_mesh_body_t *r, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n)
{
    u_char            *pos, *fields;
    int32_t            ref;
    ngx_int_t          rc;
    ngx_str_t          name;
    ngx_uint_t         i, count, wanted;
    ngx_mesh_value_t  *v, other;

    if (*r->pos != 'O') {
        return NGX_ERROR;
    }

    r->pos++;

    rc = ngx_mesh_sofa_define(r, &fields, &count);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    if (*r->pos++ != 'o') {
        return NGX_ERROR;
    }

    rc = ngx_mesh_sofa_int(r, &ref);

    if (rc == NGX_OK && ref != 0) {
        return NGX_ERROR;
    }

    wanted = n;

    for (i = 0; rc == NGX_OK && i < count; i++) {

        /* names and values are two lists: one step in each */

        pos = r->pos;
        r->pos = fields;

        rc = ngx_mesh_sofa_string(r, &name);
        if (rc != NGX_OK) {
            return rc;
        }

        fields = r->pos;
        r->pos = pos;

        v = ngx_mesh_sofa_wanted(&name, names, values, n);

        rc = ngx_mesh_sofa_value(r, v ? v : &other);

        if (v) {
            v->raw.data = pos;
            v->raw.len = r->pos - pos;
        }

        if (rc != NGX_OK && v) {
            v->type = NGX_MESH_SERIAL_OTHER;
        }

        if (v && --wanted == 0) {
            break;
        }
    }

    return rc;
}


/* the same in the dialect of sofa-hessian 4, which is Dubbo's */

static ngx_int_t
ngx_mesh_sofa_final(ngx_mesh_body_t *r, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n)
{
    u_char                   *pos, *fields;
    ngx_int_t                 rc;
    ngx_str_t                 name;
    ngx_uint_t                i, count, wanted;
    ngx_mesh_value_t         *v, other;
    const ngx_mesh_serial_t  *serial;

    serial = &ngx_mesh_hessian2;

    r->pos++;

    rc = serial->string(r, &name);

    if (rc == NGX_OK) {
        rc = serial->flag(r, &count);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (count > (size_t) (r->end - r->pos)) {
        return NGX_ERROR;
    }

    fields = r->pos;

    for (i = 0; i < count; i++) {
        rc = serial->string(r, &name);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_mesh_serial_class(r, (uint32_t) count);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    if (*r->pos++ != 0x60) {
        return NGX_ERROR;
    }

    wanted = n;

    for (i = 0; rc == NGX_OK && i < count; i++) {
        pos = r->pos;
        r->pos = fields;

        rc = serial->string(r, &name);
        if (rc != NGX_OK) {
            return rc;
        }

        fields = r->pos;
        r->pos = pos;

        v = ngx_mesh_sofa_wanted(&name, names, values, n);

        rc = serial->value(r, v ? v : &other);

        if (v) {
            v->raw.data = pos;
            v->raw.len = r->pos - pos;
        }

        if (rc != NGX_OK && v) {
            v->type = NGX_MESH_SERIAL_OTHER;
        }

        if (v && --wanted == 0) {
            break;
        }
    }

    return rc;
}


static ngx_mesh_value_t *
ngx_mesh_sofa_wanted(ngx_str_t *name, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (names[i].len == name->len
            && ngx_memcmp(names[i].data, name->data, name->len) == 0)
        {
            return &values[i];
        }
    }

    return NULL;
}


/*
 * SofaResponse {isError, errorMsg, appResponse, responseProps}: true, the
 * text, null, null.  A string with the tag 'S' is one in both dialects.
 */

size_t
ngx_mesh_sofa_error(u_char *dst, size_t size, ngx_uint_t final,
    ngx_str_t *text)
{
    u_char     *p, *count, *end, *src, *last;
    size_t      units;
    uint32_t    ch;

    static ngx_str_t  draft = ngx_string("O\xbe"
        "com.alipay.sofa.rpc.core.response.SofaResponse"
        "\x94\7isError\x08" "errorMsg\x0b" "appResponse\x0dresponseProps"
        "o\x90" "T");
    static ngx_str_t  finished = ngx_string("C\x30\x2e"
        "com.alipay.sofa.rpc.core.response.SofaResponse"
        "\x94\7isError\x08" "errorMsg\x0b" "appResponse\x0dresponseProps"
        "\x60" "T");
    ngx_str_t        *head;

    head = final ? &finished : &draft;

    if (size < head->len + 3 + 2) {
        return 0;
    }

    end = dst + size - 2;
    p = ngx_cpymem(dst, head->data, head->len);

    *p++ = 'S';
    count = p;
    p += 2;

    src = text->data;
    last = src + text->len;
    units = 0;

    /* a character outside of the plane is two units of three bytes */

    while (src < last && end - p >= 6 && units < 0x7ffe) {
        ch = ngx_mesh_utf8_next(&src, last);

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

    count[0] = (u_char) (units >> 8);
    count[1] = (u_char) units;

    *p++ = 'N';
    *p++ = 'N';

    return p - dst;
}
