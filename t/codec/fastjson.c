
/*
 * Copyright (C) nginx-mesh authors
 *
 * The two serializations of fastjson: documents of JSONB behind their
 * lengths, and lines of JSON.
 */


#include "test.h"


#define ALL  (NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS                 \
              | NGX_MESH_WANT_FORCED)


/* a document of JSONB */

static void
document(test_buf_t *b, const char *hex)
{
    size_t  pos, n;

    pos = b->len;
    test_byte(b, 0, 4);
    test_hex(b, hex);

    n = b->len - pos - 4;
    b->data[pos + 1] = (u_char) (n >> 16);
    b->data[pos + 2] = (u_char) (n >> 8);
    b->data[pos + 3] = (u_char) n;
}


/* a value of the key "k", with others before and after it */

static void
attachment(const char *value, const char *expected, const char *what)
{
    char         map[1024];
    ngx_str_t    s;
    test_buf_t   b;
    test_call_t  call;

    snprintf(map, sizeof(map), "a6 4a'a' af 4a'k' %s 4d'last' 4a'x' a5",
             value);

    test_request(&b, 23, "");
    document(&b, map);
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);

    if (expected) {
        ok(test_attachment_is(&call, "K", expected)
           && test_attachment_is(&call, "last", "x"),
           "JSONB: %s", what);

    } else {
        ok(test_attachment(&call, "k", &s) == NGX_DECLINED
           && test_attachment_is(&call, "last", "x"),
           "JSONB: %s", what);
    }

    ok(call.facts.attachments && !call.facts.damaged
       && test_attachment(&call, "nope", &s) == NGX_DECLINED,
       "JSONB: %s, and no other", what);

    test_drop(&call);
    test_free(&b);
}


static void
values(void)
{
    attachment("49", "", "empty string");
    attachment("4b'hi'", "hi", "short string");
    attachment("79 02'hi'", "hi", "string");
    attachment("79 3802'hi'", "hi", "string, length of two bytes");
    attachment("79 440002'hi'", "hi", "string, length of three bytes");
    attachment("79 4800000002'hi'", "hi", "string, length of five bytes");
    attachment("79 02 'h'e9", "h\xc3\xa9", "ISO 8859-1");
    attachment("4b 'h'e9", "h\xc3\xa9", "ISO 8859-1, short");
    attachment("7a 03 'h'c3a9", "h\xc3\xa9", "UTF-8");
    attachment("7a 04 f09f9880", "\xf0\x9f\x98\x80", "UTF-8, four bytes");
    attachment("7b 06 feff 0068 4f60", "h\xe4\xbd\xa0", "UTF-16 and a mark");
    attachment("7b 06 fffe 6800 604f", "h\xe4\xbd\xa0",
               "UTF-16 and the other mark");
    attachment("7b 04 0068 4f60", "h\xe4\xbd\xa0", "UTF-16 without a mark");
    attachment("7c 04 6800 604f", "h\xe4\xbd\xa0", "UTF-16LE");
    attachment("7d 04 0068 4f60", "h\xe4\xbd\xa0", "UTF-16BE");
    attachment("7d 04 d83d de00", "\xf0\x9f\x98\x80", "UTF-16, a pair");
    attachment("7d 06 d83d 0061 de00", "?a?", "UTF-16, halves of pairs");
    attachment("7d 02 d83d", "?", "UTF-16, half a pair");
    attachment("7d 03 0061 62", "a", "UTF-16, an odd number of bytes");
    attachment("7e 02 c4e3", "", "GB 18030");

    attachment("af", NULL, "null");
    attachment("b0", "false", "false");
    attachment("b1", "true", "true");
    attachment("00", "0", "int 0");
    attachment("2f", "47", "int of one byte, the greatest");
    attachment("f0", "-16", "int of one byte, the least");
    attachment("ff", "-1", "int -1");
    attachment("3000", "-2048", "int of two bytes, the least");
    attachment("3fff", "2047", "int of two bytes, the greatest");
    attachment("400000", "-262144", "int of three bytes, the least");
    attachment("47ffff", "262143", "int of three bytes, the greatest");
    attachment("4880000000", "-2147483648", "the least int");
    attachment("bd80", "-128", "byte");
    attachment("bcfffe", "-2", "short");
    attachment("d8", "-8", "long of one byte, the least");
    attachment("ef", "15", "long of one byte, the greatest");
    attachment("c800", "-2048", "long of two bytes, the least");
    attachment("d7ff", "2047", "long of two bytes, the greatest");
    attachment("c00000", "-262144", "long of three bytes, the least");
    attachment("c7ffff", "262143", "long of three bytes, the greatest");
    attachment("bfffffffff", "-1", "long of an int");
    attachment("be8000000000000000", "-9223372036854775808",
               "the least long");
    attachment("b2", "0", "double 0");
    attachment("b3", "1", "double 1");
    attachment("b5400c000000000000", "3.5", "double");

    attachment("b4 d9", NULL, "double of a long");
    attachment("b6 01", NULL, "float of an int");
    attachment("b7 3fa00000", NULL, "float");
    attachment("b8 d9", NULL, "decimal of a long");
    attachment("b9 02 bb 02 0102", NULL, "decimal");
    attachment("b9 02 4801020304", NULL, "decimal of an int");
    attachment("ba be0102030405060708", NULL, "big integer of a long");
    attachment("bb 03 010203", NULL, "big integer");
    attachment("90 3841", NULL, "char");
    attachment("91 3803 010203", NULL, "binary");
    attachment("93 4b'$.'", NULL, "reference");
    attachment("a7 010203 00", NULL, "time");
    attachment("a8 07e80101010203 4801020304", NULL, "date and time");
    attachment("a9 07e80101", NULL, "date");
    attachment("aa 07e80101010203 00 4c'UTC'", NULL, "date, time and zone");
    attachment("ab 0000018bcfe56800", NULL, "milliseconds");
    attachment("ac 01020304", NULL, "seconds");
    attachment("ad 01020304", NULL, "minutes");
    attachment("ae be0102030405060708 01", NULL, "timestamp");
    attachment("7f 4a'k' 01", NULL, "string that gets a number");
    attachment("7f 01", NULL, "string by its number");

    attachment("94", NULL, "empty array");
    attachment("96 4a'k' 4a'v'", NULL, "array");
    attachment("a4 3802 4a'k' 4a'v'", NULL, "longer array");
    attachment("a3 00000000000000000000000000 0000", NULL, "array of fifteen");
    attachment("a6 a5", NULL, "empty object");
    attachment("a6 4a'k' 4a'v' a5", NULL, "object");
    attachment("a6 7f4a'k'01 4a'v' 7f01 95 4a'v' a5", NULL,
               "object with numbered names");
    attachment("a6 01 4a'v' af 4a'w' a6 a5 94 a5", NULL,
               "keys: int, null, object");
    attachment("92 4d'type' 00 a6 4a'k' 4a'v' a5", NULL, "typed object");
    attachment("95 92 00 a6 4a'k' 93 4a'$' a5", NULL,
               "object of an earlier type");
    attachment("92 7f 4d'type' 00 a6 a5", NULL, "type as a numbered name");
    attachment("92 7f 00 a6 a5", NULL, "type as a numbered name again");
    attachment("92 50'[string' 00 95 4a'k'", NULL, "typed array");
}


