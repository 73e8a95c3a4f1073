
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"


/*
 * discovery=all: interfaces that have a hash of providers.  SCAN may miss or
 * repeat what changes meanwhile, and finds nothing in a server that was
 * emptied; so what is still used stays in the catalog, reads decide over it.
 */


#define NGX_MESH_REDIS_COUNT  "1000"

/* ms between two scans that messages ask for */
#define NGX_MESH_REDIS_SCAN   1000


static ngx_int_t ngx_mesh_redis_scan_send(ngx_mesh_redis_t *redis,
    ngx_str_t *cursor);
static void ngx_mesh_redis_scan_reply(void *data, ngx_mesh_reply_t *reply);
static ngx_int_t ngx_mesh_redis_scan_add(ngx_mesh_redis_t *redis,
    ngx_str_t *key);
static void ngx_mesh_redis_scan_done(ngx_mesh_redis_t *redis);
static ngx_int_t ngx_mesh_redis_scan_keep(ngx_mesh_redis_t *redis);


static ngx_str_t  ngx_mesh_redis_suffix = ngx_string("/providers");


void
ngx_mesh_redis_scan(ngx_mesh_redis_t *redis)
{
    static ngx_str_t  zero = ngx_string("0");

    if (redis->source->discovery != NGX_MESH_DISCOVERY_ALL
        || redis->state != NGX_MESH_REDIS_UP)
    {
        return;
    }

    if (redis->names_pool) {
        redis->rescan = 1;
        return;
    }

    if (redis->scan.timer_set) {
        ngx_del_timer(&redis->scan);
    }

    redis->rescan = 0;
    redis->scanned = ngx_current_msec;
    redis->names_pool = ngx_create_pool(16384, ngx_cycle->log);

    if (redis->names_pool == NULL
        || ngx_array_init(&redis->names, redis->names_pool, 64,
                          sizeof(ngx_str_t))
           != NGX_OK
        || ngx_mesh_redis_scan_send(redis, &zero) != NGX_OK)
    {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
}


void
ngx_mesh_redis_scan_handler(ngx_event_t *ev)
{
    ngx_mesh_redis_scan(ev->data);
}


void
ngx_mesh_redis_scan_stop(ngx_mesh_redis_t *redis)
{
    if (redis->scan.timer_set) {
        ngx_del_timer(&redis->scan);
    }

    if (redis->names_pool) {
        ngx_destroy_pool(redis->names_pool);
        redis->names_pool = NULL;
    }
}


void
ngx_mesh_redis_scan_hint(ngx_mesh_redis_t *redis, ngx_str_t *channel)
{
    ngx_msec_int_t  ms;

    if (redis->source->discovery != NGX_MESH_DISCOVERY_ALL
        || channel->len <= ngx_mesh_redis_suffix.len
        || ngx_memcmp(channel->data + channel->len - ngx_mesh_redis_suffix.len,
                      ngx_mesh_redis_suffix.data, ngx_mesh_redis_suffix.len)
           != 0)
    {
        return;
    }

    ms = (ngx_msec_int_t) (redis->scanned + NGX_MESH_REDIS_SCAN
                           - ngx_current_msec);

    if (ms <= 0 || redis->names_pool) {
        ngx_mesh_redis_scan(redis);
        return;
    }

    if (redis->scan.timer_set) {
        ngx_del_timer(&redis->scan);
    }

    ngx_add_timer(&redis->scan, ms);
}


static ngx_int_t
ngx_mesh_redis_scan_send(ngx_mesh_redis_t *redis, ngx_str_t *cursor)
{
    ngx_str_t  args[6];

    ngx_str_set(&args[0], "SCAN");
    args[1] = *cursor;
    ngx_str_set(&args[2], "MATCH");

    args[3].data = ngx_pnalloc(redis->names_pool, redis->conf->root.len + 1
                                                  + ngx_mesh_redis_suffix.len);
    if (args[3].data == NULL) {
        return NGX_ERROR;
    }

    args[3].len = ngx_sprintf(args[3].data, "%V*%V", &redis->conf->root,
                              &ngx_mesh_redis_suffix)
                  - args[3].data;

    ngx_str_set(&args[4], "COUNT");
    ngx_str_set(&args[5], NGX_MESH_REDIS_COUNT);

    return ngx_mesh_resp_send(&redis->command, args, 6, 1,
                              ngx_mesh_redis_scan_reply, redis);
}


static void
ngx_mesh_redis_scan_reply(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    ngx_int_t          rc;
    ngx_str_t         *cursor;
    ngx_uint_t         i;
    ngx_mesh_reply_t  *keys;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mesh_redis_refused(redis, "SCAN", &reply->str);
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->nelements != 2
        || reply->elements[0]->type != REDIS_REPLY_STRING
        || reply->elements[1]->type != REDIS_REPLY_ARRAY)
    {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER,
                            "a strange reply to SCAN");
        return;
    }

    cursor = &reply->elements[0]->str;
    keys = reply->elements[1];
    rc = NGX_OK;

    for (i = 0; i < keys->nelements && rc == NGX_OK; i++) {
        rc = ngx_mesh_redis_scan_add(redis, &keys->elements[i]->str);
    }

    if (rc == NGX_OK && (cursor->len != 1 || cursor->data[0] != '0')) {
        rc = ngx_mesh_redis_scan_send(redis, cursor);

        if (rc == NGX_OK) {
            return;
        }
    }

    if (rc != NGX_OK) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
        return;
    }

    ngx_mesh_redis_scan_done(redis);
}


