
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_record_int.h"


/*
 * Configurators are made for consumers and providers alike.  What is for a
 * provider has arrived in its URL already and does no harm once more; what is
 * for one consumer, by its address or application, is not for us.
 */


typedef struct {
    ngx_mesh_record_url_t      url;
    ngx_str_t                  host;         /* empty: any */
    ngx_str_t                  group;
    ngx_str_t                  version;
    ngx_str_t                  application;  /* empty: any */
    ngx_str_t                 *addresses;    /* of providers; NULL: any */
    int64_t                    priority;
    ngx_uint_t                 n;
    unsigned                   absent:1;     /* what is set stays */
    unsigned                   versioned:1;  /* says for which side it is */
    unsigned                   any:1;        /* interface */
    unsigned                   used:1;
} ngx_mesh_record_rule_t;


/* conditions and what only describes the rule itself */

static const char  *ngx_mesh_record_rule_own[] = {
    "anyhost", "application", "category", "check", "compatible_config",
    "configVersion", "dynamic", "enabled", "group", "interface", "interfaces",
    "name", "path", "priority", "providerAddresses", "side", "timestamp",
    "version", NULL
};

/* what has an effect on a record */

static const char  *ngx_mesh_record_rule_known[] = {
    "disabled", "warmup", "weight", NULL
};


