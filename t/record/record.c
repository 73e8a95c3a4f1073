
/*
 * Copyright (C) nginx-mesh authors
 *
 * What SDKs write into registries becomes records; prints TAP.
 */


#include "record_test.h"


char  *why;


int
main(int argc, char *argv[])
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(0, NULL);

    test_dubbo(pool);
    test_rules(pool);
    test_consul(pool);
    test_vectors(pool, argv[1]);

    ngx_destroy_pool(pool);

    return test_done();
}


ngx_int_t
provider(ngx_pool_t *pool, const char *url, ngx_mesh_record_t *r)
{
    ngx_str_t  text, interface;

    text = str(url);
    interface = str("a.B");
    why = "";

    return ngx_mesh_record_dubbo(&text, &interface, pool, r, &why);
}


int
has(ngx_mesh_endpoint_t *ep, const char *key, const char *value)
{
    ngx_uint_t  i;

    for (i = 0; i < ep->nlabels; i++) {
        if (is(&ep->labels[i].key, key)) {
            return value == NULL || is(&ep->labels[i].value, value);
        }
    }

    return 0;
}


/* nothing but "dubbo", "bolt" and "toy" is a protocol */

ngx_uint_t
ngx_mesh_protocol_known(ngx_str_t *protocol)
{
    return is(protocol, "dubbo") || is(protocol, "bolt")
           || is(protocol, "toy");
}
