
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_operator.h"
#include "ngx_mesh_part.h"
#include "ngx_mesh_table_int.h"


static ngx_uint_t ngx_mesh_operator_takes(ngx_mesh_store_item_t *item);


static ngx_mesh_part_t  ngx_mesh_operator_part = {
    { NGX_MESH_ITEM_SERVICE, NGX_MESH_ITEM_ENDPOINT, NGX_MESH_ITEM_OVERRIDE,
      NGX_MESH_ITEM_ROUTE },
    ngx_mesh_operator_owns,
    ngx_mesh_operator_takes
};


ngx_uint_t
ngx_mesh_operator_owns(ngx_mesh_store_item_t *item)
{
    ngx_str_t           service, id, owner;
    ngx_mesh_service_t  s;

    switch (item->type) {

    case NGX_MESH_ITEM_SERVICE:
        if (ngx_mesh_item_service_read(item, &s) != NGX_OK) {
            return 0;
        }

        owner = s.owner;
        break;

    case NGX_MESH_ITEM_ENDPOINT:
        if (ngx_mesh_item_split(&item->key, &service, &id, &owner) != NGX_OK) {
            return 0;
        }

        break;

    case NGX_MESH_ITEM_OVERRIDE:
        return 1;

    case NGX_MESH_ITEM_ROUTE:
        if (ngx_mesh_rule_owner(&item->value, &owner) != NGX_OK) {
            return 0;
        }

        break;

    default:
        return 0;
    }

    return ngx_mesh_equal(&owner, &ngx_mesh_owner_api);
}


/* what a registry brought is the operator's when he says so */

static ngx_uint_t
ngx_mesh_operator_takes(ngx_mesh_store_item_t *item)
{
    return item->type == NGX_MESH_ITEM_SERVICE && ngx_mesh_learned_owns(item);
}


ngx_int_t
ngx_mesh_operator_items(ngx_mesh_store_t *store, ngx_pool_t *pool,
    ngx_array_t *items, uint64_t *revision)
{
    return ngx_mesh_part_items(&ngx_mesh_operator_part, store, pool, items,
                               revision);
}


ngx_int_t
ngx_mesh_operator_changed(ngx_mesh_store_t *store, uint64_t since,
    uint64_t *revision, ngx_log_t *log)
{
    return ngx_mesh_part_changed(&ngx_mesh_operator_part, store, since,
                                 revision, log);
}


ngx_uint_t
ngx_mesh_operator_restore(ngx_mesh_store_t *store,
    ngx_mesh_store_item_t *items, ngx_uint_t n, uint64_t fresh,
    uint64_t expect, ngx_uint_t dry, ngx_mesh_store_result_t *result,
    ngx_log_t *log)
{
    return ngx_mesh_part_restore(&ngx_mesh_operator_part, store, items, n,
                                 fresh, expect, dry, result, log);
}
