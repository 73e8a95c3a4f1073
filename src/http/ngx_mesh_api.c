
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_http.h"


/* of a body that went to a file, read at once */
#define NGX_MESH_API_STEP     65536

/* bytes of a body at most, whatever client_max_body_size permits */
#define NGX_MESH_API_LARGEST  268435456


static ngx_int_t ngx_mesh_api_create(ngx_http_request_t *r,
    ngx_mesh_api_call_t **callp);
static ngx_int_t ngx_mesh_api_too_large(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_path(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_permitted(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_writable(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_media_type(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_browser(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_conditions(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static void ngx_mesh_api_variable(ngx_http_request_t *r, char *name,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_api_run(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_only(ngx_mesh_api_call_t *call);
static void ngx_mesh_api_body(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_api_read_body(ngx_http_request_t *r,
    ngx_mesh_api_call_t *call);


ngx_int_t
ngx_mesh_api_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_mesh_api_call_t  *call;

    if (ngx_mesh_api_create(r, &call) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mesh_api_permitted(r, call);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_OK && call->op
        && (call->op->flags & (NGX_MESH_API_WRITE|NGX_MESH_API_BODY)))
    {
        ngx_mesh_api_large_expect(r, call);

        rc = ngx_http_read_client_request_body(r, ngx_mesh_api_body);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        return NGX_DONE;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_run(r, call);

    } else {
        if (call->op ? call->op->flags & NGX_MESH_API_WRITE
                     : !(call->method & (NGX_HTTP_GET|NGX_HTTP_HEAD
                                         |NGX_HTTP_OPTIONS)))
        {
            ngx_mesh_api_audit(r, call);
        }

        rc = ngx_mesh_api_send(r, call);
    }

    /* what goes on by events holds the request */

    if (rc == NGX_DONE) {
        r->main->count++;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_api_create(ngx_http_request_t *r, ngx_mesh_api_call_t **callp)
{
    ngx_mesh_api_call_t      *call;
    ngx_mesh_api_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_mesh_http_module);

    call = ngx_pcalloc(r->pool, sizeof(ngx_mesh_api_call_t));
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->json = ngx_palloc(r->pool, sizeof(ngx_mesh_json_t));
    if (call->json == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_json_init(call->json, r->pool,
                       (ngx_buf_tag_t) &ngx_mesh_http_module);

    call->request = r;
    call->pool = r->pool;
    call->log = r->connection->log;
    call->store = ngx_mesh_live();
    call->method = r->method;
    call->method_name = r->method_name;
    call->args = r->args;
    call->root = alcf->root;
    call->merge = (r->method == NGX_HTTP_PATCH);

    call->revision = call->store ? ngx_mesh_store_revision(call->store) : 0;
    call->old = call->revision;

    ngx_mesh_api_variable(r, "remote_user", &call->by);

    if (call->by.len == 0) {
        ngx_mesh_api_variable(r, "ssl_client_s_dn", &call->by);
    }

    ngx_http_set_ctx(r, call, ngx_mesh_http_module);

    *callp = call;

    return NGX_OK;
}


static void
ngx_mesh_api_variable(ngx_http_request_t *r, char *name, ngx_str_t *value)
{
    ngx_str_t                   s;
    ngx_http_variable_value_t  *vv;

    ngx_str_null(value);

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    vv = ngx_http_get_variable(r, &s, ngx_hash_key(s.data, s.len));

    if (vv && !vv->not_found) {
        value->data = vv->data;
        value->len = vv->len;
    }
}


/* NGX_DECLINED: the call has the error */

static ngx_int_t
ngx_mesh_api_permitted(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_int_t  rc;

    rc = ngx_mesh_api_too_large(r, call);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_path(r, call);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_find(call);
    }

    if (rc != NGX_OK || call->op == NULL) {
        return rc;
    }

    if (call->store == NULL) {
        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE,
                                 "Unavailable", NULL,
                                 "this process has no table");
    }

    rc = ngx_mesh_api_browser(r, call);

    if (rc == NGX_OK && (call->op->flags & NGX_MESH_API_WRITE)) {
        rc = ngx_mesh_api_writable(r, call);
    }

    if (rc == NGX_OK && (call->op->flags & NGX_MESH_API_BODY)) {
        rc = ngx_mesh_api_media_type(r, call);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_conditions(r, call);
    }

    return rc;
}


/* it has to be in memory as a whole */

static ngx_int_t
ngx_mesh_api_too_large(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return ngx_mesh_api_fail(call, r->err_status, "BodyTooLarge",
                                 "see client_max_body_size",
                                 "the body is too large");
    }

    if (r->headers_in.content_length_n > NGX_MESH_API_LARGEST) {
        return ngx_mesh_api_fail(call, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                 "BodyTooLarge",
                                 "make several smaller requests",
                                 "a body may have %uz bytes",
                                 (size_t) NGX_MESH_API_LARGEST);
    }

    return NGX_OK;
}


/*
 * What the client sent, not yet decoded: names hold "/".  After "rewrite" and
 * the like there is only what was decoded.
 */

static ngx_int_t
ngx_mesh_api_path(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    u_char     *p, *last;
    size_t      i;
    ngx_int_t   c;
    ngx_str_t   uri;

    uri = r->unparsed_uri;

    if (!r->valid_unparsed_uri) {
        uri.len = r->uri.len + 2 * ngx_escape_uri(NULL, r->uri.data,
                                                  r->uri.len, NGX_ESCAPE_URI);

        uri.data = ngx_pnalloc(r->pool, uri.len + 1);
        if (uri.data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_escape_uri(uri.data, r->uri.data, r->uri.len,
                              NGX_ESCAPE_URI);
    }

    p = uri.data;
    last = ngx_strlchr(p, p + uri.len, '?');

    if (last == NULL) {
        last = p + uri.len;
    }

    for (i = 0; i < call->root.len && p < last; i++) {
        c = *p++;

        if (c == '%' && last - p >= 2) {
            c = ngx_hextoi(p, 2);
            p += 2;
        }

        if (c != call->root.data[i]) {
            break;
        }
    }

    if (i < call->root.len || p == last || *p != '1'
        || (p + 1 < last && p[1] != '/'))
    {
        call->path = r->uri;

        return ngx_mesh_api_fail(call, NGX_HTTP_NOT_FOUND, "NotFound",
                                 "version 1 is the one there is",
                                 "there is nothing of that path");
    }

    p = ngx_min(p + 2, last);

    call->path.data = p;
    call->path.len = last - p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_writable(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_str_t                 value;
    ngx_mesh_api_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_mesh_http_module);

    if (alcf->write) {
        return NGX_OK;
    }

    if (alcf->writes) {

        if (ngx_http_complex_value(r, alcf->writes, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if ((value.len == 2 && ngx_strncmp(value.data, "on", 2) == 0)
            || (value.len == 1 && value.data[0] == '1'))
        {
            return NGX_OK;
        }

        return ngx_mesh_api_fail(call, NGX_HTTP_FORBIDDEN, "Forbidden", NULL,
                                 "you may not write here");
    }

    ngx_str_set(&call->allow, "GET, HEAD, OPTIONS");

    return ngx_mesh_api_fail(call, NGX_HTTP_NOT_ALLOWED, "ReadOnly",
                             "\"mesh_api write=on\" permits it",
                             "this location is read-only");
}


/* a browser sends these to other sites only when they let it */

static ngx_int_t
ngx_mesh_api_media_type(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   type;

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
    }

    p = type.data ? ngx_strlchr(type.data, type.data + type.len, ';') : NULL;
    len = p ? (size_t) (p - type.data) : type.len;

    while (len && type.data[len - 1] == ' ') {
        len--;
    }

    if ((len == sizeof("application/json") - 1
         && ngx_strncasecmp(type.data, (u_char *) "application/json", len)
            == 0)
        || (call->merge && len == sizeof("application/merge-patch+json") - 1
            && ngx_strncasecmp(type.data,
                               (u_char *) "application/merge-patch+json", len)
               == 0))
    {
        return NGX_OK;
    }

    return ngx_mesh_api_fail(call, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                             "UnsupportedMediaType", NULL,
                             "the body must be of Content-Type "
                             "application/json");
}


static ngx_int_t
ngx_mesh_api_browser(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    u_char     *p, *last;
    ngx_str_t  *origin, *site, host;

    origin = ngx_mesh_api_header(r, "origin", 0);
    site = ngx_mesh_api_header(r, "sec-fetch-site", 0);

    if (site && site->len == 10
        && ngx_strncmp(site->data, "cross-site", 10) == 0)
    {
        goto refused;
    }

    if (origin == NULL) {
        return NGX_OK;
    }

    ngx_str_null(&host);

    if (r->headers_in.host) {
        host = r->headers_in.host->value;
    }

    last = origin->data + origin->len;
    p = ngx_strlcasestrn(origin->data, last, (u_char *) "://", 3 - 1);

    if (p == NULL) {
        goto refused;
    }

    p += 3;

    if ((size_t) (last - p) == host.len
        && ngx_strncasecmp(p, host.data, host.len) == 0)
    {
        return NGX_OK;
    }

refused:

    return ngx_mesh_api_fail(call, NGX_HTTP_FORBIDDEN, "CrossOrigin", NULL,
                             "pages of other sites may not call this");
}


ngx_str_t *
ngx_mesh_api_header(ngx_http_request_t *r, char *name, ngx_uint_t which)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0
            && which-- == 0)
        {
            return &h[i].value;
        }
    }
}


static ngx_int_t
ngx_mesh_api_conditions(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    off_t                     n;
    ngx_str_t                *value;
    ngx_mesh_api_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_mesh_http_module);

    /* nginx takes one line of each of these */

    if (r->headers_in.if_match) {
        call->if_match = r->headers_in.if_match->value;
    }

    if (r->headers_in.if_none_match) {
        call->if_none_match = r->headers_in.if_none_match->value;
    }

    value = ngx_mesh_api_header(r, "x-mesh-revision", 0);

    if (value) {
        n = ngx_atoof(value->data, value->len);

        if (n <= 0 || ngx_mesh_api_header(r, "x-mesh-revision", 1)) {
            return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadHeader",
                                     NULL, "X-Mesh-Revision must be one "
                                     "revision");
        }

        call->expect = n;
    }

    if (ngx_mesh_api_args_known(call) != NGX_OK
        || ngx_mesh_api_arg_flag(call, "dry_run", &call->dry) != NGX_OK)
    {
        return call->error.status ? NGX_DECLINED : NGX_ERROR;
    }

    call->required = alcf->require_match
                     && (call->op->flags & NGX_MESH_API_WRITE);

    return (call->op->flags & NGX_MESH_API_EACH) ? NGX_OK
                                                 : ngx_mesh_api_required(call);
}


/* NGX_DONE: the answer goes on by events */

static ngx_int_t
ngx_mesh_api_run(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (call->op == NULL) {
        return ngx_mesh_api_send(r, call);
    }

    if (call->op->flags & NGX_MESH_API_COMMIT) {
        rc = ngx_mesh_api_apply(call);

    } else {
        if (call->op->flags & NGX_MESH_API_BODY) {
            rc = ngx_mesh_api_parse(call);
        }

        if (rc == NGX_OK) {
            rc = call->op->handler(call);
        }

        if (rc == NGX_OK && (call->op->flags & NGX_MESH_API_FIELDS)
            && call->more == NULL)
        {
            rc = ngx_mesh_api_only(call);
        }
    }

    if (rc == NGX_ERROR) {
        (void) ngx_mesh_api_fail(call, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                 "Internal", NULL, "there is no memory");
    }

    if (rc == NGX_DONE) {

        /* the handler will send the answer itself */

        return NGX_DONE;
    }

    return ngx_mesh_api_finish(r, call, rc);
}


/* of an answer that is written what "fields" names */

static ngx_int_t
ngx_mesh_api_only(ngx_mesh_api_call_t *call)
{
    ngx_int_t         rc;
    ngx_array_t      *names;
    ngx_mesh_json_t   whole, *json;

    rc = ngx_mesh_api_pick_names(call, &names);

    if (rc != NGX_OK || names == NULL) {
        return rc;
    }

    json = call->json;
    whole = *json;

    ngx_mesh_json_init(json, whole.pool, whole.tag);

    return ngx_mesh_api_pick(json, &whole, names, call->pool);
}


ngx_int_t
ngx_mesh_api_finish(ngx_http_request_t *r, ngx_mesh_api_call_t *call,
    ngx_int_t rc)
{
    if (call->op->flags & NGX_MESH_API_WRITE) {
        ngx_mesh_api_audit(r, call);
    }

    if (rc == NGX_OK && call->committed
        && ngx_mesh_api_durable(r, call) == NGX_DONE)
    {
        return NGX_DONE;
    }

    return ngx_mesh_api_send(r, call);
}


void
ngx_mesh_api_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_mesh_api_body(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_mesh_api_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_mesh_http_module);

    /* the length of one in chunks is known only now */

    rc = ngx_mesh_api_too_large(r, call);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_large(r, call);
    }

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_ERROR
        || (call->error.status == 0
            && ngx_mesh_api_read_body(r, call) != NGX_OK))
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = call->error.status ? ngx_mesh_api_finish(r, call, rc)
                            : ngx_mesh_api_run(r, call);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_mesh_api_read_body(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    off_t         offset;
    size_t        size;
    u_char       *p;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    size = 0;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        size += (size_t) ngx_buf_size(cl->buf);
    }

    p = ngx_palloc(r->pool, size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->text.data = p;
    call->text.len = size;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        for (offset = b->file_pos; offset < b->file_last; offset += n) {

            n = ngx_read_file(b->file, p,
                              (size_t) ngx_min(b->file_last - offset,
                                               NGX_MESH_API_STEP),
                              offset);
            if (n <= 0) {
                return NGX_ERROR;
            }

            p += n;
        }
    }

    return NGX_OK;
}
