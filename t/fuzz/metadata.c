
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as what applications of Dubbo 3 say of themselves.  What begins
 * with a bracket is an answer of Consul's and, behind a line end, what the
 * instances answer that are asked because of it, all as JSON; anything else is
 * the body of an answer in Hessian 2.
 */


#include "metadata_test.h"


#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


ngx_pool_t               *pool;
char                     *why;

static ngx_mesh_source_t         source;
static ngx_mesh_subscription_t   subscription;
static ngx_mesh_metadata_wait_t  waiter;

static ngx_str_t  interface = ngx_string("a.B");
static ngx_str_t  application = ngx_string("app");


ngx_array_t *
vector_services(const char *name, ngx_pool_t *to)
{
    return NULL;
}


static void *
take(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


static void
handler(ngx_mesh_metadata_wait_t *wait)
{
    check(!wait->waiting);
}


static void
sound(ngx_array_t *services)
{
    ngx_uint_t                    i, n;
    ngx_mesh_metadata_service_t  *s;

    s = services->elts;

    for (i = 0; i < services->nelts; i++) {
        check(s[i].port < 65536);
        check(s[i].path.len == 0 || s[i].path.data);

        for (n = 0; n < s[i].nparams; n++) {
            check(s[i].params[n].key.data && s[i].params[n].value.data);
        }
    }
}


static void
hessian(const uint8_t *data, size_t size)
{
    u_char                  *p;
    ngx_int_t                rc;
    ngx_str_t                text, revision;
    ngx_pool_t              *work;
    ngx_array_t             *services;
    ngx_mesh_tree_t         *value;
    ngx_mesh_frame_t         f;
    ngx_mesh_tree_reader_t   r;

    static u_char  head[12] = { 0xda, 0xbb, 2, 20, 0, 0, 0, 0, 0, 0, 0, 1 };

    p = malloc(16 + size);
    memcpy(p, head, 12);
    p[12] = (u_char) (size >> 24);
    p[13] = (u_char) (size >> 16);
    p[14] = (u_char) (size >> 8);
    p[15] = (u_char) size;
    memcpy(p + 16, data, size);

    ngx_memzero(&f, sizeof(f));
    check(ngx_mesh_dubbo_codec.head(&ngx_mesh_dubbo_codec, p, 16 + size, &f)
          == NGX_OK);

    work = ngx_create_pool(4096, NULL);
    services = ngx_array_create(pool, 4, sizeof(ngx_mesh_metadata_service_t));

    r.alloc = take;
    r.data = work;
    r.max = 10000;

    /* that of the corpus */

    ngx_str_set(&revision, "254b4748604826db4a91eaf17751dd71");
    why = NULL;
    rc = ngx_mesh_dubbo_answer(p, &f, &r, &value, &text);

    if (rc == NGX_OK && value) {
        rc = ngx_mesh_metadata_tree(value, &revision, pool, services, &why);
        check(rc == NGX_OK || why);

        /* nothing of it is the answer's own memory */

        ngx_destroy_pool(work);
        work = NULL;

        if (rc == NGX_OK) {
            sound(services);
        }
    }

    if (work) {
        ngx_destroy_pool(work);
    }

    free(p);
}


static ngx_int_t
look(cJSON *entries)
{
    char               *text;
    cJSON              *to;
    ngx_int_t           rc;
    ngx_str_t           reason;
    ngx_array_t         records;
    ngx_mesh_update_t   update;

    ngx_memzero(&update, sizeof(update));
    (void) ngx_array_init(&records, pool, 4, sizeof(ngx_mesh_record_t));

    to = cJSON_CreateArray();
    rc = ngx_mesh_metadata_entries(&waiter, &subscription, &application,
                                   entries, to, &update, &reason, pool);

    check(rc == NGX_OK || rc == NGX_AGAIN);

    if (rc == NGX_OK) {
        check(ngx_mesh_record_consul(&subscription, to, pool, &records,
                                     &update, &text)
              != NGX_ERROR);
    }

    cJSON_Delete(to);

    return rc;
}


static void
answer(const uint8_t *data, size_t size)
{
    cJSON                    *json;
    ngx_str_t                 text;
    ngx_pool_t               *to;
    ngx_array_t              *services;
    ngx_mesh_metadata_ask_t  *ask;

    ask = stub_asks[0];
    check(ask->place.addr.name.len && ask->place.addr.socklen);

    to = ngx_create_pool(4096, NULL);
    services = ngx_array_create(to, 4, sizeof(ngx_mesh_metadata_service_t));
    json = cJSON_ParseWithLength((const char *) data, size);
    why = NULL;

    if (json
        && ngx_mesh_metadata_json(json, &ask->revision, to, services, &why)
           == NGX_OK)
    {
        cJSON_Delete(json);
        sound(services);

        ngx_mesh_metadata_ask_close(ask);
        ask->done(ask, to, services, NULL);
        return;
    }

    cJSON_Delete(json);
    ngx_destroy_pool(to);

    text = str(why ? why : "no answer");
    ngx_mesh_metadata_ask_close(ask);
    ask->done(ask, NULL, NULL, &text);
}


static void
consul(const uint8_t *data, size_t size)
{
    cJSON          *entries;
    const uint8_t  *p;
    ngx_uint_t      i;

    p = memchr(data, '\n', size);
    p = p ? p : data + size;

    entries = cJSON_ParseWithLength((const char *) data, p - data);

    if (!cJSON_IsArray(entries)) {
        cJSON_Delete(entries);
        return;
    }

    (void) look(entries);

    for (i = 0; i < 50 && stub_nasks; i++) {
        answer(p, data + size - p);
    }

    stub_posted();
    (void) look(entries);
    stub_sleep(120000);
    (void) look(entries);

    cJSON_Delete(entries);

    ngx_mesh_metadata_cancel(&waiter);
    ngx_mesh_metadata_forget(&source);

    check(stub_nasks == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ngx_log_t  log;

    ((ngx_cycle_t *) ngx_cycle)->log = &log;
    stub_begin();

    pool = ngx_create_pool(0, NULL);

    ngx_str_set(&source.name, "consul");
    subscription.source = &source;
    subscription.sn.str = interface;
    waiter.handler = handler;

    if (size && data[0] == '[') {
        consul(data, size);

    } else {
        hessian(data, size);
    }

    ngx_destroy_pool(pool);

    return 0;
}
