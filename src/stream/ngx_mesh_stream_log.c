
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_stream_log.h"


#define NGX_MESH_STREAM_LOG_LINE  4096
#define NGX_MESH_STREAM_LOG_POOL  4096

/* a word of eight equal bytes */
#define NGX_MESH_STREAM_LOG_BYTES(b)  (0x0101010101010101ULL * (b))


typedef struct {
    ngx_stream_session_t        *session;
    ngx_stream_session_t        *shadow;
    ngx_mesh_call_t             *call;
    ngx_mesh_stream_main_conf_t *conf;
} ngx_mesh_stream_log_ctx_t;


static void ngx_mesh_stream_log_one(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_t *log);
static ngx_uint_t ngx_mesh_stream_log_test(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_fmt_t *filter);
static ngx_int_t ngx_mesh_stream_log_eval(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_fmt_t *fmt, size_t *size);
static u_char *ngx_mesh_stream_log_render(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_fmt_t *fmt, u_char *p);
static u_char *ngx_mesh_stream_log_escape(u_char *dst, ngx_str_t *value);
static ngx_uint_t ngx_mesh_stream_log_plain(u_char *p);
static ngx_int_t ngx_mesh_stream_log_shadow(ngx_mesh_stream_log_ctx_t *ctx);
static ngx_stream_session_t *ngx_mesh_stream_log_copy_session(
    ngx_stream_session_t *session, ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_stream_log_buffered(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_t *log, size_t size);
static void ngx_mesh_stream_log_syslog(ngx_mesh_stream_log_t *log,
    u_char *line, size_t len, ngx_log_t *err);
static void ngx_mesh_stream_log_write(ngx_mesh_stream_log_t *log, u_char *buf,
    size_t len, ngx_log_t *err);


static u_char  ngx_mesh_stream_log_line[NGX_MESH_STREAM_LOG_LINE];


void
ngx_mesh_stream_log_call(ngx_mesh_session_t *ms, ngx_mesh_call_t *call)
{
    ngx_uint_t                   i;
    ngx_mesh_stream_log_t       *log;
    ngx_mesh_stream_log_ctx_t    ctx;
    ngx_mesh_stream_srv_conf_t  *mscf;

    ctx.session = ngx_mesh_session_data(ms);
    ctx.shadow = NULL;
    ctx.call = call;
    ctx.conf = ngx_stream_get_module_main_conf(ctx.session,
                                               ngx_mesh_stream_module);

    mscf = ngx_stream_get_module_srv_conf(ctx.session, ngx_mesh_stream_module);

    log = mscf->logs->elts;

    for (i = 0; i < mscf->logs->nelts; i++) {

        /* a full disk may block for long, so it is left alone for a second */

        if (ngx_time() == log[i].disk_full_time) {
            continue;
        }

        if (log[i].filter && !ngx_mesh_stream_log_test(&ctx, log[i].filter)) {
            continue;
        }

        ngx_mesh_stream_log_one(&ctx, &log[i]);
    }

    if (ctx.shadow) {
        ngx_destroy_pool(ctx.shadow->connection->pool);
    }
}


static void
ngx_mesh_stream_log_one(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_t *log)
{
    u_char     *line, *p;
    size_t      size;
    ngx_log_t  *err;

    if (ngx_mesh_stream_log_eval(ctx, log->format, &size) != NGX_OK) {
        return;
    }

    err = ctx->session->connection->log;

    if (log->syslog_peer) {

        /* "<255>Jan 01 00:00:00 host tag: " */
        size += sizeof("<255>Jan 01 00:00:00 ") - 1
                + ngx_cycle->hostname.len + 1 + log->syslog_peer->tag.len + 2;

    } else if (ngx_mesh_stream_log_buffered(ctx, log, size)) {
        return;
    }

    line = ngx_mesh_stream_log_line;

    if (size > NGX_MESH_STREAM_LOG_LINE) {
        line = ngx_alloc(size, err);
        if (line == NULL) {
            return;
        }
    }

    p = line;

    if (log->syslog_peer) {
        p = ngx_syslog_add_header(log->syslog_peer, p);
    }

    p = ngx_mesh_stream_log_render(ctx, log->format, p);

    if (log->syslog_peer) {
        ngx_mesh_stream_log_syslog(log, line, p - line, err);

    } else {
        ngx_linefeed(p);
        ngx_mesh_stream_log_write(log, line, p - line, err);
    }

    if (line != ngx_mesh_stream_log_line) {
        ngx_free(line);
    }
}


/* as with the stock log, an empty value and "0" are false */

static ngx_uint_t
ngx_mesh_stream_log_test(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_fmt_t *filter)
{
    u_char  line[2 * NGX_MESH_STREAM_LOG_PIECE];
    size_t  size;

    if (ngx_mesh_stream_log_eval(ctx, filter, &size) != NGX_OK) {
        return 0;
    }

    /* nothing is escaped, so that only the room for one piece is too much */

    size -= NGX_MESH_STREAM_LOG_PIECE;

    if (size != 1) {
        return size ? 1 : 0;
    }

    (void) ngx_mesh_stream_log_render(ctx, filter, line);

    return line[0] != '0';
}


/* collects the values and tells how much room the line needs at most */

static ngx_int_t
ngx_mesh_stream_log_eval(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_fmt_t *fmt, size_t *size)
{
    size_t                     n;
    u_char                    *numbers;
    ngx_str_t                 *v;
    ngx_uint_t                 i;
    ngx_stream_session_t      *s;
    ngx_mesh_stream_log_op_t  *op;

    s = ctx->session;

    if (fmt->slow) {
        if (ctx->shadow == NULL && ngx_mesh_stream_log_shadow(ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        s = ctx->shadow;
    }

    n = fmt->size;
    v = ctx->conf->values;
    numbers = ctx->conf->numbers;

    op = fmt->ops.elts;

    for (i = 0; i < fmt->ops.nelts; i++) {

        v[i].data = numbers;
        numbers += NGX_MESH_STREAM_NUMBER_LEN;

        if (op[i].get(s, ctx->call, op[i].data, &v[i]) != NGX_OK) {
            v[i].data = NULL;
            n += fmt->absent;
            continue;
        }

        n += op[i].escape ? v[i].len * fmt->factor : v[i].len;
    }

    *size = n;

    return NGX_OK;
}


static ngx_inline u_char *
ngx_mesh_stream_log_copy(u_char *p, ngx_str_t *literal)
{
    if (literal->len <= NGX_MESH_STREAM_LOG_PIECE) {
        ngx_memcpy(p, literal->data, NGX_MESH_STREAM_LOG_PIECE);
        return p + literal->len;
    }

    return ngx_cpymem(p, literal->data, literal->len);
}


static u_char *
ngx_mesh_stream_log_render(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_fmt_t *fmt, u_char *p)
{
    ngx_str_t                 *v;
    ngx_uint_t                 i;
    ngx_mesh_stream_log_op_t  *op;

    v = ctx->conf->values;
    op = fmt->ops.elts;

    for (i = 0; i < fmt->ops.nelts; i++) {

        p = ngx_mesh_stream_log_copy(p, &op[i].literal);

        if (v[i].data == NULL) {
            if (fmt->absent) {
                *p++ = '-';
            }

        } else if (!op[i].escape) {
            p = ngx_cpymem(p, v[i].data, v[i].len);

        } else if (fmt->escape == NGX_MESH_STREAM_LOG_ESCAPE_JSON) {
            p = (u_char *) ngx_escape_json(p, v[i].data, v[i].len);

        } else {
            p = ngx_mesh_stream_log_escape(p, &v[i]);
        }
    }

    return ngx_mesh_stream_log_copy(p, &fmt->tail);
}


/* names are plain nearly always: eight bytes are tested at once */

static u_char *
ngx_mesh_stream_log_escape(u_char *dst, ngx_str_t *value)
{
    u_char         ch, *p, *last, *end;
    static u_char  hex[] = "0123456789ABCDEF";

    p = value->data;
    last = p + value->len;

    while (p < last) {

        end = ngx_min(p + 8, last);

        if (end - p == 8 && ngx_mesh_stream_log_plain(p)) {
            ngx_memcpy(dst, p, 8);
            dst += 8;
            p = end;
            continue;
        }

        for ( /* void */ ; p < end; p++) {
            ch = *p;

            if (ch < 0x20 || ch > 0x7e || ch == '"' || ch == '\\') {
                *dst++ = '\\';
                *dst++ = 'x';
                *dst++ = hex[ch >> 4];
                *dst++ = hex[ch & 0xf];

            } else {
                *dst++ = ch;
            }
        }
    }

    return dst;
}


static ngx_uint_t
ngx_mesh_stream_log_plain(u_char *p)
{
    uint64_t  v, quote, slash, del, bad;

    ngx_memcpy(&v, p, 8);

    quote = v ^ NGX_MESH_STREAM_LOG_BYTES(0x22);
    slash = v ^ NGX_MESH_STREAM_LOG_BYTES(0x5c);
    del = v ^ NGX_MESH_STREAM_LOG_BYTES(0x7f);

    /* the top bit of a byte is set if subtracting had to borrow */

    bad = ((v - NGX_MESH_STREAM_LOG_BYTES(0x20)) & ~v)
          | ((quote - NGX_MESH_STREAM_LOG_BYTES(0x01)) & ~quote)
          | ((slash - NGX_MESH_STREAM_LOG_BYTES(0x01)) & ~slash)
          | ((del - NGX_MESH_STREAM_LOG_BYTES(0x01)) & ~del)
          | v;

    return (bad & NGX_MESH_STREAM_LOG_BYTES(0x80)) == 0;
}


/*
 * nginx evaluates a variable once per session and takes its memory from the
 * session's pool; a session carries millions of calls.  So anything but our
 * own fields is evaluated on a copy of the session that lives for one call.
 */

static ngx_int_t
ngx_mesh_stream_log_shadow(ngx_mesh_stream_log_ctx_t *ctx)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = ctx->session->connection;

    /* else $server_addr would ask the kernel once per call */

    (void) ngx_connection_local_sockaddr(c, NULL, 0);

    pool = ngx_create_pool(NGX_MESH_STREAM_LOG_POOL, c->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    ctx->shadow = ngx_mesh_stream_log_copy_session(ctx->session, pool);

    if (ctx->shadow == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ngx_stream_set_ctx(ctx->shadow, ctx->call, ngx_mesh_stream_module);

    return NGX_OK;
}


static ngx_stream_session_t *
ngx_mesh_stream_log_copy_session(ngx_stream_session_t *session,
    ngx_pool_t *pool)
{
    ngx_uint_t                    i;
    ngx_connection_t             *c;
    ngx_stream_session_t         *s;
    ngx_stream_variable_t        *v;
    ngx_stream_core_main_conf_t  *cmcf;

    cmcf = ngx_stream_get_module_main_conf(session, ngx_stream_core_module);

    s = ngx_palloc(pool, sizeof(ngx_stream_session_t));
    c = ngx_palloc(pool, sizeof(ngx_connection_t));

    if (s == NULL || c == NULL) {
        return NULL;
    }

    *c = *session->connection;
    c->pool = pool;
    c->data = s;

    *s = *session;
    s->connection = c;
#if (NGX_PCRE)
    s->ncaptures = 0;
    s->captures = NULL;
    s->captures_data = NULL;
#endif

    s->ctx = ngx_palloc(pool, sizeof(void *) * ngx_stream_max_module);
    s->variables = ngx_pcalloc(pool, cmcf->variables.nelts
                                     * sizeof(ngx_stream_variable_value_t));

    if (s->ctx == NULL || s->variables == NULL) {
        return NULL;
    }

    ngx_memcpy(s->ctx, session->ctx, sizeof(void *) * ngx_stream_max_module);

    /* what "set" has stored cannot be evaluated again */

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (v[i].flags & NGX_STREAM_VAR_WEAK) {
            s->variables[i] = session->variables[i];
        }
    }

    return s;
}


ngx_int_t
ngx_mesh_stream_log_variable(ngx_stream_session_t *s, ngx_mesh_call_t *call,
    uintptr_t data, ngx_str_t *value)
{
    ngx_stream_variable_value_t  *v;

    v = ngx_stream_get_indexed_variable(s, data);

    if (v == NULL || v->not_found) {
        return NGX_DECLINED;
    }

    value->len = v->len;
    value->data = v->len ? v->data : (u_char *) "";

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_stream_log_buffered(ngx_mesh_stream_log_ctx_t *ctx,
    ngx_mesh_stream_log_t *log, size_t size)
{
    u_char                     *p;
    ngx_log_t                  *err;
    ngx_mesh_stream_log_buf_t  *buffer;

    /* another directive's buffer may not even hold plain text */

    if (log->file->flush != ngx_mesh_stream_log_flush) {
        return 0;
    }

    buffer = log->file->data;

    if (size > (size_t) (buffer->last - buffer->pos)) {
        err = ctx->session->connection->log;

        ngx_mesh_stream_log_write(log, buffer->start,
                                  buffer->pos - buffer->start, err);
        buffer->pos = buffer->start;
    }

    if (size > (size_t) (buffer->last - buffer->pos)) {

        if (buffer->event && buffer->event->timer_set) {
            ngx_del_timer(buffer->event);
        }

        return 0;
    }

    p = buffer->pos;

    if (buffer->event && p == buffer->start) {
        ngx_add_timer(buffer->event, buffer->flush);
    }

    p = ngx_mesh_stream_log_render(ctx, log->format, p);
    ngx_linefeed(p);

    buffer->pos = p;

    return 1;
}


static void
ngx_mesh_stream_log_syslog(ngx_mesh_stream_log_t *log, u_char *line,
    size_t len, ngx_log_t *err)
{
    time_t   now;
    ssize_t  n;

    n = ngx_syslog_send(log->syslog_peer, line, len);

    if (n == (ssize_t) len) {
        return;
    }

    /* one line per failed call would be worse than what has failed */

    now = ngx_time();

    if (now - log->error_log_time > 59) {
        ngx_log_error(NGX_LOG_WARN, err, 0,
                      "send() of mesh log to syslog failed: %z of %uz", n, len);

        log->error_log_time = now;
    }
}


static void
ngx_mesh_stream_log_write(ngx_mesh_stream_log_t *log, u_char *buf, size_t len,
    ngx_log_t *err)
{
    time_t     now;
    ssize_t    n;
    ngx_err_t  errno_saved;

    if (len == 0) {
        return;
    }

    n = ngx_write_fd(log->file->fd, buf, len);

    if (n == (ssize_t) len) {
        return;
    }

    errno_saved = (n == -1) ? ngx_errno : 0;
    now = ngx_time();

    if (errno_saved == NGX_ENOSPC) {
        log->disk_full_time = now;
    }

    if (now - log->error_log_time > 59) {

        if (n == -1) {
            ngx_log_error(NGX_LOG_ALERT, err, errno_saved,
                          ngx_write_fd_n " to \"%s\" failed",
                          log->file->name.data);

        } else {
            ngx_log_error(NGX_LOG_ALERT, err, 0,
                          ngx_write_fd_n " to \"%s\" was incomplete: "
                          "%z of %uz", log->file->name.data, n, len);
        }

        log->error_log_time = now;
    }
}


/* called by nginx when files are reopened and when a process exits */

void
ngx_mesh_stream_log_flush(ngx_open_file_t *file, ngx_log_t *log)
{
    size_t                      len;
    ssize_t                     n;
    ngx_mesh_stream_log_buf_t  *buffer;

    buffer = file->data;

    len = buffer->pos - buffer->start;

    if (len == 0) {
        return;
    }

    n = ngx_write_fd(file->fd, buffer->start, len);

    if (n == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_write_fd_n " to \"%s\" failed", file->name.data);

    } else if ((size_t) n != len) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      ngx_write_fd_n " to \"%s\" was incomplete: %z of %uz",
                      file->name.data, n, len);
    }

    buffer->pos = buffer->start;

    if (buffer->event && buffer->event->timer_set) {
        ngx_del_timer(buffer->event);
    }
}


void
ngx_mesh_stream_log_flush_handler(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "mesh log buffer flush handler");

    ngx_mesh_stream_log_flush(ev->data, ev->log);
}


/* calls that ended in exit_process come after nginx has flushed its files */

void
ngx_mesh_stream_log_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_open_file_t  *file;

    part = &cycle->open_files.part;
    file = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            file = part->elts;
            i = 0;
        }

        if (file[i].flush == ngx_mesh_stream_log_flush) {
            file[i].flush(&file[i], cycle->log);
        }
    }
}
