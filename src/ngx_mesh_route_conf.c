
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_core.h"
#include "ngx_mesh_rule.h"


/* route NAME {} in mesh {} */


#define NGX_MESH_ROUTE_MAX_PRIORITY  1000000000


typedef struct {
    ngx_mesh_rule_t  *rule;              /* of the block being parsed */
    ngx_array_t       conditions;        /* ngx_mesh_condition_t */
    ngx_array_t       targets;           /* ngx_mesh_target_t */
    ngx_array_t       set;               /* ngx_keyval_t */
    ngx_array_t       remove;            /* ngx_str_t */
} ngx_mesh_route_conf_t;


static void *ngx_mesh_route_conf_create(ngx_cycle_t *cycle);
static char *ngx_mesh_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_mesh_rule_t *ngx_mesh_route_conf_add(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_mesh_route_conf_priority(ngx_conf_t *cf, ngx_mesh_rule_t *rule,
    ngx_str_t *value);
static char *ngx_mesh_route_conf_check(ngx_conf_t *cf, ngx_mesh_rule_t *rule);
static char *ngx_mesh_route_conf_match(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_condition(ngx_conf_t *cf,
    ngx_array_t *conditions, ngx_uint_t from, ngx_str_t *value);
static char *ngx_mesh_route_conf_percent(ngx_conf_t *cf,
    ngx_array_t *conditions, ngx_str_t *value, ngx_str_t *by);
static char *ngx_mesh_route_conf_to(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_target(ngx_conf_t *cf, ngx_mesh_target_t *t,
    ngx_array_t *labels, ngx_str_t *value, ngx_str_t *param);
static char *ngx_mesh_route_conf_rewrite(ngx_conf_t *cf,
    ngx_mesh_target_t *t, ngx_str_t *value);
static char *ngx_mesh_route_conf_fallback(ngx_conf_t *cf, ngx_mesh_target_t *t,
    ngx_array_t *labels, ngx_str_t *value);
static char *ngx_mesh_route_conf_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_tries(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_hash(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_remove(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_route_conf_deny(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_mesh_route_commands[] = {

    { ngx_string("route"),
      NGX_MESH_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE12,
      ngx_mesh_route,
      0,
      0,
      NULL },

    { ngx_string("match"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_1MORE,
      ngx_mesh_route_conf_match,
      0,
      0,
      NULL },

    { ngx_string("to"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_1MORE,
      ngx_mesh_route_conf_to,
      0,
      0,
      NULL },

    { ngx_string("timeout"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_TAKE1,
      ngx_mesh_route_conf_timeout,
      0,
      0,
      NULL },

    { ngx_string("tries"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_TAKE1,
      ngx_mesh_route_conf_tries,
      0,
      0,
      NULL },

    { ngx_string("hash"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_TAKE1,
      ngx_mesh_route_conf_hash,
      0,
      0,
      NULL },

    { ngx_string("set"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_TAKE2,
      ngx_mesh_route_conf_set,
      0,
      0,
      NULL },

    { ngx_string("remove"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_1MORE,
      ngx_mesh_route_conf_remove,
      0,
      0,
      NULL },

    { ngx_string("deny"),
      NGX_MESH_ROUTE_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_mesh_route_conf_deny,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_str_t  ngx_mesh_route_module_name = ngx_string("mesh_route");


static ngx_mesh_module_t  ngx_mesh_route_module_ctx = {
    &ngx_mesh_route_module_name,
    ngx_mesh_route_conf_create,            /* create configuration */
    NULL                                   /* init configuration */
};


ngx_module_t  ngx_mesh_route_module = {
    NGX_MODULE_V1,
    &ngx_mesh_route_module_ctx,            /* module context */
    ngx_mesh_route_commands,               /* module directives */
    NGX_MESH_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_mesh_route_conf_create(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_route_conf_t));
}


static char *
ngx_mesh_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                   *rv;
    ngx_str_t              *value;
    ngx_conf_t              save;
    ngx_mesh_rule_t        *rule;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    value = cf->args->elts;

    rule = ngx_mesh_route_conf_add(cf, &value[1]);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        rv = ngx_mesh_route_conf_priority(cf, rule, &value[2]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    /* the name is wrong on this line, not on the last one */

    rv = ngx_mesh_route_conf_check(cf, rule);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_array_init(&rcf->conditions, cf->pool, 4,
                       sizeof(ngx_mesh_condition_t))
        != NGX_OK
        || ngx_array_init(&rcf->targets, cf->pool, 2,
                          sizeof(ngx_mesh_target_t))
           != NGX_OK
        || ngx_array_init(&rcf->set, cf->pool, 2, sizeof(ngx_keyval_t))
           != NGX_OK
        || ngx_array_init(&rcf->remove, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rcf->rule = rule;

    save = *cf;
    cf->cmd_type = NGX_MESH_ROUTE_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rule->conditions = rcf->conditions.elts;
    rule->nconditions = rcf->conditions.nelts;
    rule->targets = rcf->targets.elts;
    rule->ntargets = rcf->targets.nelts;
    rule->set = rcf->set.elts;
    rule->nset = rcf->set.nelts;
    rule->remove = rcf->remove.elts;
    rule->nremove = rcf->remove.nelts;

    return ngx_mesh_route_conf_check(cf, rule);
}


static ngx_mesh_rule_t *
ngx_mesh_route_conf_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_int_t              rc;
    ngx_mesh_rule_t       *rule;
    ngx_mesh_core_conf_t  *ccf;

    ccf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_core_module);

    rule = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_rule_t));
    if (rule == NULL) {
        return NULL;
    }

    rule->name = *name;

    rc = ngx_mesh_table_add_rule(ccf->table, rule);

    if (rc == NGX_BUSY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate route \"%V\"",
                           name);
    }

    return rc == NGX_OK ? rule : NULL;
}


static char *
ngx_mesh_route_conf_priority(ngx_conf_t *cf, ngx_mesh_rule_t *rule,
    ngx_str_t *value)
{
    u_char     *p;
    size_t      len;
    ngx_int_t   n, negative;

    if (ngx_strncmp(value->data, "priority=", 9) != 0) {
        return ngx_mesh_core_invalid(cf, value, "priority=NUMBER");
    }

    p = value->data + 9;
    len = value->len - 9;

    negative = (len && *p == '-');

    n = ngx_atoi(p + negative, len - negative);

    if (n == NGX_ERROR || n > NGX_MESH_ROUTE_MAX_PRIORITY) {
        return ngx_mesh_core_invalid(cf, value,
                                     "a number from -1000000000 to "
                                     "1000000000, 0 is the default");
    }

    rule->priority = negative ? -n : n;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_check(ngx_conf_t *cf, ngx_mesh_rule_t *rule)
{
    ngx_mesh_rule_error_t  err;

    if (ngx_mesh_rule_check(rule, cf->pool, &err) == NGX_OK) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "route \"%V\": %V",
                       &rule->name, &err.text);

    return NGX_CONF_ERROR;
}


/* values of one fact are alternatives within a directive */

static char *
ngx_mesh_route_conf_match(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                   *rv;
    ngx_str_t              *value, *percent, *by;
    ngx_uint_t              i, from;
    ngx_mesh_rule_t         rule;
    ngx_mesh_condition_t   *c;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    value = cf->args->elts;
    from = rcf->conditions.nelts;
    percent = NULL;
    by = NULL;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "percent=", 8) == 0) {
            percent = &value[i];
            continue;
        }

        if (ngx_strncmp(value[i].data, "by=", 3) == 0) {
            by = &value[i];
            continue;
        }

        rv = ngx_mesh_route_conf_condition(cf, &rcf->conditions, from,
                                           &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (percent) {
        rv = ngx_mesh_route_conf_percent(cf, &rcf->conditions, percent, by);
        if (rv != NGX_CONF_OK) {
            return rv;
        }

    } else if (by) {
        return ngx_mesh_core_invalid(cf, by, "together with percent=NUMBER");
    }

    /* what the directive said is checked alone, for its line to be named */

    ngx_memzero(&rule, sizeof(ngx_mesh_rule_t));

    c = rcf->conditions.elts;

    rule.name = rcf->rule->name;
    rule.conditions = c + from;
    rule.nconditions = rcf->conditions.nelts - from;

    return ngx_mesh_route_conf_check(cf, &rule);
}


static char *
ngx_mesh_route_conf_condition(ngx_conf_t *cf, ngx_array_t *conditions,
    ngx_uint_t from, ngx_str_t *value)
{
    char                  *right;
    u_char                *eq;
    ngx_str_t              fact, text;
    ngx_uint_t             i, absent;
    ngx_mesh_pattern_t    *p, *patterns;
    ngx_mesh_condition_t  *c;

    absent = (value->data[0] == '!');
    fact.data = value->data + absent;

    eq = absent ? NULL
                : ngx_strlchr(value->data, value->data + value->len, '=');

    fact.len = (eq ? eq : value->data + value->len) - fact.data;

    if ((eq == NULL && !absent) || !ngx_mesh_fact_known(&fact)) {
        return ngx_mesh_core_invalid(cf, value,
                                     "FACT=VALUE, !FACT or percent=NUMBER, "
                                     "where FACT is protocol, service, "
                                     "interface, method, version, group, "
                                     "caller, app, listener or "
                                     "attachment.NAME");
    }

    c = conditions->elts;

    for (i = from; i < conditions->nelts; i++) {
        if (c[i].fact.len == fact.len
            && ngx_memcmp(c[i].fact.data, fact.data, fact.len) == 0)
        {
            break;
        }
    }

    if (i == conditions->nelts) {
        c = ngx_array_push(conditions);
        if (c == NULL) {
            return NGX_CONF_ERROR;
        }

        c->fact = fact;
        c->patterns = NULL;
        c->npatterns = 0;

    } else {
        c = &c[i];
    }

    /* lists are short: they are copied as they grow */

    patterns = ngx_palloc(cf->pool, (c->npatterns + 1)
                                    * sizeof(ngx_mesh_pattern_t));
    if (patterns == NULL) {
        return NGX_CONF_ERROR;
    }

    if (c->npatterns) {
        ngx_memcpy(patterns, c->patterns,
                   c->npatterns * sizeof(ngx_mesh_pattern_t));
    }

    c->patterns = patterns;
    p = &c->patterns[c->npatterns++];

    if (absent) {
        ngx_memzero(p, sizeof(ngx_mesh_pattern_t));
        p->op = NGX_MESH_RULE_ABSENT;
        return NGX_CONF_OK;
    }

    text.data = eq + 1;
    text.len = value->data + value->len - text.data;

    right = ngx_mesh_pattern_parse(&fact, &text, p);

    return right ? ngx_mesh_core_invalid(cf, value, right) : NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_percent(ngx_conf_t *cf, ngx_array_t *conditions,
    ngx_str_t *value, ngx_str_t *by)
{
    ngx_int_t              n;
    ngx_str_t              text;
    ngx_mesh_condition_t  *c;

    text.data = value->data + 8;
    text.len = value->len - 8;

    n = ngx_mesh_percent_parse(&text);

    if (n == NGX_ERROR) {
        return ngx_mesh_core_invalid(cf, value,
                                     "a number from 0 to 100 with at most two "
                                     "decimals");
    }

    c = ngx_array_push(conditions);
    if (c == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_null(&c->fact);

    if (by) {
        c->fact.data = by->data + 3;
        c->fact.len = by->len - 3;

        if (!ngx_mesh_fact_known(&c->fact)) {
            return ngx_mesh_core_invalid(cf, by, "by=FACT");
        }
    }

    c->npatterns = 1;
    c->patterns = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_pattern_t));

    if (c->patterns == NULL) {
        return NGX_CONF_ERROR;
    }

    c->patterns->op = NGX_MESH_RULE_PERCENT;
    c->patterns->number = n;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_to(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                   *rv;
    ngx_int_t               n;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_array_t             labels, fallback;
    ngx_mesh_target_t      *t;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    t = ngx_array_push(&rcf->targets);

    if (t == NULL
        || ngx_array_init(&labels, cf->pool, 2, sizeof(ngx_keyval_t))
           != NGX_OK
        || ngx_array_init(&fallback, cf->pool, 2, sizeof(ngx_keyval_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(t, sizeof(ngx_mesh_target_t));

    t->weight = NGX_MESH_RULE_WEIGHT;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "weight=", 7) == 0) {
            n = ngx_atoi(value[i].data + 7, value[i].len - 7);

            if (n == NGX_ERROR || n > 1000000) {
                return ngx_mesh_core_invalid(cf, &value[i],
                                             "a number from 0 to 1000000");
            }

            t->weight = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "rewrite=", 8) == 0) {
            rv = ngx_mesh_route_conf_rewrite(cf, t, &value[i]);

        } else if (ngx_strncmp(value[i].data, "fallback=", 9) == 0) {
            rv = ngx_mesh_route_conf_fallback(cf, t, &fallback, &value[i]);

        } else {
            rv = ngx_mesh_route_conf_target(cf, t, &labels, &value[i],
                                            &value[i]);
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    t->labels = labels.elts;
    t->nlabels = labels.nelts;

    if (t->fallback) {
        t->fallback->labels = fallback.elts;
        t->fallback->nlabels = fallback.nelts;
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_target(ngx_conf_t *cf, ngx_mesh_target_t *t,
    ngx_array_t *labels, ngx_str_t *value, ngx_str_t *param)
{
    u_char        *p, *last;
    ngx_keyval_t  *label;

    last = param->data + param->len;

    if (ngx_strncmp(param->data, "service=", 8) == 0 && param->len > 8) {

        if (t->service.len) {
            return ngx_mesh_core_invalid(cf, value, "one service only");
        }

        t->service.data = param->data + 8;
        t->service.len = param->len - 8;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "label=", 6) == 0) {

        p = ngx_strlchr(param->data + 6, last, '=');

        if (p && p > param->data + 6) {

            label = ngx_array_push(labels);
            if (label == NULL) {
                return NGX_CONF_ERROR;
            }

            label->key.data = param->data + 6;
            label->key.len = p - label->key.data;
            label->value.data = p + 1;
            label->value.len = last - (p + 1);

            return NGX_CONF_OK;
        }
    }

    return ngx_mesh_core_invalid(cf, value,
                                 "service=NAME, label=KEY=VALUE, weight=, "
                                 "rewrite=, fallback=any, fallback=none, "
                                 "fallback=service=NAME or "
                                 "fallback=label=KEY=VALUE");
}


static char *
ngx_mesh_route_conf_rewrite(ngx_conf_t *cf, ngx_mesh_target_t *t,
    ngx_str_t *value)
{
    if (ngx_strcmp(value->data + 8, "version") == 0) {
        t->rewrite = NGX_MESH_REWRITE_VERSION;

    } else if (ngx_strcmp(value->data + 8, "group") == 0) {
        t->rewrite = NGX_MESH_REWRITE_GROUP;

    } else if (ngx_strcmp(value->data + 8, "version,group") == 0
               || ngx_strcmp(value->data + 8, "group,version") == 0)
    {
        t->rewrite = NGX_MESH_REWRITE_VERSION|NGX_MESH_REWRITE_GROUP;

    } else {
        return ngx_mesh_core_invalid(cf, value, "version, group or "
                                     "version,group");
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_fallback(ngx_conf_t *cf, ngx_mesh_target_t *t,
    ngx_array_t *labels, ngx_str_t *value)
{
    ngx_str_t  param;

    param.data = value->data + 9;
    param.len = value->len - 9;

    if (ngx_strcmp(param.data, "none") == 0) {
        return NGX_CONF_OK;
    }

    if (t->fallback == NULL) {
        t->fallback = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_target_t));
        if (t->fallback == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_strcmp(param.data, "any") == 0) {
        return NGX_CONF_OK;
    }

    return ngx_mesh_route_conf_target(cf, t->fallback, labels, value, &param);
}


static char *
ngx_mesh_route_conf_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t               ms;
    ngx_str_t              *value;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    if (rcf->rule->timeout) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR || ms == 0 || ms > NGX_MAX_INT32_VALUE) {
        return ngx_mesh_core_invalid(cf, &value[1], "a time as \"200ms\"");
    }

    rcf->rule->timeout = ms;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_tries(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t               n;
    ngx_str_t              *value;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    if (rcf->rule->tries) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n == 0 || n > 1000) {
        return ngx_mesh_core_invalid(cf, &value[1],
                                     "a number from 1 to 1000");
    }

    rcf->rule->tries = n;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_hash(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t              *value;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    if (rcf->rule->hash.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!ngx_mesh_fact_known(&value[1])) {
        return ngx_mesh_core_invalid(cf, &value[1],
                                     "protocol, service, interface, method, "
                                     "version, group, caller, app, listener "
                                     "or attachment.NAME");
    }

    rcf->rule->hash = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t              *value;
    ngx_keyval_t           *pair;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    pair = ngx_array_push(&rcf->set);
    if (pair == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    pair->key = value[1];
    pair->value = value[2];

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_remove(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t              *value, *name;
    ngx_uint_t              i;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        name = ngx_array_push(&rcf->remove);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_route_conf_deny(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t              *value;
    ngx_mesh_route_conf_t  *rcf;

    rcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_route_module);

    if (rcf->rule->denied) {
        return "is duplicate";
    }

    rcf->rule->denied = 1;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;
        rcf->rule->deny = value[1];
    }

    return NGX_CONF_OK;
}
