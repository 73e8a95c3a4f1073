
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule.h"


/*
 * A rule as bytes: numbers of 32 or 64 bits, the lowest byte first, strings
 * behind their lengths, arrays behind the numbers of their elements.
 */


#define NGX_MESH_RULE_VERSION  1

#define NGX_MESH_RULE_DENIED   0x01


/* counts, and writes unless p is NULL */

typedef struct {
    u_char    *p;
    size_t     size;
} ngx_mesh_rule_out_t;


typedef struct {
    u_char      *p;
    u_char      *end;
    ngx_pool_t  *pool;
    ngx_int_t    rc;
} ngx_mesh_rule_in_t;


static void ngx_mesh_rule_put(ngx_mesh_rule_out_t *out, ngx_mesh_rule_t *rule);
static void ngx_mesh_rule_put_condition(ngx_mesh_rule_out_t *out,
    ngx_mesh_condition_t *c);
static void ngx_mesh_rule_put_target(ngx_mesh_rule_out_t *out,
    ngx_mesh_target_t *t);
static void ngx_mesh_rule_put_pairs(ngx_mesh_rule_out_t *out,
    ngx_keyval_t *pairs, ngx_uint_t n);
static void ngx_mesh_rule_put_str(ngx_mesh_rule_out_t *out, ngx_str_t *s);
static void ngx_mesh_rule_put_number(ngx_mesh_rule_out_t *out, uint64_t n,
    ngx_uint_t bytes);

static void ngx_mesh_rule_take_condition(ngx_mesh_rule_in_t *in,
    ngx_mesh_condition_t *c);
static void ngx_mesh_rule_take_target(ngx_mesh_rule_in_t *in,
    ngx_mesh_target_t *t, ngx_uint_t depth);
static void ngx_mesh_rule_take_pairs(ngx_mesh_rule_in_t *in,
    ngx_keyval_t **pairs, ngx_uint_t *n);
static void *ngx_mesh_rule_take_array(ngx_mesh_rule_in_t *in, size_t size,
    ngx_uint_t *n);
static void ngx_mesh_rule_take_str(ngx_mesh_rule_in_t *in, ngx_str_t *s);
static uint64_t ngx_mesh_rule_take_number(ngx_mesh_rule_in_t *in,
    ngx_uint_t bytes);


#define ngx_mesh_rule_put_u32(out, n)  ngx_mesh_rule_put_number(out, n, 4)
#define ngx_mesh_rule_take_u32(in)                                           \
    ((ngx_uint_t) ngx_mesh_rule_take_number(in, 4))


size_t
ngx_mesh_rule_size(ngx_mesh_rule_t *rule)
{
    ngx_mesh_rule_out_t  out;

    out.p = NULL;
    out.size = 0;

    ngx_mesh_rule_put(&out, rule);

    return out.size;
}


void
ngx_mesh_rule_write(u_char *p, ngx_mesh_rule_t *rule)
{
    ngx_mesh_rule_out_t  out;

    out.p = p;
    out.size = 0;

    ngx_mesh_rule_put(&out, rule);
}


static void
ngx_mesh_rule_put(ngx_mesh_rule_out_t *out, ngx_mesh_rule_t *rule)
{
    ngx_uint_t  i;

    ngx_mesh_rule_put_u32(out, NGX_MESH_RULE_VERSION);
    ngx_mesh_rule_put_str(out, &rule->name);
    ngx_mesh_rule_put_str(out, &rule->owner);
    ngx_mesh_rule_put_number(out, (uint64_t) rule->priority, 8);
    ngx_mesh_rule_put_number(out, rule->order, 8);

    ngx_mesh_rule_put_u32(out, rule->nconditions);

    for (i = 0; i < rule->nconditions; i++) {
        ngx_mesh_rule_put_condition(out, &rule->conditions[i]);
    }

    ngx_mesh_rule_put_u32(out, rule->denied ? NGX_MESH_RULE_DENIED : 0);
    ngx_mesh_rule_put_str(out, &rule->deny);

    ngx_mesh_rule_put_u32(out, rule->ntargets);

    for (i = 0; i < rule->ntargets; i++) {
        ngx_mesh_rule_put_target(out, &rule->targets[i]);
    }

    ngx_mesh_rule_put_number(out, rule->timeout, 8);
    ngx_mesh_rule_put_u32(out, rule->tries);
    ngx_mesh_rule_put_str(out, &rule->hash);

    ngx_mesh_rule_put_pairs(out, rule->set, rule->nset);
    ngx_mesh_rule_put_u32(out, rule->nremove);

    for (i = 0; i < rule->nremove; i++) {
        ngx_mesh_rule_put_str(out, &rule->remove[i]);
    }
}


