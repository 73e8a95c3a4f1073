
/*
 * Copyright (C) nginx-mesh authors
 *
 * Bolt: what is found in header maps and in Hessian of both dialects.
 */


#include "test.h"

#include "ngx_mesh_bolt.h"


#define REQUEST   "com.alipay.sofa.rpc.core.request.SofaRequest"
#define RESPONSE  "com.alipay.sofa.rpc.core.response.SofaResponse"

#define WANT      (NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS)

/* beginnings of a request in both dialects, its class defined */

#define DRAFT                                                                 \
    "'O' bc '" REQUEST "' 95 0d'targetAppName' 0a'methodName'"                \
    "17'targetServiceUniqueName' 0c'requestProps' 0d'methodArgSigs' 6f 90"

#define FINAL                                                                 \
    "'C' 30 2c '" REQUEST "' 95 0d'targetAppName' 0a'methodName'"             \
    "17'targetServiceUniqueName' 0c'requestProps' 0d'methodArgSigs' 60"

#define NAMES  "08'sayHello' 0f'com.x.Hello:1.0'"


static void
request(test_buf_t *b, ngx_uint_t serial, const char *class, const char *map,
    const char *content)
{
    test_bolt(b, 1, 1, serial, class);
    test_hex(b, map);
    test_content(b);
    test_hex(b, content);
    test_close(b);
}


/* names as "interface version method app" */

static void
found(const char *name, ngx_uint_t serial, const char *class, const char *map,
    const char *content, ngx_uint_t damaged, const char *names)
{
    char               text[512];
    test_buf_t         b;
    test_call_t        call;
    ngx_mesh_facts_t  *facts;

    request(&b, serial, class, map, content);
    test_decode(&call, &b, WANT, TEST_SCRATCH);

    facts = &call.facts;

    snprintf(text, sizeof(text), "%.*s %.*s %.*s %.*s",
             (int) facts->interface.len, facts->interface.data,
             (int) facts->version.len, facts->version.data,
             (int) facts->method.len, facts->method.data,
             (int) facts->app.len, facts->app.data);

    ok(call.rc == NGX_OK && strcmp(text, names) == 0
       && facts->names == (facts->interface.len != 0)
       && facts->damaged == damaged && facts->timeout == -1
       && facts->args == NULL && facts->tried && facts->attachments,
       "%s: \"%s\"%s", name, text, facts->damaged ? ", damaged" : "");

    test_drop(&call);
    test_free(&b);
}


#define SERVICE  "00000007'service' 00000005"
#define TARGET   "00000018'sofa_head_target_service' 00000005"
#define METHOD   "00000015'sofa_head_method_name' 00000001"
#define APP      "00000003'app' 00000001"


static void
test_maps(void)
{
    found("one service", 11, REQUEST, SERVICE "'a:1.0'" METHOD "'m'", "", 0,
          "a 1.0 m ");
    found("unique id", 11, REQUEST,
          "00000007'service' 00000008'a:1.0:id'" METHOD "'m'", "", 0,
          "a 1.0:id m ");
    found("no version", 11, REQUEST, "00000007'service' 00000001'a'", "", 0,
          "a   ");
    found("target service comes first", 11, REQUEST,
          TARGET "'b:2.0'" SERVICE "'a:1.0'" APP "'p'", "", 0, "b 2.0  p");
    found("... in any order", 11, REQUEST,
          SERVICE "'a:1.0'" APP "'p'" TARGET "'b:2.0'", "", 0, "b 2.0  p");
    found("target service is empty", 11, REQUEST,
          SERVICE "'a:1.0'" "00000018'sofa_head_target_service' 00000000", "",
          0, "a 1.0  ");
    found("the last one counts", 11, REQUEST,
          TARGET "'a:1.0'" METHOD "'m'" TARGET "'b:2.0'" METHOD "'n'"
          APP "'p'" APP "'q'", "", 0, "b 2.0 n q");
    found("... unless it is null", 11, REQUEST,
          TARGET "'a:1.0'" METHOD "'m'"
          "00000018'sofa_head_target_service' ffffffff"
          "00000015'sofa_head_method_name' ffffffff"
          APP "'p' 00000003'app' ffffffff",
          "", 0, "a 1.0 m p");
    found("null as a key", 11, REQUEST,
          "ffffffff ffffffff ffffffff 00000001'x'" SERVICE "'a:1.0'", "", 0,
          "a 1.0  ");
    found("names of the same length", 11, REQUEST,
          "00000007'Service' 00000001'x' 00000003'apq' 00000001'x'"
          "00000015'sofa_head_method_namf' 00000001'x'"
          "00000018'sofa_head_target_servicf' 00000001'x'"
          SERVICE "'a:1.0'", "", 0, "a 1.0  ");
    found("no map", 11, REQUEST, "", "", 0, "   ");
    found("no map, no class", 11, "", "", "", 0, "   ");
}


