
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"


/*
 * Messages.  A server may cease to send them and answer to all else, or may
 * never have begun, which looks like silence: so a message of our own is to
 * come back, again and again.
 */


static ngx_int_t ngx_mesh_redis_listen_pattern(ngx_mesh_redis_t *redis);
static void ngx_mesh_redis_push(ngx_mesh_resp_t *resp, ngx_str_t *channel,
    ngx_str_t *message);
static void ngx_mesh_redis_pattern_handler(void *data,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_channel_handler(void *data,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_sub_handler(void *data, ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_deaf(ngx_mesh_redis_t *redis, ngx_str_t *error);
static void ngx_mesh_redis_identify(ngx_mesh_redis_t *redis);
static ngx_int_t ngx_mesh_redis_publish(ngx_mesh_redis_t *redis);
static void ngx_mesh_redis_publish_handler(void *data,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_check_handler(void *data, ngx_mesh_reply_t *reply);


/* all of it before the first read: what changes between is not missed */

ngx_int_t
ngx_mesh_redis_listen(ngx_mesh_redis_t *redis)
{
    ngx_str_t              args[2];
    ngx_queue_t           *q;
    ngx_mesh_resp_t       *resp;
    ngx_mesh_redis_sub_t  *sub;

    resp = &redis->listener;
    resp->push = ngx_mesh_redis_push;

    redis->sent = 0;
    redis->published = 0;
    redis->received = 0;
    redis->pattern = NGX_MESH_REDIS_PATTERN_OFF;

    if (ngx_mesh_redis_auth(redis, resp, &redis->conf->username,
                            &redis->conf->password_file)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (redis->source->discovery == NGX_MESH_DISCOVERY_ALL
        && ngx_mesh_redis_listen_pattern(redis) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&args[0], "SUBSCRIBE");
    args[1] = redis->channel;

    if (ngx_mesh_resp_send(resp, args, 2, 1, ngx_mesh_redis_channel_handler,
                           redis)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (q = ngx_queue_head(&redis->subs);
         q != ngx_queue_sentinel(&redis->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, queue);

        if (ngx_mesh_redis_listen_sub(sub) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_redis_listen_pattern(ngx_mesh_redis_t *redis)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   args[2];

    p = ngx_alloc(redis->conf->root.len + 1, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&args[0], "PSUBSCRIBE");
    args[1].data = p;
    args[1].len = ngx_sprintf(p, "%V*", &redis->conf->root) - p;

    rc = ngx_mesh_resp_send(&redis->listener, args, 2, 1,
                            ngx_mesh_redis_pattern_handler, redis);
    ngx_free(p);

    redis->pattern = NGX_MESH_REDIS_PATTERN_ASKED;

    return rc;
}


/* channels by name: a server compares a pattern with every message, and lets
   a user who has a pattern of channels subscribe to them, but not to others */

ngx_int_t
ngx_mesh_redis_listen_sub(ngx_mesh_redis_sub_t *sub)
{
    ngx_str_t          args[1 + NGX_MESH_REDIS_CATEGORIES];
    ngx_uint_t         i;
    ngx_mesh_redis_t  *redis;

    redis = sub->redis;

    if (redis->pattern != NGX_MESH_REDIS_PATTERN_OFF) {
        sub->acked = (redis->pattern == NGX_MESH_REDIS_PATTERN_ON);
        return NGX_OK;
    }

    ngx_str_set(&args[0], "SUBSCRIBE");

    for (i = 0; i < NGX_MESH_REDIS_CATEGORIES; i++) {
        args[i + 1] = sub->keys[i];
    }

    sub->unacked = NGX_MESH_REDIS_CATEGORIES;

    return ngx_mesh_resp_send(&redis->listener, args,
                              1 + NGX_MESH_REDIS_CATEGORIES,
                              NGX_MESH_REDIS_CATEGORIES,
                              ngx_mesh_redis_sub_handler, sub);
}


void
ngx_mesh_redis_unlisten_sub(ngx_mesh_redis_sub_t *sub)
{
    ngx_str_t          args[1 + NGX_MESH_REDIS_CATEGORIES];
    ngx_uint_t         i;
    ngx_mesh_redis_t  *redis;

    redis = sub->redis;

    ngx_mesh_resp_detach(&redis->listener, sub);

    if (redis->listener.reader == NULL
        || redis->pattern != NGX_MESH_REDIS_PATTERN_OFF)
    {
        return;
    }

    ngx_str_set(&args[0], "UNSUBSCRIBE");

    for (i = 0; i < NGX_MESH_REDIS_CATEGORIES; i++) {
        args[i + 1] = sub->keys[i];
    }

    (void) ngx_mesh_resp_send(&redis->listener, args,
                              1 + NGX_MESH_REDIS_CATEGORIES,
                              NGX_MESH_REDIS_CATEGORIES, NULL, NULL);
}


static void
ngx_mesh_redis_pattern_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    ngx_int_t              rc;
    ngx_queue_t           *q;
    ngx_mesh_redis_sub_t  *sub;

    if (reply == NULL) {
        return;
    }

    redis->pattern = NGX_MESH_REDIS_PATTERN_ON;

    if (reply->type == REDIS_REPLY_ERROR) {

        if (!ngx_mesh_resp_is(reply, "NOPERM")) {
            ngx_mesh_redis_refused(redis, "PSUBSCRIBE", &reply->str);
            return;
        }

        redis->pattern = NGX_MESH_REDIS_PATTERN_OFF;
    }

    for (q = ngx_queue_head(&redis->subs), rc = NGX_OK;
         q != ngx_queue_sentinel(&redis->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, queue);
        rc |= ngx_mesh_redis_listen_sub(sub);
    }

    if (rc != NGX_OK) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
}


static void
ngx_mesh_redis_channel_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {

        if (!ngx_mesh_resp_is(reply, "NOPERM")) {
            ngx_mesh_redis_refused(redis, "SUBSCRIBE", &reply->str);
            return;
        }

        redis->canary = 0;
    }

    redis->heard = 1;
    ngx_mesh_redis_ready(redis);
}


static void
ngx_mesh_redis_sub_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_sub_t *sub = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {

        if (!ngx_mesh_resp_is(reply, "NOPERM")) {
            ngx_mesh_redis_refused(sub->redis, "SUBSCRIBE", &reply->str);
            return;
        }

        ngx_mesh_redis_deaf(sub->redis, &reply->str);
        sub->unacked = 1;
    }

    if (--sub->unacked == 0) {
        sub->acked = 1;
        ngx_mesh_redis_read(sub);
    }
}


/* reads take the place of messages */

static void
ngx_mesh_redis_deaf(ngx_mesh_redis_t *redis, ngx_str_t *error)
{
    redis->deaf = 1;

    if (!redis->told) {
        redis->told = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh registry \"%V\": subscribing to channels is not "
                      "allowed, all is read every %Mms instead, allow "
                      "\"&%V*\": %V", &redis->source->name, redis->conf->ping,
                      &redis->conf->root, error);
    }
}


void
ngx_mesh_redis_ready(ngx_mesh_redis_t *redis)
{
    ngx_queue_t           *q;
    ngx_mesh_redis_sub_t  *sub;

    if (!redis->greeted || !redis->heard
        || redis->state != NGX_MESH_REDIS_CONNECTING)
    {
        return;
    }

    redis->state = NGX_MESH_REDIS_UP;
    redis->since = ngx_current_msec;
    ngx_del_timer(&redis->retry);

    ngx_mesh_redis_identify(redis);

    ngx_mesh_source_state(redis->source, NGX_MESH_SOURCE_OK, redis->addr,
                          NULL);
    ngx_mesh_source_watched(redis->source, redis->source->nsubscriptions,
                            2 + (redis->sentinel.reader != NULL));

    ngx_mesh_redis_ping_handler(&redis->ping);

    for (q = ngx_queue_head(&redis->subs);
         q != ngx_queue_sentinel(&redis->subs)
         && redis->state == NGX_MESH_REDIS_UP;
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, queue);
        ngx_mesh_redis_read(sub);
    }

    ngx_mesh_redis_scan(redis);
}


/* one that was restarted, or is another, may have lost what providers wrote:
   they have a session's time to write it again */

static void
ngx_mesh_redis_identify(ngx_mesh_redis_t *redis)
{
    if (ngx_mesh_redis_server_doubtful(&redis->known, &redis->server,
                                       !redis->met, redis->conf->session))
    {
        redis->doubtful = 1;
        redis->doubt = ngx_current_msec + redis->conf->session;

        if (redis->met) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "mesh registry \"%V\": \"%V\" is not what it was "
                          "before, what it has lost stays for %Ms",
                          &redis->source->name, &redis->addr->url,
                          redis->conf->session / 1000);
        }
    }

    /* keys of Dubbo have no end, so policies for such that do are no matter */

    if (redis->server.evicts && !redis->evicts) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh registry \"%V\": \"%V\" may evict what providers "
                      "wrote, set \"maxmemory-policy noeviction\"",
                      &redis->source->name, &redis->addr->url);
    }

    redis->evicts = redis->server.evicts;
    redis->met = 1;
    redis->known = redis->server;
}


