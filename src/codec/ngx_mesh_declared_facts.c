
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_declared_int.h"
#include "ngx_mesh_serial.h"


typedef struct {
    u_char                *pos;
    u_char                *end;
    u_char                *scratch;
    u_char                *scratch_end;
} ngx_mesh_declared_reader_t;


static ngx_int_t ngx_mesh_declared_prefix(ngx_mesh_declared_reader_t *r,
    ngx_uint_t prefix, uint32_t *len);
static ngx_int_t ngx_mesh_declared_string(ngx_mesh_declared_reader_t *r,
    ngx_uint_t prefix, ngx_str_t *s);
static ngx_int_t ngx_mesh_declared_nth(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_declared_reader_t *r, ngx_mesh_facts_t *facts);
static void ngx_mesh_declared_map(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_declared_reader_t *r, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_declared_pair(ngx_mesh_map_t *map,
    ngx_mesh_declared_reader_t *r, ngx_str_t *key, ngx_str_t *value);
static void ngx_mesh_declared_fact(ngx_mesh_fact_t *fact, u_char *p,
    ngx_mesh_declared_reader_t *r, ngx_str_t *value);
static ngx_str_t *ngx_mesh_declared_where(ngx_mesh_facts_t *facts,
    ngx_uint_t fact);
static void ngx_mesh_declared_split(ngx_mesh_facts_t *facts);


/* the whole map was walked once: only what is good of it is left */

void
ngx_mesh_declared_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts)
{
    ngx_uint_t                   i;
    ngx_mesh_fact_t             *fact;
    ngx_mesh_declared_t         *d;
    ngx_mesh_declared_reader_t   r;

    d = codec->data;

    if (facts->tried) {
        return;
    }

    facts->tried = 1;
    facts->attachments = 1;
    facts->timeout = -1;

    r.end = p + f->size;
    r.scratch = facts->scratch;
    r.scratch_end = facts->scratch_end;

    for (i = 0; i < NGX_MESH_FACT_N; i++) {
        fact = &d->facts[i];

        if (fact->how != NGX_MESH_FACT_NTH && fact->how != NGX_MESH_FACT_KEY) {
            ngx_mesh_declared_fact(fact, p, &r,
                                   ngx_mesh_declared_where(facts, i));
        }
    }

    r.pos = p;

    if ((!d->strings.declared
         || ngx_mesh_declared_nth(d, p, &r, facts) == NGX_OK)
        && d->map.declared)
    {
        ngx_mesh_declared_map(d, p, &r, facts);
    }

    facts->scratch = r.scratch;

    if (d->facts[NGX_MESH_FACT_VERSION].how == NGX_MESH_FACT_NONE) {
        ngx_mesh_declared_split(facts);
    }

    facts->names = (facts->interface.len != 0);
}


static ngx_str_t *
ngx_mesh_declared_where(ngx_mesh_facts_t *facts, ngx_uint_t fact)
{
    switch (fact) {

    case NGX_MESH_FACT_SERVICE:
        return &facts->interface;

    case NGX_MESH_FACT_METHOD:
        return &facts->method;

    case NGX_MESH_FACT_VERSION:
        return &facts->version;

    case NGX_MESH_FACT_GROUP:
        return &facts->group;

    default: /* NGX_MESH_FACT_APP */
        return &facts->app;
    }
}


/* a name with its version, as services are named here */

static void
ngx_mesh_declared_split(ngx_mesh_facts_t *facts)
{
    u_char  *p, *last;

    if (facts->interface.len == 0) {
        return;
    }

    last = facts->interface.data + facts->interface.len;
    p = ngx_strlchr(facts->interface.data, last, ':');

    if (p) {
        facts->interface.len = p - facts->interface.data;
        facts->version.data = p + 1;
        facts->version.len = last - (p + 1);
    }
}


