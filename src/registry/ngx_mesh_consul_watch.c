
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul.h"
#include "ngx_mesh_record.h"
#include "ngx_mesh_registry_int.h"


/* ms: a server without a leader answers after more than 7 s */

#define NGX_MESH_CONSUL_CONNECT   3000
#define NGX_MESH_CONSUL_ANSWER    15000
#define NGX_MESH_CONSUL_READ      30000

#define NGX_MESH_CONSUL_BODY      (32 * 1024 * 1024)

/* of all that come at a time: who finds no room asks again */
#define NGX_MESH_CONSUL_BODIES    (4 * NGX_MESH_CONSUL_BODY)

/* Consul's own are 20 bytes each */
#define NGX_MESH_CONSUL_VALUES    (NGX_MESH_CONSUL_BODY / 12)
#define NGX_MESH_CONSUL_LARGE     (256 * 1024)

/* ms from one read to the next of what is not watched, and at most so many
   more */
#define NGX_MESH_CONSUL_ROTATION  20000
#define NGX_MESH_CONSUL_SPREAD    4000

/* ms until somebody may have mended it */
#define NGX_MESH_CONSUL_SELDOM    30000

/* ms between two reads that are to agree, and how many may not */
#define NGX_MESH_CONSUL_REREAD    1000
#define NGX_MESH_CONSUL_DOUBTS    3

#define NGX_MESH_CONSUL_BAD       3

/* whose fault it is that there is no answer: the address's, unless it answers
   others; the answer's; or ours */
#define NGX_MESH_CONSUL_SILENT    0
#define NGX_MESH_CONSUL_GARBLED   1
#define NGX_MESH_CONSUL_CROWDED   2


/* an answer on its way into the table */

typedef struct {
    ngx_mesh_consul_said_t     said;
    cJSON                     *json;         /* NULL: as what is held */
    uint64_t                   raw;
    uint64_t                   hash;
} ngx_mesh_consul_answer_t;


static ngx_uint_t ngx_mesh_consul_blocks(ngx_mesh_consul_watch_t *w,
    ngx_uint_t addr);
static void ngx_mesh_consul_uri(ngx_mesh_consul_watch_t *w, ngx_msec_t wait,
    ngx_str_t *uri);
static void ngx_mesh_consul_no_answer(ngx_mesh_consul_watch_t *w,
    ngx_str_t *error, ngx_uint_t fault);
static void ngx_mesh_consul_answer(ngx_mesh_consul_watch_t *w,
    ngx_mesh_reply_t *reply);
static ngx_int_t ngx_mesh_consul_read(ngx_mesh_consul_watch_t *w,
    ngx_mesh_reply_t *reply, ngx_mesh_consul_answer_t *answer);
static void ngx_mesh_consul_act(ngx_mesh_consul_watch_t *w,
    ngx_mesh_reply_t *reply, ngx_mesh_consul_answer_t *answer);
static void ngx_mesh_consul_refused(ngx_mesh_consul_watch_t *w,
    ngx_mesh_reply_t *reply, ngx_uint_t action, char *why);
static void ngx_mesh_consul_doubt(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer, char *why);
static void ngx_mesh_consul_apply(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer);
static ngx_int_t ngx_mesh_consul_set(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer, ngx_msec_t *again);
static ngx_int_t ngx_mesh_consul_names(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer);
static void ngx_mesh_consul_next(ngx_mesh_consul_watch_t *w,
    ngx_uint_t changed);
static void ngx_mesh_consul_retry(ngx_mesh_consul_watch_t *w);
static void ngx_mesh_consul_seldom(ngx_mesh_consul_watch_t *w);
static void ngx_mesh_consul_unknown(ngx_mesh_consul_watch_t *w,
    ngx_str_t *text);
static void ngx_mesh_consul_known(ngx_mesh_consul_watch_t *w, uint64_t index);
static void ngx_mesh_consul_explain(ngx_mesh_consul_watch_t *w,
    ngx_mesh_reply_t *reply, char *why, ngx_str_t *text);


