
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_item.h"
#include "ngx_mesh_want.h"


/* who asks for an interface, as the table has it */


static ngx_int_t ngx_mesh_interest_service(ngx_mesh_interest_t *interest,
    ngx_mesh_service_t *service);


ngx_int_t
ngx_mesh_interest_read(ngx_mesh_interest_t *interest, ngx_pool_t *pool)
{
    uint64_t                 revision;
    ngx_str_t                inside;
    ngx_uint_t               i;
    ngx_array_t              services, wants;
    ngx_mesh_service_t       service;
    ngx_mesh_store_item_t   *item;
    ngx_mesh_store_query_t   queries[2];

    inside.len = interest->name.len + 1;
    inside.data = ngx_pcalloc(pool, inside.len);

    if (inside.data == NULL
        || ngx_array_init(&services, pool, 8, sizeof(ngx_mesh_store_item_t))
           != NGX_OK
        || ngx_array_init(&wants, pool, 1, sizeof(ngx_mesh_store_item_t))
           != NGX_OK
        || ngx_array_init(&interest->registries, pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&interest->apps, pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(inside.data, interest->name.data, interest->name.len);
    ngx_memzero(queries, sizeof(queries));

    queries[0].type = NGX_MESH_ITEM_SERVICE;
    queries[0].prefix = &inside;
    queries[0].items = &services;

    queries[1].type = NGX_MESH_ITEM_WANT;
    queries[1].prefix = &interest->name;
    queries[1].exact = 1;
    queries[1].items = &wants;

    if (ngx_mesh_store_select(ngx_mesh_live(), queries, 2, NULL, pool,
                              &revision)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    interest->wanted = (wants.nelts != 0);
    item = services.elts;

    for (i = 0; i < services.nelts; i++) {

        if (ngx_mesh_item_service_read(&item[i], &service) == NGX_OK
            && ngx_mesh_interest_service(interest, &service) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* those that a registry brought ask for nothing */

static ngx_int_t
ngx_mesh_interest_service(ngx_mesh_interest_t *interest,
    ngx_mesh_service_t *service)
{
    ngx_str_t  *list;

    if (!ngx_mesh_equal(&service->owner, &ngx_mesh_owner_config)
        && !ngx_mesh_equal(&service->owner, &ngx_mesh_owner_api))
    {
        return NGX_OK;
    }

    interest->listed = 1;

    if (interest->protocol.len == 0) {
        interest->protocol = service->protocol;
    }

    if (service->registries.len == 0) {
        interest->any = 1;

    } else {
        list = ngx_array_push(&interest->registries);
        if (list == NULL) {
            return NGX_ERROR;
        }

        *list = service->registries;
    }

    if (service->provided_by.len) {
        list = ngx_array_push(&interest->apps);
        if (list == NULL) {
            return NGX_ERROR;
        }

        *list = service->provided_by;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_interest_allows(ngx_mesh_interest_t *interest,
    ngx_mesh_source_t *source)
{
    ngx_str_t   *list;
    ngx_uint_t   i;

    if (interest->any || interest->registries.nelts == 0) {
        return 1;
    }

    list = interest->registries.elts;

    for (i = 0; i < interest->registries.nelts; i++) {
        if (ngx_mesh_list_has(&list[i], &source->name)) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_mesh_interest_same(ngx_mesh_interest_t *interest,
    ngx_mesh_subscription_t *s)
{
    ngx_str_t   *list, *app, rest, name;
    ngx_uint_t   i, n;

    if (!ngx_mesh_equal(&s->protocol, &interest->protocol)) {
        return 0;
    }

    list = interest->apps.elts;
    app = s->apps.elts;

    for (i = 0, n = 0; i < interest->apps.nelts; i++) {
        rest = list[i];

        while (ngx_mesh_list_part(&rest, &name)) {

            if (n == s->apps.nelts || !ngx_mesh_equal(&app[n], &name)) {
                return 0;
            }

            n++;
        }
    }

    return n == s->apps.nelts;
}


void
ngx_mesh_interest_used(ngx_array_t *items, ngx_array_t *sources,
    ngx_pool_t *pool)
{
    ngx_str_t                 name, interface, last;
    ngx_uint_t                i, k, unused;
    ngx_array_t               ops;
    ngx_mesh_answer_t         answer;
    ngx_mesh_source_t        *source;
    ngx_mesh_store_op_t      *op;
    ngx_mesh_store_item_t    *item;
    ngx_mesh_store_result_t   result;

    if (ngx_array_init(&ops, pool, 16, sizeof(ngx_mesh_store_op_t)) != NGX_OK)
    {
        return;
    }

    item = items->elts;
    ngx_str_null(&last);

    for (i = 0; i < items->nelts; i++) {

        if (item[i].type != NGX_MESH_ITEM_ANSWER
            || ngx_mesh_item_answer_read(&item[i], &interface, &name, &answer)
               != NGX_OK
            || ngx_mesh_equal(&interface, &last))
        {
            continue;
        }

        last = interface;
        unused = ngx_mesh_live_unused(&interface);

        for (k = 0; k < sources->nelts; k++) {
            source = (ngx_mesh_source_t *) sources->elts + k;

            if (source->discovery == NGX_MESH_DISCOVERY_LAZY
                && unused != NGX_MESH_USED_NEVER
                && unused <= source->idle / 1000
                && ops.nelts < source->max_services)
            {
                op = ngx_array_push(&ops);

                if (op == NULL
                    || ngx_mesh_item_put_want(op, &interface, pool) != NGX_OK)
                {
                    return;
                }

                break;
            }
        }
    }

    if (ops.nelts) {
        (void) ngx_mesh_live_commit(ops.elts, ops.nelts, 0, 0, &result,
                                    ngx_cycle->log);
    }
}
