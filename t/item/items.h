
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _ITEMS_H_INCLUDED_
#define _ITEMS_H_INCLUDED_


/* an item of the op, its value cut to "len" in memory of its own */
void cut(ngx_mesh_store_item_t *item, ngx_mesh_store_op_t *op, size_t len);

void test_found(ngx_pool_t *pool);


#endif /* _ITEMS_H_INCLUDED_ */
