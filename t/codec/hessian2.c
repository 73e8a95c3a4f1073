
/*
 * Copyright (C) nginx-mesh authors
 *
 * Hessian 2: every kind of value is skipped to its last byte, and no body,
 * however it was made, is read beyond its end.
 */


#include "test.h"


#define ALL  (NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS                 \
              | NGX_MESH_WANT_FORCED)

#define SOUND     0
#define DAMAGED   1
#define NONE      2     /* nothing wrong, but no attachments */


/* one argument between the names and the attachments */

static void
argument_bytes(ngx_uint_t expected, test_buf_t *arg, size_t scratch,
    const char *what)
{
    int          found;
    test_buf_t   b;
    test_call_t  call;

    test_request(&b, 2, "Ljava/lang/Object;");
    test_bytes(&b, arg->data, arg->len);
    test_hex(&b, "'H' 03'key' 05'value' 'Z'");
    test_close(&b);

    test_decode(&call, &b, ALL, scratch);

    found = test_attachment_is(&call, "key", "value");

    ok(call.facts.names && test_is(&call.facts.method, "sayHello")
       && found == (expected == SOUND)
       && call.facts.damaged == (expected == DAMAGED),
       "%s", what);

    test_drop(&call);
    test_free(&b);
}


static void
argument(ngx_uint_t expected, const char *hex, const char *what)
{
    test_buf_t  b;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);

    argument_bytes(expected, &b, TEST_SCRATCH, what);

    test_free(&b);
}


static void
plain(void)
{
    argument(SOUND, "4e", "null");
    argument(SOUND, "54", "true");
    argument(SOUND, "46", "false");
    argument(SOUND, "80", "int of one byte, the least");
    argument(SOUND, "bf", "int of one byte, the greatest");
    argument(SOUND, "c0ff", "int of two bytes");
    argument(SOUND, "cf00", "int of two bytes, the greatest tag");
    argument(SOUND, "d0ffff", "int of three bytes");
    argument(SOUND, "d70000", "int of three bytes, the greatest tag");
    argument(SOUND, "4980000000", "int");
    argument(SOUND, "d8", "long of one byte, the least");
    argument(SOUND, "ef", "long of one byte, the greatest");
    argument(SOUND, "f0ff", "long of two bytes");
    argument(SOUND, "ff00", "long of two bytes, the greatest tag");
    argument(SOUND, "38ffff", "long of three bytes");
    argument(SOUND, "3f0000", "long of three bytes, the greatest tag");
    argument(SOUND, "5980000000", "long of an int");
    argument(SOUND, "4c 8000000000000000", "long");
    argument(SOUND, "5b", "double 0");
    argument(SOUND, "5c", "double 1");
    argument(SOUND, "5d80", "double of a byte");
    argument(SOUND, "5e8000", "double of a short");
    argument(SOUND, "5f000004c4", "double of thousandths");
    argument(SOUND, "44 400c000000000000", "double");
    argument(SOUND, "4a 0000018bcfe56800", "date, milliseconds");
    argument(SOUND, "4b 01b7740c", "date, minutes");
    argument(SOUND, "5190", "reference");
    argument(SOUND, "51c900", "reference of two bytes");

    argument(DAMAGED, "40", "unassigned 40");
    argument(DAMAGED, "45", "unassigned 45");
    argument(DAMAGED, "47", "unassigned 47");
    argument(DAMAGED, "50", "unassigned 50");
    argument(DAMAGED, "5a", "an end of nothing");
    argument(DAMAGED, "514e", "reference to null");
}


