
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_stream_log.h"


static char *ngx_mesh_stream_log_escaping(ngx_conf_t *cf, ngx_str_t *value,
    ngx_uint_t *escape);
static char *ngx_mesh_stream_log_compile(ngx_conf_t *cf,
    ngx_mesh_stream_log_fmt_t *fmt, ngx_str_t *text);
static ngx_int_t ngx_mesh_stream_log_name(ngx_conf_t *cf, ngx_str_t *text,
    ngx_str_t *name);
static ngx_int_t ngx_mesh_stream_log_op(ngx_conf_t *cf,
    ngx_mesh_stream_log_fmt_t *fmt, ngx_mesh_stream_log_op_t *op,
    ngx_str_t *name);
static ngx_int_t ngx_mesh_stream_log_literal(ngx_conf_t *cf,
    ngx_mesh_stream_log_fmt_t *fmt, ngx_str_t *literal, u_char *p, size_t len);
static ngx_mesh_stream_log_fmt_t *ngx_mesh_stream_log_find_format(
    ngx_conf_t *cf, ngx_str_t *name);
static char *ngx_mesh_stream_log_target(ngx_conf_t *cf,
    ngx_mesh_stream_log_t *log);
static char *ngx_mesh_stream_log_params(ngx_conf_t *cf,
    ngx_mesh_stream_log_t *log, ngx_uint_t i);
static char *ngx_mesh_stream_log_condition(ngx_conf_t *cf,
    ngx_mesh_stream_log_t *log, ngx_str_t *text);
static char *ngx_mesh_stream_log_set_buffer(ngx_conf_t *cf,
    ngx_mesh_stream_log_t *log, size_t size, ngx_msec_t flush);
static char *ngx_mesh_stream_log_new_buffer(ngx_conf_t *cf,
    ngx_mesh_stream_log_t *log, size_t size, ngx_msec_t flush);


