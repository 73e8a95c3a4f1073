
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_EDIT_H_INCLUDED_
#define _NGX_MESH_EDIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


/*
 * Where a frame is written to.  What does not fit is counted all the same,
 * so that a dst too small tells the size that is right.
 */

typedef struct {
    u_char    *dst;
    size_t     size;
    size_t     len;
} ngx_mesh_edit_out_t;


void ngx_mesh_edit_put(ngx_mesh_edit_out_t *out, const void *p, size_t n);
void ngx_mesh_edit_put_u32(ngx_mesh_edit_out_t *out, uint32_t n);

/* writes over four bytes that have been put at an offset before */
void ngx_mesh_edit_patch(ngx_mesh_edit_out_t *out, size_t at, uint32_t n);

/* strings as values of Hessian, in either dialect, JSONB and JSON */
void ngx_mesh_edit_hessian(ngx_mesh_edit_out_t *out, ngx_str_t *s);
void ngx_mesh_edit_jsonb(ngx_mesh_edit_out_t *out, ngx_str_t *s);
void ngx_mesh_edit_json(ngx_mesh_edit_out_t *out, ngx_str_t *s);

/* whether a field changes the attachment of that name */
ngx_uint_t ngx_mesh_edit_changes(const ngx_mesh_edit_t *edit, ngx_str_t *key);

/* whether field i is set and nothing after it changes it again */
ngx_uint_t ngx_mesh_edit_sets(const ngx_mesh_edit_t *edit, ngx_uint_t i);

/* NGX_OK or NGX_AGAIN */
ngx_int_t ngx_mesh_edit_done(ngx_mesh_edit_out_t *out, ngx_mesh_frame_t *f,
    size_t *len);


#define ngx_mesh_edit_same(a, b)                                              \
    ((a)->len == (b)->len && ngx_memcmp((a)->data, (b)->data, (a)->len) == 0)


#endif /* _NGX_MESH_EDIT_H_INCLUDED_ */
