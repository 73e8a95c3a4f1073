
/*
 * Copyright (C) nginx-mesh authors
 *
 * Journal files, torn and damaged at every byte; prints TAP.  With arguments
 * it is a tool of the tests of the agent:
 *
 *     journal show DIR                  a line for each file that is good
 *     journal write DIR SEQUENCE EPOCH REVISION [ADDRESS...]
 *     journal put|del PID START-END ADDRESS...
 *     journal learned DIR OWNER SERVICES ENDPOINTS
 *
 * The third one changes the table of a running nginx, whose zone is mapped
 * from START to END in that process, as an operator would; endpoints are
 * those of demo.Echo.
 */


#include "unit.h"
#include "ngx_mesh_journal.h"
#include "ngx_mesh_operator.h"
#include "ngx_mesh_store_int.h"
#include "learned.h"
#include <sys/mman.h>
#include <sys/resource.h>


static ngx_log_t  test_log;


static void
items_of(ngx_mesh_store_item_t *items, ngx_uint_t n)
{
    ngx_uint_t  i;
    static char values[] = "0123456789abcdefghijklmnopqrstuvwxyz";

    for (i = 0; i < n; i++) {
        ngx_memzero(&items[i], sizeof(ngx_mesh_store_item_t));

        items[i].type = 1 + i % 4;
        items[i].key.data = (u_char *) values + i % 7;
        items[i].key.len = i % 11;
        items[i].value.data = (u_char *) values;
        items[i].value.len = (i * 5) % 36;
        items[i].created = 100 + i;
        items[i].modified = 200 + i;
    }
}


static ngx_int_t
save(int dir, uint64_t sequence, ngx_mesh_store_item_t *items, ngx_uint_t n,
    ngx_mesh_journal_header_t *header, ngx_mesh_journal_header_t *same)
{
    ngx_err_t  err;
    ngx_str_t  author, comment;

    author = str("somebody");
    comment = str("for a reason");

    ngx_memzero(header, sizeof(ngx_mesh_journal_header_t));

    header->sequence = sequence;
    header->epoch = 0x0123456789abcdefULL;
    header->revision = 1000 + sequence;
    header->fence = 7;
    header->time = 1700000000000ULL;
    header->layout = 1;

    return ngx_mesh_journal_write(dir, header, &author, &comment, items, n,
                                  same, &err, &test_log);
}


static ngx_uint_t
newest(int dir)
{
    ngx_uint_t          n;
    ngx_pool_t         *pool;
    ngx_mesh_journal_t  journal;

    pool = ngx_create_pool(1024, &test_log);

    n = ngx_mesh_journal_newest(dir, 0, pool, &journal, &test_log) == NGX_OK
        ? (ngx_uint_t) journal.header.sequence : 0;

    ngx_destroy_pool(pool);

    return n;
}


static ngx_uint_t
same_items(ngx_mesh_journal_t *journal, ngx_mesh_store_item_t *items,
    ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_mesh_store_item_t  item;

    for (i = 0; i < n; i++) {

        if (ngx_mesh_journal_next(journal, &item) != NGX_OK
            || item.type != items[i].type
            || item.created != items[i].created
            || item.modified != items[i].modified
            || item.key.len != items[i].key.len
            || item.value.len != items[i].value.len
            || ngx_memcmp(item.key.data, items[i].key.data, item.key.len) != 0
            || ngx_memcmp(item.value.data, items[i].value.data,
                          item.value.len)
               != 0)
        {
            return 0;
        }
    }

    return ngx_mesh_journal_next(journal, &item) == NGX_DONE;
}


