
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"


/*
 * Registries: what the agent knows of them is in the zone, so that any worker
 * tells it, whether the agent lives or not.
 */


typedef struct {
    ngx_mesh_json_t  *json;
    ngx_str_t        *registry;
} ngx_mesh_api_registry_answers_t;


static ngx_int_t ngx_mesh_api_registries(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_registry_read(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_registry_resync(ngx_mesh_api_call_t *call);
static ngx_int_t ngx_mesh_api_registry_resynced(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job);
static ngx_int_t ngx_mesh_api_registry_find(ngx_mesh_api_call_t *call,
    ngx_mesh_source_info_t *info);
static ngx_int_t ngx_mesh_api_registry_show(ngx_mesh_api_call_t *call,
    ngx_mesh_source_info_t *info, ngx_uint_t services);
static void ngx_mesh_api_registry_spec(ngx_mesh_json_t *json,
    ngx_mesh_source_info_t *info);
static void ngx_mesh_api_registry_state(ngx_mesh_json_t *json,
    ngx_mesh_source_status_t *st);
static void ngx_mesh_api_registry_counts(ngx_mesh_json_t *json,
    ngx_mesh_source_status_t *st);
static ngx_int_t ngx_mesh_api_registry_answers(void *data,
    ngx_array_t *items);
static void ngx_mesh_api_registry_answer(ngx_mesh_json_t *json,
    ngx_str_t *interface, ngx_mesh_answer_t *answer);
static void ngx_mesh_api_registry_time(ngx_mesh_json_t *json, char *name,
    uint64_t ms);
static void ngx_mesh_api_registry_text(ngx_mesh_json_t *json, char *name,
    ngx_str_t *text);


ngx_mesh_api_op_t  ngx_mesh_api_registry_ops[] = {

    { ngx_string("registries"), NGX_HTTP_GET, 0,
      ngx_mesh_api_registries,
      "The registries of the configuration, and how they do" },

    { ngx_string("registries/{registry}"), NGX_HTTP_GET, 0,
      ngx_mesh_api_registry_read,
      "A registry, with the services that need an operator" },

    { ngx_string("registries/{registry}/resync"), NGX_HTTP_POST,
      NGX_MESH_API_WRITE,
      ngx_mesh_api_registry_resync,
      "Has a registry read again now" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_int_t
ngx_mesh_api_registries(ngx_mesh_api_call_t *call)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_mesh_json_t         *json;
    ngx_mesh_source_info_t   info;

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "items");
    ngx_mesh_json_open(json, '[');

    for (i = 0; /* void */ ; i++) {

        rc = ngx_mesh_source_info(i, call->pool, &info);

        if (rc == NGX_DECLINED) {
            break;
        }

        if (rc != NGX_OK
            || ngx_mesh_api_registry_show(call, &info, 0) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_mesh_json_close(json, ']');
    ngx_mesh_json_key(json, "revision");
    ngx_mesh_json_number(json, ngx_mesh_store_revision(call->store));
    ngx_mesh_json_key(json, "next");
    ngx_mesh_json_null(json);
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_registry_read(ngx_mesh_api_call_t *call)
{
    ngx_int_t               rc;
    ngx_mesh_source_info_t  info;

    rc = ngx_mesh_api_registry_find(call, &info);

    return rc == NGX_OK ? ngx_mesh_api_registry_show(call, &info, 1) : rc;
}


static ngx_int_t
ngx_mesh_api_registry_find(ngx_mesh_api_call_t *call,
    ngx_mesh_source_info_t *info)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; /* void */ ; i++) {

        rc = ngx_mesh_source_info(i, call->pool, info);

        if (rc == NGX_DECLINED) {
            return ngx_mesh_api_not_found(call, "registry", &call->params[0]);
        }

        if (rc != NGX_OK
            || ngx_mesh_equal(&info->name, &call->params[0]))
        {
            return rc;
        }
    }
}


static ngx_int_t
ngx_mesh_api_registry_show(ngx_mesh_api_call_t *call,
    ngx_mesh_source_info_t *info, ngx_uint_t services)
{
    ngx_int_t                         rc;
    ngx_mesh_json_t                  *json;
    ngx_mesh_api_registry_answers_t   answers;

    rc = NGX_OK;
    json = call->json;

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "metadata");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "name");
    ngx_mesh_json_string(json, &info->name);
    ngx_mesh_json_close(json, '}');

    ngx_mesh_json_key(json, "spec");
    ngx_mesh_api_registry_spec(json, info);

    ngx_mesh_json_key(json, "status");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_api_registry_state(json, &info->status);
    ngx_mesh_api_registry_counts(json, &info->status);

    if (services) {
        ngx_mesh_json_key(json, "services");
        ngx_mesh_json_open(json, '[');

        answers.json = json;
        answers.registry = &info->name;

        rc = ngx_mesh_api_show_each(call, NGX_MESH_ITEM_ANSWER,
                                    ngx_mesh_api_registry_answers, &answers);
        ngx_mesh_json_close(json, ']');
    }

    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_close(json, '}');

    return rc;
}


static void
ngx_mesh_api_registry_spec(ngx_mesh_json_t *json, ngx_mesh_source_info_t *info)
{
    ngx_uint_t    i;

    static char  *discovery[] = { "lazy", "all", "listed" };

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "type");
    ngx_mesh_json_string(json, &info->type);
    ngx_mesh_json_key(json, "discovery");
    ngx_mesh_json_text(json, discovery[info->discovery]);
    ngx_mesh_json_key(json, "urls");
    ngx_mesh_json_open(json, '[');

    for (i = 0; i < info->nurls; i++) {
        ngx_mesh_json_string(json, &info->urls[i]);
    }

    ngx_mesh_json_close(json, ']');
    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_registry_state(ngx_mesh_json_t *json,
    ngx_mesh_source_status_t *st)
{
    uint64_t      now, until;
    ngx_str_t     text;

    static char  *states[] = {
        "stopped", "starting", "ok", "error"
    };

    now = ngx_mesh_wall_clock();

    ngx_mesh_json_key(json, "state");
    ngx_mesh_json_text(json, states[st->state]);

    ngx_mesh_api_registry_time(json, "since", st->since);

    text.len = st->address_len;
    text.data = st->address;
    ngx_mesh_api_registry_text(json, "address", &text);

    ngx_mesh_api_registry_time(json, "last_success", st->heard);

    if (st->heard) {
        ngx_mesh_json_key(json, "age");
        ngx_mesh_json_number(json, now > st->heard ? now - st->heard : 0);
    }

    if (st->index) {
        ngx_mesh_json_key(json, "index");
        ngx_mesh_json_number(json, st->index);
    }

    text.len = st->error_len;
    text.data = st->error;
    ngx_mesh_api_registry_text(json, "last_error", &text);
    ngx_mesh_api_registry_time(json, "last_error_time", st->error_time);

    until = st->error_time + st->backoff;

    if (st->state == NGX_MESH_SOURCE_ERROR && st->backoff) {
        ngx_mesh_json_key(json, "retry_in");
        ngx_mesh_json_number(json, until > now ? until - now : 0);
    }
}


static void
ngx_mesh_api_registry_counts(ngx_mesh_json_t *json,
    ngx_mesh_source_status_t *st)
{
    ngx_uint_t  i;

    const struct {
        char      *name;
        uint64_t   value;
    } counts[] = {
        { "subscriptions", st->subscriptions },
        { "watched", st->watched },
        { "connections", st->connections },
        { "endpoints", st->endpoints },
        { "held", st->held },
        { "unmapped", st->unmapped },
        { "updates", st->updates },
        { "same", st->same },
        { "unknown", st->unknown },
        { "errors", st->errors },
        { "switches", st->switches }
    };

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        ngx_mesh_json_key(json, counts[i].name);
        ngx_mesh_json_number(json, counts[i].value);
    }
}


