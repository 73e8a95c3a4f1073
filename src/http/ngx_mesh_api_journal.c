
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_http.h"
#include "ngx_mesh_journal.h"
#include "ngx_mesh_operator.h"
#include "ngx_mesh_registry.h"


/*
 * What the agent does for ngx_mesh_api_revision.c: it reads the journal, may
 * go back to one of its revisions, and writes the answer to a file.
 */


typedef struct {
    ngx_mesh_registry_task_t  *task;
    ngx_mesh_api_revision_t    args;
    ngx_mesh_store_t          *store;
    ngx_mesh_json_t            json;
    ngx_array_t                entries;    /* ngx_mesh_journal_entry_t */
    uint64_t                   rolled;     /* the revision made, 0: none */
} ngx_mesh_api_journal_t;


static void ngx_mesh_api_journal(ngx_mesh_registry_task_t *task);
static ngx_int_t ngx_mesh_api_journal_run(ngx_mesh_api_journal_t *j);
static void ngx_mesh_api_journal_list(ngx_mesh_api_journal_t *j);
static void ngx_mesh_api_journal_entry(ngx_mesh_api_journal_t *j,
    ngx_mesh_journal_entry_t *entry);
static ngx_int_t ngx_mesh_api_journal_get(ngx_mesh_api_journal_t *j);
static ngx_int_t ngx_mesh_api_journal_diff(ngx_mesh_api_journal_t *j);
static ngx_int_t ngx_mesh_api_journal_rollback(ngx_mesh_api_journal_t *j);
static void ngx_mesh_api_journal_outcome(ngx_mesh_api_journal_t *j,
    ngx_uint_t changed, uint64_t revision);
static void ngx_mesh_api_journal_rolled(ngx_mesh_api_journal_t *j,
    uint64_t revision);
static ngx_int_t ngx_mesh_api_journal_items(ngx_mesh_api_journal_t *j,
    uint64_t revision, ngx_array_t *items);
static ngx_int_t ngx_mesh_api_journal_differences(ngx_mesh_api_journal_t *j,
    ngx_array_t *one, ngx_array_t *two);
static ngx_int_t ngx_libc_cdecl ngx_mesh_api_journal_fail(
    ngx_mesh_api_journal_t *j, ngx_uint_t status, const char *fmt, ...);
static ngx_int_t ngx_mesh_api_journal_write(ngx_mesh_api_journal_t *j);


void
ngx_mesh_api_init(void)
{
    ngx_mesh_registry_job_handler(NGX_MESH_API_JOB_JOURNAL,
                                  ngx_mesh_api_journal);
    ngx_mesh_registry_job_handler(NGX_MESH_API_JOB_LARGE,
                                  ngx_mesh_api_large_task);
}


static void
ngx_mesh_api_journal(ngx_mesh_registry_task_t *task)
{
    ngx_int_t               rc;
    ngx_mesh_api_journal_t  j;

    ngx_memzero(&j, sizeof(ngx_mesh_api_journal_t));

    j.task = task;
    j.store = ngx_mesh_live();

    if (task->args.len < sizeof(ngx_mesh_api_revision_t) || j.store == NULL) {
        task->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return;
    }

    ngx_memcpy(&j.args, task->args.data, sizeof(ngx_mesh_api_revision_t));
    ngx_mesh_json_init(&j.json, task->pool, NULL);

    rc = ngx_mesh_api_journal_run(&j);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_journal_write(&j);
    }

    if (rc == NGX_OK) {
        task->status = NGX_HTTP_OK;

    } else if (rc == NGX_ERROR) {
        (void) ngx_mesh_api_journal_fail(&j, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                         "there is no memory");
    }
}


static ngx_int_t
ngx_mesh_api_journal_run(ngx_mesh_api_journal_t *j)
{
    if (ngx_mesh_journal_list(j->task->dir, j->task->pool, &j->entries,
                              ngx_cycle->log)
        != NGX_OK)
    {
        return ngx_mesh_api_journal_fail(j, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "the journal cannot be read");
    }

    switch (j->args.what) {

    case NGX_MESH_API_REVISIONS:
        ngx_mesh_api_journal_list(j);
        return NGX_OK;

    case NGX_MESH_API_REVISION:
        return ngx_mesh_api_journal_get(j);

    case NGX_MESH_API_DIFF:
        return ngx_mesh_api_journal_diff(j);

    default:
        return ngx_mesh_api_journal_rollback(j);
    }
}


static void
ngx_mesh_api_journal_list(ngx_mesh_api_journal_t *j)
{
    ngx_uint_t                 i;
    ngx_mesh_journal_entry_t  *entry;

    entry = j->entries.elts;

    ngx_mesh_json_open(&j->json, '{');
    ngx_mesh_json_key(&j->json, "items");
    ngx_mesh_json_open(&j->json, '[');

    for (i = 0; i < j->entries.nelts; i++) {
        ngx_mesh_json_open(&j->json, '{');
        ngx_mesh_api_journal_entry(j, &entry[i]);
        ngx_mesh_json_close(&j->json, '}');
    }

    ngx_mesh_json_close(&j->json, ']');
    ngx_mesh_json_key(&j->json, "revision");
    ngx_mesh_json_number(&j->json, ngx_mesh_store_revision(j->store));
    ngx_mesh_json_close(&j->json, '}');
}


