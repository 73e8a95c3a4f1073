
/*
 * Copyright (C) nginx-mesh authors
 *
 * The store against a model: random commits, each item and each revision
 * compared; then committing processes killed at random instructions, and the
 * store looked at by whoever takes the lock next.
 */


#include <sys/mman.h>
#include <sys/ptrace.h>
#include "store.h"


#define KEYS    64


/* a lock like the slab mutex: taken from a dead process by its master */

typedef struct {
    volatile ngx_atomic_t  owner;
    u_char                 region[REGION];
} shared_t;


static shared_t          *shared;
ngx_mesh_store_t          store;
ngx_log_t                 log_stub;

ngx_pid_t                 ngx_pid;

/* what the store should hold: a number for each key, 0 is none */

static uint32_t           model[KEYS];


static void
lock(void *data)
{
    ngx_atomic_uint_t  owner;

    for ( ;; ) {
        if (ngx_atomic_cmp_set(&shared->owner, 0, (ngx_atomic_uint_t) ngx_pid))
        {
            return;
        }

        owner = shared->owner;

        if (owner && kill((pid_t) owner, 0) == -1 && errno == ESRCH) {
            (void) ngx_atomic_cmp_set(&shared->owner, owner, 0);
        }

        usleep(1);
    }
}


static void
unlock(void *data)
{
    (void) ngx_atomic_cmp_set(&shared->owner, (ngx_atomic_uint_t) ngx_pid, 0);
}


void
start(size_t size)
{
    shared->owner = 0;

    if (ngx_mesh_store_format(shared->region, size, 42) != NGX_OK
        || ngx_mesh_store_attach(&store, shared->region, size) != NGX_OK)
    {
        ok(0, "a store");
        exit(1);
    }

    store.lock = lock;
    store.unlock = unlock;

    ngx_memzero(model, sizeof(model));
}


/* a value whose size and bytes follow from its number */

static size_t
value(uint32_t n, u_char *p)
{
    size_t  i, size;

    size = n % 7 ? n % 300 : n % 9000;

    for (i = 0; i < size; i++) {
        p[i] = (u_char) (n * 31 + i);
    }

    ngx_memcpy(p + size, &n, sizeof(n));

    return size + sizeof(n);
}


static void
op(ngx_mesh_store_op_t *o, u_char *key, u_char *p, ngx_uint_t k, uint32_t n)
{
    ngx_memzero(o, sizeof(ngx_mesh_store_op_t));

    o->type = 1 + k % 2;
    o->key.data = key;
    o->key.len = sprintf((char *) key, "key.%u%s", (unsigned) k,
                         k % 3 ? "" : ".of.some.length");

    if (n == 0) {
        o->remove = 1;
        return;
    }

    o->value.data = p;
    o->value.len = value(n, p);
}


/* whether the store is what the model says; -1: damaged */

