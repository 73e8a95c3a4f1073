
/*
 * Copyright (C) nginx-mesh authors
 *
 * What answers of Consul are worth: those that agents gave in all the ways
 * they have to be wrong, and the true ones that look like them.
 */


#include "unit.h"
#include "ngx_mesh_consul_rule.h"


#define UNHELD     NGX_MESH_CONSUL_UNHELD
#define STREAMING  "X-Consul-Query-Backend: streaming\r\n"                    \
                   "X-Consul-Knownleader: false\r\n"                          \
                   "X-Consul-Lastcontact: 0\r\n"
#define BLOCKING   "X-Consul-Query-Backend: blocking-query\r\n"               \
                   "X-Consul-Knownleader: true\r\n"                           \
                   "X-Consul-Lastcontact: 0\r\n"
#define ALLOW      "X-Consul-Default-Acl-Policy: allow\r\n"
#define DENY       "X-Consul-Default-Acl-Policy: deny\r\n"
#define FILTERED   "X-Consul-Results-Filtered-By-Acls: true\r\n"
#define INDEX(n)   "X-Consul-Index: " #n "\r\n"

#define TOKEN      1
#define MOVED      2


typedef struct {
    const char   *name;
    uint64_t      index;                    /* asked with; 0: a plain read */
    ngx_uint_t    held;
    int           flags;
    ngx_uint_t    status;
    const char   *headers;
    ngx_uint_t    count;
    ngx_uint_t    action;
} case_t;


