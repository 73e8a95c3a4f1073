
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul.h"


/* below what proxies and address translation on the way take for idle */

#define NGX_MESH_CONSUL_WAIT      55000
#define NGX_MESH_CONSUL_WAIT_MAX  600000

#define NGX_MESH_CONSUL_WATCH     64
#define NGX_MESH_CONSUL_WATCHES   256            /* the agent has no more */


static ngx_int_t ngx_mesh_consul_wait(ngx_conf_t *cf,
    ngx_mesh_consul_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_mesh_consul_stale(ngx_conf_t *cf,
    ngx_mesh_consul_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_mesh_consul_place(ngx_conf_t *cf,
    ngx_mesh_consul_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_mesh_consul_query(ngx_conf_t *cf,
    ngx_mesh_consul_conf_t *conf, char *name, ngx_str_t *value, size_t skip);


/* each may be given once */

static struct {
    char  *name;
    char  *arg;                              /* in a request */
} ngx_mesh_consul_places[] = {
    { "datacenter=", "dc" },
    { "namespace=", "ns" },
    { "partition=", "partition" },
    { NULL, NULL }
};


void *
ngx_mesh_consul_create(ngx_conf_t *cf)
{
    ngx_mesh_consul_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_consul_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->wait = NGX_MESH_CONSUL_WAIT;
    conf->max_watches = NGX_MESH_CONSUL_WATCH;

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
            return ngx_mesh_source_invalid(cf, value, "a path");
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
        return ngx_mesh_consul_wait(cf, conf, value);
    }

    if (ngx_strncmp(value->data, "stale=", 6) == 0) {
        return ngx_mesh_consul_stale(cf, conf, value);
    }

    if (ngx_strncmp(value->data, "max_watches=", 12) == 0) {
        return ngx_mesh_source_number(cf, value, 12, 1,
                                      NGX_MESH_CONSUL_WATCHES,
                                      &conf->max_watches);
    }

    return ngx_mesh_consul_place(cf, conf, value);
}


static ngx_int_t
ngx_mesh_consul_wait(ngx_conf_t *cf, ngx_mesh_consul_conf_t *conf,
    ngx_str_t *value)
{
    if (ngx_mesh_source_time(value, 5, 1000, NGX_MESH_CONSUL_WAIT_MAX,
                             &conf->wait)
        != NGX_OK)
    {
        return ngx_mesh_source_invalid(cf, value,
                                       "a time from \"1s\" to \"10m\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_consul_stale(ngx_conf_t *cf, ngx_mesh_consul_conf_t *conf,
    ngx_str_t *value)
{
    if (ngx_strcmp(value->data + 6, "off") == 0) {
        conf->stale = 0;
        return NGX_OK;
    }

    if (ngx_mesh_source_time(value, 6, 1, NGX_MAX_INT32_VALUE, &conf->stale)
        != NGX_OK)
    {
        return ngx_mesh_source_invalid(cf, value,
                                       "a time as \"200ms\", or \"off\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_consul_place(ngx_conf_t *cf, ngx_mesh_consul_conf_t *conf,
    ngx_str_t *value)
{
    size_t      len;
    ngx_uint_t  i;

    for (i = 0; ngx_mesh_consul_places[i].name; i++) {

        len = ngx_strlen(ngx_mesh_consul_places[i].name);

        if (ngx_strncmp(value->data, ngx_mesh_consul_places[i].name, len)
            != 0)
        {
            continue;
        }

        if (conf->places & ((ngx_uint_t) 1 << i)) {
            return ngx_mesh_source_invalid(cf, value, "given once");
        }

        conf->places |= (ngx_uint_t) 1 << i;

        return ngx_mesh_consul_query(cf, conf, ngx_mesh_consul_places[i].arg,
                                     value, len);
    }

    return NGX_DECLINED;
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
        return ngx_mesh_source_invalid(cf, value, "followed by a name");
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
