
/*
 * Copyright (C) nginx-mesh authors
 *
 * How long it takes to find the route of a call whose names were not seen
 * before.  Prints nanoseconds of CPU time, the least of some rounds, for sets
 * of 100 and of 10000 routes: most of them have four exact conditions, some a
 * prefix, ten of either set an expression; half of the calls take none.
 */


#include <time.h>
#include "unit.h"
#include "ngx_mesh_rules.h"


#define SAMPLES  65536
#define ROUNDS   15


typedef struct {
    ngx_str_t   names[NGX_MESH_NAMES];
    ngx_str_t   tag;
    ngx_str_t   user;
} sample_t;


static ngx_pool_t  *pool;


static ngx_str_t
text(const char *fmt, ...)
{
    char       buf[256];
    va_list    args;
    ngx_str_t  s;

    va_start(args, fmt);
    s.len = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);

    s.data = ngx_palloc(pool, s.len + 1);
    memcpy(s.data, buf, s.len + 1);

    return s;
}


static ngx_int_t
fact(void *data, ngx_str_t *name, ngx_str_t *value)
{
    sample_t  *s = data;

    if (name->len == sizeof("attachment.tag") - 1
        && memcmp(name->data, "attachment.tag", name->len) == 0)
    {
        *value = s->tag;

    } else {
        *value = s->user;
    }

    return NGX_OK;
}


static void
condition(ngx_mesh_rule_t *r, const char *name, ngx_uint_t op, ngx_str_t value)
{
    ngx_mesh_condition_t  *c;

    c = &r->conditions[r->nconditions++];

    c->fact = text("%s", name);
    c->npatterns = 1;
    c->patterns = ngx_pcalloc(pool, sizeof(ngx_mesh_pattern_t));
    c->patterns->op = op;
    c->patterns->value = value;
}


static ngx_str_t
service(ngx_uint_t n)
{
    return text("com.example.team%lu.orders.Service%lu:1.0.0",
                (unsigned long) (n % 50), (unsigned long) n);
}


static ngx_mesh_rules_t *
make(ngx_uint_t exact, ngx_uint_t prefixes, ngx_uint_t regexes)
{
    ngx_uint_t         i, n;
    ngx_mesh_rule_t   *rules, *r;

    static const char  *exprs[] = {
        "^com\\.partner[0-9]+\\.", "Legacy(Order|Stock)Service", "\\.v[2-9]\\.",
        "Internal$", "^org\\.(alpha|beta)\\."
    };

    n = exact + prefixes + regexes;
    rules = ngx_pcalloc(pool, n * sizeof(ngx_mesh_rule_t));

    for (i = 0; i < n; i++) {
        r = &rules[i];
        r->name = text("route%lu", (unsigned long) i);
        r->owner = text("api");
        r->order = i;
        r->conditions = ngx_pcalloc(pool, 4 * sizeof(ngx_mesh_condition_t));

        if (i < exact) {
            condition(r, "service", NGX_MESH_RULE_EXACT, service(i / 10));
            condition(r, "version", NGX_MESH_RULE_EXACT, text("1.0.0"));
            condition(r, "method", NGX_MESH_RULE_EXACT,
                      text("method%lu", (unsigned long) (i % 10)));
            condition(r, "attachment.tag", NGX_MESH_RULE_EXACT, text("gray"));

        } else if (i < exact + prefixes) {
            condition(r, "service", NGX_MESH_RULE_PREFIX,
                      text("com.acme.%.*s.dept%lu.", (int) (i % 23 + 1),
                           "departmentofnobodyknows", (unsigned long) i));

        } else if ((i - exact) % 2) {
            condition(r, "service", NGX_MESH_RULE_REGEX,
                      text("%s", exprs[i / 2 % 5]));

        } else {
            condition(r, "attachment.user", NGX_MESH_RULE_REGEX,
                      text("^internal-[0-9]{%lu}$", (unsigned long) (i % 7)));
        }
    }

    return ngx_mesh_rules_create(rules, n, NULL);
}


static sample_t *
sample(ngx_uint_t exact)
{
    sample_t    *samples, *s;
    ngx_uint_t   i, n;

    samples = ngx_pcalloc(pool, SAMPLES * sizeof(sample_t));

    for (i = 0; i < SAMPLES; i++) {
        s = &samples[i];
        n = random() % exact;

        /* every other one is of a service that no route names */

        s->names[NGX_MESH_NAME_SERVICE] = service(n / 10
                                                  + (i % 2 ? exact : 0));
        s->names[NGX_MESH_NAME_KEY] = s->names[NGX_MESH_NAME_SERVICE];
        s->names[NGX_MESH_NAME_VERSION] = text("1.0.0");
        s->names[NGX_MESH_NAME_METHOD] = text("method%lu",
                                              (unsigned long) (n % 10));
        s->names[NGX_MESH_NAME_PROTOCOL] = text("dubbo");
        s->names[NGX_MESH_NAME_LISTENER] = text("127.0.0.1:20880");
        s->tag = text("gray");
        s->user = text("user%lu", (unsigned long) i);
    }

    return samples;
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return ts.tv_sec * 1e9 + ts.tv_nsec;
}


static void
measure(ngx_uint_t exact, ngx_uint_t prefixes, ngx_uint_t regexes)
{
    double                   start, took, best;
    sample_t                *samples;
    ngx_uint_t               i, j, n, round, hits;
    ngx_mesh_rules_t        *set;
    ngx_mesh_route_t       **routes;
    ngx_mesh_rules_call_t    call;

    set = make(exact, prefixes, regexes);
    samples = sample(exact);

    ngx_memzero(&call, sizeof(call));
    call.fact = fact;
    best = 0;

    for (round = 0; round < ROUNDS; round++) {
        hits = 0;
        start = now();

        for (i = 0; i < SAMPLES; i++) {
            call.data = &samples[i];
            call.name = NULL;

            n = ngx_mesh_rules_find(set, samples[i].names, &routes);

            for (j = 0; j < n; j++) {
                if (ngx_mesh_route_match(routes[j], &call)) {
                    hits++;
                    break;
                }
            }
        }

        took = (now() - start) / SAMPLES;
        best = (best == 0 || took < best) ? took : best;

        if (hits != SAMPLES / 2) {
            fprintf(stderr, "%lu of %d calls took a route\n",
                    (unsigned long) hits, SAMPLES);
            exit(1);
        }
    }

    printf("%lu %.0f\n", (unsigned long) (exact + prefixes + regexes), best);

    ngx_mesh_rules_release(set);
}


int
main(void)
{
    pool = ngx_create_pool(0, NULL);

    measure(80, 10, 10);
    measure(9800, 190, 10);

    ngx_destroy_pool(pool);

    return 0;
}