static case_t  cases[] = {

    /* what is true */

    { "a first read", 0, UNHELD, 0, 200,
      ALLOW BLOCKING INDEX(21), 3, NGX_MESH_CONSUL_APPLY },
    { "a first read that is empty", 0, UNHELD, 0, 200,
      ALLOW BLOCKING INDEX(21), 0, NGX_MESH_CONSUL_APPLY },
    { "nothing has happened", 21, 3, 0, 200,
      ALLOW STREAMING INDEX(21), 3, NGX_MESH_CONSUL_APPLY },
    { "one more", 21, 3, 0, 200,
      ALLOW STREAMING INDEX(22), 4, NGX_MESH_CONSUL_APPLY },
    { "one of four less", 21, 4, 0, 200,
      ALLOW STREAMING INDEX(22), 3, NGX_MESH_CONSUL_APPLY },
    { "the back end that knows leaders", 21, 3, 0, 200,
      ALLOW BLOCKING INDEX(22), 3, NGX_MESH_CONSUL_APPLY },
    { "the last one has left", 36, 1, 0, 200,
      ALLOW STREAMING INDEX(37), 0, NGX_MESH_CONSUL_PLAIN },
    { "and the plain read says so, too", 0, 1, 0, 200,
      ALLOW BLOCKING INDEX(37), 0, NGX_MESH_CONSUL_APPLY },
    { "an empty service that stays so", 37, 0, 0, 200,
      ALLOW STREAMING INDEX(37), 0, NGX_MESH_CONSUL_APPLY },
    { "a token that may read", 0, 3, TOKEN, 200,
      DENY BLOCKING INDEX(37), 0, NGX_MESH_CONSUL_APPLY },
    { "half of them has left", 21, 4, 0, 200,
      ALLOW STREAMING INDEX(22), 2, NGX_MESH_CONSUL_PLAIN },

    /* C1: no servers, no leader, no such token */

    { "index 1 after the full wait", 21, 2, TOKEN, 200,
      DENY STREAMING INDEX(1), 0, NGX_MESH_CONSUL_PLAIN },
    { "index 1, and was before", 1, 2, 0, 200,
      ALLOW STREAMING INDEX(1), 0, NGX_MESH_CONSUL_PLAIN },
    { "index 1 of an empty one", 1, 0, 0, 200,
      ALLOW STREAMING INDEX(1), 0, NGX_MESH_CONSUL_PLAIN },
    { "the plain read: no servers", 0, 2, 0, 500,
      INDEX(1), 0, NGX_MESH_CONSUL_RETRY },
    { "the plain read: no token", 0, 2, TOKEN, 403,
      "", 0, NGX_MESH_CONSUL_TOKEN },

    /* C2: no token was sent */

    { "denied by default, plain", 0, UNHELD, 0, 200,
      DENY BLOCKING INDEX(21), 0, NGX_MESH_CONSUL_TOKEN },
    { "denied by default, blocking", 21, 2, 0, 200,
      DENY STREAMING INDEX(21), 0, NGX_MESH_CONSUL_TOKEN },
    { "denied by default, but something", 0, UNHELD, 0, 200,
      DENY BLOCKING INDEX(21), 2, NGX_MESH_CONSUL_APPLY },

    /* C3: filtered */

    { "filtered to nothing", 0, 2, TOKEN, 200,
      DENY BLOCKING FILTERED INDEX(21), 0, NGX_MESH_CONSUL_TOKEN },
    { "filtered to less", 0, 2, TOKEN, 200,
      DENY BLOCKING FILTERED INDEX(21), 1, NGX_MESH_CONSUL_TOKEN },
    { "filtered from the beginning", 0, UNHELD, TOKEN, 200,
      DENY BLOCKING FILTERED INDEX(21), 0, NGX_MESH_CONSUL_TOKEN },
    { "filtered, but no less", 0, 2, TOKEN, 200,
      DENY BLOCKING FILTERED INDEX(21), 2, NGX_MESH_CONSUL_APPLY },
    { "filtered, and nobody says so", 21, 2, TOKEN, 200,
      DENY STREAMING INDEX(22), 0, NGX_MESH_CONSUL_PLAIN },

    /* C4: the server is empty */

    { "an index that is lower", 46, 2, 0, 200,
      ALLOW STREAMING INDEX(15), 0, NGX_MESH_CONSUL_PLAIN },
    { "an index that is lower, and all", 46, 2, 0, 200,
      ALLOW STREAMING INDEX(15), 2, NGX_MESH_CONSUL_PLAIN },
    { "the plain read is believed, the guard decides", 0, 2, 0, 200,
      ALLOW BLOCKING INDEX(15), 0, NGX_MESH_CONSUL_APPLY },

    /* C5: nothing in the headers */

    { "higher, and empty", 22, 5, 0, 200,
      ALLOW STREAMING INDEX(36), 0, NGX_MESH_CONSUL_PLAIN },

    /* C6: the old one again */

    { "what was held all the time", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(21), 2, NGX_MESH_CONSUL_APPLY },

    /* C7: an index beside an error */

    { "500 with an index", 0, 2, 0, 500,
      INDEX(1) "X-Consul-Knownleader: false\r\n", 0, NGX_MESH_CONSUL_RETRY },

    /* C8: the leader is known, where it matters */

    { "no leader, not streaming", 0, 2, 0, 200,
      ALLOW "X-Consul-Query-Backend: blocking-query\r\n"
      "X-Consul-Knownleader: false\r\n" INDEX(30), 2, NGX_MESH_CONSUL_RETRY },

    /* C10 and other errors */

    { "too many connections", 21, 2, 0, 429, "", 0, NGX_MESH_CONSUL_RETRY },
    { "unavailable", 21, 2, 0, 503, "", 0, NGX_MESH_CONSUL_RETRY },
    { "a redirect", 0, 2, 0, 302, "", 0, NGX_MESH_CONSUL_RETRY },
    { "no content", 0, 2, 0, 204, "", 0, NGX_MESH_CONSUL_RETRY },
    { "a bad request", 0, 2, 0, 400, "", 0, NGX_MESH_CONSUL_SLOW },
    { "no such path", 0, 2, 0, 404, "", 0, NGX_MESH_CONSUL_SLOW },
    { "unauthorized", 0, 2, 0, 401, "", 0, NGX_MESH_CONSUL_TOKEN },
    { "forbidden, blocking", 21, 2, TOKEN, 403, "", 0,
      NGX_MESH_CONSUL_TOKEN },

    /* indexes that are none */

    { "no index", 21, 2, 0, 200, ALLOW STREAMING, 2, NGX_MESH_CONSUL_PLAIN },
    { "index 0", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(0), 2, NGX_MESH_CONSUL_PLAIN },
    { "no number", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(abc), 2, NGX_MESH_CONSUL_PLAIN },
    { "a negative one", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(-5), 2, NGX_MESH_CONSUL_PLAIN },
    { "one of 20 digits", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(18446744073709551615), 2,
      NGX_MESH_CONSUL_PLAIN },
    { "one that Consul cannot be asked with", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(9223372036854775808), 2,
      NGX_MESH_CONSUL_PLAIN },
    { "the largest", 21, 2, 0, 200,
      ALLOW STREAMING INDEX(9223372036854775807), 2,
      NGX_MESH_CONSUL_APPLY },

    /* another address */

    { "moved, as much", 0, 3, MOVED, 200,
      ALLOW BLOCKING INDEX(21), 3, NGX_MESH_CONSUL_APPLY },
    { "moved, more", 0, 3, MOVED, 200,
      ALLOW BLOCKING INDEX(21), 4, NGX_MESH_CONSUL_APPLY },
    { "moved, less", 0, 3, MOVED, 200,
      ALLOW BLOCKING INDEX(21), 2, NGX_MESH_CONSUL_REPEAT },
    { "moved, nothing", 0, 3, MOVED, 200,
      ALLOW BLOCKING INDEX(21), 0, NGX_MESH_CONSUL_REPEAT },
    { "moved, nothing was there", 0, 0, MOVED, 200,
      ALLOW BLOCKING INDEX(21), 0, NGX_MESH_CONSUL_APPLY },
};


