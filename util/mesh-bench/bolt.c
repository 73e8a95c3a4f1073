
/*
 * Copyright (C) nginx-mesh authors
 */


#include "hessian.h"

#include <zlib.h>


/*
 * A frame of version 1, big-endian: 1, type, 2 bytes of command, 1, 4 bytes
 * of id, codec, timeout (4 bytes) or status (2), lengths of class (2), header
 * map (2) and content (4), and these three.  Version 2 has its own version
 * behind the first byte, here always 2, and switches behind the codec, of
 * which the first one says that a CRC32 of all this follows.
 */

#define MB_BOLT_RESPONSE   0
#define MB_BOLT_REQUEST    1
#define MB_BOLT_ONEWAY     2

#define MB_BOLT_HEARTBEAT  0
#define MB_BOLT_CALL       1
#define MB_BOLT_ANSWER     2
#define MB_BOLT_GOAWAY     100

#define MB_BOLT_HESSIAN    1
#define MB_BOLT_TIMEOUT    3000
#define MB_BOLT_ERROR      1
#define MB_BOLT_FAILED     2

#define MB_BOLT_HEAD_V1    20
#define MB_BOLT_HEAD_V2    22
#define MB_BOLT_CRC        4
#define MB_BOLT_DEPTH      16
#define MB_BOLT_MOVES      64

#define mb_bolt_class(name)  "com.alipay.sofa.rpc.core." name

#define mb_bolt_sofa(p, s)  mb_hessian_string(&mb_hessian_sofa, p, s)

#define mb_bolt_text(p, last, text, len)                                     \
    mb_hessian_skip(&mb_hessian_sofa, p, last, text, len)


static const char  mb_bolt_request_class[] =
    mb_bolt_class("request.SofaRequest");

static const char  mb_bolt_response_class[] =
    mb_bolt_class("response.SofaResponse");

/* up to appResponse: isError is false, errorMsg null */

static const u_char  mb_bolt_response[] =
    "O\xbe" mb_bolt_class("response.SofaResponse") "\x94"
    "\x07" "isError\x08" "errorMsg\x0b" "appResponse\x0d" "responseProps"
    "o\x90" "FN";

#define MB_BOLT_CLASS      (sizeof(mb_bolt_response_class) - 1)
#define MB_BOLT_BEFORE     (sizeof(mb_bolt_response) - 1)

/* class, content before and behind the value */
#define MB_BOLT_ROOM       (MB_BOLT_CLASS + MB_BOLT_BEFORE + 1)


static unsigned
mb_get16(u_char *p)
{
    return (unsigned) p[0] << 8 | p[1];
}


static u_char *
mb_put16(u_char *p, size_t n)
{
    *p++ = (u_char) (n >> 8);
    *p++ = (u_char) n;

    return p;
}


static size_t
mb_bolt_head(u_char *p)
{
    size_t  v2;

    v2 = p[0] - 1;

    return MB_BOLT_HEAD_V1 + 2 * v2 + (p[v2 + 1] == MB_BOLT_RESPONSE ? 0 : 2);
}


static size_t
mb_bolt_crc(u_char *p)
{
    return (p[0] == 2 && (p[11] & 1)) ? MB_BOLT_CRC : 0;
}


/* for bare alone, which has one thread: the factors of distances are kept */

static uLong
mb_bolt_crc_move(uLong crc, size_t n)
{
    size_t  i;

    static size_t  distance[MB_BOLT_MOVES];
    static uLong   factor[MB_BOLT_MOVES];

    i = n % MB_BOLT_MOVES;

    if (distance[i] != n) {
        distance[i] = n;
        factor[i] = crc32_combine_gen((z_off_t) n);
    }

    return crc32_combine_op(crc, 0, factor[i]);
}


