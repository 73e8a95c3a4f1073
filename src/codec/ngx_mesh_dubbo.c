
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_fastjson2.h"
#include "ngx_mesh_hessian2.h"


/*
 * Dubbo 2 frame, integers big-endian:
 *
 *    0  da bb
 *    2  flags: 80 request, 40 two-way, 20 event, 1f serialization
 *    3  status of a response
 *    4  request id, 64 bits
 *   12  length of the body, signed 32 bits
 *   16  body
 *
 * Body of a request: strings protocol version, service, service version,
 * method, descriptor of the arguments; the arguments; a map of attachments.
 * Body of a response with status 20: a flag, then value or exception; with
 * any other status: one string.
 *
 * The second string is taken for the interface as it is.  Consumers before
 * 2.7.7 write the path of the provider's URL there, which differs from the
 * interface only where a service was exported under a path of its own.
 */


#define NGX_MESH_DUBBO_HEAD            16

#define NGX_MESH_DUBBO_REQUEST         0x80
#define NGX_MESH_DUBBO_TWOWAY          0x40
#define NGX_MESH_DUBBO_EVENT           0x20
#define NGX_MESH_DUBBO_SERIAL          0x1f

#define NGX_MESH_DUBBO_OK              20

/* flags of a result whose value is an exception, without attachments and
   with them */
#define NGX_MESH_DUBBO_EXCEPTION       0
#define NGX_MESH_DUBBO_EXCEPTION_MORE  3


static u_char *ngx_mesh_dubbo_put(u_char *p, ngx_uint_t flags,
    ngx_uint_t status, uint64_t id, size_t len);
static ngx_int_t ngx_mesh_dubbo_head(const ngx_mesh_codec_t *codec, u_char *p,
    size_t n, ngx_mesh_frame_t *f);
static void ngx_mesh_dubbo_event(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f);
static u_char ngx_mesh_dubbo_event_letter(ngx_mesh_frame_t *f, u_char *p,
    size_t n);
