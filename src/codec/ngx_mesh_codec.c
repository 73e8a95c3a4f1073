
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


static const ngx_mesh_codec_t  *ngx_mesh_codecs[] = {
    &ngx_mesh_dubbo_codec,
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
    ngx_string("callback")
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
