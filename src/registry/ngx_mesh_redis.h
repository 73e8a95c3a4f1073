
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_REDIS_H_INCLUDED_
#define _NGX_MESH_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh_discovery.h"
#include "ngx_mesh_redis_server.h"
#include "ngx_mesh_redis_view.h"
#include "ngx_mesh_resp.h"


/*
 * Private to the room, and there to the files of this name: a registry in
 * Redis as Dubbo keeps it.  Keys are the truth, messages are hints that it has
 * changed.  A source has two connections, whatever it has subscribed to: one
 * for commands and one for messages, and one more to a Sentinel.  They come
 * and go together, and after that everything is read again.
 */


#define NGX_MESH_REDIS_PORT      6379
#define NGX_MESH_REDIS_SENTINEL  26379

#define NGX_MESH_REDIS_PROVIDERS      0
#define NGX_MESH_REDIS_CONFIGURATORS  1
#define NGX_MESH_REDIS_ROUTERS        2
#define NGX_MESH_REDIS_CATEGORIES     3

/* discovery=all: one subscription to everything */
#define NGX_MESH_REDIS_PATTERN_OFF    0
#define NGX_MESH_REDIS_PATTERN_ASKED  1
#define NGX_MESH_REDIS_PATTERN_ON     2

#define NGX_MESH_REDIS_TEXT      200


/* source->conf */

typedef struct {
    ngx_str_t                  root;         /* "/dubbo/" */
    ngx_str_t                  username;
    ngx_str_t                  password_file;
    ngx_str_t                  sentinel;     /* name of the master; empty:
                                                addresses are its own */
    ngx_str_t                  sentinel_username;
    ngx_str_t                  sentinel_password_file;
    ngx_int_t                  db;           /* NGX_CONF_UNSET: no URL says */
    ngx_msec_t                 session;      /* of providers */
    ngx_msec_t                 refresh;      /* read again without a message */
    ngx_msec_t                 ping;
    ngx_msec_t                 timeout;
} ngx_mesh_redis_conf_t;


/* states of a source; what is not UP has no connection that may be used */

#define NGX_MESH_REDIS_WAITING     0         /* for the next try */
#define NGX_MESH_REDIS_ASKING      1         /* a Sentinel for the master */
#define NGX_MESH_REDIS_CONNECTING  2
#define NGX_MESH_REDIS_UP          3

typedef struct ngx_mesh_redis_s      ngx_mesh_redis_t;
typedef struct ngx_mesh_redis_sub_s  ngx_mesh_redis_sub_t;

struct ngx_mesh_redis_s {
    ngx_mesh_source_t         *source;
    ngx_mesh_redis_conf_t     *conf;
    ngx_uint_t                 state;
    ngx_event_t                retry;        /* of what is waited for */
    ngx_msec_t                 backoff;      /* it grows with failures */
    ngx_msec_t                 left;         /* to be waited */
    ngx_uint_t                 class;        /* of the last failure */
    ngx_uint_t                 failures;     /* since it was up for a while */
    ngx_msec_t                 since;        /* it is up */
    uint64_t                   secret;       /* of the password that failed:
                                                its file's stamp; 0: none did */

    ngx_uint_t                 current;      /* of source->addrs */
    ngx_mesh_source_addr_t    *addr;         /* it is, or was, connected to */
    ngx_mesh_resp_t            command;
    ngx_mesh_resp_t            listener;
    unsigned                   greeted:1;    /* the server has said who it is */
    unsigned                   heard:1;      /* and that messages come */

    /* the server, and the one before */
    ngx_mesh_redis_server_t    server;
    ngx_mesh_redis_server_t    known;
    ngx_msec_t                 doubt;        /* it may have lost data: until */
    unsigned                   doubtful:1;
    unsigned                   good:1;       /* a read went well */
    unsigned                   met:1;        /* there was one before */
    int64_t                    clock;        /* its ms since 1970 less ours */

