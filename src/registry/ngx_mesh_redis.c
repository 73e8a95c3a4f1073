
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"


/* ms: after a connection that worked is lost, at most; when somebody has to
   change something, from one to the other, and how often the file of a password
   is looked at meanwhile */
#define NGX_MESH_REDIS_SOON    250
#define NGX_MESH_REDIS_LATER   30000
#define NGX_MESH_REDIS_LOOK    1000

/* ms that a connection lasts that worked */
#define NGX_MESH_REDIS_STEADY  5000

#define NGX_MESH_REDIS_SECRET  4096

/* bytes of all URLs that are remembered: so many, and so many times the zone,
   which is the measure of a fleet */
#define NGX_MESH_REDIS_HELD    (64 * 1024 * 1024)
#define NGX_MESH_REDIS_TIMES   2

/* s since 1970 of the year 10000: no clock has that */
#define NGX_MESH_REDIS_NEVER   253402300800


static ngx_int_t ngx_mesh_redis_start(ngx_mesh_source_t *source);
static void ngx_mesh_redis_stop(ngx_mesh_source_t *source);
static ngx_int_t ngx_mesh_redis_subscribe(ngx_mesh_subscription_t *s);
static void ngx_mesh_redis_unsubscribe(ngx_mesh_subscription_t *s);
static void ngx_mesh_redis_resync(ngx_mesh_source_t *source,
    ngx_mesh_subscription_t *s);
static void ngx_mesh_redis_retry_handler(ngx_event_t *ev);
static void ngx_mesh_redis_begin(ngx_mesh_redis_t *redis);
static void ngx_mesh_redis_close(ngx_mesh_redis_t *redis);
static void ngx_mesh_redis_wait(ngx_mesh_redis_t *redis, ngx_uint_t class,
    ngx_uint_t was);
