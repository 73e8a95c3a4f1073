
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_CONSUL_H_INCLUDED_
#define _NGX_MESH_CONSUL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh_discovery.h"
#include "ngx_mesh_fetch.h"
#include "ngx_mesh_metadata.h"
#include "ngx_mesh_consul_rule.h"


/* private to ngx_mesh_consul*.c */


/* the directive's parameters that are Consul's own */

typedef struct {
    ngx_str_t                  token_file;
    ngx_str_t                  query;        /* "&dc=..." */
    ngx_msec_t                 wait;
    ngx_msec_t                 stale;        /* 0: ask leaders only */
    ngx_uint_t                 max_watches;
    ngx_uint_t                 places;       /* bits: which were given */
} ngx_mesh_consul_conf_t;


#define NGX_MESH_CONSUL_NONE  ((ngx_uint_t) -1)  /* of the addresses */


typedef struct ngx_mesh_consul_s        ngx_mesh_consul_t;
typedef struct ngx_mesh_consul_watch_s  ngx_mesh_consul_watch_t;
typedef struct ngx_mesh_consul_app_s    ngx_mesh_consul_app_t;


/* an address, as it behaves */

typedef struct {
    ngx_msec_t                 backoff;      /* 0: it works, as far as known */
    ngx_msec_t                 until;        /* not asked before */
    ngx_uint_t                 bad;          /* answers in a row that were no
                                                Consul's */
    ngx_mesh_consul_watch_t   *probe;        /* tries whether it is back */
} ngx_mesh_consul_addr_t;


/* a connection, of which there are as many as max_watches says */

typedef struct {
    ngx_queue_t                queue;        /* of those that are free */
    ngx_mesh_fetch_t           fetch;
} ngx_mesh_consul_slot_t;


/* an application that provides what is subscribed to */

typedef struct {
    ngx_queue_t                queue;        /* of the application */
    ngx_mesh_consul_app_t     *app;
    ngx_mesh_consul_watch_t   *watch;        /* of the interface */
    ngx_mesh_metadata_wait_t   wait;
} ngx_mesh_consul_link_t;


/* it is watched once for all its interfaces */

struct ngx_mesh_consul_app_s {
    ngx_queue_t                queue;
    ngx_pool_t                *pool;
    ngx_str_t                  name;
    ngx_mesh_consul_watch_t   *watch;
    ngx_queue_t                links;
};


/*
 * What is asked about one service: an interface (s), an application (app), or
 * else about the catalog.  If it is watched it has a connection of its own and
 * waits there for changes; the others take turns with the rest.
 */

struct ngx_mesh_consul_watch_s {
    ngx_mesh_consul_t         *consul;
    ngx_mesh_subscription_t   *s;
    ngx_mesh_consul_app_t     *app;
    ngx_str_t                  name;         /* of the service */
    ngx_mesh_consul_slot_t    *slot;
    ngx_queue_t                queue;        /* watched, or rotated */
    ngx_queue_t                ready;        /* waits for a connection */
    ngx_event_t                timer;
    ngx_str_t                  path;         /* with room for the rest */
    size_t                     base;         /* its length without the rest */

    uint64_t                   index;        /* to be sent; 0: unknown */
    uint64_t                   raw;          /* of the bytes of what is held */
    uint64_t                   hash;         /* of what they mean */
    uint64_t                   doubt;        /* of what this address said that
                                                is less than what is held */
    ngx_uint_t                 held;         /* entries, or UNHELD */
    ngx_uint_t                 addr;         /* that said so; NONE: it was
                                                said to another agent */
    ngx_uint_t                 asked;        /* is asked now */
    ngx_uint_t                 accused;      /* said what the guard holds */
    ngx_uint_t                 doubts;       /* in a row */
    ngx_mesh_consul_bucket_t   bucket;
    ngx_msec_t                 backoff;
    ngx_msec_t                 promoted;     /* when */
    ngx_msec_t                 recheck;      /* the guard wants it read then */
    ngx_msec_t                 until;        /* it may keep us waiting */

    /* where an answer is but a part of what is said of an interface */
    ngx_mesh_consul_link_t    *links;
    ngx_uint_t                 nlinks;
    cJSON                     *entries;      /* the last answer */
    ngx_msec_t                 read;         /* when */
    ngx_msec_t                 since;        /* the guard has held it */

    unsigned                   watched:1;
    unsigned                   busy:1;
    unsigned                   waits:1;      /* in "ready" */
    unsigned                   delayed:1;    /* until its address is back */
    unsigned                   plain:1;      /* no blocking query next */
    unsigned                   sure:1;       /* nor one of a follower */
    unsigned                   sent_token:1;
    unsigned                   sent_stale:1;
    unsigned                   blocking:1;   /* the one that is under way */
    unsigned                   settled:1;    /* the table has what is held */
    unsigned                   early:1;      /* its answer came before that */
    unsigned                   guarded:1;    /* recheck is set */
    unsigned                   other:1;      /* of another address, if any */
    unsigned                   failing:1;
    unsigned                   woken:2;      /* to try: 1; it failed again: 2 */
    unsigned                   slow:1;       /* until somebody mends it */
    unsigned                   retold:1;     /* the token was read again */
};


