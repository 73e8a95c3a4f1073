
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule_int.h"
#include "ngx_mesh_table.h"


/* longer names would not be read in logs */

#define NGX_MESH_RULE_NAME_MAX    255

#define NGX_MESH_RULE_WEIGHT_MAX  1000000


static ngx_int_t ngx_mesh_rule_check_condition(ngx_mesh_rule_t *rule,
    ngx_uint_t n, ngx_pool_t *pool, ngx_mesh_rule_error_t *err);
static char *ngx_mesh_rule_check_pattern(ngx_mesh_condition_t *c,
    ngx_mesh_pattern_t *p);
static ngx_int_t ngx_mesh_rule_check_action(ngx_mesh_rule_t *rule,
    ngx_mesh_rule_error_t *err);
static ngx_int_t ngx_mesh_rule_check_targets(ngx_mesh_rule_t *rule,
    ngx_mesh_rule_error_t *err);
static char *ngx_mesh_rule_check_target(ngx_mesh_target_t *t);
static char *ngx_mesh_rule_check_labels(ngx_mesh_target_t *t);
static ngx_int_t ngx_mesh_rule_check_attachments(ngx_mesh_rule_t *rule,
    ngx_mesh_rule_error_t *err);
static ngx_int_t ngx_libc_cdecl ngx_mesh_rule_wrong(ngx_mesh_rule_error_t *err,
    ngx_uint_t part, ngx_uint_t index, const char *fmt, ...);


static ngx_str_t  ngx_mesh_rule_facts[] = {
    ngx_string("listener"),
    ngx_string("protocol"),
    ngx_string("service"),
    ngx_string("interface"),
    ngx_string("version"),
    ngx_string("group"),
    ngx_string("method"),
    ngx_null_string,              /* NGX_MESH_NAME_KEY has no name */
    ngx_string("caller"),
    ngx_string("app")
};


ngx_uint_t
ngx_mesh_rule_fact(ngx_str_t *name)
{
    ngx_uint_t  i;

    if (name->len > sizeof("attachment.") - 1
        && ngx_strncmp(name->data, "attachment.", sizeof("attachment.") - 1)
           == 0)
    {
        return NGX_MESH_FACT_ATTACHMENT;
    }

    for (i = 0; i < NGX_MESH_FACT_ATTACHMENT; i++) {
        if (name->len && ngx_mesh_rule_facts[i].len == name->len
            && ngx_memcmp(ngx_mesh_rule_facts[i].data, name->data, name->len)
               == 0)
        {
            return i;
        }
    }

    return NGX_MESH_FACT_UNKNOWN;
}


ngx_uint_t
ngx_mesh_fact_known(ngx_str_t *fact)
{
    return ngx_mesh_rule_fact(fact) != NGX_MESH_FACT_UNKNOWN;
}


static ngx_inline ngx_uint_t
ngx_mesh_rule_has(ngx_str_t *s, u_char c)
{
    return s->len && ngx_strlchr(s->data, s->data + s->len, c) != NULL;
}


char *
ngx_mesh_pattern_parse(ngx_str_t *fact, ngx_str_t *text,
    ngx_mesh_pattern_t *pattern)
{
    ngx_str_t           *value;
    ngx_mesh_service_t   service;

    ngx_memzero(pattern, sizeof(ngx_mesh_pattern_t));

    value = &pattern->value;
    *value = *text;

    if (value->len == 0) {
        return "a value; \"*\" stands for any";
    }

    if (value->len == 1 && value->data[0] == '*') {
        pattern->op = NGX_MESH_RULE_PRESENT;
        ngx_str_null(value);
        return NULL;
    }

    if (ngx_mesh_rule_fact(fact) == NGX_MESH_FACT_CALLER) {
        pattern->op = NGX_MESH_RULE_CIDR;
        return ngx_mesh_rule_check_pattern(NULL, pattern);
    }

    switch (value->data[0]) {

    case '=':
        value->data++;
        value->len--;
        return value->len ? NULL : "a value behind the \"=\"";

    case '~':
        pattern->op = NGX_MESH_RULE_REGEX;
        value->data++;
        value->len--;

        if (value->len && value->data[0] == '*') {
            pattern->op = NGX_MESH_RULE_NOCASE;
            value->data++;
            value->len--;
        }

        return value->len ? NULL : "an expression behind the \"~\"";

    case '*':
        pattern->op = NGX_MESH_RULE_SUFFIX;
        value->data++;
        value->len--;
        break;

    default:
        if (value->data[value->len - 1] == '*') {
            pattern->op = NGX_MESH_RULE_PREFIX;
            value->len--;
        }

        break;
    }

    if (ngx_mesh_rule_has(value, '*')) {
        return "a text with one \"*\" at its beginning or end; "
               "\"=\" before it takes it as it is";
    }

    if (pattern->op == NGX_MESH_RULE_EXACT
        && ngx_mesh_rule_fact(fact) == NGX_MESH_FACT_SERVICE
        && ngx_mesh_table_parse_key(value, &service) == NGX_OK)
    {
        /* "/x:0.0.0" is "x" */

        value->data = service.group.len ? service.group.data
                                        : service.interface.data;
        value->len = (service.version.len
                      ? service.version.data + service.version.len
                      : service.interface.data + service.interface.len)
                     - value->data;
    }

    return NULL;
}


