
/*
 * Copyright (C) nginx-mesh authors
 *
 * Edits of small requests, byte by byte: what a recorded one does not have.
 */


#include "test.h"


#define ROOM  (256 * 1024)


static ngx_mesh_edit_field_t  fields[4];
static ngx_mesh_edit_t        edit;


static void
clear(void)
{
    memset(fields, 0, sizeof(fields));
    memset(&edit, 0, sizeof(edit));
    edit.fields = fields;
}


/* NULL removes */

static void
field(const char *name, const char *value)
{
    ngx_mesh_edit_field_t  *f;

    f = &fields[edit.nfields++];

    test_str(&f->name, name);
    test_str(&f->value, value ? value : "");
    f->remove = (value == NULL);
}


/* what becomes of the frame, which is closed and freed here */

static ngx_int_t
written(test_buf_t *b, test_buf_t *result)
{
    u_char       *dst;
    size_t        len;
    ngx_int_t     rc;
    test_call_t   call;

    memset(result, 0, sizeof(test_buf_t));

    test_close(b);
    test_decode(&call, b, NGX_MESH_WANT_NAMES, TEST_SCRATCH);
    test_free(b);

    dst = malloc(ROOM);

    rc = test_codec->edit(test_codec, call.frame, &call.f, &call.facts, &edit,
                          dst, ROOM, &len);

    if (rc == NGX_OK) {
        test_bytes(result, dst, len);
    }

    free(dst);
    test_drop(&call);
    clear();

    return rc;
}


/* a call without arguments and what follows it; NULL: declined */

static void
call(ngx_uint_t serial, const char *from, const char *to, const char *what)
{
    ngx_int_t    rc;
    test_buf_t   b, expected, result;

    test_request(&b, serial, "");
    test_hex(&b, from);

    rc = written(&b, &result);

    if (to == NULL) {
        ok(rc == NGX_DECLINED, "%s", what);
        test_free(&result);
        return;
    }

    test_request(&expected, serial, "");
    test_hex(&expected, to);
    test_close(&expected);

    ok(rc == NGX_OK && test_same(&result, expected.data, expected.len),
       "%s", what);

    test_free(&expected);
    test_free(&result);
}


static void
hessian(void)
{
    field("k", "v");
    call(2, "4e", "48 01'k' 01'v' 5a", "null becomes a map");

    field("k", "v");
    call(2, "", "48 01'k' 01'v' 5a", "nothing becomes a map");

    field("k", NULL);
    call(2, "4e", "4e", "null stays where nothing is set");

    field("k", "v");
    field("l", NULL);
    call(2, "4d 01't' 01'l' 90 01'k' 4e 01'm' 54 5a",
         "4d 01't' 01'm' 54 01'k' 01'v' 5a", "the map's type stays");

    field("k", "1");
    field("k", "2");
    call(2, "48 01'k' 01'a' 01'k' 01'b' 5a", "48 01'k' 01'2' 5a",
         "the last edit of a name counts, all pairs of it go");

    field("k", "1");
    field("k", NULL);
    call(2, "48 01'k' 01'a' 5a", "48 5a", "set, then removed");

    field("K", NULL);
    call(2, "48 01'k' 01'a' 5a", "48 01'k' 01'a' 5a", "names are exact");

    field("k", NULL);
    call(2, "48 01'a' 48 5a 01'k' 01'x' 01'b' 5191 5a",
         "48 01'a' 48 5a 01'b' 5191 5a", "references past a plain value");

    field("k", NULL);
    call(2, "48 01'k' 48 5a 01'b' 01'x' 5a", "48 01'b' 01'x' 5a",
         "a map goes, no reference follows");

    field("k", NULL);
    call(2, "48 01'k' 48 5a 01'b' 5191 5a", NULL,
         "a map that a reference may mean stays");

    field("k", NULL);
    call(2, "48 01'k' 43 01'c' 91 01'f' 60 90 01'b' 60 91 5a", NULL,
         "a class definition that is used later stays");

    field("k", NULL);
    call(2, "48 52 0001 'k' 00 01'x' 5a", NULL, "a key in pieces");

    field("k", NULL);
    call(2, "48 01'k' 01'x'", NULL, "a map without its end");

    edit.rewrite_group = 1;
    test_str(&edit.group, "g");
    field("group", "other");
    call(2, "48 05'group' 01'a' 5a", "48 05'group' 01'g' 5a",
         "a rewrite is stronger than a field");
}


