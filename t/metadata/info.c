
/*
 * Copyright (C) nginx-mesh authors
 *
 * Answers of getMetadataInfo().
 */


#include "metadata_test.h"


char             *why;
static u_char    *bytes;
static size_t     nbytes;


static void *
take(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


ngx_str_t
vector_string(const char *name, const char *field)
{
    cJSON  *v;

    v = cJSON_GetObjectItem(cJSON_GetObjectItem(vectors, name), field);

    return str(cJSON_IsString(v) ? v->valuestring : "");
}


static void
vector_bytes(const char *name)
{
    size_t     i;
    unsigned   c;
    ngx_str_t  hex;

    hex = vector_string(name, "hex");
    nbytes = hex.len / 2;
    free(bytes);
    bytes = malloc(nbytes);

    for (i = 0; i < nbytes; i++) {
        (void) sscanf((char *) hex.data + 2 * i, "%2x", &c);
        bytes[i] = (u_char) c;
    }
}


/* what is made of "bytes" */

static ngx_array_t *
decode(ngx_str_t *revision, ngx_uint_t max, ngx_pool_t *to)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_pool_t              *work;
    ngx_array_t             *services;
    ngx_mesh_tree_t         *value;
    ngx_mesh_frame_t         f;
    ngx_mesh_tree_reader_t   r;
    static char              buf[1000];

    why = "no frame";

    if (ngx_mesh_dubbo_codec.head(&ngx_mesh_dubbo_codec, bytes, nbytes, &f)
        != NGX_OK || f.size != nbytes)
    {
        return NULL;
    }

    work = ngx_create_pool(4096, NULL);
    services = ngx_array_create(to, 4, sizeof(ngx_mesh_metadata_service_t));

    r.alloc = take;
    r.data = work;
    r.max = max;

    rc = ngx_mesh_dubbo_answer(bytes, &f, &r, &value, &text);

    if (rc == NGX_DECLINED) {
        snprintf(buf, sizeof(buf), "%.*s", (int) text.len, text.data);
        why = buf;

    } else if (rc != NGX_OK) {
        why = "damaged";

    } else if (value == NULL) {
        why = "null";
        rc = NGX_DECLINED;

    } else {
        rc = ngx_mesh_metadata_tree(value, revision, to, services, &why);
    }

    ngx_destroy_pool(work);

    return rc == NGX_OK ? services : NULL;
}


ngx_array_t *
vector_services(const char *name, ngx_pool_t *to)
{
    cJSON        *json;
    ngx_str_t     revision;
    ngx_array_t  *services;

    revision = vector_string(name, "revision");
    json = cJSON_GetObjectItem(cJSON_GetObjectItem(vectors, name), "json");

    if (json == NULL) {
        vector_bytes(name);
        return decode(&revision, NGX_MESH_METADATA_VALUES, to);
    }

    services = ngx_array_create(to, 4, sizeof(ngx_mesh_metadata_service_t));

    return ngx_mesh_metadata_json(json, &revision, to, services, &why)
           == NGX_OK ? services : NULL;
}


static ngx_mesh_metadata_service_t *
service(ngx_array_t *services, const char *path, const char *version)
{
    ngx_uint_t                    i;
    ngx_mesh_metadata_service_t  *s;

    s = services->elts;

    for (i = 0; i < services->nelts; i++) {
        if (is(&s[i].path, path) && is(&s[i].version, version)) {
            return &s[i];
        }
    }

    return NULL;
}


static int
param_is(ngx_mesh_metadata_service_t *s, const char *key, const char *value)
{
    ngx_uint_t  i;

    for (i = 0; i < s->nparams; i++) {
        if (is(&s->params[i].key, key)) {
            return is(&s->params[i].value, value);
        }
    }

    return 0;
}


