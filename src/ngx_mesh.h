
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_H_INCLUDED_
#define _NGX_MESH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table.h"


/*
 * mesh {} is parsed as events {} is: modules of this type get a slot of
 * configuration in it, and their directives carry NGX_MESH_CONF (directly in
 * mesh {}), NGX_MESH_SERVICE_CONF (inside service NAME {}),
 * NGX_MESH_PROTOCOL_CONF (inside protocol NAME {}) or NGX_MESH_ROUTE_CONF
 * (inside route NAME {}).
 */

#define NGX_MESH_MODULE         0x4853454d   /* "MESH" */
#define NGX_MESH_CONF           0x02000000
#define NGX_MESH_SERVICE_CONF   0x04000000
#define NGX_MESH_PROTOCOL_CONF  0x08000000
#define NGX_MESH_ROUTE_CONF     0x10000000


typedef struct {
    ngx_str_t         *name;

    void            *(*create_conf)(ngx_cycle_t *cycle);
    char            *(*init_conf)(ngx_cycle_t *cycle, void *conf);
} ngx_mesh_module_t;


/* configuration of ngx_mesh_core_module */

typedef struct {
    ngx_mesh_table_t    *table;
    size_t               worker_buffer;  /* bytes a worker may keep in partial
                                            frames and queues */
    ngx_shm_zone_t      *zone;
    size_t               metrics;        /* budget inside the zone */
    ngx_str_t            state_path;     /* empty: off */
    ngx_uint_t           state_keep;     /* journal files */
    ngx_path_t          *agent_path;     /* in it; NULL: there is no agent */
    ngx_array_t         *protocols;      /* const ngx_mesh_codec_t *, declared
                                            in mesh {}; NULL: none */
    ngx_array_t         *sources;        /* ngx_mesh_source_t, "registry";
                                            NULL: none */
    ngx_uint_t           guard;          /* percent; 100 or more: off */
    ngx_uint_t           guard_min;      /* endpoints */
    ngx_msec_t           guard_hold;

    /* private to the module, while it parses */
    ngx_mesh_service_t  *service;
    ngx_array_t         *endpoints;      /* ngx_mesh_endpoint_t */
    ngx_uint_t           balancer;       /* given for this service */
} ngx_mesh_core_conf_t;


/* what the zone's data points to; the memory outlives the cycle */

typedef struct {
    ngx_slab_pool_t     *shpool;
    void                *region;         /* of the metrics */
    size_t               metrics;
    void                *store;          /* region of the table */
    size_t               store_size;
    void                *agent;          /* region of the agent */
    void                *used;           /* which interfaces are in use */
    ngx_mesh_table_t    *table;          /* of the configuration */
} ngx_mesh_zone_t;


/* configuration of a NGX_MESH_MODULE; NULL when there is no mesh {} */
void *ngx_mesh_get_conf(ngx_cycle_t *cycle, ngx_module_t *module);

/*
 * Demands during parsing that mesh {} exists somewhere in the configuration
 * and, with a service name, that the service is declared there.  Both are
 * checked once all is parsed; "directive" and the place cf points to appear
 * in the message.
 */
ngx_int_t ngx_mesh_require(ngx_conf_t *cf, char *directive,
    ngx_str_t *service);

/*
 * The same for a protocol, built in or declared.  With "codecs", "auto" is a
 * name too, and the array (const ngx_mesh_codec_t *) is filled, once all is
 * parsed, with what the name stands for: declared protocols come first.
 */
ngx_int_t ngx_mesh_require_protocol(ngx_conf_t *cf, char *directive,
    ngx_str_t *protocol, ngx_array_t *codecs);


/* whether a protocol of that name is built in or declared, once the
   configuration is in force */
ngx_uint_t ngx_mesh_protocol_known(ngx_str_t *protocol);


extern ngx_module_t  ngx_mesh_module;
extern ngx_module_t  ngx_mesh_core_module;
extern ngx_module_t  ngx_mesh_protocol_module;
extern ngx_module_t  ngx_mesh_route_module;


#endif /* _NGX_MESH_H_INCLUDED_ */
