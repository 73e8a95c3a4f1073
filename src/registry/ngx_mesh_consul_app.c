
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul.h"
#include "ngx_mesh_record.h"
#include "ngx_mesh_registry_int.h"


/*
 * An interface with "provided_by" has several answers: that of its own name,
 * for what is registered as Dubbo 2.7 does, and one of each application.  They
 * make a set when all are there, and so is the metadata of the applications.
 */


/* ms until the parts of what the guard holds are read again */
#define NGX_MESH_CONSUL_PARTS  500

/* ms until what had no memory is tried again */
#define NGX_MESH_CONSUL_SHORT  5000


static ngx_mesh_consul_app_t *ngx_mesh_consul_app(ngx_mesh_consul_t *consul,
    ngx_str_t *name);
static ngx_mesh_consul_app_t *ngx_mesh_consul_new_app(
    ngx_mesh_consul_t *consul, ngx_str_t *name);
static void ngx_mesh_consul_metadata(ngx_mesh_metadata_wait_t *wait);
static void ngx_mesh_consul_outside(ngx_mesh_consul_watch_t *w);
static ngx_uint_t ngx_mesh_consul_stale(ngx_mesh_consul_watch_t *w,
    ngx_msec_t *again);
static ngx_int_t ngx_mesh_consul_merge(ngx_mesh_consul_watch_t *w,
    cJSON *merged, ngx_pool_t *pool, ngx_mesh_update_t *update);
static ngx_int_t ngx_mesh_consul_records(ngx_mesh_consul_watch_t *w,
    cJSON *merged, ngx_pool_t *pool, ngx_mesh_update_t *update);


ngx_int_t
ngx_mesh_consul_provided(ngx_mesh_consul_watch_t *w)
{
    ngx_str_t               *name;
    ngx_uint_t               i;
    ngx_mesh_consul_app_t   *app;
    ngx_mesh_consul_link_t  *link;

    if (w->s->apps.nelts == 0) {
        return NGX_OK;
    }

    w->links = ngx_pcalloc(w->s->pool, w->s->apps.nelts
                                       * sizeof(ngx_mesh_consul_link_t));
    if (w->links == NULL) {
        return NGX_ERROR;
    }

    name = w->s->apps.elts;

    for (i = 0; i < w->s->apps.nelts; i++) {

        app = ngx_mesh_consul_app(w->consul, &name[i]);
        if (app == NULL) {
            return NGX_ERROR;
        }

        link = &w->links[w->nlinks++];

        link->app = app;
        link->watch = w;
        link->wait.handler = ngx_mesh_consul_metadata;
        link->wait.data = link;

        ngx_queue_insert_tail(&app->links, &link->queue);
    }

    return NGX_OK;
}


void
ngx_mesh_consul_abandon(ngx_mesh_consul_watch_t *w)
{
    ngx_uint_t              i;
    ngx_mesh_consul_app_t  *app;

    for (i = 0; i < w->nlinks; i++) {
        app = w->links[i].app;

        ngx_mesh_metadata_cancel(&w->links[i].wait);
        ngx_queue_remove(&w->links[i].queue);

        if (ngx_queue_empty(&app->links)) {
            ngx_mesh_consul_drop(app->watch);
            ngx_queue_remove(&app->queue);
            ngx_destroy_pool(app->pool);
        }
    }

    w->nlinks = 0;
}


static ngx_mesh_consul_app_t *
ngx_mesh_consul_app(ngx_mesh_consul_t *consul, ngx_str_t *name)
{
    ngx_queue_t            *q;
    ngx_mesh_consul_app_t  *app;

    for (q = ngx_queue_head(&consul->apps);
         q != ngx_queue_sentinel(&consul->apps);
         q = ngx_queue_next(q))
    {
        app = ngx_queue_data(q, ngx_mesh_consul_app_t, queue);

        if (app->name.len == name->len
            && ngx_memcmp(app->name.data, name->data, name->len) == 0)
        {
            return app;
        }
    }

    app = ngx_mesh_consul_new_app(consul, name);

    if (app) {
        ngx_queue_insert_tail(&consul->apps, &app->queue);
        ngx_mesh_consul_begin(app->watch);
    }

    return app;
}


