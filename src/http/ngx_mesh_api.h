
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_API_H_INCLUDED_
#define _NGX_MESH_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_item.h"
#include "ngx_mesh_json.h"


/*
 * The API, private to the room.  A call is one operation on one resource; it
 * knows nothing of the HTTP request it came with, so that calls of a batch,
 * and those another process does, are the same.
 */

typedef struct ngx_mesh_api_call_s  ngx_mesh_api_call_t;
typedef struct ngx_mesh_api_tx_s    ngx_mesh_api_tx_t;

typedef ngx_int_t (*ngx_mesh_api_pt)(ngx_mesh_api_call_t *call);


/* parameters of a path, which are segments as "{name}" */
#define NGX_MESH_API_PARAMS      3

#define NGX_MESH_API_WRITE       0x01    /* needs "write" */
#define NGX_MESH_API_BODY        0x02    /* takes JSON */

/* changes items by a transaction: the handler may be called several times,
   each time with a new one; batches and "dry_run" are for these only */
#define NGX_MESH_API_COMMIT      0x04

#define NGX_MESH_API_DRY         0x08    /* takes "dry_run" without that */

#define NGX_MESH_API_EACH        0x10    /* its ops may have preconditions */
#define NGX_MESH_API_LINES       0x20    /* answers with lines, if wanted */
#define NGX_MESH_API_FIELDS      0x40    /* takes "fields" */
#define NGX_MESH_API_LIST        0x80    /* answers with a page of members */


typedef struct {
    ngx_str_t                path;       /* "services/{service}/endpoints" */
    ngx_uint_t               method;     /* NGX_HTTP_GET serves HEAD too */
    ngx_uint_t               flags;
    ngx_mesh_api_pt          handler;
    char                    *summary;
} ngx_mesh_api_op_t;


/*
 * All operations: tables that end with an op without a handler, and NULL.
 * What is not found there is 404, another method 405.
 */
extern ngx_mesh_api_op_t  *ngx_mesh_api_ops[];

extern ngx_mesh_api_op_t   ngx_mesh_api_root_ops[];
extern ngx_mesh_api_op_t   ngx_mesh_api_service_ops[];
extern ngx_mesh_api_op_t   ngx_mesh_api_endpoint_ops[];
extern ngx_mesh_api_op_t   ngx_mesh_api_override_ops[];
extern ngx_mesh_api_op_t   ngx_mesh_api_batch_ops[];


typedef struct {
    ngx_uint_t               status;     /* 0: no error */
    char                    *code;       /* CamelCase, for programs */
    ngx_str_t                text;       /* for people */
    ngx_str_t                pointer;    /* into the body; data NULL: none */
    char                    *hint;       /* or NULL */
    size_t                   needed;     /* with 507 */
    size_t                   free;
    size_t                   largest;
} ngx_mesh_api_error_t;


/* what the answer to an operation that changes items says */

typedef struct {
    ngx_uint_t               type;       /* item whose ETag is told, 0: none */
    ngx_str_t                key;
    ngx_uint_t               created;    /* 201 */
    ngx_str_t                location;   /* of what was created */
} ngx_mesh_api_written_t;


struct ngx_mesh_api_call_s {

    /* what is asked for */

    ngx_mesh_api_op_t       *op;
    ngx_uint_t               method;
    ngx_str_t                method_name;
    ngx_str_t                path;       /* behind "1/", encoded */
    ngx_str_t                root;       /* "/api/1/" */
    ngx_str_t                params[NGX_MESH_API_PARAMS];    /* decoded */
    ngx_str_t                args;
    ngx_str_t                text;       /* of the body */
    cJSON                   *body;       /* NULL: none */
    ngx_str_t                by;         /* whose wish it is */
    ngx_uint_t               merge;      /* a PATCH */
    ngx_uint_t               restore;    /* of a snapshot: what the item
                                            lies on need not be there */
    ngx_uint_t               dry;
    ngx_uint_t               committed;  /* its answer is not at its end */

    /* preconditions; data NULL: none */

    ngx_str_t                if_match;
    ngx_str_t                if_none_match;
    uint64_t                 expect;     /* revision of the store, 0: any */
    ngx_uint_t               required;   /* one of these */

    /* what to do it with; the pool lasts until the answer was made */

