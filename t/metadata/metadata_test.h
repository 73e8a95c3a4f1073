
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _METADATA_TEST_H_INCLUDED_
#define _METADATA_TEST_H_INCLUDED_


#include "unit.h"
#include "ngx_mesh_metadata_int.h"
#include "ngx_mesh_record.h"


/* t/vectors/metadata.json */
extern cJSON       *vectors;
extern ngx_pool_t  *pool;

/* what an answer of that name has for its revision, decoded; NULL: nothing,
   why says so */
ngx_array_t *vector_services(const char *name, ngx_pool_t *to);
ngx_str_t vector_string(const char *name, const char *field);

extern char        *why;

/* questions that were asked and not answered */
extern ngx_mesh_metadata_ask_t  *stub_asks[64];
extern ngx_uint_t                stub_nasks;
extern ngx_uint_t                stub_asked;     /* so far */

/* the n-th of them is answered: with services, or (NULL) an error */
void stub_answer(ngx_uint_t n, const char *vector, const char *error);

void stub_begin(void);

/* so many ms later */
void stub_sleep(ngx_msec_t ms);
void stub_posted(void);

void test_info(void);
void test_entries(void);


#endif /* _METADATA_TEST_H_INCLUDED_ */
