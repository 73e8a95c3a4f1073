
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_record_int.h"


/*
 * What Dubbo says to itself in a provider's URL: settings, identity of the
 * process, secrets.  All the rest, of Dubbo's and of the user's own, is of use
 * to routes: application, dubbo.tag, environment, release, revision,
 * serialization, region, zone and so on.  Sorted.
 */

static const char  *ngx_mesh_record_noise[] = {
    "accepts",
    "accessKeyId",
    "accesslog",
    "actives",
    "ak",
    "anyhost",
    "async",
    "auth",
    "authenticator",
    "backlog",
    "bind.ip",
    "bind.port",
    "buffer",
    "cache",
    "callbacks",
    "category",
    "charset",
    "check",
    "class",
    "client",
    "cluster",
    "codec",
    "connections",
    "corethreads",
    "default",
    "delay",
    "deprecated",
    "disabled",
    "dispatcher",
    "dispather",
    "document",
    "dubbo",
    "dynamic",
    "echo",
    "enabled",
    "exchanger",
    "executes",
    "executor-management-mode",
    "export",
    "exporter.listener",
    "ext.protocol",
    "file-cache",
    "filter",
    "generic",
    "group",
    "heartbeat",
    "heartbeat.timeout",
    "host",
    "id",
    "interface",
    "invoker.listener",
    "iothreads",
    "ispuserver",
    "isserver",
    "keepalive",
    "layer",
    "lazy",
    "listener",
    "loadbalance",
    "logger",
    "merger",
    "metadata-service-port",
    "metadata-service-protocol",
    "metadata-type",
    "methods",
    "mock",
    "monitor",
    "onconnect",
    "ondisconnect",
    "optimizer",
    "param.sign",
    "password",
    "path",
    "payload",
    "pid",
    "port",
    "preferred.protocol",
    "prompt",
    "protocol",
    "proxy",
    "qos.accept.foreign.ip",
    "qos.enable",
    "qos.port",
    "queues",
    "reconnect",
    "reference.filter",
    "register",
    "register-mode",
    "register.ip",
    "registry",
    "registry-type",
    "remote.timestamp",
    "retries",
    "router",
    "runtime",
    "scope",
    "secretAccessKey",
    "sent",
    "server",
    "service-name-mapping",
    "service.filter",
    "service.name",
    "shareconnections",
    "side",
    "simplified",
    "sk",
    "ssl-enabled",
    "status",
    "sticky",
    "stub",
    "subscribe",
    "telnet",
    "threadname",
    "threadpool",
    "threads",
    "timeout",
    "timestamp",
    "token",
    "tps",
    "tps.interval",
    "transporter",
    "username",
    "validation",
    "version",
    "warmup",
    "weight"
};

#define NGX_MESH_RECORD_NOISE                                                 \
    (sizeof(ngx_mesh_record_noise) / sizeof(char *))


static char *ngx_mesh_record_foreign(ngx_mesh_record_url_t *url,
    ngx_str_t *interface);