void
ngx_mesh_consul_ask(ngx_mesh_consul_watch_t *w)
{
    ngx_str_t                uri;
    ngx_uint_t               addr;
    ngx_msec_t               wait, delay;
    ngx_mesh_fetch_t        *fetch;
    ngx_mesh_consul_t       *consul;
    ngx_mesh_source_addr_t  *addrs;

    consul = w->consul;

    addr = ngx_mesh_consul_choose(w, w->other ? w->accused
                                              : NGX_MESH_CONSUL_NONE, &delay);

    w->delayed = (delay != 0);

    if (delay) {
        ngx_mesh_consul_later(w, delay);
        return;
    }

    w->asked = addr;
    w->blocking = ngx_mesh_consul_blocks(w, addr);
    w->sent_token = (consul->header.len != 0);
    w->sent_stale = (consul->conf->stale && !w->sure);

    wait = 0;

    if (w->blocking) {
        wait = consul->conf->wait;

        if (w->guarded) {
            delay = w->recheck - ngx_current_msec;
            wait = ngx_min(wait, ngx_max(delay, 1000));
        }
    }

    w->until = ngx_current_msec + wait;
    ngx_mesh_consul_uri(w, wait, &uri);

    addrs = consul->source->addrs.elts;

    fetch = &w->slot->fetch;
    fetch->data = w;
    fetch->source = consul->source;
    fetch->addr = &addrs[addr];
    fetch->connect_timeout = NGX_MESH_CONSUL_CONNECT;
    fetch->read_timeout = NGX_MESH_CONSUL_READ;
    fetch->max = NGX_MESH_CONSUL_BODY;
    fetch->total = &consul->source->answers;
    fetch->most = NGX_MESH_CONSUL_BODIES;
    fetch->done = ngx_mesh_consul_done;

    /* it adds up to a sixteenth to what was asked for */

    if (ngx_mesh_fetch_send(fetch, "GET", &uri, &consul->header, NULL,
                            wait + wait / 16 + NGX_MESH_CONSUL_ANSWER)
        != NGX_OK)
    {
        ngx_mesh_consul_later(w, NGX_MESH_CONSUL_REREAD);
        return;
    }

    w->busy = 1;
}


static ngx_uint_t
ngx_mesh_consul_blocks(ngx_mesh_consul_watch_t *w, ngx_uint_t addr)
{
    if (!w->watched || w->plain || w->index == 0 || addr != w->addr) {
        return 0;
    }

    /* the guard waits for a read, which is due */

    return !w->guarded
           || (ngx_msec_int_t) (w->recheck - ngx_current_msec) > 0;
}


/* the rest of the path, where it has room for that */

static void
ngx_mesh_consul_uri(ngx_mesh_consul_watch_t *w, ngx_msec_t wait,
    ngx_str_t *uri)
{
    u_char  *p, *rest;

    rest = w->path.data + w->base;

    p = ngx_cpymem(rest, w->consul->conf->query.data,
                   w->consul->conf->query.len);

    if (wait) {
        p = ngx_sprintf(p, "&index=%uL&wait=%Ms", w->index,
                        (wait + 999) / 1000);
    }

    if (w->sent_stale) {
        p = ngx_cpymem(p, "&stale", 6);
    }

    if (p > rest) {
        *rest = '?';
    }

    uri->data = w->path.data;
    uri->len = p - w->path.data;
}


void
ngx_mesh_consul_cancel(ngx_mesh_consul_watch_t *w)
{
    ngx_uint_t               i;
    ngx_mesh_consul_addr_t  *a;

    a = w->consul->addrs;

    for (i = 0; i < w->consul->source->addrs.nelts; i++) {
        if (a[i].probe == w) {
            a[i].probe = NULL;
        }
    }

    if (w->busy) {
        w->busy = 0;
        ngx_mesh_fetch_close(&w->slot->fetch);
    }
}


void
ngx_mesh_consul_drop(ngx_mesh_consul_watch_t *w)
{
    ngx_mesh_consul_t  *consul;

    consul = w->consul;

    ngx_mesh_consul_abandon(w);
    ngx_mesh_consul_cancel(w);
    ngx_mesh_consul_keep(w, NULL);

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }

    if (w->waits) {
        ngx_queue_remove(&w->ready);
        w->waits = 0;
    }

    if (w->failing) {
        w->failing = 0;
        consul->failing--;
    }

    ngx_queue_remove(&w->queue);

    if (w->watched) {
        consul->nwatched--;

    } else {
        consul->nrotated--;
    }

    ngx_mesh_consul_release(w);
}


