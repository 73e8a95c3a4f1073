
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"


/*
 * Jobs go through a few slots of the zone: what finds none free waits in its
 * worker.  A slot belongs to whoever made its state what it is; what died
 * with a job is found by its pid.
 */


/* ms until some agent has to have taken a job */
#define NGX_MESH_JOB_WAIT  20000

#define NGX_MESH_JOB_NAME  sizeof("job.0123456789abcdef")


static ngx_int_t ngx_mesh_registry_job_send(ngx_mesh_registry_job_t *job);
static void ngx_mesh_registry_job_end(ngx_mesh_registry_job_t *job,
    ngx_mesh_mail_t *mail);
static ngx_uint_t ngx_mesh_registry_dead(ngx_atomic_uint_t pid);
static void ngx_mesh_registry_tidy_mail(ngx_mesh_mail_t *mail);
static void ngx_mesh_registry_task(ngx_mesh_mail_t *mail, int dir);
static void ngx_mesh_registry_job_name(u_char *name, uint64_t id);


static ngx_queue_t               ngx_mesh_registry_waiting;
static ngx_queue_t               ngx_mesh_registry_sent;
static ngx_uint_t                ngx_mesh_registry_queued;

static ngx_mesh_registry_job_pt  ngx_mesh_registry_job_handlers[
                                                    NGX_MESH_JOB_TYPES];


ngx_int_t
ngx_mesh_registry_job(ngx_mesh_registry_job_t *job)
{
    if (ngx_mesh_registry_region == NULL
        || ngx_mesh_registry_conf->agent_path == NULL
        || job->args.len + job->file.len > NGX_MESH_JOB_ARGS)
    {
        return NGX_DECLINED;
    }

    if (!ngx_mesh_registry_queued) {
        ngx_queue_init(&ngx_mesh_registry_waiting);
        ngx_queue_init(&ngx_mesh_registry_sent);
        ngx_mesh_registry_queued = 1;
    }

    job->started = ngx_current_msec;
    job->slot = NGX_MESH_REGISTRY_JOBS;

    if (ngx_queue_empty(&ngx_mesh_registry_waiting)
        && ngx_mesh_registry_job_send(job) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_queue_insert_tail(&ngx_mesh_registry_waiting, &job->queue);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_registry_job_send(ngx_mesh_registry_job_t *job)
{
    u_char           *p;
    ngx_uint_t        i;
    ngx_mesh_mail_t  *mail;

    for (i = 0; i < NGX_MESH_REGISTRY_JOBS; i++) {
        mail = &ngx_mesh_registry_region->mail[i];

        if (mail->state == NGX_MESH_JOB_FREE
            && ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_FREE,
                                  NGX_MESH_JOB_FILLING + ngx_pid))
        {
            break;
        }
    }

    if (i == NGX_MESH_REGISTRY_JOBS) {
        return NGX_AGAIN;
    }

    mail->pid = ngx_pid;
    mail->agent = 0;
    mail->id = (uint64_t) ngx_pid << 32
               | (uint32_t) ngx_atomic_fetch_add(
                                         &ngx_mesh_registry_region->ids, 1);
    mail->type = (uint32_t) job->type;
    mail->status = NGX_MESH_JOB_LOST;
    mail->args = (uint16_t) job->args.len;
    mail->file = (uint16_t) job->file.len;
    mail->result = 0;
    mail->output = 0;

    p = mail->data;

    if (job->args.len) {
        p = ngx_cpymem(p, job->args.data, job->args.len);
    }

    if (job->file.len) {
        ngx_memcpy(p, job->file.data, job->file.len);
    }

    job->slot = i;
    job->id = mail->id;

    ngx_queue_insert_tail(&ngx_mesh_registry_sent, &job->queue);

    ngx_memory_barrier();
    mail->state = NGX_MESH_JOB_READY;

    ngx_mesh_registry_wake_agent();

    return NGX_OK;
}


void
ngx_mesh_registry_job_cancel(ngx_mesh_registry_job_t *job)
{
    ngx_mesh_mail_t  *mail;

    ngx_queue_remove(&job->queue);

    if (job->slot == NGX_MESH_REGISTRY_JOBS) {
        return;
    }

    /* what is not begun yet is not needed; the rest is for the agent to free:
       pid 0 is that of nobody */

    mail = &ngx_mesh_registry_region->mail[job->slot];

    mail->pid = 0;
    ngx_memory_barrier();

    (void) ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_READY,
                              NGX_MESH_JOB_USED);
    (void) ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_DONE,
                              NGX_MESH_JOB_USED);

    ngx_mesh_registry_wake_agent();
}


/* looks for what is done, and sends what could not be sent */

