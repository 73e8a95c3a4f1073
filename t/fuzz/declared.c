
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as a frame of any protocol that can be declared: the first 64
 * bytes are a declaration, the rest is what it reads.  The sanitizers look for
 * reads and writes outside of exact copies; the rest is checked here.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_declared.h"


#define DECLARATION  64
#define SCRATCH      256

#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


typedef struct {
    ngx_mesh_codec_t     codec;
    ngx_mesh_declared_t  d;
    ngx_mesh_magic_t     magic;
    ngx_mesh_field_t     lengths[2][2];
    ngx_mesh_field_t     strings[4];
    ngx_mesh_kind_t      kinds[7];
    uint64_t             ok[1];
    ngx_array_t          string_lengths;
    ngx_array_t          templates[3];
    ngx_mesh_part_t      parts[3][5];
    u_char               value[2];
    u_char               mask[2];
} protocol_t;


typedef struct {
    u_char              *memory;
    u_char              *frame;
    u_char              *scratch;
    ngx_mesh_frame_t     f;
    ngx_mesh_facts_t     facts;
    ngx_str_t            values[3];
} call_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static ngx_str_t  names[3] = {
    ngx_string("k"), ngx_string("group"), ngx_string("_")
};

static u_char  constant[] = "constant";


static void
array(ngx_array_t *a, void *elts, ngx_uint_t n, size_t size)
{
    a->elts = elts;
    a->nelts = n;
    a->size = size;
    a->nalloc = n;
    a->pool = NULL;
}


/* inside of the header, as whoever reads declarations demands */

static void
field(ngx_mesh_field_t *f, const uint8_t *c, uint8_t min)
{
    f->size = (uint8_t) ngx_max((c[1] & 7) + 1, min);
    f->offset = (uint16_t) ngx_min((c[0] & 31), NGX_MESH_HEAD_MAX - f->size);
    f->little = c[1] >> 7;
}


static void
framing(protocol_t *p, const uint8_t *c)
{
    ngx_uint_t            i;
    ngx_mesh_declared_t  *d;

    d = &p->d;

    p->value[0] = c[57];
    p->value[1] = c[58];
    p->mask[0] = c[59] | 1;
    p->mask[1] = 0xff;
    p->value[0] &= p->mask[0];

    p->magic.offset = c[11] & 15;
    p->magic.value.data = p->value;
    p->magic.value.len = 2;
    p->magic.mask.data = p->mask;
    p->magic.mask.len = 2;

    array(&d->magics, &p->magic, c[0] & 1, sizeof(ngx_mesh_magic_t));

    if (c[0] & 2) {
        field(&d->id, c + 3, 3);

        if (c[0] & 4) {
            field(&d->after, c + 5, 1);
        }
    }

    if (c[0] & 8) {
        field(&d->kind, c + 1, 1);
        d->kind_mask = c[21];
    }

    for (i = 0; i < 7; i++) {
        p->kinds[i].kind = i;
        p->kinds[i].value = c[22 + i];
    }

    array(&d->kinds, p->kinds, 7, sizeof(ngx_mesh_kind_t));

    if (c[0] & 16) {
        field(&d->status, c + 7, 1);
    }

    p->ok[0] = c[29];
    array(&d->ok, p->ok, 1, sizeof(uint64_t));

    if (c[0] & 32) {
        field(&d->timeout, c + 9, 1);
    }

    d->timeout_unit = (c[11] & 16) ? 1000 : 1;

    for (i = 0; i < 2; i++) {
        field(&p->lengths[i][0], c + 12 + 2 * i, 1);
        field(&p->lengths[i][1], c + 17, 1);
        array(&d->lengths[i], p->lengths[i], 1 + (c[16] >> i & 1),
              sizeof(ngx_mesh_field_t));
        d->add[i] = (int8_t) c[19 + i];
    }

    d->max_frame = 32 + ((size_t) c[54] << 8);
}


