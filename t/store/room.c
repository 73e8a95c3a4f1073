
/*
 * Copyright (C) nginx-mesh authors
 *
 * What is full, and what is to be had of it.
 */


#include "store.h"


static ngx_uint_t
small(ngx_uint_t i, ngx_uint_t from, ngx_uint_t n, ngx_uint_t dry)
{
    static u_char             keys[8192][64];
    ngx_uint_t                k;
    ngx_mesh_store_op_t       o[8192];
    ngx_mesh_store_result_t   result;

    ngx_memzero(o, sizeof(o));

    for (k = 0; k < n; k++) {
        o[k].type = 1;
        o[k].key.data = keys[k];
        o[k].key.len = sprintf((char *) keys[k], "%s.%u",
                               (from + k) % 3 ? "some" : "some.longer.name",
                               (unsigned) (from + k));
        ngx_str_set(&o[k].value, "a value that is not very short at all, so "
                                 "that it takes some units of the region");
        o[k].value.len -= (from + k) % 50;
        o[k].remove = !i;
    }

    return ngx_mesh_store_commit(&store, o, n, 0, dry, &result, &log_stub);
}


/* items until there is no room; a dry run says so before */

static ngx_uint_t
fill(ngx_uint_t *wrong)
{
    ngx_uint_t  n;

    for (n = 0; n < 8192; n++) {

        if (small(1, n, 1, 1) != NGX_MESH_STORE_OK) {
            *wrong += (small(1, n, 1, 0) != NGX_MESH_STORE_FULL);
            break;
        }

        *wrong += (small(1, n, 1, 0) != NGX_MESH_STORE_OK);
    }

    return n;
}


/* whatever is full can be emptied, in steps of any size, and filled again */

void
test_room(size_t size)
{
    uint64_t                  revision;
    ngx_uint_t                i, k, n, first, least, nitems, wrong;
    ngx_mesh_store_result_t   result;

    static ngx_uint_t         steps[] = { 1, 2, 7, 100, 1000, 8192 };

    start(size);
    wrong = 0;
    first = least = fill(&wrong);
    ngx_mesh_store_status(&store, &result, &nitems);
    ok(nitems == first && first < 8192 && result.free < size / 6,
       "full of %u items, %uk are left", (unsigned) first,
       (unsigned) result.free / 1024);

    for (i = 0, n = first; i < 6; i++) {

        for (k = 0; k < n; k += steps[i]) {
            wrong += (small(0, k, ngx_min(steps[i], n - k), i % 2)
                      != NGX_MESH_STORE_OK);

            if (i % 2) {
                wrong += (small(0, k, ngx_min(steps[i], n - k), 0)
                          != NGX_MESH_STORE_OK);
            }
        }

        ngx_mesh_store_status(&store, &result, &nitems);
        wrong += (nitems != 0);
        n = fill(&wrong);
        least = ngx_min(least, n);
    }

    ok(wrong == 0, "... emptied and filled again");
    ok(least > first - first / 20, "... with %u at least", (unsigned) least);

    revision = ngx_mesh_store_revision(&store);
    (void) small(1, n, 1, 0);
    ok(ngx_mesh_store_revision(&store) == revision, "... and full again");
}
