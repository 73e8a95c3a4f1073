
/*
 * Copyright (C) nginx-mesh authors
 *
 * Fuzz target of the reader of HTTP answers: the first byte is how large the
 * pieces are, the second the limit of a body.  In pieces or at once, it is the
 * same answer.
 */


#include <stdint.h>
#include <stdlib.h>
#include "ngx_mesh_reply.h"


#define check(x)  if (!(x)) { abort(); }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static volatile ngx_cycle_t  cycle;
volatile ngx_cycle_t        *ngx_cycle = &cycle;


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size ? size : 1);
}


static ngx_int_t
feed(ngx_mesh_reply_t *r, const uint8_t *data, size_t size, size_t step,
    size_t *used)
{
    size_t      n, done;
    u_char     *p, *copy;
    ngx_int_t   rc;

    rc = NGX_AGAIN;
    *used = 0;

    for (done = 0; done < size && rc == NGX_AGAIN; done += n) {
        n = ngx_min(step, size - done);

        copy = malloc(n);
        memcpy(copy, data + done, n);
        p = copy;

        rc = ngx_mesh_reply_read(r, &p, copy + n);

        check(p >= copy && p <= copy + n);
        check(rc != NGX_AGAIN || p == copy + n);
        *used = done + (p - copy);

        free(copy);
    }

    if (rc == NGX_AGAIN) {
        rc = ngx_mesh_reply_end(r);
        check(rc == NGX_OK || rc == NGX_ERROR);
    }

    check((rc == NGX_ERROR) == (r->error != NULL));
    check(r->body.len <= r->max);
    check(rc != NGX_OK || !r->inflating);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             max, used[2];
    ngx_int_t          rc[2];
    ngx_str_t          value[2];
    ngx_mesh_reply_t   r[2];

    if (size < 2) {
        return 0;
    }

    max = (size_t) data[1] << (data[1] & 15);

    ngx_mesh_reply_init(&r[0], max);
    ngx_mesh_reply_init(&r[1], max);

    rc[0] = feed(&r[0], data + 2, size - 2, size, &used[0]);
    rc[1] = feed(&r[1], data + 2, size - 2, 1 + data[0], &used[1]);

    check(rc[0] == rc[1]);
    check(r[0].status == r[1].status);

    if (rc[0] == NGX_OK) {
        check(used[0] == used[1] && r[0].keepalive == r[1].keepalive);
        check(r[0].body.len == r[1].body.len);
        check(r[0].body.len == 0
              || memcmp(r[0].body.data, r[1].body.data, r[0].body.len) == 0);

        rc[0] = ngx_mesh_reply_header(&r[0], "x-consul-index", &value[0]);
        rc[1] = ngx_mesh_reply_header(&r[1], "x-consul-index", &value[1]);

        check(rc[0] == rc[1]);

        if (rc[0] == NGX_OK) {
            check(value[0].len == value[1].len);
            check(memcmp(value[0].data, value[1].data, value[0].len) == 0);
            (void) ngx_mesh_reply_is(&value[0], "close");
        }
    }

    ngx_mesh_reply_free(&r[0]);
    ngx_mesh_reply_free(&r[1]);

    return 0;
}
