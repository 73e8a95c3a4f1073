
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rules.h"


extern ngx_uint_t  stub_pools;
extern ngx_uint_t  stub_errors;