static ngx_int_t
ngx_mesh_api_registry_answers(void *data, ngx_array_t *items)
{
    ngx_mesh_api_registry_answers_t *answers = data;

    ngx_str_t               interface, name;
    ngx_uint_t              i;
    ngx_mesh_answer_t       answer;
    ngx_mesh_store_item_t  *item;

    item = items->elts;

    for (i = 0; i < items->nelts; i++) {

        if (ngx_mesh_item_answer_read(&item[i], &interface, &name, &answer)
            == NGX_OK
            && ngx_mesh_equal(&name, answers->registry)
            && (answer.held || answer.unknown || !answer.known
                || answer.unmapped.len || answer.unsupported.len))
        {
            ngx_mesh_api_registry_answer(answers->json, &interface, &answer);
        }
    }

    return NGX_OK;
}


static void
ngx_mesh_api_registry_answer(ngx_mesh_json_t *json, ngx_str_t *interface,
    ngx_mesh_answer_t *answer)
{
    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "service");
    ngx_mesh_json_string(json, interface);
    ngx_mesh_json_key(json, "known");
    ngx_mesh_json_bool(json, answer->known && !answer->unknown);
    ngx_mesh_json_key(json, "found");
    ngx_mesh_json_number(json, answer->found);
    ngx_mesh_json_key(json, "suspects");
    ngx_mesh_json_number(json, answer->suspects);

    ngx_mesh_api_registry_time(json, "since", answer->time);
    ngx_mesh_api_registry_time(json, "held_since", answer->held);
    ngx_mesh_api_registry_text(json, "reason", &answer->reason);
    ngx_mesh_api_registry_text(json, "unmapped", &answer->unmapped);
    ngx_mesh_api_registry_text(json, "unsupported", &answer->unsupported);

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_registry_time(ngx_mesh_json_t *json, char *name, uint64_t ms)
{
    u_char     date[64];
    ngx_str_t  s;

    if (ms) {
        s.data = date;
        s.len = ngx_mesh_api_date(date, ms) - date;

        ngx_mesh_json_key(json, name);
        ngx_mesh_json_string(json, &s);
    }
}


