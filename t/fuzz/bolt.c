
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as a Bolt frame.  The sanitizers look for reads and writes outside
 * of exact copies; the rest is checked here: facts do not depend on where the
 * frame is, strings lie in the frame or in the scratch memory, a checksum
 * stays what it was, right or wrong, and what the codec writes can be read.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <zlib.h>

#include "ngx_mesh_bolt.h"


#define SCRATCH  512
#define MIN      28

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


static const ngx_mesh_codec_t  *codec = &ngx_mesh_bolt_codec;

static ngx_str_t  names[5] = {
    ngx_string("service"),
    ngx_string("SOFA_head_method_name"),
    ngx_string("rpc_trace_context_sofaTraceId"),
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

    check(c->scratch && s->data >= c->scratch
          && s->data < c->scratch + c->room
          && s->len <= (size_t) (c->scratch + c->room - s->data));
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

    codec->facts(codec, c->frame, &c->f, NGX_MESH_WANT_NAMES, &c->facts);

    inside(c, &c->facts.interface);
    inside(c, &c->facts.version);
    inside(c, &c->facts.method);
    inside(c, &c->facts.app);

    check(c->facts.tried && c->facts.attachments);
    check(c->facts.timeout == -1 && c->facts.args == NULL);
    check(!c->facts.names == (c->facts.interface.len == 0
                              && c->facts.version.data == NULL));

    for (i = 0; i < 5; i++) {
        rc = codec->attachment(codec, &c->facts, &names[i], &c->values[i]);
        check(rc == NGX_OK || rc == NGX_DECLINED);

        if (rc == NGX_DECLINED) {
            c->values[i].len = (size_t) -1;
            continue;
        }

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
    same_str(&a->facts.app, &b->facts.app);

    check(a->facts.names == b->facts.names);
    check(a->facts.damaged == b->facts.damaged);
    check(a->f.serial == b->f.serial);

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

    room = (size_t) (~f->id & 0xff) * SCRATCH / 0xff & ~(size_t) 3;

    copy(&a, data, f, room, 0);
    check(codec->result(codec, a.frame, &a.f) <= NGX_MESH_RESULT_ERROR);
    look(&a);
    check(memcmp(a.frame, data, f->size) == 0);

    copy(&b, data, f, room, 1 + (size_t) (f->id >> 8) % 7);
    look(&b);

    if (((uintptr_t) a.scratch ^ (uintptr_t) b.scratch) % 4 == 0) {
        same(&a, &b);
    }

    done(&a);
    done(&b);
}


/* another id and back; what was wrong is not made right */

static void
renumber(const uint8_t *data, ngx_mesh_frame_t *f)
{
    call_t            c;
    ngx_mesh_frame_t  g;

    copy(&c, data, f, 0, 0);

    codec->set_id(codec, c.frame, &c.f, ~f->id);

    check(codec->head(codec, c.frame, f->size, &g) == NGX_OK);
    check(g.id == (uint32_t) ~f->id && g.id == c.f.id);
    check(g.size == f->size && g.check == f->check);
    check(!g.check || codec->whole(codec, c.frame, &g) == NGX_OK);
    check((g.bad == NGX_MESH_BAD_CHECKSUM)
          == (f->bad == NGX_MESH_BAD_CHECKSUM));

    codec->set_id(codec, c.frame, &c.f, f->id);
    check(memcmp(c.frame, data, f->size) == 0);

    done(&c);
}


static void
reads(u_char *p, size_t n, size_t room, ngx_uint_t kind, ngx_mesh_frame_t *f)
{
    ngx_mesh_frame_t  g;

    check(n <= room);

    if (n == 0) {
        return;
    }

    check(codec->head(codec, p, n, &g) == NGX_OK);
    check(!g.check || codec->whole(codec, p, &g) == NGX_OK);

    check(g.size == n && g.id == f->id && g.kind == kind && g.bad == 0);
    check(g.variant == f->variant);
}


/* an error is a status, or an object with a text */

static void
says(u_char *p, size_t n)
{
    ngx_mesh_body_t        r;
    ngx_mesh_frame_t       g;
    ngx_mesh_value_t       v[4];
    ngx_mesh_bolt_parts_t  parts;
    static uint32_t        scratch[32768];
    static ngx_str_t       fields[4] = {
        ngx_string("isError"), ngx_string("errorMsg"),
        ngx_string("appResponse"), ngx_string("responseProps")
    };

    check(codec->head(codec, p, n, &g) == NGX_OK);
    check(codec->result(codec, p, &g) == NGX_MESH_RESULT_ERROR);

    if (g.status) {
        check(n == (size_t) g.head + (g.check ? 4 : 0));
        return;
    }

    ngx_mesh_bolt_split(p, &g, &parts);

    memset(&r, 0, sizeof(ngx_mesh_body_t));
    r.pos = parts.content.data;
    r.end = r.pos + parts.content.len;
    r.limit = r.end;
    r.scratch = (u_char *) scratch;
    r.scratch_end = r.scratch + sizeof(scratch);

    check(ngx_mesh_sofa_fields(&r, fields, v, 4) == NGX_OK);
    check(r.pos == r.end);
    check(v[0].type == NGX_MESH_SERIAL_BOOL && v[0].num);
    check(v[1].type == NGX_MESH_SERIAL_STRING);
}


static void
write_all(const uint8_t *data, ngx_mesh_frame_t *f)
{
    u_char            *p, *text;
    size_t             n, room;
    ngx_str_t          s;
    ngx_uint_t         err;
    ngx_mesh_frame_t   g;

    n = f->size - f->head;
    room = (f->id & 0x100) ? (size_t) (f->id & 0x1ff) : 256 + 3 * n;
    err = (ngx_uint_t) (f->id >> 16) % (NGX_MESH_ERR_N + 1);

    p = malloc(room ? room : 1);
    text = malloc(n ? n : 1);
    memcpy(text, data + f->head, n);

    s.data = text;
    s.len = n;
    g = *f;

    n = codec->error(codec, p, room, &g, err, &s);
    check(n == 0 || f->kind == NGX_MESH_FRAME_REQUEST);
    reads(p, n, room, NGX_MESH_FRAME_RESPONSE, f);

    if (n) {
        says(p, n);
    }

    g = *f;
    n = codec->ack(codec, p, room, (u_char *) data, &g);
    reads(p, n, room, NGX_MESH_FRAME_ACK, f);

    n = codec->heartbeat(codec, p, room, &g);
    reads(p, n, room, NGX_MESH_FRAME_HEARTBEAT, f);

    check(codec->notice(codec, p, room, &g) == 0);

    free(text);
    free(p);
}


static void
header(const uint8_t *data, size_t size)
{
    u_char            *p;
    size_t             n, need;
    ngx_int_t          rc, last, found, seen;
    ngx_mesh_frame_t   f;

    last = NGX_AGAIN;
    seen = NGX_AGAIN;
    need = 0;

    for (n = 0; n <= 25 && n <= size; n++) {
        p = malloc(n ? n : 1);
        memcpy(p, data, n);

        rc = codec->head(codec, p, n, &f);
        found = codec->detect(codec, p, n);

        /* what is wrong stays wrong, and what was found stays found */

        check(last == NGX_AGAIN || rc == last);
        check(seen == NGX_AGAIN || found == seen);
        check(rc != NGX_AGAIN || (f.size > n && f.size <= 24));
        check(rc != NGX_OK || f.size >= f.head);

        /* nothing is asked for that is not needed */

        check(rc != NGX_AGAIN || f.size >= need);
        check(rc == NGX_AGAIN || rc == NGX_ERROR || n >= need);

        need = (rc == NGX_AGAIN) ? f.size : need;
        last = rc;
        seen = found;
        free(p);
    }
}


static void
put(u_char *p, size_t n, size_t value)
{
    while (n--) {
        p[n] = (u_char) value;
        value >>= 8;
    }
}


/* not every input has to find lengths and a checksum by itself */

static void
repair(u_char *p, size_t size)
{
    size_t    v2, n, rest, crc;
    u_char   *lengths;

    p[0] = 2 - (p[0] & 1);
    v2 = p[0] - 1;

    if (v2) {
        p[1] = 2 - (p[1] & 1);
        p[11] &= 0x7f;
    }

    p[v2 + 1] %= 3;

    lengths = p + 2 * v2 + (p[v2 + 1] ? 14 : 12);
    rest = size - (lengths + 8 - p);

    crc = (v2 && p[1] == 2 && (p[11] & 1)) ? 4 : 0;
    rest -= crc;

    n = ngx_mesh_bolt_u16(lengths) % (ngx_min(rest, 0x7fff) + 1);
    put(lengths, 2, n);
    rest -= n;

    n = ngx_mesh_bolt_u16(lengths + 2) % (ngx_min(rest, 0x7fff) + 1);
    put(lengths + 2, 2, n);
    rest -= n;

    put(lengths + 4, 4, rest);

    if (crc && (p[11] & 2)) {
        n = size - 4;
        put(p + n, 4, crc32(0, p, (uInt) n));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char            *p;
    ngx_mesh_frame_t   f;

    header(data, size);

    if (size < MIN) {
        return 0;
    }

    p = malloc(size);
    memcpy(p, data, size);

    repair(p, size);

    check(codec->head(codec, p, size, &f) == NGX_OK);
    check(f.size == size);

    if (f.check) {
        check(codec->whole(codec, p, &f) == NGX_OK);
        check(!(p[11] & 2) || f.bad != NGX_MESH_BAD_CHECKSUM);
    }

    read_all(p, &f);
    renumber(p, &f);
    write_all(p, &f);

    free(p);

    return 0;
}
