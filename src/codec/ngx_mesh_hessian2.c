
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_hessian.h"
#include "ngx_mesh_serial.h"
#include "ngx_mesh_utf8.h"


/*
 * Hessian 2.0 as Dubbo speaks it.  The first byte of a value tells its kind:
 *
 *   00-1f            string of that many UTF-16 units
 *   20-2f            binary of tag - 20 bytes
 *   30-33 b          string of up to 1023 units
 *   34-37 b          binary of up to 1023 bytes
 *   38-3f b b        long
 *   A hh             piece of a binary, more follow       B hh  the last one
 *   C name n field*  class definition; the value it is for comes after it
 *   D b8             double                   5b 5c 5d b 5e b2 5f b4
 *   F T N            false, true, null
 *   H (k v)* Z       map                      M type (k v)* Z
 *   I b4             int                      L b8  59 b4  long
 *   4a b8  4b b4     date
 *   O n v*           object of class n        60-6f v*
 *   Q n              reference
 *   R hh             piece of a string, more follow       S hh  the last one
 *   U type v* Z      list                     W v* Z
 *   V type n v*      list of n values         X n v*
 *   70-77 type v*    list of tag - 70 values  78-7f v*
 *   80-bf            int                      c0-cf b  d0-d7 b b
 *   d8-ef            long                     f0-ff b
 *
 * Values are skipped without building them.  Only the number of fields of
 * each class has to be remembered; references need not be followed.
 */


/* what is left of a container that ends with 'Z'; counts are all below */
#define NGX_MESH_HESSIAN2_LIST   0xffffffff
#define NGX_MESH_HESSIAN2_KEY    0xfffffffe
#define NGX_MESH_HESSIAN2_VALUE  0xfffffffd
#define NGX_MESH_HESSIAN2_OPEN   NGX_MESH_HESSIAN2_VALUE

/* kinds of tags; a smaller number is the length of a plain value */
#define NGX_MESH_HESSIAN2_STR    0x10
#define NGX_MESH_HESSIAN2_BIN    0x11
#define NGX_MESH_HESSIAN2_BOX    0x12
#define NGX_MESH_HESSIAN2_REF    0x13
#define NGX_MESH_HESSIAN2_BAD    0x14

#define S  NGX_MESH_HESSIAN2_STR
#define B  NGX_MESH_HESSIAN2_BIN
#define C  NGX_MESH_HESSIAN2_BOX
#define Q  NGX_MESH_HESSIAN2_REF
#define X  NGX_MESH_HESSIAN2_BAD

/* a class definition is bad here, since it is not a value */

static const u_char  ngx_mesh_hessian2_kinds[256] = {
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S,
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S,
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    S, S, S, S, B, B, B, B, 2, 2, 2, 2, 2, 2, 2, 2,
    X, B, B, X, 8, X, 0, X, C, 4, 8, 4, 8, C, 0, C,
    X, Q, S, S, 0, C, C, C, C, 4, X, 0, 0, 1, 2, 4,
    C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
    C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
};

#undef S
#undef B
#undef C
#undef Q
#undef X


/* a piece of a string: where its text stands in the frame */

typedef struct {
    u_char      *start;
    u_char      *last;
    ngx_uint_t   more;
    ngx_uint_t   surrogates;
} ngx_mesh_hessian2_piece_t;


static ngx_int_t ngx_mesh_hessian2_piece(ngx_mesh_body_t *r,
    ngx_mesh_hessian2_piece_t *piece);
