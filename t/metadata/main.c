
/*
 * Copyright (C) nginx-mesh authors
 */


#include "metadata_test.h"


cJSON       *vectors;
ngx_pool_t  *pool;


static cJSON *
load(const char *name)
{
    FILE   *f;
    char   *text;
    cJSON  *json;
    size_t  n;

    f = fopen(name, "rb");
    text = calloc(1, 1 << 20);
    n = f ? fread(text, 1, (1 << 20) - 1, f) : 0;
    json = cJSON_ParseWithLength(text, n);

    if (f) {
        fclose(f);
    }

    free(text);

    return json;
}


int
main(int argc, char **argv)
{
    static ngx_log_t    log;
    static ngx_cycle_t  cycle;

    cycle.log = &log;
    ngx_cycle = &cycle;

    stub_begin();

    vectors = load(argv[1]);

    if (vectors == NULL) {
        return 1;
    }

    pool = ngx_create_pool(4096, NULL);

    test_info();
    test_entries();

    ngx_destroy_pool(pool);
    cJSON_Delete(vectors);

    ok(stub_pools == 0, "no pool is left (%lu)", (unsigned long) stub_pools);

    return test_done();
}
