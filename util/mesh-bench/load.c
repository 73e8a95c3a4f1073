
/*
 * Copyright (C) nginx-mesh authors
 */


#include "load.h"

#include <getopt.h>
#include <signal.h>


enum {
    MB_OPT_CONNECT = 1,
    MB_OPT_CONNECTIONS,
    MB_OPT_DEPTH,
    MB_OPT_SIZE,
    MB_OPT_RATE,
    MB_OPT_DURATION,
    MB_OPT_WARMUP,
    MB_OPT_DRAIN,
    MB_OPT_CALLS,
    MB_OPT_THREADS,
    MB_OPT_SERVICE,
    MB_OPT_VERSION,
    MB_OPT_METHOD,
    MB_OPT_APPLICATION,
    MB_OPT_ONEWAY,
    MB_OPT_DEEP,
    MB_OPT_IDLE,
    MB_OPT_TOUCH,
    MB_OPT_PIDS,
    MB_OPT_PROTOCOL
};


static struct option  mb_load_options[] = {
    { "connect", 1, NULL, MB_OPT_CONNECT },
    { "connections", 1, NULL, MB_OPT_CONNECTIONS },
    { "depth", 1, NULL, MB_OPT_DEPTH },
    { "size", 1, NULL, MB_OPT_SIZE },
    { "rate", 1, NULL, MB_OPT_RATE },
    { "duration", 1, NULL, MB_OPT_DURATION },
    { "warmup", 1, NULL, MB_OPT_WARMUP },
    { "drain", 1, NULL, MB_OPT_DRAIN },
    { "calls", 1, NULL, MB_OPT_CALLS },
    { "threads", 1, NULL, MB_OPT_THREADS },
    { "service", 1, NULL, MB_OPT_SERVICE },
    { "version", 1, NULL, MB_OPT_VERSION },
    { "method", 1, NULL, MB_OPT_METHOD },
    { "application", 1, NULL, MB_OPT_APPLICATION },
    { "oneway", 1, NULL, MB_OPT_ONEWAY },
    { "deep", 0, NULL, MB_OPT_DEEP },
    { "idle", 0, NULL, MB_OPT_IDLE },
    { "touch", 0, NULL, MB_OPT_TOUCH },
    { "pids", 1, NULL, MB_OPT_PIDS },
    { "protocol", 1, NULL, MB_OPT_PROTOCOL },
    { NULL, 0, NULL, 0 }
};


/* static: a leak checker must see it to the end */
static mb_worker_t  *mb_load_workers;


static void
mb_load_defaults(void)
{
    mb_ld.proto = mb_proto("dubbo");
    mb_ld.call.service = "bench.Echo";
    mb_ld.call.version = "1.0.0";
    mb_ld.call.method = "echo";
    mb_ld.call.application = "b";
    mb_ld.connections = 1;
    mb_ld.depth = 1;
    mb_ld.threads = 1;
    mb_ld.size = 128;
    mb_ld.duration = 5 * MB_SEC;
    mb_ld.warmup = MB_SEC;
    mb_ld.drain = 2 * MB_SEC;
}


static void
mb_load_option(int c)
{
    switch (c) {

    case MB_OPT_CONNECT:
        mb_addr_parse(optarg, &mb_ld.addr);
        break;

    case MB_OPT_CONNECTIONS:
        mb_ld.connections = (unsigned) mb_number(optarg, 1, 60000);
        break;

    case MB_OPT_DEPTH:
        mb_ld.depth = (unsigned) mb_number(optarg, 1, 65536);
        break;

    case MB_OPT_SIZE:
        mb_ld.size = mb_size(optarg);
        break;

    case MB_OPT_RATE:
        mb_ld.rate = mb_number(optarg, 0.001, 1e8);
        break;

    case MB_OPT_DURATION:
        mb_ld.duration = mb_duration(optarg, MB_SEC);
        break;

    case MB_OPT_WARMUP:
        mb_ld.warmup = mb_duration(optarg, MB_SEC);
        break;

    case MB_OPT_DRAIN:
        mb_ld.drain = mb_duration(optarg, MB_SEC);
        break;

    case MB_OPT_CALLS:
        mb_ld.calls = (uint64_t) mb_number(optarg, 1, 1e15);
        break;

    case MB_OPT_THREADS:
        mb_ld.threads = (unsigned) mb_number(optarg, 1, 64);
        break;

    case MB_OPT_SERVICE:
        mb_ld.call.service = optarg;
        break;

    case MB_OPT_VERSION:
        mb_ld.call.version = optarg;
        break;

    case MB_OPT_METHOD:
        mb_ld.call.method = optarg;
        break;

    case MB_OPT_APPLICATION:
        mb_ld.call.application = optarg;
        break;

    case MB_OPT_ONEWAY:
        mb_ld.oneway = mb_number(optarg, 0, 10000);
        break;

    case MB_OPT_DEEP:
        mb_ld.deep = 1;
        break;

    case MB_OPT_IDLE:
        mb_ld.idle = 1;
        break;

    case MB_OPT_TOUCH:
        mb_ld.touch = 1;
        break;

    case MB_OPT_PIDS:
        mb_ld.npids = mb_pids_parse(optarg, mb_ld.pids);
        break;

    case MB_OPT_PROTOCOL:
        mb_ld.proto = mb_proto(optarg);
        break;

    default:
        exit(2);
    }
}


