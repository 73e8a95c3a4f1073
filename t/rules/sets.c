
/*
 * Copyright (C) nginx-mesh authors
 *
 * Sets of routes: random ones against a matcher that knows no index, what
 * becomes of them by changes, and who is drawn.
 */


#include "test.h"


#define SETS   400
#define CALLS  300
#define STEPS  60


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
expression(ngx_mesh_rule_t *r)
{
    ngx_uint_t  i, j, op;

    for (i = 0; i < r->nconditions; i++) {
        for (j = 0; j < r->conditions[i].npatterns; j++) {
            op = r->conditions[i].patterns[j].op;

            if (op == NGX_MESH_RULE_REGEX || op == NGX_MESH_RULE_NOCASE) {
                return 1;
            }
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


/* sets made of others have what a set made at once has */

static int
alike(ngx_mesh_rules_t *set, ngx_mesh_rule_t *rules, ngx_uint_t n)
{
    int                  good;
    sample_t             s;
    ngx_str_t           *a, *b;
    ngx_uint_t           i, k;
    ngx_mesh_rules_t    *whole;
    ngx_mesh_route_t   **routes, **expected;

    whole = ngx_mesh_rules_create(rules, n, NULL);

    good = (ngx_mesh_rules_all(set, &routes) == n
            && ngx_mesh_rules_all(whole, &expected) == n
            && ngx_mesh_rules_grouped(set) == ngx_mesh_rules_grouped(whole));

    for (i = 0; good && i < n; i++) {
        a = &ngx_mesh_route_rule(routes[i])->name;
        b = &ngx_mesh_route_rule(expected[i])->name;
        good = (a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    }

    for (k = 0; good && k < 20; k++) {
        random_sample(&s);
        good = compare(set, &s);
    }

    ngx_mesh_rules_release(whole);

    return good;
}


static void
changes(void)
{
    int                good, there[STEPS];
    ngx_str_t          gone[10];
    ngx_uint_t         i, j, k, n, round, ngone, nadded, before;
    ngx_mesh_rule_t    rules[STEPS], list[STEPS], added[10];
    ngx_mesh_rules_t  *set, *old;

    good = 1;
    set = NULL;
    before = stub_pools;
    ngx_memzero(there, sizeof(there));
    ngx_memzero(rules, sizeof(rules));

    for (round = 0; good && round < 2 * STEPS; round++) {
        ngone = random() % 10;
        nadded = 0;

        for (i = 0; i < ngone; i++) {
            j = random() % STEPS;

            for (k = 0; k < i && gone[k].data != rules[j].name.data; k++) {
                /* void */
            }

            if (k < i && there[j]) {
                ngone = i;
                break;
            }

            random_rule(&rules[j], j);
            gone[i] = rules[j].name;
            there[j] = (random() % 3 != 0);

            if (there[j]) {
                added[nadded++] = rules[j];
            }
        }

        old = set;
        set = ngx_mesh_rules_change(old, gone, ngone, added, nadded, NULL);

        if (old) {
            ngx_mesh_rules_release(old);
        }

        for (j = 0, n = 0; j < STEPS; j++) {
            if (there[j]) {
                list[n++] = rules[j];
            }
        }

        good = alike(set, list, n);
    }

    ok(good, "sets follow changes");

    ngx_mesh_rules_release(set);
    ok(stub_pools == before, "... and are freed with what they share");
}


static void
shortage(void)
{
    ngx_str_t          gone;
    ngx_uint_t         i, n, left;
    ngx_mesh_rule_t    rules[3], more[2];
    ngx_mesh_rules_t  *set, *changed;

    for (i = 0; i < 3; i++) {
        do {
            random_rule(&rules[i], i);
        } while (expression(&rules[i]));
    }

    more[0] = rules[1];
    more[0].priority = 9;

    do {
        random_rule(&more[1], 4);
    } while (expression(&more[1]));

    gone = rules[1].name;
    set = ngx_mesh_rules_create(rules, 3, NULL);
    left = 1;
    n = stub_pools;

    for (i = 1; left; i++) {
        stub_short = i;
        changed = ngx_mesh_rules_change(set, &gone, 1, more, 2, NULL);
        left = (stub_short == 0);
        stub_short = 0;

        if (changed) {
            break;
        }

        if (stub_pools != n || !alike(set, rules, 3)) {
            ok(0, "without memory nothing changes");
            return;
        }
    }

    ok(i > 10 && !left, "without memory nothing changes");

    ngx_mesh_rules_release(set);
    ngx_mesh_rules_release(changed);
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


void
sets(void)
{
    model();
    changes();
    shortage();
    draws();
}
