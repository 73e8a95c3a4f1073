
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_item.h"


/*
 * A reload renames a registry, replaces it, or has a service ask another one.
 * Endpoints that serve do not go for that before somebody else has said what
 * there is: whoever that is may be slow, or down.
 */


typedef struct {
    ngx_array_t               *sources;
    uint64_t                   revision;     /* that was looked at */
    ngx_uint_t                 catalogs;     /* read by then */
    unsigned                   due:1;
    unsigned                   told:1;
} ngx_mesh_orphans_t;


static ngx_uint_t ngx_mesh_orphans_catalogs(void);
static ngx_uint_t ngx_mesh_orphans_stray(ngx_mesh_source_t *source,
    ngx_str_t *interface);
static ngx_uint_t ngx_mesh_orphans_pending(ngx_str_t *interface);


static ngx_mesh_orphans_t  ngx_mesh_orphans;


#define ngx_mesh_orphans_nsources()                                           \
    (ngx_mesh_orphans.sources ? ngx_mesh_orphans.sources->nelts : 0)

#define ngx_mesh_orphans_source(i)                                            \
    ((ngx_mesh_source_t *) ngx_mesh_orphans.sources->elts + (i))


void
ngx_mesh_orphans_due(void)
{
    ngx_mesh_orphans.due = 1;
    ngx_mesh_orphans.told = 0;
    ngx_mesh_orphans.revision = 0;
}


void
ngx_mesh_orphans_look(ngx_mesh_core_conf_t *ccf)
{
    uint64_t             revision;
    ngx_int_t            rc;
    ngx_uint_t           catalogs;
    ngx_mesh_orphans_t  *orphans;

    orphans = &ngx_mesh_orphans;

    if (!orphans->due) {
        return;
    }

    orphans->sources = ccf->sources;

    revision = ngx_mesh_store_revision(ngx_mesh_live());
    catalogs = ngx_mesh_orphans_catalogs();

    if (orphans->revision == revision && orphans->catalogs == catalogs) {
        return;
    }

    rc = ngx_mesh_reconcile_orphans(ccf, ngx_mesh_orphans_stray,
                                    ngx_mesh_orphans_pending);

    if (rc == NGX_AGAIN && !orphans->told) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh registry: what was said by registries that are "
                      "asked no more goes on serving until others have "
                      "answered");
        orphans->told = 1;
    }

    orphans->due = (rc != NGX_OK);

    if (rc != NGX_ERROR) {
        orphans->revision = revision;
        orphans->catalogs = catalogs;
    }
}


static ngx_uint_t
ngx_mesh_orphans_catalogs(void)
{
    ngx_uint_t  i, n;

    for (i = 0, n = 0; i < ngx_mesh_orphans_nsources(); i++) {
        n += ngx_mesh_orphans_source(i)->cataloged;
    }

    return n;
}


static ngx_uint_t
ngx_mesh_orphans_stray(ngx_mesh_source_t *source, ngx_str_t *interface)
{
    ngx_uint_t            stray;
    ngx_pool_t           *pool;
    ngx_mesh_interest_t   interest;

    if (ngx_mesh_discovery_find(source, interface)) {
        return 0;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return 0;
    }

    ngx_memzero(&interest, sizeof(ngx_mesh_interest_t));
    interest.name = *interface;

    stray = (ngx_mesh_interest_read(&interest, pool) == NGX_OK
             && !ngx_mesh_interest_allows(&interest, source));

    ngx_destroy_pool(pool);

    return stray;
}


/* whether somebody who is, or may be, asked about it has not answered yet */

static ngx_uint_t
ngx_mesh_orphans_pending(ngx_str_t *interface)
{
    ngx_uint_t                i, pending;
    ngx_pool_t               *pool;
    ngx_mesh_answer_t         answer;
    ngx_mesh_source_t        *source;
    ngx_mesh_subscription_t  *s;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return 1;
    }

    pending = 0;

    for (i = 0; i < ngx_mesh_orphans_nsources() && !pending; i++) {
        source = ngx_mesh_orphans_source(i);
        s = ngx_mesh_discovery_find(source, interface);

        if (s) {
            pending = (ngx_mesh_discovery_answer(s, pool, &answer) != NGX_OK
                       || !answer.known);

        } else {
            pending = (source->discovery == NGX_MESH_DISCOVERY_ALL
                       && !source->cataloged
                       && !ngx_mesh_orphans_stray(source, interface));
        }
    }

    ngx_destroy_pool(pool);

    return pending;
}
