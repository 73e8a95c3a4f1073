
/*
 * Copyright (C) nginx-mesh authors
 *
 * Every frame that was recorded between live SDKs is found to be Dubbo's or
 * Bolt's and decodes to the facts written beside it, whole, cut short anywhere
 * and at any alignment.  Reads
 * lines "frame NAME", "hex HEX", "fact KEY HEX", "end"; prints TAP.
 */


#include "test.h"


#define FACTS  64


typedef struct {
    char          name[128];
    test_buf_t    frame;
    size_t        head;
    char         *keys[FACTS];
    test_buf_t    values[FACTS];
    ngx_uint_t    n;
} vector_t;


#define codec  test_codec


static const char  *kinds[] = {
    "request", "oneway", "response", "heartbeat", "ack", "readonly", "event"
};

static const char  *results[] = { "ok", "exception", "error" };


static int
compare(vector_t *v, ngx_uint_t i, test_call_t *call)
{
    char               number[32];
    ngx_str_t          s;
    const char        *key;
    ngx_mesh_facts_t  *facts;

    key = v->keys[i];
    facts = &call->facts;

    s.data = (u_char *) number;

    if (strcmp(key, "kind") == 0) {
        test_str(&s, kinds[call->f.kind]);

    } else if (strcmp(key, "id") == 0) {
        s.len = sprintf(number, "%lld", (long long) (int64_t) call->f.id);

    } else if (strcmp(key, "serialization") == 0) {
        s.len = sprintf(number, "%d", call->f.serial);

    } else if (strcmp(key, "status") == 0) {
        s.len = sprintf(number, "%d", call->f.status);

    } else if (strcmp(key, "result") == 0) {
        test_str(&s, results[codec->result(codec, call->frame, &call->f)]);

    } else if (strcmp(key, "timeout") == 0) {
        s.len = sprintf(number, "%ld", (long) facts->timeout);

    } else if (strcmp(key, "deadline") == 0) {
        s.len = sprintf(number, "%u", (unsigned) call->f.timeout);

    } else if (strcmp(key, "variant") == 0) {
        s.len = sprintf(number, "%d", call->f.variant);

    } else if (strcmp(key, "arguments") == 0) {
        s.len = sprintf(number, "%lu", (unsigned long) facts->nargs);

    } else if (strcmp(key, "generic") == 0) {
        s.len = sprintf(number, "%d", facts->generic);

    } else if (strcmp(key, "v202") == 0) {
        s.len = sprintf(number, "%d", facts->v202);

    } else if (strcmp(key, "service") == 0) {
        s = facts->interface;

    } else if (strcmp(key, "version") == 0) {
        s = facts->version;

    } else if (strcmp(key, "group") == 0) {
        s = facts->group;

    } else if (strcmp(key, "method") == 0) {
        s = facts->method;

    } else if (strcmp(key, "app") == 0) {
        s = facts->app;

    } else if (strcmp(key, "descriptor") == 0) {
        s = facts->descriptor;

    } else if (strcmp(key, "descriptor-begins") == 0) {
        s = facts->descriptor;
        s.len = ngx_min(s.len, v->values[i].len);

    } else if (strncmp(key, "attachment.", 11) == 0) {
        if (test_attachment(call, key + 11, &s) != NGX_OK) {
            return 0;
        }

    } else {
        return 0;
    }

    return test_same(&v->values[i], s.data, s.len);
}


/* the facts that do not depend on where bytes are */

