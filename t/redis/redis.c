
/*
 * Copyright (C) nginx-mesh authors
 *
 * What is decided of a registry in Redis; prints TAP.
 */


#include "unit.h"
#include "redis.h"


int
main(void)
{
    test_view();
    test_server();

    return test_done();
}