    ngx_pool_t              *pool;
    ngx_log_t               *log;
    ngx_mesh_store_t        *store;
    ngx_mesh_api_tx_t       *tx;         /* of an operation with _COMMIT */

    /* the answer */

    ngx_uint_t               status;     /* 0: 200 */
    ngx_mesh_json_t         *json;       /* without _COMMIT */
    ngx_str_t                etag;       /* quoted; of a GET or of the write */
    ngx_str_t                allow;      /* methods of the path */
    uint64_t                 old;        /* revisions of the store */
    uint64_t                 revision;
    ngx_mesh_api_written_t   written;
    ngx_mesh_api_error_t     error;

    /* adds members to the answer of what was committed; NULL: none */
    ngx_mesh_api_pt          answer;

    /* writes a further part of a long answer: NGX_AGAIN: there are more */
    ngx_mesh_api_pt          more;
    void                    *data;

    /* set when a handler answers later or has no end yet: see ngx_mesh_api.c */
    ngx_http_request_t      *request;
};


/*
 * A handler returns NGX_OK; NGX_DECLINED, with an error set by one of these;
 * NGX_AGAIN, in a transaction: what was read has changed, from the start
 * again; NGX_ERROR: no memory.
 */

/* these return NGX_DECLINED; the text takes ngx_sprintf()'s arguments */
ngx_int_t ngx_mesh_api_fail(ngx_mesh_api_call_t *call, ngx_uint_t status,
    char *code, char *hint, const char *fmt, ...);
ngx_int_t ngx_mesh_api_not_found(ngx_mesh_api_call_t *call, char *what,
    ngx_str_t *name);

/* where in a body something stands */

typedef struct ngx_mesh_api_at_s  ngx_mesh_api_at_t;

struct ngx_mesh_api_at_s {
    ngx_mesh_api_at_t       *up;         /* NULL: the body itself */
    char                    *name;       /* NULL: an element */
    ngx_uint_t               index;
};

ngx_int_t ngx_mesh_api_wrong(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    const char *fmt, ...);

/* an argument of the query string, decoded; NGX_DECLINED: it is not there */
ngx_int_t ngx_mesh_api_arg(ngx_mesh_api_call_t *call, char *name,
    ngx_str_t *value);

/* the same for numbers: 0 when it is not there */
ngx_int_t ngx_mesh_api_arg_number(ngx_mesh_api_call_t *call, char *name,
    ngx_uint_t *n);

/* the same for "0" and "1" */
ngx_int_t ngx_mesh_api_arg_flag(ngx_mesh_api_call_t *call, char *name,
    ngx_uint_t *flag);

/* all arguments there are, until one without a name */

typedef struct {
    ngx_str_t                name;
    char                    *path;       /* of the operation; NULL: by flags */
    ngx_uint_t               method;
    ngx_uint_t               flags;      /* one of them; or 0 */
    char                    *schema;     /* JSON */
    char                    *summary;
} ngx_mesh_api_arg_t;

extern ngx_mesh_api_arg_t  ngx_mesh_api_args[];

ngx_uint_t ngx_mesh_api_arg_takes(ngx_mesh_api_arg_t *arg,
    ngx_mesh_api_op_t *op);

/* whether there are only arguments that the operation takes; else 400 */
ngx_int_t ngx_mesh_api_args_known(ngx_mesh_api_call_t *call);

/* a segment of a path */
ngx_int_t ngx_mesh_api_escape(ngx_pool_t *pool, ngx_str_t *src,
    ngx_str_t *dst);


/* ngx_mesh_api_find.c */

/*
 * The operation of a method and path, whose parameters are filled in.
 * NGX_DECLINED: no such path (404) or no such method (405), and the call has
 * the error.
 */
ngx_int_t ngx_mesh_api_find(ngx_mesh_api_call_t *call);


/* ngx_mesh_api_tx.c: what a transaction reads and is going to write */

typedef struct {
    ngx_rbtree_node_t        node;       /* by type and key; the first */
    ngx_queue_t              queue;
    ngx_mesh_store_op_t      op;
    ngx_mesh_store_item_t    before;
    unsigned                 existed:1;
    unsigned                 written:1;
    unsigned                 missing:1;  /* to the transaction, now */
} ngx_mesh_api_change_t;

