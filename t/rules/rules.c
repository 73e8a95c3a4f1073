
/*
 * Copyright (C) nginx-mesh authors
 *
 * Routes: their text, checks and records.  Prints TAP.
 */


#include "test.h"


ngx_pool_t  *pool;


/* the text of a pattern and back */

static void
pattern(const char *fact, const char *text, int op, const char *value,
    const char *back)
{
    char                 what[128];
    ngx_str_t            f, t, r;
    ngx_mesh_pattern_t   p;

    f = str(fact);
    t = str(text);

    snprintf(what, sizeof(what), "%s=%s", fact, text);

    if (op < 0) {
        ok(ngx_mesh_pattern_parse(&f, &t, &p) != NULL, "%s", what);
        return;
    }

    ok(ngx_mesh_pattern_parse(&f, &t, &p) == NULL && (int) p.op == op
       && is(&p.value, value)
       && ngx_mesh_pattern_text(&p, &r, pool) == NGX_OK
       && is(&r, back ? back : text), "%s", what);
}


static void
patterns(void)
{
    pattern("method", "a", NGX_MESH_RULE_EXACT, "a", NULL);
    pattern("method", "a*", NGX_MESH_RULE_PREFIX, "a", NULL);
    pattern("method", "*a", NGX_MESH_RULE_SUFFIX, "a", NULL);
    pattern("method", "*", NGX_MESH_RULE_PRESENT, "", NULL);
    pattern("method", "~a|b*", NGX_MESH_RULE_REGEX, "a|b*", NULL);
    pattern("method", "~*a", NGX_MESH_RULE_NOCASE, "a", NULL);
    pattern("method", "=*", NGX_MESH_RULE_EXACT, "*", NULL);
    pattern("method", "=~a", NGX_MESH_RULE_EXACT, "~a", NULL);
    pattern("method", "==", NGX_MESH_RULE_EXACT, "=", NULL);
    pattern("method", "=a", NGX_MESH_RULE_EXACT, "a", "a");
    pattern("service", "a:0.0.0", NGX_MESH_RULE_EXACT, "a", "a");
    pattern("service", "/a:", NGX_MESH_RULE_EXACT, "a", "a");
    pattern("service", "g/a:1", NGX_MESH_RULE_EXACT, "g/a:1", NULL);
    pattern("version", "0.0.0", NGX_MESH_RULE_EXACT, "0.0.0", NULL);
    pattern("caller", "10.0.0.0/8", NGX_MESH_RULE_CIDR, "10.0.0.0/8", NULL);
    pattern("caller", "unix:", NGX_MESH_RULE_CIDR, "unix:", NULL);
    pattern("caller", "*", NGX_MESH_RULE_PRESENT, "", NULL);

    pattern("method", "", -1, NULL, NULL);
    pattern("method", "a*b", -1, NULL, NULL);
    pattern("method", "*a*", -1, NULL, NULL);
    pattern("method", "**", -1, NULL, NULL);
    pattern("method", "~", -1, NULL, NULL);
    pattern("method", "~*", -1, NULL, NULL);
    pattern("method", "=", -1, NULL, NULL);
    pattern("caller", "a", -1, NULL, NULL);
    pattern("caller", "10.*", -1, NULL, NULL);
}


static void
percent(const char *text, ngx_int_t n)
{
    char       what[64];
    ngx_str_t  s;

    s = str(text);
    snprintf(what, sizeof(what), "percent %s", text);
    ok(ngx_mesh_percent_parse(&s) == n, what);
}


/* a rule with a bit of everything */

static void
full(ngx_mesh_rule_t *r)
{
    static ngx_str_t             removed[2];
    static ngx_keyval_t          labels[2], set[1];
    static ngx_mesh_target_t     targets[2], fallback;
    static ngx_mesh_pattern_t    services[2], shares[1];
    static ngx_mesh_condition_t  conditions[2];

    ngx_memzero(r, sizeof(ngx_mesh_rule_t));
    ngx_memzero(targets, sizeof(targets));

    services[0].op = NGX_MESH_RULE_PREFIX;
    services[0].value = str("com.");
    services[1].op = NGX_MESH_RULE_REGEX;
    services[1].value = str("^org\\.");
    shares[0].op = NGX_MESH_RULE_PERCENT;
    shares[0].number = 125;

    conditions[0].fact = str("service");
    conditions[0].patterns = services;
    conditions[0].npatterns = 2;
    conditions[1].fact = str("attachment.user");
    conditions[1].patterns = shares;
    conditions[1].npatterns = 1;

    labels[0].key = str("v");
    labels[0].value = str("2");
    labels[1].key = str("zone");
    labels[1].value = str("");
    set[0].key = str("tag");
    set[0].value = str("gray");
    removed[0] = str("x");
    removed[1] = str("y");

    fallback.service = str("demo.Fallback");
    targets[0].labels = labels;
    targets[0].nlabels = 2;
    targets[0].weight = 5;
    targets[0].fallback = &fallback;
    targets[1].service = str("g/demo.Other:1");
    targets[1].weight = 95;
    targets[1].rewrite = NGX_MESH_REWRITE_VERSION;

    r->name = str("full");
    r->owner = str("api");
    r->priority = -3;
    r->order = 0x123456789abcdefull;
    r->conditions = conditions;
    r->nconditions = 2;
    r->targets = targets;
    r->ntargets = 2;
    r->timeout = 200;
    r->tries = 2;
    r->hash = str("caller");
    r->set = set;
    r->nset = 1;
    r->remove = removed;
    r->nremove = 2;
}


