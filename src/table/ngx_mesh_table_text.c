
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table_int.h"
#include "ngx_mesh_table_text.h"


/* items looked at in one go, while no call is served */
#define NGX_MESH_TABLE_TEXT_STEP   1024

/* a title, or a line without an owner's name, is shorter */
#define NGX_MESH_TABLE_TEXT_LINE   512

/* of an owner's name, which is escaped */
#define NGX_MESH_TABLE_TEXT_OWNER  256


#define NGX_MESH_TABLE_SERVING     0
#define NGX_MESH_TABLE_DRAINING    1
#define NGX_MESH_TABLE_DISABLED    2
#define NGX_MESH_TABLE_DOWN        3
#define NGX_MESH_TABLE_STATES      4


typedef struct {
    ngx_str_t                  name;
    ngx_uint_t                 n[NGX_MESH_TABLE_STATES];
} ngx_mesh_table_owner_t;


/*
 * Items are counted step by step, once for all who ask while the table stays
 * the same.  What changes during a count is counted before or after.
 */

typedef struct {
    ngx_pool_t                *pool;       /* of the owners */
    ngx_array_t                owners;     /* ngx_mesh_table_owner_t */
    ngx_uint_t                 n[NGX_MESH_ITEM_ROUTE + 1];

    ngx_pool_t                *step;       /* of "after" */
    ngx_str_t                  after;      /* the last key looked at */
    ngx_uint_t                 type;       /* being counted; 0: done */
    uint64_t                   revision;
    uint64_t                   epoch;
} ngx_mesh_table_count_t;


typedef struct ngx_mesh_table_family_s  ngx_mesh_table_family_t;

struct ngx_mesh_table_family_s {
    ngx_str_t                  name;
    ngx_str_t                  type;
    ngx_str_t                  help;

    u_char                  *(*write)(const ngx_mesh_table_family_t *f,
                                      u_char *p, ngx_mesh_store_t *store);
    ngx_uint_t                 index;
};


static ngx_int_t ngx_mesh_table_text_count(ngx_mesh_store_t *store);
static ngx_int_t ngx_mesh_table_text_start(ngx_mesh_store_t *store,
    uint64_t revision);
static ngx_int_t ngx_mesh_table_text_step(ngx_mesh_store_t *store,
    ngx_pool_t *pool);
static ngx_int_t ngx_mesh_table_text_endpoints(ngx_array_t *endpoints,
    ngx_array_t *overrides);
static ngx_uint_t ngx_mesh_table_text_state(ngx_mesh_store_item_t *item,
    ngx_mesh_store_item_t *laid, ngx_pool_t *pool);
static ngx_mesh_table_owner_t *ngx_mesh_table_text_owner(ngx_str_t *name);
static ngx_int_t ngx_mesh_table_text_rows(const ngx_mesh_table_family_t *f,
    ngx_mesh_table_cursor_t *cursor, ngx_buf_t *b);
static u_char *ngx_mesh_table_text_escape(u_char *p, ngx_str_t *s);
static u_char *ngx_mesh_table_text_revision(const ngx_mesh_table_family_t *f,
    u_char *p, ngx_mesh_store_t *store);
static u_char *ngx_mesh_table_text_bytes(const ngx_mesh_table_family_t *f,
    u_char *p, ngx_mesh_store_t *store);
static u_char *ngx_mesh_table_text_items(const ngx_mesh_table_family_t *f,
    u_char *p, ngx_mesh_store_t *store);
static u_char *ngx_mesh_table_text_commits(const ngx_mesh_table_family_t *f,
    u_char *p, ngx_mesh_store_t *store);
static u_char *ngx_mesh_table_text_refusals(const ngx_mesh_table_family_t *f,
    u_char *p, ngx_mesh_store_t *store);


static ngx_str_t  ngx_mesh_table_states[] = {
    ngx_string("serving"),
    ngx_string("draining"),
    ngx_string("disabled"),
    ngx_string("down")
};


static ngx_str_t  ngx_mesh_table_reasons[] = {
    ngx_string("conflict"),
    ngx_string("full"),
    ngx_string("invalid"),
    ngx_string("memory")
};


