
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_BOLT_H_INCLUDED_
#define _NGX_MESH_BOLT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_serial.h"


/* variants: version 2 has a version of its own in its second byte */

#define NGX_MESH_BOLT_V1        1
#define NGX_MESH_BOLT_V2        2
#define NGX_MESH_BOLT_V2_CRC    3      /* frames may end with a checksum */

#define NGX_MESH_BOLT_CRC_SIZE  4

/* codec byte of Hessian in the dialect of sofa-hessian 3; where a request
   was in that of sofa-hessian 4, its frame's serial has the bit too */

#define NGX_MESH_BOLT_HESSIAN   1
#define NGX_MESH_BOLT_LEGACY    4      /* another name of it, read only */
#define NGX_MESH_BOLT_FINAL     0x80

/* the codec byte that a serial came from */

#define ngx_mesh_bolt_codec_byte(serial)                                     \
    ((serial) == (NGX_MESH_BOLT_HESSIAN|NGX_MESH_BOLT_FINAL)                 \
     ? NGX_MESH_BOLT_HESSIAN : (serial))

#define ngx_mesh_bolt_hessian(serial)                                        \
    (ngx_mesh_bolt_codec_byte(serial) == NGX_MESH_BOLT_HESSIAN               \
     || (serial) == NGX_MESH_BOLT_LEGACY)


#define ngx_mesh_bolt_u16(p)  ((uint32_t) (p)[0] << 8 | (p)[1])
#define ngx_mesh_bolt_u32(p)                                                 \
    ((uint32_t) (p)[0] << 24 | (uint32_t) (p)[1] << 16                       \
     | (uint32_t) (p)[2] << 8 | (p)[3])


/* the parts of a whole frame behind its header */

typedef struct {
    ngx_str_t    class;
    ngx_str_t    map;
    ngx_str_t    content;
} ngx_mesh_bolt_parts_t;


void ngx_mesh_bolt_split(u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_bolt_parts_t *parts);

void ngx_mesh_bolt_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts);
ngx_int_t ngx_mesh_bolt_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value);
ngx_uint_t ngx_mesh_bolt_result(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f);
ngx_int_t ngx_mesh_bolt_edit(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts,
    const ngx_mesh_edit_t *edit, u_char *dst, size_t size, size_t *len);

/* the next pair of a header map; data of what is null is NULL, NGX_DONE at
   the end */
ngx_int_t ngx_mesh_bolt_pair(u_char **pos, u_char *end, ngx_str_t *key,
    ngx_str_t *value);

/* the class that SOFARPC's requests have, in whatever serialization */
extern ngx_str_t  ngx_mesh_bolt_sofa_request;


/* ngx_mesh_sofa_hessian.c */

/*
 * Reads fields of the object that begins the content, in either dialect, by
 * name: values[i] is that of names[i], of type OTHER where there is none,
 * and its raw bytes are where it stands in the content.
 * What follows the last of them is not read: it may be long.  Strings may
 * stand in the scratch of r.
 */
ngx_int_t ngx_mesh_sofa_fields(ngx_mesh_body_t *r, ngx_str_t *names,
    ngx_mesh_value_t *values, ngx_uint_t n);

/*
 * Walks a map in either dialect, as open(), key() and skip() of a
 * ngx_mesh_serial_t do.  A key in pieces is empty.
 */
ngx_int_t ngx_mesh_sofa_open(ngx_mesh_body_t *r, ngx_uint_t final);
ngx_int_t ngx_mesh_sofa_key(ngx_mesh_body_t *r, ngx_uint_t final,
    ngx_str_t *key);
ngx_int_t ngx_mesh_sofa_skip(ngx_mesh_body_t *r, ngx_uint_t final);

/* whether a value neither counts among references nor is one */
ngx_uint_t ngx_mesh_sofa_plain(u_char tag, ngx_uint_t final);

/* writes an error response's body; 0: no room */
size_t ngx_mesh_sofa_error(u_char *dst, size_t size, ngx_uint_t final,
    ngx_str_t *text);


#endif /* _NGX_MESH_BOLT_H_INCLUDED_ */
