
/*
 * Copyright (C) nginx-mesh authors
 *
 * Providers in a hash that is read again and again, with clocks that are
 * wrong and servers that lose what they had; prints TAP.
 */


#include "unit.h"
#include "redis.h"
#include "ngx_mesh_redis_view.h"
#include <stdio.h>


#define SESSION   60000
#define PROVIDERS 8
#define HOUR      3600000


/* a provider that writes its value every half of a session */

typedef struct {
    char        *url;
    int64_t      skew;
    int64_t      session;
    int64_t      wrote;
    ngx_uint_t   runs;
    ngx_uint_t   there;     /* its field is */
    int64_t      value;
} test_provider_t;


static ngx_mesh_redis_view_t  view;
static int64_t                test_now;
static int64_t                test_skew;     /* of the server's clock */
static test_provider_t        test_provider[PROVIDERS];
static ngx_uint_t             test_n;
static ngx_uint_t             test_flags;
static ngx_uint_t             test_gone;     /* "unregister" heard */


static void
test_init(void)
{
    ngx_mesh_redis_view_clear(&view);
    ngx_mesh_redis_view_init(&view, SESSION);

    ngx_memzero(test_provider, sizeof(test_provider));
    test_now = 1000000;
    test_skew = 1700000000000;
    test_n = 0;
    test_flags = 0;
    test_gone = 0;
}


static void
test_write(test_provider_t *p)
{
    p->wrote = test_now;
    p->there = 1;
    p->value = test_now + 1700000000000 + p->skew + p->session;
}


static test_provider_t *
test_add(char *url, int64_t skew, int64_t session)
{
    test_provider_t  *p;

    p = &test_provider[test_n++];

    p->url = url;
    p->skew = skew;
    p->session = session;
    p->runs = 1;
    test_write(p);

    return p;
}


static void
test_read(void)
{
    char         text[32];
    ngx_str_t    url, value;
    ngx_uint_t   i;

    ngx_mesh_redis_view_begin(&view, test_now, test_now + test_skew);

    for (i = 0; i < test_n; i++) {

        if (test_provider[i].there) {
            (void) snprintf(text, sizeof(text), "%lld",
                            (long long) test_provider[i].value);
            url = str(test_provider[i].url);
            value = str(text);
            (void) ngx_mesh_redis_view_field(&view, &url, &value);
        }
    }

    ngx_mesh_redis_view_end(&view);
    ngx_mesh_redis_view_settle(&view,
                  ngx_mesh_redis_view_hold(&view, test_gone, test_flags));
    test_gone = 0;
}


/* so long, with reads as often and when something is due; the least number of
   providers that was used in any of them */

static ngx_uint_t
test_run(int64_t ms, int64_t every)
{
    int64_t           end, next;
    ngx_uint_t        i, least;
    test_provider_t  *p;

    end = test_now + ms;
    least = view.used;
    next = test_now + every;

    for ( ; test_now < end; test_now += 100) {

        for (i = 0; i < test_n; i++) {
            p = &test_provider[i];

            if (p->runs && test_now - p->wrote >= p->session / 2) {
                test_write(p);
            }
        }

        if (test_now >= next
            || (view.due && test_now - view.last >= view.due))
        {
            test_read();
            least = ngx_min(least, view.used);
            next = test_now + every;
        }
    }

    return least;
}


static ngx_mesh_redis_field_t *
test_find(char *url)
{
    ngx_str_t                s;
    ngx_mesh_redis_field_t  *f;

    s = str(url);

    for (f = ngx_mesh_redis_view_next(&view, NULL);
         f;
         f = ngx_mesh_redis_view_next(&view, f))
    {
        if (f->sn.str.len == s.len
            && ngx_memcmp(f->sn.str.data, s.data, s.len) == 0)
        {
            return f;
        }
    }

    return NULL;
}


/* registered while it is watched, runs for an hour, dies */

