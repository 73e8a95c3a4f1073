
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_API_ROUTE_H_INCLUDED_
#define _NGX_MESH_API_ROUTE_H_INCLUDED_


#include "ngx_mesh_api.h"
#include "ngx_mesh_registry.h"
#include "ngx_mesh_rule.h"


/* ngx_mesh_api_route_spec.c */

/* fills in all but name and owner of a zeroed rule, and checks it; strings
   are the body's.  NGX_DECLINED: the call has the error */
ngx_int_t ngx_mesh_api_route_parse(ngx_mesh_api_call_t *call, cJSON *body,
    ngx_mesh_rule_t *rule);

/* ngx_mesh_api_route_show.c: the reverse */
void ngx_mesh_api_route_show(ngx_mesh_json_t *json, ngx_mesh_rule_t *rule,
    ngx_pool_t *pool);

/* parts of it: members of an object, an object, numbers */
void ngx_mesh_api_route_show_condition(ngx_mesh_json_t *json,
    ngx_mesh_condition_t *c, ngx_pool_t *pool);
void ngx_mesh_api_route_show_pairs(ngx_mesh_json_t *json, ngx_keyval_t *pairs,
    ngx_uint_t n);
void ngx_mesh_api_route_decimal(ngx_mesh_json_t *json, ngx_uint_t hundredths);
void ngx_mesh_api_route_integer(ngx_mesh_json_t *json, ngx_int_t n);


/* ngx_mesh_api_route.c: for ngx_mesh_api_types */
ngx_int_t ngx_mesh_api_route_path(ngx_mesh_store_item_t *item, ngx_str_t *path,
    ngx_pool_t *pool);
ngx_int_t ngx_mesh_api_route_spec(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool);


/* ngx_mesh_api_large.c: bodies that are not for workers */

#define NGX_MESH_API_JOB_LARGE    9          /* type of the job */
#define NGX_MESH_API_LARGE        262144     /* bytes that a worker reads */

/* before the body is read, whose file may be wanted then */
void ngx_mesh_api_large_expect(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);

/* NGX_DONE: the agent does it, and the answer comes then; NGX_DECLINED, and
   no error: the body is the worker's */
ngx_int_t ngx_mesh_api_large(ngx_http_request_t *r, ngx_mesh_api_call_t *call);

/* in the agent */
void ngx_mesh_api_large_task(ngx_mesh_registry_task_t *task);


/* ngx_mesh_api_job.c: calls that the agent does */

/* returns what a handler does; the job lasts until then */
typedef ngx_int_t (*ngx_mesh_api_job_pt)(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job);

/*
 * Has the agent do a job, whose arguments stay where they are; "answer" goes
 * on with the call then.  NGX_DONE; NGX_DECLINED, and no error: there is no
 * agent, or the arguments are too long.
 */
ngx_int_t ngx_mesh_api_job(ngx_mesh_api_call_t *call, ngx_uint_t type,
    ngx_str_t *args, ngx_str_t *file, ngx_mesh_api_job_pt answer);

/* what the agent wrote into a file, until the call ends; NULL: nothing */
ngx_file_t *ngx_mesh_api_job_open(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job);

/* answers with the JSON in it, or NULL: in the job's result, that begins at an
   offset; NGX_ERROR: there is none */
ngx_int_t ngx_mesh_api_job_json(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job, ngx_file_t *file, size_t from);

/* in the agent: writes such a file, or the result when that has room for it;
   NGX_ERROR: *err says why */
ngx_int_t ngx_mesh_api_job_write(ngx_mesh_registry_task_t *task,
    ngx_chain_t *out, ngx_err_t *err);


/* what ngx_mesh_api_revision.c asks the agent for */

#define NGX_MESH_API_JOB_JOURNAL  8          /* type of the job */

#define NGX_MESH_API_REVISIONS    0
#define NGX_MESH_API_REVISION     1
#define NGX_MESH_API_DIFF         2
#define NGX_MESH_API_ROLLBACK     3

/* its arguments; the name of who asks follows */

typedef struct {
    ngx_uint_t               what;
    uint64_t                 revision;
    uint64_t                 to;             /* 0: what there is now */
    uint64_t                 expect;         /* revision of the table */
    ngx_uint_t               dry;
} ngx_mesh_api_revision_t;


/* ngx_mesh_api_batch.c: calls that are part of another one, in its
   transaction */

/* zeroed but for what they share */
void ngx_mesh_api_sub(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub);

/* the error of one is that of all, and says whose it is: by the name of the
   list and of the member that was its body.  NGX_DECLINED */
ngx_int_t ngx_mesh_api_sub_failed(ngx_mesh_api_call_t *call,
    ngx_mesh_api_call_t *sub, char *list, ngx_uint_t i, char *body);


/* ngx_mesh_api_override.c: the handler of PUT, and whether such a spec has
   an end that is over */
ngx_int_t ngx_mesh_api_override_put(ngx_mesh_api_call_t *call);
ngx_uint_t ngx_mesh_api_override_ended(cJSON *spec);


/* ngx_mesh_api_snapshot.c: the handler of PUT */
ngx_int_t ngx_mesh_api_snapshot_put(ngx_mesh_api_call_t *call);


extern ngx_mesh_api_op_t     ngx_mesh_api_route_ops[];
extern ngx_mesh_api_op_t     ngx_mesh_api_explain_ops[];
extern ngx_mesh_api_op_t     ngx_mesh_api_watch_ops[];
extern ngx_mesh_api_op_t     ngx_mesh_api_snapshot_ops[];
extern ngx_mesh_api_op_t     ngx_mesh_api_revision_ops[];
extern ngx_mesh_api_op_t     ngx_mesh_api_registry_ops[];
extern ngx_mesh_api_op_t     ngx_mesh_api_openapi_ops[];

/* fields of specs */
extern ngx_mesh_api_field_t  ngx_mesh_api_service_fields[];
extern ngx_mesh_api_field_t  ngx_mesh_api_endpoint_fields[];
extern ngx_mesh_api_field_t  ngx_mesh_api_override_fields[];
extern ngx_mesh_api_field_t  ngx_mesh_api_explain_fields[];


/* ngx_mesh_api_openapi_answers.c */
extern char  ngx_mesh_api_answer_schemas[];


#endif /* _NGX_MESH_API_ROUTE_H_INCLUDED_ */
