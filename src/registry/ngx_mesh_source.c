
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_discovery.h"
#include "ngx_mesh_registry_int.h"


/*
 * What is known of a registry: written by the agent that has the lease into a
 * cell of the zone, which outlives it, and read by everybody.
 */


/* looks at a cell that is being written; whoever died meanwhile goes on so */

#define NGX_MESH_SOURCE_LOOKS  1000


static ngx_uint_t ngx_mesh_source_free(ngx_mesh_source_status_t *cell);
static ngx_uint_t ngx_mesh_source_is(ngx_mesh_source_status_t *cell,
    ngx_str_t *name);
static void ngx_mesh_source_text(u_char *p, uint32_t *len, ngx_str_t *text);
static void ngx_mesh_source_log(ngx_mesh_source_t *source, ngx_uint_t before,
    ngx_str_t *error);
static void ngx_mesh_source_read(ngx_mesh_source_status_t *cell,
    ngx_mesh_source_status_t *copy);
static void ngx_mesh_source_resync(ngx_mesh_registry_task_t *task);


/* the cell, while it is this process who writes it; it may be that of another
   one by now */

static ngx_inline ngx_mesh_source_status_t *
ngx_mesh_source_cell(ngx_mesh_source_t *source)
{
    return ngx_mesh_registry_region->holder.pid == (ngx_atomic_uint_t) ngx_pid
           ? source->status : NULL;
}


static ngx_inline void
ngx_mesh_source_begin(ngx_mesh_source_status_t *cell)
{
    cell->writing |= 1;
    ngx_memory_barrier();
}


static ngx_inline void
ngx_mesh_source_end(ngx_mesh_source_status_t *cell)
{
    ngx_memory_barrier();
    cell->writing = (cell->writing | 1) + 1;
}


void
ngx_mesh_source_open(ngx_mesh_source_t *source, ngx_uint_t n)
{
    ngx_uint_t                 i;
    ngx_mesh_source_status_t  *cells, *cell;

    cells = ngx_mesh_registry_region->sources;
    cell = NULL;

    for (i = 0; i < NGX_MESH_SOURCES; i++) {

        if (ngx_mesh_source_is(&cells[i], &source->name)) {
            cell = &cells[i];
            break;
        }

        if (cell == NULL && ngx_mesh_source_free(&cells[i])) {
            cell = &cells[i];
        }
    }

    source->status = cell;

    if (cell == NULL) {
        return;
    }

    ngx_mesh_source_begin(cell);

    if (i == NGX_MESH_SOURCES
        || ngx_strncmp(cell->type, source->type->name.data,
                       source->type->name.len)
           != 0)
    {
        ngx_memzero((u_char *) cell + sizeof(cell->writing),
                    sizeof(ngx_mesh_source_status_t) - sizeof(cell->writing));

        cell->name_len = (uint32_t) ngx_min(source->name.len,
                                            NGX_MESH_SOURCE_NAME);
        ngx_memcpy(cell->name, source->name.data, cell->name_len);
        (void) ngx_cpystrn(cell->type, source->type->name.data,
                           ngx_min(source->type->name.len + 1,
                                   sizeof(cell->type)));
    }

    /* of the agent before */

    cell->state = NGX_MESH_SOURCE_STOPPED;
    cell->since = ngx_mesh_wall_clock();
    cell->backoff = 0;
    cell->subscriptions = 0;
    cell->watched = 0;
    cell->endpoints = 0;
    cell->held = 0;
    cell->unmapped = 0;
    cell->connections = 0;

    ngx_mesh_source_end(cell);
}


/* of no registry of this configuration */