static void
ngx_mesh_declared_fact(ngx_mesh_fact_t *fact, u_char *p,
    ngx_mesh_declared_reader_t *r, ngx_str_t *value)
{
    size_t  len;

    ngx_str_null(value);

    switch (fact->how) {

    case NGX_MESH_FACT_CONST:
        *value = fact->text;
        break;

    case NGX_MESH_FACT_FIXED:
        if (fact->offset + fact->size > (size_t) (r->end - p)) {
            break;
        }

        value->data = p + fact->offset;

        for (len = fact->size; len; len--) {
            if (value->data[len - 1] != '\0' && value->data[len - 1] != ' ') {
                break;
            }
        }

        value->len = len;
        break;

    case NGX_MESH_FACT_STRING:
        if (fact->offset > (size_t) (r->end - p)) {
            break;
        }

        r->pos = p + fact->offset;

        if (ngx_mesh_declared_string(r, fact->prefix, value) != NGX_OK) {
            ngx_str_null(value);
        }

        break;

    default: /* NGX_MESH_FACT_NONE */
        break;
    }
}


/* reads the strings one after the other; r->pos is behind the last one */

static ngx_int_t
ngx_mesh_declared_nth(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_declared_reader_t *r, ngx_mesh_facts_t *facts)
{
    uint64_t             len;
    ngx_str_t            s;
    ngx_uint_t           i, k;
    ngx_mesh_field_t    *lengths;
    ngx_mesh_strings_t  *strings;

    strings = &d->strings;

    if (strings->offset > (size_t) (r->end - p)) {
        return NGX_ERROR;
    }

    r->pos = p + strings->offset;
    lengths = strings->lengths ? strings->lengths->elts : NULL;

    for (i = 0; i < strings->n; i++) {

        if (lengths) {
            if ((size_t) lengths[i].offset + lengths[i].size
                > (size_t) (r->end - p))
            {
                return NGX_ERROR;
            }

            len = ngx_mesh_declared_get(&lengths[i], p);

            if (len > (size_t) (r->end - r->pos)) {
                return NGX_ERROR;
            }

            s.data = r->pos;
            s.len = (size_t) len;
            r->pos += len;

        } else if (ngx_mesh_declared_string(r, strings->prefix, &s) != NGX_OK)
        {
            facts->damaged = 1;
            return NGX_ERROR;
        }

        for (k = 0; k < NGX_MESH_FACT_N; k++) {
            if (d->facts[k].how == NGX_MESH_FACT_NTH && d->facts[k].n == i) {
                *ngx_mesh_declared_where(facts, k) = s;
            }
        }
    }

    return NGX_OK;
}


static void
ngx_mesh_declared_map(ngx_mesh_declared_t *d, u_char *p,
    ngx_mesh_declared_reader_t *r, ngx_mesh_facts_t *facts)
{
    u_char          *good;
    uint64_t         n, left;
    ngx_str_t        key, value;
    ngx_uint_t       k;
    ngx_mesh_map_t  *map;

    map = &d->map;

    if (!map->after) {
        if (map->offset > (size_t) (r->end - p)) {
            return;
        }

        r->pos = p + map->offset;
    }

    left = (uint64_t) -1;

    if (map->end != NGX_MESH_MAP_REST) {
        if ((size_t) map->field.offset + map->field.size
            > (size_t) (r->end - p))
        {
            return;
        }

        n = ngx_mesh_declared_get(&map->field, p);

        if (map->end == NGX_MESH_MAP_COUNT) {
            left = n;

        } else if (n > (size_t) (r->end - r->pos)) {
            facts->damaged = 1;

        } else {
            r->end = r->pos + n;
        }
    }

    facts->attach = r->pos;
    good = r->pos;

    while (r->pos < r->end && left--) {

        if (ngx_mesh_declared_pair(map, r, &key, &value) != NGX_OK) {
            facts->damaged = 1;
            break;
        }

        good = r->pos;

        for (k = 0; k < NGX_MESH_FACT_N; k++) {
            if (d->facts[k].how == NGX_MESH_FACT_KEY
                && d->facts[k].text.len == key.len
                && ngx_memcmp(d->facts[k].text.data, key.data, key.len) == 0)
            {
                *ngx_mesh_declared_where(facts, k) = value;
            }
        }
    }

    facts->end = good;
}


