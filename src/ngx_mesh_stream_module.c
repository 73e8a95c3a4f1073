
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_stream.h"


/* lengths of frames are signed on the wire */
#define NGX_MESH_STREAM_MAX_FRAME  0x7fffffff

#define NGX_MESH_STREAM_MAIN_SRV   NGX_STREAM_MAIN_CONF|NGX_STREAM_SRV_CONF


static ngx_uint_t ngx_mesh_stream_fits(ngx_listening_t *ls,
    ngx_str_t *codec);
static ngx_uint_t ngx_mesh_stream_serves(ngx_stream_addr_conf_t *conf,
    ngx_str_t *codec);
static void ngx_mesh_stream_received(ngx_stream_session_t *s);
static void ngx_mesh_stream_finalize(void *data, ngx_int_t rc);
static ngx_int_t ngx_mesh_stream_add_listen(ngx_conf_t *cf,
    ngx_stream_conf_ctx_t *ctx, int type, ngx_str_t *addr);
static ngx_int_t ngx_mesh_stream_init_listen(ngx_conf_t *cf);
static ngx_int_t ngx_mesh_stream_init_servers(ngx_conf_t *cf);

static void *ngx_mesh_stream_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_mesh_stream_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_mesh_stream_postconfiguration(ngx_conf_t *cf);
static char *ngx_mesh_stream_pass(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_mesh_stream_bounds_t  ngx_mesh_stream_time = {
    ngx_mesh_stream_check_bounds, 1, NGX_MAX_INT32_VALUE,
    "a time from 1ms to 24d, such as 500ms or 3s"
};

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_time_or_none = {
    ngx_mesh_stream_check_bounds, 0, NGX_MAX_INT32_VALUE,
    "a time up to 24d, such as 1s, or 0"
};

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_time_or_off = {
    ngx_mesh_stream_check_bounds, 0, NGX_MAX_INT32_VALUE,
    "\"off\" or a time up to 24d, such as 15s"
};

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_frame_size = {
    ngx_mesh_stream_check_bounds, 64, NGX_MESH_STREAM_MAX_FRAME,
    "a size from 64 to 2147483647 bytes, such as 8m"
};

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_buffer_size = {
    ngx_mesh_stream_check_bounds, 64, NGX_MESH_STREAM_MAX_FRAME,
    "a size from 64 bytes to \"mesh_max_frame\", such as 16k"
};

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_queue_size = {
    ngx_mesh_stream_check_bounds, 1024, NGX_MESH_STREAM_MAX_FRAME,
    "a size from 1k to 2147483647 bytes, such as 4m"
};

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_requests = {
    ngx_mesh_stream_check_bounds, 1, 1048576,
    "a number from 1 to 1048576"
};

#if (NGX_SSL)

static ngx_mesh_stream_bounds_t  ngx_mesh_stream_ssl_depth = {
    ngx_mesh_stream_check_bounds, 0, 100,
    "a number from 0 to 100"
};

static ngx_conf_post_t  ngx_mesh_stream_ssl_conf_command_post = {
    ngx_mesh_stream_ssl_conf_command
};

#endif


static ngx_command_t  ngx_mesh_stream_commands[] = {

    { ngx_string("mesh_pass"),
      NGX_STREAM_SRV_CONF|NGX_CONF_TAKE1,
      ngx_mesh_stream_pass,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_timeout"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_msec_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.timeout),
      &ngx_mesh_stream_time },

    { ngx_string("mesh_discovery_timeout"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_msec_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.discovery_timeout),
      &ngx_mesh_stream_time_or_none },

    { ngx_string("mesh_connect_timeout"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_msec_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, link.connect_timeout),
      &ngx_mesh_stream_time },

    { ngx_string("mesh_header_timeout"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_msec_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.header_timeout),
      &ngx_mesh_stream_time },

    { ngx_string("mesh_client_timeout"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_msec_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.client_timeout),
      &ngx_mesh_stream_time },

    { ngx_string("mesh_heartbeat"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_heartbeat,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, link.heartbeat),
      &ngx_mesh_stream_time_or_off },

    { ngx_string("mesh_multiplex"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE12,
      ngx_mesh_stream_multiplex,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_deadline"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_deadline,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_next_upstream"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_1MORE,
      ngx_mesh_stream_next_upstream,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_idempotent"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_1MORE,
      ngx_mesh_stream_idempotent,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_max_frame"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_size_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.max_frame),
      &ngx_mesh_stream_frame_size },

    { ngx_string("mesh_max_requests"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_num_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.max_requests),
      &ngx_mesh_stream_requests },

    { ngx_string("mesh_buffer_size"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_size_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.buffer_size),
      &ngx_mesh_stream_buffer_size },

    { ngx_string("mesh_link_buffer"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_size_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, link.link_buffer),
      &ngx_mesh_stream_queue_size },

    { ngx_string("mesh_client_buffer"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_size_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.client_buffer),
      &ngx_mesh_stream_queue_size },

    { ngx_string("mesh_handover"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.handover),
      NULL },

    { ngx_string("mesh_handover_timeout"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_msec_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, proxy.handover_timeout),
      &ngx_mesh_stream_time },

    { ngx_string("mesh_default_service"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_default_service,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_log_format"),
      NGX_STREAM_MAIN_CONF|NGX_CONF_2MORE,
      ngx_mesh_stream_log_format,
      NGX_STREAM_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_access_log"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_1MORE,
      ngx_mesh_stream_access_log,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

#if (NGX_SSL)

    { ngx_string("mesh_ssl"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.enable),
      NULL },

    { ngx_string("mesh_ssl_session_reuse"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.session_reuse),
      NULL },

    { ngx_string("mesh_ssl_protocols"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_1MORE,
      ngx_mesh_stream_ssl_protocols,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_ssl_ciphers"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.ciphers),
      NULL },

    { ngx_string("mesh_ssl_name"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_ssl_str_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.name),
      NULL },

    { ngx_string("mesh_ssl_server_name"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.server_name),
      NULL },

    { ngx_string("mesh_ssl_verify"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.verify),
      NULL },

    { ngx_string("mesh_ssl_verify_depth"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_num_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.verify_depth),
      &ngx_mesh_stream_ssl_depth },

    { ngx_string("mesh_ssl_trusted_certificate"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_ssl_str_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.trusted_certificate),
      NULL },

    { ngx_string("mesh_ssl_crl"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_ssl_str_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.crl),
      NULL },

    { ngx_string("mesh_ssl_certificate"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_ssl_str_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.certificate),
      NULL },

    { ngx_string("mesh_ssl_certificate_key"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_ssl_str_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.certificate_key),
      NULL },

    { ngx_string("mesh_ssl_password_file"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE1,
      ngx_mesh_stream_ssl_password_file,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mesh_ssl_conf_command"),
      NGX_MESH_STREAM_MAIN_SRV|NGX_CONF_TAKE2,
      ngx_conf_set_keyval_slot,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_mesh_stream_srv_conf_t, ssl.conf_commands),
      &ngx_mesh_stream_ssl_conf_command_post },

#endif

      ngx_null_command
};


static ngx_stream_module_t  ngx_mesh_stream_module_ctx = {
    ngx_mesh_stream_preconfiguration,      /* preconfiguration */
    ngx_mesh_stream_postconfiguration,     /* postconfiguration */

    ngx_mesh_stream_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_mesh_stream_create_srv_conf,       /* create server configuration */
    ngx_mesh_stream_merge_srv_conf         /* merge server configuration */
};


ngx_module_t  ngx_mesh_stream_module = {
    NGX_MODULE_V1,
    &ngx_mesh_stream_module_ctx,           /* module context */
    ngx_mesh_stream_commands,              /* module directives */
    NGX_STREAM_MODULE,                     /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_mesh_stream_log_exit,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


void
ngx_mesh_stream_handler(ngx_stream_session_t *s)
{
    ngx_connection_t            *c;
    ngx_mesh_stream_srv_conf_t  *mscf;

    c = s->connection;

    ngx_log_debug0(NGX_LOG_DEBUG_STREAM, c->log, 0, "mesh stream handler");

    /* the phases before this one may have chosen another server */

    mscf = ngx_stream_get_module_srv_conf(s, ngx_mesh_stream_module);

    c->log->action = "serving mesh client";

    if (ngx_mesh_handover_received(c)) {
        ngx_mesh_stream_received(s);
    }

    ngx_mesh_session_start(c, &mscf->proxy, &s->received, s,
                           ngx_mesh_stream_finalize);
}


/* the session began in another process, as its log will show */

static void
ngx_mesh_stream_received(ngx_stream_session_t *s)
{
    uint64_t  start;

    start = ngx_mesh_wall_clock()
            - (ngx_current_msec - s->connection->start_time);

    s->start_sec = (time_t) (start / 1000);
    s->start_msec = (ngx_msec_t) (start % 1000);
}


/* in the middle of a connection neither TLS nor a PROXY header begins, nor
   would what another module serves make sense */

static ngx_uint_t
ngx_mesh_stream_fits(ngx_listening_t *ls, ngx_str_t *codec)
{
    ngx_uint_t               i;
    ngx_stream_port_t       *port;
    ngx_stream_in_addr_t    *addr;
    ngx_stream_addr_conf_t  *conf;
#if (NGX_HAVE_INET6)
    ngx_stream_in6_addr_t   *addr6;
#endif

    if (ls->handler != ngx_stream_init_connection) {
        return 0;
    }

    port = ls->servers;

    for (i = 0; i < port->naddrs; i++) {

        switch (ls->sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
        case AF_INET6:
            addr6 = port->addrs;
            conf = &addr6[i].conf;
            break;
#endif

        default: /* AF_INET, AF_UNIX */
            addr = port->addrs;
            conf = &addr[i].conf;
        }

        if (conf->proxy_protocol || conf->ssl
            || !ngx_mesh_stream_serves(conf, codec))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_mesh_stream_serves(ngx_stream_addr_conf_t *conf, ngx_str_t *codec)
{
    ngx_uint_t                    i;
    const ngx_mesh_codec_t      **codecs;
    ngx_stream_core_srv_conf_t   *cscf;
    ngx_mesh_stream_srv_conf_t   *mscf;

#if (nginx_version >= 1025005)
    cscf = conf->default_server;
#else
    cscf = conf->ctx->srv_conf[ngx_stream_core_module.ctx_index];
#endif

    mscf = cscf->ctx->srv_conf[ngx_mesh_stream_module.ctx_index];

    if (cscf->handler != ngx_mesh_stream_handler) {
        return 0;
    }

    codecs = mscf->proxy.codecs->elts;

    for (i = 0; codec->len && i < mscf->proxy.codecs->nelts; i++) {
        if (codecs[i]->name.len == codec->len
            && ngx_memcmp(codecs[i]->name.data, codec->data, codec->len) == 0)
        {
            return 1;
        }
    }

    return codec->len == 0;
}


static void
ngx_mesh_stream_finalize(void *data, ngx_int_t rc)
{
    ngx_stream_session_t *s = data;

    ngx_uint_t         status;
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    if (rc == NGX_DONE) {

        /* it goes on elsewhere: no log yet, and nothing is said to TLS */

        c = s->connection;
        pool = c->pool;

#if (NGX_STAT_STUB)
        (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

        ngx_close_connection(c);
        ngx_destroy_pool(pool);
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_STREAM, s->connection->log, 0,
                   "mesh stream finalize: %i", rc);

    switch (rc) {

    case NGX_OK:
        status = NGX_STREAM_OK;
        break;

    case NGX_ABORT:
        status = NGX_STREAM_BAD_REQUEST;
        break;

    default:
        status = NGX_STREAM_INTERNAL_SERVER_ERROR;
    }

    ngx_stream_finalize_session(s, status);
}


static void *
ngx_mesh_stream_create_main_conf(ngx_conf_t *cf)
{
    ngx_mesh_stream_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_stream_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&conf->formats, cf->pool, 4, sizeof(void *)) != NGX_OK
        || ngx_array_init(&conf->attachments, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&conf->links, cf->pool, 4,
                          sizeof(ngx_mesh_link_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


static ngx_int_t
ngx_mesh_stream_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_mesh_stream_add_variables(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_stream_log_predefine(cf);
}


static ngx_int_t
ngx_mesh_stream_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_mesh_stream_init_listen(cf) != NGX_OK
        || ngx_mesh_stream_init_attachments(cf) != NGX_OK
        || ngx_mesh_stream_log_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_stream_init_servers(cf);
}


static ngx_int_t
ngx_mesh_stream_init_servers(ngx_conf_t *cf)
{
    ngx_uint_t                     i;
    ngx_stream_conf_ctx_t         *ctx;
    ngx_mesh_stream_srv_conf_t    *mscf;
    ngx_stream_core_srv_conf_t   **cscfp;
    ngx_mesh_stream_main_conf_t   *mmcf;
    ngx_stream_core_main_conf_t   *cmcf;

    cmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {

        ctx = cscfp[i]->ctx;
        mscf = ctx->srv_conf[ngx_mesh_stream_module.ctx_index];

        if (mscf->proxy.codecs == NULL || mscf->logs == NULL || mscf->off) {
            continue;
        }

        mscf->proxy.log = ngx_mesh_stream_log_call;

        /* may be empty: group and application are read with them */

        if (ngx_mesh_stream_log_attached(mmcf, mscf)) {
            mscf->proxy.attachments = &mmcf->attachments;
        }
    }

    return NGX_OK;
}


/* names the server after its first address */

static ngx_int_t
ngx_mesh_stream_add_listen(ngx_conf_t *cf, ngx_stream_conf_ctx_t *ctx,
    int type, ngx_str_t *addr)
{
    ngx_mesh_stream_srv_conf_t  *mscf;
    ngx_stream_core_srv_conf_t  *cscf;

    mscf = ctx->srv_conf[ngx_mesh_stream_module.ctx_index];

    if (mscf->proxy.codecs == NULL) {
        return NGX_OK;
    }

    if (type == SOCK_DGRAM) {
        cscf = ctx->srv_conf[ngx_stream_core_module.ctx_index];

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mesh_pass\" does not serve \"listen %V udp\", "
                      "remove \"udp\" in server at %s:%ui",
                      addr, cscf->file_name, cscf->line);
        return NGX_ERROR;
    }

    if (mscf->proxy.listener.len == 0) {
        mscf->proxy.listener = *addr;
    }

    return NGX_OK;
}


#if (nginx_version >= 1025005)

static ngx_int_t
ngx_mesh_stream_init_listen(ngx_conf_t *cf)
{
    ngx_uint_t                     i, n, k;
    ngx_stream_conf_port_t        *port;
    ngx_stream_conf_addr_t        *addr;
    ngx_stream_core_srv_conf_t   **cscfp;
    ngx_stream_core_main_conf_t   *cmcf;

    cmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);

    if (cmcf->ports == NULL) {
        return NGX_OK;
    }

    port = cmcf->ports->elts;

    for (i = 0; i < cmcf->ports->nelts; i++) {
        addr = port[i].addrs.elts;

        for (n = 0; n < port[i].addrs.nelts; n++) {
            cscfp = addr[n].servers.elts;

            for (k = 0; k < addr[n].servers.nelts; k++) {
                if (ngx_mesh_stream_add_listen(cf, cscfp[k]->ctx, port[i].type,
                                               &addr[n].opt.addr_text)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}

#else

static ngx_int_t
ngx_mesh_stream_init_listen(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_stream_listen_t          *ls;
    ngx_stream_core_main_conf_t  *cmcf;

    cmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);

    ls = cmcf->listen.elts;

    for (i = 0; i < cmcf->listen.nelts; i++) {
        if (ngx_mesh_stream_add_listen(cf, ls[i].ctx, ls[i].type,
                                       &ls[i].addr_text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

#endif


static char *
ngx_mesh_stream_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_str_t                   *value;
    ngx_stream_core_srv_conf_t  *cscf;

    if (mscf->proxy.codecs) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mscf->proxy.codecs = ngx_array_create(cf->pool, 4,
                                          sizeof(ngx_mesh_codec_t *));
    if (mscf->proxy.codecs == NULL) {
        return NGX_CONF_ERROR;
    }

    cscf = ngx_stream_conf_get_module_srv_conf(cf, ngx_stream_core_module);

    if (cscf->handler) {
        return "conflicts with another content directive of the server, "
               "such as \"proxy_pass\", remove one of them";
    }

    cscf->handler = ngx_mesh_stream_handler;
    ngx_mesh_handover_fits = ngx_mesh_stream_fits;

    if (ngx_mesh_require_protocol(cf, "mesh_pass", &value[1],
                                  mscf->proxy.codecs)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
