
/*
 * Copyright (C) nginx-mesh authors
 *
 * Metrics of one process; prints TAP, or with an argument the text of a
 * region that holds something of everything.
 */


#include "test.h"


#define SIZE   (512 * 1024)

#define CALLS(name, service, method, status)                                  \
    name "{service=\"" service "\",method=\"" method "\",protocol=\"dubbo\"," \
    "status=\"" status "\",result=\"ok\"}"

#define BUCKET(le)                                                            \
    "mesh_request_duration_seconds_bucket{service=\"a\",method=\"m\","        \
    "protocol=\"dubbo\",status=\"20\",result=\"ok\",le=\"" le "\"}"


static void
zone_tests(void)
{
    void             *region, *old;
    ngx_slab_pool_t   shpool;

    ngx_memzero(&shpool, sizeof(ngx_slab_pool_t));
    shpool.log_nomem = 1;

    region = NULL;
    ok(ngx_mesh_metrics_init_zone(&shpool, NGX_MESH_METRICS_MIN_SIZE - 1,
                                  &region) == NGX_ERROR,
       "a budget that is too small");

    stub_no_slab = 1;
    ok(ngx_mesh_metrics_init_zone(&shpool, SIZE, &region) == NGX_ERROR
       && region == NULL && shpool.log_nomem == 1,
       "a zone without room");
    stub_no_slab = 0;

    ok(ngx_mesh_metrics_init_zone(&shpool, NGX_MESH_METRICS_MIN_SIZE,
                                  &region) == NGX_OK,
       "the smallest budget");

    old = region;
    ok(ngx_mesh_metrics_init_zone(&shpool, NGX_MESH_METRICS_MIN_SIZE,
                                  &region) == NGX_OK && region == old,
       "the region of an old cycle");

    ok(ngx_mesh_metrics_init_zone(&shpool, SIZE, &region) == NGX_DECLINED
       && region == old,
       "the region of an old cycle with another budget");

    ((ngx_mesh_metrics_region_t *) region)->version++;
    ok(ngx_mesh_metrics_init_zone(&shpool, NGX_MESH_METRICS_MIN_SIZE,
                                  &region) == NGX_ERROR,
       "the region of other code");
}


static void
no_region_tests(void)
{
    ngx_mesh_calls_t  *calls;

    (void) ngx_mesh_metrics_init_process(NULL, NULL);

    calls = test_calls("a", "b", 20);
    ok(calls != NULL && test_endpoint("1.2.3.4:5") != NULL,
       "accumulators without a region");

    ngx_mesh_metrics_observe(calls, 1);
    test_endpoint("1.2.3.4:5")->n[0]++;
    test_error("a", NGX_MESH_ERR_TIMEOUT);
    ngx_mesh_metrics_flush();

    ok(test_value("mesh_nomem_total") == 0
       && test_value("mesh_links") == 0
       && test_sum("mesh_requests_total", "{") == 0,
       "text without a region");

    ngx_mesh_metrics_exit_process();
}


static void
calls_tests(test_zone_t *zone)
{
    ngx_uint_t         i;
    ngx_mesh_calls_t  *calls;
    static uint64_t    us[] = { 0, 250, 251, 1000, 1001, 10000000, 10000001 };

    test_zone(zone, SIZE);
    test_process(zone, 3);

    calls = test_calls("a", "m", 20);

    for (i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
        ngx_mesh_metrics_observe(calls, us[i]);
    }

    calls->received += 1234;
    calls->sent += 99;

    ok(test_value(CALLS("mesh_requests_total", "a", "m", "20")) == 7,
       "calls");
    ok(test_value(CALLS("mesh_request_bytes_total", "a", "m", "20")) == 1234,
       "request bytes");
    ok(test_value(CALLS("mesh_response_bytes_total", "a", "m", "20")) == 99,
       "response bytes");

    ok(test_value(BUCKET("0.00025")) == 2, "bucket 0.00025");
    ok(test_value(BUCKET("0.0005")) == 3, "bucket 0.0005");
    ok(test_value(BUCKET("0.001")) == 4, "bucket 0.001");
    ok(test_value(BUCKET("0.0025")) == 5, "bucket 0.0025");
    ok(test_value(BUCKET("5")) == 5, "bucket 5");
    ok(test_value(BUCKET("10")) == 6, "bucket 10");
    ok(test_value(BUCKET("+Inf")) == 7, "bucket +Inf");

    ok(test_value(CALLS("mesh_request_duration_seconds_count", "a", "m", "20"))
       == 7, "count");
    ok(test_value(CALLS("mesh_request_duration_seconds_sum", "a", "m", "20"))
       == 20.002503, "sum");

    ok(test_calls("a", "m", 20) == calls, "the same labels, the same calls");
    ok(test_calls("a", "m", 31) != calls, "another status");
    ok(test_calls("am", "", 20) != test_calls("a", "munknown", 20),
       "labels do not run together");
    ok(test_calls("a", NULL, 20) == test_calls("a", "unknown", 20),
       "no name is \"unknown\"");

    ngx_mesh_metrics_observe(calls, 1);
    ok(test_value(CALLS("mesh_requests_total", "a", "m", "20")) == 8,
       "calls are added up");

    ok(test_value(CALLS("mesh_requests_total", "a", "m", "31")) == 0,
       "a series begins with 0");
    ok(test_sum("mesh_requests_total", "\"other\"") == 0,
       "\"other\" is not shown before it is needed");
}


