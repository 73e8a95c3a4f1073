
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef STORE_H
#define STORE_H


#include "unit.h"
#include "ngx_mesh_store_int.h"


#define REGION  (1024 * 1024)


extern ngx_mesh_store_t  store;
extern ngx_log_t         log_stub;


/* a fresh store of that size */
void start(size_t size);


/* room.c */

void test_room(size_t size);


#endif /* STORE_H */
