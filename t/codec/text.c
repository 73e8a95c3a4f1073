
/*
 * Copyright (C) nginx-mesh authors
 *
 * Texts of error answers: whatever goes in, what comes out can be read back
 * in the serialization of the caller.
 */


#include "test.h"

#include "ngx_mesh_serial.h"


static const ngx_mesh_codec_t  *codec = &ngx_mesh_dubbo_codec;


/* writes an error of exactly the room given, and compares its body */

static void
body(ngx_uint_t serial, size_t room, const char *text, size_t len,
    const char *hex, const char *what)
{
    size_t             n;
    u_char            *p;
    ngx_str_t          s;
    test_buf_t         b;
    ngx_mesh_frame_t   f;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    memset(&f, 0, sizeof(ngx_mesh_frame_t));
    f.serial = (u_char) serial;

    s.data = (u_char *) text;
    s.len = len;

    p = malloc(room);
    n = codec->error(codec, p, room, &f, NGX_MESH_ERR_CLOSED, &s);

    ok(n >= 16 && test_same(&b, p + 16, n - 16), "%s", what);

    free(p);
    test_free(&b);
}


static void
characters(void)
{
#define TEXT(s)  s, sizeof(s) - 1

    body(2, 512, TEXT("h\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80"),
         "05 'h' c3a9 e4bda0 eda0bdedb880", "hessian2: units, not bytes");
    body(2, 512, TEXT("a\xff\xc3(\xe4\xbdz\xf0\x9f\x98"),
         "0a 'a' 3f3f '(' 3f3f 'z' 3f3f3f", "hessian2: not UTF-8");
    body(2, 512, TEXT("\xc0\x80\xe0\x80\x80\xed\xa0\xbd\xf8"),
         "09 3f3f3f3f3f3f3f3f3f", "hessian2: overlong, surrogates");
    body(2, 512, TEXT("\xf4\x90\x80\x80"), "04 3f3f3f3f",
         "hessian2: beyond Unicode");
    body(2, 512, TEXT("a\0b"), "03 'a'00'b'", "hessian2: a zero byte");
    body(2, 512, TEXT("0123456789012345678901234567890"),
         "1f '0123456789012345678901234567890'", "hessian2: 31");
    body(2, 512, TEXT("01234567890123456789012345678901"),
         "3020 '01234567890123456789012345678901'", "hessian2: 32");

    body(23, 512, TEXT("h\xc3\xa9\xf0\x9f\x98\x80"),
         "00000009 7a07 'h' c3a9 f09f9880", "fastjson2: UTF-8");
    body(23, 512, TEXT("h\xff"), "00000003 4b'h?'", "fastjson2: not UTF-8");
    body(23, 512, TEXT("01234567890123456789012345678901234567890123456"),
         "00000030 78 '01234567890123456789012345678901234567890123456'",
         "fastjson2: 47");
    body(23, 512, TEXT("012345678901234567890123456789012345678901234567"),
         "00000033 79 3830 '0123456789012345678901234567890123456789"
         "01234567'", "fastjson2: 48");

    body(6, 512, TEXT("h\xc3\xa9\xf0\x9f\x98\x80\n\x1f\x7f\"\\/\xff"),
         "'\"h' c3a9 f09f9880 '\\u000a\\u001f\\u007f\\\"\\\\/?\"' 0a",
         "fastjson: escapes");
    body(22, 512, TEXT("h\xc3\xa9\xf0\x9f\x98\x80\xff"),
         "0a 0a08 'h' c3a9 f09f9880 '?'", "protobuf: UTF-8");

    body(22, 512, TEXT("0123456789012345678901234567890123456789012345678901234"
                       "5678901234567890123456789012345678901234567890123456789"
                       "01234567890123456789"),
         "8501 0a8201 '0123456789012345678901234567890123456789012345678901234"
         "5678901234567890123456789012345678901234567890123456789"
         "01234567890123456789'", "protobuf: lengths of two bytes");

    /* cut between characters */

    body(2, 16 + 3 + 2, TEXT("\xc3\xa9\xc3\xa9"), "01 c3a9",
         "hessian2: cut at two bytes");
    body(2, 16 + 3 + 3, TEXT("\xc3\xa9\xc3\xa9"), "01 c3a9",
         "hessian2: cut at three bytes");
    body(2, 16 + 3 + 5, TEXT("a\xf0\x9f\x98\x80"), "01 'a'",
         "hessian2: cut before a pair");
    body(2, 16 + 3, TEXT("abc"), "00", "hessian2: nothing fits");
    body(23, 16 + 8 + 3, TEXT("a\xf0\x9f\x98\x80"), "00000002 4a'a'",
         "fastjson2: cut");
    body(6, 16 + 8, TEXT("a\nb"), "'\"a\"' 0a", "fastjson: cut");
    body(6, 16 + 3, TEXT("a"), "'\"\"' 0a", "fastjson: nothing fits");
    body(22, 16 + 7 + 3, TEXT("a\xf0\x9f\x98\x80"), "03 0a01 'a'",
         "protobuf: cut");
}


