
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as a request that is edited, of Dubbo or Bolt.  The sanitizers
 * look for reads and writes outside of exact copies; the rest is checked
 * here: an edit is declined, or tells the size it takes and makes a frame
 * that says what it was meant to say, and nothing else anew.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"


/* enough for all that a frame of the fuzzer's size may want to keep */
#define SCRATCH  65536
#define MIN      28

#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


typedef struct {
    u_char            *frame;
    u_char            *scratch;
    ngx_mesh_frame_t   f;
    ngx_mesh_facts_t   facts;
} call_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const ngx_mesh_codec_t  *codec;

static ngx_str_t  names[4] = {
    ngx_string("k"),
    ngx_string("version"),
    ngx_string("service"),
    ngx_string("tag")
};

static ngx_str_t  values[4] = {
    ngx_string("v"),
    ngx_string(""),
    ngx_string("a.b:1.0"),
    ngx_string("a value that is longer than 32 units and \"quoted\" \\ ")
};


static void
copy(call_t *c, u_char *p, size_t size, size_t room)
{
    memset(c, 0, sizeof(call_t));

    c->frame = malloc(size);
    memcpy(c->frame, p, size);

    check(codec->head(codec, c->frame, size, &c->f) == NGX_OK);
    check(c->f.size == size);

    c->scratch = malloc(room ? room : 1);
    c->facts.scratch = c->scratch;
    c->facts.scratch_end = c->scratch + room;
}


static void
done(call_t *c)
{
    free(c->frame);
    free(c->scratch);
}


static void
facts(call_t *c)
{
    codec->facts(codec, c->frame, &c->f,
                 NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS
                 | NGX_MESH_WANT_FORCED, &c->facts);
}


