
/*
 * Copyright (C) nginx-mesh authors
 *
 * Configurators: which providers they are for, and what they do to them.
 */


#include "record_test.h"


static ngx_array_t  records;
static ngx_array_t  urls;
static ngx_str_t    unsupported;


static void
begin(ngx_pool_t *pool)
{
    ngx_uint_t          i;
    ngx_mesh_record_t  *r;

    static const char  *providers[] = {
        "dubbo://10.0.0.1:20880/a.B?application=p&side=provider&timestamp=5",
        "dubbo://10.0.0.2:20880/a.B?application=p&weight=40&dubbo.tag=gray",
        "dubbo://10.0.0.1:20881/a.B?application=q&group=g&version=1.0"
    };

    (void) ngx_array_init(&records, pool, 4, sizeof(ngx_mesh_record_t));
    (void) ngx_array_init(&urls, pool, 4, sizeof(ngx_str_t));

    for (i = 0; i < 3; i++) {
        r = ngx_array_push(&records);
        (void) provider(pool, providers[i], r);
    }
}


static void
rule(const char *url)
{
    ngx_str_t  *text;

    text = ngx_array_push(&urls);
    *text = str(url);
}


/* the weights that follow, a - for one that drains */

static void
expect(ngx_pool_t *pool, const char *expected, const char *what)
{
    char                weights[100], *p;
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_mesh_record_t  *r;

    rc = ngx_mesh_record_configure(&urls, &records, pool, &unsupported);
    r = records.elts;
    p = weights;

    for (i = 0; i < records.nelts; i++) {
        p += sprintf(p, "%s%s%lu", i ? " " : "", r[i].ep.drain ? "-" : "",
                     (unsigned long) r[i].ep.weight);
    }

    ok(rc == NGX_OK && strcmp(weights, expected) == 0, "%s: %s", what,
       weights);

    begin(pool);
}


static void
one(ngx_pool_t *pool, const char *url, const char *expected)
{
    rule(url);
    expect(pool, expected, url);
}


static void
test_match(ngx_pool_t *pool)
{
    expect(pool, "100 40 100", "no rule");

    one(pool, "override://0.0.0.0/a.B?weight=7", "7 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&group=g&version=1.0",
        "100 40 7");
    one(pool, "override://0.0.0.0/a.B?weight=7&version=0.0.0", "7 7 100");
    one(pool, "override://0.0.0.0/*?weight=7", "7 7 7");
    one(pool, "override://0.0.0.0/a.B?weight=7&enabled=false", "100 40 100");
    one(pool, "override%3A%2F%2F0.0.0.0%2Fa.B%3Fweight%3D7", "7 7 100");

    /* an address with a port is a provider's */

    one(pool, "override://10.0.0.1:20880/a.B?weight=7", "7 40 100");
    one(pool, "override://10.0.0.1:20881/a.B?weight=7&group=g&version=1.0",
        "100 40 7");
    one(pool, "override://10.0.0.9:20880/a.B?weight=7", "100 40 100");
    one(pool, "override://0.0.0.0:20880/a.B?weight=7", "7 7 100");

    /* one without a port is a consumer's */

    one(pool, "override://10.0.0.1/a.B?weight=7", "100 40 100");

    /* an application is that of the provider */

    one(pool, "override://0.0.0.0/a.B?weight=7&application=p", "7 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&application=shop",
        "100 40 100");
    one(pool, "override://shop@0.0.0.0/a.B?weight=7", "100 40 100");
    one(pool, "override://p@0.0.0.0/a.B?weight=7", "7 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&application=*", "7 7 100");
}


static void
test_conditions(ngx_pool_t *pool)
{
    one(pool, "override://0.0.0.0/a.B?weight=7&~dubbo.tag=gray", "100 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&~dubbo.tag=*", "7 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&side=consumer", "7 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&side=provider", "7 7 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&side=x", "100 40 100");

    /* since 2.7 */

    one(pool, "override://0.0.0.0/a.B?weight=7&configVersion=2.7",
        "100 40 100");
    one(pool, "override://0.0.0.0/a.B?weight=7&configVersion=2.7"
        "&side=consumer", "7 7 100");
    one(pool, "override://10.0.0.1/a.B?weight=7&configVersion=2.7"
        "&side=provider", "7 40 100");
    one(pool, "override://10.0.0.1/a.B?weight=7&configVersion=2.7"
        "&side=consumer", "100 40 100");
    one(pool, "override://0.0.0.0/a.B?weight=7"
        "&providerAddresses=10.0.0.3,10.0.0.2:20880", "100 7 100");
    one(pool, "override://0.0.0.0/*?weight=7&providerAddresses=0.0.0.0:20881",
        "100 40 7");
    one(pool, "override://0.0.0.0/*?weight=7&providerAddresses=0.0.0.0:*",
        "7 7 7");
    one(pool, "override://0.0.0.0/*?weight=7&providerAddresses=10.0.0.1",
        "7 40 7");
}


