
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_CORE_H_INCLUDED_
#define _NGX_MESH_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh.h"


/* what the files of ngx_mesh_core_module share */


#define NGX_MESH_CORE_METRICS_SIZE   (8 * 1024 * 1024)


/* says what is wrong with a value; NGX_CONF_ERROR */
char *ngx_mesh_core_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right);


/* ngx_mesh_core_zone.c */

char *ngx_mesh_core_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mesh_core_add_zone(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_str_t *name, size_t size);


#endif /* _NGX_MESH_CORE_H_INCLUDED_ */
