
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_metadata_int.h"


/* what one call of entries() finds out */

typedef struct {
    ngx_mesh_metadata_app_t    *app;
    ngx_mesh_subscription_t    *s;
    ngx_pool_t                 *pool;
    cJSON                      *to;
    ngx_uint_t                  known;       /* instances */
    ngx_uint_t                  pending;
    ngx_uint_t                  before;      /* of these: as they were */
    ngx_uint_t                  late;        /* new ones, not known yet */
    ngx_uint_t                  lost;        /* ... and nobody hopes for */
    ngx_uint_t                  nowhere;     /* there is nobody to ask */
    ngx_uint_t                  others;      /* which are not of Dubbo 3 */
    ngx_uint_t                  offers;      /* known ones do so */
    ngx_uint_t                  foreign;     /* by another protocol alone */
    ngx_str_t                   error;       /* one of them, or empty */
} ngx_mesh_metadata_count_t;


static ngx_int_t ngx_mesh_metadata_one(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_instance_t *in);
static ngx_int_t ngx_mesh_metadata_offer(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_instance_t *in, ngx_array_t *services);
static ngx_int_t ngx_mesh_metadata_learn(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_instance_t *in, ngx_mesh_metadata_revision_t *r);
static void ngx_mesh_metadata_places(ngx_mesh_metadata_revision_t *r,
    ngx_mesh_metadata_instance_t *in);
static ngx_int_t ngx_mesh_metadata_result(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_wait_t *wait, ngx_mesh_update_t *update,
    ngx_str_t *reason);
static ngx_int_t ngx_mesh_metadata_remarks(ngx_mesh_metadata_count_t *count,
    ngx_mesh_update_t *update);
static ngx_str_t ngx_mesh_metadata_say(ngx_pool_t *pool, char *fmt, ...);
static void ngx_mesh_metadata_unmapped(ngx_mesh_metadata_count_t *count,
    ngx_mesh_update_t *update, ngx_str_t *text);


ngx_int_t
ngx_mesh_metadata_entries(ngx_mesh_metadata_wait_t *wait,
    ngx_mesh_subscription_t *s, ngx_str_t *app, cJSON *entries, cJSON *to,
    ngx_mesh_update_t *update, ngx_str_t *reason, ngx_pool_t *pool)
{
    cJSON                         *entry;
    ngx_int_t                      rc;
    ngx_mesh_metadata_count_t      count;
    ngx_mesh_metadata_instance_t   in;

    ngx_mesh_metadata_cancel(wait);
    ngx_str_null(reason);
    ngx_memzero(&count, sizeof(ngx_mesh_metadata_count_t));

    count.app = ngx_mesh_metadata_app(s->source, app);
    count.s = s;
    count.pool = pool;
    count.to = to;

    if (count.app == NULL) {
        return NGX_ERROR;
    }

    count.app->count++;

    cJSON_ArrayForEach(entry, entries) {

        rc = ngx_mesh_metadata_instance(entry, pool, &in);

        if (rc == NGX_OK) {
            rc = ngx_mesh_metadata_one(&count, &in);
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            count.others++;
        }
    }

    ngx_mesh_metadata_members(count.app);
    ngx_mesh_metadata_next();

    return ngx_mesh_metadata_result(&count, wait, update, reason);
}


static ngx_int_t
ngx_mesh_metadata_one(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_instance_t *in)
{
    ngx_mesh_metadata_revision_t  *r;

    if (in->revision.len == 0) {
        count->known++;
        return NGX_OK;
    }

    r = ngx_mesh_metadata_revision(count->app, &in->revision);
    if (r == NULL) {
        return NGX_ERROR;
    }

    /* who can be asked replaces those of the last answer */

    if (r->count != count->app->count) {
        r->count = count->app->count;
        r->nplaces = 0;
    }

    if (r->state != NGX_MESH_METADATA_KNOWN) {
        return ngx_mesh_metadata_learn(count, in, r);
    }

    count->known++;

    (void) ngx_mesh_metadata_member(count->app, &in->host, in->port, r);

    return ngx_mesh_metadata_offer(count, in, r->services);
}


static ngx_int_t
ngx_mesh_metadata_offer(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_instance_t *in, ngx_array_t *services)
{
    cJSON                        *entry;
    ngx_str_t                    *name;
    ngx_uint_t                    i, offers, foreign;
    ngx_mesh_metadata_service_t  *service;

    name = &count->s->sn.str;
    service = services->elts;
    offers = 0;
    foreign = 0;

    for (i = 0; i < services->nelts; i++) {

        if (service[i].path.len != name->len
            || ngx_memcmp(service[i].path.data, name->data, name->len) != 0)
        {
            continue;
        }

        if (ngx_mesh_metadata_foreign(&service[i])
            || (service[i].port == 0 && in->dubbo == 0))
        {
            foreign = 1;
            continue;
        }

        entry = ngx_mesh_metadata_entry(in, &service[i], count->pool);
        if (entry == NULL) {
            return NGX_ERROR;
        }

        (void) cJSON_AddItemToArray(count->to, entry);
        offers = 1;
    }

    count->offers += offers;
    count->foreign += (foreign && !offers);

    return NGX_OK;
}


/* the instance may be asked for its revision, and so it will */

