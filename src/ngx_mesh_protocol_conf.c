
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_protocol.h"


/* directives of protocol NAME {} about headers */


/* an id has to tell calls in flight apart, and old ones from new ones */

#define NGX_MESH_PROTOCOL_MIN_ID  3


static char *ngx_mesh_protocol_field(ngx_conf_t *cf, ngx_mesh_field_t *field);
static ngx_int_t ngx_mesh_protocol_kinds(ngx_conf_t *cf,
    ngx_mesh_declared_t *d, ngx_str_t *value);
static ngx_int_t ngx_mesh_protocol_list(ngx_array_t *list, u_char *p,
    u_char *last);


static ngx_str_t  ngx_mesh_protocol_kind_names[] = {
    ngx_string("request"),                 /* NGX_MESH_FRAME_REQUEST */
    ngx_string("oneway"),                  /* NGX_MESH_FRAME_ONEWAY */
    ngx_string("response"),                /* NGX_MESH_FRAME_RESPONSE */
    ngx_string("heartbeat"),               /* NGX_MESH_FRAME_HEARTBEAT */
    ngx_string("heartbeat_answer"),        /* NGX_MESH_FRAME_ACK */
    ngx_string("readonly"),                /* NGX_MESH_FRAME_READONLY */
    ngx_string("event"),                   /* NGX_MESH_FRAME_EVENT */
    ngx_null_string
};


