
/*
 * Copyright (C) nginx-mesh authors
 *
 * What the codecs need of nginx's string functions.
 */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value, cutoff;

    if (n == 0) {
        return NGX_ERROR;
    }

    cutoff = (NGX_MAX_INT_T_VALUE - 9) / 10;

    for (value = 0; n--; line++) {
        if (*line < '0' || *line > '9' || value > cutoff) {
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

    if (n == 0) {
        return NGX_ERROR;
    }

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


/* the codecs print nothing but an int64_t */

u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    if (strcmp(fmt, "%L") != 0) {
        abort();
    }

    va_start(args, fmt);
    buf += sprintf((char *) buf, "%lld", (long long) va_arg(args, int64_t));
    va_end(args);

    return buf;
}