static void
mb_load_parse(int argc, char **argv)
{
    int  c, i;

    mb_load_defaults();

    while ((c = getopt_long(argc, argv, "", mb_load_options, &i)) != -1) {
        mb_load_option(c);
    }

    if (mb_ld.addr.len == 0) {
        mb_die("--connect is missing");
    }

    if (mb_ld.threads > mb_ld.connections) {
        mb_ld.threads = mb_ld.connections;
    }

    /* a given number of calls is counted whole */

    if (mb_ld.calls || mb_ld.idle) {
        mb_ld.warmup = 0;
    }
}


static uint64_t
mb_load_done(mb_worker_t *workers)
{
    uint64_t  sum;
    unsigned  i;

    sum = 0;

    for (i = 0; i < mb_ld.threads; i++) {
        sum += atomic_load_explicit(&workers[i].done, memory_order_relaxed);
    }

    return sum;
}


static int
mb_load_finished(mb_worker_t *workers)
{
    unsigned  i;

    for (i = 0; i < mb_ld.threads; i++) {
        if (!atomic_load(&workers[i].finished)) {
            return 0;
        }
    }

    return 1;
}


/* SIGTERM: the window ends now, and all is reported as usual */

static void
mb_load_stop(int signo)
{
    uint64_t  now;

    (void) signo;

    now = mb_now();

    if (now < mb_ld.end) {
        mb_ld.end = now;
    }
}


/* until the end of the window, or until nothing is left to do */

static void
mb_load_wait(mb_worker_t *workers)
{
    unsigned  told;

    told = 0;

    if (!mb_ld.calls && !mb_ld.idle) {
        while (mb_now() < mb_ld.end) {
            mb_sleep_until(mb_now() + 10 * MB_MSEC < mb_ld.end
                           ? mb_now() + 10 * MB_MSEC : mb_ld.end);
        }

        return;
    }

    while (mb_now() < mb_ld.end && !mb_load_finished(workers)) {

        if (mb_ld.idle && !told
            && (!mb_ld.touch || mb_load_done(workers) == mb_ld.connections))
        {
            told = 1;
            printf("connected %u\n", mb_ld.connections);
            fflush(stdout);
        }

        mb_sleep_until(mb_now() + MB_MSEC);
    }
}


