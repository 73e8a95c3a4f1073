
/*
 * Copyright (C) nginx-mesh authors
 *
 * The table behind its reader interface; prints TAP.
 */


#include "unit.h"
#include "ngx_mesh_table.h"


#define MANY  10000


static void
key(const char *name, ngx_int_t rc, const char *group, const char *interface,
    const char *version)
{
    char                what[128];
    int                 passed;
    ngx_str_t           s;
    ngx_mesh_service_t  service;

    s = str(name);
    passed = ngx_mesh_table_parse_key(&s, &service) == rc;

    if (passed && rc == NGX_OK) {
        passed = is(&service.group, group)
                 && is(&service.interface, interface)
                 && is(&service.version, version)
                 && is(&service.name, name);
    }

    snprintf(what, sizeof(what), "key \"%s\"", name);
    ok(passed, "%s", what);
}


static void
test_keys(void)
{
    key("a.B", NGX_OK, "", "a.B", "");
    key("a.B:1.0.0", NGX_OK, "", "a.B", "1.0.0");
    key("g/a.B", NGX_OK, "g", "a.B", "");
    key("g/a.B:1.0.0", NGX_OK, "g", "a.B", "1.0.0");
    key("a.B:0.0.0", NGX_OK, "", "a.B", "");
    key("a.B:0.0.00", NGX_OK, "", "a.B", "0.0.00");
    key("a.B:", NGX_OK, "", "a.B", "");
    key("/a.B", NGX_OK, "", "a.B", "");
    key("*/a.B:*", NGX_OK, "*", "a.B", "*");
    key("a.B:1.0:uid", NGX_OK, "", "a.B", "1.0:uid");
    key("", NGX_DECLINED, "", "", "");
    key("/", NGX_DECLINED, "", "", "");
    key(":", NGX_DECLINED, "", "", "");
    key("g/", NGX_DECLINED, "", "", "");
    key("g/:1", NGX_DECLINED, "", "", "");
    key(":1", NGX_DECLINED, "", "", "");
}


/* "ports" become endpoints 127.0.0.1:port; the name is copied */

static ngx_mesh_service_t *
make(ngx_pool_t *pool, const char *name, const char *ports)
{
    char                *end;
    ngx_str_t            s;
    struct sockaddr_in  *sin;
    ngx_mesh_service_t  *service;
    ngx_mesh_endpoint_t *ep;

    s.len = strlen(name);
    s.data = ngx_pnalloc(pool, s.len);
    memcpy(s.data, name, s.len);

    service = ngx_pcalloc(pool, sizeof(ngx_mesh_service_t));

    if (ngx_mesh_table_parse_key(&s, service) != NGX_OK) {
        return NULL;
    }

    service->endpoints = ngx_pcalloc(pool, 8 * sizeof(ngx_mesh_endpoint_t));

    for ( ;; ) {
        while (*ports == ' ') {
            ports++;
        }

        if (*ports == '\0') {
            break;
        }

        sin = ngx_pcalloc(pool, sizeof(struct sockaddr_in));
        sin->sin_family = AF_INET;
        sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sin->sin_port = htons((in_port_t) strtol(ports, &end, 10));
        ports = end;

        ep = &service->endpoints[service->nendpoints++];
        ep->sockaddr = (struct sockaddr *) sin;
        ep->socklen = sizeof(struct sockaddr_in);
        ep->weight = service->nendpoints;
    }

    return service;
}


static ngx_mesh_service_t *
find(ngx_mesh_table_t *table, const char *group, const char *interface,
    const char *version)
{
    ngx_str_t  g, i, v;

    g = str(group);
    i = str(interface);
    v = str(version);

    return ngx_mesh_table_find(table, &g, &i, &v);
}


static ngx_mesh_service_t *
find_name(ngx_mesh_table_t *table, const char *name)
{
    ngx_str_t  s;

    s = str(name);

    return ngx_mesh_table_find_name(table, &s);
}


