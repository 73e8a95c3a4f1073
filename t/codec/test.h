
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _TEST_H_INCLUDED_
#define _TEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "unit.h"
#include "ngx_mesh_codec.h"


#define TEST_SCRATCH  4096


/* a frame that is being built, or one that was read */

typedef struct {
    u_char            *data;
    size_t             len;
    size_t             size;
} test_buf_t;


/* everything that a request was decoded to; frame is a copy of exact size */

typedef struct {
    ngx_int_t          rc;
    ngx_mesh_frame_t   f;
    ngx_mesh_facts_t   facts;
    u_char            *frame;
    u_char            *scratch;
} test_call_t;


/* what the functions below speak: Dubbo, until told otherwise */
extern const ngx_mesh_codec_t  *test_codec;


void test_str(ngx_str_t *s, const char *text);
int test_is(ngx_str_t *s, const char *text);

void test_hex(test_buf_t *b, const char *hex);
void test_bytes(test_buf_t *b, const void *p, size_t n);
void test_byte(test_buf_t *b, int c, size_t n);
void test_free(test_buf_t *b);
int test_same(test_buf_t *b, u_char *p, size_t n);

/* writes the header's length of a whole frame; of Bolt, that of the content,
   and the checksum */
void test_close(test_buf_t *b);

/* a Bolt request or response without its map and content, which follow the
   class, and a pair of the map */
void test_bolt(test_buf_t *b, ngx_uint_t variant, ngx_uint_t type,
    ngx_uint_t serial, const char *class);
void test_pair(test_buf_t *b, const char *key, const char *value);
void test_content(test_buf_t *b);

/* a request with the body's five strings, as far as they are given */
void test_request(test_buf_t *b, ngx_uint_t serial, const char *descriptor);

/* decodes an exact copy with the given room of scratch memory */
void test_decode(test_call_t *call, test_buf_t *b, ngx_uint_t want,
    size_t scratch);
void test_drop(test_call_t *call);

ngx_int_t test_attachment(test_call_t *call, const char *name,
    ngx_str_t *value);
int test_attachment_is(test_call_t *call, const char *name, const char *text);


#endif /* _TEST_H_INCLUDED_ */
