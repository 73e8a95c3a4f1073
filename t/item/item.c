
/*
 * Copyright (C) nginx-mesh authors
 *
 * Items: what was written is read again, and a piece of it is refused; prints
 * TAP.
 */


#include "unit.h"
#include "ngx_mesh_item.h"
#include "items.h"


void
cut(ngx_mesh_store_item_t *item, ngx_mesh_store_op_t *op, size_t len)
{
    ngx_memzero(item, sizeof(ngx_mesh_store_item_t));

    item->type = op->type;
    item->key = op->key;
    item->value.len = len;
    item->value.data = malloc(len ? len : 1);
    memcpy(item->value.data, op->value.data, len);
}


static void
test_keys(ngx_pool_t *pool)
{
    ngx_str_t           name, key, id, owner, part;
    ngx_mesh_service_t  service;

    name = str("g/a.B:1.0");
    ngx_memzero(&service, sizeof(service));
    (void) ngx_mesh_table_parse_key(&name, &service);

    id = str("10.0.0.1:80");
    owner = str("api");

    (void) ngx_mesh_item_key(&key, &service, NULL, NULL, 0, pool);
    ok(key.len == 9 && memcmp(key.data, "a.B\0" "1.0\0g", 9) == 0,
       "key of a service");
    ok(ngx_mesh_item_split(&key, &part, &id, &owner) == NGX_DECLINED,
       "... is inside of none");

    (void) ngx_mesh_item_key(&key, &service, NULL, NULL, 1, pool);
    ok(key.len == 10 && memcmp(key.data, "a.B\0" "1.0\0g", 10) == 0,
       "what is inside of it begins so");
    ok(ngx_mesh_item_split(&key, &part, &id, &owner) == NGX_DECLINED,
       "... and is more than that");

    id = str("10.0.0.1:80");
    owner = str("api");

    (void) ngx_mesh_item_key(&key, &service, &id, &owner, 1, pool);
    ok(ngx_mesh_item_split(&key, &part, &id, &owner) == NGX_OK
       && part.len == 9 && is(&id, "10.0.0.1:80") && is(&owner, "api"),
       "key of an endpoint");

    (void) ngx_mesh_item_key(&key, &service, &id, NULL, 1, pool);
    ok(ngx_mesh_item_split(&key, &part, &id, &owner) == NGX_OK
       && part.len == 9 && is(&id, "10.0.0.1:80") && owner.len == 0,
       "key of an override");
}


static void
service_whole(ngx_pool_t *pool, ngx_mesh_service_t *service, const char *what)
{
    size_t                  len;
    ngx_uint_t              bad;
    ngx_mesh_service_t      read;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    (void) ngx_mesh_item_put_service(&op, service, pool);

    for (len = 0, bad = 0; len < op.value.len; len++) {
        cut(&item, &op, len);
        bad += ngx_mesh_item_service_read(&item, &read) != NGX_DECLINED;
        free(item.value.data);
    }

    ok(bad == 0, "pieces of a service are refused");

    cut(&item, &op, op.value.len);
    ok(ngx_mesh_item_service_read(&item, &read) == NGX_OK
       && is(&read.name, "g/a.B:1.0") && is(&read.group, "g")
       && is(&read.interface, "a.B") && is(&read.version, "1.0")
       && is(&read.owner, "config") && is(&read.protocol, "dubbo")
       && is(&read.hash, "method")
       && read.registries.len == service->registries.len
       && read.provided_by.len == service->provided_by.len
       && (read.registries.len == 0 || is(&read.registries, "r1,r2"))
       && (read.provided_by.len == 0 || is(&read.provided_by, "app"))
       && read.balancer == NGX_MESH_BALANCER_HASH && read.nendpoints == 0,
       "%s", what);
    free(item.value.data);
}


static void
test_service(ngx_pool_t *pool)
{
    ngx_str_t           name;
    ngx_mesh_service_t  service;

    name = str("g/a.B:1.0");
    ngx_memzero(&service, sizeof(service));
    (void) ngx_mesh_table_parse_key(&name, &service);

    service.owner = str("config");
    service.protocol = str("dubbo");
    service.hash = str("method");
    service.balancer = NGX_MESH_BALANCER_HASH;
    service_whole(pool, &service, "a service");

    service.registries = str("r1,r2");
    service.provided_by = str("app");
    service_whole(pool, &service, "a service of some registries");

    ngx_str_null(&service.registries);
    service_whole(pool, &service, "a service of an application");
}


/* what version 1 wrote, byte by byte */

typedef struct {
    uint32_t  version;
    uint32_t  balancer;
    uint32_t  string[4];
    char      text[15];
} old_service_t;


