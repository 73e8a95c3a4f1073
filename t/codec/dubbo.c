
/*
 * Copyright (C) nginx-mesh authors
 *
 * Frames of Dubbo: headers, events, and what the proxy writes itself.
 */


#include "test.h"


static const ngx_mesh_codec_t  *codec = &ngx_mesh_dubbo_codec;

static u_char  *request = (u_char *)
    "\xda\xbb\xc2\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00";


static ngx_int_t
head(const char *hex, size_t n, ngx_mesh_frame_t *f)
{
    u_char      *p;
    ngx_int_t    rc;
    test_buf_t   b;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    p = malloc(n ? n : 1);
    memcpy(p, b.data, n);

    memset(f, 0, sizeof(ngx_mesh_frame_t));
    rc = codec->head(codec, p, n, f);

    free(p);
    test_free(&b);

    return rc;
}


static void
headers(void)
{
    size_t            n;
    ngx_mesh_frame_t  f;

    ok(head("da", 0, &f) == NGX_AGAIN && f.size == 16, "no bytes");
    ok(head("da", 1, &f) == NGX_AGAIN && f.size == 16, "one byte");
    ok(head("db", 1, &f) == NGX_ERROR, "wrong first byte");
    ok(head("daba", 2, &f) == NGX_ERROR, "wrong second byte");
    ok(head("47455420", 4, &f) == NGX_ERROR, "not Dubbo at all");

    ok(head("dabbc200 0000000000000000 80000000", 16, &f) == NGX_ERROR,
       "negative length");
    ok(head("dabbc200 0000000000000000 ffffffff", 16, &f) == NGX_ERROR,
       "length -1");
    ok(head("dabbc200 0000000000000000 7fffffff", 16, &f) == NGX_OK
       && f.size == (size_t) 0x7fffffff + 16, "the longest length");

    for (n = 2; n < 16; n++) {
        if (head("dabbc200 0000000000000000 ffffffff", n, &f) != NGX_AGAIN
            || f.size != 16)
        {
            break;
        }
    }

    ok(n == 16, "length is not looked at before it is there");

    ok(head("dabbd714 8000000000000001 00000005", 16, &f) == NGX_OK
       && f.id == 0x8000000000000001ULL && f.serial == 23 && f.status == 0
       && f.kind == NGX_MESH_FRAME_REQUEST && !f.ok && f.head == 16
       && f.size == 21 && f.timeout == 0 && f.variant == 0,
       "request has no status");

    ok(head("dabb82ff 0000000000000001 00000000", 16, &f) == NGX_OK
       && f.kind == NGX_MESH_FRAME_ONEWAY, "one-way");
    ok(head("dabb4214 0000000000000001 00000000", 16, &f) == NGX_OK
       && f.kind == NGX_MESH_FRAME_RESPONSE && f.ok && f.status == 20,
       "response");
    ok(head("dabb0246 0000000000000001 00000000", 16, &f) == NGX_OK
       && f.kind == NGX_MESH_FRAME_RESPONSE && !f.ok && f.status == 70,
       "response with an error");
    ok(head("dabb2214 0000000000000001 00000000", 16, &f) == NGX_OK
       && f.kind == NGX_MESH_FRAME_ACK, "event response");
    ok(head("dabbe200 0000000000000001 00000000", 16, &f) == NGX_OK
       && f.kind == NGX_MESH_FRAME_EVENT, "event request");
}


static void
event(ngx_uint_t kind, const char *hex, const char *what)
{
    test_buf_t   b;
    test_call_t  call;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    test_decode(&call, &b, 0, 0);
    ok(call.rc == NGX_OK && call.f.kind == kind, "event: %s", what);
    test_drop(&call);

    test_free(&b);
}


