
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_DISCOVERY_H_INCLUDED_
#define _NGX_MESH_DISCOVERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh.h"
#include "ngx_mesh_item.h"
#include "ngx_mesh_registry.h"


/*
 * Private to the room: registries as the agent and their configuration see
 * them.  What a kind of registry (Consul, Redis) gives is a type; what it
 * says of an interface goes through ngx_mesh_reconcile() into the table.
 */


typedef struct ngx_mesh_source_s        ngx_mesh_source_t;
typedef struct ngx_mesh_subscription_s  ngx_mesh_subscription_t;


/* one address of a registry, as configured */

typedef struct {
    ngx_str_t                  url;          /* without userinfo; for people */
    ngx_str_t                  name;         /* ADDRESS:PORT or unix:PATH */
    ngx_str_t                  host;         /* for Host: and TLS */
    struct sockaddr           *sockaddr;
    socklen_t                  socklen;
    unsigned                   ssl:1;
} ngx_mesh_source_addr_t;


/* a kind of registry */

typedef struct {
    ngx_str_t                  name;         /* "consul": "registry NAME" */
    ngx_uint_t                 port;         /* of URLs without one */
    ngx_str_t                 *schemes;      /* "http://", then that of TLS,
                                                others; null ends */

    /*
     * Configuration: a fresh one of its own (source->conf); a parameter that
     * is not common, NGX_DECLINED: unknown, NGX_ERROR: logged; and, when the
     * directive is complete, what follows from it.  url() is called for each
     * URL, with all of it and with what follows its authority; a userinfo in
     * it is for the type, NULL: there are none in this kind of URLs.
     */
    void                    *(*create)(ngx_conf_t *cf);
    ngx_int_t                (*url)(ngx_conf_t *cf, ngx_mesh_source_t *source,
                                    ngx_str_t *url, ngx_str_t *path);
    ngx_int_t                (*param)(ngx_conf_t *cf,
                                      ngx_mesh_source_t *source,
                                      ngx_str_t *value);
    ngx_int_t                (*init)(ngx_conf_t *cf,
                                     ngx_mesh_source_t *source);

    /*
     * In the agent, with the lease.  After stop() nothing of the source runs
     * and subscriptions are forgotten; unsubscribe() is called before a
     * subscription goes.  resync(): read again now, whatever back-off says,
     * one subscription or (NULL) all and the catalog.
     */
    ngx_int_t                (*start)(ngx_mesh_source_t *source);
    void                     (*stop)(ngx_mesh_source_t *source);
    ngx_int_t                (*subscribe)(ngx_mesh_subscription_t *s);
    void                     (*unsubscribe)(ngx_mesh_subscription_t *s);
    void                     (*resync)(ngx_mesh_source_t *source,
                                       ngx_mesh_subscription_t *s);
} ngx_mesh_source_type_t;


extern ngx_mesh_source_type_t  ngx_mesh_consul_type;
extern ngx_mesh_source_type_t  ngx_mesh_redis_type;


/* a "registry" of the configuration */

struct ngx_mesh_source_s {
    ngx_str_t                  name;         /* owner of what it brings */
    ngx_mesh_source_type_t    *type;
    ngx_array_t                addrs;        /* ngx_mesh_source_addr_t */
    ngx_uint_t                 discovery;    /* NGX_MESH_DISCOVERY_* */
    ngx_uint_t                 max_services;
    ngx_msec_t                 idle;         /* lazy ones unused so long are
                                                unsubscribed */
    ngx_str_t                  protocol;     /* of plain services, or empty */
    void                      *conf;         /* the type's */

    ngx_str_t                  trusted_certificate;
    ngx_str_t                  certificate;
    ngx_str_t                  certificate_key;
    ngx_str_t                  ssl_name;     /* empty: host of the URL */
    ngx_flag_t                 ssl_verify;
    ngx_str_t                  ssl_param;    /* the first of these, as given */
#if (NGX_SSL)
    ngx_ssl_t                 *ssl;          /* NULL: no https/rediss URL */
#endif

    /* in the agent */
    void                      *data;         /* the type's */
    ngx_rbtree_t               subscriptions;
    ngx_rbtree_node_t          sentinel;
    ngx_uint_t                 nsubscriptions;
    ngx_uint_t                 cataloged;    /* a catalog was read */
    size_t                     answers;      /* bytes of them in memory */
    ngx_mesh_source_status_t  *status;       /* in the zone */
    unsigned                   full:1;       /* max_services, which was said */
};


/*
 * An interface that a source is asked about.  Created and destroyed by
 * ngx_mesh_discovery.c; memory is of its pool.
 */

struct ngx_mesh_subscription_s {
    ngx_str_node_t             sn;           /* sn.str: the interface */
    ngx_mesh_source_t         *source;
    ngx_pool_t                *pool;
    ngx_array_t                apps;         /* ngx_str_t, "provided_by" */
    ngx_str_t                  protocol;     /* of plain services, or empty */
    void                      *data;         /* the type's */

