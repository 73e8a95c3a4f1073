
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_guard.h"


/*
 * A set that becomes empty, or much smaller at once, is more often a registry
 * that lost its memory than a fleet that left.  What it misses stays in use,
 * each endpoint for a time of its own, until an answer that is worth something
 * says so again; passive health decides meanwhile.
 */


typedef struct {
    ngx_uint_t                 had;
    ngx_uint_t                 left;
    ngx_uint_t                 gone;
} ngx_mesh_guard_sum_t;


static void ngx_mesh_guard_sum(ngx_mesh_guard_entry_t *entries, ngx_uint_t n,
    ngx_mesh_guard_sum_t *sum);
static ngx_uint_t ngx_mesh_guard_shrinks(ngx_mesh_guard_t *guard,
    ngx_mesh_guard_sum_t *sum);
static ngx_uint_t ngx_mesh_guard_releases(ngx_mesh_guard_t *guard,
    ngx_mesh_guard_entry_t *entry, ngx_uint_t left);


void
ngx_mesh_guard(ngx_mesh_guard_t *guard, ngx_mesh_guard_entry_t *entries,
    ngx_uint_t n)
{
    ngx_uint_t            i, last, all;
    ngx_mesh_guard_sum_t  total, sum;

    guard->held = 0;
    guard->had = 0;
    guard->again = guard->hold;

    ngx_mesh_guard_sum(entries, n, &total);
    all = ngx_mesh_guard_shrinks(guard, &total);

    for (i = 0; i < n; i = last) {

        for (last = i + 1;
             last < n && entries[last].service == entries[i].service;
             last++)
        {
            /* void */
        }

        ngx_mesh_guard_sum(&entries[i], last - i, &sum);

        if (sum.gone && (all || ngx_mesh_guard_shrinks(guard, &sum))) {
            guard->had += sum.had;

            for ( /* void */ ; i < last; i++) {
                entries[i].held = entries[i].serves && !entries[i].said
                                  && !entries[i].exempt
                                  && !ngx_mesh_guard_releases(guard,
                                                              &entries[i],
                                                              sum.left);
                guard->held += entries[i].held;
            }

            continue;
        }

        for ( /* void */ ; i < last; i++) {
            entries[i].held = 0;
        }
    }

    guard->again = ngx_max(guard->again, 1);
}


static void
ngx_mesh_guard_sum(ngx_mesh_guard_entry_t *entries, ngx_uint_t n,
    ngx_mesh_guard_sum_t *sum)
{
    ngx_uint_t  i;

    ngx_memzero(sum, sizeof(ngx_mesh_guard_sum_t));

    for (i = 0; i < n; i++) {

        if (entries[i].exempt) {
            continue;
        }

        sum->had += entries[i].serves;
        sum->left += entries[i].said;
        sum->gone += (entries[i].serves && !entries[i].said);
    }
}


/* others may have come in the place of those that are gone */

static ngx_uint_t
ngx_mesh_guard_shrinks(ngx_mesh_guard_t *guard, ngx_mesh_guard_sum_t *sum)
{
    if (guard->percent >= 100 || guard->forced || sum->gone == 0) {
        return 0;
    }

    if (sum->left == 0) {
        return 1;
    }

    return sum->left < sum->had && sum->had >= guard->min
           && (sum->had - sum->left) * 100 > sum->had * guard->percent;
}


static ngx_uint_t
ngx_mesh_guard_releases(ngx_mesh_guard_t *guard,
    ngx_mesh_guard_entry_t *entry, ngx_uint_t left)
{
    ngx_msec_t  passed, enough;

    if (!entry->suspect) {
        entry->since = guard->now;
        passed = 0;

    } else {
        passed = guard->now - entry->since;
    }

    /* an empty answer is no witness for another one */

    enough = left ? guard->hold / 3 : guard->hold;

    if (entry->suspect
        && (passed >= enough || (left && guard->independent)))
    {
        return 1;
    }

    /* never more than is waited for: a hold of 0 needs a second answer, too */

    enough = enough > passed ? enough - passed : 0;
    guard->again = ngx_min(guard->again, enough);

    return 0;
}
