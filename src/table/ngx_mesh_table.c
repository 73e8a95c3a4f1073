
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"


#define NGX_MESH_TABLE_BUCKETS  64


typedef struct ngx_mesh_table_node_s   ngx_mesh_table_node_t;
typedef struct ngx_mesh_table_iface_s  ngx_mesh_table_iface_t;


/* a service, found by its whole key or as one of its interface */

struct ngx_mesh_table_node_s {
    ngx_mesh_table_node_t   *next;      /* in the bucket */
    ngx_mesh_table_node_t   *sibling;   /* of the same interface */
    ngx_mesh_service_t      *service;
    uint32_t                 hash;
};


struct ngx_mesh_table_iface_s {
    ngx_mesh_table_iface_t  *next;
    ngx_mesh_table_node_t   *first;     /* in the order of declaration */
    ngx_mesh_table_node_t  **last;
    ngx_str_t                name;
    uint32_t                 hash;
    ngx_uint_t               grouped;
};


struct ngx_mesh_table_s {
    ngx_pool_t              *pool;
    ngx_mesh_table_node_t  **keys;
    ngx_mesh_table_iface_t **ifaces;
    ngx_uint_t               nkeys;
    ngx_uint_t               mask;      /* of both arrays */
    ngx_array_t              rules;     /* ngx_mesh_rule_t * */
    uint32_t                *names;     /* of rules: position + 1, 0: free */
    ngx_uint_t               nnames;    /* a power of two */
};


/* endpoints of a union, de-duplicated by a table of indices */

typedef struct {
    ngx_mesh_endpoint_t     *endpoints;
    ngx_uint_t               n;
    ngx_uint_t              *index;     /* position + 1, 0: free */
    ngx_uint_t               mask;
} ngx_mesh_table_union_t;


static ngx_int_t ngx_mesh_table_grow(ngx_mesh_table_t *table);
static ngx_int_t ngx_mesh_table_grow_names(ngx_mesh_table_t *table);
static uint32_t *ngx_mesh_table_name(ngx_mesh_table_t *table,
    ngx_str_t *name);
static ngx_mesh_table_iface_t *ngx_mesh_table_iface(ngx_mesh_table_t *table,
    ngx_str_t *name, uint32_t hash);
static ngx_mesh_service_t *ngx_mesh_table_lookup(ngx_mesh_table_t *table,
    ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version);
static ngx_mesh_service_t *ngx_mesh_table_find_union(ngx_mesh_table_t *table,
    ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version);
static ngx_mesh_service_t *ngx_mesh_table_create_union(
    ngx_mesh_table_node_t *first, ngx_uint_t n, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version);
static ngx_int_t ngx_mesh_table_union_key(ngx_mesh_service_t *service,
    ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version);
static ngx_int_t ngx_mesh_table_union_init(ngx_mesh_table_union_t *u,
    ngx_pool_t *pool, ngx_uint_t n);
static void ngx_mesh_table_union_add(ngx_mesh_table_union_t *u,
    ngx_mesh_service_t *service);


static ngx_inline uint32_t
ngx_mesh_table_hash(ngx_str_t *s)
{
    return s->len ? ngx_murmur_hash2(s->data, s->len) : 0;
}


/* group and version stay apart: swapping them must give another key */

static ngx_inline uint32_t
ngx_mesh_table_key_hash(uint32_t hash, ngx_str_t *group, ngx_str_t *version)
{
    hash = hash * 31 + ngx_mesh_table_hash(group);

    return hash * 31 + ngx_mesh_table_hash(version);
}


