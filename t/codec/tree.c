
/*
 * Copyright (C) nginx-mesh authors
 *
 * Values of Hessian 2 as trees, calls of our own and what they return.
 */


#include "test.h"

#include "ngx_mesh_tree.h"


#define MAX  1000


typedef struct {
    void  *next;
    char   pad[8];
} piece_t;


static void                   *pieces;
static ngx_uint_t              given;
static ngx_uint_t              short_of;     /* the piece that there is not */
static ngx_mesh_tree_reader_t  reader;
static ngx_mesh_tree_t        *root;
static test_buf_t              input;


static void *
take(void *data, size_t size)
{
    piece_t  *p;

    if (++given == short_of) {
        return NULL;
    }

    p = malloc(sizeof(piece_t) + size);
    p->next = pieces;
    pieces = p;

    return p + 1;
}


static void
drop(void)
{
    piece_t  *p;

    while (pieces) {
        p = pieces;
        pieces = p->next;
        free(p);
    }

    given = 0;
}


static ngx_int_t
read_bytes(u_char *p, size_t n, ngx_uint_t max)
{
    ngx_int_t  rc;

    drop();

    reader.alloc = take;
    reader.data = NULL;
    reader.max = max;
    root = NULL;

    rc = ngx_mesh_tree_start(&reader, p, p + n);

    return rc == NGX_OK ? ngx_mesh_hessian2_tree(&reader, &root) : rc;
}


static ngx_int_t
read_hex(const char *hex)
{
    test_free(&input);
    memset(&input, 0, sizeof(test_buf_t));
    test_hex(&input, hex);

    return read_bytes(input.data, input.len, MAX);
}


static ngx_int_t
text_is(ngx_mesh_tree_t *v, const char *name, const char *text)
{
    ngx_str_t  s;

    s = ngx_mesh_tree_string(v, name);

    return test_is(&s, text);
}


static void
leaves(void)
{
    ok(read_hex("4e") == NGX_OK && root->type == NGX_MESH_SERIAL_NULL, "null");
    ok(read_hex("d405dc") == NGX_OK && root->type == NGX_MESH_SERIAL_INT
       && root->u.num == 1500, "int");
    ok(read_hex("54") == NGX_OK && root->type == NGX_MESH_SERIAL_BOOL
       && root->u.num == 1, "boolean");
    ok(read_hex("5c") == NGX_OK && root->type == NGX_MESH_SERIAL_DOUBLE
       && root->u.dbl == 1, "double");
    ok(read_hex("03'abc'") == NGX_OK && test_is(&root->u.str, "abc"),
       "string");
    ok(read_hex("52 0002'ab' 53 0001'c'") == NGX_OK
       && test_is(&root->u.str, "abc"), "string in pieces");
    ok(read_hex("02 eda0bd edb880") == NGX_OK
       && test_is(&root->u.str, "\xf0\x9f\x98\x80"), "surrogates");
    ok(read_hex("22 0102") == NGX_OK && root->type == NGX_MESH_SERIAL_OTHER,
       "binary");
    ok(read_hex("4a 0000018bcfe56800") == NGX_OK
       && root->type == NGX_MESH_SERIAL_OTHER, "date");
}


static void
boxes(void)
{
    ngx_mesh_tree_t  *v;

    ok(read_hex("'H' 01'a' 01'1' 91 92 01'b' 'T' 'Z'") == NGX_OK
       && root->type == NGX_MESH_TREE_MAP && text_is(root, "a", "1"),
       "map, untyped");

    v = ngx_mesh_tree_find(root, "b");
    ok(v && v->type == NGX_MESH_SERIAL_BOOL, "a key after one that is none");
    ok(ngx_mesh_tree_find(root, "c") == NULL, "no such key");
    ok(text_is(root, "b", ""), "what is no string is empty as one");

    ok(read_hex("'M' 03'x.Y' 01'a' 01'1' 'Z'") == NGX_OK
       && text_is(root, "a", "1"), "map, typed");
    ok(read_hex("'M' 90 01'a' 01'1' 'Z'") == NGX_OK && text_is(root, "a", "1"),
       "map, of a type that was there");

    ok(read_hex("'C' 03'x.Y' 92 01'a' 01'b' 60 01'1' 01'2'") == NGX_OK
       && root->type == NGX_MESH_TREE_OBJECT && text_is(root, "b", "2")
       && test_is((ngx_str_t *) &root->u.box.class->name, "x.Y"), "object");
    ok(read_hex("'C' 01'X' 91 01'a' 'O' 90 01'1'") == NGX_OK
       && text_is(root, "a", "1"), "object, long form");

    ok(read_hex("57 01'a' 91 'Z'") == NGX_OK && root->type == NGX_MESH_TREE_LIST
       && root->u.box.first->next->u.num == 1, "list of unknown length");
    ok(read_hex("55 01't' 01'a' 'Z'") == NGX_OK, "the same, typed");
    ok(read_hex("56 01't' 92 90 91") == NGX_OK
       && root->u.box.first->next->next == NULL, "list of a length, typed");
    ok(read_hex("58 91 'N'") == NGX_OK, "list of a length");
    ok(read_hex("71 01't' 90") == NGX_OK && read_hex("7a 90 91") == NGX_OK,
       "short lists");
    ok(read_hex("78") == NGX_OK && root->u.box.first == NULL, "empty list");
}


