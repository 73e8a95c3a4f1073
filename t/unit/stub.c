
/*
 * Copyright (C) nginx-mesh authors
 *
 * Pools and arrays of nginx over plain malloc: every allocation is one that
 * the sanitizer knows, and pools that are never destroyed are leaks.
 */


#include "unit.h"


static ngx_cycle_t       stub_cycle;
volatile ngx_cycle_t    *ngx_cycle = &stub_cycle;

ngx_uint_t               stub_pools;
ngx_uint_t               stub_short;


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    if (stub_short && --stub_short == 0) {
        return NULL;
    }

    pool = calloc(1, sizeof(ngx_pool_t));

    if (pool) {
        pool->max = size ? size : NGX_DEFAULT_POOL_SIZE;
        stub_pools++;
    }

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t    *l, *next;
    ngx_pool_cleanup_t  *c;

    for (c = pool->cleanup; c; c = c->next) {
        if (c->handler) {
            c->handler(c->data);
        }
    }

    for (l = pool->large; l; l = next) {
        next = l->next;
        free(l->alloc);
        free(l);
    }

    free(pool);
    stub_pools--;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    ngx_pool_large_t  *l;

#if (STUB_BLOCKS)

    u_char  *p;

    /* where memory comes from counts: as pools of nginx give it */

    size = ngx_align(size, NGX_ALIGNMENT);
    p = pool->d.last;

    if (p && (size_t) (pool->d.end - p) >= size) {
        pool->d.last = p + size;
        return p;
    }

    if (size < pool->max) {
        pool->d.last = NULL;
        p = ngx_palloc(pool, pool->max);
        pool->d.last = p + size;
        pool->d.end = p + pool->max;
        return p;
    }

#endif

    if (stub_short && --stub_short == 0) {
        return NULL;
    }

    l = malloc(sizeof(ngx_pool_large_t));
    if (l == NULL) {
        return NULL;
    }

    l->alloc = malloc(size ? size : 1);
    l->next = pool->large;
    pool->large = l;

    return l->alloc;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    if (p) {
        ngx_memzero(p, size);
    }

    return p;
}


ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    ngx_pool_large_t  *l;

    for (l = pool->large; l; l = l->next) {

        if (l->alloc == p) {
            free(p);
            l->alloc = NULL;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size ? size : 1);
}


void *
ngx_array_push(ngx_array_t *a)
{
    void  *elts;

    if (a->nelts == a->nalloc) {
        elts = ngx_palloc(a->pool, 2 * a->nalloc * a->size);
        if (elts == NULL) {
            return NULL;
        }

        ngx_memcpy(elts, a->elts, a->nelts * a->size);
        a->elts = elts;
        a->nalloc *= 2;
    }

    return (u_char *) a->elts + a->nelts++ * a->size;
}
