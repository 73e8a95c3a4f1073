
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <libdeflate.h>
#include <zlib.h>

#include "ngx_mesh_bolt.h"


/*
 * Bolt frame, integers big-endian; in version 2 a byte (its own version)
 * follows the first one, and another (switches) the codec:
 *
 *    0  version, 1 or 2
 *    1  0 response, 1 request, 2 one-way request
 *    2  command: 0 heartbeat, 1 request, 2 response
 *    4  version of the command, 1
 *    5  id, 32 bits
 *    9  codec of the content
 *   10  request: timeout in ms, 32 bits; response: status, 16 bits
 *       lengths of class and header map, 16 bits each, and content, 32 bits
 *       class, header map, content; then, in version 2 with a version byte of
 *       2 and the lowest switch set, the CRC32 of all before it
 */


#define NGX_MESH_BOLT_RESPONSE       0
#define NGX_MESH_BOLT_REQUEST        1
#define NGX_MESH_BOLT_ONEWAY         2

#define NGX_MESH_BOLT_CMD_HEARTBEAT  0
#define NGX_MESH_BOLT_CMD_REQUEST    1
#define NGX_MESH_BOLT_CMD_RESPONSE   2
#define NGX_MESH_BOLT_CMD_GOAWAY     100    /* MOSN's, unknown to Java */

#define NGX_MESH_BOLT_HEAD_MAX       24
#define NGX_MESH_BOLT_SWITCH_CRC     0x01
#define NGX_MESH_BOLT_MOVES          64

/* generations of slots are what an id has besides the slot, so that tests
   make them few by making ids short */

#ifndef NGX_MESH_BOLT_ID_BITS
#define NGX_MESH_BOLT_ID_BITS        32
#endif


/* what a CRC is multiplied with, for so many bytes that follow */

typedef struct {
    size_t  distance;
    uLong   factor;
} ngx_mesh_bolt_move_t;


static ngx_int_t ngx_mesh_bolt_detect(const ngx_mesh_codec_t *codec, u_char *p,
    size_t n);
static ngx_int_t ngx_mesh_bolt_head(const ngx_mesh_codec_t *codec, u_char *p,
    size_t n, ngx_mesh_frame_t *f);
static void ngx_mesh_bolt_request(ngx_mesh_frame_t *f, ngx_uint_t type,
    ngx_uint_t command);
static void ngx_mesh_bolt_response(ngx_mesh_frame_t *f, ngx_uint_t command);
static ngx_int_t ngx_mesh_bolt_whole(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f);
static void ngx_mesh_bolt_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id);
static uLong ngx_mesh_bolt_crc_move(uLong crc, size_t n);
static u_char *ngx_mesh_bolt_put(u_char *p, ngx_mesh_frame_t *f,
    ngx_uint_t type, ngx_uint_t command, ngx_uint_t switches);
static u_char *ngx_mesh_bolt_put_u32(u_char *p, uint32_t n);
static size_t ngx_mesh_bolt_error(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text);
static size_t ngx_mesh_bolt_error_body(u_char *dst, size_t size,
    ngx_mesh_frame_t *f, ngx_str_t *text);
static size_t ngx_mesh_bolt_heartbeat(const ngx_mesh_codec_t *codec,
    u_char *dst, size_t size, ngx_mesh_frame_t *f);
static size_t ngx_mesh_bolt_ack(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, u_char *p, ngx_mesh_frame_t *f);
static size_t ngx_mesh_bolt_notice(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f);


const ngx_mesh_codec_t  ngx_mesh_bolt_codec = {
    ngx_string("bolt"),
    NGX_MESH_BOLT_HEAD_MAX,
    NGX_MESH_BOLT_ID_BITS,
    ngx_mesh_bolt_detect,
    ngx_mesh_bolt_head,
    ngx_mesh_bolt_whole,
    ngx_mesh_bolt_facts,
    ngx_mesh_bolt_attachment,
    ngx_mesh_bolt_result,
    ngx_mesh_bolt_set_id,
    ngx_mesh_bolt_error,
    ngx_mesh_bolt_heartbeat,
    ngx_mesh_bolt_ack,
    ngx_mesh_bolt_notice,
    ngx_mesh_bolt_edit,
    NULL
};


