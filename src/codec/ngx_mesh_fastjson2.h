
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_FASTJSON2_H_INCLUDED_
#define _NGX_MESH_FASTJSON2_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_serial.h"


extern const ngx_mesh_serial_t  ngx_mesh_fastjson2;


#endif /* _NGX_MESH_FASTJSON2_H_INCLUDED_ */
