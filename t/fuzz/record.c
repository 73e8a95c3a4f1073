
/*
 * Copyright (C) nginx-mesh authors
 *
 * Any bytes as what a registry has: JSON is an answer of Consul's, lines are
 * configurators, one line is a provider.  The sanitizers look for what is read
 * that is not there; here is checked that records are fit for the table, and
 * outlive what they were made of.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "unit.h"
#include "ngx_mesh_record.h"


#define check(x)                                                              \
    if (!(x)) {                                                               \
        fprintf(stderr, "line %d: %s\n", __LINE__, #x);                       \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static ngx_str_t  interface = ngx_string("a.B");


ngx_uint_t
ngx_mesh_protocol_known(ngx_str_t *protocol)
{
    return protocol->len < 6;
}


static void
plain(ngx_str_t *s, size_t max)
{
    size_t  i;

    check(s->len <= max);

    for (i = 0; i < s->len; i++) {
        check(s->data[i] >= 0x20 && s->data[i] != 0x7f);
    }
}


static void
fit(ngx_mesh_record_t *r)
{
    ngx_uint_t            i;
    ngx_keyval_t         *label;
    ngx_mesh_endpoint_t  *ep;

    ep = &r->ep;

    plain(&r->group, 512);
    plain(&r->version, 512);
    check(r->group.len == 0 || memchr(r->group.data, '/', r->group.len)
                               == NULL);
    check(r->version.len == 0 || memchr(r->version.data, '/', r->version.len)
                                 == NULL);

    check(ep->name.len > 6 && ep->name.len < 60);
    check(ep->id.len == ep->name.len && ep->host.len < ep->name.len);
    check(ep->sockaddr && ep->sockaddr->sa_family
          && ep->socklen >= sizeof(struct sockaddr_in));
    check(ep->weight <= 1000000 && ep->warmup_weight <= 1000000);
    check(ep->warmup <= 0x7fffffff && (ep->warmup == 0 || ep->started));
    check(ep->protocol.len && ep->zone.len < 256);
    check(ep->max_fails == 1 && ep->fail_timeout == 10000);

    for (i = 0; i < ep->nlabels; i++) {
        label = &ep->labels[i];

        plain(&label->key, 128);
        plain(&label->value, 512);
        check(label->key.len);

        check(i == 0
              || ngx_memn2cmp(label[-1].key.data, label->key.data,
                              label[-1].key.len, label->key.len) < 0);
    }
}


static void
provider(const uint8_t *data, size_t size, ngx_pool_t *pool)
{
    char               *why;
    ngx_int_t           rc;
    ngx_str_t           url;
    ngx_mesh_record_t   r;

    url.len = size;
    url.data = malloc(size ? size : 1);
    memcpy(url.data, data, size);

    why = NULL;
    rc = ngx_mesh_record_dubbo(&url, &interface, pool, &r, &why);

    check(memcmp(url.data, data, size) == 0);
    free(url.data);

    check(rc == NGX_OK || (rc == NGX_DECLINED && why));

    if (rc == NGX_OK) {
        fit(&r);
    }
}


static void
rules(const uint8_t *data, size_t size, ngx_pool_t *pool)
{
    char               *why;
    ngx_str_t           url, unsupported, *line;
    ngx_uint_t          i;
    ngx_array_t         urls, records;
    const uint8_t      *p, *end;
    ngx_mesh_record_t  *r;

    static ngx_str_t    providers[2] = {
        ngx_string("dubbo://10.0.0.1:20880/a.B?application=p&timestamp=5"),
        ngx_string("dubbo://[::1]:20881/a.B?group=g&version=1&weight=3")
    };

    (void) ngx_array_init(&urls, pool, 4, sizeof(ngx_str_t));
    (void) ngx_array_init(&records, pool, 4, sizeof(ngx_mesh_record_t));

    for (i = 0; i < 2; i++) {
        url = providers[i];
        r = ngx_array_push(&records);
        check(ngx_mesh_record_dubbo(&url, &interface, pool, r, &why)
              == NGX_OK);
    }

    for (p = data; p < data + size; p = end + 1) {
        end = memchr(p, '\n', data + size - p);
        end = end ? end : data + size;

        line = ngx_array_push(&urls);
        line->data = (u_char *) p;
        line->len = end - p;
    }

    check(ngx_mesh_record_configure(&urls, &records, pool, &unsupported)
          == NGX_OK);
    check(records.nelts == 2);

    r = records.elts;
    fit(&r[0]);
    fit(&r[1]);
    check(unsupported.len == 0 || unsupported.len > 28);
}


static void
answer(const uint8_t *data, size_t size, ngx_pool_t *pool)
{
    char                     *why;
    cJSON                    *json;
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_array_t               records;
    ngx_mesh_record_t        *r;
    ngx_mesh_source_t         source;
    ngx_mesh_update_t         update;
    ngx_mesh_subscription_t   s;

    json = cJSON_ParseWithLength((const char *) data, size);

    if (json == NULL) {
        return;
    }

    ngx_memzero(&source, sizeof(source));
    ngx_memzero(&s, sizeof(s));
    ngx_memzero(&update, sizeof(update));

    ngx_str_set(&source.name, "consul");
    s.source = &source;
    s.sn.str = interface;

    (void) ngx_array_init(&records, pool, 4, sizeof(ngx_mesh_record_t));

    why = NULL;
    rc = ngx_mesh_record_consul(&s, json, pool, &records, &update, &why);

    cJSON_Delete(json);

    check(rc == NGX_OK || (rc == NGX_DECLINED && why));

    if (rc != NGX_OK) {
        return;
    }

    r = records.elts;

    for (i = 0; i < records.nelts; i++) {
        fit(&r[i]);
    }

    check(update.unmapped.len < 4000);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(0, NULL);

    if (size && data[0] == '[') {
        answer(data, size, pool);

    } else if (memchr(data, '\n', size)) {
        rules(data, size, pool);

    } else {
        provider(data, size, pool);
    }

    ngx_destroy_pool(pool);

    return 0;
}
