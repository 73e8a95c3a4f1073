
/*
 * Copyright (C) nginx-mesh authors
 *
 * Declared protocols: headers at each of their bytes, late ids, names, maps,
 * damage, and frames of ours.
 */


#include "test.h"
#include "ngx_mesh_declared.h"


typedef struct {
    ngx_mesh_codec_t     codec;
    ngx_mesh_declared_t  d;
    ngx_mesh_field_t     lengths[2];
    ngx_mesh_magic_t     magic;
    ngx_mesh_kind_t      kinds[5];
    ngx_mesh_part_t      parts[5];
    ngx_array_t          error;
    uint64_t             good;
} protocol_t;


static void
array(ngx_array_t *a, void *elts, ngx_uint_t n, size_t size)
{
    memset(a, 0, sizeof(ngx_array_t));

    a->elts = elts;
    a->nelts = n;
    a->size = size;
}


static void
field(ngx_mesh_field_t *f, uint16_t offset, uint8_t size, uint8_t little)
{
    f->offset = offset;
    f->size = size;
    f->little = little;
}


static void
init(protocol_t *p)
{
    ngx_str_t  name;

    test_str(&name, "p");
    ngx_mesh_declared_init(&p->codec, &name, &p->d);
}


/* at 2 a kind: 1 request, 2 response, 3 one-way; status, id, length; a body */

static void
toy(protocol_t *p)
{
    ngx_uint_t  i;

    memset(p, 0, sizeof(protocol_t));

    test_str(&p->magic.value, "TY");
    test_str(&p->magic.mask, "\xff\xff");
    array(&p->d.magics, &p->magic, 1, sizeof(ngx_mesh_magic_t));

    p->kinds[0].kind = NGX_MESH_FRAME_REQUEST;
    p->kinds[1].kind = NGX_MESH_FRAME_RESPONSE;
    p->kinds[2].kind = NGX_MESH_FRAME_ONEWAY;

    for (i = 0; i < 3; i++) {
        p->kinds[i].value = i + 1;
    }

    field(&p->d.kind, 2, 1, 0);
    p->d.kind_mask = 0xff;
    array(&p->d.kinds, p->kinds, 3, sizeof(ngx_mesh_kind_t));

    field(&p->d.status, 3, 1, 0);
    array(&p->d.ok, &p->good, 1, sizeof(uint64_t));

    field(&p->d.id, 4, 4, 0);
    field(&p->lengths[0], 8, 4, 0);
    array(&p->d.lengths[0], p->lengths, 1, sizeof(ngx_mesh_field_t));
    array(&p->d.lengths[1], p->lengths, 1, sizeof(ngx_mesh_field_t));
    p->d.add[0] = 12;
    p->d.add[1] = 12;

    p->d.max_frame = 1024;
    p->d.timeout_unit = 1;

    p->d.strings.declared = 1;
    p->d.strings.offset = 12;
    p->d.strings.n = 2;
    p->d.facts[NGX_MESH_FACT_SERVICE].how = NGX_MESH_FACT_NTH;
    p->d.facts[NGX_MESH_FACT_METHOD].how = NGX_MESH_FACT_NTH;
    p->d.facts[NGX_MESH_FACT_METHOD].n = 1;
}


static ngx_int_t
head(protocol_t *p, const char *hex, size_t n, ngx_mesh_frame_t *f)
{
    u_char      *copy;
    ngx_int_t    rc;
    test_buf_t   b;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    n = ngx_min(n, b.len);
    copy = malloc(n ? n : 1);
    memcpy(copy, b.data, n);

    memset(f, 0, sizeof(ngx_mesh_frame_t));
    f->client = 1;
    rc = p->codec.head(&p->codec, copy, n, f);

    free(copy);
    test_free(&b);

    return rc;
}


/* a whole frame in a copy of exact size */

static void
decode(protocol_t *p, test_call_t *call, const char *hex)
{
    test_buf_t  b;

    memset(&b, 0, sizeof(test_buf_t));
    memset(call, 0, sizeof(test_call_t));
    test_hex(&b, hex);

    call->frame = malloc(b.len);
    call->scratch = malloc(TEST_SCRATCH);
    memcpy(call->frame, b.data, b.len);

    call->f.client = 1;
    call->rc = p->codec.head(&p->codec, call->frame, b.len, &call->f);

    if (call->rc == NGX_OK && call->f.size == b.len) {
        if (call->f.check) {
            call->rc = p->codec.whole(&p->codec, call->frame, &call->f);
        }

        call->facts.scratch = call->scratch;
        call->facts.scratch_end = call->scratch + TEST_SCRATCH;
        p->codec.facts(&p->codec, call->frame, &call->f,
                       NGX_MESH_WANT_NAMES|NGX_MESH_WANT_ATTACHMENTS,
                       &call->facts);
    }

    test_free(&b);
}


