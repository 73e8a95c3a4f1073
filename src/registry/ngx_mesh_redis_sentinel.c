
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"
#include "ngx_mesh_registry_int.h"

#ifdef __GLIBC__
#include <arpa/nameser.h>
#include <resolv.h>
#endif


/*
 * Sentinels are asked for the master before each connection to it; the one
 * that answered tells of another master later, which is no more than a hint.
 */


/* ms between two messages that are followed at once: masters change seldom */
#define NGX_MESH_REDIS_HURRY  2000

/* seconds that a server of names has, and how often all of them are asked:
   nothing else is done meanwhile */
#define NGX_MESH_REDIS_NAMES  1
#define NGX_MESH_REDIS_TWICE  2


static void ngx_mesh_redis_sentinel_open(ngx_mesh_redis_t *redis);
static ngx_int_t ngx_mesh_redis_sentinel_send(ngx_mesh_redis_t *redis);
static void ngx_mesh_redis_sentinel_reply(void *data,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_redis_sentinel_found(ngx_mesh_redis_t *redis,
    ngx_str_t *host, ngx_str_t *port);
static ngx_int_t ngx_mesh_redis_sentinel_addr(ngx_mesh_redis_t *redis,
    ngx_str_t *host, in_port_t port);
static ngx_int_t ngx_mesh_redis_sentinel_resolve(ngx_str_t *host,
    in_port_t port, ngx_pool_t *pool, ngx_addr_t *addr);
static void ngx_mesh_redis_sentinel_failed(ngx_mesh_redis_t *redis,
    ngx_uint_t class, ngx_str_t *reason);
static void ngx_mesh_redis_sentinel_closed(ngx_mesh_resp_t *resp,
    ngx_str_t *reason);
static void ngx_mesh_redis_sentinel_push(ngx_mesh_resp_t *resp,
    ngx_str_t *channel, ngx_str_t *message);


void
ngx_mesh_redis_sentinel_ask(ngx_mesh_redis_t *redis)
{
    redis->tried = 0;
    ngx_mesh_redis_sentinel_open(redis);
}


static void
ngx_mesh_redis_sentinel_open(ngx_mesh_redis_t *redis)
{
    ngx_mesh_resp_t         *resp;
    ngx_mesh_source_addr_t  *addr;

    addr = redis->source->addrs.elts;
    resp = &redis->sentinel;

    ngx_mesh_resp_close(resp);

    resp->data = redis;
    resp->source = redis->source;
    resp->addr = &addr[redis->asked];
    resp->timeout = redis->conf->timeout;
    resp->patience = redis->conf->timeout;
    resp->push = ngx_mesh_redis_sentinel_push;
    resp->closed = ngx_mesh_redis_sentinel_closed;

    if (ngx_mesh_resp_connect(resp) != NGX_OK
        || ngx_mesh_redis_sentinel_send(redis) != NGX_OK)
    {
        ngx_mesh_resp_close(resp);
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_OTHER, "no memory");
    }
}


static ngx_int_t
ngx_mesh_redis_sentinel_send(ngx_mesh_redis_t *redis)
{
    ngx_int_t  rc;
    ngx_str_t  args[3];

    rc = ngx_mesh_redis_auth(redis, &redis->sentinel,
                             &redis->conf->sentinel_username,
                             &redis->conf->sentinel_password_file);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&args[0], "SENTINEL");
    ngx_str_set(&args[1], "get-master-addr-by-name");
    args[2] = redis->conf->sentinel;

    return ngx_mesh_resp_send(&redis->sentinel, args, 3, 1,
                              ngx_mesh_redis_sentinel_reply, redis);
}


static void
ngx_mesh_redis_sentinel_reply(void *data, ngx_mesh_reply_t *reply)
{
    ngx_mesh_redis_t *redis = data;

    ngx_str_t  reason, args[2];

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        reason = reply->str;

        if (ngx_mesh_resp_is(reply, "NOAUTH")) {
            ngx_str_set(&reason, "NOAUTH Authentication required, it needs a "
                                 "\"sentinel_password_file=\"");
        }

        ngx_mesh_redis_sentinel_failed(redis, ngx_mesh_resp_class(&reply->str),
                                       &reason);
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->nelements != 2
        || reply->elements[0]->type != REDIS_REPLY_STRING
        || reply->elements[1]->type != REDIS_REPLY_STRING)
    {
        ngx_str_set(&reason, "it knows no master of the name of \"sentinel=\"");
        ngx_mesh_redis_sentinel_failed(redis, NGX_MESH_RESP_CONFIG, &reason);
        return;
    }

    ngx_str_set(&args[0], "SUBSCRIBE");
    ngx_str_set(&args[1], "+switch-master");

    if (ngx_mesh_resp_send(&redis->sentinel, args, 2, 1, NULL, NULL) != NGX_OK)
    {
        ngx_mesh_resp_close(&redis->sentinel);
    }

    ngx_mesh_redis_sentinel_found(redis, &reply->elements[0]->str,
                                  &reply->elements[1]->str);
}