static void
events(void)
{
    event(NGX_MESH_FRAME_HEARTBEAT, "dabbe200 0000000000000001 00000001 4e",
          "heartbeat");
    event(NGX_MESH_FRAME_HEARTBEAT, "dabbe200 0000000000000001 00000002 4e4e",
          "two nulls");
    event(NGX_MESH_FRAME_HEARTBEAT, "dabbe200 0000000000000001 00000000",
          "empty body");
    event(NGX_MESH_FRAME_HEARTBEAT, "dabbe200 0000000000000001 00000002 01'H'",
          "H");
    event(NGX_MESH_FRAME_READONLY, "dabba200 0000000000000001 00000002 01'R'",
          "read-only");
    event(NGX_MESH_FRAME_READONLY, "dabbe200 0000000000000001 00000002 01'R'",
          "read-only, two-way");
    event(NGX_MESH_FRAME_EVENT, "dabba200 0000000000000001 00000002 01'W'",
          "writeable");
    event(NGX_MESH_FRAME_EVENT, "dabba200 0000000000000001 00000001 4e",
          "null that wants no answer");
    event(NGX_MESH_FRAME_EVENT, "dabbe200 0000000000000001 00000003 02'RR'",
          "longer string");
    event(NGX_MESH_FRAME_EVENT, "dabbe200 0000000000000001 00000001 01",
          "string cut short");
    event(NGX_MESH_FRAME_EVENT, "dabbe200 0000000000000001 00000001 40",
          "no value");

    event(NGX_MESH_FRAME_HEARTBEAT,
          "dabbf700 0000000000000001 00000005 00000001af", "fastjson2 null");
    event(NGX_MESH_FRAME_READONLY,
          "dabbb700 0000000000000001 00000006 00000002 4a'R'",
          "fastjson2 read-only");
    event(NGX_MESH_FRAME_EVENT,
          "dabbb700 0000000000000001 00000006 00000003 4a'R'",
          "fastjson2 longer than its frame");

    event(NGX_MESH_FRAME_HEARTBEAT,
          "dabbe600 0000000000000001 00000005 'null'0a", "fastjson null");
    event(NGX_MESH_FRAME_READONLY,
          "dabba600 0000000000000001 00000005 '\"R\"'0d0a",
          "fastjson read-only");

    event(NGX_MESH_FRAME_HEARTBEAT, "dabbe300 0000000000000001 00000005"
          "aced000570", "Java null");
    event(NGX_MESH_FRAME_READONLY, "dabba300 0000000000000001 00000008"
          "aced0005740001'R'", "Java read-only");
    event(NGX_MESH_FRAME_READONLY, "dabbb600 0000000000000001 00000004"
          "030a01'R'", "protobuf read-only");
    event(NGX_MESH_FRAME_HEARTBEAT, "dabbf600 0000000000000001 00000000",
          "protobuf, nothing");

    event(NGX_MESH_FRAME_ACK, "dabb2214 0000000000000001 00000001 4e",
          "an answer stays one");
    event(NGX_MESH_FRAME_REQUEST, "dabbc200 0000000000000001 00000001 4e",
          "a request stays one");
}


/* what the proxy writes is compared with bytes; the frame must parse, too */

static void
written(u_char *p, size_t n, ngx_uint_t kind, const char *hex,
    const char *what)
{
    test_buf_t        b;
    ngx_mesh_frame_t  f;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    ok(test_same(&b, p, n), "%s", what);

    if (n >= 16) {
        ok(codec->head(codec, p, n, &f) == NGX_OK && f.size == n
           && codec->whole(codec, p, &f) == NGX_OK && f.kind == kind,
           "%s: reads again", what);
    }

    test_free(&b);
}


static void
error(ngx_uint_t serial, ngx_uint_t err, const char *text, const char *hex)
{
    size_t             n;
    u_char            *p;
    ngx_str_t          s;
    ngx_mesh_frame_t   f;

    p = malloc(256 + strlen(text));
    test_str(&s, text);

    memset(&f, 0, sizeof(ngx_mesh_frame_t));
    f.id = 0x0102030405060708ULL;
    f.serial = (u_char) serial;
    f.ok = 1;

    n = codec->error(codec, p, 256 + s.len, &f, err, &s);

    written(p, n, NGX_MESH_FRAME_RESPONSE, hex, text);
    ok(n < 4 || (f.status == p[3] && !f.ok), "%s: status", text);

    free(p);
}


