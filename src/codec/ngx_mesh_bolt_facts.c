
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_bolt.h"


/*
 * Names stand in the header map: pairs of a length and bytes, -1 for null.
 * Of two pairs with one key the later one counts.  A request without names
 * there has them in its content, if that is Hessian; one of another class
 * than SOFARPC's is known by its class.
 */


static void ngx_mesh_bolt_map(ngx_mesh_facts_t *facts, ngx_str_t *service);
static void ngx_mesh_bolt_content(ngx_mesh_facts_t *facts,
    ngx_mesh_bolt_parts_t *parts, ngx_str_t *service);
static void ngx_mesh_bolt_service(ngx_mesh_facts_t *facts, ngx_str_t *service);


ngx_str_t  ngx_mesh_bolt_sofa_request =
    ngx_string("com.alipay.sofa.rpc.core.request.SofaRequest");

static ngx_str_t  ngx_mesh_bolt_request_fields[] = {
    ngx_string("targetServiceUniqueName"),
    ngx_string("methodName")
};

static ngx_str_t  ngx_mesh_bolt_response_fields[] = {
    ngx_string("isError")
};


#define ngx_mesh_bolt_is(s, text)                                            \
    ((s)->len == sizeof(text) - 1                                            \
     && ngx_memcmp((s)->data, text, sizeof(text) - 1) == 0)


ngx_int_t
ngx_mesh_bolt_pair(u_char **pos, u_char *end, ngx_str_t *key, ngx_str_t *value)
{
    u_char      *p;
    uint32_t     n;
    ngx_str_t   *s;
    ngx_uint_t   i;

    p = *pos;

    if (p == end) {
        return NGX_DONE;
    }

    for (i = 0; i < 2; i++) {
        s = i ? value : key;

        if (end - p < 4) {
            return NGX_ERROR;
        }

        n = ngx_mesh_bolt_u32(p);
        p += 4;

        if (n == 0xffffffff) {
            ngx_str_null(s);
            continue;
        }

        if (n > (size_t) (end - p)) {
            return NGX_ERROR;
        }

        s->len = n;
        s->data = p;
        p += n;
    }

    *pos = p;

    return NGX_OK;
}


void
ngx_mesh_bolt_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts)
{
    ngx_str_t              service;
    ngx_mesh_bolt_parts_t  parts;

    if (facts->tried) {
        return;
    }

    ngx_mesh_bolt_split(p, f, &parts);

    facts->tried = 1;
    facts->attachments = 1;
    facts->timeout = -1;
    facts->attach = parts.map.data;
    facts->end = parts.map.data + parts.map.len;

    if (f->serial == NGX_MESH_BOLT_HESSIAN && parts.content.len
        && parts.content.data[0] == 'C')
    {
        f->serial |= NGX_MESH_BOLT_FINAL;
    }

    ngx_str_null(&service);

    ngx_mesh_bolt_map(facts, &service);

    if (parts.class.len != ngx_mesh_bolt_sofa_request.len
        || ngx_memcmp(parts.class.data, ngx_mesh_bolt_sofa_request.data,
                      parts.class.len) != 0)
    {
        if (service.len == 0) {
            service = parts.class;
        }

    } else if ((service.len == 0 || facts->method.len == 0)
               && ngx_mesh_bolt_hessian(f->serial))
    {
        ngx_mesh_bolt_content(facts, &parts, &service);
    }

    ngx_mesh_bolt_service(facts, &service);
}


static void
ngx_mesh_bolt_map(ngx_mesh_facts_t *facts, ngx_str_t *service)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   key, value, other;

    ngx_str_null(&other);
    p = facts->attach;

    for ( ;; ) {
        rc = ngx_mesh_bolt_pair(&p, facts->end, &key, &value);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK) {

            /* what comes before it is as good as ever */

            facts->damaged = 1;
            facts->end = p;
            break;
        }

        /* Java drops a pair with a null: an earlier value stays */

        if (value.data == NULL) {
            continue;
        }

        switch (key.len) {

        case 3:
            if (ngx_mesh_bolt_is(&key, "app")) {
                facts->app = value;
            }

            break;

        case 7:
            if (ngx_mesh_bolt_is(&key, "service")) {
                other = value;
            }

            break;

        case 21:
            if (ngx_mesh_bolt_is(&key, "sofa_head_method_name")) {
                facts->method = value;
            }

            break;

        case 24:
            if (ngx_mesh_bolt_is(&key, "sofa_head_target_service")) {
                *service = value;
            }

            break;

        default:
            break;
        }
    }

    if (service->len == 0) {
        *service = other;
    }
}


