
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_operator.h"


/*
 * The journal of what registries said and callers wanted: a start without any
 * table, and without any registry, serves from it at once.  It may be older
 * than the table by a moment, and nothing waits for it.
 */


#define NGX_MESH_AGENT_LEARNED       "learned"
#define NGX_MESH_AGENT_LEARNED_KEEP  2

/* ms between writes; while one is made nothing is heard, so that a slow disk
   gets a share of the time and no more */
#define NGX_MESH_AGENT_LEARNED_LEAST  900
#define NGX_MESH_AGENT_LEARNED_MOST   30000
#define NGX_MESH_AGENT_LEARNED_SHARE  50


/* of the newest file that this process knows of */
static ngx_mesh_journal_header_t  ngx_mesh_agent_learned_header;
static ngx_uint_t                 ngx_mesh_agent_learned_known;

static ngx_msec_t                 ngx_mesh_agent_learned_last;
static ngx_msec_t                 ngx_mesh_agent_learned_pause;
static ngx_err_t                  ngx_mesh_agent_learned_error;


static int ngx_mesh_agent_learned_open(int dir, ngx_uint_t create);
static ngx_int_t ngx_mesh_agent_learned_import(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_journal_t *journal, ngx_pool_t *pool, uint64_t fresh,
    ngx_mesh_store_result_t *result, ngx_log_t *log);
static ngx_uint_t ngx_mesh_agent_learned_source(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_store_item_t *item);
static ngx_int_t ngx_mesh_agent_learned_newest(int fd, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal);
static ngx_err_t ngx_mesh_agent_learned_save(ngx_mesh_lease_t *lease,
    uint64_t *revision);
static ngx_err_t ngx_mesh_agent_learned_file(ngx_mesh_lease_t *lease,
    ngx_array_t *items, uint64_t revision);
static void ngx_mesh_agent_learned_state(ngx_err_t err);


static int
ngx_mesh_agent_learned_open(int dir, ngx_uint_t create)
{
    int  fd;

    fd = openat(dir, NGX_MESH_AGENT_LEARNED,
                O_RDONLY|O_DIRECTORY|O_CLOEXEC|O_NOFOLLOW);

    if (fd == -1 && create && ngx_errno == NGX_ENOENT
        && mkdirat(dir, NGX_MESH_AGENT_LEARNED, 0700) == 0
        && fsync(dir) == 0)
    {
        fd = openat(dir, NGX_MESH_AGENT_LEARNED,
                    O_RDONLY|O_DIRECTORY|O_CLOEXEC|O_NOFOLLOW);
    }

    return fd;
}


void
ngx_mesh_agent_learned_fill(ngx_mesh_core_conf_t *ccf, int dir, ngx_log_t *log)
{
    int                          fd;
    ngx_pool_t                  *pool;
    ngx_mesh_journal_t           journal;
    ngx_mesh_store_result_t      result;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    if (ccf->sources == NULL) {
        return;
    }

    fd = ngx_mesh_agent_learned_open(dir, 0);
    if (fd == -1) {
        return;
    }

    pool = ngx_create_pool(16384, log);

    if (pool && ngx_mesh_journal_newest(fd, 0, pool, &journal, log) == NGX_OK
        && ngx_mesh_agent_learned_import(ccf, &journal, pool,
                                         journal.header.revision, &result,
                                         log)
           == NGX_OK)
    {
        region->learned_sequence = journal.header.sequence;
        region->learned = result.revision;

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "mesh: %uL items that registries said from \"%V/"
                      NGX_MESH_AGENT_LEARNED "\"", journal.header.nitems,
                      &ccf->agent_path->name);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    (void) close(fd);
}


