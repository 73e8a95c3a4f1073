
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_http.h"


/* registries as text for Prometheus: a sample for each of them */


/* there are 32 at most, whose names are short */
#define NGX_MESH_HTTP_REGISTRIES_ROOM  16384


typedef struct {
    char      *name;
    char      *type;
    char      *help;
    char      *labels;                 /* more of them, or NULL */
    uint64_t (*value)(ngx_mesh_source_status_t *st);
    size_t     offset;                 /* without that */
} ngx_mesh_http_registries_family_t;


static ngx_int_t ngx_mesh_http_registries_read(
    ngx_mesh_http_registries_t *registries, ngx_pool_t *pool);
static u_char *ngx_mesh_http_registries_sample(u_char *p,
    ngx_mesh_http_registries_family_t *f, ngx_mesh_source_info_t *info);
static uint64_t ngx_mesh_http_registries_up(ngx_mesh_source_status_t *st);
static uint64_t ngx_mesh_http_registries_heard(ngx_mesh_source_status_t *st);


#define ngx_mesh_http_registries_field(f)                                     \
    NULL, offsetof(ngx_mesh_source_status_t, f)


/* those of one name stand together */

static ngx_mesh_http_registries_family_t  ngx_mesh_http_registries[] = {

    { "mesh_registry_up", "gauge",
      "1: the registry answers.", NULL,
      ngx_mesh_http_registries_up, 0 },

    { "mesh_registry_last_success_timestamp_seconds", "gauge",
      "When it last answered; 0: never.", NULL,
      ngx_mesh_http_registries_heard, 0 },

    { "mesh_registry_subscriptions", "gauge",
      "Interfaces that it is asked about.", NULL,
      ngx_mesh_http_registries_field(subscriptions) },

    { "mesh_registry_watched", "gauge",
      "Of these, such as are watched all the time.", NULL,
      ngx_mesh_http_registries_field(watched) },

    { "mesh_registry_connections", "gauge",
      "Connections to it.", NULL,
      ngx_mesh_http_registries_field(connections) },

    { "mesh_registry_endpoints", "gauge",
      "Endpoints that it has.", NULL,
      ngx_mesh_http_registries_field(endpoints) },

    { "mesh_registry_held", "gauge",
      "Interfaces of which the guard holds endpoints.", NULL,
      ngx_mesh_http_registries_field(held) },

    { "mesh_registry_unmapped", "gauge",
      "Interfaces with records that cannot be used.", NULL,
      ngx_mesh_http_registries_field(unmapped) },

    { "mesh_registry_updates_total", "counter",
      "Answers by what they led to.", ",result=\"changed\"",
      ngx_mesh_http_registries_field(updates) },

    { "mesh_registry_updates_total", NULL, NULL, ",result=\"same\"",
      ngx_mesh_http_registries_field(same) },

    { "mesh_registry_updates_total", NULL, NULL, ",result=\"unknown\"",
      ngx_mesh_http_registries_field(unknown) },

    { "mesh_registry_errors_total", "counter",
      "Failures to ask it.", NULL,
      ngx_mesh_http_registries_field(errors) },

    { "mesh_registry_switches_total", "counter",
      "Times another of its addresses was taken.", NULL,
      ngx_mesh_http_registries_field(switches) },

    { NULL, NULL, NULL, NULL, NULL, 0 }
};


ngx_int_t
ngx_mesh_http_registries_text(ngx_mesh_http_registries_t *registries,
    ngx_pool_t *pool, ngx_buf_t *b)
{
    ngx_uint_t                          i;
    ngx_mesh_source_info_t             *info;
    ngx_mesh_http_registries_family_t  *f;

    if (!registries->read) {
        if (ngx_mesh_http_registries_read(registries, pool) != NGX_OK) {
            return NGX_ERROR;
        }

        registries->read = 1;
    }

    if (registries->sources.nelts == 0) {
        return NGX_OK;
    }

    info = registries->sources.elts;

    for ( /* void */ ;
         ngx_mesh_http_registries[registries->family].name;
         registries->family++)
    {
        f = &ngx_mesh_http_registries[registries->family];

        if (b->end - b->last < NGX_MESH_HTTP_REGISTRIES_ROOM) {
            return NGX_AGAIN;
        }

        if (f->help) {
            b->last = ngx_sprintf(b->last, "# HELP %s %s\n# TYPE %s %s\n",
                                  f->name, f->help, f->name, f->type);
        }

        for (i = 0; i < registries->sources.nelts; i++) {
            b->last = ngx_mesh_http_registries_sample(b->last, f, &info[i]);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_http_registries_read(ngx_mesh_http_registries_t *registries,
    ngx_pool_t *pool)
{
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_mesh_source_info_t   info, *added;

    if (ngx_array_init(&registries->sources, pool, 2,
                       sizeof(ngx_mesh_source_info_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (n = 0; /* void */ ; n++) {

        rc = ngx_mesh_source_info(n, pool, &info);

        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
        }

        added = ngx_array_push(&registries->sources);
        if (added == NULL) {
            return NGX_ERROR;
        }

        *added = info;
    }
}


static u_char *
ngx_mesh_http_registries_sample(u_char *p,
    ngx_mesh_http_registries_family_t *f, ngx_mesh_source_info_t *info)
{
    size_t    i, len;
    u_char    c;
    uint64_t  value;

    p = ngx_sprintf(p, "%s{registry=\"", f->name);

    len = ngx_min(info->name.len, NGX_MESH_SOURCE_NAME);

    for (i = 0; i < len; i++) {
        c = info->name.data[i];

        if (c == '\\' || c == '"') {
            *p++ = '\\';
        }

        *p++ = c;
    }

    value = f->value ? f->value(&info->status)
                     : *(uint64_t *) ((u_char *) &info->status + f->offset);

    return ngx_sprintf(p, "\"%s} %uL\n", f->labels ? f->labels : "", value);
}


static uint64_t
ngx_mesh_http_registries_up(ngx_mesh_source_status_t *st)
{
    return st->state == NGX_MESH_SOURCE_OK;
}


static uint64_t
ngx_mesh_http_registries_heard(ngx_mesh_source_status_t *st)
{
    return st->heard / 1000;
}
