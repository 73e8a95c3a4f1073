
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/*
 * What a call's names lead to is found once and kept, by listener, interface,
 * version, group and method, until the table's revision moves.
 */


/* longer names are not read: no service can be found by them anyway */

#define NGX_MESH_NAMES_MAX    2048

/* commits come faster than an entry can be made: one of mixed revisions, which
   lasts for a call, is better than none */
#define NGX_MESH_ROUTE_TRIES  16


typedef struct {
    ngx_mesh_proxy_conf_t   *conf;
    const ngx_mesh_codec_t  *codec;
    ngx_str_t                interface;
    ngx_str_t                version;
    ngx_str_t                group;
    ngx_str_t                method;
    uint32_t                 hash;
} ngx_mesh_route_key_t;


static ngx_mesh_entry_t *ngx_mesh_route_lookup(ngx_mesh_route_key_t *key);
static ngx_mesh_entry_t *ngx_mesh_route_make(ngx_mesh_route_key_t *key,
    uint64_t revision);
static ngx_mesh_entry_t *ngx_mesh_route_create(ngx_mesh_route_key_t *key);
static void ngx_mesh_route_names(ngx_mesh_entry_t *entry,
    ngx_mesh_route_key_t *key);
static void ngx_mesh_route_resolve(ngx_mesh_entry_t *entry);
static void ngx_mesh_route_drop(ngx_mesh_entry_t *entry);
static ngx_uint_t ngx_mesh_route_wildcard(ngx_str_t *pattern, ngx_str_t *s);


static ngx_str_t  ngx_mesh_route_unknown = ngx_string("unknown");


static ngx_inline uint32_t
ngx_mesh_route_hash(uint32_t h, ngx_str_t *s)
{
    return (h * 33 + s->len) ^ ngx_murmur_hash2(s->data, s->len);
}


ngx_mesh_entry_t *
ngx_mesh_route_find(ngx_mesh_session_t *ms, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts)
{
    uint32_t                 h;
    ngx_uint_t               want;
    ngx_mesh_entry_t        *entry;
    ngx_mesh_route_key_t     key;
    ngx_mesh_proxy_conf_t   *conf;
    const ngx_mesh_codec_t  *codec;

    conf = ms->conf;
    codec = ms->reader.codec;

    want = NGX_MESH_WANT_NAMES;

    if (conf->attachments || conf->deadline == NGX_MESH_DEADLINE_ALWAYS) {
        want |= NGX_MESH_WANT_ATTACHMENTS|NGX_MESH_WANT_FORCED;

    } else if (conf->deadline == NGX_MESH_DEADLINE_AUTO) {
        want |= NGX_MESH_WANT_ATTACHMENTS;
    }

    entry = ngx_mesh_memo_find(ms, p, f, want, facts);

    if (entry && !(entry->grouped && !facts->attachments)) {
        return entry->choices ? ngx_mesh_choice_take(ms, entry, p, f, facts)
                              : entry;
    }

    if (entry) {
        ngx_mesh_route_release(entry);
    }

    codec->facts(codec, p, f, want, facts);

    if (facts->names
        && facts->interface.len + facts->version.len + facts->method.len
           + facts->group.len > NGX_MESH_NAMES_MAX)
    {
        /* the cache is for names that somebody has given to a service */

        facts->names = 0;
        facts->interface.len = 0;
        facts->version.len = 0;
        facts->method.len = 0;
        facts->group.len = 0;
    }

    if (!facts->names) {
        ngx_mesh_count(NGX_MESH_M_UNREADABLE);
    }

    key.conf = conf;
    key.codec = codec;
    key.interface = facts->interface;
    key.version = facts->version;
    key.method = facts->method;
    key.group = facts->group;

    h = (uint32_t) (uintptr_t) conf;
    h = ngx_mesh_route_hash(h, &key.method);
    h = ngx_mesh_route_hash(h, &key.interface);
    h = ngx_mesh_route_hash(h, &key.version);

    key.hash = ngx_mesh_route_hash(h, &key.group);

    entry = ngx_mesh_route_lookup(&key);

    if (entry && entry->grouped && !facts->attachments) {

        /* the group decides, so the arguments have to be skipped */

        ngx_mesh_route_release(entry);

        codec->facts(codec, p, f,
                     NGX_MESH_WANT_ATTACHMENTS|NGX_MESH_WANT_FORCED, facts);

        if (facts->group.len <= NGX_MESH_NAMES_MAX) {
            key.group = facts->group;
            key.hash = ngx_mesh_route_hash(h, &key.group);
        }

        entry = ngx_mesh_route_lookup(&key);
    }

    if (entry == NULL) {
        return NULL;
    }

    ngx_mesh_memo_add(entry, p, f, facts);

    return entry->choices ? ngx_mesh_choice_take(ms, entry, p, f, facts)
                          : entry;
}


