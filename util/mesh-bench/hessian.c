
/*
 * Copyright (C) nginx-mesh authors
 */


#include "hessian.h"


/* Java's writer cuts strings into chunks of so many characters */
#define MB_CHUNK  0x8000


const mb_hessian_t  mb_hessian_2 = { 0x52, 0x53, 1 };
const mb_hessian_t  mb_hessian_sofa = { 0x73, 0x53, 0 };


uint32_t
mb_get32(u_char *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}


u_char *
mb_put32(u_char *p, uint32_t n)
{
    *p++ = (u_char) (n >> 24);
    *p++ = (u_char) (n >> 16);
    *p++ = (u_char) (n >> 8);
    *p++ = (u_char) n;

    return p;
}


/* the tag with the length of a string that takes "room" bytes with it */

size_t
mb_hessian_tag(const mb_hessian_t *h, size_t room)
{
    return (room <= 32) ? 1 : (h->medium && room <= 1025) ? 2 : 3;
}


static u_char *
mb_hessian_open(const mb_hessian_t *h, u_char *p, size_t tag, size_t n)
{
    switch (tag) {

    case 1:
        break;

    case 2:
        *p++ = (u_char) (0x30 + (n >> 8));
        break;

    default:
        *p++ = h->last;
        *p++ = (u_char) (n >> 8);
    }

    *p++ = (u_char) n;

    return p;
}


/* of at most 1023 bytes */

u_char *
mb_hessian_string(const mb_hessian_t *h, u_char *p, const char *s)
{
    size_t  len, tag;

    len = strlen(s);
    tag = (len < 32) ? 1 : h->medium ? 2 : 3;

    p = mb_hessian_open(h, p, tag, len);
    memcpy(p, s, len);

    return p + len;
}


/*
 * A string that takes exactly "room" bytes with its tags.  Where the shortest
 * tag leaves a byte over, the next longer one is as valid.  The text depends
 * on the position, so that bytes lost or moved on the way are noticed.
 */

u_char *
mb_hessian_fill(const mb_hessian_t *h, u_char *p, size_t room)
{
    u_char   *start;
    size_t    tag, n, i;
    unsigned  letter;

    letter = 0;

    while (room) {
        start = p;

        if (room > MB_CHUNK + 3) {
            tag = 3;
            n = MB_CHUNK;

        } else {
            tag = mb_hessian_tag(h, room);
            n = room - tag;
        }

        p = mb_hessian_open(h, p, tag, n);

        if (room > MB_CHUNK + 3) {
            *start = h->part;
        }

        for (i = 0; i < n; i++) {
            *p++ = (u_char) ('a' + letter++ % 23);
        }

        room -= tag + n;
    }

    return p;
}


/* the end of a string of ASCII text, the start of its first chunk */

u_char *
mb_hessian_skip(const mb_hessian_t *h, u_char *p, u_char *last, u_char **text,
    size_t *len)
{
    size_t    n;
    unsigned  tag;

    *text = NULL;
    *len = 0;

    while (p < last) {

        tag = *p++;

        if (tag < 0x20) {
            n = tag;

        } else if (h->medium && tag >= 0x30 && tag <= 0x33 && p < last) {
            n = (size_t) (tag - 0x30) << 8 | *p++;

        } else if ((tag == h->part || tag == h->last) && last - p >= 2) {
            n = (size_t) p[0] << 8 | p[1];
            p += 2;

        } else {
            return NULL;
        }

        if (n > (size_t) (last - p)) {
            return NULL;
        }

        if (*text == NULL) {
            *text = p;
            *len = n;
        }

        p += n;

        if (tag != h->part) {
            return p;
        }
    }

    return NULL;
}