static void
json(void)
{
    field("k", "v");
    call(23, "00000001 af", "00000006 a6 4a'k' 4a'v' a5",
         "JSONB: null becomes a map");

    field("k", NULL);
    call(23, "00000009 a6 4a'k' 4a'v' 4a'a' 01 a5", "00000005 a6 4a'a' 01 a5",
         "JSONB: removed");

    field("k", NULL);
    call(23, "0000000b a6 7f 4a'k' 00 4a'v' 7f00 05 a5", NULL,
         "JSONB: a symbol that is used later stays");

    field("k", NULL);
    call(6, "'null' 0a", "'null' 0a", "JSON: null stays");

    field("k", "a\"\n");
    call(6, "'null' 0a", "'{\"k\":\"a\\\"\\u000a\"}' 0a",
         "JSON: null becomes a map");

    field("k", NULL);
    field("l", "2");
    call(6, "'{\"a\":[1,2], \"k\":3 ,\"b\":\"x\"}' 0d0a",
         "'{\"a\":[1,2],\"b\":\"x\",\"l\":\"2\"}' 0d0a", "JSON: both");

    field("k", NULL);
    call(6, "'{\"\\u006b\":3}' 0a", NULL, "JSON: a key in disguise");

    field("k", NULL);
    call(22, "00", NULL, "protobuf");
}


/* longer than a piece of a string can be, in every serialization */

static void
longer(ngx_uint_t serial)
{
    char         *text;
    ngx_int_t     rc;
    test_buf_t    b, result;
    test_call_t   decoded;

    text = malloc(40001);
    memset(text, 'x', 40000);
    text[40000] = '\0';

    test_request(&b, serial, "");
    field("k", text);

    rc = written(&b, &result);
    ok(rc == NGX_OK, "a long value: written in %d", (int) serial);

    test_decode(&decoded, &result, NGX_MESH_WANT_NAMES
                | NGX_MESH_WANT_ATTACHMENTS | NGX_MESH_WANT_FORCED, 65536);

    ok(test_attachment_is(&decoded, "k", text),
       "a long value: read in %d", (int) serial);

    test_drop(&decoded);
    test_free(&result);
    free(text);
}


/* a service in the headers alone, of any serialization */

static void
bolt(ngx_uint_t serial, const char *class, const char *service,
    const char *version, const char *expected, const char *what)
{
    ngx_int_t    rc;
    test_buf_t   b, wanted, result;

    test_bolt(&b, 3, 1, serial, class);
    test_pair(&b, "service", "gone");
    test_pair(&b, "k", "v");

    if (service) {
        test_pair(&b, "service", service);
    }

    test_content(&b);
    test_bytes(&b, "body", 4);

    edit.rewrite_version = 1;
    test_str(&edit.version, version);
    rc = written(&b, &result);

    if (expected == NULL) {
        ok(rc == NGX_DECLINED, "%s", what);
        test_free(&result);
        return;
    }

    test_bolt(&wanted, 3, 1, serial, class);
    test_pair(&wanted, "k", "v");
    test_pair(&wanted, "service", expected);
    test_content(&wanted);
    test_bytes(&wanted, "body", 4);
    test_close(&wanted);

    ok(rc == NGX_OK && test_same(&result, wanted.data, wanted.len),
       "%s", what);

    test_free(&wanted);
    test_free(&result);
}


static void
headers(void)
{
    size_t       n;
    char        *text;
    test_buf_t   b, result;
    const char  *sofa = "com.alipay.sofa.rpc.core.request.SofaRequest";

    test_codec = &ngx_mesh_bolt_codec;

    bolt(11, sofa, "a.b:1.0", "2.0", "a.b:2.0", "protobuf: version");
    bolt(12, sofa, "a.b:1.0:id", "2.0:x", "a.b:2.0:x",
         "JSON: version and unique id");
    bolt(12, sofa, "a.b", "2", "a.b:2", "JSON: there was no version");
    bolt(12, sofa, "a.b:1.0", "", "a.b", "JSON: version taken away");
    bolt(2, sofa, "a.b:1.0", "2.0", NULL, "Java: not this content");
    bolt(1, sofa, "a.b:1.0", "2.0", NULL, "Hessian: damaged content");
    bolt(1, "x.Y", "a.b:1.0", "2.0", NULL, "Hessian: another class");

    /* what does not fit into the map's length */

    text = malloc(0x8001);
    memset(text, 'x', 0x8000);
    text[0x8000] = '\0';

    for (n = 0x7fff - 9; n <= 0x8000 - 9; n++) {
        test_bolt(&b, 1, 1, 12, sofa);
        test_content(&b);
        field("k", text + 0x8000 - n);

        ok(written(&b, &result) == (n == 0x7fff - 9 ? NGX_OK : NGX_DECLINED),
           "headers of %d bytes", (int) n + 9);
        test_free(&result);
    }

    free(text);
}


/* what a route does with the header x.k is done with it in the content, too */

