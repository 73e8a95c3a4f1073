
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"
#include "ngx_mesh_record.h"
#include "ngx_mesh_reconcile.h"


static void ngx_mesh_redis_apply_failed(ngx_mesh_redis_sub_t *sub,
    ngx_mesh_update_t *update);
static ngx_int_t ngx_mesh_redis_records(ngx_mesh_redis_sub_t *sub,
    ngx_array_t *records, ngx_mesh_update_t *update);
static uint32_t ngx_mesh_redis_sum(ngx_mesh_redis_sub_t *sub);
static ngx_int_t ngx_mesh_redis_notes(ngx_mesh_redis_sub_t *sub,
    ngx_str_t *unsupported);
static void ngx_mesh_redis_commit(ngx_mesh_redis_sub_t *sub,
    ngx_mesh_update_t *update);
static ngx_int_t ngx_mesh_redis_compare(ngx_mesh_redis_sub_t *sub,
    ngx_uint_t *missing);
static ngx_int_t ngx_mesh_redis_addresses(ngx_mesh_redis_sub_t *sub,
    ngx_array_t *addresses);
static int ngx_libc_cdecl ngx_mesh_redis_order(const void *one,
    const void *two);
static ngx_int_t ngx_mesh_redis_text(struct sockaddr *sockaddr,
    socklen_t socklen, ngx_pool_t *pool, ngx_str_t *text);


/* a read is complete */

void
ngx_mesh_redis_apply(ngx_mesh_redis_sub_t *sub)
{
    ngx_uint_t                missing, flags, hold;
    ngx_mesh_redis_t         *redis;
    ngx_mesh_update_t         update;
    ngx_mesh_subscription_t  *s;

    redis = sub->redis;
    s = sub->subscription;

    ngx_memzero(&update, sizeof(ngx_mesh_update_t));

    if (sub->failed.len) {
        ngx_mesh_redis_apply_failed(sub, &update);
        return;
    }

    if (!redis->good) {
        redis->good = 1;
        ngx_mesh_source_state(redis->source, NGX_MESH_SOURCE_OK, redis->addr,
                              NULL);
    }

    sub->warned = 0;

    if (redis->doubtful
        && (ngx_msec_int_t) (ngx_current_msec - redis->doubt) >= 0)
    {
        redis->doubtful = 0;
    }

    flags = (sub->fresh ? NGX_MESH_REDIS_FRESH : 0)
            | (redis->doubtful ? NGX_MESH_REDIS_DOUBT : 0);

    ngx_mesh_redis_view_end(&sub->view);

    hold = ngx_mesh_redis_view_hold(&sub->view, sub->gone, flags);
    missing = 0;

    if (!sub->compared && ngx_mesh_redis_compare(sub, &missing) != NGX_OK) {
        update.what = NGX_MESH_UPDATE_UNKNOWN;
        ngx_str_set(&update.reason, "no memory");
        ngx_mesh_redis_commit(sub, &update);
        return;
    }

    ngx_mesh_redis_view_settle(&sub->view, s->forced ? 0 : hold);

    /* a message may come after the read that its cause was seen by, so each
       is good for one provider; once all is settled none is left over */

    sub->gone -= ngx_min(sub->gone, sub->view.dropped);

    if (sub->view.holding == 0 && !sub->going) {
        sub->gone = 0;
    }

    if (missing && redis->doubtful && !s->forced) {
        update.what = NGX_MESH_UPDATE_UNKNOWN;
        ngx_str_set(&update.reason, "the server was started a moment ago");

    } else {
        sub->compared = 1;
        update.what = NGX_MESH_UPDATE_SET;
    }

    ngx_mesh_redis_commit(sub, &update);
}


/* where nothing can be read it is the registry that fails */

static void
ngx_mesh_redis_apply_failed(ngx_mesh_redis_sub_t *sub,
    ngx_mesh_update_t *update)
{
    ngx_mesh_redis_t  *redis;

    redis = sub->redis;

    if (!redis->good) {
        ngx_mesh_source_state(redis->source, NGX_MESH_SOURCE_ERROR,
                              redis->addr, &sub->failed);
    }

    if (!sub->warned) {
        sub->warned = 1;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh registry \"%V\": \"%V\" cannot be read: %V",
                      &redis->source->name, &sub->subscription->sn.str,
                      &sub->failed);
    }

    update->what = NGX_MESH_UPDATE_UNKNOWN;
    update->reason = sub->failed;

    ngx_mesh_redis_commit(sub, update);
}


