
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/*
 * Routes, as calls of an entry take them.  An entry knows which of them its
 * names allow; what else a call has to say is looked at call by call.  Each
 * place that a route leads to is an entry again, a branch: to those who send
 * a call it makes no difference how it was found.
 */


typedef struct {
    ngx_mesh_session_t  *ms;
    ngx_mesh_entry_t    *entry;
    u_char              *p;
    ngx_mesh_frame_t    *f;
    ngx_mesh_facts_t    *facts;
} ngx_mesh_choice_call_t;


static void ngx_mesh_choice_names(ngx_mesh_entry_t *entry, ngx_str_t *names);
static ngx_int_t ngx_mesh_choice_fact(void *data, ngx_str_t *name,
    ngx_str_t *value);
static ngx_mesh_entry_t *ngx_mesh_choice_branch(ngx_mesh_entry_t *entry,
    ngx_mesh_rule_t *rule, ngx_mesh_target_t *target, ngx_str_t *name);
static ngx_int_t ngx_mesh_choice_edits(ngx_mesh_entry_t *branch);
static ngx_int_t ngx_mesh_choice_target(ngx_mesh_entry_t *branch,
    ngx_str_t *name);
static ngx_int_t ngx_mesh_choice_view(ngx_mesh_entry_t *branch,
    ngx_mesh_service_t *service);


void
ngx_mesh_choice_init(ngx_mesh_entry_t *entry, ngx_mesh_rules_t *rules)
{
    u_char              *p;
    ngx_str_t            names[NGX_MESH_NAMES];
    ngx_uint_t           i, n, total;
    ngx_mesh_rule_t     *rule;
    ngx_mesh_route_t   **routes;

    ngx_mesh_choice_names(entry, names);

    n = ngx_mesh_rules_find(rules, names, &routes);

    /* groups that only routes care for have to be read as well */

    if (ngx_mesh_rules_grouped(rules)) {
        entry->grouped = 1;
    }

    if (n == 0) {
        return;
    }

    total = 0;

    for (i = 0; i < n; i++) {
        rule = ngx_mesh_route_rule(routes[i]);
        total += ngx_max(rule->ntargets, 1);
    }

    p = ngx_calloc(n * sizeof(ngx_mesh_choice_t)
                   + total * sizeof(ngx_mesh_entry_t *), ngx_cycle->log);
    if (p == NULL) {
        ngx_mesh_choice_none(entry);
        return;
    }

    ngx_mesh_rules_hold(rules);

    entry->rules = rules;
    entry->choices = (ngx_mesh_choice_t *) p;
    entry->nchoices = n;

    p += n * sizeof(ngx_mesh_choice_t);

    for (i = 0; i < n; i++) {
        rule = ngx_mesh_route_rule(routes[i]);

        entry->choices[i].route = routes[i];
        entry->choices[i].entries = (ngx_mesh_entry_t **) p;
        entry->choices[i].n = ngx_max(rule->ntargets, 1);

        p += entry->choices[i].n * sizeof(ngx_mesh_entry_t *);
    }
}


void
ngx_mesh_choice_none(ngx_mesh_entry_t *entry)
{
    if (entry->view) {
        ngx_mesh_view_release(entry->view);
        entry->view = NULL;
    }

    entry->service = entry->key;
    entry->known = 0;
    entry->poor = 1;
    entry->error = NGX_MESH_ERR_OVERLOAD;
}


static void
ngx_mesh_choice_names(ngx_mesh_entry_t *entry, ngx_str_t *names)
{
    names[NGX_MESH_NAME_LISTENER] = entry->conf->listener;
    names[NGX_MESH_NAME_PROTOCOL] = entry->codec->name;
    names[NGX_MESH_NAME_INTERFACE] = entry->interface;
    names[NGX_MESH_NAME_VERSION] = entry->version;
    names[NGX_MESH_NAME_GROUP] = entry->group;
    names[NGX_MESH_NAME_METHOD] = entry->method;
    names[NGX_MESH_NAME_KEY] = entry->key;
    names[NGX_MESH_NAME_SERVICE] = entry->key;

    /* a group that no service has is no part of the key that is looked for */

    if (!entry->grouped && entry->group.len) {
        names[NGX_MESH_NAME_SERVICE].data += entry->group.len + 1;
        names[NGX_MESH_NAME_SERVICE].len -= entry->group.len + 1;
    }
}


/* the entry leaves the cache: branches and entry keep each other until then */