ngx_mesh_table_t *
ngx_mesh_table_create(ngx_pool_t *pool)
{
    ngx_mesh_table_t  *table;

    table = ngx_pcalloc(pool, sizeof(ngx_mesh_table_t));
    if (table == NULL) {
        return NULL;
    }

    table->pool = pool;
    table->mask = NGX_MESH_TABLE_BUCKETS - 1;

    table->keys = ngx_pcalloc(pool, NGX_MESH_TABLE_BUCKETS
                                    * sizeof(ngx_mesh_table_node_t *));
    if (table->keys == NULL) {
        return NULL;
    }

    table->ifaces = ngx_pcalloc(pool, NGX_MESH_TABLE_BUCKETS
                                      * sizeof(ngx_mesh_table_iface_t *));
    if (table->ifaces == NULL) {
        return NULL;
    }

    if (ngx_array_init(&table->rules, pool, 8, sizeof(ngx_mesh_rule_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return table;
}


ngx_int_t
ngx_mesh_table_add(ngx_mesh_table_t *table, ngx_mesh_service_t *service)
{
    uint32_t                 hash;
    ngx_mesh_table_node_t   *node;
    ngx_mesh_table_iface_t  *iface;

    if (ngx_mesh_table_lookup(table, &service->group, &service->interface,
                              &service->version)
        != NULL)
    {
        return NGX_BUSY;
    }

    /* a key per bucket on the average; there are never more interfaces */

    if (table->nkeys > table->mask
        && ngx_mesh_table_grow(table) != NGX_OK)
    {
        return NGX_ERROR;
    }

    node = ngx_pcalloc(table->pool, sizeof(ngx_mesh_table_node_t));
    if (node == NULL) {
        return NGX_ERROR;
    }

    hash = ngx_mesh_table_hash(&service->interface);

    iface = ngx_mesh_table_iface(table, &service->interface, hash);

    if (iface == NULL) {
        iface = ngx_pcalloc(table->pool, sizeof(ngx_mesh_table_iface_t));
        if (iface == NULL) {
            return NGX_ERROR;
        }

        iface->name = service->interface;
        iface->hash = hash;
        iface->last = &iface->first;
        iface->next = table->ifaces[hash & table->mask];
        table->ifaces[hash & table->mask] = iface;
    }

    if (service->group.len) {
        iface->grouped = 1;
    }

    hash = ngx_mesh_table_key_hash(hash, &service->group, &service->version);

    node->service = service;
    node->hash = hash;
    node->next = table->keys[hash & table->mask];
    table->keys[hash & table->mask] = node;
    table->nkeys++;

    *iface->last = node;
    iface->last = &node->sibling;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_table_grow(ngx_mesh_table_t *table)
{
    ngx_uint_t               i, mask;
    ngx_mesh_table_node_t   *node, *next_node, **keys;
    ngx_mesh_table_iface_t  *iface, *next_iface, **ifaces;

    mask = table->mask * 2 + 1;

    keys = ngx_pcalloc(table->pool,
                       (mask + 1) * sizeof(ngx_mesh_table_node_t *));
    ifaces = ngx_pcalloc(table->pool,
                         (mask + 1) * sizeof(ngx_mesh_table_iface_t *));

    if (keys == NULL || ifaces == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i <= table->mask; i++) {

        for (node = table->keys[i]; node; node = next_node) {
            next_node = node->next;
            node->next = keys[node->hash & mask];
            keys[node->hash & mask] = node;
        }

        for (iface = table->ifaces[i]; iface; iface = next_iface) {
            next_iface = iface->next;
            iface->next = ifaces[iface->hash & mask];
            ifaces[iface->hash & mask] = iface;
        }
    }

    /* frees what was a large allocation, small ones stay in the pool */

    (void) ngx_pfree(table->pool, table->keys);
    (void) ngx_pfree(table->pool, table->ifaces);

    table->keys = keys;
    table->ifaces = ifaces;
    table->mask = mask;

    return NGX_OK;
}


static ngx_mesh_table_iface_t *
ngx_mesh_table_iface(ngx_mesh_table_t *table, ngx_str_t *name, uint32_t hash)
{
    ngx_mesh_table_iface_t  *iface;

    for (iface = table->ifaces[hash & table->mask];
         iface;
         iface = iface->next)
    {
        if (iface->hash == hash && ngx_mesh_equal(&iface->name, name)) {
            return iface;
        }
    }

    return NULL;
}


static ngx_mesh_service_t *
ngx_mesh_table_lookup(ngx_mesh_table_t *table, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version)
{
    uint32_t                hash;
    ngx_mesh_service_t     *service;
    ngx_mesh_table_node_t  *node;

    hash = ngx_mesh_table_key_hash(ngx_mesh_table_hash(interface), group,
                                   version);

    for (node = table->keys[hash & table->mask]; node; node = node->next) {
        service = node->service;

        if (node->hash == hash
            && ngx_mesh_equal(&service->interface, interface)
            && ngx_mesh_equal(&service->group, group)
            && ngx_mesh_equal(&service->version, version))
        {
            return service;
        }
    }

    return NULL;
}


ngx_mesh_service_t *
ngx_mesh_table_find(ngx_mesh_table_t *table, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version)
{
    ngx_str_t            none;
    ngx_mesh_service_t  *service;

    if (ngx_mesh_table_no_version(version)) {
        ngx_str_null(&none);
        version = &none;
    }

    if (ngx_mesh_table_any(group) || ngx_mesh_table_any(version)) {
        return ngx_mesh_table_find_union(table, group, interface, version);
    }

    service = ngx_mesh_table_lookup(table, group, interface, version);

    if (service) {
        service->refs++;
    }

    return service;
}


ngx_mesh_service_t *
ngx_mesh_table_find_name(ngx_mesh_table_t *table, ngx_str_t *name)
{
    ngx_mesh_service_t  key;

    if (ngx_mesh_table_parse_key(name, &key) != NGX_OK) {
        return NULL;
    }

    return ngx_mesh_table_find(table, &key.group, &key.interface,
                               &key.version);
}


static ngx_mesh_service_t *
ngx_mesh_table_find_union(ngx_mesh_table_t *table, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version)
{
    ngx_uint_t               n;
    ngx_mesh_service_t      *service;
    ngx_mesh_table_node_t   *node, *first;
    ngx_mesh_table_iface_t  *iface;

    iface = ngx_mesh_table_iface(table, interface,
                                 ngx_mesh_table_hash(interface));
    if (iface == NULL) {
        return NULL;
    }

    first = NULL;
    n = 0;

    for (node = iface->first; node; node = node->sibling) {
        service = node->service;

        if (ngx_mesh_table_match(group, &service->group)
            && ngx_mesh_table_match(version, &service->version))
        {
            if (first == NULL) {
                first = node;
            }

            n++;
        }
    }

    if (first == NULL) {
        return NULL;
    }

    /* the usual case, and it costs no copy */

    if (n == 1) {
        first->service->refs++;
        return first->service;
    }

    return ngx_mesh_table_create_union(first, n, group, interface, version);
}


static ngx_mesh_service_t *
ngx_mesh_table_create_union(ngx_mesh_table_node_t *first, ngx_uint_t n,
    ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version)
{
    ngx_uint_t               i;
    ngx_pool_t              *pool;
    ngx_mesh_service_t     **parts, *service;
    ngx_mesh_table_node_t   *node;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    service = NULL;

    parts = ngx_palloc(pool, n * sizeof(ngx_mesh_service_t *));

    if (parts) {
        for (node = first, i = 0; i < n; node = node->sibling) {

            if (ngx_mesh_table_match(group, &node->service->group)
                && ngx_mesh_table_match(version, &node->service->version))
            {
                parts[i++] = node->service;
            }
        }

        service = ngx_mesh_table_join(parts, n, group, interface, version,
                                      pool);
    }

    if (service == NULL) {
        ngx_destroy_pool(pool);
    }

    return service;
}


ngx_mesh_service_t *
ngx_mesh_table_join(ngx_mesh_service_t **parts, ngx_uint_t n, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version, ngx_pool_t *pool)
{
    ngx_uint_t               i, total;
    ngx_mesh_service_t      *service;
    ngx_mesh_table_union_t   u;

    service = ngx_pcalloc(pool, sizeof(ngx_mesh_service_t));
    if (service == NULL) {
        return NULL;
    }

    /* what is not a set of endpoints comes from the first */

    service->balancer = parts[0]->balancer;
    service->hash = parts[0]->hash;
    service->owner = parts[0]->owner;
    service->protocol = parts[0]->protocol;
    service->refs = 1;
    service->pool = pool;

    if (ngx_mesh_table_union_key(service, group, interface, version)
        != NGX_OK)
    {
        return NULL;
    }

    total = 0;

    for (i = 0; i < n; i++) {
        total += parts[i]->nendpoints;
    }

    if (ngx_mesh_table_union_init(&u, pool, total) != NGX_OK) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        ngx_mesh_table_union_add(&u, parts[i]);
    }

    service->endpoints = u.endpoints;
    service->nendpoints = u.n;

    return service;
}


/* the key as it was asked for: "*" stays, the parts point into the name */

static ngx_int_t
ngx_mesh_table_union_key(ngx_mesh_service_t *service, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version)
{
    u_char  *p;

    p = ngx_pnalloc(service->pool,
                    group->len + interface->len + version->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    service->name.data = p;

    if (group->len) {
        service->group.data = p;
        service->group.len = group->len;
        p = ngx_cpymem(p, group->data, group->len);
        *p++ = '/';
    }

    service->interface.data = p;
    service->interface.len = interface->len;
    p = ngx_cpymem(p, interface->data, interface->len);

    if (version->len) {
        *p++ = ':';
        service->version.data = p;
        service->version.len = version->len;
        p = ngx_cpymem(p, version->data, version->len);
    }

    service->name.len = p - service->name.data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_table_union_init(ngx_mesh_table_union_t *u, ngx_pool_t *pool,
    ngx_uint_t n)
{
    ngx_uint_t  size;

    /* half of the index stays free: probing is short and always ends */

    for (size = 16; size < n * 2; size *= 2) { /* void */ }

    u->n = 0;
    u->mask = size - 1;

    u->index = ngx_pcalloc(pool, size * sizeof(ngx_uint_t));
    if (u->index == NULL) {
        return NGX_ERROR;
    }

    u->endpoints = ngx_palloc(pool, (n + 1) * sizeof(ngx_mesh_endpoint_t));
    if (u->endpoints == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mesh_table_union_add(ngx_mesh_table_union_t *u,
    ngx_mesh_service_t *service)
{
    ngx_uint_t            i, n;
    ngx_mesh_endpoint_t  *ep, *known;

    for (n = 0; n < service->nendpoints; n++) {
        ep = &service->endpoints[n];

        i = ngx_murmur_hash2((u_char *) ep->sockaddr, ep->socklen) & u->mask;

        for ( ;; ) {

            if (u->index[i] == 0) {
                u->endpoints[u->n++] = *ep;
                u->index[i] = u->n;
                break;
            }

            known = &u->endpoints[u->index[i] - 1];

            if (ngx_cmp_sockaddr(known->sockaddr, known->socklen,
                                 ep->sockaddr, ep->socklen, 1)
                == NGX_OK)
            {
                break;
            }

            i = (i + 1) & u->mask;
        }
    }
}


ngx_mesh_service_t *
ngx_mesh_table_next(ngx_mesh_table_t *table, void **iterator)
{
    uint32_t                hash;
    ngx_uint_t              i;
    ngx_mesh_table_node_t  *node;

    node = *iterator;
    i = 0;

    if (node) {
        hash = node->hash;
        node = node->next;
        i = (hash & table->mask) + 1;
    }

    while (node == NULL && i <= table->mask) {
        node = table->keys[i++];
    }

    *iterator = node;

    return node ? node->service : NULL;
}


void
ngx_mesh_table_release(ngx_mesh_service_t *service)
{
    if (--service->refs) {
        return;
    }

    /* services of a configuration live as long as its table */

    if (service->pool) {
        ngx_destroy_pool(service->pool);
    }
}


ngx_int_t
ngx_mesh_table_add_rule(ngx_mesh_table_t *table, ngx_mesh_rule_t *rule)
{
    uint32_t          *name;
    ngx_mesh_rule_t  **added;

    if (table->rules.nelts * 2 >= table->nnames
        && ngx_mesh_table_grow_names(table) != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = ngx_mesh_table_name(table, &rule->name);

    if (*name) {
        return NGX_BUSY;
    }

    added = ngx_array_push(&table->rules);
    if (added == NULL) {
        return NGX_ERROR;
    }

    *added = rule;
    *name = (uint32_t) table->rules.nelts;

    ngx_str_set(&rule->owner, "config");
    rule->order = table->rules.nelts;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_table_grow_names(ngx_mesh_table_t *table)
{
    ngx_uint_t         i;
    ngx_mesh_rule_t  **rules;

    table->nnames = table->nnames ? table->nnames * 2 : NGX_MESH_TABLE_BUCKETS;

    table->names = ngx_pcalloc(table->pool, table->nnames * sizeof(uint32_t));
    if (table->names == NULL) {
        return NGX_ERROR;
    }

    rules = table->rules.elts;

    for (i = 0; i < table->rules.nelts; i++) {
        *ngx_mesh_table_name(table, &rules[i]->name) = (uint32_t) (i + 1);
    }

    return NGX_OK;
}


/* where the rule of that name is, or would be */

static uint32_t *
ngx_mesh_table_name(ngx_mesh_table_t *table, ngx_str_t *name)
{
    uint32_t           n;
    ngx_uint_t         i;
    ngx_mesh_rule_t  **rules;

    rules = table->rules.elts;

    for (i = ngx_mesh_table_hash(name); /* void */ ; i++) {
        n = table->names[i & (table->nnames - 1)];

        if (n == 0 || ngx_mesh_equal(&rules[n - 1]->name, name)) {
            return &table->names[i & (table->nnames - 1)];
        }
    }
}


ngx_uint_t
ngx_mesh_table_rules(ngx_mesh_table_t *table, ngx_mesh_rule_t ***rules)
{
    *rules = table->rules.elts;

    return table->rules.nelts;
}


ngx_uint_t
ngx_mesh_table_grouped(ngx_mesh_table_t *table, ngx_str_t *interface)
{
    ngx_mesh_table_iface_t  *iface;

    iface = ngx_mesh_table_iface(table, interface,
                                 ngx_mesh_table_hash(interface));

    return iface ? iface->grouped : 0;
}


/*
 * As Dubbo cuts its own keys: the group ends at the first slash, the version
 * begins behind the first colon of what is left and may hold more of them.
 */

ngx_int_t
ngx_mesh_table_parse_key(ngx_str_t *name, ngx_mesh_service_t *s)
{
    u_char  *p, *last, *sep;

    s->name = *name;
    ngx_str_null(&s->group);
    ngx_str_null(&s->version);

    if (name->len == 0) {
        return NGX_DECLINED;
    }

    p = name->data;
    last = name->data + name->len;

    sep = ngx_strlchr(p, last, '/');

    if (sep) {
        s->group.data = p;
        s->group.len = sep - p;
        p = sep + 1;
    }

    s->interface.data = p;

    sep = ngx_strlchr(p, last, ':');

    if (sep) {
        s->version.data = sep + 1;
        s->version.len = last - (sep + 1);
        last = sep;

        if (ngx_mesh_table_no_version(&s->version)) {
            ngx_str_null(&s->version);
        }
    }

    s->interface.len = last - p;

    return s->interface.len ? NGX_OK : NGX_DECLINED;
}


/* a process whose clock is ahead of ours has just been started, as for Dubbo */

ngx_uint_t
ngx_mesh_endpoint_weight(ngx_mesh_endpoint_t *ep, uint64_t now)
{
    uint64_t  uptime, weight;

    if (ep->warmup == 0 || ep->weight == 0) {
        return ep->weight;
    }

    uptime = (now > ep->started) ? now - ep->started : 0;

    if (uptime >= ep->warmup) {
        return ep->weight;
    }

    if (ep->warmup_weight) {
        return ep->warmup_weight;
    }

    weight = (uint64_t) ep->weight * uptime / ep->warmup;

    return ngx_max(weight, 1);
}


void
ngx_mesh_endpoint_reweigh(ngx_mesh_endpoint_t *ep, ngx_uint_t weight)
{
    uint64_t  part;

    if (ep->warmup_weight && ep->weight) {
        part = (uint64_t) ep->warmup_weight * weight / ep->weight;
        ep->warmup_weight = (ngx_uint_t) ngx_max(part, 1);
    }

    ep->weight = weight;
}