static void
headers(void)
{
    size_t             n;
    protocol_t         p;
    ngx_mesh_frame_t   f;
    const char        *hex = "'TY' 01 00 01020304 00000000";

    toy(&p);
    init(&p);

    ok(p.codec.id_bits == 32 && p.codec.head_max == 12
       && p.codec.error == NULL, "what is known of the codec");

    for (n = 0; n < 12; n++) {
        if (head(&p, hex, n, &f) != NGX_AGAIN || f.size <= n || f.size > 12) {
            break;
        }
    }

    ok(n == 12, "a header at each of its bytes");
    ok(head(&p, hex, 12, &f) == NGX_OK && f.size == 12 && f.id == 0x01020304
       && f.kind == NGX_MESH_FRAME_REQUEST && !f.late && !f.bad,
       "a request");
    ok(head(&p, "'TY' 02 00 00000001 00000005", 12, &f) == NGX_OK && f.ok
       && f.size == 17 && f.kind == NGX_MESH_FRAME_RESPONSE, "a response");
    ok(head(&p, "'TY' 02 07 00000001 00000005", 12, &f) == NGX_OK && !f.ok
       && f.status == 7, "a response with an error");
    ok(head(&p, "'TY' 09 00 00000001 00000000", 12, &f) == NGX_OK
       && f.bad == NGX_MESH_BAD_COMMAND && f.kind == NGX_MESH_FRAME_EVENT,
       "an unknown kind");

    ok(head(&p, "'X'", 1, &f) == NGX_ERROR, "another first byte");
    ok(head(&p, "'TX'", 2, &f) == NGX_ERROR, "another second byte");
    ok(head(&p, "'TY' 01 00 00000001 000003f4", 12, &f) == NGX_OK,
       "the longest frame");
    ok(head(&p, "'TY' 01 00 00000001 000003f5", 12, &f) == NGX_ERROR,
       "a longer one");
    ok(head(&p, "'TY' 01 00 00000001 ffffffff", 12, &f) == NGX_ERROR,
       "a length of 2^32 - 1");

    p.d.add[0] = -8;
    ok(head(&p, "'TY' 01 00 00000001 00000013", 12, &f) == NGX_ERROR,
       "a frame shorter than its header");
    ok(head(&p, "'TY' 01 00 00000001 00000014", 12, &f) == NGX_OK
       && f.size == 12, "one that is just its header");
}


static void
detection(void)
{
    protocol_t  p;

    toy(&p);
    init(&p);

    ok(p.codec.detect(&p.codec, (u_char *) "T", 1) == NGX_AGAIN,
       "half a magic");
    ok(p.codec.detect(&p.codec, (u_char *) "TY", 2) == NGX_OK, "all of it");
    ok(p.codec.detect(&p.codec, (u_char *) "TX", 2) == NGX_DECLINED,
       "another one");

    p.magic.mask.data = (u_char *) "\xff\xf0";
    p.magic.value.data = (u_char *) "TP";
    ok(p.codec.detect(&p.codec, (u_char *) "T\x5f", 2) == NGX_OK, "a mask");

    p.d.magics.nelts = 0;
    ok(p.codec.detect(&p.codec, (u_char *) "TY", 2) == NGX_DECLINED,
       "without a magic it is never guessed");
}


/* the magic is the last thing in the header */

static void
magic_last(void)
{
    size_t             n;
    protocol_t         p;
    ngx_mesh_frame_t   f;
    const char        *hex = "0000 01 00 00000001 00000004 'TY' 0000";

    toy(&p);
    p.magic.offset = 12;
    init(&p);

    for (n = 0; n < 14; n++) {
        if (head(&p, hex, n, &f) != NGX_AGAIN) {
            break;
        }
    }

    ok(n == 14, "a magic behind all else is waited for");
    ok(head(&p, hex, 14, &f) == NGX_OK && f.size == 16, "and found");
    ok(head(&p, "0000 01 00 00000001 00000004 'TX' 0000", 16, &f)
       == NGX_ERROR, "or not");
}


static void
names(void)
{
    protocol_t   p;
    test_call_t  c;

    toy(&p);
    init(&p);

    decode(&p, &c, "'TY' 01 00 00000001 0000000b 03'a:1' 04'tell' 'xx'");
    ok(c.rc == NGX_OK && c.facts.names && !c.facts.damaged
       && test_is(&c.facts.interface, "a") && test_is(&c.facts.version, "1")
       && test_is(&c.facts.method, "tell"), "service, version and method");
    test_drop(&c);

    decode(&p, &c, "'TY' 01 00 00000001 00000004 01'a' 09'x'");
    ok(c.rc == NGX_OK && c.facts.damaged && test_is(&c.facts.interface, "a")
       && c.facts.method.len == 0, "a method beyond the frame");
    test_drop(&c);

    decode(&p, &c, "'TY' 01 00 00000001 00000002 ff'x'");
    ok(c.rc == NGX_OK && !c.facts.names && c.facts.damaged,
       "a service beyond the frame");
    test_drop(&c);

    decode(&p, &c, "'TY' 01 00 00000001 00000000");
    ok(c.rc == NGX_OK && !c.facts.names, "no body");
    test_drop(&c);
}


