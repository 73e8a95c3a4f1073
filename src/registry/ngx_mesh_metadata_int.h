
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_METADATA_INT_H_INCLUDED_
#define _NGX_MESH_METADATA_INT_H_INCLUDED_


#include "ngx_mesh_fetch.h"
#include "ngx_mesh_metadata.h"
#include "ngx_mesh_tree.h"


/* Private to the files of applications: instances, what they say, asking. */


/* bytes of an answer, as a consumer of Dubbo would take */
#define NGX_MESH_METADATA_SIZE      (8 * 1024 * 1024)

/* values in it */
#define NGX_MESH_METADATA_VALUES    (1024 * 1024)

/* bytes of what is kept of it */
#define NGX_MESH_METADATA_ROOM      (32 * 1024 * 1024)


/* a service that a revision has */

typedef struct {
    ngx_str_t                  path;         /* what calls name */
    ngx_str_t                  group;
    ngx_str_t                  version;
    ngx_str_t                  protocol;
    ngx_uint_t                 port;         /* 0: the instance's */
    ngx_keyval_t              *params;
    ngx_uint_t                 nparams;
} ngx_mesh_metadata_service_t;


/*
 * What getMetadataInfo() returned for the revision, as an object of Java or as
 * JSON: copies its services (ngx_mesh_metadata_service_t) into memory of the
 * pool.  NGX_DECLINED: it is something else, *why says so.
 */
ngx_int_t ngx_mesh_metadata_tree(ngx_mesh_tree_t *value, ngx_str_t *revision,
    ngx_pool_t *pool, ngx_array_t *services, char **why);
ngx_int_t ngx_mesh_metadata_json(cJSON *value, ngx_str_t *revision,
    ngx_pool_t *pool, ngx_array_t *services, char **why);


/* an instance of an application, as Consul has it */

typedef struct {
    ngx_str_t                  host;
    ngx_uint_t                 port;         /* it is registered with */
    ngx_uint_t                 dubbo;        /* port of that protocol, 0: it
                                                has none */
    ngx_str_t                  revision;     /* empty: it offers nothing */
    ngx_str_t                  asked;        /* protocol of its metadata */
    ngx_uint_t                 asked_port;   /* 0: nowhere */
    cJSON                     *entry;
    cJSON                     *service;
    unsigned                   remote:1;     /* its metadata is elsewhere */
} ngx_mesh_metadata_instance_t;

/*
 * Strings are of the document or of the pool.  NGX_DECLINED: the entry is no
 * instance of Dubbo 3; NGX_DONE: nobody should call it.
 */
ngx_int_t ngx_mesh_metadata_instance(cJSON *entry, ngx_pool_t *pool,
    ngx_mesh_metadata_instance_t *instance);

/*
 * The entry of a service of that instance.  NULL: no memory.  What it has of
 * the instance's is by reference.
 */
cJSON *ngx_mesh_metadata_entry(ngx_mesh_metadata_instance_t *instance,
    ngx_mesh_metadata_service_t *service, ngx_pool_t *pool);


/* whether the service takes no calls of Dubbo's protocol */
ngx_uint_t ngx_mesh_metadata_foreign(ngx_mesh_metadata_service_t *service);


/* where a revision can be asked for */

typedef struct {
    ngx_mesh_source_addr_t     addr;
    u_char                     sockaddr[NGX_SOCKADDRLEN];
    u_char                     text[NGX_SOCKADDR_STRLEN];
    ngx_uint_t                 http;         /* else Dubbo's protocol */
} ngx_mesh_metadata_place_t;

/* NGX_DECLINED: the host is no address */
ngx_int_t ngx_mesh_metadata_place(ngx_mesh_metadata_place_t *place,
    ngx_str_t *host, ngx_uint_t port, ngx_uint_t http);


/* one question, to one instance */

typedef struct ngx_mesh_metadata_ask_s  ngx_mesh_metadata_ask_t;

struct ngx_mesh_metadata_ask_s {
    /* set by the owner; strings live as long as the question */
    void                      *data;
    ngx_mesh_source_t         *source;
    ngx_str_t                  app;
    ngx_str_t                  revision;
    ngx_mesh_metadata_place_t  place;

    /*
     * Called once, never from inside of the functions below.  The services,
     * whose pool is the owner's from then on; or NULL, and why.
     */
    void                     (*done)(ngx_mesh_metadata_ask_t *ask,
                                     ngx_pool_t *pool, ngx_array_t *services,
                                     ngx_str_t *error);

