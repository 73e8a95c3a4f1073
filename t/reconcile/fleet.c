
/*
 * Copyright (C) nginx-mesh authors
 *
 * Registries and a table, as words.
 */


#include "reconcile.h"


#define SOURCES  2


typedef struct {
    ngx_mesh_source_t         source;
    ngx_mesh_subscription_t  *subscription;
} registry_t;


ngx_msec_t                     again;
ngx_mesh_update_t              update;
ngx_uint_t                     short_of;

static registry_t              registries[SOURCES];
static ngx_pool_t             *pool;
static ngx_mesh_source_type_t  type;


static void
resync(ngx_mesh_source_t *source, ngx_mesh_subscription_t *s)
{
    again = 4711;
}


ngx_mesh_subscription_t *
subscription(ngx_uint_t n)
{
    ngx_pool_t               *p;
    registry_t               *r;
    ngx_mesh_subscription_t  *s;

    r = &registries[n];

    r->source.name = str(n ? "r1" : "r0");
    r->source.type = &type;
    type.resync = resync;

    if (r->subscription) {
        return r->subscription;
    }

    p = ngx_create_pool(1024, NULL);
    s = ngx_pcalloc(p, sizeof(ngx_mesh_subscription_t));

    s->pool = p;
    s->source = &r->source;
    s->sn.str = str("a.B");

    r->subscription = s;

    return s;
}


void
restart(void)
{
    ngx_uint_t  i;

    for (i = 0; i < SOURCES; i++) {
        if (registries[i].subscription) {
            ngx_destroy_pool(registries[i].subscription->pool);
            registries[i].subscription = NULL;
        }
    }
}


void
fresh(void)
{
    restart();

    if (pool) {
        ngx_destroy_pool(pool);
    }

    pool = ngx_create_pool(1024, NULL);
    ngx_memzero(&update, sizeof(update));
    stub_init(1 << 20);
}


static void
record(ngx_array_t *records, ngx_str_t *group, ngx_str_t *version,
    const char *word)
{
    char                *end;
    u_char              *name;
    ngx_mesh_record_t   *r;

    r = ngx_array_push(records);
    ngx_memzero(r, sizeof(ngx_mesh_record_t));

    name = ngx_palloc(records->pool, 80);

    r->group = *group;
    r->version = *version;

    if (word[0] < '0' || word[0] > '9') {
        r->ep.name = str(word);
        return;
    }

    r->ep.weight = 100;
    r->ep.name.data = name;
    r->ep.name.len = sprintf((char *) name, "10.0.0.%ld:80",
                             strtol(word, &end, 10));
    r->ep.down = (*end == '~') ? 1 : 0;
    r->ep.drain = (*end == '=') ? 1 : 0;
}


/* "g/:v" into its parts */

static void
key(const char *word, ngx_str_t *group, ngx_str_t *version, ngx_pool_t *p)
{
    ngx_str_t   all;
    u_char     *sep;

    all.len = strlen(word);
    all.data = ngx_palloc(p, all.len + 1);
    memcpy(all.data, word, all.len + 1);

    sep = (u_char *) strrchr((char *) all.data, '/');
    group->data = all.data;
    group->len = sep ? sep - all.data : 0;

    sep = (u_char *) strchr((char *) all.data, ':');
    version->data = sep ? sep + 1 : NULL;
    version->len = sep ? all.data + all.len - version->data : 0;
}


ngx_int_t
set(ngx_uint_t n, const char *words)
{
    char                      copy[65536], *word, *save;
    ngx_int_t                 rc;
    ngx_str_t                 group, version;
    ngx_pool_t               *p;
    ngx_array_t               records;
    ngx_mesh_subscription_t  *s;

    p = ngx_create_pool(1024, NULL);
    (void) ngx_array_init(&records, p, 4, sizeof(ngx_mesh_record_t));

    ngx_str_null(&group);
    ngx_str_null(&version);

    strcpy(copy, words);

    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
    {
        if (strchr(word, '/') || word[0] == ':') {
            key(word, &group, &version, p);

        } else {
            record(&records, &group, &version, word);
        }
    }

    update.what = NGX_MESH_UPDATE_SET;
    update.records = &records;

    s = subscription(n);
    stub_short = short_of;
    rc = ngx_mesh_reconcile(s, &update, &again);
    short_of = (short_of && stub_short == 0);
    stub_short = 0;

    ngx_destroy_pool(p);

    update.records = NULL;
    update.independent = 0;
    update.forced = 0;

    return rc;
}


ngx_int_t
same(ngx_uint_t n)
{
    update.what = NGX_MESH_UPDATE_SAME;

    return ngx_mesh_reconcile(subscription(n), &update, &again);
}


ngx_int_t
unknown(ngx_uint_t n, const char *reason)
{
    update.what = NGX_MESH_UPDATE_UNKNOWN;
    update.reason = str(reason);

    return ngx_mesh_reconcile(subscription(n), &update, &again);
}