static ngx_int_t ngx_mesh_hessian2_string(ngx_mesh_body_t *r, ngx_str_t *s);
static ngx_int_t ngx_mesh_hessian2_join(ngx_mesh_body_t *r, ngx_str_t *s);
static ngx_int_t ngx_mesh_hessian2_skip_string(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_hessian2_skip_binary(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_hessian2_int(ngx_mesh_body_t *r, int32_t *value);
static ngx_int_t ngx_mesh_hessian2_type(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_hessian2_define(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_hessian2_box(ngx_mesh_body_t *r, u_char tag,
    uint32_t *left);
static ngx_int_t ngx_mesh_hessian2_fields(ngx_mesh_body_t *r, u_char tag,
    uint32_t *left);
static ngx_int_t ngx_mesh_hessian2_values(ngx_mesh_body_t *r, ngx_uint_t n);
static ngx_int_t ngx_mesh_hessian2_open(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_hessian2_key(ngx_mesh_body_t *r, ngx_str_t *key);
static ngx_int_t ngx_mesh_hessian2_value(ngx_mesh_body_t *r,
    ngx_mesh_value_t *v);
static void ngx_mesh_hessian2_number(u_char *p, ngx_mesh_value_t *v);
static ngx_int_t ngx_mesh_hessian2_skip(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_hessian2_flag(ngx_mesh_body_t *r,
    ngx_uint_t *flag);


const ngx_mesh_serial_t  ngx_mesh_hessian2 = {
    NGX_MESH_SERIAL_HESSIAN2,
    ngx_string("N"),
    ngx_string("\001R"),
    ngx_mesh_hessian2_string,
    ngx_mesh_hessian2_values,
    ngx_mesh_hessian2_open,
    ngx_mesh_hessian2_key,
    ngx_mesh_hessian2_value,
    ngx_mesh_hessian2_skip,
    ngx_mesh_hessian2_flag
};


/* most strings are short and ASCII; NGX_DECLINED if this one is not */

static ngx_inline ngx_int_t
ngx_mesh_hessian2_short(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char  *p;
    size_t   n;

    p = r->pos;

    if (p == r->limit || *p >= 0x20) {
        return NGX_DECLINED;
    }

    n = *p++;

    if (n > (size_t) (r->limit - p) || ngx_mesh_hessian_ascii(p, n) != n) {
        return NGX_DECLINED;
    }

    s->data = p;
    s->len = n;

    r->pos = p + n;

    return NGX_OK;
}


/* the length of a string or binary; both have it in the same three forms */

static ngx_inline ngx_int_t
ngx_mesh_hessian2_length(ngx_mesh_body_t *r, size_t *n)
{
    u_char  *p;
    size_t   head;

    p = r->pos;
    head = *p < 0x30 ? 1 : *p < 0x38 ? 2 : 3;

    if (ngx_mesh_serial_left(r) < head) {
        return NGX_AGAIN;
    }

    r->pos += head;

    *n = head == 1 ? p[0] & 0x1f
         : (size_t) (head == 2 ? (p[0] & 0x03) << 8 | p[1] : p[1] << 8 | p[2]);

    return NGX_OK;
}


/* reads one piece; NGX_DECLINED if no string begins here */

static ngx_int_t
ngx_mesh_hessian2_piece(ngx_mesh_body_t *r, ngx_mesh_hessian2_piece_t *piece)
{
    u_char     tag;
    size_t     n;
    ngx_int_t  rc;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    tag = *r->pos;

    if (ngx_mesh_hessian2_kinds[tag] != NGX_MESH_HESSIAN2_STR) {
        return NGX_DECLINED;
    }

    rc = ngx_mesh_hessian2_length(r, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    piece->more = (tag == 'R');
    piece->surrogates = 0;
    piece->start = r->pos;

    rc = ngx_mesh_hessian_units(&r->pos, r->limit, n, &piece->surrogates);

    piece->last = r->pos;

    return rc;
}


static ngx_int_t
ngx_mesh_hessian2_string(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char                     *start;
    ngx_int_t                   rc;
    ngx_mesh_hessian2_piece_t   piece;

    if (ngx_mesh_hessian2_short(r, s) == NGX_OK) {
        return NGX_OK;
    }

    start = r->pos;

    rc = ngx_mesh_hessian2_piece(r, &piece);

    if (rc == NGX_OK) {
        if (piece.more || piece.surrogates) {
            r->pos = start;
            return ngx_mesh_hessian2_join(r, s);
        }

        s->data = piece.start;
        s->len = piece.last - piece.start;

        return NGX_OK;
    }

    if (rc == NGX_DECLINED && *start == 'N') {
        r->pos++;
        ngx_str_null(s);
        return NGX_OK;
    }

    return rc == NGX_DECLINED ? NGX_ERROR : rc;
}


/* a string that is in pieces or has surrogates is rebuilt in the scratch */

static ngx_int_t
ngx_mesh_hessian2_join(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char                     *p;
    size_t                      len;
    ngx_int_t                   rc;
    ngx_uint_t                  full;
    ngx_mesh_hessian2_piece_t   piece;

    p = r->scratch;
    full = 0;

    do {
        rc = ngx_mesh_hessian2_piece(r, &piece);
        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_ERROR : rc;
        }

        len = piece.last - piece.start;

        if (full || len > (size_t) (r->scratch_end - p)) {
            full = 1;
            continue;
        }

        if (len) {
            p = ngx_cpymem(p, piece.start, len);
        }

    } while (piece.more);

    if (full) {
        ngx_str_null(s);
        return NGX_OK;
    }

    /* the two halves of a pair may have come in different pieces */

    p = ngx_mesh_utf8_join(r->scratch, p);

    s->data = r->scratch;
    s->len = p - r->scratch;
    r->scratch = p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_hessian2_skip_string(ngx_mesh_body_t *r)
{
    ngx_int_t                  rc;
    ngx_mesh_hessian2_piece_t  piece;

    do {
        rc = ngx_mesh_hessian2_piece(r, &piece);
        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_ERROR : rc;
        }

    } while (piece.more);

    return NGX_OK;
}


/*
 * The limit bounds the work of looking at bytes.  Those of a binary are
 * jumped over, so they do not count.
 */

static ngx_int_t
ngx_mesh_hessian2_skip_binary(ngx_mesh_body_t *r)
{
    u_char     tag;
    size_t     n;
    ngx_int_t  rc;

    do {
        if (r->pos == r->limit) {
            return NGX_AGAIN;
        }

        tag = *r->pos;

        if (ngx_mesh_hessian2_kinds[tag] != NGX_MESH_HESSIAN2_BIN) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_hessian2_length(r, &n);
        if (rc != NGX_OK) {
            return rc;
        }

        if (n > (size_t) (r->end - r->pos)) {
            return NGX_AGAIN;
        }

        r->pos += n;
        r->limit += ngx_min(n, (size_t) (r->end - r->limit));

    } while (tag == 'A');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_hessian2_int(ngx_mesh_body_t *r, int32_t *value)
{
    u_char            tag;
    size_t            n;
    ngx_mesh_value_t  v;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    tag = *r->pos;

    if (tag != 'I' && (tag < 0x80 || tag > 0xd7)) {
        return NGX_ERROR;
    }

    n = ngx_mesh_hessian2_kinds[tag];

    if (ngx_mesh_serial_left(r) <= n) {
        return NGX_AGAIN;
    }

    ngx_mesh_hessian2_number(r->pos, &v);

    *value = (int32_t) v.num;
    r->pos += 1 + n;

    return NGX_OK;
}


/* the type of a list or map: a string, or the number of an earlier one */

static ngx_int_t
ngx_mesh_hessian2_type(ngx_mesh_body_t *r)
{
    int32_t  n;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    if (ngx_mesh_hessian2_kinds[*r->pos] == NGX_MESH_HESSIAN2_STR) {
        return ngx_mesh_hessian2_skip_string(r);
    }

    return ngx_mesh_hessian2_int(r, &n);
}


/* the rest of a class definition, after its tag */

static ngx_int_t
ngx_mesh_hessian2_define(ngx_mesh_body_t *r)
{
    int32_t    n, i;
    ngx_int_t  rc;

    rc = ngx_mesh_hessian2_skip_string(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_hessian2_int(r, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n < 0 || n > r->end - r->pos) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        rc = ngx_mesh_hessian2_skip_string(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_mesh_serial_class(r, (uint32_t) n);
}


/* enters a container: how many values it has, or how it ends */

static ngx_int_t
ngx_mesh_hessian2_box(ngx_mesh_body_t *r, u_char tag, uint32_t *left)
{
    int32_t    n;
    ngx_int_t  rc;

    switch (tag) {

    case 'H':
        *left = NGX_MESH_HESSIAN2_KEY;
        return NGX_OK;

    case 'M':
        *left = NGX_MESH_HESSIAN2_KEY;
        return ngx_mesh_hessian2_type(r);

    case 'W':
        *left = NGX_MESH_HESSIAN2_LIST;
        return NGX_OK;

    case 'U':
        *left = NGX_MESH_HESSIAN2_LIST;
        return ngx_mesh_hessian2_type(r);

    case 'V':
    case 'X':
        rc = (tag == 'V') ? ngx_mesh_hessian2_type(r) : NGX_OK;
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_mesh_hessian2_int(r, &n);
        if (rc != NGX_OK) {
            return rc;
        }

        break;

    default:
        if (tag < 0x70) {
            return ngx_mesh_hessian2_fields(r, tag, left);
        }

        n = tag & 0x07;

        if (tag < 0x78) {
            rc = ngx_mesh_hessian2_type(r);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        break;
    }

    /* a value takes a byte at least; Java reads a negative count as none */

    if (n > r->end - r->pos) {
        return NGX_ERROR;
    }

    *left = n > 0 ? (uint32_t) n : 0;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_hessian2_fields(ngx_mesh_body_t *r, u_char tag, uint32_t *left)
{
    int32_t    n;
    ngx_int_t  rc;

    if (tag == 'O') {
        rc = ngx_mesh_hessian2_int(r, &n);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        n = tag - 0x60;
    }

    if (n < 0 || (ngx_uint_t) n >= r->nclasses) {
        return NGX_ERROR;
    }

    *left = *(r->classes - 1 - n);

    if (*left > (size_t) (r->end - r->pos)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* skips a value that is no container */

static ngx_inline ngx_int_t
ngx_mesh_hessian2_leaf(ngx_mesh_body_t *r, u_char tag)
{
    u_char   kind;
    int32_t  ref;

    kind = ngx_mesh_hessian2_kinds[tag];

    switch (kind) {

    case NGX_MESH_HESSIAN2_STR:
        return ngx_mesh_hessian2_skip_string(r);

    case NGX_MESH_HESSIAN2_BIN:
        return ngx_mesh_hessian2_skip_binary(r);

    case NGX_MESH_HESSIAN2_REF:
        r->pos++;
        return ngx_mesh_hessian2_int(r, &ref);

    case NGX_MESH_HESSIAN2_BAD:
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
ngx_mesh_hessian2_values(ngx_mesh_body_t *r, ngx_uint_t n)
{
    u_char      tag;
    uint32_t    left, inner;
    uint32_t    stack[NGX_MESH_SERIAL_DEPTH];
    ngx_int_t   rc;
    ngx_uint_t  depth;

    if (n > (size_t) (r->end - r->pos)) {
        return NGX_ERROR;
    }

    left = (uint32_t) n;
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

        if (left < NGX_MESH_HESSIAN2_OPEN) {
            left--;

        } else if (tag == 'Z' && left != NGX_MESH_HESSIAN2_VALUE) {
            r->pos++;
            left = 0;
            continue;

        } else if (left != NGX_MESH_HESSIAN2_LIST) {
            left = (left == NGX_MESH_HESSIAN2_KEY) ? NGX_MESH_HESSIAN2_VALUE
                                                   : NGX_MESH_HESSIAN2_KEY;
        }

        while (tag == 'C') {
            r->pos++;

            rc = ngx_mesh_hessian2_define(r);
            if (rc != NGX_OK) {
                return rc;
            }

            if (r->pos == r->limit) {
                return NGX_AGAIN;
            }

            tag = *r->pos;
        }

        if (ngx_mesh_hessian2_kinds[tag] != NGX_MESH_HESSIAN2_BOX) {
            rc = ngx_mesh_hessian2_leaf(r, tag);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        r->pos++;

        rc = ngx_mesh_hessian2_box(r, tag, &inner);
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
ngx_mesh_hessian2_open(ngx_mesh_body_t *r)
{
    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    switch (*r->pos++) {

    case 'H':
        return NGX_OK;

    case 'M':
        return ngx_mesh_hessian2_type(r);

    case 'N':
        return NGX_DECLINED;

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_mesh_hessian2_key(ngx_mesh_body_t *r, ngx_str_t *key)
{
    ngx_int_t                  rc;
    ngx_mesh_hessian2_piece_t  piece;

    if (ngx_mesh_hessian2_short(r, key) == NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_mesh_hessian2_piece(r, &piece);

    if (rc == NGX_OK && !piece.more) {
        key->data = piece.start;
        key->len = piece.last - piece.start;
        return NGX_OK;
    }

    ngx_str_null(key);

    if (rc == NGX_OK) {
        return ngx_mesh_hessian2_skip_string(r);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (*r->pos == 'Z') {
        r->pos++;
        return NGX_DONE;
    }

    return ngx_mesh_hessian2_values(r, 1);
}


static ngx_int_t
ngx_mesh_hessian2_value(ngx_mesh_body_t *r, ngx_mesh_value_t *v)
{
    u_char     *p;
    ngx_int_t   rc;

    if (r->pos == r->limit) {
        return NGX_AGAIN;
    }

    p = r->pos;

    if (ngx_mesh_hessian2_kinds[*p] == NGX_MESH_HESSIAN2_STR) {
        v->type = NGX_MESH_SERIAL_STRING;
        return ngx_mesh_hessian2_string(r, &v->str);
    }

    v->type = NGX_MESH_SERIAL_OTHER;

    rc = ngx_mesh_hessian2_values(r, 1);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_mesh_hessian2_number(p, v);

    return NGX_OK;
}


/* the value of a tag that stands for a plain value known to be complete */

static void
ngx_mesh_hessian2_number(u_char *p, ngx_mesh_value_t *v)
{
    u_char    tag;
    size_t    i, n;
    int64_t   num;
    uint64_t  bits;

    tag = *p++;
    n = ngx_mesh_hessian2_kinds[tag];

    if (n >= NGX_MESH_HESSIAN2_STR || tag == 0x4a || tag == 0x4b) {
        return;
    }

    /* sign-extended, but for the compact forms whose tag holds high bits */

    bits = (n && p[0] >= 0x80) ? (uint64_t) -1 : 0;

    for (i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
    }

    num = (int64_t) bits;

    v->type = NGX_MESH_SERIAL_INT;
    v->num = num;

    if (tag >= 0xf0) {
        v->num = (tag - 0xf8) * 256 + p[0];

    } else if (tag >= 0xd8) {
        v->num = tag - 0xe0;

    } else if (tag >= 0xd0) {
        v->num = (tag - 0xd4) * 65536 + (p[0] << 8 | p[1]);

    } else if (tag >= 0xc0) {
        v->num = (tag - 0xc8) * 256 + p[0];

    } else if (tag >= 0x80) {
        v->num = tag - 0x90;

    } else if (tag < 0x40) {
        v->num = (tag - 0x3c) * 65536 + (p[0] << 8 | p[1]);

    } else if (tag == 'N') {
        v->type = NGX_MESH_SERIAL_NULL;

    } else if (tag == 'T' || tag == 'F') {
        v->type = NGX_MESH_SERIAL_BOOL;
        v->num = (tag == 'T');

    } else if (tag == 'D') {
        v->type = NGX_MESH_SERIAL_DOUBLE;
        ngx_memcpy(&v->dbl, &bits, sizeof(double));

    } else if (tag == 0x5b || tag == 0x5c) {
        v->type = NGX_MESH_SERIAL_DOUBLE;
        v->dbl = tag - 0x5b;

    } else if (tag == 0x5d || tag == 0x5e) {
        v->type = NGX_MESH_SERIAL_DOUBLE;
        v->dbl = (double) num;

    } else if (tag == 0x5f) {
        v->type = NGX_MESH_SERIAL_DOUBLE;
        v->dbl = (double) num / 1000;
    }
}


static ngx_int_t
ngx_mesh_hessian2_skip(ngx_mesh_body_t *r)
{
    ngx_str_t  s;

    if (ngx_mesh_hessian2_short(r, &s) == NGX_OK) {
        return NGX_OK;
    }

    return ngx_mesh_hessian2_values(r, 1);
}


static ngx_int_t
ngx_mesh_hessian2_flag(ngx_mesh_body_t *r, ngx_uint_t *flag)
{
    int32_t    n;
    ngx_int_t  rc;

    rc = ngx_mesh_hessian2_int(r, &n);

    if (rc == NGX_OK) {
        *flag = (ngx_uint_t) n;
    }

    return rc;
}