static ngx_int_t
ngx_mesh_declared_pair(ngx_mesh_map_t *map, ngx_mesh_declared_reader_t *r,
    ngx_str_t *key, ngx_str_t *value)
{
    if (ngx_mesh_declared_string(r, map->key, key) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_declared_string(r, map->value, value);
}


ngx_int_t
ngx_mesh_declared_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value)
{
    ngx_int_t                    rc;
    ngx_str_t                    key, v;
    ngx_mesh_declared_t         *d;
    ngx_mesh_declared_reader_t   r;

    d = codec->data;
    rc = NGX_DECLINED;

    if (facts->attach == NULL) {
        return rc;
    }

    r.pos = facts->attach;
    r.end = facts->end;
    r.scratch = facts->scratch;
    r.scratch_end = facts->scratch_end;

    while (r.pos < r.end
           && ngx_mesh_declared_pair(&d->map, &r, &key, &v) == NGX_OK)
    {
        if (v.data
            && ngx_mesh_codec_name_match(name, key.data, key.len) == NGX_OK)
        {
            *value = v;
            rc = NGX_OK;
        }
    }

    facts->scratch = r.scratch;

    return rc;
}


static ngx_int_t
ngx_mesh_declared_string(ngx_mesh_declared_reader_t *r, ngx_uint_t prefix,
    ngx_str_t *s)
{
    uint32_t         len;
    ngx_int_t        rc;
    ngx_mesh_body_t  body;

    if (prefix == NGX_MESH_PREFIX_HESSIAN) {
        ngx_memzero(&body, sizeof(ngx_mesh_body_t));

        body.pos = r->pos;
        body.end = r->end;
        body.limit = r->end;
        body.scratch = r->scratch;
        body.scratch_end = r->scratch_end;

        rc = ngx_mesh_hessian2.string(&body, s);

        r->pos = body.pos;
        r->scratch = body.scratch;

        return rc == NGX_OK ? NGX_OK : NGX_ERROR;
    }

    if (ngx_mesh_declared_prefix(r, prefix, &len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (len == 0xffffffff) {

        /* what is written where there is no string at all */

        ngx_str_null(s);
        return NGX_OK;
    }

    if (len > (size_t) (r->end - r->pos)) {
        return NGX_ERROR;
    }

    s->data = r->pos;
    s->len = len;
    r->pos += len;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_declared_prefix(ngx_mesh_declared_reader_t *r, ngx_uint_t prefix,
    uint32_t *len)
{
    u_char            byte;
    ngx_uint_t        shift;
    ngx_mesh_field_t  field;

    if (prefix != NGX_MESH_PREFIX_VARINT) {
        field.offset = 0;
        field.size = prefix == NGX_MESH_PREFIX_U8 ? 1
                     : (prefix == NGX_MESH_PREFIX_U16
                        || prefix == NGX_MESH_PREFIX_U16LE) ? 2 : 4;
        field.little = (prefix == NGX_MESH_PREFIX_U16LE
                        || prefix == NGX_MESH_PREFIX_U32LE);

        if (field.size > r->end - r->pos) {
            return NGX_ERROR;
        }

        *len = (uint32_t) ngx_mesh_declared_get(&field, r->pos);
        r->pos += field.size;

        return NGX_OK;
    }

    *len = 0;

    for (shift = 0; shift < 28; shift += 7) {

        if (r->pos == r->end) {
            return NGX_ERROR;
        }

        byte = *r->pos++;
        *len |= (uint32_t) (byte & 0x7f) << shift;

        if (byte < 0x80) {
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}
