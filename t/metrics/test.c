
/*
 * Copyright (C) nginx-mesh authors
 *
 * What the tests share.
 */


#include "test.h"


void
test_zone(test_zone_t *zone, size_t size)
{
    void  *region;

    zone->shpool = stub_shared(sizeof(ngx_slab_pool_t));
    ngx_memzero(zone->shpool, sizeof(ngx_slab_pool_t));
    zone->shpool->mutex.lock = &zone->shpool->lock.lock;

    region = NULL;

    if (ngx_mesh_metrics_init_zone(zone->shpool, size, &region) != NGX_OK) {
        abort();
    }

    zone->region = region;
}


void
test_process(test_zone_t *zone, ngx_int_t slot)
{
    ngx_pid = getpid();
    ngx_process_slot = slot;

    if (ngx_mesh_metrics_init_process(zone->region, zone->shpool) != NGX_OK) {
        abort();
    }
}


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = s ? strlen(s) : 0;

    return str;
}


ngx_mesh_calls_t *
test_calls(const char *service, const char *method, ngx_uint_t status)
{
    ngx_str_t  s, m, protocol;

    s = test_str(service);
    m = test_str(method);
    protocol = test_str("dubbo");

    return ngx_mesh_metrics_calls(&s, &m, &protocol, status,
                                  NGX_MESH_RESULT_OK);
}


ngx_mesh_endpoint_stats_t *
test_endpoint(const char *name)
{
    ngx_str_t  s;

    s = test_str(name);

    return ngx_mesh_metrics_endpoint(&s);
}


void
test_error(const char *service, ngx_uint_t err)
{
    ngx_str_t  s;

    s = test_str(service);

    ngx_mesh_metrics_error(&s, err);
}


char *
test_text(void)
{
    char         *text;
    size_t        n;
    ngx_pool_t   *pool;
    ngx_chain_t  *cl;

    pool = ngx_create_pool(0, NULL);

    text = NULL;
    n = 0;

    for (cl = ngx_mesh_metrics_text(pool); cl; cl = cl->next) {
        text = realloc(text, n + (cl->buf->last - cl->buf->pos) + 1);
        n = (char *) ngx_cpymem(text + n, cl->buf->pos,
                                cl->buf->last - cl->buf->pos)
            - text;
        text[n] = '\0';
    }

    stub_free(pool);

    return text;
}


double
test_value(const char *sample)
{
    char    *text, *p;
    size_t   len;
    double   value;

    text = test_text();
    len = strlen(sample);
    value = -1;

    for (p = text; (p = strstr(p, sample)) != NULL; p++) {
        if ((p == text || p[-1] == '\n') && p[len] == ' ') {
            value = strtod(p + len + 1, NULL);
            break;
        }
    }

    free(text);

    return value;
}


double
test_sum(const char *begin, const char *part)
{
    char    *text, *p, *end, *found;
    double   sum;

    text = test_text();
    sum = 0;

    for (p = text; *p; p = end + 1) {
        end = strchr(p, '\n');
        *end = '\0';
        found = strstr(p, part);

        if (found && strncmp(p, begin, strlen(begin)) == 0) {
            sum += strtod(strrchr(p, ' ') + 1, NULL);
        }
    }

    free(text);

    return sum;
}


/*
 * Cells are walked as a scrape does it: each has to have a meaning of its own
 * and a way to it, and all of them have to end where the arena's use ends.
 */

const char *
test_sane(test_zone_t *zone)
{
    size_t                      at, len;
    u_char                     *p;
    ngx_uint_t                  i;
    ngx_mesh_metrics_key_t      key;
    ngx_mesh_metrics_cell_t    *cell;
    ngx_mesh_metrics_region_t  *region;

    region = zone->region;

    if (region->used > region->arena_size) {
        return "used beyond the arena";
    }

    for (at = 0; at < region->used; at += cell->size) {
        cell = ngx_mesh_metrics_cell(region, at);

        if (cell->kind >= NGX_MESH_METRICS_KINDS) {
            return "kind";
        }

        if (cell->size == 0 || cell->size % NGX_MESH_METRICS_LINE) {
            return "size";
        }

        p = ngx_mesh_metrics_labels(cell);
        len = p - (u_char *) cell;

        key.kind = cell->kind;
        key.status = cell->status;
        key.result = cell->result;

        for (i = 0; i < NGX_MESH_METRICS_LABELS; i++) {
            key.label[i].data = p;
            key.label[i].len = cell->len[i];
            p += cell->len[i];
            len += cell->len[i];
        }

        if (ngx_align(len, NGX_MESH_METRICS_LINE) != cell->size) {
            return "size of the labels";
        }

        ngx_mesh_metrics_hash(region, &key);

        if (key.hash != cell->hash) {
            return "hash";
        }

        if (ngx_mesh_metrics_find(region, &key) != cell) {
            return "not found, or there twice";
        }
    }

    if (at != region->used) {
        return "the last cell's end";
    }

    return NULL;
}
