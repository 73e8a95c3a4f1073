
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_operator.h"


/* what the journal says, and whether the table says the same */


/* of the newest file that this process knows of */
static ngx_mesh_journal_header_t  ngx_mesh_agent_written;
static ngx_uint_t                 ngx_mesh_agent_known;

/* why the newest file is not in the table; it would be lost behind another */
static ngx_err_t                  ngx_mesh_agent_unread;


static void ngx_mesh_agent_journal_follow(ngx_mesh_journal_t *journal,
    ngx_pool_t *pool);
static ngx_err_t ngx_mesh_agent_journal_import(ngx_mesh_journal_t *journal,
    ngx_pool_t *pool, uint64_t fresh, ngx_mesh_store_result_t *result,
    ngx_log_t *log);
static ngx_int_t ngx_mesh_agent_journal_save(ngx_mesh_lease_t *lease,
    uint64_t *revision, ngx_err_t *err);
static ngx_int_t ngx_mesh_agent_journal_file(ngx_mesh_lease_t *lease,
    ngx_array_t *items, uint64_t revision, ngx_err_t *err);
static void ngx_mesh_agent_journal_take_note(uint64_t revision, u_char *buf,
    ngx_str_t *author, ngx_str_t *comment);


void
ngx_mesh_agent_journal_adopt(ngx_mesh_lease_t *lease)
{
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_mesh_journal_t           journal;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;
    ngx_mesh_agent_known = 0;
    ngx_mesh_agent_unread = ENOMEM;

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    ngx_mesh_agent_busy();

    rc = ngx_mesh_journal_newest(lease->dir, 0, pool, &journal,
                                 ngx_cycle->log);

    ngx_mesh_agent_unread = (rc == NGX_ERROR) ? EIO : 0;

    if (rc == NGX_OK) {
        ngx_mesh_agent_written = journal.header;
        ngx_mesh_agent_known = 1;

        /* the file of the lease may be gone, or never have been written */

        ngx_mesh_lease_raise(lease, journal.header.fence);
        region->fence = lease->fence;
    }

    if (rc == NGX_OK && !region->moved
        && journal.header.sequence > region->sequence
        && !ngx_mesh_agent_journal_ours(&journal.header))
    {
        ngx_mesh_agent_journal_follow(&journal, pool);

    } else if (region->moved || rc != NGX_OK
               || journal.header.sequence != region->sequence
               || !ngx_mesh_agent_journal_ours(&journal.header))
    {
        /* a directory may be new, and files may go: what they do not say is
           written again */

        region->journalled = 0;
    }

    if (ngx_mesh_agent_unread == 0) {
        region->moved = 0;
    }

    ngx_mesh_agent_idle();

    ngx_destroy_pool(pool);
}


/* the table is to be what another instance has written */

static void
ngx_mesh_agent_journal_follow(ngx_mesh_journal_t *journal, ngx_pool_t *pool)
{
    ngx_mesh_store_result_t      result;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    ngx_mesh_agent_unread = ngx_mesh_agent_journal_import(journal, pool, 0,
                                                          &result,
                                                          ngx_cycle->log);
    if (ngx_mesh_agent_unread) {
        region->journalled = 0;
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "mesh agent: took over what another instance wrote until "
                  "its revision %uL", journal->header.revision);

    region->sequence = journal->header.sequence;
    region->journalled = result.revision;

    ngx_mesh_registry_wake_workers();
}


/* they say no less */

ngx_uint_t
ngx_mesh_agent_journal_ours(ngx_mesh_journal_header_t *header)
{
    return header->epoch == ngx_mesh_store_epoch(ngx_mesh_live())
           || (ngx_mesh_registry_region->ancestor
               && header->epoch == ngx_mesh_registry_region->ancestor);
}


/* 0, or why not */

