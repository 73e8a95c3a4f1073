
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _TEST_H_INCLUDED_
#define _TEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "unit.h"
#include "ngx_mesh_codec.h"
#include "ngx_mesh_metrics_region.h"


/* a zone, and the region in it */

typedef struct {
    ngx_slab_pool_t            *shpool;
    ngx_mesh_metrics_region_t  *region;
} test_zone_t;


void test_zone(test_zone_t *zone, size_t size);

/* becomes the process of that slot */
void test_process(test_zone_t *zone, ngx_int_t slot);

ngx_mesh_calls_t *test_calls(const char *service, const char *method,
    ngx_uint_t status);
ngx_mesh_endpoint_stats_t *test_endpoint(const char *name);
void test_error(const char *service, ngx_uint_t err);

/* all of the text, which the caller frees */
char *test_text(void);

/* value of a sample, -1: it is not there; flushes */
double test_value(const char *sample);

/* sum of all samples that begin so and contain that */
double test_sum(const char *begin, const char *part);

/* what is wrong with the region, NULL: nothing */
const char *test_sane(test_zone_t *zone);

/* what processes do to each other, processes.c */
void test_processes(void);


/* shared memory of that size between two pages that nobody may touch */
void *stub_shared(size_t size);

/* what the master does for a process that died */
void stub_unlock(ngx_slab_pool_t *shpool, ngx_pid_t pid);

void stub_free(ngx_pool_t *pool);


extern ngx_uint_t  stub_locks;
extern ngx_uint_t  stub_allocs;
extern ngx_uint_t  stub_warnings;
extern ngx_uint_t  stub_no_slab;


#endif /* _TEST_H_INCLUDED_ */
