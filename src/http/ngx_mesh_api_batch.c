
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/*
 * {"ops": [{"method", "path", "body", "if_match", "if_none_match"}]}: each
 * op is a call of its own in the transaction of all, and sees what those
 * before it did.
 */


typedef struct {
    ngx_str_t  method;
    ngx_str_t  path;
    ngx_str_t  if_match;
    ngx_str_t  if_none_match;
} ngx_mesh_api_batch_op_t;


static ngx_int_t ngx_mesh_api_batch(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_batch_call(ngx_mesh_api_call_t *call,
    ngx_mesh_api_call_t *sub, cJSON *value, ngx_mesh_api_at_t *at);
static ngx_int_t ngx_mesh_api_batch_fill(ngx_mesh_api_call_t *call,
    ngx_mesh_api_call_t *sub, ngx_mesh_api_batch_op_t *op,
    ngx_mesh_api_at_t *at);
static ngx_int_t ngx_mesh_api_batch_answer(ngx_mesh_api_call_t *call);


#define ngx_mesh_api_batch_offset(f)                                         \
    offsetof(ngx_mesh_api_batch_op_t, f)


static ngx_mesh_api_field_t  ngx_mesh_api_batch_fields[] = {
    { "method", NGX_MESH_API_STRING, ngx_mesh_api_batch_offset(method), 16,
      "POST, PUT, PATCH or DELETE" },
    { "path", NGX_MESH_API_STRING, ngx_mesh_api_batch_offset(path), 8192,
      "Behind \"1/\", encoded as in a request" },
    { "if_match", NGX_MESH_API_STRING, ngx_mesh_api_batch_offset(if_match),
      1024, "As the header" },
    { "if_none_match", NGX_MESH_API_STRING,
      ngx_mesh_api_batch_offset(if_none_match), 1024, "As the header" },
    { NULL, 0, 0, 0, NULL }
};


ngx_mesh_api_op_t  ngx_mesh_api_batch_ops[] = {
    { ngx_string("batch"), NGX_HTTP_POST,
      NGX_MESH_API_WRITE|NGX_MESH_API_BODY|NGX_MESH_API_COMMIT
      |NGX_MESH_API_EACH,
      ngx_mesh_api_batch, "Several operations, all of them or none" },
    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_int_t
ngx_mesh_api_batch(ngx_mesh_api_call_t *call)
{
    cJSON                *ops, *value;
    ngx_int_t             rc;
    ngx_array_t          *subs;
    ngx_mesh_api_at_t     list, at;
    ngx_mesh_api_call_t  *sub;

    rc = ngx_mesh_api_table_precondition(call);

    if (rc != NGX_OK) {
        return rc;
    }

    ops = cJSON_GetObjectItemCaseSensitive(call->body, "ops");

    list.up = NULL;
    list.name = "ops";

    if (!cJSON_IsArray(ops)) {
        return ngx_mesh_api_wrong(call, &list, "\"ops\" must be a list");
    }

    cJSON_ArrayForEach(value, call->body) {
        if (value != ops) {
            list.name = value->string;
            return ngx_mesh_api_wrong(call, &list, "unknown field \"%s\"",
                                      value->string);
        }
    }

    subs = ngx_array_create(call->tx->pool, 16, sizeof(ngx_mesh_api_call_t));
    if (subs == NULL) {
        return NGX_ERROR;
    }

    at.up = &list;
    at.name = NULL;
    at.index = 0;

    cJSON_ArrayForEach(value, ops) {

        sub = ngx_array_push(subs);
        if (sub == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_api_batch_call(call, sub, value, &at);

        if (rc != NGX_OK) {
            return rc;
        }

        at.index++;
    }

    call->data = subs;
    call->answer = ngx_mesh_api_batch_answer;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_batch_call(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub,
    cJSON *value, ngx_mesh_api_at_t *at)
{
    cJSON                    *body;
    ngx_int_t                 rc;
    ngx_str_t                 dry;
    ngx_mesh_api_batch_op_t   op;

    ngx_memzero(&op, sizeof(ngx_mesh_api_batch_op_t));

    if (!cJSON_IsObject(value)) {
        return ngx_mesh_api_wrong(call, at, "an op must be an object");
    }

    /* the body has fields of its own; it is put back for another try */

    body = cJSON_DetachItemFromObjectCaseSensitive(value, "body");

    rc = ngx_mesh_api_fields(call, at, value, ngx_mesh_api_batch_fields, &op,
                             NULL);
    if (body) {
        (void) cJSON_AddItemToObject(value, "body", body);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_batch_fill(call, sub, &op, at);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    sub->body = body;

    rc = ngx_mesh_api_find(sub);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_args_known(sub);
    }

    /* it would be done nevertheless */

    if (rc == NGX_OK
        && ngx_mesh_api_arg(sub, "dry_run", &dry) != NGX_DECLINED)
    {
        rc = ngx_mesh_api_fail(sub, NGX_HTTP_BAD_REQUEST, "BadArgument",
                               "\"dry_run\" of the batch is for all",
                               "an op has no \"dry_run\" of its own");
    }

    if (rc == NGX_OK
        && (!(sub->op->flags & NGX_MESH_API_COMMIT)
            || sub->op->handler == ngx_mesh_api_batch
            || sub->op->handler == ngx_mesh_api_snapshot_put))
    {
        rc = ngx_mesh_api_fail(sub, NGX_HTTP_BAD_REQUEST, "NotInBatch", NULL,
                               "this operation is not for a batch");
    }

    if (rc == NGX_OK && (sub->op->flags & NGX_MESH_API_BODY) && body == NULL) {
        rc = ngx_mesh_api_fail(sub, NGX_HTTP_BAD_REQUEST, "NoBody", NULL,
                               "there is no body");
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_required(sub);
    }

    if (rc == NGX_OK) {
        rc = sub->op->handler(sub);
    }

    return rc == NGX_DECLINED
           ? ngx_mesh_api_sub_failed(call, sub, "ops", at->index, "body") : rc;
}


static ngx_int_t
ngx_mesh_api_batch_fill(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub,
    ngx_mesh_api_batch_op_t *op, ngx_mesh_api_at_t *at)
{
    u_char             *p, *last;
    ngx_uint_t          i;
    ngx_mesh_api_at_t   inner;

    static const struct {
        char           *name;
        ngx_uint_t      method;
    } methods[] = {
        { "POST", NGX_HTTP_POST },
        { "PUT", NGX_HTTP_PUT },
        { "PATCH", NGX_HTTP_PATCH },
        { "DELETE", NGX_HTTP_DELETE },
        { NULL, 0 }
    };

    for (i = 0; methods[i].name; i++) {
        if (op->method.data
            && ngx_strcmp(op->method.data, methods[i].name) == 0)
        {
            break;
        }
    }

    inner.up = at;

    if (methods[i].name == NULL) {
        inner.name = "method";
        return ngx_mesh_api_wrong(call, &inner, "\"method\" must be POST, "
                                  "PUT, PATCH or DELETE");
    }

    if (op->path.data == NULL) {
        inner.name = "path";
        return ngx_mesh_api_wrong(call, &inner, "an op needs a \"path\"");
    }

    ngx_mesh_api_sub(call, sub);

    sub->method = methods[i].method;
    sub->method_name = op->method;
    sub->merge = (sub->method == NGX_HTTP_PATCH);
    sub->if_match = op->if_match;
    sub->if_none_match = op->if_none_match;
    sub->required = call->required && !call->expect && !call->if_match.data;
    sub->path = op->path;

    last = op->path.data + op->path.len;
    p = ngx_strlchr(op->path.data, last, '?');

    if (p) {
        sub->path.len = p - op->path.data;
        sub->args.data = p + 1;
        sub->args.len = last - p - 1;
    }

    return NGX_OK;
}


void
ngx_mesh_api_sub(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub)
{
    ngx_memzero(sub, sizeof(ngx_mesh_api_call_t));

    sub->pool = call->pool;
    sub->log = call->log;
    sub->store = call->store;
    sub->tx = call->tx;
    sub->root = call->root;
    sub->by = call->by;
    sub->dry = call->dry;
}


ngx_int_t
ngx_mesh_api_sub_failed(ngx_mesh_api_call_t *call, ngx_mesh_api_call_t *sub,
    char *list, ngx_uint_t i, char *body)
{
    u_char     *p;
    ngx_str_t   pointer;

    pointer = sub->error.pointer;

    p = ngx_pnalloc(call->pool, ngx_strlen(list) + NGX_INT_T_LEN
                                + ngx_strlen(body) + pointer.len
                                + sizeof("///"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->error = sub->error;
    call->error.pointer.data = p;

    p = ngx_sprintf(p, "/%s/%ui", list, i);

    if (pointer.data) {
        p = ngx_sprintf(p, "/%s%V", body, &pointer);
    }

    call->error.pointer.len = p - call->error.pointer.data;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_api_batch_answer(ngx_mesh_api_call_t *call)
{
    ngx_uint_t            i;
    ngx_array_t          *subs;
    ngx_mesh_json_t      *json;
    ngx_mesh_api_call_t  *sub;

    subs = call->data;
    sub = subs->elts;
    json = call->json;

    ngx_mesh_json_key(json, "results");
    ngx_mesh_json_open(json, '[');

    for (i = 0; i < subs->nelts; i++) {

        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "status");
        ngx_mesh_json_number(json, sub[i].written.created ? NGX_HTTP_CREATED
                                                          : NGX_HTTP_OK);

        if (ngx_mesh_api_outcome(&sub[i], json) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_mesh_json_close(json, '}');
    }

    ngx_mesh_json_close(json, ']');

    return NGX_OK;
}