static const ngx_mesh_table_family_t  ngx_mesh_table_families[] = {

    { ngx_string("mesh_table_revision"),
      ngx_string("gauge"),
      ngx_string("Revision of the table in force."),
      ngx_mesh_table_text_revision, 0 },

    { ngx_string("mesh_table_bytes"),
      ngx_string("gauge"),
      ngx_string("Bytes of the zone that the table uses, and has left."),
      ngx_mesh_table_text_bytes, 0 },

    { ngx_string("mesh_table_commits_total"),
      ngx_string("counter"),
      ngx_string("Commits that changed the table."),
      ngx_mesh_table_text_commits, 0 },

    { ngx_string("mesh_table_refusals_total"),
      ngx_string("counter"),
      ngx_string("Commits that were refused as a whole."),
      ngx_mesh_table_text_refusals, 0 },

    { ngx_string("mesh_table_services"),
      ngx_string("gauge"),
      ngx_string("Services in the table."),
      ngx_mesh_table_text_items, NGX_MESH_ITEM_SERVICE },

    { ngx_string("mesh_table_overrides"),
      ngx_string("gauge"),
      ngx_string("Endpoints that an operator has laid something on."),
      ngx_mesh_table_text_items, NGX_MESH_ITEM_OVERRIDE },

    { ngx_string("mesh_table_routes"),
      ngx_string("gauge"),
      ngx_string("Routes in the table."),
      ngx_mesh_table_text_items, NGX_MESH_ITEM_ROUTE },

    { ngx_string("mesh_table_endpoints"),
      ngx_string("gauge"),
      ngx_string("Endpoints by who named them and what they are used for."),
      NULL, 0 }
};


#define NGX_MESH_TABLE_FAMILIES                                              \
    (sizeof(ngx_mesh_table_families) / sizeof(ngx_mesh_table_families[0]))


static ngx_mesh_table_count_t  ngx_mesh_table_count;