static void
mb_bolt_set_id(u_char *frame, size_t len, uint64_t id)
{
    u_char  *p, *end;
    uLong    delta;

    p = frame + 4 + frame[0];

    if (!mb_bolt_crc(frame)) {
        (void) mb_put32(p, (uint32_t) id);
        return;
    }

    end = frame + len - MB_BOLT_CRC;

    /* the sum of both ids, moved on by the bytes behind, is the difference */

    delta = crc32(0, p, 4);
    (void) mb_put32(p, (uint32_t) id);
    delta ^= crc32(0, p, 4);
    delta = mb_bolt_crc_move(delta, (size_t) (end - p - 4));

    (void) mb_put32(end, mb_get32(end) ^ (uint32_t) delta);
}


static size_t
mb_bolt_seal(u_char *frame, u_char *end)
{
    if (mb_bolt_crc(frame)) {
        end = mb_put32(end, (uint32_t) crc32(0, frame,
                                             (uInt) (end - frame)));
    }

    return (size_t) (end - frame);
}


static void
mb_bolt_stamp(u_char *frame, size_t len, uint64_t id)
{
    (void) mb_put32(frame + 4 + frame[0], (uint32_t) id);
    (void) mb_bolt_seal(frame, frame + len - mb_bolt_crc(frame));
}


/* up to timeout or status */

static u_char *
mb_bolt_header(u_char *p, unsigned version, unsigned type, unsigned command,
    uint64_t id, unsigned switches)
{
    *p++ = (u_char) version;

    if (version == 2) {
        *p++ = 2;
    }

    *p++ = (u_char) type;
    p = mb_put16(p, command);
    *p++ = 1;
    p = mb_put32(p, (uint32_t) id);
    *p++ = MB_BOLT_HESSIAN;

    if (version == 2) {
        *p++ = (u_char) switches;
    }

    return p;
}


static int
mb_bolt_kind(unsigned type, unsigned command, mb_frame_t *f)
{
    if (type == MB_BOLT_RESPONSE) {
        f->kind = (command == MB_BOLT_HEARTBEAT) ? MB_PONG : MB_RESPONSE;
        return (command <= MB_BOLT_ANSWER) ? MB_OK : MB_ERROR;
    }

    switch (command) {

    case MB_BOLT_HEARTBEAT:
        f->kind = (type == MB_BOLT_REQUEST) ? MB_PING : MB_EVENT;
        return MB_OK;

    case MB_BOLT_CALL:
        f->kind = (type == MB_BOLT_REQUEST) ? MB_REQUEST : MB_ONEWAY;
        return MB_OK;

    case MB_BOLT_GOAWAY:
        f->kind = MB_EVENT;
        return MB_OK;

    default:
        return MB_ERROR;
    }
}


static int
mb_bolt_parse(u_char *p, size_t len, mb_frame_t *f, unsigned version)
{
    size_t    head;
    unsigned  v2;
    uint32_t  content;

    v2 = version - 1;

    if (p[0] != version || (v2 && (p[1] != 2 || p[11] > 0x7f))
        || p[v2 + 1] > MB_BOLT_ONEWAY || p[v2 + 4] != 1)
    {
        return MB_ERROR;
    }

    head = mb_bolt_head(p);

    if (len < head) {
        f->len = head;
        return MB_OK;
    }

    content = mb_get32(p + head - 4);

    if (content > MB_MAX_FRAME - 0x20000) {
        return MB_ERROR;
    }

    f->len = head + mb_get16(p + head - 8) + mb_get16(p + head - 6) + content
             + mb_bolt_crc(p);
    f->id = mb_get32(p + v2 + 5);
    f->status = (p[v2 + 1] == MB_BOLT_RESPONSE) ? mb_get16(p + head - 10) : 0;

    return mb_bolt_kind(p[v2 + 1], mb_get16(p + v2 + 2), f);
}


static int
mb_bolt1_parse(u_char *p, size_t len, mb_frame_t *f)
{
    return mb_bolt_parse(p, len, f, 1);
}


static int
mb_bolt2_parse(u_char *p, size_t len, mb_frame_t *f)
{
    return mb_bolt_parse(p, len, f, 2);
}


