
/*
 * Copyright (C) nginx-mesh authors
 *
 * Bolt: frames, checksums, and what the codec writes.
 */


#include "test.h"

#include <zlib.h>

#include "ngx_mesh_bolt.h"


#define SOFA_REQUEST   "com.alipay.sofa.rpc.core.request.SofaRequest"


static const ngx_mesh_codec_t  *codec = &ngx_mesh_bolt_codec;


/* of an exact copy, so that the sanitizer sees what is read */

static ngx_int_t
head(const char *hex, ngx_mesh_frame_t *f)
{
    u_char      *p;
    ngx_int_t    rc;
    test_buf_t   b;

    memset(&b, 0, sizeof(test_buf_t));
    memset(f, 0, sizeof(ngx_mesh_frame_t));
    test_hex(&b, hex);

    p = malloc(b.len);
    memcpy(p, b.data, b.len);
    rc = codec->head(codec, p, b.len, f);

    free(p);
    test_free(&b);

    return rc;
}


static ngx_int_t
detect(const char *hex)
{
    ngx_int_t    rc;
    test_buf_t   b;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    rc = codec->detect(codec, b.data, b.len);

    test_free(&b);

    return rc;
}


static void
test_detect(void)
{
    ngx_uint_t  i;

    static const struct {
        const char  *hex;
        ngx_int_t    rc;
    } tests[] = {
        { "", NGX_AGAIN },
        { "01", NGX_AGAIN },
        { "01 02", NGX_AGAIN },
        { "01 01 00", NGX_AGAIN },
        { "01 01 0001", NGX_AGAIN },
        { "01 01 0001 01", NGX_OK },
        { "01 00 0000 01", NGX_OK },
        { "01 01 0064 01", NGX_OK },
        { "01 03", NGX_DECLINED },
        { "01 01 01", NGX_DECLINED },
        { "01 01 0001 00", NGX_DECLINED },
        { "01 01 0001 02", NGX_DECLINED },
        { "02", NGX_AGAIN },
        { "02 01", NGX_AGAIN },
        { "02 02 01 0001", NGX_AGAIN },
        { "02 01 01 0001 01", NGX_OK },
        { "02 02 00 0002 01", NGX_OK },
        { "02 00", NGX_DECLINED },
        { "02 03", NGX_DECLINED },
        { "02 02 03", NGX_DECLINED },
        { "02 02 01 80", NGX_DECLINED },
        { "02 02 01 0001 ff", NGX_DECLINED },
        { "00", NGX_DECLINED },
        { "03", NGX_DECLINED },
        { "0d 01 0001 01", NGX_DECLINED },
        { "dabb", NGX_DECLINED },
        { "16 03 01", NGX_DECLINED },
        { "'GET / HTTP'", NGX_DECLINED },
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        ok(detect(tests[i].hex) == tests[i].rc, "detect: \"%s\"",
           tests[i].hex);
    }
}


static void
test_frames(void)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    ngx_mesh_frame_t  f;

