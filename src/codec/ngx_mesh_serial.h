
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_SERIAL_H_INCLUDED_
#define _NGX_MESH_SERIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the Dubbo codec asks of a serialization.  A reader walks one body;
 * every function reads at r->pos, never beyond r->limit, and returns NGX_OK,
 * NGX_AGAIN when the bytes ran out, or NGX_ERROR when they are damaged.
 */


#define NGX_MESH_SERIAL_HESSIAN2   2
#define NGX_MESH_SERIAL_FASTJSON   6
#define NGX_MESH_SERIAL_PROTOBUF   22
#define NGX_MESH_SERIAL_FASTJSON2  23


/* containers open at a time while a value is skipped */
#define NGX_MESH_SERIAL_DEPTH      512

/* room for any number or boolean as text */
#define NGX_MESH_SERIAL_NUM_LEN    32


#define NGX_MESH_SERIAL_NULL       0
#define NGX_MESH_SERIAL_STRING     1
#define NGX_MESH_SERIAL_INT        2
#define NGX_MESH_SERIAL_BOOL       3
#define NGX_MESH_SERIAL_DOUBLE     4
#define NGX_MESH_SERIAL_OTHER      5


typedef struct {
    u_char       *pos;
    u_char       *limit;
    u_char       *end;           /* of the frame; limit <= end */

    u_char       *scratch;       /* strings grow upwards from here ... */
    u_char       *scratch_end;   /* ... the class table downwards from here */

    uint32_t     *classes;       /* field count of class N: classes[-1 - N] */
    ngx_uint_t    nclasses;
} ngx_mesh_body_t;


typedef struct {
    ngx_uint_t    type;          /* NGX_MESH_SERIAL_* */
    ngx_str_t     str;
    int64_t       num;
    double        dbl;
    ngx_str_t     raw;           /* set by ngx_mesh_sofa_fields() only */
} ngx_mesh_value_t;


typedef struct {
    ngx_uint_t    id;
    ngx_str_t     null;          /* body of a heartbeat */
    ngx_str_t     readonly;      /* body of a READONLY event */

    /* a top-level string; null, or what scratch has no room for, is empty */
    ngx_int_t   (*string)(ngx_mesh_body_t *r, ngx_str_t *s);

    /* skips n top-level values */
    ngx_int_t   (*arguments)(ngx_mesh_body_t *r, ngx_uint_t n);

    /* enters a top-level map; NGX_DECLINED if it is null */
    ngx_int_t   (*open)(ngx_mesh_body_t *r);

    /* next key as it stands in the frame, empty if it is not such a string;
       NGX_DONE at the end of the map.  value() or skip() must follow */
    ngx_int_t   (*key)(ngx_mesh_body_t *r, ngx_str_t *key);
    ngx_int_t   (*value)(ngx_mesh_body_t *r, ngx_mesh_value_t *v);
    ngx_int_t   (*skip)(ngx_mesh_body_t *r);

    /* the result flag that begins a response */
    ngx_int_t   (*flag)(ngx_mesh_body_t *r, ngx_uint_t *flag);
} ngx_mesh_serial_t;


#define ngx_mesh_serial_left(r)  ((size_t) ((r)->limit - (r)->pos))


/* remembers that the next class has n fields; NGX_ERROR: no room */
ngx_int_t ngx_mesh_serial_class(ngx_mesh_body_t *r, uint32_t n);

/* writes one string, cut to fit; its length or 0.  *id becomes hessian2 when
   nothing can be written in the serialization asked for */
size_t ngx_mesh_serial_write(u_char *dst, size_t size, ngx_uint_t *id,
    ngx_str_t *text);


extern const ngx_mesh_serial_t  ngx_mesh_fastjson;
extern const ngx_mesh_serial_t  ngx_mesh_fastjson2;
extern const ngx_mesh_serial_t  ngx_mesh_hessian2;


static ngx_inline const ngx_mesh_serial_t *
ngx_mesh_serial_find(ngx_uint_t id)
{
    switch (id) {

    case NGX_MESH_SERIAL_HESSIAN2:
        return &ngx_mesh_hessian2;

    case NGX_MESH_SERIAL_FASTJSON:
        return &ngx_mesh_fastjson;

    case NGX_MESH_SERIAL_FASTJSON2:
        return &ngx_mesh_fastjson2;

    default:
        return NULL;
    }
}


#endif /* _NGX_MESH_SERIAL_H_INCLUDED_ */
