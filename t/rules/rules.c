
/*
 * Copyright (C) nginx-mesh authors
 *
 * Routes: their text, checks and records; and random sets of them against a
 * matcher that knows no index.  Prints TAP.
 */


#include "test.h"


#define SETS   400
#define CALLS  300


static ngx_uint_t    tests;
static ngx_uint_t    failures;
static ngx_pool_t   *pool;


static void
ok(int passed, const char *name)
{
    tests++;

    if (!passed) {
        failures++;
    }

    printf("%sok %lu - %s\n", passed ? "" : "not ", (unsigned long) tests,
           name);
}


static ngx_str_t
str(const char *s)
{
    ngx_str_t  r;

    r.len = strlen(s);
    r.data = r.len ? (u_char *) s : NULL;

    return r;
}


static int
is(ngx_str_t *s, const char *expected)
{
    return s->len == strlen(expected)
           && (s->len == 0 || memcmp(s->data, expected, s->len) == 0);
}


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
        ok(ngx_mesh_pattern_parse(&f, &t, &p) != NULL, what);
        return;
    }

    ok(ngx_mesh_pattern_parse(&f, &t, &p) == NULL && (int) p.op == op
       && is(&p.value, value)
       && ngx_mesh_pattern_text(&p, &r, pool) == NGX_OK
       && is(&r, back ? back : text), what);
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

    ok(rc == NGX_DECLINED && err.part == part && err.text.len, what);

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


/* random sets and calls, of a few names so that they meet */

static const char  *words[] = {
    "a", "ab", "abc", "abcd", "abcabcabcabc", "b", "ba", "bab", "aab", "abbc",
    "com.example.Orders", "com.example.Order", "com.example.", "Orders",
    "com.example.Payments:1", "g/com.example.Orders", "h/a", "g/ab"
};

static const char  *exprs[] = {
    "a", "^a", "^ab+", "^ab?c", "b$", "^(a|b)", "^com\\.example\\.O", "r|p",
    "^a|b", "Orders?", "ab{2}", "[ab]c", "\\.P", "^(?:com)", "a+b", "(?i)ORD"
};

static const char  *facts[] = {
    "listener", "protocol", "service", "interface", "version", "group",
    "method", "", "attachment.x", "attachment.y", "app"
};

#define pick(list)  list[random() % (sizeof(list) / sizeof(list[0]))]


typedef struct {
    ngx_str_t           names[NGX_MESH_NAMES];
    ngx_str_t           x;
    ngx_str_t           y;
    ngx_str_t           app;
    struct sockaddr_in  caller;
} sample_t;


static ngx_int_t
sample_fact(void *data, ngx_str_t *name, ngx_str_t *value)
{
    sample_t  *s = data;

    if (is(name, "attachment.x")) {
        *value = s->x;

    } else if (is(name, "attachment.y")) {
        *value = s->y;

    } else if (is(name, "app")) {
        *value = s->app;

    } else if (is(name, "method")) {
        *value = s->names[NGX_MESH_NAME_METHOD];

    } else {
        *value = str("10.1.2.3");
    }

    return value->len ? NGX_OK : NGX_DECLINED;
}


static void
random_pattern(ngx_mesh_condition_t *c, ngx_mesh_pattern_t *p)
{
    static const int  ops[] = {
        NGX_MESH_RULE_EXACT, NGX_MESH_RULE_EXACT, NGX_MESH_RULE_EXACT,
        NGX_MESH_RULE_PREFIX, NGX_MESH_RULE_SUFFIX, NGX_MESH_RULE_REGEX,
        NGX_MESH_RULE_PRESENT, NGX_MESH_RULE_ABSENT, NGX_MESH_RULE_NOCASE
    };

    ngx_memzero(p, sizeof(ngx_mesh_pattern_t));

    if (is(&c->fact, "caller")) {
        p->op = NGX_MESH_RULE_CIDR;
        p->value = str(random() % 2 ? "10.0.0.0/8" : "10.1.2.4");
        return;
    }

    p->op = pick(ops);

    if (p->op == NGX_MESH_RULE_REGEX || p->op == NGX_MESH_RULE_NOCASE) {
        p->value = str(pick(exprs));

    } else if (p->op < NGX_MESH_RULE_REGEX) {
        p->value = str(pick(words));
    }
}