static ngx_int_t
ngx_mesh_agent_learned_import(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_journal_t *journal, ngx_pool_t *pool, uint64_t fresh,
    ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    ngx_uint_t              rc, n;
    ngx_mesh_store_item_t  *items;

    if (journal->header.layout != NGX_MESH_OPERATOR_LAYOUT) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "the mesh journal of registries is of another version, "
                      "it is not used");
        return NGX_DECLINED;
    }

    items = ngx_palloc(pool, ((size_t) journal->header.nitems + 1)
                             * sizeof(ngx_mesh_store_item_t));
    if (items == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    while (ngx_mesh_journal_next(journal, &items[n]) == NGX_OK) {
        n += ngx_mesh_agent_learned_source(ccf, &items[n]);
    }

    rc = ngx_mesh_learned_restore(ngx_mesh_live(), items, n, fresh, result,
                                  log);

    if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "the mesh journal of registries cannot be used: %ui", rc);

    return NGX_ERROR;
}


/* of another registry, too: it serves until those there are have answered */

static ngx_uint_t
ngx_mesh_agent_learned_source(ngx_mesh_core_conf_t *ccf,
    ngx_mesh_store_item_t *item)
{
    ngx_str_t  owner;

    return ngx_mesh_learned_owner(item, &owner)
           && (ccf->sources || owner.len == 0
               || item->type == NGX_MESH_ITEM_SERVICE);
}


void
ngx_mesh_agent_learned_adopt(ngx_mesh_lease_t *lease)
{
    int                          fd;
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_mesh_journal_t           journal;
    ngx_mesh_store_result_t      result;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;
    ngx_mesh_agent_learned_known = 0;
    ngx_mesh_agent_learned_pause = 0;

    fd = ngx_mesh_agent_learned_open(lease->dir, 0);

    pool = (fd == -1) ? NULL : ngx_create_pool(16384, ngx_cycle->log);
    rc = NGX_DECLINED;

    if (pool) {
        ngx_mesh_agent_busy();

        rc = ngx_mesh_agent_learned_newest(fd, pool, &journal);
    }

    if (rc == NGX_OK) {
        ngx_mesh_agent_learned_header = journal.header;
        ngx_mesh_agent_learned_known = 1;
    }

    if (rc == NGX_OK && !region->moved
        && journal.header.sequence > region->learned_sequence
        && !ngx_mesh_agent_journal_ours(&journal.header)
        && ngx_mesh_agent_learned_import(ngx_mesh_registry_conf, &journal,
                                         pool, 0, &result, ngx_cycle->log)
           == NGX_OK)
    {
        /* what another instance heard after this one was started */

        region->learned_sequence = journal.header.sequence;
        region->learned = result.revision;

        ngx_mesh_registry_wake_workers();

    } else if (rc != NGX_OK || region->moved
               || journal.header.sequence != region->learned_sequence
               || !ngx_mesh_agent_journal_ours(&journal.header))
    {
        region->learned = 0;
    }

    if (pool) {
        ngx_mesh_agent_idle();
        ngx_destroy_pool(pool);
    }

    if (fd != -1) {
        (void) close(fd);
    }
}


/* the file that the table has been filled from need not be read again */

static ngx_int_t
ngx_mesh_agent_learned_newest(int fd, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal)
{
    ngx_array_t                entries;
    ngx_mesh_journal_entry_t  *entry;

    if (ngx_mesh_journal_list(fd, pool, &entries, ngx_cycle->log) == NGX_OK
        && entries.nelts)
    {
        entry = entries.elts;

        if (entry->header.sequence
            == (uint64_t) ngx_mesh_registry_region->learned_sequence)
        {
            journal->header = entry->header;
            return NGX_OK;
        }
    }

    return ngx_mesh_journal_newest(fd, 0, pool, journal, ngx_cycle->log);
}