static void
read_tests(int dir)
{
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_array_t                entries;
    ngx_mesh_journal_t         journal;
    ngx_mesh_store_item_t      items[50];
    ngx_mesh_journal_entry_t  *entry;
    ngx_mesh_journal_header_t  header, other;

    pool = ngx_create_pool(1024, &test_log);
    items_of(items, 50);

    ok(newest(dir) == 0, "an empty directory");
    ok(save(dir, 1, items, 50, &header, NULL) == NGX_OK, "a file is written");

    ok(ngx_mesh_journal_open(dir, 1, pool, &journal, &test_log) == NGX_OK,
       "... and opened");
    ok(journal.header.epoch == 0x0123456789abcdefULL
       && journal.header.revision == 1001 && journal.header.fence == 7
       && journal.header.time == 1700000000000ULL
       && journal.header.nitems == 50 && journal.header.layout == 1
       && is(&journal.author, "somebody")
       && is(&journal.comment, "for a reason"), "... its header");
    ok(same_items(&journal, items, 50), "... its items");

    ok(save(dir, 2, items, 50, &other, &header) == NGX_DONE,
       "the same items are not written again");
    ok(newest(dir) == 1, "... there is no other file");

    items[49].modified++;
    ok(save(dir, 2, items, 50, &other, &header) == NGX_OK,
       "one that differs is");
    ok(save(dir, 3, items, 0, &other, &header) == NGX_OK, "nothing as well");
    ok(newest(dir) == 3, "... which is the newest");

    ok(ngx_mesh_journal_list(dir, pool, &entries, &test_log) == NGX_OK
       && entries.nelts == 3, "three files are listed");

    entry = entries.elts;
    ok(entry[0].header.sequence == 3 && entry[2].header.sequence == 1
       && is(&entry[1].author, "somebody"), "... the newest first");

    ok(ngx_mesh_journal_open(dir, 9, pool, &journal, &test_log)
       == NGX_DECLINED, "one that is not there");

    for (i = 4; i < 30; i++) {
        (void) save(dir, i, items, i, &header, NULL);
    }

    ngx_mesh_journal_tidy(dir, 29, 5, &test_log);
    ok(ngx_mesh_journal_list(dir, pool, &entries, &test_log) == NGX_OK
       && entries.nelts == 5, "five are kept");
    ok(newest(dir) == 29, "... the newest of them");

    for (i = 30; i < 36; i++) {
        (void) save(dir, i, items, i, &header, NULL);
    }

    ngx_mesh_journal_tidy(dir, 29, 2, &test_log);
    ok(ngx_mesh_journal_open(dir, 28, pool, &journal, &test_log) == NGX_OK
       && ngx_mesh_journal_open(dir, 27, pool, &journal, &test_log)
          == NGX_DECLINED
       && newest(dir) == 35,
       "those after the newest good one do not count");

    ngx_mesh_journal_tidy(dir, 99, 0, &test_log);
    ngx_destroy_pool(pool);
}


/* a file that cannot be opened now is not one that is damaged */

static void
limit_tests(int dir)
{
    int                         fd;
    ngx_pool_t                 *pool;
    struct rlimit               limit, none;
    ngx_mesh_journal_t          journal;
    ngx_mesh_store_item_t       items[20];
    ngx_mesh_journal_header_t   header;

    pool = ngx_create_pool(1024, &test_log);
    items_of(items, 20);

    (void) save(dir, 1, items, 20, &header, NULL);
    (void) save(dir, 2, items, 20, &header, NULL);

    (void) getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;

    (void) setrlimit(RLIMIT_NOFILE, &none);
    ok(ngx_mesh_journal_open(dir, 2, pool, &journal, &test_log) == NGX_ERROR,
       "no descriptor: an error");
    ok(ngx_mesh_journal_newest(dir, 0, pool, &journal, &test_log)
       == NGX_ERROR, "... of the newest too");
    (void) setrlimit(RLIMIT_NOFILE, &limit);

    ok(newest(dir) == 2, "... and the file is good");

    /* nobody has the memory for it */

    fd = openat(dir, "journal.0000000000000003", O_WRONLY|O_CREAT, 0600);
    (void) ftruncate(fd, (off_t) 1 << 42);
    (void) close(fd);

    ok(newest(dir) == 2, "a file of terabytes is passed over");

    (void) unlinkat(dir, "journal.0000000000000003", 0);
    ngx_mesh_journal_tidy(dir, 99, 0, &test_log);
    ngx_destroy_pool(pool);
}


/* each length, and each byte: always the file before */

