
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RECORD_INT_H_INCLUDED_
#define _NGX_MESH_RECORD_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_record.h"


/* Private to the files of records: URLs, labels, addresses. */


/* as of endpoints that the API makes */

#define NGX_MESH_RECORD_MAX_FAILS     1
#define NGX_MESH_RECORD_FAIL_TIMEOUT  10000
#define NGX_MESH_RECORD_MAX_WEIGHT    1000000

/* ms in which the weight of a Dubbo provider grows, unless it says so */
#define NGX_MESH_RECORD_WARMUP        600000


/* a URL of Dubbo's, taken apart */

typedef struct {
    ngx_str_t                  protocol;
    ngx_str_t                  user;
    ngx_str_t                  host;         /* without brackets */
    ngx_uint_t                 port;         /* 0: none */
    ngx_str_t                  path;
    ngx_array_t                params;       /* ngx_keyval_t, in order */
} ngx_mesh_record_url_t;


#define NGX_MESH_RECORD_PASSING   0
#define NGX_MESH_RECORD_WARNING   1
#define NGX_MESH_RECORD_CRITICAL  2


typedef struct {
    ngx_str_t                  key;
    ngx_str_t                  value;
    ngx_uint_t                 rank;         /* of equal keys the least is
                                                taken */
} ngx_mesh_record_label_t;


/* an answer of Consul's and the instance of it that is looked at */

typedef struct {
    ngx_mesh_subscription_t   *s;
    ngx_pool_t                *pool;
    ngx_array_t               *records;
    ngx_array_t                notes;        /* of what cannot be used */
    ngx_uint_t                 others;       /* instances without a note */
    char                      *why;          /* it is no answer of Consul's */

    cJSON                     *node;
    cJSON                     *service;
    cJSON                     *meta;         /* NULL: none */
    cJSON                     *tags;         /* NULL: none */
    ngx_str_t                  id;
    ngx_uint_t                 state;        /* NGX_MESH_RECORD_PASSING ... */
    ngx_uint_t                 maintenance;
    ngx_uint_t                 weight;       /* in this state */
} ngx_mesh_record_consul_t;


/* a string of an object; an absent one, and null, is empty */

static ngx_inline ngx_uint_t
ngx_mesh_record_string(cJSON *object, const char *name, ngx_str_t *s)
{
    cJSON  *item;

    ngx_str_null(s);

    item = object ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;

    if (item == NULL || cJSON_IsNull(item)) {
        return 1;
    }

    if (!cJSON_IsString(item)) {
        return 0;
    }

    s->data = (u_char *) item->valuestring;
    s->len = ngx_strlen(item->valuestring);

    return 1;
}


/* a member of a kind; absent and null are NULL */

static ngx_inline ngx_uint_t
ngx_mesh_record_member(cJSON *object, const char *name, cJSON_bool array,
    cJSON **member)
{
    *member = cJSON_GetObjectItemCaseSensitive(object, name);

    if (*member == NULL || cJSON_IsNull(*member)) {
        *member = NULL;
        return 1;
    }

    return array ? cJSON_IsArray(*member) : cJSON_IsObject(*member);
}


/*
 * Copies the text, decoding it if it is percent-encoded as a whole, and takes
 * it apart as Dubbo does.  NGX_DECLINED: it is no URL, *why says so.
 */
ngx_int_t ngx_mesh_record_url(ngx_str_t *text, ngx_pool_t *pool,
    ngx_mesh_record_url_t *url, char **why);

/* the value of a parameter; NULL: it has none, or an empty one */
ngx_str_t *ngx_mesh_record_param(ngx_mesh_record_url_t *url,
    const char *name);

/* what Java takes for one; NULL or anything else is "fallback" */
ngx_uint_t ngx_mesh_record_flag(ngx_str_t *value, ngx_uint_t fallback);

/* a decimal number, maybe with a sign; NULL or anything else is "fallback" */
int64_t ngx_mesh_record_number(ngx_str_t *value, int64_t fallback);

/* a value of weights, made fit for endpoints */
ngx_uint_t ngx_mesh_record_weight(int64_t weight, ngx_uint_t times);

/*
 * Name, id, host and address of an endpoint, in the one form they have.
 * NGX_DECLINED: there is no way to connect there, *why says so.
 */
ngx_int_t ngx_mesh_record_address(ngx_str_t *host, ngx_uint_t port,
    ngx_pool_t *pool, ngx_mesh_endpoint_t *ep, char **why);

/* the same without a port, for comparison; NGX_DECLINED: it is no address */
ngx_int_t ngx_mesh_record_host(ngx_str_t *host, ngx_pool_t *pool,
    ngx_str_t *text);

/*
 * Group and version of a record; what stands for none is none.
 * NGX_DECLINED: no key can have these, *why says so.
 */
ngx_int_t ngx_mesh_record_key(ngx_mesh_record_t *record, ngx_str_t *group,
    ngx_str_t *version, char **why);

/*
 * One more label, copied; what nobody could select by is left out.  The array
 * is of ngx_mesh_record_label_t.
 */
ngx_int_t ngx_mesh_record_label(ngx_array_t *labels, ngx_str_t *key,
    ngx_str_t *value);

/* makes them the endpoint's, each key once and in an order of their own */
ngx_int_t ngx_mesh_record_labels(ngx_array_t *labels,
    ngx_mesh_endpoint_t *ep, ngx_pool_t *pool);

/* the instance as a record.  NGX_DECLINED: it is none, which was noted */
ngx_int_t ngx_mesh_record_kind(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_record_t *record);

/* where the instance is, unless its record says so already */
ngx_int_t ngx_mesh_record_zone(ngx_mesh_record_consul_t *ctx,
    ngx_mesh_endpoint_t *ep);

/*
 * The instance cannot be used for a reason, which is told once for all that
 * have it.  NGX_DECLINED; NGX_ERROR: no memory.
 */
ngx_int_t ngx_mesh_record_note(ngx_mesh_record_consul_t *ctx, char *reason,
    ngx_str_t *name);


#endif /* _NGX_MESH_RECORD_INT_H_INCLUDED_ */