    /* private; all zeroes at first */
    ngx_mesh_net_t             net;
    ngx_mesh_fetch_t           fetch;
    ngx_event_t                timer;        /* for all of it */
    ngx_str_t                  bytes;        /* of the heap */
    size_t                     size;
    unsigned                   busy:1;
};

/* NGX_ERROR: no memory */
ngx_int_t ngx_mesh_metadata_ask(ngx_mesh_metadata_ask_t *ask);

/* done() is not called */
void ngx_mesh_metadata_ask_close(ngx_mesh_metadata_ask_t *ask);


/* what is known of applications */

/* instances of a revision that are asked one after the other */
#define NGX_MESH_METADATA_PLACES    8

#define NGX_MESH_METADATA_NEW       0        /* nobody is asked */
#define NGX_MESH_METADATA_QUEUED    1
#define NGX_MESH_METADATA_ASKED     2
#define NGX_MESH_METADATA_RESTS     3        /* all failed; timer */
#define NGX_MESH_METADATA_KNOWN     4


typedef struct {
    ngx_queue_t                queue;
    ngx_mesh_source_t         *source;
    ngx_str_t                  name;
    ngx_rbtree_t               revisions;
    ngx_rbtree_node_t          sentinel;
    ngx_queue_t                all;          /* the same */
    ngx_queue_t                waits;
    ngx_uint_t                 count;        /* of answers looked at */
    ngx_uint_t                 busy;         /* QUEUED and ASKED */
    time_t                     used;
    ngx_rbtree_t               members;
    ngx_rbtree_node_t          nobody;       /* their sentinel */
    ngx_queue_t                seen;         /* the same */
    unsigned                   news:1;       /* for those who wait */
    unsigned                   settled:1;    /* an answer was made use of: what
                                                comes later takes nothing away
                                                while it is unknown */
} ngx_mesh_metadata_app_t;


typedef struct {
    ngx_str_node_t             sn;           /* the revision */
    ngx_queue_t                queue;        /* of its application */
    ngx_queue_t                turn;         /* QUEUED */
    ngx_mesh_metadata_app_t   *app;
    ngx_uint_t                 state;
    ngx_uint_t                 count;        /* last answer that has it */
    time_t                     used;

    ngx_pool_t                *pool;         /* KNOWN */
    ngx_array_t               *services;

    /* not KNOWN */
    ngx_mesh_metadata_place_t *places;       /* of that answer */
    ngx_uint_t                 nplaces;
    ngx_uint_t                 place;        /* which is, or was, asked */
    ngx_uint_t                 tries;        /* in this round */
    ngx_msec_t                 since;        /* of the first question */
    ngx_msec_t                 backoff;
    ngx_event_t                timer;
    ngx_mesh_metadata_ask_t   *ask;
    ngx_str_t                  error;        /* of the heap */
    unsigned                   lost:1;       /* patience is at its end */
} ngx_mesh_metadata_revision_t;


/* an instance, and the last revision of it that is known */

typedef struct {
    ngx_str_node_t             sn;           /* "HOST:PORT" */
    ngx_queue_t                queue;
    ngx_uint_t                 count;
    ngx_mesh_metadata_revision_t  *revision;
} ngx_mesh_metadata_member_t;


/* found or made; NULL: no memory */
ngx_mesh_metadata_app_t *ngx_mesh_metadata_app(ngx_mesh_source_t *source,
    ngx_str_t *name);
ngx_mesh_metadata_revision_t *ngx_mesh_metadata_revision(
    ngx_mesh_metadata_app_t *app, ngx_str_t *name);

/* the instance has that revision, which is KNOWN; or (NULL) what it had when
   it was known, NULL: it never was, or there is no memory */
ngx_mesh_metadata_revision_t *ngx_mesh_metadata_member(
    ngx_mesh_metadata_app_t *app, ngx_str_t *host, ngx_uint_t port,
    ngx_mesh_metadata_revision_t *revision);

/* forgets instances that the answer does not have */
void ngx_mesh_metadata_members(ngx_mesh_metadata_app_t *app);

/* a NEW one is to be asked for */
void ngx_mesh_metadata_want(ngx_mesh_metadata_revision_t *r);

/* asks, as long as there are not too many questions */
void ngx_mesh_metadata_next(void);


#endif /* _NGX_MESH_METADATA_INT_H_INCLUDED_ */