static void
test_order(ngx_pool_t *pool)
{
    rule("override://10.0.0.1:20880/a.B?weight=1");
    rule("override://0.0.0.0/a.B?weight=2");
    expect(pool, "1 2 100", "an address is stronger than any");

    rule("override://0.0.0.0/a.B?weight=1&priority=5");
    rule("override://0.0.0.0/a.B?weight=2");
    rule("override://0.0.0.0/a.B?weight=3&priority=-1");
    expect(pool, "1 1 100", "then priority counts");

    rule("override://0.0.0.0/a.B?weight=1");
    rule("override://0.0.0.0/a.B?weight=2");
    expect(pool, "2 2 100", "then the last one");

    rule("override://0.0.0.0/a.B?weight=1");
    rule("empty://0.0.0.0/a.B?category=configurators");
    rule("override://0.0.0.0/a.B?disabled=true");
    expect(pool, "100 40 100", "\"empty\" takes away all rules");

    rule("override://0.0.0.0/a.B?anyhost=true");
    rule("nonsense");
    rule("override%3A%2");
    rule("override://host.example/a.B?weight=3");
    rule("override:///a.B?weight=3");
    rule("condition://0.0.0.0/a.B?weight=3");
    expect(pool, "100 40 100", "what is no rule does nothing");
    ok(unsupported.len == 0, "... and is not told");
}


static void
test_effects(ngx_pool_t *pool)
{
    ngx_mesh_record_t  *r;

    one(pool, "absent://0.0.0.0/a.B?weight=7", "7 40 100");
    one(pool, "override://0.0.0.0/a.B?weight=x", "100 40 100");
    one(pool, "override://0.0.0.0/a.B?weight=-3", "0 0 100");
    one(pool, "override://10.0.0.1:20880/a.B?disabled=true", "-100 40 100");

    rule("override://0.0.0.0/a.B?disabled=true");
    rule("override://10.0.0.1:20880/a.B?disabled=false");
    expect(pool, "100 -40 100", "all but one are disabled");

    r = records.elts;
    (void) provider(pool, "dubbo://10.0.0.1:20880/a.B?disabled=true", &r[0]);
    one(pool, "override://10.0.0.1:20880/a.B?disabled=false", "100 40 100");

    rule("override://0.0.0.0/a.B?warmup=1000");
    (void) ngx_mesh_record_configure(&urls, &records, pool, &unsupported);
    r = records.elts;
    ok(r[0].ep.warmup == 1000 && r[1].ep.warmup == 0,
       "warmup of what has a start");
    begin(pool);

    rule("override://0.0.0.0/a.B?category=configurators&dynamic=false"
         "&enabled=true&weight=3&timeout=1000&mock=force:return+null");
    rule("override://0.0.0.0/a.B?application=shop&retries=0");
    rule("override://10.0.0.1:20880/a.B?timeout=1&hello.weight=5&priority=1");
    (void) ngx_mesh_record_configure(&urls, &records, pool, &unsupported);
    ok(is(&unsupported, "parameters of configurators: hello.weight, mock, "
                        "timeout"), "what has no effect is told: %.*s",
       (int) unsupported.len, unsupported.data);
    begin(pool);

    urls.nelts = 0;
    r = ngx_array_push(&records);
    (void) provider(pool, "dubbo://10.0.0.1:20880/a.B?timestamp=9", r);
    (void) ngx_mesh_record_configure(&urls, &records, pool, &unsupported);
    ok(unsupported.len == 0, "... or nothing");

    r = records.elts;
    ok(records.nelts == 3 && r[0].ep.started == 9,
       "of a process that came back the new one is taken");
}


void
test_rules(ngx_pool_t *pool)
{
    begin(pool);

    test_match(pool);
    test_conditions(pool);
    test_order(pool);
    test_effects(pool);
}
