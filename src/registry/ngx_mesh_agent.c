
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"
#include "ngx_mesh_metrics.h"


/*
 * The agent lives in nginx's helper process, of which a path with a manager
 * makes one, and in the loop of events there; other managers may be in the
 * same process.  Where there is only one process it lives in that.
 */


/* ms between tries for the lease, and after an error: from one to the other
   as long as it lasts */
#define NGX_MESH_AGENT_TRY     25
#define NGX_MESH_AGENT_RETRY   1000
#define NGX_MESH_AGENT_LATER   8000

/* ms in which workers tell what they have in flight */
#define NGX_MESH_AGENT_ASK     100


typedef struct {
    ngx_mesh_lease_t           lease;
    ngx_event_t                beat;
    ngx_event_t                work;
    ngx_connection_t           dummy;
    ngx_mesh_core_conf_t      *conf;
    ngx_uint_t                 beats;
    ngx_msec_t                 retry;
    ngx_atomic_uint_t          path;         /* as the region has it */
    unsigned                   started:1;
    unsigned                   exiting:1;
    unsigned                   leaving:1;    /* takes no lease any more */
} ngx_mesh_agent_t;


static void ngx_mesh_agent_title(void);
static ngx_uint_t ngx_mesh_agent_managers(void);
static void ngx_mesh_agent_event(ngx_event_t *ev,
    ngx_event_handler_pt handler);
static void ngx_mesh_agent_beat_handler(ngx_event_t *ev);
static void ngx_mesh_agent_show(ngx_mesh_pulse_t *pulse);
static void ngx_mesh_agent_work_handler(ngx_event_t *ev);
static void ngx_mesh_agent_woken(void);
static ngx_uint_t ngx_mesh_agent_writes(void);
static ngx_msec_t ngx_mesh_agent_lease(void);
static void ngx_mesh_agent_lose(ngx_uint_t state);
static void ngx_mesh_agent_exit(void);
static void ngx_mesh_agent_wait(void);
static void ngx_mesh_agent_ask_handler(ngx_event_t *ev);


static ngx_mesh_agent_t  ngx_mesh_agent;


/* called by the helper, at once; its loop does the rest */

ngx_msec_t
ngx_mesh_agent_manager(void *data)
{
    ngx_mesh_core_conf_t *ccf = data;

    if (!ngx_mesh_agent.started) {
        ngx_mesh_agent_title();
        ngx_mesh_agent_start(ccf);

        /* the helper exits without a call to modules */

        if (atexit(ngx_mesh_agent_exit) != 0) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "mesh agent: atexit() failed");
        }
    }

    return 60 * 60 * 1000;
}


static void
ngx_mesh_agent_title(void)
{
    ngx_setproctitle(ngx_mesh_agent_managers() > 1
                     ? "cache manager process, mesh agent process"
                     : "mesh agent process");
}


static ngx_uint_t
ngx_mesh_agent_managers(void)
{
    ngx_uint_t    i, n;
    ngx_path_t  **path;

    path = ngx_cycle->paths.elts;

    for (i = 0, n = 0; i < ngx_cycle->paths.nelts; i++) {
        n += (path[i]->manager != NULL);
    }

    return n;
}


