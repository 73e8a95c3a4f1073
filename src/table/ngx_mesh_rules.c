
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule_int.h"


/* sets of rules: made once for a revision, and not changed any more */


static ngx_int_t ngx_mesh_rules_keep(ngx_mesh_rules_t *set,
    ngx_mesh_rules_t *old, ngx_str_t *gone, ngx_uint_t ngone,
    ngx_pool_t *temp);
static ngx_uint_t ngx_mesh_rules_gone(ngx_str_t **gone, ngx_uint_t n,
    ngx_str_t *name);
static ngx_int_t ngx_mesh_rules_add(ngx_mesh_rules_t *set,
    ngx_mesh_rule_t *rules, ngx_uint_t n, ngx_pool_t *temp, ngx_log_t *log);
static int ngx_libc_cdecl ngx_mesh_rules_cmp_name(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_mesh_rules_cmp(const void *one,
    const void *two);
static ngx_mesh_route_t *ngx_mesh_rules_route(ngx_mesh_rule_t *rule,
    ngx_log_t *log);
static ngx_str_t *ngx_mesh_rules_name(ngx_str_t *name, ngx_pool_t *pool);
static void ngx_mesh_rules_forget(void *data);
static ngx_mesh_route_t *ngx_mesh_rules_layout(ngx_mesh_rule_t *rule,
    ngx_pool_t *pool);
static void ngx_mesh_rules_drop(ngx_mesh_route_t *route);
static ngx_int_t ngx_mesh_rules_tests(ngx_mesh_route_t *route, ngx_log_t *log);
static ngx_int_t ngx_mesh_rules_test(ngx_mesh_route_t *route,
    ngx_mesh_test_t *test, ngx_mesh_condition_t *c, ngx_mesh_alt_t *alts,
    ngx_log_t *log);
static ngx_int_t ngx_mesh_rules_cidrs(ngx_mesh_test_t *test,
    ngx_mesh_condition_t *c, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_rules_alt(ngx_mesh_route_t *route,
    ngx_mesh_alt_t *alt, ngx_mesh_pattern_t *p, ngx_uint_t fact,
    ngx_log_t *log);


/*
 * Names that routes ask for: many ask for few, so that one is told from another
 * by where it is, and is near when it is needed.
 */

#define NGX_MESH_RULES_NAMES  256

typedef struct ngx_mesh_rules_name_s  ngx_mesh_rules_name_t;

struct ngx_mesh_rules_name_s {
    ngx_str_t               name;
    ngx_uint_t              refs;
    ngx_mesh_rules_name_t  *next;
};


static ngx_mesh_rules_name_t  *ngx_mesh_rules_names[NGX_MESH_RULES_NAMES];


ngx_mesh_rules_t *
ngx_mesh_rules_create(ngx_mesh_rule_t *rules, ngx_uint_t n, ngx_log_t *log)
{
    return ngx_mesh_rules_change(NULL, NULL, 0, rules, n, log);
}


ngx_mesh_rules_t *
ngx_mesh_rules_change(ngx_mesh_rules_t *old, ngx_str_t *gone,
    ngx_uint_t ngone, ngx_mesh_rule_t *rules, ngx_uint_t n, ngx_log_t *log)
{
    ngx_pool_t        *pool, *temp;
    ngx_mesh_rules_t  *set;

    pool = ngx_create_pool(16384, log);
    if (pool == NULL) {
        return NULL;
    }

    set = ngx_pcalloc(pool, sizeof(ngx_mesh_rules_t));
    if (set == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    set->pool = pool;
    set->refs = 1;

    set->routes = ngx_palloc(pool, ((old ? old->nroutes : 0) + n + 1)
                                   * sizeof(ngx_mesh_route_t *));
    temp = ngx_create_pool(16384, log);

    if (set->routes == NULL || temp == NULL
        || ngx_mesh_rules_keep(set, old, gone, ngone, temp) != NGX_OK
        || ngx_mesh_rules_add(set, rules, n, temp, log) != NGX_OK
        || ngx_mesh_rules_index(set, temp) != NGX_OK)
    {
        ngx_mesh_rules_release(set);
        set = NULL;
    }

    if (temp) {
        ngx_destroy_pool(temp);
    }

    return set;
}


/* the routes of the old set that are not gone, in their order */

static ngx_int_t
ngx_mesh_rules_keep(ngx_mesh_rules_t *set, ngx_mesh_rules_t *old,
    ngx_str_t *gone, ngx_uint_t ngone, ngx_pool_t *temp)
{
    ngx_str_t         **names;
    ngx_uint_t          i;
    ngx_mesh_route_t   *route;

    if (old == NULL) {
        return NGX_OK;
    }

    names = ngx_palloc(temp, (ngone + 1) * sizeof(ngx_str_t *));
    if (names == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngone; i++) {
        names[i] = &gone[i];
    }

    ngx_qsort(names, ngone, sizeof(ngx_str_t *), ngx_mesh_rules_cmp_name);

    for (i = 0; i < old->nroutes; i++) {
        route = old->routes[i];

        if (!ngx_mesh_rules_gone(names, ngone, &route->rule->name)) {
            route->refs++;
            set->routes[set->nroutes++] = route;
            set->grouped |= route->grouped;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_rules_gone(ngx_str_t **gone, ngx_uint_t n, ngx_str_t *name)
{
    int         rc;
    ngx_uint_t  from, middle;

    from = 0;

    while (from < n) {
        middle = from + (n - from) / 2;

        rc = ngx_mesh_rules_cmp_name(&name, &gone[middle]);

        if (rc == 0) {
            return 1;
        }

        if (rc < 0) {
            n = middle;

        } else {
            from = middle + 1;
        }
    }

    return 0;
}


/* new routes, each at its place among those there are */

static ngx_int_t
ngx_mesh_rules_add(ngx_mesh_rules_t *set, ngx_mesh_rule_t *rules,
    ngx_uint_t n, ngx_pool_t *temp, ngx_log_t *log)
{
    ngx_uint_t          i, at, last;
    ngx_mesh_route_t  **added;

    added = ngx_palloc(temp, (n + 1) * sizeof(ngx_mesh_route_t *));
    if (added == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        added[i] = ngx_mesh_rules_route(&rules[i], log);

        if (added[i] == NULL) {

            while (i--) {
                ngx_mesh_rules_drop(added[i]);
            }

            return NGX_ERROR;
        }

        set->grouped |= added[i]->grouped;
    }

    ngx_qsort(added, n, sizeof(ngx_mesh_route_t *), ngx_mesh_rules_cmp);

    /* from the end, so that each is moved once */

    last = set->nroutes;
    set->nroutes += n;

    for (at = set->nroutes; n; /* void */ ) {

        if (last
            && ngx_mesh_rules_cmp(&set->routes[last - 1], &added[n - 1]) > 0)
        {
            set->routes[--at] = set->routes[--last];

        } else {
            set->routes[--at] = added[--n];
        }
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_rules_cmp_name(const void *one, const void *two)
{
    ngx_str_t  *a, *b;

    a = *(ngx_str_t **) one;
    b = *(ngx_str_t **) two;

    return (int) ngx_memn2cmp(a->data, b->data, a->len, b->len);
}


/* those of a configuration come before others of their priority */

static int ngx_libc_cdecl
ngx_mesh_rules_cmp(const void *one, const void *two)
{
    ngx_int_t         config_a, config_b;
    ngx_mesh_rule_t  *a, *b;

    a = (*(ngx_mesh_route_t **) one)->rule;
    b = (*(ngx_mesh_route_t **) two)->rule;

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
    ngx_uint_t  i;

    if (--set->refs) {
        return;
    }

    for (i = 0; i < set->nroutes; i++) {
        ngx_mesh_rules_drop(set->routes[i]);
    }

    ngx_destroy_pool(set->pool);
}


static void
ngx_mesh_rules_drop(ngx_mesh_route_t *route)
{
    if (--route->refs == 0) {
        ngx_destroy_pool(route->pool);
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


/* in a pool of its own, as many sets may share it */

static ngx_mesh_route_t *
ngx_mesh_rules_route(ngx_mesh_rule_t *rule, ngx_log_t *log)
{
    ngx_str_t          record;
    ngx_pool_t        *pool;
    ngx_mesh_rule_t   *copy;
    ngx_mesh_route_t  *route;

    record.len = ngx_mesh_rule_size(rule);

    /* what most of them need, in one piece */

    pool = ngx_create_pool(ngx_align(sizeof(ngx_pool_t)
                                     + sizeof(ngx_mesh_rule_t)
                                     + sizeof(ngx_mesh_route_t)
                                     + 4 * record.len, 64), log);
    if (pool == NULL) {
        return NULL;
    }

    copy = ngx_palloc(pool, sizeof(ngx_mesh_rule_t));
    record.data = ngx_pnalloc(pool, record.len);
    route = NULL;

    if (copy && record.data) {
        ngx_mesh_rule_write(record.data, rule);

        if (ngx_mesh_rule_read(&record, copy, pool) == NGX_OK) {
            route = ngx_mesh_rules_layout(copy, pool);
        }
    }

    if (route == NULL
        || ngx_mesh_rules_tests(route, log) != NGX_OK
        || ngx_mesh_rules_keys(route) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return route;
}


/* it stays as long as the pool */

static ngx_str_t *
ngx_mesh_rules_name(ngx_str_t *name, ngx_pool_t *pool)
{
    ngx_pool_cleanup_t      *cln;
    ngx_mesh_rules_name_t   *n, **bucket;

    bucket = &ngx_mesh_rules_names[ngx_mesh_hash_str(0, name)
                                   % NGX_MESH_RULES_NAMES];

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    for (n = *bucket; n; n = n->next) {
        if (n->name.len == name->len
            && ngx_memcmp(n->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (n == NULL) {
        n = ngx_alloc(sizeof(ngx_mesh_rules_name_t) + name->len, pool->log);
        if (n == NULL) {
            return NULL;
        }

        n->name.len = name->len;
        n->name.data = (u_char *) n + sizeof(ngx_mesh_rules_name_t);
        ngx_memcpy(n->name.data, name->data, name->len);

        n->refs = 0;
        n->next = *bucket;
        *bucket = n;
    }

    n->refs++;

    cln->handler = ngx_mesh_rules_forget;
    cln->data = n;

    return &n->name;
}


static void
ngx_mesh_rules_forget(void *data)
{
    ngx_mesh_rules_name_t *n = data;

    ngx_mesh_rules_name_t  **prev;

    if (--n->refs) {
        return;
    }

    prev = &ngx_mesh_rules_names[ngx_mesh_hash_str(0, &n->name)
                                 % NGX_MESH_RULES_NAMES];

    while (*prev != n) {
        prev = &(*prev)->next;
    }

    *prev = n->next;
    ngx_free(n);
}


/* what is compared stands together, the fewer lines of memory are read */

static ngx_mesh_route_t *
ngx_mesh_rules_layout(ngx_mesh_rule_t *rule, ngx_pool_t *pool)
{
    size_t                size;
    u_char               *p;
    ngx_uint_t            i, j;
    ngx_mesh_route_t     *route;
    ngx_mesh_pattern_t   *pattern;

    size = sizeof(ngx_mesh_route_t)
           + rule->nconditions * sizeof(ngx_mesh_test_t);

    for (i = 0; i < rule->nconditions; i++) {
        size += rule->conditions[i].npatterns * sizeof(ngx_mesh_alt_t);

        for (j = 0; j < rule->conditions[i].npatterns; j++) {
            size += rule->conditions[i].patterns[j].value.len;
        }
    }

    route = ngx_pcalloc(pool, size);
    if (route == NULL) {
        return NULL;
    }

    route->pool = pool;
    route->refs = 1;
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
ngx_mesh_rules_tests(ngx_mesh_route_t *route, ngx_log_t *log)
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

        if (ngx_mesh_rules_test(route, test, c, alt, log) != NGX_OK) {
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
ngx_mesh_rules_test(ngx_mesh_route_t *route, ngx_mesh_test_t *test,
    ngx_mesh_condition_t *c, ngx_mesh_alt_t *alts, ngx_log_t *log)
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
               && ngx_mesh_rules_cidrs(test, c, route->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (c->fact.len && (test->fact >= NGX_MESH_NAMES || test->nalts == 0)) {
        test->name = ngx_mesh_rules_name(&c->fact, route->pool);

        if (test->name == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < test->nalts; i++) {
        if (ngx_mesh_rules_alt(route, &alts[i], &c->patterns[i], test->fact,
                               log)
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
ngx_mesh_rules_alt(ngx_mesh_route_t *route, ngx_mesh_alt_t *alt,
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
        route->grouped = 1;
    }

    if (fact == NGX_MESH_FACT_GROUP) {
        route->grouped = 1;
    }

    if (p->op != NGX_MESH_RULE_REGEX && p->op != NGX_MESH_RULE_NOCASE) {
        return NGX_OK;
    }

    err.data = buf;
    err.len = sizeof(buf);

    alt->regex = ngx_mesh_rule_compile(p, route->pool, &err);

    if (alt->regex == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "mesh: %V", &err);
        return NGX_OK;
    }

    return ngx_mesh_alt_literal(alt, route->pool);
}
