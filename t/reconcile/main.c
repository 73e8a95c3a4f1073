
/*
 * Copyright (C) nginx-mesh authors
 *
 * What registries say becomes the table, and nothing else changes; prints
 * TAP.
 */


#include "reconcile.h"
#include "ngx_mesh_operator.h"


static void
table_is(const char *expected, const char *what)
{
    const char  *found;

    found = table();
    ok(strcmp(found, expected) == 0, "%s", what);

    if (strcmp(found, expected) != 0) {
        printf("# found:    %s\n# expected: %s\n", found, expected);
    }
}


static void
test_set(void)
{
    uint64_t  revision;

    fresh();

    ok(set(0, "1 2 :1.0 3 g/:1.0 4") == NGX_OK, "an answer");
    table_is("a.B(r0) r0.1 r0.2 a.B:1.0(r0) r0.3 g/a.B:1.0(r0) r0.4",
             "... is the table");
    ok(answer(0)->known && answer(0)->found == 4 && answer(0)->time
       && !answer(0)->unknown && !answer(0)->held, "... and known");
    ok(stub_shares[0] == 4, "... and counted");

    revision = ngx_mesh_store_revision(&stub_store);
    ok(set(0, "g/:1.0 4 :1.0 3 / 2 1") == NGX_OK && same(0) == NGX_OK
       && ngx_mesh_store_revision(&stub_store) == revision,
       "the same one changes nothing");

    (void) set(0, "1 2= 6 :1.0 3 g/:1.0 4");
    ok(ngx_mesh_store_revision(&stub_store) == revision + 1,
       "a change is one commit");
    table_is("a.B(r0) r0.1 r0.2= r0.6 a.B:1.0(r0) r0.3 g/a.B:1.0(r0) r0.4",
             "... of all there is");
}


static void
test_names(void)
{
    fresh();

    (void) set(0, ":0.0.0 1 : 2 1 1~ a/b/:1 3 there.example 5");
    table_is("a.B(r0) r0.1 r0.2", "no version is one; doubles are one");
    ok(answer(0)->found == 2
       && is(&answer(0)->unmapped,
             "3 without a usable address or name"),
       "what cannot be told apart is left out, and told");

    update.unmapped = str("application-level");
    update.unsupported = str("tag routers");
    (void) set(0, "1 2");
    ok(is(&answer(0)->unmapped, "application-level")
       && is(&answer(0)->unsupported, "tag routers") && stub_shares[2] == 1,
       "what an operator should know");
    ngx_memzero(&update, sizeof(update));

    (void) set(0, "");
    ok(answer(0)->unmapped.len == 0 && stub_shares[2] == 0,
       "... as long as it is so");
}


static void
test_unknown_first(void)
{
    fresh();

    (void) unknown(0, "403");
    ok(!answer(0)->known && answer(0)->unknown && is(&answer(0)->reason, "403"),
       "a registry that never answered");

    (void) set(0, "");
    ok(answer(0)->known && !answer(0)->unknown && answer(0)->found == 0
       && answer(0)->reason.len == 0, "... and one that has nothing");
    table_is("", "... is nothing");
}


static void
test_two(void)
{
    fresh();

    (void) set(0, "1 2");
    (void) set(1, "2 3");
    table_is("a.B(r0) r0.1 r0.2 r1.2 r1.3", "two registries");

    update.forced = 1;
    (void) set(0, "");
    table_is("a.B(r1) r1.2 r1.3", "the service is the other one's");

    update.forced = 1;
    (void) set(1, "");
    table_is("", "... until the last");
}


static void
test_others(void)
{
    fresh();

    (void) other_service("a.B", &ngx_mesh_owner_config, "");
    (void) other_endpoint("a.B", "9", &ngx_mesh_owner_config);
    (void) set(0, "1 2");
    table_is("a.B(config) r0.1 r0.2 config.9", "a service of others");

    update.forced = 1;
    (void) set(0, "");
    table_is("a.B(config) config.9", "... stays as it is");

    (void) set(0, "1 2 3 4 :2 5");
    (void) other_service("a.B", &ngx_mesh_owner_config, "r1,r2");
    ok(set(0, "1 2 3 4 :2 5") == NGX_OK, "it is not for this registry");
    table_is("a.B(config) config.9 a.B:2(r0) r0.5", "... which has no say");

    (void) other_service("a.B", &ngx_mesh_owner_api, "r1,r0");
    (void) set(0, "1 2 3 4 :2 5");
    table_is("a.B(api) r0.1 r0.2 r0.3 r0.4 config.9 a.B:2(r0) r0.5",
             "... and now it is");
}


static ngx_uint_t  commits;