static void
maps(void)
{
    ngx_str_t    name, value;
    protocol_t   p;
    test_call_t  c;

    toy(&p);
    p.d.map.declared = 1;
    p.d.map.after = 1;
    p.d.facts[NGX_MESH_FACT_GROUP].how = NGX_MESH_FACT_KEY;
    test_str(&p.d.facts[NGX_MESH_FACT_GROUP].text, "g");
    init(&p);

    test_str(&name, "G");

    decode(&p, &c, "'TY' 01 00 00000001 0000000c 01'a' 01'b' 01'g' 01'1' "
                   "01'g' 01'2'");
    ok(test_is(&c.facts.group, "2"), "the last one of a name is the fact");
    ok(p.codec.attachment(&p.codec, &c.facts, &name, &value) == NGX_OK
       && test_is(&value, "2"), "and the attachment");
    test_drop(&c);

    decode(&p, &c, "'TY' 01 00 00000001 0000000a 01'a' 01'b' 01'g' 01'1' "
                   "09'k'");
    ok(c.facts.damaged && test_is(&c.facts.group, "1"),
       "what is whole before damage counts");
    ok(p.codec.attachment(&p.codec, &c.facts, &name, &value) == NGX_OK
       && test_is(&value, "1"), "also as an attachment");
    test_drop(&c);
}


/* ids behind a name, as Thrift has them */

static void
late(void)
{
    size_t             n;
    protocol_t         p;
    test_call_t        c;
    ngx_mesh_frame_t   f;
    const char        *hex = "'TY' 01 00 00000000 0000001d 00000015"
                             "'123456789012345678901' 00000063";

    toy(&p);
    field(&p.d.after, 12, 4, 0);
    field(&p.d.id, 0, 4, 0);
    p.d.strings.declared = 0;
    init(&p);

    for (n = 0; n < NGX_MESH_HEAD_MAX; n++) {
        if (head(&p, hex, n, &f) != NGX_AGAIN || f.size > NGX_MESH_HEAD_MAX) {
            break;
        }
    }

    ok(n == NGX_MESH_HEAD_MAX, "a name is waited for as far as a header goes");
    ok(head(&p, hex, n, &f) == NGX_OK && f.late && f.check,
       "and left to whole() then");

    decode(&p, &c, hex);
    ok(c.rc == NGX_OK && c.f.id == 99, "which finds the id");

    p.codec.set_id(&p.codec, c.frame, &c.f, 0x01020304);
    ok(memcmp(c.frame + 37, "\1\2\3\4", 4) == 0
       && memcmp(c.frame + 16, "123456789012345678901", 21) == 0,
       "and may write another");
    test_drop(&c);

    decode(&p, &c, "'TY' 01 00 00000000 00000019 7fffffff"
                   "'123456789012345678901'");
    ok(c.rc == NGX_OK && c.f.bad == NGX_MESH_BAD_COMMAND,
       "a name that lies does not end the stream");
    test_drop(&c);
}


static void
errors(void)
{
    u_char             buf[64];
    size_t             n;
    ngx_str_t          text;
    protocol_t         p;
    ngx_mesh_frame_t   f;

    toy(&p);

    test_str(&p.parts[0].bytes, "TY\2\1");
    p.parts[1].type = NGX_MESH_PART_ID;
    p.parts[2].type = NGX_MESH_PART_LENGTH;
    p.parts[2].field = p.lengths[0];
    p.parts[2].add = 12;
    p.parts[3].type = NGX_MESH_PART_TEXT;
    array(&p.error, p.parts, 4, sizeof(ngx_mesh_part_t));
    p.d.error = &p.error;
    init(&p);

    test_str(&text, "gone");
    memset(&f, 0, sizeof(ngx_mesh_frame_t));
    f.id = 0x0a0b0c0d;

    n = p.codec.error(&p.codec, buf, 64, &f, NGX_MESH_ERR_CLOSED, &text);
    ok(n == 17 && memcmp(buf, "TY\2\1\x0a\x0b\x0c\x0d\0\0\0\5\4gone", 17) == 0,
       "an error");
    ok(p.codec.head(&p.codec, buf, n, &f) == NGX_OK && f.size == n
       && f.kind == NGX_MESH_FRAME_RESPONSE && !f.ok, "is read as one");

    ok(p.codec.error(&p.codec, buf, 16, &f, NGX_MESH_ERR_CLOSED, &text) == 0,
       "it does not fit");

    f.kind = NGX_MESH_FRAME_ONEWAY;
    ok(p.codec.error(&p.codec, buf, 64, &f, NGX_MESH_ERR_CLOSED, &text) == 0,
       "nobody waits for it");
    ok(p.codec.heartbeat(&p.codec, buf, 64, &f) == 0
       && p.codec.ack(&p.codec, buf, 64, buf, &f) == 0
       && p.codec.notice(&p.codec, buf, 64, &f) == 0, "there are no others");
}


int
main(void)
{
    headers();
    detection();
    magic_last();
    names();
    maps();
    late();
    errors();

    return test_done();
}
