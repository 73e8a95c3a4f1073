
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"


/*
 * Collections: {"items": [...], "revision": n, "next": path or null}.  Items
 * are read some at a time, each time as they are then, so that nobody waits
 * for a long list; the ETag is of the moment the answer began.
 */


#define NGX_MESH_API_PAGE  100


static ngx_int_t ngx_mesh_api_page_more(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_page_items(ngx_mesh_api_call_t *call,
    ngx_mesh_api_page_t *page, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_api_page_picked(ngx_mesh_api_call_t *call,
    ngx_mesh_api_page_t *page, ngx_mesh_store_item_t *item,
    ngx_mesh_json_t *whole, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_api_page_end(ngx_mesh_api_call_t *call,
    ngx_mesh_api_page_t *page, ngx_uint_t next);
static ngx_int_t ngx_mesh_api_page_after(ngx_mesh_api_call_t *call,
    ngx_mesh_api_page_t *page);


ngx_int_t
ngx_mesh_api_page(ngx_mesh_api_call_t *call, ngx_uint_t type,
    ngx_str_t *prefix, ngx_int_t (*item)(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool))
{
    ngx_int_t             rc;
    ngx_mesh_api_page_t  *page;

    page = ngx_pcalloc(call->pool, sizeof(ngx_mesh_api_page_t));
    if (page == NULL) {
        return NGX_ERROR;
    }

    page->type = type;
    page->prefix = *prefix;
    page->item = item;

    rc = ngx_mesh_api_arg_number(call, "limit", &page->limit);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_page_after(call, page);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_pick_names(call, &page->names);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    call->data = page;
    call->more = ngx_mesh_api_page_more;

    ngx_mesh_json_open(call->json, '{');
    ngx_mesh_json_key(call->json, "items");
    ngx_mesh_json_open(call->json, '[');

    return NGX_OK;
}


/* a cursor is the key of the last item, which says nothing to a client */

static ngx_int_t
ngx_mesh_api_page_after(ngx_mesh_api_call_t *call, ngx_mesh_api_page_t *page)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_mesh_api_arg(call, "after", &value);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    page->after.data = ngx_pnalloc(call->pool,
                                   ngx_base64_decoded_length(value.len) + 1);
    if (page->after.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64url(&page->after, &value) != NGX_OK
        || page->after.len < page->prefix.len
        || ngx_memcmp(page->after.data, page->prefix.data, page->prefix.len)
           != 0)
    {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 "follow \"next\" as it is",
                                 "argument \"after\" is not from an answer "
                                 "of this collection");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_page_more(ngx_mesh_api_call_t *call)
{
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    ngx_mesh_api_page_t  *page;

    page = call->data;

    pool = ngx_create_pool(16384, call->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_page_items(call, page, pool);

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
ngx_mesh_api_page_items(ngx_mesh_api_call_t *call, ngx_mesh_api_page_t *page,
    ngx_pool_t *pool)
{
    uint64_t                revision;
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_json_t         whole;
    ngx_mesh_store_item_t  *item;

    ngx_mesh_json_init(&whole, pool, NULL);

    if (ngx_array_init(&items, pool, NGX_MESH_API_PAGE + 1,
                       sizeof(ngx_mesh_store_item_t))
        != NGX_OK
        || ngx_mesh_store_list(call->store, page->type,
                               page->after.data ? &page->after : NULL,
                               &page->prefix, 0, NGX_MESH_API_PAGE + 1, pool,
                               &items, &revision)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = items.elts;

    for (i = 0; i < items.nelts && i < NGX_MESH_API_PAGE; i++) {

        if (page->limit && page->n == page->limit) {
            return ngx_mesh_api_page_end(call, page, 1);
        }

        rc = page->names ? ngx_mesh_api_page_picked(call, page, &item[i],
                                                    &whole, pool)
                         : page->item(call, &item[i], pool);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        page->n += (rc == NGX_OK);
        page->after = item[i].key;
    }

    if (i == items.nelts) {
        return ngx_mesh_api_page_end(call, page, 0);
    }

    /* the pool of the item goes */

    page->after.data = ngx_palloc(call->pool, item[i - 1].key.len + 1);
    if (page->after.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(page->after.data, item[i - 1].key.data, page->after.len);

    return NGX_AGAIN;
}


/* "whole" is written over for each member */

static ngx_int_t
ngx_mesh_api_page_picked(ngx_mesh_api_call_t *call, ngx_mesh_api_page_t *page,
    ngx_mesh_store_item_t *item, ngx_mesh_json_t *whole, ngx_pool_t *pool)
{
    ngx_int_t         rc;
    ngx_mesh_json_t  *json;

    json = call->json;

    call->json = whole;
    rc = page->item(call, item, pool);
    call->json = json;

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_pick(json, whole, page->names, pool);
    }

    *whole->last = whole->free;
    whole->free = whole->out;
    whole->out = NULL;
    whole->last = &whole->out;
    whole->size = 0;
    whole->comma = 0;

    return rc;
}


static ngx_int_t
ngx_mesh_api_page_end(ngx_mesh_api_call_t *call, ngx_mesh_api_page_t *page,
    ngx_uint_t next)
{
    u_char           *p;
    ngx_str_t         path, cursor, fields;
    ngx_mesh_json_t  *json;

    json = call->json;

    ngx_mesh_json_close(json, ']');
    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, call->revision);
    ngx_mesh_json_key(json, "next");

    if (!next) {
        ngx_mesh_json_null(json);

    } else {
        ngx_str_null(&fields);

        if (page->names
            && (ngx_mesh_api_arg(call, "fields", &fields) != NGX_OK
                || ngx_mesh_api_escape(call->pool, &fields, &fields)
                   != NGX_OK))
        {
            return NGX_ERROR;
        }

        p = ngx_pnalloc(call->pool, call->root.len + call->path.len
                                    + ngx_base64_encoded_length(page->after.len)
                                    + NGX_INT_T_LEN + fields.len
                                    + sizeof("1/?limit=&fields=&after="));
        if (p == NULL) {
            return NGX_ERROR;
        }

        path.data = p;
        p = ngx_sprintf(p, "%V1/%V?limit=%ui%s%V&after=", &call->root,
                        &call->path, page->limit,
                        page->names ? "&fields=" : "", &fields);
        cursor.data = p;
        ngx_encode_base64url(&cursor, &page->after);

        path.len = cursor.data + cursor.len - path.data;
        ngx_mesh_json_string(json, &path);
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}
