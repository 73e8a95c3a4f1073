
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_core.h"
#include "ngx_mesh_proxy.h"
#include "ngx_mesh_registry.h"


#define NGX_MESH_CORE_ZONE_SIZE      (16 * 1024 * 1024)
#define NGX_MESH_CORE_WORKER_BUFFER  (512 * 1024 * 1024)

/* what a worker needs to hold at least one frame at each end */
#define NGX_MESH_CORE_MIN_BUFFER     (1024 * 1024)

#define NGX_MESH_CORE_MAX_WEIGHT     1000000


static void *ngx_mesh_core_create_conf(ngx_cycle_t *cycle);
static char *ngx_mesh_core_init_conf(ngx_cycle_t *cycle, void *conf);

static char *ngx_mesh_core_worker_buffer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static char *ngx_mesh_core_service(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_core_service_name(ngx_conf_t *cf,
    ngx_mesh_service_t *service, ngx_str_t *name);
static char *ngx_mesh_core_service_param(ngx_conf_t *cf,
    ngx_mesh_service_t *service, ngx_str_t *value);
static char *ngx_mesh_core_provided_by(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_core_balancer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_core_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_mesh_core_endpoint_param(ngx_conf_t *cf,
    ngx_mesh_endpoint_t *ep, ngx_array_t *labels, ngx_str_t *value);
static ngx_int_t ngx_mesh_core_endpoint_flag(ngx_mesh_endpoint_t *ep,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_core_number(ngx_conf_t *cf, ngx_str_t *value,
    size_t skip, ngx_uint_t max, char *right, ngx_uint_t *number);
static ngx_int_t ngx_mesh_core_time(ngx_conf_t *cf, ngx_str_t *value,
    size_t skip, ngx_msec_t *time);
static ngx_int_t ngx_mesh_core_protocol(ngx_conf_t *cf, ngx_str_t *value,
    ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_core_label(ngx_conf_t *cf, ngx_array_t *labels,
    ngx_str_t *value);
static char *ngx_mesh_core_endpoint_url(ngx_conf_t *cf, ngx_url_t *u);
static char *ngx_mesh_core_add_endpoints(ngx_conf_t *cf,
    ngx_mesh_core_conf_t *ccf, ngx_url_t *u, ngx_mesh_endpoint_t *ep);
static ngx_uint_t ngx_mesh_core_has_endpoint(ngx_array_t *endpoints,
    ngx_uint_t from, ngx_uint_t to, ngx_addr_t *addr);


static ngx_command_t  ngx_mesh_core_commands[] = {

    { ngx_string("zone"),
      NGX_MESH_CONF|NGX_CONF_TAKE12,
      ngx_mesh_core_zone,
      0,
      0,
      NULL },

    { ngx_string("worker_buffer"),
      NGX_MESH_CONF|NGX_CONF_TAKE1,
      ngx_mesh_core_worker_buffer,
      0,
      0,
      NULL },

    { ngx_string("state_path"),
      NGX_MESH_CONF|NGX_CONF_TAKE12,
      ngx_mesh_registry_state_path,
      0,
      0,
      NULL },

    { ngx_string("registry"),
      NGX_MESH_CONF|NGX_CONF_2MORE,
      ngx_mesh_registry_source,
      0,
      0,
      NULL },

    { ngx_string("guard"),
      NGX_MESH_CONF|NGX_CONF_TAKE123,
      ngx_mesh_registry_guard,
      0,
      0,
      NULL },

    { ngx_string("service"),
      NGX_MESH_CONF|NGX_CONF_BLOCK|NGX_CONF_1MORE,
      ngx_mesh_core_service,
      0,
      0,
      NULL },

    { ngx_string("endpoint"),
      NGX_MESH_SERVICE_CONF|NGX_CONF_1MORE,
      ngx_mesh_core_endpoint,
      0,
      0,
      NULL },

    { ngx_string("provided_by"),
      NGX_MESH_SERVICE_CONF|NGX_CONF_1MORE,
      ngx_mesh_core_provided_by,
      0,
      0,
      NULL },

    { ngx_string("balancer"),
      NGX_MESH_SERVICE_CONF|NGX_CONF_1MORE,
      ngx_mesh_core_balancer,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_str_t  ngx_mesh_core_name = ngx_string("mesh_core");


static ngx_mesh_module_t  ngx_mesh_core_module_ctx = {
    &ngx_mesh_core_name,
    ngx_mesh_core_create_conf,             /* create configuration */
    ngx_mesh_core_init_conf                /* init configuration */
};


ngx_module_t  ngx_mesh_core_module = {
    NGX_MODULE_V1,
    &ngx_mesh_core_module_ctx,             /* module context */
    ngx_mesh_core_commands,                /* module directives */
    NGX_MESH_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_mesh_core_default_zone = ngx_string("mesh");


static void *
ngx_mesh_core_create_conf(ngx_cycle_t *cycle)
{
    ngx_mesh_core_conf_t  *ccf;

    ccf = ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_core_conf_t));
    if (ccf == NULL) {
        return NULL;
    }

    ccf->worker_buffer = NGX_CONF_UNSET_SIZE;

    ccf->table = ngx_mesh_table_create(cycle->pool);
    if (ccf->table == NULL) {
        return NULL;
    }

    return ccf;
}


static char *
ngx_mesh_core_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    ngx_conf_t  cf;

    ngx_conf_init_size_value(ccf->worker_buffer, NGX_MESH_CORE_WORKER_BUFFER);

    if (ccf->zone) {
        return NGX_CONF_OK;
    }

    /* no "zone" directive, so there is no line to blame either */

    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.log = cycle->log;

    ccf->metrics = NGX_MESH_CORE_METRICS_SIZE;

    return ngx_mesh_core_add_zone(&cf, ccf, &ngx_mesh_core_default_zone,
                                  NGX_MESH_CORE_ZONE_SIZE);
}


char *
ngx_mesh_core_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right)
{
    ngx_str_t  *name;

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, name, right);

    return NGX_CONF_ERROR;
}


static char *
ngx_mesh_core_worker_buffer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (ccf->worker_buffer != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size < NGX_MESH_CORE_MIN_BUFFER) {
        return ngx_mesh_core_invalid(cf, &value[1], "a size of at least 1m");
    }

    ccf->worker_buffer = size;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_core_service(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    char                *rv;
    ngx_int_t            rc;
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_conf_t           save;
    ngx_array_t          endpoints;
    ngx_mesh_service_t  *service;

    service = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_service_t));
    if (service == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    rv = ngx_mesh_core_service_name(cf, service, &value[1]);

    for (i = 2; rv == NGX_CONF_OK && i < cf->args->nelts; i++) {
        rv = ngx_mesh_core_service_param(cf, service, &value[i]);
    }

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    /* before the block is read, for a duplicate to be named by its line */

    rc = ngx_mesh_table_add(ccf->table, service);

    if (rc == NGX_BUSY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate service \"%V\", one block must hold "
                           "all of its endpoints", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_array_init(&endpoints, cf->pool, 4, sizeof(ngx_mesh_endpoint_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ccf->service = service;
    ccf->endpoints = &endpoints;
    ccf->balancer = 0;

    save = *cf;

    cf->cmd_type = NGX_MESH_SERVICE_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    service->endpoints = endpoints.elts;
    service->nendpoints = endpoints.nelts;

    ccf->service = NULL;
    ccf->endpoints = NULL;

    return rv;
}


static char *
ngx_mesh_core_service_name(ngx_conf_t *cf, ngx_mesh_service_t *service,
    ngx_str_t *name)
{
    char        *err;
    u_char      *last;
    ngx_uint_t   i;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] == 0x7f) {
            err = "spaces and control characters are not allowed";
            goto invalid;
        }
    }

    if (ngx_mesh_table_parse_key(name, service) != NGX_OK) {
        err = "it must be [GROUP/]INTERFACE[:VERSION]";
        goto invalid;
    }

    if (ngx_strlchr(name->data, name->data + name->len, '*')) {
        err = "only callers may ask for \"*\"";
        goto invalid;
    }

    /* "x:0.0.0" and "/x" are "x", in logs and metrics as well */

    service->name.data = service->group.len ? service->group.data
                                            : service->interface.data;

    last = service->version.len
           ? service->version.data + service->version.len
           : service->interface.data + service->interface.len;

    service->name.len = last - service->name.data;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid service name \"%V\", %s", name, err);

    return NGX_CONF_ERROR;
}


