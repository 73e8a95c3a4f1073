
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"


/* stands in for what is not there yet */


__attribute__((weak)) ngx_mesh_source_type_t  ngx_mesh_redis_type;