static void
ngx_mesh_api_registry_text(ngx_mesh_json_t *json, char *name, ngx_str_t *text)
{
    if (text->len) {
        ngx_mesh_json_key(json, name);
        ngx_mesh_json_string(json, text);
    }
}


/* NGX_DONE: the agent has begun when the answer comes */

static ngx_int_t
ngx_mesh_api_registry_resync(ngx_mesh_api_call_t *call)
{
    u_char                  *p;
    ngx_int_t                rc;
    ngx_str_t                service, text;
    ngx_uint_t               force;
    ngx_mesh_source_info_t   info;

    rc = ngx_mesh_api_registry_find(call, &info);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_table_precondition(call);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_arg_flag(call, "force", &force);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_api_arg(call, "service", &service);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_str_null(&service);

    } else if (service.len == 0) {

        /* a script whose variable is empty does not mean all of them */

        return ngx_mesh_api_fail(call, NGX_HTTP_BAD_REQUEST, "BadArgument",
                                 NULL, "argument \"service\" must be an "
                                 "interface, without it all are meant");
    }

    p = ngx_pnalloc(call->pool, info.name.len + service.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    *p++ = (u_char) ('0' + force);
    p = ngx_cpymem(p, info.name.data, info.name.len);
    *p++ = '\0';

    if (service.len) {
        p = ngx_cpymem(p, service.data, service.len);
    }

    text.len = p - text.data;

    rc = ngx_mesh_api_job(call, NGX_MESH_JOB_RESYNC, &text, NULL,
                          ngx_mesh_api_registry_resynced);

    return rc == NGX_DECLINED
           ? ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                               "try again", "there is no agent")
           : rc;
}


static ngx_int_t
ngx_mesh_api_registry_resynced(ngx_mesh_api_call_t *call,
    ngx_mesh_registry_job_t *job)
{
    ngx_str_t         service;
    ngx_uint_t        force;
    ngx_mesh_json_t  *json;

    if (job->status == NGX_HTTP_NOT_FOUND) {

        if (ngx_mesh_api_arg(call, "service", &service) != NGX_OK) {
            return ngx_mesh_api_fail(call, NGX_HTTP_NOT_FOUND, "NotFound",
                                     NULL, "registry \"%V\" is not asked any "
                                     "more", &call->params[0]);
        }

        return ngx_mesh_api_fail(call, NGX_HTTP_NOT_FOUND, "NotFound", NULL,
                                 "registry \"%V\" is not asked about \"%V\"",
                                 &call->params[0], &service);
    }

    if (job->status == 423) {
        return ngx_mesh_api_fail(call, 423, "Frozen", NULL,
                                 "another instance of nginx asks registries");
    }

    if (job->status != NGX_HTTP_OK) {
        return ngx_mesh_api_fail(call, NGX_HTTP_SERVICE_UNAVAILABLE, "NoAgent",
                                 "try again", "the agent does not answer");
    }

    (void) ngx_mesh_api_arg_flag(call, "force", &force);

    json = call->json;

    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "registry");
    ngx_mesh_json_string(json, &call->params[0]);

    if (ngx_mesh_api_arg(call, "service", &service) == NGX_OK) {
        ngx_mesh_json_key(json, "service");
        ngx_mesh_json_string(json, &service);
    }

    ngx_mesh_json_key(json, "forced");
    ngx_mesh_json_bool(json, force);
    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}
