
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_store_int.h"


/*
 * Removed items that are remembered, so that watchers hear of them; in a small
 * region less, for each takes a unit or two of so many.
 */

#define NGX_MESH_STORE_REMOVED       4096
#define NGX_MESH_STORE_SHARE         8

/* after so many commits of others in between, one is done under the lock */

#define NGX_MESH_STORE_TRIES         3

/* a commit while it is prepared, in memory of the process */

typedef struct {
    ngx_mesh_store_op_t         *ops;
    ngx_mesh_store_op_t        **sorted;
    ngx_uint_t                   n;
    uint64_t                     based;      /* revision it builds upon */
    uint32_t                     upon;       /* the same: its index */
    uint64_t                     revision;   /* it leads to */
    ngx_uint_t                   forget;     /* removed items leave nothing */

    uint32_t                    *index;      /* of all items, then */
    ngx_uint_t                   nitems;
    uint32_t                    *old;        /* records that go */
    ngx_uint_t                   nold;
    ngx_uint_t                   room;       /* of index and old */

    uint32_t                     units[NGX_MESH_STORE_RUNS];
    uint32_t                     first[NGX_MESH_STORE_RUNS];
    ngx_uint_t                   changes;
    ngx_uint_t                   removals;   /* of them */
    ngx_uint_t                   nremoved;
    uint64_t                     floor;
} ngx_mesh_store_change_t;


static ngx_uint_t ngx_mesh_store_check(ngx_mesh_store_change_t *ch,
    ngx_log_t *log);
static ngx_uint_t ngx_mesh_store_try(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch, uint64_t expect,
    ngx_mesh_store_reserved_t **r, ngx_mesh_store_result_t *result,
    ngx_log_t *log);
static void ngx_mesh_store_forget(ngx_mesh_store_head_t *h, ngx_log_t *log);
static void ngx_mesh_store_free(ngx_mesh_store_change_t *ch);
static ngx_uint_t ngx_mesh_store_merge(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch, uint64_t expect,
    ngx_mesh_store_result_t *result, ngx_log_t *log);
static ngx_int_t ngx_mesh_store_grow(ngx_mesh_store_change_t *ch,
    ngx_uint_t room, ngx_log_t *log);
static ngx_uint_t ngx_mesh_store_op(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch, ngx_mesh_store_op_t *op,
    ngx_mesh_store_record_t *old);
static void ngx_mesh_store_trim(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch);
static uint64_t ngx_mesh_store_half(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch);
static void ngx_mesh_store_write(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch);
static void ngx_mesh_store_swap(ngx_mesh_store_head_t *h,
    ngx_mesh_store_change_t *ch, ngx_mesh_store_reserved_t *r);


int ngx_libc_cdecl
ngx_mesh_store_op_order(const void *one, const void *two)
{
    ngx_mesh_store_op_t  *a, *b;

    a = *(ngx_mesh_store_op_t **) one;
    b = *(ngx_mesh_store_op_t **) two;

    return (int) ngx_mesh_store_order(a->type, &a->key, b->type, &b->key);
}


static ngx_uint_t
ngx_mesh_store_check(ngx_mesh_store_change_t *ch, ngx_log_t *log)
{
    ngx_uint_t           i;
    ngx_mesh_store_op_t *op;

    ch->sorted = ngx_alloc((ch->n + 1) * sizeof(ngx_mesh_store_op_t *), log);
    if (ch->sorted == NULL) {
        return NGX_MESH_STORE_NOMEM;
    }

    for (i = 0; i < ch->n; i++) {
        op = &ch->ops[i];
        ch->sorted[i] = op;

        if (op->key.len > NGX_MESH_STORE_KEY_MAX || op->type > 255
            || op->value.len > 0x7fffffff)
        {
            return NGX_MESH_STORE_INVALID;
        }
    }

    ngx_qsort(ch->sorted, (size_t) ch->n, sizeof(ngx_mesh_store_op_t *),
              ngx_mesh_store_op_order);

    for (i = 1; i < ch->n; i++) {
        if (ngx_mesh_store_op_order(&ch->sorted[i - 1], &ch->sorted[i]) == 0) {
            return NGX_MESH_STORE_INVALID;
        }
    }

    return NGX_MESH_STORE_OK;
}


