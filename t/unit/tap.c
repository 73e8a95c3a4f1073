
/*
 * Copyright (C) nginx-mesh authors
 *
 * What unit tests have in common.
 */


#include "unit.h"


static ngx_uint_t  tests;
static ngx_uint_t  failures;


void
ok(int passed, const char *fmt, ...)
{
    va_list  args;

    tests++;

    if (!passed) {
        failures++;
    }

    printf("%sok %lu - ", passed ? "" : "not ", (unsigned long) tests);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");
    fflush(stdout);
}


int
test_done(void)
{
    printf("1..%lu\n", (unsigned long) tests);

    return failures ? 1 : 0;
}


ngx_str_t
str(const char *s)
{
    ngx_str_t  r;

    r.len = strlen(s);
    r.data = r.len ? (u_char *) s : NULL;

    return r;
}


int
is(ngx_str_t *s, const char *expected)
{
    return s->len == strlen(expected)
           && (s->len == 0 || memcmp(s->data, expected, s->len) == 0);
}
