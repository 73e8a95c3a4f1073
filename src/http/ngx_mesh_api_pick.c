
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"


/*
 * "fields=metadata.name,spec.weight": members of an object that was written
 * already, by its text, which is our own and has no blanks.
 */


static u_char *ngx_mesh_api_pick_string(u_char *p);
static u_char *ngx_mesh_api_pick_value(u_char *p);
static ngx_int_t ngx_mesh_api_pick_object(ngx_mesh_json_t *json, u_char *p,
    ngx_str_t *names, ngx_uint_t n, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_api_pick_below(ngx_str_t *key, ngx_str_t *names,
    ngx_uint_t n, ngx_str_t *below, ngx_uint_t *whole);


ngx_int_t
ngx_mesh_api_pick_names(ngx_mesh_api_call_t *call, ngx_array_t **names)
{
    u_char      *p, *last, *end;
    ngx_int_t    rc;
    ngx_str_t    value, *name;

    *names = NULL;

    rc = ngx_mesh_api_arg(call, "fields", &value);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    *names = ngx_array_create(call->pool, 4, sizeof(ngx_str_t));
    if (*names == NULL) {
        return NGX_ERROR;
    }

    last = value.data + value.len;

    for (p = value.data; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST,
                                     "BadArgument", NULL, "invalid fields "
                                     "\"%V\", they must be names as "
                                     "\"metadata.name,spec\"", &value);
        }

        name = ngx_array_push(*names);
        if (name == NULL) {
            return NGX_ERROR;
        }

        name->data = p;
        name->len = end - p;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_api_pick(ngx_mesh_json_t *json, ngx_mesh_json_t *from,
    ngx_array_t *names, ngx_pool_t *pool)
{
    ngx_str_t  text;

    if (ngx_mesh_json_join(from, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_api_pick_object(json, text.data, names->elts,
                                    names->nelts, pool);
}


static u_char *
ngx_mesh_api_pick_string(u_char *p)
{
    for (p++; *p != '"'; p++) {
        p += (*p == '\\');
    }

    return p + 1;
}


/* the byte behind a value */

static u_char *
ngx_mesh_api_pick_value(u_char *p)
{
    ngx_uint_t  depth;

    depth = 0;

    for ( ;; ) {

        switch (*p) {

        case '"':
            p = ngx_mesh_api_pick_string(p);
            break;

        case '{':
        case '[':
            depth++;
            p++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return p;
            }

            depth--;
            p++;
            break;

        case ',':
            if (depth == 0) {
                return p;
            }

            /* fall through */

        default:
            p++;
        }
    }
}


static ngx_int_t
ngx_mesh_api_pick_object(ngx_mesh_json_t *json, u_char *p, ngx_str_t *names,
    ngx_uint_t n, ngx_pool_t *pool)
{
    ngx_str_t    key, quoted, value, *below;
    ngx_uint_t   k, whole;

    below = ngx_palloc(pool, n * sizeof(ngx_str_t));
    if (below == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_json_open(json, '{');

    for (p++; *p != '}'; p += (*p == ',')) {

        quoted.data = p;
        p = ngx_mesh_api_pick_string(p);
        quoted.len = p - quoted.data;

        key.data = quoted.data + 1;
        key.len = quoted.len - 2;

        value.data = p + 1;
        p = ngx_mesh_api_pick_value(value.data);
        value.len = p - value.data;

        k = ngx_mesh_api_pick_below(&key, names, n, below, &whole);

        if (!whole && (k == 0 || *value.data != '{')) {
            continue;
        }

        ngx_mesh_json_raw(json, &quoted);
        ngx_mesh_json_bytes(json, (u_char *) ":", 1);
        json->comma = 0;

        if (whole) {
            ngx_mesh_json_raw(json, &value);

        } else if (ngx_mesh_api_pick_object(json, value.data, below, k, pool)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_api_pick_below(ngx_str_t *key, ngx_str_t *names, ngx_uint_t n,
    ngx_str_t *below, ngx_uint_t *whole)
{
    ngx_uint_t  i, k;

    *whole = 0;

    for (i = 0, k = 0; i < n; i++) {

        if (names[i].len < key->len
            || ngx_memcmp(names[i].data, key->data, key->len) != 0)
        {
            continue;
        }

        if (names[i].len == key->len) {
            *whole = 1;

        } else if (names[i].data[key->len] == '.') {
            below[k].data = names[i].data + key->len + 1;
            below[k++].len = names[i].len - key->len - 1;
        }
    }

    return k;
}
