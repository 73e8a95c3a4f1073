
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/*
 * Revisions of what operators changed are in the journal, which is on a disk:
 * the agent reads it, see ngx_mesh_api_journal.c.
 */


static ngx_int_t ngx_mesh_api_revision_list(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_get(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_diff(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_rollback(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_revision_number(ngx_mesh_api_call_t *call,
    ngx_str_t *text, uint64_t *revision);
static ngx_int_t ngx_mesh_api_revision_ask(ngx_mesh_api_call_t *call,
    ngx_mesh_api_revision_t *args);
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
    u_char     *p;
    size_t      len;
    ngx_int_t   rc;
    ngx_str_t   text;

    /* names of users are cut where the journal would */

    len = ngx_min(call->by.len, 255);

    p = ngx_pnalloc(call->pool, sizeof(ngx_mesh_api_revision_t) + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;
    text.len = sizeof(ngx_mesh_api_revision_t) + len;

    p = ngx_cpymem(p, args, sizeof(ngx_mesh_api_revision_t));

    if (len) {
        ngx_memcpy(p, call->by.data, len);
    }

    rc = ngx_mesh_api_job(call, NGX_MESH_API_JOB_JOURNAL, &text, NULL,
                          ngx_mesh_api_revision_answer);

    return rc == NGX_DECLINED
           ? ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE,
                               "NoJournal", "\"state_path\" keeps one",
                               "there is no journal")
           : rc;
}


static ngx_int_t
ngx_mesh_api_revision_answer(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job)
{
    ngx_file_t  *file;
    ngx_uint_t   i, write;

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

    write = (call->op->flags & NGX_MESH_API_WRITE) && !call->dry;

    if (job->status == NGX_MESH_JOB_LOST && write) {
        goto unknown;
    }

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

    file = job->result.len ? NULL : ngx_mesh_api_job_open(call, job);

    if (ngx_mesh_api_job_json(call, job, file, 0) != NGX_OK) {

        if (write) {
            goto unknown;
        }

        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                                 "try again", "the agent's answer is gone");
    }

    if (call->op->flags & NGX_MESH_API_WRITE) {
        call->revision = ngx_mesh_store_revision(call->store);
    }

    return NGX_OK;

unknown:

    return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "Unknown",
                             "read the resource to see", "the agent went "
                             "away, the table is as it was, or as it was at "
                             "that revision");
}