void
ngx_mesh_choice_drop(ngx_mesh_entry_t *entry)
{
    ngx_uint_t          i, j;
    ngx_mesh_choice_t  *choice;

    for (i = 0; i < entry->nchoices; i++) {
        choice = &entry->choices[i];

        for (j = 0; j < choice->n; j++) {
            if (choice->entries[j]) {
                ngx_mesh_route_release(choice->entries[j]);
            }
        }
    }

    if (entry->choices) {
        ngx_free(entry->choices);
        entry->choices = NULL;
        entry->nchoices = 0;
    }
}


ngx_mesh_entry_t *
ngx_mesh_choice_take(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts)
{
    ngx_str_t               *name;
    ngx_uint_t               i, n;
    ngx_mesh_rule_t         *rule;
    ngx_mesh_entry_t       **slot;
    ngx_mesh_target_t       *target;
    ngx_mesh_choice_t       *choice;
    ngx_mesh_rules_call_t    call;
    ngx_mesh_choice_call_t   data;

    data.ms = ms;
    data.entry = entry;
    data.p = p;
    data.f = f;
    data.facts = facts;

    call.fact = ngx_mesh_choice_fact;
    call.data = &data;
    call.caller = ms->connection->sockaddr;
    call.name = NULL;

    for (i = 0; i < entry->nchoices; i++) {
        choice = &entry->choices[i];

        if (!ngx_mesh_route_match(choice->route, &call)) {
            continue;
        }

        rule = ngx_mesh_route_rule(choice->route);

        n = rule->ntargets ? ngx_mesh_route_target(choice->route, &call) : 0;
        slot = &choice->entries[n];

        if (*slot == NULL) {
            target = rule->ntargets ? &rule->targets[n] : NULL;
            name = target ? &target->service : NULL;

            *slot = ngx_mesh_choice_branch(entry, rule, target, name);
        }

        if (*slot) {
            (*slot)->refs++;
        }

        ngx_mesh_route_release(entry);

        return *slot;
    }

    return entry;
}


static ngx_int_t
ngx_mesh_choice_fact(void *data, ngx_str_t *name, ngx_str_t *value)
{
    ngx_mesh_choice_call_t *c = data;

    return ngx_mesh_route_fact(c->ms, c->entry, c->p, c->f, c->facts, name,
                               value);
}


/* "name" is that of the service it leads to, empty: the call's own */

static ngx_mesh_entry_t *
ngx_mesh_choice_branch(ngx_mesh_entry_t *entry, ngx_mesh_rule_t *rule,
    ngx_mesh_target_t *target, ngx_str_t *name)
{
    ngx_int_t            rc;
    ngx_mesh_entry_t    *branch;

    branch = ngx_calloc(sizeof(ngx_mesh_entry_t), ngx_cycle->log);
    if (branch == NULL) {
        ngx_mesh_count(NGX_MESH_M_NOMEM);
        return NULL;
    }

    branch->refs = 1;
    branch->revision = entry->revision;
    branch->conf = entry->conf;
    branch->codec = entry->codec;
    branch->interface = entry->interface;
    branch->version = entry->version;
    branch->group = entry->group;
    branch->method = entry->method;
    branch->key = entry->key;
    branch->grouped = entry->grouped;

    branch->parent = entry;
    entry->refs++;

    branch->rule = rule;
    branch->target = target;
    branch->timeout = rule->timeout;
    branch->tries = rule->tries ? rule->tries : entry->tries;

    branch->service = entry->service;
    branch->known = entry->known;
    branch->error = entry->error;
    branch->wanted = entry->wanted;
    branch->pending = rule->denied ? NGX_MESH_WANT_SETTLED : entry->pending;

    rc = NGX_OK;

    if (rule->denied) {
        branch->error = NGX_MESH_ERR_DENIED;

    } else if (target) {
        rc = ngx_mesh_choice_target(branch, name);

    } else if (entry->view && rule->hash.len) {
        rc = ngx_mesh_choice_view(branch, ngx_mesh_live_find_name(
                                              &entry->view->service->name));

    } else if (entry->view) {
        branch->view = entry->view;
        branch->view->refs++;
    }

    if (branch->view) {
        branch->service = branch->view->service->name;
        branch->known = 1;
    }

    branch->idempotent = ngx_mesh_route_idempotent(branch);

    if (rc == NGX_OK
        && (rule->nset || rule->nremove || (target && target->rewrite)))
    {
        rc = ngx_mesh_choice_edits(branch);
    }

    if (rc != NGX_OK) {
        ngx_mesh_count(NGX_MESH_M_NOMEM);
        ngx_mesh_route_release(branch);
        return NULL;
    }

    return branch;
}


/* names and values are the rule's, which lives as long as the parent */