void
ngx_mesh_registry_jobs(void)
{
    ngx_msec_t                waited;
    ngx_queue_t              *q, done;
    ngx_mesh_mail_t          *mail;
    ngx_mesh_registry_job_t  *job;

    if (!ngx_mesh_registry_queued) {
        return;
    }

    /* handlers may begin and cancel jobs, so those done are set apart */

    ngx_queue_init(&done);

    for (q = ngx_queue_head(&ngx_mesh_registry_sent);
         q != ngx_queue_sentinel(&ngx_mesh_registry_sent);
         /* void */ )
    {
        job = ngx_queue_data(q, ngx_mesh_registry_job_t, queue);
        q = ngx_queue_next(q);

        mail = &ngx_mesh_registry_region->mail[job->slot];
        waited = ngx_current_msec - job->started;

        if (mail->state == NGX_MESH_JOB_DONE
            || (waited > NGX_MESH_JOB_WAIT
                && ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_READY,
                                      NGX_MESH_JOB_DONE)))
        {
            ngx_queue_remove(&job->queue);
            ngx_queue_insert_tail(&done, &job->queue);
        }
    }

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        job = ngx_queue_data(q, ngx_mesh_registry_job_t, queue);
        mail = &ngx_mesh_registry_region->mail[job->slot];

        ngx_queue_remove(q);
        ngx_mesh_registry_job_end(job, mail);
    }

    while (!ngx_queue_empty(&ngx_mesh_registry_waiting)) {
        q = ngx_queue_head(&ngx_mesh_registry_waiting);
        job = ngx_queue_data(q, ngx_mesh_registry_job_t, queue);

        ngx_queue_remove(q);

        if (ngx_mesh_registry_job_send(job) == NGX_OK) {
            continue;
        }

        if (ngx_current_msec - job->started > NGX_MESH_JOB_WAIT) {
            ngx_mesh_registry_job_end(job, NULL);
            continue;
        }

        ngx_queue_insert_head(&ngx_mesh_registry_waiting, q);
        break;
    }
}


static void
ngx_mesh_registry_job_end(ngx_mesh_registry_job_t *job, ngx_mesh_mail_t *mail)
{
    u_char  name[NGX_MESH_JOB_NAME];
    u_char  path[NGX_MAX_PATH], result[NGX_MESH_JOB_RESULT];

    ngx_str_null(&job->result);
    ngx_str_null(&job->output);
    job->status = NGX_MESH_JOB_EXPIRED;

    if (mail) {
        if (mail->agent) {
            job->status = mail->status;
        }

        job->result.len = ngx_min(mail->result, NGX_MESH_JOB_RESULT);
        job->result.data = result;
        ngx_memcpy(result, mail->data, job->result.len);

        if (mail->output && job->status != NGX_MESH_JOB_LOST) {
            ngx_mesh_registry_job_name(name, job->id);

            job->output.data = path;
            job->output.len = ngx_snprintf(path, NGX_MAX_PATH - 1, "%V/%s",
                                    &ngx_mesh_registry_conf->agent_path->name,
                                    name)
                              - path;
            path[job->output.len] = '\0';
        }
    }

    /* the handler may free the job */

    job->handler(job);

    if (mail) {
        ngx_memory_barrier();
        mail->state = NGX_MESH_JOB_USED;
        ngx_mesh_registry_wake_agent();
    }
}


static ngx_uint_t
ngx_mesh_registry_dead(ngx_atomic_uint_t pid)
{
    return pid == 0
           || (kill((ngx_pid_t) pid, 0) == -1 && ngx_errno == NGX_ESRCH);
}


void
ngx_mesh_registry_job_handler(ngx_uint_t type, ngx_mesh_registry_job_pt handler)
{
    ngx_mesh_registry_job_handlers[type] = handler;
}


void
ngx_mesh_registry_tasks(int dir, ngx_uint_t tidy)
{
    u_char            name[NGX_MESH_JOB_NAME];
    ngx_uint_t        i, woken;
    ngx_mesh_mail_t  *mail;

    woken = 0;

    for (i = 0; i < NGX_MESH_REGISTRY_JOBS; i++) {
        mail = &ngx_mesh_registry_region->mail[i];

        if (mail->state == NGX_MESH_JOB_FREE) {
            continue;
        }

        if (tidy) {
            ngx_mesh_registry_tidy_mail(mail);
        }

        /* without a directory it still answers */

        if (ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_READY,
                               NGX_MESH_JOB_RUNNING | ngx_pid))
        {
            mail->agent = ngx_pid;
            ngx_mesh_registry_task(mail, dir);

            ngx_memory_barrier();
            mail->state = NGX_MESH_JOB_DONE;
            woken = 1;
        }

        /* during a reload there are two agents */

        if (ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_USED,
                               NGX_MESH_JOB_FILLING + ngx_pid))
        {
            if (mail->output && dir != -1) {
                ngx_mesh_registry_job_name(name, mail->id);
                (void) unlinkat(dir, (char *) name, 0);
            }

            mail->output = 0;

            ngx_memory_barrier();
            mail->state = NGX_MESH_JOB_FREE;
            woken = 1;
        }
    }

    if (woken) {
        ngx_mesh_registry_wake_workers();
    }
}


