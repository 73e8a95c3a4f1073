
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_DUBBO_H_INCLUDED_
#define _NGX_MESH_DUBBO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


#define NGX_MESH_DUBBO_HEAD  16


void ngx_mesh_dubbo_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts);

ngx_int_t ngx_mesh_dubbo_facts_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value);

ngx_int_t ngx_mesh_dubbo_edit(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts,
    const ngx_mesh_edit_t *edit, u_char *dst, size_t size, size_t *len);


#endif /* _NGX_MESH_DUBBO_H_INCLUDED_ */
