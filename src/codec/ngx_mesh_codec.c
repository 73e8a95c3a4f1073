
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


const ngx_mesh_codec_t  *ngx_mesh_codecs[] = {
    &ngx_mesh_dubbo_codec,
    &ngx_mesh_bolt_codec,
    NULL
};


static ngx_str_t  ngx_mesh_codec_errors[NGX_MESH_ERR_N] = {
    ngx_null_string,
    ngx_string("no_route"),
    ngx_string("no_endpoint"),
    ngx_string("expired"),
    ngx_string("timeout"),
    ngx_string("upstream_closed"),
    ngx_string("overload"),
    ngx_string("request_too_large"),
    ngx_string("bad_response"),
    ngx_string("denied"),
    ngx_string("client_closed"),
    ngx_string("callback"),
    ngx_string("bad_request")
};


/*
 * A TLS client takes an alert before its handshake (RFC 8446, section 6.2:
 * handshake_failure); an HTTP/2 client expects our SETTINGS before the GOAWAY
 * that says HTTP_1_1_REQUIRED (RFC 9113, sections 3.4, 6.8 and 7).
 */

typedef struct {
    ngx_str_t            start;
    ngx_mesh_foreign_t   foreign;
} ngx_mesh_codec_foreign_t;


static const ngx_mesh_codec_foreign_t  ngx_mesh_codec_foreigns[] = {

    { ngx_string("\x16\x03"),
      { ngx_string("TLS"),
        ngx_string("\x15\x03\x01\0\x02\x02\x28") } },

    { ngx_string("PRI * HTTP/2"),
      { ngx_string("HTTP/2"),
        ngx_string("\0\0\0\4\0\0\0\0\0"
                   "\0\0\x27\7\0\0\0\0\0" "\0\0\0\0" "\0\0\0\x0d"
                   "this port does not speak HTTP/2") } },

#define NGX_MESH_HTTP                                                        \
      { ngx_string("HTTP"),                                                  \
        ngx_string("HTTP/1.1 400 Bad Request" CRLF                           \
                   "Content-Type: text/plain" CRLF                           \
                   "Content-Length: 30" CRLF                                 \
                   "Connection: close" CRLF CRLF                             \
                   "this port does not speak HTTP\n") }

    { ngx_string("GET "), NGX_MESH_HTTP },
    { ngx_string("POST "), NGX_MESH_HTTP },
    { ngx_string("HEAD "), NGX_MESH_HTTP },
    { ngx_string("OPTIONS "), NGX_MESH_HTTP },
    { ngx_null_string, { ngx_null_string, ngx_null_string } }
};


const ngx_mesh_codec_t *
ngx_mesh_codec_find(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; ngx_mesh_codecs[i]; i++) {
        if (ngx_mesh_codecs[i]->name.len == name->len
            && ngx_strncmp(ngx_mesh_codecs[i]->name.data, name->data,
                           name->len)
               == 0)
        {
            return ngx_mesh_codecs[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_mesh_codec_detect(const ngx_mesh_codec_t **codecs, ngx_uint_t n, u_char *p,
    size_t size, const ngx_mesh_codec_t **codec)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        rc = codecs[i]->detect(codecs[i], p, size);

        if (rc == NGX_OK) {
            *codec = codecs[i];
            return NGX_OK;
        }

        /* one that may still turn out to be right comes before the others */

        if (rc == NGX_AGAIN && size < NGX_MESH_HEAD_MAX) {
            return NGX_AGAIN;
        }
    }

    return NGX_DECLINED;
}


const ngx_mesh_foreign_t *
ngx_mesh_codec_foreign(u_char *p, size_t n)
{
    ngx_uint_t        i;
    const ngx_str_t  *start;

    for (i = 0; ngx_mesh_codec_foreigns[i].start.len; i++) {
        start = &ngx_mesh_codec_foreigns[i].start;

        if (n >= start->len && ngx_memcmp(p, start->data, start->len) == 0) {
            return &ngx_mesh_codec_foreigns[i].foreign;
        }
    }

    return NULL;
}


ngx_str_t *
ngx_mesh_codec_error_name(ngx_uint_t err)
{
    if (err >= NGX_MESH_ERR_N) {
        err = NGX_MESH_ERR_NONE;
    }

    return &ngx_mesh_codec_errors[err];
}


ngx_int_t
ngx_mesh_codec_name_match(ngx_str_t *pattern, u_char *p, size_t len)
{
    u_char  c, ch;
    size_t  i;

    if (pattern->len != len) {
        return NGX_DECLINED;
    }

    for (i = 0; i < len; i++) {
        c = ngx_tolower(pattern->data[i]);
        ch = ngx_tolower(p[i]);

        if (c == ch) {
            continue;
        }

        if (c != '_' || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}
