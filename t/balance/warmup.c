
/*
 * Copyright (C) nginx-mesh authors
 *
 * Shares of endpoints whose weights grow; prints TAP.
 */


#include "unit.h"
#include "ngx_mesh_proxy_int.h"


#define STARTED  1795441502203ULL
#define WARMUP   600000
#define CALLS    20000


static ngx_time_t           now;
volatile ngx_time_t        *ngx_cached_time = &now;
volatile ngx_msec_t         ngx_current_msec;

static ngx_mesh_view_t      view;
static ngx_mesh_peer_t      peers[3];
static ngx_mesh_member_t    members[3];
static ngx_mesh_endpoint_t  endpoints[3];


ngx_uint_t
ngx_mesh_peer_state(ngx_mesh_member_t *m, size_t size)
{
    return m->down ? NGX_MESH_PEER_DOWN : 0;
}


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf += sprintf((char *) buf, "%lu",
                   (unsigned long) va_arg(args, ngx_uint_t));
    va_end(args);

    return buf;
}


static void
at(uint64_t ms)
{
    now.sec = ms / 1000;
    now.msec = ms % 1000;
    ngx_current_msec = ms;
}


static void
begin(ngx_uint_t balancer)
{
    ngx_uint_t          i;

    static const char  *names[] = { "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1" };

    ngx_memzero(&view, sizeof(view));
    ngx_memzero(peers, sizeof(peers));
    ngx_memzero(members, sizeof(members));

    for (i = 0; i < 3; i++) {
        members[i].peer = &peers[i];
        members[i].endpoint = &endpoints[i];
        members[i].weight = endpoints[i].weight;
        members[i].down = (members[i].weight == 0);
        peers[i].name = str(names[i]);
    }

    view.members = members;
    view.nmembers = 3;
    view.balancer = balancer;

    (void) ngx_mesh_balancer_init(&view);
}


/* percents of the calls that the third one gets */

static double
share(void)
{
    ngx_uint_t          i, n, err;
    ngx_mesh_member_t  *m;

    for (i = 0, n = 0; i < CALLS; i++) {
        m = ngx_mesh_balancer_pick(&view, 0, 0, NULL, &err);
        n += (m == &members[2]);
    }

    return 100.0 * n / CALLS;
}


static void
near(double expected, double exact, const char *what)
{
    double  found;

    found = share();

    ok(found > expected - exact && found < expected + exact, "%s: %.1f%%",
       what, found);
}


static void
test_weight(void)
{
    ngx_mesh_endpoint_t  ep;

    ngx_memzero(&ep, sizeof(ep));

    ep.weight = 100;
    ok(ngx_mesh_endpoint_weight(&ep, STARTED) == 100, "without warm-up");

    ep.started = STARTED;
    ep.warmup = WARMUP;
    ok(ngx_mesh_endpoint_weight(&ep, STARTED) == 1, "at its start");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED - 3600000) == 1, "before it");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 5999) == 1, "soon after");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 12000) == 2, "later");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 300000) == 50, "half of it");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 599999) == 99, "at the end");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 600000) == 100, "after it");

    ep.weight = 0;
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 1) == 0, "0 stays 0");

    ep.weight = 1000000;
    ep.warmup = 0x7fffffff;
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 0x3fffffff) == 499999,
       "large numbers");

    ep.weight = 100;
    ep.warmup = 1000;
    ep.warmup_weight = 7;
    ok(ngx_mesh_endpoint_weight(&ep, STARTED - 1) == 7
       && ngx_mesh_endpoint_weight(&ep, STARTED + 999) == 7, "a step");
    ok(ngx_mesh_endpoint_weight(&ep, STARTED + 1000) == 100, "... ends");
}


/* what the third one gets when all have the same weight in the end */

static void
test_shares(ngx_uint_t balancer, double exact, const char *name)
{
    char  what[100];

    at(STARTED + 60000);
    begin(balancer);
    snprintf(what, sizeof(what), "%s, a tenth", name);
    near(100.0 * 10 / 210, exact, what);

    at(STARTED + 300000);
    snprintf(what, sizeof(what), "%s, half", name);
    near(100.0 * 50 / 250, exact, what);

    at(STARTED + WARMUP);
    snprintf(what, sizeof(what), "%s, all", name);
    near(100.0 / 3, exact, what);
    ok(view.warm == 0 || !members[2].warming,
       "... and its age is looked at no more");
}


static void
test_balancers(void)
{
    ngx_uint_t  i;

    ngx_memzero(endpoints, sizeof(endpoints));

    for (i = 0; i < 3; i++) {
        endpoints[i].weight = 100;
    }

    endpoints[2].started = STARTED;
    endpoints[2].warmup = WARMUP;

    test_shares(NGX_MESH_BALANCER_ROUND_ROBIN, 0.1, "round_robin");
    test_shares(NGX_MESH_BALANCER_LEAST_REQUEST, 0.1, "least_request");
    test_shares(NGX_MESH_BALANCER_RANDOM, 3, "random");

    /* old ones cost nothing */

    at(STARTED + WARMUP);
    begin(NGX_MESH_BALANCER_ROUND_ROBIN);
    ok(view.warm == 0 && !members[2].warming, "an old process is warm");

    /* all of them are new */

    for (i = 0; i < 2; i++) {
        endpoints[i] = endpoints[2];
        endpoints[i].weight = 200;
    }

    at(STARTED + 300000);
    begin(NGX_MESH_BALANCER_RANDOM);
    near(20, 3, "random, all are new");
    begin(NGX_MESH_BALANCER_ROUND_ROBIN);
    near(20, 0.1, "round_robin, all are new");

    endpoints[0].weight = 0;
    begin(NGX_MESH_BALANCER_ROUND_ROBIN);
    near(100.0 / 3, 0.1, "... one of which has no weight");

    endpoints[2].warmup_weight = 25;
    begin(NGX_MESH_BALANCER_ROUND_ROBIN);
    near(20, 0.1, "... one of which steps");

    /* it was left out, too: both count */

    peers[2].starting = 1;
    peers[2].slow_start = 1000;
    peers[2].recovered = ngx_current_msec - 500;
    near(100.0 * 12 / 112, 0.1, "slow start on top");
}


static void
test_hash(void)
{
    uint32_t            hash;
    ngx_uint_t          err, moved;
    ngx_mesh_member_t  *before[1000];

    at(STARTED);
    begin(NGX_MESH_BALANCER_HASH);

    for (hash = 1; hash < 1000; hash++) {
        before[hash] = ngx_mesh_balancer_pick(&view, hash * 4000037, 0, NULL,
                                              &err);
    }

    at(STARTED + WARMUP);

    for (hash = 1, moved = 0; hash < 1000; hash++) {
        moved += before[hash] != ngx_mesh_balancer_pick(&view, hash * 4000037,
                                                        0, NULL, &err);
    }

    ok(moved == 0, "hash stays where it is");
    ngx_free(view.points);
}


int
main(int argc, char *argv[])
{
    srandom(1);

    test_weight();
    test_balancers();
    test_hash();

    return test_done();
}
