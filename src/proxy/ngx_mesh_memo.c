
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/*
 * A body begins with the names, and a client's calls of one method begin with
 * the same bytes.  A few recent beginnings are kept with their facts: a call
 * that repeats one costs a comparison instead of reading five strings, hashing
 * them and looking for the entry.  The same is done with the attachments,
 * behind the arguments.
 */


/* attachments that differ so often in a row are worth remembering anew */

#define NGX_MESH_MEMO_MISSES  64

/* of calls that repeat nothing, one in so many is remembered */

#define NGX_MESH_MEMO_TURNS   8


static void ngx_mesh_memo_free(ngx_mesh_memo_t *memo);
static void ngx_mesh_memo_known(ngx_mesh_memo_t *memo,
    ngx_mesh_facts_t *facts);


#define ngx_mesh_memo_shift(s, d)                                            \
    (s)->data = (u_char *) ((intptr_t) (s)->data + (d))


static ngx_inline uint64_t
ngx_mesh_memo_probe(u_char *p)
{
    uint64_t  probe;

    ngx_memcpy(&probe, p, 8);

    return probe;
}


ngx_mesh_entry_t *
ngx_mesh_memo_find(ngx_mesh_session_t *ms, u_char *p, ngx_mesh_frame_t *f,
    ngx_uint_t want, ngx_mesh_facts_t *facts)
{
    u_char                  *scratch, *scratch_end;
    ngx_uint_t               i;
    ngx_mesh_memo_t         *memo, **memos;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;
    memos = ngx_mesh_worker.memos;

    for (i = 0; i < NGX_MESH_MEMOS; i++) {
        memo = memos[i];

        if (memo == NULL) {
            return NULL;
        }

        if (memo->conf == ms->conf
            && memo->codec == codec
            && memo->serial == f->serial
            && memo->len + f->head <= f->size
            && memo->probe == ngx_mesh_memo_probe(p + memo->probe_at)
            && ngx_memcmp(memo->prefix, p + f->head, memo->len) == 0)
        {
            break;
        }
    }

    if (i == NGX_MESH_MEMOS) {
        return NULL;
    }

    if (i) {
        ngx_memmove(&memos[1], &memos[0], i * sizeof(ngx_mesh_memo_t *));
        memos[0] = memo;
    }

    if (memo->entry->revision != ngx_mesh_live_revision()) {
        return NULL;
    }

    scratch = facts->scratch;
    scratch_end = facts->scratch_end;

    *facts = memo->facts;

    facts->scratch = scratch;
    facts->scratch_end = scratch_end;
    facts->known = (want & NGX_MESH_WANT_ATTACHMENTS) ? memo->known : NULL;
    facts->end = p + f->size;

    ngx_mesh_memo_shift(&facts->interface, (intptr_t) p);
    ngx_mesh_memo_shift(&facts->version, (intptr_t) p);
    ngx_mesh_memo_shift(&facts->method, (intptr_t) p);
    ngx_mesh_memo_shift(&facts->descriptor, (intptr_t) p);
    facts->args = p + (size_t) facts->args;

    if (want & NGX_MESH_WANT_ATTACHMENTS) {
        codec->facts(codec, p, f, want, facts);

        /* a later call of facts() may come when the memo is gone */

        facts->known = NULL;

        if (facts->attachments
            && (memo->known == NULL
                || (size_t) (facts->end - facts->attach) != memo->known->len)
            && memo->misses++ % NGX_MESH_MEMO_MISSES == 0)
        {
            ngx_mesh_memo_known(memo, facts);
        }

        if (facts->group.len != memo->entry->group.len
            || ngx_memcmp(facts->group.data, memo->entry->group.data,
                          facts->group.len) != 0)
        {
            /* another group, another entry */

            return NULL;
        }
    }

    memo->entry->refs++;

    return memo->entry;
}