static void
other_tests(test_zone_t *zone)
{
    int                         status;
    pid_t                       pid;
    ngx_mesh_endpoint_stats_t  *stats;

    stats = test_endpoint("10.0.0.1:20880");
    stats->n[NGX_MESH_E_REQUESTS] += 5;
    stats->n[NGX_MESH_E_RECEIVED] += 7;

    ok(test_value("mesh_endpoint_requests_total{endpoint=\"10.0.0.1:20880\"}")
       == 5, "requests of an endpoint");
    ok(test_value("mesh_endpoint_received_bytes_total"
                  "{endpoint=\"10.0.0.1:20880\"}") == 7,
       "bytes of an endpoint");
    ok(test_endpoint("10.0.0.1:20880") == stats, "the same endpoint");

    test_error("a", NGX_MESH_ERR_TIMEOUT);
    test_error("a", NGX_MESH_ERR_TIMEOUT);
    test_error("a", NGX_MESH_ERR_DENIED);
    test_error("b", NGX_MESH_ERR_TIMEOUT);
    test_error("b", NGX_MESH_ERR_NONE);
    test_error("b", NGX_MESH_ERR_N);

    ok(test_value("mesh_errors_total{service=\"a\",error=\"error_4\"}") == 2,
       "errors");
    ok(test_sum("mesh_errors_total", "") == 4, "all errors");

    ngx_mesh_count(NGX_MESH_M_CLOSE);
    ngx_mesh_count(NGX_MESH_M_CLOSE);
    ngx_mesh_count(NGX_MESH_M_NOMEM);

    ok(test_value("mesh_io_total{op=\"close\"}") == 2, "labelled counter");
    ok(test_value("mesh_nomem_total") == 1, "plain counter");

    /* a process that ends well, and one that is killed */

    ngx_mesh_gauge(NGX_MESH_G_LINKS, 3);
    ngx_mesh_metrics_flush();

    pid = fork();

    if (pid == 0) {
        test_process(zone, 4);
        ngx_mesh_gauge(NGX_MESH_G_LINKS, 5);
        _exit(test_value("mesh_links") == 8 ? 0 : 1);
    }

    waitpid(pid, &status, 0);
    ok(status == 0, "gauges of two processes");
    ok(ngx_mesh_metrics_row(zone->region, 4)->value[NGX_MESH_G_LINKS] == 5
       && test_value("mesh_links") == 3,
       "gauges of a killed process");

    ngx_mesh_gauge(NGX_MESH_G_LINKS, -4);
    ok(test_value("mesh_links") == -1, "a gauge that is wrong is seen");

    ngx_mesh_metrics_exit_process();
    ok(ngx_mesh_metrics_row(zone->region, 3)->pid == 0
       && ngx_mesh_metrics_row(zone->region, 3)->value[NGX_MESH_G_LINKS] == 0,
       "gauges of a process that ended");

    test_process(zone, 4);
    ok(test_value("mesh_links") == 0, "gauges of a successor");
    ok(test_value("mesh_io_total{op=\"close\"}") == 2,
       "counters stay after a process");
}


