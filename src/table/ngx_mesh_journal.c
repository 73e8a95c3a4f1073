
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <libdeflate.h>
#include "ngx_mesh_journal.h"


/*
 * A file is a header of fixed size, author and comment, and the items, all
 * numbers little-endian:
 *
 *     magic 8, format 4, layout 4, sequence 8, epoch 8, revision 8, fence 8,
 *     time 8, number of items 8, length 8, checksum 4, author 1, comment 1,
 *     0 2, checksum of the items 4, of the header up to here 4
 *
 *     type 1, 0 1, length of the key 2, of the value 4, created 8,
 *     modified 8, key, value
 */


#define NGX_MESH_JOURNAL_MAGIC    "meshjrnl"
#define NGX_MESH_JOURNAL_FORMAT   1
#define NGX_MESH_JOURNAL_HEADER   88
#define NGX_MESH_JOURNAL_ITEM     24

#define NGX_MESH_JOURNAL_NAME     sizeof("journal.0123456789abcdef")
#define NGX_MESH_JOURNAL_TEMP     "journal.new"


static size_t ngx_mesh_journal_size(ngx_str_t *author, ngx_str_t *comment,
    ngx_mesh_store_item_t *items, ngx_uint_t n);
static void ngx_mesh_journal_body(u_char *p, ngx_str_t *author,
    ngx_str_t *comment, ngx_mesh_store_item_t *items, ngx_uint_t n);
static void ngx_mesh_journal_put_header(u_char *p,
    ngx_mesh_journal_header_t *header);
static ngx_int_t ngx_mesh_journal_get_header(u_char *p, off_t size,
    ngx_mesh_journal_header_t *header);
static ngx_err_t ngx_mesh_journal_save(int dir, u_char *name, u_char *data,
    size_t size);
static ngx_int_t ngx_mesh_journal_sequences(int dir, ngx_pool_t *pool,
    ngx_array_t *sequences, ngx_log_t *log);
static int ngx_libc_cdecl ngx_mesh_journal_newer(const void *one,
    const void *two);
static ngx_int_t ngx_mesh_journal_entry(int dir, uint64_t sequence,
    ngx_pool_t *pool, ngx_mesh_journal_entry_t *entry);
static ngx_int_t ngx_mesh_journal_load(int fd, uint64_t sequence,
    ngx_pool_t *pool, ngx_mesh_journal_t *journal);
static ngx_int_t ngx_mesh_journal_read(int fd, u_char *p, size_t size);
static ngx_int_t ngx_mesh_journal_check(ngx_mesh_journal_t *journal);


static u_char *
ngx_mesh_journal_put(u_char *p, uint64_t n, ngx_uint_t bytes)
{
    while (bytes--) {
        *p++ = (u_char) n;
        n >>= 8;
    }

    return p;
}


static uint64_t
ngx_mesh_journal_get(u_char **pos, ngx_uint_t bytes)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < bytes; i++) {
        n |= (uint64_t) (*pos)[i] << (8 * i);
    }

    *pos += bytes;

    return n;
}


static u_char *
ngx_mesh_journal_copy(u_char *p, ngx_str_t *s)
{
    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}


static void
ngx_mesh_journal_name(u_char *name, uint64_t sequence)
{
    ngx_uint_t  i;

    static u_char  hex[] = "0123456789abcdef";

    name = ngx_cpymem(name, "journal.", 8);

    for (i = 0; i < 16; i++) {
        name[i] = hex[(sequence >> (60 - 4 * i)) & 0xf];
    }

    name[16] = '\0';
}


