
/*
 * Copyright (C) nginx-mesh authors
 *
 * Instances of applications, what is asked of them, and the records that
 * follow.
 */


#include "metadata_test.h"


#define CHECK(status)  "{\"CheckID\":\"service:1\",\"Status\":\"" status "\"}"
#define MAINT          "{\"CheckID\":\"_service_maintenance:1\","             \
                       "\"Status\":\"critical\"}"

/* tags of what has a revision of the test's own */
#define TAGS(port, revision)                                                  \
    "\"dubbo.endpoints=[{\\\"port\\\":" port ",\\\"protocol\\\":"             \
    "\\\"dubbo\\\"}]\",\"dubbo.metadata.revision=" revision "\""


static ngx_mesh_source_t         source;
static ngx_mesh_subscription_t   subscription;
static ngx_mesh_update_t         update;
static ngx_mesh_metadata_wait_t  waiter;
static ngx_str_t                 reason;
static ngx_array_t               records;
static ngx_uint_t                woken;


static void
handler(ngx_mesh_metadata_wait_t *w)
{
    woken++;
}


/* one more instance of the array, of a real provider */

static void
instance(cJSON *entries, const char *vector, const char *address,
    const char *status)
{
    char    text[200];
    cJSON  *entry, *service, *recorded, *v;

    recorded = cJSON_GetObjectItem(cJSON_GetObjectItem(vectors, vector),
                                   "instance");
    entry = cJSON_CreateObject();
    service = cJSON_AddObjectToObject(entry, "Service");

    (void) cJSON_AddStringToObject(service, "ID", vector);
    (void) cJSON_AddStringToObject(service, "Address", address);

    cJSON_ArrayForEach(v, recorded) {
        cJSON_AddItemToObject(service, v->string, cJSON_Duplicate(v, 1));
    }

    (void) cJSON_AddStringToObject(cJSON_AddObjectToObject(entry, "Node"),
                                   "Address", "10.9.9.9");
    (void) snprintf(text, sizeof(text), "[" CHECK("%s") "]", status);
    cJSON_AddItemToObject(entry, "Checks", cJSON_Parse(text));
    cJSON_AddItemToArray(entries, entry);
}


static cJSON *
own(const char *address, const char *tags, const char *checks)
{
    char  text[2000];

    (void) snprintf(text, sizeof(text),
                    "{\"Node\":{\"Address\":\"10.9.9.9\"},\"Service\":{"
                    "\"ID\":\"1\",\"Service\":\"app\",\"Address\":\"%s\","
                    "\"Port\":20880,\"Tags\":[%s]},\"Checks\":[%s]}",
                    address, tags, checks);

    return cJSON_Parse(text);
}


static ngx_int_t
look(cJSON *entries, const char *app, const char *interface)
{
    char       *text;
    cJSON      *to;
    ngx_int_t   rc;
    ngx_str_t   name, told;

    source.name = str("consul");
    subscription.source = &source;
    subscription.sn.str = str(interface);
    name = str(app);

    waiter.handler = handler;
    woken = 0;

    ngx_memzero(&update, sizeof(update));
    (void) ngx_array_init(&records, pool, 4, sizeof(ngx_mesh_record_t));

    to = cJSON_CreateArray();
    rc = ngx_mesh_metadata_entries(&waiter, &subscription, &name, entries, to,
                                   &update, &reason, pool);
    told = update.unmapped;

    if (rc == NGX_OK
        && ngx_mesh_record_consul(&subscription, to, pool, &records, &update,
                                  &text)
           != NGX_OK)
    {
        ok(0, "records: %s", text);
    }

    update.unmapped = told;
    cJSON_Delete(to);

    return rc;
}


static ngx_mesh_record_t *
record(const char *version)
{
    ngx_uint_t                i;
    ngx_mesh_record_t        *r;
    static ngx_mesh_record_t  none;

    r = records.elts;

    for (i = 0; i < records.nelts; i++) {
        if (is(&r[i].version, version)) {
            return &r[i];
        }
    }

    return &none;
}


static int
has(ngx_str_t *s, const char *text)
{
    return s->len && memmem(s->data, s->len, text, strlen(text));
}


