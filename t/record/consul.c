
/*
 * Copyright (C) nginx-mesh authors
 *
 * Answers of Consul, in short.
 */


#include "record_test.h"


static ngx_mesh_source_t        source;
static ngx_mesh_subscription_t  subscription;
static ngx_mesh_update_t        update;
static ngx_array_t              records;


#define NODE    "\"Node\":{\"Address\":\"10.9.9.9\"}"
#define PASS    "\"Checks\":[{\"CheckID\":\"serfHealth\","                     \
                "\"Status\":\"passing\"}]"
#define CHECK(status)  "{\"CheckID\":\"c\",\"Status\":\"" status "\"}"
#define MAINT(id)      "{\"CheckID\":\"" id "\",\"Status\":\"critical\"}"
#define URL     "\"Meta\":{\"url\":\"dubbo://10.0.0.1:20880/a.B?interface=a.B"
#define TOY     "\"Meta\":{\"protocol\":\"toy\"}"


static ngx_int_t
answer(ngx_pool_t *pool, const char *json)
{
    cJSON      *entries;
    ngx_int_t   rc;

    entries = cJSON_Parse(json);

    if (entries == NULL) {
        ok(0, "JSON of the test: %s", json);
        return NGX_ERROR;
    }

    source.name = str("consul");
    subscription.source = &source;
    subscription.sn.str = str("a.B");

    ngx_memzero(&update, sizeof(update));
    (void) ngx_array_init(&records, pool, 4, sizeof(ngx_mesh_record_t));
    why = "";

    rc = ngx_mesh_record_consul(&subscription, entries, pool, &records,
                                &update, &why);

    cJSON_Delete(entries);

    return rc;
}


static ngx_mesh_record_t *
only(ngx_pool_t *pool, const char *entry)
{
    char                      json[4000];
    static ngx_mesh_record_t  none;

    snprintf(json, sizeof(json), "[%s]", entry);

    if (answer(pool, json) != NGX_OK || records.nelts != 1) {
        ok(0, "one record, not %lu: %s %.*s", (unsigned long) records.nelts,
           why, (int) update.unmapped.len, update.unmapped.data);
        return &none;
    }

    return records.elts;
}


static void
refused(ngx_pool_t *pool, const char *json)
{
    ok(answer(pool, json) == NGX_DECLINED && strlen(why) > 0,
       "no answer of Consul's: %.60s: %s", json, why);
}


static void
unmapped(ngx_pool_t *pool, const char *entry, const char *expected)
{
    char        json[4000];
    ngx_int_t   rc;

    snprintf(json, sizeof(json), "[%s]", entry);
    rc = answer(pool, json);

    ok(rc == NGX_OK && records.nelts == 0 && is(&update.unmapped, expected),
       "told: %.*s", (int) update.unmapped.len, update.unmapped.data);
}


static void
test_refused(ngx_pool_t *pool)
{
    ok(answer(pool, "[]") == NGX_OK && records.nelts == 0
       && update.unmapped.len == 0, "no instances");

    refused(pool, "{}");
    refused(pool, "null");
    refused(pool, "[null]");
    refused(pool, "[{}]");
    refused(pool, "[{" NODE "}]");
    refused(pool, "[{" NODE ",\"Service\":[]}]");
    refused(pool, "[{" NODE ",\"Service\":{\"Tags\":{}}}]");
    refused(pool, "[{" NODE ",\"Service\":{\"Meta\":[]}}]");
    refused(pool, "[{" NODE ",\"Service\":{\"ID\":1}}]");
    refused(pool, "[{" NODE ",\"Service\":{},\"Checks\":{}}]");
    refused(pool, "[{" NODE ",\"Service\":{},\"Checks\":[1]}]");
    refused(pool, "[{" NODE ",\"Service\":{},\"Checks\":[{\"Status\":1}]}]");
}


/* weight of an instance with these weights and checks; -1: it is not there */

static void
weight(ngx_pool_t *pool, const char *weights, const char *checks,
    ngx_int_t expected, ngx_uint_t drain)
{
    char                json[1000];
    ngx_int_t           found;
    ngx_mesh_record_t  *r;

    snprintf(json, sizeof(json), "[{" NODE ",\"Service\":{\"Port\":80,"
             TOY "%s%s},\"Checks\":%s}]", weights[0] ? ",\"Weights\":" : "",
             weights, checks);

    found = -2;

    if (answer(pool, json) == NGX_OK) {
        r = records.elts;
        found = records.nelts ? (ngx_int_t) r->ep.weight : -1;
        drain ^= records.nelts ? r->ep.drain : 0;
    }

    ok(found == expected && !drain && update.unmapped.len == 0,
       "weight %ld of %s with %s", (long) found, weights, checks);
}


