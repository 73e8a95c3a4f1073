
/*
 * Copyright (C) nginx-mesh authors
 *
 * What the table needs of nginx besides pools.
 */


#include "unit.h"


/* a poor hash on purpose: collisions are part of the test */

uint32_t
ngx_murmur_hash2(u_char *data, size_t len)
{
    uint32_t  hash;

    for (hash = 0; len; len--) {
        hash = hash * 31 + *data++;
    }

    return hash & 0xffff;
}


ngx_int_t
ngx_cmp_sockaddr(struct sockaddr *sa1, socklen_t slen1,
    struct sockaddr *sa2, socklen_t slen2, ngx_uint_t cmp_port)
{
    return slen1 == slen2 && ngx_memcmp(sa1, sa2, slen1) == 0 ? NGX_OK
                                                              : NGX_DECLINED;
}