/* numbers of at most 12 bits, which is what lengths and counts are here */

static u_char *
mb_bolt_int(u_char *p, u_char *last, size_t *n)
{
    if (p < last && *p >= 0x90 && *p <= 0xbf) {
        *n = *p - 0x90;
        return p + 1;
    }

    if (last - p >= 2 && *p >= 0xc8 && *p <= 0xcf) {
        *n = (size_t) (p[0] - 0xc8) << 8 | p[1];
        return p + 2;
    }

    return NULL;
}


/* a type, which may be missing, and the length of a list */

static u_char *
mb_bolt_skip_type(u_char *p, u_char *last)
{
    size_t  n;

    if (last - p >= 3 && *p == 't') {
        n = mb_get16(p + 1);

        if (n > (size_t) (last - p - 3)) {
            return NULL;
        }

        p += 3 + n;
    }

    n = (p == last) ? 0 : (*p == 'n') ? 2 : (*p == 'l') ? 5 : 0;

    return (n > (size_t) (last - p)) ? NULL : p + n;
}


/* what a SofaRequest is made of: strings, nulls, maps and lists of them */

static u_char *
mb_bolt_skip(u_char *p, u_char *last, unsigned depth)
{
    size_t   n;
    u_char  *text;

    if (p == last || depth == MB_BOLT_DEPTH) {
        return NULL;
    }

    switch (*p) {

    case 'N':
    case 'T':
    case 'F':
        return p + 1;

    case 'M':
    case 'V':
        p = mb_bolt_skip_type(p + 1, last);

        while (p && p < last && *p != 'z') {
            p = mb_bolt_skip(p, last, depth + 1);
        }

        return (p && p < last) ? p + 1 : NULL;

    default:
        return mb_bolt_text(p, last, &text, &n);
    }
}


/* the first field of the object that the content begins with */

static u_char *
mb_bolt_object(mb_frame_t *f, u_char **last, size_t *fields)
{
    size_t   i, n;
    u_char  *p, *text;

    p = f->data + mb_bolt_head(f->data);
    p += mb_get16(p - 8) + mb_get16(p - 6);
    *last = f->data + f->len - mb_bolt_crc(f->data);

    if (p == *last || *p != 'O') {
        return NULL;
    }

    p = mb_bolt_int(p + 1, *last, &n);

    if (p == NULL || n > (size_t) (*last - p)) {
        return NULL;
    }

    p = mb_bolt_int(p + n, *last, fields);

    for (i = 0; p && i < *fields; i++) {
        p = mb_bolt_text(p, *last, &text, &n);
    }

    if (p == NULL || *last - p < 2 || p[0] != 'o' || p[1] != 0x90) {
        return NULL;
    }

    return p + 2;
}


/*
 * An error that the mesh makes is a success to Bolt, with a SofaResponse that
 * says otherwise; only then, or with an exception, is there a header map.
 */

static int
mb_bolt_whole(mb_frame_t *f)
{
    size_t   n, head;
    u_char  *p, *last;

    p = f->data;

    if (mb_bolt_crc(p)) {
        last = p + f->len - MB_BOLT_CRC;

        if ((uint32_t) crc32(0, p, (uInt) (last - p)) != mb_get32(last)) {
            return MB_ERROR;
        }

    } else if (p[0] == 2 && f->kind == MB_RESPONSE) {

        /* its call had one */
        return MB_ERROR;
    }

    if (f->kind == MB_RESPONSE && f->status == 0) {
        head = mb_bolt_head(p);

        if (mb_get16(p + head - 6)) {
            p = mb_bolt_object(f, &last, &n);

            if (p && p < last && *p == 'T') {
                f->status = MB_BOLT_ERROR;
            }
        }
    }

    return MB_OK;
}


