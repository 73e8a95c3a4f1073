
/*
 * Copyright (C) nginx-mesh authors
 */


#include "hessian.h"


/*
 * A frame: da bb, flags, status, 8 bytes of id, 4 bytes of body length, all
 * big-endian; the body is one hessian2 stream.
 */

#define MB_DUBBO_HEADER   16

#define MB_DUBBO_REQUEST  0x80
#define MB_DUBBO_TWOWAY   0x40
#define MB_DUBBO_EVENT    0x20
#define MB_HESSIAN2       0x02

#define mb_dubbo_string(p, s)  mb_hessian_string(&mb_hessian_2, p, s)

#define mb_dubbo_skip(p, last, text, len)                                    \
    mb_hessian_skip(&mb_hessian_2, p, last, text, len)


static void
mb_dubbo_set_id(u_char *frame, size_t len mb_unused, uint64_t id)
{
    (void) mb_put32(frame + 4, (uint32_t) (id >> 32));
    (void) mb_put32(frame + 8, (uint32_t) id);
}


static u_char *
mb_dubbo_header(u_char *p, unsigned flags, unsigned status, uint64_t id)
{
    p[0] = 0xda;
    p[1] = 0xbb;
    p[2] = (u_char) flags;
    p[3] = (u_char) status;

    mb_dubbo_set_id(p, MB_DUBBO_HEADER, id);

    return p + MB_DUBBO_HEADER;
}


static size_t
mb_dubbo_finish(u_char *frame, u_char *end)
{
    (void) mb_put32(frame + 12, (uint32_t) (end - frame - MB_DUBBO_HEADER));

    return (size_t) (end - frame);
}


static int
mb_dubbo_parse(u_char *p, size_t len mb_unused, mb_frame_t *f)
{
    uint32_t  body;

    body = mb_get32(p + 12);

    if (p[0] != 0xda || p[1] != 0xbb
        || body > MB_MAX_FRAME - MB_DUBBO_HEADER)
    {
        return MB_ERROR;
    }

    f->len = MB_DUBBO_HEADER + body;
    f->id = (uint64_t) mb_get32(p + 4) << 32 | mb_get32(p + 8);
    f->status = p[3];

    switch (p[2] & (MB_DUBBO_REQUEST|MB_DUBBO_TWOWAY|MB_DUBBO_EVENT)) {

    case MB_DUBBO_REQUEST|MB_DUBBO_TWOWAY:
        f->kind = MB_REQUEST;
        break;

    case MB_DUBBO_REQUEST:
        f->kind = MB_ONEWAY;
        break;

    case MB_DUBBO_REQUEST|MB_DUBBO_TWOWAY|MB_DUBBO_EVENT:
        f->kind = MB_PING;
        break;

    case MB_DUBBO_REQUEST|MB_DUBBO_EVENT:
        f->kind = MB_EVENT;
        break;

    case 0:
        f->kind = MB_RESPONSE;
        break;

    case MB_DUBBO_EVENT:
        f->kind = MB_PONG;
        break;

    default:
        return MB_ERROR;
    }

    return MB_OK;
}


static int
mb_dubbo_template(mb_template_t *t, u_char *head, size_t head_len,
    u_char *tail, size_t tail_len, size_t body)
{
    size_t   room;
    u_char  *p;

    if (body < head_len + tail_len + 1 + MB_VALUE) {
        return MB_ERROR;
    }

    room = body - head_len - tail_len;

    t->len = MB_DUBBO_HEADER + body;
    t->data = mb_alloc(t->len);
    t->value = MB_DUBBO_HEADER + head_len + mb_hessian_tag(&mb_hessian_2, room);
    t->value_end = t->value + MB_VALUE;
    t->end = t->len;

    p = t->data + MB_DUBBO_HEADER;

    memcpy(p, head, head_len);
    p = mb_hessian_fill(&mb_hessian_2, p + head_len, room);
    memcpy(p, tail, tail_len);

    (void) mb_put32(t->data + 12, (uint32_t) body);

    return MB_OK;
}


/* what a Dubbo 2.7 consumer sends for String echo(String) */