static int
same(uint32_t *want)
{
    int                      rc;
    u_char                   key[64], bytes[16384];
    uint32_t                 n;
    ngx_uint_t               k;
    ngx_pool_t              *pool;
    ngx_mesh_store_op_t      o;
    ngx_mesh_store_item_t    item;

    rc = 1;
    pool = ngx_create_pool(1024, &log_stub);

    for (k = 0; k < KEYS && rc == 1; k++) {
        op(&o, key, bytes, k, 1);

        switch (ngx_mesh_store_get(&store, o.type, &o.key, 0, pool, &item)) {

        case NGX_DECLINED:
            n = 0;
            break;

        case NGX_OK:
            if (item.value.len < sizeof(n)) {
                rc = -1;
                continue;
            }

            ngx_memcpy(&n, item.value.data + item.value.len - sizeof(n),
                       sizeof(n));

            if (value(n, bytes) != item.value.len
                || ngx_memcmp(bytes, item.value.data, item.value.len) != 0
                || item.key.len != o.key.len
                || ngx_memcmp(item.key.data, o.key.data, o.key.len) != 0)
            {
                rc = -1;
                continue;
            }

            break;

        default:
            rc = -1;
            continue;
        }

        if (n != want[k]) {
            rc = 0;
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_uint_t
put(ngx_uint_t k, uint32_t n, uint64_t expect, ngx_uint_t create)
{
    u_char                    key[64], bytes[16384];
    ngx_mesh_store_op_t       o;
    ngx_mesh_store_result_t   result;

    op(&o, key, bytes, k, n);
    o.expect = expect;
    o.create = create;

    return ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub);
}


/* some ops of different keys; fills "after" with what will be */

static ngx_uint_t
random_ops(ngx_mesh_store_op_t *o, u_char keys[][64], u_char *bytes,
    uint32_t *after)
{
    ngx_uint_t  i, n, k;
    u_char      used[KEYS];

    n = 1 + random() % 6;
    ngx_memzero(used, sizeof(used));
    ngx_memcpy(after, model, sizeof(model));

    for (i = 0; i < n; i++) {
        do { k = random() % KEYS; } while (used[k]);

        used[k] = 1;
        after[k] = random() % 4 ? (uint32_t) (1 + random() % 1000000) : 0;
        op(&o[i], keys[i], bytes + i * 16384, k, after[k]);
    }

    return n;
}


/* two items at revisions 4 and 5, and one that was removed at 6 */

static void
test_select(ngx_pool_t *pool)
{
    uint64_t                 revision;
    ngx_str_t                key;
    ngx_array_t              items[2];
    ngx_mesh_store_item_t   *item;
    ngx_mesh_store_query_t   q[2];
    ngx_mesh_store_known_t   known;

    ngx_memzero(q, sizeof(q));
    (void) ngx_array_init(&items[0], pool, 4, sizeof(ngx_mesh_store_item_t));
    (void) ngx_array_init(&items[1], pool, 4, sizeof(ngx_mesh_store_item_t));

    q[0].type = 2;
    q[0].items = &items[0];
    q[1].type = 2;
    q[1].items = &items[1];
    q[1].prefix = &key;
    q[1].exact = 1;

    ngx_memzero(&known, sizeof(known));
    ngx_str_set(&key, "no such key");

    ok(ngx_mesh_store_select(&store, q, 2, &known, pool, &revision) == NGX_OK
       && items[0].nelts == 2 && items[1].nelts == 0 && known.nitems == 2
       && known.modified == 5 && revision == 6, "several queries");

    item = items[0].elts;
    key = item[1].key;
    items[0].nelts = 0;

    ok(ngx_mesh_store_select(&store, q, 1, &known, pool, &revision) == NGX_DONE
       && items[0].nelts == 0, "... that bring nothing new");

    ok(ngx_mesh_store_select(&store, q, 2, &known, pool, &revision) == NGX_OK
       && items[1].nelts == 1 && known.nitems == 3, "... one key exactly");

    key.len--;
    items[1].nelts = 0;

    ok(ngx_mesh_store_select(&store, q, 2, NULL, pool, &revision) == NGX_OK
       && items[1].nelts == 0, "... and not what begins with it");

    known.nitems--;

    ok(ngx_mesh_store_select(&store, q, 1, &known, pool, &revision) == NGX_DONE,
       "known again");

    known.modified--;

    ok(ngx_mesh_store_select(&store, q, 1, &known, pool, &revision) == NGX_OK,
       "known no more");
}


static void
test_basics(void)
{
    u_char                    key[64], bytes[16384];
    uint64_t                  revision;
    ngx_str_t                 after;
    ngx_uint_t                n;
    ngx_pool_t               *pool;
    ngx_array_t               items;
    ngx_mesh_store_op_t       o[2];
    ngx_mesh_store_item_t    *item, one;
    ngx_mesh_store_result_t   result;

    start(REGION);
    pool = ngx_create_pool(1024, &log_stub);

    ok(ngx_mesh_store_revision(&store) == 1
       && ngx_mesh_store_epoch(&store) == 42, "a new store");
    ok(put(1, 5, 0, 1) == NGX_MESH_STORE_OK
       && ngx_mesh_store_revision(&store) == 2, "the first item");
    ok(put(1, 5, 0, 0) == NGX_MESH_STORE_SAME
       && ngx_mesh_store_revision(&store) == 2, "the same again: no revision");
    ok(put(1, 6, 0, 1) == NGX_MESH_STORE_CONFLICT, "create what exists");
    ok(put(1, 6, 3, 0) == NGX_MESH_STORE_CONFLICT, "expect another revision");
    ok(put(1, 6, 2, 0) == NGX_MESH_STORE_OK, "... the right one");
    ok(put(2, 6, 2, 0) == NGX_MESH_STORE_CONFLICT, "... of what is not there");
    ok(put(2, 0, 0, 0) == NGX_MESH_STORE_SAME, "remove what is not there");

    op(&o[0], key, bytes, 1, 1);
    ok(ngx_mesh_store_get(&store, o[0].type, &o[0].key, 0, pool, &one)
       == NGX_OK && one.created == 2 && one.modified == 3,
       "revisions of an item");

    op(&o[0], key, bytes, 9, 7);
    op(&o[1], key, bytes, 9, 7);
    ok(ngx_mesh_store_commit(&store, o, 2, 0, 0, &result, &log_stub)
       == NGX_MESH_STORE_INVALID, "two ops on one item");
    ok(ngx_mesh_store_commit(&store, o, 1, 2, 0, &result, &log_stub)
       == NGX_MESH_STORE_CONFLICT && result.failed == 1
       && result.revision == 3, "a revision of the store");
    ok(ngx_mesh_store_commit(&store, o, 1, 3, 1, &result, &log_stub)
       == NGX_MESH_STORE_OK && ngx_mesh_store_revision(&store) == 3
       && ngx_mesh_store_get(&store, o[0].type, &o[0].key, 0, pool, &one)
          == NGX_DECLINED, "a dry run changes nothing");

    ok(put(3, 1, 0, 0) == NGX_MESH_STORE_OK && put(5, 1, 0, 0)
       == NGX_MESH_STORE_OK && put(1, 0, 0, 0) == NGX_MESH_STORE_OK,
       "more items, and one less");

    (void) ngx_array_init(&items, pool, 4, sizeof(ngx_mesh_store_item_t));
    ok(ngx_mesh_store_list(&store, 2, NULL, NULL, 0, 10, pool, &items,
                           &revision)
       == NGX_OK && items.nelts == 2 && revision == 6, "a list");

    item = items.elts;
    after = item[0].key;
    items.nelts = 0;
    (void) ngx_mesh_store_list(&store, 2, &after, NULL, 0, 10, pool, &items,
                               &revision);
    ok(items.nelts == 1, "... behind a key");

    items.nelts = 0;
    (void) ngx_mesh_store_list(&store, 2, NULL, NULL, 5, 10, pool, &items,
                               &revision);
    item = items.elts;
    ok(items.nelts == 1 && item[0].removed && item[0].modified == 6
       && item[0].value.len == 0, "... what changed, removals too");

    test_select(pool);

    ngx_mesh_store_status(&store, &result, &n);
    ok(n == 2 && result.revision == 6 && result.free < REGION
       && result.largest <= result.free && result.largest > REGION / 2,
       "status");

    ngx_destroy_pool(pool);
}


static void
test_full(void)
{
    static u_char             big[400000];
    size_t                    before;
    ngx_uint_t                n;
    ngx_mesh_store_op_t       o;
    ngx_mesh_store_result_t   result;

    start(REGION);
    ngx_mesh_store_status(&store, &result, &n);
    before = result.free;

    ngx_memzero(&o, sizeof(o));
    ngx_str_set(&o.key, "big");
    o.value.data = big;
    o.value.len = sizeof(big);

    ok(ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub)
       == NGX_MESH_STORE_OK, "a large value");
    big[0] = 1;
    ok(ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub)
       == NGX_MESH_STORE_OK, "... replaced, while the old one is there");

    o.key.len = 2;
    (void) ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub);
    o.key.len = 1;
    ok(ngx_mesh_store_commit(&store, &o, 1, 0, 1, &result, &log_stub)
       == NGX_MESH_STORE_FULL && result.needed > sizeof(big)
       && result.free < result.needed, "no room in a dry run");
    ok(ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub)
       == NGX_MESH_STORE_FULL && ngx_mesh_store_revision(&store) == 4,
       "... nor else, and nothing changes");

    o.remove = 1;
    o.key.len = 3;
    (void) ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub);
    o.key.len = 2;
    (void) ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub);
    ngx_mesh_store_status(&store, &result, &n);
    ok(n == 0 && before - result.free <= 4 * 64, "what goes leaves its room");
}


