
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RULE_INT_H_INCLUDED_
#define _NGX_MESH_RULE_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rules.h"


/* what the files about rules share; private to the room */


/* facts; those known with a call's names come first */

#define NGX_MESH_FACT_SERVICE     NGX_MESH_NAME_SERVICE
#define NGX_MESH_FACT_GROUP       NGX_MESH_NAME_GROUP
#define NGX_MESH_FACT_CALLER      8
#define NGX_MESH_FACT_APP         9
#define NGX_MESH_FACT_ATTACHMENT  10
#define NGX_MESH_FACT_UNKNOWN     11

#define NGX_MESH_FACTS                                                       \
    "protocol, service, interface, method, version, group, caller, app, "    \
    "listener or attachment.NAME"


/*
 * Steps an expression may take on one text.  PCRE counts them anew from each
 * character that a match may begin at, so the search is a part of the match.
 */

#define NGX_MESH_RULE_LIMIT  "(*LIMIT_MATCH=10000)\\A(?s:.*?)(?:"


ngx_uint_t ngx_mesh_rule_fact(ngx_str_t *name);

/* the compiled expression; NULL: *err, a buffer of that length, says why */
void *ngx_mesh_rule_compile(ngx_mesh_pattern_t *p, ngx_pool_t *pool,
    ngx_str_t *err);


/* one alternative of a condition, ready to be compared */

typedef struct {
    uint8_t                 op;
    uint8_t                 name;        /* that it is about */
    uint8_t                 anchored;    /* the literal comes first */
    uint8_t                 failed;      /* was logged */
    uint8_t                 closed;      /* an expression that fails matches */
    uint32_t                rare;        /* letter of it to look for */
    ngx_str_t               value;
    ngx_str_t               literal;     /* part of all that matches */
    void                   *regex;
} ngx_mesh_alt_t;


typedef struct {
    uint32_t                fact;
    uint32_t                condition;   /* its number in the rule */
    uint32_t                nalts;
    uint32_t                percent;     /* of 10000, above: no percentage */
    ngx_mesh_alt_t         *alts;
    ngx_array_t            *cidrs;       /* of fact "caller" */
    ngx_str_t              *name;        /* of a fact that is asked for, the
                                            same for the same name */
} ngx_mesh_test_t;


/* what a route is found by: exact values, or the beginning or end of a name */

typedef struct {
    uint64_t                hash;
    uint32_t                affix;       /* its number */
    uint32_t                length;      /* of its text */
} ngx_mesh_key_t;


struct ngx_mesh_route_s {
    ngx_pool_t             *pool;        /* that it is in */
    uint32_t                refs;        /* of the sets it is in */
    uint32_t                grouped;     /* it depends on the group */
    uint32_t                mask;        /* names of the exact values that it
                                            is found by, 0: by affixes */
    uint32_t                nkeys;       /* 0: it is looked at every time */
    ngx_mesh_key_t         *keys;
    ngx_mesh_test_t        *tests;       /* of names */
    ngx_mesh_test_t        *calls;       /* of what else is known */
    uint32_t                ntests;
    uint32_t                ncalls;
    uint32_t                drawn;       /* where drawing goes on */
    uint32_t                split;
    uint64_t                total;       /* of the weights */
    ngx_mesh_rule_t        *rule;
};


typedef struct {
    uint64_t                hash;
    uint32_t                first;       /* of the lists */
    uint32_t                n;           /* 0: free */
} ngx_mesh_slot_t;


/* facts whose exact values are looked for together */

typedef struct {
    uint64_t                seed;
    ngx_uint_t              mask;
} ngx_mesh_signature_t;


/* beginnings or ends of a name are looked for by their lengths */

typedef struct {
    uint64_t                seed;
    ngx_uint_t              name;
    ngx_uint_t              reverse;
    uint32_t               *lengths;     /* ascending */
    ngx_uint_t              nlengths;
} ngx_mesh_affix_t;


struct ngx_mesh_rules_s {
    ngx_pool_t             *pool;
    ngx_uint_t              refs;
    ngx_uint_t              grouped;

    ngx_mesh_route_t      **routes;
    ngx_uint_t              nroutes;

    ngx_mesh_slot_t        *slots;
    ngx_uint_t              mask;
    uint32_t               *lists;       /* positions, ascending in each */

    ngx_mesh_signature_t   *signatures;
    ngx_uint_t              nsignatures;
    ngx_uint_t              hashed;      /* names that signatures hash */

    ngx_mesh_affix_t       *affixes;
    ngx_uint_t              naffixes;
    uint64_t               *bloom;       /* of affixes */
    ngx_uint_t              bloom_mask;
    u_char                 *reversed;

    uint32_t               *rest;        /* in no index */
    ngx_uint_t              nrest;

    uint32_t               *found;
    ngx_mesh_route_t      **result;
};


#define NGX_MESH_HASH_K  0x9e3779b97f4a7c15ull


static ngx_inline uint64_t
ngx_mesh_hash_mix(uint64_t h, uint64_t w)
{
    h = (h ^ w) * NGX_MESH_HASH_K;

    return h ^ (h >> 32);
}


static ngx_inline uint64_t
ngx_mesh_hash_load(u_char *p)
{
    uint64_t  w;

    ngx_memcpy(&w, p, 8);

    return w;
}


/* the hash of the first len bytes at p, of which full eights are in h */

static ngx_inline uint64_t
ngx_mesh_hash_end(uint64_t h, u_char *p, size_t len)
{
    size_t    i, rest;
    uint64_t  w;

    rest = len & 7;
    w = 0;

    if (rest && len >= 8) {
        w = ngx_mesh_hash_load(p + len - 8);
#if (NGX_HAVE_LITTLE_ENDIAN)
        w >>= 64 - 8 * rest;
#else
        w &= ((uint64_t) 1 << 8 * rest) - 1;
#endif

    } else {
        for (i = len - rest; i < len; i++) {
            w = w << 8 | p[i];
        }
    }

    return ngx_mesh_hash_mix(h, w ^ (uint64_t) len << 56);
}


static ngx_inline uint64_t
ngx_mesh_hash_str(uint64_t h, ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i + 8 <= s->len; i += 8) {
        h = ngx_mesh_hash_mix(h, ngx_mesh_hash_load(s->data + i));
    }

    return ngx_mesh_hash_end(h, s->data, s->len);
}


/* ngx_mesh_rules_index.c */

/* chooses what a route is found by, once for all sets that it will be in */
ngx_int_t ngx_mesh_rules_keys(ngx_mesh_route_t *route);
ngx_int_t ngx_mesh_rules_index(ngx_mesh_rules_t *set, ngx_pool_t *temp);


/* ngx_mesh_rules_match.c */

ngx_uint_t ngx_mesh_alt_match(ngx_mesh_alt_t *alt, ngx_str_t *value);
ngx_uint_t ngx_mesh_test_match(ngx_mesh_test_t *test, ngx_str_t *names);


/* ngx_mesh_rules_literal.c */

/* finds a text that all that matches the expression begins with or contains */
ngx_int_t ngx_mesh_alt_literal(ngx_mesh_alt_t *alt, ngx_pool_t *pool);


#endif /* _NGX_MESH_RULE_INT_H_INCLUDED_ */
