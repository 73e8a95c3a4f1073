
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/*
 * A long body is not for a worker, whose calls would wait: nginx has it in a
 * file, and the agent reads that and does what the call asks for.
 */


/* lengths; strings that may be absent are one byte longer than they are */

typedef enum {
    NGX_MESH_API_LARGE_METHOD = 0,
    NGX_MESH_API_LARGE_PATH,
    NGX_MESH_API_LARGE_ROOT,
    NGX_MESH_API_LARGE_ARGS,
    NGX_MESH_API_LARGE_BY,
    NGX_MESH_API_LARGE_IF_MATCH,
    NGX_MESH_API_LARGE_IF_NONE_MATCH,
    NGX_MESH_API_LARGE_ASKS,

    NGX_MESH_API_LARGE_ETAG = 0,
    NGX_MESH_API_LARGE_LOCATION,
    NGX_MESH_API_LARGE_CODE,
    NGX_MESH_API_LARGE_TEXT,
    NGX_MESH_API_LARGE_POINTER,
    NGX_MESH_API_LARGE_HINT,
    NGX_MESH_API_LARGE_TELLS
} ngx_mesh_api_large_e;


/* what the agent is asked for, and what it answers; strings follow, and then
   the JSON of the answer */

typedef struct {
    ngx_uint_t                method;
    ngx_uint_t                merge;
    ngx_uint_t                dry;
    ngx_uint_t                required;
    uint64_t                  expect;
    uint32_t                  len[NGX_MESH_API_LARGE_ASKS];
} ngx_mesh_api_large_ask_t;


typedef struct {
    ngx_uint_t                status;
    ngx_uint_t                committed;
    uint64_t                  old;
    uint64_t                  revision;
    ngx_uint_t                error;
    size_t                    needed;
    size_t                    free;
    size_t                    largest;
    uint32_t                  len[NGX_MESH_API_LARGE_TELLS];
} ngx_mesh_api_large_tell_t;


static void ngx_mesh_api_large_asks(ngx_mesh_api_call_t *call, ngx_str_t **s);
static void ngx_mesh_api_large_tells(ngx_mesh_api_call_t *call, ngx_str_t *code,
    ngx_str_t *hint, ngx_str_t **s);
static size_t ngx_mesh_api_large_size(ngx_str_t **s, ngx_uint_t n,
    uint32_t *len);
static u_char *ngx_mesh_api_large_put(u_char *p, ngx_str_t **s, ngx_uint_t n);
static ngx_int_t ngx_mesh_api_large_take(u_char *p, u_char *last,
    uint32_t *len, ngx_str_t **s, ngx_uint_t n);
static ngx_int_t ngx_mesh_api_large_answer(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job);
static u_char *ngx_mesh_api_large_part(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job, ngx_file_t *file, size_t from, size_t size);
static ngx_int_t ngx_mesh_api_large_told(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job, ngx_file_t *file);
static ngx_int_t ngx_mesh_api_large_call(ngx_mesh_registry_task_t *task,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_large_read(ngx_mesh_registry_task_t *task,
    ngx_str_t *text);
static ngx_int_t ngx_mesh_api_large_tell(ngx_mesh_registry_task_t *task,
    ngx_mesh_api_call_t *call);


static void
ngx_mesh_api_large_asks(ngx_mesh_api_call_t *call, ngx_str_t **s)
{
    s[NGX_MESH_API_LARGE_METHOD] = &call->method_name;
    s[NGX_MESH_API_LARGE_PATH] = &call->path;
    s[NGX_MESH_API_LARGE_ROOT] = &call->root;
    s[NGX_MESH_API_LARGE_ARGS] = &call->args;
    s[NGX_MESH_API_LARGE_BY] = &call->by;
    s[NGX_MESH_API_LARGE_IF_MATCH] = &call->if_match;
    s[NGX_MESH_API_LARGE_IF_NONE_MATCH] = &call->if_none_match;
}


static void
ngx_mesh_api_large_tells(ngx_mesh_api_call_t *call, ngx_str_t *code,
    ngx_str_t *hint, ngx_str_t **s)
{
    s[NGX_MESH_API_LARGE_ETAG] = &call->etag;
    s[NGX_MESH_API_LARGE_LOCATION] = &call->written.location;
    s[NGX_MESH_API_LARGE_CODE] = code;
    s[NGX_MESH_API_LARGE_TEXT] = &call->error.text;
    s[NGX_MESH_API_LARGE_POINTER] = &call->error.pointer;
    s[NGX_MESH_API_LARGE_HINT] = hint;
}


static size_t
ngx_mesh_api_large_size(ngx_str_t **s, ngx_uint_t n, uint32_t *len)
{
    size_t      size;
    ngx_uint_t  i;

    for (i = 0, size = 0; i < n; i++) {
        len[i] = s[i]->data ? (uint32_t) s[i]->len + 1 : 0;
        size += s[i]->data ? s[i]->len + 1 : 0;
    }

    return size;
}


static u_char *
ngx_mesh_api_large_put(u_char *p, ngx_str_t **s, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (s[i]->data) {
            p = ngx_cpymem(p, s[i]->data, s[i]->len);
            *p++ = '\0';
        }
    }

    return p;
}


