
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_TABLE_H_INCLUDED_
#define _NGX_MESH_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rules.h"


/*
 * The room "table": who serves what.  Readers see immutable records: a
 * service that was found stays as it is until it is released, whatever
 * happens to the table in the meantime.
 */


#define NGX_MESH_BALANCER_ROUND_ROBIN    0
#define NGX_MESH_BALANCER_RANDOM         1
#define NGX_MESH_BALANCER_LEAST_REQUEST  2
#define NGX_MESH_BALANCER_HASH           3

#define NGX_MESH_DEFAULT_WEIGHT          100
#define NGX_MESH_DEFAULT_MAX_FAILS       1
#define NGX_MESH_DEFAULT_FAIL_TIMEOUT    10000


typedef struct {
    ngx_str_t                 id;            /* in its service */
    ngx_str_t                 owner;
    ngx_str_t                 name;          /* "addr:port", as logs show it */
    ngx_str_t                 host;          /* as configured, for TLS names */
    struct sockaddr          *sockaddr;
    socklen_t                 socklen;
    ngx_str_t                 protocol;      /* empty: any */
    ngx_str_t                 zone;
    ngx_uint_t                weight;
    ngx_uint_t                max_fails;     /* 0: never unavailable */
    ngx_msec_t                fail_timeout;
    ngx_msec_t                slow_start;
    ngx_keyval_t             *labels;
    ngx_uint_t                nlabels;

    /* of registries: a weight that grows, see ngx_mesh_endpoint_weight() */
    uint64_t                  started;       /* ms since 1970 */
    ngx_msec_t                warmup;        /* 0: none */
    ngx_uint_t                warmup_weight; /* while it lasts; 0: it grows */

    unsigned                  backup:1;
    unsigned                  down:1;        /* gets no requests */
    unsigned                  drain:1;       /* the same, on purpose */
    unsigned                  suspect:1;     /* its registry has it no more,
                                                which is not believed yet */
} ngx_mesh_endpoint_t;


typedef struct {
    ngx_str_t                 name;          /* [group/]interface[:version] */
    ngx_str_t                 group;
    ngx_str_t                 interface;
    ngx_str_t                 version;
    ngx_str_t                 owner;         /* of all but the endpoints */
    ngx_str_t                 protocol;      /* of endpoints that say none */
    ngx_str_t                 hash;          /* fact to hash on */
    ngx_uint_t                balancer;
    ngx_str_t                 registries;    /* names, by commas; empty: all */
    ngx_str_t                 provided_by;   /* applications, by commas */
    ngx_mesh_endpoint_t      *endpoints;
    ngx_uint_t                nendpoints;

    ngx_uint_t                refs;          /* private to the table */
    ngx_pool_t               *pool;
} ngx_mesh_service_t;


typedef struct ngx_mesh_table_s  ngx_mesh_table_t;


/*
 * The service of that key; version and group may be empty or "*", which
 * stands for the union of all.  NULL: there is none.  The record belongs to
 * the caller until ngx_mesh_table_release().
 */
ngx_mesh_service_t *ngx_mesh_table_find(ngx_mesh_table_t *table,
    ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version);

/* the same by its whole name */
ngx_mesh_service_t *ngx_mesh_table_find_name(ngx_mesh_table_t *table,
    ngx_str_t *name);

void ngx_mesh_table_release(ngx_mesh_service_t *service);

/* whether any service of the interface is keyed by a group */
ngx_uint_t ngx_mesh_table_grouped(ngx_mesh_table_t *table,
    ngx_str_t *interface);

/*
 * The weight of an endpoint at a time in ms since 1970: what it is until its
 * warm-up is over, at least 1, or all of it.
 */
ngx_uint_t ngx_mesh_endpoint_weight(ngx_mesh_endpoint_t *ep, uint64_t now);

/* another weight; what it is while it warms up stays the same part of it */
void ngx_mesh_endpoint_reweigh(ngx_mesh_endpoint_t *ep, ngx_uint_t weight);

/*
 * Splits a key into its parts; they point into the name.  NGX_DECLINED when
 * the interface would be empty.
 */
ngx_int_t ngx_mesh_table_parse_key(ngx_str_t *name, ngx_mesh_service_t *s);