static void
strings(void)
{
    char        what[64];
    size_t      n;
    test_buf_t  b;

    argument(SOUND, "00", "empty string");
    argument(SOUND, "02'hi'", "short string");
    argument(SOUND, "3002'hi'", "string of two bytes' length");
    argument(SOUND, "530002'hi'", "string of three bytes' length");
    argument(SOUND, "520001'h' 520001'i' 00", "string in pieces");
    argument(SOUND, "520001'h' 01'i'", "pieces, a short one last");
    argument(SOUND, "520001'h' 3001'i'", "pieces, a middling one last");
    argument(SOUND, "520001'h' 530001'i'", "pieces, a long one last");
    argument(SOUND, "520000 520000 530000", "empty pieces");
    argument(DAMAGED, "01 c3", "string that ends within a character");
    argument(DAMAGED, "520001'h' 4e", "pieces that end with null");
    argument(DAMAGED, "520001'h' 21'i'", "pieces that end with binary");

    argument(SOUND, "02 c3a9 c3a9", "two bytes a character");
    argument(SOUND, "02 e4bda0 e5a5bd", "three bytes a character");
    argument(SOUND, "02 eda0bd edb880", "a pair of surrogates");
    argument(SOUND, "520001 eda0bd 01 edb880", "a pair in two pieces");
    argument(SOUND, "01 edb880", "half a pair");
    argument(DAMAGED, "02 f09f9880", "four bytes a character");
    argument(DAMAGED, "01 80", "the inside of a character");
    argument(DAMAGED, "01 ff", "a byte of no character");
    argument(SOUND, "12 'abcdefghijklmnop' c3a9 'q'", "ASCII, then not");
    argument(SOUND, "0a c3a9 'bcdefghij'", "not, then ASCII");

    /* every length around the steps of eight, and the character that is not
       ASCII at every place */

    for (n = 1; n < 28; n++) {
        memset(&b, 0, sizeof(test_buf_t));
        test_byte(&b, (int) n, 1);
        test_byte(&b, 'a', n - 1);
        test_hex(&b, "e4bda0");
        sprintf(what, "the character %u is not ASCII", (unsigned) n);
        argument_bytes(SOUND, &b, TEST_SCRATCH, what);
        test_free(&b);
    }

    argument(SOUND, "20", "empty binary");
    argument(SOUND, "22ffff", "short binary");
    argument(SOUND, "3402ffff", "binary of two bytes' length");
    argument(SOUND, "420002ffff", "binary of three bytes' length");
    argument(SOUND, "410001ff 410000 21ff", "binary in pieces");
    argument(SOUND, "410001ff 3401ff", "binary, a middling piece last");
    argument(SOUND, "410001ff 420001ff", "binary, a long piece last");
    argument(DAMAGED, "410001ff 01'i'", "binary that ends with a string");
    argument(DAMAGED, "42ffff", "binary longer than the body");
    argument(DAMAGED, "53ffff", "string longer than the body");
}