static ngx_int_t ngx_mesh_record_rule(ngx_mesh_record_rule_t *rule,
    ngx_str_t *text, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_record_rule_empty(ngx_mesh_record_url_t *url);
static int ngx_libc_cdecl ngx_mesh_record_rule_cmp(const void *one,
    const void *two);
static ngx_uint_t ngx_mesh_record_rule_match(ngx_mesh_record_rule_t *rule,
    ngx_mesh_record_t *record);
static ngx_uint_t ngx_mesh_record_rule_side(ngx_mesh_record_rule_t *rule,
    ngx_mesh_record_t *record);
static ngx_uint_t ngx_mesh_record_rule_address(ngx_str_t *list,
    ngx_mesh_endpoint_t *ep);
static ngx_uint_t ngx_mesh_record_rule_conditions(
    ngx_mesh_record_rule_t *rule, ngx_mesh_endpoint_t *ep);
static ngx_str_t *ngx_mesh_record_rule_label(ngx_mesh_endpoint_t *ep,
    ngx_str_t *key);
static void ngx_mesh_record_rule_apply(ngx_mesh_record_rule_t *rule,
    ngx_mesh_record_t *record);
static ngx_int_t ngx_mesh_record_rule_others(ngx_array_t *rules,
    ngx_pool_t *pool, ngx_str_t *unsupported);
static ngx_int_t ngx_mesh_record_rule_list(ngx_mesh_endpoint_t *ep,
    ngx_pool_t *pool, ngx_str_t *text);
static ngx_uint_t ngx_mesh_record_rule_in(const char **names, ngx_str_t *name);


ngx_int_t
ngx_mesh_record_configure(ngx_array_t *urls, ngx_array_t *records,
    ngx_pool_t *pool, ngx_str_t *unsupported)
{
    ngx_int_t                rc;
    ngx_str_t               *text;
    ngx_uint_t               i, k;
    ngx_array_t              rules;
    ngx_mesh_record_t       *record;
    ngx_mesh_record_rule_t  *rule;

    ngx_str_null(unsupported);
    ngx_mesh_record_unique(records);

    if (urls->nelts == 0) {
        return NGX_OK;
    }

    if (ngx_array_init(&rules, pool, urls->nelts,
                       sizeof(ngx_mesh_record_rule_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    text = urls->elts;
    rule = rules.elts;

    for (i = 0; i < urls->nelts; i++) {
        rc = ngx_mesh_record_rule(&rule[rules.nelts], &text[i], pool);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DONE) {
            rules.nelts = 0;
            break;
        }

        if (rc == NGX_OK) {
            rule[rules.nelts].n = i;
            rules.nelts++;
        }
    }

    ngx_qsort(rule, rules.nelts, sizeof(ngx_mesh_record_rule_t),
              ngx_mesh_record_rule_cmp);

    record = records->elts;

    for (i = 0; i < rules.nelts; i++) {

        for (k = 0; k < records->nelts; k++) {

            if (ngx_mesh_record_rule_match(&rule[i], &record[k])) {
                ngx_mesh_record_rule_apply(&rule[i], &record[k]);
                rule[i].used = 1;
            }
        }
    }

    return ngx_mesh_record_rule_others(&rules, pool, unsupported);
}


/* NGX_DECLINED: it has no effect; NGX_DONE: it takes away all rules */

static ngx_int_t
ngx_mesh_record_rule(ngx_mesh_record_rule_t *rule, ngx_str_t *text,
    ngx_pool_t *pool)
{
    char                   *why;
    ngx_int_t               rc;
    ngx_str_t              *value;
    ngx_mesh_record_t       key;
    ngx_mesh_record_url_t  *url;

    ngx_memzero(rule, sizeof(ngx_mesh_record_rule_t));
    url = &rule->url;

    rc = ngx_mesh_record_url(text, pool, url, &why);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_registry_is(&url->protocol, "empty")) {
        return NGX_DONE;
    }

    rule->absent = ngx_mesh_registry_is(&url->protocol, "absent");

    if ((!rule->absent && !ngx_mesh_registry_is(&url->protocol, "override"))
        || url->host.len == 0 || ngx_mesh_record_rule_empty(url)
        || !ngx_mesh_record_flag(ngx_mesh_record_param(url, "enabled"), 1))
    {
        return NGX_DECLINED;
    }

    if (ngx_mesh_record_key(&key, ngx_mesh_record_param(url, "group"),
                            ngx_mesh_record_param(url, "version"), &why)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rule->group = key.group;
    rule->version = key.version;

    value = ngx_mesh_record_param(url, "interface");
    value = value ? value : &url->path;

    rule->any = ngx_mesh_registry_is(value, "*")
                && rule->group.len == 0 && rule->version.len == 0;

    if (!ngx_mesh_registry_is(&url->host, "0.0.0.0")) {

        rc = ngx_mesh_record_host(&url->host, pool, &rule->host);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    value = ngx_mesh_record_param(url, "application");
    value = value ? value : url->user.len ? &url->user : NULL;

    if (value && !ngx_mesh_registry_is(value, "*")) {
        rule->application = *value;
    }

    rule->addresses = ngx_mesh_record_param(url, "providerAddresses");
    rule->versioned = (ngx_mesh_record_param(url, "configVersion") != NULL);
    rule->priority = ngx_mesh_record_number(
                                    ngx_mesh_record_param(url, "priority"), 0);

    return NGX_OK;
}


/* a rule that has nothing to say is how old consoles took one back */

static ngx_uint_t
ngx_mesh_record_rule_empty(ngx_mesh_record_url_t *url)
{
    ngx_uint_t     i;
    ngx_keyval_t  *param;

    param = url->params.elts;

    for (i = 0; i < url->params.nelts; i++) {
        if (!ngx_mesh_registry_is(&param[i].key, "anyhost")) {
            return 0;
        }
    }

    return 1;
}


/* by host, then by priority: what comes later is stronger */

static int ngx_libc_cdecl
ngx_mesh_record_rule_cmp(const void *one, const void *two)
{
    ngx_int_t                      rc;
    const ngx_mesh_record_rule_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_mesh_compare(&a->url.host, &b->url.host);

    if (rc == 0) {
        rc = (a->priority > b->priority) - (a->priority < b->priority);
    }

    return rc ? (int) rc : (a->n > b->n) - (a->n < b->n);
}


static ngx_uint_t
ngx_mesh_record_rule_match(ngx_mesh_record_rule_t *rule,
    ngx_mesh_record_t *record)
{
    ngx_str_t            name, *app;
    ngx_mesh_endpoint_t  *ep;

    ep = &record->ep;

    if (!ngx_mesh_record_rule_side(rule, record)
        || !ngx_mesh_record_rule_address(rule->addresses, ep)
        || !ngx_mesh_record_rule_conditions(rule, ep))
    {
        return 0;
    }

    if (rule->application.len) {
        ngx_str_set(&name, "application");
        app = ngx_mesh_record_rule_label(ep, &name);

        if (app == NULL || !ngx_mesh_equal(app, &rule->application)) {
            return 0;
        }
    }

    return rule->any
           || (ngx_mesh_equal(&rule->group, &record->group)
               && ngx_mesh_equal(&rule->version, &record->version));
}


/*
 * The address is a provider's if it has a port or, since 2.7, if the rule says
 * so; any other one is a consumer's.
 */

static ngx_uint_t
ngx_mesh_record_rule_side(ngx_mesh_record_rule_t *rule,
    ngx_mesh_record_t *record)
{
    u_char      *p;
    ngx_str_t   *side;
    ngx_uint_t   provider;

    side = ngx_mesh_record_param(&rule->url, "side");

    if (side == NULL) {

        if (rule->versioned) {
            return 0;
        }

        provider = (rule->url.port != 0);

    } else if (ngx_mesh_registry_is(side, "provider")) {
        provider = rule->versioned || rule->url.port;

    } else if (ngx_mesh_registry_is(side, "consumer")
               || (ngx_mesh_registry_is(side, "*") && !rule->versioned))
    {
        provider = !rule->versioned && rule->url.port;

    } else {
        return 0;
    }

    if (rule->url.port && !rule->versioned) {

        p = record->ep.name.data + record->ep.name.len;

        while (p > record->ep.name.data && p[-1] != ':') {
            p--;
        }

        if (ngx_atoi(p, record->ep.name.data + record->ep.name.len - p)
            != (ngx_int_t) rule->url.port)
        {
            return 0;
        }
    }

    return rule->host.len == 0
           || (provider && ngx_mesh_equal(&rule->host, &record->ep.host));
}


static ngx_uint_t
ngx_mesh_record_rule_address(ngx_str_t *list, ngx_mesh_endpoint_t *ep)
{
    u_char     *p, *last, *end, *port;
    ngx_str_t   item, own;

    if (list == NULL) {
        return 1;
    }

    port = ep->name.data + ep->name.len;

    while (port > ep->name.data && port[-1] != ':') {
        port--;
    }

    own.data = port;
    own.len = ep->name.data + ep->name.len - port;

    last = list->data + list->len;

    for (p = list->data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');
        end = end ? end : last;

        item.data = p;
        item.len = end - p;

        if (ngx_mesh_equal(&item, &ep->name)
            || ngx_mesh_equal(&item, &ep->host)
            || ngx_mesh_registry_is(&item, "0.0.0.0")
            || ngx_mesh_registry_is(&item, "0.0.0.0:*"))
        {
            return 1;
        }

        if (item.len > 8 && ngx_strncmp(item.data, "0.0.0.0:", 8) == 0) {
            item.data += 8;
            item.len -= 8;

            if (ngx_mesh_equal(&item, &own)) {
                return 1;
            }
        }
    }

    return 0;
}


/* "~NAME=VALUE": the provider's own parameter has to be that */

static ngx_uint_t
ngx_mesh_record_rule_conditions(ngx_mesh_record_rule_t *rule,
    ngx_mesh_endpoint_t *ep)
{
    ngx_str_t      name, *value;
    ngx_uint_t     i;
    ngx_keyval_t  *param;

    param = rule->url.params.elts;

    for (i = 0; i < rule->url.params.nelts; i++) {

        if (param[i].key.data[0] != '~'
            || ngx_mesh_registry_is(&param[i].value, "*"))
        {
            continue;
        }

        name.data = param[i].key.data + 1;
        name.len = param[i].key.len - 1;

        value = ngx_mesh_record_rule_label(ep, &name);

        if (value == NULL || !ngx_mesh_equal(value, &param[i].value)) {
            return 0;
        }
    }

    return 1;
}


static ngx_str_t *
ngx_mesh_record_rule_label(ngx_mesh_endpoint_t *ep, ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < ep->nlabels; i++) {
        if (ngx_mesh_equal(&ep->labels[i].key, key)) {
            return &ep->labels[i].value;
        }
    }

    return NULL;
}


static void
ngx_mesh_record_rule_apply(ngx_mesh_record_rule_t *rule,
    ngx_mesh_record_t *record)
{
    int64_t               n;
    ngx_str_t            *value;
    ngx_mesh_endpoint_t  *ep;

    ep = &record->ep;

    value = ngx_mesh_record_param(&rule->url, "weight");

    if (value && !(rule->absent && record->weighted)) {
        ep->weight = ngx_mesh_record_weight(
                        ngx_mesh_record_number(value, (int64_t) ep->weight),
                        1);
        record->weighted = 1;
    }

    value = ngx_mesh_record_param(&rule->url, "warmup");

    if (value && !rule->absent && ep->started) {
        n = ngx_mesh_record_number(value, (int64_t) ep->warmup);
        ep->warmup = (n > 0) ? (ngx_msec_t) ngx_min(n, NGX_MAX_INT32_VALUE)
                             : 0;
    }

    value = ngx_mesh_record_param(&rule->url, "disabled");

    if (value && !(rule->absent && ep->drain)) {
        ep->drain = ngx_mesh_record_flag(value, 0);
    }
}


static ngx_int_t
ngx_mesh_record_rule_others(ngx_array_t *rules, ngx_pool_t *pool,
    ngx_str_t *unsupported)
{
    ngx_uint_t               i, k;
    ngx_array_t              names;
    ngx_keyval_t            *param;
    ngx_mesh_endpoint_t      ep;
    ngx_mesh_record_rule_t  *rule;

    static ngx_str_t         none = ngx_null_string;

    if (ngx_array_init(&names, pool, 4, sizeof(ngx_mesh_record_label_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rule = rules->elts;

    for (i = 0; i < rules->nelts; i++) {

        if (!rule[i].used) {
            continue;
        }

        param = rule[i].url.params.elts;

        for (k = 0; k < rule[i].url.params.nelts; k++) {

            if (param[k].key.data[0] == '~'
                || ngx_mesh_record_rule_in(ngx_mesh_record_rule_own,
                                           &param[k].key)
                || ngx_mesh_record_rule_in(ngx_mesh_record_rule_known,
                                           &param[k].key))
            {
                continue;
            }

            if (ngx_mesh_record_label(&names, &param[k].key, &none) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    if (ngx_mesh_record_labels(&names, &ep, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return ep.nlabels ? ngx_mesh_record_rule_list(&ep, pool, unsupported)
                      : NGX_OK;
}


static ngx_int_t
ngx_mesh_record_rule_list(ngx_mesh_endpoint_t *ep, ngx_pool_t *pool,
    ngx_str_t *text)
{
    size_t       len;
    u_char      *p;
    ngx_uint_t   i;

    static ngx_str_t  lead = ngx_string("parameters of configurators:");

    for (i = 0, len = lead.len; i < ep->nlabels; i++) {
        len += ep->labels[i].key.len + 2;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    p = ngx_cpymem(p, lead.data, lead.len);

    for (i = 0; i < ep->nlabels; i++) {

        if (i) {
            *p++ = ',';
        }

        *p++ = ' ';
        p = ngx_cpymem(p, ep->labels[i].key.data, ep->labels[i].key.len);
    }

    text->len = p - text->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_record_rule_in(const char **names, ngx_str_t *name)
{
    for ( /* void */ ; *names; names++) {
        if (ngx_mesh_registry_is(name, *names)) {
            return 1;
        }
    }

    return 0;
}
