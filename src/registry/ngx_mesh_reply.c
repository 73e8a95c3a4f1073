
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_reply.h"


/* what is read next */

enum {
    NGX_MESH_REPLY_STATUS = 0,
    NGX_MESH_REPLY_HEADER,
    NGX_MESH_REPLY_BODY,                     /* "rest" of it */
    NGX_MESH_REPLY_ALL,                      /* up to the end */
    NGX_MESH_REPLY_CHUNK,
    NGX_MESH_REPLY_DATA,                     /* "rest" of a chunk */
    NGX_MESH_REPLY_AFTER,                    /* the end of line behind it */
    NGX_MESH_REPLY_TRAILER,
    NGX_MESH_REPLY_DONE
};


static ngx_int_t ngx_mesh_reply_error(ngx_mesh_reply_t *reply, char *error);
static ngx_int_t ngx_mesh_reply_line(ngx_mesh_reply_t *reply, u_char **p,
    u_char *last, ngx_str_t *line);
static ngx_int_t ngx_mesh_reply_take(ngx_mesh_reply_t *reply,
    ngx_str_t *line);
static ngx_int_t ngx_mesh_reply_status(ngx_mesh_reply_t *reply,
    ngx_str_t *line);
static ngx_int_t ngx_mesh_reply_field(ngx_mesh_reply_t *reply,
    ngx_str_t *line);
static ngx_int_t ngx_mesh_reply_begin(ngx_mesh_reply_t *reply);
static void ngx_mesh_reply_connection(ngx_mesh_reply_t *reply);
static ngx_int_t ngx_mesh_reply_encoding(ngx_mesh_reply_t *reply);
static ngx_int_t ngx_mesh_reply_framing(ngx_mesh_reply_t *reply);
static ngx_int_t ngx_mesh_reply_length(ngx_mesh_reply_t *reply,
    ngx_uint_t *found);
static ngx_int_t ngx_mesh_reply_chunk(ngx_mesh_reply_t *reply,
    ngx_str_t *line);
static ngx_int_t ngx_mesh_reply_done(ngx_mesh_reply_t *reply);
static ngx_int_t ngx_mesh_reply_body(ngx_mesh_reply_t *reply, u_char **p,
    u_char *last);
static ngx_int_t ngx_mesh_reply_data(ngx_mesh_reply_t *reply, u_char *p,
    size_t n);
static ngx_int_t ngx_mesh_reply_inflate(ngx_mesh_reply_t *reply, u_char *p,
    size_t n);
static ngx_int_t ngx_mesh_reply_room(ngx_mesh_reply_t *reply, size_t n);
static ngx_int_t ngx_mesh_reply_find(ngx_mesh_reply_t *reply, char *name,
    ngx_str_t *value, u_char *from);


void
ngx_mesh_reply_init(ngx_mesh_reply_t *reply, size_t max)
{
    ngx_memzero(reply, sizeof(ngx_mesh_reply_t));

    reply->max = max;
}


void
ngx_mesh_reply_share(ngx_mesh_reply_t *reply, size_t *total, size_t most)
{
    reply->total = total;
    reply->most = most;
}


void
ngx_mesh_reply_free(ngx_mesh_reply_t *reply)
{
    if (reply->inflating) {
        inflateEnd(&reply->zlib);
        reply->inflating = 0;
    }

    if (reply->body.data) {
        ngx_free(reply->body.data);

        if (reply->total) {
            *reply->total -= reply->size;
        }
    }

    if (reply->head.data) {
        ngx_free(reply->head.data);
    }

    if (reply->line.data) {
        ngx_free(reply->line.data);
    }

    ngx_memzero(reply, sizeof(ngx_mesh_reply_t));
}


static ngx_int_t
ngx_mesh_reply_error(ngx_mesh_reply_t *reply, char *error)
{
    reply->error = error;
    reply->keepalive = 0;

    return NGX_ERROR;
}