static void
label_tests(test_zone_t *zone)
{
    char               name[600], sample[1024];
    ngx_uint_t         n;
    ngx_mesh_calls_t  *calls;

    test_zone(zone, SIZE);
    test_process(zone, 0);

    ngx_mesh_metrics_observe(test_calls("q\"b\\n\nz", "m", 20), 1);
    ok(test_value(CALLS("mesh_requests_total", "q\\\"b\\\\n\\nz", "m", "20"))
       == 1, "escapes");

    ngx_mesh_metrics_observe(test_calls("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "m", 20), 1);
    ok(test_value(CALLS("mesh_requests_total",
                        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "m", "20"))
       == 1, "UTF-8");

    calls = test_calls("a\xff\x01\x7f" "b", "m\xc3", 20);
    ngx_mesh_metrics_observe(calls, 1);
    ok(test_value(CALLS("mesh_requests_total", "a???b", "m?", "20")) == 1,
       "bytes that are no UTF-8");
    ok(test_calls("a?\xfe\xfd" "b", "m\xe2", 20) == calls
       && test_calls("a???b", "m?", 20) == calls,
       "other bytes that look the same are the same series");

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    calls = test_calls(name, "m", 20);
    ngx_mesh_metrics_observe(calls, 1);

    snprintf(sample, sizeof(sample), CALLS("mesh_requests_total", "%.256s",
             "m", "20"), name);
    ok(test_value(sample) == 1, "a long name is cut");

    name[400] = 'y';
    ok(test_calls(name, "m", 20) == calls, "another name with that beginning");

    memcpy(name + 255, "\xe2\x82\xac", 3);
    ngx_mesh_metrics_observe(test_calls(name, "m", 20), 1);
    snprintf(sample, sizeof(sample), CALLS("mesh_requests_total", "%.255s",
             "m", "20"), name);
    ok(test_value(sample) == 1, "not within a character");

    memset(name, '\x80', 400);
    ngx_mesh_metrics_observe(test_calls(name, "m", 20), 1);
    ok(test_sum("mesh_requests_total{service=\"????????", "") == 1,
       "a long name that is all middles of characters");

    memset(name, '"', 512);
    calls = test_calls(name, name, 20);
    ngx_mesh_metrics_observe(calls, 1);
    ok(test_sum("mesh_requests_total{service=\"\\\"\\\"", "") == 1,
       "the longest labels");

    n = stub_allocs;
    name[500] = '\0';
    ok(test_calls(name, name, 20) == calls && stub_allocs == n,
       "they need no memory twice");

    ok(test_sane(zone) == NULL, "all cells are sane");
}


static void
budget_tests(test_zone_t *zone)
{
    char        name[32];
    ngx_uint_t  i, n;

    test_zone(zone, SIZE);
    test_process(zone, 0);
    stub_warnings = 0;

    /* one service, whose methods the client invents */

    for (i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "m%d", (int) i);
        ngx_mesh_metrics_observe(test_calls("evil", name, 20), 1);
    }

    ok(zone->region->used < zone->region->arena_size / 7,
       "one service cannot have it all");
    ok(test_sum("mesh_requests_total{service=\"evil\"", "") == 10000,
       "none of its calls is lost");

    n = (ngx_uint_t) test_value(CALLS("mesh_requests_total", "evil", "other",
                                      "20"));
    ok(n > 5000 && n < 10000, "the rest is method=\"other\"");
    ok(test_value("mesh_series_dropped_total") == n, "they are counted");
    ok(stub_warnings == 1, "they are logged once");

    test_calls("evil", "new", 31);
    ok(test_calls("evil", "newer", 31) == test_calls("evil", "other", 31),
       "another status of it has its own \"other\"");

    for (i = 0; i < 10000; i++) {
        ngx_mesh_metrics_observe(test_calls("evil", "m", 100 + i), 1);
    }

    ok(test_sum("mesh_requests_total", "") == 20000
       && zone->region->used < zone->region->arena_size / 3,
       "statuses are bounded, too");

    ngx_mesh_metrics_observe(test_calls("good", "m", 20), 1);
    ok(test_value(CALLS("mesh_requests_total", "good", "m", "20")) == 1,
       "another service has room");

    ok(test_sane(zone) == NULL, "all cells are sane");
}


static void
services_tests(test_zone_t *zone)
{
    char        name[32];
    size_t      used;
    ngx_uint_t  i, allocs, locks;

    test_zone(zone, SIZE);
    test_process(zone, 0);

    for (i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "s%d", (int) i);
        ngx_mesh_metrics_observe(test_calls(name, "m", 20), 1);
    }

    ok(zone->region->spent[NGX_MESH_METRICS_CALLS]
       <= zone->region->arena_size / 8 * 6,
       "calls cannot have it all");
    ok(test_sum("mesh_requests_total", "") == 10000,
       "none of the calls is lost");
    ok(test_value(CALLS("mesh_requests_total", "other", "other", "20")) > 5000,
       "the rest is service=\"other\"");

    used = zone->region->used;
    allocs = stub_allocs;
    locks = stub_locks;

    for (i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "t%d", (int) i);
        ngx_mesh_metrics_observe(test_calls(name, "m", 20), 1);
    }

    ok(used == zone->region->used && allocs == stub_allocs,
       "unknown names take no memory then");
    ok(locks == stub_locks, "nor the lock");

    for (i = 0; i < 10000; i++) {
        test_calls("x", "y", i);
    }

    ngx_mesh_metrics_observe(test_calls("x", "y", i), 1);
    ok(test_value("mesh_requests_total{service=\"other\",method=\"other\","
                  "protocol=\"other\",status=\"0\",result=\"other\"}") == 1,
       "the last resort");

    test_endpoint("10.0.0.1:1")->n[NGX_MESH_E_CONNECTS]++;
    ok(test_value("mesh_endpoint_connects_total{endpoint=\"10.0.0.1:1\"}")
       == 1, "endpoints have room");

    for (i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "10.0.0.2:%d", (int) i);
        test_endpoint(name)->n[NGX_MESH_E_CONNECTS]++;
    }

    ok(test_sum("mesh_endpoint_connects_total", "") == 10001
       && test_value("mesh_endpoint_connects_total{endpoint=\"other\"}") > 1000,
       "and an \"other\"");

    test_error("a", NGX_MESH_ERR_TIMEOUT);
    ok(test_value("mesh_errors_total{service=\"a\",error=\"error_4\"}") == 1,
       "errors have room");

    for (i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "s%d", (int) i);
        test_error(name, NGX_MESH_ERR_TIMEOUT);
    }

    ok(test_sum("mesh_errors_total", "") == 10001
       && test_value("mesh_errors_total{service=\"other\",error=\"error_4\"}")
          > 1000,
       "and an \"other\"");

    ok(test_sane(zone) == NULL, "all cells are sane");
}


