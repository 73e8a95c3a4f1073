
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"


/* the parameters that "registry" takes for each kind of them */


#define NGX_MESH_SOURCE_IDLE_MIN  1000           /* use is known by seconds */


static ngx_int_t ngx_mesh_source_known_string(ngx_conf_t *cf,
    ngx_mesh_source_t *source, ngx_str_t *value);
static ngx_int_t ngx_mesh_source_discovery(ngx_conf_t *cf,
    ngx_mesh_source_t *source, ngx_str_t *value);
static ngx_int_t ngx_mesh_source_verify(ngx_conf_t *cf,
    ngx_mesh_source_t *source, ngx_str_t *value);


static struct {
    char       *name;
    size_t      offset;
    ngx_uint_t  ssl;
} ngx_mesh_source_strings[] = {
    { "name=", offsetof(ngx_mesh_source_t, name), 0 },
    { "protocol=", offsetof(ngx_mesh_source_t, protocol), 0 },
    { "trusted_certificate=",
      offsetof(ngx_mesh_source_t, trusted_certificate), 1 },
    { "certificate=", offsetof(ngx_mesh_source_t, certificate), 1 },
    { "certificate_key=", offsetof(ngx_mesh_source_t, certificate_key), 1 },
    { "ssl_name=", offsetof(ngx_mesh_source_t, ssl_name), 1 },
    { NULL, 0, 0 }
};


ngx_int_t
ngx_mesh_source_param(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    ngx_int_t  rc;

    rc = ngx_mesh_source_known_string(cf, source, value);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_strncmp(value->data, "discovery=", 10) == 0) {
        return ngx_mesh_source_discovery(cf, source, value);
    }

    if (ngx_strncmp(value->data, "max_services=", 13) == 0) {
        return ngx_mesh_source_number(cf, value, 13, 1, NGX_MAX_INT32_VALUE,
                                      &source->max_services);
    }

    if (ngx_strncmp(value->data, "idle=", 5) == 0) {

        rc = ngx_mesh_source_time(value, 5, NGX_MESH_SOURCE_IDLE_MIN,
                                  NGX_MAX_INT_T_VALUE, &source->idle);

        return rc == NGX_OK ? NGX_OK
                            : ngx_mesh_source_invalid(cf, value,
                                          "a time as \"10m\", at least 1s");
    }

    if (ngx_strncmp(value->data, "ssl_verify=", 11) == 0) {
        return ngx_mesh_source_verify(cf, source, value);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_source_known_string(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    ngx_int_t    rc;
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; ngx_mesh_source_strings[i].name; i++) {

        s = (ngx_str_t *) ((u_char *) source
                           + ngx_mesh_source_strings[i].offset);

        rc = ngx_mesh_source_string(cf, value, ngx_mesh_source_strings[i].name,
                                    s);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (ngx_mesh_source_strings[i].ssl && source->ssl_param.len == 0) {
            source->ssl_param = *value;
        }

        if (rc == NGX_OK && s == &source->protocol) {
            rc = ngx_mesh_require_protocol(cf, "registry", s, NULL);
        }

        return rc;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_source_discovery(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    if (ngx_strcmp(value->data + 10, "lazy") == 0) {
        source->discovery = NGX_MESH_DISCOVERY_LAZY;

    } else if (ngx_strcmp(value->data + 10, "all") == 0) {
        source->discovery = NGX_MESH_DISCOVERY_ALL;

    } else if (ngx_strcmp(value->data + 10, "listed") == 0) {
        source->discovery = NGX_MESH_DISCOVERY_LISTED;

    } else {
        return ngx_mesh_source_invalid(cf, value, "lazy, all or listed");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_source_verify(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    if (ngx_strcmp(value->data + 11, "on") == 0) {
        source->ssl_verify = 1;

    } else if (ngx_strcmp(value->data + 11, "off") == 0) {
        source->ssl_verify = 0;

    } else {
        return ngx_mesh_source_invalid(cf, value, "on or off");
    }

    if (source->ssl_param.len == 0) {
        source->ssl_param = *value;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_source_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right)
{
    ngx_str_t  *name;

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, name, right);

    return NGX_ERROR;
}


ngx_int_t
ngx_mesh_source_string(ngx_conf_t *cf, ngx_str_t *value, char *name,
    ngx_str_t *s)
{
    size_t  len;

    len = ngx_strlen(name);

    if (ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    if (value->len == len) {
        return ngx_mesh_source_invalid(cf, value, "followed by a value");
    }

    s->data = value->data + len;
    s->len = value->len - len;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_source_number(ngx_conf_t *cf, ngx_str_t *value, size_t skip,
    ngx_uint_t min, ngx_uint_t max, ngx_uint_t *number)
{
    ngx_int_t   n;
    ngx_str_t  *name;

    n = ngx_atoi(value->data + skip, value->len - skip);

    if (n == NGX_ERROR || (ngx_uint_t) n < min || (ngx_uint_t) n > max) {
        name = cf->args->elts;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, "
                           "it must be a number from %ui to %ui",
                           value, name, min, max);
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_source_time(ngx_str_t *value, size_t skip, ngx_msec_t min,
    ngx_msec_t max, ngx_msec_t *ms)
{
    ngx_int_t  n;
    ngx_str_t  s;

    s.data = value->data + skip;
    s.len = value->len - skip;

    n = ngx_parse_time(&s, 0);

    if (n == NGX_ERROR || (ngx_msec_t) n < min || (ngx_msec_t) n > max) {
        return NGX_DECLINED;
    }

    *ms = n;

    return NGX_OK;
}