ngx_int_t
ngx_mesh_table_text_part(ngx_mesh_table_cursor_t *cursor, ngx_buf_t *b)
{
    ngx_int_t                       rc;
    ngx_mesh_store_t               *store;
    const ngx_mesh_table_family_t  *f;

    store = ngx_mesh_live();

    if (store == NULL) {
        return NGX_OK;
    }

    if (!cursor->counted) {
        rc = ngx_mesh_table_text_count(store);

        if (rc != NGX_OK) {
            return rc;
        }

        cursor->counted = 1;
    }

    while (cursor->family < NGX_MESH_TABLE_FAMILIES) {
        f = &ngx_mesh_table_families[cursor->family];

        if (cursor->row == 0) {

            if (b->end - b->last < 2 * NGX_MESH_TABLE_TEXT_LINE) {
                return NGX_AGAIN;
            }

            b->last = ngx_sprintf(b->last, "# HELP %V %V\n# TYPE %V %V\n",
                                  &f->name, &f->help, &f->name, &f->type);
        }

        if (f->write) {
            b->last = f->write(f, b->last, store);

        } else if (ngx_mesh_table_text_rows(f, cursor, b) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        cursor->row = 0;
        cursor->family++;
    }

    return NGX_OK;
}


/* NGX_AGAIN: one step was done, more are needed; NGX_ERROR: no memory */

static ngx_int_t
ngx_mesh_table_text_count(ngx_mesh_store_t *store)
{
    uint64_t                 revision;
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    ngx_mesh_table_count_t  *count;

    count = &ngx_mesh_table_count;
    revision = ngx_mesh_store_revision(store);

    if (count->type == 0) {

        if (count->pool && count->revision == revision
            && count->epoch == ngx_mesh_store_epoch(store))
        {
            return NGX_OK;
        }

        if (ngx_mesh_table_text_start(store, revision) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_table_text_step(store, pool);

    if (count->step) {
        ngx_destroy_pool(count->step);
        count->step = NULL;
    }

    /* the last key is in it */

    if (rc == NGX_AGAIN) {
        count->step = pool;

    } else {
        ngx_destroy_pool(pool);
    }

    if (rc != NGX_AGAIN) {
        count->type = 0;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_table_text_start(ngx_mesh_store_t *store, uint64_t revision)
{
    ngx_mesh_table_count_t  *count;

    count = &ngx_mesh_table_count;

    if (count->pool) {
        ngx_destroy_pool(count->pool);
    }

    ngx_memzero(count, sizeof(ngx_mesh_table_count_t));

    count->pool = ngx_create_pool(1024, ngx_cycle->log);

    if (count->pool == NULL
        || ngx_array_init(&count->owners, count->pool, 4,
                          sizeof(ngx_mesh_table_owner_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    count->type = NGX_MESH_ITEM_SERVICE;
    count->revision = revision;
    count->epoch = ngx_mesh_store_epoch(store);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_table_text_step(ngx_mesh_store_t *store, ngx_pool_t *pool)
{
    uint64_t                 revision;
    ngx_str_t                key, id, owner;
    ngx_uint_t               n;
    ngx_array_t              items, overrides;
    ngx_mesh_store_item_t   *item;
    ngx_mesh_store_query_t   queries[2];
    ngx_mesh_table_count_t  *count;

    count = &ngx_mesh_table_count;

    if (ngx_array_init(&items, pool, 64, sizeof(ngx_mesh_store_item_t))
        != NGX_OK
        || ngx_array_init(&overrides, pool, 4, sizeof(ngx_mesh_store_item_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(queries, sizeof(queries));

    queries[0].type = count->type;
    queries[0].after = count->after.len ? &count->after : NULL;
    queries[0].max = NGX_MESH_TABLE_TEXT_STEP;
    queries[0].items = &items;

    queries[1].type = NGX_MESH_ITEM_OVERRIDE;
    queries[1].items = &overrides;

    n = 1;

    if (count->type == NGX_MESH_ITEM_ENDPOINT) {

        /* from the service on that the last endpoint was of */

        if (count->after.len
            && ngx_mesh_item_split(&count->after, &key, &id, &owner) == NGX_OK)
        {
            queries[1].after = &key;
        }

        n = 2;
    }

    if (ngx_mesh_store_select(store, queries, n, NULL, pool, &revision)
        != NGX_OK
        || (n == 2
            && ngx_mesh_table_text_endpoints(&items, &overrides) != NGX_OK))
    {
        return NGX_ERROR;
    }

    count->n[count->type] += items.nelts;

    if (items.nelts == NGX_MESH_TABLE_TEXT_STEP) {
        item = items.elts;
        count->after = item[items.nelts - 1].key;
        return NGX_AGAIN;
    }

    ngx_str_null(&count->after);

    if (count->type == NGX_MESH_ITEM_ROUTE) {
        return NGX_OK;
    }

    count->type++;

    return ngx_mesh_table_text_step(store, pool);
}


/* both are in the order of their keys */

static ngx_int_t
ngx_mesh_table_text_endpoints(ngx_array_t *endpoints, ngx_array_t *overrides)
{
    ngx_int_t                rc;
    ngx_str_t                key, id, owner;
    ngx_uint_t               i, k;
    ngx_mesh_store_item_t   *item, *laid;
    ngx_mesh_table_owner_t  *row;

    item = endpoints->elts;
    laid = overrides->elts;

    for (i = 0, k = 0; i < endpoints->nelts; i++) {

        if (ngx_mesh_item_split(&item[i].key, &key, &id, &owner) != NGX_OK) {
            continue;
        }

        rc = 1;

        for ( /* void */ ; k < overrides->nelts; k++) {
            rc = ngx_memn2cmp(laid[k].key.data, item[i].key.data,
                              laid[k].key.len,
                              item[i].key.len - owner.len - 1);
            if (rc >= 0) {
                break;
            }
        }

        row = ngx_mesh_table_text_owner(&owner);
        if (row == NULL) {
            return NGX_ERROR;
        }

        row->n[ngx_mesh_table_text_state(&item[i],
                                         k < overrides->nelts && rc == 0
                                         ? &laid[k] : NULL,
                                         endpoints->pool)]++;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_table_text_state(ngx_mesh_store_item_t *item,
    ngx_mesh_store_item_t *laid, ngx_pool_t *pool)
{
    ngx_mesh_override_t  override;
    ngx_mesh_endpoint_t  ep;

    if (ngx_mesh_item_endpoint_read(item, &ep, pool) != NGX_OK) {
        return NGX_MESH_TABLE_DOWN;
    }

    if (laid && ngx_mesh_item_override_read(laid, &override) == NGX_OK) {

        if (override.disabled) {
            return NGX_MESH_TABLE_DISABLED;
        }

        if (override.drain) {
            return NGX_MESH_TABLE_DRAINING;
        }

        ep.weight = override.weighted ? override.weight : ep.weight;
    }

    if (ep.drain) {
        return NGX_MESH_TABLE_DRAINING;
    }

    return (ep.down || ep.weight == 0) ? NGX_MESH_TABLE_DOWN
                                       : NGX_MESH_TABLE_SERVING;
}


static ngx_mesh_table_owner_t *
ngx_mesh_table_text_owner(ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_mesh_table_owner_t  *row;
    ngx_mesh_table_count_t  *count;

    count = &ngx_mesh_table_count;
    row = count->owners.elts;

    for (i = 0; i < count->owners.nelts; i++) {
        if (ngx_mesh_equal(&row[i].name, name)) {
            return &row[i];
        }
    }

    row = ngx_array_push(&count->owners);
    if (row == NULL) {
        return NULL;
    }

    ngx_memzero(row, sizeof(ngx_mesh_table_owner_t));

    row->name.data = ngx_pstrdup(count->pool, name);
    if (row->name.data == NULL) {
        return NULL;
    }

    row->name.len = name->len;

    return row;
}


/* a state that no endpoint is in has a line too: it may be waited for */

static ngx_int_t
ngx_mesh_table_text_rows(const ngx_mesh_table_family_t *f,
    ngx_mesh_table_cursor_t *cursor, ngx_buf_t *b)
{
    ngx_uint_t               i;
    ngx_mesh_table_owner_t  *row;
    ngx_mesh_table_count_t  *count;

    count = &ngx_mesh_table_count;
    row = count->owners.elts;

    for ( /* void */ ; cursor->row < count->owners.nelts; cursor->row++) {

        if (b->end - b->last
            < NGX_MESH_TABLE_STATES
              * (NGX_MESH_TABLE_TEXT_LINE + 2 * NGX_MESH_TABLE_TEXT_OWNER))
        {
            return NGX_AGAIN;
        }

        for (i = 0; i < NGX_MESH_TABLE_STATES; i++) {
            b->last = ngx_sprintf(b->last, "%V{owner=\"", &f->name);
            b->last = ngx_mesh_table_text_escape(b->last,
                                                 &row[cursor->row].name);
            b->last = ngx_sprintf(b->last, "\",state=\"%V\"} %ui\n",
                                  &ngx_mesh_table_states[i],
                                  row[cursor->row].n[i]);
        }
    }

    return NGX_OK;
}


static u_char *
ngx_mesh_table_text_escape(u_char *p, ngx_str_t *s)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < s->len && i < NGX_MESH_TABLE_TEXT_OWNER; i++) {
        c = s->data[i];

        if (c < 0x20 || c > 0x7e) {
            *p++ = '?';
            continue;
        }

        if (c == '"' || c == '\\') {
            *p++ = '\\';
        }

        *p++ = c;
    }

    return p;
}


static u_char *
ngx_mesh_table_text_revision(const ngx_mesh_table_family_t *f, u_char *p,
    ngx_mesh_store_t *store)
{
    return ngx_sprintf(p, "%V %uL\n", &f->name,
                       ngx_mesh_store_revision(store));
}


static u_char *
ngx_mesh_table_text_bytes(const ngx_mesh_table_family_t *f, u_char *p,
    ngx_mesh_store_t *store)
{
    ngx_uint_t               nitems;
    ngx_mesh_store_result_t  result;

    ngx_mesh_store_status(store, &result, &nitems);

    return ngx_sprintf(p, "%V{state=\"used\"} %uz\n%V{state=\"free\"} %uz\n",
                       &f->name, ngx_mesh_store_size(store) - result.free,
                       &f->name, result.free);
}


static u_char *
ngx_mesh_table_text_items(const ngx_mesh_table_family_t *f, u_char *p,
    ngx_mesh_store_t *store)
{
    return ngx_sprintf(p, "%V %ui\n", &f->name,
                       ngx_mesh_table_count.n[f->index]);
}


static u_char *
ngx_mesh_table_text_commits(const ngx_mesh_table_family_t *f, u_char *p,
    ngx_mesh_store_t *store)
{
    return ngx_sprintf(p, "%V %uL\n", &f->name,
                       ngx_mesh_store_counted(store, NGX_MESH_STORE_OK));
}


static u_char *
ngx_mesh_table_text_refusals(const ngx_mesh_table_family_t *f, u_char *p,
    ngx_mesh_store_t *store)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(ngx_mesh_table_reasons) / sizeof(ngx_str_t); i++) {
        p = ngx_sprintf(p, "%V{reason=\"%V\"} %uL\n", &f->name,
                        &ngx_mesh_table_reasons[i],
                        ngx_mesh_store_counted(store,
                                               NGX_MESH_STORE_CONFLICT + i));
    }

    return p;
}