static ngx_mesh_entry_t *
ngx_mesh_route_lookup(ngx_mesh_route_key_t *key)
{
    uint64_t             revision;
    ngx_queue_t         *q;
    ngx_mesh_entry_t    *entry, *old;
    ngx_mesh_worker_t   *w;

    w = &ngx_mesh_worker;
    revision = ngx_mesh_live_revision();

    for (entry = w->entries[key->hash & (w->nbuckets - 1)];
         entry;
         entry = entry->next)
    {
        if (entry->hash != key->hash
            || entry->conf != key->conf
            || entry->codec != key->codec
            || entry->method.len != key->method.len
            || entry->interface.len != key->interface.len
            || entry->version.len != key->version.len
            || entry->group.len != key->group.len
            || ngx_memcmp(entry->method.data, key->method.data,
                          key->method.len) != 0
            || ngx_memcmp(entry->interface.data, key->interface.data,
                          key->interface.len) != 0
            || ngx_memcmp(entry->version.data, key->version.data,
                          key->version.len) != 0
            || ngx_memcmp(entry->group.data, key->group.data, key->group.len)
               != 0)
        {
            continue;
        }

        if (entry->revision != revision || entry->poor) {
            ngx_mesh_route_drop(entry);
            break;
        }

        if (w->nentries > NGX_MESH_ENTRIES_MAX / 2) {
            ngx_queue_remove(&entry->lru);
            ngx_queue_insert_head(&w->lru, &entry->lru);
        }

        entry->refs++;

        return entry;
    }

    if (w->nentries >= NGX_MESH_ENTRIES_MAX) {
        q = ngx_queue_last(&w->lru);
        old = ngx_queue_data(q, ngx_mesh_entry_t, lru);
        ngx_mesh_route_drop(old);
    }

    return ngx_mesh_route_make(key, revision);
}


/* what several reads found has to be of one revision */

static ngx_mesh_entry_t *
ngx_mesh_route_make(ngx_mesh_route_key_t *key, uint64_t revision)
{
    uint64_t           now;
    ngx_uint_t         tries;
    ngx_mesh_entry_t  *entry;

    for (tries = 0; /* void */ ; tries++) {

        entry = ngx_mesh_route_create(key);
        if (entry == NULL) {
            ngx_mesh_count(NGX_MESH_M_NOMEM);
            return NULL;
        }

        entry->revision = revision;
        ngx_mesh_route_resolve(entry);

        now = ngx_mesh_live_revision();

        if (now == revision || tries == NGX_MESH_ROUTE_TRIES) {
            return entry;
        }

        ngx_mesh_route_drop(entry);
        ngx_mesh_route_release(entry);

        revision = now;
    }
}


