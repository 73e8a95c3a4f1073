
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as a Dubbo frame.  The sanitizers look for reads and writes
 * outside of exact copies; the rest is checked here: facts do not depend on
 * where the frame is or in how many steps they are asked for, strings lie in
 * the frame or in the scratch memory, and what the codec writes can be read.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_serial.h"


#define SCRATCH  512

#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


typedef struct {
    u_char            *memory;
    u_char            *frame;
    u_char            *scratch;
    size_t             room;
    ngx_mesh_frame_t   f;
    ngx_mesh_facts_t   facts;
    ngx_str_t          values[5];
} call_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const ngx_mesh_codec_t  *codec = &ngx_mesh_dubbo_codec;

static ngx_str_t  names[5] = {
    ngx_string("group"),
    ngx_string("TIMEOUT"),
    ngx_string("remote_application"),
    ngx_string("k"),
    ngx_string("_")
};


static void
inside(call_t *c, ngx_str_t *s)
{
    if (s->len == 0) {
        return;
    }

    if (s->data >= c->frame && s->data < c->frame + c->f.size) {
        check(s->len <= (size_t) (c->frame + c->f.size - s->data));
        return;
    }

    if (c->scratch && s->data >= c->scratch
        && s->data < c->scratch + c->room)
    {
        check(s->len <= (size_t) (c->scratch + c->room - s->data));
        return;
    }

    /* a boolean is a constant elsewhere */

    check((s->len == 4 && memcmp(s->data, "true", 4) == 0)
          || (s->len == 5 && memcmp(s->data, "false", 5) == 0));
}


static void
ask(call_t *c, ngx_uint_t want)
{
    codec->facts(codec, c->frame, &c->f, want, &c->facts);
}


/* an exact copy, "shift" bytes off the alignment of malloc() */

static void
copy(call_t *c, const uint8_t *data, ngx_mesh_frame_t *f, size_t room,
    size_t shift)
{
    memset(c, 0, sizeof(call_t));

    c->f = *f;
    c->room = room;

    c->memory = malloc(shift + f->size);
    c->frame = c->memory + shift;
    memcpy(c->frame, data, f->size);

    /* the header tells how much there really is */

    c->frame[12] = (u_char) ((f->size - 16) >> 24);
    c->frame[13] = (u_char) ((f->size - 16) >> 16);
    c->frame[14] = (u_char) ((f->size - 16) >> 8);
    c->frame[15] = (u_char) (f->size - 16);

    if (room) {
        c->scratch = malloc(room);
        c->facts.scratch = c->scratch;
        c->facts.scratch_end = c->scratch + room;
    }
}


static void
look(call_t *c)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    inside(c, &c->facts.interface);
    inside(c, &c->facts.version);
    inside(c, &c->facts.method);
    inside(c, &c->facts.group);
    inside(c, &c->facts.app);
    inside(c, &c->facts.descriptor);

    check(c->facts.tried);
    check(c->facts.timeout == -1
          || (c->facts.timeout > 0
              && c->facts.timeout <= NGX_MAX_INT32_VALUE));
    check(!c->facts.names
          || (c->facts.interface.len && c->facts.method.len));

    for (i = 0; i < 5; i++) {
        rc = codec->attachment(codec, &c->facts, &names[i], &c->values[i]);
        check(rc == NGX_OK || rc == NGX_DECLINED);

        if (rc == NGX_DECLINED) {
            c->values[i].len = (size_t) -1;
            continue;
        }

        check(c->facts.attachments);
        inside(c, &c->values[i]);
    }
}


static void
same_str(ngx_str_t *a, ngx_str_t *b)
{
    check(a->len == b->len);
    check(a->len == 0 || a->len == (size_t) -1
          || memcmp(a->data, b->data, a->len) == 0);
}


static void
same(call_t *a, call_t *b)
{
    ngx_uint_t  i;

    same_str(&a->facts.interface, &b->facts.interface);
    same_str(&a->facts.version, &b->facts.version);
    same_str(&a->facts.method, &b->facts.method);
    same_str(&a->facts.group, &b->facts.group);
    same_str(&a->facts.app, &b->facts.app);
    same_str(&a->facts.descriptor, &b->facts.descriptor);

    check(a->facts.timeout == b->facts.timeout);
    check(a->facts.nargs == b->facts.nargs);
    check(a->facts.names == b->facts.names);
    check(a->facts.generic == b->facts.generic);
    check(a->facts.attachments == b->facts.attachments);
    check(a->facts.damaged == b->facts.damaged);
    check(a->facts.v202 == b->facts.v202);

    for (i = 0; i < 5; i++) {
        same_str(&a->values[i], &b->values[i]);
    }
}


static void
done(call_t *c)
{
    free(c->memory);
    free(c->scratch);
}


