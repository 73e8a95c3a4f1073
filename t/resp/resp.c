
/*
 * Copyright (C) nginx-mesh authors
 *
 * Redis' protocol over a connection that the test feeds; prints TAP.
 */


#include "resp.h"
#include <stdio.h>


static ngx_mesh_resp_t  resp;
static char             test_log[65536];
static ngx_uint_t       test_close;      /* the owner does, in the handler */
static ngx_uint_t       test_again;      /* and connects again when closed */


static void
test_note(const char *what, const char *data, size_t len)
{
    size_t  n;

    n = strlen(test_log);
    snprintf(test_log + n, sizeof(test_log) - n, "%s(%.*s) ", what, (int) len,
             data);
}


static void
test_show(ngx_mesh_reply_t *reply)
{
    char        text[64];
    ngx_uint_t  i;

    switch (reply->type) {

    case REDIS_REPLY_ARRAY:
        test_note("array", "", 0);

        for (i = 0; i < reply->nelements; i++) {
            test_show(reply->elements[i]);
        }

        break;

    case REDIS_REPLY_INTEGER:
        (void) snprintf(text, sizeof(text), "%lld",
                        (long long) reply->integer);
        test_note("int", text, strlen(text));
        break;

    case REDIS_REPLY_NIL:
        test_note("nil", "", 0);
        break;

    default:
        test_note(reply->type == REDIS_REPLY_ERROR ? "error"
                  : reply->type == REDIS_REPLY_STATUS ? "status" : "string",
                  (char *) reply->str.data, reply->str.len);
    }
}


static void
test_handler(void *data, ngx_mesh_reply_t *reply)
{
    test_note("to", data, strlen(data));

    if (reply) {
        test_show(reply);

    } else {
        test_note("none", "", 0);
    }

    if (test_close) {
        ngx_mesh_resp_close(&resp);
    }
}


static void
test_push(ngx_mesh_resp_t *r, ngx_str_t *channel, ngx_str_t *message)
{
    test_note("push", (char *) channel->data, channel->len);
    test_note("=", (char *) message->data, message->len);
}


static void
test_closed(ngx_mesh_resp_t *r, ngx_str_t *reason)
{
    test_note("closed", (char *) reason->data, reason->len);

    if (test_again) {
        (void) ngx_mesh_resp_connect(&resp);
    }
}


static void
test_open(void)
{
    test_log[0] = '\0';
    test_close = 0;
    test_again = 0;

    resp.timeout = 1000;
    resp.patience = 10000;
    resp.push = test_push;
    resp.closed = test_closed;

    (void) ngx_mesh_resp_connect(&resp);
}


static void
test_send(char *command, char *arg, ngx_uint_t replies, char *data)
{
    ngx_str_t  args[2];

    args[0] = str(command);
    args[1] = str(arg);

    (void) ngx_mesh_resp_send(&resp, args, 2, replies, test_handler, data);
}


/* every piece is memory of its own, so reading beyond it is seen */

static void
test_feed(const char *p, size_t len)
{
    u_char  *copy;

    copy = malloc(len ? len : 1);
    ngx_memcpy(copy, p, len);
    resp.net.received(&resp.net, copy, len);
    free(copy);
}


static void
test_text(const char *s)
{
    test_feed(s, strlen(s));
}


static int
test_is(const char *expected)
{
    if (strcmp(test_log, expected) == 0) {
        return 1;
    }

    printf("# got      %.400s\n# expected %s\n", test_log, expected);

    return 0;
}


static const char  test_all[] =
    "+PONG\r\n"
    "*4\r\n$8\r\npmessage\r\n$3\r\n/d*\r\n$4\r\n/d/x\r\n$8\r\nregister\r\n"
    "*2\r\n$1\r\na\r\n:-7\r\n"
    "*3\r\n$7\r\nmessage\r\n$2\r\n/d\r\n$0\r\n\r\n"
    "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"
    "*3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:2\r\n"
    "-NOPERM no\r\n"
    "*2\r\n*1\r\n$-1\r\n*-1\r\n";


