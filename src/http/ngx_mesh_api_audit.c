
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_http.h"


/* one line for each write, whether it was accepted or refused, by whomever */


static void ngx_mesh_api_audit_done(void *data);
static void ngx_mesh_api_audit_line(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call, ngx_mesh_json_t *json);


/* it only marks requests that have their line: unlike a context it stays when
   an error page takes a request over */

static void
ngx_mesh_api_audit_done(void *data)
{
    /* void */
}


void
ngx_mesh_api_audit(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ssize_t                   n;
    ngx_str_t                 line;
    ngx_mesh_json_t           json;
    ngx_pool_cleanup_t       *cln;
    ngx_mesh_api_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_mesh_http_module);

    if (alcf->audit == NULL) {
        return;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln) {
        cln->handler = ngx_mesh_api_audit_done;
    }

    ngx_mesh_json_init(&json, r->pool, NULL);
    ngx_mesh_api_audit_line(r, call, &json);
    ngx_mesh_json_bytes(&json, (u_char *) "\n", 1);

    if (ngx_mesh_json_join(&json, &line) != NGX_OK) {
        return;
    }

    /* in one piece, as other processes write there too */

    n = ngx_write_fd(alcf->audit->fd, line.data, line.len);

    if (n != (ssize_t) line.len) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log,
                      n == -1 ? ngx_errno : 0,
                      ngx_write_fd_n " to \"%V\" failed, it was to say: %V",
                      &alcf->audit->name, &line);
    }
}


/*
 * What nginx itself refuses never gets to the API: users it does not know,
 * methods and addresses that may not, bodies that are too large.  As an error
 * page may have changed the method, it is taken from the line of the request.
 */

ngx_int_t
ngx_mesh_api_audit_log(ngx_http_request_t *r)
{
    u_char                   *p, *last;
    size_t                    len;
    ngx_uint_t                status;
    ngx_pool_cleanup_t       *cln;
    ngx_mesh_api_call_t       call;
    ngx_mesh_api_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_mesh_http_module);

    status = r->err_status ? r->err_status : r->headers_out.status;

    if (alcf->audit == NULL || r != r->main || status < NGX_HTTP_BAD_REQUEST
        || (ngx_http_get_module_ctx(r, ngx_mesh_http_module)
            && status != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE))
    {
        return NGX_OK;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_mesh_api_audit_done) {
            return NGX_OK;
        }
    }

    last = r->request_line.data + r->request_line.len;
    p = ngx_strlchr(r->request_line.data, last, ' ');
    len = p ? (size_t) (p - r->request_line.data) : 0;

    if (len == 0
        || (len == 3 && ngx_strncmp(r->request_line.data, "GET", 3) == 0)
        || (len == 4 && ngx_strncmp(r->request_line.data, "HEAD", 4) == 0)
        || (len == 7 && ngx_strncmp(r->request_line.data, "OPTIONS", 7) == 0))
    {
        return NGX_OK;
    }

    ngx_memzero(&call, sizeof(ngx_mesh_api_call_t));

    call.method_name.data = r->request_line.data;
    call.method_name.len = len;
    call.path = r->unparsed_uri;

    p = ngx_strlchr(call.path.data, call.path.data + call.path.len, '?');

    if (p) {
        call.args.data = p + 1;
        call.args.len = call.path.data + call.path.len - p - 1;
        call.path.len = p - call.path.data;
    }

    len = alcf->root.len + 2;

    if (call.path.len > len
        && ngx_strncmp(call.path.data, alcf->root.data, alcf->root.len) == 0
        && ngx_strncmp(call.path.data + alcf->root.len, "1/", 2) == 0)
    {
        call.path.data += len;
        call.path.len -= len;
    }

    /* who could not prove his name has none */

    if (status != NGX_HTTP_UNAUTHORIZED) {
        call.by = r->headers_in.user;
    }

    call.store = ngx_mesh_live();
    call.revision = call.store ? ngx_mesh_store_revision(call.store) : 0;
    call.error.status = status;
    call.error.code = (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE)
                      ? "BodyTooLarge"
                      : status < NGX_HTTP_INTERNAL_SERVER_ERROR ? "Refused"
                                                                : "Failed";

    ngx_mesh_api_audit(r, &call);

    return NGX_OK;
}


static void
ngx_mesh_api_audit_line(ngx_http_request_t *r, ngx_mesh_api_call_t *call,
    ngx_mesh_json_t *json)
{
    u_char      buf[sizeof("1970-01-01T00:00:00.000Z") + NGX_INT64_LEN];
    ngx_str_t   s, etag;
    ngx_uint_t  status;

    s.data = buf;
    s.len = ngx_mesh_api_date(buf, ngx_mesh_wall_clock()) - buf;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "time");
    ngx_mesh_json_string(json, &s);
    ngx_mesh_json_key(json, "principal");

    if (call->by.len) {
        ngx_mesh_json_string(json, &call->by);

    } else {
        ngx_mesh_json_null(json);
    }

    ngx_mesh_json_key(json, "remote");
    ngx_mesh_json_string(json, &r->connection->addr_text);
    ngx_mesh_json_key(json, "method");
    ngx_mesh_json_string(json, &call->method_name);
    ngx_mesh_json_key(json, "path");
    ngx_mesh_json_string(json, &call->path);

    if (call->args.len) {
        ngx_mesh_json_key(json, "args");
        ngx_mesh_json_string(json, &call->args);
    }

    ngx_mesh_json_key(json, "dry_run");
    ngx_mesh_json_bool(json, call->dry);

    etag = call->if_match.data ? call->if_match : call->if_none_match;

    if (etag.data) {
        ngx_mesh_json_key(json, call->if_match.data ? "if_match"
                                                    : "if_none_match");
        ngx_mesh_json_string(json, &etag);

    } else if (call->expect) {
        ngx_mesh_json_key(json, "x_mesh_revision");
        ngx_mesh_json_number(json, call->expect);
    }

    ngx_mesh_json_key(json, "old_revision");
    ngx_mesh_json_number(json, call->error.status ? call->revision
                                                  : call->old);
    ngx_mesh_json_key(json, "new_revision");
    ngx_mesh_json_number(json, call->revision);

    status = call->error.status ? call->error.status
                                : call->status ? call->status : NGX_HTTP_OK;

    ngx_mesh_json_key(json, "status");
    ngx_mesh_json_number(json, status);
    ngx_mesh_json_key(json, "result");
    ngx_mesh_json_text(json, call->error.status ? call->error.code : "ok");
    ngx_mesh_json_close(json, '}');
}
