
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


#if (NGX_SSL)

static void ngx_mesh_link_ssl_handshake(ngx_connection_t *c);
static ngx_int_t ngx_mesh_link_ssl_verify(ngx_mesh_link_t *link);
static ngx_int_t ngx_mesh_link_ssl_name(ngx_mesh_link_t *link,
    ngx_str_t *name);
static void ngx_mesh_link_ssl_save_session(ngx_connection_t *c);


ngx_int_t
ngx_mesh_link_ssl_init(ngx_mesh_link_t *link)
{
    ngx_str_t              name;
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_mesh_link_conf_t  *conf;

    c = link->connection;
    conf = link->bundle->conf;

    link->log.action = "SSL handshaking to endpoint";

    if (ngx_ssl_create_connection(conf->ssl, c, NGX_SSL_CLIENT) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_link_ssl_name(link, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->ssl_server_name
        && name.len && name.data[0] != '['
        && ngx_inet_addr(name.data, name.len) == INADDR_NONE
        && SSL_set_tlsext_host_name(c->ssl->connection, (char *) name.data)
           == 0)
    {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_tlsext_host_name(\"%s\") failed", name.data);
        return NGX_ERROR;
    }

    if (conf->ssl_session_reuse) {
        c->ssl->save_session = ngx_mesh_link_ssl_save_session;

        if (link->bundle->ssl_session
            && ngx_ssl_set_session(c, link->bundle->ssl_session) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_mesh_link_ssl_handshake;
        return NGX_OK;
    }

    ngx_mesh_link_ssl_handshake(c);

    return NGX_OK;
}


static void
ngx_mesh_link_ssl_handshake(ngx_connection_t *c)
{
    ngx_mesh_link_t  *link;

    link = c->data;

    if (!c->ssl->handshaked || ngx_mesh_link_ssl_verify(link) != NGX_OK) {
        ngx_mesh_link_close(link, "TLS handshake failed", 1);
        return;
    }

    ngx_mesh_link_ready(link);
}


static ngx_int_t
ngx_mesh_link_ssl_verify(ngx_mesh_link_t *link)
{
    long               rc;
    ngx_str_t          name;
    ngx_connection_t  *c;

    c = link->connection;

    if (!link->bundle->conf->ssl_verify) {
        return NGX_OK;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "endpoint's certificate is not valid: (%l:%s)",
                      rc, X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    if (ngx_mesh_link_ssl_name(link, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_ssl_check_host(c, &name) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "endpoint's certificate does not match \"%V\"", &name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* OpenSSL wants the name with a zero at its end */

static ngx_int_t
ngx_mesh_link_ssl_name(ngx_mesh_link_t *link, ngx_str_t *name)
{
    u_char     *p, *last;
    ngx_str_t  *src;

    src = &link->bundle->host;

    p = ngx_pnalloc(link->pool, src->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, src->data, src->len + 1);

    name->data = p;
    name->len = src->len;

    last = ngx_strlchr(p, p + src->len, ':');

    if (last && p[0] != '[' && ngx_strncmp(p, "unix:", 5) != 0) {
        name->len = last - p;
        *last = '\0';
    }

    return NGX_OK;
}


static void
ngx_mesh_link_ssl_save_session(ngx_connection_t *c)
{
    ngx_mesh_link_t    *link;
    ngx_ssl_session_t  *session;

    link = c->data;

    session = ngx_ssl_get_session(c);

    if (session) {
        if (link->bundle->ssl_session) {
            ngx_ssl_free_session(link->bundle->ssl_session);
        }

        link->bundle->ssl_session = session;
    }
}

#endif