static void
test_pipeline(void)
{
    size_t      i, n;
    ngx_uint_t  right;

    static const char  expected[] =
        "to(a) status(PONG) push(/d/x) =(register) "
        "to(b) array() string(a) int(-7) push(/d) =() "
        "to(c) array() string(subscribe) string(x) int(1) "
        "to(c) array() string(subscribe) string(y) int(2) "
        "to(d) error(NOPERM no) "
        "to(e) array() array() nil() nil() ";

    n = sizeof(test_all) - 1;

    for (i = 0, right = 0; i <= n; i++) {
        test_open();
        test_send("PING", "1", 1, "a");
        test_send("HGETALL", "k", 1, "b");
        test_send("SUBSCRIBE", "x", 2, "c");
        test_send("SUBSCRIBE", "z", 3, "d");
        test_send("GET", "", 1, "e");

        test_feed(test_all, i);
        test_feed(test_all + i, n - i);

        right += test_is(expected) && ngx_queue_empty(&resp.pending);
        ngx_mesh_resp_close(&resp);
    }

    ok(right == n + 1, "replies in their order, split at every byte");

    test_open();
    test_send("PING", "", 1, "a");
    test_send("AUTH", "secret", 1, "b");
    ok(strcmp((char *) stub_sent, "*2\r\n$4\r\nPING\r\n$0\r\n\r\n"
                                  "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n") == 0,
       "commands as they are sent");

    for (i = 0; i < n; i++) {
        test_feed(test_all + i, 1);

        if (strstr(test_log, "closed")) {
            break;
        }
    }

    ok(strstr(test_log, "closed(a reply that nothing was asked for)") != NULL,
       "one reply too many ends it");
    ok(resp.reader == NULL && stub_open == 0 && stub_pools == 0,
       "nothing is left");
}


static void
test_owner(void)
{
    test_open();
    test_send("PING", "", 1, "a");
    test_send("PING", "", 1, "b");
    test_send("PING", "", 1, "a");
    ngx_mesh_resp_detach(&resp, "a");
    test_text("+1\r\n+2\r\n+3\r\n");
    ok(test_is("to(b) status(2) "), "nobody waits for a reply any more");
    ngx_mesh_resp_close(&resp);

    test_open();
    test_send("PING", "", 1, "a");
    test_send("PING", "", 1, "b");
    test_close = 1;
    test_text("+1\r\n+2\r\n");
    ok(test_is("to(a) status(1) "), "closed in a handler: no more is called");
    ok(stub_open == 0 && stub_pools == 0, "and nothing is left");

    test_open();
    test_send("PING", "", 1, "a");
    test_send("PING", "", 1, "b");
    resp.net.closed(&resp.net, NULL);
    ok(test_is("to(a) none() to(b) none() closed(closed by the server) "),
       "those who wait are told first");

    test_open();
    test_again = 1;
    test_text("-ERR max number of clients reached\r\n");
    ok(test_is("closed(ERR max number of clients reached) "),
       "an error before anything was asked is the reason");
    ok(stub_open == 1, "connected again from inside of it");
    test_send("PING", "", 1, "a");
    test_text("+1\r\n");
    ok(strstr(test_log, "to(a) status(1)") != NULL, "which works");
    ngx_mesh_resp_close(&resp);
    ngx_mesh_resp_close(&resp);
    ok(stub_open == 0, "closed twice");

    ok(ngx_mesh_resp_send(&resp, NULL, 0, 1, NULL, NULL) == NGX_ERROR,
       "nothing is sent without a connection");
}


/* "what" is fed again and again */

static void
test_hostile(const char *name, const char *head, const char *what, size_t max,
    const char *reason)
{
    char    *piece;
    size_t   len, n, each;

    len = strlen(what);
    each = ngx_max(65536 / len, 1);
    piece = malloc(each * len + 1);

    for (n = 0; n < each; n++) {
        ngx_memcpy(piece + n * len, what, len);
    }

    test_open();
    test_send("GET", "", 1, "a");
    test_text(head);

    for (n = 0; n < max && resp.reader; n += each * len) {
        test_feed(piece, each * len);
    }

    ok(resp.reader == NULL && strstr(test_log, reason) != NULL, "%s: %s",
       name, reason);

    if (resp.reader) {
        printf("# got %.100s\n", test_log);
    }

    ngx_mesh_resp_close(&resp);
    ok(stub_pools == 0, "nothing is left");

    free(piece);
}


static void
test_limits(void)
{
    size_t  most;

    most = (size_t) NGX_MESH_RESP_BYTES + 4 * 1024 * 1024;

    test_hostile("a string without end", "$9000000000\r\n", "x", most,
                 "too large");
    test_hostile("a line without end", "+", "x", most, "too large");
    test_hostile("an array of two billions", "*2147483647\r\n", ":1\r\n", 1,
                 "too large");
    test_hostile("many arrays", "*1000\r\n", "*1000000\r\n", most,
                 "too large");
    test_hostile("many strings", "*1000000\r\n",
                 "$200\r\n"
                 "0123456789012345678901234567890123456789012345678"
                 "0123456789012345678901234567890123456789012345678"
                 "0123456789012345678901234567890123456789012345678"
                 "0123456789012345678901234567890123456789012345678"
                 "0123\r\n", 2 * most, "too large");
    test_hostile("nested", "", "*1\r\n", 65536, "nested");
    test_hostile("no Redis", "", "HTTP/1.1 400 Bad Request\r\n", 1,
                 "Protocol error");
    test_hostile("no number", "*x\r\n", ":1\r\n", 1, "");
    test_hostile("negative", "$-7\r\n", ":1\r\n", 1, "");
}