/* a map that is no map */

static void
broken(const char *map, int damaged, const char *what)
{
    ngx_str_t    s;
    test_buf_t   b;
    test_call_t  call;

    test_request(&b, 23, "");
    document(&b, map);
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);

    ok(call.facts.names && call.facts.damaged == (unsigned) damaged
       && call.facts.tried
       && test_attachment(&call, "k", &s) == NGX_DECLINED,
       "JSONB: %s", what);

    test_drop(&call);
    test_free(&b);
}


static void
damage(void)
{
    size_t       n;
    test_buf_t   b;
    test_call_t  call;

    broken("af", 0, "null for a map");
    broken("a6 a5", 0, "empty map");
    broken("a6 4a'b' 4a'v' a5 ff", 0, "more than a map");
    broken("a6 4a'b' 4a'v'", 1, "a map without its end");
    broken("a6 4a'k'", 1, "a key without a value");
    broken("a6 4a'k' a5", 1, "half a pair");
    broken("a6", 1, "nothing but the beginning");
    broken("94", 1, "an array for a map");
    broken("92", 1, "a type for a map");
    broken("92 4a'T' 00", 1, "a type of nothing");
    broken("a6 4b'k'", 1, "a key cut short");
    broken("a6 4a'k' a4 48 7fffffff a5", 1, "a huge count");
    broken("a6 4a'k' a4 48 ffffffff a5", 1, "a negative count");
    broken("a6 4a'k' 79 48 7fffffff a5", 1, "a huge string");
    broken("a6 4a'k' 79 ff a5", 1, "a negative string");
    broken("a6 4a'k' 79 b0 a5", 1, "a string of length false");
    broken("a6 4a'k' 91 48 7fffffff a5", 1, "a huge binary");
    broken("a6 4a'k' be 01", 1, "a long cut short");
    broken("a6 4a'k' 97 01", 1, "an array cut short");
    broken("a6 4a'k' b4 b4 b4", 1, "a double of a double of a double");
    broken("a6 4a'k' 7f", 1, "a number of nothing");

    /* many containers in each other */

    for (n = 0; n < 3; n++) {
        test_request(&b, 23, "");
        test_byte(&b, 0, 1);
        test_byte(&b, 0x10, 1);
        test_byte(&b, 0, 2);
        test_hex(&b, "a6 4a'k'");
        test_byte(&b, n == 0 ? 0xa6 : n == 1 ? 0x95 : 0x96, 0x100000 - 3);
        test_hex(&b, "a5");
        test_close(&b);

        test_decode(&call, &b, ALL, TEST_SCRATCH);
        ok(call.facts.damaged, "JSONB: deep %s",
           n == 0 ? "objects" : n == 1 ? "arrays of one" : "arrays");
        test_drop(&call);
        test_free(&b);
    }
}