static void
test_lies(void)
{
    found("key longer than the map", 11, REQUEST,
          SERVICE "'a:1.0' 00000009'app' 00000001'x'", "", 1, "a 1.0  ");
    found("value longer than the map", 11, REQUEST,
          SERVICE "'a:1.0' 00000003'app' 00000002'x'", "'x'", 1, "a 1.0  ");
    found("length -2", 11, REQUEST,
          SERVICE "'a:1.0' fffffffe'app' 00000001'x'", "", 1, "a 1.0  ");
    found("length 2^31 - 1", 11, REQUEST,
          SERVICE "'a:1.0' 00000003'app' 7fffffff'x'", "", 1, "a 1.0  ");
    found("no value", 11, REQUEST, SERVICE "'a:1.0' 00000003'app'", "", 1,
          "a 1.0  ");
    found("half a length", 11, REQUEST, SERVICE "'a:1.0' 0000", "", 1,
          "a 1.0  ");
    found("a byte", 11, REQUEST, "00", "", 1, "   ");
    found("nothing but lies", 11, REQUEST, "7fffffff'service'", "", 1, "   ");
}


static void
test_fallbacks(void)
{
    found("content", 1, REQUEST, "", DRAFT "'N'" NAMES "'NN' 02'hi'", 0,
          "com.x.Hello 1.0 sayHello ");
    found("content, codec 4", 4, REQUEST, "", DRAFT "'N'" NAMES "'NN'", 0,
          "com.x.Hello 1.0 sayHello ");
    found("content of the other dialect", 1, REQUEST, "",
          FINAL "'N'" NAMES "'NN' 02'hi'", 0, "com.x.Hello 1.0 sayHello ");
    found("content with an application", 1, REQUEST, "",
          DRAFT "03'app'" NAMES "'NN' 02'hi'", 0, "com.x.Hello 1.0 sayHello ");
    found("content of another codec", 11, REQUEST, "",
          DRAFT "'N'" NAMES "'NN'", 0, "   ");
    found("content has the method only", 1, REQUEST, TARGET "'a:2.0'",
          DRAFT "'N'" NAMES "'NN'", 0, "a 2.0 sayHello ");
    found("content has the service only", 1, REQUEST, METHOD "'m'",
          DRAFT "'N'" NAMES "'NN'", 0, "com.x.Hello 1.0 m ");
    found("content is not needed", 1, REQUEST, METHOD "'m'" TARGET "'a:2.0'",
          "'O'", 0, "a 2.0 m ");
    found("content is null", 1, REQUEST, APP "'p'", "'N'", 1, "   p");
    found("no content", 1, REQUEST, "", "", 1, "   ");
    found("content ends in a name", 1, REQUEST, "",
          DRAFT "'N' 08'sayHello' 0f'com.x'", 1, "  sayHello ");
    found("names are null", 1, REQUEST, "", DRAFT "'NNNNN'", 0, "   ");
    found("names are numbers", 1, REQUEST, "", DRAFT "'N' 91 92 'NN'", 0,
          "   ");
    found("another class", 1, "com.x.Order", "", "'O' 90", 0,
          "com.x.Order   ");
    found("another class with content that looks alike", 1, "com.x.Order", "",
          DRAFT "'N'" NAMES "'NN'", 0, "com.x.Order   ");
    found("another class, a service named", 1, "com.x.Order",
          SERVICE "'a:1.0'", "'O' 90", 0, "a 1.0  ");
}


/* values in front of the names, which have to be skipped */