static ngx_int_t
ngx_mesh_api_large_take(u_char *p, u_char *last, uint32_t *len, ngx_str_t **s,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        ngx_str_null(s[i]);

        if (len[i] == 0) {
            continue;
        }

        if (len[i] > (size_t) (last - p)) {
            return NGX_ERROR;
        }

        s[i]->data = p;
        s[i]->len = len[i] - 1;
        p += len[i];
    }

    return NGX_OK;
}


/* in the worker */

void
ngx_mesh_api_large_expect(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_mesh_registry_status_t  status;

    if (!(call->op->flags & NGX_MESH_API_COMMIT)
        || (!r->headers_in.chunked
            && r->headers_in.content_length_n <= NGX_MESH_API_LARGE))
    {
        return;
    }

    ngx_mesh_registry_status(&status);

    if (status.lease != NGX_MESH_LEASE_OFF) {

        /* the file has a name, and goes with the request */

        r->request_body_in_file_only = 1;
        r->request_body_in_persistent_file = 1;
        r->request_body_in_clean_file = 1;
        r->request_body_file_log_level = 0;
    }
}


ngx_int_t
ngx_mesh_api_large(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    u_char                    *p;
    size_t                     size;
    ngx_int_t                  rc;
    ngx_str_t                 *file, args, *s[NGX_MESH_API_LARGE_ASKS];
    ngx_mesh_api_large_ask_t   ask;

    if (!r->request_body_in_file_only || r->request_body == NULL
        || r->request_body->temp_file == NULL
        || r->request_body->temp_file->file.offset <= NGX_MESH_API_LARGE)
    {
        return NGX_DECLINED;
    }

    file = &r->request_body->temp_file->file.name;

    ngx_mesh_api_large_asks(call, s);

    ngx_memzero(&ask, sizeof(ngx_mesh_api_large_ask_t));

    ask.method = call->method;
    ask.merge = call->merge;
    ask.dry = call->dry;
    ask.required = call->required;
    ask.expect = call->expect;

    size = sizeof(ngx_mesh_api_large_ask_t)
           + ngx_mesh_api_large_size(s, NGX_MESH_API_LARGE_ASKS, ask.len);

    if (size + file->len > NGX_MESH_JOB_ARGS) {
        return ngx_mesh_api_fail(call, NGX_HTTP_REQUEST_URI_TOO_LARGE,
                                 "TooLong", "make several smaller requests",
                                 "path and conditions are too long for a body "
                                 "of more than %uz bytes",
                                 (size_t) NGX_MESH_API_LARGE);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    args.data = p;
    args.len = size;

    p = ngx_cpymem(p, &ask, sizeof(ngx_mesh_api_large_ask_t));
    (void) ngx_mesh_api_large_put(p, s, NGX_MESH_API_LARGE_ASKS);

    rc = ngx_mesh_api_job(call, NGX_MESH_API_JOB_LARGE, &args, file,
                          ngx_mesh_api_large_answer);

    return rc == NGX_DECLINED
           ? ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                               "try again", "there is no agent")
           : rc;
}