static void
read_all(const uint8_t *data, ngx_mesh_frame_t *f)
{
    size_t  room;
    call_t  a, b;

    /* the id is of no use otherwise: it chooses the room */

    room = (size_t) (f->id & 0xff) * SCRATCH / 0xff & ~(size_t) 3;

    copy(&a, data, f, room, 0);
    (void) codec->whole(codec, a.frame, &a.f);
    check(codec->result(codec, a.frame, &a.f) <= NGX_MESH_RESULT_ERROR);

    ask(&a, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS
            | NGX_MESH_WANT_FORCED);
    look(&a);

    copy(&b, data, f, room, 1 + (size_t) (f->id >> 8) % 7);
    ask(&b, NGX_MESH_WANT_NAMES);
    check(!b.facts.tried);
    ask(&b, NGX_MESH_WANT_ATTACHMENTS);
    check(b.facts.tried);

    if (!b.facts.attachments && !b.facts.damaged) {
        ask(&b, NGX_MESH_WANT_ATTACHMENTS | NGX_MESH_WANT_FORCED);
    }

    look(&b);
    same(&a, &b);

    done(&a);
    done(&b);
}


static void
reads(u_char *p, size_t n, size_t room, ngx_uint_t kind, uint64_t id)
{
    ngx_mesh_frame_t  f;

    check(n <= room);

    if (n == 0) {
        return;
    }

    check(codec->head(codec, p, n, &f) == NGX_OK);
    (void) codec->whole(codec, p, &f);

    check(f.size == n);
    check(f.id == id);
    check(f.kind == kind);
}


static void
write_all(const uint8_t *data, ngx_mesh_frame_t *f)
{
    u_char                   *p, *text;
    size_t                    n, room;
    ngx_str_t                 s, back;
    ngx_uint_t                err;
    ngx_mesh_body_t           r;
    ngx_mesh_frame_t          g;
    const ngx_mesh_serial_t  *serial;

    n = f->size - 16;
    room = (f->id & 0x100) ? (size_t) (f->id & 0xff) : 256 + 3 * n;
    err = (ngx_uint_t) (f->id >> 16) % (NGX_MESH_ERR_N + 1);

    p = malloc(room ? room : 1);
    text = malloc(n ? n : 1);
    memcpy(text, data + 16, n);

    s.data = text;
    s.len = n;
    g = *f;
    g.kind = NGX_MESH_FRAME_REQUEST;

    n = codec->error(codec, p, room, &g, err, &s);
    reads(p, n, room, NGX_MESH_FRAME_RESPONSE, f->id);

    serial = n ? ngx_mesh_serial_find(p[2] & 0x1f) : NULL;

    if (serial) {
        memset(&r, 0, sizeof(ngx_mesh_body_t));
        r.pos = p + 16;
        r.end = p + n;
        r.limit = r.end;

        check(serial->string(&r, &back) == NGX_OK);
        check(r.pos == r.end);
    }

    n = codec->heartbeat(codec, p, room, &g);
    reads(p, n, room, NGX_MESH_FRAME_HEARTBEAT, f->id);

    n = codec->notice(codec, p, room, &g);
    reads(p, n, room, NGX_MESH_FRAME_READONLY, f->id);

    n = codec->ack(codec, p, room, (u_char *) data, &g);
    check(n == 0 || n == f->size);
    reads(p, n, room, NGX_MESH_FRAME_ACK, f->id);
    check(n == 0 || memcmp(p + 16, data + 16, n - 16) == 0);

    free(text);
    free(p);
}


static void
header(const uint8_t *data, size_t size)
{
    u_char            *p;
    size_t             n;
    ngx_int_t          rc, last;
    ngx_mesh_frame_t   f;

    last = NGX_AGAIN;

    for (n = 0; n <= 17 && n <= size; n++) {
        p = malloc(n ? n : 1);
        memcpy(p, data, n);

        rc = codec->head(codec, p, n, &f);

        /* what is wrong stays wrong, and what was found stays found */

        check(rc == NGX_AGAIN ? (last == NGX_AGAIN && n < 16 && f.size == 16)
              : rc == NGX_OK ? n >= 16 && f.size >= 16
              : rc == NGX_ERROR && last != NGX_OK);

        last = rc;
        free(p);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char            *p;
    ngx_int_t          rc;
    ngx_mesh_frame_t   f;

    header(data, size);

    if (size < 16) {
        return 0;
    }

    p = malloc(size);
    memcpy(p, data, size);

    /* not every input has to find the magic and the length by itself */

    p[0] = 0xda;
    p[1] = 0xbb;
    p[12] = (u_char) ((size - 16) >> 24);
    p[13] = (u_char) ((size - 16) >> 16);
    p[14] = (u_char) ((size - 16) >> 8);
    p[15] = (u_char) (size - 16);

    rc = codec->head(codec, p, size, &f);
    check(rc == NGX_OK && f.size == size);

    read_all(p, &f);
    write_all(p, &f);

    free(p);

    return 0;
}