    /* whether messages come */
    ngx_event_t                ping;
    ngx_str_t                  channel;      /* of our own */
    ngx_uint_t                 sent;         /* the last of its messages */
    ngx_uint_t                 published;    /* the server has taken it */
    ngx_msec_t                 answered;     /* then */
    ngx_uint_t                 received;
    ngx_uint_t                 pattern;      /* NGX_MESH_REDIS_PATTERN_* */
    unsigned                   canary:1;     /* publishing is allowed */
    unsigned                   mute:1;       /* it is not, which was said */
    unsigned                   deaf:1;       /* subscribing is not allowed */
    unsigned                   told:1;       /* which was said */
    unsigned                   evicts:1;     /* what is read, which was said */

    /* reads */
    ngx_queue_t                subs;         /* ngx_mesh_redis_sub_t */
    ngx_queue_t                ready;        /* to be read when others are */
    ngx_uint_t                 reading;

    /* discovery=all */
    ngx_event_t                scan;
    ngx_pool_t                *names_pool;   /* of a scan; NULL: none runs */
    ngx_array_t                names;
    ngx_msec_t                 scanned;      /* the last one began */
    ngx_uint_t                 steps;        /* it has taken so far */
    ngx_str_t                  cursor;
    u_char                     digits[NGX_INT64_LEN];
    unsigned                   rescan:1;     /* another one is wanted */

    /* Sentinel */
    ngx_mesh_resp_t            sentinel;
    ngx_uint_t                 asked;        /* of source->addrs */
    ngx_uint_t                 tried;        /* of them, this time */
    ngx_msec_t                 hurried;      /* it was followed at once, then */
    ngx_mesh_source_addr_t     master;
    struct sockaddr_storage    sockaddr;
    u_char                     url[NGX_MESH_REDIS_TEXT];
    u_char                     name[NGX_SOCKADDR_STRLEN];
    u_char                     host[NGX_MESH_REDIS_TEXT];
};


/* subscription->data */

struct ngx_mesh_redis_sub_s {
    ngx_queue_t                queue;        /* redis->subs */
    ngx_queue_t                ready;        /* redis->ready */
    ngx_mesh_redis_t          *redis;
    ngx_mesh_subscription_t   *subscription;
    ngx_str_t                  keys[NGX_MESH_REDIS_CATEGORIES];
    ngx_mesh_redis_view_t      view;

    ngx_event_t                timer;        /* of the next read */
    ngx_msec_t                 started;      /* the last read */
    ngx_msec_t                 took;
    ngx_msec_t                 again;        /* wanted by the table; 0: not */

    /* the read that runs */
    ngx_pool_t                *pool;         /* NULL: none does */
    ngx_array_t                rules;        /* ngx_str_t, configurators */
    ngx_str_t                  routers;      /* what there is of them */
    ngx_str_t                  failed;       /* why it says nothing */
    ngx_uint_t                 left;         /* replies */

    uint32_t                   sum;          /* of the rules applied last */
    ngx_uint_t                 gone;         /* "unregister" of whom nobody
                                                knows yet */
    ngx_mesh_source_addr_t    *addr;         /* the last read was of */

    ngx_uint_t                 unacked;      /* channels */
    unsigned                   acked:1;      /* messages come */
    unsigned                   queued:1;     /* in redis->ready */
    unsigned                   warned:1;     /* that it cannot be read */
    unsigned                   hinted:1;     /* while a read runs */
    unsigned                   going:1;      /* such a message came while a
                                                read runs */
    unsigned                   fresh:1;      /* first read of a connection */
    unsigned                   applied:1;    /* the table has what was read */
    unsigned                   compared:1;   /* with what the table had */
};


/* ngx_mesh_redis_conf.c */

void *ngx_mesh_redis_create_conf(ngx_conf_t *cf);
ngx_int_t ngx_mesh_redis_url(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *url, ngx_str_t *path);
ngx_int_t ngx_mesh_redis_param(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value);
ngx_int_t ngx_mesh_redis_init_conf(ngx_conf_t *cf, ngx_mesh_source_t *source);


