
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


/*
 * What callers want of registries, and what these said of it: items that no
 * operator made, and no caller is routed by.
 */


#define NGX_MESH_FOUND_VERSION  1

#define NGX_MESH_FOUND_KNOWN    0x01
#define NGX_MESH_FOUND_UNKNOWN  0x02

#define NGX_MESH_FOUND_STRINGS  3


typedef struct {
    uint32_t   version;
    uint32_t   flags;
} ngx_mesh_found_want_t;


/* lengths of the strings, which follow in this order */

typedef struct {
    uint32_t   version;
    uint32_t   flags;
    uint64_t   time;
    uint64_t   held;
    uint32_t   found;
    uint32_t   suspects;
    uint32_t   string[NGX_MESH_FOUND_STRINGS];
    uint32_t   reserved;
} ngx_mesh_found_answer_t;


ngx_int_t
ngx_mesh_item_found_key(ngx_str_t *key, ngx_str_t *interface,
    ngx_str_t *registry, ngx_pool_t *pool)
{
    u_char  *p;

    p = ngx_pnalloc(pool, interface->len + 1 + (registry ? registry->len : 0));
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;

    p = ngx_cpymem(p, interface->data, interface->len);

    if (registry) {
        *p++ = '\0';
        p = ngx_cpymem(p, registry->data, registry->len);
    }

    key->len = p - key->data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_item_put_want(ngx_mesh_store_op_t *op, ngx_str_t *interface,
    ngx_pool_t *pool)
{
    ngx_mesh_found_want_t  *want;

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    want = ngx_pcalloc(pool, sizeof(ngx_mesh_found_want_t));
    if (want == NULL) {
        return NGX_ERROR;
    }

    want->version = NGX_MESH_FOUND_VERSION;

    op->type = NGX_MESH_ITEM_WANT;
    op->value.len = sizeof(ngx_mesh_found_want_t);
    op->value.data = (u_char *) want;

    return ngx_mesh_item_found_key(&op->key, interface, NULL, pool);
}


ngx_int_t
ngx_mesh_item_put_answer(ngx_mesh_store_op_t *op, ngx_str_t *interface,
    ngx_str_t *registry, ngx_mesh_answer_t *answer, ngx_pool_t *pool)
{
    u_char                   *p;
    ngx_str_t                *strings[NGX_MESH_FOUND_STRINGS];
    ngx_uint_t                i;
    ngx_mesh_found_answer_t   a;

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));
    ngx_memzero(&a, sizeof(ngx_mesh_found_answer_t));

    a.version = NGX_MESH_FOUND_VERSION;
    a.flags = (answer->known ? NGX_MESH_FOUND_KNOWN : 0)
              | (answer->unknown ? NGX_MESH_FOUND_UNKNOWN : 0);
    a.time = answer->time;
    a.held = answer->held;
    a.found = (uint32_t) answer->found;
    a.suspects = (uint32_t) answer->suspects;

    strings[0] = &answer->reason;
    strings[1] = &answer->unmapped;
    strings[2] = &answer->unsupported;

    op->type = NGX_MESH_ITEM_ANSWER;
    op->value.len = sizeof(ngx_mesh_found_answer_t);

    for (i = 0; i < NGX_MESH_FOUND_STRINGS; i++) {
        a.string[i] = (uint32_t) strings[i]->len;
        op->value.len += strings[i]->len;
    }

    p = ngx_pnalloc(pool, op->value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    op->value.data = p;
    p = ngx_cpymem(p, &a, sizeof(ngx_mesh_found_answer_t));

    for (i = 0; i < NGX_MESH_FOUND_STRINGS; i++) {
        if (strings[i]->len) {
            p = ngx_cpymem(p, strings[i]->data, strings[i]->len);
        }
    }

    return ngx_mesh_item_found_key(&op->key, interface, registry, pool);
}


ngx_int_t
ngx_mesh_item_answer_read(ngx_mesh_store_item_t *item, ngx_str_t *interface,
    ngx_str_t *registry, ngx_mesh_answer_t *answer)
{
    u_char                   *p, *end;
    ngx_str_t                *strings[NGX_MESH_FOUND_STRINGS];
    ngx_uint_t                i;
    ngx_mesh_found_answer_t   a;

    ngx_memzero(answer, sizeof(ngx_mesh_answer_t));

    p = ngx_strlchr(item->key.data, item->key.data + item->key.len, '\0');

    if (item->type != NGX_MESH_ITEM_ANSWER || p == NULL
        || item->value.len < sizeof(ngx_mesh_found_answer_t))
    {
        return NGX_DECLINED;
    }

    interface->data = item->key.data;
    interface->len = p - item->key.data;
    registry->data = p + 1;
    registry->len = item->key.data + item->key.len - registry->data;

    p = item->value.data;
    end = p + item->value.len;

    ngx_memcpy(&a, p, sizeof(ngx_mesh_found_answer_t));
    p += sizeof(ngx_mesh_found_answer_t);

    if (a.version != NGX_MESH_FOUND_VERSION || interface->len == 0
        || registry->len == 0)
    {
        return NGX_DECLINED;
    }

    strings[0] = &answer->reason;
    strings[1] = &answer->unmapped;
    strings[2] = &answer->unsupported;

    for (i = 0; i < NGX_MESH_FOUND_STRINGS; i++) {

        if (a.string[i] > (size_t) (end - p)) {
            return NGX_DECLINED;
        }

        strings[i]->len = a.string[i];
        strings[i]->data = a.string[i] ? p : NULL;
        p += a.string[i];
    }

    answer->time = a.time;
    answer->held = a.held;
    answer->found = a.found;
    answer->suspects = a.suspects;
    answer->known = (a.flags & NGX_MESH_FOUND_KNOWN) ? 1 : 0;
    answer->unknown = (a.flags & NGX_MESH_FOUND_UNKNOWN) ? 1 : 0;

    return NGX_OK;
}
