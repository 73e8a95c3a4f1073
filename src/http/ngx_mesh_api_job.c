
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/*
 * Calls that the agent does.  What it answers with may be long: it writes
 * that to a file, which the worker sends part by part, as nginx sends files.
 */


typedef struct {
    ngx_mesh_registry_job_t   job;
    ngx_mesh_api_call_t      *call;
    ngx_mesh_api_job_pt       answer;
    ngx_uint_t                waiting;
} ngx_mesh_api_job_t;


static void ngx_mesh_api_job_cleanup(void *data);
static void ngx_mesh_api_job_done(ngx_mesh_registry_job_t *job);


ngx_int_t
ngx_mesh_api_job(ngx_mesh_api_call_t *call, ngx_uint_t type, ngx_str_t *args,
    ngx_str_t *file, ngx_mesh_api_job_pt answer)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;
    ngx_mesh_api_job_t  *wait;

    r = call->request;

    wait = ngx_pcalloc(r->pool, sizeof(ngx_mesh_api_job_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (wait == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    wait->call = call;
    wait->answer = answer;
    wait->job.type = type;
    wait->job.args = *args;
    wait->job.handler = ngx_mesh_api_job_done;
    wait->job.data = wait;

    if (file) {
        wait->job.file = *file;
    }

    if (ngx_mesh_registry_job(&wait->job) != NGX_OK) {
        return NGX_DECLINED;
    }

    wait->waiting = 1;

    cln->handler = ngx_mesh_api_job_cleanup;
    cln->data = wait;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_mesh_api_job_cleanup(void *data)
{
    ngx_mesh_api_job_t *wait = data;

    if (wait->waiting) {
        wait->waiting = 0;
        ngx_mesh_registry_job_cancel(&wait->job);
    }
}


static void
ngx_mesh_api_job_done(ngx_mesh_registry_job_t *job)
{
    ngx_int_t             rc;
    ngx_http_request_t   *r;
    ngx_mesh_api_job_t   *wait;
    ngx_mesh_api_call_t  *call;

    wait = job->data;
    wait->waiting = 0;

    call = wait->call;
    r = call->request;

    rc = wait->answer(call, job);

    if (rc == NGX_ERROR) {
        call->json->failed = 1;
    }

    ngx_mesh_api_end(r, ngx_mesh_api_finish(r, call, rc));
}


/* the file loses its name with the job: it is open until the request ends */

ngx_file_t *
ngx_mesh_api_job_open(ngx_mesh_api_call_t *call, ngx_mesh_registry_job_t *job)
{
    ngx_fd_t                  fd;
    ngx_file_t               *file;
    ngx_pool_cleanup_t       *cln;
    ngx_pool_cleanup_file_t  *clnf;

    if (job->output.len == 0) {
        return NULL;
    }

    file = ngx_pcalloc(call->pool, sizeof(ngx_file_t));
    cln = ngx_pool_cleanup_add(call->pool, sizeof(ngx_pool_cleanup_file_t));

    if (file == NULL || cln == NULL) {
        return NULL;
    }

    fd = ngx_open_file(job->output.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, call->log, ngx_errno,
                      ngx_open_file_n " \"%V\" failed", &job->output);
        return NULL;
    }

    ngx_str_set(&file->name, "answer of the agent");
    file->fd = fd;
    file->log = call->log;

    clnf = cln->data;
    clnf->fd = fd;
    clnf->name = file->name.data;
    clnf->log = call->log;
    cln->handler = ngx_pool_cleanup_file;

    return file;
}


ngx_int_t
ngx_mesh_api_job_json(ngx_mesh_api_call_t *call, ngx_mesh_registry_job_t *job,
    ngx_file_t *file, size_t from)
{
    ngx_str_t        json;
    ngx_file_info_t  fi;

    if (file == NULL && job->result.len > from) {
        json.data = job->result.data + from;
        json.len = job->result.len - from;

        ngx_mesh_json_raw(call->json, &json);

        return NGX_OK;
    }

    if (file == NULL || ngx_fd_info(file->fd, &fi) == NGX_FILE_ERROR
        || ngx_file_size(&fi) <= (off_t) from)
    {
        return NGX_ERROR;
    }

    ngx_mesh_json_file(call->json, file, from, ngx_file_size(&fi));

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_job_write(ngx_mesh_registry_task_t *task, ngx_chain_t *out,
    ngx_err_t *err)
{
    int           fd;
    u_char       *p;
    size_t        size;
    ssize_t       n;
    ngx_chain_t  *cl;

    for (cl = out, size = 0; cl; cl = cl->next) {
        size += cl->buf->last - cl->buf->pos;
    }

    /* what is short goes without a file: a disk may be full */

    if (size <= NGX_MESH_JOB_RESULT) {
        p = task->result.data;
        task->result.len = size;

        for (cl = out; cl; cl = cl->next) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        }

        return NGX_OK;
    }

    task->result.len = 0;

    fd = ngx_mesh_registry_job_output(task, err);

    if (fd == -1) {
        return NGX_ERROR;
    }

    for ( /* void */ ; out; out = out->next) {

        for (p = out->buf->pos; p < out->buf->last; /* void */ ) {

            n = ngx_write_fd(fd, p, out->buf->last - p);

            if (n > 0) {
                p += n;
                continue;
            }

            *err = n ? ngx_errno : NGX_ENOSPC;

            if (n && *err == NGX_EINTR) {
                continue;
            }

            (void) ngx_close_file(fd);

            return NGX_ERROR;
        }
    }

    (void) ngx_close_file(fd);

    return NGX_OK;
}
