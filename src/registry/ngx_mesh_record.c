
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_record_int.h"


/* longer ones are no address of a service any more */

#define NGX_MESH_RECORD_URL     65535

/* nobody selects by more */

#define NGX_MESH_RECORD_LABEL   128
#define NGX_MESH_RECORD_VALUE   512


static ngx_int_t ngx_mesh_record_decode(ngx_str_t *s);
static ngx_int_t ngx_mesh_record_authority(ngx_mesh_record_url_t *url,
    u_char *p, u_char *last, char **why);
static ngx_int_t ngx_mesh_record_params(ngx_mesh_record_url_t *url,
    u_char *p, u_char *last, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_record_plain(ngx_str_t *s);
static int ngx_libc_cdecl ngx_mesh_record_cmp_labels(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_mesh_record_cmp(const void *one,
    const void *two);


ngx_int_t
ngx_mesh_record_url(ngx_str_t *text, ngx_pool_t *pool,
    ngx_mesh_record_url_t *url, char **why)
{
    u_char     *p, *last, *sep, *params;
    ngx_str_t   copy;

    ngx_memzero(url, sizeof(ngx_mesh_record_url_t));

    if (text->len == 0 || text->len > NGX_MESH_RECORD_URL) {
        *why = text->len ? "the URL is longer than 65535 bytes"
                         : "the URL is empty";
        return NGX_DECLINED;
    }

    copy.len = text->len;
    copy.data = ngx_pnalloc(pool, text->len);
    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy.data, text->data, text->len);

    sep = ngx_strnstr(copy.data, "://", copy.len);

    if (sep == NULL) {

        if (ngx_mesh_record_decode(&copy) != NGX_OK) {
            *why = "the URL has a damaged escape";
            return NGX_DECLINED;
        }

        sep = ngx_strnstr(copy.data, "://", copy.len);
    }

    p = copy.data;
    last = copy.data + copy.len;
    params = ngx_strlchr(p, last, '?');

    if (sep == NULL || sep == p || (params && params < sep)) {
        *why = "it is no URL";
        return NGX_DECLINED;
    }

    url->protocol.data = p;
    url->protocol.len = sep - p;

    if (ngx_mesh_record_params(url, params ? params + 1 : last, last, pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_record_authority(url, sep + 3, params ? params : last,
                                     why);
}


/* in place, as it gets no longer */

static ngx_int_t
ngx_mesh_record_decode(ngx_str_t *s)
{
    u_char     *p, *last, *dst;
    ngx_int_t   n;

    p = s->data;
    last = p + s->len;
    dst = p;

    while (p < last) {

        if (*p != '%') {
            *dst++ = (*p == '+') ? ' ' : *p;
            p++;
            continue;
        }

        if (last - p < 3) {
            return NGX_DECLINED;
        }

        n = ngx_hextoi(p + 1, 2);

        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        *dst++ = (u_char) n;
        p += 3;
    }

    s->len = dst - s->data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_record_authority(ngx_mesh_record_url_t *url, u_char *p,
    u_char *last, char **why)
{
    u_char     *end, *at, *colon;
    ngx_int_t   port;

    end = ngx_strlchr(p, last, '#');
    last = end ? end : last;

    end = ngx_strlchr(p, last, '/');

    if (end) {
        url->path.data = end + 1;
        url->path.len = last - (end + 1);
        last = end;
    }

    for (at = last; at > p && at[-1] != '@'; at--) { /* void */ }

    if (at > p) {
        end = ngx_strlchr(p, at - 1, ':');
        url->user.data = p;
        url->user.len = (end ? end : at - 1) - p;
        p = at;
    }

    /* addresses of IPv6 come without brackets, too: the last one counts */

    for (colon = last; colon > p && colon[-1] != ':'; colon--) { /* void */ }

    if (colon > p && last[-1] != ']') {

        if (colon < last) {
            port = ngx_atoi(colon, last - colon);

            if (port == NGX_ERROR || port > 65535) {
                *why = "its port is no number up to 65535";
                return NGX_DECLINED;
            }

            url->port = port;
        }

        last = colon - 1;
    }

    if (last - p > 2 && *p == '[' && last[-1] == ']') {
        p++;
        last--;
    }

    url->host.data = p;
    url->host.len = last - p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_record_params(ngx_mesh_record_url_t *url, u_char *p, u_char *last,
    ngx_pool_t *pool)
{
    u_char        *end, *eq;
    ngx_keyval_t  *param;

    if (ngx_array_init(&url->params, pool, 32, sizeof(ngx_keyval_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for ( /* void */ ; p < last; p = end + 1) {

        for (end = p; end < last && *end != '&' && *end != ';'; end++) {
            /* void */
        }

        while (p < end && *p == '=') {
            p++;
        }

        if (p == end) {
            continue;
        }

        param = ngx_array_push(&url->params);
        if (param == NULL) {
            return NGX_ERROR;
        }

        eq = ngx_strlchr(p, end, '=');

        param->key.data = p;
        param->key.len = (eq ? eq : end) - p;
        param->value.data = eq ? eq + 1 : end;
        param->value.len = end - param->value.data;
    }

    return NGX_OK;
}


/* of several the last one counts; old providers write "default.NAME" */

ngx_str_t *
ngx_mesh_record_param(ngx_mesh_record_url_t *url, const char *name)
{
    ngx_str_t      key, *fallback;
    ngx_uint_t     i;
    ngx_keyval_t  *param;

    param = url->params.elts;
    fallback = NULL;

    for (i = url->params.nelts; i > 0; i--) {
        key = param[i - 1].key;

        if (ngx_mesh_registry_is(&key, name)) {
            return param[i - 1].value.len ? &param[i - 1].value : NULL;
        }

        if (fallback == NULL && key.len > 8
            && ngx_strncmp(key.data, "default.", 8) == 0)
        {
            key.data += 8;
            key.len -= 8;

            if (ngx_mesh_registry_is(&key, name) && param[i - 1].value.len) {
                fallback = &param[i - 1].value;
            }
        }
    }

    return fallback;
}


ngx_uint_t
ngx_mesh_record_flag(ngx_str_t *value, ngx_uint_t fallback)
{
    if (value == NULL) {
        return fallback;
    }

    return value->len == 4
           && ngx_strncasecmp(value->data, (u_char *) "true", 4) == 0;
}


int64_t
ngx_mesh_record_number(ngx_str_t *value, int64_t fallback)
{
    u_char     *p;
    size_t      len;
    ngx_int_t   n;

    if (value == NULL || value->len == 0) {
        return fallback;
    }

    p = value->data;
    len = value->len;

    if (*p == '-' || *p == '+') {
        p++;
        len--;
    }

    n = ngx_atoi(p, len);

    if (n == NGX_ERROR) {
        return fallback;
    }

    return (*value->data == '-') ? -n : n;
}


ngx_uint_t
ngx_mesh_record_weight(int64_t weight, ngx_uint_t times)
{
    if (weight <= 0 || times == 0) {
        return 0;
    }

    weight = ngx_min(weight, NGX_MESH_RECORD_MAX_WEIGHT);

    return ngx_min((ngx_uint_t) weight * times, NGX_MESH_RECORD_MAX_WEIGHT);
}


ngx_int_t
ngx_mesh_record_address(ngx_str_t *host, ngx_uint_t port, ngx_pool_t *pool,
    ngx_mesh_endpoint_t *ep, char **why)
{
    u_char                buf[NGX_SOCKADDR_STRLEN];
    ngx_int_t             rc;
    ngx_addr_t            addr;
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    if (host->len == 0) {
        *why = "it has no address";
        return NGX_DECLINED;
    }

    if (port == 0 || port > 65535) {
        *why = "it has no port";
        return NGX_DECLINED;
    }

    rc = ngx_parse_addr(pool, &addr, host->data, host->len);

    if (rc == NGX_DECLINED) {
        *why = "its address is a name, which is not resolved here";
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (addr.sockaddr->sa_family == AF_INET6) {
        sin6 = (struct sockaddr_in6 *) addr.sockaddr;
        rc = IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr);

    } else {
        sin = (struct sockaddr_in *) addr.sockaddr;
        rc = (sin->sin_addr.s_addr == INADDR_ANY);
    }

    if (rc) {
        *why = "its address is that of any host";
        return NGX_DECLINED;
    }

    ngx_inet_set_port(addr.sockaddr, (in_port_t) port);

    ep->name.data = buf;
    ep->name.len = ngx_sock_ntop(addr.sockaddr, addr.socklen, buf,
                                 NGX_SOCKADDR_STRLEN, 1);

    ep->name.data = ngx_pstrdup(pool, &ep->name);

    if (ep->name.data == NULL
        || ngx_mesh_record_host(host, pool, &ep->host) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ep->id = ep->name;
    ep->sockaddr = addr.sockaddr;
    ep->socklen = addr.socklen;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_record_host(ngx_str_t *host, ngx_pool_t *pool, ngx_str_t *text)
{
    u_char      buf[NGX_SOCKADDR_STRLEN];
    ngx_int_t   rc;
    ngx_addr_t  addr;

    rc = ngx_parse_addr(pool, &addr, host->data, host->len);

    if (rc != NGX_OK) {
        return rc;
    }

    text->data = buf;
    text->len = ngx_sock_ntop(addr.sockaddr, addr.socklen, buf,
                              NGX_SOCKADDR_STRLEN, 0);

    text->data = ngx_pstrdup(pool, text);

    return text->data ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mesh_record_key(ngx_mesh_record_t *record, ngx_str_t *group,
    ngx_str_t *version, char **why)
{
    ngx_uint_t  i;
    ngx_str_t  *part[2];

    ngx_str_null(&record->group);
    ngx_str_null(&record->version);

    part[0] = group;
    part[1] = version;

    for (i = 0; i < 2; i++) {

        if (part[i] == NULL || part[i]->len == 0
            || ngx_mesh_registry_is(part[i], "null")
            || (i == 1 && ngx_mesh_registry_is(part[i], "0.0.0")))
        {
            continue;
        }

        /* these are parts of a key's name, and of the key in the table */

        if (ngx_mesh_registry_is(part[i], "*")
            || ngx_strlchr(part[i]->data, part[i]->data + part[i]->len, '/')
            || !ngx_mesh_record_plain(part[i]))
        {
            *why = i ? "its version cannot be part of a key"
                     : "its group cannot be part of a key";
            return NGX_DECLINED;
        }

        if (i) {
            record->version = *part[i];

        } else {
            record->group = *part[i];
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_record_plain(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] == 0x7f) {
            return 0;
        }
    }

    return s->len <= NGX_MESH_RECORD_VALUE;
}


ngx_int_t
ngx_mesh_record_label(ngx_array_t *labels, ngx_str_t *key, ngx_str_t *value)
{
    u_char                   *p;
    ngx_mesh_record_label_t  *label;

    if (key->len == 0 || key->len > NGX_MESH_RECORD_LABEL
        || ngx_strlchr(key->data, key->data + key->len, '=')
        || !ngx_mesh_record_plain(key) || !ngx_mesh_record_plain(value))
    {
        return NGX_OK;
    }

    label = ngx_array_push(labels);
    if (label == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(labels->pool, key->len + value->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    label->key.data = p;
    label->key.len = key->len;
    p = ngx_cpymem(p, key->data, key->len);

    label->value.data = p;
    label->value.len = value->len;

    if (value->len) {
        ngx_memcpy(p, value->data, value->len);
    }

    label->rank = labels->nelts;

    return NGX_OK;
}


/* an order that does not depend on the SDK's makes the same record the same */

ngx_int_t
ngx_mesh_record_labels(ngx_array_t *labels, ngx_mesh_endpoint_t *ep,
    ngx_pool_t *pool)
{
    ngx_uint_t                i;
    ngx_keyval_t             *kv;
    ngx_mesh_record_label_t  *label;

    ep->labels = NULL;
    ep->nlabels = 0;

    if (labels->nelts == 0) {
        return NGX_OK;
    }

    kv = ngx_palloc(pool, labels->nelts * sizeof(ngx_keyval_t));
    if (kv == NULL) {
        return NGX_ERROR;
    }

    label = labels->elts;

    ngx_qsort(label, labels->nelts, sizeof(ngx_mesh_record_label_t),
              ngx_mesh_record_cmp_labels);

    ep->labels = kv;

    for (i = 0; i < labels->nelts; i++) {

        if (i && ngx_mesh_equal(&label[i].key, &label[i - 1].key)) {
            continue;
        }

        kv[ep->nlabels].key = label[i].key;
        kv[ep->nlabels++].value = label[i].value;
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_record_cmp_labels(const void *one, const void *two)
{
    ngx_int_t                       rc;
    const ngx_mesh_record_label_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_mesh_compare(&a->key, &b->key);

    return rc ? (int) rc : (a->rank > b->rank) - (a->rank < b->rank);
}


void
ngx_mesh_record_unique(ngx_array_t *records)
{
    ngx_uint_t          i, n;
    ngx_mesh_record_t  *r;

    r = records->elts;

    if (records->nelts < 2) {
        return;
    }

    ngx_qsort(r, records->nelts, sizeof(ngx_mesh_record_t),
              ngx_mesh_record_cmp);

    for (i = 1, n = 1; i < records->nelts; i++) {

        if (ngx_mesh_equal(&r[i].ep.name, &r[n - 1].ep.name)
            && ngx_mesh_equal(&r[i].version, &r[n - 1].version)
            && ngx_mesh_equal(&r[i].group, &r[n - 1].group))
        {
            continue;
        }

        r[n++] = r[i];
    }

    records->nelts = n;
}


/* the one that tells most of the process that is there now comes first */

static int ngx_libc_cdecl
ngx_mesh_record_cmp(const void *one, const void *two)
{
    ngx_int_t                 rc;
    const ngx_mesh_record_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_mesh_compare(&a->group, &b->group);

    if (rc == 0) {
        rc = ngx_mesh_compare(&a->version, &b->version);
    }

    if (rc == 0) {
        rc = ngx_mesh_compare(&a->ep.name, &b->ep.name);
    }

    if (rc == 0) {
        rc = (ngx_int_t) a->ep.suspect - (ngx_int_t) b->ep.suspect;
    }

    if (rc == 0) {
        rc = (a->ep.started < b->ep.started) - (a->ep.started > b->ep.started);
    }

    if (rc == 0) {
        rc = (ngx_int_t) a->ep.drain - (ngx_int_t) b->ep.drain;
    }

    if (rc == 0) {
        rc = (a->ep.weight < b->ep.weight) - (a->ep.weight > b->ep.weight);
    }

    return (int) rc;
}