void
ngx_mesh_memo_add(ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts)
{
    size_t            len;
    u_char           *method;
    ngx_mesh_memo_t  *memo, **memos;

    if (ngx_mesh_worker.memo_turn++ % NGX_MESH_MEMO_TURNS
        || !entry->cached || entry->poor || !facts->names || facts->generic
        || facts->damaged || facts->args == NULL || facts->descriptor.len == 0)
    {
        return;
    }

    method = facts->method.data + facts->method.len - 8;
    len = facts->args - p - f->head;

    /* strings that were put together elsewhere are not part of the frame */

    if (facts->interface.data < p || facts->interface.data > facts->args
        || method < p + f->head || method + 8 > facts->args
        || facts->descriptor.data < p || facts->descriptor.data > facts->args
        || (facts->version.len
            && (facts->version.data < p || facts->version.data > facts->args)))
    {
        return;
    }

    memo = ngx_calloc(sizeof(ngx_mesh_memo_t) + len, ngx_cycle->log);
    if (memo == NULL) {
        return;
    }

    memo->conf = entry->conf;
    memo->codec = entry->codec;
    memo->entry = entry;
    memo->serial = f->serial;
    memo->len = (uint32_t) len;
    memo->probe_at = (uint32_t) (method - p);
    memo->probe = ngx_mesh_memo_probe(method);
    ngx_memcpy(memo->prefix, p + f->head, len);

    memo->facts = *facts;
    memo->facts.attachments = 0;
    memo->facts.tried = 0;
    memo->facts.forced = 0;
    memo->facts.timeout = -1;
    memo->facts.classes = NULL;
    memo->facts.nclasses = 0;
    memo->facts.attach = NULL;
    ngx_str_null(&memo->facts.group);
    ngx_str_null(&memo->facts.app);

    ngx_mesh_memo_shift(&memo->facts.interface, - (intptr_t) p);
    ngx_mesh_memo_shift(&memo->facts.version, - (intptr_t) p);
    ngx_mesh_memo_shift(&memo->facts.method, - (intptr_t) p);
    ngx_mesh_memo_shift(&memo->facts.descriptor, - (intptr_t) p);
    memo->facts.args = (u_char *) (facts->args - p);

    entry->refs++;

    memos = ngx_mesh_worker.memos;

    if (memos[NGX_MESH_MEMOS - 1]) {
        ngx_mesh_memo_free(memos[NGX_MESH_MEMOS - 1]);
    }

    ngx_memmove(&memos[1], &memos[0],
                (NGX_MESH_MEMOS - 1) * sizeof(ngx_mesh_memo_t *));
    memos[0] = memo;
}


static void
ngx_mesh_memo_known(ngx_mesh_memo_t *memo, ngx_mesh_facts_t *facts)
{
    size_t             len;
    u_char            *p, *last;
    ngx_mesh_known_t  *known;

    p = facts->attach;
    last = facts->end;
    len = last - p;

    if (facts->damaged || facts->nclasses || len > NGX_MESH_ARGS_BUDGET
        || (facts->group.len
            && (facts->group.data < p || facts->group.data > last))
        || (facts->app.len && (facts->app.data < p || facts->app.data > last)))
    {
        return;
    }

    known = ngx_alloc(sizeof(ngx_mesh_known_t) + len, ngx_cycle->log);
    if (known == NULL) {
        return;
    }

    known->len = len;
    known->timeout = facts->timeout;
    known->group_len = (uint32_t) facts->group.len;
    known->group = known->group_len ? (uint32_t) (facts->group.data - p) : 0;
    known->app_len = (uint32_t) facts->app.len;
    known->app = known->app_len ? (uint32_t) (facts->app.data - p) : 0;
    ngx_memcpy(known->bytes, p, len);

    if (memo->known) {
        ngx_free(memo->known);
    }

    memo->known = known;
    memo->misses = 1;
}


/* the entry left the cache: nothing must lead to it any more */

void
ngx_mesh_memo_drop(ngx_mesh_entry_t *entry)
{
    ngx_uint_t         i, n;
    ngx_mesh_memo_t  **memos;

    memos = ngx_mesh_worker.memos;
    n = 0;

    for (i = 0; i < NGX_MESH_MEMOS; i++) {

        if (memos[i] && memos[i]->entry == entry) {
            ngx_mesh_memo_free(memos[i]);
            continue;
        }

        memos[n++] = memos[i];
    }

    while (n < NGX_MESH_MEMOS) {
        memos[n++] = NULL;
    }
}


static void
ngx_mesh_memo_free(ngx_mesh_memo_t *memo)
{
    if (memo->known) {
        ngx_free(memo->known);
    }

    ngx_mesh_route_release(memo->entry);
    ngx_free(memo);
}