struct ngx_mesh_api_tx_s {
    ngx_mesh_store_t        *store;
    ngx_pool_t              *pool;
    uint64_t                 expect;     /* revision of the store, 0: any */
    ngx_queue_t              changes;    /* in the order of their first use */
    ngx_uint_t               nchanges;
    ngx_rbtree_t             tree;
    ngx_rbtree_node_t        sentinel;
    ngx_uint_t               whole;      /* bits of types: all was read */
    ngx_mesh_store_result_t  result;
};

void ngx_mesh_api_tx_init(ngx_mesh_api_tx_t *tx, ngx_mesh_store_t *store,
    ngx_pool_t *pool);

/*
 * The item as the transaction has it, by whoever is going to commit only
 * when it is still so; NGX_DECLINED: there is none.
 */
ngx_int_t ngx_mesh_api_tx_get(ngx_mesh_api_tx_t *tx, ngx_uint_t type,
    ngx_str_t *key, ngx_mesh_store_item_t *item);

/* all of a type whose keys begin so, in their order; then the store must not
   change at all.  NGX_AGAIN: it has */
ngx_int_t ngx_mesh_api_tx_list(ngx_mesh_api_tx_t *tx, ngx_uint_t type,
    ngx_str_t *prefix, ngx_array_t *items);

/* op has type, key and value, or "remove" */
ngx_int_t ngx_mesh_api_tx_put(ngx_mesh_api_tx_t *tx, ngx_mesh_store_op_t *op);
ngx_int_t ngx_mesh_api_tx_remove(ngx_mesh_api_tx_t *tx, ngx_uint_t type,
    ngx_str_t *key);

/* what became of an item by the commit; NULL: it was not looked at */
ngx_mesh_api_change_t *ngx_mesh_api_tx_find(ngx_mesh_api_tx_t *tx,
    ngx_uint_t type, ngx_str_t *key);

/* one of NGX_MESH_STORE_ */
ngx_uint_t ngx_mesh_api_tx_commit(ngx_mesh_api_tx_t *tx, uint64_t expect,
    ngx_uint_t dry, ngx_log_t *log);

/* list of {op, path, before, after} */
ngx_int_t ngx_mesh_api_tx_diff(ngx_mesh_api_tx_t *tx, ngx_mesh_json_t *json);


/* how items of a type are shown: their path behind "1/", and their spec */

typedef struct {
    ngx_uint_t               type;
    ngx_int_t              (*path)(ngx_mesh_store_item_t *item,
                                   ngx_str_t *path, ngx_pool_t *pool);
    ngx_int_t              (*spec)(ngx_mesh_json_t *json,
                                   ngx_mesh_store_item_t *item,
                                   ngx_pool_t *pool);
} ngx_mesh_api_type_t;

/* ends with type 0; items of other types are not shown */
extern ngx_mesh_api_type_t  ngx_mesh_api_types[];

/* NULL: it is none of them */
ngx_mesh_api_type_t *ngx_mesh_api_type(ngx_uint_t type);

/* a member of a list: {path, spec}, or nothing */
ngx_int_t ngx_mesh_api_show_item(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);

/* a member of a diff: {op, path, before, after}, NULL: there was, or is, none;
   or nothing */
ngx_int_t ngx_mesh_api_show_change(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *before, ngx_mesh_store_item_t *after,
    ngx_pool_t *pool);

/* "metadata" of an object; service NULL: it is in none */
void ngx_mesh_api_show_metadata(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_str_t *name, ngx_str_t *service,
    ngx_str_t *owner);

/* "epoch" and "revision" of a table */
void ngx_mesh_api_show_table(ngx_mesh_api_call_t *call);

/* the members of an error; problem: as RFC 9457 names them */
void ngx_mesh_api_show_error(ngx_mesh_json_t *json,
    ngx_mesh_api_error_t *error, ngx_uint_t problem);

/* hands over all items of a type, some at a time, which are gone afterwards,
   and which other commits may come between; what is not NGX_OK ends it */
typedef ngx_int_t (*ngx_mesh_api_items_pt)(void *data, ngx_array_t *items);

ngx_int_t ngx_mesh_api_show_each(ngx_mesh_api_call_t *call, ngx_uint_t type,
    ngx_mesh_api_items_pt handler, void *data);

ngx_int_t ngx_mesh_api_service_path(ngx_mesh_store_item_t *item,
    ngx_str_t *path, ngx_pool_t *pool);
