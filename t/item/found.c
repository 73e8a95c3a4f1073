
/*
 * Copyright (C) nginx-mesh authors
 *
 * Items of what was found by registries: wants and answers.
 */


#include "unit.h"
#include "ngx_mesh_item.h"
#include "items.h"


static void
test_want(ngx_pool_t *pool)
{
    ngx_str_t              interface, registry;
    ngx_mesh_answer_t      answer;
    ngx_mesh_store_op_t    op;
    ngx_mesh_store_item_t  item;

    interface = str("a.B");

    ok(ngx_mesh_item_put_want(&op, &interface, pool) == NGX_OK
       && op.type == NGX_MESH_ITEM_WANT && is(&op.key, "a.B")
       && op.value.len && !op.remove, "a want");

    cut(&item, &op, op.value.len);
    ok(ngx_mesh_item_answer_read(&item, &interface, &registry, &answer)
       == NGX_DECLINED, "... is no answer");
    free(item.value.data);
}


static void
answered(ngx_pool_t *pool, ngx_mesh_answer_t *answer, const char *what)
{
    size_t                  len;
    ngx_str_t               interface, registry;
    ngx_uint_t              bad;
    ngx_mesh_answer_t       read;
    ngx_mesh_store_op_t     op;
    ngx_mesh_store_item_t   item;

    interface = str("a.B");
    registry = str("consul");

    (void) ngx_mesh_item_put_answer(&op, &interface, &registry, answer, pool);

    for (len = 0, bad = 0; len < op.value.len; len++) {
        cut(&item, &op, len);
        bad += ngx_mesh_item_answer_read(&item, &interface, &registry, &read)
               != NGX_DECLINED;
        free(item.value.data);
    }

    ok(bad == 0, "pieces of an answer are refused");

    ngx_str_null(&interface);
    ngx_str_null(&registry);

    cut(&item, &op, op.value.len);
    ok(ngx_mesh_item_answer_read(&item, &interface, &registry, &read) == NGX_OK
       && is(&interface, "a.B") && is(&registry, "consul")
       && read.time == answer->time && read.found == answer->found
       && read.held == answer->held && read.suspects == answer->suspects
       && read.known == answer->known && read.unknown == answer->unknown
       && read.reason.len == answer->reason.len
       && read.unmapped.len == answer->unmapped.len
       && read.unsupported.len == answer->unsupported.len
       && (read.reason.len == 0
           || memcmp(read.reason.data, answer->reason.data, read.reason.len)
              == 0),
       "%s", what);
    free(item.value.data);
}


static void
test_answers(ngx_pool_t *pool)
{
    ngx_str_t           interface, key;
    ngx_mesh_answer_t   answer;

    ngx_memzero(&answer, sizeof(answer));
    answered(pool, &answer, "an answer that is unknown yet");

    answer.time = 1234567890123ULL;
    answer.found = 5000;
    answer.held = 1234567890124ULL;
    answer.suspects = 4999;
    answer.known = 1;
    answer.unknown = 1;
    answer.reason = str("5000 became 1");
    answer.unmapped = str("application-level");
    answer.unsupported = str("condition routers");
    answered(pool, &answer, "an answer with everything");

    interface = str("a.B");
    (void) ngx_mesh_item_found_key(&key, &interface, NULL, pool);
    ok(is(&key, "a.B"), "key of a want");

    (void) ngx_mesh_item_found_key(&key, &interface, &interface, pool);
    ok(key.len == 7 && memcmp(key.data, "a.B\0a.B", 7) == 0,
       "key of an answer");
}


void
test_found(ngx_pool_t *pool)
{
    test_want(pool);
    test_answers(pool);
}