/* ngx_mesh_redis.c: the source and its connections */

/* it cannot go on: both connections go, and come again later; class as
   ngx_mesh_resp_class() says it */
void ngx_mesh_redis_fail(ngx_mesh_redis_t *redis, ngx_uint_t class,
    const char *fmt, ...);

/* the same for an error that a server answered to a command */
void ngx_mesh_redis_refused(ngx_mesh_redis_t *redis, const char *command,
    ngx_str_t *error);

/* waits no more */
void ngx_mesh_redis_hurry(ngx_mesh_redis_t *redis);

/* the address of the master, from a Sentinel */
void ngx_mesh_redis_connect(ngx_mesh_redis_t *redis,
    ngx_mesh_source_addr_t *addr);

/*
 * Sends AUTH, if there is a password or a user; the password is read from its
 * file each time.  NGX_DECLINED: it cannot be read, which was taken for a
 * failure.
 */
ngx_int_t ngx_mesh_redis_auth(ngx_mesh_redis_t *redis, ngx_mesh_resp_t *resp,
    ngx_str_t *username, ngx_str_t *file);

/* replies to ROLE and TIME, data is the source's */
void ngx_mesh_redis_role_handler(void *data, ngx_mesh_reply_t *reply);
void ngx_mesh_redis_time_handler(void *data, ngx_mesh_reply_t *reply);

void ngx_mesh_redis_event(ngx_event_t *ev, ngx_event_handler_pt handler,
    void *data);

/* the server's clock, ms since 1970 */
int64_t ngx_mesh_redis_clock(ngx_mesh_redis_t *redis);


/* ngx_mesh_redis_listen.c: messages, and whether they come */

ngx_int_t ngx_mesh_redis_listen(ngx_mesh_redis_t *redis);
ngx_int_t ngx_mesh_redis_listen_sub(ngx_mesh_redis_sub_t *sub);
void ngx_mesh_redis_unlisten_sub(ngx_mesh_redis_sub_t *sub);
void ngx_mesh_redis_ping_handler(ngx_event_t *ev);

/* when both connections have said what they had to */
void ngx_mesh_redis_ready(ngx_mesh_redis_t *redis);


/* ngx_mesh_redis_read.c: what an interface has */

/* now, or when it is its turn */
void ngx_mesh_redis_read(ngx_mesh_redis_sub_t *sub);

/* a message about it came */
void ngx_mesh_redis_hint(ngx_mesh_redis_sub_t *sub, ngx_uint_t category,
    ngx_str_t *message);

/* reads that wait for others */
void ngx_mesh_redis_read_next(ngx_mesh_redis_t *redis);

/* no read runs any more */
void ngx_mesh_redis_abort(ngx_mesh_redis_sub_t *sub);
void ngx_mesh_redis_read_handler(ngx_event_t *ev);


/* ngx_mesh_redis_apply.c: and what of it becomes the table's */

void ngx_mesh_redis_apply(ngx_mesh_redis_sub_t *sub);


/* ngx_mesh_redis_scan.c: what interfaces there are */

void ngx_mesh_redis_scan(ngx_mesh_redis_t *redis);
void ngx_mesh_redis_scan_stop(ngx_mesh_redis_t *redis);
void ngx_mesh_redis_scan_handler(ngx_event_t *ev);

/* a message about an interface that is not subscribed */
void ngx_mesh_redis_scan_hint(ngx_mesh_redis_t *redis, ngx_str_t *channel);


/* ngx_mesh_redis_sentinel.c */

void ngx_mesh_redis_sentinel_ask(ngx_mesh_redis_t *redis);

/* now and then: asks another one when the connection is gone */
void ngx_mesh_redis_sentinel_ping(ngx_mesh_redis_t *redis);


#endif /* _NGX_MESH_REDIS_H_INCLUDED_ */