static const u_char  ngx_mesh_bolt_status[NGX_MESH_ERR_N] = {
    0,                                      /* NGX_MESH_ERR_NONE */
    6,                                      /* NGX_MESH_ERR_NO_ROUTE */
    6,                                      /* NGX_MESH_ERR_NO_ENDPOINT */
    7,                                      /* NGX_MESH_ERR_EXPIRED */
    7,                                      /* NGX_MESH_ERR_TIMEOUT */
    0x10,                                   /* NGX_MESH_ERR_CLOSED */
    4,                                      /* NGX_MESH_ERR_OVERLOAD */
    9,                                      /* NGX_MESH_ERR_TOO_LARGE */
    9,                                      /* NGX_MESH_ERR_BAD_RESPONSE */
    2,                                      /* NGX_MESH_ERR_DENIED */
    0,                                      /* NGX_MESH_ERR_CLIENT */
    6,                                      /* NGX_MESH_ERR_CALLBACK */
    9                                       /* NGX_MESH_ERR_BAD_REQUEST */
};


static ngx_str_t  ngx_mesh_bolt_sofa_response =
    ngx_string("com.alipay.sofa.rpc.core.response.SofaResponse");

/* the header map of an error response: one pair */

static ngx_str_t  ngx_mesh_bolt_sofa_error =
    ngx_string("\0\0\0\x18" "sofa_head_response_error" "\0\0\0\4" "true");