void
ngx_mesh_agent_start(ngx_mesh_core_conf_t *ccf)
{
    ngx_mesh_zone_t             *zone;
    ngx_mesh_agent_t            *agent;
    ngx_mesh_registry_region_t  *region;

    agent = &ngx_mesh_agent;
    zone = ccf->zone->data;
    region = zone->agent;

    agent->started = 1;
    agent->conf = ccf;
    agent->path = ngx_crc32_long(ccf->agent_path->name.data,
                                 ccf->agent_path->name.len);
    agent->lease.dir = -1;
    agent->lease.fd = -1;
    agent->lease.next = -1;

    ngx_mesh_registry_conf = ccf;
    ngx_mesh_registry_region = region;

    if (ngx_process == NGX_PROCESS_HELPER
        && (ngx_mesh_live_open(zone->store, zone->store_size, zone->shpool)
            != NGX_OK
            || ngx_mesh_metrics_init_process(zone->region, zone->shpool)
               != NGX_OK))
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh agent: the zone cannot be used");
        return;
    }

    agent->dummy.fd = (ngx_socket_t) -1;
    ngx_mesh_agent_event(&agent->beat, ngx_mesh_agent_beat_handler);
    ngx_mesh_agent_event(&agent->work, ngx_mesh_agent_work_handler);

    region->leaving = 0;
    ngx_mesh_agent_show(&region->agent);

    if (ngx_mesh_registry_listen(1, ngx_mesh_agent_woken) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh agent: it cannot be woken");
    }

    ngx_add_timer(&agent->beat, NGX_MESH_AGENT_BEAT);
    ngx_mesh_agent_work_handler(&agent->work);
}


static void
ngx_mesh_agent_event(ngx_event_t *ev, ngx_event_handler_pt handler)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->log = ngx_cycle->log;
    ev->data = &ngx_mesh_agent.dummy;
    ev->cancelable = 1;
}


static void
ngx_mesh_agent_beat_handler(ngx_event_t *ev)
{
    ngx_mesh_agent_t            *agent;
    ngx_mesh_registry_region_t  *region;

    agent = &ngx_mesh_agent;
    region = ngx_mesh_registry_region;

    /* nginx may leave its helper behind: a rollback that is given up */

    if (ngx_process == NGX_PROCESS_HELPER && !agent->exiting
        && getppid() != ngx_parent)
    {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh agent: the master is gone, exiting");
        exit(0);
    }

    if (region->agent.pid == (ngx_atomic_uint_t) ngx_pid) {
        ngx_mesh_agent_pulse(&region->agent);
    }

    if (region->holder.pid == (ngx_atomic_uint_t) ngx_pid) {
        ngx_mesh_agent_pulse(&region->holder);
    }

    /* once a second what nothing else would tell */

    if (++agent->beats % (1000 / NGX_MESH_AGENT_BEAT) == 0) {

        if (agent->lease.held
            && ngx_mesh_lease_check(&agent->lease) != NGX_OK)
        {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "mesh agent: the lease in \"%V\" is gone",
                          &agent->conf->agent_path->name);
            ngx_mesh_agent_lose(NGX_MESH_LEASE_NONE);
        }

        ngx_mesh_lease_raise(&agent->lease, 0);
        ngx_mesh_registry_tasks(agent->lease.dir, 1);
        ngx_mesh_agent_woken();
        ngx_mesh_agent_trim();

        if (ngx_mesh_agent_writes()) {
            ngx_mesh_agent_learned_write(&agent->lease, 0);
        }
    }

    if (agent->beats == NGX_MESH_AGENT_HEALTHY) {
        region->kills = 0;
    }

    ngx_add_timer(ev, NGX_MESH_AGENT_BEAT);
}


/* this process is who the pulse is of */

static void
ngx_mesh_agent_show(ngx_mesh_pulse_t *pulse)
{
    ngx_uint_t  kills;

    kills = ngx_mesh_registry_region->kills;
    kills -= ngx_min(kills, NGX_MESH_AGENT_KILLS);

    pulse->pid = 0;
    pulse->slot = ngx_process_slot;
    pulse->patience = 0;
    pulse->limit = (ngx_mesh_agent_managers() > 1 ? NGX_MESH_AGENT_SHARED
                                                  : NGX_MESH_AGENT_MISSED)
                   << ngx_min(kills, NGX_MESH_AGENT_DOUBLED);
    ngx_mesh_agent_pulse(pulse);

    ngx_memory_barrier();
    pulse->pid = ngx_pid;
}


