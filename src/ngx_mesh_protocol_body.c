
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_protocol.h"


/* directives of protocol NAME {} about bodies, and frames of ours */


/* no name is expected further behind */

#define NGX_MESH_PROTOCOL_MAX_OFFSET  65535


static ngx_int_t ngx_mesh_protocol_prefix(u_char *p, size_t len,
    ngx_uint_t *prefix);
static char *ngx_mesh_protocol_lengths(ngx_conf_t *cf,
    ngx_mesh_strings_t *strings, ngx_str_t *value);
static char *ngx_mesh_protocol_fact_how(ngx_conf_t *cf, ngx_mesh_fact_t *fact,
    ngx_str_t *value, ngx_uint_t n);
static char *ngx_mesh_protocol_offset(ngx_conf_t *cf, ngx_str_t *value,
    size_t *offset);
static ngx_int_t ngx_mesh_protocol_parts(ngx_conf_t *cf, ngx_array_t *parts,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_protocol_hole(ngx_mesh_part_t *part, u_char *p,
    size_t len);


static ngx_str_t  ngx_mesh_protocol_fact_names[] = {
    ngx_string("service"),                 /* NGX_MESH_FACT_SERVICE */
    ngx_string("method"),                  /* NGX_MESH_FACT_METHOD */
    ngx_string("version"),                 /* NGX_MESH_FACT_VERSION */
    ngx_string("group"),                   /* NGX_MESH_FACT_GROUP */
    ngx_string("app"),                     /* NGX_MESH_FACT_APP */
    ngx_null_string
};


static ngx_str_t  ngx_mesh_protocol_prefix_names[] = {
    ngx_string("u8"),                      /* NGX_MESH_PREFIX_U8 */
    ngx_string("u16"),                     /* NGX_MESH_PREFIX_U16 */
    ngx_string("u32"),                     /* NGX_MESH_PREFIX_U32 */
    ngx_string("u16le"),                   /* NGX_MESH_PREFIX_U16LE */
    ngx_string("u32le"),                   /* NGX_MESH_PREFIX_U32LE */
    ngx_string("varint"),                  /* NGX_MESH_PREFIX_VARINT */
    ngx_string("hessian"),                 /* NGX_MESH_PREFIX_HESSIAN */
    ngx_null_string
};


#define ngx_mesh_protocol_space(ch)                                          \
    ((ch) == ' ' || (ch) == '\n' || (ch) == '\r' || (ch) == '\t')

#define NGX_MESH_PROTOCOL_PREFIXES                                           \
    "u8, u16, u32, u16le, u32le, varint or hessian"


static ngx_int_t
ngx_mesh_protocol_prefix(u_char *p, size_t len, ngx_uint_t *prefix)
{
    ngx_int_t  n;

    n = ngx_mesh_protocol_index(ngx_mesh_protocol_prefix_names, p, len);

    if (n == NGX_DECLINED) {
        return NGX_ERROR;
    }

    *prefix = n;

    return NGX_OK;
}


static char *
ngx_mesh_protocol_offset(ngx_conf_t *cf, ngx_str_t *value, size_t *offset)
{
    uint64_t  n;

    if (ngx_mesh_protocol_number(value->data, value->len, &n) != NGX_OK
        || n > NGX_MESH_PROTOCOL_MAX_OFFSET)
    {
        return ngx_mesh_protocol_invalid(cf, value, "an offset of 0 to 65535");
    }

    *offset = (size_t) n;

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_strings(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    uint64_t              n;
    ngx_str_t            *value;
    ngx_mesh_strings_t   *strings;

    strings = &ngx_mesh_protocol_declared(cf)->strings;
    value = cf->args->elts;

    if (strings->declared) {
        return "is duplicate";
    }

    strings->declared = 1;

    rv = ngx_mesh_protocol_offset(cf, &value[1], &strings->offset);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_mesh_protocol_begins(&value[2], "lengths=")) {
        strings->lengths = ngx_array_create(cf->pool, 4,
                                            sizeof(ngx_mesh_field_t));
        if (strings->lengths == NULL) {
            return NGX_CONF_ERROR;
        }

        if (cf->args->nelts == 4) {
            return ngx_mesh_protocol_invalid(cf, &value[3], "left out");
        }

        return ngx_mesh_protocol_lengths(cf, strings, &value[2]);
    }

    if (ngx_mesh_protocol_prefix(value[2].data, value[2].len,
                                 &strings->prefix)
        != NGX_OK)
    {
        return ngx_mesh_protocol_invalid(cf, &value[2],
                         NGX_MESH_PROTOCOL_PREFIXES ", or lengths=");
    }

    if (cf->args->nelts == 4) {
        if (!ngx_mesh_protocol_begins(&value[3], "count=")
            || ngx_mesh_protocol_number(value[3].data + 6, value[3].len - 6,
                                        &n)
               != NGX_OK
            || n == 0 || n > 256)
        {
            return ngx_mesh_protocol_invalid(cf, &value[3],
                                             "\"count=\" and 1 to 256");
        }

        strings->n = (ngx_uint_t) n;
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_protocol_lengths(ngx_conf_t *cf, ngx_mesh_strings_t *strings,
    ngx_str_t *value)
{
    u_char            *p, *last, *comma;
    ngx_mesh_field_t  *field;

    last = value->data + value->len;

    for (p = value->data + 8; /* void */ ; p = comma + 1) {
        comma = ngx_strlchr(p, last, ',');

        field = ngx_array_push(strings->lengths);
        if (field == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_mesh_protocol_pair(field, p, (comma ? comma : last) - p)
            != NGX_OK)
        {
            return ngx_mesh_protocol_invalid(cf, value,
                         "\"lengths=\" and OFFSET:SIZE[:little], for each "
                         "string, with commas");
        }

        if (comma == NULL) {
            return NGX_CONF_OK;
        }
    }
}


char *
ngx_mesh_protocol_map(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char            *rv;
    size_t           skip;
    ngx_str_t       *value;
    ngx_mesh_map_t  *map;

    map = &ngx_mesh_protocol_declared(cf)->map;
    value = cf->args->elts;

    if (map->declared) {
        return "is duplicate";
    }

    map->declared = 1;

    if (ngx_mesh_protocol_is(&value[1], "after")) {
        map->after = 1;

    } else {
        rv = ngx_mesh_protocol_offset(cf, &value[1], &map->offset);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (ngx_mesh_protocol_prefix(value[2].data, value[2].len, &map->key)
        != NGX_OK)
    {
        return ngx_mesh_protocol_invalid(cf, &value[2],
                                         NGX_MESH_PROTOCOL_PREFIXES);
    }

    if (ngx_mesh_protocol_prefix(value[3].data, value[3].len, &map->value)
        != NGX_OK)
    {
        return ngx_mesh_protocol_invalid(cf, &value[3],
                                         NGX_MESH_PROTOCOL_PREFIXES);
    }

    if (cf->args->nelts == 4) {
        return NGX_CONF_OK;
    }

    if (ngx_mesh_protocol_begins(&value[4], "size=")) {
        map->end = NGX_MESH_MAP_SIZE;
        skip = 5;

    } else if (ngx_mesh_protocol_begins(&value[4], "count=")) {
        map->end = NGX_MESH_MAP_COUNT;
        skip = 6;

    } else {
        skip = value[4].len;
    }

    if (ngx_mesh_protocol_pair(&map->field, value[4].data + skip,
                               value[4].len - skip)
        != NGX_OK)
    {
        return ngx_mesh_protocol_invalid(cf, &value[4],
                             "\"size=\" or \"count=\", and OFFSET:SIZE");
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_fact(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t         n;
    ngx_str_t        *value;
    ngx_mesh_fact_t  *fact;

    value = cf->args->elts;

    n = ngx_mesh_protocol_index(ngx_mesh_protocol_fact_names, value[1].data,
                                value[1].len);
    if (n == NGX_DECLINED) {
        return ngx_mesh_protocol_invalid(cf, &value[1],
                              "service, method, version, group or app");
    }

    fact = &ngx_mesh_protocol_declared(cf)->facts[n];

    if (fact->how != NGX_MESH_FACT_NONE) {
        return "is duplicate for this fact";
    }

    return ngx_mesh_protocol_fact_how(cf, fact, value + 2,
                                      cf->args->nelts - 3);
}


/* n arguments follow the word value[0] */

static char *
ngx_mesh_protocol_fact_how(ngx_conf_t *cf, ngx_mesh_fact_t *fact,
    ngx_str_t *value, ngx_uint_t n)
{
    char      *rv;
    uint64_t   number;

    if (ngx_mesh_protocol_is(value, "const") && n == 1) {
        fact->how = NGX_MESH_FACT_CONST;
        fact->text = value[1];
        return NGX_CONF_OK;
    }

    if (ngx_mesh_protocol_is(value, "key") && n == 1) {
        fact->how = NGX_MESH_FACT_KEY;
        fact->text = value[1];
        return NGX_CONF_OK;
    }

    if (ngx_mesh_protocol_is(value, "nth") && n == 1) {

        if (ngx_mesh_protocol_number(value[1].data, value[1].len, &number)
            != NGX_OK
            || number > 255)
        {
            return ngx_mesh_protocol_invalid(cf, &value[1],
                                             "a number of 0 to 255");
        }

        fact->how = NGX_MESH_FACT_NTH;
        fact->n = (ngx_uint_t) number;
        return NGX_CONF_OK;
    }

    if ((ngx_mesh_protocol_is(value, "fixed")
         || ngx_mesh_protocol_is(value, "string"))
        && n == 2)
    {
        rv = ngx_mesh_protocol_offset(cf, &value[1], &fact->offset);
        if (rv != NGX_CONF_OK) {
            return rv;
        }

        if (ngx_mesh_protocol_is(value, "fixed")) {
            fact->how = NGX_MESH_FACT_FIXED;
            return ngx_mesh_protocol_offset(cf, &value[2], &fact->size);
        }

        fact->how = NGX_MESH_FACT_STRING;

        if (ngx_mesh_protocol_prefix(value[2].data, value[2].len,
                                     &fact->prefix)
            != NGX_OK)
        {
            return ngx_mesh_protocol_invalid(cf, &value[2],
                                             NGX_MESH_PROTOCOL_PREFIXES);
        }

        return NGX_CONF_OK;
    }

    return ngx_mesh_protocol_invalid(cf, value,
                        "const TEXT, fixed OFFSET LENGTH, string OFFSET "
                        "PREFIX, nth NUMBER or key NAME");
}


char *
ngx_mesh_protocol_template(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t     *value;
    ngx_array_t  **parts;

    parts = (ngx_array_t **) ((u_char *) ngx_mesh_protocol_declared(cf)
                              + cmd->offset);
    value = cf->args->elts;

    if (*parts) {
        return "is duplicate";
    }

    *parts = ngx_array_create(cf->pool, 4, sizeof(ngx_mesh_part_t));
    if (*parts == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_mesh_protocol_parts(cf, *parts, &value[1]) != NGX_OK) {
        return ngx_mesh_protocol_invalid(cf, &value[1],
                       "hexadecimal bytes with {id}, {length}, {status:SIZE} "
                       "and {text:PREFIX} between them");
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_mesh_protocol_parts(ngx_conf_t *cf, ngx_array_t *parts, ngx_str_t *value)
{
    u_char           *p, *last, *end;
    ngx_mesh_part_t  *part;

    last = value->data + value->len;

    for (p = value->data; p < last; p = end) {

        if (ngx_mesh_protocol_space(*p)) {
            end = p + 1;
            continue;
        }

        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(part, sizeof(ngx_mesh_part_t));

        if (*p == '{') {
            end = ngx_strlchr(p, last, '}');

            if (end == NULL
                || ngx_mesh_protocol_hole(part, p + 1, end - p - 1) != NGX_OK)
            {
                return NGX_ERROR;
            }

            end++;
            continue;
        }

        for (end = p;
             end < last && *end != '{' && !ngx_mesh_protocol_space(*end);
             end++)
        {
            /* void */
        }

        if (ngx_mesh_protocol_hex(cf->pool, p, end - p, &part->bytes)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return parts->nelts ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_protocol_hole(ngx_mesh_part_t *part, u_char *p, size_t len)
{
    uint64_t   n;
    ngx_str_t  s;

    s.data = p;
    s.len = len;

    if (ngx_mesh_protocol_is(&s, "id")) {
        part->type = NGX_MESH_PART_ID;
        return NGX_OK;
    }

    if (ngx_mesh_protocol_is(&s, "length")) {
        part->type = NGX_MESH_PART_LENGTH;
        return NGX_OK;
    }

    if (ngx_mesh_protocol_begins(&s, "status:")) {

        if (ngx_mesh_protocol_number(p + 7, len - 7, &n) != NGX_OK
            || n == 0 || n > 8)
        {
            return NGX_ERROR;
        }

        part->type = NGX_MESH_PART_STATUS;
        part->field.size = (uint8_t) n;
        return NGX_OK;
    }

    if (ngx_mesh_protocol_begins(&s, "text:")) {
        part->type = NGX_MESH_PART_TEXT;
        return ngx_mesh_protocol_prefix(p + 5, len - 5, &part->prefix);
    }

    return NGX_ERROR;
}


char *
ngx_mesh_protocol_error_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char               *p, *last;
    uint64_t              n;
    ngx_str_t            *value, *name;
    ngx_uint_t            i, err, known, all;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        last = value[i].data + value[i].len;
        p = ngx_strlchr(value[i].data, last, '=');

        if (p == NULL
            || ngx_mesh_protocol_number(p + 1, last - p - 1, &n) != NGX_OK
            || n > 0xffff)
        {
            return ngx_mesh_protocol_invalid(cf, &value[i],
                                             "NAME=NUMBER, up to 65535");
        }

        all = ngx_mesh_protocol_begins(&value[i], "default=");
        known = all;

        for (err = NGX_MESH_ERR_NONE + 1; err < NGX_MESH_ERR_N; err++) {
            name = ngx_mesh_codec_error_name(err);

            if (all || (name->len == (size_t) (p - value[i].data)
                        && ngx_memcmp(name->data, value[i].data, name->len)
                           == 0))
            {
                d->error_status[err] = (uint16_t) n;
                known = 1;
            }
        }

        if (!known) {
            return ngx_mesh_protocol_invalid(cf, &value[i],
                        "\"default=\", which comes first, or a name of "
                        "$mesh_error");
        }
    }

    return NGX_CONF_OK;
}