static void
test_values(void)
{
    char         hex[2048], name[64];
    ngx_uint_t   i;

    static const char  *draft[] = {
        "'N'", "'T'", "'F'", "80", "bf", "c0 00", "cf ff", "d0 0000",
        "d7 ffff", "'I' 7fffffff", "d8", "ef", "f0 00", "ff ff", "38 0000",
        "3f ffff", "'L' 0102030405060708", "'w' 01020304", "67", "68", "69 01",
        "6a 0102", "6b 3f800000", "'D' 0102030405060708",
        "'d' 0102030405060708", "'J' 00", "'K' 0001", "'R' 00000001",
        "00", "02'ab'", "02 c3bc e4b8ad", "02 eda0bd edb880",
        "'S' 0002'ab'", "'s' 0001'a' 01'b'", "'s' 0001'a' 'S' 0000",
        "20", "23'abc'", "'B' 0001'a'", "'b' 0001'a' 21'b'",
        "'X' 0001'a'", "'x' 0001'a' 'X' 0001'b'",
        "'Vz'", "'V' 91 92 'z'", "'Vn' 02 91 92 'z'",
        "'Vl' 00000001 91 'z'", "'Vt' 0004'[int' 'n' 01 91 'z'",
        "'Vu' 90 'n' 01 91 'z'", "'v' 90 92 91 92", "'v' 90 90",
        "'v' 90 8f", "'Mz'", "'M' 01'k' 01'v' 91 'N' 'z'",
        "'Mt' 0001'T' 01'k' 'N' 'z'", "'r' 't' 0001'T' 01'u'",
        "'M' 'Vz' 'Vz' 'z'",
        "'O' 91'P' 92 01'a' 01'b' 'o' 91 'N' 91",
        "'O' 91'P' 90 'O' 91'Q' 91 01'a' 'o' 92 'o' 91",
        "'V' 'O' 91'P' 91 01'a' 'o' 91 91 'o' 91 92 'z'",
        "'O' 91'P' 91 01'a' 'o' 91 'J' 00",
        "'M' 'O' 91'P' 90 'o' 91 'o' 91 'z'"
    };

    static const char  *final[] = {
        "'N'", "59 01020304", "5b", "5f 000004c4", "4a 0102030405060708",
        "'R' 0001'a' 01'b'", "30 21 '0123456789abcdef0123456789abcdefx'",
        "'A' 0001'a' 21'b'", "34 01'a'", "57 91 92 'Z'", "58 92 91 92",
        "72 04'[int' 91 92", "79 91", "'H' 01'k' 01'v' 'Z'",
        "'M' 01'T' 01'k' 'N' 'Z'", "51 90",
        "'C' 01'P' 92 01'a' 01'b' 61 'N' 91",
        "'C' 01'P' 91 01'a' 'O' 91 51 90"
    };

    for (i = 0; i < sizeof(draft) / sizeof(draft[0]); i++) {
        snprintf(hex, sizeof(hex), DRAFT "%s " NAMES, draft[i]);
        snprintf(name, sizeof(name), "skips %.56s", draft[i]);
        found(name, 1, REQUEST, "", hex, 0, "com.x.Hello 1.0 sayHello ");
    }

    for (i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
        snprintf(hex, sizeof(hex), FINAL "%s " NAMES, final[i]);
        snprintf(name, sizeof(name), "skips, other dialect: %.40s", final[i]);
        found(name, 1, REQUEST, "", hex, 0, "com.x.Hello 1.0 sayHello ");
    }
}


static void
test_damage(void)
{
    char        hex[2048], name[96];
    ngx_uint_t  i;

    static const char  *tests[] = {
        "30 00", "37 00", "40", "'A' 0000", "'C'", "'E'", "'H'", "'P'", "'Q'",
        "'Z'", "'z'", "60", "66", "'n' 00", "'t' 0000", "7f",
        "02 ff 61", "02 f0 9f 98 80", "01 80",
        "'s' 0001'a' 'N'", "'b' 0001'a' 01'b'",
        "'v' 90 'I' 7fffffff", "'v' 'N' 90", "'v' 01'T' 90", "'M' 91 'z'",
        "'o' 91", "'o' 8f", "'o' 'N'",
        "'O' 8f", "'O' 01'P' 90", "'O' 91'P' 8f", "'O' 91'P' 'I' 7fffffff",
        "'O' 91'P' 91 'N' 'o' 91", "'Vt' ffff", "'Vn'", "'Vl' 0000",
        "'I' 000000", "'L' 00", "'S' ffff'a'", "'B' ffff'a'", "'r' 'N' 90"
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(hex, sizeof(hex), DRAFT "%s", tests[i]);
        snprintf(name, sizeof(name), "damage %.80s", tests[i]);
        found(name, 1, REQUEST, "", hex, 1, "   ");
    }

    found("damage: class defined twice", 1, REQUEST, "",
          "'O' 91'P' 90" DRAFT, 1, "   ");
    found("damage: no object", 1, REQUEST, "", "'O' 91'P' 90 'N'", 1, "   ");
    found("damage: object of another class", 1, REQUEST, "",
          "'O' 91'P' 91 0a'methodName' 'o' 91 01'm'", 1, "   ");
    found("damage: no object, other dialect", 1, REQUEST, "",
          "'C' 01'P' 90 'N'", 1, "   ");
    found("damage: too many fields, other dialect", 1, REQUEST, "",
          "'C' 01'P' 'I' 7fffffff 60", 1, "   ");
    found("damage: -1 fields, other dialect", 1, REQUEST, "",
          "'C' 01'P' 8f 60", 1, "   ");
}


