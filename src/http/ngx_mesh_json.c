
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_json.h"


static ngx_buf_t *ngx_mesh_json_buf(ngx_mesh_json_t *json);
static void ngx_mesh_json_separate(ngx_mesh_json_t *json);
static size_t ngx_mesh_json_plain(u_char *p, u_char *last);


static ngx_str_t  ngx_mesh_json_true = ngx_string("true");
static ngx_str_t  ngx_mesh_json_false = ngx_string("false");
static ngx_str_t  ngx_mesh_json_nothing = ngx_string("null");


void
ngx_mesh_json_init(ngx_mesh_json_t *json, ngx_pool_t *pool, ngx_buf_tag_t tag)
{
    ngx_memzero(json, sizeof(ngx_mesh_json_t));

    json->pool = pool;
    json->tag = tag;
    json->last = &json->out;
}


static ngx_buf_t *
ngx_mesh_json_buf(ngx_mesh_json_t *json)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(json->pool, &json->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(json->pool, NGX_MESH_JSON_BUFFER);
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + NGX_MESH_JSON_BUFFER;
        b->tag = json->tag;
        b->temporary = 1;
    }

    b->pos = b->start;
    b->last = b->start;

    cl->next = NULL;
    *json->last = cl;
    json->last = &cl->next;

    return b;
}


void
ngx_mesh_json_bytes(ngx_mesh_json_t *json, u_char *p, size_t len)
{
    size_t        n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    json->size += len;

    b = NULL;

    if (json->out) {
        cl = (ngx_chain_t *) ((u_char *) json->last
                              - offsetof(ngx_chain_t, next));
        b = cl->buf;
    }

    while (len && !json->failed) {

        if (b == NULL || b->last == b->end) {
            b = ngx_mesh_json_buf(json);

            if (b == NULL) {
                json->failed = 1;
                return;
            }
        }

        n = ngx_min(len, (size_t) (b->end - b->last));

        b->last = ngx_cpymem(b->last, p, n);
        p += n;
        len -= n;
    }
}


static void
ngx_mesh_json_separate(ngx_mesh_json_t *json)
{
    if (json->comma) {
        ngx_mesh_json_bytes(json, (u_char *) ",", 1);
    }

    json->comma = 1;
}


void
ngx_mesh_json_open(ngx_mesh_json_t *json, u_char c)
{
    ngx_mesh_json_separate(json);
    ngx_mesh_json_bytes(json, &c, 1);
    json->comma = 0;
}


void
ngx_mesh_json_close(ngx_mesh_json_t *json, u_char c)
{
    ngx_mesh_json_bytes(json, &c, 1);
    json->comma = 1;
}


void
ngx_mesh_json_key(ngx_mesh_json_t *json, char *key)
{
    ngx_mesh_json_text(json, key);
    ngx_mesh_json_bytes(json, (u_char *) ":", 1);
    json->comma = 0;
}


void
ngx_mesh_json_name(ngx_mesh_json_t *json, ngx_str_t *name)
{
    ngx_mesh_json_string(json, name);
    ngx_mesh_json_bytes(json, (u_char *) ":", 1);
    json->comma = 0;
}


/* how many bytes stand for themselves */

static size_t
ngx_mesh_json_plain(u_char *p, u_char *last)
{
    u_char     *start, *next;
    uint32_t    c;

    for (start = p; p < last; p = next) {

        next = p + 1;

        if (*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f) {
            break;
        }

        if (*p < 0x80) {
            continue;
        }

        next = p;
        c = ngx_utf8_decode(&next, last - p);

        if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
            break;
        }
    }

    return p - start;
}


void
ngx_mesh_json_string(ngx_mesh_json_t *json, ngx_str_t *s)
{
    size_t   n;
    u_char  *p, *last, *end, buf[sizeof("\\u0000")];

    ngx_mesh_json_separate(json);
    ngx_mesh_json_bytes(json, (u_char *) "\"", 1);

    p = s->data;
    last = p + s->len;

    while (p < last) {

        n = ngx_mesh_json_plain(p, last);
        ngx_mesh_json_bytes(json, p, n);
        p += n;

        if (p == last) {
            break;
        }

        if (*p == '"' || *p == '\\') {
            end = ngx_sprintf(buf, "\\%c", *p);

        } else if (*p < 0x80) {
            end = ngx_sprintf(buf, "\\u%04xd", (int) *p);

        } else {
            end = ngx_sprintf(buf, "\\ufffd");
        }

        ngx_mesh_json_bytes(json, buf, end - buf);
        p++;
    }

    ngx_mesh_json_bytes(json, (u_char *) "\"", 1);
}


void
ngx_mesh_json_text(ngx_mesh_json_t *json, char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = ngx_strlen(s);

    ngx_mesh_json_string(json, &str);
}


void
ngx_mesh_json_raw(ngx_mesh_json_t *json, ngx_str_t *s)
{
    ngx_mesh_json_separate(json);
    ngx_mesh_json_bytes(json, s->data, s->len);
}


void
ngx_mesh_json_file(ngx_mesh_json_t *json, ngx_file_t *file, off_t pos,
    off_t last)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_mesh_json_separate(json);

    cl = ngx_alloc_chain_link(json->pool);
    b = ngx_calloc_buf(json->pool);

    if (cl == NULL || b == NULL) {
        json->failed = 1;
        return;
    }

    /* without the tag, as there is nothing to use again */

    b->in_file = 1;
    b->file = file;
    b->file_pos = pos;
    b->file_last = last;

    cl->buf = b;
    cl->next = NULL;
    *json->last = cl;
    json->last = &cl->next;

    json->size += last - pos;
}


void
ngx_mesh_json_number(ngx_mesh_json_t *json, uint64_t n)
{
    u_char     buf[NGX_INT64_LEN + 1];
    ngx_str_t  s;

    s.data = buf;
    s.len = ngx_sprintf(buf, "%uL", n) - buf;

    ngx_mesh_json_raw(json, &s);
}


void
ngx_mesh_json_bool(ngx_mesh_json_t *json, ngx_uint_t value)
{
    ngx_mesh_json_raw(json, value ? &ngx_mesh_json_true
                                  : &ngx_mesh_json_false);
}


void
ngx_mesh_json_null(ngx_mesh_json_t *json)
{
    ngx_mesh_json_raw(json, &ngx_mesh_json_nothing);
}


ngx_int_t
ngx_mesh_json_join(ngx_mesh_json_t *json, ngx_str_t *s)
{
    u_char       *p;
    ngx_chain_t  *cl;

    if (json->failed) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(json->pool, json->size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s->data = p;
    s->len = json->size;

    for (cl = json->out; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    *p = '\0';

    return NGX_OK;
}
