
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_stream.h"


#if (NGX_SSL)


static ngx_uint_t ngx_mesh_stream_ssl_inherited(ngx_mesh_stream_ssl_t *ssl);
static ngx_int_t ngx_mesh_stream_ssl_context(ngx_conf_t *cf,
    ngx_mesh_stream_ssl_t *ssl);
static ngx_int_t ngx_mesh_stream_ssl_certificates(ngx_conf_t *cf,
    ngx_mesh_stream_ssl_t *ssl);
static void ngx_mesh_stream_ssl_missing(ngx_conf_t *cf, char *missing,
    char *directive);


static ngx_conf_bitmask_t  ngx_mesh_stream_ssl_protocol_mask[] = {
    { ngx_string("SSLv2"), NGX_SSL_SSLv2 },
    { ngx_string("SSLv3"), NGX_SSL_SSLv3 },
    { ngx_string("TLSv1"), NGX_SSL_TLSv1 },
    { ngx_string("TLSv1.1"), NGX_SSL_TLSv1_1 },
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_null_string, 0 }
};


/* links outlive sessions, so nothing here can depend on a variable */

char *
ngx_mesh_stream_ssl_str_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_stream_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "variables are not supported in \"%V\", "
                           "\"%V\" must be constant", &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_conf_set_str_slot(cf, cmd, conf);
}


char *
ngx_mesh_stream_ssl_protocols(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_str_t           *value;
    ngx_uint_t           i, m;
    ngx_conf_bitmask_t  *mask;

    if (mscf->ssl.protocols) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mask = ngx_mesh_stream_ssl_protocol_mask;

    for (i = 1; i < cf->args->nelts; i++) {

        for (m = 0; mask[m].name.len; m++) {
            if (ngx_strcasecmp(mask[m].name.data, value[i].data) == 0) {
                mscf->ssl.protocols |= mask[m].mask;
                break;
            }
        }

        if (mask[m].name.len == 0) {
            return ngx_mesh_stream_invalid(cf, &value[i],
                                   "TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3");
        }
    }

    mscf->ssl.protocols |= NGX_CONF_BITMASK_SET;

    return NGX_CONF_OK;
}


