
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_stream.h"


#define NGX_MESH_STREAM_ATTACHMENT      "mesh_attachment_"
#define NGX_MESH_STREAM_ATTACHMENT_LEN  (sizeof("mesh_attachment_") - 1)


static ngx_int_t ngx_mesh_stream_variable(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_mesh_stream_variable_attachment(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_mesh_stream_set_value(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, ngx_mesh_stream_get_pt get,
    uintptr_t data);
static ngx_int_t ngx_mesh_stream_find_attachment(
    ngx_mesh_stream_main_conf_t *mmcf, ngx_str_t *name);
static u_char *ngx_mesh_stream_digits(u_char *p, uint64_t n);
static void ngx_mesh_stream_number(ngx_str_t *value, uint64_t n);

static ngx_int_t ngx_mesh_stream_get_protocol(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_str(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_uint(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_size(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_id(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_status(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_error(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_result(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_time(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_revision(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_caller(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_time_local(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_time_iso8601(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_msec(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_get_connection(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);


static const ngx_mesh_stream_field_t  ngx_mesh_stream_fields[] = {

    { ngx_string("mesh_protocol"), ngx_mesh_stream_get_protocol, 0, 0, 0 },

    { ngx_string("mesh_service"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, service), 1, 0 },

    { ngx_string("mesh_interface"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, interface), 1, 0 },

    { ngx_string("mesh_method"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, method), 1, 0 },

    { ngx_string("mesh_version"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, version), 1, 0 },

    { ngx_string("mesh_group"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, group), 1, 1 },

    { ngx_string("mesh_app"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, app), 1, 1 },

    { ngx_string("mesh_caller"), ngx_mesh_stream_get_caller, 0, 0, 0 },

    { ngx_string("mesh_request_id"), ngx_mesh_stream_get_id, 0, 0, 0 },

    { ngx_string("mesh_status"), ngx_mesh_stream_get_status, 0, 0, 0 },

    { ngx_string("mesh_error"), ngx_mesh_stream_get_error, 0, 0, 0 },

    { ngx_string("mesh_result"), ngx_mesh_stream_get_result, 0, 0, 0 },

    { ngx_string("mesh_upstream_addr"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, upstream_addr), 0, 0 },

    { ngx_string("mesh_upstream_tries"), ngx_mesh_stream_get_uint,
      offsetof(ngx_mesh_call_t, tries), 0, 0 },

    { ngx_string("mesh_request_time"), ngx_mesh_stream_get_time, 0, 0, 0 },

    { ngx_string("mesh_request_length"), ngx_mesh_stream_get_size,
      offsetof(ngx_mesh_call_t, request_length), 0, 0 },

    { ngx_string("mesh_response_length"), ngx_mesh_stream_get_size,
      offsetof(ngx_mesh_call_t, response_length), 0, 0 },

    { ngx_string("mesh_route"), ngx_mesh_stream_get_str,
      offsetof(ngx_mesh_call_t, route), 1, 0 },

    { ngx_string("mesh_revision"), ngx_mesh_stream_get_revision, 0, 0, 0 },

    { ngx_null_string, NULL, 0, 0, 0 }
};


/* nginx's own that a log can have without evaluating a variable */

static const ngx_mesh_stream_field_t  ngx_mesh_stream_core_fields[] = {

    { ngx_string("remote_addr"), ngx_mesh_stream_get_caller, 0, 0, 0 },

    { ngx_string("time_local"), ngx_mesh_stream_get_time_local, 0, 0, 0 },

    { ngx_string("time_iso8601"), ngx_mesh_stream_get_time_iso8601, 0, 0, 0 },

    { ngx_string("msec"), ngx_mesh_stream_get_msec, 0, 0, 0 },

    { ngx_string("connection"), ngx_mesh_stream_get_connection, 0, 0, 0 },

    { ngx_null_string, NULL, 0, 0, 0 }
};


static ngx_str_t  ngx_mesh_stream_results[] = {
    ngx_string("ok"),
    ngx_string("exception"),
    ngx_string("error")
};


ngx_int_t
ngx_mesh_stream_add_variables(ngx_conf_t *cf)
{
    ngx_str_t                       name;
    ngx_stream_variable_t          *var;
    const ngx_mesh_stream_field_t  *f;

    for (f = ngx_mesh_stream_fields; f->name.len; f++) {
        name = f->name;

        var = ngx_stream_add_variable(cf, &name, NGX_STREAM_VAR_NOCACHEABLE);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = ngx_mesh_stream_variable;
        var->data = (uintptr_t) f;
    }

    ngx_str_set(&name, NGX_MESH_STREAM_ATTACHMENT);

    var = ngx_stream_add_variable(cf, &name, NGX_STREAM_VAR_NOCACHEABLE
                                             |NGX_STREAM_VAR_PREFIX);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_mesh_stream_variable_attachment;

    return NGX_OK;
}


const ngx_mesh_stream_field_t *
ngx_mesh_stream_find_field(ngx_str_t *name)
{
    const ngx_mesh_stream_field_t  *f;

    if (name->len > 5 && ngx_strncmp(name->data, "mesh_", 5) == 0) {
        f = ngx_mesh_stream_fields;

    } else {
        f = ngx_mesh_stream_core_fields;
    }

    for ( /* void */ ; f->name.len; f++) {
        if (f->name.len == name->len
            && ngx_strncmp(f->name.data, name->data, name->len) == 0)
        {
            return f;
        }
    }

    return NULL;
}


ngx_int_t
ngx_mesh_stream_attachment_index(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_int_t                     index;
    ngx_str_t                    *attachment;
    ngx_mesh_stream_main_conf_t  *mmcf;

    if (name->len <= NGX_MESH_STREAM_ATTACHMENT_LEN
        || ngx_strncmp(name->data, NGX_MESH_STREAM_ATTACHMENT,
                       NGX_MESH_STREAM_ATTACHMENT_LEN)
           != 0)
    {
        return NGX_DECLINED;
    }

    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    index = ngx_mesh_stream_find_attachment(mmcf, name);
    if (index != NGX_DECLINED) {
        return index;
    }

    attachment = ngx_array_push(&mmcf->attachments);
    if (attachment == NULL) {
        return NGX_ERROR;
    }

    attachment->len = name->len - NGX_MESH_STREAM_ATTACHMENT_LEN;
    attachment->data = name->data + NGX_MESH_STREAM_ATTACHMENT_LEN;

    return mmcf->attachments.nelts - 1;
}


static ngx_int_t
ngx_mesh_stream_find_attachment(ngx_mesh_stream_main_conf_t *mmcf,
    ngx_str_t *name)
{
    size_t       len;
    u_char      *p;
    ngx_str_t   *attachment;
    ngx_uint_t   i;

    p = name->data + NGX_MESH_STREAM_ATTACHMENT_LEN;
    len = name->len - NGX_MESH_STREAM_ATTACHMENT_LEN;

    attachment = mmcf->attachments.elts;

    for (i = 0; i < mmcf->attachments.nelts; i++) {
        if (attachment[i].len == len
            && ngx_strncasecmp(attachment[i].data, p, len) == 0)
        {
            return i;
        }
    }

    return NGX_DECLINED;
}


/* variables may be used by maps and others, not by logs alone */

ngx_int_t
ngx_mesh_stream_init_attachments(ngx_conf_t *cf)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_stream_variable_t          *v;
    ngx_mesh_stream_main_conf_t    *mmcf;
    ngx_stream_core_main_conf_t    *cmcf;
    const ngx_mesh_stream_field_t  *field;

    cmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        rc = ngx_mesh_stream_attachment_index(cf, &v[i].name);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        field = ngx_mesh_stream_find_field(&v[i].name);

        if (rc != NGX_DECLINED || (field && field->attached)) {
            mmcf->attached = 1;
        }
    }

    return NGX_OK;
}


/*
 * A session where variables are evaluated for one call has that call as our
 * context; a real session has none, as it carries any number of calls.
 */

static ngx_int_t
ngx_mesh_stream_variable(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, uintptr_t data)
{
    ngx_mesh_stream_field_t *f = (ngx_mesh_stream_field_t *) data;

    return ngx_mesh_stream_set_value(s, v, f->get, f->data);
}


static ngx_int_t
ngx_mesh_stream_variable_attachment(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    ngx_int_t                     index;
    ngx_mesh_stream_main_conf_t  *mmcf;

    mmcf = ngx_stream_get_module_main_conf(s, ngx_mesh_stream_module);

    index = ngx_mesh_stream_find_attachment(mmcf, name);

    if (index == NGX_DECLINED) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_mesh_stream_set_value(s, v, ngx_mesh_stream_get_attachment,
                                     index);
}


static ngx_int_t
ngx_mesh_stream_set_value(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, ngx_mesh_stream_get_pt get, uintptr_t data)
{
    u_char           *p;
    ngx_str_t         value;
    ngx_mesh_call_t  *call;

    call = ngx_stream_get_module_ctx(s, ngx_mesh_stream_module);

    if (call == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(s->connection->pool, NGX_MESH_STREAM_NUMBER_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    if (get(s, call, data, &value) != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value.len;
    v->data = value.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* writes backwards, returns the first digit */

static u_char *
ngx_mesh_stream_digits(u_char *p, uint64_t n)
{
    do {
        *--p = (u_char) (n % 10 + '0');
        n /= 10;
    } while (n);

    return p;
}


static void
ngx_mesh_stream_number(ngx_str_t *value, uint64_t n)
{
    u_char  *p, *last;

    last = value->data + NGX_MESH_STREAM_NUMBER_LEN;
    p = ngx_mesh_stream_digits(last, n);

    value->data = p;
    value->len = last - p;
}


static ngx_int_t
ngx_mesh_stream_get_protocol(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    *value = call->codec->name;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_str(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    *value = *(ngx_str_t *) ((u_char *) call + data);

    return value->len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_stream_get_uint(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_mesh_stream_number(value, *(ngx_uint_t *) ((u_char *) call + data));

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_size(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_mesh_stream_number(value, *(size_t *) ((u_char *) call + data));

    return NGX_OK;
}


/* signed as in the SDKs' own logs, their ids start anywhere */

static ngx_int_t
ngx_mesh_stream_get_id(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    int64_t  id;

    id = (call->codec->id_bits <= 32) ? (int32_t) call->id
                                      : (int64_t) call->id;
    if (id >= 0) {
        ngx_mesh_stream_number(value, id);
        return NGX_OK;
    }

    ngx_mesh_stream_number(value, - (uint64_t) id);

    value->data--;
    value->len++;
    value->data[0] = '-';

    return NGX_OK;
}


/* a one-way call has none */

static ngx_int_t
ngx_mesh_stream_get_status(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    if (!call->answered) {
        return NGX_DECLINED;
    }

    ngx_mesh_stream_number(value, call->status);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_error(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    if (call->error == NGX_MESH_ERR_NONE) {
        return NGX_DECLINED;
    }

    *value = *ngx_mesh_codec_error_name(call->error);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_result(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    *value = ngx_mesh_stream_results[call->result];

    return NGX_OK;
}


/* seconds with microseconds: many calls take less than a millisecond */

static ngx_int_t
ngx_mesh_stream_get_time(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    u_char      *p, *last;
    uint32_t     usec;
    ngx_uint_t   i;

    last = value->data + NGX_MESH_STREAM_NUMBER_LEN;
    p = last;

    usec = (uint32_t) (call->time % 1000000);

    for (i = 0; i < 6; i++) {
        *--p = (u_char) (usec % 10 + '0');
        usec /= 10;
    }

    *--p = '.';

    value->data = ngx_mesh_stream_digits(p, call->time / 1000000);
    value->len = last - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_revision(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_mesh_stream_number(value, call->revision);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_caller(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    *value = s->connection->addr_text;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_stream_get_attachment(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_str_t  *attachments;

    attachments = call->attachments;

    if (attachments == NULL || attachments[data].data == NULL) {
        return NGX_DECLINED;
    }

    *value = attachments[data];

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_time_local(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    value->len = ngx_cached_http_log_time.len;
    value->data = ngx_cached_http_log_time.data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_time_iso8601(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value)
{
    value->len = ngx_cached_http_log_iso8601.len;
    value->data = ngx_cached_http_log_iso8601.data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_msec(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    value->len = ngx_sprintf(value->data, "%T.%03M", tp->sec, tp->msec)
                 - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_get_connection(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_mesh_stream_number(value, s->connection->number);

    return NGX_OK;
}
