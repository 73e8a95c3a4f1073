
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul_rule.h"


static ngx_uint_t ngx_mesh_consul_judge_status(ngx_uint_t status, char **why);
static ngx_uint_t ngx_mesh_consul_judge_wait(ngx_mesh_consul_asked_t *asked,
    ngx_mesh_consul_said_t *said, char **why);
static ngx_uint_t ngx_mesh_consul_shrunk(ngx_uint_t held, ngx_uint_t count);
static uint64_t ngx_mesh_consul_number(ngx_mesh_reply_t *reply, char *name);
static ngx_uint_t ngx_mesh_consul_flag(ngx_mesh_reply_t *reply, char *name,
    char *word);
static uint64_t ngx_mesh_consul_mix(uint64_t h, uint64_t n);
static uint64_t ngx_mesh_consul_hash_text(char *text);
static uint64_t ngx_mesh_consul_hash_value(cJSON *value, ngx_uint_t counted);
static uint64_t ngx_mesh_consul_hash_checks(cJSON *checks);


void
ngx_mesh_consul_said(ngx_mesh_reply_t *reply, ngx_mesh_consul_said_t *said)
{
    ngx_memzero(said, sizeof(ngx_mesh_consul_said_t));

    said->status = reply->status;
    said->index = ngx_mesh_consul_number(reply, "x-consul-index");
    said->lag = ngx_mesh_consul_number(reply, "x-consul-lastcontact");

    said->streaming = ngx_mesh_consul_flag(reply, "x-consul-query-backend",
                                           "streaming");
    said->leaderless = ngx_mesh_consul_flag(reply, "x-consul-knownleader",
                                            "false");
    said->filtered = ngx_mesh_consul_flag(reply,
                                          "x-consul-results-filtered-by-acls",
                                          "true");
    said->denied = ngx_mesh_consul_flag(reply, "x-consul-default-acl-policy",
                                        "deny");
}


/* 0: there is none, or it is no number of a size that makes sense */

static uint64_t
ngx_mesh_consul_number(ngx_mesh_reply_t *reply, char *name)
{
    size_t     i;
    uint64_t   n;
    ngx_str_t  value;

    if (ngx_mesh_reply_header(reply, name, &value) != NGX_OK
        || value.len == 0 || value.len > 19)
    {
        return 0;
    }

    for (n = 0, i = 0; i < value.len; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return 0;
        }

        n = n * 10 + (value.data[i] - '0');
    }

    /* Consul refuses what its own numbers cannot hold */

    return n > 0x7fffffffffffffffULL ? 0 : n;
}


static ngx_uint_t
ngx_mesh_consul_flag(ngx_mesh_reply_t *reply, char *name, char *word)
{
    ngx_str_t  value;

    return ngx_mesh_reply_header(reply, name, &value) == NGX_OK
           && ngx_mesh_reply_is(&value, word);
}


ngx_uint_t
ngx_mesh_consul_judge(ngx_mesh_consul_asked_t *asked,
    ngx_mesh_consul_said_t *said, char **why)
{
    ngx_uint_t  fewer;

    *why = NULL;

    if (said->status != 200) {
        return ngx_mesh_consul_judge_status(said->status, why);
    }

    fewer = (said->count == 0
             || (asked->held != NGX_MESH_CONSUL_UNHELD
                 && said->count < asked->held));

    /* who may see nothing is told of nothing */

    if (said->denied && !asked->token && said->count == 0) {
        *why = "it answers nothing without a token";
        return NGX_MESH_CONSUL_TOKEN;
    }

    if (said->filtered && fewer) {
        *why = "its answer lacks what the token may not read";
        return NGX_MESH_CONSUL_TOKEN;
    }

    /* all answers of the streaming back end say that there is no leader */

    if (said->leaderless && !said->streaming) {
        *why = "it knows no leader";
        return asked->stale ? NGX_MESH_CONSUL_PLAIN : NGX_MESH_CONSUL_RETRY;
    }

    if (asked->stale && said->lag > asked->stale) {
        *why = "it lags behind its leader";
        return NGX_MESH_CONSUL_PLAIN;
    }

    if (asked->index) {
        return ngx_mesh_consul_judge_wait(asked, said, why);
    }

    if (asked->moved && fewer && asked->held != NGX_MESH_CONSUL_UNHELD
        && asked->held)
    {
        *why = "it knows less than was known before";
        return NGX_MESH_CONSUL_REPEAT;
    }

    return NGX_MESH_CONSUL_APPLY;
}


static ngx_uint_t
ngx_mesh_consul_judge_status(ngx_uint_t status, char **why)
{
    switch (status) {

    case 401:
    case 403:
        *why = "the token has no right to read";
        return NGX_MESH_CONSUL_TOKEN;

    case 408:
    case 429:
        *why = "it asks for fewer requests or connections";
        return NGX_MESH_CONSUL_RETRY;

    default:
        *why = "it answers with an error";
        return (status >= 400 && status < 500) ? NGX_MESH_CONSUL_SLOW
                                               : NGX_MESH_CONSUL_RETRY;
    }
}


/*
 * An answer to a blocking query may be empty with all signs of health: of an
 * agent without servers, a server without leader, a token that is gone.
 */

