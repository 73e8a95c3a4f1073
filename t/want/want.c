
/*
 * Copyright (C) nginx-mesh authors
 *
 * What may still be heard of an interface, and how many are wanted; prints
 * TAP.
 */


#include "unit.h"
#include "ngx_mesh_want.h"


#define REGION  (1024 * 1024)


static ngx_mesh_store_t        store;
static ngx_log_t               log_stub;
static ngx_pool_t             *pool;
static ngx_uint_t              starting;
static ngx_uint_t              conflicts;    /* commits others get before */

static ngx_mesh_want_source_t  sources[3];

volatile ngx_msec_t            ngx_current_msec;
ngx_pid_t                      ngx_pid = 4711;


static void
stub_lock(void *data)
{
    /* void */
}


ngx_mesh_store_t *
ngx_mesh_live(void)
{
    return &store;
}


ngx_uint_t
ngx_mesh_live_commit(ngx_mesh_store_op_t *ops, ngx_uint_t n, uint64_t expect,
    ngx_uint_t dry, ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    if (conflicts && expect) {
        conflicts--;
        return NGX_MESH_STORE_CONFLICT;
    }

    return ngx_mesh_store_commit(&store, ops, n, expect, dry, result, log);
}


void *
ngx_slab_calloc(ngx_slab_pool_t *sp, size_t size)
{
    return calloc(1, size);
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    va_list     args;
    ngx_str_t  *s;

    va_start(args, fmt);
    s = va_arg(args, ngx_str_t *);
    va_end(args);

    ngx_memcpy(buf, s->data, s->len);
    buf[s->len] = '\0';

    return buf + s->len + 1;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    /* void */
}


static ngx_uint_t
is_starting(ngx_str_t *source)
{
    return starting;
}


static void
fresh(ngx_uint_t n)
{
    static void  *region;

    free(region);
    region = aligned_alloc(64, REGION);

    (void) ngx_mesh_store_format(region, REGION, 1);
    (void) ngx_mesh_store_attach(&store, region, REGION);

    store.lock = stub_lock;
    store.unlock = stub_lock;

    ngx_memzero(sources, sizeof(sources));

    sources[0].name = str("one");
    sources[0].lazy = 1;
    sources[0].max_services = 5;
    sources[1].name = str("two");
    sources[1].lazy = 1;
    sources[1].max_services = 8;
    sources[2].name = str("all");
    sources[2].all = 1;

    starting = 0;
    ngx_mesh_want_starting = is_starting;
    ngx_mesh_want_sources(sources, n);
}


static void
put(ngx_mesh_store_op_t *op)
{
    ngx_mesh_store_result_t  result;

    (void) ngx_mesh_store_commit(&store, op, 1, 0, 0, &result, &log_stub);
}


static void
answer(const char *name, const char *registry, ngx_uint_t known,
    ngx_uint_t found)
{
    ngx_str_t            s, r;
    ngx_mesh_answer_t    a;
    ngx_mesh_store_op_t  op;

    s = str(name);
    r = str(registry);

    ngx_memzero(&a, sizeof(ngx_mesh_answer_t));
    a.known = (known != 0);
    a.found = found;

    (void) ngx_mesh_item_put_answer(&op, &s, &r, &a, pool);
    put(&op);
}


static void
service(const char *name, const char *owner, const char *registries)
{
    ngx_str_t            s;
    ngx_mesh_service_t   service;
    ngx_mesh_store_op_t  op;

    ngx_memzero(&service, sizeof(ngx_mesh_service_t));

    s = str(name);
    (void) ngx_mesh_table_parse_key(&s, &service);
    service.owner = str(owner);
    service.registries = str(registries);

    (void) ngx_mesh_item_put_service(&op, &service, pool);
    put(&op);
}


static ngx_uint_t
want(const char *name)
{
    ngx_str_t   s;
    ngx_uint_t  n;

    s = str(name);
    n = 1;

    return ngx_mesh_want_commit(&s, &n, pool, &log_stub) == NGX_MESH_STORE_OK
           ? n : 0;
}