static void
random_rule(ngx_mesh_rule_t *r, ngx_uint_t n)
{
    char                  *name;
    ngx_uint_t             i, j;
    ngx_mesh_condition_t  *c;

    ngx_memzero(r, sizeof(ngx_mesh_rule_t));

    name = ngx_palloc(pool, 32);
    snprintf(name, 32, "r%lu", (unsigned long) n);

    r->name = str(name);
    r->owner = str(random() % 3 ? "config" : "api");
    r->priority = random() % 3 - 1;
    r->order = n;
    r->nconditions = random() % 5;
    r->conditions = ngx_pcalloc(pool, 5 * sizeof(ngx_mesh_condition_t));

    for (i = 0; i < r->nconditions; i++) {
        c = &r->conditions[i];
        c->fact = str(random() % 20 ? pick(facts) : "caller");

        if (c->fact.len == 0) {
            c->fact = str("service");
        }

        c->npatterns = random() % 4 ? 1 : 1 + random() % 12;
        c->patterns = ngx_pcalloc(pool,
                                  c->npatterns * sizeof(ngx_mesh_pattern_t));

        if (random() % 30 == 0) {
            c->npatterns = 1;
            c->patterns[0].op = NGX_MESH_RULE_PERCENT;
            c->patterns[0].number = random() % 2 * 5000;
            continue;
        }

        for (j = 0; j < c->npatterns; j++) {
            random_pattern(c, &c->patterns[j]);
        }
    }
}


static ngx_str_t
random_word(void)
{
    return random() % 4 ? str(pick(words)) : str("");
}


static void
random_sample(sample_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_MESH_NAMES; i++) {
        s->names[i] = random_word();
    }

    s->x = random_word();
    s->y = random_word();
    s->app = random_word();

    s->caller.sin_family = AF_INET;
    s->caller.sin_addr.s_addr = htonl(random() % 2 ? 0x0a010203 : 0x7f000001);
}


/* the same without an index, from the rule as it was given */

static int
naive_pattern(ngx_mesh_pattern_t *p, ngx_str_t *v)
{
    int                 rc, err;
    size_t              at;
    pcre2_code         *re;
    pcre2_match_data   *md;

    switch (p->op) {

    case NGX_MESH_RULE_EXACT:
        return v->len == p->value.len
               && ngx_strncmp(v->data, p->value.data, v->len) == 0;

    case NGX_MESH_RULE_PREFIX:
        return v->len >= p->value.len
               && ngx_strncmp(v->data, p->value.data, p->value.len) == 0;

    case NGX_MESH_RULE_SUFFIX:
        return v->len >= p->value.len
               && ngx_strncmp(v->data + v->len - p->value.len, p->value.data,
                              p->value.len)
                  == 0;

    case NGX_MESH_RULE_PRESENT:
        return v->len != 0;

    case NGX_MESH_RULE_ABSENT:
        return v->len == 0;

    default:
        break;
    }

    re = pcre2_compile(p->value.data, p->value.len,
                       p->op == NGX_MESH_RULE_NOCASE ? PCRE2_CASELESS : 0,
                       &err, &at, NULL);
    md = pcre2_match_data_create(1, NULL);

    rc = pcre2_match(re, v->len ? v->data : (u_char *) "", v->len, 0, 0, md,
                     NULL);

    pcre2_match_data_free(md);
    pcre2_code_free(re);

    return rc >= 0;
}


/* 1, 0, or -1: it is drawn */

