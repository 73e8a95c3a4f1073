
/*
 * Copyright (C) nginx-mesh authors
 *
 * URLs of Dubbo's providers.
 */


#include "record_test.h"


static void
good(ngx_pool_t *pool, const char *url, const char *name, const char *group,
    const char *version)
{
    ngx_int_t          rc;
    ngx_mesh_record_t  r;

    rc = provider(pool, url, &r);

    ok(rc == NGX_OK && is(&r.ep.name, name) && is(&r.group, group)
       && is(&r.version, version) && is(&r.ep.protocol, "dubbo")
       && is(&r.ep.id, name) && r.ep.sockaddr && r.ep.socklen,
       "%.100s%s%s", url, rc == NGX_OK ? "" : ": ", why);
}


static void
bad(ngx_pool_t *pool, const char *url, const char *reason)
{
    ngx_int_t          rc;
    ngx_mesh_record_t  r;

    rc = provider(pool, url, &r);

    ok(rc == NGX_DECLINED && strcmp(why, reason) == 0, "%.100s: %s", url,
       rc == NGX_OK ? "taken" : why);
}


static void
test_keys(ngx_pool_t *pool)
{
    good(pool, "dubbo://10.0.0.1:20880/a.B", "10.0.0.1:20880", "", "");
    good(pool, "dubbo://10.0.0.1:20880/a.B?group=g&version=1.0",
         "10.0.0.1:20880", "g", "1.0");
    good(pool, "dubbo://10.0.0.1:20880/a.B?version=0.0.0&group=",
         "10.0.0.1:20880", "", "");
    good(pool, "dubbo://10.0.0.1:20880/a.B?version=null&group=null",
         "10.0.0.1:20880", "", "");
    good(pool, "dubbo://10.0.0.1:20880/a.B?default.version=2.0",
         "10.0.0.1:20880", "", "2.0");
    good(pool, "dubbo://10.0.0.1:20880/a.B?version=1&default.version=2",
         "10.0.0.1:20880", "", "1");
    good(pool, "dubbo://10.0.0.1:20880/a.B?version=1&version=2",
         "10.0.0.1:20880", "", "2");
    good(pool, "dubbo://10.0.0.1:20880/a.B?=&&group=g;version=3&=x=y",
         "10.0.0.1:20880", "g", "3");
    good(pool, "dubbo://10.0.0.1:20880?interface=a.B", "10.0.0.1:20880", "",
         "");
    good(pool, "dubbo://10.0.0.1:20880/a.B?category=providers",
         "10.0.0.1:20880", "", "");
    good(pool, "dubbo://u:p@10.0.0.1:20880/a.B#x?y", "10.0.0.1:20880", "", "");

    bad(pool, "dubbo://10.0.0.1:20880/a.B?group=a/b",
        "its group cannot be part of a key");
    bad(pool, "dubbo://10.0.0.1:20880/a.B?version=*",
        "its version cannot be part of a key");
    bad(pool, "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fa.B%3Fversion%3D%00",
        "its version cannot be part of a key");
}


static void
test_addresses(ngx_pool_t *pool)
{
    good(pool, "dubbo://[::1]:20880/a.B", "[::1]:20880", "", "");
    good(pool, "dubbo://[0:0:0:0:0:0:0:1]:20880/a.B", "[::1]:20880", "", "");
    good(pool, "dubbo://fe80:0:0:0:894:aeec:f37d:23e1:20880/a.B",
         "[fe80::894:aeec:f37d:23e1]:20880", "", "");
    good(pool, "dubbo://127.0.0.1:20880/a.B?anyhost=true", "127.0.0.1:20880",
         "", "");

    bad(pool, "dubbo://0.0.0.0:20880/a.B?anyhost=true",
        "its address is that of any host");
    bad(pool, "dubbo://[::]:20880/a.B", "its address is that of any host");
    bad(pool, "dubbo://host.example:20880/a.B",
        "its address is a name, which is not resolved here");
    bad(pool, "dubbo://fe80:0:0:0:894:aeec:f37d:23e1%en0:20880/a.B",
        "its address is a name, which is not resolved here");
    bad(pool, "dubbo://10.0.0.1/a.B", "it has no port");
    bad(pool, "dubbo://10.0.0.1:0/a.B", "it has no port");
    bad(pool, "dubbo://10.0.0.1:/a.B", "it has no port");
    bad(pool, "dubbo://10.0.0.1:65536/a.B",
        "its port is no number up to 65535");
    bad(pool, "dubbo://10.0.0.1:x/a.B", "its port is no number up to 65535");
    bad(pool, "dubbo://:20880/a.B", "it has no address");
    bad(pool, "dubbo:///a.B", "it has no address");
}


