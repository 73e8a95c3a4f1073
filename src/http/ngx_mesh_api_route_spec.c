
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_api_route.h"


/* a route as JSON: what "route NAME {}" says, by the same names */


#define NGX_MESH_API_PRIORITY_MAX  1000000000
#define NGX_MESH_API_WEIGHT_MAX    1000000


static ngx_int_t ngx_mesh_api_route_member(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_rule_t *rule);
static ngx_int_t ngx_mesh_api_route_matches(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_rule_t *rule);
static ngx_int_t ngx_mesh_api_route_match(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_array_t *conditions);
static int ngx_libc_cdecl ngx_mesh_api_route_order(const void *one,
    const void *two);
static ngx_int_t ngx_mesh_api_route_condition(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_condition_t *c);
static ngx_int_t ngx_mesh_api_route_percent(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, cJSON *by, ngx_mesh_condition_t *c);
static ngx_int_t ngx_mesh_api_route_targets(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_rule_t *rule);
static ngx_int_t ngx_mesh_api_route_target(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_target_t *t,
    ngx_uint_t fallback);
static ngx_int_t ngx_mesh_api_route_rewrite(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_target_t *t);
static ngx_int_t ngx_mesh_api_route_pairs(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_keyval_t **pairs,
    ngx_uint_t *n);
static ngx_int_t ngx_mesh_api_route_names(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_mesh_rule_t *rule);
static ngx_int_t ngx_mesh_api_route_number(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_int_t min, ngx_int_t max,
    ngx_int_t *n);
static ngx_int_t ngx_mesh_api_route_text(ngx_mesh_api_call_t *call,
    ngx_mesh_api_at_t *at, cJSON *value, ngx_str_t *s);


ngx_int_t
ngx_mesh_api_route_parse(ngx_mesh_api_call_t *call, cJSON *body,
    ngx_mesh_rule_t *rule)
{
    cJSON                  *value;
    ngx_int_t               rc;
    ngx_mesh_api_at_t       at, top;
    ngx_mesh_rule_error_t   err;

    static char  *parts[] = {
        NULL, "match", "to", "deny", "timeout", "tries", "hash", "set",
        "remove"
    };

    if (!cJSON_IsObject(body)) {
        return ngx_mesh_api_wrong(call, NULL, "a route must be an object");
    }

    cJSON_ArrayForEach(value, body) {
        at.up = NULL;
        at.name = value->string;

        rc = ngx_mesh_api_route_member(call, &at, value, rule);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_mesh_rule_check(rule, call->pool, &err) == NGX_OK) {
        return NGX_OK;
    }

    top.up = NULL;
    top.name = err.part < sizeof(parts) / sizeof(parts[0]) ? parts[err.part]
                                                           : NULL;
    return ngx_mesh_api_wrong(call, top.name ? &top : NULL, "%V", &err.text);
}


static ngx_int_t
ngx_mesh_api_route_member(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_rule_t *rule)
{
    ngx_int_t   n, rc;
    ngx_str_t   s;

    if (ngx_strcmp(at->name, "priority") == 0) {
        return ngx_mesh_api_route_number(call, at, value,
                                         -NGX_MESH_API_PRIORITY_MAX,
                                         NGX_MESH_API_PRIORITY_MAX,
                                         &rule->priority);
    }

    if (ngx_strcmp(at->name, "match") == 0) {
        return ngx_mesh_api_route_matches(call, at, value, rule);
    }

    if (ngx_strcmp(at->name, "to") == 0) {
        return ngx_mesh_api_route_targets(call, at, value, rule);
    }

    if (ngx_strcmp(at->name, "deny") == 0) {
        rule->denied = 1;

        return ngx_mesh_api_route_text(call, at, value, &rule->deny);
    }

    if (ngx_strcmp(at->name, "timeout") == 0) {
        rc = ngx_mesh_api_route_text(call, at, value, &s);

        if (rc != NGX_OK) {
            return rc;
        }

        n = ngx_parse_time(&s, 0);

        if (n == NGX_ERROR || n == 0 || n > NGX_MAX_INT32_VALUE) {
            return ngx_mesh_api_wrong(call, at, "invalid time \"%V\", it must "
                                      "be as \"200ms\"", &s);
        }

        rule->timeout = n;

        return NGX_OK;
    }

    if (ngx_strcmp(at->name, "tries") == 0) {
        rc = ngx_mesh_api_route_number(call, at, value, 1, 100, &n);
        rule->tries = n;

        return rc;
    }

    if (ngx_strcmp(at->name, "hash") == 0) {
        return ngx_mesh_api_route_text(call, at, value, &rule->hash);
    }

    if (ngx_strcmp(at->name, "set") == 0) {
        return ngx_mesh_api_route_pairs(call, at, value, &rule->set,
                                        &rule->nset);
    }

    if (ngx_strcmp(at->name, "remove") == 0) {
        return ngx_mesh_api_route_names(call, at, value, rule);
    }

    return ngx_mesh_api_wrong(call, at, "unknown field; a route has priority, "
                              "match, to, deny, timeout, tries, hash, set "
                              "and remove");
}