static void
containers(void)
{
    argument(SOUND, "'H' 'Z'", "empty map");
    argument(SOUND, "'H' 01'a' 91 01'b' 92 'Z'", "map");
    argument(SOUND, "'M' 13'java.util.SortedMap' 01'a' 91 'Z'", "typed map");
    argument(SOUND, "'M' 03'a.B' 'Z'", "typed empty map");
    argument(DAMAGED, "'H' 01'a' 'Z'", "map with half a pair");
    argument(SOUND, "'H' 4e 91 5190 92 91 93 'H' 'Z' 94 'Z'",
             "keys: null, reference, int, map");
    argument(SOUND, "'H' 'C' 03'a.B' 91 01'x' 60 95 4e 'Z'",
             "key: an object");
    argument(SOUND, "'H' 57 91 'Z' 57 92 'Z' 'Z'", "key and value: lists");

    argument(SOUND, "'U' 07'[string' 01'a' 01'b' 'Z'", "typed list");
    argument(SOUND, "'W' 01'a' 01'b' 'Z'", "list");
    argument(SOUND, "'W' 'Z'", "empty list");
    argument(SOUND, "'V' 07'[string' 92 01'a' 01'b'", "typed list, counted");
    argument(SOUND, "'X' 92 01'a' 01'b'", "list, counted");
    argument(SOUND, "72 07'[string' 01'a' 01'b'", "typed list, short");
    argument(SOUND, "7a 01'a' 01'b'", "list, short");
    argument(SOUND, "70 07'[string'", "typed list, short and empty");
    argument(SOUND, "7a 71 04'[int' 91 71 90 92", "type of an earlier list");
    argument(SOUND, "7a 'V' 04'[int' 91 91 'V' 90 91 92",
             "type of an earlier list, counted");
    argument(SOUND, "78", "list, short and empty");
    argument(SOUND, "77 01'a' 91 92 93 94 95 96 97", "seven values, typed");
    argument(SOUND, "7f 91 92 93 94 95 96 97", "seven values");
    argument(SOUND, "'U' 520001'[' 01'a' 'Z'", "type in pieces");
    argument(DAMAGED, "'V' 4e 90", "type: null");
    argument(DAMAGED, "'X' 4e", "count: null");
    argument(SOUND, "'X' d40001 91", "count of three bytes");
    argument(SOUND, "'X' c801 91", "count of two bytes");

    argument(DAMAGED, "'X' 49 7fffffff", "a huge count");
    argument(SOUND, "'X' 49 ffffffff", "a negative count is none");
    argument(DAMAGED, "'V' 04'[int' 49 7fffffff", "a huge array");
    argument(DAMAGED, "'W' 91", "list without its end");

    argument(SOUND, "'C' 03'a.B' 92 01'x' 01'y' 60 91 92", "object");
    argument(SOUND, "'C' 03'a.B' 92 01'x' 01'y' 'O' 90 91 92",
             "object, long form");
    argument(SOUND, "'C' 03'a.B' 90 60", "class without fields");
    argument(SOUND, "'C' 03'a.B' 90 'C' 03'a.C' 91 01'x' 61 60",
             "two definitions in a row");
    argument(SOUND, "7b 'C' 03'a.B' 91 01'x' 60 91 60 92 60 5190",
             "objects of a class that was defined before");
    argument(SOUND, "'C' 03'a.B' 91 01'x' 60 60 60 4e", "nested objects");
    argument(SOUND, "'C' 03'a.B' 91 01'x' 60 5190",
             "object that refers to itself");
    argument(DAMAGED, "60", "object of no class");
    argument(DAMAGED, "'C' 03'a.B' 90 61", "object of the next class");
    argument(DAMAGED, "'O' 8f", "object of a negative class");
    argument(DAMAGED, "'O' 49 7fffffff", "object of a huge class");
    argument(DAMAGED, "'C' 03'a.B' 49 7fffffff", "class of huge size");
    argument(DAMAGED, "'C' 03'a.B' 8f 60", "class of negative size");
    argument(DAMAGED, "'C' 91 90 60", "class whose name is an int");
    argument(DAMAGED, "'W' 'C' 03'a.B' 90 'Z'", "class without an object");

    /* exceptions refer to themselves as their cause */

    argument(SOUND, "'C' 13'java.lang.Exception' 94 0d'detailMessage' 05'cause'"
             "0a'stackTrace' 14'suppressedExceptions' 60 04'boom' 5190"
             "71 1c'[java.lang.StackTraceElement'"
             "'C' 1b'java.lang.StackTraceElement' 94 0e'declaringClass'"
             "0a'methodName' 08'fileName' 0a'lineNumber'"
             "61 03'a.B' 01'm' 06'B.java' 9b 70 90", "exception");
}


/* containers in each other */

static void
depth(void)
{
    size_t      n;
    test_buf_t  b;

    for (n = 511; n < 515; n++) {
        memset(&b, 0, sizeof(test_buf_t));
        test_byte(&b, 'W', n);
        test_byte(&b, 'Z', n);
        argument_bytes(n <= 513 ? SOUND : DAMAGED, &b, TEST_SCRATCH,
                       n <= 513 ? "deep lists" : "too deep lists");
        test_free(&b);
    }

    memset(&b, 0, sizeof(test_buf_t));
    test_byte(&b, 'H', 100000);
    argument_bytes(DAMAGED, &b, TEST_SCRATCH, "keys of keys of keys");
    test_free(&b);

    memset(&b, 0, sizeof(test_buf_t));
    test_byte(&b, 'W', 1000000);
    argument_bytes(DAMAGED, &b, TEST_SCRATCH, "lists of lists of lists");
    test_free(&b);

    /* the last value of a container does not make it deeper */

    memset(&b, 0, sizeof(test_buf_t));
    test_byte(&b, 0x79, 100000);
    test_hex(&b, "90");
    argument_bytes(SOUND, &b, TEST_SCRATCH, "lists of one list");
    test_free(&b);

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, "'C' 04'Node' 92 05'value' 04'next'");

    for (n = 0; n < 10000; n++) {
        test_hex(&b, "60 91");
    }

    test_hex(&b, "4e");
    argument_bytes(SOUND, &b, TEST_SCRATCH, "a long linked list");
    test_free(&b);

    /* objects without fields are the most values a body can hold */

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, "'X' 49 00030d40 'C' 01'A' 90");
    test_byte(&b, 0x60, 200000);
    argument_bytes(SOUND, &b, TEST_SCRATCH, "many objects of one byte");
    test_free(&b);
}