static void
real(const char *name, ngx_uint_t port)
{
    ngx_array_t                  *services;
    ngx_mesh_metadata_service_t  *s, *plain;

    services = vector_services(name, pool);

    ok(services != NULL, "%s: understood", name);

    if (services == NULL) {
        return;
    }

    plain = service(services, "P$Echo", "");
    s = service(services, "custom/path", "1.0.0");

    ok(service(services, "P$Other", "") && service(services, "P$Echo", "2.0.0")
       && plain && s, "%s: its services", name);

    if (plain == NULL || s == NULL) {
        return;
    }

    ok(is(&plain->protocol, "dubbo") && plain->port == port
       && is(&plain->group, ""), "%s: without group", name);
    ok(is(&s->group, "g1") && s->port == port, "%s: group and port", name);
    ok(param_is(s, "weight", "30") && param_is(s, "warmup", "60000")
       && param_is(s, "dubbo.tag", "gray")
       && param_is(s, "na\xc3\xafve", "\xc5\xbc\xc3\xb3\xc5\x82w"),
       "%s: parameters", name);
}


static void
other(const char *name, const char *text)
{
    ok(vector_services(name, pool) == NULL
       && strncmp(why, text, strlen(text)) == 0, "%s: %.60s", name, why);
}


/* nothing is read, or written, where it must not; ASan looks */

static void
mutations(const char *name)
{
    size_t       i, n;
    u_char      *sound;
    ngx_str_t    revision;
    ngx_uint_t   round, good;
    ngx_pool_t  *to;

    revision = vector_string(name, "revision");
    vector_bytes(name);

    sound = malloc(nbytes);
    memcpy(sound, bytes, nbytes);

    srandom(7);
    good = 0;

    for (round = 0; round < 4000; round++) {
        i = 16 + random() % (nbytes - 20);
        n = 1 + random() % 4;

        while (n--) {
            bytes[i + n] = (u_char) (random() % 3
                                     ? random()
                                     : "HMOCQZWXV\x90\x91R"[random() % 12]);
        }

        to = ngx_create_pool(4096, NULL);

        if (decode(&revision, 2000, to)) {
            good++;
        }

        ngx_destroy_pool(to);
        memcpy(bytes, sound, nbytes);
    }

    free(sound);

    ok(good > 0, "%s: damaged at random (%lu understood)", name,
       (unsigned long) good);
}


static void
put(const char *s, size_t n)
{
    bytes = realloc(bytes, nbytes + n);
    memcpy(bytes + nbytes, s, n);
    nbytes += n;
}


/* many services that are all the same large one */

static void
references(void)
{
    char        num[8];
    ngx_str_t   revision;
    ngx_uint_t  i;

#define PUT(s)  put(s, sizeof(s) - 1)

    nbytes = 0;
    PUT("\xda\xbb\x02\x14\0\0\0\0\0\0\0\1\0\0\0\0");
    PUT("\x91H\x08revision\x01r\x08servicesH\x01" "aH\x04name\x01n\x06paramsH");

    for (i = 0; i < 4000; i++) {
        (void) snprintf(num, sizeof(num), "\x04%04lu", (unsigned long) i);
        put(num, 5);
        PUT("S\0\x28" "0123456789012345678901234567890123456789");
    }

    PUT("ZZ");

    for (i = 0; i < 20000; i++) {
        PUT("\x01" "bQ\x92");
    }

    PUT("ZZ");

    bytes[12] = (u_char) ((nbytes - 16) >> 24);
    bytes[13] = (u_char) ((nbytes - 16) >> 16);
    bytes[14] = (u_char) ((nbytes - 16) >> 8);
    bytes[15] = (u_char) (nbytes - 16);

    revision = str("r");

    ok(decode(&revision, NGX_MESH_METADATA_VALUES, pool) == NULL
       && strcmp(why, "it answered more than can be kept") == 0,
       "a little that stands for much: %s", why);
}


void
test_info(void)
{
    ngx_str_t  revision;

    real("dubbo33", 28880);
    real("dubbo32", 28980);
    real("dubbo30", 0);
    real("dubbo33-triple", 28330);

    other("dubbo33-unknown", "null");
    other("dubbo33-app", "org.apache.dubbo.remoting.RemotingException: Not");

    revision = str("another");
    vector_bytes("dubbo33");
    ok(decode(&revision, 1000, pool) == NULL
       && strcmp(why, "it has another revision by now") == 0,
       "another revision: %s", why);
    ok(decode(&revision, 10, pool) == NULL && strcmp(why, "damaged") == 0,
       "too many values");

    mutations("dubbo33");
    mutations("dubbo30");
    references();

    free(bytes);
    bytes = NULL;
}