static void ngx_mesh_redis_rotate(ngx_mesh_redis_t *redis);
static ngx_int_t ngx_mesh_redis_greet(ngx_mesh_redis_t *redis);
static void ngx_mesh_redis_select_handler(void *data, ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_info_handler(void *data, ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_ping_reply(void *data, ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_auth_handler(void *data, ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_closed(ngx_mesh_resp_t *resp, ngx_str_t *reason);
static void ngx_mesh_redis_secret_error(ngx_mesh_redis_t *redis,
    ngx_str_t *file, ngx_err_t err);
static ssize_t ngx_mesh_redis_secret(ngx_str_t *file, u_char *buf,
    size_t size);
static uint64_t ngx_mesh_redis_mtime(ngx_mesh_redis_t *redis);


static ngx_str_t  ngx_mesh_redis_schemes[] = {
    ngx_string("redis://"),
    ngx_string("rediss://"),
    ngx_string("unix:"),
    ngx_null_string
};


ngx_mesh_source_type_t  ngx_mesh_redis_type = {
    ngx_string("redis"),
    NGX_MESH_REDIS_PORT,
    ngx_mesh_redis_schemes,

    ngx_mesh_redis_create_conf,
    ngx_mesh_redis_url,
    ngx_mesh_redis_param,
    ngx_mesh_redis_init_conf,

    ngx_mesh_redis_start,
    ngx_mesh_redis_stop,
    ngx_mesh_redis_subscribe,
    ngx_mesh_redis_unsubscribe,
    ngx_mesh_redis_resync
};


static ngx_int_t
ngx_mesh_redis_start(ngx_mesh_source_t *source)
{
    size_t             len;
    ngx_mesh_redis_t  *redis;

    redis = ngx_calloc(sizeof(ngx_mesh_redis_t), ngx_cycle->log);
    if (redis == NULL) {
        return NGX_ERROR;
    }

    redis->source = source;
    redis->conf = source->conf;

    ngx_queue_init(&redis->subs);
    ngx_queue_init(&redis->ready);

    ngx_mesh_redis_event(&redis->retry, ngx_mesh_redis_retry_handler, redis);
    ngx_mesh_redis_event(&redis->ping, ngx_mesh_redis_ping_handler, redis);
    ngx_mesh_redis_event(&redis->scan, ngx_mesh_redis_scan_handler, redis);

    /* its own, so that other agents do not hear it */

    len = redis->conf->root.len + sizeof("nginx-mesh/") - 1 + 32;

    redis->channel.data = ngx_alloc(len, ngx_cycle->log);
    if (redis->channel.data == NULL) {
        ngx_free(redis);
        return NGX_ERROR;
    }

    redis->channel.len = ngx_sprintf(redis->channel.data,
                                     "%Vnginx-mesh/%08xD%08xD%08xD%08xD",
                                     &redis->conf->root,
                                     (uint32_t) ngx_random(),
                                     (uint32_t) ngx_random(),
                                     (uint32_t) ngx_pid,
                                     (uint32_t) ngx_time())
                         - redis->channel.data;

    source->data = redis;

    ngx_mesh_source_state(source, NGX_MESH_SOURCE_STARTING, NULL, NULL);

    /* not all instances of a fleet at once */

    ngx_add_timer(&redis->retry, 1 + ngx_random() % NGX_MESH_REDIS_SOON);

    return NGX_OK;
}


static void
ngx_mesh_redis_stop(ngx_mesh_source_t *source)
{
    ngx_mesh_redis_t  *redis;

    redis = source->data;

    if (redis == NULL) {
        return;
    }

    ngx_mesh_redis_close(redis);
    ngx_mesh_resp_close(&redis->sentinel);

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    ngx_free(redis->channel.data);
    ngx_free(redis);

    source->data = NULL;
}


static ngx_int_t
ngx_mesh_redis_subscribe(ngx_mesh_subscription_t *s)
{
    ngx_uint_t             i;
    ngx_str_t             *key;
    ngx_mesh_redis_t      *redis;
    ngx_mesh_redis_sub_t  *sub;

    static char  *categories[] = { "providers", "configurators", "routers" };

    redis = s->source->data;

    sub = ngx_pcalloc(s->pool, sizeof(ngx_mesh_redis_sub_t));

    if (redis == NULL || sub == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_MESH_REDIS_CATEGORIES; i++) {
        key = &sub->keys[i];

        key->data = ngx_pnalloc(s->pool, redis->conf->root.len + s->sn.str.len
                                         + 1 + ngx_strlen(categories[i]));
        if (key->data == NULL) {
            return NGX_ERROR;
        }

        key->len = ngx_sprintf(key->data, "%V%V/%s", &redis->conf->root,
                               &s->sn.str, categories[i])
                   - key->data;
    }

    sub->redis = redis;
    sub->subscription = s;
    sub->fresh = 1;

    ngx_mesh_redis_view_init(&sub->view, redis->conf->session);
    ngx_mesh_redis_view_share(&sub->view, &s->source->answers,
                              NGX_MESH_REDIS_HELD
                              + NGX_MESH_REDIS_TIMES
                                * ngx_mesh_store_size(ngx_mesh_live()));
    ngx_mesh_redis_event(&sub->timer, ngx_mesh_redis_read_handler, sub);

    s->data = sub;
    ngx_queue_insert_tail(&redis->subs, &sub->queue);

    if (redis->listener.reader) {

        if (ngx_mesh_redis_listen_sub(sub) != NGX_OK) {
            ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");

        } else if (redis->state == NGX_MESH_REDIS_UP && sub->acked) {
            ngx_mesh_redis_read(sub);
        }
    }

    return NGX_OK;
}


static void
ngx_mesh_redis_unsubscribe(ngx_mesh_subscription_t *s)
{
    ngx_mesh_redis_t      *redis;
    ngx_mesh_redis_sub_t  *sub;

    sub = s->data;

    if (sub == NULL) {
        return;
    }

    redis = sub->redis;

    ngx_mesh_redis_unlisten_sub(sub);
    ngx_mesh_redis_abort(sub);
    ngx_mesh_resp_detach(&redis->command, sub);

    if (sub->timer.timer_set) {
        ngx_del_timer(&sub->timer);
    }

    ngx_queue_remove(&sub->queue);
    ngx_mesh_redis_view_clear(&sub->view);

    s->data = NULL;

    if (redis->state == NGX_MESH_REDIS_UP) {
        ngx_mesh_redis_read_next(redis);
    }
}


static void
ngx_mesh_redis_resync(ngx_mesh_source_t *source, ngx_mesh_subscription_t *s)
{
    ngx_queue_t           *q;
    ngx_mesh_redis_t      *redis;
    ngx_mesh_redis_sub_t  *sub;

    redis = source->data;

    if (redis == NULL) {
        return;
    }

    if (redis->state == NGX_MESH_REDIS_WAITING) {
        ngx_mesh_redis_hurry(redis);
        return;
    }

    if (s) {
        sub = s->data;
        sub->applied = 0;
        ngx_mesh_redis_read(sub);
        return;
    }

    for (q = ngx_queue_head(&redis->subs);
         q != ngx_queue_sentinel(&redis->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, queue);
        sub->applied = 0;
        ngx_mesh_redis_read(sub);
    }

    ngx_mesh_redis_scan(redis);
}


void
ngx_mesh_redis_event(ngx_event_t *ev, ngx_event_handler_pt handler, void *data)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = data;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;
}


int64_t
ngx_mesh_redis_clock(ngx_mesh_redis_t *redis)
{
    return (int64_t) ngx_current_msec + redis->clock;
}


/* a password that was wrong is tried again as soon as it is another one */

static void
ngx_mesh_redis_retry_handler(ngx_event_t *ev)
{
    ngx_msec_t         left;
    ngx_mesh_redis_t  *redis;

    redis = ev->data;

    if (redis->state != NGX_MESH_REDIS_WAITING) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no answer in time");
        return;
    }

    left = redis->left > NGX_MESH_REDIS_LOOK
           ? redis->left - NGX_MESH_REDIS_LOOK : 0;

    if (redis->secret && left && ngx_mesh_redis_mtime(redis) == redis->secret)
    {
        redis->left = left;
        ngx_add_timer(ev, ngx_min(left, NGX_MESH_REDIS_LOOK));
        return;
    }

    ngx_mesh_redis_begin(redis);
}


static void
ngx_mesh_redis_begin(ngx_mesh_redis_t *redis)
{
    ngx_mesh_source_addr_t  *addr;

    redis->secret = 0;

    if (redis->conf->sentinel.len) {
        redis->state = NGX_MESH_REDIS_ASKING;
        ngx_mesh_redis_sentinel_ask(redis);
        return;
    }

    addr = redis->source->addrs.elts;
    ngx_mesh_redis_connect(redis, &addr[redis->current]);
}


void
ngx_mesh_redis_connect(ngx_mesh_redis_t *redis, ngx_mesh_source_addr_t *addr)
{
    ngx_uint_t        i;
    ngx_mesh_resp_t  *resp;

    redis->state = NGX_MESH_REDIS_CONNECTING;
    redis->addr = addr;
    redis->greeted = 0;
    redis->heard = 0;
    redis->deaf = 0;
    redis->good = 0;
    redis->canary = 1;

    ngx_memzero(&redis->server, sizeof(ngx_mesh_redis_server_t));

    for (i = 0; i < 2; i++) {
        resp = i ? &redis->listener : &redis->command;

        resp->data = redis;
        resp->source = redis->source;
        resp->addr = addr;
        resp->timeout = redis->conf->timeout;
        resp->patience = i ? redis->conf->timeout : 10 * redis->conf->timeout;
        resp->closed = ngx_mesh_redis_closed;

        if (ngx_mesh_resp_connect(resp) != NGX_OK) {
            ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
            return;
        }
    }

    /* all of it may take longer than each part */

    ngx_add_timer(&redis->retry, 5 * redis->conf->timeout);

    if (ngx_mesh_redis_greet(redis) != NGX_OK
        || ngx_mesh_redis_listen(redis) != NGX_OK)
    {
        if (redis->state != NGX_MESH_REDIS_WAITING) {
            ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
        }
    }
}


/* who it is, and whether its data is there: a server that is loading answers
   to all but commands about data */

static ngx_int_t
ngx_mesh_redis_greet(ngx_mesh_redis_t *redis)
{
    u_char            text[NGX_INT_T_LEN];
    ngx_int_t         rc;
    ngx_str_t         args[2];
    ngx_mesh_resp_t  *resp;

    resp = &redis->command;

    if (ngx_mesh_redis_auth(redis, resp, &redis->conf->username,
                            &redis->conf->password_file)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (redis->conf->db) {
        ngx_str_set(&args[0], "SELECT");
        args[1].data = text;
        args[1].len = ngx_sprintf(text, "%i", redis->conf->db) - text;
        rc |= ngx_mesh_resp_send(resp, args, 2, 1,
                                 ngx_mesh_redis_select_handler, redis);
    }

    ngx_str_set(&args[0], "ROLE");
    rc |= ngx_mesh_resp_send(resp, args, 1, 1, ngx_mesh_redis_role_handler,
                             redis);

    ngx_str_set(&args[0], "INFO");
    rc |= ngx_mesh_resp_send(resp, args, 1, 1, ngx_mesh_redis_info_handler,
                             redis);

    ngx_str_set(&args[0], "PING");
    rc |= ngx_mesh_resp_send(resp, args, 1, 1, ngx_mesh_redis_ping_reply,
                             redis);

    ngx_str_set(&args[0], "TIME");
    rc |= ngx_mesh_resp_send(resp, args, 1, 1, ngx_mesh_redis_time_handler,
                             redis);

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_mesh_redis_select_handler(void *data, ngx_mesh_reply_t *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_mesh_redis_refused(data, "SELECT", &reply->str);
    }
}


/* these may be forbidden: less is known then */

void
ngx_mesh_redis_role_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR
        && (ngx_mesh_resp_is(reply, "NOAUTH")
            || ngx_mesh_resp_class(&reply->str) == NGX_MESH_RESP_OTHER))
    {
        ngx_mesh_redis_refused(redis, "ROLE", &reply->str);
        return;
    }

    ngx_mesh_redis_server_role(&redis->server, reply);
}


static void
ngx_mesh_redis_info_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply && reply->type == REDIS_REPLY_STRING) {
        ngx_mesh_redis_server_info(&redis->server, &reply->str);
    }
}


