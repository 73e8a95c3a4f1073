
/*
 * Copyright (C) nginx-mesh authors
 */


#include "mb.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>


static const char  mb_usage[] =
"usage: mesh-bench serve|load|bare [options]\n"
"\n"
"serve: an echo provider; prints \"listening ADDRESS\", counters at exit\n"
"  --listen ADDR        127.0.0.1:PORT (0: any) or unix:PATH\n"
"  --threads N          1\n"
"  --size SIZE          body of an answer: a number of bytes, \"same\" as\n"
"                       the request's (default), or 0: the argument alone\n"
"  --delay TIME         before each answer, in ms or with us, ms, s\n"
"  --jitter TIME        up to so much more, at random\n"
"  --shuffle            answers out of order (as --jitter 2ms)\n"
"  --error-rate P       percent of calls answered with --status\n"
"  --status N           70; of Bolt: 2\n"
"\n"
"load: calls it; prints one JSON object; exit code 1 if an answer was wrong\n"
"  --connect ADDR       127.0.0.1:PORT or unix:PATH\n"
"  --connections C      1\n"
"  --depth D            calls in flight on each connection, 1\n"
"  --size SIZE          body of a request, 128 (k and m are understood);\n"
"                       of Bolt: its argument, SOFARPC's headers come on top\n"
"  --rate R             calls per second in all; without it a closed loop\n"
"  --duration TIME      5s, after --warmup TIME, 1s; --drain TIME, 2s;\n"
"                       SIGTERM ends it earlier\n"
"  --calls N            stop after so many (0 warm-up, bounded by duration)\n"
"  --threads N          1\n"
"  --service --version --method --application   bench.Echo 1.0.0 echo b\n"
"  --oneway P           one-way calls besides, percent of the others\n"
"  --deep               compare every byte of an answer's body\n"
"  --idle               connect and hold; prints \"connected N\" first\n"
"  --touch              with --idle: one call on each connection first\n"
"  --pids P1,P2         CPU per call of these processes\n"
"\n"
"bare: the least multiplexer, one upstream connection\n"
"  --listen ADDR --upstream ADDR\n"
"\n"
"all: --protocol dubbo|bolt|bolt2 (bolt2: version 2 with checksums)\n";


int
main(int argc, char **argv)
{
    struct rlimit  rl;

    if (argc < 2) {
        fputs(mb_usage, stderr);
        return 2;
    }

    (void) signal(SIGPIPE, SIG_IGN);

    /* timers of 50 microseconds slack would show in a fixed-rate latency */
    (void) prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &rl);
    }

    if (strcmp(argv[1], "serve") == 0) {
        return mb_serve(argc - 1, argv + 1);
    }

    if (strcmp(argv[1], "load") == 0) {
        return mb_load(argc - 1, argv + 1);
    }

    if (strcmp(argv[1], "bare") == 0) {
        return mb_bare(argc - 1, argv + 1);
    }

    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(mb_usage, stdout);
        return 0;
    }

    fputs(mb_usage, stderr);

    return 2;
}


const mb_proto_t *
mb_proto(const char *name)
{
    size_t  i;

    static const mb_proto_t  *protos[] = { &mb_dubbo, &mb_bolt1, &mb_bolt2 };

    if (strcmp(name, "bolt1") == 0) {
        name = mb_bolt1.name;
    }

    for (i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
        if (strcmp(name, protos[i]->name) == 0) {
            return protos[i];
        }
    }

    mb_die("unknown protocol \"%s\"", name);
}
