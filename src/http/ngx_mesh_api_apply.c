
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_registry.h"


/* others may write the same meanwhile: one of all that try gets on each time */

#define NGX_MESH_API_TRIES   1000

#define NGX_MESH_API_ERROR   1024

#define NGX_MESH_API_LOCKED  423

#define NGX_MESH_API_REQUIRED  428


static ngx_int_t ngx_mesh_api_try(ngx_mesh_api_call_t *call,
    ngx_mesh_api_tx_t *tx);
static ngx_int_t ngx_mesh_api_commit(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_full(ngx_mesh_api_call_t *call,
    ngx_mesh_store_result_t *result);
static ngx_int_t ngx_mesh_api_answer(ngx_mesh_api_call_t *call,
    ngx_uint_t changed);
static ngx_uint_t ngx_mesh_api_etag_is(u_char *p, size_t len,
    ngx_str_t *etag);


/* the last commit found no room: said once, not with each that follows */

static ngx_uint_t  ngx_mesh_api_no_room;


ngx_int_t
ngx_mesh_api_apply(ngx_mesh_api_call_t *call)
{
    ngx_int_t          rc;
    ngx_uint_t         tries;
    ngx_mesh_api_tx_t  tx;

    if (call->op->flags & NGX_MESH_API_BODY) {
        rc = ngx_mesh_api_parse(call);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (tries = 0; tries < NGX_MESH_API_TRIES; tries++) {

        rc = ngx_mesh_api_try(call, &tx);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "Busy",
                             "try again", "others write without a pause");
}


static ngx_int_t
ngx_mesh_api_try(ngx_mesh_api_call_t *call, ngx_mesh_api_tx_t *tx)
{
    ngx_int_t    rc;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(4096, call->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_api_tx_init(tx, call->store, pool);

    call->tx = tx;
    call->answer = NULL;
    ngx_memzero(&call->written, sizeof(ngx_mesh_api_written_t));

    rc = call->op->handler(call);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_commit(call);
    }

    call->tx = NULL;
    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
ngx_mesh_api_commit(ngx_mesh_api_call_t *call)
{
    ngx_int_t   writable;
    ngx_uint_t  rc;

    writable = call->dry ? NGX_OK : ngx_mesh_registry_writable();

    if (writable != NGX_OK) {
        return ngx_mesh_api_fail(call, NGX_MESH_API_LOCKED, "Frozen",
                                 "try again in a second", "%s",
                                 writable == NGX_BUSY
                                 ? "an upgrade of nginx is under way"
                                 : "the agent is not there yet");
    }

    rc = ngx_mesh_api_tx_commit(call->tx, call->expect, call->dry, call->log);

    if (call->tx->result.revision) {
        call->revision = call->tx->result.revision;
    }

    switch (rc) {

    case NGX_MESH_STORE_OK:
        if (!call->dry) {
            call->old = call->revision - 1;
            call->committed = 1;

            ngx_mesh_registry_note(call->revision, &call->by, &call->path);
            ngx_mesh_registry_committed();
            ngx_mesh_api_no_room = 0;

            /* a successor of the zone may have been filled just before */

            if (ngx_mesh_registry_writable() == NGX_BUSY) {
                return ngx_mesh_api_fail(call, NGX_MESH_API_LOCKED, "Frozen",
                                         "try again in a second",
                                         "the table went to another instance "
                                         "in this moment");
            }
        }

        return ngx_mesh_api_answer(call, 1);

    case NGX_MESH_STORE_SAME:
        call->old = call->revision;
        return ngx_mesh_api_answer(call, 0);

    case NGX_MESH_STORE_CONFLICT:
        call->revision = ngx_mesh_store_revision(call->store);

        if (call->expect && call->expect != call->revision) {
            return ngx_mesh_api_fail(call, NGX_HTTP_PRECONDITION_FAILED,
                                     "PreconditionFailed",
                                     "read what has changed, then try again",
                                     "the table is of revision %uL",
                                     call->revision);
        }

        return NGX_AGAIN;

    case NGX_MESH_STORE_FULL:
        return ngx_mesh_api_full(call, &call->tx->result);

    case NGX_MESH_STORE_INVALID:
        return ngx_mesh_api_fail(call, 422, "TooLong", NULL,
                                 "names are too long for the table");

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_mesh_api_full(ngx_mesh_api_call_t *call, ngx_mesh_store_result_t *result)
{
    call->error.needed = result->needed;
    call->error.free = result->free;
    call->error.largest = result->largest;

    if (!ngx_mesh_api_no_room && !call->dry) {
        ngx_mesh_api_no_room = 1;

        ngx_log_error(NGX_LOG_ERR, call->log, 0,
                      "the mesh zone is full: a change needs %uzk, %uzk are "
                      "free, %uzk of them in one piece: enlarge the zone",
                      result->needed / 1024 + 1, result->free / 1024,
                      result->largest / 1024);
    }

    return ngx_mesh_api_fail(call, NGX_HTTP_INSUFFICIENT_STORAGE, "ZoneFull",
                             "enlarge the mesh zone",
                             "the change needs %uz bytes of the zone, %uz are "
                             "free, %uz in one piece", result->needed,
                             result->free, result->largest);
}


static ngx_int_t
ngx_mesh_api_answer(ngx_mesh_api_call_t *call, ngx_uint_t changed)
{
    ngx_mesh_json_t  *json;

    json = call->json;

    call->status = (call->written.created && !call->dry) ? NGX_HTTP_CREATED
                                                         : NGX_HTTP_OK;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "changed");
    ngx_mesh_json_bool(json, changed);
    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, call->revision);

    if (call->dry) {
        ngx_mesh_json_key(json, "dry_run");
        ngx_mesh_json_bool(json, 1);
        ngx_mesh_json_key(json, "bytes");
        ngx_mesh_json_number(json, call->tx->result.needed);
        ngx_mesh_json_key(json, "diff");

        if (ngx_mesh_api_tx_diff(call->tx, json) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (call->answer && call->answer(call) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!call->committed) {
        ngx_mesh_json_close(json, '}');
    }

    if (call->dry) {
        return NGX_OK;
    }

    return ngx_mesh_api_outcome(call, NULL);
}


ngx_int_t
ngx_mesh_api_outcome(ngx_mesh_api_call_t *call, ngx_mesh_json_t *json)
{
    ngx_mesh_api_change_t  *change;

    if (call->written.type == 0) {
        return NGX_OK;
    }

    change = ngx_mesh_api_tx_find(call->tx, call->written.type,
                                  &call->written.key);

    if (change == NULL) {
        return NGX_OK;
    }

    if (!change->missing && !call->dry
        && ngx_mesh_api_etag(call, change->op.revision, 0, &call->etag)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json) {
        ngx_mesh_json_key(json, "changed");
        ngx_mesh_json_bool(json, change->op.changed);

        if (call->etag.len) {
            ngx_mesh_json_key(json, "etag");
            ngx_mesh_json_string(json, &call->etag);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_parse(ngx_mesh_api_call_t *call)
{
    ngx_mesh_json_error_t  error;

    if (call->text.len == 0) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "NoBody", NULL,
                                 "there is no body");
    }

    call->body = ngx_mesh_json_parse(&call->text, call->pool, &error);

    if (call->body) {
        return NGX_OK;
    }

    if (error.text == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&call->error.pointer, "");

    if (error.pointer.data) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadJSON", NULL,
                                 "%s: \"%V\"", error.text, &error.pointer);
    }

    return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadJSON", NULL,
                             "%s, at byte %uz", error.text, error.offset);
}


ngx_int_t
ngx_mesh_api_fail(ngx_mesh_api_call_t *call, ngx_uint_t status, char *code,
    char *hint, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(call->pool, NGX_MESH_API_ERROR);
    if (p == NULL) {
        return NGX_ERROR;
    }

    va_start(args, fmt);
    call->error.text.data = p;
    call->error.text.len = ngx_vslprintf(p, p + NGX_MESH_API_ERROR, fmt, args)
                           - p;
    va_end(args);

    call->error.status = status;
    call->error.code = code;
    call->error.hint = hint;

    return NGX_DECLINED;
}


ngx_int_t
ngx_mesh_api_not_found(ngx_mesh_api_call_t *call, char *what, ngx_str_t *name)
{
    return ngx_mesh_api_fail(call, NGX_HTTP_NOT_FOUND, "NotFound", NULL,
                             "there is no %s \"%V\"", what, name);
}


ngx_int_t
ngx_mesh_api_etag(ngx_mesh_api_call_t *call, uint64_t revision, uint64_t part,
    ngx_str_t *etag)
{
    u_char  *p;

    p = ngx_pnalloc(call->pool, 3 * NGX_INT64_LEN + sizeof("\"-.\""));
    if (p == NULL) {
        return NGX_ERROR;
    }

    etag->data = p;

    p = ngx_sprintf(p, "\"%xL-%uL", ngx_mesh_store_epoch(call->store),
                    revision);
    if (part) {
        p = ngx_sprintf(p, ".%uL", part);
    }

    *p++ = '"';
    etag->len = p - etag->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_api_etag_is(u_char *p, size_t len, ngx_str_t *etag)
{
    if (len > 2 && p[0] == 'W' && p[1] == '/') {
        p += 2;
        len -= 2;
    }

    return len == etag->len && ngx_memcmp(p, etag->data, len) == 0;
}


ngx_uint_t
ngx_mesh_api_etag_listed(ngx_str_t *list, ngx_str_t *etag)
{
    u_char  *p, *last, *start, *end;

    p = list->data;
    last = p + list->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        start = p;

        while (p < last && *p != ',') {
            p++;
        }

        end = p;

        while (end > start && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }

        if (end - start == 1 && *start == '*') {
            return etag->len != 0;
        }

        if (ngx_mesh_api_etag_is(start, end - start, etag)) {
            return 1;
        }
    }

    return 0;
}


/* a dry run does no harm, and is what a precondition may come from */

ngx_int_t
ngx_mesh_api_required(ngx_mesh_api_call_t *call)
{
    if (!call->required || call->dry || call->expect || call->if_match.data
        || call->if_none_match.data)
    {
        return NGX_OK;
    }

    return ngx_mesh_api_fail(call, NGX_MESH_API_REQUIRED,
                             "PreconditionRequired",
                             "send If-Match with the ETag that was read, "
                             "If-None-Match: * to create, or X-Mesh-Revision",
                             "a write must say what it relies on here");
}


ngx_int_t
ngx_mesh_api_precondition(ngx_mesh_api_call_t *call, uint64_t revision)
{
    ngx_str_t  etag;

    ngx_str_null(&etag);

    if (revision
        && ngx_mesh_api_etag(call, revision, 0, &etag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_api_etag_precondition(call, &etag);
}


ngx_int_t
ngx_mesh_api_etag_precondition(ngx_mesh_api_call_t *call, ngx_str_t *etag)
{
    if (call->if_match.data
        && (etag->len == 0
            || !ngx_mesh_api_etag_listed(&call->if_match, etag)))
    {
        return ngx_mesh_api_fail(call, NGX_HTTP_PRECONDITION_FAILED,
                                 "PreconditionFailed",
                                 "read what has changed, then try again",
                                 etag->len ? "its ETag is %V"
                                           : "it does not exist", etag);
    }

    if (call->if_none_match.data && etag->len
        && ngx_mesh_api_etag_listed(&call->if_none_match, etag))
    {
        return ngx_mesh_api_fail(call, NGX_HTTP_PRECONDITION_FAILED,
                                 "PreconditionFailed", NULL,
                                 "it exists, its ETag is %V", etag);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_table_precondition(ngx_mesh_api_call_t *call)
{
    uint64_t   revision;
    ngx_int_t  rc;

    revision = ngx_mesh_store_revision(call->store);

    rc = ngx_mesh_api_precondition(call, revision);

    if (rc != NGX_OK || call->if_match.data == NULL || call->expect) {
        return rc;
    }

    if (!(call->if_match.len == 1 && call->if_match.data[0] == '*')) {
        call->expect = revision;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_collection(ngx_mesh_api_call_t *call,
    ngx_mesh_store_query_t *queries, ngx_uint_t n)
{
    ngx_mesh_store_known_t  known;

    ngx_mesh_store_look(call->store, queries, n, &known, &call->revision);

    /* the number tells of a member that went, as none is older then */

    return ngx_mesh_api_etag(call, known.modified, known.nitems + 1,
                             &call->etag);
}


ngx_int_t
ngx_mesh_api_patched(ngx_mesh_api_call_t *call, ngx_mesh_store_item_t *item,
    cJSON **body)
{
    cJSON                  *value;
    ngx_str_t               text;
    ngx_mesh_json_t         json;
    ngx_mesh_api_type_t    *type;
    ngx_mesh_json_error_t   error;

    if (!cJSON_IsObject(call->body)) {
        return ngx_mesh_api_wrong(call, NULL, "a patch must be an object");
    }

    type = ngx_mesh_api_type(item->type);

    ngx_mesh_json_init(&json, call->tx->pool, NULL);

    if (type->spec(&json, item, call->tx->pool) != NGX_OK
        || ngx_mesh_json_join(&json, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = ngx_mesh_json_parse(&text, call->tx->pool, &error);

    if (value == NULL || ngx_mesh_json_merge(value, call->body) != NGX_OK) {
        return NGX_ERROR;
    }

    *body = value;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_wrote(ngx_mesh_api_call_t *call, ngx_mesh_store_op_t *op,
    ngx_uint_t created)
{
    u_char                 *p;
    ngx_str_t               path;
    ngx_mesh_api_type_t    *type;
    ngx_mesh_store_item_t   item;

    call->written.type = op->type;
    call->written.key = op->key;
    call->written.created = created;

    if (!created) {
        return NGX_OK;
    }

    ngx_memzero(&item, sizeof(ngx_mesh_store_item_t));

    item.type = op->type;
    item.key = op->key;
    item.value = op->value;

    type = ngx_mesh_api_type(op->type);

    if (type->path(&item, &path, call->tx->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(call->pool, call->root.len + path.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->written.location.data = p;
    call->written.location.len = ngx_sprintf(p, "%V1/%V", &call->root, &path)
                                 - p;

    return NGX_OK;
}