void
ngx_mesh_consul_done(ngx_mesh_fetch_t *fetch, ngx_mesh_reply_t *reply,
    ngx_str_t *error)
{
    ngx_uint_t                large;
    ngx_mesh_consul_watch_t  *w;

    w = fetch->data;
    w->busy = 0;

    if (reply == NULL) {
        ngx_mesh_consul_no_answer(w, error,
                                  fetch->crowded ? NGX_MESH_CONSUL_CROWDED
                                  : fetch->garbled ? NGX_MESH_CONSUL_GARBLED
                                                   : NGX_MESH_CONSUL_SILENT);
        return;
    }

    large = (reply->body.len > NGX_MESH_CONSUL_LARGE);

    if (large) {
        ngx_mesh_agent_busy();
    }

    ngx_mesh_consul_answer(w, reply);

    if (large) {
        ngx_mesh_agent_idle();
    }
}


/* what one answer only is too much of is not the address's failure */

static void
ngx_mesh_consul_no_answer(ngx_mesh_consul_watch_t *w, ngx_str_t *error,
    ngx_uint_t fault)
{
    u_char                  *p, *last;
    ngx_str_t                text;
    ngx_mesh_consul_addr_t  *a;
    u_char                   buf[NGX_MESH_SOURCE_TEXT];

    a = &w->consul->addrs[w->asked];
    last = buf + sizeof(buf);

    p = ngx_slprintf(buf, last, "%V", error);

    if (fault != NGX_MESH_CONSUL_SILENT && w->name.len) {
        p = ngx_slprintf(p, last, ", about %V", &w->name);
    }

    text.data = buf;
    text.len = p - buf;

    if (fault == NGX_MESH_CONSUL_SILENT
        || (fault == NGX_MESH_CONSUL_GARBLED
            && ++a->bad >= NGX_MESH_CONSUL_BAD))
    {
        ngx_mesh_consul_fails(w, w->asked);

    } else if (a->probe == w) {
        a->probe = NULL;
    }

    ngx_mesh_consul_unknown(w, &text);
    ngx_mesh_consul_retry(w);
}


static void
ngx_mesh_consul_answer(ngx_mesh_consul_watch_t *w, ngx_mesh_reply_t *reply)
{
    ngx_str_t                 error;
    ngx_mesh_consul_answer_t  answer;

    ngx_memzero(&answer, sizeof(ngx_mesh_consul_answer_t));
    ngx_mesh_consul_said(reply, &answer.said);

    if (answer.said.status == 200
        && ngx_mesh_consul_read(w, reply, &answer) != NGX_OK)
    {
        ngx_str_set(&error, "what it answers is not Consul's");
        ngx_mesh_consul_no_answer(w, &error, NGX_MESH_CONSUL_GARBLED);
        return;
    }

    ngx_mesh_consul_act(w, reply, &answer);

    if (answer.json) {
        cJSON_Delete(answer.json);
    }
}


/* an array of instances, or an object of names; complete */

static ngx_int_t
ngx_mesh_consul_read(ngx_mesh_consul_watch_t *w, ngx_mesh_reply_t *reply,
    ngx_mesh_consul_answer_t *answer)
{
    const char  *end, *last;
    cJSON       *item;

    if (reply->body.len == 0) {
        return NGX_ERROR;
    }

    answer->raw = ngx_mesh_consul_hash_bytes(reply->body.data,
                                             reply->body.len);

    if (answer->raw == w->raw && w->hash && w->name.len) {
        answer->hash = w->hash;
        answer->said.count = w->held;
        return NGX_OK;
    }

    if (ngx_mesh_reply_values(&reply->body) > NGX_MESH_CONSUL_VALUES) {
        return NGX_ERROR;
    }

    answer->json = cJSON_ParseWithLengthOpts((char *) reply->body.data,
                                             reply->body.len, &end, 0);
    if (answer->json == NULL) {
        return NGX_ERROR;
    }

    last = (char *) reply->body.data + reply->body.len;

    while (end < last && (*end == ' ' || *end == '\n' || *end == '\r')) {
        end++;
    }

    if (end != last
        || !(w->name.len ? cJSON_IsArray(answer->json)
                         : cJSON_IsObject(answer->json)))
    {
        cJSON_Delete(answer->json);
        answer->json = NULL;
        return NGX_ERROR;
    }

    for (item = answer->json->child; item; item = item->next) {
        answer->said.count++;
    }

    answer->hash = ngx_mesh_consul_hash(answer->json);

    return NGX_OK;
}