static void
bodies(protocol_t *p, const uint8_t *c)
{
    ngx_uint_t            i;
    ngx_mesh_fact_t      *fact;
    ngx_mesh_declared_t  *d;

    d = &p->d;

    if (c[0] & 64) {
        d->strings.declared = 1;
        d->strings.offset = c[30];
        d->strings.prefix = (c[31] & 0x7f) % 7;
        d->strings.n = c[32] % 8;

        if (c[31] & 0x80) {
            for (i = 0; i < 4; i++) {
                field(&p->strings[i], c + 33 + i, 1);
            }

            array(&p->string_lengths, p->strings, 4, sizeof(ngx_mesh_field_t));
            d->strings.lengths = &p->string_lengths;
            d->strings.n %= 5;
        }
    }

    if (c[0] & 128) {
        d->map.declared = 1;
        d->map.after = (c[37] & 0x80) && d->strings.declared;
        d->map.end = (c[37] >> 3 & 15) % 3;
        d->map.key = (c[37] & 7) % 7;
        d->map.value = c[38] % 7;
        d->map.offset = c[39];
        d->map.field.offset = c[40];
        d->map.field.size = (c[41] & 7) + 1;
        d->map.field.little = c[41] >> 7;
    }

    for (i = 0; i < NGX_MESH_FACT_N; i++) {
        fact = &d->facts[i];

        fact->how = c[42 + i] % 6;
        fact->offset = c[47 + i];
        fact->size = c[47 + i] % 40;
        fact->prefix = (c[42 + i] >> 4) % 7;
        fact->n = c[47 + i] % 8;
        fact->text.data = constant;
        fact->text.len = (fact->how == NGX_MESH_FACT_KEY) ? 1 : 8;

        if (fact->how == NGX_MESH_FACT_KEY) {
            fact->text.data = (u_char *) "k";
        }

        if (fact->how == NGX_MESH_FACT_NTH) {
            fact->n = d->strings.lengths ? fact->n % 4 : fact->n;
            d->strings.n = ngx_max(d->strings.n, fact->n + 1);
        }
    }
}


static void
templates(protocol_t *p, const uint8_t *c)
{
    ngx_uint_t            i, n, to;
    ngx_mesh_part_t      *part;
    ngx_mesh_declared_t  *d;

    d = &p->d;

    for (i = 0; i < 3; i++) {
        part = p->parts[i];
        to = (i == 1) ? NGX_MESH_TO_PROVIDER : NGX_MESH_TO_CLIENT;
        n = 0;

        part[n].type = NGX_MESH_PART_BYTES;
        part[n].bytes.data = constant;
        part[n++].bytes.len = c[52] >> 4 & 7;

        part[n].field = p->lengths[to][0];
        part[n].add = d->add[to];
        part[n++].type = NGX_MESH_PART_LENGTH;

        part[n++].type = NGX_MESH_PART_ID;

        part[n].field.size = (uint8_t) ((c[53] >> 4 & 7) + 1);
        part[n++].type = NGX_MESH_PART_STATUS;

        if (i == 0) {
            part[n].prefix = (c[53] & 15) % 7;
            part[n++].type = NGX_MESH_PART_TEXT;
        }

        array(&p->templates[i], part, n, sizeof(ngx_mesh_part_t));
    }

    d->error = (c[52] & 1) ? &p->templates[0] : NULL;
    d->heartbeat = (c[52] & 2) ? &p->templates[1] : NULL;
    d->answer = (c[52] & 4) ? &p->templates[2] : NULL;

    for (i = 0; i < NGX_MESH_ERR_N; i++) {
        d->error_status[i] = (uint16_t) (c[60] + i);
    }
}


static ngx_int_t
head(protocol_t *p, u_char *bytes, size_t n, ngx_uint_t client,
    ngx_mesh_frame_t *f)
{
    u_char     *copy;
    ngx_int_t   rc;

    copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    memset(f, 0xa5, sizeof(ngx_mesh_frame_t));
    f->client = client;

    rc = p->codec.head(&p->codec, copy, n, f);

    free(copy);

    return rc;
}


/* what is wrong stays wrong, what was found stays found, nobody waits for
   bytes that nothing has */

