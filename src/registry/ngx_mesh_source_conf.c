
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_registry_int.h"


/*
 * The directives about registries.  All settings are parameters, as the
 * parser of nginx knows no directive that has a block or has none.
 */


#define NGX_MESH_SOURCE_MAX_SERVICES  10000
#define NGX_MESH_SOURCE_IDLE          600000

#define NGX_MESH_GUARD_SHARE          50
#define NGX_MESH_GUARD_MIN            3
#define NGX_MESH_GUARD_HOLD           30000
#define NGX_MESH_GUARD_OFF            101


static ngx_mesh_source_t *ngx_mesh_source_create(ngx_conf_t *cf,
    ngx_mesh_core_conf_t *ccf, ngx_str_t *name);
static ngx_str_t *ngx_mesh_source_scheme(ngx_mesh_source_t *source,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_source_url(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *scheme, ngx_str_t *value);
static ngx_int_t ngx_mesh_source_query(ngx_conf_t *cf,
    ngx_mesh_source_t *source, ngx_str_t *value);
static ngx_int_t ngx_mesh_source_addrs(ngx_conf_t *cf,
    ngx_mesh_source_t *source, ngx_url_t *u, ngx_str_t *url, ngx_uint_t ssl);
static ngx_mesh_source_addr_t *ngx_mesh_source_known(
    ngx_mesh_source_t *source, ngx_addr_t *addr, ngx_uint_t n);
static ngx_int_t ngx_mesh_source_complete(ngx_conf_t *cf,
    ngx_mesh_core_conf_t *ccf, ngx_mesh_source_t *source);
static ngx_int_t ngx_mesh_source_name(ngx_conf_t *cf,
    ngx_mesh_core_conf_t *ccf, ngx_mesh_source_t *source);
static ngx_int_t ngx_mesh_source_ssl(ngx_conf_t *cf,
    ngx_mesh_source_t *source);
#if (NGX_SSL)
static ngx_int_t ngx_mesh_source_ssl_ctx(ngx_conf_t *cf,
    ngx_mesh_source_t *source);
static ngx_int_t ngx_mesh_source_ssl_trust(ngx_conf_t *cf,
    ngx_mesh_source_t *source);
#endif
static ngx_int_t ngx_mesh_source_provided(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_service_t *service, ngx_log_t *log);
static ngx_int_t ngx_mesh_source_named(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_service_t *service, ngx_log_t *log);


static ngx_mesh_source_type_t  *ngx_mesh_source_types[] = {
    &ngx_mesh_consul_type,
    &ngx_mesh_redis_type,
    NULL
};


char *
ngx_mesh_registry_source(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    ngx_int_t           rc;
    ngx_str_t          *value, *scheme;
    ngx_uint_t          i;
    ngx_mesh_source_t  *source;

    value = cf->args->elts;

    source = ngx_mesh_source_create(cf, ccf, &value[1]);
    if (source == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        scheme = ngx_mesh_source_scheme(source, &value[i]);

        if (scheme) {
            rc = ngx_mesh_source_url(cf, source, scheme, &value[i]);

        } else {
            rc = ngx_mesh_source_param(cf, source, &value[i]);

            if (rc == NGX_DECLINED && source->type->param) {
                rc = source->type->param(cf, source, &value[i]);
            }
        }

        if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"registry %V\", "
                               "it is neither a URL as \"%V...\" nor a known "
                               "setting", &value[i], &source->type->name,
                               &source->type->schemes[0]);
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_mesh_source_complete(cf, ccf, source) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_mesh_source_t *
ngx_mesh_source_create(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_mesh_source_t        *source;
    ngx_mesh_source_type_t   *type;

    for (i = 0; ngx_mesh_source_types[i]; i++) {
        type = ngx_mesh_source_types[i];

        if (ngx_mesh_equal(&type->name, name)) {
            break;
        }
    }

    if (ngx_mesh_source_types[i] == NULL) {
        (void) ngx_mesh_source_invalid(cf, name, "consul or redis");
        return NULL;
    }

    if (ccf->sources == NULL) {
        ccf->sources = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_mesh_source_t));
        if (ccf->sources == NULL) {
            return NULL;
        }
    }

    if (ccf->sources->nelts == NGX_MESH_SOURCES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there are more than %d \"registry\" directives",
                           NGX_MESH_SOURCES);
        return NULL;
    }

    source = ngx_array_push(ccf->sources);
    if (source == NULL) {
        return NULL;
    }

    ngx_memzero(source, sizeof(ngx_mesh_source_t));

    source->type = type;
    source->name = type->name;
    source->discovery = NGX_MESH_DISCOVERY_LAZY;
    source->max_services = NGX_MESH_SOURCE_MAX_SERVICES;
    source->idle = NGX_MESH_SOURCE_IDLE;
    source->ssl_verify = 1;

    if (ngx_array_init(&source->addrs, cf->pool, 2,
                       sizeof(ngx_mesh_source_addr_t))
        != NGX_OK)
    {
        return NULL;
    }

    source->conf = type->create(cf);

    return source->conf ? source : NULL;
}