static void
test_model(void)
{
    static u_char             bytes[8 * 16384];
    u_char                    keys[8][64];
    size_t                    before;
    uint32_t                  after[KEYS];
    uint64_t                  revision;
    ngx_uint_t                i, k, n, rc, wrong, items;
    ngx_mesh_store_op_t       o[8];
    ngx_mesh_store_result_t   result;

    start(REGION);
    ngx_mesh_store_status(&store, &result, &items);
    before = result.free;
    wrong = 0;

    for (i = 0; i < 20000; i++) {
        n = random_ops(o, keys, bytes, after);
        revision = ngx_mesh_store_revision(&store);
        rc = ngx_mesh_store_commit(&store, o, n, 0, 0, &result, &log_stub);

        if (rc == NGX_MESH_STORE_OK) {
            wrong += (ngx_mesh_store_revision(&store) != revision + 1
                      || result.revision != revision + 1);
            ngx_memcpy(model, after, sizeof(model));

        } else {
            wrong += (rc != NGX_MESH_STORE_SAME
                      || ngx_memcmp(model, after, sizeof(model)) != 0);
        }

        if (i % 50 == 0) {
            wrong += (same(model) != 1);
        }
    }

    ok(wrong == 0, "20000 random commits");
    ok(same(model) == 1, "... and all is there");

    for (k = 0; k < KEYS; k++) {
        (void) put(k, 0, 0, 0);
    }

    ngx_mesh_store_status(&store, &result, &items);
    ok(items == 0 && before - result.free <= (KEYS + 8) * 64,
       "... and no room is lost");
}


