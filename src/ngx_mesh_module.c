
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh.h"
#include "ngx_mesh_codec.h"
#include "ngx_mesh_item.h"
#include "ngx_mesh_metrics.h"
#include "ngx_mesh_proxy.h"
#include "ngx_mesh_registry.h"
#include "ngx_mesh_want.h"


#define NGX_MESH_EXPIRE_INTERVAL  1000


typedef struct {
    char               *directive;
    ngx_str_t           service;       /* data NULL: only the block */
    ngx_str_t           protocol;
    ngx_array_t        *codecs;        /* gets what the protocol stands for */
    ngx_str_t           file;          /* empty: not from a file */
    ngx_uint_t          line;
} ngx_mesh_demand_t;


/*
 * "confs" comes first: while mesh {} is parsed, cf->ctx points to this
 * structure, and nginx looks for the array of slots at its beginning.
 */

typedef struct {
    void              **confs;         /* NULL: no mesh {} */
    ngx_array_t         demands;       /* ngx_mesh_demand_t */
} ngx_mesh_conf_t;


static char *ngx_mesh_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_mesh_create_confs(ngx_conf_t *cf, ngx_mesh_conf_t *mcf,
    ngx_uint_t n);
static char *ngx_mesh_init_confs(ngx_cycle_t *cycle, ngx_mesh_conf_t *mcf);
static void *ngx_mesh_create_conf(ngx_cycle_t *cycle);
static char *ngx_mesh_init_conf(ngx_cycle_t *cycle, void *conf);
static ngx_mesh_demand_t *ngx_mesh_demand(ngx_conf_t *cf, char *directive);
static ngx_int_t ngx_mesh_check_protocol(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_demand_t *demand);
static ngx_int_t ngx_mesh_add_codec(ngx_mesh_demand_t *demand,
    const ngx_mesh_codec_t *codec);
static u_char *ngx_mesh_known_protocols(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_demand_t *demand, u_char *p, u_char *last);
static ngx_int_t ngx_mesh_check_demand(ngx_cycle_t *cycle,
    ngx_mesh_demand_t *demand);
static void ngx_mesh_demand_error(ngx_cycle_t *cycle,
    ngx_mesh_demand_t *demand, ngx_str_t *text);
static ngx_int_t ngx_mesh_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_mesh_init_process(ngx_cycle_t *cycle);
static void ngx_mesh_start_expire(ngx_cycle_t *cycle);
static void ngx_mesh_expire_handler(ngx_event_t *ev);
static void ngx_mesh_exit_process(ngx_cycle_t *cycle);


/* calls may wait for what another process does to the table */

static ngx_mesh_registry_hook_t  ngx_mesh_proxy_hook = {
    { NULL, NULL }, ngx_mesh_proxy_woken, NULL
};


