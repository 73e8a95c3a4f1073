
/*
 * Copyright (C) nginx-mesh authors
 *
 * What the journal and the items need of nginx and the stand-ins of other
 * tests do not have.
 */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_pid_t  ngx_pid;


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    /* void */
}


ngx_int_t
ngx_parse_addr_port(ngx_pool_t *pool, ngx_addr_t *addr, u_char *text,
    size_t len)
{
    return NGX_DECLINED;
}


in_port_t
ngx_inet_get_port(struct sockaddr *sa)
{
    return 0;
}