static void
errors(void)
{
    u_char            p[64];
    size_t            i;
    ngx_str_t         s;
    ngx_mesh_frame_t  f;

    static struct {
        ngx_uint_t     err;
        ngx_uint_t     status;
        const char    *name;
    } table[] = {
        { NGX_MESH_ERR_NO_ROUTE, 60, "no_route" },
        { NGX_MESH_ERR_NO_ENDPOINT, 60, "no_endpoint" },
        { NGX_MESH_ERR_EXPIRED, 30, "expired" },
        { NGX_MESH_ERR_TIMEOUT, 31, "timeout" },
        { NGX_MESH_ERR_CLOSED, 70, "upstream_closed" },
        { NGX_MESH_ERR_OVERLOAD, 100, "overload" },
        { NGX_MESH_ERR_TOO_LARGE, 40, "request_too_large" },
        { NGX_MESH_ERR_BAD_RESPONSE, 50, "bad_response" },
        { NGX_MESH_ERR_DENIED, 80, "denied" },
        { NGX_MESH_ERR_CALLBACK, 70, "callback" },
        { NGX_MESH_ERR_NONE, 0, "" },
        { NGX_MESH_ERR_CLIENT, 0, "client_closed" },
        { NGX_MESH_ERR_N, 0, "" },
    };

    error(2, NGX_MESH_ERR_CLOSED, "no provider",
          "dabb0246 0102030405060708 0000000c 0b'no provider'");
    error(23, NGX_MESH_ERR_CLOSED, "no provider",
          "dabb1746 0102030405060708 00000010 0000000c 54'no provider'");
    error(6, NGX_MESH_ERR_OVERLOAD, "no \"provider\"",
          "dabb0664 0102030405060708 00000012 '\"no \\\"provider\\\"\"'0a");
    error(22, NGX_MESH_ERR_TIMEOUT, "no provider",
          "dabb161f 0102030405060708 0000000e 0d0a0b'no provider'");
    error(3, NGX_MESH_ERR_DENIED, "no provider",
          "dabb0250 0102030405060708 0000000c 0b'no provider'");
    error(8, NGX_MESH_ERR_EXPIRED, "",
          "dabb021e 0102030405060708 00000008 07'expired'");

    memset(&f, 0, sizeof(ngx_mesh_frame_t));
    f.serial = 2;
    test_str(&s, "x");

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        f.status = 0;

        ok((codec->error(codec, p, sizeof(p), &f, table[i].err, &s) != 0)
           == (table[i].status != 0)
           && f.status == table[i].status,
           "status of \"%s\"", table[i].name);

        ok(test_is(ngx_mesh_codec_error_name(table[i].err), table[i].name),
           "name of \"%s\"", table[i].name);
    }

    f.kind = NGX_MESH_FRAME_ONEWAY;
    ok(codec->error(codec, p, sizeof(p), &f, NGX_MESH_ERR_TIMEOUT, &s) == 0
       && f.status == 31, "one-way is not answered");

    f.kind = NGX_MESH_FRAME_REQUEST;

    for (i = 0; i < 19; i++) {
        if (codec->error(codec, p, i, &f, NGX_MESH_ERR_TIMEOUT, &s) != 0) {
            break;
        }
    }

    ok(i == 19, "no room for an error");
    ok(codec->error(codec, p, 21, &f, NGX_MESH_ERR_TIMEOUT, NULL) != 0,
       "no text");
}