/* building a table while the configuration is read */

ngx_mesh_table_t *ngx_mesh_table_create(ngx_pool_t *pool);

/*
 * Keeps the record itself, whose parts of the key are set; its endpoints may
 * be filled in later, before the first find().  NGX_BUSY: a service of that
 * name is there already.
 */
ngx_int_t ngx_mesh_table_add(ngx_mesh_table_t *table,
    ngx_mesh_service_t *service);

/* the services of the table one after the other; *iterator is NULL at first;
   NULL: there are no more */
ngx_mesh_service_t *ngx_mesh_table_next(ngx_mesh_table_t *table,
    void **iterator);

/*
 * Keeps the rule itself, which may be filled in later but for its name, as
 * one of owner "config" in this order.  NGX_BUSY: there is one of that name.
 */
ngx_int_t ngx_mesh_table_add_rule(ngx_mesh_table_t *table,
    ngx_mesh_rule_t *rule);


/*
 * The table in force, in shared memory: what the functions above say of a
 * table holds for it too.  Workers read it, whoever holds its lock for a
 * moment; a service that has not changed since it was found is found again as
 * the same record.
 */

/*
 * Sees whether the services of a configuration fit into the region of its
 * zone, and changes nothing; "fresh" makes a table of the region first.
 * NGX_DECLINED: it was made by another version, or is too small for a table.
 * NGX_ERROR: they do not fit, which was logged.
 */
ngx_int_t ngx_mesh_live_check(void *region, size_t size,
    ngx_slab_pool_t *shpool, ngx_uint_t fresh, ngx_mesh_table_t *table,
    ngx_log_t *log);

/*
 * Makes the region the table in force of this process, which the functions
 * below are about.  NGX_DECLINED: it was made by another version.
 */
ngx_int_t ngx_mesh_live_open(void *region, size_t size,
    ngx_slab_pool_t *shpool);

/*
 * Makes the services of owner "config" those of a configuration's table.
 * Logs what is wrong.
 */
ngx_int_t ngx_mesh_live_apply(ngx_mesh_table_t *table, ngx_log_t *log);

/* bytes that a zone needs for the table at least */
#define NGX_MESH_LIVE_MIN_SIZE  65536

uint64_t ngx_mesh_live_revision(void);
ngx_mesh_service_t *ngx_mesh_live_find(ngx_str_t *group, ngx_str_t *interface,
    ngx_str_t *version);
ngx_mesh_service_t *ngx_mesh_live_find_name(ngx_str_t *name);
ngx_uint_t ngx_mesh_live_grouped(ngx_str_t *interface);

/*
 * The routes of the present revision, NULL: there have been none yet; they
 * belong to the table, and are held or used until it is asked again.
 * NGX_ERROR: there is no memory for them now, these are older ones.
 */
ngx_int_t ngx_mesh_live_rules(ngx_mesh_rules_t **set);


static ngx_inline ngx_uint_t
ngx_mesh_equal(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


/* takes the first of names with commas between them, as "registries", off the
   list; 0: there is none */

static ngx_inline ngx_uint_t
ngx_mesh_list_part(ngx_str_t *list, ngx_str_t *part)
{
    u_char  *p;

    while (list->len) {
        p = ngx_strlchr(list->data, list->data + list->len, ',');

        part->data = list->data;
        part->len = p ? (size_t) (p - list->data) : list->len;

        list->data += part->len + (p ? 1 : 0);
        list->len -= part->len + (p ? 1 : 0);

        if (part->len) {
            return 1;
        }
    }

    return 0;
}


static ngx_inline ngx_uint_t
ngx_mesh_list_has(const ngx_str_t *list, const ngx_str_t *name)
{
    ngx_str_t  rest, part;

    rest = *list;

    while (ngx_mesh_list_part(&rest, &part)) {
        if (ngx_mesh_equal(&part, name)) {
            return 1;
        }
    }

    return 0;
}


/* ms since 1970, what "started", "until" and the like are compared with */

static ngx_inline uint64_t
ngx_mesh_wall_clock(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


#endif /* _NGX_MESH_TABLE_H_INCLUDED_ */
