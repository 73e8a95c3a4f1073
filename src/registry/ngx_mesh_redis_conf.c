
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis.h"


#define NGX_MESH_REDIS_SESSION  60000
#define NGX_MESH_REDIS_REFRESH  45000
#define NGX_MESH_REDIS_PING     5000
#define NGX_MESH_REDIS_TIMEOUT  3000


typedef struct {
    char        *name;
    size_t       offset;
    ngx_msec_t   min;
    ngx_msec_t   max;
} ngx_mesh_redis_time_t;


static ngx_int_t ngx_mesh_redis_user(ngx_conf_t *cf,
    ngx_mesh_redis_conf_t *rcf, ngx_str_t *url);
static ngx_int_t ngx_mesh_redis_db(ngx_conf_t *cf, ngx_mesh_redis_conf_t *rcf,
    ngx_str_t *url, ngx_str_t *path);
static ngx_int_t ngx_mesh_redis_string(ngx_conf_t *cf,
    ngx_mesh_redis_conf_t *rcf, ngx_str_t *value);
static ngx_int_t ngx_mesh_redis_time(ngx_conf_t *cf,
    ngx_mesh_redis_conf_t *rcf, ngx_str_t *value);
static ngx_int_t ngx_mesh_redis_root(ngx_conf_t *cf,
    ngx_mesh_redis_conf_t *rcf, ngx_str_t *value);
static ngx_int_t ngx_mesh_redis_ports(ngx_conf_t *cf,
    ngx_mesh_source_t *source);


static struct {
    char        *name;
    size_t       offset;
    ngx_uint_t   file;
} ngx_mesh_redis_strings[] = {
    { "username=", offsetof(ngx_mesh_redis_conf_t, username), 0 },
    { "password_file=", offsetof(ngx_mesh_redis_conf_t, password_file), 1 },
    { "sentinel=", offsetof(ngx_mesh_redis_conf_t, sentinel), 0 },
    { "sentinel_username=",
      offsetof(ngx_mesh_redis_conf_t, sentinel_username), 0 },
    { "sentinel_password_file=",
      offsetof(ngx_mesh_redis_conf_t, sentinel_password_file), 1 },
    { NULL, 0, 0 }
};


static ngx_mesh_redis_time_t  ngx_mesh_redis_times[] = {
    { "session=", offsetof(ngx_mesh_redis_conf_t, session), 1000, 86400000 },
    { "refresh=", offsetof(ngx_mesh_redis_conf_t, refresh), 100, 3600000 },
    { "ping=", offsetof(ngx_mesh_redis_conf_t, ping), 100, 60000 },
    { "timeout=", offsetof(ngx_mesh_redis_conf_t, timeout), 100, 60000 },
    { NULL, 0, 0, 0 }
};


void *
ngx_mesh_redis_create_conf(ngx_conf_t *cf)
{
    ngx_mesh_redis_conf_t  *rcf;

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_redis_conf_t));
    if (rcf == NULL) {
        return NULL;
    }

    ngx_str_set(&rcf->root, "/dubbo/");
    rcf->db = NGX_CONF_UNSET;
    rcf->session = NGX_MESH_REDIS_SESSION;
    rcf->refresh = NGX_MESH_REDIS_REFRESH;
    rcf->ping = NGX_MESH_REDIS_PING;
    rcf->timeout = NGX_MESH_REDIS_TIMEOUT;

    return rcf;
}


