
/*
 * Copyright (C) nginx-mesh authors
 *
 * Addresses as nginx reads them, in short.
 */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_int_t
ngx_parse_addr_port(ngx_pool_t *pool, ngx_addr_t *addr, u_char *text,
    size_t len)
{
    char                 host[64], *port;
    long                 n;
    struct sockaddr_in  *sin;
    struct sockaddr_in6 *sin6;

    if (len == 0 || len >= sizeof(host)) {
        return NGX_DECLINED;
    }

    memcpy(host, text, len);
    host[len] = '\0';

    port = strrchr(host, ':');

    if (port == NULL || (host[0] == '[' && port[-1] != ']')) {
        return NGX_DECLINED;
    }

    n = strtol(port + 1, NULL, 10);

    if (n > 65535) {
        return NGX_DECLINED;
    }

    if (host[0] == '[') {
        port[-1] = '\0';

        sin6 = ngx_pcalloc(pool, sizeof(struct sockaddr_in6));
        if (sin6 == NULL) {
            return NGX_ERROR;
        }

        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons((in_port_t) n);
        addr->sockaddr = (struct sockaddr *) sin6;
        addr->socklen = sizeof(struct sockaddr_in6);

        return inet_pton(AF_INET6, host + 1, &sin6->sin6_addr) == 1
               ? NGX_OK : NGX_DECLINED;
    }

    *port = '\0';

    sin = ngx_pcalloc(pool, sizeof(struct sockaddr_in));
    if (sin == NULL) {
        return NGX_ERROR;
    }

    sin->sin_family = AF_INET;
    sin->sin_port = htons((in_port_t) n);
    addr->sockaddr = (struct sockaddr *) sin;
    addr->socklen = sizeof(struct sockaddr_in);

    return inet_pton(AF_INET, host, &sin->sin_addr) == 1 ? NGX_OK
                                                         : NGX_DECLINED;
}


in_port_t
ngx_inet_get_port(struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET6) {
        return ntohs(((struct sockaddr_in6 *) sa)->sin6_port);
    }

    return ntohs(((struct sockaddr_in *) sa)->sin_port);
}