static void
ngx_mesh_api_journal_entry(ngx_mesh_api_journal_t *j,
    ngx_mesh_journal_entry_t *entry)
{
    u_char     buf[sizeof("1970-01-01T00:00:00.000Z") + NGX_INT64_LEN];
    ngx_str_t  time;

    time.data = buf;
    time.len = ngx_mesh_api_date(buf, entry->header.time) - buf;

    ngx_mesh_json_key(&j->json, "revision");
    ngx_mesh_json_number(&j->json, entry->header.revision);
    ngx_mesh_json_key(&j->json, "time");
    ngx_mesh_json_string(&j->json, &time);
    ngx_mesh_json_key(&j->json, "author");
    ngx_mesh_json_string(&j->json, &entry->author);
    ngx_mesh_json_key(&j->json, "comment");
    ngx_mesh_json_string(&j->json, &entry->comment);
    ngx_mesh_json_key(&j->json, "nitems");
    ngx_mesh_json_number(&j->json, entry->header.nitems);
}


static ngx_int_t
ngx_mesh_api_journal_get(ngx_mesh_api_journal_t *j)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_array_t             items;
    ngx_mesh_store_item_t  *item;

    rc = ngx_mesh_api_journal_items(j, j->args.revision, &items);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_mesh_json_open(&j->json, '{');
    ngx_mesh_json_key(&j->json, "revision");
    ngx_mesh_json_number(&j->json, j->args.revision);
    ngx_mesh_json_key(&j->json, "items");
    ngx_mesh_json_open(&j->json, '[');

    item = items.elts;

    for (i = 0; i < items.nelts; i++) {
        if (ngx_mesh_api_show_item(&j->json, &item[i], j->task->pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_mesh_json_close(&j->json, ']');
    ngx_mesh_json_close(&j->json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_journal_diff(ngx_mesh_api_journal_t *j)
{
    ngx_int_t    rc;
    ngx_array_t  one, two;

    rc = ngx_mesh_api_journal_items(j, j->args.revision, &one);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_journal_items(j, j->args.to, &two);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_mesh_json_open(&j->json, '{');
    ngx_mesh_json_key(&j->json, "diff");

    if (ngx_mesh_api_journal_differences(j, &one, &two) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_json_close(&j->json, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_api_journal_rollback(ngx_mesh_api_journal_t *j)
{
    ngx_int_t                 rc;
    ngx_uint_t                code;
    ngx_array_t               now, then;
    ngx_mesh_store_result_t   result;

    rc = ngx_mesh_api_journal_items(j, 0, &now);

    if (rc == NGX_OK) {
        rc = ngx_mesh_api_journal_items(j, j->args.revision, &then);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!j->args.dry && ngx_mesh_registry_writable() != NGX_OK) {
        return ngx_mesh_api_journal_fail(j, 423, "an upgrade is under way");
    }

    code = ngx_mesh_operator_restore(j->store, then.elts, then.nelts, 0,
                                     j->args.expect, j->args.dry, &result,
                                     ngx_cycle->log);

    if (code == NGX_MESH_STORE_CONFLICT && j->args.expect) {
        return ngx_mesh_api_journal_fail(j, NGX_HTTP_PRECONDITION_FAILED,
                                         "the table is of revision %uL",
                                         ngx_mesh_store_revision(j->store));
    }

    if (code != NGX_MESH_STORE_OK && code != NGX_MESH_STORE_SAME) {
        return ngx_mesh_api_journal_fail(j, code == NGX_MESH_STORE_FULL
                                         ? NGX_HTTP_INSUFFICIENT_STORAGE
                                         : NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "that revision cannot be restored: "
                                         "it needs %uz bytes of the zone, %uz "
                                         "are free", result.needed,
                                         result.free);
    }

    if (code == NGX_MESH_STORE_OK && !j->args.dry) {
        ngx_mesh_api_journal_rolled(j, result.revision);
    }

    ngx_mesh_json_open(&j->json, '{');
    ngx_mesh_api_journal_outcome(j, code == NGX_MESH_STORE_OK,
                                 result.revision);

    if (j->args.dry) {
        ngx_mesh_json_key(&j->json, "dry_run");
        ngx_mesh_json_bool(&j->json, 1);
    }

    ngx_mesh_json_key(&j->json, "diff");

    if (ngx_mesh_api_journal_differences(j, &now, &then) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_json_close(&j->json, '}');

    return NGX_OK;
}


static void
ngx_mesh_api_journal_outcome(ngx_mesh_api_journal_t *j, ngx_uint_t changed,
    uint64_t revision)
{
    ngx_mesh_json_key(&j->json, "changed");
    ngx_mesh_json_bool(&j->json, changed);
    ngx_mesh_json_key(&j->json, "revision");
    ngx_mesh_json_number(&j->json, revision);
}


static void
ngx_mesh_api_journal_rolled(ngx_mesh_api_journal_t *j, uint64_t revision)
{
    u_char     buf[sizeof("rollback to revision ") + NGX_INT64_LEN];
    ngx_str_t  author, comment;

    author.data = j->task->args.data + sizeof(ngx_mesh_api_revision_t);
    author.len = j->task->args.len - sizeof(ngx_mesh_api_revision_t);

    comment.data = buf;
    comment.len = ngx_sprintf(buf, "rollback to revision %uL",
                              j->args.revision)
                  - buf;

    j->rolled = revision;

    ngx_mesh_registry_note(revision, &author, &comment);
    ngx_mesh_registry_committed();
}


/* the operator's items of a revision, 0: as they are now; in order */

static ngx_int_t
ngx_mesh_api_journal_items(ngx_mesh_api_journal_t *j, uint64_t revision,
    ngx_array_t *items)
{
    uint64_t                   now;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_mesh_journal_t         journal;
    ngx_mesh_store_item_t     *item;
    ngx_mesh_journal_entry_t  *entry;

    pool = j->task->pool;

    if (revision == 0) {
        return ngx_mesh_operator_items(j->store, pool, items, &now);
    }

    entry = j->entries.elts;

    for (i = 0; i < j->entries.nelts; i++) {
        if (entry[i].header.revision == revision) {
            break;
        }
    }

    if (i == j->entries.nelts
        || ngx_mesh_journal_open(j->task->dir, entry[i].header.sequence, pool,
                                 &journal, ngx_cycle->log)
           != NGX_OK)
    {
        return ngx_mesh_api_journal_fail(j, NGX_HTTP_NOT_FOUND, "there is no "
                                         "revision %uL in the journal",
                                         revision);
    }

    if (ngx_array_init(items, pool, 64, sizeof(ngx_mesh_store_item_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for ( ;; ) {
        item = ngx_array_push(items);
        if (item == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_journal_next(&journal, item);

        if (rc != NGX_OK) {
            break;
        }
    }

    items->nelts--;

    return rc == NGX_DONE ? NGX_OK : NGX_ERROR;
}


/* one walk along both */

static ngx_int_t
ngx_mesh_api_journal_differences(ngx_mesh_api_journal_t *j, ngx_array_t *one,
    ngx_array_t *two)
{
    ngx_int_t               order;
    ngx_uint_t              i, k;
    ngx_mesh_store_item_t  *a, *b;

    a = one->elts;
    b = two->elts;

    ngx_mesh_json_open(&j->json, '[');

    for (i = 0, k = 0; i < one->nelts || k < two->nelts; /* void */ ) {

        order = (i == one->nelts) ? 1
                : (k == two->nelts) ? -1
                : ngx_mesh_store_order(a[i].type, &a[i].key, b[k].type,
                                       &b[k].key);

        if ((order != 0 || !ngx_mesh_equal(&a[i].value, &b[k].value))
            && ngx_mesh_api_show_change(&j->json, order <= 0 ? &a[i] : NULL,
                                        order >= 0 ? &b[k] : NULL,
                                        j->task->pool)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        i += (order <= 0);
        k += (order >= 0);
    }

    ngx_mesh_json_close(&j->json, ']');

    return NGX_OK;
}


/* NGX_DECLINED */

static ngx_int_t
ngx_mesh_api_journal_fail(ngx_mesh_api_journal_t *j, ngx_uint_t status,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = j->task->result.data;

    va_start(args, fmt);
    j->task->result.len = ngx_vslprintf(p, p + NGX_MESH_JOB_RESULT, fmt, args)
                          - p;
    va_end(args);

    j->task->status = status;

    return NGX_DECLINED;
}


/* what was done is told without the diff when there is no room for it */

static ngx_int_t
ngx_mesh_api_journal_write(ngx_mesh_api_journal_t *j)
{
    ngx_err_t  err;

    if (j->json.failed) {
        return NGX_ERROR;
    }

    if (ngx_mesh_api_job_write(j->task, j->json.out, &err) != NGX_OK) {

        if (j->rolled) {
            ngx_mesh_json_init(&j->json, j->task->pool, NULL);
            ngx_mesh_json_open(&j->json, '{');
            ngx_mesh_api_journal_outcome(j, 1, j->rolled);
            ngx_mesh_json_close(&j->json, '}');

            return ngx_mesh_api_job_write(j->task, j->json.out, &err);
        }

        return ngx_mesh_api_journal_fail(j, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "the answer cannot be written, "
                                         "error %d", err);
    }

    return NGX_OK;
}
