
/*
 * Copyright (C) nginx-mesh authors
 *
 * Every request that was recorded between live SDKs is written again with
 * other attachments, version and group: what was asked for is there, all else
 * is as before.  Reads what t/codec/vectors.c reads.
 */


#include "test.h"


#define NAMES  64
#define WANT   (NGX_MESH_WANT_NAMES|NGX_MESH_WANT_ATTACHMENTS                 \
                |NGX_MESH_WANT_FORCED)


typedef struct {
    char          name[128];
    test_buf_t    frame;
    char         *names[NAMES];
    ngx_uint_t    n;
    test_call_t   call;
} vector_t;


/* facts that an edit may be meant to change */

#define VERSION  1
#define GROUP    2
#define FACTS    4


static int
str_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


/* where the content of a Bolt frame begins */

static u_char *
content(test_call_t *call, size_t *n)
{
    u_char  *p;

    p = call->frame + call->f.head - 8;

    *n = (size_t) p[4] << 24 | p[5] << 16 | p[6] << 8 | p[7];

    return p + 8 + (p[0] << 8 | p[1]) + (p[2] << 8 | p[3]);
}


/* whether b is a with bytes left out */

static int
within(u_char *a, size_t n, u_char *b, size_t m)
{
    size_t  i, k;

    for (i = 0, k = 0; i < n && k < m; i++) {
        k += (a[i] == b[k]);
    }

    return k == m;
}


/* the bytes that no edit touches */

static int
same_arguments(test_call_t *a, test_call_t *b, ngx_uint_t but)
{
    u_char  *pa, *pb;
    size_t   n, m;

    if (test_codec == &ngx_mesh_bolt_codec) {
        pa = content(a, &n);
        pb = content(b, &m);

        if (!(but & VERSION) && !(but & FACTS ? within(pa, n, pb, m)
                                             : n == m && !memcmp(pa, pb, n)))
        {
            return 0;
        }

        pa = a->frame + a->f.head - 12;
        pb = b->frame + b->f.head - 12;

        /* timeout and the length of the class */

        return memcmp(pa, pb, 6) == 0
               && memcmp(a->frame, b->frame, a->f.head - 12) == 0;
    }

    n = (a->facts.attachments ? a->facts.attach : a->facts.end)
        - a->facts.args;
    m = (b->facts.attachments ? b->facts.attach : b->facts.end)
        - b->facts.args;

    return n == m && memcmp(a->facts.args, b->facts.args, n) == 0
           && memcmp(a->frame, b->frame, 12) == 0;
}


static int
same(test_call_t *a, test_call_t *b, ngx_uint_t but)
{
    ngx_mesh_facts_t  *f, *g;

    f = &a->facts;
    g = &b->facts;

    if (!same_arguments(a, b, but)) {
        return 0;
    }

    if (!str_same(&f->interface, &g->interface)
        || !str_same(&f->method, &g->method)
        || !str_same(&f->descriptor, &g->descriptor)
        || f->generic != g->generic || f->nargs != g->nargs
        || f->damaged != g->damaged || f->names != g->names
        || f->v202 != g->v202)
    {
        return but & FACTS && test_codec == &ngx_mesh_bolt_codec;
    }

    return (but & (VERSION|FACTS) || str_same(&f->version, &g->version))
           && (but & (GROUP|FACTS) || str_same(&f->group, &g->group))
           && (but & FACTS || (str_same(&f->app, &g->app)
                               && f->timeout == g->timeout));
}


/* an edit into memory of exactly that size */

static ngx_int_t
written(vector_t *v, ngx_mesh_edit_t *edit, size_t size, test_buf_t *b,
    size_t *len)
{
    u_char       *dst;
    ngx_int_t     rc;
    test_call_t   call;

    test_decode(&call, &v->frame, NGX_MESH_WANT_NAMES, TEST_SCRATCH);

    dst = malloc(size ? size : 1);

    rc = test_codec->edit(test_codec, call.frame, &call.f, &call.facts, edit,
                          dst, size, len);

    if (rc == NGX_OK) {
        test_bytes(b, dst, *len);

        if (call.f.size != *len) {
            rc = NGX_ERROR;
        }
    }

    free(dst);
    test_drop(&call);

    return rc;
}


