
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh.h"
#include "ngx_mesh_http.h"


static void *ngx_mesh_http_create_loc_conf(ngx_conf_t *cf);
static char *ngx_mesh_http_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_mesh_http_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_http_api_write(ngx_conf_t *cf,
    ngx_mesh_api_loc_conf_t *alcf, ngx_str_t *value);
static ngx_int_t ngx_mesh_http_api_root(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_mesh_api_loc_conf_t *alcf);
static ngx_int_t ngx_mesh_http_api_too_large(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_mesh_api_loc_conf_t *alcf);
static char *ngx_mesh_http_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_mesh_http_init(ngx_conf_t *cf);


static ngx_command_t  ngx_mesh_http_commands[] = {

    { ngx_string("mesh_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mesh_http_metrics,
      0,
      0,
      NULL },

    { ngx_string("mesh_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE123,
      ngx_mesh_http_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_mesh_http_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_mesh_http_init,                    /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_mesh_http_create_loc_conf,         /* create location configuration */
    ngx_mesh_http_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_mesh_http_module = {
    NGX_MODULE_V1,
    &ngx_mesh_http_module_ctx,             /* module context */
    ngx_mesh_http_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_int_t
ngx_mesh_http_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* "next", where this nginx has it, has to be NULL */

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = *name;
    h->value = *value;

    return NGX_OK;
}


static char *
ngx_mesh_http_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_mesh_http_metrics_handler) {
        return "is duplicate";
    }

    if (ngx_mesh_require(cf, "mesh_metrics", NULL) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    clcf->handler = ngx_mesh_http_metrics_handler;

    return NGX_CONF_OK;
}


static void *
ngx_mesh_http_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_mesh_api_loc_conf_t));
}


/* "if" and "limit_except" in a location make locations of their own */

static char *
ngx_mesh_http_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_mesh_api_loc_conf_t *prev = parent;
    ngx_mesh_api_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (prev->enabled && (clcf->noname || clcf->lmt_excpt)
        && clcf->handler == NULL)
    {
        *conf = *prev;
        clcf->handler = ngx_mesh_api_handler;
    }

    if (conf->enabled
        && ngx_mesh_http_api_too_large(cf, clcf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_http_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_api_loc_conf_t *alcf = conf;

    char                      *rv;
    ngx_str_t                 *value, name;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (alcf->enabled) {
        return "is duplicate";
    }

    alcf->enabled = 1;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "write=", 6) == 0) {
            rv = ngx_mesh_http_api_write(cf, alcf, &value[i]);

            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "audit=", 6) == 0
            && value[i].len > 6 && alcf->audit == NULL)
        {
            name.data = value[i].data + 6;
            name.len = value[i].len - 6;

            alcf->audit = ngx_conf_open_file(cf->cycle, &name);
            if (alcf->audit == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "require_match=on") == 0) {
            alcf->require_match = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "require_match=off") == 0) {
            alcf->require_match = 0;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"mesh_api\" directive, "
                           "it must be write=on, write=off, write=$VARIABLE, "
                           "require_match=on, require_match=off or "
                           "audit=FILE", &value[i]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_mesh_require(cf, "mesh_api", NULL) != NGX_OK
        || ngx_mesh_http_api_root(cf, clcf, alcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_mesh_api_init();

    clcf->handler = ngx_mesh_api_handler;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_http_api_write(ngx_conf_t *cf, ngx_mesh_api_loc_conf_t *alcf,
    ngx_str_t *value)
{
    ngx_str_t                          s;
    ngx_http_compile_complex_value_t   ccv;

    s.data = value->data + 6;
    s.len = value->len - 6;

    if (s.len == 2 && ngx_strncmp(s.data, "on", 2) == 0) {
        alcf->write = 1;
        return NGX_CONF_OK;
    }

    if (s.len == 3 && ngx_strncmp(s.data, "off", 3) == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&s) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"mesh_api\" directive, "
                           "it must be write=on, write=off or "
                           "write=$VARIABLE", value);
        return NGX_CONF_ERROR;
    }

    alcf->writes = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (alcf->writes == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &s;
    ccv.complex_value = alcf->writes;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* what of a path is the location's has to be known */

static ngx_int_t
ngx_mesh_http_api_root(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_mesh_api_loc_conf_t *alcf)
{
    u_char      *p;
    ngx_uint_t   prefix;

    prefix = !(clcf->exact_match || clcf->named || clcf->noname);

#if (NGX_PCRE)
    prefix = prefix && clcf->regex == NULL;
#endif

    if (!prefix) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mesh_api\" in location \"%V\", it must be in "
                           "a prefix location as \"location /api/\"",
                           &clcf->name);
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, clcf->name.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    alcf->root.data = p;

    p = ngx_cpymem(p, clcf->name.data, clcf->name.len);

    if (clcf->name.len == 0 || p[-1] != '/') {
        *p++ = '/';
    }

    *p = '\0';
    alcf->root.len = p - alcf->root.data;

    return NGX_OK;
}


/*
 * A body that is too large is refused before there is a handler.  The array
 * may be that of the server, for all of its locations.
 */

static ngx_int_t
ngx_mesh_http_api_too_large(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_mesh_api_loc_conf_t *alcf)
{
    u_char               *p;
    ngx_uint_t            i;
    ngx_array_t          *pages;
    ngx_http_err_page_t  *page, *old;

    pages = ngx_array_create(cf->pool, 4, sizeof(ngx_http_err_page_t));
    if (pages == NULL) {
        return NGX_ERROR;
    }

    old = clcf->error_pages ? clcf->error_pages->elts : NULL;

    for (i = 0; old && i < clcf->error_pages->nelts; i++) {

        if (old[i].status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return NGX_OK;
        }

        page = ngx_array_push(pages);
        if (page == NULL) {
            return NGX_ERROR;
        }

        *page = old[i];
    }

    page = ngx_array_push(pages);
    p = ngx_pnalloc(cf->pool, alcf->root.len + 2);

    if (page == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(page, sizeof(ngx_http_err_page_t));

    page->status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    page->overwrite = -1;
    page->value.value.data = p;
    page->value.value.len = ngx_sprintf(p, "%V1/", &alcf->root) - p;

    clcf->error_pages = pages;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_http_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_mesh_api_audit_log;

    return NGX_OK;
}
