
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <libdeflate.h>

#include "ngx_mesh_bolt.h"
#include "ngx_mesh_edit.h"


/*
 * A Bolt request with other headers or another version of its service.
 *
 * The version is what follows the interface in the service's unique name,
 * an id included.  Providers take the name from the headers, those before
 * 5.8.0 from the content, so it is changed in both.  SOFARPC has no groups.
 *
 * Hessian has in requestProps what the headers say again, maps there as
 * "map.key".  A provider adds the headers that it does not find in them, so
 * what is set or removed must not be there any more.
 */


#define NGX_MESH_BOLT_PROTOBUF     11
#define NGX_MESH_BOLT_JSON         12

#define NGX_MESH_BOLT_MAP_MAX      0x7fff
#define NGX_MESH_BOLT_CONTENT_MAX  0x7fffffff

#define NGX_MESH_BOLT_NAMES        2
#define NGX_MESH_BOLT_DEPTH        16     /* of maps in requestProps */


typedef struct {
    ngx_mesh_edit_out_t    *out;
    const ngx_mesh_edit_t  *edit;
    ngx_mesh_body_t         r;
    u_char                 *from;         /* what is not copied yet */
    ngx_uint_t              final;
} ngx_mesh_bolt_content_t;


static ngx_int_t ngx_mesh_bolt_edit_map(ngx_mesh_edit_out_t *out,
    ngx_str_t *map, const ngx_mesh_edit_t *edit, ngx_uint_t *named);
static ngx_int_t ngx_mesh_bolt_edit_keep(ngx_mesh_edit_out_t *out,
    ngx_str_t *map, const ngx_mesh_edit_t *edit, ngx_str_t *names);
static ngx_int_t ngx_mesh_bolt_edit_content(ngx_mesh_edit_out_t *out,
    ngx_mesh_bolt_parts_t *parts, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts, const ngx_mesh_edit_t *edit, ngx_uint_t named);
static ngx_int_t ngx_mesh_bolt_edit_sofa(ngx_mesh_edit_out_t *out,
    ngx_str_t *content, ngx_mesh_facts_t *facts,
    const ngx_mesh_edit_t *edit);
static ngx_int_t ngx_mesh_bolt_edit_target(ngx_mesh_bolt_content_t *c,
    ngx_mesh_value_t *v);
static ngx_int_t ngx_mesh_bolt_edit_props(ngx_mesh_bolt_content_t *c,
    ngx_mesh_value_t *v);
static ngx_uint_t ngx_mesh_bolt_edit_changes(const ngx_mesh_edit_t *edit,
    ngx_str_t *keys, ngx_uint_t depth);
static void ngx_mesh_bolt_edit_until(ngx_mesh_bolt_content_t *c, u_char *p,
    u_char *next);
static void ngx_mesh_bolt_edit_name(ngx_str_t *name,
    const ngx_mesh_edit_t *edit, ngx_str_t *pieces);
static void ngx_mesh_bolt_edit_pair(ngx_mesh_edit_out_t *out, ngx_str_t *key,
    ngx_str_t *value);
static void ngx_mesh_bolt_edit_length(ngx_mesh_edit_out_t *out, size_t at,
    size_t n);


static ngx_str_t  ngx_mesh_bolt_edit_names[NGX_MESH_BOLT_NAMES] = {
    ngx_string("sofa_head_target_service"),
    ngx_string("service")
};

static ngx_str_t  ngx_mesh_bolt_edit_sofa_names[] = {
    ngx_string("targetServiceUniqueName"),
    ngx_string("requestProps")
};