static void
meanwhile(void)
{
    if (commits) {
        commits--;
        (void) other_service("c.D", &ngx_mesh_owner_api,
                             commits % 2 ? "x" : "");
    }
}


static void
test_conflict(void)
{
    fresh();

    stub_before = meanwhile;

    commits = 3;
    ok(set(0, "1 2") == NGX_OK && commits == 0, "others write, too");
    table_is("a.B(r0) r0.1 r0.2 c.D(api)", "... all of it is there");

    commits = 1000;
    ok(set(0, "1 2 3") == NGX_AGAIN && again, "who never comes first");
    table_is("a.B(r0) r0.1 r0.2 c.D(api)", "... tries again later");
    commits = 0;

    stub_leads = NGX_DECLINED;
    ok(set(0, "1 2 3") == NGX_AGAIN, "who has lost the lease");
    table_is("a.B(r0) r0.1 r0.2 c.D(api)", "... writes nothing");
    stub_leads = NGX_OK;

    (void) set(0, "1 2 3");
    table_is("a.B(r0) r0.1 r0.2 r0.3 c.D(api)", "then it is written");
}


static void
test_full(void)
{
    char        words[65536], *p;
    int         i;
    ngx_uint_t  n;

    fresh();
    stub_init(NGX_MESH_STORE_MIN + 4096);
    (void) set(0, "1 2");

    for (i = 0, p = words; i < 5000; i++) {
        p += sprintf(p, "1 :%d ", i);
    }

    stub_logged = 0;
    ok(set(0, words) == NGX_ERROR && stub_logged == 1, "there is no room");
    table_is("a.B(r0) r0.1 r0.2", "... the table is as it was");

    ok(set(0, words) == NGX_ERROR && stub_logged == 1,
       "... which is said once");

    again = 0;
    stub_expire();
    ok(again == 4711, "... and the registry is asked again");

    n = stub_pools;
    ok(set(0, "1 2 3") == NGX_OK && stub_pools == n, "until there is room");
    table_is("a.B(r0) r0.1 r0.2 r0.3", "... again");
}


static void
test_forget(void)
{
    ngx_str_t             gone;
    ngx_array_t           sources;
    ngx_mesh_source_t    *source;
    ngx_mesh_core_conf_t  conf;

    fresh();

    (void) set(0, "1 2 :2 7");
    (void) set(1, "2 3");

    ngx_mesh_reconcile_forget(subscription(0), 1);
    table_is("a.B(r0) r0.1 r0.2 r1.2 r1.3 a.B:2(r0) r0.7",
             "a subscription goes, what it brought stays");
    ok(stub_shares[0] == 2, "... but is not counted");

    stub_pass(1000);
    ngx_mesh_reconcile_forget(subscription(0), 0);
    table_is("a.B(r1) r1.2 r1.3", "... or goes, too");
    ok(!answer(0)->known && answer(1)->known, "... with the answer");

    (void) set(0, "1 2 :2 7");
    ngx_mesh_reconcile_forget(subscription(0), 0);
    table_is("a.B(r1) r0.1 r0.2 r1.2 r1.3 a.B:2(r0) r0.7",
             "of many it goes together");

    sources.elts = subscription(0)->source;
    sources.nelts = 1;
    ngx_mesh_registry_conf->sources = &sources;

    stub_found = subscription(0);
    stub_expire();
    table_is("a.B(r1) r0.1 r0.2 r1.2 r1.3 a.B:2(r0) r0.7",
             "... unless it is asked for again");

    stub_found = NULL;
    ngx_mesh_reconcile_forget(subscription(0), 0);
    ngx_mesh_reconcile_forget(subscription(1), 0);
    stub_expire();
    table_is("", "... soon");
    ok(!answer(0)->known && !answer(1)->known, "... with the answers");
    ngx_mesh_registry_conf->sources = NULL;

    (void) set(1, "2 3");

    gone = str("gone");
    (void) other_endpoint("a.B", "1", &gone);
    (void) other_endpoint("a.B", "9", &ngx_mesh_owner_api);
    (void) other_service("c.D", &gone, "");
    (void) other_endpoint("c.D", "1", &gone);
    (void) other_endpoint("c.D", "9", &ngx_mesh_owner_api);
    (void) other_service("e.F", &gone, "");
    (void) other_endpoint("e.F", "1", &gone);

    ngx_memzero(&conf, sizeof(conf));
    conf.sources = &sources;
    sources.elts = subscription(1)->source;
    sources.nelts = 1;

    source = sources.elts;
    (void) ngx_mesh_reconcile_orphans(&conf, NULL, NULL);
    table_is("a.B(r1) r1.2 r1.3 api.9 c.D(api) api.9",
             "what nobody owns any more goes");
    ok(source && answer(1)->known, "... answers of others stay");

    conf.sources = NULL;
    (void) ngx_mesh_reconcile_orphans(&conf, NULL, NULL);
    table_is("a.B(api) api.9 c.D(api) api.9", "... without any registry all");
    ok(!answer(1)->known, "... answers, too");
}