static void
torn_tests(int dir)
{
    int                        fd, in;
    char                       path[64];
    u_char                     data[8192], byte;
    ssize_t                    size, i;
    ngx_uint_t                 wrong;
    ngx_mesh_store_item_t      items[20];
    ngx_mesh_journal_header_t  header;

    items_of(items, 20);

    (void) save(dir, 1, items, 10, &header, NULL);
    (void) save(dir, 2, items, 20, &header, NULL);

    in = openat(dir, "journal.0000000000000002", O_RDONLY);
    size = read(in, data, sizeof(data));
    (void) close(in);

    ok(size > 500 && size < (ssize_t) sizeof(data), "a file to be torn");

    (void) snprintf(path, sizeof(path), "journal.0000000000000002");
    wrong = 0;

    for (i = 0; i < size; i++) {
        fd = openat(dir, path, O_WRONLY|O_CREAT|O_TRUNC, 0600);

        if (write(fd, data, i) != i || newest(dir) != 1) {
            wrong++;
        }

        (void) close(fd);
    }

    ok(wrong == 0, "torn at every byte: the one before");

    for (i = 0; i < size; i++) {
        byte = data[i];
        data[i] ^= (u_char) (1 << i % 8);

        fd = openat(dir, path, O_WRONLY|O_CREAT|O_TRUNC, 0600);

        if (write(fd, data, size) != size || newest(dir) != 1) {
            wrong++;
        }

        (void) close(fd);
        data[i] = byte;
    }

    ok(wrong == 0, "a bit of every byte is wrong: the one before");

    fd = openat(dir, path, O_WRONLY|O_CREAT|O_TRUNC, 0600);
    wrong = write(fd, data, size) != size || write(fd, "", 1) != 1;
    (void) close(fd);

    ok(!wrong && newest(dir) == 1, "a byte too many: the one before");

    fd = openat(dir, path, O_WRONLY|O_CREAT|O_TRUNC, 0600);
    wrong = write(fd, data, size) != size;
    (void) close(fd);

    ok(!wrong && newest(dir) == 2, "whole again");

    ngx_mesh_journal_tidy(dir, 99, 0, &test_log);
}


static int
show(char *path)
{
    int                        dir;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_array_t                entries;
    ngx_mesh_journal_t         journal;
    ngx_mesh_store_item_t      item;
    ngx_mesh_journal_entry_t  *entry;

    dir = open(path, O_RDONLY|O_DIRECTORY);
    pool = ngx_create_pool(1024, &test_log);

    if (dir == -1
        || ngx_mesh_journal_list(dir, pool, &entries, &test_log) != NGX_OK)
    {
        return 1;
    }

    entry = entries.elts;

    for (i = 0; i < entries.nelts; i++) {

        if (ngx_mesh_journal_open(dir, entry[i].header.sequence, pool,
                                  &journal, &test_log)
            != NGX_OK)
        {
            continue;
        }

        printf("%lu fence=%lu revision=%lu",
               (unsigned long) journal.header.sequence,
               (unsigned long) journal.header.fence,
               (unsigned long) journal.header.revision);

        while (ngx_mesh_journal_next(&journal, &item) == NGX_OK) {
            ngx_str_t  service, id, owner;

            if (item.type == NGX_MESH_ITEM_ENDPOINT
                && ngx_mesh_item_split(&item.key, &service, &id, &owner)
                   == NGX_OK)
            {
                printf(" %.*s", (int) id.len, id.data);
            }
        }

        printf("\n");
    }

    ngx_destroy_pool(pool);
    (void) close(dir);

    return 0;
}


static ngx_mesh_store_op_t *
ops_of(char **addresses, int n, ngx_pool_t *pool)
{
    int                   i;
    ngx_str_t             name;
    ngx_mesh_service_t    service;
    ngx_mesh_endpoint_t   ep;
    ngx_mesh_store_op_t  *ops;

    ops = ngx_pcalloc(pool, (n + 1) * sizeof(ngx_mesh_store_op_t));

    name = str("demo.Echo");
    ngx_memzero(&service, sizeof(ngx_mesh_service_t));
    (void) ngx_mesh_table_parse_key(&name, &service);

    for (i = 0; i < n; i++) {
        ngx_memzero(&ep, sizeof(ngx_mesh_endpoint_t));

        ep.id = str(addresses[i]);
        ep.name = ep.id;
        ep.owner = ngx_mesh_owner_api;
        ep.weight = NGX_MESH_DEFAULT_WEIGHT;
        ep.max_fails = 1;
        ep.fail_timeout = 10000;

        (void) ngx_mesh_item_put_endpoint(&ops[i], &service, &ep, pool);
    }

    return ops;
}