#define N  0
#define C  NGX_MESH_BAD_COMMAND
    static const struct {
        const char  *name, *hex;
        size_t       size;
        int          kind, bad, variant;
        uint32_t     timeout;
    } tests[] = {
        { "request", "01 01 0001 01 11223344 01 00000bb8 0001 0002 00000003",
          28, NGX_MESH_FRAME_REQUEST, N, 1, 3000 },
        { "one-way", "01 02 0001 01 11223344 01 ffffffff 0001 0002 00000003",
          28, NGX_MESH_FRAME_ONEWAY, N, 1, 0 },
        { "timeout 0", "01 01 0001 01 11223344 01 00000000 0000 0000 00000000",
          22, NGX_MESH_FRAME_REQUEST, N, 1, 0 },
        { "timeout -2^31",
          "01 01 0001 01 11223344 01 80000000 0000 0000 00000000",
          22, NGX_MESH_FRAME_REQUEST, N, 1, 0 },
        { "timeout 2^31 - 1",
          "01 01 0001 01 11223344 01 7fffffff 0000 0000 00000000",
          22, NGX_MESH_FRAME_REQUEST, N, 1, 0x7fffffff },
        { "response", "01 00 0002 01 11223344 01 0000 0001 0002 00000003",
          26, NGX_MESH_FRAME_RESPONSE, N, 1, 0 },
        { "response, command of a request",
          "01 00 0001 01 11223344 01 0000 0001 0002 00000003",
          26, NGX_MESH_FRAME_RESPONSE, N, 1, 0 },
        { "heartbeat", "01 01 0000 01 11223344 01 ffffffff 0000 0000 00000000",
          22, NGX_MESH_FRAME_HEARTBEAT, N, 1, 0 },
        { "heartbeat that wants no answer",
          "01 02 0000 01 11223344 01 ffffffff 0000 0000 00000000",
          22, NGX_MESH_FRAME_EVENT, N, 1, 0 },
        { "acknowledgement",
          "01 00 0000 01 11223344 01 0000 0000 0000 00000000",
          20, NGX_MESH_FRAME_ACK, N, 1, 0 },
        { "GoAway", "01 01 0064 01 11223344 01 00000000 0000 0000 00000000",
          22, NGX_MESH_FRAME_READONLY, N, 1, 0 },
        { "one-way GoAway",
          "01 02 0064 01 11223344 01 00000000 0000 0000 00000000",
          22, NGX_MESH_FRAME_ONEWAY, C, 1, 0 },
        { "request, unknown command",
          "01 01 0002 01 11223344 01 00000bb8 0000 0000 00000000",
          22, NGX_MESH_FRAME_REQUEST, C, 1, 3000 },
        { "one-way, unknown command",
          "01 02 0101 01 11223344 01 00000bb8 0000 0000 00000000",
          22, NGX_MESH_FRAME_ONEWAY, C, 1, 3000 },
        { "response, unknown command",
          "01 00 0003 01 11223344 01 0000 0000 0000 00000000",
          20, NGX_MESH_FRAME_RESPONSE, C, 1, 0 },
        { "longest class and map",
          "01 01 0001 01 11223344 01 00000bb8 7fff 7fff 00000000",
          22 + 2 * 0x7fff, NGX_MESH_FRAME_REQUEST, N, 1, 3000 },
        { "longest content",
          "01 01 0001 01 11223344 01 00000bb8 7fff 7fff 7fffffff",
          22 + 2 * 0x7fff + (size_t) 0x7fffffff, NGX_MESH_FRAME_REQUEST, N, 1,
          3000 },
        { "v2 request",
          "02 01 01 0001 01 11223344 01 00 00000bb8 0001 0002 00000003",
          30, NGX_MESH_FRAME_REQUEST, N, 2, 3000 },
        { "v2 request, a switch without a checksum",
          "02 01 01 0001 01 11223344 01 01 00000bb8 0001 0002 00000003",
          30, NGX_MESH_FRAME_REQUEST, N, 2, 3000 },
        { "v2 request, a checksum is allowed",
          "02 02 01 0001 01 11223344 01 00 00000bb8 0001 0002 00000003",
          30, NGX_MESH_FRAME_REQUEST, N, 3, 3000 },
        { "v2 request with a checksum",
          "02 02 01 0001 01 11223344 01 01 00000bb8 0001 0002 00000003",
          34, NGX_MESH_FRAME_REQUEST, N, 3, 3000 },
        { "v2 request, other switches",
          "02 02 01 0001 01 11223344 01 7e 00000bb8 0001 0002 00000003",
          30, NGX_MESH_FRAME_REQUEST, N, 3, 3000 },
        { "v2 response with a checksum",
          "02 02 00 0002 01 11223344 01 01 0000 0001 0002 00000003",
          32, NGX_MESH_FRAME_RESPONSE, N, 3, 0 },
        { "v2 heartbeat",
          "02 02 01 0000 01 11223344 01 00 ffffffff 0000 0000 00000000",
          24, NGX_MESH_FRAME_HEARTBEAT, N, 3, 0 },
    };
