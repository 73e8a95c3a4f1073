
/*
 * Copyright (C) nginx-mesh authors
 *
 * What the metrics need of nginx.  Memory of pools is malloc's, and shared
 * memory has a page at both ends that may not be touched.
 */


#include <sys/mman.h>

#include "test.h"


static ngx_log_t       stub_log;
static ngx_cycle_t     stub_cycle;
static ngx_pool_t     *stub_made;

volatile ngx_cycle_t  *ngx_cycle = &stub_cycle;

ngx_pid_t              ngx_pid;
ngx_int_t              ngx_process_slot;
ngx_uint_t             ngx_pagesize = 4096;

ngx_uint_t             stub_locks;
ngx_uint_t             stub_allocs;
ngx_uint_t             stub_warnings;
ngx_uint_t             stub_no_slab;


ngx_str_t *
ngx_mesh_codec_error_name(ngx_uint_t err)
{
    static ngx_str_t  name;
    static u_char     buf[16];

    name.data = buf;
    name.len = sprintf((char *) buf, "error_%d", (int) err);

    return &name;
}


void *
stub_shared(size_t size)
{
    u_char  *p;

    size = ngx_align(size, ngx_pagesize);

    p = mmap(NULL, size + 2 * ngx_pagesize, PROT_NONE,
             MAP_ANON|MAP_SHARED, -1, 0);

    if (p == MAP_FAILED
        || mprotect(p + ngx_pagesize, size, PROT_READ|PROT_WRITE) == -1)
    {
        abort();
    }

    /* nobody may rely on zeroes */

    memset(p + ngx_pagesize, 0xa5, size);

    return p + ngx_pagesize;
}


void *
ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
    return stub_no_slab ? NULL : stub_shared(size);
}


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    stub_locks++;

    while (!ngx_atomic_cmp_set(mtx->lock, 0, ngx_pid)) {
        sched_yield();
    }
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    if (!ngx_atomic_cmp_set(mtx->lock, ngx_pid, 0)) {
        abort();
    }
}


void
stub_unlock(ngx_slab_pool_t *shpool, ngx_pid_t pid)
{
    (void) ngx_atomic_cmp_set(shpool->mutex.lock, pid, 0);
}


/* pools of processes are never destroyed, here they stay reachable */

ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    pool = calloc(1, sizeof(ngx_pool_t));

    if (pool) {
        pool->d.next = stub_made;
        stub_made = pool;
    }

    return pool;
}


void
stub_free(ngx_pool_t *pool)
{
    ngx_pool_large_t  *l, *next;

    /* of those the last made is the first to go */

    if (pool != stub_made) {
        abort();
    }

    for (l = pool->large; l; l = next) {
        next = l->next;
        free(l->alloc);
        free(l);
    }

    stub_made = pool->d.next;
    free(pool);
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    ngx_pool_large_t  *l;

    stub_allocs++;

    l = malloc(sizeof(ngx_pool_large_t));
    if (l == NULL) {
        return NULL;
    }

    l->alloc = malloc(size);
    l->next = pool->large;
    pool->large = l;

    return l->alloc;
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


ngx_chain_t *
ngx_alloc_chain_link(ngx_pool_t *pool)
{
    return ngx_palloc(pool, sizeof(ngx_chain_t));
}


ngx_buf_t *
ngx_create_temp_buf(ngx_pool_t *pool, size_t size)
{
    ngx_buf_t  *b;

    b = ngx_pcalloc(pool, sizeof(ngx_buf_t));
    if (b == NULL) {
        return NULL;
    }

    b->start = ngx_palloc(pool, size);
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + size;

    return b;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    stub_warnings++;
}


/* of the formats only those that the metrics use */

u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list     args;
    ngx_str_t  *v;

    va_start(args, fmt);

    while (*fmt) {

        if (*fmt != '%') {
            *buf++ = *fmt++;

        } else if (strncmp(fmt, "%V", 2) == 0) {
            v = va_arg(args, ngx_str_t *);
            buf = ngx_cpymem(buf, v->data, v->len);
            fmt += 2;

        } else if (strncmp(fmt, "%uL", 3) == 0) {
            buf += sprintf((char *) buf, "%llu",
                           (unsigned long long) va_arg(args, uint64_t));
            fmt += 3;

        } else if (strncmp(fmt, "%06uL", 5) == 0) {
            buf += sprintf((char *) buf, "%06llu",
                           (unsigned long long) va_arg(args, uint64_t));
            fmt += 5;

        } else if (strncmp(fmt, "%L", 2) == 0) {
            buf += sprintf((char *) buf, "%lld",
                           (long long) va_arg(args, int64_t));
            fmt += 2;

        } else if (strncmp(fmt, "%uD", 3) == 0) {
            buf += sprintf((char *) buf, "%u", va_arg(args, uint32_t));
            fmt += 3;

        } else {
            abort();
        }
    }

    va_end(args);

    return buf;
}


static void stub_init(void) __attribute__((constructor));


/* ngx_log_error() looks at the level first */

static void
stub_init(void)
{
    stub_log.log_level = NGX_LOG_INFO;
    stub_cycle.log = &stub_log;
}
