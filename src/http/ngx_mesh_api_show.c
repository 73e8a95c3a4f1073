
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/* what several answers have in common */


/* items that are copied at a time */
#define NGX_MESH_API_SHOW_STEP  1000


static ngx_int_t ngx_mesh_api_show_spec(ngx_mesh_json_t *json, char *name,
    ngx_mesh_api_type_t *type, ngx_mesh_store_item_t *item, ngx_pool_t *pool);


ngx_mesh_api_type_t *
ngx_mesh_api_type(ngx_uint_t n)
{
    ngx_mesh_api_type_t  *type;

    for (type = ngx_mesh_api_types; type->type; type++) {
        if (type->type == n) {
            return type;
        }
    }

    return NULL;
}


ngx_int_t
ngx_mesh_api_show_item(ngx_mesh_json_t *json, ngx_mesh_store_item_t *item,
    ngx_pool_t *pool)
{
    ngx_str_t             path;
    ngx_mesh_api_type_t  *type;

    type = ngx_mesh_api_type(item->type);

    if (type == NULL) {
        return NGX_OK;
    }

    if (type->path(item, &path, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "path");
    ngx_mesh_json_string(json, &path);

    if (ngx_mesh_api_show_spec(json, "spec", type, item, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_show_spec(ngx_mesh_json_t *json, char *name,
    ngx_mesh_api_type_t *type, ngx_mesh_store_item_t *item, ngx_pool_t *pool)
{
    ngx_mesh_json_key(json, name);

    if (item == NULL) {
        ngx_mesh_json_null(json);
        return NGX_OK;
    }

    return type->spec(json, item, pool);
}


ngx_int_t
ngx_mesh_api_show_change(ngx_mesh_json_t *json, ngx_mesh_store_item_t *before,
    ngx_mesh_store_item_t *after, ngx_pool_t *pool)
{
    ngx_str_t               path;
    ngx_mesh_api_type_t    *type;
    ngx_mesh_store_item_t  *item;

    item = before ? before : after;
    type = ngx_mesh_api_type(item->type);

    if (type == NULL) {
        return NGX_OK;
    }

    if (type->path(item, &path, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "op");
    ngx_mesh_json_text(json, before == NULL ? "create"
                             : after == NULL ? "delete" : "update");
    ngx_mesh_json_key(json, "path");
    ngx_mesh_json_string(json, &path);

    if (ngx_mesh_api_show_spec(json, "before", type, before, pool) != NGX_OK
        || ngx_mesh_api_show_spec(json, "after", type, after, pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


void
ngx_mesh_api_show_metadata(ngx_mesh_json_t *json, ngx_mesh_store_item_t *item,
    ngx_str_t *name, ngx_str_t *service, ngx_str_t *owner)
{
    ngx_mesh_json_key(json, "metadata");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "name");
    ngx_mesh_json_string(json, name);

    if (service) {
        ngx_mesh_json_key(json, "service");
        ngx_mesh_json_string(json, service);
    }

    if (owner) {
        ngx_mesh_json_key(json, "owner");
        ngx_mesh_json_string(json, owner);
    }

    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, item->modified);
    ngx_mesh_json_key(json, "created");
    ngx_mesh_json_number(json, item->created);
    ngx_mesh_json_close(json, '}');
}


void
ngx_mesh_api_show_table(ngx_mesh_api_call_t *call)
{
    u_char            epoch[NGX_INT64_LEN];
    ngx_str_t         s;
    ngx_mesh_json_t  *json;

    s.data = epoch;
    s.len = ngx_sprintf(epoch, "%xL", ngx_mesh_store_epoch(call->store))
            - epoch;

    json = call->json;

    ngx_mesh_json_key(json, "epoch");
    ngx_mesh_json_string(json, &s);
    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, call->revision);
}


void
ngx_mesh_api_show_error(ngx_mesh_json_t *json, ngx_mesh_api_error_t *error,
    ngx_uint_t problem)
{
    if (problem) {
        ngx_mesh_json_key(json, "title");
        ngx_mesh_json_text(json, error->code);
    }

    ngx_mesh_json_key(json, "status");
    ngx_mesh_json_number(json, error->status);
    ngx_mesh_json_key(json, problem ? "detail" : "text");
    ngx_mesh_json_string(json, &error->text);
    ngx_mesh_json_key(json, "code");
    ngx_mesh_json_text(json, error->code);

    if (error->pointer.data) {
        ngx_mesh_json_key(json, "pointer");
        ngx_mesh_json_string(json, &error->pointer);
    }

    if (error->hint) {
        ngx_mesh_json_key(json, "hint");
        ngx_mesh_json_text(json, error->hint);
    }

    if (error->needed) {
        ngx_mesh_json_key(json, "needed");
        ngx_mesh_json_number(json, error->needed);
        ngx_mesh_json_key(json, "free");
        ngx_mesh_json_number(json, error->free);
        ngx_mesh_json_key(json, "largest_free_run");
        ngx_mesh_json_number(json, error->largest);
    }
}


/* the table's lock is not held for long */

ngx_int_t
ngx_mesh_api_show_each(ngx_mesh_api_call_t *call, ngx_uint_t type,
    ngx_mesh_api_items_pt handler, void *data)
{
    uint64_t                revision;
    ngx_int_t               rc;
    ngx_str_t               after;
    ngx_pool_t             *pool, *next;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *last;

    pool = NULL;
    ngx_str_null(&after);

    do {
        next = ngx_create_pool(16384, call->log);

        rc = (next != NULL
              && ngx_array_init(&items, next, 64,
                                sizeof(ngx_mesh_store_item_t))
                 == NGX_OK
              && ngx_mesh_store_list(call->store, type, pool ? &after : NULL,
                                     NULL, 0, NGX_MESH_API_SHOW_STEP, next,
                                     &items, &revision)
                 == NGX_OK)
             ? handler(data, &items) : NGX_ERROR;

        if (pool) {
            ngx_destroy_pool(pool);
        }

        pool = next;

        if (rc == NGX_OK && items.nelts) {
            last = (ngx_mesh_store_item_t *) items.elts + items.nelts - 1;
            after = last->key;
        }

    } while (rc == NGX_OK && items.nelts == NGX_MESH_API_SHOW_STEP);

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return rc;
}
