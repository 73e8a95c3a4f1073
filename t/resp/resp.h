
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _RESP_H_INCLUDED_
#define _RESP_H_INCLUDED_


#include "unit.h"
#include "ngx_mesh_resp.h"


extern u_char      stub_sent[];
extern size_t      stub_sent_len;
extern ngx_uint_t  stub_open;      /* connections */


#endif /* _RESP_H_INCLUDED_ */