static ngx_command_t  ngx_mesh_commands[] = {

    { ngx_string("mesh"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_mesh_block,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_mesh_module_ctx = {
    ngx_string("mesh"),
    ngx_mesh_create_conf,
    ngx_mesh_init_conf
};


ngx_module_t  ngx_mesh_module = {
    NGX_MODULE_V1,
    &ngx_mesh_module_ctx,              /* module context */
    ngx_mesh_commands,                 /* module directives */
    NGX_CORE_MODULE,                   /* module type */
    NULL,                              /* init master */
    ngx_mesh_init_module,              /* init module */
    ngx_mesh_init_process,             /* init process */
    NULL,                              /* init thread */
    NULL,                              /* exit thread */
    ngx_mesh_exit_process,             /* exit process */
    ngx_mesh_handover_exit_master,     /* exit master */
    NGX_MODULE_V1_PADDING
};


void *
ngx_mesh_get_conf(ngx_cycle_t *cycle, ngx_module_t *module)
{
    ngx_mesh_conf_t  *mcf;

    /* the cycle nginx starts from has no configuration */

    if (cycle == NULL || cycle->conf_ctx == NULL) {
        return NULL;
    }

    mcf = (ngx_mesh_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_mesh_module);

    if (mcf == NULL || mcf->confs == NULL) {
        return NULL;
    }

    return mcf->confs[module->ctx_index];
}


ngx_int_t
ngx_mesh_require(ngx_conf_t *cf, char *directive, ngx_str_t *service)
{
    ngx_mesh_demand_t  *demand;

    demand = ngx_mesh_demand(cf, directive);
    if (demand == NULL) {
        return NGX_ERROR;
    }

    if (service) {
        demand->service = *service;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_require_protocol(ngx_conf_t *cf, char *directive, ngx_str_t *protocol,
    ngx_array_t *codecs)
{
    ngx_mesh_demand_t  *demand;

    demand = ngx_mesh_demand(cf, directive);
    if (demand == NULL) {
        return NGX_ERROR;
    }

    demand->protocol = *protocol;
    demand->codecs = codecs;

    return NGX_OK;
}


static ngx_mesh_demand_t *
ngx_mesh_demand(ngx_conf_t *cf, char *directive)
{
    ngx_mesh_conf_t    *mcf;
    ngx_mesh_demand_t  *demand;

    mcf = (ngx_mesh_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_mesh_module);

    /*
     * the list belongs to this cycle's configuration: one that fails takes
     * its demands with it
     */

    demand = ngx_array_push(&mcf->demands);
    if (demand == NULL) {
        return NULL;
    }

    ngx_memzero(demand, sizeof(ngx_mesh_demand_t));

    demand->directive = directive;

    /* directives may come from the command line as well */

    if (cf->conf_file && cf->conf_file->file.fd != NGX_INVALID_FILE) {
        demand->file = cf->conf_file->file.name;
        demand->line = cf->conf_file->line;
    }

    return demand;
}


static char *
ngx_mesh_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_conf_t *mcf = conf;

    char        *rv;
    ngx_conf_t   save;

    if (mcf->confs) {
        return "is duplicate";
    }

    if (ngx_mesh_create_confs(cf, mcf,
                              ngx_count_modules(cf->cycle, NGX_MESH_MODULE))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    save = *cf;

    cf->ctx = mcf;
    cf->module_type = NGX_MESH_MODULE;
    cf->cmd_type = NGX_MESH_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_mesh_init_confs(cf->cycle, mcf);
}


static ngx_int_t
ngx_mesh_create_confs(ngx_conf_t *cf, ngx_mesh_conf_t *mcf, ngx_uint_t n)
{
    void               *conf;
    ngx_uint_t          i;
    ngx_module_t       *module;
    ngx_mesh_module_t  *ctx;

    mcf->confs = ngx_pcalloc(cf->pool, n * sizeof(void *));
    if (mcf->confs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        if (module->type != NGX_MESH_MODULE) {
            continue;
        }

        ctx = module->ctx;

        if (ctx->create_conf == NULL) {
            continue;
        }

        conf = ctx->create_conf(cf->cycle);
        if (conf == NULL) {
            return NGX_ERROR;
        }

        mcf->confs[module->ctx_index] = conf;
    }

    return NGX_OK;
}


static char *
ngx_mesh_init_confs(ngx_cycle_t *cycle, ngx_mesh_conf_t *mcf)
{
    char               *rv;
    ngx_uint_t          i;
    ngx_module_t       *module;
    ngx_mesh_module_t  *ctx;

    for (i = 0; cycle->modules[i]; i++) {
        module = cycle->modules[i];

        if (module->type != NGX_MESH_MODULE) {
            continue;
        }

        ctx = module->ctx;

        if (ctx->init_conf == NULL) {
            continue;
        }

        rv = ctx->init_conf(cycle, mcf->confs[module->ctx_index]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_mesh_create_conf(ngx_cycle_t *cycle)
{
    ngx_mesh_conf_t  *mcf;

    mcf = ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->demands, cycle->pool, 4,
                       sizeof(ngx_mesh_demand_t))
        != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


/* runs when all is parsed: mesh {} may stand behind those who need it */

static char *
ngx_mesh_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_mesh_conf_t *mcf = conf;

    ngx_uint_t          i;
    ngx_mesh_demand_t  *demand;

    /* one process goes on with all it has of the old configuration */

    if (mcf->confs == NULL && ngx_process == NGX_PROCESS_SINGLE
        && !ngx_test_config && !ngx_is_init_cycle(ngx_cycle)
        && ngx_mesh_get_conf((ngx_cycle_t *) ngx_cycle, &ngx_mesh_core_module))
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"mesh\" cannot be removed while \"master_process\" is "
                      "off, restart nginx");
        return NGX_CONF_ERROR;
    }

    demand = mcf->demands.elts;

    for (i = 0; i < mcf->demands.nelts; i++) {

        if (ngx_mesh_check_demand(cycle, &demand[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_mesh_registry_init_conf(cycle) == NGX_OK ? NGX_CONF_OK
                                                        : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_mesh_check_demand(ngx_cycle_t *cycle, ngx_mesh_demand_t *demand)
{
    u_char                 buf[NGX_MAX_CONF_ERRSTR];
    ngx_str_t              text;
    ngx_mesh_service_t    *service;
    ngx_mesh_core_conf_t  *ccf;

    text.data = buf;

    ccf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);

    if (ccf == NULL) {
        text.len = ngx_snprintf(buf, sizeof(buf),
                                "\"%s\" needs a \"mesh { zone NAME:SIZE; }\" "
                                "block", demand->directive)
                   - buf;
        goto failed;
    }

    if (demand->protocol.data) {

        if (ngx_mesh_check_protocol(ccf, demand) == NGX_OK) {
            return NGX_OK;
        }

        text.len = ngx_mesh_known_protocols(ccf, demand, buf,
                                            buf + sizeof(buf))
                   - buf;
        goto failed;
    }

    if (demand->service.data == NULL) {
        return NGX_OK;
    }

    service = ngx_mesh_table_find_name(ccf->table, &demand->service);

    if (service) {
        ngx_mesh_table_release(service);
        return NGX_OK;
    }

    text.len = ngx_snprintf(buf, sizeof(buf),
                            "\"%s\" names service \"%V\" that no mesh {} "
                            "block declares",
                            demand->directive, &demand->service)
               - buf;

failed:

    ngx_mesh_demand_error(cycle, demand, &text);

    return NGX_ERROR;
}


static ngx_int_t
ngx_mesh_check_protocol(ngx_mesh_core_conf_t *ccf, ngx_mesh_demand_t *demand)
{
    ngx_int_t                 rc;
    ngx_uint_t                i, n, all;
    const ngx_mesh_codec_t   *codec, **declared;

    all = (demand->codecs && demand->protocol.len == 4
           && ngx_strncmp(demand->protocol.data, "auto", 4) == 0);

    declared = ccf->protocols ? ccf->protocols->elts : NULL;
    n = ccf->protocols ? ccf->protocols->nelts : 0;
    rc = all ? NGX_OK : NGX_DECLINED;

    for (i = 0; i < n || ngx_mesh_codecs[i - n]; i++) {
        codec = i < n ? declared[i] : ngx_mesh_codecs[i - n];

        if (!all
            && (codec->name.len != demand->protocol.len
                || ngx_memcmp(codec->name.data, demand->protocol.data,
                              codec->name.len) != 0))
        {
            continue;
        }

        rc = ngx_mesh_add_codec(demand, codec);

        if (!all || rc != NGX_OK) {
            break;
        }
    }

    return rc;
}


static ngx_int_t
ngx_mesh_add_codec(ngx_mesh_demand_t *demand, const ngx_mesh_codec_t *codec)
{
    const ngx_mesh_codec_t  **slot;

    if (demand->codecs == NULL) {
        return NGX_OK;
    }

    slot = ngx_array_push(demand->codecs);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = codec;

    return NGX_OK;
}


static u_char *
ngx_mesh_known_protocols(ngx_mesh_core_conf_t *ccf, ngx_mesh_demand_t *demand,
    u_char *p, u_char *last)
{
    ngx_uint_t                i;
    const ngx_mesh_codec_t  **declared;

    p = ngx_slprintf(p, last, "unknown protocol \"%V\" in \"%s\", known are: ",
                     &demand->protocol, demand->directive);

    if (demand->codecs) {
        p = ngx_slprintf(p, last, "auto, ");
    }

    for (i = 0; ngx_mesh_codecs[i]; i++) {
        p = ngx_slprintf(p, last, "%s%V", i ? ", " : "",
                         &ngx_mesh_codecs[i]->name);
    }

    if (ccf->protocols == NULL) {
        return p;
    }

    declared = ccf->protocols->elts;

    for (i = 0; i < ccf->protocols->nelts; i++) {
        p = ngx_slprintf(p, last, ", %V", &declared[i]->name);
    }

    return p;
}


static void
ngx_mesh_demand_error(ngx_cycle_t *cycle, ngx_mesh_demand_t *demand,
    ngx_str_t *text)
{
    if (demand->file.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "%V", text);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "%V in %V:%ui",
                  text, &demand->file, demand->line);
}


static ngx_int_t
ngx_mesh_init_module(ngx_cycle_t *cycle)
{
    ngx_mesh_zone_t       *zone;
    ngx_mesh_core_conf_t  *ccf;

    ngx_mesh_handover_init_module(cycle);

    ccf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    if (ccf == NULL) {
        ngx_mesh_registry_forget();
        return NGX_OK;
    }

    zone = ccf->zone->data;

    ngx_mesh_used_open(zone->used);

    /*
     * that it fits was seen before; a failure now is logged, and must not
     * stop a master whose old workers serve
     */

    if (ngx_mesh_live_open(zone->store, zone->store_size, zone->shpool)
        == NGX_OK)
    {
        ngx_mesh_registry_init_module(cycle);
        (void) ngx_mesh_live_apply(ccf->table, cycle->log);
        ngx_mesh_registry_committed();
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_init_process(ngx_cycle_t *cycle)
{
    ngx_mesh_zone_t       *zone;
    ngx_mesh_core_conf_t  *ccf;

    /* cache managers and loaders come here too */

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ccf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);
    if (ccf == NULL) {
        return NGX_OK;
    }

    zone = ccf->zone->data;

    if (ngx_mesh_live_open(zone->store, zone->store_size, zone->shpool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_used_open(zone->used);

    if (ngx_mesh_metrics_init_process(zone->region, zone->shpool) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_registry_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_registry_hook(&ngx_mesh_proxy_hook);

    if (ngx_process == NGX_PROCESS_SINGLE || ngx_worker == 0) {
        ngx_mesh_start_expire(cycle);
    }

    return ngx_mesh_proxy_init_process(cycle);
}


static void
ngx_mesh_start_expire(ngx_cycle_t *cycle)
{
    static ngx_event_t       ev;
    static ngx_connection_t  c;

    /* debug messages of timers look there */

    c.fd = (ngx_socket_t) -1;

    ev.handler = ngx_mesh_expire_handler;
    ev.data = &c;
    ev.log = cycle->log;
    ev.cancelable = 1;

    ngx_add_timer(&ev, NGX_MESH_EXPIRE_INTERVAL);
}


static void
ngx_mesh_expire_handler(ngx_event_t *ev)
{
    ngx_mesh_expire();

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_MESH_EXPIRE_INTERVAL);
    }
}


static void
ngx_mesh_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_mesh_get_conf(cycle, &ngx_mesh_core_module) == NULL) {
        return;
    }

    /* closing links counts, so the counters go last */

    ngx_mesh_registry_exit_process(cycle);
    ngx_mesh_proxy_exit_process(cycle);
    ngx_mesh_metrics_exit_process();
}