char *
ngx_mesh_protocol_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right)
{
    ngx_str_t  *name;

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, name, right);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_mesh_protocol_index(ngx_str_t *names, u_char *p, size_t len)
{
    ngx_int_t  i;

    for (i = 0; names[i].len; i++) {
        if (names[i].len == len && ngx_memcmp(names[i].data, p, len) == 0) {
            return i;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_mesh_protocol_number(u_char *p, size_t len, uint64_t *number)
{
    u_char    ch;
    size_t    i;
    uint64_t  n;

    n = 0;

    if (len > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {

        if (len > 18) {
            return NGX_ERROR;
        }

        for (i = 2; i < len; i++) {
            ch = (u_char) (p[i] | 0x20);

            if (ch >= '0' && ch <= '9') {
                n = n << 4 | (ch - '0');

            } else if (ch >= 'a' && ch <= 'f') {
                n = n << 4 | (ch - 'a' + 10);

            } else {
                return NGX_ERROR;
            }
        }

    } else {
        if (len == 0 || len > 19) {
            return NGX_ERROR;
        }

        for (i = 0; i < len; i++) {
            if (p[i] < '0' || p[i] > '9') {
                return NGX_ERROR;
            }

            n = n * 10 + (p[i] - '0');
        }
    }

    *number = n;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_protocol_hex(ngx_pool_t *pool, u_char *p, size_t len,
    ngx_str_t *bytes)
{
    size_t     i;
    ngx_int_t  n;

    if (len == 0 || len % 2) {
        return NGX_DECLINED;
    }

    bytes->len = len / 2;
    bytes->data = ngx_pnalloc(pool, bytes->len);

    if (bytes->data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < bytes->len; i++) {
        n = ngx_hextoi(p + 2 * i, 2);

        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        bytes->data[i] = (u_char) n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_protocol_pair(ngx_mesh_field_t *field, u_char *p, size_t len)
{
    u_char    *colon, *last;
    uint64_t   offset, size;

    last = p + len;

    colon = ngx_strlchr(p, last, ':');

    if (colon == NULL
        || ngx_mesh_protocol_number(p, colon - p, &offset) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = colon + 1;
    field->little = 0;

    if (last - p > 7 && ngx_strncmp(last - 7, ":little", 7) == 0) {
        field->little = 1;
        last -= 7;
    }

    if (ngx_mesh_protocol_number(p, last - p, &size) != NGX_OK
        || size == 0 || size > 8 || offset > 0xffff - size)
    {
        return NGX_ERROR;
    }

    field->offset = (uint16_t) offset;
    field->size = (uint8_t) size;

    return NGX_OK;
}


/* OFFSET SIZE [little]: the first arguments of a directive; "little" may be
   anywhere behind, and is taken out */

static char *
ngx_mesh_protocol_field(ngx_conf_t *cf, ngx_mesh_field_t *field)
{
    uint64_t     offset, size;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (ngx_mesh_protocol_number(value[1].data, value[1].len, &offset)
        != NGX_OK
        || offset >= NGX_MESH_HEAD_MAX)
    {
        return ngx_mesh_protocol_invalid(cf, &value[1],
                                         "an offset of 0 to 31");
    }

    if (ngx_mesh_protocol_number(value[2].data, value[2].len, &size) != NGX_OK
        || size == 0 || size > 8)
    {
        return ngx_mesh_protocol_invalid(cf, &value[2],
                                         "a size of 1 to 8 bytes");
    }

    if (offset + size > NGX_MESH_HEAD_MAX) {
        return ngx_mesh_protocol_invalid(cf, &value[2],
                                         "a field within the first 32 bytes");
    }

    field->offset = (uint16_t) offset;
    field->size = (uint8_t) size;
    field->little = 0;

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_mesh_protocol_is(&value[i], "little")) {
            field->little = 1;
            ngx_str_null(&value[i]);
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_magic(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    uint64_t              offset;
    ngx_int_t             rc;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_mesh_magic_t     *magic;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    if (ngx_mesh_protocol_number(value[1].data, value[1].len, &offset)
        != NGX_OK
        || offset >= NGX_MESH_HEAD_MAX)
    {
        return ngx_mesh_protocol_invalid(cf, &value[1],
                                         "an offset of 0 to 31");
    }

    magic = ngx_array_push(&d->magics);
    if (magic == NULL) {
        return NGX_CONF_ERROR;
    }

    magic->offset = (size_t) offset;

    rc = ngx_mesh_protocol_hex(cf->pool, value[2].data, value[2].len,
                               &magic->value);

    if (rc != NGX_OK || offset + magic->value.len > NGX_MESH_HEAD_MAX) {
        return ngx_mesh_protocol_invalid(cf, &value[2],
                     "hexadecimal bytes that end within the first 32");
    }

    if (cf->args->nelts == 4) {

        if (!ngx_mesh_protocol_begins(&value[3], "mask=")
            || ngx_mesh_protocol_hex(cf->pool, value[3].data + 5,
                                     value[3].len - 5, &magic->mask)
               != NGX_OK
            || magic->mask.len != magic->value.len)
        {
            return ngx_mesh_protocol_invalid(cf, &value[3],
                                   "\"mask=\" and as many hexadecimal bytes");
        }

        for (i = 0; i < magic->mask.len; i++) {
            magic->value.data[i] &= magic->mask.data[i];
        }

        return NGX_CONF_OK;
    }

    magic->mask.len = magic->value.len;
    magic->mask.data = ngx_pnalloc(cf->pool, magic->mask.len);
    if (magic->mask.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memset(magic->mask.data, 0xff, magic->mask.len);

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_length(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    int64_t               add;
    uint64_t              n;
    ngx_str_t            *value;
    ngx_uint_t            i, to, first, last, negative;
    ngx_mesh_field_t     *length, field;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    rv = ngx_mesh_protocol_field(cf, &field);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    first = NGX_MESH_TO_PROVIDER;
    last = NGX_MESH_TO_CLIENT;
    add = 0;

    for (i = 3; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            continue;
        }

        if (ngx_mesh_protocol_begins(&value[i], "add=")) {
            negative = (value[i].len > 4 && value[i].data[4] == '-');

            if (ngx_mesh_protocol_number(value[i].data + 4 + negative,
                                         value[i].len - 4 - negative, &n)
                == NGX_OK
                && n <= 0xffff)
            {
                add = negative ? - (int64_t) n : (int64_t) n;
                continue;
            }

            return ngx_mesh_protocol_invalid(cf, &value[i],
                          "\"add=\" and a number of bytes up to 65535");
        }

        if (ngx_mesh_protocol_is(&value[i], "for=request")) {
            last = NGX_MESH_TO_PROVIDER;
            continue;
        }

        if (ngx_mesh_protocol_is(&value[i], "for=response")) {
            first = NGX_MESH_TO_CLIENT;
            continue;
        }

        return ngx_mesh_protocol_invalid(cf, &value[i],
                                         "little, add=, for=request or "
                                         "for=response");
    }

    for (to = first; to <= last; to++) {
        length = ngx_array_push(&d->lengths[to]);
        if (length == NULL) {
            return NGX_CONF_ERROR;
        }

        *length = field;
        d->add[to] += add;
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    if (d->id.size) {
        return "is duplicate";
    }

    rv = ngx_mesh_protocol_field(cf, &d->id);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (d->id.size < NGX_MESH_PROTOCOL_MIN_ID) {
        return ngx_mesh_protocol_invalid(cf, &value[2],
                                         "at least 3 bytes; without an \"id\" "
                                         "a connection carries a call at a "
                                         "time");
    }

    for (i = 3; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            continue;
        }

        if (!ngx_mesh_protocol_begins(&value[i], "after=")
            || ngx_mesh_protocol_pair(&d->after, value[i].data + 6,
                                      value[i].len - 6)
               != NGX_OK
            || d->after.offset + d->after.size > NGX_MESH_HEAD_MAX)
        {
            return ngx_mesh_protocol_invalid(cf, &value[i],
                           "little or after=OFFSET:SIZE of the length of a "
                           "string, within the first 32 bytes");
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_kind(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    uint64_t              bits;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_mesh_kind_t      *kinds;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    if (d->kind.size) {
        return "is duplicate";
    }

    rv = ngx_mesh_protocol_field(cf, &d->kind);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    d->kind_mask = (uint64_t) -1;

    for (i = 3; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            continue;
        }

        if (ngx_mesh_protocol_begins(&value[i], "mask=")) {
            if (ngx_mesh_protocol_number(value[i].data + 5, value[i].len - 5,
                                         &d->kind_mask)
                != NGX_OK)
            {
                return ngx_mesh_protocol_invalid(cf, &value[i],
                                           "\"mask=\" and a number as 0xe0");
            }

            continue;
        }

        switch (ngx_mesh_protocol_kinds(cf, d, &value[i])) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            return ngx_mesh_protocol_invalid(cf, &value[i],
                           "mask=, request=, response=, oneway=, heartbeat=, "
                           "heartbeat_answer=, readonly= or event= with "
                           "numbers");
        default:
            return NGX_CONF_ERROR;
        }
    }

    bits = ((uint64_t) -1 >> (64 - d->kind.size * 8)) & d->kind_mask;
    kinds = d->kinds.elts;

    for (i = 0; i < d->kinds.nelts; i++) {
        if (kinds[i].value & ~bits) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the value 0x%xL in \"kind\" never comes, the "
                               "field and its mask have the bits 0x%xL",
                               kinds[i].value, bits);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_mesh_protocol_kinds(ngx_conf_t *cf, ngx_mesh_declared_t *d,
    ngx_str_t *value)
{
    u_char           *p, *last;
    uint64_t         *numbers;
    ngx_int_t         kind;
    ngx_uint_t        i, n;
    ngx_array_t       list;
    ngx_mesh_kind_t  *kinds;

    last = value->data + value->len;

    p = ngx_strlchr(value->data, last, '=');
    if (p == NULL) {
        return NGX_DECLINED;
    }

    kind = ngx_mesh_protocol_index(ngx_mesh_protocol_kind_names, value->data,
                                   p - value->data);
    if (kind == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (ngx_array_init(&list, cf->temp_pool, 4, sizeof(uint64_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_protocol_list(&list, p + 1, last) != NGX_OK) {
        return NGX_DECLINED;
    }

    numbers = list.elts;

    for (n = 0; n < list.nelts; n++) {
        kinds = d->kinds.elts;

        for (i = 0; i < d->kinds.nelts; i++) {
            if (kinds[i].value == numbers[n]) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate value in \"%V\", each stands "
                                   "for one kind", value);
                return NGX_ERROR;
            }
        }

        kinds = ngx_array_push(&d->kinds);
        if (kinds == NULL) {
            return NGX_ERROR;
        }

        kinds->value = numbers[n];
        kinds->kind = kind;
    }

    return NGX_OK;
}


/* numbers with commas between them */

static ngx_int_t
ngx_mesh_protocol_list(ngx_array_t *list, u_char *p, u_char *last)
{
    u_char    *comma;
    uint64_t  *number;

    for ( ;; ) {
        comma = ngx_strlchr(p, last, ',');

        number = ngx_array_push(list);
        if (number == NULL) {
            return NGX_ERROR;
        }

        if (ngx_mesh_protocol_number(p, (comma ? comma : last) - p, number)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (comma == NULL) {
            return NGX_OK;
        }

        p = comma + 1;
    }
}


char *
ngx_mesh_protocol_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    if (d->status.size) {
        return "is duplicate";
    }

    rv = ngx_mesh_protocol_field(cf, &d->status);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 3; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            continue;
        }

        if (!ngx_mesh_protocol_begins(&value[i], "ok=")
            || ngx_mesh_protocol_list(&d->ok, value[i].data + 3,
                                      value[i].data + value[i].len)
               != NGX_OK)
        {
            return ngx_mesh_protocol_invalid(cf, &value[i],
                                             "little, or ok= with numbers");
        }
    }

    if (d->ok.nelts == 0) {
        return "needs \"ok=\" with the status of a success";
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    if (d->timeout.size) {
        return "is duplicate";
    }

    rv = ngx_mesh_protocol_field(cf, &d->timeout);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_mesh_protocol_is(&value[i], "unit=s")) {
            d->timeout_unit = 1000;
            continue;
        }

        if (value[i].len && !ngx_mesh_protocol_is(&value[i], "unit=ms")) {
            return ngx_mesh_protocol_invalid(cf, &value[i],
                                             "little, unit=ms or unit=s");
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_protocol_max_frame(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    off_t                 size;
    ngx_str_t            *value;
    ngx_mesh_declared_t  *d;

    d = ngx_mesh_protocol_declared(cf);
    value = cf->args->elts;

    size = ngx_parse_offset(&value[1]);

    if (size < NGX_MESH_HEAD_MAX || size > 0x7fffffff) {
        return ngx_mesh_protocol_invalid(cf, &value[1],
                                         "a size of 32 bytes to 2g - 1");
    }

    d->max_frame = (size_t) size;

    return NGX_CONF_OK;
}
