
/*
 * Copyright (C) nginx-mesh authors
 *
 * Jobs between a worker, which is this process, and agents, which are others
 * and may die; prints TAP.
 */


#include "unit.h"
#include "ngx_mesh_registry_int.h"
#include <sys/mman.h>
#include <sys/wait.h>


void pulse_tests(void);


#define MANY  100

#define TYPE_ECHO   1
#define TYPE_FILE   2
#define TYPE_DIE    3
#define TYPE_NONE   4


static ngx_mesh_core_conf_t  test_conf;
static ngx_path_t            test_path;
static char                  test_dir[] = "/tmp/nginx-mesh-job-XXXXXX";
static int                   test_fd;

static ngx_uint_t            test_done_n;
static ngx_uint_t            test_status;
static char                  test_result[2048];
static char                  test_output[2048];


static void
echo(ngx_mesh_registry_task_t *task)
{
    task->status = 200;
    task->result.len = task->args.len + task->file.len;
    ngx_memcpy(task->result.data, task->args.data, task->args.len);
    ngx_memcpy(task->result.data + task->args.len, task->file.data,
               task->file.len);
}


static void
file(ngx_mesh_registry_task_t *task)
{
    int        fd;
    ngx_err_t  err;

    fd = ngx_mesh_registry_job_output(task, &err);

    task->status = fd != -1 && write(fd, "a file", 6) == 6 ? 201 : 500;
    (void) close(fd);
}


static void
die(ngx_mesh_registry_task_t *task)
{
    file(task);
    (void) kill(getpid(), SIGKILL);
}


static void
finished(ngx_mesh_registry_job_t *job)
{
    int      fd;
    ssize_t  n;

    test_done_n++;
    test_status = job->status;

    ngx_memcpy(test_result, job->result.data, job->result.len);
    test_result[job->result.len] = '\0';
    test_output[0] = '\0';

    if (job->output.len) {
        fd = open((char *) job->output.data, O_RDONLY);
        n = read(fd, test_output, sizeof(test_output) - 1);
        test_output[n < 0 ? 0 : n] = '\0';
        (void) close(fd);
    }

    job->data = job;
}


static ngx_mesh_registry_job_t *
job_of(ngx_uint_t type, const char *args, const char *path)
{
    ngx_mesh_registry_job_t  *job;

    job = calloc(1, sizeof(ngx_mesh_registry_job_t));

    job->type = type;
    job->args = str(args);
    job->file = str(path);
    job->handler = finished;

    return job;
}


/* an agent, for one look at its mail */

static void
agent(ngx_uint_t tidy)
{
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        ngx_pid = getpid();
        ngx_mesh_registry_tasks(test_fd, tidy);
        _exit(0);
    }

    (void) waitpid(pid, NULL, 0);
}


static ngx_uint_t
free_slots(void)
{
    ngx_uint_t  i, n;

    for (i = 0, n = 0; i < NGX_MESH_REGISTRY_JOBS; i++) {
        n += (ngx_mesh_registry_region->mail[i].state == NGX_MESH_JOB_FREE);
    }

    return n;
}


static void
plain_tests(void)
{
    char                      big[NGX_MESH_JOB_ARGS + 1];
    ngx_mesh_registry_job_t  *job;

    job = job_of(TYPE_ECHO, "some ", "/a/path");
    ok(ngx_mesh_registry_job(job) == NGX_OK, "a job");

    ngx_mesh_registry_jobs();
    ok(test_done_n == 0, "... is not done without an agent");

    agent(0);
    ngx_mesh_registry_jobs();
    ok(test_done_n == 1 && test_status == 200
       && strcmp(test_result, "some /a/path") == 0, "... is with one");
    free(job);

    agent(0);
    ok(free_slots() == NGX_MESH_REGISTRY_JOBS, "... and its slot is free");

    job = job_of(TYPE_FILE, "", "");
    (void) ngx_mesh_registry_job(job);
    agent(0);
    ngx_mesh_registry_jobs();
    ok(test_status == 201 && strcmp(test_output, "a file") == 0,
       "a result in a file");
    free(job);
    agent(0);

    job = job_of(TYPE_NONE, "", "");
    (void) ngx_mesh_registry_job(job);
    agent(0);
    ngx_mesh_registry_jobs();
    ok(test_status == NGX_MESH_JOB_UNKNOWN, "a type that nobody knows");
    free(job);
    agent(0);

    ngx_memset(big, 'x', NGX_MESH_JOB_ARGS);
    big[NGX_MESH_JOB_ARGS] = '\0';

    job = job_of(TYPE_NONE, big, "y");
    ok(ngx_mesh_registry_job(job) == NGX_DECLINED, "too many arguments");
    free(job);

    test_conf.agent_path = NULL;
    job = job_of(TYPE_ECHO, "", "");
    ok(ngx_mesh_registry_job(job) == NGX_DECLINED, "no agent");
    free(job);
    test_conf.agent_path = &test_path;
}