ngx_int_t
ngx_mesh_pattern_text(ngx_mesh_pattern_t *pattern, ngx_str_t *text,
    ngx_pool_t *pool)
{
    u_char      *p, c;
    ngx_str_t   *value;
    ngx_uint_t   literal;

    value = &pattern->value;
    literal = 0;

    if (pattern->op == NGX_MESH_RULE_EXACT && value->len) {
        c = value->data[0];
        literal = (c == '=' || c == '~' || ngx_mesh_rule_has(value, '*'));
    }

    p = ngx_pnalloc(pool, value->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    switch (pattern->op) {

    case NGX_MESH_RULE_NOCASE:
        *p++ = '~';
        *p++ = '*';
        break;

    case NGX_MESH_RULE_REGEX:
        *p++ = '~';
        break;

    case NGX_MESH_RULE_SUFFIX:
    case NGX_MESH_RULE_PRESENT:
        *p++ = '*';
        break;

    default:
        if (literal) {
            *p++ = '=';
        }

        break;
    }

    if (value->len) {
        p = ngx_cpymem(p, value->data, value->len);
    }

    if (pattern->op == NGX_MESH_RULE_PREFIX) {
        *p++ = '*';
    }

    text->len = p - text->data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_percent_parse(ngx_str_t *text)
{
    ngx_int_t  n;

    n = ngx_atofp(text->data, text->len, 2);

    return n > NGX_MESH_RULE_ALL ? NGX_ERROR : n;
}


ngx_int_t
ngx_mesh_rule_check(ngx_mesh_rule_t *rule, ngx_pool_t *pool,
    ngx_mesh_rule_error_t *err)
{
    ngx_uint_t  i;

    if (rule->name.len == 0 || rule->name.len > NGX_MESH_RULE_NAME_MAX) {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_NAME, 0,
                                   "the name must have 1 to %d bytes",
                                   NGX_MESH_RULE_NAME_MAX);
    }

    for (i = 0; i < rule->name.len; i++) {
        if (rule->name.data[i] <= ' ' || rule->name.data[i] == 0x7f) {
            return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_NAME, 0,
                                       "spaces and control characters are "
                                       "not allowed in the name \"%V\"",
                                       &rule->name);
        }
    }

    for (i = 0; i < rule->nconditions; i++) {
        if (ngx_mesh_rule_check_condition(rule, i, pool, err) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    if (ngx_mesh_rule_check_action(rule, err) != NGX_OK
        || ngx_mesh_rule_check_targets(rule, err) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_mesh_rule_check_attachments(rule, err);
}


static ngx_int_t
ngx_mesh_rule_check_condition(ngx_mesh_rule_t *rule, ngx_uint_t n,
    ngx_pool_t *pool, ngx_mesh_rule_error_t *err)
{
    char                  *right;
    ngx_uint_t             i;
    ngx_mesh_pattern_t    *p;
    ngx_mesh_condition_t  *c;

    c = &rule->conditions[n];

    if (c->npatterns == 0) {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_MATCH, n,
                                   "no value for \"%V\"", &c->fact);
    }

    if (!ngx_mesh_fact_known(&c->fact)
        && (c->fact.len || c->patterns[0].op != NGX_MESH_RULE_PERCENT))
    {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_MATCH, n,
                                   "unknown fact \"%V\", it must be "
                                   NGX_MESH_FACTS, &c->fact);
    }

    for (i = 0; i < c->npatterns; i++) {
        p = &c->patterns[i];

        right = ngx_mesh_rule_check_pattern(c, p);

        if (right) {
            return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_MATCH, n,
                                       "invalid value \"%V\" of \"%V\", "
                                       "it must be %s",
                                       &p->value, &c->fact, right);
        }

        if (p->op != NGX_MESH_RULE_REGEX && p->op != NGX_MESH_RULE_NOCASE) {
            continue;
        }

        err->text.data = err->buf;
        err->text.len = sizeof(err->buf);

        if (ngx_mesh_rule_compile(p, pool, &err->text) == NULL) {
            err->part = NGX_MESH_RULE_MATCH;
            err->index = n;
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static char *
ngx_mesh_rule_check_pattern(ngx_mesh_condition_t *c, ngx_mesh_pattern_t *p)
{
    ngx_int_t    rc;
    ngx_cidr_t   cidr;
    ngx_uint_t   address;

    if (p->op == NGX_MESH_RULE_PERCENT) {
        return (c->npatterns == 1 && p->number <= NGX_MESH_RULE_ALL)
               ? NULL : "one percentage from 0 to 100";
    }

    address = (c == NULL
               || ngx_mesh_rule_fact(&c->fact) == NGX_MESH_FACT_CALLER);

    if (p->op == NGX_MESH_RULE_CIDR) {

        if (!address) {
            return "a text: \"caller\" alone is compared as an address";
        }

        if (p->value.len == 5 && ngx_strncmp(p->value.data, "unix:", 5) == 0) {
            return NULL;
        }

        rc = p->value.len ? ngx_ptocidr(&p->value, &cidr) : NGX_ERROR;

        return rc == NGX_ERROR ? "an address, a network as \"10.0.0.0/8\" "
                                 "or \"unix:\""
                               : NULL;
    }

    if (p->op == NGX_MESH_RULE_PRESENT || p->op == NGX_MESH_RULE_ABSENT) {
        return NULL;
    }

    if (address) {
        return "an address or a network";
    }

    return p->value.len ? NULL : "a text";
}


void *
ngx_mesh_rule_compile(ngx_mesh_pattern_t *p, ngx_pool_t *pool, ngx_str_t *err)
{
#if (NGX_PCRE)

    u_char               *q;
    ngx_regex_compile_t   rc;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pool = pool;
    rc.options = (p->op == NGX_MESH_RULE_NOCASE) ? NGX_REGEX_CASELESS : 0;
    rc.pattern = p->value;
    rc.err = *err;

    /* as its author wrote it, for the message; and "a)(b" is none */

    if (ngx_regex_compile(&rc) != NGX_OK) {
        *err = rc.err;
        return NULL;
    }

    /* no text that a caller sends may take the worker for long */

    rc.pattern.len = sizeof(NGX_MESH_RULE_LIMIT) + p->value.len;
    rc.pattern.data = ngx_pnalloc(pool, rc.pattern.len + 1);

    if (rc.pattern.data == NULL) {
        err->len = ngx_snprintf(err->data, err->len, "no memory") - err->data;
        return NULL;
    }

    q = ngx_cpymem(rc.pattern.data, NGX_MESH_RULE_LIMIT,
                   sizeof(NGX_MESH_RULE_LIMIT) - 1);
    q = ngx_cpymem(q, p->value.data, p->value.len);
    *q++ = ')';
    *q = '\0';

    if (ngx_regex_compile(&rc) != NGX_OK) {
        *err = rc.err;
        return NULL;
    }

    return rc.regex;

#else

    err->len = ngx_snprintf(err->data, err->len,
                            "expressions as \"%V\" need nginx to be built "
                            "with PCRE", &p->value)
               - err->data;
    return NULL;

#endif
}


static ngx_int_t
ngx_mesh_rule_check_action(ngx_mesh_rule_t *rule, ngx_mesh_rule_error_t *err)
{
    if (rule->denied
        && (rule->ntargets || rule->timeout || rule->tries || rule->hash.len
            || rule->nset || rule->nremove))
    {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_DENY, 0,
                                   "what is denied goes nowhere: \"deny\" "
                                   "takes no other action beside it");
    }

    if (rule->timeout > NGX_MAX_INT32_VALUE) {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_TIMEOUT, 0,
                                   "the timeout must be 24 days at most");
    }

    if (rule->tries > 1000) {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_TRIES, 0,
                                   "tries must be a number from 1 to 1000");
    }

    if (rule->hash.len && !ngx_mesh_fact_known(&rule->hash)) {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_HASH, 0,
                                   "unknown fact \"%V\", it must be "
                                   NGX_MESH_FACTS, &rule->hash);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_rule_check_targets(ngx_mesh_rule_t *rule, ngx_mesh_rule_error_t *err)
{
    char               *wrong;
    ngx_uint_t          i, total;
    ngx_mesh_target_t  *t;

    total = 0;

    for (i = 0; i < rule->ntargets; i++) {
        t = &rule->targets[i];

        wrong = ngx_mesh_rule_check_target(t);

        if (wrong == NULL && t->fallback) {
            wrong = ngx_mesh_rule_check_target(t->fallback);

            if (t->fallback->fallback) {
                wrong = "a fallback has no fallback itself";

            } else if (t->nlabels == 0 && t->fallback->nlabels == 0
                       && t->fallback->service.len == 0)
            {
                wrong = "\"any\" endpoint is no fallback of a target "
                        "without labels";
            }
        }

        if (wrong) {
            return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_TO, i, "%s", wrong);
        }

        total += t->weight;
    }

    if (rule->ntargets && total == 0) {
        return ngx_mesh_rule_wrong(err, NGX_MESH_RULE_TO, 0,
                                   "one target at least must have a weight");
    }

    return NGX_OK;
}