static void
known(void)
{
    cJSON              *entries;
    ngx_mesh_record_t  *r;

    entries = cJSON_CreateArray();
    instance(entries, "dubbo33", "10.0.0.1", "passing");

    ok(look(entries, "shop", "P$Echo") == NGX_AGAIN && reason.len == 0
       && stub_nasks == 1, "an instance is asked");
    ok(is(&stub_asks[0]->place.addr.name, "10.0.0.1:28880")
       && !stub_asks[0]->place.http && is(&stub_asks[0]->app, "shop")
       && is(&stub_asks[0]->revision, "254b4748604826db4a91eaf17751dd71"),
       "... where it says, for what it has");

    ok(look(entries, "shop", "P$Other") == NGX_AGAIN && stub_asked == 1,
       "... and once, whoever wants to know");

    stub_answer(0, "dubbo33", NULL);
    ok(woken == 0, "who waits is not told at once");
    stub_posted();
    ok(woken == 1, "... but soon");

    ok(look(entries, "shop", "P$Echo") == NGX_OK && records.nelts == 2
       && update.unmapped.len == 0, "two services of that path");

    r = record("2.0.0");
    ok(is(&r->ep.name, "10.0.0.1:28880") && is(&r->ep.protocol, "dubbo")
       && r->ep.weight == 100 && r->ep.started == 1795668358400ull
       && r->ep.warmup == 600000, "an endpoint");

    ok(look(entries, "shop", "custom/path") == NGX_OK && records.nelts == 1,
       "a path of its own");
    r = record("1.0.0");
    ok(is(&r->group, "g1") && r->ep.weight == 30 && r->ep.warmup == 60000,
       "its group, weight and warm-up");

    ok(look(entries, "shop", "P$None") == NGX_OK && records.nelts == 0
       && has(&update.unmapped, "none of 1 instances of shop offers it"),
       "told: %.*s", (int) update.unmapped.len, update.unmapped.data);

    ok(look(entries, "shop", "P$Echo") == NGX_OK && stub_asked == 1,
       "it is not asked again");

    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
}


static void
shared(void)
{
    cJSON  *entries;

    entries = cJSON_CreateArray();
    instance(entries, "dubbo32", "10.0.0.1", "passing");
    instance(entries, "dubbo32", "10.0.0.2", "passing");
    instance(entries, "dubbo32", "10.0.0.3", "critical");
    stub_asked = 0;

    ok(look(entries, "shop", "P$Echo") == NGX_AGAIN && stub_nasks == 1,
       "instances of a revision: one is asked");

    stub_answer(0, NULL, "10.0.0.1:28980: no");
    stub_posted();

    ok(stub_nasks == 1 && woken == 0
       && is(&stub_asks[0]->place.addr.name, "10.0.0.2:28980"),
       "then the other");

    stub_answer(0, "dubbo32", NULL);
    stub_posted();

    ok(woken == 1 && look(entries, "shop", "P$Echo") == NGX_OK
       && records.nelts == 4, "two of each, the critical one is none");
    ok(stub_asked == 2, "nobody is asked twice");

    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
}


static void
failing(void)
{
    cJSON  *entries;

    entries = cJSON_CreateArray();
    instance(entries, "dubbo33", "10.0.0.1", "passing");
    stub_asked = 0;

    (void) look(entries, "shop", "P$Echo");
    stub_answer(0, NULL, "10.0.0.1:28880: connection refused");
    stub_posted();

    ok(woken == 1 && look(entries, "shop", "P$Echo") == NGX_AGAIN
       && has(&reason, "connection refused"), "a failure: %.*s",
       (int) reason.len, reason.data);
    ok(stub_nasks == 0, "it rests");

    stub_sleep(300);
    ok(stub_nasks == 1, "... and tries again");
    stub_answer(0, NULL, "10.0.0.1:28880: no route");
    stub_posted();
    ok(woken == 0, "who waits is told once");

    while (ngx_current_msec < 1000000 + 90000) {
        stub_sleep(1000);

        if (stub_nasks) {
            stub_answer(0, NULL, "10.0.0.1:28880: no route");
            stub_posted();
        }
    }

    ok(stub_asked < 12, "less and less often (%lu)",
       (unsigned long) stub_asked);
    ok(woken == 1 && look(entries, "shop", "P$Echo") == NGX_AGAIN
       && has(&reason, "no route"), "nothing is ever taken for empty");

    stub_sleep(30000);
    stub_answer(0, "dubbo33", NULL);
    stub_posted();
    ok(woken == 1 && look(entries, "shop", "P$Echo") == NGX_OK
       && records.nelts == 2, "it comes at last");

    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
}


