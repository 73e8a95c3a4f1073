
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_DECLARED_H_INCLUDED_
#define _NGX_MESH_DECLARED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


/*
 * A protocol described by data.  Whoever fills the structure in checks it:
 * fields of the header end within NGX_MESH_HEAD_MAX bytes and have 1 to 8
 * bytes.  All memory belongs to the one who made it and outlives the codec.
 */


typedef struct {
    uint16_t                 offset;
    uint8_t                  size;          /* 0: there is no such field */
    uint8_t                  little;        /* endian */
} ngx_mesh_field_t;


typedef struct {
    size_t                   offset;
    ngx_str_t                value;
    ngx_str_t                mask;          /* as long as the value */
} ngx_mesh_magic_t;


/* a request's fields, and a response's */

#define NGX_MESH_TO_PROVIDER     0
#define NGX_MESH_TO_CLIENT       1


typedef struct {
    uint64_t                 value;
    ngx_uint_t               kind;          /* NGX_MESH_FRAME_* */
} ngx_mesh_kind_t;


/* how the length of a string is written */

#define NGX_MESH_PREFIX_U8       0
#define NGX_MESH_PREFIX_U16      1
#define NGX_MESH_PREFIX_U32      2
#define NGX_MESH_PREFIX_U16LE    3
#define NGX_MESH_PREFIX_U32LE    4
#define NGX_MESH_PREFIX_VARINT   5
#define NGX_MESH_PREFIX_HESSIAN  6          /* of Hessian 2: with tags */


/* strings that follow one another */

typedef struct {
    size_t                   offset;
    ngx_uint_t               prefix;
    ngx_array_t             *lengths;       /* ngx_mesh_field_t: the lengths
                                               stand in the header instead */
    ngx_uint_t               n;             /* up to the last one used */
    ngx_uint_t               declared;
} ngx_mesh_strings_t;


#define NGX_MESH_MAP_REST        0          /* up to the end of the frame */
#define NGX_MESH_MAP_SIZE        1
#define NGX_MESH_MAP_COUNT       2

typedef struct {
    ngx_uint_t               declared;
    ngx_uint_t               after;         /* begins behind the strings */
    size_t                   offset;
    ngx_uint_t               key;           /* NGX_MESH_PREFIX_* */
    ngx_uint_t               value;
    ngx_uint_t               end;           /* NGX_MESH_MAP_* */
    ngx_mesh_field_t         field;         /* size or count */
} ngx_mesh_map_t;


#define NGX_MESH_FACT_NONE       0
#define NGX_MESH_FACT_CONST      1
#define NGX_MESH_FACT_FIXED      2          /* padded with NULs or spaces */
#define NGX_MESH_FACT_STRING     3          /* with a prefix, at an offset */
#define NGX_MESH_FACT_NTH        4          /* of the strings */
#define NGX_MESH_FACT_KEY        5          /* of the map */

typedef struct {
    ngx_uint_t               how;
    size_t                   offset;
    size_t                   size;
    ngx_uint_t               prefix;
    ngx_uint_t               n;
    ngx_str_t                text;          /* constant, or key */
} ngx_mesh_fact_t;


#define NGX_MESH_FACT_SERVICE    0
#define NGX_MESH_FACT_METHOD     1
#define NGX_MESH_FACT_VERSION    2
#define NGX_MESH_FACT_GROUP      3
#define NGX_MESH_FACT_APP        4
#define NGX_MESH_FACT_N          5


/* frames of ours: bytes, and what is written between them */

#define NGX_MESH_PART_BYTES      0
#define NGX_MESH_PART_ID         1
#define NGX_MESH_PART_LENGTH     2
#define NGX_MESH_PART_STATUS     3
#define NGX_MESH_PART_TEXT       4

typedef struct {
    ngx_uint_t               type;
    ngx_str_t                bytes;
    ngx_mesh_field_t         field;         /* LENGTH, STATUS: size, endian */
    ngx_uint_t               prefix;        /* TEXT */
    int64_t                  add;           /* LENGTH: frame minus value */
} ngx_mesh_part_t;


typedef struct {
    ngx_array_t              magics;        /* ngx_mesh_magic_t */

    ngx_array_t              lengths[2];    /* ngx_mesh_field_t: the frame is
                                               as long as their sum ... */
    int64_t                  add[2];        /* ... and so much more */
    size_t                   max_frame;

    ngx_mesh_field_t         id;
    ngx_mesh_field_t         after;         /* length of the string, right
                                               behind which id.offset counts */

    ngx_mesh_field_t         kind;          /* none: clients send requests */
    uint64_t                 kind_mask;
    ngx_array_t              kinds;         /* ngx_mesh_kind_t */

    ngx_mesh_field_t         status;
    ngx_array_t              ok;            /* uint64_t */
    ngx_mesh_field_t         timeout;
    ngx_uint_t               timeout_unit;  /* in ms */

    ngx_mesh_strings_t       strings;
    ngx_mesh_map_t           map;
    ngx_mesh_fact_t          facts[NGX_MESH_FACT_N];

    ngx_array_t             *error;         /* ngx_mesh_part_t */
    ngx_array_t             *heartbeat;
    ngx_array_t             *answer;
    uint16_t                 error_status[NGX_MESH_ERR_N];

    size_t                   need[2];       /* bytes of header, set by init */
} ngx_mesh_declared_t;


/* makes *codec speak the protocol */
void ngx_mesh_declared_init(ngx_mesh_codec_t *codec, ngx_str_t *name,
    ngx_mesh_declared_t *d);


#endif /* _NGX_MESH_DECLARED_H_INCLUDED_ */