static void
ngx_mesh_redis_ping_reply(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply && reply->type == REDIS_REPLY_ERROR
        && !ngx_mesh_resp_is(reply, "NOPERM"))
    {
        ngx_mesh_redis_refused(redis, "PING", &reply->str);
    }
}


void
ngx_mesh_redis_time_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    char        *wrong;
    ngx_int_t    sec, usec;
    ngx_str_t    s;
    ngx_time_t  *tp;

    if (reply == NULL) {
        return;
    }

    wrong = ngx_mesh_redis_server_wrong(&redis->server,
                                        redis->conf->sentinel.len != 0);
    if (wrong) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_TRANSIENT, "%s", wrong);
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR && !ngx_mesh_resp_is(reply, "NOPERM"))
    {
        ngx_mesh_redis_refused(redis, "TIME", &reply->str);
        return;
    }

    sec = NGX_ERROR;
    usec = NGX_ERROR;

    if (reply->type == REDIS_REPLY_ARRAY && reply->nelements == 2) {
        s = reply->elements[0]->str;
        sec = ngx_atoi(s.data, s.len);
        s = reply->elements[1]->str;
        usec = ngx_atoi(s.data, s.len);
    }

    if (sec == NGX_ERROR || sec >= NGX_MESH_REDIS_NEVER
        || usec == NGX_ERROR || usec >= 1000000)
    {
        /* who does not tell has ours */

        tp = ngx_timeofday();
        sec = tp->sec;
        usec = tp->msec * 1000;
    }

    redis->clock = (int64_t) sec * 1000 + usec / 1000
                   - (int64_t) ngx_current_msec;

    if (!redis->greeted) {
        redis->greeted = 1;
        ngx_mesh_redis_ready(redis);
    }
}