struct ngx_mesh_consul_s {
    ngx_mesh_source_t         *source;
    ngx_mesh_consul_conf_t    *conf;
    ngx_pool_t                *pool;
    ngx_mesh_consul_addr_t    *addrs;
    ngx_uint_t                 current;      /* address */

    ngx_mesh_consul_slot_t    *slots;
    ngx_uint_t                 nslots;
    ngx_uint_t                 allowed;      /* of these: fewer after a 429 */
    ngx_uint_t                 used;
    ngx_queue_t                free;
    ngx_queue_t                ready;
    ngx_queue_t                watched;
    ngx_queue_t                rotated;
    ngx_uint_t                 nwatched;
    ngx_uint_t                 nrotated;
    ngx_mesh_consul_watch_t   *catalog;
    ngx_queue_t                apps;

    ngx_str_t                  header;       /* with the token, or empty */
    ngx_uint_t                 bad_token;    /* it cannot be read, there is
                                                none */
    time_t                     token_mtime;
    long                       token_nsec;
    off_t                      token_size;
    ngx_file_uniq_t            token_uniq;

    ngx_event_t                tick;
    ngx_uint_t                 ticks;
    ngx_uint_t                 failing;      /* watches */
    unsigned                   good:1;       /* the state is OK */
};


/* ngx_mesh_consul_conf.c */

void *ngx_mesh_consul_create(ngx_conf_t *cf);
ngx_int_t ngx_mesh_consul_url(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *url, ngx_str_t *path);
ngx_int_t ngx_mesh_consul_param(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value);


/* ngx_mesh_consul.c */

/* a new one, which is not watched yet and does not ask; NULL: no memory */
ngx_mesh_consul_watch_t *ngx_mesh_consul_watch(ngx_mesh_consul_t *consul,
    ngx_pool_t *pool, char *path, ngx_str_t *name);

/* it begins */
void ngx_mesh_consul_begin(ngx_mesh_consul_watch_t *w);

/* all over again, as if nothing had been heard */
void ngx_mesh_consul_again(ngx_mesh_consul_watch_t *w);

/* asks in so many ms */
void ngx_mesh_consul_later(ngx_mesh_consul_watch_t *w, ngx_msec_t ms);

/* its connection is not needed for now */
void ngx_mesh_consul_release(ngx_mesh_consul_watch_t *w);

/* the server counts connections: one less */
void ngx_mesh_consul_fewer(ngx_mesh_consul_t *consul);


/* ngx_mesh_consul_watch.c */

/* it has a connection and asks now */
void ngx_mesh_consul_ask(ngx_mesh_consul_watch_t *w);

/* what is under way is dropped */
void ngx_mesh_consul_cancel(ngx_mesh_consul_watch_t *w);

void ngx_mesh_consul_done(ngx_mesh_fetch_t *fetch, ngx_mesh_reply_t *reply,
    ngx_str_t *error);

/* it is gone, with what it counted for */
void ngx_mesh_consul_drop(ngx_mesh_consul_watch_t *w);

/* what reconciling has said of what is held */
void ngx_mesh_consul_settle(ngx_mesh_consul_watch_t *w, ngx_int_t rc,
    ngx_msec_t again);


/* ngx_mesh_consul_app.c */

/* the applications that provide it, as far as there are any */
ngx_int_t ngx_mesh_consul_provided(ngx_mesh_consul_watch_t *w);

/* they have one reason less to be watched */
void ngx_mesh_consul_abandon(ngx_mesh_consul_watch_t *w);

/* whether anybody calls what it is about */
ngx_uint_t ngx_mesh_consul_called(ngx_mesh_consul_watch_t *w);

/* the answer is kept, and belongs to the watch */
void ngx_mesh_consul_keep(ngx_mesh_consul_watch_t *w, cJSON *entries);

/*
 * What is known of an interface by its own name and by its applications goes
 * into the table.  As ngx_mesh_reconcile(), and NGX_BUSY: a part is missing,
 * which was told as far as it is worth while.
 */
ngx_int_t ngx_mesh_consul_combine(ngx_mesh_consul_watch_t *w,
    ngx_msec_t *again);

/* an application has answered */
void ngx_mesh_consul_shared(ngx_mesh_consul_app_t *app, ngx_uint_t changed);

/* nothing is known of it, or of the interfaces of the application */
void ngx_mesh_consul_tell(ngx_mesh_consul_watch_t *w, ngx_str_t *reason);


/* ngx_mesh_consul_addr.c */

/* the address to ask, another than "except" if it is one and there is one;
   *delay: ms to wait before */
ngx_uint_t ngx_mesh_consul_choose(ngx_mesh_consul_watch_t *w,
    ngx_uint_t except, ngx_msec_t *delay);

void ngx_mesh_consul_works(ngx_mesh_consul_watch_t *w, ngx_uint_t addr);
void ngx_mesh_consul_fails(ngx_mesh_consul_watch_t *w, ngx_uint_t addr);

/* reads the token if its file has changed, or anyway; NGX_OK: it is another
   one, NGX_DECLINED: it is not, NGX_ERROR: there is none */
ngx_int_t ngx_mesh_consul_token(ngx_mesh_consul_t *consul, ngx_uint_t anyway);


#endif /* _NGX_MESH_CONSUL_H_INCLUDED_ */
