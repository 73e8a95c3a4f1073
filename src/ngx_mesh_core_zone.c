
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_core.h"
#include "ngx_mesh_metrics.h"
#include "ngx_mesh_registry.h"
#include "ngx_mesh_want.h"


/* the shared memory zone: metrics, and the table in what they leave */


static ssize_t ngx_mesh_core_zone_size(ngx_str_t *value, ngx_str_t *name);
static ngx_int_t ngx_mesh_core_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_mesh_core_reuse_zone(ngx_shm_zone_t *shm_zone,
    ngx_mesh_zone_t *old);
static size_t ngx_mesh_core_zone_min(size_t metrics);
static ngx_int_t ngx_mesh_core_init_store(ngx_shm_zone_t *shm_zone,
    ngx_mesh_zone_t *zone);


char *
ngx_mesh_core_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    ssize_t     size, metrics;
    ngx_str_t  *value, name, s;

    if (ccf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_mesh_core_zone_size(&value[1], &name);

    if (size <= 0) {
        return ngx_mesh_core_invalid(cf, &value[1],
                                     "NAME:SIZE as \"mesh:64m\"");
    }

    metrics = NGX_MESH_CORE_METRICS_SIZE;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "metrics=", 8) != 0) {
            return ngx_mesh_core_invalid(cf, &value[2], "metrics=SIZE");
        }

        s.data = value[2].data + 8;
        s.len = value[2].len - 8;

        metrics = ngx_parse_size(&s);

        if (metrics < NGX_MESH_METRICS_MIN_SIZE) {
            return ngx_mesh_core_invalid(cf, &value[2],
                                         "a size of at least 128k");
        }
    }

    ccf->metrics = metrics;

    return ngx_mesh_core_add_zone(cf, ccf, &name, size);
}


static ssize_t
ngx_mesh_core_zone_size(ngx_str_t *value, ngx_str_t *name)
{
    u_char     *p, *last;
    ngx_str_t   s;

    last = value->data + value->len;

    p = ngx_strlchr(value->data, last, ':');

    if (p == NULL || p == value->data) {
        return NGX_ERROR;
    }

    name->data = value->data;
    name->len = p - value->data;

    s.data = p + 1;
    s.len = last - s.data;

    return ngx_parse_size(&s);
}


char *
ngx_mesh_core_add_zone(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_str_t *name, size_t size)
{
    size_t            min;
    ngx_mesh_zone_t  *zone;

    min = ngx_mesh_core_zone_min(ccf->metrics);

    if (size < min) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" of %uzk is too small for "
                           "\"metrics=%uzk\", it must be at least %uzk",
                           name, size / 1024, ccf->metrics / 1024,
                           min / 1024);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->metrics = ccf->metrics;
    zone->table = ccf->table;

    ccf->zone = ngx_shared_memory_add(cf, name, size, &ngx_mesh_module);
    if (ccf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    ccf->zone->init = ngx_mesh_core_init_zone;
    ccf->zone->data = zone;

    return NGX_CONF_OK;
}


/*
 * The slab allocator keeps a descriptor for each page, and the metrics want
 * their budget in one piece; full kilobytes make a readable message.
 */

static size_t
ngx_mesh_core_zone_min(size_t metrics)
{
    metrics += 2 * NGX_MESH_LIVE_MIN_SIZE + NGX_MESH_REGISTRY_ZONE_SIZE
               + NGX_MESH_USED_SIZE;

    return ngx_align(metrics + metrics / 64 + 16 * ngx_pagesize, 65536);
}


/* the table gets what the metrics leave: nothing else is allocated later */

static ngx_int_t
ngx_mesh_core_init_store(ngx_shm_zone_t *shm_zone, ngx_mesh_zone_t *zone)
{
    size_t      size;
    ngx_int_t   rc;
    ngx_uint_t  log_nomem;

    log_nomem = zone->shpool->log_nomem;
    zone->shpool->log_nomem = 0;

    size = (zone->shpool->pfree - 4) * ngx_pagesize;

    while (size >= NGX_MESH_LIVE_MIN_SIZE) {
        zone->store = ngx_slab_alloc(zone->shpool, size);

        if (zone->store) {
            break;
        }

        size -= ngx_pagesize;
    }

    zone->shpool->log_nomem = log_nomem;
    zone->store_size = size;

    rc = NGX_DECLINED;

    if (zone->store) {
        rc = ngx_mesh_live_check(zone->store, size, zone->shpool, 1,
                                 zone->table, shm_zone->shm.log);
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" of %uzk has no room for services, "
                      "enlarge it", &shm_zone->shm.name,
                      shm_zone->shm.size / 1024);
    }

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_core_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t            len;
    ngx_mesh_zone_t  *zone;

    if (data) {
        return ngx_mesh_core_reuse_zone(shm_zone, data);
    }

    /* one process goes on with all it has of the old zone */

    if (ngx_process == NGX_PROCESS_SINGLE && !ngx_test_config
        && !ngx_is_init_cycle(ngx_cycle)
        && ngx_mesh_get_conf((ngx_cycle_t *) ngx_cycle, &ngx_mesh_core_module))
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" cannot take the place of another while "
                      "\"master_process\" is off, restart nginx",
                      &shm_zone->shm.name);
        return NGX_ERROR;
    }

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    len = sizeof(" in mesh zone \"\"") + shm_zone->shm.name.len;

    zone->shpool->log_ctx = ngx_slab_alloc(zone->shpool, len);
    if (zone->shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(zone->shpool->log_ctx, " in mesh zone \"%V\"%Z",
                &shm_zone->shm.name);

    if (ngx_mesh_metrics_init_zone(zone->shpool, zone->metrics, &zone->region)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" of %uzk cannot hold \"metrics=%uzk\", "
                      "enlarge one or the other",
                      &shm_zone->shm.name, shm_zone->shm.size / 1024,
                      zone->metrics / 1024);
        return NGX_ERROR;
    }

    if (ngx_mesh_registry_init_zone(zone->shpool, &zone->agent) != NGX_OK
        || ngx_mesh_used_init_zone(zone->shpool, &zone->used) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" of %uzk has no room for the agent, "
                      "enlarge it", &shm_zone->shm.name,
                      shm_zone->shm.size / 1024);
        return NGX_ERROR;
    }

    return ngx_mesh_core_init_store(shm_zone, zone);
}


/* old workers still count in the zone: it is taken as it is or not at all */

static ngx_int_t
ngx_mesh_core_reuse_zone(ngx_shm_zone_t *shm_zone, ngx_mesh_zone_t *old)
{
    ngx_int_t         rc;
    ngx_mesh_zone_t  *zone;

    zone = shm_zone->data;

    zone->shpool = old->shpool;
    zone->region = old->region;
    zone->store = old->store;
    zone->store_size = old->store_size;
    zone->agent = old->agent;
    zone->used = old->used;

    rc = ngx_mesh_metrics_init_zone(zone->shpool, zone->metrics,
                                    &zone->region);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" uses \"metrics=%uzk\" while previously "
                      "it used \"metrics=%uzk\", give the zone another name "
                      "or size to change it",
                      &shm_zone->shm.name, zone->metrics / 1024,
                      old->metrics / 1024);
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_registry_init_zone(zone->shpool, &zone->agent);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_live_check(zone->store, zone->store_size, zone->shpool,
                                 0, zone->table, shm_zone->shm.log);

    } else {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" was made by another version, "
                      "give the zone another name", &shm_zone->shm.name);
    }

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}