typedef struct {
    uint32_t  version;
    uint32_t  flags;
    uint32_t  weight;
    uint32_t  max_fails;
    uint32_t  fail_timeout;
    uint32_t  slow_start;
    uint32_t  string[4];
    uint32_t  nlabels;
    uint32_t  label[2];
    char      text[4];
} old_endpoint_t;


static void
test_old(ngx_pool_t *pool)
{
    ngx_str_t               name, id, owner;
    ngx_keyval_t            label;
    ngx_mesh_service_t      service, read;
    ngx_mesh_endpoint_t     ep;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    static old_service_t    old = { 1, 2, { 6, 3, 5, 0 }, "configa.Bdubbo" };
    static old_endpoint_t   olde = {
        1, 0x02, 7, 1, 10000, 0, { 0, 0, 0, 1 }, 1, { 1, 2 }, "zv12"
    };

    ngx_memzero(&service, sizeof(service));
    name = str("a.B");
    id = str("1.2.3.4:5");
    owner = str("api");
    (void) ngx_mesh_table_parse_key(&name, &service);

    ngx_memzero(&item, sizeof(item));
    item.value.data = (u_char *) &old;
    item.value.len = offsetof(old_service_t, text) + 14;
    ok(ngx_mesh_item_service_read(&item, &read) == NGX_OK
       && is(&read.name, "a.B") && is(&read.owner, "config")
       && is(&read.protocol, "dubbo") && read.registries.len == 0
       && read.provided_by.len == 0, "a service of version 1");

    (void) ngx_mesh_item_put_service(&op, &read, pool);
    ok(op.value.len == item.value.len
       && memcmp(op.value.data, item.value.data, op.value.len) == 0,
       "... is written so again");

    (void) ngx_mesh_item_key(&item.key, &service, &id, &owner, 1, pool);
    item.value.data = (u_char *) &olde;
    item.value.len = sizeof(old_endpoint_t);
    ok(ngx_mesh_item_endpoint_read(&item, &ep, pool) == NGX_OK
       && is(&ep.name, "1.2.3.4:5") && is(&ep.zone, "z") && ep.weight == 7
       && ep.down && !ep.drain && !ep.suspect && ep.started == 0
       && ep.warmup == 0 && ep.nlabels == 1, "an endpoint of version 1");

    label = ep.labels[0];
    ok(is(&label.key, "v") && is(&label.value, "12"), "... with its label");

    (void) ngx_mesh_item_put_endpoint(&op, &service, &ep, pool);
    ok(op.value.len == item.value.len
       && memcmp(op.value.data, item.value.data, op.value.len) == 0,
       "... is written so again");

    olde.version = 3;
    ok(ngx_mesh_item_endpoint_read(&item, &ep, pool) == NGX_DECLINED,
       "an endpoint of a version to come is refused");
}


static ngx_uint_t
endpoint_same(ngx_mesh_endpoint_t *a, ngx_mesh_endpoint_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < a->nlabels && i < b->nlabels; i++) {
        if (a->labels[i].key.len != b->labels[i].key.len
            || memcmp(a->labels[i].key.data, b->labels[i].key.data,
                      a->labels[i].key.len)
            || a->labels[i].value.len != b->labels[i].value.len)
        {
            return 0;
        }
    }

    return a->nlabels == b->nlabels && a->weight == b->weight
           && a->max_fails == b->max_fails
           && a->fail_timeout == b->fail_timeout
           && a->slow_start == b->slow_start && a->backup == b->backup
           && a->started == b->started && a->warmup == b->warmup
           && a->warmup_weight == b->warmup_weight && a->drain == b->drain
           && a->suspect == b->suspect
           && a->down == b->down && a->id.len == b->id.len
           && a->name.len == b->name.len && a->host.len == b->host.len
           && a->protocol.len == b->protocol.len
           && a->zone.len == b->zone.len && a->owner.len == b->owner.len
           && memcmp(a->name.data, b->name.data, a->name.len) == 0;
}


static void
endpoint(ngx_pool_t *pool, ngx_mesh_endpoint_t *ep, const char *what)
{
    size_t                  len;
    ngx_str_t               name;
    ngx_uint_t              bad;
    ngx_mesh_service_t      service;
    ngx_mesh_endpoint_t     read;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    name = str("a.B");
    ngx_memzero(&service, sizeof(service));
    (void) ngx_mesh_table_parse_key(&name, &service);
    (void) ngx_mesh_item_put_endpoint(&op, &service, ep, pool);

    for (len = 0, bad = 0; len < op.value.len; len++) {
        cut(&item, &op, len);
        bad += ngx_mesh_item_endpoint_read(&item, &read, pool)
               != NGX_DECLINED;
        free(item.value.data);
    }

    ok(bad == 0, "pieces of an endpoint are refused");

    cut(&item, &op, op.value.len);
    ok(ngx_mesh_item_endpoint_read(&item, &read, pool) == NGX_OK
       && endpoint_same(ep, &read), "%s", what);
    free(item.value.data);
}