/* the class table lives in the scratch memory */

static void
classes(void)
{
    size_t      n;
    test_buf_t  b;

    memset(&b, 0, sizeof(test_buf_t));

    for (n = 0; n < 100; n++) {
        test_hex(&b, "'C' 00 90");
    }

    test_hex(&b, "'O' c863");

    argument_bytes(SOUND, &b, TEST_SCRATCH, "a hundred classes");
    argument_bytes(SOUND, &b, 404, "a hundred classes, just enough room");
    argument_bytes(DAMAGED, &b, 396, "a hundred classes, not enough room");
    argument_bytes(DAMAGED, &b, 3, "three bytes of room");
    argument_bytes(DAMAGED, &b, 0, "no room at all");
    test_free(&b);

    memset(&b, 0, sizeof(test_buf_t));

    for (n = 0; n < 10000; n++) {
        test_hex(&b, "'C' 00 90");
    }

    argument_bytes(DAMAGED, &b, TEST_SCRATCH, "ten thousand classes");
    test_free(&b);

    argument(SOUND, "4e", "no class needs no room");
    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, "'C' 00 90 60");
    argument_bytes(DAMAGED, &b, 0, "one class, no room");
    test_free(&b);
}


static void
attachment(const char *value, const char *expected, const char *what)
{
    test_buf_t   b;
    test_call_t  call;
    ngx_str_t    s;

    test_request(&b, 2, "");
    test_hex(&b, "'H' 01'a' 4e 01'k'");
    test_hex(&b, value);
    test_hex(&b, "04'last' 01'x' 'Z'");
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);

    if (expected) {
        ok(test_attachment_is(&call, "K", expected)
           && test_attachment_is(&call, "last", "x"),
           "attachment: %s", what);

    } else {
        ok(test_attachment(&call, "k", &s) == NGX_DECLINED
           && test_attachment_is(&call, "last", "x"),
           "attachment: %s", what);
    }

    ok(call.facts.attachments && !call.facts.damaged
       && test_attachment(&call, "nope", &s) == NGX_DECLINED,
       "attachment: %s, and no other", what);

    test_drop(&call);
    test_free(&b);
}


static void
attachments(void)
{
    attachment("02'hi'", "hi", "string");
    attachment("00", "", "empty string");
    attachment("520001'h' 01'i'", "hi", "string in pieces");
    attachment("02 e4bda0 e5a5bd", "\xe4\xbd\xa0\xe5\xa5\xbd", "Chinese");
    attachment("03 'a' eda0bd edb880", "a\xf0\x9f\x98\x80", "surrogates");
    attachment("520002 'a' eda0bd 01 edb880", "a\xf0\x9f\x98\x80",
               "surrogates in two pieces");
    attachment("02 eda0bd 'b'", "?b", "half a pair");
    attachment("4e", NULL, "null");
    attachment("54", "true", "true");
    attachment("46", "false", "false");
    attachment("80", "-16", "int of one byte, the least");
    attachment("bf", "47", "int of one byte, the greatest");
    attachment("c000", "-2048", "int of two bytes, the least");
    attachment("cfff", "2047", "int of two bytes, the greatest");
    attachment("d00000", "-262144", "int of three bytes, the least");
    attachment("d7ffff", "262143", "int of three bytes, the greatest");
    attachment("4980000000", "-2147483648", "the least int");
    attachment("497fffffff", "2147483647", "the greatest int");
    attachment("d8", "-8", "long of one byte, the least");
    attachment("ef", "15", "long of one byte, the greatest");
    attachment("f000", "-2048", "long of two bytes, the least");
    attachment("ffff", "2047", "long of two bytes, the greatest");
    attachment("380000", "-262144", "long of three bytes, the least");
    attachment("3fffff", "262143", "long of three bytes, the greatest");
    attachment("59ffffffff", "-1", "long of an int");
    attachment("4c8000000000000000", "-9223372036854775808",
               "the least long");
    attachment("4c7fffffffffffffff", "9223372036854775807",
               "the greatest long");
    attachment("5b", "0", "double 0");
    attachment("5c", "1", "double 1");
    attachment("5dff", "-1", "double of a byte");
    attachment("5e8000", "-32768", "double of a short");
    attachment("5f000004c4", "1.22", "double of thousandths");
    attachment("44400c000000000000", "3.5", "double");
    attachment("443fb999999999999a", "0.1", "double of a tenth");
    attachment("443fd5555555555555", "0.3333333333333333",
               "double of a third");
    attachment("4a0000018bcfe56800", NULL, "date");
    attachment("5190", NULL, "reference");
    attachment("22ffff", NULL, "binary");
    attachment("'H' 01'k' 01'v' 'Z'", NULL, "map");
    attachment("57 01'k' 'Z'", NULL, "list");
    attachment("'C' 03'a.B' 91 01'k' 60 01'v'", NULL, "object");
}


