
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_TABLE_TEXT_H_INCLUDED_
#define _NGX_MESH_TABLE_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the table in force has, as text for Prometheus, in parts: appends to
 * the buffer what fits.  The cursor starts zeroed.  NGX_OK: that was all;
 * NGX_AGAIN: there is more, for a buffer of NGX_MESH_METRICS_BUFFER bytes, or
 * items are still being counted, so that nothing may have been appended.
 */

typedef struct {
    ngx_uint_t         family;
    ngx_uint_t         row;        /* rows of it done */
    ngx_uint_t         counted;
} ngx_mesh_table_cursor_t;

ngx_int_t ngx_mesh_table_text_part(ngx_mesh_table_cursor_t *cursor,
    ngx_buf_t *b);


#endif /* _NGX_MESH_TABLE_TEXT_H_INCLUDED_ */
