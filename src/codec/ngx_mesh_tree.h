
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_TREE_H_INCLUDED_
#define _NGX_MESH_TREE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_serial.h"


/*
 * Values as a tree, for what is read once and not on the way of a call.  A
 * reference stays one, so that the tree is never larger than its bytes allow,
 * whatever these say; it may lead back to a value that it is part of, so that
 * only who knows what is wanted may walk down.
 */


/* values beside NGX_MESH_SERIAL_* */
#define NGX_MESH_TREE_LIST         16
#define NGX_MESH_TREE_MAP          17
#define NGX_MESH_TREE_OBJECT       18
#define NGX_MESH_TREE_REF          19

/* containers in each other */
#define NGX_MESH_TREE_DEPTH        64


typedef struct {
    ngx_str_t                    name;
    ngx_str_t                   *fields;
    ngx_uint_t                   nfields;
} ngx_mesh_tree_class_t;


typedef struct ngx_mesh_tree_s   ngx_mesh_tree_t;

typedef struct {
    ngx_mesh_tree_t             *first;     /* values, of a map keys as well;
                                               of a reference what is meant */
    const ngx_mesh_tree_class_t *class;     /* of an object */
} ngx_mesh_tree_box_t;

struct ngx_mesh_tree_s {
    ngx_mesh_tree_t             *next;      /* in its container */
    ngx_uint_t                   type;

    union {
        ngx_str_t                str;       /* UTF-8, of the bytes read or of
                                               the reader's memory */
        int64_t                  num;
        double                   dbl;
        ngx_mesh_tree_box_t      box;
    } u;
};


typedef struct {
    /* set by the caller; what it gives lives as long as the tree */
    void                      *(*alloc)(void *data, size_t size);
    void                        *data;
    ngx_uint_t                   max;       /* values, names of fields too */

    /* private */
    ngx_mesh_body_t              body;
    ngx_mesh_tree_t             *free;
    ngx_uint_t                   nfree;
    ngx_uint_t                   nvalues;
    ngx_mesh_tree_class_t      **classes;
    ngx_uint_t                   nclasses;
    ngx_uint_t                   aclasses;  /* there is room for so many */
    ngx_mesh_tree_t            **boxes;     /* what references count */
    ngx_uint_t                   nboxes;
    ngx_uint_t                   aboxes;
} ngx_mesh_tree_reader_t;


/*
 * Begins to read the bytes between p and last, which have to live as long as
 * the tree; private parts need not be set.  NGX_ABORT: no memory.
 */
ngx_int_t ngx_mesh_tree_start(ngx_mesh_tree_reader_t *r, u_char *p,
    u_char *last);

/*
 * Reads the next value of Hessian 2.  NGX_OK; NGX_ERROR: damaged, too deep or
 * too many; NGX_ABORT: no memory.
 */
ngx_int_t ngx_mesh_hessian2_tree(ngx_mesh_tree_reader_t *r,
    ngx_mesh_tree_t **value);

/* what a reference means, or the value itself; NULL for NULL */
ngx_mesh_tree_t *ngx_mesh_tree_see(ngx_mesh_tree_t *value);

/* the field of an object, or what a map has for that key; NULL: nothing */
ngx_mesh_tree_t *ngx_mesh_tree_find(ngx_mesh_tree_t *value, const char *name);

/* the same as a string, empty if there is none */
ngx_str_t ngx_mesh_tree_string(ngx_mesh_tree_t *value, const char *name);


/* a call of Dubbo's with strings as its arguments, in Hessian 2 */

typedef struct {
    uint64_t                     id;
    ngx_str_t                    service;
    ngx_str_t                    version;
    ngx_str_t                    group;     /* empty: none */
    ngx_str_t                    method;
    ngx_str_t                    descriptor;
    ngx_str_t                   *args;
    ngx_uint_t                   nargs;
    ngx_msec_t                   timeout;
} ngx_mesh_dubbo_call_t;

/* the length of the frame, which is written if it is no more than size */
size_t ngx_mesh_dubbo_call(u_char *dst, size_t size,
    ngx_mesh_dubbo_call_t *call);

/*
 * What the whole response f at p returns; alloc of the reader is set.
 * NGX_OK: *value, NULL for null; NGX_DECLINED: the call failed, *text says why
 * in one line, of the frame or of the reader's memory; NGX_ERROR: damaged;
 * NGX_ABORT: no memory.
 */
ngx_int_t ngx_mesh_dubbo_answer(u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_tree_reader_t *r, ngx_mesh_tree_t **value, ngx_str_t *text);


#endif /* _NGX_MESH_TREE_H_INCLUDED_ */