static void
ngx_mesh_redis_sentinel_found(ngx_mesh_redis_t *redis, ngx_str_t *host,
    ngx_str_t *port)
{
    ngx_int_t  n;
    ngx_str_t  reason, url;
    u_char     text[NGX_MESH_REDIS_TEXT];

    n = ngx_atoi(port->data, port->len);

    if (n < 1 || n > 65535) {
        ngx_str_set(&reason, "it names a master without a port");
        ngx_mesh_redis_sentinel_failed(redis, NGX_MESH_RESP_OTHER, &reason);
        return;
    }

    url.data = text;
    url.len = ngx_snprintf(text, sizeof(text), "%s://%V:%i",
                           redis->sentinel.addr->ssl ? "rediss" : "redis",
                           host, n)
              - text;

    if (redis->state != NGX_MESH_REDIS_ASKING) {

        /* what was subscribed to before may have come to nothing */

        if (redis->state == NGX_MESH_REDIS_UP
            && !ngx_mesh_equal(&redis->master.url, &url))
        {
            ngx_mesh_redis_fail(redis, NGX_MESH_RESP_TRANSIENT,
                                "Sentinel has another master now: %V", &url);
        }

        return;
    }

    if (ngx_mesh_redis_sentinel_addr(redis, host, (in_port_t) n) != NGX_OK) {
        ngx_str_set(&reason, "it names a master whose address is not found");
        ngx_mesh_redis_sentinel_failed(redis, NGX_MESH_RESP_OTHER, &reason);
        return;
    }

    ngx_memcpy(redis->url, text, url.len);
    redis->master.url.data = redis->url;
    redis->master.url.len = url.len;
    redis->master.ssl = redis->sentinel.addr->ssl;

    ngx_mesh_redis_connect(redis, &redis->master);
}


static ngx_int_t
ngx_mesh_redis_sentinel_addr(ngx_mesh_redis_t *redis, ngx_str_t *host,
    in_port_t port)
{
    ngx_int_t                rc;
    ngx_addr_t               addr;
    ngx_pool_t              *pool;
    ngx_mesh_source_addr_t  *master;

    if (host->len == 0 || host->len > sizeof(redis->host)) {
        return NGX_DECLINED;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_parse_addr(pool, &addr, host->data, host->len);

    if (rc == NGX_DECLINED) {
        rc = ngx_mesh_redis_sentinel_resolve(host, port, pool, &addr);
    }

    if (rc == NGX_OK) {
        master = &redis->master;

        ngx_memcpy(&redis->sockaddr, addr.sockaddr, addr.socklen);
        master->sockaddr = (struct sockaddr *) &redis->sockaddr;
        master->socklen = addr.socklen;
        ngx_inet_set_port(master->sockaddr, port);

        ngx_memcpy(redis->host, host->data, host->len);
        master->host.data = redis->host;
        master->host.len = host->len;

        master->name.data = redis->name;
        master->name.len = ngx_sock_ntop(master->sockaddr, master->socklen,
                                         redis->name, NGX_SOCKADDR_STRLEN, 1);
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* a Sentinel with "announce-hostnames yes": this may take its time */

static ngx_int_t
ngx_mesh_redis_sentinel_resolve(ngx_str_t *host, in_port_t port,
    ngx_pool_t *pool, ngx_addr_t *addr)
{
    ngx_int_t  rc;
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host = *host;
    u.port = port;

    ngx_mesh_agent_busy();

#ifdef __GLIBC__
    if (res_init() == 0) {
        _res.retrans = NGX_MESH_REDIS_NAMES;
        _res.retry = NGX_MESH_REDIS_TWICE;
    }
#endif

    rc = ngx_inet_resolve_host(pool, &u);
    ngx_mesh_agent_idle();

    if (rc != NGX_OK || u.naddrs == 0) {
        return NGX_DECLINED;
    }

    *addr = u.addrs[0];

    return NGX_OK;
}


/* another one may know; all of them have been asked only once there is an
   error */

static void
ngx_mesh_redis_sentinel_failed(ngx_mesh_redis_t *redis, ngx_uint_t class,
    ngx_str_t *reason)
{
    ngx_uint_t  n;

    n = redis->source->addrs.nelts;

    ngx_mesh_resp_close(&redis->sentinel);

    if (redis->state == NGX_MESH_REDIS_ASKING && ++redis->tried >= n) {
        ngx_mesh_redis_fail(redis, class, "%V", reason);
        redis->asked = (redis->asked + 1) % n;
        return;
    }

    redis->asked = (redis->asked + 1) % n;

    if (redis->state == NGX_MESH_REDIS_ASKING) {
        ngx_mesh_redis_sentinel_open(redis);
    }
}


static void
ngx_mesh_redis_sentinel_closed(ngx_mesh_resp_t *resp, ngx_str_t *reason)
{
    ngx_mesh_redis_sentinel_failed(resp->data, ngx_mesh_resp_class(reason),
                                   reason);
}


void
ngx_mesh_redis_sentinel_ping(ngx_mesh_redis_t *redis)
{
    ngx_str_t  args[1];

    if (redis->sentinel.reader == NULL) {
        ngx_mesh_redis_sentinel_open(redis);
        return;
    }

    ngx_str_set(&args[0], "PING");
    (void) ngx_mesh_resp_send(&redis->sentinel, args, 1, 1, NULL, NULL);
}


/* "NAME OLD-ADDRESS OLD-PORT ADDRESS PORT" */

static void
ngx_mesh_redis_sentinel_push(ngx_mesh_resp_t *resp, ngx_str_t *channel,
    ngx_str_t *message)
{
    ngx_str_t         *name;
    ngx_mesh_redis_t  *redis;

    redis = resp->data;
    name = &redis->conf->sentinel;

    if (message->len <= name->len
        || ngx_memcmp(message->data, name->data, name->len) != 0
        || message->data[name->len] != ' ')
    {
        return;
    }

    if (redis->hurried
        && ngx_current_msec - redis->hurried < NGX_MESH_REDIS_HURRY)
    {
        return;
    }

    if (redis->state == NGX_MESH_REDIS_WAITING) {
        redis->hurried = ngx_current_msec;
        ngx_mesh_redis_hurry(redis);

    } else if (redis->state != NGX_MESH_REDIS_ASKING) {
        ngx_mesh_redis_fail(redis, NGX_MESH_RESP_TRANSIENT,
                            "Sentinel has another master now");
    }
}