ngx_uint_t
ngx_mesh_store_commit(ngx_mesh_store_t *store, ngx_mesh_store_op_t *ops,
    ngx_uint_t n, uint64_t expect, ngx_uint_t dry,
    ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    ngx_uint_t                  rc, tries;
    ngx_mesh_store_head_t      *h;
    ngx_mesh_store_change_t     ch;
    ngx_mesh_store_reserved_t  *r;

    h = store->head;

    ngx_memzero(result, sizeof(ngx_mesh_store_result_t));
    ngx_memzero(&ch, sizeof(ngx_mesh_store_change_t));

    ch.ops = ops;
    ch.n = n;

    rc = ngx_mesh_store_check(&ch, log);

    for (tries = 0; rc == NGX_MESH_STORE_OK; tries++) {

        ngx_mesh_store_enter(store);

        rc = ngx_mesh_store_try(h, &ch, expect, &r, result, log);

        if (rc != NGX_MESH_STORE_OK) {
            store->unlock(store->data);
            break;
        }

        if (dry) {
            ngx_mesh_store_release(h, r);
            store->unlock(store->data);
            break;
        }

        if (tries < NGX_MESH_STORE_TRIES && r != h->reserved) {

            /* long copies are made while others may read and write */

            store->unlock(store->data);
            ngx_mesh_store_write(h, &ch);
            ngx_mesh_store_enter(store);

            if (h->roots[h->current].revision != ch.based
                || h->roots[h->current].index != ch.upon)
            {
                ngx_mesh_store_release(h, r);
                store->unlock(store->data);
                continue;
            }

        } else {
            ngx_mesh_store_write(h, &ch);
        }

        ngx_mesh_store_swap(h, &ch, r);

        result->revision = h->revision;
        result->floor = ch.floor;
        store->unlock(store->data);
        break;
    }

    ngx_mesh_store_free(&ch);

    if (!dry) {
        (void) ngx_atomic_fetch_add(&h->counted[rc], 1);
    }

    return rc;
}


/*
 * Merges and reserves.  Without room what is known of removed items goes
 * first, and those that this commit removes leave nothing either: who frees
 * room needs none but for an index, of which there is always one more.
 */

static ngx_uint_t
ngx_mesh_store_try(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch,
    uint64_t expect, ngx_mesh_store_reserved_t **r,
    ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    ngx_uint_t  rc;

    for ( ;; ) {
        rc = ngx_mesh_store_merge(h, ch, expect, result, log);

        if (rc != NGX_MESH_STORE_OK) {
            return rc;
        }

        *r = ngx_mesh_store_reserve(h, ch->units, ch->changes > ch->removals,
                                    result);
        if (*r) {
            ngx_memcpy(ch->first, (*r)->first, sizeof(ch->first));
            return NGX_MESH_STORE_OK;
        }

        if (ch->forget
            || (ch->removals == 0 && h->roots[h->current].nremoved == 0))
        {
            return NGX_MESH_STORE_FULL;
        }

        ngx_mesh_store_forget(h, log);
        ch->forget = 1;
    }
}


/* with the lock held: removed items are gone, the revision is the same */

static void
ngx_mesh_store_forget(ngx_mesh_store_head_t *h, ngx_log_t *log)
{
    ngx_mesh_store_change_t     ch;
    ngx_mesh_store_result_t     result;
    ngx_mesh_store_reserved_t  *r;

    if (h->roots[h->current].nremoved == 0) {
        return;
    }

    ngx_memzero(&ch, sizeof(ngx_mesh_store_change_t));

    ch.forget = 1;

    if (ngx_mesh_store_merge(h, &ch, 0, &result, log) == NGX_MESH_STORE_OK) {

        r = ngx_mesh_store_reserve(h, ch.units, 0, &result);

        if (r) {
            ngx_memcpy(ch.first, r->first, sizeof(ch.first));
            ngx_mesh_store_write(h, &ch);
            ngx_mesh_store_swap(h, &ch, r);
        }
    }

    ngx_mesh_store_free(&ch);
}


static void
ngx_mesh_store_free(ngx_mesh_store_change_t *ch)
{
    if (ch->sorted) {
        ngx_free(ch->sorted);
    }

    if (ch->index) {
        ngx_free(ch->index);
        ngx_free(ch->old);
    }
}


static ngx_int_t
ngx_mesh_store_grow(ngx_mesh_store_change_t *ch, ngx_uint_t room,
    ngx_log_t *log)
{
    if (ch->room >= room && ch->index) {
        return NGX_OK;
    }

    if (ch->index) {
        ngx_free(ch->index);
        ngx_free(ch->old);
        ch->index = NULL;
    }

    ch->index = ngx_alloc((room + 1) * sizeof(uint32_t), log);
    ch->old = ngx_alloc((room + 1) * sizeof(uint32_t), log);

    if (ch->index == NULL || ch->old == NULL) {

        if (ch->index) {
            ngx_free(ch->index);
            ch->index = NULL;
        }

        return NGX_ERROR;
    }

    ch->room = room;

    return NGX_OK;
}


/* the new index: of the old one, and of ops where they change something */