static int
edited(vector_t *v, ngx_mesh_edit_t *edit, test_call_t *call, ngx_uint_t but)
{
    int          passed;
    size_t       len, need, bound;
    test_buf_t   b, c;

    memset(&b, 0, sizeof(test_buf_t));
    memset(&c, 0, sizeof(test_buf_t));
    memset(call, 0, sizeof(test_call_t));

    bound = ngx_mesh_codec_edit_bound(&v->call.f, edit);

    passed = written(v, edit, bound, &b, &len) == NGX_OK
             && written(v, edit, len, &c, &need) == NGX_OK && need == len
             && test_same(&b, c.data, c.len)
             && written(v, edit, len - 1, &c, &need) == NGX_AGAIN
             && need == len
             && written(v, edit, 0, &c, &need) == NGX_AGAIN && need == len;

    if (passed) {
        test_decode(call, &b, WANT, TEST_SCRATCH);
        passed = call->rc == NGX_OK && call->f.size == len && !call->f.bad
                 && same(&v->call, call, but);
    }

    test_free(&b);
    test_free(&c);

    return passed;
}


static void
fields(vector_t *v)
{
    int                    rewritten;
    ngx_str_t              value;
    test_call_t            call;
    ngx_uint_t             i, n;
    ngx_mesh_edit_t        edit;
    ngx_mesh_edit_field_t  set[NAMES];

    memset(&edit, 0, sizeof(ngx_mesh_edit_t));
    memset(set, 0, sizeof(set));
    edit.fields = set;

    ok(edited(v, &edit, &call, 0)
       && call.facts.attachments == v->call.facts.attachments,
       "%s: nothing to do", v->name);
    test_drop(&call);

    edit.nfields = 1;
    test_str(&set[0].name, "x-mesh-new");
    test_str(&set[0].value, "a \"b\" \\ \xc3\xbc \xf0\x9f\x98\x80");
    ok(edited(v, &edit, &call, 0)
       && test_attachment_is(&call, "x-mesh-new",
                             "a \"b\" \\ \xc3\xbc \xf0\x9f\x98\x80"),
       "%s: one set", v->name);
    test_drop(&call);

    set[0].remove = 1;
    ok(edited(v, &edit, &call, 0)
       && test_attachment(&call, "x-mesh-new", &value) == NGX_DECLINED,
       "%s: one removed that is not there", v->name);
    test_drop(&call);

    edit.nfields = 2;
    set[1].name = set[0].name;
    test_str(&set[1].value, "");
    ok(edited(v, &edit, &call, 0)
       && test_attachment_is(&call, "x-mesh-new", ""),
       "%s: one removed and set", v->name);
    test_drop(&call);

    for (i = 0, n = 0; i < v->n; i++) {
        edit.nfields = 1;
        set[0].remove = 0;
        test_str(&set[0].name, v->names[i]);
        test_str(&set[0].value, "other");

        rewritten = edited(v, &edit, &call, FACTS);
        ok(rewritten && test_attachment_is(&call, v->names[i], "other"),
           "%s: %s set", v->name, v->names[i]);
        test_drop(&call);

        set[0].remove = 1;
        rewritten = edited(v, &edit, &call, FACTS);
        ok(rewritten
           && test_attachment(&call, v->names[i], &value) == NGX_DECLINED,
           "%s: %s removed", v->name, v->names[i]);
        test_drop(&call);
    }

    for (i = 0; i < v->n; i++) {
        set[i].remove = 1;
        test_str(&set[i].name, v->names[i]);
    }

    edit.nfields = v->n;
    rewritten = edited(v, &edit, &call, FACTS);

    for (i = 0; i < v->n; i++) {
        n += test_attachment(&call, v->names[i], &value) == NGX_OK;
    }

    ok(rewritten && n == 0, "%s: all removed", v->name);
    test_drop(&call);
}


