
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_hessian.h"
#include "ngx_mesh_tree.h"


/* values allocated at a time */
#define NGX_MESH_TREE_CHUNK  128


static ngx_int_t ngx_mesh_hessian2_tree_value(ngx_mesh_tree_reader_t *r,
    ngx_uint_t depth, ngx_mesh_tree_t **value);
static ngx_int_t ngx_mesh_hessian2_tree_leaf(ngx_mesh_tree_reader_t *r,
    ngx_mesh_tree_t *v);
static ngx_int_t ngx_mesh_hessian2_tree_ref(ngx_mesh_tree_reader_t *r,
    ngx_mesh_tree_t *v);
static ngx_int_t ngx_mesh_hessian2_tree_box(ngx_mesh_tree_reader_t *r,
    ngx_uint_t depth, u_char tag, ngx_mesh_tree_t *v);
static ngx_int_t ngx_mesh_hessian2_tree_head(ngx_mesh_tree_reader_t *r,
    u_char tag, ngx_mesh_tree_t *v, ngx_uint_t *left);
static ngx_int_t ngx_mesh_hessian2_tree_class(ngx_mesh_tree_reader_t *r,
    u_char tag, ngx_mesh_tree_t *v, ngx_uint_t *left);
static ngx_int_t ngx_mesh_hessian2_tree_define(ngx_mesh_tree_reader_t *r);
static ngx_int_t ngx_mesh_hessian2_tree_type(ngx_mesh_body_t *b);
static ngx_int_t ngx_mesh_hessian2_tree_count(ngx_mesh_body_t *b,
    ngx_uint_t *n);
static ngx_mesh_tree_t *ngx_mesh_tree_add(ngx_mesh_tree_reader_t *r);
static void *ngx_mesh_tree_grow(ngx_mesh_tree_reader_t *r, void *old,
    ngx_uint_t n, ngx_uint_t *room, size_t size);