ngx_int_t
ngx_mesh_journal_write(int dir, ngx_mesh_journal_header_t *header,
    ngx_str_t *author, ngx_str_t *comment, ngx_mesh_store_item_t *items,
    ngx_uint_t n, ngx_mesh_journal_header_t *same, ngx_err_t *failed,
    ngx_log_t *log)
{
    size_t      notes;
    u_char     *data, *body, name[NGX_MESH_JOURNAL_NAME];
    ngx_err_t   err;

    author->len = ngx_min(author->len, NGX_MESH_JOURNAL_NOTE);
    comment->len = ngx_min(comment->len, NGX_MESH_JOURNAL_NOTE);
    notes = author->len + comment->len;

    header->nitems = n;
    header->author = (uint8_t) author->len;
    header->comment = (uint8_t) comment->len;
    header->length = ngx_mesh_journal_size(author, comment, items, n);

    data = ngx_alloc(NGX_MESH_JOURNAL_HEADER + header->length, log);
    if (data == NULL) {
        *failed = ENOMEM;
        return NGX_ERROR;
    }

    body = data + NGX_MESH_JOURNAL_HEADER;

    ngx_mesh_journal_body(body, author, comment, items, n);

    header->checksum = libdeflate_crc32(0, body, header->length);
    header->content = libdeflate_crc32(0, body + notes,
                                       header->length - notes);

    if (same && same->nitems == n && same->content == header->content
        && same->length - same->author - same->comment
           == header->length - notes)
    {
        ngx_free(data);
        return NGX_DONE;
    }

    ngx_mesh_journal_put_header(data, header);
    ngx_mesh_journal_name(name, header->sequence);

    err = ngx_mesh_journal_save(dir, name, data,
                                NGX_MESH_JOURNAL_HEADER + header->length);
    ngx_free(data);

    if (err) {
        *failed = err;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static size_t
ngx_mesh_journal_size(ngx_str_t *author, ngx_str_t *comment,
    ngx_mesh_store_item_t *items, ngx_uint_t n)
{
    size_t      size;
    ngx_uint_t  i;

    size = author->len + comment->len;

    for (i = 0; i < n; i++) {
        size += NGX_MESH_JOURNAL_ITEM + items[i].key.len + items[i].value.len;
    }

    return size;
}


static void
ngx_mesh_journal_body(u_char *p, ngx_str_t *author, ngx_str_t *comment,
    ngx_mesh_store_item_t *items, ngx_uint_t n)
{
    ngx_uint_t              i;
    ngx_mesh_store_item_t  *item;

    p = ngx_mesh_journal_copy(p, author);
    p = ngx_mesh_journal_copy(p, comment);

    for (i = 0; i < n; i++) {
        item = &items[i];

        p = ngx_mesh_journal_put(p, item->type, 2);
        p = ngx_mesh_journal_put(p, item->key.len, 2);
        p = ngx_mesh_journal_put(p, item->value.len, 4);
        p = ngx_mesh_journal_put(p, item->created, 8);
        p = ngx_mesh_journal_put(p, item->modified, 8);
        p = ngx_mesh_journal_copy(p, &item->key);
        p = ngx_mesh_journal_copy(p, &item->value);
    }
}


static void
ngx_mesh_journal_put_header(u_char *p, ngx_mesh_journal_header_t *header)
{
    u_char  *start;

    start = p;

    p = ngx_cpymem(p, NGX_MESH_JOURNAL_MAGIC, 8);
    p = ngx_mesh_journal_put(p, NGX_MESH_JOURNAL_FORMAT, 4);
    p = ngx_mesh_journal_put(p, header->layout, 4);
    p = ngx_mesh_journal_put(p, header->sequence, 8);
    p = ngx_mesh_journal_put(p, header->epoch, 8);
    p = ngx_mesh_journal_put(p, header->revision, 8);
    p = ngx_mesh_journal_put(p, header->fence, 8);
    p = ngx_mesh_journal_put(p, header->time, 8);
    p = ngx_mesh_journal_put(p, header->nitems, 8);
    p = ngx_mesh_journal_put(p, header->length, 8);
    p = ngx_mesh_journal_put(p, header->checksum, 4);
    p = ngx_mesh_journal_put(p, header->author, 1);
    p = ngx_mesh_journal_put(p, header->comment, 1);
    p = ngx_mesh_journal_put(p, 0, 2);
    p = ngx_mesh_journal_put(p, header->content, 4);

    (void) ngx_mesh_journal_put(p, libdeflate_crc32(0, start, p - start), 4);
}


static ngx_int_t
ngx_mesh_journal_get_header(u_char *p, off_t size,
    ngx_mesh_journal_header_t *header)
{
    u_char  *start;

    start = p;

    if (ngx_memcmp(p, NGX_MESH_JOURNAL_MAGIC, 8) != 0) {
        return NGX_DECLINED;
    }

    p += 8;

    if (ngx_mesh_journal_get(&p, 4) != NGX_MESH_JOURNAL_FORMAT) {
        return NGX_DECLINED;
    }

    header->layout = (uint32_t) ngx_mesh_journal_get(&p, 4);
    header->sequence = ngx_mesh_journal_get(&p, 8);
    header->epoch = ngx_mesh_journal_get(&p, 8);
    header->revision = ngx_mesh_journal_get(&p, 8);
    header->fence = ngx_mesh_journal_get(&p, 8);
    header->time = ngx_mesh_journal_get(&p, 8);
    header->nitems = ngx_mesh_journal_get(&p, 8);
    header->length = ngx_mesh_journal_get(&p, 8);
    header->checksum = (uint32_t) ngx_mesh_journal_get(&p, 4);
    header->author = (uint8_t) ngx_mesh_journal_get(&p, 1);
    header->comment = (uint8_t) ngx_mesh_journal_get(&p, 1);
    p += 2;
    header->content = (uint32_t) ngx_mesh_journal_get(&p, 4);

    if (libdeflate_crc32(0, start, p - start) != ngx_mesh_journal_get(&p, 4)
        || header->length != (uint64_t) (size - NGX_MESH_JOURNAL_HEADER)
        || (uint64_t) header->author + header->comment > header->length)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_err_t
ngx_mesh_journal_save(int dir, u_char *name, u_char *data, size_t size)
{
    int        fd;
    ssize_t    n;
    ngx_err_t  err;

    /* a new file: one that is left of a process that died may be anything */

    if (unlinkat(dir, NGX_MESH_JOURNAL_TEMP, 0) == -1
        && ngx_errno != NGX_ENOENT)
    {
        return ngx_errno;
    }

    fd = openat(dir, NGX_MESH_JOURNAL_TEMP,
                O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);
    if (fd == -1) {
        return ngx_errno;
    }

    while (size) {
        n = write(fd, data, size);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            goto failed;
        }

        data += n;
        size -= n;
    }

    if (fsync(fd) == -1
        || renameat(dir, NGX_MESH_JOURNAL_TEMP, dir, (char *) name) == -1)
    {
        goto failed;
    }

    (void) close(fd);

    return fsync(dir) == -1 ? ngx_errno : 0;

failed:

    err = ngx_errno;

    (void) close(fd);
    (void) unlinkat(dir, NGX_MESH_JOURNAL_TEMP, 0);

    return err;
}


void
ngx_mesh_journal_tidy(int dir, uint64_t newest, ngx_uint_t keep,
    ngx_log_t *log)
{
    u_char        name[NGX_MESH_JOURNAL_NAME];
    uint64_t     *sequence;
    ngx_uint_t    i, n;
    ngx_pool_t   *pool;
    ngx_array_t   sequences;

    pool = ngx_create_pool(1024, log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_journal_sequences(dir, pool, &sequences, log) == NGX_OK) {
        sequence = sequences.elts;

        for (i = 0, n = 0; i < sequences.nelts; i++) {

            if (sequence[i] > newest || n++ < keep) {
                continue;
            }

            ngx_mesh_journal_name(name, sequence[i]);
            (void) unlinkat(dir, (char *) name, 0);
        }
    }

    ngx_destroy_pool(pool);
}


/* of the files there are, newest first */

static ngx_int_t
ngx_mesh_journal_sequences(int dir, ngx_pool_t *pool, ngx_array_t *sequences,
    ngx_log_t *log)
{
    int             fd;
    DIR            *d;
    u_char          name[NGX_MESH_JOURNAL_NAME];
    uint64_t        n, *sequence;
    ngx_int_t       rc;
    struct dirent  *de;

    if (ngx_array_init(sequences, pool, 32, sizeof(uint64_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    /* reading moves the offset, which duplicates of a descriptor share */

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    d = (fd == -1) ? NULL : fdopendir(fd);

    if (d == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "the directory of the mesh agent cannot be read");
        if (fd != -1) {
            (void) close(fd);
        }

        return NGX_ERROR;
    }

    rc = NGX_OK;

    while ((de = readdir(d)) != NULL) {

        if (ngx_strlen(de->d_name) != NGX_MESH_JOURNAL_NAME - 1
            || ngx_strncmp(de->d_name, "journal.", 8) != 0)
        {
            continue;
        }

        n = strtoull(de->d_name + 8, NULL, 16);

        ngx_mesh_journal_name(name, n);

        if (ngx_strcmp(name, de->d_name) != 0) {
            continue;
        }

        sequence = ngx_array_push(sequences);
        if (sequence == NULL) {
            rc = NGX_ERROR;
            break;
        }

        *sequence = n;
    }

    (void) closedir(d);

    ngx_qsort(sequences->elts, sequences->nelts, sizeof(uint64_t),
              ngx_mesh_journal_newer);

    return rc;
}


static int ngx_libc_cdecl
ngx_mesh_journal_newer(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(uint64_t *) one;
    b = *(uint64_t *) two;

    return a == b ? 0 : a > b ? -1 : 1;
}


ngx_int_t
ngx_mesh_journal_list(int dir, ngx_pool_t *pool, ngx_array_t *entries,
    ngx_log_t *log)
{
    uint64_t                  *sequence;
    ngx_uint_t                 i;
    ngx_array_t                sequences;
    ngx_mesh_journal_entry_t  *entry;

    if (ngx_mesh_journal_sequences(dir, pool, &sequences, log) != NGX_OK
        || ngx_array_init(entries, pool, sequences.nelts + 1,
                          sizeof(ngx_mesh_journal_entry_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    sequence = sequences.elts;

    for (i = 0; i < sequences.nelts; i++) {

        entry = ngx_array_push(entries);
        if (entry == NULL) {
            return NGX_ERROR;
        }

        if (ngx_mesh_journal_entry(dir, sequence[i], pool, entry) != NGX_OK) {
            entries->nelts--;
        }
    }

    return NGX_OK;
}


/* header and notes only */

static ngx_int_t
ngx_mesh_journal_entry(int dir, uint64_t sequence, ngx_pool_t *pool,
    ngx_mesh_journal_entry_t *entry)
{
    int              fd;
    u_char          *p, name[NGX_MESH_JOURNAL_NAME];
    size_t           notes;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    ngx_mesh_journal_name(name, sequence);

    fd = openat(dir, (char *) name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);
    if (fd == -1) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    p = ngx_pnalloc(pool, NGX_MESH_JOURNAL_HEADER + 2 * NGX_MESH_JOURNAL_NOTE);

    if (p == NULL
        || fstat(fd, &fi) == -1
        || !S_ISREG(fi.st_mode)
        || fi.st_size < NGX_MESH_JOURNAL_HEADER
        || ngx_mesh_journal_read(fd, p, NGX_MESH_JOURNAL_HEADER) != NGX_OK
        || ngx_mesh_journal_get_header(p, fi.st_size, &entry->header)
           != NGX_OK
        || entry->header.sequence != sequence)
    {
        goto done;
    }

    p += NGX_MESH_JOURNAL_HEADER;
    notes = (size_t) entry->header.author + entry->header.comment;

    if (ngx_mesh_journal_read(fd, p, notes) != NGX_OK) {
        goto done;
    }

    entry->author.data = p;
    entry->author.len = entry->header.author;
    entry->comment.data = p + entry->header.author;
    entry->comment.len = entry->header.comment;
    entry->size = fi.st_size;

    rc = NGX_OK;

done:

    (void) close(fd);

    return rc;
}


static ngx_int_t
ngx_mesh_journal_read(int fd, u_char *p, size_t size)
{
    ssize_t  n;

    while (size) {
        n = read(fd, p, size);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return NGX_ERROR;
        }

        p += n;
        size -= n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_journal_open(int dir, uint64_t sequence, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal, ngx_log_t *log)
{
    int        fd;
    u_char     name[NGX_MESH_JOURNAL_NAME];
    ngx_int_t  rc;
    ngx_err_t  err;

    ngx_mesh_journal_name(name, sequence);

    fd = openat(dir, (char *) name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == -1) {
        err = ngx_errno;

        if (err == NGX_ENOENT) {
            return NGX_DECLINED;
        }

        ngx_log_error(NGX_LOG_ERR, log, err,
                      "the file \"%s\" of the mesh agent cannot be opened",
                      name);

        return err == NGX_EMFILE || err == NGX_ENFILE || err == NGX_ENOMEM
               ? NGX_ERROR : NGX_DECLINED;
    }

    rc = ngx_mesh_journal_load(fd, sequence, pool, journal);

    (void) close(fd);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "the file \"%s\" of the mesh agent is damaged, "
                      "it is passed over", name);
    }

    return rc;
}


/* the header first: a file may be of any size */

static ngx_int_t
ngx_mesh_journal_load(int fd, uint64_t sequence, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal)
{
    u_char           *p, header[NGX_MESH_JOURNAL_HEADER];
    ngx_file_info_t   fi;

    if (fstat(fd, &fi) == -1
        || !S_ISREG(fi.st_mode)
        || fi.st_size < NGX_MESH_JOURNAL_HEADER
        || ngx_mesh_journal_read(fd, header, NGX_MESH_JOURNAL_HEADER)
           != NGX_OK
        || ngx_mesh_journal_get_header(header, fi.st_size, &journal->header)
           != NGX_OK
        || journal->header.sequence != sequence)
    {
        return NGX_DECLINED;
    }

    p = ngx_palloc(pool, (size_t) journal->header.length + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ngx_mesh_journal_read(fd, p, (size_t) journal->header.length)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    journal->pos = p;
    journal->last = p + journal->header.length;

    return ngx_mesh_journal_check(journal);
}


static ngx_int_t
ngx_mesh_journal_check(ngx_mesh_journal_t *journal)
{
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_mesh_journal_t          copy;
    ngx_mesh_store_item_t       item;
    ngx_mesh_journal_header_t  *header;

    header = &journal->header;

    if (libdeflate_crc32(0, journal->pos, header->length) != header->checksum)
    {
        return NGX_DECLINED;
    }

    journal->author.data = journal->pos;
    journal->author.len = header->author;
    journal->comment.data = journal->pos + header->author;
    journal->comment.len = header->comment;

    journal->pos += (size_t) header->author + header->comment;

    copy = *journal;
    n = 0;

    while ((rc = ngx_mesh_journal_next(&copy, &item)) == NGX_OK) {
        n++;
    }

    return rc == NGX_DONE && n == header->nitems ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_journal_newest(int dir, uint64_t newer, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal, ngx_log_t *log)
{
    uint64_t     *sequence;
    ngx_int_t     rc;
    ngx_uint_t    i;
    ngx_array_t   sequences;

    if (ngx_mesh_journal_sequences(dir, pool, &sequences, log) != NGX_OK) {
        return NGX_ERROR;
    }

    sequence = sequences.elts;

    for (i = 0; i < sequences.nelts && sequence[i] > newer; i++) {

        rc = ngx_mesh_journal_open(dir, sequence[i], pool, journal, log);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_mesh_journal_next(ngx_mesh_journal_t *journal, ngx_mesh_store_item_t *item)
{
    u_char  *p;

    p = journal->pos;

    if (p == journal->last) {
        return NGX_DONE;
    }

    if (journal->last - p < NGX_MESH_JOURNAL_ITEM) {
        return NGX_ERROR;
    }

    item->type = (ngx_uint_t) ngx_mesh_journal_get(&p, 2);
    item->key.len = (size_t) ngx_mesh_journal_get(&p, 2);
    item->value.len = (size_t) ngx_mesh_journal_get(&p, 4);
    item->created = ngx_mesh_journal_get(&p, 8);
    item->modified = ngx_mesh_journal_get(&p, 8);
    item->removed = 0;

    if ((size_t) (journal->last - p) < item->key.len
        || (size_t) (journal->last - p) - item->key.len < item->value.len)
    {
        return NGX_ERROR;
    }

    item->key.data = p;
    item->value.data = p + item->key.len;

    journal->pos = item->value.data + item->value.len;

    return NGX_OK;
}