static ngx_err_t
ngx_mesh_agent_journal_import(ngx_mesh_journal_t *journal, ngx_pool_t *pool,
    uint64_t fresh, ngx_mesh_store_result_t *result, ngx_log_t *log)
{
    ngx_uint_t              rc, n;
    ngx_mesh_store_item_t  *items;

    if (journal->header.layout != NGX_MESH_OPERATOR_LAYOUT) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "the mesh journal of revision %uL is of another "
                      "version, it is not used", journal->header.revision);
        return ENOTSUP;
    }

    items = ngx_palloc(pool, ((size_t) journal->header.nitems + 1)
                             * sizeof(ngx_mesh_store_item_t));
    if (items == NULL) {
        return ENOMEM;
    }

    for (n = 0; ngx_mesh_journal_next(journal, &items[n]) == NGX_OK; n++) {
        /* void */
    }

    rc = ngx_mesh_operator_restore(ngx_mesh_live(), items, n, fresh, 0, 0,
                                   result, log);

    switch (rc) {

    case NGX_MESH_STORE_OK:
    case NGX_MESH_STORE_SAME:
        return 0;

    case NGX_MESH_STORE_FULL:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "the mesh journal of revision %uL needs %uzk of the "
                      "mesh zone, %uzk are free: enlarge the zone",
                      journal->header.revision, result->needed / 1024 + 1,
                      result->free / 1024);
        return NGX_ENOSPC;

    case NGX_MESH_STORE_NOMEM:
        return ENOMEM;

    default:
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "the mesh journal of revision %uL cannot be used: %ui",
                      journal->header.revision, rc);
        return EINVAL;
    }
}


/* in the master: there is nobody yet whom it could keep waiting */

void
ngx_mesh_agent_journal_fill(ngx_mesh_core_conf_t *ccf, ngx_log_t *log)
{
    int                          dir;
    ngx_pool_t                  *pool;
    ngx_mesh_journal_t           journal;
    ngx_mesh_store_result_t      result;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    dir = open((char *) ccf->agent_path->name.data,
               O_RDONLY|O_DIRECTORY|O_CLOEXEC|O_NOFOLLOW);
    if (dir == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "\"%V\" cannot be opened, the mesh starts without what "
                      "is there", &ccf->agent_path->name);
        return;
    }

    pool = ngx_create_pool(16384, log);

    if (pool && ngx_mesh_journal_newest(dir, 0, pool, &journal, log) == NGX_OK
        && ngx_mesh_agent_journal_import(&journal, pool,
                                         journal.header.revision, &result, log)
           == 0)
    {
        region->sequence = journal.header.sequence;
        region->journalled = result.revision;

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "mesh: %uL items of revision %uL from \"%V\"",
                      journal.header.nitems, journal.header.revision,
                      &ccf->agent_path->name);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_mesh_agent_learned_fill(ccf, dir, log);

    (void) close(dir);
}


void
ngx_mesh_agent_journal_write(ngx_mesh_lease_t *lease)
{
    uint64_t                     revision, changed;
    ngx_int_t                    rc;
    ngx_err_t                    err;
    ngx_mesh_store_t            *store;
    ngx_mesh_registry_region_t  *region;

    store = ngx_mesh_live();
    region = ngx_mesh_registry_region;

    /* another agent, of another directory, may have followed */

    if (!lease->held || region->frozen
        || region->holder.pid != (ngx_atomic_uint_t) ngx_pid)
    {
        return;
    }

    if (ngx_mesh_agent_unread == EIO || ngx_mesh_agent_unread == ENOMEM) {
        ngx_mesh_agent_journal_adopt(lease);
    }

    if (ngx_mesh_agent_unread) {
        ngx_mesh_agent_journal_state(ngx_mesh_agent_unread, "used");
        return;
    }

    revision = ngx_mesh_store_revision(store);

    if (revision == region->journalled && region->error == 0) {
        return;
    }

    if (region->error == 0
        && ngx_mesh_operator_changed(store, region->journalled, &changed,
                                     ngx_cycle->log)
           == NGX_DECLINED)
    {
        region->journalled = changed;
        ngx_mesh_registry_wake_workers();
        return;
    }

    err = 0;

    ngx_mesh_agent_busy();
    rc = ngx_mesh_agent_journal_save(lease, &revision, &err);
    ngx_mesh_agent_idle();

    if (rc == NGX_DECLINED) {
        return;
    }

    if (rc == NGX_OK) {
        region->journalled = revision;
    }

    ngx_mesh_agent_journal_state(err, "written");
    ngx_mesh_registry_wake_workers();
}


/* NGX_DECLINED: the lease is somebody else's by now */