#undef N
#undef C

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        rc = head(tests[i].hex, &f);

        ok(rc == NGX_OK && f.size == tests[i].size && f.id == 0x11223344
           && f.kind == tests[i].kind && f.bad == tests[i].bad
           && f.variant == tests[i].variant && f.timeout == tests[i].timeout
           && f.serial == 1 && f.late == 0,
           "frame: %s", tests[i].name);
    }
}


static void
test_lost(void)
{
    ngx_uint_t        i;
    ngx_mesh_frame_t  f;

    static const struct {
        const char  *name, *hex;
    } tests[] = {
        { "class is too long",
          "01 01 0001 01 11223344 01 00000bb8 8000 0000 00000000" },
        { "map is too long",
          "01 01 0001 01 11223344 01 00000bb8 0000 ffff 00000000" },
        { "content is too long",
          "01 01 0001 01 11223344 01 00000bb8 0000 0000 80000000" },
        { "response, class is too long",
          "01 00 0002 01 11223344 01 0000 8000 0000 00000000" },
        { "unknown type",
          "01 03 0001 01 11223344 01 00000bb8 0000 0000 00000000" },
        { "unknown protocol",
          "03 01 0001 01 11223344 01 00000bb8 0000 0000 00000000" },
        { "v2, negative switches",
          "02 02 01 0001 01 11223344 01 81 00000bb8 0000 0000 00000000" },
        { "v2 response, negative switches",
          "02 01 00 0002 01 11223344 01 80 0000 0000 0000 00000000" },
        { "v2 of version 0",
          "02 00 01 0001 01 11223344 01 00 00000bb8 0000 0000 00000000" },
        { "v2 of version 3",
          "02 03 01 0001 01 11223344 01 00 00000bb8 0000 0000 00000000" },
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        ok(head(tests[i].hex, &f) == NGX_ERROR, "no frame: %s",
           tests[i].name);
    }
}


/* Java closes its connection on any other status */

static void
test_statuses(void)
{
    int               wrong;
    ngx_uint_t        i, known;
    char              hex[64];
    ngx_mesh_frame_t  f;

    wrong = 0;

    for (i = 0; i <= 0xffff; i++) {
        snprintf(hex, sizeof(hex),
                 "01 00 0002 01 11223344 01 %04x 0000 0000 00000000",
                 (unsigned) i);

        known = (i <= 9 || (i >= 0x10 && i <= 0x12));

        wrong += head(hex, &f) != NGX_OK || f.status != i || f.ok != (i == 0)
                 || f.bad != (known ? 0 : NGX_MESH_BAD_COMMAND)
                 || f.kind != NGX_MESH_FRAME_RESPONSE;
    }

    ok(wrong == 0, "statuses: those that Java knows, and no others");
}


static void
request(test_buf_t *b, ngx_uint_t variant, ngx_uint_t serial, size_t size)
{
    test_bolt(b, variant, 1, serial, SOFA_REQUEST);
    test_pair(b, "service", "com.x.Hello:1.0");
    test_content(b);
    test_byte(b, 0x5a, size);
    test_close(b);
}