/* what was written reads back as the same text, cut or not */

static void
lengths(ngx_uint_t id, const char *name)
{
    u_char                   *p, *text, *scratch;
    size_t                    n, size, room;
    ngx_str_t                 s, back;
    ngx_uint_t                written, bad;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    serial = ngx_mesh_serial_find(id);
    text = malloc(70000);
    scratch = malloc(70000);
    bad = 0;

    for (n = 0; n < 70000; n = n < 2100 ? n + 1 : n + 1021) {

        for (size = 0; size < 3; size++) {
            memset(text, 'a' + (int) (n % 26), n);

            if (size == 1 && n >= 2) {
                memcpy(text + n - 2, "\xc3\xa9", 2);
            }

            room = (size == 2) ? 8 + n / 2 : 16 + n;
            p = malloc(room);

            s.data = text;
            s.len = n;
            written = id;

            memset(&r, 0, sizeof(ngx_mesh_body_t));
            r.pos = p;
            r.end = p + ngx_mesh_serial_write(p, room, &written, &s);
            r.limit = r.end;
            r.scratch = scratch;
            r.scratch_end = scratch + 70000;

            if (written != id || serial->string(&r, &back) != NGX_OK
                || r.pos != r.end || back.len > n
                || (back.len < n && n < 30000 && size != 2)
                || (back.len && memcmp(back.data, text, back.len) != 0))
            {
                bad++;
            }

            free(p);
        }
    }

    ok(bad == 0, "%s: every length", name);

    free(text);
    free(scratch);
}


static void
rooms(void)
{
    u_char            *p;
    size_t             n, room;
    ngx_str_t          s;
    ngx_uint_t         serial, bad;
    ngx_mesh_frame_t   f, g;

    test_str(&s, "a\xf0\x9f\x98\x80\n\xc3\xa9\"z");
    bad = 0;

    for (serial = 0; serial < 32; serial++) {
        for (room = 0; room < 64; room++) {
            memset(&f, 0, sizeof(ngx_mesh_frame_t));
            f.serial = (u_char) serial;

            p = malloc(room ? room : 1);
            n = codec->error(codec, p, room, &f, NGX_MESH_ERR_DENIED, &s);

            if (n > room
                || (n && (codec->head(codec, p, n, &g) != NGX_OK
                          || g.size != n || g.status != 80
                          || g.kind != NGX_MESH_FRAME_RESPONSE)))
            {
                bad++;
            }

            free(p);
        }
    }

    ok(bad == 0, "any room, any serialization");
}


int
main(int argc, char **argv)
{
    characters();
    lengths(NGX_MESH_SERIAL_HESSIAN2, "hessian2");
    lengths(NGX_MESH_SERIAL_FASTJSON, "fastjson");
    lengths(NGX_MESH_SERIAL_FASTJSON2, "fastjson2");
    rooms();

    return test_done();
}
