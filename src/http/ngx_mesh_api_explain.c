
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_api_endpoint.h"
#include "ngx_mesh_api_route.h"
#include "ngx_mesh_table.h"


/*
 * Where a call would go, and why: the same functions that route calls are
 * asked, but nothing is drawn and nobody is sent anything.
 */

typedef struct {
    ngx_str_t                protocol;
    ngx_str_t                service;
    ngx_str_t                method;
    ngx_str_t                caller;
    ngx_str_t                app;
    ngx_str_t                listener;
    ngx_array_t              attachments;    /* ngx_keyval_t */

    ngx_mesh_service_t       key;            /* parts of the service's name */
    ngx_str_t                names[NGX_MESH_NAMES];
    ngx_mesh_rules_call_t    call;
} ngx_mesh_api_explain_t;


static ngx_int_t ngx_mesh_api_explain(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_explain_sample(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e);
static ngx_int_t ngx_mesh_api_explain_fact(void *data, ngx_str_t *name,
    ngx_str_t *value);
static ngx_mesh_rule_t *ngx_mesh_api_explain_routes(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_route_t **found, ngx_uint_t *chance);
static void ngx_mesh_api_explain_condition(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_condition_t *c);
static void ngx_mesh_api_explain_outcome(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_rule_t *rule, ngx_mesh_route_t *route);
static ngx_uint_t ngx_mesh_api_explain_targets(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_rule_t *rule,
    ngx_mesh_route_t *route);
static ngx_uint_t ngx_mesh_api_explain_target(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_target_t *t, ngx_mesh_target_t *of);
static ngx_uint_t ngx_mesh_api_explain_endpoints(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_target_t *t,
    ngx_mesh_service_t *service);
static ngx_uint_t ngx_mesh_api_explain_labelled(ngx_mesh_target_t *t,
    ngx_mesh_endpoint_t *ep);
static void ngx_mesh_api_explain_endpoint(ngx_mesh_api_call_t *call,
    ngx_mesh_endpoint_t *ep, char *excluded);
static ngx_mesh_service_t *ngx_mesh_api_explain_service(
    ngx_mesh_api_explain_t *e, ngx_str_t *name);


ngx_mesh_api_op_t  ngx_mesh_api_explain_ops[] = {

    { ngx_string("explain"), NGX_HTTP_POST,
      NGX_MESH_API_BODY,
      ngx_mesh_api_explain,
      "Where a call would go, and why" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


ngx_mesh_api_field_t  ngx_mesh_api_explain_fields[] = {

    { "protocol", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_explain_t, protocol), 255,
      "dubbo, bolt or a declared one; dubbo" },

    { "service", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_explain_t, service), 2048,
      "[group/]interface[:version]" },

    { "method", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_explain_t, method), 2048,
      "method that is called" },

    { "caller", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_explain_t, caller), 255,
      "address of the client" },

    { "app", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_explain_t, app), 2048,
      "name of the caller's application" },

    { "listener", NGX_MESH_API_STRING,
      offsetof(ngx_mesh_api_explain_t, listener), 255,
      "name of the listener it comes by" },

    { "attachments", NGX_MESH_API_LABELS,
      offsetof(ngx_mesh_api_explain_t, attachments), 0,
      "attachments of the call, or its headers" },

    { NULL, 0, 0, 0, NULL }
};


static ngx_str_t  ngx_mesh_api_explain_dubbo = ngx_string("dubbo");