/* what died, worker or agent, leaves its half of a job to the other */

static void
ngx_mesh_registry_tidy_mail(ngx_mesh_mail_t *mail)
{
    ngx_atomic_uint_t  state, agent;

    state = mail->state;

    if (state & NGX_MESH_JOB_RUNNING) {
        agent = state & ~NGX_MESH_JOB_RUNNING;

        if (agent != (ngx_atomic_uint_t) ngx_pid
            && ngx_mesh_registry_dead(agent)
            && ngx_atomic_cmp_set(&mail->state, state,
                                  NGX_MESH_JOB_RUNNING | ngx_pid))
        {
            mail->status = NGX_MESH_JOB_LOST;
            mail->result = 0;
            mail->output = 1;
            mail->agent = ngx_pid;

            ngx_memory_barrier();
            mail->state = NGX_MESH_JOB_DONE;

            ngx_mesh_registry_wake_workers();
        }

        return;
    }

    if (state > NGX_MESH_JOB_FILLING) {

        if (ngx_mesh_registry_dead(state - NGX_MESH_JOB_FILLING)) {
            (void) ngx_atomic_cmp_set(&mail->state, state, NGX_MESH_JOB_USED);
        }

        return;
    }

    if (!ngx_mesh_registry_dead(mail->pid)) {
        return;
    }

    (void) ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_READY,
                              NGX_MESH_JOB_USED);
    (void) ngx_atomic_cmp_set(&mail->state, NGX_MESH_JOB_DONE,
                              NGX_MESH_JOB_USED);
}


static void
ngx_mesh_registry_task(ngx_mesh_mail_t *mail, int dir)
{
    u_char                     data[NGX_MESH_JOB_ARGS + 1];
    u_char                     result[NGX_MESH_JOB_RESULT];
    ngx_mesh_registry_task_t   task;
    ngx_mesh_registry_job_pt   handler;

    ngx_memzero(&task, sizeof(ngx_mesh_registry_task_t));

    if (mail->args + mail->file > NGX_MESH_JOB_ARGS) {
        return;
    }

    ngx_memcpy(data, mail->data, NGX_MESH_JOB_ARGS);

    task.type = mail->type;
    task.id = mail->id;
    task.dir = dir;
    task.args.data = data;
    task.args.len = mail->args;
    task.file.data = data + mail->args;
    task.file.len = mail->file;
    task.file.data[task.file.len] = '\0';
    task.result.data = result;
    task.status = NGX_MESH_JOB_UNKNOWN;

    handler = task.type < NGX_MESH_JOB_TYPES
              ? ngx_mesh_registry_job_handlers[task.type] : NULL;

    task.pool = handler ? ngx_create_pool(4096, ngx_cycle->log) : NULL;

    if (task.pool) {
        ngx_mesh_agent_busy();
        handler(&task);
        ngx_mesh_agent_idle();

        ngx_destroy_pool(task.pool);
    }

    mail->status = (uint32_t) task.status;
    mail->output = (uint8_t) task.output;
    mail->result = (uint16_t) ngx_min(task.result.len, NGX_MESH_JOB_RESULT);
    ngx_memcpy(mail->data, task.result.data, mail->result);
}


int
ngx_mesh_registry_job_output(ngx_mesh_registry_task_t *task, ngx_err_t *err)
{
    int     fd;
    u_char  name[NGX_MESH_JOB_NAME];

    ngx_mesh_registry_job_name(name, task->id);

    fd = -1;
    *err = NGX_ENOENT;

    if (task->dir != -1) {
        (void) unlinkat(task->dir, (char *) name, 0);

        fd = openat(task->dir, (char *) name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC,
                    0600);
        *err = ngx_errno;
    }

    if (fd != -1) {
        task->output = 1;
    }

    return fd;
}


/* results of workers that died together with their zone */

void
ngx_mesh_registry_job_tidy(int dir)
{
    int             fd;
    DIR            *d;
    uint64_t        id;
    struct dirent  *de;

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    d = (fd == -1) ? NULL : fdopendir(fd);

    if (d == NULL) {
        if (fd != -1) {
            (void) close(fd);
        }

        return;
    }

    while ((de = readdir(d)) != NULL) {

        if (ngx_strncmp(de->d_name, "job.", 4) != 0) {
            continue;
        }

        id = strtoull(de->d_name + 4, NULL, 16);

        if (ngx_mesh_registry_dead((ngx_atomic_uint_t) (id >> 32))) {
            (void) unlinkat(dir, de->d_name, 0);
        }
    }

    (void) closedir(d);
}


static void
ngx_mesh_registry_job_name(u_char *name, uint64_t id)
{
    (void) ngx_sprintf(name, "job.%016xL%Z", id);
}
