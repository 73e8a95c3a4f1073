
/*
 * Copyright (C) nginx-mesh authors
 *
 * What records need of nginx besides pools.
 */


#include <arpa/inet.h>
#include "unit.h"


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {

        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_INT_T_VALUE - 9) / 10)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    u_char     c;
    ngx_int_t  value;

    for (value = 0; n--; line++) {
        c = (u_char) (*line | 0x20);

        if (*line >= '0' && *line <= '9') {
            value = value * 16 + (*line - '0');

        } else if (c >= 'a' && c <= 'f') {
            value = value * 16 + (c - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    return value;
}


u_char *
ngx_strnstr(u_char *s1, char *s2, size_t len)
{
    size_t  i, n;

    n = strlen(s2);

    for (i = 0; i + n <= len && s1[i]; i++) {
        if (memcmp(s1 + i, s2, n) == 0) {
            return s1 + i;
        }
    }

    return NULL;
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


ngx_int_t
ngx_memn2cmp(u_char *s1, u_char *s2, size_t n1, size_t n2)
{
    int  rc;

    rc = memcmp(s1, s2, ngx_min(n1, n2));

    return rc ? rc : (n1 > n2) - (n1 < n2);
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    u_char  *dst;

    dst = ngx_pnalloc(pool, src->len);

    return dst ? memcpy(dst, src->data, src->len) : NULL;
}


/* %s, %V, %ui and %*s are all that is needed */

u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    size_t      n;
    va_list     args;
    ngx_str_t  *s;

    va_start(args, fmt);

    for ( /* void */ ; *fmt; fmt++) {

        if (*fmt != '%') {
            *buf++ = (u_char) *fmt;
            continue;
        }

        switch (*++fmt) {

        case 's':
            buf = (u_char *) stpcpy((char *) buf, va_arg(args, char *));
            break;

        case 'V':
            s = va_arg(args, ngx_str_t *);

            if (s->len) {
                buf = ngx_cpymem(buf, s->data, s->len);
            }

            break;

        case 'u':
            fmt++;
            buf += sprintf((char *) buf, "%lu",
                           (unsigned long) va_arg(args, ngx_uint_t));
            break;

        default: /* '*' */
            fmt++;
            n = va_arg(args, size_t);
            buf = ngx_cpymem(buf, va_arg(args, u_char *), n);
            break;
        }
    }

    va_end(args);

    return buf;
}


ngx_int_t
ngx_parse_addr(ngx_pool_t *pool, ngx_addr_t *addr, u_char *text, size_t len)
{
    char                  host[64];
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    if (len == 0 || len >= sizeof(host) || memchr(text, 0, len)) {
        return NGX_DECLINED;
    }

    memcpy(host, text, len);
    host[len] = '\0';

    sin6 = ngx_pcalloc(pool, sizeof(struct sockaddr_in6));
    if (sin6 == NULL) {
        return NGX_ERROR;
    }

    addr->sockaddr = (struct sockaddr *) sin6;
    addr->socklen = sizeof(struct sockaddr_in6);
    sin6->sin6_family = AF_INET6;

    if (inet_pton(AF_INET6, host, &sin6->sin6_addr) == 1) {
        return NGX_OK;
    }

    sin = (struct sockaddr_in *) sin6;
    addr->socklen = sizeof(struct sockaddr_in);
    sin->sin_family = AF_INET;

    return inet_pton(AF_INET, host, &sin->sin_addr) == 1 ? NGX_OK
                                                         : NGX_DECLINED;
}


void
ngx_inet_set_port(struct sockaddr *sa, in_port_t port)
{
    /* it is in the same place in both */

    ((struct sockaddr_in *) sa)->sin_port = htons(port);
}


size_t
ngx_sock_ntop(struct sockaddr *sa, socklen_t socklen, u_char *text, size_t len,
    ngx_uint_t port)
{
    char        host[64];
    ngx_uint_t  v6;
    void       *addr;

    v6 = (sa->sa_family == AF_INET6);
    addr = v6 ? (void *) &((struct sockaddr_in6 *) sa)->sin6_addr
              : (void *) &((struct sockaddr_in *) sa)->sin_addr;

    (void) inet_ntop(sa->sa_family, addr, host, sizeof(host));

    if (!port) {
        return sprintf((char *) text, "%s", host);
    }

    return sprintf((char *) text, v6 ? "[%s]:%d" : "%s:%d", host,
                   ntohs(((struct sockaddr_in *) sa)->sin_port));
}
