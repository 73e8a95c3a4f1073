
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule_int.h"


/* whether a call meets a condition, and whom it is drawn for */


/*
 * The same value is used for balancing, for percentages and for splitting:
 * one must not decide on the others.
 */

#define NGX_MESH_SALT_PERCENT  0x70657263656e7421ull
#define NGX_MESH_SALT_SPLIT    0x73706c6974212121ull

/* steps of this size fill a circle evenly, whatever the number of them */

#define NGX_MESH_GOLDEN        0x9e3779b9u


static ngx_uint_t ngx_mesh_alt_regex(ngx_mesh_alt_t *alt, ngx_str_t *value);
static ngx_uint_t ngx_mesh_alt_contains(ngx_mesh_alt_t *alt,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_route_fact_of(ngx_mesh_rules_call_t *call,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_mesh_route_test(ngx_mesh_route_t *route,
    ngx_mesh_test_t *test, ngx_mesh_rules_call_t *call);
static uint32_t ngx_mesh_route_place(uint64_t salt, ngx_str_t *value);
static ngx_uint_t ngx_mesh_route_draw(ngx_mesh_route_t *route,
    ngx_mesh_test_t *test, ngx_mesh_rules_call_t *call);


ngx_uint_t
ngx_mesh_alt_match(ngx_mesh_alt_t *alt, ngx_str_t *value)
{
    switch (alt->op) {

    case NGX_MESH_RULE_EXACT:
        return value->len == alt->value.len
               && ngx_memcmp(value->data, alt->value.data, value->len) == 0;

    case NGX_MESH_RULE_PREFIX:
        return value->len >= alt->value.len
               && ngx_memcmp(value->data, alt->value.data, alt->value.len)
                  == 0;

    case NGX_MESH_RULE_SUFFIX:
        return value->len >= alt->value.len
               && ngx_memcmp(value->data + value->len - alt->value.len,
                             alt->value.data, alt->value.len)
                  == 0;

    case NGX_MESH_RULE_REGEX:
    case NGX_MESH_RULE_NOCASE:
        return ngx_mesh_alt_regex(alt, value);

    case NGX_MESH_RULE_PRESENT:
        return value->len != 0;

    case NGX_MESH_RULE_ABSENT:
        return value->len == 0;

    default:
        return 0;
    }
}


static ngx_uint_t
ngx_mesh_alt_regex(ngx_mesh_alt_t *alt, ngx_str_t *value)
{
#if (NGX_PCRE)

    u_char     empty[1];
    ngx_int_t  rc;
    ngx_str_t  text;

    if (alt->regex == NULL) {
        return alt->closed;
    }

    if (!ngx_mesh_alt_contains(alt, value)) {
        return 0;
    }

    text = *value;

    if (text.len == 0) {
        text.data = empty;
    }

    rc = ngx_regex_exec(alt->regex, &text, NULL, 0);

    if (rc >= 0 || rc == NGX_REGEX_NO_MATCHED) {
        return rc >= 0;
    }

    /* whoever makes it fail may do so with every call */

    if (!alt->failed) {
        alt->failed = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      ngx_regex_exec_n " of \"%V\" in a route failed: %i, "
                      "it %s then", &alt->value, rc,
                      alt->closed ? "matches" : "does not match");
    }

    return alt->closed;

#else
    return 0;
#endif
}


static ngx_uint_t
ngx_mesh_alt_contains(ngx_mesh_alt_t *alt, ngx_str_t *value)
{
    u_char      c, *p, *last;
    ngx_str_t  *s;

    s = &alt->literal;

    if (s->len == 0) {
        return 1;
    }

    if (value->len < s->len) {
        return 0;
    }

    if (alt->anchored) {
        return ngx_memcmp(value->data, s->data, s->len) == 0;
    }

    c = s->data[alt->rare];
    last = value->data + alt->rare + value->len - s->len + 1;

    for (p = value->data + alt->rare; p < last; p++) {

        p = memchr(p, c, last - p);

        if (p == NULL) {
            return 0;
        }

        if (ngx_memcmp(p - alt->rare, s->data, s->len) == 0) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_mesh_test_match(ngx_mesh_test_t *test, ngx_str_t *names)
{
    ngx_uint_t       i;
    ngx_mesh_alt_t  *alt;

    for (i = 0; i < test->nalts; i++) {
        alt = &test->alts[i];

        if (ngx_mesh_alt_match(alt, &names[alt->name])) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_mesh_route_fact_of(ngx_mesh_rules_call_t *call, ngx_str_t *name,
    ngx_str_t *value)
{
    /* routes one after the other mostly ask the same */

    if (call->name != name) {
        ngx_str_null(&call->value);
        call->rc = call->fact(call->data, name, &call->value);
        call->name = name;
    }

    *value = call->value;

    return call->rc;
}


ngx_uint_t
ngx_mesh_route_match(ngx_mesh_route_t *route, ngx_mesh_rules_call_t *call)
{
    ngx_uint_t  i;

    for (i = 0; i < route->ncalls; i++) {
        if (!ngx_mesh_route_test(route, &route->calls[i], call)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_mesh_route_test(ngx_mesh_route_t *route, ngx_mesh_test_t *test,
    ngx_mesh_rules_call_t *call)
{
    ngx_str_t        value;
    ngx_uint_t       i, present;
    ngx_mesh_alt_t  *alt;

    if (test->percent <= NGX_MESH_RULE_ALL) {
        return ngx_mesh_route_draw(route, test, call);
    }

    if (test->cidrs && call->caller && test->cidrs->nelts
        && ngx_cidr_match(call->caller, test->cidrs) == NGX_OK)
    {
        return 1;
    }

    present = (ngx_mesh_route_fact_of(call, test->name, &value) == NGX_OK);

    for (i = 0; i < test->nalts; i++) {
        alt = &test->alts[i];

        /* an attachment may be there and empty */

        if (alt->op == NGX_MESH_RULE_ABSENT) {

            if (!present) {
                return 1;
            }

        } else if (alt->op == NGX_MESH_RULE_PRESENT) {

            if (present) {
                return 1;
            }

        } else if (present && ngx_mesh_alt_match(alt, &value)) {
            return 1;
        }
    }

    return 0;
}


/* where a value is on a circle: two rounds, as values may be much alike */

static uint32_t
ngx_mesh_route_place(uint64_t salt, ngx_str_t *value)
{
    return (uint32_t) ngx_mesh_hash_mix(salt, ngx_mesh_hash_str(salt, value));
}


static ngx_uint_t
ngx_mesh_route_draw(ngx_mesh_route_t *route, ngx_mesh_test_t *test,
    ngx_mesh_rules_call_t *call)
{
    uint32_t   at;
    ngx_str_t  value;

    if (test->name == NULL) {
        route->drawn += NGX_MESH_GOLDEN;
        at = route->drawn;

    } else if (ngx_mesh_route_fact_of(call, test->name, &value) == NGX_OK) {
        at = ngx_mesh_route_place(NGX_MESH_SALT_PERCENT, &value);

    } else {

        /* what is not there is no reason to be among the chosen */

        return test->percent == NGX_MESH_RULE_ALL;
    }

    return ((uint64_t) at * NGX_MESH_RULE_ALL >> 32) < test->percent;
}


ngx_uint_t
ngx_mesh_route_target(ngx_mesh_route_t *route, ngx_mesh_rules_call_t *call)
{
    uint32_t          at;
    uint64_t          point;
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_mesh_rule_t  *rule;

    rule = route->rule;

    if (rule->ntargets == 1) {
        return 0;
    }

    if (rule->hash.len
        && ngx_mesh_route_fact_of(call, &rule->hash, &value) == NGX_OK)
    {
        at = ngx_mesh_route_place(NGX_MESH_SALT_SPLIT, &value);

    } else {
        route->split += NGX_MESH_GOLDEN;
        at = route->split;
    }

    point = at * route->total >> 32;

    for (i = 0; i < rule->ntargets - 1; i++) {

        if (point < rule->targets[i].weight) {
            break;
        }

        point -= rule->targets[i].weight;
    }

    return i;
}


ngx_int_t
ngx_mesh_route_explain(ngx_mesh_route_t *route, ngx_str_t *names,
    ngx_mesh_rules_call_t *call)
{
    ngx_int_t   first;
    ngx_uint_t  i;

    first = -1;

    for (i = 0; i < route->ntests; i++) {
        if (!ngx_mesh_test_match(&route->tests[i], names)) {
            first = route->tests[i].condition;
            break;
        }
    }

    for (i = 0; i < route->ncalls; i++) {

        if (route->calls[i].percent <= NGX_MESH_RULE_ALL
            && route->calls[i].name == NULL)
        {
            continue;
        }

        if ((first == -1 || (ngx_int_t) route->calls[i].condition < first)
            && !ngx_mesh_route_test(route, &route->calls[i], call))
        {
            first = route->calls[i].condition;
        }
    }

    return first;
}
