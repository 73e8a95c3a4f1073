
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh.h"
#include "ngx_mesh_codec.h"
#include "ngx_mesh_api.h"


static ngx_int_t ngx_mesh_api_field(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_api_field_t *field,
    void *p);
static ngx_int_t ngx_mesh_api_field_string(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_uint_t max, ngx_str_t *s);
static ngx_int_t ngx_mesh_api_field_number(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_uint_t max, ngx_uint_t *n);
static ngx_int_t ngx_mesh_api_field_time(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_uint_t max, ngx_uint_t *ms);
static int ngx_libc_cdecl ngx_mesh_api_order_pairs(const void *one,
    const void *two);
static ngx_int_t ngx_mesh_api_field_labels(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_array_t *labels);
static ngx_int_t ngx_mesh_api_pointer(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at);
static ngx_uint_t ngx_mesh_api_codec(const ngx_mesh_codec_t *codec,
    ngx_str_t *name);


ngx_int_t
ngx_mesh_api_fields(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *object, ngx_mesh_api_field_t *fields, void *data, ngx_uint_t *seen)
{
    cJSON              *value;
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_mesh_api_at_t   inner;

    if (!cJSON_IsObject(object)) {
        return ngx_mesh_api_wrong(call, at, "this must be an object");
    }

    if (seen) {
        *seen = 0;
    }

    inner.up = at;

    cJSON_ArrayForEach(value, object) {

        inner.name = value->string;

        for (i = 0; fields[i].name; i++) {
            if (ngx_strcmp(fields[i].name, value->string) == 0) {
                break;
            }
        }

        if (fields[i].name == NULL) {
            return ngx_mesh_api_wrong(call, &inner, "unknown field \"%s\"",
                                      value->string);
        }

        rc = ngx_mesh_api_field(call, &inner, value, &fields[i],
                                (u_char *) data + fields[i].offset);
        if (rc != NGX_OK) {
            return rc;
        }

        if (seen) {
            *seen |= (ngx_uint_t) 1 << i;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_field(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_api_field_t *field, void *p)
{
    switch (field->type) {

    case NGX_MESH_API_NUMBER:
        return ngx_mesh_api_field_number(call, at, value, field->max, p);

    case NGX_MESH_API_TIME:
        return ngx_mesh_api_field_time(call, at, value, field->max, p);

    case NGX_MESH_API_BOOL:
        if (!cJSON_IsBool(value)) {
            return ngx_mesh_api_wrong(call, at, "\"%s\" must be true or "
                                      "false", field->name);
        }

        *(ngx_uint_t *) p = cJSON_IsTrue(value) ? 1 : 0;
        return NGX_OK;

    case NGX_MESH_API_LABELS:
        return ngx_mesh_api_field_labels(call, at, value, p);

    default:
        return ngx_mesh_api_field_string(call, at, value, field->max, p);
    }
}


static ngx_int_t
ngx_mesh_api_field_string(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_uint_t max, ngx_str_t *s)
{
    size_t  i;

    if (!cJSON_IsString(value)) {
        return ngx_mesh_api_wrong(call, at, "\"%s\" must be a string",
                                  at->name);
    }

    ngx_mesh_json_str(value, s);

    if (s->len > max) {
        return ngx_mesh_api_wrong(call, at, "\"%s\" is longer than %ui bytes",
                                  at->name, max);
    }

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] == 0x7f) {
            return ngx_mesh_api_wrong(call, at, "\"%s\" has a control "
                                      "character", at->name);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_field_number(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_uint_t max, ngx_uint_t *n)
{
    double  d;

    d = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(d >= 0 && d <= (double) max) || d != (double) (ngx_uint_t) d) {
        return ngx_mesh_api_wrong(call, at, "\"%s\" must be a number from 0 "
                                  "to %ui", at->name, max);
    }

    *n = (ngx_uint_t) d;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_field_time(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_uint_t max, ngx_uint_t *ms)
{
    ngx_int_t  n;
    ngx_str_t  s;

    if (!cJSON_IsString(value)) {

        if (cJSON_IsNumber(value)) {
            return ngx_mesh_api_field_number(call, at, value, max, ms);
        }

        n = NGX_ERROR;

    } else {
        ngx_mesh_json_str(value, &s);
        n = ngx_parse_time(&s, 0);
    }

    if (n == NGX_ERROR || (ngx_uint_t) n > max) {
        return ngx_mesh_api_wrong(call, at, "\"%s\" must be a time as \"10s\" "
                                  "or a number of milliseconds", at->name);
    }

    *ms = n;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_field_labels(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_array_t *labels)
{
    cJSON              *child;
    ngx_int_t           rc;
    ngx_keyval_t       *label;
    ngx_mesh_api_at_t   inner;

    if (!cJSON_IsObject(value)) {
        return ngx_mesh_api_wrong(call, at, "\"labels\" must be an object of "
                                  "strings");
    }

    if (ngx_array_init(labels, call->tx ? call->tx->pool : call->pool, 4,
                       sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    inner.up = at;

    cJSON_ArrayForEach(child, value) {

        inner.name = child->string;

        label = ngx_array_push(labels);
        if (label == NULL) {
            return NGX_ERROR;
        }

        label->key.data = (u_char *) child->string;
        label->key.len = ngx_strlen(child->string);

        if (label->key.len == 0 || label->key.len > 255) {
            return ngx_mesh_api_wrong(call, &inner, "a label's name must have "
                                      "1 to 255 bytes");
        }

        rc = ngx_mesh_api_field_string(call, &inner, child, 1024,
                                       &label->value);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_mesh_api_sort_pairs(labels->elts, labels->nelts);

    return NGX_OK;
}


void
ngx_mesh_api_sort_pairs(ngx_keyval_t *pairs, ngx_uint_t n)
{
    ngx_qsort(pairs, n, sizeof(ngx_keyval_t), ngx_mesh_api_order_pairs);
}


static int ngx_libc_cdecl
ngx_mesh_api_order_pairs(const void *one, const void *two)
{
    ngx_keyval_t  *first, *second;

    first = (ngx_keyval_t *) one;
    second = (ngx_keyval_t *) two;

    return (int) ngx_mesh_compare(&first->key, &second->key);
}


ngx_int_t
ngx_mesh_api_wrong(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    const char *fmt, ...)
{
    u_char     buf[512];
    va_list    args;
    ngx_str_t  text;

    va_start(args, fmt);
    text.data = buf;
    text.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;
    va_end(args);

    if (ngx_mesh_api_pointer(call, at) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_fail(call, 422, "BadField", NULL, "%V", &text);
}


/* RFC 6901 */

static ngx_int_t
ngx_mesh_api_pointer(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at)
{
    char               *s;
    u_char             *p, buf[NGX_INT_T_LEN + 1];
    size_t              len;
    ngx_mesh_api_at_t  *a;

    len = 0;

    for (a = at; a; a = a->up) {
        len += 1 + (a->name ? 2 * ngx_strlen(a->name) : NGX_INT_T_LEN);
    }

    p = ngx_pnalloc(call->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* from the end to the beginning */

    p += len + 1;
    call->error.pointer.data = p;

    for (a = at; a; a = a->up) {

        if (a->name) {

            for (s = a->name + ngx_strlen(a->name); s > a->name; s--) {

                if (s[-1] == '~' || s[-1] == '/') {
                    *--p = (s[-1] == '~') ? '0' : '1';
                    *--p = '~';

                } else {
                    *--p = (u_char) s[-1];
                }
            }

        } else {
            len = ngx_sprintf(buf, "%ui", a->index) - buf;
            p -= len;
            ngx_memcpy(p, buf, len);
        }

        *--p = '/';
    }

    call->error.pointer.len = call->error.pointer.data - p;
    call->error.pointer.data = p;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_service_name(ngx_mesh_api_call_t *call, ngx_str_t *name,
    ngx_mesh_service_t *service)
{
    char    *err;
    size_t   i;
    u_char  *last;

    ngx_memzero(service, sizeof(ngx_mesh_service_t));

    err = NULL;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] == 0x7f) {
            err = "spaces and control characters are not allowed";
        }
    }

    if (ngx_mesh_table_parse_key(name, service) != NGX_OK
        || service->interface.len == 0)
    {
        err = "it must be [GROUP/]INTERFACE[:VERSION]";

    } else if (ngx_strlchr(name->data, name->data + name->len, '*')) {
        err = "only callers may ask for \"*\"";
    }

    if (err) {
        return ngx_mesh_api_fail(call, 422, "BadName", NULL,
                                 "invalid service name \"%V\", %s", name,
                                 err);
    }

    /* "x:0.0.0" and "/x" are "x" */

    service->name.data = service->group.len ? service->group.data
                                            : service->interface.data;

    last = service->version.len
           ? service->version.data + service->version.len
           : service->interface.data + service->interface.len;

    service->name.len = last - service->name.data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_service_key(ngx_mesh_api_call_t *call,
    ngx_mesh_service_t *service, ngx_str_t *key)
{
    ngx_int_t  rc;

    rc = ngx_mesh_api_service_name(call, &call->params[0], service);

    return rc == NGX_OK
           ? ngx_mesh_item_key(key, service, NULL, NULL, 0,
                               call->tx ? call->tx->pool : call->pool)
           : rc;
}


ngx_int_t
ngx_mesh_api_item(ngx_mesh_api_call_t *call, ngx_uint_t type, ngx_str_t *key,
    ngx_mesh_store_item_t *item)
{
    return call->tx ? ngx_mesh_api_tx_get(call->tx, type, key, item)
                    : ngx_mesh_store_get(call->store, type, key, 0,
                                         call->pool, item);
}


static ngx_uint_t
ngx_mesh_api_codec(const ngx_mesh_codec_t *codec, ngx_str_t *name)
{
    return codec->name.len == name->len
           && ngx_memcmp(codec->name.data, name->data, name->len) == 0;
}


ngx_int_t
ngx_mesh_api_protocol(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_mesh_core_conf_t     *ccf;
    const ngx_mesh_codec_t  **declared;

    if (name->len == 0) {
        return NGX_OK;
    }

    for (i = 0; ngx_mesh_codecs[i]; i++) {
        if (ngx_mesh_api_codec(ngx_mesh_codecs[i], name)) {
            return NGX_OK;
        }
    }

    ccf = ngx_mesh_get_conf((ngx_cycle_t *) ngx_cycle, &ngx_mesh_core_module);

    if (ccf && ccf->protocols) {
        declared = ccf->protocols->elts;

        for (i = 0; i < ccf->protocols->nelts; i++) {
            if (ngx_mesh_api_codec(declared[i], name)) {
                return NGX_OK;
            }
        }
    }

    return ngx_mesh_api_wrong(call, at, "unknown protocol \"%V\"", name);
}


ngx_int_t
ngx_mesh_api_owned(ngx_mesh_api_call_t *call, ngx_str_t *owner, char *what,
    ngx_str_t *name)
{
    ngx_uint_t  config;

    config = ngx_mesh_equal(owner, &ngx_mesh_owner_config);

    return ngx_mesh_api_fail(call, NGX_HTTP_CONFLICT,
                             config ? "OwnedByConfig" : "OwnedByRegistry",
                             config ? "change the configuration; an override "
                                      "changes an endpoint's weight, or "
                                      "drains it"
                                    : "an override changes an endpoint's "
                                      "weight, or drains it",
                             "%s \"%V\" is of owner \"%V\"", what, name,
                             owner);
}


void
ngx_mesh_api_time(ngx_mesh_json_t *json, ngx_uint_t ms)
{
    u_char     buf[NGX_INT_T_LEN + 2];
    ngx_str_t  s;

    s.data = buf;
    s.len = (ms % 1000 ? ngx_sprintf(buf, "%uims", ms)
                       : ngx_sprintf(buf, "%uis", ms / 1000))
            - buf;

    ngx_mesh_json_string(json, &s);
}