ngx_int_t
ngx_mesh_reply_read(ngx_mesh_reply_t *reply, u_char **p, u_char *last)
{
    ngx_int_t  rc;
    ngx_str_t  line;

    if (reply->error) {
        return NGX_ERROR;
    }

    reply->started |= (*p != last);

    for ( ;; ) {

        switch (reply->state) {

        case NGX_MESH_REPLY_DONE:
            return NGX_OK;

        case NGX_MESH_REPLY_BODY:
        case NGX_MESH_REPLY_ALL:
        case NGX_MESH_REPLY_DATA:
            rc = ngx_mesh_reply_body(reply, p, last);
            break;

        default:
            rc = ngx_mesh_reply_line(reply, p, last, &line);

            if (rc == NGX_OK) {
                rc = ngx_mesh_reply_take(reply, &line);
                reply->line.len = 0;
            }
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


ngx_int_t
ngx_mesh_reply_end(ngx_mesh_reply_t *reply)
{
    if (reply->error) {
        return NGX_ERROR;
    }

    switch (reply->state) {

    case NGX_MESH_REPLY_DONE:
        return NGX_OK;

    case NGX_MESH_REPLY_STATUS:
    case NGX_MESH_REPLY_HEADER:
        return ngx_mesh_reply_error(reply, reply->started
                             ? "closed in the middle of the answer's header"
                             : "closed without an answer");

    case NGX_MESH_REPLY_ALL:
        return ngx_mesh_reply_done(reply);

    default:
        return ngx_mesh_reply_error(reply,
                                 "closed in the middle of the answer's body");
    }
}


/* a line without its end; of the buffer, where it is complete in that */

static ngx_int_t
ngx_mesh_reply_line(ngx_mesh_reply_t *reply, u_char **p, u_char *last,
    ngx_str_t *line)
{
    size_t   n;
    u_char  *end;

    n = last - *p;

    end = n ? ngx_strlchr(*p, last, LF) : NULL;

    if (end) {
        n = end - *p;
    }

    if (n > NGX_MESH_REPLY_LINE - reply->line.len) {
        return ngx_mesh_reply_error(reply, "a line of the answer is too long");
    }

    line->data = *p;
    line->len = n;
    *p += n;

    if (reply->line.len || end == NULL) {

        if (n == 0 && end == NULL) {
            return NGX_AGAIN;
        }

        if (reply->line.data == NULL) {
            reply->line.data = ngx_alloc(NGX_MESH_REPLY_LINE, ngx_cycle->log);
            if (reply->line.data == NULL) {
                return ngx_mesh_reply_error(reply, "no memory");
            }
        }

        ngx_memcpy(reply->line.data + reply->line.len, line->data, n);
        reply->line.len += n;

        if (end == NULL) {
            return NGX_AGAIN;
        }

        *line = reply->line;
    }

    (*p)++;

    if (line->len && line->data[line->len - 1] == CR) {
        line->len--;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_take(ngx_mesh_reply_t *reply, ngx_str_t *line)
{
    switch (reply->state) {

    case NGX_MESH_REPLY_STATUS:
        return ngx_mesh_reply_status(reply, line);

    case NGX_MESH_REPLY_HEADER:
        return line->len ? ngx_mesh_reply_field(reply, line)
                         : ngx_mesh_reply_begin(reply);

    case NGX_MESH_REPLY_CHUNK:
        return ngx_mesh_reply_chunk(reply, line);

    case NGX_MESH_REPLY_AFTER:
        if (line->len) {
            return ngx_mesh_reply_error(reply, "a chunk of the answer is "
                                        "longer than its size");
        }

        reply->state = NGX_MESH_REPLY_CHUNK;
        return NGX_OK;

    default: /* NGX_MESH_REPLY_TRAILER */
        return line->len ? ngx_mesh_reply_field(reply, line)
                         : ngx_mesh_reply_done(reply);
    }
}


/* "HTTP/1.1 200 OK" */

static ngx_int_t
ngx_mesh_reply_status(ngx_mesh_reply_t *reply, ngx_str_t *line)
{
    u_char  *p;

    p = line->data;

    if (line->len < 12 || ngx_strncmp(p, "HTTP/1.", 7) != 0
        || (p[7] != '0' && p[7] != '1') || p[8] != ' '
        || p[9] < '1' || p[9] > '9' || p[10] < '0' || p[10] > '9'
        || p[11] < '0' || p[11] > '9' || (line->len > 12 && p[12] != ' '))
    {
        return ngx_mesh_reply_error(reply, "what it answers is not HTTP/1.1");
    }

    reply->version = (p[7] == '1');
    reply->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + p[11] - '0';
    reply->state = NGX_MESH_REPLY_HEADER;
    reply->head.len = 0;

    return NGX_OK;
}


/* is kept with its name in lower case */

static ngx_int_t
ngx_mesh_reply_field(ngx_mesh_reply_t *reply, ngx_str_t *line)
{
    u_char  *p, *last, *colon, *dst;

    p = line->data;
    last = p + line->len;
    colon = ngx_strlchr(p, last, ':');

    if (colon == NULL || colon == p || *p == ' ' || *p == '\t'
        || colon[-1] == ' ' || colon[-1] == '\t'
        || ngx_strlchr(p, last, '\0') || ngx_strlchr(p, last, CR))
    {
        return ngx_mesh_reply_error(reply, "a header of the answer is damaged");
    }

    if (line->len + 3 > NGX_MESH_REPLY_HEAD - reply->head.len) {
        return ngx_mesh_reply_error(reply, "the answer's header is too large");
    }

    if (reply->head.data == NULL) {
        reply->head.data = ngx_alloc(NGX_MESH_REPLY_HEAD, ngx_cycle->log);
        if (reply->head.data == NULL) {
            return ngx_mesh_reply_error(reply, "no memory");
        }
    }

    dst = reply->head.data + reply->head.len;

    while (p < colon) {
        *dst++ = ngx_tolower(*p);
        p++;
    }

    *dst++ = ':';
    p++;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    dst = ngx_cpymem(dst, p, last - p);
    *dst++ = LF;

    reply->head.len = dst - reply->head.data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_begin(ngx_mesh_reply_t *reply)
{
    if (reply->status < 200) {

        /* the answer itself is still to come; nobody asked for an upgrade */

        if (reply->status == 101) {
            return ngx_mesh_reply_error(reply,
                                        "what it answers is not HTTP/1.1");
        }

        reply->state = NGX_MESH_REPLY_STATUS;
        return NGX_OK;
    }

    ngx_mesh_reply_connection(reply);

    if (reply->status == 204 || reply->status == 304) {
        return ngx_mesh_reply_done(reply);
    }

    if (ngx_mesh_reply_encoding(reply) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_reply_framing(reply);
}


static void
ngx_mesh_reply_connection(ngx_mesh_reply_t *reply)
{
    ngx_str_t  value;

    reply->keepalive = reply->version;

    if (ngx_mesh_reply_header(reply, "connection", &value) == NGX_OK) {

        if (ngx_mesh_reply_is(&value, "close")) {
            reply->keepalive = 0;

        } else if (ngx_mesh_reply_is(&value, "keep-alive")) {
            reply->keepalive = 1;
        }
    }
}


static ngx_int_t
ngx_mesh_reply_encoding(ngx_mesh_reply_t *reply)
{
    ngx_str_t  value;

    if (ngx_mesh_reply_header(reply, "content-encoding", &value) == NGX_OK
        && !ngx_mesh_reply_is(&value, "identity"))
    {
        if (!ngx_mesh_reply_is(&value, "gzip")
            && !ngx_mesh_reply_is(&value, "x-gzip"))
        {
            return ngx_mesh_reply_error(reply, "the answer's encoding is "
                                        "unknown");
        }

        reply->gzip = 1;
    }

    return NGX_OK;
}


/* how does the body end? */

static ngx_int_t
ngx_mesh_reply_framing(ngx_mesh_reply_t *reply)
{
    ngx_str_t   value;
    ngx_uint_t  length;

    if (ngx_mesh_reply_header(reply, "transfer-encoding", &value) == NGX_OK) {

        if (!ngx_mesh_reply_is(&value, "chunked")) {
            return ngx_mesh_reply_error(reply, "the answer's transfer encoding "
                                        "is unknown");
        }

        reply->state = NGX_MESH_REPLY_CHUNK;
        return NGX_OK;
    }

    if (ngx_mesh_reply_length(reply, &length) != NGX_OK) {
        return NGX_ERROR;
    }

    if (length) {
        reply->state = NGX_MESH_REPLY_BODY;
        return reply->rest ? NGX_OK : ngx_mesh_reply_done(reply);
    }

    /* nothing would tell whether it is complete: the text of an error may
       be cut, a list may not */

    if (reply->status < 300) {
        return ngx_mesh_reply_error(reply, "the answer has no length");
    }

    reply->keepalive = 0;
    reply->max = ngx_min(reply->max, NGX_MESH_REPLY_TEXT);
    reply->state = NGX_MESH_REPLY_ALL;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_length(ngx_mesh_reply_t *reply, ngx_uint_t *found)
{
    u_char     *from;
    off_t       n;
    size_t      i;
    ngx_str_t   value;

    *found = 0;
    from = reply->head.data;

    while (ngx_mesh_reply_find(reply, "content-length", &value, from)
           == NGX_OK)
    {
        n = 0;

        for (i = 0; i < value.len; i++) {

            if (value.data[i] < '0' || value.data[i] > '9' || i >= 18) {
                break;
            }

            n = n * 10 + value.data[i] - '0';
        }

        if (i == 0 || i < value.len
            || (*found && reply->rest != (uint64_t) n))
        {
            return ngx_mesh_reply_error(reply, "the answer's length is "
                                        "damaged");
        }

        reply->rest = n;
        *found = 1;
        from = value.data + value.len;
    }

    if (*found && reply->rest > reply->max) {
        return ngx_mesh_reply_error(reply, "the answer is too large");
    }

    return NGX_OK;
}


/* "SIZE;extension" in hex */

static ngx_int_t
ngx_mesh_reply_chunk(ngx_mesh_reply_t *reply, ngx_str_t *line)
{
    u_char     c, *p, *last;
    uint64_t   size;

    p = line->data;
    last = p + line->len;
    size = 0;

    for ( /* void */ ; p < last; p++) {

        c = (u_char) (*p | 0x20);

        if (*p >= '0' && *p <= '9') {
            c = (u_char) (*p - '0');

        } else if (c >= 'a' && c <= 'f') {
            c = (u_char) (c - 'a' + 10);

        } else {
            break;
        }

        if (size >> 56) {
            return ngx_mesh_reply_error(reply, "the answer is too large");
        }

        size = size << 4 | c;
    }

    if (p == line->data
        || (p < last && *p != ';' && *p != ' ' && *p != '\t'))
    {
        return ngx_mesh_reply_error(reply, "a chunk of the answer is damaged");
    }

    if (size > reply->max) {
        return ngx_mesh_reply_error(reply, "the answer is too large");
    }

    reply->rest = size;
    reply->state = size ? NGX_MESH_REPLY_DATA : NGX_MESH_REPLY_TRAILER;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_done(ngx_mesh_reply_t *reply)
{
    if (reply->inflating) {

        if (!reply->inflated) {
            return ngx_mesh_reply_error(reply,
                                        "the answer's gzip data is cut");
        }

        inflateEnd(&reply->zlib);
        reply->inflating = 0;
    }

    reply->state = NGX_MESH_REPLY_DONE;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_body(ngx_mesh_reply_t *reply, u_char **p, u_char *last)
{
    size_t     n;
    ngx_int_t  rc;

    n = last - *p;

    if (n == 0) {
        return NGX_AGAIN;
    }

    if (reply->state != NGX_MESH_REPLY_ALL && n > reply->rest) {
        n = (size_t) reply->rest;
    }

    rc = reply->gzip ? ngx_mesh_reply_inflate(reply, *p, n)
                     : ngx_mesh_reply_data(reply, *p, n);

    if (rc != NGX_OK) {
        return rc;
    }

    *p += n;

    if (reply->state == NGX_MESH_REPLY_ALL) {
        return NGX_AGAIN;
    }

    reply->rest -= n;

    if (reply->rest) {
        return NGX_AGAIN;
    }

    if (reply->state == NGX_MESH_REPLY_BODY) {
        return ngx_mesh_reply_done(reply);
    }

    reply->state = NGX_MESH_REPLY_AFTER;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_data(ngx_mesh_reply_t *reply, u_char *p, size_t n)
{
    if (ngx_mesh_reply_room(reply, n) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(reply->body.data + reply->body.len, p, n);
    reply->body.len += n;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reply_inflate(ngx_mesh_reply_t *reply, u_char *p, size_t n)
{
    int       rc;
    size_t    room;
    z_stream  *z;

    z = &reply->zlib;

    if (!reply->inflating) {

        if (inflateInit2(z, MAX_WBITS + 16) != Z_OK) {
            return ngx_mesh_reply_error(reply, "no memory");
        }

        reply->inflating = 1;
    }

    z->next_in = p;
    z->avail_in = (uInt) n;

    do {
        /* several of them one after another are one */

        if (reply->inflated) {
            if (inflateReset(z) != Z_OK) {
                return ngx_mesh_reply_error(reply, "no memory");
            }

            reply->inflated = 0;
        }

        if (reply->body.len == reply->size
            && ngx_mesh_reply_room(reply, 1) != NGX_OK)
        {
            return NGX_ERROR;
        }

        room = reply->size - reply->body.len;

        z->next_out = reply->body.data + reply->body.len;
        z->avail_out = (uInt) room;

        rc = inflate(z, Z_NO_FLUSH);

        reply->body.len += room - z->avail_out;

        if (rc == Z_STREAM_END) {
            reply->inflated = 1;

        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return ngx_mesh_reply_error(reply,
                                        "the answer's gzip data is damaged");
        }

    } while (z->avail_in || (!reply->inflated && z->avail_out == 0));

    return NGX_OK;
}


/* doubles: what is announced may never come */

static ngx_int_t
ngx_mesh_reply_room(ngx_mesh_reply_t *reply, size_t n)
{
    size_t   size;
    u_char  *p;

    if (n > reply->max - reply->body.len) {
        return ngx_mesh_reply_error(reply, "the answer is too large");
    }

    if (n <= reply->size - reply->body.len) {
        return NGX_OK;
    }

    size = ngx_max(4096, ngx_max(2 * reply->size, reply->body.len + n));
    size = ngx_min(size, reply->max);

    /* the old one is there until its bytes are in the new one */

    if (reply->total && size > reply->most - ngx_min(reply->most,
                                                     *reply->total))
    {
        reply->crowded = 1;
        return ngx_mesh_reply_error(reply,
                                    "the answers are too large together");
    }

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        reply->crowded = 1;
        return ngx_mesh_reply_error(reply, "no memory");
    }

    if (reply->total) {
        *reply->total += size - reply->size;
    }

    if (reply->body.data) {
        ngx_memcpy(p, reply->body.data, reply->body.len);
        ngx_free(reply->body.data);
    }

    reply->body.data = p;
    reply->size = size;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_reply_header(ngx_mesh_reply_t *reply, char *name, ngx_str_t *value)
{
    return ngx_mesh_reply_find(reply, name, value, reply->head.data);
}


/* behind "from", which is the beginning or the end of a value */

static ngx_int_t
ngx_mesh_reply_find(ngx_mesh_reply_t *reply, char *name, ngx_str_t *value,
    u_char *from)
{
    size_t   len;
    u_char  *p, *end, *last;

    if (reply->head.len == 0) {
        return NGX_DECLINED;
    }

    len = ngx_strlen(name);
    p = from;
    last = reply->head.data + reply->head.len;

    if (p > reply->head.data) {
        p++;
    }

    while (p < last) {
        end = ngx_strlchr(p, last, LF);

        if ((size_t) (end - p) > len && p[len] == ':'
            && ngx_strncmp(p, name, len) == 0)
        {
            value->data = p + len + 1;
            value->len = end - value->data;
            return NGX_OK;
        }

        p = end + 1;
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_mesh_reply_is(ngx_str_t *value, char *word)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if ((u_char) word[i] != ngx_tolower(value->data[i])) {
            return 0;
        }
    }

    return word[i] == '\0';
}


size_t
ngx_mesh_reply_values(ngx_str_t *body)
{
    size_t   n;
    u_char  *p, *last;

    n = 1;
    p = body->data;
    last = body->len ? p + body->len : p;

    for ( /* void */ ; p < last; p++) {

        switch (*p) {

        case ',':
        case '[':
        case '{':
            n++;
            break;

        case '"':
            for (p++; p < last && *p != '"'; p++) {
                p += (*p == '\\');
            }

            break;
        }
    }

    return n;
}