/* reads it anew each time: it may be another one by now */

ngx_int_t
ngx_mesh_redis_auth(ngx_mesh_redis_t *redis, ngx_mesh_resp_t *resp,
    ngx_str_t *username, ngx_str_t *file)
{
    u_char      buf[NGX_MESH_REDIS_SECRET];
    ssize_t     len;
    ngx_int_t   rc;
    ngx_str_t   args[3];
    ngx_uint_t  n;

    if (file->len == 0) {
        return NGX_OK;
    }

    len = ngx_mesh_redis_secret(file, buf, sizeof(buf));

    if (len <= 0) {
        ngx_mesh_redis_secret_error(redis, file, len ? ngx_errno : 0);
        return NGX_DECLINED;
    }

    ngx_str_set(&args[0], "AUTH");
    n = 1;

    if (username->len) {
        args[n++] = *username;
    }

    args[n].data = buf;
    args[n++].len = len;

    rc = ngx_mesh_resp_send(resp, args, n, 1, ngx_mesh_redis_auth_handler,
                            redis);

    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


static void
ngx_mesh_redis_secret_error(ngx_mesh_redis_t *redis, ngx_str_t *file,
    ngx_err_t err)
{
    u_char  reason[NGX_MESH_REDIS_TEXT], *last;
    char   *directive;

    directive = (file == &redis->conf->sentinel_password_file)
                ? "sentinel_password_file" : "password_file";

    redis->secret = ngx_mesh_redis_mtime(redis);

    if (err == 0) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_CONFIG, "\"%s=%V\" has no "
                            "password in its first line, or one that is too "
                            "long", directive, file);
        return;
    }

    last = ngx_strerror(err, reason, sizeof(reason));

    ngx_mesh_redis_fail(redis, NGX_MESH_RESP_CONFIG,
                        "\"%s=%V\" cannot be read (%d: %*s)", directive, file,
                        err, (size_t) (last - reason), reason);
}