static ngx_int_t
ngx_mesh_redis_scan_add(ngx_mesh_redis_t *redis, ngx_str_t *key)
{
    size_t      rest;
    ngx_str_t  *name, s;

    rest = redis->conf->root.len + ngx_mesh_redis_suffix.len;

    /* never more than a catalog may have, with some room for names twice */

    if (key->len <= rest
        || redis->names.nelts >= 4 * redis->source->max_services + 1000)
    {
        return NGX_OK;
    }

    s.data = key->data + redis->conf->root.len;
    s.len = key->len - rest;

    name = ngx_array_push(&redis->names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    name->len = s.len;
    name->data = ngx_pstrdup(redis->names_pool, &s);

    return name->data ? NGX_OK : NGX_ERROR;
}


static void
ngx_mesh_redis_scan_done(ngx_mesh_redis_t *redis)
{
    ngx_msec_t   ms;
    ngx_pool_t  *pool;

    if (ngx_mesh_redis_scan_keep(redis) != NGX_OK) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
        return;
    }

    pool = redis->names_pool;
    redis->names_pool = NULL;

    ngx_mesh_discovery_catalog(redis->source, &redis->names);

    ngx_destroy_pool(pool);

    if (redis->state != NGX_MESH_REDIS_UP) {
        return;
    }

    ngx_mesh_source_watched(redis->source, redis->source->nsubscriptions,
                            2 + (redis->sentinel.reader != NULL));

    ms = redis->conf->refresh / 4;
    ms = 3 * ms + ngx_random() % (2 * ms + 1);

    ngx_add_timer(&redis->scan, redis->rescan ? NGX_MESH_REDIS_SCAN : ms);
}


static ngx_int_t
ngx_mesh_redis_scan_keep(ngx_mesh_redis_t *redis)
{
    ngx_str_t             *name;
    ngx_queue_t           *q;
    ngx_mesh_redis_sub_t  *sub;

    for (q = ngx_queue_head(&redis->subs);
         q != ngx_queue_sentinel(&redis->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, queue);

        if (sub->view.used == 0 && sub->compared) {
            continue;
        }

        name = ngx_array_push(&redis->names);
        if (name == NULL) {
            return NGX_ERROR;
        }

        *name = sub->subscription->sn.str;
    }

    return NGX_OK;
}
