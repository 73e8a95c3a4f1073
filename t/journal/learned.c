
/*
 * Copyright (C) nginx-mesh authors
 *
 * A journal of what a registry said, of any size.
 */


#include "unit.h"
#include "ngx_mesh_journal.h"
#include "ngx_mesh_operator.h"
#include "learned.h"


static ngx_log_t  learned_log;


static void
item_of(ngx_mesh_store_item_t *item, ngx_mesh_store_op_t *op)
{
    ngx_memzero(item, sizeof(ngx_mesh_store_item_t));

    item->type = op->type;
    item->key = op->key;
    item->value = op->value;
    item->created = 1;
    item->modified = 1;
}


static void
endpoint_of(ngx_mesh_endpoint_t *ep, ngx_str_t *owner, ngx_uint_t i,
    ngx_uint_t k, ngx_pool_t *pool)
{
    char                 *id;

    static ngx_keyval_t   labels[3];

    labels[0].key = str("application");
    labels[0].value = str("order-service");
    labels[1].key = str("side");
    labels[1].value = str("provider");
    labels[2].key = str("v");
    labels[2].value = str("2.1");

    id = ngx_palloc(pool, 32);
    (void) snprintf(id, 32, "10.%lu.%lu.%lu:20880",
                    (unsigned long) (i / 250 % 250),
                    (unsigned long) (i % 250), (unsigned long) k % 250);

    ngx_memzero(ep, sizeof(ngx_mesh_endpoint_t));

    ep->id = str(id);
    ep->name = ep->id;
    ep->owner = *owner;
    ep->protocol = str("dubbo");
    ep->weight = NGX_MESH_DEFAULT_WEIGHT;
    ep->max_fails = NGX_MESH_DEFAULT_MAX_FAILS;
    ep->fail_timeout = NGX_MESH_DEFAULT_FAIL_TIMEOUT;
    ep->labels = labels;
    ep->nlabels = 3;
}


static ngx_uint_t
service_of(ngx_mesh_store_item_t *items, ngx_str_t *owner, ngx_uint_t i,
    ngx_uint_t endpoints, ngx_pool_t *pool)
{
    char                  *name;
    ngx_str_t              interface;
    ngx_uint_t             k, n;
    ngx_mesh_answer_t      answer;
    ngx_mesh_service_t     service;
    ngx_mesh_store_op_t    op;
    ngx_mesh_endpoint_t    ep;

    name = ngx_palloc(pool, 64);
    (void) snprintf(name, 64, "com.example.bulk.Service%lu",
                    (unsigned long) i);
    interface = str(name);

    ngx_memzero(&service, sizeof(ngx_mesh_service_t));
    (void) ngx_mesh_table_parse_key(&interface, &service);
    service.owner = *owner;

    n = 0;

    (void) ngx_mesh_item_put_service(&op, &service, pool);
    item_of(&items[n++], &op);

    for (k = 0; k < endpoints; k++) {
        endpoint_of(&ep, owner, i, k, pool);
        (void) ngx_mesh_item_put_endpoint(&op, &service, &ep, pool);
        item_of(&items[n++], &op);
    }

    ngx_memzero(&answer, sizeof(ngx_mesh_answer_t));
    answer.known = 1;
    answer.found = endpoints;
    answer.time = 1700000000000ULL;

    (void) ngx_mesh_item_put_answer(&op, &interface, owner, &answer, pool);
    item_of(&items[n++], &op);

    return n;
}


int
write_learned(char **argv)
{
    int                         dir;
    ngx_err_t                   err;
    ngx_str_t                   none, owner;
    ngx_uint_t                  i, n, services, endpoints;
    ngx_pool_t                 *pool;
    ngx_mesh_store_item_t      *items;
    ngx_mesh_journal_header_t   header;

    owner = str(argv[3]);
    services = strtoul(argv[4], NULL, 10);
    endpoints = strtoul(argv[5], NULL, 10);

    pool = ngx_create_pool(1024, &learned_log);
    items = ngx_palloc(pool, services * (endpoints + 2)
                             * sizeof(ngx_mesh_store_item_t));

    for (i = 0, n = 0; i < services; i++) {
        n += service_of(&items[n], &owner, i, endpoints, pool);
    }

    ngx_memzero(&header, sizeof(ngx_mesh_journal_header_t));

    header.sequence = 1;
    header.epoch = 4711;
    header.revision = 100;
    header.layout = NGX_MESH_OPERATOR_LAYOUT;

    dir = open(argv[2], O_RDONLY|O_DIRECTORY);
    ngx_str_null(&none);

    i = ngx_mesh_journal_write(dir, &header, &none, &none, items, n, NULL,
                               &err, &learned_log)
        != NGX_OK;

    (void) close(dir);
    ngx_destroy_pool(pool);

    return (int) i;
}