static void
ngx_mesh_rule_put_condition(ngx_mesh_rule_out_t *out, ngx_mesh_condition_t *c)
{
    ngx_uint_t  i;

    ngx_mesh_rule_put_str(out, &c->fact);
    ngx_mesh_rule_put_u32(out, c->npatterns);

    for (i = 0; i < c->npatterns; i++) {
        ngx_mesh_rule_put_u32(out, c->patterns[i].op);
        ngx_mesh_rule_put_str(out, &c->patterns[i].value);
        ngx_mesh_rule_put_u32(out, c->patterns[i].number);
    }
}


static void
ngx_mesh_rule_put_target(ngx_mesh_rule_out_t *out, ngx_mesh_target_t *t)
{
    ngx_mesh_rule_put_str(out, &t->service);
    ngx_mesh_rule_put_pairs(out, t->labels, t->nlabels);
    ngx_mesh_rule_put_u32(out, t->weight);
    ngx_mesh_rule_put_u32(out, t->rewrite);
    ngx_mesh_rule_put_u32(out, t->fallback ? 1 : 0);

    if (t->fallback) {
        ngx_mesh_rule_put_target(out, t->fallback);
    }
}


static void
ngx_mesh_rule_put_pairs(ngx_mesh_rule_out_t *out, ngx_keyval_t *pairs,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    ngx_mesh_rule_put_u32(out, n);

    for (i = 0; i < n; i++) {
        ngx_mesh_rule_put_str(out, &pairs[i].key);
        ngx_mesh_rule_put_str(out, &pairs[i].value);
    }
}


static void
ngx_mesh_rule_put_str(ngx_mesh_rule_out_t *out, ngx_str_t *s)
{
    ngx_mesh_rule_put_u32(out, s->len);

    if (out->p && s->len) {
        out->p = ngx_cpymem(out->p, s->data, s->len);
    }

    out->size += s->len;
}


static void
ngx_mesh_rule_put_number(ngx_mesh_rule_out_t *out, uint64_t n,
    ngx_uint_t bytes)
{
    ngx_uint_t  i;

    if (out->p) {
        for (i = 0; i < bytes; i++) {
            *out->p++ = (u_char) (n >> (8 * i));
        }
    }

    out->size += bytes;
}


ngx_int_t
ngx_mesh_rule_owner(ngx_str_t *record, ngx_str_t *owner)
{
    ngx_str_t           name;
    ngx_mesh_rule_in_t  in;

    in.p = record->data;
    in.end = in.p + record->len;
    in.pool = NULL;
    in.rc = NGX_OK;

    if (ngx_mesh_rule_take_u32(&in) != NGX_MESH_RULE_VERSION) {
        return NGX_DECLINED;
    }

    ngx_mesh_rule_take_str(&in, &name);
    ngx_mesh_rule_take_str(&in, owner);

    return in.rc;
}


ngx_int_t
ngx_mesh_rule_read(ngx_str_t *record, ngx_mesh_rule_t *rule, ngx_pool_t *pool)
{
    ngx_uint_t          i;
    ngx_mesh_rule_in_t  in;

    in.p = record->data;
    in.end = in.p + record->len;
    in.pool = pool;
    in.rc = NGX_OK;

    ngx_memzero(rule, sizeof(ngx_mesh_rule_t));

    if (ngx_mesh_rule_take_u32(&in) != NGX_MESH_RULE_VERSION) {
        return NGX_DECLINED;
    }

    ngx_mesh_rule_take_str(&in, &rule->name);
    ngx_mesh_rule_take_str(&in, &rule->owner);
    rule->priority = (ngx_int_t) ngx_mesh_rule_take_number(&in, 8);
    rule->order = ngx_mesh_rule_take_number(&in, 8);

    rule->conditions = ngx_mesh_rule_take_array(&in,
                                                sizeof(ngx_mesh_condition_t),
                                                &rule->nconditions);

    for (i = 0; i < rule->nconditions; i++) {
        ngx_mesh_rule_take_condition(&in, &rule->conditions[i]);
    }

    rule->denied = (ngx_mesh_rule_take_u32(&in) & NGX_MESH_RULE_DENIED) ? 1
                                                                        : 0;
    ngx_mesh_rule_take_str(&in, &rule->deny);

    rule->targets = ngx_mesh_rule_take_array(&in, sizeof(ngx_mesh_target_t),
                                             &rule->ntargets);

    for (i = 0; i < rule->ntargets; i++) {
        ngx_mesh_rule_take_target(&in, &rule->targets[i], 0);
    }

    rule->timeout = (ngx_msec_t) ngx_mesh_rule_take_number(&in, 8);
    rule->tries = ngx_mesh_rule_take_u32(&in);
    ngx_mesh_rule_take_str(&in, &rule->hash);

    ngx_mesh_rule_take_pairs(&in, &rule->set, &rule->nset);

    rule->remove = ngx_mesh_rule_take_array(&in, sizeof(ngx_str_t),
                                            &rule->nremove);

    for (i = 0; i < rule->nremove; i++) {
        ngx_mesh_rule_take_str(&in, &rule->remove[i]);
    }

    return in.rc;
}