/* what registries said and what an operator did are two journals */

static void
test_journals(void)
{
    uint64_t                  learned, made, now;
    ngx_pool_t               *pool;
    ngx_array_t               items, own;
    ngx_mesh_store_result_t   result;

    fresh();
    pool = ngx_create_pool(1024, NULL);

    (void) set(0, "1 2 :2 7");
    (void) set(1, "2 3");
    (void) other_service("a.B:2", &ngx_mesh_owner_api, "");
    (void) other_endpoint("a.B", "9", &ngx_mesh_owner_api);
    (void) other_service("c.D", &ngx_mesh_owner_config, "");

    (void) ngx_mesh_learned_items(&stub_store, pool, &items, &learned);
    (void) ngx_mesh_operator_items(&stub_store, pool, &own, &made);
    ok(items.nelts == 8 && own.nelts == 2, "what is whose");

    now = 0;
    ok(ngx_mesh_operator_changed(&stub_store, made, &now, NULL) == NGX_DECLINED
       && ngx_mesh_learned_changed(&stub_store, learned, &now, NULL)
          == NGX_DECLINED, "nothing has changed");

    (void) set(1, "2 3 4");
    (void) set(1, "2 3");
    ok(ngx_mesh_operator_changed(&stub_store, made, &now, NULL) == NGX_DECLINED
       && ngx_mesh_learned_changed(&stub_store, learned, &now, NULL) == NGX_OK,
       "a registry came and went");

    made = ngx_mesh_store_revision(&stub_store);
    (void) other_service("a.B:2", &ngx_mesh_owner_api, "r0");
    (void) other_endpoint("a.B", "9", &ngx_mesh_owner_api);
    ok(ngx_mesh_operator_changed(&stub_store, made, &now, NULL) == NGX_OK,
       "an operator did something");

    stub_init(1 << 20);
    ok(ngx_mesh_operator_restore(&stub_store, own.elts, own.nelts, 100, 0, 0,
                                 &result, NULL) == NGX_MESH_STORE_OK
       && ngx_mesh_learned_restore(&stub_store, items.elts, items.nelts,
                                   learned, &result, NULL)
          == NGX_MESH_STORE_OK, "a start without any table");
    table_is("a.B(r0) r0.1 r0.2 r1.2 r1.3 api.9 a.B:2(api) r0.7",
             "... has all that was there");
    ok(answer(0)->found == 3 && answer(1)->found == 2, "... and was said");

    own.nelts = 0;
    (void) ngx_mesh_operator_restore(&stub_store, own.elts, own.nelts, 0, 0,
                                     0, &result, NULL);
    table_is("a.B(r0) r0.1 r0.2 r1.2 r1.3 a.B:2(r0) r0.7",
             "a rollback leaves services to registries");

    own.nelts = 2;
    (void) ngx_mesh_operator_restore(&stub_store, own.elts, own.nelts, 0, 0,
                                     0, &result, NULL);
    table_is("a.B(r0) r0.1 r0.2 r1.2 r1.3 api.9 a.B:2(api) r0.7",
             "... and takes them back");

    (void) ngx_mesh_learned_restore(&stub_store, items.elts, 0, 0, &result,
                                    NULL);
    table_is("a.B(api) api.9 a.B:2(api)", "another instance knew of none");

    ngx_destroy_pool(pool);
}


static void
test_memory(void)
{
    ngx_int_t   rc;
    ngx_uint_t  i, failed;

    fresh();
    (void) set(0, "1 2 3 4 6");

    rc = NGX_ERROR;
    failed = 0;

    for (i = 1; rc == NGX_ERROR && i < 1000; i++) {
        stub_expire();
        short_of = i;
        rc = set(0, "1 5");
        failed += short_of;
    }

    short_of = 0;
    (void) set(0, "1 5");
    ok(failed > 10, "each allocation failed once");
    table_is("a.B(r0) r0.1 r0.2? r0.3? r0.4? r0.5 r0.6?",
             "... in the end it is so");
}


int
main(int argc, char *argv[])
{
    test_set();
    test_names();
    test_unknown_first();
    test_two();
    test_others();
    test_conflict();
    test_full();
    test_forget();
    test_guard();
    test_journals();
    test_memory();

    fresh();
    ok(stub_pools == 1, "no pool is left but one");

    return test_done();
}