static int
mb_bolt_template(mb_template_t *t, u_char *head, size_t head_len,
    const char *tail, size_t tail_len, size_t body)
{
    size_t   start, content;
    u_char  *p;

    if (body < 1 + MB_VALUE) {
        return MB_ERROR;
    }

    t->end = head_len + body + tail_len;
    t->len = t->end + mb_bolt_crc(head);
    t->data = mb_alloc(t->len);
    t->value = head_len + mb_hessian_tag(&mb_hessian_sofa, body);
    t->value_end = t->value + MB_VALUE;

    memcpy(t->data, head, head_len);
    p = mb_hessian_fill(&mb_hessian_sofa, t->data + head_len, body);
    memcpy(p, tail, tail_len);

    start = mb_bolt_head(head);
    content = t->end - start - mb_get16(head + start - 8)
              - mb_get16(head + start - 6);

    (void) mb_put32(t->data + start - 4, (uint32_t) content);

    return MB_OK;
}


static u_char *
mb_bolt_pair(u_char *p, const char *key, const char *value)
{
    size_t  len;

    len = strlen(key);
    p = mb_put32(p, (uint32_t) len);
    memcpy(p, key, len);
    p += len;

    len = strlen(value);
    p = mb_put32(p, (uint32_t) len);
    memcpy(p, value, len);

    return p + len;
}


#define MB_BOLT_TRACE  "7f0000011764000000000100110008"


/* in the order that Java's HashMap has them */

static u_char *
mb_bolt_map(u_char *p, mb_call_t *call, const char *unique, const char *type)
{
    p = mb_bolt_pair(p, "sofa_head_target_service", unique);
    p = mb_bolt_pair(p, "app", call->application);
    p = mb_bolt_pair(p, "rpc_trace_context.sofaRpcId", "0");
    p = mb_bolt_pair(p, "protocol", "bolt");
    p = mb_bolt_pair(p, "rpc_trace_context.samp", "true");
    p = mb_bolt_pair(p, "rpc_trace_context.sofaTraceId", MB_BOLT_TRACE);
    p = mb_bolt_pair(p, "service", unique);
    p = mb_bolt_pair(p, "rpc_trace_context.sysPenAttrs", "");
    p = mb_bolt_pair(p, "rpc_trace_context.sofaPenAttrs", "");
    p = mb_bolt_pair(p, "sofa_head_method_name", call->method);

    return mb_bolt_pair(p, "type", type);
}


static u_char *
mb_bolt_sofa_request(u_char *p, mb_call_t *call, const char *unique,
    const char *type)
{
    size_t  len;

    static const char  fields[] =
        "\x95\x0d" "targetAppName\x0a" "methodName\x17"
        "targetServiceUniqueName\x0c" "requestProps\x0d" "methodArgSigs"
        "o\x90N";

    static const char  sigs[] = "zVt\0\x07[stringn\x01\x10java.lang.Stringz";

    len = sizeof(mb_bolt_request_class) - 1;

    *p++ = 'O';
    *p++ = (u_char) (0x90 + len);
    memcpy(p, mb_bolt_request_class, len);
    p += len;

    memcpy(p, fields, sizeof(fields) - 1);
    p += sizeof(fields) - 1;

    p = mb_bolt_sofa(p, call->method);
    p = mb_bolt_sofa(p, unique);

    *p++ = 'M';
    p = mb_bolt_sofa(mb_bolt_sofa(p, "app"), call->application);
    p = mb_bolt_sofa(mb_bolt_sofa(p, "protocol"), "bolt");
    p = mb_bolt_sofa(p, "rpc_trace_context");
    *p++ = 'M';
    p = mb_bolt_sofa(mb_bolt_sofa(p, "sofaRpcId"), "0");
    p = mb_bolt_sofa(mb_bolt_sofa(p, "samp"), "true");
    p = mb_bolt_sofa(mb_bolt_sofa(p, "sysPenAttrs"), "");
    p = mb_bolt_sofa(mb_bolt_sofa(p, "sofaTraceId"), MB_BOLT_TRACE);
    p = mb_bolt_sofa(mb_bolt_sofa(p, "sofaPenAttrs"), "");
    *p++ = 'z';
    p = mb_bolt_sofa(mb_bolt_sofa(p, "type"), type);

    memcpy(p, sigs, sizeof(sigs) - 1);

    return p + sizeof(sigs) - 1;
}