static ngx_mesh_entry_t *
ngx_mesh_route_create(ngx_mesh_route_key_t *key)
{
    size_t              len;
    ngx_mesh_entry_t   *entry;
    ngx_mesh_worker_t  *w;

    w = &ngx_mesh_worker;

    len = 2 * (key->interface.len + key->version.len + key->group.len)
          + key->method.len + 2;

    entry = ngx_calloc(sizeof(ngx_mesh_entry_t) + len, ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    entry->hash = key->hash;
    entry->conf = key->conf;
    entry->codec = key->codec;
    entry->refs = 2;
    entry->cached = 1;

    ngx_mesh_route_names(entry, key);

    entry->next = w->entries[key->hash & (w->nbuckets - 1)];
    w->entries[key->hash & (w->nbuckets - 1)] = entry;

    ngx_queue_insert_head(&w->lru, &entry->lru);
    w->nentries++;

    return entry;
}


static void
ngx_mesh_route_names(ngx_mesh_entry_t *entry, ngx_mesh_route_key_t *key)
{
    u_char      *p;
    ngx_uint_t   i;
    ngx_str_t   *dst[4], *src[4];

    dst[0] = &entry->interface;
    dst[1] = &entry->version;
    dst[2] = &entry->group;
    dst[3] = &entry->method;

    src[0] = &key->interface;
    src[1] = &key->version;
    src[2] = &key->group;
    src[3] = &key->method;

    p = (u_char *) entry + sizeof(ngx_mesh_entry_t);

    for (i = 0; i < 4; i++) {
        dst[i]->len = src[i]->len;
        dst[i]->data = p;
        p = ngx_cpymem(p, src[i]->data, src[i]->len);
    }

    entry->key.data = p;

    if (key->group.len) {
        p = ngx_cpymem(p, key->group.data, key->group.len);
        *p++ = '/';
    }

    p = ngx_cpymem(p, key->interface.data, key->interface.len);

    if (key->version.len) {
        *p++ = ':';
        p = ngx_cpymem(p, key->version.data, key->version.len);
    }

    entry->key.len = p - entry->key.data;
}


ngx_mesh_service_t *
ngx_mesh_route_service(ngx_mesh_entry_t *entry)
{
    ngx_str_t  group;

    if (entry->interface.len == 0) {
        return NULL;
    }

    ngx_str_null(&group);

    if (ngx_mesh_live_grouped(&entry->interface)) {
        entry->grouped = 1;
        group = entry->group;
    }

    return ngx_mesh_live_find(&group, &entry->interface, &entry->version);
}


static void
ngx_mesh_route_resolve(ngx_mesh_entry_t *entry)
{
    ngx_str_t              *fallback;
    ngx_mesh_rules_t       *rules;
    ngx_mesh_service_t     *service, key;
    ngx_mesh_proxy_conf_t  *conf;

    conf = entry->conf;

    entry->tries = conf->tries;
    entry->error = NGX_MESH_ERR_NO_ROUTE;

    service = ngx_mesh_route_service(entry);
    fallback = &conf->default_service;

    ngx_mesh_park_pending(entry, &entry->interface, service);

    if (service == NULL && fallback->len) {
        service = ngx_mesh_live_find_name(fallback);

        /* the service that was called is looked for first */

        if (!entry->pending
            && ngx_mesh_table_parse_key(fallback, &key) == NGX_OK)
        {
            ngx_mesh_park_pending(entry, &key.interface, service);
        }
    }

    entry->service = ngx_mesh_route_unknown;

    if (service) {
        entry->view = ngx_mesh_view_get(service, conf, entry->codec, NULL,
                                        NULL);
        entry->poor = (entry->view == NULL);
    }

    if (entry->view) {
        entry->service = entry->view->service->name;
        entry->known = 1;
    }

    entry->idempotent = ngx_mesh_route_idempotent(entry);

    if (ngx_mesh_live_rules(&rules) != NGX_OK) {
        entry->poor = 1;
    }

    if (rules == NULL && entry->poor) {
        ngx_mesh_choice_none(entry);

    } else if (rules) {
        ngx_mesh_choice_init(entry, rules);
    }
}


static void
ngx_mesh_route_drop(ngx_mesh_entry_t *entry)
{
    ngx_mesh_entry_t   **prev;
    ngx_mesh_worker_t   *w;

    w = &ngx_mesh_worker;

    for (prev = &w->entries[entry->hash & (w->nbuckets - 1)];
         *prev != entry;
         prev = &(*prev)->next)
    {
        /* void */
    }

    *prev = entry->next;

    ngx_queue_remove(&entry->lru);
    w->nentries--;
    entry->cached = 0;

    ngx_mesh_memo_drop(entry);
    ngx_mesh_choice_drop(entry);
    ngx_mesh_route_release(entry);
}


void
ngx_mesh_route_release(ngx_mesh_entry_t *entry)
{
    if (--entry->refs) {
        return;
    }

    if (entry->view) {
        ngx_mesh_view_release(entry->view);
    }

    if (entry->fallback) {
        ngx_mesh_route_release(entry->fallback);
    }

    if (entry->edit) {
        ngx_free(entry->edit);
    }

    if (entry->parent) {
        ngx_mesh_route_release(entry->parent);
    }

    if (entry->rules) {
        ngx_mesh_rules_release(entry->rules);
    }

    ngx_free(entry);
}


ngx_uint_t
ngx_mesh_route_idempotent(ngx_mesh_entry_t *entry)
{
    ngx_uint_t              i;
    ngx_array_t            *patterns;
    ngx_mesh_idempotent_t  *pattern;

    patterns = entry->conf->idempotent;

    if (patterns == NULL) {
        return 0;
    }

    pattern = patterns->elts;

    for (i = 0; i < patterns->nelts; i++) {
        if (ngx_mesh_route_wildcard(&pattern[i].method, &entry->method)
            && (ngx_mesh_route_wildcard(&pattern[i].service, &entry->service)
                || ngx_mesh_route_wildcard(&pattern[i].service,
                                           &entry->interface)))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_mesh_route_wildcard(ngx_str_t *pattern, ngx_str_t *s)
{
    size_t   len;
    u_char  *p;

    p = pattern->data;
    len = pattern->len;

    if (len && p[len - 1] == '*') {
        len--;
        return s->len >= len && ngx_memcmp(s->data, p, len) == 0;
    }

    if (len && p[0] == '*') {
        len--;
        return s->len >= len
               && ngx_memcmp(s->data + s->len - len, p + 1, len) == 0;
    }

    return s->len == len && ngx_memcmp(s->data, p, len) == 0;
}


ngx_int_t
ngx_mesh_route_fact(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_str_t                attachment;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;

    switch (name->data[0]) {

    case 'p':
        *value = codec->name;
        break;

    case 's':
        *value = entry->key;
        break;

    case 'i':
        *value = facts->interface;
        break;

    case 'm':
        *value = facts->method;
        break;

    case 'v':
        *value = facts->version;
        break;

    case 'l':
        *value = ms->conf->listener;
        break;

    case 'c':
        *value = ms->connection->addr_text;
        break;

    default: /* group, app, attachment.NAME */

        if (!facts->attachments) {
            codec->facts(codec, p, f,
                         NGX_MESH_WANT_ATTACHMENTS|NGX_MESH_WANT_FORCED,
                         facts);
        }

        if (name->data[0] == 'g') {
            *value = facts->group;
            break;
        }

        if (name->len == 3) {
            *value = facts->app;
            break;
        }

        attachment.data = name->data + sizeof("attachment.") - 1;
        attachment.len = name->len - (sizeof("attachment.") - 1);

        return codec->attachment(codec, facts, &attachment, value);
    }

    return value->len ? NGX_OK : NGX_DECLINED;
}


uint32_t
ngx_mesh_route_key(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts)
{
    uint32_t          key;
    ngx_str_t         value;
    ngx_mesh_view_t  *view;

    view = entry->view;

    if (view->balancer != NGX_MESH_BALANCER_HASH
        || ngx_mesh_route_fact(ms, entry, p, f, facts, &view->hash, &value)
           != NGX_OK)
    {
        return 0;
    }

    key = ngx_murmur_hash2(value.data, value.len);

    return key ? key : 1;
}


/*
 * A fallback may balance by another fact.  Its frame is read again, but not
 * into the worker's scratch: links also end while facts of a call are there.
 */

ngx_int_t
ngx_mesh_route_rekey(ngx_mesh_request_t *r)
{
    u_char                  *scratch;
    ngx_mesh_frame_t         f;
    ngx_mesh_facts_t         facts;
    ngx_mesh_session_t      *ms;
    const ngx_mesh_codec_t  *codec;

    r->key = 0;

    if (r->entry->view->balancer != NGX_MESH_BALANCER_HASH) {
        return NGX_OK;
    }

    ms = r->session;
    codec = ms->reader.codec;

    ngx_memzero(&f, sizeof(ngx_mesh_frame_t));
    ngx_memzero(&facts, sizeof(ngx_mesh_facts_t));

    f.client = 1;
    (void) codec->head(codec, r->pos, r->size, &f);

    if (f.late) {
        (void) codec->whole(codec, r->pos, &f);
    }

    facts.timeout = -1;
    facts.scratch = ngx_alloc(NGX_MESH_RECV_SIZE, ngx_cycle->log);

    if (facts.scratch == NULL) {
        return NGX_ERROR;
    }

    scratch = facts.scratch;
    facts.scratch_end = scratch + NGX_MESH_RECV_SIZE;

    codec->facts(codec, r->pos, &f, NGX_MESH_WANT_NAMES, &facts);
    r->key = ngx_mesh_route_key(ms, r->entry, r->pos, &f, &facts);

    ngx_free(scratch);

    return NGX_OK;
}