static ngx_mesh_consul_app_t *
ngx_mesh_consul_new_app(ngx_mesh_consul_t *consul, ngx_str_t *name)
{
    ngx_pool_t             *pool;
    ngx_mesh_consul_app_t  *app;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    app = ngx_pcalloc(pool, sizeof(ngx_mesh_consul_app_t));
    if (app == NULL) {
        goto failed;
    }

    app->pool = pool;
    ngx_queue_init(&app->links);

    app->name.len = name->len;
    app->name.data = ngx_pstrdup(pool, name);
    if (app->name.data == NULL) {
        goto failed;
    }

    app->watch = ngx_mesh_consul_watch(consul, pool, "/v1/health/service/",
                                       &app->name);
    if (app->watch == NULL) {
        goto failed;
    }

    app->watch->app = app;

    return app;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


ngx_uint_t
ngx_mesh_consul_called(ngx_mesh_consul_watch_t *w)
{
    ngx_queue_t             *q;
    ngx_mesh_consul_link_t  *link;

    if (w->app == NULL) {
        return w->s == NULL || w->s->hot;
    }

    for (q = ngx_queue_head(&w->app->links);
         q != ngx_queue_sentinel(&w->app->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_consul_link_t, queue);

        if (link->watch->s->hot) {
            return 1;
        }
    }

    return 0;
}


void
ngx_mesh_consul_keep(ngx_mesh_consul_watch_t *w, cJSON *entries)
{
    cJSON_Delete(w->entries);
    w->entries = entries;
}


/* revisions are known by now, or are not for another reason */

static void
ngx_mesh_consul_metadata(ngx_mesh_metadata_wait_t *wait)
{
    ngx_mesh_consul_link_t  *link;

    link = wait->data;

    ngx_mesh_agent_busy();
    ngx_mesh_consul_outside(link->watch);
    ngx_mesh_agent_idle();
}


void
ngx_mesh_consul_shared(ngx_mesh_consul_app_t *app, ngx_uint_t changed)
{
    ngx_queue_t             *q, *next;
    ngx_mesh_consul_link_t  *link;

    for (q = ngx_queue_head(&app->links);
         q != ngx_queue_sentinel(&app->links);
         q = next)
    {
        next = ngx_queue_next(q);
        link = ngx_queue_data(q, ngx_mesh_consul_link_t, queue);

        if (changed || !link->watch->settled) {
            ngx_mesh_consul_outside(link->watch);
        }
    }
}


/* not because of an answer for the interface itself */

static void
ngx_mesh_consul_outside(ngx_mesh_consul_watch_t *w)
{
    ngx_int_t   rc;
    ngx_msec_t  again;

    rc = ngx_mesh_consul_combine(w, &again);

    ngx_mesh_consul_settle(w, rc, again);

    if (rc == NGX_ERROR) {
        again = NGX_MESH_CONSUL_SHORT;

    } else if (rc != NGX_AGAIN) {
        return;
    }

    /* its own next answer leads back to here */

    if (w->busy) {

        if (!w->blocking) {
            return;
        }

        ngx_mesh_consul_cancel(w);
    }

    w->plain = 1;
    ngx_mesh_consul_later(w, ngx_max(again, 100));
}


ngx_int_t
ngx_mesh_consul_combine(ngx_mesh_consul_watch_t *w, ngx_msec_t *again)
{
    cJSON              *merged;
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_pool_t         *pool;
    ngx_mesh_update_t   update;

    *again = 0;

    if (w->entries == NULL) {
        return NGX_BUSY;
    }

    for (i = 0; i < w->nlinks; i++) {
        if (w->links[i].app->watch->entries == NULL) {
            return NGX_BUSY;
        }
    }

    if (w->guarded && ngx_mesh_consul_stale(w, again)) {
        return NGX_AGAIN;
    }

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    merged = cJSON_CreateArray();
    ngx_memzero(&update, sizeof(ngx_mesh_update_t));

    rc = merged ? ngx_mesh_consul_merge(w, merged, pool, &update) : NGX_ERROR;

    if (rc == NGX_OK) {
        rc = ngx_mesh_consul_records(w, merged, pool, &update);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_reconcile(w->s, &update, again);

    } else if (rc == NGX_DECLINED) {
        update.what = NGX_MESH_UPDATE_UNKNOWN;

        (void) ngx_mesh_reconcile(w->s, &update, again);
        rc = NGX_BUSY;
    }

    cJSON_Delete(merged);
    ngx_destroy_pool(pool);

    return rc;
}


/* what the guard holds is not confirmed by parts that were not read since */

static ngx_uint_t
ngx_mesh_consul_stale(ngx_mesh_consul_watch_t *w, ngx_msec_t *again)
{
    ngx_uint_t                i, stale;
    ngx_msec_int_t            rest;
    ngx_mesh_consul_watch_t  *part;

    stale = 0;

    if ((ngx_msec_int_t) (w->read - w->since) <= 0) {
        rest = (ngx_msec_int_t) (w->recheck - ngx_current_msec);
        *again = ngx_max(rest, 100);
        stale = 1;

    } else {
        *again = NGX_MESH_CONSUL_PARTS;
    }

    for (i = 0; !stale && i < w->nlinks; i++) {
        part = w->links[i].app->watch;

        if ((ngx_msec_int_t) (part->read - w->since) > 0) {
            continue;
        }

        stale = 1;

        if (part->failing || (part->busy && !part->blocking)) {
            continue;
        }

        ngx_mesh_consul_cancel(part);

        part->plain = 1;
        part->sure = 1;
        ngx_mesh_consul_later(part, 1);
    }

    return stale;
}


/* NGX_BUSY: metadata is asked for; NGX_DECLINED: it cannot be had, which is the
   reason of the update */

static ngx_int_t
ngx_mesh_consul_merge(ngx_mesh_consul_watch_t *w, cJSON *merged,
    ngx_pool_t *pool, ngx_mesh_update_t *update)
{
    cJSON                   *entry;
    ngx_int_t                rc, result;
    ngx_str_t                reason;
    ngx_uint_t               i;
    ngx_mesh_consul_link_t  *link;

    result = NGX_OK;

    cJSON_ArrayForEach(entry, w->entries) {
        (void) cJSON_AddItemReferenceToArray(merged, entry);
    }

    for (i = 0; i < w->nlinks; i++) {
        link = &w->links[i];

        rc = ngx_mesh_metadata_entries(&link->wait, w->s, &link->app->name,
                                       link->app->watch->entries, merged,
                                       update, &reason, pool);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            continue;
        }

        if (reason.len) {
            update->reason = reason;
            result = NGX_DECLINED;

        } else if (result == NGX_OK) {
            result = NGX_BUSY;
        }
    }

    return result;
}