static void
test_life(const char *name, int64_t skew, int64_t session, int64_t every,
    int64_t limit)
{
    int64_t           died;
    ngx_uint_t        least;
    test_provider_t  *p;

    test_init();
    (void) test_add("dubbo://10.0.0.9:1/a", 0, SESSION);
    test_read();
    (void) test_run(1000, every);

    p = test_add("dubbo://10.0.0.1:1/a", skew, session);
    test_read();
    ok(view.used == 2, "%s: used at once", name);

    least = test_run(HOUR, every);
    ok(least == 2, "%s: used as long as it runs", name);

    p->runs = 0;
    died = p->wrote;

    while (view.used == 2 && test_now - died < 3 * HOUR) {
        (void) test_run(100, every);
    }

    ok(view.used == 1 && test_now - died <= limit
       && test_now - died >= session,
       "%s: no more %lld s after its last word", name,
       (long long) (test_now - died) / 1000);
}


static void
test_skews(void)
{
    test_life("right clock", 0, SESSION, 45000, 130000);
    test_life("right clock, read often", 0, SESSION, 5000, 75000);
    test_life("an hour behind", -HOUR, SESSION, 45000, 130000);
    test_life("an hour ahead", HOUR, SESSION, 45000, 130000);
    test_life("50 s behind", -50000, SESSION, 45000, 130000);
    test_life("a session of five minutes", 0, 300000, 45000, 650000);
    test_life("a session of ten seconds", 0, 10000, 45000, 130000);
}


static void
test_first(void)
{
    ngx_uint_t        least;
    test_provider_t  *p;

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", 0, SESSION);
    p->runs = 0;
    p->value -= HOUR;
    test_read();
    ok(view.used == 1 && view.doubtful == 1,
       "a remnant is not used where somebody lives");
    (void) test_run(70000, 45000);
    ok(view.used == 1 && view.doubtful == 0, "and no more looked at");

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", -HOUR, SESSION);
    test_read();
    ok(view.used == 1, "a slow clock looks like one at first");
    (void) test_run(45000, 45000);
    ok(view.used == 2, "it moves: it is alive");
    least = test_run(HOUR, 45000);
    ok(least == 2, "and stays so");

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", -HOUR, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", -HOUR, SESSION);
    test_read();
    ok(view.used == 2, "nobody else is there: all of them are used");
    least = test_run(HOUR, 45000);
    ok(least == 2, "they live");

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p->runs = 0;
    p->value -= HOUR;
    test_read();
    ok(view.used == 1, "remnants alone are used");
    ok(test_find("dubbo://10.0.0.1:1/a")->suspect, "as suspects");
    (void) test_run(2 * SESSION + 10000, 45000);
    ok(view.used == 0, "for a while");

    test_init();
    test_skew += HOUR;
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", 0, SESSION);
    test_read();
    least = test_run(HOUR, 45000);
    ok(view.used == 2 && least == 2, "the server's clock an hour ahead");

    test_init();
    test_skew -= HOUR;
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", 0, SESSION);
    test_read();
    least = test_run(HOUR, 45000);
    ok(view.used == 2 && least == 2, "an hour behind");

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a?dynamic=false", 0, SESSION);
    p->runs = 0;
    p->value = 0;
    test_read();
    least = test_run(HOUR, 45000);
    ok(least == 1 && !test_find(p->url)->suspect, "dynamic=false");
}


static void
test_known(void)
{
    test_provider_t         *p;
    ngx_mesh_redis_field_t  *f;

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", -HOUR, SESSION);
    ngx_mesh_redis_view_begin(&view, test_now, test_now + test_skew);
    test_read();

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", 0, SESSION);
    p = test_add("dubbo://10.0.0.2:1/a", -HOUR, SESSION);
    test_read();
    f = test_find(p->url);
    f->known = 1;
    test_read();
    ok(view.used == 2 && view.changed, "who was used before stays");
    ok(test_run(HOUR, 45000) == 2, "and lives");

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", HOUR, SESSION);
    test_read();
    (void) test_run(600000, 45000);
    p->skew = 0;
    ok(test_run(HOUR, 45000) == 1, "a clock is put back by an hour");
    p->skew = HOUR;
    ok(test_run(HOUR, 45000) == 1, "and forth");

    test_init();
    p = test_add("dubbo://10.0.0.1:1/a", 120000, SESSION);
    test_read();

    while (p->skew > -120000) {
        p->skew -= 100;

        if (test_run(3000, 45000) != 1) {
            break;
        }
    }

    ok(p->skew <= -120000, "a clock that is put right slowly");
}


