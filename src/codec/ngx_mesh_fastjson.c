
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_serial.h"
#include "ngx_mesh_utf8.h"


/*
 * fastjson 1 in Dubbo: every value is a JSON text on a line of its own.  Line
 * ends inside of strings are escaped, so that the lines can be told apart
 * without parsing; the writer's platform decides between LF and CR LF.
 */


static ngx_int_t ngx_mesh_fastjson_line(ngx_mesh_body_t *r, u_char **next);
static ngx_int_t ngx_mesh_fastjson_string(ngx_mesh_body_t *r, ngx_str_t *s);
static ngx_int_t ngx_mesh_fastjson_lines(ngx_mesh_body_t *r, ngx_uint_t n);
static void ngx_mesh_fastjson_spaces(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson_raw(ngx_mesh_body_t *r, ngx_str_t *s,
    ngx_uint_t *escaped);
static ngx_int_t ngx_mesh_fastjson_text(ngx_mesh_body_t *r, ngx_str_t *s);
static u_char *ngx_mesh_fastjson_escape(u_char *p, u_char *last,
    uint32_t *ch);
static ngx_int_t ngx_mesh_fastjson_open(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson_key(ngx_mesh_body_t *r, ngx_str_t *key);
static ngx_int_t ngx_mesh_fastjson_value(ngx_mesh_body_t *r,
    ngx_mesh_value_t *v);
static ngx_int_t ngx_mesh_fastjson_skip(ngx_mesh_body_t *r);
static ngx_int_t ngx_mesh_fastjson_flag(ngx_mesh_body_t *r, ngx_uint_t *flag);


const ngx_mesh_serial_t  ngx_mesh_fastjson = {
    NGX_MESH_SERIAL_FASTJSON,
    ngx_string("null\n"),
    ngx_string("\"R\"\n"),
    ngx_mesh_fastjson_string,
    ngx_mesh_fastjson_lines,
    ngx_mesh_fastjson_open,
    ngx_mesh_fastjson_key,
    ngx_mesh_fastjson_value,
    ngx_mesh_fastjson_skip,
    ngx_mesh_fastjson_flag
};


/* enters the next line; its end becomes the limit */

static ngx_int_t
ngx_mesh_fastjson_line(ngx_mesh_body_t *r, u_char **next)
{
    u_char  *p;

    if (r->pos == r->end) {
        return NGX_AGAIN;
    }

    p = memchr(r->pos, '\n', r->end - r->pos);

    if (p) {
        r->limit = p;
        *next = p + 1;

    } else {
        r->limit = r->end;
        *next = r->end;
    }

    ngx_mesh_fastjson_spaces(r);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_fastjson_string(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char      *next, *limit;
    ngx_int_t    rc;
    ngx_uint_t   escaped;

    limit = r->limit;

    rc = ngx_mesh_fastjson_line(r, &next);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_serial_left(r) >= 4 && ngx_memcmp(r->pos, "null", 4) == 0) {
        ngx_str_null(s);
        rc = NGX_OK;

    } else {
        rc = ngx_mesh_fastjson_raw(r, s, &escaped);

        if (rc == NGX_OK && escaped) {
            rc = ngx_mesh_fastjson_text(r, s);
        }
    }

    r->pos = next;
    r->limit = limit;

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_fastjson_lines(ngx_mesh_body_t *r, ngx_uint_t n)
{
    u_char  *p;

    while (n--) {

        p = (r->pos == r->limit) ? NULL
                                 : memchr(r->pos, '\n', r->limit - r->pos);
        if (p == NULL) {
            return NGX_AGAIN;
        }

        r->pos = p + 1;
    }

    return NGX_OK;
}


static void
ngx_mesh_fastjson_spaces(ngx_mesh_body_t *r)
{
    while (r->pos < r->limit
           && (*r->pos == ' ' || *r->pos == '\t' || *r->pos == '\r'))
    {
        r->pos++;
    }
}


/* a string as it stands in the frame, without the quotation marks */

static ngx_int_t
ngx_mesh_fastjson_raw(ngx_mesh_body_t *r, ngx_str_t *s, ngx_uint_t *escaped)
{
    u_char  *p;

    if (r->pos == r->limit || *r->pos != '"') {
        return NGX_ERROR;
    }

    *escaped = 0;

    for (p = r->pos + 1; p < r->limit; p++) {

        if (*p == '"') {
            s->data = r->pos + 1;
            s->len = p - s->data;
            r->pos = p + 1;

            return NGX_OK;
        }

        if (*p == '\\') {
            *escaped = 1;

            if (++p == r->limit) {
                break;
            }
        }
    }

    return NGX_ERROR;
}


/* resolves the escapes; an unescaped character is never longer than before */

static ngx_int_t
ngx_mesh_fastjson_text(ngx_mesh_body_t *r, ngx_str_t *s)
{
    u_char    *p, *last, *dst;
    uint32_t   ch;

    if (s->len > (size_t) (r->scratch_end - r->scratch)) {
        ngx_str_null(s);
        return NGX_OK;
    }

    p = s->data;
    last = p + s->len;
    dst = r->scratch;

    while (p < last) {

        if (*p != '\\') {
            *dst++ = *p++;
            continue;
        }

        p = ngx_mesh_fastjson_escape(p + 1, last, &ch);
        dst = ngx_mesh_utf8_put(dst, ch);
    }

    /* characters beyond U+FFFF are escaped as two surrogates */

    dst = ngx_mesh_utf8_join(r->scratch, dst);

    s->data = r->scratch;
    s->len = dst - r->scratch;

    r->scratch = dst;

    return NGX_OK;
}


/* there is at least one byte after the backslash */

static u_char *
ngx_mesh_fastjson_escape(u_char *p, u_char *last, uint32_t *ch)
{
    ngx_int_t  n;

    switch (*p) {

    case 'u':
        n = (last - p < 5) ? NGX_ERROR : ngx_hextoi(p + 1, 4);

        if (n == NGX_ERROR) {
            break;
        }

        *ch = (uint32_t) n;
        return p + 5;

    case 'n':
        *ch = '\n';
        return p + 1;

    case 'r':
        *ch = '\r';
        return p + 1;

    case 't':
        *ch = '\t';
        return p + 1;

    case 'b':
        *ch = '\b';
        return p + 1;

    case 'f':
        *ch = '\f';
        return p + 1;

    case '"':
    case '\\':
    case '/':
        *ch = *p;
        return p + 1;

    default:
        break;
    }

    *ch = '?';

    return p + 1;
}


static ngx_int_t
ngx_mesh_fastjson_open(ngx_mesh_body_t *r)
{
    u_char     *next;
    ngx_int_t   rc;

    rc = ngx_mesh_fastjson_line(r, &next);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_serial_left(r) >= 4 && ngx_memcmp(r->pos, "null", 4) == 0) {
        r->pos = next;
        return NGX_DECLINED;
    }

    if (r->pos == r->limit || *r->pos != '{') {
        return NGX_ERROR;
    }

    r->pos++;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_fastjson_key(ngx_mesh_body_t *r, ngx_str_t *key)
{
    ngx_int_t   rc;
    ngx_uint_t  escaped;

    ngx_mesh_fastjson_spaces(r);

    if (r->pos < r->limit && *r->pos == ',') {
        r->pos++;
        ngx_mesh_fastjson_spaces(r);
    }

    if (r->pos < r->limit && *r->pos == '}') {
        r->pos++;
        return NGX_DONE;
    }

    rc = ngx_mesh_fastjson_raw(r, key, &escaped);
    if (rc != NGX_OK) {
        return rc;
    }

    if (escaped) {
        ngx_str_null(key);
    }

    ngx_mesh_fastjson_spaces(r);

    if (r->pos == r->limit || *r->pos != ':') {
        return NGX_ERROR;
    }

    r->pos++;
    ngx_mesh_fastjson_spaces(r);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_fastjson_value(ngx_mesh_body_t *r, ngx_mesh_value_t *v)
{
    u_char      *p;
    ngx_int_t    rc;
    ngx_uint_t   escaped;

    v->type = NGX_MESH_SERIAL_STRING;

    if (r->pos < r->limit && *r->pos == '"') {
        rc = ngx_mesh_fastjson_raw(r, &v->str, &escaped);
        if (rc != NGX_OK) {
            return rc;
        }

        return escaped ? ngx_mesh_fastjson_text(r, &v->str) : NGX_OK;
    }

    p = r->pos;

    rc = ngx_mesh_fastjson_skip(r);
    if (rc != NGX_OK) {
        return rc;
    }

    v->str.data = p;
    v->str.len = r->pos - p;

    /* numbers are text already */

    if (*p == '{' || *p == '[') {
        v->type = NGX_MESH_SERIAL_OTHER;

    } else if (v->str.len == 4 && ngx_memcmp(p, "null", 4) == 0) {
        v->type = NGX_MESH_SERIAL_NULL;
    }

    return NGX_OK;
}


/* finds the comma or the brace that follows the value */

static ngx_int_t
ngx_mesh_fastjson_skip(ngx_mesh_body_t *r)
{
    u_char      *start;
    ngx_int_t    rc;
    ngx_str_t    s;
    ngx_uint_t   depth, escaped;

    start = r->pos;
    depth = 0;

    while (r->pos < r->limit) {

        switch (*r->pos) {

        case '"':
            rc = ngx_mesh_fastjson_raw(r, &s, &escaped);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return r->pos > start ? NGX_OK : NGX_ERROR;
            }

            depth--;
            break;

        case ',':
            if (depth == 0) {
                return r->pos > start ? NGX_OK : NGX_ERROR;
            }

            break;

        default:
            break;
        }

        r->pos++;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_mesh_fastjson_flag(ngx_mesh_body_t *r, ngx_uint_t *flag)
{
    u_char     *next;
    ngx_int_t   rc;

    rc = ngx_mesh_fastjson_line(r, &next);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->pos == r->limit || *r->pos < '0' || *r->pos > '9') {
        return NGX_ERROR;
    }

    *flag = *r->pos - '0';

    return NGX_OK;
}