ngx_int_t
ngx_mesh_tree_start(ngx_mesh_tree_reader_t *r, u_char *p, u_char *last)
{
    u_char  *scratch;

    /* strings in pieces are joined there: they never grow by that */

    scratch = r->alloc(r->data, last - p + 1);
    if (scratch == NULL) {
        return NGX_ABORT;
    }

    ngx_memzero(&r->body, sizeof(ngx_mesh_body_t));

    r->body.pos = p;
    r->body.limit = last;
    r->body.end = last;
    r->body.scratch = scratch;
    r->body.scratch_end = scratch + (last - p);

    r->free = NULL;
    r->nfree = 0;
    r->nvalues = 0;
    r->classes = NULL;
    r->nclasses = 0;
    r->aclasses = 0;
    r->boxes = NULL;
    r->nboxes = 0;
    r->aboxes = 0;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_hessian2_tree(ngx_mesh_tree_reader_t *r, ngx_mesh_tree_t **value)
{
    ngx_int_t  rc;

    rc = ngx_mesh_hessian2_tree_value(r, 0, value);

    return rc == NGX_AGAIN ? NGX_ERROR : rc;
}


ngx_mesh_tree_t *
ngx_mesh_tree_see(ngx_mesh_tree_t *value)
{
    return value && value->type == NGX_MESH_TREE_REF ? value->u.box.first
                                                     : value;
}


ngx_mesh_tree_t *
ngx_mesh_tree_find(ngx_mesh_tree_t *value, const char *name)
{
    size_t                        len;
    ngx_str_t                    *key;
    ngx_uint_t                    i;
    ngx_mesh_tree_t              *v;
    const ngx_mesh_tree_class_t  *class;

    value = ngx_mesh_tree_see(value);

    if (value == NULL || (value->type != NGX_MESH_TREE_OBJECT
                          && value->type != NGX_MESH_TREE_MAP))
    {
        return NULL;
    }

    len = ngx_strlen(name);
    class = value->u.box.class;
    i = 0;

    for (v = value->u.box.first; v; v = v->next) {

        if (value->type == NGX_MESH_TREE_OBJECT) {
            key = &class->fields[i++];

        } else {
            key = (v->type == NGX_MESH_SERIAL_STRING) ? &v->u.str : NULL;
            v = v->next;
        }

        if (key && key->len == len && ngx_memcmp(key->data, name, len) == 0) {
            return ngx_mesh_tree_see(v);
        }
    }

    return NULL;
}


ngx_str_t
ngx_mesh_tree_string(ngx_mesh_tree_t *value, const char *name)
{
    ngx_str_t         s;
    ngx_mesh_tree_t  *v;

    v = ngx_mesh_tree_find(value, name);

    if (v && v->type == NGX_MESH_SERIAL_STRING) {
        return v->u.str;
    }

    ngx_str_null(&s);

    return s;
}


static ngx_int_t
ngx_mesh_hessian2_tree_value(ngx_mesh_tree_reader_t *r, ngx_uint_t depth,
    ngx_mesh_tree_t **value)
{
    u_char            tag;
    ngx_int_t         rc;
    ngx_mesh_body_t  *b;
    ngx_mesh_tree_t  *v;

    b = &r->body;

    for ( ;; ) {

        if (b->pos == b->limit) {
            return NGX_AGAIN;
        }

        tag = *b->pos;

        if (tag != 'C') {
            break;
        }

        b->pos++;

        rc = ngx_mesh_hessian2_tree_define(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (r->nvalues == r->max) {
        return NGX_ERROR;
    }

    v = ngx_mesh_tree_add(r);
    if (v == NULL) {
        return NGX_ABORT;
    }

    *value = v;

    if (tag == 'Q') {
        return ngx_mesh_hessian2_tree_ref(r, v);
    }

    if (!ngx_mesh_hessian_box(tag)) {
        return ngx_mesh_hessian2_tree_leaf(r, v);
    }

    if (depth == NGX_MESH_TREE_DEPTH) {
        return NGX_ERROR;
    }

    b->pos++;

    return ngx_mesh_hessian2_tree_box(r, depth, tag, v);
}


static ngx_int_t
ngx_mesh_hessian2_tree_leaf(ngx_mesh_tree_reader_t *r, ngx_mesh_tree_t *v)
{
    ngx_int_t         rc;
    ngx_mesh_value_t  leaf;

    rc = ngx_mesh_hessian2.value(&r->body, &leaf);
    if (rc != NGX_OK) {
        return rc;
    }

    v->type = leaf.type;

    if (leaf.type == NGX_MESH_SERIAL_STRING) {
        v->u.str = leaf.str;

    } else if (leaf.type == NGX_MESH_SERIAL_DOUBLE) {
        v->u.dbl = leaf.dbl;

    } else if (leaf.type == NGX_MESH_SERIAL_INT
               || leaf.type == NGX_MESH_SERIAL_BOOL)
    {
        v->u.num = leaf.num;
    }

    return NGX_OK;
}


/* to what has begun before, so that none leads to another reference */

static ngx_int_t
ngx_mesh_hessian2_tree_ref(ngx_mesh_tree_reader_t *r, ngx_mesh_tree_t *v)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    r->body.pos++;

    rc = ngx_mesh_hessian2.flag(&r->body, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n >= r->nboxes) {
        return NGX_ERROR;
    }

    v->type = NGX_MESH_TREE_REF;
    v->u.box.first = r->boxes[n];

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_hessian2_tree_box(ngx_mesh_tree_reader_t *r, ngx_uint_t depth,
    u_char tag, ngx_mesh_tree_t *v)
{
    ngx_int_t          rc;
    ngx_uint_t         left, value;
    ngx_mesh_tree_t  **next;

    r->boxes = ngx_mesh_tree_grow(r, r->boxes, r->nboxes, &r->aboxes,
                                  sizeof(ngx_mesh_tree_t *));
    if (r->boxes == NULL) {
        return NGX_ABORT;
    }

    r->boxes[r->nboxes++] = v;

    rc = ngx_mesh_hessian2_tree_head(r, tag, v, &left);
    if (rc != NGX_OK) {
        return rc;
    }

    next = &v->u.box.first;

    for (value = 0; left; value = !value) {

        if (left == (ngx_uint_t) -1) {

            if (r->body.pos == r->body.limit) {
                return NGX_AGAIN;
            }

            /* a key of a map has its value */

            if (*r->body.pos == 'Z'
                && (v->type != NGX_MESH_TREE_MAP || !value))
            {
                r->body.pos++;
                break;
            }

        } else {
            left--;
        }

        rc = ngx_mesh_hessian2_tree_value(r, depth + 1, next);
        if (rc != NGX_OK) {
            return rc;
        }

        next = &(*next)->next;
    }

    return NGX_OK;
}


/* what a container is, and how many values are in it; -1: 'Z' ends it */

static ngx_int_t
ngx_mesh_hessian2_tree_head(ngx_mesh_tree_reader_t *r, u_char tag,
    ngx_mesh_tree_t *v, ngx_uint_t *left)
{
    ngx_int_t         rc;
    ngx_mesh_body_t  *b;

    b = &r->body;

    v->u.box.first = NULL;
    v->u.box.class = NULL;

    if (tag == 'O' || (tag >= 0x60 && tag < 0x70)) {
        v->type = NGX_MESH_TREE_OBJECT;
        return ngx_mesh_hessian2_tree_class(r, tag, v, left);
    }

    v->type = (tag == 'H' || tag == 'M') ? NGX_MESH_TREE_MAP
                                         : NGX_MESH_TREE_LIST;
    *left = (ngx_uint_t) -1;

    if (tag == 'M' || tag == 'U' || tag == 'V' || (tag >= 0x70 && tag < 0x78)) {
        rc = ngx_mesh_hessian2_tree_type(b);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (tag == 'V' || tag == 'X') {
        return ngx_mesh_hessian2_tree_count(b, left);
    }

    if (tag >= 0x70) {
        *left = tag & 0x07;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_hessian2_tree_class(ngx_mesh_tree_reader_t *r, u_char tag,
    ngx_mesh_tree_t *v, ngx_uint_t *left)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    n = tag - 0x60;

    if (tag == 'O') {
        rc = ngx_mesh_hessian2.flag(&r->body, &n);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (n >= r->nclasses) {
        return NGX_ERROR;
    }

    v->u.box.class = r->classes[n];
    *left = r->classes[n]->nfields;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_hessian2_tree_define(ngx_mesh_tree_reader_t *r)
{
    ngx_int_t               rc;
    ngx_uint_t              i, n;
    ngx_mesh_tree_class_t  *class;

    r->classes = ngx_mesh_tree_grow(r, r->classes, r->nclasses, &r->aclasses,
                                    sizeof(ngx_mesh_tree_class_t *));
    if (r->classes == NULL) {
        return NGX_ABORT;
    }

    class = r->alloc(r->data, sizeof(ngx_mesh_tree_class_t));
    if (class == NULL) {
        return NGX_ABORT;
    }

    rc = ngx_mesh_hessian2.string(&r->body, &class->name);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_hessian2_tree_count(&r->body, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n > r->max - r->nvalues) {
        return NGX_ERROR;
    }

    r->nvalues += n;

    class->nfields = n;
    class->fields = n ? r->alloc(r->data, n * sizeof(ngx_str_t)) : NULL;

    if (n && class->fields == NULL) {
        return NGX_ABORT;
    }

    for (i = 0; i < n; i++) {
        rc = ngx_mesh_hessian2.string(&r->body, &class->fields[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    r->classes[r->nclasses++] = class;

    return NGX_OK;
}


/* the type of a list or map says nothing here */

static ngx_int_t
ngx_mesh_hessian2_tree_type(ngx_mesh_body_t *b)
{
    ngx_str_t   s;
    ngx_uint_t  n;

    if (b->pos == b->limit) {
        return NGX_AGAIN;
    }

    if (*b->pos == 'I' || (*b->pos >= 0x80 && *b->pos <= 0xd7)) {
        return ngx_mesh_hessian2.flag(b, &n);
    }

    return ngx_mesh_hessian2.string(b, &s);
}


/* each of what is counted takes a byte at least */

static ngx_int_t
ngx_mesh_hessian2_tree_count(ngx_mesh_body_t *b, ngx_uint_t *n)
{
    ngx_int_t  rc;

    rc = ngx_mesh_hessian2.flag(b, n);

    if (rc == NGX_OK && *n > (size_t) (b->end - b->pos)) {
        return NGX_ERROR;
    }

    return rc;
}


static ngx_mesh_tree_t *
ngx_mesh_tree_add(ngx_mesh_tree_reader_t *r)
{
    ngx_mesh_tree_t  *v;

    if (r->nfree == 0) {
        r->free = r->alloc(r->data,
                           NGX_MESH_TREE_CHUNK * sizeof(ngx_mesh_tree_t));
        if (r->free == NULL) {
            return NULL;
        }

        r->nfree = NGX_MESH_TREE_CHUNK;
    }

    v = r->free++;
    r->nfree--;
    r->nvalues++;

    v->next = NULL;
    v->type = NGX_MESH_SERIAL_NULL;

    return v;
}


/* room for one more */

static void *
ngx_mesh_tree_grow(ngx_mesh_tree_reader_t *r, void *old, ngx_uint_t n,
    ngx_uint_t *room, size_t size)
{
    void  *p;

    if (n < *room) {
        return old;
    }

    *room = n ? 2 * n : 16;

    p = r->alloc(r->data, *room * size);

    if (p && n) {
        ngx_memcpy(p, old, n * size);
    }

    return p;
}