/* what was of use before is so until something else is known */

static void
changing(void)
{
    cJSON  *entries, *more, *tag;

    entries = cJSON_CreateArray();
    instance(entries, "dubbo33", "10.0.0.1", "passing");

    (void) look(entries, "shop", "P$Echo");
    stub_answer(0, "dubbo33", NULL);
    (void) look(entries, "shop", "P$Echo");

    more = cJSON_Duplicate(entries, 1);
    instance(more, "dubbo32", "10.0.0.2", "passing");

    ok(look(more, "shop", "P$Echo") == NGX_OK && records.nelts == 2
       && stub_nasks == 1, "a new one holds up nothing");
    stub_answer(0, NULL, "10.0.0.2:28980: refused");
    stub_posted();
    ok(woken == 1 && look(more, "shop", "P$Echo") == NGX_OK
       && records.nelts == 2 && has(&update.unmapped, "of 1 instances"),
       "... but is told of: %.*s", (int) update.unmapped.len,
       update.unmapped.data);
    stub_sleep(300);
    stub_answer(0, "dubbo32", NULL);
    stub_posted();
    ok(woken == 1 && look(more, "shop", "P$Echo") == NGX_OK
       && records.nelts == 4, "... and is one of them when it is known");

    tag = cJSON_GetObjectItem(cJSON_GetObjectItem(
                                  cJSON_GetArrayItem(more, 0), "Service"),
                              "Tags");
    cJSON_ReplaceItemInArray(tag, 2,
                             cJSON_CreateString("dubbo.metadata.revision=n"));

    ok(look(more, "shop", "P$Echo") == NGX_OK && records.nelts == 4
       && stub_nasks == 1, "another revision: as it was, until it is known");

    cJSON_DeleteItemFromArray(more, 1);

    ok(look(more, "shop", "P$Echo") == NGX_OK && records.nelts == 2,
       "... and so if it is the only one");

    cJSON_Delete(more);
    more = cJSON_CreateArray();
    cJSON_AddItemToArray(more, own("10.0.0.7", TAGS("20880", "x"),
                                   CHECK("passing")));

    ok(look(more, "shop", "P$Echo") == NGX_AGAIN,
       "all new ones are not taken for none");

    cJSON_Delete(more);
    more = cJSON_CreateArray();

    ok(look(more, "shop", "P$Echo") == NGX_OK && records.nelts == 0
       && update.unmapped.len == 0, "none is none");

    cJSON_Delete(more);
    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
    ok(stub_nasks == 0, "nobody is asked any more");
}


static void
triple(void)
{
    cJSON  *entries;

    entries = cJSON_CreateArray();
    instance(entries, "dubbo33-triple", "10.0.0.1", "passing");

    ok(look(entries, "shop-both", "P$Echo") == NGX_AGAIN && stub_nasks == 1
       && stub_asks[0]->place.http
       && is(&stub_asks[0]->place.addr.name, "10.0.0.1:28331"),
       "triple: HTTP first");

    stub_answer(0, NULL, "10.0.0.1:28331: closed");
    ok(stub_nasks == 1 && !stub_asks[0]->place.http
       && is(&stub_asks[0]->place.addr.name, "10.0.0.1:28330"),
       "then the port of dubbo");
    stub_answer(0, "dubbo33-triple", NULL);

    ok(look(entries, "shop-both", "P$Echo") == NGX_OK && records.nelts == 2
       && is(&record("")->ep.name, "10.0.0.1:28330")
       && update.unmapped.len == 0, "services of dubbo, at its port");

    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
}


