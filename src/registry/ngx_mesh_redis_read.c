
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"
#include "ngx_mesh_registry_int.h"


/* reads at a time: a server has others to answer, too */
#define NGX_MESH_REDIS_READS  16


static void ngx_mesh_redis_read_start(ngx_mesh_redis_sub_t *sub);
static ngx_int_t ngx_mesh_redis_read_send(ngx_mesh_redis_sub_t *sub);
static void ngx_mesh_redis_routers_handler(void *data,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_rules_handler(void *data, ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_providers_handler(void *data,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_step_handler(void *data, ngx_mesh_reply_t *reply);
static ngx_uint_t ngx_mesh_redis_hash(ngx_mesh_redis_sub_t *sub,
    ngx_mesh_reply_t *reply, ngx_uint_t category);
static void ngx_mesh_redis_read_failed(ngx_mesh_redis_sub_t *sub,
    ngx_str_t *reason);
static void ngx_mesh_redis_read_step(ngx_mesh_redis_sub_t *sub);
static void ngx_mesh_redis_read_later(ngx_mesh_redis_sub_t *sub);


void
ngx_mesh_redis_read(ngx_mesh_redis_sub_t *sub)
{
    ngx_mesh_redis_t  *redis;

    redis = sub->redis;

    if (redis->state != NGX_MESH_REDIS_UP || !sub->acked || sub->queued) {
        return;
    }

    if (sub->pool) {
        sub->hinted = 1;
        return;
    }

    if (redis->reading < NGX_MESH_REDIS_READS) {
        ngx_mesh_redis_read_start(sub);
        return;
    }

    sub->queued = 1;
    ngx_queue_insert_tail(&redis->ready, &sub->ready);
}


void
ngx_mesh_redis_read_handler(ngx_event_t *ev)
{
    ngx_mesh_redis_read(ev->data);
}


/* the first one is followed at once, and those that come soon after it by one
   read */

void
ngx_mesh_redis_hint(ngx_mesh_redis_sub_t *sub, ngx_uint_t category,
    ngx_str_t *message)
{
    ngx_msec_int_t  ms;

    if (category == NGX_MESH_REDIS_PROVIDERS && message->len == 10
        && ngx_strncmp(message->data, "unregister", 10) == 0)
    {
        sub->gone++;
        sub->going = 1;
    }

    if (sub->pool || sub->queued) {
        sub->hinted = 1;
        return;
    }

    ms = (ngx_msec_int_t) (sub->started
                           + ngx_mesh_redis_server_pause(sub->took)
                           - ngx_current_msec);

    if (ms <= 0 || sub->started == 0) {
        ngx_mesh_redis_read(sub);
        return;
    }

    if (sub->timer.timer_set
        && (ngx_msec_int_t) (sub->timer.timer.key - ngx_current_msec) <= ms)
    {
        return;
    }

    if (sub->timer.timer_set) {
        ngx_del_timer(&sub->timer);
    }

    ngx_add_timer(&sub->timer, ms);
}


static void
ngx_mesh_redis_read_start(ngx_mesh_redis_sub_t *sub)
{
    ngx_mesh_redis_t  *redis;

    redis = sub->redis;

    if (sub->timer.timer_set) {
        ngx_del_timer(&sub->timer);
    }

    sub->pool = ngx_create_pool(4096, ngx_cycle->log);

    if (sub->pool == NULL) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
        return;
    }

    redis->reading++;

    ngx_str_null(&sub->failed);
    ngx_str_null(&sub->routers);

    sub->started = ngx_current_msec;
    sub->hinted = 0;
    sub->going = 0;

    if (ngx_array_init(&sub->rules, sub->pool, 4, sizeof(ngx_str_t)) != NGX_OK
        || ngx_mesh_redis_read_send(sub) != NGX_OK)
    {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
}


/* providers come last: what else there is, is there then */

static ngx_int_t
ngx_mesh_redis_read_send(ngx_mesh_redis_sub_t *sub)
{
    ngx_int_t         rc;
    ngx_str_t         args[2];
    ngx_mesh_resp_t  *resp;

    resp = &sub->redis->command;

    ngx_str_set(&args[0], "HGETALL");

    args[1] = sub->keys[NGX_MESH_REDIS_ROUTERS];
    rc = ngx_mesh_resp_send(resp, args, 2, 1, ngx_mesh_redis_routers_handler,
                            sub);

    args[1] = sub->keys[NGX_MESH_REDIS_CONFIGURATORS];
    rc |= ngx_mesh_resp_send(resp, args, 2, 1, ngx_mesh_redis_rules_handler,
                             sub);

    args[1] = sub->keys[NGX_MESH_REDIS_PROVIDERS];
    rc |= ngx_mesh_resp_send(resp, args, 2, 1,
                             ngx_mesh_redis_providers_handler, sub);

    sub->left = 3;

    if (sub->redis->server.role == NGX_MESH_REDIS_ROLE_REPLICA) {

        /* one that has lost its master may be empty without a word */

        ngx_str_set(&args[0], "ROLE");
        rc |= ngx_mesh_resp_send(resp, args, 1, 1, ngx_mesh_redis_step_handler,
                                 sub);
        sub->left++;
    }

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_mesh_redis_routers_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_sub_t *sub = data;

    u_char             *p, *last;
    ngx_str_t          *url;
    ngx_uint_t          i, n;
    ngx_mesh_reply_t  **element;

    if (!ngx_mesh_redis_hash(sub, reply, NGX_MESH_REDIS_ROUTERS)) {
        return;
    }

    element = reply->elements;

    for (i = 0, n = 0; i + 1 < reply->nelements; i += 2) {
        url = &element[i]->str;

        if (!ngx_mesh_redis_rule_alive(url, &element[i + 1]->str,
                                       ngx_mesh_redis_clock(sub->redis))
            || ngx_mesh_redis_url_is(url, "enabled", "false")
            || n++)
        {
            continue;
        }

        /* "condition routers", by the first one's scheme */

        last = url->data + ngx_min(url->len, 32);

        for (p = url->data; p < last; p++) {
            if ((*p | 0x20) < 'a' || (*p | 0x20) > 'z') {
                break;
            }
        }

        sub->routers.data = ngx_pnalloc(sub->pool, p - url->data
                                                   + sizeof(" routers"));
        if (sub->routers.data) {
            sub->routers.len = ngx_sprintf(sub->routers.data, "%*s routers",
                                           (size_t) (p - url->data), url->data)
                               - sub->routers.data;
        }
    }

    ngx_mesh_redis_read_step(sub);
}


static void
ngx_mesh_redis_rules_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_sub_t *sub = data;

    ngx_str_t          *url, *rule;
    ngx_uint_t          i;
    ngx_mesh_reply_t  **element;

    static ngx_str_t  nomem = ngx_string("no memory");

    if (!ngx_mesh_redis_hash(sub, reply, NGX_MESH_REDIS_CONFIGURATORS)) {
        return;
    }

    element = reply->elements;

    for (i = 0; i + 1 < reply->nelements; i += 2) {
        url = &element[i]->str;

        if (!ngx_mesh_redis_rule_alive(url, &element[i + 1]->str,
                                       ngx_mesh_redis_clock(sub->redis)))
        {
            continue;
        }

        rule = ngx_array_push(&sub->rules);

        if (rule) {
            rule->len = url->len;
            rule->data = ngx_pstrdup(sub->pool, url);
        }

        if (rule == NULL || rule->data == NULL) {
            sub->failed = nomem;
            break;
        }
    }

    ngx_mesh_redis_read_step(sub);
}


static void
ngx_mesh_redis_providers_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_sub_t *sub = data;

    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_mesh_reply_t  **element;

    static ngx_str_t  nomem = ngx_string("no memory");
    static ngx_str_t  room = ngx_string("more than there is room for: "
                                        "enlarge the zone");

    if (!ngx_mesh_redis_hash(sub, reply, NGX_MESH_REDIS_PROVIDERS)) {
        return;
    }

    element = reply->elements;

    /* of very many it takes longer than who is alive may be silent */

    ngx_mesh_agent_busy();

    ngx_mesh_redis_view_begin(&sub->view, (int64_t) ngx_current_msec,
                              ngx_mesh_redis_clock(sub->redis));

    for (i = 0; i + 1 < reply->nelements; i += 2) {

        rc = ngx_mesh_redis_view_field(&sub->view, &element[i]->str,
                                       &element[i + 1]->str);
        if (rc != NGX_OK) {
            sub->failed = (rc == NGX_ERROR) ? nomem : room;
            ngx_mesh_redis_view_drop(&sub->view);
            break;
        }
    }

    ngx_mesh_agent_idle();
    ngx_mesh_redis_read_step(sub);
}


static void
ngx_mesh_redis_step_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_sub_t *sub = data;

    char              *wrong;
    ngx_mesh_redis_t  *redis;

    if (reply == NULL) {
        return;
    }

    redis = sub->redis;
    ngx_mesh_redis_server_role(&redis->server, reply);

    wrong = ngx_mesh_redis_server_wrong(&redis->server,
                                        redis->conf->sentinel.len != 0);
    if (wrong) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_TRANSIENT, "%s", wrong);
        return;
    }

    ngx_mesh_redis_read_step(sub);
}