static void
ngx_mesh_redis_commit(ngx_mesh_redis_sub_t *sub, ngx_mesh_update_t *update)
{
    uint32_t                  sum;
    ngx_int_t                 rc;
    ngx_msec_t                again;
    ngx_array_t               records;
    ngx_mesh_redis_t         *redis;
    ngx_mesh_subscription_t  *s;

    redis = sub->redis;
    s = sub->subscription;
    sum = 0;

    if (update->what == NGX_MESH_UPDATE_SET) {
        sum = ngx_mesh_redis_sum(sub);

        if (sub->applied && !sub->view.changed && sub->view.suspects == 0
            && sum == sub->sum && sub->addr == redis->addr && !s->forced)
        {
            update->what = NGX_MESH_UPDATE_SAME;
        }
    }

    if (update->what == NGX_MESH_UPDATE_SET
        && ngx_mesh_redis_records(sub, &records, update) != NGX_OK)
    {
        update->what = NGX_MESH_UPDATE_UNKNOWN;
        ngx_str_set(&update->reason, "no memory");
    }

    update->forced = s->forced;
    again = 0;

    rc = ngx_mesh_reconcile(s, update, &again);

    sub->again = 0;

    if (rc == NGX_AGAIN) {
        sub->again = ngx_max(again, 1);
    }

    if (update->what == NGX_MESH_UPDATE_SET) {
        sub->applied = (rc == NGX_OK);
        sub->sum = sum;
        sub->addr = redis->addr;

    } else if (update->what == NGX_MESH_UPDATE_UNKNOWN) {
        sub->applied = 0;
    }
}