/* removals are forgotten in the end, and the floor says since when */

static void
test_removed(void)
{
    u_char                    key[64];
    ngx_uint_t                i, n;
    ngx_mesh_store_op_t       o;
    ngx_mesh_store_result_t   result;

    start(REGION);

    for (i = 0; i < 6000; i++) {
        ngx_memzero(&o, sizeof(o));
        o.key.data = key;
        o.key.len = sprintf((char *) key, "gone.%u", (unsigned) i);
        ngx_str_set(&o.value, "x");
        (void) ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub);
        o.remove = 1;

        if (ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub)
            != NGX_MESH_STORE_OK)
        {
            break;
        }
    }

    ngx_mesh_store_status(&store, &result, &n);
    ok(i == 6000 && n == 0, "6000 items come and go");
    ok(result.floor > 1 && result.floor < result.revision - 2000,
       "... the last thousands are remembered");
}


/* reservations of others that live on: still one is left */

static void
test_reserved(void)
{
    ngx_uint_t               i;
    ngx_mesh_store_head_t   *h;

    start(REGION);
    h = store.head;

    for (i = 1; i < NGX_MESH_STORE_RESERVATIONS; i++) {
        h->reserved[i].pid = getppid();
    }

    ok(put(1, 5, 0, 1) == NGX_MESH_STORE_OK
       && put(2, 6, 0, 1) == NGX_MESH_STORE_OK, "all reservations taken");

    h->reserved[0] = h->reserved[1];
    ok(put(3, 7, 0, 1) == NGX_MESH_STORE_OK && h->reserved[0].pid == 0,
       "... and one that was left is over");
}


