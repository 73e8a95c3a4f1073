
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_dubbo.h"
#include "ngx_mesh_serial.h"


/*
 * Dubbo 2 frame, integers big-endian:
 *
 *    0  da bb
 *    2  flags: 80 request, 40 two-way, 20 event, 1f serialization
 *    3  status of a response
 *    4  request id, 64 bits
 *   12  length of the body, signed 32 bits
 *   16  body
 *
 * Body of a request: strings protocol version, service, service version,
 * method, descriptor of the arguments; the arguments; a map of attachments.
 * Body of a response with status 20: a flag, then value or exception; with
 * any other status: one string.
 */


#define NGX_MESH_DUBBO_REQUEST         0x80
#define NGX_MESH_DUBBO_TWOWAY          0x40
#define NGX_MESH_DUBBO_EVENT           0x20
#define NGX_MESH_DUBBO_SERIAL          0x1f

#define NGX_MESH_DUBBO_OK              20

/* flags of a result whose value is an exception, without attachments and
   with them */
#define NGX_MESH_DUBBO_EXCEPTION       0
#define NGX_MESH_DUBBO_EXCEPTION_MORE  3


static u_char *ngx_mesh_dubbo_put(u_char *p, ngx_uint_t flags,
    ngx_uint_t status, uint64_t id, size_t len);
static ngx_int_t ngx_mesh_dubbo_detect(const ngx_mesh_codec_t *codec,
    u_char *p, size_t n);
static ngx_int_t ngx_mesh_dubbo_head(const ngx_mesh_codec_t *codec, u_char *p,
    size_t n, ngx_mesh_frame_t *f);
static ngx_int_t ngx_mesh_dubbo_whole(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f);
static u_char ngx_mesh_dubbo_event_letter(ngx_mesh_frame_t *f, u_char *p,
    size_t n);
static ngx_uint_t ngx_mesh_dubbo_result(const ngx_mesh_codec_t *codec,
    u_char *p, ngx_mesh_frame_t *f);
static void ngx_mesh_dubbo_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id);
static size_t ngx_mesh_dubbo_error(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text);
static size_t ngx_mesh_dubbo_signal(u_char *dst, size_t size,
    ngx_mesh_frame_t *f, ngx_uint_t flags);
static size_t ngx_mesh_dubbo_heartbeat(const ngx_mesh_codec_t *codec,
    u_char *dst, size_t size, ngx_mesh_frame_t *f);
static size_t ngx_mesh_dubbo_ack(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, u_char *p, ngx_mesh_frame_t *f);
static size_t ngx_mesh_dubbo_notice(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f);


const ngx_mesh_codec_t  ngx_mesh_dubbo_codec = {
    ngx_string("dubbo"),
    NGX_MESH_DUBBO_HEAD,
    64,
    ngx_mesh_dubbo_detect,
    ngx_mesh_dubbo_head,
    ngx_mesh_dubbo_whole,
    ngx_mesh_dubbo_facts,
    ngx_mesh_dubbo_facts_attachment,
    ngx_mesh_dubbo_result,
    ngx_mesh_dubbo_set_id,
    ngx_mesh_dubbo_error,
    ngx_mesh_dubbo_heartbeat,
    ngx_mesh_dubbo_ack,
    ngx_mesh_dubbo_notice,
    ngx_mesh_dubbo_edit,
    NULL
};


/*
 * A provider that calls back on a shared link gets 70, which is what Java
 * answers when it has no service to call.  A client that went away is not
 * answered at all.
 */

static const u_char  ngx_mesh_dubbo_status[NGX_MESH_ERR_N] = {
    0,                                      /* NGX_MESH_ERR_NONE */
    60,                                     /* NGX_MESH_ERR_NO_ROUTE */
    60,                                     /* NGX_MESH_ERR_NO_ENDPOINT */
    30,                                     /* NGX_MESH_ERR_EXPIRED */
    31,                                     /* NGX_MESH_ERR_TIMEOUT */
    70,                                     /* NGX_MESH_ERR_CLOSED */
    100,                                    /* NGX_MESH_ERR_OVERLOAD */
    40,                                     /* NGX_MESH_ERR_TOO_LARGE */
    50,                                     /* NGX_MESH_ERR_BAD_RESPONSE */
    80,                                     /* NGX_MESH_ERR_DENIED */
    0,                                      /* NGX_MESH_ERR_CLIENT */
    70,                                     /* NGX_MESH_ERR_CALLBACK */
    40                                      /* NGX_MESH_ERR_BAD_REQUEST */
};