static ngx_int_t
ngx_mesh_bolt_detect(const ngx_mesh_codec_t *codec, u_char *p, size_t n)
{
    size_t  v2;

    if (n == 0) {
        return NGX_AGAIN;
    }

    if (p[0] != 1 && p[0] != 2) {
        return NGX_DECLINED;
    }

    v2 = p[0] - 1;

    if ((v2 && n > 1 && (p[1] == 0 || p[1] > 2))
        || (n > v2 + 1 && p[v2 + 1] > NGX_MESH_BOLT_ONEWAY)
        || (n > v2 + 2 && p[v2 + 2] != 0)
        || (n > v2 + 4 && p[v2 + 4] != 1))
    {
        return NGX_DECLINED;
    }

    return n > v2 + 4 ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
ngx_mesh_bolt_head(const ngx_mesh_codec_t *codec, u_char *p, size_t n,
    ngx_mesh_frame_t *f)
{
    size_t      v2, head;
    uint32_t    class, map, content;
    ngx_uint_t  type;

    if (n == 0) {
        f->size = 1;
        return NGX_AGAIN;
    }

    if (p[0] != 1 && p[0] != 2) {
        return NGX_ERROR;
    }

    v2 = p[0] - 1;

    if (n < v2 + 2) {
        f->size = v2 + 2;
        return NGX_AGAIN;
    }

    type = p[v2 + 1];

    if (type > NGX_MESH_BOLT_ONEWAY || (v2 && (p[1] == 0 || p[1] > 2))) {
        return NGX_ERROR;
    }

    head = (type == NGX_MESH_BOLT_RESPONSE ? 20 : 22) + 2 * v2;

    if (n < head) {
        f->size = head;
        return NGX_AGAIN;
    }

    class = ngx_mesh_bolt_u16(p + head - 8);
    map = ngx_mesh_bolt_u16(p + head - 6);
    content = ngx_mesh_bolt_u32(p + head - 4);

    /* Java reads all of them as signed numbers */

    if (class > 0x7fff || map > 0x7fff || content > 0x7fffffff
        || (v2 && p[11] > 0x7f))
    {
        return NGX_ERROR;
    }

    f->id = ngx_mesh_bolt_u32(p + v2 + 5);
    f->size = head + class + map + (size_t) content;
    f->timeout = 0;
    f->status = 0;
    f->variant = v2 ? NGX_MESH_BOLT_V2 + (p[1] == 2) : NGX_MESH_BOLT_V1;
    f->serial = p[v2 + 9];
    f->head = (uint8_t) head;
    f->bad = 0;
    f->ok = 0;
    f->check = 0;
    f->late = 0;

    if (f->variant == NGX_MESH_BOLT_V2_CRC
        && (p[11] & NGX_MESH_BOLT_SWITCH_CRC))
    {
        f->size += NGX_MESH_BOLT_CRC_SIZE;
        f->check = 1;
    }

    if (type == NGX_MESH_BOLT_RESPONSE) {
        f->status = (uint16_t) ngx_mesh_bolt_u16(p + head - 10);
        ngx_mesh_bolt_response(f, ngx_mesh_bolt_u16(p + v2 + 2));
        return NGX_OK;
    }

    f->timeout = ngx_mesh_bolt_u32(p + head - 12);

    if (f->timeout > 0x7fffffff) {
        f->timeout = 0;
    }

    ngx_mesh_bolt_request(f, type, ngx_mesh_bolt_u16(p + v2 + 2));

    return NGX_OK;
}


static void
ngx_mesh_bolt_request(ngx_mesh_frame_t *f, ngx_uint_t type, ngx_uint_t command)
{
    f->kind = (type == NGX_MESH_BOLT_ONEWAY) ? NGX_MESH_FRAME_ONEWAY
                                             : NGX_MESH_FRAME_REQUEST;
    switch (command) {

    case NGX_MESH_BOLT_CMD_REQUEST:
        return;

    case NGX_MESH_BOLT_CMD_HEARTBEAT:
        f->kind = (type == NGX_MESH_BOLT_ONEWAY) ? NGX_MESH_FRAME_EVENT
                                                 : NGX_MESH_FRAME_HEARTBEAT;
        return;

    case NGX_MESH_BOLT_CMD_GOAWAY:
        if (type == NGX_MESH_BOLT_REQUEST) {
            f->kind = NGX_MESH_FRAME_READONLY;
            return;
        }

        break;

    default:
        break;
    }

    f->bad = NGX_MESH_BAD_COMMAND;
}


/* Java closes its connection on a command or a status it does not know */

static void
ngx_mesh_bolt_response(ngx_mesh_frame_t *f, ngx_uint_t command)
{
    f->kind = (command == NGX_MESH_BOLT_CMD_HEARTBEAT)
              ? NGX_MESH_FRAME_ACK : NGX_MESH_FRAME_RESPONSE;

    f->ok = (f->status == 0);

    if (command > NGX_MESH_BOLT_CMD_RESPONSE
        || (f->status > 9 && (f->status < 0x10 || f->status > 0x12)))
    {
        f->bad = NGX_MESH_BAD_COMMAND;
    }
}


static ngx_int_t
ngx_mesh_bolt_whole(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    size_t  n;

    if (f->check) {
        n = f->size - NGX_MESH_BOLT_CRC_SIZE;

        if (libdeflate_crc32(0, p, n) != ngx_mesh_bolt_u32(p + n)) {
            f->bad = NGX_MESH_BAD_CHECKSUM;
        }
    }

    return NGX_OK;
}


/*
 * A CRC is linear: it changes by the CRC of the change, which is that of the
 * old and the new id together, moved along all the bytes behind them.
 */

static void
ngx_mesh_bolt_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id)
{
    u_char  *pos, *end;
    uLong    delta;

    pos = p + (f->variant == NGX_MESH_BOLT_V1 ? 5 : 6);

    f->id = (uint32_t) id;

    if (!f->check) {
        (void) ngx_mesh_bolt_put_u32(pos, (uint32_t) id);
        return;
    }

    end = p + f->size - NGX_MESH_BOLT_CRC_SIZE;

    delta = crc32(0, pos, 4);
    (void) ngx_mesh_bolt_put_u32(pos, (uint32_t) id);
    delta ^= crc32(0, pos, 4);

    delta = ngx_mesh_bolt_crc_move(delta, end - (pos + 4));

    (void) ngx_mesh_bolt_put_u32(end, (uint32_t) (ngx_mesh_bolt_u32(end)
                                                  ^ delta));
}