static void
prefixes(protocol_t *p, u_char *bytes, size_t size, ngx_uint_t client)
{
    size_t             n, last_size;
    ngx_int_t          rc, last;
    ngx_mesh_frame_t   f, first;

    last = NGX_AGAIN;
    last_size = 1;
    memset(&first, 0, sizeof(ngx_mesh_frame_t));

    for (n = 0; n <= size && n <= NGX_MESH_HEAD_MAX + 8; n++) {
        rc = head(p, bytes, n, client, &f);

        switch (rc) {

        case NGX_AGAIN:
            check(last == NGX_AGAIN);
            check(f.size > n && f.size <= NGX_MESH_HEAD_MAX);
            check(f.size >= last_size || n == last_size);
            last_size = f.size;
            break;

        case NGX_OK:
            check(last != NGX_ERROR);

            if (last == NGX_OK) {
                check(f.size == first.size && f.kind == first.kind);
                check(f.status == first.status && f.ok == first.ok);
                check(f.timeout == first.timeout && f.bad == first.bad);
                check(f.head == first.head);
                check(f.late || first.late || f.id == first.id);

            } else {
                first = f;
            }

            check(f.size <= p->d.max_frame && f.size >= f.head);
            check(f.check == f.late);
            break;

        default:
            check(rc == NGX_ERROR && last != NGX_OK);
        }

        last = rc;
    }
}


static void
inside(call_t *c, ngx_str_t *s)
{
    size_t  size;

    if (s->len == 0) {
        return;
    }

    size = c->f.size;

    if (s->data >= c->frame && s->data < c->frame + size) {
        check(s->len <= (size_t) (c->frame + size - s->data));
        return;
    }

    if (s->data >= c->scratch && s->data < c->scratch + SCRATCH) {
        check(s->len <= (size_t) (c->scratch + SCRATCH - s->data));
        return;
    }

    check(s->data >= constant && s->data + s->len <= constant + 8);
}


static void
read_call(protocol_t *p, call_t *c, u_char *bytes, ngx_mesh_frame_t *f,
    size_t shift)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    memset(c, 0, sizeof(call_t));

    c->f = *f;
    c->memory = malloc(shift + f->size + 1);
    c->memory = realloc(c->memory, shift + f->size);
    c->frame = c->memory + shift;
    memcpy(c->frame, bytes, f->size);

    c->scratch = malloc(SCRATCH);
    c->facts.scratch = c->scratch;
    c->facts.scratch_end = c->scratch + SCRATCH;

    p->codec.facts(&p->codec, c->frame, &c->f, NGX_MESH_WANT_NAMES, &c->facts);
    p->codec.facts(&p->codec, c->frame, &c->f,
                   NGX_MESH_WANT_ATTACHMENTS|NGX_MESH_WANT_FORCED, &c->facts);

    check(c->facts.tried && c->facts.timeout == -1);
    check(!c->facts.names || c->facts.interface.len);

    inside(c, &c->facts.interface);
    inside(c, &c->facts.version);
    inside(c, &c->facts.method);
    inside(c, &c->facts.group);
    inside(c, &c->facts.app);

    for (i = 0; i < 3; i++) {
        rc = p->codec.attachment(&p->codec, &c->facts, &names[i],
                                 &c->values[i]);
        check(rc == NGX_OK || rc == NGX_DECLINED);

        if (rc == NGX_OK) {
            check(p->d.map.declared);
            inside(c, &c->values[i]);

        } else {
            c->values[i].len = (size_t) -1;
        }
    }
}


static void
same(ngx_str_t *a, ngx_str_t *b)
{
    check(a->len == b->len);
    check(a->len == 0 || a->len == (size_t) -1
          || memcmp(a->data, b->data, a->len) == 0);
}


static void
read_all(protocol_t *p, u_char *bytes, ngx_mesh_frame_t *f)
{
    call_t      a, b;
    ngx_uint_t  i;

    read_call(p, &a, bytes, f, 0);
    read_call(p, &b, bytes, f, 1 + f->size % 7);

    same(&a.facts.interface, &b.facts.interface);
    same(&a.facts.version, &b.facts.version);
    same(&a.facts.method, &b.facts.method);
    same(&a.facts.group, &b.facts.group);
    same(&a.facts.app, &b.facts.app);

    check(a.facts.names == b.facts.names);
    check(a.facts.damaged == b.facts.damaged);

    for (i = 0; i < 3; i++) {
        same(&a.values[i], &b.values[i]);
    }

    check(p->codec.result(&p->codec, a.frame, f) <= NGX_MESH_RESULT_ERROR);

    free(a.memory);
    free(a.scratch);
    free(b.memory);
    free(b.scratch);
}


/* another id changes its own bytes, and comes back */