static void
frames(void)
{
    test_buf_t   b;
    test_call_t  call;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, "dabbd700 0000000000000001 00000000");
    document(&b, "4e'2.0.2'");
    document(&b, "7d 06 0061 002e 0042");
    document(&b, "4e'0.0.0'");
    document(&b, "50'$invoke'");
    document(&b, "79 3838 'Ljava/lang/String;[Ljava/lang/String;"
                 "[Ljava/lang/Object;'");
    document(&b, "51'sayHello'");
    document(&b, "92 50'[string' 00 94");
    document(&b, "94");
    document(&b, "92 4b'LM' 00 a6 4e'group' 4a'g' 50'timeout' 3bb8"
                 "4c'_TO' be0000000000000046 54'application' 4c'app'"
                 "7f 54'application' 00 4a'x' a5");
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(call.facts.names && call.facts.generic && call.facts.attachments
       && !call.facts.damaged && call.facts.nargs == 3
       && test_is(&call.facts.interface, "a.B")
       && test_is(&call.facts.version, "")
       && test_is(&call.facts.method, "sayHello")
       && test_is(&call.facts.group, "g")
       && test_is(&call.facts.app, "app")
       && call.facts.timeout == 70, "JSONB: generic call");
    ok(test_attachment_is(&call, "_to", "70")
       && test_attachment_is(&call, "application", "x"),
       "JSONB: attachments of a generic call");
    test_drop(&call);

    /* without scratch memory the name that is UTF-16 is absent */

    test_decode(&call, &b, ALL, 0);
    ok(!call.facts.names && !call.facts.damaged
       && call.facts.interface.len == 0
       && test_is(&call.facts.method, "sayHello"), "JSONB: no scratch memory");
    test_drop(&call);
    test_free(&b);

    /* keys are compared as they stand in the frame */

    test_request(&b, 23, "");
    document(&b, "a6 7c 02 6b00 4a'a' 7f 4b'kk' 01 4a'b' 7f 01 4a'c'"
                 "79 02'nn' 4a'd' 01 4a'e' 94 4a'f' 4a'z' 4a'g' a5");
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(!call.facts.damaged && !test_attachment_is(&call, "k", "a")
       && test_attachment_is(&call, "kk", "b")
       && test_attachment_is(&call, "nn", "d")
       && test_attachment_is(&call, "z", "g"), "JSONB: keys");
    test_drop(&call);
    test_free(&b);

    /* documents carry lengths, so that long arguments cost nothing */

    test_request(&b, 23, "[B");
    test_hex(&b, "00002006 91 4800002000");
    test_byte(&b, 0xff, 0x2000);
    document(&b, "a6 4e'group' 4a'g' a5");
    test_close(&b);

    test_decode(&call, &b, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS,
                TEST_SCRATCH);
    ok(test_is(&call.facts.group, "g"), "JSONB: no budget");
    test_drop(&call);
    test_free(&b);

    /* an argument's length beyond the frame */

    test_request(&b, 23, "I");
    test_hex(&b, "7fffffff 01");
    test_close(&b);
    test_decode(&call, &b, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS,
                TEST_SCRATCH);
    ok(call.facts.names && call.facts.damaged, "JSONB: a huge document");
    test_drop(&call);
    test_free(&b);

    test_request(&b, 23, "I");
    test_hex(&b, "00000000 00000000 00000000");
    test_close(&b);
    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(call.facts.names && call.facts.damaged, "JSONB: an empty document");
    test_drop(&call);
    test_free(&b);

    test_request(&b, 23, "I");
    document(&b, "01");
    test_close(&b);
    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(call.facts.names && !call.facts.damaged && !call.facts.attachments,
       "JSONB: no attachments");
    test_drop(&call);
    test_free(&b);
}


/* lines of JSON */