static void
ngx_mesh_redis_push(ngx_mesh_resp_t *resp, ngx_str_t *channel,
    ngx_str_t *message)
{
    u_char                   *p;
    ngx_int_t                 n;
    ngx_str_t                 interface, *root;
    ngx_uint_t                i;
    ngx_mesh_redis_t         *redis;
    ngx_mesh_redis_sub_t     *sub;
    ngx_mesh_subscription_t  *s;

    redis = resp->data;
    root = &redis->conf->root;

    if (ngx_mesh_equal(channel, &redis->channel)) {
        n = ngx_atoi(message->data, message->len);

        if (n != NGX_ERROR) {
            redis->received = n;
        }

        return;
    }

    if (channel->len <= root->len
        || ngx_memcmp(channel->data, root->data, root->len) != 0)
    {
        return;
    }

    p = channel->data + channel->len;

    while (p[-1] != '/') {
        p--;
    }

    interface.data = channel->data + root->len;

    if (p <= interface.data) {
        return;
    }

    interface.len = p - 1 - interface.data;
    s = ngx_mesh_discovery_find(redis->source, &interface);

    if (s == NULL) {
        ngx_mesh_redis_scan_hint(redis, channel);
        return;
    }

    sub = s->data;

    for (i = 0; i < NGX_MESH_REDIS_CATEGORIES; i++) {
        if (ngx_mesh_equal(&sub->keys[i], channel)) {
            ngx_mesh_redis_hint(sub, i, message);
            return;
        }
    }
}