static void ngx_mesh_record_growth(ngx_mesh_record_url_t *url,
    ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_record_dubbo_labels(ngx_mesh_record_url_t *url,
    ngx_pool_t *pool, ngx_mesh_endpoint_t *ep);
static ngx_uint_t ngx_mesh_record_quiet(ngx_str_t *name);


ngx_int_t
ngx_mesh_record_dubbo(ngx_str_t *text, ngx_str_t *interface, ngx_pool_t *pool,
    ngx_mesh_record_t *record, char **why)
{
    ngx_int_t               rc;
    ngx_str_t              *value;
    ngx_mesh_endpoint_t    *ep;
    ngx_mesh_record_url_t   url;

    ngx_memzero(record, sizeof(ngx_mesh_record_t));
    ep = &record->ep;

    rc = ngx_mesh_record_url(text, pool, &url, why);

    if (rc != NGX_OK) {
        return rc;
    }

    *why = ngx_mesh_record_foreign(&url, interface);

    if (*why) {
        return NGX_DECLINED;
    }

    rc = ngx_mesh_record_key(record, ngx_mesh_record_param(&url, "group"),
                             ngx_mesh_record_param(&url, "version"), why);

    if (rc == NGX_OK) {
        rc = ngx_mesh_record_address(&url.host, url.port, pool, ep, why);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&ep->protocol, "dubbo");

    value = ngx_mesh_record_param(&url, "weight");
    record->weighted = (value != NULL);

    ep->weight = ngx_mesh_record_weight(
                    ngx_mesh_record_number(value, NGX_MESH_DEFAULT_WEIGHT), 1);
    ep->max_fails = NGX_MESH_RECORD_MAX_FAILS;
    ep->fail_timeout = NGX_MESH_RECORD_FAIL_TIMEOUT;
    ep->drain = ngx_mesh_record_flag(ngx_mesh_record_param(&url, "disabled"),
                                     0);

    value = ngx_mesh_record_param(&url, "zone");

    if (value && value->len < 256) {
        ep->zone = *value;
    }

    ngx_mesh_record_growth(&url, ep);

    return ngx_mesh_record_dubbo_labels(&url, pool, ep);
}


/* why it is none of ours; NULL: it is */

static char *
ngx_mesh_record_foreign(ngx_mesh_record_url_t *url, ngx_str_t *interface)
{
    ngx_str_t  *value, *ext, *path, dubbo;

    value = ngx_mesh_record_param(url, "category");

    if (value && !ngx_mesh_registry_is(value, "providers")) {
        return "it is no provider";
    }

    if (ngx_mesh_registry_is(&url->protocol, "consumer")
        || ngx_mesh_registry_is(&url->protocol, "override")
        || ngx_mesh_registry_is(&url->protocol, "absent")
        || ngx_mesh_registry_is(&url->protocol, "route")
        || ngx_mesh_registry_is(&url->protocol, "condition")
        || ngx_mesh_registry_is(&url->protocol, "empty"))
    {
        return "it is no provider";
    }

    ngx_str_set(&dubbo, "dubbo");

    /* one port may speak more than it is registered with */

    ext = ngx_mesh_record_param(url, "ext.protocol");

    if (!ngx_mesh_equal(&url->protocol, &dubbo)
        && (ext == NULL || !ngx_mesh_list_has(ext, &dubbo)))
    {
        return "its protocol is not dubbo";
    }

    /* calls carry the path, by which the provider finds what it exports */

    path = url->path.len ? &url->path : ngx_mesh_record_param(url,
                                                              "interface");

    if (path == NULL || !ngx_mesh_equal(path, interface)) {
        return "it is of another interface, or path";
    }

    if (!ngx_mesh_record_flag(ngx_mesh_record_param(url, "enabled"), 1)) {
        return "it has enabled=false";
    }

    return NULL;
}


static void
ngx_mesh_record_growth(ngx_mesh_record_url_t *url, ngx_mesh_endpoint_t *ep)
{
    int64_t  started, warmup;

    started = ngx_mesh_record_number(ngx_mesh_record_param(url, "timestamp"),
                                     0);
    warmup = ngx_mesh_record_number(ngx_mesh_record_param(url, "warmup"),
                                    NGX_MESH_RECORD_WARMUP);

    if (started > 0 && warmup > 0) {
        ep->started = started;
        ep->warmup = (ngx_msec_t) ngx_min(warmup, NGX_MAX_INT32_VALUE);
    }
}


static ngx_int_t
ngx_mesh_record_dubbo_labels(ngx_mesh_record_url_t *url, ngx_pool_t *pool,
    ngx_mesh_endpoint_t *ep)
{
    u_char        *dot;
    ngx_str_t      name, *methods;
    ngx_uint_t     i;
    ngx_array_t    labels;
    ngx_keyval_t  *param;

    methods = ngx_mesh_record_param(url, "methods");
    param = url->params.elts;

    if (ngx_array_init(&labels, pool, 8, sizeof(ngx_mesh_record_label_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = url->params.nelts; i > 0; i--) {
        name = param[i - 1].key;

        if (param[i - 1].value.len == 0 || ngx_mesh_record_quiet(&name)) {
            continue;
        }

        dot = ngx_strlchr(name.data, name.data + name.len, '.');

        if (dot) {

            /* a setting of one method, or one that old providers default */

            name.len = dot - name.data;

            if (ngx_mesh_registry_is(&name, "default")
                || (methods && ngx_mesh_list_has(methods, &name)))
            {
                continue;
            }

            name.data = dot + 1;
            name.len = param[i - 1].key.len - name.len - 1;

            if (ngx_mesh_record_quiet(&name)) {
                continue;
            }
        }

        if (ngx_mesh_record_label(&labels, &param[i - 1].key,
                                  &param[i - 1].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_mesh_record_labels(&labels, ep, pool);
}


static ngx_uint_t
ngx_mesh_record_quiet(ngx_str_t *name)
{
    size_t      len;
    ngx_int_t   rc;
    ngx_uint_t  i, j, k;

    i = 0;
    j = NGX_MESH_RECORD_NOISE;

    while (i < j) {
        k = (i + j) / 2;
        len = ngx_strlen(ngx_mesh_record_noise[k]);

        rc = ngx_memn2cmp(name->data, (u_char *) ngx_mesh_record_noise[k],
                          name->len, len);
        if (rc == 0) {
            return 1;
        }

        if (rc < 0) {
            j = k;

        } else {
            i = k + 1;
        }
    }

    return 0;
}