static void
rewrites(vector_t *v)
{
    int              bolt;
    size_t           len;
    ngx_str_t        value;
    test_buf_t       b;
    test_call_t      call;
    ngx_mesh_edit_t  edit;

    bolt = (test_codec == &ngx_mesh_bolt_codec);
    memset(&edit, 0, sizeof(ngx_mesh_edit_t));

    edit.rewrite_version = 1;
    test_str(&edit.version, "9.8.7-mesh");
    ok(edited(v, &edit, &call, VERSION)
       && test_is(&call.facts.version, "9.8.7-mesh")
       && (bolt || test_attachment_is(&call, "version", "9.8.7-mesh")),
       "%s: version", v->name);
    test_drop(&call);

    test_str(&edit.version, "");
    ok(edited(v, &edit, &call, VERSION) && call.facts.version.len == 0
       && test_attachment(&call, "version", &value) == NGX_DECLINED,
       "%s: no version", v->name);
    test_drop(&call);

    edit.rewrite_group = 1;
    test_str(&edit.version, "2.0");
    ok(edited(v, &edit, &call, VERSION|GROUP)
       && test_is(&call.facts.version, "2.0") && call.facts.group.len == 0,
       "%s: version, and no group", v->name);
    test_drop(&call);

    test_str(&edit.group, "green");

    if (bolt) {
        memset(&b, 0, sizeof(test_buf_t));
        ok(written(v, &edit, 65536, &b, &len) == NGX_DECLINED,
           "%s: has no groups", v->name);
        test_free(&b);
        return;
    }

    ok(edited(v, &edit, &call, VERSION|GROUP)
       && test_is(&call.facts.version, "2.0")
       && test_is(&call.facts.group, "green")
       && test_attachment_is(&call, "group", "green"),
       "%s: version and group", v->name);
    test_drop(&call);

    edit.rewrite_version = 0;
    ok(edited(v, &edit, &call, GROUP)
       && test_is(&call.facts.group, "green"), "%s: group", v->name);
    test_drop(&call);
}


/* the frame ends anywhere: it is declined, or what is written can be read */

static void
truncated(vector_t *v)
{
    int                     passed;
    u_char                 *dst;
    size_t                  n, len, size, first, step;
    ngx_int_t               rc;
    test_buf_t              b;
    test_call_t             call;
    ngx_mesh_edit_t         edit;
    ngx_mesh_frame_t        f;
    ngx_mesh_edit_field_t   set;

    memset(&b, 0, sizeof(test_buf_t));
    memset(&edit, 0, sizeof(ngx_mesh_edit_t));
    memset(&set, 0, sizeof(ngx_mesh_edit_field_t));
    test_bytes(&b, v->frame.data, v->frame.len);

    edit.fields = &set;
    edit.nfields = 1;
    edit.rewrite_version = 1;
    edit.rewrite_group = 1;
    test_str(&set.name, "k");
    test_str(&set.value, "v");
    test_str(&edit.version, "3");

    first = v->call.f.head;
    step = v->frame.len > 4096 ? 1 + v->frame.len / 1024 : 1;

    if (test_codec == &ngx_mesh_bolt_codec) {
        n = first - 8;
        first += (b.data[n] << 8 | b.data[n + 1])
                 + (b.data[n + 2] << 8 | b.data[n + 3]);
    }

    passed = 1;

    for (n = first; n < v->frame.len; n += step) {
        b.len = n;
        test_close(&b);

        test_decode(&call, &b, NGX_MESH_WANT_NAMES, TEST_SCRATCH);

        size = ngx_mesh_codec_edit_bound(&call.f, &edit);
        dst = malloc(size);
        rc = test_codec->edit(test_codec, call.frame, &call.f, &call.facts,
                              &edit, dst, size, &len);

        if (rc == NGX_OK) {
            passed &= test_codec->head(test_codec, dst, len, &f) == NGX_OK
                      && f.size == len;

        } else {
            passed &= (rc == NGX_DECLINED);
        }

        free(dst);
        test_drop(&call);
    }

    ok(passed, "%s: cut short anywhere", v->name);

    test_free(&b);
}


static void
check(vector_t *v)
{
    if (ngx_mesh_codec_detect(ngx_mesh_codecs, 2, v->frame.data, v->frame.len,
                              &test_codec)
        != NGX_OK)
    {
        ok(0, "%s: detected", v->name);
        return;
    }

    test_decode(&v->call, &v->frame, WANT, TEST_SCRATCH);

    if (v->call.rc == NGX_OK && v->call.f.kind <= NGX_MESH_FRAME_ONEWAY) {
        fields(v);
        rewrites(v);
        truncated(v);
    }

    test_drop(&v->call);
}


int
main(int argc, char **argv)
{
    char      *line, *hex;
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

        } else if (strncmp(line, "fact attachment.", 16) == 0
                   && v.n < NAMES)
        {
            hex = strchr(line + 16, ' ');
            *hex = '\0';

            /* as it is written only in a question */

            if (line[16] >= 'a') {
                v.names[v.n++] = strdup(line + 16);
            }

        } else if (strcmp(line, "end") == 0) {
            check(&v);

            while (v.n) {
                free(v.names[--v.n]);
            }

            test_free(&v.frame);
        }
    }

    free(line);

    return test_done();
}