static ngx_int_t
ngx_mesh_consul_records(ngx_mesh_consul_watch_t *w, cJSON *merged,
    ngx_pool_t *pool, ngx_mesh_update_t *update)
{
    char       *why;
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   told;

    why = "";
    told = update->unmapped;

    update->what = NGX_MESH_UPDATE_SET;
    update->independent = (w->guarded && w->asked != w->accused);

    update->records = ngx_array_create(pool, 16, sizeof(ngx_mesh_record_t));
    if (update->records == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_record_consul(w->s, merged, pool, update->records, update,
                                &why);

    if (rc == NGX_DECLINED) {
        update->reason.data = (u_char *) why;
        update->reason.len = ngx_strlen(why);
    }

    if (rc != NGX_OK || told.len == 0) {
        return rc;
    }

    if (update->unmapped.len == 0) {
        update->unmapped = told;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, told.len + 2 + update->unmapped.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    told.len = ngx_sprintf(p, "%V; %V", &told, &update->unmapped) - p;
    told.data = p;
    update->unmapped = told;

    return NGX_OK;
}


void
ngx_mesh_consul_tell(ngx_mesh_consul_watch_t *w, ngx_str_t *reason)
{
    ngx_msec_t               again;
    ngx_queue_t             *q;
    ngx_mesh_update_t        update;
    ngx_mesh_consul_link_t  *link;

    ngx_memzero(&update, sizeof(ngx_mesh_update_t));
    update.what = NGX_MESH_UPDATE_UNKNOWN;
    update.reason = *reason;

    if (w->s) {
        (void) ngx_mesh_reconcile(w->s, &update, &again);
    }

    if (w->app == NULL) {
        return;
    }

    for (q = ngx_queue_head(&w->app->links);
         q != ngx_queue_sentinel(&w->app->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_consul_link_t, queue);

        (void) ngx_mesh_reconcile(link->watch->s, &update, &again);
    }
}
