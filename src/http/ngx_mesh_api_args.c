
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"


/* arguments, segments of paths, and dates */


static ngx_int_t ngx_mesh_api_digits(u_char **p, u_char *last,
    ngx_uint_t n, ngx_uint_t max);


#define NGX_MESH_API_FLAG  "{\"enum\":[\"0\",\"1\"]}"
#define NGX_MESH_API_COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define NGX_MESH_API_TEXT  "{\"type\":\"string\"}"


ngx_mesh_api_arg_t  ngx_mesh_api_args[] = {

    { ngx_string("dry_run"), NULL, 0, NGX_MESH_API_COMMIT|NGX_MESH_API_DRY,
      NGX_MESH_API_FLAG, "1: checks all and changes nothing" },

    { ngx_string("fields"), NULL, 0, NGX_MESH_API_FIELDS,
      "{\"type\":\"string\",\"pattern\":\"^[^,]+(,[^,]+)*$\"}",
      "Only these members, as metadata.name,spec" },

    { ngx_string("limit"), NULL, 0, NGX_MESH_API_LIST,
      NGX_MESH_API_COUNT, "Members in one answer, 0: all" },

    { ngx_string("after"), NULL, 0, NGX_MESH_API_LIST,
      NGX_MESH_API_TEXT, "Where to go on, as \"next\" has it" },

    { ngx_string("since"), "watch", NGX_HTTP_GET, 0,
      NGX_MESH_API_COUNT,
      "Changes after this revision; without it from now on" },

    { ngx_string("wait"), "watch", NGX_HTTP_GET, 0,
      "{\"type\":\"string\",\"pattern\":\"^[0-9]{1,3}(ms|s)$\"}",
      "How long, 55s; up to 10m" },

    { ngx_string("epoch"), "watch", NGX_HTTP_GET, 0, NGX_MESH_API_TEXT,
      "Epoch that the revision is of" },

    { ngx_string("service"), "watch", NGX_HTTP_GET, 0, NGX_MESH_API_TEXT,
      "Only this service and what is in it" },

    { ngx_string("type"), "watch", NGX_HTTP_GET, 0,
      "{\"enum\":[\"service\",\"endpoint\",\"override\",\"route\"]}",
      "Only these" },

    { ngx_string("to"), "revisions/{revision}/diff", NGX_HTTP_GET, 0,
      "{\"type\":\"integer\",\"minimum\":1}",
      "Another revision, instead of now" },

    { ngx_string("prune"), "snapshot", NGX_HTTP_PUT, 0, NGX_MESH_API_FLAG,
      "1: what is not in the document is removed" },

    { ngx_string("force"), "services/{service}", NGX_HTTP_DELETE, 0,
      NGX_MESH_API_FLAG,
      "1: endpoints of other owners are removed too" },

    { ngx_string("service"), "registries/{registry}/resync", NGX_HTTP_POST, 0,
      NGX_MESH_API_TEXT, "Only this interface" },

    { ngx_string("force"), "registries/{registry}/resync", NGX_HTTP_POST, 0,
      NGX_MESH_API_FLAG, "1: what it says then is not held" },

    { ngx_string("deadline"), "services/{service}/endpoints/{id}/drain",
      NGX_HTTP_POST, 0, NGX_MESH_API_TEXT,
      "When it ends: a time as 10m, or as RFC 3339 has it" },

    { ngx_null_string, NULL, 0, 0, NULL, NULL }
};


ngx_int_t
ngx_mesh_api_arg(ngx_mesh_api_call_t *call, char *name, ngx_str_t *value)
{
    u_char  *p, *last, *end, *src, *dst;
    size_t   len;

    len = ngx_strlen(name);
    p = call->args.data;
    last = p + call->args.len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) < len || ngx_strncmp(p, name, len) != 0
            || (p + len < end && p[len] != '='))
        {
            continue;
        }

        src = ngx_min(p + len + 1, end);

        dst = ngx_pnalloc(call->pool, end - src + 1);
        if (dst == NULL) {
            return NGX_ERROR;
        }

        value->data = dst;
        ngx_unescape_uri(&dst, &src, end - src, 0);
        value->len = dst - value->data;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_mesh_api_arg_takes(ngx_mesh_api_arg_t *arg, ngx_mesh_api_op_t *op)
{
    if (arg->path == NULL) {
        return (arg->flags & op->flags) != 0;
    }

    return arg->method == op->method
           && ngx_strlen(arg->path) == op->path.len
           && ngx_strncmp(arg->path, op->path.data, op->path.len) == 0;
}


/* one that is mistyped might have been to keep a write from being done */

