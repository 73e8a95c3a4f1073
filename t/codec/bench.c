
/*
 * Copyright (C) nginx-mesh authors
 *
 * What facts() costs, and a checksum for another id: prints nanoseconds of CPU
 * time per call, the best of several rounds.  bench [ROUNDS]
 */


#include "test.h"

#include <time.h>


#define CALLS  20000


#define codec  test_codec


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


/* a call of SOFARPC 5.13, as it is on the wire */

static void
bolt(test_buf_t *b, ngx_uint_t variant, ngx_uint_t headers)
{
    test_bolt(b, variant, 1, 1, "com.alipay.sofa.rpc.core.request.SofaRequest");

    if (headers) {
        test_pair(b, "sofa_head_target_service", "com.x.Hello:1.0");
        test_pair(b, "app", "my-app1");
        test_pair(b, "rpc_trace_context.sofaRpcId", "0");
        test_pair(b, "protocol", "bolt");
        test_pair(b, "rpc_trace_context.samp", "true");
        test_pair(b, "rpc_trace_context.sofaTraceId",
                  "c00002021795441360897100110008");
        test_pair(b, "service", "com.x.Hello:1.0");
        test_pair(b, "rpc_trace_context.sysPenAttrs", "");
        test_pair(b, "rpc_trace_context.sofaPenAttrs", "");
        test_pair(b, "sofa_head_method_name", "sayHello");
        test_pair(b, "type", "sync");
        test_content(b);
    }

    test_hex(b, "'O' bc 'com.alipay.sofa.rpc.core.request.SofaRequest' 95"
                "0d'targetAppName' 0a'methodName' 17'targetServiceUniqueName'"
                "0c'requestProps' 0d'methodArgSigs' 6f 90"
                "'N' 08'sayHello' 0f'com.x.Hello:1.0' 'N'"
                "'Vt' 0007'[string' 'n' 01 10'java.lang.String' 'z' 02'hi'");
    test_close(b);
}


static void
renumber(const char *name, test_buf_t *b, ngx_uint_t rounds)
{
    double            start, ns, best;
    ngx_uint_t        i;
    ngx_mesh_frame_t  f;

    best = 1e9;

    while (rounds--) {
        start = now();

        for (i = 0; i < CALLS; i++) {
            (void) codec->head(codec, b->data, b->len, &f);
            codec->set_id(codec, b->data, &f, i);
        }

        ns = (now() - start) / CALLS;
        best = ngx_min(best, ns);
    }

    printf("%-40s %7.1f ns\n", name, best);
}


static void
bolts(ngx_uint_t rounds)
{
    test_buf_t  b;

    codec = &ngx_mesh_bolt_codec;

    bolt(&b, 1, 1);
    bench("bolt, 11 headers", &b, NGX_MESH_WANT_NAMES, rounds);
    renumber("bolt, another id", &b, rounds);
    test_free(&b);

    bolt(&b, 1, 0);
    bench("bolt, names in its content", &b, NGX_MESH_WANT_NAMES, rounds);
    test_free(&b);

    bolt(&b, 3, 1);
    renumber("bolt with a checksum, another id", &b, rounds);
    test_free(&b);

    bolt(&b, 3, 1);
    b.len -= 4;
    test_byte(&b, 'x', 64 * 1024);
    test_close(&b);
    renumber("the same, 64 KiB", &b, rounds);
    test_free(&b);
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

    bolts(rounds);

    return 0;
}