static void
ngx_mesh_redis_auth_handler(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return;
    }

    redis->secret = ngx_mesh_redis_mtime(redis);

    if (ngx_mesh_resp_class(&reply->str) == NGX_MESH_RESP_TRANSIENT) {
        ngx_mesh_redis_refused(redis, "AUTH", &reply->str);
        return;
    }

    ngx_mesh_redis_fail(redis, NGX_MESH_RESP_CONFIG, "%V (AUTH)", &reply->str);
}


/* its first line; 0: there is none, or no end of it; -1: an error */

static ssize_t
ngx_mesh_redis_secret(ngx_str_t *file, u_char *buf, size_t size)
{
    ssize_t    n, i;
    ngx_fd_t   fd;
    ngx_err_t  err;

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return -1;
    }

    n = ngx_read_fd(fd, buf, size);
    err = ngx_errno;

    (void) ngx_close_file(fd);

    ngx_set_errno(err);

    for (i = 0; i < n; i++) {
        if (buf[i] == LF || buf[i] == CR || buf[i] == '\0') {
            return i;
        }
    }

    return n == (ssize_t) size ? 0 : n;
}


/* of the files with passwords, never 0: what is the same if they, and who may
   read them, are */

static uint64_t
ngx_mesh_redis_mtime(ngx_mesh_redis_t *redis)
{
    uint64_t          stamp;
    ngx_str_t        *files[2];
    ngx_uint_t        i;
    ngx_file_info_t   fi;

    files[0] = &redis->conf->password_file;
    files[1] = &redis->conf->sentinel_password_file;

    for (i = 0, stamp = 1; i < 2; i++) {

        if (files[i]->len && ngx_file_info(files[i]->data, &fi) == 0) {
            stamp = stamp * 31 + ngx_file_mtime(&fi);
            stamp = stamp * 31 + fi.st_ctim.tv_sec;
            stamp = stamp * 31 + fi.st_ctim.tv_nsec;
            stamp = stamp * 31 + ngx_file_uniq(&fi);
            stamp = stamp * 31 + ngx_file_size(&fi);
        }
    }

    return stamp ? stamp : 1;
}


static void
ngx_mesh_redis_closed(ngx_mesh_resp_t *resp, ngx_str_t *reason)
{
    ngx_mesh_redis_fail(resp->data, ngx_mesh_resp_class(reason), "%V%s",
                        reason, resp->push ? " (messages)" : "");
}


void
ngx_mesh_redis_refused(ngx_mesh_redis_t *redis, const char *command,
    ngx_str_t *error)
{
    ngx_uint_t  class;

    class = ngx_mesh_resp_class(error);

    if (class == NGX_MESH_RESP_CLUSTER) {
        ngx_mesh_redis_fail(redis, class, "it is a node of Redis Cluster, "
                            "which is not supported: use a server of its own, "
                            "or Sentinel (%V)", error);
        return;
    }

    ngx_mesh_redis_fail(redis, class, "%V (%s)%s", error, command,
                        ngx_strncmp(error->data, "NOAUTH", 6) == 0
                        ? ", it needs a \"password_file=\"" : "");
}