static void ngx_mesh_dubbo_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_names(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts);
static void ngx_mesh_dubbo_generic(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_nargs(ngx_str_t *descriptor,
    ngx_uint_t *nargs);
static ngx_uint_t ngx_mesh_dubbo_v202(ngx_str_t *version);
static ngx_int_t ngx_mesh_dubbo_attachments(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_uint_t forced, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_map(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_fact(const ngx_mesh_serial_t *serial,
    ngx_mesh_body_t *r, ngx_str_t *key, ngx_mesh_facts_t *facts);
static ngx_int_t ngx_mesh_dubbo_attachment(const ngx_mesh_codec_t *codec,
    ngx_mesh_facts_t *facts, ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_mesh_dubbo_text(ngx_mesh_value_t *v, ngx_str_t *text,
    u_char **scratch, u_char *end);
static ngx_uint_t ngx_mesh_dubbo_result(const ngx_mesh_codec_t *codec,
    u_char *p, ngx_mesh_frame_t *f);
static void ngx_mesh_dubbo_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id);
static size_t ngx_mesh_dubbo_error(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text);
static size_t ngx_mesh_dubbo_signal(u_char *dst, size_t size,
    ngx_mesh_frame_t *f, ngx_uint_t flags);
static size_t ngx_mesh_dubbo_heartbeat(const ngx_mesh_codec_t *codec,
    u_char *dst, size_t size, ngx_mesh_frame_t *f);
static size_t ngx_mesh_dubbo_ack(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, u_char *p, ngx_mesh_frame_t *f);
static size_t ngx_mesh_dubbo_notice(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f);


const ngx_mesh_codec_t  ngx_mesh_dubbo_codec = {
    ngx_string("dubbo"),
    NGX_MESH_DUBBO_HEAD,
    64,
    ngx_mesh_dubbo_head,
    ngx_mesh_dubbo_event,
    ngx_mesh_dubbo_facts,
    ngx_mesh_dubbo_attachment,
    ngx_mesh_dubbo_result,
    ngx_mesh_dubbo_set_id,
    ngx_mesh_dubbo_error,
    ngx_mesh_dubbo_heartbeat,
    ngx_mesh_dubbo_ack,
    ngx_mesh_dubbo_notice,
    NULL
};


/*
 * DESIGN has no status for a provider's call on a shared link; 70 is what
 * Java answers when it has no service to call.  The client that went away
 * is not answered.
 */

static const u_char  ngx_mesh_dubbo_status[NGX_MESH_ERR_N] = {
    0,                                      /* NGX_MESH_ERR_NONE */
    60,                                     /* NGX_MESH_ERR_NO_ROUTE */
    60,                                     /* NGX_MESH_ERR_NO_ENDPOINT */
    30,                                     /* NGX_MESH_ERR_EXPIRED */
    31,                                     /* NGX_MESH_ERR_TIMEOUT */
    70,                                     /* NGX_MESH_ERR_CLOSED */
    100,                                    /* NGX_MESH_ERR_OVERLOAD */
    40,                                     /* NGX_MESH_ERR_TOO_LARGE */
    50,                                     /* NGX_MESH_ERR_BAD_RESPONSE */
    80,                                     /* NGX_MESH_ERR_DENIED */
    0,                                      /* NGX_MESH_ERR_CLIENT */
    70                                      /* NGX_MESH_ERR_CALLBACK */
};


static ngx_inline const ngx_mesh_serial_t *
ngx_mesh_dubbo_serial(ngx_uint_t id)
{
    switch (id) {

    case NGX_MESH_SERIAL_HESSIAN2:
        return &ngx_mesh_hessian2;

    case NGX_MESH_SERIAL_FASTJSON2:
        return &ngx_mesh_fastjson2;

    default:
        return NULL;
    }
}


static ngx_inline void
ngx_mesh_dubbo_reader(ngx_mesh_body_t *r, ngx_mesh_facts_t *facts,
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


static u_char *
ngx_mesh_dubbo_put(u_char *p, ngx_uint_t flags, ngx_uint_t status,
    uint64_t id, size_t len)
{
    ngx_uint_t  i;

    *p++ = 0xda;
    *p++ = 0xbb;
    *p++ = (u_char) flags;
    *p++ = (u_char) status;

    for (i = 0; i < 8; i++) {
        *p++ = (u_char) (id >> (56 - 8 * i));
    }

    for (i = 0; i < 4; i++) {
        *p++ = (u_char) (len >> (24 - 8 * i));
    }

    return p;
}


static ngx_int_t
ngx_mesh_dubbo_head(const ngx_mesh_codec_t *codec, u_char *p, size_t n,
    ngx_mesh_frame_t *f)
{
    u_char      flags;
    uint32_t    len;

    if ((n > 0 && p[0] != 0xda) || (n > 1 && p[1] != 0xbb)) {
        return NGX_ERROR;
    }

    if (n < NGX_MESH_DUBBO_HEAD) {
        f->size = NGX_MESH_DUBBO_HEAD;
        return NGX_AGAIN;
    }

    len = (uint32_t) p[12] << 24 | (uint32_t) p[13] << 16
          | (uint32_t) p[14] << 8 | p[15];

    if (len > 0x7fffffff) {
        return NGX_ERROR;
    }

    f->id = (uint64_t) p[4] << 56 | (uint64_t) p[5] << 48
            | (uint64_t) p[6] << 40 | (uint64_t) p[7] << 32
            | (uint64_t) p[8] << 24 | (uint64_t) p[9] << 16
            | (uint64_t) p[10] << 8 | p[11];

    f->size = NGX_MESH_DUBBO_HEAD + (size_t) len;
    f->timeout = 0;
    f->variant = 0;
    f->head = NGX_MESH_DUBBO_HEAD;

    flags = p[2];

    f->serial = flags & NGX_MESH_DUBBO_SERIAL;

    if (flags & NGX_MESH_DUBBO_REQUEST) {
        f->status = 0;
        f->ok = 0;
        f->kind = (flags & NGX_MESH_DUBBO_EVENT) ? NGX_MESH_FRAME_EVENT
                  : (flags & NGX_MESH_DUBBO_TWOWAY) ? NGX_MESH_FRAME_REQUEST
                                                    : NGX_MESH_FRAME_ONEWAY;
        return NGX_OK;
    }

    f->status = p[3];
    f->ok = (p[3] == NGX_MESH_DUBBO_OK);
    f->kind = (flags & NGX_MESH_DUBBO_EVENT) ? NGX_MESH_FRAME_ACK
                                             : NGX_MESH_FRAME_RESPONSE;
    return NGX_OK;
}


static void
ngx_mesh_dubbo_event(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    u_char      letter;
    ngx_uint_t  twoway;

    if (f->kind != NGX_MESH_FRAME_EVENT) {
        return;
    }

    twoway = p[2] & NGX_MESH_DUBBO_TWOWAY;

    letter = ngx_mesh_dubbo_event_letter(f, p + NGX_MESH_DUBBO_HEAD,
                                         f->size - NGX_MESH_DUBBO_HEAD);

    if (letter == 'R') {
        f->kind = NGX_MESH_FRAME_READONLY;

    } else if (twoway && (letter == 'N' || letter == 'H')) {
        f->kind = NGX_MESH_FRAME_HEARTBEAT;
    }
}


/*
 * The letter of an event: 'N' for null, which is a heartbeat, 'H' for the
 * form it takes where null cannot be written, 'R', 'W', or 0.
 */

static u_char
ngx_mesh_dubbo_event_letter(ngx_mesh_frame_t *f, u_char *p, size_t n)
{
    ngx_str_t                 s;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    if (n == 0) {
        return 'N';
    }

    serial = ngx_mesh_dubbo_serial(f->serial);

    if (serial == NULL) {

        /* a string is known by its last byte, anything else is taken for
           the null of a serialization that is not known here */

        return (p[n - 1] == 'R' || p[n - 1] == 'W') ? p[n - 1] : 'N';
    }

    ngx_memzero(&r, sizeof(ngx_mesh_body_t));

    r.pos = p;
    r.end = p + n;
    r.limit = r.end;

    if (serial->string(&r, &s) != NGX_OK) {
        return 0;
    }

    return s.len == 0 ? 'N' : s.len == 1 ? s.data[0] : 0;
}


static void
ngx_mesh_dubbo_facts(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts)
{
    ngx_int_t                 rc;
    ngx_uint_t                forced;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    serial = ngx_mesh_dubbo_serial(f->serial);

    if (facts->end == NULL) {
        facts->end = p + f->size;
        facts->serial = f->serial;
        facts->timeout = -1;

        if (serial) {
            ngx_mesh_dubbo_reader(&r, facts, p + NGX_MESH_DUBBO_HEAD);

            rc = ngx_mesh_dubbo_names(serial, &r, facts);

            facts->damaged = (rc != NGX_OK);
            facts->scratch = r.scratch;
        }
    }

    if (!(want & NGX_MESH_WANT_ATTACHMENTS)) {
        return;
    }

    forced = want & NGX_MESH_WANT_FORCED;

    if (facts->attachments || (facts->tried && !forced)) {
        return;
    }

    facts->tried = 1;

    if (facts->damaged || facts->args == NULL) {
        return;
    }

    ngx_mesh_dubbo_reader(&r, facts, facts->args);

    rc = ngx_mesh_dubbo_attachments(serial, &r, forced, facts);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        facts->damaged = 1;
    }
}


static ngx_int_t
ngx_mesh_dubbo_names(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
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
            && ngx_strncmp(facts->version.data, "0.0.0", 5) == 0)
        {
            ngx_str_null(&facts->version);
        }
    }

    facts->v202 = ngx_mesh_dubbo_v202(&version);

    rc = ngx_mesh_dubbo_nargs(&facts->descriptor, &facts->nargs);
    if (rc != NGX_OK) {
        return rc;
    }

    facts->args = r->pos;

    if (facts->method.len >= 7
        && ngx_strncmp(facts->method.data, "$invoke", 7) == 0)
    {
        ngx_mesh_dubbo_generic(serial, r, facts);
    }

    return NGX_OK;
}


/* a generic call has the method's name as its first argument */

static void
ngx_mesh_dubbo_generic(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
    ngx_mesh_facts_t *facts)
{
    ngx_int_t  rc;
    ngx_str_t  method;

    if (facts->nargs == 0
        || (facts->method.len != 7
            && (facts->method.len != 12
                || ngx_strncmp(facts->method.data + 7, "Async", 5) != 0)))
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
ngx_mesh_dubbo_nargs(ngx_str_t *descriptor, ngx_uint_t *nargs)
{
    u_char      *p, *last;
    ngx_uint_t   n;

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
ngx_mesh_dubbo_v202(ngx_str_t *version)
{
    ngx_int_t  n;

    if (version->len < 5 || version->len > 6
        || ngx_strncmp(version->data, "2.0.", 4) != 0)
    {
        return 0;
    }

    n = ngx_atoi(version->data + 4, version->len - 4);

    return n >= 2;
}


/* NGX_DECLINED: there are none, or the arguments are over the budget */

static ngx_int_t
ngx_mesh_dubbo_attachments(const ngx_mesh_serial_t *serial,
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

    rc = serial->open(r);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    facts->attachments = 1;

    if (rc == NGX_OK) {
        rc = ngx_mesh_dubbo_map(serial, r, facts);
        facts->scratch = r->scratch;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_dubbo_map(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
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
            rc = ngx_mesh_dubbo_fact(serial, r, &key, facts);
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


#define ngx_mesh_dubbo_is(key, name)                                          \
    ((key)->len == sizeof(name) - 1                                           \
     && ngx_memcmp((key)->data, name, sizeof(name) - 1) == 0)


static ngx_int_t
ngx_mesh_dubbo_fact(const ngx_mesh_serial_t *serial, ngx_mesh_body_t *r,
    ngx_str_t *key, ngx_mesh_facts_t *facts)
{
    ngx_int_t          rc, timeout;
    ngx_mesh_value_t   v;

    if (ngx_mesh_dubbo_is(key, "group")
        || ngx_mesh_dubbo_is(key, "remote.application")
        || ngx_mesh_dubbo_is(key, "application"))
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

    if (!ngx_mesh_dubbo_is(key, "timeout")
        && !ngx_mesh_dubbo_is(key, "_TO")
        && !ngx_mesh_dubbo_is(key, "_to"))
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
        timeout = (ngx_int_t) v.num;
        break;

    default:
        return NGX_OK;
    }

    /* what is left of the caller's own deadline may be less than the time
       the method is allowed to take */

    if (timeout > 0 && (facts->timeout == -1 || timeout < facts->timeout)) {
        facts->timeout = ngx_min(timeout, NGX_MAX_INT32_VALUE);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_dubbo_attachment(const ngx_mesh_codec_t *codec,
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

    serial = ngx_mesh_dubbo_serial(facts->serial);

    if (serial == NULL) {
        return NGX_DECLINED;
    }

    ngx_mesh_dubbo_reader(&r, facts, facts->attach);

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

    return ngx_mesh_dubbo_text(&v, value, &facts->scratch,
                               facts->scratch_end);
}


static ngx_int_t
ngx_mesh_dubbo_text(ngx_mesh_value_t *v, ngx_str_t *text, u_char **scratch,
    u_char *end)
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


static ngx_uint_t
ngx_mesh_dubbo_result(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f)
{
    ngx_uint_t                flag;
    ngx_mesh_body_t           r;
    const ngx_mesh_serial_t  *serial;

    if (!f->ok) {
        return NGX_MESH_RESULT_ERROR;
    }

    serial = ngx_mesh_dubbo_serial(f->serial);

    if (serial == NULL) {
        return NGX_MESH_RESULT_OK;
    }

    ngx_memzero(&r, sizeof(ngx_mesh_body_t));

    r.pos = p + NGX_MESH_DUBBO_HEAD;
    r.end = p + f->size;
    r.limit = r.end;

    if (serial->flag(&r, &flag) != NGX_OK) {
        return NGX_MESH_RESULT_OK;
    }

    return (flag == NGX_MESH_DUBBO_EXCEPTION
            || flag == NGX_MESH_DUBBO_EXCEPTION_MORE)
           ? NGX_MESH_RESULT_EXCEPTION : NGX_MESH_RESULT_OK;
}


static void
ngx_mesh_dubbo_set_id(const ngx_mesh_codec_t *codec, u_char *p,
    ngx_mesh_frame_t *f, uint64_t id)
{
    ngx_uint_t  i;

    f->id = id;

    for (i = 0; i < 8; i++) {
        p[4 + i] = (u_char) (id >> (56 - 8 * i));
    }
}


/*
 * Java reads an answer that is not status 20 by the serialization its own
 * header names, so that a caller whose serialization cannot be written here
 * gets its text in hessian2, which every Dubbo has.
 */

static size_t
ngx_mesh_dubbo_error(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    ngx_mesh_frame_t *f, ngx_uint_t err, ngx_str_t *text)
{
    size_t                    n;
    const ngx_mesh_serial_t  *serial;

    if (err >= NGX_MESH_ERR_N || ngx_mesh_dubbo_status[err] == 0) {
        return 0;
    }

    f->status = ngx_mesh_dubbo_status[err];
    f->ok = 0;

    if (size < NGX_MESH_DUBBO_HEAD || f->kind == NGX_MESH_FRAME_ONEWAY) {
        return 0;
    }

    if (text == NULL || text->len == 0) {
        text = ngx_mesh_codec_error_name(err);
    }

    serial = ngx_mesh_dubbo_serial(f->serial);

    if (serial == NULL) {
        serial = &ngx_mesh_hessian2;
    }

    n = serial->write(dst + NGX_MESH_DUBBO_HEAD, size - NGX_MESH_DUBBO_HEAD,
                      text);

    if (n == 0) {
        return 0;
    }

    ngx_mesh_dubbo_put(dst, serial->id, f->status, f->id, n);

    return NGX_MESH_DUBBO_HEAD + n;
}


/* one event that carries a constant; hessian2 where nothing better is known */

static size_t
ngx_mesh_dubbo_signal(u_char *dst, size_t size, ngx_mesh_frame_t *f,
    ngx_uint_t flags)
{
    const ngx_str_t          *body;
    const ngx_mesh_serial_t  *serial;

    serial = ngx_mesh_dubbo_serial(f->serial);

    if (serial == NULL) {
        serial = &ngx_mesh_hessian2;
    }

    body = (flags & NGX_MESH_DUBBO_TWOWAY) ? &serial->null
                                           : &serial->readonly;

    if (size < NGX_MESH_DUBBO_HEAD + body->len) {
        return 0;
    }

    dst = ngx_mesh_dubbo_put(dst, NGX_MESH_DUBBO_REQUEST | NGX_MESH_DUBBO_EVENT
                                  | flags | serial->id, 0, f->id, body->len);

    ngx_memcpy(dst, body->data, body->len);

    return NGX_MESH_DUBBO_HEAD + body->len;
}


static size_t
ngx_mesh_dubbo_heartbeat(const ngx_mesh_codec_t *codec, u_char *dst,
    size_t size, ngx_mesh_frame_t *f)
{
    return ngx_mesh_dubbo_signal(dst, size, f, NGX_MESH_DUBBO_TWOWAY);
}


/* the sender's own body comes back: it is null in the sender's spelling */

static size_t
ngx_mesh_dubbo_ack(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    u_char *p, ngx_mesh_frame_t *f)
{
    size_t  n;

    if (size < f->size) {
        return 0;
    }

    n = f->size - NGX_MESH_DUBBO_HEAD;

    dst = ngx_mesh_dubbo_put(dst, NGX_MESH_DUBBO_EVENT | f->serial,
                             NGX_MESH_DUBBO_OK, f->id, n);

    if (n) {
        ngx_memcpy(dst, p + NGX_MESH_DUBBO_HEAD, n);
    }

    return f->size;
}


static size_t
ngx_mesh_dubbo_notice(const ngx_mesh_codec_t *codec, u_char *dst, size_t size,
    ngx_mesh_frame_t *f)
{
    return ngx_mesh_dubbo_signal(dst, size, f, 0);
}