static ngx_uint_t
ngx_mesh_source_free(ngx_mesh_source_status_t *cell)
{
    ngx_uint_t          i;
    ngx_array_t        *sources;
    ngx_mesh_source_t  *source;

    sources = ngx_mesh_registry_conf->sources;
    source = sources ? sources->elts : NULL;

    for (i = 0; sources && i < sources->nelts; i++) {
        if (ngx_mesh_source_is(cell, &source[i].name)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_mesh_source_is(ngx_mesh_source_status_t *cell, ngx_str_t *name)
{
    size_t  len;

    len = ngx_min(name->len, NGX_MESH_SOURCE_NAME);

    return cell->name_len == len
           && ngx_memcmp(cell->name, name->data, len) == 0;
}


static void
ngx_mesh_source_text(u_char *p, uint32_t *len, ngx_str_t *text)
{
    *len = (uint32_t) ngx_min(text->len, NGX_MESH_SOURCE_TEXT);

    if (*len) {
        ngx_memcpy(p, text->data, *len);
    }
}


void
ngx_mesh_source_state(ngx_mesh_source_t *source, ngx_uint_t state,
    ngx_mesh_source_addr_t *addr, ngx_str_t *error)
{
    ngx_str_t                  was;
    ngx_uint_t                 before;
    ngx_mesh_source_status_t  *cell;

    cell = ngx_mesh_source_cell(source);

    if (cell == NULL) {
        return;
    }

    before = cell->state;

    ngx_mesh_source_begin(cell);

    if (addr) {
        was.len = cell->address_len;
        was.data = cell->address;

        if (was.len
            && (was.len != ngx_min(addr->url.len, NGX_MESH_SOURCE_TEXT)
                || ngx_memcmp(was.data, addr->url.data, was.len) != 0))
        {
            cell->switches++;
        }

        ngx_mesh_source_text(cell->address, &cell->address_len, &addr->url);
    }

    if (before != state) {
        cell->state = (uint32_t) state;
        cell->since = ngx_mesh_wall_clock();
    }

    if (state == NGX_MESH_SOURCE_ERROR) {
        cell->errors++;
        cell->error_time = ngx_mesh_wall_clock();

        if (error) {
            ngx_mesh_source_text(cell->error, &cell->error_len, error);
        }

    } else {
        cell->backoff = 0;
    }

    if (state == NGX_MESH_SOURCE_STOPPED) {
        cell->watched = 0;
        cell->connections = 0;
    }

    ngx_mesh_source_end(cell);

    if (before != state) {
        ngx_mesh_source_log(source, before, error);
    }
}


static void
ngx_mesh_source_log(ngx_mesh_source_t *source, ngx_uint_t before,
    ngx_str_t *error)
{
    ngx_str_t                  address, nothing;
    ngx_mesh_source_status_t  *cell;

    cell = source->status;
    address.len = cell->address_len;
    address.data = cell->address;

    if (error == NULL) {
        ngx_str_set(&nothing, "an error");
        error = &nothing;
    }

    switch (cell->state) {

    case NGX_MESH_SOURCE_OK:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh registry \"%V\": \"%V\" answers%s", &source->name,
                      &address,
                      before == NGX_MESH_SOURCE_ERROR ? " again" : "");
        break;

    case NGX_MESH_SOURCE_ERROR:

        /* there is none yet where it fails for what is here */

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh registry \"%V\": %s%V%s%V, what it said before "
                      "goes on serving", &source->name,
                      address.len ? "\"" : "", &address,
                      address.len ? "\": " : "", error);
        break;

    default:
        break;
    }
}


void
ngx_mesh_source_heard(ngx_mesh_source_t *source, uint64_t index)
{
    ngx_mesh_source_status_t  *cell;

    cell = ngx_mesh_source_cell(source);

    if (cell == NULL) {
        return;
    }

    ngx_mesh_source_begin(cell);

    cell->heard = ngx_mesh_wall_clock();
    cell->backoff = 0;
    if (index) {
        cell->index = index;
    }

    ngx_mesh_source_end(cell);
}


void
ngx_mesh_source_backoff(ngx_mesh_source_t *source, ngx_msec_t ms)
{
    ngx_mesh_source_status_t  *cell;

    cell = ngx_mesh_source_cell(source);

    if (cell) {
        cell->backoff = ms;
    }
}


void
ngx_mesh_source_watched(ngx_mesh_source_t *source, ngx_uint_t watched,
    ngx_uint_t connections)
{
    ngx_mesh_source_status_t  *cell;

    cell = ngx_mesh_source_cell(source);

    if (cell) {
        ngx_mesh_source_begin(cell);

        cell->watched = watched;
        cell->connections = connections;

        ngx_mesh_source_end(cell);
    }
}


void
ngx_mesh_source_count(ngx_mesh_source_t *source, ngx_uint_t what)
{
    ngx_mesh_source_status_t  *cell;

    cell = ngx_mesh_source_cell(source);

    if (cell == NULL) {
        return;
    }

    switch (what) {

    case NGX_MESH_SOURCE_C_UPDATES:
        cell->updates++;
        break;

    case NGX_MESH_SOURCE_C_SAME:
        cell->same++;
        break;

    default: /* NGX_MESH_SOURCE_C_UNKNOWN */
        cell->unknown++;
    }
}


void
ngx_mesh_source_subscribed(ngx_mesh_source_t *source)
{
    if (source->status) {
        source->status->subscriptions = source->nsubscriptions;
    }
}


void
ngx_mesh_source_share(ngx_mesh_source_t *source, int64_t endpoints,
    int64_t held, int64_t unmapped)
{
    ngx_mesh_source_status_t  *cell;

    cell = ngx_mesh_source_cell(source);

    if (cell) {
        ngx_mesh_source_begin(cell);

        cell->endpoints += endpoints;
        cell->held += held;
        cell->unmapped += unmapped;

        ngx_mesh_source_end(cell);
    }
}


ngx_int_t
ngx_mesh_source_info(ngx_uint_t n, ngx_pool_t *pool,
    ngx_mesh_source_info_t *info)
{
    ngx_uint_t                 i;
    ngx_array_t               *sources;
    ngx_mesh_source_t         *source;
    ngx_mesh_source_addr_t    *addr;
    ngx_mesh_source_status_t  *cells;

    sources = ngx_mesh_registry_conf ? ngx_mesh_registry_conf->sources : NULL;

    if (sources == NULL || ngx_mesh_registry_region == NULL
        || n >= sources->nelts)
    {
        return NGX_DECLINED;
    }

    source = (ngx_mesh_source_t *) sources->elts + n;

    ngx_memzero(info, sizeof(ngx_mesh_source_info_t));

    info->name = source->name;
    info->type = source->type->name;
    info->discovery = source->discovery;

    info->urls = ngx_palloc(pool, (source->addrs.nelts + 1)
                                  * sizeof(ngx_str_t));
    if (info->urls == NULL) {
        return NGX_ERROR;
    }

    /* a name may have several addresses */

    addr = source->addrs.elts;

    for (i = 0; i < source->addrs.nelts; i++) {

        if (info->nurls == 0
            || !ngx_mesh_equal(&info->urls[info->nurls - 1], &addr[i].url))
        {
            info->urls[info->nurls++] = addr[i].url;
        }
    }

    cells = ngx_mesh_registry_region->sources;

    for (i = 0; i < NGX_MESH_SOURCES; i++) {

        if (ngx_mesh_source_is(&cells[i], &source->name)) {
            ngx_mesh_source_read(&cells[i], &info->status);
            break;
        }
    }

    /* nobody asks without the lease, whatever whoever had it left */

    if (ngx_mesh_registry_region->lease != NGX_MESH_LEASE_HELD
        || info->status.state > NGX_MESH_SOURCE_ERROR)
    {
        info->status.state = NGX_MESH_SOURCE_STOPPED;
    }

    return NGX_OK;
}


static void
ngx_mesh_source_read(ngx_mesh_source_status_t *cell,
    ngx_mesh_source_status_t *copy)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  writing;

    for (i = 0; i < NGX_MESH_SOURCE_LOOKS; i++) {

        writing = cell->writing;
        ngx_memory_barrier();

        *copy = *cell;

        ngx_memory_barrier();

        if ((writing & 1) == 0 && cell->writing == writing) {
            break;
        }

        ngx_cpu_pause();
    }

    copy->address_len = ngx_min(copy->address_len, NGX_MESH_SOURCE_TEXT);
    copy->error_len = ngx_min(copy->error_len, NGX_MESH_SOURCE_TEXT);
}


void
ngx_mesh_source_init(void)
{
    ngx_mesh_registry_job_handler(NGX_MESH_JOB_RESYNC, ngx_mesh_source_resync);
}


static void
ngx_mesh_source_resync(ngx_mesh_registry_task_t *task)
{
    u_char     *p, *last;
    ngx_str_t   name, interface;

    p = task->args.data;
    last = p + task->args.len;

    task->status = 404;

    if (p == last) {
        return;
    }

    if (ngx_mesh_agent_leads() != NGX_OK) {
        task->status = 423;
        return;
    }

    /* it may have got the lease just now */

    ngx_mesh_discovery_start(ngx_mesh_registry_conf);

    name.data = p + 1;

    for (p++; p < last && *p != '\0'; p++) {
        /* void */
    }

    name.len = p - name.data;
    interface.data = p + 1;
    interface.len = p < last ? last - p - 1 : 0;

    if (ngx_mesh_discovery_resync(&name, &interface,
                                  task->args.data[0] == '1')
        == NGX_OK)
    {
        task->status = 200;
    }
}
