
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"


/*
 * A worker looks whether the agent still shows signs of life.  It counts its
 * own turns, not time: a machine that stood still stood still for both.
 */


/* ms that a worker which leaves waits for a sign of life, and between looks */
#define NGX_MESH_REGISTRY_LEAVE  6000
#define NGX_MESH_REGISTRY_STEP   10

/* times the beats that may be missed where it runs, or would if it could */
#define NGX_MESH_REGISTRY_RUNS   10


typedef struct {
    ngx_atomic_uint_t          pid;
    ngx_atomic_uint_t          beats;
    ngx_uint_t                 missed;
} ngx_mesh_registry_seen_t;


static void ngx_mesh_registry_look_both(ngx_uint_t runs);
static void ngx_mesh_registry_look(ngx_mesh_pulse_t *pulse,
    ngx_mesh_registry_seen_t *seen, ngx_uint_t runs);
static ngx_uint_t ngx_mesh_registry_runs(ngx_atomic_uint_t pid);
static void ngx_mesh_registry_kill(ngx_mesh_pulse_t *pulse,
    ngx_atomic_uint_t pid);


static ngx_mesh_registry_seen_t  ngx_mesh_registry_seen[2];


void
ngx_mesh_registry_watch(void)
{
    if (ngx_process != NGX_PROCESS_WORKER) {
        return;
    }

    ngx_mesh_registry_look_both(NGX_MESH_REGISTRY_RUNS);
}


/* who has the lease may be one that another has followed by now */

static void
ngx_mesh_registry_look_both(ngx_uint_t runs)
{
    ngx_mesh_registry_look(&ngx_mesh_registry_region->agent,
                           &ngx_mesh_registry_seen[0], runs);
    ngx_mesh_registry_look(&ngx_mesh_registry_region->holder,
                           &ngx_mesh_registry_seen[1], runs);
}


static void
ngx_mesh_registry_look(ngx_mesh_pulse_t *pulse, ngx_mesh_registry_seen_t *seen,
    ngx_uint_t runs)
{
    ngx_atomic_uint_t  pid, beats, patience;

    pid = pulse->pid;
    beats = pulse->beats;
    patience = pulse->patience;

    if (pid == 0 || pid != seen->pid || beats != seen->beats) {
        seen->pid = pid;
        seen->beats = beats;
        seen->missed = 0;
        return;
    }

    if (patience && (ngx_msec_int_t) (patience - ngx_current_msec) > 0) {
        seen->missed = 0;
        return;
    }

    if (++seen->missed < pulse->limit) {
        return;
    }

    if (seen->missed < pulse->limit * runs
        && ngx_mesh_registry_runs(pid))
    {
        return;
    }

    seen->missed = 0;

    if (pulse->pid == pid) {
        ngx_mesh_registry_kill(pulse, pid);
    }
}


/* who waits for a processor is not stuck, though a loop without end looks so */

static ngx_uint_t
ngx_mesh_registry_runs(ngx_atomic_uint_t pid)
{
#if (NGX_LINUX)
    u_char    name[sizeof("/proc//stat") + NGX_ATOMIC_T_LEN], buf[512], *p;
    ssize_t   n;
    ngx_fd_t  fd;

    ngx_sprintf(name, "/proc/%uA/stat%Z", pid);

    fd = ngx_open_file(name, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return 0;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));
    ngx_close_file(fd);

    /* "PID (NAME) STATE ...", and a name may have anything in it */

    for (p = buf + ngx_max(n, 0); p > buf; p--) {
        if (p[-1] == ')') {
            return buf + n - p >= 2 && p[1] == 'R';
        }
    }
#endif

    return 0;
}


/*
 * A worker that leaves is the last one, perhaps, who could see that an agent
 * hangs: after WINCH it would have the lease for ever.  So it leaves only when
 * that has shown a sign of life, or has been killed.
 */

void
ngx_mesh_registry_leave(void)
{
    ngx_uint_t          i;
    ngx_mesh_pulse_t   *pulse;
    ngx_atomic_uint_t   pid, beats;

    if (ngx_process != NGX_PROCESS_WORKER || !ngx_exiting
        || ngx_mesh_registry_region == NULL)
    {
        return;
    }

    pulse = &ngx_mesh_registry_region->holder;

    pid = pulse->pid;
    beats = pulse->beats;

    for (i = 1; i <= NGX_MESH_REGISTRY_LEAVE / NGX_MESH_REGISTRY_STEP; i++) {

        if (pid == 0 || pulse->pid != pid || pulse->beats != beats
            || kill((ngx_pid_t) pid, 0) == -1)
        {
            break;
        }

        ngx_msleep(NGX_MESH_REGISTRY_STEP);

        if (i % (NGX_MESH_AGENT_BEAT / NGX_MESH_REGISTRY_STEP) == 0) {
            ngx_time_update();

            /* a loop without end would outlast the wait */

            ngx_mesh_registry_look_both(1);
        }
    }
}


/* who has the table's lock, and is stopped, would keep all of us waiting */

void
ngx_mesh_registry_held(ngx_pid_t owner)
{
    ngx_mesh_pulse_t  *pulse;

    if (ngx_mesh_registry_region == NULL || owner == ngx_pid) {
        return;
    }

    pulse = &ngx_mesh_registry_region->agent;

    if (pulse->pid != (ngx_atomic_uint_t) owner) {
        pulse = &ngx_mesh_registry_region->holder;
    }

    if (pulse->pid == (ngx_atomic_uint_t) owner) {
        ngx_mesh_registry_kill(pulse, pulse->pid);
    }
}


/* nobody but a child of our master, which starts another one */

static void
ngx_mesh_registry_kill(ngx_mesh_pulse_t *pulse, ngx_atomic_uint_t pid)
{
    ngx_int_t                    slot;
    ngx_atomic_uint_t            killed;
    ngx_mesh_registry_region_t  *region;

    region = ngx_mesh_registry_region;

    slot = (ngx_int_t) pulse->slot;

    if (slot < 0 || slot >= NGX_MAX_PROCESSES
        || ngx_processes[slot].pid != (ngx_pid_t) pid
        || kill((ngx_pid_t) pid, 0) == -1)
    {
        return;
    }

    if (kill((ngx_pid_t) pid, SIGKILL) == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "kill(%P, SIGKILL) failed", (ngx_pid_t) pid);
        return;
    }

    /* one that waits for a disk dies later, and is killed by others too */

    killed = region->killed;

    if (killed == pid || !ngx_atomic_cmp_set(&region->killed, killed, pid)) {
        return;
    }

    (void) ngx_atomic_fetch_add(&region->kills, 1);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "mesh agent process %P does not respond, it is killed",
                  (ngx_pid_t) pid);
}