static ngx_int_t
ngx_mesh_metadata_learn(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_instance_t *in, ngx_mesh_metadata_revision_t *r)
{
    ngx_mesh_metadata_revision_t  *old;

    if (r->places == NULL) {
        r->places = ngx_calloc(NGX_MESH_METADATA_PLACES
                               * sizeof(ngx_mesh_metadata_place_t),
                               ngx_cycle->log);
        if (r->places == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_mesh_metadata_places(r, in);

    if (r->nplaces) {
        ngx_mesh_metadata_want(r);

        if (r->error.len) {
            count->error = r->error;
        }

    } else if (in->remote) {
        ngx_str_set(&count->error, "its metadata is in a metadata centre, "
                    "it needs dubbo.application.metadata-type=local");

    } else if (count->error.len == 0) {
        ngx_str_set(&count->error, "it has no address that could be asked "
                    "for its metadata");
    }

    old = ngx_mesh_metadata_member(count->app, &in->host, in->port, NULL);

    if (old) {
        count->before++;
        count->known++;
        return ngx_mesh_metadata_offer(count, in, old->services);
    }

    if (r->nplaces == 0) {
        count->nowhere++;

    } else if (r->lost) {
        count->lost++;

    } else if (count->app->settled) {
        count->late++;

    } else {
        count->pending++;
    }

    return NGX_OK;
}


static void
ngx_mesh_metadata_places(ngx_mesh_metadata_revision_t *r,
    ngx_mesh_metadata_instance_t *in)
{
    ngx_uint_t  triple;

    triple = (in->asked.len == 3 && ngx_strncmp(in->asked.data, "tri", 3) == 0);

    if (in->asked_port && r->nplaces < NGX_MESH_METADATA_PLACES
        && ngx_mesh_metadata_place(&r->places[r->nplaces], &in->host,
                                   in->asked_port, triple)
           == NGX_OK)
    {
        r->nplaces++;
    }

    /* what is told is the newer kind of it: the older may be there, too */

    if (triple && in->dubbo && r->nplaces < NGX_MESH_METADATA_PLACES
        && ngx_mesh_metadata_place(&r->places[r->nplaces], &in->host,
                                   in->dubbo, 0)
           == NGX_OK)
    {
        r->nplaces++;
    }
}


static ngx_int_t
ngx_mesh_metadata_result(ngx_mesh_metadata_count_t *count,
    ngx_mesh_metadata_wait_t *wait, ngx_mesh_update_t *update,
    ngx_str_t *reason)
{
    ngx_str_t                 text;
    ngx_uint_t                missing;
    ngx_mesh_metadata_app_t  *app;

    app = count->app;
    missing = count->before + count->pending + count->late + count->lost
              + count->nowhere;

    if (missing > count->nowhere) {

        /* even what is lost may be found again */

        ngx_queue_insert_tail(&app->waits, &wait->queue);
        wait->waiting = 1;
        wait->due = 0;
    }

    if (missing && count->error.len) {
        text = ngx_mesh_metadata_say(count->pool,
                   "application-level: metadata of %ui instances of %V is not "
                   "known: %V", missing, &app->name, &count->error);
        if (text.data == NULL) {
            return NGX_ERROR;
        }

        *reason = text;
        ngx_mesh_metadata_unmapped(count, update, &text);
    }

    if (ngx_mesh_metadata_remarks(count, update) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what is not known is not taken for nothing */

    if (count->pending || (missing && count->known == 0)) {
        return NGX_AGAIN;
    }

    app->settled = 1;

    return NGX_OK;
}


/* why there may be less than the user thinks */

static ngx_int_t
ngx_mesh_metadata_remarks(ngx_mesh_metadata_count_t *count,
    ngx_mesh_update_t *update)
{
    ngx_str_t   text, *name;
    ngx_uint_t  all;

    name = &count->app->name;
    all = count->known + count->pending + count->late + count->lost
          + count->nowhere;

    if (count->foreign) {
        text = ngx_mesh_metadata_say(count->pool,
                   "application-level: %ui of %ui instances of %V offer it by "
                   "another protocol than dubbo", count->foreign, all, name);

    } else if (count->known && count->known == all && count->offers == 0) {
        text = ngx_mesh_metadata_say(count->pool,
                   "application-level: none of %ui instances of %V offers it",
                   all, name);

    } else if (all == 0 && count->others) {
        text = ngx_mesh_metadata_say(count->pool,
                   "application-level: none of %ui instances of %V is one of "
                   "Dubbo 3", count->others, name);

    } else {
        return NGX_OK;
    }

    if (text.data == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_metadata_unmapped(count, update, &text);

    return NGX_OK;
}


static ngx_str_t
ngx_mesh_metadata_say(ngx_pool_t *pool, char *fmt, ...)
{
    u_char     *p, buf[1000];
    va_list     args;
    ngx_str_t   s;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    s.data = buf;
    s.len = p - buf;
    s.data = ngx_pstrdup(pool, &s);

    return s;
}


static void
ngx_mesh_metadata_unmapped(ngx_mesh_metadata_count_t *count,
    ngx_mesh_update_t *update, ngx_str_t *text)
{
    if (update->unmapped.len) {
        *text = ngx_mesh_metadata_say(count->pool, "%V; %V",
                                      &update->unmapped, text);
    }

    if (text->data) {
        update->unmapped = *text;
    }
}