static ngx_int_t
ngx_mesh_api_explain(ngx_mesh_api_call_t *call)
{
    ngx_int_t                rc;
    ngx_uint_t               chance;
    ngx_mesh_json_t         *json;
    ngx_mesh_rule_t         *rule;
    ngx_mesh_route_t        *route;
    ngx_mesh_api_explain_t  *e;

    e = ngx_pcalloc(call->pool, sizeof(ngx_mesh_api_explain_t));
    if (e == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_api_explain_sample(call, e);

    if (rc != NGX_OK) {
        return rc;
    }

    json = call->json;
    chance = 0;

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "considered");
    ngx_mesh_json_open(json, '[');
    rule = ngx_mesh_api_explain_routes(call, e, &route, &chance);
    ngx_mesh_json_close(json, ']');

    ngx_mesh_json_key(json, "route");

    if (rule) {
        ngx_mesh_json_string(json, &rule->name);

    } else {
        ngx_mesh_json_null(json);
    }

    ngx_mesh_json_key(json, "by_chance");
    ngx_mesh_json_bool(json, chance);

    ngx_mesh_api_explain_outcome(call, e, rule, route);

    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, call->revision);

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_explain_sample(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e)
{
    ngx_int_t           rc;
    ngx_str_t          *names;
    ngx_addr_t          addr;
    ngx_uint_t          grouped;
    ngx_mesh_api_at_t   at;

    rc = ngx_mesh_api_fields(call, NULL, call->body,
                             ngx_mesh_api_explain_fields, e, NULL);
    if (rc != NGX_OK) {
        return rc;
    }

    at.up = NULL;

    if (e->protocol.len == 0) {
        e->protocol = ngx_mesh_api_explain_dubbo;
    }

    at.name = "protocol";
    rc = ngx_mesh_api_protocol(call, &at, &e->protocol);

    if (rc != NGX_OK) {
        return rc;
    }

    at.name = "service";

    if (ngx_mesh_table_parse_key(&e->service, &e->key) != NGX_OK) {
        return ngx_mesh_api_wrong(call, &at, "it must be "
                                  "[GROUP/]INTERFACE[:VERSION]");
    }

    names = e->names;
    grouped = ngx_mesh_live_grouped(&e->key.interface);

    names[NGX_MESH_NAME_LISTENER] = e->listener;
    names[NGX_MESH_NAME_PROTOCOL] = e->protocol;
    names[NGX_MESH_NAME_INTERFACE] = e->key.interface;
    names[NGX_MESH_NAME_VERSION] = e->key.version;
    names[NGX_MESH_NAME_GROUP] = e->key.group;
    names[NGX_MESH_NAME_METHOD] = e->method;
    names[NGX_MESH_NAME_KEY] = e->service;
    names[NGX_MESH_NAME_SERVICE] = e->service;

    if (!grouped && e->key.group.len) {
        names[NGX_MESH_NAME_SERVICE].data += e->key.group.len + 1;
        names[NGX_MESH_NAME_SERVICE].len -= e->key.group.len + 1;
    }

    e->call.fact = ngx_mesh_api_explain_fact;
    e->call.data = e;

    if (e->caller.len) {
        at.name = "caller";

        if (ngx_parse_addr(call->pool, &addr, e->caller.data, e->caller.len)
            != NGX_OK)
        {
            return ngx_mesh_api_wrong(call, &at, "it must be an address");
        }

        e->call.caller = addr.sockaddr;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_explain_fact(void *data, ngx_str_t *name, ngx_str_t *value)
{
    ngx_mesh_api_explain_t *e = data;

    ngx_str_t      attachment;
    ngx_uint_t     i;
    ngx_keyval_t  *pair;

    switch (name->data[0]) {

    case 'p':
        *value = e->protocol;
        break;

    case 's':
        *value = e->service;
        break;

    case 'i':
        *value = e->key.interface;
        break;

    case 'm':
        *value = e->method;
        break;

    case 'v':
        *value = e->key.version;
        break;

    case 'l':
        *value = e->listener;
        break;

    case 'c':
        *value = e->caller;
        break;

    case 'g':
        *value = e->key.group;
        break;

    default:

        if (name->len == 3) {
            *value = e->app;
            break;
        }

        attachment.data = name->data + sizeof("attachment.") - 1;
        attachment.len = name->len - (sizeof("attachment.") - 1);

        pair = e->attachments.elts;

        for (i = 0; i < e->attachments.nelts; i++) {
            if (ngx_mesh_codec_name_match(&attachment, pair[i].key.data,
                                          pair[i].key.len)
                == NGX_OK)
            {
                *value = pair[i].value;
                return NGX_OK;
            }
        }

        return NGX_DECLINED;
    }

    return value->len ? NGX_OK : NGX_DECLINED;
}


/* the route that is taken for sure, if it comes to it; NULL: there is none */

static ngx_mesh_rule_t *
ngx_mesh_api_explain_routes(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_route_t **found, ngx_uint_t *chance)
{
    ngx_int_t               failed;
    ngx_uint_t              i, k, n, drawn;
    ngx_mesh_json_t        *json;
    ngx_mesh_rule_t        *rule;
    ngx_mesh_route_t      **routes;
    ngx_mesh_rules_t       *rules;
    ngx_mesh_condition_t   *c;

    json = call->json;
    *found = NULL;

    /* without memory for others it is the older ones that calls take */

    (void) ngx_mesh_live_rules(&rules);

    if (rules == NULL) {
        return NULL;
    }

    n = ngx_mesh_rules_all(rules, &routes);

    for (i = 0; i < n; i++) {
        rule = ngx_mesh_route_rule(routes[i]);
        failed = ngx_mesh_route_explain(routes[i], e->names, &e->call);

        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "route");
        ngx_mesh_json_string(json, &rule->name);
        ngx_mesh_json_key(json, "matched");
        ngx_mesh_json_bool(json, failed == -1);

        if (failed != -1) {
            ngx_mesh_json_key(json, "because");
            ngx_mesh_api_explain_condition(call, e, &rule->conditions[failed]);
            ngx_mesh_json_close(json, '}');
            continue;
        }

        drawn = NGX_MESH_RULE_ALL;

        for (k = 0; k < rule->nconditions; k++) {
            c = &rule->conditions[k];

            if (c->patterns[0].op == NGX_MESH_RULE_PERCENT
                && c->fact.len == 0)
            {
                drawn = drawn * c->patterns[0].number / NGX_MESH_RULE_ALL;
            }
        }

        if (drawn < NGX_MESH_RULE_ALL) {
            ngx_mesh_json_key(json, "percent");
            ngx_mesh_api_route_decimal(json, drawn);
        }

        ngx_mesh_json_close(json, '}');

        if (drawn == NGX_MESH_RULE_ALL) {
            *found = routes[i];
            return rule;
        }

        *chance = 1;
    }

    return NULL;
}


/* a condition and the value that does not meet it */

static void
ngx_mesh_api_explain_condition(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_condition_t *c)
{
    ngx_str_t         value;
    ngx_mesh_json_t  *json;

    json = call->json;

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "condition");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_route_show_condition(json, c, call->pool);
    ngx_mesh_json_close(json, '}');

    if (c->fact.len) {
        ngx_mesh_json_key(json, "fact");
        ngx_mesh_json_string(json, &c->fact);
        ngx_mesh_json_key(json, "value");

        if (ngx_mesh_api_explain_fact(e, &c->fact, &value) == NGX_OK) {
            ngx_mesh_json_string(json, &value);

        } else {
            ngx_mesh_json_null(json);
        }
    }

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_explain_outcome(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_rule_t *rule, ngx_mesh_route_t *route)
{
    char                *outcome;
    ngx_uint_t           n;
    ngx_mesh_json_t     *json;
    ngx_mesh_target_t    own;
    ngx_mesh_service_t  *service;

    json = call->json;

    if (rule && rule->denied) {
        ngx_mesh_json_key(json, "outcome");
        ngx_mesh_json_text(json, "denied");
        ngx_mesh_json_key(json, "deny");
        ngx_mesh_json_string(json, &rule->deny);
        return;
    }

    ngx_mesh_json_key(json, "targets");
    ngx_mesh_json_open(json, '[');

    if (rule && rule->ntargets) {
        n = ngx_mesh_api_explain_targets(call, e, rule, route);
        outcome = n ? "endpoint" : "no_endpoint";

    } else {
        ngx_memzero(&own, sizeof(ngx_mesh_target_t));
        own.weight = NGX_MESH_RULE_WEIGHT;

        service = ngx_mesh_api_explain_service(e, NULL);

        n = ngx_mesh_api_explain_target(call, e, &own, NULL);
        outcome = n ? "endpoint" : service ? "no_endpoint" : "no_route";

        if (service) {
            ngx_mesh_table_release(service);
        }
    }

    ngx_mesh_json_close(json, ']');

    ngx_mesh_json_key(json, "outcome");
    ngx_mesh_json_text(json, outcome);
}


/* endpoints that a call may be sent to, of all targets */

static ngx_uint_t
ngx_mesh_api_explain_targets(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_rule_t *rule, ngx_mesh_route_t *route)
{
    ngx_str_t   value;
    ngx_uint_t  i, n, first, last;

    n = 0;
    first = 0;
    last = rule->ntargets;

    /* where a call is not drawn but known by a fact, one is its target */

    if (rule->ntargets > 1 && rule->hash.len
        && ngx_mesh_api_explain_fact(e, &rule->hash, &value) == NGX_OK)
    {
        first = ngx_mesh_route_target(route, &e->call);
        last = first + 1;
    }

    for (i = first; i < last; i++) {
        n += ngx_mesh_api_explain_target(call, e, &rule->targets[i], NULL);
    }

    return n;
}


/* "of" is the target that it is the fallback of */

static ngx_uint_t
ngx_mesh_api_explain_target(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_target_t *t, ngx_mesh_target_t *of)
{
    ngx_str_t           *name;
    ngx_uint_t           n;
    ngx_mesh_json_t     *json;
    ngx_mesh_service_t  *service;

    json = call->json;
    name = t->service.len ? &t->service
           : (of && of->service.len) ? &of->service : NULL;

    service = ngx_mesh_api_explain_service(e, name);

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "service");
    ngx_mesh_json_string(json, service ? &service->name
                                       : name ? name : &e->service);

    if (t->nlabels) {
        ngx_mesh_json_key(json, "labels");
        ngx_mesh_api_route_show_pairs(json, t->labels, t->nlabels);
    }

    if (of == NULL) {
        ngx_mesh_json_key(json, "weight");
        ngx_mesh_json_number(json, t->weight);
    }

    ngx_mesh_json_key(json, "endpoints");
    ngx_mesh_json_open(json, '[');

    n = service ? ngx_mesh_api_explain_endpoints(call, e, t, service) : 0;

    ngx_mesh_json_close(json, ']');

    if (t->fallback) {
        ngx_mesh_json_key(json, "fallback");
        n += ngx_mesh_api_explain_target(call, e, t->fallback, t);
    }

    ngx_mesh_json_close(json, '}');

    if (service) {
        ngx_mesh_table_release(service);
    }

    /* a target of weight 0 gets no calls, whatever it has */

    return (of || t->weight) ? n : 0;
}