static void
ngx_mesh_consul_act(ngx_mesh_consul_watch_t *w, ngx_mesh_reply_t *reply,
    ngx_mesh_consul_answer_t *answer)
{
    char                     *why;
    ngx_uint_t                action;
    ngx_mesh_consul_asked_t   asked;

    ngx_memzero(&asked, sizeof(ngx_mesh_consul_asked_t));

    asked.index = w->blocking ? w->index : 0;
    asked.held = w->held;
    asked.stale = w->sent_stale ? w->consul->conf->stale : 0;
    asked.token = w->sent_token;
    asked.moved = (w->asked != w->addr && w->held != NGX_MESH_CONSUL_UNHELD);

    action = ngx_mesh_consul_judge(&asked, &answer->said, &why);

    if (w->blocking && answer->said.status == 200) {

        /* before its time: it should have something to tell */

        w->early = ((ngx_msec_int_t) (w->until - ngx_current_msec) > 0);
    }

    switch (action) {

    case NGX_MESH_CONSUL_APPLY:
        ngx_mesh_consul_apply(w, answer);
        return;

    case NGX_MESH_CONSUL_REPEAT:
        ngx_mesh_consul_doubt(w, answer, why);
        return;

    case NGX_MESH_CONSUL_PLAIN:
        w->plain = 1;
        w->sure = 1;
        ngx_mesh_consul_ask(w);
        return;

    case NGX_MESH_CONSUL_TOKEN:

        if (!w->retold && ngx_mesh_consul_token(w->consul, 1) == NGX_OK) {
            w->plain = 1;
            w->retold = 1;
            ngx_mesh_consul_ask(w);
            return;
        }

        w->retold = 0;
        break;

    default:
        break;
    }

    ngx_mesh_consul_refused(w, reply, action, why);
}


/* it says nothing of the service */

static void
ngx_mesh_consul_refused(ngx_mesh_consul_watch_t *w, ngx_mesh_reply_t *reply,
    ngx_uint_t action, char *why)
{
    ngx_str_t           text;
    ngx_uint_t          bad;
    ngx_mesh_consul_t  *consul;
    u_char              buf[NGX_MESH_SOURCE_TEXT];

    consul = w->consul;

    text.data = buf;
    ngx_mesh_consul_explain(w, reply, why, &text);

    bad = consul->addrs[w->asked].bad;

    if (action == NGX_MESH_CONSUL_RETRY
        || (action == NGX_MESH_CONSUL_SLOW && consul->source->addrs.nelts > 1
            && bad + 1 >= NGX_MESH_CONSUL_BAD))
    {
        /* who counts connections closes this one; who counts requests does
           not */

        if (reply->status == 429 && !reply->keepalive) {
            ngx_mesh_consul_fewer(consul);
        }

        ngx_mesh_consul_fails(w, w->asked);
        ngx_mesh_consul_unknown(w, &text);
        ngx_mesh_consul_retry(w);
        return;
    }

    ngx_mesh_consul_works(w, w->asked);
    consul->addrs[w->asked].bad = bad + (action == NGX_MESH_CONSUL_SLOW);

    ngx_mesh_consul_unknown(w, &text);
    ngx_mesh_consul_seldom(w);
}


/* "it answers 500: No cluster leader", one line */

static void
ngx_mesh_consul_explain(ngx_mesh_consul_watch_t *w, ngx_mesh_reply_t *reply,
    char *why, ngx_str_t *text)
{
    u_char  *p, *last, *src, *end;

    p = text->data;
    last = p + NGX_MESH_SOURCE_TEXT;

    if (reply->status == 200) {
        p = ngx_slprintf(p, last, "%s", why);

    } else {
        p = ngx_slprintf(p, last, "it answers %ui: ", reply->status);

        src = reply->body.data;
        end = src + reply->body.len;

        if (src == end || *src == '<') {
            p = ngx_slprintf(p, last, "%s", why);
            src = end;
        }

        while (src < end && p < last && *src >= ' ') {
            *p++ = *src++;
        }
    }

    if (w->name.len) {
        p = ngx_slprintf(p, last, ", about %V", &w->name);
    }

    text->len = p - text->data;
}


