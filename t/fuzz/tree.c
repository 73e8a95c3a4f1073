
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as a value of Hessian 2: what is made of them stays within what
 * the reader allows, and its strings within the bytes or the memory given.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_tree.h"


#define VALUES  512
#define PIECES  4096

#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


typedef struct {
    u_char  *start;
    size_t   size;
} piece_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static piece_t      pieces[PIECES];
static ngx_uint_t   npieces;
static ngx_uint_t   seen;


static void *
take(void *data, size_t size)
{
    check(npieces < PIECES);

    pieces[npieces].start = malloc(size);
    pieces[npieces].size = size;

    return pieces[npieces++].start;
}


static void
inside(ngx_str_t *s)
{
    ngx_uint_t  i;

    if (s->len == 0) {
        return;
    }

    for (i = 0; i < npieces; i++) {
        if (s->data >= pieces[i].start
            && s->data < pieces[i].start + pieces[i].size)
        {
            check(s->len <= (size_t) (pieces[i].start + pieces[i].size
                                      - s->data));
            return;
        }
    }

    check(0);
}


static void
walk(ngx_mesh_tree_t *v, ngx_uint_t depth)
{
    ngx_uint_t  i, n;

    check(depth <= NGX_MESH_TREE_DEPTH);
    check(++seen <= VALUES);

    switch (v->type) {

    case NGX_MESH_SERIAL_STRING:
        inside(&v->u.str);
        return;

    case NGX_MESH_TREE_REF:
        check(v->u.box.first->type == NGX_MESH_TREE_LIST
              || v->u.box.first->type == NGX_MESH_TREE_MAP
              || v->u.box.first->type == NGX_MESH_TREE_OBJECT);
        return;

    case NGX_MESH_TREE_LIST:
    case NGX_MESH_TREE_MAP:
    case NGX_MESH_TREE_OBJECT:
        break;

    default:
        return;
    }

    (void) ngx_mesh_tree_find(v, "a");
    (void) ngx_mesh_tree_string(v, "services");

    if (v->type == NGX_MESH_TREE_OBJECT) {
        inside((ngx_str_t *) &v->u.box.class->name);

        for (i = 0; i < v->u.box.class->nfields; i++) {
            inside(&v->u.box.class->fields[i]);
        }
    }

    n = 0;

    for (v = v->u.box.first; v; v = v->next) {
        walk(v, depth + 1);
        n++;
    }

    check(n <= VALUES);
}


/* the bytes, as a piece of exact size like those that are given later */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                  *p;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_mesh_frame_t         f;
    ngx_mesh_tree_t         *v;
    ngx_mesh_tree_reader_t   r;

    npieces = 0;
    seen = 0;

    p = take(NULL, size + 16);
    memcpy(p, "\xda\xbb\x02\x14\0\0\0\0\0\0\0\1", 12);
    p[12] = (u_char) (size >> 24);
    p[13] = (u_char) (size >> 16);
    p[14] = (u_char) (size >> 8);
    p[15] = (u_char) size;

    if (size) {
        memcpy(p + 16, data, size);

        /* not every input needs the flag of a value */
        p[3] = (size & 1) ? 20 : 70;
    }

    r.alloc = take;
    r.data = NULL;
    r.max = VALUES;

    check(ngx_mesh_dubbo_codec.head(&ngx_mesh_dubbo_codec, p, size + 16, &f)
          == NGX_OK);

    rc = ngx_mesh_dubbo_answer(p, &f, &r, &v, &text);

    check(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ERROR);

    if (rc == NGX_DECLINED) {
        check(text.len > 0 && text.len <= 300);
    }

    if (rc == NGX_OK && v) {
        walk(v, 0);
    }

    /* and as a value alone */

    if (ngx_mesh_tree_start(&r, p + 16, p + 16 + size) == NGX_OK
        && ngx_mesh_hessian2_tree(&r, &v) == NGX_OK)
    {
        seen = 0;
        walk(v, 0);
    }

    while (npieces) {
        free(pieces[--npieces].start);
    }

    return 0;
}
