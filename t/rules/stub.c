
/*
 * Copyright (C) nginx-mesh authors
 *
 * What rules need of nginx beside pools; expressions are PCRE2's.
 */


#include "unit.h"


ngx_uint_t  stub_errors;


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *c;

    c = ngx_pcalloc(pool, sizeof(ngx_pool_cleanup_t));
    if (c == NULL) {
        return NULL;
    }

    c->next = pool->cleanup;
    pool->cleanup = c;

    return c;
}


ngx_array_t *
ngx_array_create(ngx_pool_t *p, ngx_uint_t n, size_t size)
{
    ngx_array_t  *a;

    a = ngx_palloc(p, sizeof(ngx_array_t));

    return (a && ngx_array_init(a, p, n, size) == NGX_OK) ? a : NULL;
}


/* a poor hash on purpose: collisions are part of the test */

uint32_t
ngx_murmur_hash2(u_char *data, size_t len)
{
    return len ? data[0] : 0;
}


ngx_int_t
ngx_cmp_sockaddr(struct sockaddr *sa1, socklen_t slen1,
    struct sockaddr *sa2, socklen_t slen2, ngx_uint_t cmp_port)
{
    return NGX_DECLINED;
}


ngx_int_t
ngx_memn2cmp(u_char *s1, u_char *s2, size_t n1, size_t n2)
{
    int  rc;

    rc = ngx_memcmp(s1, s2, n1 < n2 ? n1 : n2);

    return rc ? rc : (n1 > n2) - (n1 < n2);
}


ngx_int_t
ngx_atofp(u_char *line, size_t n, size_t point)
{
    size_t     i, digits;
    ngx_int_t  value, dot;

    value = 0;
    dot = 0;
    digits = 0;

    for (i = 0; i < n; i++) {

        if (line[i] == '.' && !dot) {
            dot = 1;
            continue;
        }

        if (line[i] < '0' || line[i] > '9' || (dot && digits == point)) {
            return NGX_ERROR;
        }

        value = value * 10 + line[i] - '0';
        digits += dot;
    }

    while (digits++ < point) {
        value *= 10;
    }

    return n ? value : NGX_ERROR;
}


/* a.b.c.d/n only */

ngx_int_t
ngx_ptocidr(ngx_str_t *text, ngx_cidr_t *cidr)
{
    char      buf[64];
    unsigned  a, b, c, d, n;

    if (text->len > 60) {
        return NGX_ERROR;
    }

    memcpy(buf, text->data, text->len);
    buf[text->len] = '\0';
    n = 32;

    if (sscanf(buf, "%u.%u.%u.%u/%u", &a, &b, &c, &d, &n) < 4 || n > 32) {
        return NGX_ERROR;
    }

    cidr->family = AF_INET;
    cidr->u.in.mask = n ? htonl(0xffffffffu << (32 - n)) : 0;
    cidr->u.in.addr = htonl(a << 24 | b << 16 | c << 8 | d)
                      & cidr->u.in.mask;

    return NGX_OK;
}


ngx_int_t
ngx_cidr_match(struct sockaddr *sa, ngx_array_t *cidrs)
{
    ngx_cidr_t          *cidr;
    ngx_uint_t           i;
    struct sockaddr_in  *sin;

    cidr = cidrs->elts;
    sin = (struct sockaddr_in *) sa;

    for (i = 0; i < cidrs->nelts; i++) {
        if ((sin->sin_addr.s_addr & cidr[i].u.in.mask) == cidr[i].u.in.addr) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static void
stub_regex_free(void *data)
{
    pcre2_code_free(data);
}


ngx_int_t
ngx_regex_compile(ngx_regex_compile_t *rc)
{
    int                  err;
    size_t               at;
    ngx_pool_cleanup_t  *c;

    rc->regex = pcre2_compile(rc->pattern.data, rc->pattern.len,
                              (rc->options & NGX_REGEX_CASELESS)
                              ? PCRE2_CASELESS : 0,
                              &err, &at, NULL);
    if (rc->regex == NULL) {
        rc->err.len = snprintf((char *) rc->err.data, rc->err.len,
                               "pcre2_compile() failed in \"%.*s\"",
                               (int) rc->pattern.len, rc->pattern.data);
        return NGX_ERROR;
    }

    c = ngx_pool_cleanup_add(rc->pool, 0);
    c->handler = stub_regex_free;
    c->data = rc->regex;

    return NGX_OK;
}


ngx_int_t
ngx_regex_exec(ngx_regex_t *re, ngx_str_t *s, int *captures, ngx_uint_t size)
{
    static pcre2_match_data  *md;

    if (md == NULL) {
        md = pcre2_match_data_create(1, NULL);
    }

    return pcre2_match(re, s->data, s->len, 0, 0, md, NULL);
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    stub_errors++;
}


/* %V, %s and %d */

u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    const char  *s;
    ngx_str_t   *v;

    for ( /* void */ ; *fmt && buf < last - 32; fmt++) {

        if (*fmt != '%') {
            *buf++ = *fmt;
            continue;
        }

        switch (*++fmt) {

        case 'V':
            v = va_arg(args, ngx_str_t *);
            buf += snprintf((char *) buf, last - buf, "%.*s", (int) v->len,
                            v->data ? (char *) v->data : "");
            break;

        case 's':
            s = va_arg(args, const char *);
            buf += snprintf((char *) buf, last - buf, "%s", s);
            break;

        default:
            buf += snprintf((char *) buf, last - buf, "%d",
                            va_arg(args, int));
            break;
        }
    }

    return buf;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return p;
}
