
/*
 * Copyright (C) nginx-mesh authors
 */


#include "test.h"

#include <zlib.h>


const ngx_mesh_codec_t  *test_codec = &ngx_mesh_dubbo_codec;


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


static void
put(test_buf_t *b, size_t pos, size_t n, size_t value)
{
    while (n--) {
        b->data[pos + n] = (u_char) value;
        value >>= 8;
    }
}


/* where the lengths of a Bolt frame stand */

static size_t
lengths(test_buf_t *b)
{
    return b->data[0] == 1 ? (b->data[1] ? 14 : 12) : (b->data[2] ? 16 : 14);
}


void
test_close(test_buf_t *b)
{
    u_char    *p;
    size_t     n, pos;
    uint32_t   crc;

    if (test_codec != &ngx_mesh_bolt_codec) {
        put(b, 12, 4, b->len - 16);
        return;
    }

    pos = lengths(b);
    p = b->data + pos;
    n = pos + 8 + (p[0] << 8 | p[1]) + (p[2] << 8 | p[3]);

    put(b, pos + 4, 4, b->len - n);

    if (b->data[0] == 2 && b->data[1] == 2 && (b->data[11] & 1)) {
        crc = (uint32_t) crc32(0, b->data, (uInt) b->len);
        test_byte(b, 0, 4);
        put(b, b->len - 4, 4, crc);
    }
}


void
test_bolt(test_buf_t *b, ngx_uint_t variant, ngx_uint_t type,
    ngx_uint_t serial, const char *class)
{
    memset(b, 0, sizeof(test_buf_t));

    test_hex(b, variant == 1 ? "01" : variant == 2 ? "0201" : "0202");
    test_byte(b, (int) type, 1);
    test_hex(b, type ? "0001 01 11223344" : "0002 01 11223344");
    test_byte(b, (int) serial, 1);
    test_hex(b, variant == 1 ? "" : variant == 2 ? "00" : "01");
    test_hex(b, type ? "00000bb8" : "0000");
    test_hex(b, "0000 0000 00000000");

    put(b, lengths(b), 2, strlen(class));
    test_bytes(b, class, strlen(class));
}


void
test_pair(test_buf_t *b, const char *key, const char *value)
{
    int          i;
    size_t       n;
    const char  *s;

    for (i = 0; i < 2; i++) {
        s = i ? value : key;
        n = s ? strlen(s) : 0xffffffff;

        test_byte(b, 0, 4);
        put(b, b->len - 4, 4, n);

        if (s) {
            test_bytes(b, s, n);
        }
    }
}


void
test_content(test_buf_t *b)
{
    u_char  *p;
    size_t   pos;

    pos = lengths(b);
    p = b->data + pos;

    put(b, pos + 2, 2, b->len - pos - 8 - (p[0] << 8 | p[1]));
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

    codec = test_codec;

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

    if (call->f.check) {
        (void) codec->whole(codec, call->frame, &call->f);
    }

    call->facts.scratch = call->scratch;
    call->facts.scratch_end = call->scratch ? call->scratch + scratch : NULL;

    codec->facts(codec, call->frame, &call->f, want, &call->facts);
}


void
test_drop(test_call_t *call)
{
    free(call->frame);
    free(call->scratch);
}


ngx_int_t
test_attachment(test_call_t *call, const char *name, ngx_str_t *value)
{
    ngx_str_t  s;

    test_str(&s, name);

    return test_codec->attachment(test_codec, &call->facts, &s, value);
}


int
test_attachment_is(test_call_t *call, const char *name, const char *text)
{
    ngx_str_t  value;

    return test_attachment(call, name, &value) == NGX_OK
           && test_is(&value, text);
}