static void
test_time(void)
{
    ngx_current_msec = 100000;

    test_open();
    test_send("PING", "", 1, "a");
    ngx_current_msec += 999;
    resp.timer.handler(&resp.timer);
    ok(test_is(""), "it is waited for");
    test_text("*2\r\n");
    ngx_current_msec += 999;
    resp.timer.handler(&resp.timer);
    ok(test_is(""), "a reply that comes is waited for");
    ngx_current_msec += 1;
    resp.timer.handler(&resp.timer);
    ok(test_is("to(a) none() closed(no reply in time) "), "silence is not");

    test_open();
    test_send("PING", "", 1, "a");

    for ( ; ngx_current_msec < 120000 && resp.reader; ngx_current_msec += 500)
    {
        test_text("*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n");
        test_log[0] = '\0';
        resp.timer.handler(&resp.timer);
    }

    ok(test_is("to(a) none() closed(no reply in time) "),
       "messages do not stand for a reply");
    ok(ngx_current_msec - 101999 <= 11000, "for so long");

    test_open();
    ngx_current_msec += 60000;
    resp.timer.handler(&resp.timer);
    ok(test_is(""), "without a question silence is right");
    ngx_mesh_resp_close(&resp);
}


static void
test_memory(void)
{
    ngx_uint_t  i, closed;

    for (i = 1, closed = 0; i < 100; i++) {
        test_open();
        test_send("GET", "", 1, "a");
        stub_short = i;
        test_text("*3\r\n$1\r\na\r\n$-1\r\n*2\r\n:1\r\n+OK\r\n");

        if (stub_short) {
            stub_short = 0;
            ngx_mesh_resp_close(&resp);
            break;
        }

        closed += (resp.reader == NULL);
        ngx_mesh_resp_close(&resp);
    }

    ok(i > 5 && i < 100 && closed == i - 1 && stub_pools == 0,
       "without memory it is closed");
}


static void
test_class(void)
{
    ngx_uint_t        i, right;
    ngx_str_t         s;
    ngx_mesh_reply_t  reply;

    static struct {
        char        *text;
        ngx_uint_t   class;
    } errors[] = {
        { "NOAUTH Authentication required.", NGX_MESH_RESP_CONFIG },
        { "WRONGPASS invalid username-password pair", NGX_MESH_RESP_CONFIG },
        { "NOPERM this user has no permissions", NGX_MESH_RESP_CONFIG },
        { "LOADING Redis is loading", NGX_MESH_RESP_TRANSIENT },
        { "BUSY Redis is busy", NGX_MESH_RESP_TRANSIENT },
        { "MASTERDOWN Link with MASTER", NGX_MESH_RESP_TRANSIENT },
        { "READONLY You can't write", NGX_MESH_RESP_TRANSIENT },
        { "CLUSTERDOWN Hash slot not served", NGX_MESH_RESP_TRANSIENT },
        { "OOM command not allowed", NGX_MESH_RESP_TRANSIENT },
        { "MOVED 16037 127.0.0.1:26493", NGX_MESH_RESP_CLUSTER },
        { "ASK 16037 127.0.0.1:26493", NGX_MESH_RESP_CLUSTER },
        { "ERR unknown command", NGX_MESH_RESP_OTHER },
        { "BUSYGROUP there is one", NGX_MESH_RESP_OTHER },
        { "BUS", NGX_MESH_RESP_OTHER },
        { "", NGX_MESH_RESP_OTHER },
        { "OOM", NGX_MESH_RESP_TRANSIENT },
        { NULL, 0 }
    };

    for (i = 0, right = 0; errors[i].text; i++) {
        s = str(errors[i].text);
        right += ngx_mesh_resp_class(&s) == errors[i].class;
    }

    ok(right == i, "classes of errors");

    ngx_memzero(&reply, sizeof(reply));
    reply.type = REDIS_REPLY_ERROR;
    reply.str = str("NOPERM no");
    ok(ngx_mesh_resp_is(&reply, "NOPERM") && !ngx_mesh_resp_is(&reply, "NOP"),
       "the word of an error");
    reply.type = REDIS_REPLY_STATUS;
    ok(!ngx_mesh_resp_is(&reply, "NOPERM"), "a status is none");

    test_open();
    test_send("GET", "", 1, "a");
    test_send("GET", "", 1, "b");
    test_text("-ERR a\n[alert]\x1b[1m\x7f\r\n$3\r\na\nb\r\n");
    ok(test_is("to(a) error(ERR a [alert] [1m ) to(b) string(a\nb) "),
       "an error is one line, a value is as it is");
    ngx_mesh_resp_close(&resp);
}


int
main(void)
{
    ngx_log_t  log;

    ngx_memzero(&log, sizeof(log));
    ((ngx_cycle_t *) ngx_cycle)->log = &log;

    test_pipeline();
    test_owner();
    test_limits();
    test_time();
    test_memory();
    test_class();

    return test_done();
}
