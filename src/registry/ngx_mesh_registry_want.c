
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_item.h"
#include "ngx_mesh_want.h"


/* what workers have to know of registries to let calls wait for them */


static ngx_uint_t ngx_mesh_registry_starting(ngx_str_t *name);
static ngx_int_t ngx_mesh_registry_expected(ngx_mesh_source_t *source,
    ngx_array_t *names, ngx_array_t *ops, ngx_pool_t *pool);
static void ngx_mesh_registry_once(ngx_array_t *ops);
static int ngx_libc_cdecl ngx_mesh_registry_op_order(const void *one,
    const void *two);


void
ngx_mesh_registry_want(ngx_mesh_core_conf_t *ccf)
{
    ngx_uint_t                     i, n;
    ngx_mesh_source_t             *source;
    static ngx_mesh_want_source_t  wanted[NGX_MESH_SOURCES];

    n = 0;

    if (ccf->sources && ccf->agent_path) {
        source = ccf->sources->elts;
        n = ngx_min(ccf->sources->nelts, NGX_MESH_SOURCES);

        for (i = 0; i < n; i++) {
            wanted[i].name = source[i].name;
            wanted[i].max_services = source[i].max_services;
            wanted[i].lazy = (source[i].discovery == NGX_MESH_DISCOVERY_LAZY);
            wanted[i].all = (source[i].discovery == NGX_MESH_DISCOVERY_ALL);
        }
    }

    ngx_mesh_want_starting = ngx_mesh_registry_starting;
    ngx_mesh_want_sources(wanted, n);
}


/* no agent has had a catalog of it since the zone is there */

static ngx_uint_t
ngx_mesh_registry_starting(ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_mesh_source_status_t  *cell;

    if (ngx_mesh_registry_region == NULL) {
        return 0;
    }

    for (i = 0; i < NGX_MESH_SOURCES; i++) {
        cell = &ngx_mesh_registry_region->sources[i];

        if (cell->name_len == ngx_min(name->len, NGX_MESH_SOURCE_NAME)
            && ngx_memcmp(cell->name, name->data, cell->name_len) == 0)
        {
            return cell->catalog == 0;
        }
    }

    return 1;
}


/*
 * Between a catalog and what its registry says of each name in it a worker
 * could not know which names are worth waiting for: these get an answer that
 * is none yet, all in one commit.
 */

void
ngx_mesh_registry_expect(ngx_mesh_source_t *source, ngx_array_t *names)
{
    ngx_pool_t               *pool;
    ngx_array_t               ops;
    ngx_mesh_store_result_t   result;

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_array_init(&ops, pool, 16, sizeof(ngx_mesh_store_op_t)) == NGX_OK
        && ngx_mesh_registry_expected(source, names, &ops, pool) == NGX_OK
        && ops.nelts && ngx_mesh_agent_leads() == NGX_OK)
    {
        (void) ngx_mesh_live_commit(ops.elts, ops.nelts, 0, 0, &result,
                                    ngx_cycle->log);
    }

    ngx_destroy_pool(pool);

    if (source->status) {
        source->status->catalog = ngx_mesh_wall_clock();
    }
}


static ngx_int_t
ngx_mesh_registry_expected(ngx_mesh_source_t *source, ngx_array_t *names,
    ngx_array_t *ops, ngx_pool_t *pool)
{
    ngx_int_t               rc;
    ngx_str_t              *name, key;
    ngx_uint_t              i;
    ngx_mesh_answer_t       answer;
    ngx_mesh_store_op_t    *op;
    ngx_mesh_store_item_t   item;

    ngx_memzero(&answer, sizeof(ngx_mesh_answer_t));

    name = names->elts;

    for (i = 0; i < names->nelts
                && source->nsubscriptions + ops->nelts < source->max_services;
         i++)
    {
        if (!ngx_mesh_discovery_usable(&name[i])
            || ngx_mesh_discovery_find(source, &name[i]))
        {
            continue;
        }

        rc = ngx_mesh_item_found_key(&key, &name[i], &source->name, pool);

        if (rc == NGX_OK) {
            rc = ngx_mesh_store_get(ngx_mesh_live(), NGX_MESH_ITEM_ANSWER,
                                    &key, 0, pool, &item);
        }

        if (rc == NGX_OK) {
            continue;
        }

        op = (rc == NGX_DECLINED) ? ngx_array_push(ops) : NULL;

        if (op == NULL
            || ngx_mesh_item_put_answer(op, &name[i], &source->name, &answer,
                                        pool)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_mesh_registry_once(ops);

    return NGX_OK;
}


/* a catalog may repeat itself, a commit may not */

static void
ngx_mesh_registry_once(ngx_array_t *ops)
{
    ngx_uint_t            i, n;
    ngx_mesh_store_op_t  *op;

    op = ops->elts;

    ngx_qsort(op, (size_t) ops->nelts, sizeof(ngx_mesh_store_op_t),
              ngx_mesh_registry_op_order);

    for (i = 0, n = 0; i < ops->nelts; i++) {

        if (n == 0 || !ngx_mesh_equal(&op[i].key, &op[n - 1].key)) {
            op[n++] = op[i];
        }
    }

    ops->nelts = n;
}


static int ngx_libc_cdecl
ngx_mesh_registry_op_order(const void *one, const void *two)
{
    const ngx_mesh_store_op_t  *a = one;
    const ngx_mesh_store_op_t  *b = two;

    return (int) ngx_mesh_compare(&a->key, &b->key);
}