static ngx_uint_t
state(const char *name)
{
    ngx_str_t  s;

    s = str(name);

    return ngx_mesh_want_state(&s);
}


static void
test_lazy(void)
{
    fresh(0);
    ok(state("a.B") == NGX_MESH_WANT_SETTLED, "no registry: nothing");

    fresh(2);
    ok(state("a.B") == NGX_MESH_WANT_UNASKED, "nobody wants it yet");
    ok(want("a.B") == 1 && state("a.B") == NGX_MESH_WANT_PENDING,
       "wanted: an answer is on its way");

    answer("a.B", "one", 1, 0);
    ok(state("a.B") == NGX_MESH_WANT_PENDING, "... of each registry");
    answer("a.B", "two", 0, 0);
    ok(state("a.B") == NGX_MESH_WANT_PENDING, "... a good one");
    answer("a.B", "two", 1, 3);
    ok(state("a.B") == NGX_MESH_WANT_SETTLED, "... now they are there");

    ok(state("a.BC") == NGX_MESH_WANT_UNASKED
       && state("a") == NGX_MESH_WANT_UNASKED, "names are not prefixes");

    answer("a.C", "one", 1, 0);
    answer("a.C", "two", 1, 0);
    ok(state("a.C") == NGX_MESH_WANT_UNASKED,
       "answers nobody wanted are nobody's");
}


static void
test_listed(void)
{
    fresh(3);

    service("a.B:1.0", "config", "");
    ok(state("a.B") == NGX_MESH_WANT_PENDING,
       "what is declared need not be wanted");
    answer("a.B", "one", 1, 0);
    answer("a.B", "two", 1, 0);
    ok(state("a.B") == NGX_MESH_WANT_PENDING, "... each registry is asked");
    answer("a.B", "all", 1, 0);
    ok(state("a.B") == NGX_MESH_WANT_SETTLED, "... and has answered");

    service("a.C", "api", "two,three");
    ok(state("a.C") == NGX_MESH_WANT_PENDING, "of some registries");
    answer("a.C", "two", 1, 0);
    ok(state("a.C") == NGX_MESH_WANT_SETTLED, "... others are not");

    service("a.D:1", "config", "off");
    service("a.D:2", "api", "one");
    ok(state("a.D") == NGX_MESH_WANT_PENDING, "two services of an interface");
    answer("a.D", "one", 1, 0);
    ok(state("a.D") == NGX_MESH_WANT_SETTLED, "... add up");

    service("a.E", "two", "");
    ok(state("a.E") == NGX_MESH_WANT_UNASKED,
       "what a registry brought is not declared");
}


static void
test_all(void)
{
    fresh(3);
    ngx_mesh_want_sources(&sources[2], 1);

    ok(state("a.B") == NGX_MESH_WANT_SETTLED && !ngx_mesh_want_begins(),
       "a catalog that was read has it, or it is not there");

    starting = 1;
    ok(state("a.B") == NGX_MESH_WANT_STARTING && ngx_mesh_want_begins(),
       "... one that was not may have it");

    starting = 0;
    answer("a.B", "all", 0, 0);
    ok(state("a.B") == NGX_MESH_WANT_PENDING, "one that has it, unread");
    answer("a.B", "all", 1, 0);
    ok(state("a.B") == NGX_MESH_WANT_SETTLED, "... and read");
}


static void
test_names(void)
{
    char         name[1024];
    ngx_uint_t   i;
    static char  *bad[] = { "", "a b", "a/b", "a:b", "a*", "a?", "a[b]", "%41",
                            "../a", "a\tb", "a#", "a,b", NULL };

    fresh(2);

    for (i = 0; bad[i]; i++) {
        ok(state(bad[i]) == NGX_MESH_WANT_SETTLED, "no name %u",
           (unsigned) i);
    }

    memset(name, 'x', sizeof(name));
    name[513] = '\0';
    ok(state(name) == NGX_MESH_WANT_SETTLED, "too long");
    name[512] = '\0';
    ok(state(name) == NGX_MESH_WANT_UNASKED, "... not yet");
    ok(state("com.example.A$B_c-2") == NGX_MESH_WANT_UNASKED, "a name");
}