static ngx_int_t
ngx_mesh_agent_journal_save(ngx_mesh_lease_t *lease, uint64_t *revision,
    ngx_err_t *err)
{
    ngx_int_t     rc;
    ngx_pool_t   *pool;
    ngx_array_t   items;

    *err = ENOMEM;

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_operator_items(ngx_mesh_live(), pool, &items, revision);

    if (rc == NGX_OK && ngx_mesh_lease_check(lease) != NGX_OK) {
        rc = NGX_DECLINED;
    }

    /* without any file, nothing is what is there */

    if (rc == NGX_OK && (ngx_mesh_agent_known || items.nelts)) {
        rc = ngx_mesh_agent_journal_file(lease, &items, *revision, err);
    }

    ngx_destroy_pool(pool);

    if (rc == NGX_OK || rc == NGX_DONE) {
        *err = 0;
        return NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_mesh_agent_journal_file(ngx_mesh_lease_t *lease, ngx_array_t *items,
    uint64_t revision, ngx_err_t *err)
{
    u_char                       note[2 * NGX_MESH_JOURNAL_NOTE];
    ngx_int_t                    rc;
    ngx_str_t                    author, comment;
    ngx_mesh_journal_header_t    header;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    ngx_mesh_agent_journal_take_note(revision, note, &author, &comment);

    ngx_mesh_agent_journal_header(&header, lease, revision,
                                  ngx_max((uint64_t) region->sequence,
                                          ngx_mesh_agent_known
                                          ? ngx_mesh_agent_written.sequence
                                          : 0));

    rc = ngx_mesh_journal_write(lease->dir, &header, &author, &comment,
                                items->elts, items->nelts,
                                ngx_mesh_agent_known && region->error == 0
                                ? &ngx_mesh_agent_written : NULL,
                                err, ngx_cycle->log);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_mesh_agent_written = header;
    ngx_mesh_agent_known = 1;
    region->sequence = header.sequence;
    (void) ngx_atomic_fetch_add(&region->written, 1);

    ngx_mesh_journal_tidy(lease->dir, header.sequence,
                          ngx_mesh_registry_conf->state_keep, ngx_cycle->log);

    return NGX_OK;
}


void
ngx_mesh_agent_journal_header(ngx_mesh_journal_header_t *header,
    ngx_mesh_lease_t *lease, uint64_t revision, uint64_t last)
{
    ngx_time_update();

    ngx_memzero(header, sizeof(ngx_mesh_journal_header_t));

    header->sequence = last + 1;
    header->epoch = ngx_mesh_store_epoch(ngx_mesh_live());
    header->revision = revision;
    header->fence = lease->fence;
    header->time = ngx_mesh_wall_clock();
    header->layout = NGX_MESH_OPERATOR_LAYOUT;
}


static void
ngx_mesh_agent_journal_take_note(uint64_t revision, u_char *buf,
    ngx_str_t *author, ngx_str_t *comment)
{
    uint64_t                     noted;
    ngx_uint_t                   tries;
    ngx_atomic_uint_t            before;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    /* who died while writing it leaves it odd: then there is no note */

    for (tries = 0; tries < 100; tries++) {
        before = region->noting;
        ngx_memory_barrier();

        noted = region->noted;
        author->len = ngx_min(region->author, NGX_MESH_JOURNAL_NOTE);
        comment->len = ngx_min(region->comment, NGX_MESH_JOURNAL_NOTE);
        ngx_memcpy(buf, region->note, sizeof(region->note));

        ngx_memory_barrier();

        if (before % 2 == 0 && region->noting == before) {

            if (noted <= region->journalled || noted > revision) {
                break;
            }

            author->data = buf;
            comment->data = buf + author->len;
            return;
        }

        ngx_cpu_pause();
    }

    ngx_str_null(author);
    ngx_str_null(comment);
}


void
ngx_mesh_agent_journal_state(ngx_err_t err, char *what)
{
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    if (err) {
        (void) ngx_atomic_fetch_add(&region->errors, 1);
    }

    if ((ngx_err_t) region->error == err) {
        return;
    }

    if (err) {
        if (region->error == 0) {
            region->error_since = ngx_time();
        }

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "the mesh journal in \"%V\" cannot be %s, serving goes "
                      "on", &ngx_mesh_registry_conf->agent_path->name, what);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "the mesh journal in \"%V\" is written again",
                      &ngx_mesh_registry_conf->agent_path->name);
    }

    region->error = err;
}
