
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/* the reverse of ngx_mesh_api_route_spec.c */


static void ngx_mesh_api_route_show_match(ngx_mesh_json_t *json,
    ngx_mesh_rule_t *rule, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_api_route_distinct(ngx_mesh_rule_t *rule);
static void ngx_mesh_api_route_show_target(ngx_mesh_json_t *json,
    ngx_mesh_target_t *t, ngx_uint_t fallback);


void
ngx_mesh_api_route_show(ngx_mesh_json_t *json, ngx_mesh_rule_t *rule,
    ngx_pool_t *pool)
{
    ngx_uint_t  i;

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "priority");
    ngx_mesh_api_route_integer(json, rule->priority);

    if (rule->nconditions) {
        ngx_mesh_json_key(json, "match");
        ngx_mesh_api_route_show_match(json, rule, pool);
    }

    if (rule->denied) {
        ngx_mesh_json_key(json, "deny");
        ngx_mesh_json_string(json, &rule->deny);
    }

    if (rule->ntargets) {
        ngx_mesh_json_key(json, "to");
        ngx_mesh_json_open(json, '[');

        for (i = 0; i < rule->ntargets; i++) {
            ngx_mesh_api_route_show_target(json, &rule->targets[i], 0);
        }

        ngx_mesh_json_close(json, ']');
    }

    if (rule->timeout) {
        ngx_mesh_json_key(json, "timeout");
        ngx_mesh_api_time(json, rule->timeout);
    }

    if (rule->tries) {
        ngx_mesh_json_key(json, "tries");
        ngx_mesh_json_number(json, rule->tries);
    }

    if (rule->hash.len) {
        ngx_mesh_json_key(json, "hash");
        ngx_mesh_json_string(json, &rule->hash);
    }

    if (rule->nset) {
        ngx_mesh_json_key(json, "set");
        ngx_mesh_api_route_show_pairs(json, rule->set, rule->nset);
    }

    if (rule->nremove) {
        ngx_mesh_json_key(json, "remove");
        ngx_mesh_json_open(json, '[');

        for (i = 0; i < rule->nremove; i++) {
            ngx_mesh_json_string(json, &rule->remove[i]);
        }

        ngx_mesh_json_close(json, ']');
    }

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_route_show_match(ngx_mesh_json_t *json, ngx_mesh_rule_t *rule,
    ngx_pool_t *pool)
{
    ngx_uint_t  i, list;

    list = !ngx_mesh_api_route_distinct(rule);

    ngx_mesh_json_open(json, list ? '[' : '{');

    for (i = 0; i < rule->nconditions; i++) {

        if (list) {
            ngx_mesh_json_open(json, '{');
        }

        ngx_mesh_api_route_show_condition(json, &rule->conditions[i], pool);

        if (list) {
            ngx_mesh_json_close(json, '}');
        }
    }

    ngx_mesh_json_close(json, list ? ']' : '}');
}


static ngx_uint_t
ngx_mesh_api_route_distinct(ngx_mesh_rule_t *rule)
{
    ngx_uint_t             i, k, percent;
    ngx_mesh_condition_t  *a, *b;

    for (i = 1; i < rule->nconditions; i++) {
        a = &rule->conditions[i];
        percent = (a->patterns[0].op == NGX_MESH_RULE_PERCENT);

        for (k = 0; k < i; k++) {
            b = &rule->conditions[k];

            if (percent != (b->patterns[0].op == NGX_MESH_RULE_PERCENT)) {
                continue;
            }

            if (percent || ngx_mesh_equal(&a->fact, &b->fact)) {
                return 0;
            }
        }
    }

    return 1;
}


void
ngx_mesh_api_route_show_condition(ngx_mesh_json_t *json,
    ngx_mesh_condition_t *c, ngx_pool_t *pool)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    if (c->patterns[0].op == NGX_MESH_RULE_PERCENT) {
        ngx_mesh_json_key(json, "percent");
        ngx_mesh_api_route_decimal(json, c->patterns[0].number);

        if (c->fact.len) {
            ngx_mesh_json_key(json, "by");
            ngx_mesh_json_string(json, &c->fact);
        }

        return;
    }

    ngx_mesh_json_name(json, &c->fact);

    if (c->npatterns > 1) {
        ngx_mesh_json_open(json, '[');
    }

    for (i = 0; i < c->npatterns; i++) {

        if (c->patterns[i].op == NGX_MESH_RULE_ABSENT) {
            ngx_mesh_json_null(json);
            continue;
        }

        if (ngx_mesh_pattern_text(&c->patterns[i], &text, pool) != NGX_OK) {
            json->failed = 1;
            return;
        }

        ngx_mesh_json_string(json, &text);
    }

    if (c->npatterns > 1) {
        ngx_mesh_json_close(json, ']');
    }
}


static void
ngx_mesh_api_route_show_target(ngx_mesh_json_t *json, ngx_mesh_target_t *t,
    ngx_uint_t fallback)
{
    ngx_mesh_json_open(json, '{');

    if (t->service.len) {
        ngx_mesh_json_key(json, "service");
        ngx_mesh_json_string(json, &t->service);
    }

    if (t->nlabels) {
        ngx_mesh_json_key(json, "labels");
        ngx_mesh_api_route_show_pairs(json, t->labels, t->nlabels);
    }

    if (!fallback) {
        ngx_mesh_json_key(json, "weight");
        ngx_mesh_json_number(json, t->weight);

        if (t->rewrite) {
            ngx_mesh_json_key(json, "rewrite");
            ngx_mesh_json_open(json, '[');

            if (t->rewrite & NGX_MESH_REWRITE_VERSION) {
                ngx_mesh_json_text(json, "version");
            }

            if (t->rewrite & NGX_MESH_REWRITE_GROUP) {
                ngx_mesh_json_text(json, "group");
            }

            ngx_mesh_json_close(json, ']');
        }

        if (t->fallback) {
            ngx_mesh_json_key(json, "fallback");
            ngx_mesh_api_route_show_target(json, t->fallback, 1);
        }
    }

    ngx_mesh_json_close(json, '}');
}


void
ngx_mesh_api_route_show_pairs(ngx_mesh_json_t *json, ngx_keyval_t *pairs,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    ngx_mesh_json_open(json, '{');

    for (i = 0; i < n; i++) {
        ngx_mesh_json_name(json, &pairs[i].key);
        ngx_mesh_json_string(json, &pairs[i].value);
    }

    ngx_mesh_json_close(json, '}');
}


void
ngx_mesh_api_route_integer(ngx_mesh_json_t *json, ngx_int_t n)
{
    u_char     buf[NGX_INT_T_LEN];
    ngx_str_t  s;

    s.data = buf;
    s.len = ngx_sprintf(buf, "%i", n) - buf;

    ngx_mesh_json_raw(json, &s);
}


void
ngx_mesh_api_route_decimal(ngx_mesh_json_t *json, ngx_uint_t hundredths)
{
    u_char     buf[NGX_INT_T_LEN + 3], *p;
    ngx_str_t  s;

    p = ngx_sprintf(buf, "%ui", hundredths / 100);

    if (hundredths % 100) {
        p = ngx_sprintf(p, ".%02ui", hundredths % 100);
        p -= (p[-1] == '0');
    }

    s.data = buf;
    s.len = p - buf;

    ngx_mesh_json_raw(json, &s);
}