static void
facts(ngx_uint_t want, const char *descriptor, const char *body,
    ngx_int_t timeout, const char *group, const char *app, const char *what)
{
    test_buf_t   b;
    test_call_t  call;

    test_request(&b, 2, descriptor);
    test_hex(&b, body);
    test_close(&b);

    test_decode(&call, &b, want, TEST_SCRATCH);

    ok(call.facts.names && !call.facts.damaged
       && call.facts.timeout == timeout
       && test_is(&call.facts.group, group)
       && test_is(&call.facts.app, app)
       && call.facts.tried == !!(want & NGX_MESH_WANT_ATTACHMENTS),
       "facts: %s", what);

    test_drop(&call);
    test_free(&b);
}


static void
known(void)
{
    facts(NGX_MESH_WANT_NAMES, "", "'H' 05'group' 01'g' 'Z'", -1, "", "",
          "not asked for");
    facts(ALL, "", "'H' 05'group' 01'g' 'Z'", -1, "g", "", "group");
    facts(ALL, "", "'H' 05'group' 4e 'Z'", -1, "", "", "null group");
    facts(ALL, "", "'H' 05'group' 01'g' 05'group' 01'h' 'Z'", -1, "h", "",
          "the last group counts");
    facts(ALL, "", "'M' 01'T' 05'group' 01'g' 'Z'", -1, "g", "",
          "typed map");
    facts(ALL, "", "'H' 12'remote.application' 01'a' 0b'application' 01'b'"
          "'Z'", -1, "", "a", "remote.application before application");
    facts(ALL, "", "'H' 0b'application' 01'b' 12'remote.application' 01'a'"
          "'Z'", -1, "", "a", "remote.application after application");
    facts(ALL, "", "'H' 0b'application' 01'b' 'Z'", -1, "", "b",
          "application alone");

    facts(ALL, "", "'H' 07'timeout' 04'3000' 'Z'", 3000, "", "",
          "timeout as a string");
    facts(ALL, "", "'H' 07'timeout' d40bb8 'Z'", 3000, "", "",
          "timeout as an int");
    facts(ALL, "", "'H' 07'timeout' 3c0bb8 'Z'", 3000, "", "",
          "timeout as a long");
    facts(ALL, "", "'H' 07'timeout' 04'3000' 03'_TO' 02'70' 'Z'", 70, "", "",
          "what is left is less");
    facts(ALL, "", "'H' 03'_to' d40bb8 07'timeout' 02'70' 'Z'", 70, "", "",
          "what is left is more");
    facts(ALL, "", "'H' 07'timeout' 01'0' 'Z'", -1, "", "", "timeout 0");
    facts(ALL, "", "'H' 07'timeout' 02'-5' 'Z'", -1, "", "",
          "negative timeout");
    facts(ALL, "", "'H' 07'timeout' 8f 'Z'", -1, "", "",
          "negative int timeout");
    facts(ALL, "", "'H' 07'timeout' 01'x' 'Z'", -1, "", "", "no number");
    facts(ALL, "", "'H' 07'timeout' 4c7fffffffffffffff 'Z'",
          NGX_MAX_INT32_VALUE, "", "", "endless timeout");
    facts(ALL, "", "'H' 07'timeout' 54 'Z'", -1, "", "", "timeout true");

    facts(ALL, "", "4e", -1, "", "", "null instead of a map");
    facts(ALL, "", "", -1, "", "", "nothing instead of a map");
    facts(ALL, "IJ", "91 e1 'H' 05'group' 01'g' 'Z'", -1, "g", "",
          "two arguments");
    facts(ALL, "[[I[Ljava/lang/String;Z", "78 71 07'[string' 01'a' 54"
          "'H' 05'group' 01'g' 'Z'", -1, "g", "", "arrays");
}


