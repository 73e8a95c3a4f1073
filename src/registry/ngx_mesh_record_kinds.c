
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_record_int.h"


/* instances of Consul: whose they are, and what they say of themselves */


static ngx_int_t ngx_mesh_record_from_url(ngx_mesh_record_consul_t *ctx,
    ngx_str_t *url, ngx_mesh_record_t *record);
static ngx_int_t ngx_mesh_record_from_tags(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_record_t *record);
static ngx_uint_t ngx_mesh_record_sofa_tag(ngx_mesh_record_consul_t *ctx,
    ngx_str_t *tag);
static ngx_int_t ngx_mesh_record_sofa(ngx_mesh_record_consul_t *ctx,
    ngx_str_t *tag, ngx_mesh_record_t *record);
static void ngx_mesh_record_sofa_weight(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_record_plain_service(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_record_t *record);
static ngx_int_t ngx_mesh_record_place(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_record_marks(ngx_mesh_record_consul_t *ctx,
    const char **except, ngx_uint_t tags, ngx_mesh_endpoint_t *ep);
static ngx_uint_t ngx_mesh_record_application(ngx_mesh_record_consul_t *ctx);
static ngx_uint_t ngx_mesh_record_mark(ngx_mesh_record_consul_t *ctx,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_mesh_record_copy(ngx_mesh_record_consul_t *ctx,
    ngx_str_t *s);


/* what SOFARPC says to itself in an instance's metadata */

static const char  *ngx_mesh_record_sofa_own[] = {
    "_WARMUPTIME", "_WARMUPWEIGHT", "accepts", "delay", "dynamic", "generic",
    "id", "interface", "language", "pid", "protocol", "startTime", "timeout",
    "uniqueId", "warmupTime", "warmupWeight", "weight", NULL
};

static const char  *ngx_mesh_record_plain_own[] = {
    "mesh-group", "mesh-version", "protocol", NULL
};


ngx_int_t
ngx_mesh_record_kind(ngx_mesh_record_consul_t *ctx, ngx_mesh_record_t *record)
{
    ngx_str_t  s, side, interface;

    if (!ngx_mesh_record_string(ctx->meta, "url", &s)) {
        ngx_str_null(&s);
    }

    /* other services may tell a URL of their own there */

    if (s.len && (ngx_mesh_record_mark(ctx, "dubbo", NULL)
                  || ngx_strnstr(s.data, "interface", s.len)))
    {
        return ngx_mesh_record_from_url(ctx, &s, record);
    }

    if (ngx_mesh_record_application(ctx)) {
        return ngx_mesh_record_note(ctx, "application-level", NULL);
    }

    if (ngx_mesh_record_sofa_tag(ctx, &s)) {
        return ngx_mesh_record_sofa(ctx, &s, record);
    }

    if (ngx_mesh_record_mark(ctx, "side", &side)
        && ngx_mesh_registry_is(&side, "provider")
        && ngx_mesh_record_mark(ctx, "interface", &interface)
        && ngx_mesh_record_mark(ctx, "dubbo", NULL))
    {
        return ngx_mesh_record_from_tags(ctx, record);
    }

    return ngx_mesh_record_plain_service(ctx, record);
}


static ngx_int_t
ngx_mesh_record_from_url(ngx_mesh_record_consul_t *ctx, ngx_str_t *url,
    ngx_mesh_record_t *record)
{
    char       *why;
    ngx_int_t   rc;

    rc = ngx_mesh_record_dubbo(url, &ctx->s->sn.str, ctx->pool, record, &why);

    return (rc == NGX_DECLINED) ? ngx_mesh_record_note(ctx, why, NULL) : rc;
}


/* the URL went missing, its parameters are there as tags */

static ngx_int_t
ngx_mesh_record_from_tags(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_record_t *record)
{
    size_t                len;
    cJSON                *tag;
    u_char               *p;
    ngx_int_t             rc;
    ngx_str_t             url;
    ngx_mesh_endpoint_t   place;

    rc = ngx_mesh_record_place(ctx, &place);

    if (rc != NGX_OK) {
        return rc;
    }

    len = sizeof("dubbo:///?") - 1 + place.name.len + ctx->s->sn.str.len;

    cJSON_ArrayForEach(tag, ctx->tags) {
        len += cJSON_IsString(tag) ? ngx_strlen(tag->valuestring) + 1 : 0;
    }

    p = ngx_pnalloc(ctx->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url.data = p;
    p = ngx_sprintf(p, "dubbo://%V/%V?", &place.name, &ctx->s->sn.str);

    cJSON_ArrayForEach(tag, ctx->tags) {

        if (cJSON_IsString(tag)) {
            p = ngx_cpymem(p, tag->valuestring, ngx_strlen(tag->valuestring));
            *p++ = '&';
        }
    }

    url.len = p - url.data;

    return ngx_mesh_record_from_url(ctx, &url, record);
}


/* INTERFACE:VERSION[:UNIQUEID]@PROTOCOL */

static ngx_uint_t
ngx_mesh_record_sofa_tag(ngx_mesh_record_consul_t *ctx, ngx_str_t *tag)
{
    cJSON      *item;
    u_char     *colon, *at, *last;
    ngx_str_t   s, version;

    if (!ngx_mesh_record_string(ctx->meta, "rpcVer", &version)) {
        ngx_str_null(&version);
    }

    cJSON_ArrayForEach(item, ctx->tags) {

        if (!cJSON_IsString(item)) {
            continue;
        }

        tag->data = (u_char *) item->valuestring;
        tag->len = ngx_strlen(item->valuestring);

        last = tag->data + tag->len;
        colon = ngx_strlchr(tag->data, last, ':');
        at = colon ? ngx_strlchr(colon, last, '@') : NULL;

        if (at == NULL || at == colon + 1 || at + 1 == last) {
            continue;
        }

        s.data = tag->data;
        s.len = colon - tag->data;

        if (version.len || ngx_mesh_equal(&s, &ctx->s->sn.str)) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_mesh_record_sofa(ngx_mesh_record_consul_t *ctx, ngx_str_t *tag,
    ngx_mesh_record_t *record)
{
    char       *why;
    u_char     *colon, *at, *last;
    ngx_int_t   rc;
    ngx_str_t   s, version, protocol;

    last = tag->data + tag->len;
    colon = ngx_strlchr(tag->data, last, ':');
    at = ngx_strlchr(colon, last, '@');

    s.data = tag->data;
    s.len = colon - tag->data;

    if (!ngx_mesh_equal(&s, &ctx->s->sn.str)) {
        return ngx_mesh_record_note(ctx, "it is of another interface than its "
                                    "service is named after, which SOFARPC's "
                                    "\"consulServiceName\" makes", NULL);
    }

    if (!ngx_mesh_record_string(ctx->meta, "protocol", &protocol)
        || protocol.len == 0)
    {
        protocol.data = at + 1;
        protocol.len = last - (at + 1);

        if (ngx_mesh_registry_is(&protocol, "DEFAULT")) {
            ngx_str_set(&protocol, "bolt");
        }
    }

    if (!ngx_mesh_registry_is(&protocol, "bolt")) {
        return ngx_mesh_record_note(ctx, "its protocol is not bolt", NULL);
    }

    /* in names of services all after the interface is the version */

    version.data = colon + 1;
    version.len = at - (colon + 1);

    rc = ngx_mesh_record_key(record, NULL, &version, &why);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_record_note(ctx, why, NULL);
    }

    if (ngx_mesh_record_copy(ctx, &record->version) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_record_place(ctx, &record->ep);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&record->ep.protocol, "bolt");
    ngx_mesh_record_sofa_weight(ctx, &record->ep);

    return ngx_mesh_record_marks(ctx, ngx_mesh_record_sofa_own, 0,
                                 &record->ep);
}


/* warming up takes all three of SOFARPC's values, and then is a step */

static void
ngx_mesh_record_sofa_weight(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_endpoint_t *ep)
{
    int64_t    time, started;
    ngx_str_t  s, weight;

    (void) ngx_mesh_record_string(ctx->meta, "weight", &s);
    ep->weight = ngx_mesh_record_weight(
                       ngx_mesh_record_number(&s, NGX_MESH_DEFAULT_WEIGHT), 1);

    (void) ngx_mesh_record_string(ctx->meta, "warmupTime", &s);

    if (s.len == 0) {
        (void) ngx_mesh_record_string(ctx->meta, "_WARMUPTIME", &s);
    }

    time = ngx_mesh_record_number(&s, 0);

    (void) ngx_mesh_record_string(ctx->meta, "warmupWeight", &weight);

    if (weight.len == 0) {
        (void) ngx_mesh_record_string(ctx->meta, "_WARMUPWEIGHT", &weight);
    }

    (void) ngx_mesh_record_string(ctx->meta, "startTime", &s);
    started = ngx_mesh_record_number(&s, 0);

    if (time <= 0 || started <= 0 || weight.len == 0) {
        return;
    }

    ep->started = started;
    ep->warmup = (ngx_msec_t) ngx_min(time, NGX_MAX_INT32_VALUE);
    ep->warmup_weight = ngx_mesh_record_weight(
                      ngx_mesh_record_number(&weight, (int64_t) ep->weight),
                      1);

    /* 0 is a weight that grows */

    ep->warmup_weight = ngx_max(ep->warmup_weight, 1);
}


static ngx_int_t
ngx_mesh_record_plain_service(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_record_t *record)
{
    char       *why;
    ngx_int_t   rc;
    ngx_str_t   protocol, group, version;

    if (!ngx_mesh_record_mark(ctx, "protocol", &protocol)) {
        protocol = ctx->s->protocol.len ? ctx->s->protocol
                                        : ctx->s->source->protocol;
    }

    if (protocol.len == 0) {
        return ngx_mesh_record_note(ctx, "no protocol", NULL);
    }

    if (!ngx_mesh_protocol_known(&protocol)) {
        return ngx_mesh_record_note(ctx, "unknown protocol", &protocol);
    }

    if (!ngx_mesh_record_mark(ctx, "mesh-group", &group)) {
        ngx_str_null(&group);
    }

    if (!ngx_mesh_record_mark(ctx, "mesh-version", &version)) {
        ngx_str_null(&version);
    }

    rc = ngx_mesh_record_key(record, &group, &version, &why);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_record_note(ctx, why, NULL);
    }

    rc = ngx_mesh_record_place(ctx, &record->ep);

    if (rc != NGX_OK) {
        return rc;
    }

    record->ep.protocol = protocol;
    record->ep.weight = NGX_MESH_DEFAULT_WEIGHT;

    if (ngx_mesh_record_copy(ctx, &record->group) != NGX_OK
        || ngx_mesh_record_copy(ctx, &record->version) != NGX_OK
        || ngx_mesh_record_copy(ctx, &record->ep.protocol) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_record_marks(ctx, ngx_mesh_record_plain_own, 1,
                                 &record->ep);
}


static ngx_int_t
ngx_mesh_record_place(ngx_mesh_record_consul_t *ctx, ngx_mesh_endpoint_t *ep)
{
    char       *why;
    cJSON      *n;
    ngx_int_t   rc, port;
    ngx_str_t   host;

    n = cJSON_GetObjectItemCaseSensitive(ctx->service, "Port");

    port = (cJSON_IsNumber(n) && n->valuedouble > 0 && n->valuedouble < 65536)
           ? (ngx_int_t) n->valuedouble : 0;

    if (!ngx_mesh_record_string(ctx->service, "Address", &host)
        || host.len == 0)
    {
        (void) ngx_mesh_record_string(ctx->node, "Address", &host);
    }

    rc = ngx_mesh_record_address(&host, port, ctx->pool, ep, &why);

    if (rc == NGX_DECLINED) {
        return ngx_mesh_record_note(ctx, why, NULL);
    }

    ep->max_fails = NGX_MESH_RECORD_MAX_FAILS;
    ep->fail_timeout = NGX_MESH_RECORD_FAIL_TIMEOUT;

    return rc;
}


/* metadata and tags as labels; a tag without a value says that it is so */

static ngx_int_t
ngx_mesh_record_marks(ngx_mesh_record_consul_t *ctx, const char **except,
    ngx_uint_t tags, ngx_mesh_endpoint_t *ep)
{
    cJSON        *item;
    u_char       *eq;
    ngx_str_t     key, value;
    ngx_uint_t    i;
    ngx_array_t   labels;

    if (ngx_array_init(&labels, ctx->pool, 8, sizeof(ngx_mesh_record_label_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = ctx->meta ? ctx->meta->child : NULL;

    if (item == NULL && tags && ctx->tags) {
        item = ctx->tags->child;
        tags = 0;
    }

    while (item) {

        if (cJSON_IsString(item)) {
            value.data = (u_char *) item->valuestring;
            value.len = ngx_strlen(item->valuestring);

            if (item->string) {
                key.data = (u_char *) item->string;
                key.len = ngx_strlen(item->string);

            } else {
                key = value;
                eq = ngx_strlchr(key.data, key.data + key.len, '=');

                if (eq) {
                    key.len = eq - key.data;
                    value.data = eq + 1;
                    value.len -= key.len + 1;

                } else {
                    ngx_str_set(&value, "true");
                }
            }

            for (i = 0;
                 except[i] && !ngx_mesh_registry_is(&key, except[i]);
                 i++)
            {
                /* void */
            }

            if (except[i] == NULL && value.len
                && ngx_mesh_record_label(&labels, &key, &value) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        item = item->next;

        if (item == NULL && tags && ctx->tags) {
            item = ctx->tags->child;
            tags = 0;
        }
    }

    return ngx_mesh_record_labels(&labels, ep, ctx->pool);
}


ngx_int_t
ngx_mesh_record_zone(ngx_mesh_record_consul_t *ctx, ngx_mesh_endpoint_t *ep)
{
    cJSON       *from[4];
    ngx_uint_t   i;

    if (ep->zone.len) {
        return NGX_OK;
    }

    from[0] = ctx->meta;
    (void) ngx_mesh_record_member(ctx->service, "Locality", 0, &from[1]);
    (void) ngx_mesh_record_member(ctx->node, "Locality", 0, &from[2]);
    (void) ngx_mesh_record_member(ctx->node, "Meta", 0, &from[3]);

    for (i = 0; i < 4 && ep->zone.len == 0; i++) {

        if (!ngx_mesh_record_string(from[i], (i == 1 || i == 2) ? "Zone"
                                                                : "zone",
                                    &ep->zone)
            || ep->zone.len > 255)
        {
            ngx_str_null(&ep->zone);
        }
    }

    return ngx_mesh_record_copy(ctx, &ep->zone);
}


/* instances of an application know their interfaces themselves */

static ngx_uint_t
ngx_mesh_record_application(ngx_mesh_record_consul_t *ctx)
{
    ngx_uint_t  i;

    static const char  *names[] = {
        "dubbo.metadata.revision", "dubbo.metadata-service.url-params",
        "dubbo.metadata.storage-type", "dubbo.endpoints", NULL
    };

    for (i = 0; names[i]; i++) {
        if (ngx_mesh_record_mark(ctx, names[i], NULL)) {
            return 1;
        }
    }

    return 0;
}


/* NAME of the metadata, or the tag NAME=VALUE; without a value, also NAME */

static ngx_uint_t
ngx_mesh_record_mark(ngx_mesh_record_consul_t *ctx, const char *name,
    ngx_str_t *value)
{
    size_t      len, n;
    cJSON      *item;
    ngx_str_t   s;

    if (ngx_mesh_record_string(ctx->meta, name, &s) && s.len) {

        if (value) {
            *value = s;
        }

        return 1;
    }

    len = ngx_strlen(name);

    cJSON_ArrayForEach(item, ctx->tags) {

        if (!cJSON_IsString(item)
            || ngx_strncmp(item->valuestring, name, len) != 0)
        {
            continue;
        }

        n = ngx_strlen(item->valuestring);

        if (n > len + 1 && item->valuestring[len] == '=') {

            if (value) {
                value->data = (u_char *) item->valuestring + len + 1;
                value->len = n - (len + 1);
            }

            return 1;
        }

        if (n == len && value == NULL) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_mesh_record_copy(ngx_mesh_record_consul_t *ctx, ngx_str_t *s)
{
    if (s->len) {
        s->data = ngx_pstrdup(ctx->pool, s);
    }

    return (s->len == 0 || s->data) ? NGX_OK : NGX_ERROR;
}