ngx_int_t
ngx_mesh_api_args_known(ngx_mesh_api_call_t *call)
{
    u_char              *p, *last, *end, *value;
    ngx_str_t            name;
    ngx_uint_t           known;
    ngx_mesh_api_arg_t  *arg;

    last = call->args.data + call->args.len;

    for (p = call->args.data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        value = ngx_strlchr(p, end, '=');

        name.data = p;
        name.len = (value ? value : end) - p;

        if (end == p) {
            continue;
        }

        known = 0;

        for (arg = ngx_mesh_api_args; arg->name.len; arg++) {

            if (!ngx_mesh_equal(&arg->name, &name)) {
                continue;
            }

            if (ngx_mesh_api_arg_takes(arg, call->op)) {
                break;
            }

            known = 1;
        }

        if (arg->name.len) {
            continue;
        }

        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, known ? "%V is not for this operation"
                                             : "unknown argument \"%V\"",
                                 &name);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_arg_number(ngx_mesh_api_call_t *call, char *name, ngx_uint_t *n)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    *n = 0;

    rc = ngx_mesh_api_arg(call, name, &value);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    rc = ngx_atoi(value.data, value.len);

    if (rc == NGX_ERROR) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, "argument \"%s\" must be a number",
                                 name);
    }

    *n = rc;

    return NGX_OK;
}


/* what is neither is an error: it might have been meant for a dry run */

ngx_int_t
ngx_mesh_api_arg_flag(ngx_mesh_api_call_t *call, char *name, ngx_uint_t *flag)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    *flag = 0;

    rc = ngx_mesh_api_arg(call, name, &value);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (value.len != 1 || (value.data[0] != '0' && value.data[0] != '1')) {
        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, "argument \"%s\" must be 0 or 1",
                                 name);
    }

    *flag = (value.data[0] == '1');

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_escape(ngx_pool_t *pool, ngx_str_t *src, ngx_str_t *dst)
{
    size_t   len;
    u_char  *p;

    len = src->len + 2 * ngx_escape_uri(NULL, src->data, src->len,
                                        NGX_ESCAPE_URI_COMPONENT);

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_escape_uri(p, src->data, src->len, NGX_ESCAPE_URI_COMPONENT);

    dst->len = len;
    dst->data = p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_digits(u_char **p, u_char *last, ngx_uint_t n, ngx_uint_t max)
{
    ngx_int_t  value;

    if ((ngx_uint_t) (last - *p) < n) {
        return NGX_ERROR;
    }

    value = ngx_atoi(*p, n);
    *p += n;

    return value <= (ngx_int_t) max ? value : NGX_ERROR;
}


/* "2026-01-31T10:00:00.250+01:00"; separators are where they are */

ngx_int_t
ngx_mesh_api_parse_date(ngx_str_t *s, uint64_t *ms)
{
    u_char           *p, *last, sign;
    int64_t           days, y, m;
    ngx_int_t         v[7], hour, minute;
    ngx_uint_t        i, scale;

    static const struct {
        ngx_uint_t    digits;
        ngx_uint_t    max;
        char         *after;
    } parts[] = {
        { 4, 9999, "-" }, { 2, 12, "-" }, { 2, 31, "Tt " },
        { 2, 23, ":" }, { 2, 59, ":" }, { 2, 60, NULL }
    };

    p = s->data;
    last = p + s->len;

    for (i = 0; i < 6; i++) {
        v[i] = ngx_mesh_api_digits(&p, last, parts[i].digits, parts[i].max);

        if (v[i] == NGX_ERROR || p == last
            || (parts[i].after && ngx_strchr(parts[i].after, *p++) == NULL))
        {
            return NGX_ERROR;
        }
    }

    if (v[0] < 1970 || v[1] == 0 || v[2] == 0) {
        return NGX_ERROR;
    }

    v[6] = 0;

    if (*p == '.') {
        for (scale = 100, p++; p < last && *p >= '0' && *p <= '9'; p++) {
            v[6] += (*p - '0') * scale;
            scale /= 10;
        }
    }

    hour = 0;
    minute = 0;
    sign = (p < last) ? *p++ : '\0';

    if (sign == '+' || sign == '-') {
        hour = ngx_mesh_api_digits(&p, last, 2, 23);

        if (hour == NGX_ERROR || p == last || *p++ != ':') {
            return NGX_ERROR;
        }

        minute = ngx_mesh_api_digits(&p, last, 2, 59);

        if (minute == NGX_ERROR) {
            return NGX_ERROR;
        }

    } else if (sign != 'Z' && sign != 'z') {
        return NGX_ERROR;
    }

    if (p != last) {
        return NGX_ERROR;
    }

    /* days since 1970 of years that begin in March */

    y = v[0] - (v[1] <= 2);
    m = v[1] + (v[1] <= 2 ? 9 : -3);
    days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + v[2] - 1
           - 719468;

    minute += hour * 60;
    minute = v[3] * 60 + v[4] - (sign == '+' ? minute
                                 : sign == '-' ? -minute : 0);

    days = (days * 1440 + minute) * 60000 + v[5] * 1000 + v[6];

    if (days < 0) {
        return NGX_ERROR;
    }

    *ms = days;

    return NGX_OK;
}


u_char *
ngx_mesh_api_date(u_char *p, uint64_t ms)
{
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (ms / 1000), &tm);

    p = ngx_sprintf(p, "%4d-%02d-%02dT%02d:%02d:%02d", tm.ngx_tm_year,
                    tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                    tm.ngx_tm_min, tm.ngx_tm_sec);

    if (ms % 1000) {
        p = ngx_sprintf(p, ".%03uL", ms % 1000);
    }

    return ngx_sprintf(p, "Z");
}