static void
references(void)
{
    ok(read_hex("'H' 01'a' 'H' 01'k' 01'v' 'Z' 01'b' 'Q' 91 'Z'") == NGX_OK
       && text_is(ngx_mesh_tree_find(root, "b"), "k", "v"),
       "reference to an earlier map");
    ok(read_hex("'H' 01'a' 'Q' 90 'Z'") == NGX_OK
       && ngx_mesh_tree_find(root, "a") == root,
       "a map in itself");
    ok(ngx_mesh_tree_find(ngx_mesh_tree_find(root, "a"), "a") == root,
       "... as deep as one likes");
    ok(read_hex("'H' 01'a' 'Q' 91 'Z'") == NGX_ERROR, "reference to nothing");
    ok(read_hex("'Q' 90") == NGX_ERROR, "reference before anything");
    ok(read_hex("58 91 'Q' 8f") == NGX_ERROR, "negative reference");
}


static void
damaged(void)
{
    size_t      i;
    ngx_int_t   rc;
    test_buf_t  b;

    static const char  hex[] = "'C' 03'x.Y' 93 01'a' 01'b' 01'c' 58 92 60"
        " 'R' 0002'ab' 'S' 0001'c' 'H' 01'k' 'M' 02'tt' 04'yyyy' 5b 'Z' 'Z'"
        " 'Q' 91 57 c0ff 'Z'";

    ok(read_hex(hex) == NGX_OK, "sound");

    for (i = 0; i < input.len; i++) {
        memset(&b, 0, sizeof(test_buf_t));
        test_bytes(&b, input.data, i);

        rc = read_bytes(b.data, i, MAX);
        test_free(&b);

        if (rc != NGX_ERROR) {
            break;
        }
    }

    ok(i == input.len, "cut anywhere (%lu)", (unsigned long) i);

    ok(read_hex("60") == NGX_ERROR, "object of no class");
    ok(read_hex("'C' 01'X' 91 01'a' 61 90") == NGX_ERROR, "of another class");
    ok(read_hex("'C' 01'X' 8f 60") == NGX_ERROR, "class of -1 fields");
    ok(read_hex("'C' 01'X' 'I' 7fffffff 01'a'") == NGX_ERROR,
       "class of more fields than bytes");
    ok(read_hex("58 'I' 7fffffff 90") == NGX_ERROR, "list longer than bytes");
    ok(read_hex("'H' 01'a' 'Z'") == NGX_ERROR, "key without value");
    ok(read_hex("'Z'") == NGX_ERROR && read_hex("40") == NGX_ERROR
       && read_hex("") == NGX_ERROR, "no value");
    ok(read_hex("01 ff") == NGX_ERROR, "no character");
}


static void
limits(void)
{
    u_char      *p;
    ngx_uint_t   n;

    p = malloc(2000);
    memset(p, 0x57, 2000);

    ok(read_bytes(p, 2000, MAX) == NGX_ERROR, "too deep");

    memset(p + 64, 'Z', 64);

    ok(read_bytes(p, 128, MAX) == NGX_OK, "as deep as may be");

    p[0] = 0x57;
    memset(p + 1, 'N', 1998);
    p[1999] = 'Z';

    ok(read_bytes(p, 2000, 1999) == NGX_OK, "as many values as may be");
    ok(read_bytes(p, 2000, 1998) == NGX_ERROR, "too many values");
    ok(given < 20, "before there is memory for them (%lu)",
       (unsigned long) given);

    free(p);

    for (n = 1; n < 100; n++) {
        short_of = n;

        if (read_hex("'C' 01'X' 91 01'a' 58 91 60 'H' 01'a' 01'b' 'Z'")
            != NGX_ABORT)
        {
            break;
        }
    }

    short_of = 0;

    ok(n > 4 && n < 100, "short of memory anywhere (%lu)", (unsigned long) n);
}


