
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_JSON_H_INCLUDED_
#define _NGX_MESH_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


#define NGX_MESH_JSON_BUFFER  32768
#define NGX_MESH_JSON_DEPTH   32

/* values in one text: each takes some hundred bytes while it is looked at */
#define NGX_MESH_JSON_VALUES  4000000


/*
 * Writes JSON into a chain of buffers.  What a writer appends to is cut off
 * and sent by its owner at any time; those that have left are used again.  An
 * error is remembered, so that only the end has to look at it.
 */

typedef struct {
    ngx_pool_t       *pool;
    ngx_buf_tag_t     tag;
    ngx_chain_t      *free;          /* buffers that can be used again */
    ngx_chain_t      *out;
    ngx_chain_t     **last;
    size_t            size;          /* bytes in "out" */
    ngx_uint_t        comma;         /* a value was written before */
    ngx_uint_t        failed;        /* no memory */
} ngx_mesh_json_t;


void ngx_mesh_json_init(ngx_mesh_json_t *json, ngx_pool_t *pool,
    ngx_buf_tag_t tag);

/* begin and end of objects and arrays: one of { } [ ] */
void ngx_mesh_json_open(ngx_mesh_json_t *json, u_char c);
void ngx_mesh_json_close(ngx_mesh_json_t *json, u_char c);

/* the name of the value that follows */
void ngx_mesh_json_key(ngx_mesh_json_t *json, char *key);
void ngx_mesh_json_name(ngx_mesh_json_t *json, ngx_str_t *name);

/* bytes that are no UTF-8 become U+FFFD */
void ngx_mesh_json_string(ngx_mesh_json_t *json, ngx_str_t *s);
void ngx_mesh_json_text(ngx_mesh_json_t *json, char *s);
void ngx_mesh_json_number(ngx_mesh_json_t *json, uint64_t n);
void ngx_mesh_json_bool(ngx_mesh_json_t *json, ngx_uint_t value);
void ngx_mesh_json_null(ngx_mesh_json_t *json);

/* a value that is JSON already */
void ngx_mesh_json_raw(ngx_mesh_json_t *json, ngx_str_t *s);

/* the same in a file, which is open until all was sent; what holds one cannot
   be joined */
void ngx_mesh_json_file(ngx_mesh_json_t *json, ngx_file_t *file, off_t pos,
    off_t last);

/* bytes that are no value */
void ngx_mesh_json_bytes(ngx_mesh_json_t *json, u_char *p, size_t len);

/* all that was written, in one piece; NGX_ERROR: no memory */
ngx_int_t ngx_mesh_json_join(ngx_mesh_json_t *json, ngx_str_t *s);


/* what is wrong with a text, and where */

typedef struct {
    char             *text;
    size_t            offset;
    ngx_str_t         pointer;       /* of a duplicate key */
} ngx_mesh_json_error_t;

/*
 * NULL: *error says why, or its text is NULL and there was no memory.  The
 * value is freed with the pool.  Its strings hold no NUL and are UTF-8.
 */
cJSON *ngx_mesh_json_parse(ngx_str_t *text, ngx_pool_t *pool,
    ngx_mesh_json_error_t *error);

/* RFC 7396: makes "target" what the patch says; both stay the caller's.
   NGX_ERROR: no memory */
ngx_int_t ngx_mesh_json_merge(cJSON *target, cJSON *patch);


static ngx_inline void
ngx_mesh_json_str(cJSON *value, ngx_str_t *s)
{
    s->data = (u_char *) value->valuestring;
    s->len = ngx_strlen(s->data);
}


#endif /* _NGX_MESH_JSON_H_INCLUDED_ */
