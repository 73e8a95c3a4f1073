
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_HTTP_H_INCLUDED_
#define _NGX_MESH_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#include "ngx_mesh_registry.h"


/* The room "http": what of the mesh is seen and changed over HTTP. */


/* content handler of "mesh_metrics" */
ngx_int_t ngx_mesh_http_metrics_handler(ngx_http_request_t *r);

/* configuration of a location with "mesh_api" */

typedef struct {
    ngx_uint_t                 enabled;
    ngx_uint_t                 write;      /* always */
    ngx_http_complex_value_t  *writes;     /* or this says; NULL: no */
    ngx_uint_t                 require_match;
    ngx_open_file_t           *audit;
    ngx_str_t                  root;       /* location's name, ends with '/' */
} ngx_mesh_api_loc_conf_t;


/* content handler of "mesh_api" */
ngx_int_t ngx_mesh_api_handler(ngx_http_request_t *r);

/* in the phase of logs: the audit of writes that never came to the API */
ngx_int_t ngx_mesh_api_audit_log(ngx_http_request_t *r);

/* tells the agent what the API will ask it for */
void ngx_mesh_api_init(void);

/* adds a response header; both strings stay where they are */
ngx_int_t ngx_mesh_http_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);


/* ngx_mesh_http_registries.c */

typedef struct {
    ngx_array_t                sources;    /* ngx_mesh_source_info_t */
    ngx_uint_t                 family;     /* families done */
    ngx_uint_t                 read;
} ngx_mesh_http_registries_t;

/*
 * What is known of registries, as text for Prometheus, in parts: appends to
 * the buffer what fits; zeroed at first.  NGX_OK: that was all; NGX_AGAIN:
 * there is more, for another buffer.
 */
ngx_int_t ngx_mesh_http_registries_text(ngx_mesh_http_registries_t *registries,
    ngx_pool_t *pool, ngx_buf_t *b);


/* ngx_mesh_http_parts.c */

/*
 * An answer that is written part by part, the next one when the last has left
 * and other events had their turn, so that a long one costs neither memory
 * nor the latency of calls.
 */

typedef struct {

    /* the next part: NGX_AGAIN: more follow, *out may be left NULL; NGX_OK:
       it is the last, of a buffer at least; NGX_ERROR */
    ngx_int_t                (*part)(void *data, ngx_pool_t *pool,
                                     ngx_chain_t **out);
    void                      *data;
    ngx_chain_t              **free;       /* gets the buffers that have left,
                                              whose tag is the module */

    ngx_chain_t               *busy;       /* private */
    ngx_uint_t                 done;
} ngx_mesh_http_parts_t;

/*
 * After the header: NGX_DONE: it goes on by events, otherwise the request's
 * end.  From the content handler the former holds the request.
 */
ngx_int_t ngx_mesh_http_send_parts(ngx_http_request_t *r,
    ngx_mesh_http_parts_t *parts);

/* waits until the client has read: NGX_DONE, or NGX_ERROR */
ngx_int_t ngx_mesh_http_wait(ngx_http_request_t *r);

/* whether it has waited too long, and ended the request then */
ngx_uint_t ngx_mesh_http_timed_out(ngx_http_request_t *r);


extern ngx_module_t  ngx_mesh_http_module;


#endif /* _NGX_MESH_HTTP_H_INCLUDED_ */