static void
test_limit(void)
{
    char        names[8][8];
    ngx_str_t   s[8];
    ngx_uint_t  i, n;

    fresh(2);

    for (i = 0; i < 8; i++) {
        (void) sprintf(names[i], "a.%u", (unsigned) i);
        s[i] = str(names[i]);
    }

    n = 3;
    ok(ngx_mesh_want_commit(s, &n, pool, &log_stub) == NGX_MESH_STORE_OK
       && n == 3, "three are wanted");
    n = 3;
    ok(ngx_mesh_want_commit(s, &n, pool, &log_stub) == NGX_MESH_STORE_SAME
       && n == 2, "... as many as there is room for, once more");
    conflicts = 3;
    n = 5;
    ok(ngx_mesh_want_commit(&s[3], &n, pool, &log_stub) == NGX_MESH_STORE_OK
       && n == 2 && conflicts == 0,
       "the least max_services of the lazy ones, others commit meanwhile");
    n = 1;
    ok(ngx_mesh_want_commit(&s[7], &n, pool, &log_stub)
       == NGX_MESH_STORE_SAME && n == 0, "no more");
    ok(state("a.4") == NGX_MESH_WANT_PENDING
       && state("a.5") == NGX_MESH_WANT_UNASKED, "these are");
    conflicts = 100;
    sources[0].max_services = 6;
    n = 1;
    ok(ngx_mesh_want_commit(&s[5], &n, pool, &log_stub) == NGX_MESH_STORE_OK
       && n == 1, "commits without end do not keep one from it");
    conflicts = 0;
}


static void
test_look(void)
{
    ngx_str_t               s;
    ngx_mesh_store_known_t  before, now;

    fresh(2);
    s = str("a.B");

    ngx_mesh_want_look(&s, &before);
    (void) want("a.BC");
    service("a.BC", "config", "");
    ngx_mesh_want_look(&s, &now);
    ok(before.nitems == 0 && now.nitems == 0, "others do not matter");

    (void) want("a.B");
    ngx_mesh_want_look(&s, &now);
    ok(now.nitems == 1, "a want does");
    answer("a.B", "one", 0, 0);
    ngx_mesh_want_look(&s, &before);
    ok(before.nitems == 2, "... an answer");
    answer("a.B", "one", 1, 0);
    ngx_mesh_want_look(&s, &now);
    ok(now.nitems == 2 && now.modified > before.modified, "... that changes");
    service("g/a.B:1", "one", "");
    ngx_mesh_want_look(&s, &now);
    ok(now.nitems == 3, "... a service");
}


static void
test_used(void)
{
    void       *region;
    ngx_str_t   s, other;

    s = str("a.B");
    other = str("a.C");

    ngx_current_msec = 5000000;
    ngx_mesh_live_used(&s);
    ok(ngx_mesh_live_unused(&s) == NGX_MESH_USED_NEVER, "nowhere to write it");

    ok(ngx_mesh_used_init_zone(NULL, &region) == NGX_OK, "stamps");
    ngx_mesh_used_open(region);
    ok(ngx_mesh_live_unused(&s) == NGX_MESH_USED_NEVER, "never used");

    ngx_mesh_live_used(&s);
    ok(ngx_mesh_live_unused(&s) == 0
       && ngx_mesh_live_unused(&other) == NGX_MESH_USED_NEVER, "used now");
    ngx_current_msec += 601000;
    ok(ngx_mesh_live_unused(&s) == 601, "... ten minutes ago");
    ngx_mesh_live_used(&s);
    ok(ngx_mesh_live_unused(&s) == 0, "... again");

    ngx_current_msec -= 2000;
    ok(ngx_mesh_live_unused(&s) == 0, "another process is a little behind");

    free(region);
}


int
main(void)
{
    pool = ngx_create_pool(4096, &log_stub);

    test_lazy();
    test_listed();
    test_all();
    test_names();
    test_limit();
    test_look();
    test_used();

    ngx_destroy_pool(pool);

    return test_done();
}
