
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


#define NGX_MESH_ITEM_VERSION     1
#define NGX_MESH_ITEM_VERSION2    2         /* with what registries bring */

#define NGX_MESH_ITEM_BACKUP      0x01
#define NGX_MESH_ITEM_DOWN        0x02
#define NGX_MESH_ITEM_DRAINED     0x04
#define NGX_MESH_ITEM_SUSPECT     0x08

#define NGX_MESH_ITEM_WEIGHTED    0x01
#define NGX_MESH_ITEM_DRAIN       0x02
#define NGX_MESH_ITEM_DISABLED    0x04

#define NGX_MESH_ITEM_STRINGS     4


/* lengths of the strings, which follow in this order */

typedef struct {
    uint32_t   version;
    uint32_t   balancer;
    uint32_t   string[NGX_MESH_ITEM_STRINGS];
} ngx_mesh_item_service_t;


/* of version 2, after it */

typedef struct {
    uint32_t   registries;
    uint32_t   provided_by;
} ngx_mesh_item_sources_t;


typedef struct {
    uint32_t   version;
    uint32_t   flags;
    uint32_t   weight;
    uint32_t   max_fails;
    uint32_t   fail_timeout;
    uint32_t   slow_start;
    uint32_t   string[NGX_MESH_ITEM_STRINGS];
    uint32_t   nlabels;
} ngx_mesh_item_endpoint_t;


typedef struct {
    uint64_t   started;
    uint32_t   warmup;
    uint32_t   warmup_weight;
} ngx_mesh_item_warmup_t;


typedef struct {
    uint32_t   key;
    uint32_t   value;
} ngx_mesh_item_label_t;


typedef struct {
    uint32_t   version;
    uint32_t   flags;
    uint64_t   until;
    uint32_t   weight;
    uint32_t   by;
    uint32_t   reason;
    uint32_t   reserved;
} ngx_mesh_item_override_t;