ngx_int_t
ngx_mesh_bolt_edit(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts, const ngx_mesh_edit_t *edit,
    u_char *dst, size_t size, size_t *len)
{
    size_t                 n, at;
    ngx_uint_t             named;
    ngx_mesh_edit_out_t    out;
    ngx_mesh_bolt_parts_t  parts;

    if (f->bad
        || (f->kind != NGX_MESH_FRAME_REQUEST
            && f->kind != NGX_MESH_FRAME_ONEWAY)
        || (edit->rewrite_group && edit->group.len))
    {
        return NGX_DECLINED;
    }

    ngx_mesh_bolt_facts(codec, p, f, NGX_MESH_WANT_NAMES, facts);
    ngx_mesh_bolt_split(p, f, &parts);

    out.dst = dst;
    out.size = size;
    out.len = 0;

    n = f->head + parts.class.len;

    ngx_mesh_edit_put(&out, p, n);

    if (ngx_mesh_bolt_edit_map(&out, &parts.map, edit, &named) != NGX_OK) {
        return NGX_DECLINED;
    }

    at = out.len;

    if (ngx_mesh_bolt_edit_content(&out, &parts, f, facts, edit, named)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (at - n > NGX_MESH_BOLT_MAP_MAX
        || out.len - at > NGX_MESH_BOLT_CONTENT_MAX)
    {
        return NGX_DECLINED;
    }

    ngx_mesh_bolt_edit_length(&out, f->head - 6, at - n);
    ngx_mesh_edit_patch(&out, f->head - 4, (uint32_t) (out.len - at));

    if (f->check) {
        n = out.len;
        ngx_mesh_edit_put_u32(&out, n <= size ? libdeflate_crc32(0, dst, n)
                                              : 0);
    }

    return ngx_mesh_edit_done(&out, f, len);
}


/* *named: whether a service stands in the map */

static ngx_int_t
ngx_mesh_bolt_edit_map(ngx_mesh_edit_out_t *out, ngx_str_t *map,
    const ngx_mesh_edit_t *edit, ngx_uint_t *named)
{
    size_t      at;
    ngx_str_t   names[NGX_MESH_BOLT_NAMES], pieces[3];
    ngx_uint_t  i, k;

    ngx_memzero(names, sizeof(names));

    if (ngx_mesh_bolt_edit_keep(out, map, edit, names) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < edit->nfields; i++) {

        if (!ngx_mesh_edit_sets(edit, i)) {
            continue;
        }

        for (k = 0; edit->rewrite_version && k < NGX_MESH_BOLT_NAMES; k++) {
            if (ngx_mesh_edit_same(&ngx_mesh_bolt_edit_names[k],
                                   &edit->fields[i].name))
            {
                names[k] = edit->fields[i].value;
                break;
            }
        }

        if (!edit->rewrite_version || k == NGX_MESH_BOLT_NAMES) {
            ngx_mesh_bolt_edit_pair(out, &edit->fields[i].name,
                                    &edit->fields[i].value);
        }
    }

    *named = 0;

    for (i = 0; i < NGX_MESH_BOLT_NAMES; i++) {

        if (names[i].data == NULL) {
            continue;
        }

        /* an empty one names nothing */

        *named |= (names[i].len != 0);

        ngx_mesh_bolt_edit_pair(out, &ngx_mesh_bolt_edit_names[i], NULL);
        at = out->len - 4;

        if (names[i].len) {
            ngx_mesh_bolt_edit_name(&names[i], edit, pieces);

            for (k = 0; k < 3; k++) {
                ngx_mesh_edit_put(out, pieces[k].data, pieces[k].len);
            }
        }

        ngx_mesh_edit_patch(out, at, (uint32_t) (out->len - at - 4));
    }

    return NGX_OK;
}


/*
 * Copies the pairs that are not changed.  Where the version is, those that
 * name the service are left out: the last of each is what counts.
 */

static ngx_int_t
ngx_mesh_bolt_edit_keep(ngx_mesh_edit_out_t *out, ngx_str_t *map,
    const ngx_mesh_edit_t *edit, ngx_str_t *names)
{
    u_char      *p, *start, *end;
    ngx_int_t    rc;
    ngx_str_t    key, value;
    ngx_uint_t   k;

    p = map->data;
    end = p + map->len;

    for ( ;; ) {
        start = p;

        rc = ngx_mesh_bolt_pair(&p, end, &key, &value);

        if (rc != NGX_OK) {
            return rc == NGX_DONE ? NGX_OK : rc;
        }

        if (key.data && ngx_mesh_edit_changes(edit, &key)) {
            continue;
        }

        for (k = 0; edit->rewrite_version && k < NGX_MESH_BOLT_NAMES; k++) {

            if (key.data && value.data
                && ngx_mesh_edit_same(&ngx_mesh_bolt_edit_names[k], &key))
            {
                names[k] = value;
                break;
            }
        }

        if (!edit->rewrite_version || k == NGX_MESH_BOLT_NAMES) {
            ngx_mesh_edit_put(out, start, p - start);
        }
    }
}


static ngx_int_t
ngx_mesh_bolt_edit_content(ngx_mesh_edit_out_t *out,
    ngx_mesh_bolt_parts_t *parts, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts, const ngx_mesh_edit_t *edit, ngx_uint_t named)
{
    ngx_str_t   *content;
    ngx_uint_t   sofa;

    content = &parts->content;

    sofa = ngx_mesh_bolt_hessian(f->serial)
           && ngx_mesh_edit_same(&parts->class, &ngx_mesh_bolt_sofa_request);

    if (content->len && sofa && (edit->rewrite_version || edit->nfields)) {
        return ngx_mesh_bolt_edit_sofa(out, content, facts, edit);
    }

    ngx_mesh_edit_put(out, content->data, content->len);

    if (!edit->rewrite_version) {
        return NGX_OK;
    }

    /* of these the content names no service */

    if (content->len && f->serial != NGX_MESH_BOLT_PROTOBUF
        && f->serial != NGX_MESH_BOLT_JSON)
    {
        return NGX_ERROR;
    }

    return named ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_bolt_edit_sofa(ngx_mesh_edit_out_t *out, ngx_str_t *content,
    ngx_mesh_facts_t *facts, const ngx_mesh_edit_t *edit)
{
    u_char                   *end;
    ngx_int_t                 rc;
    ngx_uint_t                i, first;
    ngx_mesh_value_t          v[2];
    ngx_mesh_bolt_content_t   c;

    ngx_memzero(&c, sizeof(ngx_mesh_bolt_content_t));
    ngx_memzero(v, sizeof(v));

    end = content->data + content->len;

    c.out = out;
    c.edit = edit;
    c.from = content->data;
    c.final = (content->data[0] == 'C');

    c.r.pos = content->data;
    c.r.end = end;
    c.r.limit = end;
    c.r.scratch = facts->scratch;
    c.r.scratch_end = facts->scratch_end;

    if (ngx_mesh_sofa_fields(&c.r, ngx_mesh_bolt_edit_sofa_names, v, 2)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* they may stand in any order */

    first = v[1].raw.data < v[0].raw.data;

    for (i = 0; i < 2; i++) {
        rc = (i == first) ? ngx_mesh_bolt_edit_target(&c, &v[0])
                          : ngx_mesh_bolt_edit_props(&c, &v[1]);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_mesh_bolt_edit_until(&c, end, end);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_bolt_edit_target(ngx_mesh_bolt_content_t *c, ngx_mesh_value_t *v)
{
    u_char      *p;
    ngx_str_t    name, pieces[3];
    ngx_uint_t   i;

    if (!c->edit->rewrite_version) {
        return NGX_OK;
    }

    if (v->type != NGX_MESH_SERIAL_STRING || v->str.len == 0) {
        return NGX_ERROR;
    }

    ngx_mesh_bolt_edit_until(c, v->raw.data, v->raw.data + v->raw.len);

    ngx_mesh_bolt_edit_name(&v->str, c->edit, pieces);

    /* in one string, which is in pieces here: the scratch joins them */

    name.len = pieces[0].len + pieces[1].len + pieces[2].len;

    if (name.len > (size_t) (c->r.scratch_end - c->r.scratch)) {
        return NGX_ERROR;
    }

    name.data = c->r.scratch;
    p = name.data;

    for (i = 0; i < 3; i++) {
        if (pieces[i].len) {
            p = ngx_cpymem(p, pieces[i].data, pieces[i].len);
        }
    }

    ngx_mesh_edit_hessian(c->out, &name);

    return NGX_OK;
}


/* leaves out texts and numbers that the headers have by the same name */

static ngx_int_t
ngx_mesh_bolt_edit_props(ngx_mesh_bolt_content_t *c, ngx_mesh_value_t *v)
{
    u_char      *start, *value;
    ngx_int_t    rc;
    ngx_str_t    keys[NGX_MESH_BOLT_DEPTH + 1];
    ngx_uint_t   depth;

    if (c->edit->nfields == 0 || v->raw.len == 0) {
        return NGX_OK;
    }

    c->r.pos = v->raw.data;
    c->r.limit = v->raw.data + v->raw.len;

    rc = ngx_mesh_sofa_open(&c->r, c->final);
    depth = 0;

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    while (rc == NGX_OK) {
        start = c->r.pos;

        rc = ngx_mesh_sofa_key(&c->r, c->final, &keys[depth]);

        if (rc == NGX_DONE) {
            if (depth == 0) {
                return NGX_OK;
            }

            depth--;
            rc = NGX_OK;
            continue;
        }

        /* a key in disguise might be the very one to be removed */

        if (rc != NGX_OK || keys[depth].data == NULL
            || c->r.pos == c->r.limit)
        {
            break;
        }

        value = c->r.pos;

        if (*value == 'M' || *value == 'H') {
            if (depth++ == NGX_MESH_BOLT_DEPTH) {
                break;
            }

            rc = ngx_mesh_sofa_open(&c->r, c->final);
            continue;
        }

        rc = ngx_mesh_sofa_skip(&c->r, c->final);

        if (ngx_mesh_sofa_plain(*value, c->final)
            && ngx_mesh_bolt_edit_changes(c->edit, keys, depth))
        {
            ngx_mesh_bolt_edit_until(c, start, c->r.pos);
        }
    }

    return NGX_ERROR;
}


/* whether a field is "key.key.key" */

static ngx_uint_t
ngx_mesh_bolt_edit_changes(const ngx_mesh_edit_t *edit, ngx_str_t *keys,
    ngx_uint_t depth)
{
    ngx_str_t   name;
    ngx_uint_t  i, k;

    for (i = 0; i < edit->nfields; i++) {
        name = edit->fields[i].name;

        for (k = 0; k < depth; k++) {

            if (name.len <= keys[k].len || name.data[keys[k].len] != '.'
                || ngx_memcmp(name.data, keys[k].data, keys[k].len) != 0)
            {
                break;
            }

            name.data += keys[k].len + 1;
            name.len -= keys[k].len + 1;
        }

        if (k == depth && ngx_mesh_edit_same(&name, &keys[depth])) {
            return 1;
        }
    }

    return 0;
}


/* copies what is before p, and goes on at next */

static void
ngx_mesh_bolt_edit_until(ngx_mesh_bolt_content_t *c, u_char *p, u_char *next)
{
    ngx_mesh_edit_put(c->out, c->from, p - c->from);
    c->from = next;
}


/* the unique name with the new version, in three pieces */

static void
ngx_mesh_bolt_edit_name(ngx_str_t *name, const ngx_mesh_edit_t *edit,
    ngx_str_t *pieces)
{
    u_char  *p;

    ngx_memzero(pieces, 3 * sizeof(ngx_str_t));

    pieces[0] = *name;

    if (!edit->rewrite_version) {
        return;
    }

    p = ngx_strlchr(name->data, name->data + name->len, ':');

    if (p) {
        pieces[0].len = p - name->data;
    }

    if (edit->version.len) {
        ngx_str_set(&pieces[1], ":");
        pieces[2] = edit->version;
    }
}


/* without a value the caller writes it, and its length */

static void
ngx_mesh_bolt_edit_pair(ngx_mesh_edit_out_t *out, ngx_str_t *key,
    ngx_str_t *value)
{
    ngx_mesh_edit_put_u32(out, (uint32_t) key->len);
    ngx_mesh_edit_put(out, key->data, key->len);
    ngx_mesh_edit_put_u32(out, value ? (uint32_t) value->len : 0);

    if (value) {
        ngx_mesh_edit_put(out, value->data, value->len);
    }
}


static void
ngx_mesh_bolt_edit_length(ngx_mesh_edit_out_t *out, size_t at, size_t n)
{
    if (out->size >= at + 2) {
        out->dst[at] = (u_char) (n >> 8);
        out->dst[at + 1] = (u_char) n;
    }
}