static void
test_checksum(void)
{
    int               wrong;
    size_t            n, size;
    ngx_uint_t        i;
    test_buf_t        b, c;
    test_call_t       call;

    request(&b, 3, 11, 100);

    test_decode(&call, &b, NGX_MESH_WANT_NAMES, 0);
    ok(call.rc == NGX_OK && call.f.check && call.f.bad == 0,
       "checksum: right");
    test_drop(&call);

    /* every bit of it counts; those of the header may say something else */

    wrong = 0;

    for (n = 24 * 8; n < b.len * 8; n++) {
        b.data[n / 8] ^= (u_char) (1 << n % 8);
        test_decode(&call, &b, NGX_MESH_WANT_NAMES, 0);
        wrong += (call.rc != NGX_OK || call.f.bad != NGX_MESH_BAD_CHECKSUM
                  || call.f.id != 0x11223344);
        test_drop(&call);
        b.data[n / 8] ^= (u_char) (1 << n % 8);
    }

    ok(wrong == 0, "checksum: wrong wherever a bit was");

    b.data[9] ^= 1;
    test_decode(&call, &b, NGX_MESH_WANT_NAMES, 0);
    ok(call.f.bad == NGX_MESH_BAD_CHECKSUM, "checksum: of the id too");
    test_drop(&call);
    test_free(&b);

    /* corrected is the same as computed */

    wrong = 0;

    for (i = 0; i < 200; i++) {
        size = i < 64 ? i : i < 199 ? i * i * 7 : 1024 * 1024;

        request(&b, 3, 1, size);
        request(&c, 3, 1, size);

        (void) codec->head(codec, b.data, b.len, &call.f);
        codec->set_id(codec, b.data, &call.f, 0x9e3779b9U * (i + 1));

        c.len -= 4;
        memcpy(c.data + 6, b.data + 6, 4);
        test_close(&c);

        wrong += !test_same(&b, c.data, c.len)
                 || call.f.id != (uint32_t) (0x9e3779b9U * (i + 1));

        test_free(&c);

        codec->set_id(codec, b.data, &call.f, 0x11223344);
        request(&c, 3, 1, size);
        wrong += !test_same(&b, c.data, c.len);

        test_free(&b);
        test_free(&c);
    }

    ok(wrong == 0, "checksum: corrected for another id, any size");
}


/* the answer that error() writes, which goes through the codec again */

static size_t
answer(u_char *dst, size_t size, ngx_uint_t variant, ngx_uint_t serial,
    ngx_uint_t err, const char *text, ngx_mesh_frame_t *f)
{
    size_t      n;
    u_char     *p;
    ngx_str_t   s;

    memset(f, 0, sizeof(ngx_mesh_frame_t));

    f->id = 0xfedcba98;
    f->variant = (uint8_t) variant;
    f->serial = (uint8_t) serial;
    f->kind = NGX_MESH_FRAME_REQUEST;
    f->ok = 1;

    test_str(&s, text);

    p = malloc(size ? size : 1);
    n = codec->error(codec, p, size, f, err, &s);

    if (n <= size) {
        memcpy(dst, p, n);
    }

    free(p);

    return n;
}


static int
says(u_char *p, ngx_mesh_frame_t *f, int tag, ngx_str_t *text)
{
    ngx_mesh_body_t        r;
    ngx_mesh_value_t       v[4];
    ngx_mesh_bolt_parts_t  parts;
    static uint32_t        scratch[1024];
    static ngx_str_t       names[4] = {
        ngx_string("isError"), ngx_string("errorMsg"),
        ngx_string("appResponse"), ngx_string("responseProps")
    };

    ngx_mesh_bolt_split(p, f, &parts);

    if (!test_is(&parts.class,
                 "com.alipay.sofa.rpc.core.response.SofaResponse"))
    {
        return 0;
    }

    if (parts.content.len == 0 || parts.content.data[0] != tag) {
        return 0;
    }

    memset(&r, 0, sizeof(ngx_mesh_body_t));

    r.pos = parts.content.data;
    r.end = r.pos + parts.content.len;
    r.limit = r.end;
    r.scratch = (u_char *) scratch;
    r.scratch_end = r.scratch + sizeof(scratch);

    if (ngx_mesh_sofa_fields(&r, names, v, 4) != NGX_OK || r.pos != r.end
        || v[0].type != NGX_MESH_SERIAL_BOOL || v[0].num != 1
        || v[1].type != NGX_MESH_SERIAL_STRING)
    {
        return 0;
    }

    *text = v[1].str;

    return 1;
}


