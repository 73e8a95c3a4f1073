
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_STREAM_H_INCLUDED_
#define _NGX_MESH_STREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stream.h>
#include "ngx_mesh.h"
#include "ngx_mesh_proxy.h"


/*
 * The room "stream": directives, variables and the access log, that is
 * everything that needs a stream session.
 */


/* bytes at value->data for a get function that has to print a number */

#define NGX_MESH_STREAM_NUMBER_LEN  32


/*
 * Reads one property of a call as text; value->data points to
 * NGX_MESH_STREAM_NUMBER_LEN free bytes before.  NGX_DECLINED: absent.
 */

typedef ngx_int_t (*ngx_mesh_stream_get_pt)(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);


typedef struct {
    ngx_str_t                    name;
    ngx_mesh_stream_get_pt       get;
    uintptr_t                    data;
    unsigned                     escape:1;     /* comes from the wire */
    unsigned                     attached:1;   /* comes with attachments */
} ngx_mesh_stream_field_t;


#if (NGX_SSL)

typedef struct {
    ngx_flag_t                   enable;
    ngx_flag_t                   session_reuse;
    ngx_uint_t                   protocols;
    ngx_str_t                    ciphers;
    ngx_str_t                    name;
    ngx_flag_t                   server_name;
    ngx_flag_t                   verify;
    ngx_uint_t                   verify_depth;
    ngx_str_t                    trusted_certificate;
    ngx_str_t                    crl;
    ngx_str_t                    certificate;
    ngx_str_t                    certificate_key;
    ngx_array_t                 *passwords;
    ngx_array_t                 *conf_commands;

    ngx_ssl_t                   *ssl;
} ngx_mesh_stream_ssl_t;

#endif


typedef struct {
    ngx_array_t                  formats;      /* ngx_mesh_stream_log_fmt_t * */
    ngx_array_t                  attachments;  /* ngx_str_t */
    ngx_uint_t                   attached;     /* unsigned  attached:1; */
    ngx_array_t                  links;        /* ngx_mesh_link_conf_t * */

    /* working space for the longest format */
    ngx_uint_t                   nops;
    ngx_str_t                   *values;
    u_char                      *numbers;
} ngx_mesh_stream_main_conf_t;


typedef struct {
    ngx_mesh_proxy_conf_t        proxy;
    ngx_mesh_link_conf_t         link;

    ngx_array_t                 *logs;         /* ngx_mesh_stream_log_t */
    ngx_uint_t                   off;          /* unsigned  off:1; */

#if (NGX_SSL)
    ngx_mesh_stream_ssl_t        ssl;
#endif
} ngx_mesh_stream_srv_conf_t;


/* what a number may be, and how a message says so */

typedef struct {
    ngx_conf_post_handler_pt     post_handler;
    ngx_uint_t                   low;
    ngx_uint_t                   high;
    char                        *right;
} ngx_mesh_stream_bounds_t;


/* ngx_mesh_stream_module.c */

void ngx_mesh_stream_handler(ngx_stream_session_t *s);


/* ngx_mesh_stream_conf.c */

char *ngx_mesh_stream_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right);
char *ngx_mesh_stream_check_bounds(ngx_conf_t *cf, void *post, void *data);
char *ngx_mesh_stream_msec_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_stream_size_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_stream_num_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_stream_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_stream_multiplex(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_stream_deadline(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_stream_next_upstream(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_stream_idempotent(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_stream_default_service(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void *ngx_mesh_stream_create_srv_conf(ngx_conf_t *cf);
char *ngx_mesh_stream_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);


/* ngx_mesh_stream_ssl.c */

#if (NGX_SSL)

char *ngx_mesh_stream_ssl_str_slot(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_stream_ssl_protocols(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_stream_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_stream_ssl_conf_command(ngx_conf_t *cf, void *post, void *data);
void ngx_mesh_stream_ssl_create(ngx_mesh_stream_ssl_t *ssl);
ngx_int_t ngx_mesh_stream_ssl_merge(ngx_conf_t *cf,
    ngx_mesh_stream_srv_conf_t *prev, ngx_mesh_stream_srv_conf_t *conf);

#endif


/* ngx_mesh_stream_variables.c */

ngx_int_t ngx_mesh_stream_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_mesh_stream_init_attachments(ngx_conf_t *cf);
const ngx_mesh_stream_field_t *ngx_mesh_stream_find_field(ngx_str_t *name);

/* the index of $mesh_attachment_*, NGX_DECLINED for any other name */
ngx_int_t ngx_mesh_stream_attachment_index(ngx_conf_t *cf, ngx_str_t *name);
ngx_int_t ngx_mesh_stream_get_attachment(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);


/* ngx_mesh_stream_log.c */

char *ngx_mesh_stream_log_format(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_stream_access_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_mesh_stream_log_predefine(ngx_conf_t *cf);
ngx_int_t ngx_mesh_stream_log_init(ngx_conf_t *cf);

/* whether a log of the server needs, or may need, to have attachments read */
ngx_uint_t ngx_mesh_stream_log_attached(ngx_mesh_stream_main_conf_t *mmcf,
    ngx_mesh_stream_srv_conf_t *conf);

void ngx_mesh_stream_log_call(ngx_mesh_session_t *ms, ngx_mesh_call_t *call);
void ngx_mesh_stream_log_exit(ngx_cycle_t *cycle);


extern ngx_module_t  ngx_mesh_stream_module;


#endif /* _NGX_MESH_STREAM_H_INCLUDED_ */