static ngx_array_t *
list(ngx_uint_t t, ngx_str_t *prefix, ngx_pool_t *p)
{
    uint64_t      revision;
    ngx_array_t  *items;

    items = ngx_palloc(p, sizeof(ngx_array_t));
    (void) ngx_array_init(items, p, 8, sizeof(ngx_mesh_store_item_t));
    (void) ngx_mesh_store_list(&stub_store, t, NULL, prefix, 0, 0, p, items,
                               &revision);

    return items;
}


static char *
endpoints(char *to, ngx_str_t *service, ngx_pool_t *p)
{
    u_char                *dot;
    ngx_str_t              prefix;
    ngx_uint_t             i;
    ngx_array_t           *items;
    ngx_mesh_endpoint_t    ep;
    ngx_mesh_store_item_t *item;

    prefix.len = service->len + 1;
    prefix.data = ngx_pcalloc(p, prefix.len);
    memcpy(prefix.data, service->data, service->len);

    items = list(NGX_MESH_ITEM_ENDPOINT, &prefix, p);
    item = items->elts;

    for (i = 0; i < items->nelts; i++) {

        if (ngx_mesh_item_endpoint_read(&item[i], &ep, p) != NGX_OK) {
            continue;
        }

        dot = ep.name.data + ep.name.len;

        while (dot > ep.name.data && *dot != '.') {
            dot--;
        }

        to += sprintf(to, " %.*s.%d%s%s%s", (int) ep.owner.len, ep.owner.data,
                      atoi((char *) dot + 1), ep.down ? "~" : "",
                      ep.drain ? "=" : "", ep.suspect ? "?" : "");
    }

    return to;
}


const char *
table(void)
{
    static char             text[65536];

    char                   *p;
    ngx_uint_t              i;
    ngx_pool_t             *temp;
    ngx_array_t            *items;
    ngx_mesh_service_t      service;
    ngx_mesh_store_item_t  *item;

    temp = ngx_create_pool(1024, NULL);
    items = list(NGX_MESH_ITEM_SERVICE, NULL, temp);
    item = items->elts;
    p = text;
    *p = '\0';

    for (i = 0; i < items->nelts; i++) {

        if (ngx_mesh_item_service_read(&item[i], &service) == NGX_OK) {
            p += sprintf(p, "%s%.*s(%.*s)", i ? " " : "",
                         (int) service.name.len, service.name.data,
                         (int) service.owner.len, service.owner.data);
            p = endpoints(p, &item[i].key, temp);
        }
    }

    ngx_destroy_pool(temp);

    return text;
}


ngx_mesh_answer_t *
answer(ngx_uint_t n)
{
    static ngx_mesh_answer_t  a;

    ngx_str_t                 name, interface, registry;
    ngx_mesh_store_item_t     item;
    ngx_mesh_subscription_t  *s;

    s = subscription(n);
    ngx_memzero(&a, sizeof(a));

    if (ngx_mesh_item_found_key(&name, &s->sn.str, &s->source->name, pool)
        == NGX_OK
        && ngx_mesh_store_get(&stub_store, NGX_MESH_ITEM_ANSWER, &name, 0,
                              pool, &item)
           == NGX_OK)
    {
        (void) ngx_mesh_item_answer_read(&item, &interface, &registry, &a);
    }

    return &a;
}


ngx_uint_t
other_service(const char *name, ngx_str_t *owner, const char *names)
{
    ngx_str_t                text;
    ngx_mesh_service_t       service;
    ngx_mesh_store_op_t      op;
    ngx_mesh_store_result_t  result;

    text = str(name);
    ngx_memzero(&service, sizeof(service));
    (void) ngx_mesh_table_parse_key(&text, &service);
    service.owner = *owner;
    service.registries = str(names);

    (void) ngx_mesh_item_put_service(&op, &service, pool);

    return ngx_mesh_store_commit(&stub_store, &op, 1, 0, 0, &result, NULL);
}


ngx_uint_t
other_endpoint(const char *name, const char *number, ngx_str_t *owner)
{
    char                     id[32];
    ngx_str_t                text;
    ngx_mesh_service_t       service;
    ngx_mesh_store_op_t      op;
    ngx_mesh_endpoint_t      ep;
    ngx_mesh_store_result_t  result;

    text = str(name);
    ngx_memzero(&service, sizeof(service));
    (void) ngx_mesh_table_parse_key(&text, &service);

    ngx_memzero(&ep, sizeof(ep));
    (void) snprintf(id, sizeof(id), "10.0.0.%s:80", number);
    ep.id = str(id);
    ep.name = ep.id;
    ep.owner = *owner;
    ep.weight = 100;

    (void) ngx_mesh_item_put_endpoint(&op, &service, &ep, pool);

    return ngx_mesh_store_commit(&stub_store, &op, 1, 0, 0, &result, NULL);
}