/*
 * A child commits on and on, and says in shared memory what it is about to
 * do; it is killed, and what is there must be before or after it.
 */

typedef struct {
    volatile uint32_t    count;
    uint32_t             before[KEYS];
    uint32_t             after[KEYS];
    volatile uint32_t    seed;
} intent_t;


static intent_t  *intent;


static void
committer(void)
{
    static u_char             bytes[8 * 16384];
    u_char                    keys[8][64];
    uint32_t                  after[KEYS];
    ngx_uint_t                n;
    ngx_mesh_store_op_t       o[8];
    ngx_mesh_store_result_t   result;

    ngx_pid = getpid();
    srandom(intent->seed);

    for ( ;; ) {
        n = random_ops(o, keys, bytes, after);

        ngx_memcpy(intent->before, model, sizeof(model));
        ngx_memcpy(intent->after, after, sizeof(model));

        if (ngx_mesh_store_commit(&store, o, n, 0, 0, &result, &log_stub)
            == NGX_MESH_STORE_OK)
        {
            ngx_memcpy(model, after, sizeof(model));
        }

        intent->count++;
    }
}


/* the model may be that of either side; damage is neither */

static ngx_uint_t
settled(void)
{
    if (same(intent->after) == 1) {
        ngx_memcpy(model, intent->after, sizeof(model));
        return 1;
    }

    if (same(intent->before) == 1) {
        ngx_memcpy(model, intent->before, sizeof(model));
        return 1;
    }

    return 0;
}


static void
test_kill(ngx_uint_t kills)
{
    size_t                    before;
    pid_t                     pid;
    ngx_uint_t                i, bad, items;
    ngx_mesh_store_result_t   result;

    start(REGION);
    ngx_mesh_store_status(&store, &result, &items);
    before = result.free;
    bad = 0;

    for (i = 0; i < kills && bad == 0; i++) {
        intent->seed = (uint32_t) i + 1;
        ngx_memcpy(intent->before, model, sizeof(model));
        ngx_memcpy(intent->after, model, sizeof(model));
        pid = fork();

        if (pid == 0) {
            committer();
            _exit(0);
        }

        usleep(random() % 1500);
        kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);

        if (!settled()) {
            bad++;
        }
    }

    ok(bad == 0, "killed while committing: before or after");
    printf("# %u kills, %u commits\n", (unsigned) i, intent->count);

    for (i = 0; i < KEYS; i++) {
        (void) put(i, 0, 0, 0);
    }

    ngx_mesh_store_status(&store, &result, &items);
    ok(items == 0 && before - result.free <= (KEYS + 8) * 64,
       "... and no room is lost");
}


/* every instruction of a commit, one after the other */

static void
test_step(void)
{
    int          status;
    pid_t        pid;
    ngx_uint_t   bad, steps, at, end;
    uint32_t     count;

    bad = 0;
    end = 0;
    at = 0;

    start(NGX_MESH_STORE_MIN);

    while (!end && !bad && at < 2000000) {
        intent->seed = 7;
        ngx_memcpy(intent->before, model, sizeof(model));
        ngx_memcpy(intent->after, model, sizeof(model));
        count = intent->count;

        pid = fork();

        if (pid == 0) {
            (void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
            ngx_pid = getpid();
            raise(SIGSTOP);
            (void) put(3, (uint32_t) (1 + at), 0, 0);
            intent->count++;
            _exit(0);
        }

        (void) waitpid(pid, &status, 0);

        intent->after[3] = (uint32_t) (1 + at);

        for (steps = 0; steps < at; steps++) {
            if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1
                || waitpid(pid, &status, 0) == -1 || WIFEXITED(status))
            {
                break;
            }

            if (intent->count != count) {
                end = 1;
                break;
            }
        }

        kill(pid, SIGKILL);
        (void) waitpid(pid, &status, 0);

        bad += !settled();

        /* a prime, so that every kind of place is met within a commit */

        at += 37;
    }

    ok(bad == 0 && end, "killed at instructions of a commit, in steps");
    printf("# up to instruction %u\n", (unsigned) at);
}


