
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_dubbo.h"
#include "ngx_mesh_serial.h"


/*
 * Facts of a Dubbo request.
 *
 * The second string is taken for the interface as it is.  Consumers before
 * 2.7.7 write the path of the provider's URL there, which differs from the
 * interface only where a service was exported under a path of its own.
 */


static ngx_int_t ngx_mesh_dubbo_facts_names(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts);
static void ngx_mesh_dubbo_facts_generic(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_facts_nargs(ngx_str_t *descriptor,
    ngx_uint_t *nargs);
static ngx_uint_t ngx_mesh_dubbo_facts_v202(ngx_str_t *version);
static ngx_int_t ngx_mesh_dubbo_facts_attachments(
    const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r, ngx_uint_t forced,
    ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_facts_known(ngx_mesh_body_t *r,
    ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_facts_map(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_facts_fact(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_str_t *key, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_facts_text(ngx_mesh_value_t *v,
    ngx_str_t *text, u_char **scratch, u_char *end);


static ngx_inline void
ngx_mesh_dubbo_facts_reader(ngx_mesh_body_t *r, ngx_mesh_facts_t *facts,
    u_char *pos)
{
    r->pos = pos;
    r->limit = facts->end;
    r->end = facts->end;
    r->scratch = facts->scratch;
    r->scratch_end = facts->scratch_end;
    r->classes = facts->classes;
    r->nclasses = facts->nclasses;
}


void
ngx_mesh_dubbo_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts)
{
    ngx_int_t                 rc;
    ngx_uint_t                forced;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    serial = ngx_mesh_serial_find(f->serial);

    if (facts->end == NULL) {
        facts->end = p + f->size;
        facts->serial = f->serial;
        facts->timeout = -1;

        if (serial) {
            ngx_mesh_dubbo_facts_reader(&r, facts, p + NGX_MESH_DUBBO_HEAD);

            rc = ngx_mesh_dubbo_facts_names(serial, &r, facts);

            facts->damaged = (rc != NGX_OK);
            facts->scratch = r.scratch;
        }
    }

    if (!(want & NGX_MESH_WANT_ATTACHMENTS)) {
        return;
    }

    forced = want & NGX_MESH_WANT_FORCED;

    if (facts->attachments || facts->forced || (facts->tried && !forced)) {
        return;
    }

    facts->tried = 1;
    facts->forced = (forced != 0);

    if (facts->damaged || facts->args == NULL) {
        return;
    }

    ngx_mesh_dubbo_facts_reader(&r, facts, facts->args);

    rc = ngx_mesh_dubbo_facts_attachments(serial, &r, forced, facts);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        facts->damaged = 1;
    }
}


static ngx_int_t
ngx_mesh_dubbo_facts_names(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
    ngx_mesh_facts_t *facts)
{
    ngx_int_t    rc;
    ngx_str_t    version;
    ngx_uint_t   i;
    ngx_str_t   *names[5];

    names[0] = &version;
    names[1] = &facts->interface;
    names[2] = &facts->version;
    names[3] = &facts->method;
    names[4] = &facts->descriptor;

    for (i = 0; i < 5; i++) {
        rc = serial->string(r, names[i]);
        if (rc != NGX_OK) {
            ngx_str_null(names[i]);
            return rc;
        }

        if (i == 3) {
            facts->names = (facts->interface.len && facts->method.len);
        }

        if (i == 2 && facts->version.len == 5
            && ngx_memcmp(facts->version.data, "0.0.0", 5) == 0)
        {
            ngx_str_null(&facts->version);
        }
    }

    facts->v202 = ngx_mesh_dubbo_facts_v202(&version);

    rc = ngx_mesh_dubbo_facts_nargs(&facts->descriptor, &facts->nargs);
    if (rc != NGX_OK) {
        return rc;
    }

    facts->args = r->pos;

    if (facts->method.len >= 7
        && ngx_memcmp(facts->method.data, "$invoke", 7) == 0)
    {
        ngx_mesh_dubbo_facts_generic(serial, r, facts);
    }

    return NGX_OK;
}


/* a generic call has the method's name as its first argument */

static void
ngx_mesh_dubbo_facts_generic(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts)
{
    ngx_int_t  rc;
    ngx_str_t  method;

    if (facts->nargs == 0
        || (facts->method.len != 7
            && (facts->method.len != 12
                || ngx_memcmp(facts->method.data + 7, "Async", 5) != 0)))
    {
        return;
    }

    rc = serial->string(r, &method);

    /* if it is something else, skipping the arguments will tell */

    if (rc == NGX_OK && method.len) {
        facts->method = method;
        facts->generic = 1;
    }
}


/* counts the JVM descriptors: an array's brackets belong to what follows */

static ngx_int_t
ngx_mesh_dubbo_facts_nargs(ngx_str_t *descriptor, ngx_uint_t *nargs)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    *nargs = 0;

    if (descriptor->len == 0) {
        return NGX_OK;
    }

    p = descriptor->data;
    last = p + descriptor->len;

    for (n = 0; p < last; n++) {

        while (*p == '[') {
            if (++p == last) {
                return NGX_ERROR;
            }
        }

        switch (*p) {

        case 'L':
            p = memchr(p, ';', last - p);
            if (p == NULL) {
                return NGX_ERROR;
            }

            break;

        case 'V':
        case 'Z':
        case 'B':
        case 'C':
        case 'D':
        case 'F':
        case 'I':
        case 'J':
        case 'S':
            break;

        default:
            return NGX_ERROR;
        }

        p++;
    }

    *nargs = n;

    return NGX_OK;
}


/* 2.0.2 to 2.0.99; anything else is the version of an old jar */

static ngx_uint_t
ngx_mesh_dubbo_facts_v202(ngx_str_t *version)
{
    ngx_int_t  n;

    if (version->len < 5 || version->len > 6
        || ngx_memcmp(version->data, "2.0.", 4) != 0)
    {
        return 0;
    }

    n = ngx_atoi(version->data + 4, version->len - 4);

    return n >= 2;
}


/* NGX_DECLINED: there are none, or the arguments are over the budget */

static ngx_int_t
ngx_mesh_dubbo_facts_attachments(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_uint_t forced, ngx_mesh_facts_t *facts)
{
    ngx_int_t  rc;

    if (!forced && r->end - r->pos > NGX_MESH_ARGS_BUDGET) {
        r->limit = r->pos + NGX_MESH_ARGS_BUDGET;
    }

    rc = serial->arguments(r, facts->nargs);

    if (rc != NGX_OK) {
        return (rc == NGX_AGAIN && r->limit < r->end) ? NGX_DECLINED : rc;
    }

    if (r->pos == r->end) {
        return NGX_DECLINED;
    }

    r->limit = r->end;

    facts->attach = r->pos;
    facts->classes = r->classes;
    facts->nclasses = r->nclasses;
    facts->scratch_end = r->scratch_end;

    if (facts->known && r->nclasses == 0
        && ngx_mesh_dubbo_facts_known(r, facts) == NGX_OK)
    {
        return NGX_OK;
    }

    rc = serial->open(r);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    facts->attachments = 1;

    if (rc == NGX_OK) {
        rc = ngx_mesh_dubbo_facts_map(serial, r, facts);
        facts->scratch = r->scratch;
    }

    return rc;
}


/* most calls of a client carry the same attachments again and again */

static ngx_int_t
ngx_mesh_dubbo_facts_known(ngx_mesh_body_t *r, ngx_mesh_facts_t *facts)
{
    const ngx_mesh_known_t  *known;

    known = facts->known;

    if ((size_t) (r->end - r->pos) != known->len
        || ngx_memcmp(r->pos, known->bytes, known->len) != 0)
    {
        return NGX_DECLINED;
    }

    facts->attachments = 1;
    facts->timeout = known->timeout;
    facts->group.data = r->pos + known->group;
    facts->group.len = known->group_len;
    facts->app.data = r->pos + known->app;
    facts->app.len = known->app_len;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_dubbo_facts_map(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
    ngx_mesh_facts_t *facts)
{
    ngx_int_t  rc;
    ngx_str_t  key;

    for ( ;; ) {
        rc = serial->key(r, &key);

        if (rc != NGX_OK) {
            return rc == NGX_DONE ? NGX_OK : rc;
        }

        switch (key.len) {

        case 3:
        case 5:
        case 7:
        case 11:
        case 18:
            rc = ngx_mesh_dubbo_facts_fact(serial, r, &key, facts);
            break;

        default:
            rc = serial->skip(r);
            break;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


#define ngx_mesh_dubbo_facts_is(key, name)                                    \
    ((key)->len == sizeof(name) - 1                                           \
     && ngx_memcmp((key)->data, name, sizeof(name) - 1) == 0)


static ngx_int_t
ngx_mesh_dubbo_facts_fact(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
    ngx_str_t *key, ngx_mesh_facts_t *facts)
{
    int64_t           timeout;
    ngx_int_t         rc;
    ngx_mesh_value_t  v;

    if (ngx_mesh_dubbo_facts_is(key, "group")
        || ngx_mesh_dubbo_facts_is(key, "remote.application")
        || ngx_mesh_dubbo_facts_is(key, "application"))
    {
        rc = serial->value(r, &v);

        if (rc != NGX_OK || v.type != NGX_MESH_SERIAL_STRING) {
            return rc;
        }

        if (key->len == 5) {
            facts->group = v.str;

        } else if (key->len == 18 || facts->app.len == 0) {
            facts->app = v.str;
        }

        return NGX_OK;
    }

    if (!ngx_mesh_dubbo_facts_is(key, "timeout")
        && !ngx_mesh_dubbo_facts_is(key, "_TO")
        && !ngx_mesh_dubbo_facts_is(key, "_to"))
    {
        return serial->skip(r);
    }

    rc = serial->value(r, &v);
    if (rc != NGX_OK) {
        return rc;
    }

    switch (v.type) {

    case NGX_MESH_SERIAL_STRING:
        timeout = ngx_atoi(v.str.data, v.str.len);
        break;

    case NGX_MESH_SERIAL_INT:
        timeout = v.num;
        break;

    default:
        return NGX_OK;
    }

    /* what is left of the caller's own deadline may be less than the time
       the method is allowed to take */

    if (timeout > 0 && (facts->timeout == -1 || timeout < facts->timeout)) {
        facts->timeout = (ngx_int_t) ngx_min(timeout, NGX_MAX_INT32_VALUE);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_dubbo_facts_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value)
{
    u_char                   *found;
    ngx_str_t                 key;
    ngx_mesh_body_t           r;
    ngx_mesh_value_t          v;
    const ngx_mesh_serial_t  *serial;

    if (!facts->attachments) {
        return NGX_DECLINED;
    }

    serial = ngx_mesh_serial_find(facts->serial);

    if (serial == NULL) {
        return NGX_DECLINED;
    }

    ngx_mesh_dubbo_facts_reader(&r, facts, facts->attach);

    if (serial->open(&r) != NGX_OK) {
        return NGX_DECLINED;
    }

    found = NULL;

    /* the last one of a name is the one that Java's map keeps */

    while (serial->key(&r, &key) == NGX_OK) {

        if (ngx_mesh_codec_name_match(name, key.data, key.len) == NGX_OK) {
            found = r.pos;
        }

        if (serial->skip(&r) != NGX_OK) {
            break;
        }
    }

    if (found == NULL) {
        return NGX_DECLINED;
    }

    r.pos = found;

    if (serial->value(&r, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    facts->scratch = r.scratch;

    return ngx_mesh_dubbo_facts_text(&v, value, &facts->scratch,
                               facts->scratch_end);
}


static ngx_int_t
ngx_mesh_dubbo_facts_text(ngx_mesh_value_t *v, ngx_str_t *text,
    u_char **scratch, u_char *end)
{
    int      i, n;
    u_char  *p;

    switch (v->type) {

    case NGX_MESH_SERIAL_STRING:
        *text = v->str;
        return NGX_OK;

    case NGX_MESH_SERIAL_BOOL:
        if (v->num) {
            ngx_str_set(text, "true");

        } else {
            ngx_str_set(text, "false");
        }

        return NGX_OK;

    case NGX_MESH_SERIAL_INT:
    case NGX_MESH_SERIAL_DOUBLE:
        break;

    default:
        return NGX_DECLINED;
    }

    p = *scratch;

    if (end - p < NGX_MESH_SERIAL_NUM_LEN) {
        return NGX_DECLINED;
    }

    if (v->type == NGX_MESH_SERIAL_INT) {
        *scratch = ngx_sprintf(p, "%L", v->num);

    } else {

        /* the shortest text that reads as the same number */

        for (i = 15; i <= 17; i++) {
            n = snprintf((char *) p, NGX_MESH_SERIAL_NUM_LEN, "%.*g", i,
                         v->dbl);

            if (strtod((char *) p, NULL) == v->dbl) {
                break;
            }
        }

        *scratch = p + n;
    }

    text->data = p;
    text->len = *scratch - p;

    return NGX_OK;
}