/*
 * The factor of a distance costs five times the multiplication with it, and
 * the calls of a service are of few sizes.  No distance is 0: the rest of the
 * header lies between id and CRC.
 */

static uLong
ngx_mesh_bolt_crc_move(uLong crc, size_t n)
{
    ngx_mesh_bolt_move_t  *move;

    static ngx_mesh_bolt_move_t  moves[NGX_MESH_BOLT_MOVES];

    move = &moves[n % NGX_MESH_BOLT_MOVES];

    if (move->distance != n) {
        move->distance = n;
        move->factor = crc32_combine_gen((z_off_t) n);
    }

    return crc32_combine_op(crc, 0, move->factor);
}


void
ngx_mesh_bolt_split(u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_bolt_parts_t *parts)
{
    u_char  *lengths;

    p += f->head;
    lengths = p - 8;

    parts->class.len = ngx_mesh_bolt_u16(lengths);
    parts->class.data = p;
    p += parts->class.len;

    parts->map.len = ngx_mesh_bolt_u16(lengths + 2);
    parts->map.data = p;
    p += parts->map.len;

    parts->content.len = ngx_mesh_bolt_u32(lengths + 4);
    parts->content.data = p;
}


static u_char *
ngx_mesh_bolt_put_u32(u_char *p, uint32_t n)
{
    *p++ = (u_char) (n >> 24);
    *p++ = (u_char) (n >> 16);
    *p++ = (u_char) (n >> 8);
    *p++ = (u_char) n;

    return p;
}


/* a header up to the codec and the switches, with f's id and version */

static u_char *
ngx_mesh_bolt_put(u_char *p, ngx_mesh_frame_t *f, ngx_uint_t type,
    ngx_uint_t command, ngx_uint_t switches)
{
    if (f->variant == NGX_MESH_BOLT_V2 || f->variant == NGX_MESH_BOLT_V2_CRC) {
        *p++ = 2;
        *p++ = (f->variant == NGX_MESH_BOLT_V2_CRC) ? 2 : 1;

    } else {
        *p++ = 1;
    }

    *p++ = (u_char) type;
    *p++ = (u_char) (command >> 8);
    *p++ = (u_char) command;
    *p++ = 1;

    p = ngx_mesh_bolt_put_u32(p, (uint32_t) f->id);

    *p++ = ngx_mesh_bolt_codec_byte(f->serial);

    if (f->variant == NGX_MESH_BOLT_V2 || f->variant == NGX_MESH_BOLT_V2_CRC) {
        *p++ = (u_char) switches;
    }

    return p;
}


/*
 * For 7, 4 and 0x10 SOFARPC has exceptions of their own.  Any other status
 * becomes one that says nothing, so that who can read it gets a text, in a
 * response that is a success to Bolt.
 */