/* writers at the same time: nothing is lost under a condition */

static void
test_writers(void)
{
    pid_t                     pids[8];
    uint32_t                  n;
    ngx_uint_t                i, j;
    ngx_pool_t               *pool;
    ngx_str_t                 key;
    ngx_mesh_store_op_t       o;
    ngx_mesh_store_item_t     item;
    ngx_mesh_store_result_t   result;

    start(REGION);

    ngx_memzero(&o, sizeof(o));
    ngx_str_set(&key, "counter");
    n = 0;
    o.key = key;
    o.value.data = (u_char *) &n;
    o.value.len = sizeof(n);
    (void) ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub);

    for (i = 0; i < 8; i++) {
        pids[i] = fork();

        if (pids[i]) {
            continue;
        }

        ngx_pid = getpid();

        for (j = 0; j < 200; /* void */) {
            pool = ngx_create_pool(1024, &log_stub);
            (void) ngx_mesh_store_get(&store, 0, &key, 0, pool, &item);
            ngx_memcpy(&n, item.value.data, sizeof(n));
            n++;
            o.expect = item.modified;

            if (ngx_mesh_store_commit(&store, &o, 1, 0, 0, &result, &log_stub)
                == NGX_MESH_STORE_OK)
            {
                j++;
            }

            ngx_destroy_pool(pool);
        }

        _exit(0);
    }

    for (i = 0; i < 8; i++) {
        (void) waitpid(pids[i], NULL, 0);
    }

    pool = ngx_create_pool(1024, &log_stub);
    (void) ngx_mesh_store_get(&store, 0, &key, 0, pool, &item);
    ngx_memcpy(&n, item.value.data, sizeof(n));
    ok(n == 1600, "8 writers with conditions lose no update");
    ngx_destroy_pool(pool);
}


/* another process commits whenever the lock is given up */

static ngx_uint_t         others;
static ngx_uint_t         others_key;


static void
unlock_others(void *data)
{
    unlock(data);

    if (others) {
        store.unlock = unlock;
        model[others_key] = (uint32_t) others--;
        (void) put(others_key, model[others_key], 0, 0);
        others_key = (others_key + 1) % KEYS;
        store.unlock = unlock_others;
    }
}


static void
test_others(void)
{
    uint64_t    revision;
    ngx_uint_t  i, n, rc;

    /* once, twice, and so often that it is done under the lock */

    static ngx_uint_t  counts[] = { 1, 4, 30 };

    for (i = 0; i < 3; i++) {
        start(REGION);

        store.unlock = unlock_others;
        others = counts[i];
        others_key = 2;

        rc = put(1, 500, 0, 0);
        n = counts[i] - others;
        others = 0;
        model[1] = 500;

        ok(rc == NGX_MESH_STORE_OK && same(model) == 1,
           "a commit that others get before loses none of theirs");
        ok(ngx_mesh_store_revision(&store) == 2 + n,
           "... each has its revision");
    }

    start(REGION);
    (void) put(1, 5, 0, 0);
    revision = ngx_mesh_store_revision(&store);

    store.unlock = unlock_others;
    others = 7;
    others_key = 1;
    ok(put(1, 500, revision, 0) == NGX_MESH_STORE_CONFLICT,
       "what one of them has changed is not as it was");
    others = 0;
    ok(same(model) == 1, "... and stays so");
}


int
main(int argc, char **argv)
{
    ngx_uint_t  kills;

    kills = argc > 1 ? (ngx_uint_t) atoi(argv[1]) : 1000;

    ngx_pid = getpid();
    srandom(1);

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);
    intent = mmap(NULL, sizeof(intent_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);

    test_basics();
    test_full();
    test_model();
    test_removed();
    test_room(65536);
    test_room(REGION);
    test_reserved();
    test_writers();
    test_others();
    test_kill(kills);
    test_step();

    return test_done();
}