ngx_int_t ngx_mesh_api_service_spec(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);
ngx_int_t ngx_mesh_api_endpoint_path(ngx_mesh_store_item_t *item,
    ngx_str_t *path, ngx_pool_t *pool);
ngx_int_t ngx_mesh_api_endpoint_spec(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);
ngx_int_t ngx_mesh_api_override_path(ngx_mesh_store_item_t *item,
    ngx_str_t *path, ngx_pool_t *pool);
ngx_int_t ngx_mesh_api_override_spec(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);


/* ngx_mesh_api_apply.c */

/*
 * Parses the body and does what a call with _COMMIT asks for: all of it or
 * nothing.  NGX_DECLINED: the call has an error.  The answer is in "json".
 */
ngx_int_t ngx_mesh_api_apply(ngx_mesh_api_call_t *call);

/* the body, when the operation takes one */
ngx_int_t ngx_mesh_api_parse(ngx_mesh_api_call_t *call);

/* NGX_DECLINED: 428, there has to be a precondition and is none */
ngx_int_t ngx_mesh_api_required(ngx_mesh_api_call_t *call);

/*
 * If-Match and If-None-Match of a call that writes an item of that revision,
 * 0: there is none.  NGX_DECLINED: 412.
 */
ngx_int_t ngx_mesh_api_precondition(ngx_mesh_api_call_t *call,
    uint64_t revision);
ngx_int_t ngx_mesh_api_etag_precondition(ngx_mesh_api_call_t *call,
    ngx_str_t *etag);

/* the same for a write to the table as a whole, whose ETag is that of a
   snapshot: the commit holds for that revision only */
ngx_int_t ngx_mesh_api_table_precondition(ngx_mesh_api_call_t *call);

/* "EPOCH-REVISION", quoted; "part" of 0 is none */
ngx_int_t ngx_mesh_api_etag(ngx_mesh_api_call_t *call, uint64_t revision,
    uint64_t part, ngx_str_t *etag);

/* whether a header that lists entity tags has that one */
ngx_uint_t ngx_mesh_api_etag_listed(ngx_str_t *list, ngx_str_t *etag);

/* the ETag of a collection and revision of the store: it says when any of
   its members changes or goes */
ngx_int_t ngx_mesh_api_collection(ngx_mesh_api_call_t *call,
    ngx_mesh_store_query_t *queries, ngx_uint_t n);

/* the spec of an item with the call's patch on it */
ngx_int_t ngx_mesh_api_patched(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, cJSON **body);

/* the answer is about this item; created: 201, and where it is */
ngx_int_t ngx_mesh_api_wrote(ngx_mesh_api_call_t *call,
    ngx_mesh_store_op_t *op, ngx_uint_t created);

/* "changed" and the like of one operation of a transaction */
ngx_int_t ngx_mesh_api_outcome(ngx_mesh_api_call_t *call,
    ngx_mesh_json_t *json);


/* ngx_mesh_api_spec.c: reading specs */

#define NGX_MESH_API_STRING    0
#define NGX_MESH_API_NUMBER    1         /* ngx_uint_t, up to "max" */
#define NGX_MESH_API_TIME      2         /* ngx_uint_t of milliseconds */
#define NGX_MESH_API_BOOL      3         /* ngx_uint_t */
#define NGX_MESH_API_LABELS    4         /* ngx_array_t of ngx_keyval_t */

typedef struct {
    char                    *name;       /* NULL ends a list */
    ngx_uint_t               type;
    size_t                   offset;
    ngx_uint_t               max;        /* of a string: its bytes */
    char                    *summary;
} ngx_mesh_api_field_t;

/*
 * Fills a structure in from an object; "seen" (or NULL) gets a bit for each
 * field that was there.  Other fields, and wrong ones, are 422.
 */
ngx_int_t ngx_mesh_api_fields(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *object, ngx_mesh_api_field_t *fields,
    void *data, ngx_uint_t *seen);

/* members of an object have no order: those in another one are no change */
void ngx_mesh_api_sort_pairs(ngx_keyval_t *pairs, ngx_uint_t n);

/* a service's name as it stands in a path */
ngx_int_t ngx_mesh_api_service_name(ngx_mesh_api_call_t *call,
    ngx_str_t *name, ngx_mesh_service_t *service);

