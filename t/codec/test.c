
/*
 * Copyright (C) nginx-mesh authors
 */


#include "test.h"


static ngx_uint_t  tests;
static ngx_uint_t  failures;


void
ok(int passed, const char *fmt, ...)
{
    va_list  args;

    tests++;

    if (!passed) {
        failures++;
    }

    printf("%sok %lu - ", passed ? "" : "not ", (unsigned long) tests);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");
}


int
done(void)
{
    printf("1..%lu\n", (unsigned long) tests);

    return failures ? 1 : 0;
}


void
test_str(ngx_str_t *s, const char *text)
{
    s->data = (u_char *) text;
    s->len = strlen(text);
}


int
test_is(ngx_str_t *s, const char *text)
{
    return s->len == strlen(text)
           && (s->len == 0 || memcmp(s->data, text, s->len) == 0);
}


void
test_bytes(test_buf_t *b, const void *p, size_t n)
{
    if (b->size - b->len < n) {
        b->size = 2 * (b->len + n);
        b->data = realloc(b->data, b->size);

        if (b->data == NULL) {
            abort();
        }
    }

    if (n) {
        memcpy(b->data + b->len, p, n);
        b->len += n;
    }
}


void
test_byte(test_buf_t *b, int c, size_t n)
{
    u_char  byte;

    byte = (u_char) c;

    while (n--) {
        test_bytes(b, &byte, 1);
    }
}


/* hexadecimal digits, and text in quotation marks */

void
test_hex(test_buf_t *b, const char *hex)
{
    unsigned     c;
    const char  *last;

    while (*hex) {

        if (*hex == ' ') {
            hex++;
            continue;
        }

        if (*hex == '\'') {
            last = strchr(++hex, '\'');
            test_bytes(b, hex, last - hex);
            hex = last + 1;
            continue;
        }

        if (sscanf(hex, "%2x", &c) != 1) {
            abort();
        }

        test_byte(b, (int) c, 1);
        hex += 2;
    }
}


void
test_free(test_buf_t *b)
{
    free(b->data);
    memset(b, 0, sizeof(test_buf_t));
}


int
test_same(test_buf_t *b, u_char *p, size_t n)
{
    return b->len == n && (n == 0 || memcmp(b->data, p, n) == 0);
}


void
test_close(test_buf_t *b)
{
    size_t  n;

    n = b->len - 16;

    b->data[12] = (u_char) (n >> 24);
    b->data[13] = (u_char) (n >> 16);
    b->data[14] = (u_char) (n >> 8);
    b->data[15] = (u_char) n;
}


void
test_request(test_buf_t *b, ngx_uint_t serial, const char *descriptor)
{
    size_t       n;
    ngx_uint_t   i;
    const char  *names[5] = { "2.0.2", "com.x.Hello", "1.0", "sayHello", NULL };

    memset(b, 0, sizeof(test_buf_t));

    names[4] = descriptor;

    test_hex(b, "dabb");
    test_byte(b, 0xc0 | (int) serial, 1);
    test_hex(b, "00 0102030405060708 00000000");

    for (i = 0; i < 5; i++) {
        n = strlen(names[i]);

        switch (serial) {

        case 2:
            if (n > 31) {
                test_byte(b, 0x30 + (int) (n >> 8), 1);
            }

            test_byte(b, (int) (n & 0xff), 1);
            test_bytes(b, names[i], n);
            break;

        case 23:
            test_byte(b, 0, 3);

            if (n > 47) {
                test_byte(b, (int) n + 3, 1);
                test_hex(b, "79 38");
                test_byte(b, (int) n, 1);

            } else {
                test_byte(b, (int) n + 1, 1);
                test_byte(b, 0x49 + (int) n, 1);
            }

            test_bytes(b, names[i], n);
            break;

        default:
            test_byte(b, '"', 1);
            test_bytes(b, names[i], n);
            test_bytes(b, "\"\n", 2);
            break;
        }
    }
}


void
test_decode(test_call_t *call, test_buf_t *b, ngx_uint_t want, size_t scratch)
{
    const ngx_mesh_codec_t  *codec;

    codec = &ngx_mesh_dubbo_codec;

    memset(call, 0, sizeof(test_call_t));

    call->frame = malloc(b->len);
    call->scratch = scratch ? malloc(scratch) : NULL;

    if (call->frame == NULL || (scratch && call->scratch == NULL)) {
        abort();
    }

    memcpy(call->frame, b->data, b->len);

    call->rc = codec->head(codec, call->frame, b->len, &call->f);

    if (call->rc != NGX_OK) {
        return;
    }

    (void) codec->whole(codec, call->frame, &call->f);

    call->facts.scratch = call->scratch;
    call->facts.scratch_end = call->scratch ? call->scratch + scratch : NULL;

    codec->facts(codec, call->frame, &call->f, want, &call->facts);
}


void
test_done(test_call_t *call)
{
    free(call->frame);
    free(call->scratch);
}


ngx_int_t
test_attachment(test_call_t *call, const char *name, ngx_str_t *value)
{
    ngx_str_t  s;

    test_str(&s, name);

    return ngx_mesh_dubbo_codec.attachment(&ngx_mesh_dubbo_codec, &call->facts,
                                           &s, value);
}


int
test_attachment_is(test_call_t *call, const char *name, const char *text)
{
    ngx_str_t  value;

    return test_attachment(call, name, &value) == NGX_OK
           && test_is(&value, text);
}
