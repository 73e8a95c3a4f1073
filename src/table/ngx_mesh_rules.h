
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RULES_H_INCLUDED_
#define _NGX_MESH_RULES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule.h"


/*
 * The routes of a revision, in order, made for finding those that a call may
 * take: first by its names, whose result may be kept for all calls of these
 * names, then by what else is known of the call.
 */


/* names of a call */

#define NGX_MESH_NAME_LISTENER    0
#define NGX_MESH_NAME_PROTOCOL    1
#define NGX_MESH_NAME_SERVICE     2      /* its key, with the group where the
                                            interface is known by groups */
#define NGX_MESH_NAME_INTERFACE   3
#define NGX_MESH_NAME_VERSION     4
#define NGX_MESH_NAME_GROUP       5
#define NGX_MESH_NAME_METHOD      6
#define NGX_MESH_NAME_KEY         7      /* its key, with the group always:
                                            patterns with "/" are about it */
#define NGX_MESH_NAMES            8


typedef struct ngx_mesh_rules_s  ngx_mesh_rules_t;
typedef struct ngx_mesh_route_s  ngx_mesh_route_t;


/* what is asked of a call */

typedef struct {
    /* a fact by its name; NGX_DECLINED: the call has none */
    ngx_int_t         (*fact)(void *data, ngx_str_t *name, ngx_str_t *value);
    void               *data;
    struct sockaddr    *caller;          /* NULL: unknown */

    /* the fact asked for last; name NULL at first */
    ngx_str_t          *name;
    ngx_str_t           value;
    ngx_int_t           rc;
} ngx_mesh_rules_call_t;


/*
 * A set of the n rules, which are copied; order and priority are theirs.  One
 * reference is the caller's.  NULL: no memory.  An expression that cannot be
 * compiled here is logged, and never matches; that of a denial always does.
 */
ngx_mesh_rules_t *ngx_mesh_rules_create(ngx_mesh_rule_t *rules, ngx_uint_t n,
    ngx_log_t *log);

/*
 * The set without the rules of these names and with other rules: it shares
 * what stays with the old one (NULL: an empty one), which remains as it is.
 */
ngx_mesh_rules_t *ngx_mesh_rules_change(ngx_mesh_rules_t *old, ngx_str_t *gone,
    ngx_uint_t ngone, ngx_mesh_rule_t *rules, ngx_uint_t n, ngx_log_t *log);

void ngx_mesh_rules_hold(ngx_mesh_rules_t *set);
void ngx_mesh_rules_release(ngx_mesh_rules_t *set);

/* whether some rule depends on the group of calls */
ngx_uint_t ngx_mesh_rules_grouped(ngx_mesh_rules_t *set);

/*
 * Those that a call of these names (NGX_MESH_NAMES of them) may take, in
 * order, up to the first that depends on nothing else; the array is the set's
 * and lasts until the next call.
 */
ngx_uint_t ngx_mesh_rules_find(ngx_mesh_rules_t *set, ngx_str_t *names,
    ngx_mesh_route_t ***routes);

/* the rule of a route; lives as long as the set */
ngx_mesh_rule_t *ngx_mesh_route_rule(ngx_mesh_route_t *route);

/* whether nothing but names decides on it */
ngx_uint_t ngx_mesh_route_final(ngx_mesh_route_t *route);

/* whether a call takes a route that was found by its names */
ngx_uint_t ngx_mesh_route_match(ngx_mesh_route_t *route,
    ngx_mesh_rules_call_t *call);

/* the target of a call that takes it, of ntargets > 0 */
ngx_uint_t ngx_mesh_route_target(ngx_mesh_route_t *route,
    ngx_mesh_rules_call_t *call);

/*
 * To explain: all routes in order, and the first condition of one that a call
 * does not meet, -1: it meets all.  Where calls are drawn, it is.
 */
ngx_uint_t ngx_mesh_rules_all(ngx_mesh_rules_t *set,
    ngx_mesh_route_t ***routes);
ngx_int_t ngx_mesh_route_explain(ngx_mesh_route_t *route, ngx_str_t *names,
    ngx_mesh_rules_call_t *call);


#endif /* _NGX_MESH_RULES_H_INCLUDED_ */