static void
test_foreign(ngx_pool_t *pool)
{
    bad(pool, "", "the URL is empty");
    bad(pool, "x", "it is no URL");
    bad(pool, "://", "it is no URL");
    bad(pool, "x?a=b://c", "it is no URL");
    bad(pool, "dubbo%3A%2", "the URL has a damaged escape");
    bad(pool, "dubbo%zz", "the URL has a damaged escape");
    bad(pool, "tri://10.0.0.1:20880/a.B", "its protocol is not dubbo");
    bad(pool, "rest://10.0.0.1:20880/a.B", "its protocol is not dubbo");
    bad(pool, "dubbox://10.0.0.1:20880/a.B", "its protocol is not dubbo");
    bad(pool, "consumer://10.0.0.1/a.B?category=consumers",
        "it is no provider");
    bad(pool, "override://0.0.0.0/a.B?weight=1", "it is no provider");
    bad(pool, "dubbo://10.0.0.1:20880/a.B?category=routers",
        "it is no provider");
    bad(pool, "empty://10.0.0.1/a.B?category=providers", "it is no provider");
    bad(pool, "dubbo://10.0.0.1:20880/a.C",
        "it is of another interface, or path");
    bad(pool, "dubbo://10.0.0.1:20880/ctx/a.B?interface=a.B",
        "it is of another interface, or path");
    bad(pool, "dubbo://10.0.0.1:20880",
        "it is of another interface, or path");
    bad(pool, "dubbo://10.0.0.1:20880/a.B?enabled=false",
        "it has enabled=false");

    /* one port speaks both */

    good(pool, "tri://10.0.0.1:20880/a.B?ext.protocol=rest,dubbo",
         "10.0.0.1:20880", "", "");
    good(pool, "dubbo://10.0.0.1:20880/a.B?ext.protocol=tri&enabled=true",
         "10.0.0.1:20880", "", "");
}


static void
test_encoded(ngx_pool_t *pool)
{
    ngx_int_t          rc;
    ngx_mesh_record_t  r;

    rc = provider(pool, "dubbo%3A%2F%2F10.0.0.1%3a20880%2Fa.B%3Fgroup%3Dg"
                  "%26env%3Dx+y%2bz%26version%3D1.0", &r);

    ok(rc == NGX_OK && is(&r.ep.name, "10.0.0.1:20880") && is(&r.group, "g")
       && is(&r.version, "1.0") && has(&r.ep, "env", "x y+z"),
       "a URL that is encoded as a whole");

    rc = provider(pool, "dubbo://10.0.0.1:20880/a.B?env=a%2Cb", &r);

    ok(rc == NGX_OK && has(&r.ep, "env", "a%2Cb"),
       "what is not encoded is not decoded");
}


static void
weight(ngx_pool_t *pool, const char *params, ngx_uint_t expected)
{
    char               url[200];
    ngx_int_t          rc;
    ngx_mesh_record_t  r;

    snprintf(url, sizeof(url), "dubbo://10.0.0.1:20880/a.B?%s", params);
    rc = provider(pool, url, &r);

    ok(rc == NGX_OK && r.ep.weight == expected, "weight with \"%s\": %lu",
       params, (unsigned long) r.ep.weight);
}


static void
warmup(ngx_pool_t *pool, const char *params, uint64_t started,
    ngx_msec_t expected)
{
    char               url[200];
    ngx_int_t          rc;
    ngx_mesh_record_t  r;

    snprintf(url, sizeof(url), "dubbo://10.0.0.1:20880/a.B?%s", params);
    rc = provider(pool, url, &r);

    ok(rc == NGX_OK && r.ep.started == started && r.ep.warmup == expected
       && r.ep.warmup_weight == 0, "warmup with \"%s\": %lu %lu", params,
       (unsigned long) r.ep.started, (unsigned long) r.ep.warmup);
}


static void
test_weights(ngx_pool_t *pool)
{
    ngx_mesh_record_t  r;

    weight(pool, "", 100);
    weight(pool, "weight=", 100);
    weight(pool, "weight=250", 250);
    weight(pool, "weight=%2B7", 100);
    weight(pool, "weight=+7", 7);
    weight(pool, "weight=0", 0);
    weight(pool, "weight=-5", 0);
    weight(pool, "weight=-", 100);
    weight(pool, "weight=x", 100);
    weight(pool, "weight=99999999", 1000000);
    weight(pool, "weight=99999999999999999999999", 100);
    weight(pool, "sayHello.weight=5", 100);
    weight(pool, "default.weight=5", 5);

    warmup(pool, "", 0, 0);
    warmup(pool, "warmup=1000", 0, 0);
    warmup(pool, "timestamp=1795441502203", 1795441502203ULL, 600000);
    warmup(pool, "timestamp=1795441502203&warmup=1000", 1795441502203ULL,
           1000);
    warmup(pool, "timestamp=1795441502203&warmup=0", 0, 0);
    warmup(pool, "timestamp=1795441502203&warmup=-1", 0, 0);
    warmup(pool, "timestamp=-1", 0, 0);
    warmup(pool, "timestamp=now", 0, 0);

    (void) provider(pool, "dubbo://10.0.0.1:1/a.B?disabled=true", &r);
    ok(r.ep.drain, "disabled=true drains");
    (void) provider(pool, "dubbo://10.0.0.1:1/a.B?disabled=false", &r);
    ok(!r.ep.drain, "disabled=false does not");
}