static ngx_str_t *
ngx_mesh_source_scheme(ngx_mesh_source_t *source, ngx_str_t *value)
{
    ngx_str_t  *scheme;

    for (scheme = source->type->schemes; scheme->len; scheme++) {

        if (value->len > scheme->len
            && ngx_strncasecmp(value->data, scheme->data, scheme->len) == 0)
        {
            return scheme;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_source_url(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *scheme, ngx_str_t *value)
{
    u_char      *p, *last, *slash;
    ngx_str_t    path, url;
    ngx_url_t    u;
    ngx_uint_t   local, ssl;

    last = value->data + value->len;
    local = (ngx_strncmp(scheme->data, "unix:", 5) == 0);

    if (!local && ngx_mesh_source_query(cf, source, value) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    p = value->data + (local ? 0 : scheme->len);
    slash = local ? NULL : ngx_strlchr(p, last, '/');
    slash = slash ? slash : last;

    path.data = slash;
    path.len = last - slash;

    u.url.data = p;
    u.url.len = slash - p;
    u.default_port = (in_port_t) source->type->port;

    /* who it is goes to the type, and into no log */

    while (!local && u.url.len && (p = ngx_strlchr(u.url.data, slash, '@'))) {
        u.url.data = p + 1;
        u.url.len = slash - u.url.data;
    }

    url.len = scheme->len + u.url.len;
    url.data = ngx_pnalloc(cf->pool, url.len);
    if (url.data == NULL) {
        return NGX_ERROR;
    }

    if (local) {
        url = *value;

    } else {
        (void) ngx_sprintf(url.data, "%V%V", scheme, &u.url);
    }

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\" of \"registry %V\"",
                           u.err ? u.err : "no memory", &url,
                           &source->type->name);
        return NGX_ERROR;
    }

    ssl = (ngx_strncmp(scheme->data, "https:", 6) == 0
           || ngx_strncmp(scheme->data, "rediss:", 7) == 0);

    if (ngx_mesh_source_addrs(cf, source, &u, &url, ssl) != NGX_OK) {
        return NGX_ERROR;
    }

    return source->type->url ? source->type->url(cf, source, value, &path)
                             : NGX_OK;
}


/* who writes a password there does not want to see it in a log */

static ngx_int_t
ngx_mesh_source_query(ngx_conf_t *cf, ngx_mesh_source_t *source,
    ngx_str_t *value)
{
    u_char  *p, *at, *last;

    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, '?');

    /* a user's name may have one, which is the type's to judge */

    if (p == NULL || ngx_strlchr(p, last, '@')) {
        return NGX_OK;
    }

    at = ngx_strlchr(value->data, p, '@');
    at = at ? at : value->data;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid URL \"%s%*s?...\" in \"registry %V\", it must "
                       "not have parameters", at == value->data ? "" : "...",
                       (size_t) (p - at), at, &source->type->name);

    return NGX_ERROR;
}


/* each address of a name is one to try, but once: the guard takes another one
   for somebody else */

static ngx_int_t
ngx_mesh_source_addrs(ngx_conf_t *cf, ngx_mesh_source_t *source, ngx_url_t *u,
    ngx_str_t *url, ngx_uint_t ssl)
{
    ngx_uint_t               i, n;
    ngx_mesh_source_addr_t  *addr;

    n = source->addrs.nelts;

    for (i = 0; i < u->naddrs; i++) {

        addr = ngx_mesh_source_known(source, &u->addrs[i], n);

        if (addr) {
            if (addr->url.len == url->len
                && ngx_strncasecmp(addr->url.data, url->data, url->len) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" in \"registry %V\" is there twice, "
                                   "each URL must be another server", url,
                                   &source->type->name);
                return NGX_ERROR;
            }

            continue;
        }

        addr = ngx_array_push(&source->addrs);
        if (addr == NULL) {
            return NGX_ERROR;
        }

        addr->url = *url;
        addr->name = u->addrs[i].name;
        addr->sockaddr = u->addrs[i].sockaddr;
        addr->socklen = u->addrs[i].socklen;
        addr->ssl = ssl;
        addr->host = u->host;

        if (u->family == AF_UNIX) {
            ngx_str_set(&addr->host, "localhost");
        }
    }

    return NGX_OK;
}