static void
test_endpoints(ngx_pool_t *pool)
{
    ngx_keyval_t         labels[2];
    ngx_mesh_endpoint_t  ep;

    ngx_memzero(&ep, sizeof(ep));
    ep.id = str("10.0.0.1:80");
    ep.name = ep.id;
    ep.owner = str("config");
    endpoint(pool, &ep, "an endpoint whose name is its id");

    ep.id = str("first");
    ep.host = str("host.example");
    ep.protocol = str("bolt");
    ep.zone = str("z");
    ep.weight = 7;
    ep.max_fails = 3;
    ep.fail_timeout = 10000;
    ep.slow_start = 30000;
    ep.backup = 1;
    labels[0].key = str("v");
    labels[0].value = str("1");
    labels[1].key = str("empty");
    labels[1].value = str("");
    ep.labels = labels;
    ep.nlabels = 2;
    endpoint(pool, &ep, "an endpoint with everything of version 1");

    ep.started = 1795441502203ULL;
    ep.warmup = 600000;
    ep.warmup_weight = 10;
    ep.drain = 1;
    ep.suspect = 1;
    endpoint(pool, &ep, "an endpoint with everything");

    ep.started = 0;
    ep.warmup = 0;
    ep.warmup_weight = 0;
    ep.suspect = 0;
    endpoint(pool, &ep, "an endpoint that drains");
}


static void
address(ngx_pool_t *pool, const char *name, ngx_int_t rc)
{
    char                 what[128];
    ngx_mesh_endpoint_t  ep;

    ngx_memzero(&ep, sizeof(ep));
    ep.name = str(name);
    snprintf(what, sizeof(what), "address \"%.80s\"", name);
    ok(ngx_mesh_item_address(&ep, pool) == rc
       && (rc != NGX_OK || (ep.sockaddr && ep.socklen)), "%s", what);
}


static void
test_addresses(ngx_pool_t *pool)
{
    char  path[140];

    address(pool, "127.0.0.1:80", NGX_OK);
    address(pool, "[::1]:80", NGX_OK);
    address(pool, "unix:/tmp/s", NGX_OK);
    address(pool, "unix:", NGX_DECLINED);
    address(pool, "127.0.0.1", NGX_DECLINED);
    address(pool, "127.0.0.1:0", NGX_DECLINED);
    address(pool, "127.0.0.1:70000", NGX_DECLINED);
    address(pool, "[::1]", NGX_DECLINED);
    address(pool, "host:80", NGX_DECLINED);
    address(pool, "", NGX_DECLINED);

    memset(path, 'x', sizeof(path));
    memcpy(path, "unix:", 5);
    path[sizeof(path) - 1] = '\0';
    address(pool, path, NGX_DECLINED);
}


static void
test_override(ngx_pool_t *pool)
{
    size_t                  len;
    ngx_str_t               name, id;
    ngx_uint_t              bad;
    ngx_mesh_service_t      service;
    ngx_mesh_override_t     ov, read;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    name = str("a.B");
    id = str("1.2.3.4:5");
    ngx_memzero(&service, sizeof(service));
    (void) ngx_mesh_table_parse_key(&name, &service);

    ngx_memzero(&ov, sizeof(ov));
    ov.weight = 5;
    ov.weighted = 1;
    ov.drain = 1;
    ov.until = 1234567890123ULL;
    ov.by = str("alice");
    ov.reason = str("canary");
    (void) ngx_mesh_item_put_override(&op, &service, &id, &ov, pool);

    for (len = 0, bad = 0; len < op.value.len; len++) {
        cut(&item, &op, len);
        bad += ngx_mesh_item_override_read(&item, &read) != NGX_DECLINED;
        free(item.value.data);
    }

    ok(bad == 0, "pieces of an override are refused");

    cut(&item, &op, op.value.len);
    ok(ngx_mesh_item_override_read(&item, &read) == NGX_OK
       && read.weight == 5 && read.weighted && read.drain && !read.disabled
       && read.until == 1234567890123ULL && is(&read.by, "alice")
       && is(&read.reason, "canary"), "an override");
    free(item.value.data);
}


int
main(int argc, char *argv[])
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(0, NULL);

    test_keys(pool);
    test_service(pool);
    test_old(pool);
    test_endpoints(pool);
    test_addresses(pool);
    test_override(pool);
    test_found(pool);

    ngx_destroy_pool(pool);

    return test_done();
}