/* containers in containers up to the limit, and any number of the last ones */

static void
test_depth(void)
{
    size_t       n;
    ngx_uint_t   i;
    test_buf_t   b;
    test_call_t  call;

    static const struct {
        const char  *open, *close;
        size_t       n;
        int          good;
    } tests[] = {
        { "'V'", "'z'", NGX_MESH_SERIAL_DEPTH, 1 },
        { "'V'", "'z'", NGX_MESH_SERIAL_DEPTH + 2, 0 },
        { "'V'", "'z'", 100000, 0 },
        { "'M' 91", "'z'", NGX_MESH_SERIAL_DEPTH, 1 },
        { "'M' 91", "'z'", 100000, 0 },
        { "'v' 90 91", "", 100000, 1 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        test_bolt(&b, 1, 1, 1, REQUEST);
        test_hex(&b, DRAFT);

        for (n = 0; n < tests[i].n; n++) {
            test_hex(&b, tests[i].open);
        }

        test_hex(&b, "'N'");

        for (n = 0; n < tests[i].n; n++) {
            test_hex(&b, tests[i].close);
        }

        test_hex(&b, NAMES);
        test_close(&b);

        test_decode(&call, &b, WANT, TEST_SCRATCH);

        ok(call.facts.damaged == !tests[i].good
           && call.facts.method.len == (tests[i].good ? 8 : 0),
           "%lu times %s", (unsigned long) tests[i].n, tests[i].open);

        test_drop(&call);
        test_free(&b);
    }
}


/* the room for strings in pieces and for classes is what it is */

static void
test_scratch(void)
{
    int          wrong;
    size_t       room;
    test_buf_t   b;
    test_call_t  call;

    request(&b, 1, REQUEST, "",
            DRAFT "'O' 91'P' 90 'o' 91 04 eda0bd edb880 'ab'"
            "0f'com.x.Hello:1.0' 'NN'");

    wrong = 0;

    for (room = 0; room < 64; room++) {
        test_decode(&call, &b, WANT, room);

        wrong += (room >= 24
                  && (!test_is(&call.facts.method, "\xf0\x9f\x98\x80" "ab")
                      || !test_is(&call.facts.interface, "com.x.Hello")))
                 || (room < 8 && !call.facts.damaged)
                 || (call.facts.method.len != 0 && call.facts.method.len != 6);

        test_drop(&call);
    }

    ok(wrong == 0, "room for strings and classes");

    test_free(&b);
}


static void
test_headers(void)
{
    test_buf_t   b;
    ngx_str_t    value;
    test_call_t  call;

    test_bolt(&b, 3, 1, 11, REQUEST);
    test_pair(&b, "service", "a:1.0");
    test_pair(&b, "rpc_trace_context.sofaTraceId", "c000");
    test_pair(&b, "empty", "");
    test_pair(&b, "none", NULL);
    test_pair(&b, NULL, "none");
    test_pair(&b, "twice", "1");
    test_pair(&b, "Twice", "2");
    test_pair(&b, "kept", "1");
    test_pair(&b, "kept", NULL);
    test_content(&b);
    test_hex(&b, "00000001'x' 00000001'y'");
    test_close(&b);

    test_decode(&call, &b, WANT, 0);

    ok(call.f.bad == 0 && !call.facts.damaged, "headers: read");
    ok(test_attachment_is(&call, "rpc_trace_context_sofatraceid", "c000"),
       "headers: any case, \"_\" for other characters");
    ok(test_attachment_is(&call, "rpc_trace_context.sofaTraceId", "c000"),
       "headers: as they are written");
    ok(test_attachment_is(&call, "empty", ""), "headers: empty");
    ok(test_attachment(&call, "none", &value) == NGX_DECLINED,
       "headers: null");
    ok(test_attachment_is(&call, "twice", "2"), "headers: the last one");
    ok(test_attachment_is(&call, "kept", "1"),
       "headers: the last one that is not null");
    ok(test_attachment(&call, "x", &value) == NGX_DECLINED,
       "headers: content is none");
    ok(test_attachment(&call, "serv", &value) == NGX_DECLINED,
       "headers: whole names");

    test_drop(&call);
    test_free(&b);

    /* what comes before damage stays */

    request(&b, 11, REQUEST, "00000001'a' 00000001'b' 00000001'c' 00000009'd'",
            "'eeeeeeeee'");
    test_decode(&call, &b, WANT, 0);

    ok(call.facts.damaged && test_attachment_is(&call, "a", "b")
       && test_attachment(&call, "c", &value) == NGX_DECLINED,
       "headers: those before the damage");

    test_drop(&call);
    test_free(&b);
}


#define ERROR  "00000018'sofa_head_response_error' 00000004'true'"

#define ANSWER                                                                \
    "94 07'isError' 08'errorMsg' 0b'appResponse' 0d'responseProps'"


static void
test_results(void)
{
    ngx_uint_t   i;
    test_buf_t   b;
    test_call_t  call;

    static const char  draft[] = "'O' be '" RESPONSE "'" ANSWER "6f 90";
    static const char  final[] = "'C' 30 2e '" RESPONSE "'" ANSWER "60";

#define X  NGX_MESH_RESULT_EXCEPTION
#define E  NGX_MESH_RESULT_ERROR
    static const struct {
        const char  *name, *map, *object, *values;
        int          serial, result;
    } tests[] = {
        { "ok", "", draft, "'F' 'N' 01'v' 'N'", 1, NGX_MESH_RESULT_OK },
        { "no header", "", draft, "'T' 02'no' 'N' 'N'", 1,
          NGX_MESH_RESULT_OK },
        { "false", "00000018'sofa_head_response_error' 00000005'false'",
          draft, "'T' 02'no' 'N' 'N'", 1, NGX_MESH_RESULT_OK },
        { "null behind it",
          ERROR "00000018'sofa_head_response_error' ffffffff", draft,
          "'F' 'N' 'N' 'N'", 1, X },
        { "error", ERROR, draft, "'T' 02'no' 'N' 'N'", 1, E },
        { "error, codec 4", ERROR, draft, "'T' 02'no' 'N' 'N'", 4, E },
        { "exception", ERROR, draft, "'F' 'N' 'O' 91'E' 90 'o' 91 'N'", 1,
          X },
        { "error, other dialect", ERROR, final, "'T' 02'no' 'N' 'N'", 1, E },
        { "exception, other dialect", ERROR, final, "'F' 'N' 'N' 'N'", 1, X },
        { "another codec", ERROR, draft, "'T' 02'no' 'N' 'N'", 11, X },
        { "no content", ERROR, "", "", 1, X },
        { "damaged", ERROR, draft, "", 1, X }
    };
#undef X
#undef E

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        test_bolt(&b, 1, 0, (ngx_uint_t) tests[i].serial, RESPONSE);
        test_hex(&b, tests[i].map);
        test_content(&b);
        test_hex(&b, tests[i].object);
        test_hex(&b, tests[i].values);
        test_close(&b);

        test_decode(&call, &b, 0, 0);

        ok((int) test_codec->result(test_codec, call.frame, &call.f)
           == tests[i].result,
           "result: %s", tests[i].name);

        test_drop(&call);
        test_free(&b);
    }
}


