
/*
 * Copyright (C) nginx-mesh authors
 *
 * What facts() costs: prints nanoseconds of CPU time per call, the best of
 * several rounds.  bench [ROUNDS]
 */


#include "test.h"

#include <time.h>


#define CALLS  20000


static const ngx_mesh_codec_t  *codec = &ngx_mesh_dubbo_codec;


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}


static void
bench(const char *name, test_buf_t *b, ngx_uint_t want, ngx_uint_t rounds)
{
    double            start, ns, best;
    u_char            scratch[TEST_SCRATCH];
    ngx_uint_t        i, n;
    ngx_mesh_frame_t  f;
    ngx_mesh_facts_t  facts;

    best = 1e9;
    n = 0;

    while (rounds--) {
        start = now();

        for (i = 0; i < CALLS; i++) {
            (void) codec->head(codec, b->data, b->len, &f);

            memset(&facts, 0, sizeof(ngx_mesh_facts_t));
            facts.scratch = scratch;
            facts.scratch_end = scratch + TEST_SCRATCH;

            codec->facts(codec, b->data, &f, want, &facts);

            n += facts.attachments;
        }

        ns = (now() - start) / CALLS;
        best = ngx_min(best, ns);
    }

    printf("%-40s %7.1f ns%s\n", name, best,
           n || !(want & NGX_MESH_WANT_ATTACHMENTS) ? "" : " (none read)");
}


static void
hessian2(test_buf_t *b, size_t text)
{
    test_request(b, 2, "Ljava/lang/String;");

    if (text < 32) {
        test_byte(b, (int) text, 1);

    } else {
        test_byte(b, 'S', 1);
        test_byte(b, (int) (text >> 8), 1);
        test_byte(b, (int) text & 0xff, 1);
    }

    test_byte(b, 'x', text);

    test_hex(b, "'H' 04'path' 0b'com.x.Hello'"
                "12'remote.application' 07'my-app1'"
                "09'interface' 0b'com.x.Hello' 07'version' 05'0.0.0'"
                "07'timeout' 04'3000' 'Z'");
    test_close(b);
}


static void
fastjson2(test_buf_t *b)
{
    test_request(b, 23, "Ljava/lang/String;");

    test_hex(b, "00000006 4e'hello' 0000005f a6"
                "4d'path' 54'com.x.Hello' 5b'remote.application' 50'my-app1'"
                "52'interface' 54'com.x.Hello' 50'version' 4e'0.0.0'"
                "50'timeout' 4d'3000' a5");
    test_close(b);
}


int
main(int argc, char **argv)
{
    ngx_uint_t  rounds, both;
    test_buf_t  b;

    rounds = argc > 1 ? (ngx_uint_t) atoi(argv[1]) : 200;
    both = NGX_MESH_WANT_NAMES | NGX_MESH_WANT_ATTACHMENTS;

    hessian2(&b, 16);
    bench("hessian2, names", &b, NGX_MESH_WANT_NAMES, rounds);
    bench("hessian2, names and 5 attachments", &b, both, rounds);
    test_free(&b);

    hessian2(&b, 900);
    bench("the same, a string of 900", &b, both, rounds);
    test_free(&b);

    fastjson2(&b);
    bench("fastjson2, names", &b, NGX_MESH_WANT_NAMES, rounds);
    bench("fastjson2, names and 5 attachments", &b, both, rounds);
    test_free(&b);

    return 0;
}