/*
 * The first read of an address, or of this agent, that brings less than was
 * known before: it may be behind.  It is believed when it says so again.
 */

static void
ngx_mesh_consul_doubt(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer, char *why)
{
    ngx_str_t  text;

    if (w->doubt == answer->hash || ++w->doubts > NGX_MESH_CONSUL_DOUBTS) {
        ngx_mesh_consul_apply(w, answer);
        return;
    }

    ngx_mesh_consul_works(w, w->asked);

    w->doubt = answer->hash;
    w->plain = 1;

    text.data = (u_char *) why;
    text.len = ngx_strlen(why);

    ngx_mesh_consul_tell(w, &text);
    ngx_mesh_consul_later(w, NGX_MESH_CONSUL_REREAD + ngx_random() % 500);
}


static void
ngx_mesh_consul_apply(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer)
{
    ngx_int_t   rc;
    ngx_uint_t  changed;
    ngx_msec_t  again;

    again = 0;
    changed = (answer->hash != w->hash);

    rc = w->name.len ? ngx_mesh_consul_set(w, answer, &again)
                     : ngx_mesh_consul_names(w, answer);

    if (rc == NGX_DECLINED) {
        return;
    }

    w->raw = answer->raw;
    w->hash = (rc == NGX_OK || w->entries) ? answer->hash : 0;
    w->held = answer->said.count;
    w->addr = w->asked;
    w->index = answer->said.index ? answer->said.index : 1;
    w->doubt = 0;
    w->doubts = 0;
    w->plain = 0;
    w->sure = 0;
    w->slow = 0;
    w->retold = 0;

    ngx_mesh_consul_settle(w, rc, again);

    ngx_mesh_consul_works(w, w->asked);
    ngx_mesh_consul_known(w, answer->said.index);
    ngx_mesh_consul_next(w, changed);
}


void
ngx_mesh_consul_settle(ngx_mesh_consul_watch_t *w, ngx_int_t rc,
    ngx_msec_t again)
{
    w->settled = (rc == NGX_OK);

    if (rc != NGX_AGAIN) {
        w->guarded = 0;
        w->other = 0;
        return;
    }

    if (!w->guarded) {
        w->accused = w->asked;
        w->since = ngx_current_msec;
    }

    w->guarded = 1;
    w->other = (w->consul->source->addrs.nelts > 1);
    w->recheck = ngx_current_msec + ngx_max(again, 100);
}


/* NGX_DECLINED: it was no answer of Consul's after all, which is dealt with */