static size_t
ngx_mesh_bolt_error(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text)
{
    u_char      *p;
    size_t       n;
    ngx_uint_t   crc, status;

    if (err >= NGX_MESH_ERR_N || ngx_mesh_bolt_status[err] == 0) {
        return 0;
    }

    status = ngx_mesh_bolt_status[err];

    f->status = (uint16_t) status;
    f->ok = 0;

    if (size < 64 || f->kind != NGX_MESH_FRAME_REQUEST) {
        return 0;
    }

    if (text == NULL || text->len == 0) {
        text = ngx_mesh_codec_error_name(err);
    }

    crc = (f->variant == NGX_MESH_BOLT_V2_CRC) ? NGX_MESH_BOLT_SWITCH_CRC : 0;

    p = ngx_mesh_bolt_put(dst, f, NGX_MESH_BOLT_RESPONSE,
                          NGX_MESH_BOLT_CMD_RESPONSE, crc);
    n = 0;

    if (ngx_mesh_bolt_codec_byte(f->serial) == NGX_MESH_BOLT_HESSIAN
        && status != 4 && status != 7 && status != 0x10
        && err != NGX_MESH_ERR_BAD_REQUEST)
    {
        n = ngx_mesh_bolt_error_body(p, size - (p - dst) - 4, f, text);
    }

    if (n) {
        p += n;

    } else {
        *p++ = (u_char) (status >> 8);
        *p++ = (u_char) status;
        p = ngx_mesh_bolt_put_u32(p, 0);
        p = ngx_mesh_bolt_put_u32(p, 0);
    }

    if (crc) {
        p = ngx_mesh_bolt_put_u32(p, libdeflate_crc32(0, dst, p - dst));
    }

    return p - dst;
}


/* the rest of an error response, from its status on; 0: no room */

static size_t
ngx_mesh_bolt_error_body(u_char *dst, size_t size, ngx_mesh_frame_t *f,
    ngx_str_t *text)
{
    u_char  *p;
    size_t   n, head;

    head = 10 + ngx_mesh_bolt_sofa_response.len + ngx_mesh_bolt_sofa_error.len;

    if (size < head) {
        return 0;
    }

    n = ngx_mesh_sofa_error(dst + head, size - head,
                            f->serial & NGX_MESH_BOLT_FINAL, text);
    if (n == 0) {
        return 0;
    }

    p = dst;

    *p++ = 0;
    *p++ = 0;
    *p++ = 0;
    *p++ = (u_char) ngx_mesh_bolt_sofa_response.len;
    *p++ = 0;
    *p++ = (u_char) ngx_mesh_bolt_sofa_error.len;

    p = ngx_mesh_bolt_put_u32(p, (uint32_t) n);
    p = ngx_cpymem(p, ngx_mesh_bolt_sofa_response.data,
                   ngx_mesh_bolt_sofa_response.len);
    ngx_memcpy(p, ngx_mesh_bolt_sofa_error.data, ngx_mesh_bolt_sofa_error.len);

    return head + n;
}


/* Java sends its heartbeats in this form, whatever the connection carries */

static size_t
ngx_mesh_bolt_heartbeat(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f)
{
    u_char  *p;

    if (size < NGX_MESH_BOLT_HEAD_MAX) {
        return 0;
    }

    f->serial = NGX_MESH_BOLT_HESSIAN;

    p = ngx_mesh_bolt_put(dst, f, NGX_MESH_BOLT_REQUEST,
                          NGX_MESH_BOLT_CMD_HEARTBEAT, 0);

    p = ngx_mesh_bolt_put_u32(p, 0xffffffff);
    p = ngx_mesh_bolt_put_u32(p, 0);
    p = ngx_mesh_bolt_put_u32(p, 0);

    return p - dst;
}


static size_t
ngx_mesh_bolt_ack(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    u_char *p, ngx_mesh_frame_t *f)
{
    if (size < NGX_MESH_BOLT_HEAD_MAX) {
        return 0;
    }

    p = ngx_mesh_bolt_put(dst, f, NGX_MESH_BOLT_RESPONSE,
                          NGX_MESH_BOLT_CMD_HEARTBEAT, 0);

    *p++ = 0;
    *p++ = 0;
    p = ngx_mesh_bolt_put_u32(p, 0);
    p = ngx_mesh_bolt_put_u32(p, 0);

    return p - dst;
}


/* MOSN's command of this kind makes Java close the connection */

static size_t
ngx_mesh_bolt_notice(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    ngx_mesh_frame_t *f)
{
    return 0;
}
