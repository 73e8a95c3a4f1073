#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_mesh_api.h"
ngx_mesh_api_op_t  ngx_mesh_api_endpoint_ops[] = {
    { ngx_null_string, 0, 0, NULL, NULL }
};
ngx_mesh_api_op_t  ngx_mesh_api_override_ops[] = {
    { ngx_null_string, 0, 0, NULL, NULL }
};
ngx_mesh_api_op_t  ngx_mesh_api_batch_ops[] = {
    { ngx_null_string, 0, 0, NULL, NULL }
};
ngx_int_t ngx_mesh_api_endpoint_path(ngx_mesh_store_item_t *item,
    ngx_str_t *path, ngx_pool_t *pool) { return NGX_ERROR; }
ngx_int_t ngx_mesh_api_endpoint_spec(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool) { return NGX_ERROR; }
ngx_int_t ngx_mesh_api_override_path(ngx_mesh_store_item_t *item,
    ngx_str_t *path, ngx_pool_t *pool) { return NGX_ERROR; }
ngx_int_t ngx_mesh_api_override_spec(ngx_mesh_json_t *json,
    ngx_mesh_store_item_t *item, ngx_pool_t *pool) { return NGX_ERROR; }
