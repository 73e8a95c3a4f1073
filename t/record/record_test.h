
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _RECORD_TEST_H_INCLUDED_
#define _RECORD_TEST_H_INCLUDED_


#include "unit.h"
#include "ngx_mesh_record.h"


/* a provider's URL; what ngx_mesh_record_dubbo() returns */
ngx_int_t provider(ngx_pool_t *pool, const char *url, ngx_mesh_record_t *r);

/* whether the endpoint has the label; value NULL: whether it has the key */
int has(ngx_mesh_endpoint_t *ep, const char *key, const char *value);

extern char  *why;

void test_dubbo(ngx_pool_t *pool);
void test_rules(ngx_pool_t *pool);
void test_consul(ngx_pool_t *pool);
void test_vectors(ngx_pool_t *pool, const char *path);


#endif /* _RECORD_TEST_H_INCLUDED_ */
