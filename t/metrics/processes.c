
/*
 * Copyright (C) nginx-mesh authors
 *
 * Processes that count at the same time, and that are killed.
 */


#include "test.h"


#define WORKERS  4
#define KILLS    200          /* at least */
#define GROWN    (KILLS / 4)  /* so many of the killed must have made series */
#define TRIES    (10 * KILLS)


static void
work(test_zone_t *zone, ngx_int_t slot)
{
    char               service[32], method[32];
    ngx_uint_t         i;
    ngx_mesh_calls_t  *calls;

    test_process(zone, slot);

    for (i = 0; i < 20000; i++) {
        snprintf(service, sizeof(service), "s%d", (int) (i % 7));
        snprintf(method, sizeof(method), "m%d", (int) (i % 31));

        calls = test_calls(service, method, 20);
        ngx_mesh_metrics_observe(calls, i);
        calls->sent += 3;

        snprintf(service, sizeof(service), "own%d", (int) slot);
        test_endpoint(service)->n[NGX_MESH_E_REQUESTS]++;
        test_endpoint("all")->n[NGX_MESH_E_REQUESTS]++;

        ngx_mesh_count(NGX_MESH_M_RECV);

        if (i % 100 == 0) {
            ngx_mesh_metrics_flush();
        }
    }

    ngx_mesh_metrics_exit_process();
    _exit(0);
}


static void
concurrent_tests(void)
{
    int          i, status, bad;
    pid_t        pid[WORKERS];
    test_zone_t  zone;

    test_zone(&zone, 1024 * 1024);

    for (i = 0; i < WORKERS; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            work(&zone, i + 1);
        }
    }

    bad = 0;

    for (i = 0; i < WORKERS; i++) {
        waitpid(pid[i], &status, 0);
        bad |= status;
    }

    ok(bad == 0, "%d workers end well", WORKERS);

    test_process(&zone, 0);

    ok(test_sum("mesh_requests_total", "") == WORKERS * 20000,
       "calls of all workers");
    ok(test_sum("mesh_response_bytes_total", "") == WORKERS * 60000,
       "their bytes");
    ok(test_value("mesh_endpoint_requests_total{endpoint=\"all\"}")
       == WORKERS * 20000, "an endpoint of all");
    ok(test_value("mesh_endpoint_requests_total{endpoint=\"own2\"}") == 20000,
       "an endpoint of one");
    ok(test_value("mesh_io_total{op=\"recv\"}") == WORKERS * 20000,
       "a counter of all");
    ok(test_sane(&zone) == NULL, "no series is there twice");
}


/* makes series for ever; that a name comes again is likely */

static void
create(test_zone_t *zone, unsigned seed)
{
    int   len, tail;
    char  name[300];

    test_process(zone, 1);

    for ( ;; ) {
        len = snprintf(name, sizeof(name), "%d", rand_r(&seed) % 3000);
        tail = rand_r(&seed) % 200;
        memset(name + len, 'k', tail);
        name[len + tail] = '\0';

        ngx_mesh_metrics_observe(test_calls(name, "m", 20), 1);
        test_endpoint(name);
        test_error(name, NGX_MESH_ERR_TIMEOUT);
    }
}


/* on a busy machine many are killed before they begin: there are more then */

static void
kill_tests(void)
{
    int               i, status, held, grown;
    char              name[32];
    pid_t             pid;
    size_t            used;
    const char       *wrong;
    test_zone_t       zone;
    struct timespec   pause;

    held = 0;
    grown = 0;
    wrong = NULL;

    for (i = 0;
         wrong == NULL
         && (i < KILLS || (i < TRIES && (grown <= GROWN || held == 0)));
         i++)
    {
        if (i % 50 == 0) {
            test_zone(&zone, 4 * 1024 * 1024);
        }

        used = zone.region->used;
        fflush(stdout);
        pid = fork();

        if (pid == 0) {
            create(&zone, i + 1);
        }

        pause.tv_sec = 0;
        pause.tv_nsec = 200000 + (i * 7919) % 1500 * 1000;
        nanosleep(&pause, NULL);

        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);

        held += (zone.shpool->lock.lock == (ngx_atomic_t) pid);
        grown += (zone.region->used != used);

        if (!WIFSIGNALED(status)) {
            wrong = "the process died by itself";
            break;
        }

        stub_unlock(zone.shpool, pid);
        wrong = test_sane(&zone);

        if (wrong) {
            break;
        }

        /* the next one goes on */

        test_process(&zone, 0);
        snprintf(name, sizeof(name), "after%d", i);
        ngx_mesh_metrics_observe(test_calls(name, "m", 20), 1);
        ngx_mesh_metrics_flush();
        wrong = test_sane(&zone);
    }

    ok(wrong == NULL, "cells after %d kills: %s", i, wrong ? wrong : "sane");
    ok(grown > GROWN, "%d of the killed had made series", grown);
    ok(held > 0, "%d of them held the lock", held);
}


/* killed at each step of a creation: what the step has not reached is undone */

static void
step_tests(void)
{
    int                         step;
    char                        name[32];
    u_char                     *before, *after;
    size_t                      size, used;
    const char                 *wrong;
    test_zone_t                 zone;
    ngx_mesh_metrics_cell_t    *cell;
    ngx_mesh_metrics_region_t  *region;

    size = 256 * 1024;
    test_zone(&zone, size);
    test_process(&zone, 0);

    region = zone.region;
    before = malloc(size);
    after = malloc(size);
    wrong = NULL;

    for (step = 0; step < 40 && wrong == NULL; step++) {
        memcpy(before, region, size);
        used = region->used;

        snprintf(name, sizeof(name), "step%d", step);
        test_endpoint(name);
        memcpy(after, region, size);

        if (region->used == used) {
            wrong = "no series was made";
            break;
        }

        cell = ngx_mesh_metrics_cell(region, used);

        switch (step % 4) {

        case 0:
            /* after the index: all but "used" */
            break;

        case 1:
            /* before the index */
            memcpy((u_char *) region + region->index, before + region->index,
                   region->arena - region->index);
            break;

        case 2:
            /* before the index, the cell half written */
            memcpy((u_char *) region + region->index, before + region->index,
                   region->arena - region->index);
            memset((u_char *) cell + 10, 0x5a, cell->size - 10);
            break;

        default:
            /* an index that came first, on a machine that may reorder */
            memset(cell, 0x5a, cell->size);
        }

        region->used = used;

        /* a successor makes another series first, then the same, then more */

        test_process(&zone, 0);

        snprintf(name, sizeof(name), "other%d", step);
        test_endpoint(name)->n[0] += 2;
        snprintf(name, sizeof(name), "step%d", step);
        test_endpoint(name)->n[0] += 3;
        ngx_mesh_metrics_flush();

        wrong = test_sane(&zone);
    }

    ok(wrong == NULL, "killed at every step: %s", wrong ? wrong : "sane");
    ok(test_sum("mesh_endpoint_requests_total{endpoint=\"step", "") == 120
       && test_sum("mesh_endpoint_requests_total{endpoint=\"other", "") == 80,
       "no series lost its counts");

    free(before);
    free(after);
}


void
test_processes(void)
{
    concurrent_tests();
    step_tests();
    kill_tests();
}