static ngx_int_t
ngx_mesh_consul_set(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer, ngx_msec_t *again)
{
    char               *why;
    ngx_int_t           rc;
    ngx_str_t           error;
    ngx_uint_t          changed;
    ngx_pool_t         *pool;
    ngx_array_t         records;
    ngx_mesh_update_t   update;

    changed = (answer->hash != w->hash);

    if (changed && (w->app || w->nlinks)) {
        ngx_mesh_consul_keep(w, answer->json);
        answer->json = NULL;
    }

    w->read = ngx_current_msec;

    if (w->app) {
        ngx_mesh_consul_shared(w->app, changed);
        return NGX_OK;
    }

    if (w->nlinks && (changed || !w->settled)) {
        return ngx_mesh_consul_combine(w, again);
    }

    ngx_memzero(&update, sizeof(ngx_mesh_update_t));

    if (!changed) {
        update.what = NGX_MESH_UPDATE_SAME;
        return ngx_mesh_reconcile(w->s, &update, again);
    }

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    update.what = NGX_MESH_UPDATE_SET;
    update.records = &records;
    update.independent = (w->guarded && w->asked != w->accused);

    rc = NGX_ERROR;
    why = NULL;

    if (ngx_array_init(&records, pool, 16, sizeof(ngx_mesh_record_t))
        == NGX_OK)
    {
        rc = ngx_mesh_record_consul(w->s, answer->json, pool, &records,
                                    &update, &why);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_reconcile(w->s, &update, again);

    } else if (rc == NGX_DECLINED) {
        error.data = (u_char *) why;
        error.len = ngx_strlen(why);
        ngx_mesh_consul_no_answer(w, &error, NGX_MESH_CONSUL_GARBLED);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
ngx_mesh_consul_names(ngx_mesh_consul_watch_t *w,
    ngx_mesh_consul_answer_t *answer)
{
    cJSON        *item;
    ngx_str_t    *name;
    ngx_pool_t   *pool;
    ngx_array_t   names;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_array_init(&names, pool, 64, sizeof(ngx_str_t)) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    for (item = answer->json->child; item; item = item->next) {

        /* the servers themselves */

        if (strcmp(item->string, "consul") == 0) {
            continue;
        }

        name = ngx_array_push(&names);
        if (name == NULL) {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }

        name->data = (u_char *) item->string;
        name->len = ngx_strlen(item->string);
    }

    ngx_mesh_discovery_catalog(w->consul->source, &names);

    ngx_destroy_pool(pool);

    return NGX_OK;
}


/* after an answer that is applied */

static void
ngx_mesh_consul_next(ngx_mesh_consul_watch_t *w, ngx_uint_t changed)
{
    ngx_msec_t      delay;
    ngx_msec_int_t  recheck;

    delay = ngx_mesh_consul_charge(&w->bucket, ngx_current_msec,
                                   changed ? NGX_MESH_CONSUL_CHANGED
                                   : w->early ? NGX_MESH_CONSUL_SAME : 0);
    w->early = 0;

    if (w->blocking || changed || !w->watched) {
        w->backoff = 0;
        w->woken = 0;
    }

    if (!w->watched) {
        delay = NGX_MESH_CONSUL_ROTATION
                + ngx_random() % NGX_MESH_CONSUL_SPREAD;
    }

    if (w->guarded) {
        recheck = (ngx_msec_int_t) (w->recheck - ngx_current_msec);

        /* changes are waited for meanwhile, if it is for long */

        recheck = ngx_max(recheck, 100);

        if (!w->watched) {
            delay = ngx_min(delay, (ngx_msec_t) recheck);

        } else if (recheck < 2000 || delay) {
            w->plain = 1;
            delay = recheck;
        }
    }

    ngx_mesh_consul_later(w, delay);
}


static void
ngx_mesh_consul_retry(ngx_mesh_consul_watch_t *w)
{
    ngx_mesh_consul_t  *consul;

    consul = w->consul;

    w->plain = 1;
    w->early = 0;

    if (consul->current != w->asked
        && consul->addrs[consul->current].backoff == 0)
    {
        /* there is one that has not failed */

        ngx_mesh_consul_later(w, ngx_random() % 100);
        return;
    }

    w->backoff = ngx_mesh_discovery_backoff(w->backoff);
    w->woken = (w->woken == 1) ? 2 : 0;

    ngx_mesh_source_backoff(consul->source, w->backoff);
    ngx_mesh_consul_later(w, w->backoff);
}


static void
ngx_mesh_consul_seldom(ngx_mesh_consul_watch_t *w)
{
    w->plain = 1;
    w->slow = 1;

    ngx_mesh_consul_later(w, NGX_MESH_CONSUL_SELDOM
                             + ngx_random() % NGX_MESH_CONSUL_SELDOM);
}


static void
ngx_mesh_consul_unknown(ngx_mesh_consul_watch_t *w, ngx_str_t *text)
{
    ngx_mesh_consul_t       *consul;
    ngx_mesh_source_addr_t  *addr;

    consul = w->consul;
    addr = consul->source->addrs.elts;

    if (!w->failing) {
        w->failing = 1;
        consul->failing++;
    }

    consul->good = 0;
    ngx_mesh_source_state(consul->source, NGX_MESH_SOURCE_ERROR,
                          &addr[w->asked], text);

    ngx_mesh_consul_tell(w, text);
}


/* the state is good again when nobody fails any more: not in between */

static void
ngx_mesh_consul_known(ngx_mesh_consul_watch_t *w, uint64_t index)
{
    ngx_mesh_consul_t       *consul;
    ngx_mesh_source_addr_t  *addr;

    consul = w->consul;

    if (w->failing) {
        w->failing = 0;
        consul->failing--;
    }

    ngx_mesh_source_heard(consul->source, index);

    if (consul->failing == 0 && !consul->good) {
        addr = consul->source->addrs.elts;

        consul->good = 1;
        ngx_mesh_source_state(consul->source, NGX_MESH_SOURCE_OK,
                              &addr[w->asked], NULL);
    }
}