    unsigned                   lazy:1;       /* only callers want it */
    unsigned                   listed:1;     /* configuration or API do */
    unsigned                   found:1;      /* the catalog has it */
    unsigned                   hot:1;        /* used lately: watched first */
    unsigned                   forced:1;     /* an operator believes the next
                                                answer, until there is one */

    /* private to ngx_mesh_reconcile.c */
    void                      *guard;

    /* private to ngx_mesh_discovery.c */
    ngx_msec_t                 since;
    ngx_uint_t                 seen;         /* in which catalog */
    unsigned                   gone:1;       /* from the catalog: until the
                                                guard lets it go */
};


/* one endpoint that an answer has; key and endpoint belong to the answer */

typedef struct {
    ngx_str_t                  group;
    ngx_str_t                  version;
    ngx_mesh_endpoint_t        ep;           /* id and owner are filled in */
    unsigned                   weighted:1;   /* its SDK gave the weight */
} ngx_mesh_record_t;


#define NGX_MESH_UPDATE_SAME     0
#define NGX_MESH_UPDATE_SET      1
#define NGX_MESH_UPDATE_UNKNOWN  2           /* nothing is taken away */

typedef struct {
    ngx_uint_t                 what;         /* NGX_MESH_UPDATE_* */
    ngx_array_t               *records;      /* SET: ngx_mesh_record_t */
    ngx_str_t                  reason;       /* UNKNOWN: why, for people */
    ngx_uint_t                 independent;  /* SET: of another address, or
                                                otherwise not the source that
                                                said so before */
    ngx_uint_t                 forced;       /* an operator says it is so */

    /* what an operator should know; empty: nothing.  Shown in the API */
    ngx_str_t                  unmapped;     /* "application-level ..." */
    ngx_str_t                  unsupported;  /* "condition routers" ... */
} ngx_mesh_update_t;

/*
 * The one way from a registry into the table: compares, guards, commits.
 * NGX_OK: the table is what the update says; NGX_AGAIN: the guard holds, or
 * another process committed meanwhile: a new read is wanted, not before
 * *again ms have passed; NGX_ERROR: the zone is full or there is no memory,
 * which was logged and is tried again by itself.
 */
ngx_int_t ngx_mesh_reconcile(ngx_mesh_subscription_t *s,
    ngx_mesh_update_t *update, ngx_msec_t *again);

/* the subscription goes: what it brought goes too, unless "keep" */
void ngx_mesh_reconcile_forget(ngx_mesh_subscription_t *s, ngx_uint_t keep);


/*
 * What is of owners that are no registries of the configuration goes; so does
 * what a registry has of an interface that is stray to it, which means that it
 * may not be asked about it any more.  But as long as an interface is pending,
 * which means that others have not answered yet, it stays: NGX_AGAIN.
 * NGX_ERROR: nothing was done.  Either function may be NULL: nothing is so.
 */
typedef ngx_uint_t (*ngx_mesh_stray_pt)(ngx_mesh_source_t *source,
    ngx_str_t *interface);
typedef ngx_uint_t (*ngx_mesh_pending_pt)(ngx_str_t *interface);

ngx_int_t ngx_mesh_reconcile_orphans(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_stray_pt stray, ngx_mesh_pending_pt pending);


/* ngx_mesh_source_param.c: parameters of "registry", while it is read */

/* one that all kinds have; NGX_DECLINED: it is none of these */
ngx_int_t ngx_mesh_source_param(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value);

/* logs what a value must be, and returns NGX_ERROR */
ngx_int_t ngx_mesh_source_invalid(ngx_conf_t *cf, ngx_str_t *value,
    char *right);

/* what follows "NAME="; NGX_DECLINED: it is another parameter; NGX_ERROR:
   nothing does, which was logged */
ngx_int_t ngx_mesh_source_string(ngx_conf_t *cf, ngx_str_t *value, char *name,
    ngx_str_t *s);

/* behind so many bytes; NGX_ERROR was logged */
ngx_int_t ngx_mesh_source_number(ngx_conf_t *cf, ngx_str_t *value, size_t skip,
    ngx_uint_t min, ngx_uint_t max, ngx_uint_t *number);

/* the same; NGX_DECLINED: it is none, or not in these bounds */
ngx_int_t ngx_mesh_source_time(ngx_str_t *value, size_t skip, ngx_msec_t min,
    ngx_msec_t max, ngx_msec_t *ms);


/* ngx_mesh_source.c: what is known of a source, in the zone */

/* in the agent: gives the n-th source its cell in the zone */
void ngx_mesh_source_open(ngx_mesh_source_t *source, ngx_uint_t n);

/* for types: state of a source, which is shown, counted and, when it changes,
   logged in one line.  error may be NULL with OK and STARTING */
void ngx_mesh_source_state(ngx_mesh_source_t *source, ngx_uint_t state,
    ngx_mesh_source_addr_t *addr, ngx_str_t *error);

/* a good answer was heard; index 0: there is none */
void ngx_mesh_source_heard(ngx_mesh_source_t *source, uint64_t index);