static int
naive(ngx_mesh_rule_t *r, sample_t *s, int dynamic)
{
    ngx_str_t              v;
    ngx_uint_t             i, j, k, name;
    ngx_cidr_t             cidr;
    ngx_mesh_pattern_t    *p;
    ngx_mesh_condition_t  *c;

    for (i = 0; i < r->nconditions; i++) {
        c = &r->conditions[i];

        if (c->patterns[0].op == NGX_MESH_RULE_PERCENT) {
            continue;
        }

        for (name = 0; name < 7; name++) {
            if (is(&c->fact, facts[name])) {
                break;
            }
        }

        if (name == 7) {
            if (!dynamic) {
                continue;
            }

            if (sample_fact(s, &c->fact, &v) != NGX_OK) {
                ngx_str_null(&v);
            }
        }

        for (j = 0, k = 0; j < c->npatterns && !k; j++) {
            p = &c->patterns[j];

            if (p->op == NGX_MESH_RULE_CIDR) {
                (void) ngx_ptocidr(&p->value, &cidr);
                k = (s->caller.sin_addr.s_addr & cidr.u.in.mask)
                    == cidr.u.in.addr;
                continue;
            }

            if (name < 7) {
                v = s->names[name];
            }

            if (name == NGX_MESH_NAME_SERVICE && p->value.len
                && memchr(p->value.data, '/', p->value.len))
            {
                v = s->names[NGX_MESH_NAME_KEY];
            }

            /* an attachment that is not there matches no expression */

            k = (name == 7 && v.len == 0)
                ? p->op == NGX_MESH_RULE_ABSENT : naive_pattern(p, &v);
        }

        if (!k) {
            return 0;
        }
    }

    return 1;
}


static int
dynamic(ngx_mesh_rule_t *r)
{
    ngx_uint_t  i, name;

    for (i = 0; i < r->nconditions; i++) {

        for (name = 0; name < 7; name++) {
            if (is(&r->conditions[i].fact, facts[name])) {
                break;
            }
        }

        if (name == 7
            || r->conditions[i].patterns[0].op == NGX_MESH_RULE_PERCENT)
        {
            return 1;
        }
    }

    return 0;
}


static int
drawn(ngx_mesh_rule_t *r)
{
    ngx_uint_t  i;

    for (i = 0; i < r->nconditions; i++) {
        if (r->conditions[i].patterns[0].op == NGX_MESH_RULE_PERCENT) {
            return 1;
        }
    }

    return 0;
}


static int
compare(ngx_mesh_rules_t *set, sample_t *s)
{
    int                      expected;
    ngx_uint_t               i, n, all, at;
    ngx_mesh_rule_t         *rule;
    ngx_mesh_route_t       **found, **routes;
    ngx_mesh_rules_call_t    call;

    ngx_memzero(&call, sizeof(ngx_mesh_rules_call_t));
    call.fact = sample_fact;
    call.data = s;
    call.caller = (struct sockaddr *) &s->caller;

    all = ngx_mesh_rules_all(set, &routes);
    n = ngx_mesh_rules_find(set, s->names, &found);
    at = 0;

    for (i = 0; i < all; i++) {
        rule = ngx_mesh_route_rule(routes[i]);

        if (!naive(rule, s, 0)) {
            if (ngx_mesh_route_explain(routes[i], s->names, &call) == -1) {
                return 0;
            }

            continue;
        }

        if (at == n || found[at] != routes[i]) {
            return 0;
        }

        at++;

        if ((int) ngx_mesh_route_final(routes[i]) == dynamic(rule)) {
            return 0;
        }

        expected = naive(rule, s, 1);

        if (!drawn(rule)
            && ((int) ngx_mesh_route_match(routes[i], &call) != expected
                || (ngx_mesh_route_explain(routes[i], s->names, &call) == -1)
                   != expected))
        {
            return 0;
        }

        if (!dynamic(rule)) {
            break;
        }
    }

    return at == n;
}


