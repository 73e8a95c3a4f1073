
/*
 * Copyright (C) nginx-mesh authors
 *
 * Answers of HTTP as servers, proxies and worse give them: read at once, cut
 * in two at every byte, and byte by byte.
 */


#include "unit.h"
#include "ngx_mesh_reply.h"


#define MAX  200000


typedef struct {
    const char  *name;
    const char  *bytes;
    size_t       len;                       /* 0: of a string */
    ngx_int_t    rc;                         /* AGAIN: cut, see end */
    ngx_uint_t   status;
    const char  *body;
    ngx_uint_t   keepalive;
    const char  *error;                      /* of the end, with AGAIN */
} case_t;


#define H  "HTTP/1.1 200 OK\r\n"
#define L  "a line of the answer is too long"

static case_t  cases[] = {

    { "length", H "Content-Length: 3\r\n\r\n[]\n", 0,
      NGX_OK, 200, "[]\n", 1, NULL },

    { "length 0", H "Content-Length: 0\r\n\r\n", 0, NGX_OK, 200, "", 1, NULL },

    { "names in any case", H "cOnTeNt-LENGTH:3\r\n\r\n[]\n", 0,
      NGX_OK, 200, "[]\n", 1, NULL },

    { "blanks around a value", H "Content-Length: \t 3 \t\r\n\r\n[]\n", 0,
      NGX_OK, 200, "[]\n", 1, NULL },

    { "lines without CR", "HTTP/1.1 200 OK\nContent-Length: 3\n\n[]\n", 0,
      NGX_OK, 200, "[]\n", 1, NULL },

    { "no reason", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n[]\n", 0,
      NGX_OK, 200, "[]\n", 1, NULL },

    { "the same length twice", H "Content-Length: 3\r\n"
      "Content-Length: 3\r\n\r\n[]\n", 0, NGX_OK, 200, "[]\n", 1, NULL },

    { "chunks", H "Transfer-Encoding: chunked\r\n\r\n"
      "1\r\n[\r\n2;x=y\r\n12\r\n0A\r\n345678901]\r\n000\r\n\r\n", 0,
      NGX_OK, 200, "[12345678901]", 1, NULL },

    { "no chunks", H "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 0,
      NGX_OK, 200, "", 1, NULL },

    { "chunks win over a length", H "Transfer-Encoding: chunked\r\n"
      "Content-Length: 100\r\n\r\n2\r\n[]\r\n0\r\n\r\n", 0,
      NGX_OK, 200, "[]", 1, NULL },

    { "trailers", H "Transfer-Encoding: chunked\r\n\r\n"
      "2\r\n[]\r\n0\r\nX: y\r\nZ:\r\n\r\n", 0, NGX_OK, 200, "[]", 1, NULL },

    { "another answer first", "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"
      "HTTP/1.1 103 Early\r\n\r\n" H "Content-Length: 2\r\n\r\n[]", 0,
      NGX_OK, 200, "[]", 1, NULL },

    { "204", "HTTP/1.1 204 No Content\r\n\r\n", 0, NGX_OK, 204, "", 1, NULL },

    { "close", H "Connection: Close\r\nContent-Length: 2\r\n\r\n[]", 0,
      NGX_OK, 200, "[]", 0, NULL },

    { "1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", 0,
      NGX_OK, 200, "[]", 0, NULL },

    { "1.0 that keeps it", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
      "Content-Length: 2\r\n\r\n[]", 0, NGX_OK, 200, "[]", 1, NULL },

    { "429 before a request", "HTTP/1.1 429 Too Many Requests\r\n"
      "Content-Type: text/plain\r\nContent-Length: 4\r\n"
      "Connection: close\r\n\r\nYour", 0, NGX_OK, 429, "Your", 0, NULL },

    { "an error up to the end", "HTTP/1.1 503 Busy\r\n\r\nsorry", 0,
      NGX_AGAIN, 503, "sorry", 0, NULL },

    { "an empty error", "HTTP/1.0 500 Error\r\n\r\n", 0,
      NGX_AGAIN, 500, "", 0, NULL },

    { "a list up to the end", "HTTP/1.0 200 OK\r\n\r\n[]", 0,
      NGX_ERROR, 200, NULL, 0, "the answer has no length" },

    { "a body that is cut", H "Content-Length: 3\r\n\r\n[]", 0,
      NGX_AGAIN, 200, NULL, 0, "closed in the middle of the answer's body" },

    { "no last chunk", H "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n", 0,
      NGX_AGAIN, 200, NULL, 0, "closed in the middle of the answer's body" },

    { "no last line", H "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n", 0,
      NGX_AGAIN, 200, NULL, 0, "closed in the middle of the answer's body" },

    { "a chunk that is cut", H "Transfer-Encoding: chunked\r\n\r\n9\r\n[]", 0,
      NGX_AGAIN, 200, NULL, 0, "closed in the middle of the answer's body" },

    { "a header that is cut", H "Content-Le", 0,
      NGX_AGAIN, 200, NULL, 0, "closed in the middle of the answer's header" },

    { "nothing", "", 0, NGX_AGAIN, 0, NULL, 0, "closed without an answer" },

    { "Redis", "-ERR unknown command\r\n", 0,
      NGX_ERROR, 0, NULL, 0, "what it answers is not HTTP/1.1" },

    { "HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", 0,
      NGX_ERROR, 0, NULL, 0, "what it answers is not HTTP/1.1" },

    { "a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", 0,
      NGX_ERROR, 0, NULL, 0, "what it answers is not HTTP/1.1" },

    { "a switch", "HTTP/1.1 101 Switching\r\n\r\n", 0,
      NGX_ERROR, 101, NULL, 0, "what it answers is not HTTP/1.1" },

    { "no colon", H "Content-Length 3\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "a header of the answer is damaged" },

    { "no name", H ": 3\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "a header of the answer is damaged" },

    { "a folded header", H "A: b\r\n c\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "a header of the answer is damaged" },

    { "a zero in a header", H "A: \0b\r\n\r\n", sizeof(H "A: \0b\r\n\r\n") - 1,
      NGX_ERROR, 200, NULL, 0, "a header of the answer is damaged" },

    { "CR in a header", H "A: \rb\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "a header of the answer is damaged" },

    { "two lengths", H "Content-Length: 3\r\nContent-Length: 4\r\n\r\n[]\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer's length is damaged" },

    { "a negative length", H "Content-Length: -1\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer's length is damaged" },

    { "an empty length", H "Content-Length:\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer's length is damaged" },

    { "a length of 20 digits", H "Content-Length: 18446744073709551619\r\n\r\n",
      0, NGX_ERROR, 200, NULL, 0, "the answer's length is damaged" },

    { "a large length", H "Content-Length: 200001\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer is too large" },

    { "a large chunk", H "Transfer-Encoding: chunked\r\n\r\n30d41\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer is too large" },

    { "a huge chunk", H "Transfer-Encoding: chunked\r\n\r\n"
      "fffffffffffffffffffff\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer is too large" },

    { "a chunk without a size", H "Transfer-Encoding: chunked\r\n\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "a chunk of the answer is damaged" },

    { "a chunk of a wrong size", H "Transfer-Encoding: chunked\r\n\r\n"
      "-2\r\n[]\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "a chunk of the answer is damaged" },

    { "a chunk longer than it is", H "Transfer-Encoding: chunked\r\n\r\n"
      "1\r\n[]\r\n", 0, NGX_ERROR, 200, NULL, 0,
      "a chunk of the answer is longer than its size" },

    { "gzip in chunks", H "Transfer-Encoding: gzip, chunked\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer's transfer encoding is unknown" },

    { "brotli", H "Content-Encoding: br\r\nContent-Length: 1\r\n\r\n", 0,
      NGX_ERROR, 200, NULL, 0, "the answer's encoding is unknown" },

    { "gzip that is none", H "Content-Encoding: gzip\r\n"
      "Content-Length: 4\r\n\r\nabcd", 0,
      NGX_ERROR, 200, NULL, 0, "the answer's gzip data is damaged" },
};


static int
same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}


/* in pieces that are memory of their own, so that nobody reads behind */

static ngx_int_t
feed(ngx_mesh_reply_t *r, const char *bytes, size_t len, size_t first,
    size_t step, size_t *used)
{
    size_t      n, done;
    u_char     *p, *copy;
    ngx_int_t   rc;

    rc = NGX_AGAIN;

    for (done = 0; done < len && rc == NGX_AGAIN; done += n) {
        n = done ? step : first;
        n = ngx_min((n ? n : step), len - done);

        copy = malloc(n);
        memcpy(copy, bytes + done, n);
        p = copy;

        rc = ngx_mesh_reply_read(r, &p, copy + n);
        *used = done + (p - copy);

        free(copy);
    }

    return rc;
}


static int
matches(case_t *c, size_t len, size_t first, size_t step)
{
    int                passed;
    size_t             used;
    ngx_int_t          rc;
    ngx_mesh_reply_t   r;

    ngx_mesh_reply_init(&r, MAX);
    used = 0;

    rc = feed(&r, c->bytes, len, first, step, &used);
    passed = (rc == c->rc);

    if (rc == NGX_AGAIN) {
        rc = ngx_mesh_reply_end(&r);
        passed &= (rc == (c->error ? NGX_ERROR : NGX_OK));
    }

    passed &= same(r.error, c->error) && r.status == c->status
              && r.keepalive == c->keepalive;

    if (c->body) {
        passed &= r.body.len == strlen(c->body) && used == len
                  && memcmp(r.body.data ? r.body.data : (u_char *) "",
                            c->body, r.body.len) == 0;
    }

    ngx_mesh_reply_free(&r);

    return passed;
}


static void
table(void)
{
    int       passed;
    size_t    n, len;
    case_t   *c;

    for (c = cases; c < cases + sizeof(cases) / sizeof(case_t); c++) {
        len = c->len ? c->len : strlen(c->bytes);
        passed = matches(c, len, len, len);

        for (n = 1; n < len; n++) {
            passed &= matches(c, len, n, len);
        }

        passed &= matches(c, len, 1, 1);

        ok(passed, "%s", c->name);
    }
}


static void
headers(void)
{
    size_t             used;
    ngx_str_t          value;
    ngx_mesh_reply_t   r;
    static char        bytes[] = H "X-Consul-Index: 21\r\nX-A:\r\nX-AB: c\r\n"
                                 "X-Consul-Index: 22\r\nA: X-Z: 1\r\n"
                                 "Content-Length: 0\r\n\r\n";

    ngx_mesh_reply_init(&r, MAX);

    ok(ngx_mesh_reply_header(&r, "x-a", &value) == NGX_DECLINED,
       "no header at all");

    ok(feed(&r, bytes, strlen(bytes), 0, 7, &used) == NGX_OK, "headers");

    ok(ngx_mesh_reply_header(&r, "x-consul-index", &value) == NGX_OK
       && is(&value, "21"), "the first of two");
    ok(ngx_mesh_reply_header(&r, "x-a", &value) == NGX_OK && value.len == 0,
       "an empty one");
    ok(ngx_mesh_reply_header(&r, "x-ab", &value) == NGX_OK && is(&value, "c"),
       "one whose name begins as another's");
    ok(ngx_mesh_reply_header(&r, "x-z", &value) == NGX_DECLINED,
       "a value is no name");

    ok(ngx_mesh_reply_is(&value, "") == 0, "a value is not the word");

    ngx_mesh_reply_free(&r);
    ngx_mesh_reply_free(&r);
}


static void
limits(void)
{
    size_t             i, n, used;
    char              *bytes;
    ngx_mesh_reply_t   r;

    bytes = malloc(3 * NGX_MESH_REPLY_HEAD);

    n = (size_t) sprintf(bytes, H "X: ");
    memset(bytes + n, 'x', NGX_MESH_REPLY_LINE);

    for (i = 1; i < 40000; i *= 17) {
        ngx_mesh_reply_init(&r, MAX);
        ok(feed(&r, bytes, n + NGX_MESH_REPLY_LINE, i, i, &used) == NGX_ERROR
           && same(r.error, L), "a long line in pieces of %zu", i);
        ngx_mesh_reply_free(&r);
    }

    n = (size_t) sprintf(bytes, H);

    while (n < NGX_MESH_REPLY_HEAD + 2000) {
        n += (size_t) sprintf(bytes + n, "Name: %0200d\r\n", 1);
    }

    ngx_mesh_reply_init(&r, MAX);
    ok(feed(&r, bytes, n, 4000, 4000, &used) == NGX_ERROR
       && same(r.error, "the answer's header is too large"),
       "many headers");
    ngx_mesh_reply_free(&r);

    free(bytes);
}


static size_t
compress_to(char *dst, size_t room, const char *src, size_t n)
{
    z_stream  z;

    memset(&z, 0, sizeof(z));
    deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 9, Z_DEFAULT_STRATEGY);

    z.next_in = (u_char *) src;
    z.avail_in = (uInt) n;
    z.next_out = (u_char *) dst;
    z.avail_out = (uInt) room;

    deflate(&z, Z_FINISH);
    deflateEnd(&z);

    return z.total_out;
}


static int
gzip_body(char *bytes, size_t len, size_t step, const char *body,
    size_t size, const char *error)
{
    int                passed;
    size_t             n, used;
    char              *all;
    ngx_int_t          rc;
    ngx_mesh_reply_t   r;

    all = malloc(len + 200);
    n = (size_t) sprintf(all, H "Content-Encoding: GZIP\r\n"
                              "Content-Length: %zu\r\n\r\n", len);
    memcpy(all + n, bytes, len);

    ngx_mesh_reply_init(&r, MAX);

    rc = feed(&r, all, n + len, step, step, &used);

    if (error) {
        passed = (rc == NGX_ERROR && same(r.error, error));

    } else {
        passed = (rc == NGX_OK && r.body.len == size && used == n + len
                  && memcmp(r.body.data, body, size) == 0);
    }

    ngx_mesh_reply_free(&r);
    free(all);

    return passed;
}


static void
gzipped(void)
{
    int      passed;
    char    *src, *dst;
    size_t   i, n, m;

    src = malloc(MAX + 1);
    dst = malloc(2 * MAX);

    for (i = 0; i <= MAX; i++) {
        src[i] = (char) ('a' + (i * i / 7) % 23);
    }

    n = compress_to(dst, 2 * MAX, src, 5000);
    passed = 1;

    for (i = 1; i <= n; i++) {
        passed &= gzip_body(dst, n, i, src, 5000, NULL);
    }

    ok(passed, "gzip in pieces of any size");

    m = compress_to(dst + n, MAX, src + 5000, 3000);
    ok(gzip_body(dst, n + m, 100, src, 8000, NULL), "two of them in a row");

    ok(gzip_body(dst, n - 1, 100, src, 0, "the answer's gzip data is cut"),
       "gzip that is cut");

    dst[n / 2] ^= 0x55;
    ok(gzip_body(dst, n, 100, src, 0, "the answer's gzip data is damaged"),
       "gzip that is damaged");

    memset(src, 'x', MAX + 1);

    n = compress_to(dst, 2 * MAX, src, MAX);
    ok(gzip_body(dst, n, 100, src, MAX, NULL)
       || gzip_body(dst, n, 100, src, 0, "the answer is too large"),
       "gzip of all that is allowed");

    n = compress_to(dst, 2 * MAX, src, MAX + 1);
    ok(gzip_body(dst, n, 100, src, 0, "the answer is too large"),
       "gzip of more");

    free(src);
    free(dst);
}


static void
large(void)
{
    char              *bytes;
    size_t             n, used;
    ngx_mesh_reply_t   r;

    bytes = malloc(MAX + 1000);
    n = (size_t) sprintf(bytes, H "Transfer-Encoding: chunked\r\n\r\n"
                                "%x\r\n", MAX - 1);
    memset(bytes + n, 'y', MAX - 1);
    n += MAX - 1;
    n += (size_t) sprintf(bytes + n, "\r\n1\r\nz\r\n0\r\n\r\n");

    ngx_mesh_reply_init(&r, MAX);
    ok(feed(&r, bytes, n, 1234, 1234, &used) == NGX_OK && r.body.len == MAX
       && r.body.data[MAX - 1] == 'z', "a body of all that is allowed");
    ngx_mesh_reply_free(&r);

    n -= sizeof("0\r\n\r\n") - 1;
    n += (size_t) sprintf(bytes + n, "1\r\nz\r\n0\r\n\r\n");

    ngx_mesh_reply_init(&r, MAX);
    ok(feed(&r, bytes, n, 1234, 1234, &used) == NGX_ERROR
       && same(r.error, "the answer is too large"), "a body of more");
    ngx_mesh_reply_free(&r);

    free(bytes);
}


/* two that come at a time, and there is room for one of them */

static void
shared(void)
{
    char              *bytes;
    size_t             n, used, total;
    ngx_mesh_reply_t   a, b, c;

    n = MAX / 2;
    bytes = malloc(n + 100);
    used = (size_t) sprintf(bytes, H "Content-Length: %d\r\n\r\n", MAX / 2);
    memset(bytes + used, 'z', n);
    n += used;

    total = 0;
    ngx_mesh_reply_init(&a, MAX);
    ngx_mesh_reply_init(&b, MAX);
    ngx_mesh_reply_share(&a, &total, MAX);
    ngx_mesh_reply_share(&b, &total, MAX);

    ok(feed(&a, bytes, n - 1, 1000, 1000, &used) == NGX_AGAIN
       && total >= a.body.len && total <= MAX, "what comes is counted");

    ok(feed(&b, bytes, n, 1000, 1000, &used) == NGX_ERROR && b.crowded
       && same(b.error, "the answers are too large together"),
       "another one finds no room");

    ngx_mesh_reply_free(&b);
    ngx_mesh_reply_init(&b, MAX);
    ngx_mesh_reply_share(&b, &total, MAX);

    ok(feed(&a, bytes + n - 1, 1, 1, 1, &used) == NGX_OK, "the first one ends");

    c = a;
    ngx_mesh_reply_free(&c);
    ok(total == 0, "... and gives back what it had, wherever it was moved");

    ok(feed(&b, bytes, n, 1000, 1000, &used) == NGX_OK,
       "then the other one has room");
    ngx_mesh_reply_free(&b);
    ngx_mesh_reply_free(&b);
    ok(total == 0, "nothing is counted twice");

    free(bytes);
}


static void
values(void)
{
    size_t      i;
    ngx_str_t   s;
    ngx_uint_t  right;

    static struct {
        char    *text;
        size_t   n;
    } bodies[] = {
        { "", 1 }, { "7", 1 }, { "[0,0,0]", 4 }, { "[[[", 4 },
        { "{\"a\":1,\"b\":[]}", 4 }, { "[\"a,b[{\",1]", 3 },
        { "[\"\\\"[,\",1]", 3 }, { "\"", 1 }, { "\"\\", 1 },
        { "\"a\\\"", 1 }, { NULL, 0 }
    };

    for (i = 0, right = 0; bodies[i].text; i++) {
        s.len = strlen(bodies[i].text);
        s.data = malloc(s.len ? s.len : 1);
        memcpy(s.data, bodies[i].text, s.len);

        right += ngx_mesh_reply_values(&s) == bodies[i].n;
        free(s.data);
    }

    ok(right == i, "values of JSON are counted");
}


int
main(void)
{
    values();
    table();
    headers();
    limits();
    gzipped();
    large();
    shared();

    return test_done();
}
