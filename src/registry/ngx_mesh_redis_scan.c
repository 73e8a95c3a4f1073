
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

/* replies to a scan of one after another, ms between later ones, and how many
   are too many: a cursor may have no end */
#define NGX_MESH_REDIS_RUN    1000
#define NGX_MESH_REDIS_PACE   10
#define NGX_MESH_REDIS_END    200000


static ngx_int_t ngx_mesh_redis_scan_send(ngx_mesh_redis_t *redis);
static ngx_int_t ngx_mesh_redis_scan_next(ngx_mesh_redis_t *redis,
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
    redis->steps = 0;
    redis->cursor.data = redis->digits;
    redis->cursor.len = 1;
    redis->digits[0] = '0';
    redis->names_pool = ngx_create_pool(16384, ngx_cycle->log);

    if (redis->names_pool == NULL
        || ngx_array_init(&redis->names, redis->names_pool, 64,
                          sizeof(ngx_str_t))
           != NGX_OK
        || ngx_mesh_redis_scan_send(redis) != NGX_OK)
    {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
}


void
ngx_mesh_redis_scan_handler(ngx_event_t *ev)
{
    ngx_mesh_redis_t  *redis;

    redis = ev->data;

    if (redis->names_pool == NULL) {
        ngx_mesh_redis_scan(redis);
        return;
    }

    if (ngx_mesh_redis_scan_send(redis) != NGX_OK) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
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
ngx_mesh_redis_scan_send(ngx_mesh_redis_t *redis)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   args[6];

    p = ngx_alloc(redis->conf->root.len + 1 + ngx_mesh_redis_suffix.len,
                  ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&args[0], "SCAN");
    args[1] = redis->cursor;
    ngx_str_set(&args[2], "MATCH");
    args[3].data = p;
    args[3].len = ngx_sprintf(p, "%V*%V", &redis->conf->root,
                              &ngx_mesh_redis_suffix)
                  - p;
    ngx_str_set(&args[4], "COUNT");
    ngx_str_set(&args[5], NGX_MESH_REDIS_COUNT);

    rc = ngx_mesh_resp_send(&redis->command, args, 6, 1,
                            ngx_mesh_redis_scan_reply, redis);
    ngx_free(p);

    return rc;
}


/* NGX_DECLINED: that was all; NGX_ABORT: it is no cursor, or has no end */

static ngx_int_t
ngx_mesh_redis_scan_next(ngx_mesh_redis_t *redis, ngx_str_t *cursor)
{
    size_t  i;

    if (cursor->len == 1 && cursor->data[0] == '0') {
        return NGX_DECLINED;
    }

    if (cursor->len == 0 || cursor->len > sizeof(redis->digits)
        || ++redis->steps > NGX_MESH_REDIS_END)
    {
        return NGX_ABORT;
    }

    for (i = 0; i < cursor->len; i++) {
        if (cursor->data[i] < '0' || cursor->data[i] > '9') {
            return NGX_ABORT;
        }

        redis->digits[i] = cursor->data[i];
    }

    redis->cursor.len = cursor->len;

    if (redis->steps < NGX_MESH_REDIS_RUN) {
        return ngx_mesh_redis_scan_send(redis);
    }

    ngx_add_timer(&redis->scan, NGX_MESH_REDIS_PACE);

    return NGX_OK;
}


static void
ngx_mesh_redis_scan_reply(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    ngx_int_t          rc;
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

    keys = reply->elements[1];
    rc = NGX_OK;

    for (i = 0; i < keys->nelements && rc == NGX_OK; i++) {
        rc = ngx_mesh_redis_scan_add(redis, &keys->elements[i]->str);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_redis_scan_next(redis, &reply->elements[0]->str);
    }

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_mesh_redis_scan_done(redis);
        break;

    case NGX_ABORT:
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER,
                            "SCAN comes to no end");
        break;

    default: /* NGX_ERROR */
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
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