static void
head(ngx_mesh_reply_t *r, ngx_uint_t status, const char *headers)
{
    char     buf[1024];
    u_char  *p;

    (void) snprintf(buf, sizeof(buf), "HTTP/1.1 %d X\r\n%s"
                    "Content-Length: 0\r\n\r\n", (int) status, headers);

    ngx_mesh_reply_init(r, 100);
    p = (u_char *) buf;
    (void) ngx_mesh_reply_read(r, &p, p + strlen(buf));
}


static void
table(void)
{
    char                     *why;
    case_t                   *c;
    ngx_uint_t                action;
    ngx_mesh_reply_t          r;
    ngx_mesh_consul_said_t    said;
    ngx_mesh_consul_asked_t   asked;

    for (c = cases; c < cases + sizeof(cases) / sizeof(case_t); c++) {
        head(&r, c->status, c->headers);
        ngx_mesh_consul_said(&r, &said);
        said.count = c->count;

        ngx_memzero(&asked, sizeof(asked));
        asked.index = c->index;
        asked.held = c->held;
        asked.token = (c->flags & TOKEN) != 0;
        asked.moved = (c->flags & MOVED) != 0;

        action = ngx_mesh_consul_judge(&asked, &said, &why);

        ok(action == c->action
           && (why != NULL) == (action != NGX_MESH_CONSUL_APPLY),
           "%s", c->name);

        ngx_mesh_reply_free(&r);
    }
}


static void
stale(void)
{
    char                     *why;
    ngx_mesh_reply_t          r;
    ngx_mesh_consul_said_t    said;
    ngx_mesh_consul_asked_t   asked;

    ngx_memzero(&asked, sizeof(asked));
    asked.held = 2;
    asked.stale = 200;

    head(&r, 200, "X-Consul-Lastcontact: 201\r\n" INDEX(5)
                  "X-Consul-Knownleader: true\r\n");
    ngx_mesh_consul_said(&r, &said);
    said.count = 2;

    ok(ngx_mesh_consul_judge(&asked, &said, &why) == NGX_MESH_CONSUL_PLAIN,
       "a follower that lags");

    said.lag = 200;
    ok(ngx_mesh_consul_judge(&asked, &said, &why) == NGX_MESH_CONSUL_APPLY,
       "one that does not");

    said.leaderless = 1;
    ok(ngx_mesh_consul_judge(&asked, &said, &why) == NGX_MESH_CONSUL_PLAIN,
       "one that has lost its leader");

    asked.stale = 0;
    said.leaderless = 0;
    said.lag = 100000;
    ok(ngx_mesh_consul_judge(&asked, &said, &why) == NGX_MESH_CONSUL_APPLY,
       "who asks leaders does not look at it");

    ngx_mesh_reply_free(&r);
}


static uint64_t
hash(const char *text)
{
    cJSON     *json;
    uint64_t   h;

    json = cJSON_Parse(text);
    h = json ? ngx_mesh_consul_hash(json) : 0;
    cJSON_Delete(json);

    return h;
}


#define A(meta, modify, state, output)                                        \
    "{\"Node\":{\"Node\":\"n1\",\"ModifyIndex\":" modify "},"                 \
    "\"Service\":{\"ID\":\"a\",\"Meta\":{" meta "},\"Tags\":[\"x\",\"y\"],"   \
    "\"CreateIndex\":3,\"ModifyIndex\":" modify "},"                          \
    "\"Checks\":[{\"CheckID\":\"c1\",\"Status\":\"passing\"},"                \
    "{\"CheckID\":\"c2\",\"Status\":\"" state "\",\"Output\":\"" output "\"," \
    "\"ModifyIndex\":" modify "}]}"