/* arguments are skipped for the attachments only as far as it is cheap */

static void
budget(void)
{
    size_t       i;
    test_buf_t   b;
    test_call_t  call;

    static struct {
        size_t       n;
        int          found;
        const char  *head;
        const char  *what;
    } table[] = {
        { 1021, 1, "'S' 03fd", "a string within the budget" },
        { 1022, 0, "'S' 03fe", "a string above the budget" },
        { 8192, 1, "'B' 2000", "a binary costs nothing" },
        { 1021, 1, "32fd", "another way to write the length" },
    };

    table[3].n = 0x2fd;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        test_request(&b, 2, "Ljava/lang/Object;");
        test_hex(&b, table[i].head);
        test_byte(&b, 'a', table[i].n);
        test_hex(&b, "'H' 05'group' 01'g' 'Z'");
        test_close(&b);

        test_decode(&call, &b, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS,
                    TEST_SCRATCH);

        ok(call.facts.tried && !call.facts.damaged
           && call.facts.attachments == (unsigned) table[i].found
           && call.facts.group.len == (size_t) table[i].found,
           "%s", table[i].what);

        /* once more of the same does not help, but to force it does */

        ngx_mesh_dubbo_codec.facts(&ngx_mesh_dubbo_codec, call.frame, &call.f,
                                   NGX_MESH_WANT_ATTACHMENTS, &call.facts);
        ok(call.facts.attachments == (unsigned) table[i].found,
           "%s: again", table[i].what);

        ngx_mesh_dubbo_codec.facts(&ngx_mesh_dubbo_codec, call.frame, &call.f,
                                   NGX_MESH_WANT_ATTACHMENTS
                                   | NGX_MESH_WANT_FORCED, &call.facts);
        ok(call.facts.attachments && test_is(&call.facts.group, "g")
           && test_attachment_is(&call, "group", "g"),
           "%s: forced", table[i].what);

        test_drop(&call);
        test_free(&b);
    }

    test_request(&b, 2, "Ljava/lang/Object;");
    test_hex(&b, "40");
    test_byte(&b, 'a', 2000);
    test_close(&b);

    test_decode(&call, &b, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS,
                TEST_SCRATCH);
    ok(call.facts.damaged && !call.facts.attachments,
       "damage within the budget is damage");
    test_drop(&call);
    test_free(&b);

    /* arguments that nothing follows are gone over once, whoever asks */

    test_request(&b, 2, "Ljava/lang/Object;");
    test_hex(&b, "'S' 0800");
    test_byte(&b, 'a', 2048);
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(call.facts.forced && !call.facts.damaged && !call.facts.attachments,
       "no attachments behind many arguments");

    *call.facts.args = 0x40;

    ngx_mesh_dubbo_codec.facts(&ngx_mesh_dubbo_codec, call.frame, &call.f,
                               NGX_MESH_WANT_ATTACHMENTS
                               | NGX_MESH_WANT_FORCED, &call.facts);
    ok(!call.facts.damaged, "... are not looked for again");

    test_drop(&call);
    test_free(&b);
}


static void
body(const char *hex, int names, int damaged, const char *interface,
    const char *version, const char *method, int generic, const char *what)
{
    test_buf_t   b;
    test_call_t  call;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, "dabbc200 0000000000000001 00000000");
    test_hex(&b, hex);
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);

    ok((int) call.facts.names == names && (int) call.facts.damaged == damaged
       && (int) call.facts.generic == generic
       && test_is(&call.facts.interface, interface)
       && test_is(&call.facts.version, version)
       && test_is(&call.facts.method, method)
       && call.facts.tried,
       "body: %s", what);

    test_drop(&call);
    test_free(&b);
}