static void
holds(ngx_mesh_service_t *service, const char *ports, const char *name)
{
    char                 text[256], *p;
    ngx_uint_t           i;
    struct sockaddr_in  *sin;

    if (service == NULL) {
        ok(0, "%s", name);
        return;
    }

    p = text;
    *p = '\0';

    for (i = 0; i < service->nendpoints; i++) {
        sin = (struct sockaddr_in *) service->endpoints[i].sockaddr;
        p += sprintf(p, "%s%u", i ? " " : "", ntohs(sin->sin_port));
    }

    ok(strcmp(text, ports) == 0, "%s", name);

    if (strcmp(text, ports) != 0) {
        printf("# has \"%s\", expected \"%s\"\n", text, ports);
    }
}


static void
test_exact(ngx_pool_t *pool)
{
    void                *iterator;
    ngx_uint_t           n;
    ngx_mesh_table_t    *table;
    ngx_mesh_service_t  *a, *b, *s, *again;

    table = ngx_mesh_table_create(pool);

    ok(find_name(table, "a") == NULL, "nothing in an empty table");
    ok(find(table, "*", "a", "*") == NULL, "no union in an empty table");

    a = make(pool, "a:1", "1 2");
    b = make(pool, "g/a:1", "3");

    ok(ngx_mesh_table_add(table, a) == NGX_OK, "added");
    ok(ngx_mesh_table_add(table, b) == NGX_OK, "the group makes a new key");
    ok(ngx_mesh_table_add(table, make(pool, "a:1", "4")) == NGX_BUSY,
       "duplicate");
    ok(ngx_mesh_table_add(table, make(pool, "x:0.0.0", "")) == NGX_OK,
       "version 0.0.0");
    ok(ngx_mesh_table_add(table, make(pool, "x", "")) == NGX_BUSY,
       "version 0.0.0 is none");

    ok(find(table, "", "a", "1") == a, "by parts");
    ok(find(table, "g", "a", "1") == b, "by parts, with group");
    ok(find_name(table, "g/a:1") == b, "by name");
    ok(find(table, "", "a", "") == NULL, "another version");
    ok(find(table, "1", "a", "") == NULL, "group is not version");
    ok(find(table, "h", "a", "1") == NULL, "another group");
    ok(find(table, "", "A", "1") == NULL, "case matters");
    ok(find_name(table, "") == NULL, "empty name");

    s = find_name(table, "x");
    ok(s != NULL && s->nendpoints == 0, "a service without endpoints");
    again = find(table, "", "x", "0.0.0");
    ok(again == s, "a caller's 0.0.0 is none");
    ngx_mesh_table_release(again);
    ngx_mesh_table_release(s);
    ok(find_name(table, "x") == s, "release leaves it in the table");

    s = find(table, "*", "x", "*");
    ok(s != NULL && s->pool == NULL, "a union of one is that one");
    ngx_mesh_table_release(s);

    ngx_mesh_table_release(a);
    ngx_mesh_table_release(b);
    ngx_mesh_table_release(b);

    iterator = NULL;

    for (n = 0; ngx_mesh_table_next(table, &iterator); n++) { /* void */ }

    ok(n == 3, "all services, one after the other");
}