static void
many_tests(void)
{
    ngx_uint_t                i, rounds;
    ngx_mesh_registry_job_t  *jobs[MANY];

    test_done_n = 0;

    for (i = 0; i < MANY; i++) {
        jobs[i] = job_of(TYPE_ECHO, "x", "");
        (void) ngx_mesh_registry_job(jobs[i]);
    }

    for (rounds = 0; rounds < MANY && test_done_n < MANY; rounds++) {
        agent(0);
        ngx_mesh_registry_jobs();
    }

    ok(test_done_n == MANY, "more jobs than there are slots");

    for (i = 0; i < MANY; i++) {
        free(jobs[i]);
    }

    /* those that wait, that are sent and that are done are taken back */

    test_done_n = 0;

    for (i = 0; i < MANY; i++) {
        jobs[i] = job_of(TYPE_FILE, "x", "");
        (void) ngx_mesh_registry_job(jobs[i]);
    }

    for (i = 0; i < MANY; i += 2) {
        ngx_mesh_registry_job_cancel(jobs[i]);
        free(jobs[i]);
    }

    agent(0);
    ngx_mesh_registry_job_cancel(jobs[1]);
    free(jobs[1]);

    for (rounds = 0; rounds < MANY && test_done_n < MANY / 2 - 1; rounds++) {
        ngx_mesh_registry_jobs();
        agent(0);
    }

    ok(test_done_n == MANY / 2 - 1, "half of them cancelled");

    for (i = 3; i < MANY; i += 2) {
        free(jobs[i]);
    }

    agent(1);
    ok(free_slots() == NGX_MESH_REGISTRY_JOBS, "all slots are free");
}


static void
death_tests(void)
{
    pid_t                     pid;
    ngx_uint_t                i;
    ngx_mesh_registry_job_t  *job;

    job = job_of(TYPE_DIE, "", "");
    (void) ngx_mesh_registry_job(job);
    test_done_n = 0;

    agent(0);
    ngx_mesh_registry_jobs();
    ok(test_done_n == 0, "an agent dies with a job");

    agent(1);
    ngx_mesh_registry_jobs();
    ok(test_done_n == 1 && test_status == NGX_MESH_JOB_LOST,
       "... the next one says so");
    free(job);

    agent(0);
    ok(free_slots() == NGX_MESH_REGISTRY_JOBS, "... its slot is free");

    /* a worker dies with jobs in all states */

    for (i = 0; i < 3; i++) {
        pid = fork();

        if (pid == 0) {
            ngx_pid = getpid();
            (void) ngx_mesh_registry_job(job_of(TYPE_FILE, "", ""));

            if (i == 2) {
                ngx_mesh_registry_region->mail[0].state =
                                              NGX_MESH_JOB_FILLING + ngx_pid;
            }

            (void) kill(getpid(), SIGKILL);
        }

        if (i == 1) {
            usleep(50000);
            agent(0);
        }

        (void) waitpid(pid, NULL, 0);
        agent(1);
        agent(1);
        ok(free_slots() == NGX_MESH_REGISTRY_JOBS, "a worker dies: %lu",
           (unsigned long) i);
    }

    job = job_of(TYPE_ECHO, "", "");
    (void) ngx_mesh_registry_job(job);
    test_done_n = 0;
    ngx_current_msec += 30000;
    ngx_mesh_registry_jobs();
    ok(test_done_n == 1 && test_status == NGX_MESH_JOB_EXPIRED,
       "no agent for too long");
    free(job);

    agent(0);
    ok(free_slots() == NGX_MESH_REGISTRY_JOBS, "... its slot is free");
}


int
main(int argc, char **argv)
{
    ngx_pid = getpid();

    if (mkdtemp(test_dir) == NULL) {
        return 1;
    }

    test_fd = open(test_dir, O_RDONLY|O_DIRECTORY);

    test_path.name = str(test_dir);
    test_conf.agent_path = &test_path;
    ngx_mesh_registry_conf = &test_conf;

    ngx_mesh_registry_region = mmap(NULL, sizeof(ngx_mesh_registry_region_t),
                                    PROT_READ|PROT_WRITE,
                                    MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    ngx_mesh_registry_job_handler(TYPE_ECHO, echo);
    ngx_mesh_registry_job_handler(TYPE_FILE, file);
    ngx_mesh_registry_job_handler(TYPE_DIE, die);

    plain_tests();
    many_tests();
    death_tests();
    pulse_tests();

    (void) close(openat(test_fd, "job.7fffffff00000001", O_WRONLY|O_CREAT,
                        0600));
    ngx_mesh_registry_job_tidy(test_fd);

    ok(rmdir(test_dir) == 0, "no file is left");
    ok(stub_pools == 0, "no pool is left");

    return test_done();
}