static void
ngx_mesh_agent_woken(void)
{
    ngx_mesh_agent_t  *agent;

    agent = &ngx_mesh_agent;

    if (!agent->started) {
        return;
    }

    /* after an error it waits for its time */

    if (agent->lease.held && ngx_mesh_registry_region->error
        && agent->work.timer_set)
    {
        ngx_mesh_registry_tasks(agent->lease.dir, 0);
        return;
    }

    ngx_mesh_agent_work_handler(&agent->work);
}


static void
ngx_mesh_agent_work_handler(ngx_event_t *ev)
{
    ngx_msec_t                   next;
    ngx_mesh_agent_t            *agent;
    ngx_mesh_registry_region_t  *region;

    agent = &ngx_mesh_agent;
    region = ngx_mesh_registry_region;
    next = 0;

    if (!agent->lease.held) {
        next = ngx_mesh_agent_lease();
    }

    ngx_mesh_registry_tasks(agent->lease.dir, 0);

    if (ngx_mesh_agent_writes()) {
        ngx_mesh_agent_journal_write(&agent->lease);

        if (region->error) {
            next = agent->retry ? agent->retry : NGX_MESH_AGENT_RETRY;
            agent->retry = ngx_min(2 * next, NGX_MESH_AGENT_LATER);

        } else {
            agent->retry = 0;
        }

        ngx_mesh_discovery_start(agent->conf);
        ngx_mesh_discovery_woken();

    } else {
        ngx_mesh_discovery_stop();
    }

    if (next && !ev->timer_set) {
        ngx_add_timer(ev, next);
    }
}


/* another zone, or another directory, has another agent */

static ngx_uint_t
ngx_mesh_agent_writes(void)
{
    return ngx_mesh_agent.lease.held
           && !ngx_mesh_registry_region->frozen
           && ngx_mesh_registry_region->path == ngx_mesh_agent.path;
}


ngx_int_t
ngx_mesh_agent_leads(void)
{
    /* without agents nobody could be in the way */

    if (ngx_mesh_registry_conf->agent_path == NULL) {
        return NGX_OK;
    }

    return ngx_mesh_agent_writes()
           && ngx_mesh_registry_region->holder.pid
              == (ngx_atomic_uint_t) ngx_pid
           ? ngx_mesh_lease_check(&ngx_mesh_agent.lease) : NGX_DECLINED;
}


/* ms until the next try; 0: it is held */

static ngx_msec_t
ngx_mesh_agent_lease(void)
{
    ngx_err_t                    err;
    ngx_int_t                    rc;
    ngx_mesh_agent_t            *agent;
    ngx_mesh_registry_region_t  *region;

    agent = &ngx_mesh_agent;
    region = ngx_mesh_registry_region;

    if (agent->leaving) {
        return 0;
    }

    rc = ngx_mesh_lease_take(&agent->lease, region->fence, &err);

    if (rc == NGX_ERROR) {
        region->lease = NGX_MESH_LEASE_FAILED;
        ngx_mesh_agent_journal_state(err, "used");
        return NGX_MESH_AGENT_RETRY;
    }

    if (rc == NGX_AGAIN) {
        if (agent->lease.other) {
            region->lease = NGX_MESH_LEASE_OTHER;
        }

        return NGX_MESH_AGENT_TRY;
    }

    ngx_mesh_agent_show(&region->holder);
    region->fence = agent->lease.fence;

    ngx_mesh_agent_learned_adopt(&agent->lease);
    ngx_mesh_agent_journal_adopt(&agent->lease);
    ngx_mesh_registry_job_tidy(agent->lease.dir);

    /* only now may the table be changed: an import would take it back */

    (void) ngx_atomic_fetch_add(&region->takeovers, 1);
    region->lease = NGX_MESH_LEASE_HELD;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "mesh agent: has the lease, fence %uL", agent->lease.fence);

    /* workers may wait for it */

    ngx_mesh_registry_wake_workers();

    return 0;
}