static u_char *
ngx_mesh_dubbo_put(u_char *p, ngx_uint_t flags, ngx_uint_t status,
    uint64_t id, size_t len)
{
    ngx_uint_t  i;

    *p++ = 0xda;
    *p++ = 0xbb;
    *p++ = (u_char) flags;
    *p++ = (u_char) status;

    for (i = 0; i < 8; i++) {
        *p++ = (u_char) (id >> (56 - 8 * i));
    }

    for (i = 0; i < 4; i++) {
        *p++ = (u_char) (len >> (24 - 8 * i));
    }

    return p;
}


static ngx_int_t
ngx_mesh_dubbo_detect(const ngx_mesh_codec_t *codec, u_char *p, size_t n)
{
    if ((n > 0 && p[0] != 0xda) || (n > 1 && p[1] != 0xbb)) {
        return NGX_DECLINED;
    }

    return n > 1 ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
ngx_mesh_dubbo_head(const ngx_mesh_codec_t *codec, u_char *p, size_t n,
    ngx_mesh_frame_t *f)
{
    u_char    flags;
    uint32_t  len;

    if ((n > 0 && p[0] != 0xda) || (n > 1 && p[1] != 0xbb)) {
        return NGX_ERROR;
    }

    if (n < NGX_MESH_DUBBO_HEAD) {
        f->size = NGX_MESH_DUBBO_HEAD;
        return NGX_AGAIN;
    }

    len = (uint32_t) p[12] << 24 | (uint32_t) p[13] << 16
          | (uint32_t) p[14] << 8 | p[15];

    if (len > 0x7fffffff) {
        return NGX_ERROR;
    }

    f->id = (uint64_t) p[4] << 56 | (uint64_t) p[5] << 48
            | (uint64_t) p[6] << 40 | (uint64_t) p[7] << 32
            | (uint64_t) p[8] << 24 | (uint64_t) p[9] << 16
            | (uint64_t) p[10] << 8 | p[11];

    f->size = NGX_MESH_DUBBO_HEAD + (size_t) len;
    f->timeout = 0;
    f->variant = 0;
    f->head = NGX_MESH_DUBBO_HEAD;
    f->bad = 0;
    f->check = 0;
    f->late = 0;

    flags = p[2];

    f->serial = flags & NGX_MESH_DUBBO_SERIAL;

    if (flags & NGX_MESH_DUBBO_REQUEST) {
        f->status = 0;
        f->ok = 0;
        f->kind = (flags & NGX_MESH_DUBBO_EVENT) ? NGX_MESH_FRAME_EVENT
                  : (flags & NGX_MESH_DUBBO_TWOWAY) ? NGX_MESH_FRAME_REQUEST
                                                    : NGX_MESH_FRAME_ONEWAY;
        f->check = (f->kind == NGX_MESH_FRAME_EVENT);
        return NGX_OK;
    }

    f->status = p[3];
    f->ok = (p[3] == NGX_MESH_DUBBO_OK);
    f->kind = (flags & NGX_MESH_DUBBO_EVENT) ? NGX_MESH_FRAME_ACK
                                             : NGX_MESH_FRAME_RESPONSE;
    return NGX_OK;
}


static ngx_int_t
ngx_mesh_dubbo_whole(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    u_char      letter;
    ngx_uint_t  twoway;

    if (f->kind != NGX_MESH_FRAME_EVENT) {
        return NGX_OK;
    }

    twoway = p[2] & NGX_MESH_DUBBO_TWOWAY;

    letter = ngx_mesh_dubbo_event_letter(f, p + NGX_MESH_DUBBO_HEAD,
                                         f->size - NGX_MESH_DUBBO_HEAD);

    if (letter == 'R') {
        f->kind = NGX_MESH_FRAME_READONLY;

    } else if (twoway && (letter == 'N' || letter == 'H')) {
        f->kind = NGX_MESH_FRAME_HEARTBEAT;
    }

    return NGX_OK;
}


/*
 * The letter of an event: 'N' for null, which is a heartbeat, 'H' for the
 * form it takes where null cannot be written, 'R', 'W', or 0.
 */

static u_char
ngx_mesh_dubbo_event_letter(ngx_mesh_frame_t *f, u_char *p, size_t n)
{
    ngx_str_t                 s;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    if (n == 0) {
        return 'N';
    }

    serial = ngx_mesh_serial_find(f->serial);

    if (serial == NULL) {

        /* a string is known by its last byte, anything else is taken for
           the null of a serialization that is not known here */

        return (p[n - 1] == 'R' || p[n - 1] == 'W') ? p[n - 1] : 'N';
    }

    ngx_memzero(&r, sizeof(ngx_mesh_body_t));

    r.pos = p;
    r.end = p + n;
    r.limit = r.end;

    if (serial->string(&r, &s) != NGX_OK) {
        return 0;
    }

    return s.len == 0 ? 'N' : s.len == 1 ? s.data[0] : 0;
}


static ngx_uint_t
ngx_mesh_dubbo_result(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    ngx_uint_t                flag;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    if (!f->ok) {
        return NGX_MESH_RESULT_ERROR;
    }

    serial = ngx_mesh_serial_find(f->serial);

    if (serial == NULL) {
        return NGX_MESH_RESULT_OK;
    }

    ngx_memzero(&r, sizeof(ngx_mesh_body_t));

    r.pos = p + NGX_MESH_DUBBO_HEAD;
    r.end = p + f->size;
    r.limit = r.end;

    if (serial->flag(&r, &flag) != NGX_OK) {
        return NGX_MESH_RESULT_OK;
    }

    return (flag == NGX_MESH_DUBBO_EXCEPTION
            || flag == NGX_MESH_DUBBO_EXCEPTION_MORE)
           ? NGX_MESH_RESULT_EXCEPTION : NGX_MESH_RESULT_OK;
}


static void
ngx_mesh_dubbo_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id)
{
    f->id = id;

    /* written out, so that compilers see a single swap and store */

    p[4] = (u_char) (id >> 56);
    p[5] = (u_char) (id >> 48);
    p[6] = (u_char) (id >> 40);
    p[7] = (u_char) (id >> 32);
    p[8] = (u_char) (id >> 24);
    p[9] = (u_char) (id >> 16);
    p[10] = (u_char) (id >> 8);
    p[11] = (u_char) id;
}