static void
bodies(void)
{
    test_buf_t   b;
    test_call_t  call;

    body("", 0, 1, "", "", "", 0, "empty");
    body("05'2.0.2'", 0, 1, "", "", "", 0, "ends after the first string");
    body("05'2.0.2' 03'a.B' 03'1.'", 0, 1, "a.B", "", "", 0,
         "ends in the version");
    body("05'2.0.2' 03'a.B' 4e 01'm'", 1, 1, "a.B", "", "m", 0,
         "ends after the method");
    body("05'2.0.2' 03'a.B' 4e 01'm' 00", 1, 0, "a.B", "", "m", 0,
         "ends before the attachments");
    body("05'2.0.2' 03'a.B' 05'0.0.0' 01'm' 00", 1, 0, "a.B", "", "m", 0,
         "version 0.0.0");
    body("05'2.0.2' 03'a.B' 00 01'm' 00", 1, 0, "a.B", "", "m", 0,
         "empty version");
    body("05'2.0.2' 03'a.B' 01'*' 01'm' 00", 1, 0, "a.B", "*", "m", 0,
         "any version");
    body("05'2.0.2' 03'a.B' 01'1' 05'$echo' 12'Ljava/lang/Object;' 4e 4e",
         1, 0, "a.B", "1", "$echo", 0, "$echo");
    body("05'2.0.2' 4e 00 01'm' 00", 0, 0, "", "", "m", 0, "no service");
    body("05'2.0.2' 03'a.B' 00 4e 00", 0, 0, "a.B", "", "", 0, "no method");
    body("4e 03'a.B' 00 01'm' 00 4e", 1, 0, "a.B", "", "m", 0,
         "no protocol version");
    body("05'2.0.2' 03'a.B' 00 01'm' 01'x' 4e", 1, 1, "a.B", "", "m", 0,
         "no descriptor");
    body("05'2.0.2' 03'a.B' 00 01'm' 01'[' 4e", 1, 1, "a.B", "", "m", 0,
         "array of nothing");
    body("05'2.0.2' 03'a.B' 00 01'm' 03'Lab' 4e", 1, 1, "a.B", "", "m", 0,
         "class without its end");
    body("05'2.0.2' 91 00 01'm' 00", 0, 1, "", "", "", 0,
         "a service that is an int");

    body("520003'2.0' 02'.2' 520001'a' 02'.B' 01'1' 520000 01'm' 00 4e",
         1, 0, "a.B", "1", "m", 0, "names in pieces");
    body("05'2.0.2' 03'a.B' 00 03 'm' e4bda0 eda0bd 00", 1, 0, "a.B", "",
         "m\xe4\xbd\xa0?", 0, "a method that is not ASCII");

#define GENERIC  "3038'Ljava/lang/String;[Ljava/lang/String;"                 \
                 "[Ljava/lang/Object;'"

    body("05'2.0.2' 03'a.B' 00 07'$invoke'" GENERIC "01'm' 78 78 'H' 'Z'",
         1, 0, "a.B", "", "m", 1, "$invoke");
    body("05'2.0.2' 03'a.B' 00 0c'$invokeAsync'" GENERIC "01'm' 78 78 4e",
         1, 0, "a.B", "", "m", 1, "$invokeAsync");
    body("05'2.0.2' 03'a.B' 00 0c'$invokeOther'" GENERIC "01'm' 78 78 4e",
         1, 0, "a.B", "", "$invokeOther", 0, "$invokeOther");
    body("05'2.0.2' 03'a.B' 00 07'$invoke'" GENERIC "4e 78 78 4e",
         1, 0, "a.B", "", "$invoke", 0, "$invoke of null");
    body("05'2.0.2' 03'a.B' 00 07'$invoke' 00 4e",
         1, 0, "a.B", "", "$invoke", 0, "$invoke of nothing");
    body("05'2.0.2' 03'a.B' 00 07'$invoke' 01'I' 91 4e",
         1, 0, "a.B", "", "$invoke", 0, "$invoke of an int");

    body("05'2.0.2' 520001'a' 4e 00 01'm' 00", 0, 1, "", "", "", 0,
         "name in pieces without an end");
    body("05'2.0.2' 03'a.B' 00 01'm' 00 'H' 01'a' 'I' 00", 1, 1, "a.B", "",
         "m", 0, "ends within an int");
    body("05'2.0.2' 03'a.B' 00 01'm' 00 'H' 05'group' 40", 1, 1, "a.B", "",
         "m", 0, "a group that is nothing");
    body("05'2.0.2' 03'a.B' 00 01'm' 00 'H' 01'a'", 1, 1, "a.B", "", "m", 0,
         "ends within the attachments");
    body("05'2.0.2' 03'a.B' 00 01'm' 00 57 'Z'", 1, 1, "a.B", "", "m", 0,
         "attachments that are a list");
    body("05'2.0.2' 03'a.B' 00 01'm' 00 'H' 'Z' ff", 1, 0, "a.B", "", "m", 0,
         "more than the attachments");

    /* a caller of these versions is sent attachments with its result */

    test_request(&b, 2, "");
    test_hex(&b, "4e");
    test_close(&b);
    test_decode(&call, &b, ALL, 0);
    ok(call.facts.v202, "2.0.2");
    test_drop(&call);

    b.data[21] = '1';
    test_decode(&call, &b, ALL, 0);
    ok(!call.facts.v202, "2.0.1");
    test_drop(&call);

    b.data[19] = '6';
    b.data[21] = '2';
    test_decode(&call, &b, ALL, 0);
    ok(!call.facts.v202, "2.6.2");
    test_drop(&call);
    test_free(&b);

    /* a serialization that is not known has no names, and no damage */

    test_request(&b, 8, "");
    test_close(&b);
    test_decode(&call, &b, ALL, 0);
    ok(!call.facts.names && !call.facts.damaged && call.facts.tried
       && !call.facts.attachments && call.facts.timeout == -1, "kryo");
    test_drop(&call);
    test_free(&b);
}


