
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule_int.h"


/*
 * Most calls meet none of the expressions, and to see that a text lacks a few
 * letters is cheaper than to run one.  Whatever is not understood here ends
 * the search: then every text is given to the expression.
 */


static uint32_t ngx_mesh_literal_rare(ngx_str_t *s);
static u_char *ngx_mesh_literal_char(u_char *p, u_char *last, u_char *c);
static u_char *ngx_mesh_literal_skip(u_char *p, u_char *last);
static u_char *ngx_mesh_literal_class(u_char *p, u_char *last);
static u_char *ngx_mesh_literal_group(u_char *p, u_char *last);


ngx_int_t
ngx_mesh_alt_literal(ngx_mesh_alt_t *alt, ngx_pool_t *pool)
{
    u_char      *p, *last, *next, *run, *to, c;
    ngx_str_t    best;
    ngx_uint_t   anchored;

    if (alt->op != NGX_MESH_RULE_REGEX || alt->value.len == 0) {
        return NGX_OK;
    }

    p = alt->value.data;
    last = p + alt->value.len;

    to = ngx_pnalloc(pool, alt->value.len);
    if (to == NULL) {
        return NGX_ERROR;
    }

    anchored = (*p == '^');
    p += anchored;

    run = to;
    ngx_str_null(&best);

    while (p < last) {
        next = ngx_mesh_literal_char(p, last, &c);

        if (next && (next == last
                     || (*next != '*' && *next != '?' && *next != '{')))
        {
            *to++ = c;
            p = next;

            if (p == last || *p != '+') {
                continue;
            }
        }

        /* a letter that may be missing, or something else: the run is over */

        if ((size_t) (to - run) > best.len) {
            best.data = run;
            best.len = to - run;
        }

        if (anchored) {
            break;
        }

        run = to;

        p = (next && next != p) ? next : ngx_mesh_literal_skip(p, last);

        if (p == NULL) {
            return NGX_OK;
        }
    }

    if ((size_t) (to - run) > best.len) {
        best.data = run;
        best.len = to - run;
    }

    /* a beginning counts only if all alternatives have it */

    while (anchored && p < last) {
        p = ngx_mesh_literal_skip(p, last);

        if (p == NULL) {
            return NGX_OK;
        }
    }

    alt->literal = best;
    alt->anchored = (anchored && best.len);
    alt->rare = ngx_mesh_literal_rare(&best);

    return NGX_OK;
}


/* names of services are mostly small letters and dots */

static uint32_t
ngx_mesh_literal_rare(ngx_str_t *s)
{
    ngx_uint_t  i, rare;

    rare = 0;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] != '.' && !islower(s->data[i])) {
            return (uint32_t) i;
        }

        if (s->data[rare] == '.') {
            rare = i;
        }
    }

    return (uint32_t) rare;
}


/* a letter that stands for itself; NULL: it is none */

static u_char *
ngx_mesh_literal_char(u_char *p, u_char *last, u_char *c)
{
    if (*p == '\\') {

        if (p + 1 == last || isalnum(p[1])) {
            return NULL;
        }

        *c = p[1];
        return p + 2;
    }

    if (*p && ngx_strchr("^$.[](){}|*+?", *p)) {
        return NULL;
    }

    *c = *p;

    return p + 1;
}


/* what is behind one element of an expression; NULL: it is not known */

static u_char *
ngx_mesh_literal_skip(u_char *p, u_char *last)
{
    switch (*p) {

    case '|':
        return NULL;

    case '[':
        return ngx_mesh_literal_class(p, last);

    case '(':
        return ngx_mesh_literal_group(p, last);

    case '{':
        p = ngx_strlchr(p, last, '}');
        return p ? p + 1 : NULL;

    case '\\':

        /* a class or an assertion; others may take more than a letter */

        if (p + 1 < last && (!isalnum(p[1])
                             || ngx_strchr("dDwWsSbB", p[1])))
        {
            return p + 2;
        }

        return NULL;

    default:
        return p + 1;
    }
}


static u_char *
ngx_mesh_literal_class(u_char *p, u_char *last)
{
    p++;

    if (p < last && *p == '^') {
        p++;
    }

    /* at the beginning a bracket is one of the letters */

    if (p < last && *p == ']') {
        p++;
    }

    while (p < last) {

        if (*p == ']') {
            return p + 1;
        }

        if (*p == '[') {
            return NULL;
        }

        if (*p == '\\') {

            if (p + 1 == last || p[1] == 'Q' || p[1] == 'E') {
                return NULL;
            }

            p++;
        }

        p++;
    }

    return NULL;
}


static u_char *
ngx_mesh_literal_group(u_char *p, u_char *last)
{
    ngx_uint_t  depth;

    depth = 0;

    while (p && p < last) {

        switch (*p) {

        case '(':
            if (p + 1 < last && p[1] == '*') {
                return NULL;
            }

            if (p + 1 < last && p[1] == '?') {

                /* others set options, or look at what is not theirs */

                if (p + 2 == last || p[2] != ':') {
                    return NULL;
                }

                p += 2;
            }

            depth++;
            p++;
            break;

        case ')':
            p++;

            if (--depth == 0) {
                return p;
            }

            break;

        case '|':
            p++;
            break;

        default:
            p = ngx_mesh_literal_skip(p, last);
            break;
        }
    }

    return NULL;
}