static void
mb_load_report(mb_worker_t *workers, uint64_t calls, double seconds,
    double self)
{
    double        n;
    unsigned      i, k, comma;
    mb_pid_t     *pid;
    mb_worker_t  *w, *sum;

    sum = &workers[0];

    for (i = 1; i < mb_ld.threads; i++) {
        w = &workers[i];

        sum->sent += w->sent;
        sum->oneway += w->oneway;
        sum->errors += w->errors;
        sum->wrong += w->wrong;
        sum->lost += w->lost;
        sum->closed += w->closed;
        sum->unsent += w->unsent;
        sum->pings += w->pings;
        sum->events += w->events;

        for (k = 0; k < MB_STATUSES; k++) {
            sum->status[k] += w->status[k];
        }

        mb_hist_merge(&sum->hist, &w->hist);
    }

    n = calls ? (double) calls : 1;

    printf("{\"calls\":%llu,\"errors\":%llu,\"wrong\":%llu,\"lost\":%llu,"
           "\"unsent\":%llu,\"closed\":%llu,\"sent\":%llu,\"oneway\":%llu,"
           "\"heartbeats\":%llu,\"events\":%llu,\"seconds\":%.6f,"
           "\"calls_per_sec\":%.1f",
           (unsigned long long) calls, (unsigned long long) sum->errors,
           (unsigned long long) sum->wrong, (unsigned long long) sum->lost,
           (unsigned long long) sum->unsent,
           (unsigned long long) sum->closed,
           (unsigned long long) sum->sent, (unsigned long long) sum->oneway,
           (unsigned long long) sum->pings,
           (unsigned long long) sum->events,
           seconds, (double) calls / seconds);

    n *= 1000;

    printf(",\"self_cpu_us_per_call\":%.4f,\"self_busy\":%.4f",
           self / n, self / (seconds * 1e9));

    printf(",\"mean_us\":%.2f,\"p50_us\":%.2f,\"p90_us\":%.2f,"
           "\"p99_us\":%.2f,\"p99_9_us\":%.2f,\"max_us\":%.2f",
           sum->hist.count
               ? (double) sum->hist.sum / (double) sum->hist.count / 1e3 : 0,
           (double) mb_hist_quantile(&sum->hist, 0.5) / 1e3,
           (double) mb_hist_quantile(&sum->hist, 0.9) / 1e3,
           (double) mb_hist_quantile(&sum->hist, 0.99) / 1e3,
           (double) mb_hist_quantile(&sum->hist, 0.999) / 1e3,
           (double) sum->hist.max / 1e3);

    printf(",\"statuses\":{");

    for (k = 0, comma = 0; k < MB_STATUSES; k++) {
        if (sum->status[k]) {
            printf("%s\"%u\":%llu", comma ? "," : "", k,
                   (unsigned long long) sum->status[k]);
            comma = 1;
        }
    }

    printf("},\"pids\":[");

    for (i = 0; i < mb_ld.npids; i++) {
        pid = &mb_ld.pids[i];

        printf("%s{\"pid\":%d,\"cpu_us_per_call\":%.4f,\"busy\":%.4f}",
               i ? "," : "", pid->pid, (double) pid->used / n,
               (double) pid->used / (seconds * 1e9));
    }

    printf("]}\n");
}


int
mb_load(int argc, char **argv)
{
    double        self;
    uint64_t      calls, start, end, begin;
    unsigned      i, share;
    mb_worker_t  *workers, *w;

    mb_load_parse(argc, argv);

    workers = mb_alloc(mb_ld.threads * sizeof(mb_worker_t));
    mb_load_workers = workers;

    for (i = 0; i < mb_ld.threads; i++) {
        w = &workers[i];

        share = mb_ld.connections / mb_ld.threads
                + (i < mb_ld.connections % mb_ld.threads);

        mb_worker_init(w, i, share);

        if (mb_ld.calls) {
            w->quota = mb_ld.calls / mb_ld.threads
                       + (i < mb_ld.calls % mb_ld.threads);
        }
    }

    start = mb_now();
    mb_ld.begin = start + mb_ld.warmup;
    mb_ld.end = mb_ld.begin + mb_ld.duration;

    (void) signal(SIGTERM, mb_load_stop);

    for (i = 0; i < mb_ld.threads; i++) {
        w = &workers[i];

        if (mb_ld.rate > 0) {
            w->interval = 1e9 * mb_ld.threads / mb_ld.rate;
            w->due = (double) start + w->interval * i / mb_ld.threads;
        }
    }

    /* all is connected by now, so that this costs nobody anything below */

    for (i = 0; i < mb_ld.npids && mb_ld.warmup == 0; i++) {
        mb_ld.pids[i].start = mb_proc_cpu(mb_ld.pids[i].pid);
    }

    for (i = 0; i < mb_ld.threads; i++) {
        w = &workers[i];

        if (pthread_create(&w->tid, NULL, mb_worker_thread, w) != 0) {
            mb_die("pthread_create() failed");
        }
    }

    if (mb_ld.warmup) {
        mb_sleep_until(mb_ld.begin);
    }

    begin = mb_ld.warmup ? mb_now() : start;
    self = (double) mb_self_cpu();

    for (i = 0; i < mb_ld.npids && mb_ld.warmup; i++) {
        mb_ld.pids[i].start = mb_proc_cpu(mb_ld.pids[i].pid);
    }

    /* counters are read next to the CPU times, not computed from the plan */

    calls = mb_ld.warmup ? mb_load_done(workers) : 0;

    mb_load_wait(workers);

    calls = mb_load_done(workers) - calls;

    for (i = 0; i < mb_ld.npids; i++) {
        mb_ld.pids[i].used = mb_proc_cpu(mb_ld.pids[i].pid)
                             - mb_ld.pids[i].start;
    }

    self = (double) mb_self_cpu() - self;
    end = mb_now();

    for (i = 0; i < mb_ld.threads; i++) {
        (void) pthread_join(workers[i].tid, NULL);
    }

    mb_load_report(workers, calls, (double) (end - begin) / 1e9, self);

    return mb_load_workers[0].wrong ? 1 : 0;
}