static ngx_uint_t
ngx_mesh_consul_judge_wait(ngx_mesh_consul_asked_t *asked,
    ngx_mesh_consul_said_t *said, char **why)
{
    if (said->index == 0) {
        *why = "its answer has no index";
        return NGX_MESH_CONSUL_PLAIN;
    }

    if (said->index < asked->index || (said->index == 1 && said->streaming)) {
        *why = "its index went backwards";
        return NGX_MESH_CONSUL_PLAIN;
    }

    if (asked->held == NGX_MESH_CONSUL_UNHELD
        || ngx_mesh_consul_shrunk(asked->held, said->count))
    {
        *why = "its answer is much smaller than the one before";
        return NGX_MESH_CONSUL_PLAIN;
    }

    return NGX_MESH_CONSUL_APPLY;
}


/* more than a quarter is gone; nothing at all is left */

static ngx_uint_t
ngx_mesh_consul_shrunk(ngx_uint_t held, ngx_uint_t count)
{
    return held && (count == 0 || count < held - held / 4);
}


/*
 * Hashes.  A sum makes the order of instances, checks and members of objects
 * no matter, where Consul promises none.
 */


static uint64_t
ngx_mesh_consul_mix(uint64_t h, uint64_t n)
{
    h = (h ^ n) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;

    return h ^ h >> 29;
}


uint64_t
ngx_mesh_consul_hash_bytes(u_char *p, size_t n)
{
    uint64_t  h, word;

    h = ngx_mesh_consul_mix(0x6d657368, n);

    for ( /* void */ ; n >= 8; p += 8, n -= 8) {
        ngx_memcpy(&word, p, 8);
        h = ngx_mesh_consul_mix(h, word);
    }

    word = 0;
    ngx_memcpy(&word, p, n);

    return ngx_mesh_consul_mix(h, word);
}


static uint64_t
ngx_mesh_consul_hash_text(char *text)
{
    return ngx_mesh_consul_hash_bytes((u_char *) text, strlen(text));
}


/* counted: members that only tell when it was changed are left out */

static uint64_t
ngx_mesh_consul_hash_value(cJSON *value, ngx_uint_t counted)
{
    cJSON     *item;
    uint64_t   h, n;

    h = ngx_mesh_consul_mix(1, value->type & 0xff);

    if (cJSON_IsString(value)) {
        return ngx_mesh_consul_mix(h,
                                 ngx_mesh_consul_hash_text(value->valuestring));
    }

    if (cJSON_IsNumber(value)) {
        ngx_memcpy(&n, &value->valuedouble, sizeof(n));
        return ngx_mesh_consul_mix(h, n);
    }

    for (item = value->child; item; item = item->next) {

        if (cJSON_IsArray(value)) {
            h = ngx_mesh_consul_mix(h, ngx_mesh_consul_hash_value(item, 0));
            continue;
        }

        if (counted && (strcmp(item->string, "CreateIndex") == 0
                        || strcmp(item->string, "ModifyIndex") == 0))
        {
            continue;
        }

        h += ngx_mesh_consul_mix(ngx_mesh_consul_hash_text(item->string),
                                 ngx_mesh_consul_hash_value(item, 0));
    }

    return h;
}


/* what they print changes with each run */

static uint64_t
ngx_mesh_consul_hash_checks(cJSON *checks)
{
    char        *name;
    cJSON       *check, *item;
    uint64_t     h, sum;
    ngx_uint_t   i;

    static char  *names[] = { "CheckID", "Status", "ServiceID", NULL };

    sum = 0;

    for (check = checks->child; check; check = check->next) {
        h = 0;

        for (i = 0; (name = names[i]) != NULL; i++) {
            item = cJSON_GetObjectItemCaseSensitive(check, name);
            h = ngx_mesh_consul_mix(h, item ? ngx_mesh_consul_hash_value(item,
                                                                         0)
                                            : 0);
        }

        sum += h;
    }

    return sum;
}


uint64_t
ngx_mesh_consul_hash(cJSON *entries)
{
    cJSON     *entry, *item;
    uint64_t   h, one, sum;

    sum = 0;

    for (entry = entries->child; entry; entry = entry->next) {

        /* of a catalog, where names are all that matters */

        one = entry->string ? ngx_mesh_consul_hash_text(entry->string) : 0;

        for (item = entry->child; item; item = item->next) {

            if (item->string == NULL) {
                continue;
            }

            h = strcmp(item->string, "Checks") == 0
                ? ngx_mesh_consul_hash_checks(item)
                : ngx_mesh_consul_hash_value(item, 1);

            one += ngx_mesh_consul_mix(ngx_mesh_consul_hash_text(item->string),
                                       h);
        }

        sum += ngx_mesh_consul_mix(2, one);
    }

    return sum ? sum : 1;
}


void
ngx_mesh_consul_bucket(ngx_mesh_consul_bucket_t *bucket, ngx_msec_t now)
{
    bucket->credit = NGX_MESH_CONSUL_CREDIT;
    bucket->time = now;
}


ngx_msec_t
ngx_mesh_consul_charge(ngx_mesh_consul_bucket_t *bucket, ngx_msec_t now,
    ngx_msec_t cost)
{
    bucket->credit += (ngx_msec_t) (now - bucket->time);
    bucket->credit = ngx_min(bucket->credit, NGX_MESH_CONSUL_CREDIT);
    bucket->credit -= cost;
    bucket->time = now;

    return bucket->credit < 0 ? (ngx_msec_t) -bucket->credit : 0;
}
