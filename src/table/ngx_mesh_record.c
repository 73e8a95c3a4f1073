
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_record.h"


#define NGX_MESH_RECORD_VERSION  1

#define NGX_MESH_RECORD_BACKUP   0x01
#define NGX_MESH_RECORD_DOWN     0x02


/* lengths of a service's strings, which follow in this order */

typedef struct {
    uint32_t   version;
    uint32_t   owner;
    uint32_t   name;
    uint32_t   hash;
    uint32_t   balancer;
    uint32_t   nendpoints;
} ngx_mesh_record_head_t;


/* the same of an endpoint; the address comes first, aligned */

typedef struct {
    uint32_t   sockaddr;
    uint32_t   name;
    uint32_t   host;
    uint32_t   protocol;
    uint32_t   weight;
    uint32_t   max_fails;
    uint64_t   fail_timeout;
    uint64_t   slow_start;
    uint32_t   nlabels;
    uint32_t   flags;
} ngx_mesh_record_endpoint_t;


typedef struct {
    uint32_t   key;
    uint32_t   value;
} ngx_mesh_record_label_t;


static size_t ngx_mesh_record_endpoint_size(ngx_mesh_endpoint_t *ep);
static u_char *ngx_mesh_record_write_endpoint(u_char *p,
    ngx_mesh_endpoint_t *ep);
static ngx_int_t ngx_mesh_record_read_endpoint(u_char **pos, u_char *end,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);


#define ngx_mesh_record_align(n)  ngx_align(n, 8)


static ngx_inline u_char *
ngx_mesh_record_put(u_char *p, ngx_str_t *s)
{
    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}