/* ten of them, as many as there is room for */

static void
test_fleet(ngx_uint_t n)
{
    static char  url[PROVIDERS][32];
    ngx_uint_t   i;

    test_init();

    for (i = 0; i < n; i++) {
        (void) snprintf(url[i], sizeof(url[i]), "dubbo://10.0.0.%d:1/a",
                        (int) i);
        (void) test_add(url[i], 0, SESSION);
    }

    test_read();
    (void) test_run(120000, 45000);
}


static void
test_lose(ngx_uint_t first, ngx_uint_t n)
{
    while (n--) {
        test_provider[first].there = 0;
        test_provider[first++].runs = 0;
    }
}


static void
test_losses(void)
{
    ngx_uint_t  i, least;

    test_fleet(8);
    test_lose(0, 1);
    test_gone = 1;
    test_read();
    ok(view.used == 7, "unregistered");

    test_lose(1, 7);
    test_gone = 7;
    test_read();
    ok(view.used == 0, "all of them");

    test_fleet(1);
    test_lose(0, 1);
    test_gone = 1;
    test_read();
    ok(view.used == 0, "the last one goes");

    test_fleet(8);
    test_lose(0, 2);
    test_read();
    ok(view.used == 6, "some without a word");

    test_fleet(8);

    for (i = 0; i < 8; i++) {
        test_provider[i].there = 0;
    }

    test_read();
    ok(view.used == 8, "all without a word are kept");
    least = test_run(SESSION / 2 + 1000, 45000);
    test_read();
    ok(least == 8 && view.used == 8 && !test_find("dubbo://10.0.0.1:1/a")->held,
       "they write again");

    test_fleet(8);
    test_lose(0, 8);
    test_read();
    ok(view.used == 8 && test_find("dubbo://10.0.0.1:1/a")->suspect,
       "all go without a word: suspects");
    ok(view.due > SESSION - 1000, "for a session");
    (void) test_run(SESSION + 1000, 45000);
    ok(view.used == 0, "and are gone then");

    test_fleet(8);

    for (i = 0; i < 8; i++) {
        test_provider[i].there = 0;
    }

    test_write(&test_provider[3]);
    test_read();
    ok(view.used == 8, "flushed, and one has written since");
    test_provider[3].runs = 0;
    test_provider[3].there = 0;
    test_gone = 1;
    test_read();
    ok(view.used == 7, "and goes, which lets nobody else go");
    (void) test_run(SESSION / 2 + 1000, 45000);
    test_read();
    ok(view.used == 7 && view.suspects == 0, "the others write again");

    test_fleet(8);
    test_lose(0, 3);
    test_flags = NGX_MESH_REDIS_DOUBT;
    test_read();
    ok(view.used == 8, "nobody goes while the server is in doubt");

    test_fleet(8);
    test_lose(0, 5);
    test_flags = NGX_MESH_REDIS_FRESH;
    test_read();
    ok(view.used == 3, "messages may have been lost");

    test_fleet(8);
    test_lose(0, 8);
    test_flags = NGX_MESH_REDIS_FRESH;
    test_read();
    ok(view.used == 8, "which is not said of all");

    test_fleet(4);

    for (i = 0; i < 4; i++) {
        test_provider[i].runs = 0;
    }

    (void) test_run(SESSION + 20000, 5000);
    ok(view.used == 4 && test_find("dubbo://10.0.0.1:1/a")->suspect,
       "all expire at once: suspects");
    (void) test_run(SESSION + 10000, 5000);
    ok(view.used == 0, "for a session");
}


