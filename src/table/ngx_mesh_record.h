
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RECORD_H_INCLUDED_
#define _NGX_MESH_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_table.h"


/*
 * A service as the bytes of an item: private to the room, and to one layout
 * of the store.
 */


/* types of items */

#define NGX_MESH_ITEM_SERVICE  1


/* bytes of the service's record */
size_t ngx_mesh_record_size(ngx_mesh_service_t *service, ngx_str_t *owner);
void ngx_mesh_record_write(u_char *p, ngx_mesh_service_t *service,
    ngx_str_t *owner);

/*
 * Fills a service in from a record; its strings point into the record, its
 * endpoints come from the pool.  NGX_DECLINED: this is no record.
 */
ngx_int_t ngx_mesh_record_read(ngx_str_t *record, ngx_mesh_service_t *service,
    ngx_str_t *owner, ngx_pool_t *pool);

/*
 * The key of an item: interface, version and group with NULs between them, so
 * that the services of an interface follow one another.
 */
ngx_int_t ngx_mesh_record_key(ngx_str_t *key, ngx_str_t *group,
    ngx_str_t *interface, ngx_str_t *version, ngx_pool_t *pool);


/* ngx_mesh_table.c */

/* one service of several, in a pool that it takes over; NULL: no memory */
ngx_mesh_service_t *ngx_mesh_table_join(ngx_mesh_service_t **parts,
    ngx_uint_t n, ngx_str_t *group, ngx_str_t *interface, ngx_str_t *version,
    ngx_pool_t *pool);


static ngx_inline ngx_uint_t
ngx_mesh_table_equal(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


static ngx_inline ngx_uint_t
ngx_mesh_table_any(ngx_str_t *s)
{
    return s->len == 1 && s->data[0] == '*';
}


static ngx_inline ngx_uint_t
ngx_mesh_table_no_version(ngx_str_t *s)
{
    return s->len == 0
           || (s->len == 5 && ngx_memcmp(s->data, "0.0.0", 5) == 0);
}


static ngx_inline ngx_uint_t
ngx_mesh_table_match(ngx_str_t *pattern, ngx_str_t *s)
{
    return ngx_mesh_table_any(pattern) || ngx_mesh_table_equal(pattern, s);
}


#endif /* _NGX_MESH_RECORD_H_INCLUDED_ */
