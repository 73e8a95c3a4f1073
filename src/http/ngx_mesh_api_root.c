
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh.h"
#include "ngx_mesh_api.h"
#include "ngx_mesh_registry.h"


/* what there is, and how the table does */


/* owners that are counted each; a registry has one name */
typedef struct {
    ngx_str_t   name;
    ngx_uint_t  services;
    ngx_uint_t  endpoints;
} ngx_mesh_api_owner_t;

typedef struct {
    ngx_uint_t    n;
    ngx_array_t   owners;                    /* ngx_mesh_api_owner_t */
} ngx_mesh_api_count_t;


static ngx_int_t ngx_mesh_api_root(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_status(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_zone_status(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_agent_status(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_count(void *data, ngx_array_t *items);
static ngx_mesh_api_owner_t *ngx_mesh_api_owner(ngx_mesh_api_count_t *count,
    ngx_str_t *name);


ngx_mesh_api_op_t  ngx_mesh_api_root_ops[] = {
    { ngx_string(""), NGX_HTTP_GET, 0, ngx_mesh_api_root,
      "Collections, epoch and revision" },
    { ngx_string("status"), NGX_HTTP_GET, 0, ngx_mesh_api_status,
      "Room of the zone, items by type and owner" },
    { ngx_string("status/zone"), NGX_HTTP_GET, 0, ngx_mesh_api_zone_status,
      "Room of the zone" },
    { ngx_string("status/agent"), NGX_HTTP_GET, 0, ngx_mesh_api_agent_status,
      "The agent, its lease and its journal" },
    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_int_t
ngx_mesh_api_root(ngx_mesh_api_call_t *call)
{
    ngx_str_t          *seen, *name;
    ngx_uint_t          i;
    ngx_array_t         names;
    ngx_mesh_json_t    *json;
    ngx_mesh_api_op_t  *op, **ops;

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "version");
    ngx_mesh_json_number(json, 1);

    ngx_mesh_api_show_table(call);
    ngx_mesh_json_key(json, "ready");
    ngx_mesh_json_bool(json, 1);
    ngx_mesh_json_key(json, "resources");
    ngx_mesh_json_open(json, '[');

    if (ngx_array_init(&names, call->pool, 16, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (ops = ngx_mesh_api_ops; *ops; ops++) {
        for (op = *ops; op->handler; op++) {

            if (op->path.len == 0
                || ngx_strlchr(op->path.data, op->path.data + op->path.len,
                               '/'))
            {
                continue;
            }

            seen = names.elts;

            for (i = 0; i < names.nelts; i++) {
                if (ngx_mesh_equal(&seen[i], &op->path)) {
                    break;
                }
            }

            if (i < names.nelts) {
                continue;
            }

            name = ngx_array_push(&names);
            if (name == NULL) {
                return NGX_ERROR;
            }

            *name = op->path;
            ngx_mesh_json_string(json, name);
        }
    }

    ngx_mesh_json_close(json, ']');
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_status(ngx_mesh_api_call_t *call)
{
    ngx_uint_t             i;
    ngx_core_conf_t       *ccf;
    ngx_mesh_json_t       *json;
    ngx_mesh_api_owner_t  *owner;
    ngx_mesh_api_count_t   count;

    static char           *types[] = {
        NULL, "services", "endpoints", "overrides", "routes"
    };

    if (ngx_array_init(&count.owners, call->pool, 4,
                       sizeof(ngx_mesh_api_owner_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    json = call->json;
    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_show_table(call);

    ngx_mesh_json_key(json, "workers");
    ngx_mesh_json_number(json, ngx_process == NGX_PROCESS_SINGLE
                               ? 1 : ccf->worker_processes);

    ngx_mesh_json_key(json, "zone");
    (void) ngx_mesh_api_zone_status(call);
    ngx_mesh_json_key(json, "agent");
    (void) ngx_mesh_api_agent_status(call);

    ngx_mesh_json_key(json, "items");
    ngx_mesh_json_open(json, '{');

    for (i = NGX_MESH_ITEM_SERVICE; i <= NGX_MESH_ITEM_ROUTE; i++) {

        count.n = 0;

        if (ngx_mesh_api_show_each(call, i, ngx_mesh_api_count, &count)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_mesh_json_key(json, types[i]);
        ngx_mesh_json_number(json, count.n);
    }

    ngx_mesh_json_close(json, '}');

    ngx_mesh_json_key(json, "owners");
    ngx_mesh_json_open(json, '{');

    owner = count.owners.elts;

    for (i = 0; i < count.owners.nelts; i++) {
        ngx_mesh_json_name(json, &owner[i].name);
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "services");
        ngx_mesh_json_number(json, owner[i].services);
        ngx_mesh_json_key(json, "endpoints");
        ngx_mesh_json_number(json, owner[i].endpoints);
        ngx_mesh_json_close(json, '}');
    }

    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_zone_status(ngx_mesh_api_call_t *call)
{
    ngx_uint_t                nitems;
    ngx_mesh_json_t          *json;
    ngx_mesh_zone_t          *zone;
    ngx_mesh_core_conf_t     *ccf;
    ngx_mesh_store_result_t   result;

    json = call->json;
    ccf = ngx_mesh_get_conf((ngx_cycle_t *) ngx_cycle, &ngx_mesh_core_module);
    zone = ccf->zone->data;

    ngx_mesh_store_status(call->store, &result, &nitems);

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "name");
    ngx_mesh_json_string(json, &ccf->zone->shm.name);
    ngx_mesh_json_key(json, "size");
    ngx_mesh_json_number(json, zone->store_size);
    ngx_mesh_json_key(json, "free");
    ngx_mesh_json_number(json, result.free);
    ngx_mesh_json_key(json, "largest_free_run");
    ngx_mesh_json_number(json, result.largest);
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_agent_status(ngx_mesh_api_call_t *call)
{
    u_char                       date[64], *text;
    ngx_str_t                    s;
    ngx_mesh_json_t             *json;
    ngx_mesh_registry_status_t   st;

    static ngx_str_t             leases[] = {
        ngx_string("none"), ngx_string("held"), ngx_string("other"),
        ngx_string("failed"), ngx_string("off")
    };

    ngx_mesh_registry_status(&st);

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "lease");
    ngx_mesh_json_string(json, &leases[st.lease]);

    if (st.lease != NGX_MESH_LEASE_OFF) {
        ngx_mesh_json_key(json, "pid");
        ngx_mesh_json_number(json, st.agent);
        ngx_mesh_json_key(json, "beat_age");
        ngx_mesh_json_number(json, st.beat);
        ngx_mesh_json_key(json, "fence");
        ngx_mesh_json_number(json, st.fence);
        ngx_mesh_json_key(json, "takeovers");
        ngx_mesh_json_number(json, st.takeovers);
        ngx_mesh_json_key(json, "journalled_revision");
        ngx_mesh_json_number(json, st.journalled);
        ngx_mesh_json_key(json, "journal_files");
        ngx_mesh_json_number(json, st.written);
        ngx_mesh_json_key(json, "journal_errors");
        ngx_mesh_json_number(json, st.errors);
    }

    if (st.error) {
        text = ngx_pnalloc(call->pool, NGX_MAX_ERROR_STR);

        if (text) {
            s.data = text;
            s.len = ngx_strerror(st.error, text, NGX_MAX_ERROR_STR) - text;

            ngx_mesh_json_key(json, "journal_error");
            ngx_mesh_json_string(json, &s);
        }

        s.data = date;
        s.len = ngx_mesh_api_date(date, (uint64_t) st.error_since * 1000)
                - date;

        ngx_mesh_json_key(json, "journal_error_since");
        ngx_mesh_json_string(json, &s);
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_count(void *data, ngx_array_t *items)
{
    ngx_mesh_api_count_t *count = data;

    ngx_str_t               name, id, service;
    ngx_uint_t              i;
    ngx_mesh_service_t      s;
    ngx_mesh_api_owner_t   *owner;
    ngx_mesh_store_item_t  *item;

    item = items->elts;
    count->n += items->nelts;

    for (i = 0; i < items->nelts; i++) {

        ngx_str_null(&name);

        if (item[i].type == NGX_MESH_ITEM_SERVICE
            && ngx_mesh_item_service_read(&item[i], &s) == NGX_OK)
        {
            name = s.owner;

        } else if (item[i].type == NGX_MESH_ITEM_ENDPOINT) {
            (void) ngx_mesh_item_split(&item[i].key, &service, &id, &name);
        }

        if (name.len == 0) {
            continue;
        }

        owner = ngx_mesh_api_owner(count, &name);
        if (owner == NULL) {
            return NGX_ERROR;
        }

        owner->services += (item[i].type == NGX_MESH_ITEM_SERVICE);
        owner->endpoints += (item[i].type == NGX_MESH_ITEM_ENDPOINT);
    }

    return NGX_OK;
}


static ngx_mesh_api_owner_t *
ngx_mesh_api_owner(ngx_mesh_api_count_t *count, ngx_str_t *name)
{
    ngx_uint_t             i;
    ngx_mesh_api_owner_t  *owner;

    owner = count->owners.elts;

    for (i = 0; i < count->owners.nelts; i++) {
        if (ngx_mesh_equal(&owner[i].name, name)) {
            return &owner[i];
        }
    }

    owner = ngx_array_push(&count->owners);
    if (owner == NULL) {
        return NULL;
    }

    ngx_memzero(owner, sizeof(ngx_mesh_api_owner_t));

    owner->name.len = name->len;
    owner->name.data = ngx_pstrdup(count->owners.pool, name);

    return owner->name.data ? owner : NULL;
}