/* what a SOFARPC 5.13 consumer sends for String echo(String) */

static int
mb_bolt_request(mb_template_t *t, mb_call_t *call, size_t body, int oneway,
    unsigned version)
{
    char         unique[512];
    u_char       head[4096], *p, *lengths, *map;
    const char  *type;

    if (strlen(call->service) > 255 || strlen(call->version) > 255
        || strlen(call->method) > 255 || strlen(call->application) > 255)
    {
        mb_die("a name is longer than 255 characters");
    }

    snprintf(unique, sizeof(unique), "%s:%s", call->service,
             *call->version ? call->version : "1.0");

    type = oneway ? "oneway" : "sync";

    p = mb_bolt_header(head, version,
                       oneway ? MB_BOLT_ONEWAY : MB_BOLT_REQUEST,
                       MB_BOLT_CALL, 0, 1);
    p = mb_put32(p, oneway ? UINT32_MAX : MB_BOLT_TIMEOUT);

    lengths = p;
    p += 8;

    memcpy(p, mb_bolt_request_class, sizeof(mb_bolt_request_class) - 1);
    map = p + sizeof(mb_bolt_request_class) - 1;
    p = mb_bolt_map(map, call, unique, type);

    lengths = mb_put16(lengths, sizeof(mb_bolt_request_class) - 1);
    (void) mb_put16(lengths, (size_t) (p - map));

    p = mb_bolt_sofa_request(p, call, unique, type);

    if (mb_bolt_template(t, head, (size_t) (p - head), "", 0, body) != MB_OK) {
        mb_die("an argument takes at least %d bytes", 1 + MB_VALUE);
    }

    return MB_OK;
}


static int
mb_bolt1_request(mb_template_t *t, mb_call_t *call, size_t body, int oneway)
{
    return mb_bolt_request(t, call, body, oneway, 1);
}


static int
mb_bolt2_request(mb_template_t *t, mb_call_t *call, size_t body, int oneway)
{
    return mb_bolt_request(t, call, body, oneway, 2);
}


static int
mb_bolt_arg(mb_frame_t *f, mb_arg_t *arg)
{
    size_t   i, n, len;
    u_char  *p, *last, *text;

    p = mb_bolt_object(f, &last, &n);

    for (i = 0; p && i < n; i++) {
        p = mb_bolt_skip(p, last, 0);
    }

    if (p == NULL) {
        return MB_ERROR;
    }

    arg->data = p;
    p = mb_bolt_text(p, last, &text, &len);

    if (p == NULL) {
        return MB_ERROR;
    }

    arg->len = (size_t) (p - arg->data);
    arg->value = (len >= MB_VALUE) ? text : NULL;

    return MB_OK;
}


/* names and headers are far more than a small size would leave room for */

static size_t
mb_bolt_body(mb_frame_t *f mb_unused, mb_arg_t *arg)
{
    return arg->len;
}


/* an answer up to its value */

static u_char *
mb_bolt_open(u_char *buf, unsigned version, uint64_t id, unsigned switches)
{
    u_char  *p;

    p = mb_bolt_header(buf, version, MB_BOLT_RESPONSE, MB_BOLT_ANSWER, id,
                       switches);
    p = mb_put16(p, 0);
    p = mb_put16(p, MB_BOLT_CLASS);
    p = mb_put16(p, 0);
    p = mb_put32(p, 0);

    memcpy(p, mb_bolt_response_class, MB_BOLT_CLASS);
    p += MB_BOLT_CLASS;

    memcpy(p, mb_bolt_response, MB_BOLT_BEFORE);

    return p + MB_BOLT_BEFORE;
}