static uint32_t ngx_mesh_item_endpoint_version(ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_item_endpoint_strings(ngx_mesh_item_endpoint_t *e,
    u_char **pos, u_char *end, ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_item_labels(u_char **pos, u_char *end,
    ngx_uint_t n, ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);
static u_char *ngx_mesh_item_value(ngx_mesh_store_op_t *op, size_t size,
    ngx_pool_t *pool);


ngx_str_t  ngx_mesh_owner_config = ngx_string("config");
ngx_str_t  ngx_mesh_owner_api = ngx_string("api");


static ngx_inline u_char *
ngx_mesh_item_put(u_char *p, ngx_str_t *s)
{
    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}


static ngx_inline ngx_int_t
ngx_mesh_item_take(u_char **pos, u_char *end, uint32_t len, ngx_str_t *s)
{
    if (len > (size_t) (end - *pos)) {
        return NGX_DECLINED;
    }

    s->len = len;
    s->data = len ? *pos : NULL;
    *pos += len;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_item_key(ngx_str_t *key, ngx_mesh_service_t *service, ngx_str_t *id,
    ngx_str_t *owner, ngx_uint_t inside, ngx_pool_t *pool)
{
    u_char  *p;

    p = ngx_pnalloc(pool, service->interface.len + service->version.len
                          + service->group.len + 4 + (id ? id->len : 0)
                          + (owner ? owner->len : 0));
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;

    p = ngx_mesh_item_put(p, &service->interface);
    *p++ = '\0';
    p = ngx_mesh_item_put(p, &service->version);
    *p++ = '\0';
    p = ngx_mesh_item_put(p, &service->group);

    if (id || inside) {
        *p++ = '\0';
    }

    if (id) {
        p = ngx_mesh_item_put(p, id);
    }

    if (owner) {
        *p++ = '\0';
        p = ngx_mesh_item_put(p, owner);
    }

    key->len = p - key->data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_item_split(ngx_str_t *key, ngx_str_t *service, ngx_str_t *id,
    ngx_str_t *owner)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    p = key->data;
    last = key->data + key->len;

    for (n = 0; n < 3; p++) {

        if (p == last) {
            return NGX_DECLINED;
        }

        if (*p == '\0') {
            n++;
        }
    }

    service->data = key->data;
    service->len = p - 1 - key->data;

    id->data = p;

    while (p < last && *p != '\0') {
        p++;
    }

    id->len = p - id->data;

    owner->len = p < last ? last - p - 1 : 0;
    owner->data = p < last ? p + 1 : NULL;

    return id->len ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_item_service_key_name(ngx_str_t *key, ngx_str_t *name,
    ngx_pool_t *pool)
{
    u_char      *p, *last, *start;
    ngx_str_t    part[3];
    ngx_uint_t   i;

    p = key->data;
    last = p + key->len;

    for (i = 0; i < 3; i++) {

        start = p;

        while (p < last && *p != '\0') {
            p++;
        }

        part[i].data = start;
        part[i].len = p - start;
        p += (p < last);
    }

    p = ngx_pnalloc(pool, key->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name->data = p;

    if (part[2].len) {
        p = ngx_cpymem(p, part[2].data, part[2].len);
        *p++ = '/';
    }

    p = ngx_cpymem(p, part[0].data, part[0].len);

    if (part[1].len) {
        *p++ = ':';
        p = ngx_cpymem(p, part[1].data, part[1].len);
    }

    name->len = p - name->data;

    return NGX_OK;
}


/*
 * What an older reader understands is written as it expects it, so that a
 * journal goes back to the program before this one, too.
 */

static ngx_inline ngx_uint_t
ngx_mesh_item_service_sources(ngx_mesh_service_t *service)
{
    return service->registries.len || service->provided_by.len;
}


size_t
ngx_mesh_item_service_size(ngx_mesh_service_t *service)
{
    return sizeof(ngx_mesh_item_service_t) + service->owner.len
           + service->name.len + service->protocol.len + service->hash.len
           + (ngx_mesh_item_service_sources(service)
              ? sizeof(ngx_mesh_item_sources_t) + service->registries.len
                + service->provided_by.len
              : 0);
}


void
ngx_mesh_item_service_write(u_char *p, ngx_mesh_service_t *service)
{
    ngx_uint_t               sources;
    ngx_mesh_item_service_t  s;
    ngx_mesh_item_sources_t  more;

    sources = ngx_mesh_item_service_sources(service);

    s.version = sources ? NGX_MESH_ITEM_VERSION2 : NGX_MESH_ITEM_VERSION;
    s.balancer = (uint32_t) service->balancer;
    s.string[0] = (uint32_t) service->owner.len;
    s.string[1] = (uint32_t) service->name.len;
    s.string[2] = (uint32_t) service->protocol.len;
    s.string[3] = (uint32_t) service->hash.len;

    p = ngx_cpymem(p, &s, sizeof(ngx_mesh_item_service_t));

    if (sources) {
        more.registries = (uint32_t) service->registries.len;
        more.provided_by = (uint32_t) service->provided_by.len;
        p = ngx_cpymem(p, &more, sizeof(ngx_mesh_item_sources_t));
    }

    p = ngx_mesh_item_put(p, &service->owner);
    p = ngx_mesh_item_put(p, &service->name);
    p = ngx_mesh_item_put(p, &service->protocol);
    p = ngx_mesh_item_put(p, &service->hash);
    p = ngx_mesh_item_put(p, &service->registries);
    (void) ngx_mesh_item_put(p, &service->provided_by);
}


ngx_int_t
ngx_mesh_item_service_read(ngx_mesh_store_item_t *item,
    ngx_mesh_service_t *service)
{
    u_char                   *p, *end;
    ngx_str_t                 name;
    ngx_mesh_item_service_t   s;
    ngx_mesh_item_sources_t   more;

    ngx_memzero(service, sizeof(ngx_mesh_service_t));
    ngx_memzero(&more, sizeof(ngx_mesh_item_sources_t));

    p = item->value.data;
    end = p + item->value.len;

    if (item->value.len < sizeof(ngx_mesh_item_service_t)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(&s, p, sizeof(ngx_mesh_item_service_t));
    p += sizeof(ngx_mesh_item_service_t);

    if (s.version == NGX_MESH_ITEM_VERSION2) {

        if ((size_t) (end - p) < sizeof(ngx_mesh_item_sources_t)) {
            return NGX_DECLINED;
        }

        ngx_memcpy(&more, p, sizeof(ngx_mesh_item_sources_t));
        p += sizeof(ngx_mesh_item_sources_t);

    } else if (s.version != NGX_MESH_ITEM_VERSION) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_item_take(&p, end, s.string[0], &service->owner) != NGX_OK
        || ngx_mesh_item_take(&p, end, s.string[1], &name) != NGX_OK
        || ngx_mesh_table_parse_key(&name, service) != NGX_OK
        || ngx_mesh_item_take(&p, end, s.string[2], &service->protocol)
           != NGX_OK
        || ngx_mesh_item_take(&p, end, s.string[3], &service->hash) != NGX_OK
        || ngx_mesh_item_take(&p, end, more.registries, &service->registries)
           != NGX_OK
        || ngx_mesh_item_take(&p, end, more.provided_by,
                              &service->provided_by)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    service->balancer = s.balancer;

    return NGX_OK;
}


static uint32_t
ngx_mesh_item_endpoint_version(ngx_mesh_endpoint_t *ep)
{
    return (ep->started || ep->warmup || ep->warmup_weight || ep->drain
            || ep->suspect)
           ? NGX_MESH_ITEM_VERSION2 : NGX_MESH_ITEM_VERSION;
}


/* the usual name is the id, which the key has already */

size_t
ngx_mesh_item_endpoint_size(ngx_mesh_endpoint_t *ep)
{
    size_t      size;
    ngx_uint_t  i;

    size = sizeof(ngx_mesh_item_endpoint_t)
           + ep->nlabels * sizeof(ngx_mesh_item_label_t)
           + (ngx_mesh_equal(&ep->id, &ep->name) ? 0 : ep->name.len)
           + ep->host.len + ep->protocol.len + ep->zone.len;

    if (ngx_mesh_item_endpoint_version(ep) == NGX_MESH_ITEM_VERSION2) {
        size += sizeof(ngx_mesh_item_warmup_t);
    }

    for (i = 0; i < ep->nlabels; i++) {
        size += ep->labels[i].key.len + ep->labels[i].value.len;
    }

    return size;
}


void
ngx_mesh_item_endpoint_write(u_char *p, ngx_mesh_endpoint_t *ep)
{
    ngx_uint_t                 i;
    ngx_mesh_item_label_t      label;
    ngx_mesh_item_warmup_t     w;
    ngx_mesh_item_endpoint_t   e;

    e.version = ngx_mesh_item_endpoint_version(ep);
    e.flags = (ep->backup ? NGX_MESH_ITEM_BACKUP : 0)
              | (ep->down ? NGX_MESH_ITEM_DOWN : 0)
              | (ep->drain ? NGX_MESH_ITEM_DRAINED : 0)
              | (ep->suspect ? NGX_MESH_ITEM_SUSPECT : 0);
    e.weight = (uint32_t) ep->weight;
    e.max_fails = (uint32_t) ep->max_fails;
    e.fail_timeout = (uint32_t) ep->fail_timeout;
    e.slow_start = (uint32_t) ep->slow_start;
    e.string[0] = ngx_mesh_equal(&ep->id, &ep->name)
                  ? 0 : (uint32_t) ep->name.len;
    e.string[1] = (uint32_t) ep->host.len;
    e.string[2] = (uint32_t) ep->protocol.len;
    e.string[3] = (uint32_t) ep->zone.len;
    e.nlabels = (uint32_t) ep->nlabels;

    p = ngx_cpymem(p, &e, sizeof(ngx_mesh_item_endpoint_t));

    if (e.version == NGX_MESH_ITEM_VERSION2) {
        w.started = ep->started;
        w.warmup = (uint32_t) ep->warmup;
        w.warmup_weight = (uint32_t) ep->warmup_weight;
        p = ngx_cpymem(p, &w, sizeof(ngx_mesh_item_warmup_t));
    }

    for (i = 0; i < ep->nlabels; i++) {
        label.key = (uint32_t) ep->labels[i].key.len;
        label.value = (uint32_t) ep->labels[i].value.len;
        p = ngx_cpymem(p, &label, sizeof(ngx_mesh_item_label_t));
    }

    if (e.string[0]) {
        p = ngx_mesh_item_put(p, &ep->name);
    }

    p = ngx_mesh_item_put(p, &ep->host);
    p = ngx_mesh_item_put(p, &ep->protocol);
    p = ngx_mesh_item_put(p, &ep->zone);

    for (i = 0; i < ep->nlabels; i++) {
        p = ngx_mesh_item_put(p, &ep->labels[i].key);
        p = ngx_mesh_item_put(p, &ep->labels[i].value);
    }
}


ngx_int_t
ngx_mesh_item_endpoint_read(ngx_mesh_store_item_t *item,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool)
{
    u_char                    *p, *end, *labels;
    ngx_str_t                  service;
    ngx_mesh_item_warmup_t     w;
    ngx_mesh_item_endpoint_t   e;

    ngx_memzero(ep, sizeof(ngx_mesh_endpoint_t));

    p = item->value.data;
    end = p + item->value.len;

    if (item->value.len < sizeof(ngx_mesh_item_endpoint_t)
        || ngx_mesh_item_split(&item->key, &service, &ep->id, &ep->owner)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(&e, p, sizeof(ngx_mesh_item_endpoint_t));
    p += sizeof(ngx_mesh_item_endpoint_t);

    if (e.version == NGX_MESH_ITEM_VERSION2) {

        if ((size_t) (end - p) < sizeof(ngx_mesh_item_warmup_t)) {
            return NGX_DECLINED;
        }

        ngx_memcpy(&w, p, sizeof(ngx_mesh_item_warmup_t));
        p += sizeof(ngx_mesh_item_warmup_t);

        ep->started = w.started;
        ep->warmup = w.warmup;
        ep->warmup_weight = w.warmup_weight;
        ep->drain = (e.flags & NGX_MESH_ITEM_DRAINED) ? 1 : 0;
        ep->suspect = (e.flags & NGX_MESH_ITEM_SUSPECT) ? 1 : 0;

    } else if (e.version != NGX_MESH_ITEM_VERSION) {
        return NGX_DECLINED;
    }

    labels = p;

    if (ngx_mesh_item_endpoint_strings(&e, &p, end, ep) != NGX_OK) {
        return NGX_DECLINED;
    }

    ep->weight = e.weight;
    ep->max_fails = e.max_fails;
    ep->fail_timeout = e.fail_timeout;
    ep->slow_start = e.slow_start;
    ep->backup = (e.flags & NGX_MESH_ITEM_BACKUP) ? 1 : 0;
    ep->down = (e.flags & NGX_MESH_ITEM_DOWN) ? 1 : 0;

    if (e.nlabels == 0) {
        return NGX_OK;
    }

    return ngx_mesh_item_labels(&labels, end, e.nlabels, ep, pool);
}


/* they come after the lengths of the labels */

static ngx_int_t
ngx_mesh_item_endpoint_strings(ngx_mesh_item_endpoint_t *e, u_char **pos,
    u_char *end, ngx_mesh_endpoint_t *ep)
{
    u_char  *p;

    p = *pos;

    if (e->nlabels > (size_t) (end - p) / sizeof(ngx_mesh_item_label_t)) {
        return NGX_DECLINED;
    }

    p += e->nlabels * sizeof(ngx_mesh_item_label_t);

    if (ngx_mesh_item_take(&p, end, e->string[0], &ep->name) != NGX_OK
        || ngx_mesh_item_take(&p, end, e->string[1], &ep->host) != NGX_OK
        || ngx_mesh_item_take(&p, end, e->string[2], &ep->protocol) != NGX_OK
        || ngx_mesh_item_take(&p, end, e->string[3], &ep->zone) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ep->name.len == 0) {
        ep->name = ep->id;
    }

    *pos = p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_item_labels(u_char **pos, u_char *end, ngx_uint_t n,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool)
{
    u_char                 *p, *lengths;
    ngx_uint_t              i;
    ngx_mesh_item_label_t   label;

    ep->labels = ngx_palloc(pool, n * sizeof(ngx_keyval_t));
    if (ep->labels == NULL) {
        return NGX_ERROR;
    }

    lengths = *pos;
    p = lengths + n * sizeof(ngx_mesh_item_label_t) + ep->host.len
        + ep->protocol.len + ep->zone.len;

    if (ep->name.data != ep->id.data) {
        p += ep->name.len;
    }

    for (i = 0; i < n; i++) {
        ngx_memcpy(&label, lengths + i * sizeof(ngx_mesh_item_label_t),
                   sizeof(ngx_mesh_item_label_t));

        if (ngx_mesh_item_take(&p, end, label.key, &ep->labels[i].key)
            != NGX_OK
            || ngx_mesh_item_take(&p, end, label.value, &ep->labels[i].value)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    ep->nlabels = n;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_item_address(ngx_mesh_endpoint_t *ep, ngx_pool_t *pool)
{
    ngx_int_t            rc;
    ngx_addr_t           addr;
    struct sockaddr_un  *saun;

    if (ep->name.len < 5 || ngx_strncmp(ep->name.data, "unix:", 5) != 0) {

        ngx_memzero(&addr, sizeof(ngx_addr_t));

        rc = ngx_parse_addr_port(pool, &addr, ep->name.data, ep->name.len);

        if (rc == NGX_OK && ngx_inet_get_port(addr.sockaddr) == 0) {
            return NGX_DECLINED;
        }

        ep->sockaddr = addr.sockaddr;
        ep->socklen = addr.socklen;

        return rc;
    }

    if (ep->name.len == 5
        || ep->name.len - 5 >= sizeof(saun->sun_path))
    {
        return NGX_DECLINED;
    }

    saun = ngx_pcalloc(pool, sizeof(struct sockaddr_un));
    if (saun == NULL) {
        return NGX_ERROR;
    }

    saun->sun_family = AF_UNIX;
    ngx_memcpy(saun->sun_path, ep->name.data + 5, ep->name.len - 5);

    ep->sockaddr = (struct sockaddr *) saun;
    ep->socklen = sizeof(struct sockaddr_un);

    return NGX_OK;
}


size_t
ngx_mesh_item_override_size(ngx_mesh_override_t *ov)
{
    return sizeof(ngx_mesh_item_override_t) + ov->by.len + ov->reason.len;
}


void
ngx_mesh_item_override_write(u_char *p, ngx_mesh_override_t *ov)
{
    ngx_mesh_item_override_t  o;

    o.version = NGX_MESH_ITEM_VERSION;
    o.flags = (ov->weighted ? NGX_MESH_ITEM_WEIGHTED : 0)
              | (ov->drain ? NGX_MESH_ITEM_DRAIN : 0)
              | (ov->disabled ? NGX_MESH_ITEM_DISABLED : 0);
    o.until = ov->until;
    o.weight = (uint32_t) ov->weight;
    o.by = (uint32_t) ov->by.len;
    o.reason = (uint32_t) ov->reason.len;
    o.reserved = 0;

    p = ngx_cpymem(p, &o, sizeof(ngx_mesh_item_override_t));
    p = ngx_mesh_item_put(p, &ov->by);
    (void) ngx_mesh_item_put(p, &ov->reason);
}


ngx_int_t
ngx_mesh_item_override_read(ngx_mesh_store_item_t *item,
    ngx_mesh_override_t *ov)
{
    u_char                    *p, *end;
    ngx_mesh_item_override_t   o;

    ngx_memzero(ov, sizeof(ngx_mesh_override_t));

    p = item->value.data;
    end = p + item->value.len;

    if (item->value.len < sizeof(ngx_mesh_item_override_t)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(&o, p, sizeof(ngx_mesh_item_override_t));
    p += sizeof(ngx_mesh_item_override_t);

    if (o.version != NGX_MESH_ITEM_VERSION
        || ngx_mesh_item_take(&p, end, o.by, &ov->by) != NGX_OK
        || ngx_mesh_item_take(&p, end, o.reason, &ov->reason) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ov->weight = o.weight;
    ov->until = o.until;
    ov->weighted = (o.flags & NGX_MESH_ITEM_WEIGHTED) ? 1 : 0;
    ov->drain = (o.flags & NGX_MESH_ITEM_DRAIN) ? 1 : 0;
    ov->disabled = (o.flags & NGX_MESH_ITEM_DISABLED) ? 1 : 0;

    return NGX_OK;
}


static u_char *
ngx_mesh_item_value(ngx_mesh_store_op_t *op, size_t size, ngx_pool_t *pool)
{
    op->value.len = size;
    op->value.data = ngx_pnalloc(pool, size);

    return op->value.data;
}


ngx_int_t
ngx_mesh_item_put_service(ngx_mesh_store_op_t *op, ngx_mesh_service_t *service,
    ngx_pool_t *pool)
{
    u_char  *p;

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    op->type = NGX_MESH_ITEM_SERVICE;

    p = ngx_mesh_item_value(op, ngx_mesh_item_service_size(service), pool);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_item_service_write(p, service);

    return ngx_mesh_item_key(&op->key, service, NULL, NULL, 0, pool);
}


ngx_int_t
ngx_mesh_item_leave_service(ngx_mesh_store_op_t *op,
    ngx_mesh_store_item_t *item, ngx_str_t *owner, ngx_pool_t *pool)
{
    ngx_mesh_service_t  service, plain;

    if (ngx_mesh_item_service_read(item, &service) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_equal(owner, &ngx_mesh_owner_config)
        || ngx_mesh_equal(owner, &ngx_mesh_owner_api))
    {
        plain = service;

    } else {
        ngx_memzero(&plain, sizeof(ngx_mesh_service_t));
        plain.name = service.name;
        plain.group = service.group;
        plain.interface = service.interface;
        plain.version = service.version;
    }

    plain.owner = *owner;

    return ngx_mesh_item_put_service(op, &plain, pool);
}


ngx_int_t
ngx_mesh_item_put_endpoint(ngx_mesh_store_op_t *op,
    ngx_mesh_service_t *service, ngx_mesh_endpoint_t *ep, ngx_pool_t *pool)
{
    u_char  *p;

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    op->type = NGX_MESH_ITEM_ENDPOINT;

    p = ngx_mesh_item_value(op, ngx_mesh_item_endpoint_size(ep), pool);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_item_endpoint_write(p, ep);

    return ngx_mesh_item_key(&op->key, service, &ep->id, &ep->owner, 1, pool);
}


ngx_int_t
ngx_mesh_item_put_override(ngx_mesh_store_op_t *op,
    ngx_mesh_service_t *service, ngx_str_t *id, ngx_mesh_override_t *ov,
    ngx_pool_t *pool)
{
    u_char  *p;

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    op->type = NGX_MESH_ITEM_OVERRIDE;

    p = ngx_mesh_item_value(op, ngx_mesh_item_override_size(ov), pool);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_item_override_write(p, ov);

    return ngx_mesh_item_key(&op->key, service, id, NULL, 1, pool);
}