/*
 * 1: it is one.  An error may be about this key alone; whatever else says that
 * the server cannot serve now.
 */

static ngx_uint_t
ngx_mesh_redis_hash(ngx_mesh_redis_sub_t *sub, ngx_mesh_reply_t *reply,
    ngx_uint_t category)
{
    ngx_uint_t        i;
    static ngx_str_t  strange = ngx_string("a hash was expected");

    if (reply == NULL) {
        return 0;
    }

    if (reply->type == REDIS_REPLY_ERROR) {

        if (!ngx_mesh_resp_is(reply, "NOPERM")
            && !ngx_mesh_resp_is(reply, "WRONGTYPE"))
        {
            ngx_mesh_redis_refused(sub->redis, "HGETALL", &reply->str);
            return 0;
        }

        ngx_mesh_redis_read_failed(sub, &reply->str);
        return 0;
    }

    i = (reply->type == REDIS_REPLY_ARRAY && reply->nelements % 2 == 0)
        ? 0 : reply->nelements + 1;

    while (i < reply->nelements
           && reply->elements[i]->type == REDIS_REPLY_STRING)
    {
        i++;
    }

    if (i != reply->nelements) {
        ngx_mesh_redis_read_failed(sub, &strange);
        return 0;
    }

    return 1;
}