static int
same(test_call_t *a, test_call_t *b)
{
    ngx_uint_t   i;
    ngx_str_t   *sa[6] = { &a->facts.interface, &a->facts.version,
                           &a->facts.group, &a->facts.method, &a->facts.app,
                           &a->facts.descriptor };
    ngx_str_t   *sb[6] = { &b->facts.interface, &b->facts.version,
                           &b->facts.group, &b->facts.method, &b->facts.app,
                           &b->facts.descriptor };

    for (i = 0; i < 6; i++) {
        if (sa[i]->len != sb[i]->len
            || (sa[i]->len
                && memcmp(sa[i]->data, sb[i]->data, sa[i]->len) != 0))
        {
            return 0;
        }
    }

    return a->facts.timeout == b->facts.timeout
           && a->facts.names == b->facts.names
           && a->facts.generic == b->facts.generic
           && a->facts.attachments == b->facts.attachments
           && a->facts.damaged == b->facts.damaged
           && a->facts.nargs == b->facts.nargs;
}


/* a header may come in any number of pieces */

static int
split(vector_t *v)
{
    u_char                  *p;
    size_t                   n, head, need;
    ngx_int_t                rc, detected;
    ngx_mesh_frame_t         f;
    const ngx_mesh_codec_t  *found;

    head = v->head;
    need = head;

    for (n = 0; n <= head; n++) {
        p = malloc(n ? n : 1);
        memcpy(p, v->frame.data, n);

        f.size = 0;
        found = NULL;
        rc = codec->head(codec, p, n, &f);
        detected = ngx_mesh_codec_detect(ngx_mesh_codecs, 2, p, n, &found);
        free(p);

        if (rc != (n < head ? NGX_AGAIN : NGX_OK)
            || (n < head && (f.size <= n || f.size > head))
            || (n == head && f.size != v->frame.len)
            || (detected == NGX_OK ? found != codec
                                   : (detected != NGX_AGAIN || n == head)))
        {
            return 0;
        }

        /* what it asked for is what it needed */

        if (n == need && n < head) {
            need = f.size;
        }
    }

    return need == head;
}


/* the body ends anywhere; only the sanitizer has an opinion of the result */

static void
truncated(vector_t *v)
{
    size_t       n, step, first;
    ngx_str_t    value;
    test_buf_t   b;
    test_call_t  call;

    memset(&b, 0, sizeof(test_buf_t));
    test_bytes(&b, v->frame.data, v->frame.len);

    step = v->frame.len > 4096 ? 1 + v->frame.len / 1024 : 1;

    first = v->head;

    if (codec == &ngx_mesh_bolt_codec) {

        /* a request's class and map are damaged elsewhere */

        n = first - 8;
        first += (b.data[n] << 8 | b.data[n + 1])
                 + (b.data[n + 2] << 8 | b.data[n + 3]);
    }

    for (n = first; n < v->frame.len; n += step) {
        b.len = n;
        test_close(&b);

        test_decode(&call, &b, NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS
                               | NGX_MESH_WANT_FORCED, TEST_SCRATCH);
        (void) codec->result(codec, call.frame, &call.f);
        (void) test_attachment(&call, "no-such-name", &value);
        test_drop(&call);
    }

    ok(1, "%s: cut short anywhere", v->name);

    test_free(&b);
}


static int
aligned(vector_t *v, test_call_t *call)
{
    u_char       *p;
    size_t        shift;
    test_call_t   moved;

    for (shift = 1; shift < 8; shift++) {
        p = malloc(v->frame.len + shift);
        memcpy(p + shift, v->frame.data, v->frame.len);

        memset(&moved, 0, sizeof(test_call_t));
        moved.scratch = malloc(TEST_SCRATCH);
        moved.facts.scratch = moved.scratch;
        moved.facts.scratch_end = moved.scratch + TEST_SCRATCH;
        moved.f = call->f;

        /* in two steps, as the proxy may do it */

        codec->facts(codec, p + shift, &moved.f, NGX_MESH_WANT_NAMES,
                     &moved.facts);
        codec->facts(codec, p + shift, &moved.f,
                     NGX_MESH_WANT_ATTACHMENTS | NGX_MESH_WANT_FORCED,
                     &moved.facts);

        if (!same(call, &moved)) {
            free(moved.scratch);
            free(p);
            return 0;
        }

        free(moved.scratch);
        free(p);
    }

    return 1;
}


