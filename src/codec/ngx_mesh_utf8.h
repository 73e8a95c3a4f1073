
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_UTF8_H_INCLUDED_
#define _NGX_MESH_UTF8_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


/* eight bytes are ASCII when none of these bits is set */
#define NGX_MESH_UTF8_HIGH  0x8080808080808080ULL


/* joins surrogate pairs that stand as two three-byte sequences, in place */
u_char *ngx_mesh_utf8_join(u_char *p, u_char *last);

/* UTF-16 to UTF-8; NULL if dst is too small */
u_char *ngx_mesh_utf8_from_utf16(u_char *dst, u_char *end, u_char *p,
    u_char *last, ngx_uint_t little);

/* ISO 8859-1 to UTF-8; NULL if dst is too small */
u_char *ngx_mesh_utf8_from_latin1(u_char *dst, u_char *end, u_char *p,
    u_char *last);


#endif /* _NGX_MESH_UTF8_H_INCLUDED_ */