ngx_int_t
ngx_mesh_stream_log_predefine(ngx_conf_t *cf)
{
    ngx_str_t                     text;
    ngx_mesh_stream_log_fmt_t    *fmt, **fmtp;
    ngx_mesh_stream_main_conf_t  *mmcf;

    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    fmtp = ngx_array_push(&mmcf->formats);
    if (fmtp == NULL) {
        return NGX_ERROR;
    }

    fmt = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_stream_log_fmt_t));
    if (fmt == NULL) {
        return NGX_ERROR;
    }

    *fmtp = fmt;

    ngx_str_set(&fmt->name, "mesh");

    ngx_str_set(&text, "$remote_addr [$time_local] $mesh_protocol "
                       "$mesh_service $mesh_method "
                       "$mesh_status $mesh_result $mesh_error "
                       "$mesh_upstream_addr $mesh_request_time "
                       "$mesh_request_length/$mesh_response_length");

    return ngx_mesh_stream_log_compile(cf, fmt, &text) == NGX_CONF_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mesh_stream_log_init(ngx_conf_t *cf)
{
    ngx_mesh_stream_main_conf_t  *mmcf;

    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    mmcf->values = ngx_palloc(cf->pool, mmcf->nops * sizeof(ngx_str_t));
    mmcf->numbers = ngx_pnalloc(cf->pool,
                                mmcf->nops * NGX_MESH_STREAM_NUMBER_LEN);

    if (mmcf->values == NULL || mmcf->numbers == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_stream_log_attached(ngx_mesh_stream_main_conf_t *mmcf,
    ngx_mesh_stream_srv_conf_t *conf)
{
    ngx_uint_t                  i, n;
    ngx_mesh_stream_log_t      *log;
    ngx_mesh_stream_log_fmt_t  *fmt[2];

    log = conf->logs->elts;

    for (i = 0; i < conf->logs->nelts; i++) {

        fmt[0] = log[i].format;
        fmt[1] = log[i].filter;

        for (n = 0; n < 2; n++) {

            if (fmt[n] == NULL) {
                continue;
            }

            /* there is no telling what a map depends on */

            if (fmt[n]->attached || (fmt[n]->slow && mmcf->attached)) {
                return 1;
            }
        }
    }

    return 0;
}


char *
ngx_mesh_stream_log_format(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_main_conf_t *mmcf = conf;

    char                       *rv;
    u_char                     *p;
    ngx_str_t                  *value, text;
    ngx_uint_t                  i, n;
    ngx_mesh_stream_log_fmt_t  *fmt, **fmtp;

    value = cf->args->elts;

    if (ngx_mesh_stream_log_find_format(cf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"mesh_log_format\" name \"%V\", "
                           "choose another", &value[1]);
        return NGX_CONF_ERROR;
    }

    fmtp = ngx_array_push(&mmcf->formats);
    if (fmtp == NULL) {
        return NGX_CONF_ERROR;
    }

    fmt = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_stream_log_fmt_t));
    if (fmt == NULL) {
        return NGX_CONF_ERROR;
    }

    *fmtp = fmt;

    fmt->name = value[1];
    n = 2;

    if (ngx_strncmp(value[2].data, "escape=", 7) == 0) {
        rv = ngx_mesh_stream_log_escaping(cf, &value[2], &fmt->escape);
        if (rv != NGX_CONF_OK) {
            return rv;
        }

        n = 3;
    }

    /* the strings are one text, nothing comes between them */

    text.len = 0;

    for (i = n; i < cf->args->nelts; i++) {
        text.len += value[i].len;
    }

    text.data = ngx_pnalloc(cf->temp_pool, text.len);
    if (text.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = text.data;

    for (i = n; i < cf->args->nelts; i++) {
        p = ngx_cpymem(p, value[i].data, value[i].len);
    }

    return ngx_mesh_stream_log_compile(cf, fmt, &text);
}


static char *
ngx_mesh_stream_log_escaping(ngx_conf_t *cf, ngx_str_t *value,
    ngx_uint_t *escape)
{
    u_char  *p;

    p = value->data + 7;

    if (ngx_strcmp(p, "default") == 0) {
        *escape = NGX_MESH_STREAM_LOG_ESCAPE_DEFAULT;

    } else if (ngx_strcmp(p, "json") == 0) {
        *escape = NGX_MESH_STREAM_LOG_ESCAPE_JSON;

    } else if (ngx_strcmp(p, "none") == 0) {
        *escape = NGX_MESH_STREAM_LOG_ESCAPE_NONE;

    } else {
        return ngx_mesh_stream_invalid(cf, value,
                           "escape=default, escape=json or escape=none");
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_stream_log_compile(ngx_conf_t *cf, ngx_mesh_stream_log_fmt_t *fmt,
    ngx_str_t *text)
{
    u_char                       *p, *last, *literal;
    ngx_str_t                     rest, name;
    ngx_mesh_stream_log_op_t     *op;
    ngx_mesh_stream_main_conf_t  *mmcf;
    static size_t                 factor[] = { 4, 6, 1 };

    if (ngx_array_init(&fmt->ops, cf->pool, 16,
                       sizeof(ngx_mesh_stream_log_op_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    fmt->factor = factor[fmt->escape];
    fmt->absent = (fmt->escape == NGX_MESH_STREAM_LOG_ESCAPE_DEFAULT);
    fmt->size = NGX_MESH_STREAM_LOG_PIECE;

    p = text->data;
    last = p + text->len;
    literal = p;

    while (p < last) {

        if (*p != '$') {
            p++;
            continue;
        }

        op = ngx_array_push(&fmt->ops);
        if (op == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_mesh_stream_log_literal(cf, fmt, &op->literal, literal,
                                        p - literal)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        rest.data = p;
        rest.len = last - p;

        if (ngx_mesh_stream_log_name(cf, &rest, &name) != NGX_OK
            || ngx_mesh_stream_log_op(cf, fmt, op, &name) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        p = rest.data;
        literal = p;
    }

    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);
    mmcf->nops = ngx_max(mmcf->nops, fmt->ops.nelts);

    if (ngx_mesh_stream_log_literal(cf, fmt, &fmt->tail, literal,
                                    last - literal)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* takes $name or ${name} from the beginning of the text */

static ngx_int_t
ngx_mesh_stream_log_name(ngx_conf_t *cf, ngx_str_t *text, ngx_str_t *name)
{
    u_char      *p, *start, *last, ch;
    ngx_uint_t   bracket;

    last = text->data + text->len;

    p = text->data + 1;
    bracket = (p < last && *p == '{');
    p += bracket;

    for (start = p; p < last; p++) {
        ch = ngx_tolower(*p);

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '_') {
            break;
        }
    }

    if (p == start || (bracket && (p == last || *p != '}'))) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable at \"%V\", "
                           "it must be $name or ${name}", text);
        return NGX_ERROR;
    }

    name->len = p - start;
    name->data = ngx_pnalloc(cf->pool, name->len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(name->data, start, name->len);

    p += bracket;

    text->data = p;
    text->len = last - p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_log_op(ngx_conf_t *cf, ngx_mesh_stream_log_fmt_t *fmt,
    ngx_mesh_stream_log_op_t *op, ngx_str_t *name)
{
    ngx_int_t                       index;
    const ngx_mesh_stream_field_t  *field;

    op->escape = (fmt->escape != NGX_MESH_STREAM_LOG_ESCAPE_NONE);

    field = ngx_mesh_stream_find_field(name);

    if (field) {
        op->get = field->get;
        op->data = field->data;
        op->escape = op->escape && field->escape;
        fmt->attached |= field->attached;

        return NGX_OK;
    }

    index = ngx_mesh_stream_attachment_index(cf, name);

    if (index == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (index != NGX_DECLINED) {
        op->get = ngx_mesh_stream_get_attachment;
        op->data = index;
        fmt->attached = 1;

        return NGX_OK;
    }

    index = ngx_stream_get_variable_index(cf, name);

    if (index == NGX_ERROR) {
        return NGX_ERROR;
    }

    op->get = ngx_mesh_stream_log_variable;
    op->data = index;
    fmt->slow = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_log_literal(ngx_conf_t *cf, ngx_mesh_stream_log_fmt_t *fmt,
    ngx_str_t *literal, u_char *p, size_t len)
{
    literal->len = len;
    literal->data = ngx_pcalloc(cf->pool,
                                ngx_max(len, NGX_MESH_STREAM_LOG_PIECE));
    if (literal->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(literal->data, p, len);

    fmt->size += len;

    return NGX_OK;
}


static ngx_mesh_stream_log_fmt_t *
ngx_mesh_stream_log_find_format(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_mesh_stream_log_fmt_t    **fmt;
    ngx_mesh_stream_main_conf_t   *mmcf;

    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    fmt = mmcf->formats.elts;

    for (i = 0; i < mmcf->formats.nelts; i++) {
        if (fmt[i]->name.len == name->len
            && ngx_strncmp(fmt[i]->name.data, name->data, name->len) == 0)
        {
            return fmt[i];
        }
    }

    return NULL;
}


char *
ngx_mesh_stream_access_log(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    char                   *rv;
    ngx_str_t              *value, name;
    ngx_uint_t              n;
    ngx_mesh_stream_log_t  *log;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            return ngx_mesh_stream_invalid(cf, &value[2],
                                           "left out after \"off\"");
        }

        mscf->off = 1;
        return NGX_CONF_OK;
    }

    if (mscf->logs == NULL) {
        mscf->logs = ngx_array_create(cf->pool, 2,
                                      sizeof(ngx_mesh_stream_log_t));
        if (mscf->logs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    log = ngx_array_push(mscf->logs);
    if (log == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(log, sizeof(ngx_mesh_stream_log_t));

    rv = ngx_mesh_stream_log_target(cf, log);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_str_set(&name, "mesh");
    n = 2;

    if (cf->args->nelts > 2 && ngx_strchr(value[2].data, '=') == NULL) {
        name = value[2];
        n = 3;
    }

    log->format = ngx_mesh_stream_log_find_format(cf, &name);

    if (log->format == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown format \"%V\" in \"mesh_access_log\", "
                           "define it with \"mesh_log_format\" before", &name);
        return NGX_CONF_ERROR;
    }

    return ngx_mesh_stream_log_params(cf, log, n);
}


static char *
ngx_mesh_stream_log_target(ngx_conf_t *cf, ngx_mesh_stream_log_t *log)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "syslog:", 7) == 0) {

        log->syslog_peer = ngx_pcalloc(cf->pool, sizeof(ngx_syslog_peer_t));
        if (log->syslog_peer == NULL) {
            return NGX_CONF_ERROR;
        }

        return ngx_syslog_process_conf(cf, log->syslog_peer);
    }

    if (ngx_stream_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "variables are not supported in "
                           "\"mesh_access_log\", path \"%V\" must be constant",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    log->file = ngx_conf_open_file(cf->cycle, &value[1]);

    return log->file ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_mesh_stream_log_params(ngx_conf_t *cf, ngx_mesh_stream_log_t *log,
    ngx_uint_t i)
{
    char        *rv;
    ssize_t      size;
    ngx_int_t    flush;
    ngx_str_t   *value, s;

    value = cf->args->elts;
    size = 0;
    flush = 0;

    for ( /* void */ ; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "buffer=", 7) == 0) {
            s.len = value[i].len - 7;
            s.data = value[i].data + 7;

            size = ngx_parse_size(&s);

            if (size == NGX_ERROR || size == 0) {
                return ngx_mesh_stream_invalid(cf, &value[i],
                                   "buffer=SIZE, such as buffer=64k");
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "flush=", 6) == 0) {
            s.len = value[i].len - 6;
            s.data = value[i].data + 6;

            flush = ngx_parse_time(&s, 0);

            if (flush == NGX_ERROR || flush == 0) {
                return ngx_mesh_stream_invalid(cf, &value[i],
                                   "flush=TIME, such as flush=1s");
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "if=", 3) == 0) {
            s.len = value[i].len - 3;
            s.data = value[i].data + 3;

            rv = ngx_mesh_stream_log_condition(cf, log, &s);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        return ngx_mesh_stream_invalid(cf, &value[i],
                                       "buffer=, flush= or if=");
    }

    return ngx_mesh_stream_log_set_buffer(cf, log, size, flush);
}


/* a condition is a format, too: of our own fields it needs no shadow */

static char *
ngx_mesh_stream_log_condition(ngx_conf_t *cf, ngx_mesh_stream_log_t *log,
    ngx_str_t *text)
{
    if (log->filter) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"if=\" in \"mesh_access_log\", "
                           "combine the conditions in a map");
        return NGX_CONF_ERROR;
    }

    log->filter = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_stream_log_fmt_t));
    if (log->filter == NULL) {
        return NGX_CONF_ERROR;
    }

    log->filter->escape = NGX_MESH_STREAM_LOG_ESCAPE_NONE;

    return ngx_mesh_stream_log_compile(cf, log->filter, text);
}


static char *
ngx_mesh_stream_log_set_buffer(ngx_conf_t *cf, ngx_mesh_stream_log_t *log,
    size_t size, ngx_msec_t flush)
{
    ngx_str_t                  *value;
    ngx_mesh_stream_log_buf_t  *buffer;

    value = cf->args->elts;

    if (size == 0) {

        if (flush) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"flush=\" in \"mesh_access_log\" needs "
                               "\"buffer=\" for \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (log->syslog_peer) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "logs to syslog cannot be buffered, remove "
                           "\"buffer=\" of \"mesh_access_log\"");
        return NGX_CONF_ERROR;
    }

    buffer = log->file->data;

    if (buffer) {

        /* a file has one buffer, whoever writes to it */

        if (log->file->flush != ngx_mesh_stream_log_flush
            || (size_t) (buffer->last - buffer->start) != size
            || buffer->flush != flush)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"mesh_access_log\" \"%V\" is a log with "
                               "other parameters already, use the same or "
                               "another file", &value[1]);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    return ngx_mesh_stream_log_new_buffer(cf, log, size, flush);
}


static char *
ngx_mesh_stream_log_new_buffer(ngx_conf_t *cf, ngx_mesh_stream_log_t *log,
    size_t size, ngx_msec_t flush)
{
    ngx_event_t                *ev;
    ngx_mesh_stream_log_buf_t  *buffer;

    buffer = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_stream_log_buf_t));
    if (buffer == NULL) {
        return NGX_CONF_ERROR;
    }

    buffer->start = ngx_pnalloc(cf->pool, size);
    if (buffer->start == NULL) {
        return NGX_CONF_ERROR;
    }

    buffer->pos = buffer->start;
    buffer->last = buffer->start + size;
    buffer->flush = flush;

    if (flush) {
        ev = ngx_pcalloc(cf->pool, sizeof(ngx_event_t));
        if (ev == NULL) {
            return NGX_CONF_ERROR;
        }

        ev->data = log->file;
        ev->handler = ngx_mesh_stream_log_flush_handler;
        ev->log = &cf->cycle->new_log;
        ev->cancelable = 1;

        buffer->event = ev;
    }

    log->file->flush = ngx_mesh_stream_log_flush;
    log->file->data = buffer;

    return NGX_CONF_OK;
}