static void
test_labels(ngx_pool_t *pool)
{
    ngx_mesh_record_t  r, s;

    (void) provider(pool, "dubbo://10.0.0.1:20880/a.B?anyhost=true"
                    "&application=shop&dubbo=2.0.2&dubbo.tag=gray&tag=old"
                    "&environment=test&methods=hello,bye&hello.timeout=5"
                    "&hello.2.callback=true&bye.return=false&pid=7&side=x"
                    "&some.timeout=3&default.retries=2&release=2.7.23"
                    "&prefer.serialization=hessian2,fastjson2&region=eu"
                    "&serialization=hessian2&timestamp=1&token=secret"
                    "&weight=9&zone=z1&own=&my.own=1&twice=1&twice=2&v=2",
                    &r);

    ok(has(&r.ep, "application", "shop") && has(&r.ep, "dubbo.tag", "gray")
       && has(&r.ep, "tag", "old") && has(&r.ep, "environment", "test")
       && has(&r.ep, "release", "2.7.23") && has(&r.ep, "region", "eu")
       && has(&r.ep, "serialization", "hessian2")
       && has(&r.ep, "prefer.serialization", "hessian2,fastjson2")
       && has(&r.ep, "zone", "z1") && has(&r.ep, "my.own", "1")
       && has(&r.ep, "v", "2"), "what routes may ask for is a label");
    ok(has(&r.ep, "twice", "2"), "the last of several counts");
    ok(is(&r.ep.zone, "z1"), "zone");

    ok(!has(&r.ep, "anyhost", NULL) && !has(&r.ep, "dubbo", NULL)
       && !has(&r.ep, "methods", NULL) && !has(&r.ep, "pid", NULL)
       && !has(&r.ep, "side", NULL) && !has(&r.ep, "timestamp", NULL)
       && !has(&r.ep, "weight", NULL), "what Dubbo tells itself is none");
    ok(!has(&r.ep, "token", NULL), "secrets are none");
    ok(!has(&r.ep, "hello.timeout", NULL)
       && !has(&r.ep, "hello.2.callback", NULL)
       && !has(&r.ep, "bye.return", NULL)
       && !has(&r.ep, "some.timeout", NULL)
       && !has(&r.ep, "default.retries", NULL),
       "settings of methods are none");
    ok(!has(&r.ep, "own", NULL), "without a value there is none");
    ok(r.ep.nlabels == 12, "no others: %lu", (unsigned long) r.ep.nlabels);

    (void) provider(pool, "dubbo://10.0.0.1:1/a.B?b=1&a=2&c=3", &r);
    (void) provider(pool, "dubbo://10.0.0.1:1/a.B?c=3&a=2&b=1", &s);
    ok(r.ep.nlabels == 3 && s.ep.nlabels == 3
       && is(&r.ep.labels[0].key, "a") && is(&s.ep.labels[0].key, "a")
       && is(&r.ep.labels[2].key, "c") && is(&s.ep.labels[2].key, "c"),
       "their order is not the URL's");
}


static void
test_long(ngx_pool_t *pool)
{
    char               *url;
    size_t              n;
    ngx_mesh_record_t   r;

    url = malloc(70000);
    n = sprintf(url, "dubbo://10.0.0.1:20880/a.B?");

    while (n < 65520) {
        n += sprintf(url + n, "k%lu=v&", (unsigned long) n);
    }

    ok(provider(pool, url, &r) == NGX_OK && r.ep.nlabels > 5000,
       "thousands of parameters: %lu", (unsigned long) r.ep.nlabels);

    memset(url + n, 'x', 65535 - n + 1);
    url[65536] = '\0';
    bad(pool, url, "the URL is longer than 65535 bytes");

    n = sprintf(url, "dubbo://10.0.0.1:20880/a.B?long=");
    memset(url + n, 'x', 1000);
    sprintf(url + n + 1000, "&short=1");
    ok(provider(pool, url, &r) == NGX_OK && !has(&r.ep, "long", NULL)
       && has(&r.ep, "short", "1"), "a long value is no label");

    free(url);
}


static void
test_short(ngx_pool_t *unused)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_pool_t         *pool;
    ngx_mesh_record_t   r;

    rc = NGX_ERROR;

    for (i = 1; i < 200 && rc == NGX_ERROR; i++) {
        pool = ngx_create_pool(0, NULL);

        stub_short = i;
        rc = provider(pool, "dubbo://10.0.0.1:20880/a.B?x=1&y=2&zone=z", &r);
        stub_short = 0;

        ngx_destroy_pool(pool);
    }

    ok(rc == NGX_OK && i > 4, "without memory it is an error");
}


void
test_dubbo(ngx_pool_t *pool)
{
    test_keys(pool);
    test_addresses(pool);
    test_foreign(pool);
    test_encoded(pool);
    test_weights(pool);
    test_labels(pool);
    test_long(pool);
    test_short(pool);
}