/* among the first n; NULL: it is new */

static ngx_mesh_source_addr_t *
ngx_mesh_source_known(ngx_mesh_source_t *source, ngx_addr_t *addr,
    ngx_uint_t n)
{
    ngx_uint_t               i;
    ngx_mesh_source_addr_t  *known;

    known = source->addrs.elts;

    for (i = 0; i < n; i++) {
        if (ngx_cmp_sockaddr(known[i].sockaddr, known[i].socklen,
                             addr->sockaddr, addr->socklen, 1)
            == NGX_OK)
        {
            return &known[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_source_complete(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_mesh_source_t *source)
{
    if (source->addrs.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"registry %V\" needs a URL as \"%V...\"",
                           &source->type->name, &source->type->schemes[0]);
        return NGX_ERROR;
    }

    if (ngx_mesh_source_name(cf, ccf, source) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_source_ssl(cf, source) != NGX_OK) {
        return NGX_ERROR;
    }

    return source->type->init ? source->type->init(cf, source) : NGX_OK;
}


static ngx_int_t
ngx_mesh_source_name(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_mesh_source_t *source)
{
    u_char              ch;
    ngx_str_t          *name;
    ngx_uint_t          i;
    ngx_mesh_source_t  *other;

    name = &source->name;
    i = 0;

    if (name->len <= NGX_MESH_SOURCE_NAME) {

        for ( /* void */ ; i < name->len; i++) {
            ch = name->data[i];

            if (!((ch >= '0' && ch <= '9')
                  || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
                  || ch == '-' || ch == '_' || ch == '.'))
            {
                break;
            }
        }
    }

    if (i != name->len || ngx_strcmp(name->data, "config") == 0
        || ngx_strcmp(name->data, "api") == 0
        || ngx_strcmp(name->data, "off") == 0)
    {
        return ngx_mesh_source_invalid(cf, name,
                                       "a name of at most 64 letters, digits, "
                                       "\"-\", \"_\" and \".\", but not "
                                       "\"config\", \"api\" or \"off\"");
    }

    other = ccf->sources->elts;

    for (i = 0; i < ccf->sources->nelts - 1; i++) {

        if (ngx_mesh_equal(&other[i].name, name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "there is another registry \"%V\", give one "
                               "of them a \"name=\"", name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_source_ssl(ngx_conf_t *cf, ngx_mesh_source_t *source)
{
    ngx_uint_t               i, ssl;
    ngx_mesh_source_addr_t  *addr;

    addr = source->addrs.elts;

    for (i = 0, ssl = 0; i < source->addrs.nelts; i++) {
        ssl |= addr[i].ssl;
    }

    if (!ssl && source->ssl_param.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"registry %V\" needs a URL as "
                           "\"%V...\"", &source->ssl_param,
                           &source->type->name, &source->type->schemes[1]);
        return NGX_ERROR;
    }

    if (!ssl) {
        return NGX_OK;
    }

    if (source->certificate_key.len && source->certificate.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"certificate_key=%V\" needs a \"certificate=\"",
                           &source->certificate_key);
        return NGX_ERROR;
    }

    if (source->certificate.len && source->certificate_key.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"certificate=%V\" needs a \"certificate_key=\"",
                           &source->certificate);
        return NGX_ERROR;
    }

#if (NGX_SSL)

    return ngx_mesh_source_ssl_ctx(cf, source);

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V...\" in \"registry %V\" needs nginx with TLS, "
                       "this one was built without",
                       &source->type->schemes[1], &source->type->name);
    return NGX_ERROR;

#endif
}


#if (NGX_SSL)

static ngx_int_t
ngx_mesh_source_ssl_ctx(ngx_conf_t *cf, ngx_mesh_source_t *source)
{
    ngx_pool_cleanup_t  *cln;

    source->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (source->ssl == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    source->ssl->log = cf->log;

    if (ngx_ssl_create(source->ssl, NGX_SSL_TLSv1_2
#ifdef NGX_SSL_TLSv1_3
                       |NGX_SSL_TLSv1_3
#endif
                       , NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = source->ssl;

    if (source->certificate.len
        && ngx_ssl_certificate(cf, source->ssl, &source->certificate,
                               &source->certificate_key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return source->ssl_verify ? ngx_mesh_source_ssl_trust(cf, source)
                              : NGX_OK;
}


static ngx_int_t
ngx_mesh_source_ssl_trust(ngx_conf_t *cf, ngx_mesh_source_t *source)
{
    if (source->trusted_certificate.len) {
        return ngx_ssl_trusted_certificate(cf, source->ssl,
                                           &source->trusted_certificate, 9);
    }

    /* what the system trusts */

    return SSL_CTX_set_default_verify_paths(source->ssl->ctx) == 1 ? NGX_OK
                                                                  : NGX_ERROR;
}

#endif


char *
ngx_mesh_registry_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (ccf->guard) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ccf->guard_min = NGX_MESH_GUARD_MIN;
    ccf->guard_hold = NGX_MESH_GUARD_HOLD;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        ccf->guard = NGX_MESH_GUARD_OFF;
        return NGX_CONF_OK;
    }

    n = NGX_ERROR;

    if (value[1].len && value[1].data[value[1].len - 1] == '%') {
        n = ngx_atoi(value[1].data, value[1].len - 1);
    }

    if (n < 1 || n > 100) {
        (void) ngx_mesh_source_invalid(cf, &value[1],
                                       "a share from 1% to 100%, or \"off\"");
        return NGX_CONF_ERROR;
    }

    ccf->guard = n;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "min=", 4) == 0) {
            if (ngx_mesh_source_number(cf, &value[i], 4, 1, 1000000,
                                       &ccf->guard_min)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "hold=", 5) != 0
            || ngx_mesh_source_time(&value[i], 5, 0, NGX_MAX_INT_T_VALUE,
                                    &ccf->guard_hold)
               != NGX_OK)
        {
            (void) ngx_mesh_source_invalid(cf, &value[i],
                                           "min=NUMBER or hold=TIME");
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_mesh_registry_init_sources(ngx_mesh_core_conf_t *ccf, ngx_log_t *log)
{
    void                *iterator;
    ngx_mesh_service_t  *service;

    if (ccf->guard == 0) {
        ccf->guard = NGX_MESH_GUARD_SHARE;
        ccf->guard_min = NGX_MESH_GUARD_MIN;
        ccf->guard_hold = NGX_MESH_GUARD_HOLD;
    }

    if (ccf->sources && ccf->agent_path == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "\"registry\" needs a \"state_path\", where the agent "
                      "keeps what it learns");
        return NGX_ERROR;
    }

    iterator = NULL;

    while ((service = ngx_mesh_table_next(ccf->table, &iterator)) != NULL) {

        if (ngx_mesh_source_named(ccf, service, log) != NGX_OK
            || (service->provided_by.len
                && ngx_mesh_source_provided(ccf, service, log) != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_source_provided(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_service_t *service, ngx_log_t *log)
{
    ngx_uint_t            i, n;
    ngx_mesh_source_t    *source;
    ngx_mesh_interest_t   interest;

    interest.any = (service->registries.len == 0);
    interest.registries.elts = &service->registries;
    interest.registries.nelts = 1;
    source = ccf->sources ? ccf->sources->elts : NULL;
    n = ccf->sources ? ccf->sources->nelts : 0;

    for (i = 0; i < n; i++) {
        if (source[i].type == &ngx_mesh_consul_type
            && ngx_mesh_interest_allows(&interest, &source[i]))
        {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0, "\"provided_by\" in service \"%V\" "
                  "needs a \"registry consul\" that is asked for it",
                  &service->name);
    return NGX_ERROR;
}


/* whether the registries that a service names are there */

static ngx_int_t
ngx_mesh_source_named(ngx_mesh_core_conf_t *ccf, ngx_mesh_service_t *service,
    ngx_log_t *log)
{
    ngx_str_t           list, name;
    ngx_uint_t          i, n;
    ngx_mesh_source_t  *source;

    source = ccf->sources ? ccf->sources->elts : NULL;
    n = ccf->sources ? ccf->sources->nelts : 0;
    list = service->registries;

    if (ngx_mesh_registry_is(&list, "off")) {
        return NGX_OK;
    }

    while (ngx_mesh_list_part(&list, &name)) {

        for (i = 0; i < n; i++) {
            if (ngx_mesh_equal(&source[i].name, &name)) {
                break;
            }
        }

        if (i == n) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "service \"%V\" names registry \"%V\" that no "
                          "\"registry\" declares", &service->name, &name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
