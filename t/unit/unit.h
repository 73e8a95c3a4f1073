
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a line of TAP */
void ok(int passed, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* the plan, and what main() returns */
int test_done(void);

/* the string of a literal; an empty one has no data */
ngx_str_t str(const char *s);
int is(ngx_str_t *s, const char *expected);


extern ngx_uint_t  stub_pools;     /* not destroyed yet */
extern ngx_uint_t  stub_short;     /* the allocation that fails, 0: none */


#endif /* _UNIT_H_INCLUDED_ */
