
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_API_ENDPOINT_H_INCLUDED_
#define _NGX_MESH_API_ENDPOINT_H_INCLUDED_


#include "ngx_mesh_api.h"


/* what the files about endpoints share */


typedef struct {
    ngx_str_t    id;
    ngx_str_t    address;
    ngx_str_t    protocol;
    ngx_str_t    zone;
    ngx_uint_t   port;
    ngx_uint_t   weight;
    ngx_uint_t   max_fails;
    ngx_uint_t   fail_timeout;
    ngx_uint_t   slow_start;
    ngx_uint_t   backup;
    ngx_uint_t   down;
    ngx_array_t  labels;
} ngx_mesh_api_endpoint_t;


/* an endpoint of a body, whose id is that of the path, or by its address;
   strings stay in the body */
ngx_int_t ngx_mesh_api_endpoint_fill(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *body, ngx_str_t *id,
    ngx_mesh_endpoint_t *ep);

void ngx_mesh_api_endpoint_show(ngx_mesh_json_t *json,
    ngx_mesh_endpoint_t *ep);

/* "effective_weight" and, while it is less for its age alone, "warmup": the
   part of that time which has passed; not serving: 0 */
void ngx_mesh_api_endpoint_weight(ngx_mesh_json_t *json,
    ngx_mesh_endpoint_t *ep, ngx_uint_t serving);

/* {metadata, spec, override, status}; "laid" becomes the override */
ngx_int_t ngx_mesh_api_endpoint_object(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool,
    ngx_mesh_store_item_t *laid);

/* the service of the path, in a transaction; 404 */
ngx_int_t ngx_mesh_api_endpoint_service(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service);


/* ngx_mesh_api_endpoints.c */

ngx_int_t ngx_mesh_api_endpoints_read(ngx_mesh_api_call_t *call);
ngx_int_t ngx_mesh_api_endpoints_write(ngx_mesh_api_call_t *call);

/* makes the service when there is none, in a transaction */
ngx_int_t ngx_mesh_api_endpoints_exist(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service);


#endif /* _NGX_MESH_API_ENDPOINT_H_INCLUDED_ */