static int
renumbered(vector_t *v, test_call_t *call)
{
    int                passed;
    u_char            *p;
    size_t             at, n, end;
    uint64_t           id;
    ngx_mesh_frame_t   f, g;

    p = malloc(v->frame.len);
    memcpy(p, v->frame.data, v->frame.len);

    f = call->f;
    id = 0xf1e2d3c4b5a69788ULL;
    at = 4;
    n = 8;
    end = v->frame.len;

    if (codec == &ngx_mesh_bolt_codec) {
        id = (uint32_t) id;
        at = (p[0] == 1) ? 5 : 6;
        n = 4;
        end -= f.check ? 4 : 0;
    }

    codec->set_id(codec, p, &f, id);

    passed = f.id == id
             && codec->head(codec, p, v->frame.len, &g) == NGX_OK
             && (!g.check || codec->whole(codec, p, &g) == NGX_OK)
             && g.id == id && g.bad == 0
             && memcmp(p, v->frame.data, at) == 0
             && memcmp(p + at + n, v->frame.data + at + n, end - at - n) == 0;

    codec->set_id(codec, p, &f, call->f.id);

    passed &= memcmp(p, v->frame.data, v->frame.len) == 0;

    free(p);

    return passed;
}


static void
check(vector_t *v)
{
    size_t       head;
    ngx_uint_t   i;
    test_call_t  call;

    if (ngx_mesh_codec_detect(ngx_mesh_codecs, 2, v->frame.data, v->frame.len,
                              &test_codec)
        != NGX_OK)
    {
        ok(0, "%s: detected", v->name);
        return;
    }

    test_decode(&call, &v->frame,
                NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS
                | NGX_MESH_WANT_FORCED, TEST_SCRATCH);

    head = 16;

    if (codec == &ngx_mesh_bolt_codec) {
        head = (call.f.kind == NGX_MESH_FRAME_RESPONSE
                || call.f.kind == NGX_MESH_FRAME_ACK) ? 20 : 22;
        head += (v->frame.data[0] == 2) ? 2 : 0;
    }

    v->head = head;

    ok(call.rc == NGX_OK && call.f.size == v->frame.len && call.f.head == head
       && call.f.bad == 0,
       "%s: header", v->name);

    if (call.rc == NGX_OK) {

        for (i = 0; i < v->n; i++) {
            ok(compare(v, i, &call), "%s: %s", v->name, v->keys[i]);
        }

        ok(split(v), "%s: header in pieces", v->name);
        ok(renumbered(v, &call), "%s: another id and back", v->name);
        ok(aligned(v, &call), "%s: elsewhere in memory", v->name);

        if (call.f.kind <= NGX_MESH_FRAME_ONEWAY) {
            ok(!call.facts.damaged, "%s: not damaged", v->name);
        }

        truncated(v);
    }

    test_drop(&call);
}


int
main(int argc, char **argv)
{
    char      *line, *key, *hex;
    size_t     size;
    vector_t   v;

    line = NULL;
    size = 0;
    memset(&v, 0, sizeof(vector_t));

    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';

        if (strncmp(line, "frame ", 6) == 0) {
            snprintf(v.name, sizeof(v.name), "%s", line + 6);

        } else if (strncmp(line, "hex ", 4) == 0) {
            test_hex(&v.frame, line + 4);

        } else if (strncmp(line, "fact ", 5) == 0 && v.n < FACTS) {
            key = line + 5;
            hex = strchr(key, ' ');
            *hex++ = '\0';

            v.keys[v.n] = strdup(key);
            test_hex(&v.values[v.n], hex);
            v.n++;

        } else {
            check(&v);

            while (v.n) {
                v.n--;
                free(v.keys[v.n]);
                test_free(&v.values[v.n]);
            }

            test_free(&v.frame);
        }
    }

    free(line);

    return test_done();
}