static void
test_weights(ngx_pool_t *pool)
{
    weight(pool, "", "null", 100, 0);
    weight(pool, "", "[]", 100, 0);
    weight(pool, "null", "[]", 100, 0);
    weight(pool, "{\"Passing\":1,\"Warning\":1}", "[]", 100, 0);
    weight(pool, "{\"Passing\":5,\"Warning\":1}", "[]", 500, 0);
    weight(pool, "{\"Passing\":5,\"Warning\":1}", "[" CHECK("warning") "]",
           100, 0);
    weight(pool, "{\"Passing\":5,\"Warning\":0}", "[" CHECK("warning") "]",
           0, 0);
    weight(pool, "{\"Passing\":-1,\"Warning\":0}", "[]", 0, 0);
    weight(pool, "{\"Passing\":1e30,\"Warning\":0}", "[]", 1000000, 0);
    weight(pool, "{\"Passing\":\"5\"}", "[]", 100, 0);

    weight(pool, "", "[" CHECK("passing") "," CHECK("critical") "]", -1, 0);
    weight(pool, "", "[" CHECK("critical") "," CHECK("warning") "]", -1, 0);
    weight(pool, "", "[" CHECK("unheard-of") "]", 100, 0);

    weight(pool, "", "[" MAINT("_node_maintenance") "]", 100, 1);
    weight(pool, "", "[" MAINT("_service_maintenance:x") "]", 100, 1);
    weight(pool, "", "[" MAINT("_service_maintenance:x") ","
           CHECK("critical") "]", 100, 1);
    weight(pool, "", "[" MAINT("_service_maintenance") "]", -1, 0);
}


static void
test_plain(ngx_pool_t *pool)
{
    ngx_mesh_record_t  *r;

    r = only(pool, "{" NODE ",\"Service\":{\"ID\":\"x\",\"Port\":8080,"
             "\"Tags\":[\"canary\",\"v=2\",\"e=\",\"=x\",\"env=tag\","
             "\"protocol=toy\"],"
             "\"Meta\":{\"env\":\"prod\",\"zone\":\"z1\"}}," PASS "}");

    ok(is(&r->ep.name, "10.9.9.9:8080") && is(&r->ep.host, "10.9.9.9")
       && is(&r->ep.owner, "consul"), "address of the node");
    ok(is(&r->ep.protocol, "toy") && is(&r->group, "")
       && is(&r->version, ""), "protocol of a tag");
    ok(has(&r->ep, "canary", "true") && has(&r->ep, "v", "2")
       && has(&r->ep, "env", "prod") && has(&r->ep, "zone", "z1")
       && r->ep.nlabels == 4, "tags and metadata are labels");
    ok(is(&r->ep.zone, "z1"), "zone");
    ok(r->ep.weight == 100 && r->ep.max_fails == 1
       && r->ep.fail_timeout == 10000 && r->ep.started == 0, "defaults");

    r = only(pool, "{" NODE ",\"Service\":{\"Address\":\"::1\",\"Port\":1,"
             "\"Tags\":null,\"Meta\":{\"protocol\":\"toy\","
             "\"mesh-group\":\"g\",\"mesh-version\":\"1.0:u\","
             "\"version\":\"7\"},"
             "\"Locality\":{\"Zone\":\"z2\"}}," PASS "}");

    ok(is(&r->ep.name, "[::1]:1") && is(&r->group, "g")
       && is(&r->version, "1.0:u"), "address of the service, and a key");
    ok(has(&r->ep, "version", "7") && r->ep.nlabels == 1,
       "version is a label");
    ok(is(&r->ep.zone, "z2"), "zone of the locality");

    subscription.protocol = str("bolt");
    source.protocol = str("dubbo");
    r = only(pool, "{" NODE ",\"Service\":{\"Port\":1}}");
    ok(is(&r->ep.protocol, "bolt"), "protocol of the service");

    ngx_str_null(&subscription.protocol);
    r = only(pool, "{" NODE ",\"Service\":{\"Port\":1}}");
    ok(is(&r->ep.protocol, "dubbo"), "protocol of the registry");
    ngx_str_null(&source.protocol);

    r = only(pool, "{" NODE ",\"Service\":{\"Port\":1,\"Meta\":{\"url\":"
             "\"http://x/\",\"protocol\":\"toy\"}}}");
    ok(is(&r->ep.protocol, "toy") && has(&r->ep, "url", "http://x/"),
       "a URL that is not Dubbo's");
}