/* keys are compared as they stand in the frame, so not all can be found */

static void
keys(void)
{
    test_buf_t   b;
    test_call_t  call;

    test_request(&b, 2, "");
    test_hex(&b, "'H' 3022'0123456789012345678901234567890123' 01'a'"
                 "520001'k' 01'1' 01'b' 03 e4bda0 e5a5bd 'x' 01'c'"
                 "01'm' 520003'val' 02'ue' 4e 01'd' 01'z' 01'e' 'Z'");
    test_close(&b);

    test_decode(&call, &b, ALL, TEST_SCRATCH);
    ok(test_attachment_is(&call, "0123456789012345678901234567890123", "a"),
       "a long key");
    ok(!test_attachment_is(&call, "k1", "b"), "a key in pieces");
    ok(test_attachment_is(&call, "\xe4\xbd\xa0\xe5\xa5\xbdx", "c"),
       "a key that is not ASCII");
    ok(test_attachment_is(&call, "m", "value")
       && test_attachment_is(&call, "z", "e"), "a key after it");
    test_drop(&call);

    /* a text in pieces is empty where there is no room to join them */

    test_decode(&call, &b, ALL, 4);
    ok(test_attachment_is(&call, "m", ""), "no room for pieces");
    test_drop(&call);
    test_free(&b);
}


/* the class table that the arguments left is there for later questions */

static void
later(void)
{
    size_t       i;
    ngx_str_t    s;
    test_buf_t   b;
    test_call_t  call;

    test_request(&b, 2, "Ljava/lang/Object;");
    test_hex(&b, "'C' 01'A' 92 01'x' 01'y' 60 91 92"
                 "'H' 01'p' 60 93 94"
                 "01'q' 'C' 01'B' 91 01'x' 61 95"
                 "60 91 92 01'v'"
                 "01'r' 61 96 01't' 91 01's' 05'value' 'Z'");
    test_close(&b);

    test_decode(&call, &b, ALL, 64);

    for (i = 0; i < 100; i++) {
        if (!test_attachment_is(&call, "s", "value")) {
            break;
        }
    }

    ok(i == 100 && call.facts.nclasses == 1, "objects among the attachments");

    /* numbers take room of the scratch memory; when it is gone they are
       absent, and everything else is still there */

    for (i = 0; i < 100; i++) {
        if (test_attachment(&call, "t", &s) != NGX_OK || !test_is(&s, "1")) {
            break;
        }
    }

    ok(i > 0 && i < 100, "numbers as text, as long as there is room");
    ok(test_attachment_is(&call, "s", "value"), "strings need no room");

    test_drop(&call);
    test_free(&b);
}


int
main(int argc, char **argv)
{
    plain();
    strings();
    containers();
    depth();
    classes();
    attachments();
    known();
    budget();
    bodies();
    keys();
    later();

    return test_done();
}
