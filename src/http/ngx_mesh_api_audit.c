
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_http.h"


/* one line for each write, whether it was accepted or refused */


static void ngx_mesh_api_audit_line(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call, ngx_mesh_json_t *json);


void
ngx_mesh_api_audit(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ssize_t                   n;
    ngx_str_t                 line;
    ngx_mesh_json_t           json;
    ngx_mesh_api_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_mesh_http_module);

    if (alcf->audit == NULL) {
        return;
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


static void
ngx_mesh_api_audit_line(ngx_http_request_t *r, ngx_mesh_api_call_t *call,
    ngx_mesh_json_t *json)
{
    u_char      buf[sizeof("1970-01-01T00:00:00.000Z") + NGX_INT64_LEN];
    ngx_str_t   s, etag;
    ngx_uint_t  status;
    ngx_time_t *tp;

    tp = ngx_timeofday();

    s.data = buf;
    s.len = ngx_mesh_api_date(buf, (uint64_t) tp->sec * 1000 + tp->msec)
            - buf;

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
    ngx_mesh_json_key(json, "dry_run");
    ngx_mesh_json_bool(json, call->dry);

    etag = call->if_match.data ? call->if_match : call->if_none_match;

    if (etag.data) {
        ngx_mesh_json_key(json, call->if_match.data ? "if_match"
                                                    : "if_none_match");
        ngx_mesh_json_string(json, &etag);
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
    ngx_mesh_json_text(json, call->error.status ? call->error.text : "ok");
    ngx_mesh_json_close(json, '}');
}