/* one object, or several that all have to match */

static ngx_int_t
ngx_mesh_api_route_matches(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_rule_t *rule)
{
    cJSON              *one;
    ngx_int_t           rc;
    ngx_array_t         conditions;
    ngx_mesh_api_at_t   element;

    if (ngx_array_init(&conditions, call->pool, 4,
                       sizeof(ngx_mesh_condition_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cJSON_IsArray(value)) {
        element.up = at;
        element.name = NULL;
        element.index = 0;

        cJSON_ArrayForEach(one, value) {
            rc = ngx_mesh_api_route_match(call, &element, one, &conditions);

            if (rc != NGX_OK) {
                return rc;
            }

            element.index++;
        }

    } else {
        rc = ngx_mesh_api_route_match(call, at, value, &conditions);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rule->conditions = conditions.elts;
    rule->nconditions = conditions.nelts;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_match(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_array_t *conditions)
{
    cJSON                 *one, *by;
    ngx_int_t              rc;
    ngx_uint_t             n;
    ngx_mesh_api_at_t      member;
    ngx_mesh_condition_t  *c;

    if (!cJSON_IsObject(value)) {
        return ngx_mesh_api_wrong(call, at, "conditions must be an object of "
                                  "facts and their values");
    }

    n = conditions->nelts;
    by = cJSON_GetObjectItemCaseSensitive(value, "by");

    cJSON_ArrayForEach(one, value) {
        member.up = at;
        member.name = one->string;

        if (one == by) {
            if (cJSON_GetObjectItemCaseSensitive(value, "percent")) {
                continue;
            }

            return ngx_mesh_api_wrong(call, &member,
                                      "\"by\" goes together with \"percent\"");
        }

        c = ngx_array_push(conditions);
        if (c == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(c, sizeof(ngx_mesh_condition_t));

        rc = ngx_strcmp(one->string, "percent") == 0
             ? ngx_mesh_api_route_percent(call, &member, one, by, c)
             : ngx_mesh_api_route_condition(call, &member, one, c);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    c = conditions->elts;

    ngx_qsort(c + n, conditions->nelts - n, sizeof(ngx_mesh_condition_t),
              ngx_mesh_api_route_order);

    return NGX_OK;
}


/* facts of an object are distinct, but for that of a percentage */

static int ngx_libc_cdecl
ngx_mesh_api_route_order(const void *one, const void *two)
{
    ngx_int_t              a, b;
    ngx_mesh_condition_t  *first, *second;

    first = (ngx_mesh_condition_t *) one;
    second = (ngx_mesh_condition_t *) two;

    a = (first->patterns->op == NGX_MESH_RULE_PERCENT);
    b = (second->patterns->op == NGX_MESH_RULE_PERCENT);

    return (int) (a != b ? a - b : ngx_mesh_compare(&first->fact,
                                                        &second->fact));
}


static ngx_int_t
ngx_mesh_api_route_condition(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_condition_t *c)
{
    char                *right;
    cJSON               *one;
    ngx_str_t            text;
    ngx_uint_t           n;
    ngx_mesh_api_at_t    element;
    ngx_mesh_pattern_t  *p;

    c->fact.data = (u_char *) at->name;
    c->fact.len = ngx_strlen(at->name);

    if (!ngx_mesh_fact_known(&c->fact)) {
        return ngx_mesh_api_wrong(call, at, "unknown fact; there are "
                                  "protocol, service, interface, method, "
                                  "version, group, caller, app, listener and "
                                  "attachment.NAME, and \"percent\"");
    }

    n = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 1;

    if (n == 0) {
        return ngx_mesh_api_wrong(call, at, "a list of values must not be "
                                  "empty");
    }

    c->patterns = ngx_pcalloc(call->pool, n * sizeof(ngx_mesh_pattern_t));
    if (c->patterns == NULL) {
        return NGX_ERROR;
    }

    one = cJSON_IsArray(value) ? value->child : value;

    for ( /* void */ ; c->npatterns < n; one = one->next) {

        p = &c->patterns[c->npatterns];

        element.up = at;
        element.name = NULL;
        element.index = c->npatterns++;

        if (cJSON_IsNull(one)) {
            p->op = NGX_MESH_RULE_ABSENT;
            continue;
        }

        if (!cJSON_IsString(one)) {
            return ngx_mesh_api_wrong(call, one == value ? at : &element,
                                      "a value must be a string, or null "
                                      "where there is none");
        }

        ngx_mesh_json_str(one, &text);

        right = ngx_mesh_pattern_parse(&c->fact, &text, p);

        if (right) {
            return ngx_mesh_api_wrong(call, one == value ? at : &element,
                                      "invalid value \"%s\", it must be %s",
                                      one->valuestring, right);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_percent(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, cJSON *by, ngx_mesh_condition_t *c)
{
    double             n;
    ngx_mesh_api_at_t  member;

    c->npatterns = 1;
    c->patterns = ngx_pcalloc(call->pool, sizeof(ngx_mesh_pattern_t));

    if (c->patterns == NULL) {
        return NGX_ERROR;
    }

    n = cJSON_IsNumber(value) ? value->valuedouble * 100 : -1;

    /* hundredths that are no binary fractions are a hair off */

    if (!(n >= 0 && n <= NGX_MESH_RULE_ALL)
        || n - (ngx_uint_t) (n + 0.5) > 0.000001
        || (ngx_uint_t) (n + 0.5) - n > 0.000001)
    {
        return ngx_mesh_api_wrong(call, at, "a percentage must be a number "
                                  "from 0 to 100 with at most two decimals");
    }

    c->patterns->op = NGX_MESH_RULE_PERCENT;
    c->patterns->number = (ngx_uint_t) (n + 0.5);

    if (by == NULL) {
        return NGX_OK;
    }

    member.up = at->up;
    member.name = by->string;

    if (cJSON_IsString(by)) {
        ngx_mesh_json_str(by, &c->fact);
    }

    if (!ngx_mesh_fact_known(&c->fact)) {
        return ngx_mesh_api_wrong(call, &member, "\"by\" must name a fact");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_targets(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_rule_t *rule)
{
    cJSON              *one;
    ngx_int_t           rc;
    ngx_uint_t          n;
    ngx_mesh_api_at_t   element;

    if (cJSON_IsObject(value)) {
        rule->targets = ngx_pcalloc(call->pool, sizeof(ngx_mesh_target_t));
        if (rule->targets == NULL) {
            return NGX_ERROR;
        }

        rule->ntargets = 1;

        return ngx_mesh_api_route_target(call, at, value, rule->targets, 0);
    }

    if (!cJSON_IsArray(value)) {
        return ngx_mesh_api_wrong(call, at, "targets must be a list of "
                                  "objects");
    }

    n = cJSON_GetArraySize(value);

    rule->targets = ngx_pcalloc(call->pool,
                                (n + 1) * sizeof(ngx_mesh_target_t));
    if (rule->targets == NULL) {
        return NGX_ERROR;
    }

    cJSON_ArrayForEach(one, value) {
        element.up = at;
        element.name = NULL;
        element.index = rule->ntargets;

        rc = ngx_mesh_api_route_target(call, &element, one,
                                       &rule->targets[rule->ntargets++], 0);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_target(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_target_t *t, ngx_uint_t fallback)
{
    cJSON              *one;
    ngx_int_t           rc, n;
    ngx_mesh_api_at_t   member;

    if (!cJSON_IsObject(value)) {
        return ngx_mesh_api_wrong(call, at, "a target must be an object");
    }

    t->weight = NGX_MESH_RULE_WEIGHT;

    cJSON_ArrayForEach(one, value) {
        member.up = at;
        member.name = one->string;

        if (ngx_strcmp(one->string, "service") == 0) {
            rc = ngx_mesh_api_route_text(call, &member, one, &t->service);

        } else if (ngx_strcmp(one->string, "labels") == 0) {
            rc = ngx_mesh_api_route_pairs(call, &member, one, &t->labels,
                                          &t->nlabels);

        } else if (fallback) {
            rc = ngx_mesh_api_wrong(call, &member, "unknown field; a fallback "
                                    "has service and labels");

        } else if (ngx_strcmp(one->string, "weight") == 0) {
            rc = ngx_mesh_api_route_number(call, &member, one, 0,
                                           NGX_MESH_API_WEIGHT_MAX, &n);
            t->weight = n;

        } else if (ngx_strcmp(one->string, "rewrite") == 0) {
            rc = ngx_mesh_api_route_rewrite(call, &member, one, t);

        } else if (ngx_strcmp(one->string, "fallback") == 0) {

            t->fallback = ngx_pcalloc(call->pool, sizeof(ngx_mesh_target_t));
            if (t->fallback == NULL) {
                return NGX_ERROR;
            }

            rc = ngx_mesh_api_route_target(call, &member, one, t->fallback, 1);

        } else {
            rc = ngx_mesh_api_wrong(call, &member, "unknown field; a target "
                                    "has service, labels, weight, rewrite and "
                                    "fallback");
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_rewrite(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_target_t *t)
{
    cJSON              *one;
    ngx_mesh_api_at_t   element;

    if (!cJSON_IsArray(value)) {
        return ngx_mesh_api_wrong(call, at, "it must be a list of \"version\" "
                                  "and \"group\"");
    }

    element.up = at;
    element.name = NULL;
    element.index = 0;

    cJSON_ArrayForEach(one, value) {

        if (cJSON_IsString(one)
            && ngx_strcmp(one->valuestring, "version") == 0)
        {
            t->rewrite |= NGX_MESH_REWRITE_VERSION;

        } else if (cJSON_IsString(one)
                   && ngx_strcmp(one->valuestring, "group") == 0)
        {
            t->rewrite |= NGX_MESH_REWRITE_GROUP;

        } else {
            return ngx_mesh_api_wrong(call, &element, "it must be \"version\" "
                                      "or \"group\"");
        }

        element.index++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_pairs(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_keyval_t **pairs, ngx_uint_t *n)
{
    cJSON              *one;
    ngx_int_t           rc;
    ngx_keyval_t       *pair;
    ngx_mesh_api_at_t   member;

    if (!cJSON_IsObject(value)) {
        return ngx_mesh_api_wrong(call, at, "it must be an object of strings");
    }

    pair = ngx_palloc(call->pool, (cJSON_GetArraySize(value) + 1)
                                  * sizeof(ngx_keyval_t));
    if (pair == NULL) {
        return NGX_ERROR;
    }

    *pairs = pair;
    *n = 0;

    cJSON_ArrayForEach(one, value) {
        member.up = at;
        member.name = one->string;

        pair->key.data = (u_char *) one->string;
        pair->key.len = ngx_strlen(one->string);

        rc = ngx_mesh_api_route_text(call, &member, one, &pair->value);

        if (rc != NGX_OK) {
            return rc;
        }

        pair++;
        (*n)++;
    }

    ngx_mesh_api_sort_pairs(*pairs, *n);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_names(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_mesh_rule_t *rule)
{
    cJSON              *one;
    ngx_int_t           rc;
    ngx_mesh_api_at_t   element;

    if (!cJSON_IsArray(value)) {
        return ngx_mesh_api_wrong(call, at, "it must be a list of strings");
    }

    rule->remove = ngx_palloc(call->pool, (cJSON_GetArraySize(value) + 1)
                                          * sizeof(ngx_str_t));
    if (rule->remove == NULL) {
        return NGX_ERROR;
    }

    cJSON_ArrayForEach(one, value) {
        element.up = at;
        element.name = NULL;
        element.index = rule->nremove;

        rc = ngx_mesh_api_route_text(call, &element, one,
                                     &rule->remove[rule->nremove++]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_route_number(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_int_t min, ngx_int_t max, ngx_int_t *n)
{
    *n = 0;

    if (cJSON_IsNumber(value) && value->valuedouble >= min
        && value->valuedouble <= max
        && value->valuedouble == (double) (ngx_int_t) value->valuedouble)
    {
        *n = (ngx_int_t) value->valuedouble;
        return NGX_OK;
    }

    return ngx_mesh_api_wrong(call, at, "it must be a number from %i to %i",
                              min, max);
}


static ngx_int_t
ngx_mesh_api_route_text(ngx_mesh_api_call_t *call, ngx_mesh_api_at_t *at,
    cJSON *value, ngx_str_t *s)
{
    if (!cJSON_IsString(value)) {
        return ngx_mesh_api_wrong(call, at, "it must be a string");
    }

    ngx_mesh_json_str(value, s);

    return NGX_OK;
}