void
ngx_mesh_agent_learned_write(ngx_mesh_lease_t *lease, ngx_uint_t last)
{
    uint64_t                     revision, changed;
    ngx_err_t                    err;
    ngx_msec_t                   began;
    ngx_mesh_store_t            *store;
    ngx_mesh_registry_region_t  *region;

    store = ngx_mesh_live();
    region = ngx_mesh_registry_region;
    revision = ngx_mesh_store_revision(store);

    if (!lease->held || region->frozen
        || region->holder.pid != (ngx_atomic_uint_t) ngx_pid
        || revision == region->learned
        || (!last && ngx_current_msec - ngx_mesh_agent_learned_last
                     < ngx_mesh_agent_learned_pause))
    {
        return;
    }

    if (ngx_mesh_learned_changed(store, region->learned, &changed,
                                 ngx_cycle->log)
        == NGX_DECLINED)
    {
        region->learned = changed;
        return;
    }

    ngx_mesh_agent_busy();

    ngx_time_update();
    began = ngx_current_msec;

    err = ngx_mesh_agent_learned_save(lease, &revision);

    ngx_mesh_agent_idle();

    ngx_mesh_agent_learned_last = ngx_current_msec;

    ngx_mesh_agent_learned_pause = ngx_max(NGX_MESH_AGENT_LEARNED_LEAST,
                                           NGX_MESH_AGENT_LEARNED_SHARE
                                           * (ngx_current_msec - began));
    ngx_mesh_agent_learned_pause = ngx_min(NGX_MESH_AGENT_LEARNED_MOST,
                                           ngx_mesh_agent_learned_pause);

    if (err == 0) {
        region->learned = revision;
    }

    ngx_mesh_agent_learned_state(err);
}


/* 0, or why not; without the lease nothing is written, and nothing wrong */

static ngx_err_t
ngx_mesh_agent_learned_save(ngx_mesh_lease_t *lease, uint64_t *revision)
{
    ngx_err_t    err;
    ngx_pool_t  *pool;
    ngx_array_t  items;

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return ENOMEM;
    }

    err = ENOMEM;

    if (ngx_mesh_learned_items(ngx_mesh_live(), pool, &items, revision)
        == NGX_OK)
    {
        err = 0;

        if (ngx_mesh_lease_check(lease) == NGX_OK
            && (ngx_mesh_agent_learned_known || items.nelts))
        {
            err = ngx_mesh_agent_learned_file(lease, &items, *revision);
        }
    }

    ngx_destroy_pool(pool);

    return err;
}


static ngx_err_t
ngx_mesh_agent_learned_file(ngx_mesh_lease_t *lease, ngx_array_t *items,
    uint64_t revision)
{
    int                          fd;
    ngx_err_t                    err;
    ngx_int_t                    rc;
    ngx_str_t                    none;
    ngx_mesh_journal_header_t    header;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    fd = ngx_mesh_agent_learned_open(lease->dir, 1);
    if (fd == -1) {
        return ngx_errno;
    }

    ngx_str_null(&none);

    ngx_mesh_agent_journal_header(&header, lease, revision,
                                  ngx_max((uint64_t) region->learned_sequence,
                                       ngx_mesh_agent_learned_known
                                       ? ngx_mesh_agent_learned_header.sequence
                                       : 0));

    err = 0;

    rc = ngx_mesh_journal_write(fd, &header, &none, &none, items->elts,
                                items->nelts,
                                ngx_mesh_agent_learned_known
                                && ngx_mesh_agent_learned_error == 0
                                ? &ngx_mesh_agent_learned_header : NULL,
                                &err, ngx_cycle->log);

    if (rc == NGX_OK) {
        ngx_mesh_agent_learned_header = header;
        ngx_mesh_agent_learned_known = 1;
        region->learned_sequence = header.sequence;
        (void) ngx_atomic_fetch_add(&region->learned_written, 1);

        ngx_mesh_journal_tidy(fd, header.sequence,
                              NGX_MESH_AGENT_LEARNED_KEEP, ngx_cycle->log);
    }

    (void) close(fd);

    return (rc == NGX_ERROR) ? err : 0;
}


static void
ngx_mesh_agent_learned_state(ngx_err_t err)
{
    if (err == ngx_mesh_agent_learned_error) {
        return;
    }

    if (err) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "the mesh journal of registries in \"%V/"
                      NGX_MESH_AGENT_LEARNED "\" cannot be written, serving "
                      "goes on", &ngx_mesh_registry_conf->agent_path->name);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "the mesh journal of registries in \"%V/"
                      NGX_MESH_AGENT_LEARNED "\" is written again",
                      &ngx_mesh_registry_conf->agent_path->name);
    }

    ngx_mesh_agent_learned_error = err;
}
