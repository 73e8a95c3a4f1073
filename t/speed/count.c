
/*
 * Copyright (C) nginx-mesh authors
 */


/*
 * Preloaded into nginx: counts allocations in a file that the test reads.
 * The C library's own names are called, so that nothing has to be looked up
 * while looking up allocates.
 */

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>


extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void count_init(void) __attribute__((constructor));


static volatile unsigned long  *count_n;


static void
count_init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("MESH_COUNT");

    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDWR);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(unsigned long), PROT_READ|PROT_WRITE, MAP_SHARED, fd,
             0);

    if (p != MAP_FAILED) {
        count_n = p;
    }
}


static void
count_add(void)
{
    if (count_n) {
        __sync_fetch_and_add(count_n, 1);
    }
}


void *
malloc(size_t size)
{
    count_add();

    return __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    count_add();

    return __libc_calloc(n, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    count_add();

    *p = __libc_memalign(alignment, size);

    return *p ? 0 : 12;
}