static ngx_uint_t
ngx_mesh_store_merge(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch,
    uint64_t expect, ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    uint32_t                 *index;
    ngx_int_t                 found;
    ngx_uint_t                i, at, next, rc, most;
    ngx_mesh_store_op_t      *op;
    ngx_mesh_store_root_t    *root;
    ngx_mesh_store_record_t  *old;

    root = &h->roots[h->current];
    index = ngx_mesh_store_index(h, root);

    result->revision = root->revision;
    result->floor = root->floor;
    result->failed = ch->n;

    if (expect && expect != root->revision) {
        return NGX_MESH_STORE_CONFLICT;
    }

    /* the lock is held, but this is never more than some hundred kilobytes */

    if (ngx_mesh_store_grow(ch, root->nitems + ch->n, log) != NGX_OK) {
        return NGX_MESH_STORE_NOMEM;
    }

    ch->based = root->revision;
    ch->upon = root->index;
    ch->revision = ch->based + (ch->n ? 1 : 0);
    ch->floor = root->floor;
    ch->nremoved = root->nremoved;
    ch->nitems = 0;
    ch->nold = 0;
    ch->units[NGX_MESH_STORE_RECORDS] = 0;
    ch->changes = 0;
    ch->removals = 0;
    at = 0;

    for (i = 0; i < ch->n; i++) {
        op = ch->sorted[i];

        found = ngx_mesh_store_position(h, index + at, root->nitems - at,
                                        op->type, &op->key, &next);
        next += at;

        ngx_memcpy(ch->index + ch->nitems, index + at,
                   (next - at) * sizeof(uint32_t));
        ch->nitems += next - at;

        old = NULL;
        at = next;

        if (found == NGX_OK) {
            old = ngx_mesh_store_record(h, index[at]);
        }

        rc = ngx_mesh_store_op(h, ch, op, old);

        if (rc == NGX_MESH_STORE_CONFLICT) {
            result->failed = op - ch->ops;
            return rc;
        }

        if (rc == NGX_MESH_STORE_SAME) {
            continue;
        }

        if (!op->remove || !ch->forget) {
            ch->index[ch->nitems++] = NGX_MESH_STORE_NEW | (uint32_t) i;
        }

        if (old) {
            ch->old[ch->nold++] = index[at++];
        }
    }

    ngx_memcpy(ch->index + ch->nitems, index + at,
               (root->nitems - at) * sizeof(uint32_t));
    ch->nitems += root->nitems - at;

    if (ch->changes == 0 && (ch->n || !ch->forget)) {
        return NGX_MESH_STORE_SAME;
    }

    most = ngx_min(NGX_MESH_STORE_REMOVED, h->nunits / NGX_MESH_STORE_SHARE);

    if (ch->forget || ch->nremoved > most) {
        ngx_mesh_store_trim(h, ch);
    }

    ch->units[NGX_MESH_STORE_INDEX] =
                   ngx_mesh_store_units(ch->nitems * sizeof(uint32_t) + 1);

    return NGX_MESH_STORE_OK;
}


/* NGX_MESH_STORE_OK: there will be a new record; _SAME: there need not */

static ngx_uint_t
ngx_mesh_store_op(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch,
    ngx_mesh_store_op_t *op, ngx_mesh_store_record_t *old)
{
    ngx_uint_t  exists;

    exists = (old && !old->removed);

    if ((op->create && exists)
        || (op->expect && (!exists || old->modified != op->expect)))
    {
        return NGX_MESH_STORE_CONFLICT;
    }

    op->changed = 0;
    op->revision = old ? old->modified : 0;

    if (op->remove ? !exists
                   : (exists && old->value == op->value.len
                      && (op->created == 0 || op->created == old->created)
                      && ngx_memcmp(ngx_mesh_store_value_of(old),
                                    op->value.data, op->value.len) == 0))
    {
        return NGX_MESH_STORE_SAME;
    }

    op->changed = 1;
    op->revision = ch->revision;
    ch->changes++;

    if (op->remove) {
        ch->removals++;

        if (ch->forget) {
            return NGX_MESH_STORE_OK;
        }

        ch->nremoved++;
    }

    if (old && old->removed) {
        ch->nremoved--;
    }

    ch->units[NGX_MESH_STORE_RECORDS] +=
        ngx_mesh_store_record_units(op->key.len,
                                    op->remove ? 0 : op->value.len);

    return NGX_MESH_STORE_OK;
}


/* forgets removed items, all or the half that went first */