static int
write_file(char **argv, int argc)
{
    int                        dir, i, n;
    ngx_err_t                  err;
    ngx_str_t                  none;
    ngx_pool_t                *pool;
    ngx_mesh_store_op_t       *ops;
    ngx_mesh_store_item_t     *items;
    ngx_mesh_journal_header_t  header;

    pool = ngx_create_pool(1024, &test_log);
    n = argc - 6;
    ops = ops_of(argv + 6, n, pool);
    items = ngx_pcalloc(pool, (n + 1) * sizeof(ngx_mesh_store_item_t));

    for (i = 0; i < n; i++) {
        items[i].type = ops[i].type;
        items[i].key = ops[i].key;
        items[i].value = ops[i].value;
        items[i].created = 1;
        items[i].modified = 1;
    }

    ngx_memzero(&header, sizeof(ngx_mesh_journal_header_t));

    header.sequence = strtoull(argv[3], NULL, 10);
    header.epoch = strtoull(argv[4], NULL, 10);
    header.revision = strtoull(argv[5], NULL, 10);
    header.layout = NGX_MESH_OPERATOR_LAYOUT;

    dir = open(argv[2], O_RDONLY|O_DIRECTORY);
    none.len = 0;
    none.data = NULL;

    return ngx_mesh_journal_write(dir, &header, &none, &none, items, n, NULL,
                                  &err, &test_log)
           != NGX_OK;
}


static void
zone_lock(void *data)
{
    while (!ngx_atomic_cmp_set((ngx_atomic_t *) data, 0, ngx_pid)) {
        usleep(100);
    }
}


static void
zone_unlock(void *data)
{
    (void) ngx_atomic_cmp_set((ngx_atomic_t *) data, ngx_pid, 0);
}


static int
change(char **argv, int argc)
{
    int                      fd, i;
    char                     path[128];
    u_char                  *zone, *p;
    size_t                   size;
    ngx_uint_t               rc;
    ngx_pool_t              *pool;
    ngx_mesh_store_t         store;
    ngx_mesh_store_op_t     *ops;
    ngx_mesh_store_head_t   *head;
    ngx_mesh_store_result_t  result;

    ngx_pid = getpid();

    (void) snprintf(path, sizeof(path), "/proc/%s/map_files/%s", argv[2],
                    argv[3]);

    size = strtoull(strchr(argv[3], '-') + 1, NULL, 16)
           - strtoull(argv[3], NULL, 16);

    fd = open(path, O_RDWR);
    zone = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd == -1 || zone == MAP_FAILED) {
        perror(path);
        return 1;
    }

    store.lock = zone_lock;
    store.unlock = zone_unlock;
    store.data = zone;

    for (p = zone; p < zone + size; p += 4096) {
        head = (ngx_mesh_store_head_t *) p;

        if (head->magic == NGX_MESH_STORE_MAGIC
            && ngx_mesh_store_attach(&store, p, head->size) == NGX_OK)
        {
            break;
        }
    }

    if (p >= zone + size) {
        fprintf(stderr, "no store\n");
        return 1;
    }

    pool = ngx_create_pool(1024, &test_log);
    ops = ops_of(argv + 4, argc - 4, pool);

    for (i = 0; i < argc - 4 && argv[1][0] == 'd'; i++) {
        ops[i].remove = 1;
    }

    rc = ngx_mesh_store_commit(&store, ops, argc - 4, 0, 0, &result,
                               &test_log);

    printf("%lu %lu\n", (unsigned long) rc, (unsigned long) result.revision);

    return 0;
}


int
main(int argc, char **argv)
{
    int   dir;
    char  path[] = "/tmp/nginx-mesh-journal-XXXXXX";

    if (argc > 2) {
        return argv[1][0] == 's' ? show(argv[2])
               : argv[1][0] == 'w' ? write_file(argv, argc)
               : argv[1][0] == 'l' ? write_learned(argv)
               : change(argv, argc);
    }

    if (mkdtemp(path) == NULL) {
        return 1;
    }

    dir = open(path, O_RDONLY|O_DIRECTORY);

    read_tests(dir);
    limit_tests(dir);
    torn_tests(dir);

    ok(stub_pools == 0, "no pool is left");
    ok(rmdir(path) == 0, "... and no file");
    (void) close(dir);

    return test_done();
}