void
ngx_mesh_redis_ping_handler(ngx_event_t *ev)
{
    ngx_int_t          rc;
    ngx_str_t          args[1];
    ngx_mesh_redis_t  *redis;

    redis = ev->data;

    if (redis->canary && redis->sent != redis->received
        && redis->published == redis->sent
        && ngx_current_msec - redis->answered >= redis->conf->timeout)
    {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_TRANSIENT,
                            "it answers, but messages do not come");
        return;
    }

    rc = ngx_mesh_redis_publish(redis);

    ngx_str_set(&args[0], "ROLE");
    rc |= ngx_mesh_resp_send(&redis->command, args, 1, 1,
                             ngx_mesh_redis_role_handler, redis);

    ngx_str_set(&args[0], "TIME");
    rc |= ngx_mesh_resp_send(&redis->command, args, 1, 1,
                             ngx_mesh_redis_time_handler, redis);

    ngx_str_set(&args[0], "PING");
    rc |= ngx_mesh_resp_send(&redis->command, args, 1, 1,
                             ngx_mesh_redis_check_handler, redis);
    rc |= ngx_mesh_resp_send(&redis->listener, args, 1, 1,
                             ngx_mesh_redis_check_handler, redis);

    if (rc != NGX_OK) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
        return;
    }

    if (redis->conf->sentinel.len) {
        ngx_mesh_redis_sentinel_ping(redis);
    }

    ngx_add_timer(ev, redis->conf->ping
                      - ngx_random() % (redis->conf->ping / 8));
}


static ngx_int_t
ngx_mesh_redis_publish(ngx_mesh_redis_t *redis)
{
    u_char     text[NGX_INT_T_LEN];
    ngx_str_t  args[3];

    /* one at a time: a reply before this one may be long */

    if (!redis->canary || redis->sent != redis->received) {
        return NGX_OK;
    }

    redis->sent++;

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = redis->channel;
    args[2].data = text;
    args[2].len = ngx_sprintf(text, "%ui", redis->sent) - text;

    return ngx_mesh_resp_send(&redis->command, args, 3, 1,
                              ngx_mesh_redis_publish_handler, redis);
}


static void
ngx_mesh_redis_publish_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_ERROR) {
        redis->published = redis->sent;
        redis->answered = ngx_current_msec;
        return;
    }

    if (!ngx_mesh_resp_is(reply, "NOPERM")
        && !ngx_mesh_resp_is(reply, "READONLY")
        && !ngx_mesh_resp_is(reply, "ERR"))
    {
        ngx_mesh_redis_refused(redis, "PUBLISH", &reply->str);
        return;
    }

    redis->canary = 0;

    if (!redis->mute) {
        redis->mute = 1;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh registry \"%V\": publishing to \"%Vnginx-mesh/*\" "
                      "is not allowed, so whether messages come is told by "
                      "PING alone: %V", &redis->source->name,
                      &redis->conf->root, &reply->str);
    }
}


static void
ngx_mesh_redis_check_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR && !ngx_mesh_resp_is(reply, "NOPERM"))
    {
        ngx_mesh_redis_refused(redis, "PING", &reply->str);
        return;
    }

    ngx_mesh_source_heard(redis->source, 0);
}