static void
test_errors(void)
{
    int               passed, hessian;
    size_t            n, size;
    u_char            buf[1024];
    ngx_str_t         text;
    ngx_uint_t        i, v, err;
    ngx_mesh_frame_t  f, g;

    static const ngx_uint_t  serials[] = { 1, 0x81, 4, 11, 12, 99, 255 };
    static const int         statuses[NGX_MESH_ERR_N] = {
        0, 6, 6, 7, 7, 0x10, 4, 9, 9, 2, 0, 6, 9
    };

    for (v = 1; v <= 3; v++) {
        for (i = 0; i < sizeof(serials) / sizeof(serials[0]); i++) {
            for (err = 0; err <= NGX_MESH_ERR_N; err++) {

                n = answer(buf, sizeof(buf), v, serials[i], err, "why not",
                           &f);

                if (err == NGX_MESH_ERR_N || statuses[err] == 0) {
                    ok(n == 0, "error %d: none", (int) err);
                    continue;
                }

                passed = codec->head(codec, buf, n, &g) == NGX_OK
                         && codec->whole(codec, buf, &g) == NGX_OK
                         && g.size == n && g.bad == 0 && g.id == 0xfedcba98
                         && g.variant == v && g.check == (v == 3)
                         && g.kind == NGX_MESH_FRAME_RESPONSE
                         && g.serial == (i == 1 ? 1 : serials[i])
                         && f.status == statuses[err] && f.ok == 0
                         && codec->result(codec, buf, &g)
                            == NGX_MESH_RESULT_ERROR;

                hessian = i < 2 && err != NGX_MESH_ERR_BAD_REQUEST
                          && (statuses[err] == 6 || statuses[err] == 9
                              || statuses[err] == 2);

                size = (size_t) g.head + (v == 3 ? 4 : 0);

                passed &= hessian
                          ? g.status == 0
                            && says(buf, &g, i ? 'C' : 'O', &text)
                            && test_is(&text, "why not")
                          : g.status == statuses[err] && n == size;

                ok(passed, "error %d, v%d, codec %d", (int) err, (int) v,
                   (int) serials[i]);
            }
        }
    }

    (void) answer(buf, sizeof(buf), 1, 1, 1, "", &f);
    (void) codec->head(codec, buf, sizeof(buf), &g);
    ok(says(buf, &g, 'O', &text) && test_is(&text, "no_route"),
       "error: its name where there is no text");
}


static void
test_texts(void)
{
    int               wrong, tag;
    char             *name;
    size_t            n, size;
    u_char            buf[1024];
    u_char           *big;
    ngx_str_t         s, text;
    ngx_uint_t        i, serial;
    ngx_mesh_frame_t  f, g;

    static const struct {
        const char  *name, *in, *out;
    } tests[] = {
        { "two bytes", "\xc3\xbc\xdf\xbf", "\xc3\xbc\xdf\xbf" },
        { "three bytes", "\xe4\xb8\xad\xef\xbf\xbd",
          "\xe4\xb8\xad\xef\xbf\xbd" },
        { "surrogates", "<\xf0\x9f\x98\x80>", "<\xf0\x9f\x98\x80>" },
        { "no UTF-8", "a\xff\xc3z\xed\xa0\x80", "a??z???" },
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        for (serial = 1; serial <= 0x81; serial += 0x80) {
            n = answer(buf, sizeof(buf), 3, serial, 1, tests[i].in, &f);

            ok(codec->head(codec, buf, n, &g) == NGX_OK && g.size == n
               && says(buf, &g, serial == 1 ? 'O' : 'C', &text)
               && test_is(&text, tests[i].out),
               "text: %s, codec %d", tests[i].name, (int) serial);
        }
    }

    /* whatever the room is, there is a whole frame in it or none */

    wrong = 0;

    for (size = 0; size < 300; size++) {
        for (i = 0; i < 4; i++) {
            tag = i < 2 ? 'O' : 'C';
            n = answer(buf, size, 1 + i % 3, i < 2 ? 1 : 0x81, 1,
                       "\xf0\x9f\x98\x80\xe4\xb8\xad and so on", &f);

            wrong += n > size
                     || (n && (codec->head(codec, buf, n, &g) != NGX_OK
                               || g.size != n
                               || (g.status == 0
                                   && !says(buf, &g, tag, &text))));
        }
    }

    ok(wrong == 0, "text: any room");

    big = malloc(2 * 70000 + 256);
    name = malloc(70001);
    memset(name, 'x', 70000);
    name[70000] = '\0';
    test_str(&s, name);

    f.kind = NGX_MESH_FRAME_REQUEST;
    f.serial = 1;
    n = codec->error(codec, big, 2 * 70000 + 256, &f, 1, &s);

    ok(codec->head(codec, big, n, &g) == NGX_OK && g.size == n
       && says(big, &g, 'O', &text) && text.len > 30000 && text.len < 32768,
       "text: cut where one piece ends");

    free(name);
    free(big);
}


