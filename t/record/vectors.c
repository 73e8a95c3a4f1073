
/*
 * Copyright (C) nginx-mesh authors
 *
 * Records that SDKs really wrote, t/vectors/records.json.
 */


#include "record_test.h"


static ngx_mesh_update_t  update;


static cJSON *
get(cJSON *object, const char *one, const char *two, const char *three)
{
    object = cJSON_GetObjectItemCaseSensitive(object, one);
    object = cJSON_GetObjectItemCaseSensitive(object, two);

    return three ? cJSON_GetObjectItemCaseSensitive(object, three) : object;
}


static cJSON *
load(const char *path)
{
    char   *text;
    long    size;
    FILE   *f;
    cJSON  *json;

    f = fopen(path, "rb");

    if (f == NULL) {
        return NULL;
    }

    (void) fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);

    text = malloc(size + 1);
    text[fread(text, 1, size, f)] = '\0';
    fclose(f);

    json = cJSON_Parse(text);
    free(text);

    return json;
}


/* "group version" of all records, in their order */

static void
keys(ngx_array_t *records, const char *address, const char *expected,
    const char *what)
{
    char                found[200], *p;
    ngx_uint_t          i, same;
    ngx_mesh_record_t  *r;

    r = records->elts;
    p = found;
    *p = '\0';
    same = 1;

    for (i = 0; i < records->nelts; i++) {
        p += sprintf(p, "%s%.*s %.*s", i ? ", " : "", (int) r[i].group.len,
                     r[i].group.data, (int) r[i].version.len,
                     r[i].version.data);
        same = same && is(&r[i].ep.name, address) && r[i].ep.weight == 100;
    }

    ok(same && strcmp(found, expected) == 0, "%s: %s", what, found);
}


static void
hash(ngx_pool_t *pool, cJSON *fields, const char *interface,
    ngx_array_t *records, ngx_uint_t *foreign)
{
    cJSON              *field;
    ngx_str_t           url, name;
    ngx_mesh_record_t   r;

    (void) ngx_array_init(records, pool, 4, sizeof(ngx_mesh_record_t));
    name = str(interface);
    *foreign = 0;

    cJSON_ArrayForEach(field, fields) {
        url = str(field->string);

        if (ngx_mesh_record_dubbo(&url, &name, pool, &r, &why) == NGX_OK) {
            *(ngx_mesh_record_t *) ngx_array_push(records) = r;

        } else {
            (*foreign)++;
        }
    }

    ngx_mesh_record_unique(records);
}


static void
redis(ngx_pool_t *pool, cJSON *sdk, const char *release, uint64_t started)
{
    ngx_uint_t          foreign;
    ngx_array_t         records;
    ngx_mesh_record_t  *r;

    hash(pool, get(sdk, "providers", "/dubbo/mesh.kit.api.Echo/providers",
                   NULL), "mesh.kit.api.Echo", &records, &foreign);
    keys(&records, "127.0.0.1:26881", " , g1 1.0.0", release);

    r = records.elts;
    ok(foreign == 0 && r->ep.started == started && r->ep.warmup == 600000
       && has(&r->ep, "application", "kit-provider")
       && has(&r->ep, "release", release) && has(&r->ep, "revision", "1")
       && r->ep.nlabels == 3, "... with %lu labels",
       (unsigned long) r->ep.nlabels);

    hash(pool, get(sdk, "providers", "/dubbo/mesh.kit.api.Notifier/providers",
                   NULL), "mesh.kit.api.Notifier", &records, &foreign);
    r = records.elts;
    ok(records.nelts == 1 && r->ep.nlabels == 3,
       "... settings of methods are no labels");

    hash(pool, get(sdk, "consumers", "/dubbo/mesh.kit.api.Echo/consumers",
                   NULL), "mesh.kit.api.Echo", &records, &foreign);
    ok(foreign == 1 && records.nelts == 0, "... consumers are none");
}


static void
health(ngx_pool_t *pool, cJSON *sdk, const char *interface,
    ngx_array_t *records)
{
    static ngx_mesh_source_t        source;
    static ngx_mesh_subscription_t  s;

    s.source = &source;
    s.sn.str = str(interface);

    (void) ngx_array_init(records, pool, 4, sizeof(ngx_mesh_record_t));
    ngx_memzero(&update, sizeof(update));

    ok(ngx_mesh_record_consul(&s, get(sdk, "health_service", interface, NULL),
                              pool, records, &update, &why) == NGX_OK,
       "%s is understood", interface);
}


static void
consul(ngx_pool_t *pool, cJSON *sdk, const char *release, const char *expected,
    const char *protocol)
{
    ngx_array_t         records;
    ngx_mesh_record_t  *r;

    health(pool, sdk, "mesh.kit.api.Echo", &records);
    keys(&records, "127.0.0.1:26885", expected, release);

    r = records.elts;
    ok(records.nelts == 2 && update.unmapped.len == 0
       && is(&r->ep.protocol, protocol) && !r->ep.drain, "... all of it");
}


void
test_vectors(ngx_pool_t *pool, const char *path)
{
    cJSON              *json;
    ngx_array_t         records;
    ngx_mesh_record_t  *r;

    json = load(path);
    ok(json != NULL, "vectors");

    redis(pool, cJSON_GetObjectItemCaseSensitive(json, "dubbo27-redis"),
          "2.7.23", 1795441501785ULL);
    redis(pool, cJSON_GetObjectItemCaseSensitive(json, "dubbo33-redis"),
          "3.3.6", 1795441633285ULL);

    consul(pool, cJSON_GetObjectItemCaseSensitive(json, "dubbo27-consul"),
           "2.7.23 on Consul", " , g1 1.0.0", "dubbo");
    consul(pool, cJSON_GetObjectItemCaseSensitive(json, "dubbo33-consul"),
           "3.3.6 on Consul", " , g1 1.0.0", "dubbo");
    consul(pool, cJSON_GetObjectItemCaseSensitive(json, "sofa513-consul"),
           "SOFARPC", " 1.0,  1.0:u1", "bolt");

    health(pool, cJSON_GetObjectItemCaseSensitive(json, "sofa513-consul"),
           "mesh.kit.sofa.PbEcho", &records);
    r = records.elts;
    ok(records.nelts == 1 && has(&r->ep, "appName", "kit-provider")
       && has(&r->ep, "serialization", "hessian2")
       && has(&r->ep, "rpcVer", "51302") && r->ep.nlabels == 3,
       "... with %lu labels", (unsigned long) r->ep.nlabels);

    health(pool, cJSON_GetObjectItemCaseSensitive(json, "dubbo33-consul"),
           "kit-provider", &records);
    ok(records.nelts == 0
       && is(&update.unmapped, "application-level: 1 instance, as "
             "\"340bf015\" (remedy: service INTERFACE { provided_by "
             "kit-provider; })"), "an application is no service");

    cJSON_Delete(json);
}
