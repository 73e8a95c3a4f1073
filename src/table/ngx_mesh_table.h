
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_TABLE_H_INCLUDED_
#define _NGX_MESH_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


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


typedef struct {
    ngx_str_t                 name;          /* "addr:port", as logs show it */
    ngx_str_t                 host;          /* as configured, for TLS names */
    struct sockaddr          *sockaddr;
    socklen_t                 socklen;
    ngx_str_t                 protocol;      /* empty: any */
    ngx_uint_t                weight;
    ngx_uint_t                max_fails;     /* 0: never unavailable */
    ngx_msec_t                fail_timeout;
    ngx_msec_t                slow_start;
    ngx_keyval_t             *labels;
    ngx_uint_t                nlabels;
    unsigned                  backup:1;
    unsigned                  down:1;
} ngx_mesh_endpoint_t;


typedef struct {
    ngx_str_t                 name;          /* [group/]interface[:version] */
    ngx_str_t                 group;
    ngx_str_t                 interface;
    ngx_str_t                 version;
    ngx_str_t                 hash;          /* fact to hash on */
    ngx_uint_t                balancer;
    ngx_mesh_endpoint_t      *endpoints;
    ngx_uint_t                nendpoints;

    ngx_uint_t                refs;          /* private to the table */
    ngx_pool_t               *pool;
} ngx_mesh_service_t;


typedef struct ngx_mesh_table_s  ngx_mesh_table_t;


/*
 * Changes whenever a record may have changed; comparing it costs one load.
 * Not 0 once there is a table.
 */
uint64_t ngx_mesh_table_revision(ngx_mesh_table_t *table);

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
 * Splits a key into its parts; they point into the name.  NGX_DECLINED when
 * the interface would be empty.
 */
ngx_int_t ngx_mesh_table_parse_key(ngx_str_t *name, ngx_mesh_service_t *s);


/* building a table while the configuration is read */

ngx_mesh_table_t *ngx_mesh_table_create(ngx_pool_t *pool);

/* a table of a later configuration: the revision differs from the former's */
void ngx_mesh_table_follow(ngx_mesh_table_t *table, ngx_mesh_table_t *former);

/*
 * Keeps the record itself, whose parts of the key are set; its endpoints may
 * be filled in later, before the first find().  NGX_BUSY: a service of that
 * name is there already.
 */
ngx_int_t ngx_mesh_table_add(ngx_mesh_table_t *table,
    ngx_mesh_service_t *service);

/* the table in force in this process, NULL without mesh {} */
extern ngx_mesh_table_t  *ngx_mesh_table;


#endif /* _NGX_MESH_TABLE_H_INCLUDED_ */