static ngx_int_t
ngx_mesh_api_large_answer(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job)
{
    ngx_int_t    rc;
    ngx_file_t  *file;

    if (job->status == NGX_MESH_JOB_EXPIRED
        || job->status == NGX_MESH_JOB_UNKNOWN)
    {
        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                                 "try again", "the agent does not answer");
    }

    file = job->result.len ? NULL : ngx_mesh_api_job_open(call, job);

    rc = (job->status == NGX_HTTP_OK && (file || job->result.len))
         ? ngx_mesh_api_large_told(call, job, file) : NGX_ERROR;

    return rc == NGX_ERROR
           ? ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "Unknown",
                               "read the resource to see", "the agent went "
                               "away, the change is in force as a whole or "
                               "not at all")
           : rc;
}


/* of what the agent said, in memory: the job's own ends before the answer */

static u_char *
ngx_mesh_api_large_part(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job, ngx_file_t *file, size_t from, size_t size)
{
    u_char  *p;

    p = ngx_pnalloc(call->pool, size + 1);

    if (p && file) {
        return ngx_read_file(file, p, size, from) == (ssize_t) size ? p : NULL;
    }

    if (p == NULL || from + size > job->result.len) {
        return NULL;
    }

    ngx_memcpy(p, job->result.data + from, size);

    return p;
}