static void
part_tests(void)
{
    char                       *all, *text, name[32];
    size_t                      n;
    ngx_buf_t                  *b;
    ngx_int_t                   rc;
    ngx_uint_t                  parts;
    ngx_pool_t                 *pool;
    ngx_mesh_metrics_cursor_t   cursor;

    /* the region is full of series from the tests before */

    all = test_text();
    text = malloc(strlen(all) + 1);
    n = 0;
    parts = 0;

    ngx_memzero(&cursor, sizeof(ngx_mesh_metrics_cursor_t));
    pool = ngx_create_pool(0, NULL);

    do {
        b = ngx_create_temp_buf(pool, NGX_MESH_METRICS_BUFFER);
        rc = ngx_mesh_metrics_text_part(&cursor, b);

        if (n + (b->last - b->pos) > strlen(all)) {
            break;
        }

        memcpy(text + n, b->pos, b->last - b->pos);
        n += b->last - b->pos;
        parts++;

        /* what comes meanwhile waits for the next scrape */

        snprintf(name, sizeof(name), "later%d", (int) parts);
        test_endpoint(name);

    } while (rc == NGX_AGAIN && b->last != b->pos);

    text[n] = '\0';

    ok(parts > 5 && rc == NGX_OK && strcmp(all, text) == 0,
       "the text in %d parts", (int) parts);

    stub_free(pool);
    free(all);
    free(text);
}


static void
print_all(void)
{
    char         *text;
    ngx_uint_t    i, j;
    test_zone_t   zone;

    test_zone(&zone, SIZE);
    test_process(&zone, 0);

    for (i = 0; i < 50; i++) {
        for (j = 0; j < 10; j++) {
            ngx_mesh_metrics_observe(test_calls("\xff\"\\\n", i & 1 ? "m" : "n",
                                                i), i * j * 1000);
        }
    }

    test_calls("", NULL, 20);
    test_endpoint("[::1]:20880")->n[NGX_MESH_E_SENT] = 1;
    test_error("com.example.Greeter:1.0.0", NGX_MESH_ERR_OVERLOAD);

    text = test_text();
    fputs(text, stdout);
    free(text);
}


int
main(int argc, char **argv)
{
    test_zone_t  zone;

    if (argc > 1) {
        print_all();
        return 0;
    }

    zone_tests();
    no_region_tests();
    calls_tests(&zone);
    other_tests(&zone);
    label_tests(&zone);
    budget_tests(&zone);
    services_tests(&zone);
    part_tests();

    test_processes();

    return test_done();
}