static void
ngx_mesh_redis_read_failed(ngx_mesh_redis_sub_t *sub, ngx_str_t *reason)
{
    if (sub->failed.len == 0) {
        sub->failed.data = ngx_pstrdup(sub->pool, reason);
        sub->failed.len = sub->failed.data ? reason->len : 0;
    }

    if (sub->failed.len == 0) {
        ngx_str_set(&sub->failed, "no memory");
    }

    ngx_mesh_redis_read_step(sub);
}


/* a reply is done with; the last one of a read ends it */

static void
ngx_mesh_redis_read_step(ngx_mesh_redis_sub_t *sub)
{
    ngx_msec_t         now;
    ngx_pool_t        *pool;
    ngx_mesh_redis_t  *redis;

    if (--sub->left) {
        return;
    }

    redis = sub->redis;

    /* our own time, as others have to wait for us meanwhile */

    now = ngx_current_msec;

    ngx_mesh_agent_busy();
    ngx_mesh_redis_apply(sub);
    ngx_mesh_agent_idle();

    sub->took = ngx_current_msec - now;
    sub->fresh = 0;

    pool = sub->pool;
    sub->pool = NULL;
    redis->reading--;

    ngx_destroy_pool(pool);

    ngx_mesh_source_heard(redis->source, 0);
    ngx_mesh_redis_read_later(sub);
    ngx_mesh_redis_read_next(redis);
}


void
ngx_mesh_redis_read_next(ngx_mesh_redis_t *redis)
{
    ngx_queue_t           *q;
    ngx_mesh_redis_sub_t  *sub;

    while (redis->reading < NGX_MESH_REDIS_READS
           && !ngx_queue_empty(&redis->ready))
    {
        q = ngx_queue_head(&redis->ready);
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, ready);

        ngx_queue_remove(q);
        sub->queued = 0;

        ngx_mesh_redis_read_start(sub);
    }
}


static void
ngx_mesh_redis_read_later(ngx_mesh_redis_sub_t *sub)
{
    ngx_msec_t         ms, pause;
    ngx_mesh_redis_t  *redis;

    redis = sub->redis;

    /* not all at a time */

    ms = redis->conf->refresh / 4;
    ms = 3 * ms + ngx_random() % (2 * ms + 1);

    if (redis->deaf) {
        ms = ngx_min(ms, redis->conf->ping);
    }

    if (sub->view.due) {
        ms = ngx_min(ms, (ngx_msec_t) sub->view.due);
    }

    if (sub->again) {
        ms = ngx_min(ms, sub->again);
    }

    pause = ngx_mesh_redis_server_pause(sub->took);

    ms = sub->hinted ? pause : ngx_max(ms, pause);

    if (sub->timer.timer_set) {
        ngx_del_timer(&sub->timer);
    }

    ngx_add_timer(&sub->timer, ms);
}


void
ngx_mesh_redis_abort(ngx_mesh_redis_sub_t *sub)
{
    if (sub->queued) {
        ngx_queue_remove(&sub->ready);
        sub->queued = 0;
    }

    if (sub->pool) {
        ngx_destroy_pool(sub->pool);
        sub->pool = NULL;
        sub->redis->reading--;
    }
}