static void
early(void)
{
    cJSON  *entries;

    entries = cJSON_CreateArray();
    instance(entries, "dubbo30", "10.0.0.1", "passing");

    ok(look(entries, "shop-old", "P$Echo") == NGX_AGAIN && stub_nasks == 1
       && is(&stub_asks[0]->place.addr.name, "10.0.0.1:28780"),
       "without a word about it, the port of dubbo is asked");
    stub_answer(0, "dubbo30", NULL);
    ok(look(entries, "shop-old", "P$Echo") == NGX_OK && records.nelts == 2
       && is(&record("")->ep.name, "10.0.0.1:28780"),
       "... and called");

    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
}


static ngx_int_t
single(const char *address, const char *tags, const char *checks)
{
    cJSON      *entries;
    ngx_int_t   rc;

    entries = cJSON_CreateArray();
    cJSON_AddItemToArray(entries, own(address, tags, checks));
    rc = look(entries, "app", "a.B");
    cJSON_Delete(entries);

    return rc;
}


static void
odd(void)
{
    ok(single("10.0.0.1", "\"v1\"", CHECK("passing")) == NGX_OK
       && has(&update.unmapped, "is one of Dubbo 3"), "no Dubbo: %.*s",
       (int) update.unmapped.len, update.unmapped.data);
    ok(single("10.0.0.1", TAGS("20880", "0"), CHECK("passing")) == NGX_OK
       && records.nelts == 0 && stub_nasks == 0, "revision 0: nothing yet");
    ok(single("10.0.0.1", TAGS("20880", "r") ","
              "\"dubbo.metadata.storage-type=remote\"", CHECK("passing"))
       == NGX_AGAIN && has(&reason, "metadata centre"), "a metadata centre");
    ok(single("host.name", TAGS("20880", "r"), CHECK("passing")) == NGX_AGAIN
       && has(&reason, "no address"), "a name instead of an address");
    ok(single("10.0.0.1", TAGS("20880", "r"), CHECK("critical")) == NGX_OK
       && stub_nasks == 0, "a critical one is left alone");
    ok(single("10.0.0.1", TAGS("20880", "m"), CHECK("passing") "," MAINT)
       == NGX_AGAIN && stub_nasks == 1, "one in maintenance is not");
    ok(single("10.0.0.1", "\"dubbo.endpoints={\","
              "\"dubbo.metadata.revision=z\","
              "\"dubbo.metadata-service.url-params=[\"", CHECK("passing"))
       == NGX_AGAIN, "damaged tags");

    ngx_mesh_metadata_forget(&source);
}


/* more questions than may be asked at a time */

static void
many(void)
{
    char        tags[300], address[32];
    cJSON      *entries;
    ngx_uint_t  i;

    entries = cJSON_CreateArray();
    stub_asked = 0;

    for (i = 0; i < 40; i++) {
        (void) snprintf(tags, sizeof(tags), TAGS("20880", "r%lu"),
                        (unsigned long) i);
        (void) snprintf(address, sizeof(address), "10.0.0.%lu",
                        (unsigned long) i);
        cJSON_AddItemToArray(entries, own(address, tags, CHECK("passing")));
    }

    ok(look(entries, "app", "a.B") == NGX_AGAIN && stub_nasks == 16,
       "so many are asked at a time");

    while (stub_nasks) {
        stub_answer(0, NULL, "no");
    }

    stub_posted();
    ok(stub_asked == 40 && woken == 1, "all in the end, who waits hears once");

    stub_sleep(300);
    ngx_mesh_metadata_cancel(&waiter);

    while (stub_nasks) {
        stub_answer(0, NULL, "no");
    }

    stub_posted();

    cJSON_Delete(entries);
    entries = cJSON_CreateArray();
    (void) look(entries, "app", "a.B");
    stub_asked = 0;
    stub_sleep(60000);
    ok(stub_asked == 0, "what is gone is not asked");

    cJSON_Delete(entries);
    ngx_mesh_metadata_forget(&source);
}


void
test_entries(void)
{
    known();
    shared();
    failing();
    changing();
    triple();
    early();
    odd();
    many();
}