static ngx_uint_t
ngx_mesh_api_explain_endpoints(ngx_mesh_api_call_t *call,
    ngx_mesh_api_explain_t *e, ngx_mesh_target_t *t,
    ngx_mesh_service_t *service)
{
    char                 *excluded;
    ngx_uint_t            i, n;
    ngx_mesh_endpoint_t  *ep;

    n = 0;

    for (i = 0; i < service->nendpoints; i++) {
        ep = &service->endpoints[i];

        excluded = !ngx_mesh_api_explain_labelled(t, ep) ? "labels"
                   : (ep->protocol.len
                      && !ngx_mesh_equal(&ep->protocol, &e->protocol))
                     ? "protocol"
                   : ep->drain ? "drain"
                   : (ep->down || ep->weight == 0) ? "down" : NULL;

        n += (excluded == NULL);

        ngx_mesh_api_explain_endpoint(call, ep, excluded);
    }

    return n;
}


static ngx_uint_t
ngx_mesh_api_explain_labelled(ngx_mesh_target_t *t, ngx_mesh_endpoint_t *ep)
{
    ngx_uint_t  i, k;

    for (i = 0; i < t->nlabels; i++) {

        for (k = 0; k < ep->nlabels; k++) {
            if (ngx_mesh_equal(&t->labels[i].key, &ep->labels[k].key)
                && ngx_mesh_equal(&t->labels[i].value, &ep->labels[k].value))
            {
                break;
            }
        }

        if (k == ep->nlabels) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_mesh_api_explain_endpoint(ngx_mesh_api_call_t *call,
    ngx_mesh_endpoint_t *ep, char *excluded)
{
    ngx_mesh_json_t  *json;

    json = call->json;

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "id");
    ngx_mesh_json_string(json, &ep->id);
    ngx_mesh_json_key(json, "address");
    ngx_mesh_json_string(json, &ep->name);
    ngx_mesh_json_key(json, "owner");
    ngx_mesh_json_string(json, &ep->owner);

    if (ep->backup) {
        ngx_mesh_json_key(json, "backup");
        ngx_mesh_json_bool(json, 1);
    }

    ngx_mesh_api_endpoint_weight(json, ep, excluded == NULL);

    if (excluded) {
        ngx_mesh_json_key(json, "excluded_by");
        ngx_mesh_json_text(json, excluded);
    }

    ngx_mesh_json_close(json, '}');
}


/* without a name that of the call; the caller releases it */

static ngx_mesh_service_t *
ngx_mesh_api_explain_service(ngx_mesh_api_explain_t *e, ngx_str_t *name)
{
    ngx_str_t  group;

    if (name) {
        return ngx_mesh_live_find_name(name);
    }

    ngx_str_null(&group);

    if (ngx_mesh_live_grouped(&e->key.interface)) {
        group = e->key.group;
    }

    return ngx_mesh_live_find(&group, &e->key.interface, &e->key.version);
}
