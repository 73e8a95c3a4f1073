
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule_int.h"


/* sets of rules: made once for a revision, and not changed any more */


static int ngx_libc_cdecl ngx_mesh_rules_cmp(const void *one,
    const void *two);
static ngx_mesh_rule_t *ngx_mesh_rules_copy(ngx_mesh_rule_t *rule,
    ngx_pool_t *pool);
static ngx_mesh_route_t *ngx_mesh_rules_route(ngx_mesh_rules_t *set,
    ngx_mesh_rule_t *rule);
static ngx_int_t ngx_mesh_rules_tests(ngx_mesh_rules_t *set,
    ngx_mesh_route_t *route, ngx_array_t *names, ngx_log_t *log);
static ngx_int_t ngx_mesh_rules_test(ngx_mesh_rules_t *set,
    ngx_mesh_test_t *test, ngx_mesh_condition_t *c, ngx_mesh_alt_t *alts,
    ngx_array_t *names, ngx_log_t *log);
static ngx_int_t ngx_mesh_rules_cidrs(ngx_mesh_test_t *test,
    ngx_mesh_condition_t *c, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_rules_alt(ngx_mesh_rules_t *set, ngx_mesh_alt_t *alt,
    ngx_mesh_pattern_t *p, ngx_uint_t fact, ngx_log_t *log);
static ngx_str_t *ngx_mesh_rules_name(ngx_array_t *names, ngx_str_t *name,
    ngx_pool_t *pool);


ngx_mesh_rules_t *
ngx_mesh_rules_create(ngx_mesh_rule_t *rules, ngx_uint_t n, ngx_log_t *log)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_pool_t        *pool, *temp;
    ngx_array_t        names;
    ngx_mesh_rule_t  **order;
    ngx_mesh_rules_t  *set;

    pool = ngx_create_pool(16384, log);
    if (pool == NULL) {
        return NULL;
    }

    temp = ngx_create_pool(16384, log);
    if (temp == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    rc = NGX_ERROR;

    set = ngx_pcalloc(pool, sizeof(ngx_mesh_rules_t));
    order = ngx_palloc(temp, (n + 1) * sizeof(ngx_mesh_rule_t *));

    if (set == NULL || order == NULL
        || ngx_array_init(&names, temp, 4, sizeof(ngx_str_t *)) != NGX_OK)
    {
        goto done;
    }

    set->pool = pool;
    set->refs = 1;
    set->nroutes = n;

    set->routes = ngx_palloc(pool, (n + 1) * sizeof(ngx_mesh_route_t *));
    if (set->routes == NULL) {
        goto done;
    }

    for (i = 0; i < n; i++) {
        order[i] = &rules[i];
    }

    ngx_qsort(order, n, sizeof(ngx_mesh_rule_t *), ngx_mesh_rules_cmp);

    for (i = 0; i < n; i++) {
        set->routes[i] = ngx_mesh_rules_route(set, order[i]);

        if (set->routes[i] == NULL
            || ngx_mesh_rules_tests(set, set->routes[i], &names, log)
               != NGX_OK)
        {
            goto done;
        }
    }

    rc = ngx_mesh_rules_index(set, temp);

done:

    ngx_destroy_pool(temp);

    if (rc != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return set;
}


/* those of a configuration come before others of their priority */

static int ngx_libc_cdecl
ngx_mesh_rules_cmp(const void *one, const void *two)
{
    ngx_int_t         config_a, config_b;
    ngx_mesh_rule_t  *a, *b;

    a = *(ngx_mesh_rule_t **) one;
    b = *(ngx_mesh_rule_t **) two;

    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }

    config_a = a->owner.len == 6
               && ngx_strncmp(a->owner.data, "config", 6) == 0;
    config_b = b->owner.len == 6
               && ngx_strncmp(b->owner.data, "config", 6) == 0;

    if (config_a != config_b) {
        return config_a ? -1 : 1;
    }

    if (a->order != b->order) {
        return a->order < b->order ? -1 : 1;
    }

    return (int) ngx_memn2cmp(a->name.data, b->name.data, a->name.len,
                              b->name.len);
}


void
ngx_mesh_rules_hold(ngx_mesh_rules_t *set)
{
    set->refs++;
}


void
ngx_mesh_rules_release(ngx_mesh_rules_t *set)
{
    if (--set->refs == 0) {
        ngx_destroy_pool(set->pool);
    }
}


ngx_uint_t
ngx_mesh_rules_grouped(ngx_mesh_rules_t *set)
{
    return set->grouped;
}


ngx_uint_t
ngx_mesh_rules_all(ngx_mesh_rules_t *set, ngx_mesh_route_t ***routes)
{
    *routes = set->routes;

    return set->nroutes;
}


ngx_mesh_rule_t *
ngx_mesh_route_rule(ngx_mesh_route_t *route)
{
    return route->rule;
}


ngx_uint_t
ngx_mesh_route_final(ngx_mesh_route_t *route)
{
    return route->ncalls == 0;
}


static ngx_mesh_rule_t *
ngx_mesh_rules_copy(ngx_mesh_rule_t *rule, ngx_pool_t *pool)
{
    ngx_str_t         record;
    ngx_mesh_rule_t  *copy;

    copy = ngx_palloc(pool, sizeof(ngx_mesh_rule_t));

    record.len = ngx_mesh_rule_size(rule);
    record.data = ngx_pnalloc(pool, record.len);

    if (copy == NULL || record.data == NULL) {
        return NULL;
    }

    ngx_mesh_rule_write(record.data, rule);

    return ngx_mesh_rule_read(&record, copy, pool) == NGX_OK ? copy : NULL;
}


/* what is compared stands together, the fewer lines of memory are read */

static ngx_mesh_route_t *
ngx_mesh_rules_route(ngx_mesh_rules_t *set, ngx_mesh_rule_t *rule)
{
    size_t                size;
    u_char               *p;
    ngx_uint_t            i, j;
    ngx_mesh_route_t     *route;
    ngx_mesh_pattern_t   *pattern;

    rule = ngx_mesh_rules_copy(rule, set->pool);
    if (rule == NULL) {
        return NULL;
    }

    size = sizeof(ngx_mesh_route_t)
           + rule->nconditions * sizeof(ngx_mesh_test_t);

    for (i = 0; i < rule->nconditions; i++) {
        size += rule->conditions[i].npatterns * sizeof(ngx_mesh_alt_t);

        for (j = 0; j < rule->conditions[i].npatterns; j++) {
            size += rule->conditions[i].patterns[j].value.len;
        }
    }

    route = ngx_pcalloc(set->pool, size);
    if (route == NULL) {
        return NULL;
    }

    route->rule = rule;
    route->tests = (ngx_mesh_test_t *) (route + 1);

    for (i = 0; i < rule->ntargets; i++) {
        route->total += rule->targets[i].weight;
    }

    p = (u_char *) route + size;

    for (i = 0; i < rule->nconditions; i++) {

        for (j = 0; j < rule->conditions[i].npatterns; j++) {
            pattern = &rule->conditions[i].patterns[j];

            if (pattern->value.len) {
                p -= pattern->value.len;
                ngx_memcpy(p, pattern->value.data, pattern->value.len);
                pattern->value.data = p;
            }
        }
    }

    /* workers do not draw in step */

    route->drawn = (uint32_t) ngx_random();
    route->split = (uint32_t) ngx_random();

    return route;
}


static ngx_int_t
ngx_mesh_rules_tests(ngx_mesh_rules_t *set, ngx_mesh_route_t *route,
    ngx_array_t *names, ngx_log_t *log)
{
    ngx_uint_t             i, j, n, percent, last;
    ngx_mesh_alt_t        *alt;
    ngx_mesh_rule_t       *rule;
    ngx_mesh_test_t        swap, *test, *tests;
    ngx_mesh_condition_t  *c;

    rule = route->rule;
    tests = route->tests;
    alt = (ngx_mesh_alt_t *) (tests + rule->nconditions);

    n = 0;
    last = rule->nconditions;

    for (i = 0; i < rule->nconditions; i++) {
        c = &rule->conditions[i];

        percent = (c->npatterns && c->patterns[0].op == NGX_MESH_RULE_PERCENT);

        if (!percent && ngx_mesh_rule_fact(&c->fact) < NGX_MESH_NAMES) {
            test = &tests[n++];

        } else {
            test = &tests[--last];
        }

        test->condition = i;

        if (ngx_mesh_rules_test(set, test, c, alt, names, log) != NGX_OK) {
            return NGX_ERROR;
        }

        /* nobody gets past "deny" by a text that takes too long */

        for (j = 0; j < c->npatterns; j++) {
            alt[j].closed = rule->denied;
        }

        alt += c->npatterns;
    }

    route->ntests = n;
    route->calls = tests + n;
    route->ncalls = rule->nconditions - n;

    /* calls are drawn from those that meet everything else */

    for (i = 0; i < route->ncalls; i++) {

        if (route->calls[i].percent <= NGX_MESH_RULE_ALL) {
            test = &route->calls[route->ncalls - 1];
            swap = *test;
            *test = route->calls[i];
            route->calls[i] = swap;
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_rules_test(ngx_mesh_rules_t *set, ngx_mesh_test_t *test,
    ngx_mesh_condition_t *c, ngx_mesh_alt_t *alts, ngx_array_t *names,
    ngx_log_t *log)
{
    ngx_uint_t  i;

    test->fact = ngx_mesh_rule_fact(&c->fact);
    test->percent = NGX_MESH_RULE_ALL + 1;
    test->alts = alts;
    test->nalts = c->npatterns;

    if (c->npatterns && c->patterns[0].op == NGX_MESH_RULE_PERCENT) {
        test->percent = c->patterns[0].number;
        test->nalts = 0;

    } else if (test->fact == NGX_MESH_FACT_CALLER
               && ngx_mesh_rules_cidrs(test, c, set->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (c->fact.len && (test->fact >= NGX_MESH_NAMES || test->nalts == 0)) {
        test->name = ngx_mesh_rules_name(names, &c->fact, set->pool);

        if (test->name == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < test->nalts; i++) {
        if (ngx_mesh_rules_alt(set, &alts[i], &c->patterns[i], test->fact, log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_rules_cidrs(ngx_mesh_test_t *test, ngx_mesh_condition_t *c,
    ngx_pool_t *pool)
{
    ngx_uint_t           i;
    ngx_cidr_t          *cidr;
    ngx_mesh_pattern_t  *p;

    test->cidrs = ngx_array_create(pool, c->npatterns, sizeof(ngx_cidr_t));
    if (test->cidrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < c->npatterns; i++) {
        p = &c->patterns[i];

        if (p->op != NGX_MESH_RULE_CIDR) {
            continue;
        }

        cidr = ngx_array_push(test->cidrs);
        if (cidr == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(cidr, sizeof(ngx_cidr_t));

        if (p->value.len == 5 && ngx_strncmp(p->value.data, "unix:", 5) == 0) {
            cidr->family = AF_UNIX;

        } else if (ngx_ptocidr(&p->value, cidr) == NGX_ERROR) {
            test->cidrs->nelts--;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_rules_alt(ngx_mesh_rules_t *set, ngx_mesh_alt_t *alt,
    ngx_mesh_pattern_t *p, ngx_uint_t fact, ngx_log_t *log)
{
    u_char     buf[512];
    ngx_str_t  err;

    alt->op = (uint8_t) p->op;
    alt->name = (uint8_t) fact;
    alt->value = p->value;

    if (fact == NGX_MESH_FACT_SERVICE && p->value.len
        && ngx_strlchr(p->value.data, p->value.data + p->value.len, '/'))
    {
        alt->name = NGX_MESH_NAME_KEY;
        set->grouped = 1;
    }

    if (fact == NGX_MESH_FACT_GROUP) {
        set->grouped = 1;
    }

    if (p->op != NGX_MESH_RULE_REGEX && p->op != NGX_MESH_RULE_NOCASE) {
        return NGX_OK;
    }

    err.data = buf;
    err.len = sizeof(buf);

    alt->regex = ngx_mesh_rule_compile(p, set->pool, &err);

    if (alt->regex == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "mesh: %V", &err);
        return NGX_OK;
    }

    return ngx_mesh_alt_literal(alt, set->pool);
}


/* names that routes ask for are few, and told apart by where they are */

static ngx_str_t *
ngx_mesh_rules_name(ngx_array_t *names, ngx_str_t *name, ngx_pool_t *pool)
{
    ngx_str_t   *s, **known;
    ngx_uint_t   i;

    known = names->elts;

    for (i = 0; i < names->nelts; i++) {
        if (known[i]->len == name->len
            && ngx_memcmp(known[i]->data, name->data, name->len) == 0)
        {
            return known[i];
        }
    }

    s = ngx_palloc(pool, sizeof(ngx_str_t));
    known = ngx_array_push(names);

    if (s == NULL || known == NULL) {
        return NULL;
    }

    *s = *name;
    *known = s;

    return s;
}