/* the service that the path names, and the key of its item */
ngx_int_t ngx_mesh_api_service_key(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *key);

/* an item as the call's transaction has it, or as there is one */
ngx_int_t ngx_mesh_api_item(ngx_mesh_api_call_t *call, ngx_uint_t type,
    ngx_str_t *key, ngx_mesh_store_item_t *item);

/* the protocol is built in or declared */
ngx_int_t ngx_mesh_api_protocol(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, ngx_str_t *name);

/* RFC 3339 and back, ms since 1970 */
ngx_int_t ngx_mesh_api_parse_date(ngx_str_t *s, uint64_t *ms);
u_char *ngx_mesh_api_date(u_char *p, uint64_t ms);

/* a time as "10s" */
void ngx_mesh_api_time(ngx_mesh_json_t *json, ngx_uint_t ms);

/* 409 OwnedByConfig, OwnedByRegistry */
ngx_int_t ngx_mesh_api_owned(ngx_mesh_api_call_t *call, ngx_str_t *owner,
    char *what, ngx_str_t *name);


/* ngx_mesh_api_endpoint.c */

/*
 * The endpoint of an id that is in force, of several owners the first;
 * "revision" is of its item.  NGX_DECLINED: there is none, and no error set.
 */
ngx_int_t ngx_mesh_api_endpoint_get(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *id, ngx_mesh_store_item_t *item,
    ngx_mesh_endpoint_t *ep);


/* ngx_mesh_api_pick.c */

/* the argument "fields", as names; NULL: it is not there */
ngx_int_t ngx_mesh_api_pick_names(ngx_mesh_api_call_t *call,
    ngx_array_t **names);

/* of an object that was written, what is named; the pool is for this alone */
ngx_int_t ngx_mesh_api_pick(ngx_mesh_json_t *json, ngx_mesh_json_t *from,
    ngx_array_t *names, ngx_pool_t *pool);


/* ngx_mesh_api_page.c: collections */

typedef struct ngx_mesh_api_page_s  ngx_mesh_api_page_t;

struct ngx_mesh_api_page_s {
    ngx_uint_t               type;
    ngx_str_t                prefix;
    ngx_str_t                after;      /* key */
    ngx_uint_t               limit;      /* 0: all */
    ngx_uint_t               n;
    ngx_array_t             *names;      /* of fields; NULL: all */

    /* writes one member; NGX_DECLINED: it is none */
    ngx_int_t              (*item)(ngx_mesh_api_call_t *call,
                                   ngx_mesh_store_item_t *item,
                                   ngx_pool_t *pool);
};

/* answers with the members of a type that begin with a prefix, in parts,
   as "limit" and "after" say */
ngx_int_t ngx_mesh_api_page(ngx_mesh_api_call_t *call, ngx_uint_t type,
    ngx_str_t *prefix, ngx_int_t (*item)(ngx_mesh_api_call_t *call,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool));


/* ngx_mesh_api.c */

/* a header's line number "which", from 0; NULL: there is none */
ngx_str_t *ngx_mesh_api_header(ngx_http_request_t *r, char *name,
    ngx_uint_t which);

/*
 * The end of a call that went by events, with what its handler would have
 * returned: audit, the journal, the answer.  NGX_DONE, or what the request is
 * to be finalized with.
 */
ngx_int_t ngx_mesh_api_finish(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call, ngx_int_t rc);

/* the end of the handler of an event, with what the above has returned; the
   request may be gone then */
void ngx_mesh_api_end(ngx_http_request_t *r, ngx_int_t rc);


/* ngx_mesh_api_send.c */

/* header and first part of the answer to a call, or its error */
ngx_int_t ngx_mesh_api_send(ngx_http_request_t *r, ngx_mesh_api_call_t *call);

/* for answers of another kind: the headers that all have */
ngx_int_t ngx_mesh_api_headers(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);


/* ngx_mesh_api_durable.c: ends the answer to a call that has committed.
   NGX_DONE: it is sent later, from there */
ngx_int_t ngx_mesh_api_durable(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);


/* ngx_mesh_api_audit.c */

void ngx_mesh_api_audit(ngx_http_request_t *r, ngx_mesh_api_call_t *call);


#endif /* _NGX_MESH_API_H_INCLUDED_ */