static void
test_unmapped(ngx_pool_t *pool)
{
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"w1\",\"Port\":80}},"
             "{" NODE ",\"Service\":{\"ID\":\"w2\",\"Port\":80}}",
             "no protocol: 2 instances, as \"w1\" (remedy: \"protocol=\" of "
             "the service or of the registry, or a tag protocol=NAME)");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"w\",\"Port\":80,"
             "\"Tags\":[\"protocol=http\"]}}",
             "unknown protocol \"http\": 1 instance, as \"w\"");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"w\",\"Port\":0," TOY "}}",
             "it has no port: 1 instance, as \"w\"");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"w\",\"Port\":99999," TOY
             "}}", "it has no port: 1 instance, as \"w\"");
    unmapped(pool, "{\"Node\":{},\"Service\":{\"ID\":\"w\",\"Port\":1," TOY
             "}}", "it has no address: 1 instance, as \"w\"");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"w\",\"Address\":\"h.x\","
             "\"Port\":1," TOY "}}", "its address is a name, which is not "
             "resolved here: 1 instance, as \"w\"");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"d\",\"Meta\":{\"url\":"
             "\"tri://10.0.0.1:50051/a.B?interface=a.B\"}}}",
             "its protocol is not dubbo: 1 instance, as \"d\"");

    /* what can be used is */

    (void) only(pool, "{" NODE ",\"Service\":{\"ID\":\"w\",\"Port\":80}},"
                "{" NODE ",\"Service\":{\"Port\":80," TOY "}}");
    ok(update.unmapped.len, "some of the instances are told of");
}


static void
test_application(ngx_pool_t *pool)
{
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"i\",\"Port\":1,\"Tags\":["
             "\"dubbo.endpoints=[]\"],\"Meta\":null}}",
             "application-level: 1 instance, as \"i\" (remedy: service "
             "INTERFACE { provided_by a.B; })");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"i\",\"Port\":1,\"Meta\":{"
             "\"dubbo.metadata.revision\":\"5\",\"protocol\":\"toy\"}}}",
             "application-level: 1 instance, as \"i\" (remedy: service "
             "INTERFACE { provided_by a.B; })");
}


static void
test_dubbo_on(ngx_pool_t *pool)
{
    ngx_mesh_record_t  *r;

    r = only(pool, "{" NODE ",\"Service\":{\"Port\":1,"
             "\"Weights\":{\"Passing\":3,\"Warning\":0}," URL
             "&weight=20&version=2&timestamp=7\"}}," PASS "}");
    ok(is(&r->ep.name, "10.0.0.1:20880") && r->ep.weight == 60
       && is(&r->version, "2") && r->ep.started == 7,
       "the URL counts, and both weights do");

    r = only(pool, "{" NODE ",\"Service\":{\"Port\":1,"
             "\"Weights\":{\"Passing\":3,\"Warning\":0}," URL "\"}},"
             "\"Checks\":[" CHECK("warning") "]}");
    ok(r->ep.weight == 0, "a warning takes it out");

    r = only(pool, "{" NODE ",\"Service\":{\"Port\":20880,\"Tags\":[\"dubbo\","
             "\"dubbo=2.0.2\",\"side=provider\",\"interface=a.B\",\"group=g\","
             "\"version=1.0\",\"env=x\"]}," PASS "}");
    ok(is(&r->ep.name, "10.9.9.9:20880") && is(&r->ep.protocol, "dubbo")
       && is(&r->group, "g") && is(&r->version, "1.0")
       && has(&r->ep, "env", "x") && r->ep.nlabels == 1, "tags alone");

    /* registered again, by a process that took the place of another one */

    r = only(pool, "{" NODE ",\"Service\":{" URL "&timestamp=9&env=new\"}}},"
             "{" NODE ",\"Service\":{" URL "&timestamp=7&env=old\"}}}");
    ok(r->ep.started == 9 && has(&r->ep, "env", "new"),
       "of one address the newest is taken");

    r = only(pool, "{" NODE ",\"Service\":{" URL "&timestamp=9\"}},"
             "\"Checks\":[" MAINT("_service_maintenance:1") "]},"
             "{" NODE ",\"Service\":{" URL "&timestamp=7\"}}}");
    ok(r->ep.started == 9 && r->ep.drain, "... even if it drains");
}


static void
sofa(ngx_pool_t *pool, const char *meta, ngx_uint_t expected, uint64_t started,
    ngx_msec_t warmup, ngx_uint_t warmup_weight)
{
    char                entry[1000];
    ngx_mesh_record_t  *r;

    snprintf(entry, sizeof(entry), "{" NODE ",\"Service\":{\"Port\":12200,"
             "\"Tags\":[\"a.B:1.0@DEFAULT\"],"
             "\"Weights\":{\"Passing\":2,\"Warning\":1},"
             "\"Meta\":{\"rpcVer\":\"51302\"%s}}}", meta);

    r = only(pool, entry);
    ok(is(&r->ep.protocol, "bolt") && r->ep.weight == expected
       && r->ep.started == started && r->ep.warmup == warmup
       && r->ep.warmup_weight == warmup_weight,
       "SOFARPC with %s: %lu, %lu until %lu", meta,
       (unsigned long) r->ep.weight, (unsigned long) r->ep.warmup_weight,
       (unsigned long) (r->ep.started + r->ep.warmup));
}