static char *
ngx_mesh_core_service_param(ngx_conf_t *cf, ngx_mesh_service_t *service,
    ngx_str_t *value)
{
    if (ngx_strncmp(value->data, "registry=", 9) == 0
        && strspn((char *) value->data + 9, ",") != value->len - 9)
    {
        service->registries.data = value->data + 9;
        service->registries.len = value->len - 9;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "protocol=", 9) == 0 && value->len > 9) {
        service->protocol.data = value->data + 9;
        service->protocol.len = value->len - 9;

        return ngx_mesh_require_protocol(cf, "service", &service->protocol,
                                         NULL)
               == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    return ngx_mesh_core_invalid(cf, value,
                                 "registry=NAME[,NAME] or protocol=NAME");
}


/* a name with a comma would be two in the table */

static char *
ngx_mesh_core_provided_by(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    u_char      *p;
    size_t       len;
    ngx_str_t   *value, *list;
    ngx_uint_t   i;

    list = &ccf->service->provided_by;

    if (list->len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1, len = 0; i < cf->args->nelts; i++) {

        if (value[i].len == 0
            || ngx_strlchr(value[i].data, value[i].data + value[i].len, ','))
        {
            return ngx_mesh_core_invalid(cf, &value[i],
                                         "names of applications");
        }

        len += value[i].len + 1;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    list->data = p;
    list->len = len - 1;

    for (i = 1; i < cf->args->nelts; i++) {
        p = ngx_cpymem(p, value[i].data, value[i].len);
        *p++ = ',';
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_core_balancer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    if (ccf->balancer) {
        return "is duplicate";
    }

    ccf->balancer = 1;

    return ngx_mesh_balancer_parse(cf->args, ccf->service);
}


static char *
ngx_mesh_core_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    ngx_url_t             u;
    ngx_int_t             rc;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_array_t           labels;
    ngx_mesh_endpoint_t   ep;

    value = cf->args->elts;

    ngx_memzero(&ep, sizeof(ngx_mesh_endpoint_t));

    ep.weight = NGX_MESH_DEFAULT_WEIGHT;
    ep.max_fails = NGX_MESH_DEFAULT_MAX_FAILS;
    ep.fail_timeout = NGX_MESH_DEFAULT_FAIL_TIMEOUT;

    if (ngx_array_init(&labels, cf->pool, 2, sizeof(ngx_keyval_t)) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        rc = ngx_mesh_core_endpoint_param(cf, &ep, &labels, &value[i]);

        if (rc == NGX_DECLINED) {
            (void) ngx_mesh_core_invalid(cf, &value[i],
                                         "weight=, label=, protocol=, "
                                         "max_fails=, fail_timeout=, "
                                         "slow_start=, backup or down");
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    /* no weight, no calls: spares the balancers an endpoint of that kind */

    if (ep.weight == 0) {
        ep.down = 1;
    }

    ep.labels = labels.elts;
    ep.nlabels = labels.nelts;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];

    if (ngx_mesh_core_endpoint_url(cf, &u) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_mesh_core_add_endpoints(cf, ccf, &u, &ep);
}


/* NGX_DECLINED: unknown; NGX_ERROR: the reason was logged already */

static ngx_int_t
ngx_mesh_core_endpoint_param(ngx_conf_t *cf, ngx_mesh_endpoint_t *ep,
    ngx_array_t *labels, ngx_str_t *value)
{
    if (ngx_strncmp(value->data, "weight=", 7) == 0) {
        return ngx_mesh_core_number(cf, value, 7, NGX_MESH_CORE_MAX_WEIGHT,
                                    "a number from 0 to 1000000",
                                    &ep->weight);
    }

    if (ngx_strncmp(value->data, "max_fails=", 10) == 0) {
        return ngx_mesh_core_number(cf, value, 10, NGX_MAX_INT32_VALUE,
                                    "a number, 0 switches it off",
                                    &ep->max_fails);
    }

    if (ngx_strncmp(value->data, "fail_timeout=", 13) == 0) {
        return ngx_mesh_core_time(cf, value, 13, &ep->fail_timeout);
    }

    if (ngx_strncmp(value->data, "slow_start=", 11) == 0) {
        return ngx_mesh_core_time(cf, value, 11, &ep->slow_start);
    }

    if (ngx_strncmp(value->data, "protocol=", 9) == 0) {
        return ngx_mesh_core_protocol(cf, value, ep);
    }

    if (ngx_strncmp(value->data, "label=", 6) == 0) {
        return ngx_mesh_core_label(cf, labels, value);
    }

    return ngx_mesh_core_endpoint_flag(ep, value);
}


static ngx_int_t
ngx_mesh_core_endpoint_flag(ngx_mesh_endpoint_t *ep, ngx_str_t *value)
{
    if (ngx_strcmp(value->data, "backup") == 0) {
        ep->backup = 1;
        return NGX_OK;
    }

    if (ngx_strcmp(value->data, "down") == 0) {
        ep->down = 1;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_core_number(ngx_conf_t *cf, ngx_str_t *value, size_t skip,
    ngx_uint_t max, char *right, ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data + skip, value->len - skip);

    if (n == NGX_ERROR || (ngx_uint_t) n > max) {
        (void) ngx_mesh_core_invalid(cf, value, right);
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_core_time(ngx_conf_t *cf, ngx_str_t *value, size_t skip,
    ngx_msec_t *time)
{
    ngx_int_t  ms;
    ngx_str_t  s;

    s.data = value->data + skip;
    s.len = value->len - skip;

    ms = ngx_parse_time(&s, 0);

    if (ms == NGX_ERROR) {
        (void) ngx_mesh_core_invalid(cf, value, "a time as \"10s\"");
        return NGX_ERROR;
    }

    *time = ms;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_core_protocol(ngx_conf_t *cf, ngx_str_t *value,
    ngx_mesh_endpoint_t *ep)
{
    ep->protocol.data = value->data + 9;
    ep->protocol.len = value->len - 9;

    if (ep->protocol.len == 0) {
        (void) ngx_mesh_core_invalid(cf, value, "\"protocol=NAME\"");
        return NGX_ERROR;
    }

    /* it may be declared further down */

    return ngx_mesh_require_protocol(cf, "endpoint", &ep->protocol, NULL);
}


static ngx_int_t
ngx_mesh_core_label(ngx_conf_t *cf, ngx_array_t *labels, ngx_str_t *value)
{
    u_char        *p, *last;
    ngx_str_t      key;
    ngx_uint_t     i;
    ngx_keyval_t  *label;

    last = value->data + value->len;

    key.data = value->data + 6;

    p = ngx_strlchr(key.data, last, '=');

    if (p == NULL || p == key.data) {
        (void) ngx_mesh_core_invalid(cf, value, "label=KEY=VALUE");
        return NGX_ERROR;
    }

    key.len = p - key.data;

    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {

        if (label[i].key.len == key.len
            && ngx_strncmp(label[i].key.data, key.data, key.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate label \"%V\" in \"%V\"",
                               &key, value);
            return NGX_ERROR;
        }
    }

    label = ngx_array_push(labels);
    if (label == NULL) {
        return NGX_ERROR;
    }

    label->key = key;
    label->value.data = p + 1;
    label->value.len = last - (p + 1);

    return NGX_OK;
}


static char *
ngx_mesh_core_endpoint_url(ngx_conf_t *cf, ngx_url_t *u)
{
    if (ngx_parse_url(cf->pool, u) != NGX_OK) {

        if (u->err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in endpoint \"%V\"", u->err, &u->url);
        }

        return NGX_CONF_ERROR;
    }

    if (u->no_port) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no port in endpoint \"%V\", it must be "
                           "ADDRESS:PORT or unix:PATH", &u->url);
        return NGX_CONF_ERROR;
    }

    /* there is no name in a path, what http proxies send serves as well */

    if (u->family == AF_UNIX) {
        ngx_str_set(&u->host, "localhost");
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_core_add_endpoints(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_url_t *u, ngx_mesh_endpoint_t *ep)
{
    ngx_uint_t            i, n;
    ngx_mesh_endpoint_t  *new;

    ep->host = u->host;

    n = ccf->endpoints->nelts;

    for (i = 0; i < u->naddrs; i++) {

        if (ngx_mesh_core_has_endpoint(ccf->endpoints, 0, n, &u->addrs[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate endpoint \"%V\" in service \"%V\"",
                               &u->addrs[i].name, &ccf->service->name);
            return NGX_CONF_ERROR;
        }

        /* a resolver may repeat an address, which is nobody's mistake */

        if (ngx_mesh_core_has_endpoint(ccf->endpoints, n,
                                       ccf->endpoints->nelts, &u->addrs[i]))
        {
            continue;
        }

        new = ngx_array_push(ccf->endpoints);
        if (new == NULL) {
            return NGX_CONF_ERROR;
        }

        *new = *ep;

        new->name = u->addrs[i].name;
        new->sockaddr = u->addrs[i].sockaddr;
        new->socklen = u->addrs[i].socklen;
    }

    return NGX_CONF_OK;
}


/* by address, as two names of one provider would double its weight */

static ngx_uint_t
ngx_mesh_core_has_endpoint(ngx_array_t *endpoints, ngx_uint_t from,
    ngx_uint_t to, ngx_addr_t *addr)
{
    ngx_uint_t            i;
    ngx_mesh_endpoint_t  *ep;

    ep = endpoints->elts;

    for (i = from; i < to; i++) {

        if (ngx_cmp_sockaddr(ep[i].sockaddr, ep[i].socklen,
                             addr->sockaddr, addr->socklen, 1)
            == NGX_OK)
        {
            return 1;
        }
    }

    return 0;
}