static int
mb_dubbo_request(mb_template_t *t, mb_call_t *call, size_t body, int oneway)
{
    u_char  head[1024], tail[1024], *h, *p;

    if (strlen(call->service) > 255 || strlen(call->version) > 255
        || strlen(call->method) > 255 || strlen(call->application) > 255)
    {
        mb_die("a name is longer than 255 characters");
    }

    h = mb_dubbo_string(head, "2.0.2");
    h = mb_dubbo_string(h, call->service);
    h = mb_dubbo_string(h, *call->version ? call->version : "0.0.0");
    h = mb_dubbo_string(h, call->method);
    h = mb_dubbo_string(h, "Ljava/lang/String;");

    p = tail;
    *p++ = 'H';
    p = mb_dubbo_string(p, "path");
    p = mb_dubbo_string(p, call->service);
    p = mb_dubbo_string(p, "remote.application");
    p = mb_dubbo_string(p, call->application);
    p = mb_dubbo_string(p, "interface");
    p = mb_dubbo_string(p, call->service);
    p = mb_dubbo_string(p, "version");
    p = mb_dubbo_string(p, *call->version ? call->version : "0.0.0");
    *p++ = 'Z';

    if (mb_dubbo_template(t, head, (size_t) (h - head), tail,
                          (size_t) (p - tail), body)
        != MB_OK)
    {
        mb_die("a body of this call takes at least %d bytes",
               (int) (h - head) + (int) (p - tail) + 1 + MB_VALUE);
    }

    (void) mb_dubbo_header(t->data, MB_DUBBO_REQUEST|MB_HESSIAN2
                                    |(oneway ? 0 : MB_DUBBO_TWOWAY), 0, 0);

    return MB_OK;
}


static int
mb_dubbo_arg(mb_frame_t *f, mb_arg_t *arg)
{
    size_t   len;
    u_char  *p, *last, *text;
    int      i;

    p = f->data + MB_DUBBO_HEADER;
    last = f->data + f->len;

    for (i = 0; i < 5; i++) {
        p = mb_dubbo_skip(p, last, &text, &len);

        if (p == NULL) {
            return MB_ERROR;
        }
    }

    arg->data = p;
    p = mb_dubbo_skip(p, last, &text, &len);

    if (p == NULL) {
        return MB_ERROR;
    }

    arg->len = (size_t) (p - arg->data);
    arg->value = (len >= MB_VALUE) ? text : NULL;

    return MB_OK;
}


/* names and attachments take their part of the size that is asked for */

static size_t
mb_dubbo_body(mb_frame_t *f, mb_arg_t *arg mb_unused)
{
    return f->len - MB_DUBBO_HEADER;
}


static u_char  mb_dubbo_tail[] = "H\x05" "dubbo\x05" "2.0.2Z";


static int
mb_dubbo_answer(mb_template_t *t, size_t body)
{
    u_char  head;

    head = 0x94;

    if (mb_dubbo_template(t, &head, 1, mb_dubbo_tail,
                          sizeof(mb_dubbo_tail) - 1, body)
        != MB_OK)
    {
        return MB_ERROR;
    }

    (void) mb_dubbo_header(t->data, MB_HESSIAN2, 20, 0);

    return MB_OK;
}


/* the argument as it came; a null result where there is none to repeat */

static size_t
mb_dubbo_echo(u_char *buf, mb_frame_t *f, mb_arg_t *arg)
{
    u_char  *p;

    p = mb_dubbo_header(buf, MB_HESSIAN2, 20, f->id);

    if (arg) {
        *p++ = 0x94;
        memcpy(p, arg->data, arg->len);
        p += arg->len;

    } else {
        *p++ = 0x95;
    }

    memcpy(p, mb_dubbo_tail, sizeof(mb_dubbo_tail) - 1);
    p += sizeof(mb_dubbo_tail) - 1;

    return mb_dubbo_finish(buf, p);
}


static size_t
mb_dubbo_error(u_char *buf, mb_frame_t *f, unsigned status)
{
    u_char  *p;

    p = mb_dubbo_header(buf, MB_HESSIAN2, status, f->id);
    p = mb_dubbo_string(p, "an error as ordered");

    return mb_dubbo_finish(buf, p);
}


static u_char *
mb_dubbo_result(mb_frame_t *f)
{
    size_t   len;
    u_char  *p, *last, *text;

    p = f->data + MB_DUBBO_HEADER;
    last = f->data + f->len;

    if (p == last || (*p != 0x94 && *p != 0x91)) {
        return NULL;
    }

    p = mb_dubbo_skip(p + 1, last, &text, &len);

    return (p && len >= MB_VALUE) ? text : NULL;
}


static size_t
mb_dubbo_pong(u_char *buf, mb_frame_t *f)
{
    size_t   len;
    u_char  *p;

    len = f->len - MB_DUBBO_HEADER;

    if (len > MB_ANSWER_EXTRA - MB_DUBBO_HEADER) {
        len = 0;
    }

    p = mb_dubbo_header(buf, MB_DUBBO_EVENT | (f->data[2] & 0x1f), 20,
                        f->id);

    memcpy(p, f->data + MB_DUBBO_HEADER, len);

    return mb_dubbo_finish(buf, p + len);
}


const mb_proto_t  mb_dubbo = {
    "dubbo",
    MB_DUBBO_HEADER,
    MB_DUBBO_HEADER,
    UINT64_MAX,
    20,
    70,
    mb_dubbo_parse,
    NULL,
    mb_dubbo_set_id,
    mb_dubbo_set_id,
    mb_dubbo_request,
    mb_dubbo_arg,
    mb_dubbo_body,
    mb_dubbo_answer,
    mb_dubbo_echo,
    mb_dubbo_error,
    mb_dubbo_result,
    mb_dubbo_pong
};
