
/*
 * Copyright (C) nginx-mesh authors
 */


#include "proc.h"

#include <dirent.h>
#include <time.h>


unsigned
mb_pids_parse(char *list, mb_pid_t *pids)
{
    char      *p, *last;
    unsigned   n;

    n = 0;

    for (p = strtok_r(list, ",", &last); p; p = strtok_r(NULL, ",", &last)) {

        if (n == MB_MAX_PIDS) {
            mb_die("more than %d pids", MB_MAX_PIDS);
        }

        pids[n].pid = (int) mb_number(p, 1, 1 << 30);
        pids[n].start = 0;
        pids[n].used = 0;

        n++;
    }

    return n;
}


/*
 * The first field of schedstat is the time on a core in nanoseconds; the
 * ticks of /proc/PID/stat are too coarse for a run of one second.
 */

uint64_t
mb_proc_cpu(int pid)
{
    DIR                 *dir;
    FILE                *f;
    char                 path[512];
    uint64_t             sum;
    struct dirent       *de;
    unsigned long long   ns;

    sum = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);

    dir = opendir(path);

    if (dir == NULL) {
        mb_die("no process %d", pid);
    }

    while ((de = readdir(dir)) != NULL) {

        if (de->d_name[0] == '.') {
            continue;
        }

        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid,
                 de->d_name);

        f = fopen(path, "r");

        if (f == NULL) {
            continue;
        }

        if (fscanf(f, "%llu", &ns) == 1) {
            sum += ns;
        }

        fclose(f);
    }

    closedir(dir);

    return sum;
}


uint64_t
mb_self_cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * MB_SEC + (uint64_t) ts.tv_nsec;
}