static void
model(void)
{
    int                good;
    sample_t           s;
    ngx_uint_t         i, j, n, before;
    ngx_mesh_rule_t   *rules;
    ngx_mesh_rules_t  *set;

    good = 1;
    before = stub_pools;

    for (i = 0; i < SETS && good; i++) {
        n = (i % 7 == 0) ? random() % 400 : random() % 20;
        rules = ngx_pcalloc(pool, (n + 1) * sizeof(ngx_mesh_rule_t));

        for (j = 0; j < n; j++) {
            random_rule(&rules[j], j);
        }

        set = ngx_mesh_rules_create(rules, n, NULL);

        for (j = 0; j < CALLS && good; j++) {
            random_sample(&s);
            good = compare(set, &s);
        }

        ngx_mesh_rules_hold(set);
        ngx_mesh_rules_release(set);
        ngx_mesh_rules_release(set);
    }

    ok(good, "the index finds what a simple search finds");
    ok(stub_pools == before, "sets are freed");
    ok(stub_errors == 0, "nothing to log");
}


/* who is drawn */

static void
draws(void)
{
    char                     user[32];
    int                      one, two, both;
    sample_t                 s;
    ngx_uint_t               i, hits, first, parts[2];
    ngx_mesh_rule_t          rule[2];
    ngx_mesh_rules_t        *set;
    ngx_mesh_route_t       **routes;
    ngx_mesh_target_t        targets[2];
    ngx_mesh_pattern_t       pattern_;
    ngx_mesh_condition_t     condition;
    ngx_mesh_rules_call_t    call;

    ngx_memzero(&rule, sizeof(rule));
    ngx_memzero(&targets, sizeof(targets));
    ngx_memzero(&pattern_, sizeof(pattern_));
    ngx_memzero(&condition, sizeof(condition));

    pattern_.op = NGX_MESH_RULE_PERCENT;
    pattern_.number = 500;
    condition.patterns = &pattern_;
    condition.npatterns = 1;
    targets[0].weight = 5;
    targets[1].weight = 95;

    rule[0].name = str("a");
    rule[0].conditions = &condition;
    rule[0].nconditions = 1;
    rule[0].targets = targets;
    rule[0].ntargets = 2;

    set = ngx_mesh_rules_create(rule, 1, NULL);
    (void) ngx_mesh_rules_all(set, &routes);

    ngx_memzero(&call, sizeof(call));
    ngx_memzero(&s, sizeof(s));
    call.fact = sample_fact;
    call.data = &s;

    hits = 0;
    parts[0] = parts[1] = 0;

    for (i = 0; i < 10000; i++) {
        hits += ngx_mesh_route_match(routes[0], &call);
        parts[ngx_mesh_route_target(routes[0], &call)]++;
    }

    ok(hits >= 495 && hits <= 505, "five percent of all calls");
    ok(parts[0] >= 495 && parts[0] <= 505, "a split of five to 95");

    ngx_mesh_rules_release(set);

    /* by a fact */

    condition.fact = str("attachment.x");
    rule[0].hash = str("attachment.x");
    pattern_.number = 2000;
    targets[0].weight = 1;
    targets[1].weight = 1;

    set = ngx_mesh_rules_create(rule, 1, NULL);
    (void) ngx_mesh_rules_all(set, &routes);

    hits = 0;
    both = 0;
    first = 0;

    for (i = 0; i < 10000; i++) {
        snprintf(user, sizeof(user), "user%lu", (unsigned long) i);
        s.x = str(user);

        call.name = NULL;
        one = ngx_mesh_route_match(routes[0], &call);
        two = ngx_mesh_route_match(routes[0], &call);
        hits += one;
        both += (one == two);

        if (one) {
            first += ngx_mesh_route_target(routes[0], &call);
        }
    }

    ok(hits >= 1850 && hits <= 2150, "twenty percent of the users");
    ok(both == 10000, "always the same ones");
    ok(first > hits * 45 / 100 && first < hits * 55 / 100,
       "whom a share does not decide on splits");

    s.x = str("");
    call.name = NULL;
    ok(!ngx_mesh_route_match(routes[0], &call), "nobody is not drawn");

    ngx_mesh_rules_release(set);
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
    model();
    draws();

    ngx_destroy_pool(pool);
    ok(stub_pools == 0, "no pool is left");

    printf("1..%lu\n", (unsigned long) tests);

    return failures ? 1 : 0;
}