static void
json(const char *descriptor, const char *lines, int found, const char *expected,
    const char *what)
{
    ngx_str_t    s;
    test_buf_t   b;
    test_call_t  call;

    test_request(&b, 6, descriptor);
    test_bytes(&b, lines, strlen(lines));
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);

    ok(call.facts.names && test_is(&call.facts.interface, "com.x.Hello")
       && test_is(&call.facts.version, "1.0")
       && test_is(&call.facts.method, "sayHello")
       && (int) call.facts.attachments == found
       && (expected ? test_attachment_is(&call, "k", expected)
                    : test_attachment(&call, "k", &s) == NGX_DECLINED),
       "JSON: %s", what);

    test_drop(&call);
    test_free(&b);
}


static void
lines(void)
{
    test_buf_t   b;
    test_call_t  call;

    json("", "{\"k\":\"v\"}\n", 1, "v", "one attachment");
    json("", "{\"k\":\"v\"}\r\n", 1, "v", "CR LF");
    json("", "{\"k\":\"v\"}", 1, "v", "no line end");
    json("", " { \"a\" : 1 , \"k\" : \"v\" } \n", 1, "v", "spaces");
    json("", "{\"k\":12}\n", 1, "12", "number");
    json("", "{\"k\":-1.5e3,\"a\":1}\n", 1, "-1.5e3", "another number");
    json("", "{\"k\":true}\n", 1, "true", "true");
    json("", "{\"k\":null}\n", 1, NULL, "null");
    json("", "{\"k\":{\"a\":[1,\"}\"]},\"b\":1}\n", 1, NULL, "object");
    json("", "{\"a\":{\"b\":[1,\"}\\\"\"]},\"k\":\"v\"}\n", 1, "v",
         "object before it");
    json("", "{\"k\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"}\n", 1,
         "a\"\\/\b\f\n\r\t", "escapes");
    json("", "{\"k\":\"\\u0041\\u00e9\\u4f60\\ud83d\\ude00\"}\n", 1,
         "A\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80", "Unicode escapes");
    json("", "{\"k\":\"\\ud83d\\uzzzz\\x\\u12\"}\n", 1, "??zzzz??12",
         "bad escapes");
    json("", "{\"\\u006b\":\"v\"}\n", 1, NULL, "escaped key");
    json("II", "1\n2\n{\"k\":\"v\"}\n", 1, "v", "two arguments");
    json("Ljava/lang/String;", "\"{\\n}\"\n{\"k\":\"v\"}\n", 1, "v",
         "a string argument");
    json("II", "1\n", 0, NULL, "too few arguments");
    json("", "", 0, NULL, "nothing");
    json("", "null\n", 1, NULL, "null for a map");
    json("", "[]\n", 0, NULL, "an array for a map");
    json("", "{\"k\"}\n", 1, NULL, "a key without a value");
    json("", "{\"k\":\n", 1, NULL, "a value cut short");
    json("", "{\"k\":\"v\n", 1, NULL, "a string cut short");
    json("", "{\"k\":\"v\\", 1, NULL, "an escape cut short");
    json("", "{k:1}\n", 1, NULL, "a key without quotation marks");
    json("", "{\"k\":}\n", 1, NULL, "no value");

    test_request(&b, 6, "");
    test_bytes(&b, "{\"k\":\"a\\nb\",\"z\":\"c\"}\n", 22);
    test_close(&b);
    test_decode(&call, &b, ALL, 3);
    ok(test_attachment_is(&call, "k", "")
       && test_attachment_is(&call, "z", "c"), "JSON: no room for escapes");
    test_drop(&call);
    test_free(&b);

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, "dabbc600 0000000000000001 00000000");
    test_hex(&b, "'\"2.0.2\"'0d0a '\"a.B\"'0d0a 'null'0d0a '\"$invoke\"'0d0a"
                 "'\"Ljava/lang/String;[Ljava/lang/String;"
                 "[Ljava/lang/Object;\"'0d0a '\"m\\u0041\"'0d0a '[]'0d0a"
                 "'[1,2]'0d0a"
                 "'{\"timeout\":\"300\",\"group\":\"g\",\"_TO\":70}'0d0a");
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(call.facts.names && call.facts.generic && !call.facts.damaged
       && test_is(&call.facts.interface, "a.B")
       && test_is(&call.facts.version, "")
       && test_is(&call.facts.method, "mA")
       && test_is(&call.facts.group, "g")
       && call.facts.timeout == 70, "JSON: generic call");
    test_drop(&call);
    test_free(&b);
}


int
main(int argc, char **argv)
{
    values();
    damage();
    frames();
    lines();

    return test_done();
}
