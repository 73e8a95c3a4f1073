
/*
 * Copyright (C) nginx-mesh authors
 *
 * Runs a fuzz target once over each of the files that are its arguments, for
 * compilers without libFuzzer.
 */


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
main(int argc, char **argv)
{
    int       i;
    FILE     *f;
    long      size;
    uint8_t  *data;

    for (i = 1; i < argc; i++) {
        f = fopen(argv[i], "rb");

        if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
            perror(argv[i]);
            return 1;
        }

        size = ftell(f);
        rewind(f);

        /* of exact size, so that the sanitizer sees where it ends */

        data = malloc(size ? (size_t) size : 1);

        if (data == NULL || fread(data, 1, (size_t) size, f) != (size_t) size) {
            perror(argv[i]);
            return 1;
        }

        fclose(f);

        /* the last line tells which file it was, should the target abort */

        printf("%s\n", argv[i]);
        fflush(stdout);

        (void) LLVMFuzzerTestOneInput(data, (size_t) size);

        free(data);
    }

    return 0;
}