static void
ngx_mesh_rule_take_condition(ngx_mesh_rule_in_t *in, ngx_mesh_condition_t *c)
{
    ngx_uint_t  i;

    ngx_mesh_rule_take_str(in, &c->fact);

    c->patterns = ngx_mesh_rule_take_array(in, sizeof(ngx_mesh_pattern_t),
                                           &c->npatterns);

    for (i = 0; i < c->npatterns; i++) {
        c->patterns[i].op = ngx_mesh_rule_take_u32(in);
        ngx_mesh_rule_take_str(in, &c->patterns[i].value);
        c->patterns[i].number = ngx_mesh_rule_take_u32(in);

        if (c->patterns[i].op >= NGX_MESH_RULE_OPS && in->rc == NGX_OK) {
            in->rc = NGX_DECLINED;
        }
    }
}


static void
ngx_mesh_rule_take_target(ngx_mesh_rule_in_t *in, ngx_mesh_target_t *t,
    ngx_uint_t depth)
{
    ngx_uint_t  more;

    ngx_mesh_rule_take_str(in, &t->service);
    ngx_mesh_rule_take_pairs(in, &t->labels, &t->nlabels);
    t->weight = ngx_mesh_rule_take_u32(in);
    t->rewrite = ngx_mesh_rule_take_u32(in);
    more = ngx_mesh_rule_take_u32(in);

    if (more == 0 || in->rc != NGX_OK) {
        return;
    }

    if (depth) {
        in->rc = NGX_DECLINED;
        return;
    }

    t->fallback = ngx_pcalloc(in->pool, sizeof(ngx_mesh_target_t));

    if (t->fallback == NULL) {
        in->rc = NGX_ERROR;
        return;
    }

    ngx_mesh_rule_take_target(in, t->fallback, depth + 1);
}


static void
ngx_mesh_rule_take_pairs(ngx_mesh_rule_in_t *in, ngx_keyval_t **pairs,
    ngx_uint_t *n)
{
    ngx_uint_t  i;

    *pairs = ngx_mesh_rule_take_array(in, sizeof(ngx_keyval_t), n);

    for (i = 0; i < *n; i++) {
        ngx_mesh_rule_take_str(in, &(*pairs)[i].key);
        ngx_mesh_rule_take_str(in, &(*pairs)[i].value);
    }
}


/* each element takes four bytes of the record at least */

static void *
ngx_mesh_rule_take_array(ngx_mesh_rule_in_t *in, size_t size, ngx_uint_t *n)
{
    void  *p;

    *n = ngx_mesh_rule_take_u32(in);

    if (*n > (size_t) (in->end - in->p) / 4) {
        in->rc = NGX_DECLINED;
    }

    if (*n == 0 || in->rc != NGX_OK) {
        *n = 0;
        return NULL;
    }

    p = ngx_pcalloc(in->pool, *n * size);

    if (p == NULL) {
        in->rc = NGX_ERROR;
        *n = 0;
    }

    return p;
}


static void
ngx_mesh_rule_take_str(ngx_mesh_rule_in_t *in, ngx_str_t *s)
{
    s->len = ngx_mesh_rule_take_u32(in);
    s->data = NULL;

    if (s->len > (size_t) (in->end - in->p)) {
        in->rc = NGX_DECLINED;
        s->len = 0;
    }

    if (s->len) {
        s->data = in->p;
        in->p += s->len;
    }
}


static uint64_t
ngx_mesh_rule_take_number(ngx_mesh_rule_in_t *in, ngx_uint_t bytes)
{
    uint64_t    n;
    ngx_uint_t  i;

    if (in->rc != NGX_OK) {
        return 0;
    }

    if ((size_t) (in->end - in->p) < bytes) {
        in->rc = NGX_DECLINED;
        return 0;
    }

    n = 0;

    for (i = 0; i < bytes; i++) {
        n |= (uint64_t) *in->p++ << (8 * i);
    }

    return n;
}
