
/*
 * Copyright (C) nginx-mesh authors
 */


/*
 * Preloaded into nginx: there is no memory for pools of the size that stands
 * in a file, which the test writes; 0 is none.
 */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>


extern void *__libc_memalign(size_t alignment, size_t size);

static void short_init(void) __attribute__((constructor));


static volatile unsigned long  *short_size;


static void
short_init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("MESH_SHORT");
    fd = name ? open(name, O_RDONLY) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(unsigned long), PROT_READ, MAP_SHARED, fd, 0);

    if (p != MAP_FAILED) {
        short_size = p;
    }
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    if (short_size && size == *short_size) {
        return ENOMEM;
    }

    *p = __libc_memalign(alignment, size);

    return *p ? 0 : ENOMEM;
}