static ngx_inline ngx_int_t
ngx_mesh_record_take(u_char **pos, u_char *end, uint32_t len, ngx_str_t *s)
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
ngx_mesh_record_key(ngx_str_t *key, ngx_str_t *group, ngx_str_t *interface,
    ngx_str_t *version, ngx_pool_t *pool)
{
    u_char  *p;

    key->len = interface->len + version->len + group->len + 2;

    p = ngx_pnalloc(pool, key->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;

    p = ngx_mesh_record_put(p, interface);
    *p++ = '\0';
    p = ngx_mesh_record_put(p, version);
    *p++ = '\0';
    (void) ngx_mesh_record_put(p, group);

    return NGX_OK;
}


size_t
ngx_mesh_record_size(ngx_mesh_service_t *service, ngx_str_t *owner)
{
    size_t      size;
    ngx_uint_t  i;

    size = ngx_mesh_record_align(sizeof(ngx_mesh_record_head_t) + owner->len
                                 + service->name.len + service->hash.len);

    for (i = 0; i < service->nendpoints; i++) {
        size += ngx_mesh_record_endpoint_size(&service->endpoints[i]);
    }

    return size;
}


static size_t
ngx_mesh_record_endpoint_size(ngx_mesh_endpoint_t *ep)
{
    size_t      size;
    ngx_uint_t  i;

    size = sizeof(ngx_mesh_record_endpoint_t)
           + ngx_mesh_record_align(ep->socklen)
           + ep->nlabels * sizeof(ngx_mesh_record_label_t)
           + ep->name.len + ep->host.len + ep->protocol.len;

    for (i = 0; i < ep->nlabels; i++) {
        size += ep->labels[i].key.len + ep->labels[i].value.len;
    }

    return ngx_mesh_record_align(size);
}


void
ngx_mesh_record_write(u_char *p, ngx_mesh_service_t *service, ngx_str_t *owner)
{
    size_t                  size;
    u_char                 *start;
    ngx_uint_t              i;
    ngx_mesh_record_head_t  head;

    start = p;

    /* bytes that nothing is written to must be the same each time */

    size = ngx_mesh_record_size(service, owner);
    ngx_memzero(start, size);

    head.version = NGX_MESH_RECORD_VERSION;
    head.owner = (uint32_t) owner->len;
    head.name = (uint32_t) service->name.len;
    head.hash = (uint32_t) service->hash.len;
    head.balancer = (uint32_t) service->balancer;
    head.nendpoints = (uint32_t) service->nendpoints;

    p = ngx_cpymem(p, &head, sizeof(ngx_mesh_record_head_t));
    p = ngx_mesh_record_put(p, owner);
    p = ngx_mesh_record_put(p, &service->name);
    p = ngx_mesh_record_put(p, &service->hash);
    p = start + ngx_mesh_record_align(p - start);

    for (i = 0; i < service->nendpoints; i++) {
        p = ngx_mesh_record_write_endpoint(p, &service->endpoints[i]);
    }
}


static u_char *
ngx_mesh_record_write_endpoint(u_char *p, ngx_mesh_endpoint_t *ep)
{
    u_char                      *start;
    ngx_uint_t                   i;
    ngx_mesh_record_label_t      label;
    ngx_mesh_record_endpoint_t   e;

    start = p;

    e.sockaddr = (uint32_t) ep->socklen;
    e.name = (uint32_t) ep->name.len;
    e.host = (uint32_t) ep->host.len;
    e.protocol = (uint32_t) ep->protocol.len;
    e.weight = (uint32_t) ep->weight;
    e.max_fails = (uint32_t) ep->max_fails;
    e.fail_timeout = ep->fail_timeout;
    e.slow_start = ep->slow_start;
    e.nlabels = (uint32_t) ep->nlabels;
    e.flags = (ep->backup ? NGX_MESH_RECORD_BACKUP : 0)
              | (ep->down ? NGX_MESH_RECORD_DOWN : 0);

    p = ngx_cpymem(p, &e, sizeof(ngx_mesh_record_endpoint_t));

    ngx_memcpy(p, ep->sockaddr, ep->socklen);
    p += ngx_mesh_record_align(ep->socklen);

    for (i = 0; i < ep->nlabels; i++) {
        label.key = (uint32_t) ep->labels[i].key.len;
        label.value = (uint32_t) ep->labels[i].value.len;
        p = ngx_cpymem(p, &label, sizeof(ngx_mesh_record_label_t));
    }

    p = ngx_mesh_record_put(p, &ep->name);
    p = ngx_mesh_record_put(p, &ep->host);
    p = ngx_mesh_record_put(p, &ep->protocol);

    for (i = 0; i < ep->nlabels; i++) {
        p = ngx_mesh_record_put(p, &ep->labels[i].key);
        p = ngx_mesh_record_put(p, &ep->labels[i].value);
    }

    return start + ngx_mesh_record_align(p - start);
}


ngx_int_t
ngx_mesh_record_read(ngx_str_t *record, ngx_mesh_service_t *service,
    ngx_str_t *owner, ngx_pool_t *pool)
{
    u_char                  *p, *end;
    ngx_str_t                name;
    ngx_uint_t               i;
    ngx_mesh_record_head_t   head;

    p = record->data;
    end = p + record->len;

    if (record->len < sizeof(ngx_mesh_record_head_t)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(&head, p, sizeof(ngx_mesh_record_head_t));
    p += sizeof(ngx_mesh_record_head_t);

    if (head.version != NGX_MESH_RECORD_VERSION
        || head.nendpoints > record->len / sizeof(ngx_mesh_record_endpoint_t)
        || ngx_mesh_record_take(&p, end, head.owner, owner) != NGX_OK
        || ngx_mesh_record_take(&p, end, head.name, &name) != NGX_OK
        || ngx_mesh_table_parse_key(&name, service) != NGX_OK
        || ngx_mesh_record_take(&p, end, head.hash, &service->hash) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    service->balancer = head.balancer;
    service->nendpoints = 0;

    if (pool == NULL) {
        return NGX_OK;
    }

    service->endpoints = ngx_palloc(pool, (head.nendpoints + 1)
                                          * sizeof(ngx_mesh_endpoint_t));
    if (service->endpoints == NULL) {
        return NGX_ERROR;
    }

    p = record->data + ngx_mesh_record_align(p - record->data);

    for (i = 0; i < head.nendpoints; i++) {
        if (ngx_mesh_record_read_endpoint(&p, end, &service->endpoints[i],
                                          pool)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        p = record->data + ngx_mesh_record_align(p - record->data);
        service->nendpoints++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_record_read_endpoint(u_char **pos, u_char *end,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool)
{
    u_char                      *p, *labels;
    ngx_uint_t                   i;
    ngx_mesh_record_label_t      label;
    ngx_mesh_record_endpoint_t   e;

    p = *pos;

    if (end - p < (ssize_t) sizeof(ngx_mesh_record_endpoint_t)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(&e, p, sizeof(ngx_mesh_record_endpoint_t));
    p += sizeof(ngx_mesh_record_endpoint_t);

    if (e.sockaddr > (size_t) (end - p)
        || e.nlabels > (size_t) (end - p) / sizeof(ngx_mesh_record_label_t))
    {
        return NGX_DECLINED;
    }

    ngx_memzero(ep, sizeof(ngx_mesh_endpoint_t));

    ep->sockaddr = ngx_palloc(pool, e.sockaddr);
    ep->labels = ngx_palloc(pool, (e.nlabels + 1) * sizeof(ngx_keyval_t));

    if (ep->sockaddr == NULL || ep->labels == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ep->sockaddr, p, e.sockaddr);
    ep->socklen = e.sockaddr;
    p += ngx_mesh_record_align(e.sockaddr);

    labels = p;

    if (e.nlabels * sizeof(ngx_mesh_record_label_t) > (size_t) (end - p)) {
        return NGX_DECLINED;
    }

    p += e.nlabels * sizeof(ngx_mesh_record_label_t);

    if (ngx_mesh_record_take(&p, end, e.name, &ep->name) != NGX_OK
        || ngx_mesh_record_take(&p, end, e.host, &ep->host) != NGX_OK
        || ngx_mesh_record_take(&p, end, e.protocol, &ep->protocol) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < e.nlabels; i++) {
        ngx_memcpy(&label, labels + i * sizeof(ngx_mesh_record_label_t),
                   sizeof(ngx_mesh_record_label_t));

        if (ngx_mesh_record_take(&p, end, label.key, &ep->labels[i].key)
            != NGX_OK
            || ngx_mesh_record_take(&p, end, label.value, &ep->labels[i].value)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    ep->nlabels = e.nlabels;
    ep->weight = e.weight;
    ep->max_fails = e.max_fails;
    ep->fail_timeout = (ngx_msec_t) e.fail_timeout;
    ep->slow_start = (ngx_msec_t) e.slow_start;
    ep->backup = (e.flags & NGX_MESH_RECORD_BACKUP) ? 1 : 0;
    ep->down = (e.flags & NGX_MESH_RECORD_DOWN) ? 1 : 0;

    *pos = p;

    return NGX_OK;
}
