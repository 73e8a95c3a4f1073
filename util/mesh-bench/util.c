
/*
 * Copyright (C) nginx-mesh authors
 */


#include "mb.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>


void
mb_die(const char *fmt, ...)
{
    va_list  args;

    fputs("mesh-bench: ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);

    exit(2);
}


void *
mb_alloc(size_t size)
{
    void  *p;

    p = calloc(1, size);

    if (p == NULL) {
        mb_die("no memory for %zu bytes", size);
    }

    return p;
}


void *
mb_realloc(void *p, size_t size)
{
    p = realloc(p, size);

    if (p == NULL) {
        mb_die("no memory for %zu bytes", size);
    }

    return p;
}


uint64_t
mb_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * MB_SEC + (uint64_t) ts.tv_nsec;
}


void
mb_sleep_until(uint64_t when)
{
    struct timespec  ts;

    ts.tv_sec = (time_t) (when / MB_SEC);
    ts.tv_nsec = (long) (when % MB_SEC);

    /* an absolute time, so that signals do not prolong it */

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)
           == EINTR)
    {
        /* void */
    }
}


uint64_t
mb_random(uint64_t *seed)
{
    uint64_t  x;

    /* xorshift: never 0 unless it starts so */
    x = *seed;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;

    *seed = x;

    return x;
}


uint64_t
mb_duration(const char *text, uint64_t unit)
{
    char    *end;
    double   n;

    errno = 0;
    n = strtod(text, &end);

    if (end == text || errno || !(n >= 0) || n > 1e6) {
        mb_die("invalid time \"%s\"", text);
    }

    if (strcmp(end, "us") == 0) {
        unit = 1000;

    } else if (strcmp(end, "ms") == 0) {
        unit = MB_MSEC;

    } else if (strcmp(end, "s") == 0) {
        unit = MB_SEC;

    } else if (*end != '\0') {
        mb_die("invalid time \"%s\"", text);
    }

    return (uint64_t) (n * (double) unit);
}


size_t
mb_size(const char *text)
{
    char           *end;
    unsigned long   n;

    errno = 0;
    n = strtoul(text, &end, 10);

    if (end == text || errno || n > MB_MAX_FRAME) {
        mb_die("invalid size \"%s\"", text);
    }

    if (strcmp(end, "k") == 0) {
        n *= 1024;

    } else if (strcmp(end, "m") == 0) {
        n *= 1024 * 1024;

    } else if (*end != '\0') {
        mb_die("invalid size \"%s\"", text);
    }

    if (n > MB_MAX_FRAME / 2) {
        mb_die("size \"%s\" is too large", text);
    }

    return n;
}


double
mb_number(const char *text, double min, double max)
{
    char    *end;
    double   n;

    errno = 0;
    n = strtod(text, &end);

    if (end == text || *end != '\0' || errno || !(n >= min && n <= max)) {
        mb_die("\"%s\" is not a number from %.0f to %.0f", text, min, max);
    }

    return n;
}


void
mb_addr_parse(const char *text, mb_addr_t *addr)
{
    char                *port, host[64];
    struct sockaddr_in  *sin;
    struct sockaddr_un  *sun;

    memset(addr, 0, sizeof(mb_addr_t));

    if (strncmp(text, "unix:", 5) == 0) {
        sun = (struct sockaddr_un *) &addr->sa;

        if (strlen(text + 5) >= sizeof(sun->sun_path)) {
            mb_die("path of \"%s\" is too long", text);
        }

        sun->sun_family = AF_UNIX;
        strcpy(sun->sun_path, text + 5);
        addr->len = sizeof(struct sockaddr_un);

        return;
    }

    if (strlen(text) >= sizeof(host)) {
        mb_die("invalid address \"%s\"", text);
    }

    strcpy(host, text);
    port = strrchr(host, ':');

    if (port == NULL) {
        mb_die("no port in address \"%s\"", text);
    }

    *port++ = '\0';

    sin = (struct sockaddr_in *) &addr->sa;
    sin->sin_family = AF_INET;
    sin->sin_port = htons((in_port_t) mb_number(port, 0, 65535));
    addr->len = sizeof(struct sockaddr_in);

    if (inet_pton(AF_INET, host, &sin->sin_addr) != 1) {
        mb_die("invalid address \"%s\"", text);
    }
}


const char *
mb_addr_text(mb_addr_t *addr)
{
    char                 host[INET_ADDRSTRLEN];
    static char          text[128];
    struct sockaddr_in  *sin;
    struct sockaddr_un  *sun;

    if (addr->sa.ss_family == AF_UNIX) {
        sun = (struct sockaddr_un *) &addr->sa;
        snprintf(text, sizeof(text), "unix:%s", sun->sun_path);

        return text;
    }

    sin = (struct sockaddr_in *) &addr->sa;
    inet_ntop(AF_INET, &sin->sin_addr, host, sizeof(host));
    snprintf(text, sizeof(text), "%s:%u", host, ntohs(sin->sin_port));

    return text;
}


int
mb_listen(mb_addr_t *addr)
{
    int                  fd, on;
    struct sockaddr_un  *sun;

    fd = socket(addr->sa.ss_family, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC,
                0);

    if (fd == -1) {
        mb_die("socket() failed: %s", strerror(errno));
    }

    if (addr->sa.ss_family == AF_UNIX) {
        sun = (struct sockaddr_un *) &addr->sa;
        (void) unlink(sun->sun_path);

    } else {
        on = 1;
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(int));
    }

    if (bind(fd, (struct sockaddr *) &addr->sa, addr->len) == -1
        || listen(fd, 4096) == -1)
    {
        mb_die("cannot listen on %s: %s", mb_addr_text(addr),
               strerror(errno));
    }

    /* port 0: the caller is told which one it became */

    if (addr->sa.ss_family == AF_INET) {
        addr->len = sizeof(addr->sa);
        (void) getsockname(fd, (struct sockaddr *) &addr->sa, &addr->len);
    }

    printf("listening %s\n", mb_addr_text(addr));
    fflush(stdout);

    return fd;
}


void
mb_nodelay(int fd)
{
    int  on;

    on = 1;

    /* fails on a unix socket, which needs none */
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int));
}


int
mb_connect(mb_addr_t *addr, int wait)
{
    int  fd, flags;

    flags = SOCK_STREAM|SOCK_CLOEXEC|(wait ? 0 : SOCK_NONBLOCK);

    fd = socket(addr->sa.ss_family, flags, 0);

    if (fd == -1) {
        return -1;
    }

    if (connect(fd, (struct sockaddr *) &addr->sa, addr->len) == -1
        && errno != EINPROGRESS)
    {
        (void) close(fd);
        return -1;
    }

    /* what waits for the connection reads and writes without waiting */

    if (wait) {
        (void) fcntl(fd, F_SETFL, O_NONBLOCK);
    }

    mb_nodelay(fd);

    return fd;
}


int
mb_timer(void)
{
    int  fd;

    fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);

    if (fd == -1) {
        mb_die("timerfd_create() failed: %s", strerror(errno));
    }

    return fd;
}


void
mb_timer_set(int fd, uint64_t when)
{
    struct itimerspec  it;

    memset(&it, 0, sizeof(struct itimerspec));

    it.it_value.tv_sec = (time_t) (when / MB_SEC);
    it.it_value.tv_nsec = (long) (when % MB_SEC);

    (void) timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL);
}