static void
test_kinds(void)
{
    u_char            buf[1024];
    ngx_str_t         s;
    ngx_uint_t        kind;
    ngx_mesh_frame_t  f;

    test_str(&s, "no");

    for (kind = NGX_MESH_FRAME_ONEWAY; kind <= NGX_MESH_FRAME_EVENT; kind++) {
        memset(&f, 0, sizeof(ngx_mesh_frame_t));
        f.kind = (uint8_t) kind;
        f.serial = 1;
        f.variant = 1;

        ok(codec->error(codec, buf, sizeof(buf), &f, 1, &s) == 0
           && f.status == 6,
           "no error answers what is no request (%d)", (int) kind);
    }
}


static void
test_heartbeats(void)
{
    size_t            n;
    u_char            buf[64];
    ngx_uint_t        i, v;
    test_buf_t        b, ack;
    ngx_mesh_frame_t  f, g;

    static const char  *beats[] = {
        "01 01 0000 01 11223344 01 ffffffff 0000 0000 00000000",
        "02 01 01 0000 01 11223344 01 00 ffffffff 0000 0000 00000000",
        "02 02 01 0000 01 11223344 01 00 ffffffff 0000 0000 00000000"
    };

    static const char  *acks[] = {
        "01 00 0000 01 11223344 01 0000 0000 0000 00000000",
        "02 01 00 0000 01 11223344 01 00 0000 0000 0000 00000000",
        "02 02 00 0000 01 11223344 01 00 0000 0000 0000 00000000"
    };

    for (v = 1; v <= 3; v++) {
        memset(&b, 0, sizeof(test_buf_t));
        memset(&ack, 0, sizeof(test_buf_t));
        test_hex(&b, beats[v - 1]);
        test_hex(&ack, acks[v - 1]);

        for (i = 0; i < 3; i++) {
            memset(&f, 0, sizeof(ngx_mesh_frame_t));
            f.id = 0x11223344;
            f.variant = (uint8_t) v;
            f.serial = (uint8_t) (i == 0 ? 0 : i == 1 ? 11 : 0x81);

            n = codec->heartbeat(codec, buf, sizeof(buf), &f);

            ok(test_same(&b, buf, n), "heartbeat: v%d", (int) v);
        }

        (void) codec->head(codec, b.data, b.len, &g);
        n = codec->ack(codec, buf, sizeof(buf), b.data, &g);

        ok(test_same(&ack, buf, n), "acknowledgement: v%d", (int) v);
        ok(codec->heartbeat(codec, buf, 20, &f) == 0
           && codec->ack(codec, buf, 19, b.data, &g) == 0,
           "... needs room");
        ok(codec->notice(codec, buf, sizeof(buf), &f) == 0,
           "... and GoAway is not for Java");

        test_free(&b);
        test_free(&ack);
    }
}


int
main(void)
{
    test_codec = codec;

    test_detect();
    test_frames();
    test_lost();
    test_statuses();
    test_checksum();
    test_errors();
    test_texts();
    test_kinds();
    test_heartbeats();

    return test_done();
}