static void
calls(void)
{
    u_char                 *p;
    size_t                  n;
    ngx_str_t               arg;
    test_buf_t              b;
    test_call_t             d;
    ngx_mesh_dubbo_call_t   call;

    memset(&call, 0, sizeof(ngx_mesh_dubbo_call_t));

    call.id = 0x0102030405060708;
    call.timeout = 5000;
    test_str(&call.service, "com.x.Hello");
    test_str(&call.version, "1.0.0");
    test_str(&call.group, "g\xc3\xa9");
    test_str(&call.method, "say");
    test_str(&call.descriptor, "Ljava/lang/String;");
    test_str(&arg, "0123456789012345678901234567890123456789");
    call.args = &arg;
    call.nargs = 1;

    n = ngx_mesh_dubbo_call(NULL, 0, &call);
    p = malloc(n);

    ok(ngx_mesh_dubbo_call(p, n, &call) == n, "a call is as long as was told");

    memset(&b, 0, sizeof(test_buf_t));
    test_bytes(&b, p, n);
    test_decode(&d, &b, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS
                        | NGX_MESH_WANT_FORCED, TEST_SCRATCH);

    ok(d.rc == NGX_OK && d.f.size == n && d.f.kind == NGX_MESH_FRAME_REQUEST
       && d.f.id == call.id && d.f.serial == NGX_MESH_SERIAL_HESSIAN2,
       "its header");
    ok(test_is(&d.facts.interface, "com.x.Hello")
       && test_is(&d.facts.version, "1.0.0")
       && test_is(&d.facts.group, "g\xc3\xa9")
       && test_is(&d.facts.method, "say") && d.facts.nargs == 1
       && d.facts.timeout == 5000 && !d.facts.damaged, "what it asks for");
    ok(test_attachment_is(&d, "path", "com.x.Hello")
       && test_attachment_is(&d, "interface", "com.x.Hello"),
       "what a provider looks for");

    test_drop(&d);
    test_free(&b);
    free(p);
}


static void
answer(ngx_int_t expected, const char *hex, const char *text, const char *what)
{
    ngx_int_t          rc;
    ngx_str_t          s;
    test_buf_t         b;
    ngx_mesh_frame_t   f;

    memset(&b, 0, sizeof(test_buf_t));
    test_hex(&b, hex);
    test_close(&b);

    drop();
    reader.max = MAX;

    rc = ngx_mesh_dubbo_codec.head(&ngx_mesh_dubbo_codec, b.data, b.len, &f);

    if (rc == NGX_OK) {
        rc = ngx_mesh_dubbo_answer(b.data, &f, &reader, &root, &s);
    }

    ok(rc == expected && (rc != NGX_DECLINED || test_is(&s, text)), "%s", what);

    if (rc == NGX_DECLINED && !test_is(&s, text)) {
        printf("# %.*s\n", (int) s.len, s.data);
    }

    /* the tree points into it */
    test_free(&input);
    input = b;
}


#define OK    "dabb 0214 0000000000000007 00000000 "
#define BAD   "dabb 0246 0000000000000007 00000000 "


static void
answers(void)
{
    answer(NGX_OK, OK "91 'H' 01'a' 01'b' 'Z'", "", "a value");
    ok(text_is(root, "a", "b"), "... which is read");
    answer(NGX_OK, OK "94 'N' 'H' 'Z'", "", "null, and attachments");
    ok(root == NULL, "... is no value");
    answer(NGX_OK, OK "92", "", "nothing");
    answer(NGX_OK, OK "95 'H' 'Z'", "", "nothing, and attachments");
    answer(NGX_DECLINED, OK "90 'C' 01'X' 91 0d'detailMessage' 60 06'no, no'",
           "no, no", "an exception with a message");
    answer(NGX_DECLINED, OK "93 'C' 07'x.Error' 91 0d'detailMessage' 60 'N'",
           "x.Error", "an exception without");
    answer(NGX_DECLINED, OK "90 'N'", "failed without a reason",
           "an exception that is none");
    answer(NGX_DECLINED, BAD "09'one' 0a 'more.'", "one", "a failure's line");
    answer(NGX_DECLINED, BAD "00", "failed without a reason", "an empty one");
    answer(NGX_DECLINED, "dabb 0614 0000000000000007 00000000 30",
           "answered in another serialization than hessian2",
           "another serialization");
    answer(NGX_ERROR, OK, "", "an empty body");
    answer(NGX_ERROR, OK "96", "", "an unknown flag");
    answer(NGX_ERROR, OK "91", "", "a value that is missing");
    answer(NGX_ERROR, OK "91 'H' 01'a'", "", "a value cut short");
    answer(NGX_ERROR, BAD "05'abc'", "", "a reason cut short");
}


int
main(int argc, char **argv)
{
    leaves();
    boxes();
    references();
    damaged();
    limits();
    calls();
    answers();

    drop();
    test_free(&input);

    return test_done();
}