static void
test_sofa(ngx_pool_t *pool)
{
    sofa(pool, "", 200, 0, 0, 0);
    sofa(pool, ",\"weight\":\"50\"", 100, 0, 0, 0);
    sofa(pool, ",\"weight\":\"0\"", 0, 0, 0, 0);
    sofa(pool, ",\"warmupTime\":\"1000\",\"warmupWeight\":\"5\","
         "\"startTime\":\"9\"", 200, 9, 1000, 10);
    sofa(pool, ",\"_WARMUPTIME\":\"1000\",\"_WARMUPWEIGHT\":\"5\","
         "\"startTime\":\"9\"", 200, 9, 1000, 10);
    sofa(pool, ",\"warmupTime\":\"1000\",\"warmupWeight\":\"0\","
         "\"startTime\":\"9\"", 200, 9, 1000, 2);
    sofa(pool, ",\"warmupTime\":\"1000\",\"startTime\":\"9\"", 200, 0, 0, 0);
    sofa(pool, ",\"warmupTime\":\"1000\",\"warmupWeight\":\"5\"", 200, 0, 0,
         0);
    sofa(pool, ",\"startTime\":\"9\"", 200, 0, 0, 0);

    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"s\",\"Port\":1,"
             "\"Tags\":[\"a.B:1.0@rest\"]}}",
             "its protocol is not bolt: 1 instance, as \"s\"");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"s\",\"Port\":1,"
             "\"Meta\":{\"rpcVer\":\"1\"},\"Tags\":[\"a.C:1.0@DEFAULT\"]}}",
             "it is of another interface than its service is named after, "
             "which SOFARPC's \"consulServiceName\" makes: 1 instance, as "
             "\"s\"");
    unmapped(pool, "{" NODE ",\"Service\":{\"ID\":\"s\",\"Port\":1,"
             "\"Tags\":[\"a.C:1.0@DEFAULT\",\"a.B@x\",\"a.B:@x\"]}}",
             "no protocol: 1 instance, as \"s\" (remedy: \"protocol=\" of the "
             "service or of the registry, or a tag protocol=NAME)");
}


static void
test_reasons(ngx_pool_t *pool)
{
    char        *json, *p;
    ngx_uint_t   i;

    json = malloc(20000);
    p = json + sprintf(json, "[");

    for (i = 0; i < 50; i++) {
        p += sprintf(p, "%s{" NODE ",\"Service\":{\"ID\":\"id%lu\",\"Port\":1,"
                     "\"Meta\":{\"protocol\":\"p%02lu%0100d\"}}}", i ? "," : "",
                     (unsigned long) i, (unsigned long) i, 0);
    }

    sprintf(p, "]");

    ok(answer(pool, json) == NGX_OK && update.unmapped.len < 1000,
       "many reasons, in short");
    ok(ngx_strnstr(update.unmapped.data, "and 42 others",
                   update.unmapped.len) != NULL, "... the others as a number");

    free(json);
}


static void
test_short(void)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    ngx_pool_t  *pool;

    rc = NGX_ERROR;

    for (i = 1; i < 300 && rc == NGX_ERROR; i++) {
        pool = ngx_create_pool(0, NULL);

        (void) answer(pool, "[]");
        stub_short = i;
        rc = answer(pool, "[{" NODE ",\"Service\":{" URL "&z=1\"}}},"
                    "{" NODE ",\"Service\":{\"ID\":\"x\",\"Port\":1,"
                    "\"Tags\":[\"protocol=x\"]}},{" NODE ",\"Service\":{"
                    "\"Port\":1,\"Tags\":[\"a.B:1@DEFAULT\"],\"Meta\":{"
                    "\"zone\":\"z\"}}},{" NODE ",\"Service\":{\"Port\":1,"
                    "\"Tags\":[\"protocol=toy\",\"mesh-group=g\",\"x\"]}}]");
        stub_short = 0;

        ngx_destroy_pool(pool);
    }

    ok(rc == NGX_OK && i > 10, "without memory it is an error");
}


void
test_consul(ngx_pool_t *pool)
{
    test_refused(pool);
    test_weights(pool);
    test_plain(pool);
    test_unmapped(pool);
    test_application(pool);
    test_dubbo_on(pool);
    test_sofa(pool);
    test_reasons(pool);
    test_short();
}
