
/*
 * Copyright (C) nginx-mesh authors
 */


#include "unit.h"
#include "ngx_mesh_rules.h"


/* of the rules that a test makes */
extern ngx_pool_t  *pool;

extern ngx_uint_t   stub_errors;


/* sets.c */

void sets(void);
