
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul.h"


/* below what proxies and address translation on the way take for idle */

#define NGX_MESH_CONSUL_WAIT      55000
#define NGX_MESH_CONSUL_WAIT_MAX  600000


static ngx_int_t ngx_mesh_consul_invalid(ngx_conf_t *cf, ngx_str_t *value,
    char *right);
static ngx_int_t ngx_mesh_consul_time(ngx_conf_t *cf, ngx_str_t *value,
    size_t skip, ngx_msec_t max, ngx_msec_t *ms);
static ngx_int_t ngx_mesh_consul_query(ngx_conf_t *cf,
    ngx_mesh_consul_conf_t *conf, char *name, ngx_str_t *value, size_t skip);


void *
ngx_mesh_consul_create(ngx_conf_t *cf)
{
    ngx_mesh_consul_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_consul_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->wait = NGX_MESH_CONSUL_WAIT;

    return conf;
}


ngx_int_t
ngx_mesh_consul_url(ngx_conf_t *cf, ngx_mesh_source_t *source, ngx_str_t *url,
    ngx_str_t *path)
{
    u_char  *p;

    if (path->len > 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL in \"registry consul\", it must end "
                           "before \"%V\"", path);
        return NGX_ERROR;
    }

    p = ngx_strlchr(url->data, url->data + url->len, '@');

    if (p && ngx_strncmp(url->data, "unix:", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"...%*s\" in \"registry consul\", it "
                           "must not have a user, use \"token_file=\"",
                           (size_t) (url->data + url->len - p), p);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_consul_param(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    ngx_mesh_consul_conf_t  *conf;

    conf = source->conf;

    if (ngx_strncmp(value->data, "token_file=", 11) == 0) {

        if (value->len == 11) {
            return ngx_mesh_consul_invalid(cf, value, "a path");
        }

        conf->token_file.data = value->data + 11;
        conf->token_file.len = value->len - 11;

        return ngx_conf_full_name(cf->cycle, &conf->token_file, 1);
    }

    if (ngx_strncmp(value->data, "token=", 6) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"token=\" in \"registry\", a "
                           "token must be in a file: \"token_file=\"");
        return NGX_ERROR;
    }

    if (ngx_strncmp(value->data, "wait=", 5) == 0) {
        return ngx_mesh_consul_time(cf, value, 5, NGX_MESH_CONSUL_WAIT_MAX,
                                    &conf->wait);
    }

    if (ngx_strncmp(value->data, "stale=", 6) == 0) {

        if (ngx_strcmp(value->data + 6, "off") == 0) {
            conf->stale = 0;
            return NGX_OK;
        }

        return ngx_mesh_consul_time(cf, value, 6, NGX_MAX_INT32_VALUE,
                                    &conf->stale);
    }

    if (ngx_strncmp(value->data, "datacenter=", 11) == 0) {

        if (conf->datacenter) {
            return ngx_mesh_consul_invalid(cf, value, "given once");
        }

        conf->datacenter = 1;

        return ngx_mesh_consul_query(cf, conf, "dc", value, 11);
    }

    if (ngx_strncmp(value->data, "namespace=", 10) == 0) {

        if (conf->namespace) {
            return ngx_mesh_consul_invalid(cf, value, "given once");
        }

        conf->namespace = 1;

        return ngx_mesh_consul_query(cf, conf, "ns", value, 10);
    }

    if (ngx_strncmp(value->data, "partition=", 10) == 0) {

        if (conf->partition) {
            return ngx_mesh_consul_invalid(cf, value, "given once");
        }

        conf->partition = 1;

        return ngx_mesh_consul_query(cf, conf, "partition", value, 10);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_consul_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"registry\" directive, "
                       "it must be %s", value, right);

    return NGX_ERROR;
}


static ngx_int_t
ngx_mesh_consul_time(ngx_conf_t *cf, ngx_str_t *value, size_t skip,
    ngx_msec_t max, ngx_msec_t *ms)
{
    ngx_int_t  n;
    ngx_str_t  s;

    s.data = value->data + skip;
    s.len = value->len - skip;

    n = ngx_parse_time(&s, 0);

    if (skip == 5 && (n < 1000 || (ngx_msec_t) n > max)) {
        return ngx_mesh_consul_invalid(cf, value,
                                       "a time from \"1s\" to \"10m\"");
    }

    if (n < 1 || (ngx_msec_t) n > max) {
        return ngx_mesh_consul_invalid(cf, value,
                                       "a time as \"200ms\", or \"off\"");
    }

    *ms = n;

    return NGX_OK;
}


/* "&NAME=VALUE", escaped, is added to what each request has */

static ngx_int_t
ngx_mesh_consul_query(ngx_conf_t *cf, ngx_mesh_consul_conf_t *conf,
    char *name, ngx_str_t *value, size_t skip)
{
    u_char  *p, *src;
    size_t   len, size;

    src = value->data + skip;
    len = value->len - skip;

    if (len == 0) {
        return ngx_mesh_consul_invalid(cf, value, "followed by a name");
    }

    size = conf->query.len + sizeof("&=") - 1 + ngx_strlen(name) + len
           + 2 * ngx_escape_uri(NULL, src, len, NGX_ESCAPE_URI_COMPONENT);

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(ngx_sprintf(p, "%V&%s=", &conf->query, name), src,
                          len, NGX_ESCAPE_URI_COMPONENT);

    conf->query.data = p;
    conf->query.len = size;

    return NGX_OK;
}