static ngx_int_t
ngx_mesh_api_large_told(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job, ngx_file_t *file)
{
    u_char                     *p;
    size_t                      n, size;
    ngx_str_t                   code, hint;
    ngx_str_t                  *s[NGX_MESH_API_LARGE_TELLS];
    ngx_uint_t                  i;
    ngx_mesh_api_large_tell_t   tell;

    size = sizeof(ngx_mesh_api_large_tell_t);

    p = ngx_mesh_api_large_part(call, job, file, 0, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(&tell, p, size);

    for (i = 0, n = 0; i < NGX_MESH_API_LARGE_TELLS; i++) {
        n += tell.len[i];
    }

    p = ngx_mesh_api_large_part(call, job, file, size, n);

    ngx_mesh_api_large_tells(call, &code, &hint, s);

    if (p == NULL
        || ngx_mesh_api_large_take(p, p + n, tell.len, s,
                                   NGX_MESH_API_LARGE_TELLS)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    size += n;

    call->status = tell.status;
    call->committed = tell.committed;
    call->old = tell.old;
    call->revision = tell.revision;

    call->error.status = tell.error;
    call->error.code = (char *) code.data;
    call->error.hint = (char *) hint.data;
    call->error.needed = tell.needed;
    call->error.free = tell.free;
    call->error.largest = tell.largest;

    if (tell.error) {
        return NGX_DECLINED;
    }

    return ngx_mesh_api_job_json(call, job, file, size);
}


/* in the agent */

void
ngx_mesh_api_large_task(ngx_mesh_registry_task_t *task)
{
    ngx_int_t             rc;
    ngx_mesh_api_call_t   call;

    ngx_memzero(&call, sizeof(ngx_mesh_api_call_t));

    rc = ngx_mesh_api_large_call(task, &call);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_apply(&call);
    }

    if (rc == NGX_ERROR) {
        (void) ngx_mesh_api_fail(&call, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                 "Internal", NULL, "there is no memory");
    }

    task->status = (ngx_mesh_api_large_tell(task, &call) == NGX_OK)
                   ? NGX_HTTP_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_mesh_api_large_call(ngx_mesh_registry_task_t *task,
    ngx_mesh_api_call_t *call)
{
    u_char                    *p;
    ngx_str_t                 *s[NGX_MESH_API_LARGE_ASKS];
    ngx_mesh_api_large_ask_t   ask;

    p = task->args.data;

    call->pool = task->pool;
    call->log = ngx_cycle->log;
    call->store = ngx_mesh_live();

    call->json = ngx_palloc(task->pool, sizeof(ngx_mesh_json_t));

    if (call->json == NULL || call->store == NULL
        || task->args.len < sizeof(ngx_mesh_api_large_ask_t))
    {
        return NGX_ERROR;
    }

    ngx_mesh_json_init(call->json, task->pool, NULL);
    ngx_memcpy(&ask, p, sizeof(ngx_mesh_api_large_ask_t));

    ngx_mesh_api_large_asks(call, s);

    if (ngx_mesh_api_large_take(p + sizeof(ngx_mesh_api_large_ask_t),
                                p + task->args.len, ask.len, s,
                                NGX_MESH_API_LARGE_ASKS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    call->method = ask.method;
    call->merge = ask.merge;
    call->dry = ask.dry;
    call->required = ask.required;
    call->expect = ask.expect;
    call->revision = ngx_mesh_store_revision(call->store);
    call->old = call->revision;

    if (ngx_mesh_api_find(call) != NGX_OK) {
        return call->error.status ? NGX_DECLINED : NGX_ERROR;
    }

    if (ngx_mesh_api_large_read(task, &call->text) != NGX_OK) {
        return ngx_mesh_api_fail(call, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                 "Internal", NULL,
                                 "the body's file cannot be read");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_large_read(ngx_mesh_registry_task_t *task, ngx_str_t *text)
{
    size_t           size;
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    fd = ngx_open_file(task->file.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      ngx_open_file_n " \"%V\" failed", &task->file);
        return NGX_ERROR;
    }

    size = 0;
    text->len = 0;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR) {
        size = (size_t) ngx_file_size(&fi);
    }

    text->data = size ? ngx_palloc(task->pool, size + 1) : NULL;

    while (text->data && text->len < size) {
        n = ngx_read_fd(fd, text->data + text->len, size - text->len);

        if (n <= 0) {
            break;
        }

        text->len += n;
    }

    (void) ngx_close_file(fd);

    return (size && text->len == size) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_api_large_tell(ngx_mesh_registry_task_t *task,
    ngx_mesh_api_call_t *call)
{
    u_char                     *p;
    size_t                      size;
    ngx_err_t                   err;
    ngx_str_t                   code, hint;
    ngx_str_t                  *s[NGX_MESH_API_LARGE_TELLS];
    ngx_buf_t                   b;
    ngx_chain_t                 head;
    ngx_mesh_api_large_tell_t   tell;

    ngx_memzero(&tell, sizeof(ngx_mesh_api_large_tell_t));

    tell.status = call->status;
    tell.committed = call->committed;
    tell.old = call->old;
    tell.revision = call->revision;
    tell.error = call->error.status;
    tell.needed = call->error.needed;
    tell.free = call->error.free;
    tell.largest = call->error.largest;

    code.data = (u_char *) call->error.code;
    code.len = code.data ? ngx_strlen(code.data) : 0;
    hint.data = (u_char *) call->error.hint;
    hint.len = hint.data ? ngx_strlen(hint.data) : 0;

    ngx_mesh_api_large_tells(call, &code, &hint, s);

    size = sizeof(ngx_mesh_api_large_tell_t)
           + ngx_mesh_api_large_size(s, NGX_MESH_API_LARGE_TELLS, tell.len);

    p = ngx_pnalloc(task->pool, size);

    if (p == NULL || (!tell.error && call->json->failed)) {
        return NGX_ERROR;
    }

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = p;
    p = ngx_cpymem(p, &tell, sizeof(ngx_mesh_api_large_tell_t));
    b.last = ngx_mesh_api_large_put(p, s, NGX_MESH_API_LARGE_TELLS);

    head.buf = &b;
    head.next = tell.error ? NULL : call->json->out;

    return ngx_mesh_api_job_write(task, &head, &err);
}