ngx_int_t
ngx_mesh_redis_url(ngx_conf_t *cf, ngx_mesh_source_t *source, ngx_str_t *url,
    ngx_str_t *path)
{
    ngx_mesh_redis_conf_t  *rcf;

    rcf = source->conf;

    if (ngx_strncasecmp(url->data, (u_char *) "unix:", 5) == 0) {
        return NGX_OK;
    }

    if (ngx_mesh_redis_user(cf, rcf, url) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_redis_db(cf, rcf, url, path);
}


/* a password in a configuration is read by many, and shown by "nginx -T" */

static ngx_int_t
ngx_mesh_redis_user(ngx_conf_t *cf, ngx_mesh_redis_conf_t *rcf,
    ngx_str_t *url)
{
    size_t      n;
    u_char     *p, *at, *last, *dst;
    ngx_str_t   user;

    last = url->data + url->len;
    p = (u_char *) ngx_strstr(url->data, "://") + 3;
    last = ngx_strlchr(p, last, '/') ? ngx_strlchr(p, last, '/') : last;

    for (at = last; at > p && at[-1] != '@'; at--) {
        /* void */
    }

    if (at == p) {
        return NGX_OK;
    }

    user.data = p;
    user.len = at - 1 - p;

    if (ngx_strlchr(p, at, ':')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a password in the URL \"%*s...@%*s\" of "
                           "\"registry redis\" is not accepted, put it into "
                           "a file and name that with \"password_file=\"",
                           (size_t) (p - url->data), url->data,
                           (size_t) (last - at), at);
        return NGX_ERROR;
    }

    n = user.len;
    dst = ngx_pnalloc(cf->pool, n + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    p = user.data;
    user.data = dst;
    ngx_unescape_uri(&dst, &p, n, 0);
    user.len = dst - user.data;

    if (rcf->username.len && !ngx_mesh_equal(&rcf->username, &user)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "users \"%V\" and \"%V\" in one \"registry "
                           "redis\", it must be one", &rcf->username, &user);
        return NGX_ERROR;
    }

    rcf->username = user;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_redis_db(ngx_conf_t *cf, ngx_mesh_redis_conf_t *rcf, ngx_str_t *url,
    ngx_str_t *path)
{
    ngx_int_t  db;

    if (path->len <= 1) {
        return NGX_OK;
    }

    db = ngx_atoi(path->data + 1, path->len - 1);

    if (db == NGX_ERROR || db > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid database \"%V\" in a URL of \"registry "
                           "redis\", it must be a number as \"/0\"", path);
        return NGX_ERROR;
    }

    if (rcf->db != NGX_CONF_UNSET && rcf->db != db) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "databases %i and %i in one \"registry redis\", "
                           "it must be one", rcf->db, db);
        return NGX_ERROR;
    }

    rcf->db = db;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_redis_param(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    ngx_int_t               rc;
    ngx_mesh_redis_conf_t  *rcf;

    rcf = source->conf;

    rc = ngx_mesh_redis_string(cf, rcf, value);

    if (rc == NGX_DECLINED) {
        rc = ngx_mesh_redis_time(cf, rcf, value);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_strncmp(value->data, "root=", 5) == 0) {
        return ngx_mesh_redis_root(cf, rcf, value);
    }

    if (ngx_strncmp(value->data, "password=", 9) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"password=\" in \"registry redis\" is not "
                           "accepted, put it into a file and name that with "
                           "\"password_file=\"");
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_redis_string(ngx_conf_t *cf, ngx_mesh_redis_conf_t *rcf,
    ngx_str_t *value)
{
    ngx_int_t    rc;
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; ngx_mesh_redis_strings[i].name; i++) {

        s = (ngx_str_t *) ((u_char *) rcf + ngx_mesh_redis_strings[i].offset);

        rc = ngx_mesh_source_string(cf, value, ngx_mesh_redis_strings[i].name,
                                    s);

        if (rc == NGX_OK && ngx_mesh_redis_strings[i].file) {
            rc = ngx_conf_full_name(cf->cycle, s, 1);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_redis_time(ngx_conf_t *cf, ngx_mesh_redis_conf_t *rcf,
    ngx_str_t *value)
{
    size_t                  len;
    ngx_msec_t             *ms;
    ngx_mesh_redis_time_t  *t;

    for (t = ngx_mesh_redis_times; t->name; t++) {

        len = ngx_strlen(t->name);

        if (ngx_strncmp(value->data, t->name, len) != 0) {
            continue;
        }

        ms = (ngx_msec_t *) ((u_char *) rcf + t->offset);

        if (ngx_mesh_source_time(value, len, t->min, t->max, ms) == NGX_OK) {
            return NGX_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"registry\" directive, "
                           "it must be a time from %Mms to %Ms", value,
                           t->min, t->max / 1000);
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


/* as Dubbo takes its "group": slashes around it are optional */

static ngx_int_t
ngx_mesh_redis_root(ngx_conf_t *cf, ngx_mesh_redis_conf_t *rcf,
    ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t   s;

    s.data = value->data + 5;
    s.len = value->len - 5;

    while (s.len && s.data[0] == '/') {
        s.data++;
        s.len--;
    }

    while (s.len && s.data[s.len - 1] == '/') {
        s.len--;
    }

    last = s.data + s.len;

    for (p = s.data; p < last; p++) {
        if (*p == '*' || *p == '?' || *p == '[' || *p == ']' || *p == '\\') {
            break;
        }
    }

    if (s.len == 0 || p != last) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"registry\" directive, "
                           "it must be a path as \"/dubbo\"", value);
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, s.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rcf->root.data = p;
    rcf->root.len = ngx_sprintf(p, "/%V/", &s) - p;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_redis_init_conf(ngx_conf_t *cf, ngx_mesh_source_t *source)
{
    ngx_mesh_redis_conf_t  *rcf;

    rcf = source->conf;

    if (rcf->username.len && rcf->password_file.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "user \"%V\" of \"registry redis\" needs "
                           "\"password_file=\"", &rcf->username);
        return NGX_ERROR;
    }

    if (rcf->sentinel_username.len && rcf->sentinel_password_file.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"sentinel_username=%V\" needs "
                           "\"sentinel_password_file=\"",
                           &rcf->sentinel_username);
        return NGX_ERROR;
    }

    if (rcf->sentinel.len == 0 && rcf->sentinel_password_file.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"sentinel_password_file=\" of \"registry redis\" "
                           "needs \"sentinel=\", the master's name");
        return NGX_ERROR;
    }

    if (rcf->db == NGX_CONF_UNSET) {
        rcf->db = 0;
    }

    return rcf->sentinel.len ? ngx_mesh_redis_ports(cf, source) : NGX_OK;
}


/* without a port a URL is that of a Sentinel's */

static ngx_int_t
ngx_mesh_redis_ports(ngx_conf_t *cf, ngx_mesh_source_t *source)
{
    u_char                  *p, *last;
    ngx_uint_t               i;
    ngx_mesh_source_addr_t  *addr;

    addr = source->addrs.elts;

    for (i = 0; i < source->addrs.nelts; i++) {

        if (addr[i].sockaddr->sa_family == AF_UNIX) {
            continue;
        }

        last = addr[i].url.data + addr[i].url.len;
        p = (u_char *) ngx_strstr(addr[i].url.data, "://") + 3;

        if (p < last && *p == '[') {
            p = ngx_strlchr(p, last, ']');
        }

        if (p && ngx_strlchr(p, last, ':')) {
            continue;
        }

        ngx_inet_set_port(addr[i].sockaddr, NGX_MESH_REDIS_SENTINEL);

        p = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        addr[i].name.data = p;
        addr[i].name.len = ngx_sock_ntop(addr[i].sockaddr, addr[i].socklen, p,
                                         NGX_SOCKADDR_STRLEN, 1);
    }

    return NGX_OK;
}