static int
is(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


/* edits the frame into exactly that much memory */

static ngx_int_t
into(u_char *p, size_t size, size_t room, const ngx_mesh_edit_t *edit,
    u_char **dst, size_t *len)
{
    call_t     c;
    ngx_int_t  rc;

    copy(&c, p, size, SCRATCH);

    *dst = malloc(room ? room : 1);
    rc = codec->edit(codec, c.frame, &c.f, &c.facts, edit, *dst, room, len);

    check(rc == NGX_OK ? *len <= room && c.f.size == *len
          : rc == NGX_AGAIN ? *len > room : rc == NGX_DECLINED);

    done(&c);

    return rc;
}


static void
verify(u_char *p, size_t size, u_char *dst, size_t len,
    const ngx_mesh_edit_t *edit)
{
    call_t      a, b;
    ngx_int_t   rc;
    ngx_str_t   value;
    ngx_uint_t  i;

    copy(&a, p, size, SCRATCH);
    copy(&b, dst, len, SCRATCH);

    if (b.f.check) {
        check(codec->whole(codec, b.frame, &b.f) == NGX_OK && !b.f.bad);
    }

    facts(&a);
    facts(&b);

    /* content that Bolt's names need not be looked for in may be damaged */

    check(!b.facts.damaged || codec == &ngx_mesh_bolt_codec);
    check(b.f.id == a.f.id && b.f.kind == a.f.kind);
    check(b.facts.nargs == a.facts.nargs);

    if (codec == &ngx_mesh_dubbo_codec) {
        check(is(&a.facts.interface, &b.facts.interface));
        check(is(&a.facts.method, &b.facts.method));
        check(is(&a.facts.descriptor, &b.facts.descriptor));

        if (edit->rewrite_version) {
            check(is(&b.facts.version, (ngx_str_t *) &edit->version));

        } else {
            check(is(&b.facts.version, &a.facts.version));
        }

        if (edit->rewrite_group) {
            check(is(&b.facts.group, (ngx_str_t *) &edit->group));
        }

    } else if (edit->rewrite_version) {
        check(is(&b.facts.version, (ngx_str_t *) &edit->version));
    }

    for (i = 0; i < edit->nfields; i++) {

        if (edit->fields[i].remove || edit->rewrite_version) {
            continue;
        }

        rc = codec->attachment(codec, &b.facts, &edit->fields[i].name,
                               &value);

        check(rc == NGX_OK && is(&value, &edit->fields[i].value));
    }

    done(&a);
    done(&b);
}


static void
edited(u_char *p, size_t size, const ngx_mesh_edit_t *edit)
{
    u_char     *dst, *again;
    size_t      len, need;
    call_t      c;
    ngx_int_t   rc;

    copy(&c, p, size, 0);
    rc = into(p, size, ngx_mesh_codec_edit_bound(&c.f, edit), edit, &dst,
              &len);
    done(&c);

    check(rc != NGX_AGAIN);

    if (rc == NGX_DECLINED) {
        free(dst);
        check(into(p, size, 0, edit, &again, &len) == NGX_DECLINED);
        free(again);
        return;
    }

    verify(p, size, dst, len, edit);

    check(into(p, size, len, edit, &again, &need) == NGX_OK && need == len);
    check(memcmp(dst, again, len) == 0);
    free(again);

    check(into(p, size, len - 1, edit, &again, &need) == NGX_AGAIN);
    check(need == len);
    free(again);

    check(into(p, size, size / 2, edit, &again, &need) != NGX_DECLINED);
    check(need == len);
    free(again);

    free(dst);
}


/* not every input has to find the lengths by itself */

static void
repair(u_char *p, size_t size)
{
    size_t  at, n;

    if (p[0] != 1 && p[0] != 2) {
        codec = &ngx_mesh_dubbo_codec;
        p[0] = 0xda;
        p[1] = 0xbb;
        p[2] = (u_char) ((p[2] | 0x80) & ~0x20);
        at = 12;
        n = size - 16;

    } else {
        codec = &ngx_mesh_bolt_codec;
        at = 18;

        if (p[0] == 2) {
            p[1] = 1 + (p[1] & 1);
            p[11] &= 0x7f;
            at = 20;
        }

        n = p[0] - 1;
        p[n + 1] = 1;
        p[n + 2] = 0;
        p[n + 3] = 1;

        n = size - at - 4;

        if (p[0] == 2 && p[1] == 2 && (p[11] & 1)) {
            n = (n > 4) ? n - 4 : 0;
        }

        if ((size_t) (p[at - 4] << 8 | p[at - 3]) > n) {
            p[at - 4] = 0;
            p[at - 3] = 0;
        }

        n -= (size_t) (p[at - 4] << 8 | p[at - 3]);

        if ((size_t) (p[at - 2] << 8 | p[at - 1]) > n) {
            p[at - 2] = 0;
            p[at - 1] = 0;
        }

        n -= (size_t) (p[at - 2] << 8 | p[at - 1]);
    }

    p[at] = (u_char) (n >> 24);
    p[at + 1] = (u_char) (n >> 16);
    p[at + 2] = (u_char) (n >> 8);
    p[at + 3] = (u_char) n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                 *p, choice;
    ngx_mesh_edit_t         edit;
    ngx_mesh_frame_t        f;
    ngx_mesh_edit_field_t   fields[2];

    if (size < MIN) {
        return 0;
    }

    p = malloc(size);
    memcpy(p, data, size);

    repair(p, size);

    if (codec->head(codec, p, size, &f) != NGX_OK || f.size != size) {
        free(p);
        return 0;
    }

    /* the id is of no use otherwise: it chooses the edit */

    choice = (u_char) f.id;

    memset(&edit, 0, sizeof(ngx_mesh_edit_t));
    memset(fields, 0, sizeof(fields));

    edit.fields = fields;
    edit.nfields = choice % 3;
    fields[0].name = names[choice >> 2 & 3];
    fields[0].value = values[choice >> 4 & 3];
    fields[0].remove = (choice & 3) == 3;
    fields[1].name = names[(choice >> 2 & 3) ^ 1];
    fields[1].value = values[choice >> 3 & 3];

    edit.rewrite_version = (choice >> 6) & 1;
    edit.rewrite_group = (choice >> 7) & 1;
    edit.version = values[choice & 2 ? 0 : 1];
    edit.group = values[choice & 4 ? 0 : 1];

    edited(p, size, &edit);

    free(p);

    return 0;
}