char *
ngx_mesh_stream_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_str_t  *value;

    if (mscf->ssl.passwords != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mscf->ssl.passwords = ngx_ssl_read_password_file(cf, &value[1]);

    return mscf->ssl.passwords ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_mesh_stream_ssl_conf_command(ngx_conf_t *cf, void *post, void *data)
{
#ifndef SSL_CONF_FLAG_FILE
    return "is not supported on this platform";
#else
    return NGX_CONF_OK;
#endif
}


void
ngx_mesh_stream_ssl_create(ngx_mesh_stream_ssl_t *ssl)
{
    /*
     * set by ngx_pcalloc():
     *
     *     ssl->protocols = 0;
     *     ssl->ciphers = { 0, NULL };
     *     ssl->name = { 0, NULL };
     *     ssl->trusted_certificate = { 0, NULL };
     *     ssl->crl = { 0, NULL };
     *     ssl->certificate = { 0, NULL };
     *     ssl->certificate_key = { 0, NULL };
     *     ssl->ssl = NULL;
     */

    ssl->enable = NGX_CONF_UNSET;
    ssl->session_reuse = NGX_CONF_UNSET;
    ssl->server_name = NGX_CONF_UNSET;
    ssl->verify = NGX_CONF_UNSET;
    ssl->verify_depth = NGX_CONF_UNSET_UINT;
    ssl->passwords = NGX_CONF_UNSET_PTR;
    ssl->conf_commands = NGX_CONF_UNSET_PTR;
}


ngx_int_t
ngx_mesh_stream_ssl_merge(ngx_conf_t *cf, ngx_mesh_stream_srv_conf_t *prev,
    ngx_mesh_stream_srv_conf_t *conf)
{
    ngx_uint_t              inherited;
    ngx_mesh_stream_ssl_t  *pssl, *ssl;

    pssl = &prev->ssl;
    ssl = &conf->ssl;

    inherited = ngx_mesh_stream_ssl_inherited(ssl);

    ngx_conf_merge_value(ssl->enable, pssl->enable, 0);
    ngx_conf_merge_value(ssl->session_reuse, pssl->session_reuse, 1);
    ngx_conf_merge_bitmask_value(ssl->protocols, pssl->protocols,
                                 (NGX_CONF_BITMASK_SET|NGX_SSL_TLSv1_2
                                  |NGX_SSL_TLSv1_3));
    ngx_conf_merge_str_value(ssl->ciphers, pssl->ciphers, "DEFAULT");
    ngx_conf_merge_str_value(ssl->name, pssl->name, "");
    ngx_conf_merge_value(ssl->server_name, pssl->server_name, 0);
    ngx_conf_merge_value(ssl->verify, pssl->verify, 0);
    ngx_conf_merge_uint_value(ssl->verify_depth, pssl->verify_depth, 1);
    ngx_conf_merge_str_value(ssl->trusted_certificate,
                             pssl->trusted_certificate, "");
    ngx_conf_merge_str_value(ssl->crl, pssl->crl, "");
    ngx_conf_merge_str_value(ssl->certificate, pssl->certificate, "");
    ngx_conf_merge_str_value(ssl->certificate_key, pssl->certificate_key, "");
    ngx_conf_merge_ptr_value(ssl->passwords, pssl->passwords, NULL);
    ngx_conf_merge_ptr_value(ssl->conf_commands, pssl->conf_commands, NULL);

    if (!ssl->enable || conf->proxy.codecs == NULL) {
        return NGX_OK;
    }

    /* equal contexts are one object, so that servers can share their links */

    if (inherited && pssl->ssl) {
        ssl->ssl = pssl->ssl;

    } else if (ngx_mesh_stream_ssl_context(cf, ssl) != NGX_OK) {
        return NGX_ERROR;
    }

    if (inherited) {
        pssl->ssl = ssl->ssl;
    }

    conf->link.ssl = ssl->ssl;
    conf->link.ssl_name = ssl->name;
    conf->link.ssl_server_name = ssl->server_name;
    conf->link.ssl_verify = ssl->verify;
    conf->link.ssl_session_reuse = ssl->session_reuse;

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_stream_ssl_inherited(ngx_mesh_stream_ssl_t *ssl)
{
    return ssl->session_reuse == NGX_CONF_UNSET
           && ssl->protocols == 0
           && ssl->ciphers.data == NULL
           && ssl->verify == NGX_CONF_UNSET
           && ssl->verify_depth == NGX_CONF_UNSET_UINT
           && ssl->trusted_certificate.data == NULL
           && ssl->crl.data == NULL
           && ssl->certificate.data == NULL
           && ssl->certificate_key.data == NULL
           && ssl->passwords == NGX_CONF_UNSET_PTR
           && ssl->conf_commands == NGX_CONF_UNSET_PTR;
}


static ngx_int_t
ngx_mesh_stream_ssl_context(ngx_conf_t *cf, ngx_mesh_stream_ssl_t *ssl)
{
    ngx_pool_cleanup_t  *cln;

    ssl->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl->ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->ssl->log = cf->log;

    if (ngx_ssl_create(ssl->ssl, ssl->protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl->ssl;

    if (ngx_ssl_ciphers(cf, ssl->ssl, &ssl->ciphers, 0) != NGX_OK
        || ngx_mesh_stream_ssl_certificates(cf, ssl) != NGX_OK
        || ngx_ssl_client_session_cache(cf, ssl->ssl, ssl->session_reuse)
           != NGX_OK
        || ngx_ssl_conf_commands(cf, ssl->ssl, ssl->conf_commands) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_ssl_certificates(ngx_conf_t *cf, ngx_mesh_stream_ssl_t *ssl)
{
    if (ssl->certificate.len) {

        if (ssl->certificate_key.len == 0) {
            ngx_mesh_stream_ssl_missing(cf, "mesh_ssl_certificate_key",
                                        "mesh_ssl_certificate");
            return NGX_ERROR;
        }

        if (ngx_ssl_certificate(cf, ssl->ssl, &ssl->certificate,
                                &ssl->certificate_key, ssl->passwords)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (!ssl->verify) {
        return NGX_OK;
    }

    if (ssl->trusted_certificate.len == 0) {
        ngx_mesh_stream_ssl_missing(cf, "mesh_ssl_trusted_certificate",
                                    "mesh_ssl_verify");
        return NGX_ERROR;
    }

    if (ngx_ssl_trusted_certificate(cf, ssl->ssl, &ssl->trusted_certificate,
                                    ssl->verify_depth)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_ssl_crl(cf, ssl->ssl, &ssl->crl);
}


static void
ngx_mesh_stream_ssl_missing(ngx_conf_t *cf, char *missing, char *directive)
{
    ngx_stream_core_srv_conf_t  *cscf;

    cscf = ngx_stream_conf_get_module_srv_conf(cf, ngx_stream_core_module);

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "no \"%s\" is defined for \"%s\" in server at %s:%ui",
                  missing, directive, cscf->file_name, cscf->line);
}


#endif