static ngx_int_t
ngx_mesh_choice_edits(ngx_mesh_entry_t *branch)
{
    ngx_uint_t              i;
    ngx_mesh_rule_t        *rule;
    ngx_mesh_edit_t        *edit;
    ngx_mesh_target_t      *target;
    ngx_mesh_service_t      service;
    ngx_mesh_edit_field_t  *field;

    rule = branch->rule;
    target = branch->target;

    edit = ngx_calloc(sizeof(ngx_mesh_edit_t)
                      + (rule->nset + rule->nremove)
                        * sizeof(ngx_mesh_edit_field_t), ngx_cycle->log);
    if (edit == NULL) {
        return NGX_ERROR;
    }

    field = (ngx_mesh_edit_field_t *) (edit + 1);

    edit->fields = field;
    edit->nfields = rule->nset + rule->nremove;

    for (i = 0; i < rule->nremove; i++, field++) {
        field->name = rule->remove[i];
        field->remove = 1;
    }

    for (i = 0; i < rule->nset; i++, field++) {
        field->name = rule->set[i].key;
        field->value = rule->set[i].value;
    }

    if (target && target->rewrite
        && ngx_mesh_table_parse_key(&target->service, &service) == NGX_OK)
    {
        if (target->rewrite & NGX_MESH_REWRITE_VERSION) {
            edit->rewrite_version = 1;
            edit->version = service.version;
        }

        if (target->rewrite & NGX_MESH_REWRITE_GROUP) {
            edit->rewrite_group = 1;
            edit->group = service.group;
        }
    }

    branch->edit = edit;

    return NGX_OK;
}


ngx_mesh_chunk_t *
ngx_mesh_choice_edit(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts, ngx_uint_t *err)
{
    size_t                   len, size;
    ngx_mesh_chunk_t        *chunk;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;

    if (codec->edit == NULL) {
        *err = NGX_MESH_ERR_BAD_REQUEST;
        return NULL;
    }

    size = ngx_mesh_codec_edit_bound(f, entry->edit);

    chunk = ngx_mesh_chunk_alloc(size);
    if (chunk == NULL) {
        *err = NGX_MESH_ERR_OVERLOAD;
        return NULL;
    }

    if (codec->edit(codec, p, f, facts, entry->edit, chunk->buf.start, size,
                    &len)
        != NGX_OK)
    {
        ngx_mesh_chunk_free(chunk);
        *err = NGX_MESH_ERR_BAD_REQUEST;
        return NULL;
    }

    chunk->buf.pos = chunk->buf.start;
    chunk->buf.last = chunk->buf.start + len;

    return chunk;
}


/* a route outlives the service it leads to: its calls do not go elsewhere */

static ngx_int_t
ngx_mesh_choice_target(ngx_mesh_entry_t *branch, ngx_str_t *name)
{
    ngx_mesh_service_t  *service, key;

    key.interface = branch->interface;

    if (name->len) {
        branch->service = *name;
        branch->known = 1;

        (void) ngx_mesh_table_parse_key(name, &key);
    }

    service = name->len ? ngx_mesh_live_find_name(name)
                        : ngx_mesh_route_service(branch);

    ngx_mesh_park_pending(branch, &key.interface, service);

    if (service == NULL) {
        branch->error = NGX_MESH_ERR_NO_ENDPOINT;
    }

    return ngx_mesh_choice_view(branch, service);
}


/* NGX_ERROR: no memory */

static ngx_int_t
ngx_mesh_choice_view(ngx_mesh_entry_t *branch, ngx_mesh_service_t *service)
{
    if (service == NULL) {
        return NGX_OK;
    }

    branch->view = ngx_mesh_view_get(service, branch->conf, branch->codec,
                                     branch->target, &branch->rule->hash);

    return branch->view ? NGX_OK : NGX_ERROR;
}


ngx_mesh_entry_t *
ngx_mesh_choice_fallback(ngx_mesh_entry_t *entry)
{
    ngx_str_t          *name;
    ngx_mesh_entry_t   *fallback;
    ngx_mesh_target_t  *target;

    if (entry->target == NULL || entry->target->fallback == NULL) {
        return NULL;
    }

    if (entry->fallback == NULL) {
        target = entry->target->fallback;
        name = target->service.len ? &target->service
                                   : &entry->target->service;

        entry->fallback = ngx_mesh_choice_branch(entry->parent, entry->rule,
                                                 target, name);
        if (entry->fallback == NULL) {
            return NULL;
        }
    }

    fallback = entry->fallback;
    fallback->refs++;

    ngx_mesh_route_release(entry);

    return fallback;
}
