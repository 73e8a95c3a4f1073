
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_watch.h"


/*
 * What has changed, as JSON.  Thousands of changes are told part by part, up
 * to a revision that is the same for all parts: what changes again meanwhile
 * is told the next time.
 */


static ngx_int_t ngx_mesh_api_changes_item(ngx_mesh_api_watch_t *watch,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_api_changes_page(ngx_mesh_api_watch_t *watch,
    ngx_pool_t *pool);


ngx_str_t  ngx_mesh_api_changes_types[] = {
    ngx_null_string,
    ngx_string("service"),
    ngx_string("endpoint"),
    ngx_string("override"),
    ngx_string("route")
};


ngx_int_t
ngx_mesh_api_changes(ngx_mesh_api_watch_t *watch, ngx_array_t *items,
    uint64_t upto)
{
    ngx_uint_t              i;
    ngx_mesh_json_t        *json;
    ngx_mesh_store_item_t  *item;

    json = watch->call->json;
    item = items->elts;

    for (i = 0; i < items->nelts; i++) {

        if (item[i].modified > upto
            || !ngx_mesh_api_changes_wants(watch, &item[i]))
        {
            continue;
        }

        if (watch->stream) {
            json->comma = 0;
        }

        if (ngx_mesh_api_changes_item(watch, &item[i], items->pool) != NGX_OK) {
            return NGX_ERROR;
        }

        if (watch->stream) {
            ngx_mesh_json_bytes(json, (u_char *) "\n", 1);
        }

        watch->n++;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_changes_walk(ngx_mesh_api_watch_t *watch)
{
    ngx_int_t    rc;
    ngx_pool_t  *pool;

    if (watch->at == 0) {
        watch->at = NGX_MESH_ITEM_SERVICE;
    }

    do {
        pool = ngx_create_pool(16384, watch->call->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_api_changes_page(watch, pool);

        ngx_destroy_pool(pool);

        if (rc != NGX_OK) {
            return rc;
        }

        watch->after.len = 0;

    } while (++watch->at <= NGX_MESH_API_WATCH_TYPES);

    watch->since = watch->target;
    watch->target = 0;
    watch->at = 0;

    return NGX_OK;
}


/* NGX_AGAIN: there is more of the type */

static ngx_int_t
ngx_mesh_api_changes_page(ngx_mesh_api_watch_t *watch, ngx_pool_t *pool)
{
    u_char                 *p;
    uint64_t                revision;
    ngx_str_t              *key;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *item;

    if (ngx_array_init(&items, pool, 16, sizeof(ngx_mesh_store_item_t))
        != NGX_OK
        || ngx_mesh_store_list(watch->call->store, watch->at,
                               watch->after.len ? &watch->after : NULL, NULL,
                               watch->since, NGX_MESH_API_WATCH_PAGE, pool,
                               &items, &revision)
           != NGX_OK
        || ngx_mesh_api_changes(watch, &items, watch->target) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (items.nelts < NGX_MESH_API_WATCH_PAGE) {
        return NGX_OK;
    }

    item = items.elts;
    key = &item[items.nelts - 1].key;

    if (key->len > watch->room) {

        /* a watch may last for days: memory for a longest key, not for each */

        p = ngx_pnalloc(watch->call->pool, 2 * key->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        watch->after.data = p;
        watch->room = 2 * key->len;
    }

    ngx_memcpy(watch->after.data, key->data, key->len);
    watch->after.len = key->len;

    return NGX_AGAIN;
}


ngx_uint_t
ngx_mesh_api_changes_wants(ngx_mesh_api_watch_t *watch,
    ngx_mesh_store_item_t *item)
{
    ngx_str_t  *key;

    if (item->modified <= watch->since
        || (watch->type && item->type != watch->type))
    {
        return 0;
    }

    if (watch->service.data == NULL) {
        return 1;
    }

    /* the key of the service itself is without the NUL at the end */

    key = &watch->service;

    if (item->type == NGX_MESH_ITEM_SERVICE) {
        return item->key.len == key->len - 1
               && ngx_memcmp(item->key.data, key->data, key->len - 1) == 0;
    }

    return item->type != NGX_MESH_ITEM_ROUTE && item->key.len >= key->len
           && ngx_memcmp(item->key.data, key->data, key->len) == 0;
}


static ngx_int_t
ngx_mesh_api_changes_item(ngx_mesh_api_watch_t *watch,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool)
{
    ngx_str_t             path;
    ngx_mesh_json_t      *json;
    ngx_mesh_api_type_t  *type;

    json = watch->call->json;

    type = ngx_mesh_api_type(item->type);

    if (type == NULL) {
        return NGX_OK;
    }

    if (type->path(item, &path, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "type");
    ngx_mesh_json_string(json, &ngx_mesh_api_changes_types[item->type]);
    ngx_mesh_json_key(json, "op");
    ngx_mesh_json_text(json, item->removed ? "removed" : "modified");
    ngx_mesh_json_key(json, "path");
    ngx_mesh_json_string(json, &path);
    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, item->modified);

    if (!item->removed) {
        ngx_mesh_json_key(json, "spec");

        if (type->spec(json, item, pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}