static void
ngx_mesh_store_trim(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch)
{
    ngx_uint_t                i, n;
    ngx_mesh_store_record_t  *r;

    ch->floor = ch->forget ? ch->revision : ngx_mesh_store_half(h, ch);

    for (i = 0, n = 0; i < ch->nitems; i++) {

        if (!(ch->index[i] & NGX_MESH_STORE_NEW)) {
            r = ngx_mesh_store_record(h, ch->index[i]);

            if (r->removed && r->modified <= ch->floor) {
                ch->old[ch->nold++] = ch->index[i];
                ch->nremoved--;
                continue;
            }
        }

        ch->index[n++] = ch->index[i];
    }

    ch->nitems = n;
}


/* the first revision until which at least half of the most were removed */

static uint64_t
ngx_mesh_store_half(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch)
{
    uint64_t                  low, high, middle;
    ngx_uint_t                i, n;
    ngx_mesh_store_record_t  *r;

    low = ch->floor;
    high = ch->based;

    while (low < high) {
        middle = low + (high - low) / 2;
        n = 0;

        for (i = 0; i < ch->nitems; i++) {
            if (ch->index[i] & NGX_MESH_STORE_NEW) {
                continue;
            }

            r = ngx_mesh_store_record(h, ch->index[i]);
            n += (r->removed && r->modified <= middle);
        }

        if (n < ch->nremoved / 2) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


/* index and records into the reserved units; nobody looks there yet */

static void
ngx_mesh_store_write(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch)
{
    u_char                   *p;
    uint32_t                  unit, *index;
    ngx_uint_t                i;
    ngx_mesh_store_op_t      *op;
    ngx_mesh_store_record_t  *r;

    index = (uint32_t *) ngx_mesh_store_unit(h,
                                           ch->first[NGX_MESH_STORE_INDEX]);
    unit = ch->first[NGX_MESH_STORE_RECORDS];

    for (i = 0; i < ch->nitems; i++) {

        if (!(ch->index[i] & NGX_MESH_STORE_NEW)) {
            index[i] = ch->index[i];
            continue;
        }

        op = ch->sorted[ch->index[i] & ~NGX_MESH_STORE_NEW];

        r = ngx_mesh_store_record(h, unit);

        r->created = op->created ? op->created : op->revision;
        r->modified = op->modified ? op->modified : op->revision;
        r->value = op->remove ? 0 : (uint32_t) op->value.len;
        r->key = (uint16_t) op->key.len;
        r->type = (uint8_t) op->type;
        r->removed = (uint8_t) op->remove;

        p = ngx_mesh_store_value_of(r);

        if (r->value) {
            p = ngx_cpymem(p, op->value.data, op->value.len);
        }

        ngx_memcpy(p, op->key.data, op->key.len);

        index[i] = unit;
        unit += ngx_mesh_store_record_units(r->key, r->value);
    }
}


static void
ngx_mesh_store_swap(ngx_mesh_store_head_t *h, ngx_mesh_store_change_t *ch,
    ngx_mesh_store_reserved_t *r)
{
    uint32_t                  next;
    ngx_uint_t                i, position;
    ngx_str_t                 key;
    ngx_mesh_store_root_t    *root, *old;
    ngx_mesh_store_record_t  *gone, *now;

    next = 1 - h->current;
    old = &h->roots[h->current];
    root = &h->roots[next];

    root->revision = ch->revision;
    root->floor = ch->floor;
    root->index = ch->first[NGX_MESH_STORE_INDEX];
    root->units = ch->units[NGX_MESH_STORE_INDEX];
    root->nitems = (uint32_t) ch->nitems;
    root->nremoved = (uint32_t) ch->nremoved;

    /* an item that is changed was created when it was, if nobody knows better:
       routes of a revision that comes back are in the order of then */

    for (i = 0; i < ch->nold; i++) {
        gone = ngx_mesh_store_record(h, ch->old[i]);

        key.data = ngx_mesh_store_key_of(gone);
        key.len = gone->key;

        if (!gone->removed
            && ngx_mesh_store_position(h, ngx_mesh_store_index(h, root),
                                       root->nitems, gone->type, &key,
                                       &position)
               == NGX_OK)
        {
            now = ngx_mesh_store_record(h,
                              ngx_mesh_store_index(h, root)[position]);

            if (now->created == root->revision) {
                now->created = gone->created;
            }
        }
    }

    h->changing = ngx_pid;
    ngx_memory_barrier();

    h->current = next;

    ngx_memory_barrier();

    h->revision = root->revision;

    /* nobody reads without the lock, so what is old can go */

    ngx_mesh_store_clear(h, old->index, old->units);

    for (i = 0; i < ch->nold; i++) {
        gone = ngx_mesh_store_record(h, ch->old[i]);
        ngx_mesh_store_clear(h, ch->old[i],
                             ngx_mesh_store_record_units(gone->key,
                                                         gone->value));
    }

    r->pid = 0;

    ngx_memory_barrier();
    h->changing = 0;
}