#define B  "{\"Node\":{\"Node\":\"n2\"},\"Service\":{\"ID\":\"b\"},"          \
           "\"Checks\":[]}"


static void
hashes(void)
{
    uint64_t  h;

    h = hash("[" A("\"k\":\"1\",\"l\":\"2\"", "5", "passing", "ok") "," B "]");

    ok(h != 0, "a hash");
    ok(h == hash("[" B "," A("\"k\":\"1\",\"l\":\"2\"", "5", "passing", "ok")
                 "]"), "the order of instances is no matter");
    ok(h == hash("[" A("\"l\":\"2\",\"k\":\"1\"", "5", "passing", "ok") "," B
                 "]"), "nor that of members");
    ok(h == hash("[" A("\"k\":\"1\",\"l\":\"2\"", "6", "passing", "OK!") "," B
                 "]"), "nor what checks print, nor indexes");
    ok(h != hash("[" A("\"k\":\"1\",\"l\":\"2\"", "5", "critical", "ok") "," B
                 "]"), "the state of a check is");
    ok(h != hash("[" A("\"k\":\"2\",\"l\":\"1\"", "5", "passing", "ok") "," B
                 "]"), "so are values");
    ok(h != hash("[" A("\"k\":\"1\",\"l\":\"2\"", "5", "passing", "ok") "]"),
       "so is who is there");
    ok(h != hash("[" B "," B "," A("\"k\":\"1\",\"l\":\"2\"", "5", "passing",
                                   "ok") "]"), "and how often");

    ok(hash("[]") == 1 && hash("{}") == 1, "nobody at all");
    ok(hash("[1,null,\"x\",[[]],{\"Checks\":5,\"Node\":null}]") != 0,
       "nonsense has one, too");

    ok(hash("{\"a\":[],\"b\":[\"x\"]}") == hash("{\"b\":[],\"a\":[\"y\"]}"),
       "of a catalog names matter");
    ok(hash("{\"a\":[],\"b\":[]}") != hash("{\"a\":[],\"c\":[]}"),
       "and nothing else");
}


static void
bytes(void)
{
    size_t     i, j;
    int        passed;
    uint64_t   h[64];
    u_char     text[64];

    ngx_memset(text, 'x', sizeof(text));
    passed = 1;

    for (i = 0; i < 64; i++) {
        h[i] = ngx_mesh_consul_hash_bytes(text, i);

        for (j = 0; j < i; j++) {
            passed &= h[i] != h[j];
        }
    }

    for (i = 0; i < 63; i++) {
        text[i] = 'y';
        passed &= ngx_mesh_consul_hash_bytes(text, 63) != h[63];
        text[i] = 'x';
    }

    ok(passed, "each byte counts, and how many they are");
}


static void
bucket(void)
{
    ngx_uint_t                 n;
    ngx_msec_t                 now, wait;
    ngx_mesh_consul_bucket_t   b;

    /* always at once, and nothing new */

    now = (ngx_msec_t) -5000;
    ngx_mesh_consul_bucket(&b, now);

    for (n = 0, wait = 0; wait == 0; n++) {
        wait = ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_SAME);
    }

    ok(n == 3, "two answers that bring nothing are free");
    ok(wait == NGX_MESH_CONSUL_SAME, "the third is not");

    for (n = 0; n < 100; n++) {
        now += wait;
        wait = ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_SAME);

        if (wait != NGX_MESH_CONSUL_SAME) {
            break;
        }
    }

    ok(n == 100, "one in so many ms from then on, past the clock's end");

    now += 10 * NGX_MESH_CONSUL_CREDIT;
    ok(ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_SAME) == 0
       && ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_SAME) == 0
       && ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_SAME) != 0,
       "what is saved has a limit");

    ngx_mesh_consul_bucket(&b, now);

    for (n = 0, wait = 0; wait == 0 && n < 5000; n++) {
        wait = ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_CHANGED);
    }

    ok(n > 100 && wait == NGX_MESH_CONSUL_CHANGED,
       "many changes are free, but not all");

    ngx_mesh_consul_bucket(&b, now);

    for (n = 0, wait = 0; wait == 0 && n < 5000; n++) {
        now += 55000;
        wait = ngx_mesh_consul_charge(&b, now, NGX_MESH_CONSUL_SAME);
    }

    ok(n == 5000, "who waits its time is never held up");
}


int
main(void)
{
    table();
    stale();
    hashes();
    bytes();
    bucket();

    return test_done();
}