void
ngx_mesh_redis_fail(ngx_mesh_redis_t *redis, ngx_uint_t class,
    const char *fmt, ...)
{
    u_char                   text[NGX_MESH_REDIS_TEXT];
    va_list                  args;
    ngx_str_t                error;
    ngx_uint_t               was;
    ngx_mesh_source_addr_t  *addr;

    va_start(args, fmt);
    error.data = text;
    error.len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    was = redis->state;

    if (was == NGX_MESH_REDIS_WAITING) {
        return;
    }

    /* what somebody has to change is not to be behind what came before it */

    if (class == NGX_MESH_RESP_CONFIG && was != NGX_MESH_REDIS_UP
        && redis->failures && redis->class != class)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh registry \"%V\": %V", &redis->source->name, &error);
    }

    redis->class = class;

    addr = redis->source->addrs.elts;
    addr = was == NGX_MESH_REDIS_ASKING ? &addr[redis->asked] : redis->addr;

    ngx_mesh_redis_close(redis);

    ngx_mesh_source_state(redis->source, NGX_MESH_SOURCE_ERROR, addr, &error);
    ngx_mesh_source_watched(redis->source, 0, 0);

    ngx_mesh_redis_wait(redis, class, was);
}


/* what was read stays as it is */

static void
ngx_mesh_redis_close(ngx_mesh_redis_t *redis)
{
    ngx_queue_t           *q;
    ngx_mesh_redis_sub_t  *sub;

    redis->state = NGX_MESH_REDIS_WAITING;

    ngx_mesh_resp_close(&redis->command);
    ngx_mesh_resp_close(&redis->listener);

    ngx_mesh_redis_scan_stop(redis);

    if (redis->ping.timer_set) {
        ngx_del_timer(&redis->ping);
    }

    for (q = ngx_queue_head(&redis->subs);
         q != ngx_queue_sentinel(&redis->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_mesh_redis_sub_t, queue);

        ngx_mesh_redis_abort(sub);

        if (sub->timer.timer_set) {
            ngx_del_timer(&sub->timer);
        }

        sub->acked = 0;
        sub->fresh = 1;
        sub->gone = 0;
    }
}


/*
 * After one that worked the same address is tried at once, and after each
 * failure another one, as soon; once there is none left it takes longer.
 */

static void
ngx_mesh_redis_wait(ngx_mesh_redis_t *redis, ngx_uint_t class, ngx_uint_t was)
{
    ngx_msec_t  ms;

    if (was != NGX_MESH_REDIS_UP) {
        redis->failures++;
        ngx_mesh_redis_rotate(redis);

    } else if (ngx_current_msec - redis->since >= NGX_MESH_REDIS_STEADY) {
        redis->failures = 0;
        redis->backoff = 0;

    } else {
        redis->failures++;
    }

    if (redis->failures < redis->source->addrs.nelts) {
        ms = 1 + ngx_random() % NGX_MESH_REDIS_SOON;

    } else if (class == NGX_MESH_RESP_CONFIG
               || class == NGX_MESH_RESP_CLUSTER)
    {
        ms = NGX_MESH_REDIS_LATER + ngx_random() % NGX_MESH_REDIS_LATER;

    } else {
        redis->backoff = ngx_mesh_discovery_backoff(redis->backoff);
        ms = redis->backoff;
    }

    redis->left = ms;
    ngx_mesh_source_backoff(redis->source, ms);

    ngx_add_timer(&redis->retry, redis->secret
                                 ? ngx_min(ms, NGX_MESH_REDIS_LOOK) : ms);
}


/* somebody says that it may be well now */

void
ngx_mesh_redis_hurry(ngx_mesh_redis_t *redis)
{
    redis->backoff = 0;
    redis->left = 0;

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    ngx_add_timer(&redis->retry, 1);
}


/* Sentinels are walked through by themselves */

static void
ngx_mesh_redis_rotate(ngx_mesh_redis_t *redis)
{
    if (redis->conf->sentinel.len == 0) {
        redis->current = (redis->current + 1) % redis->source->addrs.nelts;
    }
}