static void
ngx_mesh_agent_lose(ngx_uint_t state)
{
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    ngx_mesh_discovery_stop();

    if (region->holder.pid == (ngx_atomic_uint_t) ngx_pid) {
        region->holder.pid = 0;
        region->lease = state;
    }

    ngx_mesh_lease_close(&ngx_mesh_agent.lease);
}


/* master_process off: at the end, and before another configuration */

void
ngx_mesh_agent_stop(void)
{
    ngx_mesh_agent_t  *agent;

    agent = &ngx_mesh_agent;

    if (!agent->started || ngx_process != NGX_PROCESS_SINGLE) {
        return;
    }

    if (ngx_mesh_agent_writes()) {
        ngx_mesh_agent_journal_write(&agent->lease);
        ngx_mesh_agent_learned_write(&agent->lease, 1);
    }

    ngx_mesh_agent_lose(NGX_MESH_LEASE_NONE);

    if (agent->beat.timer_set) {
        ngx_del_timer(&agent->beat);
    }

    if (agent->work.timer_set) {
        ngx_del_timer(&agent->work);
    }

    ngx_mesh_registry_region->agent.pid = 0;
    agent->started = 0;
}


/*
 * After a shutdown of the workers there may still be changes that nobody
 * wrote, and later whoever has to be told that this instance is gone; when
 * somebody else waits for the lease, that is for him to do.
 */

static void
ngx_mesh_agent_exit(void)
{
    ngx_mesh_agent_t            *agent;
    ngx_mesh_registry_region_t  *region;

    agent = &ngx_mesh_agent;
    region = ngx_mesh_registry_region;

    if (ngx_process != NGX_PROCESS_HELPER || agent->exiting) {
        return;
    }

    agent->exiting = 1;

    if (ngx_mesh_agent_writes() && !ngx_mesh_lease_wanted(&agent->lease)
        && !ngx_terminate && getppid() == ngx_parent)
    {
        ngx_mesh_agent_wait();
    }

    agent->leaving = 1;

    if (ngx_mesh_agent_writes()) {
        ngx_mesh_agent_journal_write(&agent->lease);
        ngx_mesh_agent_learned_write(&agent->lease, 1);
    }

    ngx_mesh_agent_lose(NGX_MESH_LEASE_NONE);

    if (region->agent.pid == (ngx_atomic_uint_t) ngx_pid) {
        region->agent.pid = 0;
    }

    ngx_mesh_metrics_exit_process();
}


static void
ngx_mesh_agent_wait(void)
{
    ngx_msec_t                   begun, limit;
    ngx_event_t                  ask;
    ngx_core_conf_t             *ccf;
    ngx_mesh_agent_t            *agent;
    ngx_mesh_registry_region_t  *region;

    agent = &ngx_mesh_agent;
    region = ngx_mesh_registry_region;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    ngx_time_update();
    begun = ngx_current_msec;
    limit = ccf->shutdown_timeout;

    region->leaving = 1;

    ngx_mesh_agent_event(&ask, ngx_mesh_agent_ask_handler);

    for ( ;; ) {
        ngx_mesh_registry_wake_workers();

        ngx_add_timer(&ask, NGX_MESH_AGENT_ASK);

        while (ask.timer_set) {
            ngx_process_events_and_timers((ngx_cycle_t *) ngx_cycle);
        }

        if (ngx_terminate
            || getppid() != ngx_parent
            || !ngx_mesh_agent_writes()
            || region->unwanted
            || region->agent.pid != (ngx_atomic_uint_t) ngx_pid
            || ngx_mesh_lease_wanted(&agent->lease)
            || ngx_mesh_metrics_total(NGX_MESH_G_REQUESTS) <= 0
            || (limit && ngx_current_msec - begun >= limit))
        {
            break;
        }
    }
}


static void
ngx_mesh_agent_ask_handler(ngx_event_t *ev)
{
    /* void: it only ends a turn */
}