static void
test_urls(void)
{
    ngx_str_t  url, value;

    url = str("dubbo://h:1/a?x=1&dynamic=false&y=2");
    ok(ngx_mesh_redis_url_is(&url, "dynamic", "false"), "a parameter");
    ok(!ngx_mesh_redis_url_is(&url, "dynamic", "fals"), "its whole value");
    ok(!ngx_mesh_redis_url_is(&url, "namic", "false"), "its whole name");
    ok(ngx_mesh_redis_url_is(&url, "y", "2"), "the last");
    ok(!ngx_mesh_redis_url_is(&url, "z", ""), "none");

    url = str("dubbo%3A%2F%2Fh%3A1%2Fa%3Fdynamic%3Dfalse%26y%3d2");
    ok(ngx_mesh_redis_url_is(&url, "dynamic", "false"), "encoded");
    ok(ngx_mesh_redis_url_is(&url, "y", "2"), "encoded, the last");

    url = str("?");
    ok(!ngx_mesh_redis_url_is(&url, "y", "2"), "nothing");
    url = str("a?y");
    ok(!ngx_mesh_redis_url_is(&url, "y", "2"), "a name alone");
    url = str("a?y=");
    ok(!ngx_mesh_redis_url_is(&url, "y", "2"), "no value");
    url = str("a%3Fy%3D");
    ok(ngx_mesh_redis_url_is(&url, "y", ""), "an empty value");

    url = str("override://0.0.0.0/a?category=configurators&dynamic=false");
    value = str("1");
    ok(ngx_mesh_redis_rule_alive(&url, &value, 1700000000000),
       "a rule that stays");
    url = str("override://0.0.0.0/a?category=configurators");
    ok(!ngx_mesh_redis_rule_alive(&url, &value, 1700000000000),
       "a rule that has expired");
    value = str("1700000000001");
    ok(ngx_mesh_redis_rule_alive(&url, &value, 1700000000000),
       "a rule that has not");
}


static void
test_values(void)
{
    ngx_str_t  url, value;

    test_init();
    url = str("dubbo://h:1/a");
    value = str("not a number");
    ngx_mesh_redis_view_begin(&view, test_now, test_now + test_skew);
    (void) ngx_mesh_redis_view_field(&view, &url, &value);
    url = str("dubbo://h:2/a");
    value = str("999999999999999999999999999999");
    (void) ngx_mesh_redis_view_field(&view, &url, &value);
    ngx_mesh_redis_view_end(&view);
    ngx_mesh_redis_view_settle(&view, 0);
    ok(view.fields == 2 && view.doubtful == 2, "values that are none");
}


/* two hashes, and room for a bit more than one */

static void
test_share(void)
{
    size_t                 total;
    ngx_int_t              rc;
    ngx_str_t              url, value;
    ngx_uint_t             i;
    ngx_mesh_redis_view_t  one, other;
    char                   text[32];

    total = 0;
    rc = NGX_OK;
    value = str("1700000060000");

    ngx_mesh_redis_view_init(&one, SESSION);
    ngx_mesh_redis_view_init(&other, SESSION);
    ngx_mesh_redis_view_share(&one, &total, 100000);
    ngx_mesh_redis_view_share(&other, &total, 100000);

    url = str("dubbo://h:1/a");
    ngx_mesh_redis_view_begin(&one, 1000, 1700000000000);
    (void) ngx_mesh_redis_view_field(&one, &url, &value);
    ngx_mesh_redis_view_end(&one);
    ngx_mesh_redis_view_settle(&one, 0);

    ngx_mesh_redis_view_begin(&one, 2000, 1700000001000);

    for (i = 1; i < 10000 && rc == NGX_OK; i++) {
        (void) snprintf(text, sizeof(text), "dubbo://h:%d/a", (int) i);
        url = str(text);
        rc = ngx_mesh_redis_view_field(&one, &url, &value);
    }

    ok(rc == NGX_DECLINED && total <= 100000 && total > 90000,
       "a hash without end");

    ngx_mesh_redis_view_drop(&one);
    ok(total && total < 1000 && ngx_mesh_redis_view_next(&one, NULL)->used,
       "... leaves what there was, and room");

    ngx_mesh_redis_view_begin(&other, 1000, 1700000000000);
    ok(ngx_mesh_redis_view_field(&other, &url, &value) == NGX_OK,
       "... for another one");

    ngx_mesh_redis_view_clear(&one);
    ngx_mesh_redis_view_clear(&other);
    ok(total == 0, "nothing is counted that is not there");
}


void
test_view(void)
{
    ngx_mesh_redis_view_init(&view, SESSION);

    test_skews();
    test_first();
    test_known();
    test_losses();
    test_urls();
    test_values();
    test_share();

    ngx_mesh_redis_view_clear(&view);
}
