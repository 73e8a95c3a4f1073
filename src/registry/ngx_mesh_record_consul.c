
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_record_int.h"


/* what is wrong with instances is told by this many reasons */

#define NGX_MESH_RECORD_REASONS   8
#define NGX_MESH_RECORD_EXAMPLE   64


typedef struct {
    ngx_str_t                  reason;
    ngx_str_t                  example;      /* id of an instance */
    ngx_uint_t                 n;
} ngx_mesh_record_note_t;


static ngx_int_t ngx_mesh_record_entry(ngx_mesh_record_consul_t *ctx,
    cJSON *entry);
static ngx_int_t ngx_mesh_record_checks(ngx_mesh_record_consul_t *ctx,
    cJSON *checks);
static void ngx_mesh_record_weights(ngx_mesh_record_consul_t *ctx);
static ngx_int_t ngx_mesh_record_told(ngx_mesh_record_consul_t *ctx,
    ngx_str_t *text);


ngx_int_t
ngx_mesh_record_consul(ngx_mesh_subscription_t *s, cJSON *entries,
    ngx_pool_t *pool, ngx_array_t *records, ngx_mesh_update_t *update,
    char **why)
{
    cJSON                     *entry;
    ngx_int_t                  rc;
    ngx_mesh_record_consul_t   ctx;

    ngx_memzero(&ctx, sizeof(ngx_mesh_record_consul_t));
    ctx.s = s;
    ctx.pool = pool;
    ctx.records = records;

    if (!cJSON_IsArray(entries)) {
        *why = "the answer is no array of instances";
        return NGX_DECLINED;
    }

    if (ngx_array_init(&ctx.notes, pool, NGX_MESH_RECORD_REASONS,
                       sizeof(ngx_mesh_record_note_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cJSON_ArrayForEach(entry, entries) {
        rc = ngx_mesh_record_entry(&ctx, entry);

        if (rc == NGX_DECLINED) {
            *why = ctx.why;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_mesh_record_unique(records);

    return ngx_mesh_record_told(&ctx, &update->unmapped);
}


/* an instance that is not understood is noted; one that is none declines all */

static ngx_int_t
ngx_mesh_record_entry(ngx_mesh_record_consul_t *ctx, cJSON *entry)
{
    cJSON              *checks;
    ngx_int_t           rc;
    ngx_mesh_record_t   record, *r;

    if (!cJSON_IsObject(entry)
        || !ngx_mesh_record_member(entry, "Node", 0, &ctx->node)
        || !ngx_mesh_record_member(entry, "Service", 0, &ctx->service)
        || !ngx_mesh_record_member(entry, "Checks", 1, &checks)
        || ctx->node == NULL || ctx->service == NULL)
    {
        ctx->why = "an instance is no object with Node, Service and Checks";
        return NGX_DECLINED;
    }

    if (!ngx_mesh_record_string(ctx->service, "ID", &ctx->id)
        || !ngx_mesh_record_member(ctx->service, "Meta", 0, &ctx->meta)
        || !ngx_mesh_record_member(ctx->service, "Tags", 1, &ctx->tags))
    {
        ctx->why = "ID, Meta or Tags of an instance are of another type";
        return NGX_DECLINED;
    }

    if (ngx_mesh_record_checks(ctx, checks) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ctx->state == NGX_MESH_RECORD_CRITICAL && !ctx->maintenance) {
        return NGX_OK;
    }

    ngx_mesh_record_weights(ctx);

    ngx_memzero(&record, sizeof(ngx_mesh_record_t));

    rc = ngx_mesh_record_kind(ctx, &record);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    record.ep.owner = ctx->s->source->name;
    record.ep.drain |= ctx->maintenance ? 1 : 0;
    record.ep.weight = ngx_mesh_record_weight(record.ep.weight, ctx->weight);
    record.ep.warmup_weight = ngx_mesh_record_weight(record.ep.warmup_weight,
                                                     ctx->weight);

    if (ngx_mesh_record_zone(ctx, &record.ep) != NGX_OK) {
        return NGX_ERROR;
    }

    r = ngx_array_push(ctx->records);
    if (r == NULL) {
        return NGX_ERROR;
    }

    *r = record;

    return NGX_OK;
}


/* the worst one counts; maintenance is a critical check of a certain id */

static ngx_int_t
ngx_mesh_record_checks(ngx_mesh_record_consul_t *ctx, cJSON *checks)
{
    cJSON      *check;
    ngx_str_t   id, status;

    ctx->state = NGX_MESH_RECORD_PASSING;
    ctx->maintenance = 0;

    cJSON_ArrayForEach(check, checks) {

        if (!cJSON_IsObject(check)
            || !ngx_mesh_record_string(check, "CheckID", &id)
            || !ngx_mesh_record_string(check, "Status", &status))
        {
            ctx->why = "a check of an instance is none";
            return NGX_DECLINED;
        }

        if (ngx_mesh_registry_is(&status, "passing")) {
            continue;
        }

        if (!ngx_mesh_registry_is(&status, "critical")) {
            ctx->state = ngx_max(ctx->state, NGX_MESH_RECORD_WARNING);
            continue;
        }

        if (ngx_mesh_registry_is(&id, "_node_maintenance")
            || (id.len > 21
                && ngx_strncmp(id.data, "_service_maintenance:", 21) == 0))
        {
            ctx->maintenance = 1;
            continue;
        }

        ctx->state = NGX_MESH_RECORD_CRITICAL;
    }

    return NGX_OK;
}


/* 1 is Consul's default, which leaves weights as they are */

static void
ngx_mesh_record_weights(ngx_mesh_record_consul_t *ctx)
{
    cJSON  *weights, *n;

    ctx->weight = 1;

    if (!ngx_mesh_record_member(ctx->service, "Weights", 0, &weights)
        || weights == NULL)
    {
        return;
    }

    n = cJSON_GetObjectItemCaseSensitive(weights,
                                  ctx->state == NGX_MESH_RECORD_WARNING
                                  ? "Warning" : "Passing");

    if (cJSON_IsNumber(n)) {
        ctx->weight = (n->valuedouble <= 0) ? 0
                      : (n->valuedouble >= 65535) ? 65535
                      : (ngx_uint_t) n->valuedouble;
    }
}


ngx_int_t
ngx_mesh_record_note(ngx_mesh_record_consul_t *ctx, char *reason,
    ngx_str_t *name)
{
    u_char                  *p;
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_mesh_record_note_t  *note;

    text.data = (u_char *) reason;
    text.len = ngx_strlen(reason);

    if (name) {
        p = ngx_pnalloc(ctx->pool, text.len + 3 + NGX_MESH_RECORD_EXAMPLE);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text.data = p;
        text.len = ngx_sprintf(p, "%s \"%*s\"", reason,
                               ngx_min(name->len, NGX_MESH_RECORD_EXAMPLE),
                               name->data)
                   - p;
    }

    note = ctx->notes.elts;

    for (i = 0; i < ctx->notes.nelts; i++) {
        if (ngx_mesh_equal(&note[i].reason, &text)) {
            note[i].n++;
            return NGX_DECLINED;
        }
    }

    if (ctx->notes.nelts == NGX_MESH_RECORD_REASONS) {
        ctx->others++;
        return NGX_DECLINED;
    }

    note = ngx_array_push(&ctx->notes);
    if (note == NULL) {
        return NGX_ERROR;
    }

    note->n = 1;
    note->reason = text;
    note->example.data = ctx->id.data;
    note->example.len = ngx_min(ctx->id.len, NGX_MESH_RECORD_EXAMPLE);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_record_told(ngx_mesh_record_consul_t *ctx, ngx_str_t *text)
{
    size_t                   len;
    u_char                  *p;
    ngx_str_t               *name;
    ngx_uint_t               i;
    ngx_mesh_record_note_t  *note;

    static ngx_str_t         protocol = ngx_string(
                        " (remedy: \"protocol=\" of the service or of the "
                        "registry, or a tag protocol=NAME)");

    ngx_str_null(text);

    if (ctx->notes.nelts == 0) {
        return NGX_OK;
    }

    note = ctx->notes.elts;
    name = &ctx->s->sn.str;
    len = sizeof(" and 18446744073709551615 others");

    for (i = 0; i < ctx->notes.nelts; i++) {
        len += note[i].reason.len + note[i].example.len + protocol.len
               + name->len
               + sizeof("; : 18446744073709551615 instances, as \"\" "
                        "(remedy: service INTERFACE { provided_by ; })");
    }

    p = ngx_pnalloc(ctx->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < ctx->notes.nelts; i++) {

        p = ngx_sprintf(p, "%s%V: %ui instance%s, as \"%V\"",
                        i ? "; " : "", &note[i].reason, note[i].n,
                        note[i].n > 1 ? "s" : "", &note[i].example);

        if (ngx_mesh_registry_is(&note[i].reason, "no protocol")) {
            p = ngx_cpymem(p, protocol.data, protocol.len);
        }

        if (ngx_mesh_registry_is(&note[i].reason, "application-level")) {
            p = ngx_sprintf(p, " (remedy: service INTERFACE { "
                               "provided_by %V; })", name);
        }
    }

    if (ctx->others) {
        p = ngx_sprintf(p, " and %ui others", ctx->others);
    }

    text->len = p - text->data;

    return NGX_OK;
}