static void
set_id(protocol_t *p, u_char *bytes, ngx_mesh_frame_t *f)
{
    u_char            *copy;
    size_t             i, from, to;
    uint64_t           id;
    ngx_mesh_frame_t   g;

    copy = malloc(f->size);
    memcpy(copy, bytes, f->size);

    id = 0x8182838485868788ULL;
    g = *f;

    p->codec.set_id(&p->codec, copy, &g, id);

    from = f->size;
    to = 0;

    for (i = 0; i < f->size; i++) {
        if (copy[i] != bytes[i]) {
            from = ngx_min(from, i);
            to = i + 1;
        }
    }

    check(to <= from || to - from <= p->d.id.size);

    p->codec.set_id(&p->codec, copy, &g, f->id);

    /* an id that lies on the length it stands behind is not found again */

    if (p->d.after.size == 0) {
        check(memcmp(copy, bytes, f->size) == 0);
    }

    free(copy);
}


static void
write_all(protocol_t *p, u_char *bytes, size_t size, const uint8_t *c,
    ngx_mesh_frame_t *f)
{
    u_char            *dst, *text;
    size_t             n, room;
    ngx_str_t          s;
    ngx_mesh_frame_t   g;

    room = (c[56] & 0x80) ? c[56] & 0x7f : 256 + 3 * size;

    text = malloc(size ? size : 1);
    memcpy(text, bytes, size);

    s.data = text;
    s.len = size;

    dst = malloc(room ? room : 1);
    g = *f;
    g.kind = NGX_MESH_FRAME_REQUEST;

    if (p->codec.error) {
        n = p->codec.error(&p->codec, dst, room, &g,
                           c[55] % (NGX_MESH_ERR_N + 1), &s);
        check(n <= room);
        check(!g.ok || n == 0);
    }

    n = p->codec.heartbeat(&p->codec, dst, room, &g);
    check(n <= room && (n == 0 || p->d.heartbeat));

    n = p->codec.ack(&p->codec, dst, room, bytes, &g);
    check(n <= room && (n == 0 || p->d.answer));

    check(p->codec.notice(&p->codec, dst, room, &g) == 0);

    free(text);
    free(dst);
}


/* not every input has to find the length and the magic by itself */

static void
mend(protocol_t *p, const uint8_t *c, u_char *bytes, size_t size)
{
    uint64_t          n;
    ngx_uint_t        i;
    ngx_mesh_field_t  *field0;

    if (p->d.magics.nelts && p->magic.offset + 2 <= size) {
        bytes[p->magic.offset] = p->value[0];
        bytes[p->magic.offset + 1] = p->value[1];
    }

    if (c[61] & 1) {
        field0 = &p->lengths[c[61] >> 1 & 1][0];

        if (field0->offset + (size_t) field0->size > size) {
            return;
        }

        n = size - p->d.add[c[61] >> 1 & 1];

        for (i = 0; i < field0->size; i++) {
            bytes[field0->offset + (field0->little ? i
                                                   : field0->size - 1 - i)]
                = (u_char) (n >> 8 * i);
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char            *bytes;
    ngx_int_t          rc;
    ngx_str_t          name;
    protocol_t         p;
    ngx_uint_t         client;
    ngx_mesh_frame_t   f;

    if (size < DECLARATION) {
        return 0;
    }

    memset(&p, 0, sizeof(protocol_t));

    framing(&p, data);
    bodies(&p, data);
    templates(&p, data);

    name.data = constant;
    name.len = 8;

    ngx_mesh_declared_init(&p.codec, &name, &p.d);

    client = data[62] & 1;
    size -= DECLARATION;

    bytes = malloc(size ? size : 1);
    memcpy(bytes, data + DECLARATION, size);
    mend(&p, data, bytes, size);

    rc = p.codec.detect(&p.codec, bytes, size);
    check(rc == NGX_OK || rc == NGX_AGAIN || rc == NGX_DECLINED);
    check(p.d.magics.nelts || rc == NGX_DECLINED);
    check(rc != NGX_AGAIN || size < NGX_MESH_HEAD_MAX);

    prefixes(&p, bytes, size, client);

    if (head(&p, bytes, size, client, &f) == NGX_OK && f.size <= size) {
        write_all(&p, bytes, size, data, &f);

        if (f.check) {
            check(p.codec.whole(&p.codec, bytes, &f) == NGX_OK);
        }

        read_all(&p, bytes, &f);
        set_id(&p, bytes, &f);
    }

    free(bytes);

    return 0;
}