static void
ngx_mesh_bolt_content(ngx_mesh_facts_t *facts, ngx_mesh_bolt_parts_t *parts,
    ngx_str_t *service)
{
    ngx_mesh_body_t    r;
    ngx_mesh_value_t   values[2];

    ngx_memzero(&r, sizeof(ngx_mesh_body_t));

    r.pos = parts->content.data;
    r.end = r.pos + parts->content.len;
    r.limit = r.end;
    r.scratch = facts->scratch;
    r.scratch_end = facts->scratch_end;

    if (ngx_mesh_sofa_fields(&r, ngx_mesh_bolt_request_fields, values, 2)
        != NGX_OK)
    {
        facts->damaged = 1;
    }

    facts->scratch = r.scratch;

    if (values[0].type == NGX_MESH_SERIAL_STRING && service->len == 0) {
        *service = values[0].str;
    }

    if (values[1].type == NGX_MESH_SERIAL_STRING && facts->method.len == 0) {
        facts->method = values[1].str;
    }
}


/* interface:version[:uniqueId]; what follows the interface is the version */

static void
ngx_mesh_bolt_service(ngx_mesh_facts_t *facts, ngx_str_t *service)
{
    u_char  *p, *last;

    if (service->len == 0) {
        return;
    }

    last = service->data + service->len;
    p = ngx_strlchr(service->data, last, ':');

    facts->names = 1;
    facts->interface = *service;

    if (p) {
        facts->interface.len = p - service->data;
        facts->version.data = p + 1;
        facts->version.len = last - (p + 1);
    }
}


ngx_int_t
ngx_mesh_bolt_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   key, v;

    rc = NGX_DECLINED;
    p = facts->attach;

    if (p == NULL) {
        return NGX_DECLINED;
    }

    while (ngx_mesh_bolt_pair(&p, facts->end, &key, &v) == NGX_OK) {

        if (v.data
            && ngx_mesh_codec_name_match(name, key.data, key.len) == NGX_OK)
        {
            *value = v;
            rc = NGX_OK;
        }
    }

    return rc;
}


/*
 * Java marks exceptions and errors with the same header; which of them it is
 * says the content, if it is Hessian.
 */

ngx_uint_t
ngx_mesh_bolt_result(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    u_char                 *pos;
    ngx_str_t               key, value;
    ngx_uint_t              error;
    ngx_mesh_body_t         r;
    ngx_mesh_value_t        v;
    ngx_mesh_bolt_parts_t   parts;
    u_char                  scratch[256];

    if (!f->ok) {
        return NGX_MESH_RESULT_ERROR;
    }

    ngx_mesh_bolt_split(p, f, &parts);

    pos = parts.map.data;
    error = 0;

    while (ngx_mesh_bolt_pair(&pos, parts.map.data + parts.map.len, &key,
                              &value)
           == NGX_OK)
    {
        if (value.data
            && ngx_mesh_bolt_is(&key, "sofa_head_response_error"))
        {
            error = ngx_mesh_bolt_is(&value, "true");
        }
    }

    if (!error) {
        return NGX_MESH_RESULT_OK;
    }

    if (!ngx_mesh_bolt_hessian(f->serial)) {
        return NGX_MESH_RESULT_EXCEPTION;
    }

    ngx_memzero(&r, sizeof(ngx_mesh_body_t));

    r.pos = parts.content.data;
    r.end = r.pos + parts.content.len;
    r.limit = r.end;
    r.scratch = scratch;
    r.scratch_end = scratch + sizeof(scratch);

    (void) ngx_mesh_sofa_fields(&r, ngx_mesh_bolt_response_fields, &v, 1);

    return (v.type == NGX_MESH_SERIAL_BOOL && v.num)
           ? NGX_MESH_RESULT_ERROR : NGX_MESH_RESULT_EXCEPTION;
}