/* ms until it is tried again; 0: it is not waited for */
void ngx_mesh_source_backoff(ngx_mesh_source_t *source, ngx_msec_t ms);

/* there are more of them, or fewer */
void ngx_mesh_source_subscribed(ngx_mesh_source_t *source);

/* of the subscriptions so many are watched, over so many connections */
void ngx_mesh_source_watched(ngx_mesh_source_t *source, ngx_uint_t watched,
    ngx_uint_t connections);

/* for ngx_mesh_reconcile(): an answer that ended so, and by how much the sums
   over all subscriptions change */

#define NGX_MESH_SOURCE_C_UPDATES  0
#define NGX_MESH_SOURCE_C_SAME     1
#define NGX_MESH_SOURCE_C_UNKNOWN  2

void ngx_mesh_source_count(ngx_mesh_source_t *source, ngx_uint_t what);
void ngx_mesh_source_share(ngx_mesh_source_t *source, int64_t endpoints,
    int64_t held, int64_t unmapped);


/*
 * The catalog of a source (discovery=all): the names it has now, all of them;
 * subscribes what is new, unsubscribes what is gone through the guard.
 */
void ngx_mesh_discovery_catalog(ngx_mesh_source_t *source,
    ngx_array_t *names /* ngx_str_t */);

/* before it: calls wait for what is new in the catalog */
void ngx_mesh_registry_expect(ngx_mesh_source_t *source, ngx_array_t *names);

ngx_mesh_subscription_t *ngx_mesh_discovery_find(ngx_mesh_source_t *source,
    ngx_str_t *interface);

/*
 * What the table has as the registry's answer, of this agent or of one before;
 * its texts are of the pool.  NGX_DECLINED: there is none yet.
 */
ngx_int_t ngx_mesh_discovery_answer(ngx_mesh_subscription_t *s,
    ngx_pool_t *pool, ngx_mesh_answer_t *answer);

/*
 * Has a source read again now, one interface or (empty) all; with "force" the
 * guard yields to what it says then.  NGX_DECLINED: there is no such source or
 * subscription.
 */
ngx_int_t ngx_mesh_discovery_resync(ngx_str_t *source, ngx_str_t *interface,
    ngx_uint_t force);

/* in the agent, when it gets the lease and when it loses it */
void ngx_mesh_discovery_start(ngx_mesh_core_conf_t *ccf);
void ngx_mesh_discovery_stop(void);

/* the table has changed: somebody may want another interface */
void ngx_mesh_discovery_woken(void);


/* ms until the next try, after those of the last (0: none): with jitter, from
   250 to 30000 */
ngx_msec_t ngx_mesh_discovery_backoff(ngx_msec_t last);


/* ngx_mesh_interest.c: who asks for an interface, as the table has it */

typedef struct {
    ngx_str_t                  name;
    ngx_uint_t                 listed;
    ngx_uint_t                 wanted;       /* by a caller */
    ngx_uint_t                 any;          /* a service names no registry */
    ngx_array_t                registries;   /* ngx_str_t, lists of names */
    ngx_array_t                apps;         /* the same */
    ngx_str_t                  protocol;
} ngx_mesh_interest_t;

/* fills in all but the name, in memory of the pool */
ngx_int_t ngx_mesh_interest_read(ngx_mesh_interest_t *interest,
    ngx_pool_t *pool);

/* whether that source may be asked */
ngx_uint_t ngx_mesh_interest_allows(ngx_mesh_interest_t *interest,
    ngx_mesh_source_t *source);

/* whether the subscription is about the same applications and protocol */
ngx_uint_t ngx_mesh_interest_same(ngx_mesh_interest_t *interest,
    ngx_mesh_subscription_t *s);


/* what was found without being wanted, and is called, is wanted by registries
   that find nothing but that: the answers among all items */
void ngx_mesh_interest_used(ngx_array_t *items, ngx_array_t *sources,
    ngx_pool_t *pool);


/*
 * ngx_mesh_orphans.c: what was said by registries that are asked no more goes
 * when those that are asked instead have answered.  There may be something,
 * due(), until look() finds nothing; that does nothing where nothing is due
 * or nothing has changed.
 */
void ngx_mesh_orphans_due(void);
void ngx_mesh_orphans_look(ngx_mesh_core_conf_t *ccf);


static ngx_inline ngx_uint_t
ngx_mesh_registry_is(const ngx_str_t *s, const char *text)
{
    return s->len == ngx_strlen(text)
           && ngx_strncmp(s->data, text, s->len) == 0;
}


/* whether it can be an interface, and would not be taken for more than one */

static ngx_inline ngx_uint_t
ngx_mesh_discovery_usable(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] == '/' || name->data[i] == ':'
            || name->data[i] == '*' || name->data[i] <= ' ')
        {
            return 0;
        }
    }

    return name->len != 0;
}


#endif /* _NGX_MESH_DISCOVERY_H_INCLUDED_ */
