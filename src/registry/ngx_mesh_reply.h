
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_REPLY_H_INCLUDED_
#define _NGX_MESH_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <zlib.h>


/*
 * Private to the room: one answer of HTTP/1.1, read as its bytes come.  Pure:
 * it knows no connection, and what it holds is of the heap.
 */


#define NGX_MESH_REPLY_LINE  16384          /* bytes */
#define NGX_MESH_REPLY_HEAD  65536          /* all header lines */
#define NGX_MESH_REPLY_TEXT  65536          /* of an error without a length */


typedef struct {
    ngx_uint_t                 status;
    ngx_str_t                  body;         /* inflated */
    char                      *error;        /* with NGX_ERROR */
    unsigned                   keepalive:1;  /* another one may follow */
    unsigned                   started:1;    /* anything came at all */
    unsigned                   crowded:1;    /* with NGX_ERROR: we had no room
                                                for it */

    /* private */
    ngx_uint_t                 state;
    size_t                     max;          /* of the body */
    size_t                     size;         /* its memory */
    size_t                    *total;        /* the same of all, or NULL */
    size_t                     most;         /* that it may be */
    ngx_str_t                  head;         /* "name: value\n" ... */
    ngx_str_t                  line;         /* not complete yet */
    uint64_t                   rest;         /* of the body, or a chunk */
    z_stream                   zlib;
    unsigned                   version:1;    /* HTTP/1.VERSION */
    unsigned                   gzip:1;
    unsigned                   inflating:1;  /* zlib has memory */
    unsigned                   inflated:1;   /* to its end */
} ngx_mesh_reply_t;


/* max: bytes that a body may have, inflated */
void ngx_mesh_reply_init(ngx_mesh_reply_t *reply, size_t max);

/* bodies that are counted in the same place have so many bytes together at
   most; it has to live as long as they */
void ngx_mesh_reply_share(ngx_mesh_reply_t *reply, size_t *total, size_t most);

/*
 * NGX_AGAIN: all of it is read, and there is more to come; NGX_OK: the answer
 * is complete, *p is behind it; NGX_ERROR: it is no answer, or too large, or
 * there is no memory: reply->error says what.
 */
ngx_int_t ngx_mesh_reply_read(ngx_mesh_reply_t *reply, u_char **p,
    u_char *last);

/*
 * Nothing more will come.  NGX_OK: it is complete by that, as an error of an
 * old proxy may be; NGX_ERROR: it was cut, reply->error says where.
 */
ngx_int_t ngx_mesh_reply_end(ngx_mesh_reply_t *reply);

/* the value of a header, whose name is given in lower case; the first one if
   there are several; NGX_DECLINED: there is none */
ngx_int_t ngx_mesh_reply_header(ngx_mesh_reply_t *reply, char *name,
    ngx_str_t *value);

/* the value is the word, in any case */
ngx_uint_t ngx_mesh_reply_is(ngx_str_t *value, char *word);

/* so many values the JSON of a body has at most: each takes far more memory
   than the two bytes it may be */
size_t ngx_mesh_reply_values(ngx_str_t *body);

/* may be called twice, and of one that is all zeroes */
void ngx_mesh_reply_free(ngx_mesh_reply_t *reply);


#endif /* _NGX_MESH_REPLY_H_INCLUDED_ */