static char *
ngx_mesh_rule_check_target(ngx_mesh_target_t *t)
{
    ngx_uint_t           i;
    ngx_mesh_service_t   service;

    if (t->service.len) {

        if (ngx_mesh_table_parse_key(&t->service, &service) != NGX_OK) {
            return "the service must be [GROUP/]INTERFACE[:VERSION]";
        }

        for (i = 0; i < t->service.len; i++) {
            if (t->service.data[i] <= ' ' || t->service.data[i] == 0x7f
                || t->service.data[i] == '*')
            {
                return "spaces, control characters and \"*\" are not allowed "
                       "in the service";
            }
        }
    }

    if (t->weight > NGX_MESH_RULE_WEIGHT_MAX) {
        return "the weight must be a number from 0 to 1000000";
    }

    if (t->rewrite && t->service.len == 0) {
        return "there is nothing to rewrite without another service";
    }

    return ngx_mesh_rule_check_labels(t);
}


static char *
ngx_mesh_rule_check_labels(ngx_mesh_target_t *t)
{
    ngx_uint_t  i, j;

    for (i = 0; i < t->nlabels; i++) {

        if (t->labels[i].key.len == 0) {
            return "a label must be KEY=VALUE";
        }

        for (j = 0; j < i; j++) {
            if (t->labels[i].key.len == t->labels[j].key.len
                && ngx_memcmp(t->labels[i].key.data, t->labels[j].key.data,
                              t->labels[i].key.len)
                   == 0)
            {
                return "a label can have one value only";
            }
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_rule_check_attachments(ngx_mesh_rule_t *rule,
    ngx_mesh_rule_error_t *err)
{
    ngx_str_t   *name;
    ngx_uint_t   i, j, n;

    n = rule->nset + rule->nremove;

    for (i = 0; i < n; i++) {
        name = i < rule->nset ? &rule->set[i].key
                              : &rule->remove[i - rule->nset];

        if (name->len == 0) {
            return ngx_mesh_rule_wrong(err, i < rule->nset
                                            ? NGX_MESH_RULE_SET
                                            : NGX_MESH_RULE_REMOVE,
                                       i < rule->nset ? i : i - rule->nset,
                                       "an attachment must have a name");
        }

        for (j = 0; j < i && j < rule->nset; j++) {

            if (rule->set[j].key.len == name->len
                && ngx_memcmp(rule->set[j].key.data, name->data, name->len)
                   == 0)
            {
                return ngx_mesh_rule_wrong(err, i < rule->nset
                                                ? NGX_MESH_RULE_SET
                                                : NGX_MESH_RULE_REMOVE,
                                           i < rule->nset ? i : i - rule->nset,
                                           "attachment \"%V\" is set already",
                                           name);
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t ngx_libc_cdecl
ngx_mesh_rule_wrong(ngx_mesh_rule_error_t *err, ngx_uint_t part,
    ngx_uint_t index, const char *fmt, ...)
{
    va_list  args;

    err->part = part;
    err->index = index;
    err->text.data = err->buf;

    va_start(args, fmt);
    err->text.len = ngx_vslprintf(err->buf, err->buf + sizeof(err->buf), fmt,
                                  args)
                    - err->buf;
    va_end(args);

    return NGX_DECLINED;
}