/* the dialect is remembered for an answer, and never forwarded */

static void
test_dialect(void)
{
    test_buf_t   b;
    test_call_t  call;

    request(&b, 1, REQUEST, SERVICE "'a:1.0'" METHOD "'m'", FINAL);
    test_decode(&call, &b, WANT, 0);
    ok(call.f.serial == (NGX_MESH_BOLT_HESSIAN | NGX_MESH_BOLT_FINAL)
       && call.frame[9] == 1,
       "dialect: of sofa-hessian 4");
    test_drop(&call);
    test_free(&b);

    request(&b, 1, REQUEST, SERVICE "'a:1.0'" METHOD "'m'", DRAFT);
    test_decode(&call, &b, WANT, 0);
    ok(call.f.serial == 1, "dialect: of sofa-hessian 3");
    test_drop(&call);
    test_free(&b);

    request(&b, 11, REQUEST, SERVICE "'a:1.0'" METHOD "'m'", FINAL);
    test_decode(&call, &b, WANT, 0);
    ok(call.f.serial == 11, "dialect: of Hessian only");
    test_drop(&call);
    test_free(&b);
}


int
main(void)
{
    test_codec = &ngx_mesh_bolt_codec;

    test_maps();
    test_lies();
    test_fallbacks();
    test_values();
    test_damage();
    test_depth();
    test_scratch();
    test_headers();
    test_results();
    test_dialect();

    return test_done();
}