static ngx_int_t
ngx_mesh_redis_records(ngx_mesh_redis_sub_t *sub, ngx_array_t *records,
    ngx_mesh_update_t *update)
{
    char                    *why, *last;
    ngx_int_t                rc;
    ngx_mesh_record_t       *record, r;
    ngx_mesh_redis_field_t  *f;

    if (ngx_array_init(records, sub->pool, sub->view.used + 1,
                       sizeof(ngx_mesh_record_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = NULL;

    for (f = ngx_mesh_redis_view_next(&sub->view, NULL);
         f;
         f = ngx_mesh_redis_view_next(&sub->view, f))
    {
        if (!f->used) {
            continue;
        }

        ngx_memzero(&r, sizeof(ngx_mesh_record_t));

        rc = ngx_mesh_record_dubbo(&f->sn.str, &sub->subscription->sn.str,
                                   sub->pool, &r, &why);

        if (rc == NGX_DECLINED) {
            last = why;
            continue;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        r.ep.suspect = f->suspect;

        record = ngx_array_push(records);
        if (record == NULL) {
            return NGX_ERROR;
        }

        *record = r;
    }

    if (records->nelts == 0 && last) {
        update->unmapped.data = (u_char *) last;
        update->unmapped.len = ngx_strlen(last);
    }

    if (ngx_mesh_record_configure(&sub->rules, records, sub->pool,
                                  &update->unsupported)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    update->records = records;
    update->independent = (sub->addr && sub->addr != sub->redis->addr);

    return ngx_mesh_redis_notes(sub, &update->unsupported);
}


/* rules that were applied, in whatever order the server has them */

static uint32_t
ngx_mesh_redis_sum(ngx_mesh_redis_sub_t *sub)
{
    uint32_t     sum;
    ngx_str_t   *rule;
    ngx_uint_t   i;

    rule = sub->rules.elts;
    sum = ngx_crc32_long(sub->routers.data, sub->routers.len);

    for (i = 0; i < sub->rules.nelts; i++) {
        sum += ngx_crc32_long(rule[i].data, rule[i].len) * 31 + 1;
    }

    return sum;
}


static ngx_int_t
ngx_mesh_redis_notes(ngx_mesh_redis_sub_t *sub, ngx_str_t *unsupported)
{
    u_char  *p;

    if (sub->routers.len == 0) {
        return NGX_OK;
    }

    if (unsupported->len == 0) {
        *unsupported = sub->routers;
        return NGX_OK;
    }

    p = ngx_pnalloc(sub->pool, unsupported->len + 2 + sub->routers.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    unsupported->len = ngx_sprintf(p, "%V, %V", unsupported, &sub->routers)
                       - p;
    unsupported->data = p;

    return NGX_OK;
}


/*
 * The first read of this agent, which knows nothing yet: the table tells who
 * was alive for the one before.  Counts who is missing in what was read.
 */

static ngx_int_t
ngx_mesh_redis_compare(ngx_mesh_redis_sub_t *sub, ngx_uint_t *missing)
{
    char                    *why;
    ngx_int_t                rc;
    ngx_str_t                text, *found;
    ngx_uint_t               left;
    ngx_array_t              addresses;
    ngx_mesh_record_t        r;
    ngx_mesh_redis_field_t  *f;

    if (ngx_mesh_redis_addresses(sub, &addresses) != NGX_OK) {
        return NGX_ERROR;
    }

    left = addresses.nelts;

    for (f = ngx_mesh_redis_view_next(&sub->view, NULL);
         f && addresses.nelts;
         f = ngx_mesh_redis_view_next(&sub->view, f))
    {
        ngx_memzero(&r, sizeof(ngx_mesh_record_t));

        rc = ngx_mesh_record_dubbo(&f->sn.str, &sub->subscription->sn.str,
                                   sub->pool, &r, &why);

        if (rc == NGX_DECLINED || (rc == NGX_OK && r.ep.sockaddr == NULL)) {
            continue;
        }

        if (rc != NGX_OK
            || ngx_mesh_redis_text(r.ep.sockaddr, r.ep.socklen, sub->pool,
                                   &text)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        found = bsearch(&text, addresses.elts, addresses.nelts,
                        sizeof(ngx_str_t), ngx_mesh_redis_order);

        if (found) {
            f->known = 1;
            left -= (left != 0);

        } else if (f->far) {

            /* the one before may have seen that it is dead */

            f->doubtful = 1;
        }
    }

    *missing = left;

    return NGX_OK;
}


/* those of the table, in order, whether it has their services or not */

static ngx_int_t
ngx_mesh_redis_addresses(ngx_mesh_redis_sub_t *sub, ngx_array_t *addresses)
{
    ngx_int_t               rc;
    ngx_str_t              *text;
    ngx_uint_t              i;
    ngx_mesh_plan_t         plan;
    ngx_mesh_endpoint_t     ep;
    ngx_mesh_store_item_t  *item;

    ngx_memzero(&plan, sizeof(ngx_mesh_plan_t));
    plan.pool = sub->pool;

    if (ngx_array_init(addresses, sub->pool, 16, sizeof(ngx_str_t)) != NGX_OK
        || ngx_mesh_plan_read(&plan, ngx_mesh_live(),
                              &sub->subscription->sn.str,
                              &sub->redis->source->name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = plan.endpoints.elts;

    for (i = 0; i < plan.endpoints.nelts; i++) {

        rc = ngx_mesh_item_endpoint_read(&item[i], &ep, sub->pool);

        if (rc == NGX_OK) {
            rc = ngx_mesh_item_address(&ep, sub->pool);
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc != NGX_OK
            || !ngx_mesh_equal(&ep.owner, &sub->redis->source->name))
        {
            continue;
        }

        text = ngx_array_push(addresses);

        if (text == NULL
            || ngx_mesh_redis_text(ep.sockaddr, ep.socklen, sub->pool, text)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_qsort(addresses->elts, addresses->nelts, sizeof(ngx_str_t),
              ngx_mesh_redis_order);

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_redis_order(const void *one, const void *two)
{
    const ngx_str_t  *a, *b;

    a = one;
    b = two;

    return (int) ngx_mesh_compare(a, b);
}


static ngx_int_t
ngx_mesh_redis_text(struct sockaddr *sockaddr, socklen_t socklen,
    ngx_pool_t *pool, ngx_str_t *text)
{
    text->data = ngx_pnalloc(pool, NGX_SOCKADDR_STRLEN);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = ngx_sock_ntop(sockaddr, socklen, text->data,
                              NGX_SOCKADDR_STRLEN, 1);

    return NGX_OK;
}