/*
 * Java reads an answer that is not status 20 by the serialization its own
 * header names, so that a caller whose serialization cannot be written here
 * gets its text in hessian2, which every Dubbo has.
 */

static size_t
ngx_mesh_dubbo_error(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text)
{
    size_t      n;
    ngx_uint_t  serial;

    if (err >= NGX_MESH_ERR_N || ngx_mesh_dubbo_status[err] == 0) {
        return 0;
    }

    f->status = ngx_mesh_dubbo_status[err];
    f->ok = 0;

    if (size < NGX_MESH_DUBBO_HEAD || f->kind == NGX_MESH_FRAME_ONEWAY) {
        return 0;
    }

    if (text == NULL || text->len == 0) {
        text = ngx_mesh_codec_error_name(err);
    }

    serial = f->serial;

    n = ngx_mesh_serial_write(dst + NGX_MESH_DUBBO_HEAD,
                              size - NGX_MESH_DUBBO_HEAD, &serial, text);

    if (n == 0) {
        return 0;
    }

    ngx_mesh_dubbo_put(dst, serial, f->status, f->id, n);

    return NGX_MESH_DUBBO_HEAD + n;
}


/* one event that carries a constant; hessian2 where nothing better is known */

static size_t
ngx_mesh_dubbo_signal(u_char *dst, size_t size, ngx_mesh_frame_t *f,
    ngx_uint_t flags)
{
    const ngx_str_t          *body;
    const ngx_mesh_serial_t  *serial;

    serial = ngx_mesh_serial_find(f->serial);

    if (serial == NULL) {
        serial = &ngx_mesh_hessian2;
    }

    body = (flags & NGX_MESH_DUBBO_TWOWAY) ? &serial->null
                                           : &serial->readonly;

    if (size < NGX_MESH_DUBBO_HEAD + body->len) {
        return 0;
    }

    dst = ngx_mesh_dubbo_put(dst, NGX_MESH_DUBBO_REQUEST | NGX_MESH_DUBBO_EVENT
                                  | flags | serial->id, 0, f->id, body->len);

    ngx_memcpy(dst, body->data, body->len);

    return NGX_MESH_DUBBO_HEAD + body->len;
}


static size_t
ngx_mesh_dubbo_heartbeat(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f)
{
    return ngx_mesh_dubbo_signal(dst, size, f, NGX_MESH_DUBBO_TWOWAY);
}


/* the sender's own body comes back: it is null in the sender's spelling */

static size_t
ngx_mesh_dubbo_ack(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    u_char *p, ngx_mesh_frame_t *f)
{
    size_t  n;

    if (size < f->size) {
        return 0;
    }

    n = f->size - NGX_MESH_DUBBO_HEAD;

    dst = ngx_mesh_dubbo_put(dst, NGX_MESH_DUBBO_EVENT | f->serial,
                             NGX_MESH_DUBBO_OK, f->id, n);

    if (n) {
        ngx_memcpy(dst, p + NGX_MESH_DUBBO_HEAD, n);
    }

    return f->size;
}


static size_t
ngx_mesh_dubbo_notice(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    ngx_mesh_frame_t *f)
{
    return ngx_mesh_dubbo_signal(dst, size, f, 0);
}