static void
records(void)
{
    int                 same, good;
    size_t              size, i;
    u_char             *p, *again;
    ngx_str_t           s;
    ngx_uint_t          j;
    ngx_mesh_rule_t     rule, back;

    full(&rule);
    size = ngx_mesh_rule_size(&rule);
    p = malloc(size);
    again = malloc(size);

    ngx_mesh_rule_write(p, &rule);

    s.data = p;
    s.len = size;

    good = ngx_mesh_rule_read(&s, &back, pool) == NGX_OK;
    ok(good, "a record is read");

    ngx_mesh_rule_write(again, &back);
    same = ngx_mesh_rule_size(&back) == size && memcmp(p, again, size) == 0;
    ok(same, "and says the same");
    ok(back.priority == -3 && back.order == 0x123456789abcdefull
       && back.targets[0].fallback && !back.targets[1].fallback
       && is(&back.targets[0].fallback->service, "demo.Fallback")
       && back.conditions[1].patterns[0].number == 125, "what it said");

    good = 1;

    for (i = 0; i < size; i++) {
        s.data = malloc(i ? i : 1);
        s.len = i;
        memcpy(s.data, p, i);

        if (ngx_mesh_rule_read(&s, &back, pool) != NGX_DECLINED) {
            good = 0;
        }

        free(s.data);
    }

    ok(good, "a record cut anywhere is none");

    /* the sanitizer watches what is read of damaged ones */

    for (i = 0; i < size; i++) {
        for (j = 0; j < 256; j += 85) {
            memcpy(again, p, size);
            again[i] ^= (u_char) (j + 1);
            s.data = again;
            s.len = size;
            (void) ngx_mesh_rule_read(&s, &back, pool);
        }
    }

    ok(1, "damaged records are read");

    free(p);
    free(again);
}


static void
wrong(const char *what, ngx_mesh_rule_t *rule, ngx_uint_t part)
{
    ngx_int_t               rc;
    ngx_mesh_rule_error_t   err;

    rc = ngx_mesh_rule_check(rule, pool, &err);

    ok(rc == NGX_DECLINED && err.part == part && err.text.len, "%s",
       what);

    if (rc == NGX_DECLINED) {
        printf("# %.*s\n", (int) err.text.len, err.text.data);
    }
}


static void
checks(void)
{
    ngx_mesh_rule_t         rule;
    ngx_mesh_rule_error_t   err;

    full(&rule);
    ok(ngx_mesh_rule_check(&rule, pool, &err) == NGX_OK, "a good rule");

    rule.name = str("");
    wrong("no name", &rule, NGX_MESH_RULE_NAME);
    rule.name = str("a b");
    wrong("a name with a space", &rule, NGX_MESH_RULE_NAME);

    full(&rule);
    rule.conditions[0].fact = str("host");
    wrong("an unknown fact", &rule, NGX_MESH_RULE_MATCH);

    full(&rule);
    rule.conditions[0].patterns[1].value = str("a(");
    wrong("an expression that is none", &rule, NGX_MESH_RULE_MATCH);

    full(&rule);
    rule.conditions[0].npatterns = 0;
    wrong("no values", &rule, NGX_MESH_RULE_MATCH);

    full(&rule);
    rule.conditions[1].patterns[0].number = 10001;
    wrong("more than all", &rule, NGX_MESH_RULE_MATCH);

    full(&rule);
    rule.denied = 1;
    wrong("denied and sent", &rule, NGX_MESH_RULE_DENY);

    full(&rule);
    rule.targets[0].weight = 0;
    rule.targets[1].weight = 0;
    wrong("no weight at all", &rule, NGX_MESH_RULE_TO);

    full(&rule);
    rule.targets[1].service = str("a*");
    wrong("a service with a star", &rule, NGX_MESH_RULE_TO);

    full(&rule);
    rule.targets[0].labels[1].key = str("v");
    wrong("a label twice", &rule, NGX_MESH_RULE_TO);

    full(&rule);
    rule.targets[0].rewrite = NGX_MESH_REWRITE_GROUP;
    wrong("nothing to rewrite", &rule, NGX_MESH_RULE_TO);

    full(&rule);
    rule.hash = str("attachment.");
    wrong("nothing to hash", &rule, NGX_MESH_RULE_HASH);

    full(&rule);
    rule.remove[1] = str("tag");
    wrong("set and removed", &rule, NGX_MESH_RULE_REMOVE);
}


int
main(void)
{
    srandom(20);

    pool = ngx_create_pool(0, NULL);

    patterns();

    percent("5", 500);
    percent("0.25", 25);
    percent("100", 10000);
    percent("101", NGX_ERROR);
    percent("", NGX_ERROR);
    percent("5%", NGX_ERROR);

    records();
    checks();
    sets();

    ngx_destroy_pool(pool);
    ok(stub_pools == 0, "no pool is left");

    return test_done();
}
