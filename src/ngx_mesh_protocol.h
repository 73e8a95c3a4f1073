
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_PROTOCOL_H_INCLUDED_
#define _NGX_MESH_PROTOCOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_declared.h"


/* what the files that parse protocol NAME {} share */


#define ngx_mesh_protocol_is(s, text)                                        \
    ((s)->len == sizeof(text) - 1                                            \
     && ngx_strncmp((s)->data, text, sizeof(text) - 1) == 0)

#define ngx_mesh_protocol_begins(s, text)                                    \
    ((s)->len >= sizeof(text) - 1                                            \
     && ngx_strncmp((s)->data, text, sizeof(text) - 1) == 0)


/* the declaration of the block that is being parsed */
ngx_mesh_declared_t *ngx_mesh_protocol_declared(ngx_conf_t *cf);


/* directives, ngx_mesh_protocol_conf.c and ngx_mesh_protocol_body.c */

char *ngx_mesh_protocol_magic(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_length(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_kind(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_protocol_max_frame(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_mesh_protocol_strings(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_protocol_map(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_fact(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_protocol_template(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_protocol_error_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* says what is wrong with a value; NGX_CONF_ERROR */
char *ngx_mesh_protocol_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right);

/* the index of a name in a list that ends with an empty one */
ngx_int_t ngx_mesh_protocol_index(ngx_str_t *names, u_char *p, size_t len);

/* decimal, or hexadecimal after "0x" */
ngx_int_t ngx_mesh_protocol_number(u_char *p, size_t len, uint64_t *number);

ngx_int_t ngx_mesh_protocol_hex(ngx_pool_t *pool, u_char *p, size_t len,
    ngx_str_t *bytes);

/* OFFSET:SIZE[:little] */
ngx_int_t ngx_mesh_protocol_pair(ngx_mesh_field_t *field, u_char *p,
    size_t len);


#endif /* _NGX_MESH_PROTOCOL_H_INCLUDED_ */