static void
sofa(const char *head, const char *from, const char *to, const char *value,
    const char *what)
{
    ngx_int_t    rc;
    test_buf_t   b, wanted, result;
    const char  *class = "com.alipay.sofa.rpc.core.request.SofaRequest";

    test_bolt(&b, 3, 1, 1, class);
    test_pair(&b, "x.k", "v");
    test_content(&b);
    test_hex(&b, head);
    test_hex(&b, from);

    field("x.k", value);
    field("n", NULL);
    rc = written(&b, &result);

    if (to == NULL) {
        ok(rc == NGX_DECLINED, "%s", what);
        test_free(&result);
        return;
    }

    test_bolt(&wanted, 3, 1, 1, class);

    if (value) {
        test_pair(&wanted, "x.k", value);
    }

    test_content(&wanted);
    test_hex(&wanted, head);
    test_hex(&wanted, to);
    test_close(&wanted);

    ok(rc == NGX_OK && test_same(&result, wanted.data, wanted.len),
       "%s", what);

    test_free(&wanted);
    test_free(&result);
}


#define CLASS                                                                 \
    "'com.alipay.sofa.rpc.core.request.SofaRequest' 93 0c'requestProps'"      \
    "17'targetServiceUniqueName' 0d'methodArgSigs'"
#define DRAFT   "'O' bc " CLASS "6f 90"
#define FINAL   "'C' 30 2c " CLASS "60"
#define TAIL    "03'a:1' 4e"


static void
props(void)
{
    char    text[1024];
    size_t  n, i;

    test_codec = &ngx_mesh_bolt_codec;

    sofa(DRAFT, "4d 01'n' 91 01'x' 4d 01'k' 01'v' 01'l' 54 7a 01'm' 01'v' 7a"
         TAIL, "4d 01'x' 4d 01'l' 54 7a 01'm' 01'v' 7a" TAIL, NULL,
         "sofa-hessian 3: removed, of two maps");
    sofa(FINAL, "48 01'n' 91 01'x' 48 01'k' 01'v' 01'l' 54 5a 01'm' 01'v' 5a"
         TAIL, "48 01'x' 48 01'l' 54 5a 01'm' 01'v' 5a" TAIL, NULL,
         "sofa-hessian 4: removed, of two maps");
    sofa(FINAL, "4d 01't' 01'n' 91 01'x' 4d 90 01'k' 01'v' 5a 5a" TAIL,
         "4d 01't' 01'x' 4d 90 5a 5a" TAIL, NULL, "sofa-hessian 4: of a type");
    sofa(DRAFT, "4d 74 0001't' 03'x.k' 53 0001'v' 7a" TAIL,
         "4d 74 0001't' 7a" TAIL, NULL, "sofa-hessian 3: of a type");
    sofa(DRAFT, "4d 01'x' 4d 01'k' 01'v' 7a 7a" TAIL,
         "4d 01'x' 4d 7a 7a" TAIL, "w", "set: the header alone has it");
    sofa(DRAFT, "4d 01'k' 01'v' 01'x' 01'v' 02'x.' 01'v' 7a" TAIL,
         "4d 01'k' 01'v' 01'x' 01'v' 02'x.' 01'v' 7a" TAIL, NULL,
         "others stay");
    sofa(DRAFT, "4d 01'x' 4d 02'k.' 4d 01'k' 01'v' 7a 7a 7a" TAIL,
         "4d 01'x' 4d 02'k.' 4d 01'k' 01'v' 7a 7a 7a" TAIL, NULL,
         "... of a deeper map, too");
    sofa(DRAFT, "4d 01'n' 56 7a 01'x' 4d 01'k' 4a 00 7a 7a" TAIL,
         "4d 01'n' 56 7a 01'x' 4d 01'k' 4a 00 7a 7a" TAIL, NULL,
         "lists and references are no headers");
    sofa(DRAFT, "4e" TAIL, "4e" TAIL, NULL, "no map");

    sofa(DRAFT, "4d 90 01'v' 7a" TAIL, NULL, NULL, "a number for a name");
    sofa(DRAFT, "4d 73 0001'x' 00 4e 7a" TAIL, NULL, NULL, "a name in pieces");
    sofa(DRAFT, "4d 01'x' 4d 01'k' 01'v' 7a", NULL, NULL,
         "a map without its end");
    sofa(DRAFT, "56 7a" TAIL, NULL, NULL, "a list of props");

    /* maps in maps */

    for (n = 16; n < 19; n++) {
        memset(text, 0, sizeof(text));

        for (i = 0; i < n; i++) {
            strcat(text, "4d 01'y'");
        }

        strcat(text, "4e");

        for (i = 0; i < n; i++) {
            strcat(text, "7a");
        }

        strcat(text, TAIL);
        sofa(DRAFT, text, n < 18 ? text : NULL, NULL, "maps in maps");
    }
}


int
main(int argc, char **argv)
{
    clear();

    hessian();
    json();
    longer(2);
    longer(23);
    longer(6);
    headers();
    props();

    return test_done();
}
