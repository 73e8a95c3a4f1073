
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RULE_H_INCLUDED_
#define _NGX_MESH_RULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A route: what calls it is for, and what becomes of them.  Whoever reads one
 * from a configuration or from JSON zeroes the structure and fills it in; the
 * strings and arrays are his and are copied by whoever keeps them.
 */


/* how a value of a condition is compared */

#define NGX_MESH_RULE_EXACT    0
#define NGX_MESH_RULE_PREFIX   1       /* "abc*", value without the "*" */
#define NGX_MESH_RULE_SUFFIX   2       /* "*abc" */
#define NGX_MESH_RULE_REGEX    3       /* "~re", value without the "~" */
#define NGX_MESH_RULE_NOCASE   4       /* "~*re" */
#define NGX_MESH_RULE_PRESENT  5       /* "*"; no value */
#define NGX_MESH_RULE_ABSENT   6       /* no value */
#define NGX_MESH_RULE_CIDR     7       /* of fact "caller" only */
#define NGX_MESH_RULE_PERCENT  8       /* "number" of 10000; no value */
#define NGX_MESH_RULE_OPS      9

#define NGX_MESH_RULE_ALL      10000   /* number of 100 % */


typedef struct {
    ngx_uint_t                op;
    ngx_str_t                 value;
    ngx_uint_t                number;
} ngx_mesh_pattern_t;


/* holds if one of the patterns does */

typedef struct {
    ngx_str_t                 fact;      /* protocol, service, interface,
                                            method, version, group, caller,
                                            app, listener, attachment.NAME; of
                                            a percentage what is hashed, empty:
                                            every call is drawn anew */
    ngx_mesh_pattern_t       *patterns;
    ngx_uint_t                npatterns;
} ngx_mesh_condition_t;


#define NGX_MESH_REWRITE_VERSION  0x01
#define NGX_MESH_REWRITE_GROUP    0x02

#define NGX_MESH_RULE_WEIGHT      100    /* of a target that names none */

typedef struct ngx_mesh_target_s  ngx_mesh_target_t;

struct ngx_mesh_target_s {
    ngx_str_t                 service;   /* its key; empty: the call's own */
    ngx_keyval_t             *labels;    /* an endpoint has to have all */
    ngx_uint_t                nlabels;
    ngx_uint_t                weight;    /* among the targets; 0: no calls */
    ngx_uint_t                rewrite;   /* NGX_MESH_REWRITE_*: the call says
                                            what the target's key says */
    /*
     * Where calls go when no endpoint of the target can be used; NULL:
     * nowhere.  No service in it: the target's; neither service nor labels:
     * any endpoint of the target's service.  Its weight, rewrite and fallback
     * mean nothing.
     */
    ngx_mesh_target_t        *fallback;
};


typedef struct {
    ngx_str_t                 name;
    ngx_str_t                 owner;     /* "config", "api" */
    ngx_int_t                 priority;  /* the higher comes first */
    uint64_t                  order;     /* within a priority and owner */

    ngx_mesh_condition_t     *conditions;    /* all have to hold */
    ngx_uint_t                nconditions;

    unsigned                  denied:1;  /* calls go nowhere */
    ngx_str_t                 deny;      /* the text, may be empty */

    ngx_mesh_target_t        *targets;   /* none: the call's own service */
    ngx_uint_t                ntargets;

    ngx_msec_t                timeout;   /* of the whole call; 0: not set */
    ngx_uint_t                tries;     /* 0: not set */
    ngx_str_t                 hash;      /* fact to balance by */

    ngx_keyval_t             *set;       /* attachments */
    ngx_uint_t                nset;
    ngx_str_t                *remove;
    ngx_uint_t                nremove;
} ngx_mesh_rule_t;


/* what is wrong with a rule: a line, and the part of the rule it is about */

#define NGX_MESH_RULE_NAME     0
#define NGX_MESH_RULE_MATCH    1         /* condition "index" */
#define NGX_MESH_RULE_TO       2         /* target "index" */
#define NGX_MESH_RULE_DENY     3
#define NGX_MESH_RULE_TIMEOUT  4
#define NGX_MESH_RULE_TRIES    5
#define NGX_MESH_RULE_HASH     6
#define NGX_MESH_RULE_SET      7         /* attachment "index" */
#define NGX_MESH_RULE_REMOVE   8

typedef struct {
    ngx_uint_t                part;
    ngx_uint_t                index;
    ngx_str_t                 text;      /* in buf */
    u_char                    buf[512];
} ngx_mesh_rule_error_t;


/*
 * A pattern as people write it, for the fact it is about:
 *
 *     abc       exactly that; of "caller" an address or network
 *     abc*      *abc       it begins or ends so
 *     ~re       ~*re       the expression matches, ~* whatever the case
 *     *                    there is any value
 *     =abc                 exactly what follows the "="
 *
 * The value points into the text.  NULL, or what would be right.  There is no
 * text for ABSENT and PERCENT.
 */
char *ngx_mesh_pattern_parse(ngx_str_t *fact, ngx_str_t *text,
    ngx_mesh_pattern_t *pattern);

/* the reverse, in memory of the pool; NGX_ERROR: no memory */
ngx_int_t ngx_mesh_pattern_text(ngx_mesh_pattern_t *pattern, ngx_str_t *text,
    ngx_pool_t *pool);

/* "5", "0.25": NGX_ERROR, or hundredths of a percent */
ngx_int_t ngx_mesh_percent_parse(ngx_str_t *text);

/* whether that is a name of a fact */
ngx_uint_t ngx_mesh_fact_known(ngx_str_t *fact);


/*
 * NGX_OK; NGX_DECLINED: *err says why not.  Expressions are compiled in the
 * pool; while a configuration is read that has to be the one of its cycle.
 */
ngx_int_t ngx_mesh_rule_check(ngx_mesh_rule_t *rule, ngx_pool_t *pool,
    ngx_mesh_rule_error_t *err);


/*
 * The rule as bytes, the same ones each time and on every machine: they are
 * what the table and its journal hold.
 */
size_t ngx_mesh_rule_size(ngx_mesh_rule_t *rule);
void ngx_mesh_rule_write(u_char *p, ngx_mesh_rule_t *rule);

/* only the owner of a record's rule; NGX_DECLINED: this is no rule */
ngx_int_t ngx_mesh_rule_owner(ngx_str_t *record, ngx_str_t *owner);

/*
 * Strings point into the record, arrays come from the pool.  NGX_DECLINED:
 * this is no rule; NGX_ERROR: no memory.
 */
ngx_int_t ngx_mesh_rule_read(ngx_str_t *record, ngx_mesh_rule_t *rule,
    ngx_pool_t *pool);


#endif /* _NGX_MESH_RULE_H_INCLUDED_ */