static void
test_union(ngx_pool_t *pool)
{
    ngx_str_t            a, b, none;
    ngx_uint_t           pools;
    ngx_mesh_table_t    *table;
    ngx_mesh_service_t  *s, *second;

    table = ngx_mesh_table_create(pool);

    s = make(pool, "a:1", "1 2");
    s->balancer = NGX_MESH_BALANCER_HASH;
    s->hash = str("method");

    (void) ngx_mesh_table_add(table, s);
    (void) ngx_mesh_table_add(table, make(pool, "g/a:1", "3 2"));
    (void) ngx_mesh_table_add(table, make(pool, "g/a:2", "1 4"));
    (void) ngx_mesh_table_add(table, make(pool, "h/a", "5"));
    (void) ngx_mesh_table_add(table, make(pool, "b", "6"));

    a = str("a");
    b = str("b");
    none = str("c");

    ok(ngx_mesh_table_grouped(table, &a), "some of a have groups");
    ok(!ngx_mesh_table_grouped(table, &b), "b has no group");
    ok(!ngx_mesh_table_grouped(table, &none), "c does not exist");

    pools = stub_pools;

    s = find(table, "*", "a", "*");
    holds(s, "1 2 3 4 5", "union of all, each address once");
    ok(s && is(&s->name, "*/a:*"), "its name is what was asked for");
    ok(s && is(&s->group, "*") && is(&s->interface, "a")
       && is(&s->version, "*"), "its parts too");
    ok(s && s->balancer == NGX_MESH_BALANCER_HASH && is(&s->hash, "method"),
       "balancer of the first declared");
    ok(s && s->endpoints[1].weight == 2, "the first declared endpoint wins");

    second = find(table, "*", "a", "*");
    ngx_mesh_table_release(s);
    holds(second, "1 2 3 4 5", "a second pin outlives the first");
    ngx_mesh_table_release(second);

    s = find(table, "*", "a", "1");
    holds(s, "1 2 3", "union of the groups of a version");
    ngx_mesh_table_release(s);

    s = find(table, "g", "a", "*");
    holds(s, "3 2 1 4", "union of the versions of a group");
    ok(s && is(&s->name, "g/a:*"), "its name");
    ngx_mesh_table_release(s);

    s = find(table, "", "a", "*");
    holds(s, "1 2", "no group is a group of its own");
    ngx_mesh_table_release(s);

    s = find(table, "*", "a", "0.0.0");
    holds(s, "5", "any group, no version");
    ngx_mesh_table_release(s);

    ok(find(table, "*", "a", "3") == NULL, "union of nothing");
    ok(find(table, "i", "a", "*") == NULL, "union of nothing in a group");

    s = find_name(table, "*/a:*");
    holds(s, "1 2 3 4 5", "union by name");
    ngx_mesh_table_release(s);

    ok(stub_pools == pools, "released unions are gone");
}


static void
test_many(ngx_pool_t *pool)
{
    char                 name[64], ports[16];
    ngx_uint_t           i, bad;
    ngx_mesh_table_t    *table;
    ngx_mesh_service_t  *s, **all;

    table = ngx_mesh_table_create(pool);
    all = ngx_pcalloc(pool, MANY * sizeof(ngx_mesh_service_t *));
    bad = 0;

    /* four services for each interface: two groups, two versions */

    for (i = 0; i < MANY; i++) {
        sprintf(name, "g%d/com.example.Service%d:%d", (int) (i & 1),
                (int) (i / 4), (int) (i / 2 & 1) + 1);
        sprintf(ports, "%d %d", 1000 + (int) i, 999 + (int) i);

        all[i] = make(pool, name, ports);

        if (ngx_mesh_table_add(table, all[i]) != NGX_OK) {
            bad++;
        }
    }

    ok(bad == 0, "10000 services added");

    for (i = 0; i < MANY; i++) {

        if (ngx_mesh_table_add(table, all[i]) != NGX_BUSY) {
            bad++;
        }

        s = ngx_mesh_table_find_name(table, &all[i]->name);

        if (s != all[i]) {
            bad++;
            continue;
        }

        ngx_mesh_table_release(s);
    }

    ok(bad == 0, "10000 services found");

    for (i = 0; i < MANY; i += 4) {
        sprintf(name, "com.example.Service%d", (int) (i / 4));
        s = find(table, "*", name, "*");

        if (s == NULL || s->nendpoints != 5) {
            bad++;
            continue;
        }

        ngx_mesh_table_release(s);
    }

    ok(bad == 0, "2500 unions");
}


int
main(int argc, char *argv[])
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(0, NULL);

    test_keys();
    test_exact(pool);
    test_union(pool);
    test_many(pool);

    ngx_destroy_pool(pool);

    ok(stub_pools == 0, "no pool is left");

    return test_done();
}