static void
own(void)
{
    u_char             p[64];
    u_char            *hb;
    size_t             n;
    ngx_mesh_frame_t   f;

    memset(&f, 0, sizeof(ngx_mesh_frame_t));
    f.id = 9;
    f.serial = 2;

    written(p, codec->heartbeat(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_HEARTBEAT,
            "dabbe200 0000000000000009 00000001 4e", "heartbeat");
    ok(codec->heartbeat(codec, p, 17, &f) == 17
       && codec->heartbeat(codec, p, 16, &f) == 0, "heartbeat: room");

    f.id = 10;
    written(p, codec->notice(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_READONLY,
            "dabba200 000000000000000a 00000002 0152", "notice");
    ok(codec->notice(codec, p, 18, &f) == 18
       && codec->notice(codec, p, 17, &f) == 0, "notice: room");

    f.serial = 23;
    f.id = 9;
    written(p, codec->heartbeat(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_HEARTBEAT,
            "dabbf700 0000000000000009 00000005 00000001af",
            "fastjson2 heartbeat");
    written(p, codec->notice(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_READONLY,
            "dabbb700 0000000000000009 00000006 00000002 4a52",
            "fastjson2 notice");

    f.serial = 6;
    written(p, codec->heartbeat(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_HEARTBEAT,
            "dabbe600 0000000000000009 00000005 'null'0a",
            "fastjson heartbeat");
    written(p, codec->notice(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_READONLY,
            "dabba600 0000000000000009 00000004 '\"R\"'0a",
            "fastjson notice");

    f.serial = 22;
    written(p, codec->heartbeat(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_HEARTBEAT,
            "dabbe200 0000000000000009 00000001 4e",
            "heartbeat in another serialization");
    written(p, codec->notice(codec, p, sizeof(p), &f),
            NGX_MESH_FRAME_READONLY,
            "dabba200 0000000000000009 00000002 0152",
            "notice in another serialization");

    hb = (u_char *) "\xda\xbb\xe2\x00\0\0\0\0\0\0\0\x09\0\0\0\x01N";
    (void) codec->head(codec, hb, 17, &f);
    written(p, codec->ack(codec, p, sizeof(p), hb, &f), NGX_MESH_FRAME_ACK,
            "dabb2214 0000000000000009 00000001 4e", "ack");
    ok(codec->ack(codec, p, 16, hb, &f) == 0, "ack: room");

    hb = (u_char *) "\xda\xbb\xf7\x00\0\0\0\0\0\0\0\x09\0\0\0\x05\0\0\0\1\xaf";
    (void) codec->head(codec, hb, 21, &f);
    written(p, codec->ack(codec, p, sizeof(p), hb, &f), NGX_MESH_FRAME_ACK,
            "dabb3714 0000000000000009 00000005 00000001af",
            "fastjson2 ack");

    hb = (u_char *) "\xda\xbb\xf6\x00\0\0\0\0\0\0\0\x09\0\0\0\x00";
    (void) codec->head(codec, hb, 16, &f);
    written(p, codec->ack(codec, p, sizeof(p), hb, &f), NGX_MESH_FRAME_ACK,
            "dabb3614 0000000000000009 00000000", "ack of an empty body");

    memcpy(p, request, 16);
    (void) codec->head(codec, p, 16, &f);
    codec->set_id(codec, p, &f, 0xfedcba9876543210ULL);
    n = f.id == 0xfedcba9876543210ULL;
    written(p, n * 16, NGX_MESH_FRAME_REQUEST,
            "dabbc200 fedcba9876543210 00000000", "another id");
}


static void
result(ngx_uint_t expected, const char *hex, const char *what)
{
    test_buf_t   b;
    test_call_t  call;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    test_decode(&call, &b, 0, 0);
    ok(call.rc == NGX_OK
       && codec->result(codec, call.frame, &call.f) == expected,
       "result: %s", what);
    test_drop(&call);

    test_free(&b);
}


static void
results(void)
{
    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb0214 0000000000000001 00000002 904e", "exception");
    result(NGX_MESH_RESULT_OK,
           "dabb0214 0000000000000001 00000002 914e", "value");
    result(NGX_MESH_RESULT_OK,
           "dabb0214 0000000000000001 00000001 92", "null");
    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb0214 0000000000000001 00000003 934e4e",
           "exception and attachments");
    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb0214 0000000000000001 00000005 4900000003", "wide flag");
    result(NGX_MESH_RESULT_OK,
           "dabb0214 0000000000000001 00000001 95", "null and attachments");
    result(NGX_MESH_RESULT_OK,
           "dabb0214 0000000000000001 00000000", "nothing");
    result(NGX_MESH_RESULT_OK,
           "dabb0214 0000000000000001 00000001 4e", "no flag");
    result(NGX_MESH_RESULT_ERROR,
           "dabb0246 0000000000000001 00000001 90", "error");

    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb1714 0000000000000001 00000006 00000002 bd03",
           "fastjson2 exception");
    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb1714 0000000000000001 00000005 00000001 00",
           "fastjson2 compact flag");
    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb1714 0000000000000001 00000006 00000002 3803",
           "fastjson2 flag of two bytes");
    result(NGX_MESH_RESULT_OK,
           "dabb1714 0000000000000001 00000006 00000002 bd04",
           "fastjson2 value");
    result(NGX_MESH_RESULT_OK,
           "dabb1714 0000000000000001 00000006 00000003 bd00",
           "fastjson2 longer than its frame");

    result(NGX_MESH_RESULT_EXCEPTION,
           "dabb0614 0000000000000001 00000002 '3'0a", "fastjson exception");
    result(NGX_MESH_RESULT_OK,
           "dabb0614 0000000000000001 00000002 '4'0a", "fastjson value");
    result(NGX_MESH_RESULT_OK,
           "dabb0814 0000000000000001 00000001 00", "unknown serialization");
}


static void
names(void)
{
    ngx_str_t  s;

    test_str(&s, "dubbo");
    ok(ngx_mesh_codec_find(&s) == codec && test_is((ngx_str_t *) &codec->name,
       "dubbo"), "codec by name");

    test_str(&s, "dubbos");
    ok(ngx_mesh_codec_find(&s) == NULL, "no such codec");
    test_str(&s, "");
    ok(ngx_mesh_codec_find(&s) == NULL, "codec without a name");

    test_str(&s, "Dubbo_tag");
    ok(ngx_mesh_codec_name_match(&s, (u_char *) "dubbo.TAG", 9) == NGX_OK
       && ngx_mesh_codec_name_match(&s, (u_char *) "dubbo-tag", 9) == NGX_OK
       && ngx_mesh_codec_name_match(&s, (u_char *) "dubbo_tag", 9) == NGX_OK,
       "attachment names that match");
    ok(ngx_mesh_codec_name_match(&s, (u_char *) "dubbo0tag", 9) != NGX_OK
       && ngx_mesh_codec_name_match(&s, (u_char *) "dubboZtag", 9) != NGX_OK
       && ngx_mesh_codec_name_match(&s, (u_char *) "dubbo.tags", 10) != NGX_OK
       && ngx_mesh_codec_name_match(&s, (u_char *) "dubbo.ta", 8) != NGX_OK,
       "attachment names that do not");

    test_str(&s, "a-b");
    ok(ngx_mesh_codec_name_match(&s, (u_char *) "a_b", 3) != NGX_OK,
       "only an underscore is wild");
}


int
main(int argc, char **argv)
{
    headers();
    events();
    errors();
    own();
    results();
    names();

    return test_done();
}
