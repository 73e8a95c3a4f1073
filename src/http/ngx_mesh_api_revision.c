
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_registry.h"


/*
 * Revisions of what operators changed are in the journal, which is on a disk:
 * the agent reads it, see ngx_mesh_api_journal.c.
 */


typedef struct {
    ngx_mesh_registry_job_t   job;
    ngx_mesh_api_call_t      *call;
    ngx_uint_t                waiting;
} ngx_mesh_api_wait_t;


static ngx_int_t ngx_mesh_api_revision_list(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_get(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_diff(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_rollback(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_number(ngx_mesh_api_call_t *call,
    ngx_str_t *text, uint64_t *revision);
static ngx_int_t ngx_mesh_api_revision_ask(ngx_mesh_api_call_t *call,
    ngx_mesh_api_revision_t *args);
static void ngx_mesh_api_revision_cleanup(void *data);
static void ngx_mesh_api_revision_done(ngx_mesh_registry_job_t *job);
static ngx_int_t ngx_mesh_api_revision_answer(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job);


ngx_mesh_api_op_t  ngx_mesh_api_revision_ops[] = {

    { ngx_string("revisions"), NGX_HTTP_GET, 0,
      ngx_mesh_api_revision_list,
      "Revisions that the journal has, the latest first" },

    { ngx_string("revisions/{revision}"), NGX_HTTP_GET, 0,
      ngx_mesh_api_revision_get,
      "What there was at a revision" },

    { ngx_string("revisions/{revision}/diff"), NGX_HTTP_GET, 0,
      ngx_mesh_api_revision_diff,
      "What is different now, or at revision \"to\"" },

    { ngx_string("revisions/{revision}/rollback"), NGX_HTTP_POST,
      NGX_MESH_API_WRITE|NGX_MESH_API_DRY,
      ngx_mesh_api_revision_rollback,
      "Makes it as it was at a revision" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_int_t
ngx_mesh_api_revision_list(ngx_mesh_api_call_t *call)
{
    ngx_mesh_api_revision_t  args;

    ngx_memzero(&args, sizeof(ngx_mesh_api_revision_t));

    args.what = NGX_MESH_API_REVISIONS;

    return ngx_mesh_api_revision_ask(call, &args);
}


static ngx_int_t
ngx_mesh_api_revision_get(ngx_mesh_api_call_t *call)
{
    ngx_int_t                rc;
    ngx_mesh_api_revision_t  args;

    ngx_memzero(&args, sizeof(ngx_mesh_api_revision_t));

    args.what = NGX_MESH_API_REVISION;

    rc = ngx_mesh_api_revision_number(call, &call->params[0], &args.revision);

    return rc == NGX_OK ? ngx_mesh_api_revision_ask(call, &args) : rc;
}


static ngx_int_t
ngx_mesh_api_revision_diff(ngx_mesh_api_call_t *call)
{
    ngx_int_t                rc;
    ngx_str_t                to;
    ngx_mesh_api_revision_t  args;

    ngx_memzero(&args, sizeof(ngx_mesh_api_revision_t));

    args.what = NGX_MESH_API_DIFF;

    rc = ngx_mesh_api_revision_number(call, &call->params[0], &args.revision);

    if (rc == NGX_OK && ngx_mesh_api_arg(call, "to", &to) == NGX_OK) {
        rc = ngx_mesh_api_revision_number(call, &to, &args.to);
    }

    return rc == NGX_OK ? ngx_mesh_api_revision_ask(call, &args) : rc;
}


static ngx_int_t
ngx_mesh_api_revision_rollback(ngx_mesh_api_call_t *call)
{
    ngx_int_t                rc;
    ngx_mesh_api_revision_t  args;

    ngx_memzero(&args, sizeof(ngx_mesh_api_revision_t));

    args.what = NGX_MESH_API_ROLLBACK;
    args.dry = call->dry;

    rc = ngx_mesh_api_revision_number(call, &call->params[0], &args.revision);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_table_precondition(call);
        args.expect = call->expect;
    }

    return rc == NGX_OK ? ngx_mesh_api_revision_ask(call, &args) : rc;
}


static ngx_int_t
ngx_mesh_api_revision_number(ngx_mesh_api_call_t *call, ngx_str_t *text,
    uint64_t *revision)
{
    off_t  n;

    n = ngx_atoof(text->data, text->len);

    if (n <= 0) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, "invalid revision \"%V\", it must be a "
                                 "number", text);
    }

    *revision = n;

    return NGX_OK;
}


/* NGX_DONE: the answer comes when the agent has it */

static ngx_int_t
ngx_mesh_api_revision_ask(ngx_mesh_api_call_t *call,
    ngx_mesh_api_revision_t *args)
{
    u_char               *p;
    size_t                len;
    ngx_http_cleanup_t   *cln;
    ngx_http_request_t   *r;
    ngx_mesh_api_wait_t  *wait;

    r = call->request;

    /* names of users are cut where the journal would */

    len = ngx_min(call->by.len, 255);

    wait = ngx_pcalloc(call->pool, sizeof(ngx_mesh_api_wait_t));
    p = ngx_pnalloc(call->pool, sizeof(ngx_mesh_api_revision_t) + len);
    cln = ngx_http_cleanup_add(r, 0);

    if (wait == NULL || p == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    wait->call = call;
    wait->job.type = NGX_MESH_API_JOB_JOURNAL;
    wait->job.args.data = p;
    wait->job.args.len = sizeof(ngx_mesh_api_revision_t) + len;
    wait->job.handler = ngx_mesh_api_revision_done;
    wait->job.data = wait;

    p = ngx_cpymem(p, args, sizeof(ngx_mesh_api_revision_t));

    if (len) {
        ngx_memcpy(p, call->by.data, len);
    }

    if (ngx_mesh_registry_job(&wait->job) != NGX_OK) {
        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE,
                                 "NoJournal", "\"state_path\" keeps one",
                                 "there is no journal");
    }

    wait->waiting = 1;

    cln->handler = ngx_mesh_api_revision_cleanup;
    cln->data = wait;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_mesh_api_revision_cleanup(void *data)
{
    ngx_mesh_api_wait_t *wait = data;

    if (wait->waiting) {
        wait->waiting = 0;
        ngx_mesh_registry_job_cancel(&wait->job);
    }
}


static void
ngx_mesh_api_revision_done(ngx_mesh_registry_job_t *job)
{
    ngx_int_t             rc;
    ngx_str_t             allow;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_mesh_api_call_t  *call;
    ngx_mesh_api_wait_t  *wait;

    wait = job->data;
    wait->waiting = 0;

    call = wait->call;
    r = call->request;
    c = r->connection;

    ngx_str_null(&allow);

    if (ngx_mesh_api_revision_answer(call, job) == NGX_ERROR) {
        call->json->failed = 1;
    }

    if (call->op->flags & NGX_MESH_API_WRITE) {
        ngx_mesh_api_audit(r, call);
    }

    rc = ngx_mesh_api_send(r, call, &allow);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_mesh_api_revision_answer(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job)
{
    ngx_str_t    text;
    ngx_uint_t   i;

    static const struct {
        ngx_uint_t   status;
        char        *text;
    } codes[] = {
        { NGX_HTTP_NOT_FOUND, "NotFound" },
        { NGX_HTTP_PRECONDITION_FAILED, "PreconditionFailed" },
        { 423, "Frozen" },
        { NGX_HTTP_INSUFFICIENT_STORAGE, "ZoneFull" },
        { 0, "Failed" }
    };

    if (job->status < NGX_HTTP_OK) {
        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                                 "try again", "the agent does not answer");
    }

    if (job->status != NGX_HTTP_OK) {

        for (i = 0; codes[i].status && codes[i].status != job->status; i++) {
            /* void */
        }

        return ngx_mesh_api_fail(call, job->status, codes[i].text, NULL,
                                 "%V", &job->result);
    }

    if (ngx_mesh_api_output(call, &job->output, &text) != NGX_OK) {
        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                                 "try again", "the agent's answer is gone");
    }

    if (call->op->flags & NGX_MESH_API_WRITE) {
        call->revision = ngx_mesh_store_revision(call->store);
    }

    ngx_mesh_json_raw(call->json, &text);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_output(ngx_mesh_api_call_t *call, ngx_str_t *name,
    ngx_str_t *text)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    if (name->len == 0) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR) {
        text->len = (size_t) ngx_file_size(&fi);
        text->data = ngx_palloc(call->pool, text->len + 1);

        if (text->data) {
            n = ngx_read_fd(fd, text->data, text->len);
            rc = (n == (ssize_t) text->len) ? NGX_OK : NGX_ERROR;
        }
    }

    (void) ngx_close_file(fd);

    return rc;
}