static int
mb_bolt1_answer(mb_template_t *t, size_t body)
{
    u_char  head[MB_BOLT_HEAD_V1 + MB_BOLT_ROOM];

    return mb_bolt_template(t, head,
                            (size_t) (mb_bolt_open(head, 1, 0, 0) - head),
                            "N", 1, body);
}


static int
mb_bolt2_answer(mb_template_t *t, size_t body)
{
    u_char  head[MB_BOLT_HEAD_V2 + MB_BOLT_ROOM];

    return mb_bolt_template(t, head,
                            (size_t) (mb_bolt_open(head, 2, 0, 1) - head),
                            "N", 1, body);
}


static size_t
mb_bolt_echo(u_char *buf, mb_frame_t *f, mb_arg_t *arg)
{
    size_t   head;
    u_char  *p;

    p = mb_bolt_open(buf, f->data[0], f->id, f->data[11]);

    if (arg) {
        memcpy(p, arg->data, arg->len);
        p += arg->len;

    } else {
        *p++ = 'N';
    }

    *p++ = 'N';

    head = mb_bolt_head(buf);
    (void) mb_put32(buf + head - 4,
                    (uint32_t) (p - buf - (ssize_t) (head + MB_BOLT_CLASS)));

    return mb_bolt_seal(buf, p);
}


static size_t
mb_bolt_status(u_char *buf, mb_frame_t *f, unsigned command, unsigned switches,
    unsigned status)
{
    u_char  *p;

    p = mb_bolt_header(buf, f->data[0], MB_BOLT_RESPONSE, command, f->id,
                       switches);
    p = mb_put16(p, status);
    p = mb_put32(p, 0);
    p = mb_put32(p, 0);

    return mb_bolt_seal(buf, p);
}


static size_t
mb_bolt_error(u_char *buf, mb_frame_t *f, unsigned status)
{
    return mb_bolt_status(buf, f, MB_BOLT_ANSWER, f->data[11], status);
}


static u_char *
mb_bolt_result(mb_frame_t *f)
{
    size_t   n, len;
    u_char  *p, *last, *text;

    p = mb_bolt_object(f, &last, &n);

    if (p == NULL || n != 4) {
        return NULL;
    }

    p = mb_bolt_skip(p, last, 0);

    if (p) {
        p = mb_bolt_skip(p, last, 0);
    }

    if (p) {
        p = mb_bolt_text(p, last, &text, &len);
    }

    return (p && len >= MB_VALUE) ? text : NULL;
}


/* Java's have no checksum, whatever the connection carries */

static size_t
mb_bolt_pong(u_char *buf, mb_frame_t *f)
{
    return mb_bolt_status(buf, f, MB_BOLT_HEARTBEAT, 0, 0);
}


const mb_proto_t  mb_bolt1 = {
    "bolt",
    MB_BOLT_HEAD_V1,
    MB_BOLT_HEAD_V1 + MB_BOLT_ROOM,
    UINT32_MAX,
    0,
    MB_BOLT_FAILED,
    mb_bolt1_parse,
    mb_bolt_whole,
    mb_bolt_set_id,
    mb_bolt_stamp,
    mb_bolt1_request,
    mb_bolt_arg,
    mb_bolt_body,
    mb_bolt1_answer,
    mb_bolt_echo,
    mb_bolt_error,
    mb_bolt_result,
    mb_bolt_pong
};


const mb_proto_t  mb_bolt2 = {
    "bolt2",
    MB_BOLT_HEAD_V2,
    MB_BOLT_HEAD_V2 + MB_BOLT_ROOM + MB_BOLT_CRC,
    UINT32_MAX,
    0,
    MB_BOLT_FAILED,
    mb_bolt2_parse,
    mb_bolt_whole,
    mb_bolt_set_id,
    mb_bolt_stamp,
    mb_bolt2_request,
    mb_bolt_arg,
    mb_bolt_body,
    mb_bolt2_answer,
    mb_bolt_echo,
    mb_bolt_error,
    mb_bolt_result,
    mb_bolt_pong
};
